#include "imap_wire.h"
#include "mail_word.h"
#include <stdio.h>

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
enum { DAY_S = 86400 };

/* --- Measuring ---------------------------------------------------------------------------------------------------- */
static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* Only data has literals: words for people may end with what looks like one. */
static bool line_is_words(parley_text line)
{
  static const char *const words[] = {"* OK", "* NO", "* BAD", "* BYE", "* PREAUTH"};

  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (mail_word_begins(line, words[i]))
      return true;
  return line.len == 0 || line.at[0] != '*';
}

/* "...{123}" at the end of a line. -1: there is none; -2: no number that can be. */
static int64_t literal_len(parley_text line)
{
  size_t at = line.len, digits;
  int64_t len = 0;

  if (at == 0 || line.at[--at] != '}')
    return -1;
  digits = at;
  while (at > 0 && is_digit(line.at[at - 1]))
    at--;
  if (at == digits || at == 0 || line.at[at - 1] != '{')
    return -1;
  for (; at < digits; at++) {
    len = len * 10 + (line.at[at] - '0');
    if (len > IMAP_RESPONSE_MAX)
      return -2;
  }
  return len;
}

/* The line at `from`, without its CRLF; *ret_end is behind that. */
static enum imap_measured line_find(parley_bytes bytes, size_t from, parley_text *ret, size_t *ret_end)
{
  const char *begin = bytes.at + from, *lf = bytes.len > from ? memchr(begin, '\n', bytes.len - from) : NULL;
  size_t len = lf != NULL ? (size_t)(lf - begin) : bytes.len - from;

  if (len > 0 && memchr(begin, '\0', len) != NULL)
    return IMAP_MEASURED_BROKEN;
  if (lf == NULL)
    return IMAP_MEASURED_NOTHING;
  if (len == 0 || memchr(begin, '\r', len) != begin + len - 1)
    return IMAP_MEASURED_BROKEN;
  *ret = (parley_text){begin, len - 1};
  *ret_end = from + len + 1;
  return IMAP_MEASURED_WHOLE;
}

enum imap_measured imap_measure(parley_bytes bytes, size_t *ret_len)
{
  size_t at = 0;
  bool words = false;

  for (uint32_t n = 0; n <= IMAP_LITERALS_MAX; n++) {
    parley_text line;
    enum imap_measured found = line_find(bytes, at, &line, &at);
    int64_t literal;

    if (found != IMAP_MEASURED_WHOLE)
      return found == IMAP_MEASURED_NOTHING && bytes.len > IMAP_RESPONSE_MAX ? IMAP_MEASURED_BROKEN : found;
    if (n == 0)
      words = line_is_words(line);
    literal = words ? -1 : literal_len(line);
    if (literal == -2 || (literal >= 0 ? at + (size_t)literal : at) > IMAP_RESPONSE_MAX)
      return IMAP_MEASURED_BROKEN;
    if (literal < 0) {
      *ret_len = at;
      return IMAP_MEASURED_WHOLE;
    }
    at += (size_t)literal;
    if (at > bytes.len)
      return IMAP_MEASURED_NOTHING;
  }
  return IMAP_MEASURED_BROKEN;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */
static bool cut(parley_text *text, const char *what)
{
  size_t len = strlen(what);

  if (!mail_word_begins(*text, what))
    return false;
  text->at += len;
  text->len -= len;
  return true;
}

/* "OK" and then a space or nothing. */
static bool word_cut(parley_text *text, const char *word)
{
  size_t len = strlen(word);

  if (!mail_word_begins(*text, word) || (text->len > len && text->at[len] != ' '))
    return false;
  len += text->len > len;
  text->at += len;
  text->len -= len;
  return true;
}

static bool number_cut(parley_text *text, uint64_t max, uint64_t *ret)
{
  uint64_t number = 0;
  size_t at = 0;

  for (; at < text->len && is_digit(text->at[at]); at++) {
    number = number * 10 + (uint64_t)(text->at[at] - '0');
    if (number > max)
      return false;
  }
  if (at == 0)
    return false;
  text->at += at;
  text->len -= at;
  *ret = number;
  return true;
}

static bool condition_read(parley_text *line, struct imap_response *ret)
{
  static const struct {
    const char *word;
    enum imap_kind kind;
  } kinds[] = {{"OK", IMAP_OK}, {"NO", IMAP_NO}, {"BAD", IMAP_BAD}, {"BYE", IMAP_BYE}, {"PREAUTH", IMAP_PREAUTH}};

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const char *end;

    if (!word_cut(line, kinds[i].word))
      continue;
    ret->kind = kinds[i].kind;
    end = line->len > 0 && line->at[0] == '[' ? memchr(line->at, ']', line->len) : NULL;
    if (end != NULL) {
      ret->code = (parley_text){line->at + 1, (size_t)(end - line->at) - 1};
      line->len -= (size_t)(end + 1 - line->at);
      line->at = end + 1;
      cut(line, " ");
    }
    ret->rest = *line;
    return true;
  }
  return false;
}

static bool tagged_read(parley_text line, struct imap_response *ret)
{
  uint64_t tag;

  if (!cut(&line, "P") || !number_cut(&line, UINT32_MAX, &tag) || tag == 0 || !cut(&line, " ") || !condition_read(&line, ret))
    return false;
  ret->tag = (uint32_t)tag;
  return ret->kind == IMAP_OK || ret->kind == IMAP_NO || ret->kind == IMAP_BAD;
}

bool imap_response_read(parley_bytes whole, struct imap_response *ret)
{
  parley_text line = {whole.at, whole.len - 2};
  uint64_t number;

  *ret = (struct imap_response){.kind = IMAP_OTHER, .code = PARLEY_LIT(""), .rest = PARLEY_LIT("")};
  if (line.len > 0 && line.at[0] == '+') {
    cut(&line, "+");
    cut(&line, " ");
    ret->kind = IMAP_CONTINUE;
    ret->rest = line;
    return true;
  }
  if (!cut(&line, "* "))
    return tagged_read(line, ret);
  if (condition_read(&line, ret))
    return true;
  ret->rest = line;
  if (word_cut(&ret->rest, "CAPABILITY")) {
    ret->kind = IMAP_CAPABILITY;
  } else if (word_cut(&ret->rest, "SEARCH")) {
    ret->kind = IMAP_SEARCH;
  } else if (number_cut(&ret->rest, UINT32_MAX, &number) && cut(&ret->rest, " ")) {
    ret->number = (uint32_t)number;
    if (word_cut(&ret->rest, "EXISTS"))
      ret->kind = IMAP_EXISTS;
    else if (word_cut(&ret->rest, "FETCH"))
      ret->kind = IMAP_FETCH;
  }
  return true;
}

bool imap_code_is(parley_text code, const char *word, uint32_t *ret_number)
{
  uint64_t number = 0;

  if (!word_cut(&code, word))
    return false;
  if (!number_cut(&code, UINT32_MAX, &number) || code.len > 0)
    number = 0;
  if (ret_number != NULL)
    *ret_number = (uint32_t)number;
  return true;
}

void imap_words(parley_text rest, char words[IMAP_WORDS_MAX + 1])
{
  size_t len = rest.len < IMAP_WORDS_MAX ? rest.len : IMAP_WORDS_MAX;

  for (size_t i = 0; i < len; i++)
    words[i] = rest.at[i] >= ' ' && rest.at[i] < 0x7f ? rest.at[i] : '?';
  words[len] = '\0';
}

bool imap_number_next(parley_text *rest, uint32_t *ret)
{
  uint64_t number;

  while (rest->len > 0 && rest->at[0] == ' ')
    cut(rest, " ");
  if (!number_cut(rest, UINT32_MAX, &number) || (rest->len > 0 && rest->at[0] != ' '))
    return false;
  *ret = (uint32_t)number;
  return true;
}

/* --- What the server offers --------------------------------------------------------------------------------------- */
void imap_offers_read(parley_text names, struct imap_offers *ret)
{
  const struct {
    const char *name;
    bool *offer;
  } known[] = {{"IMAP4rev1", &ret->imap4},         {"IMAP4rev2", &ret->imap4},
               {"STARTTLS", &ret->starttls},       {"IDLE", &ret->idle},
               {"MOVE", &ret->move},               {"UIDPLUS", &ret->uidplus},
               {"SASL-IR", &ret->sasl_ir},         {"LOGINDISABLED", &ret->login_disabled},
               {"AUTH=PLAIN", &ret->auth_plain},   {"AUTH=XOAUTH2", &ret->auth_xoauth2},
               {"AUTH=OAUTHBEARER", &ret->auth_oauthbearer}};

  *ret = (struct imap_offers){0};
  while (names.len > 0) {
    const char *space = memchr(names.at, ' ', names.len);
    size_t len = space != NULL ? (size_t)(space - names.at) : names.len, step = len + (space != NULL);

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      if (mail_word_is((parley_text){names.at, len}, known[i].name))
        *known[i].offer = true;
    names.at += step;
    names.len -= step;
  }
}

/* --- What FETCH tells --------------------------------------------------------------------------------------------- */
static bool quoted_cut(parley_text *text, parley_text *ret)
{
  size_t at = 1;

  while (at < text->len && text->at[at] != '"')
    at += text->at[at] == '\\' ? 2 : 1;
  if (at >= text->len)
    return false;
  *ret = (parley_text){text->at + 1, at - 1};
  text->at += at + 1;
  text->len -= at + 1;
  return true;
}

static bool literal_cut(parley_text *text, parley_text *ret)
{
  uint64_t len;

  cut(text, "~");
  if (!cut(text, "{") || !number_cut(text, IMAP_RESPONSE_MAX, &len) || !cut(text, "}\r\n") || text->len < len)
    return false;
  *ret = (parley_text){text->at, len};
  text->at += len;
  text->len -= len;
  return true;
}

/* A string, with its escapes as they stand; NIL. */
static bool nstring_cut(parley_text *text, parley_text *ret, bool *ret_nil)
{
  *ret_nil = false;
  if (text->len > 0 && text->at[0] == '"')
    return quoted_cut(text, ret);
  if (!cut(text, "NIL"))
    return literal_cut(text, ret);
  *ret = PARLEY_LIT("");
  *ret_nil = true;
  return true;
}

static void atom_skip(parley_text *text)
{
  while (text->len > 0 && text->at[0] != ' ' && text->at[0] != '(' && text->at[0] != ')' && text->at[0] != '"' &&
         text->at[0] != '{') {
    text->at++;
    text->len--;
  }
}

static bool value_skip(parley_text *text) /* any value, lists within each other too */
{
  uint32_t depth = 0;

  do {
    parley_text ignored;
    size_t before = text->len;

    if (cut(text, "(")) {
      if (++depth > IMAP_DEPTH_MAX)
        return false;
    } else if (depth > 0 && cut(text, ")")) {
      depth--;
    } else if (text->len > 0 && text->at[0] == '"') {
      if (!quoted_cut(text, &ignored))
        return false;
    } else if (text->len > 0 && text->at[0] == '{') {
      if (!literal_cut(text, &ignored))
        return false;
    } else {
      atom_skip(text);
    }
    if (depth > 0)
      cut(text, " ");
    if (text->len == before)
      return false;
  } while (depth > 0);
  return true;
}

/* "BODY[HEADER.FIELDS (A B)]<0>": a name may hold spaces within brackets. */
static bool name_cut(parley_text *text, parley_text *ret)
{
  size_t at = 0;
  bool within = false;

  for (; at < text->len && (within || (text->at[at] != ' ' && text->at[at] != ')')); at++)
    within = text->at[at] == '[' || (within && text->at[at] != ']');
  if (at == 0 || at == text->len)
    return false;
  *ret = (parley_text){text->at, at};
  text->at += at;
  text->len -= at;
  return true;
}

static bool two_digits(const char *at, int *ret)
{
  if (!is_digit(at[1]) || (!is_digit(at[0]) && at[0] != ' '))
    return false;
  *ret = (at[0] == ' ' ? 0 : at[0] - '0') * 10 + (at[1] - '0');
  return true;
}

static int64_t days_of(int64_t year, int64_t month, int64_t day) /* since 1970, proleptic Gregorian */
{
  int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400,
          of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "17-Jul-1996 02:44:25 -0700"; 0: none that can be. */
static int64_t date_read(parley_text text)
{
  const char *at = text.at;
  int day, century, years, hour, minute, second, zone_hour, zone_minute, month = 0;
  int64_t seconds;

  if (text.len != 26 || at[2] != '-' || at[6] != '-' || at[11] != ' ' || at[14] != ':' || at[17] != ':' || at[20] != ' ' ||
      (at[21] != '+' && at[21] != '-') || !two_digits(at, &day) || !two_digits(at + 7, &century) || !two_digits(at + 9, &years) ||
      !two_digits(at + 12, &hour) || !two_digits(at + 15, &minute) || !two_digits(at + 18, &second) ||
      !two_digits(at + 22, &zone_hour) || !two_digits(at + 24, &zone_minute))
    return 0;
  while (month < 12 && !mail_word_is((parley_text){at + 3, 3}, months[month]))
    month++;
  if (month == 12 || day < 1 || day > 31 || century * 100 + years < 1970 || hour > 23 || minute > 59 || second > 60 ||
      zone_hour > 23 || zone_minute > 59)
    return 0;
  seconds = days_of(century * 100 + years, month + 1, day) * DAY_S + hour * 3600 + minute * 60 + second;
  seconds -= (at[21] == '-' ? -1 : 1) * (zone_hour * 3600 + zone_minute * 60);
  return seconds > 0 ? seconds * 1000 : 0;
}

static bool item_read(parley_text name, parley_text *rest, struct imap_fetch *ret)
{
  uint64_t number;
  parley_text value;
  bool nil;

  if (parley_text_is(name, "UID")) {
    if (!number_cut(rest, UINT32_MAX, &number) || number == 0)
      return false;
    ret->uid = (uint32_t)number;
    return true;
  }
  if (parley_text_is(name, "RFC822.SIZE"))
    return number_cut(rest, UINT32_MAX, &ret->size);
  if (parley_text_is(name, "INTERNALDATE")) {
    if (!nstring_cut(rest, &value, &nil))
      return false;
    ret->at_ms = date_read(value);
    return true;
  }
  if (!cut(&name, "BODY[]"))
    return value_skip(rest);
  if (cut(&name, "<") && (!number_cut(&name, UINT32_MAX, &number) || !parley_text_is(name, ">")))
    return false;
  ret->origin = name.len > 0 ? (uint32_t)number : 0;
  ret->has_body = true;
  return nstring_cut(rest, &ret->body, &ret->body_nil);
}

bool imap_fetch_read(parley_text rest, struct imap_fetch *ret)
{
  parley_text name;

  *ret = (struct imap_fetch){.body = PARLEY_LIT("")};
  if (!cut(&rest, "("))
    return false;
  while (!cut(&rest, ")")) {
    if (!name_cut(&rest, &name) || !cut(&rest, " ") || !item_read(name, &rest, ret))
      return false;
    if (!cut(&rest, " ") && (rest.len == 0 || rest.at[0] != ')'))
      return false;
  }
  return rest.len == 0;
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */
static void bytes_put(struct imap_command *out, const char *at, size_t len)
{
  if (out->len + len + 2 > sizeof out->at) {
    out->bad = true;
    return;
  }
  memcpy(out->at + out->len, at, len);
  out->len += len;
}

void imap_put(struct imap_command *out, parley_text text)
{
  if (text.len == 0)
    return;
  if (memchr(text.at, '\r', text.len) != NULL || memchr(text.at, '\n', text.len) != NULL || memchr(text.at, '\0', text.len) != NULL)
    out->bad = true;
  else
    bytes_put(out, text.at, text.len);
}

void imap_put_word(struct imap_command *out, const char *word)
{
  imap_put(out, parley_text_of(word));
}

void imap_put_number(struct imap_command *out, uint64_t number)
{
  char digits[24];

  snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  imap_put_word(out, digits);
}

void imap_put_quoted(struct imap_command *out, parley_text text)
{
  imap_put_word(out, "\"");
  for (size_t i = 0; i < text.len; i++) {
    if ((unsigned char)text.at[i] >= 0x80)
      out->bad = true;
    if (text.at[i] == '"' || text.at[i] == '\\')
      imap_put_word(out, "\\");
    imap_put(out, (parley_text){text.at + i, 1});
  }
  imap_put_word(out, "\"");
}

struct utf7 { /* an encoded name in the making */
  char at[IMAP_NAME_MAX + 8];
  size_t len;
  uint32_t bits, n_bits; /* of the base64 run that is open */
  bool open;
};

static void utf7_char(struct utf7 *utf7, char c)
{
  if (utf7->len < sizeof utf7->at)
    utf7->at[utf7->len++] = c;
}

static void utf7_unit(struct utf7 *utf7, uint32_t unit)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

  if (!utf7->open)
    utf7_char(utf7, '&');
  utf7->open = true;
  utf7->bits = (utf7->bits << 16 | unit) & 0x3fffff; /* at most 4 bits were left */
  for (utf7->n_bits += 16; utf7->n_bits >= 6; utf7->n_bits -= 6)
    utf7_char(utf7, digits[utf7->bits >> (utf7->n_bits - 6) & 63]);
}

static void utf7_close(struct utf7 *utf7)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

  if (utf7->open && utf7->n_bits > 0)
    utf7_char(utf7, digits[utf7->bits << (6 - utf7->n_bits) & 63]);
  if (utf7->open)
    utf7_char(utf7, '-');
  utf7->open = false;
  utf7->bits = utf7->n_bits = 0;
}

/* One character of UTF-8; options are checked text. 0 at the end. */
static uint32_t utf8_next(parley_text *text)
{
  unsigned char first = text->len > 0 ? (unsigned char)text->at[0] : 0;
  size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  uint32_t c = first < 0x80 ? first : first & (0x7fu >> len);

  if (text->len == 0)
    return 0;
  len = len < text->len ? len : text->len;
  for (size_t i = 1; i < len; i++)
    c = c << 6 | ((unsigned char)text->at[i] & 0x3f);
  text->at += len;
  text->len -= len;
  return c;
}

void imap_put_mailbox(struct imap_command *out, parley_text name)
{
  struct utf7 utf7 = {.len = 0};

  while (name.len > 0) {
    uint32_t c = utf8_next(&name);

    if (c >= ' ' && c < 0x7f) {
      utf7_close(&utf7);
      utf7_char(&utf7, (char)c);
      if (c == '&')
        utf7_char(&utf7, '-');
    } else if (c < ' ' || c == 0x7f) {
      out->bad = true;
    } else if (c >= 0x10000) {
      utf7_unit(&utf7, 0xd800 + ((c - 0x10000) >> 10 & 0x3ff));
      utf7_unit(&utf7, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      utf7_unit(&utf7, c);
    }
  }
  utf7_close(&utf7);
  if (utf7.len > IMAP_NAME_MAX)
    out->bad = true;
  imap_put_quoted(out, (parley_text){utf7.at, utf7.len});
}

void imap_put_set(struct imap_command *out, const uint32_t *uids, uint32_t n)
{
  for (uint32_t i = 0; i < n;) {
    uint32_t last = i;

    while (last + 1 < n && uids[last + 1] == uids[last] + 1)
      last++;
    if (i > 0)
      imap_put_word(out, ",");
    imap_put_number(out, uids[i]);
    if (last > i) {
      imap_put_word(out, ":");
      imap_put_number(out, uids[last]);
    }
    i = last + 1;
  }
}

void imap_put_date(struct imap_command *out, int64_t at_ms)
{
  int64_t days = at_ms / 1000 / DAY_S, year = 1970, month = 1;
  char text[32];

  while (days_of(year + 1, 1, 1) <= days)
    year++;
  while (month < 12 && days_of(year, month + 1, 1) <= days)
    month++;
  snprintf(text, sizeof text, "%d-%s-%04d", (int)(days - days_of(year, month, 1)) + 1, months[month - 1], (int)year);
  imap_put_word(out, text);
}

void imap_put_end(struct imap_command *out)
{
  bytes_put(out, "\r\n", 2);
}
