#include "smpp_options.h"
#include "common/option.h"
#include <stdio.h>

enum { PORT_CLEAR = 2775, PORT_TLS = 3550, TEXT_MAX = 65536, PART_MS_MIN = 1000, PAUSE_MS_MIN = 100, ANSWER_MS_MAX = 600000,
       HOUR_MS = 3600000, MINUTES_OF_DAY = 1440, VALIDITY_MAX_DAYS = 63, ERROR_BYTES_MAX = 16, TYPE_MAX = 255 };

static const char *const bind_words[] = {"transceiver", "separate", "transmitter", "receiver", NULL};
static const char *const joining_words[] = {"udh8", "udh16", "sar", "payload", NULL};
static const char *const registered_words[] = {"all", "final", "failed", "none", NULL};
static const uint8_t registered_octets[] = {0x11, 0x01, 0x02, 0x00}; /* 5.2.17 */
static const char *const validity_words[] = {"relative", "absolute", "none", NULL};
static const char *const alphabet_words[] = {"gsm7", "latin1", "ucs2", NULL};
static const enum gsm_alphabet alphabets[] = {GSM_DEFAULT, GSM_LATIN1, GSM_UCS2};
static const char *const pdu_words[] = {"submit_sm", "data_sm", NULL};
static const uint32_t pdu_commands[] = {SMPP_SUBMIT_SM, SMPP_DATA_SM};

static const parley_option error_element = {.size = sizeof error_element, .name = "error", .type = PARLEY_OPTION_TEXT, .min = 1,
                                            .max = ERROR_BYTES_MAX, .doc = "as it stands behind err: in receipts", .example = "001"};

const parley_option *const smpp_option_table[] = {
    PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED,
               .doc = "the message centre (SMSC): smpp://host:port, or smpps:// for TLS; without a port 2775, or 3550 with TLS",
               .example = "smpps://smsc.example:3550"),
    PARLEY_REF(parley_option, .name = "user", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .min = 1, .max = SMPP_LOGIN_MAX,
               .doc = "the account's name at the centre (system_id)", .example = "shop"),
    PARLEY_REF(parley_option, .name = "password", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .max = SMPP_LOGIN_MAX,
               .doc = "of the user", .example = "secret"),
    PARLEY_REF(parley_option, .name = "ca", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .max = TEXT_MAX,
               .doc = "a PEM file with the certificate that signs the centre's, where the system does not know it",
               .example = "smsc-ca.pem"),
    PARLEY_REF(parley_option, .name = "system_type", .type = PARLEY_OPTION_TEXT, .max = SMPP_LOGIN_MAX,
               .doc = "where the provider names one", .example = "VMA"),
    PARLEY_REF(parley_option, .name = "address_range", .type = PARLEY_OPTION_TEXT, .max = SMPP_RANGE_MAX,
               .doc = "the numbers that this bind receives for, where the provider names them", .example = "^34600"),
    PARLEY_REF(parley_option, .name = "bind", .type = PARLEY_OPTION_CHOICE, .choices = bind_words, .default_text = "transceiver",
               .doc = "one bind both ways, or separate: one to send and one to receive; transmitter or receiver: one way only",
               .example = "transceiver"),
    PARLEY_REF(parley_option, .name = "binds", .type = PARLEY_OPTION_INT, .min = 1, .max = SMPP_BINDS_MAX, .default_text = "1",
               .doc = "how many binds at once (separate: pairs), as the account allows", .example = "2"),
    PARLEY_REF(parley_option, .name = "window", .type = PARLEY_OPTION_INT, .min = 1, .max = SMPP_WINDOW_MAX, .default_text = "10",
               .doc = "messages on the way without an answer, for each bind", .example = "50"),
    PARLEY_REF(parley_option, .name = "enquire_link", .type = PARLEY_OPTION_DURATION, .max = HOUR_MS, .default_text = "30s",
               .doc = "after so long without a word the centre is asked whether it is there; 0s: never", .example = "30s"),
    PARLEY_REF(parley_option, .name = "timeout", .type = PARLEY_OPTION_DURATION, .min = PART_MS_MIN, .max = ANSWER_MS_MAX,
               .default_text = "60s", .doc = "how long an answer is awaited; a message without one may be out", .example = "60s"),
    PARLEY_REF(parley_option, .name = "reconnect_max", .type = PARLEY_OPTION_DURATION, .min = PART_MS_MIN, .max = HOUR_MS,
               .default_text = "60s", .doc = "the longest pause before the next try to bind; the first is a second", .example = "60s"),
    PARLEY_REF(parley_option, .name = "throttle_pause", .type = PARLEY_OPTION_DURATION, .min = PAUSE_MS_MIN, .max = HOUR_MS,
               .default_text = "1s", .doc = "pause after the centre has said that it is too fast", .example = "1s"),
    &sms_option_from,
    &sms_option_senders,
    &sms_option_simplify,
    &sms_option_prices,
    PARLEY_REF(parley_option, .name = "source_ton", .type = PARLEY_OPTION_INT, .max = TYPE_MAX,
               .doc = "type of the sender's number; default: 1 for +34..., 3 for a short code, 5 for a name", .example = "5"),
    PARLEY_REF(parley_option, .name = "source_npi", .type = PARLEY_OPTION_INT, .max = TYPE_MAX,
               .doc = "plan of the sender's number; default: 1 for +34..., else 0", .example = "0"),
    PARLEY_REF(parley_option, .name = "destination_ton", .type = PARLEY_OPTION_INT, .max = TYPE_MAX,
               .doc = "type of the customer's number; default: 1 for +34..., else 0", .example = "1"),
    PARLEY_REF(parley_option, .name = "destination_npi", .type = PARLEY_OPTION_INT, .max = TYPE_MAX,
               .doc = "plan of the customer's number; default: 1", .example = "1"),
    PARLEY_REF(parley_option, .name = "service_type", .type = PARLEY_OPTION_TEXT, .max = SMPP_SERVICE_MAX,
               .doc = "where the provider names one", .example = "CMT"),
    PARLEY_REF(parley_option, .name = "registered_delivery", .type = PARLEY_OPTION_CHOICE, .choices = registered_words,
               .default_text = "final", .doc = "receipts that are asked for, of every segment: all, final, failed or none",
               .example = "final"),
    PARLEY_REF(parley_option, .name = "pdu", .type = PARLEY_OPTION_CHOICE, .choices = pdu_words, .default_text = "submit_sm",
               .doc = "how a message is handed over; data_sm for the few centres that want it", .example = "submit_sm"),
    PARLEY_REF(parley_option, .name = "validity", .type = PARLEY_OPTION_DURATION, .max = (int64_t)VALIDITY_MAX_DAYS * 24 * HOUR_MS,
               .doc = "how long the centre tries at most; default: until the message's own expiry", .example = "24h"),
    PARLEY_REF(parley_option, .name = "validity_time", .type = PARLEY_OPTION_CHOICE, .choices = validity_words,
               .default_text = "relative", .doc = "how the centre is told so; none: not at all", .example = "relative"),
    PARLEY_REF(parley_option, .name = "alphabet", .type = PARLEY_OPTION_CHOICE, .choices = alphabet_words, .default_text = "gsm7",
               .doc = "the centre's default alphabet (data coding 0); ucs2: it has none that can be used, all goes as UCS-2",
               .example = "gsm7"),
    PARLEY_REF(parley_option, .name = "concatenation", .type = PARLEY_OPTION_CHOICE, .choices = joining_words, .default_text = "udh8",
               .doc = "how long texts are cut: headers with a reference of 8 or 16 bits, SAR parameters, or payload: the centre cuts",
               .example = "udh8"),
    PARLEY_REF(parley_option, .name = "segments", .type = PARLEY_OPTION_INT, .min = 1, .max = SMPP_SEGMENTS_MAX, .default_text = "16",
               .doc = "a text that needs more is refused", .example = "16"),
    PARLEY_REF(parley_option, .name = "message_ids", .type = PARLEY_OPTION_CHOICE, .choices = smpp_ids_words, .default_text = "auto",
               .doc = "how receipts spell the ids of answers: auto learns it; text: exactly; number: zeros before it do not count; "
                      "hex-decimal: the answer's is hexadecimal, the receipt's decimal; decimal-hex",
               .example = "hex-decimal"),
    PARLEY_REF(parley_option, .name = "receipt_time", .type = PARLEY_OPTION_TEXT, .max = 16, .default_text = "arrival",
               .doc = "the clock of dates in receipts: utc, or its distance such as +02:00; arrival: they are not used",
               .example = "+02:00"),
    PARLEY_REF(parley_option, .name = "bad_address_errors", .type = PARLEY_OPTION_LIST, .max = SMPP_ERRORS_MAX,
               .fields = (const parley_option *const[]){&error_element, NULL},
               .doc = "values of err: in receipts that mean that nobody has the number: it is suppressed then"),
    PARLEY_REF(parley_option, .name = "reference", .type = PARLEY_OPTION_BOOL, .default_text = "true",
               .doc = "send our reference along (user_message_reference); false for a centre that refuses it", .example = "true"),
    PARLEY_REF(parley_option, .name = "proof_wait", .type = PARLEY_OPTION_DURATION, .max = ANSWER_MS_MAX, .default_text = "60s",
               .doc = "how long a receipt with our reference is awaited before what may be out is sent again; 0s: not at all",
               .example = "60s"),
    PARLEY_REF(parley_option, .name = "join_wait", .type = PARLEY_OPTION_DURATION, .min = PART_MS_MIN, .max = 24 * (int64_t)HOUR_MS,
               .default_text = "30m", .doc = "how long the missing pieces of a customer's long text are awaited", .example = "30m"),
    NULL,
};

/* --- Values ------------------------------------------------------------------------------------------------------- */
static bool refuse(struct smpp_options *to, const char *why)
{
  snprintf(to->why, sizeof to->why, "%s", why);
  return false;
}

/* --- The URL ------------------------------------------------------------------------------------------------------ */
static bool cut(parley_text *text, const char *start)
{
  size_t len = strlen(start);

  if (text->len < len || memcmp(text->at, start, len) != 0)
    return false;
  text->at += len;
  text->len -= len;
  return true;
}

static int hex_of(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool port_read(parley_text text, uint32_t *ret)
{
  uint32_t port = 0;

  for (size_t i = 0; i < text.len && i < 6; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    port = port * 10 + (uint32_t)(text.at[i] - '0');
  }
  *ret = port;
  return text.len > 0 && text.len <= 5 && port > 0 && port <= UINT16_MAX;
}

static bool host_char(char c, bool bracketed)
{
  bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

  return digit || c == '.' || (bracketed ? c == ':' || hex_of(c) >= 0 : letter || c == '-' || c == '_');
}

static bool address_read(parley_text rest, struct smpp_options *to)
{
  static const char wrong[] = "url: must be smpp://host:port";
  bool bracketed = rest.len > 0 && rest.at[0] == '[';
  const char *end = rest.len > 0 ? memchr(rest.at, bracketed ? ']' : ':', rest.len) : NULL;
  size_t host_end = end != NULL ? (size_t)(end - rest.at) : rest.len, after = host_end + (bracketed && end != NULL);
  parley_text host = {rest.at + bracketed, host_end - bracketed};
  uint32_t port = to->tls ? PORT_TLS : PORT_CLEAR;

  if ((bracketed && end == NULL) || host.len == 0 || host.len > SMPP_HOST_MAX)
    return refuse(to, wrong);
  for (size_t i = 0; i < host.len; i++)
    if (!host_char(host.at[i], bracketed))
      return refuse(to, wrong);
  if (after < rest.len &&
      (rest.at[after] != ':' || !port_read((parley_text){rest.at + after + 1, rest.len - after - 1}, &port)))
    return refuse(to, wrong);
  snprintf(to->host, sizeof to->host, "%.*s", (int)host.len, host.at);
  snprintf(to->address, sizeof to->address, bracketed ? "[%s]:%u" : "%s:%u", to->host, (unsigned)port);
  return true;
}

static bool url_read(parley_text url, struct smpp_options *to)
{
  to->tls = cut(&url, "smpps://");
  if (!to->tls && !cut(&url, "smpp://"))
    return refuse(to, "url: must begin with smpp:// or smpps://");
  if (url.len > 0 && url.at[url.len - 1] == '/')
    url.len--;
  if (url.len > 0 && memchr(url.at, '@', url.len) != NULL)
    return refuse(to, "url: user and password stand in options of their own, not in the URL");
  return address_read(url, to);
}

/* --- Receipts ----------------------------------------------------------------------------------------------------- */
static bool clock_read(parley_text text, struct smpp_options *to)
{
  int32_t digits[4], sign;

  to->receipts.offset_minutes = SMPP_RECEIPT_OFFSET_NONE;
  if (text.len == 0 || parley_text_is(text, "arrival"))
    return true;
  to->receipts.offset_minutes = 0;
  if (parley_text_is(text, "utc"))
    return true;
  if (text.len != 6 || (text.at[0] != '+' && text.at[0] != '-') || text.at[3] != ':')
    return refuse(to, "receipt_time: must be arrival, utc, or a distance from UTC such as +02:00");
  sign = text.at[0] == '-' ? -1 : 1;
  for (int i = 0; i < 4; i++) {
    digits[i] = text.at[i + 1 + (i > 1)] - '0';
    if (digits[i] < 0 || digits[i] > 9)
      return refuse(to, "receipt_time: must be arrival, utc, or a distance from UTC such as +02:00");
  }
  to->receipts.offset_minutes = sign * ((digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]);
  if (to->receipts.offset_minutes > MINUTES_OF_DAY || to->receipts.offset_minutes < -MINUTES_OF_DAY || digits[2] > 5)
    return refuse(to, "receipt_time: the distance has at most 24 hours, and 59 minutes");
  return true;
}

static void errors_read(const parley_value *list, struct smpp_receipt_rules *to)
{
  for (uint64_t i = 0; option_given(list) && i < list->n_items && i < SMPP_ERRORS_MAX; i++)
    to->bad_errors[to->n_bad_errors++] = list->items[i]->text;
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */
static void bind_read(const parley_value *options, struct smpp_options *to)
{
  to->bind.login.system_id = option_text(options, "user");
  to->bind.login.password = option_text(options, "password");
  to->bind.login.system_type = option_text(options, "system_type");
  to->bind.login.range = option_text(options, "address_range");
  to->bind.window = (uint32_t)option_number(options, "window", 10);
  to->bind.enquire_ms = (uint32_t)option_number(options, "enquire_link", 30000);
  to->bind.timeout_ms = (uint32_t)option_number(options, "timeout", 60000);
  to->kind = (enum smpp_bind_kind)option_number(options, "bind", SMPP_TRANSCEIVER);
  to->binds = (uint32_t)option_number(options, "binds", 1);
  to->reconnect_max_ms = (uint32_t)option_number(options, "reconnect_max", 60000);
  to->throttle_pause_ms = (uint32_t)option_number(options, "throttle_pause", 1000);
  to->ca = option_text(options, "ca");
}

static void sending_read(const parley_value *options, struct smpp_options *to)
{
  to->source_ton = (int32_t)option_number(options, "source_ton", SMPP_AUTO);
  to->source_npi = (int32_t)option_number(options, "source_npi", SMPP_AUTO);
  to->destination_ton = (int32_t)option_number(options, "destination_ton", SMPP_AUTO);
  to->destination_npi = (int32_t)option_number(options, "destination_npi", SMPP_AUTO);
  to->service = option_text(options, "service_type");
  to->registered = registered_octets[option_number(options, "registered_delivery", 1)];
  to->command = pdu_commands[option_number(options, "pdu", 0)];
  to->validity_ms = option_number(options, "validity", 0);
  to->validity = (enum smpp_validity)option_number(options, "validity_time", SMPP_VALIDITY_RELATIVE);
  to->alphabet = alphabets[option_number(options, "alphabet", 0)];
  to->joining = (enum smpp_joining)option_number(options, "concatenation", SMPP_UDH8);
  to->segments = (uint32_t)option_number(options, "segments", 16);
  to->ids = (enum smpp_ids_mode)option_number(options, "message_ids", SMPP_IDS_AUTO);
  to->reference = option_number(options, "reference", 1) != 0;
  to->proof_wait_ms = to->reference ? (uint32_t)option_number(options, "proof_wait", 60000) : 0;
  to->join_wait_ms = (uint32_t)option_number(options, "join_wait", 1800000);
}

parley_status smpp_options_read(const parley_value *options, struct smpp_options *to)
{
  parley_status st;

  *to = (struct smpp_options){0};
  bind_read(options, to);
  sending_read(options, to);
  errors_read(parley_find(options, "bad_address_errors"), &to->receipts);
  if (!url_read(option_text(options, "url"), to) || !clock_read(option_text(options, "receipt_time"), to))
    return PARLEY_INVALID;
  if (to->tls || to->ca.len == 0) {
    st = sms_options_read(options, &to->sms);
    if (st != PARLEY_OK)
      snprintf(to->why, sizeof to->why, "%s", to->sms.why);
    return st;
  }
  refuse(to, "ca: is for smpps:// only");
  return PARLEY_INVALID;
}

void smpp_options_done(struct smpp_options *options)
{
  sms_options_done(&options->sms);
}
