/* token.h - what comes back to us from outside and names something of ours: in a reply address, a return path, an unsubscribe or
 * click link. Ids are no secret; a token carries what it names and an HMAC-SHA256 under the store's secret, so that nobody can
 * make one up. Pure. Thread: any.
 *
 * Text: payload and MAC in Crockford base32, lower case, digits and letters only: it survives a mail's local part (RFC 5321 4.5.3.1.1:
 * 64 bytes), a URL and a person; read without regard to case. A token of one kind is none of another. TOKEN_MESSAGE says the most: who
 * has it can report a bounce, so it answers and unsubscribes as well, which mail of before there were kinds for these relies on. */
#ifndef CORE_MESSAGE_TOKEN_H
#define CORE_MESSAGE_TOKEN_H
#include "core/base/digest.h"
#include "core/base/id.h"

#define TOKEN_MAC_BYTES 10     /* 80 bits: guessed once in 2^80 tries, and each try is a request to us */
#define TOKEN_PAYLOAD_MAX 96   /* bytes */
#define TOKEN_TEXT_MAX (((TOKEN_PAYLOAD_MAX + TOKEN_MAC_BYTES) * 8 + 4) / 5)
#define TOKEN_MESSAGE_CHARS 29 /* of message_token(): 8 + 10 bytes */

enum token_kind {
  TOKEN_MESSAGE = 'm',     /* a message of ours, all that can be told of it: parley_message.token; bounce+<it>@, trace headers */
  TOKEN_REPLY = 'r',       /* a message, to answer it: parley_message.reply_token; reply+<it>@ */
  TOKEN_LEAVE = 'x',       /* a message, to unsubscribe from its like: parley_message.unsubscribe_token; unsubscribe+<it>@ */
  TOKEN_UNSUBSCRIBE = 'u', /* who, from which topic on which channel kind */
  TOKEN_CLICK = 'c',       /* a message and the place of a link in it */
  TOKEN_OPEN = 'o',        /* a message */
  TOKEN_CONFIRM = 'd',     /* double opt-in: who, what, until when */
  TOKEN_CAPTURE = 'l',     /* an API key: log+<it>@ files a mail sent elsewhere */
  TOKEN_BRIDGE = 'b',      /* a conversation, in mail to the support mailbox */
  TOKEN_PREFERENCES = 'p', /* a customer */
};
struct token_payload { size_t len; uint8_t at[TOKEN_PAYLOAD_MAX]; };

/* payload: at most TOKEN_PAYLOAD_MAX bytes, the caller's promise. */
void buf_token(struct buf *buf, const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_bytes payload);
/* False: not made by us, or of another kind; *ret is then not to be used. The MAC is compared in constant time. */
bool token_read(const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_text text, struct token_payload *ret);

/* Of one id. */
void buf_id_token(struct buf *buf, const uint8_t secret[SHA256_BYTES], enum token_kind kind, id64 id);
bool id_token_read(const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_text text, id64 *ret);
#endif
