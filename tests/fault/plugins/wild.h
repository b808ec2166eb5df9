/* wild.h - the inside of the wild plugin (wild.c): one function a fault. Nothing here is careful; that is the point. */
#ifndef WILD_H
#define WILD_H
#include <parley/ext/http-in.h>

struct wild { /* one fault, asked for by a message, a callback, an option or the constructor */
  const parley_host *host; /* NULL: within the constructor */
  const char *argument;    /* a path, a name, a number; "" when none was given */
  uint64_t token;          /* 0: no message asked for it */
  int settled;             /* it has settled the token itself */
};
/* Returns a word for whoever asked: "ok" when it got away with it, the name of an errno when it was refused. Most do not return. */
typedef const char *wild_fault(struct wild *wild);

struct wild_row {
  const char *name;
  wild_fault *run;
};
extern const struct wild_row wild_crimes[]; /* wild_crimes.c: dies, hangs, takes, breaks out; both end with a NULL */
extern const struct wild_row wild_lies[];   /* wild_lies.c: says what is not so, through the host and as raw frames */
const char *wild_run(const char *name, struct wild *wild); /* "no_such_fault" */
const char *wild_word_of_errno(void);
#endif
