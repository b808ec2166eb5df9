/* smtp_login.h - the steps of one AUTH as a server takes them: PLAIN in one line, LOGIN in two. Owns user and password until
 * smtp_login_end(), which writes over them. Thread: loop. */
#ifndef EMAIL_SMTP_LOGIN_H
#define EMAIL_SMTP_LOGIN_H
#include "sasl.h"

enum smtp_login_step { SMTP_LOGIN_NONE, SMTP_LOGIN_PLAIN, SMTP_LOGIN_USER, SMTP_LOGIN_PASSWORD };
struct smtp_login { /* starts zeroed */
  enum smtp_login_step step;
  char *user, *bytes; /* bytes: of the newest line */
  size_t user_len, bytes_len;
};
enum smtp_login_said { SMTP_LOGIN_WHOLE, SMTP_LOGIN_ASKS /* for the next line */, SMTP_LOGIN_GIVEN_UP, SMTP_LOGIN_NO_BASE64,
                       SMTP_LOGIN_NO_PLAIN };
/* What the server asks for, as 334 carries it. */
const char *smtp_login_challenge(const struct smtp_login *login);
/* line: at most line_max bytes, else no base64. SMTP_LOGIN_WHOLE: user and password are there, until smtp_login_end(). */
enum smtp_login_said smtp_login_line(struct smtp_login *login, parley_text line, size_t line_max, parley_text *ret_user,
                                     parley_text *ret_password);
void smtp_login_end(struct smtp_login *login);
#endif
