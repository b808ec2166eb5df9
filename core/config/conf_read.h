/* conf_read.h - reads a mapping by a table of fields: unknown names, missing ones and wrong values become errors with their
 * place, up to CONF_ERRORS_MAX. Part of conf.c and its neighbours. Thread: any. */
#ifndef CORE_CONFIG_CONF_READ_H
#define CORE_CONFIG_CONF_READ_H
#include "conf.h"

struct conf_reader {
  struct conf *conf; /* being made */
  const struct yaml_file *file;
  struct arena *arena;
  struct secrets *secrets;
  struct buf *why;
  struct buf path; /* where we are: "server.limits" */
  size_t errors;
};

struct conf_field;
/* node is never NULL; to: the field's place in its struct. */
typedef void conf_read_fn(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to);
struct conf_field {
  const char *name;
  conf_read_fn *read;
  size_t offset;    /* in the struct that the mapping fills */
  int64_t min, max; /* of numbers, spans, sizes and the length of texts and lists */
  const char *const *words; /* conf_read_choice: word n gives first + n */
  int first;
  bool required;
  const char *example; /* shown when it is missing */
};

/* Fills `to` by the fields (the last one has no name). An empty value counts as an empty mapping. */
void conf_read_mapping(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *fields, void *to);

/* Field readers. Defaults stand in `to` before. */
conf_read_fn conf_read_text;    /* parley_text, not empty, no control characters, max bytes (0: 1024) */
conf_read_fn conf_read_name;    /* parley_text: [a-z0-9_.-]{1,64} */
conf_read_fn conf_read_u32;     /* uint32_t, digits, min to max */
conf_read_fn conf_read_bool;    /* bool */
conf_read_fn conf_read_span32;  /* uint32_t ms: "10s" */
conf_read_fn conf_read_span;    /* int64_t ms */
conf_read_fn conf_read_size32;  /* uint32_t bytes: "16K" */
conf_read_fn conf_read_size;    /* uint64_t bytes */
conf_read_fn conf_read_choice;  /* enum (int): one of words */
conf_read_fn conf_read_path;    /* parley_text: from the file's own folder */
conf_read_fn conf_read_secret;  /* parley_text: a reference to one line; max bytes where given */
conf_read_fn conf_read_url;     /* parley_text: by conf_is_url; first: an enum conf_url */
conf_read_fn conf_read_node;    /* const struct yaml_node *: a mapping, checked elsewhere */

/* Lists and named sections: item(...) fills one element of `bytes` bytes, which starts zeroed; an element that item() has
 * found wrong stays in the array (the load fails anyhow). */
typedef void conf_item_fn(struct conf_reader *r, const struct yaml_node *node, void *item);
typedef void conf_named_fn(struct conf_reader *r, const struct yaml_member *member, void *item);
const void *conf_read_list(struct conf_reader *r, const struct yaml_node *node, size_t bytes, conf_item_fn *item, size_t *ret_count);
const void *conf_read_section(struct conf_reader *r, const struct yaml_node *node, size_t bytes, conf_named_fn *item,
                              size_t *ret_count);
/* A list of texts, each good by ok(). what: for the error, "an origin such as ..." */
const parley_text *conf_read_texts(struct conf_reader *r, const struct yaml_node *node, bool (*ok)(parley_text text),
                                   const char *what, size_t *ret_count);

/* An error at the node, under the path we are at. Counted; beyond CONF_ERRORS_MAX not written. */
void conf_error(struct conf_reader *r, const struct yaml_node *node, const char *format, ...) __attribute__((format(printf, 3, 4)));
void conf_error_at(struct conf_reader *r, uint32_t line, uint32_t col, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What a node holds, for messages: 'text' as written, cut, or "a list". The result lives in the arena. */
const char *conf_shown(struct conf_reader *r, const struct yaml_node *node);
size_t conf_path_push(struct conf_reader *r, parley_text name); /* returns what conf_path_pop() wants */
void conf_path_pop(struct conf_reader *r, size_t mark);
bool conf_is_empty(const struct yaml_node *node);  /* `name:` and nothing behind it */
/* http(s)://host[:port]: ORIGIN nothing more, BASE with a path, ANY with a query too. Never a user or a fragment. */
enum conf_url { CONF_URL_ORIGIN, CONF_URL_BASE, CONF_URL_ANY };
bool conf_is_url(parley_text text, enum conf_url kind);

/* The sections of the file, each in its own .c. */
conf_read_fn conf_read_server;   /* conf_server.c */
conf_read_fn conf_read_store;    /* conf_store.c */
conf_read_fn conf_read_channels; /* conf_delivery.c */
conf_read_fn conf_read_topics;
conf_read_fn conf_read_plans; /* after channels */
conf_read_fn conf_read_rate;  /* struct conf_rate */
conf_read_fn conf_read_forms; /* conf_forms.c; after channels and topics */
conf_read_fn conf_read_pages;
conf_read_fn conf_read_tracking;
/* The channel of this name, as a const struct conf_channel *. After channels. */
conf_read_fn conf_read_channel;
conf_read_fn conf_read_subscriptions; /* conf_feed.c */
conf_read_fn conf_read_templates; /* conf_template.c */
void conf_templates_free(const struct conf *conf);
conf_read_fn conf_read_bridges; /* conf_bridge.c, after channels and topics */
conf_read_fn conf_read_keywords; /* conf_keywords.c, after channels */
conf_read_fn conf_read_inbound;
void conf_keywords_default(struct conf *conf);
void conf_server_default(struct conf_server *server);
void conf_store_default(struct conf_store *store);
void conf_forms_default(struct conf *conf);
void conf_server_finish(struct conf_reader *r); /* what depends on several fields */
#endif
