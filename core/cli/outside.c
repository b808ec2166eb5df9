/* Programs of others, run as children: no shell stands in between, and secrets go by their environment. */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERSION_BYTES_MAX 256
#define NOT_THERE 127

/* In the child. */
static void program_become(const char *const *argv, char *const *environment, int fd)
{
  char *words[CLI_ARGUMENTS_MAX + 1] = {NULL};

  for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
    putenv(environment[i]);
  for (size_t i = 0; argv[i] != NULL && i < CLI_ARGUMENTS_MAX; i++)
    words[i] = xstrdup(argv[i]);
  if (fd >= 0 && dup2(fd, STDOUT_FILENO) < 0)
    _exit(NOT_THERE);
  execvp(words[0], words);
  _exit(NOT_THERE);
}

static int program_wait(pid_t pid)
{
  int status = 0;

  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return NOT_THERE;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

bool cli_program_run(const char *const *argv, char *const *environment, int fd)
{
  pid_t pid;

  fflush(stdout);
  pid = fork();
  if (pid == 0)
    program_become(argv, environment, fd);
  return pid > 0 && program_wait(pid) == 0;
}

/* The first line that it prints when it is asked for its version; "" when it is not there. */
static void program_version(const char *program, char line[VERSION_BYTES_MAX])
{
  const char *const argv[] = {program, "--version", NULL};
  int ends[2];
  pid_t pid;
  ssize_t n = 0;

  line[0] = '\0';
  if (pipe(ends) != 0)
    return;
  pid = fork();
  if (pid == 0)
    program_become(argv, NULL, ends[1]);
  close(ends[1]);
  if (pid > 0)
    n = read(ends[0], line, VERSION_BYTES_MAX - 1);
  close(ends[0]);
  line[n > 0 ? n : 0] = '\0';
  if (pid > 0 && program_wait(pid) != 0)
    line[0] = '\0';
}

bool cli_program_fits(const char *program, int major)
{
  char line[VERSION_BYTES_MAX];
  const char *at;
  long found;

  program_version(program, line);
  at = line + strcspn(line, "0123456789");
  found = strtol(at, NULL, 10);
  if (line[0] == '\0')
    cli_complain("%s is not there: install PostgreSQL's client programs (Debian: postgresql-client), version %d or newer", program,
                 major);
  else if (found < major)
    cli_complain("%s is of version %ld, the server of %d: install PostgreSQL's client programs of version %d or newer", program, found,
                 major, major);
  return line[0] != '\0' && found >= major;
}
