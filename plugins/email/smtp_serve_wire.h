/* smtp_serve_wire.h - the receiving side of SMTP as bytes: one command line into a verb and its argument, paths with their
 * parameters. Owns nothing: texts are borrowed from the line. Pure. Thread: any. */
#ifndef EMAIL_SMTP_SERVE_WIRE_H
#define EMAIL_SMTP_SERVE_WIRE_H
#include "mail_address.h"

enum smtp_verb { SMTP_VERB_NONE, SMTP_VERB_EHLO, SMTP_VERB_HELO, SMTP_VERB_LHLO, SMTP_VERB_STARTTLS, SMTP_VERB_AUTH, SMTP_VERB_MAIL,
                 SMTP_VERB_RCPT, SMTP_VERB_DATA, SMTP_VERB_BDAT, SMTP_VERB_RSET, SMTP_VERB_NOOP, SMTP_VERB_HELP, SMTP_VERB_VRFY,
                 SMTP_VERB_EXPN, SMTP_VERB_QUIT };
/* line: without its CRLF. SMTP_VERB_NONE: none we know. */
enum smtp_verb smtp_verb_read(parley_text line, parley_text *ret_argument);

struct smtp_path {
  parley_text text;   /* between the brackets, without a source route; empty: null */
  parley_text params; /* behind it, without leading spaces */
};
/* "FROM:<a@b> SIZE=1"; word: "FROM:" or "TO:". */
bool smtp_path_read(parley_text argument, const char *word, struct smtp_path *ret);

struct smtp_mail_params {
  uint64_t size; /* 0: not said */
  bool smtputf8, eightbit;
};
/* false: one that is not known, or whose value cannot be. */
bool smtp_mail_params_read(parley_text params, struct smtp_mail_params *ret);

/* "1000 LAST" */
bool smtp_bdat_read(parley_text argument, uint64_t *ret_size, bool *ret_last);

/* Up to the next space; the rest without the spaces between. */
parley_text smtp_word_cut(parley_text *rest);
#endif
