/* How an error shows its place: the source line, what may be a secret in it masked, and a caret. */
#include "core/base/text.h"
#include "yaml.h"
#include <string.h>

#define MESSAGE_BYTES_MAX 600
#define LINE_CHARS_MAX 160 /* of the source line that are shown */

static bool at_line_end(parley_text source, size_t pos)
{
  return pos >= source.len || source.at[pos] == '\n' || source.at[pos] == '\r';
}

/* The line by its number, from 1; LF, CR and CRLF end one, as libyaml counts. */
static parley_text source_line(parley_text source, uint32_t number)
{
  size_t from = 0, to;

  for (uint32_t line = 1;; line++) {
    for (to = from; !at_line_end(source, to); to++)
      ;
    if (line == number || to >= source.len)
      return line == number ? text_sub(source, from, to - from) : TEXT_EMPTY;
    from = to + 1 + (source.at[to] == '\r' && to + 1 < source.len && source.at[to + 1] == '\n');
  }
}

static bool byte_is_word(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_' ||
         byte == '-';
}

static bool text_contains_nocase(parley_text text, const char *part)
{
  parley_text wanted = parley_text_of(part);

  for (size_t i = 0; i + wanted.len <= text.len; i++)
    if (text_eq_nocase(text_sub(text, i, wanted.len), wanted))
      return true;
  return false;
}

/* Does a key of this name usually hold a secret? */
static bool name_is_secretive(parley_text name)
{
  static const char *const parts[] = {"secret", "passw", "passphrase", "token", "credential", "apikey"};

  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    if (text_contains_nocase(name, parts[i]))
      return true;
  return text_is_nocase(name, "pass") || text_is_nocase(name, "pwd") || text_is_nocase(name, "pin") ||
         (name.len >= 3 && text_is_nocase(text_sub(name, name.len - 3, 3), "key"));
}

static size_t skip_spaces(parley_text line, size_t pos)
{
  while (pos < line.len && (line.at[pos] == ' ' || line.at[pos] == '\t'))
    pos++;
  return pos;
}

/* The key (a word, perhaps in quotes, before a colon) at pos: its name, and where its value starts. */
static bool key_at(parley_text line, size_t pos, parley_text *ret_name, size_t *ret_value)
{
  size_t end = pos;

  while (end < line.len && byte_is_word(line.at[end]))
    end++;
  *ret_name = text_sub(line, pos, end - pos);
  if (end < line.len && (line.at[end] == '"' || line.at[end] == '\''))
    end++;
  end = skip_spaces(line, end);
  if (ret_name->len == 0 || end >= line.len || line.at[end] != ':')
    return false;
  *ret_value = skip_spaces(line, end + 1);
  return true;
}

static bool key_is_reference(parley_text name)
{
  return parley_text_is(name, "file") || parley_text_is(name, "env") || parley_text_is(name, "credential");
}

/* Masks a value from pos to its end: a comma or closing bracket, outside of quotes. Returns the end. */
static size_t mask_value(parley_text line, size_t pos, char *hide)
{
  char quote = '\0';

  for (; pos < line.len && (quote != '\0' || memchr(",}]", line.at[pos], 3) == NULL); pos++) {
    if (quote == '\0' && (line.at[pos] == '"' || line.at[pos] == '\''))
      quote = line.at[pos];
    else if (line.at[pos] == quote)
      quote = '\0';
    hide[pos] = line.at[pos] != ' ' && line.at[pos] != '\t';
  }
  return pos;
}

/* `{ env: NAME }` stays readable; whatever else stands in these brackets does not. */
static size_t mask_bracket(parley_text line, size_t pos, char *hide)
{
  while (pos < line.len && line.at[pos] != '}' && line.at[pos] != ']') {
    parley_text name;
    size_t value;

    pos = skip_spaces(line, pos);
    if (pos < line.len && memchr("{[,", line.at[pos], 3) != NULL) {
      pos++;
    } else if (key_at(line, pos, &name, &value) && key_is_reference(name)) {
      while (pos < line.len && memchr(",}]", line.at[pos], 3) == NULL)
        pos++;
    } else {
      pos = mask_value(line, pos, hide);
    }
  }
  return pos;
}

static void mask_keys(parley_text line, char *hide)
{
  for (size_t pos = 0; pos < line.len; pos++) {
    parley_text name;
    size_t value;

    if ((pos > 0 && byte_is_word(line.at[pos - 1])) || !key_at(line, pos, &name, &value) || !name_is_secretive(name))
      continue;
    if (value < line.len && (line.at[value] == '{' || line.at[value] == '['))
      pos = mask_bracket(line, value, hide);
    else if (value < line.len && line.at[value] != '#')
      pos = mask_value(line, value, hide);
  }
}

/* `whsec_...` and the user:password of a URL, wherever they stand. */
static void mask_patterns(parley_text line, char *hide)
{
  for (size_t pos = 0; pos < line.len; pos++) {
    parley_text rest = text_sub(line, pos, SIZE_MAX);
    size_t end = 0;

    if (text_starts(rest, "whsec_")) {
      for (end = 6; end < rest.len && (byte_is_word(rest.at[end]) || memchr("+/=", rest.at[end], 3) != NULL); end++)
        hide[pos + end] = 1;
    } else if (text_starts(rest, "://")) {
      for (end = 3; end < rest.len && memchr("/ \"',@", rest.at[end], 6) == NULL; end++)
        ;
      if (end < rest.len && rest.at[end] == '@')
        memset(hide + pos + 3, 1, end - 3);
    }
  }
}

static bool line_is_blank(parley_text line)
{
  parley_text trimmed = text_trim(line);

  return trimmed.len == 0 || trimmed.at[0] == '#';
}

/* The line before the one that starts at *at, which moves to its start. *at > 0. */
static parley_text line_above(parley_text source, size_t *at)
{
  size_t end = *at - 1, start;

  if (end > 0 && source.at[end] == '\n' && source.at[end - 1] == '\r')
    end--;
  for (start = end; start > 0 && !at_line_end(source, start - 1); start--)
    ;
  *at = start;
  return text_sub(source, start, end - start);
}

/* Does this line go on with the value of a secretive key above it? */
static bool line_continues_secret(parley_text source, parley_text line)
{
  size_t indent = skip_spaces(line, 0), start, value, at = (size_t)(line.at - source.at);
  parley_text name;

  if (key_at(line, indent, &name, &value) && key_is_reference(name))
    return false;
  while (indent > 0 && at > 0) {
    parley_text above = line_above(source, &at);

    start = skip_spaces(above, 0);
    if (line_is_blank(above) || start >= indent)
      continue;
    while (start < above.len && (above.at[start] == '-' || above.at[start] == ' ' || above.at[start] == '"'))
      start++;
    return key_at(above, start, &name, &value) && name_is_secretive(name);
  }
  return false;
}

static void line_show(const struct yaml_file *file, uint32_t number, uint32_t col, bool hidden, struct buf *to)
{
  parley_text line = source_line(file->source, number);
  struct buf hide = BUF_INIT(0), caret = BUF_INIT(0);
  size_t from = col > LINE_CHARS_MAX * 3 / 4 ? col - LINE_CHARS_MAX / 2 : 1; /* the first character shown */
  bool all = line.len > 0 && line_continues_secret(file->source, line);
  uint32_t at = 1;

  for (size_t i = 0; i <= line.len; i++)
    buf_char(&hide, all ? 1 : 0);
  mask_keys(line, hide.at);
  mask_patterns(line, hide.at);
  buf_printf(to, "%5u | ", number);
  for (size_t pos = 0; pos < line.len && at < from + LINE_CHARS_MAX; at++) {
    size_t start = pos;
    bool blank;

    text_utf8_next(line, &pos);
    blank = line.at[start] == ' ' || line.at[start] == '\t';
    if (at < from)
      continue;
    if (hidden && at >= col) {
      buf_str(to, "***"); /* and nothing behind it */
      break;
    }
    if (!blank && hide.at[start])
      buf_char(to, '*');
    else if (line.at[start] == '\t' || !text_has_control(text_sub(line, start, pos - start)))
      buf_add(to, line.at + start, pos - start);
    else
      buf_char(to, '?');
    if (at < col)
      buf_char(&caret, line.at[start] == '\t' ? '\t' : ' ');
  }
  for (; at < col && at < from + LINE_CHARS_MAX; at++)
    buf_char(&caret, ' ');
  buf_printf(to, "\n      | %.*s^\n", TEXT_ARG(buf_as_text(&caret)));
  buf_done(&hide);
  buf_done(&caret);
}

static void error_put(const struct yaml_file *file, uint32_t line, uint32_t col, bool hidden, struct buf *to,
                      const char *format, va_list args) __attribute__((format(printf, 6, 0)));
static void error_put(const struct yaml_file *file, uint32_t line, uint32_t col, bool hidden, struct buf *to,
                      const char *format, va_list args)
{
  struct buf message = BUF_INIT(0);
  parley_text text;

  buf_vprintf(&message, format, args);
  for (size_t i = 0; i < message.len; i++)
    if (text_has_control(text_sub(buf_as_text(&message), i, 1)))
      message.at[i] = '?'; /* a name from the file may hold anything, also what moves a terminal's cursor */
  text = buf_as_text(&message);
  buf_printf(to, "%s:%u:%u: error: %.*s\n", file->path, line, col, (int)text_utf8_cut(text, MESSAGE_BYTES_MAX), text.at);
  buf_done(&message);
  line_show(file, line, col, hidden, to);
}

void yaml_error(const struct yaml_file *file, uint32_t line, uint32_t col, struct buf *to, const char *format, ...)
{
  va_list args;

  va_start(args, format);
  error_put(file, line, col, false, to, format, args);
  va_end(args);
}

void yaml_error_hidden(const struct yaml_file *file, uint32_t line, uint32_t col, struct buf *to, const char *format, ...)
{
  va_list args;

  va_start(args, format);
  error_put(file, line, col, true, to, format, args);
  va_end(args);
}
