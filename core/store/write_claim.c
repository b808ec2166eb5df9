/* write_claim.c - hands out what is due on one channel and lane. */
#include "write.h"
#include "core/base/text.h"

struct due { id64 message; uint32_t step; };

/* On an ordered channel one delivery a customer is open at a time, the oldest first; test messages are a row of their own. One
 * that an operator holds, or that was scheduled for later and never tried, stands in nobody's way. */
#define DUE_WHERE " FROM delivery d WHERE channel=?1 AND lane=?2 AND (state=0 OR query=1)"
#define DUE_ORDERED \
  " AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.channel=?1 AND o.customer=d.customer AND o.ordered=1 AND o.state<3" \
  " AND o.held=0 AND (o.lane=?5)=(?2=?5) AND (o.state=1 OR (o.message<d.message AND (o.state<>0 OR o.attempt>0 OR o.due<=?3))))"

/* What is due, and of several of one customer only the first: they are read before any is claimed. */
static size_t due_read(struct round *round, const struct store_claim *claim, struct due *due)
{
  bool ordered = (claim->channel->flags & PARLEY_ORDERED) != 0;
  struct stmt *any = db_sql(round->db, "SELECT message, step" DUE_WHERE " AND due<=?3 ORDER BY due LIMIT ?4");
  struct stmt *oldest = db_sql(round->db, "SELECT message, step" DUE_WHERE " AND due<=?3" DUE_ORDERED " ORDER BY due LIMIT ?4");
  struct stmt *get = ordered ? oldest : any;
  size_t n = 0;

  bind_text(get, 1, claim->channel->name);
  bind_int(get, 2, claim->lane);
  bind_int(get, 3, claim->now_ms);
  bind_int(get, 4, (int64_t)claim->limit);
  if (ordered)
    bind_int(get, 5, LANE_TEST);
  while (n < claim->limit && db_step(get))
    due[n++] = (struct due){col_id(get, 0), (uint32_t)col_int(get, 1)};
  db_reset(get);
  return n;
}

static int64_t next_due(struct round *round, const struct store_claim *claim)
{
  bool ordered = (claim->channel->flags & PARLEY_ORDERED) != 0;
  struct stmt *any = db_sql(round->db, "SELECT due" DUE_WHERE " ORDER BY due LIMIT 1");
  struct stmt *oldest = db_sql(round->db, "SELECT due" DUE_WHERE DUE_ORDERED " ORDER BY due LIMIT 1");
  struct stmt *get = ordered ? oldest : any;
  int64_t due_ms = 0;

  bind_text(get, 1, claim->channel->name);
  bind_int(get, 2, claim->lane);
  if (ordered) {
    bind_int(get, 3, claim->now_ms);
    bind_int(get, 5, LANE_TEST);
  }
  if (db_step(get))
    due_ms = col_int(get, 0);
  db_reset(get);
  return due_ms;
}

struct claiming { struct store_claim *claim; const struct due *due; struct claim *claims; };

static void claim_one(struct round *round, size_t i, void *arg)
{
  const struct claiming *claiming = arg;
  const struct store_claim *claim = claiming->claim;
  const struct due *due = &claiming->due[i];
  struct life loaded, *life = &loaded;
  struct happened over = {.what = HAPPEN_EXPIRE};
  struct claim *next = NULL;
  const char *stops = NULL;
  int row;

  if (!life_load_to_claim(round, due->message, claim->policy, claim->now_ms, claim->op.arena, life))
    return;
  row = life_row_of(life, due->step);
  if (row < 0 || (life->facts[row].state != DELIVERY_QUEUED && !life->rows[row].query))
    return;
  if (!life->rows[row].query)
    stops = consent_stops(round, life, (size_t)row);
  if (life->expires_ms != 0 && life->expires_ms <= claim->now_ms)
    life_advance(round, life, &over, NULL);
  else if (stops != NULL)
    life_stop(round, life, (size_t)row, stops, &next);
  else
    life_claim(round, life, (size_t)row, claim->now_ms, &claiming->claims[i]);
  if (next != NULL)
    claiming->claims[i] = *next; /* of another channel, perhaps: its seat there is taken */
}

parley_status write_claim(struct round *round, struct store_op *op)
{
  struct store_claim *claim = container_of(op, struct store_claim, op);
  struct due *due;
  size_t n;

  if (claim->limit == 0 || claim->limit > STORE_CLAIM_MAX)
    claim->limit = STORE_CLAIM_MAX;
  due = arena_alloc(op->arena, claim->limit * sizeof(*due));
  claim->n_claims = 0;
  n = due_read(round, claim, due);
  claim->claims = arena_alloc(op->arena, n * sizeof(*claim->claims));
  round_each(round, n, claim_one, &(struct claiming){claim, due, claim->claims});
  for (size_t i = 0; i < n; i++)
    if (claim->claims[i].message != 0)
      claim->claims[claim->n_claims++] = claim->claims[i];
  claim->next_due_ms = next_due(round, claim);
  return PARLEY_OK;
}
