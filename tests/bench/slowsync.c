/* slowsync.so - preloaded, makes every fsync and fdatasync take SLOWSYNC_US longer: a disk with a dear flush, as cloud
 * volumes have it, where the local one is cheap. SYNC_LIE=1 makes them return at once with nothing flushed instead: a
 * disk that lies, which a power-cut test has to notice.
 *
 * usage: LD_PRELOAD=.../slowsync.so SLOWSYNC_US=1000 COMMAND */
#include "bench.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int sync_function(int fd);

static long pause_us(void)
{
  const char *text = getenv("SLOWSYNC_US");

  return text != NULL ? strtol(text, NULL, 10) : 0;
}

static bool is_lying(void)
{
  const char *text = getenv("SYNC_LIE");

  return text != NULL && text[0] == '1';
}

static int sync_slowly(const char *name, int fd)
{
  sync_function *real;
  void *symbol = dlsym(RTLD_NEXT, name);
  long us = pause_us();
  struct timespec pause = {us / US_PER_S, us % US_PER_S * 1000};

  if (is_lying())
    return 0;
  if (us > 0)
    nanosleep(&pause, NULL);
  *(void **)&real = symbol;
  return real(fd);
}

int fsync(int fd)
{
  return sync_slowly("fsync", fd);
}

int fdatasync(int fd)
{
  return sync_slowly("fdatasync", fd);
}
