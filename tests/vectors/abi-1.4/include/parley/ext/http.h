/* parley/ext/http.h - "parley.http/1": HTTP requests on the host's shared connections. The host offers it.
 * TLS is verified, redirects are not followed, addresses outside the operator's egress rules are refused (PARLEY_DENIED).
 * Over a process border the request goes to parleyd as one frame: the plugin's process needs no network at all. */
#ifndef PARLEY_EXT_HTTP_H
#define PARLEY_EXT_HTTP_H
#include "../plugin.h"
#ifdef __cplusplus
extern "C" {
#endif
#define PARLEY_HTTP "parley.http/1"

enum { PARLEY_HTTP_SAVE = 1 }; /* keep a 2xx answer's body as media: the response then has its id instead of the bytes */
typedef struct parley_http_request {
  uint32_t size, flags, timeout_ms, n_headers, n_pieces, reserved; /* timeout_ms: all of it; 0: 30 s */
  uint64_t response_max;     /* bytes; 0: inline_max, with PARLEY_HTTP_SAVE 25 MiB. More: PARLEY_INVALID */
  uint64_t token;            /* the attempt this belongs to: the exchange is kept as its trace, secrets masked; 0: none */
  parley_text method, url;   /* method empty: GET, with a body POST */
  const parley_pair *headers; /* Host, Content-Length and Connection are the host's */
  parley_bytes body;
  const parley_part *const *pieces; /* instead of body: `data` or `media` of each, one after the other (multipart uploads): 25 MiB
                                     * at most. With media, or with PARLEY_HTTP_SAVE, `data` or body is inline_max at most; a few
                                     * such requests are under way at once, the next ones wait for a place in their own time */
} parley_http_request;

typedef struct parley_http_response {
  uint32_t size;
  parley_status status;    /* PARLEY_OK: an answer came, whatever its code; RETRY, TIMEOUT, CLOSED, BUSY, DENIED, ... */
  uint32_t code;           /* 200 */
  uint32_t sent;           /* 0: not a byte of it has left, so trying again is safe; 1: the peer may have acted on it */
  uint32_t retry_ms;       /* from Retry-After, seconds or date */
  uint32_t n_headers;
  uint64_t total_bytes;
  const parley_pair *headers; /* names in lower case */
  parley_bytes body;
  parley_text media, type, reason; /* media: see PARLEY_HTTP_SAVE; type: of the body; reason: for a person */
} parley_http_response;
typedef void parley_http_done(const parley_http_response *response, void *arg);

typedef struct parley_http {
  uint64_t size;
  /* [loop] Copied whole. The id is for host->cancel(); `done` comes once in any case. */
  uint64_t (*request)(const parley_host *, const parley_http_request *, parley_http_done *done, void *arg);
} parley_http;

/* The value of a header, name in lower case; empty when absent. */
static inline parley_text parley_header(const parley_pair *headers, uint32_t n, const char *name)
{
  parley_text none = {NULL, 0};
  for (uint32_t i = 0; i < n; i++)
    if (parley_text_is(headers[i].name, name))
      return headers[i].value;
  return none;
}
#ifdef __cplusplus
}
#endif
#endif
