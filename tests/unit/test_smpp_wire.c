// sources: plugins/smpp/smpp_wire.c plugins/smpp/smpp_status.c plugins/smpp/smpp_text.c plugins/common/gsm_text.c
/* SMPP as bytes: PDUs of others, PDUs that are wrong in one place, parameters, headers of user data, and what cannot be written. */
#include "smpp/smpp_status.h"
#include "smpp/smpp_text.h"
#include "smpp/smpp_wire.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { ROOM = 70000, HEX_MAX = 2048 };

/* --- PDUs of others ----------------------------------------------------------------------------------------------- */
static size_t hex_read(const char *hex, char *to)
{
  size_t n = 0;
  unsigned octet;

  for (; sscanf(hex, "%2x", &octet) == 1; hex += 2)
    to[n++] = (char)octet;
  return n;
}

/* The octets of the vector of this name. */
static parley_bytes vector(const char *name)
{
  static char octets[HEX_MAX], line[2 * HEX_MAX];
  FILE *file = fopen(PARLEY_SOURCE_DIR "/tests/vectors/sms/smpp_pdus.tsv", "r");
  size_t n = 0, len = strlen(name);

  ck_assert_ptr_nonnull(file);
  while (n == 0 && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, name, len) == 0 && line[len] == '\t')
      n = hex_read(line + len + 1, octets);
  fclose(file);
  ck_assert_msg(n > 0, "no vector %s", name);
  return (parley_bytes){octets, n};
}

static const char *const messages[] = {"submit_sm_gsm", "submit_sm_ucs2", "submit_sm_udh_1of2", "submit_sm_message_payload",
                                       "submit_sm_sar", "deliver_sm_receipt"};

START_TEST(a_message_of_another_is_read_and_written_again)
{
  static char octets[ROOM];
  parley_bytes pdu = vector(messages[_i]);
  struct smpp_out out = {octets, sizeof octets, 0};
  struct smpp_message message, again;
  struct smpp_head head;

  ck_assert_int_eq(smpp_head_read(pdu, &head), SMPP_FOUND_PDU);
  ck_assert_uint_eq(head.length, pdu.len);
  ck_assert_uint_eq(smpp_message_read(pdu, &message), SMPP_ROK);
  ck_assert(smpp_put_message(&out, head.command, head.sequence, &message));
  ck_assert_uint_eq(out.len, pdu.len);
  ck_assert_uint_eq(smpp_message_read((parley_bytes){out.at, out.len}, &again), SMPP_ROK);
  ck_assert_uint_eq(again.tlvs.has, message.tlvs.has);
  if (strcmp(messages[_i], "submit_sm_sar") != 0 && strcmp(messages[_i], "deliver_sm_receipt") != 0) /* their order is another */
    ck_assert_mem_eq(out.at, pdu.at, pdu.len);
}
END_TEST

START_TEST(what_they_say_is_understood)
{
  struct smpp_message message;
  struct smpp_response response;
  struct smpp_head head;
  struct smpp_text text;

  ck_assert_uint_eq(smpp_message_read(vector("submit_sm_gsm"), &message), SMPP_ROK);
  ck_assert(parley_text_is(message.text, "Hello") && parley_text_is(message.source.value, "ACME") && message.source.ton == 5);
  ck_assert(parley_text_is(message.destination.value, "420700000001") && message.destination.ton == 1 && message.registered == 1);
  ck_assert_uint_eq(smpp_message_read(vector("submit_sm_udh_1of2"), &message), SMPP_ROK);
  smpp_text_read(&message, GSM_DEFAULT, &text);
  ck_assert(text.join.reference == 0xa7 && text.join.index == 1 && text.join.total == 2 && text.join.width == 1);
  ck_assert(parley_text_is(text.octets, "part one"));
  ck_assert_uint_eq(smpp_message_read(vector("submit_sm_message_payload"), &message), SMPP_ROK);
  smpp_text_read(&message, GSM_DEFAULT, &text);
  ck_assert(parley_text_is(text.octets, "via tlv") && text.join.total == 0);
  ck_assert_uint_eq(smpp_message_read(vector("submit_sm_sar"), &message), SMPP_ROK);
  smpp_text_read(&message, GSM_DEFAULT, &text);
  ck_assert(text.join.reference == 7 && text.join.index == 1 && text.join.total == 2 && text.join.width == 2);
  ck_assert_uint_eq(smpp_message_read(vector("deliver_sm_receipt"), &message), SMPP_ROK);
  ck_assert(parley_text_is(message.tlvs.receipted_id, "MSG1") && message.tlvs.number[SMPP_TLV_STATE] == 2);
  ck_assert_uint_eq(smpp_response_read(vector("submit_sm_resp"), &response), SMPP_ROK);
  ck_assert(parley_text_is(response.id, "MSG1"));
  ck_assert_int_eq(smpp_head_read(vector("submit_sm_resp_throttled"), &head), SMPP_FOUND_PDU);
  ck_assert_uint_eq(head.status, SMPP_RTHROTTLED);
  ck_assert_uint_eq(smpp_response_read(vector("submit_sm_resp_throttled"), &response), SMPP_ROK);
  ck_assert_uint_eq(response.id.len, 0);
  ck_assert_int_eq(smpp_head_read(vector("generic_nack"), &head), SMPP_FOUND_PDU);
  ck_assert(head.command == SMPP_RESPONSE && head.status == SMPP_RINVCMDID);
}
END_TEST

START_TEST(what_we_write_is_what_others_write)
{
  char octets[256];
  struct smpp_out out = {octets, sizeof octets, 0};
  const struct smpp_bind bind = {.system_id = PARLEY_LIT("esme"), .password = PARLEY_LIT("secret08"), .system_type = PARLEY_LIT("")};
  parley_bytes want = vector("bind_transceiver");

  ck_assert(smpp_put_bind(&out, SMPP_BIND_TRANSCEIVER, 1, &bind));
  ck_assert_uint_eq(out.len, want.len);
  ck_assert_mem_eq(out.at, want.at, want.len);
  out.len = 0;
  want = vector("submit_sm_resp");
  ck_assert(smpp_put_response(&out, SMPP_SUBMIT_SM, SMPP_ROK, 1, PARLEY_LIT("MSG1")));
  ck_assert_uint_eq(out.len, want.len);
  ck_assert_mem_eq(out.at, want.at, want.len);
  out.len = 0;
  want = vector("enquire_link");
  ck_assert(smpp_put_head(&out, SMPP_ENQUIRE_LINK, SMPP_ROK, 1));
  ck_assert_mem_eq(out.at, want.at, want.len);
}
END_TEST

/* --- Heads -------------------------------------------------------------------------------------------------------- */
static const struct {
  const char *hex;
  enum smpp_found found;
} heads[] = {
    {"", SMPP_FOUND_NOTHING},
    {"000000", SMPP_FOUND_NOTHING},
    {"00000010", SMPP_FOUND_NOTHING},
    {"00000010000000150000000000000001", SMPP_FOUND_PDU},
    {"00000011000000150000000000000001", SMPP_FOUND_NOTHING},
    {"0000000f", SMPP_FOUND_BROKEN},
    {"00000000000000150000000000000001", SMPP_FOUND_BROKEN},
    {"00010000000000150000000000000001", SMPP_FOUND_NOTHING}, /* 64 KiB: as long as can be */
    {"00010001", SMPP_FOUND_BROKEN},
    {"ffffffff000000150000000000000007", SMPP_FOUND_BROKEN},
};

START_TEST(a_length_that_cannot_be_is_seen_before_the_rest)
{
  char octets[32];
  struct smpp_head head;
  size_t n = hex_read(heads[_i].hex, octets);

  ck_assert_int_eq(smpp_head_read((parley_bytes){octets, n}, &head), heads[_i].found);
  if (n == 16)
    ck_assert_uint_eq(head.sequence, (unsigned char)octets[15]);
}
END_TEST

START_TEST(commands_are_those_of_the_standard)
{
  static const uint32_t known[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x15, 0x21, 0x102, 0x103, 0x80000000,
                                   0x80000009, 0x80000004, 0x80000103};
  static const uint32_t unknown[] = {0x00, 0x0a, 0x0c, 0x111, 0x8000000b, 0x80000102, 0x8000ffff, 0x7fffffff};

  for (size_t i = 0; i < COUNT(known); i++)
    ck_assert(smpp_command_known(known[i]));
  for (size_t i = 0; i < COUNT(unknown); i++)
    ck_assert(!smpp_command_known(unknown[i]));
}
END_TEST

/* --- Bodies that are wrong ---------------------------------------------------------------------------------------- */
/* A deliver_sm as its body's octets; a PDU of exactly that many, so that a sanitizer sees what reads beyond. */
static uint32_t body_read(const char *body, size_t len, uint32_t command, struct smpp_message *ret)
{
  char *pdu = malloc(SMPP_HEAD_BYTES + len);
  struct smpp_out out = {pdu, SMPP_HEAD_BYTES, 0};
  uint32_t status;

  ck_assert_ptr_nonnull(pdu);
  ck_assert(smpp_put_head(&out, command, 0, 1));
  memcpy(pdu + SMPP_HEAD_BYTES, body, len);
  status = smpp_message_read((parley_bytes){pdu, SMPP_HEAD_BYTES + len}, ret);
  free(pdu);
  return status;
}

#define SOURCE "\1\1" "34600111222\0"
#define DESTINATION "\1\1" "777\0"
#define HEAD "\0" SOURCE DESTINATION
#define FLAGS "\0\0\0" "\0" "\0" "\0\0\0\0"
#define GOOD HEAD FLAGS "\2Hi"
static const struct {
  const char *body;
  size_t len;
  uint32_t status;
} bodies[] = {
#define BODY(text, status) {text, sizeof(text) - 1, status}
    BODY(GOOD, SMPP_ROK),
    BODY("12345\0" SOURCE DESTINATION FLAGS "\0", SMPP_ROK),
    BODY("123456\0" SOURCE DESTINATION FLAGS "\0", SMPP_RINVSERTYP),
    BODY("", SMPP_RINVSERTYP),
    BODY("\0", SMPP_RINVCMDLEN),
    BODY("\0\1\1" "12345678901234567890\0" DESTINATION FLAGS "\0", SMPP_ROK),
    BODY("\0\1\1" "123456789012345678901\0" DESTINATION FLAGS "\0", SMPP_RINVSRCADR), /* a source of 22 octets */
    BODY("\0\1\1" "3460011122", SMPP_RINVSRCADR),                                     /* without its NUL */
    BODY("\0" SOURCE "\1\1" "123456789012345678901234567890123456789012345678901234567890123456\0" FLAGS "\0", SMPP_RINVDSTADR),
    BODY("\0" SOURCE "\1\1", SMPP_RINVDSTADR),
    BODY("\0" SOURCE "\1", SMPP_RINVCMDLEN),
    BODY(HEAD, SMPP_RINVCMDLEN),
    BODY(HEAD "\0\0\0" "26112712345600000\0" "\0\0\0\0\0\0", SMPP_RINVSCHED),
    BODY(HEAD "\0\0\0" "\0" "0000010000000000R\0" "\0\0\0\0\0", SMPP_RINVEXPIRY),
    BODY(HEAD FLAGS "\3Hi", SMPP_RINVMSGLEN),
    BODY(HEAD FLAGS, SMPP_RINVCMDLEN),
    BODY(GOOD "\4\47\0\1\2", SMPP_ROK),
    BODY(GOOD "\4\47\0\1\2\4\47\0\1\2", SMPP_RINVOPTPARSTREAM), /* twice */
    BODY(GOOD "\4\47\0\2\2", SMPP_RINVOPTPARSTREAM),            /* past the end */
    BODY(GOOD "\4\47\0", SMPP_RINVOPTPARSTREAM),
    BODY(GOOD "\4\47", SMPP_RINVOPTPARSTREAM),
    BODY(GOOD "\4\47\0\0", SMPP_RINVPARLEN),
    BODY(GOOD "\4\47\0\2\0\2", SMPP_RINVPARLEN),
    BODY(GOOD "\24\1\0\3abc\24\1\0\3abc", SMPP_ROK),            /* unknown, and twice */
    BODY(GOOD "\24\1\377\377", SMPP_RINVOPTPARSTREAM),
    BODY(GOOD "\0\36\0\5abcd\0", SMPP_ROK),
    BODY(GOOD "\0\36\0\4abcd", SMPP_ROK),                       /* a centre that leaves the NUL out */
    BODY(GOOD "\0\36\0\0", SMPP_RINVPARLEN),
    BODY(GOOD "\4\43\0\2\3\0", SMPP_RINVPARLEN),
    BODY(GOOD "\4\44\0\0", SMPP_ROK),
};

START_TEST(what_is_wrong_with_a_message_has_the_status_of_its_field)
{
  struct smpp_message message;

  ck_assert_uint_eq(body_read(bodies[_i].body, bodies[_i].len, SMPP_DELIVER_SM, &message), bodies[_i].status);
}
END_TEST

START_TEST(a_good_message_is_none_when_any_of_its_end_is_missing)
{
  static const char body[] = GOOD;
  struct smpp_message message;

  for (size_t len = 0; len < sizeof body - 1; len++)
    ck_assert_uint_ne(body_read(body, len, SMPP_DELIVER_SM, &message), SMPP_ROK);
}
END_TEST

START_TEST(short_messages_end_at_254_and_parameters_at_100)
{
  char body[1024] = HEAD FLAGS;
  size_t at = sizeof(HEAD FLAGS) - 1;
  struct smpp_message message;

  body[at] = (char)254;
  ck_assert_uint_eq(body_read(body, at + 1 + 254, SMPP_DELIVER_SM, &message), SMPP_ROK);
  body[at] = (char)255;
  ck_assert_uint_eq(body_read(body, at + 1 + 255, SMPP_DELIVER_SM, &message), SMPP_RINVMSGLEN);
  body[at] = 0;
  memset(body + at + 1, 0, 4 * (SMPP_TLVS_MAX + 1)); /* of tag 0 and length 0 */
  ck_assert_uint_eq(body_read(body, at + 1 + 4 * (size_t)SMPP_TLVS_MAX, SMPP_DELIVER_SM, &message), SMPP_ROK);
  ck_assert_uint_eq(message.tlvs.unknown, SMPP_TLVS_MAX);
  ck_assert_uint_eq(body_read(body, at + 1 + 4 * (size_t)(SMPP_TLVS_MAX + 1), SMPP_DELIVER_SM, &message), SMPP_RINVOPTPARSTREAM);
}
END_TEST

START_TEST(data_sm_has_longer_addresses_and_no_short_message)
{
  static const char data[] = "\0\1\1" "123456789012345678901234567890\0" DESTINATION "\4\1\0\4\44\0\2Hi";
  struct smpp_message message;

  ck_assert_uint_eq(body_read(data, sizeof data - 1, SMPP_DATA_SM, &message), SMPP_ROK);
  ck_assert(message.esm_class == 4 && message.registered == 1);
  ck_assert_uint_eq(message.tlvs.payload.len, 2);
}
END_TEST

/* --- Answers ------------------------------------------------------------------------------------------------------ */
static const struct {
  const char *body;
  size_t len;
  uint32_t command, status;
  size_t id_len;
} answers[] = {
    {"", 0, SMPP_SUBMIT_SM, SMPP_ROK, 0},
    {"3039\0", 5, SMPP_SUBMIT_SM, SMPP_ROK, 4},
    {"3039", 4, SMPP_SUBMIT_SM, SMPP_ROK, 4}, /* what it names is out: its NUL is not missed */
    {"\0", 1, SMPP_SUBMIT_SM, SMPP_ROK, 0},
    {"1234567890123456789012345678901234567890123456789012345678901234\0", 65, SMPP_SUBMIT_SM, SMPP_ROK, 64},
    {"12345678901234567890123456789012345678901234567890123456789012345\0", 66, SMPP_SUBMIT_SM, SMPP_RINVMSGID, 0},
    {"a\0\4\45\0\1\3", 7, SMPP_DATA_SM, SMPP_ROK, 1},
    {"centre\0\2\20\0\1\64", 12, SMPP_BIND_TRANSCEIVER, SMPP_ROK, 6},
    {"1234567890123456\0", 17, SMPP_BIND_RECEIVER, SMPP_RINVSYSID, 0},
    {"whatever", 8, SMPP_UNBIND, SMPP_ROK, 0},
};

START_TEST(answers_are_read)
{
  char pdu[128];
  struct smpp_out out = {pdu, sizeof pdu, 0};
  struct smpp_response response;

  ck_assert(smpp_put_head(&out, answers[_i].command | SMPP_RESPONSE, 0, 1));
  memcpy(pdu + out.len, answers[_i].body, answers[_i].len);
  ck_assert_uint_eq(smpp_response_read((parley_bytes){pdu, out.len + answers[_i].len}, &response), answers[_i].status);
  ck_assert_uint_eq(response.id.len, answers[_i].id_len);
}
END_TEST

/* --- Writing ------------------------------------------------------------------------------------------------------ */
START_TEST(nothing_is_written_that_is_no_pdu)
{
  static char octets[ROOM], large[ROOM];
  struct smpp_out out = {octets, sizeof octets, 0};
  const struct smpp_message plain = {.source = {5, 0, PARLEY_LIT("Shop")}, .destination = {1, 1, PARLEY_LIT("34600111222")}};
  struct smpp_message message = plain;

  message.destination.value = PARLEY_LIT("346001112223460011122");
  ck_assert(!smpp_put_message(&out, SMPP_SUBMIT_SM, 1, &message));
  message = plain;
  message.source.value = (parley_text){"Sh\0p", 4};
  ck_assert(!smpp_put_message(&out, SMPP_SUBMIT_SM, 1, &message));
  message = plain;
  message.text = (parley_bytes){large, 255};
  ck_assert(!smpp_put_message(&out, SMPP_SUBMIT_SM, 1, &message));
  message = plain;
  message.tlvs.has = PARLEY_BIT(SMPP_TLV_PAYLOAD);
  message.tlvs.payload = (parley_bytes){large, 65500};
  ck_assert(!smpp_put_message(&out, SMPP_SUBMIT_SM, 1, &message)); /* more than 64 KiB with its head */
  message.tlvs.payload.len = 65400;
  ck_assert(smpp_put_message(&out, SMPP_SUBMIT_SM, 1, &message));
  ck_assert_uint_le(out.len, SMPP_PDU_MAX);
  out = (struct smpp_out){octets, 40, 0};
  ck_assert(!smpp_put_message(&out, SMPP_SUBMIT_SM, 1, &plain)); /* no room */
  ck_assert_uint_eq(out.len, 0);
  ck_assert(smpp_put_head(&out, SMPP_UNBIND, 0, 1) && smpp_put_head(&out, SMPP_UNBIND, 0, 2));
  ck_assert(!smpp_put_head(&out, SMPP_UNBIND, 0, 3));
  ck_assert_uint_eq(out.len, 32);
}
END_TEST

/* --- Headers of user data ----------------------------------------------------------------------------------------- */
static const struct {
  const char *octets;
  size_t len, left;
  uint32_t reference, index, total, width;
  bool ports;
} headers[] = {
    {"\5\0\3\7\2\1Hi", 8, 2, 7, 1, 2, 1, false},
    {"\6\10\4\1\2\3\2Hi", 9, 2, 0x102, 2, 3, 2, false},
    {"\5\0\3\7\0\0Hi", 8, 2, 0, 0, 0, 0, false},         /* 0 of 0 */
    {"\5\0\3\7\2\3Hi", 8, 2, 0, 0, 0, 0, false},         /* 3 of 2 */
    {"\5\0\3\7\2\0Hi", 8, 2, 0, 0, 0, 0, false},
    {"\5\0\3\7\377\377Hi", 8, 2, 7, 255, 255, 1, false},
    {"\11Hi", 3, 3, 0, 0, 0, 0, false},                  /* longer than the text: none */
    {"\0Hi", 3, 2, 0, 0, 0, 0, false},
    {"", 0, 0, 0, 0, 0, 0, false},
    {"\3\0\1\7Hi", 6, 2, 0, 0, 0, 0, false},             /* an element of a wrong length */
    {"\5\0\4\7\2\1Hi", 8, 2, 0, 0, 0, 0, false},         /* one that ends beyond the header */
    {"\6\5\4\43\364\0\0Hi", 9, 2, 0, 0, 0, 0, true},     /* for an application's port */
    {"\12\4\2\1\1\0\3\7\2\1xHi", 13, 2, 7, 1, 2, 1, true},
    {"\5", 1, 1, 0, 0, 0, 0, false},
};

START_TEST(a_header_is_taken_off_or_is_none)
{
  parley_bytes text = {headers[_i].octets, headers[_i].len};
  struct smpp_join join;
  bool ports;

  smpp_header_take(0x40, &text, &join, &ports);
  ck_assert_uint_eq(text.len, headers[_i].left);
  ck_assert(join.reference == headers[_i].reference && join.index == headers[_i].index && join.total == headers[_i].total);
  ck_assert(join.width == headers[_i].width && ports == headers[_i].ports);
  text = (parley_bytes){headers[_i].octets, headers[_i].len};
  smpp_header_take(0, &text, &join, &ports); /* esm_class says that there is none */
  ck_assert_uint_eq(text.len, headers[_i].len);
}
END_TEST

START_TEST(a_header_that_we_write_is_read_again)
{
  for (uint32_t width = 1; width <= 2; width++) {
    const struct smpp_join join = {.reference = width == 1 ? 0xfe : 0xfedc, .index = 3, .total = 4, .width = width};
    char octets[SMPP_JOIN_HEADER_MAX];
    parley_bytes text = {octets, smpp_header_write(&join, octets)};
    struct smpp_join again;
    bool ports;

    smpp_header_take(0x40, &text, &again, &ports);
    ck_assert_uint_eq(text.len, 0);
    ck_assert_mem_eq(&join, &again, sizeof join);
  }
}
END_TEST

static const struct {
  uint8_t coding;
  bool binary;
  enum gsm_alphabet alphabet;
} codings[] = {
    {0x00, false, GSM_LATIN1}, {0x01, false, GSM_ASCII}, {0x02, true, 0}, {0x03, false, GSM_LATIN1}, {0x04, true, 0},
    {0x05, true, 0}, {0x06, false, GSM_CYRILLIC}, {0x07, false, GSM_HEBREW}, {0x08, false, GSM_UCS2}, {0x0d, true, 0},
    {0x10, false, GSM_DEFAULT}, {0x18, false, GSM_UCS2}, {0x14, true, 0}, {0x30, true, 0},        /* flash; compressed */
    {0xc8, false, GSM_DEFAULT}, {0xe0, false, GSM_UCS2}, {0xf0, false, GSM_DEFAULT}, {0xf1, false, GSM_DEFAULT}, {0xf5, true, 0},
    {0x80, true, 0},
};

START_TEST(a_data_coding_names_an_alphabet_or_bytes)
{
  const struct smpp_message message = {.coding = codings[_i].coding, .text = PARLEY_LIT("x")};
  struct smpp_text text;

  smpp_text_read(&message, GSM_LATIN1, &text);
  ck_assert(text.binary == codings[_i].binary);
  ck_assert(text.binary || text.alphabet == codings[_i].alphabet);
}
END_TEST

/* --- Statuses ----------------------------------------------------------------------------------------------------- */
static const struct {
  uint32_t code, outcome;
  const char *written;
} statuses[] = {
    {0x00, PARLEY_OUTCOME_ACCEPTED, "ESME_ROK 0x00"}, {0x58, PARLEY_OUTCOME_THROTTLED, "ESME_RTHROTTLED 0x58"},
    {0x14, PARLEY_OUTCOME_THROTTLED, "ESME_RMSGQFUL 0x14"}, {0x0b, PARLEY_OUTCOME_BAD_ADDRESS, "ESME_RINVDSTADR 0x0b"},
    {0x08, PARLEY_OUTCOME_RETRY, "ESME_RSYSERR 0x08"}, {0x0a, PARLEY_OUTCOME_REJECTED, "ESME_RINVSRCADR 0x0a"},
    {0x04, PARLEY_OUTCOME_CHANNEL_DOWN, "ESME_RINVBNDSTS 0x04"}, {0x0e, PARLEY_OUTCOME_CHANNEL_DOWN, "ESME_RINVPASWD 0x0e"},
    {0x401, PARLEY_OUTCOME_RETRY, "0x401"}, {0xffffffff, PARLEY_OUTCOME_RETRY, "0xffffffff"},
};

START_TEST(a_status_becomes_what_the_core_can_act_on)
{
  char code[SMPP_CODE_ROOM];

  ck_assert_uint_eq(smpp_status_of(statuses[_i].code)->outcome, statuses[_i].outcome);
  smpp_code_write(statuses[_i].code, code);
  ck_assert_str_eq(code, statuses[_i].written);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("smpp: bytes");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_message_of_another_is_read_and_written_again, 0, COUNT(messages));
  tcase_add_test(tcase, what_they_say_is_understood);
  tcase_add_test(tcase, what_we_write_is_what_others_write);
  tcase_add_loop_test(tcase, a_length_that_cannot_be_is_seen_before_the_rest, 0, COUNT(heads));
  tcase_add_test(tcase, commands_are_those_of_the_standard);
  tcase_add_loop_test(tcase, what_is_wrong_with_a_message_has_the_status_of_its_field, 0, COUNT(bodies));
  tcase_add_test(tcase, a_good_message_is_none_when_any_of_its_end_is_missing);
  tcase_add_test(tcase, short_messages_end_at_254_and_parameters_at_100);
  tcase_add_test(tcase, data_sm_has_longer_addresses_and_no_short_message);
  tcase_add_loop_test(tcase, answers_are_read, 0, COUNT(answers));
  tcase_add_test(tcase, nothing_is_written_that_is_no_pdu);
  tcase_add_loop_test(tcase, a_header_is_taken_off_or_is_none, 0, COUNT(headers));
  tcase_add_test(tcase, a_header_that_we_write_is_read_again);
  tcase_add_loop_test(tcase, a_data_coding_names_an_alphabet_or_bytes, 0, COUNT(codings));
  tcase_add_loop_test(tcase, a_status_becomes_what_the_core_can_act_on, 0, COUNT(statuses));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
