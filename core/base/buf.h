/* buf.h - a growing run of bytes with a ceiling: beyond `max` bytes nothing is added and `overflow` stays set, so that a
 * writer checks once at the end. Always NUL-terminated behind len. Thread: whoever owns it. Memory: its own heap. */
#ifndef CORE_BASE_BUF_H
#define CORE_BASE_BUF_H
#include <parley/plugin.h>
#include <stdarg.h>
#include <stdbool.h>

struct buf {
  char *at;
  size_t len, room, max;
  bool overflow;
};
#define BUF_MAX_DEFAULT ((size_t)64 << 20) /* bytes; when max is 0 */
#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

void buf_done(struct buf *buf);  /* frees the bytes; the buf is empty and usable */
void buf_clear(struct buf *buf); /* keeps the room */
void buf_expect(struct buf *buf, size_t len); /* room for so much more, at once rather than by doubling; within the ceiling */
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_text(struct buf *buf, parley_text text);
void buf_str(struct buf *buf, const char *text);
void buf_char(struct buf *buf, char byte);
void buf_utf8(struct buf *buf, uint32_t code); /* a code point, at most U+10FFFF and no surrogate */
void buf_text_clean(struct buf *buf, parley_text text); /* U+FFFD for what is no UTF-8, and for NUL */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void buf_int(struct buf *buf, int64_t value);
void buf_uint(struct buf *buf, uint64_t value);
void buf_drop(struct buf *buf, size_t len); /* takes len bytes off the front */
parley_text buf_as_text(const struct buf *buf); /* borrowed until the next write */
/* Hands the bytes over (free() them) and leaves the buf empty. Never NULL. */
char *buf_steal(struct buf *buf, size_t *ret_len);

/* JSON pieces. buf_json_text writes "..." with all that RFC 8259 demands escaped; bad UTF-8 becomes U+FFFD.
 * buf_json_key writes a comma when the last byte calls for one, then "key":. */
void buf_json_text(struct buf *buf, parley_text text);
void buf_json_str(struct buf *buf, const char *text);
void buf_json_comma(struct buf *buf); /* a comma unless the last byte is one of { [ , : or nothing */
void buf_json_key(struct buf *buf, const char *key);
#endif
