/* Looking through what the plugin says: secrets and message texts have no place there. */
#include "core/base/digest.h"
#include "core/base/text.h"
#include "inside.h"
#include <string.h>

/* The part of base64 that stands for these bytes wherever they begin within a longer text. */
static bool base64_holds(parley_text text, parley_text value)
{
  uint8_t bytes[128];

  if (value.len + 2 > sizeof bytes)
    return false;
  for (size_t before = 0; before < 3; before++) {
    struct buf encoded = BUF_INIT(256);
    size_t whole = (before + value.len) / 3 * 4, from = before == 0 ? 0 : before + 1;
    bool found;

    memset(bytes, 0, before);
    memcpy(bytes + before, value.at, value.len);
    buf_base64(&encoded, bytes, before + value.len);
    found = whole > from + 4 && text_find_text(text, text_sub(buf_as_text(&encoded), from, whole - from)) != SIZE_MAX;
    buf_done(&encoded);
    if (found)
      return true;
  }
  return false;
}

void kit_secret_scan(struct kit *kit, const char *where, parley_text text)
{
  for (size_t i = 0; i < kit->n_secrets; i++)
    if (kit->secrets[i].len >= KIT_SECRET_BYTES_MIN &&
        (text_find_text(text, kit->secrets[i]) != SIZE_MAX || base64_holds(text, kit->secrets[i])))
      kit_fail(kit, PROMISE_SECRET, "%s shows the value of a secret option: \"%.*s\"", where,
               (int)(text.len < 200 ? text.len : 200), text.at);
}

bool kit_carries(struct kit *kit, parley_bytes bytes)
{
  parley_text word = parley_text_of(kit->word);

  return text_find_text(bytes, word) != SIZE_MAX || base64_holds(bytes, word);
}

void kit_words_scan(struct kit *kit, const char *where, parley_text text)
{
  kit_secret_scan(kit, where, text);
  if (kit_carries(kit, text))
    kit_fail(kit, PROMISE_BODY, "%s shows a message's text: \"%.*s\"", where, (int)(text.len < 200 ? text.len : 200), text.at);
}
