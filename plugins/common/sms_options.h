/* sms_options.h - the options that every SMS plugin has, and what they mean: who a message is from, by where it goes, what it costs
 * there, and whether curly characters may become plain ones. Put the four into the plugin's table, read them in create(), ask
 * sms_options_capable() in capable(). Owns what it read; nothing is borrowed from the option tree. Thread: any; never changed after
 * reading.
 *
 * A prefix is what numbers begin with: a country calling code ("34") or more of the number ("+346"), with or without the plus.
 * The longest that a number begins with counts. */
#ifndef PLUGINS_COMMON_SMS_OPTIONS_H
#define PLUGINS_COMMON_SMS_OPTIONS_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  SMS_SENDERS_MAX = 500,  /* in senders */
  SMS_PRICES_MAX = 1000,  /* in prices */
  SMS_PREFIX_DIGITS_MAX = 15, /* of a prefix, and of an E.164 number */
  SMS_NUMBER_DIGITS_MIN = 7,
  SMS_SHORT_CODE_DIGITS_MIN = 3,
  SMS_SHORT_CODE_DIGITS_MAX = 8,
  SMS_NAME_BYTES_MAX = 11, /* of an alphanumeric sender (3GPP TS 23.040, 9.1.2.5: 11 septets) */
  SMS_PRICE_MAX = 1000000, /* units of the currency */
  SMS_OPTIONS_WHY_ROOM = 256
};

enum sms_sender_kind {
  SMS_SENDER_NONE,       /* none is configured: the provider's own choice */
  SMS_SENDER_NUMBER,     /* "+34600111222" */
  SMS_SENDER_SHORT_CODE, /* "21212" */
  SMS_SENDER_NAME        /* "Shop": nobody can answer to it */
};
struct sms_sender {
  enum sms_sender_kind kind;
  uint32_t len;
  char text[SMS_PREFIX_DIGITS_MAX + 2]; /* with its plus, a NUL behind */
};
/* false: it is none of the three; *ret_why (static) says what is wrong. */
bool sms_sender_read(parley_text text, struct sms_sender *to, const char **ret_why);

/* `from`, `senders`, `simplify`, `prices`. from is not required by the table: a plugin that cannot do without says so itself. */
extern const parley_option sms_option_from, sms_option_senders, sms_option_simplify, sms_option_prices;

struct sms_options {
  bool simplify;
  struct sms_sender from; /* of every number that no prefix of senders fits */
  uint32_t n_senders;
  struct sms_sender_row *senders;    /* only sms_options.c sees inside */
  const parley_price *const *prices; /* ends with NULL; NULL: none given */
  struct sms_price_row *price_rows;
  char why[SMS_OPTIONS_WHY_ROOM];
};
/* Options that the plugin's table lacks count as not given. PARLEY_INVALID: to->why says which option and what is wrong with it;
 * PARLEY_BUSY: no memory. Either way sms_options_done() is due. */
parley_status sms_options_read(const parley_value *options, struct sms_options *to);
void sms_options_done(struct sms_options *options);

/* to: as in parley_message.to, "+34600111222"; a short code, which has no plus, gets `from`. Never NULL; lives as long as options. */
const struct sms_sender *sms_sender_for(const struct sms_options *options, parley_text to);
/* Sets PARLEY_SIMPLIFY and prices of a plugin's own copy of its capabilities; they borrow from options. */
void sms_options_capable(const struct sms_options *options, parley_capabilities *to);
#endif
