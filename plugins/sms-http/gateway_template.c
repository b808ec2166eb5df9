#include "gateway_template.h"
#include "sms_form.h"
#include <stdio.h>

struct gateway_piece {
  parley_text literal, name; /* the name behind the literal; empty at the end */
  bool quoted;               /* JSON: the name stands within quotes */
};

#define LIST_NAME "media"

static bool name_allowed(parley_text name, const char *const *names)
{
  for (; *names != NULL; names++) {
    size_t len = strlen(*names);

    if ((*names)[len - 1] == '.' ? name.len > len && memcmp(name.at, *names, len) == 0 : parley_text_is(name, *names))
      return true;
  }
  return false;
}

static void names_list(const char *const *names, char *to, size_t room)
{
  size_t len = 0;

  to[0] = '\0';
  for (; *names != NULL && len < room; names++)
    len += (size_t)snprintf(to + len, room - len, "%s%s%s", len > 0 ? ", " : "", *names,
                            (*names)[strlen(*names) - 1] == '.' ? "NAME" : "");
}

static parley_text trimmed(parley_text text)
{
  while (text.len > 0 && text.at[0] == ' ')
    text = (parley_text){text.at + 1, text.len - 1};
  while (text.len > 0 && text.at[text.len - 1] == ' ')
    text.len--;
  return text;
}

/* Whether one stands within quotes behind this literal. */
static bool quotes_follow(parley_text literal, bool quoted)
{
  for (size_t i = 0; i < literal.len; i++) {
    if (quoted && literal.at[i] == '\\')
      i++;
    else if (literal.at[i] == '"')
      quoted = !quoted;
  }
  return quoted;
}

static bool name_check(parley_text name, enum gateway_place place, bool quoted, const char *const *names, char *why)
{
  char list[GATEWAY_TEMPLATE_WHY_ROOM / 2 + 20];
  int shown = name.len < 32 ? (int)name.len : 32;

  if (!name_allowed(name, names)) {
    names_list(names, list, sizeof list);
    snprintf(why, GATEWAY_TEMPLATE_WHY_ROOM, "{{%.*s}} is unknown; allowed: %s", shown, name.at, list);
    return false;
  }
  if (place == GATEWAY_IN_JSON && quoted == parley_text_is(name, LIST_NAME)) {
    snprintf(why, GATEWAY_TEMPLATE_WHY_ROOM,
             quoted ? "{{%.*s}} is a list: write it without quotes" : "{{%.*s}} stands within quotes in JSON: write \"{{%.*s}}\"",
             shown, name.at, shown, name.at);
    return false;
  }
  return true;
}

static const char *find_two(parley_text text, char c)
{
  for (size_t i = 0; i + 1 < text.len; i++)
    if (text.at[i] == c && text.at[i + 1] == c)
      return text.at + i;
  return NULL;
}

/* One literal and the name behind it. false: why says what is wrong. */
static bool piece_read(parley_text *rest, enum gateway_place place, const char *const *names, bool *quoted, struct gateway_piece *to,
                       char *why)
{
  const char *open = find_two(*rest, '{'), *close;
  parley_text inside;

  *to = (struct gateway_piece){.literal = {rest->at, open != NULL ? (size_t)(open - rest->at) : rest->len}};
  *quoted = quotes_follow(to->literal, *quoted);
  if (open == NULL) {
    rest->len = 0;
    return true;
  }
  inside = (parley_text){open + 2, (size_t)(rest->at + rest->len - open - 2)};
  close = find_two(inside, '}');
  if (close == NULL) {
    snprintf(why, GATEWAY_TEMPLATE_WHY_ROOM, "{{ has no }} behind it");
    return false;
  }
  to->name = trimmed((parley_text){inside.at, (size_t)(close - inside.at)});
  to->quoted = *quoted;
  *rest = (parley_text){close + 2, (size_t)(inside.at + inside.len - close - 2)};
  return name_check(to->name, place, *quoted, names, why);
}

parley_status gateway_template_read(parley_text text, enum gateway_place place, const char *const *names, struct copy *memory,
                                    struct gateway_template *ret, char why[GATEWAY_TEMPLATE_WHY_ROOM])
{
  struct gateway_template made = {.place = place};
  parley_text rest = text;
  bool quoted = false;

  if (text.len > GATEWAY_TEMPLATE_BYTES_MAX) {
    snprintf(why, GATEWAY_TEMPLATE_WHY_ROOM, "it is longer than %d bytes", GATEWAY_TEMPLATE_BYTES_MAX);
    return PARLEY_INVALID;
  }
  made.pieces = copy_room(memory, (GATEWAY_TEMPLATE_NAMES_MAX + 1) * sizeof *made.pieces);
  if (made.pieces == NULL)
    return PARLEY_BUSY;
  while (rest.len > 0) {
    if (made.n_pieces > GATEWAY_TEMPLATE_NAMES_MAX) {
      snprintf(why, GATEWAY_TEMPLATE_WHY_ROOM, "it has more than %d names", GATEWAY_TEMPLATE_NAMES_MAX);
      return PARLEY_INVALID;
    }
    if (!piece_read(&rest, place, names, &quoted, &made.pieces[made.n_pieces], why))
      return PARLEY_INVALID;
    made.n_pieces++;
  }
  *ret = made;
  return PARLEY_OK;
}

static void list_write(const parley_text *list, uint32_t n, struct json_writer *to)
{
  json_write_lit(to, "[");
  for (uint32_t i = 0; i < n; i++) {
    json_write_lit(to, i > 0 ? "," : "");
    json_write_text(to, list[i]);
  }
  json_write_lit(to, "]");
}

static bool value_write(enum gateway_place place, parley_text value, struct json_writer *to)
{
  for (size_t i = 0; place == GATEWAY_IN_HEADER && i < value.len; i++)
    if ((unsigned char)value.at[i] < 0x20 || value.at[i] == 0x7f)
      return false;
  if (place == GATEWAY_IN_URL)
    sms_percent_write(to, value);
  else if (place == GATEWAY_IN_JSON)
    json_write_chars(to, value);
  else
    json_write_raw(to, value);
  return true;
}

bool gateway_template_write(const struct gateway_template *template, gateway_value *value, const void *arg, const parley_text *list,
                            uint32_t n_list, struct json_writer *to)
{
  for (uint32_t i = 0; i < template->n_pieces; i++) {
    const struct gateway_piece *piece = &template->pieces[i];
    parley_text text = {NULL, 0};

    json_write_raw(to, piece->literal);
    if (piece->name.len == 0)
      continue;
    if (parley_text_is(piece->name, LIST_NAME) && template->place == GATEWAY_IN_JSON)
      list_write(list, n_list, to);
    else if (!value(piece->name, &text, arg) || !value_write(template->place, text, to))
      return false;
  }
  return true;
}

bool gateway_template_names(const struct gateway_template *template, const char *name)
{
  for (uint32_t i = 0; i < template->n_pieces; i++)
    if (parley_text_is(template->pieces[i].name, name))
      return true;
  return false;
}

bool gateway_template_is(const struct gateway_template *template, const char *name)
{
  return template->n_pieces == 1 && template->pieces[0].literal.len == 0 && parley_text_is(template->pieces[0].name, name);
}
