#include "submission.h"
#include "core/base/arena.h"
#include <jansson.h>

struct submission *submission_new(struct policy *policy, int64_t now_ms, size_t bytes)
{
  struct arena *arena = arena_new_for(sizeof(struct submission) + bytes);
  struct submission *submission = arena_alloc(arena, sizeof *submission);

  submission->arena = arena;
  submission->policy = policy_ref(policy);
  submission->now_ms = now_ms;
  return submission;
}

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
