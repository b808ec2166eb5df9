#include "http_client.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "http_client_in.h"
#include <stdlib.h>
#include <string.h>

int64_t client_now(const struct http_client *client)
{
  return client->env->mono_ms(client->env);
}

/* --- Transfers: an easy handle and all that one request needs, used again and again ----------- */
static void easy_options(struct http_client *client, CURL *easy)
{
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* what was signed is what is sent */
  curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L); /* names are pinned and renewed here */
  if (client->ca_file != NULL)
    curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
}

static struct transfer *transfer_take(struct http_client *client)
{
  struct list *node = list_pop(&client->idle);
  struct transfer *transfer;

  if (node != NULL) {
    client->n_idle--;
    return LIST_ITEM(node, struct transfer, node);
  }
  transfer = xcalloc(1, sizeof(*transfer));
  transfer->client = client;
  transfer->easy = curl_easy_init();
  transfer->parsed = curl_url();
  if (transfer->easy == NULL || transfer->parsed == NULL)
    abort(); /* memory is gone */
  list_init(&transfer->node);
  transfer->asked = BUF_INIT(URL_BYTES_MAX);
  transfer->plain = BUF_INIT(URL_BYTES_MAX + URL_HOST_MAX);
  transfer->text = BUF_INIT(CLIENT_HEAD_MAX);
  easy_options(client, transfer->easy);
  client_easy_sockets(client, transfer);
  client_easy_reply(transfer);
  return transfer;
}

static void transfer_free(struct transfer *transfer)
{
  curl_easy_cleanup(transfer->easy);
  curl_url_cleanup(transfer->parsed);
  buf_done(&transfer->asked);
  buf_done(&transfer->plain);
  buf_done(&transfer->text);
  buf_done(&transfer->head);
  buf_done(&transfer->got);
  buf_done(&transfer->reason);
  free(transfer->lines);
  free(transfer->headers);
  free(transfer->body);
  curl_slist_free_all(transfer->pins);
  free(transfer);
}

static void transfer_shrink(struct transfer *transfer)
{
  if (transfer->got.room > CLIENT_KEEP_BYTES)
    buf_done(&transfer->got);
  if (transfer->body_room <= CLIENT_KEEP_BYTES)
    return;
  free(transfer->body);
  transfer->body = NULL;
  transfer->body_room = 0;
}

static void transfer_give_back(struct transfer *transfer)
{
  struct http_client *client = transfer->client;

  transfer_shrink(transfer);
  curl_slist_free_all(transfer->pins);
  transfer->pins = NULL;
  transfer->state = TRANSFER_IDLE;
  if (client->closing || client->n_idle == CLIENT_IDLE_EASY_MAX) {
    transfer_free(transfer);
    return;
  }
  list_insert_before(client->idle.next, &transfer->node); /* the next one to be used: its memory is at hand */
  client->n_idle++;
}

static void client_on_soon(uv_idle_t *idle)
{
  struct http_client *client = container_of(idle, struct http_client, soon);

  uv_idle_stop(idle);
  if (client->kick)
    client_kick(client);
  else
    client_tell(client);
}

void client_soon(struct http_client *client)
{
  if (!client->closing)
    uv_idle_start(&client->soon, client_on_soon);
}

void transfer_finish(struct transfer *transfer)
{
  struct http_client *client = transfer->client;

  transfer->state = TRANSFER_FINISHED;
  list_remove(&transfer->node);
  list_push(&client->finished, &transfer->node);
  client_soon(client);
}

void client_tell(struct http_client *client)
{
  struct list work;
  struct list *node;

  list_init(&work);
  while ((node = list_pop(&client->finished)) != NULL)
    list_push(&work, node);
  while ((node = list_pop(&work)) != NULL) {
    struct transfer *transfer = LIST_ITEM(node, struct transfer, node);

    map_take(&client->by_id, transfer->id);
    client->counters.in_flight--;
    transfer->done(&transfer->reply, transfer->arg);
    transfer_give_back(transfer);
  }
  if (list_empty(&client->finished) && !client->closing && !client->kick)
    uv_idle_stop(&client->soon);
}

void transfer_fail(struct transfer *transfer, parley_status status, const char *word, const char *detail)
{
  transfer->client->counters.failed++;
  transfer_reply_fail(transfer, status, word, detail);
  transfer_finish(transfer);
}

/* --- Taking a request in ---------------------------------------------------------------------- */
static bool name_byte_ok(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         (c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL);
}

static bool header_ok(const parley_pair *header)
{
  static const char *const ours[] = {"host", "content-length", "connection", "transfer-encoding", "expect",
                                     "te",   "upgrade"};

  if (header->name.len == 0 || text_has_control(header->value))
    return false;
  for (size_t i = 0; i < header->name.len; i++)
    if (!name_byte_ok(header->name.at[i]))
      return false;
  for (size_t i = 0; i < COUNT_OF(ours); i++)
    if (text_is_nocase(header->name, ours[i]))
      return false;
  return true;
}

/* One "Name: value" behind the other in transfer->text; the list that libcurl wants points into it. */
static bool headers_copy(struct transfer *transfer, const struct http_call *call)
{
  bool typed = false, named = false;
  char *at;

  buf_clear(&transfer->text);
  for (uint32_t i = 0; i < call->n_headers; i++) {
    const parley_pair *header = &call->headers[i];

    if (!header_ok(header))
      return false;
    typed = typed || text_is_nocase(header->name, "content-type");
    named = named || text_is_nocase(header->name, "user-agent");
    buf_text(&transfer->text, header->name);
    buf_str(&transfer->text, header->value.len > 0 ? ": " : ";"); /* libcurl's way to say: send it empty */
    buf_text(&transfer->text, header->value);
    buf_char(&transfer->text, '\0');
  }
  buf_add(&transfer->text, "Expect:", 8); /* with the NUL: never sent */
  if (!typed)
    buf_add(&transfer->text, "Content-Type:", 14);
  if (!named) { /* as a line: libcurl would write its own option anew for each request, then copy it */
    buf_str(&transfer->text, "User-Agent: ");
    buf_add(&transfer->text, transfer->client->user_agent, strlen(transfer->client->user_agent) + 1);
  }
  if (transfer->text.overflow)
    return false;
  transfer->n_lines = call->n_headers + 1 + !typed + !named;
  transfer->lines = xrealloc(transfer->lines, transfer->n_lines * sizeof(*transfer->lines));
  at = transfer->text.at;
  for (uint32_t i = 0; i < transfer->n_lines; i++, at += strlen(at) + 1)
    transfer->lines[i] = (struct curl_slist){at, i + 1 < transfer->n_lines ? &transfer->lines[i + 1] : NULL};
  return true;
}

static bool method_copy(struct transfer *transfer, const struct http_call *call)
{
  parley_text method = call->method;

  if (method.len == 0)
    method = call->body.len > 0 ? PARLEY_LIT("POST") : PARLEY_LIT("GET");
  if (method.len > CLIENT_METHOD_MAX)
    return false;
  for (size_t i = 0; i < method.len; i++)
    if (method.at[i] < 'A' || method.at[i] > 'Z')
      return false;
  memcpy(transfer->method, method.at, method.len);
  transfer->method[method.len] = '\0';
  transfer->repeatable = parley_text_is(method, "GET") || parley_text_is(method, "HEAD");
  return true;
}

/* In normal form: what was checked is what libcurl gets. CURLOPT_URL is what it speaks of, `parsed` what it goes to. */
static bool url_hand_over(struct transfer *transfer)
{
  buf_clear(&transfer->plain);
  url_write(&transfer->plain, &transfer->url);
  if (transfer->plain.overflow || curl_url_set(transfer->parsed, CURLUPART_URL, transfer->plain.at,
                                               CURLU_PATH_AS_IS | CURLU_DISALLOW_USER) != CURLUE_OK)
    return false;
  curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->plain.at);
  curl_easy_setopt(transfer->easy, CURLOPT_CURLU, transfer->parsed);
  /* Over TLS the handshake says whether one connection carries many. In the clear only the first answer would: everyone would
   * wait behind an endpoint that gives none. */
  curl_easy_setopt(transfer->easy, CURLOPT_PIPEWAIT, url_tls(transfer->url.scheme) ? 1L : 0L);
  return true;
}

/* NULL, or what is wrong with it. A transfer that is used again mostly goes where it went before: then all is ready. */
static const char *url_take(struct transfer *transfer, parley_text url)
{
  struct buf *asked = &transfer->asked;
  const char *why = NULL;

  if (url.len > 0 && text_eq(url, buf_as_text(asked)))
    return NULL;
  buf_clear(asked);
  buf_text(asked, url);
  if (url_parse(asked->overflow ? url : buf_as_text(asked), &transfer->url, &why) == PARLEY_OK &&
      transfer->url.scheme != URL_HTTP && transfer->url.scheme != URL_HTTPS)
    why = "scheme_not_allowed";
  if (why == NULL && !url_hand_over(transfer))
    why = "url_invalid";
  if (why != NULL)
    buf_clear(asked);
  return why;
}

/* NULL when all is well, else the word that says what is not; *ret_status gets INVALID or DENIED. */
static const char *call_check(struct transfer *transfer, const struct http_call *call, parley_status *ret_status)
{
  const char *why = url_take(transfer, call->url);

  *ret_status = PARLEY_INVALID;
  if (why != NULL)
    return why;
  if (!method_copy(transfer, call))
    return "method_invalid";
  if (call->n_headers > CLIENT_HEADERS_MAX || !headers_copy(transfer, call))
    return "header_invalid";
  *ret_status = egress_url_check(transfer->client->egress, &transfer->url, &why);
  return *ret_status == PARLEY_OK ? NULL : why;
}

static void body_copy(struct transfer *transfer, parley_bytes body)
{
  if (body.len > transfer->body_room || transfer->body == NULL) {
    free(transfer->body);
    transfer->body_room = body.len > CLIENT_KEEP_BYTES / 2 ? body.len : CLIENT_KEEP_BYTES / 2;
    transfer->body = xcalloc(1, transfer->body_room);
  }
  if (body.len > 0)
    memcpy(transfer->body, body.at, body.len);
  transfer->body_len = body.len;
}

static void call_copy(struct transfer *transfer, const struct http_call *call)
{
  uint32_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : HTTP_CLIENT_TIMEOUT_MS;

  transfer->deadline_ms = client_now(transfer->client) + timeout_ms;
  transfer->response_max = call->response_max > 0 ? call->response_max : HTTP_CLIENT_RESPONSE_MAX;
  buf_clear(&transfer->got);
  transfer->got.max = transfer->response_max + 1;
  body_copy(transfer, call->body);
  transfer->n_sends = 0;
  transfer->denied = transfer->too_large = transfer->replayed = false;
  transfer->error[0] = '\0';
  buf_clear(&transfer->head);
}

/* --- Sending it ------------------------------------------------------------------------------- */
static void method_set(struct transfer *transfer)
{
  CURL *easy = transfer->easy;
  bool post = strcmp(transfer->method, "POST") == 0, get = strcmp(transfer->method, "GET") == 0;

  if (strcmp(transfer->method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (transfer->body_len > 0 || post) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_len);
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, post || (get && transfer->body_len == 0) ? NULL : transfer->method);
}

/* Not over TLS, where it may become HTTP/2: with so small a buffer libcurl 7.88 fails requests that share a connection. */
static void read_size_set(struct transfer *transfer)
{
  bool small = transfer->response_max <= CLIENT_RESPONSE_SMALL_MAX && !url_tls(transfer->url.scheme);
  long bytes = small ? CLIENT_READ_SMALL_BYTES : CLIENT_READ_BYTES;

  if (bytes != transfer->read_bytes && curl_easy_setopt(transfer->easy, CURLOPT_BUFFERSIZE, bytes) == CURLE_OK)
    transfer->read_bytes = bytes;
}

void transfer_start(struct transfer *transfer)
{
  struct http_client *client = transfer->client;
  int64_t left_ms = transfer->deadline_ms - client_now(client);

  if (left_ms <= 0) {
    transfer_fail(transfer, PARLEY_TIMEOUT, "timeout", "while its name was looked up");
    return;
  }
  read_size_set(transfer);
  curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
  curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
  method_set(transfer);
  transfer_pins_set(transfer);
  list_remove(&transfer->node);
  list_push(&client->running, &transfer->node);
  transfer->state = TRANSFER_RUNNING;
  if (curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK)
    transfer_fail(transfer, PARLEY_FAILED, "failed", "libcurl did not take it");
}

/* --- The module ------------------------------------------------------------------------------- */
uint64_t http_client_request(struct http_client *client, const struct http_call *call, http_client_done *done,
                             void *arg)
{
  struct transfer *transfer = transfer_take(client);
  parley_status st;
  const char *why;

  transfer->id = ++client->last_id;
  transfer->done = done;
  transfer->arg = arg;
  client->counters.requests++;
  map_put(&client->by_id, transfer->id, transfer);
  call_copy(transfer, call);
  why = call_check(transfer, call, &st);
  if (why != NULL)
    transfer_fail(transfer, st, why, "");
  else if (client->counters.in_flight >= client->conf.in_flight_max)
    transfer_fail(transfer, PARLEY_BUSY, "busy", "too many requests at once");
  else if (transfer->url.numeric)
    transfer_start(transfer);
  else
    transfer_name(transfer);
  client->counters.in_flight++;
  return client->last_id;
}

void transfer_cancel(struct transfer *transfer)
{
  if (transfer->state == TRANSFER_FINISHED || transfer->state == TRANSFER_IDLE)
    return;
  transfer_reply_fail(transfer, PARLEY_CANCELLED, "cancelled", "");
  if (transfer->state == TRANSFER_RUNNING)
    curl_multi_remove_handle(transfer->client->multi, transfer->easy);
  transfer_finish(transfer);
}

void http_client_cancel(struct http_client *client, uint64_t id)
{
  struct transfer *transfer = map_get(&client->by_id, id);

  if (transfer != NULL)
    transfer_cancel(transfer);
}

void http_client_egress_set(struct http_client *client, const struct egress *egress)
{
  client->egress = egress;
  client_hosts_expire(client); /* pins were made by the old rules */
}

const struct http_client_counters *http_client_counters(const struct http_client *client)
{
  return &client->counters;
}

static void conf_copy(struct http_client *client, const struct http_client_conf *conf)
{
  client->conf = *conf;
  if (client->conf.in_flight_max == 0)
    client->conf.in_flight_max = 4096;
  if (client->conf.connections_max == 0)
    client->conf.connections_max = 1024;
  client->ca_file = conf->ca_file != NULL ? xstrdup(conf->ca_file) : NULL;
  client->user_agent = xstrdup(conf->user_agent != NULL ? conf->user_agent : "parley");
}

parley_status http_client_new(uv_loop_t *loop, const struct env *env, struct dns *dns, const struct egress *egress,
                              const struct http_client_conf *conf, struct http_client **ret)
{
  struct http_client *client;

  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return PARLEY_FAILED;
  client = xcalloc(1, sizeof(*client));
  client->loop = loop;
  client->env = env;
  client->dns = dns;
  client->egress = egress;
  conf_copy(client, conf);
  list_init(&client->idle);
  list_init(&client->running);
  list_init(&client->finished);
  if (client_multi_new(client) != PARLEY_OK) {
    free(client->ca_file);
    free(client->user_agent);
    free(client);
    curl_global_cleanup();
    return PARLEY_FAILED;
  }
  uv_timer_init(loop, &client->timer);
  uv_idle_init(loop, &client->soon);
  client->handles = 2;
  *ret = client;
  return PARLEY_OK;
}

void client_free_maybe(struct http_client *client)
{
  void (*closed)(void *) = client->closed;
  void *arg = client->closed_arg;

  if (!client->closing || client->handles > 0)
    return;
  client_tell(client);
  if (client->hosts.count > 0) /* a look-up is still to come back */
    return;
  map_done(&client->hosts);
  map_done(&client->by_id);
  curl_slist_free_all(client->unpin);
  free(client->polls);
  free(client->ca_file);
  free(client->user_agent);
  free(client);
  curl_global_cleanup();
  closed(arg);
}

static void handle_on_closed(uv_handle_t *handle)
{
  struct http_client *client = handle->type == UV_TIMER ? container_of((uv_timer_t *)handle, struct http_client, timer)
                                                        : container_of((uv_idle_t *)handle, struct http_client, soon);

  client->handles--;
  client_free_maybe(client);
}

void http_client_close(struct http_client **ret_client, void (*closed)(void *arg), void *arg)
{
  struct http_client *client = *ret_client;
  struct list *node;

  *ret_client = NULL;
  client->closing = true;
  client->closed = closed;
  client->closed_arg = arg;
  while (!list_empty(&client->running))
    transfer_cancel(LIST_ITEM(client->running.next, struct transfer, node));
  client_hosts_close(client);
  while ((node = list_pop(&client->idle)) != NULL)
    transfer_free(LIST_ITEM(node, struct transfer, node));
  curl_multi_cleanup(client->multi); /* closes the kept connections */
  client->multi = NULL;
  for (size_t i = 0; i < client->n_polls; i++)
    if (client->polls[i] != NULL)
      client_poll_close(client->polls[i]);
  uv_close((uv_handle_t *)&client->timer, handle_on_closed);
  uv_close((uv_handle_t *)&client->soon, handle_on_closed);
}
