/* restore.h - a backup in the place of a store that no daemon has open, for the command line. Blocking.
 *
 * What the backup holds has gone on after it was made. So a restored store is marked (marks.h), and its daemon starts paused, with
 * all that was not final marked as possibly sent: see STORE_RESTORED. */
#ifndef CORE_STORE_RESTORE_H
#define CORE_STORE_RESTORE_H
#include "core/base/buf.h"
#include "core/base/env.h"

#define STORE_PATH_MAX 4096

struct store_restore { /* SQLite: a file to a file */
  const char *file, *path; /* the backup; the store */
  const struct env *env;
  bool replace; /* a store that is not empty may go */
  char kept[STORE_PATH_MAX]; /* out: where what stood there is now; "" when nothing did */
};
/* The copy is checked, marked and flushed beside the store, then takes its name at once. REJECTED: the store is not empty. Else:
 * why says what a person can do; nothing has changed. */
parley_status store_restore_file(struct store_restore *restore, struct buf *reterr_why);

/* PostgreSQL: its own tools do the work, as children of the caller; here is what stands around them. */
struct store_outside;
struct store_outside_facts {
  int server_major;
  const char *schema;      /* that the store's tables are in */
  char **environment;      /* NAME=VALUE: how the tools reach it; ends with NULL. Holds the password: for nobody's eyes */
};
enum store_outside_for { OUTSIDE_DUMP, OUTSIDE_RESTORE };
/* DUMP: there is a whole store in it. RESTORE: nobody has it open, and it is empty; from here on no daemon may open it. */
parley_status store_outside_open(const char *url, enum store_outside_for purpose, struct store_outside **ret, struct buf *reterr_why);
const struct store_outside_facts *store_outside_facts(const struct store_outside *outside);
/* After the tool: what has come is a store that this program knows; marked as restored, daemons may open it. */
parley_status store_outside_restored(struct store_outside *outside, const struct env *env, struct buf *reterr_why);
void store_outside_close(struct store_outside **outside);
#endif
