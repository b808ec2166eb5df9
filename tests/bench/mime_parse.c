/* mime_parse - how fast mails come apart, against GMime alone on the same mails: parsed, every header shown, every part
 * decoded.
 *
 * usage: mime_parse [-n ROUNDS=2000]
 * Prints {mails, bytes, gmime_us, parley_us, ratio}: CPU of one round over all mails; ratio: GMime's over ours. */
#include "email/mail_parse.h"
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAILS = 6, ROUNDS = 2000, TURNS = 20 };
static GString *mails[MAILS];

/* --- The mails: what customers send ------------------------------------------------------------------------------- */
static GString *head(const char *type)
{
  GString *mail = g_string_new("Return-Path: <ana@example.org>\r\n");

  for (int i = 0; i < 5; i++)
    g_string_append_printf(
        mail,
        "Received: from mx%d.example.org (mx%d.example.org [192.0.2.%d])\r\n\tby mx.shop.example (Postfix) with "
        "ESMTPS id 4Sx%dAB3;\r\n\tFri, 27 Nov 2026 10:00:0%d +0100 (CET)\r\n",
        i, i, i, i, i);
  g_string_append_printf(
      mail,
      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=mail;\r\n\th=from:to:subject:date;"
      " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=%064d\r\n"
      "From: =?utf-8?q?Ana_L=C3=B3pez?= <ana@example.org>\r\nTo: Shop support <support@shop.example>\r\n"
      "Subject: =?utf-8?q?Re=3A_=C2=BFD=C3=B3nde_est=C3=A1_mi_pedido=3F?=\r\nDate: Fri, 27 Nov 2026 10:00:00 +0100\r\n"
      "Message-ID: <a1@example.org>\r\nIn-Reply-To: <b2@shop.example>\r\nReferences: <x0@shop.example>\r\n"
      " <b2@shop.example>\r\nMIME-Version: 1.0\r\nContent-Type: %s\r\n",
      7, type);
  return mail;
}

static void text_add(GString *mail, int lines)
{
  for (int i = 0; i < lines; i++)
    g_string_append_printf(mail, "This is line %d of what Ana wrote about her order, her cat and the weather.\r\n", i);
  g_string_append(mail, "\r\nOn Fri, 27 Nov 2026 at 09:00, Shop <orders@shop.example> wrote:\r\n");
  for (int i = 0; i < lines; i++)
    g_string_append_printf(mail, "> This is line %d of what the shop had written about order 1042.\r\n", i);
}

static void html_add(GString *mail, int lines)
{
  g_string_append(mail, "<html><body>");
  for (int i = 0; i < lines; i++)
    g_string_append_printf(
        mail, "<p style=\"margin:0\">Line <b>%d</b> of what Ana wrote about her order and the weather.</p>\r\n", i);
  g_string_append(mail, "<div class=\"gmail_quote\"><blockquote>");
  for (int i = 0; i < lines; i++)
    g_string_append_printf(mail, "<p>Line %d of what the shop had written.</p>\r\n", i);
  g_string_append(mail, "</blockquote></div></body></html>\r\n");
}

static void base64_add(GString *mail, size_t bytes)
{
  guchar *data = g_malloc(bytes);
  char *text;

  for (size_t i = 0; i < bytes; i++)
    data[i] = (guchar)(i * 7 + i / 255);
  text = g_base64_encode(data, bytes);
  for (size_t i = 0, len = strlen(text); i < len; i += 76)
    g_string_append_printf(mail, "%.76s\r\n", text + i);
  g_free(text);
  g_free(data);
}

static void alternative_add(GString *mail, int lines)
{
  g_string_append(mail, "\r\n--alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
  text_add(mail, lines);
  g_string_append(mail,
                  "\r\n--alt\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
  html_add(mail, lines);
  g_string_append(mail, "\r\n--alt--\r\n");
}

static void mails_make(void)
{
  mails[0] = head("text/plain; charset=utf-8");
  g_string_append(mails[0], "\r\nYes, please.\r\n");
  mails[1] = head("text/plain; charset=utf-8");
  g_string_append(mails[1], "\r\n");
  text_add(mails[1], 20);
  mails[2] = head("multipart/alternative; boundary=alt");
  alternative_add(mails[2], 20);
  mails[3] = head("multipart/mixed; boundary=mix");
  g_string_append(mails[3], "\r\n--mix\r\nContent-Type: multipart/alternative; boundary=alt\r\n");
  alternative_add(mails[3], 10);
  g_string_append(mails[3],
                  "\r\n--mix\r\nContent-Type: image/jpeg; name=\"photo.jpg\"\r\nContent-Disposition: attachment;\r\n"
                  " filename=\"photo.jpg\"\r\nContent-Transfer-Encoding: base64\r\n\r\n");
  base64_add(mails[3], 50000);
  g_string_append(mails[3], "--mix--\r\n");
  mails[4] = head("text/html; charset=utf-8");
  g_string_append(mails[4], "\r\n");
  html_add(mails[4], 200);
  mails[5] = head("text/plain; charset=iso-8859-1");
  g_string_append(mails[5], "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
  for (int i = 0; i < 40; i++)
    g_string_append(mails[5],
                    "=BFD=F3nde est=E1 mi pedido? Lo esperaba ma=F1ana, y no ha llegado todav=EDa =\r\na casa.\r\n");
}

/* --- The two ways ------------------------------------------------------------------------------------------------- */
static size_t decoded;

static void part_decode(GMimeObject *parent, GMimeObject *part, gpointer arg)
{
  GMimeStream *to;

  (void)parent;
  (void)arg;
  if (!GMIME_IS_PART(part))
    return;
  if (GMIME_IS_TEXT_PART(part)) {
    char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(part));

    decoded += strlen(text);
    g_free(text);
    return;
  }
  to = g_mime_stream_mem_new();
  decoded += (size_t)g_mime_data_wrapper_write_to_stream(g_mime_part_get_content(GMIME_PART(part)), to);
  g_object_unref(to);
}

static void gmime_alone(const GString *mail)
{
  GMimeStream *stream = g_mime_stream_mem_new_with_buffer(mail->str, mail->len);
  GMimeParser *parser = g_mime_parser_new_with_stream(stream);
  GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
  GMimeHeaderList *headers = g_mime_object_get_header_list(GMIME_OBJECT(message));

  for (int i = 0; i < g_mime_header_list_get_count(headers); i++)
    decoded += strlen(g_mime_header_get_value(g_mime_header_list_get_header_at(headers, i)));
  decoded += (size_t)internet_address_list_length(g_mime_message_get_from(message));
  g_mime_message_foreach(message, part_decode, NULL);
  g_object_unref(message);
  g_object_unref(parser);
  g_object_unref(stream);
}

static void parley_whole(const GString *mail)
{
  const struct mail_parse_source source = {.raw = {mail->str, mail->len}};
  struct mail_in in;

  if (mail_parse(&source, &in) != PARLEY_OK)
    abort();
  decoded += in.text.len;
  mail_in_done(&in);
}

static double cpu_us(void)
{
  struct timespec now;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double rounds(void (*way)(const GString *), long n)
{
  double before = cpu_us();

  for (long i = 0; i < n; i++)
    for (int j = 0; j < MAILS; j++)
      way(mails[j]);
  return cpu_us() - before;
}

int main(int argc, char **argv)
{
  double theirs = 0, ours = 0;
  size_t bytes = 0;
  long n = ROUNDS;

  for (int option; (option = getopt(argc, argv, "n:")) != -1;)
    n = option == 'n' ? strtol(optarg, NULL, 10) : 0;
  if (n < TURNS) {
    fprintf(stderr, "usage: mime_parse [-n ROUNDS], at least %d\n", TURNS);
    return 2;
  }
  g_mime_init();
  mails_make();
  for (int i = 0; i < MAILS; i++)
    bytes += mails[i]->len;
  for (int turn = 0; turn < TURNS; turn++) { /* in turns, so that whatever else the machine does hits both */
    theirs += rounds(gmime_alone, n / TURNS);
    ours += rounds(parley_whole, n / TURNS);
  }
  printf(
      "{\"mails\": %d, \"bytes\": %zu, \"gmime_us\": %.1f, \"parley_us\": %.1f, \"ratio\": %.3f, \"decoded\": %zu}\n",
      MAILS, bytes, theirs / (double)n, ours / (double)n, theirs / ours, decoded);
  return 0;
}
