#include "smpp_proof.h"
#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 1000, CLOCK_SKEW_MS = 5000 };

struct seen { uint32_t reference; int64_t at_ms; char number[SMPP_ADDRESS_MAX + 1], id[SMPP_ID_ROOM]; }; /* at_ms: wall clock */
struct waiter { struct waiter *next; uint64_t token; const parley_message *message; int64_t due_ms; };
struct smpp_proof {
  const parley_host *host;
  const struct smpp_options *options;
  uint32_t n_seen, n_waiters;
  struct seen seen[SMPP_PROOFS_MAX]; /* a ring */
  struct waiter *waiters;
  uint64_t timer; /* 0: nobody waits */
};

static parley_text digits_of(parley_text number)
{
  bool plus = number.len > 0 && number.at[0] == '+';

  return (parley_text){number.at + plus, number.len - plus};
}

static const struct seen *seen_find(const struct smpp_proof *proof, const parley_message *message, uint32_t part)
{
  uint32_t n = proof->n_seen < SMPP_PROOFS_MAX ? proof->n_seen : SMPP_PROOFS_MAX, reference = smpp_job_reference(message, part);
  parley_text number = digits_of(message->to != NULL ? message->to->value : PARLEY_LIT(""));

  for (uint32_t i = 0; i < n; i++) {
    const struct seen *seen = &proof->seen[i];

    if (seen->reference == reference && seen->at_ms >= message->accepted_ms - CLOCK_SKEW_MS && parley_text_is(number, seen->number))
      return seen;
  }
  return NULL;
}

/* ids: of each part what is known, or empty. */
static uint32_t proved(const struct smpp_proof *proof, const parley_message *message, parley_text ids[SMPP_SEGMENTS_MAX])
{
  uint32_t n = 0;

  for (uint32_t i = 0; i < message->n_parts && i < SMPP_SEGMENTS_MAX; i++) {
    const struct seen *seen = message->parts[i]->provider_id.len == 0 ? seen_find(proof, message, i) : NULL;

    ids[i] = seen != NULL ? parley_text_of(seen->id) : message->parts[i]->provider_id;
    n += ids[i].len > 0;
  }
  return n;
}

static bool settle_when(struct smpp_proof *proof, uint64_t token, const parley_message *message, bool anyway)
{
  parley_text ids[SMPP_SEGMENTS_MAX];
  uint32_t n = proved(proof, message, ids);
  bool all = n == message->n_parts;
  parley_outcome outcome = {.size = sizeof outcome, .result = all ? PARLEY_OUTCOME_ACCEPTED : PARLEY_OUTCOME_RETRY,
                            .n_ids = n > 0 ? message->n_parts : 0, .ids = ids, .retry_ms = 1,
                            .detail = all ? PARLEY_LIT("proved by its receipt") : PARLEY_LIT("no receipt proves that it is out")};

  if (all || anyway)
    proof->host->settle(proof->host, token, &outcome);
  return all || anyway;
}

static void waiters_look(struct smpp_proof *proof, int64_t now_ms) /* now_ms 0: nobody's time is up */
{
  struct waiter **at = &proof->waiters;

  while (*at != NULL) {
    struct waiter *waiter = *at;

    if (!settle_when(proof, waiter->token, waiter->message, now_ms >= waiter->due_ms)) {
      at = &waiter->next;
      continue;
    }
    *at = waiter->next;
    free(waiter);
    proof->n_waiters--;
  }
}

static void tick(void *arg)
{
  struct smpp_proof *proof = arg;

  waiters_look(proof, proof->host->mono_ms(proof->host));
  if (proof->waiters == NULL) {
    proof->host->cancel(proof->host, proof->timer);
    proof->timer = 0;
  }
}

void smpp_proof_note(struct smpp_proof *proof, uint32_t reference, parley_text number, const char *id)
{
  struct seen *seen = &proof->seen[proof->n_seen++ % SMPP_PROOFS_MAX];

  number = digits_of(number);
  *seen = (struct seen){.reference = reference, .at_ms = proof->host->now_ms(proof->host)};
  snprintf(seen->number, sizeof seen->number, "%.*s", (int)number.len, number.at);
  snprintf(seen->id, sizeof seen->id, "%s", id);
  waiters_look(proof, 0);
}

bool smpp_proof_wait(struct smpp_proof *proof, uint64_t token, const parley_message *message)
{
  const parley_host *host = proof->host;
  struct waiter *waiter;

  if (settle_when(proof, token, message, proof->options->proof_wait_ms == 0))
    return true;
  waiter = proof->n_waiters < SMPP_PROOF_WAITERS_MAX ? calloc(1, sizeof *waiter) : NULL;
  if (waiter == NULL)
    return false;
  *waiter = (struct waiter){proof->waiters, token, message, host->mono_ms(host) + proof->options->proof_wait_ms};
  proof->waiters = waiter;
  proof->n_waiters++;
  if (proof->timer == 0)
    proof->timer = host->timer(host, TICK_MS, TICK_MS, tick, proof);
  return true;
}

struct smpp_proof *smpp_proof_new(const parley_host *host, const struct smpp_options *options)
{
  struct smpp_proof *proof = calloc(1, sizeof *proof);

  if (proof != NULL) {
    proof->host = host;
    proof->options = options;
  }
  return proof;
}

void smpp_proof_free(struct smpp_proof **proof)
{
  for (struct waiter *next, *waiter = *proof != NULL ? (*proof)->waiters : NULL; waiter != NULL; waiter = next) {
    next = waiter->next;
    free(waiter);
  }
  free(*proof);
  *proof = NULL;
}
