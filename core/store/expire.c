/* expire.c - rows that nobody needs any more go in small slices within ordinary rounds: answers and their index, keys,
 * what came in once, provider ids, parked receipts; and what retain.c says. */
#include "write.h"

#define EXPIRE_EVERY_MS 1000
#define EXPIRE_BEHIND_MS 20 /* between two turns while there is more to go */
#define EXPIRE_TURN_NS UINT64_C(2000000) /* of one turn, which then ends with its slice */
#define EXPIRE_SHARE 10 /* of the writer's time it takes one part in so many while ops come */
#define EXPIRE_IDLE_NS UINT64_C(10000000) /* of one when nobody has come for IDLE_AFTER_MS */
#define IDLE_AFTER_MS 250
#define EXPIRE_SLICE_ROWS 256
#define DAY_MS INT64_C(86400000)
#define KEYS_KEEP_MS (31 * DAY_MS) /* business keys stand for 30 days, inbound ids and provider ids as long */
#define PARK_KEEP_MS DAY_MS
#define BOUNCE_KEEP_MS (90 * DAY_MS) /* a soft bounce so long ago counts no more */

static void expire_by_id(struct stmt *drop, int64_t before_ms)
{
  bind_id(drop, 1, id_at(before_ms));
  bind_int(drop, 2, EXPIRE_SLICE_ROWS);
  db_run(drop);
}

/* Tables in the order of a hash: the slice goes round and round. */
struct walk { struct stmt *next, *drop; int64_t *cursor; };

static void expire_walk(const struct walk *walk, int64_t limit)
{
  int64_t from = *walk->cursor, to = INT64_MAX;

  bind_int(walk->next, 1, from);
  bind_int(walk->next, 2, EXPIRE_SLICE_ROWS);
  if (db_step(walk->next))
    to = col_int(walk->next, 0);
  db_reset(walk->next);
  bind_int(walk->drop, 1, from);
  bind_int(walk->drop, 2, to);
  bind_int(walk->drop, 3, limit);
  db_run(walk->drop);
  *walk->cursor = to == INT64_MAX ? INT64_MIN : to;
}

static void expire_keys(struct round *round)
{
  struct db *db = round->db;
  int64_t *at = round->store->expire_at, before_ms = round->now_ms - KEYS_KEEP_MS;
  struct walk keys = {db_sql(db, "SELECT h FROM business_key WHERE h>=? ORDER BY h LIMIT 1 OFFSET ?"),
                      db_sql(db, "DELETE FROM business_key WHERE h>=? AND h<=? AND at<?"), &at[0]};
  struct walk seen = {db_sql(db, "SELECT h FROM seen WHERE h>=? ORDER BY h LIMIT 1 OFFSET ?"),
                      db_sql(db, "DELETE FROM seen WHERE h>=? AND h<=? AND at<?"), &at[1]};
  struct walk refs = {db_sql(db, "SELECT h FROM provider_ref WHERE h>=? ORDER BY h LIMIT 1 OFFSET ?"),
                      db_sql(db, "DELETE FROM provider_ref WHERE h>=? AND h<=? AND message<?"), &at[2]};
  struct walk bounces = {db_sql(db, "SELECT h FROM bounce WHERE h>=? ORDER BY h LIMIT 1 OFFSET ?"),
                         db_sql(db, "DELETE FROM bounce WHERE h>=? AND h<=? AND at<?"), &at[3]};

  expire_walk(&keys, before_ms);
  expire_walk(&seen, before_ms);
  expire_walk(&refs, (int64_t)id_at(before_ms));
  if (round->store->n_bounced > 0)
    expire_walk(&bounces, round->now_ms - BOUNCE_KEEP_MS);
}

/* Where several daemons share a store, the first suppression or bounce may be another's. */
static void count_others(struct round *round)
{
  struct store_base *store = round->store;

  if (!store->ways->shared)
    return;
  if (store->n_suppressions == 0)
    store->n_suppressions = (uint64_t)db_int_of(round->db, "SELECT count(*) FROM (SELECT 1 FROM suppression WHERE removed=0 LIMIT 1)"
                                                           " AS one");
  if (store->n_bounced == 0)
    store->n_bounced = (uint64_t)db_int_of(round->db, "SELECT count(*) FROM (SELECT 1 FROM bounce LIMIT 1) AS one");
}

static bool expire_answers(struct round *round)
{
  struct stmt *drop =
      db_sql(round->db, "DELETE FROM answer WHERE id IN (SELECT id FROM answer WHERE id<? ORDER BY id LIMIT ?)");

  expire_by_id(drop, round->now_ms - round->store->config.idempotency_keep_ms - DAY_MS);
  return db_changes(round->db) == EXPIRE_SLICE_ROWS;
}

/* What comes in as fast as it can must be able to go as fast, a small part of the time. Returns when to go on, ms from now. */
static int64_t expire_slices(struct round *round, bool idle)
{
  uint64_t begun_ns = uv_hrtime(), turn_ns = idle ? EXPIRE_IDLE_NS : EXPIRE_TURN_NS, spent_ns;
  int64_t pause_ms;
  bool more;

  do {
    more = expire_answers(round);
    more |= retain_slice(round);
    spent_ns = uv_hrtime() - begun_ns;
  } while (more && round->db->status == PARLEY_OK && spent_ns < turn_ns);
  pause_ms = idle ? 0 : (int64_t)(spent_ns * (EXPIRE_SHARE - 1) / 1000000);
  round->store->retention.behind = more;
  if (!more || pause_ms > EXPIRE_EVERY_MS)
    return EXPIRE_EVERY_MS;
  return pause_ms > EXPIRE_BEHIND_MS ? pause_ms : EXPIRE_BEHIND_MS;
}

void expire_step(struct round *round, size_t n_ops)
{
  struct store_base *store = round->store;
  struct retention *retention = &store->retention;
  int64_t mono_ms = store->env->mono_ms(store->env);

  if (n_ops > 0)
    retention->op_ms = mono_ms;
  if (mono_ms >= retention->due_ms)
    retention->due_ms = mono_ms + expire_slices(round, mono_ms - retention->op_ms >= IDLE_AFTER_MS);
  if (mono_ms < store->expire_ms)
    return;
  store->expire_ms = mono_ms + EXPIRE_EVERY_MS;
  park_expire(round, round->now_ms - PARK_KEEP_MS, EXPIRE_SLICE_ROWS);
  expire_keys(round);
  joined_expire(round, EXPIRE_SLICE_ROWS);
  count_others(round);
  retain_late(round, mono_ms);
  if (store->ways->idem_expire != NULL)
    store->ways->idem_expire(round);
}

uint64_t expire_wait_ms(const struct store_base *store)
{
  int64_t wait_ms = store->retention.due_ms - store->env->mono_ms(store->env);

  return wait_ms < 1 ? 1 : wait_ms < EXPIRE_EVERY_MS ? (uint64_t)wait_ms : EXPIRE_EVERY_MS;
}
