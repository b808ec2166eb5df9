/* What a plugin needs and still has in its sandbox: threads, a libuv loop, sockets that were passed, TLS and the system's
 * certificates, time zones, and being loaded itself, from a descriptor. */
// sources: core/host/sandbox.c core/host/landlock.c core/host/filter.c
// sources: tests/support/plugin_host.c tests/support/stream_host.c tests/support/smtp_script.c
// libraries: PkgConfig::SECCOMP
#include "net_cert.h"
#include "sandbox_case.h"
#include "tests/support/plugin_host.h"
#include "tests/support/smtp_script.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <uv.h>

enum { THREADS = 4, WORKS = 8, TICKS = 3 };
#define CA_FILE "/etc/ssl/certs/ca-certificates.crt"

/* --- Threads and the loop ------------------------------------------------------------------------------------------ */
static void *thread_runs(void *arg)
{
  char *memory = malloc(100000);
  sigset_t none;

  sigemptyset(&none);
  if (memory != NULL && pthread_sigmask(SIG_BLOCK, &none, NULL) == 0 && pthread_setname_np(pthread_self(), "sandboxed") == 0)
    *(int *)arg = 1;
  free(memory);
  return NULL;
}

static int threads_run(const struct sandbox_report *report, void *arg)
{
  pthread_t threads[THREADS];
  int ran[THREADS] = {0};

  (void)report, (void)arg;
  for (int i = 0; i < THREADS; i++)
    NEED(pthread_create(&threads[i], NULL, thread_runs, &ran[i]) == 0);
  for (int i = 0; i < THREADS; i++)
    NEED(pthread_join(threads[i], NULL) == 0 && ran[i] == 1);
  NEED(pthread_kill(pthread_self(), 0) == 0);
  return 0;
}

START_TEST(threads_run_as_ever)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, threads_run, NULL);
}
END_TEST

struct looped {
  uv_timer_t timer;
  uv_async_t async;
  uv_signal_t signal;
  uv_work_t works[WORKS];
  int ticks, worked, woken, signalled;
};

static void looped_end(struct looped *l)
{
  if (l->ticks < TICKS || l->worked < WORKS || l->woken == 0 || l->signalled == 0)
    return;
  uv_close((uv_handle_t *)&l->timer, NULL);
  uv_close((uv_handle_t *)&l->async, NULL);
  uv_close((uv_handle_t *)&l->signal, NULL);
}

static void on_tick(uv_timer_t *timer)
{
  struct looped *l = timer->data;

  if (++l->ticks == TICKS)
    uv_timer_stop(timer);
  looped_end(l);
}

static void on_wake(uv_async_t *async)
{
  struct looped *l = async->data;

  l->woken++;
  looped_end(l);
}

static void on_signal(uv_signal_t *signal, int number)
{
  struct looped *l = signal->data;

  (void)number;
  l->signalled++;
  looped_end(l);
}

static void on_pool(uv_work_t *work)
{
  struct looped *l = work->data;

  uv_async_send(&l->async);
}

static void on_worked(uv_work_t *work, int status)
{
  struct looped *l = work->data;

  l->worked += status == 0;
  looped_end(l);
}

static int a_loop_runs(const struct sandbox_report *report, void *arg)
{
  static struct looped l;
  uv_loop_t loop;

  (void)report, (void)arg;
  NEED(uv_loop_init(&loop) == 0);
  NEED(uv_timer_init(&loop, &l.timer) == 0 && uv_async_init(&loop, &l.async, on_wake) == 0 &&
       uv_signal_init(&loop, &l.signal) == 0);
  l.timer.data = l.async.data = l.signal.data = &l;
  NEED(uv_timer_start(&l.timer, on_tick, 1, 1) == 0 && uv_signal_start(&l.signal, on_signal, SIGUSR1) == 0);
  for (int i = 0; i < WORKS; i++) {
    l.works[i].data = &l;
    NEED(uv_queue_work(&loop, &l.works[i], on_pool, on_worked) == 0);
  }
  NEED(raise(SIGUSR1) == 0);
  NEED(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  NEED(uv_loop_close(&loop) == 0 && l.ticks == TICKS && l.worked == WORKS);
  return 0;
}

START_TEST(a_libuv_loop_runs_with_timers_pool_and_signals)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  sandbox_case(&limits, _i, a_loop_runs, NULL);
}
END_TEST

static int aborts(const struct sandbox_report *report, void *arg)
{
  (void)report, (void)arg;
  signal(SIGABRT, SIG_DFL);
  abort();
}

START_TEST(an_abort_is_seen_as_one)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);
  int status = sandbox_case_status(sandbox_case_start(&limits, _i, aborts, NULL));

  ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* --- Small things ------------------------------------------------------------------------------------------------- */
static int small_things(const struct sandbox_report *report, void *arg)
{
  struct rlimit limit;
  struct timespec now;
  struct tm tm;
  time_t winter = 1700000000;
  char byte;
  int ends[2], fd;

  (void)report, (void)arg;
  NEED(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL) == 0);
  NEED(getrandom(&byte, 1, 0) == 1);
  NEED((fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC)) >= 0 && read(fd, &byte, 1) == 1 && close(fd) == 0);
  NEED(getrlimit(RLIMIT_STACK, &limit) == 0);
  NEED(sysconf(_SC_NPROCESSORS_ONLN) > 0 && sysconf(_SC_PHYS_PAGES) > 0);
  NEED(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1);
  NEED((fd = fcntl(ends[0], F_DUPFD_CLOEXEC, 10)) >= 10 && close(fd) == 0);
  if (access("/usr/share/zoneinfo/Europe/Madrid", R_OK) != 0)
    return 0;
  tzset();
  NEED(localtime_r(&winter, &tm) != NULL && tm.tm_gmtoff == 3600);
  return 0;
}

START_TEST(clocks_zones_randomness_and_pipes_are_there)
{
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);

  setenv("TZ", "Europe/Madrid", 1);
  sandbox_case(&limits, _i, small_things, NULL);
}
END_TEST

/* --- Sockets that were passed ------------------------------------------------------------------------------------- */
struct echo {
  uv_tcp_t listener, peer;
  uv_write_t write;
  char bytes[64];
  int echoed;
};

static void echo_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
  struct echo *e = handle->data;

  (void)wanted;
  *room = uv_buf_init(e->bytes, sizeof e->bytes);
}

static void on_written(uv_write_t *write, int status)
{
  struct echo *e = write->data;

  e->echoed += status == 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
  struct echo *e = stream->data;
  uv_buf_t out = uv_buf_init(room->base, n > 0 ? (unsigned)n : 0);

  e->write.data = e;
  if (n > 0 && uv_write(&e->write, stream, &out, 1, on_written) == 0)
    return;
  uv_close((uv_handle_t *)stream, NULL);
}

static void on_connection(uv_stream_t *listener, int status)
{
  struct echo *e = listener->data;

  if (status == 0 && uv_tcp_init(listener->loop, &e->peer) == 0) {
    e->peer.data = e;
    if (uv_accept(listener, (uv_stream_t *)&e->peer) == 0 && uv_tcp_nodelay(&e->peer, 1) == 0 &&
        uv_tcp_keepalive(&e->peer, 1, 60) == 0)
      uv_read_start((uv_stream_t *)&e->peer, echo_room, on_read);
  }
  uv_close((uv_handle_t *)listener, NULL);
}

static int accepts(const struct sandbox_report *report, void *arg)
{
  static struct echo e;
  uv_loop_t loop;

  (void)report;
  NEED(uv_loop_init(&loop) == 0 && uv_tcp_init(&loop, &e.listener) == 0 && uv_tcp_open(&e.listener, *(int *)arg) == 0);
  e.listener.data = &e;
  NEED(uv_listen((uv_stream_t *)&e.listener, 16, on_connection) == 0);
  NEED(uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0);
  NEED(e.echoed == 1);
  return 0;
}

START_TEST(a_listening_socket_that_was_passed_accepts)
{
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof there;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sandbox_limits limits = sandbox_case_limits(&listener, 1);
  char bytes[8] = "";
  pid_t child;

  ck_assert_int_eq(bind(listener, (struct sockaddr *)&there, len), 0);
  ck_assert_int_eq(listen(listener, 4), 0);
  ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&there, &len), 0);
  child = sandbox_case_start(&limits, _i, accepts, &listener);
  ck_assert_int_eq(connect(fd, (struct sockaddr *)&there, len), 0);
  ck_assert_int_eq(write(fd, "ping", 4), 4);
  ck_assert_int_eq(read(fd, bytes, sizeof bytes), 4);
  ck_assert_str_eq(bytes, "ping");
  close(fd);
  close(listener);
  sandbox_case_end(child);
}
END_TEST

struct secured {
  struct net_cert cert;
  int pair[2]; /* ours, the sandbox's */
};

/* As core/net/tls.c does it: the system's certificates and one by value. */
static SSL_CTX *client_context(const struct secured *s)
{
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  BIO *bio = BIO_new_mem_buf(s->cert.cert, -1);
  X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

  if (ctx == NULL || cert == NULL || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1)
    return NULL;
  X509_free(cert);
  BIO_free(bio);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  return ctx;
}

static int shakes_hands(const struct sandbox_report *report, void *arg)
{
  const struct secured *s = arg;
  SSL_CTX *ctx = client_context(s);
  SSL *ssl;
  char bytes[8];

  (void)report;
  NEED(ctx != NULL);
  NEED(SSL_CTX_set_default_verify_paths(ctx) == 1);
  if (access(CA_FILE, F_OK) == 0) {
    NEED(SSL_CTX_load_verify_locations(ctx, CA_FILE, NULL) == 1);
    NEED(sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx))) > 50);
  }
  ssl = SSL_new(ctx);
  NEED(ssl != NULL && SSL_set1_host(ssl, "a.example") == 1 && SSL_set_fd(ssl, s->pair[1]) == 1);
  NEED(SSL_connect(ssl) == 1 && SSL_get_verify_result(ssl) == X509_V_OK);
  NEED(SSL_write(ssl, "ping", 4) == 4 && SSL_read(ssl, bytes, sizeof bytes) == 4 && memcmp(bytes, "pong", 4) == 0);
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  return 0;
}

static void answer_hands(const struct secured *s)
{
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  BIO *cert_bio = BIO_new_mem_buf(s->cert.cert, -1), *key_bio = BIO_new_mem_buf(s->cert.key, -1);
  X509 *cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
  EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
  SSL *ssl;
  char bytes[8];

  ck_assert(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
  ssl = SSL_new(ctx);
  ck_assert_int_eq(SSL_set_fd(ssl, s->pair[0]), 1);
  ck_assert_int_eq(SSL_accept(ssl), 1);
  ck_assert_int_eq(SSL_read(ssl, bytes, sizeof bytes), 4);
  ck_assert_int_eq(SSL_write(ssl, "pong", 4), 4);
  SSL_free(ssl);
  X509_free(cert);
  EVP_PKEY_free(key);
  BIO_free(cert_bio);
  BIO_free(key_bio);
  SSL_CTX_free(ctx);
}

START_TEST(tls_is_spoken_over_a_socket_that_was_passed)
{
  static struct secured s;
  struct sandbox_limits limits = sandbox_case_limits(&s.pair[1], 1);
  pid_t child;

  unsetenv("SSL_CERT_FILE");
  unsetenv("SSL_CERT_DIR");
  net_cert_make(&s.cert, "DNS:a.example", 1);
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s.pair), 0);
  child = sandbox_case_start(&limits, _i, shakes_hands, &s);
  close(s.pair[1]);
  answer_hands(&s);
  close(s.pair[0]);
  sandbox_case_end(child);
}
END_TEST

static int reads_certificates(const struct sandbox_report *report, void *arg)
{
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

  (void)report, (void)arg;
  NEED(ctx != NULL && SSL_CTX_set_default_verify_paths(ctx) == 1);
  NEED(sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx))) == 1);
  SSL_CTX_free(ctx);
  return 0;
}

START_TEST(the_operators_own_certificates_are_read)
{
  static struct net_cert cert;
  struct sandbox_limits limits = sandbox_case_limits(NULL, 0);
  char folder[256], path[300];
  FILE *file;

  net_cert_make(&cert, "DNS:ca.example", 1);
  snprintf(path, sizeof path, "%s/ca.pem", sandbox_case_folder(folder));
  file = fopen(path, "we");
  ck_assert(file != NULL && fputs(cert.cert, file) >= 0 && fclose(file) == 0);
  setenv("SSL_CERT_FILE", path, 1);
  sandbox_case(&limits, _i, reads_certificates, NULL);
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* --- The plugin itself --------------------------------------------------------------------------------------------- */
enum opened { OPENED_AS_IT_IS, OPENED_AND_UNLINKED, OPENED_IN_MEMORY, OPENED_KINDS };
enum plugin { PLUGIN_SINK, PLUGIN_EMAIL, PLUGINS };
enum { PLUGIN_CASES = OPENED_KINDS * PLUGINS * KERNELS };
static const char *const plugin_names[] = {"sink", "email"};

static void bytes_copy(int from, int to)
{
  char block[65536];
  ssize_t n;

  while ((n = read(from, block, sizeof block)) > 0)
    ck_assert_int_eq(write(to, block, (size_t)n), n);
  ck_assert_int_eq(n, 0);
}

/* Written by one descriptor and read by another, as nothing may be loaded that is open for writing. */
static int copy_unlinked(int from)
{
  char folder[256], path[300];
  int to, fd;

  snprintf(path, sizeof path, "%s/plugin.so", sandbox_case_folder(folder));
  to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
  ck_assert_int_ge(to, 0);
  bytes_copy(from, to);
  close(to);
  fd = open(path, O_RDONLY | O_CLOEXEC);
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(rmdir(folder), 0);
  return fd;
}

static int plugin_open(enum plugin plugin, enum opened how)
{
  char path[512];
  int from, to;

  snprintf(path, sizeof path, "%s/plugins/%s.so", PARLEY_BUILD_DIR, plugin_names[plugin]);
  from = open(path, O_RDONLY | O_CLOEXEC);
  ck_assert_msg(from >= 0, "%s is not built", path);
  if (how == OPENED_AS_IT_IS)
    return from;
  to = how == OPENED_AND_UNLINKED ? copy_unlinked(from) : memfd_create("plugin", MFD_CLOEXEC);
  if (how == OPENED_IN_MEMORY)
    bytes_copy(from, to);
  close(from);
  return to;
}

static int sink_runs(const char *path)
{
  struct plugin_host *h = plugin_host_new(path);
  struct plugin_host_message room;

  plugin_host_start(h, NULL);
  NEED(plugin_host_submit(h, 1, plugin_host_text(&room, "msg_1", "email", "a@b.example", "hello")) == PARLEY_OK);
  plugin_host_step(h, 1000);
  NEED(plugin_host_result(h, 1) == PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
  return 0;
}

static int email_runs(const char *path)
{
  static const char *const options[] = {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", NULL};
  struct smtp_script *script = smtp_script_new();
  struct stream_peer peer = smtp_script_peer(script);
  struct stream_host *host = stream_host_new(path, &peer);
  struct plugin_host_message room;

  NEED(stream_host_create(host, options) == PARLEY_OK && stream_host_start(host) == PARLEY_OK);
  NEED(stream_host_submit(host, 1, plugin_host_text(&room, "msg_1", "email", "ana@example.org", "Señora, 木, hello")) == PARLEY_OK);
  stream_host_run(host);
  NEED(host->settled[1].result == PARLEY_OUTCOME_ACCEPTED && script->n_mails == 1);
  NEED(strstr(script->mails[0].at, "charset=utf-8") != NULL || strstr(script->mails[0].at, "charset=UTF-8") != NULL);
  stream_host_free(&host);
  smtp_script_free(&script);
  return 0;
}

struct loaded {
  int fd;
  enum plugin plugin;
};

static int a_plugin_runs(const struct sandbox_report *report, void *arg)
{
  const struct loaded *l = arg;
  char path[64];

  (void)report;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), l->fd);
  switch (l->plugin) {
  case PLUGIN_SINK:
    return sink_runs(path);
  case PLUGIN_EMAIL:
    return email_runs(path);
  case PLUGINS:
    break;
  }
  return 1;
}

START_TEST(a_plugin_is_loaded_from_a_descriptor_and_does_its_work)
{
  struct loaded l = {.plugin = (enum plugin)(_i / KERNELS % PLUGINS)};
  struct sandbox_limits limits;

  l.fd = plugin_open(l.plugin, (enum opened)(_i / KERNELS / PLUGINS));
  limits = sandbox_case_limits(&l.fd, 1);
  sandbox_case(&limits, _i % KERNELS, a_plugin_runs, &l);
  close(l.fd);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sandbox_needs");
  TCase *tcase = tcase_create("needs");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, threads_run_as_ever, 0, KERNELS);
  tcase_add_loop_test(tcase, a_libuv_loop_runs_with_timers_pool_and_signals, 0, KERNELS);
  tcase_add_loop_test(tcase, an_abort_is_seen_as_one, 0, KERNELS);
  tcase_add_loop_test(tcase, clocks_zones_randomness_and_pipes_are_there, 0, KERNELS);
  tcase_add_loop_test(tcase, a_listening_socket_that_was_passed_accepts, 0, KERNELS);
  tcase_add_loop_test(tcase, tls_is_spoken_over_a_socket_that_was_passed, 0, KERNELS);
  tcase_add_loop_test(tcase, the_operators_own_certificates_are_read, 0, KERNELS);
  tcase_add_loop_test(tcase, a_plugin_is_loaded_from_a_descriptor_and_does_its_work, 0, PLUGIN_CASES);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
