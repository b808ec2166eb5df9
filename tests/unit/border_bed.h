/* border_bed.h - the two sides of the process border for tests: a channel in parleyd's place whose plugin runs apart (near), and the
 * process's end of their connection (far), which a test plays frame by frame, or gives to a struct hosted with a plugin of its own.
 *
 * The process is this very program, started again: it hands the connection back to the test, and lives until it is killed or told to
 * end. So everything of a process is real, but for who speaks. Clock of near: bed.fake. */
#ifndef TESTS_UNIT_BORDER_BED_H
#define TESTS_UNIT_BORDER_BED_H
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/plugin_in.h"
#include "core/channel/remote_in.h"
#include "net_peer.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>

enum { HEARD_MAX = 1024, ASKED_MAX = 600, SETTLED_MAX = 64 };
enum asked_what {
  ASKED_INBOUND = 1, ASKED_RECEIPT, ASKED_EVENT, ASKED_TIMELINE, ASKED_STATE_GET, ASKED_STATE_PUT, ASKED_HTTP, ASKED_MEDIA_READ,
  ASKED_MEDIA_APPEND, ASKED_MEDIA_FINISH
};

/* Something that near was asked for on behalf of the process, and has not answered. */
struct asked {
  enum asked_what what;
  struct buf said; /* the struct, or key and value, as it came */
  uint64_t number; /* of media: offset, upload */
  parley_done *done;
  parley_page_done *page;
  parley_http_done *http;
  void *arg;
  bool cancelled, answered;
  struct handle handle; /* of HTTP */
};
struct heard { uint16_t type; uint64_t id; char *body; size_t len; bool seen; };
struct settled { uint64_t token; uint32_t result; char code[64]; };

static struct {
  uv_loop_t loop, far_loop;
  uv_async_t alive; /* parleyd's loop never runs dry either */
  bool far_has_loop;
  struct env_fake fake;
  struct dns *dns;
  struct egress *egress;
  struct log log;
  struct plugin_facts facts;
  const parley_extension *offers[4];
  parley_plugin table;
  struct plugin *plugin;
  struct channel_shared shared;
  struct channel *channel;
  struct parley_channel *remote;
  int control, fds_before; /* control: of the process */
  struct link *far;
  struct arena *arena;
  struct heard heard[HEARD_MAX];
  int n_heard, far_broken;
  struct asked asked[ASKED_MAX];
  int n_asked;
  struct settled settled[SETTLED_MAX];
  int n_settled, roomier, well, progress, healths, windows, ends, uploads;
  uint32_t window;
  enum channel_state health;
  char cause[256], log_lines[16384], answers[512];
  bool closed;
} bed;

/* --- The process ------------------------------------------------------------------------------------------------- */

static inline void pass_fd(int over, int fd)
{
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec piece = {"f", 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);

  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  if (sendmsg(over, &message, MSG_NOSIGNAL) != 1)
    _exit(1);
}

/* Ends with exit code 7 for x, by a signal for k, otherwise with the test. */
static inline int stand_in(void)
{
  char word;

  pass_fd(BORDER_PLUGIN_FD, BORDER_FD);
  close(BORDER_FD);
  for (;;) {
    struct pollfd poll_for = {.fd = BORDER_PLUGIN_FD, .events = POLLIN};
    ssize_t n = recv(BORDER_PLUGIN_FD, &word, 1, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
      _exit(0);
    if (n == 1 && word == 'x')
      _exit(7);
    if (n == 1 && word == 'k')
      kill(getpid(), SIGTERM);
    poll(&poll_for, 1, -1);
  }
}

static inline int bed_main(int argc, char **argv, Suite *suite)
{
  return argc > 1 && strcmp(argv[0], "parley-plugin-host") == 0 ? stand_in() : peer_main(suite);
}

/* --- Turning ----------------------------------------------------------------------------------------------------- */

static inline void bed_turn(int ms)
{
  if (bed.far_has_loop) {
    uv_run(&bed.far_loop, UV_RUN_NOWAIT);
    peer_turn(&bed.loop, uv_backend_fd(&bed.far_loop), POLLIN, ms);
    uv_run(&bed.far_loop, UV_RUN_NOWAIT);
  } else {
    peer_turn(&bed.loop, -1, 0, ms);
  }
}

#define BED_UNTIL(condition)                                                                             \
  do {                                                                                                   \
    for (uint64_t bed_deadline = peer_deadline(); !(condition) && !peer_late(bed_deadline);) bed_turn(5); \
    ck_assert_msg(condition, "what was waited for did not come: " #condition);                           \
  } while (0)

static inline void bed_settle(void)
{
  for (int i = 0; i < 6; i++)
    bed_turn(2);
}

static inline int bed_count_fds(void)
{
  DIR *dir = opendir("/proc/self/fd");
  int n = 0;

  while (readdir(dir) != NULL)
    n++;
  closedir(dir);
  return n;
}

/* --- Near: what stands behind its host --------------------------------------------------------------------------- */

static inline struct asked *asked_new(enum asked_what what, const struct abi_struct *shape, const void *said, void *arg)
{
  struct asked *asked = &bed.asked[bed.n_asked++];

  ck_assert_int_lt(bed.n_asked, ASKED_MAX);
  *asked = (struct asked){.what = what, .arg = arg, .said = BUF_INIT(64 << 20)};
  if (shape != NULL)
    wire_put(&asked->said, shape, said);
  return asked;
}
static inline void owner_on_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  struct settled *settled = &bed.settled[bed.n_settled++ % SETTLED_MAX];

  (void)channel, (void)arg;
  settled->token = token;
  settled->result = outcome->result;
  snprintf(settled->code, sizeof settled->code, "%.*s", TEXT_ARG(outcome->code));
}
static inline void owner_on_roomier(struct channel *channel, bool well, void *arg)
{
  (void)channel, (void)arg;
  bed.roomier++;
  bed.well += well;
}
static inline void owner_on_window(struct channel *channel, uint32_t in_flight, void *arg)
{
  (void)channel, (void)arg;
  bed.windows++;
  bed.window = in_flight;
}
static inline void owner_on_inbound(struct channel *channel, const parley_inbound *in, parley_done *done, void *done_arg, void *arg)
{
  (void)channel, (void)arg;
  asked_new(ASKED_INBOUND, &abi_inbound, in, done_arg)->done = done;
}
static inline void owner_on_receipt(struct channel *channel, const parley_receipt *in, parley_done *done, void *done_arg, void *arg)
{
  (void)channel, (void)arg;
  asked_new(ASKED_RECEIPT, &abi_receipt, in, done_arg)->done = done;
}
static inline void owner_on_event(struct channel *channel, const parley_touchpoint *in, parley_done *done, void *done_arg, void *arg)
{
  (void)channel, (void)arg;
  asked_new(ASKED_EVENT, &abi_touchpoint, in, done_arg)->done = done;
}
static inline void owner_on_timeline(struct channel *channel, const parley_query *in, parley_page_done *done, void *done_arg,
                                     void *arg)
{
  (void)channel, (void)arg;
  asked_new(ASKED_TIMELINE, &abi_query, in, done_arg)->page = done;
}
static inline void owner_on_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg)
{
  (void)channel, (void)remedy, (void)arg;
  bed.healths++;
  bed.health = state;
  snprintf(bed.cause, sizeof bed.cause, "%.*s", TEXT_ARG(cause));
}
static inline void owner_on_progress(struct channel *channel, void *arg)
{
  (void)channel, (void)arg;
  bed.progress++;
}

static inline struct asked *asked_words(enum asked_what what, parley_text one, parley_text two, uint64_t number, parley_done *done,
                                        void *arg)
{
  struct asked *asked = asked_new(what, &abi_frame_words, PARLEY_REF(struct frame_words, .one = one, .two = two), arg);

  asked->number = number;
  asked->done = done;
  return asked;
}
static inline void stub_state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  (void)host;
  asked_words(ASKED_STATE_GET, key, TEXT_EMPTY, 0, done, arg);
}
static inline void stub_state_put(const parley_host *host, parley_text key, parley_bytes value, parley_done *done, void *arg)
{
  (void)host;
  asked_words(ASKED_STATE_PUT, key, value, 0, done, arg);
}
static inline void stub_http_cancel(struct handle *handle)
{
  handle_drop(handle);
  container_of(handle, struct asked, handle)->cancelled = true;
}
static inline uint64_t stub_http(const parley_host *host, const parley_http_request *request, parley_http_done *done, void *arg)
{
  struct asked *asked = asked_new(ASKED_HTTP, &abi_http_request, request, arg);

  asked->http = done;
  ck_assert(handle_add(channel_of(host), &asked->handle, HANDLE_HTTP, stub_http_cancel));
  return asked->handle.id;
}
static inline void stub_answer(const parley_host *host, uint64_t call, const parley_http_answer *answer)
{
  size_t len = strlen(bed.answers);

  (void)host;
  snprintf(bed.answers + len, sizeof bed.answers - len, "%llu:%u:%.*s ", (unsigned long long)call, answer->code,
           TEXT_ARG(text_sub(answer->body, 0, 40)));
}
static inline void stub_media_read(const parley_host *host, parley_text media, uint64_t offset, parley_done *done, void *arg)
{
  (void)host;
  asked_words(ASKED_MEDIA_READ, media, TEXT_EMPTY, offset, done, arg);
}
struct stub_upload { struct handle handle; };
static inline void stub_upload_cancel(struct handle *handle)
{
  handle_drop(handle);
  bed.uploads--;
  free(container_of(handle, struct stub_upload, handle));
}
static inline uint64_t stub_media_create(const parley_host *host, parley_text type, parley_text name)
{
  struct stub_upload *upload = xcalloc(1, sizeof *upload);

  (void)type, (void)name;
  bed.uploads++;
  ck_assert(handle_add(channel_of(host), &upload->handle, HANDLE_UPLOAD, stub_upload_cancel));
  return upload->handle.id;
}
static inline void stub_media_append(const parley_host *host, uint64_t upload, parley_bytes piece, parley_done *done, void *arg)
{
  (void)host;
  asked_words(ASKED_MEDIA_APPEND, TEXT_EMPTY, piece, upload, done, arg);
}
static inline void stub_media_finish(const parley_host *host, uint64_t upload, parley_done *done, void *arg)
{
  asked_words(ASKED_MEDIA_FINISH, TEXT_EMPTY, TEXT_EMPTY, upload, done, arg);
  host->cancel(host, upload); /* it is in the store's hands now */
}
static inline void stub_end(struct channel *channel)
{
  (void)channel;
  bed.ends++;
}
static inline void bed_on_line(uint32_t level, parley_text line, void *arg)
{
  size_t len = strlen(bed.log_lines);

  (void)level, (void)arg;
  snprintf(bed.log_lines + len, sizeof bed.log_lines - len, "%.*s\n", TEXT_ARG(line));
}

/* The n-th (from 0) that is asked for and not yet answered, or NULL. */
static inline struct asked *asked_open(int n)
{
  for (int i = 0; i < bed.n_asked; i++)
    if (!bed.asked[i].answered && n-- == 0)
      return &bed.asked[i];
  return NULL;
}
static inline struct asked *asked_await(enum asked_what what)
{
  BED_UNTIL(asked_open(0) != NULL);
  ck_assert_int_eq(asked_open(0)->what, what);
  return asked_open(0);
}
static inline void asked_answer(struct asked *asked, parley_status status, const char *value)
{
  const parley_result *result =
      PARLEY_REF(parley_result, .status = status, .value = parley_text_of(value), .reason = PARLEY_LIT("why"), .retry_ms = 3);

  asked->answered = true;
  asked->done(result, asked->arg);
}
static inline void asked_respond(struct asked *asked, const parley_http_response *response)
{
  asked->answered = true;
  if (!asked->cancelled)
    handle_drop(&asked->handle);
  asked->http(response, asked->arg);
}

/* --- Far, played by the test ------------------------------------------------------------------------------------- */

static inline void far_on_frame(const struct frame *frame, void *arg)
{
  struct heard *heard = &bed.heard[bed.n_heard++];

  (void)arg;
  ck_assert_int_lt(bed.n_heard, HEARD_MAX);
  *heard = (struct heard){frame->type, frame->id, xmemdup(frame->body.at, frame->body.len), frame->body.len, false};
}
static inline void far_on_broken(const char *why, void *arg)
{
  (void)why, (void)arg;
  bed.far_broken++;
}
static const struct link_events far_events = {.frame = far_on_frame, .broken = far_on_broken};

/* The process's end of the connection, once the process is there. */
static inline int far_fd(void)
{
  char control[CMSG_SPACE(sizeof(int))], word;
  struct iovec piece = {&word, 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = -1;
  int fd;

  for (uint64_t deadline = peer_deadline(); n < 0 && !peer_late(deadline);) {
    peer_turn(&bed.loop, bed.control, POLLIN, 20);
    message.msg_controllen = sizeof control;
    n = recvmsg(bed.control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  }
  ck_assert_msg(n == 1 && CMSG_FIRSTHDR(&message) != NULL, "no process came");
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}
static inline void far_forget(void)
{
  for (int i = 0; i < bed.n_heard; i++)
    free(bed.heard[i].body);
  bed.n_heard = 0;
}
/* The test speaks for the process from here on. */
static inline void far_play(void)
{
  link_close(&bed.far);
  far_forget();
  bed.far_broken = 0;
  bed.far = link_new(&bed.loop, far_fd(), FRAME_BYTES_MAX, FRAME_BYTES_MAX, true, &far_events, NULL);
}
static inline void far_say(enum frame_type type, uint64_t id, const struct abi_struct *shape, const void *said)
{
  ck_assert(link_send(bed.far, (uint16_t)type, id, shape, said));
}
#define far_say_words(type, id, ...) far_say(type, id, &abi_frame_words, PARLEY_REF(struct frame_words, __VA_ARGS__))

static inline struct heard *heard_find(enum frame_type type)
{
  for (int i = 0; i < bed.n_heard; i++)
    if (!bed.heard[i].seen && bed.heard[i].type == type)
      return &bed.heard[i];
  return NULL;
}
/* The next frame of this type from near; *ret_id may be NULL. Never NULL when shape is given. */
static inline const void *far_hear(enum frame_type type, uint64_t *ret_id, const struct abi_struct *shape)
{
  struct heard *heard;
  struct wire_in in;
  const void *said;

  BED_UNTIL(heard_find(type) != NULL);
  heard = heard_find(type);
  heard->seen = true;
  if (ret_id != NULL)
    *ret_id = heard->id;
  if (shape == NULL)
    return NULL;
  in = (struct wire_in){.at = heard->body, .left = heard->len, .arena = bed.arena};
  said = wire_get(&in, shape);
  ck_assert(said != NULL && in.left == 0);
  return said;
}

/* --- Making it --------------------------------------------------------------------------------------------------- */

static const parley_feature bed_feature = {.size = sizeof bed_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE};
static const parley_feature *const bed_features[] = {&bed_feature, NULL};
static const parley_capabilities bed_caps = {.size = sizeof bed_caps, .address_kind = "email", .channel_kind = "email",
                                             .in_flight = 10, .features = bed_features};
static const parley_metric bed_counter = {sizeof bed_counter, PARLEY_COUNTER, "things", "Things", "kind"};
static const parley_metric bed_gauge = {sizeof bed_gauge, PARLEY_GAUGE, "level", "Level", NULL};
static const parley_metric *const bed_metrics[] = {&bed_counter, &bed_gauge, NULL};
static const char *const bed_offers[] = {PARLEY_HTTP_IN, PARLEY_MAILBOX, "unknown/1", NULL};

static const parley_http stub_https = {.size = sizeof stub_https, .request = stub_http};
static const parley_http_answers stub_answers = {.size = sizeof stub_answers, .answer = stub_answer};
static const parley_media stub_media = {.size = sizeof stub_media, .read = stub_media_read, .create = stub_media_create,
                                        .append = stub_media_append, .finish = stub_media_finish};
static const struct channel_services bed_services = {.state_get = stub_state_get, .state_put = stub_state_put, .http = &stub_https,
                                                     .http_answers = &stub_answers, .stream = &ext_stream, .media = &stub_media,
                                                     .end = stub_end};
static const struct channel_owner bed_owner = {.settled = owner_on_settled, .roomier = owner_on_roomier, .window = owner_on_window,
                                               .inbound = owner_on_inbound, .receipt = owner_on_receipt,
                                               .touchpoint = owner_on_event, .timeline = owner_on_timeline,
                                               .health = owner_on_health, .progress = owner_on_progress};

/* libuv opens the descriptors that it needs for signals and streams with the first of them: before we count. */
static inline void bed_signals(void)
{
  uv_signal_t signal;
  uv_pipe_t pipe;

  uv_signal_init(&bed.loop, &signal);
  uv_pipe_init(&bed.loop, &pipe, 0);
  uv_close((uv_handle_t *)&signal, NULL);
  uv_close((uv_handle_t *)&pipe, NULL);
  uv_run(&bed.loop, UV_RUN_DEFAULT);
}

static inline void bed_init(void)
{
  static const char *const allow[] = {"127.0.0.0/8", "::1/128"};
  parley_text allowed[] = {parley_text_of(allow[0]), parley_text_of(allow[1])}, bad;
  int control[2];

  memset(&bed, 0, sizeof bed);
  uv_loop_init(&bed.loop);
  bed_signals();
  uv_async_init(&bed.loop, &bed.alive, NULL);
  env_fake_init(&bed.fake, INT64_C(1790000000000));
  ck_assert_int_eq(dns_new(&bed.loop, &bed.fake.env, NULL, &bed.dns), PARLEY_OK);
  ck_assert_int_eq(egress_new(allowed, 2, NULL, 0, &bed.egress, &bad), PARLEY_OK);
  bed.fds_before = bed_count_fds();
  bed.arena = arena_new();
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, control), 0);
  bed.control = control[0];
  bed.log = (struct log){.fd = -1, .level = PARLEY_DEBUG, .env = &bed.fake.env, .say = bed_on_line};
  bed.facts = (struct plugin_facts){.size = sizeof bed.facts, .abi_major = 1, .name = "tested", .version = "1", .summary = "",
                                    .has = PLUGIN_HAS_SUBMIT | PLUGIN_HAS_DRAIN | PLUGIN_HAS_STOP | PLUGIN_HAS_QUERY |
                                           PLUGIN_HAS_PROBE,
                                    .capabilities = &bed_caps, .metrics = bed_metrics, .offers_ids = bed_offers};
  remote_table(&bed.facts, bed.offers, &bed.table);
  bed.plugin = plugin_new("tested", "/nowhere/tested.so");
  bed.plugin->apart = true;
  bed.plugin->fd = control[1];
  bed.plugin->facts = arena_new();
  bed.plugin->table = &bed.table;
  bed.shared = (struct channel_shared){.loop = &bed.loop, .env = &bed.fake.env, .log = &bed.log, .services = &bed_services,
                                       .apart = {.host_program = "/proc/self/exe", .memory_bytes = UINT64_MAX, .hang_ms = 5000},
                                       .dns = bed.dns, .egress = bed.egress,
                                       .public_url = PARLEY_LIT("https://parley.example"), .version = PARLEY_LIT("9.9")};
}

/* A channel is asked for: its process starts, and CREATE is on its way. */
static inline void near_new(const parley_value *options)
{
  ck_assert_int_eq(channel_new_with(&bed.shared, &bed_owner, "chan", 8, options, bed.plugin, &bed.channel), PARLEY_OK);
  ck_assert_int_eq(bed.channel->making, CHANNEL_GOING);
  bed.remote = bed.channel->instance;
  uv_timer_stop(&bed.remote->beat); /* bed_beat() is the heart */
}
static inline void near_start(void)
{
  struct buf why = BUF_INIT(1024);

  ck_assert_int_eq(channel_start(bed.channel, &why), PARLEY_OK);
  buf_done(&why);
}
static inline void far_created(void)
{
  far_hear(FRAME_CREATE, NULL, &abi_frame_words);
  far_say_words(FRAME_CREATED, 0, .amount = 7, .three = PARLEY_LIT("sealed"), .capabilities = &bed_caps);
  BED_UNTIL(bed.remote->state >= REMOTE_CREATED);
}
static inline void far_started(void)
{
  far_hear(FRAME_START, NULL, NULL);
  far_say_words(FRAME_STARTED, 0, .amount = PARLEY_UP);
  BED_UNTIL(bed.remote->state == REMOTE_RUNNING);
}
/* Up and running, the test speaking for the process. */
static inline void bed_run(void)
{
  near_new(NULL);
  far_play();
  far_created();
  near_start();
  far_started();
}
static inline void bed_beat(void) /* what comes once a second */
{
  bed.remote->beat.timer_cb(&bed.remote->beat);
}

static inline void near_stop(uint32_t within_ms)
{
  bed.closed = false;
  channel_stop(&bed.channel, within_ms, peer_flag, &bed.closed);
}
static inline void bed_end_near(void)
{
  if (bed.channel != NULL)
    near_stop(0);
  else if (bed.remote == NULL)
    return;
  for (uint64_t deadline = peer_deadline(); !bed.closed && !peer_late(deadline);) {
    for (struct asked *asked = asked_open(0); asked != NULL; asked = asked_open(0)) { /* as parleyd's own services end */
      asked->answered = true;
      if (asked->http != NULL)
        asked->http(PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED), asked->arg);
      else if (asked->page != NULL)
        asked->page(PARLEY_REF(parley_page, .status = PARLEY_CANCELLED), asked->arg);
      else
        asked->done(PARLEY_REF(parley_result, .status = PARLEY_CANCELLED), asked->arg);
    }
    env_fake_step(&bed.fake, 1000);
    bed_turn(5);
  }
  ck_assert_msg(bed.closed, "the channel did not end");
}
static inline void bed_done(void)
{
  bool gone = false;

  bed_end_near();
  link_close(&bed.far);
  far_forget();
  for (int i = 0; i < bed.n_asked; i++)
    buf_done(&bed.asked[i].said);
  plugin_unref(&bed.plugin);
  close(bed.control);
  arena_free(&bed.arena);
  BED_UNTIL(bed_count_fds() <= bed.fds_before); /* the process's handle goes with the process */
  dns_close(&bed.dns, peer_flag, &gone);
  peer_until(&bed.loop, &gone);
  egress_free(&bed.egress);
  uv_close((uv_handle_t *)&bed.alive, NULL);
  peer_loop_end(&bed.loop);
}
#endif
