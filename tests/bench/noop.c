/* noop.c - a channel that does nothing: each message is accepted within its submit. What a message costs here is what the core
 * and the process border cost. Owns nothing. Thread: loop. */
#include <parley/plugin.h>
#include <stdlib.h>

struct parley_channel {
  const parley_host *host;
};

static parley_status noop_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *channel = malloc(sizeof *channel);

  (void)options;
  if (channel == NULL)
    return PARLEY_BUSY;
  channel->host = host;
  *ret = channel;
  return PARLEY_OK;
}

static parley_status noop_start(parley_channel *channel)
{
  (void)channel;
  return PARLEY_OK;
}

static parley_status noop_submit(parley_channel *channel, uint64_t token, const parley_message *message)
{
  (void)message;
  channel->host->settle(channel->host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED));
  return PARLEY_OK;
}

static void noop_destroy(parley_channel *channel)
{
  free(channel);
}

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1,
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .name = "noop",
    .version = "1.0.0",
    .summary = "accepts every message and does nothing: for measuring",
    .capabilities = PARLEY_REF(parley_capabilities, .in_flight = 1000, .address_kind = "email", .channel_kind = "email",
                               .features = PARLEY_LIST(parley_feature,
                                                       PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT,
                                                                  .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES),
                                                       PARLEY_REF(parley_feature, .what = PARLEY_FEATURE_SUBJECT,
                                                                  .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES),
                                                       NULL)),
    .create = noop_create,
    .start = noop_start,
    .submit = noop_submit,
    .destroy = noop_destroy,
};
