#include "core/base/clock.h"
#include "decide.h"

static void plan_step(struct buf *buf, const struct decided_step *step) /* an object that is still open */
{
  buf_json_comma(buf);
  buf_char(buf, '{');
  buf_json_key(buf, "channel");
  buf_json_text(buf, step->channel);
  if (step->address.len > 0 && !step->fixed) {
    struct buf masked = BUF_INIT(IDENTITY_VALUE_BYTES_MAX);

    buf_identity_masked(&masked, step->address_kind, step->address);
    buf_json_key(buf, "to");
    buf_json_text(buf, buf_as_text(&masked));
    buf_done(&masked);
  }
  buf_json_key(buf, "until");
  buf_json_str(buf, until_name(step->until));
  if (step->within_ms > 0) {
    buf_json_key(buf, "within");
    buf_char(buf, '"');
    buf_span(buf, step->within_ms);
    buf_char(buf, '"');
  }
  if (step->verdict != STEP_GO) {
    buf_json_key(buf, "verdict");
    buf_json_str(buf, step_verdict_name(step->verdict));
  }
}

static void plan_told(struct buf *buf, const struct decision *decision, explain_step_fn *more, void *arg)
{
  buf_char(buf, '[');
  for (size_t i = 0; i < decision->n_steps; i++) {
    plan_step(buf, &decision->steps[i]);
    if (more != NULL)
      more(buf, i, &decision->steps[i], arg);
    buf_char(buf, '}');
  }
  buf_char(buf, ']');
}

void buf_plan(struct buf *buf, const struct decision *decision)
{
  plan_told(buf, decision, NULL, NULL);
}

static void rule(struct buf *buf, size_t step, const struct decided_step *decided, const char *name,
                 const char *verdict)
{
  buf_json_comma(buf);
  buf_char(buf, '{');
  buf_json_key(buf, "rule");
  buf_json_str(buf, name);
  buf_json_key(buf, "step");
  buf_uint(buf, step);
  buf_json_key(buf, "channel");
  buf_json_text(buf, decided->channel);
  buf_json_key(buf, "verdict");
  buf_json_str(buf, verdict);
  buf_char(buf, '}');
}

/* The rules of one step in the order they were asked; behind the one that stopped it none was. */
static void step_rules(struct buf *buf, const struct decision *decision, size_t index)
{
  const struct decided_step *step = &decision->steps[index];
  bool needs_none = step->fixed;

  if (step->verdict == STEP_NO_ADDRESS) {
    rule(buf, index, step, "address", "no_address");
    return;
  }
  if (step->verdict == STEP_SUPPRESSED || step->verdict == STEP_OPTED_OUT) {
    rule(buf, index, step, "address", "found");
    rule(buf, index, step, "suppression", step_verdict_name(step->verdict));
    return;
  }
  rule(buf, index, step, "address", needs_none ? "none needed" : "found");
  if (!needs_none)
    rule(buf, index, step, "suppression", "pass");
  rule(buf, index, step, "consent", step->verdict == STEP_NO_CONSENT ? "no_consent" : "pass");
}

static void warnings(struct buf *buf, const struct decision *decision)
{
  for (size_t i = 0; i < decision->n_warnings; i++) {
    buf_json_comma(buf);
    buf_char(buf, '{');
    buf_json_key(buf, "code");
    buf_json_str(buf, decision->warnings[i].code);
    buf_json_key(buf, "detail");
    buf_json_text(buf, decision->warnings[i].detail);
    buf_char(buf, '}');
  }
}

static void word_or_null(struct buf *buf, const char *key, const char *word)
{
  buf_json_key(buf, key);
  if (word == NULL)
    buf_str(buf, "null");
  else
    buf_json_str(buf, word);
}

void buf_explain(struct buf *buf, const struct decision *decision, explain_step_fn *more, void *arg)
{
  buf_char(buf, '{');
  word_or_null(buf, "verdict", decision->first >= 0 ? "send" : decision->end);
  word_or_null(buf, "reason", decision->reason);
  buf_json_key(buf, "first_step");
  if (decision->first >= 0)
    buf_int(buf, decision->first);
  else
    buf_str(buf, "null");
  word_or_null(buf, "consent", decision->consent_rule);
  buf_json_key(buf, "rules");
  buf_char(buf, '[');
  for (size_t i = 0; i < decision->n_steps; i++)
    step_rules(buf, decision, i);
  buf_char(buf, ']');
  buf_json_key(buf, "plan");
  plan_told(buf, decision, more, arg);
  buf_json_key(buf, "warnings");
  buf_char(buf, '[');
  warnings(buf, decision);
  buf_char(buf, ']');
  buf_char(buf, '}');
}
