/* file.h - reads a small regular file whole. Refuses what is no regular file (a FIFO would hang, a device never ends), what is
 * too large and what has one of the mode bits `refused`. Thread: any. Blocking. */
#ifndef CORE_CONFIG_FILE_H
#define CORE_CONFIG_FILE_H
#include "core/base/buf.h"
#include <sys/types.h>

/* Appends the bytes to `to`, up to bytes_max; PARLEY_INVALID: reterr_why gets one sentence without the path, `to` may hold a part. */
parley_status file_read(const char *path, size_t bytes_max, mode_t refused, struct buf *to, struct buf *reterr_why);
#endif
