#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/customer/consent.h"
#include <check.h>

#define TOPIC PARLEY_LIT("newsletter")
#define GIVEN(kind, at)                                                \
  {                                                                    \
    {"newsletter", 10}, {kind, sizeof(kind) - 1}, true, at, {NULL, 0}, \
    {                                                                  \
      NULL, 0                                                          \
    }                                                                  \
  }
#define WITHDRAWN(kind, at)                                             \
  {                                                                     \
    {"newsletter", 10}, {kind, sizeof(kind) - 1}, false, at, {NULL, 0}, \
    {                                                                   \
      NULL, 0                                                           \
    }                                                                   \
  }

static const struct {
  const char *what;
  enum topic_class class;
  size_t n_entries;
  struct consent entries[3];
  enum consent_verdict want;
} cases[] = {
    {"marketing needs a grant", CLASS_MARKETING, 0, {{.granted = false}}, CONSENT_MISSING},
    {"marketing with a grant", CLASS_MARKETING, 1, {GIVEN("email", 5)}, CONSENT_PASS},
    {"a grant for all kinds", CLASS_MARKETING, 1, {GIVEN("*", 5)}, CONSENT_PASS},
    {"a grant for another kind", CLASS_MARKETING, 1, {GIVEN("sms", 5)}, CONSENT_MISSING},
    {"marketing withdrawn", CLASS_MARKETING, 1, {WITHDRAWN("email", 5)}, CONSENT_WITHDRAWN},
    {"the newer counts: withdrawn for all",
     CLASS_MARKETING,
     2,
     {GIVEN("email", 5), WITHDRAWN("*", 6)},
     CONSENT_WITHDRAWN},
    {"the newer counts: given for this kind", CLASS_MARKETING, 2, {WITHDRAWN("*", 6), GIVEN("email", 7)}, CONSENT_PASS},
    {"a tie goes to the withdrawal", CLASS_MARKETING, 2, {WITHDRAWN("*", 6), GIVEN("email", 6)}, CONSENT_WITHDRAWN},
    {"a tie, the other way round", CLASS_MARKETING, 2, {GIVEN("email", 6), WITHDRAWN("*", 6)}, CONSENT_WITHDRAWN},
    {"another topic's withdrawal",
     CLASS_TRANSACTIONAL,
     1,
     {{.topic = {"orders", 6}, .channel_kind = {"*", 1}}},
     CONSENT_PASS},
    {"transactional goes", CLASS_TRANSACTIONAL, 0, {{.granted = false}}, CONSENT_PASS},
    {"transactional withdrawn", CLASS_TRANSACTIONAL, 1, {WITHDRAWN("email", 5)}, CONSENT_WITHDRAWN},
    {"conversation goes", CLASS_CONVERSATION, 0, {{.granted = false}}, CONSENT_PASS},
    {"conversation withdrawn", CLASS_CONVERSATION, 1, {WITHDRAWN("*", 5)}, CONSENT_WITHDRAWN},
    {"critical passes all", CLASS_CRITICAL, 1, {WITHDRAWN("*", 5)}, CONSENT_PASS},
};

START_TEST(consent_is_asked_by_class)
{
  enum consent_verdict got =
      consent_check(cases[_i].class, TOPIC, PARLEY_LIT("email"), cases[_i].entries, cases[_i].n_entries);

  ck_assert_msg(got == cases[_i].want, "%s: %d", cases[_i].what, got);
}
END_TEST

START_TEST(class_names_are_read_back)
{
  enum topic_class class = CLASS_MARKETING;

  for (enum topic_class each = CLASS_CRITICAL; each <= CLASS_MARKETING; each++)
    ck_assert(topic_class_parse(parley_text_of(topic_class_name(each)), &class) && class == each);
  ck_assert(!topic_class_parse(PARLEY_LIT("Marketing"), &class) && !topic_class_parse(TEXT_EMPTY, &class));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("customer: consent");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, consent_is_asked_by_class, 0, COUNT_OF(cases));
  tcase_add_test(tcase, class_names_are_read_back);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
