/* stream_host.h - a host for tests of plugins that talk over byte streams: loads the .so, offers parley.stream/1 in memory with a
 * peer written in C at the other end, and has a clock that the test moves. Nothing happens within a call of the plugin; all that
 * was asked for happens in stream_host_run(). Asserts the rules: one settle a token, no re-entry, no write to nobody. One thread. */
#ifndef TESTS_SUPPORT_STREAM_HOST_H
#define TESTS_SUPPORT_STREAM_HOST_H
#include <parley/ext/media.h>
#include <parley/ext/stream.h>
#include <stdbool.h>

enum { STREAM_HOST_TOKENS_MAX = 20000, STREAM_HOST_CONNS_MAX = 4096, STREAM_HOST_TIMERS_MAX = 16, STREAM_HOST_TEXT_MAX = 512,
       STREAM_HOST_TOLD_MAX = 64, STREAM_HOST_IDS_MAX = 8 };

struct stream_host;
struct stream_conn { /* one connection that the plugin opened */
  struct stream_host *host;
  uint64_t id;
  const parley_stream_events *events;
  void *arg, *peer; /* peer: the test's own */
  bool opening, open, securing, secured, close_asked, peer_closed, over, writable_due, from_start_tls;
  uint32_t tls_flags, connect_ms;
  char *to_plugin, *to_peer;
  size_t to_plugin_len, to_peer_len;
  char address[STREAM_HOST_TEXT_MAX];
};
struct stream_peer { /* the other end */
  void (*opened)(struct stream_conn *conn, void *arg); /* the plugin has connected; conn->peer may be set */
  void (*got)(struct stream_conn *conn, parley_bytes bytes, void *arg);
  void (*secured)(struct stream_conn *conn, void *arg);
  void (*closed)(struct stream_conn *conn, void *arg); /* whoever closed it; once */
  void *arg;
};
struct stream_told { /* what the plugin gave to inbound() or receipt() */
  bool receipt, media; /* else a message; of text, or of bytes */
  uint32_t kind, outcome, index, total;
  int64_t at_ms;
  char id[STREAM_HOST_TEXT_MAX], text[STREAM_HOST_TEXT_MAX], from[STREAM_HOST_TEXT_MAX], to[64], key[STREAM_HOST_TEXT_MAX], code[64];
  parley_done *done;
  void *arg;
};
struct stream_settled {
  uint32_t result, retry_ms, times, n_ids;
  char ids[STREAM_HOST_IDS_MAX][64]; /* the first ones, cut; id: the first one whole */
  char id[STREAM_HOST_TEXT_MAX], code[64], detail[STREAM_HOST_TEXT_MAX], destination[STREAM_HOST_TEXT_MAX];
};
struct stream_host {
  parley_host host;
  void *so;
  const parley_plugin *plugin;
  parley_channel *channel;
  struct stream_peer peer;
  int64_t now_ms;
  uint32_t piece;      /* bytes a data() call gets at once; 0: all there are */
  bool refuse, no_tls; /* connections are refused; handshakes fail */
  bool stopped;
  int in_plugin;
  struct stream_conn *conns[STREAM_HOST_CONNS_MAX];
  size_t n_conns, n_open_max; /* ever; most at once */
  struct { uint64_t id; int64_t due_ms; uint32_t every_ms; parley_call *due; void *arg; } timers[STREAM_HOST_TIMERS_MAX];
  uint64_t next_id;
  struct stream_settled *settled; /* by token */
  uint32_t n_settled, health, n_health, window;
  char cause[STREAM_HOST_TEXT_MAX], remedy[STREAM_HOST_TEXT_MAX];
  struct { parley_done *done; void *arg; uint64_t offset; } reads[STREAM_HOST_TIMERS_MAX]; /* of media */
  size_t n_reads;
  parley_bytes media; /* what every media id holds; the host's inline_max is the largest piece */
  parley_status media_status;
  struct stream_told told[STREAM_HOST_TOLD_MAX];
  size_t n_told, n_answered;
  bool keep;              /* told is not answered for now */
  parley_status answer;   /* to what is told; PARLEY_OK at first */
  char state_key[64], state_value[64]; /* the one value that state_put() has put */
};

/* plugin: its name; build/<preset>/plugins/NAME.so is loaded. Or the .so's path, from the root on. */
struct stream_host *stream_host_new(const char *plugin, const struct stream_peer *peer);
/* Options by name: texts for TEXT and URL, numbers (ms) for the rest, the choice's word for CHOICE; ends with NULL. A MAP of texts is
 * "key|text", a LIST of groups "text|text|..." in the order of its fields, lines apart. Those not named get their default from the
 * plugin's table. */
parley_status stream_host_create(struct stream_host *host, const char *const *pairs);
parley_status stream_host_start(struct stream_host *host);
parley_status stream_host_submit(struct stream_host *host, uint64_t token, const parley_message *message);
parley_status stream_host_probe(struct stream_host *host, uint64_t token);
/* Carries out whatever is due until nothing is. */
void stream_host_run(struct stream_host *host);
/* Moves the clock, firing timers at their time, and runs. */
void stream_host_step(struct stream_host *host, uint32_t ms);
/* Stops (running until done() has come, with the clock moved if need be), destroys, unloads; asserts that nothing is left. */
void stream_host_free(struct stream_host **host);
void stream_host_stop(struct stream_host *host);
size_t stream_host_open_count(const struct stream_host *host);

/* For the peer. */
void stream_conn_send(struct stream_conn *conn, const char *bytes, size_t len);
void stream_conn_close(struct stream_conn *conn); /* after what was sent has been read */
#endif
