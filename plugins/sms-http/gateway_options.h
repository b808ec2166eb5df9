/* gateway_options.h - a gateway's description, as the option `gateway` has it: the table of its members (gateway_table.c), and what
 * they come to. Texts are borrowed from the option tree, which outlives the channel; templates live in the description's memory.
 * Read once, then never changed. Thread: any. */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H
#include "gateway_template.h"
#include "sms_pointer.h"
#include "sms_provider.h"

enum {
  GATEWAY_ROWS_MAX = 200, /* of each table of values */
  GATEWAY_PAIRS_MAX = 32  /* headers, fields of a form or query, conditions */
};
#define GATEWAY_GSM7_DEFAULT 1530 /* septets: ten segments */
#define GATEWAY_UNICODE_DEFAULT 670
#define GATEWAY_PIECES_DEFAULT 5
enum gateway_auth { GATEWAY_AUTH_NONE, GATEWAY_AUTH_BASIC, GATEWAY_AUTH_BEARER, GATEWAY_AUTH_HEADER, GATEWAY_AUTH_QUERY };
enum gateway_sign { GATEWAY_SIGN_HMAC, GATEWAY_SIGN_TOKEN, GATEWAY_SIGN_BASIC };
enum { GATEWAY_RECEIPT_NOTHING = 100 /* of a status that tells nothing new */ };

struct gateway_pair { char *name; struct gateway_template value; };
struct gateway_pairs { uint32_t n; struct gateway_pair *pairs; };
struct gateway_row { parley_text value; uint32_t means; }; /* "*": any other */
struct gateway_rows { uint32_t n; struct gateway_row *rows; };
struct gateway_when { uint32_t n; parley_pair conditions[GATEWAY_PAIRS_MAX]; }; /* pointer, text */

struct gateway_send {
  parley_text method;
  struct gateway_template url, json; /* json: n_pieces 0: none */
  struct gateway_pairs query, headers, form;
  enum gateway_auth auth;
  char *auth_name;
  parley_text auth_prefix;
};
struct gateway_pointer { bool given; parley_text text; }; /* "" is one as well: all of it */
struct gateway_answer {
  struct gateway_pointer each, id, outcome, code, detail, retry_after;
  struct gateway_rows outcomes, codes, http;
};
struct gateway_signature {
  enum gateway_sign kind;
  enum digest_hash hash;
  enum digest_encoding encoding;
  struct gateway_template over;
  char *header, *query, *timestamp;
  parley_text prefix;
  int64_t tolerance_ms;
};
struct gateway_event { /* receipts, or messages in */
  bool given;
  struct gateway_pointer each, id, time;
  struct gateway_when when;
  /* receipts */
  struct gateway_pointer reference, status, code, detail;
  struct gateway_rows statuses, codes;
  /* messages */
  struct gateway_pointer from, to, text, media, media_url, media_type, segment_reference, segment_part, segment_total;
};
struct gateway_description {
  struct copy *memory;
  struct gateway_send send;
  struct gateway_answer answer;
  bool has_check, has_signature, has_media;
  struct gateway_template check_url;
  parley_text gsm7, unicode; /* what {{alphabet}} is */
  uint32_t gsm7_max, unicode_max, pieces_max;
  struct gateway_signature signature;
  struct gateway_event receipts, inbound;
  parley_text reply_type, reply_body;
};
extern const char *const gateway_methods[];
extern const parley_option *const gateway_fields[]; /* of the option `gateway`, a group */

/* group: the option `gateway`. PARLEY_INVALID: why names the member and what is wrong; PARLEY_BUSY: no memory. *ret is
 * gateway_description_free()'s. */
parley_status gateway_description_read(const parley_value *group, struct gateway_description **ret, char why[SMS_WHY_ROOM]);
void gateway_description_free(struct gateway_description **description);
/* 0: neither it nor "*" is in the table. */
uint32_t gateway_row_find(const struct gateway_rows *rows, parley_text value);
#endif
