// sources: plugins/email/imap_place.c
/* Up to where a mailbox was read: kept as text, and against the mailbox as it is met again. */
#include "plugins/email/imap_place.h"
#include <check.h>
#include <stdlib.h>

enum { DAY_MS = 86400000 };
static const int64_t now_ms = 1767225600000;

START_TEST(a_mailbox_is_met_at_its_end_and_the_same_again)
{
  struct imap_place place = {0};

  ck_assert_int_eq(imap_place_meet(&place, 7, 100, now_ms), IMAP_PLACE_FIRST);
  ck_assert(place.uidvalidity == 7 && place.uid == 0 && place.catch_to == 99 && place.since_ms == 0 && place.newest_ms == now_ms);
  place.uid = 99;
  ck_assert_int_eq(imap_place_meet(&place, 7, 120, now_ms + 1), IMAP_PLACE_SAME);
  ck_assert(place.uid == 99 && place.catch_to == 99 && place.newest_ms == now_ms);
}
END_TEST

START_TEST(numbered_anew_it_is_looked_through_from_two_days_before_the_newest)
{
  struct imap_place place = {.uidvalidity = 7, .uid = 99, .catch_to = 99, .newest_ms = now_ms};

  ck_assert_int_eq(imap_place_meet(&place, 8, 50, now_ms + DAY_MS), IMAP_PLACE_ANEW);
  ck_assert(place.uidvalidity == 8 && place.uid == 0 && place.catch_to == 49);
  ck_assert(place.since_ms == now_ms - 2 * DAY_MS && place.newest_ms == now_ms);
  place.newest_ms = DAY_MS; /* never 0, which would be "what is unread" */
  ck_assert_int_eq(imap_place_meet(&place, 9, 1, now_ms), IMAP_PLACE_ANEW);
  ck_assert(place.since_ms == 1 && place.catch_to == 0);
}
END_TEST

START_TEST(what_is_written_is_read_again)
{
  const struct imap_place place = {UINT32_MAX, UINT32_MAX - 1, 3, now_ms, INT64_MAX};
  struct imap_place again = {0};
  char text[IMAP_PLACE_TEXT_MAX + 1];

  imap_place_write(&place, text);
  ck_assert_str_eq(text, "4294967295 4294967294 3 1767225600000 9223372036854775807");
  imap_place_read(&again, parley_text_of(text));
  ck_assert(again.uidvalidity == place.uidvalidity && again.uid == place.uid && again.catch_to == place.catch_to);
  ck_assert(again.since_ms == place.since_ms && again.newest_ms == place.newest_ms);
  imap_place_read(&again, PARLEY_LIT("1 2 3")); /* changes nothing */
  ck_assert(again.uidvalidity == place.uidvalidity);
}
END_TEST

START_TEST(each_mailbox_has_a_key)
{
  char one[sizeof "imap." + IMAP_PLACE_KEY_HEX], other[sizeof one];

  imap_place_key("mx.example:993", PARLEY_LIT("ana"), PARLEY_LIT("INBOX"), one);
  imap_place_key("mx.example:993", PARLEY_LIT("ana"), PARLEY_LIT("Shop"), other);
  ck_assert_str_eq(one, "imap.b6dbb364aac4ba3db32b570f7a479b25"); /* it may never change: the place would be lost */
  ck_assert_str_ne(one, other);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("imap_place");
  TCase *tcase = tcase_create("imap_place");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_mailbox_is_met_at_its_end_and_the_same_again);
  tcase_add_test(tcase, numbered_anew_it_is_looked_through_from_two_days_before_the_newest);
  tcase_add_test(tcase, what_is_written_is_read_again);
  tcase_add_test(tcase, each_mailbox_has_a_key);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
