#include "landlock.h"
#include "core/base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's header ends at ABI 2. A kernel takes a longer struct than its own as long as the rest is zero. */
struct landlock_handled {
  uint64_t files, net, scoped;
};
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_DEVICE = 5, ABI_SCOPE = 6 };
#define FILES_TRUNCATE (UINT64_C(1) << 14)
#define FILES_IOCTL_DEVICE (UINT64_C(1) << 15)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

#define FILES_READ ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR))
#define FILES_ABI_1 (((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
/* What a rule about a file, not a folder, may name. */
#define FILES_OF_A_FILE ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE) | FILES_TRUNCATE)

/* dlopen, iconv and time zones; certificates but not /etc/ssl/private; randomness. A name that isn't there needs no rule. */
static const char *const readable[] = {
    "/usr",           "/lib",        "/lib64",    "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
    "/etc/localtime", "/proc/self", "/dev/null", "/dev/urandom",
};
static const char *const readable_by_variable[] = {"SSL_CERT_FILE", "SSL_CERT_DIR"};
static const char *const writable_devices[] = {"/dev/null", "/dev/zero", "/dev/full"}; /* what programs expect to */

int landlock_abi(void)
{
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

  return abi > 0 ? (int)abi : 0;
}

static uint64_t files_known(int abi)
{
  return FILES_ABI_1 | (abi >= ABI_REFER ? (uint64_t)LANDLOCK_ACCESS_FS_REFER : 0) |
         (abi >= ABI_TRUNCATE ? FILES_TRUNCATE : 0) | (abi >= ABI_DEVICE ? FILES_IOCTL_DEVICE : 0);
}

static struct landlock_handled handled_of(const struct sandbox_limits *limits, int abi)
{
  struct landlock_handled handled = {.files = files_known(abi)};

  if (limits->spawns)
    handled.files &= ~(FILES_READ | FILES_IOCTL_DEVICE | LANDLOCK_ACCESS_FS_EXECUTE);
  if (abi >= ABI_NET && !limits->spawns)
    handled.net = NET_BIND_TCP | NET_CONNECT_TCP;
  if (abi >= ABI_SCOPE)
    handled.scoped = SCOPE_SIGNAL | (limits->spawns ? 0 : SCOPE_ABSTRACT_SOCKET);
  return handled;
}

/* A rule that can't be added leaves less allowed, not more. */
static void rule_add(int ruleset, int fd, uint64_t access)
{
  struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
  struct stat st;

  if (fstat(fd, &st) != 0)
    return;
  if (!S_ISDIR(st.st_mode))
    rule.allowed_access &= FILES_OF_A_FILE;
  (void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static void rule_add_path(int ruleset, const char *path, uint64_t access)
{
  int fd = path != NULL ? open(path, O_PATH | O_CLOEXEC) : -1;

  if (fd < 0)
    return;
  rule_add(ruleset, fd, access);
  close(fd);
}

static void rules_for_plugin(int ruleset, const struct sandbox_limits *limits)
{
  struct stat st;

  for (size_t i = 0; i < COUNT_OF(readable); i++)
    rule_add_path(ruleset, readable[i], FILES_READ);
  for (size_t i = 0; i < COUNT_OF(readable_by_variable); i++)
    rule_add_path(ruleset, getenv(readable_by_variable[i]), FILES_READ);
  for (size_t i = 0; i < limits->n_fds; i++)
    if (fstat(limits->fds[i], &st) == 0 && S_ISREG(st.st_mode))
      rule_add(ruleset, limits->fds[i], FILES_READ);
}

static void rules_for_programs(int ruleset, const struct sandbox_limits *limits, uint64_t handled)
{
  for (size_t i = 0; i < COUNT_OF(writable_devices); i++)
    rule_add_path(ruleset, writable_devices[i], handled & FILES_OF_A_FILE);
  rule_add_path(ruleset, limits->write_dir, handled);
}

int landlock_enter(const struct sandbox_limits *limits, int abi)
{
  struct landlock_handled handled = handled_of(limits, abi);
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
  int err;

  if (ruleset < 0)
    return 0;
  if (limits->spawns)
    rules_for_programs(ruleset, limits, handled.files);
  else
    rules_for_plugin(ruleset, limits);
  err = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : errno;
  close(ruleset);
  errno = err;
  return err == 0 ? abi : 0;
}
