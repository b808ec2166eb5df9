#include "sms_options.h"
#include "option.h"
#include <stdio.h>
#include <stdlib.h>

enum { MICROS = 1000000, DECIMALS_MAX = 6, PRICE_BYTES_MAX = 16, SHOWN_BYTES_MAX = 40, CURRENCY_LETTERS = 3 };

struct sms_sender_row { uint32_t len; char digits[SMS_PREFIX_DIGITS_MAX + 1]; struct sms_sender sender; };
struct sms_price_row { parley_price price; char prefix[SMS_PREFIX_DIGITS_MAX + 2], currency[CURRENCY_LETTERS + 1]; };

/* --- The table ---------------------------------------------------------------------------------------------------- */
const parley_option sms_option_from = {
    .size = sizeof sms_option_from, .name = "from", .type = PARLEY_OPTION_TEXT, .min = 1, .max = SHOWN_BYTES_MAX,
    .doc = "the sender: a number like +34600111222, a short code, or a name of up to 11 characters", .example = "+34600111222"};
static const parley_option sender_element = {.size = sizeof sender_element, .name = "sender", .type = PARLEY_OPTION_TEXT, .min = 1,
                                             .max = SHOWN_BYTES_MAX, .doc = "the sender to numbers that begin so",
                                             .example = "Shop"};
const parley_option sms_option_senders = {
    .size = sizeof sms_option_senders, .name = "senders", .type = PARLEY_OPTION_MAP, .max = SMS_SENDERS_MAX,
    .doc = "senders of their own by country calling code or longer prefix", .example = "{34: Shop, 1: \"+12025550143\"}",
    .fields = (const parley_option *const[]){&sender_element, NULL}};
const parley_option sms_option_simplify = {
    .size = sizeof sms_option_simplify, .name = "simplify", .type = PARLEY_OPTION_BOOL, .default_text = "false",
    .doc = "write curly quotes, dashes, ellipses and odd spaces plainly where that makes a text cheaper", .example = "true"};
static const parley_option price_prefix = {.size = sizeof price_prefix, .name = "prefix", .type = PARLEY_OPTION_TEXT, .max = 16,
                                           .doc = "of numbers, such as 34 or +346; without it: all others", .example = "+34"};
static const parley_option price_price = {.size = sizeof price_price, .name = "price", .type = PARLEY_OPTION_TEXT,
                                          .flags = PARLEY_REQUIRED, .min = 1, .max = PRICE_BYTES_MAX,
                                          .doc = "of one segment, such as 0.075", .example = "0.075"};
static const parley_option price_currency = {.size = sizeof price_currency, .name = "currency", .type = PARLEY_OPTION_TEXT,
                                             .flags = PARLEY_REQUIRED, .min = CURRENCY_LETTERS, .max = CURRENCY_LETTERS,
                                             .doc = "by ISO 4217, such as EUR", .example = "EUR"};
static const parley_option price_element = {
    .size = sizeof price_element, .name = "price", .type = PARLEY_OPTION_GROUP, .doc = "what a segment costs to numbers that begin so",
    .fields = (const parley_option *const[]){&price_prefix, &price_price, &price_currency, NULL}};
const parley_option sms_option_prices = {
    .size = sizeof sms_option_prices, .name = "prices", .type = PARLEY_OPTION_LIST, .max = SMS_PRICES_MAX,
    .doc = "what a segment costs, by prefix: shown by explain and with each message",
    .fields = (const parley_option *const[]){&price_element, NULL}};

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static size_t digits_count(const char *at, size_t len)
{
  size_t n = 0;

  while (n < len && is_digit(at[n]))
    n++;
  return n;
}

/* What is shown of a value that is wrong: no control bytes. */
static const char *shown(parley_text text, char to[SHOWN_BYTES_MAX + 1])
{
  size_t n = text.len < SHOWN_BYTES_MAX ? text.len : SHOWN_BYTES_MAX;

  for (size_t i = 0; i < n; i++)
    to[i] = (char)((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f ? '?' : text.at[i]);
  to[n] = '\0';
  return to;
}

/* --- Senders ------------------------------------------------------------------------------------------------------ */
/* What providers and networks take in a name: letters, digits, and of the rest what all of them have. */
static const char *name_fault(parley_text text)
{
  bool letter = false;

  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

    letter |= is_letter;
    if (c == '\0' || (!is_letter && !is_digit(c) && strchr(" -_&.+", c) == NULL))
      return "a name has letters, digits, spaces and - _ & . + only";
  }
  if (!letter)
    return text.at[0] == '+' ? "a number has 7 to 15 digits behind its plus, and nothing else"
                             : "without a plus it is a short code of 3 to 8 digits, or a name, which has a letter at least; a number "
                               "is written with its country, like +34600111222";
  if (text.len > SMS_NAME_BYTES_MAX)
    return "a name has 11 characters at most";
  return text.at[0] == ' ' || text.at[text.len - 1] == ' ' ? "a name begins and ends with no space" : NULL;
}

static enum sms_sender_kind number_kind(parley_text text)
{
  size_t plus = text.len > 0 && text.at[0] == '+', digits = digits_count(text.at + plus, text.len - plus);

  if (digits != text.len - plus)
    return SMS_SENDER_NONE;
  if (plus)
    return digits >= SMS_NUMBER_DIGITS_MIN && digits <= SMS_PREFIX_DIGITS_MAX && text.at[1] != '0' ? SMS_SENDER_NUMBER
                                                                                                    : SMS_SENDER_NONE;
  return digits >= SMS_SHORT_CODE_DIGITS_MIN && digits <= SMS_SHORT_CODE_DIGITS_MAX ? SMS_SENDER_SHORT_CODE : SMS_SENDER_NONE;
}

bool sms_sender_read(parley_text text, struct sms_sender *to, const char **ret_why)
{
  enum sms_sender_kind kind = number_kind(text);
  const char *fault = text.len == 0 ? "it is empty" : kind == SMS_SENDER_NONE ? name_fault(text) : NULL;

  if (fault != NULL) {
    *ret_why = fault;
    return false;
  }
  *to = (struct sms_sender){.kind = kind == SMS_SENDER_NONE ? SMS_SENDER_NAME : kind, .len = (uint32_t)text.len};
  memcpy(to->text, text.at, text.len);
  return true;
}

/* The digits of a prefix, without its plus. */
static bool prefix_read(parley_text text, char digits[SMS_PREFIX_DIGITS_MAX + 1], uint32_t *ret_len)
{
  size_t plus = text.len > 0 && text.at[0] == '+', len = text.len - plus;

  if (len == 0 || len > SMS_PREFIX_DIGITS_MAX || digits_count(text.at + plus, len) != len || text.at[plus] == '0')
    return false;
  memcpy(digits, text.at + plus, len);
  digits[len] = '\0';
  *ret_len = (uint32_t)len;
  return true;
}

#define PREFIX_RULE "a prefix is a country calling code, such as 34, or more of a number: 1 to 15 digits, the first no 0"

static bool sender_row_read(struct sms_options *to, const parley_value *item)
{
  struct sms_sender_row *row = &to->senders[to->n_senders];
  char name[SHOWN_BYTES_MAX + 1], value[SHOWN_BYTES_MAX + 1];
  const char *fault = NULL;

  if (!prefix_read(item->name, row->digits, &row->len)) {
    snprintf(to->why, sizeof to->why, "senders: '%s': " PREFIX_RULE, shown(item->name, name));
    return false;
  }
  if (!sms_sender_read(item->text, &row->sender, &fault)) {
    snprintf(to->why, sizeof to->why, "senders: %s: '%s' is no sender: %s", row->digits, shown(item->text, value), fault);
    return false;
  }
  for (uint32_t i = 0; i < to->n_senders; i++)
    if (strcmp(to->senders[i].digits, row->digits) == 0) {
      snprintf(to->why, sizeof to->why, "senders: %s is there twice", row->digits);
      return false;
    }
  to->n_senders++;
  return true;
}

static parley_status senders_read(const parley_value *options, struct sms_options *to)
{
  const parley_value *map = parley_find(options, "senders");
  parley_text from = option_text(options, "from");
  char value[SHOWN_BYTES_MAX + 1];
  const char *fault = NULL;

  if (from.len > 0 && !sms_sender_read(from, &to->from, &fault)) {
    snprintf(to->why, sizeof to->why, "from: '%s' is no sender: %s", shown(from, value), fault);
    return PARLEY_INVALID;
  }
  if (map == NULL || map->type == 0 || map->n_items == 0)
    return PARLEY_OK;
  to->senders = map->n_items > SMS_SENDERS_MAX ? NULL : calloc(map->n_items, sizeof *to->senders);
  if (to->senders == NULL)
    return PARLEY_BUSY;
  for (uint64_t i = 0; i < map->n_items; i++)
    if (!sender_row_read(to, map->items[i]))
      return PARLEY_INVALID;
  return PARLEY_OK;
}

const struct sms_sender *sms_sender_for(const struct sms_options *options, parley_text to)
{
  const struct sms_sender_row *best = NULL;

  for (uint32_t i = 0; i < options->n_senders && to.len > 1 && to.at[0] == '+'; i++) {
    const struct sms_sender_row *row = &options->senders[i];

    if (row->len < to.len && memcmp(row->digits, to.at + 1, row->len) == 0 && (best == NULL || row->len > best->len))
      best = row;
  }
  return best != NULL ? &best->sender : &options->from;
}

/* --- Prices ------------------------------------------------------------------------------------------------------- */
/* "0.075" -> 75000; a whole part, and up to six decimals. */
static bool price_read(parley_text text, int64_t *ret)
{
  size_t whole = digits_count(text.at, text.len), decimals = 0;
  int64_t micros = 0;

  if (whole == 0 || whole > 7)
    return false;
  if (whole < text.len) {
    decimals = digits_count(text.at + whole + 1, text.len - whole - 1);
    if (text.at[whole] != '.' || decimals == 0 || decimals > DECIMALS_MAX || whole + 1 + decimals != text.len)
      return false;
  }
  for (size_t i = 0; i < whole; i++)
    micros = micros * 10 + (text.at[i] - '0');
  for (size_t i = 0; i < DECIMALS_MAX; i++)
    micros = micros * 10 + (i < decimals ? text.at[whole + 1 + i] - '0' : 0);
  *ret = micros;
  return micros <= (int64_t)SMS_PRICE_MAX * MICROS;
}

static bool currency_read(parley_text text, char to[CURRENCY_LETTERS + 1])
{
  if (text.len != CURRENCY_LETTERS)
    return false;
  for (size_t i = 0; i < CURRENCY_LETTERS; i++)
    if (text.at[i] < 'A' || text.at[i] > 'Z')
      return false;
  memcpy(to, text.at, CURRENCY_LETTERS);
  to[CURRENCY_LETTERS] = '\0';
  return true;
}

static bool price_row_read(const parley_value *item, struct sms_price_row *row, char *why, size_t why_room)
{
  parley_text prefix = option_text(item, "prefix"), price = option_text(item, "price"), currency = option_text(item, "currency");
  char value[SHOWN_BYTES_MAX + 1];
  uint32_t len;

  row->price.size = sizeof row->price;
  if (prefix.len > 0 && !prefix_read(prefix, row->prefix + 1, &len)) {
    snprintf(why, why_room, "prices: prefix '%s': " PREFIX_RULE, shown(prefix, value));
    return false;
  }
  row->prefix[0] = prefix.len > 0 ? '+' : '\0';
  if (!price_read(price, &row->price.micros)) {
    snprintf(why, why_room, "prices: '%s' is no price: such as 0.075, six decimals and %d at most", shown(price, value), SMS_PRICE_MAX);
    return false;
  }
  if (!currency_read(currency, row->currency)) {
    snprintf(why, why_room, "prices: '%s' is no currency: three capital letters, such as EUR", shown(currency, value));
    return false;
  }
  row->price.prefix = row->prefix;
  row->price.currency = row->currency;
  return true;
}

static bool price_is_new(struct sms_options *to, uint64_t n)
{
  const char *prefix = to->price_rows[n].prefix;

  for (uint64_t i = 0; i < n; i++)
    if (strcmp(to->price_rows[i].prefix, prefix) == 0) {
      snprintf(to->why, sizeof to->why, "prices: %s is there twice", prefix[0] != '\0' ? prefix : "one without a prefix");
      return false;
    }
  return true;
}

static parley_status prices_read(const parley_value *options, struct sms_options *to)
{
  const parley_value *list = parley_find(options, "prices");
  const parley_price **prices;
  uint64_t n = option_given(list) ? list->n_items : 0;

  if (n == 0)
    return PARLEY_OK;
  to->price_rows = n > SMS_PRICES_MAX ? NULL : calloc(n, sizeof *to->price_rows);
  prices = to->price_rows != NULL ? calloc(n + 1, sizeof *prices) : NULL;
  if (prices == NULL)
    return PARLEY_BUSY;
  to->prices = prices;
  for (uint64_t i = 0; i < n; i++) {
    if (!price_row_read(list->items[i], &to->price_rows[i], to->why, sizeof to->why) || !price_is_new(to, i))
      return PARLEY_INVALID;
    prices[i] = &to->price_rows[i].price;
  }
  return PARLEY_OK;
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */
parley_status sms_options_read(const parley_value *options, struct sms_options *to)
{
  const parley_value *simplify = parley_find(options, "simplify");
  parley_status st;

  *to = (struct sms_options){.simplify = simplify != NULL && simplify->number != 0};
  st = senders_read(options, to);
  if (st == PARLEY_OK)
    st = prices_read(options, to);
  if (st == PARLEY_BUSY)
    snprintf(to->why, sizeof to->why, "no memory");
  return st;
}

void sms_options_done(struct sms_options *options)
{
  free(options->senders);
  free(options->price_rows);
  free((void *)options->prices);
  *options = (struct sms_options){0};
}

void sms_options_capable(const struct sms_options *options, parley_capabilities *to)
{
  if (options->simplify)
    to->flags |= PARLEY_SIMPLIFY;
  to->prices = options->prices;
}
