/* Options made out of the plugin's own table, written as YAML and read by the host's own reader: what create() gets here is what
 * it would get from a configuration. */
#include "core/channel/option.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/file.h"
#include "inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YAML_BYTES_MAX ((size_t)512 << 10)
#define ENV_NAME_ROOM 96
#define PLANTED_EXAMPLE_BYTES_MIN 12 /* an example shorter than this is no format worth keeping */
#define PLANTED_BYTES 23
#define ODD_BYTES_MAX 2000

/* --- What stands in the file -------------------------------------------------------------------------------------- */

static const char *scalar_text(const parley_option *option)
{
  if (option->example != NULL)
    return option->example;
  if (option->default_text != NULL)
    return option->default_text;
  switch (option->type) {
  case PARLEY_OPTION_CHOICE:
    return option->choices[0];
  case PARLEY_OPTION_INT:
    return "1";
  case PARLEY_OPTION_BOOL:
    return "true";
  case PARLEY_OPTION_URL:
    return "https://kit.example/";
  case PARLEY_OPTION_DURATION:
    return "10s";
  case PARLEY_OPTION_SIZE:
    return "1M";
  default:
    return "kit";
  }
}

/* Quoted as JSON, which is YAML; a dollar would begin a variable. */
static void yaml_quote(struct buf *to, parley_text text)
{
  struct buf doubled = BUF_INIT(0);

  for (size_t i = 0; i < text.len; i++) {
    buf_char(&doubled, text.at[i]);
    if (text.at[i] == '$')
      buf_char(&doubled, '$');
  }
  buf_json_text(to, buf_as_text(&doubled));
  buf_done(&doubled);
}

struct writing {
  struct kit *kit;
  const struct kit_plan *plan;
  struct buf *to;
};

bool kit_option_holds(const parley_option *option, const parley_option *wanted)
{
  if (option == wanted)
    return true;
  for (const parley_option *const *field = option->fields; field != NULL && *field != NULL; field++)
    if (kit_option_holds(*field, wanted))
      return true;
  return false;
}

static bool any_example(const parley_option *option)
{
  if (option->example != NULL)
    return true;
  for (const parley_option *const *field = option->fields; field != NULL && *field != NULL; field++)
    if (any_example(*field))
      return true;
  return false;
}

static bool option_written(const struct kit_plan *plan, const parley_option *option)
{
  if (plan->option != NULL && option == plan->option)
    return plan->yaml != NULL;
  if (plan->option != NULL && kit_option_holds(option, plan->option))
    return true;
  if ((option->flags & PARLEY_REQUIRED) != 0 && option->default_text == NULL)
    return true;
  return plan->all && any_example(option);
}

/* The class of each letter is kept, so that what had the right format still has it: half way through, a quarter of it. */
static parley_text secret_planted(struct kit *kit, const parley_option *option)
{
  const char *example = option->example;
  size_t len = PLANTED_BYTES;
  char *made;

  if (example == NULL || strlen(example) < PLANTED_EXAMPLE_BYTES_MIN) {
    len = option->max > 0 && option->max < PLANTED_BYTES ? (size_t)option->max : len;
    len = len < (size_t)option->min ? (size_t)option->min : len;
    made = arena_alloc(kit->arena, len + 1);
    for (size_t i = 0; i < len; i++)
      made[i] = "bcdfghjkmnpqrstvwxz0123456789"[kit_below(kit, 29)];
    return parley_text_of(made);
  }
  len = strlen(example);
  made = arena_str(kit->arena, example);
  for (size_t i = len / 2; i < len - len / 4; i++) {
    if (made[i] >= 'a' && made[i] <= 'z')
      made[i] = (char)('a' + kit_below(kit, 26));
    else if (made[i] >= 'A' && made[i] <= 'Z')
      made[i] = (char)('A' + kit_below(kit, 26));
    else if (made[i] >= '0' && made[i] <= '9')
      made[i] = (char)('0' + kit_below(kit, 10));
  }
  return parley_text_of(made);
}

static void secret_write(struct writing *writing, const parley_option *option)
{
  char name[ENV_NAME_ROOM];
  const char *value = option->example != NULL ? option->example : "kit-secret-without-example";

  if (writing->kit->planted)
    value = secret_planted(writing->kit, option).at;
  /* several groups may have a secret of one name: its place in the text tells them apart */
  snprintf(name, sizeof name, "PARLEY_KIT_%zu_%s", writing->to->len, option->name != NULL ? option->name : "element");
  setenv(name, value, 1);
  buf_printf(writing->to, "{env: %s}", name);
}

static void value_write(struct writing *writing, const parley_option *option);

static void group_write(struct writing *writing, const parley_option *option)
{
  bool any = false;

  buf_char(writing->to, '{');
  for (const parley_option *const *field = option->fields; field != NULL && *field != NULL; field++) {
    if (!option_written(writing->plan, *field))
      continue;
    buf_printf(writing->to, "%s%s: ", any ? ", " : "", (*field)->name);
    value_write(writing, *field);
    any = true;
  }
  buf_char(writing->to, '}');
}

static void value_write(struct writing *writing, const parley_option *option)
{
  const struct kit_plan *plan = writing->plan;
  bool inside = plan->option != NULL && plan->option != option && kit_option_holds(option, plan->option);

  if (plan->option == option && plan->yaml != NULL) {
    buf_str(writing->to, plan->yaml);
  } else if ((option->flags & PARLEY_SECRET) != 0) {
    secret_write(writing, option);
  } else if (option->type == PARLEY_OPTION_GROUP) {
    group_write(writing, option);
  } else if (option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP) {
    if (option->example != NULL && !inside) {
      buf_str(writing->to, option->example);
      return;
    }
    buf_str(writing->to, option->type == PARLEY_OPTION_LIST ? "[" : "{one: ");
    value_write(writing, option->fields[0]);
    buf_str(writing->to, option->type == PARLEY_OPTION_LIST ? "]" : "}");
  } else {
    yaml_quote(writing->to, parley_text_of(scalar_text(option)));
  }
}

/* --- Reading it as the host does ---------------------------------------------------------------------------------- */

static void secret_note(parley_text value, void *arg)
{
  struct kit *kit = arg;

  for (size_t i = 0; i < kit->n_secrets; i++)
    if (text_eq(kit->secrets[i], value))
      return;
  if (kit->n_secrets < KIT_SECRETS_MAX)
    kit->secrets[kit->n_secrets++] = arena_text(kit->arena, value);
}

static parley_status source_read(struct kit *kit, struct yaml_file *file, struct arena *arena, const parley_value **ret,
                                 struct buf *why)
{
  struct secrets *secrets = arena_alloc(kit->arena, sizeof *secrets); /* live as long as the case */

  return options_read(file, file->root, 1, 1, "options", kit->plugin->options, arena, secrets, ret, why);
}

static void plan_write(struct kit *kit, const struct kit_plan *plan, struct buf *source)
{
  struct writing writing = {kit, plan, source};

  buf_str(source, "# options made by the kit\n");
  for (const parley_option *const *option = kit->plugin->options; option != NULL && *option != NULL; option++) {
    if (!option_written(plan, *option))
      continue;
    buf_printf(source, "%s: ", (*option)->name);
    value_write(&writing, *option);
    buf_char(source, '\n');
  }
  if (plan->option == NULL && plan->yaml != NULL)
    buf_printf(source, "%s\n", plan->yaml);
}

parley_status kit_options(struct kit *kit, const struct kit_plan *plan, struct arena *arena, const parley_value **ret, struct buf *why)
{
  struct buf source = BUF_INIT(YAML_BYTES_MAX);
  struct yaml_file *file = NULL;
  parley_status st;

  plan_write(kit, plan, &source);
  if (text_find(buf_as_text(&source), ':') == source.len)
    buf_str(&source, "{}\n");
  st = yaml_parse("options", buf_as_text(&source), NULL, &file, why);
  if (st == PARLEY_OK)
    st = source_read(kit, file, arena, ret, why);
  yaml_file_free(&file);
  buf_done(&source);
  return st;
}

/* { env: KIT_SECRET } is a secret that everybody may know, so that a plugin whose secrets are optional can have one here. */
static const char *file_variable(const char *name)
{
  return strcmp(name, "KIT_SECRET") == 0 ? "kit-secret-that-everybody-knows" : getenv(name);
}

static parley_status options_of_file(struct kit *kit, const char *path, const parley_value **ret, struct buf *why)
{
  struct buf source = BUF_INIT(YAML_BYTES_MAX);
  struct yaml_file *file = NULL;
  parley_status st = file_read(path, YAML_BYTES_MAX, 0, &source, why);

  if (st == PARLEY_OK)
    st = yaml_parse(path, buf_as_text(&source), file_variable, &file, why);
  if (st == PARLEY_OK)
    st = source_read(kit, file, kit->arena, ret, why);
  yaml_file_free(&file);
  buf_done(&source);
  return st;
}

void kit_options_default(struct kit *kit)
{
  const char *path = kit_beside(kit->wish->options, kit->wish->path, ".options.yaml", kit->arena);
  struct buf why = BUF_INIT(4096);
  parley_status st;

  if (path != NULL && !kit->planted)
    st = options_of_file(kit, path, &kit->options, &why);
  else
    st = kit_options(kit, &(struct kit_plan){.all = kit->planted}, kit->arena, &kit->options, &why);
  if (st != PARLEY_OK)
    kit_fail(kit, PROMISE_EXAMPLE, "the host refuses options made of the table's examples and defaults: %s", why.at);
  buf_done(&why);
  if (kit->plugin->options != NULL)
    options_each_secret(kit->options, kit->plugin->options, secret_note, kit);
}

static bool options_taken(struct kit *kit)
{
  struct kit_host *host = NULL;

  kit->options = NULL;
  kit->n_secrets = 0;
  if (kit_create(kit, NULL, &host) != PARLEY_OK)
    return false;
  kit_destroy(&host);
  return true;
}

bool kit_secrets_plant(struct kit *kit)
{
  kit->planted = true;
  if (options_taken(kit))
    return true;
  kit->planted = false; /* it wants a format that we cannot guess: then its example it is */
  return options_taken(kit) && kit->n_secrets > 0 && kit->secrets[0].len >= PLANTED_EXAMPLE_BYTES_MIN;
}

/* --- A copy for one channel, which ends with it ------------------------------------------------------------------- */

static size_t aligned(size_t bytes)
{
  const size_t align = sizeof(max_align_t);

  return (bytes + align - 1) / align * align;
}

size_t kit_options_bytes(const parley_value *from)
{
  size_t bytes = aligned(sizeof *from) + aligned(from->name.len + 1) + aligned(from->text.len + 1) +
                 aligned((from->n_items + 1) * sizeof(void *));

  for (uint64_t i = 0; i < from->n_items; i++)
    bytes += kit_options_bytes(from->items[i]);
  return bytes;
}

const parley_value *kit_options_copy(struct kit_frame *frame, const parley_value *from)
{
  parley_value *to = kit_frame_room(frame, sizeof *to);
  const parley_value **items = kit_frame_room(frame, (from->n_items + 1) * sizeof *items);

  *to = *from;
  to->name = kit_frame_text(frame, from->name);
  to->text = kit_frame_text(frame, from->text);
  for (uint64_t i = 0; i < from->n_items; i++)
    items[i] = kit_options_copy(frame, from->items[i]);
  to->items = items;
  return to;
}

void kit_each_option(const parley_option *const *table, void (*each)(const parley_option *option, void *arg), void *arg)
{
  for (; table != NULL && *table != NULL; table++) {
    each(*table, arg);
    kit_each_option((*table)->fields, each, arg);
  }
}

/* --- Values by chance --------------------------------------------------------------------------------------------- */

static const char *number_yaml(const parley_option *option, int64_t number, struct arena *arena)
{
  struct buf text = BUF_INIT(64);
  const char *kept;

  buf_printf(&text, option->type == PARLEY_OPTION_DURATION ? "%lldms" : "%lld", (long long)number);
  kept = arena_str(arena, text.at);
  buf_done(&text);
  return kept;
}

static const char *text_of_len(size_t len, struct arena *arena)
{
  char *text = arena_alloc(arena, len + 3);

  memset(text, 'x', len + 2);
  text[0] = text[len + 1] = '"';
  return text;
}

#define ONE_OF(kit, list) ((list)[kit_below((kit), COUNT_OF(list))])

static const char *bad_number(struct kit *kit, const parley_option *option, struct arena *arena)
{
  static const char *const ints[] = {"twelve", "\"\"", "1.5", "99999999999999999999999", "[1]", "{a: 1}", "0x10", "1 2"};
  static const char *const spans[] = {"soon", "\"\"", "5", "-5s", "5 parsecs", "1.5s", "[5s]", "s"};
  static const char *const sizes[] = {"big", "\"\"", "-1", "5X", "1.5M", "[1M]", "M"};

  if ((option->min != 0 || option->max != 0) && kit_below(kit, 2) == 0) {
    if (option->max < INT64_MAX && kit_below(kit, 2) == 0)
      return number_yaml(option, option->max + 1, arena);
    if (option->min > (option->type == PARLEY_OPTION_INT ? INT64_MIN : 0))
      return number_yaml(option, option->min - 1, arena);
  }
  return option->type == PARLEY_OPTION_INT        ? ONE_OF(kit, ints)
         : option->type == PARLEY_OPTION_DURATION ? ONE_OF(kit, spans)
                                                  : ONE_OF(kit, sizes);
}

const char *kit_option_bad(struct kit *kit, const parley_option *option, struct arena *arena)
{
  static const char *const secrets[] = {"in-clear", "{env: PARLEY_KIT_NOT_SET}", "{fil: x}", "[a]", "{file: /nowhere/at/all}", "{}"};
  static const char *const bools[] = {"maybe", "yes", "1", "[]", "\"\""};
  static const char *const urls[] = {"\"not a url\"", "\"://x\"", "\"\"", "[a]", "\"http://\""};
  static const char *const choices[] = {"no-such-choice-of-the-kit", "\"\"", "[a]", "\"\\u0001\""};
  static const char *const texts[] = {"[a, b]", "{a: b}"};
  static const char *const groups[] = {"word", "{no_such_member_of_the_kit: 1}", "[1]"};
  static const char *const lists[] = {"word", "{a: b}"};
  static const char *const maps[] = {"word", "[a]"};

  if ((option->flags & PARLEY_SECRET) != 0)
    return ONE_OF(kit, secrets);
  switch (option->type) {
  case PARLEY_OPTION_TEXT:
    if (option->min > 1 && kit_below(kit, 3) == 0)
      return text_of_len((size_t)option->min - 1, arena);
    if (kit_below(kit, 2) == 0)
      return text_of_len(option->max > 0 ? (size_t)option->max + 1 : OPTION_TEXT_BYTES_MAX + 1, arena);
    return ONE_OF(kit, texts);
  case PARLEY_OPTION_BOOL:
    return ONE_OF(kit, bools);
  case PARLEY_OPTION_URL:
    return ONE_OF(kit, urls);
  case PARLEY_OPTION_CHOICE:
    return ONE_OF(kit, choices);
  case PARLEY_OPTION_GROUP:
    return ONE_OF(kit, groups);
  case PARLEY_OPTION_LIST:
    return ONE_OF(kit, lists);
  case PARLEY_OPTION_MAP:
    return ONE_OF(kit, maps);
  default:
    return bad_number(kit, option, arena);
  }
}

/* Letters of all kinds; within the table's limits. */
static const char *odd_text(struct kit *kit, const parley_option *option, struct arena *arena)
{
  static const char *const pieces[] = {"a", "Z", "0", " ", "\n", "\r\n", "\t", "\"", "'", "\\", "$", "{", "<", "%s", "%00", "\xc3\xa9",
                                       "\xf0\x9f\x98\x80", "\xe2\x80\xae", "@", ":", "/", "..", ",", ";", "\x7f", "=", "whsec_", "://"};
  size_t max = option->max > 0 && option->max < ODD_BYTES_MAX ? (size_t)option->max : ODD_BYTES_MAX;
  size_t wanted = kit_below(kit, 4) == 0 ? max : kit_below(kit, (uint32_t)max + 1);
  bool secret = (option->flags & PARLEY_SECRET) != 0;
  struct buf text = BUF_INIT(ODD_BYTES_MAX + 16), quoted = BUF_INIT(0);
  const char *kept;

  wanted = wanted < (size_t)option->min ? (size_t)option->min : wanted;
  while (text.len < wanted) {
    const char *piece = ONE_OF(kit, pieces);

    if (text.len + strlen(piece) > max || (secret && strpbrk(piece, "\r\n") != NULL))
      piece = "x";
    buf_str(&text, piece);
  }
  if (secret) {
    setenv("PARLEY_KIT_ODD", text.at != NULL ? text.at : "", 1);
    buf_str(&quoted, "{env: PARLEY_KIT_ODD}");
  } else {
    yaml_quote(&quoted, buf_as_text(&text));
  }
  kept = arena_str(arena, quoted.at);
  buf_done(&text);
  buf_done(&quoted);
  return kept;
}

const char *kit_option_odd(struct kit *kit, const parley_option *option, struct arena *arena)
{
  static const char *const urls[] = {"\"https://user:pw@kit.example/\"", "\"http://[::1]:1/\"", "\"ftp://kit.example\"",
                                     "\"https://kit.example/?q=%00&r=\"", "\"smtp://kit.example:0\"", "\"https://kit.example:65535\"",
                                     "\"gopher://kit.example/a b\"", "\"http://a@b@c/\""};
  size_t n = 0;

  switch (option->type) {
  case PARLEY_OPTION_TEXT:
    return odd_text(kit, option, arena);
  case PARLEY_OPTION_URL:
    return ONE_OF(kit, urls);
  case PARLEY_OPTION_BOOL:
    return kit_below(kit, 2) == 0 ? "true" : "false";
  case PARLEY_OPTION_CHOICE:
    while (option->choices[n] != NULL)
      n++;
    return option->choices[kit_below(kit, (uint32_t)n)];
  case PARLEY_OPTION_GROUP:
    return "{}";
  case PARLEY_OPTION_LIST:
    return option->min == 0 ? "[]" : NULL;
  case PARLEY_OPTION_MAP:
    return option->min == 0 ? "{}" : NULL;
  default:
    if (option->min == 0 && option->max == 0)
      return number_yaml(option, kit_below(kit, 2) == 0 ? 0 : INT64_C(1) << kit_below(kit, 62), arena);
    return number_yaml(option, kit_below(kit, 2) == 0 ? option->min : option->max, arena);
  }
}
