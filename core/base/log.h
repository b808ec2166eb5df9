/* log.h - one event, one line: `event=deferred msg=msg_... channel=sms why=throttled pause_ms=4000`, or the same as a JSON
 * object. Ids yes; bodies, addresses and tokens never. Thread: any (one write(2) a line). */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H
#include <parley/plugin.h>
#include <stdbool.h>

struct env;
struct log {
  int fd;
  uint32_t level; /* PARLEY_DEBUG .. PARLEY_ERROR: what is below is dropped */
  bool json;
  const struct env *env;
  void (*say)(uint32_t level, parley_text line, void *arg); /* not NULL: takes the lines instead of fd, bare; any thread */
  void *arg;
};
/* line: "event=... key=value key=\"two words\"", made by printf rules. Values from outside go through %s only after
 * log_safe(). CR, LF and control bytes are escaped in any case. log may be NULL: nothing is written. */
void log_line(const struct log *log, uint32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* One line handed in by a plugin, under its channel's name; at most LOG_PLUGIN_LINE_MAX bytes of it. */
#define LOG_PLUGIN_LINE_MAX 1024
void log_plugin(const struct log *log, uint32_t level, const char *channel, parley_text line);
/* A value from outside made fit for a line: control bytes escaped, quoted when it holds spaces, '=' or quotes or is empty, cut
 * to room bytes (with the NUL; room >= 8). Returns to. */
const char *log_safe(char *to, size_t room, parley_text value);
bool log_level_parse(parley_text word, uint32_t *ret); /* debug info warn error */
#endif
