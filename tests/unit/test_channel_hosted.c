/* The far side of the process border, with parleyd played by the test at the other end of the link. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/hosted_in.h"
#include "core/channel/plugin_in.h"
#include "net_peer.h"

enum { UPLOADS = 100 };

static struct {
  uv_loop_t loop;
  struct env_fake fake;
  struct plugin *plugin;
  struct hosted *hosted;
  struct link *near;
  bool gone;
  int heard[FRAME_TYPES], starts, by_status[32];
} t;

/* --- The plugin ---------------------------------------------------------------------------------------------------------- */

struct parley_channel {
  const parley_host *host;
};

static parley_status plugin_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  (void)options;
  *ret = xcalloc(1, sizeof **ret);
  (*ret)->host = host;
  return PARLEY_OK;
}

static void on_uploaded(const parley_result *result, void *arg)
{
  (void)arg;
  t.by_status[-result->status]++;
}

/* Many uploads at once, none of them waited for. */
static parley_status plugin_start(parley_channel *channel)
{
  const parley_media *media = channel->host->extension(channel->host, PARLEY_MEDIA);

  t.starts++;
  for (int i = 0; i < UPLOADS; i++)
    media->finish(channel->host, media->create(channel->host, PARLEY_LIT("image/png"), PARLEY_LIT("a.png")), on_uploaded, NULL);
  return PARLEY_OK;
}

static void plugin_destroy(parley_channel *channel)
{
  free(channel);
}

static const parley_capabilities capabilities = {.size = sizeof capabilities, .address_kind = "none", .channel_kind = "webhook"};
static const parley_plugin table = {.size = sizeof table,
                                    .abi_major = PARLEY_ABI_MAJOR,
                                    .name = "one",
                                    .capabilities = &capabilities,
                                    .create = plugin_create,
                                    .start = plugin_start,
                                    .destroy = plugin_destroy};

/* --- parleyd ------------------------------------------------------------------------------------------------------------- */

static void near_on_frame(const struct frame *frame, void *arg)
{
  (void)arg;
  t.heard[frame->type]++;
  if (frame->type == FRAME_MEDIA_FINISH)
    link_send(t.near, FRAME_RESULT, frame->id, &abi_result, PARLEY_REF(parley_result, .status = PARLEY_OK));
}

static void near_on_broken(const char *why, void *arg)
{
  (void)why, (void)arg;
}

static void on_gone(void *arg)
{
  (void)arg;
  t.gone = true;
}

static void say(enum frame_type type)
{
  bool words = type == FRAME_CREATE || type == FRAME_DRAIN;

  link_send(t.near, (uint16_t)type, 0, words ? &abi_frame_words : NULL, PARLEY_REF(struct frame_words, .one = PARLEY_LIT("one")));
}

static void wait_heard(enum frame_type type, int count)
{
  for (uint64_t deadline = peer_deadline(); t.heard[type] < count && !peer_late(deadline);)
    peer_turn(&t.loop, -1, 0, 20);
  ck_assert_int_eq(t.heard[type], count);
}

static void setup(void)
{
  static const struct link_events events = {.frame = near_on_frame, .broken = near_on_broken};
  int pair[2];

  memset(&t, 0, sizeof t);
  uv_loop_init(&t.loop);
  env_fake_init(&t.fake, 1000);
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
  t.plugin = plugin_new("one", "");
  t.plugin->table = &table;
  t.near = link_new(&t.loop, pair[0], BORDER_FAR_BODY_MAX, FRAME_BYTES_MAX, false, &events, NULL);
  t.hosted = hosted_new(&t.loop, &t.fake.env, pair[1], t.plugin, TEXT_EMPTY, on_gone, NULL);
}

static void teardown(void)
{
  if (!t.hosted->draining)
    say(FRAME_DRAIN);
  say(FRAME_STOP);
  wait_heard(FRAME_STOPPED, 1);
  ck_assert(t.gone && hosted_left_well(t.hosted));
  link_close(&t.near);
  hosted_free(&t.hosted);
  plugin_unref(&t.plugin);
  ck_assert_int_eq(uv_loop_close(&t.loop), 0);
}

START_TEST(uploads_have_the_bound_that_they_have_inside_of_parleyd)
{
  say(FRAME_CREATE);
  say(FRAME_START);
  wait_heard(FRAME_STARTED, 1);
  for (uint64_t deadline = peer_deadline(); t.by_status[0] < CHANNEL_UPLOADS_MAX && !peer_late(deadline);)
    peer_turn(&t.loop, -1, 0, 20);
  ck_assert_int_eq(t.heard[FRAME_MEDIA_CREATE], CHANNEL_UPLOADS_MAX);
  ck_assert_int_eq(t.by_status[0], CHANNEL_UPLOADS_MAX);
  ck_assert_int_eq(t.by_status[-PARLEY_BUSY], UPLOADS - CHANNEL_UPLOADS_MAX);
  ck_assert_uint_eq(t.hosted->channel->uploads, 0);
}
END_TEST

START_TEST(a_channel_that_leaves_is_not_started)
{
  say(FRAME_CREATE);
  say(FRAME_DRAIN);
  say(FRAME_START);
  wait_heard(FRAME_STOPPED, 1);
  ck_assert_int_eq(t.starts, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel: hosted");
  TCase *cases = tcase_create("hosted");

  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, uploads_have_the_bound_that_they_have_inside_of_parleyd);
  tcase_add_test(cases, a_channel_that_leaves_is_not_started);
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
