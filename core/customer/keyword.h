/* keyword.h - what a customer says with one word: STOP and its kin, START, HELP; and the wordings that may mean the first. Values and
 * rules: nothing is stored or sent here. Pure. Thread: any. Results live in the arena, or for ever where they are static.
 * Sources: 47 CFR 64.1200(a)(10) (stop, quit, end, revoke, opt out, cancel, unsubscribe end consent by themselves; any other wording
 * that a reasonable person would understand does as well) and (a)(12) (one confirmation, within five minutes); CTIA Messaging
 * Principles and Best Practices, 5.1.3; the words that Twilio and AWS always listen to. */
#ifndef CORE_CUSTOMER_KEYWORD_H
#define CORE_CUSTOMER_KEYWORD_H
#include "core/base/arena.h"
#include <stdbool.h>

enum keyword { KEYWORD_NONE, KEYWORD_STOP, KEYWORD_START, KEYWORD_HELP, KEYWORDS };
const char *keyword_name(enum keyword keyword); /* "stop" "start" "help"; NULL: none */

#define KEYWORD_BYTES_MAX 64         /* of a message that may be a keyword; a longer one is none */
#define KEYWORD_REVIEW_BYTES_MAX 640 /* of one whose wording is looked at: four segments; a longer one is a letter */
#define KEYWORD_ANSWER_EVERY_MS 300000 /* STOP and START of one address are each confirmed once in so long, whatever they alternate */

struct keyword_word { parley_text word /* as keyword_fold() made it */; enum keyword means; };
struct keyword_text { parley_text locale, text; enum keyword to; };
struct keywords { /* what one channel listens to, beside the words that all do */
  size_t n_words, n_texts;
  const struct keyword_word *words;
  const struct keyword_text *texts; /* given by the operator; else ours */
  parley_text name;                 /* of the business: heads our own texts; may be empty */
  parley_text locale;               /* of customers without one */
  bool answers;                     /* false: the provider answers them itself */
  int64_t help_every_ms;            /* HELP of one address is answered once in so long */
};

/* Small letters without accents; spaces, quotes, punctuation and emoji off both ends; what nobody sees is left out; hyphens and runs
 * of spaces within are one space. Empty: nothing is left, or it is longer than a keyword. */
parley_text keyword_fold(parley_text text, struct arena *arena);
/* Of the words that every channel listens to, folded; KEYWORD_NONE: none of them. *ret_locale: the language it is of, "" for English;
 * may be NULL. */
enum keyword keyword_built_in(parley_text folded, parley_text *ret_locale);
/* What the whole message is. */
enum keyword keyword_of(const struct keywords *keywords, parley_text text, struct arena *arena, parley_text *ret_locale);
/* A person may want no more of this: to be looked at by somebody. Never true of a keyword itself. */
bool keyword_may_mean_stop(const struct keywords *keywords, parley_text text, struct arena *arena);
/* What is answered, in the first of these languages that there is a text in: the locale, its language, the keyword's own language
 * where there is no locale, the default one, English. A text of the operator's goes before ours, whatever its language. */
parley_text keyword_answer(const struct keywords *keywords, enum keyword to, parley_text locale, parley_text spoken,
                           struct arena *arena);
#endif
