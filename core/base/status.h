/* status.h - names of parley_status for people and logs. The values are the ABI's: include/parley/plugin.h. */
#ifndef CORE_BASE_STATUS_H
#define CORE_BASE_STATUS_H
#include <parley/plugin.h>

const char *status_name(parley_status status); /* "ok", "busy", ...; static */
#endif
