/* A channel plugin in 40 lines: it writes each message to the log and calls it delivered.
 *
 *   cc -std=c11 -shared -fPIC plugin_hello.c -o hello.so      (the build makes examples/hello.so)
 *
 *   plugins:  { dirs: [/usr/lib/parley/plugins, /opt/plugins] }
 *   channels: { hello: { plugin: hello, options: { greeting: "Good evening" } } }
 *
 * Read it from the end: parley_plugin_v1 is all that parleyd sees. It is constant data, so that reading it runs
 * nothing. From `options` the configuration is checked before any function is called, and create() gets values that are
 * right. For each message submit() is called with a token; whoever takes a token settles it, once, now or later.
 * docs/plugins.md has the rest. */
#include <parley/plugin.h>
#include <stdio.h>
#include <stdlib.h>

struct parley_channel { /* one configured channel: ours to define */
  const parley_host *host;
  parley_text greeting; /* of the options, which outlive the channel */
};

static parley_status hello_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = malloc(sizeof *ch);

  if (ch == NULL)
    return PARLEY_BUSY;
  *ch = (parley_channel){host, parley_find(options, "greeting")->text};
  *ret = ch;
  return PARLEY_OK;
}

static parley_status hello_start(parley_channel *ch)
{
  (void)ch; /* a real one logs in, or begins to listen */
  return PARLEY_OK;
}

static parley_status hello_submit(parley_channel *ch, uint64_t token, const parley_message *msg)
{
  char line[160];
  int len = snprintf(line, sizeof line, "event=hello msg=%.*s greeting=\"%.*s\"", (int)msg->id.len, msg->id.at,
                     (int)ch->greeting.len, ch->greeting.at);

  ch->host->log(ch->host, PARLEY_INFO, (parley_text){line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1});
  ch->host->settle(ch->host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_DELIVERED));
  return PARLEY_OK;
}

static void hello_destroy(parley_channel *ch)
{
  free(ch);
}

static const parley_option *const options[] = {
    PARLEY_REF(parley_option, .name = "greeting", .type = PARLEY_OPTION_TEXT, .max = 80, .default_text = "Hello",
               .doc = "what it says"),
    NULL,
};
static const parley_capabilities capabilities = {
    .size = sizeof capabilities,
    .address_kind = "none", /* to nobody in particular; "email" or "phone" would ask for such an address */
    .channel_kind = "webhook",
    .features = PARLEY_LIST(parley_feature,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE), NULL),
};
const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = "hello", .version = "1.0.0", .summary = "writes each message to the log",
    .capabilities = &capabilities, .options = options,
    .create = hello_create, .start = hello_start, .submit = hello_submit, .destroy = hello_destroy,
};
