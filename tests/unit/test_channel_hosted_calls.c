/* Both sides of the process border, joined: what a plugin asks of its host over there reaches the channel here as it was said, and the
 * answer the plugin; what the far side refuses by itself it refuses as the host within parleyd would. The plugin is the test's own. */
#include "border_bed.h"
#include "core/channel/hosted_in.h"
#include "net_cert.h"

enum { TAKEN_MAX = 64 };

/* What the plugin has been told, by the host. */
static struct {
  const parley_host *host;
  const parley_value *options;
  parley_status create, start, take; /* what it says */
  bool lazy_stop;
  parley_call *stop_done;
  void *stop_arg;
  int created, started, drained, stopped, destroyed, cleared, n_taken;
  uint64_t taken[TAKEN_MAX], call;
  const parley_message *messages[TAKEN_MAX];
  char what[TAKEN_MAX]; /* s, q, p */
  char called[256];
  uint32_t n_mails; /* in its box, with so many bytes each */
  size_t mail_bytes;
} it;

/* What its calls were answered with. */
static struct {
  int n, pages, responses;
  parley_status status, each;
  uint32_t count, code;
  char value[128], reason[128];
  bool within; /* it came inside the call that asked for it */
} told;

static struct hosted *hosted;
static struct plugin *far_plugin;
static bool gone, asking;

/* --- The plugin -------------------------------------------------------------------------------------------------- */

static parley_status it_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  it.created++;
  it.host = host;
  it.options = options;
  if (it.create != PARLEY_OK) {
    host->health(host, PARLEY_DOWN, PARLEY_LIT("no such account"), PARLEY_LIT("make one"));
    return it.create;
  }
  *ret = (parley_channel *)&it;
  return PARLEY_OK;
}
static parley_status it_start(parley_channel *self)
{
  (void)self;
  it.started++;
  if (it.start != PARLEY_OK)
    it.host->health(it.host, PARLEY_DOWN, PARLEY_LIT("port in use"), TEXT_EMPTY);
  return it.start;
}
static parley_status it_take(char what, uint64_t token, const parley_message *message)
{
  if (it.take != PARLEY_OK)
    return it.take;
  ck_assert_int_lt(it.n_taken, TAKEN_MAX);
  it.what[it.n_taken] = what;
  it.messages[it.n_taken] = message;
  it.taken[it.n_taken++] = token;
  return PARLEY_OK;
}
static parley_status it_submit(parley_channel *self, uint64_t token, const parley_message *message)
{
  (void)self;
  return it_take('s', token, message);
}
static parley_status it_query(parley_channel *self, uint64_t token, const parley_message *message)
{
  (void)self;
  return it_take('q', token, message);
}
static parley_status it_probe(parley_channel *self, uint64_t token)
{
  (void)self;
  return it_take('p', token, NULL);
}
static void it_drain(parley_channel *self, uint32_t within_ms)
{
  (void)self, (void)within_ms;
  it.drained++;
}
static void it_stop(parley_channel *self, parley_call *done, void *arg)
{
  (void)self;
  it.stopped++;
  it.stop_done = done;
  it.stop_arg = arg;
  if (!it.lazy_stop)
    done(arg);
}
static void it_destroy(parley_channel *self)
{
  (void)self;
  it.destroyed++;
}
static void it_called(parley_channel *self, uint64_t call, const parley_http_call *said)
{
  (void)self;
  it.call = call;
  snprintf(it.called, sizeof it.called, "%.*s %.*s %.*s", TEXT_ARG(said->method), TEXT_ARG(said->path), TEXT_ARG(said->body));
}
static void it_list(parley_channel *self, const parley_mail_query *query, parley_mail_done *done, void *arg)
{
  parley_mail mails[16];
  const parley_mail *list[16];
  char *text = calloc(1, it.mail_bytes + 1);
  parley_message message = {.size = sizeof message, .payload = {text, it.mail_bytes}};

  (void)self, (void)query;
  memset(text, 'x', it.mail_bytes);
  for (uint32_t i = 0; i < it.n_mails; i++) {
    mails[i] = (parley_mail){.size = sizeof(parley_mail), .number = it.n_mails - i, .message = &message};
    list[i] = &mails[i];
  }
  done(PARLEY_REF(parley_mail_page, .n_mails = it.n_mails, .mails = list, .count = it.n_mails), arg);
  free(text);
}
static void it_clear(parley_channel *self)
{
  (void)self;
  it.cleared++;
}

static const parley_http_in it_http_in = {.size = sizeof it_http_in, .called = it_called};
static const parley_mailbox it_mailbox = {.size = sizeof it_mailbox, .list = it_list, .clear = it_clear};
static const parley_extension it_offers_list[] = {{sizeof(parley_extension), PARLEY_HTTP_IN, &it_http_in},
                                                  {sizeof(parley_extension), PARLEY_MAILBOX, &it_mailbox}};
static const parley_extension *const it_offers[] = {&it_offers_list[0], &it_offers_list[1], NULL};
static const parley_plugin it_table = {.size = sizeof it_table, .abi_major = 1, .name = "tested", .version = "1", .summary = "",
                                       .capabilities = &bed_caps, .metrics = bed_metrics, .offers = it_offers,
                                       .create = it_create, .start = it_start, .submit = it_submit, .drain = it_drain,
                                       .stop = it_stop, .destroy = it_destroy, .query = it_query, .probe = it_probe};

/* As a plugin calls: within a frame, so that no answer comes inside. */
#define AS_PLUGIN(call)                    \
  do {                                     \
    channel_enter(hosted->channel);        \
    asking = true;                         \
    call;                                  \
    asking = false;                        \
    channel_leave(hosted->channel, "test"); \
  } while (0)

static const parley_http_request somewhere = {.size = sizeof somewhere, .url = PARLEY_LIT("https://a.example/")};

static void tell(const parley_result *result, void *arg)
{
  (void)arg;
  told.n++;
  told.within |= asking;
  told.status = result->status;
  told.count = result->count;
  told.each = result->each != NULL ? result->each[result->count - 1] : 0;
  snprintf(told.value, sizeof told.value, "%.*s", TEXT_ARG(text_sub(result->value, 0, 100)));
  snprintf(told.reason, sizeof told.reason, "%.*s", TEXT_ARG(text_sub(result->reason, 0, 100)));
}

static void tell_page(const parley_page *page, void *arg)
{
  (void)arg;
  told.pages++;
  told.within |= asking;
  told.status = page->status;
  told.count = (uint32_t)page->n_events;
}

static void tell_response(const parley_http_response *response, void *arg)
{
  (void)arg;
  told.responses++;
  told.within |= asking;
  told.status = response->status;
  told.code = response->code;
  snprintf(told.value, sizeof told.value, "%.*s", TEXT_ARG(text_sub(response->body, 0, 100)));
  snprintf(told.reason, sizeof told.reason, "%.*s", TEXT_ARG(text_sub(response->reason, 0, 100)));
}

/* --- Making it --------------------------------------------------------------------------------------------------- */

static void on_gone(void *arg)
{
  (void)arg;
  gone = true;
}

static void far_join(void)
{
  bed.far_has_loop = true;
  hosted = hosted_new(&bed.far_loop, &env_system, far_fd(), far_plugin, PARLEY_LIT("sealed"), on_gone, NULL);
}

static void setup(void)
{
  bed_init();
  uv_loop_init(&bed.far_loop);
  memset(&it, 0, sizeof it);
  memset(&told, 0, sizeof told);
  gone = false;
  far_plugin = plugin_new("tested", "");
  far_plugin->table = &it_table;
}

static void setup_running(void)
{
  setup();
  near_new(NULL);
  far_join();
  BED_UNTIL(bed.channel->making == CHANNEL_DONE);
  near_start();
  BED_UNTIL(bed.channel->starting == CHANNEL_DONE);
}

static void on_left(void *arg)
{
  (void)arg;
  hosted->channel = NULL;
}

/* parleyd has gone: a process would just end here. */
static void far_end(void)
{
  struct channel *left = hosted->channel;

  if (left != NULL && !hosted->draining)
    channel_stop(&left, 0, on_left, NULL);
  BED_UNTIL(hosted->channel == NULL);
  hosted_free(&hosted);
}

static void teardown(void)
{
  bed_end_near();
  ck_assert_int_eq(send(bed.control, "x", 1, MSG_NOSIGNAL), 1); /* the process may go */
  if (hosted != NULL)
    far_end();
  plugin_unref(&far_plugin);
  uv_run(&bed.far_loop, UV_RUN_DEFAULT);
  ck_assert_int_eq(uv_loop_close(&bed.far_loop), 0);
  bed.far_has_loop = false;
  bed_done();
  ck_assert(!told.within);
}

static const parley_identity ana = {.size = sizeof ana, .kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")};
static const parley_message letter = {.size = sizeof letter, .kind = PARLEY_KIND_CONTENT, .attempt = 1, .id = PARLEY_LIT("msg_1"),
                                      .subject = PARLEY_LIT("Order"), .to = &ana};

static void submit(uint64_t token)
{
  ck_assert_int_eq(channel_submit(bed.channel, token, &letter, 600000), PARLEY_OK);
}

static void settle(uint64_t token, uint32_t result)
{
  AS_PLUGIN(it.host->settle(it.host, token, PARLEY_REF(parley_outcome, .result = result, .code = PARLEY_LIT("250"))));
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

START_TEST(a_plugin_lives_over_there_as_it_would_here)
{
  parley_value option = {.size = sizeof option, .type = PARLEY_OPTION_TEXT, .name = PARLEY_LIT("url"), .text = PARLEY_LIT("x://")};
  const parley_value *const options_list[] = {&option};
  parley_value options = {.size = sizeof options, .type = PARLEY_OPTION_GROUP, .n_items = 1, .items = options_list};

  near_new(&options);
  far_join();
  BED_UNTIL(bed.channel->making == CHANNEL_DONE);
  ck_assert(parley_text_is(parley_find(it.options, "url")->text, "x://"));
  ck_assert(parley_text_is(it.host->channel, "chan") && parley_text_is(it.host->version, "9.9") &&
            parley_text_is(it.host->public_url, "https://parley.example/in/chan") && it.host->inline_max == CHANNEL_INLINE_MAX);
  ck_assert(parley_text_is(buf_as_text(&bed.remote->sandbox), "sealed"));
  ck_assert(channel_caps(bed.channel)->in_flight == 10 && bed.channel->window == 8);
  near_start();
  BED_UNTIL(bed.channel->starting == CHANNEL_DONE);
  submit(11);
  BED_UNTIL(it.n_taken == 1);
  ck_assert(it.taken[0] == 11 && parley_text_is(it.messages[0]->to->value, "ana@example.org"));
  ck_assert_int_eq(channel_query(bed.channel, 12, &letter, 60000), PARLEY_OK);
  ck_assert_int_eq(channel_probe(bed.channel, 13, 60000), PARLEY_OK);
  BED_UNTIL(it.n_taken == 3);
  ck_assert(it.what[1] == 'q' && it.what[2] == 'p');
  settle(11, PARLEY_OUTCOME_ACCEPTED);
  settle(13, PARLEY_OUTCOME_DELIVERED);
  settle(12, PARLEY_OUTCOME_BAD_ADDRESS);
  BED_UNTIL(bed.n_settled == 3);
  ck_assert(bed.settled[2].token == 12 && bed.settled[2].result == PARLEY_OUTCOME_BAD_ADDRESS);
  near_stop(5000);
  BED_UNTIL(bed.closed && gone);
  ck_assert(it.drained == 1 && it.stopped == 1 && it.destroyed == 1 && hosted_left_well(hosted));
}
END_TEST

START_TEST(what_fails_over_there_is_told_with_its_reason)
{
  it.create = _i == 0 ? PARLEY_INVALID : PARLEY_OK;
  it.start = _i == 1 ? PARLEY_FAILED : PARLEY_OK;
  near_new(NULL);
  far_join();
  if (_i == 0) {
    BED_UNTIL(bed.channel->making == CHANNEL_BROKE);
    ck_assert(text_starts(channel_cause(bed.channel), "no such account"));
  } else {
    BED_UNTIL(bed.channel->making == CHANNEL_DONE);
    near_start();
    BED_UNTIL(bed.channel->starting == CHANNEL_BROKE);
    ck_assert_msg(strstr(channel_cause(bed.channel).at, "port in use") != NULL, "%s", channel_cause(bed.channel).at);
  }
}
END_TEST

START_TEST(a_ping_is_answered_and_what_is_not_known_is_not_heard)
{
  bed_beat();
  ck_assert_int_ne(bed.remote->unanswered, 0);
  BED_UNTIL(bed.remote->unanswered == 0);
  link_send(bed.remote->link, 60, 1, NULL, NULL);
  link_send(bed.remote->link, FRAME_SETTLE, 1, NULL, NULL);
  link_send(bed.remote->link, FRAME_RESULT, 99, &abi_result, PARLEY_REF(parley_result, .count = 1));
  link_send(bed.remote->link, FRAME_PAGE, 99, &abi_page, PARLEY_REF(parley_page, .n_events = 0));
  link_send(bed.remote->link, FRAME_RESPONSE, 99, &abi_http_response, PARLEY_REF(parley_http_response, .code = 200));
  link_send(bed.remote->link, FRAME_SOCKET, 99, &abi_frame_words, PARLEY_REF(struct frame_words, .number = 1));
  link_send(bed.remote->link, FRAME_CREATE, 0, &abi_frame_words, PARLEY_REF(struct frame_words, .one = PARLEY_LIT("again")));
  link_send(bed.remote->link, FRAME_RESULT, 1, NULL, NULL); /* not to be read */
  submit(1);
  BED_UNTIL(it.n_taken == 1);
  ck_assert(it.created == 1 && told.n == 0);
}
END_TEST

START_TEST(without_parleyd_the_process_is_over)
{
  remote_kill(bed.remote, "test");
  BED_UNTIL(gone);
  ck_assert(!hosted_left_well(hosted));
}
END_TEST

/* --- What it asks ------------------------------------------------------------------------------------------------ */

static const parley_part part = {.size = sizeof part, .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("hello")};
static const parley_part *const parts[] = {&part};
static const parley_identity *const from[] = {&ana};
static const parley_inbound inbound = {.size = sizeof inbound, .kind = PARLEY_KIND_CONTENT, .event_id = PARLEY_LIT("e1"), .n_from = 1,
                                       .from = from, .n_parts = 1, .parts = parts, .at_ms = 5};
static const parley_receipt receipt = {.size = sizeof receipt, .kind = PARLEY_RECEIPT_READ, .message_id = PARLEY_LIT("msg_1"),
                                       .to = &ana};
static const parley_touchpoint touchpoint = {.size = sizeof touchpoint, .stage = PARLEY_STAGE_AFTER, .type = PARLEY_LIT("call.ended"),
                                             .who = &ana};

static void check_said(const struct asked *asked, const struct abi_struct *shape, const void *said)
{
  struct buf want = BUF_INIT(1 << 20);

  wire_put(&want, shape, said);
  ck_assert(asked->said.len == want.len && memcmp(asked->said.at, want.at, want.len) == 0);
  buf_done(&want);
}

START_TEST(reports_are_answered_after_the_commit)
{
  static const parley_status each[] = {PARLEY_OK, PARLEY_REJECTED};
  struct asked *asked;

  AS_PLUGIN(it.host->inbound(it.host, &inbound, tell, NULL));
  asked = asked_await(ASKED_INBOUND);
  check_said(asked, &abi_inbound, &inbound);
  asked->answered = true;
  asked->done(PARLEY_REF(parley_result, .count = 2, .each = each, .value = PARLEY_LIT("msg_9")), asked->arg);
  BED_UNTIL(told.n == 1);
  ck_assert(told.status == PARLEY_OK && told.count == 2 && told.each == PARLEY_REJECTED);
  ck_assert_str_eq(told.value, "msg_9");
  AS_PLUGIN(it.host->receipt(it.host, &receipt, tell, NULL));
  asked = asked_await(ASKED_RECEIPT);
  check_said(asked, &abi_receipt, &receipt);
  asked_answer(asked, PARLEY_BUSY, "");
  BED_UNTIL(told.n == 2 && told.status == PARLEY_BUSY);
  AS_PLUGIN(it.host->event(it.host, &touchpoint, NULL, NULL)); /* nobody waits */
  asked = asked_await(ASKED_EVENT);
  check_said(asked, &abi_touchpoint, &touchpoint);
  asked_answer(asked, PARLEY_OK, "evt_1");
  BED_UNTIL(hosted->calls.count == 0 && hosted->channel->host_calls == 0);
}
END_TEST

START_TEST(the_timeline_comes_as_a_page)
{
  parley_event entry = {.size = sizeof entry, .type = PARLEY_LIT("message.received")};
  const parley_event *const entries[] = {&entry};
  parley_query query = {.size = sizeof query, .who = &ana, .limit = 3};
  struct asked *asked;

  AS_PLUGIN(it.host->timeline(it.host, &query, tell_page, NULL));
  asked = asked_await(ASKED_TIMELINE);
  check_said(asked, &abi_query, &query);
  asked->answered = true;
  asked->page(PARLEY_REF(parley_page, .n_events = 1, .events = entries), asked->arg);
  BED_UNTIL(told.pages == 1 && told.count == 1);
}
END_TEST

START_TEST(state_is_read_and_written_with_the_same_words)
{
  struct asked *asked;

  AS_PLUGIN(it.host->state_put(it.host, PARLEY_LIT("cursor"), PARLEY_LIT("4\0002"), tell, NULL));
  asked = asked_await(ASKED_STATE_PUT);
  check_said(asked, &abi_frame_words, PARLEY_REF(struct frame_words, .one = PARLEY_LIT("cursor"), .two = PARLEY_LIT("4\0002")));
  asked_answer(asked, PARLEY_OK, "");
  BED_UNTIL(told.n == 1 && told.status == PARLEY_OK);
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("cursor"), tell, NULL));
  asked_answer(asked_await(ASKED_STATE_GET), PARLEY_OK, "42");
  BED_UNTIL(told.n == 2);
  ck_assert_str_eq(told.value, "42");
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("other"), tell, NULL));
  asked_answer(asked_await(ASKED_STATE_GET), PARLEY_NOT_FOUND, "");
  BED_UNTIL(told.n == 3 && told.status == PARLEY_NOT_FOUND);
}
END_TEST

START_TEST(window_and_health_are_passed_on)
{
  AS_PLUGIN(it.host->window(it.host, 2));
  BED_UNTIL(bed.window == 2);
  AS_PLUGIN(it.host->health(it.host, PARLEY_DEGRADED, PARLEY_LIT("slow"), PARLEY_LIT("wait")));
  BED_UNTIL(bed.health == CHANNEL_DEGRADED);
  ck_assert_str_eq(bed.cause, "slow");
  AS_PLUGIN(it.host->health(it.host, PARLEY_DOWN, PARLEY_LIT("no credit"), TEXT_EMPTY));
  BED_UNTIL(bed.health == CHANNEL_DOWN);
  AS_PLUGIN(it.host->health(it.host, PARLEY_UP, TEXT_EMPTY, TEXT_EMPTY));
  BED_UNTIL(bed.health == CHANNEL_UP);
  bed_settle();
  bed.well = 0;
  AS_PLUGIN(it.host->window(it.host, 9)); /* more room is no word about its health */
  AS_PLUGIN(it.host->health(it.host, PARLEY_UP, TEXT_EMPTY, TEXT_EMPTY)); /* as before, yet an outcome may have paused it */
  BED_UNTIL(bed.well == 1);
}
END_TEST

static void log_many(void *arg)
{
  (void)arg;
  for (int i = 0; i < 100; i++)
    it.host->log(it.host, PARLEY_INFO, PARLEY_LIT("event=from_a_thread"));
  it.host->log(it.host, PARLEY_WARN, PARLEY_LIT("event=last_of_the_thread"));
}

START_TEST(lines_come_from_any_thread_and_metrics_once_a_second)
{
  uv_thread_t thread;

  AS_PLUGIN(it.host->log(it.host, PARLEY_ERROR, PARLEY_LIT("event=odd")));
  uv_thread_create(&thread, log_many, NULL);
  uv_thread_join(&thread);
  BED_UNTIL(strstr(bed.log_lines, "event=last_of_the_thread") != NULL);
  ck_assert_ptr_nonnull(strstr(bed.log_lines, "event=odd"));
  it.host->metric(it.host, "things", PARLEY_LIT("red"), 2);
  it.host->metric(it.host, "things", PARLEY_LIT("red"), 3);
  it.host->metric(it.host, "level", TEXT_EMPTY, 7);
  hosted->metrics.timer_cb(&hosted->metrics);
  hosted->metrics.timer_cb(&hosted->metrics); /* nothing new */
  BED_UNTIL(bed.channel->n_metrics == 2);
  it.host->metric(it.host, "things", PARLEY_LIT("red"), 1);
  settle(99, PARLEY_OUTCOME_ACCEPTED); /* a slip of the plugin's */
  hosted->metrics.timer_cb(&hosted->metrics);
  BED_UNTIL(bed.channel->metrics[0].count == 3 && bed.channel->counters.misbehaved > 0);
  ck_assert(bed.channel->metrics[0].value > 5.5 && bed.channel->metrics[0].value < 6.5);
  ck_assert(bed.channel->metrics[1].value > 6.5 && bed.channel->metrics[1].value < 7.5);
}
END_TEST

/* --- Extensions -------------------------------------------------------------------------------------------------- */

static const parley_http *http(void)
{
  return it.host->extension(it.host, PARLEY_HTTP);
}
static const parley_media *media(void)
{
  return it.host->extension(it.host, PARLEY_MEDIA);
}

START_TEST(requests_go_by_way_of_parleyd)
{
  const parley_part *const pieces[] = {&part};
  parley_http_request request = {.size = sizeof request, .method = PARLEY_LIT("POST"), .url = PARLEY_LIT("https://a.example/"),
                                 .timeout_ms = 5, .n_pieces = 1, .pieces = pieces};
  struct asked *asked;
  uint64_t id = 0;

  AS_PLUGIN(id = http()->request(it.host, &request, tell_response, NULL));
  asked = asked_await(ASKED_HTTP);
  check_said(asked, &abi_http_request, &request);
  asked_respond(asked, PARLEY_REF(parley_http_response, .code = 201, .body = PARLEY_LIT("made")));
  BED_UNTIL(told.responses == 1 && told.code == 201);
  ck_assert_str_eq(told.value, "made");
  AS_PLUGIN(it.host->cancel(it.host, id)); /* it is over: no effect */
  AS_PLUGIN(id = http()->request(it.host, &request, tell_response, NULL));
  asked = asked_await(ASKED_HTTP);
  AS_PLUGIN(it.host->cancel(it.host, id));
  AS_PLUGIN(it.host->cancel(it.host, id));
  BED_UNTIL(asked->cancelled);
  ck_assert_int_eq(told.responses, 1);
  asked_respond(asked, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED));
  BED_UNTIL(told.responses == 2 && told.status == PARLEY_CANCELLED);
}
END_TEST

START_TEST(media_is_read_and_uploaded_by_way_of_parleyd)
{
  uint64_t upload = 0, dropped = 0;
  struct asked *asked;

  AS_PLUGIN(media()->read(it.host, PARLEY_LIT("med_1"), 7, tell, NULL));
  asked = asked_await(ASKED_MEDIA_READ);
  ck_assert_uint_eq(asked->number, 7);
  asked_answer(asked, PARLEY_OK, "bytes");
  BED_UNTIL(told.n == 1);
  ck_assert_str_eq(told.value, "bytes");
  AS_PLUGIN(upload = media()->create(it.host, PARLEY_LIT("image/png"), PARLEY_LIT("a.png")));
  AS_PLUGIN(dropped = media()->create(it.host, PARLEY_LIT("image/png"), PARLEY_LIT("b.png")));
  BED_UNTIL(bed.uploads == 2);
  AS_PLUGIN(it.host->cancel(it.host, dropped));
  BED_UNTIL(bed.uploads == 1);
  AS_PLUGIN(media()->append(it.host, upload, PARLEY_LIT("piece"), tell, NULL));
  asked = asked_await(ASKED_MEDIA_APPEND);
  check_said(asked, &abi_frame_words, PARLEY_REF(struct frame_words, .two = PARLEY_LIT("piece")));
  ck_assert_uint_ne(asked->number, 0);
  asked_answer(asked, PARLEY_OK, "");
  BED_UNTIL(told.n == 2);
  AS_PLUGIN(media()->finish(it.host, upload, tell, NULL));
  asked_answer(asked_await(ASKED_MEDIA_FINISH), PARLEY_OK, "med_2");
  BED_UNTIL(told.n == 3);
  ck_assert_str_eq(told.value, "med_2");
}
END_TEST

/* As within parleyd: the one upload too many is told with its first piece. */
START_TEST(uploads_beyond_the_bound_are_busy)
{
  uint64_t uploads[CHANNEL_UPLOADS_MAX + 1];

  for (int i = 0; i <= CHANNEL_UPLOADS_MAX; i++)
    AS_PLUGIN(uploads[i] = media()->create(it.host, PARLEY_LIT("image/png"), TEXT_EMPTY));
  AS_PLUGIN(media()->append(it.host, uploads[CHANNEL_UPLOADS_MAX], PARLEY_LIT("x"), tell, NULL));
  BED_UNTIL(told.n == 1 || asked_open(0) != NULL);
  ck_assert_int_eq(told.n, 1);
  ck_assert_int_eq(told.status, PARLEY_BUSY);
  AS_PLUGIN(it.host->cancel(it.host, uploads[0]));
  AS_PLUGIN(uploads[0] = media()->create(it.host, PARLEY_LIT("image/png"), TEXT_EMPTY));
  AS_PLUGIN(media()->append(it.host, uploads[0], PARLEY_LIT("x"), tell, NULL));
  asked_answer(asked_await(ASKED_MEDIA_APPEND), PARLEY_OK, "");
  BED_UNTIL(told.n == 2 && told.status == PARLEY_OK);
  ck_assert_int_eq(bed.uploads, CHANNEL_UPLOADS_MAX);
  AS_PLUGIN(media()->finish(it.host, 12345, tell, NULL));
  ck_assert(told.n == 3 && told.status == PARLEY_NOT_FOUND);
}
END_TEST

START_TEST(a_providers_call_is_answered_by_the_plugin)
{
  const parley_http_in *near_table = plugin_offer(bed.plugin, PARLEY_HTTP_IN);
  const parley_http_answers *answers = it.host->extension(it.host, PARLEY_HTTP_IN);
  char *large = calloc(1, BORDER_FAR_BODY_MAX);

  near_table->called(bed.channel->instance, 5,
                     PARLEY_REF(parley_http_call, .method = PARLEY_LIT("POST"), .path = PARLEY_LIT("/a"), .body = PARLEY_LIT("raw")));
  BED_UNTIL(it.call == 5);
  ck_assert_str_eq(it.called, "POST /a raw");
  AS_PLUGIN(answers->answer(it.host, 5, PARLEY_REF(parley_http_answer, .code = 204)));
  BED_UNTIL(strcmp(bed.answers, "5:204: ") == 0);
  AS_PLUGIN(answers->answer(it.host, 6, PARLEY_REF(parley_http_answer, .code = 200, .body = {large, BORDER_FAR_BODY_MAX})));
  BED_UNTIL(strcmp(bed.answers, "5:204: 6:500: ") == 0);
  free(large);
}
END_TEST

static void on_mails(const parley_mail_page *page, void *arg)
{
  *(parley_mail_page *)arg = *page;
  told.pages++;
}

START_TEST(the_mailbox_shows_what_fits_in_one_answer)
{
  const parley_mailbox *near_box = plugin_offer(bed.plugin, PARLEY_MAILBOX);
  parley_mail_page page;

  it.n_mails = 16;
  it.mail_bytes = 100;
  near_box->list(bed.channel->instance, PARLEY_REF(parley_mail_query, .limit = 16), on_mails, &page);
  BED_UNTIL(told.pages == 1);
  ck_assert(page.n_mails == 16 && page.count == 16 && page.next == 0);
  it.mail_bytes = BORDER_FAR_BODY_MAX / 5;
  near_box->list(bed.channel->instance, PARLEY_REF(parley_mail_query, .limit = 16), on_mails, &page);
  BED_UNTIL(told.pages == 2);
  ck_assert(page.n_mails == 4 && page.next == 13 && page.count == 16);
  it.mail_bytes = BORDER_FAR_BODY_MAX;
  near_box->list(bed.channel->instance, PARLEY_REF(parley_mail_query, .limit = 16), on_mails, &page);
  BED_UNTIL(told.pages == 3);
  ck_assert(page.n_mails == 0 && page.count == 16);
  near_box->clear(bed.channel->instance);
  BED_UNTIL(it.cleared == 1);
}
END_TEST

/* --- Streams ----------------------------------------------------------------------------------------------------- */

/* Two streams of the plugin's: one that connects, one that is accepted. */
static struct {
  int opened, closed, bound;
  uint64_t stream;
  uint32_t secured;
  parley_status status;
  char got[64], address[64];
} ends[2];

static const parley_stream *stream(void)
{
  return it.host->extension(it.host, PARLEY_STREAM);
}
static void on_opened(const parley_peer *peer, void *arg)
{
  int at = *(int *)arg;

  ends[at].opened++;
  ends[at].secured = peer->secured;
}
static size_t on_data(parley_bytes bytes, void *arg)
{
  int at = *(int *)arg;
  size_t len = strlen(ends[at].got);

  snprintf(ends[at].got + len, sizeof ends[at].got - len, "%.*s", TEXT_ARG(bytes));
  return bytes.len;
}
static void on_closed(const parley_result *result, void *arg)
{
  int at = *(int *)arg;

  ends[at].closed++;
  ends[at].status = result->status;
}
static const parley_stream_events stream_events = {.size = sizeof stream_events, .opened = on_opened, .data = on_data,
                                                   .closed = on_closed};
static int places[2] = {0, 1};

static void *on_accepted(uint64_t id, const parley_peer *peer, void *arg)
{
  (void)peer, (void)arg;
  ends[1].stream = id;
  return &places[1];
}
static void on_bound(const parley_result *result, void *arg)
{
  (void)arg;
  ends[1].bound++;
  ends[1].status = result->status;
  snprintf(ends[1].address, sizeof ends[1].address, "%.*s", TEXT_ARG(result->value));
}

START_TEST(streams_go_out_and_come_in_with_and_without_tls)
{
  static struct net_cert cert;
  parley_tls client = {.size = sizeof client}, server = {.size = sizeof server};
  parley_endpoint at = {.size = sizeof at, .address = PARLEY_LIT("127.0.0.1:0"), .tls = _i == 1 ? &server : NULL};
  parley_endpoint to = {.size = sizeof to, .tls = _i == 1 ? &client : NULL};
  uint64_t listener = 0;

  net_cert_make(&cert, "IP:127.0.0.1", 5);
  client.ca_pem = server.cert_pem = parley_text_of(cert.cert);
  server.key_pem = parley_text_of(cert.key);
  memset(ends, 0, sizeof ends);
  AS_PLUGIN(listener = stream()->listen(it.host, &at, &stream_events, on_accepted, on_bound, NULL));
  BED_UNTIL(ends[1].bound == 1);
  ck_assert_int_eq(ends[1].status, PARLEY_OK);
  to.address = parley_text_of(ends[1].address);
  AS_PLUGIN(ends[0].stream = stream()->connect(it.host, &to, &stream_events, &places[0]));
  BED_UNTIL(ends[0].opened > 0 && ends[1].opened > 0);
  ck_assert(ends[0].secured == (uint32_t)_i && ends[1].secured == (uint32_t)_i);
  AS_PLUGIN(stream()->write(it.host, ends[0].stream, PARLEY_LIT("question")));
  BED_UNTIL(strcmp(ends[1].got, "question") == 0);
  AS_PLUGIN(stream()->write(it.host, ends[1].stream, PARLEY_LIT("answer")));
  BED_UNTIL(strcmp(ends[0].got, "answer") == 0);
  AS_PLUGIN(stream()->close(it.host, ends[0].stream, 0));
  BED_UNTIL(ends[0].closed == 1 && ends[1].closed == 1);
  AS_PLUGIN(it.host->cancel(it.host, listener));
  BED_UNTIL(bed.remote->sockets.count == 0 && hosted->sockets.count == 0);
}
END_TEST

START_TEST(a_stream_to_where_parleyd_may_not_go_is_closed_with_the_reason)
{
  static const parley_endpoint private = {.size = sizeof private, .address = PARLEY_LIT("10.1.2.3:25")};

  memset(ends, 0, sizeof ends);
  AS_PLUGIN(stream()->connect(it.host, &private, &stream_events, &places[0]));
  BED_UNTIL(ends[0].closed == 1);
  ck_assert(ends[0].status == PARLEY_DENIED && ends[0].opened == 0);
}
END_TEST

START_TEST(streams_that_are_open_end_with_the_channel)
{
  parley_endpoint at = {.size = sizeof at, .address = PARLEY_LIT("127.0.0.1:0")}, to = {.size = sizeof to};

  memset(ends, 0, sizeof ends);
  AS_PLUGIN(stream()->listen(it.host, &at, &stream_events, on_accepted, on_bound, NULL));
  BED_UNTIL(ends[1].bound == 1);
  to.address = parley_text_of(ends[1].address);
  AS_PLUGIN(stream()->connect(it.host, &to, &stream_events, &places[0]));
  BED_UNTIL(ends[0].opened > 0 && ends[1].opened > 0);
  AS_PLUGIN(stream()->connect(it.host, &to, &stream_events, &places[0])); /* on its way */
  near_stop(0);
  BED_UNTIL(bed.closed && gone);
  ck_assert(ends[0].closed == 2 && ends[1].closed >= 1 && hosted_left_well(hosted));
}
END_TEST

/* --- What the far side refuses by itself ------------------------------------------------------------------------- */

START_TEST(the_call_beyond_256_open_ones_is_busy_at_once_and_room_comes_back)
{
  for (int i = 0; i < BORDER_CALLS_MAX; i++)
    AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("a"), tell, NULL));
  BED_UNTIL(bed.n_asked == BORDER_CALLS_MAX);
  ck_assert_int_eq(told.n, 0);
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("a"), tell, NULL));
  ck_assert(told.n == 1 && told.status == PARLEY_BUSY);
  AS_PLUGIN(it.host->inbound(it.host, &inbound, tell, NULL));
  ck_assert(told.n == 2 && told.status == PARLEY_BUSY);
  AS_PLUGIN(it.host->timeline(it.host, PARLEY_REF(parley_query, .who = &ana), tell_page, NULL));
  ck_assert(told.pages == 1 && told.status == PARLEY_BUSY);
  AS_PLUGIN(http()->request(it.host, &somewhere, tell_response, NULL));
  ck_assert(told.responses == 1 && told.status == PARLEY_BUSY);
  AS_PLUGIN(media()->read(it.host, PARLEY_LIT("med_1"), 0, tell, NULL));
  ck_assert(told.n == 3 && told.status == PARLEY_BUSY);
  AS_PLUGIN(it.host->state_put(it.host, PARLEY_LIT("a"), PARLEY_LIT("b"), NULL, NULL)); /* nobody waits for it */
  bed_settle();
  ck_assert_int_eq(bed.n_asked, BORDER_CALLS_MAX);
  ck_assert_int_eq(bed.remote->state, REMOTE_RUNNING);
  asked_answer(asked_open(0), PARLEY_OK, "");
  BED_UNTIL(told.n == 4);
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("a"), tell, NULL));
  BED_UNTIL(bed.n_asked == BORDER_CALLS_MAX + 1);
}
END_TEST

START_TEST(what_is_larger_than_a_call_may_carry_is_refused_and_hurts_nothing)
{
  size_t len = BORDER_FAR_BODY_MAX;
  char *large = malloc(len);
  parley_part big = {.size = sizeof big, .kind = PARLEY_PART_MEDIA, .data = {large, len}};
  const parley_part *const bigs[] = {&big};
  parley_inbound in = inbound;
  uint64_t upload = 0;

  memset(large, 'x', len);
  in.parts = bigs;
  AS_PLUGIN(it.host->inbound(it.host, &in, tell, NULL));
  ck_assert(told.n == 1 && told.status == PARLEY_INVALID && strstr(told.reason, "inline_max") != NULL);
  AS_PLUGIN(it.host->state_put(it.host, PARLEY_LIT("a"), (parley_bytes){large, len}, tell, NULL));
  ck_assert(told.n == 2 && told.status == PARLEY_INVALID);
  AS_PLUGIN(http()->request(it.host, PARLEY_REF(parley_http_request, .body = {large, len}), tell_response, NULL));
  ck_assert(told.responses == 1 && told.status == PARLEY_INVALID && strstr(told.reason, "body_too_large") != NULL);
  AS_PLUGIN(upload = media()->create(it.host, PARLEY_LIT("image/png"), TEXT_EMPTY));
  AS_PLUGIN(media()->append(it.host, upload, (parley_bytes){large, len}, tell, NULL));
  ck_assert(told.n == 3 && told.status == PARLEY_INVALID);
  bed_settle();
  ck_assert(bed.n_asked == 0 && bed.remote->state == REMOTE_RUNNING && hosted->calls.count == 0 && hosted->channel->host_calls == 0);
  in.parts = parts;
  AS_PLUGIN(it.host->inbound(it.host, &in, tell, NULL));
  asked_answer(asked_await(ASKED_INBOUND), PARLEY_OK, "msg_1");
  BED_UNTIL(told.n == 4 && told.status == PARLEY_OK);
  free(large);
}
END_TEST

/* --- Messages that wait over there ------------------------------------------------------------------------------- */

START_TEST(a_plugin_without_room_is_offered_them_again_in_order)
{
  submit(1);
  BED_UNTIL(it.n_taken == 1);
  it.take = PARLEY_BUSY;
  submit(2);
  submit(3);
  bed_settle();
  ck_assert_int_eq(it.n_taken, 1);
  it.take = PARLEY_OK;
  settle(1, PARLEY_OUTCOME_ACCEPTED);
  BED_UNTIL(it.n_taken == 3);
  ck_assert(it.taken[1] == 2 && it.taken[2] == 3);
  it.take = PARLEY_FAILED;
  submit(4);
  BED_UNTIL(bed.n_settled == 2);
  ck_assert(bed.settled[1].token == 4 && bed.settled[1].result == PARLEY_OUTCOME_RETRY);
  ck_assert_str_eq(bed.settled[1].code, "not_taken");
}
END_TEST

START_TEST(a_plugin_that_is_down_gives_back_what_it_never_took)
{
  it.take = PARLEY_BUSY;
  submit(1);
  bed_settle();
  AS_PLUGIN(it.host->health(it.host, PARLEY_DOWN, PARLEY_LIT("no credit"), TEXT_EMPTY));
  BED_UNTIL(bed.n_settled == 1);
  ck_assert(bed.settled[0].result == PARLEY_OUTCOME_THROTTLED);
}
END_TEST

START_TEST(draining_finishes_what_is_open_and_gives_back_what_waits)
{
  struct asked *asked;

  submit(1);
  BED_UNTIL(it.n_taken == 1);
  it.take = PARLEY_BUSY;
  submit(2);
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("a"), tell, NULL));
  asked = asked_await(ASKED_STATE_GET);
  near_stop(60000);
  BED_UNTIL(bed.n_settled == 1);
  ck_assert(bed.settled[0].token == 2 && bed.settled[0].result == PARLEY_OUTCOME_THROTTLED);
  BED_UNTIL(it.drained == 1);
  link_send(bed.remote->link, FRAME_SUBMIT, 3, &abi_message, &letter); /* crossed with the drain */
  bed_settle();
  ck_assert(it.stopped == 0 && it.n_taken == 1);
  asked_answer(asked, PARLEY_OK, "still answered");
  BED_UNTIL(told.n == 1);
  ck_assert_str_eq(told.value, "still answered");
  settle(1, PARLEY_OUTCOME_ACCEPTED);
  BED_UNTIL(bed.closed && gone);
  ck_assert(bed.n_settled == 2 && bed.settled[1].result == PARLEY_OUTCOME_ACCEPTED && it.destroyed == 1);
}
END_TEST

START_TEST(stopping_with_work_open_settles_it_unknown_and_answers_its_calls)
{
  submit(1);
  BED_UNTIL(it.n_taken == 1);
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("a"), tell, NULL));
  AS_PLUGIN(http()->request(it.host, &somewhere, tell_response, NULL));
  BED_UNTIL(bed.n_asked == 2);
  near_stop(0);
  BED_UNTIL(bed.n_settled == 1);
  ck_assert_uint_eq(bed.settled[0].result, PARLEY_OUTCOME_UNKNOWN);
  bed_end_near();
  BED_UNTIL(gone);
  ck_assert(told.n == 1 && told.responses == 1);
  ck_assert(it.stopped == 1 && it.destroyed == 1 && hosted_left_well(hosted));
}
END_TEST

/* The socket of one stream is still awaited when the last call has been answered. */
START_TEST(a_plugin_is_destroyed_only_when_its_streams_have_ended_too)
{
  uint64_t id;
  size_t pos = 0;
  void *call;

  memset(ends, 0, sizeof ends);
  AS_PLUGIN(http()->request(it.host, &somewhere, tell_response, NULL));
  asked_await(ASKED_HTTP);
  AS_PLUGIN(stream()->connect(it.host, PARLEY_REF(parley_endpoint, .address = PARLEY_LIT("127.0.0.1:9")), &stream_events, &places[0]));
  ck_assert(map_next(&hosted->calls, &pos, &id, &call));
  link_send(bed.remote->link, FRAME_STOP, 0, NULL, NULL);
  link_flush(bed.remote->link);
  for (uint64_t deadline = peer_deadline(); it.stopped == 0 && !peer_late(deadline);)
    peer_turn(&bed.far_loop, -1, 0, 20); /* parleyd says no more for a while */
  link_send(bed.remote->link, FRAME_RESPONSE, id, &abi_http_response, PARLEY_REF(parley_http_response, .status = PARLEY_CANCELLED));
  link_flush(bed.remote->link);
  for (uint64_t deadline = peer_deadline(); told.responses == 0 && !peer_late(deadline);)
    peer_turn(&bed.far_loop, -1, 0, 20);
  peer_settle(&bed.far_loop);
  ck_assert(told.responses == 1 && ends[0].closed == 0 && it.destroyed == 0);
  BED_UNTIL(gone);
  ck_assert(ends[0].closed == 1 && it.destroyed == 1);
}
END_TEST

START_TEST(calls_of_a_plugin_that_has_taken_its_leave_are_cancelled_over_there)
{
  it.lazy_stop = true;
  near_stop(0);
  BED_UNTIL(it.stopped == 1);
  hosted->channel->stop_said = true; /* as done() leaves it, until the host looks */
  AS_PLUGIN(it.host->state_get(it.host, PARLEY_LIT("a"), tell, NULL));
  ck_assert(told.n == 1 && told.status == PARLEY_CANCELLED);
  AS_PLUGIN(it.host->inbound(it.host, &inbound, tell, NULL));
  ck_assert(told.n == 2 && told.status == PARLEY_CANCELLED);
  AS_PLUGIN(http()->request(it.host, &somewhere, tell_response, NULL));
  ck_assert(told.responses == 1 && told.status == PARLEY_CANCELLED);
  BED_UNTIL(bed.closed && gone);
  ck_assert_int_eq(bed.n_asked, 0);
}
END_TEST

int main(int argc, char **argv)
{
  Suite *suite = suite_create("channel: hosted calls");
  TCase *cases = tcase_create("made"), *running = tcase_create("running");

  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, a_plugin_lives_over_there_as_it_would_here);
  tcase_add_loop_test(cases, what_fails_over_there_is_told_with_its_reason, 0, 2);
  suite_add_tcase(suite, cases);
  tcase_add_checked_fixture(running, setup_running, teardown);
  tcase_add_test(running, a_ping_is_answered_and_what_is_not_known_is_not_heard);
  tcase_add_test(running, without_parleyd_the_process_is_over);
  tcase_add_test(running, reports_are_answered_after_the_commit);
  tcase_add_test(running, the_timeline_comes_as_a_page);
  tcase_add_test(running, state_is_read_and_written_with_the_same_words);
  tcase_add_test(running, window_and_health_are_passed_on);
  tcase_add_test(running, lines_come_from_any_thread_and_metrics_once_a_second);
  tcase_add_test(running, requests_go_by_way_of_parleyd);
  tcase_add_test(running, media_is_read_and_uploaded_by_way_of_parleyd);
  tcase_add_test(running, uploads_beyond_the_bound_are_busy);
  tcase_add_test(running, a_providers_call_is_answered_by_the_plugin);
  tcase_add_test(running, the_mailbox_shows_what_fits_in_one_answer);
  tcase_add_loop_test(running, streams_go_out_and_come_in_with_and_without_tls, 0, 2);
  tcase_add_test(running, a_stream_to_where_parleyd_may_not_go_is_closed_with_the_reason);
  tcase_add_test(running, streams_that_are_open_end_with_the_channel);
  tcase_add_test(running, the_call_beyond_256_open_ones_is_busy_at_once_and_room_comes_back);
  tcase_add_test(running, what_is_larger_than_a_call_may_carry_is_refused_and_hurts_nothing);
  tcase_add_test(running, a_plugin_without_room_is_offered_them_again_in_order);
  tcase_add_test(running, a_plugin_that_is_down_gives_back_what_it_never_took);
  tcase_add_test(running, draining_finishes_what_is_open_and_gives_back_what_waits);
  tcase_add_test(running, stopping_with_work_open_settles_it_unknown_and_answers_its_calls);
  tcase_add_test(running, a_plugin_is_destroyed_only_when_its_streams_have_ended_too);
  tcase_add_test(running, calls_of_a_plugin_that_has_taken_its_leave_are_cancelled_over_there);
  suite_add_tcase(suite, running);
  return bed_main(argc, argv, suite);
}
