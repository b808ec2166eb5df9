/* A channel plugin that does what a plugin must not, one fault at a time, so that the tests see who else notices. It lives in a
 * process of its own; nobody else may load it.
 *
 * A message, or the body of a callback to /in/<channel>, that begins with "wild:FAULT[@WHERE] [ARGUMENT]" commits FAULT: in submit()
 * or called(), or WHERE = timer, work. The options `fault` and `at` do so in create, start, drain, stop or destroy, from the wall
 * time `from` on. -DWILD_CONSTRUCTOR="FAULT" does it when the .so is loaded. What a fault that returns came to is told as the code of
 * the outcome, or as the answer's body.
 *
 * Any other message is carried: posted to `url`, or just accepted when there is none. */
#include "wild.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef WILD_ABI_MAJOR
#define WILD_ABI_MAJOR PARLEY_ABI_MAJOR
#endif
enum { IN_FLIGHT = 64, WORD_MAX = 32, ARGUMENT_MAX = 400, TIMER_MS = 1 };
#define WILD_SIGN "wild:"

struct parley_channel {
  const parley_host *host;
  const parley_http *http;
  const parley_http_answers *answers;
  parley_text fault, url;
  int64_t at, from_ms;
};
enum { AT_CREATE, AT_START, AT_DRAIN, AT_STOP, AT_DESTROY };
static const char *const places[] = {"create", "start", "drain", "stop", "destroy", NULL};

struct order { /* "wild:FAULT@WHERE ARGUMENT", or a message that is carried */
  parley_channel *ch;
  struct wild wild;
  const char *came_to;
  char fault[WORD_MAX], where[WORD_MAX], argument[ARGUMENT_MAX];
};

const char *wild_word_of_errno(void)
{
  const char *name = strerrorname_np(errno);

  return name != NULL ? name : "EUNKNOWN";
}

const char *wild_run(const char *name, struct wild *wild)
{
  static const struct wild_row *const tables[] = {wild_crimes, wild_lies};

  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const struct wild_row *row = tables[i]; row->name != NULL; row++)
      if (strcmp(row->name, name) == 0)
        return row->run(wild);
  return "no_such_fault";
}

#ifdef WILD_CONSTRUCTOR
__attribute__((constructor)) static void wild_constructor(void)
{
  struct wild wild = {.argument = ""};

  wild_run(WILD_CONSTRUCTOR, &wild);
}
#endif

/* --- Orders ---------------------------------------------------------------------------------------------------------- */

static void word_cut(const char **at, const char *end, char *to, size_t room, const char *stops)
{
  size_t n = 0;

  for (; *at < end && strchr(stops, **at) == NULL && !iscntrl((unsigned char)**at); (*at)++)
    if (n + 1 < room)
      to[n++] = **at;
  to[n] = '\0';
}

/* false: it is no order. */
static int order_read(struct order *order, parley_text text)
{
  const char *at = text.at, *end = text.at + text.len;

  if (text.len < sizeof WILD_SIGN - 1 || memcmp(at, WILD_SIGN, sizeof WILD_SIGN - 1) != 0)
    return 0;
  at += sizeof WILD_SIGN - 1;
  word_cut(&at, end, order->fault, sizeof order->fault, "@ ");
  if (at < end && *at == '@') {
    at++;
    word_cut(&at, end, order->where, sizeof order->where, " ");
  }
  if (at < end && *at == ' ')
    at++;
  word_cut(&at, end, order->argument, sizeof order->argument, " ");
  order->wild.argument = order->argument;
  return 1;
}

static void order_run(void *arg)
{
  struct order *order = arg;

  order->came_to = wild_run(order->fault, &order->wild);
}

static void order_settle(struct order *order)
{
  if (!order->wild.settled)
    order->ch->host->settle(order->ch->host, order->wild.token,
                            PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED, .code = parley_text_of(order->came_to)));
  free(order);
}

static void order_due(void *arg)
{
  order_run(arg);
  order_settle(arg);
}

static void order_worked(const parley_result *result, void *arg)
{
  (void)result;
  order_settle(arg);
}

static void order_carry_out(struct order *order)
{
  const parley_host *host = order->ch->host;

  if (strcmp(order->where, "timer") == 0)
    host->timer(host, TIMER_MS, 0, order_due, order);
  else if (strcmp(order->where, "work") == 0)
    host->work(host, order_run, order_worked, order);
  else
    order_due(order);
}

/* --- Out ------------------------------------------------------------------------------------------------------------- */

static void carried(const parley_http_response *response, void *arg)
{
  struct order *order = arg;
  uint32_t result = PARLEY_OUTCOME_RETRY;

  if (response->status == PARLEY_OK)
    result = response->code < 300 ? PARLEY_OUTCOME_ACCEPTED : PARLEY_OUTCOME_REJECTED;
  else if (response->sent)
    result = PARLEY_OUTCOME_UNKNOWN;
  order->ch->host->settle(order->ch->host, order->wild.token, PARLEY_REF(parley_outcome, .result = result));
  free(order);
}

static void carry(struct order *order, parley_text text)
{
  parley_channel *ch = order->ch;

  if (ch->url.len > 0) {
    ch->http->request(ch->host, PARLEY_REF(parley_http_request, .method = PARLEY_LIT("POST"), .url = ch->url, .body = text), carried,
                      order);
    return;
  }
  order->came_to = "";
  order_settle(order);
}

static parley_status wild_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  parley_text text = message->n_parts > 0 ? message->parts[0]->text : PARLEY_LIT("");
  struct order *order = calloc(1, sizeof *order);

  if (order == NULL)
    return PARLEY_BUSY;
  order->ch = ch;
  order->wild = (struct wild){.host = ch->host, .argument = "", .token = token};
  if (order_read(order, text))
    order_carry_out(order);
  else
    carry(order, text);
  return PARLEY_OK;
}

/* --- In -------------------------------------------------------------------------------------------------------------- */

/* Without an order it is never answered. */
static void wild_called(parley_channel *ch, uint64_t id, const parley_http_call *call)
{
  struct order order = {.ch = ch, .wild = {.host = ch->host, .argument = ""}};

  if (!order_read(&order, call->body))
    return;
  order_run(&order);
  ch->answers->answer(ch->host, id, PARLEY_REF(parley_http_answer, .code = 200, .body = parley_text_of(order.came_to)));
}

/* --- Life ------------------------------------------------------------------------------------------------------------ */

/* The word it came to: "fail" asks the caller to fail. */
static int wild_at(parley_channel *ch, int64_t place)
{
  struct wild wild = {.host = ch->host, .argument = ""};
  char name[WORD_MAX];

  if (ch->fault.len == 0 || ch->at != place || ch->host->now_ms(ch->host) < ch->from_ms)
    return 0;
  snprintf(name, sizeof name, "%.*s", (int)ch->fault.len, ch->fault.at);
  if (strcmp(name, "fail") != 0) {
    wild_run(name, &wild);
    return 0;
  }
  ch->host->health(ch->host, PARLEY_DOWN, PARLEY_LIT("it was told to fail"), PARLEY_LIT("tell it otherwise"));
  return 1;
}

static parley_status wild_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);

  if (ch == NULL)
    return PARLEY_BUSY;
  *ch = (parley_channel){.host = host,
                         .http = host->extension(host, PARLEY_HTTP),
                         .answers = host->extension(host, PARLEY_HTTP_IN),
                         .fault = parley_find(options, "fault")->text,
                         .url = parley_find(options, "url")->text,
                         .at = parley_find(options, "at")->number,
                         .from_ms = parley_find(options, "from")->number};
  if (wild_at(ch, AT_CREATE)) {
    free(ch);
    return PARLEY_FAILED;
  }
  *ret = ch;
  return PARLEY_OK;
}

static parley_status wild_start(parley_channel *ch)
{
  return wild_at(ch, AT_START) ? PARLEY_FAILED : PARLEY_OK;
}

static void wild_drain(parley_channel *ch, uint32_t within_ms)
{
  (void)within_ms;
  wild_at(ch, AT_DRAIN);
}

static void wild_stop(parley_channel *ch, parley_call *done, void *arg)
{
  wild_at(ch, AT_STOP);
  done(arg);
}

static void wild_destroy(parley_channel *ch)
{
  wild_at(ch, AT_DESTROY);
  free(ch);
}

static const parley_option *const wild_options[] = {
    PARLEY_REF(parley_option, .name = "fault", .type = PARLEY_OPTION_TEXT, .doc = "what it does wrong by itself"),
    PARLEY_REF(parley_option, .name = "at", .type = PARLEY_OPTION_CHOICE, .choices = places, .default_text = "create", .doc = "where"),
    PARLEY_REF(parley_option, .name = "from", .type = PARLEY_OPTION_INT, .min = 0, .max = INT64_MAX, .default_text = "0",
               .doc = "from when on, in ms since 1970"),
    PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .doc = "where texts are posted to"),
    PARLEY_REF(parley_option, .name = "secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .doc = "its own"),
    NULL,
};
static const parley_feature *const wild_features[] = {
    PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE),
    NULL,
};
static const parley_capabilities wild_capabilities = {
    .size = sizeof wild_capabilities, .address_kind = "none", .channel_kind = "webhook", .in_flight = IN_FLIGHT,
    .features = wild_features};
static const parley_http_in wild_http_in = {.size = sizeof wild_http_in, .called = wild_called};
static const parley_extension *const wild_offers[] = {
    PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &wild_http_in),
    NULL,
};
static const char *const wild_needs[] = {PARLEY_HTTP, PARLEY_HTTP_IN, NULL};

const parley_plugin parley_plugin_v1 = {.size = sizeof parley_plugin_v1,
                                        .abi_major = WILD_ABI_MAJOR,
                                        .abi_minor = PARLEY_ABI_MINOR,
                                        .name = "wild",
                                        .version = "1.0.0",
                                        .summary = "does what a plugin must not",
                                        .capabilities = &wild_capabilities,
                                        .options = wild_options,
                                        .requires_ids = wild_needs,
                                        .offers = wild_offers,
                                        .create = wild_create,
                                        .start = wild_start,
                                        .submit = wild_submit,
                                        .drain = wild_drain,
                                        .stop = wild_stop,
                                        .destroy = wild_destroy};
