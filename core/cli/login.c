#include "login.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct login_run {
  struct cli *cli;
  struct yaml_file *file; /* not the whole configuration: the daemon's other secrets need not be at hand here */
  struct arena *arena;
  struct secrets secrets;
  struct buf why;
  const struct yaml_node *oauth; /* the channel's options.oauth */
  struct login login;
  const char *path; /* of the refresh token */
};

/* --- What the configuration says ------------------------------------------------------------------------------------------- */

static const char *given_text(const struct login_run *run, const char *name)
{
  const struct yaml_node *node = yaml_find(run->oauth, name);

  return node != NULL && node->kind == YAML_IS_TEXT ? node->text.at : "";
}

static int secret_fill(struct login_run *run)
{
  const struct yaml_node *node = yaml_find(run->oauth, "client_secret");
  parley_text secret = TEXT_EMPTY;

  if (node == NULL)
    return CLI_OK;
  if (secret_read(run->file, node, "client_secret", SECRET_LINE, &run->secrets, &secret, &run->why) != PARLEY_OK) {
    fprintf(stderr, "%s\n", run->why.at);
    return CLI_FAILED;
  }
  run->login.client_secret = secret.at;
  return CLI_OK;
}

static int path_fill(struct login_run *run)
{
  const struct yaml_node *node = yaml_find(yaml_find(run->oauth, "refresh_token"), "file");

  if (node == NULL || node->kind != YAML_IS_TEXT || node->text.len == 0) {
    cli_complain("channels.%s.options.oauth.refresh_token must name a file to write to: { file: PATH }", run->login.channel);
    return CLI_FAILED;
  }
  run->path = yaml_path(run->file, run->arena, node->text);
  return CLI_OK;
}

static int options_find(struct login_run *run)
{
  const char *name = run->cli->words[0];
  const struct yaml_node *channel;

  if (run->cli->config_path == NULL) {
    cli_complain("which configuration? give -c parley.yaml");
    return CLI_USAGE;
  }
  if (yaml_load(run->cli->config_path, &run->file, &run->why) != PARLEY_OK) {
    fprintf(stderr, "%s\n", run->why.at);
    return CLI_FAILED;
  }
  channel = yaml_find(yaml_find(run->file->root, "channels"), name);
  if (channel == NULL) {
    cli_complain("%s has no channel '%s'", run->cli->config_path, name);
    return CLI_FAILED;
  }
  run->oauth = yaml_find(yaml_find(channel, "options"), "oauth");
  if (run->oauth != NULL && run->oauth->kind == YAML_IS_MAPPING)
    return CLI_OK;
  cli_complain("channel '%s' logs in without OAuth: its options have no group oauth (token_url, client_id, refresh_token)", name);
  return CLI_FAILED;
}

static const char *option_or(const struct cli *cli, const char *name, const char *otherwise)
{
  const char *given = cli_given(cli, name);

  return given != NULL ? given : otherwise;
}

static int endpoints_check(const struct login *login)
{
  const char *const urls[] = {login->token_url, login->device_url, login->auth_url};

  if (login->token_url[0] == '\0' || login->client_id[0] == '\0') {
    cli_complain("channels.%s.options.oauth needs token_url and client_id", login->channel);
    return CLI_FAILED;
  }
  for (size_t i = 0; i < COUNT_OF(urls); i++)
    if (urls[i] != NULL && !login_url_ok(urls[i])) {
      cli_complain("%s: only https is safe for a login", urls[i]);
      return CLI_FAILED;
    }
  if (login->device_url != NULL || login->auth_url != NULL)
    return CLI_OK;
  cli_complain("this provider's login page is not known here: give --device-url or --auth-url, from its documentation");
  return CLI_USAGE;
}

static int login_fill(struct login_run *run)
{
  struct cli *cli = run->cli;
  struct login *login = &run->login;
  const char *port = option_or(cli, "port", "0");
  uint64_t number = 0;
  int code = options_find(run);

  login->channel = cli->words[0];
  if (code != CLI_OK)
    return code;
  if (!text_to_uint(parley_text_of(port), UINT16_MAX, &number)) {
    cli_complain("--port: '%s' is no port", port);
    return CLI_USAGE;
  }
  login->port = (long)number;
  login->token_url = given_text(run, "token_url");
  login->client_id = given_text(run, "client_id");
  login->client_secret = "";
  login->scope = option_or(cli, "scope", given_text(run, "scope"));
  login->device_url = option_or(cli, "device-url", NULL);
  login->auth_url = option_or(cli, "auth-url", NULL);
  login_provider_fill(login, run->arena);
  if (cli_given(cli, "browser") != NULL)
    login->device_url = NULL;
  code = endpoints_check(login);
  code = code == CLI_OK ? path_fill(run) : code;
  return code == CLI_OK ? secret_fill(run) : code;
}

/* --- The file -------------------------------------------------------------------------------------------------------------- */

/* A file of the same owner as the one it replaces, so that parleyd can go on reading it. */
static bool file_fill(int fd, const char *path, const char *token)
{
  struct stat old;
  size_t len = strlen(token);

  if (stat(path, &old) == 0 && old.st_uid != geteuid() && fchown(fd, old.st_uid, old.st_gid) != 0)
    return false;
  return write(fd, token, len) == (ssize_t)len && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
}

static void folder_flush(const char *path)
{
  char *copy = xstrdup(path);
  int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  free(copy);
}

/* Mode 0600; whole, or as it was. */
static bool token_write(const char *path, const char *token)
{
  struct buf beside = BUF_INIT(8192);
  int fd;
  bool good;

  buf_printf(&beside, "%s.XXXXXX", path);
  fd = mkostemp(beside.at, O_CLOEXEC);
  good = fd >= 0 && file_fill(fd, path, token);
  good = fd >= 0 && close(fd) == 0 && good && rename(beside.at, path) == 0;
  if (good)
    folder_flush(path);
  else
    cli_complain("%s cannot be written: %s", path, strerror(errno));
  if (!good && fd >= 0)
    unlink(beside.at);
  buf_done(&beside);
  return good;
}

static int answer_keep(const struct login_run *run, const json_t *answer)
{
  const char *token = cli_text(answer, "refresh_token");

  if (token[0] == '\0' || strlen(token) > LOGIN_TOKEN_MAX || strpbrk(token, "\r\n") != NULL) {
    cli_complain("the provider gave no refresh token that can be kept: at Microsoft the scope needs offline_access; at Google remove "
                 "this application at myaccount.google.com/permissions and log in again");
    return CLI_FAILED;
  }
  if (!token_write(run->path, token))
    return CLI_FAILED;
  printf("%s\n", run->path);
  fprintf(stderr,
          "Written, readable by its owner alone: parleyd's user must be that. Next: let parleyd read it (systemctl reload parleyd, or "
          "SIGHUP), then parley channel check %s\n",
          run->login.channel);
  return CLI_OK;
}

int cli_channel_login(struct cli *cli)
{
  struct login_run run = {.cli = cli, .arena = arena_new(), .why = BUF_INIT(65536)};
  int code = login_fill(&run);
  json_t *answer = NULL;

  if (code == CLI_OK) {
    answer = run.login.device_url != NULL ? login_by_device(&run.login) : login_by_browser(&run.login);
    code = answer != NULL ? answer_keep(&run, answer) : CLI_FAILED;
  }
  json_decref(answer);
  secrets_done(&run.secrets);
  yaml_file_free(&run.file);
  arena_free(&run.arena);
  buf_done(&run.why);
  return code;
}
