/* What a plugin's process can't do: each denied thing is tried inside. Where the kernel or the build leaves a layer out, what that
 * layer denies is not asked for. */
// sources: core/host/sandbox.c core/host/landlock.c core/host/filter.c
// libraries: PkgConfig::SECCOMP
#include "core/host/filter.h"
#include "core/host/landlock.h"
#include "sandbox_case.h"
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { ABI_NET = 4, ABI_SCOPE = 6 }; /* of Landlock: who denies connect() and kill() beside the filter */
#define TCP_UPPER_PROTOCOL 31 /* TCP_ULP */

/* --- Sockets ------------------------------------------------------------------------------------------------------ */
struct sockets {
  int fds[2]; /* one unconnected, one that listens */
  struct sockaddr_in there;
};

static struct sockets sockets_open(void)
{
  struct sockets made = {.there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof made.there;

  for (int i = 0; i < 2; i++) {
    made.fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(made.fds[i], 0);
  }
  ck_assert_int_eq(bind(made.fds[1], (struct sockaddr *)&made.there, len), 0);
  ck_assert_int_eq(listen(made.fds[1], 4), 0);
  ck_assert_int_eq(getsockname(made.fds[1], (struct sockaddr *)&made.there, &len), 0);
  return made;
}

static void sockets_close(struct sockets *made)
{
  close(made->fds[0]);
  close(made->fds[1]);
}

static int no_socket_is_made(void)
{
  int pair[2];

  REFUSED(socket(AF_INET, SOCK_STREAM, 0));
  REFUSED(socket(AF_INET6, SOCK_DGRAM, 0));
  REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
  REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
  REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  return 0;
}

/* The way around: a listener that is shut down is a fresh socket, and a first write with MSG_FASTOPEN connects it. */
static int no_write_connects(const struct sockets *given)
{
  struct sockaddr_in there = given->there;
  struct iovec bytes = {"x", 1};
  struct msghdr message = {.msg_name = &there, .msg_namelen = sizeof there, .msg_iov = &bytes, .msg_iovlen = 1};
  struct mmsghdr messages = {.msg_hdr = message};

  NEED(shutdown(given->fds[1], SHUT_RDWR) == 0);
  REFUSED(sendto(given->fds[1], "x", 1, MSG_FASTOPEN, (struct sockaddr *)&there, sizeof there));
  REFUSED(sendto(given->fds[1], "x", 1, 0, (struct sockaddr *)&there, sizeof there));
  REFUSED(sendto(given->fds[1], "x", 1, MSG_FASTOPEN, NULL, 0));
  REFUSED(sendmsg(given->fds[1], &message, MSG_FASTOPEN));
  REFUSED(sendmmsg(given->fds[1], &messages, 1, MSG_FASTOPEN));
  REFUSED(syscall(SYS_sendmsg, given->fds[1], &message, (1L << 32) | MSG_FASTOPEN)); /* the kernel looks at 32 bits */
  return 0;
}

static int no_odd_option_is_set(int fd)
{
  struct sock_filter one = {.code = BPF_RET | BPF_K, .k = 1};
  struct sock_fprog program = {1, &one};
  int on = 1;

  REFUSED(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
  REFUSED(setsockopt(fd, IPPROTO_TCP, TCP_UPPER_PROTOCOL, "tls", 3));
  REFUSED(syscall(SYS_setsockopt, fd, IPPROTO_TCP, (1L << 32) | TCP_UPPER_PROTOCOL, "tls", 3));
  NEED(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
  return 0;
}

static int no_connections(const struct sandbox_report *report, void *arg)
{
  const struct sockets *given = arg;
  struct sockaddr_in any = {.sin_family = AF_INET};

  if (report->filter != SANDBOX_FILTER_NONE || report->landlock_abi >= ABI_NET) {
    REFUSED(connect(given->fds[0], (const struct sockaddr *)&given->there, sizeof given->there));
    REFUSED(bind(given->fds[0], (struct sockaddr *)&any, sizeof any));
  }
  if (report->filter != SANDBOX_FILTER_NONE)
    NEED(no_socket_is_made() == 0);
  if (report->filter == SANDBOX_FILTER_FULL)
    NEED(no_odd_option_is_set(given->fds[0]) == 0 && no_write_connects(given) == 0);
  return 0;
}

START_TEST(no_connection_is_made)
{
  struct sockets made = sockets_open();
  struct sandbox_limits limits = sandbox_case_limits(made.fds, 2);

  sandbox_case(&limits, _i, no_connections, &made);
  sockets_close(&made);
}
END_TEST

/* --- Programs and others ------------------------------------------------------------------------------------------ */
extern char **environ;

static int no_program(const struct sandbox_report *report, void *arg)
{
  char *const argv[] = {"true", NULL};
  pid_t child = 0;

  (void)arg;
  if (report->filter == SANDBOX_FILTER_NONE && report->landlock_abi == 0)
    return 0;
  REFUSED(execve("/bin/true", argv, environ));
  if (report->filter == SANDBOX_FILTER_NONE)
    return 0;
  REFUSED(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, environ, 0));
  child = fork();
  if (child == 0)
    _exit(0);
  NEED(child == -1);
  child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0)
    _exit(0);
  NEED(child == -1);
  NEED(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
  NEED(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) != 0);
  return 0;
}

START_TEST(no_program_is_started)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, no_program, NULL);
}
END_TEST

static int no_signal(const struct sandbox_report *report, void *arg)
{
  pid_t parent = getppid();

  (void)arg;
  NEED(kill(getpid(), 0) == 0);
  NEED(syscall(SYS_tgkill, getpid(), getpid(), 0) == 0);
  if (report->filter == SANDBOX_FILTER_NONE && report->landlock_abi < ABI_SCOPE)
    return 0;
  REFUSED(kill(parent, 0));
  REFUSED(syscall(SYS_tgkill, parent, parent, 0));
  if (report->filter != SANDBOX_FILTER_NONE) {
    REFUSED(kill(0, 0));
    REFUSED(kill(-1, 0));
  }
  return 0;
}

START_TEST(nobody_else_is_signalled)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, no_signal, NULL);
}
END_TEST

static int no_memory_of_others(const struct sandbox_report *report, void *arg)
{
  char here = 0;
  struct iovec local = {&here, 1}, remote = {arg, 1};

  if (report->filter == SANDBOX_FILTER_NONE && report->landlock_abi == 0)
    return 0;
  REFUSED(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
  REFUSED(process_vm_readv(getppid(), &local, 1, &remote, 1, 0));
  return 0;
}

START_TEST(nobody_elses_memory_is_read)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);
  char secret = 42;

  sandbox_case(&limits, _i, no_memory_of_others, &secret);
}
END_TEST

/* Refused by number, before the kernel looks at an argument. */
static const struct { const char *name; long call; } doors[] = {
    {"mount", SYS_mount},         {"umount2", SYS_umount2},         {"bpf", SYS_bpf},
    {"keyctl", SYS_keyctl},       {"add_key", SYS_add_key},         {"perf_event_open", SYS_perf_event_open},
    {"unshare", SYS_unshare},     {"userfaultfd", SYS_userfaultfd}, {"io_uring_setup", SYS_io_uring_setup},
    {"setns", SYS_setns},         {"personality", SYS_personality}, {"io_uring_enter", SYS_io_uring_enter},
    {"setuid", SYS_setuid},       {"setresuid", SYS_setresuid},     {"setgroups", SYS_setgroups},
    {"chroot", SYS_chroot},       {"memfd_create", SYS_memfd_create}, {"pidfd_open", SYS_pidfd_open},
    {"ptrace", SYS_ptrace},       {"pidfd_getfd", SYS_pidfd_getfd}, {"process_vm_writev", SYS_process_vm_writev},
    {"tkill", SYS_tkill},         {"kcmp", SYS_kcmp},               {"rt_sigqueueinfo", SYS_rt_sigqueueinfo},
    {"prctl(PDEATHSIG)", SYS_prctl},
};
/* Those that only the full list refuses. */
static const struct { const char *name; long call; } more_doors[] = {
    {"init_module", SYS_init_module}, {"reboot", SYS_reboot},   {"swapon", SYS_swapon},     {"setrlimit", SYS_setrlimit},
    {"sched_setaffinity", SYS_sched_setaffinity},               {"shmget", SYS_shmget},     {"mq_open", SYS_mq_open},
    {"inotify_init1", SYS_inotify_init1}, {"fanotify_init", SYS_fanotify_init}, {"seccomp", SYS_seccomp},
    {"quotactl", SYS_quotactl},       {"acct", SYS_acct},       {"sethostname", SYS_sethostname}, {"mlock", SYS_mlock},
    {"setpriority", SYS_setpriority}, {"setsid", SYS_setsid},   {"splice", SYS_splice},     {"ftruncate", SYS_ftruncate},
};

static int doors_are_shut(void)
{
  for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
    errno = 0;
    if (syscall(doors[i].call, doors[i].call == SYS_prctl ? PR_SET_PDEATHSIG : 0, 0, 0, 0, 0, 0) == -1 && errno == EPERM)
      continue;
    fprintf(stderr, "%s is not refused: %s\n", doors[i].name, strerror(errno));
    return 1;
  }
  return 0;
}

static int doors_by_filter(const struct sandbox_report *report, void *arg)
{
  (void)arg;
  if (report->filter == SANDBOX_FILTER_NONE)
    return 0;
  for (size_t i = 0; i < sizeof more_doors / sizeof *more_doors; i++) {
    errno = 0;
    if (syscall(more_doors[i].call, 0, 0, 0, 0, 0, 0) == -1 && errno == EPERM)
      continue;
    fprintf(stderr, "%s is not refused: %s\n", more_doors[i].name, strerror(errno));
    return 1;
  }
  return doors_are_shut();
}

START_TEST(the_kernels_other_doors_are_shut)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, doors_by_filter, NULL);
}
END_TEST

/* --- Files -------------------------------------------------------------------------------------------------------- */
static int no_reading(const struct sandbox_case_files *made)
{
  REFUSED(open("/etc/shadow", O_RDONLY));
  REFUSED(open("/etc/passwd", O_RDONLY));
  REFUSED(open(made->secret, O_RDONLY));
  REFUSED(open(made->folder, O_RDONLY | O_DIRECTORY));
  REFUSED(open("/proc/meminfo", O_RDONLY));
  REFUSED(open("/proc/1/cmdline", O_RDONLY));
  REFUSED(open("/dev/zero", O_RDONLY));
  if (access("/etc/ssl/private", F_OK) == 0)
    REFUSED(open("/etc/ssl/private", O_RDONLY | O_DIRECTORY));
  return 0;
}

static int no_writing(const struct sandbox_case_files *made)
{
  REFUSED(open(made->secret, O_WRONLY));
  REFUSED(open(made->secret, O_RDWR));
  REFUSED(open(made->fresh, O_RDWR | O_CREAT, 0600));
  REFUSED(open(made->fresh, O_RDONLY | O_CREAT, 0600));
  REFUSED(open(made->folder, O_TMPFILE | O_RDWR, 0600));
  REFUSED(mkdir(made->fresh, 0700));
  REFUSED(symlink("/etc", made->fresh));
  REFUSED(rename(made->secret, made->fresh));
  REFUSED(link(made->secret, made->fresh));
  REFUSED(unlink(made->secret));
  REFUSED(rmdir(made->folder));
  REFUSED(open("/dev/null", O_WRONLY));
  return 0;
}

static int only_the_filter_forbids(const struct sandbox_case_files *made)
{
  REFUSED(truncate(made->secret, 0));
  REFUSED(chmod(made->secret, 0666));
  REFUSED(utimensat(AT_FDCWD, made->secret, NULL, 0));
  REFUSED(syscall(SYS_open, made->secret, (1L << 32) | O_RDWR));
  NEED(syscall(SYS_openat2, AT_FDCWD, "/usr", NULL, 0) == -1 && errno == ENOSYS);
  return 0;
}

static int no_files(const struct sandbox_report *report, void *arg)
{
  if (report->landlock_abi > 0)
    NEED(no_reading(arg) == 0);
  if (report->landlock_abi > 0 || report->filter == SANDBOX_FILTER_FULL)
    NEED(no_writing(arg) == 0);
  if (report->filter == SANDBOX_FILTER_FULL)
    NEED(only_the_filter_forbids(arg) == 0);
  return 0;
}

START_TEST(no_file_is_read_or_written)
{
  struct sandbox_case_files *made = sandbox_case_files_make();
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, no_files, made);
  sandbox_case_files_remove(made);
}
END_TEST

/* What older kernels' rules hold, one ABI after the other, without the filter. */
static int rules_of_an_abi(const struct sandbox_limits *limits, int abi, const struct sandbox_case_files *made)
{
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return 1;
  NEED(landlock_enter(limits, abi) == abi);
  NEED(no_reading(made) == 0);
  NEED(no_writing(made) == 0);
  NEED(open("/usr", O_RDONLY | O_DIRECTORY) >= 0);
  NEED(open("/dev/urandom", O_RDONLY) >= 0);
  NEED(open("/proc/self/maps", O_RDONLY) >= 0);
  if (abi >= ABI_SCOPE)
    REFUSED(kill(getppid(), 0));
  return 0;
}

START_TEST(the_rules_of_each_landlock_hold)
{
  struct sandbox_case_files *made = sandbox_case_files_make();
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  for (int abi = 1; abi <= landlock_abi(); abi++) {
    pid_t child = fork();

    if (child == 0)
      _exit(rules_of_an_abi(&limits, abi, made));
    sandbox_case_end(child);
  }
  sandbox_case_files_remove(made);
}
END_TEST

/* --- The short list ----------------------------------------------------------------------------------------------- */
static void *thread_runs(void *arg)
{
  *(int *)arg = 1;
  return NULL;
}

static int short_list_holds(struct sockets *given)
{
  const struct sandbox_report report = {.filter = SANDBOX_FILTER_SHORT};
  pthread_t thread;
  int ran = 0;

  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return 1;
  NEED(filter_enter_short() == 0);
  NEED(no_connections(&report, given) == 0);
  NEED(no_program(&report, NULL) == 0);
  NEED(no_signal(&report, NULL) == 0);
  NEED(no_memory_of_others(&report, given) == 0);
  NEED(doors_are_shut() == 0);
  NEED(pthread_create(&thread, NULL, thread_runs, &ran) == 0 && pthread_join(thread, NULL) == 0 && ran == 1);
  return 0;
}

START_TEST(the_short_list_refuses_the_worst)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return; /* no filter there: their own threads and checks need more */
#endif
  struct sockets made = sockets_open();
  pid_t child = fork();

  if (child == 0)
    _exit(short_list_holds(&made));
  sandbox_case_end(child);
  sockets_close(&made);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sandbox_denied");
  TCase *tcase = tcase_create("denied");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, no_connection_is_made, 0, KERNELS);
  tcase_add_loop_test(tcase, no_program_is_started, 0, KERNELS);
  tcase_add_loop_test(tcase, nobody_else_is_signalled, 0, KERNELS);
  tcase_add_loop_test(tcase, nobody_elses_memory_is_read, 0, KERNELS);
  tcase_add_loop_test(tcase, the_kernels_other_doors_are_shut, 0, KERNELS);
  tcase_add_loop_test(tcase, no_file_is_read_or_written, 0, KERNELS);
  tcase_add_test(tcase, the_rules_of_each_landlock_hold);
  tcase_add_test(tcase, the_short_list_refuses_the_worst);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
