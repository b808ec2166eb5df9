/* json.h - reading JSON that strangers send: strict load, typed members, problems with pointers. The values are jansson's;
 * the reader is our own (json_read.c): one pass, five times as fast, and it tells what jansson's would not (encoding, depth
 * and counts before any memory is spent on them). Thread: any. json_t values are borrowed unless said. */
#ifndef CORE_MESSAGE_JSON_H
#define CORE_MESSAGE_JSON_H
#include "core/base/problem.h"
#include <jansson.h>

#define JSON_DEPTH_MAX 32
#define JSON_VALUES_MAX 200000 /* of one document, members and elements together: a batch of 500 messages of 400 values */
#define JSON_MEMBERS_MAX 2000  /* of one object */
#define JSON_NUMBER_BYTES_MAX 64
/* One document, UTF-8, no duplicate keys (any depth), depth <= 32, integers within +-2^53 and no -0, no NUL in strings. On
 * failure NULL and one problem: bad_encoding, duplicate_key, too_deep, too_many_values, bad_number or bad_json, with line and
 * column (in code points) in its words; all of them are a 400. The caller json_decref()s. */
json_t *json_read(parley_bytes body, struct problems *problems);

/* Members of an object. Absent or null: the value stays as it was and true comes back. Else a problem and false: wrong_type,
 * too_long, out_of_range, too_many_items, bad_time, bad_span. */
struct json_in {
  json_t *object;
  parley_text pointer; /* of the object */
  struct arena *arena; /* texts are borrowed from the json_t: keep that as long as the texts */
  struct problems *problems;
};
/* Every reader is asked, so that all that is wrong is told at once; true when all are content. */
#define JSON_IN_ALL(...) json_in_all((const bool[]){__VA_ARGS__}, sizeof((const bool[]){__VA_ARGS__}) / sizeof(bool))
static inline bool json_in_all(const bool *good, size_t count)
{
  bool all = true;

  for (size_t i = 0; i < count; i++)
    all = all && good[i];
  return all;
}
bool json_in_text(const struct json_in *in, const char *name, size_t bytes_max, parley_text *ret);
bool json_in_bool(const struct json_in *in, const char *name, bool *ret);
bool json_in_int(const struct json_in *in, const char *name, int64_t min, int64_t max, int64_t *ret);
bool json_in_number(const struct json_in *in, const char *name, double min, double max, double *ret);
bool json_in_time(const struct json_in *in, const char *name, int64_t *ret_ms); /* RFC 3339 text */
bool json_in_span(const struct json_in *in, const char *name, int64_t min_ms, int64_t max_ms, int64_t *ret_ms);
bool json_in_object(const struct json_in *in, const char *name, struct json_in *ret); /* ret->object NULL when absent */
bool json_in_array(const struct json_in *in, const char *name, size_t count_max, json_t **ret);
/* The whole document as an object: what every reader of a request body starts with. false: a problem (wrong_type). */
bool json_in_root(json_t *root, struct arena *arena, struct problems *problems, struct json_in *ret);
/* A problem with the member `name` of the object; words by printf rules. Always false, so that a reader can return it. */
bool json_in_problem(const struct json_in *in, const char *name, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Every member not in `names` (ends with NULL) is an unknown_field problem with the nearest name as hint. */
bool json_in_only(const struct json_in *in, const char *const *names);
parley_text json_text(const json_t *string); /* empty when it is none */
/* Appends the value as compact JSON, members in their order. */
void buf_json_value(struct buf *buf, const json_t *value);
#endif
