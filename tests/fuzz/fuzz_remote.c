/* Frames as a hostile process sends them, into the channel that it stands for. No crash, at most one kill, no token settled that is not
 * open or twice, no answer to a number that was not asked with. What the host is asked for is answered now, later or never.
 *
 * The first byte tells how far the process is; then u8 type, u8 number, u16 length, body; types from ANSWER_WORD on answer the call of
 * that place among those that wait. Sockets are asked for by names that cannot be used: nothing leaves this machine. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/plugin_in.h"
#include "core/channel/remote_in.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TOKENS = 4, WAITING_MAX = 512, ANSWER_WORD = 200, NUMBERS = 256 };

struct waits { parley_done *done; parley_page_done *page; parley_http_done *http; void *arg; struct handle handle; bool cancelled; };

static struct {
  uv_loop_t loop;
  struct env_fake fake;
  struct log log;
  struct channel *channel;
  struct parley_channel *remote;
  int peer, kills, settled[TOKENS + 1];
  bool asked[NUMBERS], closed;
  struct waits waits[WAITING_MAX];
  size_t n_waits, n_answered;
} f;

static void require(int good)
{
  if (!good)
    abort();
}

/* --- What stands behind the host --------------------------------------------------------------------------------- */

static struct waits *waits_new(void *arg)
{
  struct waits *waits = &f.waits[f.n_waits++ % WAITING_MAX];

  require(f.n_waits - f.n_answered <= BORDER_CALLS_MAX + 1);
  *waits = (struct waits){.arg = arg};
  return waits;
}

static void waits_answer(struct waits *waits)
{
  if (waits->http != NULL) {
    if (!waits->cancelled)
      handle_drop(&waits->handle);
    waits->http(PARLEY_REF(parley_http_response, .code = 200), waits->arg);
  } else if (waits->page != NULL) {
    waits->page(PARLEY_REF(parley_page, .n_events = 0), waits->arg);
  } else {
    waits->done(PARLEY_REF(parley_result, .value = PARLEY_LIT("value")), waits->arg);
  }
}

static void answer_one(void)
{
  if (f.n_answered < f.n_waits)
    waits_answer(&f.waits[f.n_answered++ % WAITING_MAX]);
}

static void on_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  (void)channel, (void)arg;
  require(token >= 1 && token <= TOKENS && f.settled[token]++ == 0);
  require(outcome->result >= PARLEY_OUTCOME_ACCEPTED && outcome->result <= PARLEY_OUTCOME_DIED);
  for (uint32_t i = 0; i < outcome->n_ids; i++)
    require(outcome->ids[i].len <= 512);
}
static void on_roomier(struct channel *channel, bool well, void *arg)
{
  (void)channel, (void)well, (void)arg;
}
static void on_report(struct channel *channel, const void *said, parley_done *done, void *done_arg, void *arg)
{
  (void)channel, (void)said, (void)arg;
  waits_new(done_arg)->done = done;
}
static void on_inbound(struct channel *channel, const parley_inbound *in, parley_done *done, void *done_arg, void *arg)
{
  for (uint32_t i = 0; i < in->n_from; i++)
    require(in->from[i] != NULL && text_utf8_ok(in->from[i]->value));
  for (uint32_t i = 0; i < in->n_parts; i++)
    require(in->parts[i] != NULL && text_utf8_ok(in->parts[i]->text));
  on_report(channel, in, done, done_arg, arg);
}
static void on_receipt(struct channel *channel, const parley_receipt *in, parley_done *done, void *done_arg, void *arg)
{
  on_report(channel, in, done, done_arg, arg);
}
static void on_event(struct channel *channel, const parley_touchpoint *in, parley_done *done, void *done_arg, void *arg)
{
  on_report(channel, in, done, done_arg, arg);
}
static void on_timeline(struct channel *channel, const parley_query *query, parley_page_done *done, void *done_arg, void *arg)
{
  (void)channel, (void)query, (void)arg;
  waits_new(done_arg)->page = done;
}
static void on_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg)
{
  (void)channel, (void)state, (void)arg;
  require(text_utf8_ok(cause) && cause.len <= 1024 && remedy.len <= 1024);
}
static void on_progress(struct channel *channel, void *arg)
{
  (void)channel, (void)arg;
}
static void state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  (void)host, (void)key;
  waits_new(arg)->done = done;
}
static void state_put(const parley_host *host, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  (void)host, (void)key, (void)value;
  waits_new(arg)->done = done;
}
static void http_cancel(struct handle *handle)
{
  handle_drop(handle);
  container_of(handle, struct waits, handle)->cancelled = true;
}
static uint64_t http_request(const parley_host *host, const parley_http_request *request, parley_http_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct waits *waits;

  if (request->timeout_ms == 1) /* refused at once */
    return http_refuse(channel, done, arg, PARLEY_BUSY, "full");
  waits = waits_new(arg);
  waits->http = done;
  require(handle_add(channel, &waits->handle, HANDLE_HTTP, http_cancel));
  return waits->handle.id;
}
static void http_answer_to(const parley_host *host, uint64_t call, const parley_http_answer *answer)
{
  (void)host, (void)call, (void)answer;
}
static void media_read(const parley_host *host, parley_text media, uint64_t offset, parley_done *done, void *arg)
{
  (void)host, (void)media, (void)offset;
  waits_new(arg)->done = done;
}
static void on_end(struct channel *channel)
{
  (void)channel;
}

static const parley_http https = {.size = sizeof https, .request = http_request};
static const parley_http_answers answers = {.size = sizeof answers, .answer = http_answer_to};
static parley_media media; /* uploads are the real ones, which need nothing until they are finished */
static void media_finish(const parley_host *host, uint64_t upload, parley_done *done, void *arg)
{
  host->cancel(host, upload);
  waits_new(arg)->done = done;
}
static struct channel_services services = {.state_get = state_get, .state_put = state_put, .http = &https, .http_answers = &answers,
                                           .stream = &ext_stream, .media = &media, .end = on_end};
static const struct channel_owner owner = {.settled = on_settled, .roomier = on_roomier, .inbound = on_inbound,
                                           .receipt = on_receipt, .touchpoint = on_event, .timeline = on_timeline,
                                           .health = on_health, .progress = on_progress};

/* --- The channel, as if its process ran -------------------------------------------------------------------------------- */

static const parley_capabilities caps = {.size = sizeof caps, .address_kind = "email", .channel_kind = "email"};
static const parley_metric metric = {sizeof metric, PARLEY_COUNTER, "things", "Things", "kind"};
static const parley_metric *const metrics[] = {&metric, NULL};
static const char *const offers_ids[] = {PARLEY_HTTP_IN, PARLEY_MAILBOX, NULL};
static const struct plugin_facts facts = {.size = sizeof facts, .abi_major = 1, .name = "tested", .version = "", .summary = "",
                                          .has = PLUGIN_HAS_SUBMIT | PLUGIN_HAS_STOP, .capabilities = &caps, .metrics = metrics,
                                          .offers_ids = offers_ids};

static void on_line(uint32_t level, parley_text line, void *arg)
{
  (void)level, (void)arg;
  f.kills += text_find_text(line, PARLEY_LIT("event=plugin_killed")) != SIZE_MAX;
}

static void on_broken(const char *why, void *arg)
{
  (void)why, (void)arg;
}
static const struct link_events link_events = {.frame = remote_frame, .broken = on_broken};

static struct plugin *plugin_make(void)
{
  static const parley_extension *offers[3];
  static parley_plugin table;
  struct plugin *plugin = plugin_new("tested", "");

  remote_table(&facts, offers, &table);
  plugin->apart = true;
  plugin->table = &table;
  return plugin;
}

static void remote_make(uint8_t state)
{
  static const struct channel_apart apart = {"/nowhere", UINT64_MAX, 5000};
  struct channel_shared shared = {.loop = &f.loop, .env = &f.fake.env, .log = &f.log, .services = &services, .apart = apart};
  struct plugin *plugin = plugin_make();
  struct parley_channel *remote = xcalloc(1, sizeof *remote);
  int pair[2];

  f.channel = channel_alloc(&shared, &owner, PARLEY_LIT("chan"), plugin, NULL);
  plugin_unref(&plugin);
  f.remote = remote;
  f.channel->instance = remote;
  remote->channel = f.channel;
  remote->host = &f.channel->host;
  remote->sandbox = remote->why = remote->last_death = remote->late_cause = remote->late_remedy = BUF_INIT(1024);
  uv_timer_init(&f.loop, &remote->beat);
  uv_timer_init(&f.loop, &remote->pause);
  remote->beat.data = remote->pause.data = remote;
  remote->handles = 2;
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
  f.peer = pair[1];
  remote->link = link_new(&f.loop, pair[0], BORDER_FAR_BODY_MAX, FRAME_BYTES_MAX, false, &link_events, remote);
  remote->state = (enum remote_state)(REMOTE_CREATING + state % REMOTE_STOPPING);
  remote->begun = remote->state >= REMOTE_STARTING;
  remote->was_up = remote->state >= REMOTE_RUNNING;
  remote->drained = (state & 0x80) != 0;
  f.channel->caps = &caps;
  f.channel->window = TOKENS;
  f.channel->making = remote->state == REMOTE_CREATING ? CHANNEL_GOING : CHANNEL_DONE;
  f.channel->starting = remote->begun ? (remote->was_up ? CHANNEL_DONE : CHANNEL_GOING) : CHANNEL_IDLE;
  f.channel->started = remote->was_up;
  f.channel->state = remote->was_up ? CHANNEL_UP : CHANNEL_NEW;
}

static void on_closed(void *arg)
{
  *(bool *)arg = true;
}

/* Whatever it answered, the process had asked for it. */
static void check_answers(void)
{
  static char bytes[1 << 20];
  ssize_t n = recv(f.peer, bytes, sizeof bytes, 0);

  for (size_t at = 0; n > 0 && at + FRAME_HEAD_BYTES <= (size_t)n;) {
    uint32_t len;
    uint16_t type;
    uint64_t id;

    memcpy(&len, bytes + at, sizeof len);
    memcpy(&type, bytes + at + 4, sizeof type);
    memcpy(&id, bytes + at + 8, sizeof id);
    if (type == FRAME_RESULT || type == FRAME_PAGE || type == FRAME_RESPONSE || type == FRAME_SOCKET)
      require(id > 0 && id < NUMBERS && f.asked[id]);
    else
      require(type == FRAME_SUBMIT || type == FRAME_START);
    at += FRAME_HEAD_BYTES + len;
  }
}

static void remote_end(void)
{
  if (f.remote->link != NULL)
    link_flush(f.remote->link);
  check_answers();
  remote_kill(f.remote, "the end");
  while (f.n_answered < f.n_waits)
    answer_one();
  require(f.kills <= 1);
  require(f.remote->calls.count == 0 && f.remote->uploads.count == 0 && f.remote->sockets.count == 0 && f.remote->asks.count == 0);
  channel_stop(&f.channel, 0, on_closed, &f.closed);
  while (!f.closed) {
    env_fake_step(&f.fake, 10000);
    uv_run(&f.loop, UV_RUN_NOWAIT);
  }
  uv_run(&f.loop, UV_RUN_DEFAULT);
  close(f.peer);
}

/* --- Frames --------------------------------------------------------------------------------------------------------- */

/* Addresses that could be used are not. */
static bool is_harmless(const struct frame *frame)
{
  return (frame->type != FRAME_DIAL && frame->type != FRAME_LISTEN) || text_find(frame->body, ':') == frame->body.len;
}

static size_t feed_one(const uint8_t *data, size_t size)
{
  size_t len = data[2] | (size_t)data[3] << 8;
  struct frame frame = {.type = data[0], .id = data[1]};

  if (len > size - 4)
    len = size - 4;
  frame.body = (parley_bytes){(const char *)data + 4, len};
  if (data[0] >= ANSWER_WORD)
    answer_one();
  else if (f.remote->state != REMOTE_DEAD && is_harmless(&frame)) {
    f.asked[data[1]] = true;
    remote_frame(&frame, f.remote);
  }
  return 4 + len;
}

static void start_once(void)
{
  static bool started;

  if (started)
    return;
  started = true;
  uv_loop_init(&f.loop);
  media = ext_media;
  media.read = media_read;
  media.finish = media_finish;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const parley_message message = {.size = sizeof message, .kind = PARLEY_KIND_CONTENT};

  if (size == 0)
    return 0;
  start_once();
  memset((char *)&f + sizeof f.loop, 0, sizeof f - sizeof f.loop);
  env_fake_init(&f.fake, 1790000000000);
  f.log = (struct log){.fd = -1, .level = PARLEY_DEBUG, .env = &f.fake.env, .say = on_line};
  remote_make(data[0]);
  for (uint64_t token = 1; token <= TOKENS; token++)
    channel_submit(f.channel, token, &message, 1000);
  for (size_t at = 1; at + 4 <= size;)
    at += feed_one(data + at, size - at);
  remote_end();
  return 0;
}
