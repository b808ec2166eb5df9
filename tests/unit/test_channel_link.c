/* One end of the connection between parleyd and a plugin's process: frames whatever the pieces they come in, descriptors with the frame
 * that they belong to, bounds in both directions, and an end that comes at any moment. */
#include "core/base/text.h"
#include "core/border/link.h"
#include "net_peer.h"
#include <dirent.h>
#include <endian.h>
#include <stdio.h>
#include <time.h>

enum { SMALL_MAX = 1000, FRAMES = 400, SOCKET_BYTES = 4096 };
enum { BURN_NS = 100000, TURN_NS = 5000000 }; /* TURN_NS: far less than a stall of the loop, more than link.c takes */
enum { PLAIN = 9, WITH_FD = 10 }; /* types of frames */

/* What one end has heard. */
struct end {
  struct link *link;
  int frames, broken, close_at, fds[FRAMES];
  uint64_t ids[FRAMES];
  uint16_t type;
  size_t len;
  char why[64], text[64], *body; /* body: a copy of the last one, when wanted */
  bool takes, keeps_body;
  bool is_slow;      /* each frame costs BURN_NS of CPU */
  int says_again_to; /* a descriptor: each frame heard is answered by another one */
};

static uv_loop_t loop;
static struct end near, far;
static int raw; /* the other end of `near`, when that is no link */
static int fds_before;

static int count_fds(void)
{
  DIR *dir = opendir("/proc/self/fd");
  int n = 0;

  while (readdir(dir) != NULL)
    n++;
  closedir(dir);
  return n;
}

static void raw_say(int fd, uint16_t type, uint64_t id, const char *body, size_t len);

static int64_t cpu_ns(void)
{
  struct timespec now;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void burn(void)
{
  int64_t until = cpu_ns() + BURN_NS;

  while (cpu_ns() < until)
    continue;
}

static void on_frame(const struct frame *frame, void *arg)
{
  struct end *end = arg;
  int at = end->frames++;

  ck_assert_int_lt(at, FRAMES);
  end->ids[at] = frame->id;
  if (end->is_slow)
    burn();
  end->type = frame->type;
  end->len = frame->body.len;
  snprintf(end->text, sizeof end->text, "%.*s", (int)(frame->body.len < 60 ? frame->body.len : 60), frame->body.at);
  if (end->keeps_body)
    memcpy(end->body = malloc(frame->body.len), frame->body.at, frame->body.len);
  if (end->takes && frame->type == WITH_FD)
    end->fds[at] = link_take_fd(end->link);
  if (end->says_again_to > 0 && end->frames < FRAMES - 1)
    raw_say(end->says_again_to, 1, frame->id + 1, "", 0);
  if (end->frames == end->close_at)
    link_close(&end->link);
}

static void on_broken(const char *why, void *arg)
{
  struct end *end = arg;

  end->broken++;
  snprintf(end->why, sizeof end->why, "%s", why);
  if (end->close_at < 0)
    link_close(&end->link);
}

static const struct link_events events = {.frame = on_frame, .broken = on_broken};

static void pair_of(int fds[2])
{
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void setup(void)
{
  memset(&near, 0, sizeof near);
  memset(&far, 0, sizeof far);
  uv_loop_init(&loop);
  uv_run(&loop, UV_RUN_NOWAIT); /* has its own descriptors by now */
  fds_before = count_fds();
  raw = -1;
}

static void teardown(void)
{
  link_close(&near.link);
  link_close(&far.link);
  if (raw >= 0)
    close(raw);
  free(near.body);
  free(far.body);
  uv_run(&loop, UV_RUN_DEFAULT);
  ck_assert_int_eq(count_fds(), fds_before);
  peer_loop_end(&loop);
}

/* A link whose other end is a bare socket. */
static void open_raw(uint32_t in_max, bool takes_fds)
{
  int fds[2];

  pair_of(fds);
  raw = fds[1];
  near.takes = takes_fds;
  near.link = link_new(&loop, fds[0], in_max, SMALL_MAX, takes_fds, &events, &near);
}

/* Both ends, as between parleyd and a plugin's process; with socket_bytes it holds little, so that what is sent leaves in pieces. */
static void open_both(uint32_t near_out_max, int socket_bytes)
{
  int fds[2];

  pair_of(fds);
  if (socket_bytes > 0)
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &socket_bytes, sizeof socket_bytes);
  far.takes = true;
  near.link = link_new(&loop, fds[0], SMALL_MAX, near_out_max, false, &events, &near);
  far.link = link_new(&loop, fds[1], FRAME_BYTES_MAX, SMALL_MAX, true, &events, &far);
}

static size_t raw_frame(char *to, uint16_t type, uint64_t id, const char *body, size_t len)
{
  uint32_t body_len = htole32((uint32_t)len);

  memset(to, 0, FRAME_HEAD_BYTES);
  type = htole16(type);
  id = htole64(id);
  memcpy(to, &body_len, sizeof body_len);
  memcpy(to + 4, &type, sizeof type);
  memcpy(to + 8, &id, sizeof id);
  memcpy(to + FRAME_HEAD_BYTES, body, len);
  return FRAME_HEAD_BYTES + len;
}

static void raw_say(int fd, uint16_t type, uint64_t id, const char *body, size_t len)
{
  char frame[FRAME_HEAD_BYTES + SMALL_MAX * 2];
  size_t n = raw_frame(frame, type, id, body, len);

  ck_assert_int_eq(send(fd, frame, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void wait_frames(const struct end *end, int n)
{
  for (uint64_t deadline = peer_deadline(); end->frames < n && end->broken == 0 && !peer_late(deadline);)
    peer_turn(&loop, -1, 0, 20);
  ck_assert_int_eq(end->frames, n);
}

static void wait_broken(const struct end *end, const char *why)
{
  for (uint64_t deadline = peer_deadline(); end->broken == 0 && !peer_late(deadline);)
    peer_turn(&loop, -1, 0, 20);
  peer_settle(&loop);
  ck_assert_int_eq(end->broken, 1);
  ck_assert_str_eq(end->why, why);
}

static void say_number(struct end *end, uint64_t id)
{
  ck_assert(link_send(end->link, PLAIN, id, NULL, NULL));
}

static bool say_bytes(struct end *end, uint64_t id, const char *at, size_t len)
{
  return link_send(end->link, PLAIN, id, &abi_frame_words, PARLEY_REF(struct frame_words, .two = {at, len}));
}

/* --- Frames ------------------------------------------------------------------------------------------------------------------ */

START_TEST(frames_come_whole_when_their_bytes_come_one_by_one)
{
  char bytes[3 * (FRAME_HEAD_BYTES + 8)];
  size_t ends[3], len = 0;

  open_raw(SMALL_MAX, false);
  len += raw_frame(bytes + len, 64, 7, "one", 3);
  ends[0] = len;
  len += raw_frame(bytes + len, 65, UINT64_MAX, "", 0);
  ends[1] = len;
  len += raw_frame(bytes + len, 0xffff, 9, "three", 5);
  ends[2] = len;
  for (size_t i = 0; i < len; i++) {
    ck_assert_int_eq(send(raw, bytes + i, 1, 0), 1);
    peer_turn(&loop, -1, 0, 0);
    ck_assert_int_eq(near.frames, (i + 1 >= ends[0]) + (i + 1 >= ends[1]) + (i + 1 >= ends[2]));
  }
  ck_assert(near.ids[0] == 7 && near.ids[1] == UINT64_MAX && near.ids[2] == 9);
  ck_assert_uint_eq(near.type, 0xffff);
  ck_assert_str_eq(near.text, "three");
}
END_TEST

START_TEST(many_frames_come_in_one_read)
{
  static char bytes[FRAMES * (FRAME_HEAD_BYTES + 3)];
  size_t len = 0;

  open_raw(SMALL_MAX, false);
  for (uint64_t i = 0; i < FRAMES; i++)
    len += raw_frame(bytes + len, 64, i + 1, "abc", i % 4);
  ck_assert_int_eq(send(raw, bytes, len, 0), (ssize_t)len);
  wait_frames(&near, FRAMES); /* in one turn, where the machine is quick enough for one */
  for (uint64_t i = 0; i < FRAMES; i++)
    ck_assert_uint_eq(near.ids[i], i + 1);
}
END_TEST

/* Whoever says much that is work does not get the loop for himself: others have their turn in between. */
START_TEST(frames_that_cost_time_are_taken_in_small_turns)
{
  static char bytes[FRAMES * (FRAME_HEAD_BYTES + 1)];
  size_t len = 0;
  int turns = 0, before;

  open_raw(SMALL_MAX, false);
  near.is_slow = true;
  for (uint64_t i = 0; i < FRAMES; i++)
    len += raw_frame(bytes + len, PLAIN, i + 1, "x", 1);
  ck_assert_int_eq(send(raw, bytes, len, 0), (ssize_t)len);
  shutdown(raw, SHUT_WR);
  for (; near.broken == 0; turns++) {
    before = near.frames;
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_le((int64_t)(near.frames - before) * BURN_NS, TURN_NS);
  }
  ck_assert_int_eq(near.frames, FRAMES);
  for (int i = 0; i < FRAMES; i++)
    ck_assert_uint_eq(near.ids[i], (uint64_t)i + 1);
  ck_assert_int_gt(turns, (int)((int64_t)FRAMES * BURN_NS / TURN_NS));
}
END_TEST

START_TEST(a_frame_of_25_mib_comes_whole)
{
  size_t len = (size_t)25 << 20;
  char *body = malloc(len);

  for (size_t i = 0; i < len; i++)
    body[i] = (char)(i * 7 + i / 4096);
  open_both(FRAME_BYTES_MAX, 0);
  far.keeps_body = true;
  ck_assert(say_bytes(&near, 1, body, len));
  wait_frames(&far, 1);
  ck_assert_uint_eq(far.len, 4 + 4 + len);
  ck_assert_int_eq(memcmp(far.body + 8, body, len), 0);
  ck_assert_uint_eq(link_waiting(near.link), 0);
  far.keeps_body = false;
  say_number(&near, 2);
  wait_frames(&far, 2);
  free(body);
}
END_TEST

START_TEST(a_frame_beyond_the_bound_ends_the_link_before_its_bytes_are_kept)
{
  char bytes[FRAME_HEAD_BYTES + SMALL_MAX + 1] = {0}, head[2 * FRAME_HEAD_BYTES + SMALL_MAX + 1];

  open_raw(SMALL_MAX, false);
  raw_say(raw, 64, 1, bytes, SMALL_MAX);
  wait_frames(&near, 1);
  raw_frame(head, 64, 2, bytes, SMALL_MAX + 1);
  ck_assert_int_eq(send(raw, head, FRAME_HEAD_BYTES, 0), FRAME_HEAD_BYTES);
  wait_broken(&near, "a frame is too large");
  raw_say(raw, 64, 3, "", 0);
  peer_settle(&loop);
  ck_assert_int_eq(near.frames, 1);
}
END_TEST

START_TEST(what_is_larger_than_may_go_out_is_not_sent_and_hurts_nothing)
{
  char body[SMALL_MAX] = {0}, *huge = calloc(1, LINK_WAITING_MAX + 1);

  open_both(SMALL_MAX, 0);
  say_number(&near, 1);
  ck_assert(!say_bytes(&near, 2, body, SMALL_MAX - 7)); /* with what stands around it: one too many */
  ck_assert(say_bytes(&near, 3, body, SMALL_MAX - 8));
  ck_assert(!say_bytes(&near, 2, huge, LINK_WAITING_MAX + 1)); /* more than may wait at all */
  say_number(&near, 4);
  free(huge);
  wait_frames(&far, 3);
  ck_assert(far.ids[0] == 1 && far.ids[1] == 3 && far.ids[2] == 4);
}
END_TEST

START_TEST(frames_of_one_turn_leave_together_at_its_end)
{
  char got[8 * FRAME_HEAD_BYTES];

  open_raw(SMALL_MAX, false);
  for (uint64_t i = 1; i <= 5; i++)
    say_number(&near, i);
  ck_assert_uint_eq(link_waiting(near.link), 5 * FRAME_HEAD_BYTES);
  ck_assert_int_eq(recv(raw, got, sizeof got, 0), -1);
  uv_run(&loop, UV_RUN_NOWAIT);
  ck_assert_int_eq(recv(raw, got, sizeof got, 0), 5 * FRAME_HEAD_BYTES);
  ck_assert_uint_eq(link_waiting(near.link), 0);
}
END_TEST

/* --- One that does not read --------------------------------------------------------------------------------------------------- */

static char mebibyte[1 << 20];

START_TEST(what_the_other_end_does_not_read_waits_up_to_a_bound_then_it_counts_as_stuck)
{
  int fds[2], sent = 0;

  pair_of(fds);
  raw = fds[1];
  near.link = link_new(&loop, fds[0], SMALL_MAX, FRAME_BYTES_MAX, false, &events, &near);
  while (near.broken == 0 && sent < 100) {
    ck_assert(say_bytes(&near, (uint64_t)++sent, mebibyte, sizeof mebibyte));
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_uint_le(link_waiting(near.link), LINK_WAITING_MAX);
  }
  ck_assert_int_ge(sent, 64);
  ck_assert_int_le(sent, 66);
  wait_broken(&near, "the other end does not read");
  ck_assert(say_bytes(&near, 1, "", 0)); /* of no effect */
}
END_TEST

START_TEST(what_there_is_no_room_for_right_now_may_be_tried_and_breaks_nothing)
{
  struct frame_words words = {.size = sizeof words, .two = {mebibyte, sizeof mebibyte}};
  int fds[2], sent = 0;

  pair_of(fds);
  raw = fds[1];
  near.link = link_new(&loop, fds[0], SMALL_MAX, FRAME_BYTES_MAX, false, &events, &near);
  while (sent < 100 && link_try(near.link, PLAIN, (uint64_t)++sent, &abi_frame_words, &words))
    continue;
  ck_assert_int_eq(sent, 64); /* the last one was not */
  ck_assert(link_waiting(near.link) == 63 * (FRAME_HEAD_BYTES + 4 + 4 + sizeof mebibyte));
  ck_assert(say_bytes(&near, 1, "", 0));
  ck_assert_int_eq(near.broken, 0);
}
END_TEST

START_TEST(the_end_may_be_closed_when_it_is_told_so)
{
  int fds[2];

  pair_of(fds);
  raw = fds[1];
  near.close_at = -1;
  near.link = link_new(&loop, fds[0], SMALL_MAX, FRAME_BYTES_MAX, false, &events, &near);
  while (near.link != NULL)
    say_bytes(&near, 1, mebibyte, sizeof mebibyte);
  ck_assert_int_eq(near.broken, 1);
}
END_TEST

START_TEST(what_waits_leaves_in_order_when_it_is_read_at_last)
{
  open_both(FRAME_BYTES_MAX, SOCKET_BYTES);
  for (uint64_t i = 1; i <= 20; i++)
    ck_assert(say_bytes(&near, i, mebibyte, sizeof mebibyte / 4));
  link_flush(near.link);
  ck_assert_uint_gt(link_waiting(near.link), sizeof mebibyte);
  wait_frames(&far, 20);
  for (uint64_t i = 0; i < 20; i++)
    ck_assert_uint_eq(far.ids[i], i + 1);
}
END_TEST

/* One that says it will never read: the loop has nothing to do for it. */
START_TEST(a_half_closed_connection_does_not_keep_the_loop_busy)
{
  static char rest[1 << 16];
  struct pollfd busy;

  open_raw(SMALL_MAX, false);
  for (int i = 0; i < 2000; i++)
    ck_assert(say_bytes(&near, 1, mebibyte, SMALL_MAX - 8));
  uv_run(&loop, UV_RUN_NOWAIT);
  ck_assert_uint_gt(link_waiting(near.link), 0);
  shutdown(raw, SHUT_RD);
  while (recv(raw, rest, sizeof rest, 0) > 0) /* what it has already got: now there is room again, and no way */
    continue;
  peer_settle(&loop);
  busy = (struct pollfd){.fd = uv_backend_fd(&loop), .events = POLLIN};
  ck_assert_int_eq(poll(&busy, 1, 0), 0);
  raw_say(raw, 64, 5, "", 0); /* it is still heard */
  wait_frames(&near, 1);
  close(raw);
  raw = -1;
  wait_broken(&near, "the other end has gone");
}
END_TEST

/* --- Descriptors ---------------------------------------------------------------------------------------------------------------- */

/* A socket that is known again by what can be read from it. */
static int marked_fd(int mark)
{
  int fds[2];
  char byte = (char)mark;

  pair_of(fds);
  ck_assert_int_eq(send(fds[1], &byte, 1, 0), 1);
  close(fds[1]);
  return fds[0];
}

static void check_mark(int fd, int mark)
{
  char byte = 0;

  ck_assert_int_ge(fd, 0);
  ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
  ck_assert_int_eq(byte, (char)mark);
  close(fd);
}

/* every: each how many-th frame has one; pad: bytes of the frames between. */
static void fds_in_order(int n, int every, size_t pad)
{
  open_both(FRAME_BYTES_MAX, SOCKET_BYTES);
  for (int i = 0; i < n; i++) {
    const void *words = PARLEY_REF(struct frame_words, .two = {mebibyte, pad});

    if (i % every == 0)
      link_send_fd(near.link, WITH_FD, (uint64_t)i + 1, &abi_frame_words, words, marked_fd(i));
    else
      link_send(near.link, PLAIN, (uint64_t)i + 1, &abi_frame_words, words);
  }
  wait_frames(&far, n);
  for (int i = 0; i < n; i++) {
    ck_assert_uint_eq(far.ids[i], (uint64_t)i + 1);
    if (i % every == 0)
      check_mark(far.fds[i], i);
  }
  ck_assert_int_eq(link_take_fd(far.link), -1);
}

START_TEST(a_descriptor_comes_with_its_frame)
{
  static const struct { int n, every; size_t pad; } cases[] = {
      {1, 1, 0}, {5, 1, 0}, {50, 3, 0}, {60, 2, 100}, {40, 3, 30000}, {12, 1, 100000},
  };

  fds_in_order(cases[_i].n, cases[_i].every, cases[_i].pad);
}
END_TEST

START_TEST(hundreds_of_descriptors_leave_in_one_turn)
{
  fds_in_order(300, 1, 0);
}
END_TEST

START_TEST(descriptors_for_one_that_does_not_read_have_a_bound)
{
  int fds[2];

  pair_of(fds);
  raw = fds[1];
  near.link = link_new(&loop, fds[0], SMALL_MAX, SMALL_MAX, false, &events, &near);
  for (int i = 0; i < 3000 && near.broken == 0; i++)
    link_send_fd(near.link, WITH_FD, (uint64_t)i + 1, NULL, NULL, marked_fd(i));
  wait_broken(&near, "the other end does not read");
}
END_TEST

START_TEST(a_descriptor_that_waits_goes_with_the_link)
{
  open_both(FRAME_BYTES_MAX, SOCKET_BYTES);
  say_bytes(&near, 1, mebibyte, sizeof mebibyte);
  link_send_fd(near.link, WITH_FD, 2, NULL, NULL, marked_fd(1));
  link_flush(near.link); /* the first does not leave at once: the descriptor waits behind it */
  link_close(&near.link);
  peer_settle(&loop);
  wait_broken(&far, "the other end has gone");
}
END_TEST

START_TEST(a_descriptor_for_a_broken_link_is_closed)
{
  open_raw(SMALL_MAX, false);
  close(raw);
  raw = -1;
  wait_broken(&near, "the other end has gone");
  link_send_fd(near.link, WITH_FD, 2, NULL, NULL, marked_fd(1));
}
END_TEST

static void raw_say_fds(const char *bytes, size_t len, const int *fds, size_t n)
{
  char control[CMSG_SPACE(16 * sizeof(int))] = {0};
  struct iovec piece = {(char *)(uintptr_t)bytes, len};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);

  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(n * sizeof(int));
  memcpy(CMSG_DATA(head), fds, n * sizeof(int));
  ck_assert_int_eq(sendmsg(raw, &message, 0), (ssize_t)len);
}

START_TEST(descriptors_that_a_plugin_sends_never_arrive)
{
  char frame[FRAME_HEAD_BYTES + 8];
  size_t len = raw_frame(frame, 64, 1, "with fds", 8);
  int fds[16], before;

  open_raw(SMALL_MAX, false);
  for (int i = 0; i < 16; i++)
    fds[i] = marked_fd(i);
  before = count_fds();
  for (int round = 0; round < 20; round++)
    raw_say_fds(frame, len, fds, 16);
  wait_frames(&near, 20);
  ck_assert_str_eq(near.text, "with fds");
  ck_assert_int_eq(link_take_fd(near.link), -1);
  ck_assert_int_eq(count_fds(), before);
  for (int i = 0; i < 16; i++)
    close(fds[i]);
}
END_TEST

START_TEST(descriptors_that_nobody_takes_go_with_the_link)
{
  char frame[FRAME_HEAD_BYTES];
  size_t len = raw_frame(frame, 64, 1, "", 0);
  int fds[16];

  open_raw(SMALL_MAX, true);
  near.takes = false;
  for (int i = 0; i < 16; i++)
    fds[i] = marked_fd(i);
  for (int round = 0; round < 6; round++)
    raw_say_fds(frame, len, fds, 16);
  wait_frames(&near, 6);
  for (int i = 0; i < 16; i++)
    close(fds[i]);
}
END_TEST

/* --- The end ---------------------------------------------------------------------------------------------------------------------- */

static void say_frames(int n)
{
  for (int i = 1; i <= n; i++)
    raw_say(raw, 64, (uint64_t)i, "body", 4);
}

START_TEST(a_link_closed_within_a_frame_hands_over_no_more)
{
  open_raw(SMALL_MAX, false);
  near.close_at = 3;
  say_frames(10);
  wait_frames(&near, 3);
  peer_settle(&loop);
  ck_assert(near.frames == 3 && near.link == NULL && near.broken == 0);
}
END_TEST

/* The same when a part of the frame was there before. */
START_TEST(a_link_closed_within_a_frame_that_came_in_pieces_hands_over_no_more)
{
  char frame[FRAME_HEAD_BYTES + 4];
  size_t len = raw_frame(frame, 64, 1, "body", 4);

  open_raw(SMALL_MAX, false);
  near.close_at = 1;
  ck_assert_int_eq(send(raw, frame, 10, 0), 10);
  peer_settle(&loop);
  ck_assert_int_eq(send(raw, frame + 10, len - 10, 0), (ssize_t)len - 10);
  say_frames(3);
  wait_frames(&near, 1);
  peer_settle(&loop);
  ck_assert_int_eq(near.frames, 1);
}
END_TEST

START_TEST(the_end_of_the_other_end_is_told_once_and_half_a_frame_is_none)
{
  open_raw(SMALL_MAX, false);
  say_frames(2);
  ck_assert_int_eq(send(raw, "\x04\0\0\0\x40\0\0\0\x01\0\0\0\0\0\0\0ha", 18, 0), 18);
  close(raw);
  raw = -1;
  wait_broken(&near, "the other end has gone");
  ck_assert_int_eq(near.frames, 2);
}
END_TEST

START_TEST(draining_reads_all_that_a_dead_one_has_said)
{
  char body[SMALL_MAX] = {0};

  open_raw(SMALL_MAX, false);
  for (uint64_t i = 0; i < 40; i++)
    raw_say(raw, 64, i + 1, body, SMALL_MAX);
  close(raw);
  raw = -1;
  link_drain(near.link); /* now, without a turn of the loop */
  ck_assert_int_eq(near.frames, 40);
  link_drain(near.link);
  ck_assert_int_eq(near.broken, 1);
  ck_assert_str_eq(near.why, "the other end has gone");
}
END_TEST

START_TEST(a_link_may_be_closed_while_it_is_drained)
{
  open_raw(SMALL_MAX, false);
  near.close_at = 5;
  say_frames(20);
  link_drain(near.link);
  ck_assert(near.frames == 5 && near.link == NULL);
}
END_TEST

/* Something that was left behind holds the other end, and never stops talking. */
START_TEST(draining_ends_when_the_other_end_has_not_gone_after_all)
{
  open_raw(SMALL_MAX, false);
  near.says_again_to = raw;
  say_frames(1);
  link_drain(near.link);
  ck_assert_int_ge(near.frames, 1);
  ck_assert_int_lt(near.frames, FRAMES - 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel: link");
  TCase *cases = tcase_create("link");

  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, frames_come_whole_when_their_bytes_come_one_by_one);
  tcase_add_test(cases, many_frames_come_in_one_read);
  tcase_add_test(cases, frames_that_cost_time_are_taken_in_small_turns);
  tcase_add_test(cases, a_frame_of_25_mib_comes_whole);
  tcase_add_test(cases, a_frame_beyond_the_bound_ends_the_link_before_its_bytes_are_kept);
  tcase_add_test(cases, what_is_larger_than_may_go_out_is_not_sent_and_hurts_nothing);
  tcase_add_test(cases, frames_of_one_turn_leave_together_at_its_end);
  tcase_add_test(cases, what_the_other_end_does_not_read_waits_up_to_a_bound_then_it_counts_as_stuck);
  tcase_add_test(cases, what_there_is_no_room_for_right_now_may_be_tried_and_breaks_nothing);
  tcase_add_test(cases, the_end_may_be_closed_when_it_is_told_so);
  tcase_add_test(cases, what_waits_leaves_in_order_when_it_is_read_at_last);
  tcase_add_test(cases, a_half_closed_connection_does_not_keep_the_loop_busy);
  tcase_add_loop_test(cases, a_descriptor_comes_with_its_frame, 0, 6);
  tcase_add_test(cases, hundreds_of_descriptors_leave_in_one_turn);
  tcase_add_test(cases, descriptors_for_one_that_does_not_read_have_a_bound);
  tcase_add_test(cases, a_descriptor_that_waits_goes_with_the_link);
  tcase_add_test(cases, a_descriptor_for_a_broken_link_is_closed);
  tcase_add_test(cases, descriptors_that_a_plugin_sends_never_arrive);
  tcase_add_test(cases, descriptors_that_nobody_takes_go_with_the_link);
  tcase_add_test(cases, a_link_closed_within_a_frame_hands_over_no_more);
  tcase_add_test(cases, a_link_closed_within_a_frame_that_came_in_pieces_hands_over_no_more);
  tcase_add_test(cases, the_end_of_the_other_end_is_told_once_and_half_a_frame_is_none);
  tcase_add_test(cases, draining_reads_all_that_a_dead_one_has_said);
  tcase_add_test(cases, a_link_may_be_closed_while_it_is_drained);
  tcase_add_test(cases, draining_ends_when_the_other_end_has_not_gone_after_all);
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
