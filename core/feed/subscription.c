/* Subscriptions: set, changed and taken away while pushes and reads are under way; what one of them may start now. */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "feed_in.h"
#include <stdlib.h>
#include <string.h>

id64 feed_id_of(const char *what, parley_text name)
{
  struct buf words = BUF_INIT(256);
  uint8_t digest[SHA256_BYTES];
  uint64_t id;

  buf_str(&words, what);
  buf_char(&words, ' ');
  buf_text(&words, name);
  sha256(buf_as_text(&words), digest);
  buf_done(&words);
  memcpy(&id, digest, sizeof id);
  id &= INT64_MAX;
  return id != 0 ? id : 1;
}

/* --- What it is set to ------------------------------------------------------------------------ */

static bool keys_read(const struct subscription *set, struct standard_webhooks_keys *ret)
{
  struct buf secrets = BUF_INIT(4096);
  bool ok;

  for (size_t i = 0; i < set->n_secrets; i++) {
    if (i > 0)
      buf_char(&secrets, ' ');
    buf_text(&secrets, set->secrets[i]);
  }
  ok = !secrets.overflow && standard_webhooks_keys_read(buf_as_text(&secrets), ret);
  buf_done(&secrets);
  return ok;
}

struct sub_conf *sub_conf_new(const struct subscription *from)
{
  struct sub_conf *conf = xcalloc(1, sizeof(*conf));
  struct subscription *set = &conf->set;

  conf->refs = 1;
  conf->arena = arena_new();
  *set = *from;
  set->name = arena_text(conf->arena, from->name);
  set->url = arena_text(conf->arena, from->url);
  set->filter_channel = arena_text(conf->arena, from->filter_channel);
  set->filter_topic = arena_text(conf->arena, from->filter_topic);
  for (size_t i = 0; i < set->n_types; i++)
    set->types[i] = arena_text(conf->arena, from->types[i]);
  conf->keyed = from->local != NULL || keys_read(from, &conf->keys);
  set->n_secrets = 0; /* the keys are enough */
  memset(set->secrets, 0, sizeof(set->secrets));
  return conf;
}

struct sub_conf *sub_conf_ref(struct sub_conf *conf)
{
  conf->refs++;
  return conf;
}

void sub_conf_unref(struct sub_conf **ref)
{
  struct sub_conf *conf = *ref;

  *ref = NULL;
  if (conf == NULL || --conf->refs > 0)
    return;
  standard_webhooks_keys_done(&conf->keys);
  arena_free(&conf->arena);
  free(conf);
}

/* --- Coming, changing, going ------------------------------------------------------------------ */

static void sub_on_go(struct follower *follower)
{
  sub_go(container_of(follower, struct feed_sub, follower));
}

static bool sub_on_take(struct follower *follower, const struct event_row *row, struct feed_event **event)
{
  return sub_take(container_of(follower, struct feed_sub, follower), row, event);
}

static const struct follower_kind sub_follower = {.take = sub_on_take, .go = sub_on_go};

static struct feed_sub *sub_new(struct feed *feed, id64 id)
{
  struct feed_sub *sub = xcalloc(1, sizeof(*sub));

  sub->feed = feed;
  sub->id = id;
  sub->follower.kind = &sub_follower;
  sub->next_due_ms = sub->save_at_ms = FEED_NEVER;
  sub->start = !feed->learned ? 0 : feed->newest != 0 ? feed->newest : 1; /* 1: before the very first event */
  list_init(&sub->open);
  list_init(&sub->dirty);
  list_init(&sub->ready);
  list_init(&sub->unread);
  list_init(&sub->waiting);
  list_push(&feed->subs, &sub->link);
  follower_add(feed, &sub->follower);
  return sub;
}

void sub_free(struct feed_sub *sub)
{
  struct feed *feed = sub->feed;

  if (!list_empty(&sub->follower.link))
    follower_drop(feed, &sub->follower);
  sub_empty(sub);
  map_done(&sub->dropped);
  list_remove(&sub->link);
  sub_conf_unref(&sub->conf);
  free(sub);
}

void sub_over(struct feed_sub *sub)
{
  if (sub->removed && sub->in_flight == 0 && !sub->loading && !sub->reading && !sub->reading_rows && !sub->moving &&
      !sub->replaying)
    sub_free(sub);
}

static void sub_set(struct feed_sub *sub, const struct subscription *set)
{
  struct sub_conf *old = sub->conf, *conf = sub_conf_new(set);
  char name[64];

  if (old == NULL || !text_eq(old->set.url, conf->set.url)) {
    sub->breaker = (struct breaker){0};
    sub->held_until_ms = 0;
  }
  sub->conf = conf;
  sub_conf_unref(&old);
  follower_types_set(sub->feed, &sub->follower, conf->set.types, conf->set.n_types);
  sub->off = set->disabled;
  if (!conf->keyed && !set->disabled) {
    sub->off = true;
    log_line(sub->feed->shared.log, PARLEY_ERROR, "event=subscription_disabled subscription=%s why=bad_secret",
             log_safe(name, sizeof(name), set->name));
  }
}

/* One that was taken away and has not come to its end yet goes on: it knows more than the store. */
static struct feed_sub *sub_leaving(struct feed *feed, id64 id)
{
  for (struct list *at = feed->subs.next; at != &feed->subs; at = at->next) {
    struct feed_sub *sub = LIST_ITEM(at, struct feed_sub, link);

    if (sub->id == id && sub->removed) {
      sub->removed = false;
      follower_add(feed, &sub->follower);
      return sub;
    }
  }
  return NULL;
}

void feed_subscribe(struct feed *feed, const struct subscription *subscription)
{
  struct feed_sub *sub = map_get(&feed->by_id, subscription->id);

  if (feed->closing)
    return;
  if (sub == NULL) {
    sub = sub_leaving(feed, subscription->id);
    if (sub == NULL)
      sub = sub_new(feed, subscription->id);
    map_put(&feed->by_id, subscription->id, sub);
    feed->hold_due = true;
  }
  sub_set(sub, subscription);
  sub_go(sub);
  feed_hold_go(feed);
}

void feed_unsubscribe(struct feed *feed, id64 subscription)
{
  struct feed_sub *sub = map_take(&feed->by_id, subscription);

  if (sub == NULL)
    return;
  sub->removed = true;
  sub->follower.live = false;
  follower_drop(feed, &sub->follower);
  push_cancel_all(sub);
  sub_save(sub, true);
  sub_over(sub);
  feed->hold_due = true;
  feed_hold_go(feed);
}

void sub_disable(struct feed_sub *sub, const char *why)
{
  char id[ID_TEXT_MAX];

  if (sub->off)
    return;
  sub->off = true;
  id_format("sub", sub->id, id);
  log_line(sub->feed->shared.log, PARLEY_WARN, "event=subscription_disabled subscription=%s why=%s", id, why);
  if (sub->feed->shared.disabled != NULL)
    sub->feed->shared.disabled(sub->id, sub->feed->shared.arg);
}

/* --- What can start now ----------------------------------------------------------------------- */

static void sub_start(struct feed_sub *sub)
{
  struct feed *feed = sub->feed;

  if (!sub->loaded) {
    sub_load(sub);
    return;
  }
  if (sub->follower.position == 0 && feed->learned) { /* a new one: from the log's end on, and the store shall know */
    sub->follower.position = sub->start != 0 ? sub->start : feed->newest != 0 ? feed->newest : 1;
    sub_save_soon(sub, 0);
  }
}

static void sub_push(struct feed_sub *sub)
{
  int64_t now_ms = feed_mono_ms(sub->feed);

  if (sub->feed->held)
    return;
  if (sub->held_until_ms > now_ms) {
    feed_wake_at(sub->feed, sub->held_until_ms);
    return;
  }
  sub->held_until_ms = 0;
  while (sub->in_flight < FEED_IN_FLIGHT_MAX && sub->held_until_ms == 0 && !sub->off && !list_empty(&sub->ready)) {
    struct queue *queue = LIST_ITEM(sub->ready.next, struct queue, link);

    if (!breaker_allows(&sub->breaker, now_ms)) {
      if (breaker_open_until_ms(&sub->breaker) > now_ms) /* else its probe is out, and its answer wakes us */
        feed_wake_at(sub->feed, breaker_open_until_ms(&sub->breaker));
      return;
    }
    list_remove(&queue->link);
    queue->busy = true;
    push_start(LIST_ITEM(queue->items.next, struct item, in_queue));
  }
}

void sub_go(struct feed_sub *sub)
{
  struct feed *feed = sub->feed;

  if (feed->closing || sub->removed)
    return;
  sub_start(sub);
  if (!sub->loaded || sub->follower.position == 0)
    return;
  if (!sub->off) {
    sub_promote(sub);
    sub_push(sub);
    sub_read_rows(sub);
    sub_read_log(sub);
  } else {
    sub->follower.live = false;
  }
  if (sub->save_at_ms == FEED_NEVER && sub_cursor(sub) != sub->saved)
    sub_save_soon(sub, FEED_SAVE_IDLE_MS); /* events only passed by */
  sub_save(sub, false);
  feed_wake_at(feed, sub->next_due_ms);
  feed_wake_at(feed, sub_save_at_ms(sub));
}

bool feed_state(const struct feed *feed, id64 subscription, struct feed_state *ret)
{
  const struct feed_sub *sub = map_get(&feed->by_id, subscription);
  uint64_t cursor;

  if (sub == NULL)
    return false;
  cursor = sub->follower.position != 0 ? sub_cursor(sub) : 0;
  *ret = (struct feed_state){.disabled = sub->off,
                             .waiting = sub->n_open,
                             .pending = sub->n_stored,
                             .in_flight = sub->in_flight,
                             .pushed = sub->pushed,
                             .failed = sub->failed,
                             .dead = sub->dead,
                             .cursor = cursor,
                             .last_code = sub->last_code,
                             .last_good_ms = sub->last_good_ms,
                             .last_bad_ms = sub->last_bad_ms,
                             .last_error = parley_text_of(sub->last_error)};
  if (breaker_open_until_ms(&sub->breaker) > feed_mono_ms(feed))
    ret->open_for_ms = breaker_open_until_ms(&sub->breaker) - feed_mono_ms(feed);
  if (cursor > 1 && cursor < feed->newest)
    ret->lag_ms = id_time_ms(feed->newest) - id_time_ms(cursor);
  return true;
}
