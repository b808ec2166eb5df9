#include "copy.h"
#include <stdlib.h>

enum { CHUNK_BYTES_MIN = 1024, CHUNK_BYTES_MAX = 64 << 10 };

struct chunk { struct chunk *next; size_t used, room; max_align_t at[]; };
struct copy {
  struct chunk *chunks; /* the newest first */
  size_t bytes;
  bool failed;
  bool fixed; /* copy and its one chunk stand in memory of the caller */
};

struct copy *copy_new(void)
{
  return calloc(1, sizeof(struct copy));
}

struct copy *copy_new_in(void *room, size_t bytes)
{
  struct copy *copy = room;
  const size_t head = (sizeof *copy + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);

  if (bytes < head + sizeof(struct chunk))
    return NULL;
  *copy = (struct copy){.chunks = (struct chunk *)(void *)((char *)room + head), .fixed = true};
  *copy->chunks = (struct chunk){.room = bytes - head - sizeof(struct chunk)};
  return copy;
}

void copy_free(struct copy **copy)
{
  struct chunk *next;

  if (*copy == NULL || (*copy)->fixed) {
    *copy = NULL;
    return;
  }
  for (struct chunk *chunk = (*copy)->chunks; chunk != NULL; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  free(*copy);
  *copy = NULL;
}

bool copy_failed(const struct copy *copy)
{
  return copy->failed;
}

size_t copy_bytes(const struct copy *copy)
{
  return copy->bytes + sizeof *copy;
}

static struct chunk *chunk_add(struct copy *copy, size_t bytes)
{
  size_t room = copy->chunks == NULL ? CHUNK_BYTES_MIN : copy->chunks->room * 2;
  struct chunk *chunk;

  if (copy->fixed)
    return NULL;
  room = room > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : room;
  room = room < bytes ? bytes : room;
  chunk = calloc(1, sizeof *chunk + room);
  if (chunk == NULL)
    return NULL;
  chunk->room = room;
  chunk->next = copy->chunks;
  copy->chunks = chunk;
  copy->bytes += sizeof *chunk + room;
  return chunk;
}

void *copy_room(struct copy *copy, size_t bytes)
{
  const size_t align = sizeof(max_align_t);
  struct chunk *chunk = copy->chunks;
  void *room;

  bytes = (bytes + align - 1) / align * align;
  if (chunk == NULL || chunk->room - chunk->used < bytes)
    chunk = chunk_add(copy, bytes);
  if (chunk == NULL) {
    copy->failed = true;
    return NULL;
  }
  room = (char *)chunk->at + chunk->used;
  chunk->used += bytes;
  return room;
}

parley_text copy_text(struct copy *copy, parley_text text)
{
  char *to = text.len > 0 ? copy_room(copy, text.len) : NULL;

  if (to == NULL)
    return (parley_text){NULL, 0};
  memcpy(to, text.at, text.len);
  return (parley_text){to, text.len};
}

/* Room for `bytes`, filled with as much of the other side's struct as both know; its size member becomes ours. */
static void *struct_copy(struct copy *copy, const void *from, uint32_t from_size, size_t bytes)
{
  void *to = copy_room(copy, bytes);
  const uint32_t size = (uint32_t)bytes;

  if (to == NULL)
    return NULL;
  memcpy(to, from, from_size < bytes ? from_size : bytes);
  memcpy(to, &size, sizeof size);
  return to;
}
#define STRUCT_COPY(copy, from) struct_copy(copy, from, (from)->size, sizeof *(from))

const parley_identity *copy_identity(struct copy *copy, const parley_identity *identity)
{
  parley_identity *to = identity != NULL ? STRUCT_COPY(copy, identity) : NULL;

  if (to == NULL)
    return NULL;
  to->kind = copy_text(copy, to->kind);
  to->value = copy_text(copy, to->value);
  to->name = copy_text(copy, to->name);
  return to;
}

const parley_pair *copy_pairs(struct copy *copy, const parley_pair *pairs, uint32_t count)
{
  parley_pair *to = count > 0 ? copy_room(copy, count * sizeof *to) : NULL;

  for (uint32_t i = 0; to != NULL && i < count; i++)
    to[i] = (parley_pair){copy_text(copy, pairs[i].name), copy_text(copy, pairs[i].value)};
  return to;
}

static const parley_text *texts_copy(struct copy *copy, const parley_text *texts, uint32_t count)
{
  parley_text *to = count > 0 ? copy_room(copy, count * sizeof *to) : NULL;

  for (uint32_t i = 0; to != NULL && i < count; i++)
    to[i] = copy_text(copy, texts[i]);
  return to;
}

static const parley_identity *const *identities_copy(struct copy *copy, const parley_identity *const *list,
                                                     uint32_t count)
{
  const parley_identity **to = count > 0 ? copy_room(copy, count * sizeof *to) : NULL;

  for (uint32_t i = 0; to != NULL && i < count; i++)
    to[i] = copy_identity(copy, list[i]);
  return to;
}

static const parley_button *button_copy(struct copy *copy, const parley_button *button)
{
  parley_button *to = STRUCT_COPY(copy, button);

  if (to == NULL)
    return NULL;
  to->id = copy_text(copy, to->id);
  to->label = copy_text(copy, to->label);
  to->target = copy_text(copy, to->target);
  return to;
}

static const parley_button *const *buttons_copy(struct copy *copy, const parley_button *const *list, uint32_t count)
{
  const parley_button **to = count > 0 ? copy_room(copy, count * sizeof *to) : NULL;

  for (uint32_t i = 0; to != NULL && i < count; i++)
    to[i] = button_copy(copy, list[i]);
  return to;
}

static const parley_part *part_copy(struct copy *copy, const parley_part *part)
{
  parley_part *to = STRUCT_COPY(copy, part);

  if (to == NULL)
    return NULL;
  to->text = copy_text(copy, to->text);
  to->type = copy_text(copy, to->type);
  to->name = copy_text(copy, to->name);
  to->data = copy_text(copy, to->data);
  to->media = copy_text(copy, to->media);
  to->url = copy_text(copy, to->url);
  to->provider_id = copy_text(copy, to->provider_id);
  to->buttons = buttons_copy(copy, to->buttons, to->n_buttons);
  to->fields = copy_pairs(copy, to->fields, to->n_fields);
  return to;
}

static const parley_part *const *parts_copy(struct copy *copy, const parley_part *const *list, uint32_t count)
{
  const parley_part **to = count > 0 ? copy_room(copy, count * sizeof *to) : NULL;

  for (uint32_t i = 0; to != NULL && i < count; i++)
    to[i] = part_copy(copy, list[i]);
  return to;
}

static const parley_customer *customer_copy(struct copy *copy, const parley_customer *customer)
{
  parley_customer *to = customer != NULL ? STRUCT_COPY(copy, customer) : NULL;

  if (to == NULL)
    return NULL;
  to->id = copy_text(copy, to->id);
  to->name = copy_text(copy, to->name);
  to->locale = copy_text(copy, to->locale);
  to->timezone = copy_text(copy, to->timezone);
  return to;
}

const parley_message *copy_message(struct copy *copy, const parley_message *message)
{
  parley_message *to = STRUCT_COPY(copy, message);

  if (to == NULL)
    return NULL;
  parley_text *const texts[] = {&to->id,       &to->conversation_id, &to->topic,         &to->subject,
                                &to->target,   &to->payload,         &to->reply_to,      &to->reply_address,
                                &to->traceparent, &to->unsubscribe_url, &to->override_json, &to->token,
                                &to->reply_token, &to->unsubscribe_token};

  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    *texts[i] = copy_text(copy, *texts[i]);
  to->to = copy_identity(copy, to->to);
  to->customer = customer_copy(copy, to->customer);
  to->parts = parts_copy(copy, to->parts, to->n_parts);
  to->thread = texts_copy(copy, to->thread, to->n_thread);
  to->fields = copy_pairs(copy, to->fields, to->n_fields);
  return to;
}

static const parley_segment *segment_copy(struct copy *copy, const parley_segment *segment)
{
  parley_segment *to = segment != NULL ? STRUCT_COPY(copy, segment) : NULL;

  if (to != NULL)
    to->key = copy_text(copy, to->key);
  return to;
}

const parley_inbound *copy_inbound(struct copy *copy, const parley_inbound *inbound)
{
  parley_inbound *to = STRUCT_COPY(copy, inbound);

  if (to == NULL)
    return NULL;
  parley_text *const texts[] = {&to->event_id, &to->provider_id, &to->subject, &to->thread_id,
                                &to->reply_to, &to->target,      &to->payload,     &to->token};

  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    *texts[i] = copy_text(copy, *texts[i]);
  to->from = identities_copy(copy, to->from, to->n_from);
  to->to = identities_copy(copy, to->to, to->n_to);
  to->parts = parts_copy(copy, to->parts, to->n_parts);
  to->references = texts_copy(copy, to->references, to->n_references);
  to->fields = copy_pairs(copy, to->fields, to->n_fields);
  to->raw = to->raw != NULL ? part_copy(copy, to->raw) : NULL;
  to->segment = segment_copy(copy, to->segment);
  return to;
}

const parley_receipt *copy_receipt(struct copy *copy, const parley_receipt *receipt)
{
  parley_receipt *to = STRUCT_COPY(copy, receipt);

  if (to == NULL)
    return NULL;
  parley_text *const texts[] = {&to->provider_id, &to->message_id, &to->code, &to->detail, &to->link};

  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    *texts[i] = copy_text(copy, *texts[i]);
  to->to = copy_identity(copy, to->to);
  return to;
}
