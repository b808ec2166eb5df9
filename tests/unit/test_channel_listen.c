/* A channel that listens is made anew while people connect: nobody is refused, whichever of its two instances takes them. */
#include "api_fixture.h"
#include "core/channel/instance.h"

/* --- The plugin: greets whoever connects -------------------------------------------------------- */

struct parley_channel {
  const parley_host *host;
  const parley_stream *streams;
  uint64_t listener;
  int n_accepted, n_open, n_bound;
  parley_status bound;
  char bound_at[64];
};
struct guest {
  struct parley_channel *channel;
  uint64_t stream;
};

static struct {
  bool when_started;    /* it listens within start() */
  parley_status starts; /* what start() says */
  char address[64];
} ways;

static void guest_opened(const parley_peer *peer, void *arg)
{
  struct guest *guest = arg;

  (void)peer;
  guest->channel->streams->write(guest->channel->host, guest->stream, PARLEY_LIT("hello"));
  guest->channel->streams->close(guest->channel->host, guest->stream, 0);
}

static size_t guest_data(parley_bytes bytes, void *arg)
{
  (void)arg;
  return bytes.len;
}

static void guest_closed(const parley_result *result, void *arg)
{
  struct guest *guest = arg;

  (void)result;
  guest->channel->n_open--;
  free(guest);
}

static const parley_stream_events guest_events = {
    .size = sizeof guest_events, .opened = guest_opened, .data = guest_data, .closed = guest_closed};

static void *greeter_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  struct parley_channel *channel = arg;
  struct guest *guest = calloc(1, sizeof *guest);

  (void)peer;
  channel->n_accepted++;
  channel->n_open++;
  *guest = (struct guest){channel, stream};
  return guest;
}

static void greeter_bound(const parley_result *result, void *arg)
{
  struct parley_channel *channel = arg;

  channel->n_bound++;
  channel->bound = result->status;
  snprintf(channel->bound_at, sizeof channel->bound_at, "%.*s", TEXT_ARG(result->value));
}

static void greeter_listen(struct parley_channel *channel)
{
  channel->listener = channel->streams->listen(channel->host,
                                               PARLEY_REF(parley_endpoint, .address = parley_text_of(ways.address)),
                                               &guest_events, greeter_accepted, greeter_bound, channel);
}

static parley_status greeter_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  struct parley_channel *channel = calloc(1, sizeof *channel);

  (void)options;
  channel->host = host;
  channel->streams = host->extension(host, PARLEY_STREAM);
  *ret = channel;
  return PARLEY_OK;
}

static parley_status greeter_start(parley_channel *channel)
{
  if (ways.when_started)
    greeter_listen(channel);
  return ways.starts;
}

static void greeter_drain(parley_channel *channel, uint32_t within_ms)
{
  (void)within_ms;
  channel->host->cancel(channel->host, channel->listener);
}

static void greeter_destroy(parley_channel *channel)
{
  free(channel);
}

static const parley_option *const greeter_options[] = {NULL};
static const parley_capabilities greeter_capabilities = {
    .size = sizeof greeter_capabilities, .address_kind = "none", .channel_kind = "chat"};
static const parley_plugin greeter = {.size = sizeof greeter,
                                      .abi_major = PARLEY_ABI_MAJOR,
                                      .abi_minor = PARLEY_ABI_MINOR,
                                      .name = "greeter",
                                      .version = "1",
                                      .summary = "greets",
                                      .capabilities = &greeter_capabilities,
                                      .options = greeter_options,
                                      .create = greeter_create,
                                      .start = greeter_start,
                                      .drain = greeter_drain,
                                      .destroy = greeter_destroy};

/* --- Its instances --------------------------------------------------------------------------------- */

static struct api_fixture f;
static struct plugin plugin = {.refs = 1, .table = &greeter};

static void on_roomier(struct channel *channel, bool well, void *arg)
{
  (void)channel, (void)well, (void)arg;
}

static void on_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg)
{
  (void)channel, (void)state, (void)cause, (void)remedy, (void)arg;
}

static struct channel *made(struct channel *older)
{
  struct channel_shared shared = {.services = &channel_services_own,
                                  .loop = &f.loop,
                                  .env = f.env,
                                  .store = f.store,
                                  .http = f.http,
                                  .dns = f.dns,
                                  .egress = f.egress,
                                  .version = PARLEY_LIT("0")};
  struct channel_owner owner = {.roomier = on_roomier, .health = on_health};
  struct channel *channel = NULL;
  struct buf why = BUF_INIT(4096);

  ck_assert_msg(channel_new(&shared, &owner, f.conf, conf_channel_find(f.conf, PARLEY_LIT("mail")), &plugin, older,
                            &channel, &why) == PARLEY_OK,
                "%s", why.at);
  buf_done(&why);
  return channel;
}

static parley_status started(struct channel *channel)
{
  struct buf why = BUF_INIT(4096);
  parley_status st = channel_start(channel, &why);

  buf_done(&why);
  return st;
}

static void expect_bound(struct channel *channel)
{
  struct parley_channel *instance = channel_instance(channel);
  uint64_t deadline = peer_deadline();

  while (instance->n_bound == 0 && !peer_late(deadline))
    peer_turn(&f.loop, -1, 0, 20);
  ck_assert_int_eq(instance->n_bound, 1);
  ck_assert_int_eq(instance->bound, PARLEY_OK);
}

static void setup(void)
{
  api_fixture_init(&f);
  ways.when_started = true;
  ways.starts = PARLEY_OK;
  snprintf(ways.address, sizeof ways.address, "127.0.0.1:0");
}

static void teardown(void)
{
  api_fixture_done(&f);
}

/* The first instance, on a free port, which from now on is the one that is asked for. */
static struct channel *first(uint16_t *ret_port)
{
  struct channel *channel = made(NULL);

  ck_assert_int_eq(started(channel), PARLEY_OK);
  expect_bound(channel);
  memcpy(ways.address, channel_instance(channel)->bound_at, sizeof ways.address);
  *ret_port = (uint16_t)strtoul(strrchr(ways.address, ':') + 1, NULL, 10);
  return channel;
}

static void expect_greeting(int fd)
{
  char text[16];

  peer_read(&f.loop, fd, text, sizeof text, "hello", NULL);
  ck_assert_str_eq(text, "hello");
  close(fd);
}

/* Stops it as a reload does, and connects meanwhile. Returns how many did. */
static int stopped(struct channel *channel, uint16_t port)
{
  uint64_t deadline = peer_deadline();
  int fds[1000], n = 0;

  f.n_open++;
  channel_stop(&channel, 1000, fixture_counted, &f);
  while (f.n_open > 0 && n < (int)COUNT_OF(fds) && !peer_late(deadline)) {
    fds[n++] = peer_connect(port);
    peer_turn(&f.loop, -1, 0, 1);
  }
  ck_assert_int_eq(f.n_open, 0);
  for (int i = 0; i < n; i++)
    expect_greeting(fds[i]);
  return n;
}

START_TEST(an_address_goes_over_to_the_newer_instance_while_people_connect)
{
  uint16_t port;
  struct channel *older = first(&port), *newer;

  for (int i = 0; i < 20; i++) {
    newer = made(older);
    ck_assert_int_eq(started(newer), PARLEY_OK);
    expect_bound(newer);
    ck_assert_int_gt(stopped(older, port), 0);
    older = newer;
  }
  expect_greeting(peer_connect(port));
  ck_assert_int_gt(channel_instance(older)->n_accepted, 0);
  FIXTURE_CLOSE(&f, channel_stop(&older, 0, fixture_counted, &f));
}
END_TEST

START_TEST(the_newer_instance_may_listen_when_the_older_one_is_gone)
{
  uint16_t port;
  struct channel *older = first(&port), *newer;
  int fd;

  ways.when_started = false;
  newer = made(older);
  ck_assert_int_eq(started(newer), PARLEY_OK);
  FIXTURE_CLOSE(&f, channel_stop(&older, 0, fixture_counted, &f));
  fd = peer_connect(port);
  channel_enter(newer);
  greeter_listen(channel_instance(newer));
  channel_leave(newer, "test");
  expect_bound(newer);
  expect_greeting(fd);
  FIXTURE_CLOSE(&f, channel_stop(&newer, 0, fixture_counted, &f));
}
END_TEST

START_TEST(a_newer_instance_that_fails_leaves_the_older_one_as_it_was)
{
  uint16_t port;
  struct channel *older = first(&port), *newer;

  ways.starts = PARLEY_FAILED;
  newer = made(older);
  ck_assert_int_eq(started(newer), PARLEY_FAILED); /* it listens by now */
  ck_assert_int_gt(stopped(newer, port), 0);
  expect_greeting(peer_connect(port));
  FIXTURE_CLOSE(&f, channel_stop(&older, 0, fixture_counted, &f));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel: listening");
  TCase *tcase = tcase_create("reload");

  tcase_set_timeout(tcase, 60);
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, an_address_goes_over_to_the_newer_instance_while_people_connect);
  tcase_add_test(tcase, the_newer_instance_may_listen_when_the_older_one_is_gone);
  tcase_add_test(tcase, a_newer_instance_that_fails_leaves_the_older_one_as_it_was);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
