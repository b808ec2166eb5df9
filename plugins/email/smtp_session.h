/* smtp_session.h - one SMTP connection as a state machine, without its socket: stream events in; bytes, STARTTLS and close out.
 * Logs in (greeting, EHLO or HELO, STARTTLS, AUTH), then carries one mail after another, MAIL RCPT DATA in one write where the
 * server offers PIPELINING, and clears a refusal away with RSET. Where it offers CHUNKING (RFC 3030) the mail is one chunk, BDAT n
 * LAST and the bytes in one write, behind the answers to MAIL and RCPT: so it takes as many turns as DATA, a refused recipient
 * costs no mail, and until the chunk's last byte has left a lost connection is definite.
 * Replies are matched to commands by their order alone; one that
 * comes before its command ends the connection, and what had no final dot yet is definitely not out.
 * Owned by its owner, who calls smtp_session_closed() when the stream is over. Thread: loop. Times: monotonic ms. */
#ifndef EMAIL_SMTP_SESSION_H
#define EMAIL_SMTP_SESSION_H
#include "smtp_verdict.h"

enum smtp_tls { SMTP_TLS_REQUIRED, SMTP_TLS_OPPORTUNISTIC, SMTP_TLS_OFF };
struct smtp_config { /* borrowed, the same for every session of a channel */
  parley_text helo, user, password; /* user empty: no AUTH */
  parley_text host;     /* with `bearer`: whom we mean to log in at, and its port */
  uint32_t port;
  bool bearer;          /* by OAuth: instead of the password */
  parley_text token;    /* of bearer: the access token as it is now */
  enum smtp_tls tls;
  bool no_chunks;       /* DATA, whatever the server offers */
  bool clear_auth;      /* AUTH without TLS is allowed: only with tls off on a loopback address */
  uint32_t timeout_ms;  /* for the answer to a mail; the other commands have at most this */
};
struct smtp_job { /* one mail; borrowed until done() */
  parley_text from, to;
  parley_bytes mail;
  bool smtputf8, eightbit; /* what the server must offer for it */
  int64_t dot_by_ms;       /* the final dot leaves by then or never; 0: no limit */
};
struct smtp_result {
  struct smtp_verdict verdict;
  const struct smtp_reply *reply; /* NULL: there was none; borrowed for the call */
  parley_text why;                /* without a reply: one line for a person */
  enum smtp_stage stage;
  bool untouched; /* of a job: the connection was gone, or taking leave, before it looked at the mail */
};
/* What a session does and tells. The owner may call smtp_session_send() within ready(), but not close the stream's memory. */
struct smtp_owner {
  int64_t (*now_ms)(void *arg);
  uint64_t (*write)(parley_bytes bytes, void *arg); /* returns the bytes that wait */
  void (*secure)(bool checked, void *arg);          /* start TLS; checked: the certificate must be good */
  void (*close)(bool now, void *arg);
  void (*ready)(void *arg);                                   /* logged in, or the last mail is settled: it can send */
  void (*done)(const struct smtp_result *result, void *arg);  /* the job, once; the session may be over */
  void (*failed)(const struct smtp_result *result, void *arg); /* it never became ready, once */
};

enum smtp_state { SMTP_LOGIN, SMTP_READY, SMTP_SENDING /* before the dot */, SMTP_WAITING /* behind it */, SMTP_RESETTING,
                  SMTP_QUITTING, SMTP_OVER };
enum { SMTP_EXPECTED_MAX = 4 };
struct smtp_session {
  const struct smtp_config *config;
  const struct smtp_owner *owner;
  void *arg;
  const struct smtp_job *job;
  struct smtp_parser parser;
  struct smtp_offers offers;
  struct smtp_stuffer stuffer;
  size_t mail_at;           /* bytes of the mail that were given to write() */
  uint64_t waiting;         /* bytes that write() said are waiting */
  int64_t deadline_ms;      /* the answer is due by then; 0: none is awaited */
  enum smtp_state state;
  enum smtp_stage stage;    /* of the newest command */
  uint32_t n_expected;      /* answers outstanding, oldest first */
  enum smtp_stage expected[SMTP_EXPECTED_MAX];
  bool secured, was_ready, in_mail;
  bool refused, answered;   /* of the job: `refusal` is set; a reply has come */
  bool surplus;             /* bytes stand behind the reply at hand */
  uint32_t login_step;      /* of AUTH LOGIN; of a bearer's: 1, the server's reason was asked for */
  bool by_xoauth2;
  struct smtp_reply refusal; /* the first refusal of this job, judged when the group of answers is whole */
  enum smtp_stage refusal_stage;
};

void smtp_session_init(struct smtp_session *session, const struct smtp_config *config, const struct smtp_owner *owner, void *arg);
/* The stream's events. secured: TLS stands. data() returns what it used. */
void smtp_session_opened(struct smtp_session *session, bool secured);
size_t smtp_session_data(struct smtp_session *session, parley_bytes bytes);
void smtp_session_writable(struct smtp_session *session);
void smtp_session_closed(struct smtp_session *session, parley_text why);
/* Whether this server can carry the mail at all. false: *ret says why not, for good. */
bool smtp_session_takes(const struct smtp_session *session, const struct smtp_job *job, struct smtp_result *ret);
/* SMTP_READY only, and only what it takes. done() follows, never within this call. */
void smtp_session_send(struct smtp_session *session, const struct smtp_job *job);
/* Takes leave when nothing is under way: QUIT, and close() when the server has answered or its time is up. */
void smtp_session_quit(struct smtp_session *session);
/* Call now and then: ends what is past its deadline. */
void smtp_session_sweep(struct smtp_session *session);
/* Whether the final dot, or the last byte of the last chunk, has been given to write(): from then on a loss is UNKNOWN. */
bool smtp_session_dotted(const struct smtp_session *session);
#endif
