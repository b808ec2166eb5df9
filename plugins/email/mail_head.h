/* mail_head.h - inside mail_compose: the headers of a mail in the making. Every value goes through two functions here, which refuse
 * control characters. Thread: any. */
#ifndef EMAIL_MAIL_HEAD_H
#define EMAIL_MAIL_HEAD_H
#include "mail_compose.h"
#include <gmime/gmime.h>

enum { MAIL_ID_TOKEN_MAX = 40 /* bytes of the message's id within boundaries and Message-ID */ };
struct draft { /* one mail in the making */
  const struct mail_source *source;
  GMimeMessage *mail;
  GByteArray *media; /* n_parts views of what is lent: nothing of it is copied */
  uint32_t n_boundaries;
  const char *why; /* set: it failed */
  char token[MAIL_ID_TOKEN_MAX + 1];
};
/* All headers but those of its parts. false: why says which could not be. */
bool mail_head_add(struct draft *draft, const char *id);
/* A value as words, encoded (RFC 2047) and folded as need be. */
bool mail_header_add(struct draft *draft, GMimeObject *object, const char *name, parley_text value);
/* The message's id as letters, digits, "-" and "_"; to: MAIL_ID_TOKEN_MAX + 1 bytes. */
void mail_token_write(parley_text id, char *to);
bool mail_has_eightbit(const char *at, size_t len);
#endif
