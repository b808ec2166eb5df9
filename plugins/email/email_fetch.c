#include "email_fetch.h"
#include <stdlib.h>

struct email_fetch {
  struct email_job *job; /* NULL: taken back, only the last `done` is awaited */
  const parley_host *host;
  const parley_media *media;
  struct mail_composer *composer;
  const struct email_options *options;
  email_fetched *fetched;
  void *arg;
  uint32_t part;          /* the one that is being read */
  size_t total;           /* bytes read */
  parley_bytes *contents; /* one a part; each heap or empty */
  bool composing;
  parley_status composed;
  const char *why;
};

static bool part_needs(const parley_part *part)
{
  return part->kind == PARLEY_PART_MEDIA && part->data.len == 0 && part->media.len > 0;
}

bool email_fetch_needed(const parley_message *message)
{
  for (uint32_t i = 0; i < message->n_parts; i++)
    if (part_needs(message->parts[i]))
      return true;
  return false;
}

uint64_t email_media_bytes(const parley_message *message)
{
  uint64_t bytes = 0;

  for (uint32_t i = 0; i < message->n_parts; i++) {
    const parley_part *part = message->parts[i];
    uint64_t more = part->data.len > 0 ? part->data.len : part->total_bytes;

    if (part->kind == PARLEY_PART_MEDIA)
      bytes = more < UINT64_MAX - bytes ? bytes + more : UINT64_MAX;
  }
  return bytes;
}

static void fetch_free(struct email_fetch *fetch, uint32_t n_parts)
{
  for (uint32_t i = 0; fetch->contents != NULL && i < n_parts; i++)
    free((void *)(uintptr_t)fetch->contents[i].at);
  free(fetch->contents);
  free(fetch);
}

static void fetch_end(struct email_fetch *fetch, parley_status st, const char *why)
{
  struct email_job *job = fetch->job;
  email_fetched *fetched = fetch->fetched;
  void *arg = fetch->arg;

  fetch_free(fetch, job->message->n_parts);
  fetched(job, st, why, arg);
}

/* --- Composing ---------------------------------------------------------------------------------------------------- */
static void compose_on_pool(void *arg)
{
  struct email_fetch *fetch = arg;

  fetch->composed = email_job_compose(fetch->job, fetch->composer, fetch->options, fetch->contents, &fetch->why);
}

static void composed(const parley_result *result, void *arg)
{
  struct email_fetch *fetch = arg;
  bool ran = result->status == PARLEY_OK;

  fetch_end(fetch, ran ? fetch->composed : result->status, ran ? fetch->why : "the work pool is full");
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */
static void piece_read(const parley_result *result, void *arg);

static void piece_next(struct email_fetch *fetch)
{
  const parley_message *message = fetch->job->message;

  while (fetch->part < message->n_parts && !part_needs(message->parts[fetch->part]))
    fetch->part++;
  if (fetch->part < message->n_parts) {
    fetch->media->read(fetch->host, message->parts[fetch->part]->media, fetch->contents[fetch->part].len, piece_read,
                       fetch);
    return;
  }
  fetch->composing = true;
  fetch->host->work(fetch->host, compose_on_pool, composed, fetch);
}

static bool piece_keep(struct email_fetch *fetch, parley_bytes piece)
{
  parley_bytes *content = &fetch->contents[fetch->part];
  char *grown = realloc((void *)(uintptr_t)content->at, content->len + piece.len);

  if (grown == NULL)
    return false;
  memcpy(grown + content->len, piece.at, piece.len);
  *content = (parley_bytes){grown, content->len + piece.len};
  fetch->total += piece.len;
  return true;
}

static void piece_read(const parley_result *result, void *arg)
{
  struct email_fetch *fetch = arg;

  if (fetch->job == NULL) /* taken back meanwhile */
    free(fetch);
  else if (result->status != PARLEY_OK)
    fetch_end(fetch, result->status, "a medium cannot be read");
  else if (result->value.len > EMAIL_MEDIA_MAX - fetch->total)
    fetch_end(fetch, PARLEY_INVALID, EMAIL_MEDIA_TOO_LARGE);
  else if (result->value.len > 0 && !piece_keep(fetch, result->value))
    fetch_end(fetch, PARLEY_BUSY, "no memory for the media");
  else {
    fetch->part += result->value.len == 0;
    piece_next(fetch);
  }
}

bool email_fetch_begin(struct email_job *job, const parley_media *media, struct mail_composer *composer,
                       const struct email_options *options, email_fetched *fetched, void *arg, struct email_fetch **ret)
{
  struct email_fetch *fetch = calloc(1, sizeof *fetch);
  parley_bytes *contents = calloc(job->message->n_parts, sizeof *contents);

  if (fetch == NULL || contents == NULL) {
    free(fetch);
    free(contents);
    return false;
  }
  *fetch = (struct email_fetch){.job = job, .host = job->host, .media = media, .composer = composer, .options = options,
                                .fetched = fetched, .arg = arg, .contents = contents};
  *ret = fetch;
  piece_next(fetch);
  return true;
}

struct email_job *email_fetch_take(struct email_fetch *fetch)
{
  struct email_job *job = fetch->job;

  if (fetch->composing)
    return NULL;
  for (uint32_t i = 0; i < job->message->n_parts; i++)
    free((void *)(uintptr_t)fetch->contents[i].at);
  free(fetch->contents);
  fetch->contents = NULL;
  fetch->job = NULL;
  return job;
}
