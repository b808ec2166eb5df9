/* compose_values.h - what a template may say of whom a message is for: {{customer...}} and {{events.last...}}. Values in, values out;
 * the caller's arena gets only what is thrown away. Private to core/api. */
#ifndef CORE_API_COMPOSE_VALUES_H
#define CORE_API_COMPOSE_VALUES_H
#include "request.h"

/* {"id","name","locale","timezone","attributes","tags","identities":{kind: the first of it that is not blocked}}. The caller's. */
json_t *values_of_customer(const struct customer_row *row, struct arena *arena);
/* A touchpoint into {{events.last}}, by the words of its type (order.placed: last.order.placed). The newest come first: what is there
 * already stays. */
void values_add_event(json_t *last, const struct timeline_row *row, struct arena *arena);
#endif
