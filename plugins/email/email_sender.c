#include "email_sender.h"
#include "common/option.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { MAILBOX_TEXT_MAX = 1000, KEY_TEXT_MAX = 16384 };

/* --- Options ------------------------------------------------------------------------------------------------------ */
static const parley_option sender_element = {.size = sizeof sender_element, .name = "sender", .type = PARLEY_OPTION_TEXT,
                                             .min = 1, .max = MAILBOX_TEXT_MAX, .doc = "the sender of one topic's mail",
                                             .example = "News <news@shop.example>"};
const parley_option email_option_senders = {
    .size = sizeof email_option_senders, .name = "senders", .type = PARLEY_OPTION_MAP, .max = EMAIL_SENDERS_MAX,
    .doc = "senders of their own for some topics, by topic", .fields = (const parley_option *const[]){&sender_element, NULL}};
const parley_option email_option_reply = {
    .size = sizeof email_option_reply, .name = "reply", .type = PARLEY_OPTION_TEXT, .min = 1, .max = MAILBOX_TEXT_MAX,
    .doc = "where answers come in: Reply-To has it with +TOKEN behind the local part; default: answers go to from",
    .example = "reply@in.shop.example"};
static const parley_option key_domain = {.size = sizeof key_domain, .name = "domain", .type = PARLEY_OPTION_TEXT,
                                         .flags = PARLEY_REQUIRED, .min = 1, .max = 253,
                                         .doc = "senders' domain, or one above it", .example = "shop.example"};
static const parley_option key_selector = {.size = sizeof key_selector, .name = "selector", .type = PARLEY_OPTION_TEXT,
                                           .flags = PARLEY_REQUIRED, .min = 1, .max = DKIM_SELECTOR_MAX,
                                           .doc = "SELECTOR._domainkey.DOMAIN publishes the key", .example = "parley"};
static const parley_option key_key = {.size = sizeof key_key, .name = "key", .type = PARLEY_OPTION_TEXT,
                                      .flags = PARLEY_REQUIRED | PARLEY_SECRET, .min = 1, .max = KEY_TEXT_MAX,
                                      .doc = "the private key, RSA or Ed25519, as PEM",
                                      .example = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="};
static const parley_option key_element = {
    .size = sizeof key_element, .name = "dkim", .type = PARLEY_OPTION_GROUP, .doc = "one key of one domain",
    .fields = (const parley_option *const[]){&key_domain, &key_selector, &key_key, NULL}};
const parley_option email_option_dkim = {.size = sizeof email_option_dkim, .name = "dkim", .type = PARLEY_OPTION_LIST,
                                         .max = EMAIL_KEYS_MAX, .doc = "keys to sign mail with; an RSA and an Ed25519 one sign both",
                                         .fields = (const parley_option *const[]){&key_element, NULL}};

/* --- Senders ------------------------------------------------------------------------------------------------------ */
static const char *senders_read(const parley_value *map, struct email_senders *to)
{
  if (map == NULL || map->type == 0 || map->n_items == 0)
    return NULL;
  to->senders = calloc(map->n_items, sizeof *to->senders);
  if (to->senders == NULL)
    return "senders: no memory";
  for (uint64_t i = 0; i < map->n_items; i++) {
    struct email_sender *sender = &to->senders[to->n_senders++];

    sender->topic = map->items[i]->name;
    if (mail_mailbox_read(map->items[i]->text, &sender->from) == PARLEY_OK)
      continue;
    snprintf(to->why, sizeof to->why, "senders: that of %.*s must be one address, like News <news@shop.example>",
             (int)(sender->topic.len < 64 ? sender->topic.len : 64), sender->topic.at);
    return to->why;
  }
  return NULL;
}

static const char *reply_read(parley_text text, struct email_senders *to)
{
  if (text.len == 0)
    return NULL;
  if (mail_mailbox_read(text, &to->reply) != PARLEY_OK || to->reply.address.utf8 || to->reply.address.text[0] == '"')
    return "reply: must be one plain address, like reply@in.shop.example";
  if (to->reply.address.domain_at - 1 > EMAIL_REPLY_LOCAL_MAX)
    return "reply: its local part may have at most 34 characters, since a token follows it";
  to->has_reply = true;
  return NULL;
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */
static bool selector_read(parley_text text, char *to) /* labels of a DNS name; to: DKIM_SELECTOR_MAX + 1 bytes */
{
  size_t len;

  return mail_domain_read(text, to, DKIM_SELECTOR_MAX + 1, &len) == PARLEY_OK;
}

static const char *key_read(const parley_value *group, struct email_senders *to)
{
  struct email_key *key = &to->keys[to->n_keys++];
  parley_text domain = option_text(group, "domain"), selector = option_text(group, "selector");
  const char *why = NULL;
  size_t len;

  if (mail_domain_read(domain, key->domain, sizeof key->domain, &len) != PARLEY_OK)
    why = "has no domain name";
  else if (!selector_read(selector, key->selector))
    why = "has a selector that is no DNS label";
  else
    dkim_key_read(option_text(group, "key"), &key->key, &why);
  if (why == NULL)
    return NULL;
  snprintf(to->why, sizeof to->why, "dkim: the key of %.*s (selector %.*s) %s", (int)(domain.len < 100 ? domain.len : 100), domain.at,
           (int)selector.len, selector.at, why);
  return to->why;
}

static const char *keys_read(const parley_value *list, struct email_senders *to)
{
  const char *why = NULL;

  if (list == NULL || list->type == 0 || list->n_items == 0)
    return NULL;
  to->keys = calloc(list->n_items, sizeof *to->keys);
  if (to->keys == NULL)
    return "dkim: no memory";
  for (uint64_t i = 0; i < list->n_items && why == NULL; i++)
    why = key_read(list->items[i], to);
  return why;
}

const char *email_senders_read(const parley_value *options, struct email_senders *to)
{
  const char *why = NULL;

  *to = (struct email_senders){0};
  if (mail_mailbox_read(option_text(options, "from"), &to->from) != PARLEY_OK)
    why = "from: must be one address, like Shop <orders@shop.example>";
  if (why == NULL)
    why = senders_read(parley_find(options, "senders"), to);
  if (why == NULL)
    why = reply_read(option_text(options, "reply"), to);
  if (why == NULL)
    why = keys_read(parley_find(options, "dkim"), to);
  return why;
}

void email_senders_done(struct email_senders *senders)
{
  for (uint32_t i = 0; i < senders->n_keys; i++)
    dkim_key_free(&senders->keys[i].key);
  free(senders->keys);
  free(senders->senders);
  *senders = (struct email_senders){0};
}

/* --- Choosing and signing ----------------------------------------------------------------------------------------- */
const struct mail_mailbox *email_sender_of(const struct email_senders *senders, parley_text topic)
{
  for (uint32_t i = 0; i < senders->n_senders; i++)
    if (senders->senders[i].topic.len == topic.len && memcmp(senders->senders[i].topic.at, topic.at, topic.len) == 0)
      return &senders->senders[i].from;
  return &senders->from;
}

static bool domain_covers(const char *above, parley_text domain) /* it, or what stands below it */
{
  size_t len = strlen(above);

  return len <= domain.len && memcmp(domain.at + domain.len - len, above, len) == 0 &&
         (len == domain.len || domain.at[domain.len - len - 1] == '.');
}

uint32_t email_keys_of(const struct email_senders *senders, const struct mail_mailbox *from,
                       const struct email_key *keys[EMAIL_SIGNATURES_MAX])
{
  parley_text domain = mail_address_domain(&from->address);
  const char *nearest = "";
  uint32_t n = 0;

  for (uint32_t i = 0; i < senders->n_keys; i++)
    if (domain_covers(senders->keys[i].domain, domain) && strlen(senders->keys[i].domain) > strlen(nearest))
      nearest = senders->keys[i].domain;
  for (uint32_t i = 0; i < senders->n_keys && n < EMAIL_SIGNATURES_MAX && nearest[0] != '\0'; i++)
    if (strcmp(senders->keys[i].domain, nearest) == 0)
      keys[n++] = &senders->keys[i];
  return n;
}

bool email_sign(const struct email_key *const *keys, uint32_t n, int64_t at_ms, struct mail *mail)
{
  const parley_bytes bytes = {mail->at, mail->len}; /* each signs the mail, none another signature */
  size_t body_at = dkim_body_at(bytes);
  unsigned char hash[DKIM_HASH_BYTES];
  char field[DKIM_FIELD_ROOM];

  if (!dkim_body_hash((parley_bytes){bytes.at + body_at, bytes.len - body_at}, hash))
    return false;
  for (uint32_t i = n; i > 0; i--) {
    const struct dkim_signer signer = {.key = keys[i - 1]->key, .domain = parley_text_of(keys[i - 1]->domain),
                                       .selector = parley_text_of(keys[i - 1]->selector)};
    size_t len = dkim_sign(&signer, bytes, hash, at_ms, field);

    if (len == 0 || !mail_prepend(mail, (parley_text){field, len}))
      return false;
  }
  return true;
}
