/* inside.h - the inside of the kit, private to core/kit: one case in its child process, with the host that it plays.
 * Thread: the case's loop (the child's main thread); what the host offers as [any] takes kit->mutex. A case ends at its first
 * fault: kit_fail() and kit_skip() do not return, and the process goes with all it holds. */
#ifndef CORE_KIT_INSIDE_H
#define CORE_KIT_INSIDE_H
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/env.h"
#include "core/base/list.h"
#include "core/message/content.h"
#include "kit.h"
#include "note.h"
#include "promise.h"
#include <parley/ext/http-in.h>
#include <parley/ext/media.h>
#include <parley/ext/submit.h>
#include <parley/ext/stream.h>
#include <pthread.h>

#define KIT_NOW_MS INT64_C(1700000000000) /* where the kit's clock begins, unless a recorded callback has a Date */
#define KIT_INLINE_MAX ((uint64_t)1 << 20)
#define KIT_SECRETS_MAX 16
#define KIT_SECRET_BYTES_MIN 8 /* shorter values would hit ordinary words */
#define KIT_STOP_MS 5000       /* for done() after stop(), as the host gives */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KIT_SLOWNESS 4
#else
#define KIT_SLOWNESS 1
#endif

struct kit;
struct kit_host;
struct kit_case {
  const char *name, *promise; /* promise: one line for --list */
  void (*run)(struct kit *kit);
};
extern const struct kit_case kit_cases[]; /* ends with name NULL */

/* --- child.c: results --------------------------------------------------------------------------------------------- */
_Noreturn void kit_fail(struct kit *kit, const char *promise, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void kit_skip(struct kit *kit, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void kit_case_run(const struct kit_wish *wish, const struct kit_case *kit_case, uint64_t seed, struct kit_note *note);
void *kit_open(const char *path, const parley_plugin **ret, struct buf *reterr_why); /* the .so's handle and table, or NULL */
void kit_name(const char *path, char name[65]); /* of the plugin by its file: "dir/hello.so" -> "hello" */

/* --- frame.c: memory that ends, and is seen to have ended --------------------------------------------------------- */
struct kit_frame { char *at; size_t bytes, used; struct kit_region *region; /* of one that is sealed */ };
struct kit_frame kit_frame_new(size_t bytes);
void *kit_frame_room(struct kit_frame *frame, size_t bytes); /* zeroed, aligned for any type */
parley_text kit_frame_text(struct kit_frame *frame, parley_text text);
void kit_frame_seal(struct kit *kit, struct kit_frame *frame, const char *what); /* from here on: to be read alone */
/* Filled with 0xDD and closed to all access: a later look is a crash, which the report explains by the label. */
void kit_frame_end(struct kit *kit, struct kit_frame *frame, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- what a provider answers, and what the host says -------------------------------------------------------------- */
struct kit_answer { /* to one HTTP request of the plugin */
  parley_status status;
  uint32_t code, sent, retry_ms;
  bool stall; /* nothing comes: TIMEOUT when the request's time is over */
  parley_bytes body;
  parley_text type;
  const char *reason;
};
enum kit_peer { KIT_PEER_CLOSE = 1, KIT_PEER_REFUSE, KIT_PEER_GARBAGE, KIT_PEER_SILENT, KIT_PEER_SLOW, KIT_PEER_TALK,
                KIT_PEER_CALLER /* to a listener: says all it has to say at once */ };
struct kit_sample { /* a recorded callback or answer */
  parley_text method, target; /* of a callback */
  uint32_t code;              /* of an answer */
  size_t n_headers;
  parley_pair headers[64]; /* names in lower case */
  parley_bytes body;
  int64_t date_ms; /* of its Date; 0: none */
};

struct kit_event { /* something that happens on a later turn of the loop */
  struct list node;
  struct kit_host *host;
  void (*run)(struct kit_event *event); /* frees it */
};
struct kit_timer {
  struct list node;
  struct kit_host *host;
  uint64_t id;
  int64_t due_ms;
  uint32_t every_ms;
  parley_call *due;
  void *arg;
};
struct kit_watch { struct list node; struct kit_host *host; uint64_t id; int fd; uint32_t events; parley_ready *ready; void *arg; };
struct kit_work { struct list node; struct kit_host *host; uint64_t id; parley_call *blocking; parley_done *done; void *arg; };
struct kit_post { struct kit_post *next; struct kit_host *host; parley_call *run; void *arg; };

struct kit_token {
  struct list node;
  struct kit_host *host;
  uint64_t token;
  const char *what; /* submit, query or probe */
  struct kit_frame frame;
  bool taken, settled, carried; /* carried: the message's word was in a request or on a stream */
  uint32_t n_parts, n_carried; /* n_carried: requests that had the word */
  uint32_t result, retry_ms, n_ids;
  char code[64], detail[256];
};
struct kit_http { /* a request of the plugin that is still open */
  struct list node;
  struct kit_host *host;
  uint64_t id, token;
  int64_t due_ms; /* when its time is over */
  bool carried, stalled;
  parley_http_done *done;
  void *arg;
  char url[256];
};
struct kit_stream {
  struct list node;
  struct kit_host *host;
  uint64_t id;
  enum { KIT_STREAM_OPENING = 1, KIT_STREAM_OPEN, KIT_STREAM_OVER } state;
  enum kit_peer peer;
  bool listening, reading, secured, secure_asked, greeted, wrote;
  uint32_t idle_ms, spoken;
  int64_t moved_ms, drip_ms;
  uint64_t read_max;
  size_t offered; /* of `in`, and none of it was used */
  const parley_stream_events *events;
  parley_accepted *accepted;
  void *arg;
  struct buf in, out; /* to the plugin, unread; from it, not yet looked at */
};
struct kit_item { /* inbound, receipt or event */
  struct list node;
  struct kit_host *host;
  char what; /* i r e */
  char key[320]; /* what a repeat is known by */
  parley_done *done;
  void *arg;
};
struct kit_call { /* a callback into the plugin */
  struct list node;
  struct kit_host *host;
  uint64_t id;
  uint32_t code, retry_ms; /* code 0: not answered */
};
struct kit_upload { struct list node; struct kit_host *host; uint64_t id, bytes; };

enum kit_state { KIT_MADE = 1, KIT_STARTED, KIT_DRAINING, KIT_STOPPING, KIT_STOPPED /* done() has come */, KIT_GONE };
struct kit_host { /* one channel, and the host it sees */
  struct list node;
  struct kit *kit;
  struct kit_frame frame, options_frame;
  parley_host *host; /* in the frame */
  parley_channel *channel;
  const parley_value *options;
  const parley_capabilities *caps;
  enum kit_state state;
  uint32_t window, health, n_open;
  char cause[256]; /* the last that health() gave, other than UP */
  bool settling; /* settling: messages end when the call returns */
  struct list tokens, calls;
};

struct kit {
  const struct kit_wish *wish;
  const struct kit_case *running;
  struct kit_note *note;
  void *so;
  const parley_plugin *plugin;
  char name[65];
  struct env_fake env; /* clock and chance */
  pthread_t loop;
  pthread_mutex_t mutex;
  struct arena *arena; /* of the case */

  struct list hosts, events, timers, watches, works, https, streams, items, uploads;
  struct kit_post *posts, **posts_end;
  int wake_fd, schedstat_fd;
  uint64_t last_id, last_token;
  int depth;
  const char *entered;       /* what of the plugin is called now */
  struct kit_pace { const char *what; uint32_t calls, slow; } paces[32];
  int64_t entered_ns, entered_wait_ns, entered_used_ns, patience_ms;
  size_t n_threads; /* of the child itself */
  struct kit_worker *worker;

  struct kit_answer answer; /* to every HTTP request */
  bool answer_held, answer_random;
  bool in_turn;             /* random ones come one after the other instead */
  uint32_t n_turns;
  enum kit_peer peer;       /* of every stream */
  bool peer_random;
  struct kit_status { parley_status status; bool held; } says; /* to inbound, receipt, event */
  parley_status state_says, media_says;
  bool work_busy;
  struct list states;

  const struct kit_sample *inbound_sample, *answer_sample;
  parley_text peer_talk, caller_talk;
  struct buf heard; /* of the newest caller: what the plugin said to it */
  char word[24]; /* stands in every message of ours: what carries it may have told it */
  parley_text secrets[KIT_SECRETS_MAX];
  size_t n_secrets;
  bool planted; /* secrets are ours, not the examples */
  const parley_value *options; /* of every host, unless a case makes its own */
  char refusal[256];           /* why the last create() said no */
  char last_key[320];          /* of the newest thing that came in */
  uint64_t n_settled, n_items, n_requests, n_connects;
};

/* --- loop.c: time, chance, the order of things -------------------------------------------------------------------- */
void kit_loop_init(struct kit *kit);
void kit_enter(struct kit_host *host, const char *what); /* every call of the plugin stands between these two */
void kit_leave(struct kit_host *host);
#define KIT_CALL(host, what, call)        \
  do {                                    \
    struct kit_host *kit_called = (host); \
    kit_enter(kit_called, what);          \
    call;                                 \
    kit_leave(kit_called);                \
  } while (0) /* the call may free what `host` was found by */
uint64_t kit_random(struct kit *kit);
uint32_t kit_below(struct kit *kit, uint32_t n); /* 0 .. n-1 */
uint32_t kit_mood(struct kit *kit, uint32_t n);  /* the same, of a provider: by chance, or in turn */
int64_t kit_mono(const struct kit *kit);
void kit_later(struct kit_host *host, struct kit_event *event, void (*run)(struct kit_event *event));
/* The plugin's done on a later turn; value is copied and ends with the call. */
void kit_done_later(struct kit_host *host, parley_done *done, void *arg, parley_status status, parley_text value, uint32_t count);
void kit_run(struct kit *kit);              /* all that is due now */
void kit_step(struct kit *kit, int64_t ms); /* moves the clock, from one due thing to the next */
bool kit_step_next(struct kit *kit, int64_t until_ms); /* to the next due thing; false: there was none, the clock is at until_ms */
bool kit_foreign(struct kit *kit);          /* has the plugin threads or watches of its own? */
bool kit_real(struct kit *kit, int ms);     /* lets them work for so long, or until something comes; false: nothing came */
/* The same, as long as there is reason to wait for them; *idle_ms begins as 0. Then the kit's own time goes on. */
bool kit_patient(struct kit *kit, int64_t *idle_ms);
/* Until no token is open, or that much of the kit's time has passed. */
void kit_settle_wait(struct kit *kit, int64_t within_ms);
int64_t kit_real_ns(void);            /* monotonic, of the machine */
void kit_work_init(struct kit *kit);  /* work.c */
bool kit_work_step(struct kit *kit);  /* does one piece; false: there is none */
size_t kit_count(const char *folder); /* entries of /proc/self/fd, /proc/self/task */
size_t kit_heap(struct kit *kit);     /* bytes in use */

/* --- scan.c ------------------------------------------------------------------------------------------------------- */
void kit_secret_scan(struct kit *kit, const char *where, parley_text text); /* fails the case when a secret shows */
void kit_words_scan(struct kit *kit, const char *where, parley_text text);  /* that, and when a message's text shows */
bool kit_carries(struct kit *kit, parley_bytes bytes); /* our word, as it is or within base64 */

/* --- host.c and host_*.c: the host that the plugin sees ----------------------------------------------------------- */
/* create(): PARLEY_OK sets *ret, anything else has been checked (nothing made, a reason given). options NULL: those of the kit. */
parley_status kit_create(struct kit *kit, const parley_value *options, struct kit_host **ret);
struct kit_host *kit_up(struct kit *kit);    /* created and started, or the case fails */
void kit_start(struct kit_host *host);
parley_status kit_start_try(struct kit_host *host); /* anything but PARLEY_OK leaves kit_destroy() */
void kit_drain(struct kit_host *host, uint32_t within_ms);
void kit_stop(struct kit_host *host);        /* until done() has come and what was open has ended */
void kit_destroy(struct kit_host **host);    /* destroy(); sets it to NULL */
void kit_down(struct kit_host **host);       /* drain, stop and destroy */
bool kit_on_loop(struct kit_host *host, const char *function); /* fails the case when it is another thread */
/* PARLEY_OK: taken. RETRY: not offered (down, or no window). */
parley_status kit_submit(struct kit_host *host, const parley_message *message, struct kit_token **ret);
parley_status kit_submit_over(struct kit_host *host, const parley_message *message, struct kit_token **ret); /* beyond the window too */
parley_status kit_ask(struct kit_host *host, bool query, const parley_message *message, struct kit_token **ret); /* query or probe */
void kit_messages_end(struct kit_host *host);
void kit_tokens_sweep(struct kit_host *host); /* forgets what has settled */
uint32_t kit_room(const struct kit_host *host); /* tokens that may be offered now */
void kit_settle(const parley_host *host, uint64_t token, const parley_outcome *outcome);
void kit_host_in_init(parley_host *host);  /* inbound, receipt, event, timeline, state */
const void *kit_extension(const parley_host *host, const char *id);
extern const parley_http kit_http_table;
extern const parley_stream kit_stream_table;
extern const parley_media kit_media_table;
extern const parley_submit kit_submit_table;
#define KIT_KEY "prl_test_kit" /* the API key that may hand in */
extern const parley_http_answers kit_answers_table;
enum kit_peer kit_peer_good(const struct kit *kit); /* one that takes messages, as far as anybody has said how */
bool kit_http_step(struct kit *kit);   /* answers what may be answered */
bool kit_stream_step(struct kit *kit);
/* Somebody connects to the n-th listener; false: there is none. */
bool kit_stream_knock(struct kit *kit, size_t n, enum kit_peer peer);
int64_t kit_http_due(const struct kit *kit);   /* when the first of them times out; INT64_MAX: none */
int64_t kit_stream_due(const struct kit *kit);
bool kit_http_cancel(struct kit_host *host, uint64_t id);
bool kit_stream_cancel(struct kit_host *host, uint64_t id);
void kit_http_end(struct kit_host *host);      /* all with CANCELLED */
void kit_stream_end(struct kit_host *host);
void kit_items_end(struct kit_host *host);
void kit_media_end(struct kit_host *host);
bool kit_upload_cancel(struct kit_host *host, uint64_t id);
void kit_items_answer(struct kit *kit, parley_status status); /* those that are held */
void kit_item_answer_first(struct kit *kit, parley_status status); /* of them the oldest */
/* A callback; ends when it is answered or its 30 s are over. Its answer stays in host->calls. */
struct kit_call *kit_callback(struct kit_host *host, const struct kit_sample *sample, bool wait);
void kit_call_wait(struct kit_host *host, struct kit_call *call);
bool kit_takes_calls(const struct kit *kit);
bool kit_uses(const struct kit *kit, const char *extension); /* does the plugin require it? */

/* --- option.c: options out of the plugin's own table -------------------------------------------------------------- */
struct kit_plan {
  bool all;                    /* every example; else only what is required */
  const parley_option *option; /* this one is given as yaml, or left out when that is NULL */
  const char *yaml;
};
parley_status kit_options(struct kit *kit, const struct kit_plan *plan, struct arena *arena, const parley_value **ret,
                          struct buf *reterr_why);
const parley_value *kit_options_copy(struct kit_frame *frame, const parley_value *from);
size_t kit_options_bytes(const parley_value *from);
void kit_options_default(struct kit *kit); /* fills kit->options, or fails the case */
/* Secrets that could not be there by chance; false: the plugin takes none but its example. */
bool kit_secrets_plant(struct kit *kit);
bool kit_option_holds(const parley_option *option, const parley_option *wanted); /* is it, or has it somewhere within */
void kit_each_option(const parley_option *const *table, void (*each)(const parley_option *option, void *arg), void *arg);
/* A bad value for this option as YAML, by chance; NULL: every text is good. */
const char *kit_option_bad(struct kit *kit, const parley_option *option, struct arena *arena);
const char *kit_option_odd(struct kit *kit, const parley_option *option, struct arena *arena); /* good by the table, but odd */

/* --- message.c: what the core would hand over --------------------------------------------------------------------- */
/* NULL: the fit refuses it; *ret_code says why. All in the arena. */
const parley_message *kit_message(struct kit_host *host, const struct content *content, struct arena *arena, const char **ret_code);
const parley_message *kit_message_plain(struct kit_host *host, struct arena *arena); /* a short text with our word */
struct kit_token *kit_send(struct kit_host *host); /* submits one; NULL: not offered, or BUSY */
struct kit_token *kit_send_wait(struct kit_host *host); /* and waits until it has settled */
const char *kit_outcome_name(uint32_t result);
parley_text kit_status_name(parley_status status);

/* --- sample.c, elf.c ---------------------------------------------------------------------------------------------- */
/* NULL and no reason: there is no such file. */
const struct kit_sample *kit_sample_read(const char *path, bool answer, struct arena *arena, struct buf *reterr_why);
char *kit_beside(const char *given, const char *so, const char *ending, struct arena *arena); /* NULL: not given, not there */
struct kit_symbols { struct buf exported, unresolved; }; /* names, parted by spaces */
parley_status kit_symbols_read(const char *path, void *so, struct kit_symbols *ret, struct buf *reterr_why);

/* --- the cases, one file a group ---------------------------------------------------------------------------------- */
/* Features and prices, as declared and as options narrow them. */
void kit_capabilities_check(struct kit *kit, const parley_capabilities *caps);
void kit_load_file(struct kit *kit);
void kit_load_symbols(struct kit *kit);
void kit_load_table(struct kit *kit);
void kit_load_docs(struct kit *kit);
void kit_option_examples(struct kit *kit);
void kit_option_limits(struct kit *kit);
void kit_option_refused(struct kit *kit);
void kit_option_strange(struct kit *kit);
void kit_life_plain(struct kit *kit);
void kit_life_unstarted(struct kit *kit);
void kit_life_refused(struct kit *kit);
void kit_life_leaks(struct kit *kit);
void kit_life_after(struct kit *kit);
void kit_life_traffic(struct kit *kit);
void kit_limit_text(struct kit *kit);
void kit_limit_subject(struct kit *kit);
void kit_limit_html(struct kit *kit);
void kit_limit_media(struct kit *kit);
void kit_limit_buttons(struct kit *kit);
void kit_limit_location(struct kit *kit);
void kit_limit_kinds(struct kit *kit);
void kit_limit_addresses(struct kit *kit);
void kit_limit_flight(struct kit *kit);
void kit_settle_once(struct kit *kit);
void kit_settle_stop(struct kit *kit);
void kit_settle_busy(struct kit *kit);
void kit_settle_cancelled(struct kit *kit);
void kit_settle_after(struct kit *kit);
void kit_settle_probe(struct kit *kit);
void kit_settle_query(struct kit *kit);
void kit_provider_200(struct kit *kit);
void kit_provider_400(struct kit *kit);
void kit_provider_401(struct kit *kit);
void kit_provider_429(struct kit *kit);
void kit_provider_500(struct kit *kit);
void kit_provider_503(struct kit *kit);
void kit_provider_stall(struct kit *kit);
void kit_provider_half(struct kit *kit);
void kit_provider_garbage(struct kit *kit);
void kit_provider_refused(struct kit *kit);
void kit_provider_denied(struct kit *kit);
void kit_peer_talk(struct kit *kit);
void kit_peer_refused(struct kit *kit);
void kit_peer_closes(struct kit *kit);
void kit_peer_garbage(struct kit *kit);
void kit_peer_silent(struct kit *kit);
void kit_peer_slow(struct kit *kit);
void kit_in_garbage(struct kit *kit);
void kit_in_sample(struct kit *kit);
void kit_in_forged(struct kit *kit);
void kit_in_replay(struct kit *kit);
void kit_in_commit(struct kit *kit);
void kit_in_busy(struct kit *kit);
void kit_in_stop(struct kit *kit);
void kit_in_strangers(struct kit *kit);
void kit_in_caller(struct kit *kit);
void kit_reload_drain(struct kit *kit);
void kit_reload_beside(struct kit *kit);
void kit_reload_often(struct kit *kit);
void kit_thread_loop(struct kit *kit);
void kit_thread_waits(struct kit *kit);
void kit_secret_shows(struct kit *kit);
void kit_random_operations(struct kit *kit);
#endif
