/* Once a second: does the process answer, how much memory has it, and what did it say too often in the second before? */
#include "remote_in.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The process's memory, in bytes; 0: not known. procfs answers from memory, at once. */
static uint64_t process_rss(int pid)
{
  char path[64], line[128];
  unsigned long long total, pages;
  FILE *file;
  uint64_t bytes = 0;

  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  file = fopen(path, "re");
  if (file == NULL)
    return 0;
  if (fgets(line, sizeof line, file) != NULL && sscanf(line, "%llu %llu", &total, &pages) == 2)
    bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
  fclose(file);
  return bytes;
}

/* Is a debugger attached? Then it stands still because somebody looks at it. */
static bool process_is_traced(int pid)
{
  char path[64], line[128];
  int tracer = 0;
  FILE *file;

  snprintf(path, sizeof path, "/proc/%d/status", pid);
  file = fopen(path, "re");
  if (file == NULL)
    return false;
  while (fgets(line, sizeof line, file) != NULL && sscanf(line, "TracerPid: %d", &tracer) != 1)
    continue;
  fclose(file);
  return tracer != 0;
}

/* What is counted; of a process before this one, nothing. */
void remote_second_begin(struct parley_channel *remote)
{
  memset(&remote->second, 0, sizeof remote->second);
  remote->late_health = 0;
  remote->window_is_late = false;
}

/* Why it is to be killed; in `why`, or NULL. Waits are counted in beats, not in time: when we stood still ourselves, its answer lies
 * there unread. */
static const char *beat_judge(const struct parley_channel *remote, char *why, size_t room)
{
  const struct channel_apart *apart = &remote->channel->shared.apart;
  bool hangs = remote->unanswered * (uint64_t)BORDER_BEAT_MS >= apart->hang_ms;
  bool starts = remote->state == REMOTE_CREATING || remote->state == REMOTE_STARTING;
  bool is_late = starts && remote->state_beats * (uint64_t)BORDER_BEAT_MS >= BORDER_START_MS;

  if (remote->link == NULL)
    return "its process closed the connection and went on";
  if (remote->rss_bytes > apart->memory_bytes) {
    snprintf(why, room, "its process uses %llu MiB, more than plugins.memory", (unsigned long long)(remote->rss_bytes >> 20));
    return why;
  }
  if ((!hangs && !is_late) || process_is_traced(remote->process.pid))
    return NULL;
  if (hangs) {
    snprintf(why, room, "its process did not answer for %u ms (plugins.hang)", apart->hang_ms);
    return why;
  }
  return remote->state == REMOTE_CREATING ? "create() did not return in time" : "start() did not return in time";
}

void remote_on_beat(uv_timer_t *timer)
{
  struct parley_channel *remote = timer->data;
  char room[120];
  const char *why;

  remote_late(remote);
  remote_second_begin(remote);
  if (remote->state == REMOTE_DEAD)
    return;
  remote->rss_bytes = process_rss(remote->process.pid);
  why = beat_judge(remote, room, sizeof room);
  if (why != NULL) {
    remote_kill(remote, why);
    return;
  }
  remote->state_beats++;
  if (remote->process.pid != 0 && remote->unanswered++ == 0) /* it has been started */
    link_send(remote->link, FRAME_PING, 0, NULL, NULL);
}
