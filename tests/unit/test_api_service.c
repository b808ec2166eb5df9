#include "api_fixture.h"
#include "core/api/inside.h"
#include "core/channel/instance.h"
#include <math.h>

static struct api_fixture f;

static void setup(void)
{
  api_fixture_init(&f);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

/* --- Subscriptions ------------------------------------------------------------------------------------------------ */

START_TEST(a_subscription_is_made_changed_rotated_and_removed_and_outlives_a_restart)
{
  ask(&f, "POST", "/v1/subscriptions",
      "{\"name\":\"crm\",\"url\":\"HTTP://127.0.0.1:9000/"
      "hook\",\"types\":[\"message.*\"],\"filter\":{\"topic\":\"orders\"}}");
  ck_assert_code(&f, 201);
  keep(0, "id");
  keep(1, "secret");
  ck_assert_int_eq(strncmp(kept[1], "whsec_", 6), 0);
  ck_assert_str_eq(said_text(&f, "url"), "http://127.0.0.1:9000/hook");
  ask(&f, "GET", "/v1/subscriptions", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 2);
  ck_assert_ptr_null(strstr(f.body, "whsec_"));
  api_fixture_down(&f);
  api_fixture_up(&f);
  ask_at(&f, "PATCH", "{\"types\":[\"*\"],\"disabled\":true}", "/v1/subscriptions/%s", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_uint_eq(said_count(&f, "types"), 0);
  ck_assert_str_eq(said_text(&f, "filter.topic"), "orders");
  ck_assert_int_eq(json_is_true(said(&f, "disabled")), 1);
  ask_at(&f, "POST", NULL, "/v1/subscriptions/%s/rotate", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_str_ne(said_text(&f, "secret"), kept[1]);
  ck_assert_int_eq(json_is_string(said(&f, "old_secret_until")), 1);
  ask_at(&f, "GET", NULL, "/v1/subscriptions/%s/deliveries", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_int_eq(ask_at(&f, "DELETE", NULL, "/v1/subscriptions/%s", kept[0]), 204);
  ck_assert_int_eq(ask_at(&f, "GET", NULL, "/v1/subscriptions/%s", kept[0]), 404);
  api_fixture_down(&f);
  api_fixture_up(&f);
  ck_assert_int_eq(ask_at(&f, "GET", NULL, "/v1/subscriptions/%s", kept[0]), 404);
}
END_TEST

struct docs_seen { struct store_docs op; char *json; };

static void docs_done(struct store_op *op)
{
  struct docs_seen *seen = container_of(op, struct docs_seen, op.op);

  ck_assert_int_eq(op->status, PARLEY_OK);
  ck_assert_uint_eq(seen->op.n, 1);
  seen->json = xmemdup(seen->op.rows[0].json.at, seen->op.rows[0].json.len);
  arena_free(&op->arena);
}

/* Whether the one subscription's document in the store has the word. */
static bool stored_has(const char *word)
{
  struct docs_seen seen = {.op = {.op = {.kind = STORE_DOCS, .done = docs_done}, .kind = PARLEY_LIT("subscription"),
                                  .name = PARLEY_LIT("crm")}};
  bool has;

  store_submit(f.store, &seen.op.op);
  for (uint64_t deadline = peer_deadline(); seen.json == NULL && !peer_late(deadline);)
    peer_turn(&f.loop, -1, 0, 20);
  has = strstr(seen.json, word) != NULL;
  free(seen.json);
  return has;
}

/* Made, and its secret changed; kept[0] is its id, kept[1] the first secret. */
static void subscription_rotated(void)
{
  ask(&f, "POST", "/v1/subscriptions", "{\"name\":\"crm\",\"url\":\"https://example.org/hook\"}");
  keep(0, "id");
  keep(1, "secret");
  ask_at(&f, "POST", NULL, "/v1/subscriptions/%s/rotate", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert(stored_has(kept[1]));
}

static void old_secret_is_gone(void)
{
  api_subscriptions_sweep(f.api);
  for (uint64_t deadline = peer_deadline(); stored_has(kept[1]) && !peer_late(deadline);)
    ;
  ck_assert(!stored_has(kept[1]));
  ask_at(&f, "GET", NULL, "/v1/subscriptions/%s", kept[0]);
  ck_assert_int_eq(json_is_null(said(&f, "old_secret_until")), 1);
}

START_TEST(after_a_rotations_overlap_the_old_secret_is_nowhere_any_more)
{
  subscription_rotated();
  env_fake_step(&f.fake, 24 * 3600000 - 1000);
  api_subscriptions_sweep(f.api);
  ck_assert(stored_has(kept[1])); /* it signs for another second */
  env_fake_step(&f.fake, 1000);
  old_secret_is_gone();
}
END_TEST

START_TEST(an_overlap_that_ended_while_the_daemon_was_down_has_ended)
{
  subscription_rotated();
  api_fixture_down(&f);
  env_fake_step(&f.fake, 24 * 3600000);
  api_fixture_up(&f);
  ask_at(&f, "GET", NULL, "/v1/subscriptions/%s", kept[0]);
  ck_assert_int_eq(json_is_null(said(&f, "old_secret_until")), 1);
  old_secret_is_gone();
}
END_TEST

START_TEST(a_test_pushes_one_signed_event_and_tells_what_came_back)
{
  char *got = malloc(ANSWER_MAX), request[1024];
  uint16_t port = 0;
  int listener = peer_listen(&port), receiver, fd;

  keepf(0, "{\"url\":\"http://127.0.0.1:%u/hook\"}", port);
  ask(&f, "POST", "/v1/subscriptions", kept[0]);
  ck_assert_code(&f, 201);
  keep(1, "id");
  snprintf(request, sizeof request,
           "POST /v1/subscriptions/%s/test HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " ADMIN
           "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
           said_text(&f, "id"));
  fd = peer_connect(f.port);
  peer_say(&f.loop, fd, request);
  receiver = peer_accept(&f.loop, listener);
  peer_read(&f.loop, receiver, got, ANSWER_MAX, "subscription.test", NULL);
  ck_assert_ptr_nonnull(strstr(got, "POST /hook"));
  ck_assert_ptr_nonnull(strcasestr(got, "webhook-signature: v1,"));
  peer_say(&f.loop, receiver, "HTTP/1.1 418 I am a teapot\r\nContent-Length: 0\r\n\r\n");
  peer_read(&f.loop, fd, got, ANSWER_MAX, NULL, NULL);
  ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 200"));
  ck_assert_ptr_nonnull(strstr(got, "\"ok\":false,\"status\":418"));
  close(receiver);
  close(listener);
  close(fd);
  free(got);
}
END_TEST

START_TEST(a_configured_subscription_is_read_only_and_keeps_its_id)
{
  ask(&f, "GET", "/v1/subscriptions", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.name"), "desk");
  ck_assert_str_eq(said_text(&f, "items.0.filter.channel"), "mail");
  keep(0, "items.0.id");
  ask_at(&f, "PATCH", "{\"disabled\":true}", "/v1/subscriptions/%s", kept[0]);
  ck_assert_problem(&f, 409, "configured");
  ask_at(&f, "DELETE", NULL, "/v1/subscriptions/%s", kept[0]);
  ck_assert_problem(&f, 409, "configured");
  ask_at(&f, "POST", NULL, "/v1/subscriptions/%s/rotate", kept[0]);
  ck_assert_problem(&f, 409, "configured");
  api_fixture_down(&f);
  api_fixture_up(&f);
  ck_assert_int_eq(ask_at(&f, "GET", NULL, "/v1/subscriptions/%s", kept[0]), 200);
}
END_TEST

START_TEST(a_replay_of_a_made_subscription_has_no_secret)
{
  ask_keyed(&f, "/v1/subscriptions", "k1", "{\"url\":\"https://example.org/hook\"}");
  ck_assert_code(&f, 201);
  ask_keyed(&f, "/v1/subscriptions", "k1", "{\"url\":\"https://example.org/hook\"}");
  ck_assert_code(&f, 201);
  ck_assert_int_eq(json_is_null(said(&f, "secret")), 1);
  ask(&f, "GET", "/v1/subscriptions", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 2);
}
END_TEST

START_TEST(a_receiver_that_is_gone_stays_disabled)
{
  id64 id = 0;

  ask(&f, "POST", "/v1/subscriptions", "{\"url\":\"https://example.org/hook\"}");
  keep(0, "id");
  ck_assert(id_parse("sub", parley_text_of(kept[0]), &id));
  api_subscription_disabled(f.api, id);
  api_fixture_down(&f);
  api_fixture_up(&f);
  ask_at(&f, "GET", NULL, "/v1/subscriptions/%s", kept[0]);
  ck_assert_int_eq(json_is_true(said(&f, "disabled")), 1);
}
END_TEST

START_TEST(a_replay_names_events_a_range_or_nothing)
{
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"one\"}");
  keep(1, "id");
  ask(&f, "POST", "/v1/subscriptions", "{\"url\":\"http://127.0.0.1:9000/hook\",\"types\":[\"touchpoint.*\"]}");
  keepf(0, "/v1/subscriptions/%s/replay", said_text(&f, "id"));
  ask_at(&f, "POST", NULL, "%s", kept[0]);
  ck_assert_code(&f, 202);
  keepf(2, "{\"events\":[\"%s\"]}", kept[1]);
  ask(&f, "POST", kept[0], kept[2]);
  ck_assert_code(&f, 202);
  ck_assert_int_eq(said_int(&f, "queued"), 1);
  keepf(2, "{\"upto\":\"%s\"}", kept[1]);
  ask(&f, "POST", kept[0], kept[2]);
  ck_assert_code(&f, 202);
  ck_assert_int_eq(said_int(&f, "queued"), 1);
  ask(&f, "POST", kept[0], "{\"events\":[\"msg_0000000000001\"]}");
  ck_assert_problem(&f, 422, "bad_id");
}
END_TEST

/* --- Channels, plugins, topics ------------------------------------------------------------------------------------ */

START_TEST(a_paused_channel_keeps_its_messages_over_a_restart_until_resumed)
{
  uint64_t deadline = peer_deadline();

  ask(&f, "POST", "/v1/channels/mail/pause", NULL);
  ck_assert_code(&f, 200);
  ck_assert_int_eq(json_is_true(said(&f, "paused")), 1);
  ask(&f, "POST", "/v1/messages", simple_message);
  ck_assert_code(&f, 202);
  keep(0, "id");
  api_fixture_down(&f);
  api_fixture_up(&f);
  ask(&f, "GET", "/v1/channels/mail", NULL);
  ck_assert_int_eq(json_is_true(said(&f, "paused")), 1);
  ask_at(&f, "GET", NULL, "/v1/messages/%s", kept[0]);
  ck_assert_str_eq(said_text(&f, "status"), "queued");
  ask(&f, "POST", "/v1/channels/mail/resume", NULL);
  ck_assert_int_eq(json_is_false(said(&f, "paused")), 1);
  do
    ask_at(&f, "GET", NULL, "/v1/messages/%s", kept[0]);
  while (strcmp(said_text(&f, "status"), "sent") != 0 && !peer_late(deadline));
  ck_assert_str_eq(said_text(&f, "status"), "sent");
  ask(&f, "GET", "/v1/events?types=channel.*", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "channel.paused");
  ck_assert_str_eq(said_text(&f, "items.0.data.facts.by"), "admin");
  ck_assert_str_eq(said_text(&f, "items.1.type"), "channel.resumed");
}
END_TEST

START_TEST(channels_plugins_and_topics_are_listed)
{
  ask(&f, "GET", "/v1/channels", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 2);
  ck_assert_str_eq(said_text(&f, "items.1.address_kind"), "phone");
  ck_assert_str_eq(said_text(&f, "items.0.state"), "up");
  ask(&f, "GET", "/v1/plugins", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
  ck_assert_uint_eq(said_count(&f, "items.0.channels"), 2);
  ask(&f, "GET", "/v1/topics", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 3);
  ask(&f, "GET", "/v1/channels/fax", NULL);
  ck_assert_problem(&f, 404, "not_found");
}
END_TEST

START_TEST(a_check_tells_what_the_plugin_found_or_that_it_cannot)
{
  ask(&f, "POST", "/v1/channels/mail/check", NULL);
  if (channel_can_probe(f.channels[0])) {
    ck_assert_code(&f, 200);
    ck_assert_int_eq(json_is_true(said(&f, "ok")), 1);
  } else {
    ck_assert_problem(&f, 409, "cannot_check");
  }
}
END_TEST

/* --- Media -------------------------------------------------------------------------------------------------------- */

START_TEST(media_is_stored_once_and_opened_by_a_signed_link_for_an_hour)
{
  const char *link;

  ask_raw(&f, "POST", "/v1/media?name=..%2F..%2Fetc%2Fpasswd.png", ADMIN, "Content-Type: image/png\r\n", "\211PNG\0x",
          6);
  ck_assert_code(&f, 201);
  ck_assert_str_eq(said_text(&f, "name"), "passwd.png");
  ck_assert_int_eq(said_int(&f, "bytes"), 6);
  keep(0, "id");
  ask_raw(&f, "POST", "/v1/media", ADMIN, "Content-Type: image/png\r\n", "\211PNG\0x", 6);
  ck_assert_str_eq(said_text(&f, "id"), kept[0]);
  ask_at(&f, "GET", NULL, "/v1/media/%s", kept[0]);
  ck_assert_code(&f, 200);
  link = strstr(keep(1, "url"), "/media/");
  ck_assert_ptr_nonnull(link);
  ask_raw(&f, "GET", link, NULL, "", NULL, 0);
  ck_assert_code(&f, 200);
  ck_assert_int_eq(memcmp(f.body, "\211PNG\0x", 6), 0);
  ck_assert_ptr_nonnull(strstr(f.answer, "X-Content-Type-Options: nosniff"));
  ck_assert_ptr_nonnull(strstr(f.answer, "Content-Disposition: attachment"));
  env_fake_step(&f.fake, 3600000);
  ask_raw(&f, "GET", link, NULL, "", NULL, 0);
  ck_assert_problem(&f, 404, "not_found");
}
END_TEST

START_TEST(a_link_that_was_touched_opens_nothing)
{
  char link[512];

  ask_raw(&f, "POST", "/v1/media", ADMIN, "Content-Type: text/html\r\n", "<script>", 8);
  snprintf(link, sizeof link, "%s", strstr(said_text(&f, "url"), "/media/"));
  link[strlen(link) - 1] = link[strlen(link) - 1] == 'A' ? 'B' : 'A';
  ask_raw(&f, "GET", link, NULL, "", NULL, 0);
  ck_assert_problem(&f, 404, "not_found");
}
END_TEST

/* --- Health, metrics, store, callbacks ---------------------------------------------------------------------------- */

START_TEST(health_and_readiness_need_no_key)
{
  ck_assert_int_eq(ask_raw(&f, "GET", "/healthz", NULL, "", NULL, 0), 200);
  ck_assert_int_eq(ask_raw(&f, "GET", "/readyz", NULL, "", NULL, 0), 200);
  f.up = false;
  ask_raw(&f, "GET", "/readyz", NULL, "", NULL, 0);
  ck_assert_problem(&f, 503, "not_ready");
}
END_TEST

START_TEST(metrics_are_there_for_this_machine_and_add_up)
{
  ask(&f, "POST", "/v1/messages", simple_message);
  ask_raw(&f, "GET", "/metrics", NULL, "", NULL, 0);
  ck_assert_code(&f, 200);
  ck_assert_ptr_nonnull(strstr(f.body, "parley_messages_accepted_total 1\n"));
  ck_assert_ptr_nonnull(strstr(f.body, "parley_messages_add_up 1\n"));
  ck_assert_ptr_nonnull(strstr(f.body, "parley_delivery_seconds_bucket{channel=\"mail\",le=\"+Inf\"}"));
  ask_raw(&f, "GET", "/metrics", NULL, "X-Forwarded-For: 203.0.113.9\r\n", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
  ask_raw(&f, "GET", "/metrics", READER, "", NULL, 0);
  ck_assert_problem(&f, 403, "scope_missing");
}
END_TEST

/* Each line is a comment or a sample, and each family is told once. */
START_TEST(metrics_are_well_formed)
{
  json_t *seen = json_object();
  char *rest, *line;

  ask_raw(&f, "GET", "/metrics", NULL, "", NULL, 0);
  rest = strstr(f.answer, "\r\n\r\n") + 4;
  while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
    char name[128] = "";

    if (sscanf(line, "# TYPE %127s", name) == 1) {
      ck_assert_msg(json_object_get(seen, name) == NULL, "%s twice", name);
      json_object_set_new(seen, name, json_true());
    } else if (line[0] != '#') {
      char *space = strrchr(line, ' '), *end;

      ck_assert_msg(strncmp(line, "parley_", 7) == 0 && space != NULL, "%s", line);
      strtod(space + 1, &end);
      ck_assert_msg(*end == '\0', "%s", line);
    }
  }
  ck_assert_uint_gt(json_object_size(seen), 40);
  json_decref(seen);
}
END_TEST

static const parley_metric kinds[] = {
    {sizeof(parley_metric), PARLEY_COUNTER, "letters_out", "Letters\nthat \\ left", "stamp"},
    {sizeof(parley_metric), PARLEY_GAUGE, "queue", "How many wait", NULL},
    {sizeof(parley_metric), PARLEY_HISTOGRAM, "seconds", "How long it took", "stage"},
};
static const parley_metric *const kinds_table[] = {&kinds[0], &kinds[1], &kinds[2], NULL};
static const parley_metric other_kind = {sizeof(parley_metric), PARLEY_GAUGE, "letters_out", NULL, NULL};
static const parley_metric *const other_table[] = {&other_kind, NULL};

/* Both channels have plugins that count, of different tables. */
static void count_some(parley_plugin tables[2])
{
  const parley_host *mail = &f.channels[0]->host, *sms = &f.channels[1]->host;

  for (int i = 0; i < 2; i++) {
    tables[i] = *f.channels[i]->table;
    tables[i].metrics = i == 0 ? kinds_table : other_table;
    f.channels[i]->table = &tables[i];
  }
  mail->metric(mail, "letters_out", PARLEY_LIT("a \"b\"\\\n"), 2);
  mail->metric(mail, "letters_out", PARLEY_LIT("a \"b\"\\\n"), 1);
  mail->metric(mail, "letters_out", PARLEY_LIT(""), 1e14);
  mail->metric(mail, "letters_out", PARLEY_LIT(""), -1e14); /* a counter only grows */
  mail->metric(mail, "letters_out", PARLEY_LIT(""), NAN);
  mail->metric(mail, "queue", PARLEY_LIT("said though it has no label"), 7);
  mail->metric(mail, "queue", PARLEY_LIT("said though it has no label"), 4.5);
  mail->metric(mail, "seconds", PARLEY_LIT("login"), 0.25);
  mail->metric(mail, "seconds", PARLEY_LIT("login"), 0.5);
  mail->metric(mail, "undeclared", PARLEY_LIT(""), 1);
  sms->metric(sms, "letters_out", PARLEY_LIT(""), 9);
}

START_TEST(what_a_plugin_counts_is_a_metric_of_its_channel)
{
  static const char want[] = "# HELP parley_plugin_letters_out Letters\\nthat \\\\ left\n"
                             "# TYPE parley_plugin_letters_out counter\n"
                             "parley_plugin_letters_out{channel=\"mail\",stamp=\"\"} 100000000000000\n"
                             "parley_plugin_letters_out{channel=\"mail\",stamp=\"a \\\"b\\\"\\\\\\n\"} 3\n"
                             "# HELP parley_plugin_queue How many wait\n"
                             "# TYPE parley_plugin_queue gauge\n"
                             "parley_plugin_queue{channel=\"mail\"} 4.5\n"
                             "# HELP parley_plugin_seconds How long it took\n"
                             "# TYPE parley_plugin_seconds summary\n"
                             "parley_plugin_seconds_sum{channel=\"mail\",stage=\"login\"} 0.75\n"
                             "parley_plugin_seconds_count{channel=\"mail\",stage=\"login\"} 2\n";
  const parley_plugin *were[] = {f.channels[0]->table, f.channels[1]->table};
  parley_plugin tables[2];

  count_some(tables);
  ask_raw(&f, "GET", "/metrics", NULL, "", NULL, 0);
  ck_assert_code(&f, 200);
  ck_assert_msg(strstr(f.body, want) != NULL, "%s", strstr(f.body, "# HELP parley_plugin_letters"));
  ck_assert_ptr_null(strstr(f.body, "undeclared"));
  for (int i = 0; i < 2; i++)
    f.channels[i]->table = were[i];
}
END_TEST

static const struct { parley_metric metric; const char *why; } bad_metrics[] = {
    {{sizeof(parley_metric), PARLEY_COUNTER, NULL, NULL, NULL}, "metric '' of the plugin's table: a name is made of"},
    {{sizeof(parley_metric), PARLEY_COUNTER, "", NULL, NULL}, "metric '' of the plugin's table: a name is made of"},
    {{sizeof(parley_metric), PARLEY_COUNTER, "9lives", NULL, NULL}, "metric '9lives' of the plugin's table: a name is made of"},
    {{sizeof(parley_metric), PARLEY_COUNTER, "a-b", NULL, NULL}, "metric 'a-b' of the plugin's table: a name is made of"},
    {{sizeof(parley_metric), PARLEY_COUNTER, "a{x=\"1\"} 1\nb", NULL, NULL}, "metric 'a{x="},
    {{sizeof(parley_metric), PARLEY_COUNTER, "good", NULL, "bad label"}, "metric 'good' of the plugin's table: its label 'bad label'"},
    {{sizeof(parley_metric), PARLEY_COUNTER, "good", NULL, "channel"}, "metric 'good' of the plugin's table: its label 'channel'"},
    {{sizeof(parley_metric), 0, "good", NULL, NULL}, "metric 'good' of the plugin's table is of an unknown kind 0"},
    {{sizeof(parley_metric), 4, "good", NULL, NULL}, "metric 'good' of the plugin's table is of an unknown kind 4"},
    {{sizeof(parley_metric), PARLEY_GAUGE, "_first", NULL, NULL}, "metric '_first' of the plugin's table is there already"},
    {{sizeof(parley_metric), PARLEY_GAUGE, "slow_calls_total", NULL, NULL}, "metric 'slow_calls_total' of the plugin's table is there"},
};

START_TEST(a_plugin_with_a_metric_that_cannot_be_shown_is_not_loaded)
{
  static const parley_metric first = {sizeof(parley_metric), PARLEY_COUNTER, "_first", NULL, "a_Label9"};
  const parley_metric *const with[] = {&first, &bad_metrics[_i].metric, NULL}, *const without[] = {&first, NULL};
  parley_plugin table = *f.channels[0]->table;
  struct buf why = BUF_INIT(4096);

  table.metrics = without;
  ck_assert_int_eq(plugin_check(&table, "sink", channel_extensions, &why), PARLEY_OK);
  table.metrics = with;
  ck_assert_int_eq(plugin_check(&table, "sink", channel_extensions, &why), PARLEY_INVALID);
  ck_assert_msg(text_starts(buf_as_text(&why), bad_metrics[_i].why), "%s", why.at);
  ck_assert_msg(text_ends(buf_as_text(&why), " (sink.so)"), "%s", why.at);
  buf_done(&why);
}
END_TEST

START_TEST(a_restored_store_says_that_it_waits_and_what_for)
{
  ask(&f, "POST", "/v1/store/resume", "");
  ck_assert_code(&f, 200);
  ck_assert(json_is_false(said(&f, "resumed")));
  deliver_hold(f.deliver); /* its marking never begins: the fixture has started already */
  ask(&f, "GET", "/readyz", "");
  ck_assert_code(&f, 200);
  ck_assert(strstr(said_text(&f, "paused"), "being marked") != NULL);
  ask(&f, "GET", "/v1/channels/mail", "");
  ck_assert_str_eq(said_text(&f, "paused_by"), "restore");
  ask(&f, "POST", "/v1/store/resume", "");
  ck_assert_problem(&f, 409, "still_marking");
}
END_TEST

START_TEST(a_backup_is_a_new_file)
{
  keepf(0, "{\"path\":\"%s/copy.db\"}", f.dir);
  ask(&f, "POST", "/v1/store/backup", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_int_gt(said_int(&f, "bytes"), 0);
  ask(&f, "POST", "/v1/store/backup", kept[0]);
  ck_assert_problem(&f, 409, "file_exists");
  keepf(0, "{\"path\":\"%s/no/such/folder/copy.db\"}", f.dir);
  ask(&f, "POST", "/v1/store/backup", kept[0]);
  ck_assert_problem(&f, 422, "bad_path");
}
END_TEST

START_TEST(callbacks_go_to_their_channel_or_nowhere)
{
  ask_raw(&f, "POST", "/in/fax/x", NULL, "", "{}", 2);
  ck_assert_problem(&f, 404, "no_such_channel");
  ask_raw(&f, "POST", "/in/mail/x?y=1", NULL, "", "{}", 2);
  ck_assert_problem(&f, 404, "no_callbacks"); /* the sink takes none */
}
END_TEST

int main(void)
{
  const TTest *const tests[] = {
      after_a_rotations_overlap_the_old_secret_is_nowhere_any_more,
      an_overlap_that_ended_while_the_daemon_was_down_has_ended,
      a_subscription_is_made_changed_rotated_and_removed_and_outlives_a_restart,
      a_test_pushes_one_signed_event_and_tells_what_came_back,
      a_configured_subscription_is_read_only_and_keeps_its_id,
      a_replay_of_a_made_subscription_has_no_secret,
      a_receiver_that_is_gone_stays_disabled,
      a_replay_names_events_a_range_or_nothing,
      a_paused_channel_keeps_its_messages_over_a_restart_until_resumed,
      channels_plugins_and_topics_are_listed,
      a_check_tells_what_the_plugin_found_or_that_it_cannot,
      media_is_stored_once_and_opened_by_a_signed_link_for_an_hour,
      a_link_that_was_touched_opens_nothing,
      health_and_readiness_need_no_key,
      metrics_are_there_for_this_machine_and_add_up,
      metrics_are_well_formed,
      what_a_plugin_counts_is_a_metric_of_its_channel,
      a_restored_store_says_that_it_waits_and_what_for,
      a_backup_is_a_new_file,
      callbacks_go_to_their_channel_or_nowhere,
  };
  Suite *suite = suite_create("api_service");
  TCase *cases = tcase_create("service");

  tcase_set_timeout(cases, 30);
  tcase_add_checked_fixture(cases, setup, teardown);
  for (size_t i = 0; i < COUNT_OF(tests); i++)
    tcase_add_test(cases, tests[i]);
  tcase_add_loop_test(cases, a_plugin_with_a_metric_that_cannot_be_shown_is_not_loaded, 0, COUNT_OF(bad_metrics));
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
