/* read_space.c - how much room what takes, and from when it is: found out once a minute, whoever asks. */
#include "read.h"
#include "core/base/text.h"
#include <string.h>

#define SPACE_KNOWN_MS 60000

void space_add(struct space *space, parley_text table, uint64_t bytes, uint64_t rows)
{
  size_t i = 0;

  while (i < space->n && !parley_text_is(table, space->tables[i].name))
    i++;
  if (i == SPACE_TABLES_MAX || table.len >= sizeof(space->tables[0].name))
    return;
  if (i == space->n) {
    memcpy(space->tables[i].name, table.at, table.len);
    space->n++;
  }
  space->tables[i].bytes += bytes;
  space->tables[i].rows += rows;
}

static int64_t oldest_of(struct stmt *get)
{
  id64 oldest = db_step(get) ? col_id(get, 0) : 0;

  db_reset(get);
  return oldest != 0 ? id_time_ms(oldest) : 0;
}

/* Without what was passed over. */
static void oldest_find(struct db *db, int64_t oldest_ms[STORE_KEEP_KINDS])
{
#define BEYOND(name) "coalesce((SELECT upto FROM expired WHERE name='" name "'), 0)"
  oldest_ms[KEEP_BODIES] = oldest_of(db_sql(db, "SELECT min(id) FROM message WHERE id>" BEYOND("body")));
  oldest_ms[KEEP_RAW] = oldest_of(db_sql(db, "SELECT min(message) FROM raw"));
  oldest_ms[KEEP_EVENTS] = oldest_of(db_sql(db, "SELECT min(seq) FROM event WHERE seq>" BEYOND("event")));
  oldest_ms[KEEP_ATTEMPTS] = oldest_of(db_sql(db, "SELECT min(message) FROM attempt WHERE message>" BEYOND("attempt")));
#undef BEYOND
}

static void space_refresh(struct reader *reader)
{
  int64_t mono_ms = reader->store->env->mono_ms(reader->store->env);
  struct space *space = &reader->space;

  if (space->known && mono_ms - space->at_ms < SPACE_KNOWN_MS)
    return;
  *space = (struct space){.known = true, .at_ms = mono_ms};
  reader->store->ways->space(reader, space);
  oldest_find(reader->db, space->oldest_ms);
}

void space_get(struct reader *reader, struct store_stats *ask)
{
  const struct space *space = &reader->space;

  space_refresh(reader);
  ask->free_bytes = space->free_bytes;
  memcpy(ask->oldest_ms, space->oldest_ms, sizeof(ask->oldest_ms));
  ask->n_tables = space->n;
  ask->tables = arena_alloc(ask->op.arena, (space->n + 1) * sizeof(*ask->tables));
  for (size_t i = 0; i < space->n; i++)
    ask->tables[i] = (struct store_table){arena_text(ask->op.arena, parley_text_of(space->tables[i].name)), space->tables[i].bytes,
                                          space->tables[i].rows};
}
