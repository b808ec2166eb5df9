#include "dns.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include <ares.h>
#include <stdlib.h>
#include <string.h>

#define DNS_TICK_MS 250 /* how exact deadlines and retransmissions are */
#define DNS_TRY_MS 2000 /* per server and try */
#define DNS_TRIES 3
#define TYPE_IN 1   /* RFC 1035 3.2.4 */
#define TYPE_TXT 16 /* RFC 1035 3.2.2 */
#define DNS_TIMEOUT_MS 10000 /* when the caller names none */

struct dns {
  uv_loop_t *loop;
  const struct env *env;
  ares_channel channel;
  uv_timer_t timer; /* runs while a look-up is under way */
  uv_idle_t soon;   /* runs while an answer is to be handed over */
  struct list polls, waiting, finished;
  struct map by_id;
  size_t handles, n_waiting;
  uint64_t last_id;
  bool closing;
  void (*closed)(void *arg);
  void *closed_arg;
};

struct dns_poll {
  uv_poll_t poll;
  struct dns *dns;
  struct list node;
  int fd;
};

struct dns_query {
  struct dns *dns;
  struct list node; /* in waiting, then in finished */
  uint64_t id;
  int64_t deadline_ms;
  dns_done *done;
  void *arg;
  uint16_t port;
  bool asked; /* c-ares still holds it */
  bool over;  /* its answer has been handed over, or it is in finished */
  bool telling;
  parley_status status;
  const char *why;
  uint32_t ttl_s;
  size_t n_addresses;
  struct net_address addresses[DNS_ADDRESSES_MAX];
  size_t n_texts;
  parley_text *texts; /* each heap; NULL: none */
};

/* --- Answers ---------------------------------------------------------------------------------- */
static void soon_on_idle(uv_idle_t *idle);

static void query_finish(struct dns_query *query, parley_status status, const char *why)
{
  struct dns *dns = query->dns;

  if (query->over)
    return;
  query->over = true;
  query->status = status;
  query->why = why;
  dns->n_waiting--;
  list_remove(&query->node);
  list_push(&dns->finished, &query->node);
  if (!dns->closing)
    uv_idle_start(&dns->soon, soon_on_idle);
}

static void query_free(struct dns_query *query)
{
  for (size_t i = 0; i < query->n_texts; i++)
    free((void *)(uintptr_t)query->texts[i].at);
  free(query->texts);
  free(query);
}

static void query_tell(struct dns_query *query)
{
  struct dns_answer answer = {.status = query->status,
                              .why = query->why,
                              .addresses = query->addresses,
                              .n_addresses = query->status == PARLEY_OK ? query->n_addresses : 0,
                              .texts = query->texts,
                              .n_texts = query->status == PARLEY_OK ? query->n_texts : 0,
                              .ttl_s = query->ttl_s};
  dns_done *done = query->done;
  void *arg = query->arg;

  map_take(&query->dns->by_id, query->id);
  query->telling = true; /* done may close the module, which ends what c-ares holds */
  done(&answer, arg);
  query->telling = false;
  if (!query->asked)
    query_free(query);
}

static void finished_tell(struct dns *dns)
{
  struct list work;
  struct list *node;

  list_init(&work);
  while ((node = list_pop(&dns->finished)) != NULL)
    list_push(&work, node);
  while ((node = list_pop(&work)) != NULL)
    query_tell(LIST_ITEM(node, struct dns_query, node));
}

static void soon_on_idle(uv_idle_t *idle)
{
  struct dns *dns = container_of(idle, struct dns, soon);

  uv_idle_stop(idle);
  finished_tell(dns);
}

static parley_status status_of(int ares_status)
{
  switch (ares_status) {
  case ARES_SUCCESS:
    return PARLEY_OK;
  case ARES_ENOTFOUND:
  case ARES_ENODATA:
  case ARES_EBADNAME:
  case ARES_ENONAME:
    return PARLEY_NOT_FOUND;
  case ARES_ETIMEOUT:
    return PARLEY_TIMEOUT;
  case ARES_ECANCELLED:
  case ARES_EDESTRUCTION:
    return PARLEY_CANCELLED;
  default:
    return PARLEY_RETRY;
  }
}

static void addresses_keep(struct dns_query *query, const struct ares_addrinfo *info)
{
  for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
    struct net_address *to = &query->addresses[query->n_addresses];

    if (query->n_addresses == DNS_ADDRESSES_MAX)
      break;
    if (!net_address_of(node->ai_addr, to))
      continue;
    net_address_port_set(to, query->port);
    if (node->ai_ttl > 0 && (query->ttl_s == 0 || (uint32_t)node->ai_ttl < query->ttl_s))
      query->ttl_s = (uint32_t)node->ai_ttl;
    query->n_addresses++;
  }
}

static void query_on_ares(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
  struct dns_query *query = arg;

  (void)timeouts;
  query->asked = false;
  if (info != NULL && status == ARES_SUCCESS && !query->over)
    addresses_keep(query, info);
  if (info != NULL)
    ares_freeaddrinfo(info);
  if (query->over) { /* timed out or cancelled before; still in finished, if its done has not run */
    if (list_empty(&query->node) && !query->telling)
      query_free(query);
    return;
  }
  if (status == ARES_SUCCESS && query->n_addresses == 0)
    status = ARES_ENODATA;
  query_finish(query, status_of(status), ares_strerror(status));
}

/* --- TXT records ------------------------------------------------------------------------------ */
static void text_keep(struct dns_query *query, const struct ares_txt_ext *piece)
{
  parley_text *text = &query->texts[query->n_texts - 1];
  char *grown;

  if (text->len + piece->length > DNS_TEXT_BYTES_MAX)
    return;
  grown = realloc((void *)(uintptr_t)text->at, text->len + piece->length + 1);
  if (grown == NULL)
    return;
  memcpy(grown + text->len, piece->txt, piece->length);
  *text = (parley_text){grown, text->len + piece->length};
}

static int texts_keep(struct dns_query *query, const unsigned char *packet, int len)
{
  struct ares_txt_ext *first = NULL;
  int status = ares_parse_txt_reply_ext(packet, len, &first);

  if (status != ARES_SUCCESS)
    return status;
  query->texts = xcalloc(DNS_TEXTS_MAX, sizeof(*query->texts));
  for (const struct ares_txt_ext *piece = first; piece != NULL; piece = piece->next) {
    if (piece->record_start && query->n_texts == DNS_TEXTS_MAX)
      break;
    query->n_texts += piece->record_start != 0;
    text_keep(query, piece);
  }
  ares_free_data(first);
  return query->n_texts > 0 ? ARES_SUCCESS : ARES_ENODATA;
}

static void texts_on_ares(void *arg, int status, int timeouts, unsigned char *packet, int len)
{
  struct dns_query *query = arg;

  (void)timeouts;
  query->asked = false;
  if (query->over) {
    if (list_empty(&query->node) && !query->telling)
      query_free(query);
    return;
  }
  if (status == ARES_SUCCESS)
    status = texts_keep(query, packet, len);
  query_finish(query, status_of(status), ares_strerror(status));
}

/* --- c-ares' sockets and clock ---------------------------------------------------------------- */
static void dns_free_maybe(struct dns *dns)
{
  void (*closed)(void *) = dns->closed;
  void *arg = dns->closed_arg;

  if (!dns->closing || dns->handles > 0)
    return;
  finished_tell(dns);
  map_done(&dns->by_id);
  free(dns);
  ares_library_cleanup();
  closed(arg);
}

static void poll_on_closed(uv_handle_t *handle)
{
  struct dns_poll *poll = container_of((uv_poll_t *)handle, struct dns_poll, poll);
  struct dns *dns = poll->dns;

  free(poll);
  dns->handles--;
  dns_free_maybe(dns);
}

static void poll_on_ready(uv_poll_t *handle, int status, int events)
{
  struct dns_poll *poll = container_of(handle, struct dns_poll, poll);
  ares_socket_t fd = poll->fd;

  if (status < 0)
    events = UV_READABLE | UV_WRITABLE; /* c-ares finds the error itself */
  ares_process_fd(poll->dns->channel, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                  events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static struct dns_poll *poll_find(struct dns *dns, int fd)
{
  for (struct list *node = dns->polls.next; node != &dns->polls; node = node->next)
    if (LIST_ITEM(node, struct dns_poll, node)->fd == fd)
      return LIST_ITEM(node, struct dns_poll, node);
  return NULL;
}

static void poll_close(struct dns_poll *poll)
{
  list_remove(&poll->node);
  uv_close((uv_handle_t *)&poll->poll, poll_on_closed); /* off epoll at once: c-ares closes the socket next */
}

static struct dns_poll *poll_new(struct dns *dns, int fd)
{
  struct dns_poll *poll = xcalloc(1, sizeof(*poll));

  poll->dns = dns;
  poll->fd = fd;
  if (uv_poll_init(dns->loop, &poll->poll, fd) != 0) {
    free(poll);
    return NULL; /* the look-up then runs into its time-out */
  }
  dns->handles++;
  list_push(&dns->polls, &poll->node);
  return poll;
}

static void dns_on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
  struct dns *dns = arg;
  struct dns_poll *poll = poll_find(dns, fd);

  if (!readable && !writable) {
    if (poll != NULL)
      poll_close(poll);
    return;
  }
  if (poll == NULL)
    poll = poll_new(dns, fd);
  if (poll != NULL)
    uv_poll_start(&poll->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), poll_on_ready);
}

static void dns_on_tick(uv_timer_t *timer)
{
  struct dns *dns = container_of(timer, struct dns, timer);
  int64_t now_ms = dns->env->mono_ms(dns->env);
  struct list *node, *next;

  ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  for (node = dns->waiting.next; node != &dns->waiting; node = next) {
    struct dns_query *query = LIST_ITEM(node, struct dns_query, node);

    next = node->next;
    if (now_ms >= query->deadline_ms)
      query_finish(query, PARLEY_TIMEOUT, "no answer in time");
  }
  if (dns->n_waiting == 0)
    uv_timer_stop(timer);
}

/* --- The module ------------------------------------------------------------------------------- */
parley_status dns_new(uv_loop_t *loop, const struct env *env, const char *servers, struct dns **ret)
{
  struct dns *dns = xcalloc(1, sizeof(*dns));
  struct ares_options options = {
      .timeout = DNS_TRY_MS, .tries = DNS_TRIES, .sock_state_cb = dns_on_socket, .sock_state_cb_data = dns};

  dns->loop = loop;
  dns->env = env;
  list_init(&dns->polls);
  list_init(&dns->waiting);
  list_init(&dns->finished);
  if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
    free(dns);
    return PARLEY_FAILED;
  }
  if (ares_init_options(&dns->channel, &options, ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) !=
      ARES_SUCCESS) {
    ares_library_cleanup();
    free(dns);
    return PARLEY_FAILED;
  }
  if (servers != NULL && ares_set_servers_ports_csv(dns->channel, servers) != ARES_SUCCESS) {
    ares_destroy(dns->channel);
    ares_library_cleanup();
    free(dns);
    return PARLEY_FAILED;
  }
  uv_timer_init(loop, &dns->timer);
  uv_idle_init(loop, &dns->soon);
  dns->handles = 2;
  *ret = dns;
  return PARLEY_OK;
}

static void query_begin(struct dns_query *query)
{
  query->asked = true;
  if (!uv_is_active((uv_handle_t *)&query->dns->timer))
    uv_timer_start(&query->dns->timer, dns_on_tick, DNS_TICK_MS, DNS_TICK_MS);
}

static void query_ask(struct dns_query *query, const char *host)
{
  struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

  query_begin(query);
  ares_getaddrinfo(query->dns->channel, host, NULL, &hints, query_on_ares, query);
}

static struct dns_query *query_new(struct dns *dns, uint32_t timeout_ms, dns_done *done, void *arg)
{
  struct dns_query *query = xcalloc(1, sizeof(*query));

  query->dns = dns;
  query->id = ++dns->last_id;
  query->done = done;
  query->arg = arg;
  query->deadline_ms = dns->env->mono_ms(dns->env) + (timeout_ms > 0 ? timeout_ms : DNS_TIMEOUT_MS);
  list_push(&dns->waiting, &query->node);
  dns->n_waiting++;
  map_put(&dns->by_id, query->id, query);
  return query;
}

uint64_t dns_texts(struct dns *dns, const char *name, uint32_t timeout_ms, dns_done *done, void *arg)
{
  struct dns_query *query = query_new(dns, timeout_ms, done, arg);
  uint64_t id = query->id;

  if (*name == '\0') {
    query_finish(query, PARLEY_NOT_FOUND, "not a name");
  } else if (dns->n_waiting > DNS_WAITING_MAX) {
    query_finish(query, PARLEY_BUSY, "too many look-ups at once");
  } else {
    query_begin(query);
    ares_query(dns->channel, name, TYPE_IN, TYPE_TXT, texts_on_ares, query);
  }
  return id;
}

uint64_t dns_resolve(struct dns *dns, const char *host, uint16_t port, uint32_t timeout_ms, dns_done *done, void *arg)
{
  struct dns_query *query = query_new(dns, timeout_ms, done, arg);
  parley_text name = parley_text_of(host);

  query->port = port;
  if (net_address_parse(name, port, &query->addresses[0]) || net_address_numeric(name, port, &query->addresses[0])) {
    query->n_addresses = 1;
    query_finish(query, PARLEY_OK, "numeric");
  } else if (name.len == 0 || net_host_looks_numeric(name)) {
    query_finish(query, PARLEY_NOT_FOUND, "not a name");
  } else if (dns->n_waiting > DNS_WAITING_MAX) {
    query_finish(query, PARLEY_BUSY, "too many look-ups at once");
  } else {
    query_ask(query, host);
  }
  return dns->last_id;
}

void dns_cancel(struct dns *dns, uint64_t id)
{
  struct dns_query *query = map_get(&dns->by_id, id);

  if (query != NULL && !query->over)
    query_finish(query, PARLEY_CANCELLED, "cancelled");
  else if (query != NULL)
    query->status = PARLEY_CANCELLED; /* its answer was about to be handed over */
}

static void handle_on_closed(uv_handle_t *handle)
{
  struct dns *dns = handle->type == UV_TIMER ? container_of((uv_timer_t *)handle, struct dns, timer)
                                             : container_of((uv_idle_t *)handle, struct dns, soon);

  dns->handles--;
  dns_free_maybe(dns);
}

void dns_close(struct dns **ret_dns, void (*closed)(void *arg), void *arg)
{
  struct dns *dns = *ret_dns;

  *ret_dns = NULL;
  dns->closing = true;
  dns->closed = closed;
  dns->closed_arg = arg;
  ares_destroy(dns->channel); /* each look-up under way comes back with EDESTRUCTION */
  while (!list_empty(&dns->polls))
    poll_close(LIST_ITEM(dns->polls.next, struct dns_poll, node));
  uv_close((uv_handle_t *)&dns->timer, handle_on_closed);
  uv_close((uv_handle_t *)&dns->soon, handle_on_closed);
}
