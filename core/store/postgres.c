/* postgres.c - opening the store, connecting again, the lease, closing. Connections are made in libuv's pool (postgres_connect.c);
 * from then on they are the loop's. */
#include "postgres.h"
#include "fresh.h"
#include "core/base/text.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 250
#define HEARTBEAT_MS 5000      /* so long without a commit, and an empty round proves that we live */
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 5000
#define SILENT_TICKS (PG_ANSWER_MAX_MS / TICK_MS)
#define FULL_LOOK_MS 1000      /* so often a round shows whether the server has room again */

/* --- connections of the pool become the loop's ---------------------------------------------------------------------------------- */

static void on_link_lost(struct pg_link *link);

static void link_adopt(struct pg_store *store, struct pg_link *link, PGconn **conn)
{
  pg_link_close(link);
  pg_link_open(link, store, *conn);
  link->on_lost = on_link_lost;
  pg_link_watch(link, store->loop);
  *conn = NULL;
}

/* What stood when it began, and only that, has a new one. */
static void connecting_adopt(struct pg_connecting *connecting)
{
  struct pg_store *store = connecting->store;

  if (connecting->conns[0] != NULL)
    link_adopt(store, &store->writer, &connecting->conns[0]);
  for (size_t i = 0; i < PG_READERS; i++)
    if (connecting->conns[1 + i] != NULL)
      link_adopt(store, &store->readers[i].link, &connecting->conns[1 + i]);
}

/* --- lost and back ------------------------------------------------------------------------------------------------------------- */

void pg_accepting(struct pg_store *store, const char *why_not)
{
  struct store_gauges *gauges = &store->base.gauges;

  if (gauges->why_not == why_not)
    return;
  gauges->accepting = why_not == NULL;
  gauges->why_not = why_not;
  store_round_ended(store->base.front, gauges, 0);
}

void pg_refuse_takers(struct pg_store *store)
{
  struct list refused;

  list_init(&refused);
  for (struct list *at = store->waiting.next, *next; at != &store->waiting; at = next) {
    struct store_op *op = LIST_ITEM(at, struct store_op, link);

    next = at->next;
    if (!op_takes_in(op->kind) && !store->closing)
      continue;
    list_remove(at);
    op_ended(op, PARLEY_RETRY);
    list_push(&refused, at);
  }
  if (!list_empty(&refused))
    store_finish(store->base.front, &refused);
}

static void on_link_lost(struct pg_link *link)
{
  struct pg_store *store = link->store;

  if (!store->closing)
    log_line(store->base.log, PARLEY_ERROR, "event=store_lost who=%s why=\"%s\"", link == &store->writer ? "writer" : "reader",
             link->why);
  store->retry_ms = store->base.env->mono_ms(store->base.env);
  store->backoff_ms = BACKOFF_FIRST_MS;
  if (link != &store->writer)
    return;
  pg_accepting(store, "the database is not to be reached");
  pg_refuse_takers(store);
}

void pg_doubt_keep(struct pg_store *store, struct list *ops, struct round *round)
{
  struct list *item;

  log_line(store->base.log, PARLEY_WARN, "event=store_round_in_doubt round=%llu", (unsigned long long)store->round);
  while ((item = list_pop(ops)) != NULL)
    list_push(&store->doubted, item);
  fresh_clear(store->base.fresh);
  store->doubt = *round;
  *round = (struct round){0};
  store->doubted_round = store->round;
  store->in_doubt = true;
}

/* st: OK, it was committed; RETRY, it was not; CLOSED, nobody will know here. */
static void doubt_end(struct pg_store *store, parley_status st)
{
  struct round *doubt = &store->doubt;

  if (!store->in_doubt)
    return;
  store->in_doubt = false;
  if (st != PARLEY_OK) {
    round_give_seats_back(doubt);
    store->base.gauges.failed_rounds++;
    doubt->last_seq = 0;
  }
  for (struct list *at = store->doubted.next; at != &store->doubted; at = at->next)
    op_ended(LIST_ITEM(at, struct store_op, link), st);
  store_round_ended(store->base.front, &store->base.gauges, doubt->last_seq);
  store_finish(store->base.front, &store->doubted);
  round_done(doubt);
  *doubt = (struct round){0};
}

/* The database says whether our newest round is in it. */
static void writer_back(struct pg_store *store, const struct pg_connecting *connecting)
{
  log_line(store->base.log, PARLEY_INFO, "event=store_back in_doubt=%d round=%llu", store->in_doubt,
           (unsigned long long)connecting->session.number);
  store->host = connecting->host;
  doubt_end(store, connecting->session.number == store->doubted_round ? PARLEY_OK : PARLEY_RETRY);
  store->committed_ms = store->base.gauges.alive_ms = connecting->begun_ms;
  store->full = false;
  pg_accepting(store, NULL);
  store_round_ended(store->base.front, &store->base.gauges, 0);
}

static void connecting_failed(struct pg_store *store, const struct pg_connecting *connecting)
{
  bool taken = connecting->status == PARLEY_CLOSED;

  log_line(store->base.log, taken || connecting->status == PARLEY_REJECTED ? PARLEY_ERROR : PARLEY_WARN,
           "event=store_connect_failed why=\"%s\"", connecting->why.at);
  if (connecting->status == PARLEY_REJECTED)
    pg_accepting(store, "the database that answers lacks what was confirmed: see the log");
  else if (store->writer.lost)
    pg_accepting(store, "the database is not to be reached");
  if (taken)
    store_broke(store->base.front);
}

static void connecting_done(uv_work_t *work, int status)
{
  struct pg_connecting *connecting = container_of(work, struct pg_connecting, work);
  struct pg_store *store = connecting->store;
  bool usable = connecting->status == PARLEY_OK || connecting->status == PARLEY_RETRY;

  (void)status;
  store->connecting = NULL;
  if (store->closing) {
    pg_connecting_free(connecting);
    pg_closing_step(store);
    return;
  }
  if (connecting->wanted[0])
    store->session = connecting->session;
  if (connecting->status != PARLEY_OK)
    connecting_failed(store, connecting);
  if (usable && connecting->conns[0] != NULL) {
    connecting_adopt(connecting);
    writer_back(store, connecting);
    pg_round_beat(store);
  } else if (usable)
    connecting_adopt(connecting);
  pg_connecting_free(connecting);
  pg_read_try(store);
}

static void connecting_work(uv_work_t *work)
{
  pg_connecting_run(container_of(work, struct pg_connecting, work));
  OPENSSL_thread_stop(); /* what a password's hash has left to this thread of the pool: generators of random numbers */
}

static bool something_lost(const struct pg_store *store)
{
  bool lost = store->writer.conn == NULL || (store->writer.lost && !store->in_round);

  for (size_t i = 0; i < PG_READERS; i++)
    lost |= store->readers[i].link.conn == NULL || (store->readers[i].link.lost && !store->readers[i].busy);
  return lost;
}

static void reconnect(struct pg_store *store, int64_t mono_ms)
{
  if (store->connecting != NULL || store->closing || mono_ms < store->retry_ms || !something_lost(store))
    return;
  store->backoff_ms = store->backoff_ms * 2 < BACKOFF_MAX_MS ? store->backoff_ms * 2 : BACKOFF_MAX_MS;
  store->retry_ms = mono_ms + store->backoff_ms;
  store->connecting = pg_connecting_new(store);
  uv_queue_work(store->loop, &store->connecting->work, connecting_work, connecting_done);
}

/* --- the lease ----------------------------------------------------------------------------------------------------------------- */

/* Counted in ticks: a daemon that was frozen itself counts one. */
static void silence_count(struct pg_link *link)
{
  if (link->conn == NULL || link->lost)
    return;
  link->silent = pg_link_idle(link) ? 0 : link->silent + 1;
  if (link->silent > SILENT_TICKS)
    pg_link_give_up(link, link != &link->store->writer ? PG_SILENT
                                                       : PG_SILENT ": a commit may wait for a synchronous standby that is away"
                                                                   " (synchronous_standby_names)");
}

static bool beat_is_due(const struct pg_store *store, int64_t mono_ms)
{
  if (store->full)
    return mono_ms - store->full_look_ms >= FULL_LOOK_MS || mono_ms - store->committed_ms >= HEARTBEAT_MS;
  if (store->base.retention.behind && mono_ms >= store->base.retention.due_ms)
    return true;
  return mono_ms - store->committed_ms >= HEARTBEAT_MS;
}

static void on_tick(uv_timer_t *timer)
{
  struct pg_store *store = timer->data;
  int64_t mono_ms = store->base.env->mono_ms(store->base.env);

  silence_count(&store->writer);
  if (store->in_doubt && !store->writer.lost)
    pg_link_give_up(&store->writer, "the database ended the connection instead of answering a commit");
  for (size_t i = 0; i < PG_READERS; i++)
    silence_count(&store->readers[i].link);
  reconnect(store, mono_ms);
  if (!store->in_round && !store->closing && beat_is_due(store, mono_ms))
    pg_round_beat(store);
}

static void on_soon(uv_timer_t *timer)
{
  struct pg_store *store = timer->data;

  if (!store->in_round && !store->closing && beat_is_due(store, store->base.env->mono_ms(store->base.env)))
    pg_round_beat(store);
}

/* There is more to do than what ops bring along. A timer of its own: ticks count how long the server is silent. */
void pg_beat_soon(struct pg_store *store)
{
  if (store->soon != NULL && !store->closing)
    uv_timer_start(store->soon, on_soon, expire_wait_ms(&store->base), 0);
}

/* --- opening and closing ------------------------------------------------------------------------------------------------------- */

static const struct store_ways postgres_ways = {.next_seq = pg_next_seq,
                                                .timeline_add = pg_timeline_add,
                                                .timeline_tail = NULL,
                                                .timeline_recent = false,
                                                .idem_replayed = pg_idem_replayed,
                                                .idem_keep = pg_idem_keep,
                                                .shared = true,
                                                .lock = pg_lock,
                                                .lock_submission = pg_lock_submission,
                                                .op_is_snapshot = true,
                                                .backup = pg_backup,
                                                .media_piece = pg_media_piece,
                                                .sizes = pg_sizes,
                                                .space = pg_space};

static struct pg_store *store_new(const struct store_config *config, uv_loop_t *loop, const struct env *env, const struct log *log,
                                  struct store *front)
{
  struct pg_store *store = xcalloc(1, sizeof(*store));

  store->base = (struct store_base){.ways = &postgres_ways, .front = front, .env = env, .log = log, .config = *config};
  store->base.retention.keep = config->keep;
  store->base.fresh = fresh_new();
  store->base.gauges.accepting = true;
  store->loop = loop;
  store->url = xstrdup(config->url != NULL ? config->url : "");
  fiber_pool_init(&store->fibers);
  list_init(&store->idle_children);
  list_init(&store->waiting);
  list_init(&store->reading);
  list_init(&store->seq_waits);
  list_init(&store->doubted);
  pg_db_init(&store->conductor);
  for (size_t i = 0; i < PG_READERS; i++) {
    store->readers[i].reader = (struct reader){.store = &store->base, .db = &store->readers[i].db.base};
    pg_db_init(&store->readers[i].db);
  }
  return store;
}

/* Ids start above all that is stored; what is only counted in memory is counted. Still blocking: the loop does not run yet. */
static parley_status counts_read(struct pg_store *store, struct buf *reterr_why)
{
  struct pg_db *db = &store->conductor;
  id64 newest;

  pg_db_use(db, &store->writer, NULL);
  newest = newest_id(&db->base);
  store_recount(&store->base, &db->base);
  restored_open(&store->base, &db->base, newest);
  pg_link_sync(&store->writer);
  while (!store->writer.lost && !pg_link_idle(&store->writer))
    pg_link_wait(&store->writer);
  pg_db_leave(db);
  id_source_init(&store->base.ids, store->base.env, store->base.config.node, newest);
  if (store->writer.status == PARLEY_OK)
    return PARLEY_OK;
  buf_printf(reterr_why, "store: %s", store->writer.why);
  return PARLEY_FAILED;
}

static void on_tick_closed(uv_handle_t *handle)
{
  free(handle);
}

static void pg_free(void *impl)
{
  struct pg_store *store = impl;

  pg_link_close(&store->writer);
  for (size_t i = 0; i < PG_READERS; i++) {
    pg_link_close(&store->readers[i].link);
    pg_db_done(&store->readers[i].db);
  }
  pg_db_done(&store->conductor);
  pg_children_free(&store->idle_children);
  fiber_pool_done(&store->fibers);
  map_done(&store->locks.map);
  map_done(&store->locks.had);
  fresh_free(&store->base.fresh);
  map_done(&store->base.parked);
  retain_done(&store->base);
  if (store->tick != NULL) {
    uv_close((uv_handle_t *)store->tick, on_tick_closed);
    uv_close((uv_handle_t *)store->soon, on_tick_closed);
  }
  free(store->url);
  free(store);
}

static uv_timer_t *timer_new(struct pg_store *store)
{
  uv_timer_t *timer = xcalloc(1, sizeof(*timer));

  uv_timer_init(store->loop, timer);
  timer->data = store;
  uv_unref((uv_handle_t *)timer);
  return timer;
}

static void timers_start(struct pg_store *store)
{
  store->tick = timer_new(store);
  store->soon = timer_new(store);
  uv_timer_start(store->tick, on_tick, TICK_MS, TICK_MS);
}

static parley_status pg_open(const struct store_config *config, uv_loop_t *loop, const struct env *env, const struct log *log,
                             struct store *front, void **ret, struct buf *reterr_why)
{
  struct pg_store *store = store_new(config, loop, env, log, front);
  struct pg_connecting *connecting = pg_connecting_new(store);
  parley_status st;

  pg_connecting_run(connecting);
  st = connecting->status;
  if (st == PARLEY_OK) {
    store->session = connecting->session;
    store->base.session = store->session.id;
    store->host = connecting->host;
    connecting_adopt(connecting);
    st = counts_read(store, reterr_why);
  } else
    buf_text(reterr_why, buf_as_text(&connecting->why));
  pg_connecting_free(connecting);
  if (st != PARLEY_OK) {
    pg_free(store);
    return PARLEY_FAILED;
  }
  store->committed_ms = store->base.gauges.alive_ms = env->mono_ms(env);
  timers_start(store);
  *ret = store;
  return PARLEY_OK;
}

static void pg_write(void *impl, struct store_op *op)
{
  struct pg_store *store = impl;

  list_push(&store->waiting, &op->link);
}

static void pg_written(void *impl)
{
  struct pg_store *store = impl;

  if (store->writer.lost || store->writer.conn == NULL || store->full)
    pg_refuse_takers(store);
  pg_round_try(store);
}

static void pg_read(void *impl, struct store_op *op)
{
  struct pg_store *store = impl;

  list_push(&store->reading, &op->link);
  pg_read_try(store);
}

void pg_closing_step(struct pg_store *store)
{
  if (!store->closing || store->closed_told || store->in_round || store->connecting != NULL)
    return;
  for (size_t i = 0; i < PG_READERS; i++)
    if (store->readers[i].busy)
      return;
  if (store->writer.lost)
    pg_refuse_takers(store);
  doubt_end(store, PARLEY_CLOSED);
  if (!list_empty(&store->waiting) || !list_empty(&store->reading))
    return;
  store->closed_told = true;
  store_closed(store->base.front);
}

static void pg_close(void *impl)
{
  struct pg_store *store = impl;

  store->closing = true;
  pg_round_try(store);
  pg_read_try(store);
  pg_closing_step(store);
}

static const uint8_t *pg_secret(const void *impl)
{
  return ((const struct pg_store *)impl)->base.secret;
}

static const struct store_restored *pg_restored(const void *impl)
{
  return &((const struct pg_store *)impl)->base.restored;
}

/* --- a look from outside ------------------------------------------------------------------------------------------------------- */

/* Its version, or why it is not to be looked at. */
static parley_status look_schema(PGconn *conn, int64_t *ret_schema, struct buf *reterr_why)
{
  PGresult *result = PQexec(conn, "SET statement_timeout=0; SET idle_in_transaction_session_timeout=0;"
                                  " SET enable_nestloop=off; SET work_mem='64MB';" /* whole tables against each other */
                                  " SELECT version FROM parley_schema");

  *ret_schema = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
  PQclear(result);
  if (*ret_schema == STORE_SCHEMA_VERSION)
    return PARLEY_OK;
  if (*ret_schema == 0)
    buf_str(reterr_why, "store: the database holds no store of Parley's");
  else
    buf_printf(reterr_why, "store: the database has schema %lld, this program reads %d: %s", (long long)*ret_schema,
               STORE_SCHEMA_VERSION, schema_remedy(*ret_schema));
  return PARLEY_FAILED;
}

static parley_status look_at(struct pg_store *store, store_look_fn *look, void *arg, struct buf *reterr_why)
{
  struct pg_db *db = &store->conductor;
  parley_status st;

  pg_db_use(db, &store->writer, NULL);
  pg_command(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  pg_db_settle(db);
  look(&db->base, false, arg);
  st = db->base.status;
  if (st != PARLEY_OK)
    buf_printf(reterr_why, "store: %s", db->base.why);
  pg_db_leave(db);
  return st == PARLEY_OK ? PARLEY_OK : PARLEY_FAILED;
}

static parley_status pg_look(const struct store_config *config, const struct env *env, store_look_fn *look, void *arg,
                             int64_t *ret_schema, struct buf *reterr_why)
{
  struct pg_store *store = store_new(config, NULL, env, NULL, NULL);
  PGconn *conn = pg_connect(store->url, reterr_why);
  parley_status st = PARLEY_FAILED;

  if (conn != NULL && pg_tune(conn, reterr_why) && look_schema(conn, ret_schema, reterr_why) == PARLEY_OK) {
    pg_link_open(&store->writer, store, conn);
    store->writer.patient = true;
    conn = NULL;
    st = look_at(store, look, arg, reterr_why);
  }
  if (conn != NULL)
    PQfinish(conn);
  pg_free(store);
  return st;
}

const struct store_driver store_driver_postgres = {
    .name = "postgres",
    .leased = true,
    .open = pg_open,
    .write = pg_write,
    .written = pg_written,
    .read = pg_read,
    .close = pg_close,
    .free = pg_free,
    .secret = pg_secret,
    .restored = pg_restored,
    .look = pg_look,
    .reach = pg_reach,
};
