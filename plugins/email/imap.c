#include "imap.h"
#include "email_backoff.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  CONNECT_MS = 30000,
  TICK_MS = 1000,
  FAILURES_TO_DOWN = 5, /* in a row that may pass: then an operator should look */
  LOOK_BACK_MS = 2 * 86400000,
  WHY_MAX = IMAP_WORDS_MAX + 120,
  LINE_MAX_BYTES = WHY_MAX + 200,
  KEY_HEX = 32,
  CURSOR_MAX = 120
};
enum mail_state { MAIL_WAITS, MAIL_TAKING, MAIL_TAKEN, MAIL_PASSED /* over, or gone */, MAIL_AGAIN };
struct mail_here { /* one mail of the batch */
  struct imap *imap;
  uint32_t uid;
  enum mail_state state;
  size_t bytes;
  int64_t at_ms;
};
struct cursor { /* durable; all up to uid was taken */
  uint32_t uidvalidity, uid;
  uint32_t catch_to; /* up to this one, only what is unread, or with since_ms: what came since */
  int64_t since_ms, newest_ms;
};
struct fetching {
  char *raw;
  size_t len, room;
  size_t last; /* bytes of the newest piece */
  bool there, none, too_large, broken;
};
enum task { TASK_NONE, TASK_LIST, TASK_FETCH, TASK_ACT, TASK_WAIT };

struct imap {
  struct imap_parts parts;
  struct imap_session session;
  uint64_t stream; /* 0: none */
  char key[sizeof "imap." + KEY_HEX];
  struct cursor cursor;
  enum task task;
  struct imap_wanted wanted;
  struct mail_here batch[IMAP_BATCH_MAX];
  uint32_t n_batch, n_next, n_kept; /* n_next: the one to fetch; n_kept: moved over by the act under way */
  struct fetching fetching;
  uint32_t n_taking;
  size_t taking_bytes;
  uint32_t failures, agains, stuck_uid, stuck_times, generation, level;
  int64_t next_ms; /* no connection, or no list, before */
  uint64_t timer;
  bool cursor_known, asking, putting, draining, stopping, act_refused;
  char cause[WHY_MAX + 1];
  parley_call *over;
  void *over_arg;
};

static void go_on(struct imap *imap);
static void fetch_next(struct imap *imap);
static void batch_end(struct imap *imap);

static int64_t mono_ms(void *arg)
{
  const parley_host *host = ((struct imap *)arg)->parts.host;

  return host->mono_ms(host);
}

static bool connected(const struct imap *imap)
{
  return imap->stream != 0 && imap->session.state != IMAP_OVER && imap->session.state != IMAP_LEAVING;
}

/* --- Telling ------------------------------------------------------------------------------------------------------ */
static void log_line(struct imap *imap, uint32_t level, const char *event, uint32_t uid, const char *why)
{
  const parley_host *host = imap->parts.host;
  char line[LINE_MAX_BYTES];
  int len = snprintf(line, sizeof line, "event=%s uidvalidity=%u uid=%u why=\"%s\"", event, imap->cursor.uidvalidity, uid, why);

  host->log(host, level, (parley_text){line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1});
}

static void health_tell(struct imap *imap, uint32_t level, const char *why, parley_text remedy)
{
  if (imap->level == level && strcmp(imap->cause, why) == 0)
    return;
  imap->level = level;
  snprintf(imap->cause, sizeof imap->cause, "%s", why);
  imap->parts.health(level, parley_text_of(imap->cause), remedy, imap->parts.arg);
}

static void count(struct imap *imap, const char *what)
{
  const parley_host *host = imap->parts.host;

  host->metric(host, "email_imap_mails", parley_text_of(what), 1);
}

static void pass_over(struct imap *imap, struct mail_here *mail, const char *why)
{
  mail->state = MAIL_PASSED;
  log_line(imap, PARLEY_WARN, "imap_mail_passed_over", mail->uid, why);
  count(imap, "passed_over");
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

/* --- The durable place --------------------------------------------------------------------------------------------- */
static void key_write(struct imap *imap)
{
  const struct imap_options *options = imap->parts.options;
  char name[IMAP_SERVER_MAX + 2100];
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int len = 0;
  int n = snprintf(name, sizeof name, "%s\n%.*s\n%.*s", options->address, (int)options->session.user.len, options->session.user.at,
                   (int)options->session.mailbox.len, options->session.mailbox.at);

  EVP_Digest(name, (size_t)n < sizeof name ? (size_t)n : sizeof name - 1, hash, &len, EVP_sha256(), NULL);
  snprintf(imap->key, sizeof imap->key, "imap.");
  for (size_t i = 0; i < KEY_HEX / 2; i++)
    snprintf(imap->key + 5 + 2 * i, 3, "%02x", hash[i]);
}

static void cursor_read(struct cursor *cursor, parley_text value)
{
  char text[CURSOR_MAX + 1];
  struct cursor read = {0};
  long long since, newest;

  snprintf(text, sizeof text, "%.*s", (int)(value.len < CURSOR_MAX ? value.len : CURSOR_MAX), value.at);
  if (sscanf(text, "%u %u %u %lld %lld", &read.uidvalidity, &read.uid, &read.catch_to, &since, &newest) != 5)
    return;
  read.since_ms = since;
  read.newest_ms = newest;
  *cursor = read;
}

static void cursor_put_done(const parley_result *result, void *arg)
{
  struct imap *imap = arg;

  imap->putting = false;
  if (imap->stopping)
    return;
  if (result->status != PARLEY_OK) /* nothing is lost: what is fetched again is known by its content */
    log_line(imap, PARLEY_WARN, "imap_place_not_kept", imap->cursor.uid, "the channel's state cannot be written");
  go_on(imap);
}

static void cursor_put(struct imap *imap)
{
  const parley_host *host = imap->parts.host;
  const struct cursor *cursor = &imap->cursor;
  char value[CURSOR_MAX + 1];

  snprintf(value, sizeof value, "%u %u %u %lld %lld", cursor->uidvalidity, cursor->uid, cursor->catch_to,
           (long long)cursor->since_ms, (long long)cursor->newest_ms);
  imap->putting = true;
  host->state_put(host, parley_text_of(imap->key), parley_text_of(value), cursor_put_done, imap);
}

/* The mailbox as it is now against what is known of it. */
static void cursor_meet(struct imap *imap)
{
  const struct imap_session *session = &imap->session;
  struct cursor *cursor = &imap->cursor;
  const parley_host *host = imap->parts.host;

  if (cursor->uidvalidity == session->uidvalidity)
    return;
  if (cursor->uidvalidity == 0) {
    *cursor = (struct cursor){.newest_ms = host->now_ms(host)};
  } else {
    log_line(imap, PARLEY_WARN, "imap_numbered_anew", 0, "UIDVALIDITY changed: the newest mail is looked through again");
    cursor->since_ms = cursor->newest_ms > LOOK_BACK_MS ? cursor->newest_ms - LOOK_BACK_MS : 1;
  }
  cursor->uidvalidity = session->uidvalidity;
  cursor->uid = 0;
  cursor->catch_to = session->uidnext - 1;
  cursor_put(imap);
}

/* --- Listing ------------------------------------------------------------------------------------------------------ */
/* In bounds, even of a mailbox with millions: up to what there was at SELECT so many at once, behind it whatever there is. */
static uint32_t list_to(const struct imap *imap)
{
  const struct cursor *cursor = &imap->cursor;
  uint32_t last = cursor->uid < cursor->catch_to ? cursor->catch_to : imap->session.uidnext - 1;

  if (cursor->uid >= last)
    return 0;
  return imap->session.exists > IMAP_LIST_MAX && last - cursor->uid > IMAP_LIST_MAX ? cursor->uid + IMAP_LIST_MAX : last;
}

static void list_next(struct imap *imap)
{
  const struct cursor *cursor = &imap->cursor;
  bool catching = cursor->uid < cursor->catch_to;

  if (imap->draining) {
    imap_session_quit(&imap->session);
    return;
  }
  imap->n_batch = imap->n_next = 0;
  imap->wanted = (struct imap_wanted){.from = cursor->uid + 1,
                                      .to = list_to(imap),
                                      .unseen = catching && cursor->since_ms == 0,
                                      .since_ms = catching ? cursor->since_ms : 0};
  imap->task = TASK_LIST;
  imap_session_list(&imap->session, &imap->wanted);
}

/* The next list, unless something is under way, or it is not time yet. */
static void go_on(struct imap *imap)
{
  if (connected(imap) && imap->session.state == IMAP_READY && imap->task == TASK_NONE && !imap->putting && imap->n_batch == 0 &&
      mono_ms(imap) >= imap->next_ms)
    list_next(imap);
}

static void on_found(uint32_t uid, void *arg) /* keeps the lowest ones, ascending */
{
  struct imap *imap = arg;
  uint32_t at = imap->n_batch;

  if (uid < imap->wanted.from || (imap->wanted.to > 0 && uid > imap->wanted.to))
    return; /* n:* always has the last one */
  while (at > 0 && imap->batch[at - 1].uid > uid)
    at--;
  if (at == IMAP_BATCH_MAX || (at > 0 && imap->batch[at - 1].uid == uid))
    return;
  if (imap->n_batch == IMAP_BATCH_MAX)
    imap->n_batch--;
  memmove(&imap->batch[at + 1], &imap->batch[at], (imap->n_batch - at) * sizeof *imap->batch);
  imap->batch[at] = (struct mail_here){.imap = imap, .uid = uid};
  imap->n_batch++;
}

static void listed(struct imap *imap)
{
  if (imap->n_batch > 0) {
    fetch_next(imap);
  } else if (imap->wanted.to > 0) { /* nothing there to be taken */
    imap->cursor.uid = imap->wanted.to;
    cursor_put(imap);
  } else {
    imap->task = TASK_WAIT;
    imap_session_wait(&imap->session);
  }
}

/* --- Fetching ----------------------------------------------------------------------------------------------------- */
static void fetching_drop(struct imap *imap)
{
  free(imap->fetching.raw);
  imap->fetching = (struct fetching){0};
}

static bool room_make(struct fetching *fetching, size_t more, uint64_t announced)
{
  size_t need = fetching->len + more, room = announced > need ? (size_t)announced : need + need / 2;
  char *raw;

  if (need <= fetching->room)
    return true;
  raw = realloc(fetching->raw, room + 1);
  if (raw == NULL)
    return false;
  fetching->raw = raw;
  fetching->room = room;
  return true;
}

static void on_piece(const struct imap_fetch *piece, void *arg)
{
  struct imap *imap = arg;
  struct fetching *fetching = &imap->fetching;

  if (fetching->there)
    return; /* one answer is enough */
  fetching->there = true;
  imap->batch[imap->n_next].at_ms = piece->at_ms;
  if (piece->size > MAIL_IN_BYTES_MAX || fetching->len + piece->body.len > MAIL_IN_BYTES_MAX)
    fetching->too_large = true;
  else if (piece->body_nil)
    fetching->none = true;
  else if (piece->origin != fetching->len || piece->body.len > IMAP_PIECE_MAX || !room_make(fetching, piece->body.len, piece->size))
    fetching->broken = true;
  else if (piece->body.len > 0)
    memcpy(fetching->raw + fetching->len, piece->body.at, piece->body.len);
  fetching->last = piece->body.len;
  fetching->len += fetching->broken || fetching->too_large ? 0 : piece->body.len;
}

/* How often this mail, and no other meanwhile, has been in the way. */
static uint32_t stuck(struct imap *imap, uint32_t uid)
{
  if (imap->stuck_uid != uid)
    imap->stuck_times = 0;
  imap->stuck_uid = uid;
  return ++imap->stuck_times;
}

static void on_taken(const struct mail_verdict *each, uint32_t n, parley_text reason, void *arg)
{
  struct mail_here *mail = arg;
  struct imap *imap = mail->imap;
  char why[IMAP_WORDS_MAX + 1];

  (void)n;
  imap->n_taking--;
  imap->taking_bytes -= mail->bytes;
  imap_words(reason, why);
  if (each->status == PARLEY_OK) {
    mail->state = MAIL_TAKEN;
    count(imap, each->repeated ? "repeated" : "taken");
  } else if (parley_again(each->status)) {
    mail->state = MAIL_AGAIN;
  } else {
    pass_over(imap, mail, why[0] != '\0' ? why : "it is refused for good");
  }
  if (!imap->stopping && imap->task == TASK_NONE)
    fetch_next(imap);
}

static void mail_hand_over(struct imap *imap, struct mail_here *mail)
{
  struct fetching *fetching = &imap->fetching;
  const struct mail_envelope envelope = {.return_path = PARLEY_LIT(""), .source_id = PARLEY_LIT(""), .at_ms = mail->at_ms};

  mail->state = MAIL_TAKING;
  mail->bytes = fetching->len;
  imap->n_taking++;
  imap->taking_bytes += fetching->len;
  mail_take_owned(imap->parts.taker, &envelope, fetching->raw, fetching->len, on_taken, mail);
  imap->fetching = (struct fetching){0};
}

static void fetched(struct imap *imap, bool ok, const char *words)
{
  struct mail_here *mail = &imap->batch[imap->n_next];
  struct fetching *fetching = &imap->fetching;

  if (ok && fetching->there && !fetching->broken && !fetching->too_large && !fetching->none && fetching->last == IMAP_PIECE_MAX) {
    fetching->there = false;
    imap_session_fetch(&imap->session, mail->uid, (uint32_t)fetching->len, IMAP_PIECE_MAX);
    return;
  }
  if (fetching->too_large)
    pass_over(imap, mail, "it is larger than 25 MiB");
  else if (!ok || fetching->none || fetching->broken) {
    if (stuck(imap, mail->uid) >= IMAP_REFUSED_MAX)
      pass_over(imap, mail, ok ? "the server gives what was not asked for" : words);
    else {
      mail->state = MAIL_AGAIN;
      imap->n_batch = imap->n_next + 1; /* those before it are done with first; the next batch begins with it */
    }
  } else if (!fetching->there || fetching->len == 0)
    mail->state = MAIL_PASSED; /* deleted meanwhile */
  else
    mail_hand_over(imap, mail);
  fetching_drop(imap);
  imap->n_next++;
  imap->task = TASK_NONE;
  fetch_next(imap);
}

/* Goes on with the batch: the next mail, or when all are settled its end. */
static void fetch_next(struct imap *imap)
{
  if (!connected(imap)) {
    if (imap->n_taking == 0)
      batch_end(imap);
    return;
  }
  if (imap->n_next > 0 && imap->n_next < imap->n_batch && imap->batch[imap->n_next].uid == imap->stuck_uid)
    imap->n_batch = imap->n_next; /* one that was in the way begins a batch, so that those before it are done with */
  if (imap->n_next < imap->n_batch && !imap->draining) {
    if (imap->n_taking >= IMAP_TAKING_MAX || imap->taking_bytes >= IMAP_TAKING_BYTES) {
      imap->task = TASK_NONE;
      return;
    }
    imap->task = TASK_FETCH;
    imap_session_fetch(&imap->session, imap->batch[imap->n_next].uid, 0, IMAP_PIECE_MAX);
    return;
  }
  imap->task = TASK_NONE;
  if (imap->n_taking == 0)
    batch_end(imap);
}

/* --- The end of a batch -------------------------------------------------------------------------------------------- */
static void again_later(struct imap *imap)
{
  imap->agains++;
  imap->next_ms = mono_ms(imap) + email_backoff_ms(imap->agains);
}

/* The place moves over what is settled, up to the first mail that must come again. */
static void place_move(struct imap *imap)
{
  struct cursor *cursor = &imap->cursor;

  for (uint32_t i = 0; i < imap->n_kept; i++) {
    cursor->uid = imap->batch[i].uid;
    if (imap->batch[i].state == MAIL_TAKEN && imap->batch[i].at_ms > cursor->newest_ms)
      cursor->newest_ms = imap->batch[i].at_ms;
  }
  if (imap->n_kept > 0)
    imap->agains = 0;
  if (imap->n_kept < imap->n_batch && connected(imap)) /* a lost connection has a pause of its own */
    again_later(imap);
  imap->n_batch = imap->n_next = 0;
  imap->task = TASK_NONE;
  if (imap->n_kept > 0)
    cursor_put(imap);
}

static void acted(struct imap *imap, bool ok, const char *words)
{
  char why[WHY_MAX + 1];

  if (ok && imap->act_refused)
    health_tell(imap, PARLEY_UP, "", PARLEY_LIT(""));
  imap->act_refused = !ok;
  if (!ok) {
    snprintf(why, sizeof why, "what was taken cannot be marked, moved or deleted: %s", words);
    health_tell(imap, PARLEY_DEGRADED, why, PARLEY_LIT("check imap.after and imap.folder, and what this user may do in the mailbox"));
  }
  place_move(imap);
}

/* One mail that cannot be taken while others can is passed over some time. */
static bool is_poison(struct imap *imap, struct mail_here *mail)
{
  bool others = false;

  for (uint32_t i = 0; i < imap->n_batch; i++)
    others |= imap->batch[i].state == MAIL_TAKEN;
  if (mail->bytes == 0 || !others || stuck(imap, mail->uid) < IMAP_AGAIN_MAX)
    return false;
  pass_over(imap, mail, "it could not be taken again and again, while others could");
  return true;
}

static bool acts(const struct imap *imap)
{
  return imap->parts.options->session.after != IMAP_KEEP && connected(imap) && imap->session.state == IMAP_READY;
}

static void batch_end(struct imap *imap)
{
  uint32_t uids[IMAP_BATCH_MAX], n = 0;

  if (imap->stopping || imap->n_batch == 0)
    return;
  imap->n_kept = 0;
  for (; imap->n_kept < imap->n_next; imap->n_kept++) {
    struct mail_here *mail = &imap->batch[imap->n_kept];

    if (mail->state == MAIL_AGAIN && !is_poison(imap, mail))
      break;
    if (mail->state == MAIL_TAKEN)
      uids[n++] = mail->uid;
  }
  if (n > 0 && acts(imap)) {
    imap->task = TASK_ACT;
    imap_session_act(&imap->session, uids, n);
    return;
  }
  if (n > 0 && imap->parts.options->session.after != IMAP_KEEP && !connected(imap)) /* they come again, known by their content */
    for (imap->n_kept = 0; imap->batch[imap->n_kept].state != MAIL_TAKEN;)
      imap->n_kept++;
  place_move(imap);
  if (imap->draining && connected(imap))
    imap_session_quit(&imap->session);
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
  const parley_tls tls = {.size = sizeof tls, .server_name = parley_text_of(imap->parts.options->server)};

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
    health_tell(imap, PARLEY_DEGRADED, "the server lets this user read the mailbox only, so that nothing is marked, moved or deleted",
                PARLEY_LIT("give it write access, or set imap.after: keep"));
  else
    health_tell(imap, PARLEY_UP, "", PARLEY_LIT(""));
  cursor_meet(imap);
  imap->next_ms = 0;
  go_on(imap);
}

static void on_done(bool ok, const char *words, void *arg)
{
  struct imap *imap = arg;
  enum task task = imap->task;

  imap->task = TASK_NONE;
  if (task == TASK_FETCH) {
    imap->task = TASK_FETCH;
    fetched(imap, ok, words);
  } else if (task == TASK_ACT) {
    acted(imap, ok, words);
    if (imap->draining)
      imap_session_quit(&imap->session);
  } else if (!ok) {
    log_line(imap, PARLEY_WARN, "imap_refused", 0, words);
    imap->n_batch = 0;
    again_later(imap);
  } else if (task == TASK_LIST) {
    listed(imap);
  } else if (task == TASK_WAIT) {
    list_next(imap);
  }
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
  char why[WHY_MAX + 1];

  imap->failures++;
  imap->next_ms = mono_ms(imap) + email_backoff_ms(imap->failures);
  host->metric(host, "email_imap_failures", parley_text_of(imap_stage_name(failure->stage)), 1);
  snprintf(why, sizeof why, "imap %s: %s", imap_stage_name(failure->stage), failure->why);
  if (failure->credentials || failure->configured || is_certificate(failure) || imap->failures >= FAILURES_TO_DOWN)
    health_tell(imap, PARLEY_DOWN, why, remedy_of(imap, is_certificate(failure) ? IMAP_STARTTLS : failure->stage));
  else
    log_line(imap, PARLEY_INFO, "imap_connection_lost", 0, why);
}

static void on_failed(const struct imap_failure *failure, void *arg)
{
  struct imap *imap = arg;

  if (imap->task == TASK_LIST)
    imap->n_batch = 0;
  if (imap->task == TASK_FETCH) {
    struct mail_here *mail = &imap->batch[imap->n_next];

    fetching_drop(imap);
    if (stuck(imap, mail->uid) >= IMAP_LOST_MAX) {
      pass_over(imap, mail, "the connection was lost over it again and again");
      imap->n_next++;
    }
  }
  imap->task = TASK_NONE;
  if (imap->draining || imap->stopping)
    return;
  if (failure->credentials && imap->parts.oauth != NULL && email_oauth_refused(imap->parts.oauth, imap->generation))
    return; /* another token is on its way */
  failure_count(imap, failure);
}

static const struct imap_owner session_owner = {.now_ms = mono_ms, .write = on_write, .secure = on_secure, .close = on_close,
                                                .ready = on_ready, .found = on_found, .piece = on_piece, .done = on_done,
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

  if (!imap->parts.options->implicit_tls || peer->secured) /* else it comes again when TLS stands */
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
  if (imap->n_taking == 0)
    batch_end(imap);
}

static const parley_stream_events link_events = {.size = sizeof link_events, .opened = link_opened, .data = link_data,
                                                 .closed = link_closed};

static void link_open(struct imap *imap)
{
  const struct imap_options *options = imap->parts.options;
  const parley_tls tls = {.size = sizeof tls, .server_name = parley_text_of(options->server)};

  if (imap->parts.oauth != NULL)
    email_oauth_token(imap->parts.oauth, &imap->generation);
  imap_session_init(&imap->session, &options->session, &session_owner, imap);
  imap->stream = imap->parts.stream->connect(imap->parts.host,
                                             PARLEY_REF(parley_endpoint, .address = parley_text_of(options->address),
                                                        .connect_ms = CONNECT_MS, .read_max = IMAP_RESPONSE_MAX + 65536,
                                                        .tls = options->implicit_tls ? &tls : NULL),
                                             &link_events, imap);
}

static void cursor_got(const parley_result *result, void *arg)
{
  struct imap *imap = arg;

  imap->asking = false;
  if (result->status == PARLEY_OK)
    cursor_read(&imap->cursor, result->value);
  imap->cursor_known = result->status == PARLEY_OK || result->status == PARLEY_NOT_FOUND;
  if (!imap->cursor_known)
    imap->next_ms = mono_ms(imap) + EMAIL_BACKOFF_MIN_MS;
}

/* No connection: one is opened when it is time, all that was taken is settled, and there is something to log in with. */
static void connect_maybe(struct imap *imap)
{
  const parley_host *host = imap->parts.host;

  if (imap->draining || imap->asking || imap->putting || imap->n_taking > 0 || mono_ms(imap) < imap->next_ms)
    return;
  if (!imap->cursor_known) {
    imap->asking = true;
    host->state_get(host, parley_text_of(imap->key), cursor_got, imap);
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
  go_on(imap);
}

/* --- For the channel ----------------------------------------------------------------------------------------------- */
struct imap *imap_new(const struct imap_parts *parts)
{
  struct imap *imap = calloc(1, sizeof *imap);

  if (imap == NULL)
    return NULL;
  imap->parts = *parts;
  key_write(imap);
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
  bool idle = imap->task == TASK_WAIT || imap->task == TASK_LIST || (imap->task == TASK_NONE && imap->n_taking == 0);

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
    fetching_drop(*imap);
  free(*imap);
  *imap = NULL;
}
