/* db.c - what every connection can do by means of its kind. */
#include "db.h"

int64_t db_int_of(struct db *db, const char *sql)
{
  struct stmt *stmt = db_prepare(db, parley_text_of(sql));
  int64_t value = db_step(stmt) ? col_int(stmt, 0) : 0;

  db_drop(stmt);
  return value;
}
