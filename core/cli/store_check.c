/* parley store check: whether what stands in the store fits together. */
#include "command.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/config/conf.h"
#include "core/store/check.h"
#include <stdio.h>

struct findings {
  bool json;
  json_t *items;
};

static void on_finding(const struct store_finding *finding, void *arg)
{
  struct findings *findings = arg;

  if (findings->json)
    json_array_append_new(findings->items, json_pack("{s:s,s:s,s:s,s:s}", "table", finding->table, "id", finding->id, "what",
                                                     finding->what, "remedy", finding->remedy));
  else
    printf("fail  %s %s: %s; what to do: %s%s\n", finding->table, finding->id, finding->what, finding->remedy,
           finding->more ? " (there are more like it)" : "");
  fflush(stdout);
}

static int check(const struct store_config *config, bool json)
{
  struct findings findings = {json, json_array()};
  struct store_checked checked;
  struct buf why = BUF_INIT(4096);
  parley_status st = store_check(config, &env_system, on_finding, &findings, &checked, &why);
  json_t *all;

  if (st != PARLEY_OK) {
    cli_complain("%s", why.at);
  } else if (json) {
    all = json_pack("{s:b,s:I,s:I,s:I,s:O}", "ok", checked.n_findings == 0, "checks", (json_int_t)checked.n_checks, "messages",
                    (json_int_t)checked.messages, "events", (json_int_t)checked.events, "findings", findings.items);
    cli_print_json(all);
    json_decref(all);
  } else {
    printf("%s: %zu checks, %llu messages, %llu events, schema %lld: %zu findings\n", checked.n_findings == 0 ? "ok" : "not ok",
           checked.n_checks, (unsigned long long)checked.messages, (unsigned long long)checked.events, (long long)checked.schema,
           checked.n_findings);
  }
  json_decref(findings.items);
  buf_done(&why);
  return st == PARLEY_OK && checked.n_findings == 0 ? CLI_OK : CLI_FAILED;
}

/* A file by its name is a copy that somebody wants to rely on; else the store of the configuration, in use or not. */
int cli_store_check(struct cli *cli)
{
  struct buf why = BUF_INIT(65536);
  struct conf *conf = NULL;
  int code = CLI_FAILED;

  if (cli->n_words > 0)
    return check(&(struct store_config){.driver = "sqlite", .path = cli->words[0]}, cli->json);
  if (cli->config_path == NULL) {
    cli_complain("which store? give -c parley.yaml, or the file of a backup");
    return CLI_USAGE;
  }
  if (conf_load(cli->config_path, &conf, &why) != PARLEY_OK)
    fprintf(stderr, "%s\n", why.at);
  else
    code = check(&(struct store_config){.driver = conf->store.driver == CONF_POSTGRES ? "postgres" : "sqlite",
                                        .path = conf->store.path.at,
                                        .url = conf->store.url.at},
                 cli->json);
  conf_unref(&conf);
  buf_done(&why);
  return code;
}
