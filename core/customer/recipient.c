/* The reader of "to": what somebody wrote becomes a struct recipient. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/json.h"
#include "resolve.h"
#include <string.h>

#define KIND_SHOWN_BYTES_MAX 64 /* of a bad kind in the words of a problem */

/* The kinds that everybody means; a plugin may bring others, but none that looks like a slip of these. */
static const char *const known_kinds[] = {"customer", "external", "email", "phone",  "telegram",
                                          "whatsapp", "webchat",  "push",  "wechat", NULL};
/* What people write instead. */
static const struct {
  const char *word, *meant;
} other_words[] = {
    {"mail", "email"},           {"e_mail", "email"},         {"sms", "phone"},          {"tel", "phone"},
    {"mobile", "phone"},         {"msisdn", "phone"},         {"phone_number", "phone"}, {"id", "customer"},
    {"customer_id", "customer"}, {"external_id", "external"}, {"user_id", "external"},
};

static bool kind_is_known(parley_text kind)
{
  for (const char *const *known = known_kinds; *known != NULL; known++)
    if (parley_text_is(kind, *known))
      return true;
  return false;
}

static const char *kind_meant(parley_text kind) /* NULL: it may well be a plugin's own */
{
  const char *nearest = text_nearest(kind, known_kinds);
  size_t len = nearest != NULL ? strlen(nearest) : 0;

  for (size_t i = 0; i < COUNT_OF(other_words); i++)
    if (text_is_nocase(kind, other_words[i].word))
      return other_words[i].meant;
  return kind.len <= len + 1 && len <= kind.len + 1 ? nearest : NULL; /* "wechat_id" is no slip of "webchat" */
}

static bool kind_check(const struct json_in *in, parley_text kind, parley_text pointer)
{
  const char *meant;

  if (kind_is_known(kind))
    return true;
  meant = kind_meant(kind);
  if (meant == NULL && identity_kind_ok(kind))
    return true;
  problem_add(in->problems, pointer, "unknown_field", "'%.*s' is no kind of identity",
              (int)text_utf8_cut(kind, KIND_SHOWN_BYTES_MAX), kind.at);
  if (meant != NULL)
    problem_hint(in->problems, "did you mean '%s'?", meant);
  return false;
}

static bool member_read(const struct json_in *in, const struct phone_reading *phones, parley_text kind, const json_t *value,
                        struct recipient *to)
{
  parley_text pointer =
      pointer_member(in->arena, in->pointer, text_sub(kind, 0, text_utf8_cut(kind, KIND_SHOWN_BYTES_MAX)));
  struct identity identity;

  if (!kind_check(in, kind, pointer))
    return false;
  if (!json_is_string(value)) {
    problem_add(in->problems, pointer, "wrong_type", "%.*s must be text", TEXT_ARG(kind));
    return false;
  }
  if (parley_text_is(kind, "customer")) {
    if (id_parse("cus", json_text(value), &to->customer))
      return true;
    problem_add(in->problems, pointer, "bad_id", "this is no id of a customer (cus_ and 13 characters)");
    return false;
  }
  if (to->n_identities == RECIPIENT_IDENTITIES_MAX) {
    problem_add(in->problems, in->pointer, "too_many_items", "%d identities are allowed", RECIPIENT_IDENTITIES_MAX);
    return false;
  }
  if (!identity_normalise(phones, kind, json_text(value), in->arena, pointer, in->problems, &identity))
    return false;
  if (parley_text_is(kind, "external"))
    to->external = identity.value;
  else
    to->identities[to->n_identities++] = identity;
  return true;
}

bool recipient_read(const struct json_in *in, const struct phone_reading *phones, struct recipient *ret)
{
  struct recipient to = {.customer = 0};
  const char *kind;
  json_t *value;
  bool good = true;

  json_object_foreach(in->object, kind, value) if (!json_is_null(value) &&
                                                   !member_read(in, phones, parley_text_of(kind), value, &to)) good = false;
  if (!good)
    return false;
  if (to.customer == 0 && to.external.len == 0 && to.n_identities == 0) {
    problem_add(in->problems, in->pointer, "missing_recipient", "nobody is named");
    problem_hint(in->problems, "give customer, external, or an identity such as email or phone");
    return false;
  }
  *ret = to;
  return true;
}
