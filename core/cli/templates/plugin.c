/* @NAME@ posts each message to a URL. Read it from the end; plugins.md of the SDK leads through a larger one. */
#include <parley/ext/http.h>
#include <stdio.h>
#include <stdlib.h>
struct parley_channel { const parley_host *host; const parley_http *http; parley_text url, authorization; int stopped; };
struct attempt { parley_channel *ch; uint64_t token; };
static uint32_t outcome_of(const parley_http_response *answer) /* the core decides by it: say no more than is known */
{
  if (answer->status == PARLEY_DENIED || answer->code == 401 || answer->code == 403) /* nothing can get through */
    return PARLEY_OUTCOME_CHANNEL_DOWN;
  if (answer->status != PARLEY_OK) /* no whole answer: it may have arrived, unless not a byte has left */
    return answer->sent ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_RETRY;
  return answer->code == 429 ? PARLEY_OUTCOME_THROTTLED : answer->code >= 500 ? PARLEY_OUTCOME_RETRY
                             : answer->code >= 300 ? PARLEY_OUTCOME_REJECTED : PARLEY_OUTCOME_ACCEPTED;
}
static void answered(const parley_http_response *answer, void *arg)
{
  struct attempt *attempt = arg;
  char code[12];
  int n = snprintf(code, sizeof code, "%.0u", (unsigned)answer->code); /* `parley status` shows it; no answer, no code */
  if (!attempt->ch->stopped) /* else what is open is the host's to settle */
    attempt->ch->host->settle(attempt->ch->host, attempt->token, PARLEY_REF(parley_outcome, .result = outcome_of(answer),
                              .retry_ms = answer->retry_ms, .code = {code, (size_t)n}, .detail = answer->reason));
  free(attempt);
}
static parley_status submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  const parley_pair headers[] = {{PARLEY_LIT("authorization"), ch->authorization}, {PARLEY_LIT("x-to"), message->to->value},
                                 {PARLEY_LIT("idempotency-key"), message->id}};
  struct attempt *attempt;
  if (memchr(message->to->value.at, '\n', message->to->value.len) || memchr(message->to->value.at, '\r', message->to->value.len))
    return ch->host->settle(ch->host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_BAD_ADDRESS)), PARLEY_OK;
  if ((attempt = malloc(sizeof *attempt)) == NULL) return PARLEY_BUSY; /* not taken: it comes again */
  *attempt = (struct attempt){ch, token};
  ch->http->request(ch->host, PARLEY_REF(parley_http_request, .url = ch->url, .token = token, .headers = headers, .n_headers = 3,
                    .body = message->parts[0]->text), answered, attempt);
  return PARLEY_OK; /* taken: settle() follows, once */
}
static parley_status create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = malloc(sizeof *ch);
  if (ch == NULL) return PARLEY_BUSY;
  *ch = (parley_channel){host, host->extension(host, PARLEY_HTTP), parley_find(options, "url")->text,
                         parley_find(options, "authorization")->text, 0};
  *ret = ch; return PARLEY_OK;
}
static void stop(parley_channel *ch, parley_call *done, void *arg) { ch->stopped = 1; done(arg); }
static parley_status start(parley_channel *ch) { (void)ch; return PARLEY_OK; } static void destroy(parley_channel *ch) { free(ch); }
static const parley_option *const options[] = {
  PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED,
             .doc = "where messages are posted", .example = "https://gateway.example/send"),
  PARLEY_REF(parley_option, .name = "authorization", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET,
             .doc = "value of the Authorization header", .example = "Bearer 0123456789abcdef"), NULL};
static const parley_capabilities capabilities = { /* address_kind: whom it sends to; channel_kind: the unit of consent */
  .size = sizeof capabilities, .flags = PARLEY_RESEND_SAFE, .address_kind = "phone", .channel_kind = "sms",
  .features = PARLEY_LIST(parley_feature, PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE), NULL)};
const parley_plugin parley_plugin_v1 = {
  .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR, .name = "@NAME@", .version = "0.1.0",
  .summary = "posts each message to a URL", .options = options, .capabilities = &capabilities, .create = create, .start = start,
  .submit = submit, .stop = stop, .destroy = destroy, .requires_ids = (const char *const[]){PARLEY_HTTP, NULL}};
