/* What the wild plugin does to its own process, and tries to do outside of it. */
#include "wild.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, TAKES_MAX = 100000, CHILDREN_MAX = 20, CHILD_S = 5, HANG_S = 3600, DISCARD_PORT = 9 };

/* --- Dies ------------------------------------------------------------------------------------------------------------- */

static const char *crime_segv(struct wild *wild)
{
  static volatile uintptr_t nowhere = 16; /* an optimiser refuses to write where it sees that nothing is */

  (void)wild;
  *(volatile int *)nowhere = 1;
  return "ok";
}

static const char *crime_abort(struct wild *wild)
{
  (void)wild;
  abort();
}

static const char *crime_exit(struct wild *wild)
{
  _exit(atoi(wild->argument));
}

static int overflow(int depth)
{
  volatile char room[4096];

  room[depth % (int)sizeof room] = (char)depth;
  return depth < 0 ? 0 : overflow(depth + 1) + room[depth % 7];
}

static const char *crime_overflow(struct wild *wild)
{
  return overflow((int)wild->token % 2) > 0 ? "ok" : "";
}

/* --- Hangs ------------------------------------------------------------------------------------------------------------ */

static const char *crime_busy(struct wild *wild)
{
  for (volatile uint64_t turns = 0;; turns++)
    (void)wild;
  return "ok";
}

static void nap(time_t seconds)
{
  struct timespec left = {seconds, 0};

  while (nanosleep(&left, &left) != 0 && errno == EINTR)
    continue;
}

static const char *crime_sleep(struct wild *wild)
{
  (void)wild;
  nap(HANG_S);
  return "ok";
}

static const char *crime_deadlock(struct wild *wild)
{
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

  (void)wild;
  pthread_mutex_lock(&mutex);
  pthread_mutex_lock(&mutex);
  return "ok";
}

/* --- Takes, until it is refused ---------------------------------------------------------------------------------------- */

static const char *crime_memory(struct wild *wild)
{
  (void)wild;
  for (int i = 0; i < TAKES_MAX; i++) {
    char *volatile piece = malloc(MIB);

    if (piece == NULL)
      return wild_word_of_errno();
    memset(piece, 1, MIB);
  }
  return "ok";
}

/* Memory that no limit of a process counts. */
static const char *crime_shared_memory(struct wild *wild)
{
  char *piece;

  (void)wild;
  for (int i = 0; i < 1000; i++) {
    piece = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED)
      return wild_word_of_errno();
    memset(piece, 1, MIB);
  }
  return "ok";
}

static const char *crime_memfd(struct wild *wild)
{
  (void)wild;
  return memfd_create("wild", 0) < 0 ? wild_word_of_errno() : "ok";
}

static const char *crime_fds(struct wild *wild)
{
  (void)wild;
  for (int i = 0; i < TAKES_MAX; i++)
    if (dup(STDERR_FILENO) < 0)
      return wild_word_of_errno();
  return "ok";
}

static void *idle(void *arg)
{
  for (;;)
    pause();
  return arg;
}

static const char *crime_threads(struct wild *wild)
{
  pthread_t thread;

  (void)wild;
  for (int i = 0; i < TAKES_MAX; i++) {
    errno = pthread_create(&thread, NULL, idle, NULL);
    if (errno != 0)
      return wild_word_of_errno();
  }
  return "ok";
}

/* --- Breaks out: each returns the errno of its refusal ------------------------------------------------------------------ */

static const char *refusal(int failed)
{
  return failed ? wild_word_of_errno() : "ok";
}

/* Bounded, should nothing stop it. */
static const char *crime_fork(struct wild *wild)
{
  const char *came_to = "ok";

  (void)wild;
  for (int i = 0; i < CHILDREN_MAX; i++) {
    pid_t pid = fork();

    if (pid == 0) {
      nap(CHILD_S);
      _exit(0);
    }
    if (pid < 0)
      came_to = wild_word_of_errno();
  }
  return came_to;
}

static const char *crime_popen(struct wild *wild)
{
  FILE *program = popen("true", "r");

  (void)wild;
  if (program == NULL)
    return wild_word_of_errno();
  return pclose(program) == 0 ? "ok" : "EPERM";
}

static const char *crime_exec(struct wild *wild)
{
  static char name[] = "true", *args[] = {name, NULL};

  (void)wild;
  return refusal(execve("/bin/true", args, NULL) != 0);
}

static const char *crime_socket(struct wild *wild)
{
  (void)wild;
  return refusal(socket(AF_INET, SOCK_STREAM, 0) < 0);
}

static const char *crime_unix_socket(struct wild *wild)
{
  (void)wild;
  return refusal(socket(AF_UNIX, SOCK_STREAM, 0) < 0);
}

static const char *crime_connect(struct wild *wild)
{
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(DISCARD_PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};

  (void)wild;
  return refusal(connect(STDERR_FILENO, (struct sockaddr *)&to, sizeof to) != 0);
}

static const char *crime_read(struct wild *wild)
{
  char byte;
  int fd = open(wild->argument, O_RDONLY | O_CLOEXEC);

  return refusal(fd < 0 || read(fd, &byte, 1) < 0);
}

static const char *crime_write(struct wild *wild)
{
  return refusal(open(wild->argument, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
}

static const char *crime_remove(struct wild *wild)
{
  return refusal(unlink(wild->argument) != 0);
}

static const char *crime_chmod(struct wild *wild)
{
  return refusal(chmod(wild->argument, 0777) != 0);
}

static const char *crime_ptrace(struct wild *wild)
{
  (void)wild;
  return refusal(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) != 0);
}

static const char *crime_peek(struct wild *wild)
{
  char byte;
  struct iovec here = {&byte, 1}, there = {(void *)&parley_plugin_v1, 1};

  (void)wild;
  return refusal(process_vm_readv(getppid(), &here, 1, &there, 1, 0) < 0);
}

/* By a signal that is ignored where nobody waits for it: should nothing stop it, the test goes on. */
static const char *crime_signal(struct wild *wild)
{
  (void)wild;
  return refusal(kill(getppid(), SIGURG) != 0);
}

/* "ok": the variable stands in its environment. */
static const char *crime_environment(struct wild *wild)
{
  char all[65536], *at = all;
  size_t len, name = strlen(wild->argument);
  FILE *file = fopen("/proc/self/environ", "re");

  if (file == NULL)
    return wild_word_of_errno();
  len = fread(all, 1, sizeof all - 1, file);
  fclose(file);
  all[len] = '\0';
  for (; at < all + len; at += strlen(at) + 1)
    if (strncmp(at, wild->argument, name) == 0 && at[name] == '=')
      return "ok";
  return getenv(wild->argument) != NULL ? "ok" : "ENOENT";
}

const struct wild_row wild_crimes[] = {
    {"segv", crime_segv},
    {"abort", crime_abort},
    {"exit", crime_exit},
    {"overflow", crime_overflow},
    {"busy", crime_busy},
    {"sleep", crime_sleep},
    {"deadlock", crime_deadlock},
    {"memory", crime_memory},
    {"shared_memory", crime_shared_memory},
    {"memfd", crime_memfd},
    {"fds", crime_fds},
    {"threads", crime_threads},
    {"fork", crime_fork},
    {"popen", crime_popen},
    {"exec", crime_exec},
    {"socket", crime_socket},
    {"unix_socket", crime_unix_socket},
    {"connect", crime_connect},
    {"read", crime_read},
    {"write", crime_write},
    {"remove", crime_remove},
    {"chmod", crime_chmod},
    {"ptrace", crime_ptrace},
    {"peek", crime_peek},
    {"signal", crime_signal},
    {"environment", crime_environment},
    {NULL, NULL},
};
