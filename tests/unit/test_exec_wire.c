// sources: plugins/exec/exec_in.c plugins/exec/exec_out.c plugins/exec/exec_lines.c
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include "exec/exec_lines.h"
#include "exec/exec_wire.h"
#include <check.h>
#include <stdlib.h>

/* --- Lines -------------------------------------------------------------------------------------------------------- */

struct told {
  struct buf all;
  size_t n, n_too_long, stop_after;
};
static bool told_add(parley_text line, bool too_long, void *arg)
{
  struct told *told = arg;

  buf_printf(&told->all, "%.*s%s|", TEXT_ARG(line), too_long ? "!" : "");
  told->n_too_long += too_long;
  return ++told->n != told->stop_after;
}

static const struct {
  const char *bytes, *want;
} cuts[] = {
    {"one\ntwo\n", "one|two|"},
    {"\n\n", "||"},
    {"one", ""},
    {"12345678\n", "12345678|"},
    {"123456789\nnext\n", "12345678!|next|"},
    {"1234567890123456789012345\nnext\n\n", "12345678!|next||"},
};

/* The same lines come whatever the pieces that they come in. */
START_TEST(bytes_are_cut_into_lines_in_whatever_pieces_they_come)
{
  for (size_t piece = 1; piece < 12; piece++) {
    struct exec_lines lines = {.max = 8};
    struct told told = {.all = BUF_INIT(1000)};
    parley_text rest = parley_text_of(cuts[_i].bytes);

    buf_str(&told.all, "");
    while (rest.len > 0) {
      ck_assert(exec_lines_feed(&lines, text_sub(rest, 0, piece), told_add, &told));
      rest = text_sub(rest, piece, SIZE_MAX);
    }
    ck_assert_msg(text_eq(buf_as_text(&told.all), parley_text_of(cuts[_i].want)), "pieces of %zu: %.*s", piece,
                  TEXT_ARG(buf_as_text(&told.all)));
    exec_lines_clear(&lines);
    buf_done(&told.all);
  }
}
END_TEST

START_TEST(a_reader_that_wants_no_more_gets_no_more)
{
  struct exec_lines lines = {.max = 8};
  struct told told = {.all = BUF_INIT(100), .stop_after = 2};

  ck_assert(exec_lines_feed(&lines, PARLEY_LIT("a\nb\nc\nd"), told_add, &told));
  ck_assert_uint_eq(told.n, 2);
  told.stop_after = 0;
  exec_lines_end(&lines, told_add, &told);
  ck_assert_uint_eq(told.n, 2);
  ck_assert(exec_lines_feed(&lines, PARLEY_LIT("tail"), told_add, &told));
  exec_lines_end(&lines, told_add, &told);
  ck_assert(text_eq(buf_as_text(&told.all), PARLEY_LIT("a|b|tail|")));
  buf_done(&told.all);
}
END_TEST

static const struct {
  const char *from, *want;
} words[] = {
    {"plain", "plain"},
    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"tab\tbell\a esc\x1b[31m del\x7f", "tab?bell? esc?[31m del?"},
    {"\xff\xc3 \xe2\x82 \xc0\x80 \xed\xa0\x80 \xf5\x80\x80\x80", "?? ?? ?? ??? ????"},
    {"\xc3", "?"},
};
START_TEST(words_for_a_log_are_clean_text)
{
  char to[64];

  ck_assert_uint_eq(exec_text_clean(parley_text_of(words[_i].from), to, sizeof to), strlen(words[_i].want));
  ck_assert_str_eq(to, words[_i].want);
  ck_assert_uint_eq(exec_text_clean(PARLEY_LIT("ab\xc3\xa9"), to, 4), 2); /* characters are not cut */
}
END_TEST

/* --- Out ---------------------------------------------------------------------------------------------------------- */

static void written(struct json_writer *writer, const char *want)
{
  json_t *root;

  ck_assert(!writer->failed);
  ck_assert_msg(text_eq(json_writer_text(writer), parley_text_of(want)), "%.*s", (int)writer->len, writer->at);
  ck_assert_ptr_null(memchr(writer->at, '\n', writer->len));
  root = json_loadb(writer->at, writer->len, JSON_REJECT_DUPLICATES, NULL);
  ck_assert_ptr_nonnull(root);
  json_decref(root);
  json_writer_done(writer);
}

START_TEST(hello_says_who_speaks_and_what_was_configured)
{
  static const struct exec_hello hello = {.channel = PARLEY_LIT("sms"),
                                          .host = PARLEY_LIT("0.1"),
                                          .address_kind = PARLEY_LIT("phone"),
                                          .channel_kind = PARLEY_LIT("sms"),
                                          .in_flight = 16,
                                          .timeout_ms = 1500,
                                          .line_max = 4096};
  struct json_writer writer = {.at = NULL};

  exec_hello_write(&writer, &hello);
  written(&writer,
          "{\"type\":\"hello\",\"version\":1,\"channel\":\"sms\",\"host\":\"0.1\",\"options\":{\"address_kind\":"
          "\"phone\",\"channel_kind\":\"sms\",\"in_flight\":16,\"timeout\":1.5,\"max_line\":4096}}");
}
END_TEST

START_TEST(a_short_message_is_its_text)
{
  static const parley_part text = {
      .size = sizeof text, .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("Hi \"Ana\"\nbye")};
  static const parley_part *const parts[] = {&text};
  static const parley_identity to = {
      .size = sizeof to, .kind = PARLEY_LIT("phone"), .value = PARLEY_LIT("+34600111222"), .name = PARLEY_LIT("Ana")};
  static const parley_customer customer = {
      .size = sizeof customer, .id = PARLEY_LIT("cus_1"), .locale = PARLEY_LIT("es")};
  struct json_writer writer = {.at = NULL};
  parley_message msg = {.size = sizeof msg,
                        .kind = PARLEY_KIND_CONTENT,
                        .attempt = 2,
                        .resent = 1,
                        .n_parts = 1,
                        .parts = parts,
                        .to = &to,
                        .customer = &customer,
                        .id = PARLEY_LIT("msg_1"),
                        .topic = PARLEY_LIT("orders"),
                        .topic_class = PARLEY_CLASS_TRANSACTIONAL,
                        .reply_to = PARLEY_LIT("m-1"),
                        .override_json = PARLEY_LIT("{\n\"x\": 1\r\n}"),
                        .accepted_ms = 1700000000000,
                        .expires_ms = 1700000001500};

  ck_assert_int_eq(exec_send_write(&writer, 18446744073709551615u, &msg), PARLEY_OK);
  written(&writer,
          "{\"type\":\"send\",\"token\":\"18446744073709551615\",\"attempt\":2,\"resent\":true,\"message\":{\"id\":"
          "\"msg_1\",\"topic\":\"orders\",\"class\":\"transactional\",\"to\":{\"phone\":\"+34600111222\",\"name\":"
          "\"Ana\"},\"text\":\"Hi \\\"Ana\\\"\\nbye\",\"customer\":{\"id\":\"cus_1\",\"locale\":\"es\"},"
          "\"reply_to\":\"m-1\",\"override\":{ \"x\": 1  },\"accepted\":\"2023-11-14T22:13:20.000Z\"},"
          "\"expires\":\"2023-11-14T22:13:21.500Z\"}");
}
END_TEST

START_TEST(what_is_more_than_text_comes_as_parts_in_order)
{
  static const parley_button reply = {
      .size = sizeof reply, .action = PARLEY_BUTTON_REPLY, .id = PARLEY_LIT("y"), .label = PARLEY_LIT("Yes")};
  static const parley_button newer = {.size = sizeof newer, .action = 99, .label = PARLEY_LIT("?")};
  static const parley_button *const buttons[] = {&reply, &newer};
  static const parley_pair fields[] = {{PARLEY_LIT("1"), PARLEY_LIT("Ana")}};
  static const parley_part parts[] = {
      {.size = sizeof parts[0], .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("one"), .provider_id = PARLEY_LIT("p-1")},
      {.size = sizeof parts[0], .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("two")},
      {.size = sizeof parts[0],
       .kind = PARLEY_PART_MEDIA,
       .flags = PARLEY_PART_INLINE,
       .type = PARLEY_LIT("text/plain"),
       .name = PARLEY_LIT("a.txt"),
       .data = PARLEY_LIT("hello"),
       .text = PARLEY_LIT("look")},
      {.size = sizeof parts[0], .kind = PARLEY_PART_BUTTONS, .buttons = buttons, .n_buttons = 2},
      {.size = sizeof parts[0],
       .kind = PARLEY_PART_LOCATION,
       .latitude = 40.5,
       .longitude = -3,
       .name = PARLEY_LIT("Sol")},
      {.size = sizeof parts[0], .kind = PARLEY_PART_CONTACT, .data = PARLEY_LIT("BEGIN")},
      {.size = sizeof parts[0],
       .kind = PARLEY_PART_TEMPLATE,
       .name = PARLEY_LIT("order"),
       .fields = fields,
       .n_fields = 1}};
  static const parley_part *const list[] = {&parts[0], &parts[1], &parts[2], &parts[3],
                                            &parts[4], &parts[5], &parts[6]};
  struct json_writer writer = {.at = NULL};
  parley_message msg = {.size = sizeof msg,
                        .kind = PARLEY_KIND_EDIT,
                        .attempt = 1,
                        .n_parts = 7,
                        .parts = list,
                        .target = PARLEY_LIT("m-9")};

  ck_assert_int_eq(exec_send_write(&writer, 1, &msg), PARLEY_OK);
  written(
      &writer,
      "{\"type\":\"send\",\"token\":\"1\",\"attempt\":1,\"resent\":false,\"message\":{\"kind\":\"edit\",\"to\":null,"
      "\"text\":\"one\\ntwo\",\"parts\":[{\"kind\":\"text\",\"provider_id\":\"p-1\",\"text\":\"one\"},"
      "{\"kind\":\"text\",\"text\":\"two\"},{\"kind\":\"media\",\"data\":\"aGVsbG8=\",\"media_type\":"
      "\"text/plain\",\"name\":\"a.txt\",\"caption\":\"look\",\"inline\":true},{\"kind\":\"buttons\",\"buttons\":"
      "[{\"label\":\"Yes\",\"id\":\"y\"}]},{\"kind\":\"location\",\"latitude\":40.5,\"longitude\":-3,\"name\":"
      "\"Sol\"},{\"kind\":\"contact\",\"data\":\"QkVHSU4=\"},{\"kind\":\"template\",\"name\":\"order\","
      "\"fields\":{\"1\":\"Ana\"}}],\"target\":\"m-9\"}}");
}
END_TEST

START_TEST(media_without_bytes_or_url_is_rejected)
{
  static const parley_part part = {.size = sizeof part, .kind = PARLEY_PART_MEDIA, .media = PARLEY_LIT("med_1")};
  static const parley_part *const parts[] = {&part};
  struct json_writer writer = {.at = NULL};
  parley_message msg = {.size = sizeof msg, .kind = PARLEY_KIND_CONTENT, .n_parts = 1, .parts = parts};

  ck_assert_int_eq(exec_send_write(&writer, 1, &msg), PARLEY_REJECTED);
  json_writer_done(&writer);
}
END_TEST

static const struct {
  parley_result result;
  const char *want;
} dones[] = {
    {{.status = PARLEY_OK, .value = PARLEY_LIT("msg_1")}, "\"status\":\"ok\",\"message\":\"msg_1\"}"},
    {{.status = PARLEY_OK, .value = PARLEY_LIT("msg_1"), .count = 1},
     "\"status\":\"ok\",\"message\":\"msg_1\",\"duplicate\":true}"},
    {{.status = PARLEY_BUSY, .retry_ms = 2500}, "\"status\":\"busy\",\"retry_after\":2.5}"},
    {{.status = PARLEY_CANCELLED}, "\"status\":\"busy\"}"},
    {{.status = PARLEY_INVALID, .reason = PARLEY_LIT("bad phone")}, "\"status\":\"invalid\",\"reason\":\"bad phone\"}"},
    {{.status = PARLEY_NOT_FOUND}, "\"status\":\"not_found\"}"},
    {{.status = PARLEY_FAILED}, "\"status\":\"failed\"}"},
    {{.status = PARLEY_REJECTED}, "\"status\":\"rejected\"}"},
    {{.status = -99}, "\"status\":\"rejected\"}"},
};
START_TEST(done_says_whether_to_come_again)
{
  struct json_writer writer = {.at = NULL};
  char want[200];

  snprintf(want, sizeof want, "{\"type\":\"done\",\"id\":\"own-1\",%s", dones[_i].want);
  exec_done_write(&writer, PARLEY_LIT("own-1"), &dones[_i].result);
  written(&writer, want);
}
END_TEST

/* --- In ----------------------------------------------------------------------------------------------------------- */

static void taken(const char *text, struct exec_line *line)
{
  struct json_faults faults = {.count = 0};

  ck_assert_msg(exec_line_read(parley_text_of(text), line, &faults), "%s: %s %s", text, faults.faults[0].pointer,
                faults.faults[0].detail);
}

START_TEST(a_settlement_says_what_became_of_a_token)
{
  struct exec_line line;

  taken("{\"type\":\"settle\",\"token\":\"17\",\"outcome\":\"throttled\",\"ids\":[\"a\",\"\",\"b\"],\"code\":\"429\","
        "\"detail\":\"slow down\",\"retry_after\":1.5,\"destination\":\"example.org\",\"new_member\":{\"x\":1}}",
        &line);
  ck_assert(line.type == EXEC_SETTLE && line.token == 17);
  ck_assert_uint_eq(line.outcome.result, PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(line.outcome.n_ids, 3);
  ck_assert(parley_text_is(line.outcome.ids[0], "a") && line.outcome.ids[1].len == 0 &&
            parley_text_is(line.outcome.ids[2], "b"));
  ck_assert_uint_eq(line.outcome.retry_ms, 1500);
  ck_assert(parley_text_is(line.outcome.code, "429") && parley_text_is(line.outcome.detail, "slow down") &&
            parley_text_is(line.outcome.destination, "example.org"));
  exec_line_done(&line);
  taken(
      "{\"type\":\"settle\",\"token\":\"18446744073709551615\",\"outcome\":\"accepted\",\"id\":\"one\",\"code\":\"\"}",
      &line);
  ck_assert(line.token == UINT64_MAX && line.outcome.n_ids == 1 && parley_text_is(line.outcome.ids[0], "one"));
  exec_line_done(&line);
}
END_TEST

START_TEST(a_receipt_names_a_message_by_either_id)
{
  struct exec_line line;

  taken(
      "{\"type\":\"receipt\",\"id\":\"r-1\",\"provider_id\":\"p-1\",\"status\":\"failed\",\"at\":\"2023-11-14T22:13:"
      "20Z\","
      "\"code\":\"404\",\"detail\":\"no such number\",\"outcome\":\"bad_address\",\"to\":{\"phone\":\"+34600111222\"}}",
      &line);
  ck_assert(line.type == EXEC_RECEIPT && parley_text_is(line.id, "r-1"));
  ck_assert(line.receipt.kind == PARLEY_RECEIPT_FAILED && line.receipt.outcome == PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert(line.receipt.at_ms == 1700000000000 && parley_text_is(line.receipt.provider_id, "p-1"));
  ck_assert(parley_text_is(line.receipt.to->value, "+34600111222"));
  exec_line_done(&line);
  taken("{\"type\":\"receipt\",\"message\":\"msg_1\",\"status\":\"read\",\"up_to\":true,\"id\":null}", &line);
  ck_assert(line.id.len == 0 && line.receipt.up_to == 1 && parley_text_is(line.receipt.message_id, "msg_1"));
  ck_assert(line.receipt.to == NULL && line.receipt.at_ms == 0);
  exec_line_done(&line);
}
END_TEST

START_TEST(a_message_comes_in_with_its_sender_and_parts)
{
  struct exec_line line;
  const parley_inbound *in = &line.inbound;

  taken("{\"type\":\"inbound\",\"id\":\"m-1\",\"event_id\":\"e-1\",\"from\":{\"phone\":\"+34600111222\",\"external\":"
        "\"77\","
        "\"name\":\"Ana\"},\"text\":\"Hello\",\"parts\":[{\"kind\":\"media\",\"data\":\"aGVsbG8=\",\"media_type\":"
        "\"text/plain\","
        "\"name\":\"a.txt\"},{\"kind\":\"media\",\"url\":\"https://a.example/x\",\"media_type\":\"image/png\"},"
        "{\"kind\":\"location\",\"latitude\":40.5,\"longitude\":-3}],\"reply_to\":\"p-9\",\"subject\":\"Order\","
        "\"at\":\"2023-11-14T22:13:20Z\",\"automatic\":true,\"references\":[\"p-8\",\"p-9\"]}",
        &line);
  ck_assert(in->kind == PARLEY_KIND_CONTENT && in->flags == PARLEY_AUTOMATIC && in->at_ms == 1700000000000);
  ck_assert(parley_text_is(line.id, "m-1") && parley_text_is(in->provider_id, "m-1") &&
            parley_text_is(in->event_id, "e-1"));
  ck_assert_uint_eq(in->n_from, 2);
  ck_assert(parley_text_is(in->from[0]->kind, "phone") && parley_text_is(in->from[0]->name, "Ana"));
  ck_assert_uint_eq(in->n_parts, 4);
  ck_assert(in->parts[0]->kind == PARLEY_PART_TEXT && parley_text_is(in->parts[0]->text, "Hello"));
  ck_assert(parley_text_is(in->parts[1]->data, "hello") && in->parts[1]->total_bytes == 5);
  ck_assert(parley_text_is(in->parts[2]->url, "https://a.example/x"));
  ck_assert_double_eq(in->parts[3]->latitude, 40.5);
  ck_assert(in->n_references == 2 && parley_text_is(in->reply_to, "p-9") && parley_text_is(in->subject, "Order"));
  exec_line_done(&line);
  taken("{\"type\":\"inbound\",\"kind\":\"postback\",\"id\":\"m-2\",\"from\":{\"telegram\":\"5\"},\"payload\":\"yes\","
        "\"fields\":{\"a\":\"1\"}}",
        &line);
  ck_assert(in->kind == PARLEY_KIND_POSTBACK && in->n_parts == 0 && parley_text_is(in->payload, "yes") &&
            in->n_fields == 1);
  exec_line_done(&line);
}
END_TEST

START_TEST(a_piece_of_a_text_says_which)
{
  struct exec_line line;
  const parley_inbound *in = &line.inbound;

  taken("{\"type\":\"inbound\",\"id\":\"m-1\",\"from\":{\"phone\":\"1\"},\"text\":\"x\",\"segment\":{\"index\":2,\"total\":3,"
        "\"key\":\"k7\",\"wait\":1.5}}", &line);
  ck_assert(in->segment != NULL && in->segment->index == 2 && in->segment->total == 3 && in->segment->wait_ms == 1500);
  ck_assert(parley_text_is(in->segment->key, "k7"));
  exec_line_done(&line);
  taken("{\"type\":\"inbound\",\"id\":\"m-1\",\"from\":{\"phone\":\"1\"},\"text\":\"x\",\"segment\":null}", &line);
  ck_assert_ptr_null(in->segment);
  exec_line_done(&line);
}
END_TEST

START_TEST(an_event_is_a_touchpoint)
{
  struct exec_line line;

  taken("{\"type\":\"event\",\"id\":\"e-1\",\"event\":\"call.ended\",\"stage\":\"after\",\"who\":{\"phone\":\"+"
        "34600111222\"},"
        "\"fields\":{\"seconds\":\"12\"},\"at\":\"2023-11-14T22:13:20Z\"}",
        &line);
  ck_assert(line.type == EXEC_EVENT && parley_text_is(line.id, "e-1") && parley_text_is(line.event.event_id, "e-1"));
  ck_assert(parley_text_is(line.event.type, "call.ended") && line.event.stage == PARLEY_STAGE_AFTER);
  ck_assert(line.event.n_fields == 1 && parley_text_is(line.event.fields[0].value, "12"));
  ck_assert(parley_text_is(line.event.who->value, "+34600111222"));
  exec_line_done(&line);
}
END_TEST

START_TEST(words_about_the_program_itself)
{
  struct exec_line line;

  taken(" {\"type\":\"ready\",\"name\":\"my channel\"}\r", &line);
  ck_assert(line.type == EXEC_READY);
  exec_line_done(&line);
  taken("{\"type\":\"health\",\"level\":\"degraded\",\"cause\":\"slow\",\"remedy\":\"wait\"}", &line);
  ck_assert(line.type == EXEC_HEALTH && line.level == PARLEY_DEGRADED && parley_text_is(line.text, "slow") &&
            parley_text_is(line.remedy, "wait"));
  exec_line_done(&line);
  taken("{\"type\":\"log\",\"line\":\"hello\"}", &line);
  ck_assert(line.type == EXEC_LOG && line.level == PARLEY_INFO && parley_text_is(line.text, "hello"));
  exec_line_done(&line);
  taken("{\"type\":\"window\",\"in_flight\":3}", &line);
  ck_assert(line.type == EXEC_WINDOW && line.in_flight == 3);
  exec_line_done(&line);
}
END_TEST

static const struct {
  const char *line, *pointer, *code;
  uint64_t token;
} bad[] = {
    {"", "", "bad_json", 0},
    {"hello", "", "bad_json", 0},
    {"{\"type\":\"ready\"} x", "", "bad_json", 0},
    {"{\"type\":\"ready\",\"type\":\"log\"}", "", "duplicate_key", 0},
    {"{\"type\":\"log\",\"line\":\"\xff\"}", "", "bad_encoding", 0},
    {"[]", "", "wrong_type", 0},
    {"{}", "/type", "required", 0},
    {"{\"type\":7}", "/type", "wrong_type", 0},
    {"{\"type\":\"reddy\"}", "/type", "bad_choice", 0},
    {"{\"type\":\"settle\",\"outcome\":\"accepted\"}", "/token", "required", 0},
    {"{\"type\":\"settle\",\"token\":17,\"outcome\":\"accepted\"}", "/token", "wrong_type", 0},
    {"{\"type\":\"settle\",\"token\":\"x\",\"outcome\":\"accepted\"}", "/token", "bad_token", 0},
    {"{\"type\":\"settle\",\"token\":\"017\",\"outcome\":\"accepted\"}", "/token", "bad_token", 0},
    {"{\"type\":\"settle\",\"token\":\"18446744073709551616\",\"outcome\":\"accepted\"}", "/token", "bad_token", 0},
    {"{\"type\":\"settle\",\"token\":\"17\"}", "/outcome", "required", 17},
    {"{\"type\":\"settle\",\"token\":\"17\",\"outcome\":\"sent\"}", "/outcome", "bad_choice", 17},
    {"{\"type\":\"settle\",\"token\":\"17\",\"outcome\":\"accepted\",\"ids\":\"a\"}", "/ids", "wrong_type", 17},
    {"{\"type\":\"settle\",\"token\":\"17\",\"outcome\":\"retry\",\"retry_after\":-1}", "/retry_after", "out_of_range",
     17},
    {"{\"type\":\"receipt\",\"status\":\"read\"}", "/provider_id", "required", 0},
    {"{\"type\":\"receipt\",\"message\":\"msg_1\",\"status\":\"lost\"}", "/status", "bad_choice", 0},
    {"{\"type\":\"receipt\",\"message\":\"msg_1\",\"status\":\"read\",\"at\":\"now\"}", "/at", "bad_time", 0},
    {"{\"type\":\"receipt\",\"message\":\"msg_1\",\"status\":\"read\",\"up_to\":\"x\"}", "/up_to", "wrong_type", 0},
    {"{\"type\":\"inbound\",\"from\":{\"phone\":\"1\"},\"text\":\"x\"}", "/id", "required", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"text\":\"x\"}", "/from", "required", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"text\":\"x\",\"segment\":{\"total\":2,\"key\":\"k\"}}",
     "/segment/index", "required", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"text\":\"x\",\"segment\":{\"index\":1,\"total\":2}}",
     "/segment/key", "required", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"name\":\"Ana\"},\"text\":\"x\"}", "/from", "required", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"Phone\":\"1\"},\"text\":\"x\"}", "/from", "bad_kind", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"text\":\"\"}", "/text", "required", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"parts\":[{\"kind\":\"poem\"}]}", "/parts/0/kind",
     "bad_choice", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"parts\":[{\"kind\":\"media\",\"media_type\":\"a/"
     "b\"}]}",
     "/parts/0", "invalid", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"parts\":[{\"kind\":\"media\",\"media_type\":\"a/"
     "b\","
     "\"data\":\"a\"}]}",
     "/parts/0/data", "bad_base64", 0},
    {"{\"type\":\"inbound\",\"id\":\"1\",\"from\":{\"phone\":\"1\"},\"text\":\"x\",\"fields\":{\"a\":1}}", "/fields",
     "wrong_type", 0},
    {"{\"type\":\"event\",\"event\":\"x\"}", "/who", "required", 0},
    {"{\"type\":\"health\",\"level\":\"fine\"}", "/level", "bad_choice", 0},
    {"{\"type\":\"window\"}", "/in_flight", "required", 0},
};
START_TEST(a_line_that_makes_no_sense_says_where)
{
  struct json_faults faults = {.count = 0};
  struct exec_line line;

  ck_assert_msg(!exec_line_read(parley_text_of(bad[_i].line), &line, &faults), "%s", bad[_i].line);
  ck_assert_uint_gt(faults.count, 0);
  ck_assert_str_eq(faults.faults[0].pointer, bad[_i].pointer);
  ck_assert_str_eq(faults.faults[0].code, bad[_i].code);
  ck_assert_uint_gt(strlen(faults.faults[0].detail), 0);
  ck_assert_uint_eq(line.token, bad[_i].token);
  exec_line_done(&line);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugins/exec: lines");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, bytes_are_cut_into_lines_in_whatever_pieces_they_come, 0, COUNT_OF(cuts));
  tcase_add_test(tcase, a_reader_that_wants_no_more_gets_no_more);
  tcase_add_loop_test(tcase, words_for_a_log_are_clean_text, 0, COUNT_OF(words));
  tcase_add_test(tcase, hello_says_who_speaks_and_what_was_configured);
  tcase_add_test(tcase, a_short_message_is_its_text);
  tcase_add_test(tcase, what_is_more_than_text_comes_as_parts_in_order);
  tcase_add_test(tcase, media_without_bytes_or_url_is_rejected);
  tcase_add_loop_test(tcase, done_says_whether_to_come_again, 0, COUNT_OF(dones));
  tcase_add_test(tcase, a_settlement_says_what_became_of_a_token);
  tcase_add_test(tcase, a_receipt_names_a_message_by_either_id);
  tcase_add_test(tcase, a_message_comes_in_with_its_sender_and_parts);
  tcase_add_test(tcase, a_piece_of_a_text_says_which);
  tcase_add_test(tcase, an_event_is_a_touchpoint);
  tcase_add_test(tcase, words_about_the_program_itself);
  tcase_add_loop_test(tcase, a_line_that_makes_no_sense_says_where, 0, COUNT_OF(bad));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
