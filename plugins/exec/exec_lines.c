#include "exec_lines.h"
#include <stdlib.h>

enum { ROOM_FIRST = 1024, ROOM_KEPT = 64 << 10 };

void exec_lines_clear(struct exec_lines *lines)
{
  free(lines->at);
  *lines = (struct exec_lines){.max = lines->max};
}

/* Adds to the line under way, at most `max` bytes of it. */
static bool line_add(struct exec_lines *lines, parley_bytes more)
{
  size_t len = more.len < lines->max - lines->len ? more.len : lines->max - lines->len;
  size_t room = lines->room > 0 ? lines->room : ROOM_FIRST;
  char *at;

  while (room < lines->len + len)
    room *= 2;
  if (room > lines->room) {
    at = realloc(lines->at, room);
    if (at == NULL)
      return false;
    lines->at = at;
    lines->room = room;
  }
  if (len > 0)
    memcpy(lines->at + lines->len, more.at, len);
  lines->len += len;
  return true;
}

static bool line_tell(struct exec_lines *lines, parley_text line, bool too_long, exec_line_cb *tell, void *arg)
{
  bool more = tell(line, too_long, arg);

  lines->len = 0;
  if (lines->room > ROOM_KEPT) {
    free(lines->at);
    lines->at = NULL;
    lines->room = 0;
  }
  return more;
}

/* The end of a line, or of all bytes there are, has been found behind `piece`. */
static bool line_ends(struct exec_lines *lines, parley_bytes piece, exec_line_cb *tell, void *arg)
{
  if (lines->skipping) {
    lines->skipping = false;
    return true;
  }
  if (lines->len == 0 && piece.len <= lines->max)
    return line_tell(lines, piece, false, tell, arg); /* the usual one: whole, and not copied */
  if (piece.len <= lines->max - lines->len && line_add(lines, piece))
    return line_tell(lines, (parley_text){lines->at, lines->len}, false, tell, arg);
  (void)line_add(lines, piece);
  return line_tell(lines, (parley_text){lines->at, lines->len}, true, tell, arg);
}

bool exec_lines_feed(struct exec_lines *lines, parley_bytes bytes, exec_line_cb *tell, void *arg)
{
  while (bytes.len > 0) {
    const char *end = memchr(bytes.at, '\n', bytes.len);
    parley_bytes piece = {bytes.at, end != NULL ? (size_t)(end - bytes.at) : bytes.len};

    if (end != NULL) {
      if (!line_ends(lines, piece, tell, arg))
        return true;
      bytes.at += piece.len + 1;
      bytes.len -= piece.len + 1;
      continue;
    }
    if (lines->skipping)
      return true;
    if (piece.len > lines->max - lines->len) {
      lines->skipping = true; /* told now, skipped to its end */
      (void)line_add(lines, piece);
      (void)line_tell(lines, (parley_text){lines->at, lines->len}, true, tell, arg);
      return true;
    }
    lines->skipping = !line_add(lines, piece);
    return !lines->skipping;
  }
  return true;
}

void exec_lines_end(struct exec_lines *lines, exec_line_cb *tell, void *arg)
{
  if (lines->len > 0)
    (void)line_tell(lines, (parley_text){lines->at, lines->len}, false, tell, arg);
  exec_lines_clear(lines);
}

/* --- Words for a log --------------------------------------------------------------------------------------------- */

/* The bytes of the character that begins there, 0 when it is none: overlong forms and surrogates are none. */
static size_t character_len(parley_text text)
{
  const unsigned char *at = (const unsigned char *)text.at;
  size_t len = at[0] < 0x80                    ? 1
               : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
               : (at[0] & 0xf0) == 0xe0        ? 3
               : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                               : 0;

  if (len == 0 || len > text.len)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((at[i] & 0xc0) != 0x80)
      return 0;
  if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf0 && at[1] < 0x90) ||
      (at[0] == 0xf4 && at[1] >= 0x90))
    return 0;
  return len;
}

size_t exec_text_clean(parley_text text, char *to, size_t room)
{
  size_t len = 0;

  for (size_t i = 0; i < text.len;) {
    size_t bytes = character_len((parley_text){text.at + i, text.len - i});
    bool good = bytes > 1 || (bytes == 1 && (unsigned char)text.at[i] >= 0x20 && text.at[i] != 0x7f);

    if (len + (good ? bytes : 1) >= room)
      break;
    if (good)
      memcpy(to + len, text.at + i, bytes);
    else
      to[len] = '?';
    len += good ? bytes : 1;
    i += bytes > 0 ? bytes : 1;
  }
  to[len] = '\0';
  return len;
}
