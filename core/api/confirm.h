/* confirm.h - double opt-in: somebody asked for a topic, by a form or through the API; the address gets a message with a link, and
 * only who opens it and presses the button is granted it. Both halves are kept as proof. Private to core/api. Thread: loop. */
#ifndef CORE_API_CONFIRM_H
#define CORE_API_CONFIRM_H
#include "page.h"

struct confirm_ask {
  struct identity who;             /* where the message goes; it need not be known yet */
  id64 customer;                   /* 0: whose it is, or a new one's */
  const struct policy_topic *topic; /* what is asked for ... */
  const struct policy_channel *channel; /* ... on the kind of this channel, over which the message goes */
  enum lang lang;
  parley_text proof;               /* JSON object: how it was asked for */
  bool test;                       /* a test key's */
};
/* Files the wish on the timeline (consent.requested) and sends the message, at most one an address, topic and kind in pages.once_per.
 * then(): owes the answer; message: with `repeated` the one that was sent lately; 0: the customer is no more. Where the store could
 * not, it is answered. ask lives as long as the req. */
void confirm_send(struct api_request *req, const struct confirm_ask *ask,
                  void (*then)(struct api_request *req, const struct confirm_ask *ask, id64 message, bool repeated));
#endif
