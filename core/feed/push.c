/* One signed POST, and what its answer means. */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "envelope.h"
#include "feed_in.h"
#include <stdio.h>
#include <stdlib.h>

#define PUSH_HEADERS 4
#define TIMESTAMP_ROOM 24

struct push_head { /* of one POST; the pairs point into it */
  char id[ID_TEXT_MAX], timestamp[TIMESTAMP_ROOM], signature[STANDARD_WEBHOOKS_HEADER_ROOM];
  parley_pair pairs[PUSH_HEADERS];
};

static void push_sign(struct sub_conf *conf, uint64_t event, int64_t now_ms, parley_bytes body,
                      struct push_head *ret)
{
  id_format("evt", event, ret->id);
  snprintf(ret->timestamp, sizeof(ret->timestamp), "%lld", (long long)(now_ms / 1000));
  standard_webhooks_sign(&conf->keys, parley_text_of(ret->id), now_ms / 1000, body, ret->signature);
  ret->pairs[0] = (parley_pair){PARLEY_LIT("content-type"), PARLEY_LIT("application/json")};
  ret->pairs[1] = (parley_pair){PARLEY_LIT(STANDARD_WEBHOOKS_ID), parley_text_of(ret->id)};
  ret->pairs[2] = (parley_pair){PARLEY_LIT(STANDARD_WEBHOOKS_TIMESTAMP), parley_text_of(ret->timestamp)};
  ret->pairs[3] = (parley_pair){PARLEY_LIT(STANDARD_WEBHOOKS_SIGNATURE), parley_text_of(ret->signature)};
}

static uint64_t push_post(struct feed *feed, struct sub_conf *conf, uint64_t event, parley_bytes body,
                          http_client_done *done, void *arg)
{
  struct push_head head;
  struct http_call call = {
      .method = PARLEY_LIT("POST"), .url = conf->set.url, .timeout_ms = FEED_TIMEOUT_MS, .body = body};

  push_sign(conf, event, feed_now_ms(feed), body, &head);
  call.headers = head.pairs;
  call.n_headers = PUSH_HEADERS;
  return http_client_request(feed->shared.http, &call, done, arg);
}

/* --- The answer ------------------------------------------------------------------------------- */

static bool reply_is_good(const struct http_reply *reply)
{
  return reply->status == PARLEY_OK && reply->code >= 200 && reply->code < 300;
}

static void reply_why(const struct http_reply *reply, char to[FEED_ERROR_BYTES_MAX])
{
  if (reply->status != PARLEY_OK)
    snprintf(to, FEED_ERROR_BYTES_MAX, "%.*s", TEXT_ARG(reply->reason));
  else if (reply->code >= 300 && reply->code < 400)
    snprintf(to, FEED_ERROR_BYTES_MAX, "redirect_not_followed: HTTP %u", reply->code);
  else
    snprintf(to, FEED_ERROR_BYTES_MAX, "http_%u: %s", reply->code, http_reason(reply->code));
}

static void push_good(struct item *item)
{
  struct feed_sub *sub = item->sub;
  char id[ID_TEXT_MAX];

  if (breaker_open_until_ms(&sub->breaker) != 0) {
    id_format("sub", sub->id, id);
    log_line(sub->feed->shared.log, PARLEY_INFO, "event=subscription_back subscription=%s", id);
  }
  breaker_good(&sub->breaker, feed_mono_ms(sub->feed));
  sub->pushed++;
  sub->feed->counters.pushed++;
  sub->last_good_ms = feed_now_ms(sub->feed);
  item_ended(item, ITEM_DONE);
}

static void push_bad(struct item *item, const struct http_reply *reply)
{
  struct feed_sub *sub = item->sub;
  int64_t now_ms = feed_mono_ms(sub->feed);
  bool was_open = breaker_open_until_ms(&sub->breaker) != 0;
  char id[ID_TEXT_MAX], why[FEED_ERROR_BYTES_MAX];

  breaker_bad(&sub->breaker, now_ms);
  reply_why(reply, sub->last_error);
  sub->failed++;
  sub->feed->counters.failed++;
  sub->last_bad_ms = feed_now_ms(sub->feed);
  if (!was_open && breaker_open_until_ms(&sub->breaker) != 0) {
    id_format("sub", sub->id, id);
    log_line(sub->feed->shared.log, PARLEY_WARN, "event=subscription_down subscription=%s why=%s", id,
             log_safe(why, sizeof(why), parley_text_of(sub->last_error)));
  }
  if (reply->status == PARLEY_OK && (reply->code == 429 || reply->code == 503) && reply->retry_ms > 0)
    sub->held_until_ms = now_ms + reply->retry_ms; /* it asks for quiet, not for another event */
  item_failed(item, sub->last_error, reply->retry_ms);
}

/* Nobody was asked: the event stays where it is. */
static void push_untried(struct item *item, bool busy)
{
  struct feed_sub *sub = item->sub;
  int64_t now_ms = feed_mono_ms(sub->feed);

  breaker_untried(&sub->breaker);
  if (busy)
    sub->held_until_ms = now_ms + FEED_BUSY_MS;
  item_back(item, now_ms);
}

static void push_done(const struct http_reply *reply, void *arg)
{
  struct item *item = arg;
  struct feed_sub *sub = item->sub;
  struct feed *feed = sub->feed;

  sub->in_flight--;
  item->call = 0;
  sub->last_code = reply->status == PARLEY_OK ? reply->code : 0;
  if (reply_is_good(reply)) {
    push_good(item);
  } else if (reply->status == PARLEY_CANCELLED || reply->status == PARLEY_BUSY) {
    push_untried(item, reply->status == PARLEY_BUSY);
  } else if (reply->status == PARLEY_OK && reply->code == 410) {
    reply_why(reply, sub->last_error);
    sub_disable(sub, "http_410");
    push_untried(item, false);
  } else {
    push_bad(item, reply);
  }
  sub_go(sub);
  if (sub->removed)
    sub_save(sub, true);
  sub_over(sub);
  feed_close_go(feed);
}

void push_start(struct item *item)
{
  struct feed_sub *sub = item->sub;
  const struct feed_local *local = sub->conf->set.local;
  parley_bytes body = {item->event->at, item->event->len};

  item->state = ITEM_IN_FLIGHT;
  sub->in_flight++;
  if (local != NULL)
    local->take(item->seq, body, push_done, item, local->arg);
  else
    item->call = push_post(sub->feed, sub->conf, item->seq, body, push_done, item);
}

void push_cancel_all(struct feed_sub *sub)
{
  uint64_t key;
  void *value;

  for (size_t pos = 0; map_next(&sub->items, &pos, &key, &value);) {
    struct item *item = value;

    if (item->state == ITEM_IN_FLIGHT && item->call != 0) /* what is taken within this process ends soon */
      http_client_cancel(sub->feed->shared.http, item->call);
  }
}

/* --- A test ----------------------------------------------------------------------------------- */

struct push_test {
  struct feed *feed;
  void (*done)(uint32_t code, parley_text reason, void *arg);
  void *arg;
  bool unknown;
};

static void test_done(const struct http_reply *reply, void *arg)
{
  struct push_test *test = arg;
  struct feed *feed = test->feed;
  char why[FEED_ERROR_BYTES_MAX] = "unknown_subscription: there is none of this id";

  if (!test->unknown)
    reply_why(reply, why);
  test->done(reply->status == PARLEY_OK ? reply->code : 0, reply_is_good(reply) ? TEXT_EMPTY : parley_text_of(why),
             test->arg);
  free(test);
  feed->ops--;
  feed_close_go(feed);
}

/* An id of its own: of the present, with a counter no event has. */
static uint64_t test_id(const struct feed *feed)
{
  uint32_t random;

  feed->shared.env->random(feed->shared.env, &random, sizeof(random));
  return id_at(feed_now_ms(feed)) | (random & ((1u << (ID_NODE_BITS + ID_COUNTER_BITS)) - 1));
}

void feed_test(struct feed *feed, id64 subscription, void (*done)(uint32_t code, parley_text reason, void *arg),
               void *arg)
{
  struct feed_sub *sub = map_get(&feed->by_id, subscription);
  struct push_test *test = xcalloc(1, sizeof(*test));
  struct event_row row = {.seq = test_id(feed), .type = PARLEY_LIT("subscription.test"), .at_ms = feed_now_ms(feed)};
  struct sub_conf *nowhere;
  struct buf body = BUF_INIT(4096);

  *test = (struct push_test){.feed = feed, .done = done, .arg = arg, .unknown = sub == NULL};
  feed->ops++;
  buf_event(&body, &row);
  nowhere = sub == NULL ? sub_conf_new(&(struct subscription){.url = TEXT_EMPTY})
                        : NULL; /* so that done comes later all the same */
  push_post(feed, sub != NULL ? sub->conf : nowhere, row.seq, buf_as_text(&body), test_done, test);
  sub_conf_unref(&nowhere);
  buf_done(&body);
}
