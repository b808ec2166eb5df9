/* What came back, or did not: headers, body, Retry-After, and libcurl's codes in our words. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "http_client_in.h"
#include "tls.h"
#include <stdlib.h>
#include <string.h>

static size_t on_head(char *at, size_t size, size_t n, void *arg)
{
  struct transfer *transfer = arg;
  parley_text line = {at, size * n};

  if (text_starts(line, "HTTP/")) { /* a new head: the one before was a 1xx */
    buf_clear(&transfer->head);
    return line.len;
  }
  buf_text(&transfer->head, line);
  transfer->too_large = transfer->too_large || transfer->head.overflow;
  return transfer->head.overflow ? 0 : line.len;
}

static size_t on_body(char *at, size_t size, size_t n, void *arg)
{
  struct transfer *transfer = arg;

  if (size * n > transfer->response_max - transfer->got.len) {
    transfer->too_large = true;
    return 0;
  }
  buf_add(&transfer->got, at, size * n);
  return size * n;
}

void client_easy_reply(struct transfer *transfer)
{
  transfer->head = BUF_INIT(HTTP_CLIENT_RESPONSE_HEAD_MAX);
  curl_easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, on_head);
  curl_easy_setopt(transfer->easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, transfer->error);
}

static parley_text name_lower(parley_text name)
{
  char *at = (char *)(uintptr_t)name.at; /* in the transfer's own buf */

  for (size_t i = 0; i < name.len; i++)
    if (at[i] >= 'A' && at[i] <= 'Z')
      at[i] = (char)(at[i] | 0x20);
  return name;
}

static void headers_split(struct transfer *transfer)
{
  parley_text rest = buf_as_text(&transfer->head);
  size_t room = 0;
  uint32_t n = 0;

  for (size_t i = 0; i < rest.len; i++)
    room += rest.at[i] == '\n';
  if (room > transfer->headers_room) {
    transfer->headers = xrealloc(transfer->headers, room * sizeof(*transfer->headers));
    transfer->headers_room = room;
  }
  while (rest.len > 0) {
    parley_text line = text_trim(text_cut(&rest, '\n'));
    size_t colon = text_find(line, ':');

    if (colon == line.len || n == room)
      continue;
    transfer->headers[n].name = name_lower(text_sub(line, 0, colon));
    transfer->headers[n++].value = text_trim(text_sub(line, colon + 1, line.len));
  }
  transfer->reply.headers = transfer->headers;
  transfer->reply.n_headers = n;
}

/* Seconds or a date, within what makes sense to wait. */
static uint32_t retry_after_ms(const struct transfer *transfer)
{
  const struct http_reply *reply = &transfer->reply;
  const struct env *env = transfer->client->env;
  int64_t ms = -1;

  for (uint32_t i = 0; i < reply->n_headers; i++) {
    parley_text value = reply->headers[i].value;
    char date[64];
    uint64_t seconds;

    if (!parley_text_is(reply->headers[i].name, "retry-after"))
      continue;
    if (text_to_uint(value, HTTP_CLIENT_RETRY_MAX_MS, &seconds)) {
      ms = (int64_t)seconds * 1000;
    } else if (value.len > 0 && value.len < sizeof(date)) {
      time_t when;

      memcpy(date, value.at, value.len);
      date[value.len] = '\0';
      when = curl_getdate(date, NULL);
      if (when >= 0)
        ms = (int64_t)when * 1000 - env->now_ms(env);
      else if (strspn(date, "0123456789") == value.len)
        ms = HTTP_CLIENT_RETRY_MAX_MS; /* more seconds than anybody waits */
    }
  }
  if (ms < 0)
    return ms == -1 ? 0 : HTTP_CLIENT_RETRY_MIN_MS;
  if (ms < HTTP_CLIENT_RETRY_MIN_MS)
    return HTTP_CLIENT_RETRY_MIN_MS;
  return ms > HTTP_CLIENT_RETRY_MAX_MS ? HTTP_CLIENT_RETRY_MAX_MS : (uint32_t)ms;
}

static const char *tls_word(const struct transfer *transfer, CURLcode result)
{
  long verified = 0;

  curl_easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
  if (result == CURLE_PEER_FAILED_VERIFICATION)
    return verified > 1 ? tls_verify_why(verified)
                        : "tls_name_mismatch"; /* libcurl checks the name itself; 1: not set */
  if (result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_CERTPROBLEM)
    return "tls_ca_unusable";
  return "tls_failed";
}

struct verdict {
  parley_status status;
  const char *word;
};

static struct verdict verdict_of(const struct transfer *transfer, CURLcode result)
{
  if (transfer->too_large)
    return (struct verdict){PARLEY_INVALID, "answer_too_large"};
  if (transfer->replayed)
    return (struct verdict){PARLEY_CLOSED, "closed_before_answer"};
  if (result == CURLE_COULDNT_CONNECT && transfer->denied)
    return (struct verdict){PARLEY_DENIED, "address_not_allowed"};
  switch ((int)result) {
  case CURLE_OPERATION_TIMEDOUT:
    return (struct verdict){PARLEY_TIMEOUT, "timeout"};
  case CURLE_COULDNT_RESOLVE_HOST:
    return (struct verdict){PARLEY_NOT_FOUND, "name_not_found"};
  case CURLE_COULDNT_CONNECT:
    return (struct verdict){PARLEY_RETRY, "connect_failed"};
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_INVALIDCERTSTATUS:
    return (struct verdict){PARLEY_RETRY, tls_word(transfer, result)};
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM:
    return (struct verdict){PARLEY_CLOSED, "closed_before_answer"};
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_BAD_CONTENT_ENCODING:
    return (struct verdict){PARLEY_RETRY, "not_http"};
  case CURLE_URL_MALFORMAT:
    return (struct verdict){PARLEY_INVALID, "url_invalid"};
  default:
    return (struct verdict){PARLEY_RETRY, "failed"};
  }
}

static bool transfer_sent(const struct transfer *transfer)
{
  long request_bytes = 0;

  curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
  return transfer->n_sends > 0 && (request_bytes > 0 || transfer->replayed);
}

void transfer_reply_fail(struct transfer *transfer, parley_status status, const char *word, const char *detail)
{
  bool sent = transfer->state == TRANSFER_RUNNING && transfer_sent(transfer);

  buf_clear(&transfer->reason);
  buf_str(&transfer->reason, word);
  if (detail[0] != '\0')
    buf_printf(&transfer->reason, ": %s", detail);
  transfer->reply = (struct http_reply){.status = status, .sent = sent, .reason = buf_as_text(&transfer->reason)};
}

void transfer_reply_fill(struct transfer *transfer, CURLcode result)
{
  struct http_reply *reply = &transfer->reply;
  long code = 0;

  if (result != CURLE_OK) {
    struct verdict verdict = verdict_of(transfer, result);

    transfer_reply_fail(transfer, verdict.status, verdict.word,
                        transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(result));
    transfer->client->counters.failed++;
    return;
  }
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &code);
  *reply = (struct http_reply){
      .status = PARLEY_OK, .code = (uint32_t)code, .sent = true, .body = buf_as_text(&transfer->got)};
  headers_split(transfer);
  reply->retry_ms = retry_after_ms(transfer);
}
