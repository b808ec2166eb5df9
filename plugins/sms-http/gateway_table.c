/* The members of a gateway's description, with a word on each. */
#include "gateway_options.h"

enum { TEXT_MAX = 200, LIMIT_MAX = 16000, PIECES_MAX = 10, TOLERANCE_MIN_MS = 1000, TOLERANCE_MAX_MS = 86400000 };

#define NUMBER_TEXT(n) #n
#define NUMBER(n) NUMBER_TEXT(n)
#define OPTION(NAME, TYPE, ...) PARLEY_REF(parley_option, .name = NAME, .type = PARLEY_OPTION_##TYPE, __VA_ARGS__)
#define POINTER(NAME, DOC, EXAMPLE) OPTION(NAME, TEXT, .max = SMS_POINTER_BYTES_MAX, .doc = DOC, .example = EXAMPLE)
#define FIELDS(...) .fields = PARLEY_LIST(parley_option, __VA_ARGS__, NULL)

const char *const gateway_methods[] = {"POST", "GET", "PUT", NULL};
static const char *const auth_choices[] = {"none", "basic", "bearer", "header", "query", NULL};
static const char *const sign_choices[] = {"hmac", "token", "basic", NULL};
static const char *const hash_choices[] = {"sha1", "sha256", "sha512", "md5", NULL};
static const char *const encoding_choices[] = {"hex", "base64", NULL};
static const char *const outcome_choices[] = {"accepted",  "retry",        "rejected", "bad_address",
                                              "throttled", "channel_down", "unknown",  NULL};
static const char *const status_choices[] = {"sent", "delivered", "read", "failed", "nothing", NULL};

static const parley_option template_element = {.size = sizeof template_element,
                                               .name = "value",
                                               .type = PARLEY_OPTION_TEXT,
                                               .max = GATEWAY_TEMPLATE_BYTES_MAX,
                                               .doc = "a template: {{to}}, {{text}}, ...",
                                               .example = "{{text}}"};
static const parley_option outcome_element = {.size = sizeof outcome_element,
                                              .name = "outcome",
                                              .type = PARLEY_OPTION_CHOICE,
                                              .choices = outcome_choices,
                                              .doc = "what it means for the message",
                                              .example = "rejected"};
static const parley_option status_element = {.size = sizeof status_element,
                                             .name = "status",
                                             .type = PARLEY_OPTION_CHOICE,
                                             .choices = status_choices,
                                             .doc = "what it means for the message",
                                             .example = "delivered"};
static const parley_option condition_element = {.size = sizeof condition_element,
                                                .name = "value",
                                                .type = PARLEY_OPTION_TEXT,
                                                .max = TEXT_MAX,
                                                .doc = "what must stand there",
                                                .example = "mo_text"};
#define MAP_OF(NAME, ELEMENT, MAX, DOC) OPTION(NAME, MAP, .max = MAX, .doc = DOC, FIELDS(&ELEMENT))

static const parley_option *const auth_fields[] = {
    OPTION("kind", CHOICE, .choices = auth_choices, .default_text = "basic",
           .doc = "basic: user and secret; bearer: secret; header and query: secret in the one that name says; none",
           .example = "basic"),
    OPTION("name", TEXT, .max = TEXT_MAX, .doc = "of the header or the query's field", .example = "Authorization"),
    OPTION("prefix", TEXT, .max = TEXT_MAX, .doc = "header: what stands before the secret", .example = "App "), NULL};
static const parley_option *const send_fields[] = {
    OPTION("method", CHOICE, .choices = gateway_methods, .default_text = "POST", .doc = "of the request", .example = "POST"),
    OPTION("url", TEXT, .flags = PARLEY_REQUIRED, .min = 8, .max = SMS_URL_BYTES_MAX, .doc = "where a message is sent",
           .example = "https://api.gateway.example/v1/{{account}}/messages"),
    OPTION("auth", GROUP, .doc = "how we say who we are", .fields = auth_fields),
    MAP_OF("query", template_element, GATEWAY_PAIRS_MAX, "fields behind the URL; what comes out empty is left out"),
    MAP_OF("headers", template_element, GATEWAY_PAIRS_MAX, "headers beside that of auth"),
    MAP_OF("form", template_element, GATEWAY_PAIRS_MAX, "the body as a form; what comes out empty is left out"),
    OPTION("json", TEXT, .max = GATEWAY_TEMPLATE_BYTES_MAX,
           .doc = "the body as JSON, names within quotes; what comes out empty is left out",
           .example = "{\"to\": \"{{to}}\", \"text\": \"{{text}}\"}"),
    NULL};
static const parley_option *const text_fields[] = {
    OPTION("gsm7_max", INT, .min = 70, .max = LIMIT_MAX, .default_text = NUMBER(GATEWAY_GSM7_DEFAULT),
           .doc = "septets in one request", .example = "1530"),
    OPTION("unicode_max", INT, .min = 35, .max = LIMIT_MAX, .default_text = NUMBER(GATEWAY_UNICODE_DEFAULT),
           .doc = "UTF-16 units in one request", .example = "670"),
    OPTION("pieces", INT, .min = 1, .max = PIECES_MAX, .default_text = NUMBER(GATEWAY_PIECES_DEFAULT),
           .doc = "requests for a text longer than that", .example = "5"),
    OPTION("gsm7", TEXT, .max = TEXT_MAX, .doc = "what {{alphabet}} is for a text in GSM 7 bit", .example = "text"),
    OPTION("unicode", TEXT, .max = TEXT_MAX, .doc = "what {{alphabet}} is for any other", .example = "unicode"),
    NULL};
static const parley_option *const answer_fields[] = {
    POINTER("each", "the list of what the answer says of each segment; the pointers below begin at each of its items", "/messages"),
    POINTER("id", "of the message, which receipts will name", "/id"),
    POINTER("outcome", "a value that says what became of it", "/status"),
    MAP_OF("outcomes", outcome_element, GATEWAY_ROWS_MAX, "what the values of outcome mean; \"*\": any other"),
    POINTER("code", "the gateway's own error code", "/error/code"),
    MAP_OF("codes", outcome_element, GATEWAY_ROWS_MAX, "what some error codes mean"),
    POINTER("detail", "the error in words", "/error/message"),
    POINTER("retry_after", "seconds to wait, where Retry-After does not say it", "/retry_after"),
    MAP_OF("http", outcome_element, GATEWAY_ROWS_MAX, "what HTTP codes mean, as 402 or 4xx, where not as usual"),
    NULL};
static const parley_option *const check_fields[] = {
    OPTION("url", TEXT, .flags = PARLEY_REQUIRED, .min = 8, .max = SMS_URL_BYTES_MAX,
           .doc = "what `parley channel check` asks with the same auth: it changes nothing there",
           .example = "https://api.gateway.example/v1/balance"),
    NULL};
static const parley_option *const signature_fields[] = {
    OPTION("kind", CHOICE, .flags = PARLEY_REQUIRED, .choices = sign_choices,
           .doc = "hmac, or callback_secret itself: token in a header or the query, basic as user:password", .example = "hmac"),
    OPTION("hash", CHOICE, .choices = hash_choices, .default_text = "sha256", .doc = "hmac: over what `over` says",
           .example = "sha256"),
    OPTION("over", TEXT, .max = GATEWAY_TEMPLATE_BYTES_MAX, .default_text = "{{body}}",
           .doc = "hmac: what is signed: {{body}}, {{url}}, {{path}}, {{query}}, {{method}}, {{header.NAME}}, {{field.NAME}}",
           .example = "{{body}}"),
    OPTION("encoding", CHOICE, .choices = encoding_choices, .default_text = "hex", .doc = "hmac: how it is written",
           .example = "hex"),
    OPTION("header", TEXT, .max = TEXT_MAX, .doc = "where signature or token stand", .example = "x-signature"),
    OPTION("query", TEXT, .max = TEXT_MAX, .doc = "token: the field of the callback's URL that has it", .example = "token"),
    OPTION("prefix", TEXT, .max = TEXT_MAX, .doc = "what stands before it in the header", .example = "sha256="),
    OPTION("timestamp", TEXT, .max = TEXT_MAX, .doc = "a header with the time of signing, which `over` should cover",
           .example = "x-timestamp"),
    OPTION("tolerance", DURATION, .min = TOLERANCE_MIN_MS, .max = TOLERANCE_MAX_MS, .default_text = "5m",
           .doc = "how far that time may be from our clock, either way", .example = "5m"),
    NULL};
static const parley_option *const receipts_fields[] = {
    POINTER("each", "the list of receipts in one callback; the pointers below begin at each of its items", "/results"),
    MAP_OF("when", condition_element, GATEWAY_PAIRS_MAX, "it is a receipt when these texts stand at these pointers"),
    POINTER("id", "of the message, as the answer had it", "/id"),
    POINTER("reference", "our own id, given as {{id}}", "/client_reference"),
    POINTER("status", "what became of it", "/status"),
    MAP_OF("statuses", status_element, GATEWAY_ROWS_MAX, "what the values of status mean; others are counted"),
    POINTER("code", "the error code of what failed", "/error/code"),
    MAP_OF("codes", outcome_element, GATEWAY_ROWS_MAX, "what some error codes say of the address: bad_address, retry"),
    POINTER("detail", "the error in words", "/error/message"),
    POINTER("time", "when it happened", "/done_at"),
    NULL};
static const parley_option *const segment_fields[] = {POINTER("reference", "what all pieces of a text share", "/concat-ref"),
                                                      POINTER("part", "which one this is, from 1", "/concat-part"),
                                                      POINTER("total", "how many there are", "/concat-total"), NULL};
static const parley_option *const inbound_fields[] = {
    POINTER("each", "the list of messages in one callback; the pointers below begin at each of its items", "/results"),
    MAP_OF("when", condition_element, GATEWAY_PAIRS_MAX, "it is a message when these texts stand at these pointers"),
    POINTER("id", "of the message", "/id"),
    POINTER("from", "who wrote", "/from"),
    POINTER("to", "your number", "/to"),
    POINTER("text", "what they wrote", "/text"),
    POINTER("time", "when", "/received_at"),
    POINTER("media", "a list of files, or one URL", "/media"),
    POINTER("media_url", "the URL in each item of media; without it, the item is the URL", "/url"),
    POINTER("media_type", "its MIME type", "/type"),
    OPTION("segment", GROUP, .doc = "where texts come in pieces", .fields = segment_fields),
    NULL};
static const parley_option *const reply_fields[] = {
    OPTION("type", TEXT, .max = TEXT_MAX, .doc = "MIME type of the answer to a callback", .example = "text/plain"),
    OPTION("body", TEXT, .max = TEXT_MAX, .doc = "the answer to a callback", .example = "OK"), NULL};
const parley_option *const gateway_fields[] = {
    OPTION("send", GROUP, .flags = PARLEY_REQUIRED, .doc = "how a message is sent", .fields = send_fields),
    OPTION("text", GROUP, .doc = "how long a text may be", .fields = text_fields),
    OPTION("answer", GROUP, .doc = "what the answer means", .fields = answer_fields),
    OPTION("check", GROUP, .doc = "what `parley channel check` asks", .fields = check_fields),
    OPTION("signature", GROUP, .doc = "how callbacks show that they are the gateway's; required with receipts and inbound",
           .fields = signature_fields),
    OPTION("receipts", GROUP, .doc = "receipts, posted to .../in/<channel>" SMS_RECEIPTS_PATH, .fields = receipts_fields),
    OPTION("inbound", GROUP, .doc = "messages, posted to .../in/<channel>", .fields = inbound_fields),
    OPTION("reply", GROUP, .doc = "what a callback is answered with; without it, 200 and nothing", .fields = reply_fields),
    NULL};
