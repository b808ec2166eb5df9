/* copy_end.h - what the copy (copy.c) needs of one side of it: copy_sqlite.c and copy_postgres.c. Private to core/store.
 * Blocking. Every call that fails has said why. */
#ifndef CORE_STORE_COPY_END_H
#define CORE_STORE_COPY_END_H
#include "copy.h"
#include "copy_row.h"
#include "postgres_text.h"

#define COPY_TABLES_MAX 64
#define COPY_NAME_BYTES_MAX 64 /* PostgreSQL's NAMEDATALEN */
#define COPY_KEY_MAX 4         /* columns of a primary key */

struct copy_column { char name[COPY_NAME_BYTES_MAX]; enum pg_type type; };
struct copy_table {
  char name[COPY_NAME_BYTES_MAX];
  size_t n, n_key;
  struct copy_column columns[COPY_COLUMNS_MAX];
  size_t key[COPY_KEY_MAX]; /* columns of the primary key: the order of the rows, texts by their bytes */
  bool whole; /* its key is no number: few rows, which go over in one piece */
};
struct copy_plan { size_t n; struct copy_table tables[COPY_TABLES_MAX]; };

struct copy_position { /* how far one table has got; kept in table parley_copy of the target as it stands here */
  bool begun, done;
  int64_t key[COPY_KEY_MAX]; /* of the newest row; when begun */
  uint64_t rows;
  uint8_t sum[SHA256_BYTES];
};
#define COPY_PROGRESS_TABLE "parley_copy"

struct copy_meta { char *name; size_t len; char *value; };
struct copy_facts { /* what is beside the tables */
  char state[2 * SHA256_BYTES + 1]; /* hex: another one once a daemon has had the source open in between */
  int64_t session, newest /* of all ids and event numbers */;
  bool moved; /* copied before: its daemon is the other store's */
  bool done;  /* of the target, by begin(): that copy is this one */
  size_t n_meta;
  struct copy_meta *meta; /* secret, hash_key and whatever else goes along */
};
/* One row of `meta`: it goes along, or belongs to one store and stays there. */
void copy_meta_take(struct copy_facts *facts, parley_text name, parley_bytes value);
/* What changes whenever a daemon has had a store open, or it became another one: numbers. */
#define COPY_STATE_COLUMNS 7
#define COPY_STATE_SQL(session) \
  "SELECT " session ", last_id, accepted, inbound, s2, (SELECT max(seq) FROM event), (SELECT max(id) FROM message)" \
  " FROM counter WHERE id=1"
void copy_state_write(struct copy_facts *facts, parley_text numbers);
#define COPY_SEEDED_TABLE "counter" /* has a row in a store that is empty */
parley_status copy_refuse_moved(struct buf *reterr_why);
parley_status copy_refuse_full(const char *what, const char *table, struct buf *reterr_why);
parley_status copy_refuse_half(struct buf *reterr_why);

struct copy_end;
/* False: enough; the read ends. */
typedef bool copy_row_fn(parley_bytes row, const struct copy_field *fields, void *arg);
struct copy_end_kind {
  /* Opens it, with the lock that keeps daemons away. A target is made if it is empty; it may hold the beginning of a copy. */
  parley_status (*open)(const struct store_place *place, bool target, const struct env *env, struct copy_end **ret,
                        struct buf *reterr_why);
  void (*close)(struct copy_end *end);
  parley_status (*plan)(struct copy_end *end, struct copy_plan *ret, struct buf *reterr_why); /* PostgreSQL; NULL: has no types */
  /* It has these tables and no others that hold anything. */
  parley_status (*fits)(struct copy_end *end, const struct copy_plan *plan, struct buf *reterr_why);
  /* Rows behind the position, in order. */
  parley_status (*read)(struct copy_end *end, const struct copy_table *table, const struct copy_position *after, copy_row_fn *row,
                        void *arg, struct buf *reterr_why);

  /* As the source. */
  parley_status (*facts)(struct copy_end *end, struct copy_facts *ret, struct buf *reterr_why);
  parley_status (*moved)(struct copy_end *end, struct buf *reterr_why); /* no daemon opens it any more */

  /* As the target. begin: of this state of the source; what is here of it stays, what is here of another one goes. REJECTED: it
   * holds a store, or nothing of a source that has moved already. */
  parley_status (*begin)(struct copy_end *end, const struct copy_plan *plan, struct copy_facts *facts, struct buf *reterr_why);
  parley_status (*position)(struct copy_end *end, const struct copy_table *table, struct copy_position *ret, struct buf *reterr_why);
  /* A piece: open, rows, and with close position and rows are committed together. */
  parley_status (*piece_open)(struct copy_end *end, const struct copy_table *table, struct buf *reterr_why);
  parley_status (*piece_row)(struct copy_end *end, parley_bytes row, const struct copy_field *fields, struct buf *reterr_why);
  parley_status (*piece_close)(struct copy_end *end, const struct copy_position *position, struct buf *reterr_why);
  /* What is beside the tables; what is only here is made; progress and mark go. On disk when it returns. */
  parley_status (*finish)(struct copy_end *end, const struct copy_facts *facts, struct buf *reterr_why);
};
extern const struct copy_end_kind copy_end_sqlite, copy_end_postgres; /* const: their functions */
struct copy_end { const struct copy_end_kind *kind; }; /* at the beginning of each one's own */
#endif
