/* submission.h - one outbound message as somebody asked for it, checked and complete, before it is decided. Built by
 * core/api (later by campaigns and rules too), immutable afterwards, handed from the loop to the store and, once
 * committed, on to core/deliver, which frees it. One owner at a time. */
#ifndef CORE_ROUTE_SUBMISSION_H
#define CORE_ROUTE_SUBMISSION_H
#include "core/customer/resolve.h"
#include "core/message/template.h"
#include "policy.h"

struct submission {
  struct arena *arena;   /* this struct and all it points at */
  json_t *json;          /* content's texts point into it; may be NULL */
  struct policy *policy; /* a reference */
  struct recipient to;
  const struct policy_topic *topic;
  size_t n_steps;
  struct policy_step steps[PLAN_STEPS_MAX];
  struct content content;
  struct template *template; /* a reference: the content is still to be made of it; NULL: it is whole */
  json_t *data;              /* of the template, within json */
  parley_text locale;        /* as asked for; empty: the customer's */
  parley_bytes body;        /* the message's JSON as it was sent; kept in the store */
  parley_text key;          /* business key; empty: none */
  parley_text campaign;
  int64_t now_ms, not_before_ms, expires_ms; /* not_before: 0 = at once */
  id64 api_key;             /* whose request; 0: our own */
  id64 conversation;        /* a reply within it; 0: the open one, if any */
  bool test;
  bool answers_keyword;     /* says that a STOP, START or HELP was heard: goes to the address although it is opted out */
  id64 bridge;              /* a mail to a support mailbox about this conversation, which its reply address names; 0: none. Stands in
                               the body as "bridge":"cnv_..." */
};
/* One for its maker to fill in, in an arena of its own that has room for so many bytes beside. */
struct submission *submission_new(struct policy *policy, int64_t now_ms, size_t bytes);
void submission_free(struct submission **submission);
#endif
