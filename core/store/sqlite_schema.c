/* sqlite_schema.c - tables, and how a file of an older version becomes one of ours.
 *
 * Ids and event seqs come from one rising source, so all but few tables are appended in key order. `message` is never
 * updated: what changes is narrow and stands in `delivery`. Tables idem_YYYYMMDD and timeline_recent/timeline are
 * written behind (sqlite_tail.c) and can be rebuilt from `answer`, `message` and `event` beyond their mark. */
#include "core/base/text.h"
#include "sqlite.h"
#include <string.h>

#define SCHEMA_QUICK_CHECK_BYTES ((int64_t)64 << 20) /* a larger file is not read through at each start */

static const char schema_1[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE counter(id INTEGER PRIMARY KEY, last_id, accepted, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, inbound,"
    " duplicates, other_body);"
    "INSERT INTO counter VALUES(1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0);"
    /* how far a written-behind table has got: every id up to `upto` is in it */
    "CREATE TABLE mark(name TEXT PRIMARY KEY, upto) WITHOUT ROWID;"

    /* decision: decision_write()'s JSON. n_go: steps decided as sendable. end_state: enum message_state of one that has
     * no delivery, else -1. body: empty when flags has MESSAGE_BODY_APART. */
    "CREATE TABLE message(id INTEGER PRIMARY KEY, dir, kind, customer, identity, conversation, api_key, created, at, "
    "expires,"
    " not_before, flags, class, n_steps, n_go, end_state, topic, key, campaign, channel, channel_kind, provider_id,"
    " in_reply_to, reason, decision, body);"
    "CREATE TABLE body(message INTEGER PRIMARY KEY, bytes);"
    "CREATE TABLE raw(message INTEGER PRIMARY KEY, bytes);"

    /* Begun steps only. started: the step; attempt_started: its newest attempt. facts: FACT_*. due: QUEUED, not before.
     * wake: when expiry or a lapsed `within` must be looked at; 0: nothing to look at. query: the next claim asks
     * instead of sending. parts: how many provider ids; part_delivered, part_read: one bit for each. degraded,
     * provider_ids: JSON arrays or ''. */
    "CREATE TABLE delivery(message, step, id, customer, identity, conversation, channel, channel_kind, lane, state,"
    " facts DEFAULT 0, due, wake, expires, attempt, token, session, held DEFAULT 0, maybe_twice DEFAULT 0,"
    " cancelled DEFAULT 0, query DEFAULT 0, ordered, handed DEFAULT 0, started, attempt_started, outcome DEFAULT 0,"
    " address_kind, address, until, within, parts DEFAULT 0, part_delivered DEFAULT 0, part_read DEFAULT 0,"
    " provider_id DEFAULT '', provider_ids DEFAULT '', degraded DEFAULT '', reason DEFAULT '',"
    " PRIMARY KEY(message, step)) WITHOUT ROWID;"
    "CREATE INDEX delivery_due ON delivery(channel, lane, due) WHERE state=0 OR query=1;"
    "CREATE INDEX delivery_sending ON delivery(session) WHERE state=1;"
    "CREATE INDEX delivery_wake ON delivery(wake) WHERE wake>0;"
    "CREATE INDEX delivery_ordered ON delivery(channel, customer) WHERE ordered=1 AND state<3;"
    "CREATE INDEX delivery_held ON delivery(message) WHERE held=1;"
    /* Ended attempts; the open one is its delivery while that is SENDING. The token names it: an attempt that cost
     * nothing gives its number back. */
    "CREATE TABLE attempt(message, step, token, id, number, started, ended, outcome, code, detail, provider_id,"
    " PRIMARY KEY(message, step, token)) WITHOUT ROWID;"
    /* h: hash of channel and provider id; a twin of another id goes to h+1 */
    "CREATE TABLE provider_ref(h INTEGER PRIMARY KEY, channel, provider_id, message, step, part);"
    "CREATE TABLE park(id INTEGER PRIMARY KEY, h, channel, provider_id, receipt, outcome, at, code, detail, parked);"
    "CREATE INDEX park_h ON park(h);"

    "CREATE TABLE event(seq INTEGER PRIMARY KEY, type, at, customer, identity, conversation, message, data);"
    "CREATE TABLE timeline_recent(customer, at, seq, kind, PRIMARY KEY(customer, at, seq)) WITHOUT ROWID;"
    "CREATE TABLE timeline(customer, at, seq, kind, PRIMARY KEY(customer, at, seq)) WITHOUT ROWID;"

    /* Answers of requests with an Idempotency-Key; its index is idem_recent and idem_YYYYMMDD, alike, made day by day. */
    "CREATE TABLE answer(id INTEGER PRIMARY KEY, h, api_key, route, key, body_hash, status, body, at);"
    "CREATE TABLE idem_recent(h INTEGER PRIMARY KEY, answer);"
    "CREATE TABLE business_key(h INTEGER PRIMARY KEY, key, message, at);"

    /* conversation: the open one, or 0. flags: CUSTOMER_* */
    "CREATE TABLE customer(id INTEGER PRIMARY KEY, merged_into, created, updated, flags, conversation, name, locale, "
    "timezone,"
    " attributes, tags);"
    "CREATE INDEX customer_merged ON customer(merged_into) WHERE merged_into>0;"
    /* h: identity_hash(kind, value), a twin of another one goes to h+1. customer 0: nobody's any more. */
    "CREATE TABLE identity(h INTEGER PRIMARY KEY, id, customer, kind, value, raw, assurance, created, used, blocked);"
    "CREATE TABLE customer_identity(customer, h, PRIMARY KEY(customer, h)) WITHOUT ROWID;"
    "CREATE TABLE identity_log(id INTEGER PRIMARY KEY, at, what, customer, identity, kind, value, message);"
    "CREATE TABLE consent(seq INTEGER PRIMARY KEY, customer, topic, channel_kind, granted, at, source, proof);"
    "CREATE INDEX consent_customer ON consent(customer, topic);"
    /* removed: 0, or when it was lifted; rows are never deleted. */
    "CREATE TABLE suppression(id INTEGER PRIMARY KEY, h, kind, value, reason, at, removed);"
    "CREATE INDEX suppression_h ON suppression(h) WHERE removed=0;"
    "CREATE INDEX suppression_live ON suppression(id) WHERE removed=0;"

    "CREATE TABLE conversation(id INTEGER PRIMARY KEY, customer, identity, state, assignee, tags, channel, "
    "channel_kind,"
    " subject, opened, updated, closed, last_inbound, version);"
    "CREATE INDEX conversation_customer ON conversation(customer);"
    "CREATE INDEX conversation_state ON conversation(state);"
    "CREATE INDEX conversation_assignee ON conversation(assignee) WHERE assignee<>'';"
    /* What came in once: channel and event id, or touchpoint key. id: its message, or its event's seq. */
    "CREATE TABLE seen(h INTEGER PRIMARY KEY, what, id, body_hash, at);"

    "CREATE TABLE doc(id INTEGER PRIMARY KEY, kind, name, version, at, json);"
    "CREATE UNIQUE INDEX doc_name ON doc(kind, name);"
    "CREATE TABLE media(id INTEGER PRIMARY KEY, sha256, type, name, at, bytes);"
    "CREATE UNIQUE INDEX media_sha256 ON media(sha256);"
    "CREATE TABLE feed_cursor(subscription INTEGER PRIMARY KEY, cursor);"
    "CREATE TABLE feed_pending(subscription, seq, customer, attempts, due, dead, last_error, PRIMARY KEY(subscription, "
    "seq))"
    " WITHOUT ROWID;"
    "CREATE INDEX feed_due ON feed_pending(subscription, dead, due);";

/* deaths: how often the plugin's process died with it in hand. A binary of version 1 leaves it as it is. */
static const char schema_2[] = "ALTER TABLE delivery ADD COLUMN deaths DEFAULT 0;";

/* expired: of each kind that is kept for a time, the newest that was looked at; "event" is where the log begins. late: messages that
 * were passed over then, since they may still be sent. A binary before version 3 lets nothing go. */
static const char schema_3[] = "CREATE TABLE expired(name TEXT PRIMARY KEY, upto) WITHOUT ROWID;"
                               "CREATE TABLE late(message INTEGER PRIMARY KEY);";

/* thread: what a conversation's mails and chats are called by their providers, for References and replies. bounce: by
 * identity_hash(); n: soft bounces in a row, the last one of `message`; sent: the first message after it that was taken, 0: none.
 * suppression: what it came from. */
static const char schema_4[] =
    "CREATE TABLE thread(conversation, message, channel, provider_id, inbound, PRIMARY KEY(conversation, message)) WITHOUT ROWID;"
    "CREATE TABLE bounce(h INTEGER PRIMARY KEY, n, message, sent, at);"
    "ALTER TABLE suppression ADD COLUMN message DEFAULT 0;"
    "ALTER TABLE suppression ADD COLUMN code DEFAULT '';"
    "ALTER TABLE suppression ADD COLUMN detail DEFAULT '';";

/* part_failed: a bit for each part, as part_delivered; part_code: the code of a receipt that said so. */
static const char schema_5[] = "ALTER TABLE delivery ADD COLUMN part_failed DEFAULT 0;"
                               "ALTER TABLE delivery ADD COLUMN part_code DEFAULT '';";

/* joining: a text that comes in pieces. h: of channel, sender, key and total (`what`); a twin goes to h+1. due: when it is delivered as
 * it is, 0: at once; why: of one that is due before its time. done: 0, or when its message was made, which is `message`. sender: who
 * wrote, as JSON. piece: what came of it; text, body and raw are empty once it is done.
 * suppression.channel_kind: '' is every kind; else what was said by STOP there. */
static const char schema_6[] =
    "CREATE TABLE joining(id INTEGER PRIMARY KEY, h, what, channel, channel_kind, sender, total, due, opened, done, message, why);"
    "CREATE UNIQUE INDEX joining_h ON joining(h);"
    "CREATE INDEX joining_due ON joining(due) WHERE done=0;"
    "CREATE INDEX joining_open ON joining(channel, id) WHERE done=0;"
    "CREATE INDEX joining_done ON joining(done) WHERE done>0;"
    "CREATE TABLE piece(joining, part, hash, at, came, flags, provider_id, in_reply_to, token, text, body, raw,"
    " PRIMARY KEY(joining, part)) WITHOUT ROWID;"
    "ALTER TABLE suppression ADD COLUMN channel_kind DEFAULT '';";

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

static parley_status schema_fail(const struct db *db, struct buf *reterr_why, const char *doing)
{
  buf_printf(reterr_why, "store: %s: %s: %s", sqlite3_db_filename(sqlite_handle(db), "main"), doing, db->why);
  return PARLEY_FAILED;
}

static parley_status schema_refuse(const struct db *db, struct buf *reterr_why, const char *why)
{
  buf_printf(reterr_why, "store: %s: %s", sqlite3_db_filename(sqlite_handle(db), "main"), why);
  return PARLEY_FAILED;
}

/* The secret signs cursors and links, the hash key spreads strangers' keys over our tables: both are made with the
 * file. */
static void schema_seed(struct db *db, const struct env *env)
{
  uint8_t secret[32], hash_key[sizeof(struct hash_key)];
  struct stmt *put = db_sql(db, "INSERT INTO meta(name, value) VALUES(?, ?)");

  env->random(env, secret, sizeof(secret));
  env->random(env, hash_key, sizeof(hash_key));
  bind_str(put, 1, "secret");
  bind_blob(put, 2, (parley_bytes){(const char *)secret, sizeof(secret)});
  db_run(put);
  bind_str(put, 1, "hash_key");
  bind_blob(put, 2, (parley_bytes){(const char *)hash_key, sizeof(hash_key)});
  db_run(put);
  bind_str(put, 1, "session");
  bind_int(put, 2, 0);
  db_run(put);
}

static void schema_stamp(struct db *db, const struct migration *step)
{
  struct stmt *put = db_sql(db, "INSERT OR REPLACE INTO meta(name, value) VALUES('readable_from', ?)");
  struct buf pragmas = BUF_INIT(256);

  bind_int(put, 1, step->readable_from);
  db_run(put);
  buf_printf(&pragmas, "PRAGMA user_version=%d; PRAGMA application_id=%d", step->version, SCHEMA_APPLICATION_ID);
  sqlite_exec(db, pragmas.at);
  buf_done(&pragmas);
}

static void schema_migrate(struct db *db, const struct env *env, int64_t from)
{
  for (size_t i = 0; i < COUNT_OF(migrations) && db->status == PARLEY_OK; i++) {
    if (migrations[i].version <= from)
      continue;
    sqlite_exec(db, "BEGIN IMMEDIATE");
    sqlite_exec(db, migrations[i].sql);
    if (migrations[i].version == 1)
      schema_seed(db, env);
    schema_stamp(db, &migrations[i]);
    sqlite_exec(db, "COMMIT");
    if (db->status != PARLEY_OK)
      sqlite3_exec(sqlite_handle(db), "ROLLBACK", NULL, NULL, NULL);
  }
}

static bool schema_damaged(struct db *db)
{
  int64_t bytes = db_int_of(db, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()");
  struct stmt *check;
  bool fine = false;

  if (bytes > SCHEMA_QUICK_CHECK_BYTES)
    return db->status != PARLEY_OK;
  check = db_prepare(db, PARLEY_LIT("PRAGMA quick_check(1)"));
  if (check != NULL && db_step(check))
    fine = parley_text_is(col_peek(check, 0), "ok");
  db_drop(check);
  return !fine || db->status != PARLEY_OK;
}

parley_status schema_open(struct db *db, const struct env *env, struct buf *reterr_why)
{
  int64_t application = db_int_of(db, "PRAGMA application_id");
  int64_t version = db_int_of(db, "PRAGMA user_version");
  int64_t n_tables = db_int_of(db, "SELECT count(*) FROM sqlite_schema");

  if (db->status != PARLEY_OK)
    return schema_fail(db, reterr_why, "cannot be read");
  if (sqlite3_db_readonly(sqlite_handle(db), "main") == 1)
    return schema_refuse(db, reterr_why, "is read-only");
  if ((application != 0 || version != 0 || n_tables != 0) && application != SCHEMA_APPLICATION_ID)
    return schema_refuse(db, reterr_why, "belongs to another program (its application id is not Parley's)");
  if (version > STORE_SCHEMA_VERSION && db_int_of(db, "SELECT value FROM meta WHERE name='readable_from'") > STORE_SCHEMA_VERSION) {
    buf_printf(reterr_why,
               "store: %s: was written by a newer Parley (schema %lld; this one knows %d): run that or a newer one",
               sqlite3_db_filename(sqlite_handle(db), "main"), (long long)version, STORE_SCHEMA_VERSION);
    return PARLEY_FAILED;
  }
  if (n_tables > 0 && schema_damaged(db))
    return schema_refuse(db, reterr_why,
                         "is damaged (PRAGMA quick_check); restore a backup, or run `parley store check`");
  sqlite_db_tune(db, WRITER_CACHE_KIB);
  schema_migrate(db, env, version);
  if (db->status != PARLEY_OK)
    return schema_fail(db, reterr_why, "cannot be set up");
  return PARLEY_OK;
}
