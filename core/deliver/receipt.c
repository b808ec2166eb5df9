/* Receipts of providers, on their way to the store. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/customer/identity.h"
#include "core/message/token.h"
#include "line.h"
#include <stdlib.h>

#define RECEIPT_LINK_BYTES_MAX 2048

struct receipt_op {
  struct store_receipt receipt;
  struct deliver *deliver;
  struct arena *arena;
  struct policy *policy;
  parley_done *done;
  void *arg;
};

/* It named a message that is not here, or one of another channel: parked by that name, as any early receipt. */
static void receipt_park(struct receipt_op *call)
{
  struct store_receipt *op = &call->receipt;
  char id[ID_TEXT_MAX];

  id_format("msg", op->message, id);
  log_line(call->deliver->shared.log, PARLEY_WARN, "event=receipt_orphan channel=%.*s msg=%s", TEXT_ARG(op->channel),
           id);
  op->provider_id = arena_text(call->arena, parley_text_of(id));
  op->message = 0;
  arena_free(&op->op.arena);
  store_submit(call->deliver->shared.store, &op->op);
}

static void deliver_on_receipt(struct store_op *op)
{
  struct receipt_op *call = container_of(op, struct receipt_op, receipt.op);
  parley_result result = {.size = sizeof result, .status = op->status, .count = call->receipt.repeated};

  if (op->status == PARLEY_NOT_FOUND && call->receipt.message != 0 && call->receipt.provider_id.len == 0) {
    receipt_park(call);
    return;
  }
  if (op->status == PARLEY_CLOSED)
    result.status = PARLEY_RETRY;
  if (op->status == PARLEY_BUSY || result.status == PARLEY_RETRY)
    result.retry_ms = DELIVER_RESTORE_MS;
  deliver_reconsider(call->deliver, call->receipt.whose, call->receipt.n_whose, NULL);
  if (call->receipt.next != NULL)
    deliver_take(call->deliver, call->receipt.next);
  call->done(&result, call->arg);
  arena_free(&op->arena);
  arena_free(&call->arena);
  policy_unref(&call->policy);
  deliver_op_over(call->deliver);
  free(call);
}

/* As deliveries have it. */
static parley_text receipt_address(const parley_identity *to, struct arena *arena)
{
  struct identity identity;
  struct problems problems;

  problems_init(&problems, arena);
  if (!identity_normalise(NULL, to->kind, to->value, arena, TEXT_EMPTY, &problems, &identity))
    return arena_text(arena, to->value);
  return identity.value;
}

/* Which message it is about. What stands in a mail for everybody who sees it unsubscribes, and tells no other thing. */
static void receipt_name(struct store_receipt *op, const uint8_t *secret, parley_text id)
{
  op->proven = id_token_read(secret, TOKEN_MESSAGE, id, &op->message) ||
               (op->receipt == PARLEY_RECEIPT_UNSUBSCRIBED && id_token_read(secret, TOKEN_LEAVE, id, &op->message));
  if (!op->proven && !id_parse("msg", id, &op->message))
    op->message = 0;
}

void deliver_receipt(struct deliver *deliver, struct channel *channel, const parley_receipt *receipt, parley_done *done,
                     void *arg)
{
  struct receipt_op *call = xcalloc(1, sizeof *call);
  struct store_receipt *op = &call->receipt;
  int64_t now = deliver_now(deliver);

  call->deliver = deliver;
  call->arena = arena_new();
  call->policy = policy_ref(deliver->policy);
  call->done = done;
  call->arg = arg;
  op->op.kind = STORE_RECEIPT;
  op->op.done = deliver_on_receipt;
  op->policy = call->policy;
  op->channel = arena_text(call->arena, parley_text_of(channel_name(channel)));
  op->provider_id = arena_text(call->arena, receipt->provider_id);
  op->receipt = receipt->kind;
  op->outcome = receipt->outcome;
  op->at_ms = receipt->at_ms > 0 && receipt->at_ms < now ? receipt->at_ms : now;
  op->code = arena_text(call->arena, text_sub(receipt->code, 0, 255));
  op->detail = arena_text(call->arena, text_sub(receipt->detail, 0, 512));
  op->link = arena_text(call->arena, text_sub(receipt->link, 0, RECEIPT_LINK_BYTES_MAX));
  op->to = receipt->to != NULL ? receipt_address(receipt->to, call->arena) : TEXT_EMPTY;
  receipt_name(op, store_secret(deliver->shared.store), receipt->message_id);
  deliver->ops++;
  store_submit(deliver->shared.store, &op->op);
}
