/* write_inbound.c - what comes in: messages from customers and touchpoints, each once. */
#include "core/base/text.h"
#include "write.h"
#include <string.h>

#define SEEN_TWINS_MAX 16
#define CLOCK_AHEAD_MAX_MS 300000 /* a provider's time further ahead than this is wrong: ours is taken */

/* --- once
 * --------------------------------------------------------------------------------------------------------------------
 */

/* Apart from each other by NUL. */
struct seen seen_find(struct round *round, const char *kind, parley_text channel, parley_text key, const uint8_t *sha256,
                      struct arena *arena)
{
  struct stmt *get = db_sql(round->db, "SELECT what, id, body_hash, at FROM seen WHERE h=?");
  struct seen seen = {0};

  buf_clear(&round->scratch);
  buf_str(&round->scratch, kind);
  buf_char(&round->scratch, '\0');
  buf_text(&round->scratch, channel);
  buf_char(&round->scratch, '\0');
  buf_text(&round->scratch, key);
  seen.what = arena_text(arena, buf_as_text(&round->scratch));
  seen.h = hash64(&round->store->hash_key, seen.what);
  for (int i = 0; i < SEEN_TWINS_MAX; i++, seen.h++) {
    parley_bytes hash;

    bind_id(get, 1, seen.h);
    if (!db_step(get))
      break;
    hash = col_peek(get, 2);
    if (text_eq(col_peek(get, 0), seen.what)) {
      seen.id = col_id(get, 1);
      seen.at_ms = col_int(get, 3);
      seen.other_body = sha256 != NULL && (hash.len != SHA256_BYTES || memcmp(hash.at, sha256, SHA256_BYTES) != 0);
    }
    db_reset(get);
    if (seen.id != 0)
      break;
  }
  return seen;
}

void seen_put(struct round *round, const struct seen *seen, id64 id, const uint8_t *sha256)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO seen(h, what, id, body_hash, at) VALUES(?, ?, ?, ?, ?)");

  bind_id(put, 1, seen->h);
  bind_blob(put, 2, seen->what);
  bind_id(put, 3, id);
  bind_blob(put, 4, (parley_bytes){(const char *)sha256, sha256 != NULL ? SHA256_BYTES : 0});
  bind_int(put, 5, round->now_ms);
  db_run(put);
}

/* --- a message from a customer
 * ---------------------------------------------------------------------------------------------------- */

static void inbound_first(struct round *round, struct store_inbound *in, const struct seen *seen)
{
  struct stmt *get = db_sql(round->db, "SELECT customer, conversation FROM message WHERE id=?");

  in->duplicate = true;
  in->other_body = seen->other_body;
  in->message = in->piece.given ? piece_message(round, in, seen->id) : seen->id;
  in->waits = in->message == 0;
  round->delta.other_body += seen->other_body;
  bind_id(get, 1, in->message);
  if (in->message != 0 && db_step(get)) {
    in->customer = col_id(get, 0);
    in->conversation = col_id(get, 1);
  }
  db_reset(get);
}

/* Who has written from an address has shown that it is theirs, and that it is the one to answer. */
static void identities_used(struct round *round, const struct store_inbound *in, const struct who *who)
{
  struct stmt *put = db_sql(round->db, "UPDATE identity SET used=?1, assurance=CASE WHEN assurance<?2 THEN ?2 ELSE assurance END"
                                         " WHERE h=?3");

  if ((in->flags & PARLEY_ECHO) != 0) /* it was written to, not by them */
    return;
  for (size_t i = 0; i < in->from.n_identities; i++) {
    if (who->found.rows[i].customer != who->customer.id)
      continue;
    bind_int(put, 1, in->now_ms);
    bind_int(put, 2, PARLEY_OBSERVED);
    bind_id(put, 3, who->found.rows[i].h);
    db_run(put);
  }
}

static id64 identity_of(const struct store_inbound *in, const struct who *who)
{
  for (size_t i = 0; i < in->from.n_identities; i++)
    if (who->found.rows[i].customer == who->customer.id)
      return who->found.rows[i].id;
  return who->found.external.customer == who->customer.id ? who->found.external.id : 0;
}

/* Signs of life, automatic answers, copies of our own words, STOP and START join what is open, and open nothing. */
static bool opens_conversation(const struct store_inbound *in)
{
  return (in->flags & (PARLEY_AUTOMATIC | PARLEY_ECHO)) == 0 && in->heard.keyword != KEYWORD_STOP &&
         in->heard.keyword != KEYWORD_START && in->kind != PARLEY_KIND_TYPING &&
         in->kind != PARLEY_KIND_READ && in->kind != PARLEY_KIND_LEAVE && in->kind != PARLEY_KIND_MOVED;
}

/* The provider gave the customer another address: the old one (identities[0]) is theirs no more, and what it was open in goes on
 * at the new one. One that is somebody else's is a conflict and moves nothing. Returns the identity that counts from here on. */
static id64 identity_moved(struct round *round, const struct store_inbound *in, const struct who *who)
{
  const struct identity_row *was = &who->found.rows[0], *is = &who->found.rows[1];
  struct stmt *put = db_sql(round->db, "UPDATE conversation SET identity=?, version=version+1 WHERE id=? AND identity=?");

  if (is->customer != who->customer.id)
    return was->id;
  if (was->h == is->h || was->customer != who->customer.id)
    return is->id;
  identity_unlink(round, was, in->now_ms);
  bind_id(put, 1, is->id);
  bind_id(put, 2, who->customer.conversation);
  bind_id(put, 3, was->id);
  db_run(put);
  return is->id;
}

/* --- which message it answers ------------------------------------------------------------------------------------------------ */

struct answered { /* a message that was named */
  id64 id, customer, conversation;
  bool outbound, marketing;
  parley_text campaign;
};

static bool answered_read(struct round *round, id64 message, struct arena *arena, struct answered *ret)
{
  struct stmt *get = db_sql(round->db, "SELECT dir, customer, conversation, class, campaign FROM message WHERE id=?");

  bind_id(get, 1, message);
  if (message == 0 || !db_step(get))
    return false;
  *ret = (struct answered){.id = message,
                           .outbound = col_int(get, 0) == DIR_OUT,
                           .customer = col_id(get, 1),
                           .conversation = col_id(get, 2),
                           .marketing = col_int(get, 3) == CLASS_MARKETING,
                           .campaign = col_text(get, 4, arena)};
  db_reset(get);
  return true;
}

static bool answered_named(struct round *round, const struct store_inbound *in, parley_text name, struct answered *ret)
{
  id64 message = 0;
  uint32_t step;
  int part;

  if (name.len == 0)
    return false;
  if (!id_parse("msg", name, &message) && !provider_ref_find(round, in->channel, name, &message, &step, &part))
    return false;
  return answered_read(round, message, in->op.arena, ret);
}

static bool is_theirs(struct round *round, const struct who *who, const struct answered *answered, struct arena *arena)
{
  id64 *aliases;
  size_t n;

  if (answered->customer == who->customer.id)
    return true;
  n = customer_aliases(round->db, &who->customer, arena, &aliases);
  for (size_t i = 1; i < n; i++)
    if (aliases[i] == answered->customer)
      return true;
  return false;
}

/* Takes what it is told, unless it was to somebody else: of a newsletter that was passed on the campaign alone counts. */
static bool answers_take(struct round *round, const struct who *who, const struct answered *found, struct arena *arena,
                         struct answered *ret)
{
  if (is_theirs(round, who, found, arena)) {
    *ret = *found;
    return true;
  }
  if (found->marketing && ret->campaign.len == 0)
    ret->campaign = found->campaign;
  return false;
}

/* The token first, then references from the last one on, then what it says it answers. ret->id 0: none of theirs. */
static void answers_find(struct round *round, struct store_inbound *in, const struct who *who, struct answered *ret)
{
  struct arena *arena = in->op.arena;
  struct answered found;

  *ret = (struct answered){.campaign = TEXT_EMPTY};
  if (answered_read(round, in->token_message, arena, &found)) {
    in->foreign = !answers_take(round, who, &found, arena, ret);
    return;
  }
  for (size_t i = in->n_references; i > 0; i--)
    if (answered_named(round, in, in->references[i - 1], &found) && answers_take(round, who, &found, arena, ret))
      return;
  if (answered_named(round, in, in->in_reply_to, &found))
    answers_take(round, who, &found, arena, ret);
}

/* --- its conversation -------------------------------------------------------------------------------------------------------- */

static bool conversation_is_closed(struct round *round, id64 conversation)
{
  struct stmt *get = db_sql(round->db, "SELECT state FROM conversation WHERE id=?");
  bool closed = true;

  bind_id(get, 1, conversation);
  if (db_step(get))
    closed = parley_text_is(col_peek(get, 0), "closed");
  db_reset(get);
  return closed;
}

/* The one that what it answers stands in. When that is closed: the customer's open one, since at most one is; else it is opened
 * again, but never by what nobody wrote, which is filed there and leaves it closed. */
static void conversation_of_answered(struct round *round, struct store_inbound *in, const struct who *who,
                                     const struct answered *answered)
{
  in->conversation = who->customer.conversation;
  if (answered->conversation == 0 || answered->conversation == in->conversation)
    return;
  if (!conversation_is_closed(round, answered->conversation)) {
    in->conversation = answered->conversation;
  } else if (!opens_conversation(in)) {
    in->conversation = answered->conversation;
  } else if (in->conversation == 0) {
    in->conversation = answered->conversation;
    conversation_reopen(round, in->conversation, in->now_ms, in->op.arena);
  }
}

static void conversation_join(struct round *round, struct store_inbound *in, const struct who *who,
                              const struct answered *answered, id64 identity)
{
  struct conversation_row row = {.customer = who->customer.id,
                                 .identity = identity,
                                 .channel = in->channel,
                                 .channel_kind = in->channel_kind,
                                 .subject = in->subject,
                                 .opened_ms = in->now_ms,
                                 .last_inbound_ms = in->now_ms};

  conversation_of_answered(round, in, who, answered);
  if (!opens_conversation(in))
    return;
  if (in->conversation != 0) {
    conversation_heard(round, in->conversation, identity, in->channel, in->channel_kind, in->now_ms, in->op.arena);
    return;
  }
  in->conversation = conversation_open(round, &row);
  in->conversation_opened = true;
}

static uint32_t inbound_flags(const struct store_inbound *in)
{
  static const uint32_t keywords[KEYWORDS] = {
      [KEYWORD_STOP] = MESSAGE_STOP, [KEYWORD_START] = MESSAGE_START, [KEYWORD_HELP] = MESSAGE_HELP};

  return (in->flags & PARLEY_AUTOMATIC ? MESSAGE_AUTOMATIC : 0u) | (in->flags & PARLEY_ECHO ? MESSAGE_ECHO : 0u) |
         (in->foreign ? MESSAGE_FOREIGN : 0u) | (in->partial ? MESSAGE_PARTIAL : 0u) | (in->heard.review ? MESSAGE_REVIEW : 0u) |
         keywords[in->heard.keyword];
}

static void inbound_insert(struct round *round, const struct store_inbound *in, id64 identity, parley_text campaign, int64_t at_ms)
{
  struct stmt *put = db_sql(
      round->db,
      "INSERT INTO message(id, dir, kind, customer, identity, conversation, api_key, created, at, expires, not_before,"
      " flags, class, n_steps, n_go, end_state, topic, key, campaign, channel, channel_kind, provider_id,"
      " in_reply_to, reason, decision, body)"
      " VALUES(?,1,?,?,?,?,0,?,?,0,0,?,?,0,0,?,?,'',?,?,?,?,?,'','',?)");
  bool apart = in->body.len > BODY_INLINE_MAX;
  uint32_t flags = inbound_flags(in);

  bind_id(put, 1, in->message);
  bind_int(put, 2, in->kind);
  bind_id(put, 3, in->customer);
  bind_id(put, 4, identity);
  bind_id(put, 5, in->conversation);
  bind_int(put, 6, in->now_ms);
  bind_int(put, 7, at_ms);
  bind_int(put, 8, flags | (apart ? MESSAGE_BODY_APART : 0));
  bind_int(put, 9, CLASS_CONVERSATION);
  bind_int(put, 10, MESSAGE_DELIVERED);
  bind_text(put, 11, in->topic);
  bind_text(put, 12, campaign);
  bind_text(put, 13, in->channel);
  bind_text(put, 14, in->channel_kind);
  bind_text(put, 15, in->provider_id);
  bind_text(put, 16, in->in_reply_to);
  bind_blob(put, 17, apart ? (parley_bytes){"", 0} : in->body);
  db_run(put);
  if (apart)
    body_insert(round, in->message, in->body);
}

static void raw_insert(struct round *round, id64 message, parley_bytes raw)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO raw(message, bytes) VALUES(?, ?)");

  if (raw.len == 0)
    return;
  bind_id(put, 1, message);
  bind_blob(put, 2, raw);
  db_run(put);
}

/* An answer of a person to one of ours reaches every `until`: nothing more of that plan is sent. */
static void replied(struct round *round, const struct store_inbound *in, const struct answered *answered)
{
  struct happened happened = {.what = HAPPEN_RECEIPT, .fact = FACT_REPLIED};
  struct life life;
  int row;

  if (!answered->outbound || answered->customer != in->customer || (in->flags & (PARLEY_AUTOMATIC | PARLEY_ECHO)) != 0 ||
      in->heard.keyword != KEYWORD_NONE ||
      !life_load(round, answered->id, NULL, in->now_ms, in->op.arena, &life))
    return;
  row = life_row_of_channel(&life, in->channel);
  if (row < 0)
    row = (int)life.message.n_deliveries - 1;
  if (row < 0)
    return;
  happened.delivery = (size_t)row;
  life_advance(round, &life, &happened, NULL);
}

/* How an answer of ours will name it; and what it answers itself, when that had no conversation yet. */
static void inbound_thread(struct round *round, const struct store_inbound *in, const struct answered *answered)
{
  struct stmt *get = db_sql(round->db, "SELECT provider_id FROM delivery WHERE message=? AND channel=? ORDER BY step DESC LIMIT 1");
  parley_text first = TEXT_EMPTY;

  if (answered->outbound && answered->conversation == 0 && in->provider_id.len > 0) {
    bind_id(get, 1, answered->id);
    bind_text(get, 2, in->channel);
    if (db_step(get))
      first = col_text(get, 0, in->op.arena);
    db_reset(get);
    thread_put(round, in->conversation, answered->id, in->channel, first, false);
  }
  thread_put(round, in->conversation, in->message, in->channel, in->provider_id, true);
}

/* Nobody's message may take the name of another one, nor one of ours before we do: our next ids can be guessed. */
void inbound_named(struct round *round, parley_text channel, parley_text provider_id, id64 message)
{
  id64 there;
  uint32_t step;
  int part;

  if (provider_id.len > 0 && !provider_ref_is_ours(provider_id) &&
      !provider_ref_find(round, channel, provider_id, &there, &step, &part))
    provider_ref_put(round, channel, provider_id, message, 0, -1);
}

static void inbound_tell(struct round *round, const struct store_inbound *in, const struct answered *answered, id64 identity,
                         int64_t at_ms)
{
  struct buf *data = &round->scratch;

  buf_clear(data);
  buf_str(data, "{\"channel\":");
  buf_json_text(data, in->channel);
  if (in->flags & PARLEY_AUTOMATIC)
    buf_str(data, ",\"automatic\":true");
  if (in->foreign)
    buf_str(data, ",\"foreign_reply\":true");
  if (in->partial)
    buf_str(data, ",\"partial\":true");
  if (in->heard.keyword != KEYWORD_NONE) {
    buf_str(data, ",\"keyword\":");
    buf_json_str(data, keyword_name(in->heard.keyword));
  }
  if (in->heard.review)
    buf_str(data, ",\"review\":\"opt_out\"");
  if (answered->id != 0) {
    buf_str(data, ",\"in_reply_to\":");
    buf_json_id(data, "msg", answered->id);
  }
  if (answered->campaign.len > 0) {
    buf_str(data, ",\"campaign\":");
    buf_json_text(data, answered->campaign);
  }
  buf_char(data, '}');
  round_event(round, "message.received", at_ms, in->customer, identity, in->conversation, in->message,
              buf_as_text(data));
}

static int64_t occurred_ms(int64_t at_ms, int64_t now_ms)
{
  return at_ms <= 0 || at_ms > now_ms + CLOCK_AHEAD_MAX_MS ? now_ms : at_ms;
}

parley_status inbound_make(struct round *round, struct store_inbound *in)
{
  int64_t at_ms = occurred_ms(in->at_ms, in->now_ms);
  struct answered answered;
  struct who who;
  id64 identity;

  who_resolve(round, &in->from, in->op.arena, in->now_ms, true, &who);
  if (who.result != ACCEPTED)
    return PARLEY_REJECTED;
  in->customer = who.customer.id;
  in->customer_created = who.created;
  keyword_hear(in);
  identities_used(round, in, &who);
  identity = in->kind == PARLEY_KIND_MOVED ? identity_moved(round, in, &who) : identity_of(in, &who);
  answers_find(round, in, &who, &answered);
  in->answers = answered.id;
  conversation_join(round, in, &who, &answered, identity);
  in->message = id_next(&round->store->ids);
  inbound_insert(round, in, identity, answered.campaign, at_ms);
  raw_insert(round, in->message, in->raw);
  inbound_named(round, in->channel, in->provider_id, in->message);
  inbound_thread(round, in, &answered);
  who_tell_conflicts(round, &in->from, &who, in->now_ms);
  inbound_tell(round, in, &answered, identity, at_ms);
  replied(round, in, &answered);
  round_timeline(round, in->customer, at_ms, in->message, TIMELINE_MESSAGE);
  round->delta.inbound++;
  keyword_do(round, in, identity);
  return PARLEY_OK;
}

static parley_status inbound_new_one(struct round *round, struct store_inbound *in)
{
  if (!in->piece.given)
    return inbound_make(round, in);
  return in->piece.bad != NULL ? piece_alone(round, in, in->piece.bad) : piece_take(round, in);
}

parley_status write_inbound(struct round *round, struct store_op *op)
{
  struct store_inbound *in = container_of(op, struct store_inbound, op);
  parley_text key = in->event_id.len > 0 ? in->event_id : in->provider_id;
  struct seen seen = {0};
  parley_status st;

  if (key.len > 0)
    seen = seen_find(round, "in", in->channel, key, in->body_sha256, op->arena);
  if (seen.id != 0) {
    inbound_first(round, in, &seen);
    return PARLEY_OK;
  }
  st = inbound_new_one(round, in);
  if (st == PARLEY_OK && key.len > 0)
    seen_put(round, &seen, in->message != 0 ? in->message : in->joining, in->body_sha256);
  return st;
}

/* --- touchpoints
 * --------------------------------------------------------------------------------------------------------------------
 */

static void touchpoint_first(struct round *round, struct store_touchpoint *touch, uint64_t seq)
{
  struct stmt *get = db_sql(round->db, "SELECT customer FROM event WHERE seq=?");

  touch->duplicate = true;
  touch->result = ACCEPTED;
  touch->seq = seq;
  bind_id(get, 1, seq);
  if (db_step(get))
    touch->customer = col_id(get, 0);
  db_reset(get);
}

/* {"stage":..,"channel":..,"data":{...}}; members that were not given are left out. */
static parley_text touchpoint_data(const struct store_touchpoint *touch, struct arena *arena)
{
  struct buf data = BUF_INIT(0);
  parley_text text;

  buf_char(&data, '{');
  if (touch->stage.len > 0) {
    buf_json_key(&data, "stage");
    buf_json_text(&data, touch->stage);
  }
  if (touch->channel.len > 0) {
    buf_json_key(&data, "channel");
    buf_json_text(&data, touch->channel);
  }
  if (touch->data.len > 0) {
    buf_json_key(&data, "data");
    buf_text(&data, touch->data);
  }
  buf_char(&data, '}');
  text = arena_text(arena, buf_as_text(&data));
  buf_done(&data);
  return text;
}

parley_status write_touchpoint(struct round *round, struct store_op *op)
{
  struct store_touchpoint *touch = container_of(op, struct store_touchpoint, op);
  struct buf type = BUF_INIT(128);
  struct seen seen = {0};
  struct who who;

  if (touch->key.len > 0)
    seen = seen_find(round, "touch", touch->channel, touch->key, NULL, op->arena);
  if (seen.id != 0) {
    touchpoint_first(round, touch, seen.id);
    return PARLEY_OK;
  }
  who_resolve(round, &touch->who, op->arena, touch->now_ms, false, &who);
  touch->result = who.result;
  if (who.result != ACCEPTED)
    return PARLEY_OK;
  touch->customer = who.customer.id;
  who_tell_conflicts(round, &touch->who, &who, touch->now_ms);
  buf_str(&type, touch->event != NULL ? touch->event : "touchpoint.");
  buf_text(&type, touch->type);
  touch->seq = round_event(round, type.at, occurred_ms(touch->at_ms, touch->now_ms), who.customer.id,
                           touch->who.n_identities > 0 ? who.found.rows[0].id : 0, who.customer.conversation, 0,
                           touch->event != NULL ? touch->data : touchpoint_data(touch, op->arena));
  buf_done(&type);
  if (touch->key.len > 0)
    seen_put(round, &seen, touch->seq, NULL);
  return PARLEY_OK;
}
