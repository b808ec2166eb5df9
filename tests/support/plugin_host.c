#include "plugin_host.h"
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/config/conf.h"
#include <check.h>
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define PLUGIN(h, call)                    \
  do {                                     \
    ck_assert_int_eq((h)->in_plugin++, 0); \
    call;                                  \
    (h)->in_plugin--;                      \
  } while (0) /* never nested */
#define NEXT(h, list) (&(h)->list[place_next(&(h)->n_##list, COUNT_OF((h)->list))])

static struct plugin_host *host_of(const parley_host *host)
{
  return host->impl;
}

static size_t place_next(size_t *count, size_t max)
{
  ck_assert_uint_lt(*count, max);
  return (*count)++;
}

/* --- Services: clock, randomness, log, timers -------------------------------------------------------------------- */

static int64_t host_now(const parley_host *host) { return host_of(host)->now_ms; }
static int64_t host_mono(const parley_host *host) { return host_of(host)->mono_ms; }

static void host_random(const parley_host *host, void *to, size_t len) /* xorshift: the same in each run */
{
  struct plugin_host *h = host_of(host);

  for (size_t i = 0; i < len; i++) {
    h->random_seed ^= h->random_seed << 13;
    h->random_seed ^= h->random_seed >> 7;
    h->random_seed ^= h->random_seed << 17;
    ((uint8_t *)to)[i] = (uint8_t)(h->random_seed >> 24);
  }
}

static void host_log(const parley_host *host, uint32_t level, parley_text line)
{
  struct plugin_host *h = host_of(host);

  ck_assert(level >= PARLEY_DEBUG && level <= PARLEY_ERROR);
  buf_text(&h->log, line);
  buf_char(&h->log, '\n');
  h->n_logs++;
}

static void host_metric(const parley_host *host, const char *name, parley_text label, double value)
{
  (void)label, (void)value;
  for (const parley_metric *const *m = host_of(host)->plugin->metrics; m != NULL && *m != NULL; m++)
    if (strcmp((*m)->name, name) == 0)
      return;
  ck_abort_msg("the metric %s is not declared", name);
}

static uint64_t host_timer(const parley_host *host, uint32_t after_ms, uint32_t every_ms, parley_call *due, void *arg)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_timer *timer = NEXT(h, timers);

  *timer = (struct plugin_host_timer){++h->next_id, h->mono_ms + after_ms, every_ms, due, arg};
  return timer->id;
}

static uint64_t host_watch(const parley_host *host, int32_t fd, uint32_t events, parley_ready *ready, void *arg)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_watch *watch = NEXT(h, watches);

  for (size_t i = 0; i + 1 < h->n_watches; i++)
    ck_assert_msg(h->watches[i].fd != fd, "descriptor %d is watched already", fd);
  *watch = (struct plugin_host_watch){++h->next_id, fd, events, ready, arg};
  return watch->id;
}

static void later_add(struct plugin_host *h, parley_done *done, void *arg, parley_status status, parley_text value)
{
  struct plugin_host_later *later;

  if (done == NULL)
    return;
  later = NEXT(h, laters);
  *later = (struct plugin_host_later){.done = done, .arg = arg};
  later->memory = value.len > 0 ? xmemdup(value.at, value.len) : NULL; /* freed right after: to be copied if kept */
  later->result = (parley_result){.size = sizeof(parley_result), .status = status, .value = {later->memory, value.len}};
}

static uint64_t host_work(const parley_host *host, parley_call *blocking, parley_done *done, void *arg)
{
  struct plugin_host *h = host_of(host);

  blocking(arg);
  later_add(h, done, arg, PARLEY_OK, TEXT_EMPTY);
  return ++h->next_id;
}

static void post_run(const parley_result *result, void *arg)
{
  struct plugin_host_later *post = arg;

  (void)result;
  ((parley_call *)(uintptr_t)post->memory)(post->arg);
  free(post);
}

static void host_post(const parley_host *host, parley_call *run, void *arg)
{
  struct plugin_host_later *post = xcalloc(1, sizeof *post);

  post->memory = (void *)(uintptr_t)run;
  post->arg = arg;
  later_add(host_of(host), post_run, post, PARLEY_OK, TEXT_EMPTY);
}

static void host_cancel(const parley_host *host, uint64_t id)
{
  struct plugin_host *h = host_of(host);

  for (size_t i = 0; i < h->n_timers; i++)
    if (h->timers[i].id == id) {
      h->timers[i] = h->timers[--h->n_timers];
      return;
    }
  for (size_t i = 0; i < h->n_watches; i++)
    if (h->watches[i].id == id) {
      h->watches[i] = h->watches[--h->n_watches];
      return;
    }
  for (size_t i = 0; i < h->n_https; i++)
    if (h->https[i].id == id)
      h->https[i].cancelled = h->https[i].open;
}

/* --- Services: messages ------------------------------------------------------------------------------------------ */

static void host_settle(const parley_host *host, uint64_t token, const parley_outcome *outcome)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_settle *settle = NEXT(h, settles);
  parley_text *ids = copy_room(h->kept, (outcome->n_ids + 1) * sizeof *ids);

  for (size_t i = 0; i + 1 < h->n_settles; i++)
    if (h->settles[i].token == token) /* an assertion that holds writes to a file each time, and these are many */
      ck_abort_msg("token %llu was settled twice", (unsigned long long)token);
  for (uint32_t i = 0; i < outcome->n_ids; i++)
    ids[i] = copy_text(h->kept, outcome->ids[i]);
  *settle = (struct plugin_host_settle){token, *outcome};
  settle->outcome.ids = ids;
  settle->outcome.code = copy_text(h->kept, outcome->code);
  settle->outcome.detail = copy_text(h->kept, outcome->detail);
  settle->outcome.destination = copy_text(h->kept, outcome->destination);
}

static void host_window(const parley_host *host, uint32_t in_flight) { host_of(host)->window = in_flight; }
static void host_trace(const parley_host *host, uint64_t token, parley_text line)
{
  (void)host, (void)token, (void)line;
}

static struct plugin_host_item *item_add(struct plugin_host *h, parley_done *done, void *arg)
{
  struct plugin_host_item *item = NEXT(h, items);

  *item = (struct plugin_host_item){.done = done, .arg = arg, .open = true};
  return item;
}

static void item_answer(struct plugin_host *h, struct plugin_host_item *item, parley_status status, const char *value)
{
  ck_assert(item->open);
  item->open = false;
  if (item->done == NULL)
    return;
  later_add(h, item->done, item->arg, status, parley_text_of(value));
  h->laters[h->n_laters - 1].result.count = h->says_count;
  h->laters[h->n_laters - 1].result.retry_ms = h->says_retry_ms;
  h->laters[h->n_laters - 1].result.reason = parley_text_of(h->says_reason);
}

static void host_inbound(const parley_host *host, const parley_inbound *inbound, parley_done *done, void *arg)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_item *item = item_add(h, done, arg);

  ck_assert(inbound->size == sizeof *inbound && inbound->kind >= PARLEY_KIND_CONTENT &&
            inbound->kind <= PARLEY_KIND_COMMENT);
  item->inbound = copy_inbound(h->kept, inbound);
  if (!h->hold)
    item_answer(h, item, h->says, h->says_value);
}

static void host_receipt(const parley_host *host, const parley_receipt *receipt, parley_done *done, void *arg)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_item *item = item_add(h, done, arg);

  ck_assert(receipt->size == sizeof *receipt && (receipt->provider_id.len > 0 || receipt->message_id.len > 0));
  item->receipt = copy_receipt(h->kept, receipt);
  if (!h->hold)
    item_answer(h, item, h->says, h->says_value);
}

static void host_event(const parley_host *host, const parley_touchpoint *event, parley_done *done, void *arg)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_item *item = item_add(h, done, arg);

  item->touchpoint = copy_text(h->kept, event->type);
  if (!h->hold)
    item_answer(h, item, h->says, h->says_value);
}

static size_t state_find(const struct plugin_host *h, parley_text key)
{
  size_t i = 0;

  while (i < h->n_states && !text_eq(h->states[i].key, key))
    i++;
  return i;
}

static void host_state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  struct plugin_host *h = host_of(host);
  size_t i = state_find(h, key);
  bool found = i < h->n_states && h->states[i].value.len > 0;

  later_add(h, done, arg, found ? PARLEY_OK : PARLEY_NOT_FOUND, found ? h->states[i].value : TEXT_EMPTY);
}

static void host_state_put(const parley_host *host, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  struct plugin_host *h = host_of(host);
  size_t i = state_find(h, key);

  ck_assert(key.len <= 128 && value.len <= 64 << 10);
  if (i == h->n_states)
    NEXT(h, states)->key = copy_text(h->kept, key);
  h->states[i].value = copy_text(h->kept, value);
  later_add(h, done, arg, PARLEY_OK, TEXT_EMPTY);
}

static void host_health(const parley_host *host, uint32_t level, parley_text cause, parley_text remedy)
{
  struct plugin_host *h = host_of(host);

  h->health = level;
  h->health_cause = copy_text(h->kept, cause);
  h->health_remedy = copy_text(h->kept, remedy);
}

/* --- HTTP -------------------------------------------------------------------------------------------------------- */

static uint64_t http_request(const parley_host *host, const parley_http_request *request, parley_http_done *done,
                             void *arg)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_http *http = NEXT(h, https);
  struct buf body = BUF_INIT(0);

  buf_text(&body, request->body);
  for (uint32_t i = 0; i < request->n_pieces; i++)
    buf_text(&body, request->pieces[i]->data);
  *http = (struct plugin_host_http){.id = ++h->next_id,
                                    .token = request->token,
                                    .response_max = request->response_max,
                                    .timeout_ms = request->timeout_ms,
                                    .n_headers = request->n_headers,
                                    .flags = request->flags,
                                    .done = done,
                                    .arg = arg,
                                    .open = true};
  http->method = copy_text(h->kept, request->method);
  http->url = copy_text(h->kept, request->url);
  http->headers = copy_pairs(h->kept, request->headers, request->n_headers);
  http->body = copy_text(h->kept, buf_as_text(&body));
  buf_done(&body);
  return http->id;
}

void plugin_host_http_reply(struct plugin_host *h, size_t index, const parley_http_response *response)
{
  struct plugin_host_http *http = &h->https[index];

  ck_assert(index < h->n_https && http->open);
  http->open = false;
  PLUGIN(h, http->done(response, http->arg));
  plugin_host_run(h);
}

void plugin_host_http_code(struct plugin_host *h, size_t index, uint32_t code)
{
  plugin_host_http_reply(h, index, PARLEY_REF(parley_http_response, .status = PARLEY_OK, .code = code, .sent = 1));
}

static void http_answer(const parley_host *host, uint64_t call, const parley_http_answer *answer)
{
  struct plugin_host *h = host_of(host);
  struct plugin_host_answer *kept = NEXT(h, answers);

  for (size_t i = 0; i + 1 < h->n_answers; i++)
    if (h->answers[i].call == call)
      ck_abort_msg("call %llu was answered twice", (unsigned long long)call);
  *kept = (struct plugin_host_answer){
      .call = call, .code = answer->code, .retry_ms = answer->retry_ms, .n_headers = answer->n_headers};
  kept->headers = copy_pairs(h->kept, answer->headers, answer->n_headers);
  kept->type = copy_text(h->kept, answer->type);
  kept->body = copy_text(h->kept, answer->body);
}

static const void *plugin_offer(const parley_plugin *plugin, const char *id)
{
  for (const parley_extension *const *e = plugin->offers; e != NULL && *e != NULL; e++)
    if (strcmp((*e)->id, id) == 0)
      return (*e)->table;
  return NULL;
}

uint64_t plugin_host_http_call(struct plugin_host *h, const char *method, const char *path, const parley_pair *headers,
                               uint32_t n_headers, parley_bytes body)
{
  const parley_http_in *table = plugin_offer(h->plugin, PARLEY_HTTP_IN);
  struct copy *frame = copy_new(); /* gone when the call returns */
  uint64_t id = ++h->next_id;
  parley_http_call call = {.size = sizeof call, .n_headers = n_headers};

  ck_assert_ptr_nonnull(table);
  call.method = copy_text(frame, parley_text_of(method));
  call.path = copy_text(frame, parley_text_of(path));
  call.url = copy_text(frame, PARLEY_LIT("https://parley.example/in/test"));
  call.peer = copy_text(frame, PARLEY_LIT("192.0.2.7"));
  call.headers = copy_pairs(frame, headers, n_headers);
  call.body = copy_text(frame, body);
  PLUGIN(h, table->called(h->channel, id, &call));
  copy_free(&frame);
  plugin_host_run(h);
  return id;
}

const struct plugin_host_answer *plugin_host_answer_of(const struct plugin_host *h, uint64_t call)
{
  for (size_t i = 0; i < h->n_answers; i++)
    if (h->answers[i].call == call)
      return &h->answers[i];
  return NULL;
}

/* --- Streams ----------------------------------------------------------------------------------------------------- */

static struct plugin_host_stream *stream_by_id(struct plugin_host *h, uint64_t id)
{
  for (size_t i = 0; i < h->n_streams; i++)
    if (h->streams[i].id == id)
      return &h->streams[i];
  ck_abort_msg("stream %llu was never given", (unsigned long long)id);
  return NULL;
}

static struct plugin_host_stream *stream_add(struct plugin_host *h, const parley_endpoint *at,
                                             const parley_stream_events *events)
{
  struct plugin_host_stream *stream = NEXT(h, streams);

  *stream = (struct plugin_host_stream){.id = ++h->next_id, .events = events, .reading = true};
  if (at != NULL) {
    stream->address = copy_text(h->kept, at->address);
    stream->tls = at->tls != NULL;
  }
  return stream;
}

static uint64_t stream_connect(const parley_host *host, const parley_endpoint *at, const parley_stream_events *events,
                               void *arg)
{
  struct plugin_host_stream *stream = stream_add(host_of(host), at, events);

  stream->arg = arg;
  return stream->id;
}

static uint64_t stream_listen(const parley_host *host, const parley_endpoint *at, const parley_stream_events *events,
                              parley_accepted *accepted, parley_done *bound, void *arg)
{
  struct plugin_host_stream *stream = stream_add(host_of(host), at, events);

  stream->listening = true;
  stream->accepted = accepted;
  stream->arg = arg;
  later_add(host_of(host), bound, arg, PARLEY_OK, at->address);
  return stream->id;
}

static uint64_t stream_write(const parley_host *host, uint64_t id, parley_bytes bytes)
{
  struct plugin_host_stream *stream = stream_by_id(host_of(host), id);

  if (!stream->closed)
    buf_text(&stream->written, bytes);
  return bytes.len;
}

static void stream_reading(const parley_host *host, uint64_t id, uint32_t on)
{
  stream_by_id(host_of(host), id)->reading = on != 0;
}

static void stream_secure(const parley_host *host, uint64_t id, const parley_tls *tls, uint32_t as_server,
                          uint64_t unused)
{
  struct plugin_host_stream *stream = stream_by_id(host_of(host), id);

  (void)tls, (void)as_server;
  ck_assert_uint_eq(unused, 0);
  stream->secured = true;
}

static void closed_later(const parley_result *result, void *arg)
{
  struct plugin_host_later *closed = arg;
  const parley_stream_events *events = closed->memory;

  events->closed(result, closed->arg);
  free(closed);
}

static void stream_end(struct plugin_host *h, struct plugin_host_stream *stream, parley_status status)
{
  struct plugin_host_later *closed;

  if (stream->closed)
    return;
  stream->closed = true;
  if (stream->listening)
    return;
  closed = xcalloc(1, sizeof *closed);
  closed->memory = (void *)(uintptr_t)stream->events;
  closed->arg = stream->arg;
  later_add(h, closed_later, closed, status, TEXT_EMPTY);
}

static void stream_close(const parley_host *host, uint64_t id, uint32_t now)
{
  (void)now;
  stream_end(host_of(host), stream_by_id(host_of(host), id), PARLEY_OK);
}

void plugin_host_stream_opened(struct plugin_host *h, size_t index)
{
  struct plugin_host_stream *stream = &h->streams[index];

  PLUGIN(h, stream->events->opened(
                PARLEY_REF(parley_peer, .secured = stream->tls || stream->secured, .address = stream->address),
                stream->arg));
  plugin_host_run(h);
}

void plugin_host_stream_data(struct plugin_host *h, size_t index, parley_bytes bytes)
{
  struct plugin_host_stream *stream = &h->streams[index];
  size_t used = 1;

  buf_text(&stream->unread, bytes);
  while (stream->unread.len > 0 && used > 0 && stream->reading && !stream->closed) {
    char *frame = xmemdup(stream->unread.at, stream->unread.len);

    PLUGIN(h, used = stream->events->data((parley_bytes){frame, stream->unread.len}, stream->arg));
    free(frame);
    ck_assert_uint_le(used, stream->unread.len);
    buf_drop(&stream->unread, used);
  }
  plugin_host_run(h);
}

void plugin_host_stream_writable(struct plugin_host *h, size_t index)
{
  if (h->streams[index].events->writable != NULL)
    PLUGIN(h, h->streams[index].events->writable(h->streams[index].arg));
  plugin_host_run(h);
}

void plugin_host_stream_closed(struct plugin_host *h, size_t index, parley_status status)
{
  stream_end(h, &h->streams[index], status);
  plugin_host_run(h);
}

size_t plugin_host_stream_accept(struct plugin_host *h, size_t listener, const char *peer)
{
  struct plugin_host_stream *from = &h->streams[listener], *stream = stream_add(h, NULL, from->events);

  stream->address = copy_text(h->kept, parley_text_of(peer));
  PLUGIN(h, stream->arg = from->accepted(stream->id, PARLEY_REF(parley_peer, .address = stream->address), from->arg));
  if (stream->arg == NULL)
    stream->closed = true;
  else
    plugin_host_stream_opened(h, (size_t)(stream - h->streams));
  return (size_t)(stream - h->streams);
}

static const void *host_extension(const parley_host *host, const char *id)
{
  static const parley_http http = {.size = sizeof http, .request = http_request};
  static const parley_http_answers answers = {.size = sizeof answers, .answer = http_answer};
  static const parley_stream stream = {.size = sizeof stream, .connect = stream_connect, .listen = stream_listen,
                                       .write = stream_write, .reading = stream_reading, .secure = stream_secure,
                                       .close = stream_close};
  static const struct { const char *id; const void *table; } all[] = {
      {PARLEY_HTTP, &http}, {PARLEY_HTTP_IN, &answers}, {PARLEY_STREAM, &stream}};

  (void)host;
  for (size_t i = 0; i < COUNT_OF(all); i++)
    if (strcmp(all[i].id, id) == 0)
      return all[i].table;
  return NULL;
}

/* --- Options ----------------------------------------------------------------------------------------------------- */

#define MAP_ITEMS_MAX 64

static const char *given(const char *const *pairs, const char *prefix, const char *name)
{
  char full[128];

  snprintf(full, sizeof full, "%s%s", prefix, name);
  for (; pairs != NULL && pairs[0] != NULL; pairs += 2)
    if (strcmp(pairs[0], full) == 0)
      return pairs[1];
  return NULL;
}

static bool any_given(const char *const *pairs, const char *prefix)
{
  for (; pairs != NULL && pairs[0] != NULL; pairs += 2)
    if (strncmp(pairs[0], prefix, strlen(prefix)) == 0)
      return true;
  return false;
}

static int64_t choice_place(const parley_option *option, parley_text text)
{
  for (int64_t i = 0; option->choices[i] != NULL; i++)
    if (parley_text_is(text, option->choices[i]))
      return i;
  ck_abort_msg("%.*s is no choice of the option %s", (int)text.len, text.at, option->name ? option->name : "of a list");
  return -1;
}

static bool size_fill(parley_text text, int64_t *ret)
{
  uint64_t bytes = 0;
  bool good = conf_size_parse(text, &bytes) && bytes <= INT64_MAX;

  *ret = (int64_t)bytes;
  return good;
}

static void scalar_fill(const parley_option *option, parley_text text, parley_value *to)
{
  bool good = true;

  to->type = option->type;
  to->text = text;
  if (option->type == PARLEY_OPTION_DURATION)
    good = span_parse(text, &to->number);
  else if (option->type == PARLEY_OPTION_INT)
    good = text_to_int(text, INT64_MIN, INT64_MAX, &to->number);
  else if (option->type == PARLEY_OPTION_SIZE)
    good = size_fill(text, &to->number);
  else if (option->type == PARLEY_OPTION_BOOL)
    to->number = parley_text_is(text, "true");
  else if (option->type == PARLEY_OPTION_CHOICE)
    to->number = choice_place(option, text);
  ck_assert_msg(good, "the option %s cannot be '%.*s'", option->name, (int)text.len, text.at);
  if ((option->min != 0 || option->max != 0) && option->type != PARLEY_OPTION_TEXT && option->type != PARLEY_OPTION_URL)
    ck_assert_msg(to->number >= option->min && to->number <= option->max, "the option %s is out of range",
                  option->name);
}

static void group_fill(struct plugin_host *h, const parley_option *const *table, const char *const *pairs,
                       const char *prefix, parley_value *group);

static void list_fill(struct plugin_host *h, const parley_option *option, parley_text text, parley_value *to)
{
  const parley_value **items = copy_room(h->options_memory, 32 * sizeof *items);

  to->type = PARLEY_OPTION_LIST;
  to->items = items;
  while (text.len > 0) {
    parley_value *item = copy_room(h->options_memory, sizeof *item);

    item->size = sizeof *item;
    scalar_fill(option->fields[0], text_cut(&text, ','), item);
    items[to->n_items++] = item;
  }
}

/* Each pair "env.NAME" is a member NAME of the map env. */
static void map_fill(struct plugin_host *h, const parley_option *option, const char *const *pairs, const char *prefix,
                     parley_value *to)
{
  const parley_value **items = copy_room(h->options_memory, MAP_ITEMS_MAX * sizeof *items);

  to->type = PARLEY_OPTION_MAP;
  to->items = items;
  for (; pairs != NULL && pairs[0] != NULL; pairs += 2) {
    parley_value *item;

    if (strncmp(pairs[0], prefix, strlen(prefix)) != 0)
      continue;
    ck_assert_uint_lt(to->n_items, MAP_ITEMS_MAX);
    item = copy_room(h->options_memory, sizeof *item);
    item->size = sizeof *item;
    scalar_fill(option->fields[0], copy_text(h->options_memory, parley_text_of(pairs[1])), item);
    item->name = copy_text(h->options_memory, parley_text_of(pairs[0] + strlen(prefix)));
    items[to->n_items++] = item;
  }
}

static void option_fill(struct plugin_host *h, const parley_option *option, const char *const *pairs,
                        const char *prefix, parley_value *to)
{
  const char *text = given(pairs, prefix, option->name);
  char inner[128];

  if (option->type == PARLEY_OPTION_GROUP || option->type == PARLEY_OPTION_MAP) {
    snprintf(inner, sizeof inner, "%s%s.", prefix, option->name);
    if (!any_given(pairs, inner))
      return; /* its type stays 0: not given */
    if (option->type == PARLEY_OPTION_MAP)
      map_fill(h, option, pairs, inner, to);
    else
      group_fill(h, option->fields, pairs, inner, to);
    return;
  }
  text = text != NULL ? text : option->default_text;
  ck_assert_msg(text != NULL || (option->flags & PARLEY_REQUIRED) == 0, "the option %s is required", option->name);
  if (text == NULL)
    return;
  if (option->type == PARLEY_OPTION_LIST)
    list_fill(h, option, copy_text(h->options_memory, parley_text_of(text)), to);
  else
    scalar_fill(option, copy_text(h->options_memory, parley_text_of(text)), to);
}

static void group_fill(struct plugin_host *h, const parley_option *const *table, const char *const *pairs,
                       const char *prefix, parley_value *group)
{
  const parley_value **items;
  size_t count = 0;

  while (table != NULL && table[count] != NULL)
    count++;
  items = copy_room(h->options_memory, (count + 1) * sizeof *items);
  for (size_t i = 0; i < count; i++) {
    parley_value *value = copy_room(h->options_memory, sizeof *value);

    *value = (parley_value){.size = sizeof *value, .name = parley_text_of(table[i]->name)};
    option_fill(h, table[i], pairs, prefix, value);
    items[i] = value;
  }
  group->type = PARLEY_OPTION_GROUP;
  group->items = items;
  group->n_items = count;
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

static void plugin_check(const parley_plugin *p)
{
  ck_assert(p->size >= offsetof(parley_plugin, capable) && p->abi_major == PARLEY_ABI_MAJOR);
  ck_assert(p->abi_minor_needed <= PARLEY_ABI_MINOR);
  ck_assert(p->name && p->version && p->summary && p->capabilities && p->create && p->start && p->destroy);
  ck_assert(p->capabilities->address_kind && p->capabilities->channel_kind && p->capabilities->features);
  for (const char *const *id = p->requires_ids; id != NULL && *id != NULL; id++)
    ck_assert_msg(host_extension(NULL, *id) != NULL, "it requires %s", *id);
}

static const parley_host host_table = {
    .size = sizeof(parley_host),
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .inline_max = 1 << 20,
    .version = {"test", 4},
    .channel = {"test", 4},
    .public_url = {"https://parley.example/in/test", 30},
    .now_ms = host_now,
    .mono_ms = host_mono,
    .random = host_random,
    .log = host_log,
    .metric = host_metric,
    .post = host_post,
    .timer = host_timer,
    .watch = host_watch,
    .work = host_work,
    .cancel = host_cancel,
    .settle = host_settle,
    .window = host_window,
    .trace = host_trace,
    .inbound = host_inbound,
    .receipt = host_receipt,
    .event = host_event,
    .state_get = host_state_get,
    .state_put = host_state_put,
    .health = host_health,
    .extension = host_extension,
};

struct plugin_host *plugin_host_new(const char *plugin)
{
  struct plugin_host *h = xcalloc(1, sizeof *h);
  struct buf path = BUF_INIT(0);

  if (plugin[0] == '/')
    buf_str(&path, plugin);
  else
    buf_printf(&path, "%s/%s%s.so", PARLEY_BUILD_DIR, strchr(plugin, '/') != NULL ? "" : "plugins/", plugin);
  h->so = dlopen(path.at, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(h->so != NULL, "%s", h->so ? "" : dlerror());
  buf_done(&path);
  h->plugin = dlsym(h->so, "parley_plugin_v1");
  ck_assert_ptr_nonnull(h->plugin);
  plugin_check(h->plugin);
  h->host = host_table;
  h->host.impl = h;
  h->kept = copy_new();
  h->options_memory = copy_new();
  h->now_ms = PLUGIN_HOST_NOW_MS;
  h->mono_ms = 1000;
  h->random_seed = 88172645463325252u;
  h->window = UINT32_MAX;
  h->says_value = "msg_01KAM2Z8Q3XWA";
  return h;
}

parley_status plugin_host_create(struct plugin_host *h, const char *const *pairs)
{
  parley_status st = PARLEY_FAILED;

  h->options = copy_room(h->options_memory, sizeof *h->options);
  *h->options = (parley_value){.size = sizeof *h->options};
  group_fill(h, h->plugin->options, pairs, "", h->options);
  PLUGIN(h, st = h->plugin->create(&h->host, h->options, &h->channel));
  ck_assert((st == PARLEY_OK) == (h->channel != NULL));
  return st;
}

void plugin_host_start(struct plugin_host *h, const char *const *pairs)
{
  parley_status st = plugin_host_create(h, pairs);

  ck_assert_int_eq(st, PARLEY_OK);
  PLUGIN(h, st = h->plugin->start(h->channel));
  ck_assert_int_eq(st, PARLEY_OK);
  plugin_host_run(h);
}

void plugin_host_drain(struct plugin_host *h, uint32_t within_ms)
{
  if (h->plugin->drain != NULL)
    PLUGIN(h, h->plugin->drain(h->channel, within_ms));
  plugin_host_run(h);
}

static void stopped(void *arg)
{
  struct plugin_host *h = arg;

  ck_assert_msg(!h->stop_called_back, "stop's done came twice");
  h->stop_called_back = true;
}

/* Frees the messages whose tokens have settled: ASan sees a plugin that still looks at one. */
static void opens_sweep(struct plugin_host *h, bool all)
{
  for (size_t i = 0; i < h->n_opens;) {
    if (all && plugin_host_result(h, h->opens[i].token) == 0)
      host_settle(&h->host, h->opens[i].token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_UNKNOWN));
    if (plugin_host_result(h, h->opens[i].token) == 0) {
      i++;
      continue;
    }
    copy_free(&h->opens[i].message);
    h->opens[i] = h->opens[--h->n_opens];
  }
}

void plugin_host_stop(struct plugin_host *h)
{
  const int look_ms = 10, within_ms = 10000;

  if (h->plugin->stop != NULL)
    PLUGIN(h, h->plugin->stop(h->channel, stopped, h));
  else
    h->stop_called_back = true;
  plugin_host_run(h);
  for (int ms = 0; !h->stop_called_back && ms < within_ms; ms += look_ms) {
    plugin_host_poll(h, look_ms);
    plugin_host_step(h, look_ms);
  }
  ck_assert_msg(h->stop_called_back, "stop's done has not come");
  opens_sweep(h, true);
  h->n_timers = 0;
  h->n_watches = 0;
  for (size_t i = 0; i < h->n_streams; i++)
    stream_end(h, &h->streams[i], PARLEY_CANCELLED);
  for (size_t i = 0; i < h->n_https; i++)
    if (h->https[i].open)
      plugin_host_http_reply(h, i, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED, .sent = 1));
  for (size_t i = 0; i < h->n_items; i++)
    if (h->items[i].open)
      item_answer(h, &h->items[i], PARLEY_CANCELLED, NULL);
  plugin_host_run(h);
  PLUGIN(h, h->plugin->destroy(h->channel));
  h->channel = NULL;
}

void plugin_host_done(struct plugin_host **host)
{
  struct plugin_host *h = *host;

  if (h->channel != NULL)
    plugin_host_stop(h);
  for (size_t i = 0; i < h->n_streams; i++) {
    buf_done(&h->streams[i].written);
    buf_done(&h->streams[i].unread);
  }
  copy_free(&h->kept);
  copy_free(&h->options_memory);
  buf_done(&h->log);
  dlclose(h->so);
  free(h);
  *host = NULL;
}

/* --- Running ----------------------------------------------------------------------------------------------------- */

parley_status plugin_host_submit(struct plugin_host *h, uint64_t token, const parley_message *message)
{
  struct copy *memory = copy_new();
  const parley_message *copy = copy_message(memory, message);
  parley_status st = PARLEY_FAILED;

  PLUGIN(h, st = h->plugin->submit(h->channel, token, copy));
  if (st == PARLEY_OK)
    *NEXT(h, opens) = (struct plugin_host_open){token, memory};
  else
    copy_free(&memory);
  plugin_host_run(h);
  return st;
}

parley_status plugin_host_probe(struct plugin_host *h, uint64_t token)
{
  parley_status st = PARLEY_FAILED;

  PLUGIN(h, st = h->plugin->probe(h->channel, token));
  plugin_host_run(h);
  return st;
}

size_t plugin_host_run(struct plugin_host *h)
{
  size_t done = 0;

  for (; done < h->n_laters; done++) {
    struct plugin_host_later later = h->laters[done];

    PLUGIN(h, later.done(&later.result, later.arg));
    free(later.memory);
  }
  h->n_laters = 0;
  for (size_t i = 0; i < h->n_https; i++)
    if (h->https[i].open && h->https[i].cancelled)
      plugin_host_http_reply(h, i, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED, .sent = 1));
  opens_sweep(h, false);
  return done;
}

static void watch_tell(struct plugin_host *h, uint64_t id, short events)
{
  for (size_t i = 0; i < h->n_watches; i++) {
    struct plugin_host_watch watch = h->watches[i];
    uint32_t said = (events & POLLOUT && watch.events & PARLEY_WRITABLE ? PARLEY_WRITABLE : 0u) |
                    (events & (POLLIN | POLLHUP) && watch.events & PARLEY_READABLE ? PARLEY_READABLE : 0u) |
                    (events & (POLLERR | POLLNVAL) ? PARLEY_HANGUP : 0u);

    if (watch.id != id)
      continue; /* or it was cancelled by one told before */
    PLUGIN(h, watch.ready(said, watch.arg));
    plugin_host_run(h);
    return;
  }
}

size_t plugin_host_poll(struct plugin_host *h, int wait_ms)
{
  struct pollfd fds[COUNT_OF(h->watches)];
  uint64_t ids[COUNT_OF(h->watches)];
  size_t n = h->n_watches, told = 0;

  for (size_t i = 0; i < n; i++) {
    fds[i] = (struct pollfd){.fd = h->watches[i].fd};
    fds[i].events = (short)((h->watches[i].events & PARLEY_READABLE ? POLLIN : 0) |
                            (h->watches[i].events & PARLEY_WRITABLE ? POLLOUT : 0));
    ids[i] = h->watches[i].id;
  }
  if (poll(fds, n, wait_ms) <= 0)
    return 0;
  for (size_t i = 0; i < n; i++)
    if (fds[i].revents != 0) {
      watch_tell(h, ids[i], fds[i].revents);
      told++;
    }
  return told;
}

/* The timer that is due first, up to until_ms, the older one of two; NULL: none. */
static struct plugin_host_timer *timer_next(struct plugin_host *h, int64_t until_ms)
{
  struct plugin_host_timer *first = NULL;

  for (size_t i = 0; i < h->n_timers; i++) {
    struct plugin_host_timer *timer = &h->timers[i];

    if (timer->due_ms <= until_ms && (first == NULL || timer->due_ms < first->due_ms ||
                                      (timer->due_ms == first->due_ms && timer->id < first->id)))
      first = timer;
  }
  return first;
}

void plugin_host_step(struct plugin_host *h, int64_t ms)
{
  int64_t until_ms = h->mono_ms + ms;
  struct plugin_host_timer *timer;

  plugin_host_run(h);
  while ((timer = timer_next(h, until_ms)) != NULL) {
    struct plugin_host_timer due = *timer;

    h->now_ms += due.due_ms - h->mono_ms;
    h->mono_ms = due.due_ms;
    if (due.every_ms > 0)
      timer->due_ms += due.every_ms;
    else
      *timer = h->timers[--h->n_timers];
    PLUGIN(h, due.due(due.arg));
    plugin_host_run(h);
  }
  h->now_ms += until_ms - h->mono_ms;
  h->mono_ms = until_ms;
}

const parley_outcome *plugin_host_outcome(const struct plugin_host *h, uint64_t token)
{
  for (size_t i = 0; i < h->n_settles; i++)
    if (h->settles[i].token == token)
      return &h->settles[i].outcome;
  return NULL;
}

uint32_t plugin_host_result(const struct plugin_host *h, uint64_t token)
{
  const parley_outcome *outcome = plugin_host_outcome(h, token);

  return outcome != NULL ? outcome->result : 0;
}

void plugin_host_item_done(struct plugin_host *h, size_t item, parley_status status, const char *value)
{
  item_answer(h, &h->items[item], status, value);
  plugin_host_run(h);
}

const parley_message *plugin_host_text(struct plugin_host_message *room, const char *id, const char *kind,
                                       const char *address, const char *text)
{
  room->to = (parley_identity){.size = sizeof room->to, .kind = parley_text_of(kind), .value = parley_text_of(address)};
  room->customer = (parley_customer){
      .size = sizeof room->customer, .id = PARLEY_LIT("cus_01KAM2Z8Q3XWA"), .name = PARLEY_LIT("Ana")};
  room->part = (parley_part){.size = sizeof room->part, .kind = PARLEY_PART_TEXT, .text = parley_text_of(text)};
  room->parts[0] = &room->part;
  room->message = (parley_message){.size = sizeof room->message, .kind = PARLEY_KIND_CONTENT, .attempt = 1,
                                   .accepted_ms = PLUGIN_HOST_NOW_MS - 1000, .id = parley_text_of(id),
                                   .topic = PARLEY_LIT("orders"), .n_parts = 1, .parts = room->parts,
                                   .to = &room->to, .customer = &room->customer};
  return &room->message;
}
