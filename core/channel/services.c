/* The services of a channel in parleyd itself: its durable state stands in the store, as documents of one kind a channel; the
 * extensions have files of their own (ext_*.c). */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"
#include <stdlib.h>

#define STATE_KEY_BYTES_MAX 128
#define STATE_VALUE_BYTES_MAX 65536

struct state_call {
  union {
    struct store_op op;
    struct store_docs get;
    struct store_doc_put put;
  } u;
  struct channel *channel;
  struct arena *arena;
  parley_done *done;
  void *arg;
};

static void state_call_done(struct store_op *op)
{
  struct state_call *call = container_of(op, struct state_call, u.op);
  struct channel *channel = call->channel;
  parley_text value = TEXT_EMPTY;
  parley_status st = op->status;

  if (op->kind == STORE_DOCS && st == PARLEY_OK && call->u.get.n == 0)
    st = PARLEY_NOT_FOUND;
  else if (op->kind == STORE_DOCS && st == PARLEY_OK)
    value = call->u.get.rows[0].json;
  channel_done(channel, call->done, call->arg, st, 0, value, NULL);
  arena_free(&op->arena);
  arena_free(&call->arena);
  free(call);
  channel_call_over(channel);
}

static struct state_call *state_call_new(struct channel *channel, parley_text key, parley_done *done, void *arg)
{
  struct state_call *call;

  if (key.len == 0 || key.len > STATE_KEY_BYTES_MAX || !text_utf8_ok(key)) {
    channel_done_later(channel, done, arg, PARLEY_INVALID, "a key has 1 to 128 bytes of UTF-8");
    return NULL;
  }
  call = xcalloc(1, sizeof *call);
  call->channel = channel;
  call->arena = arena_new();
  call->done = done;
  call->arg = arg;
  call->u.op.done = state_call_done;
  channel->host_calls++;
  return call;
}

static parley_text state_kind(const struct channel *channel, struct arena *arena)
{
  struct buf kind = BUF_INIT(256);
  parley_text kept;

  buf_printf(&kind, "state/%s", channel->name);
  kept = arena_text(arena, buf_as_text(&kind));
  buf_done(&kind);
  return kept;
}

static void host_state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct state_call *call = state_call_new(channel, key, done, arg);

  if (call == NULL)
    return;
  call->u.get.op.kind = STORE_DOCS;
  call->u.get.kind = state_kind(channel, call->arena);
  call->u.get.name = arena_text(call->arena, key);
  store_submit(channel->shared.store, &call->u.op);
}

static void host_state_put(const parley_host *host, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct state_call *call;

  if (value.len > STATE_VALUE_BYTES_MAX) {
    channel_done_later(channel, done, arg, PARLEY_INVALID, "a value has at most 64 KiB");
    return;
  }
  call = state_call_new(channel, key, done, arg);
  if (call == NULL)
    return;
  call->u.put.op.kind = STORE_DOC_PUT;
  call->u.put.doc.kind = state_kind(channel, call->arena);
  call->u.put.doc.name = arena_text(call->arena, key);
  call->u.put.doc.json = arena_text(call->arena, value);
  call->u.put.version = -1;
  store_submit(channel->shared.store, &call->u.op);
}

const struct channel_services channel_services_own = {.state_get = host_state_get, .state_put = host_state_put, .http = &ext_http,
                                                      .http_answers = &ext_http_answers, .stream = &ext_stream,
                                                      .media = &ext_media, .sweep = ext_http_in_sweep, .end = ext_http_in_end};
