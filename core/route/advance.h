/* advance.h - what becomes of a delivery and of its message when something happens to it: the state machine of design
 * section 5, as one pure function. Thread: any (the store calls it inside its write transaction). */
#ifndef CORE_ROUTE_ADVANCE_H
#define CORE_ROUTE_ADVANCE_H
#include "policy.h"

enum delivery_state {
  DELIVERY_QUEUED = 0,
  DELIVERY_SENDING,
  DELIVERY_UNKNOWN,
  DELIVERY_SENT,
  DELIVERY_DELIVERED,
  DELIVERY_READ,
  DELIVERY_FAILED,
  DELIVERY_SKIPPED,
  DELIVERY_EXPIRED,
  DELIVERY_CANCELLED,
  DELIVERY_PLANNED
};
enum message_state { MESSAGE_QUEUED = 0, MESSAGE_SENDING, MESSAGE_SENT, MESSAGE_DELIVERED, MESSAGE_READ, MESSAGE_FAILED,
                     MESSAGE_EXPIRED, MESSAGE_CANCELLED, MESSAGE_SUPPRESSED, MESSAGE_HELD, MESSAGE_STATES };
const char *delivery_state_name(enum delivery_state state);
const char *message_state_name(enum message_state state);
bool message_state_parse(parley_text word, enum message_state *ret);
bool message_state_final(enum message_state state); /* nothing more is sent: read failed expired cancelled suppressed,
                                                       and sent, delivered (later receipts may still raise them) */

/* Facts of receipts and outcomes, one bit each; a delivery that has any folds as read > delivered > failed > sent.
 * REPLIED (the customer answered this message) changes no state: it reaches every `until`. */
enum { FACT_SENT = 1, FACT_DELIVERED = 2, FACT_READ = 4, FACT_FAILED = 8, FACT_REPLIED = 16 };

#define POISON_DEATHS 3 /* so often its plugin's process died with it in hand; then an operator must decide */

struct delivery_facts { /* one begun delivery, as stored */
  uint32_t step, state, facts, attempt; /* state: enum delivery_state; facts: FACT_* */
  uint64_t token;
  bool held;           /* unknown, and an operator must decide */
  bool maybe_twice;    /* possible_duplicate */
  uint32_t deaths;     /* how often the plugin's process died with it in hand; above 0 it is tried alone */
  int64_t handed_ms;   /* first hand-over; 0: none yet */
  int64_t started_ms;  /* when the step began; of a scheduled message its not_before */
  int64_t due_ms;      /* QUEUED: not before */
};
struct step_facts { enum until until; int64_t within_ms; bool go; enum on_unknown on_unknown; bool can_query; };
struct message_facts {
  int64_t now_ms, expires_ms;
  size_t n_steps, n_deliveries;
  const struct step_facts *steps;         /* the whole plan; go: decided as sendable */
  const struct delivery_facts *deliveries; /* begun ones, by step */
  bool cancelled;                         /* asked for earlier */
};

enum happening {
  HAPPEN_OUTCOME = 1, /* a plugin settled: outcome, retry_at_ms */
  HAPPEN_RECEIPT,     /* fact */
  HAPPEN_ORPHAN,      /* its session died, or it was not settled in time: becomes unknown, by policy */
  HAPPEN_EXPIRE,      /* the message's expiry has come */
  HAPPEN_LAPSE,       /* the step's `within` is over */
  HAPPEN_CANCEL,
  HAPPEN_RESTORED,    /* a backup was restored: what is not final may have gone on since it was made */
  HAPPEN_STOPPED,     /* a rule that let it pass has changed since: what waits is not sent; reason */
  HAPPEN_RESOLVE_RESEND, HAPPEN_RESOLVE_DISCARD, HAPPEN_RESOLVE_SENT, /* an operator's word on held and unknown */
};
struct happened {
  enum happening what;
  size_t delivery;        /* index in deliveries; CANCEL, EXPIRE: all of them */
  uint32_t outcome;       /* PARLEY_OUTCOME_*; 0: taken back, it was not handed over after all */
  bool died;              /* of OUTCOME, with UNKNOWN: the plugin's process died with it in hand */
  uint64_t token;         /* of OUTCOME; another than the delivery's: only a late success counts, on a queued one */
  uint32_t fact;          /* of RECEIPT */
  int64_t retry_at_ms;    /* not a success: when it is due again or asked about (the caller knows schedule and hint) */
  const char *reason;     /* of STOPPED: no_consent address_suppressed opted_out */
};
#define ADVANCE_CHANGES_MAX 8
struct advanced {
  bool ignored; /* nothing changes: stale token, final already. A CANCEL that isn't is to be remembered */
  bool too_late;                    /* CANCEL after sent: steps not begun are dropped all the same */
  size_t n_changes;
  struct {
    size_t delivery;
    struct delivery_facts to;
  } changes[ADVANCE_CHANGES_MAX];   /* rows as they are now; token raised where
   the old holder must not be believed any more; attempt taken back where
   the outcome costs none */
  int begin_step;                   /* start this step of the plan now; -1: none */
  bool query;                       /* ask the plugin what became of it before anything is sent again */
  bool suppress_address;            /* BAD_ADDRESS: suppress it on this channel kind */
  enum message_state before, after; /* of the message, folded */
  const char *reason;               /* of failed, expired, held, suppressed: stable word; else NULL */
  int64_t wake_ms;                  /* when the next of expiry and lapse must be looked at; 0: never */
};
struct advanced advance(const struct message_facts *message, const struct happened *happened);
/* The fold alone. end: the state of a message that has no delivery ("suppressed", "failed"). */
enum message_state message_fold(const struct message_facts *message, enum message_state end);
/* wake_ms of a message whose first delivery was just begun. */
int64_t message_wake_ms(const struct message_facts *message);
#endif
