#include "abi.h"

/* One line a member; `size` and reserved ones are not carried. */
#define PLAIN(kind, type, member) {kind, offsetof(type, member), 0, 0, NULL}
#define COUNTED(kind, type, member, count, of) \
  {kind, offsetof(type, member), offsetof(type, count), sizeof(((type *)0)->count), of}
#define POINTED(kind, type, member, of) {kind, offsetof(type, member), 0, 0, of}
#define SHAPE(type, table) {sizeof(type), sizeof(table) / sizeof *(table), table}

/* --- The plugin's own table -------------------------------------------------------------------------------------------- */

static const struct abi_field option_fields[] = {
    PLAIN(ABI_U32, parley_option, type), PLAIN(ABI_U32, parley_option, flags), PLAIN(ABI_I64, parley_option, min),
    PLAIN(ABI_I64, parley_option, max), PLAIN(ABI_CSTR, parley_option, name), PLAIN(ABI_CSTR, parley_option, doc),
    PLAIN(ABI_CSTR, parley_option, default_text), PLAIN(ABI_CSTR, parley_option, example),
    PLAIN(ABI_CSTRS, parley_option, choices), POINTED(ABI_ENDED, parley_option, fields, &abi_option),
};
const struct abi_struct abi_option = SHAPE(parley_option, option_fields);

static const struct abi_field value_fields[] = {
    PLAIN(ABI_U32, parley_value, type), PLAIN(ABI_I64, parley_value, number), PLAIN(ABI_TEXT, parley_value, name),
    PLAIN(ABI_BYTES, parley_value, text), COUNTED(ABI_MANY, parley_value, items, n_items, &abi_value),
};
const struct abi_struct abi_value = SHAPE(parley_value, value_fields);

static const struct abi_field metric_fields[] = {
    PLAIN(ABI_U32, parley_metric, kind), PLAIN(ABI_CSTR, parley_metric, name), PLAIN(ABI_CSTR, parley_metric, help),
    PLAIN(ABI_CSTR, parley_metric, label),
};
const struct abi_struct abi_metric = SHAPE(parley_metric, metric_fields);

static const struct abi_field feature_fields[] = {
    PLAIN(ABI_U32, parley_feature, what), PLAIN(ABI_U32, parley_feature, level), PLAIN(ABI_U32, parley_feature, count_max),
    PLAIN(ABI_U32, parley_feature, unit), PLAIN(ABI_U32, parley_feature, length_max),
    PLAIN(ABI_U32, parley_feature, joined_max), PLAIN(ABI_U64, parley_feature, bytes_max),
    PLAIN(ABI_CSTR, parley_feature, types),
};
const struct abi_struct abi_feature = SHAPE(parley_feature, feature_fields);

static const struct abi_field price_fields[] = {
    PLAIN(ABI_I64, parley_price, micros), PLAIN(ABI_CSTR, parley_price, prefix), PLAIN(ABI_CSTR, parley_price, currency),
};
const struct abi_struct abi_price = SHAPE(parley_price, price_fields);

static const struct abi_field capabilities_fields[] = {
    PLAIN(ABI_U32, parley_capabilities, flags), PLAIN(ABI_U32, parley_capabilities, in_flight),
    PLAIN(ABI_U32, parley_capabilities, receipts), PLAIN(ABI_U32, parley_capabilities, session_ms),
    PLAIN(ABI_CSTR, parley_capabilities, address_kind), PLAIN(ABI_CSTR, parley_capabilities, channel_kind),
    POINTED(ABI_ENDED, parley_capabilities, features, &abi_feature),
    POINTED(ABI_ENDED, parley_capabilities, prices, &abi_price),
};
const struct abi_struct abi_capabilities = SHAPE(parley_capabilities, capabilities_fields);

static const struct abi_field plugin_facts_fields[] = {
    PLAIN(ABI_U32, struct plugin_facts, abi_major), PLAIN(ABI_U32, struct plugin_facts, abi_minor),
    PLAIN(ABI_U32, struct plugin_facts, abi_minor_needed), PLAIN(ABI_U32, struct plugin_facts, has),
    PLAIN(ABI_CSTR, struct plugin_facts, name), PLAIN(ABI_CSTR, struct plugin_facts, version),
    PLAIN(ABI_CSTR, struct plugin_facts, summary), POINTED(ABI_ONE, struct plugin_facts, capabilities, &abi_capabilities),
    POINTED(ABI_ENDED, struct plugin_facts, options, &abi_option),
    POINTED(ABI_ENDED, struct plugin_facts, metrics, &abi_metric), PLAIN(ABI_CSTRS, struct plugin_facts, requires_ids),
    PLAIN(ABI_CSTRS, struct plugin_facts, offers_ids),
};
const struct abi_struct abi_plugin_facts = SHAPE(struct plugin_facts, plugin_facts_fields);

/* --- Messages, both ways ----------------------------------------------------------------------------------------------- */

static const struct abi_field button_fields[] = {
    PLAIN(ABI_U32, parley_button, action), PLAIN(ABI_TEXT, parley_button, id), PLAIN(ABI_TEXT, parley_button, label),
    PLAIN(ABI_TEXT, parley_button, target),
};
static const struct abi_struct abi_button = SHAPE(parley_button, button_fields);

static const struct abi_field part_fields[] = {
    PLAIN(ABI_U32, parley_part, kind), PLAIN(ABI_U32, parley_part, flags), PLAIN(ABI_U32, parley_part, unit),
    PLAIN(ABI_U64, parley_part, total_bytes), PLAIN(ABI_F64, parley_part, latitude), PLAIN(ABI_F64, parley_part, longitude),
    PLAIN(ABI_TEXT, parley_part, text), PLAIN(ABI_TEXT, parley_part, type), PLAIN(ABI_TEXT, parley_part, name),
    PLAIN(ABI_BYTES, parley_part, data), PLAIN(ABI_TEXT, parley_part, media), PLAIN(ABI_TEXT, parley_part, url),
    PLAIN(ABI_TEXT, parley_part, provider_id), COUNTED(ABI_MANY, parley_part, buttons, n_buttons, &abi_button),
    COUNTED(ABI_PAIRS, parley_part, fields, n_fields, NULL),
};
const struct abi_struct abi_part = SHAPE(parley_part, part_fields);

static const struct abi_field identity_fields[] = {
    PLAIN(ABI_U32, parley_identity, assurance), PLAIN(ABI_TEXT, parley_identity, kind), PLAIN(ABI_TEXT, parley_identity, value),
    PLAIN(ABI_TEXT, parley_identity, name),
};
const struct abi_struct abi_identity = SHAPE(parley_identity, identity_fields);

static const struct abi_field customer_fields[] = {
    PLAIN(ABI_TEXT, parley_customer, id), PLAIN(ABI_TEXT, parley_customer, name), PLAIN(ABI_TEXT, parley_customer, locale),
    PLAIN(ABI_TEXT, parley_customer, timezone),
};
const struct abi_struct abi_customer = SHAPE(parley_customer, customer_fields);

static const struct abi_field message_fields[] = {
    PLAIN(ABI_U32, parley_message, kind), PLAIN(ABI_U32, parley_message, attempt), PLAIN(ABI_U32, parley_message, resent),
    PLAIN(ABI_U32, parley_message, topic_class),
    PLAIN(ABI_I64, parley_message, accepted_ms), PLAIN(ABI_I64, parley_message, expires_ms),
    PLAIN(ABI_I64, parley_message, session_until_ms), PLAIN(ABI_TEXT, parley_message, id),
    PLAIN(ABI_TEXT, parley_message, conversation_id), PLAIN(ABI_TEXT, parley_message, topic),
    PLAIN(ABI_TEXT, parley_message, subject), PLAIN(ABI_TEXT, parley_message, target),
    PLAIN(ABI_TEXT, parley_message, payload), PLAIN(ABI_TEXT, parley_message, reply_to),
    PLAIN(ABI_TEXT, parley_message, reply_address), PLAIN(ABI_TEXT, parley_message, unsubscribe_url),
    PLAIN(ABI_TEXT, parley_message, traceparent), PLAIN(ABI_TEXT, parley_message, override_json),
    POINTED(ABI_ONE, parley_message, to, &abi_identity), POINTED(ABI_ONE, parley_message, customer, &abi_customer),
    COUNTED(ABI_MANY, parley_message, parts, n_parts, &abi_part), COUNTED(ABI_TEXTS, parley_message, thread, n_thread, NULL),
    COUNTED(ABI_PAIRS, parley_message, fields, n_fields, NULL), PLAIN(ABI_TEXT, parley_message, token),
    PLAIN(ABI_TEXT, parley_message, reply_token), PLAIN(ABI_TEXT, parley_message, unsubscribe_token),
    PLAIN(ABI_I64, parley_message, handed_ms),
};
const struct abi_struct abi_message = SHAPE(parley_message, message_fields);

static const struct abi_field outcome_fields[] = {
    PLAIN(ABI_U32, parley_outcome, result), PLAIN(ABI_U32, parley_outcome, retry_ms),
    COUNTED(ABI_TEXTS, parley_outcome, ids, n_ids, NULL), PLAIN(ABI_TEXT, parley_outcome, code),
    PLAIN(ABI_TEXT, parley_outcome, detail), PLAIN(ABI_TEXT, parley_outcome, destination),
};
const struct abi_struct abi_outcome = SHAPE(parley_outcome, outcome_fields);

static const struct abi_field receipt_fields[] = {
    PLAIN(ABI_U32, parley_receipt, kind), PLAIN(ABI_U32, parley_receipt, outcome), PLAIN(ABI_U32, parley_receipt, up_to),
    PLAIN(ABI_I64, parley_receipt, at_ms), PLAIN(ABI_TEXT, parley_receipt, provider_id),
    PLAIN(ABI_TEXT, parley_receipt, message_id), PLAIN(ABI_TEXT, parley_receipt, code),
    PLAIN(ABI_TEXT, parley_receipt, detail), PLAIN(ABI_TEXT, parley_receipt, link),
    POINTED(ABI_ONE, parley_receipt, to, &abi_identity),
};
const struct abi_struct abi_receipt = SHAPE(parley_receipt, receipt_fields);

static const struct abi_field segment_fields[] = {
    PLAIN(ABI_U32, parley_segment, index), PLAIN(ABI_U32, parley_segment, total), PLAIN(ABI_U32, parley_segment, wait_ms),
    PLAIN(ABI_TEXT, parley_segment, key),
};
static const struct abi_struct abi_segment = SHAPE(parley_segment, segment_fields);

static const struct abi_field inbound_fields[] = {
    PLAIN(ABI_U32, parley_inbound, kind), PLAIN(ABI_U32, parley_inbound, flags), PLAIN(ABI_I64, parley_inbound, at_ms),
    PLAIN(ABI_TEXT, parley_inbound, event_id), PLAIN(ABI_TEXT, parley_inbound, provider_id),
    PLAIN(ABI_TEXT, parley_inbound, subject), PLAIN(ABI_TEXT, parley_inbound, thread_id),
    PLAIN(ABI_TEXT, parley_inbound, reply_to), PLAIN(ABI_TEXT, parley_inbound, target),
    PLAIN(ABI_TEXT, parley_inbound, payload), COUNTED(ABI_MANY, parley_inbound, from, n_from, &abi_identity),
    COUNTED(ABI_MANY, parley_inbound, to, n_to, &abi_identity), COUNTED(ABI_MANY, parley_inbound, parts, n_parts, &abi_part),
    COUNTED(ABI_TEXTS, parley_inbound, references, n_references, NULL),
    COUNTED(ABI_PAIRS, parley_inbound, fields, n_fields, NULL), POINTED(ABI_ONE, parley_inbound, raw, &abi_part),
    POINTED(ABI_ONE, parley_inbound, segment, &abi_segment), PLAIN(ABI_TEXT, parley_inbound, token),
};
const struct abi_struct abi_inbound = SHAPE(parley_inbound, inbound_fields);

static const struct abi_field touchpoint_fields[] = {
    PLAIN(ABI_U32, parley_touchpoint, stage), PLAIN(ABI_I64, parley_touchpoint, at_ms),
    PLAIN(ABI_TEXT, parley_touchpoint, type), PLAIN(ABI_TEXT, parley_touchpoint, event_id),
    POINTED(ABI_ONE, parley_touchpoint, who, &abi_identity), COUNTED(ABI_PAIRS, parley_touchpoint, fields, n_fields, NULL),
};
const struct abi_struct abi_touchpoint = SHAPE(parley_touchpoint, touchpoint_fields);

/* --- Answers ----------------------------------------------------------------------------------------------------------- */

static const struct abi_field result_fields[] = {
    PLAIN(ABI_I32, parley_result, status), PLAIN(ABI_U32, parley_result, retry_ms), PLAIN(ABI_BYTES, parley_result, value),
    PLAIN(ABI_TEXT, parley_result, reason), PLAIN(ABI_U32, parley_result, count),
    COUNTED(ABI_STATUSES, parley_result, each, count, NULL),
};
const struct abi_struct abi_result = SHAPE(parley_result, result_fields);

static const struct abi_field query_fields[] = {
    PLAIN(ABI_U32, parley_query, limit), PLAIN(ABI_U32, parley_query, oldest_first),
    PLAIN(ABI_U32, parley_query, this_channel), POINTED(ABI_ONE, parley_query, who, &abi_identity),
    PLAIN(ABI_TEXT, parley_query, customer_id), PLAIN(ABI_TEXT, parley_query, conversation_id),
    PLAIN(ABI_TEXT, parley_query, cursor),
};
const struct abi_struct abi_query = SHAPE(parley_query, query_fields);

static const struct abi_field event_fields[] = {
    PLAIN(ABI_U32, parley_event, inbound), PLAIN(ABI_I64, parley_event, at_ms), PLAIN(ABI_TEXT, parley_event, id),
    PLAIN(ABI_TEXT, parley_event, type), PLAIN(ABI_TEXT, parley_event, channel), PLAIN(ABI_TEXT, parley_event, message_id),
    PLAIN(ABI_TEXT, parley_event, provider_id), PLAIN(ABI_TEXT, parley_event, state),
    COUNTED(ABI_MANY, parley_event, parts, n_parts, &abi_part),
};
static const struct abi_struct abi_event = SHAPE(parley_event, event_fields);

static const struct abi_field page_fields[] = {
    PLAIN(ABI_I32, parley_page, status), COUNTED(ABI_MANY, parley_page, events, n_events, &abi_event),
    PLAIN(ABI_TEXT, parley_page, cursor), POINTED(ABI_ONE, parley_page, customer, &abi_customer),
};
const struct abi_struct abi_page = SHAPE(parley_page, page_fields);

/* --- Extensions -------------------------------------------------------------------------------------------------------- */

static const struct abi_field http_request_fields[] = {
    PLAIN(ABI_U32, parley_http_request, flags), PLAIN(ABI_U32, parley_http_request, timeout_ms),
    PLAIN(ABI_U64, parley_http_request, response_max), PLAIN(ABI_U64, parley_http_request, token),
    PLAIN(ABI_BYTES, parley_http_request, method), PLAIN(ABI_BYTES, parley_http_request, url),
    COUNTED(ABI_PAIRS, parley_http_request, headers, n_headers, NULL), PLAIN(ABI_BYTES, parley_http_request, body),
    COUNTED(ABI_MANY, parley_http_request, pieces, n_pieces, &abi_part),
};
const struct abi_struct abi_http_request = SHAPE(parley_http_request, http_request_fields);

static const struct abi_field http_response_fields[] = {
    PLAIN(ABI_I32, parley_http_response, status), PLAIN(ABI_U32, parley_http_response, code),
    PLAIN(ABI_U32, parley_http_response, sent), PLAIN(ABI_U32, parley_http_response, retry_ms),
    PLAIN(ABI_U64, parley_http_response, total_bytes), COUNTED(ABI_PAIRS, parley_http_response, headers, n_headers, NULL),
    PLAIN(ABI_BYTES, parley_http_response, body), PLAIN(ABI_TEXT, parley_http_response, media),
    PLAIN(ABI_BYTES, parley_http_response, type), PLAIN(ABI_TEXT, parley_http_response, reason),
};
const struct abi_struct abi_http_response = SHAPE(parley_http_response, http_response_fields);

static const struct abi_field http_call_fields[] = {
    PLAIN(ABI_BYTES, parley_http_call, method), PLAIN(ABI_BYTES, parley_http_call, path), PLAIN(ABI_BYTES, parley_http_call, query),
    PLAIN(ABI_BYTES, parley_http_call, url), PLAIN(ABI_BYTES, parley_http_call, peer),
    COUNTED(ABI_PAIRS, parley_http_call, headers, n_headers, NULL), PLAIN(ABI_BYTES, parley_http_call, body),
};
const struct abi_struct abi_http_call = SHAPE(parley_http_call, http_call_fields);

static const struct abi_field http_answer_fields[] = {
    PLAIN(ABI_U32, parley_http_answer, code), PLAIN(ABI_U32, parley_http_answer, retry_ms),
    COUNTED(ABI_PAIRS, parley_http_answer, headers, n_headers, NULL), PLAIN(ABI_BYTES, parley_http_answer, type),
    PLAIN(ABI_BYTES, parley_http_answer, body),
};
const struct abi_struct abi_http_answer = SHAPE(parley_http_answer, http_answer_fields);

static const struct abi_field submission_fields[] = {
    PLAIN(ABI_TEXT, parley_submission, key), PLAIN(ABI_BYTES, parley_submission, json), PLAIN(ABI_TEXT, parley_submission, topic),
    PLAIN(ABI_TEXT, parley_submission, idempotency_key),
};
const struct abi_struct abi_submission = SHAPE(parley_submission, submission_fields);

static const struct abi_field mail_fields[] = {
    PLAIN(ABI_U32, parley_mail, outcome), PLAIN(ABI_U64, parley_mail, number), PLAIN(ABI_I64, parley_mail, at_ms),
    POINTED(ABI_ONE, parley_mail, message, &abi_message),
};
static const struct abi_struct abi_mail = SHAPE(parley_mail, mail_fields);

static const struct abi_field mail_query_fields[] = {
    PLAIN(ABI_U32, parley_mail_query, limit), PLAIN(ABI_U64, parley_mail_query, before),
    PLAIN(ABI_TEXT, parley_mail_query, address), PLAIN(ABI_TEXT, parley_mail_query, message_id),
};
const struct abi_struct abi_mail_query = SHAPE(parley_mail_query, mail_query_fields);

static const struct abi_field mail_page_fields[] = {
    COUNTED(ABI_MANY, parley_mail_page, mails, n_mails, &abi_mail), PLAIN(ABI_U64, parley_mail_page, next),
    PLAIN(ABI_U64, parley_mail_page, count), PLAIN(ABI_U64, parley_mail_page, forgotten),
};
const struct abi_struct abi_mail_page = SHAPE(parley_mail_page, mail_page_fields);

static const struct abi_field frame_words_fields[] = {
    PLAIN(ABI_U32, struct frame_words, number), PLAIN(ABI_I64, struct frame_words, amount),
    PLAIN(ABI_F64, struct frame_words, value), PLAIN(ABI_TEXT, struct frame_words, one), PLAIN(ABI_BYTES, struct frame_words, two),
    PLAIN(ABI_TEXT, struct frame_words, three), POINTED(ABI_ONE, struct frame_words, capabilities, &abi_capabilities),
    POINTED(ABI_ONE, struct frame_words, options, &abi_value),
};
const struct abi_struct abi_frame_words = SHAPE(struct frame_words, frame_words_fields);
