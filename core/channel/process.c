#include "process.h"
#include "core/base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAN_FD_MIN (PROCESS_FDS_MAX + 8) /* above the numbers that the process gets */

struct process_plan { /* of one that is being started: the pool's until that is done */
  uv_work_t work;
  struct process *process;
  char *program, **args, **env;
  int fds[PROCESS_FDS_MAX];
  size_t n_fds;
  int err, pid;
};

/* --- The plan ------------------------------------------------------------------------------------------------------- */

static char **words_copy(char *const *words)
{
  size_t n = 0;
  char **copy;

  while (words[n] != NULL)
    n++;
  copy = xcalloc(n + 1, sizeof *copy);
  for (size_t i = 0; i < n; i++)
    copy[i] = xstrdup(words[i]);
  return copy;
}

static void words_free(char **words)
{
  for (size_t i = 0; words[i] != NULL; i++)
    free(words[i]);
  free(words);
}

static void plan_free(struct process_plan *plan)
{
  for (size_t i = 0; i < plan->n_fds; i++)
    if (plan->fds[i] >= 0)
      close(plan->fds[i]);
  words_free(plan->args);
  words_free(plan->env);
  free(plan->program);
  free(plan);
}

/* 0, or why there are no descriptors for it. */
static int plan_take_fds(struct process_plan *plan, const int *fds, size_t n_fds)
{
  for (; plan->n_fds < n_fds; plan->n_fds++) {
    int from = fds[plan->n_fds];

    plan->fds[plan->n_fds] = from >= 0 ? fcntl(from, F_DUPFD_CLOEXEC, PLAN_FD_MIN) : -1;
    if (from >= 0 && plan->fds[plan->n_fds] < 0)
      return -errno;
  }
  return 0;
}

/* --- In the pool ---------------------------------------------------------------------------------------------------- */

static void plan_actions(const struct process_plan *plan, posix_spawn_file_actions_t *actions)
{
  posix_spawn_file_actions_init(actions);
  for (int i = 0; i < (int)plan->n_fds; i++) {
    if (plan->fds[i] >= 0)
      posix_spawn_file_actions_adddup2(actions, plan->fds[i], i);
    else
      posix_spawn_file_actions_addopen(actions, i, "/dev/null", i == STDIN_FILENO ? O_RDONLY : O_RDWR, 0);
  }
}

/* What this process ignores or blocks is its own affair. */
static void plan_signals(posix_spawnattr_t *attributes)
{
  sigset_t signals;

  posix_spawnattr_init(attributes);
  posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(attributes, &signals);
}

static void plan_carry_out(uv_work_t *work)
{
  struct process_plan *plan = work->data;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  plan_actions(plan, &actions);
  plan_signals(&attributes);
  plan->err = -posix_spawn(&plan->pid, plan->program, &actions, &attributes, plan->args, plan->env);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
}

/* --- On the loop ---------------------------------------------------------------------------------------------------- */

static void process_end(struct process *process, int err, int64_t code, int signal)
{
  process->over = true;
  uv_signal_stop(&process->child);
  process->exited(process, err, code, signal);
}

static void process_look(struct process *process)
{
  int status;

  if (process->pid == 0 || process->over || waitpid(process->pid, &status, WNOHANG) != process->pid)
    return;
  if (WIFSIGNALED(status))
    process_end(process, 0, 0, WTERMSIG(status));
  else
    process_end(process, 0, WEXITSTATUS(status), 0);
}

static void process_on_child(uv_signal_t *child, int number)
{
  (void)number;
  process_look(child->data);
}

static void process_on_started(uv_work_t *work, int status)
{
  struct process_plan *plan = work->data;
  struct process *process = plan->process;
  int err = status != 0 ? status : plan->err;

  process->pid = err == 0 ? plan->pid : 0;
  plan_free(plan);
  if (err != 0) {
    process_end(process, err, 0, 0);
    return;
  }
  if (process->kill_asked)
    kill(process->pid, SIGKILL);
  process_look(process); /* its signal may have come before its number was known */
}

static struct process_plan *plan_new(struct process *process, const char *program, char *const *args, char *const *env)
{
  struct process_plan *plan = xcalloc(1, sizeof *plan);

  plan->work.data = plan;
  plan->process = process;
  plan->program = xstrdup(program);
  plan->args = words_copy(args);
  plan->env = words_copy(env);
  return plan;
}

int process_spawn(uv_loop_t *loop, struct process *process, const char *program, char *const *args, char *const *env, const int *fds,
                  size_t n_fds, process_exited *exited)
{
  struct process_plan *plan = plan_new(process, program, args, env);
  int err = plan_take_fds(plan, fds, n_fds);

  *process = (struct process){.data = process->data, .exited = exited};
  if (err == 0)
    err = uv_signal_init(loop, &process->child);
  if (err != 0) {
    plan_free(plan);
    return err;
  }
  process->child.data = process;
  uv_signal_start(&process->child, process_on_child, SIGCHLD); /* there is such a signal: it succeeds */
  uv_unref((uv_handle_t *)&process->child);
  uv_queue_work(loop, &plan->work, plan_carry_out, process_on_started);
  return 0;
}

void process_kill(struct process *process)
{
  process->kill_asked = true;
  if (process->pid != 0 && !process->over)
    kill(process->pid, SIGKILL);
}

void process_ref(struct process *process)
{
  uv_ref((uv_handle_t *)&process->child);
}

static void process_on_closed(uv_handle_t *handle)
{
  struct process *process = handle->data;

  process->closed(process);
}

void process_close(struct process *process, process_closed *closed)
{
  process->closed = closed;
  uv_close((uv_handle_t *)&process->child, process_on_closed);
}
