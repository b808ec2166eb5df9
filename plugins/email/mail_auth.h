/* mail_auth.h - what the mail server in front of us found out about who wrote a mail: its Authentication-Results (RFC 8601). Only the
 * topmost header of the named server is read: it takes away those that came under its name from outside (RFC 8601 5), and writes its
 * own on top. Thread: any. Linear. */
#ifndef EMAIL_MAIL_AUTH_H
#define EMAIL_MAIL_AUTH_H
#include <parley/plugin.h>
#include <stdbool.h>

/* message: GMimeMessage *. true: that server says dmarc=fail, so that anybody may have written the address in From. */
bool mail_auth_failed(void *message, parley_text authserv_id);
/* One header's value; *ret_failed when it is that server's. Pure. */
bool mail_auth_read(parley_text value, parley_text authserv_id, bool *ret_failed);
#endif
