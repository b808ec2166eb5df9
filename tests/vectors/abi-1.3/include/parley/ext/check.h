/* parley/ext/check.h - "parley.check/1": what is wrong with options beyond what their types can tell (two that exclude each other, an
 * address that is none), said while a configuration is checked and no channel is made. The plugin offers it; create() refuses the same,
 * or does without what it can do without. Only a plugin that runs inside of the daemon is asked: the options of another are checked by
 * its create() at the start. */
#ifndef PARLEY_EXT_CHECK_H
#define PARLEY_EXT_CHECK_H
#include "../plugin.h"
#ifdef __cplusplus
extern "C" {
#endif
#define PARLEY_CHECK "parley.check/1"

/* line: one sentence for a person, the option's name first ("from: ..."). Copied. */
typedef void parley_fault(parley_text line, void *arg);
typedef struct parley_check {
  uint64_t size;
  /* [any] Pure: there is no host, nothing is opened, nothing is kept. Calls fault once for each thing that is wrong. */
  void (*options)(const parley_value *options, parley_fault *fault, void *arg);
} parley_check;
#ifdef __cplusplus
}
#endif
#endif
