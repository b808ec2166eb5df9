/* What stands behind the pages without a request: languages and their words. */
#include "core/api/page_text.h"
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

int main(void)
{
  Suite *suite = suite_create("api: pages");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_browser_gets_the_language_it_wants_most, 0, COUNT_OF(accept_rows));
  tcase_add_test(tcase, every_word_stands_in_every_language);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
