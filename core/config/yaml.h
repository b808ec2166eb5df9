/* yaml.h - strict YAML: a tree of nodes with line and column, and errors that show the place.
 *
 * Taken: mappings, sequences, plain and quoted scalars, comments, JSON. Refused: anchors, aliases, tags, merge keys, several
 * documents, the same key twice, nesting deeper than YAML_DEPTH_MAX, files over YAML_FILE_BYTES_MAX, what is no regular file,
 * files that anybody may write, NUL and bytes that are not UTF-8. `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` are
 * filled in inside of scalars, after parsing, never in keys: a variable cannot add structure.
 * Thread: any; a document is immutable. Ownership: nodes and texts live as long as their document. */
#ifndef CORE_CONFIG_YAML_H
#define CORE_CONFIG_YAML_H
#include "core/base/arena.h"
#include "core/base/buf.h"

#define YAML_DEPTH_MAX 32
#define YAML_FILE_BYTES_MAX ((size_t)1 << 20)
#define YAML_NODES_MAX 100000         /* in one document */
#define YAML_ITEMS_MAX 4096           /* in one mapping or list */
#define YAML_VARIABLE_BYTES_MAX 65536 /* of one variable's value, and of one scalar with all filled in */

enum yaml_kind { YAML_IS_MAPPING = 1, YAML_IS_SEQUENCE, YAML_IS_TEXT };
const char *yaml_kind_name(enum yaml_kind kind); /* "a mapping", "a list", "a text" */

struct yaml_node {
  enum yaml_kind kind;
  bool quoted;              /* TEXT: "..." or '...': a number or word in it is a text all the same */
  uint32_t line, col;       /* from 1, col in characters */
  parley_text text;         /* TEXT: variables filled in, NUL behind it */
  parley_text raw;          /* TEXT: as written, for error messages: a variable may hold a secret */
  size_t count;             /* members or items */
  struct yaml_member *members;
  struct yaml_node **items;
};
struct yaml_member {
  parley_text name;
  uint32_t line, col; /* of the name */
  struct yaml_node *value;
};

typedef const char *yaml_variable(const char *name); /* the value of an environment variable, NULL: not set */

struct yaml_file {
  const char *path; /* as given, for messages */
  const char *dir;  /* of the file, "." when path has none: relative paths start here */
  parley_text source;
  const struct yaml_node *root; /* a mapping */
  yaml_variable *variable;      /* where `${NAME}` and {env: NAME} look */
  struct arena *arena;          /* owns all above */
};
/* PARLEY_INVALID: reterr_why has the error, place first; nothing else changed. path stays borrowed by nobody. */
parley_status yaml_load(const char *path, struct yaml_file **ret, struct buf *reterr_why);
/* The same from memory; path is for messages and dir only. variable NULL: the environment. */
parley_status yaml_parse(const char *path, parley_text source, yaml_variable *variable, struct yaml_file **ret,
                         struct buf *reterr_why);
void yaml_file_free(struct yaml_file **file); /* NULL inside is fine */

const struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *name); /* NULL: absent, or no mapping */
/* `path`, when relative, from the file's own folder. In the arena. */
char *yaml_path(const struct yaml_file *file, struct arena *arena, parley_text path);

/* Appends "FILE:LINE:COL: error: ..." and the source line with a caret below. What looks like a secret in the line is masked. */
void yaml_error(const struct yaml_file *file, uint32_t line, uint32_t col, struct buf *to, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The same; from col on the line is masked whatever it looks like. */
void yaml_error_hidden(const struct yaml_file *file, uint32_t line, uint32_t col, struct buf *to, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
#endif
