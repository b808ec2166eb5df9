/* driver.h - the border between store.c (queue limits, completion on the loop) and one driver (sqlite.h, postgres.h).
 * Private to core/store. A driver never calls done(op) itself: it hands finished ops back with store_finish(). */
#ifndef CORE_STORE_DRIVER_H
#define CORE_STORE_DRIVER_H
#include "db.h"
#include "store.h"

typedef void store_look_fn(struct db *db, bool sqlite, void *arg);
struct store_driver {
  const char *name;
  bool leased; /* work is ours for a time only, see store_may_send() */
  parley_status (*open)(const struct store_config *config, uv_loop_t *loop, const struct env *env, const struct log *log,
                        struct store *front, void **ret, struct buf *reterr_why); /* blocking */
  void (*write)(void *impl, struct store_op *op); /* [loop] queues; the front has checked the limits */
  void (*written)(void *impl); /* [loop] what one turn has queued is complete; NULL: nothing to do */
  void (*read)(void *impl, struct store_op *op);  /* [loop] queues */
  void (*close)(void *impl); /* [loop] finish what is queued, then store_closed() once, from any thread */
  void (*free)(void *impl);  /* [loop] after store_closed(); joins threads, gives everything back */
  const uint8_t *(*secret)(const void *impl);
  const struct store_restored *(*restored)(const void *impl); /* as it was opened */
  /* Blocking, of a store that may be open elsewhere: look(db) within one snapshot that writes nothing. FAILED: it cannot be read, or
   * its schema (*ret_schema) is not ours. */
  parley_status (*look)(const struct store_config *config, const struct env *env, store_look_fn *look, void *arg, int64_t *ret_schema,
                        struct buf *reterr_why);
  parley_status (*reach)(const struct store_config *config, bool connect, struct buf *reterr_why); /* store_reach(); NULL: always */
};
extern const struct store_driver store_driver_sqlite, store_driver_postgres; /* const: their functions */

const struct store_driver *store_driver_find(const char *name); /* NULL: none */

/* [any] Ops that are done, status set; the list is emptied. */
void store_finish(struct store *front, struct list *ops);
/* [any] A round has ended: counters for store_gauges(), and the newest event seq of the commit (0: none was added). */
void store_round_ended(struct store *front, const struct store_gauges *gauges, uint64_t last_seq);
/* [any] Nothing of this opening is believed any more; said once, it stays so. */
void store_broke(struct store *front);
/* [any] The last call of a driver that was asked to close. */
void store_closed(struct store *front);
#endif
