// sources: plugins/email/mail_report.c plugins/email/mail_fields.c plugins/email/mail_bounce.c
// libraries: PkgConfig::GMIME
/* Whatever comes in as a mail: what is told of it is bounded clean text, a token has our alphabet, and a receipt names one message. */
#include "email/mail_report.h"
#include <assert.h>
#include <gmime/gmime.h>
#include <string.h>

static void check_text(const char *text, size_t max)
{
  size_t len = strlen(text);

  assert(len <= max);
  for (size_t i = 0; i < len; i++)
    assert((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
  assert(g_utf8_validate(text, (gssize)len, NULL));
}

static void check_report(const struct mail_report *report)
{
  parley_receipt receipt;
  parley_identity to;

  assert(report->n_items <= MAIL_REPORT_ITEMS_MAX);
  assert(strlen(report->token) == 0 || strlen(report->token) == MAIL_REPORT_TOKEN);
  assert(strspn(report->token, "0123456789abcdefghjkmnpqrstvwxyz") == strlen(report->token));
  for (uint32_t i = 0; i < report->n_items; i++) {
    check_text(report->items[i].to, MAIL_REPORT_ADDRESS_MAX);
    check_text(report->items[i].detail, MAIL_REPORT_DETAIL_MAX);
    check_text(report->items[i].code, MAIL_STATUS_MAX - 1);
    if (!mail_report_receipt(report, i, 1, &to, &receipt))
      continue;
    assert(receipt.kind != 0 && receipt.message_id.len == MAIL_REPORT_TOKEN && receipt.provider_id.len == 0);
    assert((receipt.kind == PARLEY_RECEIPT_FAILED) == (receipt.outcome != 0));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct mail_report report;
  GMimeStream *stream;
  GMimeParser *parser;
  GMimeMessage *message;

  g_mime_init();
  stream = g_mime_stream_mem_new_with_buffer((const char *)data, size);
  parser = g_mime_parser_new_with_stream(stream);
  message = g_mime_parser_construct_message(parser, NULL);
  if (message != NULL) {
    parley_text token = {(const char *)data, size < MAIL_REPORT_TOKEN ? size : MAIL_REPORT_TOKEN};
    bool is = mail_report_read(message, token, &report);

    assert(is == (report.kind != MAIL_REPORT_NONE));
    check_report(&report);
    g_object_unref(message);
  }
  g_object_unref(parser);
  g_object_unref(stream);
  return 0;
}
