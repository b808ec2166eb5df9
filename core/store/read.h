/* read.h - what the readers' files share: one row of a thing by its id, and a customer's timeline. Private to
 * core/store. All results in the arena. What the database says meanwhile is looked at once, at the end of the op. */
#ifndef CORE_STORE_READ_H
#define CORE_STORE_READ_H
#include "logic.h"

#define READ_LIMIT_MAX 1000  /* rows of one page, whatever was asked for */
#define READ_SCAN_MAX 5000   /* rows that one op looks at under a filter that no index helps with; then the cursor moves on */

read_fn read_message, read_messages, read_customer, read_timeline, read_events, read_conversations, read_suppressions,
    read_docs, read_media, read_facts, read_feed_due, read_stats;

void read_run(struct reader *reader, struct store_op *op); /* read.c: by its kind */
void read_begin(struct reader *reader); /* one snapshot from here on */
void read_end(struct reader *reader);
size_t read_limit(size_t asked); /* 1 to READ_LIMIT_MAX */

void space_get(struct reader *reader, struct store_stats *ask); /* read_space.c */

/* --- read_message.c ---------------------------------------------------------------------------------------- */

enum message_detail { MESSAGE_NARROW /* no body, no decision */, MESSAGE_SHOWN, MESSAGE_WHOLE /* and every attempt */ };
struct message_row *message_get(struct db *db, id64 id, enum message_detail detail,
                                struct arena *arena); /* NULL: none */

/* --- read_customer.c --------------------------------------------------------------------------------------- */

struct customer_set { /* all that are merged together, the head first */
  size_t n;
  id64 *ids;
};
bool customer_set_get(struct db *db, id64 customer, struct arena *arena, struct customer_set *ret); /* false: none */
/* Who owns it; 0: nobody. */
id64 customer_owner(struct reader *reader, const struct identity *identity, struct arena *arena);
struct customer_row *customer_get(struct db *db, const struct customer_set *set, struct arena *arena);
struct conversation_row *conversation_get(struct db *db, id64 id, struct arena *arena); /* NULL: none */

/* --- read_timeline.c --------------------------------------------------------------------------------------- */

struct timeline_ask {
  const struct customer_set *customers;
  bool oldest_first;
  int64_t from_ms;              /* nothing older; INT64_MIN: all */
  struct timeline_cursor after; /* both 0: from the end asked for */
  size_t limit;
  bool recent; /* see struct store_ways */
};
struct timeline_tails { size_t n; struct timeline_entry *entries; };
/* What stands in memory only. To be taken before read_begin(), in no order. */
struct timeline_tails timeline_tails_take(struct reader *reader, const struct customer_set *customers,
                                          struct arena *arena);
/* Up to ask->limit entries in their order. *ret_more: there are others behind. */
size_t timeline_entries(struct db *db, const struct timeline_ask *ask, const struct timeline_tails *tails,
                        struct arena *arena, struct timeline_entry **ret, bool *ret_more);
/* The entries as they are shown, each with its message or its event's data. */
struct timeline_row *timeline_show_all(struct db *db, const struct timeline_entry *entries, size_t n, struct arena *arena);
#endif
