// sources: plugins/smpp/smpp_receipt.c plugins/smpp/smpp_ids.c
/* Receipts: by parameters, by text, broken, of other clocks; and one message's id in two spellings. */
#include "smpp/smpp_ids.h"
#include "smpp/smpp_receipt.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- Receipts ----------------------------------------------------------------------------------------------------- */
static const struct {
  const char *text, *tlv_id, *network; /* network: three octets */
  uint32_t state;                      /* of message_state; 0: none */
  const char *id;
  uint32_t kind, outcome;
  const char *code;
} receipts[] = {
    {"id:3039 sub:001 dlvrd:001 submit date:2611271842 done date:2611271843 stat:DELIVRD err:000 text:Hello", NULL, NULL, 0, "3039",
     PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD 000"},
    {"id:3039 sub:001 dlvrd:000 submit date:2611271842 done date:2611271843 stat:UNDELIV err:001 text:Hello", NULL, NULL, 0, "3039",
     PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "UNDELIV 001"}, /* an error that the operator named */
    {"id:3039 stat:UNDELIV err:069", NULL, NULL, 0, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "UNDELIV 069"},
    {"id:3039 stat:EXPIRED err:069", NULL, NULL, 0, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, "EXPIRED 069"},
    {"ID:3039 STAT:Rejectd Err:2", NULL, NULL, 0, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "REJECTD 2"},
    {"id: 3039 stat: ACCEPTD err: 000", NULL, NULL, 0, "3039", PARLEY_RECEIPT_SENT, 0, "ACCEPTD 000"},
    {"stat:DELETED id:3039", NULL, NULL, 0, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "DELETED"},
    {"id:3039 stat:UNKNOWN", NULL, NULL, 0, "3039", PARLEY_RECEIPT_SENT, 0, "UNKNOWN"},
    {"id:3039 stat:DELIVERED", NULL, NULL, 0, "3039", PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD"},
    {"id:1 stat:UNDELIV", "3039", NULL, 2, "3039", PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD"}, /* parameters before text */
    {"", "3039", NULL, 5, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "UNDELIV"},
    {"", "3039", "\3\0\1", 5, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "UNDELIV gsm 1"},
    {"", "3039", "\3\0\6", 5, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, "UNDELIV gsm 6"},
    {"", "3039", "\1\0\1", 5, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "UNDELIV network 1"}, /* no GSM network */
    {"id:3039 stat:DELIVRD err:000", NULL, NULL, 99, "3039", PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD 000"},
    /* What the customer was sent is not read, */
    {"id:3039 err:000 text:stat:DELIVRD", NULL, NULL, 0, "3039", 0, 0, ""},
    {"stat:DELIVRD err:000 Text:id:3039", NULL, NULL, 0, "", PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD 000"},
    /* and what is broken says nothing. */
    {"id: stat: err:", NULL, NULL, 0, "", 0, 0, ""},
    {"id: sub:001 dlvrd:001 stat:DELIVRD err:000", NULL, NULL, 0, "", PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD 000"},
    {"id:3039 stat:NONSENSE err:000", NULL, NULL, 0, "3039", 0, 0, ""},
    {"", NULL, NULL, 0, "", 0, 0, ""},
    {"valid:3039 state:DELIVRD", NULL, NULL, 0, "", 0, 0, ""},
    {"id:12345678901234567890123456789012345678901234567890123456789012345 stat:DELIVRD", NULL, NULL, 0, "",
     PARLEY_RECEIPT_DELIVERED, 0, "DELIVRD"},
    {"id:3039 stat:UNDELIV err:\1\2", NULL, NULL, 0, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "UNDELIV"},
    {"id:3039 stat:UNDELIV err:12345678901234567890", NULL, NULL, 0, "3039", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "UNDELIV"},
};

static struct smpp_message message_of(int i)
{
  struct smpp_message message = {.esm_class = 4};

  if (receipts[i].tlv_id != NULL) {
    message.tlvs.has |= PARLEY_BIT(SMPP_TLV_RECEIPTED_ID);
    message.tlvs.receipted_id = parley_text_of(receipts[i].tlv_id);
  }
  if (receipts[i].network != NULL) {
    message.tlvs.has |= PARLEY_BIT(SMPP_TLV_NETWORK_ERROR);
    message.tlvs.network_error = (parley_bytes){receipts[i].network, 3};
  }
  if (receipts[i].state != 0) {
    message.tlvs.has |= PARLEY_BIT(SMPP_TLV_STATE);
    message.tlvs.number[SMPP_TLV_STATE] = receipts[i].state;
  }
  return message;
}

START_TEST(a_receipt_is_read_by_parameters_first_and_text_second)
{
  const struct smpp_receipt_rules rules = {.offset_minutes = SMPP_RECEIPT_OFFSET_NONE, .n_bad_errors = 1,
                                           .bad_errors = {PARLEY_LIT("001")}};
  const struct smpp_message message = message_of(_i);
  struct smpp_receipt receipt;

  smpp_receipt_read(&message, parley_text_of(receipts[_i].text), &rules, &receipt);
  ck_assert(parley_text_is(receipt.id, receipts[_i].id));
  ck_assert_uint_eq(receipt.kind, receipts[_i].kind);
  ck_assert_uint_eq(receipt.outcome, receipts[_i].outcome);
  ck_assert_str_eq(receipt.code, receipts[_i].code);
  ck_assert_int_eq(receipt.at_ms, 0);
}
END_TEST

static const struct { uint8_t esm_class; bool id; const char *text; bool is; } kinds[] = {
    {0x04, false, "", true},          {0x44, false, "", true},          {0x20, false, "", true},     {0x08, false, "", true},
    {0x10, false, "", true},          {0x00, false, "id:1 stat:DELIVRD", false}, /* a customer may write that */
    {0x00, true, "id:1 stat:DELIVRD", true},                            {0x00, true, "Hello", false}, {0x40, false, "Hello", false},
    {0x00, true, "text:id:1 stat:DELIVRD", false},
};

START_TEST(a_customers_text_is_no_receipt)
{
  const struct smpp_message message = {.esm_class = kinds[_i].esm_class,
                                       .tlvs = {.has = kinds[_i].id ? PARLEY_BIT(SMPP_TLV_RECEIPTED_ID) : 0}};

  ck_assert(smpp_receipt_is(&message, parley_text_of(kinds[_i].text)) == kinds[_i].is);
}
END_TEST

static const struct { const char *digits; int32_t offset; int64_t ms; } times[] = {
    {"7001010000", 0, INT64_C(3155760000000)}, /* 2070: two digits are of this century */
    {"2611271842", 0, INT64_C(1795804920000)},
    {"261127184207", 120, INT64_C(1795797727000)}, /* two hours east of UTC */
    {"2611271842", -330, INT64_C(1795824720000)},
    {"2402290000", 0, INT64_C(1709164800000)},
    {"2403010000", 0, INT64_C(1709251200000)},
    {"2611271842", SMPP_RECEIPT_OFFSET_NONE, 0}, {"2613271842", 0, 0}, {"2602301842", 0, 0}, {"2611321842", 0, 0}, {"2611272442", 0, 0},
    {"261127184", 0, 0}, {"26112718421", 0, 0}, {"26112718a2", 0, 0}, {"", 0, 0},
};

START_TEST(a_date_is_of_the_centres_clock)
{
  ck_assert_int_eq(smpp_receipt_time(parley_text_of(times[_i].digits), times[_i].offset), times[_i].ms);
}
END_TEST

/* --- Ids ---------------------------------------------------------------------------------------------------------- */
static const struct { enum smpp_ids_mode mode; const char *answer, *receipt; bool same; } spellings[] = {
    {SMPP_IDS_TEXT, "00003039", "00003039", true},      {SMPP_IDS_TEXT, "00003039", "3039", false},
    {SMPP_IDS_TEXT, "ABC", "abc", false},               {SMPP_IDS_NUMBER, "00003039", "3039", true},
    {SMPP_IDS_NUMBER, "0000ABCD", "abcd", true},        {SMPP_IDS_NUMBER, "3039", "12345", false},
    {SMPP_IDS_HEX_DECIMAL, "3039", "12345", true},      {SMPP_IDS_HEX_DECIMAL, "00003039", "0000012345", true},
    {SMPP_IDS_HEX_DECIMAL, "3039", "3039", false},      {SMPP_IDS_HEX_DECIMAL, "DEADBEEF", "3735928559", true},
    {SMPP_IDS_HEX_DECIMAL, "smsc-7", "smsc-7", true}, /* no number at all: as it stands */
    {SMPP_IDS_DECIMAL_HEX, "12345", "3039", true},      {SMPP_IDS_DECIMAL_HEX, "3735928559", "00DEADBEEF", true},
    {SMPP_IDS_HEX_DECIMAL, "ffffffffffffffffffffffffffffffff", "340282366920938463463374607431768211455", true},
    {SMPP_IDS_NUMBER, "0", "000", true},
    {SMPP_IDS_TEXT, "c7d5a1f0-6f7b-4c8e-9b43-5ad0cf6b0a11", "c7d5a1f0-6f7b-4c8e-9b43-5ad0cf6b0a11", true},
};

START_TEST(the_spelling_is_as_the_operator_says)
{
  static struct smpp_ids ids;
  char own[SMPP_ID_ROOM], other[SMPP_ID_ROOM];

  ids = (struct smpp_ids){.mode = spellings[_i].mode};
  smpp_ids_own(&ids, parley_text_of(spellings[_i].answer), own);
  ck_assert(!smpp_ids_receipt(&ids, parley_text_of(spellings[_i].receipt), other));
  ck_assert_int_eq(strcmp(own, other) == 0, spellings[_i].same);
}
END_TEST

static struct smpp_ids *learner(const char *const *answers)
{
  static struct smpp_ids ids;
  char own[SMPP_ID_ROOM];

  ids = (struct smpp_ids){.mode = SMPP_IDS_AUTO};
  for (; *answers != NULL; answers++)
    smpp_ids_own(&ids, parley_text_of(*answers), own);
  return &ids;
}

static const struct { const char *answers[4], *receipt, *as; enum smpp_ids_mode learned; } lessons[] = {
    {{"00003039", "0000303A"}, "12345", "3039", SMPP_IDS_HEX_DECIMAL},
    {{"12345", "12346"}, "3039", "12345", SMPP_IDS_DECIMAL_HEX},
    {{"00012345"}, "12345", "12345", SMPP_IDS_NUMBER},
    {{"c7d5a1f0-6f7b"}, "c7d5a1f0-6f7b", "c7d5a1f0-6f7b", SMPP_IDS_NUMBER},
    {{"11", "17"}, "17", "17", SMPP_IDS_AUTO},         /* both fit: nothing is learned */
    {{"1a", "11", "17"}, "17", "11", SMPP_IDS_AUTO},   /* but the answers have letters and the receipts none */
    {{"1"}, "999", "999", SMPP_IDS_AUTO},              /* of another day */
};

START_TEST(the_spelling_is_learned_from_what_fits_in_one_way_only)
{
  struct smpp_ids *ids = learner(lessons[_i].answers);
  char as[SMPP_ID_ROOM];

  ck_assert(smpp_ids_receipt(ids, parley_text_of(lessons[_i].receipt), as) == (lessons[_i].learned != SMPP_IDS_AUTO));
  ck_assert_str_eq(as, lessons[_i].as);
  ck_assert_int_eq(ids->learned, lessons[_i].learned);
  ck_assert(!smpp_ids_receipt(ids, parley_text_of(lessons[_i].receipt), as)); /* once */
}
END_TEST

START_TEST(what_was_learned_serves_after_a_restart)
{
  static struct smpp_ids ids;
  char as[SMPP_ID_ROOM];

  ids = (struct smpp_ids){.mode = SMPP_IDS_AUTO, .learned = SMPP_IDS_HEX_DECIMAL};
  ck_assert(!smpp_ids_receipt(&ids, PARLEY_LIT("12345"), as));
  ck_assert_str_eq(as, "3039");
}
END_TEST

START_TEST(a_number_keeps_its_value_in_every_base)
{
  char hex[SMPP_ID_ROOM], decimal[SMPP_ID_ROOM];

  ck_assert(smpp_id_rebase(PARLEY_LIT("9999999999999999999999999999999999999999999999999999999999999999"), 10, 16, hex));
  ck_assert(smpp_id_rebase(parley_text_of(hex), 16, 10, decimal));
  ck_assert_str_eq(decimal, "9999999999999999999999999999999999999999999999999999999999999999");
  ck_assert(smpp_id_rebase(PARLEY_LIT("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"), 16, 10, decimal));
  ck_assert_uint_eq(strlen(decimal), 78);
  ck_assert(!smpp_id_rebase(PARLEY_LIT("12a"), 10, 16, hex) && !smpp_id_rebase(PARLEY_LIT(""), 10, 16, hex));
  ck_assert(!smpp_id_rebase(PARLEY_LIT("00000000000000000000000000000000000000000000000000000000000000001"), 10, 16, hex)); /* 65 */
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("smpp: receipts");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_receipt_is_read_by_parameters_first_and_text_second, 0, COUNT(receipts));
  tcase_add_loop_test(tcase, a_customers_text_is_no_receipt, 0, COUNT(kinds));
  tcase_add_loop_test(tcase, a_date_is_of_the_centres_clock, 0, COUNT(times));
  tcase_add_loop_test(tcase, the_spelling_is_as_the_operator_says, 0, COUNT(spellings));
  tcase_add_loop_test(tcase, the_spelling_is_learned_from_what_fits_in_one_way_only, 0, COUNT(lessons));
  tcase_add_test(tcase, what_was_learned_serves_after_a_restart);
  tcase_add_test(tcase, a_number_keeps_its_value_in_every_base);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
