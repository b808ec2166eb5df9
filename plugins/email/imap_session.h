/* imap_session.h - one IMAP connection as a state machine, without its socket: stream events in; bytes, STARTTLS and close out.
 * Logs in (greeting, CAPABILITY, STARTTLS, LOGIN or AUTHENTICATE), selects one mailbox, and then does one thing after another for its
 * owner: lists UIDs, fetches a piece of a mail, marks, moves or deletes mails, or waits for news (IDLE, RFC 2177; where the server has
 * none, NOOP now and then). One command is under way at a time; a tag that is not its own ends the connection.
 * Owned by its owner, who calls imap_session_closed() when the stream is over. Thread: loop. Times: monotonic ms, but for dates. */
#ifndef EMAIL_IMAP_SESSION_H
#define EMAIL_IMAP_SESSION_H
#include "imap_wire.h"
#include "sasl.h"

enum {
  IMAP_ANSWER_MS = 60000, /* for the answer to a command, and between two pieces of it */
  IMAP_IDLE_MS = 9 * 60000, /* then IDLE is begun anew: before RFC 2177's 29 minutes, and before routers forget the connection */
  IMAP_LEAVE_MS = 3000      /* for the answer to LOGOUT */
};
enum imap_tls { IMAP_TLS_REQUIRED, IMAP_TLS_OFF };
enum imap_after { IMAP_KEEP, IMAP_SEEN, IMAP_MOVE, IMAP_DELETE };
struct imap_config { /* borrowed, the same for every session of a channel */
  parley_text user, password, mailbox;
  parley_text host; /* with `bearer`: whom we mean to log in at, and its port */
  uint32_t port;
  bool bearer;       /* by OAuth: instead of the password */
  parley_text token; /* of bearer: the access token as it is now */
  enum imap_tls tls; /* off: loopback only */
  enum imap_after after;
  parley_text folder; /* of IMAP_MOVE; made when it is not there */
  uint32_t poll_ms;   /* where there is no IDLE */
};
enum imap_stage { IMAP_CONNECT, IMAP_GREETING, IMAP_CAPABLE, IMAP_STARTTLS, IMAP_AUTH, IMAP_SELECT, IMAP_LIST, IMAP_PIECE, IMAP_ACT,
                  IMAP_WAIT, IMAP_LOGOUT };
const char *imap_stage_name(enum imap_stage stage);

struct imap_failure {
  enum imap_stage stage;
  bool credentials; /* the server refuses user and password, or token: an operator has to do something */
  bool configured;  /* as refused: what the options ask for cannot be had here (TLS, a mailbox) */
  const char *why;  /* one line for a person; borrowed for the call */
};
/* What a session does and tells. The owner may call what is below within ready(), done(), found() not, but not free the session. */
struct imap_owner {
  int64_t (*now_ms)(void *arg);
  void (*write)(parley_bytes bytes, void *arg);
  void (*secure)(size_t unused, void *arg); /* starts TLS with a certificate that must be good */
  void (*close)(bool now, void *arg);
  void (*ready)(void *arg); /* logged in and the mailbox selected: once */
  void (*found)(uint32_t uid, void *arg);                        /* by list: one UID, in any order, maybe twice */
  void (*piece)(const struct imap_fetch *piece, void *arg);      /* by fetch; never called: no such mail any more */
  void (*done)(bool ok, const char *words, void *arg); /* list, fetch, act or wait is over; ok false: the server's words */
  void (*failed)(const struct imap_failure *failure, void *arg); /* never became ready, or lost; once, and it is over */
};

enum imap_state { IMAP_LOGIN, IMAP_READY, IMAP_BUSY, IMAP_IDLING, IMAP_POLLING, IMAP_LEAVING, IMAP_OVER };
enum imap_step { IMAP_STEP_NONE, IMAP_STEP_SEEN, IMAP_STEP_MOVE, IMAP_STEP_COPY, IMAP_STEP_CREATE, IMAP_STEP_DELETED,
                 IMAP_STEP_EXPUNGE };
enum { IMAP_ACT_MAX = 64 };
struct imap_session {
  const struct imap_config *config;
  const struct imap_owner *owner;
  void *arg;
  struct imap_offers offers;
  uint32_t uidvalidity, uidnext, exists; /* of the mailbox, as SELECT told */
  bool read_only;                        /* the server lets us mark nothing */
  enum imap_state state;
  enum imap_stage stage;
  enum imap_step step;
  bool secured, capable, logged_in, created, asked_done, idle_open;
  bool news; /* mail has come since the last list */
  bool sasl_waits; /* its first response leaves at the server's + */
  uint32_t tag;    /* of the newest command */
  int64_t deadline_ms, idle_until_ms;
  uint32_t uid, act[IMAP_ACT_MAX], n_act;
};

void imap_session_init(struct imap_session *session, const struct imap_config *config, const struct imap_owner *owner, void *arg);
/* The stream's events. secured: TLS stands. data() returns what it used. */
void imap_session_opened(struct imap_session *session, bool secured);
size_t imap_session_data(struct imap_session *session, parley_bytes bytes);
void imap_session_closed(struct imap_session *session, parley_text why);
/* IMAP_READY only; done() follows, never within the call. */
struct imap_wanted {
  uint32_t from, to; /* UIDs; to 0: all there are */
  bool unseen;
  int64_t since_ms;  /* the server got it on this day or later; 0: whenever */
};
void imap_session_list(struct imap_session *session, const struct imap_wanted *wanted);
void imap_session_fetch(struct imap_session *session, uint32_t uid, uint32_t offset, uint32_t len);
/* Does what config->after says with these (ascending, IMAP_ACT_MAX at most). */
void imap_session_act(struct imap_session *session, const uint32_t *uids, uint32_t n);
void imap_session_wait(struct imap_session *session);
/* Takes leave: LOGOUT, and close() when the server has answered or its time is up. */
void imap_session_quit(struct imap_session *session);
/* Call each second or so: ends what is past its deadline, and begins IDLE anew. */
void imap_session_sweep(struct imap_session *session);
#endif
