/* mail_body.h - the parts of a parsed mail: the text and HTML to show, and files. Private to mail_parse.c. */
#ifndef EMAIL_MAIL_BODY_H
#define EMAIL_MAIL_BODY_H
#include "mail_parse.h"

/* Fills text, quoted, html, html_fresh, files, n_files, report, limited, ambiguous. mail->message and mail->memory are set. */
void mail_body_read(struct mail_in *mail);
/* The mail is not to be taken apart: it becomes one file. */
void mail_body_whole(struct mail_in *mail, parley_bytes raw);
#endif
