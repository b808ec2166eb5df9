/* fit.h - fits content to what a channel can carry: splits text, strips what it lacks, turns buttons into numbered text,
 * HTML into text, location into a map link. Pure. Everything it makes lives in the arena. Thread: any. */
#ifndef CORE_MESSAGE_FIT_H
#define CORE_MESSAGE_FIT_H
#include "content.h"

#define FIT_PARTS_MAX 64
#define FIT_DEGRADED_MAX 16

struct fitted {
  parley_text subject;
  size_t n_parts, n_degraded;
  const parley_part *const *parts;
  const char *degraded[FIT_DEGRADED_MAX]; /* stable words: html_to_text, text_split, buttons_to_text, subject_to_text,
                                             subject_cut, media_to_link, media_dropped, location_to_text ... */
};
/* caps: of the channel. media_url: makes the link for a med_ id (arena text), for channels that need a URL; NULL: none. */
typedef parley_text fit_media_url(id64 media, struct arena *arena, void *arg);
/* PARLEY_OK, or PARLEY_REJECTED when something must not be degraded or nothing is left; then *reterr_code is a stable word. */
parley_status fit_content(const struct content *content, const parley_capabilities *caps, struct arena *arena,
                          fit_media_url *media_url, void *arg, struct fitted *ret, const char **reterr_code);
/* Readable text of HTML: paragraphs, lists, links as "label (url)"; scripts, styles and comments are dropped. Bounded by
 * CONTENT_INLINE_BYTES_MAX and depth HTML_DEPTH_MAX. */
#define HTML_DEPTH_MAX 256
parley_text html_to_text(parley_text html, struct arena *arena);
#endif
