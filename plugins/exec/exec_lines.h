/* exec_lines.h - a stream of bytes as lines of bounded length, and outside text made fit for a log. No I/O. Thread: whoever
 * owns the struct. All-zero but `max` is empty. */
#ifndef PLUGINS_EXEC_LINES_H
#define PLUGINS_EXEC_LINES_H
#include <parley/plugin.h>
#include <stdbool.h>

struct exec_lines {
  char *at; /* of the line that has not ended yet */
  size_t len, room;
  size_t max;    /* bytes of a line, its end not counted; what is longer is skipped, and told once */
  bool skipping; /* within one that was too long */
};
/* One line without its end; too_long: its first `max` bytes, the rest is lost. false: no more lines are wanted. The text ends with
 * the call. */
typedef bool exec_line_cb(parley_text line, bool too_long, void *arg);
/* false: no memory, and the line under way is lost. */
bool exec_lines_feed(struct exec_lines *lines, parley_bytes bytes, exec_line_cb *line, void *arg);
/* What stands there without a line's end, as a line; then empty. */
void exec_lines_end(struct exec_lines *lines, exec_line_cb *line, void *arg);
void exec_lines_clear(struct exec_lines *lines); /* frees; `max` stays */

/* Copies what fits, with a NUL behind: control bytes and what is no UTF-8 become '?', characters are not cut. Returns the length. */
size_t exec_text_clean(parley_text text, char *to, size_t room);
#endif
