#include "rules.h"
#include "core/base/alloc.h"

static const char *const CONSENT_RULES[RULE_COUNT] = {
    [RULE_CRITICAL] = "class critical passes",
    [RULE_CONVERSATION] = "class conversation goes unless withdrawn",
    [RULE_TRANSACTIONAL] = "class transactional goes unless withdrawn",
    [RULE_GRANTED] = "class marketing needs a grant: granted",
    [RULE_NO_GRANT] = "class marketing needs a grant: none given",
    [RULE_WITHDRAWN] = "withdrawn",
    [RULE_KEYWORD] = "answers what was asked by keyword",
};
static const char *const WORDS[] = {"suppressed",         "failed",           "no_route", "no_consent",
                                    "address_suppressed", "identity_conflict", "html_clipped", "opted_out"};

const char *consent_rule_text(enum consent_rule rule)
{
  return rule < RULE_COUNT ? CONSENT_RULES[rule] : NULL;
}

enum consent_rule consent_rule_of(const char *text)
{
  for (enum consent_rule rule = RULE_CRITICAL; rule < RULE_COUNT; rule++) {
    if (text == CONSENT_RULES[rule])
      return rule;
  }
  return RULE_NONE;
}

const char *decision_word(parley_text word)
{
  for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
    if (parley_text_is(word, WORDS[i]))
      return WORDS[i];
  }
  return NULL;
}
