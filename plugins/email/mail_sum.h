/* mail_sum.h - the name that bytes have by themselves: SHA-256 of pieces one behind the other, in hexadecimal digits. Ends the program
 * when memory has ended, as GLib does. Thread: any. */
#ifndef EMAIL_MAIL_SUM_H
#define EMAIL_MAIL_SUM_H
#include <parley/plugin.h>

enum { MAIL_SUM_HEX = 64 };
/* to: MAIL_SUM_HEX + 1 bytes. */
void mail_sum(const parley_bytes *pieces, size_t n, char *to);
#endif
