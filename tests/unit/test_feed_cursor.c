#include "core/base/text.h"
#include "core/feed/cursor.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t secret[SHA256_BYTES] = "0123456789abcdef0123456789abcde";
static const uint8_t other_secret[SHA256_BYTES] = "1123456789abcdef0123456789abcde";

static struct buf written(parley_text scope, const uint64_t *numbers, size_t n)
{
  struct buf buf = BUF_INIT(0);

  cursor_write(&buf, secret, scope, numbers, n);
  return buf;
}

static const struct {
  uint64_t numbers[CURSOR_NUMBERS_MAX];
  size_t n;
} rows[] = {
    {{0}, 1}, {{1}, 1}, {{UINT64_MAX}, 1}, {{1700000000000, 77}, 2}, {{1, 2, 3}, 3}, {{0}, 0},
};

START_TEST(a_cursor_reads_back_what_was_written)
{
  struct buf buf = written(PARLEY_LIT("events"), rows[_i].numbers, rows[_i].n);
  uint64_t numbers[CURSOR_NUMBERS_MAX] = {0};

  ck_assert_uint_le(buf.len, CURSOR_TEXT_MAX);
  ck_assert(cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("events"), numbers, rows[_i].n));
  for (size_t i = 0; i < rows[_i].n; i++)
    ck_assert_uint_eq(numbers[i], rows[_i].numbers[i]);
  buf_done(&buf);
}
END_TEST

START_TEST(a_cursor_is_bound_to_its_scope_its_store_and_its_count)
{
  const uint64_t numbers[] = {42, 43};
  struct buf buf = written(PARLEY_LIT("messages?to=a"), numbers, 2);
  uint64_t got[CURSOR_NUMBERS_MAX] = {7, 7, 7};

  ck_assert(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("messages?to=b"), got, 2));
  ck_assert(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT(""), got, 2));
  ck_assert(!cursor_read(buf_as_text(&buf), other_secret, PARLEY_LIT("messages?to=a"), got, 2));
  ck_assert(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("messages?to=a"), got, 1));
  ck_assert(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("messages?to=a"), got, 3));
  ck_assert(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("messages?to=a"), got, 4));
  ck_assert_uint_eq(got[0], 7);
  buf_done(&buf);
}
END_TEST

START_TEST(every_changed_or_missing_character_is_noticed)
{
  const uint64_t number = 0x0123456789abcdef;
  struct buf buf = written(PARLEY_LIT("events"), &number, 1);
  uint64_t got;

  for (size_t i = 0; i < buf.len; i++) {
    char was = buf.at[i];

    buf.at[i] = was == 'A' ? 'B' : 'A';
    ck_assert_msg(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("events"), &got, 1), "character %zu", i);
    buf.at[i] = was;
    ck_assert_msg(!cursor_read((parley_text){buf.at, i}, secret, PARLEY_LIT("events"), &got, 1), "cut at %zu", i);
  }
  buf_char(&buf, 'A');
  ck_assert(!cursor_read(buf_as_text(&buf), secret, PARLEY_LIT("events"), &got, 1));
  buf_done(&buf);
}
END_TEST

START_TEST(what_is_no_cursor_at_all_is_refused)
{
  static const char *const texts[] = {
      "", "0", "evt_01KAM2Z8Q3XWA", "AAAA====", "\xff\xfe", "../../etc/passwd", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"};
  struct buf longer = BUF_INIT(0);
  uint64_t got;

  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    ck_assert_msg(!cursor_read(parley_text_of(texts[i]), secret, PARLEY_LIT("events"), &got, 1), "%s", texts[i]);
  for (int i = 0; i < 20000; i++)
    buf_char(&longer, 'A');
  ck_assert(!cursor_read(buf_as_text(&longer), secret, PARLEY_LIT("events"), &got, 1));
  buf_done(&longer);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("feed cursor");
  TCase *tcase = tcase_create("cursor");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_loop_test(tcase, a_cursor_reads_back_what_was_written, 0, sizeof(rows) / sizeof(rows[0]));
  tcase_add_test(tcase, a_cursor_is_bound_to_its_scope_its_store_and_its_count);
  tcase_add_test(tcase, every_changed_or_missing_character_is_noticed);
  tcase_add_test(tcase, what_is_no_cursor_at_all_is_refused);
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
