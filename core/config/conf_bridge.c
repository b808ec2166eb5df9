/* The section `bridges` of the configuration. */
#include "conf_read.h"
#include "core/base/text.h"

#define ADDRESS_BYTES_MAX 254 /* RFC 5321 section 4.5.3.1.3, without the brackets */

/* One that can be compared and sent to; what it is exactly is known where mail is sent. */
static bool is_address(parley_text text)
{
  size_t at = text_find(text, '@');
  parley_text domain = text_sub(text, at + 1, SIZE_MAX);

  return at > 0 && domain.len > 0 && text.len <= ADDRESS_BYTES_MAX && text_utf8_ok(text) && !text_has_control(text) &&
         text_find(text, ' ') == text.len && text_find(text, '<') == text.len && text_find(domain, '@') == domain.len;
}

static void read_mailbox(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)field;
  if (node->kind == YAML_IS_TEXT && is_address(node->text))
    *(parley_text *)to = node->text;
  else
    conf_error(r, node, "%s is no address such as support@shop.example", conf_shown(r, node));
}

static void read_channel(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text name = TEXT_EMPTY;

  conf_read_name(r, node, field, &name);
  if (name.len > 0 && conf_channel_find(r->conf, name) == NULL)
    conf_error(r, node, "there is no channel '%.*s'", TEXT_ARG(name));
  *(parley_text *)to = name;
}

static void read_topic(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text name = TEXT_EMPTY;

  conf_read_name(r, node, field, &name);
  if (name.len > 0 && conf_topic_find(r->conf, name) == NULL)
    conf_error(r, node, "there is no topic '%.*s'", TEXT_ARG(name));
  *(parley_text *)to = name;
}

static void read_owners(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_bridge *bridge = to;

  (void)field;
  bridge->owners = conf_read_texts(r, node, is_address, "address such as owner@shop.example", &bridge->n_owners);
  if (bridge->n_owners == 0)
    conf_error(r, node, "owners is empty: nobody could answer from this mailbox");
}

static void read_only(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_bridge *bridge = to;

  (void)field;
  bridge->only = conf_read_texts(r, node, conf_name_ok, "channel's name", &bridge->n_only);
  for (size_t i = 0; i < bridge->n_only; i++)
    if (conf_channel_find(r->conf, bridge->only[i]) == NULL)
      conf_error(r, node, "there is no channel '%.*s'", TEXT_ARG(bridge->only[i]));
}

static void bridge_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const struct conf_field fields[] = {
      {.name = "channel", .read = read_channel, .offset = offsetof(struct conf_bridge, channel), .required = true,
       .example = "channel: mail"},
      {.name = "to", .read = read_mailbox, .offset = offsetof(struct conf_bridge, to), .required = true,
       .example = "to: support@shop.example"},
      {.name = "owners", .read = read_owners, .required = true, .example = "owners: [owner@shop.example]"},
      {.name = "topic", .read = read_topic, .offset = offsetof(struct conf_bridge, topic)},
      {.name = "only", .read = read_only},
      {.name = NULL}};
  struct conf_bridge *bridge = item;

  *bridge = (struct conf_bridge){.name = member->name, .channel = TEXT_EMPTY, .topic = TEXT_EMPTY, .to = TEXT_EMPTY,
                                 .line = member->line, .col = member->col};
  conf_read_mapping(r, member->value, fields, bridge);
}

void conf_read_bridges(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;

  (void)field;
  conf->bridges = conf_read_section(r, node, sizeof(*conf->bridges), bridge_item, &conf->n_bridges);
}
