// sources: plugins/exec/exec_in.c plugins/exec/exec_out.c plugins/exec/exec_lines.c
/* What a program says. The same lines come whatever the pieces that its bytes come in; what is read stays within its bounds; what is
 * refused says why; what came in can be sent on as one line of JSON; words are clean. */
#include "exec/exec_lines.h"
#include "exec/exec_wire.h"
#include <stdlib.h>

enum { LINE_MAX_BYTES = 512, WORDS_ROOM = 64, DIGEST_STEP = 31 };

static void require(int good)
{
  if (!good)
    abort();
}

/* One line, one JSON object. */
static void line_check(const struct json_writer *writer)
{
  json_t *root;

  require(!writer->failed && memchr(writer->at, '\n', writer->len) == NULL);
  root = json_loadb(writer->at, writer->len, JSON_REJECT_DUPLICATES, NULL);
  require(root != NULL && json_is_object(root));
  json_decref(root);
}

static void message_check(const struct exec_line *line, struct json_writer *writer)
{
  const parley_inbound *in = &line->inbound;
  parley_message msg = {.size = sizeof msg, .kind = in->kind, .id = in->provider_id, .subject = in->subject,
                        .to = in->from[0], .parts = in->parts, .n_parts = in->n_parts, .reply_to = in->reply_to,
                        .target = in->target, .payload = in->payload};

  require(in->provider_id.len > 0 && in->provider_id.len <= EXEC_ID_BYTES_MAX && line->id.len == in->provider_id.len);
  require(in->n_from >= 1 && in->n_from <= EXEC_IDENTITIES_MAX && in->n_parts <= EXEC_PARTS_MAX);
  require(in->n_fields <= EXEC_FIELDS_MAX && in->n_references <= EXEC_PARTS_MAX);
  require(in->n_parts > 0 || in->kind != PARLEY_KIND_CONTENT);
  for (uint32_t i = 0; i < in->n_from; i++)
    require(in->from[i]->kind.len > 0 && in->from[i]->kind.len <= EXEC_KIND_BYTES_MAX && in->from[i]->value.len > 0);
  for (uint32_t i = 0; i < in->n_parts; i++)
    require(in->parts[i]->kind != PARLEY_PART_MEDIA || (in->parts[i]->url.len > 0) != (in->parts[i]->data.len > 0));
  require(exec_send_write(writer, 1, &msg) == PARLEY_OK);
  line_check(writer);
}

static void known_check(const struct exec_line *line, struct json_writer *writer)
{
  const parley_result result = {.size = sizeof result, .status = PARLEY_OK, .value = line->id};

  switch (line->type) {
  case EXEC_SETTLE:
    require(line->token > 0 && line->outcome.result >= PARLEY_OUTCOME_ACCEPTED &&
            line->outcome.result <= PARLEY_OUTCOME_UNKNOWN && line->outcome.n_ids <= EXEC_IDS_MAX);
    break;
  case EXEC_RECEIPT:
    require(line->receipt.kind != 0 && line->receipt.at_ms >= 0 &&
            (line->receipt.message_id.len > 0 || line->receipt.provider_id.len > 0));
    break;
  case EXEC_INBOUND:
    message_check(line, writer);
    break;
  case EXEC_EVENT:
    require(line->event.who != NULL && line->event.type.len > 0 && line->event.n_fields <= EXEC_FIELDS_MAX);
    break;
  case EXEC_HEALTH:
    require(line->level >= PARLEY_UP && line->level <= PARLEY_DOWN);
    break;
  case EXEC_LOG:
    require(line->level >= PARLEY_DEBUG && line->level <= PARLEY_ERROR);
    break;
  case EXEC_READY:
  case EXEC_WINDOW:
    break;
  }
  exec_done_write(writer, line->id, &result);
  line_check(writer);
}

struct seen { struct json_writer writer; uint64_t digest, n; };

static bool seen_line(parley_text text, bool too_long, void *arg)
{
  struct json_faults faults = {.count = 0};
  struct seen *seen = arg;
  struct exec_line line;

  require(text.len <= LINE_MAX_BYTES && memchr(text.len > 0 ? text.at : "", '\n', text.len) == NULL);
  if (exec_line_read(text, &line, &faults))
    known_check(&line, &seen->writer);
  else
    require(faults.count > 0 && faults.faults[0].detail[0] != '\0');
  exec_line_done(&line);
  for (size_t i = 0; i < text.len; i++)
    seen->digest = seen->digest * DIGEST_STEP + (unsigned char)text.at[i];
  seen->digest = seen->digest * DIGEST_STEP + too_long;
  seen->n++;
  return true;
}

static struct seen feed(const uint8_t *data, size_t size, size_t piece)
{
  struct exec_lines lines = {.max = LINE_MAX_BYTES};
  struct seen seen = {.n = 0};

  for (size_t at = 0; at < size; at += piece)
    require(exec_lines_feed(&lines, (parley_bytes){(const char *)data + at, size - at < piece ? size - at : piece}, seen_line,
                            &seen));
  exec_lines_end(&lines, seen_line, &seen);
  json_writer_done(&seen.writer);
  return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t piece = size > 0 ? data[0] % 17 + 1u : 1;
  struct seen whole = feed(data, size, size > 0 ? size : 1), pieces = feed(data, size, piece);
  char words[WORDS_ROOM], again[WORDS_ROOM];
  size_t len = exec_text_clean((parley_text){(const char *)data, size}, words, sizeof words);

  require(whole.digest == pieces.digest && whole.n == pieces.n);
  require(len < sizeof words && strlen(words) == len);
  require(exec_text_clean((parley_text){words, len}, again, sizeof again) == len && strcmp(words, again) == 0);
  return 0;
}
