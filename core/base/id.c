#include "id.h"
#include "text.h"
#include <assert.h>
#include <string.h>

#define ID_CHARS 13 /* of Crockford base32: 65 bits */
#define ID_MS_SHIFT (ID_NODE_BITS + ID_COUNTER_BITS)
#define ID_MS_MAX ((INT64_C(1) << 41) - 1)

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_source_init(struct id_source *source, const struct env *env, uint32_t node, id64 floor)
{
  assert(node < 1u << ID_NODE_BITS);
  *source = (struct id_source){.env = env, .node = node, .last = floor};
}

id64 id_next(struct id_source *source)
{
  int64_t last_ms = (int64_t)(source->last >> ID_MS_SHIFT);
  int64_t ms = source->env->now_ms(source->env) - ID_EPOCH_MS;
  id64 first;

  if (ms < 1)
    ms = 1; /* a clock before 2025 still gives ids that are not 0 */
  if (ms > ID_MS_MAX)
    ms = ID_MS_MAX;
  if (ms < last_ms)
    ms = last_ms; /* the clock went back: go on where it was */
  first = (id64)ms << ID_MS_SHIFT | (id64)source->node << ID_COUNTER_BITS;
  if (first > source->last)
    source->last = first;
  else if (((source->last + 1) ^ first) >> ID_COUNTER_BITS == 0)
    source->last++; /* the same millisecond and node: count */
  else
    source->last = first + (UINT64_C(1) << ID_MS_SHIFT); /* the counter is spent, or a higher node was here */
  return source->last;
}

int64_t id_time_ms(id64 id)
{
  return (int64_t)(id >> ID_MS_SHIFT) + ID_EPOCH_MS;
}

id64 id_at(int64_t at_ms)
{
  return at_ms <= ID_EPOCH_MS ? 0 : (id64)(at_ms - ID_EPOCH_MS) << ID_MS_SHIFT;
}

void id_format(const char *prefix, id64 id, char to[ID_TEXT_MAX])
{
  size_t len = strlen(prefix);

  assert(len + 1 + ID_CHARS < ID_TEXT_MAX);
  memcpy(to, prefix, len);
  to[len++] = '_';
  for (size_t i = 0; i < ID_CHARS; i++)
    to[len + i] = crockford[id >> (5 * (ID_CHARS - 1 - i)) & 31];
  to[len + ID_CHARS] = '\0';
}

void buf_id(struct buf *buf, const char *prefix, id64 id)
{
  char text[ID_TEXT_MAX];

  id_format(prefix, id, text);
  buf_str(buf, text);
}

void buf_json_id(struct buf *buf, const char *prefix, id64 id)
{
  if (id == 0) {
    buf_str(buf, "null");
    return;
  }
  buf_char(buf, '"');
  buf_id(buf, prefix, id);
  buf_char(buf, '"');
}

bool id_parse(const char *prefix, parley_text text, id64 *ret)
{
  size_t len = strlen(prefix);
  id64 id = 0;

  if (text.len != len + 1 + ID_CHARS || !text_starts(text, prefix) || text.at[len] != '_')
    return false;
  for (size_t i = len + 1; i < text.len; i++) {
    const char *found = text.at[i] != '\0' ? strchr(crockford, text.at[i]) : NULL;

    if (found == NULL || (i == len + 1 && found - crockford > 7)) /* the top bit and what is above it are clear */
      return false;
    id = id << 5 | (id64)(found - crockford);
  }
  if (id == 0)
    return false;
  *ret = id;
  return true;
}
