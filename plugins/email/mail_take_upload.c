#include "mail_take_inside.h"

enum { UPLOADING_MAX = 4 }; /* mails whose files are on their way: the host takes 8 uploads at once */

static parley_bytes upload_bytes(const struct taking *taking)
{
  return taking->upload < taking->mail.n_files ? taking->mail.files[taking->upload].data
                                               : (parley_bytes){taking->raw, taking->len};
}

/* Within one call with the text: else it goes as media. */
static bool raw_fits(const struct taking *taking)
{
  const struct mail_in *mail = &taking->mail;
  size_t beside = mail->text.len + mail->quoted.len + mail->html.len + 2 * MAIL_DRAFT_SPARE;

  return taking->len + beside <= taking->taker->config.host->inline_max;
}

static bool upload_needed(const struct taking *taking)
{
  if (taking->taker->config.media == NULL || upload_bytes(taking).len == 0)
    return false;
  return taking->upload < taking->mail.n_files || !raw_fits(taking);
}

static void upload_begin(struct taking *taking);
static void upload_more(struct taking *taking);

static void upload_finished(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (result->status != PARLEY_OK) {
    taking_refuse(taking, parley_again(result->status) ? result->status : PARLEY_RETRY, result->reason);
    return;
  }
  taking->media[taking->upload++] = mail_memory_copy(taking->memory, result->value);
  upload_begin(taking);
}

static void upload_appended(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (result->status != PARLEY_OK)
    taking_refuse(taking, parley_again(result->status) ? result->status : PARLEY_RETRY, result->reason);
  else
    upload_more(taking);
}

static void upload_more(struct taking *taking)
{
  const struct mail_taker_config *config = &taking->taker->config;
  parley_bytes bytes = upload_bytes(taking), piece = {bytes.at + taking->upload_at, bytes.len - taking->upload_at};

  if (piece.len > config->host->inline_max / 2)
    piece.len = config->host->inline_max / 2;
  if (piece.len == 0) {
    config->media->finish(config->host, taking->upload_id, upload_finished, taking);
    return;
  }
  taking->upload_at += piece.len;
  config->media->append(config->host, taking->upload_id, piece, upload_appended, taking);
}

static void upload_begin(struct taking *taking)
{
  const struct mail_taker_config *config = &taking->taker->config;
  struct mail_taker *taker = taking->taker;

  while (taking->upload <= taking->mail.n_files && !upload_needed(taking))
    taking->upload++;
  if (taking->upload > taking->mail.n_files) {
    taker->n_uploading -= taking->uploading;
    taking->uploading = false;
    errands_go(taking);
    uploads_next(taker);
    return;
  }
  taking->upload_at = 0;
  taking->upload_id =
      taking->upload < taking->mail.n_files
          ? config->media->create(config->host, taking->mail.files[taking->upload].type,
                                  taking->mail.files[taking->upload].name)
          : config->media->create(config->host, PARLEY_LIT("message/rfc822"), PARLEY_LIT("message.eml"));
  upload_more(taking);
}

void uploads_next(struct mail_taker *taker)
{
  for (struct taking *taking = taker->takings; taking != NULL && taker->n_uploading < UPLOADING_MAX;
       taking = taking->next)
    if (taking->waiting) {
      taking->waiting = false;
      taking->uploading = true;
      taker->n_uploading++;
      upload_begin(taking); /* goes no further than its first answer: the list stays as it is */
    }
}

static bool needs_uploads(struct taking *taking)
{
  for (taking->upload = 0; taking->upload <= taking->mail.n_files; taking->upload++)
    if (upload_needed(taking))
      return true;
  return false;
}

void uploads_go(struct taking *taking)
{
  taking->media = mail_memory_get(taking->memory, (taking->mail.n_files + 1) * sizeof *taking->media);
  if (!needs_uploads(taking)) {
    errands_go(taking);
    return;
  }
  taking->upload = 0;
  taking->waiting = true;
  uploads_next(taking->taker);
}
