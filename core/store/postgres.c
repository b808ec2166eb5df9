/* postgres.c - opening the store, connecting again, the lease, closing. Connections are made in libuv's pool: libpq resolves names
 * and shakes hands by blocking calls; from then on they are the loop's. */
#include "postgres.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 250
#define HEARTBEAT_MS 5000      /* so long without a commit, and an empty round proves that we live */
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 5000
#define CONNECT_TIMEOUT "5"    /* s, of each host */
#define TCP_TIMEOUT "10000"    /* ms without an acknowledged byte: the connection is given up */
#define STATEMENT_TIMEOUT_MS 20000
#define IDLE_TIMEOUT_MS 30000  /* of an open transaction: a daemon that froze in one holds the counter's row */

/* --- one connection ------------------------------------------------------------------------------------------------------------- */

struct option { const char *name, *value; };
/* What the URL does not say. 34.1.2 Parameter Key Words. */
static const struct option defaults[] = {{"application_name", "parleyd"}, {"client_encoding", "UTF8"},
                                         {"connect_timeout", CONNECT_TIMEOUT}, {"target_session_attrs", "read-write"},
                                         {"tcp_user_timeout", TCP_TIMEOUT}, {"keepalives_idle", "5"},
                                         {"keepalives_interval", "2"}, {"keepalives_count", "3"}};

static bool is_given(const PQconninfoOption *options, const char *name)
{
  for (; options->keyword != NULL; options++)
    if (strcmp(options->keyword, name) == 0)
      return options->val != NULL;
  return false;
}

static void no_notice(void *arg, const char *message)
{
  (void)arg;
  (void)message; /* notices are for a person at a terminal */
}

PGconn *pg_connect(const char *url, struct buf *reterr_why)
{
  const char *names[COUNT_OF(defaults) + 2] = {"dbname"}, *values[COUNT_OF(defaults) + 2] = {url};
  char *error = NULL;
  PQconninfoOption *options = PQconninfoParse(url, &error);
  size_t n = 1;
  PGconn *conn;

  if (options == NULL) { /* libpq's words quote the URL, with the password: ours don't */
    buf_str(reterr_why, "store.url is no PostgreSQL connection URI (postgresql://user@host/database) or key=value string");
    PQfreemem(error);
    return NULL;
  }
  for (size_t i = 0; i < COUNT_OF(defaults); i++)
    if (!is_given(options, defaults[i].name)) {
      names[n] = defaults[i].name;
      values[n++] = defaults[i].value;
    }
  PQconninfoFree(options);
  conn = PQconnectdbParams(names, values, 1);
  PQsetNoticeProcessor(conn, no_notice, NULL);
  if (PQstatus(conn) == CONNECTION_OK)
    return conn;
  buf_printf(reterr_why, "store: %.*s", (int)strcspn(PQerrorMessage(conn), "\n"), PQerrorMessage(conn));
  PQfinish(conn);
  return NULL;
}

static bool command(PGconn *conn, const char *sql, struct buf *reterr_why)
{
  PGresult *result = PQexec(conn, sql);
  ExecStatusType status = PQresultStatus(result);

  PQclear(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
    return true;
  buf_printf(reterr_why, "store: %.*s", (int)strcspn(PQerrorMessage(conn), "\n"), PQerrorMessage(conn));
  return false;
}

/* A commit that is not flushed is none of ours: `off` is turned on, stricter words stay. Each of our statements finds its rows by an
 * index, a few at a time; a plan that was made while a table was small, and is kept, must not walk it when it has grown. */
static bool tune(PGconn *conn, struct buf *reterr_why)
{
  char sql[512];

  snprintf(sql, sizeof(sql), "SET statement_timeout=%d; SET idle_in_transaction_session_timeout=%d; SET lock_timeout=%d;"
                             " SET plan_cache_mode=force_generic_plan; SET jit=off; SET enable_seqscan=off;"
                             " SET enable_hashjoin=off; SET enable_mergejoin=off;"
                             " SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')='off'",
           STATEMENT_TIMEOUT_MS, IDLE_TIMEOUT_MS, STATEMENT_TIMEOUT_MS);
  return command(conn, sql, reterr_why);
}

/* --- connecting in the pool ---------------------------------------------------------------------------------------------------- */

struct pg_connecting {
  uv_work_t work;
  struct pg_store *store;
  char *url;
  bool wanted[1 + PG_READERS]; /* the writer, the readers */
  PGconn *conns[1 + PG_READERS];
  int64_t round; /* of our session, as the database has it */
  struct buf why;
  parley_status status;
};

static parley_status connecting_writer(struct pg_connecting *connecting, PGconn *conn)
{
  parley_status st = pg_schema_open(conn, connecting->store, &connecting->why);

  if (st == PARLEY_OK)
    st = pg_session_begin(conn, connecting->store, &connecting->why);
  if (st == PARLEY_OK)
    st = pg_marks_open(conn, connecting->store, &connecting->why);
  if (st == PARLEY_OK)
    connecting->round = pg_session_round(conn, connecting->store);
  return st;
}

static void connecting_run(struct pg_connecting *connecting)
{
  connecting->status = PARLEY_OK;
  for (size_t i = 0; i < COUNT_OF(connecting->conns) && connecting->status == PARLEY_OK; i++) {
    if (!connecting->wanted[i])
      continue;
    connecting->conns[i] = pg_connect(connecting->url, &connecting->why);
    if (connecting->conns[i] == NULL || !tune(connecting->conns[i], &connecting->why))
      connecting->status = PARLEY_RETRY;
    else if (i == 0)
      connecting->status = connecting_writer(connecting, connecting->conns[i]);
  }
}

static void connecting_work(uv_work_t *work)
{
  connecting_run(container_of(work, struct pg_connecting, work));
}

static struct pg_connecting *connecting_new(struct pg_store *store)
{
  struct pg_connecting *connecting = xcalloc(1, sizeof(*connecting));

  connecting->store = store;
  connecting->url = xstrdup(store->url);
  connecting->why = (struct buf)BUF_INIT(1024);
  connecting->wanted[0] = store->writer.conn == NULL || store->writer.lost;
  for (size_t i = 0; i < PG_READERS; i++)
    connecting->wanted[1 + i] = store->readers[i].link.conn == NULL || store->readers[i].link.lost;
  return connecting;
}

static void connecting_free(struct pg_connecting *connecting)
{
  for (size_t i = 0; i < COUNT_OF(connecting->conns); i++)
    if (connecting->conns[i] != NULL)
      PQfinish(connecting->conns[i]);
  buf_done(&connecting->why);
  free(connecting->url);
  free(connecting);
}

static void on_link_lost(struct pg_link *link);

static void link_adopt(struct pg_store *store, struct pg_link *link, PGconn **conn)
{
  pg_link_close(link);
  link->on_lost = on_link_lost;
  pg_link_open(link, store, *conn);
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

static void accepting_set(struct pg_store *store, bool accepting)
{
  struct store_gauges *gauges = &store->base.gauges;

  if (gauges->accepting == accepting)
    return;
  gauges->accepting = accepting;
  gauges->why_not = accepting ? NULL : "the database is not to be reached";
  store_round_ended(store->base.front, gauges, 0);
}

static void refuse_takers(struct pg_store *store)
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
  accepting_set(store, false);
  refuse_takers(store);
}

void pg_doubt_keep(struct pg_store *store, struct list *ops, struct round *round)
{
  struct list *item;

  log_line(store->base.log, PARLEY_WARN, "event=store_round_in_doubt round=%llu", (unsigned long long)store->round);
  while ((item = list_pop(ops)) != NULL)
    list_push(&store->doubted, item);
  store->doubt = *round;
  *round = (struct round){0};
  store->in_doubt = true;
}

/* The database says whether our newest round is in it. */
static void doubt_end(struct pg_store *store, bool committed)
{
  struct round *doubt = &store->doubt;

  if (!store->in_doubt)
    return;
  store->in_doubt = false;
  if (!committed) {
    round_give_seats_back(doubt);
    store->base.gauges.failed_rounds++;
    doubt->last_seq = 0;
  }
  for (struct list *at = store->doubted.next; at != &store->doubted; at = at->next)
    op_ended(LIST_ITEM(at, struct store_op, link), committed ? PARLEY_OK : PARLEY_RETRY);
  store_round_ended(store->base.front, &store->base.gauges, doubt->last_seq);
  store_finish(store->base.front, &store->doubted);
  round_done(doubt);
  *doubt = (struct round){0};
}

static void writer_back(struct pg_store *store, int64_t round)
{
  log_line(store->base.log, PARLEY_INFO, "event=store_back in_doubt=%d", store->in_doubt);
  doubt_end(store, round == (int64_t)store->round);
  store->committed_ms = store->base.env->mono_ms(store->base.env);
  store->base.gauges.alive_ms = store->committed_ms;
  accepting_set(store, true);
  store_round_ended(store->base.front, &store->base.gauges, 0);
}

static void connecting_done(uv_work_t *work, int status)
{
  struct pg_connecting *connecting = container_of(work, struct pg_connecting, work);
  struct pg_store *store = connecting->store;
  bool writer = connecting->status == PARLEY_OK && connecting->conns[0] != NULL;

  (void)status;
  store->connecting = NULL;
  if (store->closing) {
    connecting_free(connecting);
    pg_closing_step(store);
    return;
  }
  if (connecting->status != PARLEY_OK)
    log_line(store->base.log, PARLEY_WARN, "event=store_connect_failed why=\"%s\"", connecting->why.at);
  else
    connecting_adopt(connecting);
  if (writer)
    writer_back(store, connecting->round);
  connecting_free(connecting);
  pg_round_try(store);
  pg_read_try(store);
}

static bool something_lost(const struct pg_store *store)
{
  bool lost = store->writer.conn == NULL || store->writer.lost;

  for (size_t i = 0; i < PG_READERS; i++)
    lost |= store->readers[i].link.conn == NULL || (store->readers[i].link.lost && !store->readers[i].busy);
  return lost && !store->in_round;
}

static void reconnect(struct pg_store *store, int64_t mono_ms)
{
  if (store->connecting != NULL || store->closing || mono_ms < store->retry_ms || !something_lost(store))
    return;
  store->backoff_ms = store->backoff_ms * 2 < BACKOFF_MAX_MS ? store->backoff_ms * 2 : BACKOFF_MAX_MS;
  store->retry_ms = mono_ms + store->backoff_ms;
  store->connecting = connecting_new(store);
  uv_queue_work(store->loop, &store->connecting->work, connecting_work, connecting_done);
}

/* --- the lease ----------------------------------------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
  struct pg_store *store = timer->data;
  int64_t mono_ms = store->base.env->mono_ms(store->base.env);

  reconnect(store, mono_ms);
  if (store->in_round || store->closing || mono_ms - store->committed_ms < HEARTBEAT_MS)
    return;
  pg_round_beat(store);
}

/* --- opening and closing ------------------------------------------------------------------------------------------------------- */

static const struct store_ways postgres_ways = {.next_seq = pg_next_seq,
                                                .timeline_add = pg_timeline_add,
                                                .timeline_tail = NULL,
                                                .timeline_recent = false,
                                                .idem_replayed = pg_idem_replayed,
                                                .idem_keep = pg_idem_keep,
                                                .idem_expire = pg_idem_expire,
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
  retain_done(&store->base);
  if (store->tick != NULL)
    uv_close((uv_handle_t *)store->tick, on_tick_closed);
  free(store->url);
  free(store);
}

static void tick_start(struct pg_store *store)
{
  store->tick = xcalloc(1, sizeof(*store->tick));
  uv_timer_init(store->loop, store->tick);
  store->tick->data = store;
  uv_timer_start(store->tick, on_tick, TICK_MS, TICK_MS);
  uv_unref((uv_handle_t *)store->tick);
}

static parley_status pg_open(const struct store_config *config, uv_loop_t *loop, const struct env *env, const struct log *log,
                             struct store *front, void **ret, struct buf *reterr_why)
{
  struct pg_store *store = store_new(config, loop, env, log, front);
  struct pg_connecting *connecting = connecting_new(store);
  parley_status st;

  connecting_run(connecting);
  st = connecting->status;
  if (st == PARLEY_OK) {
    connecting_adopt(connecting);
    st = counts_read(store, reterr_why);
  } else
    buf_text(reterr_why, buf_as_text(&connecting->why));
  connecting_free(connecting);
  if (st != PARLEY_OK) {
    pg_free(store);
    return PARLEY_FAILED;
  }
  store->committed_ms = store->base.gauges.alive_ms = env->mono_ms(env);
  tick_start(store);
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

  if (store->writer.lost || store->writer.conn == NULL)
    refuse_takers(store);
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
    refuse_takers(store);
  doubt_end(store, false);
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
  pg_command(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", true);
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

  if (conn != NULL && tune(conn, reterr_why) && look_schema(conn, ret_schema, reterr_why) == PARLEY_OK) {
    pg_link_open(&store->writer, store, conn);
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
};
