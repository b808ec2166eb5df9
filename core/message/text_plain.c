#include "text_plain.h"
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include "fit_text.h"
#include <stdint.h>

/* By code point, rising. */
static const struct {
  uint32_t from, to;
  const char *plain;
} plains[] = {
    {0x0009, 0x0009, " "},   /* tab */
    {0x0060, 0x0060, "'"},   /* grave accent, as a quote */
    {0x00a0, 0x00a0, " "},   /* no-break space */
    {0x00ab, 0x00ab, "\""},  /* left guillemet */
    {0x00ad, 0x00ad, ""},    /* soft hyphen */
    {0x00b4, 0x00b4, "'"},   /* acute accent, as a quote */
    {0x00bb, 0x00bb, "\""},  /* right guillemet */
    {0x02b9, 0x02b9, "'"},   /* modifier letter prime */
    {0x02ba, 0x02ba, "\""},  /* ... double prime */
    {0x02bb, 0x02bd, "'"},   /* ... turned comma, apostrophe, reversed comma */
    {0x02c6, 0x02c6, "^"},   /* ... circumflex */
    {0x02c8, 0x02c8, "'"},   /* ... vertical line */
    {0x02ca, 0x02cb, "'"},   /* ... acute and grave accent */
    {0x02dc, 0x02dc, "~"},   /* small tilde */
    {0x2000, 0x200a, " "},   /* en quad to hair space */
    {0x200b, 0x200f, ""},    /* zero-width space, non-joiner and joiner, marks of direction */
    {0x2010, 0x2015, "-"},   /* hyphen to horizontal bar */
    {0x2018, 0x2019, "'"},   /* single quotes */
    {0x201a, 0x201a, ","},   /* low single quote */
    {0x201b, 0x201b, "'"},   /* high reversed single quote */
    {0x201c, 0x201f, "\""},  /* double quotes */
    {0x2022, 0x2023, "-"},   /* bullets */
    {0x2024, 0x2024, "."},   /* one dot leader */
    {0x2025, 0x2025, ".."},  /* two dot leader */
    {0x2026, 0x2026, "..."}, /* ellipsis */
    {0x2028, 0x2029, "\n"},  /* line and paragraph separator */
    {0x202a, 0x202e, ""},    /* embeddings and overrides of direction */
    {0x202f, 0x202f, " "},   /* narrow no-break space */
    {0x2032, 0x2032, "'"},   /* prime */
    {0x2033, 0x2033, "\""},  /* double prime */
    {0x2035, 0x2035, "'"},   /* reversed prime */
    {0x2036, 0x2036, "\""},  /* reversed double prime */
    {0x2039, 0x2039, "<"},   /* single guillemets */
    {0x203a, 0x203a, ">"},
    {0x203c, 0x203c, "!!"},
    {0x2043, 0x2043, "-"},   /* hyphen bullet */
    {0x2044, 0x2044, "/"},   /* fraction slash */
    {0x2047, 0x2047, "??"},
    {0x2048, 0x2048, "?!"},
    {0x2049, 0x2049, "!?"},
    {0x205f, 0x205f, " "},   /* medium mathematical space */
    {0x2060, 0x2064, ""},    /* word joiner, invisible operators */
    {0x2066, 0x206f, ""},    /* isolates, deprecated format characters */
    {0x2212, 0x2212, "-"},   /* minus */
    {0x2215, 0x2215, "/"},   /* division slash */
    {0x25aa, 0x25ab, "-"},   /* small squares, as bullets */
    {0x25cf, 0x25cf, "-"},   /* black circle, as a bullet */
    {0x25e6, 0x25e6, "-"},   /* white bullet */
    {0x275b, 0x275c, "'"},   /* ornamental quotes */
    {0x275d, 0x275e, "\""},
    {0x3000, 0x3000, " "},   /* ideographic space */
    {0x301d, 0x301e, "\""},  /* double prime quotes */
    {0xfe0e, 0xfe0f, ""},    /* as text, as a picture */
    {0xfeff, 0xfeff, ""},    /* byte order mark */
    {0xff02, 0xff02, "\""},  /* fullwidth quotes */
    {0xff07, 0xff07, "'"},
};

const char *code_plain(uint32_t code)
{
  size_t low = 0, high = COUNT_OF(plains);

  while (low < high) {
    size_t middle = (low + high) / 2;

    if (code > plains[middle].to)
      low = middle + 1;
    else
      high = middle;
  }
  return low < COUNT_OF(plains) && code >= plains[low].from ? plains[low].plain : NULL;
}

static bool plain_add(struct buf *to, uint32_t code, uint32_t unit)
{
  const char *plain = code_plain(code);

  if (plain == NULL || !text_unit_holds(parley_text_of(plain), unit))
    return false;
  buf_str(to, plain);
  return true;
}

bool text_plain(parley_text text, uint32_t unit, struct arena *arena, parley_text *ret)
{
  struct buf made = BUF_INIT(0);
  size_t pos = text_unit_span(text, unit), from = 0;
  bool changes = pos < text.len, good = true;

  if (changes)
    buf_expect(&made, text.len);
  while (good && pos < text.len) {
    buf_text(&made, text_sub(text, from, pos - from));
    good = plain_add(&made, text_utf8_next(text, &pos), unit);
    from = pos;
    pos += text_unit_span(text_sub(text, pos, SIZE_MAX), unit);
  }
  if (changes && good) {
    buf_text(&made, text_sub(text, from, SIZE_MAX));
    *ret = arena_text(arena, buf_as_text(&made));
  }
  buf_done(&made);
  return changes && good;
}
