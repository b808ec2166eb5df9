/* exec_suspects.h - the messages that were in a program's hands when it died: one of them may be what killed it, so each is given
 * alone the next time. The newest are remembered. No I/O. Thread: whoever owns the struct; all-zero is empty. */
#ifndef PLUGINS_EXEC_SUSPECTS_H
#define PLUGINS_EXEC_SUSPECTS_H
#include <parley/plugin.h>
#include <stdbool.h>

#define EXEC_SUSPECTS_MAX 256
#define EXEC_SUSPECT_ROOM 24 /* of a message's id, which has 17 bytes, and a NUL; of a longer one, so much counts */

struct exec_suspects {
  char ids[EXEC_SUSPECTS_MAX][EXEC_SUSPECT_ROOM]; /* zero behind; an empty one is free */
  size_t next; /* to be taken, and forgotten if it is not free */
};
void exec_suspects_add(struct exec_suspects *suspects, parley_text id);
bool exec_suspects_has(const struct exec_suspects *suspects, parley_text id);
void exec_suspects_drop(struct exec_suspects *suspects, parley_text id); /* it has settled, and nobody died */
#endif
