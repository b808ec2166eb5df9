/* reply.h - an answer within a conversation: what it goes out under, on which channel, to whom and for how long. One rule for whoever
 * answers customers, by the API or from a support mailbox. Pure. Thread: any. */
#ifndef CORE_ROUTE_REPLY_H
#define CORE_ROUTE_REPLY_H
#include "submission.h"

struct reply {
  parley_text topic, channel; /* asked for; empty: what answers go out under, the channel that the customer used last */
  parley_text last_channel;
  id64 customer, conversation;
};
enum reply_verdict { REPLY_GOES = 1, REPLY_UNKNOWN_TOPIC, REPLY_NO_TOPIC, REPLY_UNKNOWN_CHANNEL, REPLY_NO_CHANNEL };
/* Fills in the submission's topic, step, recipient, conversation and expiry, by its policy; of REPLY_GOES alone. */
enum reply_verdict reply_address(const struct reply *reply, struct submission *submission);
/* For a person, to end "it cannot be sent: ...". */
const char *reply_words(enum reply_verdict verdict);
#endif
