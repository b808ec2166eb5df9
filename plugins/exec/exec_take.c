/* exec.h: what the lines of a program mean. Nothing it says is trusted: tokens are matched to those it holds, reports
 * are bounded, and a line that cannot be understood is counted and logged, until there are too many. */
#include "exec.h"
#include <stdlib.h>

/* --- What cannot be understood ---------------------------------------------------------------------------------------
 */

/* Says where and why, never what: a line may hold a customer's words. */
static void line_bad(parley_channel *ch, const char *code, const char *where, const char *detail)
{
  int64_t now = exec_now(ch);
  char why[EXEC_WHY_ROOM];

  if (now - ch->bad_since_ms >= EXEC_BAD_SPAN_MS) {
    ch->bad_since_ms = now;
    ch->bad_lines = 0;
  }
  ch->host->metric(ch->host, "exec_bad_lines", (parley_text){NULL, 0}, 1);
  if (exec_flow_may_log(ch))
    exec_log(ch, PARLEY_WARN, "event=program_line_bad line=%llu code=%s at=\"%s\" why=\"%s\"",
             (unsigned long long)ch->n_lines, code, where, detail);
  if (++ch->bad_lines < EXEC_BAD_LINES_MAX)
    return;
  ch->deaf = true;
  snprintf(why, sizeof why, "%d lines that are no protocol; the last: line %llu: %.80s", EXEC_BAD_LINES_MAX,
           (unsigned long long)ch->n_lines, detail);
  exec_life_end(ch, why);
}

/* Secrets masked, control bytes and what is no UTF-8 replaced, cut. */
static void words_make(const parley_channel *ch, parley_text from, char *to, size_t room)
{
  char masked[EXEC_STDERR_LINE_MAX + 1];
  size_t len = exec_options_mask(&ch->options, from, masked, sizeof masked);

  exec_text_clean((parley_text){masked, len}, to, room);
}

static parley_text words_of(const parley_channel *ch, parley_text from, char *to, size_t room)
{
  words_make(ch, from, to, room);
  return parley_text_of(to);
}

/* --- Settlements -----------------------------------------------------------------------------------------------------
 */

static void token_unknown(parley_channel *ch, uint64_t token)
{
  if (ch->n_given_up > 0 && token >= ch->first_token && token <= ch->last_token) {
    ch->n_given_up--; /* it came too late, which is no lie */
    if (exec_flow_may_log(ch))
      exec_log(ch, PARLEY_WARN, "event=program_settled_late token=%llu line=%llu", (unsigned long long)token,
               (unsigned long long)ch->n_lines);
    return;
  }
  line_bad(ch, "unknown_token", "/token", "this token is not open: settled before, or never given to this program");
}

static void settle_take(parley_channel *ch, struct exec_line *line)
{
  struct exec_send *send = exec_send_find(ch, line->token);
  char code[EXEC_CODE_BYTES_MAX + 1], detail[EXEC_DETAIL_BYTES_MAX + 1];

  if (send == NULL) {
    token_unknown(ch, line->token);
    return;
  }
  line->outcome.code = words_of(ch, line->outcome.code, code, sizeof code);
  line->outcome.detail = words_of(ch, line->outcome.detail, detail, sizeof detail);
  exec_settle(ch, send, &line->outcome);
}

/* The token is there, the rest makes no sense: whatever it did, it is not known. */
static void settle_garbled(parley_channel *ch, const struct exec_line *line, const struct json_faults *faults)
{
  struct exec_send *send = line->type == EXEC_SETTLE ? exec_send_find(ch, line->token) : NULL;

  if (send != NULL)
    exec_settle_as(ch, send, PARLEY_OUTCOME_UNKNOWN, "bad_settlement",
                   faults->count > 0 ? faults->faults[0].detail : NULL);
}

/* --- Reports: their `done` goes back once they are committed
 * ----------------------------------------------------------- */

struct report {
  parley_channel *ch;
  uint32_t life; /* of the program that made it: another one knows nothing of it */
  size_t id_len;
  char id[EXEC_ID_BYTES_MAX];
};

static void report_done(const parley_result *result, void *arg)
{
  struct report *report = arg;
  parley_channel *ch = report->ch;

  ch->reports--;
  if (report->id_len > 0 && report->life == ch->life && ch->child.pid != 0) {
    exec_done_write(&ch->writer, (parley_text){report->id, report->id_len}, result);
    (void)exec_flow_say(ch); /* fails when it has just ended */
  }
  free(report);
  if (ch->state != EXEC_GONE)
    exec_look(ch);
}

static void receipt_take(parley_channel *ch, struct exec_line *line, struct report *report)
{
  char code[EXEC_CODE_BYTES_MAX + 1], detail[EXEC_DETAIL_BYTES_MAX + 1];

  line->receipt.code = words_of(ch, line->receipt.code, code, sizeof code);
  line->receipt.detail = words_of(ch, line->receipt.detail, detail, sizeof detail);
  ch->host->receipt(ch->host, &line->receipt, report_done, report);
}

static void report_make(parley_channel *ch, struct exec_line *line)
{
  struct report *report = malloc(sizeof *report);

  if (report == NULL) {
    exec_life_end(ch, "no memory for its reports");
    return;
  }
  *report = (struct report){.ch = ch, .life = ch->life, .id_len = line->id.len};
  if (line->id.len > 0)
    memcpy(report->id, line->id.at, line->id.len); /* the reader has bounded it */
  ch->reports++;
  if (line->type == EXEC_RECEIPT)
    receipt_take(ch, line, report);
  else if (line->type == EXEC_INBOUND)
    ch->host->inbound(ch->host, &line->inbound, report_done, report);
  else
    ch->host->event(ch->host, &line->event, report_done, report);
}

/* --- Words
 * ------------------------------------------------------------------------------------------------------------- */

/* event=... line="...": a quote within would end it. */
static void words_log(parley_channel *ch, uint32_t level, const char *event, const char *words)
{
  char quoted[EXEC_LOG_BYTES_MAX];
  size_t len = 0;

  for (; *words != '\0' && len + 2 < sizeof quoted; words++) {
    if (*words == '"' || *words == '\\')
      quoted[len++] = '\\';
    quoted[len++] = *words;
  }
  quoted[len] = '\0';
  exec_log(ch, level, "event=%s line=\"%s\"", event, quoted);
}

void exec_take_words(parley_channel *ch, parley_text line)
{
  char words[EXEC_LOG_BYTES_MAX];

  words_make(ch, line, words, sizeof words);
  if (words[0] == '\0')
    return;
  snprintf(ch->last_words, sizeof ch->last_words, "%.*s", EXEC_WHY_ROOM - 1, words);
  if (exec_flow_may_log(ch))
    words_log(ch, PARLEY_INFO, "program_stderr", words);
}

static void log_take(parley_channel *ch, const struct exec_line *line)
{
  char words[EXEC_LOG_BYTES_MAX];

  if (!exec_flow_may_log(ch))
    return;
  words_make(ch, line->text, words, sizeof words);
  words_log(ch, line->level, "program_log", words);
}

void exec_take_health(parley_channel *ch)
{
  struct exec_health health = ch->health;

  ch->health.level = 0;
  if (ch->state == EXEC_RUNNING)
    ch->host->health(ch->host, health.level, parley_text_of(health.cause), parley_text_of(health.remedy));
}

/* It says how it is; the newest of what it says too often is told when its second is over. */
static void health_take(parley_channel *ch, const struct exec_line *line)
{
  bool at_once = ch->health.level == 0 && exec_flow_may_log(ch);

  ch->health.level = line->level;
  words_make(ch, line->text, ch->health.cause, sizeof ch->health.cause);
  words_make(ch, line->remedy, ch->health.remedy, sizeof ch->health.remedy);
  if (at_once)
    exec_take_health(ch);
}

static void window_take(parley_channel *ch, const struct exec_line *line)
{
  uint32_t most = ch->options.capabilities.in_flight;

  ch->window = line->in_flight < most ? line->in_flight : most;
  exec_window_tell(ch);
}

/* --- A line
 * ------------------------------------------------------------------------------------------------------------ */

static void line_act(parley_channel *ch, struct exec_line *line)
{
  switch (line->type) {
  case EXEC_READY:
    exec_life_ready(ch);
    break;
  case EXEC_SETTLE:
    settle_take(ch, line);
    return;
  case EXEC_RECEIPT:
  case EXEC_INBOUND:
  case EXEC_EVENT:
    report_make(ch, line);
    return;
  case EXEC_HEALTH:
    health_take(ch, line);
    break;
  case EXEC_LOG:
    log_take(ch, line);
    break;
  case EXEC_WINDOW:
    window_take(ch, line);
    break;
  }
  ch->chatter++; /* what moves no message */
}

static bool line_blank(parley_text line)
{
  size_t i = 0;

  while (i < line.len && (line.at[i] == ' ' || line.at[i] == '\t' || line.at[i] == '\r'))
    i++;
  return i == line.len;
}

void exec_take_line(parley_channel *ch, parley_text text, bool too_long)
{
  struct json_faults faults = {.count = 0};
  struct exec_line line;

  ch->n_lines++;
  if (too_long) {
    line_bad(ch, "too_long", "", "longer than max_line");
    return;
  }
  if (line_blank(text))
    return;
  if (exec_line_read(text, &line, &faults)) {
    line_act(ch, &line);
  } else {
    settle_garbled(ch, &line, &faults);
    line_bad(ch, faults.count > 0 ? faults.faults[0].code : "no_memory",
             faults.count > 0 ? faults.faults[0].pointer : "",
             faults.count > 0 ? faults.faults[0].detail : "out of memory");
  }
  exec_line_done(&line);
}
