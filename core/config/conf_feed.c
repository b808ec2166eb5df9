/* The section `subscriptions` of the configuration. */
#include "conf_read.h"
#include "core/base/digest.h"
#include "core/base/text.h"
#include <openssl/crypto.h>
#include <string.h>

#define SIGNING_BYTES_MIN 24 /* Standard Webhooks 1.0 */
#define SIGNING_BYTES_MAX 64

bool conf_signing_secret_ok(parley_text secret)
{
  uint8_t bytes[SIGNING_BYTES_MAX];
  size_t len = 0;
  bool ok = text_starts(secret, "whsec_") && base64_read(text_sub(secret, 6, SIZE_MAX), bytes, sizeof(bytes), &len) &&
            len >= SIGNING_BYTES_MIN;

  OPENSSL_cleanse(bytes, sizeof(bytes));
  return ok;
}

static void read_signing_secret(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text secret = TEXT_EMPTY;

  conf_read_secret(r, node, field, &secret);
  if (secret.len == 0)
    return;
  if (conf_signing_secret_ok(secret))
    *(parley_text *)to = secret;
  else
    conf_error(r, node, "the secret must be whsec_ and the base64 of %d to %d bytes; make one with: echo whsec_$(openssl rand "
                        "-base64 32)", SIGNING_BYTES_MIN, SIGNING_BYTES_MAX);
}

/* "message.received", "message.*", "touchpoint.call.ended". */
bool conf_event_type_ok(parley_text text)
{
  static const char *const families[] = {"message.", "conversation.", "customer.", "consent.", "touchpoint.", "campaign.",
                                         "channel.", NULL};
  bool known = parley_text_is(text, "*");

  for (size_t i = 0; families[i] != NULL; i++)
    known |= text_starts(text, families[i]) && text.len > strlen(families[i]);
  for (size_t i = 0; i < text.len && known; i++) {
    char byte = text.at[i];

    known = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-' ||
            (byte == '*' && i + 1 == text.len && (i == 0 || text.at[i - 1] == '.'));
  }
  return known && text.len <= 100;
}

static void read_types(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_subscription *subscription = to;

  (void)field;
  subscription->types = conf_read_texts(r, node, conf_event_type_ok, "event type such as message.received or message.* (message, "
                                                          "conversation, customer, consent, touchpoint, campaign, channel)",
                                        &subscription->n_types);
}

static void subscription_item(struct conf_reader *r, const struct yaml_member *member, void *item)
{
  static const struct conf_field fields[] = {
      {.name = "url", .read = conf_read_url, .offset = offsetof(struct conf_subscription, url), .first = CONF_URL_ANY,
       .max = 2048, .required = true, .example = "url: https://help.example/feed"},
      {.name = "secret", .read = read_signing_secret, .offset = offsetof(struct conf_subscription, secret), .required = true,
       .example = "secret: { env: FEED_SECRET }"},
      {.name = "types", .read = read_types},
      {.name = "filter", .read = conf_read_node, .offset = offsetof(struct conf_subscription, filter)},
      {.name = NULL}};
  struct conf_subscription *subscription = item;

  *subscription = (struct conf_subscription){.name = member->name, .url = TEXT_EMPTY, .secret = TEXT_EMPTY,
                                             .line = member->line, .col = member->col};
  conf_read_mapping(r, member->value, fields, subscription);
}

void conf_read_subscriptions(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf *conf = to;

  (void)field;
  conf->subscriptions = conf_read_section(r, node, sizeof(*conf->subscriptions), subscription_item, &conf->n_subscriptions);
}
