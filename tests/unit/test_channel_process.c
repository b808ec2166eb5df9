/* A child process that is started in the pool: how it ends is told once, whatever happens first. */
#include "core/channel/process.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CROWD = 40 };

struct ended {
  struct process process;
  int times, closed, err, signal;
  int64_t code;
};
static char *const no_env[] = {NULL};

static void on_closed(struct process *process)
{
  struct ended *ended = process->data;

  ended->closed++;
}

static void on_exited(struct process *process, int err, int64_t code, int signal)
{
  struct ended *ended = process->data;

  ended->times++;
  ended->err = err;
  ended->code = code;
  ended->signal = signal;
  process_close(process, on_closed);
}

static int start(uv_loop_t *loop, struct ended *ended, const char *script, const int *fds, size_t n_fds)
{
  char shell[] = "sh", flag[] = "-c", *args[] = {shell, flag, strdup(script), NULL};
  int err;

  ended->process.data = ended;
  err = process_spawn(loop, &ended->process, "/bin/sh", args, no_env, fds, n_fds, on_exited);
  free(args[2]);
  if (err == 0)
    process_ref(&ended->process);
  return err;
}

static void loop_end(uv_loop_t *loop)
{
  uv_run(loop, UV_RUN_DEFAULT);
  ck_assert_int_eq(uv_loop_close(loop), 0);
}

static void expect_ended(const struct ended *ended, int err, int64_t code, int signal)
{
  ck_assert_int_eq(ended->times, 1);
  ck_assert_int_eq(ended->closed, 1);
  ck_assert_int_eq(ended->err, err);
  ck_assert_int_eq(ended->code, code);
  ck_assert_int_eq(ended->signal, signal);
}

START_TEST(its_exit_code_is_told)
{
  uv_loop_t loop;
  struct ended ended = {.times = 0};

  uv_loop_init(&loop);
  ck_assert_int_eq(start(&loop, &ended, "exit 7", NULL, 0), 0);
  ck_assert_int_eq(ended.times, 0);
  loop_end(&loop);
  expect_ended(&ended, 0, 7, 0);
  ck_assert_int_gt(ended.process.pid, 0);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_told_as_such)
{
  char name[] = "nobody", *args[] = {name, NULL};
  uv_loop_t loop;
  struct ended ended = {.times = 0};

  uv_loop_init(&loop);
  ended.process.data = &ended;
  ck_assert_int_eq(process_spawn(&loop, &ended.process, "/nowhere/program", args, no_env, NULL, 0, on_exited), 0);
  loop_end(&loop);
  expect_ended(&ended, -ENOENT, 0, 0);
  ck_assert_int_eq(ended.process.pid, 0);
}
END_TEST

START_TEST(one_that_is_killed_before_it_is_started_does_not_live)
{
  uv_loop_t loop;
  struct ended ended = {.times = 0};

  uv_loop_init(&loop);
  ck_assert_int_eq(start(&loop, &ended, "exec sleep 1000", NULL, 0), 0);
  process_kill(&ended.process);
  loop_end(&loop);
  expect_ended(&ended, 0, 0, SIGKILL);
  process_kill(&ended.process); /* no effect: the number may be somebody else's by now */
}
END_TEST

START_TEST(a_crowd_is_told_apart)
{
  uv_loop_t loop;
  static struct ended ended[CROWD];
  char script[32];

  memset(ended, 0, sizeof ended);
  uv_loop_init(&loop);
  for (int i = 0; i < CROWD; i++) {
    snprintf(script, sizeof script, i % 3 ? "exit %d" : "kill -%d $$", i % 3 ? i : SIGTERM);
    ck_assert_int_eq(start(&loop, &ended[i], script, NULL, 0), 0);
  }
  loop_end(&loop);
  for (int i = 0; i < CROWD; i++)
    expect_ended(&ended[i], 0, i % 3 ? i : 0, i % 3 ? 0 : SIGTERM);
}
END_TEST

/* Descriptors of ours stand where it expects them, the rest is closed, and none of ours is lost. */
START_TEST(it_gets_the_descriptors_that_it_was_given_and_no_other)
{
  uv_loop_t loop;
  struct ended ended = {.times = 0};
  char said[64] = "";
  int pair[2], other = open("/dev/zero", O_RDONLY | O_CLOEXEC), fds[5];
  ssize_t n;

  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  fds[0] = fds[1] = fds[2] = -1;
  fds[3] = pair[1];
  fds[4] = other;
  uv_loop_init(&loop);
  ck_assert_int_eq(start(&loop, &ended, "echo $(readlink /proc/self/fd/4 /proc/self/fd/0) >&3; test ! -e /proc/self/fd/17", fds, 5), 0);
  close(pair[1]);
  loop_end(&loop);
  expect_ended(&ended, 0, 0, 0);
  n = read(pair[0], said, sizeof said - 1);
  ck_assert_int_gt(n, 0);
  ck_assert_str_eq(said, "/dev/zero /dev/null\n");
  ck_assert_int_eq(read(pair[0], said, 1), 0); /* nobody else holds the other end */
  ck_assert_int_ge(fcntl(other, F_GETFD), 0);
  close(pair[0]);
  close(other);
}
END_TEST

/* What is ignored here is not ignored there. */
START_TEST(signals_are_as_after_a_login)
{
  uv_loop_t loop;
  struct ended ended = {.times = 0};

  signal(SIGPIPE, SIG_IGN);
  uv_loop_init(&loop);
  ck_assert_int_eq(start(&loop, &ended, "kill -PIPE $$; exit 0", NULL, 0), 0);
  loop_end(&loop);
  expect_ended(&ended, 0, 0, SIGPIPE);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel_process");
  TCase *tcase = tcase_create("process");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_test(tcase, its_exit_code_is_told);
  tcase_add_test(tcase, a_program_that_is_not_there_is_told_as_such);
  tcase_add_test(tcase, one_that_is_killed_before_it_is_started_does_not_live);
  tcase_add_test(tcase, a_crowd_is_told_apart);
  tcase_add_test(tcase, it_gets_the_descriptors_that_it_was_given_and_no_other);
  tcase_add_test(tcase, signals_are_as_after_a_login);
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
