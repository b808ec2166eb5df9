/* The sections `forms`, `pages` and `tracking` of the configuration: what strangers open. */
#include "conf_read.h"
#include "core/base/text.h"

#define NAME_BYTES_MAX 128
#define PAGE_BYTES_MAX 2048
#define ONCE_PER_DEFAULT_MS (4u * 3600000)
#define ONCE_PER_MIN_MS 60000
#define ONCE_PER_MAX_MS (INT64_C(30) * 86400000)
#define CONFIRM_DEFAULT_MS (7u * 86400000)
#define CONFIRM_MIN_MS 60000
#define CONFIRM_MAX_MS (INT64_C(30) * 86400000)
#define RATE_DEFAULT ((struct conf_rate){20, 3600000})
#define MACHINE_DEFAULT_MS 5000
#define BURST_DEFAULT_MS 30000
#define TRACKING_MAX_MS 3600000

void conf_forms_default(struct conf *conf)
{
  conf->pages = (struct conf_pages){.name = TEXT_EMPTY, .once_per_ms = ONCE_PER_DEFAULT_MS, .confirm_ms = CONFIRM_DEFAULT_MS};
  conf->tracking = (struct conf_tracking){MACHINE_DEFAULT_MS, BURST_DEFAULT_MS};
}

static const char *topic_nearest(struct conf_reader *r, parley_text word)
{
  const struct conf *conf = r->conf;
  const char **names = arena_alloc(r->arena, (conf->n_topics + 1) * sizeof(*names));

  for (size_t i = 0; i < conf->n_topics; i++)
    names[i] = conf->topics[i].name.at;
  return text_nearest(word, names);
}

static void read_topic(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text name = TEXT_EMPTY;
  const struct conf_topic *topic;
  const char *nearest;

  conf_read_name(r, node, field, &name);
  if (name.len == 0)
    return;
  topic = conf_topic_find(r->conf, name);
  nearest = topic == NULL ? topic_nearest(r, name) : NULL;
  if (nearest != NULL)
    conf_error(r, node, "there is no topic %s: did you mean '%s'?", conf_shown(r, node), nearest);
  else if (topic == NULL)
    conf_error(r, node, "there is no topic %s; the section topics has to have it", conf_shown(r, node));
  *(const struct conf_topic **)to = topic;
}

static void form_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const struct conf_field fields[] = {
      {.name = "topic", .read = read_topic, .offset = offsetof(struct conf_form, topic), .required = true,
       .example = "topic: newsletter"},
      {.name = "channel", .read = conf_read_channel, .offset = offsetof(struct conf_form, channel), .required = true,
       .example = "channel: mail"},
      {.name = "from_page", .read = conf_read_url, .offset = offsetof(struct conf_form, from_page), .first = CONF_URL_ANY,
       .max = PAGE_BYTES_MAX},
      {.name = "thanks_page", .read = conf_read_url, .offset = offsetof(struct conf_form, thanks_page), .first = CONF_URL_ANY,
       .max = PAGE_BYTES_MAX},
      {.name = "rate", .read = conf_read_rate, .offset = offsetof(struct conf_form, rate)},
      {.name = NULL}};
  struct conf_form *form = item;

  *form = (struct conf_form){.name = member->name, .from_page = TEXT_EMPTY, .thanks_page = TEXT_EMPTY, .rate = RATE_DEFAULT,
                             .line = member->line, .col = member->col};
  conf_read_mapping(r, member->value, fields, form);
  if (form->topic != NULL && form->topic->class == CONF_CRITICAL)
    conf_error(r, member->value, "the topic '%.*s' is critical: that passes without consent", TEXT_ARG(form->topic->name));
}

void conf_read_forms(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;

  (void)field;
  conf->forms = conf_read_section(r, node, sizeof(*conf->forms), form_item, &conf->n_forms);
}

void conf_read_pages(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "name", .read = conf_read_text, .offset = offsetof(struct conf_pages, name), .max = NAME_BYTES_MAX},
      {.name = "once_per", .read = conf_read_span32, .offset = offsetof(struct conf_pages, once_per_ms), .min = ONCE_PER_MIN_MS,
       .max = ONCE_PER_MAX_MS},
      {.name = "confirm_within", .read = conf_read_span32, .offset = offsetof(struct conf_pages, confirm_ms), .min = CONFIRM_MIN_MS,
       .max = CONFIRM_MAX_MS},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

void conf_read_tracking(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "machine_within", .read = conf_read_span32, .offset = offsetof(struct conf_tracking, machine_within_ms),
       .max = TRACKING_MAX_MS},
      {.name = "burst", .read = conf_read_span32, .offset = offsetof(struct conf_tracking, burst_ms), .max = TRACKING_MAX_MS},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}
