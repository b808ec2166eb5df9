/* Help, man page and shell completion, all out of the command table. */
#include "command.h"
#include "core/base/text.h"
#include <stdio.h>
#include <string.h>

static void help_options(const struct cli_option *options)
{
  for (; options != NULL && options->name != NULL; options++) {
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s", options->name, options->value ? " " : "",
             options->value ? options->value : "");
    printf("  %-26s %s\n", left, options->doc);
  }
}

void cli_help(const struct command *command)
{
  if (command != NULL) {
    printf("usage: parley [-c parley.yaml | --url URL] %s%s%s\n\n%s\n", command->name, command->words[0] ? " " : "",
           command->words, command->summary);
    if (command->options != NULL)
      printf("\n");
    help_options(command->options);
    printf("\n");
    help_options(cli_global_options);
    return;
  }
  printf("usage: parley [-c parley.yaml | --url URL] COMMAND ...\n\n");
  for (command = cli_commands; command->name != NULL; command++) {
    char left[64];

    snprintf(left, sizeof left, "%s %s", command->name, command->words);
    printf("  %-34s %s\n", left, command->summary);
  }
  printf("\n");
  help_options(cli_global_options);
  printf("\nExit codes: 0 done, 1 failed, 2 usage, 3 partly failed, 4 not allowed, 5 the daemon cannot be reached.\n");
}

/* roff takes a leading '.' or '\'' for a request, and '-' for a hyphen. */
static void roff_text(const char *text)
{
  if (*text == '.' || *text == '\'')
    fputs("\\&", stdout);
  for (; *text != '\0'; text++) {
    if (*text == '-')
      fputs("\\-", stdout);
    else if (*text == '\\')
      fputs("\\e", stdout);
    else
      putchar(*text);
  }
}

static void roff_options(const struct cli_option *options)
{
  for (; options != NULL && options->name != NULL; options++) {
    printf(".TP\n.B \\-\\-");
    roff_text(options->name);
    if (options->value != NULL)
      printf("\\fR \\fI%s\\fR", options->value);
    putchar('\n');
    roff_text(options->doc);
    putchar('\n');
  }
}

static void manpage_parley(void)
{
  printf(".TH PARLEY 1 \"\" \"Parley " PARLEY_VERSION
         "\" \"User Commands\"\n.SH NAME\nparley \\- talk to a Parley daemon\n"
         ".SH SYNOPSIS\n.B parley\n[\\fB\\-c\\fR \\fIparley.yaml\\fR | \\fB\\-\\-url\\fR \\fIURL\\fR] \\fICOMMAND\\fR "
         "...\n"
         ".SH DESCRIPTION\nSends messages, looks at customers and conversations, and operates channels, subscriptions "
         "and keys of\n"
         "a running\n.BR parleyd (8).\nData goes to standard output, words to standard error.\n.SH OPTIONS\n");
  roff_options(cli_global_options);
  printf(".SH COMMANDS\n");
  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    printf(".SS ");
    roff_text(command->name);
    printf(" ");
    roff_text(command->words);
    putchar('\n');
    roff_text(command->summary);
    printf(".\n");
    roff_options(command->options);
  }
  printf(".SH ENVIRONMENT\n.TP\n.B PARLEY_KEY\nthe API key, where no configuration is given\n.TP\n.B PARLEY_URL\nthe "
         "daemon's "
         "address\n.SH EXIT STATUS\n0 done, 1 failed, 2 usage, 3 partly failed, 4 not allowed, 5 the daemon cannot be "
         "reached.\n"
         ".SH SEE ALSO\n.BR parleyd (8)\n");
}

static void manpage_parleyd(void)
{
  printf(".TH PARLEYD 8 \"\" \"Parley " PARLEY_VERSION
         "\" \"System Administration\"\n.SH NAME\nparleyd \\- omnichannel message "
         "router\n.SH SYNOPSIS\n.B parleyd\n\\fB\\-c\\fR \\fIparley.yaml\\fR [\\fB\\-\\-check\\fR | \\fB\\-\\-restored\\fR]\n.SH "
         "DESCRIPTION\nTakes a "
         "business's messages to its customers, and its customers' messages to the business, over every "
         "configured\nchannel, with "
         "one timeline a customer. What it has accepted is durable.\n.SH OPTIONS\n.TP\n.BR \\-c \", \" \\-\\-config \" "
         "\\fIFILE\\fR\"\nthe configuration; conf/parley.yaml shows every option\n.TP\n.B \\-\\-check\nread the "
         "configuration, say "
         "what is wrong with it, and exit\n.TP\n.B \\-\\-restored\nwhat the store holds may have gone on since: "
         "start paused, with "
         "everything that may have gone out marked, until\n.B parley store resume\n.SH SIGNALS\n.TP\n"
         ".B SIGHUP\nread the configuration again: all of it is "
         "checked and "
         "started beside the old, or nothing changes\n.TP\n.B SIGTERM\ndrain for server.drain and stop\n.SH EXIT "
         "STATUS\nThose of "
         "sysexits.h: 64 usage, 69 the store or the port is not available, 78 configuration.\n.SH SEE ALSO\n.BR parley "
         "(1)\n");
}

int cli_manpage(struct cli *cli)
{
  if (cli->n_words > 0 && strcmp(cli->words[0], "parleyd") == 0)
    manpage_parleyd();
  else
    manpage_parley();
  return CLI_OK;
}

/* Every first word once, in the table's order. */
static bool first_word_seen(const struct command *upto, const char *name, size_t len)
{
  for (const struct command *command = cli_commands; command < upto; command++)
    if (strncmp(command->name, name, len) == 0 && (command->name[len] == ' ' || command->name[len] == '\0'))
      return true;
  return false;
}

static void completion_words(const char *separator)
{
  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    size_t len = strcspn(command->name, " ");

    if (!first_word_seen(command, command->name, len))
      printf("%.*s%s", (int)len, command->name, separator);
  }
}

static void completion_second(const char *first, size_t len)
{
  for (const struct command *command = cli_commands; command->name != NULL; command++)
    if (strncmp(command->name, first, len) == 0 && command->name[len] == ' ')
      printf("%s ", command->name + len + 1);
}

static void completion_bash(void)
{
  printf("_parley() {\n  local word=${COMP_WORDS[COMP_CWORD]} first=${COMP_WORDS[1]}\n"
         "  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"");
  completion_words(" ");
  printf("\" -- \"$word\")); return; fi\n  case $first in\n");
  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    size_t len = strcspn(command->name, " ");

    if (command->name[len] == '\0' || first_word_seen(command, command->name, len))
      continue;
    printf("    %.*s) [ \"$COMP_CWORD\" = 2 ] && COMPREPLY=($(compgen -W \"", (int)len, command->name);
    completion_second(command->name, len);
    printf("\" -- \"$word\")) ;;\n");
  }
  printf("  esac\n}\ncomplete -o default -F _parley parley\n");
}

static void completion_fish(void)
{
  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    size_t len = strcspn(command->name, " ");

    if (command->name[len] == '\0')
      printf("complete -c parley -n __fish_use_subcommand -a %s -d \"%s\"\n", command->name, command->summary);
    else
      printf("complete -c parley -n \"__fish_seen_subcommand_from %.*s\" -a %s -d \"%s\"\n", (int)len, command->name,
             command->name + len + 1, command->summary);
    if (command->name[len] != '\0' && !first_word_seen(command, command->name, len))
      printf("complete -c parley -n __fish_use_subcommand -a %.*s\n", (int)len, command->name);
  }
}

int cli_completion(struct cli *cli)
{
  if (strcmp(cli->words[0], "bash") == 0) {
    completion_bash();
  } else if (strcmp(cli->words[0], "zsh") == 0) {
    printf("#compdef parley\nautoload -U +X bashcompinit && bashcompinit\n");
    completion_bash();
  } else if (strcmp(cli->words[0], "fish") == 0) {
    completion_fish();
  } else {
    cli_complain("completion is made for bash, zsh and fish");
    return CLI_USAGE;
  }
  return CLI_OK;
}
