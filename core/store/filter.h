/* filter.h - a set of hashes that may say "maybe" wrongly, and never "no": for keys of which nearly all that are asked for are new.
 * A blocked Bloom filter: each key sets its bits within one cache line. It grows by parts, each twice the last, since what is in
 * it cannot be read back. Thread: whoever owns it. */
#ifndef CORE_STORE_FILTER_H
#define CORE_STORE_FILTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_KEYS_MAX ((size_t)63 << 17) /* 8 million, in 16 MiB */

struct filter;
struct filter *filter_new(void);
void filter_free(struct filter **filter); /* NULL inside is fine */
bool filter_add(struct filter *filter, uint64_t hash); /* false: full, not added */
bool filter_may_have(const struct filter *filter, uint64_t hash);
size_t filter_count(const struct filter *filter);
#endif
