/* postgres_connect.c - making connections, by blocking calls with a deadline each: at start, and in libuv's pool. Which of several
 * servers it is, and whether what stands between us and it leaves us a session of our own. */
#include "postgres.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT "5"       /* s, of each host */
#define TCP_TIMEOUT "10000"       /* ms without an acknowledged byte: the connection is given up */
#define STATEMENT_TIMEOUT_MS 8000 /* below PG_ANSWER_MAX_MS: the server gives the statement up before we give up the server */
#define IDLE_TIMEOUT_MS 30000     /* of an open transaction: a daemon that froze in one holds the counter's row */
#define CHECK_CLIENT_MS 2000      /* so often a server that works for us looks whether we are there; PostgreSQL 14 */
#define DEFAULT_PORT "5432"
#define POOL_LOOKS 4
#define ANY_HOST SIZE_MAX
#define OPTION_BYTES_MAX 32 /* libpq's longest are of 25 */

/* --- servers of the URL ----------------------------------------------------------------------------------------------------------- */

static const char *option_value(const PQconninfoOption *options, const char *name)
{
  for (; options->keyword != NULL; options++)
    if (strcmp(options->keyword, name) == 0)
      return options->val;
  return NULL;
}

/* Of a list with commas; of one with a single element that one, whatever `at`. */
static parley_text element_of(const char *list, size_t at)
{
  const char *end = list + strcspn(list, ",");

  if (*end == '\0')
    return (parley_text){list, (size_t)(end - list)};
  for (; at > 0 && *end != '\0'; at--) {
    list = end + 1;
    end = list + strcspn(list, ",");
  }
  return (parley_text){list, (size_t)(end - list)};
}

/* 1 also where libpq has to choose by itself: an element is empty. */
static size_t count_hosts(const PQconninfoOption *options)
{
  const char *hosts = option_value(options, "hostaddr");
  size_t n = 1;

  if (hosts == NULL)
    hosts = option_value(options, "host");
  if (hosts == NULL)
    return 1;
  for (const char *at = hosts; *at != '\0'; at++)
    n += *at == ',';
  for (size_t i = 0; i < n; i++)
    if (element_of(hosts, i).len == 0)
      return 1;
  return n;
}

/* --- one connection ------------------------------------------------------------------------------------------------------------- */

struct option { const char *name, *value; };
/* What the URL does not say. 34.1.2 Parameter Key Words. */
static const struct option defaults[] = {{"application_name", "parleyd"}, {"client_encoding", "UTF8"},
                                         {"connect_timeout", CONNECT_TIMEOUT}, {"target_session_attrs", "read-write"},
                                         {"tcp_user_timeout", TCP_TIMEOUT}, {"keepalives_idle", "5"},
                                         {"keepalives_interval", "2"}, {"keepalives_count", "3"}};
static const char *const of_each_host[] = {"host", "hostaddr", "port"};

struct words { /* for PQconnectdbParams(); the last value of a name counts */
  const char *names[2 + COUNT_OF(defaults) + COUNT_OF(of_each_host)], *values[2 + COUNT_OF(defaults) + COUNT_OF(of_each_host)];
  char *own[COUNT_OF(of_each_host)];
  size_t n;
};

static void words_add(struct words *words, const char *name, const char *value)
{
  words->names[words->n] = name;
  words->values[words->n++] = value;
}

/* host: which one; ANY_HOST: libpq chooses. */
static void words_fill(struct words *words, const char *url, const PQconninfoOption *options, size_t host)
{
  *words = (struct words){0};
  words_add(words, "dbname", url);
  for (size_t i = 0; i < COUNT_OF(defaults); i++)
    if (option_value(options, defaults[i].name) == NULL)
      words_add(words, defaults[i].name, defaults[i].value);
  for (size_t i = 0; i < COUNT_OF(of_each_host) && host != ANY_HOST && count_hosts(options) > 1; i++) {
    const char *list = option_value(options, of_each_host[i]);
    parley_text one = list != NULL ? element_of(list, host) : (parley_text){"", 0};

    if (list == NULL)
      continue;
    words->own[i] = xcalloc(1, one.len + sizeof(DEFAULT_PORT));
    memcpy(words->own[i], one.len > 0 ? one.at : DEFAULT_PORT, one.len > 0 ? one.len : sizeof(DEFAULT_PORT));
    words_add(words, of_each_host[i], words->own[i]);
  }
}

static void no_notice(void *arg, const char *message)
{
  (void)arg;
  (void)message; /* notices are for a person at a terminal */
}

/* What libpq quotes may be the URL with its password, or a piece of one. Shown is a sign that it misses, and an option that it does
 * not know, where that looks like a name. */
static bool quote_is_shown(const char *words, const char *quoted, size_t len)
{
  static const char signs[] = "=:/]", letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  static const char *const of_options[] = {"invalid connection option ", "invalid URI query parameter: "};
  bool of_option = false;

  for (size_t i = 0; i < COUNT_OF(of_options); i++)
    of_option |= strncmp(words, of_options[i], strlen(of_options[i])) == 0;
  return (len == 1 && strchr(signs, quoted[0]) != NULL) || (of_option && len <= OPTION_BYTES_MAX && strspn(quoted, letters) == len);
}

/* libpq's words in one line, as far as they are nobody's secret. */
static void words_put(struct buf *to, const char *words)
{
  for (const char *at = words; *at != '\0' && *at != '\n'; at++) {
    size_t len = *at == '"' ? strcspn(at + 1, "\"\n") : 0;

    if (*at != '"') {
      buf_char(to, *at);
      continue;
    }
    if (at[1 + len] != '"' || !quote_is_shown(words, at + 1, len)) {
      buf_str(to, "\"...\"");
      return;
    }
    buf_add(to, at, len + 2);
    at += len + 1;
  }
}

static PQconninfoOption *options_of(const char *url, struct buf *reterr_why)
{
  char *error = NULL;
  PQconninfoOption *options = PQconninfoParse(url, &error);

  if (options == NULL) {
    buf_str(reterr_why, "store.url is no PostgreSQL connection URI (postgresql://user@host/database; signs of the password such as"
                        " @ : / ? # % are written %40 and so on) or key=value string: ");
    words_put(reterr_why, error != NULL ? error : "out of memory");
    PQfreemem(error);
  }
  return options;
}

/* What libpq or the server says, in English as Debian's servers do, and what to do about it. */
static const struct { const char *said, *remedy; } remedies[] = {
    {"Connection refused", "is the server running, at the host and port of store.url?"},
    {"could not translate host name", "correct the host in store.url"},
    {"password authentication failed", "correct the user or the password in store.url"},
    {"no password supplied", "store.url needs one: postgresql://user:password@host/database"},
    {"session is read-only", "a standby that is not promoted, or a database that takes no writes: promote it, or name the primary too"},
    {"root certificate file", "name the file of the server's CA with sslrootcert= in store.url"},
    {"certificate verify failed", "the server's certificate is not from the CA of sslrootcert"},
    {"does not match host name", "name the host in store.url as its certificate does"},
    {"permission denied", "the user of store.url must own the database, or its schema and tables"},
};

/* `from`: where in *why the newest words begin. */
static void remedy_add(struct buf *why, size_t from)
{
  const char *said = why->at != NULL ? why->at + from : "";

  for (size_t i = 0; i < COUNT_OF(remedies); i++)
    if (strstr(said, remedies[i].said) != NULL) {
      buf_printf(why, ": %s", remedies[i].remedy);
      return;
    }
  if (strstr(said, "database \"") != NULL && strstr(said, "does not exist") != NULL)
    buf_str(why, ": create it (CREATE DATABASE ... OWNER ... ENCODING 'UTF8' TEMPLATE template0), or correct its name in store.url");
}

static bool line_is_of_a_host(const char *line)
{
  static const char at[] = "connection to server", name[] = "could not translate host name";

  return strncmp(line, at, sizeof(at) - 1) == 0 || strncmp(line, name, sizeof(name) - 1) == 0;
}

/* libpq has a line for each host, and for each address of one. */
static void failure_say(PGconn *conn, struct buf *reterr_why)
{
  const char *line = PQerrorMessage(conn);
  size_t from = reterr_why->len;

  pg_say(conn, reterr_why);
  remedy_add(reterr_why, from);
  while ((line = strchr(line, '\n')) != NULL) {
    line++;
    if (!line_is_of_a_host(line))
      continue;
    buf_str(reterr_why, "; ");
    from = reterr_why->len;
    buf_printf(reterr_why, "%.*s", (int)strcspn(line, "\n"), line);
    remedy_add(reterr_why, from);
  }
}

static PGconn *connect_to(const char *url, const PQconninfoOption *options, size_t host, struct buf *reterr_why)
{
  struct words words;
  PGconn *conn;

  words_fill(&words, url, options, host);
  conn = PQconnectdbParams(words.names, words.values, 1);
  for (size_t i = 0; i < COUNT_OF(words.own); i++)
    free(words.own[i]);
  PQsetNoticeProcessor(conn, no_notice, NULL);
  if (PQstatus(conn) == CONNECTION_OK)
    return conn;
  failure_say(conn, reterr_why);
  PQfinish(conn);
  return NULL;
}

PGconn *pg_connect(const char *url, struct buf *reterr_why)
{
  PQconninfoOption *options = options_of(url, reterr_why);
  PGconn *conn = options != NULL ? connect_to(url, options, ANY_HOST, reterr_why) : NULL;

  PQconninfoFree(options);
  return conn;
}

parley_status pg_reach(const struct store_config *config, bool connect, struct buf *reterr_why)
{
  PQconninfoOption *options = options_of(config->url, reterr_why);
  PGconn *conn = options != NULL && connect ? connect_to(config->url, options, ANY_HOST, reterr_why) : NULL;
  parley_status st = options != NULL && !connect ? PARLEY_OK : PARLEY_FAILED;

  if (conn != NULL)
    st = pg_server_fits(conn, reterr_why);
  PQfinish(conn);
  PQconninfoFree(options);
  return st;
}

/* A commit that is not flushed is none of ours: `off` is turned on, stricter words stay. Each of our statements finds its rows by an
 * index, a few at a time; a plan that was made while a table was small, and is kept, must not walk it when it has grown. The server
 * learns soon that we are gone, however silently: what we held is free for whoever comes after us. */
bool pg_tune(PGconn *conn, struct buf *reterr_why)
{
  char sql[768], check[64] = "";

  if (PQserverVersion(conn) >= 140000)
    snprintf(check, sizeof(check), " SET client_connection_check_interval=%d;", CHECK_CLIENT_MS);
  snprintf(sql, sizeof(sql), "SET statement_timeout=%d; SET idle_in_transaction_session_timeout=%d; SET lock_timeout=%d;"
                             " SET tcp_keepalives_idle=5; SET tcp_keepalives_interval=2; SET tcp_keepalives_count=3;"
                             " SET tcp_user_timeout=" TCP_TIMEOUT ";%s"
                             " SET plan_cache_mode=force_generic_plan; SET jit=off; SET enable_seqscan=off;"
                             " SET enable_hashjoin=off; SET enable_mergejoin=off;"
                             " SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')='off'",
           STATEMENT_TIMEOUT_MS, IDLE_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, check);
  if (pg_run_soon(conn, sql))
    return true;
  pg_say(conn, reterr_why);
  return false;
}

static PGconn *connect_and_tune(const struct pg_connecting *connecting, const PQconninfoOption *options, size_t host,
                                struct buf *reterr_why)
{
  PGconn *conn = connect_to(connecting->url, options, host, reterr_why);

  if (conn == NULL || pg_tune(conn, reterr_why))
    return conn;
  PQfinish(conn);
  return NULL;
}

/* --- a pool between us and the server --------------------------------------------------------------------------------------------- */

static const char pooled[] =
    "store: behind this address is a pool that gives each transaction another session (pgbouncer: pool_mode = transaction or"
    " statement): set pool_mode = session for this database and user, or name the server itself in store.url";

/* pgbouncer says so itself in statement mode, without the remedy. */
static void pooled_add(struct buf *why)
{
  if (why->at != NULL && strstr(why->at, "statement pooling mode") != NULL)
    buf_printf(why, "; %s", pooled);
}

/* --- the writer: one server of several -------------------------------------------------------------------------------------------- */

/* How often a standby was promoted in its history; -1: it cannot be asked, or takes no writes. */
static int64_t history_of(const char *url, const PQconninfoOption *options, size_t host)
{
  struct buf why = BUF_INIT(256);
  PGconn *conn = connect_to(url, options, host, &why);
  int64_t history = -1;

  if (conn != NULL)
    history = pg_number_soon(conn, "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint"
                                   " WHERE NOT pg_is_in_recovery()", -1);
  PQfinish(conn);
  buf_done(&why);
  return history;
}

/* At a start nothing is known of before: of several servers that take writes, an old primary that came back may be one, and the
 * promoted one comes first. */
static size_t host_to_start_with(const char *url, const PQconninfoOption *options, size_t n_hosts)
{
  int64_t best = -1;
  size_t first = 0;

  for (size_t i = 0; i < n_hosts && n_hosts > 1; i++) {
    int64_t history = history_of(url, options, i);

    if (history > best) {
      best = history;
      first = i;
    }
  }
  return first;
}

/* OK: conns[0] is ours. CLOSED: no server will do any more. Otherwise: not this one. */
static parley_status writer_try(struct pg_connecting *connecting, const PQconninfoOption *options, size_t host)
{
  PGconn *conn = connect_and_tune(connecting, options, host, &connecting->why);
  parley_status st = PARLEY_RETRY;
  size_t from = connecting->why.len;

  if (conn == NULL)
    return st;
  st = pg_schema_open(conn, connecting->store, &connecting->why);
  if (st == PARLEY_OK)
    st = pg_session_take(conn, connecting->store->base.config.node, &connecting->session, &connecting->why);
  if (st == PARLEY_OK)
    st = pg_marks_open(conn, connecting->store, &connecting->why);
  if (st != PARLEY_OK) {
    pooled_add(&connecting->why);
    remedy_add(&connecting->why, from);
    PQfinish(conn);
    return st;
  }
  connecting->conns[0] = conn;
  connecting->host = host;
  return st;
}

static parley_status writer_connect(struct pg_connecting *connecting, const PQconninfoOption *options)
{
  size_t n_hosts = count_hosts(options), first = connecting->host;
  parley_status st = PARLEY_RETRY, worst = PARLEY_RETRY;

  if (connecting->session.id == 0)
    first = host_to_start_with(connecting->url, options, n_hosts);
  for (size_t i = 0; i < n_hosts && st != PARLEY_OK && st != PARLEY_CLOSED; i++) {
    if (i > 0)
      buf_str(&connecting->why, "; ");
    st = writer_try(connecting, options, (first + i) % n_hosts);
    if (st == PARLEY_REJECTED)
      worst = st;
  }
  return st == PARLEY_OK || st == PARLEY_CLOSED ? st : worst;
}

/* --- readers -------------------------------------------------------------------------------------------------------------------- */

/* A session that is ours has the same process behind it all the time. A pool may take turns with few: one look is not enough. */
static bool writer_is_ours(const struct pg_connecting *connecting)
{
  bool ours = true;

  for (int i = 0; i < POOL_LOOKS && ours && connecting->conns[0] != NULL; i++)
    ours = pg_number_soon(connecting->conns[0], "SELECT pg_backend_pid()", 0) == connecting->session.pid;
  return ours;
}

/* The writer's server, and a session of its own there: it sees the writer's lock, and is not the one who holds it. */
static parley_status reader_is_beside(PGconn *conn, const struct pg_connecting *connecting, struct buf *reterr_why)
{
  char sql[384];
  int64_t sees;

  snprintf(sql, sizeof(sql), "SELECT CASE WHEN pg_backend_pid()=%d THEN 2 WHEN EXISTS (SELECT 1 FROM pg_locks WHERE"
                             " locktype='advisory' AND classid=%d AND objid=%u AND objsubid=2 AND pid=%d) THEN 1 ELSE 0 END",
           connecting->session.pid, PG_LOCK_SCHEMA, PG_LOCK_NODE + connecting->store->base.config.node, connecting->session.pid);
  sees = pg_number_soon(conn, sql, -1);
  if (sees == 1)
    return PARLEY_OK;
  if (sees < 0)
    return pg_say(conn, reterr_why);
  buf_str(reterr_why, sees == 2 || !writer_is_ours(connecting) ? pooled
                                                               : "store: a second connection came to another server than the first");
  return PARLEY_FAILED;
}

static parley_status reader_connect(struct pg_connecting *connecting, const PQconninfoOption *options, PGconn **ret)
{
  PGconn *conn = connect_and_tune(connecting, options, connecting->host, &connecting->why);
  parley_status st = conn != NULL ? reader_is_beside(conn, connecting, &connecting->why) : PARLEY_RETRY;

  if (st == PARLEY_OK)
    *ret = conn;
  else
    PQfinish(conn);
  return st;
}

/* --- all that are wanted ---------------------------------------------------------------------------------------------------------- */

static parley_status run_with(struct pg_connecting *connecting, const PQconninfoOption *options)
{
  parley_status st = connecting->wanted[0] ? writer_connect(connecting, options) : PARLEY_OK;

  for (size_t i = 1; i < COUNT_OF(connecting->conns) && st == PARLEY_OK; i++)
    if (connecting->wanted[i])
      st = reader_connect(connecting, options, &connecting->conns[i]);
  if (st == PARLEY_OK && !writer_is_ours(connecting)) {
    buf_str(&connecting->why, pooled);
    st = PARLEY_FAILED;
  }
  return st;
}

void pg_connecting_run(struct pg_connecting *connecting)
{
  PQconninfoOption *options = options_of(connecting->url, &connecting->why);

  connecting->status = options != NULL ? run_with(connecting, options) : PARLEY_FAILED;
  PQconninfoFree(options);
}

static bool is_gone(const struct pg_link *link)
{
  return link->conn == NULL || link->lost;
}

struct pg_connecting *pg_connecting_new(struct pg_store *store)
{
  struct pg_connecting *connecting = xcalloc(1, sizeof(*connecting));

  connecting->store = store;
  connecting->url = xstrdup(store->url);
  connecting->why = (struct buf)BUF_INIT(1024);
  connecting->begun_ms = store->base.env->mono_ms(store->base.env);
  connecting->session = store->session;
  connecting->session.turn++;
  connecting->host = store->host;
  connecting->wanted[0] = is_gone(&store->writer);
  for (size_t i = 0; i < PG_READERS; i++) /* with the writer all move to where it stands */
    connecting->wanted[1 + i] = connecting->wanted[0] || is_gone(&store->readers[i].link);
  return connecting;
}

void pg_connecting_free(struct pg_connecting *connecting)
{
  for (size_t i = 0; i < COUNT_OF(connecting->conns); i++)
    if (connecting->conns[i] != NULL)
      PQfinish(connecting->conns[i]);
  buf_done(&connecting->why);
  free(connecting->url);
  free(connecting);
}
