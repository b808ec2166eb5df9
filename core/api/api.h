/* api.h - the HTTP API: one route table (routes.c), one file a resource. Checks keys and scopes, reads requests, hands
 * them to the floors below, writes answers. Thread: loop. */
#ifndef CORE_API_API_H
#define CORE_API_API_H
#include "core/bridge/bridge.h"
#include "core/deliver/deliver.h"
#include "core/feed/feed.h"
#include "core/inbound/inbound.h"

struct api;
/* What the daemon has made; borrowed, outlives the api. */
struct api_shared {
  uv_loop_t *loop;
  const struct env *env;
  const struct log *log;
  struct store *store;
  struct deliver *deliver;
  struct feed *feed;
  struct inbound *inbound;
  struct bridge *bridge; /* NULL in tests: none */
  struct http_client *http;
  const struct egress *egress;
  const char *version;
  const struct phone_plan *phones; /* of defaults.country; NULL in tests: none */
  /* The channel by name, or NULL. Its test sink likewise. */
  struct channel *(*channel)(parley_text name, void *arg);
  struct channel *(*test_sink)(parley_text name, void *arg);
  size_t (*channels)(struct channel **to, size_t room, void *arg); /* all, sorted by name; returns how many there are */
  bool (*ready)(const char **why_not, void *arg);
  /* Makes the channels of this plugin, or this channel, anew beside the old, and switches over; on failure the old ones go on and why
   * says what. done() once, later; BUSY: a reload is under way. NULL in tests. */
  parley_status (*reload)(parley_text plugin, parley_text channel, void (*done)(parley_status status, parley_text why, void *done_arg),
                          void *done_arg, void *arg);
  void *arg;
};
struct api *api_new(const struct api_shared *shared);
/* The rules and keys in force from now on: takes a reference of each. */
void api_configure(struct api *api, struct conf *conf, struct policy *policy);
extern const struct http_handler api_handler;                     /* for http_server_new(..., api) */
void api_set_server(struct api *api, struct http_server *server); /* for its counters; borrowed */
/* Loads keys and subscriptions that were made by API from the store; loaded(status, arg) when done. */
void api_start(struct api *api, void (*loaded)(parley_status status, void *arg), void *arg);
void api_close(struct api **api, void (*closed)(void *arg), void *arg);
/* handin.c: what a channel hands in for somebody with an API key (ext/submit.h). done() never within the call. */
void api_login(struct api *api, parley_text key, parley_text peer, parley_done *done, void *arg);
void api_handin(struct api *api, const parley_submission *submission, parley_done *done, void *arg);
/* A receiver has said that it wants no more (410): remembered, until somebody enables it. For feed_shared.disabled. */
void api_subscription_disabled(struct api *api, id64 subscription);
/* The route table as OpenAPI 3.1. */
void buf_openapi(struct buf *buf, const char *version);
#endif
