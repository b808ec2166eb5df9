/* text.h - reading parley_text: compare, cut, trim, check, parse. Borrows, never allocates. Thread: any. */
#ifndef CORE_BASE_TEXT_H
#define CORE_BASE_TEXT_H
#include <parley/plugin.h>
#include <stdbool.h>

#define TEXT_EMPTY ((parley_text){"", 0})
#define TEXT_ARG(t) (int)(t).len, (t).at ? (t).at : "" /* for "%.*s" */

bool text_eq(parley_text a, parley_text b);
bool text_eq_nocase(parley_text a, parley_text b); /* ASCII letters only */
bool text_is_nocase(parley_text a, const char *word);
int text_cmp(parley_text a, parley_text b); /* by bytes, as memcmp */
bool text_starts(parley_text t, const char *prefix);
bool text_ends(parley_text t, const char *suffix);
/* Index of the byte, or t.len when absent. */
size_t text_find(parley_text t, char byte);
/* Offset of the needle, or SIZE_MAX when absent. */
size_t text_find_text(parley_text t, parley_text needle);
parley_text text_sub(parley_text t, size_t from, size_t len); /* clamped to t */
parley_text text_trim(parley_text t);                         /* spaces, tabs, CR, LF off both ends */
/* Cuts what stands before the first `at` off *rest and returns it; without one returns all and leaves *rest empty. */
parley_text text_cut(parley_text *rest, char at);
/* Compares secrets without a hint by time; lengths may show. */
bool text_eq_secret(parley_text a, parley_text b);

/* Strict decimal: digits only (and a leading '-' for int64), no overflow, at least one digit. false leaves *ret. */
bool text_to_uint(parley_text t, uint64_t max, uint64_t *ret);
bool text_to_int(parley_text t, int64_t min, int64_t max, int64_t *ret);

/* UTF-8 as RFC 3629: no overlong, no surrogates, at most U+10FFFF. text_utf8_ok also refuses NUL. */
bool text_utf8_ok(parley_text t);
/* The code point at t.at[*pos], which moves behind it; U+FFFD for a bad byte. */
uint32_t text_utf8_next(parley_text t, size_t *pos);
size_t text_utf8_count(parley_text t);              /* code points */
size_t text_utf8_cut(parley_text t, size_t bytes_max); /* the longest prefix of whole code points within bytes_max */
bool text_has_control(parley_text t); /* a byte below 0x20 or 0x7f */

/* The nearest of `words` (ends with NULL) when it is near enough to be a slip of the pen, else NULL. */
const char *text_nearest(parley_text word, const char *const *words);
#endif
