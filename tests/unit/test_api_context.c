#include "api_fixture.h"

static struct api_fixture f;

static void setup(void)
{
  api_fixture_init(&f);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

/* --- Customers ---------------------------------------------------------------------------------------------------- */

START_TEST(a_customer_is_put_patched_found_and_shown)
{
  ask(&f, "PUT", "/v1/customers/external:shop-77",
      "{\"name\":\"Ana\",\"locale\":\"es\",\"identities\":{\"email\":\"ana@example.org\"},\"attributes\":{\"a\":1,"
      "\"b\":2},\"tags\":[\"vip\"]}");
  ck_assert_code(&f, 201);
  keep(0, "id");
  ask(&f, "PUT", "/v1/customers/external:shop-77", "{\"attributes\":{\"a\":null,\"c\":3},\"locale\":null}");
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "name"), "Ana");
  ck_assert_int_eq(json_is_null(said(&f, "locale")), 1);
  ck_assert_ptr_null(said(&f, "attributes.a"));
  ck_assert_int_eq(said_int(&f, "attributes.c"), 3);
  ask(&f, "GET", "/v1/customers?identity=email:ana@EXAMPLE.org", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.id"), kept[0]);
  ask_at(&f, "GET", NULL, "/v1/customers/%s", kept[0]);
  ck_assert_str_eq(said_text(&f, "tags.0"), "vip");
  ask(&f, "GET", "/v1/customers?identity=email:bo@example.org", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 0);
}
END_TEST

START_TEST(locale_and_timezone_are_ones_that_exist)
{
  ask(&f, "PUT", "/v1/customers/external:shop-77", "{\"locale\":\"pt-BR\",\"timezone\":\"America/Sao_Paulo\"}");
  ck_assert_code(&f, 201);
  ck_assert_str_eq(said_text(&f, "timezone"), "America/Sao_Paulo");
  ask(&f, "PUT", "/v1/customers/external:shop-77", "{\"locale\":\"pt_BR\",\"timezone\":\"../../etc/passwd\"}");
  ck_assert_problem(&f, 422, "bad_locale");
  ck_assert_str_eq(said_text(&f, "errors.0.pointer"), "/locale");
  ck_assert_str_eq(said_text(&f, "errors.1.pointer"), "/timezone");
  ck_assert_ptr_nonnull(strstr(said_text(&f, "errors.1.detail"), "Europe/Madrid"));
  ask(&f, "GET", "/v1/customers/external:shop-77", NULL);
  ck_assert_str_eq(said_text(&f, "locale"), "pt-BR");
  ask(&f, "PUT", "/v1/customers/external:shop-77", "{\"timezone\":null}");
  ck_assert_int_eq(json_is_null(said(&f, "timezone")), 1);
}
END_TEST

START_TEST(null_unlinks_a_kind_of_identity)
{
  ask(&f, "PUT", "/v1/customers/external:shop-77",
      "{\"identities\":{\"email\":[\"ana@example.org\",\"ana@work.example\"],\"phone\":\"+34600111222\"}}");
  ck_assert_code(&f, 201);
  ask(&f, "PUT", "/v1/customers/external:shop-77", "{\"identities\":{\"email\":null}}");
  ck_assert_code(&f, 200);
  ck_assert_ptr_null(strstr(f.body, "ana@"));
  ck_assert_ptr_nonnull(strstr(f.body, "+34600111222"));
}
END_TEST

START_TEST(an_identity_of_somebody_else_is_a_conflict)
{
  ask(&f, "PUT", "/v1/customers/external:a", "{\"identities\":{\"email\":\"ana@example.org\"}}");
  ask(&f, "PUT", "/v1/customers/external:b", "{\"identities\":{\"email\":\"ana@example.org\"}}");
  ck_assert_problem(&f, 409, "identity_conflict");
}
END_TEST

START_TEST(a_consent_is_put_listed_and_counts)
{
  static const char news[] = "{\"to\":{\"external\":\"a\"},\"topic\":\"newsletter\",\"content\":{\"text\":\"x\"}}";

  ask(&f, "PUT", "/v1/customers/external:a", "{\"identities\":{\"email\":\"ana@example.org\"}}");
  ask(&f, "POST", "/v1/explain", news);
  ck_assert_str_eq(said_text(&f, "verdict"), "suppressed");
  ask(&f, "PUT", "/v1/customers/external:a/consents/newsletter/email", "{\"granted\":true,\"proof\":\"form 12\"}");
  ck_assert_code(&f, 200);
  ask(&f, "GET", "/v1/customers/external:a/consents", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.topic"), "newsletter");
  ck_assert_int_eq(json_is_true(said(&f, "items.0.granted")), 1);
  ask(&f, "POST", "/v1/explain", news);
  ck_assert_str_eq(said_text(&f, "verdict"), "send");
  ask(&f, "PUT", "/v1/customers/external:nobody/consents/newsletter/email", "{\"granted\":true}");
  ck_assert_problem(&f, 404, "customer_not_found");
}
END_TEST

START_TEST(a_suppressed_address_gets_nothing_until_it_is_lifted)
{
  ask(&f, "POST", "/v1/suppressions",
      "{\"identity\":\"email:ana@example.org\",\"reason\":\"complaint\",\"detail\":\"letter of May 2\"}");
  ck_assert_code(&f, 201);
  ask(&f, "POST", "/v1/messages", simple_message);
  ck_assert_code(&f, 202);
  ck_assert_str_eq(said_text(&f, "status"), "suppressed");
  ask(&f, "GET", "/v1/suppressions", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.identity"), "email:ana@example.org");
  ck_assert_str_eq(said_text(&f, "items.0.detail"), "letter of May 2");
  ask(&f, "GET", "/v1/suppressions?reason=hard_bounce", NULL);
  ck_assert_uint_eq(json_array_size(said(&f, "items")), 0);
  ask(&f, "GET", "/v1/suppressions?reason=complaint", NULL);
  ck_assert_uint_eq(json_array_size(said(&f, "items")), 1);
  ask(&f, "GET", "/v1/suppressions?lifted=true", NULL);
  ck_assert_uint_eq(json_array_size(said(&f, "items")), 0);
  ck_assert_int_eq(ask(&f, "DELETE", "/v1/suppressions/email:ana@example.org", NULL), 204);
  ask(&f, "GET", "/v1/suppressions?lifted=true&identity=email:ana@example.org", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.reason"), "complaint");
  ck_assert(said_text(&f, "items.0.lifted_at")[0] != '\0');
  ck_assert_int_eq(ask(&f, "DELETE", "/v1/suppressions/email:ana@example.org", NULL), 404);
  ask(&f, "POST", "/v1/messages", simple_message);
  ck_assert_str_eq(said_text(&f, "status"), "accepted");
}
END_TEST

START_TEST(the_timeline_shows_messages_and_touchpoints_both_ways_and_page_by_page)
{
  ask(&f, "POST", "/v1/messages", simple_message);
  env_fake_step(&f.fake, 1000);
  ask(&f, "POST", "/v1/events",
      "{\"to\":{\"email\":\"ana@example.org\"},\"type\":\"checkout\",\"data\":{\"order\":\"1042\"},\"stage\":"
      "\"during\"}");
  ck_assert_code(&f, 201);
  keep(0, "customer");
  ask_at(&f, "GET", NULL, "/v1/customers/%s/timeline", kept[0]);
  ck_assert_uint_eq(said_count(&f, "items"), 2);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "touchpoint.checkout");
  ck_assert_str_eq(said_text(&f, "items.1.message.direction"), "out");
  ask_at(&f, "GET", NULL, "/v1/customers/%s/timeline?order=oldest&limit=1", kept[0]);
  ck_assert_str_eq(said_text(&f, "items.0.message.direction"), "out");
  keep(1, "next");
  ask_at(&f, "GET", NULL, "/v1/customers/%s/timeline?order=oldest&limit=1&cursor=%s", kept[0], kept[1]);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "touchpoint.checkout");
  ck_assert_int_eq(json_is_null(said(&f, "next")), 1);
}
END_TEST

/* --- Events ------------------------------------------------------------------------------------------------------- */

START_TEST(an_event_with_a_key_is_filed_once)
{
  static const char event[] = "{\"to\":{\"external\":\"a\"},\"type\":\"store.visit\",\"key\":\"v1\"}";

  ask(&f, "POST", "/v1/events", event);
  ck_assert_code(&f, 201);
  keep(0, "id");
  ask(&f, "POST", "/v1/events", event);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "id"), kept[0]);
  ck_assert_int_eq(json_is_true(said(&f, "duplicate")), 1);
}
END_TEST

START_TEST(the_log_is_read_in_pages_from_a_cursor_or_an_event)
{
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"one\"}");
  keep(0, "id");
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"two\"}");
  ask(&f, "GET", "/v1/events?types=touchpoint.*&limit=1", NULL);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "touchpoint.one");
  ck_assert_str_eq(said_text(&f, "items.0.id"), kept[0]);
  keep(1, "next");
  ask_at(&f, "GET", NULL, "/v1/events?types=touchpoint.*&after=%s", kept[1]);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "touchpoint.two");
  keep(2, "cursor");
  ask_at(&f, "GET", NULL, "/v1/events?after=%s&types=touchpoint.*", kept[0]);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "touchpoint.two");
  ask_at(&f, "GET", NULL, "/v1/events?after=%s&types=message.*", kept[2]);
  ck_assert_uint_eq(said_count(&f, "items"), 0);
}
END_TEST

START_TEST(a_cursor_from_before_what_is_kept_is_gone)
{
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"one\"}");
  ask(&f, "GET", "/v1/events?after=evt_0000000000001", NULL);
  ck_assert_problem(&f, 410, "cursor_expired");
  ask_raw(&f, "GET", "/v1/events?after=evt_0000000000001", ADMIN, "Accept: text/event-stream\r\n", NULL, 0);
  ck_assert_problem(&f, 410, "cursor_expired");
}
END_TEST

START_TEST(a_ticket_stands_for_its_key_for_twelve_hours_and_no_longer_than_the_key)
{
  char origin[] = "Origin: https://desk.example\r\n";

  ask(&f, "POST", "/v1/keys", "{\"name\":\"desk\",\"scopes\":[\"events:read\"]}");
  keep(0, "secret");
  keep(1, "id");
  ask_raw(&f, "POST", "/v1/events/tickets", kept[0], "", NULL, 0);
  ck_assert_code(&f, 201);
  keep(2, "ticket");
  keepf(3, "/v1/events?ticket=%s", kept[2]);
  ask_raw(&f, "GET", kept[3], NULL, origin, NULL, 0);
  ck_assert_code(&f, 200);
  ck_assert_ptr_nonnull(strstr(f.answer, "Access-Control-Allow-Origin: https://desk.example\r\n"));
  ask_raw(&f, "GET", kept[3], NULL, "Origin: https://evil.example\r\n", NULL, 0);
  ck_assert_ptr_null(strstr(f.answer, "Access-Control-Allow-Origin"));
  ask_raw(&f, "GET", "/v1/events?ticket=AAAA", NULL, "", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
  ask_raw(&f, "GET", "/v1/events", NULL, "", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
  env_fake_step(&f.fake, 12 * 3600000LL);
  ask_raw(&f, "GET", kept[3], NULL, "", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
  ask_raw(&f, "POST", "/v1/events/tickets", kept[0], "", NULL, 0);
  keepf(3, "/v1/events?ticket=%s", keep(2, "ticket"));
  ask_at(&f, "DELETE", NULL, "/v1/keys/%s", kept[1]);
  ask_raw(&f, "GET", kept[3], NULL, "", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
}
END_TEST

START_TEST(the_log_streams_to_who_accepts_event_streams)
{
  char *answer = malloc(ANSWER_MAX);
  int fd;

  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"one\"}");
  keep(0, "id");
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"two\"}");
  fd = peer_connect(f.port);
  snprintf(
      answer, 4096,
      "GET /v1/events?after=%s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer " ADMIN
      "\r\n\r\n",
      kept[0]);
  peer_say(&f.loop, fd, answer);
  peer_read(&f.loop, fd, answer, ANSWER_MAX, "touchpoint.two", NULL);
  ck_assert_ptr_nonnull(strstr(answer, "text/event-stream"));
  ck_assert_ptr_nonnull(strstr(answer, "touchpoint.two"));
  ck_assert_ptr_null(strstr(answer, "event: touchpoint.one"));
  close(fd);
  free(answer);
}
END_TEST

/* --- Conversations ------------------------------------------------------------------------------------------------ */

static bool heard;
static void on_heard(const parley_result *result, void *arg)
{
  (void)arg;
  ck_assert_int_eq(result->status, PARLEY_OK);
  heard = true;
}

/* The customer writes on the channel mail. */
static void customer_writes(const char *event_id, const char *text)
{
  parley_identity from = {.size = sizeof from,
                          .assurance = PARLEY_OBSERVED,
                          .kind = PARLEY_LIT("email"),
                          .value = PARLEY_LIT("ana@example.org")};
  parley_part part = {.size = sizeof part, .kind = PARLEY_PART_TEXT, .text = parley_text_of(text)};
  const parley_identity *froms[] = {&from};
  const parley_part *parts[] = {&part};
  parley_inbound in = {.size = sizeof in,
                       .kind = PARLEY_KIND_CONTENT,
                       .n_parts = 1,
                       .n_from = 1,
                       .at_ms = f.fake.now_ms,
                       .event_id = parley_text_of(event_id),
                       .provider_id = parley_text_of(event_id),
                       .from = froms,
                       .parts = parts};

  heard = false;
  inbound_take(f.inbound, f.channels[0], &in, on_heard, NULL);
  peer_until(&f.loop, &heard);
}

static struct { bool told; parley_status status, each[2]; uint32_t count; char value[ID_TEXT_MAX]; } asked;
static void on_asked(const parley_result *result, void *arg)
{
  (void)arg;
  asked.told = true;
  asked.status = result->status;
  asked.count = result->count;
  snprintf(asked.value, sizeof asked.value, "%.*s", TEXT_ARG(result->value));
  for (uint32_t i = 0; result->each != NULL && i < 2; i++)
    asked.each[i] = result->each[i];
}

/* Would a message from this address (NULL: a null sender) to two of ours be taken? */
static void asks(const char *address)
{
  parley_identity from = {.size = sizeof from, .kind = PARLEY_LIT("email"), .value = parley_text_of(address)};
  parley_identity to = {.size = sizeof to, .kind = PARLEY_LIT("email"), .value = PARLEY_LIT("shop@shop.example")};
  const parley_identity *froms[] = {&from}, *tos[] = {&to, &to};
  parley_inbound in = {.size = sizeof in, .kind = PARLEY_KIND_CONTENT, .flags = PARLEY_ASK, .n_from = address != NULL,
                       .from = froms, .n_to = 2, .to = tos};

  memset(&asked, 0, sizeof asked);
  asked.each[0] = asked.each[1] = PARLEY_FAILED;
  inbound_take(f.inbound, f.channels[0], &in, on_asked, NULL);
  ck_assert(!asked.told); /* never within the call */
  peer_until(&f.loop, &asked.told);
}

START_TEST(a_plugin_asks_whose_an_address_is_and_nothing_is_stored)
{
  asks("ana@example.org");
  ck_assert_int_eq(asked.status, PARLEY_OK);
  ck_assert_str_eq(asked.value, "");
  customer_writes("in-1", "Where is my order?");
  asks("ana@example.org");
  ck_assert_int_eq(asked.status, PARLEY_OK);
  ck_assert_int_eq(strncmp(asked.value, "cus_", 4), 0);
  ck_assert_uint_eq(asked.count, 2);
  ck_assert(asked.each[0] == PARLEY_OK && asked.each[1] == PARLEY_OK);
  asks(NULL);
  ck_assert_int_eq(asked.status, PARLEY_OK);
  asks("no address");
  ck_assert_int_eq(asked.status, PARLEY_INVALID);
  ck_assert(asked.each[1] == PARLEY_INVALID);
  ck_assert_uint_eq(inbound_counters(f.inbound)->received, 1);
  ask(&f, "GET", "/v1/conversations", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
}
END_TEST

/* The provider says that the first of `from` is a new address of whoever had the second. */
static parley_status moves(const char *is, const char *was)
{
  parley_identity from[] = {{.size = sizeof *from, .kind = PARLEY_LIT("email"), .value = parley_text_of(is)},
                            {.size = sizeof *from, .kind = PARLEY_LIT("email"), .value = parley_text_of(was)}};
  const parley_identity *froms[] = {&from[0], &from[1]};
  parley_inbound in = {.size = sizeof in, .kind = PARLEY_KIND_MOVED, .n_from = was != NULL ? 2 : 1, .from = froms};

  memset(&asked, 0, sizeof asked);
  inbound_take(f.inbound, f.channels[0], &in, on_asked, NULL);
  peer_until(&f.loop, &asked.told);
  return asked.status;
}

START_TEST(an_address_that_moved_is_told_as_the_new_one_and_then_the_old_one)
{
  char ana[ID_TEXT_MAX];

  customer_writes("in-1", "Where is my order?");
  asks("ana@example.org");
  snprintf(ana, sizeof ana, "%s", asked.value);
  ck_assert_int_eq(moves("ana@example.net", "ana@example.org"), PARLEY_OK);
  asks("ana@example.net");
  ck_assert_str_eq(asked.value, ana);
  asks("ana@example.org");
  ck_assert_str_eq(asked.value, "");
  ck_assert_int_eq(moves("ana@example.com", NULL), PARLEY_INVALID);
}
END_TEST

static struct { bool told; parley_status status; size_t n; char last[ID_TEXT_MAX], cursor[64]; } page;
static void on_page(const parley_page *got, void *arg)
{
  (void)arg;
  page.told = true;
  page.status = got->status;
  page.n = (size_t)got->n_events;
  if (got->n_events > 0)
    snprintf(page.last, sizeof page.last, "%.*s", TEXT_ARG(got->events[got->n_events - 1]->message_id));
  snprintf(page.cursor, sizeof page.cursor, "%.*s", TEXT_ARG(got->cursor));
}

static void turns_page(const char *cursor, uint32_t limit)
{
  parley_identity who = {.size = sizeof who, .kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")};
  parley_query query = {.size = sizeof query, .limit = limit, .who = &who, .cursor = parley_text_of(cursor)};

  page.told = false;
  inbound_timeline(f.inbound, f.channels[0], &query, on_page, NULL);
  ck_assert(!page.told); /* never within the call */
  peer_until(&f.loop, &page.told);
}

START_TEST(a_plugin_reads_the_timeline_page_by_page)
{
  char cursor[64], first[ID_TEXT_MAX];

  customer_writes("in-1", "one");
  env_fake_step(&f.fake, 1000);
  customer_writes("in-2", "two");
  env_fake_step(&f.fake, 1000);
  customer_writes("in-3", "three");
  turns_page("", 2);
  ck_assert_int_eq(page.status, PARLEY_OK);
  ck_assert_uint_eq(page.n, 2);
  ck_assert_str_ne(page.cursor, "");
  snprintf(first, sizeof first, "%s", page.last);
  snprintf(cursor, sizeof cursor, "%s", page.cursor);
  turns_page(cursor, 2);
  ck_assert_uint_eq(page.n, 1);
  ck_assert_str_eq(page.cursor, "");
  ck_assert_str_ne(page.last, first);
  turns_page("yesterday", 2);
  ck_assert_int_eq(page.status, PARLEY_INVALID);
  ck_assert_uint_eq(page.n, 0);
}
END_TEST

START_TEST(a_conversation_is_listed_shown_patched_noted_and_answered)
{
  customer_writes("in-1", "Where is my order?");
  ask(&f, "GET", "/v1/conversations?state=open", NULL);
  ck_assert_code(&f, 200);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
  keep(0, "items.0.id");
  ask_at(&f, "PATCH", "{\"assignee\":\"mia\",\"tags\":[\"orders\"],\"state\":\"pending\"}", "/v1/conversations/%s",
         kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "assignee"), "mia");
  ck_assert_str_eq(said_text(&f, "state"), "pending");
  ask_at(&f, "PATCH", "{\"assignee\":null}", "/v1/conversations/%s", kept[0]);
  ck_assert_int_eq(json_is_null(said(&f, "assignee")), 1);
  ask_at(&f, "POST", "{\"text\":\"She is right.\"}", "/v1/conversations/%s/notes", kept[0]);
  ck_assert_code(&f, 201);
  env_fake_step(&f.fake, 1000);
  ask_at(&f, "POST", "{\"content\":{\"text\":\"Tomorrow.\"}}", "/v1/conversations/%s/replies", kept[0]);
  ck_assert_code(&f, 202);
  ck_assert_str_eq(said_text(&f, "plan.0.channel"), "mail");
  ck_assert_str_eq(said_text(&f, "conversation"), kept[0]);
  ask_at(&f, "GET", NULL, "/v1/conversations/%s", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "conversation.id"), kept[0]);
  ck_assert_uint_eq(said_count(&f, "items"), 3);
  ck_assert_str_eq(said_text(&f, "items.0.message.direction"), "out");
}
END_TEST

START_TEST(a_reply_is_replayed_once_and_a_wrong_one_is_refused)
{
  customer_writes("in-1", "Hello?");
  ask(&f, "GET", "/v1/conversations", NULL);
  keepf(0, "/v1/conversations/%s/replies", said_text(&f, "items.0.id"));
  ask_keyed(&f, kept[0], "r1", "{\"content\":{\"text\":\"Hi.\"}}");
  ck_assert_code(&f, 202);
  keep(1, "id");
  ask_keyed(&f, kept[0], "r1", "{\"content\":{\"text\":\"Hi.\"}}");
  ck_assert_code(&f, 202);
  ck_assert_str_eq(said_text(&f, "id"), kept[1]);
  ask(&f, "POST", kept[0], "{\"content\":{\"text\":\"Hi.\"},\"channel\":\"fax\"}");
  ck_assert_problem(&f, 422, "unknown_channel");
  ask(&f, "POST", kept[0], "{\"contents\":{}}");
  ck_assert_problem(&f, 422, "unknown_field");
  ask(&f, "POST", "/v1/conversations/cnv_0000000000001/replies", "{\"content\":{\"text\":\"Hi.\"}}");
  ck_assert_problem(&f, 404, "not_found");
}
END_TEST

int main(void)
{
  const TTest *const tests[] = {
      a_customer_is_put_patched_found_and_shown,
      locale_and_timezone_are_ones_that_exist,
      null_unlinks_a_kind_of_identity,
      an_identity_of_somebody_else_is_a_conflict,
      a_consent_is_put_listed_and_counts,
      a_suppressed_address_gets_nothing_until_it_is_lifted,
      the_timeline_shows_messages_and_touchpoints_both_ways_and_page_by_page,
      an_event_with_a_key_is_filed_once,
      the_log_is_read_in_pages_from_a_cursor_or_an_event,
      a_cursor_from_before_what_is_kept_is_gone,
      a_ticket_stands_for_its_key_for_twelve_hours_and_no_longer_than_the_key,
      the_log_streams_to_who_accepts_event_streams,
      a_plugin_asks_whose_an_address_is_and_nothing_is_stored,
      an_address_that_moved_is_told_as_the_new_one_and_then_the_old_one,
      a_plugin_reads_the_timeline_page_by_page,
      a_conversation_is_listed_shown_patched_noted_and_answered,
      a_reply_is_replayed_once_and_a_wrong_one_is_refused,
  };
  Suite *suite = suite_create("api_context");
  TCase *cases = tcase_create("context");

  tcase_set_timeout(cases, 30);
  tcase_add_checked_fixture(cases, setup, teardown);
  for (size_t i = 0; i < COUNT_OF(tests); i++)
    tcase_add_test(cases, tests[i]);
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
