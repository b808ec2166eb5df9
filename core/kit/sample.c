/* Recorded HTTP: a callback or an answer as it came over the wire, in a file. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/file.h"
#include "inside.h"
#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>

#define SAMPLE_BYTES_MAX ((size_t)2 << 20)

char *kit_beside(const char *given, const char *so, const char *ending, struct arena *arena)
{
  parley_text base = parley_text_of(so);
  struct buf path = BUF_INIT(4096);
  char *found = NULL;

  if (given != NULL)
    return arena_str(arena, given);
  if (text_ends(base, ".so"))
    base.len -= 3;
  buf_text(&path, base);
  buf_str(&path, ending);
  if (!path.overflow && access(path.at, R_OK) == 0)
    found = arena_str(arena, path.at);
  buf_done(&path);
  return found;
}

static parley_text line_take(parley_text *rest)
{
  parley_text line = text_cut(rest, '\n');

  if (line.len > 0 && line.at[line.len - 1] == '\r')
    line.len--;
  return line;
}

static parley_text name_lower(parley_text name, struct arena *arena)
{
  parley_text kept = arena_text(arena, name);
  char *at = (char *)(uintptr_t)kept.at;

  for (size_t i = 0; i < kept.len; i++)
    if (at[i] >= 'A' && at[i] <= 'Z')
      at[i] = (char)(at[i] | 0x20);
  return kept;
}

static bool header_take(struct kit_sample *sample, parley_text line, struct arena *arena)
{
  size_t colon = text_find(line, ':');
  parley_pair *pair = &sample->headers[sample->n_headers];

  if (colon == line.len || sample->n_headers == COUNT_OF(sample->headers))
    return false;
  pair->name = name_lower(text_sub(line, 0, colon), arena);
  pair->value = text_trim(text_sub(line, colon + 1, SIZE_MAX));
  if (parley_text_is(pair->name, "date")) {
    time_t when = curl_getdate(arena_text(arena, pair->value).at, NULL);

    sample->date_ms = when > 0 ? (int64_t)when * 1000 : 0;
  }
  sample->n_headers++;
  return true;
}

/* "POST /in/hook HTTP/1.1", or "HTTP/1.1 200 OK" */
static bool first_line_take(struct kit_sample *sample, parley_text line, bool answer)
{
  uint64_t code = 0;

  if (!answer) {
    sample->method = text_cut(&line, ' ');
    sample->target = text_cut(&line, ' ');
    return sample->target.len > 0 && sample->target.at[0] == '/' && text_starts(line, "HTTP/");
  }
  if (!text_starts(text_cut(&line, ' '), "HTTP/") || !text_to_uint(text_cut(&line, ' '), 599, &code) || code < 100)
    return false;
  sample->code = (uint32_t)code;
  return true;
}

const struct kit_sample *kit_sample_read(const char *path, bool answer, struct arena *arena, struct buf *why)
{
  struct buf bytes = BUF_INIT(SAMPLE_BYTES_MAX);
  struct kit_sample *sample = arena_alloc(arena, sizeof *sample);
  parley_text rest, line;
  bool good = path != NULL && file_read(path, SAMPLE_BYTES_MAX, 0, &bytes, why) == PARLEY_OK;

  if (!good) {
    buf_done(&bytes);
    return NULL;
  }
  rest = arena_text(arena, buf_as_text(&bytes));
  buf_done(&bytes);
  good = first_line_take(sample, line_take(&rest), answer);
  while (good && (line = line_take(&rest)).len > 0)
    good = header_take(sample, line, arena);
  sample->body = rest;
  if (good)
    return sample;
  buf_printf(why, "%s is no recorded HTTP %s: it begins with a line like %s, then headers, an empty line and the body", path,
             answer ? "answer" : "request", answer ? "HTTP/1.1 200 OK" : "POST /in/hook HTTP/1.1");
  return NULL;
}
