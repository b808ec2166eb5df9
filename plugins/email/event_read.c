#include "event_read.h"
#include "mail_word.h"
#include "common/json.h"
#include "mail_fields.h"
#include <stdio.h>
#include <string.h>

const char *const event_provider_names[EVENT_PROVIDERS] = {"ses", "sendgrid", "mailgun", "postmark"};

/* --- Members ------------------------------------------------------------------------------------------------------ */
static parley_text text_of(const json_t *object, const char *name)
{
  const json_t *value = json_object_get(object, name);

  return json_is_string(value) ? (parley_text){json_string_value(value), json_string_length(value)} : (parley_text){"", 0};
}

static bool is(const json_t *object, const char *name, const char *word)
{
  return mail_word_is(text_of(object, name), word);
}

static int64_t time_of(const json_t *object, const char *name)
{
  struct json_faults faults = {.count = 0};
  const json_t *value = json_object_get(object, name);
  int64_t ms;

  if (json_is_number(value)) {
    double seconds = json_number_value(value);

    return seconds > 0 && seconds < 1e11 ? (int64_t)(seconds * 1000) : 0;
  }
  ms = json_time_get(object, "", name, false, &faults);
  return faults.count == 0 ? ms : 0;
}

static void id_of(parley_text text, char *to)
{
  if (text.len >= 2 && text.at[0] == '<' && text.at[text.len - 1] == '>')
    text = (parley_text){text.at + 1, text.len - 2};
  if (text.len > 0 && text.len <= EVENT_MESSAGE_ID_MAX && memchr(text.at, ' ', text.len) == NULL)
    mail_value_clean(text, to, EVENT_MESSAGE_ID_MAX + 1);
}

static void token_of(const json_t *object, const char *name, struct mail_event *ret)
{
  const json_t *value = json_object_get(object, name);

  if (json_is_array(value))
    value = json_array_get(value, 0);
  if (ret->token[0] == '\0' && json_is_string(value))
    mail_report_token((parley_text){json_string_value(value), json_string_length(value)}, ret->token);
}

static void to_of(const json_t *object, const char *name, struct mail_event *ret)
{
  parley_text value = text_of(object, name);

  if (value.len <= MAIL_REPORT_ADDRESS_MAX)
    mail_value_clean(value, ret->to, sizeof ret->to);
}

static void link_of(const json_t *object, const char *name, struct mail_event *ret)
{
  parley_text value = text_of(object, name);

  if (value.len <= EVENT_LINK_MAX)
    mail_value_clean(value, ret->link, sizeof ret->link);
}

/* A mail that did not arrive: code and words, and what they come to. kind: what the provider itself made of it, 0: see the code. */
static void failed(struct mail_event *ret, parley_text code, parley_text words, uint32_t kind)
{
  struct mail_status status = {0};

  if (!mail_status_read(code, &status))
    mail_status_read(words, &status);
  ret->receipt = PARLEY_RECEIPT_FAILED;
  ret->outcome = kind != 0 ? kind : mail_bounce_outcome(status, words);
  mail_status_write(status, ret->code);
  mail_value_clean(words, ret->detail, sizeof ret->detail);
}

struct named { const char *name; uint32_t receipt; };

static uint32_t receipt_named(parley_text word, const struct named *names, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (parley_text_is(word, names[i].name))
      return names[i].receipt;
  return 0;
}

/* --- SES ---------------------------------------------------------------------------------------------------------- */
static const json_t *ses_recipients(const json_t *root)
{
  const json_t *bounce = json_object_get(json_object_get(root, "bounce"), "bouncedRecipients");
  const json_t *complaint = json_object_get(json_object_get(root, "complaint"), "complainedRecipients");

  return bounce != NULL ? bounce : complaint;
}

static parley_text ses_type(const json_t *root)
{
  parley_text type = text_of(root, "eventType");

  return type.len > 0 ? type : text_of(root, "notificationType");
}

static void ses_mail(const json_t *root, struct mail_event *ret)
{
  const json_t *mail = json_object_get(root, "mail"), *headers = json_object_get(mail, "headers");
  size_t n = json_array_size(headers);

  token_of(json_object_get(mail, "tags"), EVENT_TRACE_NAME, ret);
  for (size_t i = 0; i < n; i++) {
    const json_t *header = json_array_get(headers, i);

    if (is(header, "name", "X-Parley-Ref"))
      token_of(header, "value", ret);
    else if (is(header, "name", "Message-ID") && ret->message_id[0] == '\0')
      id_of(text_of(header, "value"), ret->message_id);
  }
}

static void ses_bounce(const json_t *root, size_t index, struct mail_event *ret)
{
  const json_t *bounce = json_object_get(root, "bounce"), *one = json_array_get(ses_recipients(root), index);
  bool permanent = is(bounce, "bounceType", "Permanent"), passing = is(bounce, "bounceType", "Transient");
  bool nobody = is(bounce, "bounceSubType", "General") || is(bounce, "bounceSubType", "NoEmail") ||
                is(bounce, "bounceSubType", "OnAccountSuppressionList") || is(bounce, "bounceSubType", "Suppressed");
  parley_text code = text_of(one, "status"), words = text_of(one, "diagnosticCode");

  ret->at_ms = time_of(bounce, "timestamp");
  to_of(one, "emailAddress", ret);
  failed(ret, code, words.len > 0 ? words : text_of(bounce, "bounceSubType"), passing ? PARLEY_OUTCOME_RETRY : 0);
  if (permanent && nobody && ret->outcome == PARLEY_OUTCOME_REJECTED && ret->code[0] == '\0')
    ret->outcome = PARLEY_OUTCOME_BAD_ADDRESS;
}

static bool ses_read(const json_t *root, size_t index, struct mail_event *ret)
{
  parley_text type = ses_type(root);
  const json_t *complaint = json_object_get(root, "complaint"), *click = json_object_get(root, "click");

  ses_mail(root, ret);
  if (parley_text_is(type, "Bounce")) {
    ses_bounce(root, index, ret);
  } else if (parley_text_is(type, "Complaint")) {
    ret->receipt = is(complaint, "complaintFeedbackType", "not-spam") ? 0 : PARLEY_RECEIPT_COMPLAINED;
    ret->at_ms = time_of(complaint, "timestamp");
    mail_value_clean(text_of(complaint, "complaintFeedbackType"), ret->detail, sizeof ret->detail);
    to_of(json_array_get(ses_recipients(root), index), "emailAddress", ret);
  } else if (parley_text_is(type, "Delivery")) {
    ret->receipt = PARLEY_RECEIPT_DELIVERED;
    ret->at_ms = time_of(json_object_get(root, "delivery"), "timestamp");
  } else if (parley_text_is(type, "Reject")) {
    failed(ret, (parley_text){"", 0}, text_of(json_object_get(root, "reject"), "reason"), PARLEY_OUTCOME_REJECTED);
  } else if (parley_text_is(type, "Open")) {
    ret->receipt = PARLEY_RECEIPT_OPENED;
    ret->at_ms = time_of(json_object_get(root, "open"), "timestamp");
  } else if (parley_text_is(type, "Click")) {
    ret->receipt = PARLEY_RECEIPT_CLICKED;
    ret->at_ms = time_of(click, "timestamp");
    link_of(click, "link", ret);
  } else if (parley_text_is(type, "Subscription")) {
    ret->receipt = PARLEY_RECEIPT_UNSUBSCRIBED;
  }
  return ret->receipt != 0;
}

/* --- SendGrid ----------------------------------------------------------------------------------------------------- */
static bool sendgrid_read(const json_t *event, struct mail_event *ret)
{
  static const struct named plain[] = {{"delivered", PARLEY_RECEIPT_DELIVERED},
                                       {"open", PARLEY_RECEIPT_OPENED},
                                       {"click", PARLEY_RECEIPT_CLICKED},
                                       {"unsubscribe", PARLEY_RECEIPT_UNSUBSCRIBED},
                                       {"group_unsubscribe", PARLEY_RECEIPT_UNSUBSCRIBED},
                                       {"spamreport", PARLEY_RECEIPT_COMPLAINED}};
  parley_text type = text_of(event, "event"), reason = text_of(event, "reason"), code = text_of(event, "status");

  ret->at_ms = time_of(event, "timestamp");
  id_of(text_of(event, "smtp-id"), ret->message_id);
  token_of(event, EVENT_TRACE_NAME, ret);
  token_of(json_object_get(event, "unique_args"), EVENT_TRACE_NAME, ret);
  to_of(event, "email", ret);
  link_of(event, "url", ret);
  if (parley_text_is(type, "bounce")) /* `blocked`: for now, and not for this address */
    failed(ret, code, reason, is(event, "type", "blocked") && code.len == 0 ? PARLEY_OUTCOME_RETRY : 0);
  else if (parley_text_is(type, "dropped"))
    failed(ret, code, reason, mail_word_begins(reason, "Bounced Address") || mail_word_begins(reason, "Invalid")
                                  ? PARLEY_OUTCOME_BAD_ADDRESS : PARLEY_OUTCOME_REJECTED);
  else
    ret->receipt = receipt_named(type, plain, sizeof plain / sizeof *plain);
  return ret->receipt != 0;
}

/* --- Mailgun ------------------------------------------------------------------------------------------------------ */
static void mailgun_failed(const json_t *event, struct mail_event *ret)
{
  const json_t *status = json_object_get(event, "delivery-status");
  parley_text words = text_of(status, "message");
  int64_t reply = json_integer_value(json_object_get(status, "code"));
  bool suppressed = is(event, "reason", "suppress-bounce");

  if (words.len == 0)
    words = text_of(status, "description");
  failed(ret, text_of(status, "enhanced-code"), words, suppressed ? PARLEY_OUTCOME_BAD_ADDRESS : 0);
  if (ret->outcome == PARLEY_OUTCOME_REJECTED && reply >= 400 && reply < 500)
    ret->outcome = PARLEY_OUTCOME_RETRY;
}

static bool mailgun_read(const json_t *root, struct mail_event *ret)
{
  static const struct named plain[] = {{"delivered", PARLEY_RECEIPT_DELIVERED},
                                       {"opened", PARLEY_RECEIPT_OPENED},
                                       {"clicked", PARLEY_RECEIPT_CLICKED},
                                       {"unsubscribed", PARLEY_RECEIPT_UNSUBSCRIBED},
                                       {"complained", PARLEY_RECEIPT_COMPLAINED}};
  const json_t *event = json_object_get(root, "event-data");
  parley_text type = text_of(event, "event");

  ret->at_ms = time_of(event, "timestamp");
  id_of(text_of(json_object_get(json_object_get(event, "message"), "headers"), "message-id"), ret->message_id);
  token_of(json_object_get(event, "user-variables"), EVENT_TRACE_NAME, ret);
  to_of(event, "recipient", ret);
  link_of(event, "url", ret);
  if (parley_text_is(type, "failed") && !is(event, "severity", "temporary")) /* a temporary one it tries again */
    mailgun_failed(event, ret);
  else if (parley_text_is(type, "rejected"))
    failed(ret, (parley_text){"", 0}, text_of(json_object_get(event, "reject"), "reason"), PARLEY_OUTCOME_REJECTED);
  else
    ret->receipt = receipt_named(type, plain, sizeof plain / sizeof *plain);
  return ret->receipt != 0;
}

/* --- Postmark ----------------------------------------------------------------------------------------------------- */
static uint32_t postmark_outcome(const json_t *root)
{
  static const struct { const char *type; uint32_t outcome; } types[] = {
      {"HardBounce", PARLEY_OUTCOME_BAD_ADDRESS}, {"BadEmailAddress", PARLEY_OUTCOME_BAD_ADDRESS},
      {"ManuallyDeactivated", PARLEY_OUTCOME_BAD_ADDRESS}, {"SoftBounce", PARLEY_OUTCOME_RETRY},
      {"DnsError", PARLEY_OUTCOME_RETRY}, {"Transient", 0}, {"AutoResponder", 0}, {"Subscribe", 0}, {"Unsubscribe", 0},
      {"AddressChange", 0}, {"ChallengeVerification", 0}, {"OpenRelayTest", 0}, {"SpamComplaint", 0}};

  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (is(root, "Type", types[i].type))
      return types[i].outcome;
  return PARLEY_OUTCOME_REJECTED;
}

static void postmark_bounce(const json_t *root, struct mail_event *ret)
{
  uint32_t outcome = postmark_outcome(root);
  parley_text words = text_of(root, "Details");

  ret->at_ms = time_of(root, "BouncedAt");
  if (outcome != 0)
    failed(ret, words, words.len > 0 ? words : text_of(root, "Description"), outcome);
  else if (is(root, "Type", "SpamComplaint"))
    ret->receipt = PARLEY_RECEIPT_COMPLAINED;
  else if (is(root, "Type", "Unsubscribe"))
    ret->receipt = PARLEY_RECEIPT_UNSUBSCRIBED;
}

static bool postmark_read(const json_t *root, struct mail_event *ret)
{
  parley_text type = text_of(root, "RecordType");

  id_of(text_of(root, "MessageID"), ret->message_id);
  token_of(json_object_get(root, "Metadata"), EVENT_TRACE_NAME, ret);
  to_of(root, text_of(root, "Email").len > 0 ? "Email" : "Recipient", ret);
  if (parley_text_is(type, "Bounce")) {
    postmark_bounce(root, ret);
  } else if (parley_text_is(type, "SpamComplaint")) {
    ret->receipt = PARLEY_RECEIPT_COMPLAINED;
    ret->at_ms = time_of(root, "BouncedAt");
  } else if (parley_text_is(type, "Delivery")) {
    ret->receipt = PARLEY_RECEIPT_DELIVERED;
    ret->at_ms = time_of(root, "DeliveredAt");
  } else if (parley_text_is(type, "Open") || parley_text_is(type, "Click")) {
    ret->receipt = parley_text_is(type, "Open") ? PARLEY_RECEIPT_OPENED : PARLEY_RECEIPT_CLICKED;
    ret->at_ms = time_of(root, "ReceivedAt");
    link_of(root, "OriginalLink", ret);
  } else if (parley_text_is(type, "SubscriptionChange") && json_is_true(json_object_get(root, "SuppressSending")) &&
             is(root, "SuppressionReason", "ManualSuppression")) {
    ret->receipt = PARLEY_RECEIPT_UNSUBSCRIBED;
    ret->at_ms = time_of(root, "ChangedAt");
  }
  return ret->receipt != 0;
}

/* --- All ---------------------------------------------------------------------------------------------------------- */
size_t event_count(enum event_provider provider, const json_t *root)
{
  size_t n;

  switch (provider) {
  case EVENT_SENDGRID: return json_array_size(root);
  case EVENT_SES:
    n = json_array_size(ses_recipients(root));
    return n > 0 ? n : json_is_object(root);
  case EVENT_MAILGUN:
  case EVENT_POSTMARK: return json_is_object(root);
  case EVENT_PROVIDERS: break;
  }
  return 0;
}

bool event_read(enum event_provider provider, const json_t *root, size_t index, struct mail_event *ret)
{
  bool found = false;

  memset(ret, 0, sizeof *ret);
  switch (provider) {
  case EVENT_SES: found = ses_read(root, index, ret); break;
  case EVENT_SENDGRID: found = sendgrid_read(json_array_get(root, index), ret); break;
  case EVENT_MAILGUN: found = mailgun_read(root, ret); break;
  case EVENT_POSTMARK: found = postmark_read(root, ret); break;
  case EVENT_PROVIDERS: break;
  }
  return found && (ret->token[0] != '\0' || ret->message_id[0] != '\0');
}

const char *event_trace_name(enum event_provider provider)
{
  static const char *const names[EVENT_PROVIDERS] = {[EVENT_SES] = "X-SES-MESSAGE-TAGS",
                                                     [EVENT_SENDGRID] = "X-SMTPAPI",
                                                     [EVENT_MAILGUN] = "X-Mailgun-Variables",
                                                     [EVENT_POSTMARK] = ("X-PM-Metadata-" EVENT_TRACE_NAME)};

  return names[provider];
}

/* A member more of the object that the sender gave. */
static bool mailgun_join(parley_text token, parley_text own, char *value)
{
  struct json_faults faults = {0};
  json_t *root = own.len > 0 ? json_strict_load(own, &faults) : json_object();
  size_t len = 0;

  if (json_is_object(root) && json_object_set_new(root, EVENT_TRACE_NAME, json_stringn(token.at, token.len)) == 0)
    len = json_dumpb(root, value, EVENT_TRACE_MAX - 1, JSON_COMPACT | JSON_ENSURE_ASCII);
  json_decref(root);
  if (len == 0 || len >= EVENT_TRACE_MAX)
    return false;
  value[len] = '\0';
  return true;
}

static bool ses_join(parley_text token, parley_text own, char *value)
{
  int len = snprintf(value, EVENT_TRACE_MAX, EVENT_TRACE_NAME "=%.*s%s%.*s", (int)token.len, token.at, own.len > 0 ? ", " : "",
                     (int)own.len, own.at);

  for (size_t i = 0; i < own.len; i++)
    if (own.at[i] < ' ' || own.at[i] >= 0x7f)
      return false;
  return len < EVENT_TRACE_MAX;
}

parley_status event_trace_value(enum event_provider provider, parley_text token, parley_text own, char *value)
{
  bool good = false;

  if (token.len != MAIL_REPORT_TOKEN)
    return PARLEY_NOT_FOUND;
  switch (provider) {
  case EVENT_SES: good = ses_join(token, own, value); break;
  case EVENT_MAILGUN: good = mailgun_join(token, own, value); break;
  case EVENT_SENDGRID: /* no sender may give it */
    good = snprintf(value, EVENT_TRACE_MAX, "{\"unique_args\":{\"" EVENT_TRACE_NAME "\":\"%.*s\"}}", (int)token.len, token.at) > 0;
    break;
  case EVENT_POSTMARK: /* the name is ours */ good = snprintf(value, EVENT_TRACE_MAX, "%.*s", (int)token.len, token.at) > 0; break;
  case EVENT_PROVIDERS: break;
  }
  return good ? PARLEY_OK : PARLEY_INVALID;
}

void event_receipt(const struct mail_event *event, bool several, parley_identity *to, parley_receipt *ret)
{
  *ret = (parley_receipt){.size = sizeof *ret, .kind = event->receipt, .outcome = event->outcome, .at_ms = event->at_ms,
                          .code = parley_text_of(event->code), .detail = parley_text_of(event->detail),
                          .link = parley_text_of(event->link)};
  if (event->token[0] != '\0')
    ret->message_id = parley_text_of(event->token);
  else
    ret->provider_id = parley_text_of(event->message_id);
  if (several && event->to[0] != '\0') {
    *to = (parley_identity){.size = sizeof *to, .kind = PARLEY_LIT("email"), .value = parley_text_of(event->to)};
    ret->to = to;
  }
}
