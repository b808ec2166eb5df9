/* facts.c - who owns which identity, and the facts over which decide() and advance() run. Reads only; any connection. */
#include "logic.h"
#include "core/base/text.h"

#define IDENTITY_TWINS_MAX 16 /* rows of one 64-bit hash that are looked through */
#define ALIASES_MAX 256
#define FACTS_IDENTITIES_MAX 64

static bool identity_same(parley_text kind, parley_text value, parley_text row_kind, parley_text row_value)
{
  if (!text_eq(kind, row_kind))
    return false;
  return parley_text_is(kind, "email") ? text_eq_nocase(value, row_value) : text_eq(value, row_value);
}

static void identity_fill(struct stmt *row, struct arena *arena, struct identity_row *ret)
{
  ret->id = col_id(row, 0);
  ret->customer = col_id(row, 1);
  ret->identity.kind = col_text(row, 2, arena);
  ret->identity.value = col_text(row, 3, arena);
  ret->identity.raw = col_text(row, 4, arena);
  ret->identity.assurance = (uint32_t)col_int(row, 5);
  ret->created_ms = col_int(row, 6);
  ret->used_ms = col_int(row, 7);
  ret->blocked = col_int(row, 8) != 0;
}

static void owner_fill(struct stmt *row, struct arena *arena, struct identity_row *ret)
{
  if (col_id(row, 9) != 0)
    ret->owner = customer_brief_of(row, 10, col_id(row, 9), arena);
}

const char identity_get_sql[] = "SELECT i.id, i.customer, kind, value, raw, assurance, i.created, used, blocked, c.id, " CUSTOMER_BRIEF
                                " FROM identity i LEFT JOIN customer c ON c.id=i.customer WHERE i.h=?";

static bool identity_exact(struct db *db, const struct hash_key *key, parley_text kind, parley_text value, struct arena *arena,
                           struct identity_row *ret)
{
  struct stmt *get = db_sql(db, identity_get_sql);
  uint64_t h = identity_hash(key, kind, value);
  bool same = false;

  for (int i = 0; i < IDENTITY_TWINS_MAX; i++, h++) {
    *ret = (struct identity_row){.h = h};
    bind_id(get, 1, h);
    if (!db_step(get))
      return false;
    same = identity_same(kind, value, col_peek(get, 2), col_peek(get, 3));
    if (same) {
      identity_fill(get, arena, ret);
      owner_fill(get, arena, ret);
    }
    db_reset(get);
    if (same)
      break;
  }
  return same && ret->customer != 0;
}

bool identity_find(struct db *db, const struct hash_key *key, const struct identity *wanted, struct arena *arena,
                   struct identity_row *ret)
{
  parley_text variants[IDENTITY_VARIANTS_MAX];
  struct identity_row other;
  size_t n;

  if (identity_exact(db, key, wanted->kind, wanted->value, arena, ret))
    return true;
  n = identity_variants(wanted, arena, variants);
  for (size_t i = 1; i < n; i++) {
    if (identity_exact(db, key, wanted->kind, variants[i], arena, &other)) {
      *ret = other;
      return true;
    }
  }
  return false;
}

struct customer_brief customer_brief_of(struct stmt *row, int at, id64 id, struct arena *arena)
{
  return (struct customer_brief){.id = id,
                                 .merged_into = col_id(row, at),
                                 .flags = (uint32_t)col_int(row, at + 1),
                                 .conversation = col_id(row, at + 2),
                                 .name = col_text(row, at + 3, arena),
                                 .locale = col_text(row, at + 4, arena),
                                 .timezone = col_text(row, at + 5, arena)};
}

bool customer_find(struct db *db, id64 id, struct arena *arena, struct customer_brief *ret)
{
  struct stmt *get = db_sql(db, "SELECT " CUSTOMER_BRIEF " FROM customer c WHERE id=?");

  bind_id(get, 1, id);
  if (!db_step(get))
    return false;
  *ret = customer_brief_of(get, 0, id, arena);
  db_reset(get);
  return true;
}

size_t customer_aliases(struct db *db, const struct customer_brief *customer, struct arena *arena, id64 **ret)
{
  id64 head = customer->merged_into != 0 ? customer->merged_into : customer->id, *ids;
  struct stmt *list;
  size_t n = 1;

  ids = arena_alloc(arena, sizeof(*ids) * (customer_is_alone(customer) ? 1 : ALIASES_MAX + 2));
  ids[0] = customer->id;
  *ret = ids;
  if (customer_is_alone(customer))
    return 1;
  if (head != customer->id)
    ids[n++] = head;
  list = db_sql(db, "SELECT id FROM customer WHERE merged_into=? AND merged_into>0");
  bind_id(list, 1, head);
  while (n <= ALIASES_MAX && db_step(list))
    if (col_id(list, 0) != customer->id)
      ids[n++] = col_id(list, 0);
  db_reset(list);
  return n;
}

struct silence { /* what keeps an address from being written to */
  bool everywhere;
  size_t n;
  parley_text *kinds; /* of channel, OPTED_OUT_KINDS_MAX of them; NULL: not asked */
};

static bool kind_is_in(const struct silence *silence, parley_text kind)
{
  for (size_t i = 0; i < silence->n; i++)
    if (text_eq(silence->kinds[i], kind))
      return true;
  return false;
}

static void silence_find(struct db *db, const struct hash_key *key, parley_text kind, parley_text value, struct arena *arena,
                         struct silence *silence)
{
  struct stmt *get = db_sql(db, "SELECT kind, value, channel_kind FROM suppression WHERE h=? AND removed=0");

  bind_id(get, 1, identity_hash(key, kind, value));
  while (db_step(get)) {
    if (!identity_same(kind, value, col_peek(get, 0), col_peek(get, 1)))
      continue;
    if (col_peek(get, 2).len == 0)
      silence->everywhere = true;
    else if (silence->kinds != NULL && silence->n < OPTED_OUT_KINDS_MAX && !kind_is_in(silence, col_peek(get, 2)))
      silence->kinds[silence->n++] = col_text(get, 2, arena);
  }
  db_reset(get);
}

bool suppression_find(struct db *db, const struct hash_key *key, parley_text kind, parley_text value)
{
  struct silence silence = {.kinds = NULL};

  silence_find(db, key, kind, value, NULL, &silence);
  return silence.everywhere;
}

/* A number that is written otherwise is the same telephone; that mail came back from it is a fact of one way of writing. */
static void silence_of(struct db *db, const struct hash_key *key, const struct identity *identity, struct arena *arena,
                       struct silence *silence)
{
  parley_text variants[IDENTITY_VARIANTS_MAX];
  size_t n = identity_variants(identity, arena, variants);
  bool everywhere;

  silence_find(db, key, identity->kind, identity->value, arena, silence);
  everywhere = silence->everywhere;
  for (size_t i = 1; i < n; i++)
    silence_find(db, key, identity->kind, variants[i], arena, silence);
  silence->everywhere = everywhere;
}

struct silent address_silent(struct db *db, const struct hash_key *key, const struct identity *identity, parley_text channel_kind,
                             struct arena *arena)
{
  parley_text kinds[OPTED_OUT_KINDS_MAX];
  struct silence silence = {.kinds = kinds};

  silence_of(db, key, identity, arena, &silence);
  return (struct silent){.suppressed = silence.everywhere, .opted_out = kind_is_in(&silence, channel_kind)};
}

void recipient_find(struct db *db, const struct hash_key *key, const struct recipient *asked, struct arena *arena,
                    struct found *ret)
{
  struct identity external = {.kind = PARLEY_LIT("external"), .value = asked->external, .raw = asked->external};
  struct customer_brief customer;

  ret->own = (struct ownership){0};
  ret->external = (struct identity_row){0};
  if (asked->customer != 0)
    ret->own.customer_exists = customer_find(db, asked->customer, arena, &customer);
  if (asked->external.len > 0 && identity_find(db, key, &external, arena, &ret->external))
    ret->own.external_owner = ret->external.customer;
  for (size_t i = 0; i < asked->n_identities; i++) {
    if (!identity_find(db, key, &asked->identities[i], arena, &ret->rows[i]))
      continue;
    ret->own.owners[i] = ret->rows[i].customer;
    if (asked->external.len > 0 && ret->own.external_owner == 0)
      ret->own.owner_has_external[i] = (ret->rows[i].owner.flags & CUSTOMER_HAS_EXTERNAL) != 0;
  }
}

/* --- facts ----------------------------------------------------------------------------------------------------------------- */

struct loading {
  struct db *db;
  const struct hash_key *key;
  bool suppressions;
  struct arena *arena;
  struct facts *facts;
};

static struct facts_identity *facts_add(struct loading *loading, const struct identity *identity)
{
  struct facts *facts = loading->facts;
  struct silence silence = {.n = 0};
  struct facts_identity *added;

  if (facts->n_identities == FACTS_IDENTITIES_MAX)
    return NULL;
  added = &facts->identities[facts->n_identities++];
  *added = (struct facts_identity){.identity = *identity};
  silence.kinds = added->opted_out;
  if (loading->suppressions)
    silence_of(loading->db, loading->key, identity, loading->arena, &silence);
  added->suppressed = silence.everywhere;
  added->n_opted_out = silence.n;
  return added;
}

static void facts_named(struct loading *loading, const struct submission *submission, const struct found *found,
                        const struct resolution *resolution)
{
  for (size_t i = 0; i < submission->to.n_identities; i++) {
    const struct identity_row *row = &found->rows[i];
    struct facts_identity *added = facts_add(loading, &submission->to.identities[i]);

    if (added == NULL)
      return;
    added->named = true;
    added->foreign = resolution->foreign[i];
    added->id = row->id;
    added->blocked = row->blocked;
    added->used_ms = row->customer != 0 ? row->used_ms : submission->now_ms;
    if (row->customer != 0 && row->identity.assurance > added->identity.assurance)
      added->identity.assurance = row->identity.assurance;
  }
}

/* Whether every step that needs an address has one among those named: then the customer's others need not be read. */
static bool named_suffice(const struct submission *submission)
{
  for (size_t i = 0; i < submission->n_steps; i++) {
    parley_text kind = submission->steps[i].channel->address_kind;
    bool there = parley_text_is(kind, "none");

    for (size_t j = 0; !there && j < submission->to.n_identities; j++)
      there = text_eq(submission->to.identities[j].kind, kind);
    if (!there)
      return false;
  }
  return true;
}

static bool is_named(const struct facts *facts, id64 id)
{
  for (size_t i = 0; i < facts->n_identities; i++)
    if (facts->identities[i].id == id)
      return true;
  return false;
}

static void facts_of_customer(struct loading *loading, id64 customer)
{
  struct stmt *list = db_sql(loading->db, "SELECT i.id, i.customer, i.kind, i.value, i.raw, i.assurance, i.created, i.used,"
                                           " i.blocked FROM customer_identity c JOIN identity i ON i.h=c.h WHERE c.customer=?");
  struct identity_row row;

  bind_id(list, 1, customer);
  while (db_step(list)) {
    struct facts_identity *added;

    identity_fill(list, loading->arena, &row);
    if (is_named(loading->facts, row.id))
      continue;
    added = facts_add(loading, &row.identity);
    if (added == NULL)
      break;
    added->id = row.id;
    added->used_ms = row.used_ms;
    added->blocked = row.blocked;
  }
  db_reset(list);
}

static size_t consents_of(struct db *db, id64 customer, parley_text topic, struct arena *arena, struct consent *to, size_t room)
{
  struct stmt *list = db_sql(db, "SELECT channel_kind, granted, at, source FROM consent WHERE customer=?1 AND topic=?2"
                                 " AND seq IN (SELECT max(seq) FROM consent WHERE customer=?1 AND topic=?2"
                                 " GROUP BY channel_kind)");
  size_t n = 0;

  bind_id(list, 1, customer);
  bind_text(list, 2, topic);
  while (n < room && db_step(list))
    to[n++] = (struct consent){.topic = topic,
                               .channel_kind = col_text(list, 0, arena),
                               .granted = col_int(list, 1) != 0,
                               .at_ms = col_int(list, 2),
                               .source = col_text(list, 3, arena)};
  db_reset(list);
  return n;
}

size_t consents_find(struct db *db, const struct customer_brief *customer, parley_text topic, struct arena *arena,
                     struct consent **ret)
{
  id64 *aliases;
  size_t n_aliases, n = 0;

  *ret = NULL;
  if (!customer_has_consents(customer))
    return 0;
  n_aliases = customer_aliases(db, customer, arena, &aliases);
  *ret = arena_alloc(arena, sizeof(**ret) * FACTS_CONSENTS_MAX);
  for (size_t i = 0; i < n_aliases; i++)
    n += consents_of(db, aliases[i], topic, arena, *ret + n, FACTS_CONSENTS_MAX - n);
  return n;
}

void facts_load(struct db *db, const struct hash_key *key, bool suppressions, const struct submission *submission,
                const struct found *found, const struct resolution *resolution, const struct customer_brief *customer,
                struct arena *arena, struct facts *ret)
{
  struct loading loading = {db, key, suppressions, arena, ret};
  bool known = customer->id != 0 && resolution->verdict == RESOLVE_FOUND;
  bool all = known && !named_suffice(submission);
  id64 *aliases;
  size_t n_aliases;

  *ret = (struct facts){.customer = customer->id, .created = !known, .conversation = customer->conversation,
                        .now_ms = submission->now_ms};
  ret->identities = arena_alloc(arena, sizeof(*ret->identities) * (all ? FACTS_IDENTITIES_MAX : submission->to.n_identities));
  facts_named(&loading, submission, found, resolution);
  if (known)
    ret->n_consents = consents_find(db, customer, submission->topic->name, arena, &ret->consents);
  n_aliases = all ? customer_aliases(db, customer, arena, &aliases) : 0;
  for (size_t i = 0; i < n_aliases; i++)
    facts_of_customer(&loading, aliases[i]);
}

struct delivery_facts delivery_facts_of(struct stmt *row, int from)
{
  return (struct delivery_facts){.step = (uint32_t)col_int(row, from),
                                 .state = (uint32_t)col_int(row, from + 1),
                                 .facts = (uint32_t)col_int(row, from + 2),
                                 .attempt = (uint32_t)col_int(row, from + 3),
                                 .token = col_id(row, from + 4),
                                 .held = col_int(row, from + 5) != 0,
                                 .maybe_twice = col_int(row, from + 6) != 0,
                                 .handed_ms = col_int(row, from + 7),
                                 .started_ms = col_int(row, from + 8),
                                 .due_ms = col_int(row, from + 9),
                                 .deaths = (uint32_t)col_int(row, from + 10)};
}

struct parts parts_of(struct stmt *row, int first)
{
  return (struct parts){.n = (uint32_t)col_int(row, first), .delivered = col_id(row, first + 1), .read = col_id(row, first + 2),
                        .failed = col_id(row, first + 3)};
}
