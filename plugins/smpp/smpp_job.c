#include "smpp_job.h"
#include "common/json.h"
#include <stdio.h>
#include <stdlib.h>

enum { ESM_HEADER = 0x40, CODING_DEFAULT = 0, CODING_UCS2 = 8, NPI_E164 = 1,
       SECOND_MS = 1000, DAY_S = 86400, VALIDITY_DAYS_MAX = 99, SHORT_OCTETS = 140 };

/* --- Numbers ------------------------------------------------------------------------------------------------------ */
static uint8_t type_of(int32_t option, int automatic) { return (uint8_t)(option == SMPP_AUTO ? automatic : option); }

/* "+34600111222" -> digits, type and plan; false: it is no number. */
static bool number_read(const struct smpp_options *options, parley_text number, struct smpp_address *ret)
{
  bool plus = number.len > 0 && number.at[0] == '+';

  ret->value = (parley_text){number.at + plus, number.len - plus};
  for (size_t i = 0; i < ret->value.len; i++)
    if (ret->value.at[i] < '0' || ret->value.at[i] > '9')
      return false;
  ret->ton = type_of(options->destination_ton, plus ? SMPP_TON_INTERNATIONAL : SMPP_TON_UNKNOWN);
  ret->npi = type_of(options->destination_npi, NPI_E164);
  return ret->value.len > 0 && ret->value.len <= SMPP_ADDRESS_MAX;
}

static struct smpp_address sender_of(const struct smpp_options *options, parley_text to)
{
  const struct sms_sender *sender = sms_sender_for(&options->sms, to);
  bool number = sender->kind == SMS_SENDER_NUMBER;
  int ton = number                                  ? SMPP_TON_INTERNATIONAL
            : sender->kind == SMS_SENDER_SHORT_CODE ? SMPP_TON_NETWORK
            : sender->kind == SMS_SENDER_NAME       ? SMPP_TON_NAME
                                                    : SMPP_TON_UNKNOWN;

  return (struct smpp_address){.ton = type_of(options->source_ton, ton), .npi = type_of(options->source_npi, number ? NPI_E164 : 0),
                               .value = {sender->text + number, sender->len - number}};
}

/* FNV-1a, folded to 16 bits. */
uint32_t smpp_job_reference(const parley_message *message, uint32_t part)
{
  uint32_t hash = UINT32_C(0x811c9dc5);

  for (size_t i = 0; i < message->id.len; i++)
    hash = (hash ^ (unsigned char)message->id.at[i]) * UINT32_C(0x01000193);
  return ((hash >> 16 ^ hash) + part) & 0xffff;
}

/* --- Times -------------------------------------------------------------------------------------------------------- */
/* 7.1.1.2: "YYMMDDhhmmss000R"; more than a month is written as days, which two digits hold. */
static void relative_write(int64_t seconds, char to[SMPP_TIME_ROOM])
{
  int64_t days = seconds / DAY_S, rest = seconds % DAY_S;

  snprintf(to, SMPP_TIME_ROOM, "0000%02d%02d%02d%02d000R", (int)(days % 100), (int)(rest / 3600 % 24), (int)(rest / 60 % 60),
           (int)(rest % 60));
}

/* 7.1.1.1: "YYMMDDhhmmss000+", in UTC. */
static void absolute_write(int64_t seconds, char to[SMPP_TIME_ROOM])
{
  char time[SMSC_TIME_ROOM];

  smsc_time_write(seconds * SECOND_MS, time);
  snprintf(to, SMPP_TIME_ROOM, "%s000+", time);
}

/* How long the centre may try, in seconds; 0: as long as it likes. */
static int64_t validity_s(const struct smpp_job *job)
{
  int64_t now = job->host->now_ms(job->host), ms = job->options->validity_ms;
  int64_t left = job->message->expires_ms != 0 ? job->message->expires_ms - now : 0;

  if (job->options->validity == SMPP_VALIDITY_NONE)
    return 0;
  if (left > 0 && (ms == 0 || left < ms))
    ms = left;
  if (ms > (int64_t)VALIDITY_DAYS_MAX * DAY_S * SECOND_MS)
    ms = (int64_t)VALIDITY_DAYS_MAX * DAY_S * SECOND_MS;
  return (ms + SECOND_MS - 1) / SECOND_MS;
}

static void validity_put(const struct smpp_job *job, struct smpp_writing *to)
{
  int64_t seconds = validity_s(job);

  to->validity[0] = '\0';
  if (seconds > 0 && job->options->command == SMPP_DATA_SM) {
    to->pdu.tlvs.has |= PARLEY_BIT(SMPP_TLV_TTL);
    to->pdu.tlvs.number[SMPP_TLV_TTL] = (uint32_t)seconds;
  } else if (seconds > 0 && job->options->validity == SMPP_VALIDITY_RELATIVE) {
    relative_write(seconds, to->validity);
  } else if (seconds > 0) {
    absolute_write(job->host->now_ms(job->host) / SECOND_MS + seconds, to->validity);
  }
  to->pdu.validity = parley_text_of(to->validity);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */
static void detail_set(struct smpp_job *job, uint32_t result, const char *detail)
{
  job->result = result;
  snprintf(job->detail, sizeof job->detail, "%s", detail);
}

/* In the default alphabet where the core has cut for it, else as UCS-2. What latin1 lacks of it goes as UCS-2 where that
 * is as short. */
static bool text_write(struct smpp_job *job, const parley_part *part, size_t headed, struct smpp_writing *to, size_t *ret_len)
{
  bool plain = part->unit == PARLEY_UNIT_GSM7 && job->options->alphabet != GSM_UCS2;
  char *octets = to->octets + headed;
  uint32_t code = 0;

  to->pdu.coding = CODING_DEFAULT;
  if (plain && gsm_write(job->options->alphabet, part->text, octets, SMPP_OCTETS_MAX, ret_len, &code))
    return true;
  to->pdu.coding = CODING_UCS2;
  if (gsm_write(GSM_UCS2, part->text, octets, SMPP_OCTETS_MAX, ret_len, &code) &&
      (job->options->joining == SMPP_PAYLOAD || *ret_len + headed <= SHORT_OCTETS))
    return true;
  detail_set(job, PARLEY_OUTCOME_REJECTED, plain ? "the text has characters that latin1 lacks, and is too long for UCS-2: set alphabet"
                                                 : "the text is too long for one segment");
  return false;
}

static struct smpp_join join_of(const struct smpp_job *job, uint32_t index)
{
  uint32_t width = job->options->joining == SMPP_UDH8 ? 1 : 2;

  return (struct smpp_join){.reference = smpp_job_reference(job->message, 0) & (width == 1 ? 0xff : 0xffff), .total = job->n_parts,
                            .index = index + 1, .width = width};
}

static void join_put(const struct smpp_join *join, struct smpp_tlvs *tlvs)
{
  tlvs->has |= PARLEY_BIT(SMPP_TLV_SAR_REFERENCE) | PARLEY_BIT(SMPP_TLV_SAR_TOTAL) | PARLEY_BIT(SMPP_TLV_SAR_INDEX);
  tlvs->number[SMPP_TLV_SAR_REFERENCE] = join->reference;
  tlvs->number[SMPP_TLV_SAR_TOTAL] = join->total;
  tlvs->number[SMPP_TLV_SAR_INDEX] = join->index;
}

bool smpp_job_write(struct smpp_job *job, const struct smpp_part *part, struct smpp_writing *to)
{
  const struct smpp_options *options = job->options;
  uint32_t index = (uint32_t)(part - job->parts);
  const struct smpp_join join = join_of(job, index);
  bool several = job->n_parts > 1, by_header = several && options->joining != SMPP_SAR;
  size_t headed = by_header ? smpp_header_write(&join, to->octets) : 0, len = 0;
  parley_text number = job->message->to != NULL ? job->message->to->value : PARLEY_LIT("");

  to->pdu = (struct smpp_message){.service = options->service, .source = sender_of(options, number), .registered = options->registered,
                                  .esm_class = by_header ? ESM_HEADER : 0};
  if (!number_read(options, number, &to->pdu.destination)) {
    detail_set(job, PARLEY_OUTCOME_BAD_ADDRESS, "not a phone number");
    return false;
  }
  if (!text_write(job, job->message->parts[index], headed, to, &len))
    return false;
  if (several && options->joining == SMPP_SAR)
    join_put(&join, &to->pdu.tlvs);
  if (options->reference) {
    to->pdu.tlvs.has |= PARLEY_BIT(SMPP_TLV_REFERENCE);
    to->pdu.tlvs.number[SMPP_TLV_REFERENCE] = smpp_job_reference(job->message, index);
  }
  validity_put(job, to);
  if (options->joining == SMPP_PAYLOAD || options->command == SMPP_DATA_SM) {
    to->pdu.tlvs.has |= PARLEY_BIT(SMPP_TLV_PAYLOAD);
    to->pdu.tlvs.payload = (parley_bytes){to->octets, headed + len};
  } else {
    to->pdu.text = (parley_bytes){to->octets, headed + len};
  }
  return true;
}

/* --- Its way ------------------------------------------------------------------------------------------------------ */
struct smpp_job *smpp_job_new(const parley_host *host, const struct smpp_options *options, uint64_t token,
                              const parley_message *message)
{
  struct smpp_job *job = calloc(1, sizeof *job + message->n_parts * sizeof job->parts[0]);

  if (job == NULL)
    return NULL;
  job->host = host;
  job->options = options;
  job->token = token;
  job->message = message;
  job->n_parts = message->n_parts;
  for (uint32_t i = 0; i < job->n_parts; i++) {
    parley_text id = message->parts[i]->provider_id;

    job->parts[i].job = job;
    if (id.len == 0)
      continue;
    job->parts[i].state = SMPP_PART_OUT;
    snprintf(job->parts[i].id, sizeof job->parts[i].id, "%.*s", (int)id.len, id.at);
  }
  return job;
}

struct smpp_part *smpp_job_next(struct smpp_job *job)
{
  while (job->result == 0 && job->n_sent < job->n_parts) {
    struct smpp_part *part = &job->parts[job->n_sent++];

    if (part->state == SMPP_PART_WAITING)
      return part;
  }
  return NULL;
}

void smpp_job_sent(struct smpp_part *part)
{
  part->state = SMPP_PART_SENT;
  part->job->n_open++;
}

void smpp_job_fail(struct smpp_job *job, uint32_t result, uint32_t retry_ms, const char *detail)
{
  if (job->result != 0)
    return;
  detail_set(job, result, detail);
  job->retry_ms = retry_ms;
}

static void refused(struct smpp_job *job, const struct smpp_answer *answer)
{
  const struct smpp_status *status = smpp_status_of(answer->status);

  if (job->result != 0)
    return;
  job->result = status->outcome;
  job->retry_ms = status->outcome == PARLEY_OUTCOME_THROTTLED ? job->options->throttle_pause_ms : 0;
  smpp_code_write(answer->status, job->code);
  snprintf(job->detail, sizeof job->detail, "%s%s%.*s%s%s", status->words, answer->why.len > 0 ? ": " : "",
           (int)(answer->why.len < 128 ? answer->why.len : 128), answer->why.len > 0 ? answer->why.at : "",
           status->remedy != NULL ? "; " : "", status->remedy != NULL ? status->remedy : "");
}

void smpp_job_answered(struct smpp_part *part, struct smpp_ids *ids, const struct smpp_answer *answer)
{
  struct smpp_job *job = part->job;

  job->n_open--;
  if (answer->fate != SMPP_ANSWERED) {
    part->state = SMPP_PART_UNKNOWN;
    job->result = PARLEY_OUTCOME_UNKNOWN; /* whatever the others came to */
    job->code[0] = '\0';
    snprintf(job->detail, sizeof job->detail, "sent, and no answer: %.*s", (int)(answer->why.len < 200 ? answer->why.len : 200),
             answer->why.at);
  } else if (answer->status != SMPP_ROK) {
    part->state = SMPP_PART_FAILED;
    refused(job, answer);
  } else {
    part->state = SMPP_PART_OUT;
    if (answer->id.len > 0)
      smpp_ids_own(ids, answer->id, part->id);
    else /* a centre that gives no id, and so no receipts */
      snprintf(part->id, sizeof part->id, "none-%.*s-%u", (int)job->message->id.len, job->message->id.at,
               (unsigned)(part - job->parts) + 1);
  }
}

bool smpp_job_over(const struct smpp_job *job)
{
  return job->n_open == 0 && (job->result != 0 || job->n_sent == job->n_parts);
}

void smpp_job_settle(struct smpp_job **job)
{
  struct smpp_job *it = *job;
  parley_text ids[SMPP_SEGMENTS_MAX];
  uint32_t n_out = 0, n = it->n_parts < SMPP_SEGMENTS_MAX ? it->n_parts : SMPP_SEGMENTS_MAX;
  parley_outcome outcome = {.size = sizeof outcome, .result = it->result != 0 ? it->result : PARLEY_OUTCOME_ACCEPTED,
                            .retry_ms = it->retry_ms, .code = parley_text_of(it->code), .detail = parley_text_of(it->detail)};

  for (uint32_t i = 0; i < n; i++) {
    ids[i] = it->parts[i].state == SMPP_PART_OUT ? parley_text_of(it->parts[i].id) : PARLEY_LIT("");
    n_out += it->parts[i].state == SMPP_PART_OUT;
  }
  if (n_out > 0) {
    outcome.ids = ids;
    outcome.n_ids = n;
  }
  it->host->settle(it->host, it->token, &outcome);
  free(it);
  *job = NULL;
}
