#include "imap_inside.h"
#include <stdio.h>
#include <stdlib.h>

enum {
  CONNECT_MS = 30000,
  TICK_MS = 1000,
  FAILURES_TO_DOWN = 5, /* in a row that may pass: then an operator should look */
  LINE_MAX_BYTES = IMAP_WHY_MAX + 200
};

int64_t imap_mono_ms(void *arg)
{
  const parley_host *host = ((struct imap *)arg)->parts.host;

  return host->mono_ms(host);
}

bool imap_connected(const struct imap *imap)
{
  return imap->stream != 0 && imap->session.state != IMAP_OVER && imap->session.state != IMAP_LEAVING;
}

/* --- Telling ------------------------------------------------------------------------------------------------------ */
void imap_log(struct imap *imap, uint32_t level, const char *event, uint32_t uid, const char *why)
{
  const parley_host *host = imap->parts.host;
  char line[LINE_MAX_BYTES];
  int len = snprintf(line, sizeof line, "event=%s uidvalidity=%u uid=%u why=\"%s\"", event, imap->place.uidvalidity, uid, why);

  host->log(host, level, (parley_text){line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1});
}

void imap_health_tell(struct imap *imap, uint32_t level, const char *why, parley_text remedy)
{
  if (imap->level == level && strcmp(imap->cause, why) == 0)
    return;
  imap->level = level;
  snprintf(imap->cause, sizeof imap->cause, "%s", why);
  imap->parts.health(level, parley_text_of(imap->cause), remedy, imap->parts.arg);
}

static parley_text remedy_of(const struct imap *imap, enum imap_stage stage)
{
  switch (stage) {
  case IMAP_CONNECT:
  case IMAP_GREETING:
  case IMAP_CAPABLE: return PARLEY_LIT("is the server of option imap.url reachable from here, and does it speak IMAP there?");
  case IMAP_STARTTLS: return PARLEY_LIT("check the port and the certificate; imaps:// speaks TLS from the first byte");
  case IMAP_AUTH:
    return imap->parts.options->session.bearer
               ? PARLEY_LIT("parley channel login, with a scope that lets read mail, then let parleyd read its configuration")
               : PARLEY_LIT("check user and password of imap; many providers want an app password, or oauth");
  case IMAP_SELECT: return PARLEY_LIT("check imap.mailbox: the folder must be there, and this user must be allowed to read it");
  case IMAP_LIST:
  case IMAP_PIECE:
  case IMAP_ACT:
  case IMAP_WAIT:
  case IMAP_LOGOUT: break;
  }
  return PARLEY_LIT("look at the mail server's own log");
}

/* --- The session's owner ------------------------------------------------------------------------------------------- */
static void on_write(parley_bytes bytes, void *arg)
{
  struct imap *imap = arg;

  imap->parts.stream->write(imap->parts.host, imap->stream, bytes);
}

static void on_secure(size_t unused, void *arg)
{
  struct imap *imap = arg;
  const parley_tls tls = {.size = sizeof tls, .server_name = parley_text_of(imap->parts.options->server.name)};

  imap->parts.stream->secure(imap->parts.host, imap->stream, &tls, 0, unused);
}

static void on_close(bool now, void *arg)
{
  struct imap *imap = arg;

  imap->parts.stream->close(imap->parts.host, imap->stream, now);
}

static void on_ready(void *arg)
{
  struct imap *imap = arg;

  imap->failures = 0;
  if (imap->parts.oauth != NULL)
    email_oauth_accepted(imap->parts.oauth);
  if (imap->session.read_only && imap->parts.options->session.after != IMAP_KEEP)
    imap_health_tell(imap, PARLEY_DEGRADED,
                     "the server lets this user read the mailbox only, so that nothing is marked, moved or deleted",
                     PARLEY_LIT("give it write access, or set imap.after: keep"));
  else
    imap_health_tell(imap, PARLEY_UP, "", PARLEY_LIT(""));
  imap_place_meets(imap);
  imap->next_ms = 0;
  imap_go_on(imap);
}

/* The host's word on a certificate; an operator has to do something. */
static bool is_certificate(const struct imap_failure *failure)
{
  return (failure->stage == IMAP_CONNECT || failure->stage == IMAP_STARTTLS) && strncmp(failure->why, "tls_", 4) == 0 &&
         strcmp(failure->why, "tls_failed") != 0;
}

static void failure_count(struct imap *imap, const struct imap_failure *failure)
{
  const parley_host *host = imap->parts.host;
  char why[IMAP_WHY_MAX + 1];

  imap->failures++;
  imap->next_ms = imap_mono_ms(imap) + email_backoff_ms(imap->failures);
  host->metric(host, "email_imap_failures", parley_text_of(imap_stage_name(failure->stage)), 1);
  snprintf(why, sizeof why, "imap %s: %s", imap_stage_name(failure->stage), failure->why);
  if (failure->credentials || failure->configured || is_certificate(failure) || imap->failures >= FAILURES_TO_DOWN)
    imap_health_tell(imap, PARLEY_DOWN, why, remedy_of(imap, is_certificate(failure) ? IMAP_STARTTLS : failure->stage));
  else
    imap_log(imap, PARLEY_INFO, "imap_connection_lost", 0, why);
}

static void on_failed(const struct imap_failure *failure, void *arg)
{
  struct imap *imap = arg;

  imap_batch_lost(imap);
  if (imap->draining || imap->stopping)
    return;
  if (failure->credentials && imap->parts.oauth != NULL && email_oauth_refused(imap->parts.oauth, imap->generation))
    return; /* another token is on its way */
  failure_count(imap, failure);
}

static const struct imap_owner session_owner = {.now_ms = imap_mono_ms, .write = on_write, .secure = on_secure, .close = on_close,
                                                .ready = on_ready, .found = imap_found, .piece = imap_piece, .done = imap_done,
                                                .failed = on_failed};

/* --- The connection ------------------------------------------------------------------------------------------------ */
static void stop_finish(struct imap *imap)
{
  parley_call *over = imap->over;

  if (over == NULL || imap->stream != 0)
    return;
  imap->over = NULL;
  over(imap->over_arg);
}

static void link_opened(const parley_peer *peer, void *arg)
{
  struct imap *imap = arg;

  if (!imap->parts.options->server.implicit_tls || peer->secured) /* else it comes again when TLS stands */
    imap_session_opened(&imap->session, peer->secured != 0);
}

static size_t link_data(parley_bytes bytes, void *arg)
{
  return imap_session_data(&((struct imap *)arg)->session, bytes);
}

static void link_closed(const parley_result *result, void *arg)
{
  struct imap *imap = arg;

  imap_session_closed(&imap->session, result->reason.len > 0 ? result->reason : PARLEY_LIT("the connection ended"));
  imap->stream = 0;
  if (imap->stopping) {
    stop_finish(imap);
    return;
  }
  imap_batch_cut(imap);
}

static const parley_stream_events link_events = {.size = sizeof link_events, .opened = link_opened, .data = link_data,
                                                 .closed = link_closed};

static void link_open(struct imap *imap)
{
  const struct imap_options *options = imap->parts.options;
  const parley_tls tls = {.size = sizeof tls, .server_name = parley_text_of(options->server.name)};

  if (imap->parts.oauth != NULL)
    email_oauth_token(imap->parts.oauth, &imap->generation);
  imap_session_init(&imap->session, &options->session, &session_owner, imap);
  imap->stream = imap->parts.stream->connect(imap->parts.host,
                                             PARLEY_REF(parley_endpoint, .address = parley_text_of(options->server.address),
                                                        .connect_ms = CONNECT_MS, .read_max = IMAP_RESPONSE_MAX + 65536,
                                                        .tls = options->server.implicit_tls ? &tls : NULL),
                                             &link_events, imap);
}

static void place_got(const parley_result *result, void *arg)
{
  struct imap *imap = arg;

  imap->asking = false;
  if (result->status == PARLEY_OK)
    imap_place_read(&imap->place, result->value);
  imap->place_known = result->status == PARLEY_OK || result->status == PARLEY_NOT_FOUND;
  if (!imap->place_known)
    imap->next_ms = imap_mono_ms(imap) + EMAIL_BACKOFF_MIN_MS;
}

/* No connection: one is opened when it is time, all that was taken is settled, and there is something to log in with. */
static void connect_maybe(struct imap *imap)
{
  const parley_host *host = imap->parts.host;

  if (imap->draining || imap->asking || imap->putting || imap->n_taking > 0 || imap_mono_ms(imap) < imap->next_ms)
    return;
  if (!imap->place_known) {
    imap->asking = true;
    host->state_get(host, parley_text_of(imap->key), place_got, imap);
    return;
  }
  if (imap->parts.oauth == NULL || email_oauth_ready(imap->parts.oauth))
    link_open(imap);
}

static void tick(void *arg)
{
  struct imap *imap = arg;

  if (imap->stream == 0) {
    connect_maybe(imap);
    return;
  }
  imap_session_sweep(&imap->session);
  imap_go_on(imap);
}

/* --- For the channel ----------------------------------------------------------------------------------------------- */
struct imap *imap_new(const struct imap_parts *parts)
{
  struct imap *imap = calloc(1, sizeof *imap);

  if (imap == NULL)
    return NULL;
  imap->parts = *parts;
  imap_place_key(parts->options->server.address, parts->options->session.user, parts->options->session.mailbox, imap->key);
  imap->timer = parts->host->timer(parts->host, 0, TICK_MS, tick, imap);
  return imap;
}

void imap_token_got(struct imap *imap)
{
  if (imap->stream == 0)
    connect_maybe(imap);
}

void imap_token_failed(struct imap *imap, bool for_good, parley_text why)
{
  char words[IMAP_WORDS_MAX + 1];

  if (imap->stream != 0)
    return;
  imap_words(why, words);
  failure_count(imap, &(struct imap_failure){.stage = IMAP_AUTH, .credentials = for_good, .why = words});
}

void imap_drain(struct imap *imap)
{
  bool idle = imap->task == IMAP_TASK_WAIT || imap->task == IMAP_TASK_LIST || (imap->task == IMAP_TASK_NONE && imap->n_taking == 0);

  imap->draining = true;
  if (imap->stream != 0 && idle)
    imap_session_quit(&imap->session);
}

void imap_stop(struct imap *imap, parley_call *over, void *arg)
{
  imap->draining = imap->stopping = true;
  imap->over = over;
  imap->over_arg = arg;
  if (imap->stream != 0)
    imap_session_quit(&imap->session);
  stop_finish(imap);
}

uint32_t imap_level(const struct imap *imap, parley_text *ret_cause)
{
  *ret_cause = parley_text_of(imap->cause);
  return imap->level;
}

void imap_free(struct imap **imap)
{
  if (*imap != NULL)
    imap_fetching_drop(*imap);
  free(*imap);
  *imap = NULL;
}
