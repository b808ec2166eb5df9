/* A case in its own process: loads the .so, runs the case, tells its result through one pipe, and goes. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/channel.h"
#include "core/config/file.h"
#include "inside.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define KIT_REPORT_BYTES_MAX 4000 /* below PIPE_BUF: one write is one report */
#define KIT_SIGNAL_STACK 65536
#define MALLOC_PATTERN 0x5A
#define PEER_BYTES_MAX ((size_t)65536)

/* --- Results ------------------------------------------------------------------------------------------------------ */

/* Verdict, sentence, NUL, words. The first report counts: another thread may fail as well. */
static _Noreturn void report(char verdict, const char *promise, const char *format, va_list args)
{
  struct buf said = BUF_INIT(KIT_REPORT_BYTES_MAX);

  buf_char(&said, verdict);
  buf_str(&said, promise);
  buf_char(&said, '\0');
  buf_vprintf(&said, format, args);
  if (write(KIT_REPORT_FD, said.at, said.len) != (ssize_t)said.len)
    abort();
  _exit(0);
}

void kit_fail(struct kit *kit, const char *promise, const char *format, ...)
{
  va_list args;

  (void)kit;
  va_start(args, format);
  report('F', promise, format, args);
}

void kit_skip(struct kit *kit, const char *format, ...)
{
  va_list args;

  (void)kit;
  va_start(args, format);
  report('S', "", format, args);
}

static _Noreturn void pass(const char *format, ...)
{
  va_list args;

  va_start(args, format);
  report('P', "", format, args);
}

/* Tells the address, and lets the signal do what it does. Async-signal-safe; no state. */
static void on_fault(int number, siginfo_t *info, void *context)
{
  char line[2 + 2 * sizeof(uintptr_t)] = "A";
  uintptr_t at = (uintptr_t)info->si_addr;

  (void)context, (void)number;
  for (size_t i = 0; i < 2 * sizeof at; i++)
    line[1 + i] = "0123456789abcdef"[at >> (8 * sizeof at - 4 * (i + 1)) & 15];
  if (write(KIT_REPORT_FD, line, 1 + 2 * sizeof at) < 0)
    return; /* it comes again, and ends us */
}

static void faults_watch(struct kit *kit)
{
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
  stack_t stack = {.ss_sp = arena_alloc(kit->arena, KIT_SIGNAL_STACK), .ss_size = KIT_SIGNAL_STACK};

  sigaltstack(&stack, NULL);
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

/* --- The plugin --------------------------------------------------------------------------------------------------- */

void kit_name(const char *path, char name[65])
{
  const char *slash = strrchr(path, '/');
  parley_text base = parley_text_of(slash != NULL ? slash + 1 : path);

  if (text_ends(base, ".so"))
    base.len -= 3;
  snprintf(name, 65, "%.*s", TEXT_ARG(base));
}

void *kit_open(const char *path, const parley_plugin **ret, struct buf *reterr_why)
{
  char full[4096];
  void *so = realpath(path, full) != NULL ? dlopen(full, RTLD_NOW | RTLD_LOCAL) : NULL;

  if (so == NULL) {
    buf_printf(reterr_why, "%s cannot be loaded: %s", path, access(path, R_OK) != 0 ? strerror(errno) : dlerror());
    return NULL;
  }
  *ret = dlsym(so, "parley_plugin_v1");
  if (*ret != NULL)
    return so;
  buf_printf(reterr_why, "%s exports no parley_plugin_v1: it is not a Parley plugin", path);
  return NULL;
}

/* The load cases say what is wrong with the file; the others need a table that can be called. */
static void plugin_need(struct kit *kit)
{
  struct buf why = BUF_INIT(4096);
  bool loading = strncmp(kit->running->name, "load.", 5) == 0;

  kit->so = kit_open(kit->wish->path, &kit->plugin, &why);
  if (loading)
    return;
  if (kit->so == NULL || plugin_check(kit->plugin, kit->name, channel_extensions, &why) != PARLEY_OK)
    kit_skip(kit, "the host would not load it: see load.file and load.table");
  for (const char *const *id = kit->plugin->requires_ids; id != NULL && *id != NULL; id++)
    if (kit_extension(NULL, *id) == NULL)
      kit_skip(kit, "it needs %s, which this kit does not play", *id);
}

static parley_text file_whole(struct kit *kit, const char *path)
{
  struct buf bytes = BUF_INIT(PEER_BYTES_MAX), why = BUF_INIT(1024);
  parley_text kept = TEXT_EMPTY;

  if (path != NULL && file_read(path, PEER_BYTES_MAX, 0, &bytes, &why) == PARLEY_OK)
    kept = arena_text(kit->arena, buf_as_text(&bytes));
  buf_done(&bytes);
  buf_done(&why);
  return kept;
}

static void samples_read(struct kit *kit)
{
  const struct kit_wish *wish = kit->wish;
  struct buf why = BUF_INIT(1024);
  char *path = kit_beside(wish->inbound, wish->path, ".inbound.http", kit->arena);

  kit->inbound_sample = kit_sample_read(path, false, kit->arena, &why);
  kit->answer_sample = kit_sample_read(kit_beside(wish->answer, wish->path, ".answer.http", kit->arena), true, kit->arena, &why);
  if (why.len > 0) /* the kit itself has read them once before */
    kit_skip(kit, "%s", why.at);
  kit->peer_talk = file_whole(kit, kit_beside(wish->peer, wish->path, ".peer", kit->arena));
  kit->caller_talk = file_whole(kit, kit_beside(wish->caller, wish->path, ".caller", kit->arena));
  buf_done(&why);
}

/* Letters that no other text has: where it shows up, our message has been. */
static void word_make(struct kit *kit)
{
  static const char letters[] = "bcdfghjkmnpqrstvwxz";

  memcpy(kit->word, "kit", 3);
  for (size_t i = 3; i < 19; i++)
    kit->word[i] = letters[kit_below(kit, sizeof letters - 1)];
}

static struct kit *kit_new(const struct kit_wish *wish, const struct kit_case *kit_case, uint64_t seed, struct kit_note *note)
{
  struct kit *kit = xcalloc(1, sizeof *kit);

  kit->wish = wish;
  kit->running = kit_case;
  kit->note = note;
  kit->arena = arena_new();
  kit_name(wish->path, kit->name);
  kit->heard = BUF_INIT(0);
  kit->answer = (struct kit_answer){.status = PARLEY_OK, .code = 200, .sent = 1, .body = PARLEY_LIT("{}"),
                                    .type = PARLEY_LIT("application/json")};
  env_fake_init(&kit->env, KIT_NOW_MS);
  for (const char *c = kit_case->name; *c != '\0'; c++) /* so that no two cases draw the same lots */
    seed = seed * 31 + (uint8_t)*c;
  kit->env.seed = seed;
  return kit;
}

static bool case_in(const struct kit *kit, const char *const *groups)
{
  for (; *groups != NULL; groups++)
    if (strncmp(kit->running->name, *groups, strlen(*groups)) == 0)
      return true;
  return false;
}

/* A case about messages that saw none has shown nothing. */
static void messages_need(struct kit *kit)
{
  static const char *const out[] = {"limit.", "settle.", "provider.", "peer.", NULL};
  static const char *const busy[] = {"limit.", "settle.", "provider.", "reload.", NULL};

  if (kit->last_token > 0)
    return;
  if (kit->plugin->submit == NULL && case_in(kit, out))
    kit_skip(kit, "it takes in only: submit is NULL");
  if (kit->plugin->submit != NULL && case_in(kit, busy))
    kit_skip(kit, "it never took a message: its window is closed, or it is down; see --answer and --peer");
}

void kit_case_run(const struct kit_wish *wish, const struct kit_case *kit_case, uint64_t seed, struct kit_note *note)
{
  struct kit *kit = kit_new(wish, kit_case, seed, note);
  const struct rlimit none = {1, 1}; /* 0 would still feed a core_pattern that is a program */

  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setrlimit(RLIMIT_CORE, &none);
  signal(SIGPIPE, SIG_IGN);
  faults_watch(kit);
  mallopt(M_ARENA_MAX, 1); /* another one would look like a leak */
  mallopt(M_PERTURB, MALLOC_PATTERN); /* what is freed, or was never filled, looks like nothing */
  kit_loop_init(kit);
  word_make(kit);
  plugin_need(kit);
  samples_read(kit);
  kit->peer = kit_peer_good(kit);
  if (kit->answer_sample != NULL) {
    kit->answer.code = kit->answer_sample->code;
    kit->answer.body = kit->answer_sample->body;
    kit->answer.type = parley_header(kit->answer_sample->headers, (uint32_t)kit->answer_sample->n_headers, "content-type");
  }
  kit_case->run(kit);
  messages_need(kit);
  pass("%llu messages settled, %llu requests, %llu streams, %llu things came in", (unsigned long long)kit->n_settled,
       (unsigned long long)kit->n_requests, (unsigned long long)kit->n_connects, (unsigned long long)kit->n_items);
}
