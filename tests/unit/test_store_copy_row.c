#include "core/store/copy_row.h"
#include "core/base/alloc.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) {text, sizeof(text) - 1}

START_TEST(a_row_is_a_tuple_of_binary_copy_and_reads_back)
{
  struct buf row = BUF_INIT(0);
  struct copy_field fields[4];
  parley_bytes rest, whole;
  int64_t number = 0;

  copy_row_begin(&row, 4);
  copy_row_int(&row, -2);
  copy_row_null(&row);
  copy_row_text(&row, PARLEY_LIT("h\xc3\xa9"));
  copy_row_bytes(&row, (parley_bytes)BYTES("\0\xff"));
  ck_assert_uint_eq(row.len, 2 + 4 + 8 + 4 + 4 + 3 + 4 + 2);
  ck_assert(memcmp(row.at,
                   "\0\4\0\0\0\10\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff\xff\0\0\0\3h\xc3\xa9\0\0\0\2\0\xff", row.len) == 0);
  rest = buf_as_text(&row);
  ck_assert_int_eq(copy_row_next(&rest, 4, fields, &whole), COPY_ROW);
  ck_assert(whole.at == row.at && whole.len == row.len && rest.len == 0);
  ck_assert(copy_field_int(&fields[0], &number) && number == -2);
  ck_assert(fields[1].null && !copy_field_int(&fields[1], &number));
  ck_assert(fields[2].bytes.len == 3 && !copy_field_int(&fields[2], &number));
  ck_assert(fields[3].bytes.len == 2 && fields[3].bytes.at[1] == (char)0xff);
  ck_assert_int_eq(copy_row_next(&rest, 4, fields, &whole), COPY_END);
  buf_done(&row);
}
END_TEST

/* The same as the driver stores it: else a row would not be found again. */
START_TEST(a_text_that_postgresql_cannot_hold_is_mended)
{
  static const struct { parley_text is, want; } rows[] = {
      {BYTES("plain"), BYTES("plain")},
      {BYTES(""), BYTES("")},
      {BYTES("a\0b"), BYTES("a\xef\xbf\xbd" "b")},
      {BYTES("\xff"), BYTES("\xef\xbf\xbd")},
      {BYTES("caf\xc3"), BYTES("caf\xef\xbf\xbd")},
  };
  struct buf row = BUF_INIT(0);
  struct copy_field field;
  parley_bytes rest, whole;

  copy_row_begin(&row, 1);
  copy_row_text(&row, rows[_i].is);
  rest = buf_as_text(&row);
  ck_assert_int_eq(copy_row_next(&rest, 1, &field, &whole), COPY_ROW);
  ck_assert_uint_eq(field.bytes.len, rows[_i].want.len);
  ck_assert(memcmp(field.bytes.at, rows[_i].want.at, field.bytes.len) == 0);
  buf_done(&row);
}
END_TEST

START_TEST(what_is_no_row_is_broken_and_takes_nothing)
{
  static const struct { const char *name; parley_bytes bytes; enum copy_found want; } rows[] = {
      {"nothing", BYTES(""), COPY_END},
      {"the end", BYTES("\xff\xff"), COPY_END},
      {"more behind the end", BYTES("\xff\xff\0"), COPY_BROKEN},
      {"half a count", BYTES("\0"), COPY_BROKEN},
      {"fewer fields", BYTES("\0\1\xff\xff\xff\xff"), COPY_BROKEN},
      {"more fields", BYTES("\0\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), COPY_BROKEN},
      {"a field without its length", BYTES("\0\2\xff\xff\xff\xff\0\0\0"), COPY_BROKEN},
      {"a field without its bytes", BYTES("\0\2\xff\xff\xff\xff\0\0\0\2a"), COPY_BROKEN},
      {"a length below null", BYTES("\0\2\xff\xff\xff\xff\xff\xff\xff\xfe"), COPY_BROKEN},
      {"two fields", BYTES("\0\2\xff\xff\xff\xff\0\0\0\0"), COPY_ROW},
  };
  char *exact = xmemdup(rows[_i].bytes.at, rows[_i].bytes.len); /* a sanitizer sees what is read behind it */
  parley_bytes rest = {exact, rows[_i].bytes.len}, whole;
  struct copy_field fields[2];

  ck_assert_msg(copy_row_next(&rest, 2, fields, &whole) == rows[_i].want, "%s", rows[_i].name);
  ck_assert_uint_eq(rest.len, rows[_i].want == COPY_ROW ? 0 : rows[_i].bytes.len);
  free(exact);
}
END_TEST

START_TEST(a_stream_begins_with_its_head)
{
  struct buf head = BUF_INIT(0);
  parley_bytes rest;

  copy_head_write(&head);
  copy_end_write(&head);
  rest = buf_as_text(&head);
  ck_assert_uint_eq(rest.len, COPY_HEAD_BYTES + 2);
  ck_assert(copy_head_take(&rest) && rest.len == 2);
  for (size_t i = 0; i < COPY_HEAD_BYTES; i++) {
    head.at[i] ^= 1;
    rest = buf_as_text(&head);
    ck_assert_msg(!copy_head_take(&rest), "byte %zu", i);
    head.at[i] ^= 1;
  }
  rest = (parley_bytes){head.at, COPY_HEAD_BYTES - 1};
  ck_assert(!copy_head_take(&rest));
  buf_done(&head);
}
END_TEST

START_TEST(a_sum_tells_rows_and_their_order_apart)
{
  static const parley_bytes a = BYTES("one"), b = BYTES("two");
  uint8_t ab[SHA256_BYTES] = {0}, ba[SHA256_BYTES] = {0}, again[SHA256_BYTES] = {0};
  struct buf scratch = BUF_INIT(0);

  copy_sum_add(ab, a, &scratch);
  copy_sum_add(ab, b, &scratch);
  copy_sum_add(ba, b, &scratch);
  copy_sum_add(ba, a, &scratch);
  copy_sum_add(again, a, &scratch);
  ck_assert(memcmp(ab, again, sizeof(ab)) != 0);
  copy_sum_add(again, b, &scratch);
  ck_assert(memcmp(ab, again, sizeof(ab)) == 0 && memcmp(ab, ba, sizeof(ab)) != 0);
  buf_done(&scratch);
}
END_TEST

int main(void)
{
  TCase *tcase = tcase_create("copy_row");
  Suite *suite = suite_create("copy_row");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_test(tcase, a_row_is_a_tuple_of_binary_copy_and_reads_back);
  tcase_add_loop_test(tcase, a_text_that_postgresql_cannot_hold_is_mended, 0, 5);
  tcase_add_loop_test(tcase, what_is_no_row_is_broken_and_takes_nothing, 0, 10);
  tcase_add_test(tcase, a_stream_begins_with_its_head);
  tcase_add_test(tcase, a_sum_tells_rows_and_their_order_apart);
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
