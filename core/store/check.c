/* check.c - see check.h. Each check is one SELECT of what should not be: an id and two numbers a row. */
#include "check.h"
#include "logic.h"
#include "core/base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RESTORE "restore the newest backup that passes this check, or keep a copy and ask Parley's makers"
#define COUNTED                                                                                                         \
  "fewer than counted: look for them in the newest backup, most of all when other lines tell of messages that are not " \
  "there; more: the figures in /metrics are off by the difference, nothing is lost; tell Parley's makers"
#define FIGURES                                                                                                              \
  "when all messages are there (no line says otherwise), nothing is lost: the rows are right, the figures in /metrics are "  \
  "off by the difference; tell Parley's makers"
#define REBUILD_TIMELINE                                                                                                         \
  "the message or event itself is there. SQLite: stop the daemon, DELETE FROM mark WHERE name='timeline'; its start makes them " \
  "anew. PostgreSQL: INSERT INTO timeline SELECT customer, at, id, 1 FROM message ON CONFLICT DO NOTHING"

enum { BOTH, SQLITE, POSTGRES };
struct check {
  int driver;
  const char *table, *prefix; /* prefix: of the id that is shown; NULL: a plain number; "": none; "s": a column of counter */
  const char *what;           /* #1 and #2: the numbers */
  const char *remedy, *sql;   /* sql: SELECT id, #1, #2 */
};

/* What message_fold() says, of all messages at once. */
#define FOLDED                                                                                                                  \
  "(SELECT CASE max(CASE d.state WHEN 5 THEN 7 WHEN 4 THEN 6 WHEN 3 THEN 5 WHEN 2 THEN CASE d.held WHEN 0 THEN 3 ELSE 4 END"    \
  " WHEN 1 THEN 3 WHEN 0 THEN 2 WHEN 10 THEN 2 ELSE 1 END) WHEN 7 THEN 4 WHEN 6 THEN 3 WHEN 5 THEN 2 WHEN 4 THEN 9 WHEN 3 THEN" \
  " 1 WHEN 2 THEN 0 ELSE CASE max(CASE WHEN d.state IN (6, 7, 8, 9) THEN d.step*16+d.state ELSE -1 END)%16 WHEN 6 THEN 5 WHEN"   \
  " 7 THEN 8 WHEN 8 THEN 6 WHEN 9 THEN 7 ELSE CASE WHEN max(m.end_state)>=0 THEN max(m.end_state) ELSE 5 END END END AS state"   \
  " FROM message m"                                                                                                            \
  " LEFT JOIN delivery d ON d.message=+m.id WHERE m.dir=0 GROUP BY m.id)"
#define IS_OPEN(message) "EXISTS (SELECT 1 FROM delivery d WHERE d.message=+" message " AND (d.state<3 OR d.state=10))"
#define ON_TIMELINE                                                                                                 \
  "(e.type LIKE 'touchpoint.%' OR e.type LIKE 'consent.%' OR e.type IN ('conversation.note', 'customer.merged',"    \
  " 'customer.unmerged', 'message.clicked', 'message.opened'))"
#define BEHIND(name) "coalesce((SELECT upto FROM mark WHERE name='" name "'), 0)"
#define IN_TIMELINE(table, row, seq) \
  "EXISTS (SELECT 1 FROM " table " t WHERE t.customer=" row ".customer AND t.at=" row ".at AND t.seq=+" row "." seq ")"

/* What is counted against what is there. */
#define MISCOUNTED(column, dir) \
  "SELECT 0, a, n FROM (SELECT c." column " AS a, (SELECT count(*) FROM message WHERE dir=" dir ") AS n FROM counter c WHERE c.id=1)" \
  " AS b WHERE a<>n"
/* Rows r of a table for which there is no row o of another one. shown: an id and two numbers of r; key: a column of o. */
#define WITHOUT(table, shown, other, key, on) \
  "SELECT " shown " FROM " table " r LEFT JOIN " other " o ON " on " WHERE o." key " IS NULL"
#define OF_MESSAGE(table, shown) WITHOUT(table, shown, "message", "id", "o.id=r.message")
#define OF_CUSTOMER(table, by) WITHOUT(table, "r.id, 0, 0", "customer", "id", "o.id=r." by) " AND r." by "<>0"
/* Sent by a session that comes later than the store's newest: of SQLite's a row of meta tells, PostgreSQL's have a table. */
#define BEING_SENT_BEYOND(newest) "SELECT message, step, session FROM delivery WHERE state=1 AND session>" newest
#define BEYOND_WHAT "its step #1 is being sent by session #2, which has not begun yet"
#define BEYOND_REMEDY "is this an older copy beside a newer one? Stop both daemons and keep the newer"

static const struct check checks[] = {
    {BOTH, "counter", "", "it counts #1 accepted messages, there are #2", COUNTED, MISCOUNTED("accepted", "0")},
    {BOTH, "counter", "", "it counts #1 inbound messages, there are #2", COUNTED, MISCOUNTED("inbound", "1")},
    {BOTH, "counter", "", "its states add up to #2, accepted were #1", FIGURES,
     "SELECT 0, accepted, s0+s1+s2+s3+s4+s5+s6+s7+s8+s9 FROM counter WHERE accepted<>s0+s1+s2+s3+s4+s5+s6+s7+s8+s9"},
    {BOTH, "delivery", "msg", "step #1 of a message that is not there", RESTORE,
     WITHOUT("delivery", "r.message, r.step, 0", "message", "id", "o.id=r.message AND o.dir=0")},
    {BOTH, "message", "msg", "it was to be sent and has no delivery", RESTORE,
     "SELECT m.id, 0, 0 FROM message m WHERE m.dir=0 AND m.end_state<0 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE"
     " d.message=+m.id)"},
    {BOTH, "attempt", "msg", "attempt #2 of its step #1, which is not there", RESTORE,
     WITHOUT("attempt", "r.message, r.step, r.number", "delivery", "message", "o.message=r.message AND o.step=r.step")},
    {BOTH, "body", "msg", "the body of a message that is not there", RESTORE, OF_MESSAGE("body", "r.message, 0, 0")},
    {BOTH, "message", "msg", "its body should stand in table body and does not", RESTORE,
     WITHOUT("message", "r.id, 0, 0", "body", "message", "o.message=r.id") " AND (r.flags & 2)<>0"},
    {BOTH, "message", "msg", "its body was let go although it is not final: it would be sent empty", "cancel it: parley cancel MESSAGE",
     "SELECT m.id, 0, 0 FROM message m WHERE (m.flags & 32)<>0 AND " IS_OPEN("m.id")},
    {BOTH, "raw", "msg", "the envelope of a message that is not there", RESTORE, OF_MESSAGE("raw", "r.message, 0, 0")},
    {BOTH, "message", "msg", "its customer is not there", RESTORE, OF_CUSTOMER("message", "customer")},
    {SQLITE, "delivery", "msg", BEYOND_WHAT, BEYOND_REMEDY, BEING_SENT_BEYOND("(SELECT value FROM meta WHERE name='session')")},
    {POSTGRES, "delivery", "msg", BEYOND_WHAT, BEYOND_REMEDY, BEING_SENT_BEYOND("coalesce((SELECT max(id) FROM session), 0)")},
    {BOTH, "customer", "cus", "its open conversation is not there, closed, or somebody else's",
     "UPDATE customer SET conversation=0 for this one; what the customer writes next opens another",
     "SELECT c.id, 0, 0 FROM customer c LEFT JOIN conversation v ON v.id=c.conversation WHERE c.conversation<>0 AND (v.id IS NULL OR"
     " v.state='closed' OR v.customer<>c.id)"},
    {BOTH, "conversation", "cnv", "it is open, and its customer does not know it",
     "close it: PATCH /v1/conversations/ID {\"state\":\"closed\"}",
     "SELECT v.id, 0, 0 FROM conversation v LEFT JOIN customer c ON c.id=v.customer WHERE v.state<>'closed' AND (c.id IS NULL OR"
     " c.conversation<>v.id)"},
    {BOTH, "customer", "cus", "it is merged into one that is not there", RESTORE, OF_CUSTOMER("customer", "merged_into")},
    {BOTH, "identity", "idn", "its owner is not there", RESTORE, OF_CUSTOMER("identity", "customer")},
    {BOTH, "customer_identity", "cus", "an identity that is not there, or not theirs", "DELETE this row (customer, h=#1)",
     "SELECT o.customer, o.h, 0 FROM customer_identity o LEFT JOIN identity i ON i.h=o.h WHERE i.h IS NULL OR i.customer<>o.customer"},
    {BOTH, "identity", "idn", "its owner's list lacks it", "INSERT INTO customer_identity SELECT customer, h FROM identity for this id",
     WITHOUT("identity", "r.id, 0, 0", "customer_identity", "h", "o.customer=r.customer AND o.h=+r.h") " AND r.customer<>0"},
    {SQLITE, "timeline", "msg", "this message is on no timeline", REBUILD_TIMELINE,
     "SELECT m.id, 0, 0 FROM message m WHERE m.customer<>0 AND m.id<=" BEHIND("timeline") " AND NOT " IN_TIMELINE("timeline", "m", "id")
     " AND NOT " IN_TIMELINE("timeline_recent", "m", "id")},
    {SQLITE, "timeline", "evt", "this event is on no timeline", REBUILD_TIMELINE,
     "SELECT e.seq, 0, 0 FROM event e WHERE e.customer<>0 AND " ON_TIMELINE " AND e.seq<=" BEHIND("timeline") " AND NOT "
     IN_TIMELINE("timeline", "e", "seq") " AND NOT " IN_TIMELINE("timeline_recent", "e", "seq")},
    {POSTGRES, "timeline", "msg", "this message is on no timeline", REBUILD_TIMELINE,
     "SELECT m.id, 0, 0 FROM message m WHERE m.customer<>0 AND NOT " IN_TIMELINE("timeline", "m", "id")},
    {POSTGRES, "timeline", "evt", "this event is on no timeline", REBUILD_TIMELINE,
     "SELECT e.seq, 0, 0 FROM event e WHERE e.customer<>0 AND " ON_TIMELINE " AND NOT " IN_TIMELINE("timeline", "e", "seq")},
    {BOTH, "timeline", "cus", "an entry (kind #1, seq #2) of nothing", "DELETE this entry from timeline (and timeline_recent)",
     "SELECT t.customer, t.kind, t.seq FROM timeline t LEFT JOIN message m ON m.id=t.seq AND t.kind=1 LEFT JOIN event e ON e.seq=t.seq"
     " AND t.kind=2 WHERE m.id IS NULL AND e.seq IS NULL"},
    {SQLITE, "event", "evt", "the newest event is above the last id that was given, #1", RESTORE,
     "SELECT e.seq, c.last_id, 0 FROM (SELECT max(seq) AS seq FROM event) AS e, counter c WHERE e.seq>c.last_id"},
    {SQLITE, "message", "msg", "the newest message is above the last id that was given, #1", RESTORE,
     "SELECT m.id, c.last_id, 0 FROM (SELECT max(id) AS id FROM message) AS m, counter c WHERE m.id>c.last_id"},
    {POSTGRES, "event", "evt", "the newest event is above the log's counter, #1: readers will miss what comes next", RESTORE,
     "SELECT e.seq, s.last, 0 FROM (SELECT max(seq) AS seq FROM event) AS e, seq s WHERE (e.seq >> " SEQ_SLOT_BITS ")>s.last"},
    {BOTH, "event", "evt", "it is about a message that is not there", RESTORE, OF_MESSAGE("event", "r.seq, 0, 0") " AND r.message<>0"},
    {BOTH, "feed_pending", "evt", "it waits for another push and is not there", "it cannot be pushed: DELETE this row of feed_pending",
     WITHOUT("feed_pending", "r.seq, 0, 0", "event", "seq", "o.seq=r.seq")
     " AND r.seq>coalesce((SELECT upto FROM expired WHERE name='event'), 0)"},
    {SQLITE, "feed_cursor", "sub", "its cursor is beyond the log's end", RESTORE,
     "SELECT f.subscription, f.cursor, 0 FROM feed_cursor f, counter c WHERE f.cursor>c.last_id"},
    {POSTGRES, "feed_cursor", "sub", "its cursor is beyond the log's end", RESTORE,
     "SELECT f.subscription, f.cursor, 0 FROM feed_cursor f, seq s WHERE (f.cursor >> " SEQ_SLOT_BITS ")>s.last"},
    {BOTH, "provider_ref", "msg", "a provider's id for a message that is not there", "DELETE this row (h=#1)",
     OF_MESSAGE("provider_ref", "r.message, r.h, 0")},
    {BOTH, "piece", NULL, "piece #1 of a text that is not there", "DELETE this row (joining, part=#1)",
     WITHOUT("piece", "r.joining, r.part, 0", "joining", "id", "o.id=r.joining")},
    {BOTH, "joining", NULL, "it waits for pieces and has none", "DELETE this row (id)",
     WITHOUT("joining", "r.id, 0, 0", "piece", "joining", "o.joining=r.id") " AND r.done=0"},
    {BOTH, "joining", "msg", "its pieces were made a message, which is not there", RESTORE,
     OF_MESSAGE("joining", "r.message, 0, 0") " AND r.done>0"},
    {BOTH, "business_key", "msg", "a key for a message that is not there: the same order would not be sent again",
     "DELETE this row (h=#1)", OF_MESSAGE("business_key", "r.message, r.h, 0")},
};

/* --- one check ------------------------------------------------------------------------------------------------------------------ */

struct checking {
  struct db *db;
  int64_t now_ms;
  store_finding_fn *found;
  void *arg;
  struct store_checked *totals;
};

static void words_fill(struct buf *to, const char *words, int64_t first, int64_t second)
{
  for (const char *at = words; *at != '\0'; at++) {
    if (at[0] == '#' && (at[1] == '1' || at[1] == '2'))
      buf_int(to, *++at == '1' ? first : second);
    else
      buf_char(to, *at);
  }
}

static void id_fill(const char *prefix, id64 id, struct store_finding *finding)
{
  if (prefix == NULL)
    snprintf(finding->id, sizeof(finding->id), "%" PRIu64, (uint64_t)id);
  else if (prefix[0] == '\0')
    snprintf(finding->id, sizeof(finding->id), "-");
  else if (strcmp(prefix, "s") == 0)
    snprintf(finding->id, sizeof(finding->id), "s%" PRIu64 " (%s)", (uint64_t)id, message_state_name((enum message_state)id));
  else
    id_format(prefix, id, finding->id);
}

static void tell(const struct checking *all, const struct check *check, id64 id, int64_t first, int64_t second, bool more)
{
  struct buf what = BUF_INIT(0), remedy = BUF_INIT(0);
  struct store_finding finding = {.table = check->table, .more = more};

  words_fill(&what, check->what, first, second);
  words_fill(&remedy, check->remedy, first, second);
  id_fill(check->prefix, id, &finding);
  finding.what = what.at;
  finding.remedy = remedy.at;
  all->totals->n_findings++;
  all->found(&finding, all->arg);
  buf_done(&what);
  buf_done(&remedy);
}

static void check_run(const struct checking *all, const struct check *check, const char *sql)
{
  struct buf limited = BUF_INIT(0);
  struct stmt *list;
  bool there;

  buf_printf(&limited, "%s LIMIT ?1", sql);
  list = db_prepare(all->db, buf_as_text(&limited));
  all->totals->n_checks++;
  bind_int(list, 1, CHECK_FINDINGS_MAX + 1);
  there = db_step(list);
  for (int n = 1; there && n <= CHECK_FINDINGS_MAX; n++) {
    id64 id = col_id(list, 0);
    int64_t first = col_int(list, 1), second = col_int(list, 2);

    there = db_step(list);
    tell(all, check, id, first, second, there && n == CHECK_FINDINGS_MAX);
  }
  db_drop(list);
  buf_done(&limited);
}

/* --- what is more than one SELECT ------------------------------------------------------------------------------------------------ */

/* Messages of each state, as their deliveries say, against what is counted. */
static void check_states(const struct checking *all)
{
  static const struct check check = {BOTH, "counter", "s", "it counts #1 messages in this state, there are #2", FIGURES, NULL};
  struct stmt *fold = db_prepare(all->db, PARLEY_LIT("SELECT state, count(*) FROM " FOLDED " AS m GROUP BY state"));
  struct stmt *counted = db_prepare(all->db, PARLEY_LIT("SELECT s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 FROM counter WHERE id=1"));
  int64_t there[MESSAGE_STATES] = {0};

  all->totals->n_checks++;
  while (db_step(fold))
    if (col_int(fold, 0) >= 0 && col_int(fold, 0) < MESSAGE_STATES)
      there[col_int(fold, 0)] = col_int(fold, 1);
  db_drop(fold);
  if (db_step(counted))
    for (int i = 0; i < MESSAGE_STATES; i++)
      if (col_int(counted, i) != there[i])
        tell(all, &check, (id64)i, col_int(counted, i), there[i], false);
  db_drop(counted);
}

/* Every answer that must still be found, in the table of one of the days or in the recent one. */
static void check_idem(const struct checking *all)
{
  static const struct check check = {SQLITE, "idem_recent", NULL, "answer #1 is in no index: the same request would be done again",
                                     "stop the daemon, DELETE FROM mark WHERE name='idem'; its start makes the index anew", NULL};
  struct stmt *days =
      db_prepare(all->db, PARLEY_LIT("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'idem_[0-9r]*'"));
  struct buf sql = BUF_INIT(0);

  buf_printf(&sql, "SELECT a.id, a.id, 0 FROM answer a WHERE a.at>%" PRId64 " AND a.id<=" BEHIND("idem"),
             all->now_ms - INT64_C(7) * 86400000);
  while (db_step(days))
    buf_printf(&sql, " AND NOT EXISTS (SELECT 1 FROM %.*s i WHERE i.h=a.h AND i.answer=a.id)", TEXT_ARG(col_peek(days, 0)));
  db_drop(days);
  check_run(all, &check, sql.at);
  buf_done(&sql);
}

/* The file itself: pages, and indexes against their tables. */
static void check_pages(const struct checking *all)
{
  struct stmt *list = db_prepare(all->db, PARLEY_LIT("PRAGMA integrity_check(20)"));
  struct store_finding finding = {.table = "file", .id = "-", .remedy = RESTORE};

  all->totals->n_checks++;
  while (db_step(list)) {
    struct buf what = BUF_INIT(0);

    if (parley_text_is(col_peek(list, 0), "ok"))
      continue;
    buf_text(&what, col_peek(list, 0));
    finding.what = what.at;
    all->totals->n_findings++;
    all->found(&finding, all->arg);
    buf_done(&what);
  }
  db_drop(list);
}

static void check_all(struct db *db, bool sqlite, void *arg)
{
  struct checking *all = arg;

  all->db = db;
  if (sqlite)
    check_pages(all);
  all->totals->messages = (uint64_t)db_int_of(db, "SELECT count(*) FROM message");
  all->totals->events = (uint64_t)db_int_of(db, "SELECT count(*) FROM event");
  for (size_t i = 0; i < COUNT_OF(checks) && db->status == PARLEY_OK; i++)
    if (checks[i].driver == BOTH || (checks[i].driver == SQLITE) == sqlite)
      check_run(all, &checks[i], checks[i].sql);
  check_states(all);
  if (sqlite)
    check_idem(all);
}

parley_status store_check(const struct store_config *config, const struct env *env, store_finding_fn *found, void *arg,
                          struct store_checked *ret, struct buf *reterr_why)
{
  const struct store_driver *driver = store_driver_find(config->driver);
  struct checking all = {.now_ms = env->now_ms(env), .found = found, .arg = arg, .totals = ret};

  *ret = (struct store_checked){0};
  if (driver != NULL)
    return driver->look(config, env, check_all, &all, &ret->schema, reterr_why);
  buf_printf(reterr_why, "store: there is no driver '%s'", config->driver);
  return PARLEY_INVALID;
}
