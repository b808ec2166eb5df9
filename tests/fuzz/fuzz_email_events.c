// sources: plugins/email/event_read.c plugins/email/event_verify.c plugins/email/mail_report.c plugins/email/mail_fields.c
// sources: plugins/email/mail_bounce.c
// libraries: parley_plugin_common PkgConfig::GMIME
/* Whatever a provider posts: each event is bounded clean text that names one mail, and a signature that nobody made never holds. The
 * first byte chooses the provider. */
#include "common/json.h"
#include "email/event_read.h"
#include "email/event_verify.h"
#include <assert.h>
#include <string.h>

static void check_text(const char *text, size_t max)
{
  assert(strlen(text) <= max);
  for (const char *c = text; *c != '\0'; c++)
    assert((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void check_event(const struct mail_event *event)
{
  parley_receipt receipt;
  parley_identity to;

  check_text(event->message_id, EVENT_MESSAGE_ID_MAX);
  check_text(event->to, MAIL_REPORT_ADDRESS_MAX);
  check_text(event->detail, MAIL_REPORT_DETAIL_MAX);
  check_text(event->link, EVENT_LINK_MAX);
  assert(strlen(event->token) == 0 || strlen(event->token) == MAIL_REPORT_TOKEN);
  event_receipt(event, true, &to, &receipt);
  assert(receipt.kind != 0 && (receipt.message_id.len > 0) != (receipt.provider_id.len > 0));
  assert((receipt.kind == PARLEY_RECEIPT_FAILED) == (receipt.outcome != 0) && receipt.at_ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct mail_event event;
  struct json_faults faults = {.count = 0};
  enum event_provider provider = size > 0 ? (enum event_provider)(data[0] % EVENT_PROVIDERS) : EVENT_SES;
  parley_bytes body = {(const char *)data + 1, size > 0 ? size - 1 : 0};
  json_t *root;

  event_sns_url_good(body, true);
  assert(event_verify_basic(PARLEY_LIT("user:a password that is not in any corpus"), body) != EVENT_GOOD);
  root = size > 0 ? json_strict_load(body, &faults) : NULL;
  if (root == NULL)
    return 0;
  assert(event_verify_mailgun(PARLEY_LIT("a key"), root, INT64_C(1700000000000), 300000) != EVENT_GOOD);
  for (size_t i = 0; i < event_count(provider, root) && i < 1000; i++)
    if (event_read(provider, root, i, &event))
      check_event(&event);
  json_decref(root);
  return 0;
}
