#include "core/feed/cursor.h"
#include "feed_bed.h"

#define STREAM_ROOM (24u << 20)

static struct bed *bed;
static struct http_server *streams; /* GET /?after=SEQ&types=a,b answers with a stream */
static uint16_t port;
static char *heard;      /* what one reader got */
static size_t heard_len; /* looked through for events so far */
static size_t heard_events;

static void hear_anew(void)
{
  heard[0] = '\0';
  heard_len = heard_events = 0;
}

static void on_stream(struct http_request *request, void *arg)
{
  parley_text rest = request->query, name, value, types[4];
  uint64_t after = 0;
  size_t n = 0;

  (void)arg;
  while (url_query_next(&rest, &name, &value)) {
    if (parley_text_is(name, "after"))
      ck_assert(text_to_uint(value, UINT64_MAX, &after));
    else
      types[n++] = value;
  }
  feed_stream(bed->feed, request, after, types, n, NULL, 0);
}

static const struct http_handler stream_handler = {.ready = on_stream};

static void set_up(void)
{
  struct buf why = BUF_INIT(0);

  bed = bed_new();
  streams = http_server_new(&bed->f.loop, &bed->f.fake.env, &(struct http_server_conf){0}, &stream_handler, NULL);
  ck_assert_int_eq(http_server_listen(streams, PARLEY_LIT("127.0.0.1:0"), &port, &why), PARLEY_OK);
  heard = xcalloc(1, STREAM_ROOM);
  hear_anew();
  bed_customer(bed, "ana");
  bed_until(bed, bed->feed->learned);
}

static void tear_down(void)
{
  bool closed = false;

  if (bed->feed != NULL)
    bed_feed_close(bed, 0);
  http_server_close(&streams, peer_flag, &closed);
  peer_until(&bed->f.loop, &closed);
  free(heard);
  bed_free(bed);
}

static int stream_open(const char *query)
{
  uint32_t readers = bed->feed->n_readers;
  char request[256];
  int fd = peer_connect(port);

  snprintf(request, sizeof(request), "GET /?%s HTTP/1.1\r\nHost: x\r\n\r\n", query);
  peer_say(&bed->f.loop, fd, request);
  bed_until(bed, bed->feed->n_readers == readers + 1);
  return fd;
}

static size_t words(const char *text, const char *word)
{
  size_t n = 0;

  for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
    n++;
  return n;
}

#define EVENT_MARK "\nid: "

/* Counts on from where it had looked; a mark may be torn by the end. */
static void heard_look(size_t len)
{
  const char *at = heard + (heard_len > strlen(EVENT_MARK) ? heard_len - strlen(EVENT_MARK) + 1 : 0);

  for (at = strstr(at, EVENT_MARK); at != NULL; at = strstr(at + 1, EVENT_MARK))
    heard_events++;
  heard_len = len;
}

/* Appends what has come; reads until that many events are there. */
static void stream_read(int fd, size_t events)
{
  uint64_t deadline = peer_deadline();

  while (heard_events < events && !peer_late(deadline)) {
    ssize_t n = recv(fd, heard + heard_len, STREAM_ROOM - 1 - heard_len, 0);

    if (n > 0) {
      heard[heard_len + (size_t)n] = '\0';
      heard_look(heard_len + (size_t)n);
    } else {
      peer_turn(&bed->f.loop, fd, POLLIN, 20);
    }
  }
  ck_assert_uint_eq(heard_events, events);
}

/* The touchpoints' numbers rise by one from the given one, `n` of them. */
static void numbers_are(int from, size_t n)
{
  const char *at = heard;
  char want[32];

  for (size_t i = 0; i < n; i++) {
    at = strstr(at, "\"facts\":{\"data\":{\"n\":");
    ck_assert_msg(at != NULL, "only %zu of %zu", i, n);
    snprintf(want, sizeof(want), "\"facts\":{\"data\":{\"n\":%d}", from + (int)i);
    ck_assert_msg(strncmp(at, want, strlen(want)) == 0, "%.40s is not %s", at, want);
    at++;
  }
  ck_assert_ptr_null(strstr(at, "\"facts\":{\"data\":{\"n\":"));
}

/* The cursor of the last event that came whole. */
static uint64_t last_cursor(void)
{
  const char *at = heard, *last = NULL;
  uint64_t seq;

  while ((at = strstr(at + 1, "\nid: ")) != NULL)
    if (strstr(at, "\n\n") != NULL || strstr(at, "\n\r\n") != NULL)
      last = at + 5;
  ck_assert_ptr_nonnull(last);
  ck_assert(cursor_read((parley_text){last, strcspn(last, "\r\n")}, store_secret(bed->f.store), PARLEY_LIT("events"),
                        &seq, 1));
  return seq;
}

START_TEST(a_reader_from_now_on_gets_what_happens_with_cursor_type_and_envelope)
{
  uint64_t seq;
  int fd;

  bed_happen(bed, "ana");
  fd = stream_open("");
  seq = bed_happen(bed, "ana");
  stream_read(fd, 1);
  ck_assert_ptr_nonnull(strstr(heard, "text/event-stream"));
  ck_assert_ptr_nonnull(strstr(heard, "retry: 2000\n"));
  ck_assert_ptr_nonnull(strstr(heard, "\nevent: touchpoint.visit\ndata: {\"id\":\"evt_"));
  ck_assert_ptr_nonnull(strstr(heard, "\"recent\":["));
  ck_assert_uint_eq(last_cursor(), seq);
  numbers_are(1, 1);
  close(fd);
}
END_TEST

START_TEST(a_reader_that_comes_back_with_its_cursor_has_no_gap_and_no_double)
{
  char query[64];
  int fd = stream_open("types=touchpoint.*");

  for (int i = 0; i < 3; i++)
    bed_happen(bed, "ana");
  stream_read(fd, 3);
  close(fd);
  bed_until(bed, bed->feed->n_readers == 0);
  for (int i = 0; i < 100; i++) /* several pages */
    bed_happen(bed, "ana");
  snprintf(query, sizeof(query), "types=touchpoint.*&after=%llu", (unsigned long long)last_cursor());
  fd = stream_open(query);
  for (int i = 0; i < 20; i++) /* while it catches up */
    bed_happen(bed, "ana");
  stream_read(fd, 123);
  numbers_are(0, 123);
  close(fd);
}
END_TEST

START_TEST(a_reader_gets_only_the_types_it_asked_for)
{
  int fd = stream_open("types=customer.created"), other = stream_open("types=touchpoint.*");

  bed_happen(bed, "ana");
  bed_customer(bed, "ben");
  bed_happen(bed, "ben");
  stream_read(fd, 1);
  ck_assert_ptr_nonnull(strstr(heard, "event: customer.created\n"));
  peer_settle(&bed->f.loop);
  ck_assert_int_eq(recv(fd, heard, 1, 0), -1);
  hear_anew();
  stream_read(other, 2);
  numbers_are(0, 2);
  close(fd);
  close(other);
}
END_TEST

static void happen_large(int bytes)
{
  struct buf data = BUF_INIT(0);
  struct store_touchpoint touch = {
      .type = PARLEY_LIT("visit"), .now_ms = bed->f.fake.now_ms, .who.external = PARLEY_LIT("ana")};

  buf_str(&data, "{\"text\":\"");
  for (int i = 0; i < bytes; i++)
    buf_char(&data, 'x');
  buf_str(&data, "\"}");
  touch.data = buf_as_text(&data);
  bed_run(bed, &touch.op, STORE_TOUCHPOINT);
  arena_free(&touch.op.arena);
  buf_done(&data);
}

static struct feed_counters counters(void)
{
  struct feed_counters now;

  feed_counters(bed->feed, &now);
  return now;
}

START_TEST(a_live_reader_a_megabyte_behind_is_cut_and_resumes_the_others_are_not)
{
  char query[64];
  int slow = stream_open("types=touchpoint.*"), quick = stream_open("types=touchpoint.*");
  bool end = false;
  size_t n = 0;

  while (counters().cut == 0) {
    ck_assert_uint_lt(n, 100);
    happen_large(200000);
    stream_read(quick, ++n);
  }
  bed_until(bed, counters().readers == 1);
  peer_read(&bed->f.loop, slow, heard, STREAM_ROOM, NULL, &end);
  ck_assert(end);
  ck_assert_uint_lt(words(heard, "\nid: "), n);
  close(slow);
  snprintf(query, sizeof(query), "types=touchpoint.*&after=%llu", (unsigned long long)last_cursor());
  n -= words(heard, "\ndata: ") - (heard[strlen(heard) - 1] != '\n'); /* the last one may have been torn */
  hear_anew();
  slow = stream_open(query);
  stream_read(slow, n);
  close(slow);
  close(quick);
}
END_TEST

START_TEST(a_reader_that_catches_up_slowly_is_waited_for)
{
  char query[64];
  uint64_t first = bed_happen(bed, "ana");
  int fd;

  for (int i = 0; i < 60; i++)
    happen_large(200000);
  snprintf(query, sizeof(query), "types=touchpoint.*&after=%llu", (unsigned long long)first);
  fd = stream_open(query);
  for (int i = 0; i < 20; i++)
    peer_settle(&bed->f.loop); /* it takes nothing */
  ck_assert_uint_eq(counters().cut, 0);
  stream_read(fd, 60);
  ck_assert_uint_eq(counters().cut, 0);
  close(fd);
}
END_TEST

START_TEST(the_end_of_the_feed_ends_its_streams)
{
  int fd = stream_open("");

  bed_happen(bed, "ana");
  stream_read(fd, 1);
  bed_feed_close(bed, 0);
  peer_read(&bed->f.loop, fd, heard, STREAM_ROOM, "0\r\n\r\n", NULL);
  ck_assert_ptr_nonnull(strstr(heard, "0\r\n\r\n")); /* the last chunk: an end, not a break */
  close(fd);
}
END_TEST

START_TEST(beyond_its_places_a_reader_is_refused)
{
  int fd = peer_connect(port);

  bed->feed->n_readers = FEED_SSE_READERS_MAX;
  peer_say(&bed->f.loop, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_read(&bed->f.loop, fd, heard, STREAM_ROOM, "too_many_readers", NULL);
  ck_assert(strncmp(heard, "HTTP/1.1 503", 12) == 0);
  bed->feed->n_readers = 0;
  close(fd);
}
END_TEST

START_TEST(readers_and_subscriptions_share_what_is_read)
{
  int fds[3];

  bed_subscribe(bed, 7, 'a');
  for (int i = 0; i < 3; i++)
    fds[i] = stream_open(i == 0 ? "types=message.*" : "types=touchpoint.*");
  for (int i = 0; i < 5; i++)
    bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, 7).pushed == 5);
  for (int i = 1; i < 3; i++) {
    hear_anew();
    stream_read(fds[i], 5);
    numbers_are(0, 5);
  }
  for (int i = 0; i < 3; i++)
    close(fds[i]);
}
END_TEST

START_TEST(who_comes_while_the_log_is_read_without_its_types_joins_when_that_is_over)
{
  struct follower *follower;
  int fd;

  bed->feed->reading_live = true;
  fd = stream_open("types=touchpoint.*");
  follower = LIST_ITEM(bed->feed->followers.prev, struct follower, link);
  ck_assert(!follower->live);
  bed->feed->reading_live = false;
  bed_happen(bed, "ana");
  stream_read(fd, 1);
  bed_until(bed, follower->live);
  close(fd);
}
END_TEST

#define WAVES 12
#define WAVE 20

static void storm_submit(struct happening_op *ops, const char *customer)
{
  for (int i = 0; i < WAVE; i++) {
    struct happening_op *op = &ops[i];

    *op = (struct happening_op){.touch.type = PARLEY_LIT("visit"), .touch.now_ms = bed->f.fake.now_ms};
    snprintf(op->data, sizeof(op->data), "{\"n\":%d}", bed->number++);
    op->touch.who.external = parley_text_of(customer);
    op->touch.data = parley_text_of(op->data);
    op->touch.op.kind = STORE_TOUCHPOINT;
    op->touch.op.done = bed_op_done;
    store_submit(bed->f.store, &op->touch.op);
  }
}

START_TEST(whoever_comes_in_the_midst_of_a_storm_has_no_gap_and_no_double)
{
  static struct happening_op ops[WAVES][WAVE];
  char query[64], request[128];
  uint64_t before = bed->feed->newest;
  int fds[WAVES];

  for (int wave = 0; wave < WAVES; wave++) {
    storm_submit(ops[wave], "ana");
    fds[wave] = peer_connect(port); /* in turns: all types, ours, and ours as one of several */
    snprintf(query, sizeof(query), "after=%llu%s", (unsigned long long)before,
             wave % 3 == 0   ? ""
             : wave % 3 == 1 ? "&types=touchpoint.*"
                             : "&types=message.*&types=touchpoint.visit");
    snprintf(request, sizeof(request), "GET /?%s HTTP/1.1\r\nHost: x\r\n\r\n", query);
    peer_say(&bed->f.loop, fds[wave], request);
    if (wave == WAVES / 2)
      bed_subscribe(bed, 7, 'a');
  }
  for (int wave = 0; wave < WAVES; wave++) {
    hear_anew();
    stream_read(fds[wave], WAVES * WAVE);
    numbers_are(0, WAVES * WAVE);
    close(fds[wave]);
  }
  bed_until(bed, bed->n_got > 0 && bed->got[bed->n_got - 1].number == WAVES * WAVE - 1);
  for (size_t i = 1; i < bed->n_got; i++)
    ck_assert_int_eq(bed->got[i].number, bed->got[i - 1].number + 1);
  for (int i = 0; i < WAVES * WAVE; i++)
    arena_free(&ops[i / WAVE][i % WAVE].touch.op.arena);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("feed stream");
  TCase *tcase = tcase_create("stream");

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, a_reader_from_now_on_gets_what_happens_with_cursor_type_and_envelope);
  tcase_add_test(tcase, a_reader_that_comes_back_with_its_cursor_has_no_gap_and_no_double);
  tcase_add_test(tcase, a_reader_gets_only_the_types_it_asked_for);
  tcase_add_test(tcase, a_live_reader_a_megabyte_behind_is_cut_and_resumes_the_others_are_not);
  tcase_add_test(tcase, a_reader_that_catches_up_slowly_is_waited_for);
  tcase_add_test(tcase, the_end_of_the_feed_ends_its_streams);
  tcase_add_test(tcase, beyond_its_places_a_reader_is_refused);
  tcase_add_test(tcase, whoever_comes_in_the_midst_of_a_storm_has_no_gap_and_no_double);
  tcase_add_test(tcase, who_comes_while_the_log_is_read_without_its_types_joins_when_that_is_over);
  tcase_add_test(tcase, readers_and_subscriptions_share_what_is_read);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
