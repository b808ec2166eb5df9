/* bridge.h - a mailbox as help desk. Each message of a customer, of whatever channel, becomes a mail to a support mailbox; what one
 * of its owners answers there goes to the customer, on the channel that they used last.
 *
 * Out   A bridge reads the event log like a subscription (core/feed: a cursor of its own, in order per customer, tried again), and
 *       hands each mail in as any message is (choke point, retries), with the event's id as its business key: once, whatever dies.
 *       The mailbox is a customer of its own ("external" BRIDGE_EXTERNAL and the bridge's name): nothing of it stands in the customer's
 *       history, and what the mailbox itself or its owners write is not bridged.
 * Back  A mail to reply+<token>@ (TOKEN_BRIDGE, which names the conversation) never becomes a customer's message. The token is the
 *       secret; From must be an owner as well. Anything else is refused, and noted in the conversation. Automatic mail is taken and
 *       goes no further. Quoted parts are left out, files are kept. The Message-ID is the business key. What then cannot be delivered
 *       is told to the mailbox.
 * Loops An answer more than BRIDGE_ANSWERS_PER_HOUR in one conversation is refused.
 *
 * Owns what it has under way. Thread: loop. Memory: FEED_IN_FLIGHT_MAX mails a bridge, INBOUND_OPEN_MAX answers. */
#ifndef CORE_BRIDGE_BRIDGE_H
#define CORE_BRIDGE_BRIDGE_H
#include "core/config/conf.h"
#include "core/deliver/deliver.h"
#include "core/feed/feed.h"
#include "core/inbound/inbound.h"

#define BRIDGE_EXTERNAL "parley:bridge:" /* and the bridge's name: the customer that the mailbox is */
#define BRIDGE_ANSWERS_PER_HOUR 60       /* of one conversation */
#define BRIDGE_MAIL_LIVES_MS (5 * 86400000LL)
#define BRIDGE_LINK_LIVES_MS (30 * 86400000LL) /* of files in a mail */

struct bridge;
struct bridge_shared { /* borrowed, outlives the bridge; the feed is closed before it, inbound too */
  uv_loop_t *loop;
  const struct env *env;
  const struct log *log;
  struct store *store;
  struct deliver *deliver;
  struct feed *feed;
};
/* mailed: mails to mailboxes; answered: answers handed in; repeated: of both, what had been handed in before; refused: answers of
 * nobody who may; automatic: vacation notes and the like, dropped; told: failures told to a mailbox; lost: mails to one that failed, at
 * once or by a bounce that came later. */
struct bridge_counters { uint64_t mailed, answered, repeated, refused, automatic, told, lost; };
struct bridge *bridge_new(const struct bridge_shared *shared);
/* The bridges in force from now on: takes a reference of each. A new one begins at the log's end. */
void bridge_configure(struct bridge *bridge, struct conf *conf, struct policy *policy);
inbound_answer_fn bridge_take_answer; /* for inbound_answers(), with the bridge */
void bridge_close(struct bridge **bridge, void (*closed)(void *arg), void *arg); /* when all that is under way has ended */
const struct bridge_counters *bridge_counters(const struct bridge *bridge);
#endif
