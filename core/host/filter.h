/* filter.h - which system calls this process may still make (seccomp). The full list, by libseccomp, allows what plugins, glibc,
 * libuv and OpenSSL are known to need and answers EPERM to the rest; the short one, our own for where libseccomp
 * refuses, answers EPERM to the worst. No pointer is followed: paths are landlock.h's business. Thread: the only one. */
#ifndef CORE_HOST_FILTER_H
#define CORE_HOST_FILTER_H

/* 0: in force; else an errno, and nothing has changed. no_new_privs is set. */
int filter_enter_full(void);
int filter_enter_short(void);
#endif
