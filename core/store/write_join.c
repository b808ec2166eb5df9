/* write_join.c - texts that come in pieces. A piece is kept in the transaction that it is acknowledged with, and the message is made in
 * the one that has its last piece, or by the sweep when its time is over: once, whatever dies between.
 *
 * What names a text is (channel, sender, key, total): a handset counts its texts with 8 bits and begins anew, so a name may come again.
 * While it waits, the first of two pieces of one number wins, and the other one, if it says something
 * else, is a message by itself. Afterwards, for JOIN_REMEMBER_MS, the same piece is the same once more,
 * one that was missing is late, and another one begins another text. */
#include "core/base/text.h"
#include "core/message/json.h"
#include "write.h"
#include <string.h>

#define JOIN_TWINS_MAX 16
#define JOIN_GAP "[\xe2\x80\xa6]" /* stands for pieces that are missing */

struct joining {
  id64 id, message;
  uint64_t h;
  int64_t done_ms;
  uint32_t total;
  parley_text what, channel, channel_kind, sender, why;
};
#define JOINING_COLUMNS "id, what, done, total, channel, channel_kind, sender, why, message"

struct piece { /* as it was kept */
  uint32_t part, flags;
  int64_t at_ms;
  id64 token;
  parley_text provider_id, in_reply_to, text;
  parley_bytes body, raw;
};

/* --- who wrote: {"external":"..","ids":[["phone","+34..","600 ..",2],..]} ---------------------------------------------------- */

static parley_text sender_write(const struct recipient *from, struct arena *arena)
{
  struct buf json = BUF_INIT(0);
  parley_text kept;

  buf_str(&json, "{\"external\":");
  buf_json_text(&json, from->external);
  buf_str(&json, ",\"ids\":[");
  for (size_t i = 0; i < from->n_identities; i++) {
    const struct identity *identity = &from->identities[i];

    buf_json_comma(&json);
    buf_char(&json, '[');
    buf_json_text(&json, identity->kind);
    buf_char(&json, ',');
    buf_json_text(&json, identity->value);
    buf_char(&json, ',');
    buf_json_text(&json, identity->raw);
    buf_printf(&json, ",%u]", identity->assurance);
  }
  buf_str(&json, "]}");
  kept = arena_text(arena, buf_as_text(&json));
  buf_done(&json);
  return kept;
}

static void sender_read(parley_text sender, struct arena *arena, struct recipient *ret)
{
  json_t *json = json_loadb(sender.at, sender.len, 0, NULL), *ids = json_object_get(json, "ids");

  *ret = (struct recipient){.external = arena_text(arena, json_text(json_object_get(json, "external")))};
  for (size_t i = 0; i < json_array_size(ids) && i < RECIPIENT_IDENTITIES_MAX; i++) {
    const json_t *one = json_array_get(ids, i);

    ret->identities[ret->n_identities++] =
        (struct identity){.kind = arena_text(arena, json_text(json_array_get(one, 0))),
                          .value = arena_text(arena, json_text(json_array_get(one, 1))),
                          .raw = arena_text(arena, json_text(json_array_get(one, 2))),
                          .assurance = (uint32_t)json_integer_value(json_array_get(one, 3))};
  }
  json_decref(json);
}

/* --- which text -------------------------------------------------------------------------------------------------------------- */

static parley_text what_of(const struct store_inbound *in)
{
  const struct recipient *from = &in->from;
  struct buf what = BUF_INIT(0);
  parley_text kept;

  buf_text(&what, in->channel);
  buf_char(&what, '\0');
  buf_text(&what, from->n_identities > 0 ? from->identities[0].kind : PARLEY_LIT("external"));
  buf_char(&what, '\0');
  buf_text(&what, from->n_identities > 0 ? from->identities[0].value : from->external);
  buf_char(&what, '\0');
  buf_text(&what, in->piece.key);
  buf_printf(&what, "/%u", in->piece.total);
  kept = arena_text(in->op.arena, buf_as_text(&what));
  buf_done(&what);
  return kept;
}

static void joining_fill(struct stmt *row, struct arena *arena, struct joining *ret)
{
  ret->id = col_id(row, 0);
  ret->what = col_text(row, 1, arena);
  ret->done_ms = col_int(row, 2);
  ret->total = (uint32_t)col_int(row, 3);
  ret->channel = col_text(row, 4, arena);
  ret->channel_kind = col_text(row, 5, arena);
  ret->sender = col_text(row, 6, arena);
  ret->why = col_text(row, 7, arena);
  ret->message = col_id(row, 8);
}

/* False: there is none, ret->h is where it would go. */
static bool joining_find(struct round *round, parley_text what, struct arena *arena, struct joining *ret)
{
  struct stmt *get = db_sql(round->db, "SELECT " JOINING_COLUMNS " FROM joining WHERE h=?");

  *ret = (struct joining){.h = hash64(&round->store->hash_key, what)};
  for (int i = 0; i < JOIN_TWINS_MAX; i++, ret->h++) {
    bool same;

    bind_id(get, 1, ret->h);
    if (!db_step(get))
      return false;
    same = text_eq(col_peek(get, 1), what);
    if (same)
      joining_fill(get, arena, ret);
    db_reset(get);
    if (same)
      return true;
  }
  return false;
}

static bool joining_by_id(struct round *round, id64 id, struct arena *arena, struct joining *ret)
{
  struct stmt *get = db_sql(round->db, "SELECT " JOINING_COLUMNS " FROM joining WHERE id=?");
  bool there;

  *ret = (struct joining){0};
  bind_id(get, 1, id);
  there = db_step(get);
  if (there)
    joining_fill(get, arena, ret);
  db_reset(get);
  return there;
}

/* Another daemon of this store may have the text's next piece in its hands: from here to the commit it waits for us. */
static void joining_lock(struct round *round, struct arena *arena, struct joining *joining)
{
  struct stmt *touch = db_sql(round->db, "UPDATE joining SET total=? WHERE id=?");
  uint64_t h = joining->h;

  if (round->store->ways->lock == NULL)
    return;
  bind_int(touch, 1, joining->total);
  bind_id(touch, 2, joining->id);
  db_run(touch);
  joining_by_id(round, joining->id, arena, joining);
  joining->h = h;
}

static void joining_forget(struct round *round, id64 id)
{
  struct stmt *pieces = db_sql(round->db, "DELETE FROM piece WHERE joining=?");
  struct stmt *joining = db_sql(round->db, "DELETE FROM joining WHERE id=?");

  bind_id(pieces, 1, id);
  db_run(pieces);
  bind_id(joining, 1, id);
  db_run(joining);
}

void joined_expire(struct round *round, size_t limit)
{
  struct stmt *list = db_sql(round->db, "SELECT id FROM joining WHERE done>0 AND done<? ORDER BY done LIMIT ?");
  struct arena *arena = arena_new();
  id64 *ids = arena_alloc(arena, limit * sizeof(*ids));
  size_t n = 0;

  bind_int(list, 1, round->now_ms - JOIN_REMEMBER_MS);
  bind_int(list, 2, (int64_t)limit);
  while (n < limit && db_step(list))
    ids[n++] = col_id(list, 0);
  db_reset(list);
  while (n > 0)
    joining_forget(round, ids[--n]);
  arena_free(&arena);
}

/* --- not too many ------------------------------------------------------------------------------------------------------------ */

static int64_t first_int(struct stmt *get)
{
  int64_t value = db_step(get) ? col_int(get, 0) : 0;

  db_reset(get);
  return value;
}

static void due_at_once(struct round *round, id64 id)
{
  struct stmt *put = db_sql(round->db, "UPDATE joining SET due=0, why=? WHERE id=?");

  bind_str(put, 1, "too_many");
  bind_id(put, 2, id);
  db_run(put);
}

/* The oldest of the channel, or of all that whose time is over first, makes room for a new one: it is delivered as it is, by the
 * sweep, since it is another customer's. */
static bool joining_makes_room(struct round *round, parley_text channel)
{
  struct stmt *here = db_sql(round->db, "SELECT count(*) FROM (SELECT 1 FROM joining WHERE channel=?1 AND done=0 AND due>0 LIMIT ?2)"
                                        " AS few");
  struct stmt *all = db_sql(round->db, "SELECT count(*) FROM (SELECT 1 FROM joining WHERE done=0 AND due>0 LIMIT ?1) AS few");
  struct stmt *oldest_here = db_sql(round->db, "SELECT id FROM joining WHERE channel=?1 AND done=0 AND due>0 ORDER BY id LIMIT 1");
  struct stmt *oldest = db_sql(round->db, "SELECT id FROM joining WHERE done=0 AND due>0 ORDER BY due LIMIT 1");
  struct stmt *get = NULL;

  bind_text(here, 1, channel);
  bind_int(here, 2, JOIN_CHANNEL_OPEN_MAX);
  bind_int(all, 1, JOIN_OPEN_MAX);
  bind_text(oldest_here, 1, channel);
  if (first_int(here) >= JOIN_CHANNEL_OPEN_MAX)
    get = oldest_here;
  else if (first_int(all) >= JOIN_OPEN_MAX)
    get = oldest;
  if (get != NULL)
    due_at_once(round, (id64)first_int(get));
  return get != NULL;
}

/* --- the message ------------------------------------------------------------------------------------------------------------- */

static size_t pieces_load(struct round *round, const struct joining *joining, struct arena *arena, struct piece *pieces)
{
  struct stmt *list = db_sql(round->db, "SELECT part, at, flags, provider_id, in_reply_to, token, text, body, raw FROM piece"
                                        " WHERE joining=? ORDER BY part");
  size_t n = 0;

  bind_id(list, 1, joining->id);
  while (n < JOIN_PARTS_MAX && db_step(list))
    pieces[n++] = (struct piece){.part = (uint32_t)col_int(list, 0),
                                 .at_ms = col_int(list, 1),
                                 .flags = (uint32_t)col_int(list, 2),
                                 .provider_id = col_text(list, 3, arena),
                                 .in_reply_to = col_text(list, 4, arena),
                                 .token = col_id(list, 5),
                                 .text = col_text(list, 6, arena),
                                 .body = col_text(list, 7, arena),
                                 .raw = col_text(list, 8, arena)};
  db_reset(list);
  return n;
}

/* In their order, a mark where some are missing. */
static parley_text pieces_text(const struct piece *pieces, size_t n, uint32_t total, struct arena *arena)
{
  struct buf text = BUF_INIT(0);
  uint32_t next = 1;
  parley_text kept;

  for (size_t i = 0; i < n; i++) {
    if (pieces[i].part != next)
      buf_str(&text, JOIN_GAP);
    buf_text(&text, pieces[i].text);
    next = pieces[i].part + 1;
  }
  if (next <= total)
    buf_str(&text, JOIN_GAP);
  kept = arena_text(arena, buf_as_text(&text));
  buf_done(&text);
  return kept;
}

/* One after the other, as they came. */
static parley_bytes pieces_raw(const struct piece *pieces, size_t n, struct arena *arena)
{
  struct buf raw = BUF_INIT(0);
  parley_bytes kept;

  for (size_t i = 0; i < n; i++) {
    if (raw.len > 0 && pieces[i].raw.len > 0)
      buf_char(&raw, '\n');
    buf_text(&raw, pieces[i].raw);
  }
  kept = arena_text(arena, buf_as_text(&raw));
  buf_done(&raw);
  return kept;
}

/* {"total":3,"missing":[2],"why":"timed_out"} */
static json_t *segments_of(const struct piece *pieces, size_t n, uint32_t total, const char *why)
{
  json_t *segments = json_pack("{s:i}", "total", (int)total), *missing = json_array();
  size_t at = 0;

  for (uint32_t part = 1; part <= total; part++) {
    if (at < n && pieces[at].part == part)
      at++;
    else
      json_array_append_new(missing, json_integer(part));
  }
  if (json_array_size(missing) > 0) {
    json_object_set(segments, "missing", missing);
    json_object_set_new(segments, "why", json_string(why));
  }
  json_decref(missing);
  return segments;
}

/* The stored body with another text in it, and what became of the pieces beside. Takes segments. */
static parley_bytes body_with(parley_bytes body, const parley_text *text, json_t *segments, struct arena *arena)
{
  json_t *json = json_loadb(body.at, body.len, JSON_ALLOW_NUL, NULL);
  struct buf made = BUF_INIT(0);
  parley_bytes kept;

  if (text != NULL)
    json_object_set_new(json_object_get(json, "content"), "text", json_stringn(text->at, text->len));
  json_object_set_new(json, "segments", segments);
  buf_json_value(&made, json);
  kept = arena_text(arena, buf_as_text(&made));
  buf_done(&made);
  json_decref(json);
  return kept;
}

/* What all pieces say together: the first that has it. */
static void pieces_fill(const struct piece *pieces, size_t n, struct store_inbound *in)
{
  for (size_t i = 0; i < n; i++) {
    if (in->at_ms == 0 || (pieces[i].at_ms > 0 && pieces[i].at_ms < in->at_ms))
      in->at_ms = pieces[i].at_ms;
    if (in->provider_id.len == 0)
      in->provider_id = pieces[i].provider_id;
    if (in->in_reply_to.len == 0)
      in->in_reply_to = pieces[i].in_reply_to;
    if (in->token_message == 0)
      in->token_message = pieces[i].token;
    in->flags |= pieces[i].flags;
  }
}

/* What is known of it from here on is how it was named, and which pieces it had. */
static void joining_done(struct round *round, id64 id, id64 message)
{
  struct stmt *pieces = db_sql(round->db, "UPDATE piece SET text='', body=?2, raw=?2, in_reply_to='' WHERE joining=?1");
  struct stmt *joining = db_sql(round->db, "UPDATE joining SET done=?, message=?, sender='' WHERE id=?");

  bind_id(pieces, 1, id);
  bind_blob(pieces, 2, (parley_bytes){"", 0});
  db_run(pieces);
  bind_int(joining, 1, round->now_ms);
  bind_id(joining, 2, message);
  bind_id(joining, 3, id);
  db_run(joining);
}

/* in: policy, decide, now_ms, op.arena. What comes out of it stands in `in`. */
static parley_status joining_deliver(struct round *round, const struct joining *joining, const char *why, struct store_inbound *in)
{
  struct arena *arena = in->op.arena;
  struct piece *pieces = arena_alloc(arena, JOIN_PARTS_MAX * sizeof(*pieces));
  size_t n = pieces_load(round, joining, arena, pieces);
  parley_status st;

  if (n == 0)
    return PARLEY_NOT_FOUND;
  in->channel = joining->channel;
  in->channel_kind = joining->channel_kind;
  in->event_id = in->provider_id = in->in_reply_to = in->topic = TEXT_EMPTY;
  in->kind = PARLEY_KIND_CONTENT;
  in->flags = 0;
  in->at_ms = 0;
  in->token_message = 0;
  in->n_references = 0;
  sender_read(joining->sender, arena, &in->from);
  pieces_fill(pieces, n, in);
  in->text = pieces_text(pieces, n, joining->total, arena);
  in->body = body_with(pieces[0].body, &in->text, segments_of(pieces, n, joining->total, why), arena);
  in->raw = pieces_raw(pieces, n, arena);
  in->partial = n < joining->total;
  st = inbound_make(round, in);
  if (st != PARLEY_OK)
    return st;
  for (size_t i = 1; i < n; i++)
    inbound_named(round, joining->channel, pieces[i].provider_id, in->message);
  joining_done(round, joining->id, in->message);
  return PARLEY_OK;
}

/* --- one piece --------------------------------------------------------------------------------------------------------------- */

enum known { PIECE_NEW, PIECE_SAME, PIECE_OTHER /* its number is there, with other words */ };

/* By its words: an envelope that is sent again may have another number or time on it. */
static enum known piece_known(struct round *round, id64 joining, const struct store_inbound *in)
{
  struct stmt *get = db_sql(round->db, "SELECT hash FROM piece WHERE joining=? AND part=?");
  enum known known = PIECE_NEW;
  uint8_t words[SHA256_BYTES];
  parley_bytes hash;

  sha256(in->text, words);

  bind_id(get, 1, joining);
  bind_int(get, 2, in->piece.part);
  if (db_step(get)) {
    hash = col_peek(get, 0);
    known = hash.len == SHA256_BYTES && memcmp(hash.at, words, SHA256_BYTES) == 0 ? PIECE_SAME : PIECE_OTHER;
  }
  db_reset(get);
  return known;
}

static void piece_put(struct round *round, id64 joining, const struct store_inbound *in)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO piece(joining, part, hash, at, came, flags, provider_id, in_reply_to, token, text,"
                                       " body, raw) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  uint8_t words[SHA256_BYTES];

  sha256(in->text, words);
  bind_id(put, 1, joining);
  bind_int(put, 2, in->piece.part);
  bind_blob(put, 3, (parley_bytes){(const char *)words, SHA256_BYTES});
  bind_int(put, 4, in->at_ms);
  bind_int(put, 5, in->now_ms);
  bind_int(put, 6, in->flags);
  bind_text(put, 7, in->provider_id);
  bind_text(put, 8, in->in_reply_to);
  bind_id(put, 9, in->token_message);
  bind_text(put, 10, in->text);
  bind_blob(put, 11, in->body);
  bind_blob(put, 12, in->raw.len > 0 ? in->raw : (parley_bytes){"", 0});
  db_run(put);
}

static void joining_insert(struct round *round, const struct store_inbound *in, const struct joining *at, id64 id)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO joining(id, h, what, channel, channel_kind, sender, total, due, opened, done,"
                                       " message, why) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '') ON CONFLICT(h) DO NOTHING");

  bind_id(put, 1, id);
  bind_id(put, 2, at->h);
  bind_blob(put, 3, at->what);
  bind_text(put, 4, in->channel);
  bind_text(put, 5, in->channel_kind);
  bind_text(put, 6, sender_write(&in->from, in->op.arena));
  bind_int(put, 7, in->piece.total);
  bind_int(put, 8, in->piece.due_ms > 0 ? in->piece.due_ms : 1);
  bind_int(put, 9, in->now_ms);
  db_run(put);
}

/* False: there is no place for it, or somebody else was faster and its row is not ours to see. */
static bool joining_open(struct round *round, struct store_inbound *in, parley_text what, struct joining *joining)
{
  in->crowded = joining_makes_room(round, in->channel);
  joining->what = what;
  joining_insert(round, in, joining, id_next(&round->store->ids));
  if (!joining_find(round, what, in->op.arena, joining))
    return false;
  joining_lock(round, in->op.arena, joining);
  return true;
}

static parley_status piece_again(struct store_inbound *in, const struct joining *joining)
{
  in->message = joining->message;
  in->joining = joining->id;
  in->duplicate = true;
  in->waits = joining->done_ms == 0;
  return PARLEY_OK;
}

static parley_status piece_keep(struct round *round, struct store_inbound *in, const struct joining *joining)
{
  struct stmt *count = db_sql(round->db, "SELECT count(*) FROM piece WHERE joining=?");

  in->joining = joining->id;
  piece_put(round, joining->id, in);
  bind_id(count, 1, joining->id);
  if (first_int(count) == (int64_t)joining->total)
    return joining_deliver(round, joining, "", in);
  in->waits = true;
  return PARLEY_OK;
}

/* Its text is a message already. */
static parley_status piece_after(struct round *round, struct store_inbound *in, parley_text what, struct joining *joining)
{
  bool forgotten = in->now_ms - joining->done_ms >= JOIN_REMEMBER_MS;
  enum known known = piece_known(round, joining->id, in);

  if (!forgotten && known == PIECE_SAME)
    return piece_again(in, joining);
  if (!forgotten && known == PIECE_NEW)
    return piece_alone(round, in, "late");
  joining_forget(round, joining->id); /* the handset has counted round */
  if (!joining_open(round, in, what, joining) || joining->done_ms != 0)
    return PARLEY_RETRY;
  return piece_keep(round, in, joining);
}

id64 piece_message(struct round *round, const struct store_inbound *in, id64 id)
{
  struct stmt *get = db_sql(round->db, "SELECT 1 FROM message WHERE id=?");
  struct joining joining;
  id64 message = 0;
  uint32_t step;
  int part;
  bool there;

  bind_id(get, 1, id);
  there = db_step(get);
  db_reset(get);
  if (there)
    return id;
  if (joining_by_id(round, id, in->op.arena, &joining))
    return joining.message;
  return in->provider_id.len > 0 && provider_ref_find(round, in->channel, in->provider_id, &message, &step, &part) ? message : 0;
}

parley_status piece_take(struct round *round, struct store_inbound *in)
{
  parley_text what = what_of(in);
  struct joining joining;
  enum known known;

  if (joining_find(round, what, in->op.arena, &joining))
    joining_lock(round, in->op.arena, &joining);
  else if (!joining_open(round, in, what, &joining))
    return PARLEY_RETRY;
  if (joining.done_ms != 0)
    return piece_after(round, in, what, &joining);
  known = piece_known(round, joining.id, in);
  if (known == PIECE_SAME)
    return piece_again(in, &joining);
  if (known == PIECE_OTHER)
    return piece_alone(round, in, "twice");
  return piece_keep(round, in, &joining);
}

parley_status piece_alone(struct round *round, struct store_inbound *in, const char *why)
{
  json_t *segments = json_pack("{s:I,s:I,s:s}", "part", (json_int_t)in->piece.part, "total", (json_int_t)in->piece.total, "why", why);

  in->body = body_with(in->body, NULL, segments, in->op.arena);
  in->partial = true;
  return inbound_make(round, in);
}

/* --- whose time is over ------------------------------------------------------------------------------------------------------ */

static size_t due_ids(struct round *round, const struct store_join_sweep *sweep, id64 ids[JOIN_SWEEP_MAX])
{
  struct stmt *list = db_sql(round->db, "SELECT id FROM joining WHERE done=0 AND due<=?1 ORDER BY due, id LIMIT ?2");
  size_t n = 0;

  bind_int(list, 1, sweep->due_ms);
  bind_int(list, 2, JOIN_SWEEP_MAX);
  while (n < JOIN_SWEEP_MAX && db_step(list))
    ids[n++] = col_id(list, 0);
  db_reset(list);
  return n;
}

static void put_off(struct round *round, const struct store_join_sweep *sweep, id64 id)
{
  struct stmt *put = db_sql(round->db, "UPDATE joining SET due=? WHERE id=?");

  bind_int(put, 1, sweep->due_ms + JOIN_REMEMBER_MS);
  bind_id(put, 2, id);
  db_run(put);
}

static void sweep_one(struct round *round, struct store_join_sweep *sweep, id64 id)
{
  struct store_inbound in = {
      .op = {.arena = sweep->op.arena}, .policy = sweep->policy, .decide = sweep->decide, .now_ms = sweep->now_ms};
  struct joining joining;
  parley_status st;

  if (!joining_by_id(round, id, sweep->op.arena, &joining))
    return;
  joining_lock(round, sweep->op.arena, &joining);
  if (joining.done_ms != 0) /* another daemon's sweep was faster */
    return;
  st = joining_deliver(round, &joining, joining.why.len > 0 ? "too_many" : "timed_out", &in);
  if (st == PARLEY_OK)
    sweep->heard[sweep->n++] = in.heard;
  else if (round->db->status == PARLEY_OK)
    put_off(round, sweep, id); /* it must not stand in the way of the others */
}

parley_status write_join_sweep(struct round *round, struct store_op *op)
{
  struct store_join_sweep *sweep = container_of(op, struct store_join_sweep, op);
  struct stmt *next = db_sql(round->db, "SELECT due FROM joining WHERE done=0 AND due>0 ORDER BY due LIMIT 1");
  id64 ids[JOIN_SWEEP_MAX];
  size_t n = due_ids(round, sweep, ids);

  sweep->n = 0;
  sweep->heard = arena_alloc(op->arena, (n + 1) * sizeof(*sweep->heard));
  for (size_t i = 0; i < n; i++)
    sweep_one(round, sweep, ids[i]);
  sweep->next_due_ms = first_int(next);
  return PARLEY_OK;
}
