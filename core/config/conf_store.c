/* The section `store` of the configuration: where things are kept, and for how long. */
#include "conf_read.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#define STORE_URL_BYTES_MAX 4096

static bool store_says(const struct conf_reader *r, const char *field)
{
  return yaml_find(yaml_find(r->file->root, "store"), field) != NULL;
}

static bool store_is_postgres(const struct conf_reader *r)
{
  const struct yaml_node *driver = yaml_find(yaml_find(r->file->root, "store"), "driver");

  return driver != NULL && parley_text_is(driver->text, "postgres");
}

static void read_driver(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  int driver = 0;

  conf_read_choice(r, node, field, &driver);
  if (driver == 0)
    return;
  *(enum conf_driver *)to = (enum conf_driver)driver;
  if (driver == CONF_POSTGRES && !store_says(r, "url"))
    conf_error(r, node, "postgres needs 'url'; write `url: { env: PARLEY_DATABASE_URL }`");
}

static void read_store_path(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  if (store_is_postgres(r))
    conf_error(r, node, "is for the driver sqlite; postgres has a url");
  else
    conf_read_path(r, node, field, to);
}

/* It may hold a password: a secret like any other. */
static void read_store_url(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  if (!store_is_postgres(r))
    conf_error(r, node, "is for the driver postgres; sqlite has a path");
  else
    conf_read_secret(r, node, field, to);
}

/* --- How long things are kept ------------------------------------------------------------------------------------------------- */

#define DAY_MS INT64_C(86400000)
#define KEEP_MAX_MS (36500 * DAY_MS)
#define KEEP_MIN_MS DAY_MS
#define KEEP_EVENTS_MIN_MS (7 * DAY_MS) /* a receiver of the feed may be away for so long */

/* A time, or "forever": 0. */
static void read_keep_time(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct buf range = BUF_INIT(0);
  int64_t ms = 0, *keep_ms = to;

  buf_span(&range, field->min);
  buf_str(&range, " to ");
  buf_span(&range, field->max);
  if (node->kind == YAML_IS_TEXT && parley_text_is(node->text, "forever"))
    *keep_ms = 0;
  else if (node->kind != YAML_IS_TEXT || !span_parse(node->text, &ms))
    conf_error(r, node, "%s is no time to keep something: one number and one of h d, such as 30d, or forever; %s",
               conf_shown(r, node), range.at);
  else if (ms < field->min || ms > field->max)
    conf_error(r, node, "%s is out of range: %s, or forever", conf_shown(r, node), range.at);
  else
    *keep_ms = ms;
  buf_done(&range);
}

static void read_keep(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
#define KEEP(member, least) {.name = #member, .read = read_keep_time, .offset = offsetof(struct conf_keep, member##_ms), \
                             .min = least, .max = KEEP_MAX_MS}
  static const struct conf_field fields[] = {KEEP(bodies, KEEP_MIN_MS), KEEP(raw, KEEP_MIN_MS), KEEP(events, KEEP_EVENTS_MIN_MS),
                                             KEEP(attempts, KEEP_MIN_MS), {.name = NULL}};
#undef KEEP

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

/* --- The section --------------------------------------------------------------------------------------------------------------- */

void conf_read_store(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const char *const drivers[] = {"sqlite", "postgres", NULL};
  static const struct conf_field fields[] = {
      {.name = "driver", .read = read_driver, .offset = offsetof(struct conf_store, driver), .words = drivers,
       .first = CONF_SQLITE},
      {.name = "path", .read = read_store_path, .offset = offsetof(struct conf_store, path)},
      {.name = "url", .read = read_store_url, .offset = offsetof(struct conf_store, url), .max = STORE_URL_BYTES_MAX},
      {.name = "keep", .read = read_keep, .offset = offsetof(struct conf_store, keep)},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

void conf_store_default(struct conf_store *store)
{
  *store = (struct conf_store){.driver = CONF_SQLITE,
                               .path = TEXT_EMPTY,
                               .url = TEXT_EMPTY,
                               .keep = {.bodies_ms = 365 * DAY_MS, .raw_ms = 30 * DAY_MS, .events_ms = 365 * DAY_MS,
                                        .attempts_ms = 90 * DAY_MS}};
}
