#include "submission.h"
#include "core/base/arena.h"
#include <jansson.h>

void submission_free(struct submission **submission)
{
  struct submission *mine = *submission;
  struct arena *arena;

  *submission = NULL;
  if (mine == NULL)
    return;
  json_decref(mine->json);
  policy_unref(&mine->policy);
  template_unref(&mine->template);
  arena = mine->arena; /* the submission lies in it as well */
  arena_free(&arena);
}
