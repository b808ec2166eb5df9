#include "compose_values.h"
#include "core/base/clock.h"
#include "core/base/text.h"

static json_t *json_of(parley_text text)
{
  return json_stringn(text.at, text.len);
}

static json_t *json_parsed(parley_text text, struct arena *arena)
{
  struct problems ignored;

  problems_init(&ignored, arena);
  return text.len > 0 ? json_read(text, &ignored) : NULL;
}

static void member_set(json_t *object, const char *name, parley_text value)
{
  if (value.len > 0)
    json_object_set_new(object, name, json_of(value));
}

static void identities_set(json_t *customer, const struct customer_row *row)
{
  json_t *identities = json_object();

  for (size_t i = 0; i < row->n_identities; i++) {
    const struct identity *identity = &row->identities[i].identity;

    if (!row->identities[i].blocked && json_object_getn(identities, identity->kind.at, identity->kind.len) == NULL)
      json_object_setn_new(identities, identity->kind.at, identity->kind.len, json_of(identity->value));
  }
  json_object_set_new(customer, "identities", identities);
}

json_t *values_of_customer(const struct customer_row *row, struct arena *arena)
{
  json_t *customer = json_object(), *attributes = json_parsed(row->attributes, arena), *tags = json_parsed(row->tags, arena);
  char id[ID_TEXT_MAX];

  id_format("cus", row->id, id);
  json_object_set_new(customer, "id", json_string(id));
  member_set(customer, "name", row->name);
  member_set(customer, "locale", row->locale);
  member_set(customer, "timezone", row->timezone);
  json_object_set_new(customer, "attributes", attributes != NULL ? attributes : json_object());
  json_object_set_new(customer, "tags", tags != NULL ? tags : json_array());
  identities_set(customer, row);
  return customer;
}

void values_add_event(json_t *last, const struct timeline_row *row, struct arena *arena)
{
  parley_text rest = row->type;
  char at[32];
  json_t *data;

  if (row->message != NULL || !text_starts(rest, "touchpoint."))
    return;
  text_cut(&rest, '.');
  while (rest.len > 0) {
    parley_text word = text_cut(&rest, '.');
    json_t *below = json_object_getn(last, word.at, word.len);

    if (below == NULL)
      json_object_setn_new(last, word.at, word.len, below = json_object());
    last = below;
  }
  data = json_parsed(row->data, arena);
  if (json_is_object(data) && json_object_get(last, "at") == NULL) {
    struct buf time = BUF_INIT(sizeof at);

    buf_json_time(&time, row->at_ms);
    json_object_update_missing(last, data);
    if (time.len > 2)
      json_object_set_new(last, "at", json_stringn(time.at + 1, time.len - 2));
    buf_done(&time);
  }
  json_decref(data);
}
