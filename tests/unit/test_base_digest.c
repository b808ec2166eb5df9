#include "core/base/alloc.h"
#include "core/base/digest.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char *hex_of(struct buf *buf, const void *bytes, size_t len)
{
  buf_clear(buf);
  buf_hex(buf, bytes, len);
  return buf->at;
}

START_TEST(sha256_gives_the_published_digests)
{
  struct buf buf = BUF_INIT(0);
  uint8_t digest[SHA256_BYTES];

  sha256(PARLEY_LIT("abc"), digest);
  ck_assert_str_eq(hex_of(&buf, digest, sizeof(digest)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  sha256((parley_bytes){NULL, 0}, digest);
  ck_assert_str_eq(hex_of(&buf, digest, sizeof(digest)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  buf_done(&buf);
}
END_TEST

START_TEST(a_digester_gives_the_same_one_after_the_other)
{
  struct digester *digester = digester_new();
  uint8_t want[SHA256_BYTES], got[SHA256_BYTES];
  char bytes[300];

  memset(bytes, 'a', sizeof(bytes));
  for (size_t len = 0; len < sizeof(bytes); len += 13) {
    sha256((parley_bytes){len > 0 ? bytes : NULL, len}, want);
    digester_sha256(digester, (parley_bytes){len > 0 ? bytes : NULL, len}, got);
    ck_assert_mem_eq(got, want, sizeof(want));
  }
  digester_free(&digester);
  ck_assert_ptr_null(digester);
  digester_free(&digester);
}
END_TEST

/* RFC 4231: the key and the data are runs of one byte where `key_byte` and `data_byte` are set. */
static const struct {
  int key_byte;
  size_t key_len;
  const char *key;
  int data_byte;
  size_t data_len;
  const char *data, *want;
} hmacs[] = {
    {0x0b, 20, NULL, 0, 0, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 0, "Jefe", 0, 0, "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0xaa, 131, NULL, 0, 0, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
};

START_TEST(hmac_gives_the_digests_of_rfc_4231)
{
  char key[200], data[200];
  struct buf buf = BUF_INIT(0);
  uint8_t digest[SHA256_BYTES];

  memset(key, hmacs[_i].key_byte, sizeof(key));
  memset(data, hmacs[_i].data_byte, sizeof(data));
  hmac_sha256(hmacs[_i].key ? parley_text_of(hmacs[_i].key) : (parley_bytes){key, hmacs[_i].key_len},
              hmacs[_i].data ? parley_text_of(hmacs[_i].data) : (parley_bytes){data, hmacs[_i].data_len}, digest);
  ck_assert_str_eq(hex_of(&buf, digest, sizeof(digest)), hmacs[_i].want);
  buf_done(&buf);
}
END_TEST

/* The reference vectors of SipHash-2-4: key 00..0f, input 00, 01, 02... of the row's length. */
static const struct {
  size_t len;
  uint64_t want;
} sips[] = {
    {0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)}, {2, UINT64_C(0x0d6c8009d9a94f5a)},
    {3, UINT64_C(0x85676696d7fb7e2d)}, {8, UINT64_C(0x93f5f5799a932462)}, {15, UINT64_C(0xa129ca6149be45e5)},
};

START_TEST(siphash_gives_its_reference_vector)
{
  struct hash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
  char data[16];

  for (size_t i = 0; i < sizeof(data); i++)
    data[i] = (char)i;
  ck_assert_uint_eq(hash64(&key, (parley_bytes){data, sips[_i].len}), sips[_i].want);
}
END_TEST

static const struct {
  const char *plain, *base64, *base64url, *hex;
} codes[] = { /* RFC 4648, section 10; the last row has the digits that the two alphabets differ in */
    {"", "", "", ""},
    {"f", "Zg==", "Zg", "66"},
    {"fo", "Zm8=", "Zm8", "666f"},
    {"foo", "Zm9v", "Zm9v", "666f6f"},
    {"foob", "Zm9vYg==", "Zm9vYg", "666f6f62"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy", "666f6f626172"},
    {"\xfb\xff\xfe", "+//+", "-__-", "fbfffe"},
};

START_TEST(codes_are_written_and_read_as_rfc_4648_says)
{
  size_t plain_len = strlen(codes[_i].plain), len = 99;
  struct buf buf = BUF_INIT(0);
  uint8_t plain[16];

  buf_base64(&buf, codes[_i].plain, plain_len);
  buf_char(&buf, ' ');
  buf_base64url(&buf, codes[_i].plain, plain_len);
  buf_char(&buf, ' ');
  buf_hex(&buf, codes[_i].plain, plain_len);
  {
    struct buf want = BUF_INIT(0);

    buf_printf(&want, "%s %s %s", codes[_i].base64, codes[_i].base64url, codes[_i].hex);
    ck_assert_str_eq(buf.at, want.at);
    buf_done(&want);
  }
  ck_assert(base64_read(parley_text_of(codes[_i].base64), plain, sizeof(plain), &len) && len == plain_len);
  ck_assert_mem_eq(plain, codes[_i].plain, len);
  ck_assert(base64url_read(parley_text_of(codes[_i].base64url), plain, sizeof(plain), &len) && len == plain_len);
  ck_assert_mem_eq(plain, codes[_i].plain, len);
  ck_assert(hex_read(parley_text_of(codes[_i].hex), plain, sizeof(plain), &len) && len == plain_len);
  ck_assert_mem_eq(plain, codes[_i].plain, len);
  if (plain_len > 0)
    ck_assert(!base64_read(parley_text_of(codes[_i].base64), plain, plain_len - 1, &len));
  buf_done(&buf);
}
END_TEST

static const struct {
  char kind; /* b: base64, u: base64url, h: hex */
  const char *text;
} wrong[] = {
    {'b', "Zg"}, {'b', "Zg="}, {'b', "Zg==="}, {'b', "Z==="}, {'b', "===="}, {'b', "Zh=="}, {'b', "Zm9="}, {'b', "Zm9v\n"},
    {'b', "Zm 9"}, {'b', "-__-"}, {'b', "Zg==Zg=="}, {'b', "Z=g="}, {'u', "Zg=="}, {'u', "Z"}, {'u', "Zh"}, {'u', "+//+"},
    {'u', "Zm9vY"}, {'h', "6"}, {'h', "6g"}, {'h', "0x"}, {'h', " 6"},
};

START_TEST(a_sloppy_code_is_refused)
{
  parley_text text = parley_text_of(wrong[_i].text);
  uint8_t to[16];
  size_t len = 77;
  bool ok = wrong[_i].kind == 'b'   ? base64_read(text, to, sizeof(to), &len)
            : wrong[_i].kind == 'u' ? base64url_read(text, to, sizeof(to), &len)
                                    : hex_read(text, to, sizeof(to), &len);

  ck_assert(!ok);
  ck_assert_uint_eq(len, 77);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: digest");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, sha256_gives_the_published_digests);
  tcase_add_test(tcase, a_digester_gives_the_same_one_after_the_other);
  tcase_add_loop_test(tcase, hmac_gives_the_digests_of_rfc_4231, 0, COUNT_OF(hmacs));
  tcase_add_loop_test(tcase, siphash_gives_its_reference_vector, 0, COUNT_OF(sips));
  tcase_add_loop_test(tcase, codes_are_written_and_read_as_rfc_4648_says, 0, COUNT_OF(codes));
  tcase_add_loop_test(tcase, a_sloppy_code_is_refused, 0, COUNT_OF(wrong));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
