/* remote_in.h - private to remote*.c: what a remote is made of. */
#ifndef CORE_CHANNEL_REMOTE_IN_H
#define CORE_CHANNEL_REMOTE_IN_H
#include "instance.h"
#include "process.h"
#include "remote.h"

enum remote_state {
  REMOTE_CREATING = 1, /* the process runs, CREATED is awaited */
  REMOTE_CREATED,
  REMOTE_STARTING,
  REMOTE_RUNNING,
  REMOTE_STOPPING, /* STOP was said */
  REMOTE_DEAD      /* no process, or one that is on its way out */
};

struct parley_channel { /* as channel.c holds it */
  struct channel *channel; /* NULL after destroy() */
  const parley_host *host;
  enum remote_state state;
  bool begun;              /* start() was asked for: a new process is started all the way */
  bool was_up, drained, stopped; /* drained: it may leave when it has nothing more to do */
  struct process process;
  bool process_open, process_runs; /* its handle is not yet closed; it has not ended */
  uv_timer_t beat, pause;  /* heartbeat; until the next start, or until a leaving process is killed */
  int handles;             /* of the loop, not yet closed */
  struct link *link;
  struct remote_stderr *stderr_of; /* NULL: it has ended */
  uint32_t generation;     /* one more with each process: an answer to an older one is dropped */
  struct map calls;        /* id -> struct remote_call */
  size_t calls_bytes, frame_bytes; /* of their frames; of the one that is carried out */
  struct map uploads;      /* id -> struct remote_upload */
  struct map sockets;      /* id -> struct remote_socket */
  struct map asks;         /* id -> struct remote_ask: ours, of the mailbox */
  uint64_t last_ask;
  struct arena *caps_arena;
  const parley_capabilities *caps; /* NULL: as the plugin declares */
  int64_t since_ms;                /* monotonic: of the state */
  uint32_t state_beats, unanswered; /* heartbeats in this state; since the PING that is out, 0: none is */
  uint32_t pause_ms, deaths;
  struct { uint32_t frames, lines, strikes, healths, windows; } second; /* so many in this one */
  uint32_t late_health, late_window; /* said too often in this second: the last one, for the next heartbeat */
  bool window_is_late;               /* late_health 0: none */
  struct buf late_cause, late_remedy;
  uint64_t dropped_lines, rss_bytes;
  struct buf sandbox, why, last_death; /* why: this process was killed, or has died */
  parley_call *stop_done;
  void *stop_arg;
};

struct remote_call { /* of the plugin's process, waiting for our answer */
  struct parley_channel *remote;
  size_t bytes;
  uint64_t id, handle; /* handle: for cancel; 0: it cannot be cancelled */
  uint32_t generation;
  uint64_t upload;     /* of a MEDIA_FINISH: what ends with it */
};

/* remote_life.c */
int64_t remote_now(const struct parley_channel *remote); /* monotonic */
parley_status remote_create(const parley_host *host, const parley_value *options, parley_channel **ret); /* as in a plugin's table */
void remote_destroy(parley_channel *remote);
void remote_set(struct parley_channel *remote, enum remote_state state);
void remote_start_made(struct parley_channel *remote); /* asks it to start, once it is made and that is wanted */
void remote_kill(struct parley_channel *remote, const char *why); /* what it held is settled at once */
void remote_strike(struct parley_channel *remote, const char *how); /* it said what makes no sense: counted, up to a bound */
void remote_created(struct parley_channel *remote, const struct frame_words *words); /* the answers to CREATE, START and STOP */
void remote_started(struct parley_channel *remote, const struct frame_words *words);
void remote_stopped(struct parley_channel *remote);
/* remote_exec.c: 0, or one of libuv's errors. *ret_fd: our end of the link. */
int remote_exec(struct parley_channel *remote, process_exited *exited, int *ret_fd);
/* remote_beat.c */
void remote_on_beat(uv_timer_t *timer);
void remote_second_begin(struct parley_channel *remote); /* all that is counted by the second is 0 again */
/* remote_stderr.c: the end to give to the new process, and to read from when it runs. */
int remote_stderr_open(struct parley_channel *remote, int *ret_fd); /* 0, or a negative errno */
void remote_stderr_forget(struct parley_channel *remote);
/* remote_calls.c: what the process says. */
void remote_frame(const struct frame *frame, void *arg);
void remote_calls_drop(struct parley_channel *remote);   /* the process has gone: nobody waits any more */
void remote_late(struct parley_channel *remote);         /* the heartbeat: what was said too often counts now */
bool remote_line_allowed(struct parley_channel *remote); /* one more line for the log in this second */
/* remote_socket.c */
void remote_dial(struct parley_channel *remote, uint64_t id, const struct frame_words *words);
void remote_listen(struct parley_channel *remote, uint64_t id, const struct frame_words *words);
bool remote_socket_cancel(struct parley_channel *remote, uint64_t id); /* false: no such socket */
void remote_sockets_drop(struct parley_channel *remote);               /* the process has gone */
/* remote.c: the answer to MAIL_LIST. */
void remote_mail_page(struct parley_channel *remote, uint64_t id, const parley_mail_page *page);
#endif
