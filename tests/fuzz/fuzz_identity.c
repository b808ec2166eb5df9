/* identity_normalise(): the first byte picks the kind. What comes out is UTF-8, within its limits, and stays as it is
 * when it is normalised again; a mask never shows the whole value. */
#include "core/base/text.h"
#include "core/customer/email.h"
#include "core/customer/identity.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mask_check(const struct identity *identity)
{
  struct buf buf = BUF_INIT(0);

  buf_identity_masked(&buf, identity->kind, identity->value);
  if (identity->value.len > 5 && text_find(identity->value, '*') == identity->value.len &&
      text_find_text(buf_as_text(&buf), identity->value) != SIZE_MAX)
    abort();
  if (!text_utf8_ok(buf_as_text(&buf)))
    abort();
  buf_done(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const kinds[] = {"email", "phone", "whatsapp", "external", "other"};
  parley_text kind, raw, variants[IDENTITY_VARIANTS_MAX];
  struct arena *arena = arena_new();
  struct problems problems;
  struct identity identity, again;
  struct hash_key key = {.a = 1, .b = 2};

  problems_init(&problems, arena);
  kind = parley_text_of(kinds[size > 0 ? data[0] % 5 : 0]);
  raw = size > 0 ? (parley_text){(const char *)data + 1, size - 1} : TEXT_EMPTY;
  if (identity_normalise(NULL, kind, raw, arena, TEXT_EMPTY, &problems, &identity)) {
    if (!text_utf8_ok(identity.value) || text_has_control(identity.value))
      abort();
    if (identity.value.len > IDENTITY_VALUE_BYTES_MAX)
      abort();
    if (parley_text_is(kind, "email") && identity.value.len > EMAIL_BYTES_MAX)
      abort();
    if (!identity_normalise(NULL, kind, identity.value, arena, TEXT_EMPTY, &problems, &again) ||
        !text_eq(identity.value, again.value))
      abort();
    if (identity_hash(&key, kind, identity.value) == 0 || identity_variants(&identity, arena, variants) == 0)
      abort();
    mask_check(&identity);
  } else if (problems.count != 1) {
    abort();
  }
  arena_free(&arena);
  return 0;
}
