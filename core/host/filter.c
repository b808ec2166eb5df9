#include "filter.h"
#include "core/base/alloc.h"
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- The full list ------------------------------------------------------------------------------------------------ */
/* Allowed whatever the arguments. Numbers that a machine lacks are skipped by libseccomp. */
static const int allowed[] = {
    /* memory (mmap is below) */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(membarrier),
    /* threads and their end (clone is below) */
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_get_priority_max), SCMP_SYS(sched_get_priority_min), SCMP_SYS(getcpu), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* signals of its own */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigsuspend), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(pause),
    /* waiting */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd), SCMP_SYS(eventfd2), SCMP_SYS(signalfd), SCMP_SYS(signalfd4), SCMP_SYS(pipe), SCMP_SYS(pipe2),
    /* time */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime), SCMP_SYS(getitimer), SCMP_SYS(setitimer), SCMP_SYS(alarm),
    /* descriptors that are open */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(sendfile),
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fstat),
    SCMP_SYS(fstatfs), SCMP_SYS(fadvise64), SCMP_SYS(getdents64),
    /* sockets that the core gave: listen() is libuv's before it accepts, and can't make a listener of a connection */
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(listen),
    SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    /* looking at files (open and openat are below) */
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    /* who and where it is */
    SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getpgrp), SCMP_SYS(getpgid),
    SCMP_SYS(getsid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid),
    SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(getpriority), SCMP_SYS(getrlimit), SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo), SCMP_SYS(uname),
};
/* Answered as a kernel without them would: the caller falls back to what is looked into below. */
static const int unknown[] = {SCMP_SYS(clone3), SCMP_SYS(openat2)};

/* Allowed with these arguments. The kernel reads 32 bits of an int, so we look at these alone: MASKED_EQ, never NE. */
struct filter_rule {
  int call;
  unsigned n_args;
  struct scmp_arg_cmp args[2];
};
#define BITS(arg, mask, value) {(arg), SCMP_CMP_MASKED_EQ, (mask), (value)}
#define INT(arg, value) {(arg), SCMP_CMP_MASKED_EQ, UINT32_MAX, (value)}
#define NO_POINTER(arg) {(arg), SCMP_CMP_EQ, 0, 0}
#define CLONE_NEW_ANY                                                                                                            \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define OPEN_CHANGES (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct filter_rule rules[] = {
    {SCMP_SYS(clone), 1, {BITS(0, CLONE_THREAD | CLONE_NEW_ANY, CLONE_THREAD)}},
    /* Shared memory without a file is in no limit of a process. */
    {SCMP_SYS(mmap), 1, {BITS(3, MAP_TYPE, MAP_PRIVATE)}},
    {SCMP_SYS(mmap), 2, {BITS(2, PROT_WRITE, 0), BITS(3, MAP_TYPE | MAP_ANONYMOUS, MAP_SHARED)}},
    {SCMP_SYS(open), 1, {BITS(1, OPEN_CHANGES, O_RDONLY)}},
    {SCMP_SYS(openat), 1, {BITS(2, OPEN_CHANGES, O_RDONLY)}},
    /* MSG_FASTOPEN connects: a listener that was shut down would reach any address with it. */
    {SCMP_SYS(sendto), 2, {BITS(3, MSG_FASTOPEN, 0), NO_POINTER(4)}},
    {SCMP_SYS(sendmsg), 1, {BITS(2, MSG_FASTOPEN, 0)}},
    {SCMP_SYS(sendmmsg), 1, {BITS(3, MSG_FASTOPEN, 0)}},
    {SCMP_SYS(fcntl), 1, {INT(1, F_GETFD)}},
    {SCMP_SYS(fcntl), 1, {INT(1, F_SETFD)}},
    {SCMP_SYS(fcntl), 1, {INT(1, F_GETFL)}},
    {SCMP_SYS(fcntl), 1, {INT(1, F_SETFL)}},
    {SCMP_SYS(fcntl), 1, {INT(1, F_DUPFD)}},
    {SCMP_SYS(fcntl), 1, {INT(1, F_DUPFD_CLOEXEC)}},
    {SCMP_SYS(ioctl), 1, {INT(1, FIONBIO)}},
    {SCMP_SYS(ioctl), 1, {INT(1, FIOCLEX)}},
    {SCMP_SYS(ioctl), 1, {INT(1, FIONCLEX)}},
    {SCMP_SYS(ioctl), 1, {INT(1, FIONREAD)}},
    {SCMP_SYS(ioctl), 1, {INT(1, TCGETS)}},
    {SCMP_SYS(prctl), 1, {INT(0, PR_SET_NAME)}}, /* PR_SET_PDEATHSIG would let it outlive the core */
    {SCMP_SYS(prctl), 1, {INT(0, PR_GET_NAME)}},
    {SCMP_SYS(prlimit64), 2, {INT(0, 0), NO_POINTER(2)}},
};
/* No packet filters, no upper protocols: what a connection needs for its pace and its end. */
static const int socket_options[][2] = {
    {SOL_SOCKET, SO_REUSEADDR},   {SOL_SOCKET, SO_REUSEPORT},   {SOL_SOCKET, SO_KEEPALIVE},    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_SNDBUF},      {SOL_SOCKET, SO_RCVBUF},      {SOL_SOCKET, SO_SNDTIMEO},     {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},    {IPPROTO_TCP, TCP_NODELAY},   {IPPROTO_TCP, TCP_CORK},       {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_KEEPIDLE},  {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
};

static int filter_calls(scmp_filter_ctx filter)
{
  int err = 0;

  for (size_t i = 0; i < COUNT_OF(allowed) && err == 0; i++)
    err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
  for (size_t i = 0; i < COUNT_OF(unknown) && err == 0; i++)
    err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), unknown[i], 0);
  for (size_t i = 0; i < COUNT_OF(rules) && err == 0; i++)
    err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call, rules[i].n_args, rules[i].args);
  return err;
}

static int filter_socket_options(scmp_filter_ctx filter)
{
  int err = 0;

  for (size_t i = 0; i < COUNT_OF(socket_options) && err == 0; i++) {
    const struct scmp_arg_cmp args[] = {INT(1, (scmp_datum_t)socket_options[i][0]),
                                        INT(2, (scmp_datum_t)socket_options[i][1])};

    err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), COUNT_OF(args), args);
  }
  return err;
}

/* abort() and pthread_kill() signal the own process, whose number never changes: there is no fork. */
static int filter_signals(scmp_filter_ctx filter)
{
  const struct scmp_arg_cmp self[] = {INT(0, (scmp_datum_t)getpid())};
  int err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), COUNT_OF(self), self);

  return err != 0 ? err : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), COUNT_OF(self), self);
}

int filter_enter_full(void)
{
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  int err;

  if (filter == NULL)
    return ENOMEM;
  err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree in place of a list: only faster */
  if (err == 0)
    err = filter_calls(filter);
  if (err == 0)
    err = filter_socket_options(filter);
  if (err == 0)
    err = filter_signals(filter);
  if (err == 0)
    err = seccomp_load(filter);
  seccomp_release(filter);
  return -err;
}

/* --- The short list ----------------------------------------------------------------------------------------------- */
static const int refused[] = {
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_execve, SYS_execveat, SYS_ptrace, SYS_kcmp,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_tkill,
    SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_mount, SYS_umount2, SYS_open_tree, SYS_move_mount, SYS_fsopen,
    SYS_chroot, SYS_pivot_root, SYS_unshare, SYS_setns, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_personality, SYS_memfd_create, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid,
    SYS_setresgid, SYS_setgroups, SYS_prctl, SYS_openat2,
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
};
#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCH AUDIT_ARCH_RISCV64
#else
#define FILTER_ARCH 0 /* none: calls of a second kind could not be told apart */
#endif
#define FILTER_X32 0x40000000u /* numbers from here are x86-64's second kind */
#define FILTER_REFUSE (SECCOMP_RET_ERRNO | EPERM)

enum { FILTER_STEPS_MAX = 2 * (int)COUNT_OF(refused) + 32 };
struct filter_program {
  struct sock_filter at[FILTER_STEPS_MAX];
  unsigned short len;
};

static void step(struct filter_program *program, unsigned code, size_t k, unsigned jump_true, unsigned jump_false)
{
  program->at[program->len++] =
      (struct sock_filter){(uint16_t)code, (uint8_t)jump_true, (uint8_t)jump_false, (uint32_t)k};
}

static void step_load(struct filter_program *program, size_t offset)
{
  step(program, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void step_answer(struct filter_program *program, uint32_t answer)
{
  step(program, BPF_RET | BPF_K, answer, 0, 0);
}

/* Of one call: whether its first argument, compared by `compare`, allows it. The low half, where a little-endian machine has it. */
static void steps_first_argument(struct filter_program *program, int call, unsigned compare, size_t k)
{
  step(program, BPF_JMP | BPF_JEQ | BPF_K, (size_t)call, 0, 4);
  step_load(program, offsetof(struct seccomp_data, args));
  step(program, BPF_JMP | compare | BPF_K, k, 1, 0);
  step_answer(program, FILTER_REFUSE);
  step_answer(program, SECCOMP_RET_ALLOW);
}

static void steps_all(struct filter_program *program)
{
  step_load(program, offsetof(struct seccomp_data, arch));
  step(program, BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0);
  step_answer(program, FILTER_REFUSE);
  step_load(program, offsetof(struct seccomp_data, nr));
  step(program, BPF_JMP | BPF_JGE | BPF_K, FILTER_X32, 0, 1);
  step_answer(program, FILTER_REFUSE);
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    step(program, BPF_JMP | BPF_JEQ | BPF_K, (size_t)refused[i], 0, 1);
    step_answer(program, FILTER_REFUSE);
  }
  step(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
  step_answer(program, SECCOMP_RET_ERRNO | ENOSYS);
  steps_first_argument(program, SYS_clone, BPF_JSET, CLONE_THREAD);
  steps_first_argument(program, SYS_kill, BPF_JEQ, (size_t)getpid());
  steps_first_argument(program, SYS_tgkill, BPF_JEQ, (size_t)getpid());
  step_answer(program, SECCOMP_RET_ALLOW);
}

int filter_enter_short(void)
{
  struct filter_program program = {.len = 0};
  struct sock_fprog form = {.filter = program.at};

  if (FILTER_ARCH == 0)
    return ENOTSUP;
  steps_all(&program);
  form.len = program.len;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &form) == 0 ? 0 : errno;
}
