/* http_client.h - HTTP out: libcurl's multi interface on the loop, shared connections, names by dns.h, every address
 * checked by egress.h. Redirects and proxies are off, TLS is verified. Owns its connections and timers. Thread: loop.
 */
#ifndef CORE_NET_HTTP_CLIENT_H
#define CORE_NET_HTTP_CLIENT_H
#include "dns.h"
#include "egress.h"

struct http_client;
#define HTTP_CLIENT_TIMEOUT_MS 30000        /* when a request names none */
#define HTTP_CLIENT_RESPONSE_MAX (1u << 20) /* bytes of body, when a request names none */
#define HTTP_CLIENT_RESPONSE_HEAD_MAX 65536 /* bytes of headers */
#define HTTP_CLIENT_RETRY_MIN_MS 1000       /* what Retry-After is clamped to */
#define HTTP_CLIENT_RETRY_MAX_MS 86400000

struct http_client_conf {
  uint32_t in_flight_max;   /* 0: 4096; above: PARLEY_BUSY */
  uint32_t connections_max; /* kept open for re-use; 0: 1024 */
  const char *ca_file;      /* beside the system's place; NULL: the system's */
  const char *user_agent;   /* NULL: "parley" */
};

struct http_call {            /* copied whole */
  parley_text method, url;    /* method empty: GET, with a body POST */
  const parley_pair *headers; /* Host, Content-Length and Connection are refused: INVALID */
  uint32_t n_headers;
  uint32_t timeout_ms; /* all of it; 0: HTTP_CLIENT_TIMEOUT_MS */
  parley_bytes body;
  uint64_t response_max; /* bytes; 0: HTTP_CLIENT_RESPONSE_MAX */
};

struct http_reply {           /* borrowed for the call */
  parley_status status;       /* OK: an answer came, whatever its code. DENIED (egress), INVALID (request, or answer too
                                 large),       NOT_FOUND (no such name), RETRY, TIMEOUT, CLOSED, BUSY, CANCELLED */
  uint32_t code;              /* 200 */
  bool sent;                  /* false: not a byte of the request has left */
  uint32_t retry_ms;          /* Retry-After, clamped; 0: none */
  const parley_pair *headers; /* names in lower case */
  uint32_t n_headers;
  parley_bytes body;
  parley_text reason; /* for a person, begins with a stable word: "tls_expired: ..." */
};
typedef void http_client_done(const struct http_reply *reply, void *arg);

struct http_client_counters {
  uint64_t requests, failed, connections_opened, connections_open, in_flight;
};

/* loop, env, dns, egress are borrowed and outlive the client. PARLEY_FAILED: libcurl would not start. */
parley_status http_client_new(uv_loop_t *loop, const struct env *env, struct dns *dns, const struct egress *egress,
                              const struct http_client_conf *conf, struct http_client **ret);
void http_client_egress_set(struct http_client *client, const struct egress *egress); /* from the next connection on */
/* done comes exactly once and never within this call. Returns an id, never 0. */
uint64_t http_client_request(struct http_client *client, const struct http_call *call, http_client_done *done,
                             void *arg);
void http_client_cancel(struct http_client *client, uint64_t id); /* done comes soon, with CANCELLED; over: no effect */
const struct http_client_counters *http_client_counters(const struct http_client *client);
/* Requests under way end CANCELLED; closed(arg) runs once, when the memory is gone. */
void http_client_close(struct http_client **client, void (*closed)(void *arg), void *arg);
#endif
