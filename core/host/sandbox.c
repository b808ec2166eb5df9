#include "sandbox.h"
#include "core/base/alloc.h"
#include "core/host/filter.h"
#include "core/host/landlock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FD_FIRST 3u              /* 0, 1 and 2 stay */
#define FD_SWEEP_MAX (1u << 16) /* closed one by one where the kernel has no close_range() */
#define CORE_BYTES_MAX 1 /* less than any core; 0 would still feed a kernel.core_pattern that is a pipe */
#define MIB_SHIFT 20

#ifndef __has_feature
#define __has_feature(name) 0
#endif
/* A sanitizer maps terabytes of shadow and starts helpers of its own. */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZER "AddressSanitizer"
#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define SANITIZER "ThreadSanitizer"
#else
#define SANITIZER NULL
#endif

static _Noreturn void sandbox_fail(const char *what)
{
  fprintf(stderr, "parley-plugin-host: %s: %s; no plugin is loaded without it\n", what, strerror(errno));
  _exit(SANDBOX_EXIT);
}

/* The core may have died before we asked to die with it. */
static void sandbox_die_with(pid_t parent)
{
  pid_t before = parent != 0 ? parent : getppid();

  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    sandbox_fail("PR_SET_PDEATHSIG");
  if (getppid() == before)
    return;
  errno = ESRCH;
  sandbox_fail("the process that started this one");
}

static void sandbox_close_range(unsigned from, unsigned to)
{
  if (close_range(from, to, 0) == 0)
    return;
  for (unsigned fd = from; fd <= to && fd < FD_SWEEP_MAX; fd++)
    close((int)fd);
}

/* The lowest that stays, from `from` on; UINT_MAX: none. */
static unsigned sandbox_next_kept(const struct sandbox_limits *limits, unsigned from)
{
  unsigned next = UINT_MAX;

  for (size_t i = 0; i < limits->n_fds; i++)
    if (limits->fds[i] >= 0 && (unsigned)limits->fds[i] >= from && (unsigned)limits->fds[i] < next)
      next = (unsigned)limits->fds[i];
  return next;
}

static void sandbox_close_others(const struct sandbox_limits *limits)
{
  unsigned from = FD_FIRST, kept = sandbox_next_kept(limits, from);

  for (; kept != UINT_MAX; from = kept + 1, kept = sandbox_next_kept(limits, from))
    if (kept > from)
      sandbox_close_range(from, kept - 1);
  sandbox_close_range(from, UINT_MAX);
  for (size_t i = 0; i < limits->n_fds; i++)
    fcntl(limits->fds[i], F_SETFD, FD_CLOEXEC);
}

/* The core passes little more than this; a loader's switch or a stranger's secret ends here. */
static void sandbox_clean_environment(void)
{
  static const char *const names[] = {"PATH", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"};
  const char *values[COUNT_OF(names)];

  for (size_t i = 0; i < COUNT_OF(names); i++)
    values[i] = getenv(names[i]);
  clearenv();
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (values[i] != NULL && setenv(names[i], values[i], 1) != 0)
      sandbox_fail("the environment");
}

/* The limit in force: `wanted`, or what we were started with when that is less. It can't be raised again. */
static uint64_t sandbox_limit(__rlimit_resource_t resource, uint64_t wanted, const char *name)
{
  struct rlimit limit;

  if (getrlimit(resource, &limit) != 0)
    sandbox_fail(name);
  limit.rlim_max = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(resource, &limit) != 0)
    sandbox_fail(name);
  return limit.rlim_max;
}

static void sandbox_limit_all(const struct sandbox_limits *limits, struct sandbox_report *report)
{
  report->files = (uint32_t)sandbox_limit(RLIMIT_NOFILE, limits->files, "RLIMIT_NOFILE");
  sandbox_limit(RLIMIT_CORE, CORE_BYTES_MAX, "RLIMIT_CORE");
  sandbox_limit(RLIMIT_MEMLOCK, SANDBOX_MLOCK_BYTES_MAX, "RLIMIT_MEMLOCK");
  sandbox_limit(RLIMIT_FSIZE, limits->file_bytes, "RLIMIT_FSIZE");
  signal(SIGXFSZ, SIG_IGN); /* write() says EFBIG */
  report->memory_bytes = UINT64_MAX;
  if (report->sanitizer == NULL && limits->memory_bytes != 0)
    report->memory_bytes = sandbox_limit(RLIMIT_DATA, limits->memory_bytes, "RLIMIT_DATA");
}

/* Root without capabilities can't raise its limits again, nor read what is not root's. Who has none doesn't ask, since a service
 * manager's filter may well kill who calls capset(). */
static void sandbox_drop_capabilities(void)
{
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3] = {{0}};

  if (syscall(SYS_capget, &head, now) != 0)
    sandbox_fail("capget");
  if (memcmp(now, none, sizeof none) != 0 && syscall(SYS_capset, &head, none) != 0)
    sandbox_fail("capset");
}

static void sandbox_drop_privileges(void)
{
  sandbox_drop_capabilities();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    sandbox_fail("PR_SET_NO_NEW_PRIVS");
}

static void sandbox_landlock(const struct sandbox_limits *limits, struct sandbox_report *report)
{
  int abi = landlock_abi();

  report->landlock_abi = abi > 0 ? landlock_enter(limits, abi) : 0;
  report->landlock_errno = report->landlock_abi > 0 ? 0 : errno;
}

static void sandbox_filter(struct sandbox_report *report)
{
  if (report->spawns || report->sanitizer != NULL)
    return;
  report->filter_errno = filter_enter_full();
  if (report->filter_errno == 0)
    report->filter = SANDBOX_FILTER_FULL;
  else if (filter_enter_short() == 0)
    report->filter = SANDBOX_FILTER_SHORT;
}

void sandbox_enter(const struct sandbox_limits *limits, struct sandbox_report *ret)
{
  *ret = (struct sandbox_report){.spawns = limits->spawns, .write_dir = limits->write_dir, .sanitizer = SANITIZER};
  sandbox_die_with(limits->parent);
  sandbox_close_others(limits);
  sandbox_clean_environment();
  umask(S_IRWXG | S_IRWXO);
  sandbox_limit_all(limits, ret);
  sandbox_drop_privileges();
  sandbox_landlock(limits, ret);
  sandbox_filter(ret); /* last: it refuses most of the above */
}

static void format_filter(const struct sandbox_report *report, struct buf *to)
{
  switch (report->filter) {
  case SANDBOX_FILTER_FULL:
    buf_str(to, ", seccomp");
    return;
  case SANDBOX_FILTER_SHORT:
    buf_printf(to, ", seccomp by the short list (libseccomp: %s)", strerror(report->filter_errno));
    return;
  case SANDBOX_FILTER_NONE:
    break;
  }
  if (report->spawns)
    buf_str(to, ", no seccomp (it starts programs)");
  else if (report->sanitizer != NULL)
    buf_printf(to, ", no seccomp (built with %s)", report->sanitizer);
  else
    buf_printf(to, ", no seccomp (%s)", strerror(report->filter_errno));
}

static void format_landlock(const struct sandbox_report *report, struct buf *to)
{
  if (report->landlock_abi == 0)
    buf_printf(to, ", no landlock (%s)",
               report->landlock_errno == ENOSYS       ? "this kernel has none"
               : report->landlock_errno == EOPNOTSUPP ? "switched off at boot, see the kernel's lsm="
                                                      : strerror(report->landlock_errno));
  else if (!report->spawns)
    buf_printf(to, ", landlock %d", report->landlock_abi);
  else
    buf_printf(to, ", landlock %d for writing (%s%s)", report->landlock_abi, report->write_dir ? "only in " : "nowhere",
               report->write_dir ? report->write_dir : "");
}

void sandbox_report_format(const struct sandbox_report *report, struct buf *to)
{
  buf_str(to, "no_new_privs, rlimits (");
  if (report->memory_bytes != UINT64_MAX)
    buf_printf(to, "%llu MiB", (unsigned long long)(report->memory_bytes >> MIB_SHIFT));
  else if (report->sanitizer != NULL)
    buf_printf(to, "no memory limit with %s", report->sanitizer);
  else
    buf_str(to, "no memory limit");
  buf_printf(to, ", %u files, no core)", report->files);
  format_filter(report, to);
  format_landlock(report, to);
}
