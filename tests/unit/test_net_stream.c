/* What parley.stream/1 promises, once with sockets of the streams' own and once with sockets that another owner makes,
 * as over the process border. */
#include "net_stream_bed.h"
#include "temp.h"
#include <sys/stat.h>

START_TEST(bytes_go_both_ways_and_the_end_comes_once)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  say(&bed.near, "hello ");
  say(&bed.near, "there");
  until_got(&bed, &bed.far, 11);
  ck_assert_str_eq(bed.far.got.at, "hello there");
  say(&bed.far, "hi");
  until_got(&bed, &bed.near, 2);
  ck_assert_int_ge(bed.near.n_writable, 1);
  stream_shut(bed.streams, bed.near.id, 0);
  peer_until(&bed.loop, &bed.near.closed);
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_OK);
  ck_assert_int_eq(bed.far.status, PARLEY_CLOSED);
  ck_assert_uint_eq(stream_write(bed.streams, bed.near.id, PARLEY_LIT("x")), 0); /* over: no effect */
  stream_shut(bed.streams, bed.near.id, 1);
  ck_assert(!stream_cancel(bed.streams, bed.near.id));
  bed_close(&bed);
}
END_TEST

START_TEST(what_is_not_used_stays_and_comes_again_with_more)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.use_nothing = true;
  say(&bed.near, "half a ");
  while (bed.far.n_data == 0)
    peer_turn(&bed.loop, -1, 0, 10);
  ck_assert_str_eq(bed.far.offered, "half a ");
  say(&bed.near, "line");
  while (strcmp(bed.far.offered, "half a line") != 0)
    peer_turn(&bed.loop, -1, 0, 10);
  bed.far.use_nothing = false;
  bed.far.use = 3; /* a parser that takes one word a call is called until it has all */
  say(&bed.near, "!");
  until_got(&bed, &bed.far, 12);
  ck_assert_str_eq(bed.far.got.at, "half a line!");
  bed_close(&bed);
}
END_TEST

START_TEST(bytes_that_nobody_uses_end_the_stream_at_read_max)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){.read_max = 10}, (parley_endpoint){0});
  bed.far.use_nothing = true;
  say(&bed.near, "123456789");
  peer_settle(&bed.loop);
  ck_assert(!bed.far.closed);
  say(&bed.near, "0");
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.far.status, PARLEY_INVALID);
  bed_close(&bed);
}
END_TEST

START_TEST(reading_can_be_held_back)
{
  struct bed bed;
  char *much = calloc(1, 4 << 20);

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.write_high = 1 << 20});
  stream_reading(bed.streams, bed.far.id, 0);
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 4 << 20});
  peer_settle(&bed.loop);
  ck_assert_uint_eq(bed.far.got.len, 0);
  ck_assert_int_eq(bed.near.n_writable, 0);
  stream_reading(bed.streams, bed.far.id, 1);
  ck_assert_uint_eq(bed.far.got.len, 0); /* never within the call */
  until_got(&bed, &bed.far, 4 << 20);
  peer_settle(&bed.loop);
  ck_assert_int_eq(bed.near.n_writable, 1);
  free(much);
  bed_close(&bed);
}
END_TEST

START_TEST(writing_far_beyond_the_mark_ends_the_stream)
{
  struct bed bed;
  char much[1000] = "";

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.write_high = 1000});
  for (int i = 1; i <= 16; i++)
    ck_assert_uint_eq(stream_write(bed.streams, bed.near.id, (parley_bytes){much, 1000}), (uint64_t)i * 1000);
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 1});
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_BUSY);
  bed_close(&bed);
}
END_TEST

START_TEST(closing_after_the_flush_loses_nothing)
{
  struct bed bed;
  char *much = calloc(1, 3 << 20);

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 3 << 20});
  stream_shut(bed.streams, bed.near.id, 0);
  say(&bed.near, "ignored");
  until_got(&bed, &bed.far, 3 << 20);
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_uint_eq(bed.far.got.len, 3 << 20);
  free(much);
  bed_close(&bed);
}
END_TEST

START_TEST(a_peer_that_takes_nothing_is_left_after_five_seconds)
{
  struct bed bed;
  char *much = calloc(1, 4 << 20);

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.write_high = 1 << 20});
  stream_reading(bed.streams, bed.far.id, 0);
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 4 << 20});
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 4 << 20});
  stream_shut(bed.streams, bed.near.id, 0);
  peer_settle(&bed.loop);
  ck_assert(!bed.near.closed);
  env_fake_step(&bed.env, 5001);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_TIMEOUT);
  free(much);
  bed_close(&bed);
}
END_TEST

START_TEST(tls_from_the_first_byte)
{
  struct bed bed;

  bed_open(&bed);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0"), .tls = &bed.server_tls});
  connect_to(&bed, (parley_endpoint){.tls = &bed.client_tls});
  say(&bed.near, "early"); /* waits for the handshake */
  peer_until(&bed.loop, &bed.near.open);
  until_got(&bed, &bed.far, 5);
  ck_assert_str_eq(bed.far.got.at, "early");
  ck_assert(bed.near.secured && bed.far.secured);
  ck_assert_str_eq(bed.near.subject, "CN=test");
  ck_assert_str_eq(bed.near.version, "TLSv1.3");
  stream_shut(bed.streams, bed.far.id, 0);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_str_eq(bed.near.reason, "the peer closed");
  bed_close(&bed);
}
END_TEST

START_TEST(starttls_secures_both_sides_of_an_open_stream)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.tls_after = bed.far.tls_server = bed.near.tls_after = true;
  say(&bed.near, "please!");
  while ((bed.near.n_opened < 2 || bed.far.n_opened < 2) && !bed.near.closed && !bed.far.closed)
    peer_turn(&bed.loop, -1, 0, 10);
  ck_assert_msg(!bed.near.closed && !bed.far.closed, "%s / %s", bed.near.reason, bed.far.reason);
  ck_assert(bed.near.secured && bed.far.secured);
  buf_clear(&bed.far.got);
  say(&bed.near, "secret");
  until_got(&bed, &bed.far, 6);
  ck_assert_str_eq(bed.far.got.at, "secret");
  bed_close(&bed);
}
END_TEST

START_TEST(bytes_behind_starttls_are_an_injection)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.tls_after = bed.far.tls_server = true;
  say(&bed.near, "please!MAIL FROM");
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.far.status, PARLEY_INVALID);
  ck_assert_int_eq(bed.far.n_opened, 1);
  bed_close(&bed);
}
END_TEST

START_TEST(unused_bytes_told_to_secure_end_the_stream)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.tls_after = bed.far.tls_server = true;
  bed.far.unused = 4;
  say(&bed.near, "please!");
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.far.status, PARLEY_INVALID);
  bed_close(&bed);
}
END_TEST

static const struct {
  const char *server_name;
  uint32_t flags;
  bool trusted;
  const char *reason; /* NULL: it opens */
} tls_rows[] = {
    {"", 0, true, NULL},
    {"localhost", 0, true, NULL},
    {"other.example", 0, true, "tls_name_mismatch"},
    {"other.example", PARLEY_TLS_ANY_NAME, true, NULL},
    {"", 0, false, "tls_self_signed"},
    {"", PARLEY_TLS_ANY_NAME, false, "tls_self_signed"},
    {"", PARLEY_TLS_ANY_PEER, false, NULL},
};

START_TEST(a_certificate_is_checked_as_the_flags_say)
{
  struct bed bed;

  bed_open(&bed);
  bed.client_tls.server_name = parley_text_of(tls_rows[_i].server_name);
  bed.client_tls.flags = tls_rows[_i].flags;
  if (!tls_rows[_i].trusted)
    bed.client_tls.ca_pem = TEXT_EMPTY;
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0"), .tls = &bed.server_tls});
  connect_to(&bed, (parley_endpoint){.tls = &bed.client_tls});
  if (tls_rows[_i].reason == NULL) {
    peer_until(&bed.loop, &bed.near.open);
  } else {
    peer_until(&bed.loop, &bed.near.closed);
    ck_assert_str_eq(bed.near.reason, tls_rows[_i].reason);
    ck_assert_int_eq(bed.near.n_opened, 0);
  }
  bed_close(&bed);
}
END_TEST

#define NOT_ALLOWED "address_not_allowed: it is not public, and server.egress.allow names no net that it is in"
static const struct {
  const char *address;
  parley_status status;
  const char *reason;
} unreachable[] = {
    {"10.0.0.1:25", PARLEY_DENIED, NOT_ALLOWED},
    {"169.254.169.254:80", PARLEY_DENIED, NOT_ALLOWED},
    {"[::ffff:10.0.0.1]:25", PARLEY_DENIED, NOT_ALLOWED},
    {"0x0a000001:25", PARLEY_DENIED, NOT_ALLOWED},
    {"localhost", PARLEY_INVALID, "address_invalid: not host:port"},
    {"localhost:0", PARLEY_INVALID, "address_invalid: not host:port"},
    {"localhost:99999", PARLEY_INVALID, "address_invalid: not host:port"},
    {"1.2.3.999:25", PARLEY_NOT_FOUND, "name_not_found"},
    {"127.0.0.1:1", PARLEY_RETRY, "connect_failed: connection refused"},
};

START_TEST(what_cannot_be_connected_to_says_why)
{
  struct bed bed;

  bed_open(&bed);
  connect_to(&bed, (parley_endpoint){.address = parley_text_of(unreachable[_i].address)});
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_msg(bed.near.status == unreachable[_i].status, "%s: %d", unreachable[_i].address, bed.near.status);
  ck_assert_str_eq(bed.near.reason, unreachable[_i].reason);
  bed_close(&bed);
}
END_TEST

START_TEST(the_next_address_is_tried)
{
  struct bed bed;
  char address[64];

  bed_open(&bed);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  snprintf(address, sizeof(address), "localhost%s", strrchr(bed.bound_at, ':')); /* ::1 refuses */
  connect_to(&bed, (parley_endpoint){.address = parley_text_of(address)});
  peer_until(&bed.loop, &bed.near.open);
  bed_close(&bed);
}
END_TEST

START_TEST(a_handshake_that_does_not_come_times_out)
{
  struct bed bed;
  uint16_t port;
  int listener = peer_listen(&port);
  char address[32];

  bed_open(&bed);
  snprintf(address, sizeof(address), "127.0.0.1:%u", port);
  connect_to(&bed, (parley_endpoint){.address = parley_text_of(address), .tls = &bed.client_tls, .connect_ms = 700});
  peer_settle(&bed.loop);
  ck_assert(!bed.near.closed);
  env_fake_step(&bed.env, 701);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_TIMEOUT);
  bed_close(&bed);
  close(listener);
}
END_TEST

START_TEST(an_idle_stream_times_out)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.idle_ms = 1000});
  env_fake_step(&bed.env, 900);
  say(&bed.far, "x");
  until_got(&bed, &bed.near, 1);
  env_fake_step(&bed.env, 900);
  peer_settle(&bed.loop);
  ck_assert(!bed.near.closed);
  env_fake_step(&bed.env, 101);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_TIMEOUT);
  bed_close(&bed);
}
END_TEST

START_TEST(what_cannot_be_listened_on_says_why)
{
  static const struct {
    const char *address;
    parley_status status;
  } rows[] = {{"localhost:0", PARLEY_INVALID},
              {"192.0.2.1:0", PARLEY_INVALID},
              {"unix:relative", PARLEY_INVALID},
              {"unix:/nowhere/at/all", PARLEY_INVALID},
              {"", PARLEY_INVALID}};
  struct bed bed;
  char taken[200];

  bed_open(&bed);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    listen_at(&bed, (parley_endpoint){.address = parley_text_of(rows[i].address)});
    ck_assert_msg(bed.bound_status == rows[i].status, "%s: %d", rows[i].address, bed.bound_status);
  }
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  memcpy(taken, bed.bound_at, sizeof(taken));
  listen_at(&bed, (parley_endpoint){.address = parley_text_of(taken)});
  ck_assert_int_eq(bed.bound_status, PARLEY_BUSY);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0"), .tls = &bed.client_tls}); /* no key */
  ck_assert_int_eq(bed.bound_status, PARLEY_INVALID);
  bed_close(&bed);
}
END_TEST

START_TEST(a_listener_that_is_cancelled_takes_nobody_more)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  ck_assert(stream_cancel(bed.streams, bed.listener));
  ck_assert(!stream_cancel(bed.streams, bed.listener));
  say(&bed.near, "still here");
  until_got(&bed, &bed.far, 10);
  ck_assert_int_eq(bed.n_bound, 1);
  bed.near.open = false;
  stream_listen(bed.streams, &(parley_endpoint){.size = sizeof(parley_endpoint), .address = PARLEY_LIT("127.0.0.1:0")},
                &events, on_accepted, on_bound, &bed);
  stream_cancel(bed.streams, bed.far.id + 100);
  bed_close(&bed); /* a listener not yet told is told CANCELLED */
  ck_assert_int_eq(bed.n_bound, 2);
  ck_assert_int_eq(bed.bound_status, PARLEY_CANCELLED);
}
END_TEST

START_TEST(a_refused_connection_is_closed_without_a_word)
{
  struct bed bed;

  bed_open(&bed);
  bed.next_accepted = NULL;
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  connect_to(&bed, (parley_endpoint){0});
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.far.n_closed, 0);
  bed_close(&bed);
}
END_TEST

START_TEST(unix_sockets_are_listened_on_and_stale_ones_taken_over)
{
  struct bed bed;
  char dir[64], address[80];
  struct stat about;
  int fd;

  temp_dir(dir, sizeof(dir));
  snprintf(address, sizeof(address), "unix:%s/s", dir);
  bed_open(&bed);
  for (int i = 0; i < 2; i++) { /* the second time over a file that nobody listens on */
    if (i == 1) {
      struct sockaddr at = {.sa_family = AF_UNIX};
      int stale = socket(AF_UNIX, SOCK_STREAM, 0);
      char raw[110] = {0};

      memcpy(raw, &at.sa_family, sizeof(at.sa_family));
      snprintf(raw + sizeof(at.sa_family), 100, "%s", address + 5);
      ck_assert_int_eq(bind(stale, (struct sockaddr *)(void *)raw, 110), 0);
      close(stale);
    }
    listen_at(&bed, (parley_endpoint){.address = parley_text_of(address)});
    ck_assert_msg(bed.bound_status == PARLEY_OK, "%s", bed.bound_why);
    ck_assert_str_eq(bed.bound_at, address);
    bed.far.open = bed.far.closed = false;
    fd = unix_connect(address + 5);
    peer_say(&bed.loop, fd, "hi");
    until_got(&bed, &bed.far, 2);
    close(fd);
    peer_until(&bed.loop, &bed.far.closed);
    bed.far.n_closed = 0;
    stream_cancel(bed.streams, bed.listener);
    ck_assert_int_ne(stat(address + 5, &about), 0); /* the file goes with the listener */
  }
  bed_close(&bed);
  rmdir(dir);
}
END_TEST

START_TEST(closing_the_owner_tells_everyone)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  stream_connect(bed.streams,
                 &(parley_endpoint){.size = sizeof(parley_endpoint), .address = PARLEY_LIT("name.invalid:25")}, &events,
                 &bed.near); /* still resolving */
  streams_close(&bed.streams, peer_flag, &bed.done);
  ck_assert_int_eq(bed.near.n_closed, 0);
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.near.n_closed, 2);
  ck_assert_int_eq(bed.far.n_closed, 1);
  ck_assert_int_eq(bed.near.status, PARLEY_CANCELLED);
  bed.near.n_closed = 1;
  bed_close(&bed);
}
END_TEST

static void own(void)
{
  bed_border = false;
}

static void border(void)
{
  bed_border = true;
}

static TCase *all(const char *name, void (*how)(void))
{
  TCase *tcase = tcase_create(name);

  tcase_add_checked_fixture(tcase, how, NULL);
  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, bytes_go_both_ways_and_the_end_comes_once);
  tcase_add_test(tcase, what_is_not_used_stays_and_comes_again_with_more);
  tcase_add_test(tcase, bytes_that_nobody_uses_end_the_stream_at_read_max);
  tcase_add_test(tcase, reading_can_be_held_back);
  tcase_add_test(tcase, writing_far_beyond_the_mark_ends_the_stream);
  tcase_add_test(tcase, closing_after_the_flush_loses_nothing);
  tcase_add_test(tcase, a_peer_that_takes_nothing_is_left_after_five_seconds);
  tcase_add_test(tcase, tls_from_the_first_byte);
  tcase_add_test(tcase, starttls_secures_both_sides_of_an_open_stream);
  tcase_add_test(tcase, bytes_behind_starttls_are_an_injection);
  tcase_add_test(tcase, unused_bytes_told_to_secure_end_the_stream);
  tcase_add_loop_test(tcase, a_certificate_is_checked_as_the_flags_say, 0,
                      (int)(sizeof(tls_rows) / sizeof(tls_rows[0])));
  tcase_add_loop_test(tcase, what_cannot_be_connected_to_says_why, 0,
                      (int)(sizeof(unreachable) / sizeof(unreachable[0])));
  tcase_add_test(tcase, the_next_address_is_tried);
  tcase_add_test(tcase, a_handshake_that_does_not_come_times_out);
  tcase_add_test(tcase, an_idle_stream_times_out);
  tcase_add_test(tcase, what_cannot_be_listened_on_says_why);
  tcase_add_test(tcase, a_listener_that_is_cancelled_takes_nobody_more);
  tcase_add_test(tcase, a_refused_connection_is_closed_without_a_word);
  tcase_add_test(tcase, unix_sockets_are_listened_on_and_stale_ones_taken_over);
  tcase_add_test(tcase, closing_the_owner_tells_everyone);
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("net: streams");

  suite_add_tcase(suite, all("own sockets", own));
  suite_add_tcase(suite, all("sockets over a border", border));
  return peer_main(suite);
}
