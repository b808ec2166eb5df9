#include "smtp_login.h"
#include "common/base64.h"
#include <openssl/crypto.h>
#include <stdlib.h>

static void secret_free(char **at, size_t *len)
{
  if (*at != NULL)
    OPENSSL_cleanse(*at, *len);
  free(*at);
  *at = NULL;
  *len = 0;
}

const char *smtp_login_challenge(const struct smtp_login *login)
{
  switch (login->step) {
  case SMTP_LOGIN_USER: return "VXNlcm5hbWU6";     /* Username: */
  case SMTP_LOGIN_PASSWORD: return "UGFzc3dvcmQ6"; /* Password: */
  case SMTP_LOGIN_PLAIN:
  case SMTP_LOGIN_NONE: break;
  }
  return "";
}

enum smtp_login_said smtp_login_line(struct smtp_login *login, parley_text line, size_t line_max, parley_text *ret_user,
                                     parley_text *ret_password)
{
  if (parley_text_is(line, "*"))
    return SMTP_LOGIN_GIVEN_UP;
  secret_free(&login->bytes, &login->bytes_len);
  login->bytes = line.len <= line_max ? malloc(line.len / 4 * 3 + 1) : NULL;
  if (login->bytes == NULL || !base64_to_bytes(line, login->bytes, &login->bytes_len))
    return SMTP_LOGIN_NO_BASE64;
  switch (login->step) {
  case SMTP_LOGIN_PLAIN:
    return sasl_plain_read((parley_bytes){login->bytes, login->bytes_len}, ret_user, ret_password) ? SMTP_LOGIN_WHOLE
                                                                                                   : SMTP_LOGIN_NO_PLAIN;
  case SMTP_LOGIN_USER:
    login->user = login->bytes;
    login->user_len = login->bytes_len;
    login->bytes = NULL;
    login->bytes_len = 0;
    login->step = SMTP_LOGIN_PASSWORD;
    return SMTP_LOGIN_ASKS;
  case SMTP_LOGIN_PASSWORD:
    *ret_user = (parley_text){login->user, login->user_len};
    *ret_password = (parley_text){login->bytes, login->bytes_len};
    return SMTP_LOGIN_WHOLE;
  case SMTP_LOGIN_NONE: break;
  }
  return SMTP_LOGIN_NO_PLAIN;
}

void smtp_login_end(struct smtp_login *login)
{
  secret_free(&login->user, &login->user_len);
  secret_free(&login->bytes, &login->bytes_len);
  login->step = SMTP_LOGIN_NONE;
}
