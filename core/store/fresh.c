#include "fresh.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include <stdlib.h>

struct kept {
  struct list link; /* the oldest first */
  struct arena *arena; /* it lies in it as well */
  struct fresh_message message;
};
struct fresh {
  struct map by_id;
  struct list kept;
};

struct fresh *fresh_new(void)
{
  struct fresh *fresh = xcalloc(1, sizeof(*fresh));

  list_init(&fresh->kept);
  return fresh;
}

static void fresh_drop(struct fresh *fresh, struct kept *kept)
{
  struct arena *arena = kept->arena;

  map_take(&fresh->by_id, kept->message.id);
  list_remove(&kept->link);
  arena_free(&arena);
}

void fresh_clear(struct fresh *fresh)
{
  while (!list_empty(&fresh->kept))
    fresh_drop(fresh, LIST_ITEM(fresh->kept.next, struct kept, link));
}

void fresh_free(struct fresh **fresh)
{
  if (*fresh == NULL)
    return;
  fresh_clear(*fresh);
  map_done(&(*fresh)->by_id);
  free(*fresh);
  *fresh = NULL;
}

/* All texts that are not empty by what the message is. */
static void texts_copy(struct arena *arena, struct fresh_message *message)
{
  parley_text *const texts[] = {&message->topic,           &message->key,              &message->row.channel,
                                &message->row.channel_kind, &message->row.address_kind, &message->row.address,
                                &message->row.provider_id,  &message->row.provider_ids, &message->row.degraded,
                                &message->row.reason,       &message->row.part_code};

  for (size_t i = 0; i < COUNT_OF(texts); i++)
    *texts[i] = texts[i]->len > 0 ? arena_text(arena, *texts[i]) : TEXT_EMPTY;
}

void fresh_put(struct fresh *fresh, const struct fresh_message *message)
{
  struct arena *arena = arena_new_for(sizeof(struct kept) + 256);
  struct kept *kept = arena_alloc(arena, sizeof(*kept));

  if (fresh->by_id.count == FRESH_MAX)
    fresh_drop(fresh, LIST_ITEM(fresh->kept.next, struct kept, link));
  kept->arena = arena;
  kept->message = *message;
  texts_copy(arena, &kept->message);
  list_push(&fresh->kept, &kept->link);
  map_put(&fresh->by_id, message->id, kept);
}

bool fresh_take(struct fresh *fresh, id64 message, struct arena *arena, struct fresh_message *ret)
{
  struct kept *kept = map_get(&fresh->by_id, message);

  if (kept == NULL)
    return false;
  *ret = kept->message;
  texts_copy(arena, ret);
  fresh_drop(fresh, kept);
  return true;
}
