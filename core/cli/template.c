/* parley template ... */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/yaml.h"
#include "core/message/template_conf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void path_of(struct buf *path, const struct cli *cli, const char *after)
{
  buf_str(path, "/v1/templates/");
  cli_escape(path, cli->words[0]);
  buf_str(path, after);
}

static int template_call(struct cli *cli, const char *method, const char *after, const json_t *body, json_t **ret)
{
  struct buf path = BUF_INIT(4096);
  int code;

  path_of(&path, cli, after);
  code = cli_call(cli, method, path.at, body, NULL, ret);
  buf_done(&path);
  return code;
}

int cli_template_list(struct cli *cli)
{
  static const char *const columns[] = {"TEMPLATE", "VERSION", "DEFAULT", "FROM A FILE", "UPDATED"};
  static const char *const paths[] = {"name", "version", "default_locale", "configured", "updated_at"};
  json_t *answer = NULL;
  int code = cli_call(cli, "GET", "/v1/templates", NULL, NULL, &answer);

  if (code == CLI_OK)
    cli_print_list(cli, answer, columns, paths, 5);
  json_decref(answer);
  return code;
}

/* As JSON, so that it can be changed and put back. */
int cli_template_show(struct cli *cli)
{
  const char *version = cli_given(cli, "version");
  struct buf after = BUF_INIT(256);
  json_t *answer = NULL;
  int code;

  if (version != NULL) {
    buf_str(&after, "?version=");
    cli_escape(&after, version);
  }
  code = template_call(cli, "GET", after.len > 0 ? after.at : "", NULL, &answer);
  buf_done(&after);
  if (code == CLI_OK)
    cli_print_json(cli->json ? answer : json_object_get(answer, "template"));
  json_decref(answer);
  return code;
}

int cli_template_versions(struct cli *cli)
{
  static const char *const columns[] = {"VERSION", "UPDATED"};
  static const char *const paths[] = {"version", "updated_at"};
  json_t *answer = NULL;
  int code = template_call(cli, "GET", "/versions", NULL, &answer);

  if (code == CLI_OK)
    cli_print_list(cli, answer, columns, paths, 2);
  json_decref(answer);
  return code;
}

/* NAME.yaml in a folder is the template NAME, unless a name is given. */
static char *name_of_file(const char *path)
{
  const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *dot = strrchr(name, '.');

  return xmemdup(name, dot != NULL ? (size_t)(dot - name) : strlen(name));
}

/* YAML or JSON. NULL: what is wrong with it, with line and column, is on stderr. */
static json_t *file_json(const char *path)
{
  struct buf why = BUF_INIT(65536);
  struct yaml_file *file = NULL;
  json_t *json = NULL;

  if (text_ends(parley_text_of(path), ".json")) {
    json_error_t error;

    json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
      fprintf(stderr, "%s:%d:%d: %s\n", path, error.line, error.column, error.text);
  } else if (yaml_load(path, &file, &why) == PARLEY_OK) {
    json = template_json_of_yaml(file->root);
  } else {
    fprintf(stderr, "%s\n", why.at);
  }
  yaml_file_free(&file);
  buf_done(&why);
  return json;
}

int cli_template_put(struct cli *cli)
{
  const char *given = cli_given(cli, "name");
  char *name = given != NULL ? xstrdup(given) : name_of_file(cli->words[0]);
  json_t *json = file_json(cli->words[0]), *answer = NULL;
  int code = CLI_FAILED;

  cli->words[0] = name;
  if (json != NULL)
    code = template_call(cli, "PUT", "", json, &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    printf("%s  version %lld\n", cli_text(answer, "name"), (long long)json_integer_value(json_object_get(answer, "version")));
  json_decref(json);
  json_decref(answer);
  free(name);
  return code;
}

int cli_template_remove(struct cli *cli)
{
  json_t *answer = NULL;
  int code = template_call(cli, "DELETE", "", NULL, &answer);

  json_decref(answer);
  return code;
}

/* {"a": 1} out of a file, or of standard input for "-". */
json_t *cli_data(const char *path)
{
  json_error_t error;
  json_t *json = strcmp(path, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
                                        : json_load_file(path, JSON_REJECT_DUPLICATES, &error);

  if (json == NULL)
    fprintf(stderr, "%s:%d:%d: %s\n", path, error.line, error.column, error.text);
  return json;
}

static void member_print(const json_t *content, const char *name)
{
  const char *text = cli_text(content, name);

  if (text[0] != '\0')
    printf("%s: %s%s\n", name, strcmp(name, "subject") == 0 ? "" : "\n", text);
}

int cli_template_render(struct cli *cli)
{
  static const char *const members[] = {"subject", "text", "html"};
  const char *data = cli_given(cli, "data"), *locale = cli_given(cli, "locale"), *kind = cli_given(cli, "channel-kind");
  json_t *body = json_object(), *answer = NULL, *values = data != NULL ? cli_data(data) : NULL;
  int code = data != NULL && values == NULL ? CLI_FAILED : CLI_OK;

  if (values != NULL)
    json_object_set_new(body, "data", values);
  if (locale != NULL)
    json_object_set_new(body, "locale", json_string(locale));
  if (kind != NULL)
    json_object_set_new(body, "channel_kind", json_string(kind));
  if (code == CLI_OK)
    code = template_call(cli, "POST", "/render", body, &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  for (size_t i = 0; code == CLI_OK && !cli->json && i < COUNT_OF(members); i++)
    member_print(json_object_get(answer, "content"), members[i]);
  json_decref(body);
  json_decref(answer);
  return code;
}
