#include "sms_settings.h"
#include "common/option.h"
#include "gateway_options.h"
#include <stdio.h>

enum {
  IN_FLIGHT_MAX = 1024,
  TIMEOUT_MIN_MS = 1000,
  TIMEOUT_MAX_MS = 300000,
  TEXT_MAX = 1000,
  NAME_MAX_BYTES = 200,
  KEY_MAX_BYTES = 16384
};

static const char *const api_choices[] = {"sms", "messages", NULL};
static const char *const provider_choices[] = {"twilio", "vonage", "gateway", NULL};
static const struct sms_provider *const providers[] = {&sms_twilio, &sms_vonage, &sms_gateway};
const char *const sms_signature_choices[] = {"md5hash", "md5", "sha1", "sha256", "sha512", NULL};

const parley_option *const sms_settings_table[] = {
    PARLEY_REF(parley_option, .name = "provider", .type = PARLEY_OPTION_CHOICE, .flags = PARLEY_REQUIRED, .choices = provider_choices,
               .doc = "twilio, vonage, or gateway: any other, as the option gateway describes it", .example = "twilio"),
    PARLEY_REF(parley_option, .name = "account", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .min = 1,
               .max = NAME_MAX_BYTES, .doc = "who you are there: Twilio's Account SID, Vonage's API key, {{account}} of a gateway",
               .example = "AC00000000000000000000000000000000"),
    PARLEY_REF(parley_option, .name = "user", .type = PARLEY_OPTION_TEXT, .max = NAME_MAX_BYTES,
               .doc = "to log in with where it is not the account: the SID of a Twilio API key",
               .example = "SK00000000000000000000000000000000"),
    PARLEY_REF(parley_option, .name = "secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET, .min = 1,
               .max = TEXT_MAX, .doc = "Twilio's Auth Token, Vonage's API secret, a gateway's token or password",
               .example = "kit-secret-of-an-account"),
    PARLEY_REF(
        parley_option, .name = "callback_secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .max = TEXT_MAX,
        .doc =
            "what callbacks are signed with where it is not secret: Vonage's signature secret, Twilio's Auth Token beside an API key",
        .example = "kit-secret-of-callbacks"),
    &sms_option_from,
    &sms_option_senders,
    PARLEY_REF(parley_option, .name = "messaging_service", .type = PARLEY_OPTION_TEXT, .max = NAME_MAX_BYTES,
               .doc = "Twilio: the SID of a Messaging Service, which chooses the sender",
               .example = "MG00000000000000000000000000000000"),
    &sms_option_simplify,
    &sms_option_prices,
    PARLEY_REF(parley_option, .name = "mms", .type = PARLEY_OPTION_BOOL, .default_text = "false",
               .doc = "send pictures and files as MMS, where the provider and the country have it; else a link stands in the text",
               .example = "true"),
    PARLEY_REF(parley_option, .name = "receipts", .type = PARLEY_OPTION_BOOL, .default_text = "true",
               .doc = "ask with each message for receipts at this server's public URL", .example = "true"),
    PARLEY_REF(parley_option, .name = "api", .type = PARLEY_OPTION_CHOICE, .choices = api_choices, .default_text = "sms",
               .doc = "Vonage: its SMS API, or its Messages API, which has MMS", .example = "sms"),
    PARLEY_REF(parley_option, .name = "signature", .type = PARLEY_OPTION_CHOICE, .choices = sms_signature_choices,
               .default_text = "md5hash", .doc = "Vonage: how it signs callbacks, as the dashboard's API settings say",
               .example = "sha256"),
    PARLEY_REF(parley_option, .name = "application", .type = PARLEY_OPTION_TEXT, .max = NAME_MAX_BYTES,
               .doc = "Vonage's Messages API: the application's id; without it there are no receipts",
               .example = "78d335fa-323d-0114-9c3d-d6f0d48968cf"),
    PARLEY_REF(parley_option, .name = "private_key", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .max = KEY_MAX_BYTES,
               .doc = "Vonage's Messages API: the application's private key, PEM", .example = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZ"),
    PARLEY_REF(parley_option, .name = "gateway", .type = PARLEY_OPTION_GROUP, .fields = gateway_fields,
               .doc = "provider gateway: its description, or { file: gateways/NAME.yaml }"),
    PARLEY_REF(parley_option, .name = "base_url", .type = PARLEY_OPTION_URL,
               .doc = "another server than the provider's own: a region, a test", .example = "https://api.twilio.com"),
    PARLEY_REF(parley_option, .name = "in_flight", .type = PARLEY_OPTION_INT, .min = 1, .max = IN_FLIGHT_MAX, .default_text = "32",
               .doc = "requests open at once", .example = "32"),
    PARLEY_REF(parley_option, .name = "timeout", .type = PARLEY_OPTION_DURATION, .min = TIMEOUT_MIN_MS, .max = TIMEOUT_MAX_MS,
               .default_text = "30s", .doc = "for one request, answer included", .example = "30s"),
    NULL,
};

static void account_read(const parley_value *options, struct sms_account *to)
{
  *to = (struct sms_account){.account = option_text(options, "account"),
                             .user = option_text(options, "user"),
                             .secret = option_text(options, "secret"),
                             .callback_secret = option_text(options, "callback_secret"),
                             .base_url = option_text(options, "base_url"),
                             .messaging_service = option_text(options, "messaging_service"),
                             .mms = option_number(options, "mms", 0) != 0,
                             .signature = (int32_t)option_number(options, "signature", 0)};
  if (to->user.len == 0)
    to->user = to->account;
  if (to->callback_secret.len == 0)
    to->callback_secret = to->secret;
  while (to->base_url.len > 0 && to->base_url.at[to->base_url.len - 1] == '/')
    to->base_url.len--;
}

/* What can be done without, and is a mistake all the same. */
static void oddities_find(const parley_value *options, struct sms_settings *to)
{
  static const struct {
    const char *option;
    const struct sms_provider *of;
  } own[] = {{"messaging_service", &sms_twilio}, {"gateway", &sms_gateway}};
  bool no_sender = to->sms.from.kind == SMS_SENDER_NONE && to->sms.n_senders == 0 && to->account.messaging_service.len == 0;

  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    const parley_value *value = parley_find(options, own[i].option);

    if (option_given(value) && to->provider != own[i].of)
      snprintf(to->odd, sizeof to->odd, "%s: it means nothing to provider %s, only to %s", own[i].option, to->provider->name,
               own[i].of->name);
  }
  if (to->provider->needs_from && no_sender)
    snprintf(to->odd, sizeof to->odd, "from: %s needs a sender: from, senders%s", to->provider->name,
             to->provider == &sms_twilio ? " or messaging_service" : "");
}

static void capabilities_make(struct sms_settings *to)
{
  to->provider->capable(to->self, &to->capable);
  for (uint32_t i = 0; i < to->capable.n_features; i++)
    to->features[i] = &to->capable.features[i];
  to->capabilities = sms_capabilities;
  to->capabilities.in_flight = to->in_flight;
  to->capabilities.receipts = to->capable.receipts;
  to->capabilities.features = to->features;
  sms_options_capable(&to->sms, &to->capabilities);
}

parley_status sms_settings_read(const parley_value *options, struct sms_settings *to)
{
  parley_status st;

  *to = (struct sms_settings){.provider = providers[option_number(options, "provider", 0)],
                              .in_flight = (uint32_t)option_number(options, "in_flight", 0),
                              .timeout_ms = (uint32_t)option_number(options, "timeout", 0),
                              .receipts = option_number(options, "receipts", 0) != 0};
  if (to->provider == &sms_vonage && option_number(options, "api", 0) != 0)
    to->provider = &sms_vonage_messages;
  account_read(options, &to->account);
  st = sms_options_read(options, &to->sms);
  if (st != PARLEY_OK) {
    snprintf(to->why, sizeof to->why, "%s", to->sms.why);
    return st;
  }
  oddities_find(options, to);
  st = to->provider->open(&to->account, options, &to->self, to->why);
  if (st == PARLEY_OK)
    capabilities_make(to);
  else if (st == PARLEY_BUSY)
    snprintf(to->why, sizeof to->why, "no memory");
  return st;
}

void sms_settings_done(struct sms_settings *settings)
{
  if (settings->self != NULL)
    settings->provider->close(settings->self);
  settings->self = NULL;
  sms_options_done(&settings->sms);
}
