// sources: plugins/common/gsm_text.c
/* GSM 03.38 and the other alphabets of SMS: the table against perl's, the core's own idea of it, what cannot be written, and what
 * comes in broken. */
#include "common/gsm_text.h"
#include "core/message/fit_text.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { ROOM = 4096 };

static parley_text utf8_of(uint32_t code, char to[4])
{
  char octets[4] = {(char)(code >> 8), (char)code};
  size_t n = 2;

  if (code >= 0x10000) {
    uint32_t pair[] = {0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff)};

    for (n = 0; n < 4; n++)
      octets[n] = (char)(pair[n / 2] >> (n % 2 == 0 ? 8 : 0));
  }
  return (parley_text){to, gsm_read(GSM_UCS2, (parley_bytes){octets, n}, to, 4)};
}

START_TEST(each_septet_is_what_another_table_says)
{
  FILE *file = fopen(PARLEY_SOURCE_DIR "/tests/vectors/sms/gsm0338.tsv", "r");
  char line[128], out[8], utf8[8], want[4];
  int n = 0;

  ck_assert_ptr_nonnull(file);
  while (fgets(line, sizeof line, file) != NULL) {
    char octets[4];
    unsigned code, high, low;
    size_t len, written;
    uint32_t missing;

    if (line[0] == '#')
      continue;
    len = sscanf(line, "%2x%2x\tU+%x", &high, &low, &code) == 3 ? 2 : 1;
    if (len == 1)
      ck_assert_int_eq(sscanf(line, "%2x\tU+%x", &high, &code), 2);
    octets[0] = (char)high;
    octets[1] = (char)low;
    parley_text text = utf8_of(code, want);
    ck_assert_uint_eq(gsm_read(GSM_DEFAULT, (parley_bytes){octets, len}, utf8, sizeof utf8), text.len);
    ck_assert_mem_eq(utf8, text.at, text.len);
    ck_assert(gsm_write(GSM_DEFAULT, text, out, sizeof out, &written, &missing));
    ck_assert_uint_eq(written, len);
    ck_assert_mem_eq(out, octets, len);
    n++;
  }
  fclose(file);
  ck_assert_int_eq(n, 137); /* 127 and an escape's ten */
}
END_TEST

/* The core cuts texts by its own table: were they to differ, a text would be cut for an alphabet that it is not written in. */
static size_t septets_of(uint32_t code) /* 0: it is not in the alphabet */
{
  char utf8[4], out[4];
  uint32_t missing;
  size_t len;

  return gsm_write(GSM_DEFAULT, utf8_of(code, utf8), out, sizeof out, &len, &missing) ? len : 0;
}

START_TEST(the_core_counts_the_same_septets)
{
  uint32_t code = 1;

  while (code < 0x110000 && septets_of(code) == code_units(code, PARLEY_UNIT_GSM7))
    code++;
  ck_assert_msg(code == 0x110000, "U+%04X", code);
}
END_TEST

static const struct {
  enum gsm_alphabet alphabet;
  const char *octets;
  size_t len;
  const char *want;
} reads[] = {
    {GSM_DEFAULT, "\x00", 1, "@"},
    {GSM_DEFAULT, "Hi\x1b\x65!", 5, "Hi\342\202\254!"},
    {GSM_DEFAULT, "\x1b", 1, "\357\277\275"},       /* an escape at the end */
    {GSM_DEFAULT, "\x1b" "A", 2, "A"},              /* one that means nothing: the sign of the main table */
    {GSM_DEFAULT, "\x1b\x1b", 2, "\357\277\275"},
    {GSM_DEFAULT, "\xe4", 1, "\357\277\275"},       /* eight bits: no septet */
    {GSM_LATIN1, "\xe4\xdf", 2, "\303\244\303\237"},
    {GSM_LATIN1, "ok\0\0", 4, "ok"},                /* NULs that a centre leaves at the end */
    {GSM_ASCII, "a\x80", 2, "a\357\277\275"},
    {GSM_CYRILLIC, "\xbf\xe0\xd8\xd2\xd5\xe2", 6, "\320\237\321\200\320\270\320\262\320\265\321\202"},
    {GSM_CYRILLIC, "\xa1\xf0\xfd", 3, "\320\201\342\204\226\302\247"},
    {GSM_HEBREW, "\xf9\xec\xe5\xed", 4, "\327\251\327\234\327\225\327\235"},
    {GSM_HEBREW, "\xdf\xc0\xaa", 3, "\342\200\227\357\277\275\303\227"},
    {GSM_UCS2, "\0H\1\x1b", 4, "H\304\233"},
    {GSM_UCS2, "\xd8\x3d\xde\x00", 4, "\360\237\230\200"},
    {GSM_UCS2, "\xd8\x3d", 2, "\357\277\275"},      /* half a pair */
    {GSM_UCS2, "\xde\x00\0A", 4, "\357\277\275A"},
    {GSM_UCS2, "\xd8\x3d\0A", 4, "\357\277\275A"},
    {GSM_UCS2, "\0A\0", 3, "A\357\277\275"},        /* an odd octet */
    {GSM_UCS2, "", 0, ""},
};

START_TEST(whatever_comes_in_becomes_text)
{
  char out[64];
  size_t len = gsm_read(reads[_i].alphabet, (parley_bytes){reads[_i].octets, reads[_i].len}, out, sizeof out - 1);

  out[len] = '\0';
  ck_assert_str_eq(out, reads[_i].want);
}
END_TEST

START_TEST(without_room_a_text_ends_between_two_characters)
{
  for (size_t room = 0; room < 7; room++) {
    char out[8] = "";

    ck_assert_uint_eq(gsm_read(GSM_DEFAULT, PARLEY_LIT("\x1b\x65\x1b\x65"), out, room), room / 3 * 3);
  }
}
END_TEST

static const struct {
  enum gsm_alphabet alphabet;
  const char *text;
  uint32_t missing; /* 0: no room, or no UTF-8 */
} refusals[] = {
    {GSM_DEFAULT, "\303\247", 0xe7},       /* c with a cedilla: the capital alone is there */
    {GSM_DEFAULT, "`", '`'},
    {GSM_LATIN1, "1 \342\202\254", 0x20ac},
    {GSM_ASCII, "\303\244", 0xe4},
    {GSM_DEFAULT, "\360\237\230\200", 0x1f600},
    {GSM_UCS2, "\355\240\200", 0},         /* a surrogate in UTF-8 */
    {GSM_UCS2, "\300\200", 0},             /* overlong */
    {GSM_UCS2, "\340\202\200", 0},
    {GSM_UCS2, "\364\220\200\200", 0},
    {GSM_UCS2, "\303", 0},
    {GSM_UCS2, "\377", 0},
    {GSM_UCS2, "four chars", 0},           /* 20 octets into 8 */
    {GSM_CYRILLIC, "a", 'a'},              /* comes in only */
};

START_TEST(what_an_alphabet_lacks_is_named)
{
  char out[8];
  size_t len = 77;
  uint32_t code = 1;

  ck_assert(!gsm_write(refusals[_i].alphabet, parley_text_of(refusals[_i].text), out, sizeof out, &len, &code));
  ck_assert_uint_eq(code, refusals[_i].missing);
  ck_assert_uint_eq(len, 77);
}
END_TEST

START_TEST(every_code_point_survives_ucs2)
{
  char utf8[4], octets[4], again[8];
  uint32_t code = 1, missing;
  bool same = true;

  for (; code < 0x110000 && same; code++) {
    parley_text text = utf8_of(code, utf8);
    size_t len = 0;

    if ((code & 0xfffff800) == 0xd800)
      continue;
    same = gsm_write(GSM_UCS2, text, octets, sizeof octets, &len, &missing) &&
           gsm_read(GSM_UCS2, (parley_bytes){octets, len}, again, sizeof again) == text.len && memcmp(again, text.at, text.len) == 0;
  }
  ck_assert_msg(same, "U+%04X", code - 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("gsm_text");
  TCase *tcase = tcase_create("gsm_text");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, each_septet_is_what_another_table_says);
  tcase_add_test(tcase, the_core_counts_the_same_septets);
  tcase_add_loop_test(tcase, whatever_comes_in_becomes_text, 0, COUNT(reads));
  tcase_add_test(tcase, without_room_a_text_ends_between_two_characters);
  tcase_add_loop_test(tcase, what_an_alphabet_lacks_is_named, 0, COUNT(refusals));
  tcase_add_test(tcase, every_code_point_survives_ucs2);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
