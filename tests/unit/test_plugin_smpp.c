// sources: tests/support/stream_host.c plugins/smpp/smpp_wire.c plugins/smpp/smpp_status.c
/* The smpp plugin on streams in memory: binds, windows, what each answer (and each silence) becomes, what comes in, and the end. */
#include "smpp/smpp_status.h"
#include "smpp/smpp_wire.h"
#include "tests/support/stream_host.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { SUBMITS_MAX = 2048, REPLIES_MAX = 64, PARTS_MAX = 8, MESSAGES_MAX = 64, BIND_SCRIPT_MAX = 8, PDU_ROOM = 2048, SECOND = 1000 };

/* --- A message centre --------------------------------------------------------------------------------------------- */
static struct {
  uint32_t bind_status[BIND_SCRIPT_MAX]; /* of the first binds; 0: accepted */
  bool mute_bind, hold, deaf;            /* hold: submits are not answered; deaf: nor enquire_link */
  bool stays;                            /* unbind gets the answer to the enquire_link before it, and none of its own */
  uint32_t enquire_sequence;             /* of the last one */
  uint32_t submit_status;
  bool no_id;
  uint32_t n_binds, n_submits, n_enquiries, n_unbinds, n_replies, n_nacks, next_id;
  uint32_t bind_command[REPLIES_MAX];
  struct { struct stream_conn *conn; uint32_t sequence; char pdu[PDU_ROOM]; size_t len; } submits[SUBMITS_MAX];
  struct { uint32_t sequence, status, command; } replies[REPLIES_MAX];
  struct stream_conn *conn; /* the newest bound one */
  uint32_t command_of_conn;
} centre;
static struct stream_host *host;

static void say(struct stream_conn *conn, const struct smpp_out *out) { stream_conn_send(conn, out->at, out->len); }

static void say_head(struct stream_conn *conn, uint32_t command, uint32_t status, uint32_t sequence)
{
  char octets[SMPP_HEAD_BYTES];
  struct smpp_out out = {octets, sizeof octets, 0};

  ck_assert(smpp_put_head(&out, command, status, sequence));
  say(conn, &out);
}

static void answer(uint32_t i, uint32_t status)
{
  char octets[PDU_ROOM], id[16] = "";
  struct smpp_out out = {octets, sizeof octets, 0};

  if (status == SMPP_ROK && !centre.no_id)
    snprintf(id, sizeof id, "%08X", 0x3039 + (unsigned)centre.next_id++);
  ck_assert(smpp_put_response(&out, SMPP_SUBMIT_SM, status, centre.submits[i].sequence, parley_text_of(id)));
  say(centre.submits[i].conn, &out);
}

static void heard_bind(struct stream_conn *conn, const struct smpp_head *head)
{
  uint32_t n = centre.n_binds++, status = n < BIND_SCRIPT_MAX ? centre.bind_status[n] : 0;
  char octets[PDU_ROOM];
  struct smpp_out out = {octets, sizeof octets, 0};

  centre.bind_command[n % REPLIES_MAX] = head->command;
  if (centre.mute_bind)
    return;
  ck_assert(smpp_put_response(&out, head->command, status, head->sequence, PARLEY_LIT("centre")));
  say(conn, &out);
  if (status != SMPP_ROK) {
    stream_conn_close(conn);
    return;
  }
  centre.conn = conn;
  centre.command_of_conn = head->command;
}

static void heard(struct stream_conn *conn, const struct smpp_head *head, const char *pdu)
{
  uint32_t n = centre.n_submits;

  switch (head->command) {
  case SMPP_BIND_RECEIVER:
  case SMPP_BIND_TRANSMITTER:
  case SMPP_BIND_TRANSCEIVER: heard_bind(conn, head); break;
  case SMPP_SUBMIT_SM:
  case SMPP_DATA_SM:
    ck_assert_uint_lt(n, SUBMITS_MAX);
    ck_assert_uint_le(head->length, PDU_ROOM);
    centre.submits[n].conn = conn;
    centre.submits[n].sequence = head->sequence;
    centre.submits[n].len = head->length;
    memcpy(centre.submits[n].pdu, pdu, head->length);
    centre.n_submits++;
    if (!centre.hold)
      answer(n, centre.submit_status);
    break;
  case SMPP_ENQUIRE_LINK:
    centre.n_enquiries++;
    centre.enquire_sequence = head->sequence;
    if (!centre.deaf)
      say_head(conn, SMPP_ENQUIRE_LINK | SMPP_RESPONSE, 0, head->sequence);
    break;
  case SMPP_UNBIND:
    centre.n_unbinds++;
    if (centre.stays)
      say_head(conn, SMPP_ENQUIRE_LINK | SMPP_RESPONSE, 0, centre.enquire_sequence);
    else
      say_head(conn, SMPP_UNBIND | SMPP_RESPONSE, 0, head->sequence);
    break;
  default:
    centre.n_nacks += head->command == SMPP_RESPONSE;
    centre.replies[centre.n_replies].sequence = head->sequence;
    centre.replies[centre.n_replies].command = head->command;
    centre.replies[centre.n_replies++ % REPLIES_MAX].status = head->status;
  }
}

static void centre_got(struct stream_conn *conn, parley_bytes bytes, void *arg)
{
  struct smpp_head head;

  (void)arg;
  for (size_t at = 0; at < bytes.len; at += head.length) {
    ck_assert_int_eq(smpp_head_read((parley_bytes){bytes.at + at, bytes.len - at}, &head), SMPP_FOUND_PDU); /* writes end with a PDU */
    heard(conn, &head, bytes.at + at);
  }
}

static void centre_opened(struct stream_conn *conn, void *arg) { (void)conn, (void)arg; }

static void centre_closed(struct stream_conn *conn, void *arg)
{
  (void)arg;
  if (centre.conn == conn)
    centre.conn = NULL;
}

static struct smpp_message submitted(uint32_t i)
{
  struct smpp_message message;

  ck_assert_uint_lt(i, centre.n_submits);
  ck_assert_uint_eq(smpp_message_read((parley_bytes){centre.submits[i].pdu, centre.submits[i].len}, &message), SMPP_ROK);
  return message;
}

static void deliver(uint32_t sequence, const struct smpp_message *message)
{
  char octets[PDU_ROOM];
  struct smpp_out out = {octets, sizeof octets, 0};

  ck_assert(smpp_put_message(&out, SMPP_DELIVER_SM, sequence, message));
  say(centre.conn, &out);
  stream_host_run(host);
}

static struct smpp_message from_ana(parley_text text)
{
  return (struct smpp_message){.source = {1, 1, PARLEY_LIT("34600111222")}, .destination = {1, 1, PARLEY_LIT("34600999888")},
                               .text = text};
}

/* --- The channel -------------------------------------------------------------------------------------------------- */
static const char *const plain[] = {"url", "smpp://127.0.0.1:2775", "user", "shop", "password", "s3cret08",
                                    "from", "+34600999888", NULL};

static void begin(void)
{
  static const struct stream_peer peer = {.opened = centre_opened, .got = centre_got, .closed = centre_closed};

  memset(&centre, 0, sizeof centre);
  host = stream_host_new("smpp", &peer);
}

static void end(void) { stream_host_free(&host); }

/* plain with these pairs before it. */
static void start(const char *const *more)
{
  const char *pairs[64];
  size_t n = 0;

  for (; more != NULL && more[n] != NULL; n++)
    pairs[n] = more[n];
  for (size_t i = 0; i < COUNT(plain); i++)
    pairs[n++] = plain[i];
  ck_assert_msg(stream_host_create(host, pairs) == PARLEY_OK, "%s", host->cause);
  ck_assert_int_eq(stream_host_start(host), PARLEY_OK);
  stream_host_run(host);
}
#define START(...) start((const char *const[]){__VA_ARGS__, NULL})

static struct {
  parley_message message;
  parley_identity to;
  parley_part parts[PARTS_MAX];
  const parley_part *list[PARTS_MAX];
  char id[32];
} messages[MESSAGES_MAX];

static const parley_message *message_of(uint64_t token, const char *to, uint32_t n_parts, parley_text text, uint32_t unit)
{
  uint64_t at = token % MESSAGES_MAX;

  memset(&messages[at], 0, sizeof messages[at]);
  messages[at].to = (parley_identity){.size = sizeof(parley_identity), .kind = PARLEY_LIT("phone"), .value = parley_text_of(to)};
  for (uint32_t i = 0; i < n_parts; i++) {
    messages[at].parts[i] = (parley_part){.size = sizeof(parley_part), .kind = PARLEY_PART_TEXT, .text = text, .unit = unit};
    messages[at].list[i] = &messages[at].parts[i];
  }
  snprintf(messages[at].id, sizeof messages[at].id, "msg_%08llu", (unsigned long long)token);
  messages[at].message = (parley_message){.size = sizeof(parley_message), .kind = PARLEY_KIND_CONTENT, .attempt = 1, .n_parts = n_parts,
                                          .id = parley_text_of(messages[at].id), .to = &messages[at].to, .parts = messages[at].list};
  return &messages[at].message;
}

static void submit_parts(uint64_t token, uint32_t n_parts)
{
  ck_assert_int_eq(stream_host_submit(host, token, message_of(token, "+34600111222", n_parts, PARLEY_LIT("Hello"), PARLEY_UNIT_GSM7)),
                   PARLEY_OK);
}

static void submit(uint64_t token) { submit_parts(token, 1); }

static uint32_t result(uint64_t token)
{
  ck_assert_uint_eq(host->settled[token].times, 1);
  return host->settled[token].result;
}

/* --- What leaves -------------------------------------------------------------------------------------------------- */
START_TEST(a_message_leaves_as_one_pdu_and_its_id_comes_back)
{
  struct smpp_message message;

  START("service_type", "CMT");
  ck_assert_uint_eq(host->window, 20); /* a window, and as many at hand */
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_str_eq(host->settled[1].id, "3039");
  message = submitted(0);
  ck_assert(parley_text_is(message.text, "Hello") && message.coding == 0 && message.esm_class == 0 && message.registered == 1);
  ck_assert(parley_text_is(message.source.value, "34600999888") && message.source.ton == 1 && message.source.npi == 1);
  ck_assert(parley_text_is(message.destination.value, "34600111222") && message.destination.ton == 1 && message.destination.npi == 1);
  ck_assert(parley_text_is(message.service, "CMT") && smpp_has(&message.tlvs, SMPP_TLV_REFERENCE));
}
END_TEST

static const struct {
  const char *options[6], *text;
  uint32_t unit;
  uint8_t coding;
  const char *octets;
  size_t len;
  bool payload;
} texts[] = {
    {{NULL}, "1 \342\202\254", PARLEY_UNIT_GSM7, 0, "1 \x1b\x65", 4, false},
    {{NULL}, "\320\237", PARLEY_UNIT_UTF16, 8, "\4\37", 2, false},
    {{"alphabet", "ucs2", NULL}, "A", PARLEY_UNIT_GSM7, 8, "\0A", 2, false},
    {{"alphabet", "latin1", NULL}, "\303\244", PARLEY_UNIT_GSM7, 0, "\344", 1, false},
    {{"alphabet", "latin1", NULL}, "\342\202\254", PARLEY_UNIT_GSM7, 8, "\x20\xac", 2, false}, /* short enough for UCS-2 */
    {{"concatenation", "payload", NULL}, "A", PARLEY_UNIT_GSM7, 0, "A", 1, true},
    {{"pdu", "data_sm", NULL}, "A", PARLEY_UNIT_GSM7, 0, "A", 1, true},
};

START_TEST(a_text_is_written_as_the_centre_reads_it)
{
  struct smpp_message message;
  parley_bytes octets;

  start(texts[_i].options);
  ck_assert_int_eq(stream_host_submit(host, 1, message_of(1, "+34600111222", 1, parley_text_of(texts[_i].text), texts[_i].unit)),
                   PARLEY_OK);
  stream_host_run(host);
  message = submitted(0);
  octets = texts[_i].payload ? message.tlvs.payload : message.text;
  ck_assert_uint_eq(message.coding, texts[_i].coding);
  ck_assert_uint_eq(octets.len, texts[_i].len);
  ck_assert_mem_eq(octets.at, texts[_i].octets, texts[_i].len);
}
END_TEST

START_TEST(what_latin1_lacks_and_is_too_long_for_ucs2_is_refused)
{
  char text[100 + sizeof "\342\202\254"];

  memset(text, 'a', 100);
  memcpy(text + 100, "\342\202\254", sizeof "\342\202\254");
  START("alphabet", "latin1");
  ck_assert_int_eq(stream_host_submit(host, 1, message_of(1, "+34600111222", 1, parley_text_of(text), PARLEY_UNIT_GSM7)), PARLEY_OK);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_REJECTED);
  ck_assert_uint_eq(centre.n_submits, 0);
}
END_TEST

static const struct { const char *joining; size_t headed; } joinings[] = {{"udh8", 6}, {"udh16", 7}, {"sar", 0}};

START_TEST(pieces_of_a_text_name_each_other)
{
  uint32_t reference = 0;

  START("concatenation", joinings[_i].joining);
  submit_parts(1, 3);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(host->settled[1].n_ids, 3);
  ck_assert_str_eq(host->settled[1].ids[2], "303b");
  ck_assert_uint_eq(centre.n_submits, 3);
  for (uint32_t i = 0; i < 3; i++) {
    struct smpp_message message = submitted(i);
    struct smpp_join join = {.reference = message.tlvs.number[SMPP_TLV_SAR_REFERENCE], .index = message.tlvs.number[SMPP_TLV_SAR_INDEX],
                             .total = message.tlvs.number[SMPP_TLV_SAR_TOTAL]};
    bool ports;

    ck_assert_uint_eq(message.text.len, 5 + joinings[_i].headed);
    if (joinings[_i].headed > 0)
      smpp_header_take(message.esm_class, &message.text, &join, &ports);
    ck_assert(join.index == i + 1 && join.total == 3 && (i == 0 || join.reference == reference));
    ck_assert(parley_text_is(message.text, "Hello"));
    reference = join.reference;
  }
}
END_TEST

START_TEST(what_went_out_in_an_earlier_attempt_is_not_sent_again)
{
  START("window", "5");
  const parley_message *message = message_of(1, "+34600111222", 3, PARLEY_LIT("Hello"), PARLEY_UNIT_GSM7);
  messages[1].parts[1].provider_id = PARLEY_LIT("abc");
  ck_assert_int_eq(stream_host_submit(host, 1, message), PARLEY_OK);
  stream_host_run(host);
  ck_assert_uint_eq(centre.n_submits, 2);
  ck_assert_uint_eq(host->settled[1].n_ids, 3);
  ck_assert_str_eq(host->settled[1].ids[0], "3039");
  ck_assert_str_eq(host->settled[1].ids[1], "abc");
  ck_assert_str_eq(host->settled[1].ids[2], "303a");
}
END_TEST

static const struct { const char *from; uint8_t ton, npi; const char *value; } senders[] = {
    {"+34600999888", 1, 1, "34600999888"}, {"21212", 3, 0, "21212"}, {"Shop", 5, 0, "Shop"}};

START_TEST(a_sender_has_the_type_that_it_looks_like)
{
  struct smpp_message message;

  START("from", senders[_i].from);
  submit(1);
  stream_host_run(host);
  message = submitted(0);
  ck_assert(message.source.ton == senders[_i].ton && message.source.npi == senders[_i].npi);
  ck_assert(parley_text_is(message.source.value, senders[_i].value));
}
END_TEST

static const struct { const char *options[4]; int64_t expires_ms; const char *validity; } validities[] = {
    {{NULL}, 0, ""},
    {{NULL}, 5 * 60 * SECOND + 1, "000000000500000R"},
    {{"validity", "90", NULL}, 0, "000000000130000R"},
    {{"validity", "600", NULL}, 3661 * SECOND + 1, "000000001000000R"},
    {{"validity", "7200", NULL}, 3661 * SECOND + 1, "000000010101000R"},
    {{"validity_time", "absolute", NULL}, 3661 * SECOND + 1, "700101010101000+"},
    {{"validity_time", "none", NULL}, 3661 * SECOND, ""},
};

START_TEST(the_centre_is_told_when_to_give_up)
{
  start(validities[_i].options);
  const parley_message *message = message_of(1, "+34600111222", 1, PARLEY_LIT("Hello"), PARLEY_UNIT_GSM7);
  messages[1].message.expires_ms = validities[_i].expires_ms;
  ck_assert_int_eq(stream_host_submit(host, 1, message), PARLEY_OK);
  stream_host_run(host);
  struct smpp_message sent = submitted(0);
  ck_assert_msg(parley_text_is(sent.validity, validities[_i].validity), "%.*s", (int)sent.validity.len, sent.validity.at);
}
END_TEST

START_TEST(what_is_no_number_is_no_address)
{
  static const char *const wrong[] = {"", "+", "ana", "+34 600", "+3460011122234600111222"};

  START("window", "10");
  for (uint64_t i = 0; i < COUNT(wrong); i++)
    ck_assert_int_eq(stream_host_submit(host, i + 1, message_of(i + 1, wrong[i], 1, PARLEY_LIT("Hello"), PARLEY_UNIT_GSM7)), PARLEY_OK);
  stream_host_run(host);
  for (uint64_t i = 0; i < COUNT(wrong); i++)
    ck_assert_uint_eq(result(i + 1), PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert_uint_eq(centre.n_submits, 0);
}
END_TEST

/* --- Windows ------------------------------------------------------------------------------------------------------ */
START_TEST(no_more_is_on_its_way_than_the_window_has_room_for)
{
  centre.hold = true;
  START("window", "4", "binds", "2");
  for (uint64_t token = 1; token <= 16; token++)
    submit(token);
  ck_assert_int_eq(stream_host_submit(host, 17, message_of(17, "+34600111222", 1, PARLEY_LIT("x"), PARLEY_UNIT_GSM7)), PARLEY_BUSY);
  stream_host_run(host);
  ck_assert_uint_eq(centre.n_submits, 8);
  for (uint32_t i = 8; i-- > 0;) /* answered in the other order */
    answer(i, SMPP_ROK);
  stream_host_run(host);
  ck_assert_uint_eq(host->n_settled, 8);
  ck_assert_uint_eq(centre.n_submits, 16);
  for (uint32_t i = 8; i < 16; i++)
    answer(i, SMPP_ROK);
  stream_host_run(host);
  ck_assert_uint_eq(host->n_settled, 16);
}
END_TEST

START_TEST(answers_may_come_in_any_order_and_pieces)
{
  host->piece = 3;
  centre.hold = true;
  START("window", "3");
  for (uint64_t token = 1; token <= 3; token++)
    submit(token);
  stream_host_run(host);
  answer(2, SMPP_ROK);
  answer(0, SMPP_RINVDSTADR);
  answer(1, SMPP_ROK);
  stream_host_run(host);
  ck_assert_str_eq(host->settled[3].id, "3039");
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert_str_eq(host->settled[2].id, "303a");
}
END_TEST

START_TEST(what_nobody_awaits_changes_nothing)
{
  centre.hold = true;
  START("window", "3");
  submit(1);
  stream_host_run(host);
  say_head(centre.conn, SMPP_SUBMIT_SM | SMPP_RESPONSE, 0, 77);                             /* nobody asked */
  say_head(centre.conn, SMPP_SUBMIT_SM | SMPP_RESPONSE, 0, 0);
  say_head(centre.conn, SMPP_UNBIND | SMPP_RESPONSE, 0, centre.submits[0].sequence);        /* to another question */
  say_head(centre.conn, SMPP_RESPONSE | 0x4242, 0, centre.submits[0].sequence);             /* unknown */
  say_head(centre.conn, 0x4242, 0, 0x80000000);                                             /* a request that is none */
  stream_host_run(host);
  ck_assert_uint_eq(host->n_settled, 0);
  ck_assert(centre.n_nacks == 1 && centre.replies[0].status == SMPP_RINVCMDID && centre.replies[0].sequence == 0x80000000);
  answer(0, SMPP_ROK);
  answer(0, SMPP_ROK); /* twice */
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(a_nack_is_a_refusal)
{
  centre.hold = true;
  START("window", "3");
  submit(1);
  stream_host_run(host);
  say_head(centre.conn, SMPP_RESPONSE, 0, centre.submits[0].sequence);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_RETRY);
}
END_TEST

/* --- Answers ------------------------------------------------------------------------------------------------------ */
START_TEST(slower_makes_a_pause_and_costs_no_attempt)
{
  centre.submit_status = _i == 0 ? SMPP_RTHROTTLED : SMPP_RMSGQFUL;
  START("window", "1", "throttle_pause", "3");
  submit(1);
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(host->settled[1].retry_ms, 3000);
  ck_assert_uint_eq(centre.n_submits, 1); /* the second rests */
  centre.submit_status = SMPP_ROK;
  stream_host_step(host, 2900);
  ck_assert_uint_eq(centre.n_submits, 1);
  stream_host_step(host, 200);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(of_several_parts_one_that_fails_stops_the_rest)
{
  centre.hold = true;
  START("window", "2");
  submit_parts(1, 4);
  stream_host_run(host);
  answer(0, SMPP_ROK);
  stream_host_run(host);
  answer(1, SMPP_RSYSERR);
  stream_host_run(host);
  ck_assert_uint_eq(centre.n_submits, 3); /* the third took the place of the first */
  answer(2, SMPP_ROK);
  stream_host_run(host);
  ck_assert_uint_eq(centre.n_submits, 3);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_RETRY);
  ck_assert_uint_eq(host->settled[1].n_ids, 4);
  ck_assert_str_eq(host->settled[1].ids[0], "3039");
  ck_assert_str_eq(host->settled[1].ids[1], "");
  ck_assert_str_eq(host->settled[1].ids[2], "303a");
  ck_assert_str_eq(host->settled[1].ids[3], "");
  ck_assert_str_eq(host->settled[1].code, "ESME_RSYSERR 0x08");
}
END_TEST

START_TEST(a_centre_without_ids_has_the_message_all_the_same)
{
  centre.no_id = true;
  START("registered_delivery", "none");
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_str_eq(host->settled[1].id, "none-msg_00000001-1");
}
END_TEST

START_TEST(a_bind_that_is_denied_its_work_is_bound_anew_and_shown)
{
  centre.hold = true;
  START("window", "3");
  submit(1);
  submit(2);
  stream_host_run(host);
  answer(0, SMPP_RINVBNDSTS);
  stream_host_run(host);
  ck_assert(host->health == PARLEY_DOWN && host->window == 0);
  ck_assert_uint_eq(centre.n_binds, 1); /* the other answer is waited for: it says that nothing is out */
  answer(1, SMPP_RINVBNDSTS);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_CHANNEL_DOWN);
  stream_host_step(host, 2 * SECOND);
  ck_assert(centre.n_binds == 2 && host->health == PARLEY_UP && host->window > 0);
}
END_TEST

/* --- Losses ------------------------------------------------------------------------------------------------------- */
START_TEST(what_was_sent_when_the_bind_is_lost_may_be_out_and_the_rest_is_not)
{
  centre.hold = true;
  START("window", "2");
  submit(1);
  submit(2);
  submit(3);
  stream_host_run(host);
  answer(0, SMPP_ROK);
  stream_conn_close(centre.conn);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_UNKNOWN);
  ck_assert(host->settled[3].result == PARLEY_OUTCOME_RETRY || host->settled[3].result == PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_eq(host->window, 0);
  ck_assert_int_eq(stream_host_submit(host, 9, message_of(9, "+34600111222", 1, PARLEY_LIT("x"), PARLEY_UNIT_GSM7)), PARLEY_BUSY);
  stream_host_step(host, 2 * SECOND);
  ck_assert(centre.n_binds == 2 && host->window > 0 && host->n_health == 0); /* nobody needs to look */
}
END_TEST

START_TEST(what_had_not_left_goes_back)
{
  centre.hold = true;
  START("window", "1");
  submit_parts(1, 3);
  submit(2);
  stream_host_run(host);
  stream_conn_close(centre.conn);
  stream_host_run(host);
  ck_assert_uint_eq(centre.n_submits, 1);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_RETRY);
}
END_TEST

START_TEST(silence_leaves_it_open_and_a_late_answer_is_nobodys)
{
  centre.hold = true;
  START("window", "2", "timeout", "10", "enquire_link", "5");
  submit(1);
  stream_host_step(host, 9 * SECOND);
  ck_assert_uint_eq(host->n_settled, 0);
  stream_host_step(host, 2 * SECOND);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert(centre.n_enquiries > 0 && centre.n_binds == 1); /* the centre is there */
  answer(0, SMPP_ROK);
  stream_host_run(host);
  centre.hold = false;
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(a_centre_that_does_not_answer_any_more_is_left)
{
  centre.hold = centre.deaf = true;
  START("timeout", "10", "enquire_link", "5");
  submit(1);
  stream_host_step(host, 16 * SECOND);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_ge(centre.n_enquiries, 1);
  stream_host_step(host, 3 * SECOND);
  ck_assert_uint_eq(centre.n_binds, 2);
}
END_TEST

static const char *const hostile[] = {"00000000000000040000000000000001", "7fffffff800000040000000000000001", "0000000f"};

START_TEST(what_is_no_smpp_ends_the_connection)
{
  char octets[16];
  size_t n = 0;
  unsigned octet;

  centre.hold = true;
  START("window", "2");
  submit(1);
  stream_host_run(host);
  for (const char *hex = hostile[_i]; sscanf(hex, "%2x", &octet) == 1; hex += 2)
    octets[n++] = (char)octet;
  stream_conn_send(centre.conn, octets, n);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert(centre.n_nacks == 1 && centre.replies[0].status == SMPP_RINVCMDLEN);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
}
END_TEST

START_TEST(a_centre_that_takes_its_leave_is_answered_and_come_back_to)
{
  START("window", "2");
  say_head(centre.conn, SMPP_UNBIND, 0, 5);
  stream_host_run(host);
  ck_assert(centre.replies[0].command == (SMPP_UNBIND | SMPP_RESPONSE) && centre.replies[0].sequence == 5);
  stream_host_step(host, 2 * SECOND);
  ck_assert_uint_eq(centre.n_binds, 2);
}
END_TEST

/* --- Binding ------------------------------------------------------------------------------------------------------ */
START_TEST(a_refused_login_is_shown_at_once_and_tried_again_ever_more_seldom)
{
  for (int i = 0; i < BIND_SCRIPT_MAX; i++)
    centre.bind_status[i] = SMPP_RINVPASWD;
  START("reconnect_max", "8");
  ck_assert(host->health == PARLEY_DOWN && host->window == 0);
  ck_assert_str_eq(host->cause, "127.0.0.1:2775 refuses the bind: wrong password (ESME_RINVPASWD 0x0e)");
  ck_assert_ptr_nonnull(strstr(host->remedy, "password"));
  stream_host_step(host, 60 * SECOND);
  ck_assert_uint_ge(centre.n_binds, 8);
  ck_assert_uint_le(centre.n_binds, 18); /* 1, 2, 4 and then 8 seconds, half of it at least */
  ck_assert(host->health == PARLEY_UP && host->window > 0 && host->n_health == 2);
}
END_TEST

START_TEST(a_centre_that_is_not_there_is_shown_at_the_third_time)
{
  host->refuse = true;
  START("window", "1");
  ck_assert_uint_eq(host->n_health, 0);
  stream_host_step(host, 20 * SECOND);
  ck_assert_uint_eq(host->health, PARLEY_DOWN);
  ck_assert_str_eq(host->cause, "127.0.0.1:2775: connection refused");
  host->refuse = false;
  stream_host_step(host, 61 * SECOND);
  ck_assert_uint_eq(host->health, PARLEY_UP);
}
END_TEST

START_TEST(a_bind_without_an_answer_is_given_up)
{
  centre.mute_bind = true;
  START("timeout", "5");
  stream_host_step(host, 8 * SECOND);
  ck_assert_uint_eq(centre.n_binds, 2);
  ck_assert_uint_eq(host->window, 0);
}
END_TEST

START_TEST(separate_binds_send_and_receive)
{
  START("bind", "separate", "binds", "2");
  ck_assert_uint_eq(centre.n_binds, 4);
  ck_assert(centre.bind_command[0] == SMPP_BIND_TRANSMITTER && centre.bind_command[1] == SMPP_BIND_RECEIVER);
  for (uint64_t token = 1; token <= 4; token++)
    submit(token);
  stream_host_run(host);
  ck_assert_uint_eq(host->n_settled, 4);
  ck_assert(centre.command_of_conn == SMPP_BIND_RECEIVER);
  deliver(1, &(struct smpp_message){.source = {1, 1, PARLEY_LIT("34600111222")}, .destination = {1, 1, PARLEY_LIT("777")},
                                    .text = PARLEY_LIT("hi")});
  ck_assert(centre.n_replies == 1 && centre.replies[0].status == SMPP_ROK && host->n_told == 1);
}
END_TEST

START_TEST(a_transmitter_takes_nothing_in)
{
  const struct smpp_message message = from_ana(PARLEY_LIT("hi"));

  START("bind", "transmitter");
  ck_assert_uint_eq(host->plugin->capable(host->channel)->flags & PARLEY_INBOUND, 0);
  deliver(7, &message);
  ck_assert(centre.replies[0].status == SMPP_RINVBNDSTS && centre.replies[0].sequence == 7 && host->n_told == 0);
}
END_TEST

START_TEST(a_receiver_sends_nothing)
{
  START("bind", "receiver");
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_REJECTED);
}
END_TEST

START_TEST(tls_stands_before_the_bind)
{
  START("url", "smpps://smsc.example");
  ck_assert_uint_eq(centre.n_binds, 1);
  ck_assert(host->conns[0]->from_start_tls && host->conns[0]->tls_flags == 0);
  ck_assert_str_eq(host->conns[0]->address, "smsc.example:3550");
}
END_TEST

START_TEST(a_probe_asks_the_bind_that_stands_or_binds_now)
{
  START("window", "1");
  ck_assert_int_eq(stream_host_probe(host, 1), PARLEY_OK);
  ck_assert_int_eq(stream_host_probe(host, 2), PARLEY_BUSY);
  stream_host_run(host);
  ck_assert(result(1) == PARLEY_OUTCOME_ACCEPTED && centre.n_enquiries == 1);
  host->refuse = true;
  stream_conn_close(centre.conn);
  stream_host_run(host);
  ck_assert_int_eq(stream_host_probe(host, 3), PARLEY_OK);
  stream_host_run(host);
  ck_assert_uint_eq(result(3), PARLEY_OUTCOME_RETRY);
}
END_TEST

/* --- What comes in ------------------------------------------------------------------------------------------------ */
START_TEST(a_message_is_acknowledged_when_it_is_kept)
{
  const struct smpp_message message = from_ana(PARLEY_LIT("hi \1"));

  host->keep = true;
  START("window", "1");
  deliver(7, &message);
  ck_assert(host->n_told == 1 && centre.n_replies == 0);
  ck_assert_str_eq(host->told[0].from, "phone:+34600111222");
  ck_assert_str_eq(host->told[0].to, "+34600999888");
  ck_assert_str_eq(host->told[0].text, "hi \302\243");
  host->keep = false;
  stream_host_run(host);
  ck_assert(centre.n_replies == 1 && centre.replies[0].sequence == 7 && centre.replies[0].status == SMPP_ROK);
}
END_TEST

static const struct { parley_status status; uint32_t reply; } verdicts[] = {
    {PARLEY_OK, SMPP_ROK},                 {PARLEY_BUSY, SMPP_RX_T_APPN},         {PARLEY_RETRY, SMPP_RX_T_APPN},
    {PARLEY_TIMEOUT, SMPP_RX_T_APPN},      {PARLEY_CANCELLED, SMPP_RX_T_APPN},    {PARLEY_REJECTED, SMPP_RX_R_APPN},
    {PARLEY_INVALID, SMPP_RX_R_APPN},      {PARLEY_FAILED, SMPP_RX_T_APPN},       {PARLEY_DENIED, SMPP_RX_P_APPN},
};

START_TEST(the_centre_hears_whether_to_come_again)
{
  const struct smpp_message message = from_ana(PARLEY_LIT("hi"));

  host->answer = verdicts[_i].status;
  START("window", "1");
  deliver(7, &message);
  ck_assert_uint_eq(centre.replies[0].status, verdicts[_i].reply);
}
END_TEST

START_TEST(an_answer_for_a_connection_that_is_gone_goes_nowhere)
{
  const struct smpp_message message = from_ana(PARLEY_LIT("hi"));

  host->keep = true;
  START("window", "1");
  deliver(7, &message);
  stream_conn_close(centre.conn);
  stream_host_step(host, 2 * SECOND);
  ck_assert_uint_eq(centre.n_binds, 2);
  host->keep = false;
  stream_host_run(host);
  ck_assert_uint_eq(centre.n_replies, 0);
  deliver(1, &message); /* it comes again, and was kept */
  ck_assert(host->n_told == 1 && centre.n_replies == 1 && centre.replies[0].status == SMPP_ROK);
  deliver(2, &message); /* the same once more: the customer has said it twice */
  ck_assert_uint_eq(host->n_told, 2);
}
END_TEST

START_TEST(another_piece_with_the_same_words_is_no_repetition)
{
  struct smpp_message message = from_ana(PARLEY_LIT("ha"));

  message.tlvs.has = PARLEY_BIT(SMPP_TLV_SAR_REFERENCE) | PARLEY_BIT(SMPP_TLV_SAR_TOTAL) | PARLEY_BIT(SMPP_TLV_SAR_INDEX);
  message.tlvs.number[SMPP_TLV_SAR_REFERENCE] = 7;
  message.tlvs.number[SMPP_TLV_SAR_TOTAL] = 2;
  message.tlvs.number[SMPP_TLV_SAR_INDEX] = 1;
  host->keep = true;
  START("window", "1");
  deliver(7, &message);
  stream_conn_close(centre.conn);
  stream_host_step(host, 2 * SECOND);
  host->keep = false;
  stream_host_run(host);
  message.tlvs.number[SMPP_TLV_SAR_INDEX] = 2;
  deliver(1, &message);
  ck_assert(host->n_told == 2 && host->told[1].index == 2);
  message.tlvs.number[SMPP_TLV_SAR_INDEX] = 1;
  deliver(2, &message);
  ck_assert(host->n_told == 2 && centre.replies[1].status == SMPP_ROK);
}
END_TEST

START_TEST(what_could_not_be_kept_is_no_repetition_when_it_comes_again)
{
  const struct smpp_message message = from_ana(PARLEY_LIT("hi"));

  host->keep = true;
  host->answer = PARLEY_BUSY;
  START("window", "1");
  deliver(7, &message);
  stream_conn_close(centre.conn);
  stream_host_step(host, 2 * SECOND);
  host->keep = false;
  stream_host_run(host);
  host->answer = PARLEY_OK;
  deliver(1, &message);
  ck_assert_uint_eq(host->n_told, 2);
}
END_TEST

START_TEST(pieces_go_up_as_pieces)
{
  struct smpp_message message = from_ana(PARLEY_LIT("\5\0\3\7\3\2two"));

  message.esm_class = 0x40;
  START("window", "1");
  deliver(7, &message);
  ck_assert(host->told[0].index == 2 && host->told[0].total == 3);
  ck_assert_str_eq(host->told[0].key, "34600111222 34600999888 7 3 1");
  ck_assert_str_eq(host->told[0].text, "two");
  message = from_ana(PARLEY_LIT("two"));
  message.tlvs.has = PARLEY_BIT(SMPP_TLV_SAR_REFERENCE) | PARLEY_BIT(SMPP_TLV_SAR_TOTAL) | PARLEY_BIT(SMPP_TLV_SAR_INDEX);
  message.tlvs.number[SMPP_TLV_SAR_REFERENCE] = 7;
  message.tlvs.number[SMPP_TLV_SAR_TOTAL] = 3;
  message.tlvs.number[SMPP_TLV_SAR_INDEX] = 2;
  deliver(8, &message);
  ck_assert_str_eq(host->told[1].key, "34600111222 34600999888 7 3 2");
  message = from_ana(PARLEY_LIT("\5\0\3\7\1\1alone"));
  message.esm_class = 0x40;
  deliver(9, &message);
  ck_assert(host->told[2].total == 0 && strcmp(host->told[2].text, "alone") == 0);
}
END_TEST

START_TEST(bytes_and_names_are_what_they_are)
{
  struct smpp_message message = from_ana(PARLEY_LIT("\1\2\377"));

  message.coding = 4;
  START("window", "1");
  deliver(1, &message);
  ck_assert(host->told[0].media);
  message = from_ana(PARLEY_LIT("hi"));
  message.source = (struct smpp_address){5, 0, PARLEY_LIT("Bank")};
  deliver(2, &message);
  ck_assert_str_eq(host->told[1].from, "sender:Bank");
  message.source = (struct smpp_address){0, 1, PARLEY_LIT("777")};
  deliver(3, &message);
  ck_assert_str_eq(host->told[2].from, "phone:777");
}
END_TEST

START_TEST(what_comes_from_nobody_or_for_nobody_is_refused)
{
  struct smpp_message message = from_ana(PARLEY_LIT("hi"));

  message.source.value.len = 0;
  START("window", "1");
  deliver(1, &message);
  message = from_ana(PARLEY_LIT("hi"));
  message.destination.value.len = 0;
  deliver(2, &message);
  ck_assert(centre.replies[0].status == SMPP_RINVSRCADR && centre.replies[1].status == SMPP_RINVDSTADR && host->n_told == 0);
}
END_TEST

/* --- Receipts ----------------------------------------------------------------------------------------------------- */
static struct smpp_message receipt(const char *text)
{
  struct smpp_message message = from_ana(parley_text_of(text));

  message.esm_class = 4;
  return message;
}

START_TEST(a_receipt_names_the_part_as_its_answer_did)
{
  struct smpp_message message =
      receipt("id:12345 sub:001 dlvrd:001 submit date:2611271842 done date:2611271843 stat:DELIVRD err:000 text:x");

  START("receipt_time", "+02:00");
  submit(1);
  stream_host_run(host);
  deliver(7, &message);
  ck_assert(host->n_told == 1 && host->told[0].receipt && host->told[0].kind == PARLEY_RECEIPT_DELIVERED);
  ck_assert_str_eq(host->told[0].id, "3039"); /* learned: hexadecimal there, decimal here */
  ck_assert_int_eq(host->told[0].at_ms, INT64_C(1795797780000));
  ck_assert_str_eq(host->state_value, "hex-decimal"); /* and kept */
  ck_assert(centre.replies[0].status == SMPP_ROK && centre.replies[0].sequence == 7);
}
END_TEST

START_TEST(what_was_learned_is_read_again)
{
  struct smpp_message message = receipt("id:12345 stat:DELIVRD");

  snprintf(host->state_value, sizeof host->state_value, "hex-decimal");
  START("window", "1");
  deliver(7, &message);
  ck_assert_str_eq(host->told[0].id, "3039");
}
END_TEST

START_TEST(a_receipt_that_says_nothing_is_taken_and_forgotten)
{
  static const char *const broken[] = {"id: stat: err:", "id:3039", "", "stat:DELIVRD", "\1\2\3"};

  START("window", "1");
  for (uint32_t i = 0; i < COUNT(broken); i++) {
    struct smpp_message message = receipt(broken[i]);

    deliver(i + 1, &message);
    ck_assert_uint_eq(centre.replies[i].status, SMPP_ROK);
  }
  ck_assert_uint_eq(host->n_told, 0);
}
END_TEST

START_TEST(a_receipt_that_cannot_be_kept_comes_again_and_one_for_nobody_does_not)
{
  struct smpp_message message = receipt("id:3039 stat:DELIVRD");

  host->answer = PARLEY_BUSY;
  START("window", "1");
  deliver(1, &message);
  host->answer = PARLEY_NOT_FOUND;
  deliver(2, &message);
  ck_assert_uint_eq(centre.replies[0].status, SMPP_RX_T_APPN);
  ck_assert_uint_eq(centre.replies[1].status, SMPP_ROK);
}
END_TEST

/* --- Proof -------------------------------------------------------------------------------------------------------- */
static void receipt_with_reference(uint32_t sequence, uint32_t reference, const char *text)
{
  struct smpp_message message = receipt(text);

  message.tlvs.has |= PARLEY_BIT(SMPP_TLV_REFERENCE);
  message.tlvs.number[SMPP_TLV_REFERENCE] = reference;
  deliver(sequence, &message);
}

START_TEST(a_receipt_proves_that_a_lost_message_is_out)
{
  const parley_message *message = message_of(1, "+34600111222", 2, PARLEY_LIT("Hello"), PARLEY_UNIT_GSM7);
  uint32_t reference;

  centre.hold = true;
  START("proof_wait", "30", "message_ids", "number");
  ck_assert_int_eq(stream_host_submit(host, 1, message), PARLEY_OK);
  stream_host_run(host);
  struct smpp_message sent = submitted(0);
  reference = sent.tlvs.number[SMPP_TLV_REFERENCE];
  stream_conn_close(centre.conn);
  stream_host_step(host, 2 * SECOND);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_UNKNOWN);
  receipt_with_reference(1, reference + 1, "id:00ABC stat:DELIVRD");
  ck_assert_int_eq(host->plugin->query(host->channel, 2, message), PARLEY_OK);
  stream_host_step(host, 10 * SECOND);
  ck_assert_uint_eq(host->settled[2].times, 0); /* of two parts one is proved */
  receipt_with_reference(2, reference, "id:00ABB stat:DELIVRD");
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_str_eq(host->settled[2].ids[0], "abb");
  ck_assert_str_eq(host->settled[2].ids[1], "abc");
}
END_TEST

START_TEST(what_nothing_proves_is_sent_again_and_no_part_twice)
{
  const parley_message *message = message_of(1, "+34600111222", 2, PARLEY_LIT("Hello"), PARLEY_UNIT_GSM7);

  START("proof_wait", "30", "message_ids", "number");
  ck_assert_int_eq(stream_host_submit(host, 1, message), PARLEY_OK);
  stream_host_run(host);
  struct smpp_message sent = submitted(1);
  receipt_with_reference(1, sent.tlvs.number[SMPP_TLV_REFERENCE], "id:00ABC stat:DELIVRD");
  ck_assert_int_eq(host->plugin->query(host->channel, 2, message), PARLEY_OK);
  stream_host_step(host, 31 * SECOND);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_RETRY);
  ck_assert_uint_eq(host->settled[2].n_ids, 2);
  ck_assert_str_eq(host->settled[2].ids[0], "");
  ck_assert_str_eq(host->settled[2].ids[1], "abc");
}
END_TEST

START_TEST(without_a_reference_nothing_is_waited_for)
{
  START("reference", "false");
  ck_assert_int_eq(host->plugin->query(host->channel, 1, message_of(1, "+34600111222", 1, PARLEY_LIT("x"), PARLEY_UNIT_GSM7)),
                   PARLEY_OK);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_RETRY);
}
END_TEST

/* --- The end ------------------------------------------------------------------------------------------------------ */
START_TEST(a_channel_that_stops_waits_for_answers_and_takes_its_leave)
{
  centre.hold = true;
  START("window", "1");
  submit(1);
  submit(2);
  stream_host_run(host);
  host->plugin->drain(host->channel, 1000);
  ck_assert_uint_eq(host->window, 0);
  stream_host_stop(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_UNKNOWN); /* never answered */
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_THROTTLED); /* untried */
  ck_assert_uint_eq(centre.n_unbinds, 1);
}
END_TEST

START_TEST(an_answer_that_comes_late_does_not_keep_a_channel_that_stops)
{
  centre.deaf = centre.stays = true;
  START("window", "1", "enquire_link", "10s", "timeout", "30s");
  stream_host_step(host, 12 * SECOND);
  ck_assert_uint_eq(centre.n_enquiries, 1);
  stream_host_stop(host);
  ck_assert(centre.n_unbinds == 1 && stream_host_open_count(host) == 0);
}
END_TEST

START_TEST(a_channel_stops_while_it_binds_or_cannot)
{
  if (_i == 0)
    centre.mute_bind = true;
  else
    host->refuse = true;
  START("window", "1");
  stream_host_step(host, 500);
  stream_host_stop(host);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
}
END_TEST

/* --- Options ------------------------------------------------------------------------------------------------------ */
static const struct { const char *name, *value, *why; } wrong[] = {
    {"url", "http://127.0.0.1", "url: must begin with smpp:// or smpps://"},
    {"url", "smpp://shop@127.0.0.1:2775", "url: user and password stand in options of their own, not in the URL"},
    {"url", "smpp://", "url: must be smpp://host:port"},
    {"url", "smpp://127.0.0.1:0", "url: must be smpp://host:port"},
    {"url", "smpp://a b", "url: must be smpp://host:port"},
    {"url", "smpp://[::1", "url: must be smpp://host:port"},
    {"ca", "-----BEGIN", "ca: is for smpps:// only"},
    {"receipt_time", "CET", "receipt_time: must be arrival, utc, or a distance from UTC such as +02:00"},
    {"receipt_time", "+02:70", "receipt_time: the distance has at most 24 hours, and 59 minutes"},
    {"from", "+12", NULL},
};

START_TEST(an_option_that_is_wrong_is_named)
{
  const char *pairs[32] = {wrong[_i].name, wrong[_i].value};

  for (size_t i = 0; i < COUNT(plain); i++)
    pairs[2 + i] = plain[i];
  ck_assert_int_eq(stream_host_create(host, pairs), PARLEY_INVALID);
  ck_assert_uint_eq(host->health, PARLEY_DOWN);
  if (wrong[_i].why != NULL)
    ck_assert_str_eq(host->cause, wrong[_i].why);
  else
    ck_assert_int_eq(strncmp(host->cause, "from: ", 6), 0);
}
END_TEST

static const struct { const char *options[6]; uint32_t n, unit[2], length[2], joined[2], count; } cans[] = {
    {{NULL}, 2, {PARLEY_UNIT_GSM7, PARLEY_UNIT_UTF16}, {160, 70}, {153, 67}, 16},
    {{"concatenation", "udh16", NULL}, 2, {PARLEY_UNIT_GSM7, PARLEY_UNIT_UTF16}, {160, 70}, {152, 66}, 16},
    {{"concatenation", "sar", "segments", "3", NULL}, 2, {PARLEY_UNIT_GSM7, PARLEY_UNIT_UTF16}, {160, 70}, {152, 66}, 3},
    {{"concatenation", "payload", "segments", "4", NULL}, 2, {PARLEY_UNIT_GSM7, PARLEY_UNIT_UTF16}, {612, 268}, {0, 0}, 1},
    {{"alphabet", "ucs2", NULL}, 1, {PARLEY_UNIT_UTF16}, {70}, {67}, 16},
};

START_TEST(what_it_can_follows_from_the_options)
{
  const parley_feature *const *features;

  start(cans[_i].options);
  features = host->plugin->capable(host->channel)->features;
  for (uint32_t i = 0; i < cans[_i].n; i++) {
    ck_assert_uint_eq(features[i + 1]->unit, cans[_i].unit[i]);
    ck_assert_uint_eq(features[i + 1]->length_max, cans[_i].length[i]);
    ck_assert_uint_eq(features[i + 1]->joined_max, cans[_i].joined[i]);
    ck_assert_uint_eq(features[i + 1]->count_max, cans[_i].count);
  }
  ck_assert_ptr_null(features[cans[_i].n + 1]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugin smpp");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, a_message_leaves_as_one_pdu_and_its_id_comes_back);
  tcase_add_loop_test(tcase, a_text_is_written_as_the_centre_reads_it, 0, COUNT(texts));
  tcase_add_test(tcase, what_latin1_lacks_and_is_too_long_for_ucs2_is_refused);
  tcase_add_loop_test(tcase, pieces_of_a_text_name_each_other, 0, COUNT(joinings));
  tcase_add_test(tcase, what_went_out_in_an_earlier_attempt_is_not_sent_again);
  tcase_add_loop_test(tcase, a_sender_has_the_type_that_it_looks_like, 0, COUNT(senders));
  tcase_add_loop_test(tcase, the_centre_is_told_when_to_give_up, 0, COUNT(validities));
  tcase_add_test(tcase, what_is_no_number_is_no_address);
  tcase_add_test(tcase, no_more_is_on_its_way_than_the_window_has_room_for);
  tcase_add_test(tcase, answers_may_come_in_any_order_and_pieces);
  tcase_add_test(tcase, what_nobody_awaits_changes_nothing);
  tcase_add_test(tcase, a_nack_is_a_refusal);
  tcase_add_loop_test(tcase, slower_makes_a_pause_and_costs_no_attempt, 0, 2);
  tcase_add_test(tcase, of_several_parts_one_that_fails_stops_the_rest);
  tcase_add_test(tcase, a_centre_without_ids_has_the_message_all_the_same);
  tcase_add_test(tcase, a_bind_that_is_denied_its_work_is_bound_anew_and_shown);
  tcase_add_test(tcase, what_was_sent_when_the_bind_is_lost_may_be_out_and_the_rest_is_not);
  tcase_add_test(tcase, what_had_not_left_goes_back);
  tcase_add_test(tcase, silence_leaves_it_open_and_a_late_answer_is_nobodys);
  tcase_add_test(tcase, a_centre_that_does_not_answer_any_more_is_left);
  tcase_add_loop_test(tcase, what_is_no_smpp_ends_the_connection, 0, COUNT(hostile));
  tcase_add_test(tcase, a_centre_that_takes_its_leave_is_answered_and_come_back_to);
  tcase_add_test(tcase, a_refused_login_is_shown_at_once_and_tried_again_ever_more_seldom);
  tcase_add_test(tcase, a_centre_that_is_not_there_is_shown_at_the_third_time);
  tcase_add_test(tcase, a_bind_without_an_answer_is_given_up);
  tcase_add_test(tcase, separate_binds_send_and_receive);
  tcase_add_test(tcase, a_transmitter_takes_nothing_in);
  tcase_add_test(tcase, a_receiver_sends_nothing);
  tcase_add_test(tcase, tls_stands_before_the_bind);
  tcase_add_test(tcase, a_probe_asks_the_bind_that_stands_or_binds_now);
  tcase_add_test(tcase, a_message_is_acknowledged_when_it_is_kept);
  tcase_add_loop_test(tcase, the_centre_hears_whether_to_come_again, 0, COUNT(verdicts));
  tcase_add_test(tcase, an_answer_for_a_connection_that_is_gone_goes_nowhere);
  tcase_add_test(tcase, another_piece_with_the_same_words_is_no_repetition);
  tcase_add_test(tcase, what_could_not_be_kept_is_no_repetition_when_it_comes_again);
  tcase_add_test(tcase, pieces_go_up_as_pieces);
  tcase_add_test(tcase, bytes_and_names_are_what_they_are);
  tcase_add_test(tcase, what_comes_from_nobody_or_for_nobody_is_refused);
  tcase_add_test(tcase, a_receipt_names_the_part_as_its_answer_did);
  tcase_add_test(tcase, what_was_learned_is_read_again);
  tcase_add_test(tcase, a_receipt_that_says_nothing_is_taken_and_forgotten);
  tcase_add_test(tcase, a_receipt_that_cannot_be_kept_comes_again_and_one_for_nobody_does_not);
  tcase_add_test(tcase, a_receipt_proves_that_a_lost_message_is_out);
  tcase_add_test(tcase, what_nothing_proves_is_sent_again_and_no_part_twice);
  tcase_add_test(tcase, without_a_reference_nothing_is_waited_for);
  tcase_add_test(tcase, a_channel_that_stops_waits_for_answers_and_takes_its_leave);
  tcase_add_test(tcase, an_answer_that_comes_late_does_not_keep_a_channel_that_stops);
  tcase_add_loop_test(tcase, a_channel_stops_while_it_binds_or_cannot, 0, 2);
  tcase_add_loop_test(tcase, an_option_that_is_wrong_is_named, 0, COUNT(wrong));
  tcase_add_loop_test(tcase, what_it_can_follows_from_the_options, 0, COUNT(cans));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
