#include "mail_auth.h"
#include "mail_word.h"
#include <gmime/gmime.h>

enum { VALUE_MAX = 16384, COMMENTS_DEPTH_MAX = 100 };

/* --- Words: RFC 8601 2.2, with the white space and comments of RFC 5322 ------------------------------------------- */
static void cut(parley_text *text, size_t n)
{
  text->at += n;
  text->len -= n;
}

static size_t comment_len(parley_text text) /* at its ( */
{
  uint32_t depth = 0;
  size_t i = 0;

  for (; i < text.len; i++) {
    if (text.at[i] == '\\')
      i++;
    else if (text.at[i] == '(' && ++depth > COMMENTS_DEPTH_MAX)
      return text.len;
    else if (text.at[i] == ')' && --depth == 0)
      return i + 1;
  }
  return text.len;
}

static void white_skip(parley_text *text)
{
  while (text->len > 0 && (text->at[0] == '(' || (unsigned char)text->at[0] <= ' '))
    cut(text, text->at[0] == '(' ? comment_len(*text) : 1);
}

/* Up to the white space, comment or sign that ends it; a quoted one without its quotes. */
static parley_text word_take(parley_text *text)
{
  parley_text word = {text->at, 0};
  size_t n = 0;

  if (text->len > 0 && text->at[0] == '"') {
    for (n = 1; n < text->len && text->at[n] != '"'; n++)
      n += text->at[n] == '\\';
    word = (parley_text){text->at + 1, (n < text->len ? n : text->len) - 1};
    cut(text, n < text->len ? n + 1 : text->len);
    return word;
  }
  while (n < text->len && (unsigned char)text->at[n] > ' ' && strchr("();=\"", text->at[n]) == NULL)
    n++;
  word.len = n;
  cut(text, n);
  return word;
}

/* Behind the next semicolon that stands in no comment and no quotes. false: there is none. */
static bool result_next(parley_text *text)
{
  while (text->len > 0) {
    white_skip(text);
    if (text->len > 0 && text->at[0] == ';') {
      cut(text, 1);
      return true;
    }
    if (word_take(text).len == 0 && text->len > 0)
      cut(text, 1);
  }
  return false;
}

static bool sign_take(parley_text *text, char sign)
{
  white_skip(text);
  if (text->len == 0 || text->at[0] != sign)
    return false;
  cut(text, 1);
  white_skip(text);
  return true;
}

/* --- Results ------------------------------------------------------------------------------------------------------ */
static bool is_dmarc_fail(parley_text text)
{
  parley_text method;

  white_skip(&text);
  method = word_take(&text);
  if (!mail_word_is(method, "dmarc") && !mail_word_begins(method, "dmarc/")) /* with its version */
    return false;
  return sign_take(&text, '=') && mail_word_is(word_take(&text), "fail");
}

bool mail_auth_read(parley_text value, parley_text authserv_id, bool *ret_failed)
{
  white_skip(&value);
  if (!mail_word_same(word_take(&value), authserv_id))
    return false;
  *ret_failed = false;
  while (result_next(&value) && !*ret_failed)
    *ret_failed = is_dmarc_fail(value);
  return true;
}

bool mail_auth_failed(void *message, parley_text authserv_id)
{
  GMimeHeaderList *list = g_mime_object_get_header_list(message);
  int n = authserv_id.len > 0 ? g_mime_header_list_get_count(list) : 0;

  for (int i = 0; i < n; i++) {
    GMimeHeader *header = g_mime_header_list_get_header_at(list, i);
    parley_text value;
    bool failed;

    if (!mail_word_is(parley_text_of(g_mime_header_get_name(header)), "Authentication-Results"))
      continue;
    value = parley_text_of(g_mime_header_get_raw_value(header));
    if (value.len > VALUE_MAX)
      value.len = VALUE_MAX;
    if (mail_auth_read(value, authserv_id, &failed))
      return failed;
  }
  return false;
}
