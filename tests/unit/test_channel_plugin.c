/* What of a plugin's table is checked before anything of it runs, or is believed: what a process tells of it may be anything. */
#include "core/channel/plugin.h"
#include <check.h>

static parley_status create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  (void)host, (void)options, (void)ret;
  return PARLEY_FAILED;
}

static parley_status start(parley_channel *channel)
{
  (void)channel;
  return PARLEY_FAILED;
}

static void destroy(parley_channel *channel)
{
  (void)channel;
}

static const char *const offered[] = {NULL};

static void expect(const parley_option *const *options, const parley_metric *const *metrics, const char *wrong)
{
  static const parley_capabilities capabilities = {.size = sizeof capabilities, .address_kind = "none", .channel_kind = "webhook"};
  parley_plugin table = {.size = sizeof table,
                         .abi_major = PARLEY_ABI_MAJOR,
                         .name = "one",
                         .capabilities = &capabilities,
                         .options = options,
                         .metrics = metrics,
                         .create = create,
                         .start = start,
                         .destroy = destroy};
  struct buf why = BUF_INIT(1024);
  parley_status st = plugin_check(&table, "one", offered, &why);

  ck_assert_int_eq(st, wrong != NULL ? PARLEY_INVALID : PARLEY_OK);
  ck_assert_msg(wrong == NULL || strstr(why.at, wrong) != NULL, "'%s', and not '%s'", why.at, wrong);
  buf_done(&why);
}

#define OPTION(...) PARLEY_REF(parley_option, __VA_ARGS__)
#define OPTIONS(...) ((const parley_option *const[]){__VA_ARGS__, NULL})

START_TEST(what_is_found_by_its_name_has_one)
{
  expect(OPTIONS(OPTION(.type = PARLEY_OPTION_TEXT)), NULL, "no name");
  expect(OPTIONS(OPTION(.name = "tls", .type = PARLEY_OPTION_GROUP, .fields = OPTIONS(OPTION(.type = PARLEY_OPTION_TEXT)))), NULL,
         "no name");
  expect(NULL, (const parley_metric *const[]){PARLEY_REF(parley_metric, .kind = PARLEY_GAUGE), NULL}, "metric");
}
END_TEST

START_TEST(the_element_of_a_list_or_map_needs_no_name)
{
  expect(OPTIONS(OPTION(.name = "words", .type = PARLEY_OPTION_LIST, .fields = OPTIONS(OPTION(.type = PARLEY_OPTION_TEXT)))), NULL,
         NULL);
  expect(OPTIONS(OPTION(.name = "words", .type = PARLEY_OPTION_MAP, .fields = OPTIONS(OPTION(.type = PARLEY_OPTION_TEXT)))), NULL,
         NULL);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel: plugin");
  TCase *cases = tcase_create("plugin");
  SRunner *runner;
  int failed;

  tcase_add_test(cases, what_is_found_by_its_name_has_one);
  tcase_add_test(cases, the_element_of_a_list_or_map_needs_no_name);
  suite_add_tcase(suite, cases);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
