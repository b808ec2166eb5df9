#include "imap_session.h"
#include <stdio.h>
#include <strings.h>

const char *imap_stage_name(enum imap_stage stage)
{
  switch (stage) {
  case IMAP_CONNECT: return "connect";
  case IMAP_GREETING: return "greeting";
  case IMAP_CAPABLE: return "capability";
  case IMAP_STARTTLS: return "starttls";
  case IMAP_AUTH: return "auth";
  case IMAP_SELECT: return "select";
  case IMAP_LIST: return "search";
  case IMAP_PIECE: return "fetch";
  case IMAP_ACT: return "after";
  case IMAP_WAIT: return "idle";
  case IMAP_LOGOUT: return "logout";
  }
  return "";
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */
static int64_t now_ms(const struct imap_session *session)
{
  return session->owner->now_ms(session->arg);
}

static void over(struct imap_session *session, const struct imap_failure *failure)
{
  enum imap_state before = session->state;

  if (before == IMAP_OVER)
    return;
  session->state = IMAP_OVER;
  session->deadline_ms = 0;
  session->owner->close(true, session->arg);
  if (before != IMAP_LEAVING)
    session->owner->failed(failure, session->arg);
}

static void lost(struct imap_session *session, const char *why)
{
  over(session, &(struct imap_failure){.stage = session->stage, .why = why});
}

static void refused(struct imap_session *session, bool credentials, const char *why)
{
  over(session, &(struct imap_failure){.stage = session->stage, .credentials = credentials, .configured = !credentials, .why = why});
}

static void deadline_set(struct imap_session *session)
{
  session->deadline_ms = now_ms(session) + IMAP_ANSWER_MS;
}

static void command_begin(struct imap_session *session, struct imap_command *command, enum imap_stage stage, const char *verb)
{
  command->len = 0;
  command->bad = false;
  session->stage = stage;
  session->tag++;
  imap_put_word(command, "P");
  imap_put_number(command, session->tag);
  imap_put_word(command, " ");
  imap_put_word(command, verb);
}

static void command_send(struct imap_session *session, struct imap_command *command)
{
  imap_put_end(command);
  if (command->bad) {
    refused(session, false, "a value of the options cannot be written as IMAP (too long, or characters that have no place there)");
    return;
  }
  deadline_set(session);
  session->owner->write((parley_bytes){command->at, command->len}, session->arg);
}

static void command_word(struct imap_session *session, enum imap_stage stage, const char *verb)
{
  struct imap_command command;

  command_begin(session, &command, stage, verb);
  command_send(session, &command);
}

/* --- Logging in --------------------------------------------------------------------------------------------------- */
static void capability_ask(struct imap_session *session)
{
  session->capable = false;
  command_word(session, IMAP_CAPABLE, "CAPABILITY");
}

static void select_ask(struct imap_session *session)
{
  struct imap_command command;

  command_begin(session, &command, IMAP_SELECT, session->config->after == IMAP_KEEP ? "EXAMINE " : "SELECT ");
  imap_put_mailbox(&command, session->config->mailbox);
  command_send(session, &command);
}

static struct sasl_bearer bearer_of(const struct imap_session *session)
{
  const struct imap_config *config = session->config;

  return (struct sasl_bearer){.user = config->user, .token = config->token, .host = config->host, .port = config->port,
                              .xoauth2 = session->offers.auth_xoauth2};
}

/* The initial response of the mechanism. */
static void sasl_put(struct imap_session *session, struct imap_command *command)
{
  const struct imap_config *config = session->config;
  const struct sasl_bearer bearer = bearer_of(session);
  char coded[SASL_RESPONSE_MAX + 1];
  size_t len = config->bearer ? sasl_bearer_write(&bearer, coded) : sasl_plain_write(config->user, config->password, coded);

  if (len == 0)
    command->bad = true;
  imap_put(command, (parley_text){coded, len});
}

static void authenticate(struct imap_session *session)
{
  const struct sasl_bearer bearer = bearer_of(session);
  struct imap_command command;

  command_begin(session, &command, IMAP_AUTH, "AUTHENTICATE ");
  imap_put_word(&command, session->config->bearer ? sasl_bearer_name(&bearer) : "PLAIN");
  session->sasl_waits = !session->offers.sasl_ir;
  if (session->offers.sasl_ir) {
    imap_put_word(&command, " ");
    sasl_put(session, &command);
  }
  command_send(session, &command);
}

static void login(struct imap_session *session)
{
  struct imap_command command;

  command_begin(session, &command, IMAP_AUTH, "LOGIN ");
  imap_put_quoted(&command, session->config->user);
  imap_put_word(&command, " ");
  imap_put_quoted(&command, session->config->password);
  command_send(session, &command);
}

static void auth_begin(struct imap_session *session)
{
  const struct imap_offers *offers = &session->offers;

  session->stage = IMAP_AUTH;
  if (session->config->bearer && !offers->auth_xoauth2 && !offers->auth_oauthbearer)
    refused(session, false, "the server offers neither XOAUTH2 nor OAUTHBEARER");
  else if (session->config->bearer || offers->auth_plain)
    authenticate(session);
  else if (offers->login_disabled)
    refused(session, false, "the server takes no password (LOGINDISABLED, no AUTH=PLAIN)");
  else
    login(session);
}

static void capable(struct imap_session *session)
{
  if (!session->capable || !session->offers.imap4) {
    lost(session, "the server speaks no IMAP4rev1");
  } else if (session->secured || session->config->tls == IMAP_TLS_OFF) {
    auth_begin(session);
  } else if (!session->offers.starttls) {
    session->stage = IMAP_STARTTLS;
    refused(session, false, "the server does not offer STARTTLS");
  } else {
    command_word(session, IMAP_STARTTLS, "STARTTLS");
  }
}

static void greeting_read(struct imap_session *session, const struct imap_response *response)
{
  char why[IMAP_WORDS_MAX + 1];

  if (response->kind == IMAP_OK && response->tag == 0) {
    capability_ask(session); /* what the greeting claims is not believed before TLS */
  } else if (response->kind == IMAP_PREAUTH) {
    refused(session, false, "the server lets in without a login (PREAUTH), so that STARTTLS cannot be had");
  } else {
    imap_words(response->rest, why);
    lost(session, response->kind == IMAP_BYE ? why : "the server's greeting is no IMAP");
  }
}

/* RFC 5530: of these only the operator can do something about it; without a code a refused login is one of them. */
static bool is_passing(parley_text code)
{
  static const char *const passing[] = {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"};

  for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
    if (imap_code_is(code, passing[i], NULL))
      return true;
  return false;
}

static void login_answered(struct imap_session *session, const struct imap_response *response, size_t behind)
{
  char why[IMAP_WORDS_MAX + 1];

  imap_words(response->rest, why);
  if (response->kind != IMAP_OK) {
    if (is_passing(response->code) || session->stage == IMAP_CAPABLE)
      lost(session, why);
    else
      refused(session, session->stage == IMAP_AUTH, why);
  } else if (session->stage == IMAP_CAPABLE) {
    capable(session);
  } else if (session->stage == IMAP_STARTTLS) {
    session->owner->secure(behind, session->arg);
  } else if (session->stage == IMAP_AUTH) {
    command_word(session, IMAP_CAPABLE, "CAPABILITY"); /* IDLE and MOVE are often told only now; its answer selects */
    session->logged_in = true;
  } else if (session->uidvalidity == 0 || session->uidnext == 0) {
    refused(session, false, "the mailbox has no UIDVALIDITY and UIDNEXT: what was taken could not be told from what is new");
  } else {
    session->read_only = imap_code_is(response->code, "READ-ONLY", NULL);
    session->state = IMAP_READY;
    session->news = false; /* SELECT tells what there is */
    session->deadline_ms = 0;
    session->owner->ready(session->arg);
  }
}

/* --- What it does for its owner ------------------------------------------------------------------------------------ */
void imap_session_list(struct imap_session *session, const struct imap_wanted *wanted)
{
  struct imap_command command;

  session->state = IMAP_BUSY;
  session->news = false; /* what comes from now on, the list may not have */
  command_begin(session, &command, IMAP_LIST, "UID SEARCH UID ");
  imap_put_number(&command, wanted->from);
  imap_put_word(&command, ":");
  if (wanted->to > 0)
    imap_put_number(&command, wanted->to);
  else
    imap_put_word(&command, "*");
  if (wanted->unseen)
    imap_put_word(&command, " UNSEEN");
  if (wanted->since_ms > 0) {
    imap_put_word(&command, " SINCE ");
    imap_put_date(&command, wanted->since_ms);
  }
  command_send(session, &command);
}

void imap_session_fetch(struct imap_session *session, uint32_t uid, uint32_t offset, uint32_t len)
{
  struct imap_command command;

  session->state = IMAP_BUSY;
  session->uid = uid;
  command_begin(session, &command, IMAP_PIECE, "UID FETCH ");
  imap_put_number(&command, uid);
  imap_put_word(&command, " (UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<");
  imap_put_number(&command, offset);
  imap_put_word(&command, ".");
  imap_put_number(&command, len);
  imap_put_word(&command, ">)");
  command_send(session, &command);
}

static void act_step(struct imap_session *session, enum imap_step step)
{
  struct imap_command command;

  session->step = step;
  command_begin(session, &command, IMAP_ACT,
                step == IMAP_STEP_CREATE    ? "CREATE "
                : step == IMAP_STEP_MOVE    ? "UID MOVE "
                : step == IMAP_STEP_COPY    ? "UID COPY "
                : step == IMAP_STEP_EXPUNGE ? "UID EXPUNGE "
                                            : "UID STORE ");
  if (step != IMAP_STEP_CREATE)
    imap_put_set(&command, session->act, session->n_act);
  if (step == IMAP_STEP_SEEN)
    imap_put_word(&command, " +FLAGS.SILENT (\\Seen)");
  if (step == IMAP_STEP_DELETED)
    imap_put_word(&command, " +FLAGS.SILENT (\\Deleted)");
  if (step == IMAP_STEP_MOVE || step == IMAP_STEP_COPY)
    imap_put_word(&command, " ");
  if (step == IMAP_STEP_MOVE || step == IMAP_STEP_COPY || step == IMAP_STEP_CREATE)
    imap_put_mailbox(&command, session->config->folder);
  command_send(session, &command);
}

static enum imap_step move_step(const struct imap_session *session)
{
  return session->offers.move ? IMAP_STEP_MOVE : IMAP_STEP_COPY;
}

void imap_session_act(struct imap_session *session, const uint32_t *uids, uint32_t n)
{
  session->n_act = n < IMAP_ACT_MAX ? n : IMAP_ACT_MAX;
  memcpy(session->act, uids, session->n_act * sizeof *uids);
  session->state = IMAP_BUSY;
  session->created = false;
  switch (session->config->after) {
  case IMAP_KEEP:
  case IMAP_SEEN: act_step(session, IMAP_STEP_SEEN); break;
  case IMAP_MOVE: act_step(session, move_step(session)); break;
  case IMAP_DELETE: act_step(session, IMAP_STEP_DELETED); break;
  }
}

static enum imap_step step_behind(const struct imap_session *session)
{
  switch (session->step) {
  case IMAP_STEP_COPY: return IMAP_STEP_DELETED;
  case IMAP_STEP_CREATE: return move_step(session);
  case IMAP_STEP_DELETED: return session->offers.uidplus ? IMAP_STEP_EXPUNGE : IMAP_STEP_NONE; /* EXPUNGE alone: others' too */
  case IMAP_STEP_SEEN:
  case IMAP_STEP_MOVE:
  case IMAP_STEP_EXPUNGE:
  case IMAP_STEP_NONE: break;
  }
  return IMAP_STEP_NONE;
}

static void finish(struct imap_session *session, bool ok, parley_text rest)
{
  char words[IMAP_WORDS_MAX + 1];

  imap_words(rest, words);
  session->state = IMAP_READY;
  session->step = IMAP_STEP_NONE;
  session->deadline_ms = 0;
  session->owner->done(ok, words, session->arg);
}

static void acted(struct imap_session *session, const struct imap_response *response)
{
  bool moving = session->step == IMAP_STEP_MOVE || session->step == IMAP_STEP_COPY;
  enum imap_step next = response->kind == IMAP_OK ? step_behind(session) : IMAP_STEP_NONE;

  if (response->kind == IMAP_NO && moving && !session->created && imap_code_is(response->code, "TRYCREATE", NULL)) {
    session->created = true;
    next = IMAP_STEP_CREATE;
  }
  if (next != IMAP_STEP_NONE)
    act_step(session, next);
  else
    finish(session, response->kind == IMAP_OK, response->rest);
}

/* --- Waiting ------------------------------------------------------------------------------------------------------ */
void imap_session_wait(struct imap_session *session)
{
  session->asked_done = session->idle_open = false;
  if (session->offers.idle) {
    session->state = IMAP_IDLING;
    session->idle_until_ms = now_ms(session) + IMAP_IDLE_MS;
    command_word(session, IMAP_WAIT, "IDLE");
    return;
  }
  session->state = IMAP_POLLING;
  session->stage = IMAP_WAIT;
  session->idle_until_ms = now_ms(session) + (session->news ? 0 : session->config->poll_ms);
}

static void idle_end(struct imap_session *session)
{
  if (!session->idle_open || session->asked_done)
    return;
  session->asked_done = true;
  deadline_set(session);
  session->owner->write(PARLEY_LIT("DONE\r\n"), session->arg);
}

static void idle_sweep(struct imap_session *session)
{
  if (now_ms(session) < session->idle_until_ms)
    return;
  if (session->state == IMAP_IDLING) {
    idle_end(session);
  } else if (session->state == IMAP_POLLING) {
    session->state = IMAP_BUSY;
    command_word(session, IMAP_WAIT, "NOOP");
  }
}

/* --- Responses ---------------------------------------------------------------------------------------------------- */
static void continued(struct imap_session *session)
{
  struct imap_command command = {.len = 0};

  if (session->stage == IMAP_AUTH && session->state == IMAP_LOGIN) {
    if (session->sasl_waits)
      sasl_put(session, &command);
    else if (!session->config->bearer) {
      lost(session, "the server asks for what PLAIN does not have");
      return;
    }
    session->sasl_waits = false; /* a second + of a bearer's tells why it is refused: an empty line makes it say so */
    command_send(session, &command);
  } else if (session->state == IMAP_IDLING && !session->idle_open) {
    session->idle_open = true;
    session->deadline_ms = 0;
    if (session->news)
      idle_end(session);
  } else {
    lost(session, "the server says + when nothing is to be continued");
  }
}

static void tagged(struct imap_session *session, const struct imap_response *response, size_t behind)
{
  if (response->tag != session->tag || session->deadline_ms == 0) {
    if (session->state == IMAP_LEAVING)
      return;
    if (session->state == IMAP_IDLING && response->tag == session->tag) /* it ends IDLE by itself */
      finish(session, true, response->rest);
    else
      lost(session, "the server answers a command that was not given");
    return;
  }
  if (session->state == IMAP_LEAVING) {
    session->state = IMAP_OVER;
    session->owner->close(false, session->arg);
  } else if (session->state == IMAP_LOGIN && session->stage == IMAP_CAPABLE && session->logged_in && response->kind == IMAP_OK) {
    select_ask(session);
  } else if (session->state == IMAP_LOGIN) {
    login_answered(session, response, behind);
  } else if (session->stage == IMAP_ACT) {
    acted(session, response);
  } else if (session->state == IMAP_IDLING && response->kind != IMAP_OK) {
    session->offers.idle = false; /* it was offered, and is not there: asked now and then instead */
    finish(session, true, response->rest);
  } else {
    finish(session, response->kind == IMAP_OK, response->rest);
  }
}

static void told(struct imap_session *session, const struct imap_response *response) /* OK and NO without a tag */
{
  uint32_t number;

  if (imap_code_is(response->code, "UIDVALIDITY", &number) && session->stage == IMAP_SELECT)
    session->uidvalidity = number;
  else if (imap_code_is(response->code, "UIDNEXT", &number) && session->stage == IMAP_SELECT)
    session->uidnext = number;
}

static void searched(struct imap_session *session, parley_text rest)
{
  uint32_t uid;

  if (session->stage != IMAP_LIST || session->state != IMAP_BUSY)
    return;
  while (imap_number_next(&rest, &uid))
    session->owner->found(uid, session->arg);
  if (rest.len > 0 && rest.at[0] != '(') /* RFC 7162 adds (MODSEQ n) */
    lost(session, "the server's SEARCH is no list of numbers");
}

static void fetched(struct imap_session *session, parley_text rest)
{
  struct imap_fetch fetch;

  if (!imap_fetch_read(rest, &fetch))
    lost(session, "the server's FETCH cannot be read");
  else if (session->stage == IMAP_PIECE && session->state == IMAP_BUSY && fetch.uid == session->uid && fetch.has_body)
    session->owner->piece(&fetch, session->arg);
}

static void responded(struct imap_session *session, const struct imap_response *response, size_t behind)
{
  char why[IMAP_WORDS_MAX + 1];

  if (session->stage == IMAP_GREETING) {
    greeting_read(session, response);
    return;
  }
  switch (response->kind) {
  case IMAP_OK:
  case IMAP_NO:
  case IMAP_BAD:
    if (response->tag != 0)
      tagged(session, response, behind);
    else
      told(session, response);
    return;
  case IMAP_BYE:
    imap_words(response->rest, why);
    if (session->state != IMAP_LEAVING)
      lost(session, why);
    return;
  case IMAP_CONTINUE: continued(session); return;
  case IMAP_CAPABILITY:
    session->capable = true;
    imap_offers_read(response->rest, &session->offers);
    return;
  case IMAP_SEARCH: searched(session, response->rest); return;
  case IMAP_EXISTS:
    session->exists = response->number;
    session->news = true;
    if (session->state == IMAP_IDLING)
      idle_end(session);
    return;
  case IMAP_FETCH: fetched(session, response->rest); return;
  case IMAP_PREAUTH:
  case IMAP_OTHER: return;
  }
}

/* --- The stream --------------------------------------------------------------------------------------------------- */
void imap_session_init(struct imap_session *session, const struct imap_config *config, const struct imap_owner *owner, void *arg)
{
  *session = (struct imap_session){.config = config, .owner = owner, .arg = arg};
  session->deadline_ms = now_ms(session) + IMAP_ANSWER_MS;
}

void imap_session_opened(struct imap_session *session, bool secured)
{
  bool by_starttls = session->stage == IMAP_STARTTLS;

  session->secured = secured;
  deadline_set(session);
  if (by_starttls)
    capability_ask(session);
  else
    session->stage = IMAP_GREETING;
}

size_t imap_session_data(struct imap_session *session, parley_bytes bytes)
{
  size_t used = 0;

  if (session->deadline_ms > 0 && session->state != IMAP_LEAVING)
    deadline_set(session);
  while (session->state != IMAP_OVER && used < bytes.len) {
    parley_bytes rest = {bytes.at + used, bytes.len - used};
    struct imap_response response;
    size_t len;
    enum imap_measured found = imap_measure(rest, &len);
    bool starttls = session->stage == IMAP_STARTTLS;

    if (found == IMAP_MEASURED_NOTHING)
      return used;
    if (found == IMAP_MEASURED_BROKEN || !imap_response_read((parley_bytes){rest.at, len}, &response)) {
      lost(session, "the server speaks no IMAP, or says more than it was asked for");
      break;
    }
    used += len;
    responded(session, &response, rest.len - len);
    if (starttls && response.tag != 0)
      return used; /* what follows is TLS, or an injection, which the host refuses */
  }
  return session->state == IMAP_OVER ? bytes.len : used;
}

void imap_session_closed(struct imap_session *session, parley_text why)
{
  char words[IMAP_WORDS_MAX + 1];

  imap_words(why, words);
  lost(session, words);
}

void imap_session_quit(struct imap_session *session)
{
  struct imap_command command;

  if (session->state == IMAP_OVER || session->state == IMAP_LEAVING)
    return;
  if (session->state != IMAP_READY && session->state != IMAP_POLLING && !(session->state == IMAP_IDLING && session->idle_open)) {
    session->state = IMAP_OVER;
    session->owner->close(true, session->arg);
    return;
  }
  if (session->state == IMAP_IDLING)
    idle_end(session);
  session->state = IMAP_LEAVING;
  command_begin(session, &command, IMAP_LOGOUT, "LOGOUT");
  command_send(session, &command);
  session->deadline_ms = now_ms(session) + IMAP_LEAVE_MS;
}

void imap_session_sweep(struct imap_session *session)
{
  if (session->state == IMAP_OVER)
    return;
  idle_sweep(session);
  if (session->deadline_ms == 0 || now_ms(session) < session->deadline_ms)
    return;
  if (session->state != IMAP_LEAVING) {
    lost(session, "the server does not answer");
    return;
  }
  session->state = IMAP_OVER;
  session->owner->close(true, session->arg);
}
