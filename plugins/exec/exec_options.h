/* exec_options.h - what the operator wrote about a program: the table of options, and from it its arguments, its environment and
 * what its channel can carry. No I/O but the look for the program. Thread: loop. */
#ifndef PLUGINS_EXEC_OPTIONS_H
#define PLUGINS_EXEC_OPTIONS_H
#include <parley/plugin.h>
#include <stdbool.h>
#include <stdio.h>

#define EXEC_ARGUMENTS_MAX 64      /* the program's own name counts as one */
#define EXEC_VARIABLES_MAX 64      /* in env, and in secrets */
#define EXEC_ARGUMENT_BYTES_MAX 4096
#define EXEC_NAME_BYTES_MAX 39     /* address_kind */
#define EXEC_IN_FLIGHT_MAX 1024
#define EXEC_TEXT_PARTS_MAX 10     /* pieces of a text that is longer than text_max */
#define EXEC_MEDIA_MAX 10          /* media parts of one message */
#define EXEC_FEATURES_MAX 16
#define EXEC_MASK_BYTES_MIN 6      /* shorter secrets would hit ordinary words */
#define EXEC_WHY_ROOM 200          /* of causes, remedies and reasons */

struct exec_options {
  char *argv[EXEC_ARGUMENTS_MAX + 1];
  char **envp;
  size_t n_envp;
  parley_text secrets[EXEC_VARIABLES_MAX]; /* of the options, which outlive the channel */
  size_t n_secrets;
  uint32_t timeout_ms, kill_after_ms, restart_min_ms, restart_max_ms;
  uint64_t memory_bytes, line_max;
  char address_kind[EXEC_NAME_BYTES_MAX + 1];
  parley_capabilities capabilities; /* the features below */
  parley_feature features[EXEC_FEATURES_MAX];
  const parley_feature *feature_list[EXEC_FEATURES_MAX + 1];
};
extern const parley_option *const exec_option_table[];
extern const parley_capabilities exec_capabilities; /* the most that options can say */

/* PARLEY_INVALID: why says which option is wrong; PARLEY_BUSY: no memory. exec_options_done() in any case. to is all-zero. */
parley_status exec_options_read(const parley_value *options, struct exec_options *to, char why[EXEC_WHY_ROOM]);
void exec_options_done(struct exec_options *options);
/* The value of a variable of the program's environment; NULL: it has none. */
const char *exec_options_variable(const struct exec_options *options, const char *name);
/* The text with each secret as ***, cut to room with a NUL behind. Returns its length. */
size_t exec_options_mask(const struct exec_options *options, parley_text text, char *to, size_t room);
#endif
