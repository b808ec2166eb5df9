/* parley.media/1: content larger than inline_max, piece by piece, from and to the store. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"
#include <stdlib.h>

#define UPLOAD_BYTES_MAX ((size_t)25 << 20)

struct upload {
  struct handle handle;
  struct arena *arena;
  parley_text type, name;
  struct buf bytes;
};

static void upload_free(struct upload *upload)
{
  upload->handle.channel->uploads--;
  buf_done(&upload->bytes);
  arena_free(&upload->arena);
  free(upload);
}

static void upload_cancel(struct handle *handle)
{
  handle_drop(handle);
  upload_free(container_of(handle, struct upload, handle));
}

struct media_call {
  union {
    struct store_op op;
    struct store_media read;
    struct store_media_add add;
  } u;
  struct channel *channel;
  struct upload *upload;
  parley_done *done;
  void *arg;
};

static void media_call_done(struct store_op *op)
{
  struct media_call *call = container_of(op, struct media_call, u.op);
  struct channel *channel = call->channel;
  char id[ID_TEXT_MAX];
  parley_text value = TEXT_EMPTY;

  if (op->status == PARLEY_OK && op->kind == STORE_MEDIA) {
    value = call->u.read.bytes;
  } else if (op->status == PARLEY_OK) {
    id_format("med", call->u.add.id, id);
    value = parley_text_of(id);
  }
  channel_done(channel, call->done, call->arg, op->status, 0, value, NULL);
  arena_free(&op->arena);
  if (call->upload != NULL)
    upload_free(call->upload);
  free(call);
  channel_call_over(channel);
}

static struct media_call *media_call_new(struct channel *channel, enum store_kind kind, parley_done *done, void *arg)
{
  struct media_call *call = xcalloc(1, sizeof *call);

  call->channel = channel;
  call->done = done;
  call->arg = arg;
  call->u.op.kind = kind;
  call->u.op.done = media_call_done;
  channel->host_calls++;
  return call;
}

static void host_media_read(const parley_host *host, parley_text media, uint64_t offset, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct media_call *call;
  id64 id;

  if (channel->stop_said || !id_parse("med", media, &id)) {
    channel_done_later(channel, done, arg, channel->stop_said ? PARLEY_CANCELLED : PARLEY_NOT_FOUND, "no such media");
    return;
  }
  call = media_call_new(channel, STORE_MEDIA, done, arg);
  call->u.read.id = id;
  call->u.read.offset = offset;
  call->u.read.limit = CHANNEL_INLINE_MAX;
  store_submit(channel->shared.store, &call->u.op);
}

static uint64_t host_media_create(const parley_host *host, parley_text type, parley_text name)
{
  struct channel *channel = channel_of(host);
  struct upload *upload = xcalloc(1, sizeof *upload);

  if (channel->stop_said || channel->uploads >= CHANNEL_UPLOADS_MAX ||
      !handle_add(channel, &upload->handle, HANDLE_UPLOAD, upload_cancel)) {
    free(upload);
    return HANDLE_ID_BIT;
  }
  channel->uploads++;
  upload->arena = arena_new();
  upload->type = arena_text(upload->arena, text_sub(type, 0, MEDIA_WORD_BYTES_MAX));
  upload->name = arena_text(upload->arena, text_sub(name, 0, MEDIA_WORD_BYTES_MAX));
  upload->bytes = BUF_INIT(UPLOAD_BYTES_MAX);
  return upload->handle.id;
}

static struct upload *upload_find(struct channel *channel, uint64_t id)
{
  struct handle *handle = map_get(&channel->handles, id);

  return handle != NULL && handle->kind == HANDLE_UPLOAD ? container_of(handle, struct upload, handle) : NULL;
}

void media_upload_unknown(struct channel *channel, uint64_t id, parley_done *done, void *arg)
{
  if (id == HANDLE_ID_BIT && !channel->stop_said)
    channel_done_later(channel, done, arg, PARLEY_BUSY, "too many uploads are open");
  else
    channel_done_later(channel, done, arg, PARLEY_NOT_FOUND, "no such upload");
}

static void host_media_append(const parley_host *host, uint64_t id, parley_bytes piece, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct upload *upload = upload_find(channel, id);

  if (upload == NULL) {
    media_upload_unknown(channel, id, done, arg);
    return;
  }
  buf_text(&upload->bytes, piece);
  if (upload->bytes.overflow) {
    upload_cancel(&upload->handle);
    channel_done_later(channel, done, arg, PARLEY_BUSY, "media has at most 25 MiB");
    return;
  }
  channel_done_later(channel, done, arg, PARLEY_OK, NULL);
}

static void host_media_finish(const parley_host *host, uint64_t id, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct upload *upload = upload_find(channel, id);
  struct media_call *call;

  if (upload == NULL) {
    media_upload_unknown(channel, id, done, arg);
    return;
  }
  handle_drop(&upload->handle);
  call = media_call_new(channel, STORE_MEDIA_ADD, done, arg);
  call->upload = upload;
  call->u.add.type = upload->type;
  call->u.add.name = upload->name;
  call->u.add.bytes = buf_as_text(&upload->bytes);
  sha256(call->u.add.bytes, call->u.add.sha256);
  store_submit(channel->shared.store, &call->u.op);
}

const parley_media ext_media = {.size = sizeof ext_media, .read = host_media_read, .create = host_media_create,
                                .append = host_media_append, .finish = host_media_finish};
