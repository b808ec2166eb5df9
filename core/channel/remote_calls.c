/* What a plugin's process says: one row a frame, decoded and carried out against the channel's own host, as if the plugin had
 * called it here. */
#include "remote_in.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

/* --- Calls that wait for our answer ------------------------------------------------------------------------------------------ */

/* NULL: the process was killed for it. */
static struct remote_call *call_open(struct parley_channel *remote, uint64_t id)
{
  struct remote_call *call;

  if (id == 0 || map_get(&remote->calls, id) != NULL || remote->calls.count >= BORDER_CALLS_MAX ||
      remote->calls_bytes >= BORDER_CALLS_BYTES_MAX) {
    remote_kill(remote, "its process used the number of an open call, or opened too many");
    return NULL;
  }
  call = xcalloc(1, sizeof *call);
  call->remote = remote;
  call->id = id;
  call->generation = remote->generation;
  call->bytes = remote->frame_bytes;
  remote->calls_bytes += call->bytes;
  map_put(&remote->calls, id, call);
  return call;
}

/* The link to answer on; NULL: whoever asked has gone. Frees the call. */
static struct link *call_close(struct remote_call *call, uint64_t *ret_id)
{
  struct parley_channel *remote = call->remote;
  bool same = call->generation == remote->generation;
  uint64_t upload = call->upload;

  *ret_id = call->id;
  if (same) {
    map_take(&remote->calls, call->id);
    remote->calls_bytes -= call->bytes;
  }
  free(call);
  if (same && upload != 0)
    free(map_take(&remote->uploads, upload));
  return same ? remote->link : NULL;
}

/* Each call gets its one answer: `instead`, when the whole is more than a frame may carry, or than may wait right now. */
static void call_answer(struct remote_call *call, enum frame_type type, const struct abi_struct *shape, const void *said,
                        const void *instead)
{
  uint64_t id;
  struct link *link = call_close(call, &id);

  if (link != NULL && !link_try(link, (uint16_t)type, id, shape, said))
    link_send(link, (uint16_t)type, id, shape, instead);
}

#define TOO_LARGE PARLEY_LIT("the answer is larger than what a plugin's process is sent at once")

static void call_on_result(const parley_result *result, void *arg)
{
  call_answer(arg, FRAME_RESULT, &abi_result, result, PARLEY_REF(parley_result, .status = PARLEY_FAILED, .reason = TOO_LARGE));
}

static void call_on_page(const parley_page *page, void *arg)
{
  call_answer(arg, FRAME_PAGE, &abi_page, page, PARLEY_REF(parley_page, .status = PARLEY_INVALID)); /* fewer have to be asked for */
}

static void call_on_response(const parley_http_response *response, void *arg)
{
  call_answer(arg, FRAME_RESPONSE, &abi_http_response, response,
              PARLEY_REF(parley_http_response, .status = PARLEY_FAILED, .code = response->code, .sent = response->sent,
                         .reason = TOO_LARGE));
}

struct remote_upload {
  uint64_t near_id;
};

void remote_calls_drop(struct parley_channel *remote)
{
  const parley_host *host = remote->host;
  uint64_t id;
  void *value;

  remote->calls_bytes = 0;
  for (size_t pos = 0; map_next(&remote->calls, &pos, &id, &value); pos = 0) {
    struct remote_call *call = map_take(&remote->calls, id); /* freed by its completion */

    call->generation = remote->generation - 1;
    call->upload = 0;
    if (call->handle != 0 && host != NULL)
      host->cancel(host, call->handle);
  }
  for (size_t pos = 0; map_next(&remote->uploads, &pos, &id, &value); pos = 0) {
    struct remote_upload *upload = map_take(&remote->uploads, id);

    if (host != NULL)
      host->cancel(host, upload->near_id);
    free(upload);
  }
  for (size_t pos = 0; map_next(&remote->asks, &pos, &id, &value); pos = 0)
    remote_mail_page(remote, id, PARLEY_REF(parley_mail_page, .mails = NULL));
}

/* --- Carrying out ------------------------------------------------------------------------------------------------------------- */

typedef void frame_run(struct parley_channel *remote, uint64_t id, const void *said);

static const struct channel_services *services_of(const struct parley_channel *remote)
{
  return remote->channel->shared.services;
}

static void run_created(struct parley_channel *remote, uint64_t id, const void *said)
{
  (void)id;
  remote_created(remote, said);
}

static void run_started(struct parley_channel *remote, uint64_t id, const void *said)
{
  (void)id;
  remote_started(remote, said);
}

static void run_refused(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  char why[256];

  (void)id;
  snprintf(why, sizeof why, "%.*s", TEXT_ARG(text_sub(words->one, 0, sizeof why - 1)));
  remote_kill(remote, why);
}

static void run_stopped(struct parley_channel *remote, uint64_t id, const void *said)
{
  (void)id, (void)said;
  if (remote->drained || remote->state == REMOTE_STOPPING)
    remote_stopped(remote);
  else
    remote_strike(remote, "stopped_unasked");
}

static void run_pong(struct parley_channel *remote, uint64_t id, const void *said)
{
  (void)id, (void)said;
  remote->unanswered = 0;
}

static void run_settle(struct parley_channel *remote, uint64_t id, const void *said)
{
  if (map_get(&remote->channel->tokens, id) != NULL)
    remote->host->settle(remote->host, id, said);
  else
    remote_strike(remote, "settled_twice_or_late");
}

/* Each change makes work upstairs, and health a line of the log: what is said too often is kept until the heartbeat. */
static void run_window(struct parley_channel *remote, uint64_t id, const void *said)
{
  uint32_t window = ((const struct frame_words *)said)->number;

  (void)id;
  window = window < CHANNEL_WINDOW_MAX ? window : CHANNEL_WINDOW_MAX;
  remote->window_is_late = ++remote->second.windows > BORDER_WINDOWS_PER_S;
  if (remote->window_is_late)
    remote->late_window = window;
  else
    remote->host->window(remote->host, window);
}

static void run_health(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;

  (void)id;
  if (++remote->second.healths <= BORDER_HEALTHS_PER_S) {
    remote->host->health(remote->host, words->number, words->one, words->two);
    return;
  }
  remote->late_health = words->number;
  buf_clear(&remote->late_cause);
  buf_clear(&remote->late_remedy);
  buf_text(&remote->late_cause, text_sub(words->one, 0, 200));
  buf_text(&remote->late_remedy, text_sub(words->two, 0, 200));
}

void remote_late(struct parley_channel *remote)
{
  if (remote->state == REMOTE_DEAD)
    return;
  if (remote->late_health != 0)
    remote->host->health(remote->host, remote->late_health, buf_as_text(&remote->late_cause), buf_as_text(&remote->late_remedy));
  if (remote->window_is_late)
    remote->host->window(remote->host, remote->late_window);
}

bool remote_line_allowed(struct parley_channel *remote)
{
  if (++remote->second.lines <= BORDER_LINES_PER_S)
    return true;
  if (remote->dropped_lines++ % BORDER_LINES_PER_S == 0)
    log_line(remote->channel->shared.log, PARLEY_WARN, "event=lines_dropped channel=%s per_s=%d dropped=%llu", remote->channel->name,
             BORDER_LINES_PER_S, (unsigned long long)remote->dropped_lines);
  return false;
}

static void run_log(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;

  (void)id;
  if (words->number >= PARLEY_DEBUG && words->number <= PARLEY_ERROR && remote_line_allowed(remote))
    remote->host->log(remote->host, words->number, words->one);
}

static void run_metric(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  char name[128];

  (void)id;
  if (words->one.len == 0 || words->one.len >= sizeof name || words->amount < 0)
    return;
  memcpy(name, words->one.at, words->one.len);
  name[words->one.len] = '\0';
  channel_metric_add(remote->channel, name, words->two, words->value, (uint64_t)words->amount);
}

static void run_misbehaved(struct parley_channel *remote, uint64_t id, const void *said)
{
  (void)id;
  remote->channel->counters.misbehaved += ((const struct frame_words *)said)->number;
}

static void run_inbound(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    remote->host->inbound(remote->host, said, call_on_result, call);
}

static void run_receipt(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    remote->host->receipt(remote->host, said, call_on_result, call);
}

static void run_event(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    remote->host->event(remote->host, said, call_on_result, call);
}

static void run_timeline(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    remote->host->timeline(remote->host, said, call_on_page, call);
}

static void run_state_get(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    remote->host->state_get(remote->host, ((const struct frame_words *)said)->one, call_on_result, call);
}

static void run_state_put(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    remote->host->state_put(remote->host, words->one, words->two, call_on_result, call);
}

static void run_http(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);
  uint32_t generation = remote->generation;
  uint64_t handle;

  if (call == NULL)
    return;
  handle = services_of(remote)->http->request(remote->host, said, call_on_response, call);
  if (remote->generation == generation && map_get(&remote->calls, id) == call)
    call->handle = handle; /* else it was answered at once */
}

static void run_answer(struct parley_channel *remote, uint64_t id, const void *said)
{
  services_of(remote)->http_answers->answer(remote->host, id, said);
}

static void run_cancel(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = map_get(&remote->calls, id);
  struct remote_upload *upload = map_get(&remote->uploads, id);

  (void)said;
  if (call != NULL && call->handle != 0) {
    remote->host->cancel(remote->host, call->handle);
  } else if (upload != NULL) {
    remote->host->cancel(remote->host, upload->near_id);
    free(map_take(&remote->uploads, id));
  } else {
    remote_socket_cancel(remote, id); /* what is over is no error */
  }
}

/* --- What is handed in ------------------------------------------------------------------------------------------------- */

static void run_login(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    ext_submit.login(remote->host, words->one, words->two, call_on_result, call);
}

static void run_submission(struct parley_channel *remote, uint64_t id, const void *said)
{
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    ext_submit.submit(remote->host, said, call_on_result, call);
}

/* --- Media ---------------------------------------------------------------------------------------------------------- */

static void run_media_read(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    services_of(remote)->media->read(remote->host, words->one, (uint64_t)words->amount, call_on_result, call);
}

static void run_media_create(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  struct remote_upload *upload;

  if (id == 0 || map_get(&remote->uploads, id) != NULL || remote->uploads.count >= REMOTE_UPLOADS_MAX) {
    remote_kill(remote, "its process used the number of an open upload, or opened too many");
    return;
  }
  upload = xcalloc(1, sizeof *upload);
  upload->near_id = services_of(remote)->media->create(remote->host, words->one, words->two);
  map_put(&remote->uploads, id, upload);
}

static uint64_t upload_near(struct parley_channel *remote, const struct frame_words *words)
{
  struct remote_upload *upload = words->amount > 0 ? map_get(&remote->uploads, (uint64_t)words->amount) : NULL;

  return upload != NULL ? upload->near_id : 0;
}

static void run_media_append(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  struct remote_call *call = call_open(remote, id);

  if (call != NULL)
    services_of(remote)->media->append(remote->host, upload_near(remote, words), words->two, call_on_result, call);
}

static void run_media_finish(struct parley_channel *remote, uint64_t id, const void *said)
{
  const struct frame_words *words = said;
  struct remote_call *call = call_open(remote, id);

  if (call == NULL)
    return;
  call->upload = words->amount > 0 ? (uint64_t)words->amount : 0;
  services_of(remote)->media->finish(remote->host, upload_near(remote, words), call_on_result, call);
}

static void run_dial(struct parley_channel *remote, uint64_t id, const void *said)
{
  remote_dial(remote, id, said);
}

static void run_listen(struct parley_channel *remote, uint64_t id, const void *said)
{
  remote_listen(remote, id, said);
}

static void run_mail_page(struct parley_channel *remote, uint64_t id, const void *said)
{
  remote_mail_page(remote, id, said);
}

/* --- The table ------------------------------------------------------------------------------------------------------ */

enum frame_when { FRAME_ALWAYS = 1, FRAME_WHEN_CREATED }; /* before create() has returned, a plugin has nothing to ask */

static const struct frame_row {
  const struct abi_struct *shape;
  frame_run *run;
  enum frame_when when;
} rows[FRAME_TYPES] = {
    [FRAME_REFUSED] = {&abi_frame_words, run_refused, FRAME_ALWAYS},
    [FRAME_CREATED] = {&abi_frame_words, run_created, FRAME_ALWAYS},
    [FRAME_STARTED] = {&abi_frame_words, run_started, FRAME_ALWAYS},
    [FRAME_STOPPED] = {NULL, run_stopped, FRAME_ALWAYS},
    [FRAME_PONG] = {NULL, run_pong, FRAME_ALWAYS},
    [FRAME_SETTLE] = {&abi_outcome, run_settle, FRAME_WHEN_CREATED},
    [FRAME_WINDOW] = {&abi_frame_words, run_window, FRAME_WHEN_CREATED},
    [FRAME_HEALTH] = {&abi_frame_words, run_health, FRAME_WHEN_CREATED},
    [FRAME_LOG] = {&abi_frame_words, run_log, FRAME_ALWAYS},
    [FRAME_METRIC] = {&abi_frame_words, run_metric, FRAME_ALWAYS},
    [FRAME_MISBEHAVED] = {&abi_frame_words, run_misbehaved, FRAME_ALWAYS},
    [FRAME_INBOUND] = {&abi_inbound, run_inbound, FRAME_WHEN_CREATED},
    [FRAME_RECEIPT] = {&abi_receipt, run_receipt, FRAME_WHEN_CREATED},
    [FRAME_EVENT] = {&abi_touchpoint, run_event, FRAME_WHEN_CREATED},
    [FRAME_TIMELINE] = {&abi_query, run_timeline, FRAME_WHEN_CREATED},
    [FRAME_STATE_GET] = {&abi_frame_words, run_state_get, FRAME_ALWAYS},
    [FRAME_STATE_PUT] = {&abi_frame_words, run_state_put, FRAME_ALWAYS},
    [FRAME_HTTP] = {&abi_http_request, run_http, FRAME_ALWAYS},
    [FRAME_ANSWER] = {&abi_http_answer, run_answer, FRAME_WHEN_CREATED},
    [FRAME_CANCEL] = {NULL, run_cancel, FRAME_ALWAYS},
    [FRAME_MEDIA_READ] = {&abi_frame_words, run_media_read, FRAME_ALWAYS},
    [FRAME_MEDIA_CREATE] = {&abi_frame_words, run_media_create, FRAME_ALWAYS},
    [FRAME_MEDIA_APPEND] = {&abi_frame_words, run_media_append, FRAME_ALWAYS},
    [FRAME_MEDIA_FINISH] = {&abi_frame_words, run_media_finish, FRAME_ALWAYS},
    [FRAME_DIAL] = {&abi_frame_words, run_dial, FRAME_ALWAYS},
    [FRAME_LISTEN] = {&abi_frame_words, run_listen, FRAME_ALWAYS},
    [FRAME_MAIL_PAGE] = {&abi_mail_page, run_mail_page, FRAME_WHEN_CREATED},
    [FRAME_LOGIN] = {&abi_frame_words, run_login, FRAME_WHEN_CREATED},
    [FRAME_SUBMISSION] = {&abi_submission, run_submission, FRAME_WHEN_CREATED},
};

static void frame_carry_out(struct parley_channel *remote, const struct frame *frame, const struct frame_row *row)
{
  struct arena *arena;
  struct wire_in in;
  const void *said;

  if (row->shape == NULL) {
    row->run(remote, frame->id, NULL);
    return;
  }
  arena = arena_new();
  in = (struct wire_in){.at = frame->body.at, .left = frame->body.len, .arena = arena};
  said = wire_get(&in, row->shape);
  if (said == NULL || in.left > 0)
    remote_kill(remote, "its process sent a frame that cannot be read");
  else
    row->run(remote, frame->id, said);
  arena_free(&arena);
}

void remote_frame(const struct frame *frame, void *arg)
{
  struct parley_channel *remote = arg;
  const struct frame_row *row = frame->type < FRAME_TYPES ? &rows[frame->type] : NULL;

  if (remote->stopped || remote->channel->stop_said)
    return; /* what it asks now would keep the channel from going */
  remote->frame_bytes = FRAME_HEAD_BYTES + frame->body.len;
  if (++remote->second.frames > BORDER_FRAMES_PER_S)
    remote_kill(remote, "its process sends too many frames a second");
  else if (row == NULL || row->run == NULL)
    remote_kill(remote, "its process sent a frame of an unknown type");
  else if (row->when == FRAME_WHEN_CREATED && remote->state == REMOTE_CREATING)
    remote_kill(remote, "its process acted before it was made");
  else
    frame_carry_out(remote, frame, row);
}
