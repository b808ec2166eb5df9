#include "smtp_serve_wire.h"
#include "mail_word.h"

parley_text smtp_word_cut(parley_text *rest)
{
  const char *end = rest->len > 0 ? memchr(rest->at, ' ', rest->len) : NULL;
  parley_text word = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->len};

  rest->at += word.len;
  rest->len -= word.len;
  while (rest->len > 0 && rest->at[0] == ' ')
    rest->at++, rest->len--;
  return word;
}

enum smtp_verb smtp_verb_read(parley_text line, parley_text *ret_argument)
{
  static const struct {
    const char *word;
    enum smtp_verb verb;
  } verbs[] = {{"EHLO", SMTP_VERB_EHLO},         {"HELO", SMTP_VERB_HELO}, {"LHLO", SMTP_VERB_LHLO},
               {"STARTTLS", SMTP_VERB_STARTTLS}, {"AUTH", SMTP_VERB_AUTH}, {"MAIL", SMTP_VERB_MAIL},
               {"RCPT", SMTP_VERB_RCPT},         {"DATA", SMTP_VERB_DATA}, {"BDAT", SMTP_VERB_BDAT},
               {"RSET", SMTP_VERB_RSET},         {"NOOP", SMTP_VERB_NOOP}, {"HELP", SMTP_VERB_HELP},
               {"VRFY", SMTP_VERB_VRFY},         {"EXPN", SMTP_VERB_EXPN}, {"QUIT", SMTP_VERB_QUIT}};
  parley_text rest = line, word = smtp_word_cut(&rest);

  while (rest.len > 0 && rest.at[rest.len - 1] == ' ')
    rest.len--;
  *ret_argument = rest;
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (mail_word_is(word, verbs[i].word))
      return verbs[i].verb;
  return SMTP_VERB_NONE;
}

bool smtp_path_read(parley_text argument, const char *word, struct smtp_path *ret)
{
  size_t len = strlen(word);
  parley_text rest = {argument.at + len, argument.len - len}, path;
  const char *end;

  if (argument.len <= len || !mail_word_begins(argument, word))
    return false;
  while (rest.len > 0 && rest.at[0] == ' ') /* not in the standard, in many programs */
    rest.at++, rest.len--;
  if (rest.len < 2 || rest.at[0] != '<' || (end = memchr(rest.at, '>', rest.len)) == NULL)
    return false;
  path = (parley_text){rest.at + 1, (size_t)(end - rest.at) - 1};
  rest = (parley_text){end + 1, rest.len - path.len - 2};
  if (rest.len > 0 && rest.at[0] != ' ')
    return false;
  if (path.len > 0 && path.at[0] == '@') { /* a source route is taken and ignored: RFC 5321 4.1.1.3 */
    end = memchr(path.at, ':', path.len);
    if (end == NULL)
      return false;
    path = (parley_text){end + 1, path.len - (size_t)(end - path.at) - 1};
  }
  smtp_word_cut(&rest); /* the spaces */
  *ret = (struct smtp_path){.text = path, .params = rest};
  return true;
}

static bool number_read(parley_text text, uint64_t *ret)
{
  uint64_t number = 0;

  if (text.len == 0 || text.len > 18)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    number = number * 10 + (uint64_t)(text.at[i] - '0');
  }
  *ret = number;
  return true;
}

static bool param_read(parley_text word, struct smtp_mail_params *to)
{
  if (word.len > 5 && mail_word_begins(word, "SIZE="))
    return number_read((parley_text){word.at + 5, word.len - 5}, &to->size);
  if (mail_word_is(word, "BODY=8BITMIME") || mail_word_is(word, "BODY=7BIT")) {
    to->eightbit = word.len == strlen("BODY=8BITMIME");
    return true;
  }
  if (mail_word_is(word, "SMTPUTF8")) {
    to->smtputf8 = true;
    return true;
  }
  return word.len > 5 && mail_word_begins(word, "AUTH="); /* RFC 4954: who wrote it; nobody here asks */
}

bool smtp_mail_params_read(parley_text params, struct smtp_mail_params *ret)
{
  *ret = (struct smtp_mail_params){0};
  while (params.len > 0)
    if (!param_read(smtp_word_cut(&params), ret))
      return false;
  return true;
}

bool smtp_bdat_read(parley_text argument, uint64_t *ret_size, bool *ret_last)
{
  parley_text size = smtp_word_cut(&argument);

  *ret_last = mail_word_is(argument, "LAST");
  return number_read(size, ret_size) && (*ret_last || argument.len == 0);
}
