#include "gateway.h"
#include <stdio.h>
#include <stdlib.h>

static parley_status secrets_check(const struct gateway *gateway, char *why)
{
  const struct gateway_description *is = gateway->is;
  const char *missing = NULL;

  if (is->has_signature && is->signature.kind == GATEWAY_SIGN_BASIC &&
      memchr(gateway->account->callback_secret.at, ':', gateway->account->callback_secret.len) == NULL)
    missing = "callback_secret: with signature kind basic it is user:password";
  else if (gateway->account->mms && !is->has_media)
    missing = "mms: the gateway's description has no {{media}}";
  if (missing != NULL)
    snprintf(why, SMS_WHY_ROOM, "%s", missing);
  return missing == NULL ? PARLEY_OK : PARLEY_INVALID;
}

static parley_status gateway_open(const struct sms_account *account, const parley_value *options, void **ret, char why[SMS_WHY_ROOM])
{
  const parley_value *group = parley_find(options, "gateway");
  struct gateway *gateway;
  parley_status st;

  if (group == NULL || group->type == 0) {
    snprintf(why, SMS_WHY_ROOM, "gateway: provider gateway needs its description, such as { file: gateways/plivo.yaml }");
    return PARLEY_INVALID;
  }
  gateway = calloc(1, sizeof *gateway);
  if (gateway == NULL)
    return PARLEY_BUSY;
  gateway->account = account;
  st = gateway_description_read(group, &gateway->is, why);
  if (st == PARLEY_OK)
    st = secrets_check(gateway, why);
  if (st == PARLEY_OK) {
    *ret = gateway;
  } else {
    gateway_description_free(&gateway->is);
    free(gateway);
  }
  return st;
}

static void gateway_close(void *self)
{
  struct gateway *gateway = self;

  gateway_description_free(&gateway->is);
  free(gateway);
}

static void gateway_capable(const void *self, struct sms_capable *to)
{
  const struct gateway *gateway = self;
  const struct gateway_description *is = gateway->is;

  for (uint32_t i = 0; i < is->receipts.statuses.n; i++)
    if (is->receipts.statuses.rows[i].means != GATEWAY_RECEIPT_NOTHING)
      to->receipts |= PARLEY_BIT(is->receipts.statuses.rows[i].means);
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_TEXT,
                                                    .level = PARLEY_LEVEL_NATIVE,
                                                    .unit = PARLEY_UNIT_GSM7,
                                                    .length_max = is->gsm7_max,
                                                    .count_max = is->pieces_max};
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_TEXT,
                                                    .level = PARLEY_LEVEL_NATIVE,
                                                    .unit = PARLEY_UNIT_UTF16,
                                                    .length_max = is->unicode_max,
                                                    .count_max = is->pieces_max};
  if (gateway->account->mms)
    to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                      .what = PARLEY_PART_MEDIA,
                                                      .level = PARLEY_LEVEL_NATIVE,
                                                      .count_max = SMS_MEDIA_MAX};
}

const struct sms_provider sms_gateway = {.name = "gateway",
                                         .open = gateway_open,
                                         .close = gateway_close,
                                         .capable = gateway_capable,
                                         .request = gateway_request,
                                         .answer = gateway_answer,
                                         .probe = gateway_probe,
                                         .verify = gateway_verify,
                                         .read = gateway_read};
