/* slice.h - finds members in JSON that was checked when it came in, without parsing it: a value is a run of its bytes. What is
 * not JSON gives nothing and is never read beyond its end. Pure, allocates nothing. Private to core/feed. */
#ifndef CORE_FEED_SLICE_H
#define CORE_FEED_SLICE_H
#include "core/base/buf.h"

/* Walks the members of an object: *rest is the whole object at first. key: without its quotes, still escaped. value: from its
 * first byte to its last. false: no more of them, or this is no object. */
bool slice_next(parley_text *rest, parley_text *ret_key, parley_text *ret_value);
bool slice_key_is(parley_text key, const char *name); /* name is ASCII; the key may spell it with \u escapes */
/* The value's bytes; empty when there is none. Of twins the first. */
parley_text slice_member(parley_text object, const char *name);
/* The same, when it is a text without escapes, and without its quotes: names, states. Else empty. */
parley_text slice_word(parley_text object, const char *name);
/* Writes the text (with its quotes) cut at a whole character to at most bytes_max bytes of UTF-8. true: it was cut. */
bool buf_slice_cut(struct buf *buf, parley_text text, size_t bytes_max);
/* Writes the object with its texts cut like that. Other values are copied, or left out when longer than SLICE_VALUE_TIMES such
 * texts, and so is the member `without` (NULL: none). "cut":true then says that something is missing. */
#define SLICE_VALUE_TIMES 8
void buf_slice_cut_members(struct buf *buf, parley_text object, size_t bytes_max, const char *without);
#endif
