/* Query strings, path parameters, cursors and tags of a request. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/feed/cursor.h"
#include "core/net/url.h"
#include "inside.h"
#include <stdlib.h>
#include <string.h>

static parley_text query_pointer(struct api_request *req, const char *name)
{
  struct buf words = BUF_INIT(256);
  parley_text kept;

  buf_printf(&words, "?%s", name);
  kept = arena_text(req->arena, buf_as_text(&words));
  buf_done(&words);
  return kept;
}

static bool query_find(struct api_request *req, const char *name, parley_text *ret)
{
  parley_text rest = req->http->query, key, value;

  while (url_query_next(&rest, &key, &value))
    if (parley_text_is(key, name)) {
      *ret = value;
      return true;
    }
  return false;
}

bool api_query_text(struct api_request *req, const char *name, size_t bytes_max, parley_text *ret)
{
  parley_text raw;
  char *plain;
  size_t len;

  if (!query_find(req, name, &raw))
    return true;
  plain = arena_alloc(req->arena, raw.len + 1);
  len = url_decode(raw, true, plain);
  if (len == SIZE_MAX || len > bytes_max || !text_utf8_ok((parley_text){plain, len})) {
    problem_add(&req->problems, query_pointer(req, name), "bad_query",
                "%s: at most %zu bytes of UTF-8, percent-encoded", name, bytes_max);
    return false;
  }
  *ret = (parley_text){plain, len};
  return true;
}

bool api_query_limit(struct api_request *req, size_t *ret)
{
  parley_text text = TEXT_EMPTY;
  uint64_t limit = 0;

  *ret = API_LIMIT_DEFAULT;
  if (!api_query_text(req, "limit", 16, &text))
    return false;
  if (text.len == 0)
    return true;
  if (!text_to_uint(text, API_LIMIT_MAX, &limit) || limit == 0) {
    problem_add(&req->problems, PARLEY_LIT("?limit"), "bad_query", "limit is a number from 1 to %d", API_LIMIT_MAX);
    return false;
  }
  *ret = (size_t)limit;
  return true;
}

bool api_query_bool(struct api_request *req, const char *name, bool *ret)
{
  parley_text text = TEXT_EMPTY;

  if (!api_query_text(req, name, 16, &text))
    return false;
  if (text.len == 0)
    return true;
  if (!parley_text_is(text, "true") && !parley_text_is(text, "false")) {
    problem_add(&req->problems, query_pointer(req, name), "bad_query", "%s is true or false", name);
    return false;
  }
  *ret = parley_text_is(text, "true");
  return true;
}

/* Path and query without cursor and limit: what a cursor belongs to. */
static void cursor_scope(const struct api_request *req, struct buf *scope)
{
  parley_text rest = req->http->query, key, value;

  buf_text(scope, req->http->path);
  while (url_query_next(&rest, &key, &value))
    if (!parley_text_is(key, "cursor") && !parley_text_is(key, "limit")) {
      buf_char(scope, '&');
      buf_text(scope, key);
      buf_char(scope, '=');
      buf_text(scope, value);
    }
}

bool api_query_cursor(struct api_request *req, uint64_t *numbers, size_t n)
{
  parley_text text = TEXT_EMPTY;
  struct buf scope = BUF_INIT(16384);
  bool ok;

  if (!api_query_text(req, "cursor", CURSOR_TEXT_MAX, &text))
    return false;
  if (text.len == 0)
    return true;
  cursor_scope(req, &scope);
  ok = cursor_read(text, store_secret(req->shared->store), buf_as_text(&scope), numbers, n);
  buf_done(&scope);
  if (!ok)
    problem_add(&req->problems, PARLEY_LIT("?cursor"), "bad_cursor",
                "this cursor was not made by this list with this filter; begin without one");
  return ok;
}

void api_next_cursor(struct api_request *req, struct buf *body, bool more, const uint64_t *numbers, size_t n)
{
  struct buf scope = BUF_INIT(16384);

  buf_json_key(body, "next");
  if (!more) {
    buf_str(body, "null}");
    return;
  }
  cursor_scope(req, &scope);
  buf_char(body, '"');
  cursor_write(body, store_secret(req->shared->store), buf_as_text(&scope), numbers, n);
  buf_str(body, "\"}");
  buf_done(&scope);
}

bool api_param_id(struct api_request *req, size_t index, const char *prefix, id64 *ret)
{
  if (id_parse(prefix, req->params[index], ret))
    return true;
  api_problem(req, 404, "not_found", "", "no such id; it begins with %s_ and 13 characters follow", prefix);
  return false;
}

#define EXTERNAL_BYTES_MAX 255

bool api_param_customer(struct api_request *req, size_t index, id64 *ret_id, parley_text *ret_external)
{
  parley_text ref = req->params[index];

  *ret_id = 0;
  *ret_external = TEXT_EMPTY;
  if (text_starts(ref, "external:") && ref.len > 9 && ref.len - 9 <= EXTERNAL_BYTES_MAX && !text_has_control(ref)) {
    *ret_external = text_sub(ref, 9, SIZE_MAX);
    return true;
  }
  if (id_parse("cus", ref, ret_id))
    return true;
  api_problem(req, 404, "customer_not_found", "use cus_... or external:KEY", "no such customer");
  return false;
}

bool api_query_identity(struct api_request *req, const char *name, struct identity *ret, bool *ret_given)
{
  parley_text text = TEXT_EMPTY, kind;

  *ret_given = false;
  if (!api_query_text(req, name, IDENTITY_VALUE_BYTES_MAX + IDENTITY_KIND_BYTES_MAX + 1, &text))
    return false;
  if (text.len == 0)
    return true;
  *ret_given = true;
  kind = text_cut(&text, ':');
  return identity_normalise(API_PHONES(req, PHONE_SOUGHT), kind, text, req->arena, query_pointer(req, name),
                            &req->problems, ret);
}

bool api_read_tags(struct api_request *req, bool *ret_set, parley_text *ret)
{
  json_t *array = NULL, *item;
  struct buf json = BUF_INIT(0);
  bool ok = true;
  size_t i;

  *ret_set = json_object_get(req->json, "tags") != NULL;
  if (!json_in_array(&req->in, "tags", API_TAGS_MAX, &array))
    return false;
  json_array_foreach (array, i, item) {
    if (json_is_string(item) && json_string_length(item) > 0 && json_string_length(item) <= API_TAG_BYTES_MAX)
      continue;
    problem_add(&req->problems, pointer_index(req->arena, PARLEY_LIT("/tags"), i), "bad_value",
                "a tag is text of 1 to %d bytes", API_TAG_BYTES_MAX);
    ok = false;
  }
  if (array != NULL)
    buf_json_value(&json, array);
  *ret = arena_text(req->arena, array != NULL ? buf_as_text(&json) : PARLEY_LIT("[]"));
  buf_done(&json);
  return ok;
}
