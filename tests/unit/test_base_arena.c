#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Memory that was used before: what malloc gives is never clear by chance. */
static void heap_soil(void)
{
  void *blocks[64];

  for (size_t i = 0; i < COUNT_OF(blocks); i++)
    blocks[i] = memset(xmalloc(100 << i % 12), 0xa5, 100 << i % 12);
  for (size_t i = 0; i < COUNT_OF(blocks); i++)
    free(blocks[i]);
}

static const size_t firsts[] = {0, 1, 100, 5000, 1000000};

START_TEST(pieces_are_zeroed_aligned_and_apart)
{
  struct arena *arena = (heap_soil(), arena_new_for(firsts[_i]));
  unsigned char *pieces[400];

  for (size_t i = 0; i < COUNT_OF(pieces); i++) {
    pieces[i] = arena_alloc(arena, i * 7);
    ck_assert_uint_eq((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
    for (size_t j = 0; j < i * 7; j++)
      ck_assert_int_eq(pieces[i][j], 0);
    memset(pieces[i], (int)(i & 0xff), i * 7);
  }
  for (size_t i = 1; i < COUNT_OF(pieces); i++)
    for (size_t j = 0; j < i * 7; j++)
      ck_assert_int_eq(pieces[i][j], (int)(i & 0xff));
  arena_free(&arena);
  ck_assert_ptr_null(arena);
  arena_free(&arena);
}
END_TEST

START_TEST(a_large_piece_leaves_the_current_chunk_in_use)
{
  struct arena *arena = arena_new();
  char *before = arena_alloc(arena, 16), *large = arena_alloc(arena, 1000000), *after = arena_alloc(arena, 16);

  memset(large, 1, 1000000);
  ck_assert_ptr_eq(after, before + 16);
  ck_assert_uint_ge(arena_bytes(arena), 1000000);
  arena_free(&arena);
}
END_TEST

START_TEST(what_was_asked_for_comes_in_one_block)
{
  struct arena *arena = arena_new_for(3000);
  size_t before = arena_bytes(arena);

  for (int i = 0; i < 3; i++)
    arena_alloc(arena, 1000 - 1000 % _Alignof(max_align_t));
  ck_assert_uint_eq(arena_bytes(arena), before);
  arena_alloc(arena, 1000);
  ck_assert_uint_gt(arena_bytes(arena), before);
  arena_free(&arena);
}
END_TEST

START_TEST(texts_are_copied_with_a_nul)
{
  struct arena *arena = (heap_soil(), arena_new());
  char source[] = "hello";
  parley_text text = arena_text(arena, (parley_text){source, 4}), none = arena_text(arena, (parley_text){NULL, 0});
  char *word = arena_str(arena, source);

  source[0] = 'j';
  ck_assert_str_eq(text.at, "hell");
  ck_assert_str_eq(none.at, "");
  ck_assert_str_eq(word, "hello");
  arena_free(&arena);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: arena");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, pieces_are_zeroed_aligned_and_apart, 0, COUNT_OF(firsts));
  tcase_add_test(tcase, what_was_asked_for_comes_in_one_block);
  tcase_add_test(tcase, a_large_piece_leaves_the_current_chunk_in_use);
  tcase_add_test(tcase, texts_are_copied_with_a_nul);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
