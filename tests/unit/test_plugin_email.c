// sources: tests/support/stream_host.c tests/support/smtp_script.c
#include "tests/support/smtp_script.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { MINUTE = 60000 };

static struct smtp_script *script;
static struct stream_host *host;

static void begin(void)
{
  struct stream_peer peer;

  script = smtp_script_new();
  peer = smtp_script_peer(script);
  host = stream_host_new("email", &peer);
}

static void end(void)
{
  stream_host_free(&host);
  smtp_script_free(&script);
}

static void start(const char *const *pairs)
{
  ck_assert_int_eq(stream_host_create(host, pairs), PARLEY_OK);
  ck_assert_int_eq(stream_host_start(host), PARLEY_OK);
}

static const char *const plain[] = {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", NULL};
static const char *const one_session[] = {
    "smtp", "smtp://127.0.0.1:2525", "from", "orders@shop.example", "sessions", "1", NULL};

/* A message of one text part; texts are borrowed. */
struct message {
  parley_message message;
  parley_identity to;
  parley_part part;
  const parley_part *parts[1];
  char id[32];
};

static const parley_message *message_fill(struct message *room, uint64_t number, const char *address, parley_text text)
{
  *room =
      (struct message){.part = {.size = sizeof room->part, .kind = PARLEY_PART_TEXT, .text = text},
                       .to = {.size = sizeof room->to, .kind = PARLEY_LIT("email"), .value = parley_text_of(address)}};
  snprintf(room->id, sizeof room->id, "msg_%05llu", (unsigned long long)number);
  room->parts[0] = &room->part;
  room->message = (parley_message){.size = sizeof room->message,
                                   .kind = PARLEY_KIND_CONTENT,
                                   .attempt = 1,
                                   .n_parts = 1,
                                   .accepted_ms = INT64_C(1700000000123),
                                   .id = parley_text_of(room->id),
                                   .subject = PARLEY_LIT("Order 1042"),
                                   .to = &room->to,
                                   .parts = room->parts};
  return &room->message;
}

static struct message messages[STREAM_HOST_TOKENS_MAX];

static parley_status submit(uint64_t token)
{
  return stream_host_submit(host, token,
                            message_fill(&messages[token], token, "ana@Example.org", PARLEY_LIT("Thank you, Ana.")));
}

static const struct stream_settled *settled(uint64_t token)
{
  ck_assert_msg(host->settled[token].times == 1, "token %llu is not settled", (unsigned long long)token);
  return &host->settled[token];
}

/* --- The main job ------------------------------------------------------------------------------------------------- */
START_TEST(a_mail_leaves_and_is_accepted)
{
  start(plain);
  ck_assert_int_eq(submit(1), PARLEY_OK);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_str_eq(settled(1)->id, "msg_00001@shop.example");
  ck_assert_str_eq(settled(1)->code, "250 2.0.0");
  ck_assert_uint_eq(script->n_mails, 1);
  ck_assert_ptr_nonnull(strstr(script->mails[0].at, "Subject: Order 1042\r\n"));
  ck_assert_ptr_nonnull(strstr(script->mails[0].at, "From: Shop <orders@shop.example>\r\n"));
  ck_assert_ptr_nonnull(strstr(script->mails[0].at, "\r\n\r\nThank you, Ana.\r\n"));
  ck_assert_ptr_nonnull(strstr(script->log, "MAIL FROM:<orders@shop.example> SIZE="));
  ck_assert_ptr_nonnull(strstr(script->log, "RCPT TO:<ana@example.org>\nDATA\n"));
  ck_assert_str_eq(host->conns[0]->address, "127.0.0.1:2525");
}
END_TEST

START_TEST(many_mails_share_few_connections)
{
  static const char *const five[] = {"smtp", "smtp://127.0.0.1:2525", "from", "a@b.example", "sessions", "5", NULL};

  start(five);
  ck_assert_uint_eq(host->plugin->capable(host->channel)->in_flight, 20);
  ck_assert_uint_eq(host->window, 20);
  for (uint64_t token = 1; token <= 200; token++) {
    parley_status st = submit(token);

    if (st == PARLEY_BUSY) {
      stream_host_run(host);
      st = submit(token);
    }
    ck_assert_int_eq(st, PARLEY_OK);
  }
  stream_host_run(host);
  for (uint64_t token = 1; token <= 200; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(script->n_mails, 200);
  ck_assert_uint_eq(host->n_open_max, 5);
  ck_assert_uint_eq(script->n_conns, 5);
}
END_TEST

START_TEST(more_than_the_window_is_not_taken)
{
  start(one_session);
  for (uint64_t token = 1; token <= 4; token++)
    ck_assert_int_eq(submit(token), PARLEY_OK);
  ck_assert_int_eq(submit(5), PARLEY_BUSY);
  stream_host_run(host);
  ck_assert_int_eq(submit(5), PARLEY_OK);
}
END_TEST

START_TEST(an_idle_connection_takes_its_leave)
{
  start(plain);
  submit(1);
  stream_host_step(host, 29000);
  ck_assert_uint_eq(stream_host_open_count(host), 1);
  submit(2);
  stream_host_step(host, 29000);
  ck_assert_uint_eq(stream_host_open_count(host), 1); /* it had something to do meanwhile */
  stream_host_step(host, 5000);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
  ck_assert_uint_eq(smtp_script_count(script, "QUIT"), 1);
  submit(3);
  stream_host_run(host);
  ck_assert_uint_eq(settled(3)->result, PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(byte_by_byte_it_is_the_same)
{
  host->piece = 1;
  start(plain);
  submit(1);
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(an_old_server_is_spoken_to_slowly)
{
  script->ehlo = "500 5.5.1 what is EHLO\r\n";
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_ptr_nonnull(strstr(script->log, "HELO "));
  ck_assert_ptr_nonnull(strstr(script->log, "MAIL FROM:<orders@shop.example>\n")); /* no SIZE: not offered */
}
END_TEST

/* --- Refusals ----------------------------------------------------------------------------------------------------- */
#define SAYS(member) offsetof(struct smtp_script, member)
static const struct {
  size_t where;
  const char *says;
  uint32_t result;
  const char *code, *destination;
} refusals[] = {
    {SAYS(greeting), "421 4.3.2 busy\r\n!", PARLEY_OUTCOME_THROTTLED, "", ""},
    {SAYS(greeting), "554 5.7.1 go away\r\n!", PARLEY_OUTCOME_CHANNEL_DOWN, "", ""},
    {SAYS(greeting), "!", PARLEY_OUTCOME_THROTTLED, "", ""},
    {SAYS(greeting), "HTTP/1.1 400 Bad Request\r\n", PARLEY_OUTCOME_THROTTLED, "", ""},
    {SAYS(ehlo), "421 4.3.2 busy\r\n!", PARLEY_OUTCOME_THROTTLED, "", ""},
    {SAYS(mail), "451 4.3.0 later\r\n", PARLEY_OUTCOME_RETRY, "451 4.3.0", ""},
    {SAYS(mail), "530 5.7.0 log in first\r\n", PARLEY_OUTCOME_CHANNEL_DOWN, "530 5.7.0", ""},
    {SAYS(mail), "550 5.1.8 bad sender\r\n", PARLEY_OUTCOME_CHANNEL_DOWN, "550 5.1.8", ""},
    {SAYS(mail), "552 5.3.4 too big\r\n", PARLEY_OUTCOME_REJECTED, "552 5.3.4", ""},
    {SAYS(rcpt), "550 5.1.1 nobody\r\n", PARLEY_OUTCOME_BAD_ADDRESS, "550 5.1.1", "example.org"},
    {SAYS(rcpt), "550-5.1.1 nobody\r\n550 5.1.1 here\r\n", PARLEY_OUTCOME_BAD_ADDRESS, "550 5.1.1", "example.org"},
    {SAYS(rcpt), "550 no\r\n", PARLEY_OUTCOME_REJECTED, "550", "example.org"},
    {SAYS(rcpt), "450 4.7.1 greylisted\r\n", PARLEY_OUTCOME_THROTTLED, "450 4.7.1", "example.org"},
    {SAYS(rcpt), "450 4.2.0 later\r\n", PARLEY_OUTCOME_RETRY, "450 4.2.0", "example.org"},
    {SAYS(rcpt), "421 4.7.0 too fast\r\n!", PARLEY_OUTCOME_THROTTLED, "421 4.7.0", "example.org"},
    {SAYS(rcpt), "552 5.2.2 full\r\n", PARLEY_OUTCOME_RETRY, "552 5.2.2", "example.org"},
    {SAYS(rcpt), "!", PARLEY_OUTCOME_RETRY, "", ""},
    {SAYS(data), "451 4.3.0 later\r\n", PARLEY_OUTCOME_RETRY, "451 4.3.0", "example.org"},
    {SAYS(data), "554 5.7.1 no\r\n", PARLEY_OUTCOME_REJECTED, "554 5.7.1", "example.org"},
    {SAYS(data), "250 what\r\n", PARLEY_OUTCOME_RETRY, "250", "example.org"},
    {SAYS(data), "354 go on\r\n!", PARLEY_OUTCOME_UNKNOWN, "", ""}, /* the whole mail may be in the server's hands */
    {SAYS(dot), "451 4.3.0 later\r\n", PARLEY_OUTCOME_RETRY, "451 4.3.0", "example.org"},
    {SAYS(dot), "452 4.3.1 disk full\r\n", PARLEY_OUTCOME_RETRY, "452 4.3.1", "example.org"},
    {SAYS(dot), "421 4.3.0 bye\r\n!", PARLEY_OUTCOME_THROTTLED, "421 4.3.0", "example.org"},
    {SAYS(dot), "554 5.7.1 spam\r\n", PARLEY_OUTCOME_REJECTED, "554 5.7.1", "example.org"},
    {SAYS(dot), "550 5.1.1 nobody\r\n", PARLEY_OUTCOME_BAD_ADDRESS, "550 5.1.1", "example.org"},
    {SAYS(dot), "354 again\r\n", PARLEY_OUTCOME_UNKNOWN, "354", "example.org"},
    {SAYS(dot), "!", PARLEY_OUTCOME_UNKNOWN, "", ""},
    {SAYS(dot), "hello\r\n", PARLEY_OUTCOME_UNKNOWN, "", ""},
};

static void script_say(size_t where, const char *says)
{
  memcpy((char *)script + where, &says, sizeof says);
}

START_TEST(each_refusal_is_settled_as_what_it_means)
{
  script_say(refusals[_i].where, refusals[_i].says);
  if (_i % 2 == 1) /* half of them without PIPELINING, and both over time */
    script->ehlo = script->ehlo != NULL ? script->ehlo : "250 mx\r\n";
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, refusals[_i].result);
  ck_assert_str_eq(settled(1)->code, refusals[_i].code);
  ck_assert_str_eq(settled(1)->destination, refusals[_i].destination);
  ck_assert_int_eq(settled(1)->retry_ms > 0, settled(1)->result == PARLEY_OUTCOME_THROTTLED);
  ck_assert_int_eq(host->health == PARLEY_DOWN, settled(1)->result == PARLEY_OUTCOME_CHANNEL_DOWN);
}
END_TEST

START_TEST(a_refusal_means_the_same_with_pipelining_and_without)
{
  script_say(refusals[_i].where, refusals[_i].says);
  if (_i % 2 == 0)
    script->ehlo = script->ehlo != NULL ? script->ehlo : "250 mx\r\n";
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, refusals[_i].result);
}
END_TEST

START_TEST(after_a_refusal_the_connection_goes_on)
{
  script->refuse_rcpt_first = 20;
  start(one_session);
  for (uint64_t token = 1; token <= 24; token++) {
    if (submit(token) != PARLEY_OK) {
      stream_host_run(host);
      ck_assert_int_eq(submit(token), PARLEY_OK);
    }
  }
  stream_host_run(host);
  ck_assert_uint_eq(settled(20)->result, PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert_uint_eq(settled(21)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(script->n_mails, 4);
  ck_assert_uint_eq(script->n_conns, 1);
  ck_assert_uint_eq(smtp_script_count(script, "RSET"), 20);
}
END_TEST

START_TEST(a_mail_for_nobody_that_is_wanted_all_the_same_is_empty)
{
  script->refuse_rcpt_first = 1;
  script->data = "354 go on\r\n"; /* RFC 2920 3.1: though it refused the recipient */
  start(one_session);
  submit(1);
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(script->n_mails, 2);
  ck_assert_uint_eq(script->mails[0].len, 0);
  ck_assert_uint_eq(script->n_conns, 1);
}
END_TEST

START_TEST(a_connection_that_was_gone_costs_nothing)
{
  script->dot = "250 2.0.0 queued\r\n!"; /* takes one mail and hangs up without a word */
  start(one_session);
  for (uint64_t token = 1; token <= 4; token++)
    submit(token);
  stream_host_run(host);
  for (uint64_t token = 1; token <= 4; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(script->n_mails, 4);
  ck_assert_uint_eq(script->n_conns, 4);
}
END_TEST

/* --- A server out of its mind ------------------------------------------------------------------------------------- */
static const struct {
  size_t where;
  const char *says;
  uint32_t result, n_mails;
} nonsense[] = {
    /* all answers at once, before a single command */
    {SAYS(greeting), "220 mx\r\n250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", PARLEY_OUTCOME_THROTTLED, 0},
    {SAYS(ehlo), "250-mx\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", PARLEY_OUTCOME_THROTTLED,
     0},
    {SAYS(rcpt), "250 ok\r\n354 go\r\n250 queued\r\n", PARLEY_OUTCOME_RETRY, 0},
    {SAYS(data), "354 go\r\n354 go\r\n", PARLEY_OUTCOME_RETRY, 0},
    {SAYS(data), "354 go\r\n250 queued\r\n", PARLEY_OUTCOME_RETRY, 0},
    {SAYS(data), "354 go\r\n2", PARLEY_OUTCOME_RETRY, 0},
    {SAYS(dot), "250 queued\r\n250 queued\r\n", PARLEY_OUTCOME_ACCEPTED, 1},
    {SAYS(dot), "250 queued\r\n421 bye\r\n!", PARLEY_OUTCOME_ACCEPTED, 1},
    {SAYS(dot), "554 5.7.1 no\r\n250 queued\r\n", PARLEY_OUTCOME_REJECTED, 1},
    {SAYS(mail), "250-ok\r\n251 ok\r\n", PARLEY_OUTCOME_RETRY, 0},
};

START_TEST(a_reply_before_its_command_proves_nothing)
{
  script_say(nonsense[_i].where, nonsense[_i].says);
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, nonsense[_i].result);
  ck_assert_uint_eq(script->n_mails, nonsense[_i].n_mails);
  ck_assert_uint_eq(stream_host_open_count(host), 0); /* such a connection is left */
}
END_TEST

START_TEST(an_endless_reply_is_cut_off)
{
  static char lines[100000 * 8 + 1];

  for (size_t i = 0; i < 100000; i++)
    memcpy(lines + i * 8, "220-no\r\n", 8);
  script->greeting = lines;
  start(plain);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_THROTTLED);
}
END_TEST

static const struct {
  size_t where;
  uint32_t wait_ms, result;
} silences[] = {
    {SAYS(greeting), 5 * MINUTE, PARLEY_OUTCOME_THROTTLED}, {SAYS(mail), 5 * MINUTE, PARLEY_OUTCOME_RETRY},
    {SAYS(data), 2 * MINUTE, PARLEY_OUTCOME_RETRY},         {SAYS(dot), 10 * MINUTE, PARLEY_OUTCOME_UNKNOWN},
};

START_TEST(silence_is_borne_as_long_as_the_rfc_asks)
{
  script_say(silences[_i].where, "");
  script->ehlo = "250 mx\r\n"; /* one command at a time */
  start(plain);
  submit(1);
  if (silences[_i].where != SAYS(greeting)) { /* there the message itself goes back sooner */
    stream_host_step(host, silences[_i].wait_ms - 2000);
    ck_assert_uint_eq(host->n_settled, 0);
  }
  stream_host_step(host, silences[_i].where == SAYS(greeting) ? silences[_i].wait_ms + 4000 : 4000);
  ck_assert_uint_eq(settled(1)->result, silences[_i].result);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
}
END_TEST

START_TEST(a_shorter_timeout_is_kept)
{
  static const char *const quick[] = {"smtp", "smtp://127.0.0.1:2525", "from", "a@b.example", "timeout", "5s", NULL};

  script->dot = "";
  start(quick);
  submit(1);
  stream_host_step(host, 7000);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(no_message_waits_for_ever_behind_a_slow_one)
{
  script->dot = "";
  start(one_session);
  submit(1);
  submit(2);
  stream_host_step(host, MINUTE + 2000);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(host->settled[1].times, 0);
}
END_TEST

/* --- TLS and login ------------------------------------------------------------------------------------------------ */
static const char offers_tls[] = "250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
static const char *const far[] = {"smtp", "smtp://mx.example:587", "from", "a@b.example", NULL};
static const char *const far_user[] = {"smtp", "smtp://mx.example", "from",   "a@b.example", "user",
                                       "tim",  "password",          "secret", NULL};
static const char *const far_maybe[] = {"smtp", "smtp://mx.example:25", "from", "a@b.example",
                                        "tls",  "opportunistic",        NULL};
static const char *const maybe_user[] = {"smtp", "smtp://mx.example", "from", "a@b.example", "tls", "opportunistic",
                                         "user", "tim", "password", "secret", NULL};
static const char *const near_user[] = {"smtp", "smtp://[::1]:2525", "from",   "a@b.example", "user",
                                        "tim",  "password",          "secret", NULL};
static const char *const near_tls[] = {"smtp", "smtp://localhost:2525", "from", "a@b.example", "tls", "required", NULL};
static const char *const wrapped[] = {"smtp", "smtps://mx.example", "from",   "a@b.example", "user",
                                      "tim",  "password",           "secret", NULL};

static const struct {
  const char *const *options;
  const char *ehlo, *starttls, *ehlo_secured, *auth;
  bool handshake_fails;
  uint32_t result;
  bool secured, auth_sent, mail_sent;
} logins[] = {
    {far, offers_tls, NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, true, false, true},
    {far, NULL, NULL, NULL, NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, false, false, false}, /* STARTTLS stripped */
    {far, offers_tls, "454 4.7.0 not now\r\n", NULL, NULL, false, PARLEY_OUTCOME_THROTTLED, false, false, false},
    {far, offers_tls, "502 5.5.1 no\r\n", NULL, NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, false, false, false},
    {far, offers_tls, "220 go\r\n250 injected\r\n", NULL, NULL, false, PARLEY_OUTCOME_THROTTLED, false, false, false},
    {far, offers_tls, NULL, NULL, NULL, true, PARLEY_OUTCOME_THROTTLED, false, false, false},
    {far, "500 what\r\n", NULL, NULL, NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, false, false, false},
    {far_user, offers_tls, NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, true, true, true},
    {far_user, offers_tls, NULL, "250-mx\r\n250 AUTH LOGIN\r\n", NULL, false, PARLEY_OUTCOME_ACCEPTED, true, true,
     true},
    {far_user, offers_tls, NULL, "250-mx\r\n250 AUTH GSSAPI\r\n", NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, true, false,
     false},
    {far_user, offers_tls, NULL, NULL, "535 5.7.8 wrong\r\n", false, PARLEY_OUTCOME_CHANNEL_DOWN, true, true, false},
    {far_user, offers_tls, NULL, NULL, "454 4.7.0 later\r\n", false, PARLEY_OUTCOME_THROTTLED, true, true, false},
    {far_user, offers_tls, NULL, NULL, "334 \r\n", false, PARLEY_OUTCOME_THROTTLED, true, true, false},
    {far_user, "250-mx\r\n250 AUTH PLAIN\r\n", NULL, NULL, NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, false, false,
     false},
    {far_maybe, offers_tls, NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, true, false, true},
    {far_maybe, NULL, NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, false, false, true},
    {far_maybe, offers_tls, "454 4.7.0 not now\r\n", NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, false, false, true},
    {maybe_user, "250-mx\r\n250 AUTH PLAIN\r\n", NULL, NULL, NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, false, false,
     false},
    {near_user, "250-mx\r\n250 AUTH PLAIN\r\n", NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, false, true, true},
    {near_tls, NULL, NULL, NULL, NULL, false, PARLEY_OUTCOME_CHANNEL_DOWN, false, false, false},
    {plain, offers_tls, NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, false, false, true}, /* loopback: off */
    {wrapped, NULL, NULL, NULL, NULL, false, PARLEY_OUTCOME_ACCEPTED, true, true, true},
};

START_TEST(secrets_and_mail_go_only_where_they_may)
{
  const bool checked = logins[_i].options != far_maybe && logins[_i].options != maybe_user;

  script->ehlo = logins[_i].ehlo;
  script->starttls = logins[_i].starttls;
  script->ehlo_secured = logins[_i].ehlo_secured;
  script->auth = logins[_i].auth;
  host->no_tls = logins[_i].handshake_fails;
  start(logins[_i].options);
  submit(1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, logins[_i].result);
  ck_assert_int_eq(host->conns[0]->secured, logins[_i].secured);
  ck_assert_int_eq(smtp_script_count(script, "AUTH") > 0, logins[_i].auth_sent);
  ck_assert_int_eq(smtp_script_count(script, "MAIL") > 0, logins[_i].mail_sent);
  if (host->conns[0]->secured)
    ck_assert_int_eq(host->conns[0]->tls_flags == 0, checked);
}
END_TEST

/* --- Down and up again -------------------------------------------------------------------------------------------- */
START_TEST(a_wrong_password_stops_the_channel_until_it_is_right)
{
  script->ehlo = "250-mx\r\n250 AUTH PLAIN\r\n";
  script->auth = "535 5.7.8 wrong\r\n";
  start(near_user);
  submit(1);
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert_uint_eq(host->health, PARLEY_DOWN);
  ck_assert_str_eq(host->cause, "wrong");
  ck_assert_ptr_nonnull(strstr(host->remedy, "password"));
  ck_assert_ptr_null(strstr(host->cause, "secret"));
  stream_host_step(host, 10000); /* it knocks, with growing gaps, and says so once */
  ck_assert_uint_ge(script->n_conns, 3);
  ck_assert_uint_le(script->n_conns, 6);
  ck_assert_uint_eq(host->n_health, 1);
  script->auth = NULL;
  stream_host_step(host, 2 * MINUTE);
  ck_assert_uint_eq(host->health, PARLEY_UP);
  submit(3);
  stream_host_run(host);
  ck_assert_uint_eq(settled(3)->result, PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(a_refused_sender_stops_the_channel_and_does_not_flap)
{
  script->mail = "550 5.1.8 sender unknown\r\n";
  start(one_session);
  for (uint64_t token = 1; token <= 4; token++)
    submit(token);
  stream_host_run(host);
  for (uint64_t token = 1; token <= 4; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert_uint_eq(host->health, PARLEY_DOWN);
  ck_assert_uint_eq(host->n_health, 1);
  ck_assert_uint_eq(smtp_script_count(script, "MAIL"), 1);
  stream_host_step(host, 3000);
  ck_assert_uint_eq(host->health, PARLEY_UP); /* the login works; whether mail does, only mail can tell */
}
END_TEST

START_TEST(a_server_that_is_away_is_waited_for)
{
  uint64_t token = 1;

  host->refuse = true;
  start(plain);
  for (; host->health != PARLEY_DOWN && token < 100; token++) {
    submit(token);
    stream_host_run(host);
    ck_assert_uint_eq(settled(token)->result,
                      host->health == PARLEY_DOWN ? PARLEY_OUTCOME_CHANNEL_DOWN : PARLEY_OUTCOME_THROTTLED);
    stream_host_step(host, settled(token)->retry_ms);
  }
  ck_assert_uint_eq(token, 6);
  ck_assert_str_eq(host->cause, "connection refused");
  host->refuse = false;
  stream_host_step(host, MINUTE);
  ck_assert_uint_eq(host->health, PARLEY_UP);
  submit(token);
  stream_host_run(host);
  ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(many_connections_refused_at_once_are_one_failure)
{
  host->refuse = true;
  start(plain);
  for (uint64_t token = 1; token <= 40; token++)
    submit(token);
  stream_host_run(host);
  for (uint64_t token = 1; token <= 40; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(host->n_health, 0);
}
END_TEST

START_TEST(a_server_that_takes_few_connections_gets_few)
{
  start(plain);
  submit(1);
  stream_host_run(host); /* one connection stands */
  script->greeting = "421 4.7.0 too many connections\r\n!";
  for (uint64_t token = 2; token <= 60; token++)
    ck_assert_int_eq(submit(token), PARLEY_OK);
  stream_host_run(host);
  for (uint64_t token = 2; token <= 60; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(host->n_health, 0);
}
END_TEST

START_TEST(a_probe_logs_in_and_sends_nothing)
{
  start(near_user);
  script->ehlo = "250-mx\r\n250 AUTH PLAIN\r\n";
  stream_host_probe(host, 1);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(smtp_script_count(script, "AUTH"), 1);
  ck_assert_uint_eq(smtp_script_count(script, "MAIL"), 0);
  ck_assert_uint_eq(smtp_script_count(script, "QUIT"), 1);
  script->auth = "535 5.7.8 wrong\r\n";
  stream_host_probe(host, 2);
  stream_host_run(host);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert_str_eq(settled(2)->code, "535 5.7.8");
  ck_assert_uint_eq(stream_host_open_count(host), 0);
}
END_TEST

/* --- Content ------------------------------------------------------------------------------------------------------ */
static const struct {
  const char *address, *ehlo;
  uint32_t result;
} addresses[] = {
    {"user@bücher.example", NULL, PARLEY_OUTCOME_ACCEPTED},
    {"用户@例子.测试", NULL, PARLEY_OUTCOME_REJECTED}, /* no SMTPUTF8 offered: a definite failure */
    {"用户@例子.测试", "250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n", PARLEY_OUTCOME_ACCEPTED},
    {"<<a@b>>", NULL, PARLEY_OUTCOME_BAD_ADDRESS},
    {"a@b.example\r\nDATA", NULL, PARLEY_OUTCOME_BAD_ADDRESS},
    {"", NULL, PARLEY_OUTCOME_BAD_ADDRESS},
    {"a@b.example", "250-mx\r\n250 SIZE 100\r\n", PARLEY_OUTCOME_REJECTED},
};

START_TEST(an_address_is_used_exactly_or_not_at_all)
{
  script->ehlo = addresses[_i].ehlo;
  start(plain);
  stream_host_submit(host, 1, message_fill(&messages[1], 1, addresses[_i].address, PARLEY_LIT("x")));
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, addresses[_i].result);
  ck_assert_uint_eq(script->n_mails, addresses[_i].result == PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

static const char *const smuggles[] = {
    "\r\n.\r\nMAIL FROM:<x>\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", ".", "..\r\n.", "\r\n.\r\n"};

START_TEST(no_body_ends_its_mail_early)
{
  start(one_session);
  stream_host_submit(host, 1, message_fill(&messages[1], 1, "a@b.example", parley_text_of(smuggles[_i])));
  submit(2);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(script->n_mails, 2);
  ck_assert_uint_eq(smtp_script_count(script, "MAIL"), 2);
}
END_TEST

static parley_text large_text(void)
{
  static char text[900000];

  for (size_t i = 0; i < sizeof text; i++)
    text[i] = i % 60 == 59 ? '\n' : i % 60 == 0 && i % 7 == 0 ? '.' : 'x';
  return (parley_text){text, sizeof text};
}

START_TEST(a_large_mail_goes_in_pieces_and_comes_whole)
{
  start(plain);
  stream_host_submit(host, 1, message_fill(&messages[1], 1, "a@b.example", large_text()));
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_gt(script->mails[0].len, 900000 + 15000); /* each LF has become CRLF */
}
END_TEST

static const struct {
  const char *early;
  uint32_t result;
} earlies[] = {
    {"552 5.3.4 too much\r\n!", PARLEY_OUTCOME_REJECTED}, {"452 4.3.1 disk full\r\n", PARLEY_OUTCOME_RETRY},
    {"250 2.0.0 queued\r\n", PARLEY_OUTCOME_RETRY}, {"!", PARLEY_OUTCOME_RETRY},
};

START_TEST(an_answer_in_the_middle_of_a_mail_is_definite)
{
  script->early = earlies[_i].early;
  start(plain);
  stream_host_submit(host, 1, message_fill(&messages[1], 1, "a@b.example", large_text()));
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, earlies[_i].result);
  ck_assert_uint_eq(script->n_mails, 0);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
}
END_TEST

/* --- Media -------------------------------------------------------------------------------------------------------- */
enum { MEDIUM_BYTES = 2500000 };
static char medium[MEDIUM_BYTES];

static parley_status submit_with_medium(uint64_t token, uint64_t total_bytes)
{
  static parley_part parts[STREAM_HOST_TIMERS_MAX];
  static const parley_part *lists[STREAM_HOST_TIMERS_MAX][2];
  parley_part *part = &parts[token];

  message_fill(&messages[token], token, "ana@example.org", PARLEY_LIT("see the bill"));
  *part = (parley_part){.size = sizeof *part, .kind = PARLEY_PART_MEDIA, .type = PARLEY_LIT("application/pdf"),
                        .name = PARLEY_LIT("bill.pdf"), .media = PARLEY_LIT("med_1"), .total_bytes = total_bytes};
  lists[token][0] = messages[token].parts[0];
  lists[token][1] = part;
  messages[token].message.parts = lists[token];
  messages[token].message.n_parts = 2;
  return stream_host_submit(host, token, &messages[token].message);
}

START_TEST(a_large_medium_is_fetched_and_attached)
{
  for (size_t i = 0; i < sizeof medium; i++)
    medium[i] = (char)(i * 7);
  host->media = (parley_bytes){medium, sizeof medium};
  start(plain);
  for (uint64_t token = 1; token <= 5; token++)
    ck_assert_int_eq(submit_with_medium(token, sizeof medium), PARLEY_OK);
  ck_assert_uint_eq(host->n_reads, 2); /* two at a time: each is held whole in memory */
  stream_host_run(host);
  for (uint64_t token = 1; token <= 5; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_gt(script->mails[0].len, sizeof medium / 3 * 4);
  ck_assert_ptr_nonnull(strstr(script->mails[0].at, "Content-Disposition: attachment; filename=bill.pdf\r\n"));
  ck_assert_ptr_nonnull(strstr(script->mails[0].at, "see the bill"));
}
END_TEST

static const struct {
  parley_status status;
  size_t bytes;
  uint64_t total_bytes;
  uint32_t result;
} media[] = {
    {PARLEY_OK, 0, 100, PARLEY_OUTCOME_REJECTED}, /* there, but empty: not what was promised */
    {PARLEY_OK, 0, 0, PARLEY_OUTCOME_ACCEPTED},
    {PARLEY_NOT_FOUND, 9, 9, PARLEY_OUTCOME_REJECTED},
    {PARLEY_BUSY, 9, 9, PARLEY_OUTCOME_RETRY},
    {PARLEY_FAILED, 9, 9, PARLEY_OUTCOME_REJECTED},
    {PARLEY_OK, MEDIUM_BYTES * 11, MEDIUM_BYTES, PARLEY_OUTCOME_REJECTED}, /* more than a mail should have */
};

START_TEST(a_medium_that_cannot_be_had_is_no_empty_attachment)
{
  char *bytes = calloc(1, media[_i].bytes + 1);

  host->media = (parley_bytes){bytes, media[_i].bytes};
  host->media_status = media[_i].status;
  start(plain);
  submit_with_medium(1, media[_i].total_bytes);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, media[_i].result);
  ck_assert_uint_eq(script->n_mails, media[_i].result == PARLEY_OUTCOME_ACCEPTED);
  free(bytes);
}
END_TEST

START_TEST(a_stop_while_fetching_gives_back)
{
  host->media = (parley_bytes){medium, sizeof medium};
  start(plain);
  for (uint64_t token = 1; token <= 3; token++)
    submit_with_medium(token, sizeof medium);
  stream_host_stop(host);
  for (uint64_t token = 1; token <= 3; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_THROTTLED);
}
END_TEST

START_TEST(attachments_of_more_than_25_mib_together_are_refused_unread)
{
  start(plain);
  submit_with_medium(1, (25 << 20) + 1);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_REJECTED);
  ck_assert_ptr_nonnull(strstr(settled(1)->detail, "more than 25 MiB together"));
  ck_assert_uint_eq(host->n_reads, 0);
}
END_TEST

/* --- Senders and signatures --------------------------------------------------------------------------------------- */
#define ED25519 "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
static const char *const signing[] = {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", "senders",
                                      "news|News <hello@mail.news.example>\nother|a@other.example", "dkim",
                                      "shop.example|one|" ED25519 "\nshop.example|two|" ED25519 "\nnews.example|n|" ED25519
                                      "\nexample|far|" ED25519,
                                      NULL};

static size_t times(const char *text, const char *words)
{
  size_t n = 0;

  for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
    n++;
  return n;
}

static const struct {
  const char *topic, *from, *domain, *selectors;
  size_t n;
} topics[] = {
    {"orders", "\r\nFrom: Shop <orders@shop.example>\r\n", " d=shop.example;", " s=one;", 2},
    {"news", "\r\nFrom: News <hello@mail.news.example>\r\n", " d=news.example;", " s=n;", 1},
    {"other", "\r\nFrom: a@other.example\r\n", " d=example;", " s=far;", 1},
};

START_TEST(each_topic_has_its_sender_and_that_one_its_keys)
{
  start(signing);
  submit(1);
  message_fill(&messages[2], 2, "ana@example.org", PARLEY_LIT("Hi"));
  messages[2].message.topic = parley_text_of(topics[_i].topic);
  ck_assert_int_eq(stream_host_submit(host, 2, &messages[2].message), PARLEY_OK);
  stream_host_run(host);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_ACCEPTED);
  for (size_t i = 0; i < script->n_mails; i++) {
    const char *mail = script->mails[i].at;

    if (strstr(mail, "msg_00002") == NULL)
      continue;
    ck_assert_uint_eq(times(mail, "DKIM-Signature: v=1; a=ed25519-sha256;"), topics[_i].n);
    ck_assert_uint_eq(times(mail, topics[_i].domain), topics[_i].n);
    ck_assert_ptr_nonnull(strstr(mail, topics[_i].selectors));
    ck_assert_ptr_nonnull(strstr(mail, topics[_i].from));
    ck_assert_int_eq(strncmp(mail, "DKIM-Signature: ", 16), 0);
  }
}
END_TEST

START_TEST(a_signed_mail_is_made_on_the_work_pool)
{
  start(signing);
  submit(1);
  ck_assert_uint_eq(host->n_reads, 1);  /* work is under way */
  ck_assert_uint_eq(host->n_conns, 0);  /* and nothing to send yet */
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

START_TEST(a_stop_while_signing_gives_back)
{
  start(signing);
  submit(1);
  submit(2);
  stream_host_stop(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_THROTTLED);
}
END_TEST

START_TEST(a_drain_while_signing_finishes)
{
  start(signing);
  submit(1);
  host->plugin->drain(host->channel, 10000);
  stream_host_run(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
}
END_TEST

/* --- The end ------------------------------------------------------------------------------------------------------ */
START_TEST(a_stop_settles_each_by_what_is_known)
{
  script->dot = "";
  start(one_session);
  submit(1);
  submit(2);
  stream_host_run(host);
  stream_host_stop(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_eq(settled(2)->result, PARLEY_OUTCOME_THROTTLED);
}
END_TEST

START_TEST(a_drain_finishes_what_was_taken)
{
  start(one_session);
  for (uint64_t token = 1; token <= 4; token++)
    submit(token);
  host->plugin->drain(host->channel, 10000);
  ck_assert_int_eq(submit(5), PARLEY_BUSY);
  stream_host_run(host);
  for (uint64_t token = 1; token <= 4; token++)
    ck_assert_uint_eq(settled(token)->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(stream_host_open_count(host), 0);
  ck_assert_uint_eq(smtp_script_count(script, "QUIT"), 1);
}
END_TEST

START_TEST(a_stop_while_connecting_ends)
{
  script->greeting = "";
  start(plain);
  submit(1);
  stream_host_probe(host, 2);
  stream_host_stop(host);
  ck_assert_uint_eq(settled(1)->result, PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(host->settled[2].times, 1);
}
END_TEST

static const struct {
  const char *options[13];
  const char *cause;
} mistakes[] = {
    {{"smtp", "http://x", "from", "a@b.c", NULL}, "smtp://"},
    {{"smtp", "smtp://", "from", "a@b.c", NULL}, "host:port"},
    {{"smtp", "smtp://x:99999", "from", "a@b.c", NULL}, "host:port"},
    {{"smtp", "smtp://x:0", "from", "a@b.c", NULL}, "host:port"},
    {{"smtp", "smtp://[::1", "from", "a@b.c", NULL}, "host:port"},
    {{"smtp", "smtp://x:25/path", "from", "a@b.c", NULL}, "host:port"},
    {{"smtp", "smtp://me:pw@x:25", "from", "a@b.c", NULL}, "options of their own"},
    {{"smtp", "smtp://x", "from", "nobody", NULL}, "from"},
    {{"smtp", "smtp://x", "from", "A <a@b.c>, B <b@b.c>", NULL}, "from"},
    {{"smtp", "smtp://x", "from", "a@b.c\r\nBcc: x@y", NULL}, "from"},
    {{"smtp", "smtp://x", "from", "a@b.c", "helo", "x\r\nMAIL", NULL}, "helo"},
    {{"smtp", "smtp://x", "from", "a@b.c", "helo", "two words", NULL}, "helo"},
    {{"smtp", "smtp://x", "from", "a@b.c", "user", "tim", NULL}, "both"},
    {{"smtp", "smtp://x", "from", "a@b.c", "tls", "off", "user", "tim", "password", "pw", NULL}, "in clear"},
    {{"smtp", "smtps://x", "from", "a@b.c", "tls", "off", NULL}, "contradicts"},
    {{"smtp", "smtp://x", "from", "a@b.c", "senders", "news|nobody", NULL}, "senders: that of news"},
    {{"smtp", "smtp://x", "from", "a@b.c", "reply", "nobody", NULL}, "reply"},
    {{"smtp", "smtp://x", "from", "a@b.c", "reply", "\"a b\"@b.c", NULL}, "reply"},
    {{"smtp", "smtp://x", "from", "a@b.c", "reply", "a-local-part-of-thirty-five-letters@b.c", NULL}, "34 characters"},
    {{"smtp", "smtp://x", "from", "a@b.c", "dkim", "b.c|s1|garbage", NULL}, "dkim: the key of b.c (selector s1) is no private key"},
    {{"smtp", "smtp://x", "from", "a@b.c", "dkim", "b c|s1|" ED25519, NULL}, "dkim: the key of b c (selector s1) has no domain"},
    {{"smtp", "smtp://x", "from", "a@b.c", "dkim", "b.c|s;1|" ED25519, NULL}, "no DNS label"},
    {{"smtp", "smtp://x", "from", "a@b.c", "return_path", "Bounce <b@b.c>", NULL}, "return_path"},
    {{"smtp", "smtp://x", "from", "a@b.c", "return_path", "b@b.c> SIZE=1", NULL}, "return_path"},
    {{"smtp", "smtp://x", "from", "a@b.c", "return_path", "b\r\nRCPT@b.c", NULL}, "return_path"},
    {{"smtp", "smtp://x", "from", "a@b.c", "return_path", "\"a b\"@b.c", NULL}, "return_path"},
    {{"smtp", "smtp://x", "from", "a@b.c", "return_path", "a2345678901234567890123456789012345@b.c", NULL}, "34 bytes"},
};

START_TEST(a_mistake_in_the_options_is_named)
{
  ck_assert_int_eq(stream_host_create(host, mistakes[_i].options), PARLEY_INVALID);
  ck_assert_ptr_null(host->channel);
  ck_assert_uint_eq(host->health, PARLEY_DOWN);
  ck_assert_msg(strstr(host->cause, mistakes[_i].cause) != NULL, "%s", host->cause);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugin: email");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, attachments_of_more_than_25_mib_together_are_refused_unread);
  tcase_add_loop_test(tcase, each_topic_has_its_sender_and_that_one_its_keys, 0, COUNT(topics));
  tcase_add_test(tcase, a_signed_mail_is_made_on_the_work_pool);
  tcase_add_test(tcase, a_stop_while_signing_gives_back);
  tcase_add_test(tcase, a_drain_while_signing_finishes);
  tcase_add_test(tcase, a_mail_leaves_and_is_accepted);
  tcase_add_test(tcase, many_mails_share_few_connections);
  tcase_add_test(tcase, more_than_the_window_is_not_taken);
  tcase_add_test(tcase, an_idle_connection_takes_its_leave);
  tcase_add_test(tcase, byte_by_byte_it_is_the_same);
  tcase_add_test(tcase, an_old_server_is_spoken_to_slowly);
  tcase_add_loop_test(tcase, each_refusal_is_settled_as_what_it_means, 0, COUNT(refusals));
  tcase_add_loop_test(tcase, a_refusal_means_the_same_with_pipelining_and_without, 0, COUNT(refusals));
  tcase_add_test(tcase, after_a_refusal_the_connection_goes_on);
  tcase_add_test(tcase, a_mail_for_nobody_that_is_wanted_all_the_same_is_empty);
  tcase_add_test(tcase, a_connection_that_was_gone_costs_nothing);
  tcase_add_loop_test(tcase, a_reply_before_its_command_proves_nothing, 0, COUNT(nonsense));
  tcase_add_test(tcase, an_endless_reply_is_cut_off);
  tcase_add_loop_test(tcase, silence_is_borne_as_long_as_the_rfc_asks, 0, COUNT(silences));
  tcase_add_test(tcase, a_shorter_timeout_is_kept);
  tcase_add_test(tcase, no_message_waits_for_ever_behind_a_slow_one);
  tcase_add_loop_test(tcase, secrets_and_mail_go_only_where_they_may, 0, COUNT(logins));
  tcase_add_test(tcase, a_wrong_password_stops_the_channel_until_it_is_right);
  tcase_add_test(tcase, a_refused_sender_stops_the_channel_and_does_not_flap);
  tcase_add_test(tcase, a_server_that_is_away_is_waited_for);
  tcase_add_test(tcase, many_connections_refused_at_once_are_one_failure);
  tcase_add_test(tcase, a_server_that_takes_few_connections_gets_few);
  tcase_add_test(tcase, a_probe_logs_in_and_sends_nothing);
  tcase_add_loop_test(tcase, an_address_is_used_exactly_or_not_at_all, 0, COUNT(addresses));
  tcase_add_loop_test(tcase, no_body_ends_its_mail_early, 0, COUNT(smuggles));
  tcase_add_test(tcase, a_large_mail_goes_in_pieces_and_comes_whole);
  tcase_add_loop_test(tcase, an_answer_in_the_middle_of_a_mail_is_definite, 0, COUNT(earlies));
  tcase_add_test(tcase, a_large_medium_is_fetched_and_attached);
  tcase_add_loop_test(tcase, a_medium_that_cannot_be_had_is_no_empty_attachment, 0, COUNT(media));
  tcase_add_test(tcase, a_stop_while_fetching_gives_back);
  tcase_add_test(tcase, a_stop_settles_each_by_what_is_known);
  tcase_add_test(tcase, a_drain_finishes_what_was_taken);
  tcase_add_test(tcase, a_stop_while_connecting_ends);
  tcase_add_loop_test(tcase, a_mistake_in_the_options_is_named, 0, COUNT(mistakes));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_set_fork_status(runner, CK_NOFORK); /* so that the plugin is loaded and left many times in one process */
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
