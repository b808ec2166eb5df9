// sources: plugins/email/mail_parse.c plugins/email/mail_body.c plugins/email/mail_clean.c plugins/email/mail_quote.c
// sources: plugins/email/mail_address.c plugins/email/mail_compose.c plugins/email/mail_head.c
// libraries: PkgConfig::GMIME PkgConfig::IDN
/* Whatever the bytes, what comes out is valid UTF-8 without NUL and control characters, within its limits, file names
 * are no paths, and two readings agree. The first byte says how the mail came. */
#include "email/mail_compose.h"
#include "email/mail_parse.h"
#include <assert.h>

static void check_line(parley_text text, size_t max)
{
  assert(text.len <= max && mail_text_ok(text));
}

static void check_lines(parley_text text)
{
  size_t from = 0;

  for (size_t i = 0; i <= text.len; i++)
    if (i == text.len || text.at[i] == '\n' || text.at[i] == '\t') {
      assert(mail_text_ok((parley_text){text.at + from, i - from}));
      from = i + 1;
    }
}

static void check_people(const struct mail_person *people, uint32_t n)
{
  assert(n <= MAIL_IN_ADDRESSES_MAX);
  for (uint32_t i = 0; i < n; i++) {
    check_line(people[i].address, 320);
    assert(memchr(people[i].address.at, '@', people[i].address.len) != NULL);
    check_line(people[i].name, 200);
  }
}

static void check_files(const struct mail_in *mail)
{
  assert(mail->n_files <= MAIL_IN_FILES_MAX);
  for (uint32_t i = 0; i < mail->n_files; i++) {
    const struct mail_file *file = &mail->files[i];

    check_line(file->name, MAIL_IN_FILE_NAME_MAX);
    assert(file->name.len > 0 && file->name.at[0] != '.' && memchr(file->name.at, '/', file->name.len) == NULL &&
           memchr(file->name.at, '\\', file->name.len) == NULL);
    assert(memchr(file->type.at, '/', file->type.len) != NULL);
    check_line(file->type, 127);
    check_line(file->content_id, MAIL_IN_ID_MAX);
  }
}

static void check_mail(const struct mail_in *mail)
{
  check_lines(mail->text);
  check_lines(mail->quoted);
  check_lines(mail->html);
  assert(mail->html_fresh <= mail->html.len);
  check_line(mail->subject, MAIL_IN_SUBJECT_MAX);
  check_line(mail->message_id, MAIL_IN_ID_MAX);
  check_line(mail->in_reply_to, MAIL_IN_ID_MAX);
  assert(mail->n_references <= MAIL_IN_REFERENCES_MAX);
  for (uint32_t i = 0; i < mail->n_references; i++)
    check_line(mail->references[i], MAIL_IN_ID_MAX);
  check_people(mail->to, mail->n_to);
  check_people(mail->cc, mail->n_cc);
  check_people(mail->reply_to, mail->n_reply_to);
  check_files(mail);
  assert(mail->n_tokens <= MAIL_IN_TOKENS_MAX && mail->date_ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct mail_composer *composer;
  const parley_text to = PARLEY_LIT("reply+abc@shop.example");
  struct mail_parse_source source = {.recipients = &to, .return_path = PARLEY_LIT("ana@example.org")};
  struct mail_in mail, again;

  if (composer == NULL)
    composer = mail_composer_new();
  if (size == 0)
    return 0;
  source.has_envelope = data[0] & 1;
  source.n_recipients = source.has_envelope;
  source.raw = (parley_bytes){(const char *)data + 1, size - 1};
  if (mail_parse(&source, &mail) != PARLEY_OK)
    return 0;
  check_mail(&mail);
  assert(mail_parse(&source, &again) == PARLEY_OK);
  assert(again.text.len == mail.text.len && again.n_files == mail.n_files && again.automatic == mail.automatic);
  mail_in_done(&again);
  mail_in_done(&mail);
  return 0;
}
