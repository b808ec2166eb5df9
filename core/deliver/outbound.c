/* A claim as the plugin will see it: content fitted to the channel, all texts in one arena. */
#include "core/base/text.h"
#include "core/customer/email.h"
#include "core/message/fit.h"
#include "core/message/media_link.h"
#include "core/message/token.h"
#include "destination.h"
#include "line.h"

/* A message's lane tells its class. */
_Static_assert((int)PARLEY_CLASS_CRITICAL == (int)LANE_CRITICAL + 1 && (int)PARLEY_CLASS_CONVERSATION == (int)LANE_CONVERSATION + 1 &&
                   (int)PARLEY_CLASS_TRANSACTIONAL == (int)LANE_TRANSACTIONAL + 1 &&
                   (int)PARLEY_CLASS_MARKETING == (int)LANE_MARKETING + 1,
               "lanes stand in the order of the classes");
_Static_assert((int)FIT_PARTS_MAX <= (int)PARTS_MAX, "each part has its bit in the store");

#define OUTBOUND_BYTES 1536 /* of texts and parts: enough for most messages */

static void claim_copy(struct arena *arena, const struct claim *from, struct claim *to)
{
  parley_text *ids;

  *to = *from;
  to->topic = arena_text(arena, from->topic);
  to->channel = arena_text(arena, from->channel);
  to->address_kind = arena_text(arena, from->address_kind);
  to->address = arena_text(arena, from->address);
  to->customer_name = arena_text(arena, from->customer_name);
  to->locale = arena_text(arena, from->locale);
  to->timezone = arena_text(arena, from->timezone);
  to->body = from->submission != NULL ? TEXT_EMPTY : arena_text(arena, from->body);
  ids = arena_alloc(arena, (from->n_provider_ids + 1) * sizeof *ids);
  for (size_t i = 0; i < from->n_provider_ids; i++)
    ids[i] = arena_text(arena, from->provider_ids[i]);
  to->provider_ids = ids;
  to->reply_to = arena_text(arena, from->reply_to);
  to->subject = arena_text(arena, from->subject);
  ids = arena_alloc(arena, (from->n_thread + 1) * sizeof *ids);
  for (size_t i = 0; i < from->n_thread; i++)
    ids[i] = arena_text(arena, from->thread[i]);
  to->thread = ids;
}

struct outbound *outbound_new(struct line *line, const struct claim *claim)
{
  struct arena *arena = arena_new_for(sizeof(struct outbound) + OUTBOUND_BYTES);
  struct outbound *out = arena_alloc(arena, sizeof *out);

  out->arena = arena;
  out->deliver = line->deliver;
  out->line = line;
  list_init(&out->node);
  claim_copy(arena, claim, &out->claim);
  if (parley_text_is(out->claim.address_kind, "email"))
    out->destination = destination_of(text_sub(out->claim.address, email_at(out->claim.address) + 1, SIZE_MAX));
  return out;
}

void outbound_free(struct outbound *out)
{
  struct arena *arena = out->arena;

  submission_free(&out->claim.submission);
  policy_unref(&out->policy);
  json_decref(out->json);
  arena_free(&arena);
}

static bool outbound_content(struct outbound *out, struct content *ret)
{
  struct problems problems;
  struct json_in root, in;

  if (out->claim.submission != NULL) {
    *ret = out->claim.submission->content;
    out->bridge = out->claim.submission->bridge;
    return true;
  }
  problems_init(&problems, out->arena);
  out->json = json_read(out->claim.body, &problems);
  if (out->json == NULL)
    return false;
  root = (struct json_in){.object = out->json, .pointer = TEXT_EMPTY, .arena = out->arena, .problems = &problems};
  if (!id_parse("cnv", json_text(json_object_get(out->json, "bridge")), &out->bridge))
    out->bridge = 0;
  return json_in_object(&root, "content", &in) && in.object != NULL && content_read(&in, ret);
}

#define MEDIA_LINK_BEYOND_MS (24 * 3600000LL) /* a provider may fetch it this long after the message's expiry */

static parley_text outbound_media_url(id64 media, struct arena *arena, void *arg)
{
  const struct outbound *out = arg;
  const struct deliver *deliver = out->deliver;
  struct buf url = BUF_INIT(8192);
  parley_text kept;

  buf_media_link(&url, deliver->policy->public_url, store_secret(deliver->shared.store), media,
                 out->claim.expires_ms + MEDIA_LINK_BEYOND_MS);
  kept = arena_text(arena, buf_as_text(&url));
  buf_done(&url);
  return kept;
}

static parley_text outbound_id(struct outbound *out, const char *prefix, id64 id)
{
  char text[ID_TEXT_MAX];

  if (id == 0)
    return TEXT_EMPTY;
  id_format(prefix, id, text);
  return arena_text(out->arena, parley_text_of(text));
}

static parley_text outbound_token(struct outbound *out, enum token_kind kind, id64 id)
{
  struct buf token = BUF_INIT(0);
  parley_text kept;

  buf_id_token(&token, store_secret(out->deliver->shared.store), kind, id);
  kept = arena_text(out->arena, buf_as_text(&token));
  buf_done(&token);
  return kept;
}

/* All mails about one conversation name the same root, which is no mail's own id: mailboxes show them as one thread. An answer to
 * one is an answer to the conversation. */
static void outbound_bridge_thread(struct outbound *out)
{
  struct buf root = BUF_INIT(0);
  parley_text *thread = arena_alloc(out->arena, sizeof *thread);
  char id[ID_TEXT_MAX];

  id_format("cnv", out->bridge, id);
  buf_printf(&root, "%s@bridge.parley.invalid", id);
  *thread = arena_text(out->arena, buf_as_text(&root));
  buf_done(&root);
  out->message.n_thread = 1;
  out->message.thread = thread;
  out->message.reply_to = TEXT_EMPTY;
  out->message.reply_token = outbound_token(out, TOKEN_BRIDGE, out->bridge);
}

/* What the sender gave for this channel alone, beside content: the headers of a mail. */
static parley_text outbound_override(struct outbound *out, const struct content *content)
{
  struct buf json = BUF_INIT(0);
  parley_text kept;

  if (content->n_headers == 0)
    return TEXT_EMPTY;
  buf_str(&json, "{\"headers\":");
  buf_content_headers(&json, content);
  buf_char(&json, '}');
  kept = arena_text(out->arena, buf_as_text(&json));
  buf_done(&json);
  return kept;
}

/* Parts that went out in an earlier attempt carry their provider id, so that a resumed message sends the rest only. Ids that are not
 * as many name no parts of ours: the provider has cut the text itself, or it was cut otherwise then. */
static const parley_part *const *outbound_parts(struct outbound *out, const struct fitted *fitted)
{
  const parley_part **parts = arena_alloc(out->arena, (fitted->n_parts + 1) * sizeof *parts);
  bool named = out->claim.n_provider_ids == fitted->n_parts;

  for (size_t i = 0; i < fitted->n_parts; i++) {
    parley_part *part = arena_alloc(out->arena, sizeof *part);

    *part = *fitted->parts[i];
    if (named)
      part->provider_id = out->claim.provider_ids[i];
    parts[i] = part;
  }
  return parts;
}

static bool has_subjects(const parley_capabilities *caps)
{
  for (const parley_feature *const *feature = caps->features; feature != NULL && *feature != NULL; feature++)
    if ((*feature)->what == PARLEY_FEATURE_SUBJECT)
      return (*feature)->level == PARLEY_LEVEL_NATIVE;
  return false;
}

/* An answer without a subject of its own, where messages have one: that of what it answers. */
static void outbound_subject(struct outbound *out, const parley_capabilities *caps, struct content *content)
{
  struct buf subject = BUF_INIT(0);

  if (content->subject.len > 0 || out->claim.subject.len == 0 || !has_subjects(caps))
    return;
  buf_str(&subject, "Re: ");
  buf_text(&subject, out->claim.subject);
  content->subject = arena_text(out->arena, buf_as_text(&subject));
  buf_done(&subject);
}

/* The content as this channel gets it: its own words if it has any, links of the topic's rules in it, in parts that it can carry. */
static parley_status outbound_fit(struct outbound *out, const struct policy_topic *topic, const parley_capabilities *caps,
                                  struct content *content, parley_text *ret_unsubscribe_url, struct fitted *ret, const char **ret_code)
{
  *content = content_for(content, out->claim.channel, caps->channel_kind);
  outbound_subject(out, caps, content);
  if (out->bridge == 0) /* what a support mailbox reads are others' words, as they were written */
    *ret_unsubscribe_url = outbound_links(out, topic, caps->channel_kind, content);
  return fit_content(content, caps, out->arena, outbound_media_url, out, ret, ret_code);
}

parley_status deliver_fit(struct deliver *deliver, const struct deliver_fitting *asked, struct arena *arena, struct fitted *ret,
                          const parley_capabilities **ret_caps, const char **reterr_code)
{
  struct line *line = line_find(deliver, asked->channel);
  struct outbound out = {.arena = arena,
                         .deliver = deliver,
                         .line = line,
                         .claim = {.message = asked->message,
                                   .customer = asked->customer,
                                   .identity = asked->identity,
                                   .step = asked->step,
                                   .channel = asked->channel,
                                   .expires_ms = asked->expires_ms,
                                   .topic = asked->topic != NULL ? asked->topic->name : TEXT_EMPTY}};
  struct content content = *asked->content;
  parley_text unsubscribe_url = TEXT_EMPTY;

  if (line == NULL || line->channel == NULL)
    return PARLEY_NOT_FOUND;
  *ret_caps = channel_caps(line->channel);
  return outbound_fit(&out, asked->topic, *ret_caps, &content, &unsubscribe_url, ret, reterr_code);
}

parley_status outbound_build(struct outbound *out, const parley_capabilities *caps, const char **ret_code)
{
  const struct claim *claim = &out->claim;
  const struct policy_topic *topic = policy_find_topic(out->deliver->policy, claim->topic);
  parley_text unsubscribe_url = TEXT_EMPTY;
  struct content content;
  struct fitted fitted;

  *ret_code = "content_unreadable";
  if (!outbound_content(out, &content))
    return PARLEY_REJECTED;
  if (outbound_fit(out, topic, caps, &content, &unsubscribe_url, &fitted, ret_code) != PARLEY_OK)
    return PARLEY_REJECTED;
  out->n_degraded = fitted.n_degraded;
  if (fitted.n_degraded > 0) {
    const char **words = arena_alloc(out->arena, fitted.n_degraded * sizeof *words);

    for (size_t i = 0; i < fitted.n_degraded; i++)
      words[i] = fitted.degraded[i];
    out->degraded = words;
  }
  out->to = (parley_identity){.size = sizeof out->to, .kind = claim->address_kind, .value = claim->address,
                              .name = claim->customer_name};
  out->customer = (parley_customer){.size = sizeof out->customer, .id = outbound_id(out, "cus", claim->customer),
                                    .name = claim->customer_name, .locale = claim->locale, .timezone = claim->timezone};
  out->message = (parley_message){
      .size = sizeof out->message, .kind = PARLEY_KIND_CONTENT, .attempt = claim->attempt, .resent = claim->resent,
      .topic_class = claim->lane < LANE_TEST ? claim->lane + 1 : topic != NULL ? (uint32_t)topic->class : 0,
      .n_parts = (uint32_t)fitted.n_parts, .accepted_ms = claim->accepted_ms, .expires_ms = claim->expires_ms,
      .id = outbound_id(out, "msg", claim->message), .conversation_id = outbound_id(out, "cnv", claim->conversation),
      .topic = claim->topic, .subject = fitted.subject, .unsubscribe_url = unsubscribe_url, .to = &out->to, .customer = &out->customer,
      .parts = outbound_parts(out, &fitted), .token = outbound_token(out, TOKEN_MESSAGE, claim->message),
      .override_json = outbound_override(out, &content), .reply_to = claim->reply_to,
      .n_thread = (uint32_t)claim->n_thread, .thread = claim->thread};
  if (unsubscribe_url.len > 0)
    out->message.unsubscribe_token = outbound_token(out, TOKEN_LEAVE, claim->message);
  if (out->bridge != 0)
    outbound_bridge_thread(out);
  else
    out->message.reply_token = outbound_token(out, TOKEN_REPLY, claim->message);
  return PARLEY_OK;
}
