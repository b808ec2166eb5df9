#include "email.h"
#include "core/base/text.h"
#include <arpa/inet.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_BYTES_MAX 63

/* An address while it is read: `rest` shrinks from its front, `local` and `domain` are built. */
struct email {
  parley_text rest;
  char local[EMAIL_LOCAL_BYTES_MAX * 2]; /* decoded while it was quoted */
  size_t local_len;
  char domain[EMAIL_DOMAIN_BYTES_MAX + 1];
  size_t domain_len;
  const char *why;
};

static bool email_fail(struct email *email, const char *why)
{
  email->why = why;
  return false;
}

static bool byte_is_atext(unsigned char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         (byte != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", byte) != NULL);
}

/* Code points that look like nothing, like a space, or turn the writing around: none of them is meant in an address. */
static bool code_is_hidden(uint32_t code)
{
  static const struct {
    uint32_t from, to;
  } hidden[] = {
      {0x80, 0xa0},     {0xad, 0xad},     {0x61c, 0x61c},   {0x115f, 0x1160}, {0x1680, 0x1680},
      {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000},
      {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0xe0000, 0xe0fff},
  };

  for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
    if (code >= hidden[i].from && code <= hidden[i].to)
      return true;
  return false;
}

/* Takes one character, ASCII or not, over into the local part. */
static bool local_take(struct email *email)
{
  size_t pos = 0;

  if (code_is_hidden(text_utf8_next(email->rest, &pos)))
    return email_fail(email, "it has an invisible character");
  if (email->local_len + pos > EMAIL_LOCAL_BYTES_MAX)
    return email_fail(email, "what stands before the @ is longer than 64 bytes");
  memcpy(email->local + email->local_len, email->rest.at, pos);
  email->local_len += pos;
  email->rest = text_sub(email->rest, pos, SIZE_MAX);
  return true;
}

static bool local_read_quoted(struct email *email) /* rest behind the opening quote */
{
  while (email->rest.len > 0 && email->rest.at[0] != '"') {
    unsigned char byte = (unsigned char)email->rest.at[0];

    if (byte == '\\') {
      email->rest = text_sub(email->rest, 1, SIZE_MAX);
      byte = email->rest.len > 0 ? (unsigned char)email->rest.at[0] : '\0';
      if (byte >= 0x80)
        return email_fail(email, "a backslash stands before what needs none");
    }
    if (byte < 0x20 || byte == 0x7f)
      return email_fail(email, "it has a control character");
    if (!local_take(email))
      return false;
  }
  if (email->rest.len == 0)
    return email_fail(email, "the quoted part has no end");
  email->rest = text_sub(email->rest, 1, SIZE_MAX);
  return true;
}

static bool local_read_plain(struct email *email)
{
  while (email->rest.len > 0 && email->rest.at[0] != '@') {
    unsigned char byte = (unsigned char)email->rest.at[0];
    bool first = email->local_len == 0;

    if (byte == '.' ? first || email->local[email->local_len - 1] == '.' : byte < 0x80 && !byte_is_atext(byte))
      return email_fail(email, byte == '.'   ? "a dot stands at the start, or two in a row, before the @"
                               : byte == '<' ? "give the address alone, without < and >"
                                             : "a character is not allowed before the @");
    if (!local_take(email))
      return false;
  }
  if (email->local_len == 0)
    return email_fail(email, "nothing stands before the @");
  if (email->local[email->local_len - 1] == '.')
    return email_fail(email, "a dot stands right before the @");
  return true;
}

static bool literal_read(struct email *email) /* rest: "[...]" */
{
  parley_text inner = text_sub(email->rest, 1, email->rest.len - 2);
  bool six = inner.len > 5 && text_is_nocase(text_sub(inner, 0, 5), "IPv6:");
  char text[INET6_ADDRSTRLEN], shown[INET6_ADDRSTRLEN];
  unsigned char address[sizeof(struct in6_addr)];
  int family = six ? AF_INET6 : AF_INET;

  if (six)
    inner = text_sub(inner, 5, SIZE_MAX);
  if (email->rest.len < 3 || email->rest.at[email->rest.len - 1] != ']' || inner.len >= sizeof(text))
    return email_fail(email, "the address in [ ] is not one of IPv4 or IPv6:");
  memcpy(text, inner.at, inner.len);
  text[inner.len] = '\0';
  if (inet_pton(family, text, address) != 1 || inet_ntop(family, address, shown, sizeof(shown)) == NULL)
    return email_fail(email, "the address in [ ] is not one of IPv4 or IPv6:");
  email->domain_len = (size_t)snprintf(email->domain, sizeof(email->domain), "[%s%s]", six ? "IPv6:" : "", shown);
  return true;
}

/* One label onto the end of email->domain, in lower case. *ret_number: it is all digits. */
static bool label_take(struct email *email, parley_text label, bool *ret_number)
{
  if (label.len == 0 || label.len > LABEL_BYTES_MAX)
    return email_fail(email, "a part of the domain is empty or longer than 63 bytes");
  if (label.at[0] == '-' || label.at[label.len - 1] == '-')
    return email_fail(email, "a part of the domain starts or ends with a hyphen");
  *ret_number = true;
  for (size_t i = 0; i < label.len; i++) {
    char byte = label.at[i];
    bool digit = byte >= '0' && byte <= '9';

    byte = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    if (!digit && byte != '-' && (byte < 'a' || byte > 'z'))
      return email_fail(email, "the domain has a character that no domain may have");
    *ret_number = *ret_number && digit;
    email->domain[email->domain_len++] = byte;
  }
  return true;
}

static bool domain_take(struct email *email, parley_text domain)
{
  bool number = false;

  if (domain.len == 0)
    return email_fail(email, "nothing stands behind the @");
  if (domain.len > EMAIL_DOMAIN_BYTES_MAX)
    return email_fail(email, "the domain is longer than 253 bytes");
  for (size_t from = 0; from <= domain.len;) {
    parley_text rest = text_sub(domain, from, SIZE_MAX);
    size_t len = text_find(rest, '.');

    if (from > 0)
      email->domain[email->domain_len++] = '.';
    if (!label_take(email, text_sub(rest, 0, len), &number))
      return false;
    from += len + 1;
  }
  return !number || email_fail(email, "the domain ends with a number");
}

static bool domain_is_plain(parley_text domain) /* nothing for IDNA to do */
{
  for (size_t i = 0; i < domain.len; i++) {
    if ((unsigned char)domain.at[i] >= 0x80)
      return false;
    if ((i == 0 || domain.at[i - 1] == '.') && text_is_nocase(text_sub(domain, i, 4), "xn--"))
      return false;
  }
  return true;
}

static bool domain_read(struct email *email)
{
  char *ascii = NULL, *domain;
  int result;
  bool good;

  if (email->rest.len > 0 && email->rest.at[0] == '[')
    return literal_read(email);
  if (domain_is_plain(email->rest))
    return domain_take(email, email->rest);
  domain = strndup(email->rest.at, email->rest.len);
  if (domain == NULL)
    return email_fail(email, "the domain is no name by IDNA 2008");
  result = idn2_to_ascii_8z(domain, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
  free(domain);
  if (result != IDN2_OK)
    return email_fail(email, "the domain is no name by IDNA 2008");
  good = domain_take(email, parley_text_of(ascii));
  idn2_free(ascii);
  return good;
}

static bool local_needs_quotes(const struct email *email)
{
  for (size_t i = 0; i < email->local_len; i++) {
    unsigned char byte = (unsigned char)email->local[i];

    if (byte == '.' ? i == 0 || i + 1 == email->local_len || email->local[i - 1] == '.'
                    : byte < 0x80 && !byte_is_atext(byte))
      return true;
  }
  return email->local_len == 0;
}

static bool email_build(struct email *email, struct arena *arena, parley_text *ret)
{
  char whole[2 + 2 * EMAIL_LOCAL_BYTES_MAX + 1 + EMAIL_DOMAIN_BYTES_MAX + 1];
  bool quotes = local_needs_quotes(email);
  size_t len = 0;

  if (quotes)
    whole[len++] = '"';
  for (size_t i = 0; i < email->local_len; i++) {
    if (email->local[i] == '"' || email->local[i] == '\\')
      whole[len++] = '\\';
    whole[len++] = email->local[i];
  }
  if (quotes)
    whole[len++] = '"';
  if (len > EMAIL_LOCAL_BYTES_MAX)
    return email_fail(email, "what stands before the @ is longer than 64 bytes");
  whole[len++] = '@';
  memcpy(whole + len, email->domain, email->domain_len);
  len += email->domain_len;
  if (len > EMAIL_BYTES_MAX)
    return email_fail(email, "it is longer than 254 bytes");
  *ret = arena_text(arena, (parley_text){whole, len});
  return true;
}

static bool email_read(struct email *email)
{
  bool quoted = email->rest.len > 0 && email->rest.at[0] == '"';

  if (quoted)
    email->rest = text_sub(email->rest, 1, SIZE_MAX);
  if (!(quoted ? local_read_quoted(email) : local_read_plain(email)))
    return false;
  if (email->rest.len == 0 || email->rest.at[0] != '@')
    return email_fail(email, quoted ? "an @ must follow the closing quote" : "it has no @");
  email->rest = text_sub(email->rest, 1, SIZE_MAX);
  return domain_read(email);
}

bool email_normalise(parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why)
{
  struct email email = {.rest = text_trim(raw), .why = ""};
  bool good;

  if (email.rest.len > EMAIL_RAW_BYTES_MAX)
    good = email_fail(&email, "it is longer than 254 bytes");
  else if (!text_utf8_ok(email.rest))
    good = email_fail(&email, "it is not UTF-8");
  else
    good = email_read(&email) && email_build(&email, arena, ret);
  if (!good)
    *reterr_why = email.why;
  return good;
}

size_t email_at(parley_text email)
{
  for (size_t at = email.len; at > 0; at--) /* the last one: a quoted local part may have its own */
    if (email.at[at - 1] == '@')
      return at - 1;
  return email.len;
}
