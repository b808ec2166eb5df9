// sources: plugins/common/gsm_text.c
/* Whatever a phone or a customer may write: reading gives UTF-8 without NUL and no more than said, and what could be written is read
 * again as the same. */
#include "common/gsm_text.h"
#include "core/base/text.h"
#include <assert.h>
#include <stdlib.h>

static void check_read(parley_bytes bytes, enum gsm_alphabet alphabet)
{
  size_t room = GSM_UTF8_GROWTH * bytes.len, len, cut;
  char *out = malloc(room > 0 ? room : 1);

  assert(out != NULL);
  len = gsm_read(alphabet, bytes, out, room);
  assert(len <= room && text_utf8_ok((parley_text){out, len}) && memchr(out, '\0', len) == NULL);
  cut = gsm_read(alphabet, bytes, out, room / 2);
  assert(cut <= room / 2 && text_utf8_ok((parley_text){out, cut}));
  free(out);
}

static void check_write(parley_text text, enum gsm_alphabet alphabet)
{
  size_t room = 4 * text.len, len = 0, back;
  char *out = malloc(room > 0 ? room : 1), *again = malloc(GSM_UTF8_GROWTH * room + 1);
  uint32_t missing;

  assert(out != NULL && again != NULL);
  if (gsm_write(alphabet, text, out, room, &len, &missing) && memchr(text.at, '\0', text.len) == NULL) {
    back = gsm_read(alphabet, (parley_bytes){out, len}, again, GSM_UTF8_GROWTH * room + 1);
    assert(back == text.len && memcmp(again, text.at, back) == 0);
  }
  free(out);
  free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const parley_bytes bytes = {(const char *)data, size};

  for (int alphabet = GSM_DEFAULT; alphabet <= GSM_UCS2; alphabet++) {
    check_read(bytes, (enum gsm_alphabet)alphabet);
    if (size > 0)
      check_write(bytes, (enum gsm_alphabet)alphabet);
  }
  return 0;
}
