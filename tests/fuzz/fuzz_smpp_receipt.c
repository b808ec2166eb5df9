// sources: plugins/smpp/smpp_receipt.c plugins/smpp/smpp_ids.c
/* What a message centre may write into a receipt: what is found stands within it, a failure says what it means, and an id keeps
 * its value in every base. */
#include "smpp/smpp_ids.h"
#include "smpp/smpp_receipt.h"
#include <assert.h>
#include <stdlib.h>

static void check_ids(parley_text id)
{
  static struct smpp_ids ids;
  char own[SMPP_ID_ROOM], as[SMPP_ID_ROOM], back[SMPP_ID_ROOM];

  for (int mode = SMPP_IDS_AUTO; mode <= SMPP_IDS_DECIMAL_HEX; mode++) {
    ids = (struct smpp_ids){.mode = (enum smpp_ids_mode)mode};
    smpp_ids_own(&ids, id, own);
    smpp_ids_receipt(&ids, id, as);
    assert(strlen(own) <= SMPP_ID_MAX && strlen(as) < SMPP_ID_ROOM);
    assert(mode == SMPP_IDS_HEX_DECIMAL || mode == SMPP_IDS_DECIMAL_HEX || strcmp(own, as) == 0);
  }
  if (smpp_id_rebase(id, 10, 16, as)) {
    assert(smpp_id_rebase(parley_text_of(as), 16, 10, back) && smpp_id_rebase(id, 10, 10, own));
    assert(strcmp(own, back) == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const struct smpp_receipt_rules rules = {.offset_minutes = 60, .n_bad_errors = 1, .bad_errors = {PARLEY_LIT("001")}};
  struct smpp_message message = {.esm_class = size > 0 ? (uint8_t)(data[0] & 0x3c) : 0};
  char *text = malloc(size > 0 ? size : 1);
  parley_text whole = {text, size};
  struct smpp_receipt receipt;

  assert(text != NULL);
  if (size > 0)
    memcpy(text, data, size);
  smpp_receipt_read(&message, whole, &rules, &receipt);
  assert(receipt.id.len <= SMPP_ID_MAX);
  assert(receipt.id.len == 0 || (receipt.id.at >= text && receipt.id.at + receipt.id.len <= text + size));
  assert((receipt.kind == PARLEY_RECEIPT_FAILED) == (receipt.outcome != 0));
  assert(receipt.at_ms >= 0 && strlen(receipt.code) < SMPP_RECEIPT_CODE_ROOM);
  if (receipt.id.len > 0 && memchr(receipt.id.at, '\0', receipt.id.len) == NULL)
    check_ids(receipt.id);
  (void)smpp_receipt_is(&message, whole);
  free(text);
  return 0;
}
