/* rules.h - the words that a decision carries, in tables: stored by number or word, read back as the same static text.
 * Only ever append. Private to core/route. */
#ifndef CORE_ROUTE_RULES_H
#define CORE_ROUTE_RULES_H
#include "decide.h"

enum consent_rule {
  RULE_NONE,
  RULE_CRITICAL,
  RULE_CONVERSATION,
  RULE_TRANSACTIONAL,
  RULE_GRANTED,
  RULE_NO_GRANT,
  RULE_WITHDRAWN,
  RULE_KEYWORD,
  RULE_COUNT
};
const char *consent_rule_text(enum consent_rule rule); /* NULL for RULE_NONE */
enum consent_rule consent_rule_of(const char *text);   /* RULE_NONE: another text, or NULL */
/* The static twin of a stored word: ends, reasons and codes of warnings. NULL when it is none of ours. */
const char *decision_word(parley_text word);
#endif
