#include "smtp_session.h"
#include <stdio.h>

enum {
  COMMAND_MS = 300000, /* RFC 5321 4.5.3.2: greeting, MAIL, RCPT 5 min */
  DATA_MS = 120000,    /* DATA 2 min */
  BLOCK_MS = 180000,   /* a block of the mail 3 min */
  TLS_MS = 60000,
  QUIT_MS = 2000,        /* the answer to QUIT changes nothing */
  BLOCK_BYTES = 32768,   /* of the mail in one write */
  CHUNK_HEAD_MAX = 40,
  WAITING_HIGH = 196608, /* bytes in the stream above which no more of the mail is written */
  CODE_GREETING = 220,
  CODE_GO_ON = 354,
  CODE_LOGGED_IN = 235,
  CODE_LOGIN_STEP = 334,
  CODE_FAREWELL = 421
};

static bool is_good(uint32_t code) { return code >= 200 && code <= 299; }
static bool is_refusal(uint32_t code) { return code >= 400; }

/* --- Leaving ------------------------------------------------------------------------------------------------------ */
static struct smtp_verdict verdict_of(uint32_t outcome)
{
  return (struct smtp_verdict){.outcome = outcome, .by_domain = false};
}

/* The job ends. The session is SMTP_OVER already or goes on behind this. */
static void job_done(struct smtp_session *session, const struct smtp_result *result)
{
  session->job = NULL;
  session->in_mail = false;
  session->owner->done(result, session->arg);
}

static void job_refused(struct smtp_session *session)
{
  const struct smtp_reply refusal = session->refusal;
  const struct smtp_result result = {.verdict = smtp_judge_reply(session->refusal_stage, &refusal),
                                     .reply = &refusal,
                                     .stage = session->refusal_stage,
                                     .untouched =
                                         session->refusal_stage == SMTP_STAGE_MAIL && refusal.code == CODE_FAREWELL};

  session->refused = false;
  job_done(session, &result);
}

/* The connection is of no more use. A job behind its dot is UNKNOWN, a refused one has its refusal, any other is not
 * out. */
static void session_over(struct smtp_session *session, parley_text why)
{
  bool dotted = smtp_session_dotted(session);
  struct smtp_result result = {.verdict = verdict_of(dotted ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_RETRY),
                               .why = why,
                               .stage = session->stage,
                               .untouched = !dotted && !session->answered};

  if (session->state == SMTP_OVER)
    return;
  session->state = SMTP_OVER;
  session->deadline_ms = 0;
  if (session->job != NULL && session->refused) {
    job_refused(session);
  } else if (session->job != NULL) {
    job_done(session, &result);
  } else if (!session->was_ready) {
    result.verdict = verdict_of(PARLEY_OUTCOME_THROTTLED);
    session->owner->failed(&result, session->arg);
  }
}

static void session_drop(struct smtp_session *session, parley_text why)
{
  session_over(session, why);
  session->owner->close(true, session->arg);
}

/* The login ended with a reply, or without one by our own rules. */
static void login_failed(struct smtp_session *session, struct smtp_verdict verdict, const struct smtp_reply *reply,
                         parley_text why)
{
  const struct smtp_result result = {.verdict = verdict, .reply = reply, .why = why, .stage = session->stage};

  session->state = SMTP_OVER;
  session->deadline_ms = 0;
  session->owner->failed(&result, session->arg);
  session->owner->close(true, session->arg);
}

static void login_refused(struct smtp_session *session)
{
  const struct smtp_reply *reply = &session->parser.reply;

  login_failed(session, smtp_judge_reply(session->stage, reply), reply, PARLEY_LIT(""));
}

static void login_forbidden(struct smtp_session *session, parley_text why)
{
  login_failed(session, verdict_of(PARLEY_OUTCOME_CHANNEL_DOWN), NULL, why);
}

/* --- Speaking ----------------------------------------------------------------------------------------------------- */
static uint32_t stage_ms(const struct smtp_session *session, enum smtp_stage stage)
{
  uint32_t ms = stage == SMTP_STAGE_DOT    ? session->config->timeout_ms
                : stage == SMTP_STAGE_DATA ? DATA_MS
                : stage == SMTP_STAGE_QUIT ? QUIT_MS
                                           : COMMAND_MS;

  return ms < session->config->timeout_ms ? ms : session->config->timeout_ms;
}

static void deadline_set(struct smtp_session *session, uint32_t after_ms)
{
  int64_t due = session->owner->now_ms(session->arg) + after_ms;

  if (session->job != NULL && session->job->dot_by_ms != 0 && !smtp_session_dotted(session) &&
      session->job->dot_by_ms < due)
    due = session->job->dot_by_ms;
  session->deadline_ms = due;
}

static void expect(struct smtp_session *session, enum smtp_stage stage)
{
  session->expected[session->n_expected++] = stage;
  session->stage = session->expected[0];
  deadline_set(session, stage_ms(session, session->stage));
}

static void say(struct smtp_session *session, const struct smtp_commands *out)
{
  session->waiting = session->owner->write((parley_bytes){out->at, out->len}, session->arg);
}

static void say_word(struct smtp_session *session, enum smtp_stage stage, const char *verb, parley_text argument)
{
  struct smtp_commands out = {0};

  smtp_put_word(&out, verb, argument);
  if (out.bad) {
    session_drop(session, PARLEY_LIT("a command would hold a control character"));
    return;
  }
  expect(session, stage);
  say(session, &out);
}

/* --- Login -------------------------------------------------------------------------------------------------------- */
static void session_ready(struct smtp_session *session)
{
  session->state = SMTP_READY;
  session->was_ready = true;
  session->deadline_ms = 0;
  session->owner->ready(session->arg);
}

static void login_bearer(struct smtp_session *session)
{
  const struct smtp_config *config = session->config;
  const struct sasl_bearer bearer = {.user = config->user, .token = config->token, .host = config->host, .port = config->port,
                                     .xoauth2 = session->offers.auth_xoauth2};
  char line[SMTP_BEARER_LINE_MAX + 1];
  size_t len;

  if (!bearer.xoauth2 && !session->offers.auth_oauthbearer) {
    login_forbidden(session, PARLEY_LIT("the server offers neither AUTH XOAUTH2 nor AUTH OAUTHBEARER"));
    return;
  }
  len = smtp_bearer_write(&bearer, line);
  if (len == 0) {
    login_forbidden(session, PARLEY_LIT("user or access token is too long or holds a character that cannot stand there"));
    return;
  }
  session->by_xoauth2 = bearer.xoauth2;
  expect(session, SMTP_STAGE_AUTH);
  session->waiting = session->owner->write((parley_bytes){line, len}, session->arg);
}

/* 334 is the reason of a refusal, in base64; the refusal itself comes when we have taken note. */
static void login_bearer_answered(struct smtp_session *session, uint32_t code)
{
  struct smtp_commands out = {0};

  if (code != CODE_LOGIN_STEP || session->login_step > 0) {
    login_refused(session);
    return;
  }
  session->login_step = 1;
  smtp_put_base64(&out, session->by_xoauth2 ? PARLEY_LIT("") : PARLEY_LIT("\001"));
  expect(session, SMTP_STAGE_AUTH);
  say(session, &out);
}

static void login_auth(struct smtp_session *session)
{
  const struct smtp_config *config = session->config;
  struct smtp_commands out = {0};

  if (config->user.len == 0) {
    session_ready(session);
    return;
  }
  session->stage = SMTP_STAGE_AUTH;
  if (!session->secured && !config->clear_auth) {
    login_forbidden(session, PARLEY_LIT("the password is not sent without TLS"));
    return;
  }
  if (config->bearer) {
    login_bearer(session);
    return;
  }
  if (!session->offers.auth_plain) {
    if (session->offers.auth_login)
      say_word(session, SMTP_STAGE_AUTH, "AUTH LOGIN", PARLEY_LIT(""));
    else
      login_forbidden(session, PARLEY_LIT("the server offers neither AUTH PLAIN nor AUTH LOGIN"));
    return;
  }
  smtp_put_auth_plain(&out, config->user, config->password);
  if (out.bad) {
    login_forbidden(session, PARLEY_LIT("user or password is too long or holds a control character"));
    return;
  }
  expect(session, SMTP_STAGE_AUTH);
  say(session, &out);
}

static void login_auth_answered(struct smtp_session *session, uint32_t code)
{
  bool by_login = !session->offers.auth_plain;
  struct smtp_commands out = {0};

  if (code == CODE_LOGGED_IN) {
    session_ready(session);
    return;
  }
  if (session->config->bearer) {
    login_bearer_answered(session, code);
    return;
  }
  if (code != CODE_LOGIN_STEP || !by_login || session->login_step == 2) {
    login_refused(session);
    return;
  }
  smtp_put_base64(&out, session->login_step++ == 0 ? session->config->user : session->config->password);
  if (out.bad) {
    login_forbidden(session, PARLEY_LIT("user or password is too long or holds a control character"));
    return;
  }
  expect(session, SMTP_STAGE_AUTH);
  say(session, &out);
}

static void login_greeted(struct smtp_session *session) /* after EHLO or HELO */
{
  enum smtp_tls tls = session->config->tls;

  session->offers.chunking = session->offers.chunking && !session->config->no_chunks;
  if (session->secured || tls == SMTP_TLS_OFF) {
    login_auth(session);
  } else if (session->offers.starttls) {
    say_word(session, SMTP_STAGE_STARTTLS, "STARTTLS", PARLEY_LIT(""));
  } else if (tls == SMTP_TLS_OPPORTUNISTIC) {
    login_auth(session);
  } else {
    session->stage = SMTP_STAGE_STARTTLS;
    login_forbidden(session, PARLEY_LIT("the server offers no STARTTLS and tls is required"));
  }
}

static void login_starttls_answered(struct smtp_session *session, uint32_t code)
{
  if (code == CODE_GREETING) {
    deadline_set(session, TLS_MS);
    session->owner->secure(session->config->tls == SMTP_TLS_REQUIRED, session->arg);
  } else if (session->config->tls == SMTP_TLS_OPPORTUNISTIC && !session->surplus) {
    login_auth(session);
  } else {
    login_refused(session);
  }
}

static void login_ehlo(struct smtp_session *session)
{
  session->offers = (struct smtp_offers){0};
  say_word(session, SMTP_STAGE_EHLO, "EHLO", session->config->helo);
}

static void login_ehlo_answered(struct smtp_session *session, uint32_t code)
{
  if (is_good(code)) {
    login_greeted(session);
  } else if (code >= 500 && !session->surplus) { /* RFC 5321 3.2: it may know HELO only */
    session->offers = (struct smtp_offers){0};
    say_word(session, SMTP_STAGE_HELO, "HELO", session->config->helo);
  } else {
    login_refused(session);
  }
}

/* --- One mail ----------------------------------------------------------------------------------------------------- */
bool smtp_session_takes(const struct smtp_session *session, const struct smtp_job *job, struct smtp_result *ret)
{
  const struct smtp_offers *offers = &session->offers;
  parley_text why = PARLEY_LIT("");

  if (job->smtputf8 && !offers->smtputf8)
    why = PARLEY_LIT("the address needs SMTPUTF8, which the server does not offer");
  else if (job->eightbit && !offers->eightbit)
    why = PARLEY_LIT("the mail needs 8BITMIME, which the server does not offer");
  else if (offers->size_max > 0 && job->mail.len > offers->size_max)
    why = PARLEY_LIT("the mail is larger than the server's limit");
  if (why.len == 0)
    return true;
  *ret = (struct smtp_result){.verdict = verdict_of(PARLEY_OUTCOME_REJECTED), .why = why, .stage = SMTP_STAGE_MAIL};
  return false;
}

static void mail_said(const struct smtp_session *session, struct smtp_commands *out)
{
  const struct smtp_job *job = session->job;
  const struct smtp_mail_flags flags = {.size = session->offers.size ? job->mail.len : 0,
                                        .eightbit = job->eightbit && session->offers.eightbit,
                                        .smtputf8 = job->smtputf8};

  smtp_put_mail(out, job->from, &flags);
}

void smtp_session_send(struct smtp_session *session, const struct smtp_job *job)
{
  struct smtp_commands out = {0};

  session->job = job;
  session->state = SMTP_SENDING;
  session->mail_at = 0;
  session->stuffer = (struct smtp_stuffer){0};
  session->in_mail = session->refused = session->answered = false;
  mail_said(session, &out);
  expect(session, SMTP_STAGE_MAIL);
  if (session->offers.pipelining) {
    smtp_put_rcpt(&out, job->to);
    expect(session, SMTP_STAGE_RCPT);
  }
  if (session->offers.pipelining && !session->offers.chunking) {
    smtp_put_word(&out, "DATA", PARLEY_LIT(""));
    expect(session, SMTP_STAGE_DATA);
  }
  if (!out.bad) /* the addresses were checked when they were made */
    say(session, &out);
}

/* "BDAT n LAST" before the first byte of a mail that goes as a chunk; to: CHUNK_HEAD_MAX bytes. */
static size_t chunk_head(const struct smtp_session *session, char *to)
{
  int n = session->offers.chunking && session->mail_at == 0
              ? snprintf(to, CHUNK_HEAD_MAX, "BDAT %zu LAST\r\n", smtp_stuffed_len(session->job->mail)) : 0;

  return n > 0 ? (size_t)n : 0;
}

/* Writes as much of the mail as the stream should hold; the dot goes with the last of it. */
static void mail_push(struct smtp_session *session)
{
  const struct smtp_job *job = session->job;
  char block[CHUNK_HEAD_MAX + BLOCK_BYTES];

  while (!smtp_session_dotted(session) && session->waiting < WAITING_HIGH) {
    parley_bytes rest = {job->mail.at + session->mail_at, job->mail.len - session->mail_at};
    size_t used = 0, n = chunk_head(session, block);

    n += smtp_stuff(&session->stuffer, rest, block + n, BLOCK_BYTES - SMTP_STUFF_ROOM_MIN, &used);

    session->mail_at += used;
    if (session->mail_at == job->mail.len) {
      n += smtp_stuff_end(&session->stuffer, block + n);
      session->in_mail = false;
      session->state = SMTP_WAITING;
      expect(session, SMTP_STAGE_DOT);
    } else {
      deadline_set(session, BLOCK_MS);
    }
    session->waiting = session->owner->write((parley_bytes){block, n}, session->arg);
  }
}

static void mail_begin(struct smtp_session *session)
{
  session->in_mail = true;
  session->stage = SMTP_STAGE_DATA;
  session->stuffer.undotted = session->offers.chunking;
  deadline_set(session, BLOCK_MS);
  mail_push(session);
}

/* All answers to a refused job's commands are in. */
static void refusal_settle(struct smtp_session *session)
{
  bool leaves =
      session->surplus || session->refusal.code == CODE_FAREWELL || session->parser.reply.code == CODE_FAREWELL;

  if (leaves) {
    session_drop(session, PARLEY_LIT("refused"));
    return;
  }
  session->state = SMTP_RESETTING;
  job_refused(session);
  if (session->state == SMTP_RESETTING) /* the owner may have left */
    say_word(session, SMTP_STAGE_RSET, "RSET", PARLEY_LIT(""));
}

static void refusal_note(struct smtp_session *session, enum smtp_stage stage)
{
  if (session->refused)
    return;
  session->refused = true;
  session->refusal = session->parser.reply;
  session->refusal_stage = stage;
}

static void data_answered(struct smtp_session *session, uint32_t code)
{
  static const struct smtp_commands dot = {.len = 3, .at = ".\r\n"};

  if (code != CODE_GO_ON) {
    refusal_note(session, SMTP_STAGE_DATA);
    refusal_settle(session);
  } else if (session->refused) { /* RFC 2920 3.1: it wants a mail for nobody, so it gets an empty one */
    expect(session, SMTP_STAGE_VOID_DOT);
    say(session, &dot);
  } else {
    mail_begin(session);
  }
}

/* MAIL or RCPT. */
static void envelope_answered(struct smtp_session *session, enum smtp_stage stage, uint32_t code)
{
  if (!is_good(code))
    refusal_note(session, stage);
  if (session->refused && (session->n_expected == 0 || code == CODE_FAREWELL)) {
    refusal_settle(session);
  } else if (session->n_expected == 0 && stage == SMTP_STAGE_MAIL) {
    struct smtp_commands out = {0};

    smtp_put_rcpt(&out, session->job->to);
    expect(session, SMTP_STAGE_RCPT);
    say(session, &out);
  } else if (session->n_expected == 0 && session->offers.chunking) {
    mail_begin(session);
  } else if (session->n_expected == 0) {
    say_word(session, SMTP_STAGE_DATA, "DATA", PARLEY_LIT(""));
  }
}

static void dot_answered(struct smtp_session *session, const struct smtp_reply *reply)
{
  const struct smtp_reply copy = *reply;
  const struct smtp_result result = {.verdict = smtp_judge_reply(SMTP_STAGE_DOT, &copy),
                                     .reply = &copy,
                                     .stage = SMTP_STAGE_DOT};
  bool leaves = copy.code == CODE_FAREWELL || session->surplus || !(is_good(copy.code) || is_refusal(copy.code));
  bool resets = session->offers.chunking && !is_good(copy.code); /* RFC 3030: behind a failed chunk comes RSET */

  session->state = leaves ? SMTP_OVER : resets ? SMTP_RESETTING : SMTP_READY;
  session->deadline_ms = 0;
  job_done(session, &result);
  if (leaves)
    session->owner->close(true, session->arg);
  else if (session->state == SMTP_RESETTING) /* else the owner has left */
    say_word(session, SMTP_STAGE_RSET, "RSET", PARLEY_LIT(""));
  else if (session->state == SMTP_READY)
    session->owner->ready(session->arg);
}

/* --- Listening ---------------------------------------------------------------------------------------------------- */
/* Nobody asked. Before the final dot a refusal is still one: the mail is not out. */
static void reply_unasked(struct smtp_session *session)
{
  if (session->in_mail && is_refusal(session->parser.reply.code))
    refusal_note(session, SMTP_STAGE_DOT);
  session_drop(session, PARLEY_LIT("a reply came before its command"));
}

static enum smtp_stage expected_pop(struct smtp_session *session)
{
  enum smtp_stage stage = session->expected[0];

  session->n_expected--;
  memmove(session->expected, session->expected + 1, session->n_expected * sizeof session->expected[0]);
  if (session->n_expected > 0) {
    session->stage = session->expected[0];
    deadline_set(session, stage_ms(session, session->stage));
  }
  return stage;
}

static void reply_dispatch(struct smtp_session *session, enum smtp_stage stage, const struct smtp_reply *reply)
{
  switch (stage) {
  case SMTP_STAGE_CONNECT: break;
  case SMTP_STAGE_GREETING:
    if (reply->code == CODE_GREETING)
      login_ehlo(session);
    else
      login_refused(session);
    break;
  case SMTP_STAGE_EHLO: login_ehlo_answered(session, reply->code); break;
  case SMTP_STAGE_HELO:
    if (is_good(reply->code))
      login_greeted(session);
    else
      login_refused(session);
    break;
  case SMTP_STAGE_STARTTLS: login_starttls_answered(session, reply->code); break;
  case SMTP_STAGE_AUTH: login_auth_answered(session, reply->code); break;
  case SMTP_STAGE_MAIL:
  case SMTP_STAGE_RCPT: envelope_answered(session, stage, reply->code); break;
  case SMTP_STAGE_DATA: data_answered(session, reply->code); break;
  case SMTP_STAGE_DOT: dot_answered(session, reply); break;
  case SMTP_STAGE_VOID_DOT: refusal_settle(session); break;
  case SMTP_STAGE_RSET:
    if (is_good(reply->code))
      session_ready(session);
    else
      session_drop(session, PARLEY_LIT("RSET was refused"));
    break;
  case SMTP_STAGE_QUIT:
    session->state = SMTP_OVER;
    session->owner->close(false, session->arg);
    break;
  }
}

static void reply_take(struct smtp_session *session, bool surplus)
{
  const struct smtp_reply *reply = &session->parser.reply;
  enum smtp_stage stage;

  session->surplus = surplus && session->n_expected <= 1;
  if (session->n_expected == 0) {
    reply_unasked(session);
    return;
  }
  stage = expected_pop(session);
  session->answered = true;
  if (session->surplus && !is_refusal(reply->code) && stage != SMTP_STAGE_DOT && stage != SMTP_STAGE_QUIT)
    session_drop(session, PARLEY_LIT("a reply came before its command"));
  else
    reply_dispatch(session, stage, reply);
}

/* EHLO's first line is the server's name, each other one an offer. */
static void offer_take(struct smtp_session *session)
{
  if (session->n_expected > 0 && session->expected[0] == SMTP_STAGE_EHLO && session->parser.reply.n_lines > 1)
    smtp_offers_line(&session->offers, session->parser.line);
}

size_t smtp_session_data(struct smtp_session *session, parley_bytes bytes)
{
  size_t at = 0;

  while (session->state != SMTP_OVER && at < bytes.len) {
    size_t used = 0;

    switch (smtp_parse(&session->parser, (parley_bytes){bytes.at + at, bytes.len - at}, &used)) {
    case SMTP_PARSED_NOTHING: return at;
    case SMTP_PARSED_BROKEN: session_drop(session, PARLEY_LIT("the server does not speak SMTP")); break;
    case SMTP_PARSED_LINE: offer_take(session); break;
    case SMTP_PARSED_REPLY:
      offer_take(session);
      reply_take(session, at + used < bytes.len);
      break;
    }
    at += used;
  }
  return session->state == SMTP_OVER ? bytes.len : at;
}

/* --- The stream --------------------------------------------------------------------------------------------------- */
void smtp_session_init(struct smtp_session *session, const struct smtp_config *config, const struct smtp_owner *owner,
                       void *arg)
{
  *session = (struct smtp_session){
      .config = config, .owner = owner, .arg = arg, .state = SMTP_LOGIN, .stage = SMTP_STAGE_CONNECT};
}

void smtp_session_opened(struct smtp_session *session, bool secured)
{
  bool upgraded = session->stage == SMTP_STAGE_STARTTLS;

  if (session->state != SMTP_LOGIN)
    return;
  session->secured = secured;
  if (upgraded && secured) {
    session->n_expected = 0;
    login_ehlo(session);
  } else {
    expect(session, SMTP_STAGE_GREETING);
  }
}

void smtp_session_writable(struct smtp_session *session)
{
  session->waiting = 0;
  if (session->in_mail && session->state == SMTP_SENDING)
    mail_push(session);
}

void smtp_session_closed(struct smtp_session *session, parley_text why)
{
  session_over(session, why);
}

void smtp_session_quit(struct smtp_session *session)
{
  if (session->state == SMTP_OVER || session->state == SMTP_QUITTING)
    return;
  if (session->state == SMTP_READY) {
    session->state = SMTP_QUITTING;
    say_word(session, SMTP_STAGE_QUIT, "QUIT", PARLEY_LIT(""));
  } else {
    session->was_ready = true; /* leaving by our own will is no failure */
    session_drop(session, PARLEY_LIT("the channel stops"));
  }
}

void smtp_session_sweep(struct smtp_session *session)
{
  if (session->deadline_ms == 0 || session->owner->now_ms(session->arg) < session->deadline_ms)
    return;
  session->answered = true; /* waiting was tried: the next one is an attempt of its own */
  session_drop(session, PARLEY_LIT("no answer in time"));
}

bool smtp_session_dotted(const struct smtp_session *session)
{
  return session->state == SMTP_WAITING;
}
