/* A channel plugin that takes its time with each message, and dies of one whose text begins with "venom". For
 * poison.py: sixty-four are in hand when it dies, and one of them is to blame. */
#include <parley/plugin.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 64, TAKE_MS = 200, DIE_MS = 100, TEXT_MAX = 1000 };

struct parley_channel {
  const parley_host *host;
  struct bite *bites; /* in hand */
};
struct bite {
  struct bite *next, **at; /* at: what points here */
  parley_channel *ch;
  uint64_t token;
};

static void bite_free(struct bite *bite)
{
  *bite->at = bite->next;
  if (bite->next != NULL)
    bite->next->at = bite->at;
  free(bite);
}

static void bite_taken(void *arg)
{
  struct bite *bite = arg;

  bite->ch->host->settle(bite->ch->host, bite->token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED));
  bite_free(bite);
}

static void bite_kills(void *arg)
{
  (void)arg;
  _Exit(3);
}

static int is_venom(const parley_message *message)
{
  parley_text text = message->n_parts > 0 ? message->parts[0]->text : (parley_text){NULL, 0};

  return text.len >= strlen("venom") && memcmp(text.at, "venom", strlen("venom")) == 0;
}

static parley_status venom_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  struct bite *bite = calloc(1, sizeof *bite);

  if (bite == NULL)
    return PARLEY_BUSY;
  *bite = (struct bite){.next = ch->bites, .at = &ch->bites, .ch = ch, .token = token};
  if (bite->next != NULL)
    bite->next->at = &bite->next;
  ch->bites = bite;
  if (is_venom(message))
    ch->host->timer(ch->host, DIE_MS, 0, bite_kills, bite);
  else
    ch->host->timer(ch->host, TAKE_MS, 0, bite_taken, bite);
  return PARLEY_OK;
}

static parley_status venom_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);

  (void)options;
  if (ch == NULL)
    return PARLEY_BUSY;
  ch->host = host;
  *ret = ch;
  return PARLEY_OK;
}

static parley_status venom_start(parley_channel *ch)
{
  (void)ch;
  return PARLEY_OK;
}

static void venom_destroy(parley_channel *ch)
{
  while (ch->bites != NULL)
    bite_free(ch->bites);
  free(ch);
}

static const parley_option *const options[] = {NULL};
static const parley_capabilities capabilities = {
    .size = sizeof capabilities,
    .in_flight = IN_FLIGHT,
    .address_kind = "email",
    .channel_kind = "email",
    .features = PARLEY_LIST(parley_feature,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE,
                                       .unit = PARLEY_UNIT_BYTES, .length_max = TEXT_MAX, .count_max = 1),
                            NULL),
};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1,
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .name = "venom",
    .version = "1.0.0",
    .summary = "dies of some messages",
    .options = options,
    .capabilities = &capabilities,
    .create = venom_create,
    .start = venom_start,
    .submit = venom_submit,
    .destroy = venom_destroy,
};
