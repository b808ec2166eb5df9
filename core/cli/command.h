/* command.h - the one command table of parley: dispatch, help, man page and completion all read it. Private to core/cli.
 * Data goes to stdout, words to stderr. Exit codes: EXIT_OK .. EXIT_UNREACHABLE. */
#ifndef CORE_CLI_COMMAND_H
#define CORE_CLI_COMMAND_H
#include "core/base/buf.h"
#include <jansson.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_PARTLY = 3, CLI_DENIED = 4, CLI_UNREACHABLE = 5 };
#define CLI_WORDS_MAX 16
#define CLI_OPTIONS_MAX 16

struct cli_option {
  const char *name;  /* "topic": --topic */
  const char *value; /* what stands for its value in help; NULL: a flag */
  const char *doc;
};
struct cli { /* one run */
  const struct command *command;
  const char *config_path, *url, *key_file;
  bool json;
  bool patient; /* the answer may take as long as it does */
  char *base_url, *key;
  size_t n_words;
  const char *words[CLI_WORDS_MAX]; /* behind the command's name */
  struct { const char *name, *value; } given[CLI_OPTIONS_MAX];
  size_t n_given;
};
struct command {
  const char *name;    /* "customer timeline" */
  const char *words;   /* "REF" */
  const char *summary;
  size_t words_min, words_max;
  bool local;          /* needs no daemon */
  int (*run)(struct cli *cli);
  const struct cli_option *options; /* ends with name NULL; NULL: none */
};
extern const struct command cli_commands[];       /* ends with name NULL */
extern const struct cli_option cli_global_options[];

/* The value of an option, NULL when not given; of a flag "" when given. */
const char *cli_given(const struct cli *cli, const char *name);

/* client.c: one call. *ret_json is the parsed answer (NULL for none), the caller's; a problem is told on stderr. Returns CLI_*. */
int cli_call(struct cli *cli, const char *method, const char *path, const json_t *body, const char *idempotency_key,
             json_t **ret_json);
/* Follows the event stream, a callback for each event's data; returns when the connection ends. */
int cli_stream(struct cli *cli, const char *path, void (*event)(parley_text data, void *arg), void *arg);
/* Base URL and key out of -c, --url, PARLEY_KEY and --key-file. */
int cli_connect(struct cli *cli);
void cli_escape(struct buf *to, const char *text); /* percent-encodes a path segment or query value */

/* outside.c: programs of others, as children. */
#define CLI_ARGUMENTS_MAX 16
/* Whether `program` is there and of at least this major version ("pg_dump (PostgreSQL) 15.4"); else says what to do. */
bool cli_program_fits(const char *program, int major);
/* Runs it with more environment (NAME=VALUE, ends with NULL), its standard output into fd, or with -1 to ours. True: it ended well. */
bool cli_program_run(const char *const *argv, char *const *environment, int fd);

/* print.c */
int cli_print_json(const json_t *json); /* the API's own shape */
#define CLI_CELL_BYTES 32
const char *cli_text(const json_t *object, const char *path); /* the string at "message.id" or "parts.0.text"; "" when it is none */
/* The same for numbers and booleans too, written into room. */
const char *cli_cell(const json_t *object, const char *path, char room[CLI_CELL_BYTES]);
struct cli_table { size_t n_columns; const char *const *columns; struct buf rows; size_t widths[8]; };
void cli_table_begin(struct cli_table *table, const char *const *columns, size_t n_columns);
void cli_table_row(struct cli_table *table, const char *const *cells);
void cli_table_end(struct cli_table *table);
/* A list endpoint's items as a table: columns are paths into each item. With --json the answer itself. */
int cli_print_list(struct cli *cli, const json_t *answer, const char *const *columns, const char *const *paths, size_t n);
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* template.c: the values of a template, out of a file, or standard input for "-"; NULL: told. */
json_t *cli_data(const char *path);

/* manual.c */
void cli_help(const struct command *command); /* NULL: the overview */
int cli_manpage(struct cli *cli);
int cli_completion(struct cli *cli);
/* The commands, one file a group. */
int cli_send(struct cli *cli);
int cli_status(struct cli *cli);
int cli_cancel(struct cli *cli);
int cli_resolve(struct cli *cli);
int cli_explain(struct cli *cli);
int cli_tail(struct cli *cli);
int cli_customer_show(struct cli *cli);
int cli_customer_timeline(struct cli *cli);
int cli_inbox_list(struct cli *cli);
int cli_inbox_show(struct cli *cli);
int cli_inbox_reply(struct cli *cli);
int cli_channel_list(struct cli *cli);
int cli_channel_check(struct cli *cli);
int cli_channel_login(struct cli *cli);
int cli_channel_pause(struct cli *cli);
int cli_channel_resume(struct cli *cli);
int cli_channel_reload(struct cli *cli);
int cli_plugin_list(struct cli *cli);
int cli_plugin_reload(struct cli *cli);
int cli_sink_list(struct cli *cli);
int cli_subscription_list(struct cli *cli);
int cli_subscription_add(struct cli *cli);
int cli_subscription_remove(struct cli *cli);
int cli_subscription_test(struct cli *cli);
int cli_subscription_replay(struct cli *cli);
int cli_suppression_list(struct cli *cli);
int cli_suppression_add(struct cli *cli);
int cli_suppression_remove(struct cli *cli);
int cli_template_list(struct cli *cli);
int cli_template_show(struct cli *cli);
int cli_template_put(struct cli *cli);
int cli_template_render(struct cli *cli);
int cli_template_versions(struct cli *cli);
int cli_template_remove(struct cli *cli);
int cli_key_list(struct cli *cli);
int cli_key_new(struct cli *cli);
int cli_key_revoke(struct cli *cli);
int cli_key_capture(struct cli *cli);
int cli_config_check(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_store_backup(struct cli *cli);
int cli_store_restore(struct cli *cli);
int cli_store_copy(struct cli *cli);
int cli_store_resume(struct cli *cli);
int cli_store_check(struct cli *cli);
int cli_plugin_new(struct cli *cli);
int cli_plugin_test(struct cli *cli);
int cli_plugin_info(struct cli *cli);
#endif
