// sources: tests/support/plugin_host.c
#include "core/base/text.h"
#include "tests/support/plugin_host.h"
#include <check.h>

START_TEST(the_example_plugin_delivers_and_says_so)
{
  static const char *const options[] = {"greeting", "Good evening", NULL};
  struct plugin_host *h = plugin_host_new("examples/hello");
  struct plugin_host_message room;

  plugin_host_start(h, options);
  ck_assert_int_eq(plugin_host_submit(h, 1, plugin_host_text(&room, "msg_01KAM2Z8Q3XWA", "none", "", "secret words")),
                   PARLEY_OK);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_DELIVERED);
  ck_assert_str_eq(h->log.at, "event=hello msg=msg_01KAM2Z8Q3XWA greeting=\"Good evening\"\n");
  plugin_host_done(&h);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("examples: the plugin in 40 lines");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, the_example_plugin_delivers_and_says_so);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
