/* postgres_schema.c - tables on PostgreSQL, and how those of an older version become ours. The same tables as sqlite_schema.c, under
 * the same version numbers; what SQLite writes behind (timeline_recent, idem_*, mark) has no table here. All numbers are bigint, texts
 * compare by bytes (COLLATE "C"), JSON and bodies are bytea: kept as they came. */
#include "postgres.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_VERSION_MIN 150000
#define PG_LOCK_ALONE_MS 10000
#define PG_LOCK_SHARED_MS 2000

static const char schema_1[] =
    "CREATE TABLE counter(id bigint PRIMARY KEY, last_id bigint, accepted bigint, s0 bigint, s1 bigint, s2 bigint, s3 bigint,"
    " s4 bigint, s5 bigint, s6 bigint, s7 bigint, s8 bigint, s9 bigint, inbound bigint, duplicates bigint, other_body bigint)"
    " WITH (fillfactor=20);"
    "INSERT INTO counter VALUES(1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0);"
    /* the log's seq: a round takes the next slot of this row, which is locked until its commit: so seq is in order of commits */
    "CREATE TABLE seq(id bigint PRIMARY KEY, last bigint) WITH (fillfactor=20);"
    "INSERT INTO seq VALUES(1, 0);"
    /* one row each start of a daemon. round: the newest round that was committed under it; alive: by the database's clock, ms */
    "CREATE TABLE session(id bigint PRIMARY KEY, node bigint, started bigint, alive bigint, round bigint) WITH (fillfactor=20);"

    "CREATE TABLE message(id bigint PRIMARY KEY, dir bigint, kind bigint, customer bigint, identity bigint, conversation bigint,"
    " api_key bigint, created bigint, at bigint, expires bigint, not_before bigint, flags bigint, class bigint, n_steps bigint,"
    " n_go bigint, end_state bigint, topic text, key text, campaign text, channel text, channel_kind text, provider_id text,"
    " in_reply_to text, reason text, decision bytea, body bytea);"
    "CREATE TABLE body(message bigint PRIMARY KEY, bytes bytea);"
    "CREATE TABLE raw(message bigint PRIMARY KEY, bytes bytea);"

    "CREATE TABLE delivery(message bigint, step bigint, id bigint, customer bigint, identity bigint, conversation bigint,"
    " channel text COLLATE \"C\", channel_kind text, lane bigint, state bigint, facts bigint DEFAULT 0, due bigint, wake bigint,"
    " expires bigint, attempt bigint, token bigint, session bigint, held bigint DEFAULT 0, maybe_twice bigint DEFAULT 0,"
    " cancelled bigint DEFAULT 0, query bigint DEFAULT 0, ordered bigint, handed bigint DEFAULT 0, started bigint,"
    " attempt_started bigint, outcome bigint DEFAULT 0, address_kind text, address text, until bigint, within bigint,"
    " parts bigint DEFAULT 0, part_delivered bigint DEFAULT 0, part_read bigint DEFAULT 0, provider_id text DEFAULT '',"
    " provider_ids text DEFAULT '', degraded text DEFAULT '', reason text DEFAULT '', PRIMARY KEY(message, step))"
    " WITH (fillfactor=75);"
    "CREATE INDEX delivery_due ON delivery(channel, lane, due) WHERE state=0 OR query=1;"
    "CREATE INDEX delivery_sending ON delivery(session) WHERE state=1;"
    "CREATE INDEX delivery_wake ON delivery(wake) WHERE wake>0;"
    "CREATE INDEX delivery_ordered ON delivery(channel, customer) WHERE ordered=1 AND state<3;"
    "CREATE INDEX delivery_held ON delivery(message) WHERE held=1;"
    "CREATE TABLE attempt(message bigint, step bigint, token bigint, id bigint, number bigint, started bigint, ended bigint,"
    " outcome bigint, code text, detail text, provider_id text, PRIMARY KEY(message, step, token));"
    "CREATE TABLE provider_ref(h bigint PRIMARY KEY, channel text, provider_id text, message bigint, step bigint, part bigint);"
    "CREATE TABLE park(id bigint PRIMARY KEY, h bigint, channel text, provider_id text, receipt bigint, outcome bigint, at bigint,"
    " code text, detail text, parked bigint);"
    "CREATE INDEX park_h ON park(h);"

    "CREATE TABLE event(seq bigint PRIMARY KEY, type text, at bigint, customer bigint, identity bigint, conversation bigint,"
    " message bigint, data text);"
    "CREATE TABLE timeline(customer bigint, at bigint, seq bigint, kind bigint, PRIMARY KEY(customer, at, seq));"

    "CREATE TABLE answer(id bigint PRIMARY KEY, h bigint, api_key bigint, route text, key text, body_hash bytea, status bigint,"
    " body text, at bigint);"
    "CREATE UNIQUE INDEX answer_h ON answer(h);"
    "CREATE TABLE business_key(h bigint PRIMARY KEY, key text, message bigint, at bigint);"

    "CREATE TABLE customer(id bigint PRIMARY KEY, merged_into bigint, created bigint, updated bigint, flags bigint,"
    " conversation bigint, name text, locale text, timezone text, attributes text, tags text) WITH (fillfactor=85);"
    "CREATE INDEX customer_merged ON customer(merged_into) WHERE merged_into>0;"
    "CREATE TABLE identity(h bigint PRIMARY KEY, id bigint, customer bigint, kind text, value text COLLATE \"C\", raw text,"
    " assurance bigint, created bigint, used bigint, blocked bigint) WITH (fillfactor=85);"
    "CREATE TABLE customer_identity(customer bigint, h bigint, PRIMARY KEY(customer, h));"
    "CREATE TABLE identity_log(id bigint PRIMARY KEY, at bigint, what text, customer bigint, identity bigint, kind text, value text,"
    " message bigint);"
    "CREATE TABLE consent(seq bigint PRIMARY KEY, customer bigint, topic text COLLATE \"C\", channel_kind text COLLATE \"C\","
    " granted bigint, at bigint, source text, proof text);"
    "CREATE INDEX consent_customer ON consent(customer, topic);"
    "CREATE TABLE suppression(id bigint PRIMARY KEY, h bigint, kind text, value text COLLATE \"C\", reason text, at bigint,"
    " removed bigint);"
    "CREATE INDEX suppression_h ON suppression(h) WHERE removed=0;"
    "CREATE INDEX suppression_live ON suppression(id) WHERE removed=0;"

    "CREATE TABLE conversation(id bigint PRIMARY KEY, customer bigint, identity bigint, state text COLLATE \"C\","
    " assignee text COLLATE \"C\", tags text, channel text, channel_kind text, subject text, opened bigint, updated bigint,"
    " closed bigint, last_inbound bigint, version bigint) WITH (fillfactor=85);"
    "CREATE INDEX conversation_customer ON conversation(customer, id);"
    "CREATE INDEX conversation_state ON conversation(state, id);"
    "CREATE INDEX conversation_assignee ON conversation(assignee, id) WHERE assignee<>'';"
    "CREATE TABLE seen(h bigint PRIMARY KEY, what bytea, id bigint, body_hash bytea, at bigint);"

    "CREATE TABLE doc(id bigint PRIMARY KEY, kind text COLLATE \"C\", name text COLLATE \"C\", version bigint, at bigint, json text);"
    "CREATE UNIQUE INDEX doc_name ON doc(kind, name);"
    "CREATE TABLE media(id bigint PRIMARY KEY, sha256 bytea, type text, name text, at bigint, bytes bytea);"
    "ALTER TABLE media ALTER COLUMN bytes SET STORAGE EXTERNAL;" /* a piece is read without the rest */
    "CREATE UNIQUE INDEX media_sha256 ON media(sha256);"
    "CREATE TABLE feed_cursor(subscription bigint PRIMARY KEY, cursor bigint) WITH (fillfactor=50);"
    "CREATE TABLE feed_pending(subscription bigint, seq bigint, customer bigint, attempts bigint, due bigint, dead bigint,"
    " last_error text, PRIMARY KEY(subscription, seq));"
    "CREATE INDEX feed_due ON feed_pending(subscription, dead, due);";

static const char schema_2[] = "ALTER TABLE delivery ADD COLUMN deaths bigint DEFAULT 0;";

static const char schema_3[] = "CREATE TABLE expired(name text PRIMARY KEY, upto bigint);"
                               "CREATE TABLE late(message bigint PRIMARY KEY);";

static const char schema_4[] =
    "CREATE TABLE thread(conversation bigint, message bigint, channel text COLLATE \"C\", provider_id text, inbound bigint,"
    " PRIMARY KEY(conversation, message));"
    "CREATE TABLE bounce(h bigint PRIMARY KEY, n bigint, message bigint, sent bigint, at bigint);"
    "ALTER TABLE suppression ADD COLUMN message bigint DEFAULT 0, ADD COLUMN code text DEFAULT '', ADD COLUMN detail text DEFAULT '';";

static const char schema_5[] =
    "ALTER TABLE delivery ADD COLUMN part_failed bigint DEFAULT 0, ADD COLUMN part_code text DEFAULT '';";

static const char schema_6[] =
    "CREATE TABLE joining(id bigint PRIMARY KEY, h bigint, what bytea, channel text COLLATE \"C\", channel_kind text, sender text,"
    " total bigint, due bigint, opened bigint, done bigint, message bigint, why text);"
    "CREATE UNIQUE INDEX joining_h ON joining(h);"
    "CREATE INDEX joining_due ON joining(due) WHERE done=0;"
    "CREATE INDEX joining_open ON joining(channel, id) WHERE done=0;"
    "CREATE INDEX joining_done ON joining(done) WHERE done>0;"
    "CREATE TABLE piece(joining bigint, part bigint, hash bytea, at bigint, came bigint, flags bigint, provider_id text,"
    " in_reply_to text, token bigint, text text, body bytea, raw bytea, PRIMARY KEY(joining, part));"
    "ALTER TABLE suppression ADD COLUMN channel_kind text DEFAULT '';";

static const struct migration {
  int version, readable_from; /* readable_from: the oldest STORE_SCHEMA_VERSION of a binary that can use the result */
  const char *sql;
} migrations[] = {
    {1, 1, schema_1},
    {2, 1, schema_2},
    {3, 1, schema_3},
    {4, 1, schema_4},
    {5, 1, schema_5},
    {6, 1, schema_6},
};

/* --- migrations ---------------------------------------------------------------------------------------------------------------- */

static bool seed(PGconn *conn, const struct env *env)
{
  uint8_t secret[32], hash_key[sizeof(struct hash_key)];

  env->random(env, secret, sizeof(secret));
  env->random(env, hash_key, sizeof(hash_key));
  return pg_meta_put(conn, "secret", secret, sizeof(secret)) && pg_meta_put(conn, "hash_key", hash_key, sizeof(hash_key));
}

/* version and readable_from stand in `parley_schema`: the row that says whose tables these are. */
static bool step(PGconn *conn, const struct migration *migration, const struct env *env)
{
  char stamp[128];

  snprintf(stamp, sizeof(stamp), "UPDATE parley_schema SET version=%d, readable_from=%d", migration->version,
           migration->readable_from);
  /* an index over many rows takes as long as it takes */
  return pg_run(conn, "BEGIN") && pg_run(conn, "SET LOCAL statement_timeout=0") && pg_run(conn, migration->sql) &&
         (migration->version > 1 || seed(conn, env)) && pg_run(conn, stamp) && pg_run(conn, "COMMIT");
}

static bool ours_begin(PGconn *conn)
{
  return pg_run(conn, "CREATE TABLE IF NOT EXISTS parley_schema(version bigint, readable_from bigint);"
                      " INSERT INTO parley_schema SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM parley_schema);"
                      " CREATE TABLE IF NOT EXISTS meta(name text PRIMARY KEY, value bytea)");
}

static parley_status migrate(PGconn *conn, const struct env *env, struct buf *reterr_why)
{
  long long there = pg_number(conn, "SELECT count(*) FROM pg_class WHERE oid=to_regclass('parley_schema')", -1), version;

  if (pg_number(conn, "SELECT count(*) FROM pg_class WHERE oid=to_regclass('" PG_RESTORING_TABLE "')", 0) == 1)
    return mark_refuse_restoring(reterr_why);
  if (there == 0 && pg_number(conn, "SELECT count(*) FROM pg_class WHERE relnamespace=current_schema()::regnamespace AND"
                                    " relkind='r'", 0) > 0) {
    buf_str(reterr_why, "store: the database holds tables of another program: give Parley a database or a schema of its own");
    return PARLEY_FAILED;
  }
  if (there < 0 || (there == 0 && !ours_begin(conn)))
    return pg_say(conn, reterr_why);
  version = pg_number(conn, "SELECT version FROM parley_schema", -1);
  if (version < 0)
    return pg_say(conn, reterr_why);
  if (version > STORE_SCHEMA_VERSION && pg_number(conn, "SELECT readable_from FROM parley_schema", INT64_MAX) > STORE_SCHEMA_VERSION) {
    buf_printf(reterr_why, "store: the database was written by a newer Parley (schema %lld; this one knows %d): run that or a"
                           " newer one", version, STORE_SCHEMA_VERSION);
    return PARLEY_FAILED;
  }
  for (size_t i = 0; i < COUNT_OF(migrations); i++)
    if (migrations[i].version > version && !step(conn, &migrations[i], env))
      return pg_say(conn, reterr_why);
  return PARLEY_OK;
}

/* At the first opening they become ours; later they must be the same: another store under the same name is none of ours. */
static parley_status meta_read(PGconn *conn, struct pg_store *store, struct buf *reterr_why)
{
  struct hash_key key;
  uint8_t secret[sizeof(store->base.secret)];

  if (!pg_meta_get(conn, "secret", secret, sizeof(secret)) || !pg_meta_get(conn, "hash_key", &key, sizeof(key))) {
    buf_str(reterr_why, "store: table meta is damaged");
    return PARLEY_FAILED;
  }
  if (store->base.session == 0) {
    memcpy(store->base.secret, secret, sizeof(secret));
    store->base.hash_key = key;
  } else if (memcmp(secret, store->base.secret, sizeof(secret)) != 0) {
    buf_str(reterr_why, "store: the database that answers now holds another store");
    return PARLEY_FAILED;
  }
  return PARLEY_OK;
}

parley_status pg_marks_open(PGconn *conn, const struct pg_store *store, struct buf *reterr_why)
{
  int64_t copying = pg_number_soon(conn, "SELECT count(*) FROM meta WHERE name='" MARK_COPYING "'", -1);
  int64_t moved = pg_number_soon(conn, "SELECT count(*) FROM meta WHERE name='" MARK_MOVED "'", -1);

  if (copying < 0 || moved < 0)
    return pg_say(conn, reterr_why);
  return marks_judge(copying > 0, moved > 0, store->base.config.restored, reterr_why);
}

parley_status pg_server_fits(PGconn *conn, struct buf *reterr_why)
{
  if (PQserverVersion(conn) < SERVER_VERSION_MIN) {
    buf_printf(reterr_why, "store: the server is PostgreSQL %s: %d or newer is needed", PQparameterStatus(conn, "server_version"),
               SERVER_VERSION_MIN / 10000);
    return PARLEY_FAILED;
  }
  if (strcmp(PQparameterStatus(conn, "server_encoding"), "UTF8") != 0) {
    buf_printf(reterr_why, "store: the database's encoding is %s: create it with ENCODING 'UTF8'",
               PQparameterStatus(conn, "server_encoding"));
    return PARLEY_FAILED;
  }
  return PARLEY_OK;
}

parley_status pg_schema_open(PGconn *conn, struct pg_store *store, struct buf *reterr_why)
{
  char lock[96];
  parley_status st;

  st = pg_server_fits(conn, reterr_why);
  if (st != PARLEY_OK)
    return st;
  if (store->base.session != 0) /* it was opened before: nothing is made in a database that should have it all */
    return meta_read(conn, store, reterr_why);
  snprintf(lock, sizeof(lock), "SELECT pg_advisory_lock(%d, %d)", PG_LOCK_SCHEMA, PG_LOCK_MIGRATE);
  if (!pg_run(conn, lock))
    return pg_say(conn, reterr_why);
  st = migrate(conn, store->base.env, reterr_why);
  if (st != PARLEY_OK)
    pg_run(conn, "ROLLBACK");
  snprintf(lock, sizeof(lock), "SELECT pg_advisory_unlock(%d, %d)", PG_LOCK_SCHEMA, PG_LOCK_MIGRATE);
  pg_run(conn, lock);
  return st == PARLEY_OK ? meta_read(conn, store, reterr_why) : st;
}

/* Daemons share it, another copy has it alone. Whoever has it may have been killed, and the server has not missed the connection
 * yet: that is waited for, longer where it can be in the middle of a piece. */
static long long lock_alone_try(PGconn *conn)
{
  char sql[256];
  long long got;
  bool shared;

  snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, %d)::int", PG_LOCK_SCHEMA, PG_LOCK_IN_USE);
  got = pg_number(conn, sql, -1);
  if (got != 0)
    return got;
  snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_locks WHERE locktype='advisory' AND classid=%d AND objid=%d AND mode='ShareLock'"
                             " AND database=(SELECT oid FROM pg_database WHERE datname=current_database())",
           PG_LOCK_SCHEMA, PG_LOCK_IN_USE);
  shared = pg_number(conn, sql, 1) != 0;
  snprintf(sql, sizeof(sql), "SET lock_timeout=%d; SELECT count(*) FROM pg_advisory_lock(%d, %d)",
           shared ? PG_LOCK_SHARED_MS : PG_LOCK_ALONE_MS, PG_LOCK_SCHEMA, PG_LOCK_IN_USE);
  return pg_number(conn, sql, 0);
}

parley_status pg_lock_alone(PGconn *conn, struct buf *reterr_why)
{
  switch (lock_alone_try(conn)) {
  case 1:
    return PARLEY_OK;
  case 0:
    buf_str(reterr_why, "store: the database is in use by a parleyd, or by another copy or restore: stop that first");
    return PARLEY_REJECTED;
  default:
    return pg_say(conn, reterr_why);
  }
}
