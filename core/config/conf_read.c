#include "conf_read.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <string.h>

#define TEXT_BYTES_MAX 1024 /* of a text whose field names no other limit */
#define SHOWN_BYTES_MAX 60  /* of a value in an error */

/* --- Errors and the path to where we are --------------------------------------------------------------------------- */

static void error_put(struct conf_reader *r, uint32_t line, uint32_t col, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
static void error_put(struct conf_reader *r, uint32_t line, uint32_t col, const char *format, va_list args)
{
  struct buf text = BUF_INIT(0);

  buf_vprintf(&text, format, args);
  if (r->errors++ < CONF_ERRORS_MAX)
    yaml_error(r->file, line, col, r->why, "%s%s%s", r->path.len > 0 ? r->path.at : "", r->path.len > 0 ? ": " : "", text.at);
  buf_done(&text);
}

void conf_error(struct conf_reader *r, const struct yaml_node *node, const char *format, ...)
{
  va_list args;

  va_start(args, format);
  error_put(r, node->line, node->col, format, args);
  va_end(args);
}

void conf_error_at(struct conf_reader *r, uint32_t line, uint32_t col, const char *format, ...)
{
  va_list args;

  va_start(args, format);
  error_put(r, line, col, format, args);
  va_end(args);
}

const char *conf_shown(struct conf_reader *r, const struct yaml_node *node)
{
  struct buf text = BUF_INIT(0);
  const char *shown;
  size_t cut;

  if (node->kind != YAML_IS_TEXT)
    return yaml_kind_name(node->kind);
  if (node->raw.len == 0)
    return node->quoted ? "an empty text" : "nothing";
  cut = text_utf8_cut(node->raw, SHOWN_BYTES_MAX);
  buf_printf(&text, "'%.*s%s'", (int)cut, node->raw.at, cut < node->raw.len ? "..." : "");
  shown = arena_str(r->arena, text.at);
  buf_done(&text);
  return shown;
}

size_t conf_path_push(struct conf_reader *r, parley_text name)
{
  size_t mark = r->path.len;

  buf_printf(&r->path, "%s%.*s", mark > 0 ? "." : "", (int)text_utf8_cut(name, CONF_NAME_MAX), name.at);
  return mark;
}

static size_t path_push_index(struct conf_reader *r, size_t index)
{
  size_t mark = r->path.len;

  buf_printf(&r->path, "[%zu]", index);
  return mark;
}

void conf_path_pop(struct conf_reader *r, size_t mark)
{
  r->path.len = mark;
  if (r->path.at != NULL)
    r->path.at[mark] = '\0';
}

/* --- Mappings, lists, sections --------------------------------------------------------------------------------------- */

bool conf_is_empty(const struct yaml_node *node)
{
  return node->kind == YAML_IS_TEXT && !node->quoted && node->raw.len == 0;
}

static const struct conf_field *field_find(const struct conf_field *fields, parley_text name)
{
  for (; fields->name != NULL; fields++)
    if (parley_text_is(name, fields->name))
      return fields;
  return NULL;
}

static void unknown_complain(struct conf_reader *r, const struct yaml_member *member, const struct conf_field *fields)
{
  parley_text name = text_sub(member->name, 0, text_utf8_cut(member->name, SHOWN_BYTES_MAX));
  struct buf known = BUF_INIT(0);
  const char *words[40] = {NULL}, *nearest;

  for (size_t i = 0; fields[i].name != NULL && i + 1 < sizeof(words) / sizeof(words[0]); i++) {
    words[i] = fields[i].name;
    buf_printf(&known, "%s%s", i > 0 ? ", " : "", fields[i].name);
  }
  nearest = text_nearest(member->name, words);
  if (nearest != NULL)
    conf_error_at(r, member->line, member->col, "unknown key '%.*s': did you mean '%s'?", TEXT_ARG(name), nearest);
  else
    conf_error_at(r, member->line, member->col, "unknown key '%.*s'; known here: %s", TEXT_ARG(name), known.at);
  buf_done(&known);
}

static void required_check(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *fields)
{
  for (; fields->name != NULL; fields++)
    if (fields->required && yaml_find(node, fields->name) == NULL)
      conf_error(r, node, "'%s' is missing%s%s%s", fields->name, fields->example ? "; write `" : "",
                 fields->example ? fields->example : "", fields->example ? "`" : "");
}

void conf_read_mapping(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *fields, void *to)
{
  if (node->kind != YAML_IS_MAPPING && !conf_is_empty(node)) {
    conf_error(r, node, "must be a mapping, not %s", conf_shown(r, node));
    return;
  }
  for (size_t i = 0; i < node->count; i++) {
    const struct yaml_member *member = &node->members[i];
    const struct conf_field *field = field_find(fields, member->name);
    size_t mark;

    if (field == NULL) {
      unknown_complain(r, member, fields);
      continue;
    }
    mark = conf_path_push(r, member->name);
    field->read(r, member->value, field, (char *)to + field->offset);
    conf_path_pop(r, mark);
  }
  required_check(r, node, fields);
}

const void *conf_read_list(struct conf_reader *r, const struct yaml_node *node, size_t bytes, conf_item_fn *item, size_t *ret_count)
{
  char *items;

  if (conf_is_empty(node))
    return NULL;
  if (node->kind != YAML_IS_SEQUENCE) {
    conf_error(r, node, "must be a list: [ ... ], not %s", conf_shown(r, node));
    return NULL;
  }
  if (node->count > CONF_ITEMS_MAX) {
    conf_error(r, node, "has %zu entries; at most %d", node->count, CONF_ITEMS_MAX);
    return NULL;
  }
  items = arena_alloc(r->arena, bytes * node->count);
  *ret_count = node->count;
  for (size_t i = 0; i < node->count; i++) {
    size_t mark = path_push_index(r, i);

    item(r, node->items[i], items + i * bytes);
    conf_path_pop(r, mark);
  }
  return items;
}

const void *conf_read_section(struct conf_reader *r, const struct yaml_node *node, size_t bytes, conf_named_fn *item, size_t *ret_count)
{
  char *items;

  if (conf_is_empty(node))
    return NULL;
  if (node->kind != YAML_IS_MAPPING) {
    conf_error(r, node, "must be a mapping of names, not %s", conf_shown(r, node));
    return NULL;
  }
  if (node->count > CONF_ITEMS_MAX) {
    conf_error(r, node, "has %zu entries; at most %d", node->count, CONF_ITEMS_MAX);
    return NULL;
  }
  items = arena_alloc(r->arena, bytes * node->count);
  *ret_count = node->count;
  for (size_t i = 0; i < node->count; i++) {
    const struct yaml_member *member = &node->members[i];
    size_t mark = conf_path_push(r, member->name);

    if (!conf_name_ok(member->name))
      conf_error_at(r, member->line, member->col, "a name has 1 to %d of a-z 0-9 _ . -", CONF_NAME_MAX);
    item(r, member, items + i * bytes);
    conf_path_pop(r, mark);
  }
  return items;
}

const parley_text *conf_read_texts(struct conf_reader *r, const struct yaml_node *node, bool (*ok)(parley_text text),
                                   const char *what, size_t *ret_count)
{
  parley_text *texts;

  if (conf_is_empty(node))
    return NULL;
  if (node->kind != YAML_IS_SEQUENCE || node->count > CONF_ITEMS_MAX) {
    conf_error(r, node, "must be a list of at most %d: [ ... ], not %s", CONF_ITEMS_MAX, conf_shown(r, node));
    return NULL;
  }
  texts = arena_alloc(r->arena, node->count * sizeof(*texts));
  for (size_t i = 0; i < node->count; i++) {
    texts[i] = node->items[i]->text;
    if (node->items[i]->kind != YAML_IS_TEXT || !ok(texts[i]))
      conf_error(r, node->items[i], "%s is no %s", conf_shown(r, node->items[i]), what);
  }
  *ret_count = node->count;
  return texts;
}

/* --- Single values ----------------------------------------------------------------------------------------------------- */

/* A text with something in it. */
static bool value_is_text(struct conf_reader *r, const struct yaml_node *node, const char *wanted)
{
  if (node->kind == YAML_IS_TEXT && node->text.len > 0)
    return true;
  conf_error(r, node, "must be %s, not %s", wanted, node->kind == YAML_IS_TEXT ? "nothing" : yaml_kind_name(node->kind));
  return false;
}

void conf_read_text(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  size_t bytes_max = field->max > 0 ? (size_t)field->max : TEXT_BYTES_MAX;

  if (!value_is_text(r, node, "a text"))
    return;
  if (node->text.len > bytes_max)
    conf_error(r, node, "is too long: %zu bytes, at most %zu", node->text.len, bytes_max);
  else if (text_has_control(node->text))
    conf_error(r, node, "must not hold control characters");
  else
    *(parley_text *)to = node->text;
}

bool conf_name_ok(parley_text name)
{
  if (name.len == 0 || name.len > CONF_NAME_MAX)
    return false;
  for (size_t i = 0; i < name.len; i++) {
    char byte = name.at[i];

    if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '_' && byte != '.' && byte != '-')
      return false;
  }
  return true;
}

void conf_read_name(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  if (!value_is_text(r, node, "a name"))
    return;
  if (!conf_name_ok(node->text))
    conf_error(r, node, "%s is no name: 1 to %d of a-z 0-9 _ . -", conf_shown(r, node), CONF_NAME_MAX);
  else
    *(parley_text *)to = node->text;
}

void conf_read_u32(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  int64_t value;

  if (node->kind != YAML_IS_TEXT || node->quoted || !text_to_int(node->text, field->min, field->max, &value))
    conf_error(r, node, "%s is no number from %lld to %lld", conf_shown(r, node), (long long)field->min,
               (long long)field->max);
  else
    *(uint32_t *)to = (uint32_t)value;
}

bool conf_bool_parse(const struct yaml_node *node, bool *ret)
{
  bool is = node->kind == YAML_IS_TEXT && !node->quoted && parley_text_is(node->text, "true");

  if (!is && (node->kind != YAML_IS_TEXT || node->quoted || !parley_text_is(node->text, "false")))
    return false;
  *ret = is;
  return true;
}

void conf_read_bool(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  if (!conf_bool_parse(node, to))
    conf_error(r, node, "must be true or false, not %s", conf_shown(r, node));
}

static bool span_take(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, int64_t *ret)
{
  struct buf range = BUF_INIT(0);
  int64_t ms;
  bool ok = false;

  buf_span(&range, field->min);
  buf_str(&range, " to ");
  buf_span(&range, field->max);
  if (node->kind != YAML_IS_TEXT || !span_parse(node->text, &ms))
    conf_error(r, node, "%s is no time: one number and one of ms s m h d, such as 30s; %s", conf_shown(r, node), range.at);
  else if (ms < field->min || ms > field->max)
    conf_error(r, node, "%s is out of range: %s", conf_shown(r, node), range.at);
  else
    ok = true;
  if (ok)
    *ret = ms;
  buf_done(&range);
  return ok;
}

void conf_read_span(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  span_take(r, node, field, to);
}

void conf_read_span32(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  int64_t ms;

  if (span_take(r, node, field, &ms))
    *(uint32_t *)to = (uint32_t)ms;
}

bool conf_size_parse(parley_text text, uint64_t *ret_bytes)
{
  static const char units[] = "KMGT";
  const char *unit = text.len > 0 && text.at[text.len - 1] != '\0' ? strchr(units, text.at[text.len - 1]) : NULL;
  unsigned shift = unit != NULL ? (unsigned)(unit - units + 1) * 10 : 0;
  uint64_t count;

  if (!text_to_uint(text_sub(text, 0, text.len - (unit != NULL)), UINT64_MAX >> shift, &count))
    return false;
  *ret_bytes = count << shift;
  return true;
}

static void size_put(struct buf *to, int64_t bytes)
{
  static const char units[] = "KMGT";
  size_t unit = 0;

  while (unit < 4 && bytes > 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    unit++;
  }
  buf_int(to, bytes);
  if (unit > 0)
    buf_char(to, units[unit - 1]);
}

static bool size_take(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, uint64_t *ret)
{
  struct buf range = BUF_INIT(0);
  uint64_t bytes = 0;
  bool ok = node->kind == YAML_IS_TEXT && conf_size_parse(node->text, &bytes);

  size_put(&range, field->min);
  buf_str(&range, " to ");
  size_put(&range, field->max);
  if (!ok)
    conf_error(r, node, "%s is no size: a number, or one with K, M or G, such as 10M; %s", conf_shown(r, node), range.at);
  else if (bytes < (uint64_t)field->min || bytes > (uint64_t)field->max)
    conf_error(r, node, "%s is out of range: %s", conf_shown(r, node), range.at);
  else
    *ret = bytes;
  ok = ok && bytes >= (uint64_t)field->min && bytes <= (uint64_t)field->max;
  buf_done(&range);
  return ok;
}

void conf_read_size(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  size_take(r, node, field, to);
}

void conf_read_size32(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  uint64_t bytes;

  if (size_take(r, node, field, &bytes))
    *(uint32_t *)to = (uint32_t)bytes;
}

void conf_read_choice(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct buf words = BUF_INIT(0);
  const char *nearest = node->kind == YAML_IS_TEXT ? text_nearest(node->text, field->words) : NULL;
  bool found = false;

  for (int i = 0; field->words[i] != NULL; i++) {
    buf_printf(&words, "%s%s", i > 0 ? ", " : "", field->words[i]);
    if (node->kind != YAML_IS_TEXT || !parley_text_is(node->text, field->words[i]))
      continue;
    *(int *)to = field->first + i;
    found = true;
  }
  if (!found && nearest != NULL)
    conf_error(r, node, "%s is not known: did you mean '%s'? One of: %s", conf_shown(r, node), nearest, words.at);
  else if (!found)
    conf_error(r, node, "%s is not known; one of: %s", conf_shown(r, node), words.at);
  buf_done(&words);
}

void conf_read_path(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text path = TEXT_EMPTY;
  struct conf_field limited = *field;

  limited.max = 4095;
  conf_read_text(r, node, &limited, &path);
  if (path.len > 0)
    *(parley_text *)to = parley_text_of(yaml_path(r->file, r->arena, path));
}

void conf_read_secret(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct buf dropped = BUF_INIT(0);
  struct buf *why = r->errors < CONF_ERRORS_MAX ? r->why : &dropped;

  (void)field;
  if (secret_read(r->file, node, r->path.at, SECRET_LINE, r->secrets, to, why) != PARLEY_OK)
    r->errors++;
  buf_done(&dropped);
}

bool conf_is_url(parley_text text, enum conf_url kind)
{
  size_t scheme = text_starts(text, "https://") ? 8 : text_starts(text, "http://") ? 7 : 0, end;
  parley_text rest = text_sub(text, scheme, SIZE_MAX), host;

  end = text_find(rest, '/') < text_find(rest, '?') ? text_find(rest, '/') : text_find(rest, '?');
  host = text_sub(rest, 0, end);
  if (scheme == 0 || host.len == 0 || host.at[0] == ':' || text_find(host, '@') < host.len)
    return false;
  for (size_t i = 0; i < rest.len; i++)
    if (rest.at[i] <= ' ' || rest.at[i] == 0x7f || memchr("\"<>\\^`{|}#", rest.at[i], 10) != NULL)
      return false;
  return kind == CONF_URL_ANY || (text_find(rest, '?') == rest.len && (kind == CONF_URL_BASE || end == rest.len));
}

void conf_read_url(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text url = TEXT_EMPTY;

  conf_read_text(r, node, field, &url);
  if (url.len == 0)
    return;
  if (conf_is_url(url, (enum conf_url)field->first))
    *(parley_text *)to = url;
  else
    conf_error(r, node, "this is no URL such as https://shop.example/path (http or https, a host, no user, no '#'%s)",
               field->first == CONF_URL_ANY ? "" : ", no '?'");
}

void conf_read_node(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  if (node->kind == YAML_IS_MAPPING)
    *(const struct yaml_node **)to = node;
  else if (!conf_is_empty(node))
    conf_error(r, node, "must be a mapping, not %s", conf_shown(r, node));
}

bool conf_rate_parse(parley_text text, struct conf_rate *ret)
{
  parley_text unit = text;
  uint64_t count;

  if (!text_to_uint(text_cut(&unit, '/'), 1000000, &count) || count == 0 || unit.len != 1)
    return false;
  if (unit.at[0] != 's' && unit.at[0] != 'm' && unit.at[0] != 'h')
    return false;
  ret->count = (uint32_t)count;
  ret->span_ms = unit.at[0] == 's' ? 1000 : unit.at[0] == 'm' ? 60000 : 3600000;
  return true;
}
