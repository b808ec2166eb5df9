/* exec.h - the inside of a channel of the exec plugin, shared by exec.c (the plugin's table, messages out), exec_life.c (the
 * program's starts and ends), exec_flow.c (bytes to and from it) and exec_take.c (what its lines mean). Thread: loop. Times:
 * monotonic ms. */
#ifndef PLUGINS_EXEC_EXEC_H
#define PLUGINS_EXEC_EXEC_H
#include "exec_child.h"
#include "exec_lines.h"
#include "exec_options.h"
#include "exec_wire.h"

#define EXEC_QUEUE_BYTES_MAX ((size_t)4 << 20) /* to the program, beside the one line that crosses it: then BUSY */
#define EXEC_REPORTS_MAX 256        /* reports of the program that wait for their commit: then it is not read */
#define EXEC_READ_BYTES_MAX (32 << 10) /* at one turn of the loop */
#define EXEC_LAST_BYTES_MAX (1 << 20) /* read of what it said before it ended */
#define EXEC_BAD_LINES_MAX 20       /* in a minute: then it is killed */
#define EXEC_BAD_SPAN_MS 60000
#define EXEC_LOG_LINES_MAX 20       /* in a second, of log and stderr together; more are counted */
#define EXEC_CHATTER_MAX 200        /* lines in a second that move no message: then it is not read until the next */
#define EXEC_STDERR_BYTES_MAX ((size_t)1 << 20) /* in a second: likewise */
#define EXEC_STDERR_LINE_MAX 4096   /* of which EXEC_LOG_BYTES_MAX are logged: no secret is cut in two */
#define EXEC_LOG_BYTES_MAX 1000     /* of a line of the program in the log */
#define EXEC_CODE_BYTES_MAX 64      /* of words for a person, after secrets are masked; longer ones are cut */
#define EXEC_DETAIL_BYTES_MAX 500
#define EXEC_SECOND_MS 1000
#define EXEC_PROBE_MS 20000         /* for the answer to a probe; or `timeout`, if that is less */

enum exec_state {
  EXEC_OFF,      /* none runs: the next is due at restart_at_ms */
  EXEC_STARTING, /* until it says ready */
  EXEC_RUNNING,
  EXEC_ENDING,   /* was told, or is made, to end: nothing new goes to it */
  EXEC_GONE      /* stopped for good */
};

/* A token that the program is to settle. */
struct exec_send {
  struct exec_send *next;
  uint64_t token, begins_at; /* at which byte of all that this program was to be written its line begins */
  uint64_t n_lines; /* what it had said by then: no more since is silence */
  int64_t due_ms;
  bool is_probe; /* no message */
};
/* Bytes that wait for room in the pipe. */
struct exec_bytes { struct exec_bytes *next; size_t len, used; char at[]; };
/* A level of health that the program said too soon after another. */
struct exec_health { uint32_t level; char cause[EXEC_WHY_ROOM], remedy[EXEC_WHY_ROOM]; };

struct parley_channel {
  const parley_host *host;
  struct exec_options options;
  struct json_writer writer; /* of one line at a time */
  uint64_t timer;
  int64_t timer_ms; /* what it is set to */
  parley_call *stop_done;
  void *stop_arg;
  bool stopping;
  bool down; /* what health() was told by us */

  /* The program. */
  enum exec_state state;
  struct exec_child child;
  char path[4096];
  uint32_t life; /* the how manyth it is */
  uint64_t watch_end, watch_in, watch_out, watch_err;
  int64_t started_ms, ready_ms, restart_at_ms, force_at_ms;
  int force_signal;  /* comes at force_at_ms; 0: it has had them all */
  uint32_t pause_ms; /* the last one before a start */
  char why[EXEC_WHY_ROOM];   /* what we ended it for; empty: it ended by itself */
  char cause[EXEC_WHY_ROOM]; /* for health and probes */
  char last_words[EXEC_WHY_ROOM]; /* of its standard error */

  /* To it. */
  struct exec_bytes *queue, **queue_end;
  size_t queue_bytes;
  uint64_t said_bytes, written_bytes; /* in this life: handed over to the queue, to the pipe */
  bool full; /* BUSY was said */
  uint32_t window, window_said; /* as the program wants it; as the host was told */

  /* From it. */
  struct exec_lines lines, words; /* of standard output, standard error */
  uint64_t n_lines; /* in this life */
  bool deaf, out_ended, stderr_ended, in_ended;
  uint32_t bad_lines;
  int64_t bad_since_ms, second_ms;
  uint32_t chatter, logged, not_logged; /* in this second */
  size_t stderr_bytes;
  struct exec_health health; /* level 0: none waits */
  uint32_t reports; /* open ones */

  /* In its hands, oldest first. */
  struct exec_send *sends, **sends_end;
  uint32_t n_messages; /* of them, not probes */
  uint32_t n_given_up; /* tokens that it may still settle, too late */
  uint64_t first_token, last_token; /* of this life */
};

/* exec.c */
void exec_look(parley_channel *ch); /* does what is due, and sees that the next is not missed */
void exec_wake(parley_channel *ch, int64_t at_ms); /* looks again then, at the latest */
int64_t exec_now(const parley_channel *ch);
void exec_window_tell(parley_channel *ch);
void exec_settle(parley_channel *ch, struct exec_send *send, const parley_outcome *outcome); /* frees send */
void exec_settle_as(parley_channel *ch, struct exec_send *send, uint32_t result, const char *code, const char *detail);
struct exec_send *exec_send_find(const parley_channel *ch, uint64_t token); /* NULL: not open */
void exec_log(parley_channel *ch, uint32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* exec_life.c */
void exec_life_start(parley_channel *ch);
void exec_life_ready(parley_channel *ch);
void exec_life_end(parley_channel *ch, const char *why); /* SIGTERM now, SIGKILL after kill_after; why is told */
void exec_life_await(parley_channel *ch); /* it cannot be talked to any more: the same, if it does not end by itself first */
void exec_life_stop(parley_channel *ch);
void exec_life_look(parley_channel *ch, int64_t now);
int64_t exec_life_next(const parley_channel *ch); /* when something is due, 0: nothing */

/* exec_flow.c */
void exec_flow_open(parley_channel *ch);  /* of a new program */
void exec_flow_last(parley_channel *ch);  /* reads what it said before it ended */
void exec_flow_close(parley_channel *ch); /* forgets queue and lines; the descriptors are exec_child_done()'s */
/* Takes the line in ch->writer, adds its end, and writes what the pipe takes. false: no memory. */
bool exec_flow_say(parley_channel *ch);
void exec_flow_look(parley_channel *ch, int64_t now); /* a new second begins; reading goes on where there is room again */
int64_t exec_flow_next(const parley_channel *ch);
bool exec_flow_may_log(parley_channel *ch); /* counts a line of the program's that goes to the log */

/* exec_take.c */
void exec_take_line(parley_channel *ch, parley_text line, bool too_long);
void exec_take_words(parley_channel *ch, parley_text line); /* of standard error */
void exec_take_health(parley_channel *ch); /* the one that waits */
#endif
