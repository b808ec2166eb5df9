/* parts.h - a delivery in several parts, such as the segments of an SMS: what the provider has said of each, and what that makes of the
 * whole. Each part folds as a delivery does: read > delivered > failed. Pure. Thread: any. */
#ifndef CORE_ROUTE_PARTS_H
#define CORE_ROUTE_PARTS_H
#include "advance.h"

#define PARTS_MAX 64 /* one bit each */

struct parts { /* n below 2: it is in one piece, and nothing is kept here */
  uint32_t n;
  uint64_t delivered, read, failed; /* read ones are delivered as well */
};
/* A receipt (PARLEY_RECEIPT_*) of part `part`, or of all: -1. False: nothing new, or no part of this one. */
bool parts_learn(struct parts *parts, int part, uint32_t receipt);
/* FACT_READ or FACT_DELIVERED once all parts are; FACT_FAILED once of all parts something is known and of one that it failed; else 0:
 * some are awaited. */
uint32_t parts_fact(const struct parts *parts);
uint32_t parts_delivered(const struct parts *parts); /* how many */
/* Something is known of the parts, and not that all have arrived. */
bool parts_partial(const struct parts *parts);
enum delivery_state part_state(const struct parts *parts, uint32_t part); /* READ, DELIVERED, FAILED, else SENT */
#endif
