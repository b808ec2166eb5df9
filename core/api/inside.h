/* inside.h - the api's own state, for api.c, answer.c and the few resources that change it. Private to core/api. */
#ifndef CORE_API_INSIDE_H
#define CORE_API_INSIDE_H
#include "auth.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "rate.h"
#include "request.h"

#define API_RUNNING_MAX 100000 /* idempotent requests under way */
#define API_SUBSCRIPTIONS_MAX 1000
#define API_SWEEP_MS 60000 /* how often secrets that were rotated out are looked at */
#define API_STALL_MS 50    /* a turn of the loop longer than this is a stall */

/* How long the loop is busy in one turn: the time that it did not wait for its sockets. */
struct loop_watch {
  uv_prepare_t prepare;
  uint64_t last_ns, last_idle_ns;
  uint64_t turns, stalls, busy_us, longest_us;
};

struct api {
  struct api_shared shared;
  struct auth *auth;
  struct conf *conf;
  struct policy *policy;
  struct http_server *server;
  struct id_source ids; /* of requests */
  struct hash_key hash_key;
  struct digester *digester;
  struct rate signups, signup_targets, visits; /* of late: by client, by address and form; visits: clicks and opens */
  struct map running; /* of (key, route, Idempotency-Key): those not yet answered */
  uint64_t requests, refused;
  uint32_t open;         /* requests not yet answered, and loads under way */
  bool closing, started; /* started: what the store held of keys and subscriptions is known */
  struct api_subscription **subscriptions;
  size_t n_subscriptions;
  uint32_t n_changing; /* changes of subscriptions that the store has not answered yet */
  struct template_set templates;     /* made by API */
  struct list template_changes;      /* their requests, waiting; the first is under way */
  size_t n_template_changes;
  json_t *templates_read;            /* documents, until all are there */
  char **paused; /* channels paused by an operator, configured now or not */
  size_t n_paused;
  struct loop_watch watch;
  uv_timer_t sweep;
  uint32_t handles; /* open ones of libuv */
  int64_t started_ms;
  void (*loaded)(parley_status status, void *arg);
  void *loaded_arg;
  void (*closed)(void *arg);
  void *closed_arg;
};
void api_request_free(struct api_request *req); /* without an answer: somebody else gives it */
void api_maybe_closed(struct api *api);
/* 401, or 429 from an address that was wrong too often. */
void api_refuse_key(struct api_request *req);

/* metrics.c */
void loop_watch_start(struct loop_watch *watch, uv_loop_t *loop);

/* channels.c: an operator's word, remembered beyond reloads and restarts. */
void api_paused_put(struct api *api, parley_text name, bool paused);

/* templates.c: a document was read at the start; all were; the configuration's are others now. */
void api_templates_loaded(struct api *api, const struct doc *doc);
void api_templates_link(struct api *api);

/* subscriptions.c */
void api_subscriptions_loaded(struct api *api, const struct doc *doc);
void api_subscriptions_configure(struct api *api); /* those of conf, for those of the last one */
void api_subscriptions_sweep(struct api *api);     /* secrets whose time is over; what could not be stored before */
void api_subscriptions_free(struct api *api);
#endif
