#include "core/base/alloc.h"
#include "core/base/list.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_copy_ends_with_nul)
{
  char *copy = xmemdup("abc", 2);

  ck_assert_str_eq(copy, "ab");
  free(copy);
}
END_TEST

struct item {
  int number;
  struct list node;
};

START_TEST(a_list_gives_back_in_order)
{
  struct list head;
  struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};

  list_init(&head);
  for (size_t i = 0; i < COUNT_OF(items); i++)
    list_push(&head, &items[i].node);
  list_remove(&items[1].node);
  ck_assert_int_eq(LIST_ITEM(list_pop(&head), struct item, node)->number, 1);
  ck_assert_int_eq(LIST_ITEM(list_pop(&head), struct item, node)->number, 3);
  ck_assert_ptr_null(list_pop(&head));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: alloc and list");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_copy_ends_with_nul);
  tcase_add_test(tcase, a_list_gives_back_in_order);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
