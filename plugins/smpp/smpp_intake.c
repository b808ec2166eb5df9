#include "smpp_intake.h"
#include "smpp_status.h"
#include "smpp_text.h"
#include <stdio.h>
#include <stdlib.h>

#define STATE_IDS "message_ids" /* key of the channel's durable state */
enum { KEY_ROOM = 2 * SMPP_DATA_ADDRESS_MAX + 64, NUMBER_ROOM = SMPP_DATA_ADDRESS_MAX + 2 };

/* A message that is kept, and whose answer found its connection gone: the centre will send it again, within UNHEARD_MS. */
enum { UNHEARD_MAX = 256, UNHEARD_MS = 600000 };
struct unheard { uint64_t hash; int64_t at_ms; }; /* hash 0: none */
struct smpp_intake {
  struct smpp_intake_config config;
  uint32_t n_open, n_unheard; /* n_unheard: ever */
  struct unheard unheard[UNHEARD_MAX];
  char text[SMPP_PDU_MAX * GSM_UTF8_GROWTH]; /* the message at hand, as UTF-8 */
};
struct errand { /* one PDU that the host has not answered yet */
  struct smpp_intake *intake;
  struct smpp_link *link;
  uint32_t generation, command, sequence;
  uint64_t hash; /* of a message; 0: a receipt, which may come twice */
};

/* --- Answering ---------------------------------------------------------------------------------------------------- */
/* What the host failed to store may be stored the next time; a receipt for nobody is none that has to come again. */
static uint32_t status_of(parley_status status, bool receipt)
{
  if (status == PARLEY_OK || (receipt && status == PARLEY_NOT_FOUND))
    return SMPP_ROK;
  if (parley_again(status) || status == PARLEY_FAILED)
    return SMPP_RX_T_APPN;
  return status == PARLEY_REJECTED || status == PARLEY_INVALID ? SMPP_RX_R_APPN : SMPP_RX_P_APPN;
}

static int64_t mono_ms(const struct smpp_intake *intake) { return intake->config.host->mono_ms(intake->config.host); }

static void unheard_keep(struct smpp_intake *intake, uint64_t hash)
{
  intake->unheard[intake->n_unheard++ % UNHEARD_MAX] = (struct unheard){hash, mono_ms(intake)};
}

/* Whether this is one of them; it is forgotten then: the next one is another. */
static bool unheard_take(struct smpp_intake *intake, uint64_t hash)
{
  for (uint32_t i = 0; i < UNHEARD_MAX; i++) {
    struct unheard *one = &intake->unheard[i];

    if (one->hash != hash || mono_ms(intake) - one->at_ms > UNHEARD_MS)
      continue;
    one->hash = 0;
    return true;
  }
  return false;
}

static uint64_t hash_add(uint64_t hash, parley_bytes bytes)
{
  for (size_t i = 0; i < bytes.len; i++)
    hash = (hash ^ (unsigned char)bytes.at[i]) * UINT64_C(0x100000001b3);
  return (hash ^ bytes.len) * UINT64_C(0x100000001b3);
}

/* Which piece it is stands in its text, or in parameters. */
static uint64_t message_hash(const struct smpp_message *message)
{
  const uint32_t *numbers = message->tlvs.number;
  const char kinds[] = {(char)message->esm_class, (char)message->coding, (char)(numbers[SMPP_TLV_SAR_REFERENCE] >> 8),
                        (char)numbers[SMPP_TLV_SAR_REFERENCE], (char)numbers[SMPP_TLV_SAR_TOTAL], (char)numbers[SMPP_TLV_SAR_INDEX]};
  uint64_t hash = hash_add(UINT64_C(0xcbf29ce484222325), message->source.value);

  hash = hash_add(hash, message->destination.value);
  hash = hash_add(hash, (parley_bytes){kinds, sizeof kinds});
  hash = hash_add(hash, message->text);
  return hash_add(hash, message->tlvs.payload) | 1;
}

static void errand_done(const parley_result *result, void *arg)
{
  struct errand *errand = arg;

  errand->intake->n_open--;
  if (result->status == PARLEY_OK && errand->hash != 0 && !smpp_pool_hears(errand->link, errand->generation))
    unheard_keep(errand->intake, errand->hash);
  smpp_pool_reply(errand->link, errand->generation, errand->command, errand->sequence, status_of(result->status, errand->hash == 0));
  free(errand);
}

static void count(const struct smpp_intake *intake, const char *what)
{
  intake->config.host->metric(intake->config.host, "smpp_received", parley_text_of(what), 1);
}

/* NULL: too much is on its way; the centre has been told to come again. */
static struct errand *errand_new(struct smpp_intake *intake, struct smpp_link *link, const struct smpp_head *head)
{
  struct errand *errand = intake->n_open < SMPP_INTAKE_OPEN_MAX ? malloc(sizeof *errand) : NULL;

  if (errand == NULL) {
    count(intake, "put_off");
    smpp_session_reply(&link->session, head->command, head->sequence, SMPP_RX_T_APPN);
    return NULL;
  }
  *errand = (struct errand){intake, link, link->generation, head->command, head->sequence, 0};
  intake->n_open++;
  return errand;
}

/* --- Receipts ----------------------------------------------------------------------------------------------------- */
static void learned_keep(const struct smpp_intake *intake)
{
  const parley_host *host = intake->config.host;
  const char *word = smpp_ids_words[intake->config.ids->learned];
  char line[64];
  int len = snprintf(line, sizeof line, "event=message_ids_learned ids=%s", word);

  host->state_put(host, PARLEY_LIT(STATE_IDS), parley_text_of(word), NULL, NULL);
  host->log(host, PARLEY_INFO, (parley_text){line, (size_t)len});
}

static void learned_got(const parley_result *result, void *arg)
{
  struct smpp_intake *intake = arg;

  for (uint32_t i = 0; result->status == PARLEY_OK && smpp_ids_words[i] != NULL; i++)
    if (parley_text_is(result->value, smpp_ids_words[i]) && intake->config.ids->learned == SMPP_IDS_AUTO)
      intake->config.ids->learned = (enum smpp_ids_mode)i;
}

static void receipt_take(struct smpp_intake *intake, struct smpp_link *link, const struct smpp_head *head,
                         const struct smpp_message *message, parley_text text)
{
  const parley_host *host = intake->config.host;
  struct smpp_receipt receipt;
  struct errand *errand;
  char id[SMPP_ID_ROOM];

  smpp_receipt_read(message, text, &intake->config.options->receipts, &receipt);
  if (receipt.id.len == 0 || receipt.kind == 0) { /* it names nothing, or says nothing: coming again would not help */
    count(intake, "receipt_unreadable");
    smpp_session_reply(&link->session, head->command, head->sequence, SMPP_ROK);
    return;
  }
  errand = errand_new(intake, link, head);
  if (errand == NULL)
    return;
  count(intake, "receipt");
  if (smpp_ids_receipt(intake->config.ids, receipt.id, id))
    learned_keep(intake);
  if (smpp_has(&message->tlvs, SMPP_TLV_REFERENCE))
    smpp_proof_note(intake->config.proof, message->tlvs.number[SMPP_TLV_REFERENCE], message->source.value, id);
  host->receipt(host,
                PARLEY_REF(parley_receipt, .kind = receipt.kind, .outcome = receipt.outcome, .at_ms = receipt.at_ms,
                           .provider_id = parley_text_of(id), .code = parley_text_of(receipt.code),
                           .detail = parley_text_of(receipt.words)),
                errand_done, errand);
}

/* --- Messages ----------------------------------------------------------------------------------------------------- */
/* "34600111222" of an international type is "+34600111222". */
static parley_text number_write(const struct smpp_address *address, char to[NUMBER_ROOM])
{
  bool plus = address->ton == SMPP_TON_INTERNATIONAL && address->value.len > 0 && address->value.at[0] != '+';
  int len = snprintf(to, NUMBER_ROOM, "%s%.*s", plus ? "+" : "", (int)address->value.len, address->value.at);

  return (parley_text){to, (size_t)len};
}

/* A name is nobody's number, even if it is written with digits alone; what else is none, the host sees. */
static parley_identity identity_of(const struct smpp_address *address, char room[NUMBER_ROOM])
{
  return (parley_identity){.size = sizeof(parley_identity), .assurance = PARLEY_OBSERVED, .value = number_write(address, room),
                           .kind = address->ton == SMPP_TON_NAME ? PARLEY_LIT("sender") : PARLEY_LIT("phone")};
}

static parley_segment segment_of(const struct smpp_intake *intake, const struct smpp_message *message, const struct smpp_join *join,
                                 char key[KEY_ROOM])
{
  int len = snprintf(key, KEY_ROOM, "%.*s %.*s %u %u %u", (int)message->source.value.len, message->source.value.at,
                     (int)message->destination.value.len, message->destination.value.at, (unsigned)join->reference,
                     (unsigned)join->total, (unsigned)join->width);

  return (parley_segment){.size = sizeof(parley_segment), .index = join->index, .total = join->total,
                          .wait_ms = intake->config.options->join_wait_ms, .key = {key, (size_t)len}};
}

static void message_take(struct smpp_intake *intake, struct smpp_link *link, const struct smpp_head *head,
                         const struct smpp_message *message, const struct smpp_text *read, parley_text text)
{
  const parley_host *host = intake->config.host;
  char from_room[NUMBER_ROOM], to_room[NUMBER_ROOM], key[KEY_ROOM];
  const parley_identity from = identity_of(&message->source, from_room), to = identity_of(&message->destination, to_room);
  const parley_segment segment = segment_of(intake, message, &read->join, key);
  const parley_part part = {.size = sizeof part, .kind = read->binary ? PARLEY_PART_MEDIA : PARLEY_PART_TEXT,
                            .text = read->binary ? PARLEY_LIT("") : text, .data = read->binary ? read->octets : PARLEY_LIT(""),
                            .total_bytes = read->binary ? read->octets.len : 0,
                            .type = read->binary ? PARLEY_LIT("application/octet-stream") : PARLEY_LIT("")};
  uint64_t hash = message_hash(message);
  struct errand *errand;

  if (unheard_take(intake, hash)) {
    count(intake, "repeated");
    smpp_session_reply(&link->session, head->command, head->sequence, SMPP_ROK);
    return;
  }
  errand = errand_new(intake, link, head);
  if (errand == NULL)
    return;
  errand->hash = hash;
  count(intake, "message");
  host->inbound(host,
                PARLEY_REF(parley_inbound, .kind = PARLEY_KIND_CONTENT, .n_parts = 1, .parts = PARLEY_LIST(parley_part, &part),
                           .n_from = 1, .from = PARLEY_LIST(parley_identity, &from), .n_to = 1, .to = PARLEY_LIST(parley_identity, &to),
                           .segment = read->join.total > 0 ? &segment : NULL),
                errand_done, errand);
}

void smpp_intake_take(struct smpp_intake *intake, struct smpp_link *link, const struct smpp_head *head,
                      const struct smpp_message *message)
{
  enum gsm_alphabet fallback = intake->config.options->alphabet == GSM_LATIN1 ? GSM_LATIN1 : GSM_DEFAULT;
  parley_text text = {intake->text, 0};
  struct smpp_text read;

  smpp_text_read(message, fallback, &read);
  if (!read.binary)
    text.len = gsm_read(read.alphabet, read.octets, intake->text, sizeof intake->text);
  if (smpp_receipt_is(message, text))
    receipt_take(intake, link, head, message, text);
  else if (message->source.value.len == 0)
    smpp_session_reply(&link->session, head->command, head->sequence, SMPP_RINVSRCADR);
  else if (message->destination.value.len == 0)
    smpp_session_reply(&link->session, head->command, head->sequence, SMPP_RINVDSTADR);
  else
    message_take(intake, link, head, message, &read, text);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
void smpp_intake_start(struct smpp_intake *intake)
{
  const parley_host *host = intake->config.host;

  if (intake->config.options->ids == SMPP_IDS_AUTO)
    host->state_get(host, PARLEY_LIT(STATE_IDS), learned_got, intake);
}

struct smpp_intake *smpp_intake_new(const struct smpp_intake_config *config)
{
  struct smpp_intake *intake = calloc(1, sizeof *intake);

  if (intake != NULL)
    intake->config = *config;
  return intake;
}

void smpp_intake_free(struct smpp_intake **intake)
{
  free(*intake);
  *intake = NULL;
}
