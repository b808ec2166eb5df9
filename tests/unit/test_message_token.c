/* Tokens: what we made is read back, anything else is refused. */
#include "core/base/text.h"
#include "core/message/token.h"
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t secret[SHA256_BYTES] = {1, 2, 3}, other[SHA256_BYTES] = {1, 2, 4};

START_TEST(a_token_names_its_id_in_either_case)
{
  const id64 ids[] = {1, 255, UINT64_C(0x123456789abcdef), UINT64_C(0x7fffffffffffffff)};
  struct buf text = BUF_INIT(0);
  id64 id = 0;

  buf_id_token(&text, secret, TOKEN_MESSAGE, ids[_i]);
  ck_assert_uint_eq(text.len, TOKEN_MESSAGE_CHARS);
  ck_assert(id_token_read(secret, TOKEN_MESSAGE, buf_as_text(&text), &id));
  ck_assert_uint_eq(id, ids[_i]);
  for (size_t i = 0; i < text.len; i++) {
    ck_assert(isdigit((unsigned char)text.at[i]) || islower((unsigned char)text.at[i]));
    text.at[i] = (char)toupper((unsigned char)text.at[i]);
  }
  ck_assert(id_token_read(secret, TOKEN_MESSAGE, buf_as_text(&text), &id));
  buf_done(&text);
}
END_TEST

START_TEST(no_other_kind_secret_or_text_will_do)
{
  struct buf text = BUF_INIT(0);
  id64 id;

  buf_id_token(&text, secret, TOKEN_MESSAGE, 77);
  ck_assert(!id_token_read(other, TOKEN_MESSAGE, buf_as_text(&text), &id));
  ck_assert(!id_token_read(secret, TOKEN_BRIDGE, buf_as_text(&text), &id));
  ck_assert(!id_token_read(secret, TOKEN_MESSAGE, text_sub(buf_as_text(&text), 0, text.len - 1), &id));
  ck_assert(!id_token_read(secret, TOKEN_MESSAGE, PARLEY_LIT(""), &id));
  for (size_t i = 0; i < text.len; i++) {
    char was = text.at[i];

    text.at[i] = was == '7' ? '8' : '7';
    ck_assert(!id_token_read(secret, TOKEN_MESSAGE, buf_as_text(&text), &id));
    text.at[i] = 'u'; /* not of the alphabet */
    ck_assert(!id_token_read(secret, TOKEN_MESSAGE, buf_as_text(&text), &id));
    text.at[i] = was;
  }
  buf_char(&text, '0');
  ck_assert(!id_token_read(secret, TOKEN_MESSAGE, buf_as_text(&text), &id));
  buf_done(&text);
}
END_TEST

START_TEST(payloads_of_every_length_come_back)
{
  char bytes[TOKEN_PAYLOAD_MAX + 1];
  struct token_payload payload;

  memset(bytes, 0xa5, sizeof bytes);
  for (size_t len = 0; len <= TOKEN_PAYLOAD_MAX; len++) {
    struct buf text = BUF_INIT(0);

    buf_token(&text, secret, TOKEN_UNSUBSCRIBE, (parley_bytes){bytes, len});
    ck_assert_uint_le(text.len, TOKEN_TEXT_MAX);
    ck_assert(token_read(secret, TOKEN_UNSUBSCRIBE, buf_as_text(&text), &payload));
    ck_assert_uint_eq(payload.len, len);
    ck_assert_int_eq(memcmp(payload.at, bytes, len), 0);
    buf_char(&text, '0');
    buf_char(&text, '0');
    ck_assert(!token_read(secret, TOKEN_UNSUBSCRIBE, buf_as_text(&text), &payload));
    buf_done(&text);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message_token");
  TCase *tcase = tcase_create("token");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_token_names_its_id_in_either_case, 0, 4);
  tcase_add_test(tcase, no_other_kind_secret_or_text_will_do);
  tcase_add_test(tcase, payloads_of_every_length_come_back);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
