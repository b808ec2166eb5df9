#include "mail_take_inside.h"
#include "mail_auth.h"
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

/* --- The end ------------------------------------------------------------------------------------------------------ */
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

uint32_t taking_recipients(const struct taking *taking)
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

void taking_end(struct taking *taking)
{
  struct mail_taker *taker = taking->taker;
  uint32_t n = taking_recipients(taking);
  struct mail_verdict *each = mail_memory_get(taking->memory, n * sizeof *each);

  for (uint32_t i = 0; i < n; i++)
    each[i] = verdict_of(taking, taking->errand_of[i]);
  taking->done(each, n, parley_text_of(taking->reason), taking->arg);
  taking_free(taking);
  uploads_next(taker);
}

void taking_reason_keep(struct taking *taking, parley_status st, parley_text reason)
{
  if (st != PARLEY_OK && taking->reason[0] == '\0')
    snprintf(taking->reason, sizeof taking->reason, "%.*s", (int)reason.len, reason.at);
}

/* Before there were errands: one verdict for all. */
void taking_refuse(struct taking *taking, parley_status st, parley_text reason)
{
  taking->n_errands = 1;
  taking->errands[0] = (struct errand){.verdict = {.status = st}};
  memset(taking->errand_of, 0, taking_recipients(taking) * sizeof *taking->errand_of);
  taking_reason_keep(taking, st, reason);
  taking_end(taking);
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
  taking->unverified = taking->parsed == PARLEY_OK && mail_auth_failed(taking->mail.message, taking->taker->config.authserv_id);
}

static void parsed(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (result->status != PARLEY_OK)
    taking_refuse(taking, PARLEY_RETRY, PARLEY_LIT("the channel is busy"));
  else if (taking->parsed != PARLEY_OK)
    taking_refuse(taking, PARLEY_INVALID, PARLEY_LIT("this is no mail"));
  else if (!errands_plan(taking))
    taking_refuse(taking, PARLEY_INVALID, PARLEY_LIT(MAIL_TAKE_NOBODY));
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
