/* A channel plugin that breaks one promise at a time: the environment's FAULT=name picks which (the list below), "none" breaks
 * none. Faults of the table itself are chosen when it is compiled: -DFAULT_TABLE=1..4. The conformance kit has to find each.
 *
 * As a plugin it is small and whole: it posts a text to a URL, and takes "ID FROM TEXT" at /in/<channel> when the header
 * x-faulty-signature is the FNV-1a of secret and body, in hex. */
#include <parley/ext/http-in.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifndef FAULT_TABLE
#define FAULT_TABLE 0
#endif
enum { TABLE_SECOND_SYMBOL = 1, TABLE_NO_EXAMPLE, TABLE_OTHER_NAME, TABLE_NO_CURRENCY };
enum { TEXT_MAX = 160, IN_FLIGHT = 32, WORD_ROOM = 64, WAIT_MS = 300, BLOCK_MS = 80 };

#define FAULTS(X)                                                                                                       \
  X(none) X(settles_twice) X(never_settles) X(settles_after_stop) X(settles_unknown_token) X(leaks_fd) X(leaks_thread)  \
  X(leaks_process) X(leaks_timer) X(leaks_heap) X(leaks_on_429) X(blocks_loop) X(waits_for_done) X(settles_off_loop)    \
  X(acks_before_commit) X(logs_secret) X(secret_in_detail) X(logs_body) X(crashes_at_limit) X(ignores_busy)             \
  X(accepts_500) X(forgets_hint) X(retries_in_doubt) X(reads_after_settle) X(writes_message) X(retries_itself)          \
  X(undeclared_receipt) X(reads_freed) X(keeps_response) X(takes_bad_signature) X(answers_twice) X(new_event_id)        \
  X(forgets_stop_done) X(stop_done_twice) X(host_after_destroy) X(fails_silently) X(carries_less) X(smaller_window)     \
  X(globals) X(aborts) X(hangs) X(hands_in_too_much)
#define NUMBER(name) FAULT_##name,
#define NAME(name) #name,
enum fault { FAULTS(NUMBER) N_FAULTS };
static const char *const fault_names[] = {FAULTS(NAME)};

struct parley_channel {
  const parley_host *host;
  const parley_http *http;
  const parley_http_answers *answers;
  enum fault fault;
  parley_text url, secret;
  uint32_t n_open, n_taken;
  int stopped;
  const parley_message *kept;
  const parley_http_response *response;
};
struct attempt {
  parley_channel *ch;
  uint64_t token;
  const parley_message *message;
  parley_outcome outcome;
  volatile int done;
  int tries;
};

/* What a good plugin never has. */
static const parley_host *last_host;
static parley_channel *the_channel;

static enum fault fault_wanted(void)
{
  const char *wanted = getenv("FAULT");

  for (int i = 0; wanted != NULL && i < N_FAULTS; i++)
    if (strcmp(fault_names[i], wanted) == 0)
      return (enum fault)i;
  return FAULT_none;
}

static void nap(long ms)
{
  const struct timespec span = {ms / 1000, ms % 1000 * 1000000};

  nanosleep(&span, NULL);
}

static void say(parley_channel *ch, const char *what, parley_text value)
{
  char line[400];
  int len = snprintf(line, sizeof line, "event=%s value=%.*s", what, (int)value.len, value.at);

  ch->host->log(ch->host, PARLEY_INFO, (parley_text){line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1});
}

/* --- Out --------------------------------------------------------------------------------------------------------------------- */

static uint32_t result_of(const parley_channel *ch, const parley_http_response *response)
{
  if (response->status != PARLEY_OK)
    return response->sent && ch->fault != FAULT_retries_in_doubt ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_RETRY;
  if (response->code == 429)
    return PARLEY_OUTCOME_THROTTLED;
  if (response->code == 401)
    return PARLEY_OUTCOME_CHANNEL_DOWN;
  if (response->code >= 500)
    return ch->fault == FAULT_accepts_500 ? PARLEY_OUTCOME_ACCEPTED : PARLEY_OUTCOME_RETRY;
  return response->code < 300 ? PARLEY_OUTCOME_ACCEPTED : PARLEY_OUTCOME_REJECTED;
}

static void settle_blocking(void *arg)
{
  struct attempt *attempt = arg;

  attempt->ch->host->settle(attempt->ch->host, attempt->token, &attempt->outcome);
}

static void settle_done(const parley_result *result, void *arg)
{
  (void)result;
  free(arg);
}

static void late_look(void *arg)
{
  parley_channel *ch = arg;

  if (ch->kept != NULL && ch->kept->n_parts > 100)
    say(ch, "large", ch->kept->id);
}

static void settle_fault(struct attempt *attempt)
{
  parley_channel *ch = attempt->ch;
  const parley_host *host = ch->host;

  if (ch->fault == FAULT_settles_twice)
    host->settle(host, attempt->token, &attempt->outcome);
  if (ch->fault == FAULT_settles_unknown_token)
    host->settle(host, attempt->token + 1000000, &attempt->outcome);
  if (ch->fault == FAULT_reads_after_settle) {
    ch->kept = attempt->message;
    host->timer(host, 1000, 0, late_look, ch);
  }
}

static void request_send(struct attempt *attempt);

static void answered(const parley_http_response *response, void *arg)
{
  struct attempt *attempt = arg;
  parley_channel *ch = attempt->ch;

  if (ch->fault == FAULT_retries_itself && response->code >= 500 && attempt->tries++ < 3) {
    request_send(attempt);
    return;
  }
  attempt->done = 1;
  ch->n_open--;
  if (ch->fault == FAULT_keeps_response && ch->response != NULL && ch->response->code == 1)
    say(ch, "odd", ch->response->reason);
  ch->response = response;
  if ((ch->stopped && ch->fault != FAULT_settles_after_stop) || (ch->fault == FAULT_never_settles && ++ch->n_taken % 3 == 0)) {
    free(attempt);
    return;
  }
  attempt->outcome = (parley_outcome){.size = sizeof attempt->outcome, .result = result_of(ch, response)};
  if (ch->fault != FAULT_forgets_hint)
    attempt->outcome.retry_ms = response->retry_ms;
  if (ch->fault == FAULT_secret_in_detail && response->code == 401)
    attempt->outcome.detail = ch->secret;
  if (ch->fault == FAULT_settles_off_loop) {
    ch->host->work(ch->host, settle_blocking, settle_done, attempt);
    return;
  }
  ch->host->settle(ch->host, attempt->token, &attempt->outcome);
  settle_fault(attempt);
  if (ch->fault != FAULT_leaks_on_429 || response->code != 429)
    free(attempt);
}

static void submit_fault(parley_channel *ch, parley_text text)
{
  if (ch->fault == FAULT_writes_message && text.len > 0)
    *(char *)(uintptr_t)text.at = 'X';
  if (ch->fault == FAULT_undeclared_receipt)
    ch->host->receipt(ch->host, PARLEY_REF(parley_receipt, .kind = PARLEY_RECEIPT_READ, .message_id = PARLEY_LIT("msg_1")), NULL, NULL);
  if (ch->fault == FAULT_reads_freed) {
    const char ***freed = malloc(4096);
    const char ***volatile again = freed;

    memset(freed, 0, 4096);
    free(freed);
    if (again[4] != NULL && *again[4] != NULL)
      abort();
  }
  if (ch->fault == FAULT_blocks_loop)
    nap(BLOCK_MS);
  if (ch->fault == FAULT_leaks_timer)
    ch->host->timer(ch->host, 60000, 60000, late_look, ch);
  if (ch->fault == FAULT_logs_body)
    say(ch, "sent", text);
  if (ch->fault == FAULT_crashes_at_limit && text.len >= TEXT_MAX)
    *(volatile char *)(uintptr_t)(text.len - TEXT_MAX) = 0;
  if (ch->fault == FAULT_aborts)
    abort();
  while (ch->fault == FAULT_hangs)
    continue;
}

static void request_send(struct attempt *attempt)
{
  parley_channel *ch = attempt->ch;

  ch->http->request(ch->host, PARLEY_REF(parley_http_request, .method = PARLEY_LIT("POST"), .url = ch->url, .token = attempt->token,
                                         .body = attempt->message->parts[0]->text), answered, attempt);
}

static parley_status faulty_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  parley_text text = message->n_parts > 0 ? message->parts[0]->text : (parley_text){"", 0};
  struct attempt *attempt;

  if (ch->fault == FAULT_globals)
    ch = the_channel;
  submit_fault(ch, text);
  if (ch->n_open >= (ch->fault == FAULT_smaller_window ? 4 : IN_FLIGHT))
    return PARLEY_BUSY;
  if (ch->fault == FAULT_carries_less && text.len > 100) {
    ch->host->settle(ch->host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_REJECTED));
    return PARLEY_OK;
  }
  attempt = calloc(1, sizeof *attempt);
  if (attempt == NULL)
    return PARLEY_BUSY;
  *attempt = (struct attempt){.ch = ch, .token = token, .message = message};
  ch->n_open++;
  request_send(attempt);
  for (int ms = 0; ch->fault == FAULT_waits_for_done && ms < WAIT_MS && !attempt->done; ms += 10)
    nap(10);
  return PARLEY_OK;
}

/* --- In ------------------------------------------------------------------------------------------------------------------------ */

static void signature_of(parley_text secret, parley_bytes body, char to[17])
{
  uint64_t hash = UINT64_C(14695981039346656037);

  for (size_t i = 0; i < secret.len + body.len; i++)
    hash = (hash ^ (uint8_t)(i < secret.len ? secret.at[i] : body.at[i - secret.len])) * UINT64_C(1099511628211);
  snprintf(to, 17, "%016llx", (unsigned long long)hash);
}

struct call { parley_channel *ch; uint64_t id; };

static void answer(parley_channel *ch, uint64_t call, uint32_t code)
{
  ch->answers->answer(ch->host, call, PARLEY_REF(parley_http_answer, .code = code));
}

static void committed(const parley_result *result, void *arg)
{
  struct call *call = arg;
  parley_channel *ch = call->ch;

  if (ch->fault != FAULT_acks_before_commit)
    answer(ch, call->id, result->status == PARLEY_OK || ch->fault == FAULT_ignores_busy ? 200 : 503);
  if (ch->fault == FAULT_answers_twice)
    answer(ch, call->id, 200);
  free(call);
}

static parley_text word_cut(parley_text *rest)
{
  const char *space = memchr(rest->at, ' ', rest->len);
  parley_text word = {rest->at, space != NULL ? (size_t)(space - rest->at) : rest->len};

  rest->at += word.len + (space != NULL);
  rest->len -= word.len + (space != NULL);
  return word;
}

static void body_take(parley_channel *ch, uint64_t id, parley_text body)
{
  static int n_events;
  char room[WORD_ROOM];
  parley_text event = word_cut(&body), from = word_cut(&body);
  struct call *call = calloc(1, sizeof *call);
  char *much = ch->fault == FAULT_hands_in_too_much ? calloc(1, ch->host->inline_max + 1) : NULL;

  if (call == NULL || event.len == 0 || from.len == 0) {
    free(call);
    free(much);
    answer(ch, id, 422);
    return;
  }
  *call = (struct call){ch, id};
  if (ch->fault == FAULT_new_event_id)
    event = (parley_text){room, (size_t)snprintf(room, sizeof room, "e%d", ++n_events)};
  ch->host->inbound(ch->host,
                    PARLEY_REF(parley_inbound, .kind = PARLEY_KIND_CONTENT, .event_id = event, .n_from = 1,
                               .from = PARLEY_LIST(parley_identity, PARLEY_REF(parley_identity, .kind = PARLEY_LIT("email"),
                                                                               .value = from)),
                               .n_parts = much != NULL ? 2 : 1,
                               .parts = PARLEY_LIST(parley_part, PARLEY_REF(parley_part, .kind = PARLEY_PART_TEXT, .text = body),
                                                    PARLEY_REF(parley_part, .kind = PARLEY_PART_MEDIA,
                                                               .data = {much, much != NULL ? ch->host->inline_max + 1 : 0}))),
                    committed, call);
  free(much);
  if (ch->fault == FAULT_acks_before_commit)
    answer(ch, id, 200);
}

static void faulty_called(parley_channel *ch, uint64_t id, const parley_http_call *call)
{
  parley_text given = parley_header(call->headers, call->n_headers, "x-faulty-signature");
  char right[17];

  signature_of(ch->secret, call->body, right);
  if (!parley_text_is(given, right) && !(ch->fault == FAULT_takes_bad_signature && given.len > 0))
    answer(ch, id, 401);
  else
    body_take(ch, id, call->body);
}

/* --- Life ------------------------------------------------------------------------------------------------------------------------- */

static void *idle_main(void *arg)
{
  (void)arg;
  for (;;)
    pause();
  return NULL;
}

static void create_fault(parley_channel *ch)
{
  pthread_t thread;

  if (ch->fault == FAULT_leaks_fd && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
    abort();
  if (ch->fault == FAULT_leaks_thread && pthread_create(&thread, NULL, idle_main, NULL) != 0)
    abort();
  if (ch->fault == FAULT_leaks_process && fork() == 0)
    _exit(0); /* nobody waits for it */
  if (ch->fault == FAULT_leaks_heap) {
    void *volatile forgotten = malloc(64);

    (void)forgotten;
  }
  if (ch->fault == FAULT_host_after_destroy && last_host != NULL)
    last_host->log(last_host, PARLEY_INFO, PARLEY_LIT("event=again"));
  if (ch->fault == FAULT_logs_secret)
    say(ch, "login", ch->secret);
  last_host = ch->host;
  the_channel = ch;
}

static parley_status faulty_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch;

  if (parley_text_is(parley_find(options, "mode")->text, "impossible")) {
    if (fault_wanted() != FAULT_fails_silently)
      host->health(host, PARLEY_DOWN, PARLEY_LIT("mode: impossible is not possible"), PARLEY_LIT("choose another"));
    return PARLEY_INVALID;
  }
  ch = calloc(1, sizeof *ch);
  if (ch == NULL)
    return PARLEY_BUSY;
  ch->host = host;
  ch->http = host->extension(host, PARLEY_HTTP);
  ch->answers = host->extension(host, PARLEY_HTTP_IN);
  ch->fault = fault_wanted();
  ch->url = parley_find(options, "url")->text;
  ch->secret = parley_find(options, "secret")->text;
  create_fault(ch);
  *ret = ch;
  return PARLEY_OK;
}

static parley_status faulty_start(parley_channel *ch)
{
  (void)ch;
  return PARLEY_OK;
}

static void faulty_stop(parley_channel *ch, parley_call *done, void *arg)
{
  ch->stopped = 1;
  if (ch->fault != FAULT_forgets_stop_done)
    done(arg);
  if (ch->fault == FAULT_stop_done_twice)
    done(arg);
}

static void faulty_destroy(parley_channel *ch)
{
  free(ch);
}

static const char *const modes[] = {"usual", "impossible", NULL};
static const parley_option *const options[] = {
    PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED, .doc = "where it posts to",
               .example = FAULT_TABLE == TABLE_NO_EXAMPLE ? NULL : "https://kit.example/faulty"),
    PARLEY_REF(parley_option, .name = "secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET, .max = 200,
               .doc = "signs callbacks", .example = "the-secret-of-the-example"),
    PARLEY_REF(parley_option, .name = "mode", .type = PARLEY_OPTION_CHOICE, .choices = modes, .default_text = "usual",
               .doc = "one that is possible, and one that is not"),
    NULL,
};
static const parley_price price = {
    .size = sizeof price, .micros = 75000, .prefix = "", .currency = FAULT_TABLE == TABLE_NO_CURRENCY ? "euro" : "EUR"};
static const parley_capabilities capabilities = {
    .size = sizeof capabilities,
    .flags = PARLEY_INBOUND,
    .in_flight = IN_FLIGHT,
    .address_kind = "none",
    .channel_kind = "webhook",
    .features = PARLEY_LIST(parley_feature,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE,
                                       .unit = PARLEY_UNIT_BYTES, .length_max = TEXT_MAX, .count_max = 4),
                            NULL),
    .prices = PARLEY_LIST(parley_price, &price, NULL),
};
static const parley_http_in calls = {.size = sizeof calls, .called = faulty_called};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = FAULT_TABLE == TABLE_OTHER_NAME ? "somebody" : "faulty", .version = "1.0.0",
    .summary = "breaks one promise at a time", .capabilities = &capabilities, .options = options,
    .requires_ids = (const char *const[]){PARLEY_HTTP, PARLEY_HTTP_IN, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &calls), NULL),
    .create = faulty_create, .start = faulty_start, .submit = faulty_submit, .stop = faulty_stop, .destroy = faulty_destroy,
};

#if FAULT_TABLE == 1 /* a second symbol: an enum is nothing to the preprocessor */
extern __attribute__((visibility("default"))) int faulty_helper(void);
int faulty_helper(void)
{
  return TABLE_SECOND_SYMBOL;
}
#endif
