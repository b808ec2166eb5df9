/* parley config check, and doctor: one line a check, what is wrong and what to do. */
#include "doctor.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/channel/check.h"
#include "core/channel/phone_load.h"
#include "core/config/conf.h"
#include "core/customer/keyword_conf.h"
#include "core/message/template_conf.h"
#include "core/store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_FREE_BYTES_MIN ((uint64_t)1 << 30)
#define CLOCK_YEAR_2025_MS INT64_C(1735689600000)

static parley_status reach(const struct conf *conf, bool connect, struct buf *reterr_why)
{
  struct store_config config = {.driver = conf->store.driver == CONF_POSTGRES ? "postgres" : "sqlite", .url = conf->store.url.at};

  return store_reach(&config, connect, reterr_why);
}

static bool templates_ok(const struct conf *conf, struct buf *why)
{
  struct template_set set = {.n = 0};
  bool good = template_set_of_conf(conf, &set, why);

  template_set_done(&set);
  return good;
}

int cli_config_check(struct cli *cli)
{
  struct buf why = BUF_INIT(65536);
  struct conf *conf = NULL;
  const char *path = cli->n_words > 0 ? cli->words[0] : cli->config_path;
  parley_status st;

  if (path == NULL) {
    cli_complain("which configuration? give -c parley.yaml or a file");
    return CLI_USAGE;
  }
  st = conf_load(path, &conf, &why);
  if (st == PARLEY_OK)
    st = reach(conf, false, &why);
  if (st == PARLEY_OK)
    st = phone_plan_check(conf, &why);
  if (st == PARLEY_OK && !keywords_check(conf, &why))
    st = PARLEY_INVALID;
  if (st == PARLEY_OK)
    st = channels_check(conf, NULL, NULL, &why);
  if (st == PARLEY_OK && !templates_ok(conf, &why))
    st = PARLEY_INVALID;
  if (st == PARLEY_OK)
    printf("%s: ok: %zu channels, %zu topics, %zu plans, %zu subscriptions\n", path, conf->n_channels, conf->n_topics,
           conf->n_plans, conf->n_subscriptions);
  else
    fprintf(stderr, "%s\n", why.at);
  conf_unref(&conf);
  buf_done(&why);
  return st == PARLEY_OK ? CLI_OK : CLI_FAILED;
}

void said(struct doctor *doctor, const char *verdict, const char *what, const char *format, ...)
{
  va_list args;

  doctor->failed += strcmp(verdict, "fail") == 0;
  doctor->warned += strcmp(verdict, "warn") == 0;
  printf("%-5s %-10s ", verdict, what);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
}

static void doctor_disk(struct doctor *doctor, const struct conf *conf)
{
  struct statvfs disk;
  char folder[4096];
  char *slash;
  uint64_t free_bytes;

  if (conf->store.driver != CONF_SQLITE)
    return; /* the database's own machine */
  snprintf(folder, sizeof folder, "%.*s", TEXT_ARG(conf->store.path));
  slash = strrchr(folder, '/');
  if (slash != NULL)
    *slash = '\0';
  if (statvfs(slash != NULL ? folder : ".", &disk) != 0 || access(slash != NULL ? folder : ".", W_OK) != 0) {
    said(doctor, "fail", "disk", "the store's folder %s cannot be written", slash != NULL ? folder : ".");
    return;
  }
  free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
  said(doctor, free_bytes < DISK_FREE_BYTES_MIN ? "warn" : "ok", "disk", "%llu MiB free for the store",
       (unsigned long long)(free_bytes >> 20));
}

/* From here, which need not be where the daemon runs. */
static void doctor_database(struct doctor *doctor, const struct conf *conf)
{
  struct buf why = BUF_INIT(4096);

  if (conf->store.driver != CONF_POSTGRES)
    return;
  if (reach(conf, true, &why) == PARLEY_OK)
    said(doctor, "ok", "database", "answers and takes writes");
  else
    said(doctor, "fail", "database", "%s", why.at);
  buf_done(&why);
}

static void doctor_local(struct doctor *doctor, const char *path, const char *dns)
{
  struct doctor_mail *mail = doctor_mail_new();
  struct buf why = BUF_INIT(65536);
  struct conf *conf = NULL;

  if (conf_load(path, &conf, &why) != PARLEY_OK) {
    said(doctor, "fail", "config", "%s", why.at);
    doctor_mail_free(&mail);
    buf_done(&why);
    return;
  }
  said(doctor, "ok", "config", "%zu channels, %zu topics, %zu plans", conf->n_channels, conf->n_topics, conf->n_plans);
  if (channels_check(conf, doctor_mail_see, mail, &why) != PARLEY_OK)
    said(doctor, "fail", "channels", "%s", why.at);
  doctor_disk(doctor, conf);
  doctor_database(doctor, conf);
  doctor_mail_check(mail, doctor, conf, dns);
  doctor_mail_free(&mail);
  conf_unref(&conf);
  buf_done(&why);
}

/* Its plugin logs in and sends nothing. What refuses the check, daemon or provider, would refuse a message as well. */
static void channel_check(struct cli *cli, struct doctor *doctor, const char *name)
{
  struct buf path = BUF_INIT(512);
  json_t *answer = NULL;

  buf_str(&path, "/v1/channels/");
  cli_escape(&path, name);
  buf_str(&path, "/check");
  if (cli_call(cli, "POST", path.at, NULL, NULL, &answer) != CLI_OK) /* why is told already */
    said(doctor, "fail", name, "the daemon refused the check");
  else if (json_is_true(json_object_get(answer, "ok")))
    said(doctor, "ok", name, "%s", cli_text(answer, "detail")[0] ? cli_text(answer, "detail") : "answers");
  else
    said(doctor, "fail", name, "%s: %s %s", cli_text(answer, "outcome"), cli_text(answer, "code"), cli_text(answer, "detail"));
  json_decref(answer);
  buf_done(&path);
}

static void doctor_isolation(struct doctor *doctor, const json_t *channel)
{
  const char *name = cli_text(channel, "name"), *sandbox = cli_text(channel, "process.sandbox");
  char deaths[CLI_CELL_BYTES];

  if (strcmp(cli_text(channel, "isolation"), "process") != 0)
    return;
  cli_cell(channel, "process.deaths", deaths);
  if (strcmp(deaths, "0") == 0)
    said(doctor, "ok", name, "runs in a process of its own: %s", sandbox[0] ? sandbox : "being started");
  else
    said(doctor, "warn", name, "its process died %s times, last: %s; in force: %s", deaths, cli_text(channel, "process.last_death"),
         sandbox);
}

/* Nothing is wrong with the channel, yet some mail comes late. */
static void doctor_throttled(struct doctor *doctor, const json_t *channel)
{
  const json_t *row;
  size_t i;

  json_array_foreach(json_object_get(channel, "throttled"), i, row)
    said(doctor, "warn", cli_text(channel, "name"), "%s asks for less: gets %.3g a minute%s", cli_text(row, "destination"),
         60 * json_number_value(json_object_get(row, "rate_per_s")),
         json_integer_value(json_object_get(row, "held_s")) > 0 ? ", and rests now" : "");
}

static void doctor_channel(struct cli *cli, struct doctor *doctor, const json_t *row)
{
  const char *name = cli_text(row, "name"), *state = cli_text(row, "state");
  bool down = strcmp(state, "up") != 0 && strcmp(state, "degraded") != 0;

  if (strcmp(cli_text(row, "paused_by"), "operator") == 0)
    said(doctor, "warn", name, "is paused: parley channel resume %s", name);
  if (down)
    said(doctor, "fail", name, "is %s: %s%s%s", state, cli_text(row, "cause"), cli_text(row, "remedy")[0] ? " - " : "",
         cli_text(row, "remedy"));
  else if (json_is_true(json_object_get(row, "can_check")))
    channel_check(cli, doctor, name);
  else
    said(doctor, "note", name, "is up; its plugin has no check: send a message with a test key");
}

/* Held messages wait for a person, and nothing else tells that person. */
static void doctor_held(struct cli *cli, struct doctor *doctor)
{
  json_t *answer = NULL, *items;

  if (cli_call(cli, "GET", "/v1/messages?status=held&limit=200", NULL, NULL, &answer) == CLI_OK) {
    items = json_object_get(answer, "items");
    if (json_array_size(items) > 0)
      said(doctor, "warn", "messages", "held until you decide: %zu%s, such as %s (parley status, then parley resolve)",
           json_array_size(items), cli_text(answer, "next")[0] ? " or more" : "", cli_text(json_array_get(items, 0), "id"));
  }
  json_decref(answer);
}

static void doctor_daemon(struct cli *cli, struct doctor *doctor)
{
  json_t *answer = NULL, *row;
  size_t i;

  if (cli_connect(cli) != CLI_OK || cli_call(cli, "GET", "/readyz", NULL, NULL, &answer) != CLI_OK) {
    said(doctor, "fail", "daemon", "is not ready or cannot be reached");
    json_decref(answer);
    return;
  }
  if (cli_text(answer, "paused")[0] != '\0')
    said(doctor, "warn", "daemon", "is paused: %s", cli_text(answer, "paused"));
  else
    said(doctor, "ok", "daemon", "ready");
  json_decref(answer);
  if (cli_call(cli, "GET", "/v1/channels", NULL, NULL, &answer) != CLI_OK)
    said(doctor, "fail", "channels", "cannot be listed with this key");
  json_array_foreach(json_object_get(answer, "items"), i, row) {
    doctor_isolation(doctor, row);
    doctor_channel(cli, doctor, row);
    doctor_throttled(doctor, row);
  }
  json_decref(answer);
  doctor_held(cli, doctor);
}

int cli_doctor(struct cli *cli)
{
  struct doctor doctor = {0};
  int64_t now = env_system.now_ms(&env_system);

  if (cli->config_path != NULL)
    doctor_local(&doctor, cli->config_path, cli_given(cli, "dns"));
  said(&doctor, now > CLOCK_YEAR_2025_MS ? "ok" : "fail", "clock", "%s",
       now > CLOCK_YEAR_2025_MS ? "is set" : "is before 2025");
  if (cli->config_path != NULL || cli->url != NULL || getenv("PARLEY_URL") != NULL)
    doctor_daemon(cli, &doctor);
  printf("%d failed, %d warned\n", doctor.failed, doctor.warned);
  return doctor.failed > 0 ? CLI_FAILED : CLI_OK;
}
