#include "http_server.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "http_conn.h"
#include "tls.h"
#include <stdlib.h>

#define HTTP_BACKLOG 1024

/* --- Flushing: all that was answered since the last turn leaves in one write a connection ----- */
static void server_on_again(uv_idle_t *idle)
{
  (void)idle; /* while it runs the loop does not wait; the work is done by prepare and check */
}

void http_server_flush_soon(struct http_server *server)
{
  if (!uv_is_closing((uv_handle_t *)&server->again))
    uv_idle_start(&server->again, server_on_again);
}

void http_server_orphan(struct http_req *req)
{
  req->ended = true;
  req->next = req->server->orphans;
  req->server->orphans = req;
  http_server_flush_soon(req->server);
}

static void orphans_leave(struct http_server *server)
{
  struct http_req *req = server->orphans, *next;

  server->orphans = NULL;
  for (; req != NULL; req = next) {
    next = req->next;
    http_reply_leave(req);
  }
}

static void server_drained_maybe(struct http_server *server)
{
  void (*drained)(void *) = server->drained;

  if (drained == NULL || server->closing || !list_empty(&server->conns) || server->requests > 0)
    return;
  server->drained = NULL;
  drained(server->drained_arg);
}

static void server_flush(struct http_server *server)
{
  struct list work;
  struct list *node;

  if (!uv_is_active((uv_handle_t *)&server->again))
    return; /* nothing happened */
  uv_idle_stop(&server->again);
  server->requests++; /* holds the server while callbacks run */
  orphans_leave(server);
  list_init(&work);
  while ((node = list_pop(&server->dirty)) != NULL)
    list_push(&work, node);
  while ((node = list_pop(&work)) != NULL)
    http_conn_flush(LIST_ITEM(node, struct http_conn, dirty_node));
  server->requests--;
  server_drained_maybe(server);
  http_server_free_maybe(server);
}

static void server_on_prepare(uv_prepare_t *prepare)
{
  server_flush(prepare->data);
}

static void server_on_check(uv_check_t *check)
{
  server_flush(check->data);
}

/* --- Deadlines -------------------------------------------------------------------------------- */
void http_server_sweep(struct http_server *server)
{
  int64_t now_ms = server->env->mono_ms(server->env);
  struct list work;
  struct list *node;

  list_init(&work);
  while ((node = list_pop(&server->conns)) != NULL)
    list_push(&work, node);
  while ((node = list_pop(&work)) != NULL) {
    list_push(&server->conns, node);
    if (server->closing) /* a callback has closed the server meanwhile */
      http_conn_close(LIST_ITEM(node, struct http_conn, node));
    else
      http_conn_sweep(LIST_ITEM(node, struct http_conn, node), now_ms);
  }
}

static void server_on_sweep(uv_timer_t *timer)
{
  http_server_sweep(timer->data);
}

/* --- Life ------------------------------------------------------------------------------------- */
static void conf_defaults(struct http_server_conf *conf)
{
  if (conf->connections_max == 0)
    conf->connections_max = 10000;
  if (conf->head_ms == 0)
    conf->head_ms = 10000;
  if (conf->body_ms == 0)
    conf->body_ms = 60000;
  if (conf->idle_ms == 0)
    conf->idle_ms = 75000;
  if (conf->write_ms == 0)
    conf->write_ms = 60000;
  if (conf->body_max == 0)
    conf->body_max = (uint64_t)10 << 20;
}

struct http_server *http_server_new(uv_loop_t *loop, const struct env *env, const struct http_server_conf *conf,
                                    const struct http_handler *handler, void *arg)
{
  struct http_server *server = xcalloc(1, sizeof(*server));

  server->loop = loop;
  server->env = env;
  server->conf = *conf;
  server->handler = handler;
  server->arg = arg;
  conf_defaults(&server->conf);
  list_init(&server->listeners);
  list_init(&server->conns);
  list_init(&server->dirty);
  server->slab = xrealloc(NULL, HTTP_READ_SLAB_BYTES);
  uv_timer_init(loop, &server->sweep);
  uv_prepare_init(loop, &server->prepare);
  uv_check_init(loop, &server->check);
  uv_idle_init(loop, &server->again);
  server->sweep.data = server->prepare.data = server->check.data = server->again.data = server;
  server->handles = 4;
  uv_timer_start(&server->sweep, server_on_sweep, HTTP_SWEEP_MS, HTTP_SWEEP_MS);
  uv_prepare_start(&server->prepare, server_on_prepare);
  uv_check_start(&server->check, server_on_check);
  return server;
}

void http_server_free_maybe(struct http_server *server)
{
  void (*closed)(void *) = server->closed;
  void *arg = server->closed_arg;

  if (!server->closing || server->handles > 0 || server->requests > 0)
    return;
  tls_context_unref(&server->tls);
  free(server->slab);
  free(server->plain);
  free(server);
  closed(arg);
}

static void server_on_closed(uv_handle_t *handle)
{
  struct http_server *server = handle->data;

  server->handles--;
  http_server_free_maybe(server);
}

/* --- Listening -------------------------------------------------------------------------------- */
static void listener_on_closed(uv_handle_t *handle)
{
  struct http_listener *listener = container_of((uv_tcp_t *)handle, struct http_listener, tcp);
  struct http_server *server = listener->server;

  free(listener);
  server->handles--;
  http_server_free_maybe(server);
}

static void listener_on_connection(uv_stream_t *stream, int status)
{
  if (status == 0)
    http_conn_accept(container_of((uv_tcp_t *)stream, struct http_listener, tcp));
}

static void listeners_close(struct http_server *server)
{
  struct list *node;

  while ((node = list_pop(&server->listeners)) != NULL)
    uv_close((uv_handle_t *)&LIST_ITEM(node, struct http_listener, node)->tcp, listener_on_closed);
}

static parley_status listener_open(struct http_listener *listener, const struct net_address *at, uint16_t *ret_port)
{
  struct sockaddr_storage bound;
  struct net_address address;
  int len = sizeof(bound);
  int err = uv_tcp_bind(&listener->tcp, &at->any, 0);

  if (err == 0)
    err = uv_listen((uv_stream_t *)&listener->tcp, HTTP_BACKLOG, listener_on_connection);
  if (err == 0)
    err = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &len);
  if (err == UV_EADDRINUSE)
    return PARLEY_BUSY;
  if (err == UV_EACCES)
    return PARLEY_DENIED;
  if (err != 0 || !net_address_of((struct sockaddr *)&bound, &address))
    return PARLEY_INVALID;
  *ret_port = net_address_port(&address);
  return PARLEY_OK;
}

static const char *listen_why(parley_status status)
{
  if (status == PARLEY_BUSY)
    return "the address is in use";
  if (status == PARLEY_DENIED)
    return "the port needs a privilege";
  return "the address is not one of this machine";
}

parley_status http_server_listen(struct http_server *server, parley_text address, uint16_t *ret_port, struct buf *why)
{
  struct http_listener *listener;
  struct net_address at;
  parley_status st;

  if (!net_address_port_parse(address, &at)) {
    buf_printf(why, "%.*s: not an address with a port, such as 127.0.0.1:8080", (int)address.len, address.at);
    return PARLEY_INVALID;
  }
  listener = xcalloc(1, sizeof(*listener));
  listener->server = server;
  list_push(&server->listeners, &listener->node);
  uv_tcp_init(server->loop, &listener->tcp);
  server->handles++;
  st = listener_open(listener, &at, ret_port);
  if (st != PARLEY_OK) {
    buf_printf(why, "%.*s: %s", (int)address.len, address.at, listen_why(st));
    list_remove(&listener->node);
    uv_close((uv_handle_t *)&listener->tcp, listener_on_closed);
  }
  return st;
}

void http_server_tls_set(struct http_server *server, struct tls_context *context)
{
  struct tls_context *old = server->tls;

  server->tls = context != NULL ? tls_context_ref(context) : NULL;
  tls_context_unref(&old);
}

/* --- Leaving ---------------------------------------------------------------------------------- */
static void conn_drain(struct http_conn *conn)
{
  for (struct http_req *req = conn->first; req != NULL; req = req->next)
    if (req->events != NULL)
      http_stream_end(&req->pub);
  http_conn_dirty(conn); /* the flush closes it when it is idle */
}

void http_server_drain(struct http_server *server, void (*drained)(void *arg), void *arg)
{
  server->draining = true;
  server->drained = drained;
  server->drained_arg = arg;
  listeners_close(server);
  for (struct list *node = server->conns.next; node != &server->conns; node = node->next)
    conn_drain(LIST_ITEM(node, struct http_conn, node));
  http_server_flush_soon(server);
}

void http_server_close(struct http_server **ret_server, void (*closed)(void *arg), void *arg)
{
  struct http_server *server = *ret_server;
  struct list *node;

  *ret_server = NULL;
  server->closing = true;
  server->closed = closed;
  server->closed_arg = arg;
  listeners_close(server);
  while ((node = list_pop(&server->conns)) != NULL)
    http_conn_close(LIST_ITEM(node, struct http_conn, node));
  orphans_leave(server);
  uv_close((uv_handle_t *)&server->sweep, server_on_closed);
  uv_close((uv_handle_t *)&server->prepare, server_on_closed);
  uv_close((uv_handle_t *)&server->check, server_on_closed);
  uv_close((uv_handle_t *)&server->again, server_on_closed);
}

const struct http_counters *http_server_counters(const struct http_server *server)
{
  return &server->counters;
}
