/* postgres_link.c - see postgres_link.h. */
#include "postgres.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- statements ------------------------------------------------------------------------------------------------------------------ */

struct pg_known *pg_known_new(parley_text sql)
{
  struct pg_known *known = xcalloc(1, sizeof(*known));

  pg_text_init(&known->text, sql);
  pg_gathered_init(&known->gathered);
  return known;
}

void pg_known_free(struct pg_known *known)
{
  pg_text_done(&known->text);
  pg_gathered_done(&known->gathered);
  free(known);
}

struct pg_known *pg_link_known(struct pg_link *link, const char *literal)
{
  uint64_t key = (uint64_t)(uintptr_t)literal;
  struct pg_known *known = map_get(&link->known, key);

  if (known != NULL)
    return known;
  known = pg_known_new(parley_text_of(literal));
  known->kept = true;
  snprintf(known->name, sizeof(known->name), "p%u", ++link->n_known);
  map_put(&link->known, key, known);
  return known;
}

/* --- what was sent --------------------------------------------------------------------------------------------------------------- */

enum sent_what { SENT_PREPARE, SENT_WRITE, SENT_ASK, SENT_COMMIT, SENT_SYNC };
struct pg_sent {
  struct list link;
  enum sent_what what;
  const struct pg_known *known; /* for its words; NULL: a plain command */
  bool *prepared;               /* PREPARE: false again, when the server has not done it */
  struct pg_db *db;             /* WRITE, COMMIT: who is told; or NULL */
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

static void sent_tell(struct pg_sent *sent, struct pg_db *db)
{
  sent->db = db;
  if (db != NULL)
    db->n_open++;
}

static void sent_free(struct pg_sent *sent)
{
  free(sent->asks);
  free(sent);
}

/* --- errors ---------------------------------------------------------------------------------------------------------------------- */

static void link_fail(struct pg_link *link, parley_status status, const char *why)
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
  link_fail(link, status_of(link->sqlstate), why);
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
  link_fail(link, PARLEY_RETRY, "the connection to the database was lost");
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
  link_fail(link, PARLEY_RETRY, why);
  link_lost(link);
}

/* --- sending --------------------------------------------------------------------------------------------------------------------- */

enum { INT8_ARRAY = 1016, TEXT_ARRAY = 1009, BYTEA_ARRAY = 1001 }; /* pg_type.oid */

static Oid array_oid(enum pg_type type)
{
  switch (type) {
  case PG_INT8: return INT8_ARRAY;
  case PG_TEXT: return TEXT_ARRAY;
  case PG_BYTEA: break;
  }
  return BYTEA_ARRAY;
}

static void oids_of(const struct pg_known *known, bool many, Oid *ret)
{
  for (int i = 0; i < known->text.n_params; i++)
    ret[i] = many ? array_oid(known->types[i]) : (Oid)known->types[i];
}

void pg_args_put(struct pg_args *args, int at, const char *bytes, size_t len)
{
  args->values[at] = bytes;
  args->lengths[at] = (int)len;
  args->formats[at] = 1;
}

/* What cannot be sent is answered by nobody: the next flush, which is in no fiber, gives the connection up. */
static bool sent_or_fails(struct pg_link *link, int sent)
{
  link->unsendable |= sent != 1;
  return sent == 1;
}

struct name { char text[24]; };

static struct name name_of(const struct pg_known *known, bool many)
{
  struct name name;

  snprintf(name.text, sizeof(name.text), "%s%s", known->name, many ? "m" : "");
  return name;
}

static void prepare(struct pg_link *link, struct pg_known *known, bool many)
{
  bool *done = many ? &known->prepared_many : &known->prepared;
  struct buf sql = BUF_INIT(0);
  Oid oids[PG_PARAMS_MAX];

  if (*done)
    return;
  *done = true;
  oids_of(known, many, oids);
  if (many)
    pg_text_many(&known->text, known->types, &sql);
  if (sent_or_fails(link, PQsendPrepare(link->conn, name_of(known, many).text, many ? sql.at : known->text.one.at,
                                        known->text.n_params, oids)))
    sent_add(link, SENT_PREPARE, known)->prepared = done;
  buf_done(&sql);
}

/* NULL: it is not sent. */
static struct pg_sent *known_send(struct pg_link *link, struct pg_known *known, bool many, const struct pg_args *args,
                                  enum sent_what what)
{
  Oid oids[PG_PARAMS_MAX];
  int sent;

  if (link->lost)
    return NULL;
  if (known->kept) {
    prepare(link, known, many);
    sent = PQsendQueryPrepared(link->conn, name_of(known, many).text, known->text.n_params, args->values, args->lengths,
                               args->formats, 1);
  } else {
    oids_of(known, false, oids);
    sent = PQsendQueryParams(link->conn, known->text.one.at, known->text.n_params, oids, args->values, args->lengths,
                             args->formats, 1);
  }
  return sent_or_fails(link, sent) ? sent_add(link, what, known) : NULL;
}

void pg_link_send_write(struct pg_link *link, struct pg_known *known, bool many, const struct pg_args *args, struct pg_db *db)
{
  struct pg_sent *sent = known_send(link, known, many, args, SENT_WRITE);

  if (sent != NULL)
    sent_tell(sent, db);
}

void pg_link_send_asks(struct pg_link *link, struct pg_known *known, const struct pg_args *args, struct pg_stmt **asks, size_t n)
{
  struct pg_sent *sent = known_send(link, known, n > 1, args, SENT_ASK);

  if (sent == NULL) {
    free(asks);
    return;
  }
  sent->n_asks = n;
  sent->asks = asks;
}

static void command_send(struct pg_link *link, const char *sql, enum sent_what what, struct pg_db *db)
{
  pg_gather_rows_leave(link);
  if (!link->lost && sent_or_fails(link, PQsendQueryParams(link->conn, sql, 0, NULL, NULL, NULL, NULL, 1)))
    sent_tell(sent_add(link, what, NULL), db);
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

void pg_link_sync(struct pg_link *link)
{
  pg_gather_rows_leave(link);
  if (link->lost || !sent_or_fails(link, PQpipelineSync(link->conn)))
    return;
  sent_add(link, SENT_SYNC, NULL);
  link->n_trips++;
}

void pg_link_push(struct pg_link *link)
{
  if (!link->lost && PQflush(link->conn) < 0)
    link->unsendable = true;
}

static void socket_watch(struct pg_link *link);

void pg_link_flush(struct pg_link *link)
{
  bool asked;

  if (link->conn == NULL || link->lost)
    return;
  asked = pg_gather_leave(link);
  if (link->unflushed) {
    link->n_trips += asked;
    link->unflushed = false;
    sent_or_fails(link, PQsendFlushRequest(link->conn));
  }
  if (link->unsendable)
    link_lost(link);
  else
    socket_watch(link);
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
    link_fail(link, PARLEY_RETRY, "an earlier statement failed");
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

/* Sends what the socket takes; the loop tells when it takes more, and of answers. */
static void socket_watch(struct pg_link *link)
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
  *link = (struct pg_link){.store = store, .conn = conn};
  list_init(&link->dbs);
  list_init(&link->ready);
  list_init(&link->sent);
  pg_gather_init(&link->gather);
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
  return list_empty(&link->sent) && pg_gather_is_empty(&link->gather);
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
    pg_link_give_up(link, PG_SILENT);
  else if (n < 0 && errno != EINTR)
    link_lost(link);
  else
    link_answers(link);
}
