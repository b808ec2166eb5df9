#include "submit.h"
#include "core/base/alloc.h"
#include "core/base/locale.h"
#include "core/base/text.h"
#include "core/message/link_check.h"
#include "template.h"
#include <string.h>

#define SUBMISSION_BYTES 512 /* what is read of most bodies beside the body itself */

static const char *const message_fields[] = {"to",         "topic",    "content", "template", "data", "locale", "channels", "plan",
                                             "key",        "campaign", "send_at", "expires_in", NULL};

static struct submission *submission_of(struct api_request *req, json_t *object, parley_bytes body)
{
  struct submission *submission = submission_new(req->policy, req->now_ms, body.len + SUBMISSION_BYTES);

  submission->json = json_incref(object);
  if (json_object_get(object, "template") == NULL) /* else it is made later */
    submission->body = arena_text(submission->arena, body);
  submission->api_key = req->key.id;
  submission->test = req->key.test;
  return submission;
}

/* Lists what is allowed, so that the next try can be right. */
static void unknown_name(struct api_request *req, parley_text pointer, const char *code, const char *what,
                         parley_text given, const char *const *names)
{
  const char *near = text_nearest(given, names);
  struct buf all = BUF_INIT(512);

  for (size_t i = 0; names[i] != NULL && all.len < 400; i++)
    buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
  problem_add(&req->problems, pointer, code, "no %s of this name is configured; there are: %s", what,
              all.len ? all.at : "none");
  if (near != NULL)
    problem_hint(&req->problems, "did you mean '%s'?", near);
  buf_done(&all);
}

#define NAMES_OF(array, count, names)        \
  const char *names[65];                     \
  do {                                       \
    size_t n_ = (count) < 64 ? (count) : 64; \
    for (size_t i_ = 0; i_ < n_; i_++)       \
      names[i_] = (array)[i_].name.at;       \
    names[n_] = NULL;                        \
  } while (0)

static void names_without(const char **names, const char *name)
{
  const char **to = names;

  for (; *names != NULL; names++)
    if (strcmp(*names, name) != 0)
      *to++ = *names;
  *to = NULL;
}

static bool read_topic(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  parley_text name = TEXT_EMPTY;

  if (!json_in_text(in, "topic", 64, &name))
    return false;
  if (name.len == 0) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("topic")), "missing",
                "topic is needed: what the message is about");
    return false;
  }
  if (parley_text_is(name, POLICY_TOPIC_KEYWORDS)) { /* it goes to whoever has said STOP */
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("topic")), "reserved_topic",
                "answers to STOP, START and HELP alone go out under this topic");
    return false;
  }
  submission->topic = policy_find_topic(req->policy, name);
  if (submission->topic == NULL) {
    NAMES_OF(req->policy->topics, req->policy->n_topics, names);
    names_without(names, POLICY_TOPIC_KEYWORDS);
    unknown_name(req, pointer_member(req->arena, in->pointer, PARLEY_LIT("topic")), "unknown_topic", "topic", name,
                 names);
  }
  return submission->topic != NULL;
}

static const struct policy_channel *read_channel(struct api_request *req, parley_text pointer, parley_text name)
{
  const struct policy_channel *channel = policy_find_channel(req->policy, name);

  if (channel == NULL) {
    NAMES_OF(req->policy->channels, req->policy->n_channels, names);
    unknown_name(req, pointer, "unknown_channel", "channel", name, names);
  }
  return channel;
}

static bool read_step(struct api_request *req, const struct json_in *in, struct policy_step *step)
{
  static const char *const fields[] = {"channel", "until", "within", NULL};
  parley_text channel = TEXT_EMPTY, until = TEXT_EMPTY;
  bool ok = json_in_only(in, fields);

  ok &= json_in_text(in, "channel", 64, &channel);
  ok &= json_in_text(in, "until", 16, &until);
  ok &= json_in_span(in, "within", 1000, MESSAGE_EXPIRES_MS_MAX, &step->within_ms);
  step->until = UNTIL_SENT;
  if (ok && until.len > 0 && !until_parse(until, &step->until)) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("until")), "bad_value",
                "until is sent, delivered, read or replied");
    ok = false;
  }
  if (!ok)
    return false;
  step->channel = read_channel(req, pointer_member(req->arena, in->pointer, PARLEY_LIT("channel")), channel);
  if (step->channel != NULL && !until_tellable(step->until, step->channel->receipts, step->channel->flags)) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("until")), "until_impossible",
                "this channel gives no receipt that tells '%s'", until_name(step->until));
    return false;
  }
  return step->channel != NULL;
}

static bool read_steps(struct api_request *req, json_t *array, parley_text pointer, bool names_only,
                       struct submission *submission)
{
  bool ok = json_array_size(array) > 0;

  if (!ok)
    problem_add(&req->problems, pointer, "empty", "at least one channel is needed");
  for (size_t i = 0; i < json_array_size(array); i++) {
    json_t *item = json_array_get(array, i);
    parley_text at = pointer_index(req->arena, pointer, i);
    struct policy_step *step = &submission->steps[i];

    step->until = UNTIL_SENT;
    if (json_is_string(item) && names_only) {
      step->channel = read_channel(req, at, json_text(item));
      ok &= step->channel != NULL;
    } else if (json_is_object(item) && !names_only) {
      struct json_in in = {.object = item, .pointer = at, .arena = req->arena, .problems = &req->problems};

      ok &= read_step(req, &in, step);
    } else {
      problem_add(&req->problems, at, "bad_type",
                  names_only ? "a channel's name is needed" : "a step is needed: {\"channel\"}");
      ok = false;
    }
  }
  submission->n_steps = json_array_size(array);
  return ok;
}

static void take_plan(struct submission *submission, const struct policy_plan *plan)
{
  submission->n_steps = plan->n_steps;
  memcpy(submission->steps, plan->steps, plan->n_steps * sizeof *plan->steps);
}

static bool read_named_plan(struct api_request *req, const struct json_in *in, parley_text name,
                            struct submission *submission)
{
  const struct policy_plan *plan = policy_find_plan(req->policy, name);

  if (plan != NULL) {
    take_plan(submission, plan);
    return true;
  }
  NAMES_OF(req->policy->plans, req->policy->n_plans, names);
  unknown_name(req, pointer_member(req->arena, in->pointer, PARLEY_LIT("plan")), "unknown_plan", "plan", name, names);
  return false;
}

static bool read_plan(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  json_t *channels = NULL, *plan = json_object_get(in->object, "plan");
  const struct policy_plan *found;
  parley_text at = pointer_member(req->arena, in->pointer, PARLEY_LIT("plan"));

  if (!json_in_array(in, "channels", PLAN_STEPS_MAX, &channels))
    return false;
  if (channels != NULL && plan != NULL && !json_is_null(plan)) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("channels")), "plan_and_channels",
                "channels is short for a plan: give one of the two");
    return false;
  }
  if (channels != NULL)
    return read_steps(req, channels, pointer_member(req->arena, in->pointer, PARLEY_LIT("channels")), true, submission);
  if (json_is_array(plan) && json_array_size(plan) <= PLAN_STEPS_MAX)
    return read_steps(req, plan, at, false, submission);
  if (json_is_string(plan))
    return read_named_plan(req, in, json_text(plan), submission);
  if (plan != NULL && !json_is_null(plan)) {
    problem_add(&req->problems, at, "bad_type", "plan is the name of a plan, or a list of at most %d steps",
                PLAN_STEPS_MAX);
    return false;
  }
  found = policy_find_plan(req->policy, submission->topic->name);
  if (found == NULL)
    found = policy_find_plan(req->policy, PARLEY_LIT("default"));
  if (found != NULL)
    take_plan(submission, found);
  else
    problem_add(&req->problems, at, "missing",
                "no plan is configured for this topic and none named default: give plan or channels");
  return found != NULL;
}

static bool read_times(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  int64_t lives_ms = topic_expires_ms(submission->topic);
  int64_t start_ms;

  if (!json_in_time(in, "send_at", &submission->not_before_ms) ||
      !json_in_span(in, "expires_in", MESSAGE_EXPIRES_MS_MIN, MESSAGE_EXPIRES_MS_MAX, &lives_ms))
    return false;
  if (submission->not_before_ms > req->now_ms + MESSAGE_AHEAD_MS_MAX) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("send_at")), "bad_value",
                "send_at is at most a year ahead");
    return false;
  }
  start_ms = submission->not_before_ms > req->now_ms ? submission->not_before_ms : req->now_ms;
  if (start_ms == req->now_ms)
    submission->not_before_ms = 0;
  submission->expires_ms = start_ms + lives_ms;
  return true;
}

static bool read_to(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  struct json_in to;

  if (!json_in_object(in, "to", &to))
    return false;
  if (to.object == NULL) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("to")), "missing_recipient",
                "to is needed: {\"customer\"}, {\"external\"} or identities such as {\"email\"}");
    return false;
  }
  to.arena = submission->arena;
  return recipient_read(&to, API_PHONES(req, PHONE_GIVEN), &submission->to);
}

static bool read_content(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  struct json_in content;

  if (!json_in_object(in, "content", &content))
    return false;
  if (content.object == NULL) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("content")), "missing",
                "content is needed: {\"text\"} at least; or template");
    return false;
  }
  content.arena = submission->arena;
  return content_read(&content, &submission->content);
}

/* --- Templates ---------------------------------------------------------------------------------------------------- */

static bool read_template_data(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  struct json_in data;
  parley_text locale = TEXT_EMPTY;

  if (!json_in_object(in, "data", &data) || !json_in_text(in, "locale", LOCALE_BYTES_MAX, &locale))
    return false;
  if (locale.len > 0 && !locale_ok(locale))
    return json_in_problem(in, "locale", "bad_locale", "a language tag is needed, such as en or pt-BR");
  submission->data = data.object;
  submission->locale = locale;
  return template_check(submission->template, data.object, pointer_member(req->arena, in->pointer, PARLEY_LIT("data")),
                        &req->problems);
}

static bool read_template(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  struct template *found;
  parley_text name = TEXT_EMPTY;

  if (json_object_get(in->object, "content") != NULL)
    return json_in_problem(in, "content", "content_and_template", "give either content or template");
  if (!json_in_text(in, "template", TEMPLATE_NAME_BYTES_MAX, &name))
    return false;
  found = api_template_find(req, name);
  if (found == NULL) {
    api_template_unknown(req, pointer_member(req->arena, in->pointer, PARLEY_LIT("template")), name);
    return false;
  }
  submission->template = template_ref(found);
  return read_template_data(req, in, submission);
}

/* Content as it stands in the request, or the name of what makes it. */
static bool read_said(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  static const char *const with_template[] = {"data", "locale"};
  const json_t *template = json_object_get(in->object, "template");
  bool ok = true;

  if (template != NULL && !json_is_null(template))
    return read_template(req, in, submission);
  for (size_t i = 0; i < COUNT_OF(with_template); i++)
    if (json_object_get(in->object, with_template[i]) != NULL)
      ok = json_in_problem(in, with_template[i], "no_template", "%s belongs to a template, and none is named", with_template[i]);
  return read_content(req, in, submission) && ok;
}

/* Of a template they are looked at once it has been made: compose.c. */
static bool read_links(struct api_request *req, const struct json_in *in, const struct submission *submission)
{
  return !submission->topic->track_clicks ||
         links_check(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("content")), &submission->content);
}

static bool read_keys(struct api_request *req, const struct json_in *in, struct submission *submission)
{
  parley_text key = TEXT_EMPTY;

  if (!json_in_text(in, "key", MESSAGE_KEY_BYTES_MAX, &key) ||
      !json_in_text(in, "campaign", MESSAGE_CAMPAIGN_BYTES_MAX, &submission->campaign))
    return false;
  if (text_has_control(key)) {
    problem_add(&req->problems, pointer_member(req->arena, in->pointer, PARLEY_LIT("key")), "bad_value",
                "key has no control characters");
    return false;
  }
  submission->key = key;
  return true;
}

struct submission *submission_read(struct api_request *req, const struct json_in *in, parley_bytes body)
{
  struct submission *submission = submission_of(req, in->object, body);
  bool ok = json_in_only(in, message_fields);

  ok &= read_to(req, in, submission);
  ok &= read_said(req, in, submission);
  ok &= read_keys(req, in, submission);
  ok &= read_topic(req, in, submission) && read_times(req, in, submission) && read_plan(req, in, submission) &&
        read_links(req, in, submission);
  if (!ok)
    submission_free(&submission);
  return submission;
}

/* What is wrong with where it should go, in the words of the field that could say so. */
static bool read_way(const struct json_in *in, const struct reply *reply, struct submission *submission)
{
  switch (reply_address(reply, submission)) {
  case REPLY_GOES:
    return true;
  case REPLY_UNKNOWN_TOPIC:
    return json_in_problem(in, "topic", "unknown_topic", "no topic of this name is configured");
  case REPLY_NO_TOPIC:
    json_in_problem(in, "topic", "no_reply_topic", "no topic of class conversation is configured");
    problem_hint(in->problems, "configure topics: { support: { class: conversation } }, or say which topic");
    return false;
  case REPLY_UNKNOWN_CHANNEL:
    return json_in_problem(in, "channel", "unknown_channel", "no channel of this name is configured");
  case REPLY_NO_CHANNEL:
    json_in_problem(in, "channel", "no_reply_channel", "the customer has not written on a channel that is configured now");
    problem_hint(in->problems, "say which channel to answer on");
    return false;
  }
  return false;
}

struct submission *submission_reply(struct api_request *req, const struct json_in *in, struct reply *reply)
{
  static const char *const fields[] = {"content", "topic", "channel", "send_at", "expires_in", NULL};
  struct submission *submission = submission_of(req, in->object, req->http->body);

  if (!JSON_IN_ALL(json_in_only(in, fields), json_in_text(in, "topic", CONF_NAME_MAX, &reply->topic),
                   json_in_text(in, "channel", CONF_NAME_MAX, &reply->channel)) ||
      !read_way(in, reply, submission) || !read_content(req, in, submission) || !read_times(req, in, submission) ||
      !read_links(req, in, submission))
    submission_free(&submission);
  return submission;
}
