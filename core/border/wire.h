/* wire.h - structs of the ABI as bytes and back, by the tables of abi.h. Both ends are of one build, so that the bytes need no
 * versions; what they say is trusted by neither: reading is bounded by the bytes at hand, WIRE_ITEMS_MAX and WIRE_DEPTH_MAX.
 *
 * A struct is a u32 with a bit for each member that is not empty, then those members in the table's order; a text is a u32 length
 * and its bytes, a list a u32 count and its elements; numbers are little-endian. Thread: any. */
#ifndef CORE_BORDER_WIRE_H
#define CORE_BORDER_WIRE_H
#include "abi.h"
#include "core/base/arena.h"
#include "core/base/buf.h"

#define WIRE_ITEMS_MAX 16384 /* structs, texts and pairs in lists, of one frame: bounds what its bytes may grow to in memory */
#define WIRE_DEPTH_MAX 16    /* structs in structs */
/* What is read takes at most WIRE_GROWTH_MAX bytes of memory for each of its own, and WIRE_GROWTH_FIRST. */
#define WIRE_GROWTH_MAX 64
#define WIRE_GROWTH_FIRST ((size_t)256 << 10)

/* Appends the struct. Members beyond its `size` count as empty: an older plugin wrote no such memory. */
void wire_put(struct buf *to, const struct abi_struct *shape, const void *from);

struct wire_in {
  const char *at;
  size_t left;
  struct arena *arena; /* takes what is read */
  uint32_t items;      /* read so far */
};
/* The next struct, in the arena; its `size` is the one of this build. NULL: not what wire_put() writes. Texts that are not UTF-8,
 * or hold a NUL, become empty. */
const void *wire_get(struct wire_in *in, const struct abi_struct *shape);
#endif
