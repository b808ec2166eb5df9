#include "mail_fields.h"
#include "mail_word.h"
#include <string.h>

/* One line without its end; *rest is moved behind it. */
static parley_text line_cut(parley_text *rest)
{
  const char *end = rest->len > 0 ? memchr(rest->at, '\n', rest->len) : NULL;
  size_t len = end != NULL ? (size_t)(end - rest->at) : rest->len;
  parley_text line = {rest->at, len > 0 && rest->at[len - 1] == '\r' ? len - 1 : len};

  rest->at += end != NULL ? len + 1 : len;
  rest->len -= end != NULL ? len + 1 : len;
  return line;
}

/* Bytes of a well-formed UTF-8 character at text[0], 0: none. */
static size_t character_len(parley_text text)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned char first = (unsigned char)text.at[0];
  size_t len = first < 0x80 ? 1 : (first & 0xe0) == 0xc0 ? 2 : (first & 0xf0) == 0xe0 ? 3 : (first & 0xf8) == 0xf0 ? 4 : 0;
  uint32_t code = len > 1 ? first & (0x7fu >> len) : first;

  if (len == 0 || len > text.len)
    return 0;
  for (size_t i = 1; i < len; i++) {
    unsigned char next = (unsigned char)text.at[i];

    if ((next & 0xc0) != 0x80)
      return 0;
    code = code << 6 | (next & 0x3f);
  }
  return len > 1 && (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < 0xa0) ? 0 : len;
}

/* Appends, one space for any run of what is white or a control character. */
static size_t clean_append(parley_text text, char *to, size_t len, size_t room)
{
  while (text.len > 0) {
    size_t n = character_len(text);
    bool white = n == 1 && ((unsigned char)text.at[0] <= ' ' || text.at[0] == 0x7f);

    if (white && (len == 0 || to[len - 1] == ' ')) {
      n = 1;
    } else {
      if (len + (n > 0 ? n : 1) >= room)
        break;
      if (n > 1)
        memcpy(to + len, text.at, n);
      else
        to[len] = n == 0 ? '?' : white ? ' ' : text.at[0];
      n = n > 0 ? n : 1;
      len += n;
    }
    text.at += n;
    text.len -= n;
  }
  to[len] = '\0';
  return len;
}

static size_t value_end(char *to, size_t len)
{
  while (len > 0 && to[len - 1] == ' ')
    len--;
  to[len] = '\0';
  return len;
}

size_t mail_value_clean(parley_text text, char *to, size_t room)
{
  return value_end(to, clean_append(text, to, 0, room));
}

static bool is_folded(parley_text text)
{
  return text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t');
}

static bool name_cut(parley_text *line, parley_text *ret)
{
  size_t n = 0;

  while (n < line->len && (unsigned char)line->at[n] > ' ' && (unsigned char)line->at[n] < 0x7f && line->at[n] != ':')
    n++;
  if (n == 0 || n == line->len || line->at[n] != ':')
    return false;
  *ret = (parley_text){line->at, n};
  line->at += n + 1;
  line->len -= n + 1;
  return true;
}

static bool is_blank(parley_text line)
{
  for (size_t i = 0; i < line.len; i++)
    if (line.at[i] != ' ' && line.at[i] != '\t')
      return false;
  return true;
}

enum mail_field_step mail_field_next(struct mail_fields *fields, struct mail_field *ret)
{
  while (fields->rest.len > 0) {
    parley_text line = line_cut(&fields->rest);

    if (is_blank(line)) {
      if (!fields->in_group)
        continue;
      fields->in_group = false;
      return MAIL_FIELD_GROUP_END;
    }
    if (!name_cut(&line, &ret->name))
      continue;
    ret->len = clean_append(line, ret->value, 0, sizeof ret->value);
    while (is_folded(fields->rest)) {
      line = line_cut(&fields->rest);
      if (is_blank(line)) {
        fields->rest = (parley_text){line.at, fields->rest.len + (size_t)(fields->rest.at - line.at)};
        break;
      }
      ret->len = clean_append(line, ret->value, ret->len, sizeof ret->value);
    }
    ret->len = value_end(ret->value, ret->len);
    fields->in_group = true;
    return MAIL_FIELD;
  }
  if (!fields->in_group)
    return MAIL_FIELDS_END;
  fields->in_group = false;
  return MAIL_FIELD_GROUP_END;
}

bool mail_field_is(const struct mail_field *field, const char *name)
{
  return mail_word_is(field->name, name);
}
