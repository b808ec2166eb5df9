/* Options listen and submission. */
#include "email_listen.h"
#include "common/option.h"

enum { TEXT_MAX = 1000, PEM_MAX = 65536, MAIL_MIN = 1 << 10 };
enum { PROTOCOL_LMTP, PROTOCOL_SMTP };

static const char *const protocols[] = {"lmtp", "smtp", NULL};
static const parley_option *const tls_fields[] = {
    PARLEY_REF(parley_option, .name = "cert", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET, .min = 1,
               .max = PEM_MAX, .doc = "the certificate and what stands between it and a root, PEM, by reference: { file: ... }",
               .example = "-----BEGIN CERTIFICATE-----"),
    PARLEY_REF(parley_option, .name = "key", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET, .min = 1,
               .max = PEM_MAX, .doc = "its private key, PEM, by reference", .example = "-----BEGIN PRIVATE KEY-----"),
    NULL,
};
static const parley_option *const domain_element[] = {
    PARLEY_REF(parley_option, .name = "domain", .type = PARLEY_OPTION_TEXT, .min = 1, .max = 253, .doc = "a domain of ours",
               .example = "shop.example"),
    NULL,
};
static const parley_option *const address_element[] = {
    PARLEY_REF(parley_option, .name = "address", .type = PARLEY_OPTION_TEXT, .min = 1, .max = MAIL_ADDRESS_MAX,
               .doc = "an address of ours: support@shop.example, or support for every domain", .example = "support"),
    NULL,
};
#define TLS_OPTION                                                                                                               \
  PARLEY_REF(parley_option, .name = "tls", .type = PARLEY_OPTION_GROUP, .fields = tls_fields, .doc = "offers STARTTLS")
#define SIZE_OPTION                                                                                                              \
  PARLEY_REF(parley_option, .name = "size", .type = PARLEY_OPTION_SIZE, .min = MAIL_MIN, .max = MAIL_IN_BYTES_MAX,               \
             .default_text = "25M", .doc = "largest mail", .example = "25M")
#define CONNECTIONS_OPTION                                                                                                       \
  PARLEY_REF(parley_option, .name = "connections", .type = PARLEY_OPTION_INT, .min = 1, .max = EMAIL_LISTEN_CONNECTIONS_MAX,     \
             .default_text = "100", .doc = "most of them at once", .example = "100")

static const parley_option *const listen_fields[] = {
    PARLEY_REF(parley_option, .name = "address", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .min = 1, .max = TEXT_MAX,
               .doc = "where: 127.0.0.1:24, [::1]:24 or unix:/path", .example = "127.0.0.1:2424"),
    PARLEY_REF(parley_option, .name = "protocol", .type = PARLEY_OPTION_CHOICE, .choices = protocols, .default_text = "lmtp",
               .doc = "lmtp, from a mail server of yours; smtp, from anybody", .example = "lmtp"),
    PARLEY_REF(parley_option, .name = "domains", .type = PARLEY_OPTION_LIST, .flags = PARLEY_REQUIRED, .fields = domain_element,
               .min = 1, .max = EMAIL_LISTEN_NAMES_MAX, .doc = "whose mail is taken in", .example = "[shop.example]"),
    PARLEY_REF(parley_option, .name = "addresses", .type = PARLEY_OPTION_LIST, .fields = address_element, .max = EMAIL_LISTEN_NAMES_MAX,
               .doc = "of these domains only these addresses, beside those with a token, postmaster and abuse; default: every one",
               .example = "[support]"),
    TLS_OPTION, SIZE_OPTION, CONNECTIONS_OPTION, NULL,
};
static const parley_option *const submission_fields[] = {
    PARLEY_REF(parley_option, .name = "listen", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .min = 1, .max = TEXT_MAX,
               .doc = "where: 0.0.0.0:587; without tls on loopback only", .example = "127.0.0.1:2587"),
    PARLEY_REF(parley_option, .name = "topic", .type = PARLEY_OPTION_TEXT, .max = 64,
               .doc = "what a mail is about whose API key has no topic of its own", .example = "orders"),
    TLS_OPTION, SIZE_OPTION, CONNECTIONS_OPTION, NULL,
};
const parley_option email_option_listen = {.size = sizeof email_option_listen, .name = "listen", .type = PARLEY_OPTION_GROUP,
                                           .fields = listen_fields, .doc = "takes mail in, by LMTP or SMTP"};
const parley_option email_option_submission = {.size = sizeof email_option_submission, .name = "submission",
                                               .type = PARLEY_OPTION_GROUP, .fields = submission_fields,
                                               .doc = "takes mail of your own software, to be sent as messages: SMTP with an API "
                                                      "key as password"};

static void common_read(const parley_value *group, struct email_listen_options *to)
{
  const parley_value *tls = parley_find(group, "tls");

  to->on = true;
  to->mail_max = (uint64_t)option_number(group, "size", 0);
  to->connections = (uint32_t)option_number(group, "connections", 0);
  if (!option_given(tls))
    return;
  to->cert_pem = option_text(tls, "cert");
  to->key_pem = option_text(tls, "key");
}

static bool begins(parley_text text, const char *word)
{
  return text.len >= strlen(word) && memcmp(text.at, word, strlen(word)) == 0;
}

static bool is_near(parley_text address) /* nobody on a network reads along */
{
  return begins(address, "127.") || begins(address, "[::1]:") || begins(address, "localhost:") || begins(address, "unix:");
}

static const char *domains_check(const parley_value *domains)
{
  char name[254];
  size_t len;

  for (uint64_t i = 0; i < domains->n_items; i++)
    if (mail_domain_read(domains->items[i]->text, name, sizeof name, &len) != PARLEY_OK)
      return "listen.domains: each is a domain such as shop.example";
  return domains->n_items > 0 ? NULL : "listen.domains: name at least one domain of yours";
}

static const char *listen_read(const parley_value *group, struct email_listen_options *to)
{
  const parley_value *protocol = parley_find(group, "protocol"), *addresses = parley_find(group, "addresses");

  common_read(group, to);
  to->address = option_text(group, "address");
  to->protocol = option_given(protocol) && protocol->number == PROTOCOL_SMTP ? SMTP_SERVE_SMTP : SMTP_SERVE_LMTP;
  to->domains = parley_find(group, "domains");
  to->addresses = option_given(addresses) && addresses->n_items > 0 ? addresses : NULL;
  return domains_check(to->domains);
}

static const char *submission_read(const parley_value *group, struct email_listen_options *to)
{
  common_read(group, to);
  to->address = option_text(group, "listen");
  to->topic = option_text(group, "topic");
  to->protocol = SMTP_SERVE_SUBMISSION;
  return to->cert_pem.len > 0 || is_near(to->address)
             ? NULL
             : "submission: API keys travel by TLS alone: give tls, or listen on 127.0.0.1";
}

const char *email_accept_read(const parley_value *options, struct email_accept_options *to)
{
  const parley_value *listen = parley_find(options, "listen"), *submission = parley_find(options, "submission");
  const char *why = NULL;

  *to = (struct email_accept_options){0};
  if (option_given(listen))
    why = listen_read(listen, &to->listen);
  if (why == NULL && option_given(submission))
    why = submission_read(submission, &to->submission);
  return why;
}
