#include "joins.h"
#include "core/base/alloc.h"
#include <stdlib.h>

struct joins {
  uv_timer_t timer;
  const struct env *env;
  struct store *store;
  joins_heard_fn *heard;
  void *arg;
  struct policy *policy; /* NULL: none yet */
  int64_t lead_ms;       /* of the time of day before the monotonic clock, when it was made */
  int64_t due_ms;        /* of the timer, while it runs */
  bool sweeping;
  void (*closed)(void *arg); /* NULL: it is not being closed */
  void *closed_arg;
};

struct sweep_call {
  struct store_join_sweep op;
  struct joins *joins;
  struct policy *policy;
};

int64_t joins_now(const struct joins *joins)
{
  return joins->env->mono_ms(joins->env) + joins->lead_ms;
}

static void joins_on_closed(uv_handle_t *handle)
{
  struct joins *joins = container_of(handle, struct joins, timer);
  void (*closed)(void *) = joins->closed;
  void *arg = joins->closed_arg;

  policy_unref(&joins->policy);
  free(joins);
  closed(arg);
}

static void joins_maybe_closed(struct joins *joins)
{
  if (joins->closed != NULL && !joins->sweeping && !uv_is_closing((uv_handle_t *)&joins->timer))
    uv_close((uv_handle_t *)&joins->timer, joins_on_closed);
}

static int64_t next_look(const struct joins *joins, const struct store_join_sweep *swept)
{
  int64_t now_ms = joins_now(joins), look_ms = now_ms + JOINS_LOOK_MS;

  if (swept->op.status != PARLEY_OK)
    return now_ms + JOINS_AGAIN_MS;
  if (swept->n == JOIN_SWEEP_MAX)
    return now_ms;
  return swept->next_due_ms != 0 && swept->next_due_ms < look_ms ? swept->next_due_ms : look_ms;
}

static void joins_on_swept(struct store_op *op)
{
  struct sweep_call *call = container_of(op, struct sweep_call, op.op);
  struct joins *joins = call->joins;

  joins->sweeping = false;
  for (size_t i = 0; op->status == PARLEY_OK && i < call->op.n; i++)
    joins->heard(&call->op.heard[i], joins->arg);
  joins_at(joins, next_look(joins, &call->op));
  arena_free(&op->arena);
  policy_unref(&call->policy);
  free(call);
  joins_maybe_closed(joins);
}

static void joins_on_timer(uv_timer_t *timer)
{
  struct joins *joins = container_of(timer, struct joins, timer);
  struct sweep_call *call;

  if (joins->sweeping)
    return; /* it looks for the next one when it has ended */
  call = xcalloc(1, sizeof *call);
  call->joins = joins;
  call->policy = joins->policy != NULL ? policy_ref(joins->policy) : NULL;
  call->op = (struct store_join_sweep){.op = {.kind = STORE_JOIN_SWEEP, .done = joins_on_swept},
                                       .policy = call->policy,
                                       .decide = decide,
                                       .due_ms = joins_now(joins),
                                       .now_ms = joins->env->now_ms(joins->env)};
  joins->sweeping = true;
  store_submit(joins->store, &call->op.op);
}

void joins_at(struct joins *joins, int64_t due_ms)
{
  int64_t now_ms = joins_now(joins), wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;

  if (joins->closed != NULL || (uv_is_active((uv_handle_t *)&joins->timer) && joins->due_ms <= due_ms))
    return;
  joins->due_ms = due_ms;
  uv_timer_start(&joins->timer, joins_on_timer, (uint64_t)wait_ms, 0);
}

void joins_use(struct joins *joins, struct policy *policy)
{
  struct policy *old = joins->policy;

  joins->policy = policy_ref(policy);
  policy_unref(&old);
}

struct joins *joins_new(uv_loop_t *loop, const struct env *env, struct store *store, joins_heard_fn *heard, void *arg)
{
  struct joins *joins = xcalloc(1, sizeof *joins);

  joins->env = env;
  joins->store = store;
  joins->heard = heard;
  joins->arg = arg;
  joins->lead_ms = env->now_ms(env) - env->mono_ms(env);
  uv_timer_init(loop, &joins->timer);
  uv_unref((uv_handle_t *)&joins->timer);
  return joins;
}

void joins_close(struct joins **joins, void (*closed)(void *arg), void *arg)
{
  struct joins *gone = *joins;

  *joins = NULL;
  gone->closed = closed;
  gone->closed_arg = arg;
  uv_timer_stop(&gone->timer);
  joins_maybe_closed(gone);
}
