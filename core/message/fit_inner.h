/* fit_inner.h - what fit.c (subject, text, html) and fit_extra.c (media, location, buttons) share. For those two alone. */
#ifndef CORE_MESSAGE_FIT_INNER_H
#define CORE_MESSAGE_FIT_INNER_H
#include "fit.h"
#include "fit_text.h"

#define FIT_TEXT_BYTES_MAX (4 * CONTENT_INLINE_BYTES_MAX) /* of what is put together */

/* One content on its way into parts. */
struct fit {
  const struct content *content;
  const parley_capabilities *caps;
  struct arena *arena;
  fit_media_url *media_url;
  void *arg;
  struct fitted *out;
  const parley_part **parts;
  const char *code;           /* why it is refused; NULL: it is not */
  struct buf tail, html_tail; /* what falls back into text, and the same as html */
  bool html_carried;          /* an HTML part goes out */
};

/* Always false, so that a step can return it. */
bool fit_refuse(struct fit *fit, const char *code);
void fit_degrade(struct fit *fit, const char *word);
parley_part *fit_part_add(struct fit *fit, uint32_t kind); /* NULL when there is room for no more */
const parley_feature *fit_feature(const struct fit *fit, uint32_t what); /* the first entry, or NULL */
uint32_t fit_level(const parley_feature *feature);                       /* of NULL: FALLBACK */
bool fit_within(const parley_feature *feature, parley_text text);        /* its alphabet and its length */
void buf_html_text(struct buf *buf, parley_text text);                   /* escaped */

/* Media, location and buttons: into parts, or into the tails. false: refused. */
bool fit_extra(struct fit *fit);
#endif
