/* sink.c - a mailbox for development and test keys: takes every message of every kind, keeps what "went out", and can
 * be told to fail, to take its time and to give receipts. Stands in for any other channel, so it takes any address
 * kind. Owns its pending messages and receipts until their timers are due, or destroy. Thread: loop. */
#include "sink_box.h"
#include "common/sms_options.h"
#include <stdio.h>
#include <stdlib.h>

enum { KIND_ROOM = 40, RECEIPTS_MAX = 8, MESSAGE_ID_ROOM = 64, PERCENT = 100, SEGMENTS_MAX = 64, PART_ID_ROOM = MESSAGE_ID_ROOM + 12 };

/* The choices of `fail.outcome`, by the ABI's numbers from 1 on, and of `receipts`, likewise. */
static const char *const outcome_names[] = {"accepted",    "delivered", "retry",        "rejected",
                                            "bad_address", "throttled", "channel_down", "unknown", NULL};
static const char *const receipt_names[] = {"sent",    "delivered",    "read",       "failed", "opened",
                                            "clicked", "unsubscribed", "complained", NULL};

struct parley_channel {
  const parley_host *host;
  struct sink_box *box;
  struct pending *pendings; /* waiting for their timer */
  parley_capabilities capabilities;
  struct sms_options sms; /* of one that stands in for SMS */
  char address_kind[KIND_ROOM];
  uint32_t fail_share, fail_outcome, delay_ms, receipt_delay_ms;
  uint32_t n_receipts, receipts[RECEIPTS_MAX];
};

/* A message that is not settled yet, or the receipts that follow it. */
struct pending {
  struct pending *next, **at; /* at: what points here */
  parley_channel *ch;
  uint64_t token;
  const parley_message *message; /* until its token has settled, then NULL */
  uint32_t receipt_next;         /* index in ch->receipts */
  uint32_t n_parts;              /* that have an id each; 0: the message is one */
  size_t id_len;
  char id[MESSAGE_ID_ROOM];      /* the message's */
};

static const parley_capabilities sink_capabilities;
enum { SMS_FEATURES = 3 };
static const parley_feature *const sms_features[SMS_FEATURES];

static void pending_link(parley_channel *ch, struct pending *pending)
{
  pending->next = ch->pendings;
  pending->at = &ch->pendings;
  if (pending->next != NULL)
    pending->next->at = &pending->next;
  ch->pendings = pending;
}

static void pending_free(struct pending *pending)
{
  *pending->at = pending->next;
  if (pending->next != NULL)
    pending->next->at = pending->at;
  free(pending);
}

/* --- Receipts ---------------------------------------------------------------------------------------------------- */

/* "msg_...-2" of the second part. */
static parley_text part_id(const struct pending *pending, uint32_t part, char room[PART_ID_ROOM])
{
  int len = snprintf(room, PART_ID_ROOM, "%.*s-%u", (int)pending->id_len, pending->id, part + 1);

  return (parley_text){room, (size_t)len};
}

/* One for each part, or for the message. */
static void receipts_give(const struct pending *pending, uint32_t kind)
{
  const parley_host *host = pending->ch->host;
  parley_receipt receipt = {.size = sizeof receipt, .kind = kind, .at_ms = host->now_ms(host),
                            .outcome = kind == PARLEY_RECEIPT_FAILED ? PARLEY_OUTCOME_REJECTED : 0};
  char room[PART_ID_ROOM];

  if (pending->n_parts == 0) {
    receipt.message_id = (parley_text){pending->id, pending->id_len};
    host->receipt(host, &receipt, NULL, NULL);
  }
  for (uint32_t i = 0; i < pending->n_parts; i++) {
    receipt.provider_id = part_id(pending, i, room);
    host->receipt(host, &receipt, NULL, NULL);
  }
}

static void receipt_due(void *arg)
{
  struct pending *pending = arg;
  parley_channel *ch = pending->ch;

  receipts_give(pending, ch->receipts[pending->receipt_next++]);
  if (pending->receipt_next < ch->n_receipts)
    ch->host->timer(ch->host, ch->receipt_delay_ms, 0, receipt_due, pending);
  else
    pending_free(pending);
}

/* --- Out --------------------------------------------------------------------------------------------------------- */

/* What becomes of this one: by lot, when some are to fail. */
static uint32_t outcome_draw(const parley_channel *ch)
{
  const uint64_t range = UINT64_C(1) << 32;
  uint32_t lot;

  if (ch->fail_share == 0)
    return PARLEY_OUTCOME_ACCEPTED;
  ch->host->random(ch->host, &lot, sizeof lot);
  return (uint64_t)lot * PERCENT < range * ch->fail_share ? ch->fail_outcome : PARLEY_OUTCOME_ACCEPTED;
}

/* UNKNOWN is kept as well: it may have gone out, and here it has. */
static bool outcome_keeps(uint32_t outcome)
{
  return outcome == PARLEY_OUTCOME_ACCEPTED || outcome == PARLEY_OUTCOME_DELIVERED || outcome == PARLEY_OUTCOME_UNKNOWN;
}

/* Texts in several parts, the segments of an SMS, get an id each, as from a provider of SMS. */
static uint32_t parts_with_ids(const parley_message *message)
{
  uint32_t n = 0;

  while (n < message->n_parts && message->parts[n]->kind == PARLEY_PART_TEXT)
    n++;
  return n > 1 && n == message->n_parts && n <= SEGMENTS_MAX ? n : 0;
}

static void outcome_give(const struct pending *pending, uint32_t result)
{
  const parley_host *host = pending->ch->host;
  char rooms[SEGMENTS_MAX][PART_ID_ROOM];
  parley_text ids[SEGMENTS_MAX];
  parley_outcome outcome = {.size = sizeof outcome, .result = result, .ids = ids};

  if (result != PARLEY_OUTCOME_ACCEPTED) {
    outcome.code = parley_text_of(outcome_names[result - 1]);
    outcome.detail = PARLEY_LIT("the sink was told to, by its option fail");
  }
  for (; outcome_keeps(result) && outcome.n_ids < pending->n_parts; outcome.n_ids++)
    ids[outcome.n_ids] = part_id(pending, outcome.n_ids, rooms[outcome.n_ids]);
  host->settle(host, pending->token, &outcome);
}

/* Settles the message and frees pending, unless receipts are to follow. */
static void pending_settle(struct pending *pending)
{
  parley_channel *ch = pending->ch;
  uint32_t result = outcome_draw(ch);

  if (outcome_keeps(result) && sink_box_add(ch->box, pending->message, result, ch->host->now_ms(ch->host)) != PARLEY_OK)
    result = PARLEY_OUTCOME_RETRY;
  outcome_give(pending, result);
  pending->message = NULL;
  if (outcome_keeps(result) && ch->n_receipts > 0)
    ch->host->timer(ch->host, ch->receipt_delay_ms, 0, receipt_due, pending);
  else
    pending_free(pending);
}

static void settle_due(void *arg)
{
  pending_settle(arg);
}

static parley_status sink_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  struct pending *pending = message->id.len <= MESSAGE_ID_ROOM ? malloc(sizeof *pending) : NULL;

  if (pending == NULL)
    return PARLEY_BUSY;
  *pending = (struct pending){
      .ch = ch, .token = token, .message = message, .n_parts = parts_with_ids(message), .id_len = message->id.len};
  memcpy(pending->id, message->id.at, message->id.len);
  pending_link(ch, pending);
  if (ch->delay_ms > 0)
    ch->host->timer(ch->host, ch->delay_ms, 0, settle_due, pending);
  else
    pending_settle(pending);
  return PARLEY_OK;
}

static parley_status sink_probe(parley_channel *ch, uint64_t token)
{
  ch->host->settle(ch->host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED));
  return PARLEY_OK;
}

/* --- The mailbox ------------------------------------------------------------------------------------------------- */

static void sink_list(parley_channel *ch, const parley_mail_query *query, parley_mail_done *done, void *arg)
{
  const parley_mail *mails[SINK_BOX_PAGE_MAX];
  parley_mail_page page;

  sink_box_list(ch->box, query, mails, &page);
  done(&page, arg);
}

static void sink_clear(parley_channel *ch)
{
  sink_box_clear(ch->box);
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

/* The unit of consent that goes with an address kind. */
static const char *channel_kind_of(const char *address_kind)
{
  static const struct { const char *address, *channel; } kinds[] = {
      {"email", "email"}, {"phone", "sms"}, {"push", "push"}, {"none", "webhook"}};

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].address, address_kind) == 0)
      return kinds[i].channel;
  return "chat";
}

static void receipts_read(parley_channel *ch, const parley_value *list)
{
  ch->capabilities.receipts = 0;
  for (uint64_t i = 0; i < list->n_items && ch->n_receipts < RECEIPTS_MAX; i++) {
    uint32_t kind = (uint32_t)list->items[i]->number + PARLEY_RECEIPT_SENT; /* the choices stand in the ABI's order */

    ch->receipts[ch->n_receipts++] = kind;
    ch->capabilities.receipts |= PARLEY_BIT(kind);
  }
}

/* SMS goes as it would: segments of one alphabet or the other, with what the options say. */
static void capabilities_narrow(parley_channel *ch)
{
  ch->capabilities.channel_kind = channel_kind_of(ch->address_kind);
  if (strcmp(ch->capabilities.channel_kind, "sms") != 0)
    return;
  ch->capabilities.features = sms_features;
  sms_options_capable(&ch->sms, &ch->capabilities);
}

static void options_read(parley_channel *ch, const parley_value *options)
{
  const parley_value *fail = parley_find(options, "fail");
  parley_text kind = parley_find(options, "address_kind")->text;

  memcpy(ch->address_kind, kind.at, kind.len); /* the option table bounds it; the rest is 0 */
  ch->capabilities = sink_capabilities;
  ch->capabilities.address_kind = ch->address_kind;
  capabilities_narrow(ch);
  if (fail->type != 0 && fail->n_items > 0) {
    ch->fail_share = (uint32_t)parley_find(fail, "share")->number;
    ch->fail_outcome = (uint32_t)parley_find(fail, "outcome")->number + PARLEY_OUTCOME_ACCEPTED;
  }
  ch->delay_ms = (uint32_t)parley_find(options, "delay")->number;
  ch->receipt_delay_ms = (uint32_t)parley_find(options, "receipt_delay")->number;
  receipts_read(ch, parley_find(options, "receipts"));
}

static void sink_destroy(parley_channel *ch)
{
  while (ch->pendings != NULL)
    pending_free(ch->pendings); /* their tokens have been settled by the host, their timers ended */
  sink_box_free(&ch->box);
  sms_options_done(&ch->sms);
  free(ch);
}

static parley_status sink_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);
  struct sink_box *box = sink_box_new((size_t)parley_find(options, "keep")->number);
  parley_status st;

  if (ch == NULL || box == NULL || parley_find(options, "address_kind")->text.len >= KIND_ROOM) {
    sink_box_free(&box);
    free(ch);
    return PARLEY_BUSY;
  }
  ch->host = host;
  ch->box = box;
  st = sms_options_read(options, &ch->sms);
  if (st != PARLEY_OK) {
    if (st == PARLEY_INVALID)
      host->health(host, PARLEY_DOWN, parley_text_of(ch->sms.why), PARLEY_LIT("correct the option"));
    sink_destroy(ch);
    return st;
  }
  options_read(ch, options);
  *ret = ch;
  return PARLEY_OK;
}

static parley_status sink_start(parley_channel *ch)
{
  (void)ch;
  return PARLEY_OK;
}

static const parley_capabilities *sink_capable(parley_channel *ch)
{
  return &ch->capabilities;
}

static const parley_option *const fail_fields[] = {
    PARLEY_REF(parley_option, .name = "share", .type = PARLEY_OPTION_INT, .min = 0, .max = PERCENT, .default_text = "100",
               .doc = "how many of a hundred messages fail"),
    PARLEY_REF(parley_option, .name = "outcome", .type = PARLEY_OPTION_CHOICE, .choices = outcome_names,
               .default_text = "retry", .doc = "how they fail"),
    NULL,
};
static const parley_option *const receipt_fields[] = {
    PARLEY_REF(parley_option, .name = "kind", .type = PARLEY_OPTION_CHOICE, .choices = receipt_names,
               .doc = "kind of receipt"),
    NULL,
};
static const parley_option *const sink_options[] = {
    PARLEY_REF(parley_option, .name = "address_kind", .type = PARLEY_OPTION_TEXT, .min = 1, .max = KIND_ROOM - 1,
               .default_text = "email", .doc = "the kind of identity it sends to; none: to everyone; phone: as SMS, in segments",
               .example = "phone"),
    PARLEY_REF(parley_option, .name = "keep", .type = PARLEY_OPTION_INT, .min = 1, .max = 1000000,
               .default_text = "10000", .doc = "messages kept, and 64 MiB of them; older ones are forgotten"),
    PARLEY_REF(parley_option, .name = "fail", .type = PARLEY_OPTION_GROUP, .fields = fail_fields,
               .doc = "lets some of them fail"),
    PARLEY_REF(parley_option, .name = "delay", .type = PARLEY_OPTION_DURATION, .min = 0, .max = 3600000,
               .default_text = "0s", .doc = "how long each message takes"),
    PARLEY_REF(parley_option, .name = "receipts", .type = PARLEY_OPTION_LIST, .max = RECEIPTS_MAX,
               .fields = receipt_fields, .doc = "receipts given for each message that went out, in this order"),
    PARLEY_REF(parley_option, .name = "receipt_delay", .type = PARLEY_OPTION_DURATION, .min = 0, .max = 3600000,
               .default_text = "0s", .doc = "how long before each of them"),
    &sms_option_simplify,
    &sms_option_prices,
    NULL,
};

#define NATIVE(kind, ...) PARLEY_REF(parley_feature, .what = kind, .level = PARLEY_LEVEL_NATIVE, __VA_ARGS__)
static const parley_feature *const sink_features[] = {
    NATIVE(PARLEY_PART_TEXT, .unit = PARLEY_UNIT_BYTES),
    NATIVE(PARLEY_PART_HTML, .unit = PARLEY_UNIT_BYTES),
    NATIVE(PARLEY_PART_MEDIA, .count_max = 32),
    NATIVE(PARLEY_PART_BUTTONS, .count_max = 0),
    NATIVE(PARLEY_PART_LOCATION, .count_max = 0),
    NATIVE(PARLEY_PART_CONTACT, .count_max = 0),
    NATIVE(PARLEY_PART_TEMPLATE, .count_max = 0),
    NATIVE(PARLEY_KIND_EDIT, .count_max = 0),
    NATIVE(PARLEY_KIND_DELETE, .count_max = 0),
    NATIVE(PARLEY_KIND_REACTION, .count_max = 0),
    NATIVE(PARLEY_KIND_TYPING, .count_max = 0),
    NATIVE(PARLEY_KIND_READ, .count_max = 0),
    NATIVE(PARLEY_FEATURE_REPLY, .count_max = 0),
    NATIVE(PARLEY_FEATURE_SUBJECT, .unit = PARLEY_UNIT_BYTES),
    NULL,
};
/* 3GPP TS 23.038 and 23.040: one SMS, or segments that a phone joins again. */
static const parley_feature *const sms_features[SMS_FEATURES] = {
    NATIVE(PARLEY_PART_TEXT, .unit = PARLEY_UNIT_GSM7, .length_max = 160, .joined_max = 153, .count_max = SEGMENTS_MAX),
    NATIVE(PARLEY_PART_TEXT, .unit = PARLEY_UNIT_UTF16, .length_max = 70, .joined_max = 67, .count_max = SEGMENTS_MAX),
    NULL,
};
static const parley_capabilities sink_capabilities = {
    .size = sizeof sink_capabilities,
    .in_flight = 1000,
    .receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) |
                PARLEY_BIT(PARLEY_RECEIPT_READ) | PARLEY_BIT(PARLEY_RECEIPT_FAILED) |
                PARLEY_BIT(PARLEY_RECEIPT_OPENED) | PARLEY_BIT(PARLEY_RECEIPT_CLICKED) |
                PARLEY_BIT(PARLEY_RECEIPT_UNSUBSCRIBED) | PARLEY_BIT(PARLEY_RECEIPT_COMPLAINED),
    .address_kind = "email",
    .channel_kind = "email",
    .features = sink_features,
};
static const parley_mailbox sink_mailbox = {.size = sizeof sink_mailbox, .list = sink_list, .clear = sink_clear};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1,
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .name = "sink",
    .version = "1.0.0",
    .summary = "a mailbox for development and tests: keeps what it is given, fails and answers as told",
    .options = sink_options,
    .capabilities = &sink_capabilities,
    .offers =
        PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_MAILBOX, .table = &sink_mailbox), NULL),
    .create = sink_create,
    .start = sink_start,
    .submit = sink_submit,
    .destroy = sink_destroy,
    .capable = sink_capable,
    .probe = sink_probe,
};
