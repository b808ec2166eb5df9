/* openapi.h - the schemas of requests and answers, written by hand, for openapi.c. Private to core/api. */
#ifndef CORE_API_OPENAPI_H
#define CORE_API_OPENAPI_H

/* JSON with ' where JSON has ", so that it can be read here; no schema needs an apostrophe. */
struct openapi_schema {
  const char *name, *json;
};
extern const struct openapi_schema openapi_schemas[]; /* ends with name NULL */
struct openapi_query {
  const char *name, *json, *words;
};
extern const struct openapi_query openapi_queries[]; /* ends with name NULL: every query parameter of the route table */
#endif
