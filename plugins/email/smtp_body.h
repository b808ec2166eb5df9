/* smtp_body.h - the bytes of one mail as a client sends them, to a server: where it ends, and what of it is kept. By DATA it ends at
 * CRLF.CRLF alone; by BDAT its owner counts. A bare CR or LF, more than mail_max bytes, or no room for them, is noted, and the rest is
 * read without being kept. Owns what it keeps. Thread: loop. */
#ifndef EMAIL_SMTP_BODY_H
#define EMAIL_SMTP_BODY_H
#include <parley/plugin.h>
#include <stdbool.h>

struct smtp_body { /* starts zeroed, but for whom it asks */
  /* It holds so many bytes instead of so many before. False: not so many more just now; fewer are always granted. NULL: granted. */
  bool (*ask)(size_t before, size_t after, void *arg);
  void *ask_arg;
  uint64_t mail_max; /* bytes */
  char *raw;
  size_t len, room;
  bool bare;      /* a line ends by CR or LF alone: no mail for sure */
  bool too_large; /* raw is gone */
  bool no_room;   /* or no memory; raw is gone */
  bool line_begins, lax_begins /* only a lax reader sees a line begin here */; /* of DATA */
  bool after_cr; /* of BDAT */
};
enum smtp_body_end {
  SMTP_BODY_MORE,   /* more bytes are wanted */
  SMTP_BODY_WHOLE,  /* the mail has ended */
  SMTP_BODY_BROKEN  /* a laxer reader would see its end: nothing behind it may be believed */
};
void smtp_body_begin(struct smtp_body *body, uint64_t mail_max);
/* DATA: what came, of which *ret_used bytes are done with. What is not comes again, with more. */
enum smtp_body_end smtp_body_data(struct smtp_body *body, parley_bytes bytes, size_t *ret_used);
/* BDAT: a piece of a chunk; and behind the last chunk. */
void smtp_body_chunk(struct smtp_body *body, parley_bytes bytes);
void smtp_body_chunks_end(struct smtp_body *body);
/* The mail, which becomes the caller's: free() it. NULL: it has no bytes. */
char *smtp_body_take(struct smtp_body *body, size_t *ret_len);
/* Frees what is kept: ready for the next mail. */
void smtp_body_forget(struct smtp_body *body);
#endif
