/* mustache_in.h - a template that was read, as steps: for mustache_read.c, which makes them, and mustache_render.c. */
#ifndef CORE_MESSAGE_MUSTACHE_IN_H
#define CORE_MESSAGE_MUSTACHE_IN_H
#include "html_place.h"
#include "mustache.h"

enum step_kind {
  STEP_TEXT,     /* text */
  STEP_VALUE,    /* name */
  STEP_SECTION,  /* name; its body stands up to `end` */
  STEP_INVERTED, /* likewise */
  STEP_PARTIAL,  /* block; text is the blanks before it when it stands alone in its line */
  STEP_LINK,     /* the value of a link begins text.len bytes before here ... */
  STEP_LINK_END, /* ... and ends here: look at its scheme */
};
struct mustache_step {
  uint8_t kind;       /* enum step_kind */
  uint8_t escape;     /* enum html_escape, of a VALUE */
  bool line_start;    /* a line of the template begins here: a partial's blanks go before it */
  bool alone;         /* PARTIAL: alone in its line */
  uint32_t name;      /* index into names, or of the block */
  uint32_t end;       /* SECTION, INVERTED: the step behind its body */
  uint32_t offset;    /* in the source of its block */
  parley_text text;
};
struct mustache_name { /* "a.b.c"; no parts: "." */
  size_t n;
  const char **parts;
  const char *whole;
};
struct mustache_block { /* the template itself, or a partial: steps from first to end */
  parley_text name, source;
  uint32_t first, end;
  bool read;
};
struct mustache {
  struct arena *arena;
  enum mustache_kind kind;
  size_t n_steps, room_steps, n_names, room_names, n_blocks;
  struct mustache_step *steps; /* of the heap, as names are */
  struct mustache_name *names;
  struct mustache_block blocks[MUSTACHE_PARTIALS_MAX + 1];
};
/* Line and column of an offset in a block's source. */
void mustache_error_at(const struct mustache_block *block, size_t offset, struct mustache_error *ret);
#endif
