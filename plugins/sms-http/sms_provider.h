/* sms_provider.h - what a provider of SMS over HTTP is to the rest of the plugin: how a message becomes a request, what its answer
 * means, whether a callback is the provider's own, and what is in it. Pure: bytes in, values out; no sockets, no host. Thread: loop.
 */
#ifndef SMS_PROVIDER_H
#define SMS_PROVIDER_H
#include "common/copy.h"
#include "common/digest.h"
#include "common/json.h"
#include "common/sms_options.h"
#include "sms_form.h"
#include <parley/ext/http-in.h>

enum {
  SMS_IDS_MAX = 64,              /* provider ids of one message */
  SMS_ID_BYTES_MAX = 255,        /* of one of them */
  SMS_MEDIA_MAX = 10,            /* files of one message */
  SMS_ITEMS_MAX = 1000,          /* receipts and messages in one callback */
  SMS_TEXT_BYTES_MAX = 64 << 10, /* of a text that comes in */
  SMS_URL_BYTES_MAX = 2048,
  SMS_PIECES_MAX = 255, /* of a text that comes in as several: what a user data header can count */
  SMS_HEADERS_MAX = 24,
  SMS_CODE_ROOM = 64,
  SMS_DETAIL_ROOM = 256,
  SMS_WHY_ROOM = 320,
  SMS_FEATURES_MAX = 6
};
#define SMS_RECEIPTS_PATH "/receipts" /* where receipts are asked to come in; messages come to any other path */

/* Who we are to the provider. Borrowed from the options. */
struct sms_account {
  parley_text account, user, secret; /* user: that of account unless given */
  parley_text callback_secret;       /* what callbacks are signed with: that of secret unless given */
  parley_text base_url;              /* empty: the provider's own */
  parley_text messaging_service;
  bool mms;
  int32_t signature; /* place in sms_signature_choices */
};
extern const char *const sms_signature_choices[]; /* of Vonage */

/* --- Out ---------------------------------------------------------------------------------------------------------- */
struct sms_piece {                          /* one request's worth of a message */
  parley_text to, from, id, text, callback; /* from: empty: none is configured; callback: where receipts come in */
  bool unicode;                             /* the text is not in the GSM alphabet */
  uint32_t n_media;
  parley_text media[SMS_MEDIA_MAX]; /* URLs */
  uint32_t expires_s;               /* from now; 0: never */
  int64_t now_ms;
};
struct sms_request {
  struct copy *memory;      /* of url and headers */
  struct json_writer *body; /* empty to begin with */
  parley_text method, url;
  uint32_t n_headers;
  parley_pair headers[SMS_HEADERS_MAX];
};
/* value is copied. */
void sms_header_add(struct sms_request *request, const char *name, parley_text value);
void sms_basic_auth_add(struct sms_request *request, parley_text user, parley_text secret);
/* pieces, one after the other, in the request's memory. */
parley_text sms_join(struct copy *memory, const parley_text *pieces, size_t n);

/* What an answer means. Ids are texts in memory. */
struct sms_sent {
  struct copy *memory;
  uint32_t result, retry_ms, n_ids;
  parley_text ids[SMS_IDS_MAX];
  char code[SMS_CODE_ROOM], detail[SMS_DETAIL_ROOM];
};
void sms_sent_say(struct sms_sent *sent, uint32_t result, parley_text code, parley_text detail); /* cuts what is too long */
/* What a code means to any provider: 2xx accepted, 401 403 channel down, 408 425 500 503 retry, 429 throttled, 502 504 and odd ones
 * unknown, the rest rejected. */
uint32_t sms_result_of_code(uint32_t code);
struct sms_outcome_row {
  const char *code;
  uint32_t outcome;
};
/* 0: it is not in the table, which ends with a NULL. */
uint32_t sms_outcome_find(const struct sms_outcome_row *table, parley_text code);

/* --- In ----------------------------------------------------------------------------------------------------------- */
struct sms_item {
  bool is_receipt;
  parley_receipt receipt;
  parley_inbound inbound;
  parley_identity from, to;
  const parley_identity *from_list[1], *to_list[1];
  parley_part parts[1 + SMS_MEDIA_MAX];
  const parley_part *part_list[1 + SMS_MEDIA_MAX];
  parley_segment segment;
  parley_pair fields[2];
  uint32_t n_fetching; /* files of it that are on their way */
};
struct sms_taken {
  struct copy *memory;
  json_t *root;                    /* freed with the rest */
  uint32_t n, n_unknown, n_silent; /* items; what we do not know; what is known and says nothing new (queued) */
  struct sms_item *items[SMS_ITEMS_MAX];
  const char *fault; /* it cannot be read: 422 */
  uint32_t code;     /* to answer with; 0: 200 */
  parley_text type, body;
};
struct sms_item *sms_receipt_add(struct sms_taken *taken, uint32_t kind, parley_text id); /* NULL: no memory, too many, no id */
struct sms_item *sms_inbound_add(struct sms_taken *taken, parley_text from, parley_text to, parley_text text, parley_text id);
void sms_media_add(struct sms_taken *taken, struct sms_item *item, parley_text url,
                   parley_text type); /* what is no URL is no media */
/* What a callback holds, as one JSON value: its body as JSON or as a form (an object of texts), or without a body its query. NULL:
 * taken->fault says why. It is taken->root, too. */
json_t *sms_call_read(const parley_http_call *call, struct sms_taken *taken);
bool sms_call_is_form(const parley_http_call *call);
parley_text sms_member(const json_t *object, const char *name); /* a text; empty for anything else */
/* One piece of several: false, and the item is as it was, where the numbers make no sense. */
bool sms_segment_set(struct sms_taken *taken, struct sms_item *item, parley_text reference, parley_text part, parley_text total);
parley_text sms_number_digits(parley_text number); /* "+34600111222" without its plus; anything else as it is */

/* --- One provider ------------------------------------------------------------------------------------------------- */
/* What became of a callback's signature; sms_verdict_code() is a stable word for logs and answers. */
enum sms_verdict { SMS_GOOD, SMS_MISSING, SMS_MALFORMED, SMS_STALE, SMS_MISMATCH };
const char *sms_verdict_code(enum sms_verdict verdict);
struct sms_capable { /* filled in by the provider */
  uint32_t receipts, n_features;
  parley_feature features[SMS_FEATURES_MAX];
};
struct sms_provider {
  const char *name;
  /* PARLEY_INVALID: why says which option is wrong. account and options outlive *ret. */
  parley_status (*open)(const struct sms_account *account, const parley_value *options, void **ret, char why[SMS_WHY_ROOM]);
  void (*close)(void *self);
  void (*capable)(const void *self, struct sms_capable *to);
  bool needs_from; /* it chooses no sender itself; but for a messaging_service */
  /* false: no memory. */
  bool (*request)(const void *self, const struct sms_piece *piece, struct sms_request *to);
  /* Only of an answer that came, whatever its code. */
  void (*answer)(const void *self, const parley_http_response *response, struct sms_sent *to);
  /* What `parley channel check` asks: changes nothing there. false: there is nothing to ask. */
  bool (*probe)(const void *self, struct sms_request *to);
  enum sms_verdict (*verify)(const void *self, const parley_http_call *call, int64_t now_ms);
  void (*read)(const void *self, const parley_http_call *call, struct sms_taken *to);
  /* Media that came by URL are fetched with this header; false: without one. NULL: never fetched. */
  bool (*fetch)(const void *self, parley_text url, struct sms_request *to);
};
extern const struct sms_provider sms_twilio, sms_vonage, sms_vonage_messages, sms_gateway;
#endif
