/* exec_child.h - one program: started with pipes, limits and a session of its own, watched through a pidfd, ended as a group. Nothing
 * here waits, or looks at another process's children. Thread: any, one at a time. */
#ifndef PLUGINS_EXEC_CHILD_H
#define PLUGINS_EXEC_CHILD_H
#include <parley/plugin.h>
#include <stdbool.h>
#include <sys/types.h>

#define EXEC_FILES_MAX 1024 /* descriptors of the program, its RLIMIT_NOFILE */

struct exec_start {
  const char *path;          /* absolute: there is no search and no shell */
  char *const *argv, *const *envp; /* all of its environment */
  uint64_t memory_bytes;     /* RLIMIT_DATA; 0: none */
};
/* All descriptors are ours, close-on-exec and non-blocking; -1: closed. pid 0: there is none. */
struct exec_child {
  pid_t pid;
  int pidfd; /* readable once it has ended */
  int in, out, err; /* its standard input (we write), output and error (we read) */
  int status;       /* what could not be done before exec, if anything */
};
static const struct exec_child exec_child_none = {0, -1, -1, -1, -1, -1};
/* PARLEY_OK: it was made; whether its program could be run shows at its end. Else errno says why. */
parley_status exec_child_start(const struct exec_start *start, struct exec_child *ret);
/* The whole group gets the signal. Not after exec_child_ended() was true. */
void exec_child_signal(const struct exec_child *child, int number);

struct exec_end {
  int code, signal;   /* exit status, or the signal that ended it (0: none) */
  int failed_errno;   /* not 0: the program could not be run */
  const char *failed; /* and what failed: "execve" */
};
/* true: it has ended, is reaped, and the rest of its group is killed; pid and pidfd are gone, the pipes are still open. */
bool exec_child_ended(struct exec_child *child, struct exec_end *ret);
/* Of what was written to it, the bytes nobody has read nor can any more; 0 as long as somebody could. */
size_t exec_child_unread(const struct exec_child *child);
/* write(2) without SIGPIPE. */
ssize_t exec_child_write(const struct exec_child *child, const void *bytes, size_t len);
void exec_child_close_in(struct exec_child *child);
/* Kills what runs, waits for its end a moment, and closes everything. */
void exec_child_done(struct exec_child *child);

/* The program that `name` means: an absolute path, or a name looked for in path ("/usr/bin:/bin"). false: none that we may run; to
 * may be used in either case. */
bool exec_child_find(const char *name, const char *path, char *to, size_t room);
#endif
