/* From an owner's mail to the customer. */
#include "bridge_in.h"
#include "core/base/text.h"

/* --- Who may, and how often --------------------------------------------------------------------------------------- */

static parley_text sender_of(const struct store_inbound *read)
{
  const struct recipient *from = &read->from;

  return from->n_identities > 0 && parley_text_is(from->identities[0].kind, "email") ? from->identities[0].value : TEXT_EMPTY;
}

static const struct conf_bridge *bridge_of_owner(const struct conf *conf, parley_text address)
{
  for (size_t i = 0; i < conf->n_bridges; i++)
    if (address.len > 0 && bridge_is_owner(&conf->bridges[i], address))
      return &conf->bridges[i];
  return NULL;
}

/* Counts one more; true: it is one too many. */
static bool talk_is_over(struct bridge *bridge, id64 conversation)
{
  struct bridge_talk *talk = &bridge->talks[hash_mix(conversation) % BRIDGE_TALKS];
  int64_t now_ms = bridge->shared.env->mono_ms(bridge->shared.env);

  if (talk->conversation != conversation || now_ms - talk->since_ms >= BRIDGE_HOUR_MS)
    *talk = (struct bridge_talk){.conversation = conversation, .since_ms = now_ms};
  return ++talk->answers > BRIDGE_ANSWERS_PER_HOUR;
}

static void answer_log(const struct errand *errand, const char *event, const char *why)
{
  char id[ID_TEXT_MAX];

  id_format("cnv", errand->conversation, id);
  log_line(errand->bridge->shared.log, PARLEY_WARN, "event=%s conversation=%s why=\"%s\"", event, id, why);
}

/* --- Refused: whoever answers customers shall see it --------------------------------------------------------------- */

#define NOT_AN_OWNER "only the owners of the support mailbox may answer from it"

static void answer_on_noted(struct store_op *op)
{
  struct errand *errand = container_of(op, struct errand, u.op);

  if (errand_went(errand))
    errand_end(errand, PARLEY_REJECTED, NOT_AN_OWNER);
}

static void answer_refuse(struct errand *errand)
{
  struct bridge *bridge = errand->bridge;
  struct buf text = BUF_INIT(0);

  bridge->counters.refused++;
  answer_log(errand, "bridge_refused", "the sender is no owner");
  buf_str(&text, "A mail from ");
  buf_text(&text, sender_of(errand->read));
  buf_str(&text, " came to this conversation's address for answers. The sender is no owner of a support mailbox: it was refused, and"
                 " nothing went to the customer.");
  errand->u.note = (struct store_note){.conversation = errand->conversation,
                                       .text = arena_text(errand->arena, buf_as_text(&text)),
                                       .by = PARLEY_LIT("bridge"),
                                       .now_ms = bridge->shared.env->now_ms(bridge->shared.env)};
  buf_done(&text);
  errand_submit(errand, STORE_NOTE, answer_on_noted);
}

/* --- Taken, and cannot be handed in: the mailbox hears why --------------------------------------------------------- */

static void answer_tell(struct errand *errand, const char *why)
{
  struct buf text = BUF_INIT(0), key = BUF_INIT(0);

  answer_log(errand, "bridge_answer_not_sent", why);
  buf_printf(&text, BRIDGE_LINE "\n\nYour answer was not sent to the customer: %s.\n\nConversation: ", why);
  buf_id(&text, "cnv", errand->conversation);
  buf_char(&text, '\n');
  buf_text(&key, errand->key);
  buf_str(&key, ":told");
  errand->mail = (struct bridge_mail){.what = BRIDGE_FAILURE,
                                      .conversation = errand->conversation,
                                      .subject = PARLEY_LIT("Your answer was not sent"),
                                      .text = arena_text(errand->arena, buf_as_text(&text))};
  errand->key = arena_text(errand->arena, buf_as_text(&key));
  errand->tells = true;
  buf_done(&text);
  buf_done(&key);
  errand_mail(errand);
}

/* --- Handed in ---------------------------------------------------------------------------------------------------- */

static void answer_on_conversation(struct store_op *op)
{
  struct errand *errand = container_of(op, struct errand, u.op);
  struct errand_words words = {.content = errand->content, .key = errand->key};
  const struct conversation_row *row = op->status == PARLEY_OK && errand->u.talk.n > 0 ? &errand->u.talk.rows[0] : NULL;
  enum reply_verdict verdict = REPLY_GOES;

  if (!errand_went(errand))
    return;
  if (row == NULL) {
    errand_end(errand, PARLEY_REJECTED, "there is no such conversation any more");
    return;
  }
  words.reply = (struct reply){.topic = errand->set->topic, .channel = TEXT_EMPTY, .customer = row->customer,
                               .conversation = errand->conversation, .last_channel = arena_text(errand->arena, row->channel)};
  arena_free(&op->arena);
  if (errand->content.len == 0) {
    answer_tell(errand, "without what it quotes it is empty");
    return;
  }
  verdict = errand_accept(errand, &words);
  if (verdict != REPLY_GOES)
    answer_tell(errand, reply_words(verdict));
}

static void answer_look(struct errand *errand)
{
  errand->u.talk = (struct store_conversations){
      .id = errand->conversation, .limit = 1, .state = TEXT_EMPTY, .assignee = TEXT_EMPTY};
  errand_submit(errand, STORE_CONVERSATIONS, answer_on_conversation);
}

static void answer_read(struct errand *errand, const parley_inbound *in)
{
  const struct store_inbound *read = errand->read;
  struct buf content = BUF_INIT(0), key = BUF_INIT(0);

  if (buf_bridge_answer(&content, in, errand->arena))
    errand->content = arena_text(errand->arena, buf_as_text(&content));
  buf_bridge_answer_key(&key, errand->set->name, errand->conversation,
                        read->provider_id.len > 0 ? read->provider_id : read->event_id);
  errand->key = arena_text(errand->arena, buf_as_text(&key));
  buf_done(&content);
  buf_done(&key);
}

void bridge_take_answer(struct report_call *call, const struct inbound_answer *answer, void *arg)
{
  struct bridge *bridge = arg;
  struct errand *errand;

  if (bridge->conf == NULL) {
    inbound_answered(call, PARLEY_BUSY, 0, false, PARLEY_LIT("starting"));
    return;
  }
  errand = errand_new(bridge);
  errand->call = call;
  errand->read = answer->read;
  errand->conversation = answer->conversation;
  errand->set = bridge_of_owner(errand->conf, sender_of(answer->read));
  if (answer->read->kind != PARLEY_KIND_CONTENT || (answer->read->flags & (PARLEY_AUTOMATIC | PARLEY_ECHO)) != 0) {
    bridge->counters.automatic++;
    if (errand->set == NULL)
      answer_log(errand, "bridge_automatic", "of nobody who may answer: perhaps the mailbox does not take our mail");
    errand_end(errand, PARLEY_OK, "");
  } else if (talk_is_over(bridge, errand->conversation)) {
    bridge->counters.refused++;
    answer_log(errand, "bridge_loop", "too many answers within an hour");
    errand_end(errand, PARLEY_REJECTED, "too many answers in this conversation within an hour");
  } else if (errand->set == NULL) {
    answer_refuse(errand);
  } else {
    answer_read(errand, answer->in);
    answer_look(errand);
  }
}
