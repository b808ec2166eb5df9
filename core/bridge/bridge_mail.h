/* bridge_mail.h - an event of the feed as a mail to a support mailbox, and an owner's answer as a message to the customer. Pure: values
 * in, values out, in the caller's arena. Private to core/bridge. */
#ifndef CORE_BRIDGE_BRIDGE_MAIL_H
#define CORE_BRIDGE_BRIDGE_MAIL_H
#include "bridge.h"

#define BRIDGE_TITLE_BYTES_MAX 120 /* of a subject's second half */
#define BRIDGE_TEXT_BYTES_MAX ((size_t)256 << 10) /* of a customer's text; the rest is in the conversation */
#define BRIDGE_RECENT_MAX 10
#define BRIDGE_RECENT_BYTES_MAX 240 /* of an earlier message */
/* Whatever stands below it in an answer is not the answer: for programs that quote without a mark. With "> " before it, it is the
 * lines with that mark which are not. */
#define BRIDGE_LINE "##- Write your answer above this line -##"

enum bridge_what {
  BRIDGE_NOTHING = 0, /* not for this mailbox */
  BRIDGE_MESSAGE,     /* a customer has written */
  BRIDGE_FAILURE,     /* an owner's answer was not delivered */
  BRIDGE_LOST,        /* a mail to this mailbox was not: nothing to be mailed about */
};
struct bridge_mail {
  enum bridge_what what;
  id64 conversation;
  parley_text subject, text;
};
struct bridge_look { /* what a mail is made with */
  const struct conf_bridge *conf;
  parley_text public_url;
  const uint8_t *secret; /* the store's */
  int64_t now_ms;
};
/* event: as the feed writes it. */
void bridge_mail_read(const json_t *event, const struct bridge_look *look, struct arena *arena, struct bridge_mail *ret);
/* The business key of an answer: "bridge:<name>:answer:<hash of conversation and Message-ID>". */
void buf_bridge_answer_key(struct buf *buf, parley_text bridge, id64 conversation, parley_text message_id);
/* The owner's own words, without the address that they were sent to; empty: there are none. */
parley_text bridge_answer_text(const parley_inbound *in, struct arena *arena);
/* {"text","media":[...]}; false: neither is there. */
bool buf_bridge_answer(struct buf *buf, const parley_inbound *in, struct arena *arena);
bool bridge_is_owner(const struct conf_bridge *bridge, parley_text address);
#endif
