/* process.h - a child process, started in the pool: fork, exec and the wait until the child has got that far take milliseconds
 * each, which a loop has not, and many channels are started in one turn of it. As libuv's uv_process_t, it is embedded in what its
 * callbacks need, and its memory may go when closed() has run. Thread: loop. */
#ifndef CORE_CHANNEL_PROCESS_H
#define CORE_CHANNEL_PROCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define PROCESS_FDS_MAX 8

struct process;
/* Once, never within process_spawn(). err: 0, or the negative errno why it could not be started; then the rest is 0. */
typedef void process_exited(struct process *process, int err, int64_t code, int signal);
typedef void process_closed(struct process *process);

struct process {
  void *data; /* the owner's, who alone may write here */
  int pid;    /* 0: not started yet */
  bool kill_asked, over;
  uv_signal_t child;
  process_exited *exited;
  process_closed *closed;
};

/* args, env: end with NULL, copied. fds[i] becomes its descriptor i, and stays the caller's; -1: /dev/null. 0, or a negative
 * errno: then there is nothing to be closed. Once started it does not keep the loop alive: see process_ref(). */
int process_spawn(uv_loop_t *loop, struct process *process, const char *program, char *const *args, char *const *env, const int *fds,
                  size_t n_fds, process_exited *exited);
void process_kill(struct process *process);  /* SIGKILL; one that is not started yet is killed when it is */
void process_ref(struct process *process);   /* the loop lives until it has ended */
void process_close(struct process *process, process_closed *closed); /* once it has exited */
#endif
