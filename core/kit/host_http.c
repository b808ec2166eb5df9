/* parley.http/1 as the kit plays it: requests go nowhere and are answered as the case wants, on a later turn. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/net/url.h"
#include "inside.h"
#include <stdio.h>
#include <stdlib.h>

#define HTTP_DEFAULT_MS 30000
#define HTTP_MEDIA_BYTES_MAX ((uint64_t)25 << 20)

static bool breaks_line(parley_text text)
{
  return text_find(text, '\n') < text.len || text_find(text, '\r') < text.len || text_find(text, '\0') < text.len;
}

static void request_check(struct kit_host *host, const parley_http_request *request)
{
  struct kit *kit = host->kit;
  struct url url;
  const char *why = NULL;

  kit_on_loop(host, "request of parley.http/1");
  if (request->size < sizeof(parley_http_request))
    kit_fail(kit, PROMISE_ALIVE, "the size of a parley_http_request is %u: not set", request->size);
  if (url_parse(request->url, &url, &why) != PARLEY_OK)
    kit_fail(kit, PROMISE_ALIVE, "a request goes to '%.*s', which is no URL: %s", TEXT_ARG(request->url), why);
  for (uint32_t i = 0; i < request->n_headers; i++)
    if (breaks_line(request->headers[i].name) || breaks_line(request->headers[i].value))
      kit_fail(kit, PROMISE_ALIVE, "the header '%.*s' of a request has a line end within: header injection",
               TEXT_ARG(request->headers[i].name));
}

static bool request_carries(struct kit *kit, const parley_http_request *request)
{
  bool carried = kit_carries(kit, request->url) || kit_carries(kit, request->body);

  for (uint32_t i = 0; i < request->n_pieces; i++)
    carried = carried || kit_carries(kit, request->pieces[i]->data) || request->pieces[i]->media.len > 0;
  return carried;
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static void response_give(struct kit_http *http, const struct kit_answer *answer)
{
  static const parley_pair headers[] = {{{"content-type", 12}, {"application/json", 16}}, {{"retry-after", 11}, {"7", 1}}};
  struct kit_frame frame = kit_frame_new(sizeof(parley_http_response) + answer->body.len + answer->type.len + 512);
  parley_http_response *response = kit_frame_room(&frame, sizeof *response);
  bool answered = answer->status == PARLEY_OK;

  *response = (parley_http_response){.size = sizeof *response, .status = answer->status, .code = answer->code,
                                     .sent = answer->sent, .retry_ms = answer->retry_ms, .total_bytes = answer->body.len,
                                     .headers = headers, .n_headers = !answered ? 0 : answer->retry_ms > 0 ? 2 : 1};
  response->body = kit_frame_text(&frame, answer->body);
  response->type = kit_frame_text(&frame, answered ? answer->type : TEXT_EMPTY);
  response->reason = kit_frame_text(&frame, parley_text_of(answer->reason));
  list_remove(&http->node);
  KIT_CALL(http->host, "done of an HTTP request", http->done(response, http->arg));
  kit_frame_end(http->host->kit, &frame, "the response of a request whose done() has returned");
  free(http);
}

static const struct kit_answer answer_timeout = {.status = PARLEY_TIMEOUT, .sent = 1, .reason = "timeout: no answer in time"};
static const struct kit_answer answer_cancelled = {.status = PARLEY_CANCELLED, .sent = 1, .reason = "cancelled"};

struct cancelled {
  struct kit_event event;
  struct kit_http *http;
};

static void cancelled_run(struct kit_event *event)
{
  struct cancelled *cancelled = container_of(event, struct cancelled, event);

  response_give(cancelled->http, &answer_cancelled);
  free(cancelled);
}

static void http_cancel(struct kit_http *http)
{
  struct cancelled *cancelled = xcalloc(1, sizeof *cancelled);

  list_remove(&http->node);
  cancelled->http = http;
  kit_later(http->host, &cancelled->event, cancelled_run);
}

/* --- Requests ----------------------------------------------------------------------------------------------------- */

static void token_carried(struct kit_host *host, uint64_t number)
{
  for (struct list *node = host->tokens.next; node != &host->tokens; node = node->next) {
    struct kit_token *token = LIST_ITEM(node, struct kit_token, node);

    if (number != 0 && token->token != number)
      continue; /* without a token it may be any of them */
    token->carried = true;
    token->n_carried += !token->settled;
  }
}

static uint64_t http_request(const parley_host *to, const parley_http_request *request, parley_http_done *done, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_http *http = xcalloc(1, sizeof *http);

  request_check(host, request);
  http->host = host;
  http->id = ++host->kit->last_id;
  http->token = request->token;
  http->due_ms = kit_mono(host->kit) + (request->timeout_ms > 0 ? request->timeout_ms : HTTP_DEFAULT_MS);
  http->done = done;
  http->arg = arg;
  http->carried = request_carries(host->kit, request);
  if (http->carried)
    token_carried(host, request->token);
  snprintf(http->url, sizeof http->url, "%.*s", TEXT_ARG(request->url));
  host->kit->n_requests++;
  list_push(&host->kit->https, &http->node);
  if (host->state >= KIT_STOPPED)
    http_cancel(http);
  return http->id;
}

const parley_http kit_http_table = {.size = sizeof kit_http_table, .request = http_request};

/* A provider of moods, for random sequences. */
static struct kit_answer answer_draw(struct kit *kit)
{
  static const struct kit_answer moods[] = {
      {.status = PARLEY_OK, .code = 200, .sent = 1, .body = {"{}", 2}, .type = {"application/json", 16}},
      {.status = PARLEY_OK, .code = 204, .sent = 1},
      {.status = PARLEY_OK, .code = 401, .sent = 1, .body = {"{\"error\":\"unauthorized\"}", 24}, .type = {"application/json", 16}},
      {.status = PARLEY_OK, .code = 404, .sent = 1, .body = {"not found", 9}, .type = {"text/plain", 10}},
      {.status = PARLEY_OK, .code = 429, .sent = 1, .retry_ms = 7000},
      {.status = PARLEY_OK, .code = 500, .sent = 1, .body = {"<html>oops", 10}, .type = {"text/html", 9}},
      {.status = PARLEY_OK, .code = 200, .sent = 1, .body = {"\xff\x00{[[[", 6}, .type = {"application/json", 16}},
      {.status = PARLEY_TIMEOUT, .sent = 1, .stall = true},
      {.status = PARLEY_CLOSED, .sent = 1, .reason = "closed_before_answer: the peer closed"},
      {.status = PARLEY_RETRY, .reason = "connect_failed: connection refused"},
      {.status = PARLEY_NOT_FOUND, .reason = "name_not_found: no such host"},
      {.status = PARLEY_DENIED, .reason = "address_not_allowed: egress rules"},
      {.status = PARLEY_BUSY, .reason = "the host is full"},
  };
  uint32_t mood = kit_mood(kit, COUNT_OF(moods) + 4);

  return mood < COUNT_OF(moods) ? moods[mood] : kit->answer; /* good ones more often */
}

bool kit_http_step(struct kit *kit)
{
  int64_t now = kit_mono(kit);

  for (struct list *node = kit->https.next; node != &kit->https; node = node->next) {
    struct kit_http *http = LIST_ITEM(node, struct kit_http, node);
    struct kit_answer answer;

    if (http->due_ms <= now) {
      response_give(http, &answer_timeout);
      return true;
    }
    if (kit->answer_held || http->stalled)
      continue;
    answer = kit->answer_random ? answer_draw(kit) : kit->answer;
    if (!answer.stall) {
      response_give(http, &answer);
      return true;
    }
    http->stalled = kit->answer_random;
  }
  return false;
}

int64_t kit_http_due(const struct kit *kit)
{
  int64_t first = INT64_MAX;

  for (const struct list *node = kit->https.next; node != &kit->https; node = node->next) {
    const struct kit_http *http = LIST_ITEM(node, struct kit_http, node);

    first = http->due_ms < first ? http->due_ms : first;
  }
  return first;
}

bool kit_http_cancel(struct kit_host *host, uint64_t id)
{
  for (struct list *node = host->kit->https.next; node != &host->kit->https; node = node->next) {
    struct kit_http *http = LIST_ITEM(node, struct kit_http, node);

    if (http->host != host || http->id != id)
      continue;
    http_cancel(http);
    return true;
  }
  return false;
}

void kit_http_end(struct kit_host *host)
{
  for (struct list *node = host->kit->https.next, *next; node != &host->kit->https; node = next) {
    next = node->next;
    if (LIST_ITEM(node, struct kit_http, node)->host == host)
      http_cancel(LIST_ITEM(node, struct kit_http, node));
  }
}
