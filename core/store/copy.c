/* copy.c - see copy.h: the order of things, whatever the drivers. */
#include "copy.h"
#include "copy_end.h"
#include "marks.h"
#include "core/base/alloc.h"
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES ((size_t)8 << 20) /* of rows in one transaction of the target */
#define PIECE_ROWS 50000
#define TELL_ROWS 2000 /* how often progress is told */

struct copying {
  struct store_copy *copy;
  struct copy_end *from, *to;
  const struct copy_table *table;
  struct copy_position position;
  size_t piece_rows, piece_bytes; /* of the open piece; 0 rows: none is open */
  uint64_t told;
  struct buf scratch, *why;
  parley_status status;
};

/* With the secret: which store it is. */
void copy_state_write(struct copy_facts *facts, parley_text numbers)
{
  uint8_t sum[SHA256_BYTES];
  struct buf all = BUF_INIT(0), hex = BUF_INIT(sizeof(facts->state));

  buf_text(&all, numbers);
  for (size_t i = 0; i < facts->n_meta; i++)
    buf_add(&all, facts->meta[i].value, facts->meta[i].len);
  sha256((parley_bytes){all.at, all.len}, sum);
  buf_hex(&hex, sum, sizeof(sum));
  memcpy(facts->state, hex.at, hex.len);
  buf_done(&all);
  buf_done(&hex);
}

static bool meta_stays(parley_text name)
{
  static const char *const own[] = {"session", "readable_from", MARK_COPYING, MARK_COPIED, MARK_MOVED};

  for (size_t i = 0; i < COUNT_OF(own); i++)
    if (parley_text_is(name, own[i]))
      return true;
  return false;
}

void copy_meta_take(struct copy_facts *facts, parley_text name, parley_bytes value)
{
  struct copy_meta *meta;

  facts->moved |= parley_text_is(name, MARK_MOVED);
  if (meta_stays(name))
    return;
  facts->meta = xrealloc(facts->meta, (facts->n_meta + 1) * sizeof(*facts->meta));
  meta = &facts->meta[facts->n_meta++];
  meta->name = xcalloc(1, name.len + 1);
  memcpy(meta->name, name.at, name.len);
  meta->len = value.len;
  meta->value = xcalloc(1, value.len + 1);
  memcpy(meta->value, value.at, value.len);
}

static void facts_free(struct copy_facts *facts)
{
  for (size_t i = 0; i < facts->n_meta; i++) {
    free(facts->meta[i].name);
    free(facts->meta[i].value);
  }
  free(facts->meta);
  free(facts);
}

parley_status copy_refuse_moved(struct buf *reterr_why)
{
  buf_str(reterr_why, "store copy: the source has been copied before, and goes on there; to take it up again all the same, start its"
                      " daemon with --restored");
  return PARLEY_REJECTED;
}

parley_status copy_refuse_full(const char *what, const char *table, struct buf *reterr_why)
{
  buf_printf(reterr_why, "store copy: the target %s holds a store already (table %s is not empty): name an empty one", what, table);
  return PARLEY_REJECTED;
}

parley_status copy_refuse_half(struct buf *reterr_why)
{
  buf_str(reterr_why, "store copy: the source is itself a copy that was not finished");
  return PARLEY_REJECTED;
}

static void tell(struct copying *copying, enum copy_doing doing)
{
  struct store_copy *copy = copying->copy;

  if (copy->progress != NULL)
    copy->progress(doing, copying->table != NULL ? copying->table->name : "", copying->position.rows, copy->arg);
}

static void position_move(struct copying *copying, parley_bytes row, const struct copy_field *fields)
{
  struct copy_position *position = &copying->position;

  copy_sum_add(position->sum, row, &copying->scratch);
  position->rows++;
  position->begun = !copying->table->whole;
  for (size_t i = 0; i < copying->table->n_key; i++)
    copy_field_int(&fields[copying->table->key[i]], &position->key[i]);
}

/* --- one table over ---------------------------------------------------------------------------------------------------------- */

static parley_status piece_close(struct copying *copying)
{
  copying->piece_rows = copying->piece_bytes = 0;
  return copying->to->kind->piece_close(copying->to, &copying->position, copying->why);
}

static bool on_row(parley_bytes row, const struct copy_field *fields, void *arg)
{
  struct copying *copying = arg;
  const struct copy_end_kind *to = copying->to->kind;

  if (copying->piece_rows == 0)
    copying->status = to->piece_open(copying->to, copying->table, copying->why);
  if (copying->status == PARLEY_OK)
    copying->status = to->piece_row(copying->to, row, fields, copying->why);
  if (copying->status != PARLEY_OK)
    return false;
  position_move(copying, row, fields);
  copying->piece_rows++;
  copying->piece_bytes += row.len;
  if (copying->position.rows % TELL_ROWS == 0)
    tell(copying, COPY_COPYING);
  if (!copying->table->whole && (copying->piece_bytes >= PIECE_BYTES || copying->piece_rows >= PIECE_ROWS))
    copying->status = piece_close(copying);
  return copying->status == PARLEY_OK;
}

/* The position, done, is a piece of its own kind: an empty table has one, too. */
static parley_status table_end(struct copying *copying)
{
  parley_status st = PARLEY_OK;

  if (copying->piece_rows == 0)
    st = copying->to->kind->piece_open(copying->to, copying->table, copying->why);
  copying->position.done = true;
  return st == PARLEY_OK ? piece_close(copying) : st;
}

static parley_status table_copy(struct copying *copying)
{
  struct copy_position after;
  parley_status st = copying->to->kind->position(copying->to, copying->table, &copying->position, copying->why);

  if (st != PARLEY_OK)
    return st;
  copying->copy->went_on_from += copying->position.rows;
  if (copying->position.done)
    return PARLEY_OK;
  after = copying->position;
  copying->status = PARLEY_OK;
  tell(copying, COPY_COPYING);
  st = copying->from->kind->read(copying->from, copying->table, &after, on_row, copying, copying->why);
  if (copying->status != PARLEY_OK)
    return copying->status;
  return st == PARLEY_OK ? table_end(copying) : st;
}

/* --- one table compared ------------------------------------------------------------------------------------------------------ */

static bool on_arrived(parley_bytes row, const struct copy_field *fields, void *arg)
{
  struct copying *copying = arg;

  position_move(copying, row, fields);
  if (copying->position.rows % TELL_ROWS == 0)
    tell(copying, COPY_COMPARING);
  return true;
}

static parley_status table_compare(struct copying *copying)
{
  const struct copy_position none = {0};
  struct copy_position sent;
  parley_status st = copying->to->kind->position(copying->to, copying->table, &sent, copying->why);

  if (st != PARLEY_OK)
    return st;
  copying->position = none;
  tell(copying, COPY_COMPARING);
  st = copying->to->kind->read(copying->to, copying->table, &none, on_arrived, copying, copying->why);
  if (st != PARLEY_OK)
    return st;
  copying->copy->rows += sent.rows;
  if (copying->position.rows == sent.rows && memcmp(copying->position.sum, sent.sum, SHA256_BYTES) == 0)
    return PARLEY_OK;
  buf_printf(copying->why, "store copy: table %s is not the same on both sides (%llu rows read, %llu found%s): empty the target and"
                           " copy again", copying->table->name, (unsigned long long)sent.rows,
             (unsigned long long)copying->position.rows,
             copying->position.rows == sent.rows ? ", their bytes differ" : "");
  return PARLEY_FAILED;
}

static parley_status tables_each(struct copying *copying, const struct copy_plan *plan, parley_status (*fn)(struct copying *copying))
{
  parley_status st = PARLEY_OK;

  for (size_t i = 0; i < plan->n && st == PARLEY_OK; i++) {
    copying->table = &plan->tables[i];
    copying->piece_rows = copying->piece_bytes = 0;
    st = fn(copying);
  }
  return st;
}

/* --- all of it ----------------------------------------------------------------------------------------------------------------- */

static parley_status plan_make(struct copying *copying, struct copy_plan *plan)
{
  struct copy_end *types = copying->from->kind->plan != NULL ? copying->from : copying->to;
  struct copy_end *other = types == copying->from ? copying->to : copying->from;
  parley_status st = types->kind->plan(types, plan, copying->why);

  return st == PARLEY_OK ? other->kind->fits(other, plan, copying->why) : st;
}

/* From here on only one of the two can be opened: first the source is closed, then the target opened. A call that is killed in
 * between finds both as they are and ends it. */
static parley_status change_over(struct copying *copying, const struct copy_facts *facts)
{
  parley_status st;

  if (copying->copy->rehearse)
    return PARLEY_OK;
  copying->table = NULL;
  tell(copying, COPY_FINISHING);
  st = copying->from->kind->moved(copying->from, copying->why);
  return st == PARLEY_OK ? copying->to->kind->finish(copying->to, facts, copying->why) : st;
}

static parley_status run(struct copying *copying, struct copy_plan *plan, struct copy_facts *facts)
{
  parley_status st = plan_make(copying, plan);

  if (st == PARLEY_OK)
    st = copying->from->kind->facts(copying->from, facts, copying->why);
  if (st == PARLEY_OK)
    st = copying->to->kind->begin(copying->to, plan, facts, copying->why);
  copying->copy->done_before = st == PARLEY_OK && facts->done;
  if (st != PARLEY_OK || facts->done)
    return st;
  st = tables_each(copying, plan, table_copy);
  if (st == PARLEY_OK)
    st = tables_each(copying, plan, table_compare);
  copying->copy->tables = plan->n;
  return st == PARLEY_OK ? change_over(copying, facts) : st;
}

static const struct copy_end_kind *kind_of(const struct store_place *place)
{
  return place->url != NULL ? &copy_end_postgres : &copy_end_sqlite;
}

parley_status store_copy(struct store_copy *copy, struct buf *reterr_why)
{
  struct copying copying = {.copy = copy, .why = reterr_why, .scratch = BUF_INIT(0)};
  const struct copy_end_kind *from = kind_of(&copy->from), *to = kind_of(&copy->to);
  struct copy_plan *plan;
  struct copy_facts *facts;
  parley_status st;

  copy->rows = copy->tables = copy->went_on_from = 0;
  if (from == to) {
    buf_str(reterr_why, from == &copy_end_sqlite ? "store copy goes from one driver to the other; between two SQLite files:"
                                                   " parley store backup, parley store restore"
                                                 : "store copy goes from one driver to the other; between two databases: pg_dump,"
                                                   " pg_restore, parleyd --restored");
    return PARLEY_INVALID;
  }
  plan = xcalloc(1, sizeof(*plan));
  facts = xcalloc(1, sizeof(*facts));
  st = from->open(&copy->from, false, copy->env, &copying.from, reterr_why);
  if (st == PARLEY_OK)
    st = to->open(&copy->to, true, copy->env, &copying.to, reterr_why);
  if (st == PARLEY_OK)
    st = run(&copying, plan, facts);
  if (copying.to != NULL)
    to->close(copying.to);
  if (copying.from != NULL)
    from->close(copying.from);
  buf_done(&copying.scratch);
  free(plan);
  facts_free(facts);
  return st;
}
