/* fit.h - fits content to what a channel can carry: splits text, strips what it lacks, turns buttons into numbered text,
 * HTML into text, location into a map link. Pure. Everything it makes lives in the arena. Thread: any. */
#ifndef CORE_MESSAGE_FIT_H
#define CORE_MESSAGE_FIT_H
#include "content.h"

/* Of one message. The store keeps one bit for each part and fact. 3GPP TS 23.040 would allow an SMS of 255 segments; no network
 * is known to carry that many, and providers stop at ten or so. A channel says what it carries in its TEXT's count_max. */
#define FIT_PARTS_MAX 64
#define FIT_DEGRADED_MAX 16

struct fitted {
  parley_text subject;
  size_t n_parts, n_degraded;
  const parley_part *const *parts;
  const char *degraded[FIT_DEGRADED_MAX]; /* stable words, each once: html_to_text text_split text_simplified text_dropped html_dropped
                                             html_clipped subject_to_text subject_cut subject_dropped buttons_to_text buttons_dropped
                                             media_to_link media_dropped caption_to_text location_to_text location_dropped */
};
/* Parts stand in this order: TEXT (one, or several that follow each other), HTML, MEDIA, LOCATION, BUTTONS. TEXT and HTML of
 * one message say the same; where the channel takes both and no text was given, it is made of the html. What falls back into
 * text is put behind it, a blank line between, and into the html too. A text too long for all its parts is refused, never cut
 * short. caps: of the channel; what it does not list is FALLBACK.
 * media_url: makes the link for a med_ id (arena text), for channels that need a URL; NULL: none. */
typedef parley_text fit_media_url(id64 media, struct arena *arena, void *arg);
/* PARLEY_OK, or PARLEY_REJECTED when something must not be degraded or nothing is left; then *reterr_code is a stable word:
 * text_too_long, nothing_left, or text_, html_, subject_, media_, buttons_, location_not_supported. */
parley_status fit_content(const struct content *content, const parley_capabilities *caps, struct arena *arena,
                          fit_media_url *media_url, void *arg, struct fitted *ret, const char **reterr_code);
/* Readable text of HTML: paragraphs, lists, a table's row as a line, links as "label (url)"; scripts, styles and comments are
 * dropped. Linear, whatever the nesting; what stands beyond CONTENT_INLINE_BYTES_MAX is not read. */
parley_text html_to_text(parley_text html, struct arena *arena);
#endif
