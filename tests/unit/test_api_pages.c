/* What stands behind the pages without a request: languages, how often something may happen. */
#include "core/api/page_text.h"
#include "core/api/rate.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct accept_row {
  const char *header, *want; /* want: the tag, NULL: none of ours */
} accept_rows[] = {
    {"", NULL},
    {"de", "de"},
    {"de-AT,de;q=0.9,en;q=0.8", "de"},
    {"pt-BR, pt;q=0.9, es;q=0.5, en;q=0.4", "es"},
    {"en;q=0.1, fr;q=0.11", "fr"},
    {"en;q=0.5, fr;q=0.55, de;q=0.505", "fr"},
    {"FR-ca ; Q=1", "fr"},
    {"es;q=0, pt", NULL},
    {"en;q=2, de;q=0.1", "de"},
    {"en;q=abc", NULL},
    {"en;q=0.1234", NULL},
    {"*", NULL},
    {";;;,,,q=,=,;q=1", NULL},
};

START_TEST(a_browser_gets_the_language_it_wants_most)
{
  const struct accept_row *row = &accept_rows[_i];
  enum lang lang = LANG_EN;

  ck_assert_msg(page_lang_accepted(parley_text_of(row->header), &lang) == (row->want != NULL), "%s", row->header);
  ck_assert_msg(row->want == NULL || strcmp(page_word(lang, W_TAG), row->want) == 0, "%s", row->header);
}
END_TEST

/* Each language has every word, with the same places to fill in, and none has a sign of HTML in it. */
START_TEST(every_word_stands_in_every_language)
{
  for (int word = 0; word < WORDS; word++)
    for (int lang = 0; lang < LANGS; lang++) {
      const char *text = page_word((enum lang)lang, (enum word)word), *first = page_word(LANG_EN, (enum word)word);

      ck_assert_msg(text != NULL && text[0] != '\0' && text_utf8_ok(parley_text_of(text)), "word %d in language %d", word, lang);
      ck_assert_msg(strpbrk(text, "<>&") == NULL, "%s", text);
      ck_assert_msg((strstr(text, "{0}") == NULL) == (strstr(first, "{0}") == NULL), "%s", text);
      ck_assert_msg((strstr(text, "{1}") == NULL) == (strstr(first, "{1}") == NULL), "%s", text);
    }
}
END_TEST

START_TEST(so_often_within_a_time_and_each_key_for_itself)
{
  struct rate rate = {0};

  ck_assert(rate_take(&rate, 1, 2, 1000, 0) && rate_take(&rate, 1, 2, 1000, 999));
  ck_assert(!rate_take(&rate, 1, 2, 1000, 999));
  ck_assert(rate_take(&rate, 2, 1, 1000, 999));
  ck_assert(rate_take(&rate, 1, 2, 1000, 1000));
  ck_assert(rate_take(&rate, 3, 1, 0, 0) && rate_take(&rate, 3, 1, 0, 0)); /* no time: no limit */
  rate_done(&rate);
}
END_TEST

START_TEST(a_full_table_refuses_until_its_time_is_over)
{
  struct rate rate = {0};

  for (uint64_t key = 1; key <= RATE_KEYS_MAX; key++)
    ck_assert(rate_take(&rate, key, 1, key % 2 == 0 ? 1000 : 600000, 0));
  ck_assert(!rate_take(&rate, RATE_KEYS_MAX + 1, 1, 1000, 500));
  ck_assert(rate_take(&rate, RATE_KEYS_MAX + 1, 1, 1000, 2000));
  ck_assert_uint_eq(rate.seen.count, RATE_KEYS_MAX / 2 + 1);
  rate_done(&rate);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("api: pages");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_browser_gets_the_language_it_wants_most, 0, COUNT_OF(accept_rows));
  tcase_add_test(tcase, every_word_stands_in_every_language);
  tcase_add_test(tcase, so_often_within_a_time_and_each_key_for_itself);
  tcase_add_test(tcase, a_full_table_refuses_until_its_time_is_over);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
