#include "identity.h"
#include "core/base/text.h"
#include "email.h"
#include <assert.h>
#include <string.h>

#define IDENTITY_OTHER_BYTES_MAX 255 /* of a value whose kind we do not know better */

bool identity_kind_ok(parley_text kind)
{
  if (kind.len == 0 || kind.len > IDENTITY_KIND_BYTES_MAX || kind.at[0] < 'a' || kind.at[0] > 'z')
    return false;
  for (size_t i = 1; i < kind.len; i++) {
    char byte = kind.at[i];

    if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '_')
      return false;
  }
  return true;
}

static bool other_normalise(parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why)
{
  parley_text value = text_trim(raw);

  if (value.len == 0 || value.len > IDENTITY_OTHER_BYTES_MAX) {
    *reterr_why = "it must have 1 to 255 bytes";
    return false;
  }
  if (text_has_control(value) || !text_utf8_ok(value)) {
    *reterr_why = "it has a control character or is not UTF-8";
    return false;
  }
  *ret = arena_text(arena, value);
  return true;
}

struct reading { /* of one value; why and hint: words for a person */
  const struct phone_reading *phones;
  struct arena *arena;
  const char *why, *hint;
};

static bool text_is_digits(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
  return text.len > 0;
}

/* *kind becomes `sender` where a network names one that is no number. */
static bool phone_read(struct reading *reading, parley_text raw, parley_text *kind, parley_text *ret)
{
  const struct phone_plan *plan = reading->phones != NULL ? reading->phones->plan : NULL;
  enum phone_source source = reading->phones != NULL ? reading->phones->source : PHONE_GIVEN;
  bool is_short = source != PHONE_GIVEN && phone_is_short_code(text_trim(raw));

  if (source == PHONE_NETWORK && is_short) {
    *ret = arena_text(reading->arena, text_trim(raw));
    return true;
  }
  if (phone_normalise(plan, raw, reading->arena, ret, &reading->why, &reading->hint))
    return true;
  if (is_short)
    *ret = arena_text(reading->arena, text_trim(raw));
  else if (source == PHONE_NETWORK && other_normalise(raw, reading->arena, ret, &reading->why))
    *kind = PARLEY_LIT("sender");
  else
    return false;
  return true;
}

/* Meta names a person by the digits of the number; one that hides the number has an id of another form. */
static bool whatsapp_read(struct reading *reading, parley_text raw, parley_text *ret)
{
  parley_text value = text_trim(raw);
  char number[1 + PHONE_DIGITS_MAX];

  if (text_starts(value, "+"))
    return phone_normalise(NULL, value, reading->arena, ret, &reading->why, &reading->hint);
  if (!text_is_digits(value) || value.len > PHONE_DIGITS_MAX)
    return other_normalise(value, reading->arena, ret, &reading->why);
  number[0] = '+';
  memcpy(number + 1, value.at, value.len);
  return phone_normalise(NULL, (parley_text){number, value.len + 1}, reading->arena, ret, &reading->why, &reading->hint);
}

static bool value_read(struct reading *reading, parley_text raw, parley_text *kind, parley_text *ret)
{
  if (parley_text_is(*kind, "email"))
    return email_normalise(raw, reading->arena, ret, &reading->why);
  if (parley_text_is(*kind, "phone"))
    return phone_read(reading, raw, kind, ret);
  if (!identity_kind_ok(*kind)) {
    reading->why = "a kind is 1 to 32 of a-z 0-9 _ and starts with a letter";
    return false;
  }
  return parley_text_is(*kind, "whatsapp") ? whatsapp_read(reading, raw, ret)
                                           : other_normalise(raw, reading->arena, ret, &reading->why);
}

bool identity_normalise(const struct phone_reading *phones, parley_text kind, parley_text raw, struct arena *arena,
                        parley_text pointer, struct problems *problems, struct identity *ret)
{
  struct reading reading = {.phones = phones, .arena = arena, .why = ""};
  parley_text value;

  if (!value_read(&reading, raw, &kind, &value)) {
    problem_add(problems, pointer,
                parley_text_is(kind, "email")   ? "bad_email"
                : parley_text_is(kind, "phone") ? "bad_phone"
                                                : "bad_identity",
                "this %.*s is not usable: %s", (int)text_utf8_cut(kind, IDENTITY_KIND_BYTES_MAX), kind.at != NULL ? kind.at : "",
                reading.why);
    if (reading.hint != NULL)
      problem_hint(problems, "%s", reading.hint);
    return false;
  }
  *ret = (struct identity){.kind = arena_text(arena, kind),
                           .value = value,
                           .raw = text_eq(raw, value) ? value : arena_text(arena, raw),
                           .assurance = PARLEY_CLAIMED};
  return true;
}

static char byte_lower(char byte)
{
  return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

bool identity_eq(parley_text kind, parley_text a, parley_text b)
{
  return parley_text_is(kind, "email") ? text_eq_nocase(a, b) : text_eq(a, b);
}

/* The value without the `drop` bytes at `at`, and with `add` there. */
static parley_text value_change(struct arena *arena, parley_text value, size_t at, size_t drop, const char *add)
{
  size_t added = strlen(add);
  char *changed = arena_alloc(arena, value.len + added + 1);

  memcpy(changed, value.at, at);
  memcpy(changed + at, add, added);
  memcpy(changed + at + added, value.at + at + drop, value.len - at - drop);
  return (parley_text){changed, value.len - drop + added};
}

/* Argentina +54 9 and ten digits, Mexico +52 1 and ten: the mobile digit is said or not. Brazil +55, two of the area,
 * then 9 before the eight digits of a mobile (they start with 6-9; other numbers never have it). */
static bool phone_variant(parley_text phone, struct arena *arena, parley_text *ret)
{
  bool argentina = text_starts(phone, "+54"), mexico = text_starts(phone, "+52");
  const char *mobile = argentina ? "9" : "1";

  if ((argentina || mexico) && phone.len == 14 && phone.at[3] == mobile[0]) {
    *ret = value_change(arena, phone, 3, 1, "");
    return true;
  }
  if ((argentina || mexico) && phone.len == 13) {
    *ret = value_change(arena, phone, 3, 0, mobile);
    return true;
  }
  if (!text_starts(phone, "+55"))
    return false;
  if (phone.len == 14 && phone.at[5] == '9' && phone.at[6] >= '6') {
    *ret = value_change(arena, phone, 5, 1, "");
    return true;
  }
  if (phone.len == 13 && phone.at[5] >= '6') {
    *ret = value_change(arena, phone, 5, 0, "9");
    return true;
  }
  return false;
}

size_t identity_variants(const struct identity *identity, struct arena *arena, parley_text to[IDENTITY_VARIANTS_MAX])
{
  to[0] = identity->value;
  if (!parley_text_is(identity->kind, "phone") && !parley_text_is(identity->kind, "whatsapp"))
    return 1;
  return phone_variant(identity->value, arena, &to[1]) ? 2 : 1;
}

uint64_t identity_hash(const struct hash_key *key, parley_text kind, parley_text value)
{
  char text[IDENTITY_KIND_BYTES_MAX + 1 + IDENTITY_VALUE_BYTES_MAX];
  size_t len = kind.len, lower = parley_text_is(kind, "email") ? email_at(value) : 0;
  uint64_t hash;

  assert(kind.len <= IDENTITY_KIND_BYTES_MAX && value.len <= IDENTITY_VALUE_BYTES_MAX);
  memcpy(text, kind.at, kind.len);
  text[len++] = '\0'; /* no kind has one: "ab" of "c" and "a" of "bc" differ */
  for (size_t i = 0; i < value.len; i++)
    text[len++] = i < lower ? byte_lower(value.at[i]) : value.at[i];
  hash = hash64(key, (parley_bytes){text, len});
  return hash != 0 ? hash : 1;
}

void buf_identity_masked(struct buf *buf, parley_text kind, parley_text value)
{
  size_t first = 0;

  if (parley_text_is(kind, "phone") || (parley_text_is(kind, "whatsapp") && text_starts(value, "+"))) {
    buf_text(buf, text_sub(value, 0, 3));
    buf_str(buf, "***");
    buf_text(buf, text_sub(value, value.len > 5 ? value.len - 2 : value.len, 2));
    return;
  }
  if (value.len > 0)
    text_utf8_next(value, &first);
  buf_text(buf, text_sub(value, 0, first));
  buf_str(buf, "***");
  if (parley_text_is(kind, "email"))
    buf_text(buf, text_sub(value, email_at(value), SIZE_MAX));
}
