/* marks.h - rows of table `meta` that say whether a daemon may open the store, and how. Private to core/store.
 *   copying   a copy has begun and not ended here: no daemon opens it. Value: the state of its source, see copy_end.h
 *   copied    a copy that was ended made it. Value: as of copying
 *   moved     it was copied, and goes on there: no daemon opens it, unless somebody says that it is to be taken up again as a
 *             restored one. Value: when, for people
 *   restored  "UPTO AT_MS": what was in it then may have gone on elsewhere: see struct store_restored */
#ifndef CORE_STORE_MARKS_H
#define CORE_STORE_MARKS_H
#include "logic.h"

#define MARK_COPYING "copying"
#define MARK_COPIED "copied"
#define MARK_MOVED "moved"
#define MARK_RESTORED "restored"
#define MARK_BYTES_MAX 128

parley_status marks_judge(bool copying, bool moved, bool restored, struct buf *reterr_why);
parley_status mark_refuse_restoring(struct buf *reterr_why);
void mark_restored_write(struct buf *to, id64 upto, int64_t at_ms);
bool mark_restored_read(parley_text value, struct store_restored *ret);

/* At a start: FAILED if a daemon may not open it. */
parley_status marks_open(const struct store_base *store, struct db *db, struct buf *reterr_why);
/* At a start: whether it is a restored one; with config.restored it is made one. Errors stay in db. newest: of all ids in it. */
void restored_open(struct store_base *store, struct db *db, id64 newest);
#endif
