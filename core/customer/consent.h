/* consent.h - the consent ledger and suppressions as values and rules. Pure. Thread: any. */
#ifndef CORE_CUSTOMER_CONSENT_H
#define CORE_CUSTOMER_CONSENT_H
#include "core/base/id.h"
#include <parley/plugin.h>

enum topic_class { CLASS_CRITICAL = 1, CLASS_CONVERSATION, CLASS_TRANSACTIONAL, CLASS_MARKETING };
const char *topic_class_name(enum topic_class class);
bool topic_class_parse(parley_text word, enum topic_class *ret);

/* The newest entry of the ledger for (customer, topic, channel kind). channel_kind "*" stands for all. */
struct consent {
  parley_text topic, channel_kind;
  bool granted;
  int64_t at_ms;
  parley_text source, proof; /* source: api double_opt_in one_click preferences mailto provider complaint ... */
};
enum consent_verdict { CONSENT_PASS = 1, CONSENT_MISSING, CONSENT_WITHDRAWN };
/* marketing needs a grant; transactional and conversation go unless withdrawn; critical passes. Of an exact kind and "*" the
 * newer counts, a withdrawal wins a tie. */
enum consent_verdict consent_check(enum topic_class class, parley_text topic, parley_text channel_kind,
                                   const struct consent *entries, size_t n_entries);
#endif
