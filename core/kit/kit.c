/* Runs each case in a child of its own, and makes a result of whatever becomes of that child. */
#include "kit.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CASE_NS (INT64_C(180000000000) * KIT_SLOWNESS) /* real time that a case may take */
#define HANG_NS (INT64_C(10000000000) * KIT_SLOWNESS) /* real time in one call of the plugin */
#define LOOK_MS 100
#define REPORT_BYTES_MAX 4096

static int64_t real_ns(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* --- One child ---------------------------------------------------------------------------------------------------- */

struct child {
  pid_t pid;
  int report_fd, words_fd; /* words: what it wrote to stdout and stderr */
  int64_t from_ns;
  const char *killed; /* why we ended it; NULL: it ended by itself */
  char said[REPORT_BYTES_MAX + 2];
  size_t said_len;
};

static _Noreturn void child_main(const struct kit_wish *wish, const struct kit_case *kit_case, uint64_t seed, struct kit_note *note,
                                 int report_fd, int words_fd)
{
  setpgid(0, 0);
  if (dup2(report_fd, KIT_REPORT_FD) < 0 || dup2(words_fd, STDOUT_FILENO) < 0 || dup2(words_fd, STDERR_FILENO) < 0)
    _exit(1);
  close(report_fd);
  close(words_fd);
  fcntl(KIT_REPORT_FD, F_SETFD, FD_CLOEXEC);
  kit_case_run(wish, kit_case, seed, note);
}

static bool child_start(const struct kit_wish *wish, const struct kit_case *kit_case, uint64_t seed, struct kit_note *note,
                        struct child *ret)
{
  int ends[2];

  *ret = (struct child){.from_ns = real_ns()};
  if (pipe2(ends, O_CLOEXEC) != 0)
    return false;
  ret->words_fd = memfd_create("words", MFD_CLOEXEC);
  fflush(NULL);
  ret->pid = fork();
  if (ret->pid == 0) {
    close(ends[0]);
    child_main(wish, kit_case, seed, note, ends[1], ret->words_fd);
  }
  close(ends[1]);
  ret->report_fd = ends[0];
  if (ret->pid > 0)
    setpgid(ret->pid, ret->pid); /* whoever of the two is first */
  return ret->pid > 0 && ret->words_fd >= 0;
}

static bool child_hangs(const struct child *child, const struct kit_note *note)
{
  int64_t entered = atomic_load(&note->entered_ns), now = real_ns();

  return (entered != 0 && now - entered > HANG_NS) || now - child->from_ns > CASE_NS;
}

/* Until it has told its result, has ended without one, or hangs. */
static void child_listen(struct child *child, const struct kit_note *note)
{
  struct pollfd end = {.fd = child->report_fd, .events = POLLIN};
  ssize_t got = 1;

  while (got > 0) {
    if (poll(&end, 1, LOOK_MS) > 0) {
      got = read(child->report_fd, child->said + child->said_len, REPORT_BYTES_MAX - child->said_len);
      child->said_len += got > 0 ? (size_t)got : 0;
      if (child->said_len > 0 && child->said[0] != 'A') /* behind an address comes the end itself */
        break;
    } else if (child_hangs(child, note)) {
      child->killed = atomic_load(&note->entered_ns) != 0 ? "hangs" : "takes too long";
      break;
    }
  }
  child->said[child->said_len] = '\0';
}

static void words_read(struct child *child, struct buf *to)
{
  char room[4096];
  ssize_t got = pread(child->words_fd, room, sizeof room, 0);

  if (got > 0)
    buf_add(to, room, (size_t)got);
}

/* --- From its end to a result ------------------------------------------------------------------------------------- */

static const struct kit_region *region_at(const struct kit_note *note, uintptr_t at)
{
  for (size_t i = 0; i < KIT_NOTE_REGIONS; i++)
    if (note->regions[i].at != 0 && at >= note->regions[i].at && at < note->regions[i].at + note->regions[i].bytes)
      return &note->regions[i];
  return NULL;
}

/* A fault's address says whose memory it was. */
static void crash_explain(const struct child *child, const struct kit_note *note, int status, struct kit_result *result)
{
  uintptr_t at = child->said[0] == 'A' ? (uintptr_t)strtoull(child->said + 1, NULL, 16) : 0;
  const struct kit_region *region = at != 0 ? region_at(note, at) : NULL;
  const char *where = note->doing[0] != '\0' ? note->doing : "loading";

  if (region != NULL) {
    buf_printf(&result->seen, "%s: it %s %.63s", where, region->open ? "wrote into" : "looked at", region->label);
    result->promise = region->open                                      ? PROMISE_OWNERSHIP
                      : strncmp(region->label, "the message", 11) == 0 ? PROMISE_MESSAGE
                      : strstr(region->label, "parley_host") != NULL ? PROMISE_HOST
                                                                        : PROMISE_OWNERSHIP;
    return;
  }
  result->promise = PROMISE_ALIVE;
  if (WIFSIGNALED(status))
    buf_printf(&result->seen, "%s: it died by signal %d (%s)", where, WTERMSIG(status), strsignal(WTERMSIG(status)));
  else
    buf_printf(&result->seen, "%s: the process ended with exit code %d", where, WEXITSTATUS(status));
}

static void hang_explain(const struct child *child, const struct kit_note *note, struct kit_result *result)
{
  if (strcmp(child->killed, "hangs") == 0) {
    result->promise = PROMISE_REENTRY;
    buf_printf(&result->seen, "%s had not returned after %lld s", note->doing, (long long)(HANG_NS / 1000000000));
  } else {
    result->promise = PROMISE_ALIVE;
    buf_printf(&result->seen, "the case had not ended after %lld s; last: %s", (long long)(CASE_NS / 1000000000), note->doing);
  }
}

static void result_make(struct child *child, const struct kit_note *note, int status, struct kit_result *result)
{
  const char *words = child->said + 1 + strlen(child->said + (child->said_len > 0)) + 1; /* behind the sentence */

  result->ms = (real_ns() - child->from_ns) / 1000000;
  result->verdict = 'F';
  if (child->killed != NULL) {
    hang_explain(child, note, result);
  } else if (child->said_len > 2 && strchr("PSF", child->said[0]) != NULL) {
    result->verdict = child->said[0];
    buf_str(&result->promise_room, child->said + 1);
    result->promise = result->promise_room.at;
    buf_str(&result->seen, words);
  } else {
    crash_explain(child, note, status, result);
  }
  if (result->verdict == 'F' && note->step[0] != '\0')
    buf_printf(&result->seen, " (%s)", note->step);
  if (result->verdict == 'F')
    words_read(child, &result->words);
}

static void case_run(const struct kit_wish *wish, const struct kit_case *kit_case, uint64_t seed, struct kit_result *result)
{
  struct kit_note *note = mmap(NULL, sizeof *note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct child child;
  int status = 0;

  *result = (struct kit_result){.name = kit_case->name, .verdict = 'F', .promise = PROMISE_ALIVE, .promise_room = BUF_INIT(0),
                                .seen = BUF_INIT(8192), .words = BUF_INIT(8192)};
  if (note == MAP_FAILED || !child_start(wish, kit_case, seed, note, &child)) {
    buf_printf(&result->seen, "the kit itself has no process for it: %s", strerror(errno));
    return;
  }
  child_listen(&child, note);
  kill(-child.pid, SIGKILL); /* and whatever the plugin has started */
  if (child.killed == NULL) {
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
      continue;
  } else {
    waitpid(child.pid, &status, 0);
  }
  result_make(&child, note, status, result);
  close(child.report_fd);
  close(child.words_fd);
  munmap(note, sizeof *note);
}

/* --- All of them -------------------------------------------------------------------------------------------------- */

static bool wanted(const struct kit_wish *wish, const struct kit_case *kit_case)
{
  return wish->only == NULL || fnmatch(wish->only, kit_case->name, 0) == 0;
}

static bool sample_good(const char *given, const struct kit_wish *wish, const char *ending, bool answer)
{
  struct arena *arena = arena_new();
  struct buf why = BUF_INIT(1024);
  const char *path = kit_beside(given, wish->path, ending, arena);
  bool good = path == NULL || kit_sample_read(path, answer, arena, &why) != NULL;

  if (!good)
    fprintf(stderr, "parley: %s: %s\n", path, why.len > 0 ? why.at : "cannot be read");
  buf_done(&why);
  arena_free(&arena);
  return good;
}

static bool wish_good(const struct kit_wish *wish)
{
  const char *const files[] = {wish->options, wish->peer, wish->caller};

  if (access(wish->path, R_OK) != 0) {
    fprintf(stderr, "parley: %s: %s\n", wish->path, strerror(errno));
    return false;
  }
  for (size_t i = 0; i < COUNT_OF(files); i++)
    if (files[i] != NULL && access(files[i], R_OK) != 0) {
      fprintf(stderr, "parley: %s: %s\n", files[i], strerror(errno));
      return false;
    }
  for (const struct kit_case *kit_case = kit_cases; kit_case->name != NULL; kit_case++)
    if (wanted(wish, kit_case))
      return sample_good(wish->inbound, wish, ".inbound.http", false) && sample_good(wish->answer, wish, ".answer.http", true);
  fprintf(stderr, "parley: no case is called '%s'; --list shows them\n", wish->only);
  return false;
}

static uint64_t seed_draw(void)
{
  uint32_t seed = 0;

  env_system.random(&env_system, &seed, sizeof seed);
  return seed % 1000000 + 1; /* short enough to be typed */
}

int kit_test(const struct kit_wish *wish)
{
  struct report report;

  if (!wish_good(wish))
    return KIT_UNUSABLE;
  report_begin(&report, wish, wish->seed != 0 ? wish->seed : seed_draw());
  for (const struct kit_case *kit_case = kit_cases; kit_case->name != NULL; kit_case++) {
    struct kit_result result;

    if (!wanted(wish, kit_case))
      continue;
    case_run(wish, kit_case, report.seed, &result);
    report_add(&report, &result);
    kit_result_done(&result);
  }
  return report_end(&report);
}

int kit_list(const struct kit_wish *wish)
{
  for (const struct kit_case *kit_case = kit_cases; kit_case->name != NULL; kit_case++)
    if (wanted(wish, kit_case))
      printf("%-20s %s\n", kit_case->name, kit_case->promise);
  return KIT_PASSED;
}
