/* Frames into the plugin's process. Its end trusts parleyd, and stands what it says all the same: no crash, each call of the plugin is
 * answered once and by what it was asked with, each message is settled once, and after STOP it leaves well.
 *
 * The channel is created and started; then u8 type, u8 number, u16 length, body; a type from PLUGIN_WORD on lets the plugin do
 * something instead. At the end whatever is still open is answered, as parleyd does. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/hosted_in.h"
#include "core/channel/plugin_in.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLUGIN_WORD = 200, HELD_MAX = 64, TURNS_MAX = 1000, PIECE_BYTES = 1 << 16 };

static struct {
  uv_loop_t loop;
  struct env_fake fake;
  struct hosted *hosted;
  struct plugin *plugin;
  const parley_host *host;
  int near;
  uint64_t held[HELD_MAX], handles[HELD_MAX], call;
  size_t n_held, n_handles;
  uint32_t asked, answered; /* calls of the plugin */
  bool gone;
} f;

static void require(int good)
{
  if (!good)
    abort();
}

/* --- The plugin --------------------------------------------------------------------------------------------------------- */

static parley_status it_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  (void)options;
  f.host = host;
  *ret = (parley_channel *)&f;
  return PARLEY_OK;
}
static parley_status it_start(parley_channel *self)
{
  (void)self;
  return PARLEY_OK;
}
static parley_status it_take(parley_channel *self, uint64_t token, const parley_message *message)
{
  (void)self;
  if (message != NULL)
    require(text_utf8_ok(message->subject) && (message->n_parts == 0 || message->parts[message->n_parts - 1] != NULL));
  if (f.n_held == HELD_MAX)
    return token % 2 == 0 ? PARLEY_BUSY : PARLEY_FAILED;
  f.held[f.n_held++] = token;
  return PARLEY_OK;
}
static parley_status it_probe(parley_channel *self, uint64_t token)
{
  return it_take(self, token, NULL);
}
static void it_destroy(parley_channel *self)
{
  (void)self;
  require(f.answered == f.asked); /* it has been told all */
}
static void it_called(parley_channel *self, uint64_t call, const parley_http_call *said)
{
  (void)self, (void)said;
  f.call = call;
}
static void it_list(parley_channel *self, const parley_mail_query *query, parley_mail_done *done, void *arg)
{
  (void)self, (void)query;
  done(PARLEY_REF(parley_mail_page, .count = 1), arg);
}
static void it_clear(parley_channel *self)
{
  (void)self;
}

static const parley_http_in http_in = {.size = sizeof http_in, .called = it_called};
static const parley_mailbox mailbox = {.size = sizeof mailbox, .list = it_list, .clear = it_clear};
static const parley_extension offers_list[] = {{sizeof(parley_extension), PARLEY_HTTP_IN, &http_in},
                                               {sizeof(parley_extension), PARLEY_MAILBOX, &mailbox}};
static const parley_extension *const offers[] = {&offers_list[0], &offers_list[1], NULL};
static const parley_capabilities caps = {.size = sizeof caps, .address_kind = "email", .channel_kind = "email"};
static const parley_plugin table = {.size = sizeof table, .abi_major = 1, .name = "tested", .version = "", .summary = "",
                                    .capabilities = &caps, .offers = offers, .create = it_create, .start = it_start,
                                    .submit = it_take, .query = it_take, .probe = it_probe, .destroy = it_destroy};

static void told(const parley_result *result, void *arg)
{
  (void)arg;
  f.answered++;
  require(result->each == NULL || result->count > 0);
  require(text_utf8_ok(result->reason));
}
static void told_page(const parley_page *page, void *arg)
{
  (void)arg;
  f.answered++;
  require(page->n_events == 0 || page->events[page->n_events - 1] != NULL);
}
static void told_response(const parley_http_response *response, void *arg)
{
  (void)arg;
  f.answered++;
  require(text_utf8_ok(response->reason));
}
static void stream_opened(const parley_peer *peer, void *arg)
{
  (void)peer, (void)arg;
}
static size_t stream_data(parley_bytes bytes, void *arg)
{
  (void)arg;
  return bytes.len;
}
static void stream_closed(const parley_result *result, void *arg)
{
  (void)result, (void)arg;
  f.answered++;
}
static const parley_stream_events events = {.size = sizeof events, .opened = stream_opened, .data = stream_data,
                                            .closed = stream_closed};
static void *stream_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  (void)stream, (void)peer, (void)arg;
  return NULL;
}

static void keep_handle(uint64_t id)
{
  f.handles[f.n_handles++ % HELD_MAX] = id;
}

static void plugin_asks(uint8_t what, parley_bytes bytes)
{
  const parley_http *http = f.host->extension(f.host, PARLEY_HTTP);
  const parley_media *media = f.host->extension(f.host, PARLEY_MEDIA);
  const parley_stream *stream = f.host->extension(f.host, PARLEY_STREAM);
  uint64_t handle = f.n_handles > 0 ? f.handles[what % HELD_MAX % f.n_handles] : 0;

  f.asked++;
  switch (what % 8) {
  case 0:
    f.host->state_put(f.host, bytes, bytes, told, NULL);
    break;
  case 1:
    f.host->inbound(f.host, PARLEY_REF(parley_inbound, .subject = bytes), told, NULL);
    break;
  case 2:
    f.host->timeline(f.host, PARLEY_REF(parley_query, .cursor = bytes), told_page, NULL);
    break;
  case 3:
    keep_handle(http->request(f.host, PARLEY_REF(parley_http_request, .body = bytes), told_response, NULL));
    break;
  case 4:
    media->append(f.host, handle, bytes, told, NULL);
    break;
  case 5:
    media->finish(f.host, handle, told, NULL);
    break;
  case 6:
    keep_handle(stream->listen(f.host, PARLEY_REF(parley_endpoint, .address = PARLEY_LIT("127.0.0.1:0")), &events, stream_accepted,
                               told, NULL));
    break;
  default:
    keep_handle(stream->connect(f.host, PARLEY_REF(parley_endpoint, .address = PARLEY_LIT("127.0.0.1:9")), &events, NULL));
  }
}

static void plugin_does(uint8_t what, uint8_t number, parley_bytes bytes)
{
  const parley_http_answers *answers = f.host->extension(f.host, PARLEY_HTTP_IN);
  const parley_media *media = f.host->extension(f.host, PARLEY_MEDIA);

  channel_enter(f.hosted->channel);
  if (what % 6 == 0 && f.n_held > 0)
    f.host->settle(f.host, f.held[--f.n_held], PARLEY_REF(parley_outcome, .result = number, .code = bytes));
  else if (what % 6 == 1 && f.n_handles > 0)
    f.host->cancel(f.host, f.handles[number % HELD_MAX % f.n_handles]);
  else if (what % 6 == 2)
    f.host->health(f.host, number % 4, bytes, bytes);
  else if (what % 6 == 3)
    answers->answer(f.host, f.call, PARLEY_REF(parley_http_answer, .code = number, .body = bytes));
  else if (what % 6 == 4)
    keep_handle(media->create(f.host, bytes, bytes));
  else
    plugin_asks(number, bytes);
  channel_leave(f.hosted->channel, "fuzz");
}

/* --- parleyd ------------------------------------------------------------------------------------------------------------ */

static void turn(void)
{
  env_fake_step(&f.fake, 20);
  uv_run(&f.loop, UV_RUN_NOWAIT);
}

static void say(uint16_t type, uint64_t id, const void *body, uint32_t len)
{
  static char frame[FRAME_HEAD_BYTES + PIECE_BYTES];

  memset(frame, 0, FRAME_HEAD_BYTES);
  memcpy(frame, &len, sizeof len);
  memcpy(frame + 4, &type, sizeof type);
  memcpy(frame + 8, &id, sizeof id);
  memcpy(frame + FRAME_HEAD_BYTES, len > 0 ? body : "", len);
  if (send(f.near, frame, FRAME_HEAD_BYTES + len, MSG_NOSIGNAL) < 0)
    require(f.gone);
  turn();
}

static void say_struct(uint16_t type, uint64_t id, const struct abi_struct *shape, const void *said)
{
  struct buf bytes = BUF_INIT(PIECE_BYTES);

  wire_put(&bytes, shape, said);
  say(type, id, bytes.at, (uint32_t)bytes.len);
  buf_done(&bytes);
}

static void answer(uint16_t type, uint64_t id)
{
  switch (type) {
  case FRAME_TIMELINE:
    say_struct(FRAME_PAGE, id, &abi_page, PARLEY_REF(parley_page, .status = PARLEY_CANCELLED));
    break;
  case FRAME_HTTP:
    say_struct(FRAME_RESPONSE, id, &abi_http_response, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED));
    break;
  case FRAME_DIAL:
  case FRAME_LISTEN:
    say_struct(FRAME_SOCKET, id, &abi_frame_words, PARLEY_REF(struct frame_words, .number = (uint32_t)PARLEY_CANCELLED));
    break;
  case FRAME_INBOUND:
  case FRAME_STATE_PUT:
  case FRAME_MEDIA_APPEND:
  case FRAME_MEDIA_FINISH:
    say_struct(FRAME_RESULT, id, &abi_result, PARLEY_REF(parley_result, .status = PARLEY_CANCELLED));
    break;
  default:
    break;
  }
}

static char heard[8 << 20];
static size_t n_heard;

static void hear(void)
{
  ssize_t n;

  while ((n = recv(f.near, heard + n_heard, sizeof heard - n_heard, 0)) > 0) {
    n_heard += (size_t)n;
    turn();
  }
}

/* All that was asked is answered, what was answered before without effect. */
static void answer_all(void)
{
  hear();
  for (size_t at = 0; at + FRAME_HEAD_BYTES <= n_heard;) {
    uint32_t len;
    uint16_t type;
    uint64_t id;

    memcpy(&len, heard + at, sizeof len);
    memcpy(&type, heard + at + 4, sizeof type);
    memcpy(&id, heard + at + 8, sizeof id);
    require(type >= FRAME_FACTS && type < FRAME_TYPES && len <= BORDER_FAR_BODY_MAX);
    answer(type, id);
    at += FRAME_HEAD_BYTES + len;
  }
  n_heard = 0;
}

/* --- One input ---------------------------------------------------------------------------------------------------------- */

static void on_gone(void *arg)
{
  (void)arg;
  f.gone = true;
}

static void begin(void)
{
  int pair[2];

  memset(&f, 0, sizeof f);
  n_heard = 0;
  uv_loop_init(&f.loop);
  env_fake_init(&f.fake, 1790000000000);
  f.plugin = plugin_new("tested", "");
  f.plugin->table = &table;
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
  f.near = pair[0];
  f.hosted = hosted_new(&f.loop, &f.fake.env, pair[1], f.plugin, TEXT_EMPTY, on_gone, NULL);
  say_struct(FRAME_CREATE, 0, &abi_frame_words, PARLEY_REF(struct frame_words, .one = PARLEY_LIT("chan"), .amount = 1));
  say(FRAME_START, 0, NULL, 0);
}

static void end(void)
{
  say(FRAME_STOP, 0, NULL, 0);
  for (int turns = 0; !f.gone; turns++) {
    require(turns < TURNS_MAX);
    struct channel *channel;

    answer_all();
    channel = f.hosted->channel;
    if (channel != NULL && !channel->destroyed)
      channel->sweep.timer_cb(&channel->sweep); /* what would come in 10 ms */
    turn();
  }
  require(hosted_left_well(f.hosted) && f.hosted->messages.count == 0 && f.hosted->calls.count == 0 && f.hosted->sockets.count == 0);
  close(f.near);
  hosted_free(&f.hosted);
  plugin_unref(&f.plugin);
  require(uv_loop_close(&f.loop) == 0);
}

static size_t feed_one(const uint8_t *data, size_t size)
{
  size_t len = data[2] | (size_t)data[3] << 8;

  if (len > size - 4)
    len = size - 4;
  if (data[0] < PLUGIN_WORD)
    say(data[0], data[1], data + 4, (uint32_t)len);
  else if (f.hosted->channel != NULL && !f.hosted->channel->destroyed)
    plugin_does(data[0], data[1], (parley_bytes){(const char *)data + 4, len});
  hear();
  return 4 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  begin();
  for (size_t at = 0; at + 4 <= size;)
    at += feed_one(data + at, size - at);
  end();
  return 0;
}
