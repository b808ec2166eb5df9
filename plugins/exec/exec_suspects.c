#include "exec_suspects.h"

static void key_make(parley_text id, char to[EXEC_SUSPECT_ROOM])
{
  memset(to, 0, EXEC_SUSPECT_ROOM);
  if (id.len > 0)
    memcpy(to, id.at, id.len < EXEC_SUSPECT_ROOM ? id.len : EXEC_SUSPECT_ROOM - 1);
}

/* EXEC_SUSPECTS_MAX: it is not there. */
static size_t suspect_find(const struct exec_suspects *suspects, parley_text id)
{
  char key[EXEC_SUSPECT_ROOM];
  size_t i = 0;

  key_make(id, key);
  while (i < EXEC_SUSPECTS_MAX && memcmp(suspects->ids[i], key, sizeof key) != 0)
    i++;
  return id.len > 0 ? i : EXEC_SUSPECTS_MAX;
}

bool exec_suspects_has(const struct exec_suspects *suspects, parley_text id)
{
  return suspect_find(suspects, id) < EXEC_SUSPECTS_MAX;
}

void exec_suspects_add(struct exec_suspects *suspects, parley_text id)
{
  if (id.len == 0 || exec_suspects_has(suspects, id))
    return;
  key_make(id, suspects->ids[suspects->next]);
  suspects->next = (suspects->next + 1) % EXEC_SUSPECTS_MAX;
}

void exec_suspects_drop(struct exec_suspects *suspects, parley_text id)
{
  size_t at = suspect_find(suspects, id);

  if (at < EXEC_SUSPECTS_MAX)
    memset(suspects->ids[at], 0, EXEC_SUSPECT_ROOM);
}
