/* target.h - what a message may point at: links. Pure. Thread: any. */
#ifndef CORE_MESSAGE_TARGET_H
#define CORE_MESSAGE_TARGET_H
#include <parley/plugin.h>
#include <stdbool.h>

#define LINK_BYTES_MAX 2048
/* An absolute link, http or https (https_only: the latter alone), without user name, spaces and control bytes. */
bool link_ok(parley_text url, bool https_only);
#endif
