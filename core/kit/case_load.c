/* Cases: the file, its symbols, its table. Nothing of the plugin is called. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/channel.h"
#include "inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOC_BYTES_MAX 200
#define CURRENCY_LETTERS 3
#define NAME_BYTES_MAX 64

void kit_load_file(struct kit *kit)
{
  const char *tmp = getenv("TMPDIR");
  char path[4096];
  struct buf why = BUF_INIT(4096);
  struct plugin *plugin = NULL;
  parley_text dir;
  const struct plugin_source source = {.dirs = &dir, .n_dirs = 1, .run_dir = tmp != NULL && tmp[0] == '/' ? tmp : "/tmp",
                                       .offered = channel_extensions};
  char *slash;

  if (realpath(kit->wish->path, path) == NULL)
    kit_fail(kit, PROMISE_FILE, "%s cannot be found", kit->wish->path);
  if (!text_ends(parley_text_of(path), ".so"))
    kit_fail(kit, PROMISE_FILE, "%s: a plugin's file is called NAME.so", path);
  slash = strrchr(path, '/');
  *slash = '\0';
  dir = parley_text_of(path[0] != '\0' ? path : "/");
  if (plugin_load(kit->name, CONF_INLINE, &source, &plugin, &why) != PARLEY_OK)
    kit_fail(kit, PROMISE_FILE, "%s", why.at);
  plugin_unref(&plugin);
  buf_done(&why);
}

void kit_load_symbols(struct kit *kit)
{
  struct kit_symbols symbols;
  struct buf why = BUF_INIT(4096);

  if (kit->so == NULL) {
    kit_open(kit->wish->path, &kit->plugin, &why);
    kit_fail(kit, PROMISE_NAMES, "%s", why.at);
  }
  if (kit_symbols_read(kit->wish->path, kit->so, &symbols, &why) != PARLEY_OK)
    kit_fail(kit, PROMISE_FILE, "%s", why.at);
  if (!parley_text_is(buf_as_text(&symbols.exported), "parley_plugin_v1"))
    kit_fail(kit, PROMISE_SYMBOL, "it exports: %s (compile with -fvisibility=hidden)", symbols.exported.at);
  if (symbols.unresolved.len > 0)
    kit_fail(kit, PROMISE_NAMES, "none of its own libraries has: %s (link them, and with -Wl,-z,defs)", symbols.unresolved.at);
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

static void word_check(struct kit *kit, const char *what, const char *word, const char *letters)
{
  size_t len = word != NULL ? strlen(word) : 0;

  if (len == 0 || len > NAME_BYTES_MAX || strspn(word, letters) != len)
    kit_fail(kit, PROMISE_TABLE, "%s is '%s'; it is made of 1 to %d of %s", what, word != NULL ? word : "", NAME_BYTES_MAX, letters);
}

static void line_check(struct kit *kit, const char *promise, const char *what, const char *line)
{
  if (line == NULL || line[0] == '\0' || strpbrk(line, "\r\n") != NULL || strlen(line) > DOC_BYTES_MAX ||
      !text_utf8_ok(parley_text_of(line)))
    kit_fail(kit, promise, "%s is %s; it is one line of UTF-8, at most %d bytes", what, line != NULL ? line : "missing", DOC_BYTES_MAX);
}

static void feature_check(struct kit *kit, const parley_feature *feature)
{
  if (feature->size < sizeof(uint32_t) * 8 || feature->what == 0)
    kit_fail(kit, PROMISE_TABLE, "a feature says not what it is of (size %u, what %u)", feature->size, feature->what);
  if (feature->level < PARLEY_LEVEL_NATIVE || feature->level > PARLEY_LEVEL_REJECT)
    kit_fail(kit, PROMISE_TABLE, "the feature of %u has the level %u", feature->what, feature->level);
  if (feature->length_max > 0 && feature->unit == 0)
    kit_fail(kit, PROMISE_TABLE, "the feature of %u has a length_max and no unit", feature->what);
  if (feature->joined_max > feature->length_max)
    kit_fail(kit, PROMISE_TABLE, "the feature of %u joins pieces (%u) longer than one that stands alone (%u)", feature->what,
             feature->joined_max, feature->length_max);
}

static void price_check(struct kit *kit, const parley_price *price)
{
  const char *currency = price->currency != NULL ? price->currency : "";

  if (price->size < sizeof *price || price->prefix == NULL)
    kit_fail(kit, PROMISE_TABLE, "a price has no size or no prefix (\"\" stands for all others)");
  if (price->micros < 0)
    kit_fail(kit, PROMISE_TABLE, "the price of '%s' is below nothing", price->prefix);
  if (strlen(currency) != CURRENCY_LETTERS || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != CURRENCY_LETTERS)
    kit_fail(kit, PROMISE_TABLE, "the price of '%s' is in '%s'; ISO 4217 has three capital letters", price->prefix, currency);
}

/* Only a TEXT entry with a small alphabet can make anything of plain characters. */
static bool can_simplify(const parley_capabilities *caps)
{
  for (const parley_feature *const *feature = caps->features; feature != NULL && *feature != NULL; feature++)
    if ((*feature)->what == PARLEY_PART_TEXT && (*feature)->unit == PARLEY_UNIT_GSM7)
      return true;
  return false;
}

void kit_capabilities_check(struct kit *kit, const parley_capabilities *caps)
{
  for (const parley_feature *const *feature = caps->features; feature != NULL && *feature != NULL; feature++)
    feature_check(kit, *feature);
  if ((caps->flags & PARLEY_SIMPLIFY) && !can_simplify(caps))
    kit_fail(kit, PROMISE_TABLE, "PARLEY_SIMPLIFY without a TEXT entry of PARLEY_UNIT_GSM7: no text would ever be simplified");
  if (!PARLEY_HAS(parley_capabilities, caps, prices))
    return;
  for (const parley_price *const *price = caps->prices; price != NULL && *price != NULL; price++)
    price_check(kit, *price);
}

static void capabilities_declared_check(struct kit *kit, const parley_capabilities *caps)
{
  const char *letters = "abcdefghijklmnopqrstuvwxyz0123456789_-";

  word_check(kit, "address_kind", caps->address_kind, letters);
  word_check(kit, "channel_kind", caps->channel_kind, letters);
  kit_capabilities_check(kit, caps);
  if (kit->plugin->submit == NULL && (caps->flags & PARLEY_INBOUND) == 0)
    kit_fail(kit, PROMISE_TABLE, "it takes no messages (submit is NULL) and gives none (no PARLEY_INBOUND)");
}

static void metrics_check(struct kit *kit)
{
  for (const parley_metric *const *metric = kit->plugin->metrics; metric != NULL && *metric != NULL; metric++) {
    word_check(kit, "a metric's name", (*metric)->name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    line_check(kit, PROMISE_TABLE, "a metric's help", (*metric)->help);
    if ((*metric)->kind < PARLEY_COUNTER || (*metric)->kind > PARLEY_HISTOGRAM)
      kit_fail(kit, PROMISE_TABLE, "the metric %s is of kind %u", (*metric)->name, (*metric)->kind);
  }
}

static void extension_check(struct kit *kit, const char *id)
{
  const char *slash = id != NULL ? strrchr(id, '/') : NULL;

  if (slash == NULL || slash == id || slash[1] == '\0' || strspn(slash + 1, "0123456789") != strlen(slash + 1))
    kit_fail(kit, PROMISE_TABLE, "the extension '%s' has no revision; ids are like parley.http/1", id != NULL ? id : "");
}

static void offers_check(struct kit *kit)
{
  for (const parley_extension *const *offer = kit->plugin->offers; offer != NULL && *offer != NULL; offer++) {
    const parley_http_in *calls = (*offer)->table;

    extension_check(kit, (*offer)->id);
    if ((*offer)->table == NULL)
      kit_fail(kit, PROMISE_TABLE, "it offers %s without a table", (*offer)->id);
    if (strcmp((*offer)->id, PARLEY_HTTP_IN) == 0 && (calls->size < sizeof *calls || calls->called == NULL))
      kit_fail(kit, PROMISE_TABLE, "its table for %s has no size or no called()", PARLEY_HTTP_IN);
  }
  for (const char *const *id = kit->plugin->requires_ids; id != NULL && *id != NULL; id++)
    extension_check(kit, *id);
}

static void option_shape_check(const parley_option *option, void *arg)
{
  struct kit *kit = arg;
  const char *name = option->name != NULL ? option->name : "(of a list)";
  bool several = option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP;

  if (option->type < PARLEY_OPTION_TEXT || option->type > PARLEY_OPTION_MAP)
    kit_fail(kit, PROMISE_TABLE, "the option %s is of type %u", name, option->type);
  if (option->max < option->min && option->max != 0)
    kit_fail(kit, PROMISE_TABLE, "the option %s has a max below its min", name);
  if (option->type == PARLEY_OPTION_CHOICE && (option->choices == NULL || option->choices[0] == NULL))
    kit_fail(kit, PROMISE_TABLE, "the option %s is a choice and has no choices", name);
  if (option->type == PARLEY_OPTION_GROUP && option->fields == NULL)
    kit_fail(kit, PROMISE_TABLE, "the option %s is a group and has no fields", name);
  if (several && (option->fields == NULL || option->fields[0] == NULL || option->fields[1] != NULL))
    kit_fail(kit, PROMISE_TABLE, "the option %s is a list or map: its fields are the one kind of element", name);
}

static void names_check(struct kit *kit, const parley_option *const *table)
{
  for (size_t i = 0; table != NULL && table[i] != NULL; i++) {
    word_check(kit, "an option's name", table[i]->name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    for (size_t j = 0; j < i; j++)
      if (strcmp(table[i]->name, table[j]->name) == 0)
        kit_fail(kit, PROMISE_TABLE, "two options are called %s", table[i]->name);
  }
}

void kit_load_table(struct kit *kit)
{
  struct buf why = BUF_INIT(4096);

  if (kit->so == NULL)
    kit_skip(kit, "it cannot be loaded: see load.symbols");
  if (plugin_check(kit->plugin, kit->name, channel_extensions, &why) != PARLEY_OK)
    kit_fail(kit, PROMISE_TABLE, "%s", why.at);
  buf_done(&why);
  line_check(kit, PROMISE_TABLE, "version", kit->plugin->version);
  line_check(kit, PROMISE_TABLE, "summary", kit->plugin->summary);
  capabilities_declared_check(kit, kit->plugin->capabilities);
  metrics_check(kit);
  offers_check(kit);
  names_check(kit, kit->plugin->options);
  kit_each_option(kit->plugin->options, option_shape_check, kit);
}

/* --- What it says to people --------------------------------------------------------------------------------------- */

static bool has_example(const parley_option *option)
{
  bool fields = option->type == PARLEY_OPTION_GROUP || option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP;

  if (option->example != NULL || option->default_text != NULL)
    return true;
  if (option->type == PARLEY_OPTION_CHOICE || option->type == PARLEY_OPTION_BOOL)
    return true; /* they show themselves */
  for (const parley_option *const *field = option->fields; fields && *field != NULL; field++)
    if (!has_example(*field))
      return false;
  return fields;
}

static void option_doc_check(const parley_option *option, void *arg)
{
  struct kit *kit = arg;
  char what[128];

  snprintf(what, sizeof what, "the doc of the option %s", option->name != NULL ? option->name : "(of a list)");
  if (option->name != NULL)
    line_check(kit, PROMISE_DOC, what, option->doc);
  if ((option->flags & PARLEY_REQUIRED) != 0 && !has_example(option))
    kit_fail(kit, PROMISE_EXAMPLE, "the required option %s has no example", option->name != NULL ? option->name : "(of a list)");
  if ((option->flags & PARLEY_SECRET) != 0 && option->default_text != NULL)
    kit_fail(kit, PROMISE_DEFAULT, "the secret option %s has a default: everybody's secret", option->name);
}

static void options_read_check(struct kit *kit, bool all)
{
  struct arena *arena = arena_new();
  struct buf why = BUF_INIT(4096);
  const parley_value *options;

  if (kit_options(kit, &(struct kit_plan){.all = all}, arena, &options, &why) != PARLEY_OK)
    kit_fail(kit, PROMISE_DEFAULT, "the table refuses its own %s: %s", all ? "examples" : "defaults", why.at);
  buf_done(&why);
  arena_free(&arena);
}

void kit_load_docs(struct kit *kit)
{
  if (kit->so == NULL)
    kit_skip(kit, "it cannot be loaded: see load.symbols");
  if (kit->plugin->options == NULL)
    kit_skip(kit, "it has no options");
  kit_each_option(kit->plugin->options, option_doc_check, kit);
  options_read_check(kit, false);
  options_read_check(kit, true);
}
