// sources: plugins/email/mail_report.c plugins/email/mail_fields.c plugins/email/mail_bounce.c
// libraries: PkgConfig::GMIME
/* What delivery reports and complaints say, each in its file of tests/vectors/reports. */
#include "email/mail_report.h"
#include "email/mail_fields.h"
#include <check.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN "0123456789abcdefghjkmnpqrstvw"

static GMimeMessage *parsed(const char *bytes, size_t len)
{
  GMimeStream *stream = g_mime_stream_mem_new_with_buffer(bytes, len);
  GMimeParser *parser = g_mime_parser_new_with_stream(stream);
  GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);

  g_object_unref(parser);
  g_object_unref(stream);
  return message;
}

static bool read_text(const char *bytes, size_t len, const char *token, struct mail_report *ret)
{
  GMimeMessage *message = parsed(bytes, len);
  bool is = mail_report_read(message, parley_text_of(token), ret);

  g_object_unref(message);
  return is;
}

static bool read_file(const char *name, const char *token, struct mail_report *ret)
{
  char path[512], *bytes;
  gsize len;
  bool is;

  snprintf(path, sizeof path, "%s/tests/vectors/reports/%s", PARLEY_SOURCE_DIR, name);
  ck_assert_msg(g_file_get_contents(path, &bytes, &len, NULL), "%s", path);
  is = read_text(bytes, len, token, ret);
  g_free(bytes);
  return is;
}

static const struct said {
  const char *file;
  enum mail_report_kind kind;
  uint32_t receipt, outcome;
  const char *code, *token;
} files[] = {
    {"failed_no_such_user.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "5.1.1", TOKEN},
    {"quota_in_words.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, "5.0.0", ""},
    {"loop_headers_only.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "5.4.6", TOKEN},
    {"boundary_lost.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "5.4.6", TOKEN},
    {"relayed.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_SENT, 0, "2.1.9", TOKEN},
    {"delivered.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_DELIVERED, 0, "2.1.5", TOKEN},
    {"expanded.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_SENT, 0, "2.1.5", TOKEN},
    {"delayed.eml", MAIL_REPORT_DELIVERY, 0, 0, "4.4.1", TOKEN},
    {"code_in_diagnostic.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "5.1.1", TOKEN},
    {"spam.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "5.7.1", TOKEN},
    {"no_such_domain.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "5.4.4", TOKEN},
    {"utf8_report.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "5.1.1", TOKEN},
    {"failed_recipients_header.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "5.1.1", TOKEN},
    {"wrapped_by_a_list.eml", MAIL_REPORT_DELIVERY, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "5.1.1", TOKEN},
    {"abuse.eml", MAIL_REPORT_FEEDBACK, PARLEY_RECEIPT_COMPLAINED, 0, "abuse", TOKEN},
    {"abuse_redacted.eml", MAIL_REPORT_FEEDBACK, PARLEY_RECEIPT_COMPLAINED, 0, "abuse", TOKEN},
    {"abuse_by_return_path.eml", MAIL_REPORT_FEEDBACK, PARLEY_RECEIPT_COMPLAINED, 0, "abuse", TOKEN},
    {"abuse_by_message_id.eml", MAIL_REPORT_FEEDBACK, PARLEY_RECEIPT_COMPLAINED, 0, "abuse", ""},
    {"not_spam.eml", MAIL_REPORT_FEEDBACK, 0, 0, "not-spam", TOKEN},
};

START_TEST(a_report_says_what_became_of_which_mail)
{
  struct mail_report report;

  ck_assert_msg(read_file(files[_i].file, "", &report), "%s", files[_i].file);
  ck_assert_int_eq(report.kind, files[_i].kind);
  ck_assert_uint_eq(report.n_items, 1);
  ck_assert_msg(report.items[0].receipt == files[_i].receipt, "%s", files[_i].file);
  ck_assert_msg(report.items[0].outcome == files[_i].outcome, "%s: %u", files[_i].file, report.items[0].outcome);
  ck_assert_str_eq(report.items[0].code, files[_i].code);
  ck_assert_str_eq(report.token, files[_i].token);
  ck_assert_int_eq(mail_report_tells(&report), files[_i].receipt != 0 && files[_i].token[0] != '\0');
}
END_TEST

START_TEST(what_is_no_report_is_left_alone)
{
  static const char *const names[] = {"vacation.eml", "no_part.eml"};
  struct mail_report report;

  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    ck_assert_msg(!read_file(names[i], TOKEN, &report) && report.token[0] == '\0', "%s", names[i]);
  ck_assert(!read_file("abuse_malformed.eml", TOKEN, &report) || !mail_report_tells(&report));
  ck_assert(!read_file("no_fields.eml", TOKEN, &report) || !mail_report_tells(&report));
}
END_TEST

START_TEST(of_several_recipients_each_has_its_own_word)
{
  struct mail_report report;
  parley_receipt receipt;
  parley_identity to;

  ck_assert(read_file("three_recipients.eml", TOKEN, &report));
  ck_assert_uint_eq(report.n_items, 3);
  ck_assert(mail_report_receipt(&report, 0, 5, &to, &receipt));
  ck_assert(receipt.kind == PARLEY_RECEIPT_FAILED && receipt.outcome == PARLEY_OUTCOME_BAD_ADDRESS && receipt.at_ms == 5);
  ck_assert(parley_text_is(receipt.message_id, TOKEN) && receipt.provider_id.len == 0);
  ck_assert(receipt.to == &to && parley_text_is(to.value, "ana@example.org"));
  ck_assert(!mail_report_receipt(&report, 1, 5, &to, &receipt));
  ck_assert(mail_report_receipt(&report, 2, 5, &to, &receipt));
  ck_assert(receipt.outcome == PARLEY_OUTCOME_RETRY && parley_text_is(to.value, "eve@example.org"));
}
END_TEST

START_TEST(the_token_of_the_address_comes_before_that_of_the_mail)
{
  static const char other[] = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
  struct mail_report report;

  ck_assert(read_file("failed_no_such_user.eml", "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ", &report));
  ck_assert_str_eq(report.token, other);
  ck_assert(read_file("failed_no_such_user.eml", "too-short", &report));
  ck_assert_str_eq(report.token, TOKEN);
}
END_TEST

START_TEST(what_only_a_message_id_names_tells_of_nothing)
{
  static const char *const names[] = {"abuse_by_message_id.eml", "quota_in_words.eml"};
  struct mail_report report;
  parley_receipt receipt;
  parley_identity to;

  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    ck_assert(read_file(names[i], "", &report) && report.items[0].receipt != 0);
    ck_assert(!mail_report_tells(&report) && !mail_report_receipt(&report, 0, 5, &to, &receipt));
    ck_assert(read_file(names[i], TOKEN, &report) && mail_report_receipt(&report, 0, 5, &to, &receipt));
  }
}
END_TEST

START_TEST(more_recipients_than_there_is_room_for_are_said_to_be_there)
{
  GString *mail = g_string_new("MIME-Version: 1.0\nContent-Type: multipart/report; boundary=b\n\n--b\n"
                               "Content-Type: message/delivery-status\n\n");
  struct mail_report report;

  for (int i = 0; i < MAIL_REPORT_ITEMS_MAX + 1; i++)
    g_string_append_printf(mail, "Final-Recipient: rfc822; a%d@example.org\nAction: failed\nStatus: 5.1.1\n\n", i);
  g_string_append(mail, "--b--\n");
  ck_assert(read_text(mail->str, mail->len, TOKEN, &report));
  ck_assert(report.n_items == MAIL_REPORT_ITEMS_MAX && report.more);
  g_string_free(mail, TRUE);
}
END_TEST

static const struct { const char *text, *code; } codes[] = {
    {"550 5.1.1 no", "5.1.1"},     {"5.1.1", "5.1.1"},          {"#5.1.1", "5.1.1"},       {"(5.2.2).", "5.2.2"},
    {"192.5.1.1 said", ""},        {"5.1.1.4 is a host", ""},   {"450-4.2.0 x", "4.2.0"},       {"smtp;550 5.7.509 x", "5.7.509"},
    {"at 5.1 and 4.2.2 x", "4.2.2"}, {"3.1.1", ""},             {"5.1.1234", ""},          {"", ""},
};

START_TEST(a_status_code_stands_apart)
{
  struct mail_status status = {0};
  char code[MAIL_STATUS_MAX];

  if (mail_status_read(parley_text_of(codes[_i].text), &status))
    mail_status_write(status, code);
  else
    code[0] = '\0';
  ck_assert_str_eq(code, codes[_i].code);
}
END_TEST

static const struct { const char *code, *words; uint32_t outcome; } verdicts[] = {
    {"5.1.1", "", PARLEY_OUTCOME_BAD_ADDRESS},
    {"5.1.10", "", PARLEY_OUTCOME_BAD_ADDRESS},
    {"5.1.8", "user unknown", PARLEY_OUTCOME_REJECTED},
    {"5.1.0", "550 No Such User here", PARLEY_OUTCOME_BAD_ADDRESS},
    {"5.1.0", "Address rejected", PARLEY_OUTCOME_REJECTED},
    {"5.2.1", "", PARLEY_OUTCOME_BAD_ADDRESS},
    {"5.2.2", "", PARLEY_OUTCOME_RETRY},
    {"5.2.3", "message too large", PARLEY_OUTCOME_REJECTED},
    {"4.2.2", "", PARLEY_OUTCOME_RETRY},
    {"4.4.1", "user unknown", PARLEY_OUTCOME_RETRY},
    {"5.4.7", "", PARLEY_OUTCOME_RETRY},
    {"5.7.1", "user unknown", PARLEY_OUTCOME_REJECTED},
    {"5.0.0", "over QUOTA", PARLEY_OUTCOME_RETRY},
    {"", "550 unknown user", PARLEY_OUTCOME_BAD_ADDRESS},
    {"", "go away", PARLEY_OUTCOME_REJECTED},
};

START_TEST(a_verdict_is_that_of_the_code_and_then_of_the_words)
{
  struct mail_status status = {0};

  mail_status_read(parley_text_of(verdicts[_i].code), &status);
  ck_assert_uint_eq(mail_bounce_outcome(status, parley_text_of(verdicts[_i].words)), verdicts[_i].outcome);
}
END_TEST

START_TEST(fields_are_joined_cleaned_and_cut)
{
  static const char text[] = "no field\r\nA: one\r\n\ttwo \x01 \xff\xc3\xa9\r\n \r\nB:\r\n\r\n\r\nC: x";
  struct mail_fields fields = {.rest = {text, sizeof text - 1}};
  struct mail_field field;

  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELD);
  ck_assert(mail_field_is(&field, "a"));
  ck_assert_str_eq(field.value, "one two ?\xc3\xa9");
  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELD_GROUP_END);
  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELD);
  ck_assert_str_eq(field.value, "");
  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELD_GROUP_END);
  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELD);
  ck_assert_str_eq(field.value, "x");
  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELD_GROUP_END);
  ck_assert_int_eq(mail_field_next(&fields, &field), MAIL_FIELDS_END);
}
END_TEST

/* For tests/contract/bounces.py: what each file says, a line a recipient. */
static int print_files(int n, char **paths)
{
  struct mail_report report;
  gsize len;
  char *bytes;

  for (int i = 0; i < n; i++) {
    if (!g_file_get_contents(paths[i], &bytes, &len, NULL))
      return EXIT_FAILURE;
    read_text(bytes, len, "", &report);
    for (uint32_t j = 0; j < report.n_items; j++)
      printf("%s\t%d\t%u\t%u\t%s\t%s\n", paths[i], (int)report.kind, report.items[j].receipt, report.items[j].outcome,
             report.items[j].code, report.items[j].to);
    g_free(bytes);
  }
  return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
  Suite *suite = suite_create("mail_report");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  g_mime_init();
  if (argc > 1)
    return print_files(argc - 1, argv + 1);
  tcase_add_loop_test(tcase, a_report_says_what_became_of_which_mail, 0, sizeof files / sizeof *files);
  tcase_add_test(tcase, what_is_no_report_is_left_alone);
  tcase_add_test(tcase, of_several_recipients_each_has_its_own_word);
  tcase_add_test(tcase, the_token_of_the_address_comes_before_that_of_the_mail);
  tcase_add_test(tcase, what_only_a_message_id_names_tells_of_nothing);
  tcase_add_test(tcase, more_recipients_than_there_is_room_for_are_said_to_be_there);
  tcase_add_loop_test(tcase, a_status_code_stands_apart, 0, sizeof codes / sizeof *codes);
  tcase_add_loop_test(tcase, a_verdict_is_that_of_the_code_and_then_of_the_words, 0, sizeof verdicts / sizeof *verdicts);
  tcase_add_test(tcase, fields_are_joined_cleaned_and_cut);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
