/* parley - the command line: reads the command table (commands.c), finds the command and runs it. */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cli_complain(const char *format, ...)
{
  va_list args;

  fputs("parley: ", stderr);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
}

const char *cli_given(const struct cli *cli, const char *name)
{
  for (size_t i = 0; i < cli->n_given; i++)
    if (strcmp(cli->given[i].name, name) == 0)
      return cli->given[i].value;
  return NULL;
}

static const struct cli_option *option_find(const struct cli_option *options, const char *name, size_t len)
{
  for (; options != NULL && options->name != NULL; options++)
    if (strlen(options->name) == len && strncmp(options->name, name, len) == 0)
      return options;
  return NULL;
}

/* The command whose name is the first word, or the first two. *used: how many words that took. */
static const struct command *command_find(const char *const *words, size_t n, size_t *used)
{
  char two[64];

  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    if (n > 0 && strcmp(command->name, words[0]) == 0) {
      *used = 1;
      return command;
    }
    if (n > 1 && snprintf(two, sizeof two, "%s %s", words[0], words[1]) < (int)sizeof two &&
        strcmp(command->name, two) == 0) {
      *used = 2;
      return command;
    }
  }
  return NULL;
}

static void command_unknown(const char *const *words, size_t n)
{
  const char *names[64];
  size_t count = 0;
  struct buf given = BUF_INIT(256);
  const char *near;

  for (const struct command *command = cli_commands; command->name != NULL && count + 1 < COUNT_OF(names); command++)
    names[count++] = command->name;
  names[count] = NULL;
  for (size_t i = 0; i < n && i < 2; i++)
    buf_printf(&given, "%s%s", i ? " " : "", words[i]);
  near = text_nearest(buf_as_text(&given), names);
  if (near != NULL)
    cli_complain("unknown command '%s': did you mean '%s'?", given.at, near);
  else
    cli_complain("unknown command '%s'; parley --help lists them", given.at);
  buf_done(&given);
}

static bool option_take(struct cli *cli, const struct cli_option *option, const char *value)
{
  if (strcmp(option->name, "config") == 0)
    cli->config_path = value;
  else if (strcmp(option->name, "url") == 0)
    cli->url = value;
  else if (strcmp(option->name, "key-file") == 0)
    cli->key_file = value;
  else if (strcmp(option->name, "json") == 0)
    cli->json = true;
  else if (cli->n_given < CLI_OPTIONS_MAX) {
    cli->given[cli->n_given].name = option->name;
    cli->given[cli->n_given++].value = value;
  } else {
    cli_complain("too many options");
    return false;
  }
  return true;
}

/* One "--name", "--name=value" or "--name value"; *at moves on. */
static bool option_read(struct cli *cli, const struct command *command, char **argv, int argc, int *at)
{
  const char *word = argv[*at] + 2, *equals = strchr(word, '=');
  size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
  const struct cli_option *option = option_find(cli_global_options, word, len);
  const char *value = "";

  if (option == NULL && command != NULL)
    option = option_find(command->options, word, len);
  if (option == NULL) {
    cli_complain("unknown option '--%.*s'%s%s", (int)len, word, command ? " of " : "", command ? command->name : "");
    return false;
  }
  if (option->value == NULL && equals != NULL) {
    cli_complain("--%s takes no value", option->name);
    return false;
  }
  if (option->value != NULL && equals == NULL && *at + 1 >= argc) {
    cli_complain("--%s needs a value: %s", option->name, option->value);
    return false;
  }
  if (option->value != NULL)
    value = equals != NULL ? equals + 1 : argv[++*at];
  return option_take(cli, option, value);
}

/* Words first, so that options may stand anywhere; then the options of the command that they name. */
static int arguments_read(int argc, char **argv, struct cli *cli)
{
  const char *words[CLI_WORDS_MAX + 2];
  size_t n = 0, used = 0;
  bool help = argc < 2;

  for (int pass = 0; pass < 2; pass++) {
    n = 0;
    for (int i = 1; i < argc; i++) {
      if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
        help = true;
      } else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
        cli->config_path = argv[++i];
      } else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
        printf("parley " PARLEY_VERSION "\n");
        return -2;
      } else if (argv[i][0] == '-' && argv[i][1] == '-' && pass == 0) {
        const char *equals = strchr(argv[i], '=');
        bool known_flag = false;

        for (const struct cli_option *o = cli_global_options; o->name != NULL; o++)
          known_flag |= o->value == NULL && strcmp(o->name, argv[i] + 2) == 0;
        if (strcmp(argv[i], "--test") != 0 && equals == NULL && !known_flag)
          i++; /* its value */
      } else if (argv[i][0] == '-' && argv[i][1] == '-') {
        if (!option_read(cli, cli->command, argv, argc, &i))
          return CLI_USAGE;
      } else if (n < COUNT_OF(words)) {
        words[n++] = argv[i];
      }
    }
    if (pass == 0 && n > 0)
      cli->command = command_find(words, n, &used);
  }
  if (help) {
    cli_help(cli->command);
    return -2;
  }
  if (cli->command == NULL) {
    command_unknown(words, n);
    return CLI_USAGE;
  }
  cli->n_words = n - used;
  memcpy(cli->words, words + used, cli->n_words * sizeof *words);
  if (cli->n_words < cli->command->words_min || cli->n_words > cli->command->words_max) {
    cli_complain("usage: parley %s %s", cli->command->name, cli->command->words);
    return CLI_USAGE;
  }
  return -1;
}

int main(int argc, char **argv)
{
  struct cli cli = {0};
  int code = arguments_read(argc, argv, &cli);

  if (code != -1)
    return code == -2 ? CLI_OK : code;
  signal(SIGPIPE, SIG_DFL);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  code = cli.command->local ? CLI_OK : cli_connect(&cli);
  if (code == CLI_OK)
    code = cli.command->run(&cli);
  if (cli.key != NULL)
    OPENSSL_cleanse(cli.key, strlen(cli.key));
  free(cli.key);
  free(cli.base_url);
  curl_global_cleanup();
  return code;
}
