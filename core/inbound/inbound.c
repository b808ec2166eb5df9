#include "inbound.h"
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/token.h"
#include "loop_guard.h"
#include "page.h"
#include "joins.h"
#include "keep.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

#define INBOUND_AHEAD_MS_MAX 300000 /* a provider's clock may be so much ahead; beyond, our own time is taken */
#define INBOUND_AGAIN_MS 1000       /* a channel that heard BUSY or RETRY may come again */

struct inbound {
  uv_loop_t *loop;
  const struct env *env;
  const struct log *log;
  struct store *store;
  const struct phone_plan *phones; /* NULL: none */
  uv_idle_t later_idle;
  struct list later; /* answers that must not come within the call */
  uint32_t open;
  struct inbound_counters counters;
  struct loop_guard *guard;
  bool (*captures)(id64 key, void *arg);
  void *captures_arg;
  inbound_answer_fn *answers;
  void *answers_arg;
  struct policy *policy; /* NULL: none yet */
  struct inbound_rules rules;
  struct joins *joins;
  struct keeper keeper;
  bool closing, ending; /* ending: nothing is open any more */
  void (*closed)(void *arg);
  void *closed_arg;
};

/* One report under way, or one answer to be given on the next turn. */
struct report_call {
  union {
    struct store_op op;
    struct store_inbound in;
    struct store_touchpoint touch;
    struct store_customer ask;
  } u;
  struct list node;
  struct inbound *inbound;
  struct channel *channel; /* of a message: it outlives the answer */
  struct arena *arena;
  struct policy *policy; /* a reference; NULL: none */
  parley_done *done;
  void *arg;
  uint32_t n_to;        /* several get a verdict each, all the same one */
  parley_status status; /* of an answer without a store op */
  parley_text reason;
  parley_text value;    /* and count */
  bool repeated;
};

static void inbound_on_idle_closed(uv_handle_t *handle)
{
  struct inbound *inbound = handle->data;
  void (*closed)(void *) = inbound->closed;
  void *arg = inbound->closed_arg;

  policy_unref(&inbound->policy);
  loop_guard_free(&inbound->guard);
  free(inbound);
  closed(arg);
}

static void inbound_on_joins_closed(void *arg)
{
  struct inbound *inbound = arg;

  uv_close((uv_handle_t *)&inbound->later_idle, inbound_on_idle_closed);
}

static void inbound_maybe_closed(struct inbound *inbound)
{
  if (!inbound->closing || inbound->open > 0 || inbound->ending)
    return;
  inbound->ending = true;
  joins_close(&inbound->joins, inbound_on_joins_closed, inbound);
}

static void report_answer(struct report_call *call, const parley_result *result)
{
  struct inbound *inbound = call->inbound;
  parley_result each = *result;

  if (call->n_to > 1) {
    parley_status *verdicts = arena_alloc(call->arena, call->n_to * sizeof *verdicts);

    for (uint32_t i = 0; i < call->n_to; i++)
      verdicts[i] = result->status;
    each.each = verdicts;
    each.count = call->n_to;
  }
  if (call->done != NULL)
    call->done(&each, call->arg);
  arena_free(&call->u.op.arena);
  arena_free(&call->arena);
  policy_unref(&call->policy);
  free(call);
  inbound->open--;
  inbound_maybe_closed(inbound);
}

static void inbound_on_idle(uv_idle_t *idle)
{
  struct inbound *inbound = idle->data;
  struct list *node;

  uv_idle_stop(idle);
  while ((node = list_pop(&inbound->later)) != NULL) {
    struct report_call *call = LIST_ITEM(node, struct report_call, node);
    parley_result result = {.size = sizeof result, .status = call->status, .reason = call->reason,
                            .value = call->value, .count = call->repeated};

    if (call->status == PARLEY_BUSY)
      result.retry_ms = INBOUND_AGAIN_MS;
    report_answer(call, &result);
  }
}

static struct report_call *report_new(struct inbound *inbound, parley_done *done, void *arg)
{
  struct report_call *call = xcalloc(1, sizeof *call);

  call->inbound = inbound;
  call->arena = arena_new();
  call->done = done;
  call->arg = arg;
  inbound->open++;
  return call;
}

static void report_later(struct report_call *call, parley_status status, parley_text reason)
{
  struct inbound *inbound = call->inbound;

  if (status == PARLEY_BUSY)
    inbound->counters.busy++;
  else if (status != PARLEY_OK)
    inbound->counters.refused++;
  call->status = status;
  call->reason = reason;
  list_push(&inbound->later, &call->node);
  uv_idle_start(&inbound->later_idle, inbound_on_idle);
}

/* A sender on an SMS network need not be a number. */
static struct phone_reading inbound_reading(const struct inbound *inbound, const struct channel *channel)
{
  bool is_sms = strcmp(channel_caps(channel)->channel_kind, "sms") == 0;

  return (struct phone_reading){inbound->phones, is_sms ? PHONE_NETWORK : PHONE_SOUGHT};
}

/* The first one, and what could be done about it. */
static parley_text report_why(const struct problems *problems)
{
  struct buf why = BUF_INIT(0);
  parley_text text;

  if (problems->count == 0)
    return PARLEY_LIT("the report is not complete");
  buf_text(&why, problems->rows[0].detail);
  if (problems->rows[0].hint.len > 0) {
    buf_str(&why, "; ");
    buf_text(&why, problems->rows[0].hint);
  }
  text = arena_text(problems->arena, buf_as_text(&why));
  buf_done(&why);
  return text;
}

/* --- Messages
 * ----------------------------------------------------------------------------------------------------------------------
 */

/* What was said takes effect on what is held in memory, too; and an answer may wait. */
static void inbound_heard(struct inbound *inbound, const struct store_heard *heard)
{
  inbound->counters.keywords[heard->keyword]++;
  inbound->counters.reviews += heard->review;
  if (inbound->rules.deliver == NULL)
    return;
  if (heard->changed && heard->keyword == KEYWORD_STOP) {
    struct arena *arena = arena_new();
    parley_text variants[IDENTITY_VARIANTS_MAX];
    struct identity address = heard->address;
    size_t n = identity_variants(&heard->address, arena, variants);

    for (size_t i = 0; i < n; i++) {
      address.value = variants[i];
      deliver_reconsider(inbound->rules.deliver, NULL, 0, &address);
    }
    arena_free(&arena);
  }
  if (heard->answered)
    deliver_poke(inbound->rules.deliver, heard->channel);
}

static void inbound_log(struct inbound *inbound, const struct store_inbound *in)
{
  const char *keyword = keyword_name(in->heard.keyword);
  char id[ID_TEXT_MAX];

  if (in->waits) {
    log_line(inbound->log, PARLEY_DEBUG, "event=%s channel=%.*s part=%u total=%u",
             in->duplicate ? "piece_again" : "piece_kept", TEXT_ARG(in->channel), in->piece.part, in->piece.total);
    return;
  }
  id_format("msg", in->message, id);
  log_line(inbound->log, PARLEY_DEBUG, "event=%s msg=%s channel=%.*s%s%s%s%s", in->duplicate ? "received_again" : "received", id,
           TEXT_ARG(in->channel), in->partial ? " partial=true" : "", keyword != NULL ? " keyword=" : "",
           keyword != NULL ? keyword : "", in->heard.changed ? " changed=true" : "");
}

static void inbound_count(struct inbound *inbound, const struct store_inbound *in)
{
  struct inbound_counters *counters = &inbound->counters;

  counters->received += !in->duplicate && !in->waits;
  counters->pieces += in->piece.given && !in->duplicate;
  counters->partial += in->partial && !in->duplicate;
  counters->duplicates += in->duplicate;
  counters->other_body += in->other_body;
}

static void inbound_on_stored(struct store_op *op)
{
  struct report_call *call = container_of(op, struct report_call, u.op);
  struct inbound *inbound = call->inbound;
  const struct store_inbound *in = &call->u.in;
  parley_result result = {.size = sizeof result, .status = op->status};
  char id[ID_TEXT_MAX];

  if (op->status == PARLEY_OK) {
    id_format("msg", in->message, id);
    result.value = in->message != 0 ? parley_text_of(id) : TEXT_EMPTY;
    result.count = in->duplicate;
    inbound_count(inbound, in);
    inbound_log(inbound, in);
    if (!in->duplicate)
      inbound_heard(inbound, &in->heard);
    if (in->waits)
      joins_at(inbound->joins, in->crowded ? 0 : in->piece.due_ms);
  } else if (op->status == PARLEY_BUSY || op->status == PARLEY_RETRY || op->status == PARLEY_CLOSED) {
    result.status = op->status == PARLEY_BUSY ? PARLEY_BUSY : PARLEY_RETRY;
    result.retry_ms = INBOUND_AGAIN_MS;
    inbound->counters.busy++;
  }
  report_answer(call, &result);
}

/* What was waited for no longer. */
static void inbound_joined(const struct store_heard *heard, void *arg)
{
  struct inbound *inbound = arg;
  char id[ID_TEXT_MAX];

  id_format("msg", heard->message, id);
  log_line(inbound->log, PARLEY_WARN, "event=received msg=%s channel=%.*s partial=true", id, TEXT_ARG(heard->channel));
  inbound->counters.received++;
  inbound->counters.partial++;
  inbound_heard(inbound, heard);
}

/* A channel may know better, within limits. */
static int64_t inbound_wait_ms(const struct inbound *inbound, const parley_inbound *in)
{
  uint32_t wait_ms = in->segment->wait_ms > 0 ? in->segment->wait_ms : inbound->rules.join_wait_ms;

  return wait_ms < inbound->rules.join_wait_max_ms ? wait_ms : inbound->rules.join_wait_max_ms;
}

void inbound_configure(struct inbound *inbound, struct policy *policy, const struct inbound_rules *rules)
{
  struct policy *old = inbound->policy;

  inbound->policy = policy_ref(policy);
  inbound->rules = *rules;
  joins_use(inbound->joins, policy);
  policy_unref(&old);
}

void inbound_start(struct inbound *inbound)
{
  joins_at(inbound->joins, 0);
}

static int64_t inbound_at(const struct inbound *inbound, int64_t said_ms)
{
  int64_t now = inbound->env->now_ms(inbound->env);

  return said_ms > 0 && said_ms < now + INBOUND_AHEAD_MS_MAX ? said_ms : now;
}

static void inbound_on_asked(struct store_op *op)
{
  struct report_call *call = container_of(op, struct report_call, u.op);
  parley_result result = {.size = sizeof result, .status = op->status};
  char id[ID_TEXT_MAX];

  if (op->status == PARLEY_NOT_FOUND) {
    result.status = PARLEY_OK; /* it would be a new customer */
  } else if (op->status == PARLEY_OK) {
    id_format("cus", call->u.ask.row->id, id);
    result.value = parley_text_of(id);
  } else if (op->status == PARLEY_BUSY || op->status == PARLEY_RETRY) {
    result.retry_ms = INBOUND_AGAIN_MS;
  }
  report_answer(call, &result);
}

/* Would it be taken, and whose is it? Nothing is stored. */
static void inbound_ask(struct report_call *call, const struct phone_reading *phones, const parley_inbound *in,
                        struct problems *problems)
{
  struct store_customer *op = &call->u.ask;
  struct store_gauges gauges;

  store_gauges(call->inbound->store, &gauges);
  if (!gauges.accepting)
    report_later(call, PARLEY_BUSY, PARLEY_LIT("the store takes in nothing at the moment"));
  else if (!report_ask(in, phones, call->arena, problems, op))
    report_later(call, PARLEY_INVALID, report_why(problems));
  else if (op->external.len == 0 && op->identity.kind.len == 0)
    report_later(call, PARLEY_OK, TEXT_EMPTY);
  else {
    op->op.kind = STORE_CUSTOMER;
    op->op.done = inbound_on_asked;
    store_submit(call->inbound->store, &op->op);
  }
}

/* A robot that answers our robot answers for ever. What is refused is stored nowhere and told to nobody, so it ends there. */
static bool inbound_loops(struct inbound *inbound, const struct store_inbound *op)
{
  parley_text who = op->from.n_identities > 0 ? op->from.identities[0].value : op->from.external;

  if (!loop_guard_over(inbound->guard, op->channel, who, inbound->env->mono_ms(inbound->env)))
    return false;
  inbound->counters.loops++;
  log_line(inbound->log, PARLEY_WARN, "event=loop channel=%.*s per_hour=%d", TEXT_ARG(op->channel), INBOUND_AUTOMATIC_PER_HOUR);
  return true;
}

void inbound_captures(struct inbound *inbound, bool (*allowed)(id64 key, void *arg), void *arg)
{
  inbound->captures = allowed;
  inbound->captures_arg = arg;
}

/* Sent by us through another tool, says somebody who knows the address for it: whose is that? */
static bool inbound_capture_ok(const struct inbound *inbound, const parley_inbound *in)
{
  id64 key;

  if ((in->flags & PARLEY_ECHO) == 0 || !PARLEY_HAS(parley_inbound, in, token) || in->token.len == 0)
    return true;
  return inbound->captures != NULL && id_token_read(store_secret(inbound->store), TOKEN_CAPTURE, in->token, &key) &&
         inbound->captures(key, inbound->captures_arg);
}

/* --- Answers to mails about a conversation ------------------------------------------------------------------------ */

void inbound_answers(struct inbound *inbound, inbound_answer_fn *taker, void *arg)
{
  inbound->answers = taker;
  inbound->answers_arg = arg;
}

void inbound_answered(struct report_call *call, parley_status status, id64 message, bool repeated, parley_text reason)
{
  char id[ID_TEXT_MAX];

  if (message != 0) {
    id_format("msg", message, id);
    call->value = arena_text(call->arena, parley_text_of(id));
  }
  call->repeated = repeated;
  report_later(call, status, arena_text(call->arena, reason));
}

/* true: it is one, and is taken or refused. */
static bool inbound_is_answer(struct report_call *call, const parley_inbound *in)
{
  struct inbound *inbound = call->inbound;
  struct inbound_answer answer = {.in = in, .read = &call->u.in};

  if (!PARLEY_HAS(parley_inbound, in, token) ||
      !id_token_read(store_secret(inbound->store), TOKEN_BRIDGE, in->token, &answer.conversation))
    return false;
  if (inbound->answers != NULL)
    inbound->answers(call, &answer, inbound->answers_arg);
  else
    report_later(call, PARLEY_REJECTED, PARLEY_LIT("nobody answers customers by mail here"));
  return true;
}

/* 0: to no message of ours. */
static id64 inbound_answers_to(const struct inbound *inbound, parley_text token)
{
  const uint8_t *secret = store_secret(inbound->store);
  id64 message = 0;

  return id_token_read(secret, TOKEN_REPLY, token, &message) || id_token_read(secret, TOKEN_MESSAGE, token, &message) ? message : 0;
}

/* As the store keeps it. false: it is refused, and answered. */
static bool inbound_read(struct report_call *call, const parley_inbound *in)
{
  struct inbound *inbound = call->inbound;
  struct store_inbound *op = &call->u.in;
  struct phone_reading phones = inbound_reading(inbound, call->channel);
  struct problems problems;

  problems_init(&problems, call->arena);
  *op = (struct store_inbound){.channel = arena_text(call->arena, parley_text_of(channel_name(call->channel))),
                               .channel_kind = arena_text(call->arena, parley_text_of(channel_caps(call->channel)->channel_kind)),
                               .at_ms = inbound_at(inbound, in->at_ms),
                               .now_ms = inbound->env->now_ms(inbound->env)};
  if (report_read(in, &phones, call->arena, &problems, op))
    return true;
  report_later(call, PARLEY_INVALID, report_why(&problems));
  return false;
}

static void inbound_store(struct report_call *call, const parley_inbound *in)
{
  struct inbound *inbound = call->inbound;
  struct store_inbound *op = &call->u.in;

  if (PARLEY_HAS(parley_inbound, in, token))
    op->token_message = inbound_answers_to(inbound, in->token);
  if (inbound_is_answer(call, in))
    return;
  if (op->piece.given)
    op->piece.due_ms = joins_now(inbound->joins) + inbound_wait_ms(inbound, in);
  op->policy = call->policy = inbound->policy != NULL ? policy_ref(inbound->policy) : NULL;
  op->decide = decide;
  op->op.kind = STORE_INBOUND;
  op->op.done = inbound_on_stored;
  store_submit(inbound->store, &op->op);
}

/* Its files are media now. */
static void inbound_on_kept(parley_status status, const parley_inbound *in, parley_text reason, void *arg)
{
  struct report_call *call = arg;

  if (status != PARLEY_OK)
    report_later(call, status, reason);
  else if (inbound_read(call, in))
    inbound_store(call, in);
}

static void inbound_keep(struct report_call *call, const parley_inbound *in)
{
  const char *why;
  parley_status status = keep_take(&call->inbound->keeper, in, inbound_on_kept, call, &why);

  if (status != PARLEY_OK)
    report_later(call, status, parley_text_of(why));
}

/* Whatever is refused is refused before a file of it is kept. */
void inbound_take(struct inbound *inbound, struct channel *channel, const parley_inbound *in, parley_done *done,
                  void *arg)
{
  struct report_call *call = report_new(inbound, done, arg);
  struct phone_reading phones = inbound_reading(inbound, channel);
  struct problems problems;

  call->n_to = in->n_to;
  call->channel = channel;
  problems_init(&problems, call->arena);
  if (inbound->open > INBOUND_OPEN_MAX || inbound->closing)
    report_later(call, PARLEY_BUSY, PARLEY_LIT("too many messages wait for their commit"));
  else if (in->flags & PARLEY_ASK)
    inbound_ask(call, &phones, in, &problems);
  else if (!inbound_capture_ok(inbound, in))
    report_later(call, PARLEY_REJECTED, PARLEY_LIT("no API key in force has this capture address"));
  else if (!inbound_read(call, in))
    return;
  else if ((in->flags & PARLEY_AUTOMATIC) != 0 && inbound_loops(inbound, &call->u.in))
    report_later(call, PARLEY_REJECTED, PARLEY_LIT("too many automatic messages from this address within an hour"));
  else if (keep_is_needed(in))
    inbound_keep(call, in);
  else
    inbound_store(call, in);
}

/* --- Touchpoints
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void inbound_on_filed(struct store_op *op)
{
  struct report_call *call = container_of(op, struct report_call, u.op);
  parley_result result = {.size = sizeof result, .status = op->status, .count = call->u.touch.duplicate};
  char id[ID_TEXT_MAX];

  if (op->status == PARLEY_OK && call->u.touch.result != ACCEPTED) {
    result.status = PARLEY_INVALID;
    result.reason = PARLEY_LIT("no such customer");
  } else if (op->status == PARLEY_OK) {
    id_format("evt", call->u.touch.seq, id);
    result.value = parley_text_of(id);
    call->inbound->counters.touchpoints++;
  }
  report_answer(call, &result);
}

void inbound_touchpoint(struct inbound *inbound, struct channel *channel, const parley_touchpoint *event,
                        parley_done *done, void *arg)
{
  struct report_call *call = report_new(inbound, done, arg);
  struct store_touchpoint *op = &call->u.touch;
  struct phone_reading phones = inbound_reading(inbound, channel);
  struct problems problems;

  if (inbound->open > INBOUND_OPEN_MAX || inbound->closing) {
    report_later(call, PARLEY_BUSY, PARLEY_LIT("too many events wait for their commit"));
    return;
  }
  problems_init(&problems, call->arena);
  op->channel = arena_text(call->arena, parley_text_of(channel_name(channel)));
  op->at_ms = inbound_at(inbound, event->at_ms);
  op->now_ms = inbound->env->now_ms(inbound->env);
  if (!report_touchpoint(event, &phones, call->arena, &problems, op)) {
    report_later(call, PARLEY_INVALID, report_why(&problems));
    return;
  }
  op->op.kind = STORE_TOUCHPOINT;
  op->op.done = inbound_on_filed;
  store_submit(inbound->store, &op->op);
}

/* --- The timeline, for plugins ------------------------------------------------------------------------------------ */

static void inbound_on_page(void *arg)
{
  struct inbound *inbound = arg;

  inbound->open--;
  inbound_maybe_closed(inbound);
}

void inbound_timeline(struct inbound *inbound, struct channel *channel, const parley_query *query,
                      parley_page_done *done, void *arg)
{
  const struct page_asked asked = {
      .phones = inbound_reading(inbound, channel), .channel = parley_text_of(channel_name(channel)), .query = query};

  inbound->open++;
  page_read(inbound->store, &asked, done, arg, inbound_on_page, inbound);
}

/* --- Life
 * ---------------------------------------------------------------------------------------------------------------------------------
 */

struct inbound *inbound_new(uv_loop_t *loop, const struct env *env, const struct log *log, struct store *store)
{
  struct inbound *inbound = xcalloc(1, sizeof *inbound);

  inbound->loop = loop;
  inbound->env = env;
  inbound->log = log;
  inbound->store = store;
  inbound->keeper = (struct keeper){.loop = loop, .store = store};
  inbound->guard = loop_guard_new(INBOUND_AUTOMATIC_PER_HOUR, INBOUND_LOOP_ADDRESSES);
  list_init(&inbound->later);
  uv_idle_init(loop, &inbound->later_idle);
  inbound->later_idle.data = inbound;
  inbound->joins = joins_new(loop, env, store, inbound_joined, inbound);
  inbound->rules = (struct inbound_rules){.join_wait_ms = JOINS_UNSAID_WAIT_MS, .join_wait_max_ms = JOINS_UNSAID_WAIT_MS};
  return inbound;
}

void inbound_phones(struct inbound *inbound, const struct phone_plan *phones)
{
  inbound->phones = phones;
}

void inbound_close(struct inbound **inbound, void (*closed)(void *arg), void *arg)
{
  struct inbound *gone = *inbound;

  *inbound = NULL;
  gone->closing = true;
  gone->closed = closed;
  gone->closed_arg = arg;
  inbound_maybe_closed(gone);
}

const struct inbound_counters *inbound_counters(const struct inbound *inbound)
{
  return &inbound->counters;
}
