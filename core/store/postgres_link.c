/* postgres_link.c - one connection in pipeline mode: what waits is gathered, sent, and its answers are handed to whoever waits.
 *
 * Order     rows to be written leave before questions. Of one table the plain inserts go first, then the updates: no insert
 *           depends on an update of another row, and an update of a row that is inserted in the same flush comes after it. What
 *           is neither (PG_OTHER, a second row of one key) first sends what waits for its table, then itself. */
#include "postgres.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_ROWS_MAX 64 /* then it leaves at once: the server writes while we go on */
#define BATCH_BYTES_MAX ((size_t)4 << 20) /* of one parameter */
#define ARRAY_HEAD_BYTES 20 /* dimensions, has-null, element type, length, lower bound: int32 each (array_send) */
#define ASK_MANY_MAX 512

/* --- what was sent ---------------------------------------------------------------------------------------------------------- */

enum sent_what { SENT_PREPARE, SENT_WRITE, SENT_ASK, SENT_COMMIT, SENT_SYNC };
struct pg_sent {
  struct list link;
  enum sent_what what;
  const struct pg_known *known; /* for its words; NULL: a plain command */
  bool *prepared;               /* PREPARE: false again, when the server has not done it */
  struct pg_db *db;             /* WRITE of PG_OTHER and plain commands: who is told; or NULL */
  size_t n_asks;
  struct pg_stmt **asks; /* ASK: one, or those of one statement, in the order of their rows */
};

static struct pg_sent *sent_add(struct pg_link *link, enum sent_what what, const struct pg_known *known)
{
  struct pg_sent *sent = xcalloc(1, sizeof(*sent));

  sent->what = what;
  sent->known = known;
  link->unflushed = true;
  list_push(&link->sent, &sent->link);
  return sent;
}

static void sent_free(struct pg_sent *sent)
{
  free(sent->asks);
  free(sent);
}

/* --- errors -------------------------------------------------------------------------------------------------------------------- */

void pg_link_fail(struct pg_link *link, parley_status status, const char *why)
{
  if (link->status != PARLEY_OK)
    return;
  link->status = status;
  snprintf(link->why, sizeof(link->why), "%s", why);
  for (struct list *at = link->dbs.next; at != &link->dbs; at = at->next) {
    struct pg_db *db = LIST_ITEM(at, struct pg_db, link);

    db->base.status = status;
    snprintf(db->base.why, sizeof(db->base.why), "%s", why);
  }
}

/* PostgreSQL 15, appendix A: what heals by itself or by being tried again. */
static parley_status status_of(const char *sqlstate)
{
  static const char *const again[] = {"08", "53", "57", "40", "55", "23", "25", "58"};

  for (size_t i = 0; i < COUNT_OF(again); i++)
    if (strncmp(sqlstate, again[i], 2) == 0)
      return PARLEY_RETRY;
  return PARLEY_FAILED;
}

static void result_failed(struct pg_link *link, const PGresult *result, const struct pg_sent *sent)
{
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE), *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  char why[PG_WHY_BYTES];

  if (link->status != PARLEY_OK)
    return;
  snprintf(link->sqlstate, sizeof(link->sqlstate), "%s", state != NULL ? state : "08000");
  snprintf(why, sizeof(why), "%s (%s) at '%.60s'", text != NULL ? text : "the connection was lost", link->sqlstate,
           sent->known != NULL ? sent->known->text.one.at : "a command");
  pg_link_fail(link, status_of(link->sqlstate), why);
}

/* --- who goes on --------------------------------------------------------------------------------------------------------------- */

void pg_link_ready(struct pg_link *link, struct pg_db *db)
{
  if (!db->waits)
    return;
  db->waits = false;
  list_push(&link->ready, &db->ready);
}

/* Those who got what they waited for; what they want next is put down, and leaves together. */
static void ready_run(struct pg_link *link)
{
  struct list *item;

  while ((item = list_pop(&link->ready)) != NULL)
    fiber_resume(LIST_ITEM(item, struct pg_db, ready)->fiber);
}

/* libpq closes its socket as soon as it finds the connection broken, and another one may get its number: the loop watches a number of
 * our own. */
struct watched { uv_poll_t poll; int fd; };

static int fd_of(uv_poll_t *poll)
{
  return container_of(poll, struct watched, poll)->fd;
}

static void link_lost(struct pg_link *link)
{
  struct list *item;

  if (link->lost)
    return;
  link->lost = true;
  pg_link_fail(link, PARLEY_RETRY, "the connection to the database was lost");
  if (link->poll != NULL) {
    uv_poll_stop(link->poll);
    shutdown(fd_of(link->poll), SHUT_RDWR); /* the server need not find out by itself */
  }
  while ((item = list_pop(&link->sent)) != NULL) {
    struct pg_sent *sent = LIST_ITEM(item, struct pg_sent, link);

    if (sent->db != NULL)
      sent->db->n_open--; /* nobody will tell of it; its db goes on to another connection */
    sent_free(sent);
  }
  for (struct list *at = link->dbs.next; at != &link->dbs; at = at->next)
    pg_link_ready(link, LIST_ITEM(at, struct pg_db, link));
  ready_run(link);
  if (link->on_lost != NULL)
    link->on_lost(link);
}

void pg_link_give_up(struct pg_link *link, const char *why)
{
  if (link->lost)
    return;
  pg_link_fail(link, PARLEY_RETRY, why);
  link_lost(link);
}

/* --- sending ------------------------------------------------------------------------------------------------------------------- */

struct args { /* of one PQsendQueryPrepared() */
  const char *values[PG_PARAMS_MAX];
  int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
};

static void arg_put(struct args *args, int at, const char *bytes, size_t len)
{
  args->values[at] = bytes;
  args->lengths[at] = (int)len;
  args->formats[at] = 1;
}

static void oids_of(const struct pg_known *known, bool many, Oid *ret)
{
  for (int i = 0; i < known->text.n_params; i++) {
    ret[i] = known->types[i];
    if (many)
      ret[i] = known->types[i] == PG_INT8 ? 1016 : known->types[i] == PG_TEXT ? 1009 : 1001; /* their array types */
  }
}

/* What cannot be sent is answered by nobody: the next flush, which is in no fiber, gives the connection up. */
static bool sent_or_fails(struct pg_link *link, int sent)
{
  link->unsendable |= sent != 1;
  return sent == 1;
}

static void prepare(struct pg_link *link, struct pg_known *known, bool many)
{
  bool *done = many ? &known->prepared_many : &known->prepared;
  struct buf sql = BUF_INIT(0);
  Oid oids[PG_PARAMS_MAX];
  char name[24];

  if (*done)
    return;
  *done = true;
  oids_of(known, many, oids);
  if (many)
    pg_text_many(&known->text, known->types, &sql);
  snprintf(name, sizeof(name), "%s%s", known->name, many ? "m" : "");
  if (sent_or_fails(link, PQsendPrepare(link->conn, name, many ? sql.at : known->text.one.at, known->text.n_params, oids)))
    sent_add(link, SENT_PREPARE, known)->prepared = done;
  buf_done(&sql);
}

static bool send_known(struct pg_link *link, struct pg_known *known, bool many, const struct args *args)
{
  Oid oids[PG_PARAMS_MAX];
  char name[24];

  if (!known->kept) {
    oids_of(known, false, oids);
    return sent_or_fails(link, PQsendQueryParams(link->conn, known->text.one.at, known->text.n_params, oids, args->values,
                                                 args->lengths, args->formats, 1));
  }
  prepare(link, known, many);
  snprintf(name, sizeof(name), "%s%s", known->name, many ? "m" : "");
  return sent_or_fails(link, PQsendQueryPrepared(link->conn, name, known->text.n_params, args->values, args->lengths,
                                                 args->formats, 1));
}

static void args_of(const struct pg_known *known, const struct pg_param *params, struct args *ret)
{
  for (int i = 0; i < known->text.n_params; i++) {
    const struct pg_param *param = &params[i];

    if (param->type == PG_INT8)
      arg_put(ret, i, (const char *)param->be, sizeof(param->be));
    else
      arg_put(ret, i, param->bytes.at, param->bytes.len);
  }
}

/* --- rows of many ---------------------------------------------------------------------------------------------------------------- */

static void be32_put(struct buf *buf, uint32_t value)
{
  uint32_t be = htonl(value);

  buf_text(buf, (parley_text){(const char *)&be, sizeof(be)});
}

static void element_put(struct buf *array, const struct pg_param *param)
{
  static const char head[ARRAY_HEAD_BYTES];

  if (array->len == 0)
    buf_text(array, (parley_text){head, sizeof(head)}); /* filled in when it is sent */
  if (param->type == PG_INT8) {
    be32_put(array, sizeof(param->be));
    buf_text(array, (parley_text){(const char *)param->be, sizeof(param->be)});
  } else {
    be32_put(array, (uint32_t)param->bytes.len);
    buf_text(array, param->bytes);
  }
}

static void array_head(struct buf *array, enum pg_type type, size_t n)
{
  const uint32_t head[ARRAY_HEAD_BYTES / 4] = {htonl(1), 0, htonl((uint32_t)type), htonl((uint32_t)n), htonl(1)};

  memcpy(array->at, head, sizeof(head));
}

static void args_of_arrays(struct pg_known *known, size_t n, struct args *ret)
{
  for (int i = 0; i < known->text.n_params; i++) {
    array_head(&known->arrays[i], known->types[i], n);
    arg_put(ret, i, known->arrays[i].at, known->arrays[i].len);
  }
}

static void arrays_clear(struct pg_known *known)
{
  for (int i = 0; i < known->text.n_params; i++)
    buf_clear(&known->arrays[i]);
}

static void batch_send(struct pg_link *link, struct pg_known *known)
{
  struct args args;

  if (known->n_rows == 0)
    return;
  args_of_arrays(known, known->n_rows, &args);
  if (!link->lost && send_known(link, known, true, &args))
    sent_add(link, SENT_WRITE, known);
  known->n_rows = 0;
  list_remove(&known->link);
  arrays_clear(known);
  map_done(&known->keys);
}

/* What waits for one table, or for any: inserts before updates. */
static void batches_send(struct pg_link *link, const char *table)
{
  for (int updates = 0; updates < 2; updates++)
    for (struct list *at = link->batches.next, *next; at != &link->batches; at = next) {
      struct pg_known *known = LIST_ITEM(at, struct pg_known, link);

      next = at->next;
      if ((known->text.doing == PG_INSERT) == (updates == 0) && (table == NULL || strcmp(known->text.table, table) == 0))
        batch_send(link, known);
    }
}

static uint64_t key_of(const struct pg_known *known, const struct pg_param *params)
{
  static const struct hash_key spread = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xc2b2ae3d27d4eb4f)};
  uint64_t h = 1;

  for (int i = 0; i < known->text.n_key; i++) {
    const struct pg_param *param = &params[known->text.key[i] - 1];
    parley_bytes bytes = param->type == PG_INT8 ? (parley_bytes){(const char *)param->be, sizeof(param->be)} : param->bytes;

    h = hash_mix(h ^ hash64(&spread, bytes));
  }
  return h != 0 ? h : 1;
}

/* Whether rows of another update of this table wait, or one of this very row. */
static bool batch_must_go(const struct pg_link *link, const struct pg_known *known, uint64_t key)
{
  if (known->text.doing == PG_INSERT)
    return false;
  if (known->n_rows > 0 && map_get(&known->keys, key) != NULL)
    return true;
  for (const struct list *at = link->batches.next; at != &link->batches; at = at->next) {
    const struct pg_known *other = LIST_ITEM(at, struct pg_known, link);

    if (other != known && strcmp(other->text.table, known->text.table) == 0 &&
        (other->text.doing != PG_INSERT || known->text.doing == PG_UPSERT))
      return true;
  }
  return false;
}

static void batch_add(struct pg_link *link, struct pg_known *known, const struct pg_param *params)
{
  uint64_t key = known->text.n_key > 0 ? key_of(known, params) : 1;
  size_t bytes = 0;

  if (batch_must_go(link, known, key))
    batches_send(link, known->text.table);
  if (known->n_rows == 0)
    list_push(&link->batches, &known->link);
  for (int i = 0; i < known->text.n_params; i++) {
    element_put(&known->arrays[i], &params[i]);
    bytes += known->arrays[i].len;
  }
  if (known->text.n_key > 0)
    map_put(&known->keys, key, known);
  if (++known->n_rows < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX)
    return;
  batches_send(link, known->text.table);
  if (!link->lost && PQflush(link->conn) < 0)
    link->unsendable = true;
}

void pg_link_write(struct pg_link *link, struct pg_stmt *stmt, struct pg_db *db)
{
  struct pg_known *known = stmt->known;
  struct args args;

  if (known->kept && known->text.doing != PG_OTHER && known->text.doing != PG_SELECT) {
    batch_add(link, known, stmt->params);
    return;
  }
  batches_send(link, NULL);
  args_of(known, stmt->params, &args);
  if (!link->lost && send_known(link, known, false, &args)) {
    sent_add(link, SENT_WRITE, known)->db = db;
    db->n_open++;
  }
}

static void command_send(struct pg_link *link, const char *sql, enum sent_what what, struct pg_db *db)
{
  batches_send(link, NULL);
  if (!link->lost && sent_or_fails(link, PQsendQueryParams(link->conn, sql, 0, NULL, NULL, NULL, NULL, 1))) {
    sent_add(link, what, NULL)->db = db;
    db->n_open++;
  }
}

void pg_link_command(struct pg_link *link, const char *sql, struct pg_db *db)
{
  command_send(link, sql, SENT_WRITE, db);
}

void pg_link_commit(struct pg_link *link, struct pg_db *db)
{
  link->commit = COMMIT_OPEN;
  command_send(link, "COMMIT", SENT_COMMIT, db);
}

/* --- questions ------------------------------------------------------------------------------------------------------------------- */

static void ask_one(struct pg_link *link, struct pg_stmt *stmt)
{
  struct pg_sent *sent;
  struct args args;

  args_of(stmt->known, stmt->params, &args);
  if (!send_known(link, stmt->known, false, &args))
    return;
  sent = sent_add(link, SENT_ASK, stmt->known);
  sent->n_asks = 1;
  sent->asks = xcalloc(1, sizeof(struct pg_stmt *));
  sent->asks[0] = stmt;
}

static void ask_many(struct pg_link *link, struct pg_known *known, size_t n)
{
  struct pg_stmt **asks = xcalloc(n, sizeof(*asks));
  struct pg_sent *sent;
  struct args args;

  for (size_t i = 0; i < n; i++) {
    asks[i] = LIST_ITEM(list_pop(&known->asking), struct pg_stmt, link);
    for (int j = 0; j < known->text.n_params; j++)
      element_put(&known->arrays[j], &asks[i]->params[j]);
  }
  args_of_arrays(known, n, &args);
  if (send_known(link, known, true, &args)) {
    sent = sent_add(link, SENT_ASK, known);
    sent->n_asks = n;
    sent->asks = asks;
  } else
    free(asks);
  arrays_clear(known);
}

static void asks_send(struct pg_link *link, struct pg_known *known)
{
  while (!list_empty(&known->asking)) {
    size_t n = 0;

    for (struct list *at = known->asking.next; at != &known->asking && n < ASK_MANY_MAX; at = at->next)
      n++;
    if (n > 1 && known->kept && known->text.doing == PG_SELECT)
      ask_many(link, known, n);
    else
      ask_one(link, LIST_ITEM(list_pop(&known->asking), struct pg_stmt, link));
  }
}

static void link_want(struct pg_link *link);

void pg_link_flush(struct pg_link *link)
{
  struct list kinds, *item;
  bool any = !list_empty(&link->asks);

  if (link->conn == NULL || link->lost)
    return;
  batches_send(link, NULL);
  list_init(&kinds);
  while ((item = list_pop(&link->asks)) != NULL) {
    struct pg_stmt *stmt = LIST_ITEM(item, struct pg_stmt, link);

    if (list_empty(&stmt->known->asking) && list_empty(&stmt->known->link))
      list_push(&kinds, &stmt->known->link);
    list_push(&stmt->known->asking, &stmt->link);
  }
  while ((item = list_pop(&kinds)) != NULL)
    asks_send(link, LIST_ITEM(item, struct pg_known, link));
  if (link->unflushed) {
    link->n_trips += any;
    link->unflushed = false;
    sent_or_fails(link, PQsendFlushRequest(link->conn));
  }
  if (link->unsendable)
    link_lost(link);
  else
    link_want(link);
}

void pg_link_sync(struct pg_link *link)
{
  batches_send(link, NULL);
  if (link->lost || !sent_or_fails(link, PQpipelineSync(link->conn)))
    return;
  sent_add(link, SENT_SYNC, NULL);
  link->n_trips++;
}

/* --- answers ------------------------------------------------------------------------------------------------------------------- */

static int64_t row_number(const PGresult *result, int row)
{
  uint64_t be;

  memcpy(&be, PQgetvalue(result, row, 0), sizeof(be));
  return (int64_t)be64toh(be);
}

/* Gives each of those who asked its rows; whoever got the last of them is resumed after all have theirs. */
static void asks_answer(struct pg_sent *sent, PGresult *result)
{
  struct pg_rows *rows = xcalloc(1, sizeof(*rows));
  int n = PQntuples(result), at = 0;

  rows->result = result;
  rows->refs = (int)sent->n_asks;
  for (size_t i = 0; i < sent->n_asks; i++) {
    struct pg_stmt *stmt = sent->asks[i];

    stmt->rows = rows;
    stmt->first_col = sent->n_asks > 1;
    stmt->at = at - 1; /* the first step goes to it */
    while (at < n && (sent->n_asks == 1 || row_number(result, at) == (int64_t)i + 1))
      at++;
    stmt->end = at;
    stmt->arrived = true;
  }
}

static int64_t changed_rows(PGresult *result)
{
  int64_t n = 0;

  for (const char *at = PQcmdTuples(result); *at >= '0' && *at <= '9'; at++)
    n = n * 10 + (*at - '0');
  return n;
}

static void sent_done(struct pg_link *link, struct pg_sent *sent)
{
  list_remove(&sent->link);
  if (sent->db != NULL) {
    sent->db->n_open--;
    pg_link_ready(link, sent->db);
  }
  for (size_t i = 0; i < sent->n_asks; i++) {
    sent->asks[i]->arrived = true; /* without rows, when it failed */
    pg_link_ready(link, pg_db_of(sent->asks[i]->base.db));
  }
  sent_free(sent);
}

/* What ends the whole server's process says nothing of the commit that it was about. */
static void commit_take(struct pg_link *link, const PGresult *result)
{
  const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

  switch ((int)PQresultStatus(result)) {
  case PGRES_COMMAND_OK:
    link->commit = strcmp(PQcmdStatus((PGresult *)(uintptr_t)result), "COMMIT") == 0 ? COMMIT_IS_IN : COMMIT_IS_OUT;
    break;
  case PGRES_PIPELINE_ABORTED:
    link->commit = COMMIT_IS_OUT;
    break;
  case PGRES_FATAL_ERROR:
    if (severity != NULL && strcmp(severity, "ERROR") == 0)
      link->commit = COMMIT_IS_OUT;
    break;
  }
}

static void result_take(struct pg_link *link, struct pg_sent *sent, PGresult *result)
{
  if (sent->what == SENT_COMMIT)
    commit_take(link, result);
  if (sent->what == SENT_PREPARE && PQresultStatus(result) != PGRES_COMMAND_OK)
    *sent->prepared = false; /* an earlier error passed over it */
  switch (PQresultStatus(result)) {
  case PGRES_TUPLES_OK:
    if (sent->what == SENT_ASK) {
      asks_answer(sent, result);
      return;
    }
    break;
  case PGRES_COMMAND_OK:
    if (sent->db != NULL)
      sent->db->changes = changed_rows(result);
    break;
  case PGRES_PIPELINE_ABORTED:
    pg_link_fail(link, PARLEY_RETRY, "an earlier statement failed");
    break;
  default:
    result_failed(link, result, sent);
    break;
  }
  PQclear(result);
}

/* Takes one answer. False: there is none yet. */
static bool answer_take(struct pg_link *link)
{
  struct pg_sent *sent = LIST_ITEM(link->sent.next, struct pg_sent, link);
  PGresult *result;

  if (PQisBusy(link->conn))
    return false;
  result = PQgetResult(link->conn);
  if (result == NULL) {
    if (PQstatus(link->conn) == CONNECTION_BAD)
      return false;
    sent_done(link, sent);
  } else if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
    PQclear(result);
    if (sent->what == SENT_SYNC)
      sent_done(link, sent);
  } else
    result_take(link, sent, result);
  return true;
}

static void link_answers(struct pg_link *link)
{
  if (PQconsumeInput(link->conn) != 1) {
    link_lost(link);
    return;
  }
  while (!list_empty(&link->sent) && answer_take(link))
    ;
  ready_run(link);
  if (link->conn == NULL || link->lost)
    return;
  if (PQstatus(link->conn) == CONNECTION_BAD)
    link_lost(link);
  else
    pg_link_flush(link);
}

/* --- the loop ------------------------------------------------------------------------------------------------------------------ */

static void on_poll(uv_poll_t *poll, int status, int events)
{
  struct pg_link *link = poll->data;

  if (link == NULL || link->conn == NULL || link->lost)
    return;
  if (events & UV_READABLE)
    link->silent = 0;
  if (status < 0) {
    link_lost(link);
    return;
  }
  link_answers(link);
}

void pg_link_run(struct pg_link *link)
{
  ready_run(link);
  pg_link_flush(link);
}

static void link_want(struct pg_link *link)
{
  int left = PQflush(link->conn), events = UV_READABLE | (left == 1 ? UV_WRITABLE : 0);

  if (left < 0) {
    link_lost(link);
    return;
  }
  if (link->poll == NULL || events == link->events)
    return;
  link->events = events;
  uv_poll_start(link->poll, events, on_poll);
}

void pg_link_open(struct pg_link *link, struct pg_store *store, PGconn *conn)
{
  void (*on_lost)(struct pg_link *) = link->on_lost;

  *link = (struct pg_link){.store = store, .conn = conn, .on_lost = on_lost};
  list_init(&link->dbs);
  list_init(&link->ready);
  list_init(&link->batches);
  list_init(&link->asks);
  list_init(&link->sent);
  PQenterPipelineMode(conn);
  PQsetnonblocking(conn, 1);
}

void pg_link_watch(struct pg_link *link, uv_loop_t *loop)
{
  struct watched *watched = xcalloc(1, sizeof(*watched));

  watched->fd = fcntl(PQsocket(link->conn), F_DUPFD_CLOEXEC, 0);
  link->poll = &watched->poll;
  if (watched->fd < 0) { /* no descriptor is left: as good as no connection */
    link->poll = NULL;
    free(watched);
    link->unsendable = true;
    return;
  }
  uv_poll_init(loop, link->poll, watched->fd);
  uv_unref((uv_handle_t *)link->poll); /* open ops keep the loop alive, an idle connection does not */
  link->poll->data = link;
  link->events = UV_READABLE;
  uv_poll_start(link->poll, link->events, on_poll);
}

static void on_poll_closed(uv_handle_t *handle)
{
  struct watched *watched = container_of((uv_poll_t *)handle, struct watched, poll);

  close(watched->fd);
  free(watched);
}

void pg_known_free(struct pg_known *known)
{
  pg_text_done(&known->text);
  for (int i = 0; i < PG_PARAMS_MAX; i++)
    buf_done(&known->arrays[i]);
  map_done(&known->keys);
  free(known);
}

void pg_link_close(struct pg_link *link)
{
  size_t pos = 0;
  uint64_t key;
  void *known;

  if (link->conn == NULL)
    return;
  link->on_lost = NULL;
  link_lost(link);
  if (link->poll != NULL) {
    link->poll->data = NULL;
    uv_close((uv_handle_t *)link->poll, on_poll_closed);
  }
  while (map_next(&link->known, &pos, &key, &known))
    pg_known_free(known);
  map_done(&link->known);
  PQfinish(link->conn);
  link->conn = NULL;
  link->poll = NULL;
}

void pg_link_clear(struct pg_link *link)
{
  link->status = PARLEY_OK;
  link->why[0] = link->sqlstate[0] = '\0';
}

bool pg_link_idle(const struct pg_link *link)
{
  return list_empty(&link->sent) && list_empty(&link->asks) && list_empty(&link->batches);
}

void pg_link_wait(struct pg_link *link)
{
  struct pollfd fd = {.fd = PQsocket(link->conn), .events = POLLIN};
  int n;

  pg_link_flush(link);
  if (PQflush(link->conn) == 1)
    fd.events |= POLLOUT;
  n = poll(&fd, 1, link->patient ? -1 : PG_ANSWER_MAX_MS);
  if (n == 0)
    pg_link_give_up(link, "the database has not answered for 10 s");
  else if (n < 0 && errno != EINTR)
    link_lost(link);
  else
    link_answers(link);
}
