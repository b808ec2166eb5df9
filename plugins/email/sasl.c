#include "sasl.h"
#include "common/base64.h"
#include <stdio.h>

enum { BEARER_CLEAR_MAX = SASL_RESPONSE_MAX / 4 * 3 };

/* --- PLAIN -------------------------------------------------------------------------------------------------------- */
static bool plain_ok(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] == '\r' || text.at[i] == '\n' || text.at[i] == '\0')
      return false;
  return true;
}

size_t sasl_plain_write(parley_text user, parley_text password, char *to)
{
  char clear[SASL_CREDENTIALS_MAX + 2];

  if (user.len + password.len > SASL_CREDENTIALS_MAX || !plain_ok(user) || !plain_ok(password))
    return 0;
  clear[0] = '\0';
  memcpy(clear + 1, user.len > 0 ? user.at : "", user.len);
  clear[1 + user.len] = '\0';
  memcpy(clear + 2 + user.len, password.len > 0 ? password.at : "", password.len);
  return base64_of_bytes((parley_bytes){clear, user.len + password.len + 2}, to);
}

bool sasl_plain_read(parley_bytes bytes, parley_text *ret_user, parley_text *ret_password)
{
  const char *first = bytes.len > 0 ? memchr(bytes.at, '\0', bytes.len) : NULL, *end = bytes.at + bytes.len;
  const char *second = first != NULL ? memchr(first + 1, '\0', (size_t)(end - first - 1)) : NULL;

  if (second == NULL || second == first + 1 || second + 1 == end ||
      memchr(second + 1, '\0', (size_t)(end - second - 1)) != NULL)
    return false;
  *ret_user = (parley_text){first + 1, (size_t)(second - first - 1)};
  *ret_password = (parley_text){second + 1, (size_t)(end - second - 1)};
  return true;
}

/* --- Bearer tokens ------------------------------------------------------------------------------------------------ */
/* The user as a saslname (RFC 5801 section 4): "," and "=" are written out. NUL: a character that cannot stand there. */
static const char *saslname_of(const char *c)
{
  return *c == ',' ? "=2C" : *c == '=' ? "=3D" : (unsigned char)*c < ' ' || *c == 0x7f ? NULL : c;
}

static bool text_add(parley_text text, char *to, size_t room, size_t *len)
{
  if (text.len > room - *len)
    return false;
  if (text.len > 0)
    memcpy(to + *len, text.at, text.len);
  *len += text.len;
  return true;
}

static bool bearer_user_add(const struct sasl_bearer *bearer, char *to, size_t room, size_t *len)
{
  for (size_t i = 0; i < bearer->user.len; i++) {
    const char *written = saslname_of(bearer->user.at + i);

    if (written == NULL)
      return false;
    if (!text_add(written == bearer->user.at + i || bearer->xoauth2 ? (parley_text){bearer->user.at + i, 1} : (parley_text){written, 3},
                  to, room, len))
      return false;
  }
  return bearer->user.len > 0;
}

/* RFC 6750 section 2.1: what a bearer token may be made of. */
static bool token_ok(parley_text token)
{
  for (size_t i = 0; i < token.len; i++)
    if (!((token.at[i] >= 'a' && token.at[i] <= 'z') || (token.at[i] >= 'A' && token.at[i] <= 'Z') ||
          (token.at[i] >= '0' && token.at[i] <= '9') || memchr("-._~+/=", token.at[i], 7) != NULL))
      return false;
  return token.len > 0 && token.len <= SASL_TOKEN_MAX;
}

const char *sasl_bearer_name(const struct sasl_bearer *bearer)
{
  return bearer->xoauth2 ? "XOAUTH2" : "OAUTHBEARER";
}

size_t sasl_bearer_write(const struct sasl_bearer *bearer, char *to)
{
  char clear[BEARER_CLEAR_MAX], middle[64 + 256];
  size_t len = 0;
  int middle_len = bearer->xoauth2 ? snprintf(middle, sizeof middle, "\001auth=Bearer ")
                                   : snprintf(middle, sizeof middle, ",\001host=%.*s\001port=%u\001auth=Bearer ",
                                              (int)bearer->host.len, bearer->host.at, (unsigned)bearer->port);

  if (!token_ok(bearer->token) || middle_len < 0 || (size_t)middle_len >= sizeof middle ||
      !text_add(parley_text_of(bearer->xoauth2 ? "user=" : "n,a="), clear, sizeof clear, &len) ||
      !bearer_user_add(bearer, clear, sizeof clear, &len) ||
      !text_add((parley_text){middle, (size_t)middle_len}, clear, sizeof clear, &len) ||
      !text_add(bearer->token, clear, sizeof clear, &len) || !text_add(PARLEY_LIT("\001\001"), clear, sizeof clear, &len))
    return 0;
  return base64_of_bytes((parley_bytes){clear, len}, to);
}
