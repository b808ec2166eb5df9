// sources: tests/support/plugin_host.c
#include "core/base/alloc.h"
#include "tests/support/plugin_host.h"
#include <check.h>
#include <parley/ext/mailbox.h>
#include <stdio.h>
#include <stdlib.h>

static struct plugin_host *sink_started(const char *const *options)
{
  struct plugin_host *h = plugin_host_new("sink");

  plugin_host_start(h, options);
  return h;
}

static const parley_mailbox *mailbox(const struct plugin_host *h)
{
  ck_assert_str_eq(h->plugin->offers[0]->id, PARLEY_MAILBOX);
  return h->plugin->offers[0]->table;
}

/* Submits messages first..last, the token being the number, to a<number % 3>@b.example. */
static void send_many(struct plugin_host *h, uint64_t first, uint64_t last)
{
  struct plugin_host_message room;
  char id[32], address[32];

  for (uint64_t token = first; token <= last; token++) {
    snprintf(id, sizeof id, "msg_%013llu", (unsigned long long)token);
    snprintf(address, sizeof address, "a%llu@b.example", (unsigned long long)token % 3);
    ck_assert_int_eq(plugin_host_submit(h, token, plugin_host_text(&room, id, "email", address, "hello")), PARLEY_OK);
  }
}

struct seen { size_t n; uint64_t numbers[300], next, count, forgotten; char first_text[32]; };
static void page_seen(const parley_mail_page *page, void *arg)
{
  struct seen *seen = arg;

  *seen = (struct seen){.next = page->next, .count = page->count, .forgotten = page->forgotten};
  for (uint32_t i = 0; i < page->n_mails; i++)
    seen->numbers[seen->n++] = page->mails[i]->number;
  if (page->n_mails > 0)
    snprintf(seen->first_text, sizeof seen->first_text, "%.*s", (int)page->mails[0]->message->parts[0]->text.len,
             page->mails[0]->message->parts[0]->text.at);
}

static struct seen list(struct plugin_host *h, uint32_t limit, uint64_t before, const char *address)
{
  struct seen seen;

  mailbox(h)->list(h->channel,
                   PARLEY_REF(parley_mail_query, .limit = limit, .before = before, .address = parley_text_of(address)),
                   page_seen, &seen);
  return seen;
}

START_TEST(what_it_was_given_is_listed_newest_first_in_pages)
{
  struct plugin_host *h = sink_started(NULL);
  struct seen seen;

  send_many(h, 1, 5);
  for (uint64_t token = 1; token <= 5; token++)
    ck_assert_uint_eq(plugin_host_result(h, token), PARLEY_OUTCOME_ACCEPTED);
  seen = list(h, 2, 0, NULL);
  ck_assert(seen.n == 2 && seen.numbers[0] == 5 && seen.numbers[1] == 4 && seen.next == 4 && seen.count == 5);
  ck_assert_str_eq(seen.first_text, "hello");
  seen = list(h, 2, seen.next, NULL);
  ck_assert(seen.numbers[0] == 3 && seen.next == 2);
  seen = list(h, 2, seen.next, NULL);
  ck_assert(seen.n == 1 && seen.numbers[0] == 1 && seen.next == 0);
  ck_assert_uint_eq(list(h, 0, 0, NULL).count, 5);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_list_can_be_of_one_address)
{
  struct plugin_host *h = sink_started(NULL);
  struct seen seen;

  send_many(h, 1, 9);
  seen = list(h, 2, 0, "a1@b.example");
  ck_assert(seen.n == 2 && seen.numbers[0] == 7 && seen.numbers[1] == 4 && seen.next == 4);
  seen = list(h, 2, seen.next, "a1@b.example");
  ck_assert(seen.n == 1 && seen.numbers[0] == 1 && seen.next == 0);
  ck_assert_uint_eq(list(h, 2, 0, "nobody@b.example").n, 0);
  plugin_host_done(&h);
}
END_TEST

START_TEST(beyond_keep_the_oldest_are_forgotten_and_counted)
{
  static const char *const options[] = {"keep", "100", NULL};
  struct plugin_host *h = sink_started(options);
  struct seen seen;

  send_many(h, 1, 250);
  seen = list(h, 200, 0, NULL);
  ck_assert(seen.n == 100 && seen.numbers[0] == 250 && seen.numbers[99] == 151);
  ck_assert(seen.count == 100 && seen.forgotten == 150 && seen.next == 0);
  mailbox(h)->clear(h->channel);
  ck_assert_uint_eq(list(h, 200, 0, NULL).count, 0);
  send_many(h, 251, 251);
  ck_assert_uint_eq(list(h, 200, 0, NULL).numbers[0], 251); /* numbers go on */
  plugin_host_done(&h);
}
END_TEST

START_TEST(its_memory_is_bounded_whatever_the_messages_weigh)
{
  struct plugin_host *h = sink_started(NULL);
  char *text = xcalloc(1, (1 << 20) + 1);
  struct plugin_host_message room;

  memset(text, 'a', 1 << 20);
  for (uint64_t token = 1; token <= 80; token++)
    plugin_host_submit(h, token, plugin_host_text(&room, "msg_01KAM2Z8Q3XWA", "email", "a@b.example", text));
  ck_assert_uint_ge(list(h, 0, 0, NULL).count, 50);
  ck_assert_uint_lt(list(h, 0, 0, NULL).count, 64);
  free(text);
  plugin_host_done(&h);
}
END_TEST

static const struct { const char *name; uint32_t outcome; bool kept; } failures[] = {
    {"accepted", PARLEY_OUTCOME_ACCEPTED, true},   {"delivered", PARLEY_OUTCOME_DELIVERED, true},
    {"retry", PARLEY_OUTCOME_RETRY, false},        {"rejected", PARLEY_OUTCOME_REJECTED, false},
    {"bad_address", PARLEY_OUTCOME_BAD_ADDRESS, false}, {"throttled", PARLEY_OUTCOME_THROTTLED, false},
    {"channel_down", PARLEY_OUTCOME_CHANNEL_DOWN, false}, {"unknown", PARLEY_OUTCOME_UNKNOWN, true},
};

START_TEST(told_to_fail_it_fails_as_told_and_keeps_what_went_out)
{
  const char *options[] = {"fail.outcome", failures[_i].name, "receipts", "delivered", NULL};
  struct plugin_host *h = sink_started(options);

  send_many(h, 1, 1);
  plugin_host_step(h, 1000);
  ck_assert_uint_eq(plugin_host_result(h, 1), failures[_i].outcome);
  ck_assert_uint_eq(list(h, 10, 0, NULL).count, failures[_i].kept);
  ck_assert_uint_eq(h->n_items, failures[_i].kept); /* a receipt for what went out only */
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_share_fails_by_lot)
{
  static const char *const options[] = {"fail.share", "25", "fail.outcome", "rejected", NULL};
  struct plugin_host *h = sink_started(options);
  size_t failed = 0;

  send_many(h, 1, 2000);
  for (size_t i = 0; i < h->n_settles; i++)
    failed += h->settles[i].outcome.result == PARLEY_OUTCOME_REJECTED;
  ck_assert_uint_gt(failed, 400);
  ck_assert_uint_lt(failed, 600);
  ck_assert_uint_eq(list(h, 0, 0, NULL).count, 2000 - failed);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_delay_holds_the_message_for_that_long)
{
  static const char *const options[] = {"delay", "2s", NULL};
  struct plugin_host *h = sink_started(options);

  send_many(h, 1, 3);
  plugin_host_step(h, 1999);
  ck_assert_uint_eq(h->n_settles, 0);
  ck_assert_uint_eq(list(h, 0, 0, NULL).count, 0); /* not out, so not in the mailbox */
  plugin_host_step(h, 1);
  ck_assert_uint_eq(h->n_settles, 3);
  ck_assert_uint_eq(list(h, 0, 0, NULL).count, 3);
  plugin_host_done(&h);
}
END_TEST

START_TEST(receipts_follow_one_by_one_in_their_order)
{
  static const char *const options[] = {"receipts", "delivered,read,clicked", "receipt_delay", "5s", NULL};
  static const uint32_t want[] = {PARLEY_RECEIPT_DELIVERED, PARLEY_RECEIPT_READ, PARLEY_RECEIPT_CLICKED};
  struct plugin_host *h = sink_started(options);

  send_many(h, 1, 1);
  for (size_t i = 0; i < COUNT_OF(want); i++) {
    plugin_host_step(h, 4999);
    ck_assert_uint_eq(h->n_items, i);
    plugin_host_step(h, 1);
    ck_assert_uint_eq(h->items[i].receipt->kind, want[i]);
    ck_assert(parley_text_is(h->items[i].receipt->message_id, "msg_0000000000001"));
    ck_assert_int_eq(h->items[i].receipt->at_ms, h->now_ms);
  }
  plugin_host_step(h, 60000);
  ck_assert_uint_eq(h->n_items, COUNT_OF(want));
  plugin_host_done(&h);
}
END_TEST

static const struct { const char *address_kind, *channel_kind; } kinds[] = {
    {"email", "email"}, {"phone", "sms"}, {"push", "push"}, {"none", "webhook"}, {"telegram", "chat"},
};

START_TEST(it_stands_in_for_a_channel_of_any_address_kind)
{
  const char *options[] = {"address_kind", kinds[_i].address_kind, "receipts", "read", NULL};
  struct plugin_host *h = sink_started(options);
  const parley_capabilities *caps = h->plugin->capable(h->channel);

  ck_assert_str_eq(caps->address_kind, kinds[_i].address_kind);
  ck_assert_str_eq(caps->channel_kind, kinds[_i].channel_kind);
  ck_assert_uint_eq(caps->receipts, PARLEY_BIT(PARLEY_RECEIPT_READ));
  plugin_host_done(&h);
}
END_TEST

/* --- as SMS --- */

static void send_parts(struct plugin_host *h, uint64_t token, uint32_t n_parts)
{
  parley_part part = {.size = sizeof part, .kind = PARLEY_PART_TEXT, .unit = PARLEY_UNIT_GSM7, .text = PARLEY_LIT("hello")};
  const parley_part *const parts[] = {&part, &part, &part};
  parley_identity to = {.size = sizeof to, .kind = PARLEY_LIT("phone"), .value = PARLEY_LIT("+34600111222")};
  parley_message message = {.size = sizeof message, .kind = PARLEY_KIND_CONTENT, .id = PARLEY_LIT("msg_1"), .to = &to,
                            .n_parts = n_parts, .parts = parts};

  ck_assert_int_eq(plugin_host_submit(h, token, &message), PARLEY_OK);
}

START_TEST(as_sms_it_takes_segments_and_knows_what_they_cost)
{
  static const char *const options[] = {"address_kind", "phone", "simplify", "true", NULL};
  struct plugin_host *h = sink_started(options);
  const parley_capabilities *caps = h->plugin->capable(h->channel);

  ck_assert_uint_eq(caps->flags & PARLEY_SIMPLIFY, PARLEY_SIMPLIFY);
  ck_assert_uint_eq(caps->features[0]->unit, PARLEY_UNIT_GSM7);
  ck_assert(caps->features[0]->length_max == 160 && caps->features[0]->joined_max == 153);
  ck_assert_uint_eq(caps->features[1]->unit, PARLEY_UNIT_UTF16);
  ck_assert(caps->features[1]->length_max == 70 && caps->features[1]->joined_max == 67);
  plugin_host_done(&h);
}
END_TEST

START_TEST(each_segment_has_its_id_and_its_receipts)
{
  static const char *const options[] = {"address_kind", "phone", "receipts", "sent,delivered", NULL};
  static const char *const want[] = {"msg_1-1", "msg_1-2", "msg_1-3"};
  struct plugin_host *h = sink_started(options);

  send_parts(h, 1, 3);
  ck_assert_uint_eq(h->settles[0].outcome.n_ids, 3);
  for (size_t i = 0; i < 3; i++)
    ck_assert(parley_text_is(h->settles[0].outcome.ids[i], want[i]));
  plugin_host_step(h, 1);
  ck_assert_uint_eq(h->n_items, 6);
  for (size_t i = 0; i < 6; i++) {
    ck_assert_uint_eq(h->items[i].receipt->kind, i < 3 ? PARLEY_RECEIPT_SENT : PARLEY_RECEIPT_DELIVERED);
    ck_assert(parley_text_is(h->items[i].receipt->provider_id, want[i % 3]));
  }
  send_parts(h, 2, 1); /* one is the message itself */
  ck_assert_uint_eq(h->settles[1].outcome.n_ids, 0);
  plugin_host_step(h, 1);
  ck_assert(parley_text_is(h->items[6].receipt->message_id, "msg_1"));
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_message_to_nobody_in_particular_is_kept_too)
{
  struct plugin_host *h = sink_started(NULL);
  parley_message msg = {.size = sizeof msg, .kind = PARLEY_KIND_CONTENT, .id = PARLEY_LIT("msg_01KAM2Z8Q3XWA")};

  ck_assert_int_eq(plugin_host_submit(h, 1, &msg), PARLEY_OK);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(list(h, 0, 0, NULL).count, 1);
  ck_assert_uint_eq(list(h, 5, 0, "a@b.example").n, 0);
  plugin_host_done(&h);
}
END_TEST

START_TEST(stopping_with_open_tokens_and_receipts_leaves_nothing)
{
  static const char *const options[] = {"delay", "10s", "receipts", "delivered", "receipt_delay", "10s", NULL};
  struct plugin_host *h = sink_started(options);

  send_many(h, 1, 10);
  plugin_host_step(h, 10000);
  send_many(h, 11, 20);
  plugin_host_drain(h, 1000);
  plugin_host_stop(h);
  ck_assert_uint_eq(plugin_host_result(h, 10), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(plugin_host_result(h, 20), PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_eq(h->n_settles, 20);
  ck_assert_uint_eq(h->n_items, 0);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_probe_is_always_good)
{
  struct plugin_host *h = sink_started(NULL);

  ck_assert_int_eq(plugin_host_probe(h, 9), PARLEY_OK);
  ck_assert_uint_eq(plugin_host_result(h, 9), PARLEY_OUTCOME_ACCEPTED);
  plugin_host_done(&h);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugins/sink");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, what_it_was_given_is_listed_newest_first_in_pages);
  tcase_add_test(tcase, a_list_can_be_of_one_address);
  tcase_add_test(tcase, beyond_keep_the_oldest_are_forgotten_and_counted);
  tcase_add_test(tcase, its_memory_is_bounded_whatever_the_messages_weigh);
  tcase_add_loop_test(tcase, told_to_fail_it_fails_as_told_and_keeps_what_went_out, 0, COUNT_OF(failures));
  tcase_add_test(tcase, a_share_fails_by_lot);
  tcase_add_test(tcase, a_delay_holds_the_message_for_that_long);
  tcase_add_test(tcase, receipts_follow_one_by_one_in_their_order);
  tcase_add_loop_test(tcase, it_stands_in_for_a_channel_of_any_address_kind, 0, COUNT_OF(kinds));
  tcase_add_test(tcase, as_sms_it_takes_segments_and_knows_what_they_cost);
  tcase_add_test(tcase, each_segment_has_its_id_and_its_receipts);
  tcase_add_test(tcase, a_message_to_nobody_in_particular_is_kept_too);
  tcase_add_test(tcase, stopping_with_open_tokens_and_receipts_leaves_nothing);
  tcase_add_test(tcase, a_probe_is_always_good);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
