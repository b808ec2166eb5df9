// sources: plugins/email/smtp_serve.c plugins/email/smtp_body.c plugins/email/smtp_login.c plugins/email/smtp_serve_wire.c
// sources: plugins/email/smtp_serve_login.c plugins/email/smtp_serve_mail.c plugins/email/sasl.c plugins/email/mail_address.c
// libraries: PkgConfig::IDN
/* The receiving side of SMTP and LMTP, against bytes in any cut. */
#include "core/base/buf.h"
#include "email/smtp_serve.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct smtp_serve *serve;
static struct smtp_serve_config config;
static struct buf said, unread, got; /* got: what the owner was given, one line each */
static int64_t now_ms;
static bool reading, closed, later, held_login, held_recipient, held_mail;
static uint32_t n_mails, mail_recipients, secured;
static struct smtp_serve_reply verdict; /* of every recipient; code 0: by its address */

static const struct smtp_serve_reply ok = {.code = 250, .subject = 1, .detail = 5, .words = {"ok", 2}};
static const struct smtp_serve_reply unknown = {
    .code = 550, .subject = 1, .detail = 1, .words = {"no such address", 15}};

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

static void owner_reading(bool on, void *arg)
{
  (void)arg;
  reading = on;
}

static void owner_secure(size_t unused, void *arg)
{
  (void)arg;
  ck_assert_uint_eq(unused, 0);
  secured++;
}

static void owner_close(bool now, void *arg)
{
  (void)arg;
  (void)now;
  closed = true;
}

static void owner_login(parley_text user, parley_text password, void *arg)
{
  (void)arg;
  buf_str(&got, "login ");
  buf_text(&got, user);
  buf_char(&got, ' ');
  buf_text(&got, password);
  buf_char(&got, '\n');
  if (later)
    held_login = true;
  else
    smtp_serve_login(serve, parley_text_is(password, "key") ? PARLEY_OK : PARLEY_DENIED);
}

static const struct smtp_serve_reply *judge(parley_text address)
{
  return memmem(address.at, address.len, "nobody", 6) != NULL ? &unknown : &ok;
}

static void owner_recipient(parley_text from, const struct mail_address *to, bool first, void *arg)
{
  (void)arg;
  buf_str(&got, first ? "first " : "rcpt ");
  buf_text(&got, from);
  buf_char(&got, ' ');
  buf_text(&got, mail_address_text(to));
  buf_char(&got, '\n');
  if (later)
    held_recipient = true;
  else
    smtp_serve_recipient(serve, judge(mail_address_text(to)));
}

static void answer_mail(void)
{
  struct smtp_serve_reply each[SMTP_SERVE_RECIPIENTS_MAX];

  for (uint32_t i = 0; i < mail_recipients; i++)
    each[i] =
        i == 0 && verdict.code != 0 ? verdict : (struct smtp_serve_reply){.code = 250, .words = PARLEY_LIT("kept")};
  smtp_serve_mail(serve, each, mail_recipients);
}

static void owner_mail(struct smtp_serve_mail *mail, void *arg)
{
  (void)arg;
  n_mails++;
  mail_recipients = mail->n_recipients;
  buf_str(&got, "mail ");
  buf_text(&got, (parley_text){mail->raw, mail->len});
  buf_char(&got, '|');
  free(mail->raw);
  if (later)
    held_mail = true;
  else
    answer_mail();
}

static size_t held, held_max; /* bytes of the mail under way */

static bool owner_room(size_t before, size_t after, void *arg)
{
  (void)arg;
  ck_assert_uint_eq(before, held);
  if (after > before && after > held_max)
    return false;
  held = after;
  return true;
}

static const struct smtp_serve_owner owner = {.now_ms = owner_now,
                                              .write = owner_write,
                                              .reading = owner_reading,
                                              .secure = owner_secure,
                                              .close = owner_close,
                                              .room = owner_room,
                                              .login = owner_login,
                                              .recipient = owner_recipient,
                                              .mail = owner_mail};

static void end(void)
{
  smtp_serve_free(&serve);
  buf_done(&said);
  buf_done(&unread);
  buf_done(&got);
}

static void begin(enum smtp_serve_protocol protocol)
{
  end();
  config = (struct smtp_serve_config){.protocol = protocol, .host = PARLEY_LIT("mx.shop.example"), .mail_max = 100000};
  closed = later = held_login = held_recipient = held_mail = false;
  reading = true;
  n_mails = secured = 0;
  now_ms = 1000;
  verdict.code = 0;
  held = 0;
  held_max = SIZE_MAX;
  serve = smtp_serve_new(&config, &owner, NULL);
  smtp_serve_opened(serve, false);
}

static void feed(parley_bytes bytes, size_t piece) /* as the stream does: what was not used comes again, with more */
{
  while (bytes.len > 0 && !closed && reading) {
    size_t take = piece > 0 && piece < bytes.len ? piece : bytes.len, used;

    buf_text(&unread, (parley_bytes){bytes.at, take});
    bytes.at += take;
    bytes.len -= take;
    used = smtp_serve_data(serve, buf_as_text(&unread));
    ck_assert_uint_le(used, unread.len);
    memmove(unread.at, unread.at + used, unread.len - used);
    unread.len -= used;
  }
}

static void client(const char *text)
{
  feed(parley_text_of(text), 0);
}

/* The codes said since the last time: "250 250 354 ". */
static const char *codes(void)
{
  static char line[4096];
  size_t n = 0;

  for (size_t i = 0; i + 3 < said.len && n + 5 < sizeof line; i++)
    if ((i == 0 || said.at[i - 1] == '\n') && said.at[i + 3] == ' ') {
      memcpy(line + n, said.at + i, 4);
      n += 4;
    }
  line[n] = '\0';
  buf_clear(&said);
  return line;
}

static const char *words(void)
{
  buf_char(&said, '\0');
  said.len--;
  return said.at;
}

#define ENVELOPE "MAIL FROM:<ana@example.org>\r\nRCPT TO:<support@shop.example>\r\n"

/* --- The main job ------------------------------------------------------------------------------------------------- */
static const size_t pieces[] = {0, 1, 2, 3, 7, 64};

START_TEST(mails_come_in_one_after_the_other)
{
  begin(SMTP_SERVE_SMTP);
  feed(PARLEY_LIT("EHLO client.example\r\n"), pieces[_i]);
  ck_assert_ptr_nonnull(strstr(words(), "250-PIPELINING\r\n"));
  ck_assert_ptr_nonnull(strstr(words(), "250 SIZE 100000\r\n"));
  ck_assert_ptr_null(strstr(words(), "STARTTLS"));
  ck_assert_ptr_null(strstr(words(), "AUTH"));
  ck_assert_str_eq(codes(), "220 250 ");
  for (int i = 0; i < 3; i++) {
    feed(PARLEY_LIT("MAIL FROM:<ana@example.org> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<support@Shop.example>\r\nDATA\r\n"),
         pieces[_i]);
    ck_assert_str_eq(codes(), "250 250 354 ");
    feed(PARLEY_LIT("A: b\r\n\r\n..dots\r\nx\r\n.\r\n"), pieces[_i]);
    ck_assert_str_eq(codes(), "250 ");
  }
  client("QUIT\r\n");
  ck_assert_str_eq(codes(), "221 ");
  ck_assert(closed);
  ck_assert_uint_eq(n_mails, 3);
  buf_char(&got, '\0');
  ck_assert_ptr_nonnull(
      strstr(got.at, "first ana@example.org support@shop.example\nmail A: b\r\n\r\n.dots\r\nx\r\n|first"));
}
END_TEST

START_TEST(lmtp_answers_for_each_recipient)
{
  begin(SMTP_SERVE_LMTP);
  client("EHLO a\r\n");
  ck_assert_str_eq(codes(), "220 500 ");
  client("LHLO a\r\n");
  codes();
  client("MAIL FROM:<>\r\nRCPT TO:<a@shop.example>\r\nRCPT TO:<nobody@shop.example>\r\nRCPT "
         "TO:<b@shop.example>\r\nDATA\r\n");
  ck_assert_str_eq(codes(), "250 250 550 250 354 ");
  verdict = (struct smtp_serve_reply){.code = 452, .subject = 2, .detail = 2, .words = PARLEY_LIT("full")};
  client("A: b\r\n\r\nx\r\n.\r\n");
  ck_assert_str_eq(words(), "452 4.2.2 full\r\n250 2.0.0 kept\r\n");
}
END_TEST

START_TEST(a_mail_that_finds_no_room_is_read_to_its_end_and_may_come_again)
{
  char line[1002];

  memset(line, 'x', 998);
  memcpy(line + 998, "\r\n", 3);
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  for (int i = 0; i < 2; i++) {
    held_max = i == 0 ? 20000 : SIZE_MAX;
    client("MAIL FROM:<>\r\nRCPT TO:<a@shop.example>\r\nDATA\r\n");
    codes();
    for (int lines = 0; lines < 40; lines++)
      client(line);
    ck_assert(i == 0 ? held == 0 : held >= 40000);
    client(".\r\n");
    ck_assert_str_eq(codes(), i == 0 ? "452 " : "250 ");
    ck_assert_uint_eq(held, 0);
    ck_assert_int_eq((int)n_mails, i);
  }
}
END_TEST

START_TEST(one_answer_for_several_in_smtp)
{
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  for (uint32_t code = 250; code <= 550; code += 100) {
    client("MAIL FROM:<>\r\nRCPT TO:<a@shop.example>\r\nRCPT TO:<b@shop.example>\r\nDATA\r\n");
    codes();
    verdict = (struct smtp_serve_reply){.code = code, .words = PARLEY_LIT("so")};
    client("A: b\r\n\r\nx\r\n.\r\n");
    ck_assert_str_eq(codes(), code == 450 ? "450 " : code == 550 ? "550 " : "250 ");
    code += code == 250 ? 100 : 0;
  }
}
END_TEST

START_TEST(an_answer_that_comes_later_holds_the_client)
{
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  codes();
  later = true;
  client(ENVELOPE "NOOP\r\n");
  ck_assert_str_eq(codes(), "250 ");
  ck_assert(held_recipient && !reading);
  smtp_serve_recipient(serve, &ok);
  ck_assert_str_eq(codes(), "250 ");
  ck_assert(reading);
  smtp_serve_recipient(serve, &ok); /* nobody asked */
  client("DATA\r\n");
  client("A: b\r\n\r\n.\r\n");
  ck_assert_str_eq(codes(), "250 354 ");
  ck_assert(held_mail && reading); /* whoever waits for the answer need not be stopped */
  answer_mail();
  ck_assert_str_eq(codes(), "250 ");
}
END_TEST

START_TEST(who_does_not_wait_for_an_answer_is_stopped)
{
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  client("MAIL FROM:<>\r\n");
  later = true;
  client("RCPT TO:<a@shop.example>\r\n");
  codes();
  ck_assert(held_recipient && reading);
  client("NOOP\r\n");
  ck_assert(!reading);
  ck_assert_str_eq(codes(), "");
  smtp_serve_recipient(serve, &ok);
  ck_assert(reading);
  client("NOOP\r\n");
  ck_assert_str_eq(codes(), "250 250 250 ");
}
END_TEST

START_TEST(chunks_make_a_mail)
{
  begin(SMTP_SERVE_LMTP);
  client("LHLO a\r\n");
  codes();
  feed(PARLEY_LIT(ENVELOPE "BDAT 8\r\nA: b\r\n\r\nBDAT 4 LAST\r\n.\r\n\n"), pieces[_i]);
  ck_assert_str_eq(codes(), "250 250 250 550 "); /* a bare LF */
  feed(PARLEY_LIT(ENVELOPE "BDAT 8\r\nA: b\r\n\r\nBDAT 6 LAST\r\n.\r\nx\r\nBDAT 1\r\nx"), pieces[_i]);
  ck_assert_str_eq(codes(), "250 250 250 250 503 ");
  ck_assert_uint_eq(n_mails, 1);
  buf_char(&got, '\0');
  ck_assert_ptr_nonnull(strstr(got.at, "mail A: b\r\n\r\n.\r\nx\r\n|"));
  client(ENVELOPE "BDAT 2\r\nxxDATA\r\n");
  ck_assert_str_eq(codes(), "250 250 250 503 ");
  client("RSET\r\nBDAT x\r\n");
  ck_assert(closed);
}
END_TEST

/* --- Logins and TLS ----------------------------------------------------------------------------------------------- */
START_TEST(a_login_needs_tls_and_a_mail_a_login)
{
  begin(SMTP_SERVE_SUBMISSION);
  config.starttls = config.tls_needed = true;
  client("EHLO a\r\n");
  ck_assert_ptr_nonnull(strstr(words(), "250-STARTTLS\r\n"));
  ck_assert_ptr_null(strstr(words(), "AUTH"));
  codes();
  client("AUTH PLAIN AGEAa2V5\r\n");
  client("MAIL FROM:<a@b.example>\r\n");
  ck_assert_str_eq(codes(), "538 530 ");
  client("STARTTLS\r\n");
  ck_assert_str_eq(codes(), "220 ");
  ck_assert_uint_eq(secured, 1);
  smtp_serve_opened(serve, true);
  client("MAIL FROM:<a@b.example>\r\n");
  ck_assert_str_eq(codes(), "503 "); /* EHLO again */
  client("EHLO a\r\n");
  ck_assert_ptr_nonnull(strstr(words(), "250-AUTH PLAIN LOGIN\r\n"));
  codes();
  client("MAIL FROM:<a@b.example>\r\n");
  ck_assert_str_eq(codes(), "530 ");
  client("AUTH PLAIN AGEAa2V5\r\n"); /* a, key */
  ck_assert_str_eq(codes(), "235 ");
  client(ENVELOPE);
  ck_assert_str_eq(codes(), "250 250 ");
}
END_TEST

static const struct {
  const char *say[4];
  const char *codes, *got;
} logins[] = {
    {{"AUTH PLAIN\r\n", "AGEAa2V5\r\n"}, "334 235 ", "login a key\n"},
    {{"AUTH LOGIN\r\n", "YQ==\r\n", "a2V5\r\n"}, "334 334 235 ", "login a key\n"},
    {{"auth login YQ==\r\n", "a2V5\r\n"}, "334 235 ", "login a key\n"},
    {{"AUTH PLAIN AGEAbm8=\r\n"}, "535 ", "login a no\n"},
    {{"AUTH PLAIN =\r\n"}, "501 ", ""},
    {{"AUTH PLAIN !!!!\r\n"}, "501 ", ""},
    {{"AUTH PLAIN YQBhAA==\r\n"}, "501 ", ""},
    {{"AUTH PLAIN\r\n", "*\r\n"}, "334 501 ", ""},
    {{"AUTH CRAM-MD5\r\n"}, "504 ", ""},
    {{"AUTH\r\n"}, "504 ", ""},
    {{"AUTH PLAIN AGEAbm8=\r\n", "AUTH PLAIN AGEAbm8=\r\n", "AUTH PLAIN AGEAbm8=\r\n"},
     "535 535 421 ",
     "login a no\nlogin a no\nlogin a no\n"},
    {{"AUTH PLAIN AGEAa2V5\r\n", "AUTH PLAIN AGEAa2V5\r\n"}, "235 503 ", "login a key\n"},
};

START_TEST(logins_by_plain_and_login)
{
  begin(SMTP_SERVE_SUBMISSION);
  config.clear_auth = true;
  client("EHLO a\r\n");
  codes();
  for (size_t i = 0; i < 4 && logins[_i].say[i] != NULL; i++)
    client(logins[_i].say[i]);
  ck_assert_str_eq(codes(), logins[_i].codes);
  buf_char(&got, '\0');
  ck_assert_str_eq(got.at, logins[_i].got);
}
END_TEST

/* --- Bad inputs: B53, B55, B56 ------------------------------------------------------------------------------------ */
static const struct {
  const char *data;
  const char *codes;
  bool drop;
} smuggles[] = {
    {"A: b\r\n\r\nx\n.\nMAIL FROM:<e@vil.example>\r\n", "550 421 ", true},
    {"A: b\r\n\r\nx\r\n.\nMAIL FROM:<e@vil.example>\r\n", "550 421 ", true},
    {"A: b\r\n\r\nx\n.\r\nMAIL FROM:<e@vil.example>\r\n", "550 421 ", true},
    {"A: b\r\n\r\nx\r.\rMAIL FROM:<e@vil.example>\r\n", "550 421 ", true},
    {"A: b\r\n\r\nx\r.\r\nMAIL FROM:<e@vil.example>\r\n", "550 421 ", true},
    {"A: b\r\n\r\nx\r\n.\rMAIL FROM:<e@vil.example>\r\n", "550 421 ", true},
    {"A: b\r\n\r\na bare\nline feed\r\n.\r\n", "550 ", false},
    {"A: b\r\n\r\na bare\rcarriage return\r\n.\r\n", "550 ", false},
    {"A: b\r\n\r\nx\n..\r\n.\r\n", "550 ", false},
    {"A: b\r\n\r\nx\r\n..\r\n.\r\n", "250 ", false},
    {".\r\n", "250 ", false},
};

START_TEST(two_mails_never_come_out_of_one)
{
  for (size_t i = 0; i < COUNT(pieces); i++) {
    begin(SMTP_SERVE_LMTP);
    client("LHLO a\r\n");
    client(ENVELOPE "DATA\r\n");
    codes();
    feed(parley_text_of(smuggles[_i].data), pieces[i]);
    ck_assert_str_eq(codes(), smuggles[_i].codes);
    ck_assert(closed == smuggles[_i].drop);
    ck_assert_uint_eq(n_mails, smuggles[_i].codes[0] == '2');
  }
}
END_TEST

static const struct {
  const char *say, *codes;
  bool drop;
} groups[] = {
    {"EHLO a\r\nMAIL FROM:<a@b.example>\r\n", "503 ", true},
    {"STARTTLS\r\nMAIL FROM:<a@b.example>\r\n", "503 ", true},
    {"EHLO a\r\n|" ENVELOPE "DATA\r\nA: b\r\n\r\nx\r\n.\r\n", "250 250 250 503 ", true},
    {"EHLO a\r\n|AUTH PLAIN AGEAa2V5\r\nNOOP\r\n", "250 503 ", true},
    {"EHLO a\r\n|NOOP\r\nRSET\r\nNOOP\r\n", "250 250 250 250 ", false},
    {"MAIL FROM:<a@b.example>\r\n", "503 ", false},
    {"EHLO a\r\n|RCPT TO:<a@b.example>\r\n", "250 503 ", false},
    {"EHLO a\r\n|DATA\r\n", "250 503 ", false},
    {"EHLO a\r\n|MAIL FROM:<a@b.example>\r\nDATA\r\n", "250 250 503 ", false},
    {"EHLO a\r\n|MAIL FROM:<a@b.example>\r\nMAIL FROM:<a@b.example>\r\n", "250 250 503 ", false},
    {"EHLO a\r\n|MAIL FROM:a@b.example\r\n", "250 501 ", false},
    {"EHLO a\r\n|MAIL FROM:<a@b.example> X=y\r\n", "250 555 ", false},
    {"EHLO a\r\n|MAIL FROM:<a@b.example> SIZE=100001\r\n", "250 552 ", false},
    {"EHLO a\r\n|MAIL FROM:<a@b.example> SIZE=x\r\n", "250 555 ", false},
    {"EHLO a\r\n|MAIL FROM:<a b@c.example>\r\n", "250 553 ", false},
    {"EHLO a\r\n|MAIL FROM: <@x.example:a@b.example>\r\nRCPT TO:<postmaster>\r\n", "250 250 250 ", false},
    {"EHLO a\r\n|MAIL FROM:<n\xc3\xb1@b.example>\r\n", "250 553 ", false},
    {"EHLO a\r\n|MAIL FROM:<n\xc3\xb1@b.example> SMTPUTF8\r\nRCPT TO:<\xc3\xa1@b.example>\r\n", "250 250 250 ", false},
    {"EHLO a\r\n|MAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:<a@b.example> NOTIFY=NEVER\r\n", "250 250 553 555 ", false},
    {"EHLO\r\n|VRFY a\r\nEXPN a\r\nFOO\r\nHELP\r\n", "501 502 502 500 214 ", false},
    {"NOOP\n", "500 ", false},
    {"NO\rOP\r\n", "500 ", false},
    {"HELO a\r\n|\r\n", "250 500 ", false},
};

START_TEST(commands_out_of_place_are_refused)
{
  const char *at = groups[_i].say, *bar;

  begin(SMTP_SERVE_SMTP);
  codes();
  for (; (bar = strchr(at, '|')) != NULL; at = bar + 1)
    feed((parley_text){at, (size_t)(bar - at)}, 0);
  client(at);
  ck_assert_str_eq(codes(), groups[_i].codes);
  ck_assert(closed == groups[_i].drop);
  ck_assert_uint_eq(n_mails, 0);
}
END_TEST

START_TEST(a_nul_in_a_command_is_refused)
{
  begin(SMTP_SERVE_SMTP);
  codes();
  feed(PARLEY_LIT("NO\0OP\r\n"), 0);
  ck_assert_str_eq(codes(), "500 ");
}
END_TEST

START_TEST(a_line_ends_at_its_limit)
{
  struct buf line = BUF_INIT(0);

  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  codes();
  buf_str(&line, "NOOP ");
  while (line.len < SMTP_SERVE_LINE_MAX - 2)
    buf_char(&line, 'x');
  buf_str(&line, "\r\n");
  feed(buf_as_text(&line), pieces[_i]);
  ck_assert_str_eq(codes(), "250 ");
  line.len -= 2;
  buf_str(&line, "x\r\n");
  ck_assert_uint_eq(line.len, SMTP_SERVE_LINE_MAX + 1);
  feed(buf_as_text(&line), pieces[_i]);
  client("NOOP\r\n");
  ck_assert_str_eq(codes(), "500 250 ");
  buf_done(&line);
}
END_TEST

START_TEST(a_long_text_line_is_never_cut)
{
  struct buf line = BUF_INIT(0);

  begin(SMTP_SERVE_SMTP);
  config.mail_max = 3 << 20;
  client("EHLO a\r\n");
  client(ENVELOPE "DATA\r\n");
  codes();
  buf_str(&line, "A: b\r\n\r\n");
  while (line.len < 1 << 20)
    buf_str(&line, "long \xf1 line ");
  buf_text(&line, PARLEY_LIT("\0\r\n.\r\n"));
  feed(buf_as_text(&line), 4096);
  ck_assert_str_eq(codes(), "250 ");
  ck_assert_uint_eq(got.len - strlen("first ana@example.org support@shop.example\nmail |"), line.len - 3);
  buf_done(&line);
}
END_TEST

START_TEST(a_mail_too_large_is_refused_and_the_next_one_taken)
{
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  client(ENVELOPE "DATA\r\n");
  codes();
  for (size_t i = 0; i < 2000; i++)
    client("A line of more than fifty bytes, two thousand times over.\r\n");
  client(".\r\n");
  ck_assert_str_eq(codes(), "552 ");
  client(ENVELOPE "DATA\r\n");
  client("A: b\r\n\r\nx\r\n.\r\n");
  ck_assert_str_eq(codes(), "250 250 354 250 ");
}
END_TEST

START_TEST(recipients_end_at_their_limit)
{
  begin(SMTP_SERVE_LMTP);
  client("LHLO a\r\n");
  client("MAIL FROM:<>\r\n");
  for (uint32_t i = 0; i < SMTP_SERVE_RECIPIENTS_MAX; i++)
    client("RCPT TO:<a@shop.example>\r\n");
  codes();
  client("RCPT TO:<a@shop.example>\r\n");
  ck_assert_str_eq(codes(), "452 ");
  client("DATA\r\n");
  client("A: b\r\n\r\nx\r\n.\r\n");
  ck_assert_uint_eq(mail_recipients, SMTP_SERVE_RECIPIENTS_MAX);
}
END_TEST

START_TEST(too_many_errors_end_the_connection)
{
  begin(SMTP_SERVE_SMTP);
  for (uint32_t i = 0; i <= SMTP_SERVE_ERRORS_MAX; i++) {
    ck_assert(!closed);
    client("FOO\r\n");
  }
  ck_assert(closed);
}
END_TEST

/* --- Time --------------------------------------------------------------------------------------------------------- */
START_TEST(who_is_silent_or_slow_is_sent_away)
{
  begin(SMTP_SERVE_SMTP);
  now_ms += SMTP_SERVE_COMMAND_MS - 1;
  smtp_serve_sweep(serve);
  ck_assert(!closed);
  now_ms++;
  smtp_serve_sweep(serve);
  ck_assert(closed);
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  client(ENVELOPE "DATA\r\n");
  for (int64_t ms = 0; ms < SMTP_SERVE_MAIL_MS; ms += SMTP_SERVE_BLOCK_MS / 2) {
    ck_assert(!closed);
    now_ms += SMTP_SERVE_BLOCK_MS / 2;
    client("x"); /* a byte now and then */
    smtp_serve_sweep(serve);
  }
  ck_assert(closed);
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  later = true;
  client(ENVELOPE);
  now_ms += 10 * SMTP_SERVE_COMMAND_MS; /* ours to answer, not the client's */
  smtp_serve_sweep(serve);
  ck_assert(!closed);
}
END_TEST

START_TEST(draining_finishes_what_is_under_way)
{
  begin(SMTP_SERVE_SMTP);
  smtp_serve_drain(serve);
  ck_assert_str_eq(codes(), "220 421 ");
  ck_assert(closed);
  begin(SMTP_SERVE_SMTP);
  client("EHLO a\r\n");
  client(ENVELOPE "DATA\r\n");
  codes();
  smtp_serve_drain(serve);
  ck_assert(!closed);
  client("A: b\r\n\r\nx\r\n.\r\n");
  ck_assert_str_eq(codes(), "250 421 ");
  ck_assert(closed);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("smtp_serve");
  TCase *tcase = tcase_create("serve");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, NULL, end);
  tcase_add_loop_test(tcase, mails_come_in_one_after_the_other, 0, COUNT(pieces));
  tcase_add_test(tcase, lmtp_answers_for_each_recipient);
  tcase_add_test(tcase, a_mail_that_finds_no_room_is_read_to_its_end_and_may_come_again);
  tcase_add_test(tcase, one_answer_for_several_in_smtp);
  tcase_add_test(tcase, an_answer_that_comes_later_holds_the_client);
  tcase_add_test(tcase, who_does_not_wait_for_an_answer_is_stopped);
  tcase_add_loop_test(tcase, chunks_make_a_mail, 0, COUNT(pieces));
  tcase_add_test(tcase, a_login_needs_tls_and_a_mail_a_login);
  tcase_add_loop_test(tcase, logins_by_plain_and_login, 0, COUNT(logins));
  tcase_add_loop_test(tcase, two_mails_never_come_out_of_one, 0, COUNT(smuggles));
  tcase_add_loop_test(tcase, commands_out_of_place_are_refused, 0, COUNT(groups));
  tcase_add_test(tcase, a_nul_in_a_command_is_refused);
  tcase_add_loop_test(tcase, a_line_ends_at_its_limit, 0, COUNT(pieces));
  tcase_add_test(tcase, a_long_text_line_is_never_cut);
  tcase_add_test(tcase, a_mail_too_large_is_refused_and_the_next_one_taken);
  tcase_add_test(tcase, recipients_end_at_their_limit);
  tcase_add_test(tcase, too_many_errors_end_the_connection);
  tcase_add_test(tcase, who_is_silent_or_slow_is_sent_away);
  tcase_add_test(tcase, draining_finishes_what_is_under_way);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
