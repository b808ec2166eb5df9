/* json.h - reading JSON that strangers send: strict load, typed members, problems with pointers. Over jansson.
 * Thread: any. json_t values are borrowed unless said. */
#ifndef CORE_MESSAGE_JSON_H
#define CORE_MESSAGE_JSON_H
#include "core/base/problem.h"
#include <jansson.h>

#define JSON_DEPTH_MAX 32
/* One document, UTF-8, no duplicate keys (any depth), depth <= 32, integers within +-2^53, no NUL in strings. On failure NULL and
 * one problem: bad_encoding, duplicate_key, too_deep, bad_number or bad_json (with line and column). The caller json_decref()s. */
json_t *json_read(parley_bytes body, struct problems *problems);

/* Members of an object. Absent or null: the value stays as it was and true comes back. Wrong type or size: a problem, false. */
struct json_in {
  json_t *object;
  parley_text pointer; /* of the object */
  struct arena *arena; /* texts are borrowed from the json_t: keep that as long as the texts */
  struct problems *problems;
};
bool json_in_text(const struct json_in *in, const char *name, size_t bytes_max, parley_text *ret);
bool json_in_bool(const struct json_in *in, const char *name, bool *ret);
bool json_in_int(const struct json_in *in, const char *name, int64_t min, int64_t max, int64_t *ret);
bool json_in_time(const struct json_in *in, const char *name, int64_t *ret_ms); /* RFC 3339 text */
bool json_in_span(const struct json_in *in, const char *name, int64_t min_ms, int64_t max_ms, int64_t *ret_ms);
bool json_in_object(const struct json_in *in, const char *name, struct json_in *ret); /* ret->object NULL when absent */
bool json_in_array(const struct json_in *in, const char *name, size_t count_max, json_t **ret);
/* Every member not in `names` (ends with NULL) is an unknown_field problem with the nearest name as hint. */
bool json_in_only(const struct json_in *in, const char *const *names);
parley_text json_text(const json_t *string); /* empty when it is none */
/* Appends the value as compact JSON, members in their order. */
void buf_json_value(struct buf *buf, const json_t *value);
#endif
