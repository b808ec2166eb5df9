/* The near side of the process border. This very program is also the plugin's process: started as parley-plugin-host it plays what
 * the test has written into the memory that both share, the place of the plugin's sealed copy. */
#include "core/base/alloc.h"
#include "core/channel/plugin_in.h"
#include "core/channel/remote_in.h"
#include "net_peer.h"
#include <endian.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* What the process does, and what it has seen. */
enum manner {
  WELL = 0,
  SILENT,              /* it does not say that it is alive */
  LEAVES_WHEN_CREATED, /* it closes the connection and goes on */
  CREATES_WHEN_DRAINED,
  ASKS_WHEN_STARTED,   /* for a value of its state */
  ASKS_FOR_PAGES,      /* of the timeline, when started */
  ASKS_WITHOUT_END,    /* the next one with each answer, also when it has said that it has stopped */
};
struct script {
  _Atomic int manner, processes, starts, pages;
};

/* --- The plugin's process ------------------------------------------------------------------------------------------------ */

enum { QUESTIONS = 100 /* open at once */, TIMELINE_EVENTS = 40, WINDOW = 1000 };

static void say(uint16_t type, uint64_t id, const struct abi_struct *shape, const void *said)
{
  struct buf frame = BUF_INIT(65536);
  uint32_t len;

  buf_add(&frame, (char[FRAME_HEAD_BYTES]){0}, FRAME_HEAD_BYTES);
  if (shape != NULL)
    wire_put(&frame, shape, said);
  len = htole32((uint32_t)(frame.len - FRAME_HEAD_BYTES));
  type = htole16(type);
  id = htole64(id);
  memcpy(frame.at, &len, sizeof len);
  memcpy(frame.at + 4, &type, sizeof type);
  memcpy(frame.at + 8, &id, sizeof id);
  for (size_t left = frame.len; left > 0;) {
    ssize_t n = write(BORDER_FD, frame.at + frame.len - left, left);

    if (n <= 0)
      _exit(1);
    left -= (size_t)n;
  }
  buf_done(&frame);
}

static void say_words(uint16_t type, uint64_t id)
{
  int64_t amount = type == FRAME_STARTED ? PARLEY_UP : type == FRAME_CREATED ? WINDOW : 0;

  say(type, id, &abi_frame_words, PARLEY_REF(struct frame_words, .amount = amount, .one = PARLEY_LIT("key")));
}

static uint16_t hear(void)
{
  char head[FRAME_HEAD_BYTES], block[4096];
  uint32_t left;
  uint16_t type;

  if (recv(BORDER_FD, head, sizeof head, MSG_WAITALL) != sizeof head)
    _exit(0);
  memcpy(&left, head, sizeof left);
  memcpy(&type, head + 4, sizeof type);
  for (left = le32toh(left); left > 0;) {
    ssize_t n = recv(BORDER_FD, block, left < sizeof block ? left : sizeof block, 0);

    if (n <= 0)
      _exit(0);
    left -= (uint32_t)n;
  }
  return le16toh(type);
}

static void process_hears(struct script *script, uint16_t type)
{
  static uint64_t asked;
  int manner = script->manner;

  if (type == FRAME_PING && manner != SILENT) {
    say(FRAME_PONG, 0, NULL, NULL);
  } else if (type == FRAME_CREATE ? manner != CREATES_WHEN_DRAINED : type == FRAME_DRAIN && manner == CREATES_WHEN_DRAINED) {
    say_words(FRAME_CREATED, 0);
  } else if (type == FRAME_START) {
    script->starts++;
    say_words(FRAME_STARTED, 0);
    if (manner == ASKS_FOR_PAGES)
      say(FRAME_TIMELINE, ++asked, &abi_query, PARLEY_REF(parley_query, .limit = TIMELINE_EVENTS));
    for (int n = manner == ASKS_WITHOUT_END ? QUESTIONS : manner == ASKS_WHEN_STARTED; n > 0; n--)
      say_words(FRAME_STATE_GET, ++asked);
  } else if (type == FRAME_STOP) {
    say(FRAME_STOPPED, 0, NULL, NULL);
  } else if (type == FRAME_PAGE) {
    script->pages++;
  } else if (type == FRAME_RESULT && manner == ASKS_WITHOUT_END) {
    say_words(FRAME_STATE_GET, ++asked);
  }
  if (type == FRAME_CREATE && manner == LEAVES_WHEN_CREATED) {
    close(BORDER_FD);
    for (;;)
      pause();
  }
}

static _Noreturn void process_main(void)
{
  struct script *script = mmap(NULL, sizeof *script, PROT_READ | PROT_WRITE, MAP_SHARED, BORDER_PLUGIN_FD, 0);

  fcntl(BORDER_FD, F_SETFL, 0);
  script->processes++;
  for (;;)
    process_hears(script, hear());
}

/* --- The channel in front of it ---------------------------------------------------------------------------------------- */

enum { HANG_MS = 2000, IN_FLIGHT = 5 /* as configured */ };

struct question { /* of the process, of its state */
  struct list node;
  struct channel *channel;
  parley_done *done;
  void *arg;
};
static struct {
  uv_loop_t loop;
  struct env_fake fake;
  struct script *script;
  struct plugin *plugin;
  struct channel *channel;
  struct parley_channel *remote; /* the channel's instance */
  int progress;
  bool closed, answers; /* answers: questions are answered */
  struct list questions;
  uv_prepare_t turn;
} t;

static void on_progress(struct channel *channel, void *arg)
{
  (void)channel, (void)arg;
  t.progress++;
}

static void on_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg)
{
  (void)channel, (void)state, (void)cause, (void)remedy, (void)arg;
}

static void on_roomier(struct channel *channel, bool well, void *arg)
{
  (void)channel, (void)well, (void)arg;
}

/* As many as were asked for, of the largest. */
static void on_timeline(struct channel *channel, const parley_query *query, parley_page_done *done, void *done_arg, void *arg)
{
  static char text[CHANNEL_INLINE_MAX];
  const parley_event *event = PARLEY_REF(parley_event, .type = {text, sizeof text}), *events[TIMELINE_EVENTS];

  (void)channel, (void)arg;
  memset(text, 'a', sizeof text);
  for (uint32_t i = 0; i < query->limit; i++)
    events[i] = event;
  done(PARLEY_REF(parley_page, .status = PARLEY_OK, .n_events = query->limit, .events = events), done_arg);
}

static const struct channel_owner owner = {
    .progress = on_progress, .health = on_health, .roomier = on_roomier, .timeline = on_timeline};

static void state_get(const parley_host *host, parley_text key, parley_done *done, void *arg)
{
  struct question *question = xcalloc(1, sizeof *question);

  (void)key;
  *question = (struct question){.channel = channel_of(host), .done = done, .arg = arg};
  question->channel->host_calls++;
  list_push(&t.questions, &question->node);
}

static void answer_first(void)
{
  struct question *question = LIST_ITEM(list_pop(&t.questions), struct question, node);

  struct channel *channel = question->channel;

  question->done(PARLEY_REF(parley_result, .status = PARLEY_NOT_FOUND), question->arg);
  free(question);
  channel_call_over(channel);
}

/* One each turn of the loop: whoever asks many at once always has some that are open. */
static void on_turn(uv_prepare_t *prepare)
{
  (void)prepare;
  if (t.answers && !list_empty(&t.questions))
    answer_first();
}

static const struct channel_services services = {.state_get = state_get};

static void plugin_make(void)
{
  static const parley_capabilities capabilities = {.size = sizeof capabilities, .address_kind = "none", .channel_kind = "webhook"};
  static const struct plugin_facts facts = {.abi_major = PARLEY_ABI_MAJOR, .name = "puppet", .capabilities = &capabilities,
                                            .has = PLUGIN_HAS_SUBMIT};
  static const parley_extension *offers[1];
  static parley_plugin table;

  t.plugin = plugin_new("puppet", "");
  t.plugin->apart = true;
  t.plugin->fd = memfd_create("script", MFD_CLOEXEC);
  ck_assert_int_eq(ftruncate(t.plugin->fd, sizeof *t.script), 0);
  t.script = mmap(NULL, sizeof *t.script, PROT_READ | PROT_WRITE, MAP_SHARED, t.plugin->fd, 0);
  remote_table(&facts, offers, &table);
  t.plugin->table = &table;
}

static void setup(void)
{
  memset(&t, 0, sizeof t);
  uv_loop_init(&t.loop);
  env_fake_init(&t.fake, 1000);
  list_init(&t.questions);
  uv_prepare_init(&t.loop, &t.turn);
  uv_prepare_start(&t.turn, on_turn);
  plugin_make();
}

static void wait_for(bool (*is_so)(void))
{
  for (uint64_t deadline = peer_deadline(); !is_so() && !peer_late(deadline);)
    peer_turn(&t.loop, -1, 0, 20);
  ck_assert_msg(is_so(), "what was waited for did not come");
}

static void on_closed(void *arg)
{
  (void)arg;
  t.closed = true;
}

static bool is_closed(void)
{
  return t.closed;
}

static void stop(void)
{
  channel_stop(&t.channel, 0, on_closed, NULL);
}

static void teardown(void)
{
  t.answers = true;
  if (t.channel != NULL)
    stop();
  wait_for(is_closed);
  plugin_unref(&t.plugin);
  munmap(t.script, sizeof *t.script);
  uv_close((uv_handle_t *)&t.turn, NULL);
  uv_run(&t.loop, UV_RUN_DEFAULT);
  ck_assert_int_eq(uv_loop_close(&t.loop), 0);
}

static parley_status try_to_make(enum manner manner)
{
  static const struct channel_apart apart = {.host_program = "/proc/self/exe", .memory_bytes = (uint64_t)1 << 40, .hang_ms = HANG_MS};
  struct channel_shared shared = {.loop = &t.loop, .env = &t.fake.env, .services = &services, .apart = apart};

  t.script->manner = manner;
  return channel_new_with(&shared, &owner, "puppet", IN_FLIGHT, NULL, t.plugin, &t.channel);
}

static void make(enum manner manner)
{
  ck_assert_int_eq(try_to_make(manner), PARLEY_OK);
  t.remote = channel_instance(t.channel);
}

static bool is_made(void)
{
  return channel_making(t.channel) == CHANNEL_DONE;
}

static bool start_is_over(void)
{
  return channel_starting(t.channel) != CHANNEL_GOING;
}

static bool is_running(void)
{
  return t.remote->state == REMOTE_RUNNING;
}

static void start(void)
{
  struct buf why = BUF_INIT(1024);

  wait_for(is_made);
  ck_assert_int_eq(channel_start(t.channel, &why), PARLEY_OK);
  buf_done(&why);
}

static void make_and_start(enum manner manner)
{
  make(manner);
  start();
  wait_for(is_running);
}

static bool is_dead(void)
{
  return t.remote->state == REMOTE_DEAD && !t.remote->process_open;
}

static void kill_process(void)
{
  kill(t.remote->process.pid, SIGKILL);
  wait_for(is_dead);
}

static void descriptors_max(rlim_t n)
{
  struct rlimit limit;

  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* --- It starts, and starts again --------------------------------------------------------------------------------------- */

START_TEST(a_process_that_dies_is_started_again)
{
  make_and_start(WELL);
  kill_process();
  wait_for(is_running);
  ck_assert_int_eq(t.script->processes, 2);
  ck_assert_int_eq(t.progress, 2); /* made and started: what comes later is no progress */
}
END_TEST

static bool has_died_twice(void)
{
  return t.remote->deaths == 2;
}

START_TEST(a_process_for_which_there_is_no_descriptor_is_tried_again)
{
  make_and_start(WELL);
  descriptors_max(3);
  kill_process();
  wait_for(has_died_twice);
  ck_assert_int_eq(t.script->processes, 1);
  descriptors_max(RLIM_INFINITY);
  wait_for(is_running);
  ck_assert_int_eq(t.script->processes, 2);
}
END_TEST

START_TEST(without_a_descriptor_from_the_beginning_there_is_no_channel)
{
  descriptors_max(3);
  ck_assert_int_eq(try_to_make(WELL), PARLEY_FAILED);
  descriptors_max(RLIM_INFINITY);
}
END_TEST

static bool has_left(void)
{
  return is_made() && t.remote->link == NULL;
}

START_TEST(one_that_has_closed_its_connection_is_not_asked_to_start)
{
  make(LEAVES_WHEN_CREATED);
  wait_for(has_left);
  start();
  wait_for(start_is_over);
  ck_assert_int_eq(channel_starting(t.channel), CHANNEL_BROKE);
}
END_TEST

/* --- It is alive ------------------------------------------------------------------------------------------------------- */

START_TEST(one_that_is_silent_is_killed)
{
  make_and_start(SILENT);
  for (int ms = 0; ms <= HANG_MS; ms += BORDER_BEAT_MS) {
    ck_assert_int_eq(t.remote->state, REMOTE_RUNNING);
    remote_on_beat(&t.remote->beat);
    env_fake_step(&t.fake, BORDER_BEAT_MS);
  }
  ck_assert_int_eq(t.remote->state, REMOTE_DEAD);
}
END_TEST

/* When we stood still ourselves, its answer lies there unread. */
START_TEST(one_is_not_killed_for_the_time_that_we_stood_still)
{
  make_and_start(WELL);
  remote_on_beat(&t.remote->beat);
  env_fake_step(&t.fake, 3600000);
  remote_on_beat(&t.remote->beat);
  ck_assert_int_eq(t.remote->state, REMOTE_RUNNING);
}
END_TEST

static bool has_page(void)
{
  return t.script->pages == 1;
}

START_TEST(it_gets_no_more_at_once_than_is_configured_whatever_it_says)
{
  make_and_start(WELL);
  ck_assert_uint_eq(channel_free(t.channel), IN_FLIGHT);
}
END_TEST

START_TEST(an_answer_that_is_too_large_is_answered_all_the_same)
{
  make_and_start(ASKS_FOR_PAGES);
  wait_for(has_page);
}
END_TEST

/* --- It leaves --------------------------------------------------------------------------------------------------------- */

START_TEST(a_channel_that_stops_while_it_starts_is_closed_all_the_same)
{
  make(WELL);
  start();
  stop();
  remote_started(t.remote, PARLEY_REF(struct frame_words, .amount = PARLEY_UP)); /* in the same turn of the loop */
  wait_for(is_closed);
}
END_TEST

static bool is_creating(void)
{
  return t.remote->state == REMOTE_CREATING;
}

static bool is_created(void)
{
  return t.remote->state == REMOTE_CREATED;
}

START_TEST(one_that_is_asked_to_leave_while_it_is_made_is_not_started)
{
  make_and_start(WELL);
  t.script->manner = CREATES_WHEN_DRAINED;
  kill_process();
  wait_for(is_creating);
  t.plugin->table->drain(t.remote, 0);
  wait_for(is_created);
  ck_assert_int_eq(t.script->starts, 1);
}
END_TEST

static bool has_asked(void)
{
  return !list_empty(&t.questions);
}

static bool has_stopped(void)
{
  return t.remote->stopped;
}

START_TEST(no_process_is_started_for_a_channel_that_has_stopped)
{
  make_and_start(ASKS_WHEN_STARTED);
  wait_for(has_asked);
  kill_process();
  stop();
  wait_for(has_stopped); /* and waits for the answer to the question, longer than for the next process */
  for (uint64_t end = uv_now(&t.loop) + 2 * REMOTE_PAUSE_MIN_MS; uv_now(&t.loop) < end;)
    peer_turn(&t.loop, -1, 0, 20);
  ck_assert_int_eq(t.script->processes, 1);
}
END_TEST

START_TEST(one_that_has_stopped_is_not_listened_to)
{
  make_and_start(ASKS_WITHOUT_END);
  t.answers = true;
  stop();
  wait_for(is_closed);
}
END_TEST

int main(int argc, char **argv)
{
  Suite *suite;
  TCase *cases;

  if (argc > 0 && strcmp(argv[0], "parley-plugin-host") == 0)
    process_main();
  suite = suite_create("channel: remote");
  cases = tcase_create("remote");
  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, a_process_that_dies_is_started_again);
  tcase_add_test(cases, a_process_for_which_there_is_no_descriptor_is_tried_again);
  tcase_add_test(cases, without_a_descriptor_from_the_beginning_there_is_no_channel);
  tcase_add_test(cases, one_that_has_closed_its_connection_is_not_asked_to_start);
  tcase_add_test(cases, one_that_is_silent_is_killed);
  tcase_add_test(cases, one_is_not_killed_for_the_time_that_we_stood_still);
  tcase_add_test(cases, it_gets_no_more_at_once_than_is_configured_whatever_it_says);
  tcase_add_test(cases, an_answer_that_is_too_large_is_answered_all_the_same);
  tcase_add_test(cases, a_channel_that_stops_while_it_starts_is_closed_all_the_same);
  tcase_add_test(cases, one_that_is_asked_to_leave_while_it_is_made_is_not_started);
  tcase_add_test(cases, no_process_is_started_for_a_channel_that_has_stopped);
  tcase_add_test(cases, one_that_has_stopped_is_not_listened_to);
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
