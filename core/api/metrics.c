/* /metrics: Prometheus text. For keys with metrics:read, and for whoever asks from this machine. Also the watch over
 * the loop. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdlib.h>
#include <string.h>

/* --- The loop ----------------------------------------------------------------------------------------------------- */

static void loop_turned(uv_prepare_t *prepare)
{
  struct loop_watch *watch = container_of(prepare, struct loop_watch, prepare);
  uint64_t now_ns = uv_hrtime(), idle_ns = uv_metrics_idle_time(prepare->loop);
  uint64_t spent_us = (now_ns - watch->last_ns) / 1000, idle_us = (idle_ns - watch->last_idle_ns) / 1000;
  uint64_t busy_us = spent_us > idle_us ? spent_us - idle_us : 0;

  watch->last_ns = now_ns;
  watch->last_idle_ns = idle_ns;
  watch->turns++;
  watch->busy_us += busy_us;
  watch->stalls += busy_us > (uint64_t)API_STALL_MS * 1000;
  if (busy_us > watch->longest_us)
    watch->longest_us = busy_us;
}

void loop_watch_start(struct loop_watch *watch, uv_loop_t *loop)
{
  uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
  watch->last_ns = uv_hrtime();
  watch->last_idle_ns = uv_metrics_idle_time(loop);
  uv_prepare_init(loop, &watch->prepare);
  uv_prepare_start(&watch->prepare, loop_turned);
  uv_unref((uv_handle_t *)&watch->prepare);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static void family(struct buf *buf, const char *name, const char *type, const char *help)
{
  buf_printf(buf, "# HELP parley_%s %s\n# TYPE parley_%s %s\n", name, help, name, type);
}

static void single(struct buf *buf, const char *name, const char *type, const char *help, uint64_t value)
{
  family(buf, name, type, help);
  buf_printf(buf, "parley_%s %llu\n", name, (unsigned long long)value);
}

static void seconds(struct buf *buf, const char *name, const char *type, const char *help, uint64_t us)
{
  family(buf, name, type, help);
  buf_printf(buf, "parley_%s %.6f\n", name, (double)us / 1e6);
}

static void write_retention(struct buf *buf, const struct store_stats *stats, const struct store_gauges *gauges)
{
  static const char *const kinds[STORE_KEEP_KINDS] = {
      [KEEP_BODIES] = "bodies", [KEEP_RAW] = "raw", [KEEP_EVENTS] = "events", [KEEP_ATTEMPTS] = "attempts"};

  family(buf, "store_expired_total", "counter", "What store.keep has let go, since the start");
  for (int i = 0; i < STORE_KEEP_KINDS; i++)
    buf_printf(buf, "parley_store_expired_total{kind=\"%s\"} %llu\n", kinds[i], (unsigned long long)gauges->expired[i]);
  family(buf, "store_oldest_timestamp_seconds", "gauge", "From when the oldest is that is kept, without what cannot go yet");
  for (int i = 0; i < STORE_KEEP_KINDS; i++)
    if (stats->oldest_ms[i] != 0)
      buf_printf(buf, "parley_store_oldest_timestamp_seconds{kind=\"%s\"} %.3f\n", kinds[i], (double)stats->oldest_ms[i] / 1000);
}

static void write_space(struct buf *buf, const struct store_stats *stats)
{
  family(buf, "store_table_bytes", "gauge", "Room that a table takes with its indexes, about, up to a minute old");
  for (size_t i = 0; i < stats->n_tables; i++)
    buf_printf(buf, "parley_store_table_bytes{table=\"%.*s\"} %llu\n", TEXT_ARG(stats->tables[i].name),
               (unsigned long long)stats->tables[i].bytes);
  family(buf, "store_table_rows", "gauge", "Rows of a table, about, up to a minute old");
  for (size_t i = 0; i < stats->n_tables; i++)
    buf_printf(buf, "parley_store_table_rows{table=\"%.*s\"} %llu\n", TEXT_ARG(stats->tables[i].name),
               (unsigned long long)stats->tables[i].rows);
}

static void write_store(struct buf *buf, struct api_request *req, const struct store_stats *stats)
{
  struct store_gauges gauges;
  int64_t age_ms =
      stats->oldest_due_ms > 0 && req->now_ms > stats->oldest_due_ms ? req->now_ms - stats->oldest_due_ms : 0;

  store_gauges(req->shared->store, &gauges);
  single(buf, "messages_accepted_total", "counter", "Messages accepted", stats->accepted);
  family(buf, "messages", "gauge", "Messages by state; their sum is what was accepted");
  for (int state = 0; state < MESSAGE_STATES; state++)
    buf_printf(buf, "parley_messages{state=\"%s\"} %llu\n", message_state_name((enum message_state)state),
               (unsigned long long)stats->by_state[state]);
  single(buf, "messages_add_up", "gauge", "1: the sum over all states equals what was accepted", stats->adds_up);
  single(buf, "inbound_total", "counter", "Inbound messages stored", stats->inbound);
  single(buf, "inbound_other_body_total", "counter", "Inbound events that came again with another body",
         stats->inbound_other_body);
  single(buf, "possible_duplicates_total", "counter", "Messages that may have gone out twice",
         stats->duplicates_marked);
  single(buf, "receipts_parked", "gauge", "Receipts for messages not known yet", stats->parked_receipts);
  seconds(buf, "queue_age_seconds", "gauge", "How long the oldest due delivery has been waiting",
          (uint64_t)age_ms * 1000);
  single(buf, "store_bytes", "gauge", "Size of the store's file", stats->file_bytes);
  single(buf, "store_free_bytes", "gauge", "Room in the store's file for what comes: it does not grow before that is used",
         stats->free_bytes);
  single(buf, "store_wal_bytes", "gauge", "Size of the write-ahead log", stats->wal_bytes);
  single(buf, "store_commits_total", "counter", "Commits", gauges.rounds);
  single(buf, "store_ops_total", "counter", "Writes in those commits", gauges.ops);
  single(buf, "store_commits_failed_total", "counter", "Commits that failed; nothing of them was kept",
         gauges.failed_rounds);
  seconds(buf, "store_commit_longest_seconds", "gauge", "The longest commit since the start", gauges.longest_round_us);
  single(buf, "store_round_trips_total", "counter", "Questions put to a database behind a socket", gauges.round_trips);
  single(buf, "store_waiting", "gauge", "Writes waiting for their commit", gauges.waiting);
  single(buf, "store_accepting", "gauge", "1: messages are accepted", gauges.accepting);
  single(buf, "restored_paused", "gauge", "1: a backup was restored; nothing is sent or pushed until parley store resume",
         deliver_held(req->shared->deliver)->held);
  write_retention(buf, stats, &gauges);
  write_space(buf, stats);
}

typedef void channel_metric(struct buf *buf, struct api_request *req, struct channel *channel, const char *name);

static void metric_attempts(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  for (uint32_t outcome = PARLEY_OUTCOME_ACCEPTED; outcome <= PARLEY_OUTCOME_UNKNOWN; outcome++)
    buf_printf(buf, "parley_attempts_total{channel=\"%s\",outcome=\"%s\"} %llu\n", name, api_outcome_name(outcome),
               (unsigned long long)counters.by_outcome[outcome]);
}

static void metric_deaths(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_attempts_died_total{channel=\"%s\"} %llu\n", name, (unsigned long long)counters.deaths);
}

static void metric_latency(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;
  uint64_t sum = 0;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  for (size_t i = 0; i < DELIVER_BUCKETS; i++) {
    sum += counters.latency[i];
    buf_printf(buf, "parley_delivery_seconds_bucket{channel=\"%s\",le=\"%g\"} %llu\n", name,
               deliver_bucket_ms[i] / 1000.0, (unsigned long long)sum);
  }
  sum += counters.latency[DELIVER_BUCKETS];
  buf_printf(buf, "parley_delivery_seconds_bucket{channel=\"%s\",le=\"+Inf\"} %llu\n", name, (unsigned long long)sum);
  buf_printf(buf, "parley_delivery_seconds_sum{channel=\"%s\"} %.3f\n", name, (double)counters.latency_sum_ms / 1000);
  buf_printf(buf, "parley_delivery_seconds_count{channel=\"%s\"} %llu\n", name, (unsigned long long)sum);
}

static void metric_queue(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_deliveries_held{channel=\"%s\"} %u\n", name, counters.held);
}

static void metric_in_flight(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_deliveries_in_flight{channel=\"%s\"} %u\n", name, counters.in_flight);
}

static void metric_breakers(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_breakers_open{channel=\"%s\"} %u\n", name, counters.breakers_open);
}

static void metric_throttled(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_destinations_throttled{channel=\"%s\"} %u\n", name, counters.throttled);
}

static void metric_throttles(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  (void)channel;
  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_throttles_by_destination_total{channel=\"%s\"} %llu\n", name,
             (unsigned long long)counters.throttled_answers);
}

static void metric_up(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct deliver_counters counters;

  deliver_counters(req->shared->deliver, parley_text_of(name), &counters);
  buf_printf(buf, "parley_channel_up{channel=\"%s\"} %d\n", name, channel_state(channel) == CHANNEL_UP && !counters.down);
}

static void metric_paused(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  (void)channel;
  buf_printf(buf, "parley_channel_paused{channel=\"%s\"} %d\n", name,
             deliver_paused(req->shared->deliver, parley_text_of(name)));
}

static void metric_misbehaved(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct channel_counters counters;

  (void)req;
  channel_counters(channel, &counters);
  buf_printf(buf, "parley_plugin_misbehaved_total{channel=\"%s\"} %llu\n", name,
             (unsigned long long)counters.misbehaved);
}

static void metric_slow(struct buf *buf, struct api_request *req, struct channel *channel, const char *name)
{
  struct channel_counters counters;

  (void)req;
  channel_counters(channel, &counters);
  buf_printf(buf, "parley_plugin_slow_calls_total{channel=\"%s\"} %llu\n", name,
             (unsigned long long)counters.slow_calls);
}

static void write_channels(struct buf *buf, struct api_request *req)
{
  static const struct {
    const char *name, *type, *help;
    channel_metric *write;
  } rows[] = {
      {"attempts_total", "counter", "Attempts by outcome", metric_attempts},
      {"attempts_died_total", "counter", "Attempts that were in the plugin's process when it died", metric_deaths},
      {"delivery_seconds", "histogram", "From accepted to handed over", metric_latency},
      {"deliveries_held", "gauge", "Claimed deliveries in memory", metric_queue},
      {"deliveries_in_flight", "gauge", "Deliveries in a plugin's hands", metric_in_flight},
      {"breakers_open", "gauge", "Destinations that are left alone", metric_breakers},
      {"destinations_throttled", "gauge", "Destinations that asked for less and are held or gone to slowly", metric_throttled},
      {"throttles_by_destination_total", "counter", "Answers that asked for less and named a destination", metric_throttles},
      {"channel_up", "gauge", "1: the channel is up", metric_up},
      {"channel_paused", "gauge", "1: an operator has paused it", metric_paused},
      {"plugin_misbehaved_total", "counter", "Calls of the plugin that broke the rules", metric_misbehaved},
      {"plugin_slow_calls_total", "counter", "Calls that held the loop too long", metric_slow},
  };
  size_t n;
  struct channel **all = api_channels_all(req, &n);

  for (size_t row = 0; row < COUNT_OF(rows); row++) {
    family(buf, rows[row].name, rows[row].type, rows[row].help);
    for (size_t i = 0; i < n; i++)
      rows[row].write(buf, req, all[i], channel_name(all[i]));
  }
}

/* --- What plugins count themselves -------------------------------------------------------------------------------- */

struct plugin_row {
  const parley_metric *metric; /* of a plugin whose channel is there until the answer is made */
  const char *channel;
  parley_text label;
  double value;
  uint64_t count;
};
struct plugin_rows {
  struct plugin_row *rows;
  size_t n, room;
  const char *channel;
  struct arena *arena;
};

static void plugin_row_add(const parley_metric *metric, parley_text label, double value, uint64_t count, void *arg)
{
  struct plugin_rows *all = arg;

  if (all->n == all->room) {
    all->room = all->room > 0 ? all->room * 2 : 16;
    all->rows = xrealloc(all->rows, all->room * sizeof *all->rows);
  }
  all->rows[all->n++] = (struct plugin_row){metric, all->channel, arena_text(all->arena, label), value, count};
}

/* A family stands together. */
static int plugin_row_cmp(const void *a, const void *b)
{
  const struct plugin_row *one = a, *two = b;
  int by_name = strcmp(one->metric->name, two->metric->name), by_channel = strcmp(one->channel, two->channel);

  return by_name != 0 ? by_name : by_channel != 0 ? by_channel : text_cmp(one->label, two->label);
}

/* Help texts have two escapes, label values three. */
static void escaped(struct buf *buf, parley_text text, bool quotes)
{
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] == '\n')
      buf_str(buf, "\\n");
    else if (text.at[i] == '\\' || (quotes && text.at[i] == '"'))
      buf_printf(buf, "\\%c", text.at[i]);
    else
      buf_char(buf, text.at[i]);
  }
}

static void plugin_family(struct buf *buf, const parley_metric *metric)
{
  static const char *const types[] = {
      [PARLEY_COUNTER] = "counter", [PARLEY_GAUGE] = "gauge", [PARLEY_HISTOGRAM] = "summary" /* there are no buckets */};

  buf_printf(buf, "# HELP parley_plugin_%s ", metric->name);
  escaped(buf, parley_text_of(metric->help), false);
  buf_printf(buf, "\n# TYPE parley_plugin_%s %s\n", metric->name, types[metric->kind]);
}

static void plugin_sample(struct buf *buf, const struct plugin_row *row, const char *what, double value)
{
  buf_printf(buf, "parley_plugin_%s%s{channel=\"%s\"", row->metric->name, what, row->channel);
  if (row->metric->label != NULL) {
    buf_printf(buf, ",%s=\"", row->metric->label);
    escaped(buf, row->label, true);
    buf_char(buf, '"');
  }
  buf_printf(buf, "} %.15g\n", value);
}

/* Two plugins may use one name: a family has one kind, so that samples of another are left out. */
static void plugin_rows_write(struct buf *buf, const struct plugin_rows *all)
{
  const parley_metric *family = NULL;

  for (size_t i = 0; i < all->n; i++) {
    const struct plugin_row *row = &all->rows[i];

    if (family == NULL || strcmp(family->name, row->metric->name) != 0) {
      family = row->metric;
      plugin_family(buf, family);
    }
    if (row->metric->kind != family->kind)
      continue;
    if (family->kind == PARLEY_HISTOGRAM) {
      plugin_sample(buf, row, "_sum", row->value);
      plugin_sample(buf, row, "_count", (double)row->count);
    } else {
      plugin_sample(buf, row, "", row->value);
    }
  }
}

static void write_plugins(struct buf *buf, struct api_request *req)
{
  struct plugin_rows all = {.arena = req->arena};
  size_t n;
  struct channel **channels = api_channels_all(req, &n);

  for (size_t i = 0; i < n; i++) {
    all.channel = channel_name(channels[i]);
    channel_metrics_each(channels[i], false, plugin_row_add, &all);
  }
  if (all.n > 0)
    qsort(all.rows, all.n, sizeof *all.rows, plugin_row_cmp);
  plugin_rows_write(buf, &all);
  free(all.rows);
}

static void write_feed(struct buf *buf, struct api_request *req)
{
  struct feed_counters counters;

  feed_counters(req->shared->feed, &counters);
  single(buf, "feed_pushed_total", "counter", "Events pushed to subscriptions", counters.pushed);
  single(buf, "feed_failed_total", "counter", "Pushes that failed", counters.failed);
  single(buf, "feed_dead_total", "counter", "Events given up after their last retry", counters.dead);
  single(buf, "feed_readers_cut_total", "counter", "Stream readers cut because they fell behind", counters.cut);
  single(buf, "feed_readers", "gauge", "Stream readers", counters.readers);
  single(buf, "feed_in_flight", "gauge", "Pushes under way", counters.in_flight);
  single(buf, "feed_subscriptions", "gauge", "Subscriptions in force", counters.subscriptions);
  single(buf, "feed_lag_events", "gauge", "Events that the slowest subscription is behind", counters.lag_events);
}

static void write_http(struct buf *buf, struct api_request *req)
{
  const struct http_counters *counters = req->api->server != NULL ? http_server_counters(req->api->server) : NULL;

  single(buf, "api_requests_total", "counter", "Requests that found a route", req->api->requests);
  single(buf, "api_refused_keys_total", "counter", "Requests with no key or a wrong one", req->api->refused);
  single(buf, "api_requests_open", "gauge", "Requests not answered yet", req->api->open);
  if (counters == NULL)
    return;
  single(buf, "http_requests_total", "counter", "Requests", counters->requests);
  family(buf, "http_answers_total", "counter", "Answers by class");
  for (int class = 1; class < 6; class ++)
    buf_printf(buf, "parley_http_answers_total{class=\"%dxx\"} %llu\n", class,
               (unsigned long long)counters->answers[class]);
  single(buf, "http_connections_total", "counter", "Connections accepted", counters->accepted);
  single(buf, "http_connections", "gauge", "Connections open", counters->open);
  single(buf, "http_streams", "gauge", "Answers that are streams", counters->streams);
  single(buf, "http_refused_full_total", "counter", "Connections refused because there were too many",
         counters->refused_full);
  single(buf, "http_malformed_total", "counter", "Requests that are no HTTP", counters->malformed);
  single(buf, "http_timeouts_total", "counter", "Connections cut because they were too slow", counters->timeouts);
  single(buf, "http_received_bytes_total", "counter", "Bytes received", counters->bytes_in);
  single(buf, "http_sent_bytes_total", "counter", "Bytes sent", counters->bytes_out);
}

static void write_inbound(struct buf *buf, struct api_request *req)
{
  const struct inbound_counters *counters = inbound_counters(req->shared->inbound);

  single(buf, "inbound_received_total", "counter", "Inbound reports of plugins", counters->received);
  single(buf, "inbound_duplicates_total", "counter", "Inbound reports that had come before", counters->duplicates);
  single(buf, "inbound_refused_total", "counter", "Inbound reports that made no sense", counters->refused);
  single(buf, "inbound_busy_total", "counter", "Inbound reports turned away to come again", counters->busy);
  single(buf, "inbound_loops_total", "counter", "Automatic messages refused because their address sent too many within an hour",
         counters->loops);
  single(buf, "inbound_pieces_total", "counter", "Pieces of longer texts that were kept", counters->pieces);
  single(buf, "inbound_partial_total", "counter", "Messages of which pieces are missing", counters->partial);
  single(buf, "inbound_stop_total", "counter", "Messages that said STOP", counters->keywords[KEYWORD_STOP]);
  single(buf, "inbound_start_total", "counter", "Messages that said START", counters->keywords[KEYWORD_START]);
  single(buf, "inbound_help_total", "counter", "Messages that said HELP", counters->keywords[KEYWORD_HELP]);
  single(buf, "inbound_review_total", "counter", "Messages whose wording may mean STOP: for a person to judge", counters->reviews);
  single(buf, "inbound_touchpoints_total", "counter", "Touchpoints of plugins", counters->touchpoints);
}

static void write_bridge(struct buf *buf, struct api_request *req)
{
  const struct bridge_counters *counters = req->shared->bridge != NULL ? bridge_counters(req->shared->bridge) : NULL;

  if (counters == NULL)
    return;
  single(buf, "bridge_mailed_total", "counter", "Customers' messages mailed to a support mailbox", counters->mailed);
  single(buf, "bridge_answered_total", "counter", "Answers of its owners handed in", counters->answered);
  single(buf, "bridge_repeated_total", "counter", "Of both, what had been handed in before", counters->repeated);
  single(buf, "bridge_refused_total", "counter", "Answers refused: of nobody who may, or too many", counters->refused);
  single(buf, "bridge_automatic_total", "counter", "Automatic answers that went no further", counters->automatic);
  single(buf, "bridge_told_total", "counter", "Failures told to a support mailbox", counters->told);
  single(buf, "bridge_lost_total", "counter", "Mails that a support mailbox did not get", counters->lost);
}

static void write_process(struct buf *buf, struct api_request *req)
{
  const struct loop_watch *watch = &req->api->watch;
  size_t rss = 0;

  uv_resident_set_memory(&rss);
  family(buf, "build_info", "gauge", "The version that runs");
  buf_printf(buf, "parley_build_info{version=\"%s\"} 1\n", req->shared->version);
  seconds(buf, "start_time_seconds", "gauge", "When the daemon was started, since 1970",
          (uint64_t)req->api->started_ms * 1000);
  single(buf, "resident_bytes", "gauge", "Resident memory", rss);
  single(buf, "loop_turns_total", "counter", "Turns of the event loop", watch->turns);
  seconds(buf, "loop_busy_seconds_total", "counter", "Time that the loop did not wait", watch->busy_us);
  single(buf, "loop_stalls_total", "counter", "Turns that took longer than 50 ms", watch->stalls);
  seconds(buf, "loop_longest_seconds", "gauge", "The longest turn since the start", watch->longest_us);
}

/* --- The route ---------------------------------------------------------------------------------------------------- */

struct measure {
  struct api_request *req;
  struct store_stats op;
};

static void stats_done(struct store_op *op)
{
  struct measure *measure = container_of(op, struct measure, op.op);
  struct api_request *req = measure->req;
  struct buf body = BUF_INIT(0);

  if (!api_went(req, op))
    return;
  write_process(&body, req);
  write_store(&body, req, &measure->op);
  write_inbound(&body, req);
  write_bridge(&body, req);
  write_channels(&body, req);
  write_plugins(&body, req);
  write_feed(&body, req);
  write_http(&body, req);
  arena_free(&op->arena);
  api_answer_with(req, &(struct http_answer){.code = 200,
                                             .type = PARLEY_LIT("text/plain; version=0.0.4; charset=utf-8"),
                                             .body = buf_as_text(&body)});
  buf_done(&body);
}

/* From this machine, and not handed on by a proxy that runs on it. */
static bool is_local(const struct http_request *http)
{
  return net_address_loopback(http_peer(http)) && http_header(http, "x-forwarded-for").at == NULL &&
         http_header(http, "forwarded").at == NULL && http_header(http, "via").at == NULL;
}

void api_metrics(struct api_request *req)
{
  struct measure *measure = arena_alloc(req->arena, sizeof *measure);

  if (req->key.id == 0 && !is_local(req->http)) {
    api_refuse_key(req);
    return;
  }
  measure->req = req;
  api_look(req, &measure->op.op, STORE_STATS, stats_done);
}
