/* email_handin.h - a mail that our own software hands in by SMTP, as messages of ours: the fields of POST /v1/messages, one message for
 * each recipient of the envelope, through ext/submit.h. Text, HTML and files are kept, quoted text as well: it is what was written.
 * Idempotent by recipient and Message-ID; without that by all bytes, if there is a Date among them. Owns what is under way.
 * Thread: loop. */
#ifndef EMAIL_EMAIL_HANDIN_H
#define EMAIL_EMAIL_HANDIN_H
#include "mail_parse.h"
#include <parley/ext/media.h>
#include <parley/ext/submit.h>

struct email_handin_mail { /* borrowed for the call, but raw: made by malloc, freed here */
  parley_text key, topic; /* the API key that logged in; the topic where the key has none */
  parley_text return_path;
  const parley_text *recipients;
  uint32_t n_recipients;
  char *raw;
  size_t len;
};
/* each: a verdict for each recipient, in their order; reason: of the first that is not OK. Once; within the call when it is refused
 * at once. */
typedef void email_handed(const parley_status *each, uint32_t n, parley_text reason, void *arg);
/* media may be NULL: files are then refused. */
void email_handin(const parley_host *host, const parley_submit *submit, const parley_media *media,
                  const struct email_handin_mail *mail, email_handed *done, void *arg);
#endif
