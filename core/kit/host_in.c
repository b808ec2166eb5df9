/* What comes in: inbound, receipt, event and their done; timeline, durable state, media; provider callbacks. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 30000 /* for an answer, as the host gives */
#define STATE_KEY_BYTES_MAX 128
#define STATE_VALUE_BYTES_MAX 65536
#define MEDIA_BYTES ((uint64_t)3 << 20) /* of each id: three pieces */
#define UPLOAD_BYTES_MAX ((uint64_t)25 << 20)

/* --- Inbound, receipts, touchpoints ------------------------------------------------------------------------------- */

static void item_answer(struct kit_item *item, parley_status status)
{
  const char *id = item->what == 'i' ? "msg_01KAM2Z8Q3XWA" : item->what == 'e' ? "evt_01KAM2Z8Q3XWA" : "";

  list_remove(&item->node);
  kit_done_later(item->host, item->done, item->arg, status, status == PARLEY_OK ? parley_text_of(id) : TEXT_EMPTY, 0);
  free(item);
}

static struct kit_item *item_add(struct kit_host *host, char what, const char *function, parley_done *done, void *arg)
{
  struct kit_item *item = xcalloc(1, sizeof *item);

  kit_on_loop(host, function);
  host->kit->n_items++;
  *item = (struct kit_item){.host = host, .what = what, .done = done, .arg = arg};
  list_push(&host->kit->items, &item->node);
  return item;
}

static void item_said(struct kit_item *item)
{
  struct kit *kit = item->host->kit;

  snprintf(kit->last_key, sizeof kit->last_key, "%s", item->key);
  if (item->host->state >= KIT_STOPPED)
    item_answer(item, PARLEY_CANCELLED);
  else if (!kit->says.held)
    item_answer(item, kit->says.status);
}

static void identities_check(struct kit *kit, const parley_identity *const *all, uint32_t n, const char *whose)
{
  for (uint32_t i = 0; i < n; i++)
    if (all[i]->size < offsetof(parley_identity, name) || all[i]->kind.len == 0 || all[i]->value.len == 0)
      kit_fail(kit, PROMISE_INBOUND, "%s[%u] of an inbound message has no size, kind or value", whose, i);
}

static void inbound_check(struct kit *kit, const parley_inbound *in)
{
  bool asks = (in->flags & PARLEY_ASK) != 0; /* whose it would be: nothing is stored */

  if (in->size < offsetof(parley_inbound, segment))
    kit_fail(kit, PROMISE_INBOUND, "the size of a parley_inbound is %u: not set", in->size);
  if (in->kind < PARLEY_KIND_CONTENT)
    kit_fail(kit, PROMISE_INBOUND, "an inbound message is of kind %u; kinds begin with PARLEY_KIND_CONTENT", in->kind);
  if (in->n_from == 0 && !asks)
    kit_fail(kit, PROMISE_INBOUND, "an inbound message says not who wrote it: n_from is 0");
  identities_check(kit, in->from, in->n_from, "from");
  identities_check(kit, in->to, in->n_to, "to");
  for (uint32_t i = 0; i < in->n_parts; i++)
    if (in->parts[i]->size < offsetof(parley_part, fields) || in->parts[i]->kind == 0)
      kit_fail(kit, PROMISE_INBOUND, "part %u of an inbound message has no size or kind", i);
    else if (in->parts[i]->data.len > KIT_INLINE_MAX)
      kit_fail(kit, PROMISE_INBOUND, "part %u of an inbound message has %zu bytes of data; above inline_max they go by parley.media/1",
               i, in->parts[i]->data.len);
  if (in->kind == PARLEY_KIND_CONTENT && !asks && in->event_id.len == 0 && in->provider_id.len == 0)
    kit_fail(kit, PROMISE_EVENT_ID, "an inbound message has neither event_id nor provider_id: sent again, it is stored again");
}

static void host_inbound(const parley_host *to, const parley_inbound *in, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_item *item = item_add(host, 'i', "inbound", done, arg);

  inbound_check(host->kit, in);
  if ((host->caps->flags & PARLEY_INBOUND) == 0)
    kit_fail(host->kit, PROMISE_RECEIPTS, "it took a message in, and its capabilities have no PARLEY_INBOUND");
  if (in->event_id.len > 0)
    snprintf(item->key, sizeof item->key, "event_id '%.*s'", TEXT_ARG(in->event_id));
  else
    snprintf(item->key, sizeof item->key, "kind %u, provider_id '%.*s'", in->kind, TEXT_ARG(in->provider_id));
  item_said(item);
}

static void host_receipt(const parley_host *to, const parley_receipt *receipt, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_item *item = item_add(host, 'r', "receipt", done, arg);

  if (receipt->size < offsetof(parley_receipt, to))
    kit_fail(host->kit, PROMISE_INBOUND, "the size of a parley_receipt is %u: not set", receipt->size);
  if (receipt->kind < PARLEY_RECEIPT_SENT || receipt->kind > PARLEY_RECEIPT_COMPLAINED)
    kit_fail(host->kit, PROMISE_INBOUND, "a receipt is of kind %u", receipt->kind);
  if (receipt->provider_id.len == 0 && receipt->message_id.len == 0 && !(receipt->up_to == 1 && receipt->to != NULL))
    kit_fail(host->kit, PROMISE_INBOUND, "a receipt names no message: neither provider_id nor message_id");
  if (receipt->kind != PARLEY_RECEIPT_SENT && receipt->kind != PARLEY_RECEIPT_FAILED &&
      (host->caps->receipts & PARLEY_BIT(receipt->kind)) == 0)
    kit_fail(host->kit, PROMISE_RECEIPTS, "it gave a receipt of kind %u, which its capabilities do not have", receipt->kind);
  kit_secret_scan(host->kit, "the detail of a receipt", receipt->detail);
  snprintf(item->key, sizeof item->key, "receipt %u of '%.*s%.*s'", receipt->kind, TEXT_ARG(receipt->provider_id),
           TEXT_ARG(receipt->message_id));
  item_said(item);
}

static void host_event(const parley_host *to, const parley_touchpoint *event, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_item *item = item_add(host, 'e', "event", done, arg);

  if (event->type.len == 0 || event->type.len > 64 || event->who == NULL)
    kit_fail(host->kit, PROMISE_INBOUND, "a touchpoint needs a type of 1 to 64 bytes and a `who`");
  snprintf(item->key, sizeof item->key, "touchpoint '%.*s' '%.*s'", TEXT_ARG(event->type), TEXT_ARG(event->event_id));
  item_said(item);
}

void kit_item_answer_first(struct kit *kit, parley_status status)
{
  if (!list_empty(&kit->items))
    item_answer(LIST_ITEM(kit->items.next, struct kit_item, node), status);
  kit_run(kit);
}

void kit_items_answer(struct kit *kit, parley_status status)
{
  while (!list_empty(&kit->items))
    item_answer(LIST_ITEM(kit->items.next, struct kit_item, node), status);
  kit_run(kit);
}

void kit_items_end(struct kit_host *host)
{
  for (struct list *node = host->kit->items.next, *next; node != &host->kit->items; node = next) {
    next = node->next;
    if (LIST_ITEM(node, struct kit_item, node)->host == host)
      item_answer(LIST_ITEM(node, struct kit_item, node), PARLEY_CANCELLED);
  }
}

/* --- Timeline ----------------------------------------------------------------------------------------------------- */

struct page_event {
  struct kit_event event;
  parley_page_done *done;
  void *arg;
};

static void page_run(struct kit_event *event)
{
  struct page_event *page = container_of(event, struct page_event, event);
  const parley_event entry = {.size = sizeof entry, .inbound = 1, .at_ms = KIT_NOW_MS, .id = PARLEY_LIT("evt_01KAM2Z8Q3XWA"),
                              .type = PARLEY_LIT("message.received"), .channel = PARLEY_LIT("kit")};
  const parley_event *const entries[] = {&entry};
  bool stopped = event->host->state >= KIT_STOPPED;
  const parley_page shown = {.size = sizeof shown, .status = stopped ? PARLEY_CANCELLED : PARLEY_OK,
                             .n_events = stopped ? 0 : 1, .events = entries};

  KIT_CALL(event->host, "done of timeline", page->done(&shown, page->arg));
  free(page);
}

static void host_timeline(const parley_host *to, const parley_query *query, parley_page_done *done, void *arg)
{
  struct page_event *page = xcalloc(1, sizeof *page);

  (void)query;
  kit_on_loop(to->impl, "timeline");
  page->done = done;
  page->arg = arg;
  kit_later(to->impl, &page->event, page_run);
}

/* --- Durable state: one for all instances of a case, as over restarts --------------------------------------------- */

struct state {
  struct list node;
  size_t key_len, value_len;
  char key[STATE_KEY_BYTES_MAX];
  char *value;
};

static struct state *state_find(struct kit *kit, parley_text key)
{
  for (struct list *node = kit->states.next; node != &kit->states; node = node->next) {
    struct state *state = LIST_ITEM(node, struct state, node);

    if (text_eq(key, (parley_text){state->key, state->key_len}))
      return state;
  }
  return NULL;
}

static void state_key_check(struct kit_host *host, const char *function, parley_text key)
{
  kit_on_loop(host, function);
  if (key.len == 0 || key.len > STATE_KEY_BYTES_MAX || !text_utf8_ok(key))
    kit_fail(host->kit, PROMISE_STATE, "%s was given a key of %zu bytes", function, key.len);
}

static void host_state_get(const parley_host *to, parley_text key, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct state *state;

  state_key_check(host, "state_get", key);
  state = state_find(host->kit, key);
  if (host->state >= KIT_STOPPED || host->kit->state_says != PARLEY_OK)
    kit_done_later(host, done, arg, host->state >= KIT_STOPPED ? PARLEY_CANCELLED : host->kit->state_says, TEXT_EMPTY, 0);
  else if (state == NULL)
    kit_done_later(host, done, arg, PARLEY_NOT_FOUND, TEXT_EMPTY, 0);
  else
    kit_done_later(host, done, arg, PARLEY_OK, (parley_text){state->value, state->value_len}, 0);
}

static void state_set(struct kit *kit, parley_text key, parley_bytes value)
{
  struct state *state = state_find(kit, key);

  if (state != NULL) {
    list_remove(&state->node);
    free(state->value);
    free(state);
  }
  if (value.len == 0)
    return; /* removes */
  state = xcalloc(1, sizeof *state);
  memcpy(state->key, key.at, key.len);
  state->key_len = key.len;
  state->value = xmemdup(value.at, value.len);
  state->value_len = value.len;
  list_push(&kit->states, &state->node);
}

static void host_state_put(const parley_host *to, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  parley_status st = host->state >= KIT_STOPPED ? PARLEY_CANCELLED : host->kit->state_says;

  state_key_check(host, "state_put", key);
  if (value.len > STATE_VALUE_BYTES_MAX)
    kit_fail(host->kit, PROMISE_STATE, "state_put was given a value of %zu bytes", value.len);
  if (st == PARLEY_OK)
    state_set(host->kit, key, value);
  kit_done_later(host, done, arg, st, TEXT_EMPTY, 0);
}

void kit_host_in_init(parley_host *host)
{
  host->inbound = host_inbound;
  host->receipt = host_receipt;
  host->event = host_event;
  host->timeline = host_timeline;
  host->state_get = host_state_get;
  host->state_put = host_state_put;
}

/* --- Media: every id holds the same bytes ------------------------------------------------------------------------- */

static void media_read(const parley_host *to, parley_text media, uint64_t offset, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit *kit = host->kit;
  uint64_t left = offset < MEDIA_BYTES ? MEDIA_BYTES - offset : 0;
  size_t len = (size_t)(left < KIT_INLINE_MAX ? left : KIT_INLINE_MAX);

  kit_on_loop(host, "read of parley.media/1");
  if (host->state >= KIT_STOPPED || kit->media_says != PARLEY_OK) {
    kit_done_later(host, done, arg, host->state >= KIT_STOPPED ? PARLEY_CANCELLED : kit->media_says, TEXT_EMPTY, 0);
    return;
  }
  if (!text_starts(media, "med_")) {
    kit_done_later(host, done, arg, PARLEY_NOT_FOUND, TEXT_EMPTY, 0);
    return;
  }
  kit_done_later(host, done, arg, PARLEY_OK, (parley_bytes){arena_alloc(kit->arena, len + 1), len}, 0);
}

static struct kit_upload *upload_by_id(struct kit_host *host, uint64_t id)
{
  for (struct list *node = host->kit->uploads.next; node != &host->kit->uploads; node = node->next) {
    struct kit_upload *upload = LIST_ITEM(node, struct kit_upload, node);

    if (upload->host == host && (id == 0 || upload->id == id))
      return upload;
  }
  return NULL;
}

static void upload_free(struct kit_upload *upload)
{
  list_remove(&upload->node);
  free(upload);
}

static uint64_t media_create(const parley_host *to, parley_text type, parley_text name)
{
  struct kit_host *host = to->impl;
  struct kit_upload *upload = xcalloc(1, sizeof *upload);

  (void)type, (void)name;
  kit_on_loop(host, "create of parley.media/1");
  *upload = (struct kit_upload){.host = host, .id = ++host->kit->last_id};
  list_push(&host->kit->uploads, &upload->node);
  return upload->id;
}

static void media_append(const parley_host *to, uint64_t id, parley_bytes piece, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_upload *upload = upload_by_id(host, id);
  parley_status st = host->state >= KIT_STOPPED ? PARLEY_CANCELLED : host->kit->media_says;

  kit_on_loop(host, "append of parley.media/1");
  if (piece.len > KIT_INLINE_MAX)
    kit_fail(host->kit, PROMISE_MEDIA, "append was given %zu bytes", piece.len);
  if (st == PARLEY_OK && (upload == NULL || upload->bytes + piece.len > UPLOAD_BYTES_MAX))
    st = upload == NULL ? PARLEY_NOT_FOUND : PARLEY_BUSY;
  if (st != PARLEY_OK && upload != NULL)
    upload_free(upload);
  else if (upload != NULL)
    upload->bytes += piece.len;
  kit_done_later(host, done, arg, st, TEXT_EMPTY, 0);
}

static void media_finish(const parley_host *to, uint64_t id, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_upload *upload = upload_by_id(host, id);
  parley_status st = host->state >= KIT_STOPPED ? PARLEY_CANCELLED : upload == NULL ? PARLEY_NOT_FOUND : host->kit->media_says;

  kit_on_loop(host, "finish of parley.media/1");
  if (upload != NULL)
    upload_free(upload);
  kit_done_later(host, done, arg, st, st == PARLEY_OK ? PARLEY_LIT("med_01KAM2Z8Q3XWA") : TEXT_EMPTY, 0);
}

const parley_media kit_media_table = {.size = sizeof kit_media_table, .read = media_read, .create = media_create,
                                      .append = media_append, .finish = media_finish};

/* --- parley.submit/1: one key may, and what is handed in is answered like an inbound message ------------------------ */

static void submit_login(const parley_host *to, parley_text key, parley_text peer, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;

  kit_on_loop(host, "login of parley.submit/1");
  kit_done_later(host, done, arg,
                 host->state >= KIT_STOPPED                  ? PARLEY_CANCELLED
                 : parley_text_is(key, KIT_KEY) && peer.len > 0 ? PARLEY_OK
                                                             : PARLEY_DENIED,
                 TEXT_EMPTY, 0);
}

static void submit_submit(const parley_host *to, const parley_submission *submission, parley_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_item *item = item_add(host, 'i', "submit of parley.submit/1", done, arg);

  if (submission->size < sizeof *submission)
    kit_fail(host->kit, PROMISE_INBOUND, "the size of a parley_submission is %u: not set", submission->size);
  if (submission->json.len > KIT_INLINE_MAX)
    kit_fail(host->kit, PROMISE_INBOUND, "a message of %zu bytes was handed in: larger content is media", submission->json.len);
  snprintf(item->key, sizeof item->key, "handed in '%.*s'", TEXT_ARG(submission->idempotency_key));
  item_said(item);
}

const parley_submit kit_submit_table = {.size = sizeof kit_submit_table, .login = submit_login, .submit = submit_submit};

bool kit_upload_cancel(struct kit_host *host, uint64_t id)
{
  struct kit_upload *upload = upload_by_id(host, id);

  if (upload == NULL)
    return false;
  upload_free(upload);
  return true;
}

void kit_media_end(struct kit_host *host)
{
  while (kit_upload_cancel(host, 0))
    continue;
}

/* --- Callbacks ---------------------------------------------------------------------------------------------------- */

static const parley_http_in *calls_table(const struct kit *kit)
{
  for (const parley_extension *const *offer = kit->plugin->offers; offer != NULL && *offer != NULL; offer++)
    if (strcmp((*offer)->id, PARLEY_HTTP_IN) == 0)
      return (*offer)->table;
  return NULL;
}

bool kit_takes_calls(const struct kit *kit)
{
  return calls_table(kit) != NULL;
}

static struct kit_call *call_by_id(struct kit_host *host, uint64_t id)
{
  for (struct list *node = host->calls.next; node != &host->calls; node = node->next)
    if (LIST_ITEM(node, struct kit_call, node)->id == id)
      return LIST_ITEM(node, struct kit_call, node);
  return NULL;
}

static void answer_give(const parley_host *to, uint64_t id, const parley_http_answer *answer)
{
  struct kit_host *host = to->impl;
  struct kit *kit = host->kit;
  struct kit_call *call = call_by_id(host, id);

  kit_on_loop(host, "answer of parley.http-in/1");
  if (call == NULL)
    kit_fail(kit, PROMISE_CALL, "call %llu was answered, which never came", (unsigned long long)id);
  if (call->code != 0)
    kit_fail(kit, PROMISE_CALL, "call %llu was answered twice: %u, then %u", (unsigned long long)id, call->code, answer->code);
  if (answer->code < 200 || answer->code > 599)
    kit_fail(kit, PROMISE_CALL, "a call was answered with the code %u", answer->code);
  kit_secret_scan(kit, "the answer to a callback", answer->body);
  for (uint32_t i = 0; i < answer->n_headers; i++)
    kit_secret_scan(kit, "a header of the answer to a callback", answer->headers[i].value);
  call->code = answer->code;
  call->retry_ms = answer->retry_ms;
}

const parley_http_answers kit_answers_table = {.size = sizeof kit_answers_table, .answer = answer_give};

/* Path and query of a recorded target: what stands behind /in/<channel>, if it is there. */
static void call_target(struct kit_frame *frame, const struct kit_sample *sample, parley_http_call *to)
{
  parley_text target = sample->target, path = text_cut(&target, '?');

  if (text_starts(path, "/in/")) {
    size_t slash = text_find(text_sub(path, 4, SIZE_MAX), '/');

    path = text_sub(path, 4 + slash, SIZE_MAX);
  }
  to->path = kit_frame_text(frame, path.len > 0 ? path : PARLEY_LIT("/"));
  to->query = kit_frame_text(frame, target);
}

static size_t sample_bytes(const struct kit_sample *sample)
{
  size_t bytes = 4096 + 2 * sample->target.len + sample->body.len + sample->n_headers * (sizeof(parley_pair) + 64);

  for (size_t i = 0; i < sample->n_headers; i++)
    bytes += sample->headers[i].name.len + sample->headers[i].value.len;
  return bytes;
}

static const parley_http_call *call_make(struct kit_frame *frame, const struct kit_sample *sample)
{
  parley_http_call *to = kit_frame_room(frame, sizeof *to);
  parley_pair *headers = kit_frame_room(frame, (sample->n_headers + 1) * sizeof *headers);
  struct buf url = BUF_INIT(0);

  for (size_t i = 0; i < sample->n_headers; i++) {
    headers[i].name = kit_frame_text(frame, sample->headers[i].name);
    headers[i].value = kit_frame_text(frame, sample->headers[i].value);
  }
  *to = (parley_http_call){.size = sizeof *to, .n_headers = (uint32_t)sample->n_headers, .headers = headers};
  to->method = kit_frame_text(frame, sample->method);
  call_target(frame, sample, to);
  buf_printf(&url, "https://parley.example/in/kit%.*s", TEXT_ARG(to->path.len > 1 ? to->path : TEXT_EMPTY));
  if (to->query.len > 0)
    buf_printf(&url, "?%.*s", TEXT_ARG(to->query));
  to->url = kit_frame_text(frame, buf_as_text(&url));
  to->peer = kit_frame_text(frame, PARLEY_LIT("192.0.2.7"));
  to->body = kit_frame_text(frame, sample->body);
  buf_done(&url);
  return to;
}

struct kit_call *kit_callback(struct kit_host *host, const struct kit_sample *sample, bool wait)
{
  struct kit *kit = host->kit;
  struct kit_call *call = xcalloc(1, sizeof *call);
  struct kit_frame frame = kit_frame_new(sample_bytes(sample));
  const parley_http_call *shown = call_make(&frame, sample);

  call->host = host;
  call->id = ++kit->last_id;
  list_push(&host->calls, &call->node);
  KIT_CALL(host, "called", calls_table(kit)->called(host->channel, call->id, shown));
  kit_frame_end(kit, &frame, "the request of a called() that has returned");
  kit_run(kit);
  if (wait)
    kit_call_wait(host, call);
  return call;
}

void kit_call_wait(struct kit_host *host, struct kit_call *call)
{
  struct kit *kit = host->kit;
  int64_t until = kit_mono(kit) + CALL_MS, idle_ms = 0;

  while (call->code == 0 && kit_patient(kit, &idle_ms))
    continue;
  while (call->code == 0 && kit_step_next(kit, until))
    continue;
  if (call->code == 0)
    kit_fail(kit, PROMISE_CALLED, "a callback had no answer after %d s", CALL_MS / 1000);
}
