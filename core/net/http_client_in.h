/* http_client_in.h - private to http_client*.c: what the client and one transfer are made of. */
#ifndef CORE_NET_HTTP_CLIENT_IN_H
#define CORE_NET_HTTP_CLIENT_IN_H
#include "core/base/buf.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "http_client.h"
#include <curl/curl.h>

#define CLIENT_IDLE_EASY_MAX 128 /* transfers kept for re-use */
#define CLIENT_HOSTS_MAX 4096    /* names remembered */
#define CLIENT_PIN_MIN_MS 5000   /* how long a name's addresses are good for, whatever its TTL says */
#define CLIENT_PIN_MAX_MS 300000
#define CLIENT_PIN_USUAL_MS 60000 /* no TTL: from the hosts file */
#define CLIENT_READ_BYTES 8192L   /* libcurl takes a buffer of this size for each answer under way, */
#define CLIENT_READ_SMALL_BYTES 1024L    /* or of this, */
#define CLIENT_RESPONSE_SMALL_MAX 65536u /* where no more than this is wanted: the answers to messages are short */
#define CLIENT_KEEP_BYTES 4096    /* of body and answer each: what an idle transfer keeps of their memory */
#define CLIENT_METHOD_MAX 16
#define CLIENT_HEADERS_MAX 100
#define CLIENT_HEAD_MAX 65536 /* bytes of a request's own headers */

/* One a socket, kept while the socket lives: libcurl's wishes change with each request, the uv_poll only when it must.
 */
struct client_poll {
  uv_poll_t poll;
  struct http_client *client;
  int fd;
  int want, armed; /* UV_READABLE | UV_WRITABLE */
  bool ours;       /* made in client_socket_open(), so its closing is told too */
};

/* A name and the addresses it is pinned to within libcurl. */
struct client_host {
  char name[URL_HOST_MAX + 1];
  uint16_t port;
  uint64_t key;
  bool asking;
  uint64_t dns_id;
  int64_t good_until_ms;
  struct buf pin;  /* "host:port:addr,addr" */
  uint32_t pinned; /* how often the pin was made */
  bool loaded;     /* libcurl surely has the present one */
  struct list waiting;
  struct http_client *client;
};

struct http_client {
  uv_loop_t *loop;
  const struct env *env;
  struct dns *dns;
  const struct egress *egress;
  struct http_client_conf conf;
  char *ca_file, *user_agent;
  CURLM *multi;
  uv_timer_t timer;
  uv_idle_t soon;
  struct client_poll **polls; /* by fd */
  size_t n_polls;
  struct list idle, running, finished;
  size_t n_idle;
  struct map by_id, hosts;
  struct curl_slist *unpin; /* names forgotten here, to be forgotten by libcurl with the next transfer */
  uint64_t last_id;
  size_t handles;
  struct http_client_counters counters;
  bool closing;
  bool kick; /* libcurl wants to be called as soon as possible */
  void (*closed)(void *arg);
  void *closed_arg;
};

enum transfer_state { TRANSFER_IDLE, TRANSFER_NAMING, TRANSFER_RUNNING, TRANSFER_FINISHED };
struct transfer {
  struct http_client *client;
  CURL *easy;
  struct list node; /* idle, a host's waiting, running or finished */
  enum transfer_state state;
  uint64_t id;
  http_client_done *done;
  void *arg;
  int64_t deadline_ms;
  struct buf asked; /* the URL of the last request, as it was asked for; empty: that was none. What is made of it stays: */
  struct url url;   /* (path and query within `asked`) */
  struct buf plain; /* its normal form */
  CURLU *parsed;    /* and what libcurl makes of that */
  long read_bytes;  /* libcurl's CURLOPT_BUFFERSIZE */
  uint64_t host_key;
  uint32_t pinned; /* the pin that was handed to libcurl with this transfer; 0: none */
  char method[CLIENT_METHOD_MAX + 1];
  struct buf text; /* the header lines, NUL after each */
  struct curl_slist *lines;
  uint32_t n_lines;
  struct curl_slist *pins;
  char *body; /* never NULL once there was a request: libcurl would ask for it */
  size_t body_len, body_room;
  uint64_t response_max;
  unsigned n_sends; /* how often libcurl was about to send the request */
  bool denied, too_large, replayed, repeatable;
  char error[CURL_ERROR_SIZE];
  /* the reply */
  struct buf head, got, reason;
  parley_pair *headers;
  size_t headers_room;
  struct http_reply reply;
};

/* http_client_socket.c */
parley_status client_multi_new(struct http_client *client);
void client_easy_sockets(struct http_client *client, struct transfer *transfer);
void client_check(struct http_client *client); /* takes what libcurl has finished, then tells */
void client_kick(struct http_client *client);  /* libcurl's time has come */
void client_poll_close(struct client_poll *poll);

/* http_client_reply.c */
void client_easy_reply(struct transfer *transfer);
void transfer_reply_fill(struct transfer *transfer, CURLcode result);
void transfer_reply_fail(struct transfer *transfer, parley_status status, const char *word, const char *detail);

/* http_client_host.c */
void transfer_name(struct transfer *transfer); /* starts it, now or when its name is resolved */
void transfer_pins_set(struct transfer *transfer);
void transfer_pin_loaded(struct transfer *transfer); /* libcurl has taken its pin */
void client_hosts_expire(struct http_client *client);
void client_hosts_close(struct http_client *client);

/* http_client.c */
int64_t client_now(const struct http_client *client);
void transfer_start(struct transfer *transfer);
void transfer_fail(struct transfer *transfer, parley_status status, const char *word, const char *detail);
void transfer_cancel(struct transfer *transfer);
void transfer_finish(struct transfer *transfer); /* its reply is filled: it will be told */
void client_soon(struct http_client *client);    /* kick and tell on the next turn */
void client_tell(struct http_client *client);
void client_free_maybe(struct http_client *client);
#endif
