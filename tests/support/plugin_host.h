/* plugin_host.h - a host for tests of channel plugins: loads the real .so, and plays parleyd with a clock that the test moves.
 * What the plugin reports is kept in lists; what it asks for waits until the test answers or runs the loop. Each rule of the ABI
 * that can be watched from here is an assertion: no re-entry, one settle a token, no use of what has ended (freed copies, for
 * ASan). One thread. All captures live until plugin_host_done(). */
#ifndef TESTS_SUPPORT_PLUGIN_HOST_H
#define TESTS_SUPPORT_PLUGIN_HOST_H
#include "core/base/buf.h"
#include "core/base/map.h"
#include "plugins/common/copy.h"
#include <parley/ext/http-in.h>
#include <parley/ext/stream.h>

#define PLUGIN_HOST_LIST_MAX 4096 /* entries of each list of captures: a test that needs more is doing too much */
#define PLUGIN_HOST_NOW_MS INT64_C(1700000000000)

struct plugin_host_settle { uint64_t token; parley_outcome outcome; };
/* An inbound message, a receipt or a touchpoint, and the `done` that waits for it. */
struct plugin_host_item {
  const parley_inbound *inbound; /* one of the three */
  const parley_receipt *receipt;
  parley_text touchpoint;
  parley_done *done;
  void *arg;
  bool open; /* done has not come yet */
};
struct plugin_host_http {
  uint64_t id, token, response_max;
  uint32_t timeout_ms, n_headers, flags;
  parley_text method, url;
  const parley_pair *headers;
  parley_bytes body; /* of pieces too: one after the other */
  parley_http_done *done;
  void *arg;
  bool open, cancelled;
};
struct plugin_host_answer { uint64_t call; uint32_t code, retry_ms, n_headers; const parley_pair *headers; parley_text type, body; };
struct plugin_host_stream {
  uint64_t id;
  parley_text address;
  bool tls, listening, secured, reading, closed;
  const parley_stream_events *events;
  parley_accepted *accepted; /* of a listener, its `bound` and `arg` */
  parley_done *bound;
  void *arg;
  struct buf written, unread; /* from the plugin; what the plugin left of the data it got */
};
struct plugin_host_watch { uint64_t id; int32_t fd; uint32_t events; parley_ready *ready; void *arg; };
struct plugin_host_timer { uint64_t id; int64_t due_ms; uint32_t every_ms; parley_call *due; void *arg; };
struct plugin_host_later { parley_done *done; void *arg; parley_result result; void *memory; };
struct plugin_host_open { uint64_t token; struct copy *message; };

struct plugin_host {
  parley_host host;
  void *so;
  const parley_plugin *plugin;
  parley_channel *channel;
  struct copy *kept; /* what the captures point at */
  struct copy *options_memory;
  parley_value *options;
  int64_t now_ms, mono_ms;
  uint64_t next_id, random_seed;
  int in_plugin;
  bool stop_called_back;

  /* What the host says to inbound, receipt and touchpoint; hold: nothing, until plugin_host_item_done. */
  parley_status says;
  uint32_t says_count, says_retry_ms;
  const char *says_value, *says_reason;
  bool hold;

  struct plugin_host_settle settles[PLUGIN_HOST_LIST_MAX];
  struct plugin_host_item items[PLUGIN_HOST_LIST_MAX];
  struct plugin_host_http https[PLUGIN_HOST_LIST_MAX];
  struct plugin_host_answer answers[PLUGIN_HOST_LIST_MAX];
  struct plugin_host_stream streams[64];
  struct plugin_host_watch watches[64];
  struct plugin_host_timer timers[PLUGIN_HOST_LIST_MAX];
  struct plugin_host_later laters[PLUGIN_HOST_LIST_MAX];
  struct plugin_host_open opens[PLUGIN_HOST_LIST_MAX];
  struct { parley_text key, value; } states[64];
  size_t n_settles, n_items, n_https, n_answers, n_streams, n_watches, n_timers, n_laters, n_opens, n_states, n_logs;
  uint32_t health, window; /* the last of each; health 0, window UINT32_MAX: not said */
  parley_text health_cause, health_remedy;
  struct buf log; /* all lines */
};

/* Loads build/<preset>/plugins/NAME.so (or DIR/NAME.so, for "examples/gateway"; or a path from the root on, as it is) and checks its
 * table as the loader does; aborts the test when that fails. */
struct plugin_host *plugin_host_new(const char *plugin);
/* Stops and destroys what runs, frees all. Every open token must have been ended by then, or is here (as UNKNOWN). */
void plugin_host_done(struct plugin_host **host);

/* Options by name as the operator writes them ("15s", "true", a list with commas; members of a group or map as "fail.share"), then
 * create: defaults are filled in from the plugin's own table, required ones are asserted. Pairs end with NULL. */
parley_status plugin_host_create(struct plugin_host *host, const char *const *names_and_values);
/* create and start, both asserted to succeed. */
void plugin_host_start(struct plugin_host *host, const char *const *names_and_values);
void plugin_host_drain(struct plugin_host *host, uint32_t within_ms);
/* stop, which may take 10 s of watches and timers; both clocks go on meanwhile. Afterwards open tokens are UNKNOWN, timers and
 * watches are gone, streams closed, calls completed with CANCELLED, as the ABI says. */
void plugin_host_stop(struct plugin_host *host);

/* A copy of the message is passed, which ends when the token has settled. */
parley_status plugin_host_submit(struct plugin_host *host, uint64_t token, const parley_message *message);
parley_status plugin_host_probe(struct plugin_host *host, uint64_t token);
/* Carries out what is due now: completions, results. Returns how many. */
size_t plugin_host_run(struct plugin_host *host);
/* Moves both clocks and fires the timers on the way, each at its time. */
void plugin_host_step(struct plugin_host *host, int64_t ms);
/* Waits up to wait_ms for the descriptors that the plugin watches, and tells it what they say, once each. Real time passes, the
 * clocks stay. Returns how many it told. */
size_t plugin_host_poll(struct plugin_host *host, int wait_ms);
/* The outcome's result of this token, 0 when it is still open; asserts that it was settled once. */
uint32_t plugin_host_result(const struct plugin_host *host, uint64_t token);
const parley_outcome *plugin_host_outcome(const struct plugin_host *host, uint64_t token);
void plugin_host_item_done(struct plugin_host *host, size_t item, parley_status status, const char *value);

/* Answers a request that the plugin made (index into https). The response's texts may be on the stack. */
void plugin_host_http_reply(struct plugin_host *host, size_t index, const parley_http_response *response);
void plugin_host_http_code(struct plugin_host *host, size_t index, uint32_t code); /* an answer without body */
/* A provider calls /in/<channel><path>; the answer is in answers[] when it has come. Returns the call's number. */
uint64_t plugin_host_http_call(struct plugin_host *host, const char *method, const char *path, const parley_pair *headers,
                               uint32_t n_headers, parley_bytes body);
const struct plugin_host_answer *plugin_host_answer_of(const struct plugin_host *host, uint64_t call); /* NULL: none yet */

/* Byte streams: what the plugin connected or listens at is in streams[]. */
void plugin_host_stream_opened(struct plugin_host *host, size_t index);
void plugin_host_stream_data(struct plugin_host *host, size_t index, parley_bytes bytes);
void plugin_host_stream_writable(struct plugin_host *host, size_t index);
void plugin_host_stream_closed(struct plugin_host *host, size_t index, parley_status status);
size_t plugin_host_stream_accept(struct plugin_host *host, size_t listener, const char *peer); /* index of the new one */

/* A message of one text part, for tests that need no more; the texts are borrowed. */
struct plugin_host_message {
  parley_message message;
  parley_identity to;
  parley_customer customer;
  parley_part part;
  const parley_part *parts[1];
};
const parley_message *plugin_host_text(struct plugin_host_message *room, const char *id, const char *kind, const char *address,
                                       const char *text);
#endif
