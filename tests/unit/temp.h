/* temp.h - where a test program keeps files: all below one folder of its own, under TMPDIR or /tmp, that goes when the program
 * ends, however its tests ended. */
#ifndef TESTS_UNIT_TEMP_H
#define TESTS_UNIT_TEMP_H
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMP_ROOT_MAX 36 /* so that what tests build from it fits their buffers, and a socket's name */

static char temp_root[TEMP_ROOT_MAX + 20]; /* with "/parley-unit-XXXXXX" */
static pid_t temp_owner; /* each test is a child, and ends long before */

static inline int temp_remove(const char *path, const struct stat *about, int type, struct FTW *where)
{
  (void)about, (void)type, (void)where;
  return remove(path);
}

static inline void temp_end(void)
{
  if (getpid() == temp_owner)
    nftw(temp_root, temp_remove, 16, FTW_DEPTH | FTW_PHYS);
}

__attribute__((constructor)) static inline void temp_begin(void)
{
  const char *below = getenv("TMPDIR");

  if (below == NULL || below[0] != '/' || strlen(below) > TEMP_ROOT_MAX)
    below = "/tmp";
  snprintf(temp_root, sizeof(temp_root), "%s/parley-unit-XXXXXX", below);
  if (mkdtemp(temp_root) == NULL || setenv("TMPDIR", temp_root, 1) != 0) {
    perror(temp_root);
    exit(EXIT_FAILURE);
  }
  temp_owner = getpid();
  atexit(temp_end);
}

/* A new folder. */
static inline void temp_dir(char *to, size_t room)
{
  snprintf(to, room, "%s/XXXXXX", temp_root);
  ck_assert_ptr_nonnull(mkdtemp(to));
}
#endif
