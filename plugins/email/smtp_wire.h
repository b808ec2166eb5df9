/* smtp_wire.h - SMTP (RFC 5321) as bytes, no sockets: replies in; commands out; what EHLO offers; line ends and dots of a mail.
 * Owns no memory: every struct is the caller's, every text is borrowed for the call. Thread: any. Units: bytes.
 * A command leaves through smtp_put() only, which refuses CR, LF and NUL, so that no value can become a second command. */
#ifndef EMAIL_SMTP_WIRE_H
#define EMAIL_SMTP_WIRE_H
#include "sasl.h"

enum {
  SMTP_REPLY_LINE_MAX = 4096, /* bytes of one reply line, its end included; RFC 5321 asks for 512 */
  SMTP_REPLY_LINES_MAX = 100, /* lines of one reply */
  SMTP_REPLY_TEXT_MAX = 400,  /* bytes of a reply's words that are kept for people */
  SMTP_COMMANDS_MAX = 4096,   /* bytes of the commands that leave together */
  SMTP_COMMAND_LINE_MAX = 2048,
  SMTP_STUFF_ROOM_MIN = 8, /* smtp_stuff() makes headway with so much room */
  SMTP_BEARER_LINE_MAX = 12288 /* RFC 4954 section 4: of an AUTH line, its end included */
};

/* --- Replies ------------------------------------------------------------------------------------------------------ */
struct smtp_enhanced { /* RFC 3463: 5.1.1; digit 0: the reply had none */
  uint32_t digit, subject, detail;
};
struct smtp_reply {
  uint32_t code; /* 200 to 559 */
  uint32_t n_lines;
  struct smtp_enhanced enhanced;           /* of the first line that has one whose digit fits the code */
  size_t text_len;                         /* the words of all lines, joined by a space, printable ASCII */
  char text[SMTP_REPLY_TEXT_MAX + 1];
};
enum smtp_parsed {
  SMTP_PARSED_NOTHING, /* no whole line yet: come again with more */
  SMTP_PARSED_LINE,    /* one line of a reply that goes on */
  SMTP_PARSED_REPLY,   /* the last line: `reply` is whole */
  SMTP_PARSED_BROKEN   /* no SMTP: too long, too many lines, no code, codes that differ */
};
struct smtp_parser { /* starts zeroed */
  struct smtp_reply reply;
  parley_text line; /* the words of the line just read, as they came; borrowed from the bytes */
  bool open;        /* within a reply of several lines */
};
/* Reads one line off the front of bytes; *ret_used is its length, 0 for SMTP_PARSED_NOTHING. */
enum smtp_parsed smtp_parse(struct smtp_parser *parser, parley_bytes bytes, size_t *ret_used);

/* --- What the server offers --------------------------------------------------------------------------------------- */
struct smtp_offers {
  bool pipelining, starttls, eightbit, smtputf8, size, enhanced, chunking;
  bool auth_plain, auth_login, auth_xoauth2, auth_oauthbearer;
  uint64_t size_max; /* bytes of a mail; 0: no limit was named */
};
/* One line of the answer to EHLO behind its first one. */
void smtp_offers_line(struct smtp_offers *offers, parley_text line);

/* --- Commands ----------------------------------------------------------------------------------------------------- */
struct smtp_commands { /* starts zeroed; whole commands, each with its CRLF */
  size_t len;
  bool bad; /* one was refused: none of them may be sent */
  char at[SMTP_COMMANDS_MAX];
};
/* The only way to a command: the pieces and a CRLF, or nothing and `bad`. */
void smtp_put(struct smtp_commands *out, const parley_text *pieces, size_t n_pieces);
void smtp_put_word(struct smtp_commands *out, const char *verb, parley_text argument); /* argument may be empty */
struct smtp_mail_flags {
  uint64_t size; /* bytes of the mail; 0: not said */
  bool eightbit, smtputf8;
};
void smtp_put_mail(struct smtp_commands *out, parley_text from, const struct smtp_mail_flags *flags);
void smtp_put_rcpt(struct smtp_commands *out, parley_text to);
void smtp_put_auth_plain(struct smtp_commands *out, parley_text user, parley_text password);
void smtp_put_base64(struct smtp_commands *out, parley_text text); /* the steps of AUTH LOGIN */
/* "AUTH XOAUTH2 ..." or "AUTH OAUTHBEARER ..." with its CRLF; out: SMTP_BEARER_LINE_MAX + 1 bytes. 0: user or token cannot stand
 * there. */
size_t smtp_bearer_write(const struct sasl_bearer *bearer, char *out);

/* --- The mail ----------------------------------------------------------------------------------------------------- */
/* Makes every CRLF, CR or LF one CRLF and doubles the dot at the start of a line, piece by piece. Starts zeroed. */
struct smtp_stuffer {
  bool within_line, after_cr;
  bool undotted; /* RFC 3030: its length ends the mail, so no dot is doubled */
};
/* Reads from bytes and writes to out, at most `room` bytes (SMTP_STUFF_ROOM_MIN at least). Returns how much it wrote;
 * *ret_used is how much it read: all of it, unless out is full. */
size_t smtp_stuff(struct smtp_stuffer *stuffer, parley_bytes bytes, char *out, size_t room, size_t *ret_used);
/* Behind the last byte: ends the line if one is open, then the dot unless undotted. Writes at most 5 bytes. */
size_t smtp_stuff_end(struct smtp_stuffer *stuffer, char *out);
/* How many bytes an undotted mail becomes: the size of its one chunk. */
size_t smtp_stuffed_len(parley_bytes mail);
#endif
