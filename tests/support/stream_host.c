#include "tests/support/stream_host.h"
#include <check.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define STATE_READ (UINT64_MAX - 1) /* an offset that stands for state_get() */
enum { OPTIONS_MAX = 64, ITEMS_MAX = 40, STOP_STEPS_MAX = 100, STOP_STEP_MS = 1000 };

static struct stream_host *self(const parley_host *host)
{
  return host->impl;
}

static void text_copy(char *to, size_t room, parley_text text)
{
  snprintf(to, room, "%.*s", (int)text.len, text.len > 0 ? text.at : "");
}

/* --- The host's functions ----------------------------------------------------------------------------------------- */
static int64_t h_now(const parley_host *host)
{
  return self(host)->now_ms;
}

static void h_random(const parley_host *host, void *to, size_t len)
{
  (void)host;
  memset(to, 4, len); /* chosen by fair dice roll */
}

static void h_log(const parley_host *host, uint32_t level, parley_text line)
{
  (void)host, (void)level, (void)line;
}

static void h_metric(const parley_host *host, const char *name, parley_text label, double value)
{
  (void)host, (void)name, (void)label, (void)value;
}

static uint64_t h_timer(const parley_host *host, uint32_t after_ms, uint32_t every_ms, parley_call *due, void *arg)
{
  struct stream_host *h = self(host);
  size_t i = 0;

  while (i < STREAM_HOST_TIMERS_MAX && h->timers[i].id != 0)
    i++;
  ck_assert_uint_lt(i, STREAM_HOST_TIMERS_MAX);
  h->timers[i].id = ++h->next_id;
  h->timers[i].due_ms = h->now_ms + after_ms;
  h->timers[i].every_ms = every_ms;
  h->timers[i].due = due;
  h->timers[i].arg = arg;
  return h->timers[i].id;
}

static void h_cancel(const parley_host *host, uint64_t id)
{
  for (size_t i = 0; i < STREAM_HOST_TIMERS_MAX; i++)
    if (self(host)->timers[i].id == id)
      self(host)->timers[i].id = 0;
}

static void h_settle(const parley_host *host, uint64_t token, const parley_outcome *outcome)
{
  struct stream_host *h = self(host);
  struct stream_settled *to = &h->settled[token];

  ck_assert_uint_lt(token, STREAM_HOST_TOKENS_MAX);
  ck_assert_uint_eq(to->times, 0);
  to->times++;
  to->result = outcome->result;
  to->retry_ms = outcome->retry_ms;
  text_copy(to->code, sizeof to->code, outcome->code);
  text_copy(to->detail, sizeof to->detail, outcome->detail);
  text_copy(to->destination, sizeof to->destination, outcome->destination);
  if (outcome->n_ids > 0)
    text_copy(to->id, sizeof to->id, outcome->ids[0]);
  to->n_ids = outcome->n_ids;
  for (uint32_t i = 0; i < outcome->n_ids && i < STREAM_HOST_IDS_MAX; i++)
    text_copy(to->ids[i], sizeof to->ids[i], outcome->ids[i]);
  h->n_settled++;
}

static void h_window(const parley_host *host, uint32_t in_flight)
{
  self(host)->window = in_flight;
}

static void h_health(const parley_host *host, uint32_t level, parley_text cause, parley_text remedy)
{
  struct stream_host *h = self(host);

  h->health = level;
  h->n_health++;
  text_copy(h->cause, sizeof h->cause, cause);
  text_copy(h->remedy, sizeof h->remedy, remedy);
}

static void h_trace(const parley_host *host, uint64_t token, parley_text line)
{
  (void)host, (void)token, (void)line;
}

/* --- Streams ------------------------------------------------------------------------------------------------------ */
static struct stream_conn *conn_of(const parley_host *host, uint64_t id)
{
  struct stream_host *h = self(host);

  for (size_t i = 0; i < h->n_conns; i++)
    if (h->conns[i]->id == id && !h->conns[i]->over)
      return h->conns[i];
  return NULL;
}

static void bytes_add(char **at, size_t *len, const char *bytes, size_t n)
{
  char *grown = realloc(*at, *len + n + 1);

  ck_assert_ptr_nonnull(grown);
  memcpy(grown + *len, bytes, n);
  *at = grown;
  *len += n;
}

static uint64_t s_connect(const parley_host *host, const parley_endpoint *endpoint, const parley_stream_events *events,
                          void *arg)
{
  struct stream_host *h = self(host);
  struct stream_conn *conn = calloc(1, sizeof *conn);

  ck_assert_ptr_nonnull(conn);
  ck_assert_uint_lt(h->n_conns, STREAM_HOST_CONNS_MAX);
  *conn = (struct stream_conn){.host = h, .id = ++h->next_id, .events = events, .arg = arg, .opening = true};
  conn->from_start_tls = endpoint->tls != NULL;
  conn->tls_flags = endpoint->tls != NULL ? endpoint->tls->flags : 0;
  conn->connect_ms = endpoint->connect_ms;
  text_copy(conn->address, sizeof conn->address, endpoint->address);
  h->conns[h->n_conns++] = conn;
  return conn->id;
}

static uint64_t s_write(const parley_host *host, uint64_t id, parley_bytes bytes)
{
  struct stream_conn *conn = conn_of(host, id);

  if (conn == NULL || conn->close_asked)
    return 0;
  ck_assert_msg(conn->open, "a write before opened()");
  bytes_add(&conn->to_peer, &conn->to_peer_len, bytes.at, bytes.len);
  conn->writable_due = true;
  return conn->to_peer_len;
}

static void s_reading(const parley_host *host, uint64_t id, uint32_t on)
{
  (void)host, (void)id, (void)on;
}

static void s_secure(const parley_host *host, uint64_t id, const parley_tls *tls, uint32_t as_server, uint64_t unused)
{
  struct stream_conn *conn = conn_of(host, id);

  ck_assert_uint_eq(as_server, 0);
  if (conn == NULL)
    return;
  conn->securing = true;
  conn->tls_flags = tls->flags;
  ck_assert_uint_eq(unused, 0);
}

static void s_close(const parley_host *host, uint64_t id, uint32_t now)
{
  struct stream_conn *conn = conn_of(host, id);

  (void)now;
  if (conn != NULL)
    conn->close_asked = true;
}

static const parley_stream stream_table = {.size = sizeof stream_table, .connect = s_connect, .write = s_write,
                                           .reading = s_reading, .secure = s_secure, .close = s_close};

static void m_read(const parley_host *host, parley_text media, uint64_t offset, parley_done *done, void *arg)
{
  struct stream_host *h = self(host);

  ck_assert_uint_gt(media.len, 0);
  ck_assert_uint_lt(h->n_reads, STREAM_HOST_TIMERS_MAX);
  h->reads[h->n_reads].done = done;
  h->reads[h->n_reads].arg = arg;
  h->reads[h->n_reads++].offset = offset;
}

static const parley_media media_table = {.size = sizeof media_table, .read = m_read};

static const void *h_extension(const parley_host *host, const char *id)
{
  if (strcmp(id, PARLEY_MEDIA) == 0)
    return self(host)->media_status == PARLEY_NOT_FOUND ? NULL : (const void *)&media_table;
  return strcmp(id, PARLEY_STREAM) == 0 ? &stream_table : NULL;
}

/* --- Work: on the pool in a real host, here in stream_host_run() -------------------------------------------------- */
static uint64_t h_work(const parley_host *host, parley_call *blocking, parley_done *done, void *arg)
{
  struct stream_host *h = self(host);

  ck_assert_uint_lt(h->n_reads, STREAM_HOST_TIMERS_MAX);
  blocking(arg);
  h->reads[h->n_reads].done = done;
  h->reads[h->n_reads].arg = arg;
  h->reads[h->n_reads++].offset = UINT64_MAX;
  return ++h->next_id;
}

static bool done_run(struct stream_host *h)
{
  parley_done *done = h->n_reads > 0 ? h->reads[0].done : NULL;
  void *arg = h->reads[0].arg;
  uint64_t offset = h->reads[0].offset;
  parley_result result = {.size = sizeof result, .status = h->stopped ? PARLEY_CANCELLED : PARLEY_OK};

  if (done == NULL)
    return false;
  memmove(h->reads, h->reads + 1, --h->n_reads * sizeof h->reads[0]);
  if (offset == STATE_READ) {
    result.status = h->stopped ? PARLEY_CANCELLED : h->state_value[0] != '\0' ? PARLEY_OK : PARLEY_NOT_FOUND;
    result.value = parley_text_of(h->state_value);
  } else if (offset != UINT64_MAX) {
    size_t left = offset < h->media.len ? h->media.len - (size_t)offset : 0;

    result.status = h->stopped ? PARLEY_CANCELLED : h->media_status;
    result.value = (parley_bytes){h->media.at + offset, left < h->host.inline_max ? left : (size_t)h->host.inline_max};
  }
  done(&result, arg);
  return true;
}

/* --- What the plugin tells ---------------------------------------------------------------------------------------- */
static struct stream_told *told_add(struct stream_host *h, parley_done *done, void *arg)
{
  struct stream_told *told = &h->told[h->n_told++];

  ck_assert_uint_le(h->n_told, STREAM_HOST_TOLD_MAX);
  *told = (struct stream_told){.done = done, .arg = arg};
  return told;
}

static void h_inbound(const parley_host *host, const parley_inbound *in, parley_done *done, void *arg)
{
  struct stream_told *told = told_add(self(host), done, arg);
  const parley_part *part = in->parts[0];

  told->kind = in->kind;
  told->media = part->kind == PARLEY_PART_MEDIA;
  text_copy(told->text, sizeof told->text, told->media ? part->data : part->text);
  snprintf(told->from, sizeof told->from, "%.*s:%.*s", (int)in->from[0]->kind.len, in->from[0]->kind.at, (int)in->from[0]->value.len,
           in->from[0]->value.at);
  text_copy(told->to, sizeof told->to, in->to[0]->value);
  if (in->segment != NULL) {
    told->index = in->segment->index;
    told->total = in->segment->total;
    text_copy(told->key, sizeof told->key, in->segment->key);
  }
}

static void h_receipt(const parley_host *host, const parley_receipt *receipt, parley_done *done, void *arg)
{
  struct stream_told *told = told_add(self(host), done, arg);

  told->receipt = true;
  told->kind = receipt->kind;
  told->outcome = receipt->outcome;
  told->at_ms = receipt->at_ms;
  text_copy(told->id, sizeof told->id, receipt->provider_id);
  text_copy(told->code, sizeof told->code, receipt->code);
}

static void h_state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  struct stream_host *h = self(host);

  ck_assert_uint_lt(h->n_reads, STREAM_HOST_TIMERS_MAX);
  text_copy(h->state_key, sizeof h->state_key, key);
  h->reads[h->n_reads].done = done;
  h->reads[h->n_reads].arg = arg;
  h->reads[h->n_reads++].offset = STATE_READ;
}

static void h_state_put(const parley_host *host, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  struct stream_host *h = self(host);

  ck_assert(done == NULL && arg == NULL);
  text_copy(h->state_key, sizeof h->state_key, key);
  text_copy(h->state_value, sizeof h->state_value, value);
}

static bool told_run(struct stream_host *h)
{
  struct stream_told *told = &h->told[h->n_answered];
  const parley_result result = {.size = sizeof result, .status = h->stopped ? PARLEY_CANCELLED : h->answer};

  if (h->n_answered == h->n_told || (h->keep && !h->stopped))
    return false;
  h->n_answered++;
  told->done(&result, told->arg);
  return true;
}

/* --- What happens by itself --------------------------------------------------------------------------------------- */
static void conn_end(struct stream_conn *conn, parley_status status, const char *reason)
{
  struct stream_host *h = conn->host;
  const parley_result result = {.size = sizeof result, .status = status, .reason = parley_text_of(reason)};

  conn->over = true;
  if (conn->open && h->peer.closed != NULL)
    h->peer.closed(conn, h->peer.arg);
  conn->events->closed(&result, conn->arg);
}

static void conn_open(struct stream_conn *conn)
{
  struct stream_host *h = conn->host;
  parley_peer peer = {.size = sizeof peer, .address = PARLEY_LIT("peer"), .secured = conn->from_start_tls};
  size_t open;

  conn->opening = false;
  if (h->refuse) {
    conn_end(conn, PARLEY_FAILED, "connection refused");
    return;
  }
  conn->open = true;
  conn->secured = conn->from_start_tls;
  open = stream_host_open_count(h);
  h->n_open_max = open > h->n_open_max ? open : h->n_open_max;
  conn->events->opened(&peer, conn->arg);
  h->peer.opened(conn, h->peer.arg);
}

static void conn_secure(struct stream_conn *conn)
{
  const parley_peer peer = {.size = sizeof peer, .secured = 1};

  conn->securing = false;
  if (conn->host->no_tls) {
    conn_end(conn, PARLEY_FAILED, "certificate has expired");
    return;
  }
  conn->secured = true;
  if (conn->host->peer.secured != NULL)
    conn->host->peer.secured(conn, conn->host->peer.arg);
  conn->events->opened(&peer, conn->arg);
}

static void conn_to_peer(struct stream_conn *conn)
{
  char *bytes = conn->to_peer;
  size_t len = conn->to_peer_len;

  conn->to_peer = NULL;
  conn->to_peer_len = 0;
  conn->host->peer.got(conn, (parley_bytes){bytes, len}, conn->host->peer.arg);
  free(bytes);
}

/* A fresh copy each time, so that a plugin that keeps a pointer is caught; what it leaves comes again with more. */
static bool conn_to_plugin(struct stream_conn *conn)
{
  size_t piece = conn->host->piece, shown = piece > 0 && piece < conn->to_plugin_len ? piece : conn->to_plugin_len;
  size_t used = 0;

  while (used == 0 && shown <= conn->to_plugin_len) {
    char *copy = malloc(shown);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, conn->to_plugin, shown);
    used = conn->events->data((parley_bytes){copy, shown}, conn->arg);
    free(copy);
    ck_assert_uint_le(used, shown);
    if (shown == conn->to_plugin_len)
      break;
    shown += used == 0;
  }
  memmove(conn->to_plugin, conn->to_plugin + used, conn->to_plugin_len - used);
  conn->to_plugin_len -= used;
  return used > 0;
}

static bool conn_step(struct stream_conn *conn) /* does one thing; false: there was none */
{
  bool did = true;

  if (conn->over)
    return false;
  if (conn->opening)
    conn_open(conn);
  else if (conn->to_peer_len > 0 && !conn->peer_closed)
    conn_to_peer(conn);
  else if (conn->close_asked)
    conn_end(conn, PARLEY_CLOSED, "");
  else if (conn->securing)
    conn_secure(conn);
  else if (conn->to_plugin_len > 0 && conn_to_plugin(conn))
    did = true;
  else if (conn->writable_due && !conn->peer_closed) {
    conn->writable_due = false;
    if (conn->events->writable != NULL)
      conn->events->writable(conn->arg);
  } else
    did = false;
  if (!did && conn->peer_closed) {
    conn_end(conn, PARLEY_CLOSED, "connection reset by peer");
    did = true;
  }
  return did;
}

void stream_host_run(struct stream_host *host)
{
  bool did = true;

  while (did) {
    did = false;
    for (size_t i = 0; i < host->n_conns; i++)
      did |= conn_step(host->conns[i]);
    did |= done_run(host);
    did |= told_run(host);
  }
}

void stream_host_step(struct stream_host *host, uint32_t ms)
{
  int64_t until = host->now_ms + ms;

  stream_host_run(host);
  while (host->now_ms < until) {
    size_t first = STREAM_HOST_TIMERS_MAX;

    for (size_t i = 0; i < STREAM_HOST_TIMERS_MAX; i++)
      if (host->timers[i].id != 0 && host->timers[i].due_ms <= until &&
          (first == STREAM_HOST_TIMERS_MAX || host->timers[i].due_ms < host->timers[first].due_ms))
        first = i;
    if (first == STREAM_HOST_TIMERS_MAX) {
      host->now_ms = until;
      break;
    }
    host->now_ms = host->timers[first].due_ms > host->now_ms ? host->timers[first].due_ms : host->now_ms;
    host->timers[first].due_ms += host->timers[first].every_ms;
    if (host->timers[first].every_ms == 0)
      host->timers[first].id = 0;
    host->timers[first].due(host->timers[first].arg);
    stream_host_run(host);
  }
}

size_t stream_host_open_count(const struct stream_host *host)
{
  size_t n = 0;

  for (size_t i = 0; i < host->n_conns; i++)
    n += !host->conns[i]->over;
  return n;
}

void stream_conn_send(struct stream_conn *conn, const char *bytes, size_t len)
{
  if (!conn->over)
    bytes_add(&conn->to_plugin, &conn->to_plugin_len, bytes, len);
}

void stream_conn_close(struct stream_conn *conn)
{
  conn->peer_closed = true;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
struct stream_host *stream_host_new(const char *plugin, const struct stream_peer *peer)
{
  struct stream_host *host = calloc(1, sizeof *host);
  char path[STREAM_HOST_TEXT_MAX];

  ck_assert_ptr_nonnull(host);
  if (plugin[0] == '/')
    snprintf(path, sizeof path, "%s", plugin);
  else
    snprintf(path, sizeof path, "%s/plugins/%s.so", PARLEY_BUILD_DIR, plugin);
  host->so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(host->so != NULL, "%s", dlerror());
  host->plugin = dlsym(host->so, "parley_plugin_v1");
  ck_assert_ptr_nonnull(host->plugin);
  host->peer = *peer;
  host->now_ms = 1;
  host->settled = calloc(STREAM_HOST_TOKENS_MAX, sizeof *host->settled);
  ck_assert_ptr_nonnull(host->settled);
  host->host = (parley_host){.size = sizeof host->host,
                             .abi_major = PARLEY_ABI_MAJOR,
                             .impl = host,
                             .inline_max = 1 << 20,
                             .now_ms = h_now,
                             .mono_ms = h_now,
                             .random = h_random,
                             .log = h_log,
                             .metric = h_metric,
                             .timer = h_timer,
                             .work = h_work,
                             .cancel = h_cancel,
                             .settle = h_settle,
                             .window = h_window,
                             .trace = h_trace,
                             .health = h_health,
                             .inbound = h_inbound,
                             .receipt = h_receipt,
                             .state_get = h_state_get,
                             .state_put = h_state_put,
                             .extension = h_extension};
  return host;
}

static const char *pair_find(const char *const *pairs, const char *name)
{
  for (; pairs != NULL && pairs[0] != NULL; pairs += 2)
    if (strcmp(pairs[0], name) == 0)
      return pairs[1];
  return NULL;
}

/* The pieces of "a|b" as values; texts live as long as the process. */
static uint64_t pieces_fill(char *line, parley_value *values, const parley_value **items, const parley_option *const *fields)
{
  uint64_t n = 0;

  for (char *rest = line, *piece; (piece = strsep(&rest, "|")) != NULL && n < ITEMS_MAX; n++) {
    values[n] = (parley_value){.size = sizeof *values, .type = PARLEY_OPTION_TEXT, .text = parley_text_of(piece)};
    if (fields != NULL)
      values[n].name = parley_text_of(fields[n]->name);
    items[n] = &values[n];
  }
  return n;
}

static void lines_fill(parley_value *value, const parley_option *option, const char *text)
{
  static struct {
    parley_value values[ITEMS_MAX], pieces[ITEMS_MAX][ITEMS_MAX];
    const parley_value *items[ITEMS_MAX], *piece_items[ITEMS_MAX][ITEMS_MAX];
  } rooms[ITEMS_MAX];
  static size_t n_rooms;
  size_t room = n_rooms++ % ITEMS_MAX;

  value->items = rooms[room].items;
  for (char *rest = strdup(text), *line; (line = strsep(&rest, "\n")) != NULL && value->n_items < ITEMS_MAX; value->n_items++) {
    uint64_t i = value->n_items;
    bool map = option->type == PARLEY_OPTION_MAP;
    uint64_t n = pieces_fill(line, rooms[room].pieces[i], rooms[room].piece_items[i], map ? NULL : option->fields[0]->fields);

    rooms[room].values[i] = (parley_value){.size = sizeof(parley_value), .type = PARLEY_OPTION_GROUP, .n_items = n,
                                           .items = rooms[room].piece_items[i]};
    if (map) {
      rooms[room].values[i] = rooms[room].pieces[i][1];
      rooms[room].values[i].name = rooms[room].pieces[i][0].text;
    }
    rooms[room].items[i] = &rooms[room].values[i];
  }
}

static void value_fill(parley_value *value, const parley_option *option, const char *text)
{
  char *unit;

  *value = (parley_value){.size = sizeof *value, .name = parley_text_of(option->name)};
  if (text == NULL)
    text = option->default_text;
  if (text == NULL)
    return;
  value->type = option->type;
  if (option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP) {
    lines_fill(value, option, text);
    return;
  }
  value->text = parley_text_of(text);
  value->number = strtoll(text, &unit, 10);
  if (option->type == PARLEY_OPTION_DURATION && strcmp(unit, "ms") != 0)
    value->number *= strcmp(unit, "m") == 0 ? 60000 : 1000;
  if (option->type == PARLEY_OPTION_BOOL)
    value->number = strcmp(text, "true") == 0;
  if (option->type == PARLEY_OPTION_CHOICE)
    for (value->number = 0; strcmp(option->choices[value->number], text) != 0; value->number++)
      continue;
}

parley_status stream_host_create(struct stream_host *host, const char *const *pairs)
{
  static parley_value values[OPTIONS_MAX], root; /* live until destroy() */
  static const parley_value *items[OPTIONS_MAX];
  size_t n = 0;

  for (; host->plugin->options[n] != NULL; n++) {
    value_fill(&values[n], host->plugin->options[n], pair_find(pairs, host->plugin->options[n]->name));
    items[n] = &values[n];
  }
  root = (parley_value){.size = sizeof root, .type = PARLEY_OPTION_GROUP, .n_items = n, .items = items};
  return host->plugin->create(&host->host, &root, &host->channel);
}

parley_status stream_host_start(struct stream_host *host)
{
  return host->plugin->start(host->channel);
}

parley_status stream_host_submit(struct stream_host *host, uint64_t token, const parley_message *message)
{
  return host->plugin->submit(host->channel, token, message);
}

parley_status stream_host_probe(struct stream_host *host, uint64_t token)
{
  return host->plugin->probe(host->channel, token);
}

static void stopped(void *arg)
{
  struct stream_host *host = arg;

  ck_assert(!host->stopped);
  host->stopped = true;
}

void stream_host_stop(struct stream_host *host)
{
  host->plugin->stop(host->channel, stopped, host);
  stream_host_run(host);
  for (int i = 0; i < STOP_STEPS_MAX && !host->stopped; i++)
    stream_host_step(host, STOP_STEP_MS);
  ck_assert(host->stopped);
}

void stream_host_free(struct stream_host **host)
{
  struct stream_host *h = *host;

  if (h->channel != NULL) {
    if (!h->stopped)
      stream_host_stop(h);
    for (size_t i = 0; i < h->n_conns; i++) /* the host closes what the plugin left open */
      if (!h->conns[i]->over)
        conn_end(h->conns[i], PARLEY_CANCELLED, "");
    stream_host_run(h);
    h->plugin->destroy(h->channel);
  }
  for (size_t i = 0; i < h->n_conns; i++) {
    free(h->conns[i]->to_peer);
    free(h->conns[i]->to_plugin);
    free(h->conns[i]);
  }
  dlclose(h->so);
  free(h->settled);
  free(h);
  *host = NULL;
}
