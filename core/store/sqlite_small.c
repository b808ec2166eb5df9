/* sqlite_small.c - what only SQLite does so: one piece of a blob, and the sizes of its files. */
#include "sqlite.h"
#include <sys/stat.h>

parley_status sqlite_media_piece(struct reader *reader, struct store_media *ask)
{
  sqlite3_blob *blob = NULL;
  char *piece;
  size_t len;

  if (sqlite3_blob_open(sqlite_handle(reader->db), "main", "media", "bytes", (sqlite3_int64)ask->id, 0, &blob) != SQLITE_OK)
    return PARLEY_FAILED;
  ask->total_bytes = (uint64_t)sqlite3_blob_bytes(blob);
  len = ask->offset < ask->total_bytes ? (size_t)(ask->total_bytes - ask->offset) : 0;
  if (len > ask->limit)
    len = ask->limit;
  piece = arena_alloc(ask->op.arena, len + 1);
  if (len > 0 && sqlite3_blob_read(blob, piece, (int)len, (int)ask->offset) != SQLITE_OK) {
    sqlite3_blob_close(blob);
    return PARLEY_FAILED;
  }
  sqlite3_blob_close(blob);
  ask->bytes = (parley_bytes){piece, len};
  return PARLEY_OK;
}

static uint64_t file_bytes(const char *path, const char *suffix)
{
  struct buf name = BUF_INIT(4096);
  struct stat st;
  bool there;

  buf_str(&name, path);
  buf_str(&name, suffix);
  there = !name.overflow && stat(name.at, &st) == 0;
  buf_done(&name);
  return there ? (uint64_t)st.st_size : 0;
}

void sqlite_sizes(struct reader *reader, struct store_stats *ask)
{
  const char *path = sqlite_of(reader->store)->path;

  ask->schema = db_int_of(reader->db, "SELECT user_version FROM pragma_user_version");
  ask->file_bytes = file_bytes(path, "");
  ask->wal_bytes = file_bytes(path, "-wal");
}
