/* problem.h - what is wrong with a document that somebody sent: a JSON pointer, a stable code and words for a person, one
 * row each. Rendered as RFC 9457 errors[] by core/api and as lines by the CLI. Bounded: PROBLEMS_MAX rows, the rest counted.
 * Owner: whoever declared it. Texts are copied into its arena. Thread: its owner's. */
#ifndef CORE_BASE_PROBLEM_H
#define CORE_BASE_PROBLEM_H
#include "arena.h"
#include "buf.h"

#define PROBLEMS_MAX 20

struct problem {
  parley_text pointer; /* "/to/email"; "" is the whole document */
  const char *code;    /* static, never renamed: "unknown_field" */
  parley_text detail;  /* one sentence */
  parley_text hint;    /* what to do, may be empty: "did you mean 'recipient'?" */
};
struct problems {
  struct arena *arena; /* borrowed */
  size_t count, dropped;
  struct problem rows[PROBLEMS_MAX];
};
void problems_init(struct problems *problems, struct arena *arena);
/* detail: printf rules; it names the field, never a secret. */
void problem_add(struct problems *problems, parley_text pointer, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void problem_hint(struct problems *problems, const char *format, ...) __attribute__((format(printf, 2, 3))); /* of the last row */
/* pointer + "/" + name, with ~ and / escaped as RFC 6901 has it; in the arena. */
parley_text pointer_member(struct arena *arena, parley_text pointer, parley_text name);
parley_text pointer_index(struct arena *arena, parley_text pointer, size_t index);
#endif
