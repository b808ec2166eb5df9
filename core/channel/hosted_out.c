/* Messages on their way through the plugin's process: kept until their tokens have settled, offered again when the plugin had
 * no room. */
#include "hosted_in.h"

#define HOSTED_DEADLINE_MS 0x7fffffffu /* parleyd keeps the time of each token */
#define HOSTED_RETURN_MS 1000          /* what was not taken is held back for so long */

struct hosted_message {
  struct list node; /* in `waiting`, or linked to itself */
  struct arena *arena;
  uint64_t token;
  enum frame_type type;
  const parley_message *message;
};

static void message_free(struct hosted_message *message)
{
  struct arena *arena = message->arena;

  list_remove(&message->node);
  arena_free(&arena); /* the message is in it */
}

static void message_settle(struct hosted *hosted, uint64_t token, const parley_outcome *outcome)
{
  struct hosted_message *message = map_take(&hosted->messages, token);

  hosted_send(hosted, FRAME_SETTLE, token, &abi_outcome, outcome);
  if (message != NULL)
    message_free(message);
}

void hosted_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  (void)channel;
  message_settle(arg, token, outcome);
  hosted_offer_again(arg);
}

/* false: no room; it waits. Once taken, the message may be gone when this returns. */
static bool message_offer(struct hosted *hosted, struct hosted_message *message)
{
  uint64_t token = message->token;
  parley_status st;

  if (message->type == FRAME_SUBMIT)
    st = channel_submit(hosted->channel, token, message->message, HOSTED_DEADLINE_MS);
  else if (message->type == FRAME_QUERY)
    st = channel_query(hosted->channel, token, message->message, HOSTED_DEADLINE_MS);
  else
    st = channel_probe(hosted->channel, token, HOSTED_DEADLINE_MS);
  if (st != PARLEY_OK && st != PARLEY_BUSY)
    message_settle(hosted, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_RETRY, .code = PARLEY_LIT("not_taken")));
  return st != PARLEY_BUSY;
}

void hosted_offer_again(struct hosted *hosted)
{
  struct list *node;

  if (hosted->offering || hosted->draining)
    return;
  hosted->offering = true; /* a message that settles within its submit comes by here, too */
  while ((node = list_pop(&hosted->waiting)) != NULL) {
    if (!message_offer(hosted, LIST_ITEM(node, struct hosted_message, node))) {
      list_insert_before(hosted->waiting.next, node); /* still the first */
      break;
    }
  }
  hosted->offering = false;
}

void hosted_submit(struct hosted *hosted, enum frame_type type, const struct frame *frame)
{
  struct hosted_message *message;
  struct arena *arena;

  if (frame->id == 0 || map_get(&hosted->messages, frame->id) != NULL)
    return; /* parleyd gives out no token twice */
  arena = arena_new();
  message = arena_alloc(arena, sizeof *message);
  list_init(&message->node);
  message->arena = arena;
  message->token = frame->id;
  message->type = type;
  message->message = type == FRAME_PROBE ? NULL : hosted_read(frame, &abi_message, arena);
  map_put(&hosted->messages, message->token, message);
  if (hosted->draining || (type != FRAME_PROBE && message->message == NULL)) {
    message_settle(hosted, frame->id,
                   PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_THROTTLED, .retry_ms = HOSTED_RETURN_MS));
    return;
  }
  list_push(&hosted->waiting, &message->node);
  hosted_offer_again(hosted);
}

void hosted_give_back(struct hosted *hosted)
{
  struct list *node;

  while ((node = list_pop(&hosted->waiting)) != NULL)
    message_settle(hosted, LIST_ITEM(node, struct hosted_message, node)->token,
                   PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_THROTTLED, .retry_ms = HOSTED_RETURN_MS,
                              .code = PARLEY_LIT("not_taken")));
}
