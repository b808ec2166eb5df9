/* What the host promises a plugin: uploads within a bound, secrets masked in all that a plugin says, nothing answered within
 * the call that asked. */
#include "api_fixture.h"
#include "core/channel/instance.h"

static struct api_fixture f;
static struct { int count; parley_status status; char value[ID_TEXT_MAX]; } told;

static void setup(void)
{
  api_fixture_init(&f);
  memset(&told, 0, sizeof told);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

static void tell(const parley_result *result, void *arg)
{
  (void)arg;
  told.count++;
  told.status = result->status;
  snprintf(told.value, sizeof told.value, "%.*s", TEXT_ARG(result->value));
}

static uint64_t upload_begin(void)
{
  return ext_media.create(&f.channels[0]->host, PARLEY_LIT("image/png"), PARLEY_LIT("a.png"));
}

/* As a plugin calls: within a frame, and told after it. */
static parley_status upload_append(uint64_t upload)
{
  int before = told.count;

  channel_enter(f.channels[0]);
  ext_media.append(&f.channels[0]->host, upload, PARLEY_LIT("bytes"), tell, NULL);
  ck_assert_int_eq(told.count, before); /* never within the call */
  channel_leave(f.channels[0], "test");
  ck_assert_int_eq(told.count, before + 1);
  return told.status;
}

static bool told_finish(void)
{
  return told.count > 0 && told.value[0] != '\0';
}

START_TEST(uploads_are_bounded_and_each_that_ends_makes_room)
{
  uint64_t uploads[CHANNEL_UPLOADS_MAX];

  for (size_t i = 0; i < CHANNEL_UPLOADS_MAX; i++) {
    uploads[i] = upload_begin();
    ck_assert_int_eq(upload_append(uploads[i]), PARLEY_OK);
  }
  ck_assert_int_eq(upload_append(upload_begin()), PARLEY_BUSY);
  f.channels[0]->host.cancel(&f.channels[0]->host, uploads[0]);
  ck_assert_int_eq(upload_append(uploads[0]), PARLEY_NOT_FOUND);
  uploads[0] = upload_begin();
  ck_assert_int_eq(upload_append(uploads[0]), PARLEY_OK);
  channel_enter(f.channels[0]);
  ext_media.finish(&f.channels[0]->host, uploads[1], tell, NULL);
  channel_leave(f.channels[0], "test");
  for (uint64_t deadline = peer_deadline(); !told_finish() && !peer_late(deadline);)
    peer_turn(&f.loop, -1, 0, 20);
  ck_assert_int_eq(told.status, PARLEY_OK);
  ck_assert_int_eq(strncmp(told.value, "med_", 4), 0);
  ck_assert_int_eq(upload_append(upload_begin()), PARLEY_OK);
}
END_TEST

/* --- Requests with media of the store --------------------------------------------------------------------------------- */

#define MIB ((size_t)1 << 20)

static struct {
  int count, by_status[32];
  uint32_t code, sent;
  uint64_t total_bytes;
  char media[64], type[64], reason[128], body[256];
} answered;

static void answer(const parley_http_response *response, void *arg)
{
  (void)arg;
  answered.count++;
  answered.by_status[-response->status]++;
  answered.code = response->code;
  answered.sent = response->sent;
  answered.total_bytes = response->total_bytes;
  snprintf(answered.media, sizeof answered.media, "%.*s", TEXT_ARG(response->media));
  snprintf(answered.type, sizeof answered.type, "%.*s", TEXT_ARG(response->type));
  snprintf(answered.reason, sizeof answered.reason, "%.*s", TEXT_ARG(response->reason));
  snprintf(answered.body, sizeof answered.body, "%.*s", TEXT_ARG(response->body));
}

static void setup_http(void)
{
  setup();
  memset(&answered, 0, sizeof answered);
}

static uint64_t http_ask(const parley_http_request *request)
{
  int before = answered.count;
  uint64_t id;

  channel_enter(f.channels[0]);
  id = ext_http.request(&f.channels[0]->host, request, answer, NULL);
  ck_assert_int_eq(answered.count, before); /* never within the call */
  channel_leave(f.channels[0], "test");
  return id;
}

static void answered_wait(int count)
{
  for (uint64_t deadline = peer_deadline(); answered.count < count && !peer_late(deadline);)
    peer_turn(&f.loop, -1, 0, 20);
  ck_assert_int_eq(answered.count, count);
}

struct media_made { struct store_media_add op; bool over; };

static void media_made(struct store_op *op)
{
  ck_assert_int_eq(op->status, PARLEY_OK);
  arena_free(&op->arena);
  container_of(op, struct media_made, op.op)->over = true;
}

/* Media of so many bytes, all alike, in the store; its id. */
static parley_text media_make(char byte, size_t len, char id[ID_TEXT_MAX])
{
  char *bytes = malloc(len);
  struct media_made made = {.op = {.op = {.kind = STORE_MEDIA_ADD, .done = media_made}, .type = PARLEY_LIT("image/png"),
                                   .name = PARLEY_LIT("a.png"), .bytes = {bytes, len}}};

  memset(bytes, byte, len);
  sha256(made.op.bytes, made.op.sha256);
  store_submit(f.store, &made.op.op);
  peer_until(&f.loop, &made.over);
  free(bytes);
  id_format("med", made.op.id, id);
  return parley_text_of(id);
}

static const char *url_of(uint16_t port)
{
  keepf(0, "http://127.0.0.1:%u/upload", port);
  return kept[0];
}

START_TEST(pieces_are_data_and_media_one_after_the_other)
{
  char small[ID_TEXT_MAX], large[ID_TEXT_MAX], *got = malloc(4 * MIB), *body;
  parley_part pieces[] = {{.size = sizeof *pieces, .data = PARLEY_LIT("--x\r\n")},
                          {.size = sizeof *pieces, .media = media_make('l', MIB + MIB / 2, large)},
                          {.size = sizeof *pieces, .data = PARLEY_LIT("--y\r\n")},
                          {.size = sizeof *pieces, .media = media_make('s', 3, small)},
                          {.size = sizeof *pieces, .data = PARLEY_LIT("--z--")}};
  const parley_part *all[] = {&pieces[0], &pieces[1], &pieces[2], &pieces[3], &pieces[4]};
  uint16_t port = 0;
  int listener = peer_listen(&port), receiver;
  parley_http_request request = {.size = sizeof request, .url = parley_text_of(url_of(port)), .n_pieces = 5, .pieces = all};

  http_ask(&request);
  receiver = peer_accept(&f.loop, listener);
  peer_read(&f.loop, receiver, got, 4 * MIB, "--z--", NULL);
  body = strstr(got, "\r\n\r\n") + 4;
  ck_assert_ptr_eq(strstr(got, "POST /upload "), got);
  ck_assert_uint_eq(strlen(body), 5 + MIB + MIB / 2 + 5 + 3 + 5);
  ck_assert_uint_eq(strspn(body + 5, "l"), MIB + MIB / 2);
  ck_assert_str_eq(body + 5 + MIB + MIB / 2, "--y\r\nsss--z--");
  peer_say(&f.loop, receiver, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
  answered_wait(1);
  ck_assert_uint_eq(answered.code, 201);
  ck_assert_str_eq(answered.body, "ok");
  close(receiver);
  close(listener);
  free(got);
}
END_TEST

/* Pieces that cannot be carried: refused, and nothing is sent. */
static void pieces_refused(const parley_part *one, const parley_part *two, const char *reason)
{
  const parley_part *all[] = {one, two};
  parley_http_request request = {.size = sizeof request, .url = PARLEY_LIT("http://127.0.0.1:9/"), .n_pieces = two != NULL ? 2 : 1,
                                 .pieces = all};

  http_ask(&request);
  answered_wait(1);
  ck_assert_int_eq(answered.by_status[-PARLEY_INVALID], 1);
  ck_assert_msg(strncmp(answered.reason, reason, strlen(reason)) == 0, "%s", answered.reason);
  ck_assert_uint_eq(answered.sent, 0);
  answered.count = answered.by_status[-PARLEY_INVALID] = 0;
}

START_TEST(pieces_that_do_not_exist_or_are_too_large_are_refused_before_anything_is_sent)
{
  char first[ID_TEXT_MAX], second[ID_TEXT_MAX], *bytes = calloc(1, MIB + 1);
  parley_part unknown = {.size = sizeof unknown, .media = PARLEY_LIT("med_0000000000001")},
              no_id = {.size = sizeof no_id, .media = PARLEY_LIT("../etc/passwd")},
              large = {.size = sizeof large, .media = media_make('a', 13 * MIB, first)},
              larger = {.size = sizeof larger, .media = media_make('b', 12 * MIB + 1, second)},
              data = {.size = sizeof data, .data = {bytes, MIB + 1}};

  pieces_refused(&unknown, NULL, "media_unknown");
  pieces_refused(&no_id, NULL, "media_unknown");
  pieces_refused(&large, &larger, "body_too_large");
  pieces_refused(&data, &large, "body_too_large: larger content than inline_max");
  free(bytes);
}
END_TEST

/* Asks with PARLEY_HTTP_SAVE and gives this answer. */
static void saved_answer(const char *head, const char *body)
{
  char got[4096];
  uint16_t port = 0;
  int listener = peer_listen(&port), receiver, before = answered.count;
  parley_http_request request = {.size = sizeof request, .flags = PARLEY_HTTP_SAVE, .url = parley_text_of(url_of(port))};

  http_ask(&request);
  receiver = peer_accept(&f.loop, listener);
  peer_read(&f.loop, receiver, got, sizeof got, "\r\n\r\n", NULL);
  ck_assert_ptr_eq(strstr(got, "GET /upload "), got);
  keepf(1, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
  peer_say(&f.loop, receiver, kept[1]);
  answered_wait(before + 1);
  close(receiver);
  close(listener);
}

START_TEST(a_good_answer_that_is_to_be_kept_is_media_when_the_plugin_hears_of_it)
{
  saved_answer("200 OK\r\nContent-Type: image/gif", "GIF89a");
  ck_assert_int_eq(answered.by_status[-PARLEY_OK], 1);
  ck_assert_str_eq(answered.type, "image/gif");
  ck_assert_str_eq(answered.body, "");
  ck_assert_uint_eq(answered.total_bytes, 6);
  ck_assert_int_eq(strncmp(answered.media, "med_", 4), 0);
  channel_enter(f.channels[0]);
  ext_media.read(&f.channels[0]->host, parley_text_of(answered.media), 0, tell, NULL);
  channel_leave(f.channels[0], "test");
  for (uint64_t deadline = peer_deadline(); !told_finish() && !peer_late(deadline);)
    peer_turn(&f.loop, -1, 0, 20);
  ck_assert_str_eq(told.value, "GIF89a");
}
END_TEST

START_TEST(any_other_answer_comes_as_it_is)
{
  saved_answer("404 Not Found\r\nContent-Type: text/plain", "gone");
  ck_assert_uint_eq(answered.code, 404);
  ck_assert_str_eq(answered.body, "gone");
  ck_assert_str_eq(answered.media, "");
  saved_answer("204 No Content", "");
  ck_assert_uint_eq(answered.code, 204);
  ck_assert_str_eq(answered.media, "");
}
END_TEST

START_TEST(an_answer_beyond_what_the_plugin_wants_is_refused)
{
  char got[4096];
  uint16_t port = 0;
  int listener = peer_listen(&port), receiver;
  parley_http_request request = {.size = sizeof request, .flags = PARLEY_HTTP_SAVE, .url = parley_text_of(url_of(port)),
                                 .response_max = 5};

  http_ask(&request);
  receiver = peer_accept(&f.loop, listener);
  peer_read(&f.loop, receiver, got, sizeof got, "\r\n\r\n", NULL);
  peer_say(&f.loop, receiver, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nGIF89a");
  answered_wait(1);
  ck_assert_int_eq(answered.by_status[-PARLEY_INVALID], 1);
  ck_assert_str_eq(answered.media, "");
  request.response_max = UINT64_MAX;
  ck_assert_uint_eq(http_response_max(&request), 25 * MIB);
  close(receiver);
  close(listener);
}
END_TEST

START_TEST(only_so_many_are_under_way_and_the_next_one_waits_its_turn)
{
  uint64_t ids[CHANNEL_HTTP_MEDIA_MAX + 3];
  char got[4096];
  uint16_t port = 0;
  int listener = peer_listen(&port), receiver;
  parley_http_request request = {.size = sizeof request, .flags = PARLEY_HTTP_SAVE, .url = parley_text_of(url_of(port))};
  const parley_host *host = &f.channels[0]->host;

  for (size_t i = 0; i < COUNT_OF(ids); i++)
    ids[i] = http_ask(&request);
  ck_assert_uint_eq(f.channels[0]->http_media, CHANNEL_HTTP_MEDIA_MAX);
  ck_assert_uint_eq(f.channels[0]->n_http_waiting, 3);
  host->cancel(host, ids[COUNT_OF(ids) - 1]); /* one that waits */
  answered_wait(1);
  ck_assert_uint_eq(f.channels[0]->n_http_waiting, 2);
  host->cancel(host, ids[0]); /* one that is under way */
  answered_wait(2);
  ck_assert_int_eq(answered.by_status[-PARLEY_CANCELLED], 2);
  ck_assert_uint_eq(f.channels[0]->n_http_waiting, 1);
  receiver = peer_accept(&f.loop, listener);
  peer_read(&f.loop, receiver, got, sizeof got, "\r\n\r\n", NULL);
  close(receiver);
  answered_wait(3);
  ck_assert_uint_eq(f.channels[0]->n_http_waiting, 0);
  ck_assert_uint_eq(f.channels[0]->http_media, CHANNEL_HTTP_MEDIA_MAX);
  api_fixture_down(&f); /* the end of the channel ends them all */
  ck_assert_int_eq(answered.count, (int)COUNT_OF(ids));
  api_fixture_up(&f);
  close(listener);
}
END_TEST

static const parley_option secret_option = {.size = sizeof(parley_option), .type = PARLEY_OPTION_TEXT, .name = "password",
                                            .flags = PARLEY_SECRET};
static const parley_option *const secret_table[] = {&secret_option, NULL};

static const struct { const char *said, *shown; } masks[] = {
    {"AUTH failed for correct-horse", "AUTH failed for ***"},
    {"correct-horse correct-horse!", "*** ***!"},
    {"correct-hors", "correct-hors"},
    {"", ""},
};

START_TEST(a_secret_of_the_options_is_masked_wherever_a_plugin_says_it)
{
  parley_value value = {.size = sizeof value, .type = PARLEY_OPTION_TEXT, .text = PARLEY_LIT("correct-horse")};
  const parley_value *items[] = {&value};
  parley_value group = {.size = sizeof group, .type = PARLEY_OPTION_GROUP, .n_items = 1, .items = items};
  parley_plugin table = {.size = sizeof table, .options = secret_table};
  struct channel channel = {.options = &group, .table = &table};
  struct buf shown = BUF_INIT(1024);

  channel_mask(&channel, parley_text_of(masks[_i].said), &shown);
  ck_assert(parley_text_is(buf_as_text(&shown), masks[_i].shown));
  buf_done(&shown);
}
END_TEST

START_TEST(a_secret_on_the_cut_shows_no_piece_of_itself)
{
  parley_value value = {.size = sizeof value, .type = PARLEY_OPTION_TEXT, .text = PARLEY_LIT("correct-horse")};
  const parley_value *items[] = {&value};
  parley_value group = {.size = sizeof group, .type = PARLEY_OPTION_GROUP, .n_items = 1, .items = items};
  parley_plugin table = {.size = sizeof table, .options = secret_table};
  struct channel channel = {.options = &group, .table = &table};
  struct buf shown = BUF_INIT(1024);

  channel_mask_cut(&channel, PARLEY_LIT("AUTH failed for correct-horse"), strlen("AUTH failed for correct"), &shown);
  ck_assert(parley_text_is(buf_as_text(&shown), "AUTH failed for ***"));
  buf_done(&shown);
}
END_TEST

static struct {
  int count;
  uint32_t result;
  char code[32];
} settled;

static void note_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  (void)channel, (void)token, (void)arg;
  settled.count++;
  settled.result = outcome->result;
  snprintf(settled.code, sizeof settled.code, "%.*s", TEXT_ARG(outcome->code));
}

static parley_status keep_it(parley_channel *ch, uint64_t token, const parley_message *message)
{
  (void)ch, (void)token, (void)message;
  return PARLEY_OK;
}

START_TEST(that_a_process_died_is_the_hosts_word_and_never_the_plugins)
{
  struct channel *channel = f.channels[0];
  parley_plugin table = *channel->table;
  const parley_plugin *was = channel->table;

  table.submit = keep_it;
  channel->table = &table;
  channel->owner.settled = note_settled;
  settled.count = 0;
  for (uint64_t token = 1; token <= 2; token++)
    ck_assert_int_eq(channel_submit(channel, token, NULL, 1000), PARLEY_OK);
  channel->host.settle(&channel->host, 1, PARLEY_REF(parley_outcome, .result = 0x40000001)); /* no such outcome */
  ck_assert(settled.count == 1 && settled.result == PARLEY_OUTCOME_UNKNOWN);
  channel_settle_died(channel, 2);
  ck_assert(settled.count == 2 && settled.result == PARLEY_OUTCOME_DIED);
  ck_assert_str_eq(settled.code, "plugin_died");
  ck_assert(channel->counters.open == 0 && channel->counters.misbehaved == 0);
  channel_settle_died(channel, 2); /* it settles once, like any */
  ck_assert(settled.count == 2 && channel->counters.late == 1);
  channel->table = was;
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel: host");
  TCase *host = tcase_create("host"), *http = tcase_create("http"), *pure = tcase_create("masks");

  tcase_add_checked_fixture(host, setup, teardown);
  tcase_add_test(host, uploads_are_bounded_and_each_that_ends_makes_room);
  tcase_add_test(host, that_a_process_died_is_the_hosts_word_and_never_the_plugins);
  tcase_add_loop_test(pure, a_secret_of_the_options_is_masked_wherever_a_plugin_says_it, 0, COUNT_OF(masks));
  tcase_add_test(pure, a_secret_on_the_cut_shows_no_piece_of_itself);
  tcase_add_checked_fixture(http, setup_http, teardown);
  tcase_add_test(http, pieces_are_data_and_media_one_after_the_other);
  tcase_add_test(http, pieces_that_do_not_exist_or_are_too_large_are_refused_before_anything_is_sent);
  tcase_add_test(http, a_good_answer_that_is_to_be_kept_is_media_when_the_plugin_hears_of_it);
  tcase_add_test(http, any_other_answer_comes_as_it_is);
  tcase_add_test(http, an_answer_beyond_what_the_plugin_wants_is_refused);
  tcase_add_test(http, only_so_many_are_under_way_and_the_next_one_waits_its_turn);
  suite_add_tcase(suite, host);
  suite_add_tcase(suite, http);
  suite_add_tcase(suite, pure);
  return peer_main(suite);
}
