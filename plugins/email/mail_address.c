#include "mail_address.h"
#include <idn2.h>
#include <stdlib.h>

enum { DOMAIN_MAX = 253, LABEL_MAX = 63 };

parley_text mail_address_text(const struct mail_address *address)
{
  return (parley_text){address->text, address->len};
}

parley_text mail_address_domain(const struct mail_address *address)
{
  return (parley_text){address->text + address->domain_at, address->len - address->domain_at};
}

/* --- UTF-8 (RFC 3629) --------------------------------------------------------------------------------------------- */
/* Length of the character at the front, 0 when it is none. */
static size_t utf8_length(const unsigned char *at, size_t len)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  uint32_t point = n == 1 ? at[0] : at[0] & (0x7fu >> n);

  if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4 || n > len)
    return 0;
  for (size_t i = 1; i < n; i++) {
    if ((at[i] & 0xc0) != 0x80)
      return 0;
    point = point << 6 | (at[i] & 0x3fu);
  }
  return point < least[n] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0 : n;
}

bool mail_text_ok(parley_text text)
{
  const unsigned char *at = (const unsigned char *)text.at;

  for (size_t i = 0; i < text.len;) {
    size_t n = utf8_length(at + i, text.len - i);

    if (n == 0 || at[i] < ' ' || at[i] == 0x7f || (n == 2 && at[i] == 0xc2 && at[i + 1] < 0xa0))
      return false;
    i += n;
  }
  return true;
}

/* --- Domain ------------------------------------------------------------------------------------------------------- */
static bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

static bool host_name_ok(const char *at, size_t len)
{
  size_t label = 0;

  if (len == 0 || len > DOMAIN_MAX)
    return false;
  for (size_t i = 0; i <= len; i++) {
    if (i == len || at[i] == '.') {
      if (label == 0 || label > LABEL_MAX || at[i - 1] == '-' || at[i - label] == '-')
        return false;
      label = 0;
    } else if (is_alnum(at[i]) || at[i] == '-') {
      label++;
    } else {
      return false;
    }
  }
  return true;
}

static bool is_plain_ascii_name(parley_text text) /* nothing that IDNA would look at */
{
  for (size_t i = 0; i < text.len; i++) {
    if ((unsigned char)text.at[i] >= 0x80)
      return false;
    if (i + 4 <= text.len && (text.at[i] | 0x20) == 'x' && (text.at[i + 1] | 0x20) == 'n' && text.at[i + 2] == '-' &&
        text.at[i + 3] == '-')
      return false;
  }
  return true;
}

static parley_status domain_copy(const char *at, size_t len, char *to, size_t room, size_t *ret_len)
{
  if (!host_name_ok(at, len) || len >= room)
    return PARLEY_INVALID;
  for (size_t i = 0; i < len; i++)
    to[i] = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] + ('a' - 'A')) : at[i];
  to[len] = '\0';
  *ret_len = len;
  return PARLEY_OK;
}

parley_status mail_domain_read(parley_text text, char *to, size_t room, size_t *ret_len)
{
  char name[4 * DOMAIN_MAX + 1];
  uint8_t *alabel = NULL;
  parley_status st = PARLEY_INVALID;

  if (is_plain_ascii_name(text))
    return domain_copy(text.at, text.len, to, room, ret_len);
  if (text.len >= sizeof name || !mail_text_ok(text))
    return PARLEY_INVALID;
  memcpy(name, text.at, text.len);
  name[text.len] = '\0';
  if (idn2_lookup_u8((const uint8_t *)name, &alabel, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
    st = domain_copy((const char *)alabel, strlen((const char *)alabel), to, room, ret_len);
  idn2_free(alabel);
  return st;
}

/* --- Address ------------------------------------------------------------------------------------------------------ */
static bool is_atext(char c)
{
  return is_alnum(c) || (unsigned char)c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Length of the local part at the front: a dot-atom or a quoted string; 0: neither. */
static size_t local_length(parley_text text)
{
  size_t i = 0;

  if (text.len > 0 && text.at[0] == '"') {
    for (i = 1; i < text.len && text.at[i] != '"'; i++)
      if (text.at[i] == '\\' && ++i == text.len)
        return 0;
    return i < text.len && i > 1 ? i + 1 : 0;
  }
  for (i = 0; i < text.len && (is_atext(text.at[i]) || text.at[i] == '.'); i++)
    if (text.at[i] == '.' && (i == 0 || text.at[i - 1] == '.'))
      return 0;
  return i > 0 && text.at[i - 1] != '.' ? i : 0;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" */
static bool is_literal(parley_text text)
{
  if (text.len < 3 || text.len > 64 || text.at[0] != '[' || text.at[text.len - 1] != ']')
    return false;
  for (size_t i = 1; i + 1 < text.len; i++)
    if (!is_alnum(text.at[i]) && text.at[i] != '.' && text.at[i] != ':')
      return false;
  return true;
}

static parley_status address_domain_read(parley_text domain, struct mail_address *address)
{
  char *to = address->text + address->domain_at;
  size_t room = sizeof address->text - address->domain_at, len = 0;
  parley_status st = PARLEY_OK;

  if (!is_literal(domain)) {
    st = mail_domain_read(domain, to, room, &len);
  } else if (domain.len < room) {
    memcpy(to, domain.at, domain.len);
    len = domain.len;
    to[len] = '\0';
  } else {
    st = PARLEY_INVALID;
  }
  address->len = address->domain_at + len;
  return st;
}

parley_status mail_address_read(parley_text text, struct mail_address *ret)
{
  struct mail_address address = {0};
  size_t local = local_length(text);
  parley_status st;

  if (local == 0 || local > MAIL_LOCAL_MAX || local >= text.len || text.at[local] != '@' || !mail_text_ok(text))
    return PARLEY_INVALID;
  memcpy(address.text, text.at, local + 1);
  address.domain_at = local + 1;
  for (size_t i = 0; i < local; i++)
    address.utf8 |= (unsigned char)text.at[i] >= 0x80;
  st = address_domain_read((parley_text){text.at + local + 1, text.len - local - 1}, &address);
  for (size_t i = 0; i < local; i++) /* these would end the path they stand in: legal when quoted, used by nobody */
    if (text.at[i] == '<' || text.at[i] == '>')
      st = PARLEY_INVALID;
  if (st == PARLEY_OK)
    *ret = address;
  return st;
}

/* --- Mailbox ------------------------------------------------------------------------------------------------------ */
static parley_text trim(parley_text text)
{
  while (text.len > 0 && text.at[0] == ' ')
    text.at++, text.len--;
  while (text.len > 0 && text.at[text.len - 1] == ' ')
    text.len--;
  return text;
}

static parley_status name_read(parley_text text, char *to) /* to: MAIL_NAME_MAX + 1 bytes */
{
  bool quoted = text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"';
  size_t n = 0;

  if (quoted)
    text = (parley_text){text.at + 1, text.len - 2};
  if (!mail_text_ok(text))
    return PARLEY_INVALID;
  for (size_t i = 0; i < text.len; i++) {
    if (quoted && text.at[i] == '\\' && i + 1 < text.len)
      i++;
    else if (text.at[i] == '"' || (!quoted && (text.at[i] == '<' || text.at[i] == '>')))
      return PARLEY_INVALID;
    if (n == MAIL_NAME_MAX)
      return PARLEY_INVALID;
    to[n++] = text.at[i];
  }
  to[n] = '\0';
  return PARLEY_OK;
}

parley_status mail_mailbox_read(parley_text text, struct mail_mailbox *ret)
{
  struct mail_mailbox mailbox = {0};
  parley_text all = trim(text), address = all, name = {"", 0};
  parley_status st;

  if (all.len > 0 && all.at[all.len - 1] == '>') {
    size_t open = all.len - 1;

    while (open > 0 && all.at[open] != '<')
      open--;
    if (all.at[open] != '<')
      return PARLEY_INVALID;
    address = (parley_text){all.at + open + 1, all.len - open - 2};
    name = trim((parley_text){all.at, open});
  }
  st = mail_address_read(address, &mailbox.address);
  if (st == PARLEY_OK)
    st = name_read(name, mailbox.name);
  if (st == PARLEY_OK)
    *ret = mailbox;
  return st;
}
