#include "keep.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "plugins/common/copy.h"
#include <stdlib.h>

#define KEEP_WORD_BYTES_MAX 255 /* of a type, of a name */

struct kept {
  struct store_media_add add;
  struct keep *keep;
  parley_part *part;
  char id[ID_TEXT_MAX];
};
struct keep { /* one message */
  struct keeper *keeper;
  struct copy *copy;
  parley_inbound in;         /* the copy's, but for its parts */
  parley_part *parts;        /* ours to change */
  const parley_part **list;  /* of them */
  struct kept *kept;
  size_t n_kept, n_open, bytes;
  parley_status status;
  uv_work_t work;
  keep_done *done;
  void *arg;
};

/* --- What is to be kept ------------------------------------------------------------------------------------------- */

static bool is_file(const parley_part *part)
{
  return part->kind == PARLEY_PART_MEDIA || part->kind == PARLEY_PART_CONTACT;
}

static bool has_content(const parley_part *part)
{
  return is_file(part) && part->data.len > 0 && part->media.len == 0;
}

/* How many, and of how many bytes; of the files that a message names. */
static size_t keep_count(const parley_inbound *in, size_t *ret_bytes, size_t *ret_largest)
{
  size_t n = 0, files = 0;

  *ret_bytes = *ret_largest = 0;
  for (uint32_t i = 0; i < in->n_parts && files < CONTENT_MEDIA_MAX; i++) {
    const parley_part *part = in->parts[i];

    files += is_file(part);
    if (!has_content(part))
      continue;
    n++;
    *ret_bytes += part->data.len;
    if (part->data.len > *ret_largest)
      *ret_largest = part->data.len;
  }
  return n;
}

bool keep_is_needed(const parley_inbound *in)
{
  size_t bytes, largest;

  return keep_count(in, &bytes, &largest) > 0;
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

static void keep_free(struct keep *keep)
{
  keep->keeper->bytes -= keep->bytes;
  copy_free(&keep->copy);
  free(keep->parts);
  free(keep->list);
  free(keep->kept);
  free(keep);
}

static void keep_end(struct keep *keep)
{
  parley_text reason = keep->status == PARLEY_OK ? TEXT_EMPTY : PARLEY_LIT("the store could not take its files");

  keep->done(keep->status, keep->status == PARLEY_OK ? &keep->in : NULL, reason, keep->arg);
  keep_free(keep);
}

static void keep_on_added(struct store_op *op)
{
  struct kept *kept = container_of(op, struct kept, add.op);
  struct keep *keep = kept->keep;

  if (op->status == PARLEY_OK) {
    id_format("med", kept->add.id, kept->id);
    kept->part->media = parley_text_of(kept->id);
    kept->part->data = TEXT_EMPTY;
  } else {
    keep->status = PARLEY_BUSY;
  }
  arena_free(&op->arena);
  if (--keep->n_open == 0)
    keep_end(keep);
}

/* --- Into the store ----------------------------------------------------------------------------------------------- */

static void keep_hash(uv_work_t *work)
{
  struct keep *keep = container_of(work, struct keep, work);

  for (size_t i = 0; i < keep->n_kept; i++)
    sha256(keep->kept[i].add.bytes, keep->kept[i].add.sha256);
}

static void keep_hashed(uv_work_t *work, int status)
{
  struct keep *keep = container_of(work, struct keep, work);

  (void)status; /* pool work of ours is never cancelled */
  keep->n_open = keep->n_kept;
  for (size_t i = 0, n = keep->n_kept; i < n; i++)
    store_submit(keep->keeper->store, &keep->kept[i].add.op);
}

static parley_text word_of(parley_text text)
{
  text.len = text_utf8_cut(text, KEEP_WORD_BYTES_MAX);
  return text_utf8_ok(text) ? text : TEXT_EMPTY;
}

static void kept_add(struct keep *keep, parley_part *part)
{
  struct kept *kept = &keep->kept[keep->n_kept++];

  part->type = word_of(part->type);
  if (part->type.len == 0)
    part->type = part->kind == PARLEY_PART_CONTACT ? PARLEY_LIT("text/vcard") : PARLEY_LIT("application/octet-stream");
  *kept = (struct kept){.keep = keep, .part = part};
  kept->add = (struct store_media_add){.op = {.kind = STORE_MEDIA_ADD, .done = keep_on_added}, .type = part->type,
                                       .name = word_of(part->name), .bytes = part->data};
}

static void keep_parts(struct keep *keep, size_t n)
{
  size_t files = 0;

  keep->parts = xcalloc(keep->in.n_parts, sizeof *keep->parts);
  keep->list = xcalloc(keep->in.n_parts, sizeof *keep->list);
  keep->kept = xcalloc(n, sizeof *keep->kept);
  for (uint32_t i = 0; i < keep->in.n_parts; i++) {
    keep->parts[i] = *keep->in.parts[i];
    keep->list[i] = &keep->parts[i];
    if (has_content(&keep->parts[i]) && files < CONTENT_MEDIA_MAX)
      kept_add(keep, &keep->parts[i]);
    files += is_file(&keep->parts[i]);
  }
  keep->in.parts = keep->list;
}

parley_status keep_take(struct keeper *keeper, const parley_inbound *in, keep_done *done, void *arg, const char **reterr_why)
{
  size_t bytes, largest, n = keep_count(in, &bytes, &largest);
  struct copy *copy = NULL;
  const parley_inbound *copied;
  struct keep *keep;

  *reterr_why = largest > KEEP_PART_BYTES_MAX ? "a part has at most 1 MiB of data; larger content goes by parley.media/1" : NULL;
  if (*reterr_why != NULL)
    return PARLEY_INVALID;
  *reterr_why = "too many files wait to be stored";
  if (bytes > KEEP_BYTES_MAX - keeper->bytes || (copy = copy_new()) == NULL)
    return PARLEY_BUSY;
  copied = copy_inbound(copy, in);
  if (copied == NULL || copy_failed(copy)) {
    copy_free(&copy);
    return PARLEY_BUSY;
  }
  keep = xcalloc(1, sizeof *keep);
  *keep = (struct keep){.keeper = keeper, .copy = copy, .in = *copied, .bytes = bytes, .status = PARLEY_OK, .done = done, .arg = arg};
  keeper->bytes += bytes;
  keep_parts(keep, n);
  uv_queue_work(keeper->loop, &keep->work, keep_hash, keep_hashed);
  return PARLEY_OK;
}
