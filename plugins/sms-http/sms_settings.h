/* sms_settings.h - what the operator wrote for a channel of SMS over HTTP: the table of options, and what they come to. Texts are
 * borrowed from the option tree, which lives until destroy(). Thread: loop; reading is pure and may be done on any. */
#ifndef SMS_SETTINGS_H
#define SMS_SETTINGS_H
#include "sms_provider.h"

struct sms_settings {
  const struct sms_provider *provider;
  void *self; /* the provider's own */
  struct sms_account account;
  struct sms_options sms; /* sender, prices, simplify */
  uint32_t in_flight, timeout_ms;
  bool receipts;
  parley_capabilities capabilities;
  struct sms_capable capable;
  const parley_feature *features[SMS_FEATURES_MAX + 1];
  char why[SMS_WHY_ROOM];
  char odd[SMS_WHY_ROOM]; /* what was passed over, and is a mistake all the same; empty: nothing */
};
extern const parley_option *const sms_settings_table[];
extern const parley_capabilities sms_capabilities; /* the most that a provider has */

/* PARLEY_INVALID: to->why says which option is wrong and what is allowed; PARLEY_BUSY: no memory. Either way sms_settings_done() is
 * due. The result points into itself: it may not be moved. */
parley_status sms_settings_read(const parley_value *options, struct sms_settings *to);
void sms_settings_done(struct sms_settings *settings);
#endif
