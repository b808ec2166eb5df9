#include "web_link.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <assert.h>
#include <string.h>

/* By their place, which stands in tokens that are out: appended to, never reordered. */
static const char *const kinds[] = {"*", "email", "sms", "chat", "push", "voice", "webhook"};

static size_t kind_at(parley_text kind)
{
  size_t at = 0;

  while (at < COUNT_OF(kinds) && !parley_text_is(kind, kinds[at]))
    at++;
  return at;
}

bool web_kind_ok(parley_text kind)
{
  return kind_at(kind) < COUNT_OF(kinds);
}

/* --- Payloads: numbers with the highest byte first ---------------------------------------------------------------- */

static void number_put(struct token_payload *to, uint64_t value, size_t bytes)
{
  assert(to->len + bytes <= sizeof to->at);
  while (bytes-- > 0)
    to->at[to->len++] = (uint8_t)(value >> (8 * bytes));
}

static void name_put(struct token_payload *to, parley_text name)
{
  assert(name.len <= WEB_TOPIC_BYTES_MAX && to->len + name.len <= sizeof to->at);
  memcpy(to->at + to->len, name.at, name.len);
  to->len += name.len;
}

struct payload_reader { const struct token_payload *from; size_t at; bool ok; };

static uint64_t number_take(struct payload_reader *reader, size_t bytes)
{
  uint64_t value = 0;

  reader->ok = reader->ok && reader->from->len - reader->at >= bytes;
  for (size_t i = 0; reader->ok && i < bytes; i++)
    value = value << 8 | reader->from->at[reader->at++];
  return value;
}

static parley_text kind_take(struct payload_reader *reader)
{
  uint64_t at = number_take(reader, 1);

  reader->ok = reader->ok && at < COUNT_OF(kinds);
  return reader->ok ? parley_text_of(kinds[at]) : TEXT_EMPTY;
}

/* What is left. */
static parley_text name_take(struct payload_reader *reader)
{
  parley_text name = {(const char *)reader->from->at + reader->at, reader->from->len - reader->at};

  reader->ok = reader->ok && name.len > 0 && name.len <= WEB_TOPIC_BYTES_MAX;
  reader->at = reader->from->len;
  return reader->ok ? name : TEXT_EMPTY;
}

static bool reader_begin(struct payload_reader *reader, const uint8_t *secret, enum token_kind kind, parley_text token,
                         struct token_payload *payload)
{
  *reader = (struct payload_reader){.from = payload, .ok = true};
  return token_read(secret, kind, token, payload);
}

static bool reader_ended(const struct payload_reader *reader)
{
  return reader->ok && reader->at == reader->from->len;
}

static void buf_link(struct buf *buf, parley_text public_url, const uint8_t *secret, enum token_kind kind,
                     const struct token_payload *payload)
{
  buf_text(buf, public_url);
  buf_char(buf, '/');
  buf_char(buf, (char)kind);
  buf_char(buf, '/');
  buf_token(buf, secret, kind, (parley_bytes){(const char *)payload->at, payload->len});
}

/* --- Each kind ---------------------------------------------------------------------------------------------------- */

void buf_unsubscribe_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_unsubscribe *what)
{
  struct token_payload payload = {.len = 0};

  number_put(&payload, what->customer, sizeof(id64));
  number_put(&payload, what->identity, sizeof(id64));
  number_put(&payload, what->message, sizeof(id64));
  number_put(&payload, kind_at(what->kind), 1);
  name_put(&payload, what->topic);
  buf_link(buf, public_url, secret, TOKEN_UNSUBSCRIBE, &payload);
}

bool web_unsubscribe_read(const uint8_t *secret, parley_text token, struct token_payload *payload, struct web_unsubscribe *ret)
{
  struct payload_reader reader;

  if (!reader_begin(&reader, secret, TOKEN_UNSUBSCRIBE, token, payload))
    return false;
  ret->customer = number_take(&reader, sizeof(id64));
  ret->identity = number_take(&reader, sizeof(id64));
  ret->message = number_take(&reader, sizeof(id64));
  ret->kind = kind_take(&reader);
  ret->topic = name_take(&reader);
  return reader_ended(&reader) && ret->customer != 0;
}

void buf_preferences_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_preferences *what)
{
  struct token_payload payload = {.len = 0};

  number_put(&payload, what->customer, sizeof(id64));
  number_put(&payload, what->identity, sizeof(id64));
  buf_link(buf, public_url, secret, TOKEN_PREFERENCES, &payload);
}

bool web_preferences_read(const uint8_t *secret, parley_text token, struct web_preferences *ret)
{
  struct token_payload payload;
  struct payload_reader reader;

  if (!reader_begin(&reader, secret, TOKEN_PREFERENCES, token, &payload))
    return false;
  ret->customer = number_take(&reader, sizeof(id64));
  ret->identity = number_take(&reader, sizeof(id64));
  return reader_ended(&reader) && ret->customer != 0;
}

void buf_confirm_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_confirm *what)
{
  struct token_payload payload = {.len = 0};

  number_put(&payload, what->customer, sizeof(id64));
  number_put(&payload, what->asked, sizeof(id64));
  number_put(&payload, (uint64_t)what->expires_ms, sizeof what->expires_ms);
  number_put(&payload, kind_at(what->kind), 1);
  name_put(&payload, what->topic);
  buf_link(buf, public_url, secret, TOKEN_CONFIRM, &payload);
}

bool web_confirm_read(const uint8_t *secret, parley_text token, struct token_payload *payload, struct web_confirm *ret)
{
  struct payload_reader reader;

  if (!reader_begin(&reader, secret, TOKEN_CONFIRM, token, payload))
    return false;
  ret->customer = number_take(&reader, sizeof(id64));
  ret->asked = number_take(&reader, sizeof(id64));
  ret->expires_ms = (int64_t)number_take(&reader, sizeof ret->expires_ms);
  ret->kind = kind_take(&reader);
  ret->topic = name_take(&reader);
  return reader_ended(&reader) && ret->customer != 0;
}

static void place_link(struct buf *buf, parley_text public_url, const uint8_t *secret, enum token_kind kind,
                       const struct web_place *what)
{
  struct token_payload payload = {.len = 0};

  number_put(&payload, what->message, sizeof(id64));
  number_put(&payload, what->step, 1);
  if (kind == TOKEN_CLICK) {
    number_put(&payload, (uint64_t)what->where, 1);
    number_put(&payload, what->nth, 2);
  }
  buf_link(buf, public_url, secret, kind, &payload);
}

static bool place_read(const uint8_t *secret, enum token_kind kind, parley_text token, struct web_place *ret)
{
  struct token_payload payload;
  struct payload_reader reader;
  uint64_t where = WEB_IN_HTML;

  if (!reader_begin(&reader, secret, kind, token, &payload))
    return false;
  ret->message = number_take(&reader, sizeof(id64));
  ret->step = (uint32_t)number_take(&reader, 1);
  ret->nth = 0;
  if (kind == TOKEN_CLICK) {
    where = number_take(&reader, 1);
    ret->nth = (uint32_t)number_take(&reader, 2);
  }
  if (where < WEB_IN_TEXT || where > WEB_IN_BUTTON)
    return false;
  ret->where = (enum web_where)where;
  return reader_ended(&reader) && ret->message != 0;
}

void buf_click_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_place *what)
{
  place_link(buf, public_url, secret, TOKEN_CLICK, what);
}

void buf_open_link(struct buf *buf, parley_text public_url, const uint8_t *secret, const struct web_place *what)
{
  place_link(buf, public_url, secret, TOKEN_OPEN, what);
}

bool web_click_read(const uint8_t *secret, parley_text token, struct web_place *ret)
{
  return place_read(secret, TOKEN_CLICK, token, ret);
}

bool web_open_read(const uint8_t *secret, parley_text token, struct web_place *ret)
{
  return place_read(secret, TOKEN_OPEN, token, ret);
}
