/* inside.h - the api's own state, for api.c, answer.c and the few resources that change it. Private to core/api. */
#ifndef CORE_API_INSIDE_H
#define CORE_API_INSIDE_H
#include "auth.h"
#include "core/base/map.h"
#include "request.h"

#define API_RUNNING_MAX 100000 /* idempotent requests under way */

struct api {
  struct api_shared shared;
  struct auth *auth;
  struct conf *conf;
  struct policy *policy;
  struct http_server *server;
  struct id_source ids; /* of requests */
  struct hash_key hash_key;
  struct map running;   /* of (key, route, Idempotency-Key): those not yet answered */
  uint64_t requests, refused;
  uint32_t open;        /* requests not yet answered */
  bool closing;
  void (*closed)(void *arg);
  void *closed_arg;
};
void api_request_free(struct api_request *req);
#endif
