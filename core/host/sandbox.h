/* sandbox.h - what parley-plugin-host gives up for good before it opens a plugin, so that even the plugin's constructors run
 * without it: new privileges, capabilities, the core's descriptors and environment, memory without end; then files (landlock.h)
 * and system calls (filter.h), where the kernel has these. Sockets come from the core, so that its egress guard stands.
 *
 * Owns      nothing. Thread: the only one; threads that start later inherit all of it.
 * Fails     only without no_new_privs or limits, or when the parent is gone: one line on stderr, _exit(SANDBOX_EXIT).
 * Not held  the number of threads (RLIMIT_NPROC would count the whole user); what a program reads once it may start programs. */
#ifndef CORE_HOST_SANDBOX_H
#define CORE_HOST_SANDBOX_H
#include "core/base/buf.h"
#include <sys/types.h>

enum {
  SANDBOX_EXIT = 71,                  /* sysexits: EX_OSERR */
  SANDBOX_MLOCK_BYTES_MAX = 64 << 10, /* RLIMIT_MEMLOCK */
};

/* Borrowed for the call; write_dir as long as the report. */
struct sandbox_limits {
  uint64_t memory_bytes; /* heap, private data and stacks of threads (8 MiB each by default); beyond: malloc() gives NULL. 0: no end */
  uint64_t file_bytes;   /* how far a file may be written, an open one too: stderr is a pipe, or what it logs to counts */
  uint32_t files;        /* descriptors open at once */
  pid_t parent;          /* the core: we die with the thread of it that started us. 0: whoever it is now */
  bool spawns;           /* the plugin starts programs, which keep their reads, sockets and signals among themselves */
  const char *write_dir; /* spawns: the one folder that may be written; NULL: none */
  const int *fds;        /* stay open beside 0, 1 and 2, but in no program that is started; of these, files can be opened again by
                          * /proc/<pid>/fd/N */
  size_t n_fds;
};

enum sandbox_filter {
  SANDBOX_FILTER_NONE = 0,
  SANDBOX_FILTER_SHORT, /* the worst is refused */
  SANDBOX_FILTER_FULL,  /* all is refused but a list */
};

/* What is in force. */
struct sandbox_report {
  uint64_t memory_bytes; /* UINT64_MAX: no end */
  uint32_t files;
  bool spawns;
  const char *write_dir;
  const char *sanitizer; /* of this build, which a filter would break; NULL: none */
  enum sandbox_filter filter;
  int filter_errno; /* why not FULL; 0: not asked for */
  int landlock_abi; /* 0: not in force */
  int landlock_errno;
};

void sandbox_enter(const struct sandbox_limits *limits, struct sandbox_report *ret);
/* One line for a person: "no_new_privs, rlimits (256 MiB, 1024 files, no core), seccomp, landlock 2". */
void sandbox_report_format(const struct sandbox_report *report, struct buf *to);
#endif
