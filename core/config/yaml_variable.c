#include "yaml_variable.h"
#include "core/base/text.h"

#define NAME_BYTES_MAX 128

/* Bytes of the variable's name at the start of t: letters, digits and _, no digit first. */
static size_t name_len(parley_text t)
{
  size_t len = 0;

  while (len < t.len && ((t.at[len] >= 'A' && t.at[len] <= 'Z') || (t.at[len] >= 'a' && t.at[len] <= 'z') ||
                         t.at[len] == '_' || (len > 0 && t.at[len] >= '0' && t.at[len] <= '9')))
    len++;
  return len;
}

static parley_status value_add(parley_text name, parley_text value, struct buf *to, struct buf *why)
{
  if (value.len > YAML_VARIABLE_BYTES_MAX) {
    buf_printf(why, "the variable %.*s is too long: at most %d bytes", TEXT_ARG(name), YAML_VARIABLE_BYTES_MAX);
    return PARLEY_INVALID;
  }
  if (!text_utf8_ok(value)) {
    buf_printf(why, "the variable %.*s is not UTF-8", TEXT_ARG(name));
    return PARLEY_INVALID;
  }
  buf_text(to, value);
  return PARLEY_OK;
}

/* inside: what stands between `${` and `}`. */
static parley_status variable_fill(parley_text inside, yaml_variable *variable, struct buf *to, struct buf *why)
{
  char name[NAME_BYTES_MAX + 1];
  size_t len = name_len(inside);
  parley_text after = text_sub(inside, len, SIZE_MAX), word = text_sub(after, 2, SIZE_MAX);
  bool fallback = text_starts(after, ":-"), needed = text_starts(after, ":?");
  const char *value;

  if (len == 0 || len > NAME_BYTES_MAX || (after.len > 0 && !fallback && !needed)) {
    buf_str(why, "write ${NAME}, ${NAME:-default} or ${NAME:?message}; for a dollar sign write $$");
    return PARLEY_INVALID;
  }
  memcpy(name, inside.at, len);
  name[len] = '\0';
  value = variable(name);
  if (value != NULL && (*value != '\0' || after.len == 0))
    return value_add(text_sub(inside, 0, len), parley_text_of(value), to, why);
  if (fallback) {
    buf_text(to, word);
    return PARLEY_OK;
  }
  if (needed && word.len > 0)
    buf_printf(why, "the variable %s is not set: %.*s", name, TEXT_ARG(word));
  else
    buf_printf(why, "the variable %s is not set; set it, or write ${%s:-default}", name, name);
  return PARLEY_INVALID;
}

parley_status variables_fill(parley_text raw, yaml_variable *variable, struct buf *to, struct buf *why)
{
  parley_status st = PARLEY_OK;
  size_t dollar;

  while (st == PARLEY_OK && (dollar = text_find(raw, '$')) < raw.len) {
    buf_text(to, text_sub(raw, 0, dollar));
    raw = text_sub(raw, dollar + 1, SIZE_MAX);
    if (text_starts(raw, "$")) {
      buf_char(to, '$');
      raw = text_sub(raw, 1, SIZE_MAX);
    } else if (text_starts(raw, "{") && text_find(raw, '}') < raw.len) {
      parley_text inside = text_cut(&raw, '}');

      st = variable_fill(text_sub(inside, 1, SIZE_MAX), variable, to, why);
    } else {
      buf_str(why, "'$' alone means nothing here; for a dollar sign write $$, for a variable ${NAME}");
      st = PARLEY_INVALID;
    }
  }
  if (st == PARLEY_OK)
    buf_text(to, raw);
  if (st == PARLEY_OK && to->overflow) {
    buf_str(why, "with its variables filled in this is too long");
    st = PARLEY_INVALID;
  }
  return st;
}
