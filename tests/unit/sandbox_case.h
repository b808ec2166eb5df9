/* sandbox_case.h - runs one job in a child of its own that has entered the sandbox; twice if the test asks for it: on this kernel,
 * and as on one without Landlock. A job answers 0, or says on stderr what is not so. */
#ifndef TESTS_UNIT_SANDBOX_CASE_H
#define TESTS_UNIT_SANDBOX_CASE_H
#include "core/host/sandbox.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KERNEL_AS_IT_IS, KERNEL_WITHOUT_LANDLOCK, KERNELS }; /* for tcase_add_loop_test() */
enum { SANDBOX_CASE_FILES = 128 };
#define SANDBOX_CASE_FILE_BYTES ((uint64_t)1 << 20) /* what a job says may go to a file */
#define SANDBOX_CASE_MEMORY ((uint64_t)256 << 20)

typedef int sandbox_job(const struct sandbox_report *report, void *arg);

#define NEED(what)                                                                                                               \
  do {                                                                                                                           \
    errno = 0;                                                                                                                   \
    if (!(what)) {                                                                                                               \
      fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #what, strerror(errno));                                   \
      return 1;                                                                                                                  \
    }                                                                                                                            \
  } while (0)
#define REFUSED(call) NEED((call) == -1 && (errno == EPERM || errno == EACCES))

static inline struct sandbox_limits sandbox_case_limits(const int *fds, size_t n_fds)
{
  return (struct sandbox_limits){.memory_bytes = SANDBOX_CASE_MEMORY,
                                 .file_bytes = SANDBOX_CASE_FILE_BYTES,
                                 .files = SANDBOX_CASE_FILES,
                                 .parent = getpid(),
                                 .fds = fds,
                                 .n_fds = n_fds};
}

/* As a kernel answers that was built without it. */
static inline void sandbox_case_hide_landlock(void)
{
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

  if (filter == NULL || seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0) != 0 ||
      seccomp_load(filter) != 0)
    _exit(2);
  seccomp_release(filter);
}

static inline pid_t sandbox_case_start(const struct sandbox_limits *limits, int kernel, sandbox_job *job, void *arg)
{
  struct sandbox_report report;
  pid_t child = fork();

  ck_assert_int_ge(child, 0);
  if (child > 0)
    return child;
  if (kernel == KERNEL_WITHOUT_LANDLOCK)
    sandbox_case_hide_landlock();
  sandbox_enter(limits, &report);
  _exit(job(&report, arg));
}

/* The status as waitpid() gives it. */
static inline int sandbox_case_status(pid_t child)
{
  int status = -1;

  ck_assert_int_eq(waitpid(child, &status, 0), child);
  return status;
}

static inline void sandbox_case_end(pid_t child)
{
  int status = sandbox_case_status(child);

  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the job's status is %#x", (unsigned)status);
}

static inline void sandbox_case(const struct sandbox_limits *limits, int kernel, sandbox_job *job, void *arg)
{
  sandbox_case_end(sandbox_case_start(limits, kernel, job, arg));
}

static inline char *sandbox_case_folder(char room[256])
{
  snprintf(room, 256, "%s/parley-sandbox-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(room));
  return room;
}

/* A folder with one file in it, and the name of one that is not. */
struct sandbox_case_files {
  char folder[256], secret[300], fresh[300];
  int secret_fd;
};

static inline struct sandbox_case_files *sandbox_case_files_make(void)
{
  struct sandbox_case_files *made = calloc(1, sizeof *made);

  ck_assert_ptr_nonnull(made);
  sandbox_case_folder(made->folder);
  snprintf(made->secret, sizeof made->secret, "%s/secret", made->folder);
  snprintf(made->fresh, sizeof made->fresh, "%s/fresh", made->folder);
  made->secret_fd = open(made->secret, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ck_assert_int_eq(write(made->secret_fd, "12345678", 8), 8);
  return made;
}

static inline void sandbox_case_files_remove(struct sandbox_case_files *made)
{
  ck_assert_int_eq(access(made->fresh, F_OK), -1);
  ck_assert_int_eq(unlink(made->secret), 0);
  ck_assert_int_eq(rmdir(made->folder), 0);
  close(made->secret_fd);
  free(made);
}
#endif
