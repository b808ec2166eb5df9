/* html_to_text(). The tags are read by a scanner of our own (html_scan.c) that looks at each byte once: a tree built by
 * the rules of HTML5 grows with the square of hostile nesting. It leaves one run of text with character references in
 * it, and html_reference.c decodes those. */
#include "core/base/text.h"
#include "fit.h"
#include "html_reference.h"
#include "html_scan.h"
#include <string.h>

#define RUN_BYTES_MAX (4 * CONTENT_INLINE_BYTES_MAX)

/* Bytes from here on that stay as they are. */
static size_t plain_run(parley_text text, size_t pos)
{
  size_t end = pos;

  while (end < text.len && text.at[end] > ' ' && text.at[end] < 0x7f)
    end++;
  return end - pos;
}

/* Copies the text without what only layout needs: no-break spaces become spaces, invisible padding goes, lines lose the
 * spaces at their ends, and of blank lines one stays. */
static parley_text text_tidy(parley_text text, struct arena *arena)
{
  char *to = arena_alloc(arena, text.len + 1);
  size_t len = 0, breaks = 0;

  for (size_t pos = 0; pos < text.len;) {
    size_t from = pos, plain = plain_run(text, pos);
    uint32_t code;

    if (plain > 0) {
      memcpy(to + len, text.at + pos, plain);
      len += plain;
      pos += plain;
      breaks = 0;
      continue;
    }
    code = text_utf8_next(text, &pos);
    if (code == 0xad || code == 0x34f || code == 0x200b || code == 0x2060 || code == 0xfeff || code == 0xfffd)
      continue;
    if (code == '\n') {
      while (len > 0 && to[len - 1] == ' ')
        len--;
      breaks++;
      if (len == 0 || breaks > 2)
        continue;
      to[len++] = '\n';
    } else if (code == 0xa0 || code == ' ') {
      if (len > 0)
        to[len++] = ' ';
    } else if (code == MARK && pos < text.len && (text.at[pos] == MARK_LESS || text.at[pos] == MARK_AND)) {
      to[len++] = text.at[pos++] == MARK_LESS ? '<' : '&';
      breaks = 0;
    } else if (code >= 0x20 || code == '\t') {
      memcpy(to + len, text.at + from, pos - from);
      len += pos - from;
      breaks = 0;
    }
  }
  while (len > 0 && (to[len - 1] == '\n' || to[len - 1] == ' '))
    len--;
  return (parley_text){to, len};
}

parley_text html_to_text(parley_text html, struct arena *arena)
{
  struct buf run = BUF_INIT(RUN_BYTES_MAX);
  parley_text text;

  html.len = text_utf8_cut(html, CONTENT_INLINE_BYTES_MAX);
  html_scan(html, &run);
  html_references_decode(&run);
  text = text_tidy(buf_as_text(&run), arena);
  buf_done(&run);
  return text;
}
