/* kit.h - the conformance kit: tells an author what of the ABI's promises his plugin breaks, before a router finds out. It plays
 * the host (parleyd) to the real .so, with a clock of its own and providers that misbehave; each case runs in a child process,
 * so that a crash, a hang or an abort is a result like any other. Thread: main; blocks. */
#ifndef CORE_KIT_KIT_H
#define CORE_KIT_KIT_H
#include <stdbool.h>
#include <stdint.h>

enum { KIT_PASSED = 0, KIT_FAILED = 1, KIT_UNUSABLE = 2 /* no such file, a sample that cannot be read */ };

/* What the author asks for. Files that are NULL are looked for beside the .so: NAME.inbound.http, NAME.answer.http, NAME.peer,
 * NAME.options.yaml; without one, the cases that need it are skipped. */
struct kit_wish {
  const char *path;    /* of the .so */
  const char *only;    /* a pattern of case names ("provider.*"); NULL: all */
  const char *inbound; /* a provider's callback as it came over the wire: request line, headers, body */
  const char *answer;  /* what the provider answers to a message it takes: status line, headers, body */
  const char *peer;    /* what the far end of a byte stream says: lines of WORD ANSWER */
  const char *caller;  /* all that somebody says who connects to its listener: bytes as they are */
  const char *options; /* the channel's options, as they would stand in parley.yaml; else the table's examples are used */
  const char *program; /* argv[0], for the line that repeats a failed case */
  uint64_t seed;       /* 0: by chance */
  bool json;
};
/* Runs the cases and prints a line each and the sum, or one JSON object. Returns KIT_*. */
int kit_test(const struct kit_wish *wish);
/* Prints every case and what it holds the plugin to. */
int kit_list(const struct kit_wish *wish);
/* Prints what the plugin's table says of itself; read in a child, since loading a file may run its constructors. */
int kit_info(const char *path, bool json);
#endif
