/* sqlite_space.c - how much room each table takes, and about how many rows it has. A small file is read through (virtual table dbstat,
 * where SQLite was built with it). Of a large one a few paths from root to leaf are read: the product of how many children each page
 * on a path has says how many pages there are like it (Knuth, Estimating the efficiency of backtrack programs, 1975).
 * The paths are read from the file itself, as of the last checkpoint.
 *
 * Bytes: SQLite's file format, sections 1.6 (b-tree pages) and 1.5 (the list of overflow pages). */
#include "sqlite.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>

#define WHOLE_PAGES_MAX 2048 /* a file up to here is read through: 8 MiB */
#define PATHS 24             /* of one b-tree */
#define DEPTH_MAX 20
#define PAGE_BYTES_MAX 65536
#define FILE_HEAD_BYTES 100 /* of page 1, before its b-tree head */

enum { INTERIOR_INDEX = 2, INTERIOR_TABLE = 5, LEAF_INDEX = 10, LEAF_TABLE = 13 };

struct pages {
  sqlite3_file *file;
  uint32_t page_bytes, count;
  uint64_t chance;
  unsigned char *at; /* one page */
};
struct estimate { double pages, rows; };

static uint32_t be16(const unsigned char *at)
{
  return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t be32(const unsigned char *at)
{
  return be16(at) << 16 | be16(at + 2);
}

/* Length of a varint at `at`, 0: it does not end before `end`. */
static size_t varint(const unsigned char *at, const unsigned char *end, uint64_t *ret)
{
  uint64_t value = 0;

  for (size_t i = 0; i < 9 && at + i < end; i++) {
    value = i < 8 ? value << 7 | (at[i] & 0x7f) : value << 8 | at[i];
    if (i == 8 || at[i] < 0x80) {
      *ret = value;
      return i + 1;
    }
  }
  return 0;
}

/* --- one page ------------------------------------------------------------------------------------------------------------------- */

static const unsigned char *page_head(const struct pages *pages, uint32_t page)
{
  return pages->at + (page == 1 ? FILE_HEAD_BYTES : 0);
}

static bool page_read(struct pages *pages, uint32_t page)
{
  if (page == 0 || page > pages->count)
    return false;
  return pages->file->pMethods->xRead(pages->file, pages->at, (int)pages->page_bytes,
                                      (sqlite3_int64)(page - 1) * pages->page_bytes) == SQLITE_OK;
}

static bool is_interior(unsigned char type)
{
  return type == INTERIOR_INDEX || type == INTERIOR_TABLE;
}

/* The page that child n of this interior one lies on; 0: the bytes make no sense. */
static uint32_t child_of(const struct pages *pages, const unsigned char *head, uint32_t n)
{
  uint32_t at;

  if (n == be16(head + 3))
    return be32(head + 8);
  if (head + 12 + 2 * n + 2 > pages->at + pages->page_bytes)
    return 0;
  at = be16(head + 12 + 2 * n);
  return at + 4 <= pages->page_bytes ? be32(pages->at + at) : 0;
}

/* Pages that a payload needs beside the one it begins on. */
static uint64_t overflow_pages(const struct pages *pages, unsigned char type, uint64_t payload)
{
  uint64_t usable = pages->page_bytes, most = type == LEAF_TABLE ? usable - 35 : (usable - 12) * 64 / 255 - 23;
  uint64_t least = (usable - 12) * 32 / 255 - 23, kept;

  if (payload <= most)
    return 0;
  kept = least + (payload - least) % (usable - 4);
  return (payload - (kept <= most ? kept : least) + usable - 5) / (usable - 4);
}

static uint64_t leaf_overflow(const struct pages *pages, const unsigned char *head)
{
  const unsigned char *end = pages->at + pages->page_bytes;
  uint32_t cells = be16(head + 3);
  uint64_t n = 0, payload;

  for (uint32_t i = 0; i < cells && head + 8 + 2 * i + 2 <= end; i++) {
    uint32_t at = be16(head + 8 + 2 * i);

    if (at < pages->page_bytes && varint(pages->at + at, end, &payload) > 0 && payload < UINT32_MAX)
      n += overflow_pages(pages, head[0], payload);
  }
  return n;
}

/* --- one b-tree ----------------------------------------------------------------------------------------------------------------- */

static uint32_t chance_below(struct pages *pages, uint32_t n)
{
  pages->chance = pages->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((pages->chance >> 33) % n);
}

/* Children of the root are taken in turns, further down by chance. True: the root has no children. */
static bool path_walk(struct pages *pages, uint32_t root, uint32_t turn, struct estimate *ret)
{
  double weight = 1;
  uint32_t page = root;

  for (int depth = 0; depth < DEPTH_MAX && page_read(pages, page); depth++) {
    const unsigned char *head = page_head(pages, page);
    uint32_t children = be16(head + 3) + 1;

    ret->pages += weight;
    if (!is_interior(head[0])) {
      ret->rows += weight * be16(head + 3);
      ret->pages += weight * (double)leaf_overflow(pages, head);
      return depth == 0;
    }
    weight *= children;
    page = child_of(pages, head, depth == 0 ? (uint32_t)((uint64_t)turn * children / PATHS) : chance_below(pages, children));
  }
  return false;
}

static struct estimate tree_estimate(struct pages *pages, uint32_t root)
{
  struct estimate sum = {0, 0};

  for (uint32_t i = 0; i < PATHS; i++)
    if (path_walk(pages, root, i, &sum))
      return sum;
  return (struct estimate){sum.pages / PATHS, sum.rows / PATHS};
}

/* --- all of them ---------------------------------------------------------------------------------------------------------------- */

/* Tables that are one to whoever looks from outside: those of each day, and what is on its way to another. */
static parley_text table_shown(parley_text name)
{
  if (text_starts(name, "idem_"))
    return PARLEY_LIT("idem");
  return text_starts(name, "timeline") ? PARLEY_LIT("timeline") : name;
}

static void space_estimate(struct db *db, struct pages *pages, struct space *space)
{
  struct stmt *list = db_prepare(db, PARLEY_LIT("SELECT tbl_name, rootpage, type='table' FROM sqlite_schema WHERE rootpage>0"));

  while (db_step(list)) {
    struct estimate of = tree_estimate(pages, (uint32_t)col_int(list, 1));

    space_add(space, table_shown(col_peek(list, 0)), (uint64_t)(of.pages * pages->page_bytes),
              col_int(list, 2) != 0 ? (uint64_t)of.rows : 0);
  }
  db_drop(list);
}

static void space_whole(struct db *db, struct space *space)
{
  struct stmt *list = db_prepare(db, PARLEY_LIT("SELECT s.tbl_name, sum(d.pgsize), sum(CASE WHEN s.type='table' AND d.pagetype='leaf'"
                                                " THEN d.ncell ELSE 0 END) FROM dbstat d JOIN sqlite_schema s ON s.name=d.name GROUP"
                                                " BY s.tbl_name"));

  while (db_step(list))
    space_add(space, table_shown(col_peek(list, 0)), (uint64_t)col_int(list, 1), (uint64_t)col_int(list, 2));
  db_drop(list);
}

void sqlite_space(struct reader *reader, struct space *space)
{
  struct db *db = reader->db;
  struct pages pages = {.page_bytes = (uint32_t)db_int_of(db, "PRAGMA page_size"),
                        .count = (uint32_t)db_int_of(db, "PRAGMA page_count"),
                        .chance = (uint64_t)space->at_ms};

  space->free_bytes = (uint64_t)db_int_of(db, "PRAGMA freelist_count") * pages.page_bytes;
  if (db->status != PARLEY_OK || pages.page_bytes < 512 || pages.page_bytes > PAGE_BYTES_MAX)
    return;
  if (pages.count <= WHOLE_PAGES_MAX && sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB")) {
    space_whole(db, space);
    return;
  }
  if (sqlite3_file_control(sqlite_handle(db), "main", SQLITE_FCNTL_FILE_POINTER, &pages.file) != SQLITE_OK || pages.file == NULL ||
      pages.file->pMethods == NULL)
    return;
  pages.at = xcalloc(1, pages.page_bytes);
  space_estimate(db, &pages, space);
  free(pages.at);
}
