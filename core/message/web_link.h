/* web_link.h - the links to pages of ours that strangers open, and what their tokens name: <public_url>/u/ unsubscribe, /p/
 * preferences, /d/ confirm (double opt-in), /c/ click, /o/ open. Pure. Thread: any. Who has the link may do what it says: it is
 * as good as the mailbox that it was sent to. Only a confirm link expires, and its reader looks at that. */
#ifndef CORE_MESSAGE_WEB_LINK_H
#define CORE_MESSAGE_WEB_LINK_H
#include "token.h"

#define WEB_TOPIC_BYTES_MAX 64 /* a topic's name */

struct web_unsubscribe { id64 customer, identity, message; parley_text kind, topic; }; /* identity 0: of nobody; kind: of channels */
struct web_preferences { id64 customer, identity; };
struct web_confirm { id64 customer, asked; int64_t expires_ms; parley_text kind, topic; }; /* asked: seq of the event that says how */
enum web_where { WEB_IN_TEXT = 1, WEB_IN_HTML, WEB_IN_BUTTON };
struct web_place { id64 message; uint32_t step /* of its plan */, nth /* from 0 */; enum web_where where; };

/* The unit of consent that a link can name: email sms chat push voice webhook, and *. */
bool web_kind_ok(parley_text kind);

/* secret: the store's, SHA256_BYTES. Each appends the whole link. kind is one of web_kind_ok(), the topic has at most
 * WEB_TOPIC_BYTES_MAX bytes, step and nth are below 256 and 65,536: the caller's promise. */
void buf_unsubscribe_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_unsubscribe *what);
void buf_preferences_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_preferences *what);
void buf_confirm_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_confirm *what);
void buf_click_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_place *what);
void buf_open_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_place *what);

/* False: not made by us, or of another kind. Texts lie in the payload, which the caller keeps. */
bool web_unsubscribe_read(const uint8_t *secret, parley_text token, struct token_payload *payload, struct web_unsubscribe *ret);
bool web_preferences_read(const uint8_t *secret, parley_text token, struct web_preferences *ret);
bool web_confirm_read(const uint8_t *secret, parley_text token, struct token_payload *payload, struct web_confirm *ret);
bool web_click_read(const uint8_t *secret, parley_text token, struct web_place *ret);
bool web_open_read(const uint8_t *secret, parley_text token, struct web_place *ret);
#endif
