/* mail_quote.h - what somebody wrote, apart from the history that their mail program put beneath it and from their signature.
 * Careful rather than clever: answers written between the lines of the quotation leave the text as it is, and where nothing would be
 * left, everything is taken as written. Pure; linear in the text's length. Thread: any. */
#ifndef EMAIL_MAIL_QUOTE_H
#define EMAIL_MAIL_QUOTE_H
#include <parley/plugin.h>

/* text: lines ended by LF. The written part is [ret_begin, ret_end) of it; what stands before and behind it is quoted. */
void mail_quote_text(parley_text text, size_t *ret_begin, size_t *ret_end);
/* How many bytes of the HTML stand before the history; all of it when none is found. */
size_t mail_quote_html(parley_text html);
#endif
