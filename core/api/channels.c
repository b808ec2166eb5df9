/* /v1/channels: state, queue and counters; check, pause, resume. Also /v1/plugins and /v1/topics. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdlib.h>
#include <string.h>

/* The channel in the path, or 404. */
static struct channel *channel_param(struct api_request *req)
{
  struct channel *channel = req->shared->channel(req->params[0], req->shared->arg);

  if (channel == NULL)
    api_problem(req, 404, "not_found", "GET /v1/channels lists them", "no channel of this name is configured");
  return channel;
}

static void buf_bool(struct buf *buf, const char *name, bool value)
{
  buf_json_key(buf, name);
  buf_str(buf, value ? "true" : "false");
}

static void buf_number(struct buf *buf, const char *name, uint64_t value)
{
  buf_json_key(buf, name);
  buf_uint(buf, value);
}

static void buf_member(struct buf *buf, const char *name, parley_text value)
{
  buf_json_key(buf, name);
  if (value.len > 0)
    buf_json_text(buf, value);
  else
    buf_str(buf, "null");
}

/* --- One channel -------------------------------------------------------------------------------------------------- */

static const char *const outcome_names[] = {NULL,          "accepted",  "delivered",    "retry",  "rejected",
                                            "bad_address", "throttled", "channel_down", "unknown"};

const char *api_outcome_name(uint32_t outcome)
{
  return outcome > 0 && outcome < COUNT_OF(outcome_names) ? outcome_names[outcome] : "unknown";
}

static void buf_channel_counters(struct buf *buf, struct channel *channel, const struct deliver_counters *deliver)
{
  struct channel_counters counters;

  channel_counters(channel, &counters);
  buf_json_key(buf, "counters");
  buf_char(buf, '{');
  buf_number(buf, "attempts", deliver->attempts);
  for (size_t i = 1; i < COUNT_OF(outcome_names); i++)
    buf_number(buf, outcome_names[i], deliver->by_outcome[i]);
  buf_number(buf, "throttled_by_destination", deliver->throttled_answers);
  buf_number(buf, "died", deliver->deaths);
  buf_number(buf, "possible_duplicates", deliver->possible_duplicates);
  buf_number(buf, "stale_results", deliver->stale_results);
  buf_number(buf, "inbound", counters.inbound);
  buf_number(buf, "receipts", counters.receipts);
  buf_number(buf, "late", counters.late);
  buf_number(buf, "misbehaved", counters.misbehaved);
  buf_number(buf, "slow_calls", counters.slow_calls);
  buf_char(buf, '}');
}

static const struct conf_channel *channel_conf(const struct api_request *req, const struct channel *channel)
{
  return conf_channel_find(req->conf, parley_text_of(channel_name(channel)));
}

static void buf_rate(struct buf *buf, const struct conf_channel *conf)
{
  buf_json_key(buf, "rate_per_s");
  if (conf != NULL && conf->rate.count > 0)
    buf_printf(buf, "%.6g", (double)conf->rate.count * 1000 / conf->rate.span_ms);
  else
    buf_str(buf, "null");
}

/* What it says of itself; or that an outcome said the whole channel is down, whatever it says. */
static void buf_health(struct buf *buf, const struct channel *channel, const struct deliver_counters *deliver)
{
  bool held_back = deliver->down && channel_state(channel) != CHANNEL_DOWN;

  buf_member(buf, "state", parley_text_of(channel_state_name(held_back ? CHANNEL_DOWN : channel_state(channel))));
  buf_member(buf, "cause", held_back ? parley_text_of(deliver->down_why) : channel_cause(channel));
  buf_member(buf, "remedy",
             held_back ? PARLEY_LIT("a try is made each minute; a check that succeeds, or resume, lets all go at once")
                       : channel_remedy(channel));
}

static void buf_process(struct buf *buf, const struct channel *channel)
{
  struct channel_process process;

  channel_process(channel, &process);
  buf_member(buf, "isolation", process.apart ? PARLEY_LIT("process") : PARLEY_LIT("inline"));
  if (!process.apart) {
    buf_str(buf, ",\"process\":null");
    return;
  }
  buf_printf(buf, ",\"process\":{\"pid\":%d", process.pid);
  buf_number(buf, "deaths", process.deaths);
  buf_number(buf, "memory_bytes", process.rss_bytes);
  buf_member(buf, "sandbox", process.sandbox);
  buf_member(buf, "last_death", process.last_death);
  buf_char(buf, '}');
}

#define THROTTLED_SHOWN_MAX 20

/* Destinations that asked for less. */
static void buf_throttled(struct buf *buf, const struct api_request *req, parley_text name)
{
  struct deliver_throttle slow[THROTTLED_SHOWN_MAX];
  size_t n = deliver_throttled(req->shared->deliver, name, slow, THROTTLED_SHOWN_MAX);

  buf_str(buf, ",\"throttled\":[");
  for (size_t i = 0; i < n; i++) {
    buf_str(buf, i > 0 ? ",{\"destination\":" : "{\"destination\":");
    buf_json_text(buf, parley_text_of(slow[i].destination));
    buf_json_key(buf, "rate_per_s");
    if (slow[i].rate_per_s > 0)
      buf_printf(buf, "%.6g", slow[i].rate_per_s);
    else
      buf_str(buf, "null");
    buf_number(buf, "held_s", (uint64_t)((slow[i].held_ms + 999) / 1000));
    buf_char(buf, '}');
  }
  buf_char(buf, ']');
}

/* By an operator, or all of them after a restore. */
static void buf_paused(struct buf *buf, const struct api_request *req, parley_text name)
{
  bool by_operator = deliver_paused(req->shared->deliver, name), by_restore = deliver_held(req->shared->deliver)->held;

  buf_bool(buf, "paused", by_operator || by_restore);
  buf_member(buf, "paused_by", by_restore ? PARLEY_LIT("restore") : by_operator ? PARLEY_LIT("operator") : TEXT_EMPTY);
}

static void buf_channel(struct buf *buf, struct api_request *req, struct channel *channel)
{
  const struct plugin *plugin = channel_plugin(channel);
  const parley_capabilities *caps = channel_caps(channel);
  parley_text name = parley_text_of(channel_name(channel));
  struct deliver_counters deliver;

  deliver_counters(req->shared->deliver, name, &deliver);
  buf_str(buf, "{\"name\":");
  buf_json_text(buf, name);
  buf_member(buf, "plugin", parley_text_of(plugin->name));
  buf_member(buf, "version", parley_text_of(plugin->table->version));
  buf_member(buf, "channel_kind", parley_text_of(caps->channel_kind));
  buf_member(buf, "address_kind", parley_text_of(caps->address_kind));
  buf_health(buf, channel, &deliver);
  buf_process(buf, channel);
  buf_paused(buf, req, name);
  buf_bool(buf, "can_check", channel_can_probe(channel));
  buf_bool(buf, "ordered", (caps->flags & PARLEY_ORDERED) != 0);
  buf_bool(buf, "takes_in", (caps->flags & PARLEY_INBOUND) != 0);
  buf_rate(buf, channel_conf(req, channel));
  buf_number(buf, "held", deliver.held);
  buf_number(buf, "in_flight", deliver.in_flight);
  buf_number(buf, "breakers_open", deliver.breakers_open);
  buf_number(buf, "throttled_destinations", deliver.throttled);
  buf_throttled(buf, req, name);
  buf_channel_counters(buf, channel, &deliver);
  buf_char(buf, '}');
}

static void channel_answer(struct api_request *req, struct channel *channel)
{
  struct buf body = BUF_INIT(0);

  buf_channel(&body, req, channel);
  api_answer(req, 200, &body);
  buf_done(&body);
}

struct channel **api_channels_all(struct api_request *req, size_t *ret_n)
{
  size_t n = req->shared->channels(NULL, 0, req->shared->arg);
  struct channel **all = arena_alloc(req->arena, (n + 1) * sizeof *all);

  req->shared->channels(all, n, req->shared->arg);
  *ret_n = n;
  return all;
}

void api_channels_list(struct api_request *req)
{
  struct buf body = BUF_INIT(0);
  size_t n;
  struct channel **all = api_channels_all(req, &n);

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < n; i++) {
    buf_json_comma(&body);
    buf_channel(&body, req, all[i]);
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_channels_get(struct api_request *req)
{
  struct channel *channel = channel_param(req);

  if (channel != NULL)
    channel_answer(req, channel);
}

/* --- Check: the plugin logs in and sends nothing ------------------------------------------------------------------ */

static void check_done(const parley_outcome *outcome, void *arg)
{
  struct api_request *req = arg;
  struct buf body = BUF_INIT(0);
  bool ok = outcome->result == PARLEY_OUTCOME_ACCEPTED || outcome->result == PARLEY_OUTCOME_DELIVERED;

  buf_printf(&body, "{\"ok\":%s,\"outcome\":\"%s\"", ok ? "true" : "false", api_outcome_name(outcome->result));
  buf_member(&body, "code", outcome->code);
  buf_member(&body, "detail", outcome->detail);
  buf_char(&body, '}');
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_channels_check(struct api_request *req)
{
  struct channel *channel = channel_param(req);
  parley_status st;

  if (channel == NULL)
    return;
  st = deliver_probe(req->shared->deliver, channel, check_done, req);
  if (st == PARLEY_NOT_FOUND)
    api_problem(req, 409, "cannot_check", "send a message with a test key instead",
                "the plugin of this channel has no check");
  else if (st != PARLEY_OK)
    api_problem(req, 503, "channel_busy", "try again", "the channel cannot be checked now");
}

/* --- Pause and resume --------------------------------------------------------------------------------------------- */

void api_paused_put(struct api *api, parley_text name, bool paused)
{
  size_t at = 0;

  while (at < api->n_paused && !parley_text_is(name, api->paused[at]))
    at++;
  if (paused && at == api->n_paused) {
    api->paused = xrealloc(api->paused, (api->n_paused + 1) * sizeof *api->paused);
    api->paused[api->n_paused++] = xmemdup(name.at, name.len);
  } else if (!paused && at < api->n_paused) {
    free(api->paused[at]);
    api->paused[at] = api->paused[--api->n_paused];
  }
  deliver_pause(api->shared.deliver, name, paused);
}

struct pause {
  struct api_request *req;
  struct store_doc_put op;
  bool paused;
};

static void pause_done(struct store_op *op)
{
  struct pause *pause = container_of(op, struct pause, op.op);
  struct api_request *req = pause->req;
  struct channel *channel;

  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  api_paused_put(req->api, pause->op.doc.name, pause->paused);
  channel = channel_param(req); /* it may have been configured away meanwhile */
  if (channel != NULL)
    channel_answer(req, channel);
}

static void channel_pause(struct api_request *req, bool paused)
{
  struct pause *pause = arena_alloc(req->arena, sizeof *pause);
  struct channel *channel = channel_param(req);
  struct buf words = BUF_INIT(1024);

  if (channel == NULL)
    return;
  if (deliver_paused(req->shared->deliver, req->params[0]) == paused) {
    deliver_pause(req->shared->deliver, req->params[0], paused); /* nothing to keep; it lifts what an outcome held back */
    channel_answer(req, channel);
    return;
  }
  buf_str(&words, "{\"channel\":");
  buf_json_text(&words, req->params[0]);
  buf_member(&words, "by", req->key.name);
  buf_char(&words, '}');
  pause->req = req;
  pause->paused = paused;
  pause->op.doc = (struct doc){.kind = PARLEY_LIT("channel"), .name = req->params[0], .json = TEXT_EMPTY};
  pause->op.version = -1;
  pause->op.event_type = paused ? "channel.paused" : "channel.resumed";
  pause->op.event_data = arena_text(req->arena, buf_as_text(&words));
  if (paused)
    pause->op.doc.json = pause->op.event_data;
  buf_done(&words);
  api_submit(req, &pause->op.op, STORE_DOC_PUT, pause_done);
}

void api_channels_pause(struct api_request *req)
{
  channel_pause(req, true);
}

void api_channels_resume(struct api_request *req)
{
  channel_pause(req, false);
}

/* --- Reload: new beside old, then over -------------------------------------------------------------------------------- */

static void reload_done(parley_status status, parley_text why, void *arg)
{
  struct api_request *req = arg;
  struct channel *channel;

  if (status != PARLEY_OK) {
    api_problem(req, 409, "reload_refused", "the running ones go on unchanged; mend what is said and reload again", "%.*s",
                TEXT_ARG(why.len > 0 ? why : PARLEY_LIT("the daemon is stopping")));
    return;
  }
  if (req->route->handle == api_plugins_reload) {
    api_plugins_list(req);
    return;
  }
  channel = channel_param(req);
  if (channel != NULL)
    channel_answer(req, channel);
}

static void channels_reload(struct api_request *req, parley_text plugin, parley_text channel)
{
  if (req->shared->reload(plugin, channel, reload_done, req, req->shared->arg) != PARLEY_OK)
    api_problem(req, 503, "reloading", "try again in a moment", "another reload is under way");
}

void api_channels_reload(struct api_request *req)
{
  if (channel_param(req) != NULL)
    channels_reload(req, TEXT_EMPTY, req->params[0]);
}

void api_plugins_reload(struct api_request *req)
{
  size_t n;
  struct channel **all = api_channels_all(req, &n);

  for (size_t i = 0; i < n; i++)
    if (parley_text_is(req->params[0], channel_plugin(all[i])->name)) {
      channels_reload(req, req->params[0], TEXT_EMPTY);
      return;
    }
  api_problem(req, 404, "no_such_plugin", "GET /v1/plugins lists those in use", "no channel uses a plugin '%.*s'",
              TEXT_ARG(req->params[0]));
}

/* --- Plugins and topics ------------------------------------------------------------------------------------------- */

static void buf_names_using(struct buf *buf, struct channel **all, size_t n, const char *plugin)
{
  buf_json_key(buf, "channels");
  buf_char(buf, '[');
  for (size_t i = 0; i < n; i++)
    if (strcmp(channel_plugin(all[i])->name, plugin) == 0) {
      buf_json_comma(buf);
      buf_json_str(buf, channel_name(all[i]));
    }
  buf_char(buf, ']');
}

static void buf_plugin(struct buf *buf, struct channel **all, size_t n, const struct plugin *plugin)
{
  const parley_plugin *table = plugin->table;

  buf_str(buf, "{\"name\":");
  buf_json_str(buf, plugin->name);
  buf_member(buf, "version", parley_text_of(table->version));
  buf_member(buf, "summary", parley_text_of(table->summary));
  buf_json_key(buf, "abi");
  buf_printf(buf, "\"%u.%u\"", table->abi_major, table->abi_minor);
  buf_member(buf, "channel_kind", parley_text_of(table->capabilities->channel_kind));
  buf_member(buf, "address_kind", parley_text_of(table->capabilities->address_kind));
  buf_json_key(buf, "sha256");
  buf_char(buf, '"');
  buf_hex(buf, plugin->sha256, sizeof plugin->sha256);
  buf_char(buf, '"');
  buf_names_using(buf, all, n, plugin->name);
  buf_char(buf, '}');
}

void api_plugins_list(struct api_request *req)
{
  struct buf body = BUF_INIT(0);
  size_t n;
  struct channel **all = api_channels_all(req, &n);

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < n; i++) {
    size_t first = 0;

    while (strcmp(channel_plugin(all[first])->name, channel_plugin(all[i])->name) != 0)
      first++;
    if (first < i)
      continue;
    buf_json_comma(&body);
    buf_plugin(&body, all, n, channel_plugin(all[i]));
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_topics_list(struct api_request *req)
{
  struct buf body = BUF_INIT(0);

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < req->policy->n_topics; i++) {
    const struct policy_topic *topic = &req->policy->topics[i];
    int64_t lives_ms = topic_expires_ms(topic);

    buf_json_comma(&body);
    buf_str(&body, "{\"name\":");
    buf_json_text(&body, topic->name);
    buf_member(&body, "title", policy_title(topic));
    buf_member(&body, "class", parley_text_of(topic_class_name(topic->class)));
    buf_str(&body, ",\"expires_in\":\"");
    buf_span(&body, lives_ms);
    buf_printf(&body, "\",\"track\":{\"clicks\":%s,\"opens\":%s},\"configured\":%s}", topic->track_clicks ? "true" : "false",
               topic->track_opens ? "true" : "false", conf_topic_find(req->conf, topic->name) != NULL ? "true" : "false");
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(req, 200, &body);
  buf_done(&body);
}
