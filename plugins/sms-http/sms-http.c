/* sms-http.c - SMS both ways over providers' HTTP interfaces: Twilio, Vonage, and any gateway that a description in YAML tells of.
 * Owns its requests and calls until their `done`. Thread: loop. */
#include "sms_http.h"
#include <parley/ext/check.h>
#include <stdio.h>
#include <stdlib.h>

static parley_status sms_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);
  parley_status st;

  if (ch == NULL)
    return PARLEY_BUSY;
  st = sms_settings_read(options, &ch->settings);
  if (st != PARLEY_OK) {
    host->health(host, PARLEY_DOWN, parley_text_of(ch->settings.why),
                 PARLEY_LIT("plugins/sms-http/README.md has each provider's options"));
    sms_settings_done(&ch->settings);
    free(ch);
    return st;
  }
  ch->host = host;
  ch->http = host->extension(host, PARLEY_HTTP);
  ch->answers = host->extension(host, PARLEY_HTTP_IN);
  if (ch->settings.receipts && host->public_url.len + sizeof SMS_RECEIPTS_PATH <= sizeof ch->callback)
    snprintf(ch->callback, sizeof ch->callback, "%.*s" SMS_RECEIPTS_PATH, (int)host->public_url.len, host->public_url.at);
  *ret = ch;
  return PARLEY_OK;
}

static parley_status sms_start(parley_channel *ch)
{
  char line[SMS_WHY_ROOM + 64];

  /* nothing to log in to: the first message connects */
  snprintf(line, sizeof line, "event=option_passed_over why=\"%s\"", ch->settings.odd);
  if (ch->settings.odd[0] != '\0')
    ch->host->log(ch->host, PARLEY_WARN, parley_text_of(line));
  return PARLEY_OK;
}

static void sms_stop(parley_channel *ch, parley_call *done, void *arg)
{
  ch->stopped = true; /* requests still out are cancelled by the host, which settles their tokens itself */
  done(arg);
}

static void sms_destroy(parley_channel *ch)
{
  sms_settings_done(&ch->settings);
  json_writer_done(&ch->body);
  free(ch);
}

static const parley_capabilities *sms_capable(parley_channel *ch)
{
  return &ch->settings.capabilities;
}

static void sms_check(const parley_value *options, parley_fault *fault, void *arg)
{
  struct sms_settings settings;

  if (sms_settings_read(options, &settings) != PARLEY_OK)
    fault(parley_text_of(settings.why), arg);
  else if (settings.odd[0] != '\0')
    fault(parley_text_of(settings.odd), arg);
  sms_settings_done(&settings);
}

static const parley_feature *const sms_features[] = {
    PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_GSM7, .length_max = 1600,
               .count_max = 10),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_UTF16, .length_max = 1600,
               .count_max = 10),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_MEDIA, .level = PARLEY_LEVEL_FALLBACK, .count_max = SMS_MEDIA_MAX),
    NULL,
};
const parley_capabilities sms_capabilities = {
    .size = sizeof sms_capabilities,
    .flags = PARLEY_INBOUND | PARLEY_ORDERED,
    .in_flight = 32,
    .receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_READ) |
                PARLEY_BIT(PARLEY_RECEIPT_FAILED),
    .address_kind = "phone",
    .channel_kind = "sms",
    .features = sms_features,
};
static const parley_metric *const sms_metrics[] = {
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "sms_callbacks_refused", .label = "why",
               .help = "callbacks whose signature did not hold"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "sms_callbacks_unknown",
               .help = "events in callbacks that mean nothing to us"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "sms_media_missing",
               .help = "files of messages that came in and could not be fetched"),
    NULL,
};
static const parley_http_in sms_http_in = {.size = sizeof sms_http_in, .called = sms_called};
static const parley_check sms_check_table = {.size = sizeof sms_check_table, .options = sms_check};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1,
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .name = "sms-http",
    .version = "1.0.0",
    .summary = "SMS both ways by HTTP: Twilio, Vonage, and gateways that a description in YAML tells of",
    .options = sms_settings_table,
    .metrics = sms_metrics,
    .capabilities = &sms_capabilities,
    .requires_ids = (const char *const[]){PARLEY_HTTP, PARLEY_HTTP_IN, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &sms_http_in),
                          PARLEY_REF(parley_extension, .id = PARLEY_CHECK, .table = &sms_check_table), NULL),
    .create = sms_create,
    .start = sms_start,
    .submit = sms_submit,
    .stop = sms_stop,
    .destroy = sms_destroy,
    .capable = sms_capable,
    .probe = sms_probe,
};
