/* parley channel ..., sink ..., subscription ..., key ... */
#include "command.h"
#include "core/base/text.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int call_path(struct cli *cli, const char *method, const char *before, const char *word, const char *after,
                     const json_t *body, json_t **ret_answer)
{
  struct buf path = BUF_INIT(4096);
  int code;

  buf_str(&path, before);
  if (word != NULL)
    cli_escape(&path, word);
  buf_str(&path, after);
  code = cli_call(cli, method, path.at, body, NULL, ret_answer);
  buf_done(&path);
  return code;
}

static int list_of(struct cli *cli, const char *path, const char *const *columns, const char *const *paths, size_t n)
{
  json_t *answer = NULL;
  int code = cli_call(cli, "GET", path, NULL, NULL, &answer);

  if (code == CLI_OK)
    cli_print_list(cli, answer, columns, paths, n);
  json_decref(answer);
  return code;
}

/* Prints the answer as JSON, or one line of some of its members. */
static int told(struct cli *cli, int code, json_t *answer, const char *const *paths, size_t n)
{
  char room[CLI_CELL_BYTES];

  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    for (size_t i = 0; i < n; i++)
      printf("%s%s", cli_cell(answer, paths[i], room), i + 1 < n ? "  " : "\n");
  json_decref(answer);
  return code;
}

int cli_channel_list(struct cli *cli)
{
  static const char *const columns[] = {"CHANNEL", "PLUGIN", "STATE", "PAUSED", "IN MEMORY", "IN FLIGHT", "CAUSE"};
  static const char *const paths[] = {"name", "plugin", "state", "paused", "held", "in_flight", "cause"};

  return list_of(cli, "/v1/channels", columns, paths, 7);
}

static int channel_do(struct cli *cli, const char *what)
{
  json_t *answer = NULL;
  int code = call_path(cli, "POST", "/v1/channels/", cli->words[0], what, NULL, &answer);

  if (code == CLI_OK && !cli->json)
    printf("%s  %s%s\n", cli_text(answer, "name"), cli_text(answer, "state"),
           json_is_true(json_object_get(answer, "paused")) ? ", paused: accepts and keeps what comes" : "");
  else if (code == CLI_OK)
    cli_print_json(answer);
  json_decref(answer);
  return code;
}

int cli_channel_pause(struct cli *cli)
{
  return channel_do(cli, "/pause");
}
int cli_channel_resume(struct cli *cli)
{
  return channel_do(cli, "/resume");
}

int cli_channel_reload(struct cli *cli)
{
  return channel_do(cli, "/reload");
}

int cli_plugin_list(struct cli *cli)
{
  static const char *const columns[] = {"PLUGIN", "VERSION", "CHANNEL", "ISOLATION", "PID", "DEATHS", "SANDBOX"};
  static const char *const paths[] = {"plugin", "version", "name", "isolation", "process.pid", "process.deaths", "process.sandbox"};

  return list_of(cli, "/v1/channels", columns, paths, 7);
}

int cli_plugin_reload(struct cli *cli)
{
  json_t *answer = NULL, *row;
  size_t i;
  int code = call_path(cli, "POST", "/v1/plugins/", cli->words[0], "/reload", NULL, &answer);

  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  json_array_foreach(json_object_get(answer, "items"), i, row)
    if (code == CLI_OK && !cli->json && strcmp(cli_text(row, "name"), cli->words[0]) == 0)
      printf("%s  %s  reloaded\n", cli_text(row, "name"), cli_text(row, "version"));
  json_decref(answer);
  return code;
}

int cli_channel_check(struct cli *cli)
{
  static const char *const paths[] = {"outcome", "code", "detail"};
  json_t *answer = NULL;
  int code = call_path(cli, "POST", "/v1/channels/", cli->words[0], "/check", NULL, &answer);
  bool good = code == CLI_OK && json_is_true(json_object_get(answer, "ok"));

  code = told(cli, code, answer, paths, 3);
  return code == CLI_OK && !good ? CLI_FAILED : code;
}

int cli_sink_list(struct cli *cli)
{
  static const char *const columns[] = {"AT", "MESSAGE", "TO", "SUBJECT", "TEXT"};
  static const char *const paths[] = {"at", "message", "to.value", "subject", "parts.0.text"};
  json_t *answer = NULL;
  struct buf after = BUF_INIT(64);
  int code;

  buf_printf(&after, "/sink?limit=%s", cli_given(cli, "limit") ? cli_given(cli, "limit") : "50");
  code = call_path(cli, "GET", "/v1/channels/", cli->words[0], after.at, NULL, &answer);
  buf_done(&after);
  if (code == CLI_OK)
    cli_print_list(cli, answer, columns, paths, 5);
  json_decref(answer);
  return code;
}

/* "a,b" as a JSON array. */
static json_t *words_of(const char *list)
{
  json_t *array = json_array();
  parley_text rest = parley_text_of(list);

  while (rest.len > 0) {
    parley_text word = text_trim(text_cut(&rest, ','));

    if (word.len > 0)
      json_array_append_new(array, json_stringn(word.at, word.len));
  }
  return array;
}

int cli_subscription_list(struct cli *cli)
{
  static const char *const columns[] = {"SUBSCRIPTION", "NAME", "URL", "STATE"};
  static const char *const paths[] = {"id", "name", "url", "state"};

  return list_of(cli, "/v1/subscriptions", columns, paths, 4);
}

int cli_subscription_add(struct cli *cli)
{
  static const char *const paths[] = {"id", "url", "secret"};
  json_t *body = json_pack("{s:s}", "url", cli->words[0]), *answer = NULL;
  int code;

  if (cli_given(cli, "types") != NULL)
    json_object_set_new(body, "types", words_of(cli_given(cli, "types")));
  code = call_path(cli, "POST", "/v1/subscriptions", NULL, "", body, &answer);
  json_decref(body);
  return told(cli, code, answer, paths, 3);
}

int cli_subscription_remove(struct cli *cli)
{
  json_t *answer = NULL;

  return told(cli, call_path(cli, "DELETE", "/v1/subscriptions/", cli->words[0], "", NULL, &answer), answer, NULL, 0);
}

int cli_subscription_test(struct cli *cli)
{
  static const char *const paths[] = {"status", "detail"};
  json_t *answer = NULL;
  int code = call_path(cli, "POST", "/v1/subscriptions/", cli->words[0], "/test", NULL, &answer);

  return told(cli, code, answer, paths, 2);
}

int cli_subscription_replay(struct cli *cli)
{
  static const char *const paths[] = {"replayed"};
  json_t *body = json_object(), *answer = NULL;
  int code;

  if (cli_given(cli, "event") != NULL)
    json_object_set_new(body, "events", words_of(cli_given(cli, "event")));
  else
    json_object_set_new(body, "dead", json_true());
  code = call_path(cli, "POST", "/v1/subscriptions/", cli->words[0], "/replay", body, &answer);
  json_decref(body);
  return told(cli, code, answer, paths, 1);
}

int cli_key_list(struct cli *cli)
{
  static const char *const columns[] = {"KEY", "NAME", "MODE", "CREATED"};
  static const char *const paths[] = {"id", "name", "mode", "created_at"};

  return list_of(cli, "/v1/keys", columns, paths, 4);
}

int cli_key_new(struct cli *cli)
{
  static const char *const paths[] = {"id", "name", "secret"};
  json_t *body, *answer = NULL;
  int code;

  if (cli_given(cli, "scopes") == NULL) {
    cli_complain("usage: parley key new NAME --scopes messages:send,customers:read");
    return CLI_USAGE;
  }
  body = json_pack("{s:s}", "name", cli->words[0]);
  json_object_set_new(body, "scopes", words_of(cli_given(cli, "scopes")));
  if (cli_given(cli, "test") != NULL)
    json_object_set_new(body, "mode", json_string("test"));
  if (cli_given(cli, "topic") != NULL)
    json_object_set_new(body, "topic", json_string(cli_given(cli, "topic")));
  code = call_path(cli, "POST", "/v1/keys", NULL, "", body, &answer);
  json_decref(body);
  code = told(cli, code, answer, paths, 3);
  if (code == CLI_OK)
    fprintf(stderr, "The secret is shown this once and stored as a hash only.\n");
  return code;
}

static json_t *key_named(json_t *answer, const char *word)
{
  json_t *key;
  size_t i;

  json_array_foreach(json_object_get(answer, "items"), i, key)
    if (strcmp(json_string_value(json_object_get(key, "name")), word) == 0 ||
        strcmp(json_string_value(json_object_get(key, "id")), word) == 0)
      return key;
  return NULL;
}

/* Nothing secret beyond what GET /v1/keys shows: who has it can file mail, and no more. */
int cli_key_capture(struct cli *cli)
{
  static const char *const paths[] = {"capture"};
  json_t *answer = NULL, *key;
  int code = call_path(cli, "GET", "/v1/keys", NULL, "", NULL, &answer);

  if (code != CLI_OK)
    return told(cli, code, answer, paths, 1);
  key = json_incref(key_named(answer, cli->words[0]));
  if (key == NULL) {
    json_decref(answer);
    cli_complain("no key has this name or id");
    return CLI_FAILED;
  }
  json_decref(answer);
  code = told(cli, code, key, paths, 1);
  fprintf(stderr, "Put a blind copy to this at a domain of your mail channel's listen.domains, such as log+...@in.shop.example.\n");
  return code;
}

int cli_key_revoke(struct cli *cli)
{
  json_t *answer = NULL;

  return told(cli, call_path(cli, "DELETE", "/v1/keys/", cli->words[0], "", NULL, &answer), answer, NULL, 0);
}
