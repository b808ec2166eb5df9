#include "mail_take.h"
#include "mail_clean.h"
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  UPLOADING_MAX = 4,     /* mails whose files are on their way: the host takes 8 uploads at once */
  ERRANDS_MAX = 24,      /* what one mail is to do: one message, tokens, customers of a captured mail */
  CAPTURED_MAX = 10,     /* customers to whom one captured mail is filed */
  CALL_SPARE = 64 << 10, /* of inline_max, for what stands beside the contents */
  FIELD_MAX = 4096,      /* bytes of the To and Cc that are kept for people */
  FIELDS_MAX = 5,
  PARTS_BESIDE_FILES = 4, /* text and HTML, written and quoted */
  EVENT_ID_MAX = 600,
  REASON_MAX = 200
};
enum errand_kind { ERRAND_MESSAGE = 1, ERRAND_CAPTURE, ERRAND_UNSUBSCRIBE, ERRAND_REPORT };

struct taking;
struct errand {
  struct taking *taking;
  enum errand_kind kind;
  parley_text token, customer; /* customer: of ERRAND_CAPTURE */
  struct mail_verdict verdict;
};
struct taking { /* one mail */
  struct taking *next;
  struct mail_taker *taker;
  mail_taken *done;
  void *arg;
  char *raw;
  size_t len;
  struct mail_memory *memory; /* the envelope, and what goes to the host */
  struct mail_envelope envelope;
  struct mail_in mail;
  parley_status parsed;
  bool uploading, waiting /* for its turn to upload */;
  uint32_t upload; /* the file that is on its way; n_files: the raw mail */
  uint64_t upload_id;
  size_t upload_at;
  parley_text *media; /* ids of the files, and of the raw mail behind them */
  struct errand errands[ERRANDS_MAX];
  uint32_t n_errands, n_open;
  uint32_t *errand_of; /* by recipient */
  char reason[REASON_MAX];
};
struct mail_taker {
  struct mail_taker_config config;
  struct taking *takings;
  uint32_t n_open, n_uploading;
  uint64_t bytes;
};

/* --- The end ------------------------------------------------------------------------------------------------------ */
static void uploads_next(struct mail_taker *taker);

static void taking_free(struct taking *taking)
{
  struct mail_taker *taker = taking->taker;
  struct taking **at = &taker->takings;

  while (*at != taking)
    at = &(*at)->next;
  *at = taking->next;
  taker->n_open--;
  taker->bytes -= taking->len;
  taker->n_uploading -= taking->uploading;
  mail_in_done(&taking->mail);
  mail_memory_free(&taking->memory);
  free(taking->raw);
  free(taking);
}

static uint32_t recipients_of(const struct taking *taking)
{
  return taking->envelope.known ? taking->envelope.n_recipients : 1;
}

static bool is_worse(struct mail_verdict a, struct mail_verdict b)
{
  return a.status != PARLEY_OK && (b.status == PARLEY_OK || (parley_again(a.status) && !parley_again(b.status)));
}

/* What several errands for the same recipient (a captured mail to many) come to. */
static struct mail_verdict verdict_of(const struct taking *taking, uint32_t first)
{
  struct mail_verdict worst = taking->errands[first].verdict;

  for (uint32_t i = first + 1; i < taking->n_errands && taking->errands[i].kind == ERRAND_CAPTURE &&
                               taking->errands[i].token.at == taking->errands[first].token.at;
       i++)
    if (is_worse(taking->errands[i].verdict, worst))
      worst = taking->errands[i].verdict;
  return worst;
}

static void taking_end(struct taking *taking)
{
  struct mail_taker *taker = taking->taker;
  uint32_t n = recipients_of(taking);
  struct mail_verdict *each = mail_memory_get(taking->memory, n * sizeof *each);

  for (uint32_t i = 0; i < n; i++)
    each[i] = verdict_of(taking, taking->errand_of[i]);
  taking->done(each, n, parley_text_of(taking->reason), taking->arg);
  taking_free(taking);
  uploads_next(taker);
}

static void reason_keep(struct taking *taking, parley_status st, parley_text reason)
{
  if (st != PARLEY_OK && taking->reason[0] == '\0')
    snprintf(taking->reason, sizeof taking->reason, "%.*s", (int)reason.len, reason.at);
}

/* Before there were errands: one verdict for all. */
static void taking_refuse(struct taking *taking, parley_status st, parley_text reason)
{
  taking->n_errands = 1;
  taking->errands[0] = (struct errand){.verdict = {.status = st}};
  memset(taking->errand_of, 0, recipients_of(taking) * sizeof *taking->errand_of);
  reason_keep(taking, st, reason);
  taking_end(taking);
}

static void errand_done(const parley_result *result, void *arg)
{
  struct errand *errand = arg;
  struct taking *taking = errand->taking;

  errand->verdict =
      (struct mail_verdict){.status = result->status, .repeated = result->status == PARLEY_OK && result->count == 1};
  if (errand->kind != ERRAND_MESSAGE || result->each != NULL)
    errand->verdict.repeated = false;
  reason_keep(taking, result->status, result->reason);
  if (--taking->n_open == 0)
    taking_end(taking);
}

/* --- What goes to the host ---------------------------------------------------------------------------------------- */
struct draft { /* an inbound message in the making; all in the taking's memory */
  parley_inbound inbound;
  parley_part *parts, raw; /* PARTS_BESIDE_FILES and one a file: seldom any */
  const parley_part **part_list;
  parley_identity from;
  const parley_identity *from_list[1];
  parley_pair fields[FIELDS_MAX];
};

static parley_part *draft_part(struct draft *draft, uint32_t kind, uint32_t flags)
{
  parley_part *part = &draft->parts[draft->inbound.n_parts];

  *part = (parley_part){.size = sizeof *part, .kind = kind, .flags = flags};
  draft->part_list[draft->inbound.n_parts++] = part;
  return part;
}

static void draft_text(struct draft *draft, uint32_t kind, uint32_t flags, parley_text text)
{
  if (text.len > 0)
    draft_part(draft, kind, flags)->text = text;
}

static void draft_files(struct draft *draft, const struct taking *taking)
{
  const struct mail_in *mail = &taking->mail;

  for (uint32_t i = 0; i < mail->n_files; i++) {
    const struct mail_file *file = &mail->files[i];
    parley_part *part;

    if (taking->media[i].len == 0 && (taking->taker->config.media != NULL || file->data.len > CALL_SPARE))
      continue; /* empty, or the raw mail alone has it */
    part = draft_part(draft, PARLEY_PART_MEDIA, file->shown ? PARLEY_PART_INLINE : 0);
    part->type = file->type;
    part->name = file->shown ? file->content_id : file->name;
    part->total_bytes = file->data.len;
    part->media = taking->media[i];
    if (part->media.len == 0)
      part->data = file->data;
  }
}

static void draft_content(struct draft *draft, const struct taking *taking)
{
  const struct mail_in *mail = &taking->mail;

  draft_text(draft, PARLEY_PART_TEXT, 0, mail->text);
  draft_text(draft, PARLEY_PART_TEXT, PARLEY_PART_QUOTED, mail->quoted);
  draft_text(draft, PARLEY_PART_HTML, 0, (parley_text){mail->html.at, mail->html_fresh});
  draft_text(draft, PARLEY_PART_HTML, PARLEY_PART_QUOTED,
             (parley_text){mail->html.at + mail->html_fresh, mail->html.len - mail->html_fresh});
  draft_files(draft, taking);
}

static parley_text people_text(const struct taking *taking, const struct mail_person *people, uint32_t n)
{
  GString *all = g_string_new(NULL);
  parley_text kept;

  for (uint32_t i = 0; i < n; i++) {
    size_t before = all->len;

    if (i > 0)
      g_string_append(all, ", ");
    if (people[i].name.len > 0)
      g_string_append_printf(all, "%.*s <%.*s>", (int)people[i].name.len, people[i].name.at, (int)people[i].address.len,
                             people[i].address.at);
    else
      g_string_append_len(all, people[i].address.at, (gssize)people[i].address.len);
    if (all->len > FIELD_MAX) {
      g_string_truncate(all, before);
      break;
    }
  }
  kept = mail_memory_copy(taking->memory, (parley_text){all->str, all->len});
  g_string_free(all, TRUE);
  return kept;
}

static void draft_field(struct draft *draft, parley_text name, parley_text value)
{
  if (value.len > 0)
    draft->fields[draft->inbound.n_fields++] = (parley_pair){name, value};
}

static void draft_fields(struct draft *draft, const struct taking *taking)
{
  const struct mail_in *mail = &taking->mail;

  draft_field(draft, PARLEY_LIT("to"), people_text(taking, mail->to, mail->n_to));
  draft_field(draft, PARLEY_LIT("cc"), people_text(taking, mail->cc, mail->n_cc));
  draft_field(draft, PARLEY_LIT("reply_to"), people_text(taking, mail->reply_to, mail->n_reply_to));
  draft_field(draft, PARLEY_LIT("limited"), mail->limited ? PARLEY_LIT("true") : PARLEY_LIT(""));
  draft_field(draft, PARLEY_LIT("ambiguous"), mail->ambiguous ? PARLEY_LIT("true") : PARLEY_LIT(""));
}

/* Once only: what the source calls it, else the Message-ID with who wrote it and the content, since many mails may have
 * one. */
static parley_text event_id(const struct taking *taking, const char *kind, parley_text more)
{
  const struct mail_in *mail = &taking->mail;
  char *to = mail_memory_get(taking->memory, EVENT_ID_MAX);
  const char *body;
  GChecksum *sum;
  size_t head;

  if (taking->envelope.source_id.len > 0) {
    snprintf(to, EVENT_ID_MAX, "%s:%.*s:%.*s", kind, (int)taking->envelope.source_id.len, taking->envelope.source_id.at,
             (int)more.len, more.at);
    return parley_text_of(to);
  }
  body = mail->message_id.len > 0 ? memmem(taking->raw, taking->len, "\r\n\r\n", 4) : NULL;
  head = body != NULL ? (size_t)(body - taking->raw) : 0; /* trace lines come on top, from hop to hop */
  sum = g_checksum_new(G_CHECKSUM_SHA256);
  g_checksum_update(sum, (const guchar *)mail->message_id.at, (gssize)mail->message_id.len);
  g_checksum_update(sum, (const guchar *)"\n", 1);
  g_checksum_update(sum, (const guchar *)mail->from.address.at, (gssize)mail->from.address.len);
  g_checksum_update(sum, (const guchar *)taking->raw + head, (gssize)(taking->len - head));
  snprintf(to, EVENT_ID_MAX, "%s:%s:%.*s", kind, g_checksum_get_string(sum), (int)more.len, more.at);
  g_checksum_free(sum);
  return parley_text_of(to);
}

static struct draft *draft_new(struct taking *taking)
{
  const struct mail_in *mail = &taking->mail;
  struct draft *draft = mail_memory_get(taking->memory, sizeof *draft);
  parley_text raw_media = taking->media[mail->n_files];
  size_t n_parts = PARTS_BESIDE_FILES + mail->n_files;

  draft->parts = mail_memory_get(taking->memory, n_parts * sizeof *draft->parts);
  draft->part_list = mail_memory_get(taking->memory, n_parts * sizeof *draft->part_list);
  draft->raw = (parley_part){.size = sizeof draft->raw,
                             .kind = PARLEY_PART_MEDIA,
                             .total_bytes = taking->len,
                             .type = PARLEY_LIT("message/rfc822"),
                             .media = raw_media};
  if (raw_media.len == 0)
    draft->raw.data = (parley_bytes){taking->raw, taking->len};
  draft->inbound = (parley_inbound){.size = sizeof draft->inbound,
                                    .kind = PARLEY_KIND_CONTENT,
                                    .n_from = 1,
                                    .n_references = mail->n_references,
                                    .at_ms = taking->envelope.at_ms,
                                    .provider_id = mail->message_id,
                                    .subject = mail->subject,
                                    .reply_to = mail->in_reply_to,
                                    .from = draft->from_list,
                                    .parts = draft->part_list,
                                    .references = mail->references,
                                    .fields = draft->fields,
                                    .raw = &draft->raw};
  if (mail->in_reply_to.len == 0 && mail->n_references > 0)
    draft->inbound.reply_to = mail->references[mail->n_references - 1];
  draft->from = (parley_identity){.size = sizeof draft->from, .kind = PARLEY_LIT("email")};
  draft->from_list[0] = &draft->from;
  draft_content(draft, taking);
  draft_fields(draft, taking);
  return draft;
}

static void message_go(struct errand *errand)
{
  struct taking *taking = errand->taking;
  const parley_host *host = taking->taker->config.host;
  struct draft *draft = draft_new(taking);

  draft->from.value = taking->mail.from.address;
  draft->from.name = taking->mail.from.name;
  draft->inbound.flags = taking->mail.automatic ? PARLEY_AUTOMATIC : 0;
  draft->inbound.token = errand->token;
  draft->inbound.event_id = event_id(taking, "in", PARLEY_LIT(""));
  host->inbound(host, &draft->inbound, errand_done, errand);
}

/* Sent by the shop through another tool: it stands in the customer's history, and has a place of its own for each. */
static void capture_go(struct errand *errand)
{
  struct taking *taking = errand->taking;
  const parley_host *host = taking->taker->config.host;
  struct draft *draft = draft_new(taking);

  draft->from.value = errand->customer;
  draft->from.assurance = PARLEY_CLAIMED;
  draft->inbound.flags = PARLEY_ECHO; /* whoever wrote it is of ours: no robot to guard against */
  draft->inbound.token = errand->token;
  draft->inbound.event_id = event_id(taking, "log", errand->customer);
  draft->inbound.provider_id =
      PARLEY_LIT(""); /* the name is one message's, and the same mail may be filed with several people */
  host->inbound(host, &draft->inbound, errand_done, errand);
}

static void unsubscribe_go(struct errand *errand)
{
  const parley_host *host = errand->taking->taker->config.host;
  const parley_receipt receipt = {.size = sizeof receipt,
                                  .kind = PARLEY_RECEIPT_UNSUBSCRIBED,
                                  .at_ms = host->now_ms(host),
                                  .message_id = errand->token,
                                  .detail = PARLEY_LIT("mailto")};

  host->receipt(host, &receipt, errand_done, errand);
}

static void report_go(struct errand *errand)
{
  struct taking *taking = errand->taking;
  const struct mail_taker_config *config = &taking->taker->config;

  if (config->report != NULL && config->report(config->host, taking->mail.message, errand->token, errand_done, errand))
    return;
  errand->kind = ERRAND_MESSAGE;
  taking->mail.automatic = true;
  if (taking->mail.from.address.len > 0) {
    message_go(errand);
    return;
  }
  errand->verdict = (struct mail_verdict){.status = PARLEY_INVALID};
  reason_keep(taking, PARLEY_INVALID, PARLEY_LIT("a report of nothing of ours, and nobody who says it"));
  taking->n_open--;
}

static void errands_go(struct taking *taking)
{
  taking->n_open = taking->n_errands + 1; /* one for this function: nothing ends before all have begun */
  for (uint32_t i = 0; i < taking->n_errands; i++)
    switch (taking->errands[i].kind) {
    case ERRAND_MESSAGE:
      message_go(&taking->errands[i]);
      break;
    case ERRAND_CAPTURE:
      capture_go(&taking->errands[i]);
      break;
    case ERRAND_UNSUBSCRIBE:
      unsubscribe_go(&taking->errands[i]);
      break;
    case ERRAND_REPORT:
      report_go(&taking->errands[i]);
      break;
    }
  if (--taking->n_open == 0)
    taking_end(taking);
}

/* --- Uploads ------------------------------------------------------------------------------------------------------ */
static parley_bytes upload_bytes(const struct taking *taking)
{
  return taking->upload < taking->mail.n_files ? taking->mail.files[taking->upload].data
                                               : (parley_bytes){taking->raw, taking->len};
}

/* Within one call with the text: else it goes as media. */
static bool raw_fits(const struct taking *taking)
{
  const struct mail_in *mail = &taking->mail;
  size_t beside = mail->text.len + mail->quoted.len + mail->html.len + 2 * CALL_SPARE;

  return taking->len + beside <= taking->taker->config.host->inline_max;
}

static bool upload_needed(const struct taking *taking)
{
  if (taking->taker->config.media == NULL || upload_bytes(taking).len == 0)
    return false;
  return taking->upload < taking->mail.n_files || !raw_fits(taking);
}

static void upload_begin(struct taking *taking);
static void upload_more(struct taking *taking);

static void upload_finished(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (result->status != PARLEY_OK) {
    taking_refuse(taking, parley_again(result->status) ? result->status : PARLEY_RETRY, result->reason);
    return;
  }
  taking->media[taking->upload++] = mail_memory_copy(taking->memory, result->value);
  upload_begin(taking);
}

static void upload_appended(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (result->status != PARLEY_OK)
    taking_refuse(taking, parley_again(result->status) ? result->status : PARLEY_RETRY, result->reason);
  else
    upload_more(taking);
}

static void upload_more(struct taking *taking)
{
  const struct mail_taker_config *config = &taking->taker->config;
  parley_bytes bytes = upload_bytes(taking), piece = {bytes.at + taking->upload_at, bytes.len - taking->upload_at};

  if (piece.len > config->host->inline_max / 2)
    piece.len = config->host->inline_max / 2;
  if (piece.len == 0) {
    config->media->finish(config->host, taking->upload_id, upload_finished, taking);
    return;
  }
  taking->upload_at += piece.len;
  config->media->append(config->host, taking->upload_id, piece, upload_appended, taking);
}

static void upload_begin(struct taking *taking)
{
  const struct mail_taker_config *config = &taking->taker->config;
  struct mail_taker *taker = taking->taker;

  while (taking->upload <= taking->mail.n_files && !upload_needed(taking))
    taking->upload++;
  if (taking->upload > taking->mail.n_files) {
    taker->n_uploading -= taking->uploading;
    taking->uploading = false;
    errands_go(taking);
    uploads_next(taker);
    return;
  }
  taking->upload_at = 0;
  taking->upload_id =
      taking->upload < taking->mail.n_files
          ? config->media->create(config->host, taking->mail.files[taking->upload].type,
                                  taking->mail.files[taking->upload].name)
          : config->media->create(config->host, PARLEY_LIT("message/rfc822"), PARLEY_LIT("message.eml"));
  upload_more(taking);
}

static void uploads_next(struct mail_taker *taker)
{
  for (struct taking *taking = taker->takings; taking != NULL && taker->n_uploading < UPLOADING_MAX;
       taking = taking->next)
    if (taking->waiting) {
      taking->waiting = false;
      taking->uploading = true;
      taker->n_uploading++;
      upload_begin(taking); /* goes no further than its first answer: the list stays as it is */
    }
}

static bool needs_uploads(struct taking *taking)
{
  for (taking->upload = 0; taking->upload <= taking->mail.n_files; taking->upload++)
    if (upload_needed(taking))
      return true;
  return false;
}

static void uploads_go(struct taking *taking)
{
  taking->media = mail_memory_get(taking->memory, (taking->mail.n_files + 1) * sizeof *taking->media);
  if (!needs_uploads(taking)) {
    errands_go(taking);
    return;
  }
  taking->upload = 0;
  taking->waiting = true;
  uploads_next(taking->taker);
}

/* --- What a mail is to do ----------------------------------------------------------------------------------------- */
static bool text_same(parley_text a, parley_text b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static uint32_t errand_add(struct taking *taking, enum errand_kind kind, parley_text token, parley_text customer)
{
  struct errand *errand = &taking->errands[taking->n_errands];

  *errand = (struct errand){.taking = taking, .kind = kind, .token = token, .customer = customer};
  return taking->n_errands++;
}

static uint32_t errand_find(const struct taking *taking, enum errand_kind kind, parley_text token)
{
  for (uint32_t i = 0; i < taking->n_errands; i++)
    if (taking->errands[i].kind == kind &&
        (kind == ERRAND_MESSAGE || kind == ERRAND_REPORT || text_same(taking->errands[i].token, token)))
      return i;
  return UINT32_MAX;
}

/* One errand for each customer among To and Cc: not the addresses that brought it here, nor who wrote it. */
static uint32_t captures_add(struct taking *taking, parley_text token)
{
  const struct mail_in *mail = &taking->mail;
  uint32_t first = taking->n_errands;

  for (uint32_t i = 0; i < mail->n_to + mail->n_cc; i++) {
    const struct mail_person *person = i < mail->n_to ? &mail->to[i] : &mail->cc[i - mail->n_to];
    struct mail_token own;

    if (taking->n_errands - first == CAPTURED_MAX || taking->n_errands >= ERRANDS_MAX - 2)
      break;
    if (!mail_token_read(person->address, &own) && !text_same(person->address, mail->from.address))
      errand_add(taking, ERRAND_CAPTURE, token, person->address);
  }
  return taking->n_errands > first ? first : UINT32_MAX;
}

static const struct mail_token *token_of(const struct taking *taking, parley_text recipient)
{
  struct mail_token read;
  const struct mail_in *mail = &taking->mail;

  if (!mail_token_read(recipient, &read))
    return NULL;
  for (uint32_t i = 0; i < mail->n_tokens; i++)
    if (mail->tokens[i].kind == read.kind && read.token.len == mail->tokens[i].token.len &&
        g_ascii_strncasecmp(read.token.at, mail->tokens[i].token.at, read.token.len) == 0)
      return &mail->tokens[i];
  return NULL;
}

/* UINT32_MAX: nothing can be done for this recipient. */
static uint32_t errand_for(struct taking *taking, const struct mail_token *token)
{
  const struct mail_in *mail = &taking->mail;
  parley_text text = token != NULL ? token->token : PARLEY_LIT("");
  enum errand_kind kind = token == NULL                           ? ERRAND_MESSAGE
                          : token->kind == MAIL_TOKEN_CAPTURE     ? ERRAND_CAPTURE
                          : token->kind == MAIL_TOKEN_UNSUBSCRIBE ? ERRAND_UNSUBSCRIBE
                          : token->kind == MAIL_TOKEN_BOUNCE      ? ERRAND_REPORT
                                                                  : ERRAND_MESSAGE;
  uint32_t found;

  if (kind == ERRAND_MESSAGE && mail->report)
    kind = ERRAND_REPORT;
  found = errand_find(taking, kind, text);
  if (found != UINT32_MAX) {
    if (taking->errands[found].token.len == 0)
      taking->errands[found].token = text;
    return found;
  }
  if (kind == ERRAND_CAPTURE)
    return captures_add(taking, text);
  if (taking->n_errands == ERRANDS_MAX || (kind == ERRAND_MESSAGE && mail->from.address.len == 0))
    return UINT32_MAX;
  return errand_add(taking, kind, text, PARLEY_LIT(""));
}

/* Without an envelope the headers say what it is for; a token that asks for something counts before one that only
 * threads. */
static const struct mail_token *token_of_headers(const struct taking *taking)
{
  static const enum mail_token_kind order[] = {MAIL_TOKEN_UNSUBSCRIBE, MAIL_TOKEN_CAPTURE, MAIL_TOKEN_BOUNCE,
                                               MAIL_TOKEN_REPLY};

  for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
    for (uint32_t j = 0; j < taking->mail.n_tokens; j++)
      if (taking->mail.tokens[j].kind == order[i])
        return &taking->mail.tokens[j];
  return NULL;
}

/* false: none of it can be done for one recipient at least. */
static bool errands_plan(struct taking *taking)
{
  for (uint32_t i = 0; i < recipients_of(taking); i++) {
    const struct mail_token *token =
        taking->envelope.known ? token_of(taking, taking->envelope.recipients[i]) : token_of_headers(taking);

    taking->errand_of[i] = errand_for(taking, token);
    if (taking->errand_of[i] == UINT32_MAX)
      return false;
  }
  return true;
}

/* --- The beginning ------------------------------------------------------------------------------------------------ */
static void parse_on_pool(void *arg)
{
  struct taking *taking = arg;
  const struct mail_parse_source source = {.raw = {taking->raw, taking->len},
                                           .has_envelope = taking->envelope.known,
                                           .return_path = taking->envelope.return_path,
                                           .recipients = taking->envelope.recipients,
                                           .n_recipients = taking->envelope.n_recipients};

  taking->parsed = mail_parse(&source, &taking->mail);
}

static void parsed(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (result->status != PARLEY_OK)
    taking_refuse(taking, PARLEY_RETRY, PARLEY_LIT("the channel is busy"));
  else if (taking->parsed != PARLEY_OK)
    taking_refuse(taking, PARLEY_INVALID, PARLEY_LIT("this is no mail"));
  else if (!errands_plan(taking))
    taking_refuse(taking, PARLEY_INVALID, PARLEY_LIT("it names no sender, or nobody it was sent to"));
  else
    uploads_go(taking);
}

static void refused_later(void *arg)
{
  taking_refuse(arg, PARLEY_BUSY, PARLEY_LIT("too many mails at once"));
}

static void parsed_later(void *arg)
{
  const parley_result ok = {.size = sizeof ok, .status = PARLEY_OK};

  parsed(&ok, arg);
}

static void envelope_copy(struct taking *taking, const struct mail_envelope *from)
{
  struct mail_envelope *to = &taking->envelope;
  parley_text *recipients = mail_memory_get(taking->memory, (from->n_recipients + 1) * sizeof *recipients);

  *to = *from;
  to->return_path = mail_memory_copy(taking->memory, from->return_path);
  to->source_id = mail_memory_copy(taking->memory, from->source_id);
  for (uint32_t i = 0; i < from->n_recipients; i++)
    recipients[i] = mail_memory_copy(taking->memory, from->recipients[i]);
  to->recipients = recipients;
  taking->errand_of = mail_memory_get(taking->memory, (from->n_recipients + 1) * sizeof *taking->errand_of);
}

void mail_take_owned(struct mail_taker *taker, const struct mail_envelope *envelope, char *raw, size_t len,
                     mail_taken *done, void *arg)
{
  const parley_host *host = taker->config.host;
  struct taking *taking = g_new0(struct taking, 1);

  taking->taker = taker;
  taking->done = done;
  taking->arg = arg;
  taking->raw = raw;
  taking->len = len;
  taking->memory = mail_memory_new();
  envelope_copy(taking, envelope);
  taking->next = taker->takings;
  taker->takings = taking;
  taker->n_open++;
  taker->bytes += len;
  if (taker->n_open > MAIL_TAKE_OPEN_MAX || taker->bytes > MAIL_TAKE_BYTES_MAX) {
    host->timer(host, 0, 0, refused_later, taking);
  } else if (len > MAIL_TAKE_INLINE_PARSE_MAX) {
    host->work(host, parse_on_pool, parsed, taking);
  } else {
    parse_on_pool(taking);
    if (taking->parsed == PARLEY_OK && errands_plan(taking))
      uploads_go(taking);
    else
      host->timer(host, 0, 0, parsed_later, taking);
  }
}

void mail_take(struct mail_taker *taker, const struct mail_envelope *envelope, parley_bytes raw, mail_taken *done,
               void *arg)
{
  char *copy = g_malloc(raw.len + 1); /* which is malloc, and ends the program when memory has ended */

  if (raw.len > 0)
    memcpy(copy, raw.at, raw.len);
  mail_take_owned(taker, envelope, copy, raw.len, done, arg);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
struct mail_taker *mail_taker_new(const struct mail_taker_config *config)
{
  struct mail_taker *taker = calloc(1, sizeof *taker);

  if (taker != NULL)
    taker->config = *config;
  return taker;
}

uint32_t mail_taker_open(const struct mail_taker *taker)
{
  return taker->n_open;
}

void mail_taker_free(struct mail_taker **taker)
{
  if (*taker == NULL)
    return;
  while ((*taker)->takings != NULL)
    taking_free((*taker)->takings);
  free(*taker);
  *taker = NULL;
}
