#include "exec_child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FD_STATUS = 3, FD_SAFE = 4, DONE_WAIT_MS = 100, SIGNALS_MAX = 65 };

/* What the child tells of itself when it cannot become the program. */
enum stage { STAGE_DESCRIPTORS = 1, STAGE_LIMITS, STAGE_EXEC };
struct failure {
  int stage, number;
};

static void fd_close(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

/* --- In the child, between fork and exec: async-signal-safe calls alone
 * ------------------------------------------------ */

struct ends {
  int in, out, err, status;
}; /* the child's own ends of the pipes */

static _Noreturn void child_fail(int status, enum stage stage)
{
  struct failure failure = {(int)stage, errno};
  ssize_t ignored = write(status, &failure, sizeof failure);

  (void)ignored;
  _exit(127);
}

/* 0, 1, 2 and FD_STATUS, and nothing else. The ends go up first, for a daemon without standard streams gets pipes at 0
 * to 2. */
static void child_descriptors(struct ends *ends)
{
  int in = fcntl(ends->in, F_DUPFD_CLOEXEC, FD_SAFE), out = fcntl(ends->out, F_DUPFD_CLOEXEC, FD_SAFE);
  int err = fcntl(ends->err, F_DUPFD_CLOEXEC, FD_SAFE), status = fcntl(ends->status, F_DUPFD_CLOEXEC, FD_SAFE);

  ends->status = status >= 0 ? status : ends->status;
  if (in < 0 || out < 0 || err < 0 || status < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
      dup2(err, STDERR_FILENO) < 0 || dup3(status, FD_STATUS, O_CLOEXEC) < 0)
    child_fail(ends->status, STAGE_DESCRIPTORS);
  ends->status = FD_STATUS;
  if (close_range(FD_SAFE, ~0u, 0) != 0)
    child_fail(ends->status, STAGE_DESCRIPTORS);
}

static bool limit_set(enum __rlimit_resource which, rlim_t value)
{
  struct rlimit now;

  if (getrlimit(which, &now) != 0)
    return false;
  if (now.rlim_max < value) /* already narrower: it cannot be raised, and need not */
    value = now.rlim_max;
  return setrlimit(which, &(struct rlimit){value, value}) == 0;
}

static void child_limits(const struct ends *ends, const struct exec_start *start, pid_t parent)
{
  if (!limit_set(RLIMIT_CORE, 1) || !limit_set(RLIMIT_NOFILE, EXEC_FILES_MAX) ||
      (start->memory_bytes > 0 && !limit_set(RLIMIT_DATA, start->memory_bytes)) ||
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    child_fail(ends->status, STAGE_LIMITS);
  if (getppid() != parent) /* it died before we asked to be told */
    _exit(127);
}

/* Ignored signals stay ignored through exec, and a blocked SIGTERM would never end it. */
static void child_signals(void)
{
  struct sigaction plain = {.sa_handler = SIG_DFL};
  sigset_t none;

  for (int number = 1; number < SIGNALS_MAX; number++)
    (void)sigaction(number, &plain, NULL);
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_run(struct ends ends, const struct exec_start *start, pid_t parent)
{
  (void)setsid(); /* a session, and with it a group, of its own: no terminal, and signalled as one */
  child_descriptors(&ends);
  child_limits(&ends, start, parent);
  child_signals();
  execve(start->path, start->argv, start->envp);
  child_fail(ends.status, STAGE_EXEC);
}

/* --- Starting ----------------------------------------------------------------------------------------------------- */

/* ours: the end that this process keeps. */
static bool pipe_make(int *ours, int *theirs, bool we_write)
{
  int ends[2];

  if (pipe2(ends, O_CLOEXEC) != 0)
    return false;
  *ours = ends[we_write ? 1 : 0];
  *theirs = ends[we_write ? 0 : 1];
  return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

/* The parent's handlers must not run in the child, which shares what they write to: all signals wait until it has its
 * own. */
static pid_t child_fork(struct ends *ends, const struct exec_start *start)
{
  pid_t parent = getpid(), pid;
  sigset_t all, before;

  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  pid = fork();
  if (pid == 0)
    child_run(*ends, start, parent);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pid;
}

parley_status exec_child_start(const struct exec_start *start, struct exec_child *ret)
{
  struct exec_child child = {.pidfd = -1, .in = -1, .out = -1, .err = -1, .status = -1};
  struct ends ends = {-1, -1, -1, -1};
  int number;

  if (pipe_make(&child.in, &ends.in, true) && pipe_make(&child.out, &ends.out, false) &&
      pipe_make(&child.err, &ends.err, false) && pipe_make(&child.status, &ends.status, false))
    child.pid = child_fork(&ends, start);
  if (child.pid > 0)
    child.pidfd = pidfd_open(child.pid, 0);
  number = errno;
  fd_close(&ends.in);
  fd_close(&ends.out);
  fd_close(&ends.err);
  fd_close(&ends.status);
  if (child.pidfd < 0) {
    if (child.pid > 0) { /* it cannot be watched, so it may not run */
      kill(child.pid, SIGKILL);
      waitpid(child.pid, NULL, 0);
    }
    child.pid = 0;
    exec_child_done(&child);
    errno = number;
    return PARLEY_FAILED;
  }
  *ret = child;
  return PARLEY_OK;
}

bool exec_child_find(const char *name, const char *path, char *to, size_t room)
{
  struct stat file;

  if (strchr(name, '/') != NULL) {
    int len = snprintf(to, room, "%s", name);

    return name[0] == '/' && len >= 0 && (size_t)len < room && stat(to, &file) == 0 && S_ISREG(file.st_mode) &&
           access(to, X_OK) == 0;
  }
  for (;;) {
    size_t len = strcspn(path, ":");
    int made = snprintf(to, room, "%.*s/%s", (int)len, path, name);

    if (path[0] == '/' && made >= 0 && (size_t)made < room && stat(to, &file) == 0 && S_ISREG(file.st_mode) &&
        access(to, X_OK) == 0)
      return true;
    if (path[len] == '\0')
      return false;
    path += len + 1;
  }
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

void exec_child_signal(const struct exec_child *child, int number)
{
  if (child->pid <= 0)
    return;
  (void)kill(-child->pid, number);
  (void)pidfd_send_signal(child->pidfd, number, NULL, 0); /* it may not have its group yet */
}

static void failure_read(const struct exec_child *child, struct exec_end *end)
{
  static const char *const stages[] = {"", "its descriptors", "its limits", "execve"};
  struct failure failure;

  if (read(child->status, &failure, sizeof failure) != (ssize_t)sizeof failure)
    return;
  end->failed_errno = failure.number;
  end->failed = failure.stage > 0 && failure.stage <= STAGE_EXEC ? stages[failure.stage] : "it";
}

bool exec_child_ended(struct exec_child *child, struct exec_end *ret)
{
  struct exec_end end = {.code = -1};
  siginfo_t info = {.si_pid = 0};
  int got;

  if (child->pid <= 0)
    return false;
  got = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
  if (got == 0 && info.si_pid == 0)
    return false;
  if (got != 0 && errno != ECHILD)
    return false;
  if (got == 0) {
    (void)kill(-child->pid, SIGKILL); /* while its number is not free for others yet */
    (void)waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
    end.code = info.si_code == CLD_EXITED ? info.si_status : 0;
    end.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  }
  failure_read(child, &end);
  child->pid = 0;
  fd_close(&child->pidfd);
  *ret = end;
  return true;
}

size_t exec_child_unread(const struct exec_child *child)
{
  struct pollfd state = {.fd = child->in, .events = POLLOUT};
  int bytes = 0;

  if (child->in < 0 || poll(&state, 1, 0) != 1 || (state.revents & POLLERR) == 0)
    return 0; /* a reader is left: one that it started and that left the group */
  return ioctl(child->in, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

ssize_t exec_child_write(const struct exec_child *child, const void *bytes, size_t len)
{
  static const struct timespec now = {0, 0};
  sigset_t pipe_signal, before;
  ssize_t wrote;
  int number;

  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  wrote = write(child->in, bytes, len);
  number = errno;
  if (wrote < 0 && number == EPIPE && sigismember(&before, SIGPIPE) == 0)
    (void)sigtimedwait(&pipe_signal, NULL, &now); /* takes it off again */
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = number;
  return wrote;
}

void exec_child_close_in(struct exec_child *child)
{
  fd_close(&child->in);
}

void exec_child_done(struct exec_child *child)
{
  struct pollfd end = {.fd = child->pidfd, .events = POLLIN};
  struct exec_end ignored;

  if (child->pid > 0) {
    exec_child_signal(child, SIGKILL);
    (void)poll(&end, 1, DONE_WAIT_MS);
    (void)exec_child_ended(child, &ignored);
  }
  child->pid = 0;
  fd_close(&child->pidfd);
  fd_close(&child->in);
  fd_close(&child->out);
  fd_close(&child->err);
  fd_close(&child->status);
}
