// sources: plugins/email/mail_compose.c plugins/email/mail_head.c plugins/email/mail_address.c
// libraries: PkgConfig::GMIME PkgConfig::IDN
/* Whatever a message holds, the mail is 7-bit, has CRLF at every line's end and no line above 998 bytes, one header of
 * each kind, and the same bytes twice. The input is cut at its first bytes of value 0x1e into subject, text, HTML, name
 * and media. */
#include "email/mail_compose.h"
#include <assert.h>
#include <stdlib.h>

enum { FIELDS = 5, LINE_MAX_BYTES = 998 };

static void fields_cut(parley_text all, parley_text *fields)
{
  for (size_t i = 0; i < FIELDS; i++) {
    const char *end = all.len > 0 && i + 1 < FIELDS ? memchr(all.at, 0x1e, all.len) : NULL;
    size_t len = end != NULL ? (size_t)(end - all.at) : all.len;

    fields[i] = (parley_text){all.at, len};
    all.at += end != NULL ? len + 1 : len;
    all.len -= end != NULL ? len + 1 : len;
  }
}

static size_t headers_named(const struct mail *mail, const char *name)
{
  size_t n = 0, len = strlen(name);

  for (size_t i = 0; i + 4 < mail->len && memcmp(mail->at + i, "\r\n\r\n", 4) != 0; i++)
    n += (i == 0 || mail->at[i - 1] == '\n') && i + len < mail->len && strncasecmp(mail->at + i, name, len) == 0;
  return n;
}

static void check_mail(const struct mail *mail)
{
  size_t line = 0;

  assert(!mail->eightbit);
  for (size_t i = 0; i < mail->len; i++) {
    assert((unsigned char)mail->at[i] < 0x80);
    assert(mail->at[i] != '\n' || (i > 0 && mail->at[i - 1] == '\r'));
    assert(mail->at[i] != '\r' || (i + 1 < mail->len && mail->at[i + 1] == '\n'));
    line = mail->at[i] == '\n' || mail->at[i] == '\r' ? 0 : line + 1;
    assert(line <= LINE_MAX_BYTES);
  }
  assert(headers_named(mail, "From:") == 1 && headers_named(mail, "To:") == 1 &&
         headers_named(mail, "Message-Id:") == 1);
  assert(headers_named(mail, "Bcc:") == 0 && headers_named(mail, "Subject:") <= 1 &&
         headers_named(mail, "Content-Type:") == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct mail_composer *composer;
  struct mail_mailbox from;
  struct mail_address to;
  struct mail first, second;
  const char *why = NULL;
  parley_text fields[FIELDS];

  if (composer == NULL)
    composer = mail_composer_new();
  fields_cut((parley_text){(const char *)data, size}, fields);
  assert(mail_mailbox_read(PARLEY_LIT("Shop <a@b.example>"), &from) == PARLEY_OK);
  assert(mail_address_read(PARLEY_LIT("c@d.example"), &to) == PARLEY_OK);
  const parley_identity who = {.size = sizeof who, .name = fields[3]};
  const parley_part text = {.size = sizeof text, .kind = PARLEY_PART_TEXT, .text = fields[1]};
  const parley_part html = {.size = sizeof html, .kind = PARLEY_PART_HTML, .text = fields[2]};
  const parley_part media = {.size = sizeof media,
                             .kind = PARLEY_PART_MEDIA,
                             .flags = size % 2 ? PARLEY_PART_INLINE : 0,
                             .type = fields[0],
                             .name = fields[3],
                             .text = fields[0],
                             .data = fields[4]};
  const parley_part *parts[] = {&text, &html, &media};
  const parley_message message = {.size = sizeof message,
                                  .id = fields[3],
                                  .subject = fields[0],
                                  .to = &who,
                                  .parts = parts,
                                  .n_parts = 1 + size % 3,
                                  .accepted_ms = INT64_C(1700000000000),
                                  .unsubscribe_url = fields[4],
                                  .reply_address = fields[3],
                                  .reply_to = fields[3],
                                  .thread = fields,
                                  .n_thread = FIELDS};
  const struct mail_source source = {.from = &from, .to = &to, .message = &message};

  if (mail_compose(composer, &source, &first, &why) != PARLEY_OK) {
    assert(why != NULL);
    return 0;
  }
  check_mail(&first);
  assert(mail_compose(composer, &source, &second, &why) == PARLEY_OK);
  assert(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
  mail_done(&first);
  mail_done(&second);
  return 0;
}
