// sources: plugins/email/mail_compose.c plugins/email/mail_head.c plugins/email/mail_address.c
// sources: plugins/email/dkim_sign.c plugins/email/smtp_wire.c plugins/email/sasl.c
// libraries: PkgConfig::GMIME PkgConfig::IDN
/* Whatever a message holds, the mail is 7-bit, has CRLF at every line's end and no line above 998 bytes, one header of
 * each kind, and the same bytes twice; it can be signed, and what SMTP carries are the bytes that were signed. The input is
 * cut at its first bytes of value 0x1e into subject, text, HTML, name and media. */
#include "email/dkim_sign.h"
#include "email/mail_compose.h"
#include "email/smtp_wire.h"
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

/* What the other side has when it has taken the dots away again. */
static void check_wire(const struct mail *mail)
{
  struct smtp_stuffer stuffer = {0};
  char out[64];
  size_t at = 0, same = 0;
  bool line_start = true, after_dot = false;

  while (at < mail->len) {
    size_t used, n = smtp_stuff(&stuffer, (parley_bytes){mail->at + at, mail->len - at}, out, sizeof out, &used);

    for (size_t i = 0; i < n; i++) {
      if (line_start && out[i] == '.' && !after_dot) {
        after_dot = true;
        continue;
      }
      assert(out[i] == mail->at[same++]);
      line_start = out[i] == '\n';
      after_dot = false;
    }
    at += used;
  }
  assert(same == mail->len);
}

static void check_signed(const struct mail *mail)
{
  static struct dkim_key *key;
  const char *why;
  unsigned char hash[DKIM_HASH_BYTES];
  char one[DKIM_FIELD_ROOM], other[DKIM_FIELD_ROOM];
  size_t body = dkim_body_at((parley_bytes){mail->at, mail->len}), len;

  if (key == NULL)
    assert(dkim_key_read(PARLEY_LIT("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="), &key, &why) == PARLEY_OK);
  const struct dkim_signer signer = {.key = key, .domain = PARLEY_LIT("b.example"), .selector = PARLEY_LIT("s")};
  assert(body <= mail->len && dkim_body_hash((parley_bytes){mail->at + body, mail->len - body}, hash));
  len = dkim_sign(&signer, (parley_bytes){mail->at, mail->len}, hash, INT64_C(1700000000000), one);
  assert(len > 0 && len == dkim_sign(&signer, (parley_bytes){mail->at, mail->len}, hash, INT64_C(1700000000000), other));
  assert(memcmp(one, other, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct mail_composer *composer;
  struct mail_mailbox from, reply;
  struct mail_address to;
  struct mail first, second;
  const char *why = NULL;
  parley_text fields[FIELDS];

  if (composer == NULL)
    composer = mail_composer_new();
  fields_cut((parley_text){(const char *)data, size}, fields);
  assert(mail_mailbox_read(PARLEY_LIT("Shop <a@b.example>"), &from) == PARLEY_OK);
  assert(mail_address_read(PARLEY_LIT("c@d.example"), &to) == PARLEY_OK);
  assert(mail_mailbox_read(PARLEY_LIT("reply@in.b.example"), &reply) == PARLEY_OK);
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
                                  .topic = fields[3],
                                  .topic_class = (uint32_t)(size % 6),
                                  .token = size % 3 ? PARLEY_LIT("0123456789abcdefghjkmnpqrstv0") : fields[3],
                                  .override_json = size % 2 ? fields[4] : PARLEY_LIT(""),
                                  .thread = fields,
                                  .n_thread = FIELDS};
  const struct mail_source source = {.from = &from, .to = &to, .message = &message, .reply = &reply};

  if (mail_compose(composer, &source, &first, &why) != PARLEY_OK) {
    assert(why != NULL);
    return 0;
  }
  check_mail(&first);
  check_wire(&first);
  check_signed(&first);
  assert(mail_compose(composer, &source, &second, &why) == PARLEY_OK);
  assert(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
  mail_done(&first);
  mail_done(&second);
  return 0;
}
