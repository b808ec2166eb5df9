/* write_join.c - texts that come in pieces. A piece is kept in the transaction that it is acknowledged with, and the message is made in
 * the one that has its last piece, or by the sweep when its time is over: once, whatever dies between.
 *
 * What names a text is (channel, sender, key, total): a handset counts its texts with 8 bits and begins anew, so a name may come again.
 * While it waits, the first of two pieces of one number wins, and the other one, if it says something else, is a message by itself.
 * Afterwards, for JOIN_REMEMBER_MS, the same piece is the same once more, one that was missing is late, and another one begins another
 * text. */
#include "core/base/text.h"
#include "join.h"
#include <string.h>

#define JOIN_TWINS_MAX 16
#define JOINING_COLUMNS "id, what, done, total, channel, channel_kind, sender, why, message"

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

/* Which of those in the way go: the oldest. Transactions at once do not see each other's, and would all choose the same one: so when
 * there are too many already, each takes others, and two of them. */
static void room_take(struct round *round, struct stmt *oldest, int n_at, size_t excess, uint64_t chance)
{
  id64 ids[2];
  size_t n = 0, wanted = excess > 1 ? 2 : 1;

  bind_int(oldest, n_at, (int64_t)wanted);
  bind_int(oldest, n_at + 1, (int64_t)(chance % excess));
  while (n < wanted && db_step(oldest))
    ids[n++] = col_id(oldest, 0);
  db_reset(oldest);
  while (n > 0)
    due_at_once(round, ids[--n]);
}

/* The oldest of the channel, or of all that whose time is over first, makes room for a new one: it is delivered as it is, by the
 * sweep, since it is another customer's. */
static bool joining_makes_room(struct round *round, parley_text channel, uint64_t chance)
{
  struct stmt *here = db_sql(round->db, "SELECT count(*) FROM (SELECT 1 FROM joining WHERE channel=?1 AND done=0 AND due>0 LIMIT ?2)"
                                        " AS few");
  struct stmt *all = db_sql(round->db, "SELECT count(*) FROM (SELECT 1 FROM joining WHERE done=0 AND due>0 LIMIT ?1) AS few");
  struct stmt *oldest_here = db_sql(round->db, "SELECT id FROM joining WHERE channel=?1 AND done=0 AND due>0 ORDER BY id LIMIT ?2"
                                               " OFFSET ?3");
  struct stmt *oldest = db_sql(round->db, "SELECT id FROM joining WHERE done=0 AND due>0 ORDER BY due LIMIT ?1 OFFSET ?2");
  int64_t n_here, n_all;

  bind_text(here, 1, channel);
  bind_int(here, 2, 2 * JOIN_CHANNEL_OPEN_MAX);
  bind_int(all, 1, 2 * JOIN_OPEN_MAX);
  n_here = first_int(here) + 1 - JOIN_CHANNEL_OPEN_MAX; /* with the new one, too many */
  n_all = first_int(all) + 1 - JOIN_OPEN_MAX;
  if (n_here > 0) {
    bind_text(oldest_here, 1, channel);
    room_take(round, oldest_here, 2, (size_t)n_here, chance);
  } else if (n_all > 0) {
    room_take(round, oldest, 1, (size_t)n_all, chance);
  }
  return n_here > 0 || n_all > 0;
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
  in->crowded = joining_makes_room(round, in->channel, joining->h);
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

/* --- whose time is over ------------------------------------------------------------------------------------------------------ */

/* When the next one is due; 0: none waits. What is due at once (it made room) is due at 1. */
static int64_t next_due(struct round *round)
{
  struct stmt *next = db_sql(round->db, "SELECT due FROM joining WHERE done=0 ORDER BY due LIMIT 1");
  int64_t due = 0;

  if (!db_step(next))
    return 0;
  due = col_int(next, 0);
  db_reset(next);
  return due > 0 ? due : 1;
}

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
  id64 ids[JOIN_SWEEP_MAX];
  size_t n = due_ids(round, sweep, ids);

  sweep->n = 0;
  sweep->heard = arena_alloc(op->arena, (n + 1) * sizeof(*sweep->heard));
  for (size_t i = 0; i < n; i++)
    sweep_one(round, sweep, ids[i]);
  sweep->next_due_ms = next_due(round);
  return PARLEY_OK;
}
