/* smpp_session.h - one bind as a state machine, without its socket: stream events in; bytes and close out. Binds, keeps the window of
 * what was sent and is not answered (by sequence number, answers in any order), asks enquire_link when it is quiet, answers what the
 * centre asks, and takes leave. A PDU that nobody awaits is dropped and counted; a request that SMPP does not know gets generic_nack.
 * What was sent and not answered when the session ends is reported lost: it may have gone out.
 * Bytes are gathered until smpp_session_flush(), which data(), sweep() and opened() end with. Owned by its owner, who calls
 * smpp_session_closed() when the stream is over. Thread: loop. Times: monotonic ms. */
#ifndef SMPP_SESSION_H
#define SMPP_SESSION_H
#include "smpp_wire.h"

enum { SMPP_WINDOW_MAX = 1000, SMPP_GATHER_ROOM = 32768 /* bytes that leave in one write; more than any message of ours */ };
struct smpp_config { /* borrowed, the same for every bind of a channel */
  struct smpp_bind login;
  uint32_t window;     /* PDUs sent and not answered; 1 to SMPP_WINDOW_MAX */
  uint32_t enquire_ms; /* after so long without a PDU from the centre it is asked whether it is there; 0: never */
  uint32_t timeout_ms; /* for each answer */
};
enum smpp_fate { SMPP_ANSWERED, SMPP_TIMED_OUT, SMPP_LOST };
struct smpp_answer { /* to one message; borrowed for the call */
  enum smpp_fate fate;
  uint32_t status;  /* of ANSWERED */
  parley_text id;   /* of ANSWERED with ESME_ROK */
  parley_text why;  /* of the others; of ANSWERED what the centre said beside the status, or empty */
};
struct smpp_failure { bool refused; uint32_t status; parley_text why; }; /* refused: the centre answered the bind with status */
/* What a session does and tells. The owner may call smpp_session_send() and _reply() within these, but not end the session. */
struct smpp_owner {
  int64_t (*now_ms)(void *arg);
  void (*write)(parley_bytes bytes, void *arg);
  void (*close)(bool now, void *arg);
  void (*bound)(void *arg);
  void (*failed)(const struct smpp_failure *failure, void *arg); /* it was never bound; once */
  void (*answered)(void *ref, const struct smpp_answer *answer, void *arg);
  void (*alive)(void *arg); /* an enquire_link of smpp_session_ask() was answered */
  /* deliver_sm or data_sm; to be answered with smpp_session_reply(), now or later. */
  void (*received)(const struct smpp_head *head, const struct smpp_message *message, void *arg);
  void (*ignored)(const char *what, void *arg); /* "response_unasked", "request_unknown", ...: counted */
};

enum smpp_state { SMPP_CONNECTING, SMPP_BINDING, SMPP_BOUND, SMPP_UNBINDING, SMPP_OVER };
struct smpp_slot { uint32_t sequence; void *ref; int64_t due_ms; }; /* sequence 0: free */
struct smpp_session {
  const struct smpp_config *config;
  const struct smpp_owner *owner;
  void *arg;
  enum smpp_state state;
  uint32_t command;  /* SMPP_BIND_* */
  uint32_t sequence; /* of the newest request */
  uint32_t n_open;   /* slots taken */
  uint32_t bind_sequence, enquire_sequence, unbind_sequence; /* 0: none is awaited */
  int64_t deadline_ms;   /* of the bind, the enquire_link or the leave; 0: none */
  int64_t heard_ms;      /* when the centre last sent something */
  int64_t slots_due_ms;  /* no answer is overdue before */
  struct smpp_slot *slots; /* at sequence % n_slots */
  uint32_t n_slots;
  struct smpp_out out;
};

/* false: no memory. command: SMPP_BIND_*. */
bool smpp_session_init(struct smpp_session *session, const struct smpp_config *config, uint32_t command, const struct smpp_owner *owner,
                       void *arg);
void smpp_session_done(struct smpp_session *session);
void smpp_session_restart(struct smpp_session *session); /* for the next connection: as initialised */
void smpp_session_opened(struct smpp_session *session);
size_t smpp_session_data(struct smpp_session *session, parley_bytes bytes); /* returns what it used */
void smpp_session_closed(struct smpp_session *session, parley_text why);
bool smpp_session_room(const struct smpp_session *session); /* bound to send, and the window has room */
/* submit_sm or data_sm; only with room. answered(ref) follows, never within this call. false: it is no PDU: too long or NULs. */
bool smpp_session_send(struct smpp_session *session, uint32_t command, const struct smpp_message *message, void *ref);
void smpp_session_reply(struct smpp_session *session, uint32_t command, uint32_t sequence, uint32_t status);
bool smpp_session_ask(struct smpp_session *session); /* enquire_link now; alive() follows. false: not bound */
void smpp_session_flush(struct smpp_session *session);
void smpp_session_quit(struct smpp_session *session); /* unbind, and close() when it was answered or its time is up */
void smpp_session_sweep(struct smpp_session *session); /* call it each second */
/* It does not work as it should: ended, what was sent is lost. */
void smpp_session_drop(struct smpp_session *session, parley_text why);
#endif
