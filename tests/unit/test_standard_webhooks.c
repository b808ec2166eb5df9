#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "plugins/common/standard_webhooks.h"
#include <check.h>

#define SECRET \
  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" /* of the reference libraries' own tests, as are the next four */
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY "{\"test\": 2432232314}"
#define SIGNED "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define AT "1614265330"
#define AT_MS INT64_C(1614265330000)
#define OTHER_SECRET "whsec_cGFybGV5LWV4YW1wbGUtc2VjcmV0LW9mLTMyLWI="
#define TOLERANCE_MS (5 * 60000)
#define A24 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define A63 A24 A24 "AAAAAAAAAAAAAAAAAAAA" /* 84 characters: 63 bytes */

static struct standard_webhooks_keys keys_of(const char *secrets)
{
  struct standard_webhooks_keys keys = {.count = 0};

  ck_assert(standard_webhooks_keys_read(parley_text_of(secrets), &keys));
  return keys;
}

static const struct { const char *secrets; size_t count; } secrets[] = {
    {SECRET, 1},
    {OTHER_SECRET " " SECRET, 2},
    {"  " SECRET "  ", 1},
    {"whsec_" A24, 1},                  /* 24 bytes, the fewest */
    {"whsec_" A63 "AA==", 1},           /* 64, the most */
    {SECRET " " SECRET " " SECRET " " SECRET, 4},
    {SECRET " " SECRET " " SECRET " " SECRET " " SECRET, 0},
    {"", 0},
    {"   ", 0},
    {"whsec_", 0},
    {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0},
    {"WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0},
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0}, /* 23 bytes */
    {"whsec_" A63 "AAA=", 0},                      /* 65 bytes */
    {"whsec_" A63 A24, 0},
    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", 0},  /* no padding */
    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w", 0},
    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-w", 0}, /* the URL alphabet */
    {"whsec_" A24 "AB==", 0},                      /* unused bits that are set */
    {SECRET "\n", 0},
    {SECRET ",", 0},
};

START_TEST(a_secret_is_whsec_and_base64_of_24_to_64_bytes)
{
  struct standard_webhooks_keys keys = {.count = 77};
  bool good = standard_webhooks_keys_read(parley_text_of(secrets[_i].secrets), &keys);

  ck_assert_int_eq(good, secrets[_i].count > 0);
  ck_assert_uint_eq(keys.count, good ? secrets[_i].count : 77);
  if (good)
    standard_webhooks_keys_done(&keys);
}
END_TEST

START_TEST(signing_gives_the_published_signature)
{
  struct standard_webhooks_keys keys = keys_of(SECRET);
  char header[STANDARD_WEBHOOKS_HEADER_ROOM];

  ck_assert_uint_eq(standard_webhooks_sign(&keys, PARLEY_LIT(ID), AT_MS / 1000, PARLEY_LIT(BODY), header),
                    strlen(SIGNED));
  ck_assert_str_eq(header, SIGNED);
  standard_webhooks_keys_done(&keys);
}
END_TEST

START_TEST(what_was_signed_before_leaves_no_trace)
{
  struct standard_webhooks_keys keys = keys_of(SECRET);
  char header[STANDARD_WEBHOOKS_HEADER_ROOM];

  for (int64_t i = 0; i < 5; i++) {
    standard_webhooks_sign(&keys, PARLEY_LIT("another"), AT_MS / 1000 + i, PARLEY_LIT("another body"), header);
    ck_assert_str_ne(header, SIGNED);
    standard_webhooks_sign(&keys, PARLEY_LIT(ID), AT_MS / 1000, PARLEY_LIT(BODY), header);
    ck_assert_str_eq(header, SIGNED);
  }
  standard_webhooks_keys_done(&keys);
}
END_TEST

START_TEST(during_a_rotation_both_secrets_sign)
{
  struct standard_webhooks_keys keys = keys_of(OTHER_SECRET " " SECRET);
  char header[STANDARD_WEBHOOKS_HEADER_ROOM];
  size_t len = standard_webhooks_sign(&keys, PARLEY_LIT(ID), AT_MS / 1000, PARLEY_LIT(BODY), header);

  ck_assert_uint_eq(len, 2 * strlen(SIGNED) + 1);
  ck_assert_str_eq(header + strlen(SIGNED) + 1, SIGNED);
  ck_assert_int_eq(header[strlen(SIGNED)], ' ');
  standard_webhooks_keys_done(&keys);
}
END_TEST

#define GOOD STANDARD_WEBHOOKS_GOOD
#define MISSING STANDARD_WEBHOOKS_MISSING
#define MALFORMED STANDARD_WEBHOOKS_MALFORMED
#define STALE STANDARD_WEBHOOKS_STALE
#define MISMATCH STANDARD_WEBHOOKS_MISMATCH
#define WRONG "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
static const struct {
  const char *id, *timestamp, *signature;
  int64_t later_ms;
  enum standard_webhooks_verdict want;
} verdicts[] = {
    {ID, AT, SIGNED, 0, GOOD},
    {ID, AT, SIGNED, TOLERANCE_MS, GOOD},
    {ID, AT, SIGNED, -TOLERANCE_MS, GOOD},
    {ID, AT, WRONG " " SIGNED, 0, GOOD},       /* a list: one of them is enough */
    {ID, AT, SIGNED " " WRONG, 0, GOOD},
    {ID, AT, "v1a,aGVsbG8= " SIGNED, 0, GOOD}, /* another version is passed over */
    {ID, AT, "  " SIGNED "  ", 0, GOOD},
    {ID, AT, SIGNED, TOLERANCE_MS + 1, STALE},
    {ID, AT, SIGNED, -TOLERANCE_MS - 1, STALE},
    {ID, "1614265331", SIGNED, 0, MISMATCH}, /* the time is signed */
    {"msg_p5jXN8AQM9LWM0D4loKWxJel", AT, SIGNED, 0, MISMATCH},
    {ID, AT, WRONG, 0, MISMATCH},
    {ID, AT, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE", 0, MISMATCH}, /* wrong length */
    {ID, AT, "v1,", 0, MISMATCH},
    {ID, AT, "v1,831a12f52b04f8e4cf2531adfed98822d4b2665137b852442d594d20e2c9d4e1", 0, MISMATCH}, /* hex */
    {ID, AT, "V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0, MISMATCH},
    {ID, AT, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0, MISMATCH},
    {ID, AT, "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", 0, MALFORMED},
    {ID, AT, "none", 0, MALFORMED},
    {ID, AT, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0, MALFORMED},
    {ID, AT, "a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, " SIGNED, 0, MALFORMED}, /* the 17th is not looked at */
    {ID, AT, "   ", 0, MISSING},
    {NULL, AT, SIGNED, 0, MISSING},
    {ID, NULL, SIGNED, 0, MISSING},
    {ID, AT, NULL, 0, MISSING},
    {"", AT, SIGNED, 0, MISSING},
    {ID, "", SIGNED, 0, MISSING},
    {ID, AT, "", 0, MISSING},
    {"msg p5j", AT, SIGNED, 0, MALFORMED},
    {"msg_\xc3\xa9", AT, SIGNED, 0, MALFORMED},
    {ID, "1e9", SIGNED, 0, MALFORMED},
    {ID, "-1614265330", SIGNED, 0, MALFORMED},
    {ID, "+1614265330", SIGNED, 0, MALFORMED},
    {ID, "01614265330", SIGNED, 0, MALFORMED},
    {ID, "1614265330.0", SIGNED, 0, MALFORMED},
    {ID, "1614265330 ", SIGNED, 0, MALFORMED},
    {ID, "16142653301614265330", SIGNED, 0, MALFORMED},
    {ID, "99999999999", SIGNED, 0, STALE},
    {ID, "1614265330000", SIGNED, 0, MALFORMED}, /* ms where seconds belong */
};

START_TEST(the_verdict_says_what_is_wrong)
{
  struct standard_webhooks_keys keys = keys_of(SECRET);
  parley_pair headers[4] = {{PARLEY_LIT("content-type"), PARLEY_LIT("application/json")}};
  uint32_t n = 1;

  if (verdicts[_i].id != NULL)
    headers[n++] = (parley_pair){PARLEY_LIT("webhook-id"), parley_text_of(verdicts[_i].id)};
  if (verdicts[_i].timestamp != NULL)
    headers[n++] = (parley_pair){PARLEY_LIT("webhook-timestamp"), parley_text_of(verdicts[_i].timestamp)};
  if (verdicts[_i].signature != NULL)
    headers[n++] = (parley_pair){PARLEY_LIT("webhook-signature"), parley_text_of(verdicts[_i].signature)};
  ck_assert_str_eq(standard_webhooks_code(standard_webhooks_verify(&keys, headers, n, PARLEY_LIT(BODY),
                                                                   AT_MS + verdicts[_i].later_ms, TOLERANCE_MS)),
                   standard_webhooks_code(verdicts[_i].want));
  standard_webhooks_keys_done(&keys);
}
END_TEST

static enum standard_webhooks_verdict verify(const char *key, const char *name, parley_text value, const char *body)
{
  struct standard_webhooks_keys keys = keys_of(key);
  const parley_pair headers[] = {{PARLEY_LIT("webhook-id"), PARLEY_LIT(ID)},
                                 {PARLEY_LIT("webhook-timestamp"), PARLEY_LIT(AT)},
                                 {PARLEY_LIT("webhook-signature"), PARLEY_LIT(SIGNED)},
                                 {parley_text_of(name), value}};
  enum standard_webhooks_verdict verdict =
      standard_webhooks_verify(&keys, headers, COUNT_OF(headers), parley_text_of(body), AT_MS, TOLERANCE_MS);

  standard_webhooks_keys_done(&keys);
  return verdict;
}

START_TEST(a_header_given_twice_is_malformed)
{
  static const char *const names[] = {"webhook-id", "webhook-timestamp", "webhook-signature"};

  for (size_t i = 0; i < COUNT_OF(names); i++)
    ck_assert_int_eq(verify(SECRET, names[i], PARLEY_LIT("x"), BODY), STANDARD_WEBHOOKS_MALFORMED);
}
END_TEST

START_TEST(a_signature_holds_for_its_own_body_and_secret_alone)
{
  ck_assert_int_eq(verify(SECRET, "x-other", PARLEY_LIT("x"), BODY), STANDARD_WEBHOOKS_GOOD);
  ck_assert_int_eq(verify(SECRET, "x-other", PARLEY_LIT("x"), BODY " "), STANDARD_WEBHOOKS_MISMATCH);
  ck_assert_int_eq(verify(SECRET, "x-other", PARLEY_LIT("x"), ""), STANDARD_WEBHOOKS_MISMATCH);
  ck_assert_int_eq(verify(OTHER_SECRET, "x-other", PARLEY_LIT("x"), BODY), STANDARD_WEBHOOKS_MISMATCH);
  ck_assert_int_eq(verify(SECRET " " OTHER_SECRET, "x-other", PARLEY_LIT("x"), BODY), STANDARD_WEBHOOKS_GOOD);
  ck_assert_int_eq(verify(OTHER_SECRET " " SECRET, "x-other", PARLEY_LIT("x"), BODY), STANDARD_WEBHOOKS_GOOD);
}
END_TEST

START_TEST(a_header_of_a_mebibyte_is_malformed_not_read)
{
  struct standard_webhooks_keys keys = keys_of(SECRET);
  struct buf long_one = BUF_INIT(0);

  while (long_one.len < 1 << 20)
    buf_str(&long_one, SIGNED " ");
  const parley_pair headers[] = {{PARLEY_LIT("webhook-id"), PARLEY_LIT(ID)},
                                 {PARLEY_LIT("webhook-timestamp"), PARLEY_LIT(AT)},
                                 {PARLEY_LIT("webhook-signature"), buf_as_text(&long_one)}};
  ck_assert_int_eq(standard_webhooks_verify(&keys, headers, 3, PARLEY_LIT(BODY), AT_MS, TOLERANCE_MS),
                   STANDARD_WEBHOOKS_MALFORMED);
  buf_done(&long_one);
  standard_webhooks_keys_done(&keys);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugins/common: Standard Webhooks");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_secret_is_whsec_and_base64_of_24_to_64_bytes, 0, COUNT_OF(secrets));
  tcase_add_test(tcase, signing_gives_the_published_signature);
  tcase_add_test(tcase, what_was_signed_before_leaves_no_trace);
  tcase_add_test(tcase, during_a_rotation_both_secrets_sign);
  tcase_add_loop_test(tcase, the_verdict_says_what_is_wrong, 0, COUNT_OF(verdicts));
  tcase_add_test(tcase, a_header_given_twice_is_malformed);
  tcase_add_test(tcase, a_signature_holds_for_its_own_body_and_secret_alone);
  tcase_add_test(tcase, a_header_of_a_mebibyte_is_malformed_not_read);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
