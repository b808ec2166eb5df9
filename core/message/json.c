#include "json.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <inttypes.h>
#include <string.h>

#define NAME_SHOWN_BYTES_MAX 64 /* of an unknown member's name in the words of a problem */

bool json_in_root(json_t *root, struct arena *arena, struct problems *problems, struct json_in *ret)
{
  if (!json_is_object(root)) {
    problem_add(problems, TEXT_EMPTY, "wrong_type", "the document must be an object");
    return false;
  }
  *ret = (struct json_in){.object = root, .pointer = TEXT_EMPTY, .arena = arena, .problems = problems};
  return true;
}

bool json_in_problem(const struct json_in *in, const char *name, const char *code, const char *format, ...)
{
  struct buf words = BUF_INIT(0);
  va_list args;

  va_start(args, format);
  buf_vprintf(&words, format, args);
  va_end(args);
  problem_add(in->problems, pointer_member(in->arena, in->pointer, parley_text_of(name)), code, "%s",
              words.at != NULL ? words.at : "");
  buf_done(&words);
  return false;
}

static bool json_in_wrong(const struct json_in *in, const char *name, const char *wanted)
{
  return json_in_problem(in, name, "wrong_type", "%s must be %s", name, wanted);
}

/* NULL when the member is absent or null. */
static json_t *json_in_get(const struct json_in *in, const char *name)
{
  json_t *value = json_object_get(in->object, name);

  return json_is_null(value) ? NULL : value;
}

parley_text json_text(const json_t *string)
{
  if (!json_is_string(string))
    return TEXT_EMPTY;
  return (parley_text){json_string_value(string), json_string_length(string)};
}

bool json_in_text(const struct json_in *in, const char *name, size_t bytes_max, parley_text *ret)
{
  json_t *value = json_in_get(in, name);

  if (value == NULL)
    return true;
  if (!json_is_string(value))
    return json_in_wrong(in, name, "text");
  if (json_string_length(value) > bytes_max)
    return json_in_problem(in, name, "too_long", "%s has %zu bytes; %zu are allowed", name, json_string_length(value),
                           bytes_max);
  *ret = json_text(value);
  return true;
}

bool json_in_bool(const struct json_in *in, const char *name, bool *ret)
{
  json_t *value = json_in_get(in, name);

  if (value == NULL)
    return true;
  if (!json_is_boolean(value))
    return json_in_wrong(in, name, "true or false");
  *ret = json_is_true(value);
  return true;
}

bool json_in_int(const struct json_in *in, const char *name, int64_t min, int64_t max, int64_t *ret)
{
  json_t *value = json_in_get(in, name);

  if (value == NULL)
    return true;
  if (!json_is_integer(value))
    return json_in_wrong(in, name, "an integer");
  if (json_integer_value(value) < min || json_integer_value(value) > max)
    return json_in_problem(in, name, "out_of_range", "%s must be from %" PRId64 " to %" PRId64, name, min, max);
  *ret = json_integer_value(value);
  return true;
}

bool json_in_number(const struct json_in *in, const char *name, double min, double max, double *ret)
{
  json_t *value = json_in_get(in, name);

  if (value == NULL)
    return true;
  if (!json_is_number(value))
    return json_in_wrong(in, name, "a number");
  if (json_number_value(value) < min || json_number_value(value) > max)
    return json_in_problem(in, name, "out_of_range", "%s must be from %g to %g", name, min, max);
  *ret = json_number_value(value);
  return true;
}

bool json_in_time(const struct json_in *in, const char *name, int64_t *ret_ms)
{
  json_t *value = json_in_get(in, name);

  if (value == NULL)
    return true;
  if (!json_is_string(value))
    return json_in_wrong(in, name, "text");
  if (!time_parse(json_text(value), ret_ms))
    return json_in_problem(in, name, "bad_time", "%s must be a time by RFC 3339, as 2026-11-21T22:01:09Z", name);
  return true;
}

bool json_in_span(const struct json_in *in, const char *name, int64_t min_ms, int64_t max_ms, int64_t *ret_ms)
{
  json_t *value = json_in_get(in, name);
  int64_t span_ms;

  if (value == NULL)
    return true;
  if (!json_is_string(value))
    return json_in_wrong(in, name, "text");
  if (!span_parse(json_text(value), &span_ms))
    return json_in_problem(in, name, "bad_span", "%s must be a number and one of ms s m h d, as 10m", name);
  if (span_ms < min_ms || span_ms > max_ms) {
    struct buf low = BUF_INIT(0), high = BUF_INIT(0);

    buf_span(&low, min_ms);
    buf_span(&high, max_ms);
    json_in_problem(in, name, "out_of_range", "%s must be from %s to %s", name, low.at, high.at);
    buf_done(&low);
    buf_done(&high);
    return false;
  }
  *ret_ms = span_ms;
  return true;
}

bool json_in_object(const struct json_in *in, const char *name, struct json_in *ret)
{
  json_t *value = json_in_get(in, name);

  if (value != NULL && !json_is_object(value))
    return json_in_wrong(in, name, "an object");
  *ret = *in;
  ret->object = value;
  if (value != NULL)
    ret->pointer = pointer_member(in->arena, in->pointer, parley_text_of(name));
  return true;
}

bool json_in_array(const struct json_in *in, const char *name, size_t count_max, json_t **ret)
{
  json_t *value = json_in_get(in, name);

  if (value == NULL)
    return true;
  if (!json_is_array(value))
    return json_in_wrong(in, name, "an array");
  if (json_array_size(value) > count_max)
    return json_in_problem(in, name, "too_many_items", "%s has %zu items; %zu are allowed", name,
                           json_array_size(value), count_max);
  *ret = value;
  return true;
}

static bool name_known(const char *name, const char *const *names)
{
  for (; *names != NULL; names++)
    if (strcmp(name, *names) == 0)
      return true;
  return false;
}

/* What it is near to, else all that is known: a short list says more than a search in the documentation. */
static void unknown_hint(struct problems *problems, parley_text name, const char *const *names)
{
  const char *nearest = text_nearest(name, names);
  struct buf known = BUF_INIT(0);

  if (nearest != NULL) {
    problem_hint(problems, "did you mean '%s'?", nearest);
    return;
  }
  for (; *names != NULL; names++)
    buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", *names);
  if (known.len > 0)
    problem_hint(problems, "known here: %s", known.at);
  buf_done(&known);
}

bool json_in_only(const struct json_in *in, const char *const *names)
{
  const char *name;
  json_t *value;
  bool good = true;

  json_object_foreach(in->object, name, value)
  {
    parley_text shown = parley_text_of(name);

    if (name_known(name, names))
      continue;
    good = false;
    shown.len = text_utf8_cut(shown, NAME_SHOWN_BYTES_MAX);
    problem_add(in->problems, pointer_member(in->arena, in->pointer, shown), "unknown_field",
                "'%.*s' is not known here", TEXT_ARG(shown));
    unknown_hint(in->problems, parley_text_of(name), names);
  }
  return good;
}

static int json_dump_add(const char *bytes, size_t len, void *arg)
{
  buf_add(arg, bytes, len);
  return 0;
}

void buf_json_value(struct buf *buf, const json_t *value)
{
  if (value == NULL)
    buf_str(buf, "null");
  else
    json_dump_callback(value, json_dump_add, buf, JSON_COMPACT | JSON_ENCODE_ANY);
}
