/* smpp.c - the SMPP channel as the host sees it: its table, its capabilities, its life. The binds and what waits for them are
 * smpp_pool's, one message's parts smpp_job's, what comes in smpp_intake's; what may be out without an answer, smpp_proof knows. */
#include "smpp_intake.h"
#include <parley/ext/check.h>
#include <parley/ext/stream.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  IN_FLIGHT_ROUNDS = 2, /* tokens for each place in a window: one on its way, one at hand */
  IN_FLIGHT_MIN = 16,
  GSM_ALONE = 160, GSM_JOINED8 = 153, GSM_JOINED16 = 152, UCS2_ALONE = 70, UCS2_JOINED8 = 67, UCS2_JOINED16 = 66,
  FEATURES = 3
};

struct parley_channel {
  const parley_host *host;
  struct smpp_options options;
  parley_capabilities capabilities;
  parley_feature texts[FEATURES - 1];
  const parley_feature *features[FEATURES + 1];
  struct smpp_ids ids;
  struct smpp_proof *proof;
  struct smpp_intake *intake;
  struct smpp_pool *pool;
  parley_call *stopped;
  void *stopped_arg;
};

/* --- A message's way ---------------------------------------------------------------------------------------------- */
static parley_status smpp_submit(parley_channel *channel, uint64_t token, const parley_message *message)
{
  const parley_host *host = channel->host;
  bool counted = message->n_parts > 0 && message->n_parts <= SMPP_SEGMENTS_MAX;
  const char *fault = channel->options.kind == SMPP_RECEIVER ? "this channel takes in only: bind is receiver"
                      : !counted                             ? "a message has 1 to 64 segments"
                                                             : NULL;
  struct smpp_job *job;

  for (uint32_t i = 0; fault == NULL && i < message->n_parts; i++)
    if (message->parts[i]->kind != PARLEY_PART_TEXT)
      fault = "SMS carries text only";
  if (fault != NULL) {
    host->settle(host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_REJECTED, .detail = parley_text_of(fault)));
    return PARLEY_OK;
  }
  job = smpp_pool_takes(channel->pool) ? smpp_job_new(host, &channel->options, token, message) : NULL;
  if (job == NULL)
    return PARLEY_BUSY;
  smpp_pool_add(channel->pool, job);
  return PARLEY_OK;
}

static parley_status smpp_query(parley_channel *channel, uint64_t token, const parley_message *message)
{
  return smpp_proof_wait(channel->proof, token, message) ? PARLEY_OK : PARLEY_BUSY;
}

static parley_status smpp_probe(parley_channel *channel, uint64_t token)
{
  return smpp_pool_probe(channel->pool, token) ? PARLEY_OK : PARLEY_BUSY;
}

static void pool_received(struct smpp_link *link, const struct smpp_head *head, const struct smpp_message *message, void *arg)
{
  parley_channel *channel = arg;

  smpp_intake_take(channel->intake, link, head, message);
}

/* --- Stopping ----------------------------------------------------------------------------------------------------- */
static void smpp_drain(parley_channel *channel, uint32_t within_ms)
{
  (void)within_ms; /* what is not settled by then the host ends by stop() */
  smpp_pool_drain(channel->pool);
}

static void pool_over(void *arg)
{
  parley_channel *channel = arg;

  channel->stopped(channel->stopped_arg); /* the last thing to do: the host may call destroy() within it */
}

static void smpp_stop(parley_channel *channel, parley_call *done, void *arg)
{
  channel->stopped = done;
  channel->stopped_arg = arg;
  smpp_pool_stop(channel->pool);
}

/* --- What it can -------------------------------------------------------------------------------------------------- */
static const parley_feature content = {.size = sizeof content, .what = PARLEY_KIND_CONTENT, .level = PARLEY_LEVEL_NATIVE};
static const parley_capabilities capabilities = {
    .size = sizeof capabilities, .flags = PARLEY_ORDERED | PARLEY_INBOUND, .in_flight = IN_FLIGHT_MIN,
    .receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_FAILED),
    .address_kind = "phone", .channel_kind = "sms",
    .features = PARLEY_LIST(parley_feature, &content,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .count_max = 16,
                                       .unit = PARLEY_UNIT_GSM7, .length_max = GSM_ALONE, .joined_max = GSM_JOINED8),
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .count_max = 16,
                                       .unit = PARLEY_UNIT_UTF16, .length_max = UCS2_ALONE, .joined_max = UCS2_JOINED8),
                            NULL)};

/* Whole: the centre cuts, into as many segments. */
static parley_feature text_feature(const struct smpp_options *options, uint32_t unit, uint32_t alone, uint32_t joined)
{
  bool whole = options->joining == SMPP_PAYLOAD;

  return (parley_feature){.size = sizeof(parley_feature), .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = unit,
                          .count_max = whole ? 1 : options->segments,
                          .length_max = whole && options->segments > 1 ? joined * options->segments : alone,
                          .joined_max = whole ? 0 : joined};
}

static void capabilities_narrow(parley_channel *channel)
{
  const struct smpp_options *options = &channel->options;
  parley_capabilities *to = &channel->capabilities;
  bool narrow = options->joining == SMPP_UDH16 || options->joining == SMPP_SAR;
  uint32_t places = options->binds * options->bind.window * IN_FLIGHT_ROUNDS, n = 0;

  *to = capabilities;
  to->in_flight = places > IN_FLIGHT_MIN ? places : IN_FLIGHT_MIN;
  if (options->kind == SMPP_TRANSMITTER)
    to->flags &= ~(uint32_t)PARLEY_INBOUND;
  if (options->registered == 0 || options->kind == SMPP_TRANSMITTER)
    to->receipts = 0;
  channel->texts[0] = text_feature(options, PARLEY_UNIT_GSM7, GSM_ALONE, narrow ? GSM_JOINED16 : GSM_JOINED8);
  channel->texts[1] = text_feature(options, PARLEY_UNIT_UTF16, UCS2_ALONE, narrow ? UCS2_JOINED16 : UCS2_JOINED8);
  channel->features[n++] = &content;
  if (options->alphabet != GSM_UCS2)
    channel->features[n++] = &channel->texts[0];
  channel->features[n] = &channel->texts[1];
  to->features = channel->features;
  sms_options_capable(&options->sms, to);
}

static const parley_capabilities *smpp_capable(parley_channel *channel)
{
  return &channel->capabilities;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
static void smpp_destroy(parley_channel *channel)
{
  smpp_pool_free(&channel->pool);
  smpp_intake_free(&channel->intake);
  smpp_proof_free(&channel->proof);
  smpp_options_done(&channel->options);
  free(channel);
}

static bool parts_new(parley_channel *channel, const parley_stream *stream)
{
  const struct smpp_pool_config pool = {.host = channel->host, .stream = stream, .options = &channel->options, .ids = &channel->ids,
                                        .in_flight = channel->capabilities.in_flight};
  const struct smpp_pool_owner owner = {.received = pool_received, .over = pool_over, .arg = channel};
  struct smpp_intake_config intake = {.host = channel->host, .options = &channel->options, .ids = &channel->ids};

  intake.proof = channel->proof = smpp_proof_new(channel->host, &channel->options);
  channel->intake = smpp_intake_new(&intake);
  channel->pool = smpp_pool_new(&pool, &owner);
  return channel->proof != NULL && channel->intake != NULL && channel->pool != NULL;
}

static parley_status smpp_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *channel = calloc(1, sizeof *channel);
  const parley_stream *stream = host->extension(host, PARLEY_STREAM);
  parley_status st;

  if (channel == NULL)
    return PARLEY_BUSY;
  channel->host = host;
  st = smpp_options_read(options, &channel->options);
  if (st != PARLEY_OK || stream == NULL) {
    host->health(host, PARLEY_DOWN, parley_text_of(st != PARLEY_OK ? channel->options.why : "the host has no byte streams"),
                 PARLEY_LIT("change the channel's options"));
    smpp_destroy(channel);
    return st != PARLEY_OK ? st : PARLEY_INVALID;
  }
  channel->ids.mode = channel->options.ids;
  capabilities_narrow(channel);
  if (!parts_new(channel, stream)) {
    smpp_destroy(channel);
    return PARLEY_BUSY;
  }
  *ret = channel;
  return PARLEY_OK;
}

/* The first thing that create() would refuse: url, senders, prices, and what excludes each other. */
static void smpp_check(const parley_value *options, parley_fault *fault, void *arg)
{
  struct smpp_options read;

  if (smpp_options_read(options, &read) != PARLEY_OK && read.why[0] != '\0')
    fault(parley_text_of(read.why), arg);
  smpp_options_done(&read);
}
static const parley_check check = {.size = sizeof check, .options = smpp_check};

static parley_status smpp_start(parley_channel *channel)
{
  smpp_intake_start(channel->intake);
  smpp_pool_start(channel->pool);
  return PARLEY_OK;
}

static const parley_metric *const metrics[] = {
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "smpp_bind_failures", .label = "why",
               .help = "Binds that came to nothing: refused by the centre, or never connected"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "smpp_received", .label = "what",
               .help = "PDUs for us: message, repeated, receipt, receipt_unreadable (without id or state), put_off (too many at once)"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "smpp_ignored", .label = "what",
               .help = "PDUs that nobody awaited, that SMPP does not know, or that could not be read"),
    NULL,
};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = "smpp", .version = "1.0.0", .summary = "SMS both ways over SMPP 3.4 binds to a message centre",
    .capabilities = &capabilities, .options = smpp_option_table, .metrics = metrics,
    .requires_ids = (const char *const[]){PARLEY_STREAM, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_CHECK, .table = &check), NULL),
    .create = smpp_create, .start = smpp_start, .submit = smpp_submit, .drain = smpp_drain, .stop = smpp_stop, .destroy = smpp_destroy,
    .capable = smpp_capable, .query = smpp_query, .probe = smpp_probe,
};
