// sources: tests/support/plugin_host.c
/* Real programs: tests/support/exec_puppet.py does what the text of each message says, in Python. Its time is real, the
 * plugin's is the test's. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "tests/support/plugin_host.h"
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MSG "msg_01KAM2Z8Q3XWA"
#define PUPPET "/usr/bin/python3," PARLEY_SOURCE_DIR "/tests/support/exec_puppet.py"
#define WITHIN_MS 20000
static const char *const puppet[] = {"command", PUPPET, NULL};
static const char *const quick_end[] = {"command", PUPPET, "kill_after", "50ms", NULL};

static int64_t real_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lets the program and the plugin talk until it is so; the plugin's clock stands. */
#define UNTIL(h, condition)                                                          \
  do {                                                                               \
    int64_t until_ms = real_ms() + WITHIN_MS;                                        \
    while (!(condition)) {                                                           \
      ck_assert_msg(real_ms() < until_ms, "never: %s\n%s", #condition, (h)->log.at); \
      plugin_host_poll(h, 20);                                                       \
    }                                                                                \
  } while (0)
/* The same while the plugin's clock goes on. */
#define UNTIL_LIVE(h, condition)                                                     \
  do {                                                                               \
    int64_t until_ms = real_ms() + WITHIN_MS;                                        \
    while (!(condition)) {                                                           \
      ck_assert_msg(real_ms() < until_ms, "never: %s\n%s", #condition, (h)->log.at); \
      plugin_host_poll(h, 10);                                                       \
      plugin_host_step(h, 10);                                                       \
    }                                                                                \
  } while (0)

static bool logged(const struct plugin_host *h, const char *words)
{
  return h->log.len > 0 && text_find_text(buf_as_text(&h->log), parley_text_of(words)) != SIZE_MAX;
}

static size_t logged_times(const struct plugin_host *h, const char *words)
{
  parley_text rest = h->log.len > 0 ? buf_as_text(&h->log) : TEXT_EMPTY;
  size_t n = 0;

  for (size_t at; (at = text_find_text(rest, parley_text_of(words))) != SIZE_MAX; n++)
    rest = text_sub(rest, at + 1, SIZE_MAX);
  return n;
}

/* Started and ready. */
static struct plugin_host *exec_ready(const char *const *options)
{
  struct plugin_host *h = plugin_host_new("exec");

  plugin_host_start(h, options);
  ck_assert_uint_eq(h->window, 0);
  UNTIL(h, h->window > 0 && h->window != UINT32_MAX);
  return h;
}

static parley_status tell(struct plugin_host *h, uint64_t token, const char *python)
{
  struct plugin_host_message room;
  char id[32];

  snprintf(id, sizeof id, "msg_%013llu", (unsigned long long)token);
  return plugin_host_submit(h, token, plugin_host_text(&room, id, "phone", "+34600111222", python));
}

/* Gives it to the program, and waits for its settlement. */
static const parley_outcome *told(struct plugin_host *h, uint64_t token, const char *python)
{
  ck_assert_int_eq(tell(h, token, python), PARLEY_OK);
  UNTIL(h, plugin_host_result(h, token) != 0);
  return plugin_host_outcome(h, token);
}

/* Of the program that said ready last. */
static pid_t program_pid(const struct plugin_host *h)
{
  const char *at = NULL;

  for (const char *next = h->log.at; (next = strstr(next, "program_ready pid=")) != NULL; next++)
    at = next;
  ck_assert_ptr_nonnull(at);
  return (pid_t)atoi(at + strlen("program_ready pid="));
}

static void until_gone(struct plugin_host *h, pid_t pid)
{
  for (int64_t until_ms = real_ms() + WITHIN_MS; kill(pid, 0) == 0 && real_ms() < until_ms;)
    plugin_host_poll(h, 10);
  ck_assert_int_ne(kill(pid, 0), 0);
}

#define SAYS(outcome, words)                                                                  \
  ck_assert_msg(text_find_text((outcome)->detail, parley_text_of(words)) != SIZE_MAX, "%.*s", \
                TEXT_ARG((outcome)->detail))

/* --- Options -------------------------------------------------------------------------------------------------------
 */

static const struct {
  const char *options[8], *cause;
} wrong[] = {
    {{"command", "bin/channel", NULL}, "command: "},
    {{"command", PUPPET, "env.1X", "a", NULL}, "env: "},
    {{"command", PUPPET, "env.A-B", "a", NULL}, "env: "},
    {{"command", PUPPET, "env.A", "a", "secrets.A", "b", NULL}, "secrets: A"},
};
START_TEST(options_that_make_no_sense_are_refused_with_a_cause)
{
  struct plugin_host *h = plugin_host_new("exec");

  ck_assert_int_eq(plugin_host_create(h, wrong[_i].options), PARLEY_INVALID);
  ck_assert_uint_eq(h->health, PARLEY_DOWN);
  ck_assert_uint_eq(text_find_text(h->health_cause, parley_text_of(wrong[_i].cause)), 0);
  plugin_host_done(&h);
}
END_TEST

static const char *const nowhere[] = {"/nowhere/program", "no-such-program-of-ours", "/etc/passwd", "/usr"};
START_TEST(a_program_that_is_not_there_is_refused_at_the_start)
{
  const char *options[] = {"command", nowhere[_i], NULL};
  struct plugin_host *h = plugin_host_new("exec");

  ck_assert_int_eq(plugin_host_create(h, options), PARLEY_OK);
  ck_assert_int_eq(h->plugin->start(h->channel), PARLEY_NOT_FOUND);
  ck_assert_uint_eq(h->health, PARLEY_DOWN);
  ck_assert(text_find_text(h->health_cause, parley_text_of(nowhere[_i])) != SIZE_MAX && h->health_remedy.len > 0);
  h->plugin->destroy(h->channel);
  h->channel = NULL;
  plugin_host_done(&h);
}
END_TEST

static const parley_feature *feature(const parley_capabilities *caps, uint32_t what)
{
  for (const parley_feature *const *at = caps->features; *at != NULL; at++)
    if ((*at)->what == what)
      return *at;
  return NULL;
}

START_TEST(capabilities_are_what_the_options_say)
{
  static const char *const options[] = {
      "command",  PUPPET, "address_kind", "telegram", "carries", "html,media,media,reply",
      "text_max", "160",  "receipts",     "read",     "inbound", "false",
      "ordered",  "true", "in_flight",    "3",        NULL};
  struct plugin_host *h = plugin_host_new("exec");
  const parley_capabilities *caps;

  ck_assert_int_eq(plugin_host_create(h, options), PARLEY_OK);
  caps = h->plugin->capable(h->channel);
  ck_assert_str_eq(caps->address_kind, "telegram");
  ck_assert_str_eq(caps->channel_kind, "chat");
  ck_assert_uint_eq(caps->flags, PARLEY_SPAWNS | PARLEY_ORDERED);
  ck_assert_uint_eq(caps->receipts, PARLEY_BIT(PARLEY_RECEIPT_READ));
  ck_assert_uint_eq(caps->in_flight, 3);
  ck_assert_uint_eq(feature(caps, PARLEY_PART_TEXT)->length_max, 160);
  ck_assert_ptr_nonnull(feature(caps, PARLEY_PART_HTML));
  ck_assert_ptr_nonnull(feature(caps, PARLEY_PART_MEDIA));
  ck_assert_ptr_nonnull(feature(caps, PARLEY_FEATURE_REPLY));
  ck_assert_ptr_null(feature(caps, PARLEY_PART_BUTTONS));
  ck_assert_ptr_null(feature(caps, PARLEY_FEATURE_SUBJECT));
  plugin_host_done(&h);
}
END_TEST

START_TEST(the_example_in_the_table_is_a_whole_channel)
{
  static const char perl[] = "BEGIN { STDOUT->autoflush; print qq({\"type\":\"ready\"}\\n) } "
                             "s/^.{9}(send|probe)\",\"token\":\"(\\d+)\".*/"
                             "{\"type\":\"settle\",\"token\":\"\\2\",\"outcome\":\"accepted\"}/ and print";
  const parley_option *command = NULL;
  struct plugin_host *h = plugin_host_new("exec");
  char script[] = "/tmp/parley-perl-XXXXXX", words[100];
  int fd = mkstemp(script);

  for (const parley_option *const *at = h->plugin->options; *at != NULL; at++)
    command = strcmp((*at)->name, "command") == 0 ? *at : command;
  ck_assert_msg(strstr(command->example, perl) != NULL, "%s", command->example);
  ck_assert(fd >= 0 && write(fd, perl, sizeof perl - 1) == (ssize_t)sizeof perl - 1);
  close(fd);
  snprintf(words, sizeof words, "perl,-n,%s", script); /* a list of this host is cut at commas */
  plugin_host_start(h, (const char *const[]){"command", words, NULL});
  UNTIL(h, h->window == 16);
  told(h, 1, "hello");
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_int_eq(plugin_host_probe(h, 2), PARLEY_OK);
  UNTIL(h, plugin_host_result(h, 2) == PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
  unlink(script);
}
END_TEST

/* --- Out -----------------------------------------------------------------------------------------------------------
 */

START_TEST(what_the_program_settles_is_settled)
{
  struct plugin_host *h = exec_ready(puppet);
  const parley_outcome *outcome = told(h, 7, "settle('accepted', ids=['p-1'], code='ok', detail=message['id'])");

  ck_assert_uint_eq(outcome->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert(outcome->n_ids == 1 && parley_text_is(outcome->ids[0], "p-1"));
  ck_assert(parley_text_is(outcome->code, "ok") && parley_text_is(outcome->detail, "msg_0000000000007"));
  outcome = told(h, 8, "settle('throttled', retry_after=2.5, destination='example.org')");
  ck_assert(outcome->result == PARLEY_OUTCOME_THROTTLED && outcome->retry_ms == 2500);
  ck_assert(parley_text_is(outcome->destination, "example.org"));
  SAYS(told(h, 9, "settle('accepted', detail=json.dumps(heard[0]))"),
       "{\"type\": \"hello\", \"version\": 1, \"channel\": \"test\"");
  plugin_host_done(&h);
}
END_TEST

START_TEST(many_are_in_its_hands_and_settled_in_any_order)
{
  struct plugin_host *h = exec_ready(puppet);
  char python[100];

  for (uint64_t token = 1; token <= 16; token++) {
    snprintf(python, sizeof python,
             token < 16 ? "pass" : "[say('settle', token=str(t), outcome='accepted') for t in range(16, 0, -1)]");
    ck_assert_int_eq(tell(h, token, python), PARLEY_OK);
  }
  UNTIL(h, h->n_settles == 16);
  ck_assert_uint_eq(h->settles[0].token, 16);
  ck_assert_uint_eq(h->settles[15].token, 1);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_probe_is_answered_by_the_program_or_for_it)
{
  static const char *const quiet[] = {"command", PUPPET ",sys.stdin.read()", NULL};
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(plugin_host_probe(h, 1), PARLEY_OK);
  UNTIL(h, plugin_host_result(h, 1) == PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
  h = plugin_host_new("exec");
  plugin_host_start(h, quiet);
  ck_assert_int_eq(plugin_host_probe(h, 1), PARLEY_OK);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_CHANNEL_DOWN);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_probe_that_is_not_answered_kills_nobody)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "wait_for('probe'); wait_for('probe'); act(heard[-1])"), PARLEY_OK);
  ck_assert_int_eq(plugin_host_probe(h, 2), PARLEY_OK);
  plugin_host_step(h, 20000);
  ck_assert_uint_eq(plugin_host_result(h, 2), PARLEY_OUTCOME_RETRY);
  ck_assert_int_eq(plugin_host_probe(h, 3), PARLEY_OK);
  UNTIL(h, plugin_host_result(h, 3) == PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_window_of_the_program_narrows_and_widens)
{
  struct plugin_host *h = exec_ready(puppet);

  told(h, 1, "say('window', in_flight=2); settle('accepted')");
  ck_assert_uint_eq(h->window, 2);
  told(h, 2, "say('window', in_flight=1000); settle('accepted')");
  ck_assert_uint_eq(h->window, 16); /* never above in_flight */
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_settlement_that_makes_no_sense_is_unknown)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_uint_eq(told(h, 1, "settle('sent')")->result, PARLEY_OUTCOME_UNKNOWN);
  ck_assert(parley_text_is(plugin_host_outcome(h, 1)->code, "bad_settlement"));
  ck_assert(logged(h, "event=program_line_bad line=2 code=bad_choice at=\"/outcome\""));
  ck_assert_uint_eq(told(h, 2, "settle('accepted')")->result, PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
}
END_TEST

/* --- In ------------------------------------------------------------------------------------------------------------
 */

START_TEST(done_comes_after_the_commit_and_not_before)
{
  struct plugin_host *h = exec_ready(puppet);

  h->hold = true;
  ck_assert_int_eq(tell(h, 1,
                        "say('inbound', id='m-1', text='Hello', **{'from': {'phone': '+34600111222', 'name': 'Ana'}})\n"
                        "say('log', line='said')\n"
                        "settle('accepted', detail=json.dumps(wait_for('done')))"),
                   PARLEY_OK);
  UNTIL(h, logged(h, "line=\"said\""));
  plugin_host_poll(h, 100);
  ck_assert(h->n_items == 1 && plugin_host_result(h, 1) == 0);
  ck_assert(parley_text_is(h->items[0].inbound->provider_id, "m-1"));
  ck_assert(parley_text_is(h->items[0].inbound->parts[0]->text, "Hello"));
  plugin_host_item_done(h, 0, PARLEY_OK, "msg_01KAM2Z8Q3XWB");
  UNTIL(h, plugin_host_result(h, 1) != 0);
  SAYS(plugin_host_outcome(h, 1),
       "{\"type\": \"done\", \"id\": \"m-1\", \"status\": \"ok\", \"message\": \"msg_01KAM2Z8Q3XWB\"}");
  plugin_host_done(&h);
}
END_TEST

START_TEST(receipts_and_events_are_reported_and_answered)
{
  struct plugin_host *h = exec_ready(puppet);

  h->says = PARLEY_BUSY;
  h->says_retry_ms = 1000;
  SAYS(told(h, 1,
            "say('receipt', id='r-1', provider_id='p-1', status='delivered')\n"
            "settle('accepted', detail=json.dumps(wait_for('done')))"),
       "\"id\": \"r-1\", \"status\": \"busy\", \"retry_after\": 1}");
  ck_assert(h->items[0].receipt->kind == PARLEY_RECEIPT_DELIVERED &&
            parley_text_is(h->items[0].receipt->provider_id, "p-1"));
  h->says = PARLEY_OK;
  h->says_value = "evt_1";
  SAYS(told(h, 2,
            "say('event', id='e-1', event='call.ended', who={'phone': '+34600111222'})\n"
            "settle('accepted', detail=json.dumps(wait_for('done')))"),
       "\"id\": \"e-1\", \"status\": \"ok\", \"message\": \"evt_1\"}");
  ck_assert(parley_text_is(h->items[1].touchpoint, "call.ended"));
  told(h, 3, "say('receipt', message='" MSG "', status='read'); settle('accepted')"); /* no id: no done */
  SAYS(told(h, 4, "settle('accepted', detail=json.dumps([line['type'] for line in heard]))"),
       "[\"hello\", \"send\", \"done\", \"send\", \"done\", \"send\", \"send\"]");
  plugin_host_done(&h);
}
END_TEST

START_TEST(reports_that_wait_for_their_commit_are_bounded)
{
  struct plugin_host *h = exec_ready(puppet);

  h->hold = true;
  ck_assert_int_eq(tell(h, 1,
                        "for i in range(2000): say('receipt', message='" MSG "', status='read', detail='x' * 400)\n"
                        "settle('accepted')"),
                   PARLEY_OK);
  UNTIL(h, h->n_items >= 256);
  for (int i = 0; i < 20; i++)
    plugin_host_poll(h, 5);
  ck_assert_uint_lt(h->n_items, 512); /* what one read of the pipe held */
  for (size_t i = 0; i < h->n_items; i++) {
    plugin_host_item_done(h, i, PARLEY_OK, NULL);
    if (i + 1 == h->n_items)
      for (int tries = 0; tries < 1000 && i + 1 == h->n_items && plugin_host_result(h, 1) == 0; tries++)
        plugin_host_poll(h, 10);
  }
  ck_assert_uint_eq(h->n_items, 2000);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
}
END_TEST

START_TEST(health_and_log_lines_are_passed_on)
{
  struct plugin_host *h = exec_ready(puppet);

  told(h, 1, "say('health', level='down', cause='no SIM', remedy='insert one'); settle('accepted')");
  ck_assert_uint_eq(h->health, PARLEY_DOWN);
  ck_assert(parley_text_is(h->health_cause, "no SIM") && parley_text_is(h->health_remedy, "insert one"));
  told(h, 2, "say('health', level='up'); say('log', level='warn', line='a \"b\" \\n\\x1b'); settle('accepted')");
  ck_assert_uint_eq(h->health, PARLEY_UP);
  ck_assert(logged(h, "event=program_log line=\"a \\\"b\\\" ??\""));
  plugin_host_done(&h);
}
END_TEST

/* --- Its world ------------------------------------------------------------------------------------------------------
 */

START_TEST(its_world_is_small)
{
  static const char *const options[] = {"command",       PUPPET,   "env.SHOP",  "77", "secrets.API_TOKEN",
                                        "correct-horse", "memory", "268435456", NULL};
  struct plugin_host *h;
  int leak = dup(1);

  ck_assert(leak >= 0); /* not close-on-exec: it must not be inherited */
  signal(SIGPIPE, SIG_IGN);
  setenv("PARLEY_TEST_LEAK", "ours", 1);
  h = exec_ready(options);
  SAYS(told(h, 1, "settle('accepted', detail=' '.join(sorted(k for k in os.environ if k not in ('TZ', 'LC_CTYPE'))))"),
       "API_TOKEN LANG PATH SHOP");
  ck_assert(parley_text_is(plugin_host_outcome(h, 1)->detail, "API_TOKEN LANG PATH SHOP"));
  SAYS(told(h, 2,
            "settle('accepted', detail=' '.join(f for f in os.listdir('/proc/self/fd') if "
            "os.path.exists('/proc/self/fd/' + f)))"),
       "0 1 2");
  ck_assert_uint_eq(plugin_host_outcome(h, 2)->detail.len, 5);
  SAYS(
      told(
          h, 3,
          "settle('accepted', detail=[l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')][0].strip())"),
      "NoNewPrivs:?1");
  SAYS(told(h, 4, "settle('accepted', detail=str(os.getsid(0) == os.getpid()))"), "True");
  SAYS(
      told(
          h, 5,
          "status = open('/proc/self/status').read().split()\n" /* of which python ignores SIGPIPE and SIGXFSZ itself */
          "settle('accepted', detail=status[status.index('SigBlk:') + 1] + ' ' + status[status.index('SigIgn:') + 1])"),
      "0000000000000000 0000000001001000");
  SAYS(told(h, 6,
            "import resource\n"
            "settle('accepted', detail=str([resource.getrlimit(r) for r in (resource.RLIMIT_DATA, "
            "resource.RLIMIT_CORE)]))"),
       "[(268435456, 268435456), (1, 1)]");
  SAYS(told(h, 7,
            "try:\n  x = bytearray(1 << 30); settle('accepted', detail='it fits')\n"
            "except MemoryError: settle('accepted', detail='no memory')"),
       "no memory");
  SAYS(told(h, 8, "settle('accepted', detail='the token is ' + os.environ['API_TOKEN'])"), "the token is ***");
  told(h, 9,
       "sys.stderr.write('it is ' + os.environ['API_TOKEN'] + '!\\n'); say('log', line=os.environ['API_TOKEN']);"
       "say('health', level='degraded', cause=os.environ['API_TOKEN']); settle('accepted')");
  UNTIL(h, logged(h, "event=program_stderr line=\"it is ***!\"") && logged(h, "event=program_log line=\"***\""));
  ck_assert(!logged(h, "correct-horse") && parley_text_is(h->health_cause, "***"));
  plugin_host_done(&h);
  close(leak);
}
END_TEST

/* --- Its ends -------------------------------------------------------------------------------------------------------
 */

START_TEST(a_program_that_dies_leaves_the_read_unknown_and_the_unread_to_be_tried_again)
{
  struct plugin_host *h = exec_ready(puppet);
  char big[20000];

  snprintf(big, sizeof big, "#%0*d", (int)sizeof big - 10, 0);
  ck_assert_int_eq(tell(h, 1, "say('log', line='reading'); time.sleep(1000)"), PARLEY_OK);
  UNTIL(h, logged(h, "reading"));
  ck_assert_int_eq(tell(h, 2, big), PARLEY_OK);
  ck_assert_int_eq(tell(h, 3, big), PARLEY_OK);
  ck_assert_int_eq(tell(h, 4, big), PARLEY_OK);
  ck_assert_int_eq(tell(h, 5, "pass"), PARLEY_OK);
  ck_assert_int_eq(kill(program_pid(h), SIGKILL), 0);
  UNTIL(h, h->n_settles == 5);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_DIED);
  for (uint64_t token = 2; token <= 5; token++) /* in the pipe, or behind it */
    ck_assert_uint_eq(plugin_host_result(h, token), PARLEY_OUTCOME_RETRY);
  ck_assert_uint_eq(h->health, PARLEY_DOWN);
  ck_assert_msg(parley_text_is(h->health_cause, "ended by signal 9 (Killed)"), "%.*s", TEXT_ARG(h->health_cause));
  plugin_host_done(&h);
}
END_TEST

START_TEST(what_it_had_read_when_it_died_is_said_to_have_died_with_it_and_others_go_on)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "wait_for('send'); os.kill(os.getpid(), 9)"), PARLEY_OK);
  ck_assert_int_eq(tell(h, 2, "pass"), PARLEY_OK);
  UNTIL(h, h->n_settles == 2);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_DIED); /* the host offers it alone from now on */
  ck_assert_uint_eq(plugin_host_result(h, 2), PARLEY_OUTCOME_DIED);
  ck_assert_uint_eq(h->window, 0);
  ck_assert_int_eq(tell(h, 3, "pass"), PARLEY_BUSY);
  plugin_host_step(h, 99);
  ck_assert_uint_eq(logged_times(h, "program_ready"), 1);
  plugin_host_step(h, 1);
  UNTIL(h, h->health == PARLEY_UP);
  ck_assert_uint_eq(h->window, 16); /* others go as they did */
  told(h, 4, "settle('accepted')");
  plugin_host_done(&h);
}
END_TEST

START_TEST(an_exit_is_told_with_its_last_words)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "print('first', file=sys.stderr); sys.stderr.write('the queue is gone'); sys.exit(3)"),
                   PARLEY_OK);
  UNTIL(h, h->health == PARLEY_DOWN);
  ck_assert_msg(parley_text_is(h->health_cause, "exit 3: the queue is gone"), "%.*s", TEXT_ARG(h->health_cause));
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_DIED);
  plugin_host_done(&h);
}
END_TEST

START_TEST(what_it_said_before_its_end_counts)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1,
                        "for i in range(300): say('receipt', message='" MSG "', status='read', detail='x' * 150)\n"
                        "settle('delivered'); sys.exit(0)"),
                   PARLEY_OK);
  UNTIL(h, h->health == PARLEY_DOWN);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_DELIVERED);
  ck_assert_uint_eq(h->n_items, 300);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_done_goes_to_the_program_that_asked_and_to_no_later_one)
{
  struct plugin_host *h = exec_ready(puppet);

  h->hold = true;
  ck_assert_int_eq(tell(h, 1, "say('inbound', id='m-1', text='x', **{'from': {'phone': '+34600111222'}}); sys.exit(1)"),
                   PARLEY_OK);
  UNTIL(h, h->health == PARLEY_DOWN);
  plugin_host_step(h, 100);
  UNTIL(h, h->health == PARLEY_UP);
  plugin_host_item_done(h, 0, PARLEY_OK, MSG);
  SAYS(told(h, 2, "settle('accepted', detail=json.dumps([line['type'] for line in heard]))"), "[\"hello\", \"send\"]");
  plugin_host_done(&h);
}
END_TEST

START_TEST(what_it_started_ends_with_it)
{
  struct plugin_host *h = exec_ready(puppet);
  pid_t pid;

  ck_assert_int_eq(tell(h, 1,
                        "child = os.fork()\n"
                        "if child: say('log', line='child ' + str(child)); sys.exit(0)\n"
                        "while True: time.sleep(1000)"),
                   PARLEY_OK);
  UNTIL(h, h->health == PARLEY_DOWN && logged(h, "line=\"child "));
  pid = (pid_t)atoi(strstr(h->log.at, "line=\"child ") + 12);
  until_gone(h, pid);
  plugin_host_done(&h);
}
END_TEST

START_TEST(pauses_before_a_start_double_up_to_the_longest)
{
  static const int pauses_ms[] = {100, 200, 400, 800, 1000, 1000};
  static const char *const options[] = {"command", "false", "restart_max", "1s", NULL};
  struct plugin_host *h = plugin_host_new("exec");

  plugin_host_start(h, options);
  for (size_t i = 0; i < COUNT_OF(pauses_ms); i++) {
    UNTIL(h, logged_times(h, "event=program_ended") == i + 1);
    plugin_host_step(h, pauses_ms[i] - 1);
    ck_assert_uint_eq(h->n_watches, 0);
    plugin_host_step(h, 1);
    ck_assert_uint_gt(h->n_watches, 0);
  }
  ck_assert(parley_text_is(h->health_cause, "exit 1"));
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_file_that_is_no_program_is_told_as_such)
{
  char path[] = "/tmp/parley-exec-XXXXXX";
  const char *options[] = {"command", path, NULL};
  int fd = mkstemp(path);
  struct plugin_host *h = plugin_host_new("exec");

  ck_assert(fd >= 0 && write(fd, "no program", 10) == 10 && fchmod(fd, 0700) == 0);
  close(fd);
  plugin_host_start(h, options);
  UNTIL(h, h->health == PARLEY_DOWN);
  ck_assert_msg(text_find_text(h->health_cause, PARLEY_LIT("cannot be run: execve: Exec format error")) != SIZE_MAX,
                "%.*s", TEXT_ARG(h->health_cause));
  plugin_host_done(&h);
  unlink(path);
}
END_TEST

START_TEST(without_descriptors_it_is_tried_again_later)
{
  struct plugin_host *h = plugin_host_new("exec");
  struct rlimit few, before;
  int first = dup(0);

  ck_assert(first > 0 && close(first) == 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
  few = (struct rlimit){(rlim_t)first + 5, before.rlim_max};
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
  plugin_host_start(h, puppet);
  ck_assert_uint_eq(h->health, PARLEY_DOWN);
  ck_assert(parley_text_is(h->health_cause, "it cannot be started: Too many open files"));
  ck_assert_int_eq(dup(0), first); /* nothing was left open */
  close(first);
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
  plugin_host_step(h, 100);
  UNTIL(h, h->health == PARLEY_UP);
  told(h, 1, "settle('accepted')");
  plugin_host_done(&h);
  ck_assert_int_eq(dup(0), first);
}
END_TEST

START_TEST(it_must_say_ready_in_time)
{
  static const char *const options[] = {"command", PUPPET ",pass", "timeout", "5s", NULL};
  struct plugin_host *h = plugin_host_new("exec");

  plugin_host_start(h, options);
  UNTIL(h, plugin_host_poll(h, 0) == 0);
  plugin_host_step(h, 5000);
  UNTIL_LIVE(h, h->health == PARLEY_DOWN);
  ck_assert(text_find_text(h->health_cause, PARLEY_LIT("killed: it did not say ready in time")) != SIZE_MAX);
  plugin_host_done(&h);
}
END_TEST

/* --- Its faults ------------------------------------------------------------------------------------------------------
 */

START_TEST(garbage_kills_it_after_some_lines)
{
  struct plugin_host *h = exec_ready(quick_end);

  SAYS(told(h, 1, "[write('Hello World\\n') for i in range(19)]; settle('accepted', detail='still here')"),
       "still here");
  ck_assert(logged(h, "event=program_line_bad line=2 code=bad_json"));
  ck_assert_int_eq(tell(h, 2,
                        "signal = __import__('signal'); signal.signal(15, signal.SIG_IGN)\nwrite('garbage\\n')\n"
                        "while True: say('settle', token='2', outcome='accepted')"),
                   PARLEY_OK);
  UNTIL_LIVE(h, h->health == PARLEY_DOWN); /* SIGTERM is ignored: SIGKILL follows */
  ck_assert_msg(text_find_text(h->health_cause, PARLEY_LIT("killed: 20 lines that are no protocol")) == 0, "%.*s",
                TEXT_ARG(h->health_cause));
  ck_assert_uint_eq(plugin_host_result(h, 2), PARLEY_OUTCOME_DIED); /* it is not listened to any more */
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_bad_line_now_and_then_is_forgiven)
{
  struct plugin_host *h = exec_ready(puppet);

  for (uint64_t token = 1; token <= 4; token++) {
    told(h, token, "[write('x\\n') for i in range(15)]; settle('accepted')");
    plugin_host_step(h, 60000);
  }
  ck_assert_uint_ne(h->health, PARLEY_DOWN);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_skipped_and_the_next_one_understood)
{
  static const char *const options[] = {"command", PUPPET, "max_line", "4096", NULL};
  struct plugin_host *h = exec_ready(options);

  SAYS(told(h, 1, "say('log', line='x' * 10000000); settle('accepted', detail='next')"), "next");
  ck_assert(logged(h, "event=program_line_bad line=2 code=too_long"));
  plugin_host_done(&h);
}
END_TEST

START_TEST(tokens_that_are_not_its_own_are_refused)
{
  struct plugin_host *h = exec_ready(puppet);

  told(h, 5, "settle('accepted')");
  told(h, 6,
       "say('settle', token='5', outcome='rejected'); say('settle', token='999', outcome='accepted'); "
       "settle('accepted')");
  ck_assert_uint_eq(plugin_host_result(h, 5), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(logged_times(h, "code=unknown_token"), 2);
  plugin_host_done(&h);
}
END_TEST

START_TEST(one_that_hangs_is_killed_when_its_first_message_is_due)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "say('log', line='here'); time.sleep(1000)"), PARLEY_OK);
  UNTIL(h, logged(h, "here"));
  ck_assert_int_eq(tell(h, 2, "pass"), PARLEY_OK);
  plugin_host_step(h, 59999);
  ck_assert_uint_eq(h->n_settles, 0);
  plugin_host_step(h, 1); /* 1 is late, but something was heard: it alone is given up; 2 is silence */
  UNTIL_LIVE(h, h->health == PARLEY_DOWN);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert(text_find_text(h->health_cause, PARLEY_LIT("killed: it hangs")) == 0);
  plugin_host_done(&h);
}
END_TEST

START_TEST(one_whose_end_never_comes_holds_nobody_up)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "time.sleep(1000)"), PARLEY_OK);
  plugin_host_step(h, 60000); /* SIGTERM, and a second later SIGKILL; that it has ended is not looked at */
  plugin_host_step(h, 1999);
  ck_assert_uint_eq(h->n_settles, 0);
  plugin_host_step(h, 1);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_DIED);
  ck_assert_msg(text_find_text(h->health_cause, PARLEY_LIT("it cannot be ended: it hangs")) == 0, "%.*s",
                TEXT_ARG(h->health_cause));
  UNTIL(h, logged(h, "event=program_ended"));
  plugin_host_step(h, 100);
  UNTIL(h, h->health == PARLEY_UP);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_message_that_it_loses_is_given_up_alone)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "lost = token"), PARLEY_OK);
  plugin_host_step(h, 30000);
  told(h, 2, "settle('accepted')");
  plugin_host_step(h, 30000);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert(parley_text_is(plugin_host_outcome(h, 1)->code, "not_settled_in_time"));
  told(h, 3, "say('settle', token='1', outcome='accepted'); settle('accepted')");
  ck_assert(logged(h, "event=program_settled_late token=1") && !logged(h, "program_line_bad"));
  told(h, 4,
       "say('settle', token='1', outcome='accepted'); settle('accepted')"); /* once late is late, twice is wrong */
  ck_assert(logged(h, "code=unknown_token"));
  ck_assert_uint_ne(h->health, PARLEY_DOWN);
  plugin_host_done(&h);
}
END_TEST

START_TEST(one_that_does_not_read_fills_a_bounded_queue)
{
  static const char *const options[] = {"command", PUPPET, "in_flight", "1000", NULL};
  struct plugin_host *h = exec_ready(options);
  size_t len = 100000;
  char *big = xcalloc(1, len), go[] = "/tmp/parley-go-XXXXXX", python[200];
  uint64_t token = 1;
  int fd = mkstemp(go);

  ck_assert(fd >= 0);
  close(fd);
  memset(big, '#', len - 1);
  snprintf(python, sizeof python, "say('log', line='deaf')\nwhile os.path.exists('%s'): time.sleep(0.01)", go);
  ck_assert_int_eq(tell(h, token, python), PARLEY_OK);
  UNTIL(h, logged(h, "deaf"));
  while (tell(h, ++token, big) == PARLEY_OK)
    ck_assert_uint_lt(token, 100);
  ck_assert_uint_gt(token, 40); /* 4 MiB of them */
  ck_assert_uint_eq(h->window, 0);
  unlink(go);
  UNTIL(h, h->window == 1000); /* once half of it is written */
  ck_assert_int_eq(
      tell(h, token,
           "[say('settle', token=line['token'], outcome='accepted') for line in heard if line['type'] == 'send']"),
      PARLEY_OK);
  UNTIL(h, h->n_settles == token);
  free(big);
  plugin_host_done(&h);
}
END_TEST

START_TEST(one_that_never_reads_is_killed_and_the_unread_tried_again)
{
  static const char *const options[] = {"command", PUPPET ",say('ready'); time.sleep(1000)", "in_flight", "1000", NULL};
  struct plugin_host *h = exec_ready(options);
  size_t len = 100000;
  char *big = xcalloc(1, len);

  memset(big, '#', len - 1);
  for (uint64_t token = 1; token <= 3; token++)
    ck_assert_int_eq(tell(h, token, big), PARLEY_OK);
  plugin_host_step(h, 60000);
  UNTIL_LIVE(h, h->health == PARLEY_DOWN);
  for (uint64_t token = 1; token <= 3; token++)
    ck_assert_uint_eq(plugin_host_result(h, token), PARLEY_OUTCOME_RETRY);
  free(big);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_flood_of_words_is_bounded)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1,
                        "for i in range(500): say('log', line='flood'); say('health', level='degraded', cause=str(i))\n"
                        "settle('accepted')"),
                   PARLEY_OK);
  UNTIL(h, logged_times(h, "line=\"flood\"") > 0);
  for (int i = 0; i < 20; i++)
    plugin_host_poll(h, 5);
  ck_assert_uint_le(logged_times(h, "line=\"flood\""), 20);
  ck_assert_uint_eq(plugin_host_result(h, 1), 0); /* it is not read until its second is over */
  UNTIL_LIVE(h, plugin_host_result(h, 1) != 0);
  ck_assert(logged(h, "event=program_lines_not_logged lines="));
  plugin_host_step(h, 1000);
  ck_assert(parley_text_is(h->health_cause, "499")); /* the newest */
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_flood_of_stderr_stops_nothing_else)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "if os.fork() == 0:\n while True: os.write(2, b'noise ' * 1000)"), PARLEY_OK);
  UNTIL(h, logged(h, "noise"));
  told(h, 2, "settle('accepted')");
  ck_assert_uint_le(h->n_logs, 30);
  plugin_host_done(&h); /* and the one that it forked ends with it */
}
END_TEST

START_TEST(stderr_is_read_so_much_in_a_second)
{
  struct plugin_host *h = exec_ready(puppet);

  ck_assert_int_eq(tell(h, 1, "os.write(2, b'x\\n' * 600000); settle('accepted')"), PARLEY_OK);
  for (int i = 0; i < 300; i++)
    plugin_host_poll(h, 1);
  ck_assert_uint_eq(plugin_host_result(h, 1), 0);
  UNTIL_LIVE(h, plugin_host_result(h, 1) == PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
}
END_TEST

START_TEST(one_that_closes_its_output_is_ended)
{
  struct plugin_host *h = exec_ready(quick_end);

  ck_assert_int_eq(tell(h, 1, "os.close(1); time.sleep(1000)"), PARLEY_OK);
  UNTIL_LIVE(h, h->health == PARLEY_DOWN);
  ck_assert_msg(text_find_text(h->health_cause, PARLEY_LIT("killed: it closed")) == 0, "%.*s",
                TEXT_ARG(h->health_cause));
  plugin_host_done(&h);
}
END_TEST

/* --- Stopping --------------------------------------------------------------------------------------------------------
 */

START_TEST(it_is_told_to_drain_and_to_stop)
{
  char path[] = "/tmp/parley-heard-XXXXXX", python[300], heard[200] = "";
  struct plugin_host *h = exec_ready(puppet);
  int fd = mkstemp(path);

  ck_assert(fd >= 0);
  snprintf(python, sizeof python,
           "wait_for('drain'); settle('accepted'); wait_for('stop'); end = hear()\n"
           "open('%s', 'w').write(' '.join(line['type'] for line in heard) + ' ' + str(end))",
           path);
  ck_assert_int_eq(tell(h, 1, python), PARLEY_OK);
  plugin_host_drain(h, 1000);
  UNTIL(h, plugin_host_result(h, 1) == PARLEY_OUTCOME_ACCEPTED);
  plugin_host_stop(h);
  ck_assert_int_gt(read(fd, heard, sizeof heard - 1), 0);
  ck_assert_str_eq(heard, "hello send drain stop None");
  ck_assert(logged(h, "event=program_ended why=\"stopped\""));
  close(fd);
  unlink(path);
  plugin_host_done(&h);
}
END_TEST

START_TEST(one_that_does_not_stop_is_killed_with_all_it_started)
{
  struct plugin_host *h = exec_ready(quick_end);
  pid_t pid;

  ck_assert_int_eq(tell(h, 1,
                        "import signal; signal.signal(15, signal.SIG_IGN); child = os.fork()\n"
                        "if child: say('log', line='child ' + str(child))\n"
                        "while True: time.sleep(1000)"),
                   PARLEY_OK);
  UNTIL(h, logged(h, "line=\"child "));
  pid = (pid_t)atoi(strstr(h->log.at, "line=\"child ") + 12);
  ck_assert_int_eq(kill(pid, 0), 0);
  plugin_host_stop(h);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_UNKNOWN);
  until_gone(h, pid);
  plugin_host_done(&h);
}
END_TEST

START_TEST(stopping_while_it_waits_to_be_started_again)
{
  static const char *const options[] = {"command", "false", NULL};
  struct plugin_host *h = plugin_host_new("exec");

  plugin_host_start(h, options);
  UNTIL(h, h->health == PARLEY_DOWN);
  plugin_host_done(&h);
}
END_TEST

static TCase *case_messages(void)
{
  TCase *tcase = tcase_create("messages");

  tcase_add_loop_test(tcase, options_that_make_no_sense_are_refused_with_a_cause, 0, COUNT_OF(wrong));
  tcase_add_loop_test(tcase, a_program_that_is_not_there_is_refused_at_the_start, 0, COUNT_OF(nowhere));
  tcase_add_test(tcase, capabilities_are_what_the_options_say);
  tcase_add_test(tcase, the_example_in_the_table_is_a_whole_channel);
  tcase_add_test(tcase, what_the_program_settles_is_settled);
  tcase_add_test(tcase, many_are_in_its_hands_and_settled_in_any_order);
  tcase_add_test(tcase, a_probe_is_answered_by_the_program_or_for_it);
  tcase_add_test(tcase, a_probe_that_is_not_answered_kills_nobody);
  tcase_add_test(tcase, a_window_of_the_program_narrows_and_widens);
  tcase_add_test(tcase, a_settlement_that_makes_no_sense_is_unknown);
  tcase_add_test(tcase, done_comes_after_the_commit_and_not_before);
  tcase_add_test(tcase, receipts_and_events_are_reported_and_answered);
  tcase_add_test(tcase, reports_that_wait_for_their_commit_are_bounded);
  tcase_add_test(tcase, health_and_log_lines_are_passed_on);
  return tcase;
}

static TCase *case_program(void)
{
  TCase *tcase = tcase_create("program");

  tcase_add_test(tcase, its_world_is_small);
  tcase_add_test(tcase, a_program_that_dies_leaves_the_read_unknown_and_the_unread_to_be_tried_again);
  tcase_add_test(tcase, what_it_had_read_when_it_died_is_said_to_have_died_with_it_and_others_go_on);
  tcase_add_test(tcase, an_exit_is_told_with_its_last_words);
  tcase_add_test(tcase, what_it_said_before_its_end_counts);
  tcase_add_test(tcase, a_done_goes_to_the_program_that_asked_and_to_no_later_one);
  tcase_add_test(tcase, what_it_started_ends_with_it);
  tcase_add_test(tcase, pauses_before_a_start_double_up_to_the_longest);
  tcase_add_test(tcase, a_file_that_is_no_program_is_told_as_such);
  tcase_add_test(tcase, without_descriptors_it_is_tried_again_later);
  tcase_add_test(tcase, it_must_say_ready_in_time);
  tcase_add_test(tcase, garbage_kills_it_after_some_lines);
  tcase_add_test(tcase, a_bad_line_now_and_then_is_forgiven);
  tcase_add_test(tcase, a_line_that_is_too_long_is_skipped_and_the_next_one_understood);
  tcase_add_test(tcase, tokens_that_are_not_its_own_are_refused);
  tcase_add_test(tcase, one_that_hangs_is_killed_when_its_first_message_is_due);
  tcase_add_test(tcase, one_whose_end_never_comes_holds_nobody_up);
  tcase_add_test(tcase, a_message_that_it_loses_is_given_up_alone);
  tcase_add_test(tcase, one_that_does_not_read_fills_a_bounded_queue);
  tcase_add_test(tcase, one_that_never_reads_is_killed_and_the_unread_tried_again);
  tcase_add_test(tcase, a_flood_of_words_is_bounded);
  tcase_add_test(tcase, a_flood_of_stderr_stops_nothing_else);
  tcase_add_test(tcase, stderr_is_read_so_much_in_a_second);
  tcase_add_test(tcase, one_that_closes_its_output_is_ended);
  tcase_add_test(tcase, it_is_told_to_drain_and_to_stop);
  tcase_add_test(tcase, one_that_does_not_stop_is_killed_with_all_it_started);
  tcase_add_test(tcase, stopping_while_it_waits_to_be_started_again);
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("plugins/exec");
  SRunner *runner;
  int failed;

  suite_add_tcase(suite, case_messages());
  suite_add_tcase(suite, case_program());
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
