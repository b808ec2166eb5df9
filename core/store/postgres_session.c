/* postgres_session.c - who works as this node: the advisory lock that one daemon holds at a time, the session's row, and whether a
 * server has all that was confirmed to us. Blocking, on a connection that is not in pipeline mode.
 *
 * Lock     of the writer's connection: whoever has it knows that no transaction of another connection of this node is open any
 *          more, not even one whose COMMIT still travels. Only then the row is read.
 * Row      session.round = turn << PG_TURN_SHIFT | number: the newest round that was committed, and how often this daemon has come
 *          to a server before it. It only grows. A server whose row is behind what was confirmed to us lacks what we have answered
 *          for: an old primary, or a standby that was not synchronous. The row of each coming is a commit of its own: where commits
 *          wait for a standby, all before it are there, too. */
#include "postgres.h"
#include <poll.h>
#include <stdio.h>

#define LOCK_WAIT_MS 3000 /* a daemon that was killed leaves its lock when the server has noticed */
#define LOCK_LOOK_MS 50
#define NUMBER_MASK ((INT64_C(1) << PG_TURN_SHIFT) - 1)

struct holder { int64_t pid, silent; char where[64]; };

static bool lock_try(PGconn *conn, uint32_t node)
{
  char sql[96];

  snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, %u)::int", PG_LOCK_SCHEMA, PG_LOCK_NODE + node);
  return pg_number_soon(conn, sql, 0) == 1;
}

/* Who has it, and whether nothing was heard from there for a lease. */
static bool holder_read(PGconn *conn, uint32_t node, struct holder *ret)
{
  char sql[768];
  PGresult *result;
  bool there;

  snprintf(sql, sizeof(sql), "SELECT l.pid, (coalesce((SELECT max(alive) FROM session WHERE node=%u), 0) < " PG_NOW_MS " - %d)::int,"
                             " coalesce(host(a.client_addr), 'a socket of the server''s machine')"
                             " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid=l.pid WHERE l.locktype='advisory' AND"
                             " l.classid=%d AND l.objid=%u AND l.objsubid=2 AND l.granted AND"
                             " l.database=(SELECT oid FROM pg_database WHERE datname=current_database())",
           node, STORE_LEASE_MS, PG_LOCK_SCHEMA, PG_LOCK_NODE + node);
  result = pg_query_soon(conn, sql);
  there = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0;
  if (there) {
    ret->pid = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    ret->silent = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    snprintf(ret->where, sizeof(ret->where), "%s", PQgetvalue(result, 0, 2));
  }
  PQclear(result);
  return there;
}

static void holder_end(PGconn *conn, const struct holder *holder)
{
  char sql[64];

  snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)::int", (int)holder->pid);
  pg_number_soon(conn, sql, 0);
}

/* The lock of a connection that we have lost is ours to end, and that of one who is silent for a lease. */
static parley_status lock_take(PGconn *conn, uint32_t node, const struct pg_session *session, struct buf *reterr_why)
{
  struct holder holder = {.where = "unknown"};
  bool ended = false;

  for (int waited_ms = 0; !lock_try(conn, node); waited_ms += LOCK_LOOK_MS) {
    if (PQstatus(conn) != CONNECTION_OK)
      return pg_say(conn, reterr_why);
    if (!ended && holder_read(conn, node, &holder) && (holder.pid == session->pid || holder.silent != 0)) {
      holder_end(conn, &holder);
      ended = true;
    }
    if (waited_ms >= LOCK_WAIT_MS) {
      if (ended)
        buf_str(reterr_why, "store: the server still carries out what it was asked for over the connection that was lost");
      else
        buf_printf(reterr_why, "store: the database is used by another parleyd (node %u, connected from %s): stop that one, or"
                               " give this one a database of its own in store.url", node, holder.where);
      return PARLEY_FAILED;
    }
    poll(NULL, 0, LOCK_LOOK_MS);
  }
  return PARLEY_OK;
}

static parley_status in_use(PGconn *conn, struct buf *reterr_why)
{
  char sql[96];

  snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock_shared(%d, %d)::int", PG_LOCK_SCHEMA, PG_LOCK_IN_USE);
  switch (pg_number_soon(conn, sql, -1)) {
  case 1:
    return PARLEY_OK;
  case 0:
    buf_str(reterr_why, "store: the database is being copied or restored: start again when that has ended");
    return PARLEY_FAILED;
  default:
    return pg_say(conn, reterr_why);
  }
}

static parley_status session_new(PGconn *conn, uint32_t node, struct pg_session *session, struct buf *reterr_why)
{
  char sql[256];

  snprintf(sql, sizeof(sql), "INSERT INTO session SELECT coalesce(max(id), 0) + 1, %u, " PG_NOW_MS ", " PG_NOW_MS ", %lld FROM session"
                             " RETURNING id", node, (long long)(session->turn << PG_TURN_SHIFT));
  session->id = pg_number_soon(conn, sql, 0);
  if (session->id == 0)
    return pg_say(conn, reterr_why);
  session->confirmed = session->turn << PG_TURN_SHIFT;
  session->number = 0;
  return PARLEY_OK;
}

/* Whether our session is the node's newest. */
static parley_status session_stands(PGconn *conn, uint32_t node, const struct pg_session *session, struct buf *reterr_why)
{
  char sql[96];

  snprintf(sql, sizeof(sql), "SELECT count(*) FROM session WHERE node=%u AND id>%lld", node, (long long)session->id);
  if (session->id == 0 || pg_number_soon(conn, sql, 0) == 0)
    return PARLEY_OK;
  buf_printf(reterr_why, "store: another parleyd has worked as node %u meanwhile", node);
  return PARLEY_CLOSED;
}

/* Ours as before: a connection was lost, not the daemon. */
static parley_status session_again(PGconn *conn, struct pg_session *session, struct buf *reterr_why)
{
  char sql[384];
  int64_t round;

  snprintf(sql, sizeof(sql), "UPDATE session SET alive=" PG_NOW_MS ", round=(round & %lld) | %lld WHERE id=%lld AND round>=%lld"
                             " RETURNING round", (long long)NUMBER_MASK, (long long)(session->turn << PG_TURN_SHIFT),
           (long long)session->id, (long long)session->confirmed);
  round = pg_number_soon(conn, sql, -1);
  if (round >= 0) {
    session->confirmed = (uint64_t)round;
    session->number = (uint64_t)(round & NUMBER_MASK);
    return PARLEY_OK;
  }
  if (PQstatus(conn) != CONNECTION_OK || PQtransactionStatus(conn) != PQTRANS_IDLE || PQerrorMessage(conn)[0] != '\0')
    return pg_say(conn, reterr_why);
  buf_printf(reterr_why, "store: the server at %s port %s lacks what was confirmed: it is an old primary, or a standby that was"
                         " promoted and was not synchronous; it is not used. To go on with what it has, stop parleyd and start it"
                         " once with --restored",
             PQhost(conn), PQport(conn));
  return PARLEY_REJECTED;
}

/* Who was replaced learns it without the lock, which the other one holds; and with the lock once more, when nobody can come between. */
parley_status pg_session_take(PGconn *conn, uint32_t node, struct pg_session *session, struct buf *reterr_why)
{
  int64_t pid = pg_number_soon(conn, "SELECT pg_backend_pid()", 0);
  parley_status st = session_stands(conn, node, session, reterr_why);

  if (st == PARLEY_OK)
    st = in_use(conn, reterr_why);
  if (st == PARLEY_OK)
    st = lock_take(conn, node, session, reterr_why);
  if (st == PARLEY_OK)
    st = session_stands(conn, node, session, reterr_why);
  if (st != PARLEY_OK)
    return st;
  session->pid = (int)pid;
  return session->id == 0 ? session_new(conn, node, session, reterr_why) : session_again(conn, session, reterr_why);
}
