/* postgres_gather.c - see postgres_gather.h. Arrays are written as the server's array_recv() reads them. */
#include "postgres.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_ROWS_MAX 64
#define BATCH_BYTES_MAX ((size_t)4 << 20) /* of all parameters */
#define ARRAY_HEAD_BYTES 20 /* dimensions, has-null, element type, length, lower bound: int32 each */
#define ASK_MANY_MAX 512

void pg_gather_init(struct pg_gather *gather)
{
  list_init(&gather->rows);
  list_init(&gather->asks);
}

bool pg_gather_is_empty(const struct pg_gather *gather)
{
  return list_empty(&gather->rows) && list_empty(&gather->asks);
}

void pg_gathered_init(struct pg_gathered *gathered)
{
  *gathered = (struct pg_gathered){0};
  list_init(&gathered->link);
  list_init(&gathered->asking);
  for (int i = 0; i < PG_PARAMS_MAX; i++)
    gathered->arrays[i] = (struct buf)BUF_INIT(0);
}

void pg_gathered_done(struct pg_gathered *gathered)
{
  for (int i = 0; i < PG_PARAMS_MAX; i++)
    buf_done(&gathered->arrays[i]);
  map_done(&gathered->keys);
}

static struct pg_known *known_at(struct list *link)
{
  return LIST_ITEM(link, struct pg_known, gathered.link);
}

/* --- parameters: of one, and of many as arrays ----------------------------------------------------------------------------------- */

static parley_bytes bytes_of(const struct pg_param *param)
{
  return param->type == PG_INT8 ? (parley_bytes){(const char *)param->be, sizeof(param->be)} : param->bytes;
}

static void args_of(const struct pg_known *known, const struct pg_param *params, struct pg_args *ret)
{
  for (int i = 0; i < known->text.n_params; i++) {
    parley_bytes bytes = bytes_of(&params[i]);

    pg_args_put(ret, i, bytes.at, bytes.len);
  }
}

static void element_put(struct buf *array, const struct pg_param *param)
{
  static const char head[ARRAY_HEAD_BYTES];
  parley_bytes bytes = bytes_of(param);
  uint32_t len = htonl((uint32_t)bytes.len);

  if (array->len == 0)
    buf_add(array, head, sizeof(head)); /* filled in when it is sent */
  buf_add(array, &len, sizeof(len));
  buf_add(array, bytes.at, bytes.len);
}

/* Returns how many bytes the arrays have now. */
static size_t elements_put(struct pg_known *known, const struct pg_param *params)
{
  size_t bytes = 0;

  for (int i = 0; i < known->text.n_params; i++) {
    element_put(&known->gathered.arrays[i], &params[i]);
    bytes += known->gathered.arrays[i].len;
  }
  return bytes;
}

static void array_head(struct buf *array, enum pg_type type, size_t n)
{
  const uint32_t head[ARRAY_HEAD_BYTES / 4] = {htonl(1), 0, htonl((uint32_t)type), htonl((uint32_t)n), htonl(1)};

  memcpy(array->at, head, sizeof(head));
}

static void args_of_arrays(struct pg_known *known, size_t n, struct pg_args *ret)
{
  for (int i = 0; i < known->text.n_params; i++) {
    struct buf *array = &known->gathered.arrays[i];

    array_head(array, known->types[i], n);
    pg_args_put(ret, i, array->at, array->len);
  }
}

static void arrays_clear(struct pg_known *known)
{
  for (int i = 0; i < known->text.n_params; i++)
    buf_clear(&known->gathered.arrays[i]);
}

/* --- rows ------------------------------------------------------------------------------------------------------------------------ */

static void batch_send(struct pg_link *link, struct pg_known *known)
{
  struct pg_gathered *batch = &known->gathered;
  struct pg_args args;

  args_of_arrays(known, batch->n_rows, &args);
  pg_link_send_write(link, known, true, &args, NULL);
  batch->n_rows = 0;
  list_remove(&batch->link);
  arrays_clear(known);
  map_done(&batch->keys);
}

/* What waits for one table; NULL: for any. */
static void batches_send(struct pg_link *link, const char *table)
{
  struct list *rows = &link->gather.rows;

  for (int updates = 0; updates < 2; updates++)
    for (struct list *at = rows->next, *next; at != rows; at = next) {
      struct pg_known *known = known_at(at);

      next = at->next;
      if ((known->text.doing != PG_INSERT) == (updates != 0) && (table == NULL || strcmp(known->text.table, table) == 0))
        batch_send(link, known);
    }
}

/* Of the parameters that name the row; a statement that names none: of nothing. */
static uint64_t key_of(const struct pg_known *known, const struct pg_param *params)
{
  static const struct hash_key spread = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xc2b2ae3d27d4eb4f)};
  uint64_t h = 1;

  for (int i = 0; i < known->text.n_key; i++)
    h = hash_mix(h ^ hash64(&spread, bytes_of(&params[known->text.key[i] - 1])));
  return h != 0 ? h : 1;
}

/* Whether what waits for this table must leave before this row is gathered: another update, or one of this very row. */
static bool table_must_leave(const struct pg_link *link, const struct pg_known *known, uint64_t key)
{
  const struct list *rows = &link->gather.rows;

  if (known->text.doing == PG_INSERT)
    return false;
  if (known->gathered.n_rows > 0 && map_get(&known->gathered.keys, key) != NULL)
    return true;
  for (const struct list *at = rows->next; at != rows; at = at->next) {
    const struct pg_known *other = LIST_ITEM(at, struct pg_known, gathered.link);

    if (other != known && strcmp(other->text.table, known->text.table) == 0 &&
        (other->text.doing != PG_INSERT || known->text.doing == PG_UPSERT))
      return true;
  }
  return false;
}

static void batch_add(struct pg_link *link, struct pg_known *known, const struct pg_param *params)
{
  struct pg_gathered *batch = &known->gathered;
  uint64_t key = key_of(known, params);
  size_t bytes;

  if (table_must_leave(link, known, key))
    batches_send(link, known->text.table);
  if (batch->n_rows == 0)
    list_push(&link->gather.rows, &batch->link);
  bytes = elements_put(known, params);
  if (known->text.n_key > 0)
    map_put(&batch->keys, key, known);
  if (++batch->n_rows < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX)
    return;
  batches_send(link, known->text.table);
  pg_link_push(link);
}

void pg_gather_write(struct pg_link *link, struct pg_stmt *stmt, struct pg_db *db)
{
  struct pg_known *known = stmt->known;
  struct pg_args args;

  if (known->kept && known->text.doing != PG_OTHER && known->text.doing != PG_SELECT) {
    batch_add(link, known, stmt->params);
    return;
  }
  batches_send(link, NULL);
  args_of(known, stmt->params, &args);
  pg_link_send_write(link, known, false, &args, db);
}

void pg_gather_rows_leave(struct pg_link *link)
{
  batches_send(link, NULL);
}

/* --- questions ------------------------------------------------------------------------------------------------------------------- */

void pg_gather_ask(struct pg_link *link, struct pg_stmt *stmt)
{
  list_push(&link->gather.asks, &stmt->link);
}

/* The next n of those who ask this statement, as one. */
static void asks_send(struct pg_link *link, struct pg_known *known, size_t n)
{
  struct pg_stmt **asks = xcalloc(n, sizeof(struct pg_stmt *));
  struct pg_args args;

  for (size_t i = 0; i < n; i++) {
    asks[i] = LIST_ITEM(list_pop(&known->gathered.asking), struct pg_stmt, link);
    if (n > 1)
      elements_put(known, asks[i]->params);
  }
  if (n > 1)
    args_of_arrays(known, n, &args);
  else
    args_of(known, asks[0]->params, &args);
  pg_link_send_asks(link, known, &args, asks, n);
  arrays_clear(known);
}

static void asking_send(struct pg_link *link, struct pg_known *known)
{
  size_t at_once = known->kept && known->text.doing == PG_SELECT ? ASK_MANY_MAX : 1, n;
  struct list *asking = &known->gathered.asking;

  while (!list_empty(asking)) {
    n = 0;
    for (struct list *at = asking->next; at != asking && n < at_once; at = at->next)
      n++;
    asks_send(link, known, n);
  }
}

bool pg_gather_leave(struct pg_link *link)
{
  bool any = !list_empty(&link->gather.asks);
  struct list kinds, *item;

  batches_send(link, NULL);
  list_init(&kinds);
  while ((item = list_pop(&link->gather.asks)) != NULL) {
    struct pg_stmt *stmt = LIST_ITEM(item, struct pg_stmt, link);

    if (list_empty(&stmt->known->gathered.asking))
      list_push(&kinds, &stmt->known->gathered.link);
    list_push(&stmt->known->gathered.asking, &stmt->link);
  }
  while ((item = list_pop(&kinds)) != NULL)
    asking_send(link, known_at(item));
  return any;
}
