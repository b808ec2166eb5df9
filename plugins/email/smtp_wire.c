#include "smtp_wire.h"
#include "mail_word.h"
#include "common/base64.h"
#include <stdio.h>

/* --- Replies ------------------------------------------------------------------------------------------------------ */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "5.1.1" at the front of text: its length, or 0. */
static size_t enhanced_read(parley_text text, struct smtp_enhanced *ret)
{
  uint32_t number[3] = {0};
  size_t at = 0;

  for (size_t i = 0; i < 3; i++) {
    size_t begin = at, digits_max = i == 0 ? 1 : 3;

    while (at < text.len && at - begin < digits_max && is_digit(text.at[at]))
      number[i] = number[i] * 10 + (uint32_t)(text.at[at++] - '0');
    if (at == begin)
      return 0;
    if (i < 2 && (at >= text.len || text.at[at++] != '.'))
      return 0;
  }
  if (at < text.len && text.at[at] != ' ')
    return 0;
  if (number[0] != 2 && number[0] != 4 && number[0] != 5)
    return 0;
  *ret = (struct smtp_enhanced){number[0], number[1], number[2]};
  return at;
}

static void reply_words_add(struct smtp_reply *reply, parley_text words)
{
  if (words.len > 0 && reply->text_len > 0 && reply->text_len < SMTP_REPLY_TEXT_MAX)
    reply->text[reply->text_len++] = ' ';
  for (size_t i = 0; i < words.len && reply->text_len < SMTP_REPLY_TEXT_MAX; i++)
    reply->text[reply->text_len++] = words.at[i] >= ' ' && words.at[i] < 0x7f ? words.at[i] : '?';
  reply->text[reply->text_len] = '\0';
}

static void reply_line_add(struct smtp_reply *reply, parley_text words)
{
  struct smtp_enhanced enhanced;
  size_t skip = enhanced_read(words, &enhanced);

  if (skip > 0 && enhanced.digit == reply->code / 100) {
    if (reply->enhanced.digit == 0)
      reply->enhanced = enhanced;
    while (skip < words.len && words.at[skip] == ' ')
      skip++;
    words = (parley_text){words.at + skip, words.len - skip};
  }
  reply->n_lines++;
  reply_words_add(reply, words);
}

/* The code of a line, or 0 when it has none: RFC 5321 section 4.2, no more than 559. */
static uint32_t line_code(parley_text line)
{
  const char *d = line.at;

  if (line.len < 3 || d[0] < '2' || d[0] > '5' || d[1] < '0' || d[1] > '5' || !is_digit(d[2]))
    return 0;
  if (line.len > 3 && d[3] != ' ' && d[3] != '-')
    return 0;
  return (uint32_t)(d[0] - '0') * 100 + (uint32_t)(d[1] - '0') * 10 + (uint32_t)(d[2] - '0');
}

enum smtp_parsed smtp_parse(struct smtp_parser *parser, parley_bytes bytes, size_t *ret_used)
{
  size_t within = bytes.len < SMTP_REPLY_LINE_MAX ? bytes.len : SMTP_REPLY_LINE_MAX;
  const char *end = within > 0 ? memchr(bytes.at, '\n', within) : NULL;
  parley_text line = {bytes.at, 0};
  uint32_t code;

  *ret_used = 0;
  if (end == NULL)
    return within == SMTP_REPLY_LINE_MAX ? SMTP_PARSED_BROKEN : SMTP_PARSED_NOTHING;
  *ret_used = (size_t)(end - bytes.at) + 1;
  line.len = *ret_used - 1;
  if (line.len > 0 && line.at[line.len - 1] == '\r')
    line.len--;
  code = line_code(line);
  if (code == 0 || (parser->open && code != parser->reply.code))
    return SMTP_PARSED_BROKEN;
  if (!parser->open)
    parser->reply = (struct smtp_reply){.code = code};
  if (parser->reply.n_lines == SMTP_REPLY_LINES_MAX)
    return SMTP_PARSED_BROKEN;
  parser->open = line.len > 3 && line.at[3] == '-';
  parser->line = line.len > 4 ? (parley_text){line.at + 4, line.len - 4} : (parley_text){"", 0};
  reply_line_add(&parser->reply, parser->line);
  return parser->open ? SMTP_PARSED_LINE : SMTP_PARSED_REPLY;
}

/* --- What the server offers --------------------------------------------------------------------------------------- */
static parley_text word_cut(parley_text *rest)
{
  parley_text word;
  size_t end;

  while (rest->len > 0 && (*rest->at == ' ' || *rest->at == '\t' || *rest->at == '='))
    rest->at++, rest->len--;
  for (end = 0; end < rest->len && rest->at[end] != ' ' && rest->at[end] != '\t' && rest->at[end] != '='; end++)
    continue;
  word = (parley_text){rest->at, end};
  rest->at += end;
  rest->len -= end;
  return word;
}

static void offers_size(struct smtp_offers *offers, parley_text number)
{
  uint64_t size = 0;

  offers->size = true;
  for (size_t i = 0; i < number.len; i++) {
    if (!is_digit(number.at[i]) || size > UINT64_MAX / 10 - 9)
      return;
    size = size * 10 + (uint64_t)(number.at[i] - '0');
  }
  offers->size_max = size;
}

static void offers_auth(struct smtp_offers *offers, parley_text rest)
{
  for (parley_text word = word_cut(&rest); word.len > 0; word = word_cut(&rest)) {
    offers->auth_plain |= mail_word_is(word, "plain");
    offers->auth_login |= mail_word_is(word, "login");
    offers->auth_xoauth2 |= mail_word_is(word, "xoauth2");
    offers->auth_oauthbearer |= mail_word_is(word, "oauthbearer");
  }
}

void smtp_offers_line(struct smtp_offers *offers, parley_text line)
{
  parley_text rest = line, word = word_cut(&rest);

  if (mail_word_is(word, "pipelining"))
    offers->pipelining = true;
  else if (mail_word_is(word, "starttls"))
    offers->starttls = true;
  else if (mail_word_is(word, "8bitmime"))
    offers->eightbit = true;
  else if (mail_word_is(word, "smtputf8"))
    offers->smtputf8 = true;
  else if (mail_word_is(word, "enhancedstatuscodes"))
    offers->enhanced = true;
  else if (mail_word_is(word, "chunking"))
    offers->chunking = true;
  else if (mail_word_is(word, "size"))
    offers_size(offers, word_cut(&rest));
  else if (mail_word_is(word, "auth"))
    offers_auth(offers, rest);
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */
static bool piece_ok(parley_text piece)
{
  return piece.len == 0 ||
         (memchr(piece.at, '\r', piece.len) == NULL && memchr(piece.at, '\n', piece.len) == NULL &&
          memchr(piece.at, '\0', piece.len) == NULL);
}

void smtp_put(struct smtp_commands *out, const parley_text *pieces, size_t n_pieces)
{
  size_t total = 2;

  for (size_t i = 0; i < n_pieces; i++) {
    if (!piece_ok(pieces[i]) || pieces[i].len > SMTP_COMMAND_LINE_MAX - total) {
      out->bad = true;
      return;
    }
    total += pieces[i].len;
  }
  if (total > SMTP_COMMANDS_MAX - out->len) {
    out->bad = true;
    return;
  }
  for (size_t i = 0; i < n_pieces; i++) {
    if (pieces[i].len > 0)
      memcpy(out->at + out->len, pieces[i].at, pieces[i].len);
    out->len += pieces[i].len;
  }
  memcpy(out->at + out->len, "\r\n", 2);
  out->len += 2;
}

void smtp_put_word(struct smtp_commands *out, const char *verb, parley_text argument)
{
  const parley_text pieces[] = {parley_text_of(verb), PARLEY_LIT(" "), argument};

  smtp_put(out, pieces, argument.len > 0 ? 3 : 1);
}

/* Addresses are checked where they are made (mail_address.h); these bytes would change the command's meaning here. */
static bool path_ok(parley_text path)
{
  for (size_t i = 0; i < path.len; i++)
    if (path.at[i] == '<' || path.at[i] == '>' || (unsigned char)path.at[i] < ' ' || path.at[i] == 0x7f)
      return false;
  return true;
}

void smtp_put_mail(struct smtp_commands *out, parley_text from, const struct smtp_mail_flags *flags)
{
  char size[32];
  int size_len = flags->size > 0 ? snprintf(size, sizeof size, " SIZE=%llu", (unsigned long long)flags->size) : 0;
  const parley_text pieces[] = {PARLEY_LIT("MAIL FROM:<"), from, PARLEY_LIT(">"), {size, (size_t)size_len},
                                parley_text_of(flags->eightbit ? " BODY=8BITMIME" : ""),
                                parley_text_of(flags->smtputf8 ? " SMTPUTF8" : "")};

  if (path_ok(from))
    smtp_put(out, pieces, 6);
  else
    out->bad = true;
}

void smtp_put_rcpt(struct smtp_commands *out, parley_text to)
{
  const parley_text pieces[] = {PARLEY_LIT("RCPT TO:<"), to, PARLEY_LIT(">")};

  if (to.len > 0 && path_ok(to))
    smtp_put(out, pieces, 3);
  else
    out->bad = true;
}

void smtp_put_auth_plain(struct smtp_commands *out, parley_text user, parley_text password)
{
  char coded[SASL_RESPONSE_MAX + 1];
  const parley_text pieces[] = {PARLEY_LIT("AUTH PLAIN "), {coded, sasl_plain_write(user, password, coded)}};

  if (pieces[1].len > 0)
    smtp_put(out, pieces, 2);
  else
    out->bad = true;
}

void smtp_put_base64(struct smtp_commands *out, parley_text text)
{
  char coded[BASE64_ROOM(SASL_CREDENTIALS_MAX)];
  parley_text piece = {coded, 0};

  if (text.len > SASL_CREDENTIALS_MAX || !piece_ok(text)) {
    out->bad = true;
    return;
  }
  piece.len = base64_of_bytes(text, coded);
  smtp_put(out, &piece, 1);
}

size_t smtp_bearer_write(const struct sasl_bearer *bearer, char *out)
{
  char coded[SASL_RESPONSE_MAX + 1];
  size_t len = sasl_bearer_write(bearer, coded);

  if (len == 0)
    return 0;
  return (size_t)snprintf(out, SMTP_BEARER_LINE_MAX + 1, "AUTH %s %s\r\n", sasl_bearer_name(bearer), coded);
}

/* --- The mail ----------------------------------------------------------------------------------------------------- */
/* How many bytes from `at` on are neither CR nor LF. */
static size_t plain_run(const char *at, size_t len)
{
  const char *lf = memchr(at, '\n', len);
  size_t run = lf != NULL ? (size_t)(lf - at) : len;
  const char *cr = memchr(at, '\r', run);

  return cr != NULL ? (size_t)(cr - at) : run;
}

size_t smtp_stuff(struct smtp_stuffer *stuffer, parley_bytes bytes, char *out, size_t room, size_t *ret_used)
{
  size_t used = 0, n = 0;

  while (used < bytes.len && room - n >= SMTP_STUFF_ROOM_MIN) {
    const char *at = bytes.at + used;

    if (*at == '\r' || *at == '\n') {
      if (!(*at == '\n' && stuffer->after_cr)) {
        out[n++] = '\r';
        out[n++] = '\n';
      }
      stuffer->after_cr = *at == '\r';
      stuffer->within_line = false;
      used++;
    } else {
      size_t run = plain_run(at, bytes.len - used);

      if (!stuffer->within_line && *at == '.' && !stuffer->undotted)
        out[n++] = '.';
      run = run < room - n ? run : room - n;
      memcpy(out + n, at, run);
      n += run;
      used += run;
      stuffer->within_line = true;
      stuffer->after_cr = false;
    }
  }
  *ret_used = used;
  return n;
}

size_t smtp_stuff_end(struct smtp_stuffer *stuffer, char *out)
{
  const char *end = stuffer->undotted ? (stuffer->within_line ? "\r\n" : "") : stuffer->within_line ? "\r\n.\r\n" : ".\r\n";
  size_t len = strlen(end);

  memcpy(out, end, len);
  *stuffer = (struct smtp_stuffer){0};
  return len;
}

size_t smtp_stuffed_len(parley_bytes mail)
{
  bool within_line = false, after_cr = false;
  size_t n = 0, at = 0;

  while (at < mail.len) {
    size_t run = plain_run(mail.at + at, mail.len - at);

    if (run == 0) {
      n += mail.at[at] == '\n' && after_cr ? 0 : 2;
      after_cr = mail.at[at++] == '\r';
      within_line = false;
    } else {
      n += run;
      at += run;
      within_line = true;
      after_cr = false;
    }
  }
  return n + (within_line ? 2 : 0);
}
