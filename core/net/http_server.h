/* http_server.h - HTTP/1.1 on the loop: framing, limits, order of answers, deadlines, TLS, streams. Knows no routes.
 * Owns its listeners, connections and requests. Thread: loop. Times: monotonic ms of env.
 *
 * The life of a request: head() once its head is in; piece() for each piece of a streamed body; ready() once it is
 * whole; then the handler owes it exactly one http_answer() or http_stream_begin(), from ready() or any later turn. A
 * client that leaves meanwhile only sets `gone`: the request stays valid, and is owed its answer all the same. */
#ifndef CORE_NET_HTTP_SERVER_H
#define CORE_NET_HTTP_SERVER_H
#include "address.h"
#include <parley/plugin.h>
#include <stdbool.h>
#include <uv.h>

struct buf;
struct env;
struct tls_context;
struct http_server;

#define HTTP_IN_FLIGHT_MAX 32            /* requests of one connection taken in and not yet answered */
#define HTTP_READ_SLAB_BYTES 65536       /* one for all connections */
#define HTTP_WRITE_HIGH_BYTES (1u << 20) /* reading stops above */
#define HTTP_STREAM_CUT_BYTES (1u << 20) /* sse.h cuts a reader that is so far behind */

enum http_method { HTTP_M_GET, HTTP_M_HEAD, HTTP_M_POST, HTTP_M_PUT, HTTP_M_PATCH, HTTP_M_DELETE, HTTP_M_OPTIONS };

struct http_request { /* borrowed from the server until answered; what is not marked is read-only */
  enum http_method method;
  parley_text method_name, target; /* target: as it came; of an absolute one the part from the path on */
  parley_text path, query;         /* raw, still escaped; query without '?' */
  const parley_pair *headers;      /* names in lower case, in the order they came, repeated ones too */
  uint32_t n_headers;
  bool gone;         /* the client has left */
  bool has_length;   /* else chunked, or no body */
  uint64_t length;   /* Content-Length */
  parley_bytes body; /* whole at ready(); empty when streamed */
  /* The handler's to write, in head(): */
  uint64_t body_max; /* 413 above. Begins as conf.body_max */
  bool streamed;     /* piece() gets the body as it comes */
  void *user;        /* at any time */
};

struct http_handler { /* static */
  /* NULL allowed. The head is in and well formed; nothing of the body has been asked for. Set body_max, streamed, user;
   * or answer at once (a refusal: the body is then dropped and nothing more comes). */
  void (*head)(struct http_request *request, void *arg);
  void (*piece)(struct http_request *request, parley_bytes piece, void *arg); /* NULL when nothing is ever streamed */
  void (*ready)(struct http_request *request, void *arg);
  /* NULL allowed. The client left, or was cut off, between head() and ready(): free `user`; the request is gone after
   * it. */
  void (*left)(struct http_request *request, void *arg);
};

struct http_server_conf {                       /* 0: the default in brackets */
  uint32_t connections_max;                     /* 503 and close above [10000] */
  uint32_t head_ms, body_ms, idle_ms, write_ms; /* [10 s, 60 s and a second more for each 16 KiB, 75 s, 60 s] */
  uint64_t body_max;                            /* [10 MiB] */
};

struct http_counters { /* since the start, but for `open` and `streams` */
  uint64_t accepted, open, streams, refused_full, requests, malformed, timeouts, gone, bytes_in, bytes_out;
  uint64_t answers[6]; /* [2]: 2xx */
};

/* env, loop, handler and arg are borrowed and outlive the server. */
struct http_server *http_server_new(uv_loop_t *loop, const struct env *env, const struct http_server_conf *conf,
                                    const struct http_handler *handler, void *arg);
/* "127.0.0.1:8080", "[::]:0". *ret_port: the one bound. Several are fine. PARLEY_INVALID: no such address; PARLEY_BUSY:
 * in use; PARLEY_DENIED; why gets a line for a person. */
parley_status http_server_listen(struct http_server *server, parley_text address, uint16_t *ret_port, struct buf *why);
/* From now on new connections speak TLS by this context (takes a reference); NULL: plain. */
void http_server_tls_set(struct http_server *server, struct tls_context *context);
/* No new connections; answers say Connection: close; idle connections close; streams end. Calls drained(arg) once
 * nothing is left, or never if http_server_close() comes first. */
void http_server_drain(struct http_server *server, void (*drained)(void *arg), void *arg);
/* Closes everything at once. closed(arg) runs once, when the memory is gone; requests not yet answered delay it. */
void http_server_close(struct http_server **server, void (*closed)(void *arg), void *arg);
const struct http_counters *http_server_counters(const struct http_server *server);
void http_server_sweep(struct http_server *server); /* what its timer does each second; for tests with a fake clock */

/* --- Reading a request ------------------------------------------------------------------------ */
/* The first value of a header, name in lower case; empty (at NULL) when absent. */
parley_text http_header(const struct http_request *request, const char *name);
uint32_t http_header_count(const struct http_request *request, const char *name);
const struct net_address *
http_peer(const struct http_request *request);        /* the socket's; X-Forwarded-For is never looked at */
/* Back-pressure for a streamed body. After pausing up to HTTP_READ_SLAB_BYTES may still come. */
void http_body_pause(struct http_request *request, bool paused);

/* --- Answering -------------------------------------------------------------------------------- */
struct http_answer {
  uint32_t code;
  uint32_t retry_after_s;     /* 0: no Retry-After */
  parley_text type;           /* empty: no Content-Type */
  const parley_pair *headers; /* Date, Content-Length and Connection are the server's */
  uint32_t n_headers;
  bool close;        /* this answer is the connection's last */
  parley_bytes body; /* left out for HEAD, 204 and 304 */
};
/* Copied whole. The request is gone after it. Never calls back. */
void http_answer(struct http_request *request, const struct http_answer *answer);
/* application/problem+json of RFC 9457 with a stable code. detail: for a person, "" for none. */
void http_answer_problem(struct http_request *request, uint32_t code, const char *problem_code, const char *detail);
const char *http_reason(uint32_t code); /* "Not Found" */

/* --- Streaming an answer (SSE, downloads) ----------------------------------------------------- */
struct http_stream_events {    /* static */
  void (*writable)(void *arg); /* NULL allowed. All that write() was given has left for the kernel */
  void (*closed)(
      void *arg); /* the last, exactly once, after end() too; never within a call. The request is gone after it */
};
#define HTTP_LENGTH_UNKNOWN UINT64_MAX
/* answer: code, type, headers; its body is not looked at. total: Content-Length, or HTTP_LENGTH_UNKNOWN (chunked). */
void http_stream_begin(struct http_request *request, const struct http_answer *answer, uint64_t total,
                       const struct http_stream_events *events, void *arg);
size_t http_stream_write(struct http_request *request, parley_bytes bytes); /* copied; returns the bytes now waiting */
size_t http_stream_waiting(const struct http_request *request);
void http_stream_end(struct http_request *request); /* what was written leaves first */
void http_stream_cut(struct http_request *request); /* closes the connection at once */
#endif
