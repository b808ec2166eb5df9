/* postgres_call.c - see postgres_call.h. */
#include "postgres_call.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* --- one answer ------------------------------------------------------------------------------------------------------------------ */

static int64_t mono_ms(void)
{
  return (int64_t)(uv_hrtime() / 1000000);
}

/* Whether the next PQgetResult() will not block. */
static bool result_comes(PGconn *conn, int64_t until)
{
  struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};

  while (PQisBusy(conn)) {
    int64_t left = until - mono_ms();

    if (left <= 0 || poll(&fd, 1, (int)left) < 0)
      return false;
    if (fd.revents != 0 && PQconsumeInput(conn) != 1)
      return true; /* lost: the result says so */
  }
  return true;
}

/* Of what was sent: the last result, or the first error. NULL: no answer in time. */
static PGresult *answer_soon(PGconn *conn)
{
  int64_t until = mono_ms() + PG_ANSWER_MAX_MS;
  PGresult *last = NULL, *next;

  for (;;) {
    if (!result_comes(conn, until)) {
      PQclear(last);
      return NULL;
    }
    next = PQgetResult(conn);
    if (next == NULL)
      return last;
    if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR) {
      PQclear(next);
      continue;
    }
    PQclear(last);
    last = next;
  }
}

/* The answer is given back. */
static bool result_is_fine(PGresult *result)
{
  ExecStatusType status = PQresultStatus(result);

  PQclear(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static int64_t result_number(PGresult *result, int64_t otherwise)
{
  int64_t value = otherwise;

  if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
    value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  PQclear(result);
  return value;
}

PGresult *pg_query_soon(PGconn *conn, const char *sql)
{
  return PQsendQuery(conn, sql) == 1 ? answer_soon(conn) : NULL;
}

bool pg_run(PGconn *conn, const char *sql)
{
  return result_is_fine(PQexec(conn, sql));
}

bool pg_run_soon(PGconn *conn, const char *sql)
{
  return result_is_fine(pg_query_soon(conn, sql));
}

int64_t pg_number(PGconn *conn, const char *sql, int64_t otherwise)
{
  return result_number(PQexec(conn, sql), otherwise);
}

int64_t pg_number_soon(PGconn *conn, const char *sql, int64_t otherwise)
{
  return result_number(pg_query_soon(conn, sql), otherwise);
}

parley_status pg_say(PGconn *conn, struct buf *reterr_why)
{
  const char *text = PQerrorMessage(conn);

  if (text[0] == '\0')
    buf_str(reterr_why, "store: " PG_SILENT);
  else
    buf_printf(reterr_why, "store: %.*s", (int)strcspn(text, "\n"), text);
  return PARLEY_FAILED;
}

/* --- rows of `meta` -------------------------------------------------------------------------------------------------------------- */

bool pg_meta_put(PGconn *conn, const char *name, const void *bytes, size_t len)
{
  const char *values[] = {name, bytes};
  const int lengths[] = {(int)strlen(name), (int)len}, formats[] = {0, 1};
  PGresult *result = PQexecParams(conn, "INSERT INTO meta(name, value) VALUES($1, $2) ON CONFLICT(name) DO UPDATE SET"
                                        " value=excluded.value", 2, NULL, values, lengths, formats, 1);
  bool fine = PQresultStatus(result) == PGRES_COMMAND_OK;

  PQclear(result);
  return fine;
}

bool pg_meta_get(PGconn *conn, const char *name, void *to, size_t len)
{
  const char *values[] = {name};
  int sent = PQsendQueryParams(conn, "SELECT value FROM meta WHERE name=$1", 1, NULL, values, NULL, NULL, 1);
  PGresult *result = sent == 1 ? answer_soon(conn) : NULL;
  bool fine = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 && (size_t)PQgetlength(result, 0, 0) == len;

  if (fine)
    memcpy(to, PQgetvalue(result, 0, 0), len);
  PQclear(result);
  return fine;
}

bool pg_meta_text(PGconn *conn, const char *name, char *to, size_t room)
{
  const char *values[] = {name};
  PGresult *result = PQexecParams(conn, "SELECT value FROM meta WHERE name=$1", 1, NULL, values, NULL, NULL, 1);
  bool fine = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 && (size_t)PQgetlength(result, 0, 0) < room;

  if (fine)
    snprintf(to, room, "%.*s", PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0));
  PQclear(result);
  return fine;
}
