/* Messages out: tokens, what becomes of them, and the rules of settle(). */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include "plugins/common/copy.h"
#include <stdio.h>
#include <stdlib.h>

#define IDS_MAX 256 /* as many as the host keeps */

const char *kit_outcome_name(uint32_t result)
{
  static const char *const names[] = {"nothing", "ACCEPTED", "DELIVERED", "RETRY", "REJECTED", "BAD_ADDRESS", "THROTTLED",
                                      "CHANNEL_DOWN", "UNKNOWN"};

  return result < COUNT_OF(names) ? names[result] : "a number without a name";
}

parley_text kit_status_name(parley_status status)
{
  static const char *const names[] = {"PARLEY_OK", "PARLEY_RETRY", "PARLEY_REJECTED", "PARLEY_BUSY", "PARLEY_INVALID",
                                      "PARLEY_FAILED", "PARLEY_NOT_FOUND", "PARLEY_DENIED", "PARLEY_TIMEOUT", "PARLEY_CLOSED",
                                      "PARLEY_CANCELLED"};

  return parley_text_of(status <= 0 && status >= PARLEY_CANCELLED ? names[-status] : "a number without a name");
}

/* --- Settling ----------------------------------------------------------------------------------------------------- */

static struct kit_token *token_by_number(struct kit_host *host, uint64_t number)
{
  for (struct list *node = host->tokens.prev; node != &host->tokens; node = node->prev)
    if (LIST_ITEM(node, struct kit_token, node)->token == number)
      return LIST_ITEM(node, struct kit_token, node);
  return NULL;
}

static void outcome_text(struct kit *kit, const char *what, parley_text text, bool line)
{
  char where[64];

  snprintf(where, sizeof where, "the %s of an outcome", what);
  kit_secret_scan(kit, where, text);
  if (kit_carries(kit, text))
    kit_fail(kit, PROMISE_OUTCOME, "%s shows the message's text: \"%.*s\"", where, TEXT_ARG(text_sub(text, 0, 200)));
  if (text.len > 0 && !text_utf8_ok(text))
    kit_fail(kit, PROMISE_OUTCOME, "%s is not UTF-8", where);
  if (line && (text_find(text, '\n') < text.len || text_find(text, '\r') < text.len))
    kit_fail(kit, PROMISE_OUTCOME, "%s has more than one line: \"%.*s\"", where, TEXT_ARG(text_sub(text, 0, 200)));
}

static void outcome_check(struct kit *kit, const parley_outcome *outcome)
{
  if (outcome->size < offsetof(parley_outcome, destination))
    kit_fail(kit, PROMISE_OUTCOME, "size is %u: not set", outcome->size);
  if (outcome->result < PARLEY_OUTCOME_ACCEPTED || outcome->result > PARLEY_OUTCOME_DIED)
    kit_fail(kit, PROMISE_OUTCOME, "the result is %u", outcome->result);
  if (outcome->n_ids > IDS_MAX)
    kit_fail(kit, PROMISE_OUTCOME, "n_ids is %u; the host keeps %d", outcome->n_ids, IDS_MAX);
  for (uint32_t i = 0; i < outcome->n_ids; i++)
    outcome_text(kit, "id", outcome->ids[i], true);
  outcome_text(kit, "code", outcome->code, true);
  outcome_text(kit, "detail", outcome->detail, true);
  if (PARLEY_HAS(parley_outcome, outcome, destination))
    outcome_text(kit, "destination", outcome->destination, true);
}

void kit_settle(const parley_host *to, uint64_t number, const parley_outcome *outcome)
{
  struct kit_host *host = to->impl;
  struct kit *kit = host->kit;
  struct kit_token *token;

  kit_on_loop(host, "settle");
  if (host->state >= KIT_STOPPED)
    kit_fail(kit, PROMISE_SETTLE_STOP, "token %llu was settled after done() of stop", (unsigned long long)number);
  token = token_by_number(host, number);
  if (token == NULL && number > 0 && number <= kit->last_token)
    kit_fail(kit, PROMISE_SETTLE_ONCE, "token %llu was settled again, or by another channel than it was given to",
             (unsigned long long)number);
  if (token == NULL)
    kit_fail(kit, PROMISE_SETTLE_ONCE, "token %llu was settled, which was never given", (unsigned long long)number);
  if (token->settled)
    kit_fail(kit, PROMISE_SETTLE_ONCE, "token %llu was settled a second time: %s, then %s", (unsigned long long)number,
             kit_outcome_name(token->result), kit_outcome_name(outcome->result));
  outcome_check(kit, outcome);
  token->settled = true;
  host->settling = true;
  token->result = outcome->result;
  token->retry_ms = outcome->retry_ms;
  token->n_ids = outcome->n_ids;
  snprintf(token->code, sizeof token->code, "%.*s", TEXT_ARG(outcome->code));
  snprintf(token->detail, sizeof token->detail, "%.*s", TEXT_ARG(outcome->detail));
  host->n_open--;
  kit->n_settled++;
}

/* Within the call that settles, a message may still be looked at; after it no more. */
void kit_messages_end(struct kit_host *host)
{
  host->settling = false;
  for (struct list *node = host->tokens.next; node != &host->tokens; node = node->next) {
    struct kit_token *token = LIST_ITEM(node, struct kit_token, node);

    if (token->settled)
      kit_frame_end(host->kit, &token->frame, "the message of token %llu, which had settled", (unsigned long long)token->token);
  }
}

void kit_tokens_sweep(struct kit_host *host)
{
  kit_messages_end(host);
  for (struct list *node = host->tokens.next, *next; node != &host->tokens; node = next) {
    struct kit_token *token = LIST_ITEM(node, struct kit_token, node);

    next = node->next;
    if (!token->settled)
      continue;
    list_remove(&token->node);
    free(token);
  }
}

/* --- Handing over ------------------------------------------------------------------------------------------------- */

static struct kit_frame message_frame(const parley_message *message, const parley_message **ret)
{
  struct copy *measure = copy_new();
  struct kit_frame frame;
  struct copy *copy;
  size_t bytes;

  copy_message(measure, message);
  bytes = copy_bytes(measure) + 256;
  copy_free(&measure);
  frame = kit_frame_new(bytes);
  copy = copy_new_in(kit_frame_room(&frame, bytes - sizeof(max_align_t)), bytes - sizeof(max_align_t));
  *ret = copy_message(copy, message);
  if (copy_failed(copy))
    abort(); /* measured badly */
  return frame;
}

static struct kit_token *token_new(struct kit_host *host, const char *what, const parley_message *message, const parley_message **ret)
{
  struct kit_token *token = xcalloc(1, sizeof *token);

  token->host = host;
  token->what = what;
  token->token = ++host->kit->last_token;
  if (message != NULL) {
    token->frame = message_frame(message, ret);
    kit_frame_seal(host->kit, &token->frame, "a message, which is the host's");
    token->n_parts = message->n_parts;
  }
  list_push(&host->tokens, &token->node);
  host->n_open++;
  return token;
}

static parley_status token_answered(struct kit_token *token, parley_status st, struct kit_token **ret)
{
  struct kit_host *host = token->host;
  struct kit *kit = host->kit;

  if (st > 0 || st < PARLEY_CANCELLED)
    kit_fail(kit, PROMISE_STATUS, "%s() returned %d", token->what, st);
  if (st != PARLEY_OK && token->settled)
    kit_fail(kit, PROMISE_SETTLE_TAKEN, "%s() settled token %llu and returned %.*s", token->what, (unsigned long long)token->token,
             TEXT_ARG(kit_status_name(st)));
  if (st != PARLEY_OK) {
    host->n_open--;
    list_remove(&token->node);
    kit_frame_end(kit, &token->frame, "the message of token %llu, which was not taken", (unsigned long long)token->token);
    free(token);
    return st;
  }
  token->taken = true;
  if (ret != NULL)
    *ret = token;
  return st;
}

uint32_t kit_room(const struct kit_host *host)
{
  if (host->kit->plugin->submit == NULL || host->state != KIT_STARTED || host->health == PARLEY_DOWN ||
      host->window <= host->n_open)
    return 0;
  return host->window - host->n_open;
}

parley_status kit_submit_over(struct kit_host *host, const parley_message *message, struct kit_token **ret)
{
  const parley_message *shown = NULL;
  struct kit_token *token;
  parley_status st = PARLEY_FAILED;

  token = token_new(host, "submit", message, &shown);
  KIT_CALL(host, "submit", st = host->kit->plugin->submit(host->channel, token->token, shown));
  st = token_answered(token, st, ret);
  kit_run(host->kit);
  return st;
}

parley_status kit_submit(struct kit_host *host, const parley_message *message, struct kit_token **ret)
{
  return kit_room(host) > 0 ? kit_submit_over(host, message, ret) : PARLEY_RETRY;
}

parley_status kit_ask(struct kit_host *host, bool query, const parley_message *message, struct kit_token **ret)
{
  const parley_plugin *plugin = host->kit->plugin;
  const parley_message *shown = NULL;
  struct kit_token *token = token_new(host, query ? "query" : "probe", message, &shown);
  parley_status st = PARLEY_FAILED;

  if (query)
    KIT_CALL(host, "query", st = plugin->query(host->channel, token->token, shown));
  else
    KIT_CALL(host, "probe", st = plugin->probe(host->channel, token->token));
  st = token_answered(token, st, ret);
  kit_run(host->kit);
  return st;
}
