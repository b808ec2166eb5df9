// sources: plugins/email/imap_wire.c plugins/email/imap_session.c plugins/email/sasl.c
/* IMAP as bytes, and a session against a server that says what the test tells it to. */
#include "core/base/buf.h"
#include "email/imap_session.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- Bytes -------------------------------------------------------------------------------------------------------- */
static const struct measure_row {
  const char *bytes;
  enum imap_measured want;
  size_t len;
} measures[] = {
    {"* OK hi\r\nmore", IMAP_MEASURED_WHOLE, 9},
    {"* OK hi", IMAP_MEASURED_NOTHING, 0},
    {"", IMAP_MEASURED_NOTHING, 0},
    {"* OK ends with {5}\r\n", IMAP_MEASURED_WHOLE, 20},
    {"P1 NO too {5}\r\n", IMAP_MEASURED_WHOLE, 15},
    {"* 1 FETCH (BODY[] {3}\r\nabc)\r\n", IMAP_MEASURED_WHOLE, 29},
    {"* 1 FETCH (BODY[] {3}\r\na\nc)\r\n", IMAP_MEASURED_WHOLE, 29},
    {"* 1 FETCH (BODY[] {3}\r\nab", IMAP_MEASURED_NOTHING, 0},
    {"* 1 FETCH (BODY[] {999999999}\r\n", IMAP_MEASURED_BROKEN, 0},
    {"* 1 FETCH (BODY[] {99999999999999999999}\r\n", IMAP_MEASURED_BROKEN, 0},
    {"* 1 FETCH (X {}\r\n", IMAP_MEASURED_WHOLE, 17},
    {"* bare\n", IMAP_MEASURED_BROKEN, 0},
    {"* bare\rcr\r\n", IMAP_MEASURED_BROKEN, 0},
};

START_TEST(a_response_ends_where_its_last_literal_says)
{
  const struct measure_row *row = &measures[_i];
  size_t len = 0;

  ck_assert_int_eq(imap_measure(parley_text_of(row->bytes), &len), row->want);
  ck_assert_uint_eq(len, row->len);
}
END_TEST

START_TEST(a_response_without_end_is_no_imap)
{
  size_t room = IMAP_RESPONSE_MAX + 10, len;
  char *bytes = malloc(room);

  ck_assert_ptr_nonnull(bytes);
  memset(bytes, 'x', room);
  ck_assert_int_eq(imap_measure((parley_bytes){bytes, room}, &len), IMAP_MEASURED_BROKEN);
  bytes[3] = '\0';
  ck_assert_int_eq(imap_measure((parley_bytes){bytes, 10}, &len), IMAP_MEASURED_BROKEN);
  free(bytes);
}
END_TEST

static const struct response_row {
  const char *bytes;
  bool ok;
  enum imap_kind kind;
  uint32_t tag, number;
  const char *code, *rest;
} responses[] = {
    {"* OK [UIDVALIDITY 17] fine\r\n", true, IMAP_OK, 0, 0, "UIDVALIDITY 17", "fine"},
    {"P12 NO [AUTHENTICATIONFAILED] no\r\n", true, IMAP_NO, 12, 0, "AUTHENTICATIONFAILED", "no"},
    {"P3 BAD\r\n", true, IMAP_BAD, 3, 0, "", ""},
    {"* BYE gone\r\n", true, IMAP_BYE, 0, 0, "", "gone"},
    {"* PREAUTH in\r\n", true, IMAP_PREAUTH, 0, 0, "", "in"},
    {"+ \r\n", true, IMAP_CONTINUE, 0, 0, "", ""},
    {"+\r\n", true, IMAP_CONTINUE, 0, 0, "", ""},
    {"* 23 EXISTS\r\n", true, IMAP_EXISTS, 0, 23, "", ""},
    {"* search 4 5\r\n", true, IMAP_SEARCH, 0, 0, "", "4 5"},
    {"* SEARCH\r\n", true, IMAP_SEARCH, 0, 0, "", ""},
    {"* 4 FETCH (UID 3)\r\n", true, IMAP_FETCH, 0, 4, "", "(UID 3)"},
    {"* FLAGS (\\Seen)\r\n", true, IMAP_OTHER, 0, 0, "", NULL},
    {"* 99999999999 EXISTS\r\n", true, IMAP_OTHER, 0, 0, "", NULL},
    {"P0 OK x\r\n", false, 0, 0, 0, NULL, NULL},
    {"A1 OK x\r\n", false, 0, 0, 0, NULL, NULL},
    {"P1 BYE x\r\n", false, 0, 0, 0, NULL, NULL},
    {"HTTP/1.1 400\r\n", false, 0, 0, 0, NULL, NULL},
    {"\r\n", false, 0, 0, 0, NULL, NULL},
};

START_TEST(a_response_is_read_as_what_it_is)
{
  const struct response_row *row = &responses[_i];
  struct imap_response got;

  ck_assert_int_eq(imap_response_read(parley_text_of(row->bytes), &got), row->ok);
  if (!row->ok)
    return;
  ck_assert_int_eq(got.kind, row->kind);
  ck_assert_uint_eq(got.tag, row->tag);
  ck_assert_uint_eq(got.number, row->number);
  ck_assert(parley_text_is(got.code, row->code));
  ck_assert(row->rest == NULL || parley_text_is(got.rest, row->rest));
}
END_TEST

static const struct fetch_row {
  const char *rest;
  bool ok;
  uint32_t uid;
  uint64_t size;
  int64_t at_ms;
  uint32_t origin;
  const char *body; /* NULL: none */
} fetches[] = {
    {"(UID 7 RFC822.SIZE 44 BODY[]<5> {3}\r\nabc)", true, 7, 44, 0, 5, "abc"},
    {"(BODY[] \"a b\" UID 7)", true, 7, 0, 0, 0, "a b"},
    {"(UID 7 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")", true, 7, 0, 837596665000, 0, NULL},
    {"(UID 7 INTERNALDATE \" 1-jan-1970 00:00:01 +0000\")", true, 7, 0, 1000, 0, NULL},
    {"(UID 7 INTERNALDATE \"29-Feb-2024 12:00:00 +0000\")", true, 7, 0, 1709208000000, 0, NULL},
    {"(UID 7 INTERNALDATE \"99-Foo-1996 02:44:25 -0700\")", true, 7, 0, 0, 0, NULL},
    {"(UID 7 INTERNALDATE NIL)", true, 7, 0, 0, 0, NULL},
    {"(FLAGS (\\Seen $x) ENVELOPE (\"a)\" NIL ((\"b\" {2}\r\n)( \"c\"))) UID 9)", true, 9, 0, 0, 0, NULL},
    {"(BODY[HEADER.FIELDS (A B)]<0> {2}\r\nxx UID 9)", true, 9, 0, 0, 0, NULL},
    {"(UID 7 BODY[]<0> NIL)", true, 7, 0, 0, 0, ""},
    {"(UID 0)", false, 0, 0, 0, 0, NULL},
    {"(UID x)", false, 0, 0, 0, 0, NULL},
    {"(UID 7", false, 0, 0, 0, 0, NULL},
    {"(UID 7)x", false, 0, 0, 0, 0, NULL},
    {"(UID 7 X ((((((((((((((((((()))))))))))))))))))", false, 0, 0, 0, 0, NULL},
    {"(UID 7 BODY[]<0> {9}\r\nabc)", false, 0, 0, 0, 0, NULL},
    {"(UID 7 BODY[]<x> NIL)", false, 0, 0, 0, 0, NULL},
    {"(UID 7 X \"open)", false, 0, 0, 0, 0, NULL},
    {"UID 7", false, 0, 0, 0, 0, NULL},
};

START_TEST(a_fetch_is_read_whatever_else_stands_in_it)
{
  const struct fetch_row *row = &fetches[_i];
  struct imap_fetch got;

  ck_assert_int_eq(imap_fetch_read(parley_text_of(row->rest), &got), row->ok);
  if (!row->ok)
    return;
  ck_assert_uint_eq(got.uid, row->uid);
  ck_assert_uint_eq(got.size, row->size);
  ck_assert_int_eq(got.at_ms, row->at_ms);
  ck_assert_uint_eq(got.origin, row->origin);
  ck_assert_int_eq(got.has_body, row->body != NULL);
  ck_assert(row->body == NULL || parley_text_is(got.body, row->body));
}
END_TEST

static const struct {
  const char *name, *want; /* NULL: refused */
} mailboxes[] = {
    {"INBOX", "\"INBOX\""},
    {"a\"b\\c", "\"a\\\"b\\\\c\""},
    {"R&D", "\"R&-D\""},
    {"\303\234bersicht", "\"&ANw-bersicht\""},
    {"~peter/mail/\345\217\260\345\214\227/\346\227\245\346\234\254\350\252\236", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""}, /* RFC 3501 */
    {"\360\237\230\200", "\"&2D3eAA-\""},
    {"a\r\nP9 LOGOUT", NULL},
    {"a\x7f", NULL},
};

START_TEST(a_mailbox_leaves_as_modified_utf7)
{
  struct imap_command command = {.len = 0};

  imap_put_mailbox(&command, parley_text_of(mailboxes[_i].name));
  ck_assert_int_eq(command.bad, mailboxes[_i].want == NULL);
  ck_assert(command.bad || parley_text_is((parley_text){command.at, command.len}, mailboxes[_i].want));
}
END_TEST

START_TEST(no_value_becomes_a_second_command)
{
  static const parley_text bad[] = {PARLEY_LIT("a\r"), PARLEY_LIT("\n"), PARLEY_LIT("a\0b")};

  for (size_t i = 0; i < COUNT(bad); i++) {
    struct imap_command command = {.len = 0}, quoted = {.len = 0};

    imap_put(&command, bad[i]);
    imap_put_quoted(&quoted, bad[i]);
    ck_assert(command.bad && quoted.bad);
  }
}
END_TEST

START_TEST(sets_and_dates_are_written_short)
{
  static const uint32_t uids[] = {3, 4, 5, 9, 11, 12};
  struct imap_command command = {.len = 0};

  imap_put_set(&command, uids, COUNT(uids));
  imap_put_word(&command, " ");
  imap_put_date(&command, 1709208000000);
  ck_assert(parley_text_is((parley_text){command.at, command.len}, "3:5,9,11:12 29-Feb-2024"));
}
END_TEST

/* --- A session ---------------------------------------------------------------------------------------------------- */
static struct imap_session session;
static struct imap_config config;
static struct buf said, told;
static int64_t now_ms;
static bool closed;

static int64_t owner_now(void *arg)
{
  (void)arg;
  return now_ms;
}

static void owner_write(parley_bytes bytes, void *arg)
{
  (void)arg;
  ck_assert(!closed);
  buf_text(&said, bytes);
}

static void owner_secure(size_t unused, void *arg)
{
  (void)arg;
  buf_printf(&told, "secure %zu\n", unused);
}

static void owner_close(bool now, void *arg)
{
  (void)arg;
  (void)now;
  closed = true;
}

static void owner_ready(void *arg)
{
  (void)arg;
  buf_printf(&told, "ready %u %u\n", session.uidvalidity, session.uidnext);
}

static void owner_found(uint32_t uid, void *arg)
{
  (void)arg;
  buf_printf(&told, "found %u\n", uid);
}

static void owner_piece(const struct imap_fetch *piece, void *arg)
{
  (void)arg;
  buf_printf(&told, "piece %u+%.*s\n", piece->origin, (int)piece->body.len, piece->body.at);
}

static void owner_done(bool ok, const char *words, void *arg)
{
  (void)arg;
  buf_printf(&told, ok ? "done\n" : "refused %s\n", words);
}

static void owner_failed(const struct imap_failure *failure, void *arg)
{
  (void)arg;
  buf_printf(&told, "failed %s%s%s %s\n", imap_stage_name(failure->stage), failure->credentials ? " credentials" : "",
             failure->configured ? " configured" : "", failure->why);
}

static const struct imap_owner owner = {.now_ms = owner_now, .write = owner_write, .secure = owner_secure, .close = owner_close,
                                        .ready = owner_ready, .found = owner_found, .piece = owner_piece, .done = owner_done,
                                        .failed = owner_failed};

static void setup(void)
{
  config = (struct imap_config){.user = PARLEY_LIT("ana"), .password = PARLEY_LIT("pass"), .mailbox = PARLEY_LIT("INBOX"),
                                .host = PARLEY_LIT("imap.example"), .port = 993, .token = PARLEY_LIT("tok"), .tls = IMAP_TLS_OFF,
                                .poll_ms = 5000};
  said = (struct buf){.max = 65536};
  told = (struct buf){.max = 65536};
  now_ms = 1000;
  closed = false;
}

static void teardown(void)
{
  buf_done(&said);
  buf_done(&told);
}

static void begin(bool secured)
{
  imap_session_init(&session, &config, &owner, NULL);
  imap_session_opened(&session, secured);
}

static void server(const char *bytes) /* all at once, and all of it must be used */
{
  ck_assert_uint_eq(imap_session_data(&session, parley_text_of(bytes)), strlen(bytes));
}

static void expect_buf(struct buf *buf, const char *want)
{
  bool same = buf->len == strlen(want) && (buf->len == 0 || memcmp(buf->at, want, buf->len) == 0);

  ck_assert_msg(same, "got\n%.*s\nwant\n%s", (int)buf->len, buf->len > 0 ? buf->at : "", want);
  buf_clear(buf);
}

#define CAPABLE "* CAPABILITY IMAP4rev1 IDLE MOVE UIDPLUS SASL-IR AUTH=PLAIN\r\n"
#define SELECTED "* 3 EXISTS\r\n* OK [UIDVALIDITY 17] x\r\n* OK [UIDNEXT 12] x\r\n"

static void ready(const char *offers) /* logged in, with P5 to come */
{
  char line[300];

  begin(true);
  snprintf(line, sizeof line, "* OK hi\r\n* CAPABILITY IMAP4rev1 %s\r\nP1 OK x\r\n", offers);
  server(line);
  server("P2 OK in\r\n");
  snprintf(line, sizeof line, "* CAPABILITY IMAP4rev1 %s\r\nP3 OK x\r\n", offers);
  server(line);
  server(SELECTED "P4 OK [READ-WRITE] x\r\n");
  ck_assert_int_eq(session.state, IMAP_READY);
  buf_clear(&said), buf_clear(&told);
}

static const struct login_row {
  const char *name;
  bool bearer, secured, tls;
  const char *server, *said, *told;
} logins[] = {
    {"plain with an initial response", false, true, true,
     "* OK hi\r\n" CAPABLE "P1 OK x\r\nP2 OK in\r\n" CAPABLE "P3 OK x\r\n" SELECTED "P4 OK [READ-ONLY] x\r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE PLAIN AGFuYQBwYXNz\r\nP3 CAPABILITY\r\nP4 EXAMINE \"INBOX\"\r\n", "ready 17 12\n"},
    {"plain without", false, true, true, "* OK hi\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nP1 OK x\r\n+\r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE PLAIN\r\nAGFuYQBwYXNz\r\n", ""},
    {"login", false, false, false, "* OK hi\r\n* CAPABILITY IMAP4rev1\r\nP1 OK x\r\n",
     "P1 CAPABILITY\r\nP2 LOGIN \"ana\" \"pass\"\r\n", ""},
    {"no password is taken", false, true, true, "* OK hi\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nP1 OK x\r\n", "P1 CAPABILITY\r\n",
     "failed auth configured the server takes no password (LOGINDISABLED, no AUTH=PLAIN)\n"},
    {"wrong password", false, true, true, "* OK hi\r\n" CAPABLE "P1 OK x\r\nP2 NO [AUTHENTICATIONFAILED] wrong\r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE PLAIN AGFuYQBwYXNz\r\n", "failed auth credentials wrong\n"},
    {"not now", false, true, true, "* OK hi\r\n" CAPABLE "P1 OK x\r\nP2 NO [UNAVAILABLE] later\r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE PLAIN AGFuYQBwYXNz\r\n", "failed auth later\n"},
    {"xoauth2", true, true, true, "* OK hi\r\n* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\nP1 OK x\r\n+ eyJzIn0=\r\nP2 NO no\r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE XOAUTH2 dXNlcj1hbmEBYXV0aD1CZWFyZXIgdG9rAQE=\r\n\r\n", "failed auth credentials no\n"},
    {"xoauth2 without an initial response", true, true, true, "* OK hi\r\n* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\nP1 OK x\r\n+ \r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE XOAUTH2\r\ndXNlcj1hbmEBYXV0aD1CZWFyZXIgdG9rAQE=\r\n", ""},
    {"no oauth there", true, true, true, "* OK hi\r\n" CAPABLE "P1 OK x\r\n", "P1 CAPABILITY\r\n",
     "failed auth configured the server offers neither XOAUTH2 nor OAUTHBEARER\n"},
    {"starttls", false, false, true, "* OK hi\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\nP1 OK x\r\nP2 OK go\r\n",
     "P1 CAPABILITY\r\nP2 STARTTLS\r\n", "secure 0\n"},
    {"no starttls", false, false, true, "* OK hi\r\n" CAPABLE "P1 OK x\r\n", "P1 CAPABILITY\r\n",
     "failed starttls configured the server does not offer STARTTLS\n"},
    {"preauth instead of starttls", false, false, true, "* PREAUTH hi\r\n", "",
     "failed greeting configured the server lets in without a login (PREAUTH), so that STARTTLS cannot be had\n"},
    {"full", false, true, true, "* BYE too many\r\n", "", "failed greeting too many\n"},
    {"no imap", false, true, true, "220 mx ESMTP\r\n", "",
     "failed greeting the server speaks no IMAP, or says more than it was asked for\n"},
    {"no such mailbox", false, true, true,
     "* OK hi\r\n" CAPABLE "P1 OK x\r\nP2 OK in\r\n" CAPABLE "P3 OK x\r\nP4 NO no such mailbox\r\n",
     "P1 CAPABILITY\r\nP2 AUTHENTICATE PLAIN AGFuYQBwYXNz\r\nP3 CAPABILITY\r\nP4 EXAMINE \"INBOX\"\r\n",
     "failed select configured no such mailbox\n"},
    {"an answer to what was not asked", false, true, true, "* OK hi\r\nP7 OK x\r\n", "P1 CAPABILITY\r\n",
     "failed capability the server answers a command that was not given\n"},
};

START_TEST(the_login_in_every_way)
{
  const struct login_row *row = &logins[_i];
  size_t used = 0;

  config.bearer = row->bearer;
  config.tls = row->tls ? IMAP_TLS_REQUIRED : IMAP_TLS_OFF;
  for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
    used = 0;
    closed = false;
    begin(row->secured);
    if (byte_by_byte == 0)
      server(row->server);
    for (size_t given = 1; byte_by_byte == 1 && given <= strlen(row->server) && !closed; given++)
      used += imap_session_data(&session, (parley_bytes){row->server + used, given - used});
    expect_buf(&said, row->said);
    expect_buf(&told, row->told);
  }
}
END_TEST

START_TEST(what_stands_behind_the_answer_to_starttls_is_told)
{
  config.tls = IMAP_TLS_REQUIRED;
  begin(false);
  server("* OK hi\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\nP1 OK x\r\n");
  ck_assert_uint_eq(imap_session_data(&session, PARLEY_LIT("P2 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")), 10);
  expect_buf(&told, "secure 35\n");
  buf_clear(&said);
  imap_session_opened(&session, true);
  expect_buf(&said, "P3 CAPABILITY\r\n"); /* what was offered before does not count */
}
END_TEST

START_TEST(mails_are_listed_and_fetched_in_pieces)
{
  ready("AUTH=PLAIN SASL-IR");
  imap_session_list(&session, &(struct imap_wanted){.from = 8, .to = 11, .unseen = true, .since_ms = 1709208000000});
  expect_buf(&said, "P5 UID SEARCH UID 8:11 UNSEEN SINCE 29-Feb-2024\r\n");
  server("* SEARCH 8 11\r\n* 4 EXISTS\r\nP5 OK x\r\n");
  expect_buf(&told, "found 8\nfound 11\ndone\n");
  imap_session_fetch(&session, 8, 262144, 262144);
  expect_buf(&said, "P6 UID FETCH 8 (UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<262144.262144>)\r\n");
  server("* 2 FETCH (UID 9 BODY[]<0> \"other\")\r\n* 1 FETCH (UID 8 FLAGS ())\r\n"
         "* 1 FETCH (UID 8 BODY[]<262144> {3}\r\nabc)\r\nP6 OK x\r\n");
  expect_buf(&told, "piece 262144+abc\ndone\n");
  imap_session_fetch(&session, 11, 0, 262144);
  server("P7 NO [SERVERBUG] it is broken\r\n");
  expect_buf(&told, "refused it is broken\n");
  ck_assert(!closed);
}
END_TEST

static const struct act_row {
  enum imap_after after;
  const char *offers, *answers[6], *said[6];
  const char *told;
} acts[] = {
    {IMAP_SEEN, "", {"P5 OK x\r\n"}, {"P5 UID STORE 3:4 +FLAGS.SILENT (\\Seen)\r\n"}, "done\n"},
    {IMAP_SEEN, "", {"P5 NO may not\r\n"}, {"P5 UID STORE 3:4 +FLAGS.SILENT (\\Seen)\r\n"}, "refused may not\n"},
    {IMAP_MOVE, "MOVE", {"* 1 EXPUNGE\r\nP5 OK x\r\n"}, {"P5 UID MOVE 3:4 \"Done\"\r\n"}, "done\n"},
    {IMAP_MOVE, "MOVE", {"P5 NO [TRYCREATE] x\r\n", "P6 OK x\r\n", "P7 OK x\r\n"},
     {"P5 UID MOVE 3:4 \"Done\"\r\n", "P6 CREATE \"Done\"\r\n", "P7 UID MOVE 3:4 \"Done\"\r\n"}, "done\n"},
    {IMAP_MOVE, "MOVE", {"P5 NO [TRYCREATE] x\r\n", "P6 OK x\r\n", "P7 NO [TRYCREATE] still\r\n"},
     {"P5 UID MOVE 3:4 \"Done\"\r\n", "P6 CREATE \"Done\"\r\n", "P7 UID MOVE 3:4 \"Done\"\r\n"}, "refused still\n"},
    {IMAP_MOVE, "UIDPLUS", {"P5 OK x\r\n", "P6 OK x\r\n", "P7 OK x\r\n"},
     {"P5 UID COPY 3:4 \"Done\"\r\n", "P6 UID STORE 3:4 +FLAGS.SILENT (\\Deleted)\r\n", "P7 UID EXPUNGE 3:4\r\n"}, "done\n"},
    {IMAP_MOVE, "UIDPLUS", {"P5 NO over quota\r\n"}, {"P5 UID COPY 3:4 \"Done\"\r\n"}, "refused over quota\n"},
    {IMAP_DELETE, "", {"P5 OK x\r\n"}, {"P5 UID STORE 3:4 +FLAGS.SILENT (\\Deleted)\r\n"}, "done\n"},
    {IMAP_DELETE, "UIDPLUS", {"P5 OK x\r\n", "P6 OK x\r\n"},
     {"P5 UID STORE 3:4 +FLAGS.SILENT (\\Deleted)\r\n", "P6 UID EXPUNGE 3:4\r\n"},
     "done\n"},
};

START_TEST(after_says_what_is_done)
{
  static const uint32_t uids[] = {3, 4};
  const struct act_row *row = &acts[_i];

  config.after = row->after;
  config.folder = PARLEY_LIT("Done");
  ready(row->offers);
  imap_session_act(&session, uids, 2);
  for (size_t i = 0; row->said[i] != NULL; i++) {
    expect_buf(&said, row->said[i]);
    server(row->answers[i]);
  }
  expect_buf(&said, "");
  expect_buf(&told, row->told);
}
END_TEST

START_TEST(idle_ends_at_news_and_is_begun_anew_in_time)
{
  ready("IDLE");
  imap_session_wait(&session);
  expect_buf(&said, "P5 IDLE\r\n");
  server("+ idling\r\n* OK still here\r\n");
  now_ms += IMAP_IDLE_MS - 1;
  imap_session_sweep(&session);
  expect_buf(&said, "");
  server("* 4 EXISTS\r\n* 1 RECENT\r\n");
  expect_buf(&said, "DONE\r\n");
  server("P5 OK x\r\n");
  expect_buf(&told, "done\n");
  imap_session_list(&session, &(struct imap_wanted){.from = 1});
  server("* SEARCH\r\nP6 OK x\r\n");
  buf_clear(&said), buf_clear(&told);
  imap_session_wait(&session);
  server("+\r\n");
  now_ms += IMAP_IDLE_MS;
  imap_session_sweep(&session);
  expect_buf(&said, "P7 IDLE\r\nDONE\r\n");
  ck_assert_int_lt(IMAP_IDLE_MS, 29 * 60000);
  server("P7 OK x\r\n");
  expect_buf(&told, "done\n");
}
END_TEST

START_TEST(mail_that_came_since_the_list_ends_idle_at_once)
{
  ready("IDLE");
  imap_session_list(&session, &(struct imap_wanted){.from = 1});
  server("* SEARCH\r\n* 4 EXISTS\r\nP5 OK x\r\n");
  buf_clear(&said);
  imap_session_wait(&session);
  server("+\r\n");
  expect_buf(&said, "P6 IDLE\r\nDONE\r\n");
}
END_TEST

START_TEST(where_idle_is_refused_it_looks_now_and_then)
{
  ready("IDLE");
  imap_session_wait(&session);
  server("P5 BAD what\r\n");
  imap_session_list(&session, &(struct imap_wanted){.from = 1});
  server("* SEARCH\r\nP6 OK x\r\n");
  buf_clear(&said), buf_clear(&told);
  imap_session_wait(&session);
  now_ms += config.poll_ms - 1;
  imap_session_sweep(&session);
  expect_buf(&said, "");
  now_ms++;
  imap_session_sweep(&session);
  expect_buf(&said, "P7 NOOP\r\n");
  server("P7 OK x\r\n");
  expect_buf(&told, "done\n");
}
END_TEST

START_TEST(a_silent_server_is_left_and_a_slow_one_is_not)
{
  ready("IDLE");
  imap_session_fetch(&session, 8, 0, 262144);
  now_ms += IMAP_ANSWER_MS - 1;
  ck_assert_uint_eq(imap_session_data(&session, PARLEY_LIT("* 1 FETCH (UID 8 BODY[]<0> {3}\r\n")), 0);
  now_ms += IMAP_ANSWER_MS - 1;
  imap_session_sweep(&session);
  ck_assert(!closed);
  now_ms++;
  imap_session_sweep(&session);
  ck_assert(closed);
  expect_buf(&told, "failed fetch the server does not answer\n");
}
END_TEST

START_TEST(it_takes_its_leave)
{
  ready("IDLE");
  imap_session_wait(&session);
  server("+\r\n");
  buf_clear(&said);
  imap_session_quit(&session);
  expect_buf(&said, "DONE\r\nP6 LOGOUT\r\n");
  server("P5 OK x\r\n* BYE x\r\nP6 OK x\r\n");
  ck_assert(closed);
  imap_session_closed(&session, PARLEY_LIT("over"));
  expect_buf(&told, "");
}
END_TEST

START_TEST(a_lost_connection_is_told_once)
{
  ready("IDLE");
  imap_session_wait(&session);
  server("* BYE restart\r\n");
  imap_session_closed(&session, PARLEY_LIT("reset"));
  expect_buf(&told, "failed idle restart\n");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("imap");
  TCase *wire = tcase_create("wire"), *talk = tcase_create("session");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_loop_test(wire, a_response_ends_where_its_last_literal_says, 0, (int)COUNT(measures));
  tcase_add_test(wire, a_response_without_end_is_no_imap);
  tcase_add_loop_test(wire, a_response_is_read_as_what_it_is, 0, (int)COUNT(responses));
  tcase_add_loop_test(wire, a_fetch_is_read_whatever_else_stands_in_it, 0, (int)COUNT(fetches));
  tcase_add_loop_test(wire, a_mailbox_leaves_as_modified_utf7, 0, (int)COUNT(mailboxes));
  tcase_add_test(wire, no_value_becomes_a_second_command);
  tcase_add_test(wire, sets_and_dates_are_written_short);
  tcase_add_checked_fixture(talk, setup, teardown);
  tcase_add_loop_test(talk, the_login_in_every_way, 0, (int)COUNT(logins));
  tcase_add_test(talk, what_stands_behind_the_answer_to_starttls_is_told);
  tcase_add_test(talk, mails_are_listed_and_fetched_in_pieces);
  tcase_add_loop_test(talk, after_says_what_is_done, 0, (int)COUNT(acts));
  tcase_add_test(talk, idle_ends_at_news_and_is_begun_anew_in_time);
  tcase_add_test(talk, mail_that_came_since_the_list_ends_idle_at_once);
  tcase_add_test(talk, where_idle_is_refused_it_looks_now_and_then);
  tcase_add_test(talk, a_silent_server_is_left_and_a_slow_one_is_not);
  tcase_add_test(talk, it_takes_its_leave);
  tcase_add_test(talk, a_lost_connection_is_told_once);
  suite_add_tcase(suite, wire);
  suite_add_tcase(suite, talk);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
