#include "email_handin.h"
#include "common/json.h"
#include "mail_clean.h"
#include "mail_sum.h"
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

enum { INLINE_PARSE_MAX = 128 << 10, FILES_MAX = 32, REASON_MAX = 200, HANDIN_RECIPIENTS_MAX = 100 };

struct handin { /* one mail */
  const parley_host *host;
  const parley_submit *submit;
  const parley_media *media;
  email_handed *done;
  void *arg;
  char *raw;
  size_t len;
  struct mail_memory *memory;
  parley_text key, topic, return_path, *recipients;
  uint32_t n_recipients;
  struct mail_in mail;
  parley_status parsed;
  parley_text *media_ids; /* of the files */
  uint32_t upload;
  uint64_t upload_id;
  size_t upload_at;
  uint32_t next; /* recipient whose message is on its way: one after the other */
  parley_status each[HANDIN_RECIPIENTS_MAX];
  char reason[REASON_MAX];
};

static void handin_end(struct handin *handin)
{
  handin->done(handin->each, handin->n_recipients, parley_text_of(handin->reason), handin->arg);
  mail_in_done(&handin->mail);
  mail_memory_free(&handin->memory);
  free(handin->raw);
  g_free(handin);
}

static void reason_keep(struct handin *handin, parley_text reason)
{
  if (handin->reason[0] == '\0')
    snprintf(handin->reason, sizeof handin->reason, "%.*s", (int)reason.len, reason.at);
}

static void handin_refuse(struct handin *handin, parley_status st, parley_text reason)
{
  for (uint32_t i = 0; i < handin->n_recipients; i++)
    handin->each[i] = st;
  reason_keep(handin, reason);
  handin_end(handin);
}

/* --- One message a recipient -------------------------------------------------------------------------------------- */
static void files_write(struct json_writer *to, const struct handin *handin)
{
  const struct mail_in *mail = &handin->mail;

  json_write_name(to, "media");
  json_write_lit(to, "[");
  for (uint32_t i = 0; i < mail->n_files; i++) {
    const struct mail_file *file = &mail->files[i];

    if (handin->media_ids[i].len == 0)
      continue;
    json_write_comma(to);
    json_write_lit(to, "{");
    json_write_member(to, "id", handin->media_ids[i]);
    json_write_member(to, "type", file->type);
    json_write_member(to, "name", file->shown ? file->content_id : file->name);
    if (file->shown)
      json_write_lit(to, ",\"inline\":true");
    json_write_lit(to, "}");
  }
  json_write_lit(to, "]");
}

static parley_bytes message_write(struct handin *handin, parley_text recipient)
{
  const struct mail_in *mail = &handin->mail;
  struct json_writer to = {0};
  parley_bytes kept = PARLEY_LIT("");

  json_write_lit(&to, "{\"to\":{");
  json_write_member(&to, "email", recipient);
  json_write_lit(&to, "},\"content\":{");
  json_write_member(&to, "subject", mail->subject);
  json_write_member(&to, "text", mail->whole);
  json_write_member(&to, "html", mail->html);
  if (mail->n_files > 0)
    files_write(&to, handin);
  json_write_lit(&to, "}}");
  if (!to.failed)
    kept = mail_memory_copy(handin->memory, json_writer_text(&to));
  json_writer_done(&to);
  return kept;
}

/* A mail that is handed in again, by software that did not hear the answer or was told to come again, is the same one: its Message-ID
 * says so, else all of its bytes, its Date among them. One without either may be another one of the same words. */
static parley_text idempotency_key(struct handin *handin, parley_text recipient)
{
  const struct mail_in *mail = &handin->mail;
  parley_bytes pieces[] = {mail->message_id, PARLEY_LIT("\n"), recipient};
  char hex[MAIL_SUM_HEX + 1];

  if (mail->message_id.len == 0 && mail->date_ms == 0)
    return PARLEY_LIT("");
  if (mail->message_id.len == 0)
    pieces[0] = (parley_bytes){handin->raw, handin->len};
  mail_sum(pieces, G_N_ELEMENTS(pieces), hex);
  return mail_memory_copy(handin->memory, parley_text_of(hex));
}

static void message_next(struct handin *handin);

static void message_taken(const parley_result *result, void *arg)
{
  struct handin *handin = arg;

  handin->each[handin->next] = result->status;
  if (result->status != PARLEY_OK)
    reason_keep(handin, result->reason);
  handin->next++;
  message_next(handin);
}

static void message_next(struct handin *handin)
{
  parley_text recipient;

  if (handin->next == handin->n_recipients) {
    handin_end(handin);
    return;
  }
  recipient = handin->recipients[handin->next];
  handin->submit->submit(handin->host,
                         PARLEY_REF(parley_submission, .key = handin->key, .topic = handin->topic,
                                    .json = message_write(handin, recipient),
                                    .idempotency_key = idempotency_key(handin, recipient)),
                         message_taken, handin);
}

/* --- Files -------------------------------------------------------------------------------------------------------- */
static void upload_next(struct handin *handin);
static void upload_more(struct handin *handin);

static void upload_finished(const parley_result *result, void *arg)
{
  struct handin *handin = arg;

  if (result->status != PARLEY_OK) {
    handin_refuse(handin, PARLEY_BUSY, result->reason);
    return;
  }
  handin->media_ids[handin->upload++] = mail_memory_copy(handin->memory, result->value);
  upload_next(handin);
}

static void upload_appended(const parley_result *result, void *arg)
{
  struct handin *handin = arg;

  if (result->status != PARLEY_OK)
    handin_refuse(handin, PARLEY_BUSY, result->reason);
  else
    upload_more(handin);
}

static void upload_more(struct handin *handin)
{
  parley_bytes bytes = handin->mail.files[handin->upload].data;
  parley_bytes piece = {bytes.at + handin->upload_at, bytes.len - handin->upload_at};

  if (piece.len > handin->host->inline_max / 2)
    piece.len = handin->host->inline_max / 2;
  if (piece.len == 0) {
    handin->media->finish(handin->host, handin->upload_id, upload_finished, handin);
    return;
  }
  handin->upload_at += piece.len;
  handin->media->append(handin->host, handin->upload_id, piece, upload_appended, handin);
}

static void upload_next(struct handin *handin)
{
  while (handin->upload < handin->mail.n_files && handin->mail.files[handin->upload].data.len == 0)
    handin->upload++;
  if (handin->upload == handin->mail.n_files) {
    message_next(handin);
    return;
  }
  handin->upload_at = 0;
  handin->upload_id = handin->media->create(handin->host, handin->mail.files[handin->upload].type,
                                            handin->mail.files[handin->upload].name);
  upload_more(handin);
}

/* --- The beginning ------------------------------------------------------------------------------------------------ */
static void parse_on_pool(void *arg)
{
  struct handin *handin = arg;
  const struct mail_parse_source source = {
      .raw = {handin->raw, handin->len}, .has_envelope = true, .return_path = handin->return_path};

  handin->parsed = mail_parse(&source, &handin->mail);
}

static void parsed(const parley_result *result, void *arg)
{
  struct handin *handin = arg;
  const struct mail_in *mail = &handin->mail;

  if (result->status != PARLEY_OK) {
    handin_refuse(handin, PARLEY_RETRY, PARLEY_LIT(""));
  } else if (handin->parsed != PARLEY_OK) {
    handin_refuse(handin, PARLEY_INVALID, PARLEY_LIT("this is no mail"));
  } else if (mail->limited) { /* what leaves us would be less than what came */
    handin_refuse(handin, PARLEY_INVALID, PARLEY_LIT("more parts, files or text than a message can have"));
  } else if (mail->n_files > FILES_MAX || (mail->n_files > 0 && handin->media == NULL)) {
    handin_refuse(handin, PARLEY_INVALID, PARLEY_LIT("too many files: a message has at most 32"));
  } else {
    handin->media_ids = mail_memory_get(handin->memory, (mail->n_files + 1) * sizeof *handin->media_ids);
    upload_next(handin);
  }
}

void email_handin(const parley_host *host, const parley_submit *submit, const parley_media *media,
                  const struct email_handin_mail *mail, email_handed *done, void *arg)
{
  const parley_result now = {.size = sizeof now, .status = PARLEY_OK};
  struct handin *handin = g_new0(struct handin, 1);

  handin->host = host;
  handin->submit = submit;
  handin->media = media;
  handin->done = done;
  handin->arg = arg;
  handin->raw = mail->raw;
  handin->len = mail->len;
  handin->memory = mail_memory_new();
  handin->key = mail_memory_copy(handin->memory, mail->key);
  handin->topic = mail_memory_copy(handin->memory, mail->topic);
  handin->return_path = mail_memory_copy(handin->memory, mail->return_path);
  handin->n_recipients = mail->n_recipients < HANDIN_RECIPIENTS_MAX ? mail->n_recipients : HANDIN_RECIPIENTS_MAX;
  handin->recipients = mail_memory_get(handin->memory, (handin->n_recipients + 1) * sizeof *handin->recipients);
  for (uint32_t i = 0; i < handin->n_recipients; i++)
    handin->recipients[i] = mail_memory_copy(handin->memory, mail->recipients[i]);
  if (handin->len > INLINE_PARSE_MAX) {
    host->work(host, parse_on_pool, parsed, handin);
    return;
  }
  parse_on_pool(handin);
  parsed(&now, handin);
}
