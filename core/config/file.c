#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 16384 /* at a time */

static const char *file_type_name(mode_t mode)
{
  if (S_ISDIR(mode))
    return "a folder";
  if (S_ISFIFO(mode))
    return "a FIFO";
  if (S_ISSOCK(mode))
    return "a socket";
  return "a device";
}

/* What the mode says in words; mode has at least one of the refused bits. */
static void file_mode_complain(mode_t mode, mode_t refused, struct buf *why)
{
  if ((refused & S_IRWXG) != 0)
    buf_printf(why, "others than its owner have access to it (%04o); run chmod 600 on it", (unsigned)(mode & 07777));
  else
    buf_printf(why, "anybody may write it (%04o); run chmod o-w on it", (unsigned)(mode & 07777));
}

static parley_status file_check(int fd, size_t bytes_max, mode_t refused, struct buf *why)
{
  struct stat info;

  if (fstat(fd, &info) < 0)
    buf_printf(why, "%s", strerror(errno));
  else if (!S_ISREG(info.st_mode))
    buf_printf(why, "this is %s, not a file", file_type_name(info.st_mode));
  else if ((info.st_mode & refused) != 0)
    file_mode_complain(info.st_mode, refused, why);
  else if ((uint64_t)info.st_size > bytes_max)
    buf_printf(why, "the file is too large: %lld bytes, at most %zu are read", (long long)info.st_size, bytes_max);
  else
    return PARLEY_OK;
  return PARLEY_INVALID;
}

static parley_status file_drain(int fd, size_t bytes_max, struct buf *to, struct buf *why)
{
  char bytes[READ_BYTES];
  size_t total = 0;
  ssize_t got;

  while ((got = read(fd, bytes, sizeof(bytes))) != 0) {
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0) {
      buf_printf(why, "%s", strerror(errno));
      break;
    }
    total += (size_t)got;
    if (total > bytes_max) { /* it grew since we looked */
      buf_printf(why, "the file is too large: at most %zu bytes are read", bytes_max);
      break;
    }
    buf_add(to, bytes, (size_t)got);
  }
  explicit_bzero(bytes, sizeof(bytes));
  return got == 0 ? PARLEY_OK : PARLEY_INVALID;
}

parley_status file_read(const char *path, size_t bytes_max, mode_t refused, struct buf *to, struct buf *reterr_why)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* O_NONBLOCK: a FIFO without a writer opens at once */
  parley_status st;

  if (fd < 0) {
    buf_printf(reterr_why, "%s", errno == ENOENT ? "there is no such file" : strerror(errno));
    return PARLEY_INVALID;
  }
  st = file_check(fd, bytes_max, refused, reterr_why);
  if (st == PARLEY_OK)
    st = file_drain(fd, bytes_max, to, reterr_why);
  close(fd);
  return st;
}
