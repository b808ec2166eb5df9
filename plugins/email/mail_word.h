/* mail_word.h - keywords of mail and its protocols: texts compared without regard to the case of ASCII letters, whatever the locale.
 * Pure. Thread: any. */
#ifndef EMAIL_MAIL_WORD_H
#define EMAIL_MAIL_WORD_H
#include <parley/plugin.h>
#include <stdbool.h>

static inline char mail_word_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

static inline bool mail_word_same(parley_text a, parley_text b)
{
  size_t i = 0;

  while (i < a.len && i < b.len && mail_word_lower(a.at[i]) == mail_word_lower(b.at[i]))
    i++;
  return i == a.len && i == b.len;
}

static inline bool mail_word_is(parley_text text, const char *word) { return mail_word_same(text, parley_text_of(word)); }

static inline bool mail_word_begins(parley_text text, const char *word)
{
  size_t len = strlen(word);

  return text.len >= len && mail_word_same((parley_text){text.at, len}, (parley_text){word, len});
}
#endif
