/* Whatever comes, the strict look at a head gives the same verdict whole and in pieces, stays within its limits, and
 * what it takes llhttp takes too, with the same length. */
#include "core/net/http_head.h"
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
  if (!holds)
    abort();
}

static void llhttp_agrees(const struct http_head *head, const char *bytes)
{
  llhttp_settings_t settings;
  llhttp_t parser;
  llhttp_errno_t err;

  llhttp_settings_init(&settings);
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  err = llhttp_execute(&parser, bytes + head->start, head->end - head->start);
  if (err != HPE_OK)
    return; /* stricter than we are: the server answers 400 */
  must(parser.http_major == 1 && parser.http_minor == (head->http_1_0 ? 0 : 1));
  must(!(parser.flags & F_CHUNKED) == !head->chunked);
  if (head->has_length && parser.flags & F_CONTENT_LENGTH)
    must(parser.content_length == head->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct http_head whole = {0}, parts = {0};
  enum http_head_state want, got = HTTP_HEAD_MORE;
  const char *bytes = (const char *)data;
  size_t step = size > 0 ? 1u + data[0] % 7u : 1;

  want = http_head_scan(&whole, bytes, size);
  for (size_t at = 0; got == HTTP_HEAD_MORE && at < size;) {
    at = at + step < size ? at + step : size;
    got = http_head_scan(&parts, bytes, at);
  }
  must(got == want || size == 0);
  if (want == HTTP_HEAD_REFUSED)
    must(whole.code == parts.code && whole.code >= 400 && whole.why != NULL);
  if (want != HTTP_HEAD_DONE)
    return 0;
  must(whole.end == parts.end && whole.end <= size && whole.end - whole.start <= HTTP_HEAD_BYTES_MAX);
  must(whole.n_headers <= HTTP_HEADERS_MAX && whole.target_len <= HTTP_TARGET_BYTES_MAX && whole.target_len > 0);
  must(whole.has_host || whole.http_1_0);
  must(!(whole.has_length && whole.chunked));
  llhttp_agrees(&whole, bytes);
  return 0;
}
