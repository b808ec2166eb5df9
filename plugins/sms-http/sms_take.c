/* Callbacks in: verified, read, handed to the host, and answered once all that is in them is committed. */
#include "sms_http.h"
#include <stdio.h>
#include <stdlib.h>

struct call { /* one callback */
  parley_channel *ch;
  uint64_t id;
  struct copy *memory; /* of taken and all in it */
  struct sms_taken *taken;
  uint32_t next, open; /* items: the next to be handed over; at the host, or with files under way */
  uint32_t retry_ms;
  bool again, rejected;
};
struct fetch { /* one file of one item */
  struct call *call;
  struct sms_item *item;
  parley_part *part;
  uint32_t redirects;
};

static void call_pump(struct call *call);

/* --- Answers ------------------------------------------------------------------------------------------------------ */
static void answer_problem(parley_channel *ch, uint64_t call, uint32_t code, const char *word, const char *detail)
{
  static const parley_pair allow = {PARLEY_LIT("allow"), PARLEY_LIT("POST, GET")};
  static const parley_pair scheme = {PARLEY_LIT("www-authenticate"), PARLEY_LIT("Basic realm=\"callbacks\"")};
  const parley_pair *header = code == 405 ? &allow : code == 401 ? &scheme : NULL;
  char body[256];
  int len = snprintf(body, sizeof body, "{\"type\":\"about:blank\",\"status\":%u,\"code\":\"%s\",\"detail\":\"%s\"}", (unsigned)code,
                     word, detail);

  ch->answers->answer(ch->host, call,
                      PARLEY_REF(parley_http_answer, .code = code, .retry_ms = code == 503 ? SMS_AGAIN_MS : 0, .headers = header,
                                 .n_headers = header != NULL, .body = {body, (size_t)len},
                                 .type = PARLEY_LIT("application/problem+json")));
}

static void count(parley_channel *ch, const char *metric, const char *label, double value)
{
  if (value > 0)
    ch->host->metric(ch->host, metric, parley_text_of(label), value);
}

static void call_free(struct call *call)
{
  call->ch->n_calls--;
  if (call->taken != NULL)
    json_decref(call->taken->root);
  copy_free(&call->memory);
  free(call);
}

static void call_answer(struct call *call)
{
  parley_channel *ch = call->ch;
  const struct sms_taken *taken = call->taken;

  if (ch->stopped)
    return;
  if (call->again)
    ch->answers->answer(ch->host, call->id,
                        PARLEY_REF(parley_http_answer, .code = 503, .retry_ms = call->retry_ms > 0 ? call->retry_ms : SMS_AGAIN_MS));
  else if (call->rejected && taken->n == 1)
    answer_problem(ch, call->id, 422, "rejected", "it was read, and cannot be taken");
  else
    ch->answers->answer(ch->host, call->id,
                        PARLEY_REF(parley_http_answer, .code = taken->code > 0 ? taken->code : 200, .type = taken->type,
                                   .body = taken->body));
}

/* --- Items -------------------------------------------------------------------------------------------------------- */
static void item_done(const parley_result *result, void *arg)
{
  struct call *call = arg;

  call->open--;
  if (parley_again(result->status) || result->status == PARLEY_FAILED) {
    call->again = true;
    call->retry_ms = result->retry_ms > call->retry_ms ? result->retry_ms : call->retry_ms;
  } else if (result->status != PARLEY_OK && result->status != PARLEY_NOT_FOUND) {
    call->rejected = true;
  }
  call_pump(call);
}

static void inbound_hand(struct call *call, const struct sms_item *item)
{
  call->ch->host->inbound(call->ch->host, &item->inbound, item_done, call);
}

static void fetch_start(struct fetch *fetch, parley_text url);

/* What cannot be fetched stays what it came as: a link. */
static void fetch_end(struct fetch *fetch, const parley_http_response *response)
{
  struct call *call = fetch->call;
  struct sms_item *item = fetch->item;

  if (response != NULL && response->media.len > 0) {
    fetch->part->media = copy_text(call->memory, response->media);
    fetch->part->total_bytes = response->total_bytes;
    fetch->part->url = PARLEY_LIT("");
    if (response->type.len > 0 && response->type.len <= SMS_ID_BYTES_MAX)
      fetch->part->type = copy_text(call->memory, response->type);
  } else {
    count(call->ch, "sms_media_missing", "", 1);
  }
  free(fetch);
  if (--item->n_fetching > 0)
    return;
  if (!call->ch->stopped) {
    inbound_hand(call, item);
    return;
  }
  call->open--;
  call_pump(call);
}

static void fetch_done(const parley_http_response *response, void *arg)
{
  struct fetch *fetch = arg;
  parley_text to = parley_header(response->headers, response->n_headers, "location");

  if (fetch->call->ch->stopped)
    fetch_end(fetch, NULL);
  else if (response->status == PARLEY_OK && response->code >= 300 && response->code < 400 && to.len > 8 &&
           to.len <= SMS_URL_BYTES_MAX && fetch->redirects++ < SMS_REDIRECTS_MAX)
    fetch_start(fetch, copy_text(fetch->call->memory, to));
  else
    fetch_end(fetch, response->status == PARLEY_OK && response->code >= 200 && response->code < 300 ? response : NULL);
}

static void fetch_start(struct fetch *fetch, parley_text url)
{
  parley_channel *ch = fetch->call->ch;
  struct sms_request request = {.memory = fetch->call->memory, .body = &ch->body, .method = PARLEY_LIT("GET"), .url = url};

  json_writer_clear(&ch->body);
  ch->settings.provider->fetch(ch->settings.self, url, &request);
  sms_request_send(ch, &request, 0, PARLEY_HTTP_SAVE, fetch_done, fetch);
}

static void media_fetch(struct call *call, struct sms_item *item)
{
  struct fetch *all[SMS_MEDIA_MAX];
  uint32_t n = 0;

  for (uint32_t i = 0; i < item->inbound.n_parts && n < SMS_MEDIA_MAX; i++) {
    struct fetch *fetch = item->parts[i].kind == PARLEY_PART_MEDIA ? calloc(1, sizeof *fetch) : NULL;

    if (fetch == NULL)
      continue;
    *fetch = (struct fetch){.call = call, .item = item, .part = &item->parts[i]};
    item->n_fetching++;
    all[n++] = fetch;
  }
  for (uint32_t i = 0; i < n; i++)
    fetch_start(all[i], all[i]->part->url);
  if (n == 0)
    inbound_hand(call, item);
}

static void item_hand(struct call *call, struct sms_item *item)
{
  const parley_host *host = call->ch->host;

  call->open++;
  if (item->is_receipt)
    host->receipt(host, &item->receipt, item_done, call);
  else if (call->ch->settings.provider->fetch != NULL)
    media_fetch(call, item);
  else
    inbound_hand(call, item);
}

/* Hands over what there is room for; at the end answers and frees. */
static void call_pump(struct call *call)
{
  while (call->next < call->taken->n && call->open < SMS_AHEAD_MAX && !call->ch->stopped)
    item_hand(call, call->taken->items[call->next++]);
  if (call->open > 0)
    return;
  call_answer(call);
  call_free(call);
}

/* --- The callback ------------------------------------------------------------------------------------------------- */
static void call_refuse(parley_channel *ch, uint64_t call, enum sms_verdict verdict)
{
  char line[96];

  snprintf(line, sizeof line, "event=callback_refused why=%s", sms_verdict_code(verdict));
  ch->host->log(ch->host, PARLEY_WARN, parley_text_of(line));
  count(ch, "sms_callbacks_refused", sms_verdict_code(verdict), 1);
  answer_problem(ch, call, 401, sms_verdict_code(verdict), "it is not signed as the provider signs; nothing was stored");
}

static struct call *call_new(parley_channel *ch, uint64_t id)
{
  struct call *call = calloc(1, sizeof *call);

  if (call == NULL)
    return NULL;
  call->ch = ch;
  call->id = id;
  call->memory = copy_new();
  call->taken = call->memory != NULL ? copy_room(call->memory, sizeof *call->taken) : NULL;
  ch->n_calls++;
  if (call->taken == NULL) {
    call_free(call);
    return NULL;
  }
  call->taken->memory = call->memory;
  return call;
}

static void call_take(parley_channel *ch, uint64_t id, const parley_http_call *request)
{
  struct call *call = call_new(ch, id);
  struct sms_taken *taken;

  if (call == NULL) {
    answer_problem(ch, id, 503, "busy", "out of memory");
    return;
  }
  taken = call->taken;
  ch->settings.provider->read(ch->settings.self, request, taken);
  if (copy_failed(call->memory) || taken->fault != NULL) {
    answer_problem(ch, id, copy_failed(call->memory) ? 503 : 422, copy_failed(call->memory) ? "busy" : "invalid",
                   taken->fault != NULL ? taken->fault : "out of memory");
    call_free(call);
    return;
  }
  count(ch, "sms_callbacks_unknown", "", taken->n_unknown);
  call_pump(call);
}

void sms_called(parley_channel *ch, uint64_t id, const parley_http_call *request)
{
  enum sms_verdict verdict;

  if (!parley_text_is(request->method, "POST") && !parley_text_is(request->method, "GET")) {
    answer_problem(ch, id, 405, "method_not_allowed", "POST, or GET where the provider is set so");
  } else if (ch->n_calls >= SMS_CALLS_MAX) {
    answer_problem(ch, id, 503, "busy", "too many callbacks at once: send it again");
  } else {
    verdict = ch->settings.provider->verify(ch->settings.self, request, ch->host->now_ms(ch->host));
    if (verdict == SMS_GOOD)
      call_take(ch, id, request);
    else
      call_refuse(ch, id, verdict);
  }
}
