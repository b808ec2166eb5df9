/* stores: sqlite (pure: no store is opened) */
#include "core/base/text.h"
#include "core/store/fresh.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fresh_message message_of(id64 id, char topic[8])
{
  snprintf(topic, 8, "t%llu", (unsigned long long)id % 1000);
  return (struct fresh_message){.id = id,
                                .customer = id + 1,
                                .topic = parley_text_of(topic),
                                .row = {.id = id + 2, .channel = PARLEY_LIT("hook")},
                                .facts = {.attempt = 1}};
}

static void put(struct fresh *fresh, id64 id)
{
  char topic[8];
  struct fresh_message message = message_of(id, topic);

  fresh_put(fresh, &message);
  memset(topic, 'x', sizeof(topic)); /* copied */
}

static bool take(struct fresh *fresh, id64 id)
{
  struct arena *arena = arena_new();
  struct fresh_message got;
  char topic[8];
  struct fresh_message want = message_of(id, topic);
  bool there = fresh_take(fresh, id, arena, &got);

  if (there) {
    ck_assert(got.id == id && got.customer == want.customer && got.row.id == want.row.id && got.facts.attempt == 1);
    ck_assert(text_eq(got.topic, want.topic) && parley_text_is(got.row.channel, "hook"));
    ck_assert(got.key.len == 0 && got.key.at != NULL);
  }
  arena_free(&arena);
  return there;
}

START_TEST(what_is_put_is_there_once)
{
  struct fresh *fresh = fresh_new();

  ck_assert(!take(fresh, 7));
  put(fresh, 7);
  put(fresh, 8);
  ck_assert(take(fresh, 7));
  ck_assert(!take(fresh, 7));
  ck_assert(take(fresh, 8));
  put(fresh, 9);
  fresh_free(&fresh);
  ck_assert_ptr_null(fresh);
  fresh_free(&fresh);
}
END_TEST

START_TEST(the_oldest_makes_room_for_the_newest)
{
  struct fresh *fresh = fresh_new();

  for (id64 id = 1; id <= FRESH_MAX + 2; id++)
    put(fresh, id);
  ck_assert(!take(fresh, 1));
  ck_assert(!take(fresh, 2));
  ck_assert(take(fresh, 3));
  ck_assert(take(fresh, FRESH_MAX + 2));
  put(fresh, 1);
  ck_assert(take(fresh, 4));
  fresh_free(&fresh);
}
END_TEST

START_TEST(after_a_failed_round_nothing_is_there)
{
  struct fresh *fresh = fresh_new();

  put(fresh, 1);
  put(fresh, 2);
  fresh_clear(fresh);
  ck_assert(!take(fresh, 1));
  ck_assert(!take(fresh, 2));
  put(fresh, 2);
  ck_assert(take(fresh, 2));
  fresh_free(&fresh);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: what is fresh");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, what_is_put_is_there_once);
  tcase_add_test(tcase, the_oldest_makes_room_for_the_newest);
  tcase_add_test(tcase, after_a_failed_round_nothing_is_there);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
