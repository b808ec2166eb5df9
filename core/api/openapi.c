/* The route table as OpenAPI 3.1: what is served is what is described. */
#include "openapi.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <string.h>

/* ' becomes ". */
static void buf_loose(struct buf *buf, const char *loose)
{
  for (const char *at = loose; *at != '\0'; at++)
    buf_char(buf, *at == '\'' ? '"' : *at);
}

static void buf_schema_ref(struct buf *buf, const char *name)
{
  buf_printf(buf, "{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}", name);
}

/* --- What a path says --------------------------------------------------------------------------------------------- */

/* "/in/{channel}/{rest...}" without the dots. */
static void buf_path(struct buf *buf, const char *path)
{
  for (const char *at = path; *at != '\0'; at++)
    if (*at != '.' || strncmp(at, "...}", 4) != 0)
      buf_char(buf, *at);
    else
      at += 2;
}

static void path_parameters(struct buf *buf, const char *path)
{
  parley_text rest = parley_text_of(path);

  while (text_find(rest, '{') < rest.len) {
    parley_text name;

    text_cut(&rest, '{');
    name = text_cut(&rest, '}');
    if (text_ends(name, "..."))
      name.len -= 3;
    buf_json_comma(buf);
    buf_str(buf, "{\"in\":\"path\",\"required\":true,\"name\":");
    buf_json_text(buf, name);
    buf_str(buf, ",\"schema\":{\"type\":\"string\"}}");
  }
}

static void query_parameters(struct buf *buf, const struct route *route)
{
  for (const char *const *name = route->query; name != NULL && *name != NULL; name++)
    for (const struct openapi_query *row = openapi_queries; row->name != NULL; row++) {
      if (strcmp(row->name, *name) != 0)
        continue;
      buf_json_comma(buf);
      buf_printf(buf, "{\"in\":\"query\",\"name\":\"%s\",\"description\":", row->name);
      buf_json_str(buf, row->words);
      buf_json_key(buf, "schema");
      buf_loose(buf, row->json);
      buf_char(buf, '}');
    }
}

static void header_parameters(struct buf *buf, const struct route *route)
{
  if ((route->flags & ROUTE_IDEMPOTENT) != 0) {
    buf_json_comma(buf);
    buf_str(buf, "{\"$ref\":\"#/components/parameters/IdempotencyKey\"}");
  }
  if (strcmp(route->operation, "listEvents") == 0) {
    buf_json_comma(buf);
    buf_loose(buf, "{'in':'header','name':'Last-Event-ID','description':'What a stream that comes back has seen last',"
                   "'schema':{'type':'string'}}");
  }
}

/* --- Bodies ------------------------------------------------------------------------------------------------------- */

static void request_body(struct buf *buf, const struct route *route)
{
  bool optional = (route->flags & ROUTE_BODY_OPTIONAL) != 0;

  if ((route->flags & ROUTE_NO_BODY) != 0 || (route->request == NULL && (route->flags & ROUTE_RAW_BODY) == 0))
    return;
  buf_json_key(buf, "requestBody");
  buf_printf(buf, "{\"required\":%s,\"content\":", optional || (route->flags & ROUTE_OPEN) != 0 ? "false" : "true");
  if ((route->flags & ROUTE_PAGE) != 0) {
    buf_loose(buf, "{'application/x-www-form-urlencoded':{'schema':{'type':'object'}},'multipart/form-data':{'schema':{'type':"
                   "'object'}}}}");
    return;
  }
  if ((route->flags & ROUTE_RAW_BODY) != 0) {
    buf_str(buf, "{\"*/*\":{}}}");
    return;
  }
  buf_str(buf, "{\"application/json\":");
  buf_schema_ref(buf, route->request);
  buf_str(buf, "}}");
}

/* Successes beside route->code. */
static const struct {
  const char *operation;
  uint32_t code;
  const char *words;
} others[] = {
    {"sendMessage", 200, "A message with this key was accepted before: the first one"},
    {"putCustomer", 201, "The customer was made"},
    {"addEvent", 200, "An event with this key was filed before: the first one"},
    {"putConsent", 202, "With confirm: the customer was asked, and the consent holds when they confirm"},
    {"signUp", 303, "On to the form's thanks_page"},
    {"confirmPage", 410, "The link has expired"},
    {"confirm", 410, "The link has expired, or the customer has chosen otherwise since"},
};

static void answer_content(struct buf *buf, const struct route *route, uint32_t code)
{
  bool events = strcmp(route->operation, "listEvents") == 0;

  if (route->response != NULL) {
    buf_str(buf, ",\"content\":{\"application/json\":");
    buf_schema_ref(buf, route->response);
    if (events)
      buf_loose(buf, ",'text/event-stream':{'schema':{'type':'string'}}");
    buf_char(buf, '}');
  } else if (strcmp(route->operation, "metrics") == 0) {
    buf_loose(buf, ",'content':{'text/plain':{'schema':{'type':'string'}}}");
  } else if (strcmp(route->operation, "openapi") == 0) {
    buf_loose(buf, ",'content':{'application/json':{'schema':{'type':'object'}}}");
  } else if (strcmp(route->operation, "openMedia") == 0) {
    buf_loose(buf, ",'content':{'*/*':{}}");
  } else if (strcmp(route->operation, "open") == 0) {
    buf_loose(buf, ",'content':{'image/gif':{}}");
  } else if ((route->flags & ROUTE_PAGE) != 0 && code / 100 != 3) {
    buf_loose(buf, ",'content':{'text/html':{'schema':{'type':'string'}}}");
  }
}

static void one_answer(struct buf *buf, const struct route *route, uint32_t code, const char *words)
{
  buf_json_comma(buf);
  buf_printf(buf, "\"%u\":{\"description\":", code);
  buf_json_str(buf, words);
  answer_content(buf, route, code);
  buf_char(buf, '}');
}

static void problem_answer(struct buf *buf, const char *code)
{
  buf_printf(buf, ",\"%s\":{\"$ref\":\"#/components/responses/Problem\"}", code);
}

static void answers(struct buf *buf, const struct route *route)
{
  bool keyed = (route->flags & ROUTE_OPEN) == 0;

  buf_json_key(buf, "responses");
  buf_char(buf, '{');
  one_answer(buf, route, route->code, strcmp(route->path, "/readyz") == 0 ? "Ready" : "Done");
  for (size_t i = 0; i < COUNT_OF(others); i++)
    if (strcmp(others[i].operation, route->operation) == 0)
      one_answer(buf, route, others[i].code, others[i].words);
  if (keyed) {
    problem_answer(buf, "401");
    problem_answer(buf, "403");
  }
  if ((route->flags & ROUTE_PAGE) != 0) {
    buf_loose(buf, ",'404':{'$ref':'#/components/responses/Page'},'default':{'$ref':'#/components/responses/Page'}}");
    return;
  }
  if (strchr(route->path, '{') != NULL)
    problem_answer(buf, "404");
  if (strcmp(route->operation, "listEvents") == 0)
    problem_answer(buf, "410");
  if (route->request != NULL || route->query != NULL)
    problem_answer(buf, "422");
  problem_answer(buf, "default");
  buf_char(buf, '}');
}

/* --- Operations --------------------------------------------------------------------------------------------------- */

/* "/v1/messages/..." -> "messages"; what has no /v1 is "service". */
static parley_text route_tag(const struct route *route)
{
  parley_text path = parley_text_of(route->path);

  if ((route->flags & ROUTE_PAGE) != 0 || strcmp(route->operation, "open") == 0)
    return PARLEY_LIT("pages");
  if (!text_starts(path, "/v1/"))
    return PARLEY_LIT("service");
  path = text_sub(path, 4, SIZE_MAX);
  return text_cut(&path, '/');
}

static void operation(struct buf *buf, const struct route *route)
{
  buf_str(buf, "{\"operationId\":");
  buf_json_str(buf, route->operation);
  buf_json_key(buf, "summary");
  buf_json_str(buf, route->summary);
  buf_json_key(buf, "description");
  if (scope_name(route->scope) != NULL)
    buf_printf(buf, "\"Needs the scope %s.\"", scope_name(route->scope));
  else
    buf_str(buf, "\"Needs no key.\"");
  buf_json_key(buf, "tags");
  buf_char(buf, '[');
  buf_json_text(buf, route_tag(route));
  buf_char(buf, ']');
  if ((route->flags & ROUTE_OPEN) != 0)
    buf_str(buf, ",\"security\":[]");
  if ((route->flags & ROUTE_KEY_ELSEWHERE) != 0)
    buf_str(buf, ",\"security\":[{\"bearer\":[]},{}]");
  buf_json_key(buf, "parameters");
  buf_char(buf, '[');
  path_parameters(buf, route->path);
  query_parameters(buf, route);
  header_parameters(buf, route);
  buf_char(buf, ']');
  request_body(buf, route);
  answers(buf, route);
  buf_char(buf, '}');
}

static bool path_seen(const struct route *route)
{
  for (const struct route *before = api_routes; before < route; before++)
    if (strcmp(before->path, route->path) == 0)
      return true;
  return false;
}

static void paths(struct buf *buf)
{
  static const char *const methods[] = {"get", "head", "post", "put", "patch", "delete", "options"};

  buf_json_key(buf, "paths");
  buf_char(buf, '{');
  for (const struct route *route = api_routes; route->path != NULL; route++) {
    if (path_seen(route))
      continue;
    buf_json_comma(buf);
    buf_char(buf, '"');
    buf_path(buf, route->path);
    buf_str(buf, "\":{");
    for (const struct route *same = route; same->path != NULL; same++)
      if (strcmp(same->path, route->path) == 0) {
        buf_json_key(buf, methods[same->method]);
        operation(buf, same);
      }
    buf_char(buf, '}');
  }
  buf_char(buf, '}');
}

static void tags(struct buf *buf)
{
  static const char *const rows[][2] = {
      {"messages", "Out to customers, and what became of it"},
      {"explain", "Decisions without sending"},
      {"media", "Files that messages carry"},
      {"customers", "Who they are and what happened"},
      {"suppressions", "Addresses nothing is sent to"},
      {"events", "The log: touchpoints in, everything out"},
      {"conversations", "Threads over all channels"},
      {"subscriptions", "Webhooks over the log"},
      {"channels", "Configured instances of plugins"},
      {"plugins", "What is loaded"},
      {"topics", "What messages are about"},
      {"templates", "What messages say, in several languages, with values in it"},
      {"keys", "API keys"},
      {"store", "The store itself"},
      {"pages", "What customers open: unsubscribe, choose, sign up, confirm, links"},
      {"service", "Health, metrics, callbacks, this document"},
  };

  buf_json_key(buf, "tags");
  buf_char(buf, '[');
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    buf_json_comma(buf);
    buf_printf(buf, "{\"name\":\"%s\",\"description\":\"%s\"}", rows[i][0], rows[i][1]);
  }
  buf_char(buf, ']');
}

static void components(struct buf *buf)
{
  buf_loose(buf,
            ",'components':{'securitySchemes':{'bearer':{'type':'http','scheme':'bearer','description':'An API key'}},"
            "'parameters':{'IdempotencyKey':{'in':'header','name':'Idempotency-Key','description':'The same key and "
            "body within "
            "7 days: the first answer again','schema':{'type':'string','minLength':1,'maxLength':255}}},"
            "'responses':{'Problem':{'description':'Refused','content':{'application/problem+json':{'schema':{"
            "'$ref':'#/components/schemas/Problem'}}}},'Page':{'description':'Refused, on a page for a person; where the store "
            "cannot, as a problem','content':{'text/html':{'schema':{'type':'string'}},'application/problem+json':{'schema':{"
            "'$ref':'#/components/schemas/Problem'}}}}},'schemas':{");
  for (const struct openapi_schema *schema = openapi_schemas; schema->name != NULL; schema++) {
    buf_json_key(buf, schema->name);
    buf_loose(buf, schema->json);
  }
  buf_str(buf, "}}");
}

void buf_openapi(struct buf *buf, const char *version)
{
  buf_loose(
      buf,
      "{'openapi':'3.1.0','info':{'title':'Parley','description':'Messages to and from customers over every channel.',"
      "'contact':{'name':'Parley'},'license':{'name':'Apache-2.0','identifier':'Apache-2.0'},"
      "'version':");
  buf_json_str(buf, version);
  buf_loose(buf, "},'servers':[{'url':'/'}],'security':[{'bearer':[]}]");
  tags(buf);
  paths(buf);
  components(buf);
  buf_char(buf, '}');
}

void api_openapi(struct api_request *req)
{
  struct buf body = BUF_INIT(0);

  buf_openapi(&body, req->shared->version);
  api_answer(req, 200, &body);
  buf_done(&body);
}
