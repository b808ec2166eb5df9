/* parleyd - the daemon. Exit codes are those of sysexits.h. */
#include "core/channel/check.h"
#include "core/customer/keyword_conf.h"
#include "daemon.h"
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] = "usage: parleyd -c parley.yaml\n"
                            "  -c, --config FILE   the configuration (conf/parley.yaml shows every option)\n"
                            "      --restored      the store was restored: start paused, with all that may have gone out marked\n"
                            "      --check         read the configuration, say what is wrong with it, and exit\n"
                            "  -V, --version       print the version and exit\n"
                            "  -h, --help          print this and exit\n"
                            "SIGHUP reads the configuration again, all of it or nothing; SIGTERM drains and stops.\n";

struct arguments {
  const char *config;
  bool check, restored;
};

/* -1: go on; else the exit code. */
static int arguments_read(int argc, char **argv, struct arguments *ret)
{
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"check", no_argument, NULL, 'k'},
                                          {"restored", no_argument, NULL, 'r'},
                                          {"version", no_argument, NULL, 'V'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  int option;

  while ((option = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
    switch (option) {
    case 'c':
      ret->config = optarg;
      break;
    case 'k':
      ret->check = true;
      break;
    case 'r':
      ret->restored = true;
      break;
    case 'V':
      printf("parleyd " PARLEY_VERSION "\n");
      return EX_OK;
    case 'h':
      fputs(usage, stdout);
      return EX_OK;
    default:
      fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  if (ret->config != NULL && optind == argc)
    return -1;
  if (optind < argc)
    fprintf(stderr, "parleyd: unexpected argument '%s'\n", argv[optind]);
  fputs(usage, stderr);
  return EX_USAGE;
}

/* Files are ours alone, crash dumps hold no secrets, a peer that hangs up is no signal. As many descriptors as we may have: a
 * shell's 1,024 are fewer than the readers of the event stream alone. A limit of 1 byte is less than any dump; with 0 the kernel
 * would still feed one, of a plugin's process too, to a kernel.core_pattern that is a program. */
static void process_harden(void)
{
  struct rlimit none = {1, 1}, files;

  umask(0077);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  setrlimit(RLIMIT_CORE, &none);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

static int process_run(struct daemon *daemon)
{
  struct buf why = BUF_INIT(65536);
  int code = daemon_start(daemon, &why);

  if (code != EX_OK) {
    daemon->exit_code = code;
    fprintf(stderr, "parleyd: %s\n", why.len > 0 ? why.at : "could not start");
    daemon_stop(daemon);
  }
  buf_done(&why);
  uv_run(daemon->loop, UV_RUN_DEFAULT);
  egress_free(&daemon->egress);
  plugin_unref(&daemon->sink);
  plugin_shelf_sweep(&daemon->shelf, true);
  log_line(&daemon->log, PARLEY_INFO, "event=stopped");
  return daemon->exit_code;
}

static parley_status daemon_conf_check(const struct conf *conf, struct buf *reterr_why)
{
  struct store_config store = {.driver = conf->store.driver == CONF_POSTGRES ? "postgres" : "sqlite", .url = conf->store.url.at};
  parley_status st = store_reach(&store, false, reterr_why);

  if (st == PARLEY_OK)
    st = phone_plan_check(conf, reterr_why);
  if (st == PARLEY_OK && !keywords_check(conf, reterr_why))
    st = PARLEY_INVALID;
  return st == PARLEY_OK ? channels_check(conf, NULL, NULL, reterr_why) : st;
}

int main(int argc, char **argv)
{
  struct arguments arguments = {0};
  struct buf why = BUF_INIT(65536);
  struct daemon daemon = {.env = &env_system};
  uv_loop_t loop;
  int code = arguments_read(argc, argv, &arguments);

  if (code >= 0)
    return code;
  process_harden();
  if (conf_load(arguments.config, &daemon.conf, &why) != PARLEY_OK) {
    fprintf(stderr, "%s\n", why.at);
    buf_done(&why);
    return EX_CONFIG;
  }
  if (arguments.check) {
    code = daemon_conf_check(daemon.conf, &why) == PARLEY_OK ? EX_OK : EX_CONFIG;
    fprintf(code == EX_OK ? stdout : stderr, "%s%s\n", code == EX_OK ? arguments.config : why.at, code == EX_OK ? ": ok" : "");
    conf_unref(&daemon.conf);
    buf_done(&why);
    return code;
  }
  daemon.conf_path = arguments.config;
  daemon.restored = arguments.restored;
  daemon.log = (struct log){
      .fd = STDERR_FILENO, .level = daemon.conf->log.level, .json = daemon.conf->log.json, .env = &env_system};
  uv_loop_init(&loop);
  daemon.loop = &loop;
  code = process_run(&daemon);
  conf_unref(&daemon.conf);
  if (uv_loop_close(&loop) != 0 && code == EX_OK)
    code = EX_SOFTWARE; /* a handle was left open: a bug of ours */
  return code;
}
