#include "fitting.h"
#include "core/base/text.h"
#include "core/message/segments.h"

static void buf_degraded(struct buf *buf, const struct fitted *fitted)
{
  buf_json_key(buf, "degraded");
  buf_char(buf, '[');
  for (size_t i = 0; i < fitted->n_degraded; i++) {
    buf_json_comma(buf);
    buf_json_str(buf, fitted->degraded[i]);
  }
  buf_char(buf, ']');
}

static void buf_fitted(struct buf *buf, const struct fitted *fitted, const parley_capabilities *caps, parley_text address)
{
  struct segments segments = segments_of(fitted);

  buf_segments(buf, &segments, address.len > 0 ? price_of(caps, address) : NULL);
  buf_degraded(buf, fitted);
}

/* What the stored body says, once. */
static void content_read_back(struct fitting *fitting)
{
  struct arena *arena = fitting->req->arena;
  struct content *content = arena_alloc(arena, sizeof *content);
  struct problems problems;
  struct json_in root, in;

  problems_init(&problems, arena);
  fitting->json = json_read(fitting->body, &problems);
  root = (struct json_in){.object = fitting->json, .pointer = TEXT_EMPTY, .arena = arena, .problems = &problems};
  if (fitting->json != NULL && json_in_object(&root, "content", &in) && in.object != NULL && content_read(&in, content))
    fitting->content = content;
  fitting->body = TEXT_EMPTY;
}

static void step_fit(struct buf *buf, size_t index, const struct decided_step *step, const struct fitting *fitting)
{
  const struct deliver_fitting asked = {.channel = step->channel, .content = fitting->content, .topic = fitting->topic,
                                        .message = fitting->message, .customer = fitting->customer, .identity = step->identity,
                                        .step = (uint32_t)index, .expires_ms = fitting->expires_ms};
  const parley_capabilities *caps;
  const char *code = NULL;
  struct arena *arena;
  struct fitted fitted;

  arena = arena_new();
  switch (deliver_fit(fitting->req->shared->deliver, &asked, arena, &fitted, &caps, &code)) {
  case PARLEY_OK:
    buf_fitted(buf, &fitted, caps, step->address);
    break;
  case PARLEY_REJECTED:
    buf_json_key(buf, "refused");
    buf_json_str(buf, code);
    break;
  default: /* the channel is not configured any more */
    break;
  }
  arena_free(&arena);
}

void buf_fitting(struct buf *buf, size_t index, const struct decided_step *step, void *arg)
{
  struct fitting *fitting = arg;

  if (!parley_text_is(step->channel_kind, "sms"))
    return;
  if (fitting->content == NULL && fitting->body.len > 0)
    content_read_back(fitting);
  if (fitting->content != NULL)
    step_fit(buf, index, step, fitting);
}
