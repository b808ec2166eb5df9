/* What a plugin's process reports of its sandbox, its limits, its end with the core's, and what is left of it all when the plugin
 * starts programs. The first test prints what is in force. */
// sources: core/host/sandbox.c core/host/landlock.c core/host/filter.c
// libraries: PkgConfig::SECCOMP
#include "core/border/border.h"
#include "core/host/landlock.h"
#include "sandbox_case.h"
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { ABI_NO_REFER = 1, ABI_SCOPE = 6 }; /* of Landlock: which refuses links between folders, which denies kill() */
enum { DEADLINE_MS = 30000 };
#define MEMORY_SMALL ((uint64_t)64 << 20)
#define PIECE ((size_t)1 << 20)

/* --- The report --------------------------------------------------------------------------------------------------- */
static int status_has(const char *line)
{
  char text[8192] = "";
  FILE *file = fopen("/proc/self/status", "re");
  size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;

  if (file != NULL)
    fclose(file);
  return len > 0 && strstr(text, line) != NULL;
}

static int report_is_true(const struct sandbox_report *report, void *arg)
{
  struct buf line = BUF_INIT(1024);
  static const char limits[] = "no_new_privs, rlimits (256 MiB, 128 files, no core), ";

  sandbox_report_format(report, &line);
  fprintf(stderr, "# in force: %s\n", line.at);
  if (report->sanitizer == NULL)
    NEED(strncmp(line.at, limits, strlen(limits)) == 0);
  NEED((report->filter == SANDBOX_FILTER_FULL) == (report->sanitizer == NULL));
  NEED(report->landlock_abi == *(int *)arg);
  NEED((strstr(line.at, ", seccomp") != NULL) == (report->filter != SANDBOX_FILTER_NONE));
  NEED((strstr(line.at, ", landlock ") != NULL) == (report->landlock_abi > 0));
  NEED(status_has("NoNewPrivs:\t1\n"));
  NEED(status_has("CapEff:\t0000000000000000\n") && status_has("CapPrm:\t0000000000000000\n"));
  NEED(report->filter == SANDBOX_FILTER_NONE || status_has("Seccomp:\t2\n"));
  buf_done(&line);
  return 0;
}

START_TEST(the_report_tells_what_is_in_force)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);
  int abi = _i == KERNEL_WITHOUT_LANDLOCK ? 0 : landlock_abi();

  sandbox_case(&limits, _i, report_is_true, &abi);
}
END_TEST

START_TEST(the_line_reads_well)
{
  static const struct { struct sandbox_report report; const char *line; } rows[] = {
      {{.memory_bytes = 256 << 20, .files = 1024, .filter = SANDBOX_FILTER_FULL, .landlock_abi = 2},
       "no_new_privs, rlimits (256 MiB, 1024 files, no core), seccomp, landlock 2"},
      {{.memory_bytes = UINT64_MAX, .files = 64, .filter = SANDBOX_FILTER_SHORT, .filter_errno = EACCES, .landlock_errno = ENOSYS},
       "no_new_privs, rlimits (no memory limit, 64 files, no core), seccomp by the short list (libseccomp: Permission denied), "
       "no landlock (this kernel has none)"},
      {{.memory_bytes = UINT64_MAX, .files = 64, .sanitizer = "AddressSanitizer", .landlock_errno = EOPNOTSUPP},
       "no_new_privs, rlimits (no memory limit with AddressSanitizer, 64 files, no core), no seccomp (built with "
       "AddressSanitizer), no landlock (switched off at boot, see the kernel's lsm=)"},
      {{.memory_bytes = 1 << 30, .files = 9, .spawns = true, .write_dir = "/var/x", .landlock_abi = 7},
       "no_new_privs, rlimits (1024 MiB, 9 files, no core), no seccomp (it starts programs), landlock 7 for writing "
       "(only in /var/x)"},
      {{.memory_bytes = 1 << 30, .files = 9, .filter_errno = EINVAL, .landlock_errno = EPERM},
       "no_new_privs, rlimits (1024 MiB, 9 files, no core), no seccomp (Invalid argument), no landlock (Operation not permitted)"},
  };
  struct buf line = BUF_INIT(1024);

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    buf_clear(&line);
    sandbox_report_format(&rows[i].report, &line);
    ck_assert_str_eq(line.at, rows[i].line);
  }
  buf_done(&line);
}
END_TEST

/* --- Limits ------------------------------------------------------------------------------------------------------- */
static int an_open_file_does_not_grow(const struct sandbox_report *report, void *arg)
{
  int fd = *(int *)arg;

  (void)report;
  NEED(lseek(fd, 4, SEEK_SET) == 4);
  NEED(write(fd, "abcdefgh", 8) == 6); /* as far as byte 10, no further; and no signal */
  NEED(write(fd, "ijk", 3) == -1 && errno == EFBIG);
  return 0;
}

START_TEST(a_file_that_is_open_does_not_grow)
{
  struct sandbox_case_files *made = sandbox_case_files_make();
  struct sandbox_limits limits = sandbox_case_limits(&made->secret_fd, 1);

  limits.file_bytes = 10;
  sandbox_case(&limits, _i, an_open_file_does_not_grow, &made->secret_fd);
  sandbox_case_files_remove(made);
}
END_TEST

static int memory_ends(const struct sandbox_report *report, void *arg)
{
  static void *pieces[MEMORY_SMALL / PIECE + 1];
  size_t n = 0;

  (void)arg;
  if (report->memory_bytes == UINT64_MAX)
    return 0;
  while (n < MEMORY_SMALL / PIECE + 1 && (pieces[n] = malloc(PIECE)) != NULL)
    memset(pieces[n++], 1, PIECE);
  NEED(n > MEMORY_SMALL / PIECE / 2 && n < MEMORY_SMALL / PIECE);
  while (n > 0)
    free(pieces[--n]);
  free(malloc(PIECE));
  if (report->filter == SANDBOX_FILTER_FULL) /* the way around the limit */
    NEED(mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
  return 0;
}

START_TEST(malloc_ends_at_the_limit_with_null)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  limits.memory_bytes = MEMORY_SMALL;
  sandbox_case(&limits, _i, memory_ends, NULL);
}
END_TEST

static int limits_stay(const struct sandbox_report *report, void *arg)
{
  static const struct { __rlimit_resource_t resource; rlim_t most; } rows[] = {
      {RLIMIT_CORE, 1},
      {RLIMIT_NOFILE, SANDBOX_CASE_FILES},
      {RLIMIT_FSIZE, SANDBOX_CASE_FILE_BYTES},
      {RLIMIT_MEMLOCK, SANDBOX_MLOCK_BYTES_MAX},
      {RLIMIT_DATA, SANDBOX_CASE_MEMORY},
  };
  struct rlimit now, more;
  int fd = 0;

  (void)arg;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].resource == RLIMIT_DATA && report->memory_bytes == UINT64_MAX)
      continue;
    NEED(getrlimit(rows[i].resource, &now) == 0 && now.rlim_cur <= rows[i].most && now.rlim_max <= rows[i].most);
    more = (struct rlimit){now.rlim_cur, now.rlim_max + 1};
    REFUSED(setrlimit(rows[i].resource, &more));
    if (report->filter == SANDBOX_FILTER_FULL)
      REFUSED(setrlimit(rows[i].resource, &now));
  }
  while (fd >= 0 && fd < SANDBOX_CASE_FILES)
    fd = dup(0);
  NEED(dup(0) == -1 && errno == EMFILE);
  return 0;
}

START_TEST(the_limits_hold_and_cannot_be_raised)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, limits_stay, NULL);
}
END_TEST

static int only_given_fds(const struct sandbox_report *report, void *arg)
{
  const int *given = arg;

  (void)report;
  NEED(fcntl(0, F_GETFD) != -1 && fcntl(1, F_GETFD) != -1 && fcntl(2, F_GETFD) != -1);
  for (int fd = 3; fd < 1000; fd++)
    NEED((fcntl(fd, F_GETFD) != -1) == (fd == given[0] || fd == given[1] || fd == given[2]));
  return 0;
}

START_TEST(what_was_not_given_is_closed)
{
  int given[] = {700, 300, 301};
  struct sandbox_limits limits = sandbox_case_limits(given, 3);

  for (size_t i = 0; i < 3; i++)
    ck_assert_int_eq(dup2(2, given[i]), given[i]);
  ck_assert_int_eq(dup2(2, 302), 302);
  ck_assert_int_eq(dup2(2, 701), 701);
  sandbox_case(&limits, _i, only_given_fds, given);
}
END_TEST

extern char **environ;

static int environment_is_clean(const struct sandbox_report *report, void *arg)
{
  size_t n = 0;

  (void)report, (void)arg;
  NEED(getenv("LD_PRELOAD") == NULL && getenv("SHOP_SECRET") == NULL);
  NEED(getenv("TZ") != NULL && strcmp(getenv("TZ"), "Europe/Madrid") == 0);
  while (environ[n] != NULL)
    n++;
  NEED(n <= 6);
  return 0;
}

START_TEST(the_environment_is_clean)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  setenv("LD_PRELOAD", "/nowhere.so", 1);
  setenv("SHOP_SECRET", "hunter2", 1);
  setenv("TZ", "Europe/Madrid", 1);
  sandbox_case(&limits, _i, environment_is_clean, NULL);
}
END_TEST

/* As a service manager has it that leaves no capabilities and kills who calls capset(). */
static int enters_a_service(const struct sandbox_limits *limits)
{
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  struct sandbox_report report;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

  NEED(syscall(SYS_capset, &head, none) == 0);
  NEED(filter != NULL && seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(capset), 0) == 0 && seccomp_load(filter) == 0);
  seccomp_release(filter);
  sandbox_enter(limits, &report);
  return 0;
}

START_TEST(without_capabilities_none_are_dropped)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);
  pid_t child = fork();

  if (child == 0)
    _exit(enters_a_service(&limits));
  sandbox_case_end(child);
}
END_TEST

/* --- The parent --------------------------------------------------------------------------------------------------- */
static int waits_for_ever(const struct sandbox_report *report, void *arg)
{
  (void)report;
  NEED(write(*(int *)arg, "r", 1) == 1);
  for (;;)
    pause();
}

/* The middle one starts a sandbox, then is killed: the pipe ends when the sandbox is gone too. */
START_TEST(it_dies_with_the_core)
{
  int ends[2];
  char ready = 0;
  pid_t middle;

  ck_assert_int_eq(pipe(ends), 0);
  middle = fork();
  if (middle == 0) {
    struct sandbox_limits limits = sandbox_case_limits(&ends[1], 1);

    sandbox_case_start(&limits, KERNEL_AS_IT_IS, waits_for_ever, &ends[1]);
    close(ends[1]);
    for (;;)
      pause();
  }
  close(ends[1]);
  ck_assert_int_eq(read(ends[0], &ready, 1), 1);
  ck_assert_int_eq(kill(middle, SIGKILL), 0);
  sandbox_case_status(middle);
  ck_assert_int_eq(poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, DEADLINE_MS), 1);
  ck_assert_int_eq(read(ends[0], &ready, 1), 0);
  close(ends[0]);
}
END_TEST

static int never(const struct sandbox_report *report, void *arg)
{
  (void)report, (void)arg;
  return 0;
}

START_TEST(it_does_not_start_without_the_core)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);
  char said[256] = "";
  int ends[2], status;

  limits.parent = getpid() + 1; /* as if ours had died and another had taken us */
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert_int_eq(dup2(ends[1], 2), 2);
  status = sandbox_case_status(sandbox_case_start(&limits, KERNEL_AS_IT_IS, never, NULL));
  ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_EXIT);
  ck_assert_int_gt(read(ends[0], said, sizeof said - 1), 0);
  ck_assert_str_eq(said, "parley-plugin-host: the process that started this one: No such process; no plugin is loaded "
                         "without it\n");
}
END_TEST

/* --- The program itself ------------------------------------------------------------------------------------------- */
/* parley-plugin-host is asked about sink.so, by a link with this other end. */
static pid_t program_start(const int pair[2])
{
  pid_t child = fork();

  if (child != 0)
    return child;
  if (dup2(open(PARLEY_BUILD_DIR "/plugins/sink.so", O_RDONLY), BORDER_PLUGIN_FD) == BORDER_PLUGIN_FD &&
      dup2(pair[1], BORDER_FD) == BORDER_FD)
    execl(PARLEY_BUILD_DIR "/bin/parley-plugin-host", "parley-plugin-host", "--describe", "sink", (char *)NULL);
  _exit(127);
}

static int program_status(const int pair[2])
{
  int status = sandbox_case_status(program_start(pair));

  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(the_program_serves_who_made_its_link_and_nobody_else)
{
  int pair[2];
  pid_t other;

  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  ck_assert_int_eq(program_status(pair), EXIT_SUCCESS);
  other = fork(); /* whose child finds a parent that is not the maker, as if the maker had died at once */
  if (other == 0)
    _exit(program_status(pair) == SANDBOX_EXIT ? EXIT_SUCCESS : EXIT_FAILURE);
  sandbox_case_end(other);
  close(pair[0]);
  close(pair[1]);
}
END_TEST

/* --- A plugin that starts programs -------------------------------------------------------------------------------- */
static int shell(const char *script, const char *folder, const char *outside)
{
  int status = -1;
  pid_t child = fork();

  if (child == 0) {
    execl("/bin/sh", "sh", "-c", script, folder, outside, (char *)NULL);
    _exit(127);
  }
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct programs {
  struct sandbox_case_files *inside, *outside;
};

static int programs_run(const struct sandbox_report *report, void *arg)
{
  const struct programs *programs = arg;
  const char *folder = programs->inside->folder;
  char core[32];
  struct rlimit more = {SANDBOX_CASE_FILES, SANDBOX_CASE_FILES + 1};

  NEED(report->filter == SANDBOX_FILTER_NONE);
  NEED(shell("true > /dev/null", folder, "") == 0);
  NEED(shell("grep -q 'NoNewPrivs:.1' /proc/self/status", folder, "") == 0);
  NEED(shell("test \"$(ulimit -n) $(umask)\" = '128 0077'", folder, "") == 0);
  NEED(shell("test ! -e /proc/$$/fd/$1", folder, "300") == 0);
  REFUSED(setrlimit(RLIMIT_NOFILE, &more));
  NEED(shell("mkdir \"$0/in\" && echo hello > \"$0/in/a\" && mv \"$0/in/a\" \"$0/in/b\"", folder, "") == 0);
  if (report->landlock_abi != ABI_NO_REFER)
    NEED(shell("ln \"$0/in/b\" \"$0/fresh\" && rm \"$0/fresh\"", folder, "") == 0);
  NEED(shell("rm -r \"$0/in\"", folder, "") == 0);
  if (report->landlock_abi == 0)
    return 0;
  NEED(shell("(echo hello > \"$1/fresh\") 2>/dev/null", folder, programs->outside->folder) != 0);
  snprintf(core, sizeof core, "%d", (int)getppid());
  if (report->landlock_abi >= ABI_SCOPE)
    NEED(shell("kill -0 $1 2>/dev/null", folder, core) != 0);
  NEED(shell("kill -0 $$ && kill -0 $PPID", folder, "") == 0);
  return 0;
}

START_TEST(programs_run_and_write_in_one_folder)
{
  struct programs programs = {.inside = sandbox_case_files_make(), .outside = sandbox_case_files_make()};
  int given = 300;
  struct sandbox_limits limits = sandbox_case_limits(&given, 1);

  ck_assert_int_eq(dup2(2, given), given);
  limits.spawns = true;
  limits.write_dir = programs.inside->folder;
  sandbox_case(&limits, _i, programs_run, &programs);
  sandbox_case_files_remove(programs.inside);
  sandbox_case_files_remove(programs.outside);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sandbox");
  TCase *tcase = tcase_create("sandbox");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, the_report_tells_what_is_in_force, 0, KERNELS);
  tcase_add_test(tcase, the_line_reads_well);
  tcase_add_loop_test(tcase, a_file_that_is_open_does_not_grow, 0, KERNELS);
  tcase_add_loop_test(tcase, programs_run_and_write_in_one_folder, 0, KERNELS);
  tcase_add_loop_test(tcase, malloc_ends_at_the_limit_with_null, 0, KERNELS);
  tcase_add_loop_test(tcase, the_limits_hold_and_cannot_be_raised, 0, KERNELS);
  tcase_add_loop_test(tcase, what_was_not_given_is_closed, 0, KERNELS);
  tcase_add_loop_test(tcase, the_environment_is_clean, 0, KERNELS);
  tcase_add_test(tcase, without_capabilities_none_are_dropped);
  tcase_add_test(tcase, it_dies_with_the_core);
  tcase_add_test(tcase, it_does_not_start_without_the_core);
  tcase_add_test(tcase, the_program_serves_who_made_its_link_and_nobody_else);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
