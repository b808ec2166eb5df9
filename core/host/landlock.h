/* landlock.h - which files this process may still open, by the kernel's Landlock (5.13 and later) through raw system calls.
 * A plugin reads what dlopen, TLS and time zones need and writes nothing; one that starts programs reads what it likes and
 * writes in one folder (before ABI 3 it can still cut files short by name). From ABI 4 no TCP connect or bind, from ABI 6 no
 * signal and no abstract socket to others. Files that are open stay so. Thread: the only one. */
#ifndef CORE_HOST_LANDLOCK_H
#define CORE_HOST_LANDLOCK_H
#include "core/host/sandbox.h"

/* The kernel's; 0: it has none, errno says why (ENOSYS: not built in, EOPNOTSUPP: switched off at boot). */
int landlock_abi(void);
/* Puts the rules in force that ABI `abi` has (the kernel's, or less). The ABI in force; 0: none, see errno. no_new_privs is set. */
int landlock_enter(const struct sandbox_limits *limits, int abi);
#endif
