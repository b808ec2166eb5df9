/* The near side of the process border: what a plugin's process says is carried out against its own channel and nothing else, what makes
 * no sense ends it, and its end - whenever it comes - settles and answers all that it held. The test speaks for the process. */
#include "border_bed.h"

static void setup(void)
{
  bed_init();
}

static void setup_running(void)
{
  bed_init();
  bed_run();
}

static void teardown(void)
{
  bed_done();
}

static const parley_identity ana = {.size = sizeof ana, .kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")};
static const parley_message letter = {.size = sizeof letter, .kind = PARLEY_KIND_CONTENT, .attempt = 1, .id = PARLEY_LIT("msg_1"),
                                      .subject = PARLEY_LIT("Order"), .to = &ana};

static void submit(uint64_t token)
{
  ck_assert_int_eq(channel_submit(bed.channel, token, &letter, 60000), PARLEY_OK);
}

static bool log_says(const char *words)
{
  return strstr(bed.log_lines, words) != NULL;
}

/* The process was killed, by us, for this reason, and for no other. */
static void check_killed(const char *why)
{
  char *first;

  BED_UNTIL(bed.remote->state == REMOTE_DEAD);
  first = strstr(bed.log_lines, "event=plugin_killed");
  ck_assert_msg(first != NULL && strstr(first, why) != NULL, "%s", bed.log_lines);
  ck_assert_ptr_null(strstr(first + 1, "event=plugin_killed"));
  ck_assert_msg(strstr(bed.remote->last_death.at, why) != NULL, "%s", bed.remote->last_death.at);
  BED_UNTIL(!bed.remote->process_runs || bed.remote->generation > 1);
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

START_TEST(a_process_is_made_started_used_and_leaves)
{
  parley_value options = {.size = sizeof options, .type = PARLEY_OPTION_GROUP, .name = PARLEY_LIT("options")};
  const struct frame_words *words;
  const parley_message *message;
  uint64_t token;
  int pid;

  near_new(&options);
  far_play();
  words = far_hear(FRAME_CREATE, NULL, &abi_frame_words);
  ck_assert(parley_text_is(words->one, "chan") && parley_text_is(words->two, "https://parley.example") &&
            parley_text_is(words->three, "9.9"));
  ck_assert(words->number == 8 && words->amount == PARLEY_DEBUG && parley_text_is(words->options->name, "options"));
  far_say_words(FRAME_CREATED, 0, .amount = 7, .three = PARLEY_LIT("sealed"), .capabilities = &bed_caps);
  BED_UNTIL(bed.channel->making == CHANNEL_DONE);
  ck_assert_int_eq(bed.progress, 1);
  ck_assert_str_eq(channel_caps(bed.channel)->address_kind, "email");
  ck_assert_uint_eq(bed.channel->window, 7);
  near_start();
  ck_assert_int_eq(bed.channel->starting, CHANNEL_GOING);
  far_started();
  ck_assert(bed.progress == 2 && channel_state(bed.channel) == CHANNEL_UP);
  submit(41);
  message = far_hear(FRAME_SUBMIT, &token, &abi_message);
  ck_assert(token == 41 && parley_text_is(message->id, "msg_1") && parley_text_is(message->to->value, "ana@example.org"));
  far_say(FRAME_SETTLE, 41, &abi_outcome, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED, .code = PARLEY_LIT("250")));
  BED_UNTIL(bed.n_settled == 1);
  ck_assert(bed.settled[0].token == 41 && bed.settled[0].result == PARLEY_OUTCOME_ACCEPTED);
  ck_assert_str_eq(bed.settled[0].code, "250");
  pid = bed.remote->process.pid;
  near_stop(1000);
  far_hear(FRAME_DRAIN, NULL, &abi_frame_words);
  far_hear(FRAME_STOP, NULL, NULL);
  far_say(FRAME_STOPPED, 0, NULL, NULL);
  BED_UNTIL(bed.closed);
  ck_assert(!log_says("event=plugin_killed") && !log_says("event=plugin_died"));
  ck_assert_int_eq(kill(pid, 0), 0); /* it left well: it ends by itself, or is killed when it does not */
  BED_UNTIL(kill(pid, 0) != 0);
}
END_TEST

START_TEST(what_create_says_is_narrowed_to_what_can_be)
{
  static const struct { int64_t amount; uint32_t window; } windows[] = {
      {0, 8}, {-1, 8}, {INT64_MAX, 8}, {3, 3}}; /* 8: as configured */
  char long_words[4000];

  memset(long_words, 'x', sizeof long_words);
  near_new(NULL);
  far_play();
  far_hear(FRAME_CREATE, NULL, &abi_frame_words);
  far_say_words(FRAME_CREATED, 0, .amount = windows[_i].amount, .three = {long_words, sizeof long_words},
                .capabilities = PARLEY_REF(parley_capabilities, .flags = PARLEY_ORDERED)); /* without its kinds */
  BED_UNTIL(bed.channel->making == CHANNEL_DONE);
  ck_assert_uint_eq(bed.channel->window, windows[_i].window);
  ck_assert_ptr_eq(channel_caps(bed.channel), &bed_caps); /* as declared */
  ck_assert_uint_eq(bed.remote->sandbox.len, 200);
}
END_TEST

START_TEST(a_failed_create_or_start_is_told_with_its_reason)
{
  near_new(NULL);
  far_play();
  if (_i == 0) {
    far_hear(FRAME_CREATE, NULL, &abi_frame_words);
    far_say_words(FRAME_CREATED, 0, .number = (uint32_t)PARLEY_INVALID, .one = PARLEY_LIT("no such host"));
    BED_UNTIL(bed.channel->making == CHANNEL_BROKE);
  } else {
    far_created();
    near_start();
    far_hear(FRAME_START, NULL, NULL);
    far_say_words(FRAME_STARTED, 0, .number = (uint32_t)PARLEY_FAILED, .one = PARLEY_LIT("no such host"));
    BED_UNTIL(bed.channel->starting == CHANNEL_BROKE);
    ck_assert_int_eq(channel_state(bed.channel), CHANNEL_FAILED);
  }
  ck_assert(parley_text_is(channel_cause(bed.channel), "no such host"));
  ck_assert_int_eq(bed.progress, _i == 0 ? 1 : 2);
  BED_UNTIL(!bed.remote->process_open);
  bed_settle();
  ck_assert(!bed.remote->process_open); /* and is not tried again */
}
END_TEST

START_TEST(a_process_that_cannot_be_started_breaks_the_making)
{
  bed.shared.apart.host_program = "/nowhere/parley-plugin-host";
  ck_assert_int_eq(channel_new_with(&bed.shared, &bed_owner, "chan", 8, NULL, bed.plugin, &bed.channel), PARLEY_OK);
  BED_UNTIL(bed.channel->making == CHANNEL_BROKE); /* it is started in the pool */
  ck_assert(text_starts(channel_cause(bed.channel), "/nowhere/parley-plugin-host cannot be started: "));
  bed.remote = bed.channel->instance;
}
END_TEST

START_TEST(a_plugin_that_cannot_be_loaded_over_there_breaks_the_making)
{
  near_new(NULL);
  far_play();
  far_say_words(FRAME_REFUSED, 0, .one = PARLEY_LIT("tested.so needs the extension x/1"));
  BED_UNTIL(bed.channel->making == CHANNEL_BROKE);
  ck_assert(parley_text_is(channel_cause(bed.channel), "tested.so needs the extension x/1"));
}
END_TEST

/* --- What the process may ask, and its answers ------------------------------------------------------------------- */

static const parley_part part = {.size = sizeof part, .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("hello")};
static const parley_part *const parts[] = {&part};
static const parley_identity *const from[] = {&ana};
static const parley_inbound inbound = {.size = sizeof inbound, .kind = PARLEY_KIND_CONTENT, .event_id = PARLEY_LIT("e1"), .n_from = 1,
                                       .from = from, .n_parts = 1, .parts = parts, .at_ms = 5};
static const parley_receipt receipt = {.size = sizeof receipt, .kind = PARLEY_RECEIPT_READ, .message_id = PARLEY_LIT("msg_1"),
                                       .to = &ana};
static const parley_touchpoint event = {.size = sizeof event, .stage = PARLEY_STAGE_AFTER, .type = PARLEY_LIT("call.ended"),
                                        .who = &ana};
static const struct frame_words key_value = {.size = sizeof key_value, .one = PARLEY_LIT("key"), .two = PARLEY_LIT("value")};
static const struct frame_words media_at = {.size = sizeof media_at, .one = PARLEY_LIT("med_1"), .amount = 7};

static const struct { enum frame_type type; const struct abi_struct *shape; const void *said; enum asked_what what; } calls[] = {
    {FRAME_INBOUND, &abi_inbound, &inbound, ASKED_INBOUND},
    {FRAME_RECEIPT, &abi_receipt, &receipt, ASKED_RECEIPT},
    {FRAME_EVENT, &abi_touchpoint, &event, ASKED_EVENT},
    {FRAME_STATE_GET, &abi_frame_words, &key_value, ASKED_STATE_GET},
    {FRAME_STATE_PUT, &abi_frame_words, &key_value, ASKED_STATE_PUT},
    {FRAME_MEDIA_READ, &abi_frame_words, &media_at, ASKED_MEDIA_READ},
    {FRAME_MEDIA_APPEND, &abi_frame_words, &media_at, ASKED_MEDIA_APPEND},
    {FRAME_MEDIA_FINISH, &abi_frame_words, &media_at, ASKED_MEDIA_FINISH},
};

START_TEST(each_call_is_carried_out_and_answered_under_its_number)
{
  struct buf want = BUF_INIT(1 << 20);
  struct asked *asked;
  const parley_result *result;
  uint64_t id;

  far_say(calls[_i].type, 77, calls[_i].shape, calls[_i].said);
  asked = asked_await(calls[_i].what);
  if (calls[_i].shape != &abi_frame_words) {
    wire_put(&want, calls[_i].shape, calls[_i].said);
    ck_assert(asked->said.len == want.len && memcmp(asked->said.at, want.at, want.len) == 0);
  }
  if (calls[_i].what == ASKED_MEDIA_READ)
    ck_assert_uint_eq(asked->number, 7);
  ck_assert_uint_eq(bed.remote->calls.count, 1);
  asked_answer(asked, PARLEY_BUSY, "some value");
  result = far_hear(FRAME_RESULT, &id, &abi_result);
  ck_assert(id == 77 && result->status == PARLEY_BUSY && parley_text_is(result->value, "some value") && result->retry_ms == 3);
  ck_assert(parley_text_is(result->reason, "why"));
  ck_assert_uint_eq(bed.remote->calls.count, 0);
  buf_done(&want);
}
END_TEST

START_TEST(the_timeline_is_answered_with_a_page)
{
  parley_event entry = {.size = sizeof entry, .type = PARLEY_LIT("message.received")};
  const parley_event *const entries[] = {&entry};
  const parley_page *page;
  struct asked *asked;
  uint64_t id;

  far_say(FRAME_TIMELINE, 5, &abi_query, PARLEY_REF(parley_query, .who = &ana, .limit = 3));
  asked = asked_await(ASKED_TIMELINE);
  asked->answered = true;
  asked->page(PARLEY_REF(parley_page, .n_events = 1, .events = entries, .cursor = PARLEY_LIT("next")), asked->arg);
  page = far_hear(FRAME_PAGE, &id, &abi_page);
  ck_assert(id == 5 && page->n_events == 1 && parley_text_is(page->events[0]->type, "message.received"));
}
END_TEST

START_TEST(a_request_is_answered_or_cancelled)
{
  const parley_http_response *response;
  struct asked *asked;
  uint64_t id;

  far_say(FRAME_HTTP, 5, &abi_http_request, PARLEY_REF(parley_http_request, .url = PARLEY_LIT("https://a.example/")));
  asked = asked_await(ASKED_HTTP);
  asked_respond(asked, PARLEY_REF(parley_http_response, .code = 201, .body = PARLEY_LIT("made")));
  response = far_hear(FRAME_RESPONSE, &id, &abi_http_response);
  ck_assert(id == 5 && response->code == 201 && parley_text_is(response->body, "made"));
  far_say(FRAME_HTTP, 6, &abi_http_request, PARLEY_REF(parley_http_request, .url = PARLEY_LIT("https://b.example/")));
  asked = asked_await(ASKED_HTTP);
  far_say(FRAME_CANCEL, 99, NULL, NULL); /* nothing of this number: no effect */
  far_say(FRAME_CANCEL, 5, NULL, NULL);
  far_say(FRAME_CANCEL, 6, NULL, NULL);
  BED_UNTIL(asked->cancelled);
  far_say(FRAME_CANCEL, 6, NULL, NULL);
  bed_settle();
  asked_respond(asked, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED));
  response = far_hear(FRAME_RESPONSE, &id, &abi_http_response);
  ck_assert(id == 6 && response->status == PARLEY_CANCELLED);
}
END_TEST

START_TEST(an_upload_is_known_by_the_number_that_the_process_gave_it)
{
  struct asked *asked;

  far_say_words(FRAME_MEDIA_CREATE, 30, .one = PARLEY_LIT("image/png"));
  far_say_words(FRAME_MEDIA_APPEND, 31, .amount = 30, .two = PARLEY_LIT("bytes"));
  asked = asked_await(ASKED_MEDIA_APPEND);
  ck_assert_uint_eq(asked->number, HANDLE_ID_BIT | 1);
  asked_answer(asked, PARLEY_OK, "");
  far_say_words(FRAME_MEDIA_APPEND, 32, .amount = 29, .two = PARLEY_LIT("of nobody"));
  asked = asked_await(ASKED_MEDIA_APPEND);
  ck_assert_uint_eq(asked->number, 0);
  asked_answer(asked, PARLEY_NOT_FOUND, "");
  far_say_words(FRAME_MEDIA_CREATE, 33, .one = PARLEY_LIT("image/gif"));
  far_say(FRAME_CANCEL, 33, NULL, NULL);
  far_say_words(FRAME_MEDIA_FINISH, 34, .amount = 30);
  asked = asked_await(ASKED_MEDIA_FINISH);
  ck_assert_int_eq(bed.uploads, 0);
  asked_answer(asked, PARLEY_OK, "med_1");
  far_hear(FRAME_RESULT, NULL, &abi_result);
  BED_UNTIL(bed.remote->uploads.count == 0);
}
END_TEST

START_TEST(window_health_lines_metrics_and_slips_are_noted)
{
  far_say_words(FRAME_WINDOW, 0, .number = 3);
  BED_UNTIL(bed.windows == 1 && bed.window == 3);
  far_say_words(FRAME_WINDOW, 0, .number = UINT32_MAX);
  BED_UNTIL(bed.windows == 2);
  ck_assert_uint_eq(bed.channel->window, 8); /* in_flight of the configuration */
  far_say_words(FRAME_HEALTH, 0, .number = PARLEY_DOWN, .one = PARLEY_LIT("no credit"));
  BED_UNTIL(bed.health == CHANNEL_DOWN);
  ck_assert_str_eq(bed.cause, "no credit");
  far_say_words(FRAME_HEALTH, 0, .number = PARLEY_UP);
  BED_UNTIL(bed.health == CHANNEL_UP);
  far_say_words(FRAME_LOG, 0, .number = PARLEY_WARN, .one = PARLEY_LIT("event=odd"));
  far_say_words(FRAME_LOG, 0, .number = 77, .one = PARLEY_LIT("event=never_shown"));
  BED_UNTIL(log_says("event=odd"));
  ck_assert(!log_says("never_shown"));
  far_say_words(FRAME_METRIC, 0, .one = PARLEY_LIT("things"), .two = PARLEY_LIT("red"), .value = 2, .amount = 2);
  far_say_words(FRAME_METRIC, 0, .one = PARLEY_LIT("things"), .two = PARLEY_LIT("red"), .value = 3, .amount = 1);
  far_say_words(FRAME_METRIC, 0, .one = PARLEY_LIT("things"), .two = PARLEY_LIT("red"), .value = 3, .amount = -1);
  far_say_words(FRAME_METRIC, 0, .one = PARLEY_LIT("undeclared"), .value = 1, .amount = 1);
  far_say_words(FRAME_MISBEHAVED, 0, .number = 4);
  BED_UNTIL(bed.channel->counters.misbehaved == 4);
  ck_assert(bed.channel->n_metrics == 1 && bed.channel->metrics[0].count == 3);
  ck_assert_str_eq(bed.channel->metrics[0].label, "red");
  ck_assert(bed.channel->metrics[0].value > 4.5 && bed.channel->metrics[0].value < 5.5);
}
END_TEST

START_TEST(only_so_many_lines_a_second_are_written_and_the_rest_are_counted)
{
  for (int i = 0; i < BORDER_LINES_PER_S + 50; i++)
    far_say_words(FRAME_LOG, 0, .number = PARLEY_INFO, .one = PARLEY_LIT("."));
  BED_UNTIL(bed.remote->dropped_lines == 50);
  ck_assert(log_says("event=lines_dropped channel=chan"));
  bed_beat();
  far_say_words(FRAME_LOG, 0, .number = PARLEY_INFO, .one = PARLEY_LIT("event=next_second"));
  BED_UNTIL(log_says("event=next_second"));
}
END_TEST

START_TEST(a_providers_call_goes_over_and_its_answer_comes_back)
{
  const parley_http_in *table = plugin_offer(bed.plugin, PARLEY_HTTP_IN);
  const parley_http_call *call;
  uint64_t id;

  ck_assert_ptr_nonnull(table);
  table->called(bed.channel->instance, 12, PARLEY_REF(parley_http_call, .path = PARLEY_LIT("/x"), .body = PARLEY_LIT("raw")));
  call = far_hear(FRAME_CALLED, &id, &abi_http_call);
  ck_assert(id == 12 && parley_text_is(call->path, "/x") && parley_text_is(call->body, "raw"));
  far_say(FRAME_ANSWER, 12, &abi_http_answer, PARLEY_REF(parley_http_answer, .code = 202, .body = PARLEY_LIT("ok")));
  BED_UNTIL(bed.answers[0] != '\0');
  ck_assert_str_eq(bed.answers, "12:202:ok ");
  remote_kill(bed.remote, "test");
  table->called(bed.channel->instance, 13, PARLEY_REF(parley_http_call, .path = PARLEY_LIT("/x")));
  ck_assert_str_eq(bed.answers, "12:202:ok 13:503: ");
}
END_TEST

static int mails, pages;

static void on_mails(const parley_mail_page *page, void *arg)
{
  (void)arg;
  pages++;
  mails += (int)page->n_mails;
}

START_TEST(the_mailbox_is_asked_over_there)
{
  const parley_mailbox *box = plugin_offer(bed.plugin, PARLEY_MAILBOX);
  parley_mail mail = {.size = sizeof mail, .number = 1, .message = &letter};
  const parley_mail *const list[] = {&mail};
  const parley_mail_query *query;
  uint64_t id;

  box->list(bed.channel->instance, PARLEY_REF(parley_mail_query, .limit = 5), on_mails, NULL);
  query = far_hear(FRAME_MAIL_LIST, &id, &abi_mail_query);
  ck_assert_uint_eq(query->limit, 5);
  far_say(FRAME_MAIL_PAGE, id, &abi_mail_page, PARLEY_REF(parley_mail_page, .n_mails = 1, .mails = list));
  BED_UNTIL(pages == 1 && mails == 1);
  box->clear(bed.channel->instance);
  far_hear(FRAME_MAIL_CLEAR, NULL, NULL);
  box->list(bed.channel->instance, PARLEY_REF(parley_mail_query, .limit = 5), on_mails, NULL);
  remote_kill(bed.remote, "test"); /* with the question open */
  ck_assert_int_eq(pages, 2);
  box->list(bed.channel->instance, PARLEY_REF(parley_mail_query, .limit = 5), on_mails, NULL);
  box->clear(bed.channel->instance);
  ck_assert(pages == 3 && mails == 1);
}
END_TEST

START_TEST(query_and_probe_go_over_and_settle)
{
  uint64_t id;

  ck_assert_int_eq(channel_query(bed.channel, 3, &letter, 1000), PARLEY_OK);
  far_hear(FRAME_QUERY, &id, &abi_message);
  ck_assert_uint_eq(id, 3);
  ck_assert_int_eq(channel_probe(bed.channel, 4, 1000), PARLEY_OK);
  far_hear(FRAME_PROBE, &id, NULL);
  ck_assert_uint_eq(id, 4);
  far_say(FRAME_SETTLE, 4, &abi_outcome, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_DELIVERED));
  far_say(FRAME_SETTLE, 3, &abi_outcome, PARLEY_REF(parley_outcome, .result = 0x40000001)); /* no such outcome */
  BED_UNTIL(bed.n_settled == 2);
  ck_assert(bed.settled[0].token == 4 && bed.settled[1].result == PARLEY_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(what_is_too_large_to_go_over_is_refused_and_hurts_nothing)
{
  char *huge = calloc(1, FRAME_BYTES_MAX);
  parley_part large = {.size = sizeof large, .text = {huge, FRAME_BYTES_MAX}};
  const parley_part *const list[] = {&large};
  parley_event entry = {.size = sizeof entry, .n_parts = 1, .parts = list};
  const parley_event *const entries[] = {&entry};
  parley_message message = letter;
  struct asked *asked;

  message.n_parts = 1;
  message.parts = list;
  ck_assert_int_eq(channel_submit(bed.channel, 1, &message, 1000), PARLEY_RETRY);
  ck_assert_int_eq(channel_query(bed.channel, 2, &message, 1000), PARLEY_RETRY);
  far_say(FRAME_TIMELINE, 5, &abi_query, PARLEY_REF(parley_query, .who = &ana));
  asked = asked_await(ASKED_TIMELINE);
  asked->answered = true;
  asked->page(PARLEY_REF(parley_page, .n_events = 1, .events = entries), asked->arg);
  ck_assert_int_eq(((const parley_page *)far_hear(FRAME_PAGE, NULL, &abi_page))->status, PARLEY_INVALID);
  far_say_words(FRAME_STATE_GET, 6, .one = PARLEY_LIT("a"));
  asked = asked_await(ASKED_STATE_GET);
  asked->answered = true;
  asked->done(PARLEY_REF(parley_result, .value = large.text), asked->arg);
  ck_assert_int_eq(((const parley_result *)far_hear(FRAME_RESULT, NULL, &abi_result))->status, PARLEY_FAILED);
  far_say(FRAME_HTTP, 7, &abi_http_request, PARLEY_REF(parley_http_request, .url = PARLEY_LIT("https://a.example/")));
  asked_respond(asked_await(ASKED_HTTP), PARLEY_REF(parley_http_response, .code = 200, .body = large.text));
  ck_assert_int_eq(((const parley_http_response *)far_hear(FRAME_RESPONSE, NULL, &abi_http_response))->status, PARLEY_FAILED);
  submit(3);
  far_hear(FRAME_SUBMIT, NULL, &abi_message);
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  free(huge);
}
END_TEST

/* --- Sockets ----------------------------------------------------------------------------------------------------- */

static parley_text address_of(uint16_t port)
{
  static char text[32];

  snprintf(text, sizeof text, "127.0.0.1:%u", port);
  return parley_text_of(text);
}

START_TEST(a_socket_is_connected_here_and_used_there)
{
  const struct frame_words *words;
  uint16_t port;
  int listener = peer_listen(&port), peer, fd;
  uint64_t id;
  char got[8] = "";

  far_say_words(FRAME_DIAL, 50, .one = address_of(port), .number = 5000);
  words = far_hear(FRAME_SOCKET, &id, &abi_frame_words);
  ck_assert(id == 50 && words->number == PARLEY_OK && text_eq(words->one, address_of(port)));
  fd = link_take_fd(bed.far);
  peer = peer_accept(&bed.loop, listener);
  ck_assert_int_eq(send(fd, "hi", 2, 0), 2);
  peer_read(&bed.loop, peer, got, 3, NULL, NULL);
  ck_assert_str_eq(got, "hi");
  ck_assert_uint_eq(bed.remote->sockets.count, 0);
  close(fd);
  close(peer);
  close(listener);
}
END_TEST

START_TEST(a_socket_that_is_not_allowed_or_not_there_is_refused)
{
  const struct frame_words *words;
  uint64_t id;

  far_say_words(FRAME_DIAL, 50, .one = PARLEY_LIT("10.1.2.3:25"), .number = 5000);
  words = far_hear(FRAME_SOCKET, &id, &abi_frame_words);
  ck_assert(id == 50 && (parley_status)words->number == PARLEY_DENIED);
  far_say_words(FRAME_DIAL, 50, .one = PARLEY_LIT("nonsense"), .number = 5000); /* the number is free again */
  words = far_hear(FRAME_SOCKET, &id, &abi_frame_words);
  ck_assert(id == 50 && (parley_status)words->number != PARLEY_OK);
  ck_assert_int_eq(link_take_fd(bed.far), -1);
}
END_TEST

START_TEST(a_socket_that_listens_stays_until_it_is_cancelled_and_passes_to_the_next_process)
{
  const struct frame_words *words;
  int first, second, peer;
  char address[64];
  uint16_t port;

  far_say_words(FRAME_LISTEN, 60, .one = PARLEY_LIT("127.0.0.1:0"), .number = 16);
  words = far_hear(FRAME_SOCKET, NULL, &abi_frame_words);
  ck_assert_uint_eq(words->number, PARLEY_OK);
  snprintf(address, sizeof address, "%.*s", TEXT_ARG(words->one));
  port = (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
  first = link_take_fd(bed.far);
  ck_assert_uint_eq(bed.remote->sockets.count, 1);
  peer = peer_connect(port); /* it is never accepted by the first process */
  close(first);
  remote_kill(bed.remote, "test");
  far_play();
  far_created();
  far_started();
  far_say_words(FRAME_LISTEN, 1, .one = parley_text_of(address), .number = 16);
  words = far_hear(FRAME_SOCKET, NULL, &abi_frame_words);
  ck_assert_msg(words->number == PARLEY_OK, "%.*s", TEXT_ARG(words->two));
  second = link_take_fd(bed.far);
  close(peer_accept(&bed.loop, second)); /* the connection waited */
  far_say(FRAME_CANCEL, 1, NULL, NULL);
  BED_UNTIL(bed.remote->sockets.count == 0);
  close(second);
  close(peer);
}
END_TEST

START_TEST(sockets_on_their_way_go_with_the_process)
{
  for (uint64_t i = 1; i <= 20; i++)
    far_say_words(FRAME_DIAL, i, .one = PARLEY_LIT("127.0.0.1:9"), .number = 5000);
  far_say(FRAME_CANCEL, 3, NULL, NULL);
  far_say_words(FRAME_LISTEN, 21, .one = PARLEY_LIT("127.0.0.1:0"), .number = 16);
  BED_UNTIL(bed.remote->sockets.count > 0);
  remote_kill(bed.remote, "test");
  ck_assert_uint_eq(bed.remote->sockets.count, 0);
}
END_TEST

/* --- What ends it ------------------------------------------------------------------------------------------------ */

START_TEST(a_number_that_is_open_already_ends_the_process)
{
  far_say_words(FRAME_STATE_GET, 9, .one = PARLEY_LIT("a"));
  if (_i == 0)
    far_say_words(FRAME_STATE_GET, 9, .one = PARLEY_LIT("b"));
  else if (_i == 1)
    far_say(FRAME_INBOUND, 9, &abi_inbound, &inbound);
  else if (_i == 2)
    far_say_words(FRAME_STATE_GET, 0, .one = PARLEY_LIT("b"));
  else if (_i == 3)
    far_say_words(FRAME_DIAL, 9, .one = PARLEY_LIT("127.0.0.1:9"));
  else if (_i == 4)
    far_say_words(FRAME_DIAL, 0, .one = PARLEY_LIT("127.0.0.1:9"));
  else
    far_say_words(FRAME_MEDIA_CREATE, 0, .one = PARLEY_LIT("a/b"));
  check_killed("its process used the number of an open");
  ck_assert_int_eq(bed.n_asked, 1);
}
END_TEST

START_TEST(more_than_so_many_open_calls_end_the_process)
{
  for (uint64_t i = 1; i <= BORDER_CALLS_MAX; i++)
    far_say_words(FRAME_STATE_GET, i, .one = PARLEY_LIT("a"));
  BED_UNTIL(bed.n_asked == BORDER_CALLS_MAX);
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  far_say_words(FRAME_STATE_GET, BORDER_CALLS_MAX + 1, .one = PARLEY_LIT("a"));
  check_killed("opened too many");
}
END_TEST

START_TEST(more_than_so_many_uploads_end_the_process)
{
  for (uint64_t i = 1; i <= REMOTE_UPLOADS_MAX; i++)
    far_say_words(FRAME_MEDIA_CREATE, i, .one = PARLEY_LIT("a/b"));
  BED_UNTIL(bed.uploads == REMOTE_UPLOADS_MAX);
  far_say_words(FRAME_MEDIA_CREATE, REMOTE_UPLOADS_MAX + 1, .one = PARLEY_LIT("a/b"));
  check_killed("opened too many");
  ck_assert_int_eq(bed.uploads, 0);
}
END_TEST

START_TEST(a_frame_that_is_not_its_to_say_ends_the_process)
{
  static const uint16_t types[] = {0, FRAME_CREATE, FRAME_RESULT, FRAME_MAIL_CLEAR, 40, FRAME_FACTS, FRAME_TYPES, 0xffff};

  ck_assert(link_send(bed.far, types[_i], 1, &abi_frame_words, PARLEY_REF(struct frame_words, .number = 1)));
  check_killed("its process sent a frame of an unknown type");
}
END_TEST

START_TEST(a_frame_that_cannot_be_read_ends_the_process)
{
  submit(1);
  if (_i == 0)
    far_say(FRAME_SETTLE, 1, NULL, NULL); /* nothing where an outcome should be */
  else if (_i == 1)
    far_say(FRAME_SETTLE, 1, &abi_message, &letter); /* more members than an outcome has */
  else
    far_say(FRAME_WINDOW, 1, &abi_outcome, PARLEY_REF(parley_outcome, .result = 1, .ids = &ana.kind, .n_ids = 1, .retry_ms = 1));
  check_killed("its process sent a frame that cannot be read");
  ck_assert(bed.n_settled == 1 && bed.settled[0].result == PARLEY_OUTCOME_DIED);
}
END_TEST

START_TEST(a_frame_that_is_too_large_ends_the_process)
{
  char *body = calloc(1, BORDER_FAR_BODY_MAX);

  far_say_words(FRAME_STATE_PUT, 1, .two = {body, BORDER_FAR_BODY_MAX - 8});
  BED_UNTIL(bed.n_asked == 1);
  far_say_words(FRAME_STATE_PUT, 2, .two = {body, BORDER_FAR_BODY_MAX - 7});
  check_killed("a frame is too large");
  free(body);
}
END_TEST

START_TEST(acting_before_it_is_made_ends_the_process)
{
  near_new(NULL);
  far_play();
  far_say(FRAME_INBOUND, 1, &abi_inbound, &inbound);
  BED_UNTIL(bed.channel->making == CHANNEL_BROKE);
  check_killed("its process acted before it was made");
  ck_assert_int_eq(bed.n_asked, 0);
}
END_TEST

START_TEST(too_many_frames_a_second_end_the_process)
{
  bed.remote->second.frames = BORDER_FRAMES_PER_S - 2;
  far_say(FRAME_PONG, 0, NULL, NULL);
  bed_settle();
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  bed.remote->second.frames = BORDER_FRAMES_PER_S;
  far_say(FRAME_PONG, 0, NULL, NULL);
  check_killed("its process sends too many frames a second");
}
END_TEST

START_TEST(what_makes_no_sense_is_counted_and_ends_the_process_when_it_goes_on)
{
  static const enum frame_type types[] = {FRAME_SETTLE, FRAME_CREATED, FRAME_STARTED, FRAME_STOPPED, FRAME_MAIL_PAGE};
  static const struct abi_struct *const shapes[] = {&abi_outcome, &abi_frame_words, &abi_frame_words, NULL, &abi_mail_page};
  parley_outcome nothing = {.size = sizeof nothing};

  for (int i = 0; i < 10; i++)
    far_say(types[_i], 99, shapes[_i], &nothing);
  BED_UNTIL(bed.channel->counters.misbehaved == 10);
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  ck_assert(channel_state(bed.channel) == CHANNEL_UP && bed.n_settled == 0);
  for (int i = 0; i <= BORDER_STRIKES_PER_S; i++)
    far_say(types[_i], 99, shapes[_i], &nothing);
  check_killed("its process says what makes no sense");
}
END_TEST

/* --- Heartbeat --------------------------------------------------------------------------------------------------- */

START_TEST(a_process_that_does_not_answer_is_killed_and_one_that_does_is_not)
{
  for (uint32_t i = 0; i < bed.shared.apart.hang_ms / BORDER_BEAT_MS; i++)
    bed_beat();
  far_hear(FRAME_PING, NULL, NULL);
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  far_say(FRAME_PONG, 0, NULL, NULL);
  BED_UNTIL(bed.remote->unanswered == 0);
  for (uint32_t i = 0; i < bed.shared.apart.hang_ms / BORDER_BEAT_MS; i++)
    bed_beat();
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  bed_beat();
  check_killed("its process did not answer for 5000 ms (plugins.hang)");
  far_play();
  far_created();
  far_started();
  bed_beat(); /* a new one owes nothing for it */
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
}
END_TEST

START_TEST(a_process_that_has_grown_too_large_is_killed)
{
  bed_beat();
  ck_assert_uint_gt(bed.remote->rss_bytes, 0);
  bed.channel->shared.apart.memory_bytes = bed.remote->rss_bytes / 2;
  bed_beat();
  check_killed("MiB, more than plugins.memory");
}
END_TEST

START_TEST(create_and_start_have_their_time)
{
  near_new(NULL);
  far_play();
  if (_i == 1) {
    far_created();
    near_start();
    far_hear(FRAME_START, NULL, NULL);
  }
  for (uint32_t i = 0; i < BORDER_START_MS / BORDER_BEAT_MS; i++) {
    bed_beat();
    bed.remote->unanswered = 0; /* its loop is alive */
  }
  ck_assert_int_ne(bed.remote->state, REMOTE_DEAD);
  bed_beat();
  check_killed(_i == 0 ? "create() did not return in time" : "start() did not return in time");
  ck_assert_int_eq(_i == 0 ? bed.channel->making : bed.channel->starting, CHANNEL_BROKE);
}
END_TEST

START_TEST(a_process_that_closes_the_connection_and_goes_on_is_killed)
{
  submit(1);
  link_close(&bed.far);
  BED_UNTIL(bed.remote->link == NULL);
  ck_assert_int_eq(channel_submit(bed.channel, 2, &letter, 1000), PARLEY_BUSY);
  bed_beat();
  check_killed("its process closed the connection and went on");
  ck_assert(bed.n_settled == 1 && bed.settled[0].result == PARLEY_OUTCOME_DIED);
}
END_TEST

START_TEST(nothing_more_is_given_to_one_that_does_not_take_it)
{
  static char text[1 << 20];
  parley_message large = letter;

  memset(text, 'x', sizeof text);
  large.subject = (parley_text){text, sizeof text};
  bed.channel->window = 1000;
  link_close(&bed.far);
  remote_kill(bed.remote, "test");
  bed.far_broken = far_fd(); /* of the next process: nobody reads */
  bed.remote->state = REMOTE_RUNNING;
  bed.channel->state = CHANNEL_UP;
  for (uint64_t token = 1; token < 100 && channel_submit(bed.channel, token, &large, 1000) == PARLEY_OK; token++)
    continue;
  ck_assert_uint_ge(link_waiting(bed.remote->link), REMOTE_WAITING_MAX);
  ck_assert_uint_le(link_waiting(bed.remote->link), REMOTE_WAITING_MAX + 2 * sizeof text);
  ck_assert_int_eq(channel_submit(bed.channel, 200, &letter, 1000), PARLEY_BUSY);
  close(bed.far_broken);
}
END_TEST

/* --- Its end, whenever it comes ---------------------------------------------------------------------------------- */

static void end_process(char how)
{
  ck_assert_int_eq(send(bed.control, &how, 1, 0), 1);
  link_close(&bed.far);
}

START_TEST(a_death_settles_and_answers_all_that_it_held_and_a_new_process_comes)
{
  uint32_t generation = bed.remote->generation;
  uint64_t token;

  submit(1);
  submit(2);
  far_say_words(FRAME_STATE_GET, 5, .one = PARLEY_LIT("a"));
  far_say(FRAME_HTTP, 6, &abi_http_request, PARLEY_REF(parley_http_request, .url = PARLEY_LIT("https://a.example/")));
  far_say_words(FRAME_MEDIA_CREATE, 7, .one = PARLEY_LIT("a/b"));
  BED_UNTIL(bed.n_asked == 2 && bed.uploads == 1);
  far_say(FRAME_SETTLE, 2, &abi_outcome, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED)); /* its last words count */
  link_flush(bed.far);
  end_process(_i == 0 ? 'x' : 'k');
  BED_UNTIL(bed.remote->state == REMOTE_DEAD);
  ck_assert_int_eq(bed.n_settled, 2);
  ck_assert(bed.settled[0].token == 2 && bed.settled[0].result == PARLEY_OUTCOME_ACCEPTED);
  ck_assert(bed.settled[1].token == 1 && bed.settled[1].result == PARLEY_OUTCOME_DIED);
  ck_assert(bed.asked[1].cancelled && bed.uploads == 0 && bed.ends == 1);
  ck_assert_int_eq(bed.health, CHANNEL_DOWN);
  ck_assert_msg(strcmp(bed.cause, _i == 0 ? "its process ended by itself with exit code 7"
                                          : "its process was ended by signal 15 (Terminated)") == 0, "%s", bed.cause);
  ck_assert(log_says("event=plugin_died channel=chan"));
  ck_assert_int_eq(channel_submit(bed.channel, 3, &letter, 1000), PARLEY_BUSY);
  far_play();
  ck_assert_uint_gt(bed.remote->generation, generation);
  far_created();
  far_started();
  ck_assert(log_says("event=plugin_back channel=chan"));
  BED_UNTIL(channel_state(bed.channel) == CHANNEL_UP);
  submit(4);
  far_hear(FRAME_SUBMIT, &token, &abi_message);
  ck_assert(token == 4 && bed.remote->deaths == 1);
}
END_TEST

/* The same number may be open in the new process: it hears its own answer only. */
START_TEST(late_answers_to_an_older_process_are_dropped)
{
  struct asked *old_call, *old_request, *new_call;
  const parley_result *result;
  uint64_t id;

  far_say_words(FRAME_STATE_GET, 5, .one = PARLEY_LIT("old"));
  far_say(FRAME_HTTP, 6, &abi_http_request, PARLEY_REF(parley_http_request, .url = PARLEY_LIT("https://a.example/")));
  BED_UNTIL(bed.n_asked == 2);
  old_call = asked_open(0);
  old_request = asked_open(1);
  end_process('x');
  BED_UNTIL(bed.remote->state == REMOTE_DEAD);
  far_play();
  far_created();
  far_started();
  far_say_words(FRAME_STATE_GET, 5, .one = PARLEY_LIT("new"));
  far_say_words(FRAME_STATE_GET, 6, .one = PARLEY_LIT("newer"));
  BED_UNTIL(bed.n_asked == 4);
  new_call = asked_open(2);
  asked_answer(old_call, PARLEY_OK, "old");
  asked_respond(old_request, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED));
  bed_settle();
  ck_assert_uint_eq(bed.remote->calls.count, 2);
  asked_answer(new_call, PARLEY_OK, "new");
  result = far_hear(FRAME_RESULT, &id, &abi_result);
  ck_assert(id == 5 && parley_text_is(result->value, "new"));
  ck_assert(heard_find(FRAME_RESULT) == NULL && heard_find(FRAME_RESPONSE) == NULL);
}
END_TEST

enum { DIES_CREATING, DIES_CREATED, DIES_STARTING, DEATH_STATES };

START_TEST(a_death_before_it_was_up_is_told_and_not_tried_again)
{
  near_new(NULL);
  far_play();
  if (_i >= DIES_CREATED)
    far_created();
  if (_i == DIES_STARTING) {
    near_start();
    far_hear(FRAME_START, NULL, NULL);
  }
  end_process('k');
  BED_UNTIL(bed.remote->state == REMOTE_DEAD);
  if (_i == DIES_CREATING)
    ck_assert_int_eq(bed.channel->making, CHANNEL_BROKE);
  else
    ck_assert(bed.channel->starting == CHANNEL_BROKE && channel_state(bed.channel) == CHANNEL_FAILED);
  ck_assert(text_starts(channel_cause(bed.channel), "its process was ended by signal 15"));
  bed_settle();
  BED_UNTIL(!bed.remote->process_open);
}
END_TEST

START_TEST(a_death_while_stopping_is_a_way_to_stop)
{
  submit(1);
  near_stop(60000);
  far_hear(FRAME_DRAIN, NULL, &abi_frame_words);
  if (_i == 1) { /* it has nothing open any more, and STOP was said */
    far_say(FRAME_SETTLE, 1, &abi_outcome, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED));
    far_hear(FRAME_STOP, NULL, NULL);
  }
  end_process('k');
  BED_UNTIL(bed.closed);
  ck_assert_int_eq(bed.n_settled, 1);
  ck_assert_uint_eq(bed.settled[0].result, _i == 1 ? PARLEY_OUTCOME_ACCEPTED : PARLEY_OUTCOME_DIED);
}
END_TEST

START_TEST(a_channel_may_stop_while_its_process_is_dead_or_on_its_way)
{
  submit(1);
  end_process('x');
  BED_UNTIL(bed.remote->state == REMOTE_DEAD);
  if (_i == 1)
    far_play(); /* the new one is there, and says nothing */
  if (_i == 2) {
    far_play();
    far_created();
  }
  near_stop(0);
  for (uint64_t deadline = peer_deadline(); !bed.closed && !peer_late(deadline);) {
    env_fake_step(&bed.fake, 1000);
    bed_turn(5);
  }
  ck_assert(bed.closed && bed.n_settled == 1);
}
END_TEST

START_TEST(the_pause_before_a_new_start_grows_and_begins_anew_after_a_good_while)
{
  uint32_t pauses[] = {100, 200, 400};

  for (size_t i = 0; i < 3; i++) {
    remote_kill(bed.remote, "test");
    ck_assert_uint_eq(bed.remote->pause_ms, pauses[i]);
    far_play();
    far_created();
    far_started();
  }
  env_fake_step(&bed.fake, REMOTE_WELL_MS);
  remote_kill(bed.remote, "test");
  ck_assert_uint_eq(bed.remote->pause_ms, 100);
  far_play();
  bed.remote->pause_ms = REMOTE_PAUSE_MAX_MS;
  remote_kill(bed.remote, "test");
  ck_assert_uint_eq(bed.remote->pause_ms, REMOTE_PAUSE_MAX_MS);
}
END_TEST

int main(int argc, char **argv)
{
  Suite *suite = suite_create("channel: remote calls");
  TCase *cases = tcase_create("made"), *running = tcase_create("running");

  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, a_process_is_made_started_used_and_leaves);
  tcase_add_loop_test(cases, what_create_says_is_narrowed_to_what_can_be, 0, 4);
  tcase_add_loop_test(cases, a_failed_create_or_start_is_told_with_its_reason, 0, 2);
  tcase_add_test(cases, a_process_that_cannot_be_started_breaks_the_making);
  tcase_add_test(cases, a_plugin_that_cannot_be_loaded_over_there_breaks_the_making);
  tcase_add_test(cases, acting_before_it_is_made_ends_the_process);
  tcase_add_loop_test(cases, create_and_start_have_their_time, 0, 2);
  tcase_add_loop_test(cases, a_death_before_it_was_up_is_told_and_not_tried_again, 0, DEATH_STATES);
  suite_add_tcase(suite, cases);
  tcase_add_checked_fixture(running, setup_running, teardown);
  tcase_add_loop_test(running, each_call_is_carried_out_and_answered_under_its_number, 0, (int)(sizeof calls / sizeof *calls));
  tcase_add_test(running, the_timeline_is_answered_with_a_page);
  tcase_add_test(running, a_request_is_answered_or_cancelled);
  tcase_add_test(running, an_upload_is_known_by_the_number_that_the_process_gave_it);
  tcase_add_test(running, window_health_lines_metrics_and_slips_are_noted);
  tcase_add_test(running, only_so_many_lines_a_second_are_written_and_the_rest_are_counted);
  tcase_add_test(running, a_providers_call_goes_over_and_its_answer_comes_back);
  tcase_add_test(running, the_mailbox_is_asked_over_there);
  tcase_add_test(running, query_and_probe_go_over_and_settle);
  tcase_add_test(running, what_is_too_large_to_go_over_is_refused_and_hurts_nothing);
  tcase_add_test(running, a_socket_is_connected_here_and_used_there);
  tcase_add_test(running, a_socket_that_is_not_allowed_or_not_there_is_refused);
  tcase_add_test(running, a_socket_that_listens_stays_until_it_is_cancelled_and_passes_to_the_next_process);
  tcase_add_test(running, sockets_on_their_way_go_with_the_process);
  tcase_add_loop_test(running, a_number_that_is_open_already_ends_the_process, 0, 6);
  tcase_add_test(running, more_than_so_many_open_calls_end_the_process);
  tcase_add_test(running, more_than_so_many_uploads_end_the_process);
  tcase_add_loop_test(running, a_frame_that_is_not_its_to_say_ends_the_process, 0, 8);
  tcase_add_loop_test(running, a_frame_that_cannot_be_read_ends_the_process, 0, 3);
  tcase_add_test(running, a_frame_that_is_too_large_ends_the_process);
  tcase_add_test(running, too_many_frames_a_second_end_the_process);
  tcase_add_loop_test(running, what_makes_no_sense_is_counted_and_ends_the_process_when_it_goes_on, 0, 5);
  tcase_add_test(running, a_process_that_does_not_answer_is_killed_and_one_that_does_is_not);
  tcase_add_test(running, a_process_that_has_grown_too_large_is_killed);
  tcase_add_test(running, a_process_that_closes_the_connection_and_goes_on_is_killed);
  tcase_add_test(running, nothing_more_is_given_to_one_that_does_not_take_it);
  tcase_add_loop_test(running, a_death_settles_and_answers_all_that_it_held_and_a_new_process_comes, 0, 2);
  tcase_add_test(running, late_answers_to_an_older_process_are_dropped);
  tcase_add_loop_test(running, a_death_while_stopping_is_a_way_to_stop, 0, 2);
  tcase_add_loop_test(running, a_channel_may_stop_while_its_process_is_dead_or_on_its_way, 0, 3);
  tcase_add_test(running, the_pause_before_a_new_start_grows_and_begins_anew_after_a_good_while);
  suite_add_tcase(suite, running);
  return bed_main(argc, argv, suite);
}
