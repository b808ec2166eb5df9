#include "smpp_receipt.h"
#include "common/json.h"
#include <stdio.h>
#include <strings.h>

enum { ESM_TYPE = 0x3c, ESM_RECEIPT = 0x04, ESM_ACKNOWLEDGED = 0x08, ESM_USER = 0x10, ESM_INTERMEDIATE = 0x20, GSM_NETWORK = 3,
       NETWORK_ERROR_BYTES = 3, STATE_WORD_MAX = 16 };

/* --- States ------------------------------------------------------------------------------------------------------- */
/* 5.2.28, and the words of appendix B with those that centres write instead. */
static const struct state {
  uint8_t number;
  const char *name, *word, *words;
  uint32_t kind, outcome;
} states[] = {
    {1, "ENROUTE", "ENROUTE", "on its way", PARLEY_RECEIPT_SENT, 0},
    {2, "DELIVERED", "DELIVRD", "delivered", PARLEY_RECEIPT_DELIVERED, 0},
    {3, "EXPIRED", "EXPIRED", "the phone was not reached in time", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY},
    {4, "DELETED", "DELETED", "deleted by the centre", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
    {5, "UNDELIVERABLE", "UNDELIV", "it cannot be delivered", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
    {6, "ACCEPTED", "ACCEPTD", "the network has it", PARLEY_RECEIPT_SENT, 0},
    {7, "UNKNOWN", "UNKNOWN", "the centre does not know what became of it", PARLEY_RECEIPT_SENT, 0},
    {8, "REJECTED", "REJECTD", "the network or the phone refused it", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
    {0, "BUFFERED", "BUFFRED", "on its way", PARLEY_RECEIPT_SENT, 0},
    {0, "SCHEDULED", "SCHEDLD", "on its way", PARLEY_RECEIPT_SENT, 0},
    {0, "FAILED", "FAILED", "it cannot be delivered", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
};
enum { STATES = sizeof states / sizeof states[0] };

static bool word_is(parley_text text, const char *word)
{
  return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

static const struct state *state_by_number(uint32_t number)
{
  for (int i = 0; i < STATES && number != 0; i++)
    if (states[i].number == number)
      return &states[i];
  return NULL;
}

static const struct state *state_by_word(parley_text word)
{
  for (int i = 0; i < STATES; i++)
    if (word_is(word, states[i].word) || word_is(word, states[i].name))
      return &states[i];
  return NULL;
}

/* --- The text ----------------------------------------------------------------------------------------------------- */
static size_t name_find(parley_text text, const char *name) /* where it begins a word; text.len: nowhere */
{
  size_t len = strlen(name);

  for (size_t i = 0; i + len <= text.len; i++)
    if ((i == 0 || text.at[i - 1] == ' ' || text.at[i - 1] == '\n') && strncasecmp(text.at + i, name, len) == 0)
      return i;
  return text.len;
}

static parley_text field(parley_text text, const char *name)
{
  size_t at = name_find(text, name), end;

  if (at == text.len)
    return PARLEY_LIT("");
  at += strlen(name);
  while (at < text.len && text.at[at] == ' ') /* "stat: DELIVRD" */
    at++;
  for (end = at; end < text.len && text.at[end] != ' ' && text.at[end] != '\n' && text.at[end] != '\r';)
    end++;
  if (end < text.len && end > at && memchr(text.at + at, ':', end - at) != NULL) /* empty: the next field's name stands here */
    return PARLEY_LIT("");
  return (parley_text){text.at + at, end - at};
}

static parley_text head_of(parley_text text) { return (parley_text){text.at, name_find(text, "text:")}; }

bool smpp_receipt_is(const struct smpp_message *message, parley_text text)
{
  uint32_t type = message->esm_class & ESM_TYPE;

  if (type == ESM_RECEIPT || type == ESM_INTERMEDIATE || type == ESM_ACKNOWLEDGED || type == ESM_USER)
    return true;
  text = head_of(text);
  return type == 0 && smpp_has(&message->tlvs, SMPP_TLV_RECEIPTED_ID) && field(text, "id:").len > 0 && field(text, "stat:").len > 0;
}

/* --- Dates -------------------------------------------------------------------------------------------------------- */
int64_t smpp_receipt_time(parley_text digits, int32_t offset_minutes)
{
  int64_t ms;

  return offset_minutes != SMPP_RECEIPT_OFFSET_NONE && smsc_time_read(digits, &ms) ? ms - offset_minutes * INT64_C(60000) : 0;
}

/* --- What failed -------------------------------------------------------------------------------------------------- */
/* 3GPP TS 29.002, MAP errors, as network_error_code of a GSM network has them. */
static uint32_t gsm_outcome(uint32_t error, uint32_t otherwise)
{
  switch (error) {
  case 1: /* unknown subscriber */
  case 5: /* unidentified subscriber */ return PARLEY_OUTCOME_BAD_ADDRESS;
  case 6: /* absent subscriber, short message */
  case 27: /* absent subscriber */
  case 31: /* subscriber busy */
  case 33: /* message waiting list full */
  case 34: /* system failure */ return PARLEY_OUTCOME_RETRY;
  default: return otherwise;
  }
}

static bool error_is_bad(const struct smpp_receipt_rules *rules, parley_text error)
{
  for (uint32_t i = 0; i < rules->n_bad_errors && error.len > 0; i++)
    if (rules->bad_errors[i].len == error.len && memcmp(rules->bad_errors[i].at, error.at, error.len) == 0)
      return true;
  return false;
}

static void failure_read(const struct smpp_message *message, parley_text error, const struct smpp_receipt_rules *rules,
                         struct smpp_receipt *ret)
{
  const unsigned char *network = (const unsigned char *)message->tlvs.network_error.at;

  if (error_is_bad(rules, error))
    ret->outcome = PARLEY_OUTCOME_BAD_ADDRESS;
  else if (message->tlvs.network_error.len == NETWORK_ERROR_BYTES && network[0] == GSM_NETWORK)
    ret->outcome = gsm_outcome((uint32_t)network[1] << 8 | network[2], ret->outcome);
}

static void code_write(const struct smpp_message *message, const char *word, parley_text error, char to[SMPP_RECEIPT_CODE_ROOM])
{
  const unsigned char *network = (const unsigned char *)message->tlvs.network_error.at;
  bool plain = true;

  for (size_t i = 0; i < error.len; i++)
    plain &= error.at[i] > ' ' && error.at[i] < 0x7f;
  if (message->tlvs.network_error.len == NETWORK_ERROR_BYTES)
    snprintf(to, SMPP_RECEIPT_CODE_ROOM, "%s %s%u", word, network[0] == GSM_NETWORK ? "gsm " : "network ",
             (unsigned)network[1] << 8 | network[2]);
  else if (plain && error.len > 0 && error.len <= STATE_WORD_MAX)
    snprintf(to, SMPP_RECEIPT_CODE_ROOM, "%s %.*s", word, (int)error.len, error.at);
  else
    snprintf(to, SMPP_RECEIPT_CODE_ROOM, "%s", word);
}

void smpp_receipt_read(const struct smpp_message *message, parley_text text, const struct smpp_receipt_rules *rules,
                       struct smpp_receipt *ret)
{
  uint32_t type = message->esm_class & ESM_TYPE;
  parley_text head = head_of(text), error = field(head, "err:"), word = field(head, "stat:");
  const struct state *state = smpp_has(&message->tlvs, SMPP_TLV_STATE) ? state_by_number(message->tlvs.number[SMPP_TLV_STATE]) : NULL;

  *ret = (struct smpp_receipt){.id = message->tlvs.receipted_id, .words = ""};
  if (ret->id.len == 0)
    ret->id = field(head, "id:");
  if (ret->id.len > SMPP_ID_MAX)
    ret->id.len = 0;
  if (state == NULL)
    state = state_by_word(word);
  if (state == NULL && (type == ESM_ACKNOWLEDGED || type == ESM_USER)) /* the phone itself says that it has it */
    state = state_by_number(2);
  if (state == NULL)
    return;
  ret->kind = state->kind;
  ret->outcome = state->outcome;
  ret->words = state->words;
  ret->at_ms = smpp_receipt_time(field(head, "done date:"), rules->offset_minutes);
  if (state->kind == PARLEY_RECEIPT_FAILED)
    failure_read(message, error, rules, ret);
  code_write(message, state->word, error, ret->code);
}
