#include "email_job.h"
#include "common/json.h"
#include "mail_word.h"
#include <stdio.h>
#include <stdlib.h>

enum {
  DETAIL_MAX = 480,
  STOP_HOLD_MS = 1, /* hold for what was not tried when the channel stops */
  TRACE_LINE_MAX = EVENT_TRACE_MAX + 32,             /* bytes: the value with its name */
  TRACES_ROOM = EVENT_PROVIDERS * TRACE_LINE_MAX,
  DOT_BY_MS = 600000 /* from submit to the final dot; the host waits eleven minutes for the whole */
};

struct email_job *email_job_new(const parley_host *host, uint64_t token, const parley_message *message, int64_t mono_ms)
{
  struct email_job *job = calloc(1, sizeof *job);

  if (job == NULL)
    return NULL;
  job->host = host;
  job->token = token;
  job->message = message;
  job->taken_ms = mono_ms;
  return job;
}

static void job_settle(struct email_job **job, const parley_outcome *outcome)
{
  if ((*job)->settles != NULL)
    (*job)->settles(*job, (*job)->arg);
  (*job)->host->settle((*job)->host, (*job)->token, outcome);
  if ((*job)->composed)
    mail_done(&(*job)->mail);
  free(*job);
  *job = NULL;
}

bool email_job_signs(const struct email_job *job, const struct email_options *options)
{
  const struct email_key *keys[EMAIL_SIGNATURES_MAX];

  return email_keys_of(&options->senders, email_sender_of(&options->senders, job->message->topic), keys) > 0;
}

/* Who gets the bounce: bounce+<token>@domain where the operator named an address for it. */
static parley_text sender_write(struct email_job *job, const struct email_options *options, const struct mail_address *from)
{
  const struct mail_address *path = &options->return_path;
  const parley_message *message = job->message;
  int len;

  if (path->len == 0)
    return mail_address_text(from);
  if (!PARLEY_HAS(parley_message, message, token) || message->token.len != EMAIL_TOKEN_LEN) /* a host that makes none */
    return mail_address_text(path);
  len = snprintf(job->return_path, sizeof job->return_path, "%.*s+%.*s@%s", (int)path->domain_at - 1, path->text,
                 (int)message->token.len, message->token.at, path->text + path->domain_at);
  return (parley_text){job->return_path, (size_t)len};
}

struct traces { /* headers by which providers bring our token back */
  const char *names[EVENT_PROVIDERS];
  size_t n;
  char lines[TRACES_ROOM];
  size_t len;
};

static parley_text own_of(const json_t *headers, const char *name)
{
  const char *own;
  json_t *value;

  json_object_foreach((json_t *)(uintptr_t)headers, own, value)
    if (mail_word_is(parley_text_of(own), name))
      return (parley_text){json_string_value(value), json_string_length(value)};
  return PARLEY_LIT("");
}

/* A provider that is not told of our token tells of a mail by a name of its own, which nobody here knows. */
static bool traces_make(const struct email_job *job, const struct email_options *options, struct traces *to, const char **ret_why)
{
  const parley_message *message = job->message;
  parley_text token = PARLEY_HAS(parley_message, message, token) ? message->token : PARLEY_LIT("");
  struct json_faults faults = {0};
  json_t *root = message->override_json.len > 0 ? json_strict_load(message->override_json, &faults) : NULL;
  bool good = true;

  to->n = to->len = 0;
  for (int i = 0; i < EVENT_PROVIDERS && good; i++) {
    const char *name = event_trace_name((enum event_provider)i);
    char value[EVENT_TRACE_MAX];
    parley_status st = PARLEY_NOT_FOUND;

    if (options->traces[i])
      st = event_trace_value((enum event_provider)i, token, own_of(json_object_get(root, "headers"), name), value);
    good = st != PARLEY_INVALID;
    if (st != PARLEY_OK)
      continue;
    to->names[to->n++] = name;
    to->len += (size_t)snprintf(to->lines + to->len, sizeof to->lines - to->len, "%s: %s\r\n", name, value);
  }
  json_decref(root);
  if (!good)
    *ret_why = "X-Mailgun-Variables is no JSON object, X-SES-MESSAGE-TAGS not ASCII, or they are too long";
  return good;
}

parley_status email_job_compose(struct email_job *job, struct mail_composer *composer,
                                const struct email_options *options, const parley_bytes *media, const char **ret_why)
{
  const struct mail_mailbox *from = email_sender_of(&options->senders, job->message->topic);
  const struct email_key *keys[EMAIL_SIGNATURES_MAX];
  uint32_t n_keys = email_keys_of(&options->senders, from, keys);
  struct traces traces;
  struct mail_source source = {.from = from,
                               .to = &job->to,
                               .message = job->message,
                               .media = media,
                               .reply = options->senders.has_reply ? &options->senders.reply : NULL,
                               .without = traces.names};
  parley_status st;

  if (job->composed)
    return PARLEY_OK;
  if (!traces_make(job, options, &traces, ret_why))
    return PARLEY_INVALID;
  source.n_without = traces.n;
  source.headroom = n_keys * (size_t)DKIM_FIELD_ROOM + traces.len;
  st = mail_compose(composer, &source, &job->mail, ret_why);
  if (st != PARLEY_OK)
    return st;
  if (!mail_prepend(&job->mail, (parley_text){traces.lines, traces.len}) ||
      (n_keys > 0 && !email_sign(keys, n_keys, mail_date_ms(job->message), &job->mail))) {
    mail_done(&job->mail);
    *ret_why = "the mail cannot be signed";
    return PARLEY_RETRY;
  }
  job->composed = true;
  job->smtp = (struct smtp_job){.from = sender_write(job, options, &from->address),
                                .to = mail_address_text(&job->to),
                                .mail = {job->mail.at, job->mail.len},
                                .smtputf8 = job->to.utf8 || from->address.utf8 || options->return_path.utf8,
                                .eightbit = job->mail.eightbit,
                                .dot_by_ms = job->taken_ms + DOT_BY_MS};
  return PARLEY_OK;
}

void email_code_write(const struct smtp_reply *reply, char *to)
{
  const struct smtp_enhanced *e = reply != NULL ? &reply->enhanced : NULL;

  to[0] = '\0';
  if (reply != NULL && e->digit != 0)
    snprintf(to, EMAIL_CODE_MAX, "%u %u.%u.%u", reply->code, e->digit, e->subject, e->detail);
  else if (reply != NULL)
    snprintf(to, EMAIL_CODE_MAX, "%u", reply->code);
}

static parley_text detail_write(const struct smtp_result *result, char *to, size_t room)
{
  parley_text words = result->reply != NULL ? (parley_text){result->reply->text, result->reply->text_len} : result->why;
  int len = snprintf(to, room, "%s: %.*s", smtp_stage_name(result->stage), (int)words.len, words.at);

  return (parley_text){to, len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1};
}

void email_job_settle(struct email_job **job, const struct smtp_result *result)
{
  const struct smtp_verdict *verdict = &result->verdict;
  char code[EMAIL_CODE_MAX], detail[DETAIL_MAX];
  const parley_text id = parley_text_of((*job)->mail.id);
  parley_outcome outcome = {.size = sizeof outcome, .result = verdict->outcome, .retry_ms = verdict->retry_ms};

  email_code_write(result->reply, code);
  outcome.code = parley_text_of(code);
  outcome.detail = detail_write(result, detail, sizeof detail);
  if (verdict->by_domain && (*job)->message != NULL)
    outcome.destination = mail_address_domain(&(*job)->to);
  if (verdict->outcome == PARLEY_OUTCOME_ACCEPTED && (*job)->message != NULL) {
    outcome.ids = &id;
    outcome.n_ids = 1;
  }
  job_settle(job, &outcome);
}

void email_job_end(struct email_job **job, uint32_t outcome, uint32_t retry_ms, parley_text detail)
{
  job_settle(job, PARLEY_REF(parley_outcome, .result = outcome, .retry_ms = retry_ms, .detail = detail));
}

void email_job_stop(struct email_job **job)
{
  email_job_end(job, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, PARLEY_LIT(EMAIL_STOPS));
}
