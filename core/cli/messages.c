/* parley send, status, cancel, explain, tail. */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "email:ana@example.org", "external:KEY", "cus_..." into `to`. */
static bool to_add(json_t *to, const char *ref)
{
  const char *colon = strchr(ref, ':');
  char kind[33];

  if (strncmp(ref, "cus_", 4) == 0) {
    json_object_set_new(to, "customer", json_string(ref));
    return true;
  }
  if (colon == NULL || colon == ref || colon - ref >= (int)sizeof kind || colon[1] == '\0') {
    cli_complain("--to %s: use cus_..., external:KEY or KIND:VALUE such as email:ana@example.org or phone:+34600111222", ref);
    return false;
  }
  snprintf(kind, sizeof kind, "%.*s", (int)(colon - ref), ref);
  json_object_set_new(to, kind, json_string(colon + 1));
  return true;
}

static void text_set(const struct cli *cli, const char *option, json_t *object, const char *member)
{
  if (cli_given(cli, option) != NULL)
    json_object_set_new(object, member, json_string(cli_given(cli, option)));
}

/* A template and its values in place of the content. false: told. */
static bool template_set(const struct cli *cli, json_t *message)
{
  const char *path = cli_given(cli, "data");
  json_t *data = path != NULL ? cli_data(path) : NULL;

  if (path != NULL && data == NULL)
    return false;
  if (data != NULL)
    json_object_set_new(message, "data", data);
  text_set(cli, "template", message, "template");
  text_set(cli, "locale", message, "locale");
  return true;
}

static json_t *message_of(const struct cli *cli)
{
  json_t *message = json_object(), *to = json_object(), *content = json_object(), *channels = json_array();

  json_object_set_new(message, "to", to);
  for (size_t i = 0; i < cli->n_given; i++) {
    if (strcmp(cli->given[i].name, "to") == 0 && !to_add(to, cli->given[i].value)) {
      json_decref(message);
      json_decref(channels);
      json_decref(content);
      return NULL;
    }
    if (strcmp(cli->given[i].name, "channel") == 0)
      json_array_append_new(channels, json_string(cli->given[i].value));
  }
  text_set(cli, "topic", message, "topic");
  text_set(cli, "plan", message, "plan");
  text_set(cli, "key", message, "key");
  text_set(cli, "send-at", message, "send_at");
  text_set(cli, "text", content, "text");
  text_set(cli, "subject", content, "subject");
  text_set(cli, "html", content, "html");
  if (json_array_size(channels) > 0)
    json_object_set(message, "channels", channels);
  json_decref(channels);
  if (json_object_size(content) > 0 || cli_given(cli, "template") == NULL)
    json_object_set(message, "content", content);
  json_decref(content);
  if (template_set(cli, message))
    return message;
  json_decref(message);
  return NULL;
}

/* "3 segments of gsm7, EUR 0.225 (0.075 each)", in its own line. */
static void segments_print(const json_t *step)
{
  const json_t *cost = json_object_get(step, "cost"), *word;
  long long n = (long long)json_integer_value(json_object_get(step, "segments"));
  size_t i;

  if (cli_text(step, "refused")[0] != '\0')
    printf("     cannot be carried: %s\n", cli_text(step, "refused"));
  if (n == 0)
    return;
  printf("     %lld segment%s of %s", n, n == 1 ? "" : "s", cli_text(step, "alphabet"));
  if (cost != NULL)
    printf(", %s %s", cli_text(cost, "currency"), cli_text(cost, "amount"));
  if (cost != NULL && n > 1)
    printf(" (%s each)", cli_text(cost, "per_segment"));
  json_array_foreach(json_object_get(step, "degraded"), i, word)
    printf("%s%s", i == 0 ? "; " : ", ", json_string_value(word));
  printf("\n");
}

/* Where it is seen why an address is not sent to, and since when. */
static void silence_print(const char *reason)
{
  if (strcmp(reason, "opted_out") == 0)
    printf("     this address has said STOP: parley suppression list --reason opted_out\n");
  if (strcmp(reason, "address_suppressed") == 0)
    printf("     this address is suppressed: parley suppression list\n");
}

static void plan_print(const json_t *answer)
{
  json_t *step;
  size_t i;

  json_array_foreach(json_object_get(answer, "plan"), i, step) {
    printf("  %zu. %s %s%s%s\n", i + 1, cli_text(step, "channel"), cli_text(step, "to"), cli_text(step, "verdict")[0] ? " - " : "",
           cli_text(step, "verdict"));
    silence_print(cli_text(step, "verdict"));
    segments_print(step);
  }
}

static void warnings_print(const json_t *answer)
{
  const json_t *row;
  size_t i;

  json_array_foreach(json_object_get(answer, "warnings"), i, row)
      printf("  warning: %s: %s\n", cli_text(row, "code"), cli_text(row, "detail"));
}

int cli_send(struct cli *cli)
{
  json_t *message = message_of(cli), *answer = NULL;
  int code;

  if (message == NULL)
    return CLI_USAGE;
  code = cli_call(cli, "POST", "/v1/messages", message, cli_given(cli, "idempotency-key"), &answer);
  json_decref(message);
  if (code == CLI_OK && cli->json) {
    cli_print_json(answer);
  } else if (code == CLI_OK) {
    printf("%s  %s  %s\n", cli_text(answer, "id"), cli_text(answer, "status"), cli_text(answer, "customer"));
    plan_print(answer);
    warnings_print(answer);
    fprintf(stderr, "Next: parley%s%s status %s\n",
            cli->url != NULL ? " --url " : cli->config_path != NULL ? " -c " : "",
            cli->url != NULL ? cli->url : cli->config_path != NULL ? cli->config_path : "", cli_text(answer, "id"));
  }
  json_decref(answer);
  return code;
}

/* The answer in words: what would happen, why, and what each step says. */
static void explain_print(const json_t *answer)
{
  const char *reason = cli_text(answer, "reason"), *consent = cli_text(answer, "consent");

  printf("%s%s%s%s%s%s\n", cli_text(answer, "verdict"), reason[0] ? ": " : "", reason, consent[0] ? "  (" : "", consent,
         consent[0] ? ")" : "");
  plan_print(answer);
  warnings_print(answer);
}

int cli_explain(struct cli *cli)
{
  json_t *message = message_of(cli), *answer = NULL;
  int code;

  if (message == NULL)
    return CLI_USAGE;
  code = cli_call(cli, "POST", "/v1/explain", message, NULL, &answer);
  json_decref(message);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    explain_print(answer);
  json_decref(answer);
  return code;
}

/* A delivery, the parts it is in, and what its text would be sent in now. */
static void delivery_print(const json_t *delivery, const json_t *plan)
{
  json_int_t step = json_integer_value(json_object_get(delivery, "step"));
  const json_t *part;
  size_t i;

  printf("  delivery %lld  %s  %s%s%s%s%s\n", (long long)step + 1, cli_text(delivery, "channel"), cli_text(delivery, "status"),
         cli_text(delivery, "due_at")[0] ? ", next try at " : "", cli_text(delivery, "due_at"),
         cli_text(delivery, "partial")[0] ? ", partial " : "", cli_text(delivery, "partial"));
  segments_print(json_array_get(plan, (size_t)step));
  json_array_foreach(json_object_get(delivery, "parts"), i, part)
    printf("     part %zu  %s  %s%s%s\n", i + 1, cli_text(part, "status"), cli_text(part, "provider_id"),
           strcmp(cli_text(part, "status"), "failed") == 0 ? "  " : "",
           strcmp(cli_text(part, "status"), "failed") == 0 ? cli_text(delivery, "code") : "");
}

static void status_print(const json_t *message)
{
  const char *reason = cli_text(message, "reason");
  json_t *row;
  size_t i;
  char room[CLI_CELL_BYTES];

  printf("%s  %s%s%s  %s  %s\n", cli_text(message, "id"), cli_text(message, "status"), reason[0] ? ": " : "", reason,
         cli_text(message, "topic"), cli_text(message, "customer"));
  json_array_foreach(json_object_get(message, "deliveries"), i, row)
      delivery_print(row, json_object_get(json_object_get(message, "decision"), "plan"));
  silence_print(reason);
  json_array_foreach(json_object_get(message, "degraded"), i, row)
      printf("  degraded: %s\n", json_string_value(row));
  json_array_foreach(json_object_get(message, "attempts"), i, row)
      printf("  attempt %s  %s  %s  %s %s\n", cli_cell(row, "number", room), cli_text(row, "started_at"),
             cli_text(row, "outcome"), cli_text(row, "code"), cli_text(row, "detail"));
  if (json_is_true(json_object_get(message, "possible_duplicate")))
    printf("  possible duplicate: nobody can know whether an earlier attempt went out\n");
  if (strcmp(reason, "poison") == 0)
    printf("  poison: its plugin's process died each time it was handed over\n");
  if (strcmp(reason, "restored") == 0)
    printf("  restored: it was due when the backup was made, and may have gone out since\n");
  if (strcmp(cli_text(message, "status"), "held") == 0)
    printf("  you decide: parley resolve %s resend, discard or sent\n", cli_text(message, "id"));
}

int cli_status(struct cli *cli)
{
  struct buf path = BUF_INIT(1024);
  json_t *answer = NULL;
  int code;

  buf_str(&path, "/v1/messages/");
  cli_escape(&path, cli->words[0]);
  code = cli_call(cli, "GET", path.at, NULL, NULL, &answer);
  buf_done(&path);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    status_print(answer);
  json_decref(answer);
  return code;
}

int cli_cancel(struct cli *cli)
{
  struct buf path = BUF_INIT(2048);
  json_t *answer = NULL;
  bool by_key = strncmp(cli->words[0], "key:", 4) == 0;
  int code;

  buf_str(&path, by_key ? "/v1/messages/key:" : "/v1/messages/");
  cli_escape(&path, cli->words[0] + (by_key ? 4 : 0));
  buf_str(&path, "/cancel");
  code = cli_call(cli, "POST", path.at, NULL, NULL, &answer);
  buf_done(&path);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    printf("%s  %s%s\n", cli_text(answer, "id"), cli_text(answer, "status"),
           json_is_true(json_object_get(answer, "too_late")) ? "  (too late: it has gone out)" : "");
  json_decref(answer);
  return code;
}

static int resolve_one(struct cli *cli, const char *id, json_t **ret_answer)
{
  struct buf path = BUF_INIT(2048);
  json_t *body = json_pack("{s:s}", "as", cli->words[1]);
  int code;

  buf_str(&path, "/v1/messages/");
  cli_escape(&path, id);
  buf_str(&path, "/resolve");
  code = cli_call(cli, "POST", path.at, body, NULL, ret_answer);
  buf_done(&path);
  json_decref(body);
  return code;
}

static int held_page(struct cli *cli, const char *cursor, json_t **ret_answer)
{
  static const char *const filters[] = {"topic", "channel"};
  struct buf path = BUF_INIT(4096);
  int code;

  buf_str(&path, "/v1/messages?status=held&limit=200");
  for (size_t i = 0; i < COUNT_OF(filters); i++) {
    if (cli_given(cli, filters[i]) == NULL)
      continue;
    buf_printf(&path, "&%s=", filters[i]);
    cli_escape(&path, cli_given(cli, filters[i]));
  }
  if (cursor[0] != '\0') {
    buf_str(&path, "&cursor=");
    cli_escape(&path, cursor);
  }
  code = cli_call(cli, "GET", path.at, NULL, NULL, ret_answer);
  buf_done(&path);
  return code;
}

struct resolved { unsigned long long done, failed; };

static void page_resolve(struct cli *cli, const json_t *page, struct resolved *resolved)
{
  const char *reason = cli_given(cli, "reason");
  json_t *row, *answer;
  size_t i;

  json_array_foreach(json_object_get(page, "items"), i, row)
  {
    if (reason != NULL && strcmp(cli_text(row, "reason"), reason) != 0)
      continue;
    answer = NULL;
    if (resolve_one(cli, cli_text(row, "id"), &answer) == CLI_OK)
      resolved->done++;
    else
      resolved->failed++;
    json_decref(answer);
  }
}

/* Page by page, newest first: what is resolved is no longer in the list, and the cursor goes on behind it. */
static int resolve_held(struct cli *cli)
{
  struct resolved resolved = {0};
  char cursor[512] = "";
  int code;

  do {
    json_t *page = NULL;

    code = held_page(cli, cursor, &page);
    if (code == CLI_OK)
      page_resolve(cli, page, &resolved);
    snprintf(cursor, sizeof cursor, "%s", cli_text(page, "next"));
    json_decref(page);
  } while (code == CLI_OK && cursor[0] != '\0');
  if (cli->json)
    printf("{\"resolved\": %llu, \"failed\": %llu}\n", resolved.done, resolved.failed);
  else
    printf("%llu resolved%s\n", resolved.done, resolved.failed > 0 ? ", others not" : "");
  return code == CLI_OK && resolved.failed > 0 ? CLI_PARTLY : code;
}

int cli_resolve(struct cli *cli)
{
  json_t *answer = NULL;
  int code;

  if (strcmp(cli->words[0], "held") == 0)
    return resolve_held(cli);
  code = resolve_one(cli, cli->words[0], &answer);
  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK)
    printf("%s  %s\n", cli_text(answer, "id"), cli_text(answer, "status"));
  json_decref(answer);
  return code;
}

static void tail_event(parley_text data, void *arg)
{
  const struct cli *cli = arg;
  json_t *event = json_loadb(data.at, data.len, 0, NULL);
  const json_t *message = json_object_get(json_object_get(event, "data"), "message");

  if (cli->json)
    printf("%.*s\n", TEXT_ARG(data));
  else
    printf("%s  %-24s %s  %s %s %s\n", cli_text(event, "timestamp"), cli_text(event, "type"),
           cli_text(json_object_get(json_object_get(event, "data"), "customer"), "id"), cli_text(message, "id"),
           cli_text(message, "channel"), cli_text(message, "status"));
  fflush(stdout);
  json_decref(event);
}

int cli_tail(struct cli *cli)
{
  struct buf path = BUF_INIT(4096);
  const char *types = cli_given(cli, "types"), *after = cli_given(cli, "after");
  int code;

  buf_str(&path, "/v1/events");
  if (types != NULL) {
    buf_str(&path, "?types=");
    cli_escape(&path, types);
  }
  if (after != NULL) {
    buf_str(&path, types != NULL ? "&after=" : "?after=");
    cli_escape(&path, after);
  }
  code = cli_stream(cli, path.at, tail_event, cli);
  buf_done(&path);
  return code;
}
