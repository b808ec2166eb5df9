#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/customer/email.h"
#include "core/customer/identity.h"
#include <check.h>
#include <string.h>
#include <time.h>

static struct arena *arena;
static struct problems problems;

static void set_up(void)
{
  arena = arena_new();
  problems_init(&problems, arena);
}

static void tear_down(void)
{
  arena_free(&arena);
}

#define ck_text_eq(text, want) ck_assert_msg(parley_text_is(text, want), "'%.*s' is not '%s'", TEXT_ARG(text), want)
#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10

static const struct {
  const char *kind, *raw, *want;
} good[] = {
    {"email", "ana@example.org", "ana@example.org"},
    {"email", " Ana.Maria@Example.ORG\n", "Ana.Maria@example.org"},
    {"email", "a+b!#$%&'*/=?^_`{|}~-c@x.y", "a+b!#$%&'*/=?^_`{|}~-c@x.y"},
    {"email", "ana@localhost", "ana@localhost"},
    {"email", "\"quoted local\"@example.test", "\"quoted local\"@example.test"},
    {"email", "\"ana\"@example.test", "ana@example.test"},
    {"email", "\"a\\na\"@example.test", "ana@example.test"},
    {"email", "\"a\\\"@b\"@c.d", "\"a\\\"@b\"@c.d"},
    {"email", "\"abc.\"@docomo.example", "\"abc.\"@docomo.example"},
    {"email", "\"\"@c.d", "\"\"@c.d"},
    {"email", "user+tag@[192.0.2.1]", "user+tag@[192.0.2.1]"},
    {"email", "a@[ipv6:2001:DB8:0:0::1]", "a@[IPv6:2001:db8::1]"},
    {"email",
     "user@b\xc3\xbc"
     "cher.example",
     "user@xn--bcher-kva.example"},
    {"email", "user@XN--Bcher-KVA.example", "user@xn--bcher-kva.example"},
    {"email", "user@fa\xc3\x9f.example", "user@xn--fa-hia.example"},
    {"email", "user@\xef\xbc\x91\xef\xbc\x92\xef\xbc\x93.example", "user@123.example"},
    {"email", "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95",
     "\xe7\x94\xa8\xe6\x88\xb7@xn--fsqu00a.xn--0zwm56d"},
    {"email", "\xf0\x9f\x98\x80@example.org", "\xf0\x9f\x98\x80@example.org"},
    {"email", "aaaa" A60 "@x.y", "aaaa" A60 "@x.y"},
    {"email", "a@" A60 "aaa.org", "a@" A60 "aaa.org"},
    {"phone", "+34600111222", "+34600111222"},
    {"phone", " +44 (20) 7946-0.958 ",
     "+44207946"
     "0958"},
    {"phone", "+123456789012345", "+123456789012345"},
    {"phone", "+690 7290", "+6907290"},
    {"whatsapp", "34600111222", "+34600111222"},
    {"whatsapp", "+34 600 111 222", "+34600111222"},
    {"whatsapp", "US.13491208655302741918", "US.13491208655302741918"},
    {"external", " shop-77 ", "shop-77"},
    {"telegram", "1234567", "1234567"},
    {"my_kind2", "caf\xc3\xa9", "caf\xc3\xa9"},
};

START_TEST(an_identity_is_made_canonical)
{
  struct identity identity = {.assurance = 0}, again;

  ck_assert_msg(identity_normalise(NULL, parley_text_of(good[_i].kind), parley_text_of(good[_i].raw), arena, TEXT_EMPTY,
                                   &problems, &identity),
                "'%s': %s", good[_i].raw, problems.count > 0 ? problems.rows[0].detail.at : "");
  ck_text_eq(identity.value, good[_i].want);
  ck_text_eq(identity.kind, good[_i].kind);
  ck_text_eq(identity.raw, good[_i].raw);
  ck_assert_uint_eq(identity.assurance, PARLEY_CLAIMED);
  ck_assert(identity_normalise(NULL, identity.kind, identity.value, arena, TEXT_EMPTY, &problems, &again));
  ck_text_eq(again.value, good[_i].want);
}
END_TEST

static const struct {
  const char *kind, *raw, *code;
} bad[] = {
    {"email", "", "bad_email"},
    {"email", "ana", "bad_email"},
    {"email", "@example.org", "bad_email"},
    {"email", "ana@", "bad_email"},
    {"email", "a@b@c.d", "bad_email"},
    {"email", ".a@b.c", "bad_email"},
    {"email", "a.@b.c", "bad_email"},
    {"email", "a..b@b.c", "bad_email"},
    {"email", "(comment)a@b", "bad_email"},
    {"email", "a@b(comment)", "bad_email"},
    {"email", "<<a@b>>", "bad_email"},
    {"email", "Ana <ana@example.org>", "bad_email"},
    {"email", "x:a@b,c@d;", "bad_email"},
    {"email", "a@b,c@d", "bad_email"},
    {"email", "a b@c.d", "bad_email"},
    {"email", "\"a\"b@c.d", "bad_email"},
    {"email", "\"a", "bad_email"},
    {"email", "\"a\\", "bad_email"},
    {"email", "\"a\r\nb\"@c.d", "bad_email"},
    {"email", "\"a\\\nb\"@c.d", "bad_email"},
    {"email", "a@b\r\nBcc: x@y", "bad_email"},
    {"email", "a@-b.c", "bad_email"},
    {"email", "a@b-.c", "bad_email"},
    {"email", "a@b..c", "bad_email"},
    {"email", "a@b.c.", "bad_email"},
    {"email", "a@.b.c", "bad_email"},
    {"email", "a@b_c.d", "bad_email"},
    {"email", "a@1.2.3.4", "bad_email"},
    {"email", "a@[1.2.3]", "bad_email"},
    {"email", "a@[192.0.2.1", "bad_email"},
    {"email", "a@[192.0.2.1]x", "bad_email"},
    {"email", "a@[]", "bad_email"},
    {"email", "a@[IPv6:::1::]", "bad_email"},
    {"email", "a@[x-tag:foo]", "bad_email"},
    {"email", "a@\xe2\x98\x83.example", "bad_email"},
    {"email", "a@xn--\x80", "bad_email"},
    {"email", "a@xn--a-ecp.ru", "bad_email"},
    {"email", "a@xn--.org", "bad_email"},
    {"email",
     "a@\xd7\x90"
     "b.example",
     "bad_email"}, /* letters of both directions in one label */
    {"email", "a@\xe2\x80\x8d.example", "bad_email"},
    {"email",
     "a\xe2\x80\xae"
     "b@example.org",
     "bad_email"}, /* turns the writing around */
    {"email", "a\xc2\xa0@example.org", "bad_email"},
    {"email", "\xff@example.org", "bad_email"},
    {"email", "aaaaa" A60 "@x.y", "bad_email"},
    {"email", "\"" A60 "\\\"\\\"\"@x.y", "bad_email"},
    {"email", "a@" A60 "aaaa.org", "bad_email"},
    {"email", "aaaa" A60 "@" A60 "." A60 "." A60 ".aaaaaa.org", "bad_email"},
    {"phone", "", "bad_phone"},
    {"phone", "600111222", "bad_phone"},
    {"phone", "0034600111222", "bad_phone"},
    {"phone", "+0034600111222", "bad_phone"},
    {"phone", "+44 (0)20 7946 0958", "bad_phone"},
    {"phone", "+123456", "bad_phone"},
    {"phone", "+1234567890123456", "bad_phone"},
    {"phone", "+34600x11222", "bad_phone"},
    {"phone", "++34600111222", "bad_phone"},
    {"phone", "+34600111222;ext=1", "bad_phone"},
    {"whatsapp", "+123", "bad_identity"},
    {"external", "  ", "bad_identity"},
    {"external", "a\nb", "bad_identity"},
    {"external", "a\x7f", "bad_identity"},
    {"external", "\xc3", "bad_identity"},
    {"external", A60 A60 A60 A60 A10 "aaaaaa", "bad_identity"},
    {"Email", "a@b.c", "bad_identity"},
    {"1kind", "x", "bad_identity"},
    {"", "x", "bad_identity"},
    {"a123456789012345678901234567890123", "x", "bad_identity"},
};

START_TEST(a_bad_identity_is_refused_at_its_place)
{
  struct identity identity;

  ck_assert_msg(!identity_normalise(NULL, parley_text_of(bad[_i].kind), parley_text_of(bad[_i].raw), arena,
                                    parley_text_of("/to/x"), &problems, &identity),
                "'%s'", bad[_i].raw);
  ck_assert_uint_eq(problems.count, 1);
  ck_assert_str_eq(problems.rows[0].code, bad[_i].code);
  ck_text_eq(problems.rows[0].pointer, "/to/x");
}
END_TEST

/* What an SMS network says of a sender, and what is looked for. The plan reads every number as Norway's. */
static enum phone_verdict norway_read(const char *text, size_t bytes, const char *country, char ret[PHONE_ROOM])
{
  ck_assert_str_eq(country, "NO");
  if (bytes != 8 || text[0] == '0')
    return PHONE_NO_NUMBER;
  memcpy(ret, "+47", 3);
  memcpy(ret + 3, text, 8);
  ret[11] = '\0';
  return PHONE_OK;
}

static const struct {
  enum phone_source source;
  const char *raw, *kind, *value; /* value NULL: refused */
} sources[] = {
    {PHONE_GIVEN, "91234567", "phone", "+4791234567"},
    {PHONE_SOUGHT, "91234567", "phone", "+4791234567"},
    {PHONE_NETWORK, "91234567", "phone", "91234567"}, /* a short code is never guessed into a number */
    {PHONE_GIVEN, "1234", "phone", NULL},
    {PHONE_SOUGHT, " 1234 ", "phone", "1234"},
    {PHONE_SOUGHT, "12", "phone", NULL},
    {PHONE_SOUGHT, "Parcels", "phone", NULL},
    {PHONE_NETWORK, "1234", "phone", "1234"},
    {PHONE_NETWORK, "+47 912 34 567", "phone", "+4791234567"},
    {PHONE_NETWORK, "Parcels", "sender", "Parcels"},
    {PHONE_NETWORK, "912345678", "sender", "912345678"},
    {PHONE_NETWORK, "12", "sender", "12"},
    {PHONE_NETWORK, "", "phone", NULL},
    {PHONE_NETWORK, "a\nb", "phone", NULL},
};

START_TEST(where_a_number_comes_from_says_how_it_is_read)
{
  struct phone_plan plan = {.country = "NO", .read = norway_read};
  struct phone_reading phones = {&plan, sources[_i].source};
  struct identity identity;
  bool taken = identity_normalise(&phones, PARLEY_LIT("phone"), parley_text_of(sources[_i].raw), arena, TEXT_EMPTY, &problems,
                                  &identity);

  ck_assert_msg(taken == (sources[_i].value != NULL), "'%s'", sources[_i].raw);
  if (!taken) {
    ck_assert_str_eq(problems.rows[0].code, "bad_phone");
    return;
  }
  ck_text_eq(identity.kind, sources[_i].kind);
  ck_text_eq(identity.value, sources[_i].value);
  ck_text_eq(identity.raw, sources[_i].raw);
}
END_TEST

START_TEST(a_national_format_without_a_country_has_a_hint)
{
  struct identity identity;

  ck_assert(!identity_normalise(NULL, PARLEY_LIT("phone"), PARLEY_LIT("612 34 56 78"), arena, TEXT_EMPTY, &problems, &identity));
  ck_assert_ptr_nonnull(strstr(problems.rows[0].hint.at, "defaults.country"));
}
END_TEST

static const char *const costly[] = {"(", "\"\\", "a.", "a@", "<", "xn--a.", "\xc3\xbc", "@\xc3\xbc"};

START_TEST(a_long_address_is_refused_in_time)
{
  struct buf raw = BUF_INIT(0);
  struct identity identity;
  struct timespec before, after;

  buf_str(&raw, _i % 2 == 0 ? "" : "a@");
  for (int i = 0; i < 500000; i++)
    buf_str(&raw, costly[_i / 2]);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  ck_assert(!identity_normalise(NULL, PARLEY_LIT("email"), buf_as_text(&raw), arena, TEXT_EMPTY, &problems, &identity));
  raw.len = EMAIL_RAW_BYTES_MAX; /* the longest that is looked into at all */
  ck_assert(!identity_normalise(NULL, PARLEY_LIT("email"), buf_as_text(&raw), arena, TEXT_EMPTY, &problems, &identity));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  ck_assert_int_lt((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 50);
  buf_done(&raw);
}
END_TEST

static const struct {
  const char *kind, *value, *other;
} variants[] = {
    {"phone", "+5491123456789", "+541123456789"},
    {"phone", "+541123456789", "+5491123456789"},
    {"phone", "+5215512345678", "+525512345678"},
    {"phone", "+525512345678", "+5215512345678"},
    {"phone", "+5511987654321", "+551187654321"},
    {"phone", "+551187654321", "+5511987654321"},
    {"phone", "+551133334444", NULL}, /* a fixed line */
    {"phone", "+5511933334444", NULL},
    {"phone", "+34600111222", NULL},
    {"phone", "+54112345678", NULL},
    {"whatsapp", "+5215512345678", "+525512345678"},
    {"whatsapp", "US.1349120865530", NULL},
    {"external", "+5215512345678", NULL},
    {"email", "a@b.c", NULL},
};

START_TEST(national_forms_of_one_number_are_variants)
{
  struct identity identity = {.kind = parley_text_of(variants[_i].kind), .value = parley_text_of(variants[_i].value)};
  parley_text to[IDENTITY_VARIANTS_MAX];
  size_t count = identity_variants(&identity, arena, to);

  ck_text_eq(to[0], variants[_i].value);
  ck_assert_uint_eq(count, variants[_i].other != NULL ? 2 : 1);
  if (count == 2)
    ck_text_eq(to[1], variants[_i].other);
}
END_TEST

START_TEST(the_hash_knows_kind_and_value_and_no_case_of_local_parts)
{
  struct hash_key key = {.a = 1, .b = 2}, other = {.a = 1, .b = 3};
  parley_text email = PARLEY_LIT("email"), external = PARLEY_LIT("external");
  uint64_t hash = identity_hash(&key, email, PARLEY_LIT("ana@example.org"));

  ck_assert_uint_eq(hash, identity_hash(&key, email, PARLEY_LIT("ANA@example.org")));
  ck_assert_uint_ne(hash, identity_hash(&key, external, PARLEY_LIT("ana@example.org")));
  ck_assert_uint_ne(hash, identity_hash(&key, email, PARLEY_LIT("anb@example.org")));
  ck_assert_uint_ne(hash, identity_hash(&other, email, PARLEY_LIT("ana@example.org")));
  ck_assert_uint_ne(identity_hash(&key, external, PARLEY_LIT("a")), identity_hash(&key, external, PARLEY_LIT("A")));
  ck_assert_uint_ne(identity_hash(&key, PARLEY_LIT("ab"), PARLEY_LIT("c")),
                    identity_hash(&key, PARLEY_LIT("a"), PARLEY_LIT("bc")));
  ck_assert(identity_eq(email, PARLEY_LIT("ANA@x.y"), PARLEY_LIT("ana@x.y")));
  ck_assert(!identity_eq(external, PARLEY_LIT("A"), PARLEY_LIT("a")));
}
END_TEST

static const struct {
  const char *kind, *value, *want;
} masks[] = {
    {"email", "ana@example.org", "a***@example.org"},
    {"email", "\xe7\x94\xa8\xe6\x88\xb7@x.y", "\xe7\x94\xa8***@x.y"},
    {"email", "\"a\\\"@b\"@c.d", "\"***@c.d"},
    {"phone", "+34600111222", "+34***22"},
    {"whatsapp", "+34600111222", "+34***22"},
    {"external", "shop-77", "s***"},
    {"telegram", "1234", "1***"},
    {"external", "", "***"},
};

START_TEST(a_mask_shows_little)
{
  struct buf buf = BUF_INIT(0);

  buf_identity_masked(&buf, parley_text_of(masks[_i].kind), parley_text_of(masks[_i].value));
  ck_assert_str_eq(buf.at, masks[_i].want);
  buf_done(&buf);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("customer: identities");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_loop_test(tcase, an_identity_is_made_canonical, 0, COUNT_OF(good));
  tcase_add_loop_test(tcase, a_bad_identity_is_refused_at_its_place, 0, COUNT_OF(bad));
  tcase_add_loop_test(tcase, where_a_number_comes_from_says_how_it_is_read, 0, COUNT_OF(sources));
  tcase_add_test(tcase, a_national_format_without_a_country_has_a_hint);
  tcase_add_loop_test(tcase, a_long_address_is_refused_in_time, 0, 2 * COUNT_OF(costly));
  tcase_add_loop_test(tcase, national_forms_of_one_number_are_variants, 0, COUNT_OF(variants));
  tcase_add_test(tcase, the_hash_knows_kind_and_value_and_no_case_of_local_parts);
  tcase_add_loop_test(tcase, a_mask_shows_little, 0, COUNT_OF(masks));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
