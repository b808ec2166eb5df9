#include "mail_take_inside.h"
#include "mail_word.h"
#include <glib.h>
#include <stdio.h>

enum {
  CAPTURED_MAX = 100,  /* customers to whom one captured mail is filed; README.md says so */
  ERRANDS_AT_ONCE = 8  /* of one mail: each holds a copy of its content until it is committed */
};

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
        (kind == ERRAND_MESSAGE || kind == ERRAND_REPORT || kind == ERRAND_NONE || text_same(taking->errands[i].token, token)))
      return i;
  return UINT32_MAX;
}

/* Whoever counts on it to be complete hears that it is not: in the log, and by the `limited` of what is filed. */
static void captures_cut(struct taking *taking, uint32_t filed, uint32_t left)
{
  const parley_host *host = taking->taker->config.host;
  char line[128];

  taking->mail.limited = true;
  snprintf(line, sizeof line, "event=capture_limited filed=%u left_out=%u", (unsigned)filed, (unsigned)left);
  host->log(host, PARLEY_WARN, parley_text_of(line));
}

/* One errand for each customer among To and Cc: not the addresses that brought it here, nor who wrote it. */
static uint32_t captures_add(struct taking *taking, parley_text token)
{
  const struct mail_in *mail = &taking->mail;
  uint32_t first = taking->n_errands, left = 0;

  for (uint32_t i = 0; i < mail->n_to + mail->n_cc; i++) {
    const struct mail_person *person = i < mail->n_to ? &mail->to[i] : &mail->cc[i - mail->n_to];
    struct mail_token own;

    if (mail_token_read(person->address, &own) || text_same(person->address, mail->from.address))
      continue;
    if (taking->n_errands - first == CAPTURED_MAX || taking->n_errands >= MAIL_ERRANDS_MAX - 2)
      left++;
    else
      errand_add(taking, ERRAND_CAPTURE, token, person->address);
  }
  if (left > 0)
    captures_cut(taking, taking->n_errands - first, left);
  return taking->n_errands > first ? first : UINT32_MAX;
}

static const struct mail_token *token_of(const struct taking *taking, parley_text recipient)
{
  struct mail_token read;
  const struct mail_in *mail = &taking->mail;

  if (!mail_token_read(recipient, &read))
    return NULL;
  for (uint32_t i = 0; i < mail->n_tokens; i++)
    if (mail->tokens[i].kind == read.kind && mail_word_same(read.token, mail->tokens[i].token))
      return &mail->tokens[i];
  return NULL;
}

/* UINT32_MAX: nothing can be done for this recipient. */
static uint32_t errand_make(struct taking *taking, const struct mail_token *token)
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
  if (taking->n_errands == MAIL_ERRANDS_MAX || (kind == ERRAND_MESSAGE && mail->from.address.len == 0))
    return UINT32_MAX;
  return errand_add(taking, kind, text, PARLEY_LIT(""));
}

static uint32_t errand_for(struct taking *taking, const struct mail_token *token)
{
  uint32_t errand = errand_make(taking, token);

  if (errand == UINT32_MAX)
    errand = errand_find(taking, ERRAND_NONE, PARLEY_LIT(""));
  return errand != UINT32_MAX ? errand : errand_add(taking, ERRAND_NONE, PARLEY_LIT(""), PARLEY_LIT(""));
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

bool errands_plan(struct taking *taking)
{
  bool any = false;

  for (uint32_t i = 0; i < taking_recipients(taking); i++) {
    const struct mail_token *token =
        taking->envelope.known ? token_of(taking, taking->envelope.recipients[i]) : token_of_headers(taking);

    taking->errand_of[i] = errand_for(taking, token);
    any = any || taking->errands[taking->errand_of[i]].kind != ERRAND_NONE;
  }
  return any;
}

/* --- Doing it ----------------------------------------------------------------------------------------------------- */
static bool errand_begin_next(struct taking *taking);

static void errand_done(const parley_result *result, void *arg)
{
  struct errand *errand = arg;
  struct taking *taking = errand->taking;

  errand->verdict =
      (struct mail_verdict){.status = result->status, .repeated = result->status == PARLEY_OK && result->count == 1};
  if (errand->kind != ERRAND_MESSAGE || result->each != NULL)
    errand->verdict.repeated = false;
  taking_reason_keep(taking, result->status, result->reason);
  while (taking->n_begun < taking->n_errands && !errand_begin_next(taking))
    ;
  if (--taking->n_open == 0)
    taking_end(taking);
}

static struct mail_draft_source source_of(const struct taking *taking)
{
  return (struct mail_draft_source){.mail = &taking->mail,
                                    .memory = taking->memory,
                                    .media = taking->media,
                                    .uploads = taking->taker->config.media != NULL,
                                    .raw = {taking->raw, taking->len},
                                    .unverified = taking->unverified,
                                    .source_id = taking->envelope.source_id,
                                    .at_ms = taking->envelope.at_ms};
}

static void message_go(struct errand *errand)
{
  struct taking *taking = errand->taking;
  const parley_host *host = taking->taker->config.host;
  const struct mail_draft_source source = source_of(taking);
  struct mail_draft *draft = mail_draft_new(&source);

  draft->from.value = taking->mail.from.address;
  draft->from.name = taking->mail.from.name;
  draft->inbound.flags = taking->mail.automatic ? PARLEY_AUTOMATIC : 0;
  draft->inbound.token = errand->token;
  draft->inbound.event_id = mail_draft_event_id(&source, "in", PARLEY_LIT(""));
  host->inbound(host, &draft->inbound, errand_done, errand);
}

/* Sent by the shop through another tool: it stands in the customer's history, and has a place of its own for each. */
static void capture_go(struct errand *errand)
{
  struct taking *taking = errand->taking;
  const parley_host *host = taking->taker->config.host;
  const struct mail_draft_source source = source_of(taking);
  struct mail_draft *draft = mail_draft_new(&source);

  draft->from.value = errand->customer;
  draft->from.assurance = PARLEY_CLAIMED;
  draft->inbound.flags = PARLEY_ECHO; /* whoever wrote it is of ours: no robot to guard against */
  draft->inbound.token = errand->token;
  draft->inbound.event_id = mail_draft_event_id(&source, "log", errand->customer);
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

static void errand_refuse(struct errand *errand, parley_text why)
{
  errand->verdict = (struct mail_verdict){.status = PARLEY_INVALID};
  taking_reason_keep(errand->taking, PARLEY_INVALID, why);
  errand->taking->n_open--;
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
  errand_refuse(errand, PARLEY_LIT("a report of nothing of ours, and nobody who says it"));
}

static void taking_end_later(void *arg)
{
  taking_end(arg);
}

/* false: it has ended at once. */
static bool errand_begin_next(struct taking *taking)
{
  struct errand *errand = &taking->errands[taking->n_begun++];
  uint32_t open = taking->n_open;

  switch (errand->kind) {
  case ERRAND_MESSAGE:
    message_go(errand);
    break;
  case ERRAND_CAPTURE:
    capture_go(errand);
    break;
  case ERRAND_UNSUBSCRIBE:
    unsubscribe_go(errand);
    break;
  case ERRAND_REPORT:
    report_go(errand);
    break;
  case ERRAND_NONE:
    errand_refuse(errand, PARLEY_LIT(MAIL_TAKE_NOBODY));
    break;
  }
  return taking->n_open == open;
}

void errands_go(struct taking *taking)
{
  const parley_host *host = taking->taker->config.host;

  taking->n_open = taking->n_errands + 1; /* one for this function: nothing ends before all have begun */
  while (taking->n_begun < taking->n_errands && taking->n_begun < ERRANDS_AT_ONCE)
    errand_begin_next(taking);
  if (--taking->n_open == 0) /* never within mail_take() */
    host->timer(host, 0, 0, taking_end_later, taking);
}
