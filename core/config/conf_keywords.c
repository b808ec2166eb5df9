/* The sections `keywords` and `inbound` of the configuration: what customers say with one word, and texts that come in pieces. */
#include "conf_read.h"
#include "core/base/locale.h"
#include "core/base/text.h"

#define TEXT_BYTES_MAX 480 /* of an answer: three segments */
#define HELP_EVERY_DEFAULT_MS 600000
#define HELP_EVERY_MIN_MS 10000
#define HELP_EVERY_MAX_MS (INT64_C(7) * 86400000)
#define JOIN_WAIT_DEFAULT_MS 3600000
#define JOIN_WAIT_MIN_MS 1000
#define JOIN_WAIT_LIMIT_MS (INT64_C(7) * 86400000)
#define JOIN_WAIT_MAX_DEFAULT_MS (24u * 3600000)

void conf_keywords_default(struct conf *conf)
{
  conf->keywords = (struct conf_keywords){.answer = true, .help_every_ms = HELP_EVERY_DEFAULT_MS};
  conf->inbound = (struct conf_inbound){JOIN_WAIT_DEFAULT_MS, JOIN_WAIT_MAX_DEFAULT_MS};
}

static bool is_word(parley_text text)
{
  return text.len > 0 && text.len <= CONF_KEYWORD_BYTES_MAX && text_utf8_ok(text) && !text_has_control(text);
}

static void read_words(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_words *words = to;

  (void)field;
  words->at = conf_read_texts(r, node, is_word, "word or two of at most 64 bytes", &words->n);
}

static void text_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const struct conf_field fields[] = {
      {.name = "stop", .read = conf_read_text, .offset = offsetof(struct conf_keyword_texts, stop), .max = TEXT_BYTES_MAX},
      {.name = "start", .read = conf_read_text, .offset = offsetof(struct conf_keyword_texts, start), .max = TEXT_BYTES_MAX},
      {.name = "help", .read = conf_read_text, .offset = offsetof(struct conf_keyword_texts, help), .max = TEXT_BYTES_MAX},
      {.name = NULL}};
  struct conf_keyword_texts *texts = item;

  *texts = (struct conf_keyword_texts){.name = member->name, .stop = TEXT_EMPTY, .start = TEXT_EMPTY, .help = TEXT_EMPTY};
  if (!locale_ok(member->name))
    conf_error_at(r, member->line, member->col, "'%.*s' is no locale such as es or pt-BR", TEXT_ARG(member->name));
  conf_read_mapping(r, member->value, fields, texts);
}

static void read_texts(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_keyword_set *set = to;

  (void)field;
  set->texts = conf_read_section(r, node, sizeof(*set->texts), text_item, &set->n_texts);
}

#define SET_FIELDS(type, member)                                                                                              \
  {.name = "stop", .read = read_words, .offset = offsetof(type, member) + offsetof(struct conf_keyword_set, stop)},           \
      {.name = "start", .read = read_words, .offset = offsetof(type, member) + offsetof(struct conf_keyword_set, start)},     \
      {.name = "help", .read = read_words, .offset = offsetof(type, member) + offsetof(struct conf_keyword_set, help)},       \
      {.name = "texts", .read = read_texts, .offset = offsetof(type, member)}

static void channel_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const struct conf_field fields[] = {
      {.name = "listen", .read = conf_read_bool, .offset = offsetof(struct conf_keyword_channel, listen)},
      {.name = "answer", .read = conf_read_bool, .offset = offsetof(struct conf_keyword_channel, answer)},
      SET_FIELDS(struct conf_keyword_channel, set),
      {.name = NULL}};
  struct conf_keyword_channel *channel = item;

  *channel = (struct conf_keyword_channel){.name = member->name, .listen = true, .answer = r->conf->keywords.answer,
                                           .line = member->line, .col = member->col};
  if (conf_channel_find(r->conf, member->name) == NULL)
    conf_error_at(r, member->line, member->col, "there is no channel '%.*s'", TEXT_ARG(member->name));
  conf_read_mapping(r, member->value, fields, channel);
}

/* Behind `answer`, which it takes over. */
static void read_channels(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  (void)r;
  (void)node;
  (void)field;
  (void)to;
}

void conf_read_keywords(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "answer", .read = conf_read_bool, .offset = offsetof(struct conf_keywords, answer)},
      {.name = "help_every", .read = conf_read_span32, .offset = offsetof(struct conf_keywords, help_every_ms),
       .min = HELP_EVERY_MIN_MS, .max = HELP_EVERY_MAX_MS},
      SET_FIELDS(struct conf_keywords, set),
      {.name = "channels", .read = read_channels},
      {.name = NULL}};
  struct conf_keywords *keywords = &((struct conf *)to)->keywords;
  const struct yaml_node *channels = yaml_find(node, "channels");
  size_t mark;

  (void)field;
  keywords->line = node->line;
  keywords->col = node->col;
  conf_read_mapping(r, node, fields, keywords);
  if (channels == NULL || conf_is_empty(channels))
    return;
  mark = conf_path_push(r, PARLEY_LIT("channels"));
  keywords->channels = conf_read_section(r, channels, sizeof(*keywords->channels), channel_item, &keywords->n_channels);
  conf_path_pop(r, mark);
}

void conf_read_inbound(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "join_wait", .read = conf_read_span32, .offset = offsetof(struct conf_inbound, join_wait_ms), .min = JOIN_WAIT_MIN_MS,
       .max = JOIN_WAIT_LIMIT_MS},
      {.name = "join_wait_max", .read = conf_read_span32, .offset = offsetof(struct conf_inbound, join_wait_max_ms),
       .min = JOIN_WAIT_MIN_MS, .max = JOIN_WAIT_LIMIT_MS},
      {.name = NULL}};
  const struct conf_inbound *inbound = to;

  (void)field;
  conf_read_mapping(r, node, fields, to);
  if (inbound->join_wait_ms > inbound->join_wait_max_ms)
    conf_error(r, node, "join_wait is longer than join_wait_max");
}
