/* page_text.h - what our pages and the mails that lead to them say, in each language: one table. Private to core/api. Thread: any. */
#ifndef CORE_API_PAGE_TEXT_H
#define CORE_API_PAGE_TEXT_H
#include <parley/plugin.h>
#include <stdbool.h>

enum lang { LANG_EN, LANG_DE, LANG_ES, LANG_FR, LANGS };
/* {0}, {1}: filled in by who shows it. */
enum word {
  W_TAG, /* of the language: "en" */
  W_UNSUBSCRIBE, W_UNSUBSCRIBE_ASK /* topic, kind */, W_UNSUBSCRIBED, W_UNSUBSCRIBED_SAYS /* topic, kind */,
  W_FOR_ADDRESS /* address */,
  W_CHOOSE, W_PREFERENCES, W_PREFERENCES_SAYS, W_TOPIC, W_SAVE, W_SAVED, W_STOP_ALL, W_NOTHING_TO_CHOOSE,
  W_CONFIRM, W_CONFIRM_ASK /* topic, kind */, W_CONFIRMED, W_CONFIRMED_SAYS /* topic, kind */, W_EXPIRED, W_EXPIRED_SAYS,
  W_USED, W_USED_SAYS,
  W_SIGN_UP, W_SIGN_UP_SAYS, W_FIELD_EMAIL, W_FIELD_PHONE, W_FIELD_ADDRESS, W_TRAP, W_BAD_ADDRESS,
  W_SENT, W_SENT_SAYS, W_TOO_MANY, W_TOO_MANY_SAYS, W_NOT_FOUND, W_NOT_FOUND_SAYS, W_BAD_FORM, W_BAD_FORM_SAYS,
  W_MAIL_SUBJECT /* topic */, W_MAIL_SAYS /* topic */, W_MAIL_IGNORE,
  W_KIND_ALL, W_KIND_EMAIL, W_KIND_SMS, W_KIND_CHAT, W_KIND_PUSH, W_KIND_VOICE, W_KIND_WEBHOOK,
  WORDS
};
const char *page_word(enum lang lang, enum word word);
const char *page_kind(enum lang lang, parley_text channel_kind); /* "by {1}": "e-mail" */
/* By the primary subtag of a language tag; false: none of ours. */
bool page_lang_parse(parley_text tag, enum lang *ret);
/* Of an Accept-Language header (RFC 9110 12.5.4) the one of ours that it wants most; false: none. */
bool page_lang_accepted(parley_text header, enum lang *ret);
#endif
