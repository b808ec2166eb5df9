/* parley suppression ... */
#include "command.h"
#include "core/base/text.h"
#include <stdio.h>

static void query_add(struct cli *cli, struct buf *path, const char *name)
{
  if (cli_given(cli, name) == NULL)
    return;
  buf_printf(path, "&%s=", name);
  cli_escape(path, cli_given(cli, name));
}

int cli_suppression_list(struct cli *cli)
{
  static const char *const columns[] = {"IDENTITY", "REASON", "ON", "SINCE", "LIFTED", "MESSAGE", "CODE", "DETAIL"};
  static const char *const paths[] = {"identity", "reason", "channel_kind", "at", "lifted_at", "message", "code", "detail"};
  struct buf path = BUF_INIT(4096);
  json_t *answer = NULL;
  int code;

  buf_str(&path, "/v1/suppressions?limit=");
  cli_escape(&path, cli_given(cli, "limit") != NULL ? cli_given(cli, "limit") : "50");
  query_add(cli, &path, "reason");
  query_add(cli, &path, "identity");
  if (cli_given(cli, "lifted") != NULL)
    buf_str(&path, "&lifted=true");
  code = cli_call(cli, "GET", path.at, NULL, NULL, &answer);
  if (code == CLI_OK)
    cli_print_list(cli, answer, columns, paths, 8);
  json_decref(answer);
  buf_done(&path);
  return code;
}

int cli_suppression_add(struct cli *cli)
{
  json_t *body = json_pack("{s:s}", "identity", cli->words[0]), *answer = NULL;
  int code;

  if (cli_given(cli, "reason") != NULL)
    json_object_set_new(body, "reason", json_string(cli_given(cli, "reason")));
  if (cli_given(cli, "detail") != NULL)
    json_object_set_new(body, "detail", json_string(cli_given(cli, "detail")));
  code = cli_call(cli, "POST", "/v1/suppressions", body, NULL, &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    printf("%s  %s\n", cli_text(answer, "identity"), cli_text(answer, "reason"));
  json_decref(answer);
  json_decref(body);
  return code;
}

int cli_suppression_remove(struct cli *cli)
{
  struct buf path = BUF_INIT(4096);
  json_t *answer = NULL;
  int code;

  buf_str(&path, "/v1/suppressions/");
  cli_escape(&path, cli->words[0]);
  if (cli_given(cli, "channel-kind") != NULL) {
    buf_str(&path, "?channel_kind=");
    cli_escape(&path, cli_given(cli, "channel-kind"));
  }
  code = cli_call(cli, "DELETE", path.at, NULL, NULL, &answer);
  json_decref(answer);
  buf_done(&path);
  return code;
}
