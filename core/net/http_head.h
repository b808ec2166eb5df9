/* http_head.h - the strict look at a request's head, before any parser sees it: every line ends in CRLF, nothing is
 * folded, nothing is said twice that frames the message. Resumes where it stopped, so a byte is looked at once. Thread:
 * any. */
#ifndef CORE_NET_HTTP_HEAD_H
#define CORE_NET_HTTP_HEAD_H
#include <parley/plugin.h>
#include <stdbool.h>

#define HTTP_HEAD_BYTES_MAX 16384  /* 431 */
#define HTTP_HEADERS_MAX 100       /* 431 */
#define HTTP_TARGET_BYTES_MAX 8192 /* 414 */
#define HTTP_METHOD_BYTES_MAX 32

enum http_head_state { HTTP_HEAD_MORE, HTTP_HEAD_DONE, HTTP_HEAD_REFUSED };
struct http_head {     /* begin with all zero; positions count from the first byte handed in */
  uint32_t seen, line; /* looked at so far; where the present line begins */
  uint32_t start, end; /* the head itself, once done: from the method to behind the empty line */
  uint32_t target, target_len;
  uint32_t host, host_len;
  uint32_t n_lines;
  uint16_t n_headers;
  bool has_host, has_length, chunked, http_1_0;
  bool expect_continue, encoded /* a Content-Encoding other than identity */;
  uint64_t length; /* Content-Length */
  uint16_t code;   /* REFUSED: the status to answer with */
  const char *why; /* REFUSED: one static sentence */
};
/* bytes: all of the head so far, the same bytes as before and more behind them (they may have moved). */
enum http_head_state http_head_scan(struct http_head *head, const char *bytes, size_t len);
#endif
