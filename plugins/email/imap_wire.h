/* imap_wire.h - IMAP (RFC 3501, 9051) as bytes, no sockets: the server's responses in, whole and with their literals; commands out.
 * Owns no memory: what a response shows is borrowed from its bytes. Thread: any. Units: bytes.
 * Strict: a line ends with CRLF and holds neither NUL nor a bare CR or LF; what is longer than asked for is no IMAP. A command leaves
 * through imap_put() and imap_put_quoted() only, which refuse CR, LF and NUL, so that no value can become a second command. */
#ifndef EMAIL_IMAP_WIRE_H
#define EMAIL_IMAP_WIRE_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  IMAP_PIECE_MAX = 256 << 10,    /* of a mail, asked for at once */
  IMAP_RESPONSE_MAX = 512 << 10, /* of one response with its literals */
  IMAP_LITERALS_MAX = 32,        /* of one response */
  IMAP_DEPTH_MAX = 16,           /* lists within each other, of what is skipped */
  IMAP_COMMAND_MAX = 16384,
  IMAP_WORDS_MAX = 300, /* of a server's words that are kept for people */
  IMAP_NAME_MAX = 1000  /* of a mailbox's name, encoded */
};

/* --- Responses ---------------------------------------------------------------------------------------------------- */
enum imap_measured { IMAP_MEASURED_NOTHING /* not whole yet */, IMAP_MEASURED_WHOLE, IMAP_MEASURED_BROKEN };
/* How long the response at the front of bytes is. Costs a scan of its lines, not of its literals. */
enum imap_measured imap_measure(parley_bytes bytes, size_t *ret_len);

enum imap_kind {
  IMAP_CONTINUE = 1, /* + words */
  IMAP_OK,           /* with a tag, or without: tag 0 */
  IMAP_NO,
  IMAP_BAD,
  IMAP_PREAUTH,
  IMAP_BYE,
  IMAP_CAPABILITY, /* rest: names */
  IMAP_SEARCH,     /* rest: numbers */
  IMAP_EXISTS,     /* number */
  IMAP_FETCH,      /* rest: imap_fetch_read() */
  IMAP_OTHER       /* something else that may be ignored */
};
struct imap_response {
  enum imap_kind kind;
  uint32_t tag;    /* of OK, NO and BAD: ours ("P<n>"); 0: untagged */
  uint32_t number;
  parley_text code; /* "UIDVALIDITY 17": within the brackets of OK, NO, BAD, BYE, PREAUTH; empty: none */
  parley_text rest; /* the words, or what is noted above */
};
/* whole: what imap_measure() found. false: no IMAP. */
bool imap_response_read(parley_bytes whole, struct imap_response *ret);
/* "UIDNEXT 44" has the word "UIDNEXT"; *ret_number: what stands behind it, 0: no number. */
bool imap_code_is(parley_text code, const char *word, uint32_t *ret_number);
/* The server's words for a person: printable ASCII, cut. */
void imap_words(parley_text rest, char words[IMAP_WORDS_MAX + 1]);
/* The next number of a SEARCH; false: there is none, and *rest is empty unless it is no list of numbers. */
bool imap_number_next(parley_text *rest, uint32_t *ret);

struct imap_offers {
  bool imap4, starttls, idle, move, uidplus, sasl_ir, login_disabled, auth_plain, auth_xoauth2, auth_oauthbearer;
};
void imap_offers_read(parley_text names, struct imap_offers *ret);

struct imap_fetch {
  uint32_t uid;     /* 0: not said */
  uint64_t size;    /* RFC822.SIZE; 0: not said */
  int64_t at_ms;    /* INTERNALDATE; 0: not said, or none that can be */
  bool has_body, body_nil;
  uint32_t origin;  /* of body within the mail */
  parley_bytes body;
};
bool imap_fetch_read(parley_text rest, struct imap_fetch *ret);

/* --- Commands ----------------------------------------------------------------------------------------------------- */
struct imap_command { /* starts zeroed */
  size_t len;
  bool bad; /* a value was refused: it may not be sent */
  char at[IMAP_COMMAND_MAX];
};
void imap_put(struct imap_command *out, parley_text text);
void imap_put_word(struct imap_command *out, const char *word);
void imap_put_number(struct imap_command *out, uint64_t number);
void imap_put_quoted(struct imap_command *out, parley_text text);  /* ASCII only: anything else is bad */
void imap_put_mailbox(struct imap_command *out, parley_text name); /* UTF-8, becomes modified UTF-7 (RFC 3501 section 5.1.3) */
void imap_put_set(struct imap_command *out, const uint32_t *uids, uint32_t n); /* ascending: "3:5,9" */
void imap_put_date(struct imap_command *out, int64_t at_ms);       /* "17-Jul-2026", UTC */
void imap_put_end(struct imap_command *out);                       /* CRLF; the only way to one */
#endif
