/* What a plugin hands in with a message is media before the message is stored: once by content, within bounds, in both stores. */
#include "core/inbound/keep.h"
#include "fault_vfs.h"
#include "store_fixture.h"

static struct fixture f;
static struct keeper keeper;
static struct {
  int n;
  parley_status status;
  uint32_t n_parts;
  parley_part parts[CONTENT_MEDIA_MAX + 2]; /* their texts are gone */
  char ids[CONTENT_MEDIA_MAX + 2][ID_TEXT_MAX];
} got;

static void on_done(parley_status status, const parley_inbound *in, parley_text reason, void *arg)
{
  ck_assert(arg == &f);
  got.n++;
  got.status = status;
  got.n_parts = in != NULL ? in->n_parts : 0;
  ck_assert((status == PARLEY_OK) == (reason.len == 0));
  for (uint32_t i = 0; i < got.n_parts; i++) {
    got.parts[i] = *in->parts[i];
    snprintf(got.ids[i], sizeof got.ids[i], "%.*s", (int)in->parts[i]->media.len, in->parts[i]->media.at);
  }
}

static void setup(void)
{
  fault_install();
  fixture_init(&f);
  fixture_open(&f);
  keeper = (struct keeper){.loop = &f.loop, .store = f.store};
  memset(&got, 0, sizeof got);
}

static void teardown(void)
{
  fault_off();
  ck_assert_uint_eq(keeper.bytes, 0);
  fixture_done(&f);
}

static parley_status take(const parley_part *const *parts, uint32_t n, const char **why)
{
  const parley_inbound in = {.size = sizeof in, .kind = PARLEY_KIND_CONTENT, .parts = parts, .n_parts = n};
  parley_status status = keep_take(&keeper, &in, on_done, &f, why);

  ck_assert_int_eq(got.n, 0); /* never within the call */
  while (status == PARLEY_OK && got.n == 0)
    uv_run(&f.loop, UV_RUN_ONCE);
  return status;
}

static parley_part file(uint32_t kind, const char *bytes, const char *type)
{
  return (parley_part){.size = sizeof(parley_part), .kind = kind, .data = parley_text_of(bytes), .type = parley_text_of(type),
                       .name = PARLEY_LIT("file")};
}

static void media_is(const char *id, const char *bytes, const char *type)
{
  struct store_media read = {.limit = 100};

  ck_assert(id_parse("med", parley_text_of(id), &read.id));
  ck_assert_int_eq(fixture_run(&f, &read.op, STORE_MEDIA), PARLEY_OK);
  ck_assert(parley_text_is(read.bytes, bytes));
  ck_assert(parley_text_is(read.type, type));
  ck_assert(parley_text_is(read.name, "file"));
  arena_free(&read.op.arena);
}

START_TEST(content_becomes_media_once)
{
  const parley_part text = {.size = sizeof text, .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("look")};
  const parley_part link = {.size = sizeof link, .kind = PARLEY_PART_MEDIA, .url = PARLEY_LIT("https://x.example/a")};
  const parley_part picture = file(PARLEY_PART_MEDIA, "pixels", "image/png"), again = file(PARLEY_PART_MEDIA, "pixels", "");
  const parley_part contact = file(PARLEY_PART_CONTACT, "BEGIN:VCARD", ""), octets = file(PARLEY_PART_MEDIA, "\x01\x02", "\xff");
  const parley_part *const parts[] = {&text, &picture, &contact, &again, &link, &octets};
  const char *why = NULL;

  ck_assert_int_eq(take(parts, 6, &why), PARLEY_OK);
  ck_assert_int_eq(got.status, PARLEY_OK);
  ck_assert_uint_eq(got.n_parts, 6);
  ck_assert_str_eq(got.ids[1], got.ids[3]);
  media_is(got.ids[1], "pixels", "image/png");
  media_is(got.ids[2], "BEGIN:VCARD", "text/vcard");
  media_is(got.ids[5], "\x01\x02", "application/octet-stream");
  for (uint32_t i = 0; i < got.n_parts; i++)
    ck_assert_uint_eq(got.parts[i].data.len, 0);
  ck_assert_str_eq(got.ids[0], "");
  ck_assert_str_eq(got.ids[4], "");
}
END_TEST

START_TEST(a_message_of_text_needs_nothing_kept)
{
  const parley_part text = {.size = sizeof text, .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("a"), .data = PARLEY_LIT("b")};
  const parley_part named = {.size = sizeof named, .kind = PARLEY_PART_MEDIA, .media = PARLEY_LIT("med_1"), .data = PARLEY_LIT("b")};
  const parley_part *const parts[] = {&text, &named};

  ck_assert(!keep_is_needed(&(parley_inbound){.parts = parts, .n_parts = 2}));
}
END_TEST

START_TEST(a_part_is_as_large_as_inline_max)
{
  char *bytes = calloc(1, KEEP_PART_BYTES_MAX + 1);
  parley_part part = file(PARLEY_PART_MEDIA, "", "");
  const parley_part *const parts[] = {&part};
  const char *why = NULL;

  part.data = (parley_bytes){bytes, KEEP_PART_BYTES_MAX + 1};
  ck_assert_int_eq(take(parts, 1, &why), PARLEY_INVALID);
  ck_assert_ptr_nonnull(strstr(why, "1 MiB"));
  part.data.len--;
  ck_assert_int_eq(take(parts, 1, &why), PARLEY_OK);
  ck_assert_int_eq(got.status, PARLEY_OK);
  free(bytes);
}
END_TEST

START_TEST(all_under_way_are_bounded)
{
  const parley_part part = file(PARLEY_PART_MEDIA, "ten bytes.", "");
  const parley_part *const parts[] = {&part};
  const char *why = NULL;

  keeper.bytes = KEEP_BYTES_MAX - 9;
  ck_assert_int_eq(take(parts, 1, &why), PARLEY_BUSY);
  ck_assert_uint_eq(keeper.bytes, KEEP_BYTES_MAX - 9);
  keeper.bytes--;
  ck_assert_int_eq(take(parts, 1, &why), PARLEY_OK);
  ck_assert_uint_eq(keeper.bytes, KEEP_BYTES_MAX - 10);
  keeper.bytes = 0;
}
END_TEST

START_TEST(only_what_a_message_names_is_kept)
{
  const parley_part part = file(PARLEY_PART_MEDIA, "same", "");
  const parley_part *parts[CONTENT_MEDIA_MAX + 1];
  const char *why = NULL;

  for (size_t i = 0; i < CONTENT_MEDIA_MAX + 1; i++)
    parts[i] = &part;
  ck_assert_int_eq(take(parts, CONTENT_MEDIA_MAX + 1, &why), PARLEY_OK);
  ck_assert_uint_gt(strlen(got.ids[CONTENT_MEDIA_MAX - 1]), 0);
  ck_assert_str_eq(got.ids[CONTENT_MEDIA_MAX], "");
}
END_TEST

START_TEST(a_store_that_cannot_says_so_and_nothing_is_named)
{
  const parley_part one = file(PARLEY_PART_MEDIA, "one", ""), two = file(PARLEY_PART_MEDIA, "two", "");
  const parley_part *const parts[] = {&one, &two};
  const char *why = NULL;

  if (f.postgres)
    return; /* the fault is one of a file */
  atomic_store(&fault.write_code, SQLITE_FULL);
  atomic_store(&fault.stays, true);
  atomic_store(&fault.until_write, 0);
  ck_assert_int_eq(take(parts, 2, &why), PARLEY_OK);
  ck_assert_int_eq(got.n, 1);
  ck_assert_int_eq(got.status, PARLEY_BUSY);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("inbound_keep");
  TCase *tc = tcase_create("keep");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, content_becomes_media_once);
  tcase_add_test(tc, a_message_of_text_needs_nothing_kept);
  tcase_add_test(tc, a_part_is_as_large_as_inline_max);
  tcase_add_test(tc, all_under_way_are_bounded);
  tcase_add_test(tc, only_what_a_message_names_is_kept);
  tcase_add_test(tc, a_store_that_cannot_says_so_and_nothing_is_named);
  suite_add_tcase(suite, tc);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
