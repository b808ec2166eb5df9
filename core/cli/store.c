/* parley store backup, restore, resume, copy. */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/config/conf.h"
#include "core/store/copy.h"
#include "core/store/restore.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WHY_BYTES_MAX 65536
#define FORCE_WORDS "replace-the-store"

static int conf_of(struct cli *cli, struct conf **ret)
{
  struct buf why = BUF_INIT(WHY_BYTES_MAX);
  int code = CLI_OK;

  if (cli->config_path == NULL) {
    cli_complain("which store? give -c parley.yaml");
    code = CLI_USAGE;
  } else if (conf_load(cli->config_path, ret, &why) != PARLEY_OK) {
    fprintf(stderr, "%s\n", why.at);
    code = CLI_FAILED;
  }
  buf_done(&why);
  return code;
}

static int failed(struct buf *why)
{
  cli_complain("%s", why->len > 0 ? why->at : "it failed");
  buf_done(why);
  return CLI_FAILED;
}

/* --- backup ----------------------------------------------------------------------------------------------------------------------- */

static int backup_told(struct cli *cli, const char *path, unsigned long long bytes)
{
  json_t *answer = json_pack("{s:s,s:I}", "path", path, "bytes", (json_int_t)bytes);

  if (cli->json)
    cli_print_json(answer);
  else
    printf("%s  %llu\n", path, bytes);
  json_decref(answer);
  return CLI_OK;
}

static void full_path(const char *path, char full[PATH_MAX * 2])
{
  char folder[PATH_MAX];

  if (path[0] == '/' || realpath(".", folder) == NULL)
    snprintf(full, PATH_MAX * 2, "%s", path);
  else
    snprintf(full, PATH_MAX * 2, "%s/%s", folder, path); /* the daemon stands elsewhere */
}

static int backup_by_daemon(struct cli *cli)
{
  char full[PATH_MAX * 2];
  json_t *body, *answer = NULL;
  int code = cli_connect(cli);

  if (code != CLI_OK)
    return code;
  full_path(cli->words[0], full);
  body = json_pack("{s:s}", "path", full);
  cli->patient = true;
  code = cli_call(cli, "POST", "/v1/store/backup", body, NULL, &answer);
  json_decref(body);
  if (code == CLI_OK)
    backup_told(cli, cli_text(answer, "path"), (unsigned long long)json_integer_value(json_object_get(answer, "bytes")));
  json_decref(answer);
  return code;
}

/* The file's bytes and its name in the folder: a backup that a power cut takes back is none. */
static bool file_flush(const char *path, int fd)
{
  char *name = xstrdup(path);
  int folder = open(dirname(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool fine = fsync(fd) == 0 && folder >= 0 && fsync(folder) == 0;

  if (folder >= 0)
    close(folder);
  free(name);
  return fine;
}

static bool dump_run(const struct store_outside_facts *facts, int fd)
{
  char schema[256];
  const char *const argv[] = {"pg_dump", "--format=custom", "--no-owner", "--no-privileges", schema, NULL};

  snprintf(schema, sizeof schema, "--schema=\"%s\"", facts->schema); /* in quotes it is no pattern */
  return cli_program_run(argv, facts->environment, fd);
}

static int backup_dump(struct cli *cli, const struct store_outside_facts *facts)
{
  const char *path = cli->words[0];
  struct stat st = {0};
  int fd;

  if (!cli_program_fits("pg_dump", facts->server_major))
    return CLI_FAILED;
  fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    cli_complain("%s: %s%s", path, strerror(errno), errno == EEXIST ? ": name a new file" : "");
    return CLI_FAILED;
  }
  if (dump_run(facts, fd) && file_flush(path, fd) && fstat(fd, &st) == 0) {
    close(fd);
    return backup_told(cli, path, (unsigned long long)st.st_size);
  }
  close(fd);
  unlink(path);
  cli_complain("the backup was not made; %s is taken away again", path);
  return CLI_FAILED;
}

static int backup_of_database(struct cli *cli, const struct conf *conf)
{
  struct buf why = BUF_INIT(WHY_BYTES_MAX);
  struct store_outside *outside = NULL;
  int code;

  if (store_outside_open(conf->store.url.at, OUTSIDE_DUMP, &outside, &why) != PARLEY_OK)
    return failed(&why);
  code = backup_dump(cli, store_outside_facts(outside));
  store_outside_close(&outside);
  buf_done(&why);
  return code;
}

int cli_store_backup(struct cli *cli)
{
  struct conf *conf = NULL;
  int code;

  if (cli->config_path == NULL || cli->url != NULL)
    return backup_by_daemon(cli);
  code = conf_of(cli, &conf);
  if (code == CLI_OK)
    code = conf->store.driver == CONF_POSTGRES ? backup_of_database(cli, conf) : backup_by_daemon(cli);
  conf_unref(&conf);
  return code;
}

/* --- restore ---------------------------------------------------------------------------------------------------------------------- */

static void restored_told(void)
{
  fprintf(stderr, "The daemon will start paused: it accepts, and sends and pushes nothing. What was waiting in the backup may have\n"
                  "gone out since: it is marked as a possible duplicate, and what was due is held for you to decide:\n"
                  "  parley store resume                                send what comes from now on, and what was not due yet\n"
                  "  parley resolve held resend --reason restored       or discard, or sent; by --topic and --channel too\n");
}

static int restore_file(struct cli *cli, const struct conf *conf)
{
  struct buf why = BUF_INIT(WHY_BYTES_MAX);
  const char *force = cli_given(cli, "force");
  struct store_restore *restore = xcalloc(1, sizeof *restore);
  int code = CLI_OK;

  *restore = (struct store_restore){.file = cli->words[0], .path = conf->store.path.at, .env = &env_system};
  restore->replace = force != NULL && strcmp(force, FORCE_WORDS) == 0;
  if (force != NULL && !restore->replace) {
    cli_complain("--force takes the words %s, so that nobody types it by accident", FORCE_WORDS);
    code = CLI_USAGE;
  } else if (store_restore_file(restore, &why) != PARLEY_OK) {
    code = failed(&why);
  } else {
    printf("%s\n", conf->store.path.at);
    if (restore->kept[0] != '\0')
      fprintf(stderr, "What stood there is kept as %s\n", restore->kept);
    restored_told();
  }
  buf_done(&why);
  free(restore);
  return code;
}

static bool restore_run(const struct store_outside_facts *facts, const char *file)
{
  char schema[256];
  const char *const argv[] = {"pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", schema,
                              "--dbname=", file, NULL};

  snprintf(schema, sizeof schema, "--schema=%s", facts->schema);
  return cli_program_run(argv, facts->environment, -1);
}

static int restore_database(struct cli *cli, const struct conf *conf)
{
  struct buf why = BUF_INIT(WHY_BYTES_MAX);
  struct store_outside *outside = NULL;
  int code = CLI_FAILED;

  if (access(cli->words[0], R_OK) != 0) {
    cli_complain("%s: %s", cli->words[0], strerror(errno));
    return CLI_FAILED;
  }
  if (store_outside_open(conf->store.url.at, OUTSIDE_RESTORE, &outside, &why) != PARLEY_OK)
    return failed(&why);
  if (cli_program_fits("pg_restore", store_outside_facts(outside)->server_major)) {
    if (!restore_run(store_outside_facts(outside), cli->words[0]))
      cli_complain("pg_restore failed: the database is as empty as it was");
    else if (store_outside_restored(outside, &env_system, &why) != PARLEY_OK)
      cli_complain("%s", why.at);
    else
      code = CLI_OK;
  }
  if (code == CLI_OK)
    restored_told();
  store_outside_close(&outside);
  buf_done(&why);
  return code;
}

int cli_store_restore(struct cli *cli)
{
  struct conf *conf = NULL;
  int code = conf_of(cli, &conf);

  if (code == CLI_OK)
    code = conf->store.driver == CONF_POSTGRES ? restore_database(cli, conf) : restore_file(cli, conf);
  conf_unref(&conf);
  return code;
}

int cli_store_resume(struct cli *cli)
{
  json_t *answer = NULL;
  char held[CLI_CELL_BYTES];
  int code = cli_call(cli, "POST", "/v1/store/resume", NULL, NULL, &answer);

  if (code == CLI_OK && cli->json)
    cli_print_json(answer);
  else if (code == CLI_OK && !json_is_true(json_object_get(answer, "resumed")))
    printf("not paused\n");
  else if (code == CLI_OK)
    printf("resumed; %s held by the restore: parley resolve held resend|discard|sent --reason restored\n",
           cli_cell(answer, "held", held));
  json_decref(answer);
  return code;
}

/* --- copy ------------------------------------------------------------------------------------------------------------------------- */

struct showing { time_t at; uint64_t rows; bool shown; };

/* On a terminal, at most once a second. */
static void copy_show(enum copy_doing doing, const char *table, uint64_t rows, void *arg)
{
  static const char *const words[] = {[COPY_COPYING] = "copying", [COPY_COMPARING] = "comparing", [COPY_FINISHING] = "finishing"};
  struct showing *showing = arg;
  time_t now = time(NULL);

  if (now == showing->at && rows > 0)
    return;
  showing->at = now;
  showing->shown = true;
  fprintf(stderr, "\r%-10s %-18s %12llu rows\033[K", words[doing], table, (unsigned long long)rows);
}

static int place_of_config(struct cli *cli, struct conf **conf, struct store_place *ret)
{
  int code = *conf != NULL ? CLI_OK : conf_of(cli, conf);

  if (code != CLI_OK)
    return code;
  if ((*conf)->store.driver == CONF_POSTGRES)
    ret->url = (*conf)->store.url.at;
  else
    ret->path = (*conf)->store.path.at;
  return CLI_OK;
}

static int place_read(struct cli *cli, const char *option, struct conf **conf, struct store_place *ret)
{
  const char *word = cli_given(cli, option);

  *ret = (struct store_place){0};
  if (word != NULL && strcmp(word, "config") == 0)
    return place_of_config(cli, conf, ret);
  if (word != NULL && strncmp(word, "sqlite:", 7) == 0 && word[7] != '\0') {
    ret->path = word + 7;
    return CLI_OK;
  }
  if (word != NULL && strncmp(word, "env:", 4) == 0) {
    ret->url = getenv(word + 4);
    if (ret->url != NULL && ret->url[0] != '\0')
      return CLI_OK;
    cli_complain("--%s: the variable %s is not set", option, word + 4);
    return CLI_USAGE;
  }
  if (word != NULL && strstr(word, "://") != NULL)
    cli_complain("--%s: a URL on the command line is there for all to see: put it into a variable and say env:NAME", option);
  else
    cli_complain("--%s says config, sqlite:PATH or env:NAME (a variable that holds a PostgreSQL URL)", option);
  return CLI_USAGE;
}

static void copy_told(struct cli *cli, const struct store_copy *copy)
{
  json_t *answer = json_pack("{s:I,s:I,s:I,s:b}", "tables", (json_int_t)copy->tables, "rows", (json_int_t)copy->rows, "resumed_from",
                             (json_int_t)copy->went_on_from, "rehearsal", copy->rehearse);

  json_object_set_new(answer, "done_before", json_boolean(copy->done_before));
  if (cli->json)
    cli_print_json(answer);
  else if (copy->done_before)
    printf("done before: this source was copied here\n");
  else
    printf("%llu tables, %llu rows (%llu of an earlier call), the same on both sides\n", (unsigned long long)copy->tables,
           (unsigned long long)copy->rows, (unsigned long long)copy->went_on_from);
  json_decref(answer);
  if (copy->done_before)
    return;
  if (copy->rehearse)
    fprintf(stderr, "A rehearsal: the old store goes on; no daemon can open the new one until a copy without --rehearse has ended.\n");
  else
    fprintf(stderr, "The store goes on in its new place: name that in store: of the configuration. No daemon opens the old one any"
                    " more.\n");
}

int cli_store_copy(struct cli *cli)
{
  struct buf why = BUF_INIT(WHY_BYTES_MAX);
  struct store_copy copy = {.env = &env_system, .rehearse = cli_given(cli, "rehearse") != NULL};
  struct showing showing = {0};
  struct conf *conf = NULL;
  parley_status st;
  int code = place_read(cli, "from", &conf, &copy.from);

  if (code == CLI_OK)
    code = place_read(cli, "to", &conf, &copy.to);
  if (code == CLI_OK) {
    copy.progress = isatty(STDERR_FILENO) ? copy_show : NULL;
    copy.arg = &showing;
    st = store_copy(&copy, &why);
    if (showing.shown)
      fputs("\r\033[K", stderr);
    if (st == PARLEY_OK)
      copy_told(cli, &copy);
    else
      code = failed(&why);
  }
  conf_unref(&conf);
  buf_done(&why);
  return code;
}
