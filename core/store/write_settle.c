/* write_settle.c - what becomes of deliveries: outcomes, orphans of a dead session, time that runs out, cancel and
 * resolve. All of it goes through life_advance(). */
#include "core/base/text.h"
#include "write.h"
#include <jansson.h>

#define SWEEP_AGAIN_MS 60000 /* a wake time that changed nothing is looked at again so much later */

/* --- attempts
 * ---------------------------------------------------------------------------------------------------------------- */

#define ATTEMPT_INSERT \
  "INSERT INTO attempt(message, step, token, id, number, started, ended, outcome, code, detail, provider_id)" \
  " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

/* A late success takes the place of the "unknown" that stood for the same token. Of an attempt that is open there is no row yet:
 * to look for one costs PostgreSQL a third more. */
void attempt_put(struct round *round, const struct attempt_ended *ended)
{
  struct stmt *first = db_sql(round->db, ATTEMPT_INSERT);
  struct stmt *late = db_sql(round->db, ATTEMPT_INSERT " ON CONFLICT(message, step, token) DO UPDATE SET"
                                        " id=excluded.id, number=excluded.number, started=excluded.started, ended=excluded.ended,"
                                        " outcome=excluded.outcome, code=excluded.code, detail=excluded.detail,"
                                        " provider_id=excluded.provider_id");
  struct stmt *put = ended->late ? late : first;

  bind_id(put, 1, ended->message);
  bind_int(put, 2, ended->step);
  bind_id(put, 3, ended->token);
  bind_id(put, 4, id_next(&round->store->ids));
  bind_int(put, 5, ended->number);
  bind_int(put, 6, ended->started_ms);
  bind_int(put, 7, ended->ended_ms);
  bind_int(put, 8, ended->outcome);
  bind_text(put, 9, ended->code);
  bind_text(put, 10, ended->detail);
  bind_text(put, 11, ended->provider_id);
  db_run(put);
}

static parley_text first_id(const struct store_settle *settle)
{
  for (size_t i = 0; i < settle->n_provider_ids; i++)
    if (settle->provider_ids[i].len > 0)
      return settle->provider_ids[i];
  return (parley_text){"", 0};
}

/* A part that went out in an earlier attempt keeps the id it got then. */
static parley_text ids_as_json(const struct store_settle *settle, const struct life_row *row, struct arena *arena)
{
  json_t *before = settle->n_provider_ids == row->parts.n && row->provider_ids.len > 0
                       ? json_loadb(row->provider_ids.at, row->provider_ids.len, 0, NULL)
                       : NULL;
  struct buf json = BUF_INIT(0);
  parley_text text;

  buf_char(&json, '[');
  for (size_t i = 0; i < settle->n_provider_ids; i++) {
    const char *earlier = json_string_value(json_array_get(before, i));

    buf_json_comma(&json);
    if (settle->provider_ids[i].len == 0 && earlier != NULL)
      buf_json_str(&json, earlier);
    else
      buf_json_text(&json, settle->provider_ids[i]);
  }
  buf_char(&json, ']');
  json_decref(before);
  text = arena_text(arena, buf_as_text(&json));
  buf_done(&json);
  return text;
}

/* The ids of an outcome: what each part is called from now on. */
static void settle_note_ids(const struct store_settle *settle, struct life_row *row, struct arena *arena)
{
  parley_text ids;

  if (first_id(settle).len == 0)
    return;
  ids = settle->n_provider_ids > 1 ? ids_as_json(settle, row, arena) : TEXT_EMPTY;
  if (row->provider_id.len == 0 || settle->provider_ids[0].len > 0 || settle->n_provider_ids != row->parts.n)
    row->provider_id = first_id(settle);
  if (settle->n_provider_ids != row->parts.n) /* cut anew: what was said of the old parts says nothing of these */
    row->parts = (struct parts){.n = (uint32_t)settle->n_provider_ids};
  row->provider_ids = ids;
}

static parley_text words_as_json(const struct store_settle *settle, struct arena *arena)
{
  struct buf json = BUF_INIT(4096);
  parley_text text;

  buf_char(&json, '[');
  for (size_t i = 0; i < settle->n_degraded; i++) {
    buf_json_comma(&json);
    buf_json_str(&json, settle->degraded[i]);
  }
  buf_char(&json, ']');
  text = arena_text(arena, buf_as_text(&json));
  buf_done(&json);
  return text;
}

/* --- settle
 * --------------------------------------------------------------------------------------------------------------------
 */

/* What the outcome says beside the state. In memory only: life_advance() writes it, or nothing. */
static void settle_note(struct store_settle *settle, struct life *life, size_t at)
{
  struct life_row *row = &life->rows[at];

  if (settle->handed && life->facts[at].handed_ms == 0)
    life->facts[at].handed_ms = settle->started_ms;
  if (settle->taken_back)
    return;
  row->outcome = settle->outcome;
  life->code = settle->code;
  life->detail = settle->detail;
  settle_note_ids(settle, row, life->arena);
  if (settle->n_degraded > 0)
    row->degraded = words_as_json(settle, life->arena);
}

static void settle_attempt(struct round *round, const struct store_settle *settle, uint32_t number, bool open)
{
  struct attempt_ended ended = {.message = settle->message,
                        .step = settle->step,
                        .number = number,
                        .outcome = settle->outcome,
                        .token = settle->token,
                        .started_ms = settle->started_ms,
                        .ended_ms = settle->ended_ms,
                        .code = settle->code,
                        .detail = settle->detail,
                        .provider_id = first_id(settle),
                        .late = !open};

  if (!settle->taken_back)
    attempt_put(round, &ended);
}

parley_status write_settle(struct round *round, struct store_op *op)
{
  struct store_settle *settle = container_of(op, struct store_settle, op);
  struct happened happened = {.what = HAPPEN_OUTCOME,
                              .outcome = settle->taken_back ? 0 : settle->outcome,
                              .died = settle->died,
                              .token = settle->token,
                              .retry_at_ms = settle->retry_at_ms};
  struct life loaded, *life = &loaded;
  struct advanced adv;
  uint32_t number;
  bool open;
  int at;

  settle->next = NULL;
  if (settle->n_provider_ids > PARTS_MAX) /* of more parts than there can be: they name nothing */
    settle->n_provider_ids = PARTS_MAX;
  if (!life_load(round, settle->message, settle->policy, settle->ended_ms, op->arena, life))
    return PARLEY_NOT_FOUND;
  at = life_row_of(life, settle->step);
  if (at < 0)
    return PARLEY_NOT_FOUND;
  happened.delivery = (size_t)at;
  number = life->facts[at].attempt;
  open = life->facts[at].state == DELIVERY_SENDING && life->facts[at].token == settle->token;
  settle->before = settle->after = life_state(life);
  settle_note(settle, life, (size_t)at);
  adv = life_advance(round, life, &happened, &settle->next);
  settle->stale = adv.ignored;
  if (adv.ignored)
    return PARLEY_OK;
  settle_attempt(round, settle, number, open);
  receipts_join(round, life, (size_t)at, settle->provider_ids, settle->n_provider_ids, &settle->next);
  if (life->class == CLASS_CONVERSATION)
    thread_put(round, life->conversation, life->id, life->rows[at].channel, first_id(settle), false);
  settle->after = life_state(life);
  if (settle->next == NULL && !settle->taken_back)
    settle->next = life_claim_next_ordered(round, life, (size_t)at);
  return PARLEY_OK;
}

/* --- orphans
 * --------------------------------------------------------------------------------------------------------------------
 */

struct orphan {
  id64 message;
  uint32_t step, number;
  uint64_t token;
  int64_t started_ms;
};

static size_t orphans_read(struct round *round, struct orphan *orphans, size_t limit)
{
  struct stmt *get =
      db_sql(round->db, "SELECT message, step, attempt, token, attempt_started FROM delivery WHERE state=1 AND"
                        " session<? LIMIT ?");
  size_t n = 0;

  bind_int(get, 1, round->store->session);
  bind_int(get, 2, (int64_t)limit);
  while (n < limit && db_step(get))
    orphans[n++] = (struct orphan){col_id(get, 0), (uint32_t)col_int(get, 1), (uint32_t)col_int(get, 2), col_id(get, 3),
                                   col_int(get, 4)};
  db_reset(get);
  return n;
}

struct orphans { const struct store_orphans *op; const struct orphan *found; };

static void orphan_end(struct round *round, size_t i, void *arg)
{
  const struct orphans *all = arg;
  const struct store_orphans *orphans = all->op;
  const struct orphan *orphan = &all->found[i];
  struct happened happened = {.what = HAPPEN_ORPHAN, .retry_at_ms = round->now_ms};
  struct attempt_ended ended = {.message = orphan->message,
                        .step = orphan->step,
                        .number = orphan->number,
                        .outcome = PARLEY_OUTCOME_UNKNOWN,
                        .token = orphan->token,
                        .started_ms = orphan->started_ms,
                        .ended_ms = round->now_ms,
                        .code = PARLEY_LIT("restarted"),
                        .detail = TEXT_EMPTY,
                        .provider_id = TEXT_EMPTY};
  struct life loaded, *life = &loaded;
  int at;

  if (!life_load(round, orphan->message, orphans->policy, round->now_ms, orphans->op.arena, life))
    return;
  at = life_row_of(life, orphan->step);
  happened.delivery = (size_t)at;
  life->rows[at].outcome = PARLEY_OUTCOME_UNKNOWN;
  if (life->facts[at].handed_ms == 0) /* it may have been: then about now, as what it said of itself */
    life->facts[at].handed_ms = orphan->started_ms;
  if (!life_advance(round, life, &happened, NULL).ignored)
    attempt_put(round, &ended);
}

parley_status write_orphans(struct round *round, struct store_op *op)
{
  struct store_orphans *orphans = container_of(op, struct store_orphans, op);
  size_t limit = orphans->limit == 0 || orphans->limit > STORE_CLAIM_MAX ? STORE_CLAIM_MAX : orphans->limit;
  struct orphan *found = arena_alloc(op->arena, limit * sizeof(*found));

  orphans->n = orphans_read(round, found, limit);
  round_each(round, orphans->n, orphan_end, &(struct orphans){orphans, found});
  return PARLEY_OK;
}

/* --- time
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static void wake_put(struct round *round, id64 message, int64_t wake_ms)
{
  struct stmt *put = db_sql(round->db, "UPDATE delivery SET wake=? WHERE message=? AND wake>0");

  bind_int(put, 1, wake_ms);
  bind_id(put, 2, message);
  db_run(put);
}

struct sweeping { const struct store_sweep *sweep; const id64 *messages; struct claim **next; };

static void sweep_one(struct round *round, size_t i, void *arg)
{
  const struct sweeping *sweeping = arg;
  const struct store_sweep *sweep = sweeping->sweep;
  id64 message = sweeping->messages[i];
  struct life loaded, *life = &loaded;
  struct happened happened = {.what = HAPPEN_EXPIRE};
  struct claim *next = NULL;
  const char *stops = NULL;
  struct advanced adv;
  size_t newest;

  if (!life_load(round, message, sweep->policy, sweep->now_ms, sweep->op.arena, life))
    return;
  newest = life->message.n_deliveries - 1;
  if (life->expires_ms == 0 || life->expires_ms > sweep->now_ms) {
    happened.what = HAPPEN_LAPSE;
    happened.delivery = newest;
    if (life->facts[newest].state == DELIVERY_QUEUED)
      stops = consent_stops(round, life, newest);
  }
  adv = stops != NULL ? life_stop(round, life, newest, stops, &next) : life_advance(round, life, &happened, &next);
  if (next == NULL && !adv.ignored)
    next = life_claim_next_ordered(round, life, newest);
  if (adv.ignored)
    wake_put(round, message,
             adv.wake_ms > sweep->now_ms ? adv.wake_ms
             : adv.wake_ms == 0          ? 0
                                         : sweep->now_ms + SWEEP_AGAIN_MS);
  sweeping->next[i] = next;
}

parley_status write_sweep(struct round *round, struct store_op *op)
{
  struct store_sweep *sweep = container_of(op, struct store_sweep, op);
  struct stmt *get = db_sql(round->db, "SELECT message FROM delivery WHERE wake>0 AND wake<=? ORDER BY wake LIMIT ?");
  struct stmt *next = db_sql(round->db, "SELECT wake FROM delivery WHERE wake>0 ORDER BY wake LIMIT 1");
  size_t limit = sweep->limit == 0 || sweep->limit > STORE_CLAIM_MAX ? STORE_CLAIM_MAX : sweep->limit;
  id64 *messages = arena_alloc(op->arena, limit * sizeof(*messages));
  struct claim **begun;

  sweep->claims = arena_alloc(op->arena, limit * sizeof(*sweep->claims));
  sweep->n = sweep->n_claims = 0;
  bind_int(get, 1, sweep->now_ms);
  bind_int(get, 2, (int64_t)limit);
  while (sweep->n < limit && db_step(get))
    messages[sweep->n++] = col_id(get, 0);
  db_reset(get);
  begun = arena_alloc(op->arena, sweep->n * sizeof(struct claim *));
  round_each(round, sweep->n, sweep_one, &(struct sweeping){sweep, messages, begun});
  for (size_t i = 0; i < sweep->n; i++)
    if (begun[i] != NULL)
      sweep->claims[sweep->n_claims++] = *begun[i];
  sweep->next_ms = db_step(next) ? col_int(next, 0) : 0;
  db_reset(next);
  return PARLEY_OK;
}

/* --- an operator's or a sender's word
 * --------------------------------------------------------------------------------------------- */

parley_status write_cancel(struct round *round, struct store_op *op)
{
  struct store_cancel *cancel = container_of(op, struct store_cancel, op);
  struct happened happened = {.what = HAPPEN_CANCEL};
  struct life loaded, *life = &loaded;
  id64 message = cancel->message;
  struct advanced adv;
  uint64_t h;

  if (message == 0)
    message = business_key_find(round, cancel->key, round->now_ms, &h);
  if (message == 0 || !life_load(round, message, cancel->policy, round->now_ms, op->arena, life))
    return PARLEY_NOT_FOUND;
  cancel->message = message;
  adv = life_advance(round, life, &happened, NULL);
  cancel->too_late = adv.too_late;
  cancel->after = life_state(life);
  return PARLEY_OK;
}

parley_status write_resolve(struct round *round, struct store_op *op)
{
  struct store_resolve *resolve = container_of(op, struct store_resolve, op);
  struct happened happened = {.what = resolve->as};
  struct life loaded, *life = &loaded;
  size_t at;

  if (!life_load(round, resolve->message, resolve->policy, round->now_ms, op->arena, life))
    return PARLEY_NOT_FOUND;
  at = life->message.n_deliveries;
  while (at > 0 && life->facts[at - 1].state != DELIVERY_UNKNOWN)
    at--;
  resolve->after = life_state(life);
  if (at == 0)
    return PARLEY_REJECTED;
  happened.delivery = at - 1;
  if (life_advance(round, life, &happened, NULL).ignored)
    return PARLEY_REJECTED;
  resolve->after = life_state(life);
  return PARLEY_OK;
}
