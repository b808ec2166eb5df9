// sources: tests/support/stream_host.c tests/support/smtp_script.c
/* The email plugin: mails as chunks, the return path with its token, and what an operator is told of a provider's rules. */
#include "tests/support/smtp_script.h"
#include <check.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TOKEN "abcdefghijklmnopqrstuvwxyz012"
#define CHUNKS "250-mx\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 SIZE 50000000\r\n"

static struct smtp_script *script;
static struct stream_host *host;

static void begin(void)
{
  struct stream_peer peer;

  script = smtp_script_new();
  script->ehlo = CHUNKS;
  peer = smtp_script_peer(script);
  host = stream_host_new("email", &peer);
}

static void end(void)
{
  stream_host_free(&host);
  smtp_script_free(&script);
}

static const char *const plain[] = {"smtp", "smtp://127.0.0.1:2525", "from", "orders@shop.example", "sessions", "1", NULL};

static void start(const char *const *options)
{
  ck_assert_int_eq(stream_host_create(host, options), PARLEY_OK);
  ck_assert_int_eq(stream_host_start(host), PARLEY_OK);
}

struct message {
  parley_message message;
  parley_identity to;
  parley_part part;
  const parley_part *parts[1];
  char id[32];
};
static struct message messages[STREAM_HOST_TIMERS_MAX];

static void submit_text(uint64_t token, const char *address, parley_text text)
{
  struct message *room = &messages[token];

  *room = (struct message){.part = {.size = sizeof room->part, .kind = PARLEY_PART_TEXT, .text = text},
                           .to = {.size = sizeof room->to, .kind = PARLEY_LIT("email"), .value = parley_text_of(address)}};
  snprintf(room->id, sizeof room->id, "msg_%05llu", (unsigned long long)token);
  room->parts[0] = &room->part;
  room->message = (parley_message){.size = sizeof room->message, .kind = PARLEY_KIND_CONTENT, .attempt = 1, .n_parts = 1,
                                   .accepted_ms = INT64_C(1700000000123), .id = parley_text_of(room->id),
                                   .subject = PARLEY_LIT("Order 1042"), .to = &room->to, .parts = room->parts,
                                   .token = PARLEY_LIT(TOKEN)};
  ck_assert_int_eq(stream_host_submit(host, token, &room->message), PARLEY_OK);
}

static void submit(uint64_t token)
{
  submit_text(token, "ana@example.org", PARLEY_LIT("Thank you.\n.\n..two\nAna"));
}

static uint32_t result(uint64_t token)
{
  ck_assert_uint_eq(host->settled[token].times, 1);
  return host->settled[token].result;
}

/* --- Chunks ------------------------------------------------------------------------------------------------------------- */
START_TEST(a_mail_is_one_chunk_and_comes_as_by_data)
{
  char by_chunk[4096];

  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(smtp_script_count(script, "BDAT"), 1);
  ck_assert_uint_eq(smtp_script_count(script, "DATA"), 0);
  ck_assert_uint_lt(script->mails[0].len, sizeof by_chunk);
  memcpy(by_chunk, script->mails[0].at, script->mails[0].len + 1);
  end();
  begin();
  script->ehlo = NULL;
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(smtp_script_count(script, "DATA"), 1);
  ck_assert_str_eq(script->mails[0].at, by_chunk);
  ck_assert_ptr_nonnull(strstr(by_chunk, "\r\n.\r\n..two\r\nAna"));
}
END_TEST

START_TEST(who_wants_no_chunks_gets_none)
{
  static const char *const options[] = {"smtp", "smtp://127.0.0.1:2525", "from", "orders@shop.example", "chunking", "false", NULL};

  start(options);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(smtp_script_count(script, "BDAT"), 0);
}
END_TEST

static const char *const bodies[] = {"", ".", "\r\n.\r\nMAIL FROM:<x>\r\n", "a\n.\nb\r.\rc\n.\r\nd\r\n.\ne", "no end", "end\n"};

START_TEST(whatever_stands_in_it_the_chunk_ends_where_its_head_says)
{
  start(plain);
  submit_text(1, "ana@example.org", parley_text_of(bodies[_i]));
  submit(2);
  submit(3);
  stream_host_run(host);
  for (uint64_t token = 2; token <= 3; token++)
    ck_assert_uint_eq(result(token), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(smtp_script_count(script, "MAIL"), script->n_mails);
  ck_assert_uint_eq(script->n_conns, 1);
}
END_TEST

static parley_text large_text(void)
{
  static char text[900000];

  for (size_t i = 0; i < sizeof text; i++)
    text[i] = i % 60 == 59 ? '\n' : i % 60 == 0 && i % 7 == 0 ? '.' : 'x';
  return (parley_text){text, sizeof text};
}

START_TEST(a_large_chunk_goes_in_pieces_and_comes_whole)
{
  start(plain);
  submit_text(1, "ana@example.org", large_text());
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_gt(script->mails[0].len, 900000 + 15000);
}
END_TEST

START_TEST(a_refused_recipient_costs_no_mail)
{
  script->refuse_rcpt_first = 2;
  start(plain);
  for (uint64_t token = 1; token <= 3; token++)
    submit(token);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert_uint_eq(result(3), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(smtp_script_count(script, "BDAT"), 1);
  ck_assert_uint_eq(smtp_script_count(script, "RSET"), 2);
  ck_assert_uint_eq(script->n_conns, 1);
}
END_TEST

static const struct {
  const char *dot, *early;
  uint32_t result, conns; /* conns: connections that a second mail made necessary */
} ends[] = {
    {"554 5.6.0 no\r\n", NULL, PARLEY_OUTCOME_REJECTED, 1},         /* RSET, and the connection goes on */
    {"451 4.3.0 later\r\n", NULL, PARLEY_OUTCOME_RETRY, 1},
    {"!", NULL, PARLEY_OUTCOME_UNKNOWN, 2},                         /* lost behind the last byte */
    {"250 queued\r\n250 queued\r\n", NULL, PARLEY_OUTCOME_ACCEPTED, 2}, /* and not believed any further */
    {"354 go on\r\n", NULL, PARLEY_OUTCOME_UNKNOWN, 2},
    {NULL, "!", PARLEY_OUTCOME_RETRY, 2},                           /* lost before it */
    {NULL, "552 5.3.4 too much\r\n!", PARLEY_OUTCOME_REJECTED, 2},
    {NULL, "250 queued\r\n", PARLEY_OUTCOME_RETRY, 2},              /* nobody had the whole of it yet */
};

START_TEST(the_last_byte_of_the_chunk_is_the_dot)
{
  script->dot = ends[_i].dot;
  script->early = ends[_i].early;
  start(plain);
  submit_text(1, "ana@example.org", large_text());
  stream_host_run(host);
  ck_assert_uint_eq(result(1), ends[_i].result);
  script->dot = script->early = NULL;
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(result(2), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(script->n_conns, ends[_i].conns);
  ck_assert_uint_eq(smtp_script_count(script, "RSET"), ends[_i].conns == 1); /* RFC 3030: behind a chunk that failed */
}
END_TEST

START_TEST(a_connection_that_was_gone_costs_nothing)
{
  script->dot = "250 2.0.0 queued\r\n!";
  start(plain);
  for (uint64_t token = 1; token <= 4; token++)
    submit(token);
  stream_host_run(host);
  for (uint64_t token = 1; token <= 4; token++)
    ck_assert_uint_eq(result(token), PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(an_answer_to_a_chunk_that_was_not_sent_proves_nothing)
{
  script->rcpt = "250 ok\r\n250 queued\r\n";
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_RETRY);
  ck_assert_uint_eq(script->n_mails, 0);
}
END_TEST

/* --- The return path ---------------------------------------------------------------------------------------------------- */
static const struct {
  const char *path, *to, *want;
} paths[] = {
    {NULL, "ana@example.org", "MAIL FROM:<orders@shop.example> SIZE="},
    {"bounce@in.shop.example", "ana@example.org", "MAIL FROM:<bounce+" TOKEN "@in.shop.example> SIZE="},
    {"b@B\303\234CHER.example", "ana@example.org", "MAIL FROM:<b+" TOKEN "@xn--bcher-kva.example> SIZE="},
    {"a234567890123456789012345678901234@in.shop.example", "ana@example.org",
     "MAIL FROM:<a234567890123456789012345678901234+" TOKEN "@in.shop.example>"},
    {"r\303\274ck@in.shop.example", "ana@example.org", "MAIL FROM:<r\303\274ck+" TOKEN "@in.shop.example> SIZE="},
};

START_TEST(a_bounce_comes_back_with_its_messages_token)
{
  const char *const options[] = {"smtp", "smtp://127.0.0.1:2525", "from", "orders@shop.example",
                                 paths[_i].path != NULL ? "return_path" : NULL, paths[_i].path, NULL};
  const char *line;

  start(options);
  submit_text(1, paths[_i].to, PARLEY_LIT("hello"));
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_msg(smtp_script_count(script, paths[_i].want) == 1, "%s", script->log);
  line = strstr(script->log, "MAIL ");
  ck_assert_int_eq(strstr(line, " SMTPUTF8") != NULL, paths[_i].path != NULL && strchr(paths[_i].path, '@')[-1] == 'k');
  ck_assert_ptr_nonnull(strstr(script->mails[0].at, "From: orders@shop.example"));
}
END_TEST

START_TEST(a_host_without_tokens_gets_the_plain_address)
{
  static const char *const options[] = {"smtp", "smtp://127.0.0.1:2525", "from", "orders@shop.example", "return_path", "b@in.example",
                                        NULL};

  start(options);
  submit(1);
  messages[1].message.token = PARLEY_LIT("");
  stream_host_run(host);
  ck_assert_uint_eq(smtp_script_count(script, "MAIL FROM:<b@in.example>"), 1);
}
END_TEST

/* --- Rules for bulk senders --------------------------------------------------------------------------------------------- */
START_TEST(a_providers_fault_with_the_sender_is_shown_and_forgotten_after_an_hour)
{
  script->dot = "550 5.7.515 Access denied, sending domain shop.example does not meet the required authentication level\r\n";
  start(plain);
  submit(1);
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(result(1), PARLEY_OUTCOME_REJECTED);
  ck_assert_uint_eq(host->health, PARLEY_DEGRADED);
  ck_assert_uint_eq(host->n_health, 1);
  ck_assert_ptr_nonnull(strstr(host->cause, "example.org: 550 Access denied"));
  ck_assert_ptr_nonnull(strstr(host->remedy, "DMARC"));
  script->dot = NULL;
  submit(3);
  stream_host_step(host, 1800000);
  ck_assert_uint_eq(result(3), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(host->health, PARLEY_DEGRADED);
  stream_host_step(host, 1900000);
  ck_assert_uint_eq(host->health, PARLEY_UP);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugin: email, sending");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, a_mail_is_one_chunk_and_comes_as_by_data);
  tcase_add_test(tcase, who_wants_no_chunks_gets_none);
  tcase_add_loop_test(tcase, whatever_stands_in_it_the_chunk_ends_where_its_head_says, 0, COUNT(bodies));
  tcase_add_test(tcase, a_large_chunk_goes_in_pieces_and_comes_whole);
  tcase_add_test(tcase, a_refused_recipient_costs_no_mail);
  tcase_add_loop_test(tcase, the_last_byte_of_the_chunk_is_the_dot, 0, COUNT(ends));
  tcase_add_test(tcase, a_connection_that_was_gone_costs_nothing);
  tcase_add_test(tcase, an_answer_to_a_chunk_that_was_not_sent_proves_nothing);
  tcase_add_loop_test(tcase, a_bounce_comes_back_with_its_messages_token, 0, COUNT(paths));
  tcase_add_test(tcase, a_host_without_tokens_gets_the_plain_address);
  tcase_add_test(tcase, a_providers_fault_with_the_sender_is_shown_and_forgotten_after_an_hour);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_set_fork_status(runner, CK_NOFORK);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
