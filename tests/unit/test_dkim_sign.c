// sources: plugins/email/dkim_sign.c
#include "email/dkim_sign.h"
#include <check.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SEED "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=" /* RFC 8463 A.2 */
#define ED25519_PUBLIC "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static struct dkim_key *key_of(const char *text)
{
  struct dkim_key *key = NULL;
  const char *why = NULL;

  ck_assert_msg(dkim_key_read(parley_text_of(text), &key, &why) == PARLEY_OK, "%s", why);
  return key;
}

static char *file_text(const char *name)
{
  char path[512], *text = calloc(1, 8192);
  FILE *file;

  snprintf(path, sizeof path, "%s/tests/vectors/dkim/%s", PARLEY_SOURCE_DIR, name);
  file = fopen(path, "r");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_gt(fread(text, 1, 8191, file), 0);
  fclose(file);
  return text;
}

static char *pem_of(EVP_PKEY *pkey, const EVP_CIPHER *cipher)
{
  BIO *bio = BIO_new(BIO_s_mem());
  char *at, *text;
  long len;

  ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, "pass", 4, NULL, NULL), 1);
  len = BIO_get_mem_data(bio, &at);
  text = strndup(at, (size_t)len);
  BIO_free(bio);
  EVP_PKEY_free(pkey);
  return text;
}

/* --- RFC 8463, appendix A ----------------------------------------------------------------------------------------- */
static const char football[] = "From: Joe SixPack <joe@football.example.com>\r\n"
                               "To: Suzie Q <suzie@shopping.example.net>\r\n"
                               "Subject: Is dinner ready?\r\n"
                               "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                               "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
                               "\r\n"
                               "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
#define FIELD(algorithm, selector)                                                                                     \
  "DKIM-Signature: v=1; a=" algorithm "; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n"  \
  " q=dns/txt; s=" selector "; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n" \
  " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b="

static const struct {
  const char *file, *field, *want;
} football_signatures[] = {
    {NULL, FIELD("ed25519-sha256", "brisbane"),
     "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="},
    {"rfc8463_a2_rsa.pem", FIELD("rsa-sha256", "test"),
     "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeef"
     "Osk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8="},
};

START_TEST(the_signatures_of_rfc_8463_come_out_byte_for_byte)
{
  const parley_text names[] = {PARLEY_LIT("from"), PARLEY_LIT("to"),      PARLEY_LIT("subject"), PARLEY_LIT("date"),
                               PARLEY_LIT("message-id"), PARLEY_LIT("from"), PARLEY_LIT("subject"), PARLEY_LIT("date")};
  char *text = football_signatures[_i].file != NULL ? file_text(football_signatures[_i].file) : strdup(SEED);
  struct dkim_key *key = key_of(text);
  unsigned char signature[DKIM_KEY_SIGNATURE_MAX], hash[DKIM_HASH_BYTES];
  char base64[DKIM_KEY_SIGNATURE_MAX * 2];
  size_t at = dkim_body_at((parley_bytes){football, sizeof football - 1}), len;

  ck_assert(dkim_body_hash((parley_bytes){football + at, sizeof football - 1 - at}, hash));
  EVP_EncodeBlock((unsigned char *)base64, hash, sizeof hash);
  ck_assert_str_eq(base64, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
  len = dkim_sign_named(key, (parley_bytes){football, at}, names, COUNT(names), parley_text_of(football_signatures[_i].field),
                        signature);
  EVP_EncodeBlock((unsigned char *)base64, signature, (int)len);
  ck_assert_str_eq(base64, football_signatures[_i].want);
  dkim_key_free(&key);
  free(text);
}
END_TEST

/* --- Keys --------------------------------------------------------------------------------------------------------- */
START_TEST(the_public_half_is_what_dns_publishes)
{
  char *text = file_text("rfc8463_a2_rsa.pem"), public[DKIM_KEY_PUBLIC_MAX];
  struct dkim_key *rsa = key_of(text), *ed25519 = key_of(SEED "\n");

  ck_assert(dkim_key_public(rsa, public));
  ck_assert_str_eq(public, "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/"
                           "byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT"
                           "+l/K4w3QIDAQAB");
  ck_assert(dkim_key_public(ed25519, public));
  ck_assert_str_eq(public, ED25519_PUBLIC);
  ck_assert_str_eq(dkim_key_type(rsa), "rsa");
  ck_assert_uint_eq(dkim_key_bits(rsa), 1024);
  ck_assert_str_eq(dkim_key_algorithm(ed25519), "ed25519-sha256");
  dkim_key_free(&rsa);
  dkim_key_free(&ed25519);
  free(text);
}
END_TEST

static void assert_refused(char *text, const char *word)
{
  struct dkim_key *key = NULL;
  const char *why = NULL;

  ck_assert_int_eq(dkim_key_read(parley_text_of(text), &key, &why), PARLEY_INVALID);
  ck_assert_ptr_null(key);
  ck_assert_msg(strstr(why, word) != NULL, "%s", why);
  free(text);
}

START_TEST(a_key_that_nobody_can_use_is_refused_and_says_why)
{
  assert_refused(strdup(""), "no private key");
  assert_refused(strdup("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"), "no private key");
  assert_refused(strdup("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"), "no private key");
  assert_refused(strdup("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2=="), "no private key");
  assert_refused(pem_of(EVP_RSA_gen(512), NULL), "fewer than 1024");
  assert_refused(pem_of(EVP_EC_gen("P-256"), NULL), "neither");
  assert_refused(pem_of(EVP_RSA_gen(1024), EVP_aes_128_cbc()), "passphrase");
}
END_TEST

/* --- Canonical bodies --------------------------------------------------------------------------------------------- */
static const struct {
  const char *one, *other;
  bool same;
} bodies[] = {
    {"", "\r\n\r\n", true},           {"a", "a\r\n", true},          {"a\r\n\r\n\r\n", "a\r\n", true},
    {"a \t b \r\n", "a b\r\n", true}, {"a\r\n \t\r\n", "a\r\n", true}, {" a\r\n", "a\r\n", false},
    {" a\r\n", "\t a\r\n", true},     {"a\r\n\r\nb\r\n", "a\r\nb\r\n", false},
    {".\r\n", "..\r\n", false},       {"a b\r\n", "ab\r\n", false},
};

START_TEST(bodies_that_relaxed_takes_for_one_have_one_hash)
{
  unsigned char one[DKIM_HASH_BYTES], other[DKIM_HASH_BYTES];

  ck_assert(dkim_body_hash(parley_text_of(bodies[_i].one), one));
  ck_assert(dkim_body_hash(parley_text_of(bodies[_i].other), other));
  ck_assert_int_eq(memcmp(one, other, sizeof one) == 0, bodies[_i].same);
}
END_TEST

START_TEST(a_long_body_is_hashed_as_it_is)
{
  enum { LINES = 3000, LINE = 76 };
  char *body = malloc(LINES * (LINE + 2));
  unsigned char got[DKIM_HASH_BYTES], want[DKIM_HASH_BYTES];

  for (size_t i = 0; i < LINES; i++) {
    memset(body + i * (LINE + 2), (int)('A' + i % 26), LINE);
    memcpy(body + i * (LINE + 2) + LINE, "\r\n", 2);
  }
  ck_assert(dkim_body_hash((parley_bytes){body, LINES * (LINE + 2)}, got));
  ck_assert_int_eq(EVP_Digest(body, LINES * (LINE + 2), want, NULL, EVP_sha256(), NULL), 1);
  ck_assert_mem_eq(got, want, sizeof got);
  free(body);
}
END_TEST

/* --- The field ---------------------------------------------------------------------------------------------------- */
static size_t sign(const char *mail, char *to)
{
  struct dkim_key *key = key_of(SEED);
  const struct dkim_signer signer = {.key = key, .domain = PARLEY_LIT("shop.example"), .selector = PARLEY_LIT("s1")};
  const parley_bytes bytes = parley_text_of(mail);
  unsigned char hash[DKIM_HASH_BYTES];
  size_t at = dkim_body_at(bytes), len;

  ck_assert(dkim_body_hash((parley_bytes){mail + at, bytes.len - at}, hash));
  len = dkim_sign(&signer, bytes, hash, INT64_C(1700000000123), to);
  to[len] = '\0';
  dkim_key_free(&key);
  return len;
}

START_TEST(what_may_not_be_added_is_named_once_more)
{
  char field[DKIM_FIELD_ROOM + 1];
  size_t line = 0;

  ck_assert_uint_gt(sign("Received: x\r\nFrom: a@b\r\nTo: c@d\r\nDate: x\r\nX-Y: z\r\nList-Unsubscribe: <https://u/>\r\n"
                         "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nHi\r\n",
                         field),
                    0);
  ck_assert_ptr_nonnull(strstr(field, "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=shop.example;\r\n s=s1; "
                                      "t=1700000000;\r\n h=From:To:Date:X-Y:List-Unsubscribe:List-Unsubscribe-Post:From:To:Subject:"
                                      "\r\n Date:List-Unsubscribe:List-Unsubscribe-Post;\r\n bh="));
  for (const char *at = field; *at != '\0'; at++) {
    line = *at == '\n' ? 0 : line + 1;
    ck_assert_uint_le(line, 79);
  }
  ck_assert_str_eq(field + strlen(field) - 2, "\r\n");
}
END_TEST

START_TEST(the_same_mail_has_the_same_signature_and_a_changed_one_another)
{
  static const char *const mails[] = {
      "From: a@b\r\nSubject: x\r\n\r\nHi\r\n", "From: a@c\r\nSubject: x\r\n\r\nHi\r\n", "From: a@b\r\nSubject: y\r\n\r\nHi\r\n",
      "From: a@b\r\nSubject: x\r\n\r\nHo\r\n", "From: a@b\r\nSubject: x\r\nTo: d@e\r\n\r\nHi\r\n"};
  char first[DKIM_FIELD_ROOM + 1], again[DKIM_FIELD_ROOM + 1];

  sign(mails[0], first);
  sign("from:  a@b\r\nSUBJECT: x \r\n\r\nHi \r\n\r\n", again); /* relaxed: h= apart, the same */
  ck_assert_str_ne(strstr(first, "bh="), "");
  ck_assert_int_eq(strncmp(strstr(first, "bh="), strstr(again, "bh="), 47), 0);
  sign(mails[0], again);
  ck_assert_str_eq(first, again);
  for (size_t i = 1; i < COUNT(mails); i++) {
    sign(mails[i], again);
    ck_assert_str_ne(strstr(first, " b="), strstr(again, " b="));
  }
}
END_TEST

START_TEST(a_head_with_too_many_fields_is_not_signed)
{
  char mail[8192] = "", field[DKIM_FIELD_ROOM + 1];

  for (int i = 0; i <= DKIM_FIELDS_MAX; i++)
    strncat(mail, "X: y\r\n", sizeof mail - strlen(mail) - 1);
  strncat(mail, "\r\nHi\r\n", sizeof mail - strlen(mail) - 1);
  ck_assert_uint_eq(sign(mail, field), 0);
  ck_assert_uint_gt(sign(mail + strlen("X: y\r\n"), field), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("email: DKIM");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, the_signatures_of_rfc_8463_come_out_byte_for_byte, 0, COUNT(football_signatures));
  tcase_add_test(tcase, the_public_half_is_what_dns_publishes);
  tcase_add_test(tcase, a_key_that_nobody_can_use_is_refused_and_says_why);
  tcase_add_loop_test(tcase, bodies_that_relaxed_takes_for_one_have_one_hash, 0, COUNT(bodies));
  tcase_add_test(tcase, a_long_body_is_hashed_as_it_is);
  tcase_add_test(tcase, what_may_not_be_added_is_named_once_more);
  tcase_add_test(tcase, the_same_mail_has_the_same_signature_and_a_changed_one_another);
  tcase_add_test(tcase, a_head_with_too_many_fields_is_not_signed);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
