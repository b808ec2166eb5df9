/* One SQL text, as PostgreSQL is told it for one row and for many. */
/* stores: sqlite (pure: no store is opened) */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/store/postgres_text.h"
#include <check.h>
#include <stdlib.h>

struct expected {
  const char *sql, *one;
  enum pg_doing doing;
  const char *table, *many;
  int n_key, key[3];
};

static const struct expected texts[] = {
    {"SELECT a, b FROM t WHERE h=?", "SELECT a, b FROM t WHERE h=$1", PG_SELECT, "",
     "SELECT u.row_n, r.* FROM unnest($1::int8[]) WITH ORDINALITY AS u(p1,row_n) CROSS JOIN LATERAL (SELECT a, b FROM t WHERE"
     " h=u.p1) AS r ORDER BY u.row_n", 0, {0}},
    {"SELECT x FROM t INDEXED BY t_x WHERE x<?2 AND y=?1 LIMIT ?3", "SELECT x FROM t WHERE x<$2 AND y=$1 LIMIT $3", PG_SELECT, "",
     "SELECT u.row_n, r.* FROM unnest($1::int8[],$2::int8[],$3::int8[]) WITH ORDINALITY AS u(p1,p2,p3,row_n) CROSS JOIN LATERAL"
     " (SELECT x FROM t WHERE x<u.p2 AND y=u.p1 LIMIT u.p3) AS r ORDER BY u.row_n", 0, {0}},
    {"SELECT 1 FROM t", "SELECT 1 FROM t", PG_OTHER, "", "", 0, {0}},
    {"INSERT INTO t(a, b, c) VALUES(?, 0, ?)", "INSERT INTO t(a, b, c) VALUES($1, 0, $2)", PG_INSERT, "t",
     "INSERT INTO t(a, b, c) SELECT ($1::int8[])[u.n], 0, ($2::int8[])[u.n]"
     " FROM generate_series(1,cardinality($1::int8[])) AS u(n)", 0, {0}},
    {"INSERT INTO t(a, b) VALUES(?, '?)') ON CONFLICT DO NOTHING", "INSERT INTO t(a, b) VALUES($1, '?)') ON CONFLICT DO NOTHING",
     PG_INSERT, "t",
     "INSERT INTO t(a, b) SELECT ($1::int8[])[u.n], '?)' FROM generate_series(1,cardinality($1::int8[])) AS u(n)"
     " ON CONFLICT DO NOTHING", 0, {0}},
    {"INSERT INTO t(a, b, c) VALUES(?, ?, ?) ON CONFLICT(b, a) DO UPDATE SET c=excluded.c",
     "INSERT INTO t(a, b, c) VALUES($1, $2, $3) ON CONFLICT(b, a) DO UPDATE SET c=excluded.c", PG_UPSERT, "t",
     "INSERT INTO t(a, b, c) SELECT ($1::int8[])[u.n], ($2::int8[])[u.n], ($3::int8[])[u.n]"
     " FROM generate_series(1,cardinality($1::int8[])) AS u(n) ON CONFLICT(b, a) DO UPDATE SET c=excluded.c", 2, {2, 1}},
    {"INSERT INTO t(a, b) VALUES(1, ?) ON CONFLICT(a) DO UPDATE SET b=excluded.b",
     "INSERT INTO t(a, b) VALUES(1, $1) ON CONFLICT(a) DO UPDATE SET b=excluded.b", PG_OTHER, "t", "", 0, {0}},
    {"UPDATE t SET a=?, b=b+1 WHERE id=? AND step=?", "UPDATE t SET a=$1, b=b+1 WHERE id=$2 AND step=$3", PG_UPDATE, "t",
     "UPDATE t SET a=($1::int8[])[u.n], b=b+1 FROM generate_series(1,cardinality($1::int8[])) AS u(n)"
     " WHERE id=($2::int8[])[u.n] AND step=($3::int8[])[u.n]", 2, {2, 3}},
    {"UPDATE t SET a=?2 WHERE id=?1 AND a<?2", "UPDATE t SET a=$2 WHERE id=$1 AND a<$2", PG_OTHER, "t", "", 0, {0}},
    {"UPDATE t SET a=a+1", "UPDATE t SET a=a+1", PG_OTHER, "t", "", 0, {0}},
    {"UPDATE t SET a=? WHERE id=? RETURNING a", "UPDATE t SET a=$1 WHERE id=$2 RETURNING a", PG_OTHER, "t", "", 0, {0}},
    {"DELETE FROM t WHERE id=?", "DELETE FROM t WHERE id=$1", PG_OTHER, "t", "", 0, {0}},
    {"BEGIN", "BEGIN", PG_OTHER, "", "", 0, {0}},
};

START_TEST(a_text_is_told_for_one_and_for_many)
{
  const struct expected *want = &texts[_i];
  const enum pg_type types[PG_PARAMS_MAX] = {PG_INT8, PG_INT8, PG_INT8};
  struct buf many = BUF_INIT(0);
  struct pg_text text;

  pg_text_init(&text, parley_text_of(want->sql));
  ck_assert_str_eq(text.one.at, want->one);
  ck_assert_int_eq((int)text.doing, (int)want->doing);
  ck_assert_str_eq(text.table, want->table);
  if (text.doing != PG_OTHER) {
    pg_text_many(&text, types, &many);
    ck_assert_str_eq(many.at, want->many);
    ck_assert_int_eq(text.n_key, want->n_key);
    for (int i = 0; i < want->n_key; i++)
      ck_assert_int_eq(text.key[i], want->key[i]);
  }
  buf_done(&many);
  pg_text_done(&text);
}
END_TEST

START_TEST(arrays_have_the_types_of_their_parameters)
{
  const enum pg_type types[PG_PARAMS_MAX] = {PG_TEXT, PG_BYTEA, PG_INT8};
  struct buf many = BUF_INIT(0);
  struct pg_text text;

  pg_text_init(&text, PARLEY_LIT("INSERT INTO t(a, b, c) VALUES(?, ?, ?)"));
  pg_text_many(&text, types, &many);
  ck_assert_ptr_nonnull(strstr(many.at, "SELECT ($1::text[])[u.n], ($2::bytea[])[u.n], ($3::int8[])[u.n]"
                                        " FROM generate_series(1,cardinality($1::text[])) AS u(n)"));
  buf_done(&many);
  pg_text_done(&text);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: texts for PostgreSQL");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_text_is_told_for_one_and_for_many, 0, (int)COUNT_OF(texts));
  tcase_add_test(tcase, arrays_have_the_types_of_their_parameters);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
