#include "core/base/text.h"
#include "core/customer/keyword_conf.h"
#include "core/message/template_conf.h"
#include "core/message/web_link.h"
#include "daemon.h"

static void channel_rules(struct policy_channel *to, const struct conf_channel *from, const struct channel *channel,
                          struct deliver *deliver, struct arena *arena)
{
  const parley_capabilities *caps = channel_caps(channel);

  to->name = arena_text(arena, from->name);
  to->channel_kind = arena_text(arena, parley_text_of(caps->channel_kind));
  to->address_kind = arena_text(arena, parley_text_of(caps->address_kind));
  to->flags = caps->flags;
  to->receipts = caps->receipts;
  to->can_query = channel_can_query(channel);
  to->on_unknown = (enum on_unknown)from->on_unknown;
  to->room = deliver_lane_room(deliver, channel_name(channel));
}

static bool plan_rules(const struct conf *conf, const struct conf_plan *from, struct policy *policy,
                       struct policy_plan *to, struct buf *why)
{
  bool ok = true;

  to->name = arena_text(policy->arena, from->name);
  to->n_steps = from->n_steps;
  to->steps = arena_alloc(policy->arena, (from->n_steps + 1) * sizeof *to->steps);
  for (size_t i = 0; i < from->n_steps; i++) {
    const struct conf_step *step = &from->steps[i];

    to->steps[i].channel = policy_find_channel(policy, step->channel->name);
    to->steps[i].until = (enum until)step->until;
    to->steps[i].within_ms = step->within_ms;
    if (until_tellable(to->steps[i].until, to->steps[i].channel->receipts, to->steps[i].channel->flags))
      continue;
    yaml_error(conf->file, step->line, step->col, why, "plans.%.*s: channel '%.*s' gives no receipt that tells '%s'",
               TEXT_ARG(from->name), TEXT_ARG(step->channel->name), until_name(to->steps[i].until));
    ok = false;
  }
  return ok;
}

static void topics_rules(const struct conf *conf, struct policy *policy)
{
  bool confirmation = conf_topic_find(conf, PARLEY_LIT(POLICY_TOPIC_CONFIRMATION)) != NULL;

  policy->n_topics = conf->n_topics;
  policy->topics = arena_alloc(policy->arena, (conf->n_topics + 2) * sizeof *policy->topics);
  for (size_t i = 0; i < conf->n_topics; i++) {
    const struct conf_topic *from = &conf->topics[i];

    policy->topics[i] = (struct policy_topic){.name = arena_text(policy->arena, from->name),
                                              .class = (enum topic_class)from->class,
                                              .on_unknown = (enum on_unknown)from->on_unknown,
                                              .expires_in_ms = from->expires_in_ms,
                                              .title = arena_text(policy->arena, from->title),
                                              .track_clicks = from->track.clicks,
                                              .track_opens = from->track.opens};
  }
  if (!confirmation)
    policy->topics[policy->n_topics++] = (struct policy_topic){.name = PARLEY_LIT(POLICY_TOPIC_CONFIRMATION),
                                                               .class = CLASS_TRANSACTIONAL,
                                                               .title = PARLEY_LIT(POLICY_TOPIC_CONFIRMATION)};
  policy->topics[policy->n_topics++] = (struct policy_topic){
      .name = PARLEY_LIT(POLICY_TOPIC_KEYWORDS), .class = CLASS_CRITICAL, .title = PARLEY_LIT(POLICY_TOPIC_KEYWORDS)};
}

/* A confirmation has to reach somebody, and what it grants has to have a name in its link. */
static bool forms_ok(const struct conf *conf, const struct policy *policy, struct buf *why)
{
  bool ok = true;

  for (size_t i = 0; i < conf->n_forms; i++) {
    const struct conf_form *form = &conf->forms[i];
    const struct policy_channel *channel = policy_find_channel(policy, form->channel->name);

    if (!parley_text_is(channel->address_kind, "none") && web_kind_ok(channel->channel_kind))
      continue;
    yaml_error(conf->file, form->line, form->col, why, "forms.%.*s: channel '%.*s' sends to no address that somebody could give",
               TEXT_ARG(form->name), TEXT_ARG(form->channel->name));
    ok = false;
  }
  return ok;
}

static bool bridge_ok(const struct conf *conf, const struct conf_bridge *bridge, const struct policy *policy, struct buf *why)
{
  const struct policy_channel *channel = policy_find_channel(policy, bridge->channel);

  if (channel == NULL || !parley_text_is(channel->address_kind, "email"))
    yaml_error(conf->file, bridge->line, bridge->col, why, "bridges.%.*s: channel '%.*s' sends no e-mail", TEXT_ARG(bridge->name),
               TEXT_ARG(bridge->channel));
  else if (bridge->topic.len == 0 && policy_reply_topic(policy) == NULL)
    yaml_error(conf->file, bridge->line, bridge->col, why, "bridges.%.*s: no topic of class conversation is configured; say which"
               " topic: answers go out under", TEXT_ARG(bridge->name));
  else
    return true;
  return false;
}

static bool keywords_rules(const struct conf *conf, struct policy *policy, struct buf *why)
{
  if (!keywords_check(conf, why))
    return false;
  for (size_t i = 0; i < policy->n_channels; i++)
    if (keywords_listen(conf, policy->channels[i].name, policy->channels[i].channel_kind))
      policy->channels[i].keywords = keywords_of_conf(conf, policy->channels[i].name, policy->arena);
  return true;
}

parley_status policy_build(const struct conf *conf, const struct channel_set *set, struct deliver *deliver,
                           struct policy **ret, struct buf *reterr_why)
{
  struct policy *policy = policy_new();
  struct arena *arena = policy->arena;
  bool ok = true;

  policy->public_url = arena_text(arena, conf->server.public_url);
  policy->n_channels = conf->n_channels;
  policy->channels = arena_alloc(arena, (conf->n_channels + 1) * sizeof *policy->channels);
  for (size_t i = 0; i < conf->n_channels; i++)
    channel_rules(&policy->channels[i], &conf->channels[i], channel_set_find(set, conf->channels[i].name)->channel,
                  deliver, arena);
  topics_rules(conf, policy);
  policy->n_plans = conf->n_plans;
  policy->plans = arena_alloc(arena, (conf->n_plans + 1) * sizeof *policy->plans);
  for (size_t i = 0; i < conf->n_plans; i++)
    ok &= plan_rules(conf, &conf->plans[i], policy, &policy->plans[i], reterr_why);
  policy->templates = arena_alloc(arena, sizeof *policy->templates);
  ok = template_set_of_conf(conf, policy->templates, reterr_why) && ok;
  ok &= forms_ok(conf, policy, reterr_why);
  ok &= keywords_rules(conf, policy, reterr_why);
  for (size_t i = 0; i < conf->n_bridges; i++)
    ok &= bridge_ok(conf, &conf->bridges[i], policy, reterr_why);
  if (!ok) {
    policy_unref(&policy);
    return PARLEY_INVALID;
  }
  *ret = policy;
  return PARLEY_OK;
}
