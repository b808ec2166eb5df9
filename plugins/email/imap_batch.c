#include "imap_inside.h"
#include <stdio.h>
#include <stdlib.h>

static void fetch_next(struct imap *imap);
static void batch_end(struct imap *imap);

static void count(struct imap *imap, const char *what)
{
  const parley_host *host = imap->parts.host;

  host->metric(host, "email_imap_mails", parley_text_of(what), 1);
}

static void pass_over(struct imap *imap, struct imap_mail *mail, const char *why)
{
  mail->state = IMAP_MAIL_PASSED;
  imap_log(imap, PARLEY_WARN, "imap_mail_passed_over", mail->uid, why);
  count(imap, "passed_over");
}

/* --- The durable place --------------------------------------------------------------------------------------------- */
static void place_put_done(const parley_result *result, void *arg)
{
  struct imap *imap = arg;

  imap->putting = false;
  if (imap->stopping)
    return;
  if (result->status != PARLEY_OK) /* nothing is lost: what is fetched again is known by its content */
    imap_log(imap, PARLEY_WARN, "imap_place_not_kept", imap->place.uid, "the channel's state cannot be written");
  imap_go_on(imap);
}

static void place_put(struct imap *imap)
{
  const parley_host *host = imap->parts.host;
  char value[IMAP_PLACE_TEXT_MAX + 1];

  imap_place_write(&imap->place, value);
  imap->putting = true;
  host->state_put(host, parley_text_of(imap->key), parley_text_of(value), place_put_done, imap);
}

void imap_place_meets(struct imap *imap)
{
  const parley_host *host = imap->parts.host;
  enum imap_place_met met = imap_place_meet(&imap->place, imap->session.uidvalidity, imap->session.uidnext, host->now_ms(host));

  if (met == IMAP_PLACE_ANEW)
    imap_log(imap, PARLEY_WARN, "imap_numbered_anew", 0, "UIDVALIDITY changed: the newest mail is looked through again");
  if (met != IMAP_PLACE_SAME)
    place_put(imap);
}

/* --- Listing ------------------------------------------------------------------------------------------------------ */
/* In bounds, even of a mailbox with millions: up to what there was at SELECT so many at once, behind it whatever there is. */
static uint32_t list_to(const struct imap *imap)
{
  const struct imap_place *place = &imap->place;
  uint32_t last = place->uid < place->catch_to ? place->catch_to : imap->session.uidnext - 1;

  if (place->uid >= last)
    return 0;
  return imap->session.exists > IMAP_LIST_MAX && last - place->uid > IMAP_LIST_MAX ? place->uid + IMAP_LIST_MAX : last;
}

static void list_next(struct imap *imap)
{
  const struct imap_place *place = &imap->place;
  bool catching = place->uid < place->catch_to;

  if (imap->draining) {
    imap_session_quit(&imap->session);
    return;
  }
  imap->n_batch = imap->n_next = 0;
  imap->wanted = (struct imap_wanted){.from = place->uid + 1,
                                      .to = list_to(imap),
                                      .unseen = catching && place->since_ms == 0,
                                      .since_ms = catching ? place->since_ms : 0};
  imap->task = IMAP_TASK_LIST;
  imap_session_list(&imap->session, &imap->wanted);
}

void imap_go_on(struct imap *imap)
{
  if (imap_connected(imap) && imap->session.state == IMAP_READY && imap->task == IMAP_TASK_NONE && !imap->putting &&
      imap->n_batch == 0 && imap_mono_ms(imap) >= imap->next_ms)
    list_next(imap);
}

void imap_found(uint32_t uid, void *arg) /* keeps the lowest ones, ascending */
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
  imap->batch[at] = (struct imap_mail){.imap = imap, .uid = uid};
  imap->n_batch++;
}

static void listed(struct imap *imap)
{
  if (imap->n_batch > 0) {
    fetch_next(imap);
  } else if (imap->wanted.to > 0) { /* nothing there to be taken */
    imap->place.uid = imap->wanted.to;
    place_put(imap);
  } else {
    imap->task = IMAP_TASK_WAIT;
    imap_session_wait(&imap->session);
  }
}

/* --- Fetching ----------------------------------------------------------------------------------------------------- */
void imap_fetching_drop(struct imap *imap)
{
  free(imap->fetching.raw);
  imap->fetching = (struct imap_fetching){0};
}

static bool room_make(struct imap_fetching *fetching, size_t more, uint64_t announced)
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

void imap_piece(const struct imap_fetch *piece, void *arg)
{
  struct imap *imap = arg;
  struct imap_fetching *fetching = &imap->fetching;

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
  struct imap_mail *mail = arg;
  struct imap *imap = mail->imap;
  char why[IMAP_WORDS_MAX + 1];

  (void)n;
  imap->n_taking--;
  imap->taking_bytes -= mail->bytes;
  imap_words(reason, why);
  if (each->status == PARLEY_OK) {
    mail->state = IMAP_MAIL_TAKEN;
    count(imap, each->repeated ? "repeated" : "taken");
  } else if (parley_again(each->status)) {
    mail->state = IMAP_MAIL_AGAIN;
  } else {
    pass_over(imap, mail, why[0] != '\0' ? why : "it is refused for good");
  }
  if (!imap->stopping && imap->task == IMAP_TASK_NONE)
    fetch_next(imap);
}

static void mail_hand_over(struct imap *imap, struct imap_mail *mail)
{
  struct imap_fetching *fetching = &imap->fetching;
  const struct mail_envelope envelope = {.return_path = PARLEY_LIT(""), .source_id = PARLEY_LIT(""), .at_ms = mail->at_ms};

  mail->state = IMAP_MAIL_TAKING;
  mail->bytes = fetching->len;
  imap->n_taking++;
  imap->taking_bytes += fetching->len;
  mail_take_owned(imap->parts.taker, &envelope, fetching->raw, fetching->len, on_taken, mail);
  imap->fetching = (struct imap_fetching){0};
}

static void fetched(struct imap *imap, bool ok, const char *words)
{
  struct imap_mail *mail = &imap->batch[imap->n_next];
  struct imap_fetching *fetching = &imap->fetching;

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
      mail->state = IMAP_MAIL_AGAIN;
      imap->n_batch = imap->n_next + 1; /* those before it are done with first; the next batch begins with it */
    }
  } else if (!fetching->there || fetching->len == 0)
    mail->state = IMAP_MAIL_PASSED; /* deleted meanwhile */
  else
    mail_hand_over(imap, mail);
  imap_fetching_drop(imap);
  imap->n_next++;
  imap->task = IMAP_TASK_NONE;
  fetch_next(imap);
}

/* Goes on with the batch: the next mail, or when all are settled its end. */
static void fetch_next(struct imap *imap)
{
  if (!imap_connected(imap)) {
    if (imap->n_taking == 0)
      batch_end(imap);
    return;
  }
  if (imap->n_next > 0 && imap->n_next < imap->n_batch && imap->batch[imap->n_next].uid == imap->stuck_uid)
    imap->n_batch = imap->n_next; /* one that was in the way begins a batch, so that those before it are done with */
  if (imap->n_next < imap->n_batch && !imap->draining) {
    if (imap->n_taking >= IMAP_TAKING_MAX || imap->taking_bytes >= IMAP_TAKING_BYTES) {
      imap->task = IMAP_TASK_NONE;
      return;
    }
    imap->task = IMAP_TASK_FETCH;
    imap_session_fetch(&imap->session, imap->batch[imap->n_next].uid, 0, IMAP_PIECE_MAX);
    return;
  }
  imap->task = IMAP_TASK_NONE;
  if (imap->n_taking == 0)
    batch_end(imap);
}

/* --- The end of a batch -------------------------------------------------------------------------------------------- */
static void again_later(struct imap *imap)
{
  imap->agains++;
  imap->next_ms = imap_mono_ms(imap) + email_backoff_ms(imap->agains);
}

/* The place moves over what is settled, up to the first mail that must come again. */
static void place_move(struct imap *imap)
{
  struct imap_place *place = &imap->place;

  for (uint32_t i = 0; i < imap->n_kept; i++) {
    place->uid = imap->batch[i].uid;
    if (imap->batch[i].state == IMAP_MAIL_TAKEN && imap->batch[i].at_ms > place->newest_ms)
      place->newest_ms = imap->batch[i].at_ms;
  }
  if (imap->n_kept > 0)
    imap->agains = 0;
  if (imap->n_kept < imap->n_batch && imap_connected(imap)) /* a lost connection has a pause of its own */
    again_later(imap);
  imap->n_batch = imap->n_next = 0;
  imap->task = IMAP_TASK_NONE;
  if (imap->n_kept > 0)
    place_put(imap);
}

static void acted(struct imap *imap, bool ok, const char *words)
{
  char why[IMAP_WHY_MAX + 1];

  if (ok && imap->act_refused)
    imap_health_tell(imap, PARLEY_UP, "", PARLEY_LIT(""));
  imap->act_refused = !ok;
  if (!ok) {
    snprintf(why, sizeof why, "what was taken cannot be marked, moved or deleted: %s", words);
    imap_health_tell(imap, PARLEY_DEGRADED, why,
                     PARLEY_LIT("check imap.after and imap.folder, and what this user may do in the mailbox"));
  }
  place_move(imap);
}

/* One mail that cannot be taken while others can is passed over some time. */
static bool is_poison(struct imap *imap, struct imap_mail *mail)
{
  bool others = false;

  for (uint32_t i = 0; i < imap->n_batch; i++)
    others |= imap->batch[i].state == IMAP_MAIL_TAKEN;
  if (mail->bytes == 0 || !others || stuck(imap, mail->uid) < IMAP_AGAIN_MAX)
    return false;
  pass_over(imap, mail, "it could not be taken again and again, while others could");
  return true;
}

static bool acts(const struct imap *imap)
{
  return imap->parts.options->session.after != IMAP_KEEP && imap_connected(imap) && imap->session.state == IMAP_READY;
}

static void batch_end(struct imap *imap)
{
  uint32_t uids[IMAP_BATCH_MAX], n = 0;

  if (imap->stopping || imap->n_batch == 0)
    return;
  imap->n_kept = 0;
  for (; imap->n_kept < imap->n_next; imap->n_kept++) {
    struct imap_mail *mail = &imap->batch[imap->n_kept];

    if (mail->state == IMAP_MAIL_AGAIN && !is_poison(imap, mail))
      break;
    if (mail->state == IMAP_MAIL_TAKEN)
      uids[n++] = mail->uid;
  }
  if (n > 0 && acts(imap)) {
    imap->task = IMAP_TASK_ACT;
    imap_session_act(&imap->session, uids, n);
    return;
  }
  if (n > 0 && imap->parts.options->session.after != IMAP_KEEP && !imap_connected(imap)) /* they come again, known by their content */
    for (imap->n_kept = 0; imap->batch[imap->n_kept].state != IMAP_MAIL_TAKEN;)
      imap->n_kept++;
  place_move(imap);
  if (imap->draining && imap_connected(imap))
    imap_session_quit(&imap->session);
}

/* --- What the session has done ------------------------------------------------------------------------------------- */
void imap_done(bool ok, const char *words, void *arg)
{
  struct imap *imap = arg;
  enum imap_task task = imap->task;

  imap->task = IMAP_TASK_NONE;
  if (task == IMAP_TASK_FETCH) {
    imap->task = IMAP_TASK_FETCH;
    fetched(imap, ok, words);
  } else if (task == IMAP_TASK_ACT) {
    acted(imap, ok, words);
    if (imap->draining)
      imap_session_quit(&imap->session);
  } else if (!ok) {
    imap_log(imap, PARLEY_WARN, "imap_refused", 0, words);
    imap->n_batch = 0;
    again_later(imap);
  } else if (task == IMAP_TASK_LIST) {
    listed(imap);
  } else if (task == IMAP_TASK_WAIT) {
    list_next(imap);
  }
}

/* --- When the connection is lost ----------------------------------------------------------------------------------- */
void imap_batch_lost(struct imap *imap)
{
  if (imap->task == IMAP_TASK_LIST)
    imap->n_batch = 0;
  if (imap->task == IMAP_TASK_FETCH) {
    struct imap_mail *mail = &imap->batch[imap->n_next];

    imap_fetching_drop(imap);
    if (stuck(imap, mail->uid) >= IMAP_LOST_MAX) {
      pass_over(imap, mail, "the connection was lost over it again and again");
      imap->n_next++;
    }
  }
  imap->task = IMAP_TASK_NONE;
}

void imap_batch_cut(struct imap *imap)
{
  if (imap->n_taking == 0)
    batch_end(imap);
}
