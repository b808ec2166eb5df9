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
  channel->host.settle(&channel->host, 1, PARLEY_REF(parley_outcome, .result = CHANNEL_OUTCOME_DIED));
  ck_assert(settled.count == 1 && settled.result == PARLEY_OUTCOME_UNKNOWN);
  channel_settle_died(channel, 2);
  ck_assert(settled.count == 2 && settled.result == CHANNEL_OUTCOME_DIED);
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
  TCase *host = tcase_create("host"), *pure = tcase_create("masks");

  tcase_add_checked_fixture(host, setup, teardown);
  tcase_add_test(host, uploads_are_bounded_and_each_that_ends_makes_room);
  tcase_add_test(host, that_a_process_died_is_the_hosts_word_and_never_the_plugins);
  tcase_add_loop_test(pure, a_secret_of_the_options_is_masked_wherever_a_plugin_says_it, 0, COUNT_OF(masks));
  suite_add_tcase(suite, host);
  suite_add_tcase(suite, pure);
  return peer_main(suite);
}
