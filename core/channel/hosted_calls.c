/* What the plugin asks of its host and only parleyd can do: each call is a frame, its answer comes as another. */
#include "hosted_in.h"
#include "core/base/alloc.h"
#include <stdlib.h>

/* Something asked of parleyd. Keeps the channel (host_calls) until the answer has come. */
struct hosted_call {
  struct handle handle; /* kind 0: not one that the plugin may cancel */
  struct hosted *hosted;
  uint64_t id;
  size_t bytes; /* of its frame */
  bool by_owner, cancelled; /* by_owner: host.c has framed and counted `done` already */
  bool ends_upload;         /* counted in channel->uploads until it is answered, as parleyd counts */
  parley_done *done;
  parley_page_done *page_done;
  parley_http_done *http_done;
  void *arg;
};

static uint64_t wire_id(uint64_t handle_id)
{
  return handle_id & ~HANDLE_ID_BIT;
}

static struct hosted_call *call_new(struct hosted *hosted, void *arg)
{
  struct hosted_call *call = xcalloc(1, sizeof *call);

  call->hosted = hosted;
  call->arg = arg;
  return call;
}

/* Tells the plugin, and frees the call. */
static void call_finish(struct hosted_call *call, const parley_result *result)
{
  struct channel *channel = call->hosted->channel;
  parley_done *done = call->done;
  void *arg = call->arg;
  bool by_owner = call->by_owner;

  channel->uploads -= call->ends_upload;
  free(call);
  if (by_owner) {
    done(result, arg);
    return;
  }
  if (done != NULL) {
    channel_enter(channel);
    done(result, arg);
    channel_leave(channel, "done");
  }
  channel_call_over(channel);
}

struct call_refused {
  struct deferred deferred;
  struct hosted_call *call;
  parley_status status;
  const char *reason;
};

static void call_refused_run(struct channel *channel, struct deferred *deferred)
{
  struct call_refused *refused = container_of(deferred, struct call_refused, deferred);
  struct hosted_call *call = refused->call;
  parley_result result = {.size = sizeof result, .status = refused->status, .retry_ms = 1000,
                          .reason = parley_text_of(refused->reason)};

  (void)channel;
  free(refused);
  if (call->page_done != NULL) {
    call->page_done(PARLEY_REF(parley_page, .status = result.status), call->arg);
    free(call);
    return;
  }
  call_finish(call, &result);
}

static void call_refuse(struct hosted_call *call, parley_status status, const char *reason)
{
  struct call_refused *refused = xcalloc(1, sizeof *refused);

  *refused = (struct call_refused){.deferred = {.run = call_refused_run}, .call = call, .status = status, .reason = reason};
  channel_defer(call->hosted->channel, &refused->deferred);
}

static bool calls_full(const struct hosted *hosted)
{
  return hosted->calls.count >= BORDER_CALLS_MAX || hosted->calls_bytes >= BORDER_CALLS_BYTES_MAX;
}

/* false: too large, and not sent. */
static bool call_post(struct hosted_call *call, enum frame_type type, const struct abi_struct *shape, const void *said)
{
  struct hosted *hosted = call->hosted;
  size_t before = link_waiting(hosted->link);

  if (!hosted_send(hosted, type, call->id, shape, said))
    return false;
  call->bytes = link_waiting(hosted->link) - before;
  hosted->calls_bytes += call->bytes;
  map_put(&hosted->calls, call->id, call);
  return true;
}

/* The one that has been answered; NULL: there is none, or it is answered otherwise. */
static struct hosted_call *call_take(struct hosted *hosted, uint64_t id, enum frame_type type)
{
  struct hosted_call *call = map_get(&hosted->calls, id);
  enum frame_type wanted;

  if (call == NULL)
    return NULL;
  wanted = call->http_done != NULL ? FRAME_RESPONSE : call->page_done != NULL ? FRAME_PAGE : FRAME_RESULT;
  if (wanted != type)
    return NULL;
  hosted->calls_bytes -= call->bytes;
  return map_take(&hosted->calls, id);
}

/* When it cannot be sent, the answer comes from here, on a later turn. */
static void call_send(struct hosted_call *call, enum frame_type type, const struct abi_struct *shape, const void *said)
{
  struct hosted *hosted = call->hosted;

  if (!call->by_owner)
    hosted->channel->host_calls++;
  if (calls_full(hosted)) {
    call_refuse(call, PARLEY_BUSY, "too many calls are open");
    return;
  }
  call->id = ++hosted->channel->last_id;
  if (!call_post(call, type, shape, said))
    call_refuse(call, PARLEY_INVALID, "larger than what one call may carry (inline_max): use ext/media.h");
}

/* --- By way of host.c: reports and the timeline --------------------------------------------------------------------- */

static void owner_report(void *arg, enum frame_type type, const struct abi_struct *shape, const void *said, parley_done *done,
                         void *done_arg)
{
  struct hosted_call *call = call_new(arg, done_arg);

  call->by_owner = true;
  call->done = done;
  call_send(call, type, shape, said);
}

static void owner_inbound(struct channel *channel, const parley_inbound *in, parley_done *done, void *done_arg, void *arg)
{
  (void)channel;
  owner_report(arg, FRAME_INBOUND, &abi_inbound, in, done, done_arg);
}

static void owner_receipt(struct channel *channel, const parley_receipt *receipt, parley_done *done, void *done_arg, void *arg)
{
  (void)channel;
  owner_report(arg, FRAME_RECEIPT, &abi_receipt, receipt, done, done_arg);
}

static void owner_touchpoint(struct channel *channel, const parley_touchpoint *event, parley_done *done, void *done_arg, void *arg)
{
  (void)channel;
  owner_report(arg, FRAME_EVENT, &abi_touchpoint, event, done, done_arg);
}

static void owner_timeline(struct channel *channel, const parley_query *query, parley_page_done *done, void *done_arg, void *arg)
{
  struct hosted_call *call = call_new(arg, done_arg);

  (void)channel;
  call->by_owner = true;
  call->page_done = done;
  call_send(call, FRAME_TIMELINE, &abi_query, query);
}

static void owner_login(struct channel *channel, parley_text key, parley_text peer, parley_done *done, void *done_arg, void *arg)
{
  (void)channel;
  owner_report(arg, FRAME_LOGIN, &abi_frame_words, PARLEY_REF(struct frame_words, .one = key, .two = peer), done, done_arg);
}

static void owner_submit(struct channel *channel, const parley_submission *submission, parley_done *done, void *done_arg, void *arg)
{
  (void)channel;
  owner_report(arg, FRAME_SUBMISSION, &abi_submission, submission, done, done_arg);
}

static void owner_window(struct channel *channel, uint32_t in_flight, void *arg)
{
  (void)channel;
  hosted_send(arg, FRAME_WINDOW, 0, &abi_frame_words, PARLEY_REF(struct frame_words, .number = in_flight));
}

static void say_health(struct hosted *hosted, uint32_t level, parley_text cause, parley_text remedy)
{
  hosted_send(hosted, FRAME_HEALTH, 0, &abi_frame_words,
              PARLEY_REF(struct frame_words, .number = level, .one = cause, .two = remedy));
}

static void owner_roomier(struct channel *channel, bool well, void *arg)
{
  if (well) /* also when its state is as before: an outcome may have paused it over there */
    say_health(arg, hosted_health(channel), channel_cause(channel), channel_remedy(channel));
  hosted_offer_again(arg);
}

static void owner_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg)
{
  uint32_t level = state == CHANNEL_UP ? PARLEY_UP : state == CHANNEL_DEGRADED ? PARLEY_DEGRADED : PARLEY_DOWN;

  (void)channel;
  say_health(arg, level, cause, remedy);
  if (state == CHANNEL_DOWN)
    hosted_give_back(arg);
}

static void owner_progress(struct channel *channel, void *arg)
{
  (void)channel, (void)arg; /* here everything is done at once */
}

const struct channel_owner hosted_owner = {.settled = hosted_settled,
                                           .roomier = owner_roomier,
                                           .window = owner_window,
                                           .inbound = owner_inbound,
                                           .receipt = owner_receipt,
                                           .touchpoint = owner_touchpoint,
                                           .login = owner_login,
                                           .submit = owner_submit,
                                           .timeline = owner_timeline,
                                           .health = owner_health,
                                           .progress = owner_progress};

/* --- Services: state and media -------------------------------------------------------------------------------------- */

/* NULL: the answer is on its way already. */
static struct hosted_call *service_call(const parley_host *host, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct hosted_call *call;

  if (channel->stop_said) {
    channel_done_later(channel, done, arg, PARLEY_CANCELLED, "the channel has stopped");
    return NULL;
  }
  call = call_new(hosted_of(host), arg);
  call->done = done;
  return call;
}

static void hosted_state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  struct hosted_call *call = service_call(host, done, arg);

  if (call != NULL)
    call_send(call, FRAME_STATE_GET, &abi_frame_words, PARLEY_REF(struct frame_words, .one = key));
}

static void hosted_state_put(const parley_host *host, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  struct hosted_call *call = service_call(host, done, arg);

  if (call != NULL)
    call_send(call, FRAME_STATE_PUT, &abi_frame_words, PARLEY_REF(struct frame_words, .one = key, .two = value));
}

static void hosted_media_read(const parley_host *host, parley_text media, uint64_t offset, parley_done *done, void *arg)
{
  struct hosted_call *call = service_call(host, done, arg);

  if (call != NULL)
    call_send(call, FRAME_MEDIA_READ, &abi_frame_words,
                PARLEY_REF(struct frame_words, .one = media, .amount = (int64_t)offset));
}

static void hosted_upload_cancel(struct handle *handle)
{
  struct channel *channel = handle->channel;

  hosted_send(channel->owner.arg, FRAME_CANCEL, wire_id(handle->id), NULL, NULL);
  channel->uploads--;
  handle_drop(handle);
  free(handle);
}

static uint64_t hosted_media_create(const parley_host *host, parley_text type, parley_text name)
{
  struct channel *channel = channel_of(host);
  struct handle *upload = xcalloc(1, sizeof *upload);

  if (channel->stop_said || channel->uploads >= CHANNEL_UPLOADS_MAX ||
      !handle_add(channel, upload, HANDLE_UPLOAD, hosted_upload_cancel)) {
    free(upload);
    return HANDLE_ID_BIT;
  }
  channel->uploads++;
  hosted_send(hosted_of(host), FRAME_MEDIA_CREATE, wire_id(upload->id), &abi_frame_words,
              PARLEY_REF(struct frame_words, .one = type, .two = name));
  return upload->id;
}

static struct handle *hosted_upload_find(const parley_host *host, uint64_t upload)
{
  struct handle *handle = map_get(&channel_of(host)->handles, upload);

  return handle != NULL && handle->kind == HANDLE_UPLOAD ? handle : NULL;
}

static void hosted_media_append(const parley_host *host, uint64_t upload, parley_bytes piece, parley_done *done, void *arg)
{
  struct hosted_call *call;

  if (hosted_upload_find(host, upload) == NULL) {
    media_upload_unknown(channel_of(host), upload, done, arg);
    return;
  }
  call = service_call(host, done, arg);
  if (call != NULL)
    call_send(call, FRAME_MEDIA_APPEND, &abi_frame_words,
                PARLEY_REF(struct frame_words, .amount = (int64_t)wire_id(upload), .two = piece));
}

static void hosted_media_finish(const parley_host *host, uint64_t upload, parley_done *done, void *arg)
{
  struct handle *handle = hosted_upload_find(host, upload);
  struct hosted_call *call;

  if (handle == NULL) {
    media_upload_unknown(channel_of(host), upload, done, arg);
    return;
  }
  handle_drop(handle);
  free(handle);
  call = service_call(host, done, arg);
  if (call == NULL) {
    channel_of(host)->uploads--;
    return;
  }
  call->ends_upload = true;
  call_send(call, FRAME_MEDIA_FINISH, &abi_frame_words, PARLEY_REF(struct frame_words, .amount = (int64_t)wire_id(upload)));
}

static const parley_media hosted_media = {.size = sizeof hosted_media, .read = hosted_media_read, .create = hosted_media_create,
                                          .append = hosted_media_append, .finish = hosted_media_finish};

/* --- Services: HTTP, out and in ------------------------------------------------------------------------------------- */

static void hosted_http_cancel(struct handle *handle)
{
  struct hosted_call *call = container_of(handle, struct hosted_call, handle);

  handle_drop(handle);
  call->cancelled = true;
  hosted_send(call->hosted, FRAME_CANCEL, call->id, NULL, NULL);
}

static void http_finish(struct hosted_call *call, const parley_http_response *response)
{
  struct channel *channel = call->hosted->channel;

  if (!call->cancelled)
    handle_drop(&call->handle);
  channel_enter(channel);
  call->http_done(response, call->arg);
  channel_leave(channel, "http");
  free(call);
  channel_call_over(channel);
}

static uint64_t hosted_http_request(const parley_host *host, const parley_http_request *request, parley_http_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct hosted *hosted = hosted_of(host);
  struct hosted_call *call;

  if (channel->stop_said)
    return http_refuse(channel, done, arg, PARLEY_CANCELLED, "the channel has stopped");
  call = call_new(hosted, arg);
  call->http_done = done;
  if (calls_full(hosted) || !handle_add(channel, &call->handle, HANDLE_HTTP, hosted_http_cancel)) {
    free(call);
    return http_refuse(channel, done, arg, PARLEY_BUSY, "too many requests are open");
  }
  call->id = wire_id(call->handle.id);
  if (!call_post(call, FRAME_HTTP, &abi_http_request, request)) {
    handle_drop(&call->handle);
    free(call);
    return http_refuse(channel, done, arg, PARLEY_INVALID, "body_too_large: larger content than inline_max goes by its media id");
  }
  channel->host_calls++;
  return call->handle.id;
}

static void hosted_answer(const parley_host *host, uint64_t call, const parley_http_answer *answer)
{
  if (!hosted_send(hosted_of(host), FRAME_ANSWER, call, &abi_http_answer, answer))
    hosted_send(hosted_of(host), FRAME_ANSWER, call, &abi_http_answer, PARLEY_REF(parley_http_answer, .code = 500));
}

static const parley_http hosted_http = {.size = sizeof hosted_http, .request = hosted_http_request};
static const parley_http_answers hosted_http_answers = {.size = sizeof hosted_http_answers, .answer = hosted_answer};

const struct channel_services hosted_services = {.state_get = hosted_state_get, .state_put = hosted_state_put, .http = &hosted_http,
                                                 .http_answers = &hosted_http_answers, .stream = &ext_stream,
                                                 .media = &hosted_media};

/* --- Answers -------------------------------------------------------------------------------------------------------- */

void hosted_on_result(struct hosted *hosted, uint64_t id, const parley_result *result)
{
  struct hosted_call *call = call_take(hosted, id, FRAME_RESULT);

  if (call != NULL)
    call_finish(call, result);
}

void hosted_on_page(struct hosted *hosted, uint64_t id, const parley_page *page)
{
  struct hosted_call *call = call_take(hosted, id, FRAME_PAGE);

  if (call == NULL)
    return;
  call->page_done(page, call->arg);
  free(call);
}

void hosted_on_response(struct hosted *hosted, uint64_t id, const parley_http_response *response)
{
  struct hosted_call *call = call_take(hosted, id, FRAME_RESPONSE);

  if (call != NULL)
    http_finish(call, response);
}
