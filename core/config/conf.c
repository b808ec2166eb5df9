#include "conf.h"
#include "conf_read.h"
#include "core/base/alloc.h"
#include "core/base/locale.h"
#include "core/base/text.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PLUGIN_MEMORY_MIN (INT64_C(16) << 20)
#define PLUGIN_MEMORY_DEFAULT (UINT64_C(256) << 20)
#define PLUGIN_HANG_MIN_MS 2000 /* heartbeats are a second apart */
#define PLUGIN_HANG_MAX_MS 600000
#define PLUGIN_HANG_DEFAULT_MS 5000

struct conf_private {
  atomic_int refs;
  struct arena *arena; /* holds the conf itself */
  struct yaml_file *file;
  struct secrets secrets;
};

/* --- Small sections -------------------------------------------------------------------------------------------------------- */

static void read_version(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  (void)to;
  if (node->kind != YAML_IS_TEXT || node->quoted || !parley_text_is(node->text, "1"))
    conf_error(r, node, "%s is no version this program reads; it reads 1", conf_shown(r, node));
}

static bool is_path(parley_text text)
{
  return text.len > 0 && text.len < 4096 && !text_has_control(text);
}

static void read_dirs(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;
  parley_text *dirs;
  const parley_text *read;

  (void)field;
  conf->n_plugin_dirs = 0;
  read = conf_read_texts(r, node, is_path, "folder", &conf->n_plugin_dirs);
  dirs = arena_alloc(r->arena, conf->n_plugin_dirs * sizeof(*dirs));
  for (size_t i = 0; i < conf->n_plugin_dirs; i++)
    dirs[i] = parley_text_of(yaml_path(r->file, r->arena, read[i]));
  conf->plugin_dirs = dirs;
}

static void read_plugins(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "dirs", .read = read_dirs},
      {.name = "memory", .read = conf_read_size, .offset = offsetof(struct conf, plugin_memory_bytes), .min = PLUGIN_MEMORY_MIN,
       .max = INT64_C(1) << 40},
      {.name = "hang", .read = conf_read_span32, .offset = offsetof(struct conf, plugin_hang_ms), .min = PLUGIN_HANG_MIN_MS,
       .max = PLUGIN_HANG_MAX_MS},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

static void read_timezone(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  if (node->kind == YAML_IS_TEXT && timezone_ok(node->text))
    *(parley_text *)to = node->text;
  else
    conf_error(r, node, "%s is no time zone such as Europe/Madrid or UTC", conf_shown(r, node));
}

static void read_locale(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  if (node->kind == YAML_IS_TEXT && locale_ok(node->text))
    *(parley_text *)to = node->text;
  else
    conf_error(r, node, "%s is no locale such as es or pt-BR", conf_shown(r, node));
}

static void read_country(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;
  char meant[COUNTRY_MEANT_MAX];

  (void)field;
  if (node->kind == YAML_IS_TEXT && country_ok(node->text)) {
    conf->country = node->text;
    conf->country_line = node->line;
    conf->country_col = node->col;
  } else if (node->kind == YAML_IS_TEXT && country_meant(node->text, meant)) {
    conf_error(r, node, "%s is no country of ISO 3166-1: did you mean %s?", conf_shown(r, node), meant);
  } else {
    conf_error(r, node, "%s is no country of ISO 3166-1: two capital letters such as ES or GB", conf_shown(r, node));
  }
}

static void read_defaults(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "timezone", .read = read_timezone, .offset = offsetof(struct conf, timezone)},
      {.name = "locale", .read = read_locale, .offset = offsetof(struct conf, locale)},
      {.name = "country", .read = read_country},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

static void read_format(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  int format = 0;

  conf_read_choice(r, node, field, &format);
  *(bool *)to = format == 1;
}

static void read_log(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
  static const char *const formats[] = {"text", "json", NULL};
  static const struct conf_field fields[] = {
      {.name = "level", .read = conf_read_choice, .offset = offsetof(struct conf_log, level), .words = levels,
       .first = PARLEY_DEBUG},
      {.name = "format", .read = read_format, .offset = offsetof(struct conf_log, json), .words = formats},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

/* --- The whole --------------------------------------------------------------------------------------------------------------- */

/* Plans, forms, bridges and keywords name channels and topics, so they are read when all of those are there, wherever they stand in the
 * file. */
static void read_later(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)r;
  (void)node;
  (void)field;
  (void)to;
}

static void later_read(struct conf_reader *r, const char *name, conf_read_fn *read)
{
  const struct yaml_node *node = yaml_find(r->file->root, name);
  size_t mark;

  if (node == NULL)
    return;
  mark = conf_path_push(r, parley_text_of(name));
  read(r, node, NULL, r->conf);
  conf_path_pop(r, mark);
}

static void conf_fill(struct conf_reader *r)
{
  static const struct conf_field fields[] = {
      {.name = "version", .read = read_version, .required = true, .example = "version: 1"},
      {.name = "server", .read = conf_read_server, .offset = offsetof(struct conf, server)},
      {.name = "store", .read = conf_read_store, .offset = offsetof(struct conf, store)},
      {.name = "plugins", .read = read_plugins},
      {.name = "defaults", .read = read_defaults},
      {.name = "channels", .read = conf_read_channels},
      {.name = "topics", .read = conf_read_topics},
      {.name = "plans", .read = read_later},
      {.name = "forms", .read = read_later},
      {.name = "pages", .read = conf_read_pages, .offset = offsetof(struct conf, pages)},
      {.name = "tracking", .read = conf_read_tracking, .offset = offsetof(struct conf, tracking)},
      {.name = "subscriptions", .read = conf_read_subscriptions},
      {.name = "templates", .read = conf_read_templates},
      {.name = "bridges", .read = read_later},
      {.name = "keywords", .read = read_later},
      {.name = "inbound", .read = conf_read_inbound, .offset = offsetof(struct conf, inbound)},
      {.name = "log", .read = read_log, .offset = offsetof(struct conf, log)},
      {.name = NULL}};

  conf_read_mapping(r, r->file->root, fields, r->conf);
  later_read(r, "plans", conf_read_plans);
  later_read(r, "forms", conf_read_forms);
  later_read(r, "bridges", conf_read_bridges);
  later_read(r, "keywords", conf_read_keywords);
  conf_server_finish(r);
}

/* Takes the file. */
static struct conf *conf_new(struct yaml_file *file)
{
  static const parley_text dirs[] = {{"/usr/lib/parley/plugins", 23}};
  struct arena *arena = arena_new();
  struct conf *conf = arena_alloc(arena, sizeof(*conf));

  conf->private = xcalloc(1, sizeof(*conf->private));
  *conf->private = (struct conf_private){.refs = 1, .arena = arena, .file = file};
  conf->file = file;
  conf_server_default(&conf->server);
  conf_store_default(&conf->store);
  conf_forms_default(conf);
  conf_keywords_default(conf);
  conf->store.path = parley_text_of(yaml_path(file, arena, PARLEY_LIT("parley.db")));
  conf->n_plugin_dirs = COUNT_OF(dirs);
  conf->plugin_dirs = dirs;
  conf->plugin_memory_bytes = PLUGIN_MEMORY_DEFAULT;
  conf->plugin_hang_ms = PLUGIN_HANG_DEFAULT_MS;
  conf->timezone = PARLEY_LIT("UTC");
  conf->locale = PARLEY_LIT("en");
  conf->log.level = PARLEY_INFO;
  return conf;
}

/* Takes the file, whatever comes of it. */
static parley_status conf_make(struct yaml_file *file, struct conf **ret, struct buf *why)
{
  struct conf *conf = conf_new(file);
  struct conf_reader reader = {.conf = conf, .file = file, .arena = conf->private->arena, .secrets = &conf->private->secrets,
                               .why = why};

  conf_fill(&reader);
  buf_done(&reader.path);
  if (reader.errors > 0) {
    if (reader.errors > CONF_ERRORS_MAX)
      buf_printf(why, "%s: %zu errors more are not shown\n", file->path, reader.errors - CONF_ERRORS_MAX);
    conf_unref(&conf);
    return PARLEY_INVALID;
  }
  *ret = conf;
  return PARLEY_OK;
}

parley_status conf_load(const char *path, struct conf **ret, struct buf *reterr_why)
{
  struct yaml_file *file;
  parley_status st = yaml_load(path, &file, reterr_why);

  return st == PARLEY_OK ? conf_make(file, ret, reterr_why) : st;
}

parley_status conf_parse(const char *path, parley_text source, yaml_variable *variable, struct conf **ret,
                         struct buf *reterr_why)
{
  struct yaml_file *file;
  parley_status st = yaml_parse(path, source, variable, &file, reterr_why);

  return st == PARLEY_OK ? conf_make(file, ret, reterr_why) : st;
}

struct conf *conf_ref(struct conf *conf)
{
  atomic_fetch_add_explicit(&conf->private->refs, 1, memory_order_relaxed);
  return conf;
}

void conf_unref(struct conf **conf)
{
  struct conf_private *private = *conf != NULL ? (*conf)->private : NULL;
  const struct conf *mine = *conf;

  *conf = NULL;
  if (private == NULL || atomic_fetch_sub_explicit(&private->refs, 1, memory_order_acq_rel) > 1)
    return;
  conf_templates_free(mine);
  secrets_done(&private->secrets);
  yaml_file_free(&private->file);
  arena_free(&private->arena);
  free(private);
}

#define FIND(items, count, wanted)                                                                                        \
  for (size_t i = 0; i < (count); i++)                                                                                    \
    if (text_eq((items)[i].name, (wanted)))                                                                               \
      return &(items)[i];                                                                                                 \
  return NULL

const struct conf_channel *conf_channel_find(const struct conf *conf, parley_text name)
{
  FIND(conf->channels, conf->n_channels, name);
}

const struct conf_topic *conf_topic_find(const struct conf *conf, parley_text name)
{
  FIND(conf->topics, conf->n_topics, name);
}

const struct conf_plan *conf_plan_find(const struct conf *conf, parley_text name)
{
  FIND(conf->plans, conf->n_plans, name);
}

const struct conf_subscription *conf_subscription_find(const struct conf *conf, parley_text name)
{
  FIND(conf->subscriptions, conf->n_subscriptions, name);
}

const struct conf_form *conf_form_find(const struct conf *conf, parley_text name)
{
  FIND(conf->forms, conf->n_forms, name);
}

const struct conf_bridge *conf_bridge_find(const struct conf *conf, parley_text name)
{
  FIND(conf->bridges, conf->n_bridges, name);
}

const struct conf_key *conf_key_find(const struct conf *conf, parley_text name)
{
  FIND(conf->server.keys, conf->server.n_keys, name);
}
