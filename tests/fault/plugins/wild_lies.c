/* What the wild plugin says that is not so: through the host, and as frames of its own, written past its host into the link. */
#include "wild.h"
#include "core/border/border.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK_BYTES = 65536, FLOOD_FRAMES = 4000000, SMALL_MAX = 512, LIES = 1000, CALLS = 10000, FDS = 200, CLOSE_LIVES_S = 3600 };
/* Members of frame_words and of parley_outcome, as a frame names them. */
enum { WORDS_NUMBER = 1, WORDS_AMOUNT = 2, WORDS_ONE = 8, WORDS_TWO = 16, OUTCOME_RESULT = 1 };

struct block { /* frames, on their way */
  size_t len;
  char at[BLOCK_BYTES];
};

/* --- Frames ----------------------------------------------------------------------------------------------------------- */

/* 0: parleyd reads no more. */
static int send_all(const char *at, size_t len)
{
  while (len > 0) {
    ssize_t n = send(BORDER_FD, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    struct pollfd room = {.fd = BORDER_FD, .events = POLLOUT};

    if (n > 0) {
      at += n;
      len -= (size_t)n;
    } else if (errno != EAGAIN || poll(&room, 1, -1) < 0) {
      return 0;
    }
  }
  return 1;
}

static void put(struct block *block, const void *from, size_t len)
{
  memcpy(block->at + block->len, from, len);
  block->len += len;
}

static void put_number(struct block *block, uint32_t number)
{
  put(block, &number, sizeof number);
}

static void put_text(struct block *block, const char *text)
{
  put_number(block, (uint32_t)strlen(text));
  put(block, text, strlen(text));
}

static void put_head(struct block *block, uint32_t body_bytes, uint16_t type, uint64_t id)
{
  uint16_t zero = 0;

  put_number(block, body_bytes);
  put(block, &type, sizeof type);
  put(block, &zero, sizeof zero);
  put(block, &id, sizeof id);
}

/* Begins a frame of words; its length is filled in by put_words_end(). */
static size_t put_words(struct block *block, uint16_t type, uint64_t id, uint32_t members)
{
  size_t at = block->len;

  put_head(block, 0, type, id);
  put_number(block, members);
  return at;
}

static void put_end(struct block *block, size_t at)
{
  uint32_t bytes = (uint32_t)(block->len - at - FRAME_HEAD_BYTES);

  memcpy(block->at + at, &bytes, sizeof bytes);
}

typedef void put_frame(struct block *block, uint64_t n);

/* Frame after frame, as many as parleyd takes. */
static const char *flood(put_frame *frame, uint64_t frames)
{
  static struct block block;
  uint64_t n = 0;

  while (n < frames) {
    block.len = 0;
    while (n < frames && block.len < BLOCK_BYTES - SMALL_MAX)
      frame(&block, n++);
    if (!send_all(block.at, block.len))
      return "EPIPE";
  }
  return "ok";
}

static void frame_pong(struct block *block, uint64_t n)
{
  (void)n;
  put_head(block, 0, FRAME_PONG, 0);
}

static void frame_log(struct block *block, uint64_t n)
{
  size_t at = put_words(block, FRAME_LOG, 0, WORDS_NUMBER | WORDS_ONE);

  put_number(block, PARLEY_WARN);
  put_text(block, n % 2 ? "event=flood what=\"the same again\"" : "event=flood what=\"and again\"\nevent=forged");
  put_end(block, at);
}

static void frame_health(struct block *block, uint64_t n)
{
  size_t at = put_words(block, FRAME_HEALTH, 0, WORDS_NUMBER | WORDS_ONE);

  put_number(block, n % 2 ? PARLEY_UP : PARLEY_DOWN);
  put_text(block, "it comes and goes");
  put_end(block, at);
}

static void frame_window(struct block *block, uint64_t n)
{
  size_t at = put_words(block, FRAME_WINDOW, 0, WORDS_NUMBER);

  put_number(block, n % 2 ? UINT32_MAX : 0);
  put_end(block, at);
}

static void frame_metric(struct block *block, uint64_t n)
{
  char label[32];
  size_t at = put_words(block, FRAME_METRIC, 0, WORDS_AMOUNT | WORDS_ONE | WORDS_TWO);

  put(block, &(int64_t){1}, sizeof(int64_t));
  put_text(block, "no_such_metric");
  snprintf(label, sizeof label, "label-%llu", (unsigned long long)n);
  put_text(block, label);
  put_end(block, at);
}

static void frame_state_get(struct block *block, uint64_t n)
{
  size_t at = put_words(block, FRAME_STATE_GET, n + 1, WORDS_ONE);

  put_text(block, "key");
  put_end(block, at);
}

static void frame_settle(struct block *block, uint64_t n)
{
  size_t at = block->len;

  put_head(block, 0, FRAME_SETTLE, n);
  put_number(block, OUTCOME_RESULT);
  put_number(block, PARLEY_OUTCOME_ACCEPTED);
  put_end(block, at);
}

static void frame_stranger(struct block *block, uint64_t n)
{
  frame_settle(block, UINT64_C(1) << 40 | n);
}

static void frame_stopped(struct block *block, uint64_t n)
{
  (void)n;
  put_head(block, 0, FRAME_STOPPED, 0);
}

static void frame_dial(struct block *block, uint64_t n)
{
  size_t at = put_words(block, n % 2 ? FRAME_DIAL : FRAME_LISTEN, n + 1, WORDS_NUMBER | WORDS_ONE);

  put_number(block, 1000);
  put_text(block, n % 2 ? "127.0.0.1:9" : "127.0.0.1:0");
  put_end(block, at);
}

static const char *lie_flood_pong(struct wild *wild) { return (void)wild, flood(frame_pong, FLOOD_FRAMES); }
static const char *lie_flood_log(struct wild *wild) { return (void)wild, flood(frame_log, FLOOD_FRAMES); }
static const char *lie_flood_health(struct wild *wild) { return (void)wild, flood(frame_health, FLOOD_FRAMES); }
static const char *lie_flood_window(struct wild *wild) { return (void)wild, flood(frame_window, FLOOD_FRAMES); }
static const char *lie_flood_metric(struct wild *wild) { return (void)wild, flood(frame_metric, FLOOD_FRAMES); }
static const char *lie_calls(struct wild *wild) { return (void)wild, flood(frame_state_get, CALLS); }
static const char *lie_strangers(struct wild *wild) { return (void)wild, flood(frame_stranger, CALLS); }
static const char *lie_stopped(struct wild *wild) { return (void)wild, flood(frame_stopped, LIES); }

/* In drain(): it says it has gone, and goes on asking. */
static const char *lie_after_stopped(struct wild *wild)
{
  (void)wild;
  flood(frame_stopped, 1);
  return flood(frame_dial, LIES);
}

static const char *lie_call_twice(struct wild *wild)
{
  struct block block = {0};

  (void)wild;
  frame_state_get(&block, 0);
  frame_state_get(&block, 0);
  return send_all(block.at, block.len) ? "ok" : "EPIPE";
}

/* One frame of this type, with a body that means nothing. */
static const char *one_frame(uint32_t body_bytes, uint16_t type, uint32_t body_sent)
{
  struct block block = {0};

  put_head(&block, body_bytes, type, 7);
  memset(block.at + block.len, 0xa5, body_sent);
  block.len += body_sent;
  return send_all(block.at, block.len) ? "ok" : "EPIPE";
}

static const char *lie_garbage(struct wild *wild)
{
  struct block block = {.len = BLOCK_BYTES};

  wild->host->random(wild->host, block.at, sizeof block.at);
  block.at[3] = 0x7f; /* never a length by chance */
  return send_all(block.at, block.len) ? "ok" : "EPIPE";
}

/* In a constructor, too: it stands in for what the plugin's table says. */
static const char *lie_facts(struct wild *wild) { return (void)wild, one_frame(64, FRAME_FACTS, 64); }
static const char *lie_huge(struct wild *wild) { return (void)wild, one_frame(UINT32_C(1) << 31, FRAME_INBOUND, 16); }
static const char *lie_unknown_type(struct wild *wild) { return (void)wild, one_frame(0, 999, 0); }
static const char *lie_our_type(struct wild *wild) { return (void)wild, one_frame(0, FRAME_SUBMIT, 0); }
static const char *lie_bad_body(struct wild *wild) { return (void)wild, one_frame(64, FRAME_INBOUND, 64); }
/* What its host says next becomes the rest of it. */
static const char *lie_half_frame(struct wild *wild) { return (void)wild, one_frame(4096, FRAME_LOG, 10); }

static const char *lie_refused(struct wild *wild)
{
  struct block block = {0};
  size_t at = put_words(&block, FRAME_REFUSED, 0, WORDS_ONE);

  (void)wild;
  put_text(&block, "I was never here\nevent=forged");
  put_end(&block, at);
  return send_all(block.at, block.len) ? "ok" : "EPIPE";
}

static const char *lie_close(struct wild *wild)
{
  (void)wild;
  close(BORDER_FD);
  poll(NULL, 0, CLOSE_LIVES_S * 1000);
  return "ok";
}

static const char *lie_shutdown(struct wild *wild)
{
  (void)wild;
  shutdown(BORDER_FD, SHUT_WR);
  poll(NULL, 0, CLOSE_LIVES_S * 1000);
  return "ok";
}

/* parleyd takes no descriptors: it must have as many afterwards. */
static const char *lie_fds(struct wild *wild)
{
  struct block block = {0};
  char control[CMSG_SPACE(sizeof(int) * FDS)] = {0};
  struct iovec piece = {block.at, FRAME_HEAD_BYTES};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);

  (void)wild;
  frame_pong(&block, 0);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int) * FDS);
  for (int i = 0; i < FDS; i++)
    memcpy(CMSG_DATA(head) + (size_t)i * sizeof(int), &(int){STDERR_FILENO}, sizeof(int));
  for (int i = 0; i < LIES; i++) {
    struct pollfd room = {.fd = BORDER_FD, .events = POLLOUT};

    if (sendmsg(BORDER_FD, &message, MSG_NOSIGNAL) < 0 && ((errno != EAGAIN && errno != ETOOMANYREFS) || poll(&room, 1, 1) < 0))
      return wild_word_of_errno();
  }
  return "ok";
}

/* --- Through the host --------------------------------------------------------------------------------------------------- */

static void settle(struct wild *wild, uint64_t token, uint32_t result)
{
  wild->host->settle(wild->host, token, PARLEY_REF(parley_outcome, .result = result, .code = PARLEY_LIT("lied")));
}

static const char *lie_twice(struct wild *wild)
{
  settle(wild, wild->token, PARLEY_OUTCOME_ACCEPTED);
  settle(wild, wild->token, PARLEY_OUTCOME_REJECTED);
  wild->settled = 1;
  return "ok";
}

static const char *lie_unknown(struct wild *wild)
{
  for (uint64_t i = 0; i < LIES; i++)
    settle(wild, wild->token + 1 + i, PARLEY_OUTCOME_REJECTED);
  return "ok";
}

/* As a frame of its own: its host would know better. */
static const char *lie_late(struct wild *wild)
{
  struct block block = {0};

  settle(wild, wild->token, PARLEY_OUTCOME_ACCEPTED);
  wild->settled = 1;
  for (int i = 0; i < 20; i++)
    frame_settle(&block, wild->token);
  return send_all(block.at, block.len) ? "ok" : "EPIPE";
}

static const char *lie_outcome(struct wild *wild)
{
  settle(wild, wild->token, 0x40000001); /* no such outcome */
  wild->settled = 1;
  return "ok";
}

static const char *lie_log(struct wild *wild)
{
  for (int i = 0; i < CALLS; i++)
    wild->host->log(wild->host, PARLEY_WARN, PARLEY_LIT("event=chatter what=\"nobody reads this\""));
  return "ok";
}

/* Each may wait for its answer as long as the peer likes; what parleyd holds for it meanwhile is bounded. */
static void dropped(const parley_http_response *response, void *arg)
{
  (void)response, (void)arg;
}

static const char *lie_requests(struct wild *wild)
{
  const parley_http *http = wild->host->extension(wild->host, PARLEY_HTTP);
  static char body[1 << 20];

  for (int i = 0; i < LIES; i++)
    http->request(wild->host, PARLEY_REF(parley_http_request, .method = PARLEY_LIT("POST"), .url = parley_text_of(wild->argument),
                                         .body = {body, sizeof body}), dropped, NULL);
  return "ok";
}

const struct wild_row wild_lies[] = {
    {"flood_pong", lie_flood_pong},
    {"flood_log", lie_flood_log},
    {"flood_health", lie_flood_health},
    {"flood_window", lie_flood_window},
    {"flood_metric", lie_flood_metric},
    {"calls", lie_calls},
    {"strangers", lie_strangers},
    {"stopped", lie_stopped},
    {"after_stopped", lie_after_stopped},
    {"call_twice", lie_call_twice},
    {"garbage", lie_garbage},
    {"facts", lie_facts},
    {"huge", lie_huge},
    {"unknown_type", lie_unknown_type},
    {"our_type", lie_our_type},
    {"bad_body", lie_bad_body},
    {"half_frame", lie_half_frame},
    {"refused", lie_refused},
    {"close", lie_close},
    {"shutdown", lie_shutdown},
    {"descriptors", lie_fds},
    {"twice", lie_twice},
    {"unknown", lie_unknown},
    {"late", lie_late},
    {"outcome", lie_outcome},
    {"log", lie_log},
    {"requests", lie_requests},
    {NULL, NULL},
};
