/* write_joined.c - the message that the pieces of a text become: all of them, those that are there, or a piece by itself. */
#include "core/base/text.h"
#include "core/message/json.h"
#include "join.h"

#define JOIN_GAP "[\xe2\x80\xa6]" /* stands for pieces that are missing */

struct piece { /* as it was kept */
  uint32_t part, flags;
  int64_t at_ms;
  id64 token;
  parley_text provider_id, in_reply_to, text;
  parley_bytes body, raw;
};

/* --- who wrote: {"external":"..","ids":[["phone","+34..","600 ..",2],..]} ---------------------------------------------------- */

parley_text sender_write(const struct recipient *from, struct arena *arena)
{
  struct buf json = BUF_INIT(0);
  parley_text kept;

  buf_str(&json, "{\"external\":");
  buf_json_text(&json, from->external);
  buf_str(&json, ",\"ids\":[");
  for (size_t i = 0; i < from->n_identities; i++) {
    const struct identity *identity = &from->identities[i];

    buf_json_comma(&json);
    buf_char(&json, '[');
    buf_json_text(&json, identity->kind);
    buf_char(&json, ',');
    buf_json_text(&json, identity->value);
    buf_char(&json, ',');
    buf_json_text(&json, identity->raw);
    buf_printf(&json, ",%u]", identity->assurance);
  }
  buf_str(&json, "]}");
  kept = arena_text(arena, buf_as_text(&json));
  buf_done(&json);
  return kept;
}

static void sender_read(parley_text sender, struct arena *arena, struct recipient *ret)
{
  json_t *json = json_loadb(sender.at, sender.len, 0, NULL), *ids = json_object_get(json, "ids");

  *ret = (struct recipient){.external = arena_text(arena, json_text(json_object_get(json, "external")))};
  for (size_t i = 0; i < json_array_size(ids) && i < RECIPIENT_IDENTITIES_MAX; i++) {
    const json_t *one = json_array_get(ids, i);

    ret->identities[ret->n_identities++] =
        (struct identity){.kind = arena_text(arena, json_text(json_array_get(one, 0))),
                          .value = arena_text(arena, json_text(json_array_get(one, 1))),
                          .raw = arena_text(arena, json_text(json_array_get(one, 2))),
                          .assurance = (uint32_t)json_integer_value(json_array_get(one, 3))};
  }
  json_decref(json);
}

/* --- the message ------------------------------------------------------------------------------------------------------------- */

static size_t pieces_load(struct round *round, const struct joining *joining, struct arena *arena, struct piece *pieces)
{
  struct stmt *list = db_sql(round->db, "SELECT part, at, flags, provider_id, in_reply_to, token, text, body, raw FROM piece"
                                        " WHERE joining=? ORDER BY part");
  size_t n = 0;

  bind_id(list, 1, joining->id);
  while (n < JOIN_PARTS_MAX && db_step(list))
    pieces[n++] = (struct piece){.part = (uint32_t)col_int(list, 0),
                                 .at_ms = col_int(list, 1),
                                 .flags = (uint32_t)col_int(list, 2),
                                 .provider_id = col_text(list, 3, arena),
                                 .in_reply_to = col_text(list, 4, arena),
                                 .token = col_id(list, 5),
                                 .text = col_text(list, 6, arena),
                                 .body = col_text(list, 7, arena),
                                 .raw = col_text(list, 8, arena)};
  db_reset(list);
  return n;
}

/* In their order, a mark where some are missing. */
static parley_text pieces_text(const struct piece *pieces, size_t n, uint32_t total, struct arena *arena)
{
  struct buf text = BUF_INIT(0);
  uint32_t next = 1;
  parley_text kept;

  for (size_t i = 0; i < n; i++) {
    if (pieces[i].part != next)
      buf_str(&text, JOIN_GAP);
    buf_text(&text, pieces[i].text);
    next = pieces[i].part + 1;
  }
  if (next <= total)
    buf_str(&text, JOIN_GAP);
  kept = arena_text(arena, buf_as_text(&text));
  buf_done(&text);
  return kept;
}

/* One after the other, as they came. */
static parley_bytes pieces_raw(const struct piece *pieces, size_t n, struct arena *arena)
{
  struct buf raw = BUF_INIT(0);
  parley_bytes kept;

  for (size_t i = 0; i < n; i++) {
    if (raw.len > 0 && pieces[i].raw.len > 0)
      buf_char(&raw, '\n');
    buf_text(&raw, pieces[i].raw);
  }
  kept = arena_text(arena, buf_as_text(&raw));
  buf_done(&raw);
  return kept;
}

/* {"total":3,"missing":[2],"why":"timed_out"} */
static json_t *segments_of(const struct piece *pieces, size_t n, uint32_t total, const char *why)
{
  json_t *segments = json_pack("{s:i}", "total", (int)total), *missing = json_array();
  size_t at = 0;

  for (uint32_t part = 1; part <= total; part++) {
    if (at < n && pieces[at].part == part)
      at++;
    else
      json_array_append_new(missing, json_integer(part));
  }
  if (json_array_size(missing) > 0) {
    json_object_set(segments, "missing", missing);
    json_object_set_new(segments, "why", json_string(why));
  }
  json_decref(missing);
  return segments;
}

/* The stored body with another text in it, and what became of the pieces beside. Takes segments. */
static parley_bytes body_with(parley_bytes body, const parley_text *text, json_t *segments, struct arena *arena)
{
  json_t *json = json_loadb(body.at, body.len, JSON_ALLOW_NUL, NULL);
  struct buf made = BUF_INIT(0);
  parley_bytes kept;

  if (text != NULL)
    json_object_set_new(json_object_get(json, "content"), "text", json_stringn(text->at, text->len));
  json_object_set_new(json, "segments", segments);
  buf_json_value(&made, json);
  kept = arena_text(arena, buf_as_text(&made));
  buf_done(&made);
  json_decref(json);
  return kept;
}

/* What all pieces say together: the first that has it. */
static void pieces_fill(const struct piece *pieces, size_t n, struct store_inbound *in)
{
  for (size_t i = 0; i < n; i++) {
    if (in->at_ms == 0 || (pieces[i].at_ms > 0 && pieces[i].at_ms < in->at_ms))
      in->at_ms = pieces[i].at_ms;
    if (in->provider_id.len == 0)
      in->provider_id = pieces[i].provider_id;
    if (in->in_reply_to.len == 0)
      in->in_reply_to = pieces[i].in_reply_to;
    if (in->token_message == 0)
      in->token_message = pieces[i].token;
    in->flags |= pieces[i].flags;
  }
}

/* What is known of it from here on is how it was named, and which pieces it had. */
static void joining_done(struct round *round, id64 id, id64 message)
{
  struct stmt *pieces = db_sql(round->db, "UPDATE piece SET text='', body=?2, raw=?2, in_reply_to='' WHERE joining=?1");
  struct stmt *joining = db_sql(round->db, "UPDATE joining SET done=?, message=?, sender='' WHERE id=?");

  bind_id(pieces, 1, id);
  bind_blob(pieces, 2, (parley_bytes){"", 0});
  db_run(pieces);
  bind_int(joining, 1, round->now_ms);
  bind_id(joining, 2, message);
  bind_id(joining, 3, id);
  db_run(joining);
}

parley_status joining_deliver(struct round *round, const struct joining *joining, const char *why, struct store_inbound *in)
{
  struct arena *arena = in->op.arena;
  struct piece *pieces = arena_alloc(arena, JOIN_PARTS_MAX * sizeof(*pieces));
  size_t n = pieces_load(round, joining, arena, pieces);
  parley_status st;

  if (n == 0)
    return PARLEY_NOT_FOUND;
  in->channel = joining->channel;
  in->channel_kind = joining->channel_kind;
  in->event_id = in->provider_id = in->in_reply_to = in->topic = TEXT_EMPTY;
  in->kind = PARLEY_KIND_CONTENT;
  in->flags = 0;
  in->at_ms = 0;
  in->token_message = 0;
  in->n_references = 0;
  sender_read(joining->sender, arena, &in->from);
  pieces_fill(pieces, n, in);
  in->text = pieces_text(pieces, n, joining->total, arena);
  in->body = body_with(pieces[0].body, &in->text, segments_of(pieces, n, joining->total, why), arena);
  in->raw = pieces_raw(pieces, n, arena);
  in->partial = n < joining->total;
  st = inbound_make(round, in);
  if (st != PARLEY_OK)
    return st;
  for (size_t i = 1; i < n; i++)
    inbound_named(round, joining->channel, pieces[i].provider_id, in->message);
  joining_done(round, joining->id, in->message);
  return PARLEY_OK;
}

/* --- a piece by itself ------------------------------------------------------------------------------------------------------- */

parley_status piece_alone(struct round *round, struct store_inbound *in, const char *why)
{
  json_t *segments = json_pack("{s:I,s:I,s:s}", "part", (json_int_t)in->piece.part, "total", (json_int_t)in->piece.total, "why", why);

  in->body = body_with(in->body, NULL, segments, in->op.arena);
  in->partial = true;
  return inbound_make(round, in);
}
