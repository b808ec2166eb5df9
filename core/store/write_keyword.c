/* write_keyword.c - what a customer says with one word takes effect in the transaction that its message is stored in: the address is
 * opted out or in again, the ledger has it with the words as proof, and the one answer there may be waits on the same channel. */
#include "core/base/text.h"
#include "core/message/json.h"
#include "write.h"
#include <string.h>

static const struct policy_channel *channel_of(const struct store_inbound *in)
{
  const struct policy_channel *channel = in->policy == NULL ? NULL : policy_find_channel(in->policy, in->channel);

  return channel != NULL && channel->keywords != NULL ? channel : NULL;
}

/* What it would say as a whole nobody knows: a keyword is all of a message. (What no text can be made of is whole by itself.) */
static bool is_fragment(const struct store_inbound *in)
{
  return in->partial && in->piece.bad == NULL;
}

void keyword_hear(struct store_inbound *in)
{
  const struct policy_channel *channel = channel_of(in);
  enum keyword heard;
  parley_text spoken;

  in->heard = (struct store_heard){.channel = in->channel};
  if (channel == NULL || in->kind != PARLEY_KIND_CONTENT || (in->flags & PARLEY_ECHO) != 0 || in->text.len == 0)
    return;
  heard = keyword_of(channel->keywords, in->text, in->op.arena, &spoken);
  if (!is_fragment(in))
    in->heard.keyword = heard;
  if (in->heard.keyword == KEYWORD_NONE && (in->flags & PARLEY_AUTOMATIC) == 0)
    in->heard.review = heard == KEYWORD_STOP || keyword_may_mean_stop(channel->keywords, in->text, in->op.arena);
}

/* What the channel sends to. */
static const struct identity *address_of(const struct store_inbound *in, const struct policy_channel *channel)
{
  for (size_t i = 0; i < in->from.n_identities; i++)
    if (text_eq(in->from.identities[i].kind, channel->address_kind))
      return &in->from.identities[i];
  return in->from.n_identities > 0 ? &in->from.identities[0] : NULL;
}

/* --- the ledger -------------------------------------------------------------------------------------------------------------- */

static parley_text kept_of(struct buf *buf, struct arena *arena)
{
  parley_text kept = arena_text(arena, buf_as_text(buf));

  buf_done(buf);
  return kept;
}

/* {"message":"msg_..","channel":"sms","address":"phone:+34..","text":"Stop!"} */
static parley_text proof_of(const struct store_inbound *in, const struct identity *address)
{
  struct buf proof = BUF_INIT(0), who = BUF_INIT(0);

  buf_text(&who, address->kind);
  buf_char(&who, ':');
  buf_text(&who, address->value);
  buf_str(&proof, "{\"message\":");
  buf_json_id(&proof, "msg", in->message);
  buf_json_key(&proof, "channel");
  buf_json_text(&proof, in->channel);
  buf_json_key(&proof, "address");
  buf_json_text(&proof, buf_as_text(&who));
  buf_json_key(&proof, "text");
  buf_json_text(&proof, in->text);
  buf_char(&proof, '}');
  buf_done(&who);
  return kept_of(&proof, in->op.arena);
}

/* "sms_stop", "sms_start" */
static parley_text source_of(const struct store_inbound *in)
{
  struct buf source = BUF_INIT(0);

  buf_text(&source, in->channel_kind);
  buf_char(&source, '_');
  buf_str(&source, keyword_name(in->heard.keyword));
  return kept_of(&source, in->op.arena);
}

static void ledger_put(struct round *round, const struct store_inbound *in, const struct identity *address)
{
  struct store_consent consent = {.op = {.arena = in->op.arena}, .customer = in->customer, .now_ms = in->now_ms};

  consent.entry = (struct consent){.topic = PARLEY_LIT("*"),
                                   .channel_kind = in->channel_kind,
                                   .granted = in->heard.keyword == KEYWORD_START,
                                   .at_ms = in->now_ms,
                                   .source = source_of(in),
                                   .proof = proof_of(in, address)};
  write_consent(round, &consent.op);
}

/* --- the answer -------------------------------------------------------------------------------------------------------------- */

/* One in so long, of each kind and address: two robots would go on for ever. */
static bool answered_lately(struct round *round, const struct store_inbound *in, const struct identity *address, int64_t every_ms)
{
  struct buf key = BUF_INIT(0);
  struct seen seen;

  buf_str(&key, keyword_name(in->heard.keyword));
  buf_char(&key, ' ');
  buf_text(&key, address->kind);
  buf_char(&key, ':');
  buf_text(&key, address->value);
  buf_printf(&key, " %lld", (long long)(in->now_ms / every_ms));
  seen = seen_find(round, "keyword", in->channel, buf_as_text(&key), NULL, in->op.arena);
  buf_done(&key);
  if (seen.id == 0)
    seen_put(round, &seen, in->message, NULL);
  return seen.id != 0;
}

static parley_text answer_body(const struct store_inbound *in, parley_text text, struct arena *arena)
{
  struct buf body = BUF_INIT(0);

  buf_str(&body, "{\"to\":{\"customer\":");
  buf_json_id(&body, "cus", in->customer);
  buf_str(&body, "},\"topic\":\"" POLICY_TOPIC_KEYWORDS "\",\"content\":{\"text\":");
  buf_json_text(&body, text);
  buf_str(&body, "}}");
  return kept_of(&body, arena);
}

static parley_text locale_of(struct round *round, const struct store_inbound *in)
{
  struct customer_brief customer;

  return customer_find(round->db, in->customer, in->op.arena, &customer) ? customer.locale : TEXT_EMPTY;
}

/* Without a seat in the channel's lane it waits in the store: nobody here can take a claim. */
static struct submission *answer_make(struct round *round, const struct store_inbound *in, const struct policy_channel *channel,
                                      const struct identity *address)
{
  struct arena *arena = arena_new();
  struct submission *made = arena_alloc(arena, sizeof(*made));
  struct policy_channel *waits = arena_alloc(arena, sizeof(*waits));
  parley_text spoken, text;

  keyword_of(channel->keywords, in->text, arena, &spoken);
  text = keyword_answer(channel->keywords, in->heard.keyword, locale_of(round, in), spoken, arena);
  *waits = *channel;
  waits->room = NULL;
  made->arena = arena;
  made->policy = policy_ref(in->policy);
  made->topic = policy_find_topic(in->policy, PARLEY_LIT(POLICY_TOPIC_KEYWORDS));
  made->body = answer_body(in, text, arena);
  made->content.text = text;
  made->key = made->campaign = TEXT_EMPTY;
  made->now_ms = in->now_ms;
  made->expires_ms = in->now_ms + topic_expires_ms(made->topic);
  made->answers_keyword = true;
  made->to = (struct recipient){.customer = in->customer, .external = TEXT_EMPTY, .n_identities = 1, .identities = {*address}};
  made->n_steps = 1;
  made->steps[0] = (struct policy_step){.channel = waits, .until = UNTIL_SENT};
  return made;
}

static void answer(struct round *round, struct store_inbound *in, const struct policy_channel *channel, const struct identity *address,
                   int64_t every_ms)
{
  struct accept_item item = {.submission = NULL};

  if (!channel->keywords->answers || (in->flags & PARLEY_AUTOMATIC) != 0 || in->decide == NULL || every_ms <= 0 ||
      !text_eq(address->kind, channel->address_kind) /* a name that nobody can write to */ ||
      policy_find_topic(in->policy, PARLEY_LIT(POLICY_TOPIC_KEYWORDS)) == NULL || answered_lately(round, in, address, every_ms))
    return;
  item.submission = answer_make(round, in, channel, address);
  accept_own(round, in->decide, &item, in->op.arena);
  in->heard.answered = item.result == ACCEPTED;
  submission_free(&item.submission);
}

/* --- what follows ------------------------------------------------------------------------------------------------------------ */

/* Nobody may act on it but a person. */
static void review_tell(struct round *round, const struct store_inbound *in, id64 identity)
{
  struct buf *data = &round->scratch;

  buf_clear(data);
  buf_str(data, "{\"channel\":");
  buf_json_text(data, in->channel);
  buf_str(data, ",\"channel_kind\":");
  buf_json_text(data, in->channel_kind);
  buf_str(data, ",\"may_mean\":\"opt_out\"}");
  round_event(round, "consent.review", in->now_ms, in->customer, identity, in->conversation, in->message, buf_as_text(data));
}

static bool opt_change(struct round *round, const struct store_inbound *in, const struct identity *address)
{
  struct bounced from = {.at_ms = in->now_ms,
                         .customer = in->customer,
                         .message = in->message,
                         .code = TEXT_EMPTY,
                         .detail = TEXT_EMPTY,
                         .channel_kind = in->channel_kind};

  return in->heard.keyword == KEYWORD_STOP ? opt_out_add(round, address, &from, in->op.arena)
                                           : opt_out_lift(round, address, &from, in->op.arena);
}

void keyword_do(struct round *round, struct store_inbound *in, id64 identity)
{
  const struct policy_channel *channel = channel_of(in);
  const struct identity *address = channel != NULL ? address_of(in, channel) : NULL;

  in->heard.message = in->message;
  if (in->heard.review)
    review_tell(round, in, identity);
  if (in->heard.keyword == KEYWORD_NONE || address == NULL)
    return;
  in->heard.address = *address;
  if (in->heard.keyword == KEYWORD_HELP) {
    answer(round, in, channel, address, channel->keywords->help_every_ms);
    return;
  }
  in->heard.changed = opt_change(round, in, address);
  if (!in->heard.changed)
    return;
  ledger_put(round, in, address);
  answer(round, in, channel, address, KEYWORD_ANSWER_EVERY_MS);
}
