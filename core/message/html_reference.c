#include "html_reference.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <gumbo.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 32  /* "CounterClockwiseContourIntegral;" */
#define KNOWN_SLOTS 1024   /* a power of two */
#define KNOWN_PROBES 8     /* a text made so that names meet in one place finds no more of them than this */
#define CODE_MAX 0x10ffff
#define CODE_BAD 0xfffd

/* What one "&name" was decoded to. A name without its semicolon takes the letters behind it along: "&notit" is "¬it". */
struct known {
  uint8_t len, text_len; /* len 0: free */
  char name[NAME_BYTES_MAX + 1], text[NAME_BYTES_MAX + 8];
};

struct decoder {
  parley_text rest;
  struct buf out;
  struct known *known; /* KNOWN_SLOTS; NULL until the first name */
  size_t asked;
};

/* --- Numbers -------------------------------------------------------------------------------------------------------- */

/* Bytes of Windows-1252 that were written as if they were code points; 0: it is one. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
    0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
};

static int digit_of(char byte, uint32_t base)
{
  if (byte >= '0' && byte <= '9')
    return byte - '0';
  byte = (char)(byte | 0x20);
  return base == 16 && byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static uint32_t code_of(uint32_t number)
{
  if (number == 0 || number > CODE_MAX || (number >= 0xd800 && number <= 0xdfff))
    return CODE_BAD;
  return number >= 0x80 && number < 0xa0 && windows_1252[number - 0x80] != 0 ? windows_1252[number - 0x80] : number;
}

/* rest is behind "&#". */
static void number_decode(struct decoder *decoder)
{
  parley_text rest = decoder->rest;
  bool hex = rest.len > 0 && (rest.at[0] | 0x20) == 'x';
  uint32_t base = hex ? 16 : 10, number = 0;
  size_t at = hex;
  int digit;

  for (; at < rest.len && (digit = digit_of(rest.at[at], base)) >= 0; at++)
    number = number > CODE_MAX ? number : number * base + (uint32_t)digit;
  if (at == hex) { /* none: it is text */
    buf_str(&decoder->out, "&#");
    return;
  }
  buf_utf8(&decoder->out, code_of(number));
  at += at < rest.len && rest.at[at] == ';';
  decoder->rest = text_sub(rest, at, SIZE_MAX);
}

/* --- Names ---------------------------------------------------------------------------------------------------------- */

static bool byte_is_of_name(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

/* The letters and digits behind the &, and the semicolon behind them. */
static parley_text name_at(parley_text rest)
{
  size_t len = 0;

  while (len < rest.len && len < NAME_BYTES_MAX && byte_is_of_name(rest.at[len]))
    len++;
  len += len < rest.len && len < NAME_BYTES_MAX && rest.at[len] == ';';
  return text_sub(rest, 0, len);
}

static const GumboNode *first_text(const GumboNode *node)
{
  const GumboVector *children = &node->v.element.children;

  for (unsigned i = 0; node->type == GUMBO_NODE_ELEMENT && i < children->length; i++) {
    const GumboNode *child = children->data[i], *found = child->type == GUMBO_NODE_TEXT ? child : first_text(child);

    if (found != NULL)
      return found;
  }
  return NULL;
}

/* Asks libgumbo. The x in front keeps what is blank from being dropped. */
static void known_fill(struct known *known, parley_text name)
{
  GumboOptions options = kGumboDefaultOptions;
  char html[NAME_BYTES_MAX + 2] = "x&";
  GumboOutput *tree;
  const GumboNode *text;

  memcpy(html + 2, name.at, name.len);
  options.max_errors = 0;
  tree = gumbo_parse_with_options(&options, html, name.len + 2);
  text = first_text(tree->root);
  memcpy(known->name, name.at, name.len);
  known->len = (uint8_t)name.len;
  known->text_len = 0;
  if (text != NULL && strlen(text->v.text.text) - 1 <= sizeof known->text) {
    known->text_len = (uint8_t)(strlen(text->v.text.text) - 1);
    memcpy(known->text, text->v.text.text + 1, known->text_len);
  }
  gumbo_destroy_output(&options, tree);
}

static uint32_t name_hash(parley_text name)
{
  uint32_t hash = 2166136261u;

  for (size_t i = 0; i < name.len; i++)
    hash = (hash ^ (unsigned char)name.at[i]) * 16777619u;
  return hash ^ hash >> 15;
}

/* NULL: too many different ones. */
static const struct known *known_find(struct decoder *decoder, parley_text name)
{
  uint32_t hash = name_hash(name);
  struct known *slot = NULL;

  if (decoder->known == NULL)
    decoder->known = xcalloc(KNOWN_SLOTS, sizeof *decoder->known);
  for (uint32_t i = 0; i < KNOWN_PROBES; i++) {
    slot = &decoder->known[(hash + i) % KNOWN_SLOTS];
    if (slot->len == name.len && memcmp(slot->name, name.at, name.len) == 0)
      return slot;
    if (slot->len == 0)
      break;
  }
  if (decoder->asked == HTML_NAMES_MAX)
    return NULL;
  decoder->asked++;
  known_fill(slot, name); /* where all are taken, in the place of the last */
  return slot;
}

/* rest is behind "&". */
static void name_decode(struct decoder *decoder)
{
  parley_text name = name_at(decoder->rest);
  const struct known *known = name.len > 0 ? known_find(decoder, name) : NULL;

  if (known != NULL) {
    buf_add(&decoder->out, known->text, known->text_len);
  } else {
    buf_char(&decoder->out, '&');
    buf_text(&decoder->out, name);
  }
  decoder->rest = text_sub(decoder->rest, name.len, SIZE_MAX);
}

void html_references_decode(struct buf *text)
{
  struct decoder decoder = {.rest = buf_as_text(text), .out = BUF_INIT(text->max)};

  for (;;) {
    size_t at = text_find(decoder.rest, '&');

    buf_text(&decoder.out, text_sub(decoder.rest, 0, at));
    if (at == decoder.rest.len)
      break;
    decoder.rest = text_sub(decoder.rest, at + 1, SIZE_MAX);
    if (decoder.rest.len > 0 && decoder.rest.at[0] == '#') {
      decoder.rest = text_sub(decoder.rest, 1, SIZE_MAX);
      number_decode(&decoder);
    } else {
      name_decode(&decoder);
    }
  }
  free(decoder.known);
  buf_done(text);
  *text = decoder.out;
}
