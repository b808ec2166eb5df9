/* copy.h - a whole store carried over from one driver to the other, while no daemon has either open. Blocking: for the command line.
 *
 * All numbers stay: ids, seqs, hashes, the secret; so cursors, links and idempotency keys are good afterwards. Each table goes in
 * the order of its key, a piece and how far it has got in one transaction: after a kill the same call goes on. At the end every
 * table is read again where it arrived, and its count and sum are compared with what was read where it came from. Until then no
 * daemon can open the target (meta "copying"), and from then on none the source (meta "moved"): two that send the same queue
 * would send everything twice. */
#ifndef CORE_STORE_COPY_H
#define CORE_STORE_COPY_H
#include "core/base/buf.h"
#include "core/base/env.h"

struct store_place { const char *path /* SQLite's file */, *url /* or a PostgreSQL connection URI; the other is NULL */; };
enum copy_doing { COPY_COPYING, COPY_COMPARING, COPY_FINISHING };
struct store_copy {
  struct store_place from, to; /* one of each kind */
  const struct env *env;
  bool rehearse; /* all but the last step: the source goes on, the target cannot be opened until a later call has carried it on */
  void (*progress)(enum copy_doing doing, const char *table, uint64_t rows, void *arg); /* now and then; NULL allowed */
  void *arg;
  uint64_t rows, tables, went_on_from; /* out: all rows; tables; rows that an earlier call had brought over */
  bool done_before; /* out: an earlier call had ended it; nothing was done */
};
/* INVALID: both places are of one kind. FAILED: why says what a person can do. */
parley_status store_copy(struct store_copy *copy, struct buf *reterr_why);
#endif
