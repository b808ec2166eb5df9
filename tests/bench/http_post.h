/* http_post.h - POSTs from one thread by libcurl's multi interface on a libuv loop, connections kept.
 * Owns its easy handles, which are used again. Thread: loop. */
#ifndef PARLEY_BENCH_HTTP_POST_H
#define PARLEY_BENCH_HTTP_POST_H

#include "bench.h"
#include <curl/curl.h>
#include <uv.h>

struct http_post;

/* status: the answer's, or minus libcurl's error. */
typedef void http_post_cb(int status, void *arg);

struct http_post *http_post_new(uv_loop_t *loop, long connections);
/* Copies body; headers (may be NULL: Content-Type JSON alone) passes to http_post and is freed with the request. */
void http_post_send(struct http_post *post, const char *url, struct curl_slist *headers, struct slice body,
                    http_post_cb *done, void *arg);

#endif
