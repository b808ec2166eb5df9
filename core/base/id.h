/* id.h - 64-bit ids: 0, 41 bits of ms since 2025-01-01 UTC, 10 bits of node, 12 bits of counter; outside a prefix and 13
 * characters of Crockford base32 ("msg_01KAM2Z8Q3XWA"). An id is no secret. struct id_source: one thread. */
#ifndef CORE_BASE_ID_H
#define CORE_BASE_ID_H
#include "buf.h"
#include "env.h"

typedef uint64_t id64; /* 0: none */
#define ID_EPOCH_MS INT64_C(1735689600000)
#define ID_NODE_BITS 10
#define ID_COUNTER_BITS 12
#define ID_TEXT_MAX 18 /* "msg_" + 13 + NUL */

struct id_source {
  const struct env *env;
  uint32_t node;
  id64 last;
};
/* floor: the largest id ever persisted; the next one is above it even if the clock went back. */
void id_source_init(struct id_source *source, const struct env *env, uint32_t node, id64 floor);
id64 id_next(struct id_source *source);
int64_t id_time_ms(id64 id); /* when it was made, ms since 1970 */
id64 id_at(int64_t at_ms);   /* the smallest one that is not older */

/* prefix: "msg". to gets "msg_..." and a NUL. */
void id_format(const char *prefix, id64 id, char to[ID_TEXT_MAX]);
void buf_id(struct buf *buf, const char *prefix, id64 id);
void buf_json_id(struct buf *buf, const char *prefix, id64 id); /* quoted; null when 0 */
/* Strict: the prefix, '_', 13 upper-case Crockford characters, top bit clear, not 0. false leaves *ret. */
bool id_parse(const char *prefix, parley_text text, id64 *ret);
#endif
