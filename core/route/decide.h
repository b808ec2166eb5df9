/* decide.h - the choke point: one pure function over a message and what the store knows of its customer. Its result,
 * with the reasons, is stored with the message as JSON (decision_write) and read back for retries, plans and `explain`.
 * Thread: any (the store calls it inside its write transaction). */
#ifndef CORE_ROUTE_DECIDE_H
#define CORE_ROUTE_DECIDE_H
#include "submission.h"

#define OPTED_OUT_KINDS_MAX 8 /* of one address */
struct facts_identity {
  id64 id;
  struct identity identity;
  int64_t used_ms; /* when it last wrote to us or was given; newest is preferred */
  bool suppressed, blocked;
  size_t n_opted_out; /* kinds of channel on which this address has said STOP */
  parley_text opted_out[OPTED_OUT_KINDS_MAX];
  bool named;   /* given in `to` of this message: preferred over all others */
  bool foreign; /* named, but somebody else's: an address for this message only */
};
struct facts {
  id64 customer; /* found or just made */
  bool created;
  size_t n_identities;
  struct facts_identity *identities; /* of the customer (union over its merges) and those named in `to` */
  size_t n_consents;
  struct consent *consents; /* the newest for each (topic, channel kind) of the message's topic */
  id64 conversation;        /* the open one; 0: none */
  int64_t now_ms;
};

enum step_verdict { STEP_GO = 1, STEP_NO_ADDRESS, STEP_NO_CONSENT, STEP_SUPPRESSED, STEP_OPTED_OUT, STEP_VERDICTS };
const char *step_verdict_name(enum step_verdict verdict); /* "go" "no_address" "no_consent" "address_suppressed" "opted_out" */
struct decided_step {
  parley_text channel, channel_kind;
  enum step_verdict verdict;
  enum until until;
  int64_t within_ms;
  id64 identity;             /* 0: a foreign one, or address kind "none" */
  bool fixed; /* the channel needs no address: what stands below only tells the receiver who is meant; never shown in a
                 plan */
  parley_text address_kind, address;
};
#define DECISION_WARNINGS_MAX 8
struct decision {
  int first;           /* index of the first step to go; -1: none */
  const char *end;     /* with first == -1: the message's state, "suppressed" or "failed" ... */
  const char *reason;  /* ... and why: no_consent address_suppressed opted_out no_route; else NULL */
  id64 identity;       /* the message is filed under it: of the first step, else the first named; 0: none */
  size_t n_steps;
  struct decided_step steps[PLAN_STEPS_MAX];
  size_t n_warnings;
  struct { const char *code; parley_text detail; } warnings[DECISION_WARNINGS_MAX]; /* identity_conflict, html_clipped */
  const char *consent_rule; /* for explain: how the consent rule came out: "class critical passes", ... static */
};
/* ret's texts are borrowed from the submission and the facts; warnings lie in the arena. */
typedef void decide_fn(const struct submission *submission, const struct facts *facts, struct arena *arena,
                       struct decision *ret);
decide_fn decide;

/* The decision as stored JSON:
 * {"steps":[{"channel","kind","to":{"kind","value","id"},"until","within_ms","verdict"}],"first",
 * "end","reason","warnings"}, short keys allowed; and back (texts in the arena). */
void decision_write(struct buf *buf, const struct decision *decision);
bool decision_read(parley_bytes json, struct arena *arena, struct decision *ret);
/* "plan" of the 202 answer and of GET: [{"channel","to" masked,"until","within"?,"verdict" if not go}]. */
void buf_plan(struct buf *buf, const struct decision *decision);
/* The answer of POST /v1/explain and "decision" of GET: every rule with its verdict, in the order they were asked. more: adds members
 * to what is said of each step of the plan; NULL: none. */
typedef void explain_step_fn(struct buf *buf, size_t index, const struct decided_step *step, void *arg);
void buf_explain(struct buf *buf, const struct decision *decision, explain_step_fn *more, void *arg);
#endif
