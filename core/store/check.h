/* check.h - whether what stands in a store fits together: for `parley store check`. Reads one snapshot and writes nothing; the store
 * may be in use. Blocking, in time with the store's size: for a program of its own, never on a loop. */
#ifndef CORE_STORE_CHECK_H
#define CORE_STORE_CHECK_H
#include "store.h"

#define CHECK_FINDINGS_MAX 20 /* shown of one check */

struct store_finding {
  const char *table, *what, *remedy; /* until the callback returns */
  char id[64];                       /* of the row; "-": of no single one */
  bool more;                         /* this check has found more than CHECK_FINDINGS_MAX: the last that is shown */
};
typedef void store_finding_fn(const struct store_finding *finding, void *arg);
struct store_checked { size_t n_checks, n_findings; uint64_t messages, events; int64_t schema; };
/* OK: it could be checked, whatever was found. FAILED: it cannot be read, reterr_why says why. */
parley_status store_check(const struct store_config *config, const struct env *env, store_finding_fn *found, void *arg,
                          struct store_checked *ret, struct buf *reterr_why);
#endif
