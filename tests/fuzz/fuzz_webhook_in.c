// sources: plugins/webhook/webhook_in.c plugins/webhook/webhook_out.c
/* A body whose signature held. What is read stays within its bounds; what is refused says why in an answer that is
 * JSON; what was read can be posted on as JSON. */
#include "webhook/webhook_wire.h"
#include <stdlib.h>

static void require(int good)
{
  if (!good)
    abort();
}

static void json_check(const struct json_writer *writer)
{
  json_t *root;

  require(!writer->failed);
  root = json_loadb(writer->at, writer->len, JSON_REJECT_DUPLICATES, NULL);
  require(root != NULL);
  json_decref(root);
}

static void refused_check(const struct json_faults *faults, struct json_writer *writer)
{
  require(faults->count > 0);
  for (size_t i = 0; i < faults->count && i < JSON_FAULTS_MAX; i++)
    require(memchr(faults->faults[i].pointer, '\0', JSON_POINTER_ROOM) != NULL &&
            (faults->faults[i].pointer[0] == '/' || faults->faults[i].pointer[0] == '\0'));
  webhook_problem_write(writer, 422, "Unprocessable Content", "invalid", parley_text_of(faults->faults[0].detail),
                        faults);
  json_check(writer);
}

static void message_check(const parley_inbound *in, struct json_writer *writer)
{
  parley_message msg = {.size = sizeof msg, .kind = PARLEY_KIND_CONTENT, .id = in->event_id, .subject = in->subject,
                        .to = in->from[0], .parts = in->parts, .n_parts = in->n_parts, .reply_to = in->reply_to};

  require(in->event_id.len > 0 && in->event_id.len <= WEBHOOK_ID_BYTES_MAX);
  require(in->n_from >= 1 && in->n_from <= WEBHOOK_IDENTITIES_MAX && in->n_parts <= WEBHOOK_PARTS_MAX);
  require(in->n_parts > 0 || in->payload.len > 0);
  for (uint32_t i = 0; i < in->n_from; i++)
    require(in->from[i]->kind.len <= WEBHOOK_KIND_BYTES_MAX && in->from[i]->value.len > 0);
  for (uint32_t i = 0; i < in->n_parts; i++)
    require(in->parts[i]->kind != PARLEY_PART_MEDIA || in->parts[i]->url.len > 0 ||
            in->parts[i]->total_bytes == in->parts[i]->data.len);
  if (webhook_body_write(writer, &msg) == PARLEY_OK)
    json_check(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct json_faults faults = {.count = 0};
  struct json_writer writer = {.at = NULL};
  struct webhook_in *in = webhook_in_read((parley_bytes){(const char *)data, size}, &faults);

  if (in == NULL)
    refused_check(&faults, &writer);
  else if (in->is_receipt)
    require(in->receipt.kind != 0 && in->receipt.message_id.len == 17 && in->receipt.at_ms >= 0);
  else
    message_check(&in->inbound, &writer);
  webhook_in_free(in);
  json_writer_done(&writer);
  return 0;
}
