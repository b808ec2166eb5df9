/* The decision as the store keeps it. One letter a key, defaults left out: it is written once and read once a message,
 * and its bytes are in every message's row.
 *   {"f":first,"i":identity,"c":consent rule,"e":end,"r":reason,"s":[step...],"w":[[code,detail]...]}
 *   step: {"c":channel,"k":channel kind,"v":verdict,"u":until,"w":within ms,"i":identity,"a":address
 * kind,"t":address,"f":1 when fixed} */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "rules.h"
#include <string.h>

/* --- Writing ------------------------------------------------------------------------------------------------------ */

#define KEY(buf, literal) buf_add(buf, literal, sizeof(literal) - 1)

static void step_write(struct buf *buf, const struct decided_step *step)
{
  KEY(buf, "{\"c\":");
  buf_json_text(buf, step->channel);
  KEY(buf, ",\"k\":");
  buf_json_text(buf, step->channel_kind);
  if (step->verdict != STEP_GO) {
    KEY(buf, ",\"v\":");
    buf_uint(buf, step->verdict);
  }
  if (step->until != UNTIL_SENT) {
    KEY(buf, ",\"u\":");
    buf_uint(buf, step->until);
  }
  if (step->within_ms > 0) {
    KEY(buf, ",\"w\":");
    buf_uint(buf, (uint64_t)step->within_ms);
  }
  if (step->identity != 0) {
    KEY(buf, ",\"i\":");
    buf_uint(buf, step->identity);
  }
  if (step->fixed)
    KEY(buf, ",\"f\":1");
  if (step->address_kind.len > 0) {
    KEY(buf, ",\"a\":");
    buf_json_text(buf, step->address_kind);
    KEY(buf, ",\"t\":");
    buf_json_text(buf, step->address);
  }
  buf_char(buf, '}');
}

static void warnings_write(struct buf *buf, const struct decision *decision)
{
  KEY(buf, ",\"w\":[");
  for (size_t i = 0; i < decision->n_warnings; i++) {
    if (i > 0)
      buf_char(buf, ',');
    buf_char(buf, '[');
    buf_json_str(buf, decision->warnings[i].code);
    buf_char(buf, ',');
    buf_json_text(buf, decision->warnings[i].detail);
    buf_char(buf, ']');
  }
  buf_char(buf, ']');
}

void decision_write(struct buf *buf, const struct decision *decision)
{
  KEY(buf, "{\"f\":");
  buf_int(buf, decision->first);
  if (decision->identity != 0) {
    KEY(buf, ",\"i\":");
    buf_uint(buf, decision->identity);
  }
  KEY(buf, ",\"c\":");
  buf_uint(buf, consent_rule_of(decision->consent_rule));
  if (decision->end != NULL) {
    KEY(buf, ",\"e\":");
    buf_json_str(buf, decision->end);
  }
  if (decision->reason != NULL) {
    KEY(buf, ",\"r\":");
    buf_json_str(buf, decision->reason);
  }
  KEY(buf, ",\"s\":[");
  for (size_t i = 0; i < decision->n_steps; i++) {
    if (i > 0)
      buf_char(buf, ',');
    step_write(buf, &decision->steps[i]);
  }
  buf_char(buf, ']');
  if (decision->n_warnings > 0)
    warnings_write(buf, decision);
  buf_char(buf, '}');
}

/* --- Reading: strict, of just the above; texts are unescaped in place --------------------------------------------- */

struct scan {
  char *at, *end;
};

static bool scan_is(struct scan *scan, char byte)
{
  if (scan->at == scan->end || *scan->at != byte)
    return false;
  scan->at++;
  return true;
}

static bool scan_uint(struct scan *scan, uint64_t max, uint64_t *ret)
{
  char *from = scan->at;

  while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
    scan->at++;
  return text_to_uint((parley_text){from, (size_t)(scan->at - from)}, max, ret);
}

/* \u00XX, of a control byte: the only ones that are written. */
static bool scan_hex(struct scan *scan, char *to)
{
  static const char digits[] = "0123456789abcdef";
  unsigned value = 0;

  for (int i = 0; i < 4; i++) {
    const char *digit = scan->at < scan->end && *scan->at != '\0' ? strchr(digits, *scan->at) : NULL;

    if (digit == NULL)
      return false;
    value = value * 16 + (unsigned)(digit - digits);
    scan->at++;
  }
  *to = (char)value;
  return value < 0x80;
}

static bool scan_escape(struct scan *scan, char *to)
{
  if (scan->at == scan->end)
    return false;
  switch (*scan->at++) {
  case '"': *to = '"'; return true;
  case '\\': *to = '\\'; return true;
  case 'n': *to = '\n'; return true;
  case 'r': *to = '\r'; return true;
  case 't': *to = '\t'; return true;
  case 'u': return scan_hex(scan, to);
  default: return false;
  }
}

static bool scan_text(struct scan *scan, parley_text *ret)
{
  char *from, *to;

  if (!scan_is(scan, '"'))
    return false;
  for (from = to = scan->at; scan->at < scan->end && *scan->at != '"'; to++) {
    char byte = *scan->at++;

    if (byte == '\\' && !scan_escape(scan, &byte))
      return false;
    *to = byte;
  }
  *ret = (parley_text){from, (size_t)(to - from)};
  return scan_is(scan, '"');
}

/* The next member: its key of one letter. false: the object has ended, or is bad (then scan_is('}') fails as well). */
static bool scan_key(struct scan *scan, bool first, char *ret)
{
  if (scan->at < scan->end && *scan->at == '}')
    return false;
  if ((!first && !scan_is(scan, ',')) || scan->end - scan->at < 4 || scan->at[0] != '"' || scan->at[2] != '"' ||
      scan->at[3] != ':')
    return false;
  *ret = scan->at[1];
  scan->at += 4;
  return true;
}

static bool step_member(struct scan *scan, char key, struct decided_step *step)
{
  uint64_t value = 0;
  bool ok;

  switch (key) {
  case 'c': return scan_text(scan, &step->channel);
  case 'k': return scan_text(scan, &step->channel_kind);
  case 'a': return scan_text(scan, &step->address_kind);
  case 't': return scan_text(scan, &step->address);
  case 'f':
    ok = scan_uint(scan, 1, &value);
    step->fixed = value == 1;
    return ok;
  case 'i': return scan_uint(scan, INT64_MAX, &step->identity);
  case 'w':
    ok = scan_uint(scan, INT64_MAX, &value);
    step->within_ms = (int64_t)value;
    return ok;
  case 'v':
    ok = scan_uint(scan, STEP_VERDICTS - 1, &value) && value >= STEP_GO;
    step->verdict = (enum step_verdict)value;
    return ok;
  case 'u':
    ok = scan_uint(scan, UNTIL_REPLIED, &value) && value >= UNTIL_SENT;
    step->until = (enum until)value;
    return ok;
  default: return false;
  }
}

static bool step_read(struct scan *scan, struct decided_step *step)
{
  char key;

  *step = (struct decided_step){.verdict = STEP_GO, .until = UNTIL_SENT};
  if (!scan_is(scan, '{'))
    return false;
  for (bool first = true; scan_key(scan, first, &key); first = false) {
    if (!step_member(scan, key, step))
      return false;
  }
  return scan_is(scan, '}');
}

static bool steps_read(struct scan *scan, struct decision *decision)
{
  if (!scan_is(scan, '['))
    return false;
  while (!scan_is(scan, ']')) {
    if (decision->n_steps == PLAN_STEPS_MAX || (decision->n_steps > 0 && !scan_is(scan, ',')) ||
        !step_read(scan, &decision->steps[decision->n_steps++]))
      return false;
  }
  return true;
}

static bool word_read(struct scan *scan, const char **ret)
{
  parley_text word;

  if (!scan_text(scan, &word))
    return false;
  *ret = decision_word(word);
  return *ret != NULL;
}

static bool warnings_read(struct scan *scan, struct decision *decision)
{
  if (!scan_is(scan, '['))
    return false;
  while (!scan_is(scan, ']')) {
    size_t i = decision->n_warnings;

    if (i == DECISION_WARNINGS_MAX || (i > 0 && !scan_is(scan, ',')) || !scan_is(scan, '[') ||
        !word_read(scan, &decision->warnings[i].code) || !scan_is(scan, ',') ||
        !scan_text(scan, &decision->warnings[i].detail) || !scan_is(scan, ']'))
      return false;
    decision->n_warnings++;
  }
  return true;
}

static bool decision_member(struct scan *scan, char key, struct decision *decision)
{
  uint64_t value = 0;
  bool ok, minus;

  switch (key) {
  case 'f':
    minus = scan_is(scan, '-');
    ok = scan_uint(scan, PLAN_STEPS_MAX - 1, &value) && (!minus || value == 1);
    decision->first = minus ? -1 : (int)value;
    return ok;
  case 'c':
    ok = scan_uint(scan, RULE_COUNT - 1, &value);
    decision->consent_rule = consent_rule_text((enum consent_rule)value);
    return ok;
  case 'i': return scan_uint(scan, INT64_MAX, &decision->identity);
  case 'e': return word_read(scan, &decision->end);
  case 'r': return word_read(scan, &decision->reason);
  case 's': return steps_read(scan, decision);
  case 'w': return warnings_read(scan, decision);
  default: return false;
  }
}

bool decision_read(parley_bytes json, struct arena *arena, struct decision *ret)
{
  parley_text copy = arena_text(arena, (parley_text){(const char *)json.at, (size_t)json.len});
  struct scan scan = {.at = (char *)copy.at, .end = (char *)copy.at + copy.len};
  struct decision decision = {.first = -1};
  char key;

  if (!scan_is(&scan, '{'))
    return false;
  for (bool first = true; scan_key(&scan, first, &key); first = false) {
    if (!decision_member(&scan, key, &decision))
      return false;
  }
  if (!scan_is(&scan, '}') || scan.at != scan.end || decision.first >= (int)decision.n_steps)
    return false;
  *ret = decision;
  return true;
}
