// sources: plugins/email/mail_parse.c plugins/email/mail_body.c plugins/email/mail_clean.c plugins/email/mail_quote.c
// sources: plugins/email/mail_address.c plugins/email/mail_compose.c plugins/email/mail_head.c
// libraries: PkgConfig::GMIME PkgConfig::IDN
/* Mails into what a message is made of. */
#include "core/base/buf.h"
#include "email/mail_compose.h"
#include "email/mail_parse.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* debug builds and sanitizers take their time */
#define PARLEY_TEST_SLOWER 10
#else
#define PARLEY_TEST_SLOWER 2
#endif

static struct mail_composer *composer;
static struct mail_in mail;
static struct buf raw;

static void begin(void)
{
  composer = mail_composer_new();
}

static void end(void)
{
  mail_in_done(&mail);
  buf_done(&raw);
  mail_composer_free(&composer);
}

static void parse_bytes(parley_bytes bytes, bool null_sender, const char *recipient)
{
  parley_text to = parley_text_of(recipient);
  const struct mail_parse_source source = {.raw = bytes,
                                           .has_envelope = recipient != NULL,
                                           .return_path = null_sender ? PARLEY_LIT("") : PARLEY_LIT("ana@example.org"),
                                           .recipients = &to,
                                           .n_recipients = recipient != NULL};

  mail_in_done(&mail);
  ck_assert_int_eq(mail_parse(&source, &mail), PARLEY_OK);
}

/* Lines of the test end by LF; the mail's by CRLF. */
static void parse(const char *text)
{
  buf_clear(&raw);
  for (; *text != '\0'; text++) {
    if (*text == '\n')
      buf_char(&raw, '\r');
    buf_char(&raw, *text);
  }
  parse_bytes(buf_as_text(&raw), false, NULL);
}

#define HEAD "From: Ana <ana@Example.ORG>\nTo: support@shop.example\nSubject: Hello\n"
static void is(parley_text got, const char *want)
{
  ck_assert_msg(parley_text_is(got, want), "'%.*s' instead of '%s'", (int)got.len, got.at, want);
}

/* --- The main job ------------------------------------------------------------------------------------------------- */
START_TEST(a_mail_of_text_html_and_files_comes_apart)
{
  parse("From: =?utf-8?q?Ana_L=C3=B3pez?= <ana@Example.ORG>\n"
        "To: \"Shop, support\" <support@shop.example>, info@shop.example\nCc: Bob <bob@example.net>\n"
        "Reply-To: ana.lopez@example.com\nSubject: =?iso-8859-1?Q?=BFD=F3nde_est=E1?=\n =?utf-8?B?IG1pIHBlZGlkbz8=?=\n"
        "Message-ID: <a1@example.org>\nIn-Reply-To: <b2@shop.example>\nReferences: <x0@shop.example>\n "
        "<b2@shop.example>\n"
        "Date: Fri, 27 Nov 2026 10:00:00 +0100\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"out\"\n\n"
        "--out\nContent-Type: multipart/alternative; boundary=in\n\n"
        "--in\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nHola, "
        "=BFd=F3nde?\n"
        "--in\nContent-Type: text/html; charset=utf-8\n\n<p>Hola <img src=\"cid:pic@1\"></p>\n--in--\n"
        "--out\nContent-Type: image/PNG; name=\"pic.png\"\nContent-ID: <pic@1>\nContent-Transfer-Encoding: base64\n"
        "Content-Disposition: inline\n\niVBORw0K\n"
        "--out\nContent-Type: application/pdf\nContent-Disposition: attachment;\n "
        "filename*=utf-8''factura%20n%C2%BA1.pdf\n\n%PDF\n"
        "--out--\n");
  is(mail.from.name, "Ana López");
  is(mail.from.address, "ana@example.org");
  ck_assert_uint_eq(mail.n_to, 2);
  is(mail.to[0].name, "Shop, support");
  is(mail.to[1].address, "info@shop.example");
  is(mail.cc[0].address, "bob@example.net");
  is(mail.reply_to[0].address, "ana.lopez@example.com");
  is(mail.subject, "¿Dónde está mi pedido?");
  is(mail.message_id, "a1@example.org");
  is(mail.in_reply_to, "b2@shop.example");
  ck_assert_uint_eq(mail.n_references, 2);
  is(mail.references[0], "x0@shop.example");
  ck_assert_int_eq(mail.date_ms, INT64_C(1795770000000));
  is(mail.text, "Hola, ¿dónde?");
  is(mail.html, "<p>Hola <img src=\"cid:pic@1\"></p>");
  ck_assert_uint_eq(mail.html_fresh, mail.html.len);
  ck_assert_uint_eq(mail.n_files, 2);
  is(mail.files[0].type, "image/png");
  is(mail.files[0].name, "pic.png");
  is(mail.files[0].content_id, "pic@1");
  ck_assert(mail.files[0].shown && !mail.files[1].shown);
  ck_assert_uint_eq(mail.files[0].data.len, 6);
  is(mail.files[1].name, "factura nº1.pdf");
  ck_assert(!mail.automatic && !mail.report && !mail.limited && !mail.ambiguous);
}
END_TEST

/* --- What was written, and what stood there already --------------------------------------------------------------- */
static const struct {
  const char *body, *text, *quoted;
} histories[] = {
    {"Yes please.\n\nOn Fri, 27 Nov 2026 at 10:00, Shop <a@shop.example> wrote:\n> Do you want it?\n> Shop\n",
     "Yes please.", "On Fri, 27 Nov 2026 at 10:00, Shop <a@shop.example> wrote:\n> Do you want it?\n> Shop\n"},
    {"Sí.\n\nEl vie, 27 nov 2026 a las 10:00, Tienda de la esquina\n(<orders@shop.example>) escribió:\n\n> ¿Lo "
     "quiere?\n",
     "Sí.",
     "El vie, 27 nov 2026 a las 10:00, Tienda de la esquina\n(<orders@shop.example>) escribió:\n\n> ¿Lo quiere?\n"},
    {"Ja.\n\nAm 27.11.2026 um 10:00 schrieb Shop:\n> Wollen Sie?\n", "Ja.",
     "Am 27.11.2026 um 10:00 schrieb Shop:\n> Wollen Sie?\n"},
    {"Fine.\n\n-----Original Message-----\nFrom: Shop\nWhatever comes here\n", "Fine.",
     "-----Original Message-----\nFrom: Shop\nWhatever comes here\n"},
    {"Fine.\n\n________________________________\nFrom: Shop <a@b.example>\nSent: Friday\nTo: Ana\nSubject: "
     "Order\n\nText\n",
     "Fine.",
     "________________________________\nFrom: Shop <a@b.example>\nSent: Friday\nTo: Ana\nSubject: Order\n\nText\n"},
    {"Bien.\n\nDe: Tienda\nEnviado: viernes\nPara: Ana\nAsunto: Pedido\n\nTexto\n", "Bien.",
     "De: Tienda\nEnviado: viernes\nPara: Ana\nAsunto: Pedido\n\nTexto\n"},
    {"Thanks.\n\n-- \nAna López\n+34 600 111 222\n", "Thanks.", "-- \nAna López\n+34 600 111 222\n"},
    {"Thanks.\n-- \nAna\n\nOn Friday Shop wrote:\n> Hi\n", "Thanks.", "-- \nAna\n\nOn Friday Shop wrote:\n> Hi\n"},
    {"On Friday Shop wrote:\n> Blue or red?\n\nBlue.\n", "Blue.", "On Friday Shop wrote:\n> Blue or red?\n"},
    /* Answers between the lines: all of it is what was written. */
    {"On Friday Shop wrote:\n> Blue or red?\nBlue.\n> Which size?\nLarge.\n",
     "On Friday Shop wrote:\n> Blue or red?\nBlue.\n> Which size?\nLarge.", ""},
    {"> Blue or red?\n", "> Blue or red?\n", ""},
    {"I wrote: please call me.\nAna\n", "I wrote: please call me.\nAna", ""},
    {"On Friday she wrote:\nI never got it.\n", "On Friday she wrote:\nI never got it.", ""},
    {"From: the heart\nI thank you\n", "From: the heart\nI thank you", ""},
    {"", "", ""},
};

START_TEST(history_and_signature_are_told_from_what_was_written)
{
  struct buf text = BUF_INIT(0);

  buf_str(&text, HEAD "Content-Type: text/plain; charset=utf-8\n\n");
  buf_str(&text, histories[_i].body);
  parse(text.at);
  is(mail.text, histories[_i].text);
  is(mail.quoted, histories[_i].quoted);
  buf_done(&text);
}
END_TEST

static const struct {
  const char *html;
  size_t fresh;
} pages[] = {
    {"<div>Yes</div><div class=\"gmail_quote\">On Friday</div>\n", 14},
    {"<p>Yes</p><BLOCKQUOTE TYPE=\"cite\">On Friday</blockquote>\n", 10},
    {"<p>Yes</p><div id=\"appendonsend\"></div><hr>\n", 10},
    {"<div class=\"gmail_quote\">a forward, nothing of their own</div>\n", SIZE_MAX},
    {"<style>p{}</style>&nbsp;<div class=\"gmail_quote\">likewise</div>\n", SIZE_MAX},
    {"<p>a < b and \"type=cite\"</p>\n", SIZE_MAX},
};

START_TEST(history_in_html_is_found_by_its_marks)
{
  struct buf text = BUF_INIT(0);

  buf_str(&text, HEAD "Content-Type: text/html\n\n");
  buf_str(&text, pages[_i].html);
  parse(text.at);
  ck_assert_uint_eq(mail.html_fresh, pages[_i].fresh == SIZE_MAX ? mail.html.len : pages[_i].fresh);
  is(mail.text, "");
  buf_done(&text);
}
END_TEST

/* Each line grows by a space. */
START_TEST(flowed_text_that_is_cited_without_spaces_gets_them)
{
  enum { LINES = 60000 };
  struct buf text = BUF_INIT(0);

  buf_str(&text, HEAD "Content-Type: text/plain; format=flowed\n\n");
  for (int i = 0; i < LINES; i++)
    buf_str(&text, ">x\n");
  buf_char(&text, '\0');
  parse(text.at);
  buf_done(&text);
  ck_assert_uint_eq(mail.whole.len, (size_t)4 * LINES);
  ck_assert(memcmp(mail.whole.at, "> x\n> x\n", 8) == 0);
}
END_TEST

START_TEST(flowed_text_is_joined)
{
  parse(HEAD "Content-Type: text/plain; format=flowed\n\nA long line that \ngoes on.\n Stuffed\n\n>> cited \n>> "
             "deep\n-- \nAna\n");
  is(mail.text, "A long line that goes on.\nStuffed");
  is(mail.quoted, ">> cited deep\n-- \nAna\n");
}
END_TEST

/* --- Automatic, loops, tokens ------------------------------------------------------------------------------------- */
static const struct {
  const char *header;
  bool automatic;
} kinds[] = {{"", false},
             {"Auto-Submitted: no\n", false},
             {"Auto-Submitted: No (yes, no)\n", false},
             {"Auto-Submitted: auto-replied\n", true},
             {"Auto-Submitted: auto-generated; owner=x\n", true},
             {"Precedence: bulk\n", true},
             {"Precedence: first-class\n", false},
             {"Precedence: auto_reply\n", true},
             {"X-Loop: shop\n", true},
             {"X-Auto-Response-Suppress: All\n", true},
             {"List-Id: <n.example>\n", true},
             {"Return-Path: <>\n", true},
             {"X-Parley-Ref: abc\n", true}};

START_TEST(automatic_mail_is_known_by_its_headers)
{
  struct buf text = BUF_INIT(0);

  buf_str(&text, kinds[_i].header);
  buf_str(&text, HEAD "\nGone until Monday\n");
  parse(text.at);
  ck_assert(mail.automatic == kinds[_i].automatic);
  is(mail.text, "Gone until Monday");
  buf_done(&text);
}
END_TEST

START_TEST(a_report_is_one_and_can_be_read_on)
{
  parse(HEAD "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry\n--b\n"
             "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; a@b.example\n"
             "Status: 5.1.1\n\n--b\nContent-Type: message/rfc822\n\nSubject: Order\n\nText\n--b--\n");
  ck_assert(mail.report && mail.automatic && mail.message != NULL);
  is(mail.text, "Sorry");
  ck_assert_uint_eq(mail.n_files, 2);
  is(mail.files[1].name, "Order.eml");
  ck_assert_uint_eq(mail.files[1].data.len, strlen("Subject: Order\r\n\r\nText"));
}
END_TEST

START_TEST(tokens_are_found_in_any_recipient)
{
  parse("From: a@b.example\nTo: Reply+ABC123@shop.example, x@y.example\nDelivered-To: unsubscribe+u1@shop.example\n"
        "Cc: reply+abc123@shop.example, bounce+b9@shop.example, log+@shop.example, reply+a-b@shop.example,"
        " ana+lists@shop.example, hola+0123456789abcdefghjkmnpqrstvw@shop.example\n\nHi\n");
  ck_assert_uint_eq(mail.n_tokens, 4);
  ck_assert_int_eq(mail.tokens[0].kind, MAIL_TOKEN_REPLY);
  is(mail.tokens[0].token, "abc123");
  is(mail.tokens[0].address, "Reply+ABC123@shop.example");
  ck_assert_int_eq(mail.tokens[1].kind, MAIL_TOKEN_BOUNCE);
  ck_assert_int_eq(mail.tokens[2].kind, MAIL_TOKEN_REPLY); /* the address of option reply may have any name */
  ck_assert_int_eq(mail.tokens[3].kind, MAIL_TOKEN_UNSUBSCRIBE);
}
END_TEST

START_TEST(the_envelope_counts_where_there_is_one)
{
  static const char text[] = "Subject: x\r\nTo: log+t1@shop.example\r\nReturn-Path: <x@y.example>\r\n\r\nHi\r\n";

  parse_bytes((parley_bytes){text, sizeof text - 1}, true, "log+t2@shop.example");
  ck_assert_uint_eq(mail.n_tokens, 1);
  is(mail.tokens[0].token, "t2");
  ck_assert(mail.null_sender && mail.automatic);
  is(mail.from.address, "");
  parse_bytes((parley_bytes){text, sizeof text - 1}, false, "a@b.example");
  is(mail.from.address, "ana@example.org");
  ck_assert(!mail.automatic);
}
END_TEST

/* --- Bad inputs: B61, B62, B65 ------------------------------------------------------------------------------------ */
static const struct {
  const char *mail, *text;
  bool ambiguous;
} odd[] = {
    {HEAD "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nIt never closes\n", "It never closes", true},
    {HEAD "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nEmpty\n----\n", NULL, false},
    {HEAD "Content-Type: multipart/mixed\n\nNone at all\n", NULL, false},
    {HEAD "Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain\n\n--b\n\nTwice\n--b--\n", NULL, true},
    {HEAD "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; "
          "boundary=bb\n\n--bb\n\nPrefix\n--bb--\n--b--\n",
     "Prefix", false},
    {HEAD "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n!!SG9s\n%%YQ\n=\n", "Hola",
     false},
    {HEAD "Content-Transfer-Encoding: base64\n\nSG9\nsYQ\n==\n", "Hola", false},
    {HEAD "Content-Transfer-Encoding: quoted-printable\n\nA=ZZ=4\nb=\n", NULL, false},
    {HEAD "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n~~~~~~\n`\nend\n", NULL, false},
    {HEAD "Content-Transfer-Encoding: no-such\n\nAs it is\n", "As it is", false},
    {HEAD "Content-Type: text/plain; charset=no-such\n\nAs it is\n", "As it is", false},
    {HEAD "Content-Type: text/plain; charset=utf-8\n\n\xf1o \xff\n", "ño ÿ", false},
    {HEAD "Content-Type: ; ;;\n\nNo type\n", NULL, false},
    {"From: <<>>, a@@b\nTo: ;;;\nSubject: \xff\xfe\n\nOdd\n", "Odd", false},
    {"Subject: no sender\n\nHi\n", "Hi", false},
    {"Subject: no body at all\n", "", false},
};

START_TEST(what_is_odd_is_read_as_far_as_it_goes)
{
  parse(odd[_i].mail);
  if (odd[_i].text != NULL)
    is(mail.text, odd[_i].text);
  ck_assert(mail.ambiguous == odd[_i].ambiguous);
}
END_TEST

START_TEST(nul_and_control_characters_leave_the_text)
{
  static const char text[] = HEAD "\na\0b\x1b[31mc\x7f\td\r\n\xc2\x9b"
                                  "e\rf";

  parse_bytes((parley_bytes){text, sizeof text - 1}, false, NULL);
  is(mail.text, "ab[31mc\td\ne\nf");
}
END_TEST

static const char *const no_mails[] = {"", "\n\nbody", "no header here\n", " : \n", "\0\0\0"};

START_TEST(no_mail_is_refused)
{
  const struct mail_parse_source source = {.raw = parley_text_of(no_mails[_i])};
  struct mail_in in = {0};

  ck_assert_int_eq(mail_parse(&source, &in), PARLEY_INVALID);
}
END_TEST

static const char *const names[][2] = {
    {"../../etc/cron.d/x", "x"},
    {"..\\\\x", "x"},
    {"C:\\\\x", "x"},
    {"/abs", "abs"},
    {".", "file-1.png"},
    {"..", "file-1.png"},
    {"...", "file-1.png"},
    {"", "file-1.png"},
    {".bashrc", "bashrc"},
    {"a/", "file-1.png"},
    {"invoice\u202Egpj.exe", "invoicegpj.exe"},
    {"con<>:|?*.txt", "con______.txt"},
    {"a\tb\x01.png", "a b.png"},
};

START_TEST(a_file_name_is_never_a_path)
{
  struct buf text = BUF_INIT(0);

  buf_printf(&text,
             HEAD "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n"
                  "Content-Disposition: attachment; filename=\"%s\"\n\nx\n--b--\n",
             names[_i][0]);
  parse(text.at);
  ck_assert_uint_eq(mail.n_files, 1);
  is(mail.files[0].name, names[_i][1]);
  buf_done(&text);
}
END_TEST

START_TEST(a_long_file_name_keeps_its_extension)
{
  struct buf text = BUF_INIT(0);

  buf_str(&text, HEAD "Content-Type: application/x\nContent-Disposition: attachment; filename=\"");
  for (size_t i = 0; i < 5000; i++)
    buf_char(&text, 'n');
  buf_str(&text, ".pdf\"\n\nx\n");
  parse(text.at);
  ck_assert_uint_eq(mail.files[0].name.len, MAIL_IN_FILE_NAME_MAX);
  ck_assert_int_eq(memcmp(mail.files[0].name.at + MAIL_IN_FILE_NAME_MAX - 5, "n.pdf", 5), 0);
  buf_done(&text);
}
END_TEST

/* --- Limits ------------------------------------------------------------------------------------------------------- */
static int64_t cpu_us(void)
{
  struct timespec now;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void nest(struct buf *to, size_t depth)
{
  buf_str(to, HEAD);
  for (size_t i = 0; i < depth; i++)
    buf_printf(to, "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", i, i);
  buf_str(to, "\r\nDeep\r\n");
}

START_TEST(depth_ends_at_its_limit)
{
  for (size_t depth = MAIL_IN_DEPTH_MAX - 1; depth <= MAIL_IN_DEPTH_MAX; depth++) {
    buf_clear(&raw);
    nest(&raw, depth);
    parse_bytes(buf_as_text(&raw), false, NULL);
    is(mail.text, depth < MAIL_IN_DEPTH_MAX ? "Deep" : "");
    ck_assert(mail.limited == (depth >= MAIL_IN_DEPTH_MAX));
  }
}
END_TEST

START_TEST(parts_end_at_their_limit)
{
  buf_str(&raw, HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
  for (size_t i = 0; i < 2 * MAIL_IN_PARTS_MAX; i++)
    buf_str(&raw, "--b\r\nContent-Type: image/png\r\n\r\nx\r\n");
  buf_str(&raw, "--b--\r\n");
  parse_bytes(buf_as_text(&raw), false, NULL);
  ck_assert(mail.limited);
  ck_assert_uint_eq(mail.n_files, MAIL_IN_FILES_MAX);
}
END_TEST

START_TEST(long_text_becomes_a_file_too)
{
  buf_str(&raw, HEAD "\r\n");
  for (size_t i = 0; i < 50000; i++)
    buf_str(&raw, "\"quoted\" line\r\n");
  parse_bytes(buf_as_text(&raw), false, NULL);
  ck_assert(mail.limited);
  ck_assert_uint_eq(mail.n_files, 1);
  ck_assert_uint_eq(mail.files[0].data.len, 50000 * 14);
  ck_assert_uint_lt(mail.text.len, MAIL_IN_TEXT_MAX);
}
END_TEST

START_TEST(a_header_too_large_is_no_mail)
{
  const struct mail_parse_source source = {.raw = {NULL, 0}};
  struct mail_parse_source given = source;
  struct mail_in in = {0};

  buf_str(&raw, "Subject: ");
  for (size_t i = 0; i <= MAIL_IN_HEADER_MAX; i++)
    buf_char(&raw, 'x');
  buf_str(&raw, "\r\n\r\nHi\r\n");
  given.raw = buf_as_text(&raw);
  ck_assert_int_eq(mail_parse(&given, &in), PARLEY_INVALID);
}
END_TEST

/* The same piece again and again, behind a head: what hostile mails are made of. */
static const struct {
  const char *head, *piece;
} floods[] = {
    {HEAD "\r\n", "--x\r\n"},
    {HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n\r\n"},
    {HEAD "\r\n", "a:\r\n"},
    {HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", "a:\r\n"},
    {HEAD "", "Content-Type: message/rfc822\r\n\r\n"},
    {HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
     "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"},
    {HEAD "To: ", "a@b.example,"},
    {HEAD "To: ", "a:"},
    {HEAD "To: ", "("},
    {HEAD "To: ", "\"<"},
    {HEAD "Subject: ", "=?utf-8?q?a?= "},
    {HEAD "Subject: ", "=?"},
    {HEAD "References: ", "<a@b>"},
    {HEAD "References: ", "<"},
    {HEAD "Content-Type: text/plain", ";a*0*=b"},
    {HEAD "Content-Type: text/plain", "; a=b"},
    {HEAD "\r\n", "On Friday Ana <a@b.example> wrote:\r\n> x\r\ny\r\n"},
    {HEAD "\r\n", "From: x\r\nSent: y\r\n"},
    {HEAD "\r\n", "-- \r\n"},
    {HEAD "\r\n", ">\r\n"},
    {HEAD "Content-Type: text/html\r\n\r\n", "<div "},
    {HEAD "Content-Type: text/html\r\n\r\n", "<div>"},
    {HEAD "Content-Type: text/html\r\n\r\n", "<blockquote>&nbsp;"},
    {HEAD "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "="},
    {HEAD "Content-Type: text/plain; charset=utf-8\r\n\r\n", "\xff"},
    {HEAD "Content-Type: text/plain; format=flowed\r\n\r\n", ">"},
};

START_TEST(no_flood_takes_more_than_100_ms_a_mib)
{
  enum { MIB = 1 << 20 };
  struct mail_parse_source source = {0};
  struct mail_in in = {0};
  int64_t before;

  buf_str(&raw, floods[_i].head);
  while (raw.len < MIB)
    buf_str(&raw, floods[_i].piece);
  buf_str(&raw, "\r\n\r\nend\r\n");
  source.raw = buf_as_text(&raw);
  before = cpu_us();
  if (mail_parse(&source, &in) == PARLEY_OK)
    mail_in_done(&in);
  ck_assert_int_lt(cpu_us() - before, 100000 * PARLEY_TEST_SLOWER);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("mail_parse");
  TCase *tcase = tcase_create("parse");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, a_mail_of_text_html_and_files_comes_apart);
  tcase_add_loop_test(tcase, history_and_signature_are_told_from_what_was_written, 0, COUNT(histories));
  tcase_add_loop_test(tcase, history_in_html_is_found_by_its_marks, 0, COUNT(pages));
  tcase_add_test(tcase, flowed_text_is_joined);
  tcase_add_test(tcase, flowed_text_that_is_cited_without_spaces_gets_them);
  tcase_add_loop_test(tcase, automatic_mail_is_known_by_its_headers, 0, COUNT(kinds));
  tcase_add_test(tcase, a_report_is_one_and_can_be_read_on);
  tcase_add_test(tcase, tokens_are_found_in_any_recipient);
  tcase_add_test(tcase, the_envelope_counts_where_there_is_one);
  tcase_add_loop_test(tcase, what_is_odd_is_read_as_far_as_it_goes, 0, COUNT(odd));
  tcase_add_test(tcase, nul_and_control_characters_leave_the_text);
  tcase_add_loop_test(tcase, no_mail_is_refused, 0, COUNT(no_mails));
  tcase_add_loop_test(tcase, a_file_name_is_never_a_path, 0, COUNT(names));
  tcase_add_test(tcase, a_long_file_name_keeps_its_extension);
  tcase_add_test(tcase, depth_ends_at_its_limit);
  tcase_add_test(tcase, parts_end_at_their_limit);
  tcase_add_test(tcase, long_text_becomes_a_file_too);
  tcase_add_test(tcase, a_header_too_large_is_no_mail);
  tcase_add_loop_test(tcase, no_flood_takes_more_than_100_ms_a_mib, 0, COUNT(floods));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
