/* imap_inside.h - one hosted mailbox, for imap's own files: imap.c has the connection, its failures and what is told of them,
 * imap_batch.c lists the mails behind the place, fetches them one by one, and moves the place. Contract: imap.h. */
#ifndef EMAIL_IMAP_INSIDE_H
#define EMAIL_IMAP_INSIDE_H
#include "email_backoff.h"
#include "imap.h"
#include "imap_place.h"

enum { IMAP_WHY_MAX = IMAP_WORDS_MAX + 120 };
enum imap_mail_state { IMAP_MAIL_WAITS, IMAP_MAIL_TAKING, IMAP_MAIL_TAKEN, IMAP_MAIL_PASSED /* over, or gone */,
                       IMAP_MAIL_AGAIN };
struct imap_mail { /* one mail of the batch */
  struct imap *imap;
  uint32_t uid;
  enum imap_mail_state state;
  size_t bytes;
  int64_t at_ms;
};
struct imap_fetching {
  char *raw;
  size_t len, room;
  size_t last; /* bytes of the newest piece */
  bool there, none, too_large, broken;
};
enum imap_task { IMAP_TASK_NONE, IMAP_TASK_LIST, IMAP_TASK_FETCH, IMAP_TASK_ACT, IMAP_TASK_WAIT };

struct imap {
  struct imap_parts parts;
  struct imap_session session;
  uint64_t stream; /* 0: none */
  char key[sizeof "imap." + IMAP_PLACE_KEY_HEX];
  struct imap_place place;
  enum imap_task task;
  struct imap_wanted wanted;
  struct imap_mail batch[IMAP_BATCH_MAX];
  uint32_t n_batch, n_next, n_kept; /* n_next: the one to fetch; n_kept: moved over by the act under way */
  struct imap_fetching fetching;
  uint32_t n_taking;
  size_t taking_bytes;
  uint32_t failures, agains, stuck_uid, stuck_times, generation, level;
  int64_t next_ms; /* no connection, or no list, before */
  uint64_t timer;
  bool place_known, asking, putting, draining, stopping, act_refused;
  char cause[IMAP_WHY_MAX + 1];
  parley_call *over;
  void *over_arg;
};

/* --- imap.c ------------------------------------------------------------------------------------------------------- */
int64_t imap_mono_ms(void *imap);
bool imap_connected(const struct imap *imap);
void imap_log(struct imap *imap, uint32_t level, const char *event, uint32_t uid, const char *why);
void imap_health_tell(struct imap *imap, uint32_t level, const char *why, parley_text remedy);

/* --- imap_batch.c ------------------------------------------------------------------------------------------------- */
void imap_place_meets(struct imap *imap); /* what the session has selected */
/* The next list, unless something is under way, or it is not time yet. */
void imap_go_on(struct imap *imap);
/* The session's found(), piece() and done(); arg: the imap. */
void imap_found(uint32_t uid, void *arg);
void imap_piece(const struct imap_fetch *piece, void *arg);
void imap_done(bool ok, const char *words, void *arg);
/* The session has failed, and is over: what was asked of it goes on with the next. */
void imap_batch_lost(struct imap *imap);
/* The stream is over: the batch ends, at once or when nothing of it is being taken any more. */
void imap_batch_cut(struct imap *imap);
void imap_fetching_drop(struct imap *imap);
#endif
