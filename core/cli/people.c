/* parley customer ..., inbox ... */
#include "command.h"
#include "core/base/text.h"
#include <stdio.h>
#include <string.h>

/* GET of a path with one escaped word in it, and limit where it was given. */
static int get_one(struct cli *cli, const char *before, const char *word, const char *after, json_t **ret_answer)
{
  struct buf path = BUF_INIT(4096);
  int code;

  buf_str(&path, before);
  cli_escape(&path, word);
  buf_str(&path, after);
  if (cli_given(cli, "limit") != NULL) {
    buf_str(&path, "?limit=");
    cli_escape(&path, cli_given(cli, "limit"));
  }
  code = cli_call(cli, "GET", path.at, NULL, NULL, ret_answer);
  buf_done(&path);
  return code;
}

/* KIND:VALUE is looked up first; cus_ and external: stand for themselves. *ret: what goes into a path. */
static int customer_ref(struct cli *cli, struct buf *ret)
{
  const char *word = cli->words[0];
  json_t *answer = NULL;
  int code;

  if (strncmp(word, "cus_", 4) == 0 || strncmp(word, "external:", 9) == 0) {
    buf_str(ret, word);
    return CLI_OK;
  }
  code = get_one(cli, "/v1/customers?identity=", word, "", &answer);
  if (code == CLI_OK && json_array_size(json_object_get(answer, "items")) == 0) {
    cli_complain("nobody has %s", word);
    code = CLI_FAILED;
  }
  if (code == CLI_OK)
    buf_str(ret, cli_text(json_array_get(json_object_get(answer, "items"), 0), "id"));
  json_decref(answer);
  return code;
}

static void customer_print(const json_t *customer)
{
  json_t *row;
  size_t i;

  printf("%s  %s  %s  %s\n", cli_text(customer, "id"), cli_text(customer, "name"), cli_text(customer, "locale"),
         cli_text(customer, "timezone"));
  json_array_foreach(json_object_get(customer, "identities"), i, row)
      printf("  %s:%s  %s\n", cli_text(row, "kind"), cli_text(row, "value"), cli_text(row, "assurance"));
  json_array_foreach(json_object_get(customer, "consents"), i, row)
      printf("  consent %s/%s  %s  %s\n", cli_text(row, "topic"), cli_text(row, "channel_kind"),
             json_is_true(json_object_get(row, "granted")) ? "granted" : "withdrawn", cli_text(row, "at"));
}

int cli_customer_show(struct cli *cli)
{
  struct buf ref = BUF_INIT(1024);
  json_t *answer = NULL;
  int code = customer_ref(cli, &ref);

  if (code == CLI_OK)
    code = get_one(cli, "/v1/customers/", ref.at, "", &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    customer_print(answer);
  json_decref(answer);
  buf_done(&ref);
  return code;
}

#define ENTRY_BYTES 192

/* What a message says; of a consent its topic, kind of channel and source; of a wording to judge what it may mean. */
static const char *entry_says(const json_t *row, char room[ENTRY_BYTES])
{
  static const char *const members[] = {"content.text", "content.subject", "content.html"};
  const char *topic = cli_text(row, "data.topic");

  for (size_t i = 0; i < sizeof members / sizeof *members; i++)
    if (cli_text(json_object_get(row, "message"), members[i])[0] != '\0')
      return cli_text(json_object_get(row, "message"), members[i]);
  if (json_object_get(row, "message") != NULL)
    return "";
  if (topic[0] == '\0') { /* consent.review: a wording that a person judges */
    snprintf(room, ENTRY_BYTES, "%s%s", cli_text(row, "data.may_mean")[0] ? "may mean " : "", cli_text(row, "data.may_mean"));
    return room;
  }
  snprintf(room, ENTRY_BYTES, "%s/%s, %s", topic, cli_text(row, "data.channel_kind"), cli_text(row, "data.source"));
  return room;
}

/* One line an entry: when, which way, on which channel, how it stands, what it says. */
static void timeline_print(const json_t *items)
{
  static const char *const columns[] = {"AT", "WHAT", "CHANNEL", "STATUS", "TEXT"};
  struct cli_table table;
  json_t *row;
  size_t i;

  cli_table_begin(&table, columns, 5);
  json_array_foreach(items, i, row)
  {
    const json_t *message = json_object_get(row, "message");
    char room[ENTRY_BYTES];
    const char *cells[] = {cli_text(row, "at"), cli_text(row, "type"), cli_text(message, "channel"),
                           cli_text(message, "status"), entry_says(row, room)};

    cli_table_row(&table, cells);
  }
  cli_table_end(&table);
}

int cli_customer_timeline(struct cli *cli)
{
  struct buf ref = BUF_INIT(1024);
  json_t *answer = NULL;
  int code = customer_ref(cli, &ref);

  if (code == CLI_OK)
    code = get_one(cli, "/v1/customers/", ref.at, "/timeline", &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    timeline_print(json_object_get(answer, "items"));
  json_decref(answer);
  buf_done(&ref);
  return code;
}

int cli_inbox_list(struct cli *cli)
{
  static const char *const columns[] = {"CONVERSATION", "STATE", "CHANNEL", "ASSIGNEE", "CUSTOMER", "UPDATED"};
  static const char *const paths[] = {"id", "state", "channel", "assignee", "customer", "updated_at"};
  struct buf path = BUF_INIT(1024);
  json_t *answer = NULL;
  int code;

  buf_printf(&path, "/v1/conversations?limit=");
  cli_escape(&path, cli_given(cli, "limit") ? cli_given(cli, "limit") : "50");
  if (cli_given(cli, "state") != NULL) {
    buf_str(&path, "&state=");
    cli_escape(&path, cli_given(cli, "state"));
  }
  code = cli_call(cli, "GET", path.at, NULL, NULL, &answer);
  buf_done(&path);
  if (code == CLI_OK)
    cli_print_list(cli, answer, columns, paths, 6);
  json_decref(answer);
  return code;
}

int cli_inbox_show(struct cli *cli)
{
  json_t *answer = NULL;
  int code = get_one(cli, "/v1/conversations/", cli->words[0], "", &answer);

  if (code == CLI_OK && cli->json) {
    cli_print_json(answer);
  } else if (code == CLI_OK) {
    printf("%s  %s  %s\n", cli_text(answer, "conversation.id"), cli_text(answer, "conversation.state"),
           cli_text(answer, "conversation.customer"));
    timeline_print(json_object_get(answer, "items"));
  }
  json_decref(answer);
  return code;
}

int cli_inbox_reply(struct cli *cli)
{
  struct buf path = BUF_INIT(1024);
  json_t *body, *answer = NULL;
  int code;

  if (cli_given(cli, "text") == NULL) {
    cli_complain("usage: parley inbox reply CONVERSATION --text TEXT");
    return CLI_USAGE;
  }
  body = json_pack("{s:{s:s}}", "content", "text", cli_given(cli, "text"));
  if (cli_given(cli, "channel") != NULL)
    json_object_set_new(body, "channel", json_string(cli_given(cli, "channel")));
  buf_str(&path, "/v1/conversations/");
  cli_escape(&path, cli->words[0]);
  buf_str(&path, "/replies");
  code = cli_call(cli, "POST", path.at, body, NULL, &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    printf("%s  %s\n", cli_text(answer, "id"), cli_text(answer, "status"));
  json_decref(answer);
  json_decref(body);
  buf_done(&path);
  return code;
}
