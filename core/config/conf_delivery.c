/* The sections `channels`, `topics` and `plans` of the configuration. */
#include "conf_read.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

#define SPAN_MAX_MS (INT64_C(90) * 86400000) /* of a step or an expiry */
#define IN_FLIGHT_MAX 100000

static const char *const on_unknown_words[] = {"resend", "query", "hold", NULL};

/* --- Channels -------------------------------------------------------------------------------------------------------------- */

void conf_read_rate(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  uint64_t bare;

  (void)field;
  if (node->kind == YAML_IS_TEXT && conf_rate_parse(node->text, to))
    return;
  if (node->kind == YAML_IS_TEXT && text_to_uint(node->text, UINT64_MAX, &bare))
    conf_error(r, node, "%s has no unit; write %llu/s, %llu/m or %llu/h", conf_shown(r, node), (unsigned long long)bare,
               (unsigned long long)bare, (unsigned long long)bare);
  else
    conf_error(r, node, "%s is no rate; write 50/s, 600/m or 1000/h (1 to 1000000)", conf_shown(r, node));
}

static void channel_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const char *const isolations[] = {"inline", "process", NULL};
  static const struct conf_field fields[] = {
      {.name = "plugin", .read = conf_read_name, .offset = offsetof(struct conf_channel, plugin), .required = true,
       .example = "plugin: email"},
      {.name = "rate", .read = conf_read_rate, .offset = offsetof(struct conf_channel, rate)},
      {.name = "rate_floor", .read = conf_read_rate, .offset = offsetof(struct conf_channel, rate_floor)},
      {.name = "isolation", .read = conf_read_choice, .offset = offsetof(struct conf_channel, isolation), .words = isolations,
       .first = CONF_INLINE},
      {.name = "on_unknown", .read = conf_read_choice, .offset = offsetof(struct conf_channel, on_unknown),
       .words = on_unknown_words, .first = CONF_UNKNOWN_RESEND},
      {.name = "in_flight", .read = conf_read_u32, .offset = offsetof(struct conf_channel, in_flight), .min = 1,
       .max = IN_FLIGHT_MAX},
      {.name = "options", .read = conf_read_node, .offset = offsetof(struct conf_channel, options)},
      {.name = NULL}};
  struct conf_channel *channel = item;

  *channel = (struct conf_channel){.name = member->name, .plugin = TEXT_EMPTY, .line = member->line, .col = member->col};
  conf_read_mapping(r, member->value, fields, channel);
}

void conf_read_channels(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;

  (void)field;
  conf->channels = conf_read_section(r, node, sizeof(*conf->channels), channel_item, &conf->n_channels);
}

/* --- Topics ---------------------------------------------------------------------------------------------------------------- */

#define TITLE_BYTES_MAX 128

static void read_track(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "clicks", .read = conf_read_bool, .offset = offsetof(struct conf_track, clicks)},
      {.name = "opens", .read = conf_read_bool, .offset = offsetof(struct conf_track, opens)},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

static void topic_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const char *const classes[] = {"critical", "conversation", "transactional", "marketing", NULL};
  static const struct conf_field fields[] = {
      {.name = "class", .read = conf_read_choice, .offset = offsetof(struct conf_topic, class), .words = classes,
       .first = CONF_CRITICAL, .required = true, .example = "class: transactional"},
      {.name = "on_unknown", .read = conf_read_choice, .offset = offsetof(struct conf_topic, on_unknown),
       .words = on_unknown_words, .first = CONF_UNKNOWN_RESEND},
      {.name = "expires_in", .read = conf_read_span, .offset = offsetof(struct conf_topic, expires_in_ms), .min = 1000,
       .max = SPAN_MAX_MS},
      {.name = "title", .read = conf_read_text, .offset = offsetof(struct conf_topic, title), .max = TITLE_BYTES_MAX},
      {.name = "track", .read = read_track, .offset = offsetof(struct conf_topic, track)},
      {.name = NULL}};
  struct conf_topic *topic = item;

  *topic = (struct conf_topic){.name = member->name, .class = CONF_TRANSACTIONAL, .title = member->name};
  if (parley_text_is(member->name, CONF_TOPIC_RESERVED))
    conf_error_at(r, member->line, member->col, "'" CONF_TOPIC_RESERVED "' is the topic of answers to STOP, START and HELP: take"
                                                " another name");
  conf_read_mapping(r, member->value, fields, topic);
}

void conf_read_topics(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;

  (void)field;
  conf->topics = conf_read_section(r, node, sizeof(*conf->topics), topic_item, &conf->n_topics);
}

/* --- Plans ----------------------------------------------------------------------------------------------------------------- */

/* NULL where the word is near to no channel. In the arena. */
static const char *channel_nearest(struct conf_reader *r, parley_text word)
{
  const struct conf *conf = r->conf;
  const char **names = arena_alloc(r->arena, (conf->n_channels + 1) * sizeof(*names));

  for (size_t i = 0; i < conf->n_channels; i++)
    names[i] = conf->channels[i].name.at;
  return text_nearest(word, names);
}

void conf_read_channel(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text name = TEXT_EMPTY;
  const struct conf_channel *channel;
  const char *nearest;

  conf_read_name(r, node, field, &name);
  if (name.len == 0)
    return;
  channel = conf_channel_find(r->conf, name);
  nearest = channel == NULL ? channel_nearest(r, name) : NULL;
  if (nearest != NULL)
    conf_error(r, node, "there is no channel %s: did you mean '%s'?", conf_shown(r, node), nearest);
  else if (channel == NULL)
    conf_error(r, node, "there is no channel %s; the section channels has to have it", conf_shown(r, node));
  *(const struct conf_channel **)to = channel;
}

static void step_item(struct conf_reader *r, const struct yaml_node *node, void *item)
{
  static const char *const untils[] = {"sent", "delivered", "read", "replied", NULL};
  static const struct conf_field fields[] = {
      {.name = "channel", .read = conf_read_channel, .offset = offsetof(struct conf_step, channel), .required = true},
      {.name = "until", .read = conf_read_choice, .offset = offsetof(struct conf_step, until), .words = untils,
       .first = CONF_UNTIL_SENT},
      {.name = "within", .read = conf_read_span, .offset = offsetof(struct conf_step, within_ms), .min = 1000,
       .max = SPAN_MAX_MS},
      {.name = NULL}};
  struct conf_step *step = item;

  *step = (struct conf_step){.until = CONF_UNTIL_SENT, .line = node->line, .col = node->col};
  if (node->kind == YAML_IS_TEXT && node->raw.len > 0)
    conf_error(r, node, "a step is a mapping: { channel: %.*s }", TEXT_ARG(text_sub(node->raw, 0, CONF_NAME_MAX)));
  else
    conf_read_mapping(r, node, fields, step);
}

static void plan_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  struct conf_plan *plan = item;

  *plan = (struct conf_plan){.name = member->name};
  plan->steps = conf_read_list(r, member->value, sizeof(*plan->steps), step_item, &plan->n_steps);
  if (plan->n_steps > CONF_STEPS_MAX)
    conf_error(r, member->value, "has %zu steps; at most %d", plan->n_steps, CONF_STEPS_MAX);
  else if (plan->n_steps == 0 && (member->value->kind == YAML_IS_SEQUENCE || conf_is_empty(member->value)))
    conf_error(r, member->value, "has no step; write [ { channel: mail } ]");
  for (size_t i = 0; i < plan->n_steps; i++)
    for (size_t j = 0; j < i; j++)
      if (plan->steps[i].channel != NULL && plan->steps[i].channel == plan->steps[j].channel)
        conf_error_at(r, plan->steps[i].line, plan->steps[i].col, "the channel '%.*s' is in this plan twice",
                      TEXT_ARG(plan->steps[i].channel->name));
}

void conf_read_plans(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;

  (void)field;
  conf->plans = conf_read_section(r, node, sizeof(*conf->plans), plan_item, &conf->n_plans);
}
