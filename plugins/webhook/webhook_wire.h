/* webhook_wire.h - the bytes of the webhook plugin, no sockets: the JSON posted out, the JSON taken in, the answers, and what an
 * HTTP answer means for a message. Thread: any. Times: ms since 1970. */
#ifndef PLUGINS_WEBHOOK_WIRE_H
#define PLUGINS_WEBHOOK_WIRE_H
#include "common/json.h"
#include <parley/ext/http.h>

#define WEBHOOK_ID_BYTES_MAX 255       /* of the other side's message ids */
#define WEBHOOK_IDENTITIES_MAX 8       /* in one "from" */
#define WEBHOOK_KIND_BYTES_MAX 32      /* an identity's kind: a-z 0-9 _ . - */
#define WEBHOOK_VALUE_BYTES_MAX 512    /* an identity's value, names, a media type */
#define WEBHOOK_SUBJECT_BYTES_MAX 998
#define WEBHOOK_TEXT_BYTES_MAX (1u << 20) /* text, HTML */
#define WEBHOOK_URL_BYTES_MAX 2048
#define WEBHOOK_CODE_BYTES_MAX 64      /* a receipt's code */
#define WEBHOOK_MEDIA_MAX 10           /* in one message */
#define WEBHOOK_PARTS_MAX (WEBHOOK_MEDIA_MAX + 3)

/* Writes {"type":"message.send",...} of a message whose parts this channel can carry; the same bytes in every attempt.
 * PARLEY_BUSY: no memory; PARLEY_REJECTED: a media part has neither bytes nor a URL. */
parley_status webhook_body_write(struct json_writer *writer, const parley_message *msg);

/* What a HTTP exchange means. outcome.code and detail point into this struct or into the response. */
struct webhook_outcome {
  parley_outcome outcome;
  char code[16];
};
void webhook_outcome_make(const parley_http_response *response, struct webhook_outcome *to);

/* One request taken in: exactly one of the two is meant. All text borrows from root. */
struct webhook_in {
  bool is_receipt;
  json_t *root;
  parley_inbound inbound;
  parley_receipt receipt;
  parley_identity identities[WEBHOOK_IDENTITIES_MAX];
  const parley_identity *from[WEBHOOK_IDENTITIES_MAX];
  parley_part parts[WEBHOOK_PARTS_MAX];
  const parley_part *part_list[WEBHOOK_PARTS_MAX];
  char *blobs[WEBHOOK_PARTS_MAX]; /* media that came as base64, decoded: the part of the same place borrows it */
};
/* NULL: *faults says what is wrong (and is empty when memory is gone). Free with webhook_in_free, which accepts NULL. */
struct webhook_in *webhook_in_read(parley_bytes body, struct json_faults *faults);
void webhook_in_free(struct webhook_in *in);

/* An RFC 9457 problem; faults may be NULL. */
void webhook_problem_write(struct json_writer *writer, uint32_t status, const char *title, const char *code, parley_text detail,
                           const struct json_faults *faults);
/* {"id":"msg_...","duplicate":false} */
void webhook_answer_write(struct json_writer *writer, parley_text id, bool duplicate);
#endif
