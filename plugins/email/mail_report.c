#include "mail_report.h"
#include "mail_word.h"
#include "mail_parse.h"
#include "mail_fields.h"
#include <gmime/gmime.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PARTS_MAX = 32 /* of the report that are looked at */, WALK_DEPTH_MAX = 3 };
static const char token_letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* --- Names -------------------------------------------------------------------------------------------------------- */
static bool token_copy(parley_text text, char *to)
{
  char token[MAIL_REPORT_TOKEN + 1];

  if (text.len != MAIL_REPORT_TOKEN)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    token[i] = g_ascii_tolower(text.at[i]);
    if (token[i] == '\0' || strchr(token_letters, token[i]) == NULL)
      return false;
  }
  token[MAIL_REPORT_TOKEN] = '\0';
  memcpy(to, token, sizeof token);
  return true;
}

static bool is_token_end(char c)
{
  return c == '@' || c == ':' || c == ';' || c == '>' || c == ' ' || c == ',';
}

bool mail_report_token(parley_text text, char *to)
{
  for (size_t i = 0; i + MAIL_REPORT_TOKEN <= text.len; i++) {
    bool begins = i == 0 || text.at[i - 1] == '+' || text.at[i - 1] == ':' || text.at[i - 1] == ' ';
    bool ends = i + MAIL_REPORT_TOKEN == text.len || is_token_end(text.at[i + MAIL_REPORT_TOKEN]);

    if (begins && ends && token_copy((parley_text){text.at + i, MAIL_REPORT_TOKEN}, to))
      return true;
  }
  return false;
}

/* "rfc822; ana@example.org" (RFC 3464 2.3.1), "utf-8; ..." (RFC 6533), or the bare address. */
static void address_copy(parley_text text, char *to)
{
  const char *semicolon = text.len > 0 ? memchr(text.at, ';', text.len) : NULL;

  if (semicolon != NULL)
    text = (parley_text){semicolon + 1, text.len - (size_t)(semicolon + 1 - text.at)};
  while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '<'))
    text = (parley_text){text.at + 1, text.len - 1};
  while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '>'))
    text.len--;
  if (text.len > 0 && text.len <= MAIL_REPORT_ADDRESS_MAX && memchr(text.at, '@', text.len) != NULL)
    snprintf(to, MAIL_REPORT_ADDRESS_MAX + 1, "%.*s", (int)text.len, text.at);
}

static parley_text value_of(const struct mail_field *field)
{
  return (parley_text){field->value, field->len};
}

/* A header of the mail that came back: does it say which of ours it was? The first that does counts. */
static void original_note(struct mail_report *report, const struct mail_field *field)
{
  static const char *const traces[] = {MAIL_TRACE_HEADER, "Feedback-ID", "Return-Path", "X-Original-Mail-From"};

  for (size_t i = 0; report->token[0] == '\0' && i < sizeof traces / sizeof *traces; i++)
    if (mail_field_is(field, traces[i]))
      mail_report_token(value_of(field), report->token);
}

static void original_read(struct mail_report *report, parley_text header)
{
  struct mail_fields fields = {.rest = header};
  struct mail_field field;

  while (mail_field_next(&fields, &field) == MAIL_FIELD)
    original_note(report, &field);
}

static void original_of_message(struct mail_report *report, GMimeMessage *message)
{
  char *header = message != NULL ? g_mime_object_get_headers(GMIME_OBJECT(message), NULL) : NULL;

  if (header != NULL)
    original_read(report, (parley_text){header, strnlen(header, MAIL_REPORT_PART_MAX)});
  g_free(header);
}

/* --- Delivery reports --------------------------------------------------------------------------------------------- */
struct recipient { /* one group of fields */
  bool any, original; /* original: `to` is Original-Recipient */
  char to[MAIL_REPORT_ADDRESS_MAX + 1];
  char action[16];
  char status[MAIL_FIELD_MAX + 1], diagnostic[MAIL_FIELD_MAX + 1];
};

static void recipient_note(struct recipient *recipient, const struct mail_field *field)
{
  bool original = mail_field_is(field, "Original-Recipient");

  if (original || (mail_field_is(field, "Final-Recipient") && !recipient->original)) {
    recipient->any = true;
    recipient->original = original;
    address_copy(value_of(field), recipient->to);
  } else if (mail_field_is(field, "Final-Recipient")) {
    recipient->any = true;
  } else if (mail_field_is(field, "Action")) {
    snprintf(recipient->action, sizeof recipient->action, "%.15s", field->value);
  } else if (mail_field_is(field, "Status")) {
    memcpy(recipient->status, field->value, field->len + 1);
  } else if (mail_field_is(field, "Diagnostic-Code")) {
    memcpy(recipient->diagnostic, field->value, field->len + 1);
  }
}

/* "smtp; 550 5.1.1 ..." without the type. */
static parley_text diagnostic_words(const struct recipient *recipient)
{
  const char *semicolon = strchr(recipient->diagnostic, ';');
  const char *words = semicolon != NULL ? semicolon + 1 : recipient->diagnostic;

  while (*words == ' ')
    words++;
  return parley_text_of(words);
}

/* The report's own code, unless that says less than the server's words have. */
static struct mail_status recipient_status(const struct recipient *recipient)
{
  struct mail_status status = {0}, told = {0};

  mail_status_read(parley_text_of(recipient->status), &status);
  if ((status.class == 0 || (status.subject == 0 && status.detail == 0)) &&
      mail_status_read(diagnostic_words(recipient), &told) && (status.class == 0 || told.class == status.class))
    return told;
  return status;
}

static uint32_t receipt_of(const struct recipient *recipient, struct mail_status status)
{
  static const struct { const char *action; uint32_t receipt; } actions[] = {
      {"failed", PARLEY_RECEIPT_FAILED}, {"delayed", 0}, {"delivered", PARLEY_RECEIPT_DELIVERED},
      /* it went on to somebody who tells no more of it */
      {"relayed", PARLEY_RECEIPT_SENT}, {"expanded", PARLEY_RECEIPT_SENT}};

  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
    if (mail_word_begins(parley_text_of(recipient->action), actions[i].action))
      return actions[i].receipt;
  return recipient->action[0] == '\0' && status.class == 5 ? PARLEY_RECEIPT_FAILED : 0;
}

static struct mail_report_item *item_add(struct mail_report *report)
{
  if (report->n_items == MAIL_REPORT_ITEMS_MAX) {
    report->more = true;
    return NULL;
  }
  return &report->items[report->n_items++];
}

static void recipient_add(struct mail_report *report, const struct recipient *recipient)
{
  struct mail_report_item *item = recipient->any ? item_add(report) : NULL;
  struct mail_status status = recipient_status(recipient);
  char words[2 * MAIL_FIELD_MAX + 2];
  parley_text said = diagnostic_words(recipient);

  if (item == NULL)
    return;
  *item = (struct mail_report_item){.receipt = receipt_of(recipient, status)};
  memcpy(item->to, recipient->to, sizeof item->to);
  mail_status_write(status, item->code);
  mail_value_clean(said.len > 0 ? said : parley_text_of(recipient->status), item->detail, sizeof item->detail);
  snprintf(words, sizeof words, "%s %s", recipient->status, recipient->diagnostic);
  if (item->receipt == PARLEY_RECEIPT_FAILED)
    item->outcome = mail_bounce_outcome(status, parley_text_of(words));
}

static void delivery_read(struct mail_report *report, parley_text text)
{
  struct mail_fields fields = {.rest = text};
  struct recipient recipient = {0};
  struct mail_field field;

  for (;;) {
    enum mail_field_step step = mail_field_next(&fields, &field);

    if (step == MAIL_FIELDS_END)
      return;
    if (step == MAIL_FIELD) {
      recipient_note(&recipient, &field);
      if (report->token[0] == '\0' && mail_field_is(&field, "X-Postfix-Sender"))
        mail_report_token(value_of(&field), report->token);
      continue;
    }
    recipient_add(report, &recipient);
    recipient = (struct recipient){0};
  }
}

/* --- Complaints --------------------------------------------------------------------------------------------------- */
static uint32_t receipt_of_feedback(const char *type)
{
  static const struct { const char *type; uint32_t receipt; } types[] = {
      {"abuse", PARLEY_RECEIPT_COMPLAINED},   {"fraud", PARLEY_RECEIPT_COMPLAINED}, {"virus", PARLEY_RECEIPT_COMPLAINED},
      {"other", PARLEY_RECEIPT_COMPLAINED},   {"opt-out", PARLEY_RECEIPT_UNSUBSCRIBED},
      {"opt-out-list", PARLEY_RECEIPT_UNSUBSCRIBED}};

  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcasecmp(type, types[i].type) == 0)
      return types[i].receipt;
  return 0; /* not-spam, auth-failure, and what nobody has told us of */
}

static void feedback_read(struct mail_report *report, parley_text text)
{
  struct mail_fields fields = {.rest = text};
  struct mail_report_item *item;
  struct mail_field field;
  char type[MAIL_FIELD_MAX + 1] = "", agent[MAIL_FIELD_MAX + 1] = "";
  char words[2 * MAIL_FIELD_MAX + 32];

  while (mail_field_next(&fields, &field) == MAIL_FIELD) {
    if (mail_field_is(&field, "Feedback-Type"))
      memcpy(type, field.value, field.len + 1);
    else if (mail_field_is(&field, "User-Agent"))
      memcpy(agent, field.value, field.len + 1);
    else if (mail_field_is(&field, "Original-Mail-From") && report->token[0] == '\0')
      mail_report_token(value_of(&field), report->token);
  }
  item = type[0] != '\0' ? item_add(report) : NULL;
  if (item == NULL)
    return;
  *item = (struct mail_report_item){.receipt = receipt_of_feedback(type)};
  mail_value_clean(parley_text_of(type), item->code, sizeof item->code);
  snprintf(words, sizeof words, "%s, told by %s", type, agent[0] != '\0' ? agent : "nobody it names");
  mail_value_clean(parley_text_of(words), item->detail, sizeof item->detail);
}

/* --- Parts -------------------------------------------------------------------------------------------------------- */
/* The part's text, decoded, its first MAIL_REPORT_PART_MAX bytes; the caller's to unref. */
static GByteArray *part_text(GMimeObject *object)
{
  GByteArray *bytes = g_byte_array_new();
  GMimeDataWrapper *content = GMIME_IS_PART(object) ? g_mime_part_get_content(GMIME_PART(object)) : NULL;
  GMimeStream *whole = content != NULL ? g_mime_data_wrapper_get_stream(content) : NULL, *head, *to;
  GMimeDataWrapper *cut;
  gint64 len = whole != NULL ? g_mime_stream_length(whole) : 0;

  if (len <= 0)
    return bytes;
  head = g_mime_stream_substream(whole, whole->bound_start,
                                 whole->bound_start + (len < MAIL_REPORT_PART_MAX ? len : MAIL_REPORT_PART_MAX));
  cut = g_mime_data_wrapper_new_with_stream(head, g_mime_data_wrapper_get_encoding(content));
  to = g_mime_stream_mem_new_with_byte_array(bytes);
  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(to), FALSE);
  g_mime_data_wrapper_write_to_stream(cut, to);
  g_object_unref(to);
  g_object_unref(cut);
  g_object_unref(head);
  return bytes;
}

static bool type_is(GMimeObject *object, const char *type, const char *subtype)
{
  GMimeContentType *is = g_mime_object_get_content_type(object);

  return is != NULL && g_mime_content_type_is_type(is, type, subtype);
}

static void part_read(struct mail_report *report, GMimeObject *object)
{
  bool delivery = type_is(object, "message", "delivery-status") || type_is(object, "message", "global-delivery-status");
  bool feedback = type_is(object, "message", "feedback-report");
  bool header = type_is(object, "text", "rfc822-headers") || type_is(object, "message", "rfc822-headers") ||
                type_is(object, "message", "global-headers") || type_is(object, "message", "global");
  GByteArray *bytes;
  parley_text text;

  if (GMIME_IS_MESSAGE_PART(object)) {
    original_of_message(report, g_mime_message_part_get_message(GMIME_MESSAGE_PART(object)));
    return;
  }
  if (!delivery && !feedback && !header)
    return;
  bytes = part_text(object);
  text = (parley_text){(const char *)bytes->data, bytes->len};
  if (delivery) {
    report->kind = MAIL_REPORT_DELIVERY;
    delivery_read(report, text);
  } else if (feedback) {
    report->kind = MAIL_REPORT_FEEDBACK;
    feedback_read(report, text);
  } else {
    original_read(report, text);
  }
  g_byte_array_unref(bytes);
}

/* The report, or one that a list has wrapped: multipart/report within multipart/mixed. */
static GMimeObject *report_find(GMimeObject *top, int depth)
{
  GMimeMultipart *multipart = GMIME_IS_MULTIPART(top) ? GMIME_MULTIPART(top) : NULL;
  GMimeObject *found = NULL;
  int n = multipart != NULL ? g_mime_multipart_get_count(multipart) : 0;

  if (top == NULL || depth > WALK_DEPTH_MAX || type_is(top, "multipart", "report"))
    return depth > WALK_DEPTH_MAX ? NULL : top;
  for (int i = 0; found == NULL && i < n && i < PARTS_MAX; i++) {
    GMimeObject *part = g_mime_multipart_get_part(multipart, i);

    if (GMIME_IS_MULTIPART(part))
      found = report_find(part, depth + 1);
    else if (type_is(part, "message", "delivery-status") || type_is(part, "message", "feedback-report"))
      found = top;
  }
  return found;
}

/* --- What is no such report, and still can be read ---------------------------------------------------------------- */
static parley_text text_from(parley_text text, const char *word)
{
  size_t len = strlen(word);

  for (size_t i = 0; i + len <= text.len; i++)
    if ((i == 0 || text.at[i - 1] == '\n') && mail_word_same((parley_text){text.at + i, len}, (parley_text){word, len}))
      return (parley_text){text.at + i, text.len - i};
  return (parley_text){NULL, 0};
}

/* Its boundary was lost on the way: the fields stand in what looks like one text. */
static void lost_read(struct mail_report *report, parley_text text)
{
  parley_text fields = text_from(text, "Reporting-MTA:"), rest, header;

  if (fields.len == 0)
    fields = text_from(text, "Final-Recipient:");
  if (fields.len == 0)
    return;
  rest = text_from(fields, "--");
  delivery_read(report, (parley_text){fields.at, fields.len - rest.len});
  header = text_from(rest, "Return-Path:");
  if (header.len == 0)
    header = text_from(rest, "Received:");
  original_read(report, header);
  if (report->n_items > 0)
    report->kind = MAIL_REPORT_DELIVERY;
}

/* Exim before 4.80 and others: the addresses in a header, the rest in words. */
static void failed_read(struct mail_report *report, parley_text addresses, parley_text text)
{
  struct mail_report_item *item = item_add(report);
  struct mail_status status = {0};
  char clean[MAIL_REPORT_ADDRESS_MAX + 2];

  report->kind = MAIL_REPORT_DELIVERY;
  if (item == NULL)
    return;
  mail_status_read(text, &status);
  *item = (struct mail_report_item){.receipt = PARLEY_RECEIPT_FAILED, .outcome = mail_bounce_outcome(status, text)};
  address_copy((parley_text){clean, mail_value_clean(addresses, clean, sizeof clean)}, item->to);
  mail_status_write(status, item->code);
  snprintf(item->detail, sizeof item->detail, "told in words");
  original_read(report, text_from(text, "Return-Path:"));
}

static void odd_read(struct mail_report *report, GMimeMessage *message, GMimeObject *top)
{
  const char *failed = g_mime_object_get_header(GMIME_OBJECT(message), "X-Failed-Recipients");
  GMimeMultipart *multipart = GMIME_IS_MULTIPART(top) ? GMIME_MULTIPART(top) : NULL;
  bool has_parts = multipart != NULL && g_mime_multipart_get_count(multipart) > 0;
  const char *before = multipart != NULL ? g_mime_multipart_get_prologue(multipart) : NULL; /* all of it, without a boundary */
  GByteArray *bytes = part_text(has_parts ? g_mime_multipart_get_part(multipart, 0) : top);
  parley_text text = {(const char *)bytes->data, bytes->len};

  if (!has_parts && before != NULL)
    text = (parley_text){before, strnlen(before, MAIL_REPORT_PART_MAX)};
  if (type_is(top, "multipart", "report"))
    lost_read(report, text);
  if (report->n_items == 0 && failed != NULL)
    failed_read(report, parley_text_of(failed), text);
  g_byte_array_unref(bytes);
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */
bool mail_report_read(void *message, parley_text token, struct mail_report *ret)
{
  GMimeObject *top = g_mime_message_get_mime_part(message), *report;

  memset(ret, 0, sizeof *ret);
  if (top == NULL)
    return false;
  token_copy(token, ret->token);
  report = report_find(top, 0);
  if (report != NULL && GMIME_IS_MULTIPART(report)) {
    int n = g_mime_multipart_get_count(GMIME_MULTIPART(report));

    for (int i = 0; i < n && i < PARTS_MAX; i++)
      part_read(ret, g_mime_multipart_get_part(GMIME_MULTIPART(report), i));
  } else if (type_is(top, "message", "delivery-status") || type_is(top, "message", "feedback-report")) {
    part_read(ret, top);
  }
  if (ret->kind == MAIL_REPORT_NONE)
    odd_read(ret, message, top);
  if (ret->kind != MAIL_REPORT_NONE)
    return true;
  memset(ret, 0, sizeof *ret);
  return false;
}

bool mail_report_tells(const struct mail_report *report)
{
  for (uint32_t i = 0; report->token[0] != '\0' && i < report->n_items; i++)
    if (report->items[i].receipt != 0)
      return true;
  return false;
}

bool mail_report_receipt(const struct mail_report *report, uint32_t item, int64_t at_ms, parley_identity *to, parley_receipt *ret)
{
  const struct mail_report_item *is = &report->items[item];

  if (is->receipt == 0 || report->token[0] == '\0')
    return false;
  *ret = (parley_receipt){.size = sizeof *ret, .kind = is->receipt, .outcome = is->outcome, .at_ms = at_ms,
                          .message_id = parley_text_of(report->token), .code = parley_text_of(is->code),
                          .detail = parley_text_of(is->detail)};
  if (report->n_items > 1 && is->to[0] != '\0') { /* of several the host has to know which one is its */
    *to = (parley_identity){.size = sizeof *to, .kind = PARLEY_LIT("email"), .value = parley_text_of(is->to)};
    ret->to = to;
  }
  return true;
}
