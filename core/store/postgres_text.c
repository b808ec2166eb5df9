/* postgres_text.c - see postgres_text.h. It reads the store's own literals, not strangers' SQL: what it does not know is OTHER. */
#include "postgres_text.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

/* --- parameters --------------------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static int number_at(const char *at)
{
  int n = 0;

  for (; is_digit(*at) && n < PG_PARAMS_MAX; at++)
    n = n * 10 + (*at - '0');
  return n;
}

static bool is_word(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static void param_put(struct pg_text *text, int n)
{
  if (n > text->n_params)
    text->n_params = n;
  buf_printf(&text->one, "$%d", n);
  buf_printf(&text->templ, "u.p%d", n);
}

static void both_char(struct pg_text *text, char c)
{
  buf_char(&text->one, c);
  buf_char(&text->templ, c);
}

/* Length of "INDEXED BY name " at `at`; 0: something else. */
static size_t hint_len(parley_text sql, size_t at)
{
  static const char hint[] = "INDEXED BY ";
  size_t end = at + sizeof(hint) - 1;

  if (sql.len - at < sizeof(hint) || memcmp(sql.at + at, hint, sizeof(hint) - 1) != 0)
    return 0;
  while (end < sql.len && is_word(sql.at[end]))
    end++;
  while (end < sql.len && sql.at[end] == ' ')
    end++;
  return end - at;
}

static void params_number(struct pg_text *text, parley_text sql)
{
  bool quoted = false;
  int last = 0;

  for (size_t i = 0; i < sql.len; i++) {
    char c = sql.at[i];
    size_t hint = quoted ? 0 : hint_len(sql, i);

    quoted ^= c == '\'';
    if (hint > 0) {
      i += hint - 1;
    } else if (c != '?' || quoted) {
      both_char(text, c);
    } else if (i + 1 < sql.len && is_digit(sql.at[i + 1])) {
      last = 0;
      while (i + 1 < sql.len && is_digit(sql.at[i + 1]))
        last = last * 10 + (sql.at[++i] - '0');
      param_put(text, last);
    } else {
      param_put(text, ++last);
    }
  }
}

/* --- what it does ----------------------------------------------------------------------------------------------------------------- */

static void table_take(struct pg_text *text, const char *at)
{
  size_t len = 0;

  while (is_word(at[len]) && len + 1 < sizeof(text->table))
    len++;
  memcpy(text->table, at, len);
  text->table[len] = '\0';
}

/* The end of the bracket that opens at `open`: its closing one. NULL: there is none. */
static const char *bracket_end(const char *open)
{
  int depth = 0;
  bool quoted = false;

  for (const char *at = open; *at != '\0'; at++) {
    quoted ^= *at == '\'';
    if (quoted)
      continue;
    depth += (*at == '(') - (*at == ')');
    if (depth == 0)
      return at;
  }
  return NULL;
}

/* Place of a name within a bracketed list "(a, b, c)": 0, 1, ...; -1: not there. */
static int name_place(const char *list, const char *name, size_t len)
{
  int place = 0;

  for (const char *at = list + 1; *at != '\0' && *at != ')';) {
    size_t n = 0;

    while (*at == ' ')
      at++;
    while (is_word(at[n]))
      n++;
    if (n == len && memcmp(at, name, len) == 0)
      return place;
    at += n;
    while (*at != '\0' && *at != ',' && *at != ')')
      at++;
    if (*at == ',') {
      at++;
      place++;
    }
  }
  return -1;
}

/* The parameter whose u.pN begins here; 0: none does. */
static int param_at(const char *at)
{
  return strncmp(at, "u.p", 3) == 0 ? number_at(at + 3) : 0;
}

/* The parameter that stands at a place of the VALUES list; 0: a constant does. */
static int value_param(const char *values, int place)
{
  const char *at = values + 1;

  for (; place > 0 && *at != '\0'; at++)
    place -= *at == ',';
  while (*at == ' ')
    at++;
  return param_at(at);
}

static bool key_add(struct pg_text *text, int param)
{
  if (param == 0 || text->n_key == PG_PARAMS_MAX)
    return false;
  text->key[text->n_key++] = param;
  return true;
}

/* ON CONFLICT(a, b): their parameters are the key. */
static bool conflict_key(struct pg_text *text, const char *columns, const char *values, const char *conflict)
{
  for (const char *at = conflict + 1; *at != '\0' && *at != ')';) {
    size_t n = 0;

    while (*at == ' ' || *at == ',')
      at++;
    while (is_word(at[n]))
      n++;
    if (n == 0 || !key_add(text, value_param(values, name_place(columns, at, n))))
      return false;
    at += n;
  }
  return text->n_key > 0;
}

static enum pg_doing insert_of(struct pg_text *text)
{
  static const char into[] = "INSERT INTO ", update[] = " DO UPDATE", nothing[] = "ON CONFLICT DO NOTHING";
  const char *sql = text->templ.at, *columns = strchr(sql, '('), *values = strstr(sql, "VALUES("), *end, *conflict;

  table_take(text, sql + sizeof(into) - 1);
  if (columns == NULL || values == NULL)
    return PG_OTHER;
  values += strlen("VALUES");
  end = bracket_end(values);
  if (end == NULL)
    return PG_OTHER;
  text->values_at = (size_t)(values + 1 - sql);
  text->values_end = (size_t)(end - sql);
  conflict = strstr(end, "ON CONFLICT");
  if (conflict == NULL || strncmp(conflict, nothing, sizeof(nothing) - 1) == 0)
    return PG_INSERT;
  conflict = strchr(conflict, '(');
  if (conflict == NULL || strstr(conflict, update) == NULL || !conflict_key(text, columns, values, conflict))
    return PG_OTHER;
  return PG_UPSERT;
}

/* WHERE a=u.p1 AND b=u.p2, and nothing else. */
static enum pg_doing update_of(struct pg_text *text)
{
  static const char update[] = "UPDATE ";
  const char *sql = text->templ.at, *at = strstr(sql, " WHERE ");

  table_take(text, sql + sizeof(update) - 1);
  if (at == NULL)
    return PG_OTHER;
  text->where_at = (size_t)(at - sql);
  at += strlen(" WHERE ");
  for (;;) {
    while (is_word(*at))
      at++;
    if (strncmp(at, "=u.p", 4) != 0 || !key_add(text, number_at(at + 4)))
      return PG_OTHER;
    for (at += 4; is_digit(*at); at++)
      ;
    if (*at == '\0')
      return PG_UPDATE;
    if (strncmp(at, " AND ", 5) != 0)
      return PG_OTHER;
    at += 5;
  }
}

static enum pg_doing doing_of(struct pg_text *text)
{
  const char *sql = text->templ.at;

  if (strncmp(sql, "SELECT ", 7) == 0)
    return text->n_params > 0 ? PG_SELECT : PG_OTHER;
  if (strncmp(sql, "INSERT INTO ", 12) == 0)
    return insert_of(text);
  if (strncmp(sql, "UPDATE ", 7) == 0)
    return update_of(text);
  if (strncmp(sql, "DELETE FROM ", 12) == 0)
    table_take(text, sql + 12);
  return PG_OTHER;
}

void pg_text_init(struct pg_text *text, parley_text sql)
{
  memset(text, 0, sizeof(*text));
  text->one = text->templ = (struct buf)BUF_INIT(0);
  params_number(text, sql);
  text->doing = doing_of(text);
}

void pg_text_done(struct pg_text *text)
{
  buf_done(&text->one);
  buf_done(&text->templ);
}

/* --- many at once ---------------------------------------------------------------------------------------------------------------- */

static const char *array_of(enum pg_type type)
{
  switch (type) {
  case PG_INT8: return "int8[]";
  case PG_TEXT: return "text[]";
  case PG_BYTEA: break;
  }
  return "bytea[]";
}

static void unnest_put(const struct pg_text *text, const enum pg_type *types, struct buf *ret)
{
  buf_str(ret, "unnest(");
  for (int i = 0; i < text->n_params; i++)
    buf_printf(ret, "%s$%d::%s", i > 0 ? "," : "", i + 1, array_of(types[i]));
  buf_str(ret, ") WITH ORDINALITY AS u(");
  for (int i = 0; i < text->n_params; i++)
    buf_printf(ret, "%sp%d", i > 0 ? "," : "", i + 1);
  buf_str(ret, ",row_n)");
}

static void numbers_put(const enum pg_type *types, struct buf *ret)
{
  buf_printf(ret, " FROM generate_series(1,cardinality($1::%s)) AS u(n)", array_of(types[0]));
}

static void templ_put(const struct pg_text *text, size_t from, size_t to, struct buf *ret)
{
  buf_text(ret, (parley_text){text->templ.at + from, to - from});
}

/* Each u.pN as the n-th element of its array. */
static void elements_put(const struct pg_text *text, const enum pg_type *types, size_t from, size_t to, struct buf *ret)
{
  size_t at = from;

  for (size_t i = from; i < to; i++) {
    int n = param_at(text->templ.at + i);

    if (n == 0)
      continue;
    templ_put(text, at, i, ret);
    buf_printf(ret, "($%d::%s)[u.n]", n, array_of(types[n - 1]));
    at = i + strlen("u.p") + (n > 9 ? 2 : 1);
  }
  templ_put(text, at, to, ret);
}

void pg_text_many(const struct pg_text *text, const enum pg_type *types, struct buf *ret)
{
  size_t len = text->templ.len;

  switch (text->doing) {
  case PG_SELECT:
    buf_str(ret, "SELECT u.row_n, r.* FROM ");
    unnest_put(text, types, ret);
    buf_str(ret, " CROSS JOIN LATERAL (");
    templ_put(text, 0, len, ret);
    buf_str(ret, ") AS r ORDER BY u.row_n");
    break;
  case PG_INSERT:
  case PG_UPSERT:
    templ_put(text, 0, text->values_at - strlen("VALUES("), ret);
    buf_str(ret, "SELECT ");
    elements_put(text, types, text->values_at, text->values_end, ret);
    numbers_put(types, ret);
    templ_put(text, text->values_end + 1, len, ret);
    break;
  case PG_UPDATE:
    elements_put(text, types, 0, text->where_at, ret);
    numbers_put(types, ret);
    elements_put(text, types, text->where_at, len, ret);
    break;
  case PG_OTHER:
    break;
  }
}
