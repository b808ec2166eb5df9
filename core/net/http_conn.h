/* http_conn.h - private to http_server.c, http_conn.c, http_parse.c and http_reply.c: what a server, a connection and a
 * request are made of. A connection owns its requests until they are answered; one whose client has left belongs to its
 * handler. */
#ifndef CORE_NET_HTTP_CONN_H
#define CORE_NET_HTTP_CONN_H
#include "core/base/buf.h"
#include "core/base/list.h"
#include "http_head.h"
#include "http_server.h"
#include <llhttp.h>

#define HTTP_BODY_BYTES_PER_S 16384    /* a body may be as slow as this after its first body_ms */
#define HTTP_BODY_INLINE_MAX 4096      /* bytes of a body kept in the request's own memory */
#define HTTP_BODY_DRAIN_MAX 65536      /* bytes of a refused body read and dropped to keep the connection */
#define HTTP_CHUNK_EXTENSIONS_MAX 1024 /* bytes, a request */
#define HTTP_LINGER_MS 2000            /* how long a refused client may go on sending, so that it sees the answer */
#define HTTP_INPUT_MAX (HTTP_HEAD_BYTES_MAX + 2 * HTTP_READ_SLAB_BYTES)
#define HTTP_OUTPUT_MAX ((size_t)256 << 20) /* of one connection; a larger answer ends it */
#define HTTP_SWEEP_MS 1000
#define HTTP_NEVER_MS INT64_MAX

struct http_listener {
  uv_tcp_t tcp;
  struct http_server *server;
  struct list node;
};

struct http_server {
  uv_loop_t *loop;
  const struct env *env;
  struct http_server_conf conf;
  const struct http_handler *handler;
  void *arg;
  struct tls_context *tls;
  uv_timer_t sweep;
  uv_prepare_t prepare; /* with check: flushes what was answered since, in one write a connection */
  uv_check_t check;
  uv_idle_t again; /* runs while the last flush left new work */
  struct list listeners, conns, dirty;
  struct http_req *orphans; /* streams whose client had left before they began */
  size_t handles;           /* open ones of all kinds */
  size_t requests;          /* not yet freed */
  char *slab, *plain;       /* read into, and decrypted into */
  struct http_counters counters;
  char date[32]; /* "Sun, 22 Nov 2026 00:00:00 GMT" */
  int64_t date_s;
  bool draining, closing;
  void (*drained)(void *arg);
  void *drained_arg;
  void (*closed)(void *arg);
  void *closed_arg;
};

struct http_req {
  struct http_request pub;
  struct http_server *server;
  struct http_conn *conn;                  /* NULL once the client is gone */
  struct http_req *next;                   /* the one that came after it */
  const struct http_stream_events *events; /* set: a stream */
  void *events_arg;
  struct buf reply; /* made, and waiting for its turn */
  struct buf grown; /* a body that did not fit inline */
  char *inline_body;
  uint32_t inline_room;
  uint32_t extension_bytes;
  uint64_t body_bytes; /* so far */
  bool keep_alive, http_1_0, secure;
  bool handed;                 /* head() has run: the handler knows it */
  bool whole;                  /* ready() has run, or is running */
  bool expects, continued;     /* 100-continue asked for; sent */
  bool answered, close;        /* close: nothing follows it */
  bool chunked, ended, paused; /* of a stream: framing, end() was called; paused: of a streamed body */
  struct net_address peer;
  parley_pair headers[]; /* n_headers, then the head's bytes, then inline_room */
};

enum http_input { HTTP_INPUT_HEAD, HTTP_INPUT_BODY, HTTP_INPUT_SKIP /* the rest of a refused body */, HTTP_INPUT_OVER };

struct http_write {
  uv_write_t write;
  struct http_conn *conn;
  char *bytes;
  size_t len;
};

struct http_conn {
  uv_tcp_t tcp;
  struct http_server *server;
  struct list node, dirty_node;
  struct tls *tls;
  llhttp_t parser;
  struct http_head head;
  struct http_req *first, *last; /* in the order they came */
  struct http_req *current;      /* whose body is coming in */
  struct http_write *write;      /* under way */
  struct buf in, out;
  uint64_t skip_bytes;
  int64_t deadline_ms, write_since_ms;
  size_t write_seen;
  struct net_address peer;
  enum http_input input;
  uint16_t queued; /* from first to last */
  uint16_t fault;  /* status that the parser's callbacks ask for */
  bool reading, dead, cut, eof, linger, lingering, closing_after, message_done, keep_alive, wrote;
};

/* http_conn.c */
void http_conn_accept(struct http_listener *listener);
void http_conn_close(struct http_conn *conn); /* at once; the requests of the handlers become `gone` */
void http_conn_dirty(struct http_conn *conn); /* it shall be flushed before the loop waits again */
void http_conn_flush(struct http_conn *conn);
void http_conn_sweep(struct http_conn *conn, int64_t now_ms);
void http_conn_reading(struct http_conn *conn); /* starts or stops reading as the state wants it */
int64_t http_conn_now(const struct http_conn *conn);
bool http_conn_idle(const struct http_conn *conn);

/* http_parse.c */
size_t http_parse(struct http_conn *conn, const char *bytes, size_t len);       /* returns how much was used */
void http_parse_refuse(struct http_conn *conn, uint16_t code, const char *why); /* answers, reads nothing more */
bool http_parse_open(const struct http_conn *conn);                             /* may more be taken in? */

/* http_reply.c */
struct http_req *http_req_new(struct http_conn *conn, uint32_t n_headers, size_t head_bytes, size_t body_bytes);
void http_req_free(struct http_req *req);
void http_req_push(struct http_conn *conn, struct http_req *req);
/* Moves what is ready from the front of the queue to conn->out. streams: ended streams may be taken leave of too. */
void http_reply_advance(struct http_conn *conn, bool streams);
void http_reply_abandon(struct http_conn *conn); /* the client is gone: tells those who must know, frees the rest */
void http_reply_problem(struct http_req *req, uint16_t code, const char *problem_code, const char *detail, bool close);
const char *http_server_date(struct http_server *server);
struct http_req *http_req_of(const struct http_request *pub);
struct buf *http_req_out(struct http_req *req); /* where this request's answer is written now */
void http_req_settle_input(struct http_req *req, bool close);
void http_req_head_write(struct http_req *req, struct buf *out, const struct http_answer *answer);
void http_length_write(struct buf *out, uint64_t length);
bool http_code_has_body(uint32_t code);
void http_count_answer(struct http_server *server, uint32_t code);

/* http_stream.c */
void http_reply_leave(struct http_req *req); /* the stream's last word to its owner */

/* http_server.c */
void http_server_orphan(struct http_req *req);
void http_server_flush_soon(struct http_server *server);
void http_server_free_maybe(struct http_server *server);
#endif
