/* The readers of core/base: ids, times, spans, base64, hex, UTF-8, JSON strings. Property: what is read is written back the
 * same way; a refusal leaves the result alone; nothing is written past the room that was given. */
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

static void demand(bool held)
{
  if (!held)
    abort();
}

static void codes_check(parley_text text, struct buf *out)
{
  uint8_t *to = malloc(text.len + 1); /* exactly as large as it may need */
  size_t len = SIZE_MAX;

  if (base64_read(text, to, text.len, &len)) {
    buf_base64(out, to, len);
    demand(text_eq(buf_as_text(out), text));
    if (len > 0)
      demand(!base64_read(text, to, len - 1, &len));
  }
  buf_clear(out);
  if (base64url_read(text, to, text.len, &len)) {
    buf_base64url(out, to, len);
    demand(text_eq(buf_as_text(out), text));
  }
  buf_clear(out);
  if (hex_read(text, to, text.len, &len)) {
    buf_hex(out, to, len);
    demand(text_eq_nocase(buf_as_text(out), text));
  }
  buf_clear(out);
  free(to);
}

static void values_check(parley_text text, struct buf *out)
{
  int64_t ms = -1, again = -1;
  id64 id = 0;

  if (id_parse("msg", text, &id)) {
    buf_id(out, "msg", id);
    demand(id != 0 && id >> 63 == 0 && text_eq(buf_as_text(out), text));
  }
  demand((id != 0) == (out->len > 0));
  buf_clear(out);
  if (time_parse(text, &ms)) {
    buf_time(out, ms);
    demand(time_parse(buf_as_text(out), &again) && again == ms);
  }
  buf_clear(out);
  ms = -1;
  if (span_parse(text, &ms)) {
    buf_span(out, ms);
    demand(ms >= 0 && span_parse(buf_as_text(out), &again) && again == ms);
  }
  demand((ms >= 0) == (out->len > 0));
  buf_clear(out);
}

static void texts_check(parley_text text, struct buf *out)
{
  size_t pos = 0, cut = text_utf8_cut(text, text.len / 2);
  char line[40];

  demand(cut <= text.len / 2);
  if (text_utf8_ok(text))
    demand(text_utf8_ok(text_sub(text, 0, cut)) && text_utf8_ok(text_sub(text, cut, SIZE_MAX)));
  while (pos < text.len)
    demand(text_utf8_next(text, &pos) <= 0x10ffff);
  demand(pos == text.len);
  buf_json_text(out, text);
  demand(text_utf8_ok(buf_as_text(out)) && out->len >= 2);
  for (size_t i = 1; i + 1 < out->len; i++) {
    demand((unsigned char)out->at[i] >= 0x20 && out->at[i] != '"');
    i += out->at[i] == '\\';
  }
  buf_clear(out);
  log_safe(line, sizeof(line), text);
  demand(strlen(line) < sizeof(line) && !text_has_control(parley_text_of(line)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  parley_text text = {(const char *)data, size};
  struct buf out = BUF_INIT(0);

  codes_check(text, &out);
  values_check(text, &out);
  texts_check(text, &out);
  buf_done(&out);
  return 0;
}
