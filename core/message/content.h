/* content.h - what a message says, whatever the channel: subject, text, html, media, buttons, location, and overrides for
 * one channel kind or channel. Values only. Everything lives in the arena it was read into. Thread: any. */
#ifndef CORE_MESSAGE_CONTENT_H
#define CORE_MESSAGE_CONTENT_H
#include "core/base/id.h"
#include "json.h"

#define CONTENT_SUBJECT_BYTES_MAX 998 /* RFC 5322 section 2.1.1 */
#define CONTENT_INLINE_BYTES_MAX ((size_t)1 << 20) /* text and html together; more is 413 content_too_large */
#define CONTENT_MEDIA_MAX 32
#define CONTENT_BUTTONS_MAX 10
#define CONTENT_LABEL_BYTES_MAX 256
#define CONTENT_OVERRIDES_MAX 16
#define CONTENT_CAPTION_BYTES_MAX 4096
#define CONTENT_HEADERS_MAX 20
#define CONTENT_HEADER_BYTES_MAX 900 /* of one header's value */
#define CONTENT_CLIPPED_BYTES ((size_t)102 << 10) /* Gmail shows so much of a mail's html, and a link to the rest */
#define CONTENT_NAME_BYTES_MAX 255 /* of a file, a type, a place, a button's id, a channel */

struct content_media {
  id64 id;          /* med_... of POST /v1/media; else url: */
  parley_text url;  /* https, fetched by the provider, never by us */
  parley_text type, name, caption;
  bool inline_cid;  /* shown within the html as cid:name */
  uint64_t total_bytes; /* 0: not known; whoever has looked the id up fills it in, and an empty type, before the fit */
};
struct content_button {
  uint32_t action; /* PARLEY_BUTTON_* */
  parley_text id, label, target;
};
struct content_header { parley_text name, value; }; /* of a mail; what may be one says mail_header.h */
struct content { /* a member that was not given: NULL inside; one that was given empty is not NULL, and wins as an override */
  parley_text subject, text, html;
  size_t n_media, n_buttons, n_overrides;
  struct content_media *media;
  struct content_button *buttons;
  bool has_location;
  double latitude, longitude;
  parley_text location_name, location_address;
  size_t n_headers; /* in an override alone */
  struct content_header *headers;
  struct content_override { parley_text name; struct content *content; } *overrides; /* "sms", or a channel's name */
};

/* Within text and html, and as the whole url of a button: filled in for each recipient when the message is handed over. */
#define CONTENT_UNSUBSCRIBE_NAME "{{unsubscribe_url}}" /* of what nobody unsubscribes from: as the other */
#define CONTENT_PREFERENCES_NAME "{{preferences_url}}"

/* JSON: {"text","html","subject","media":[{"id"|"url","type","name","caption","inline"}],
 * "buttons":[{"label","id"|"url"|"phone"}] (a label alone is its own id),
 * "location":{"latitude","longitude","name","address"},"channels":{NAME:{...the same, no further channels}}}.
 * An override may have "headers":{"X-Campaign":"spring"} as well, for mails.
 * At least one of text, html (blanks do not count), media, location, or an override with one: else empty_content. Subject: no
 * control characters (header_injection). A file's name is cut to what stands behind the last slash. Texts point into the
 * json_t: keep it with the arena. false: problems say why (content_too_large is a 413, the rest 422). */
bool content_read(const struct json_in *in, struct content *ret);
/* The content for one channel: the override by channel name, else by channel kind, laid over the rest member by member. */
struct content content_for(const struct content *content, parley_text channel, const char *channel_kind);
/* Back to JSON, as it is shown in API and feed. text_bytes_max cuts text and html at whole code points (0: no cut). */
void buf_content_headers(struct buf *buf, const struct content *content); /* {"X-Campaign":"spring"} */
void buf_content(struct buf *buf, const struct content *content, size_t text_bytes_max);
#endif
