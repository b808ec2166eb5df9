#include "report.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/fit.h"
#include <string.h>

#define REPORT_ID_BYTES_MAX 512
#define REPORT_FIELDS_MAX 64
#define REPORT_REFERENCES_MAX 20 /* of a thread: the newest are asked for */
#define TOUCHPOINT_TYPE_BYTES_MAX 64
#define SUBJECT_BYTES_MAX 255 /* of a conversation */

const char *report_kind_name(uint32_t kind)
{
  static const struct {
    uint32_t kind;
    const char *name;
  } names[] = {
      {PARLEY_KIND_CONTENT, "content"},   {PARLEY_KIND_EDIT, "edit"},         {PARLEY_KIND_DELETE, "delete"},
      {PARLEY_KIND_REACTION, "reaction"}, {PARLEY_KIND_POSTBACK, "postback"}, {PARLEY_KIND_TYPING, "typing"},
      {PARLEY_KIND_READ, "read"},         {PARLEY_KIND_CALL, "call"},         {PARLEY_KIND_START, "start"},
      {PARLEY_KIND_LEAVE, "leave"},       {PARLEY_KIND_FORM, "form"},         {PARLEY_KIND_COMMENT, "comment"},
      {PARLEY_KIND_MOVED, "moved"},
  };

  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (names[i].kind == kind)
      return names[i].name;
  return NULL;
}

static bool report_from(const parley_inbound *in, const struct phone_reading *phones, struct arena *arena,
                        struct problems *problems, struct recipient *ret)
{
  for (uint32_t i = 0; i < in->n_from; i++) {
    const parley_identity *from = in->from[i];
    struct identity *to = &ret->identities[ret->n_identities];

    if (parley_text_is(from->kind, "external")) {
      struct identity external;

      if (!identity_normalise(NULL, from->kind, from->value, arena, PARLEY_LIT("/from/external"), problems, &external))
        return false;
      ret->external = external.value;
      continue;
    }
    if (ret->n_identities == RECIPIENT_IDENTITIES_MAX ||
        !identity_normalise(phones, from->kind, from->value, arena, PARLEY_LIT("/from"), problems, to))
      return false;
    to->assurance = in->flags & PARLEY_ECHO                 ? PARLEY_CLAIMED /* it was written to: they have shown nothing */
                    : from->assurance > PARLEY_OBSERVED ? from->assurance
                                                        : PARLEY_OBSERVED;
    ret->n_identities++;
  }
  if (ret->n_identities == 0 && ret->external.len == 0) {
    problem_add(problems, PARLEY_LIT("/from"), "missing", "a message needs at least one identity of its sender");
    return false;
  }
  return true;
}

/* An address has moved: the old one's owner gets the new one, so that the old one stands first when the owner is looked for. */
static bool report_moved(struct problems *problems, struct recipient *from)
{
  struct identity is = from->identities[0];

  if (from->n_identities != 2 || from->external.len > 0) {
    problem_add(problems, PARLEY_LIT("/from"), "bad_move", "`from` of a move is the new address and then the old one");
    return false;
  }
  from->identities[0] = from->identities[1];
  from->identities[1] = is;
  return true;
}

bool report_ask(const parley_inbound *in, const struct phone_reading *phones, struct arena *arena, struct problems *problems,
                struct store_customer *ret)
{
  struct recipient from = {0};

  if (in->n_from == 0)
    return true;
  if (!report_from(in, phones, arena, problems, &from))
    return false;
  ret->external = from.external;
  if (from.n_identities > 0 && from.external.len == 0)
    ret->identity = from.identities[0];
  return true;
}

static void content_media_add(const parley_part *part, struct content *content, struct arena *arena)
{
  struct content_media *media;

  if (content->n_media == CONTENT_MEDIA_MAX || (part->kind == PARLEY_PART_CONTACT && part->media.len == 0 && part->url.len == 0))
    return;
  if (content->media == NULL)
    content->media = arena_alloc(arena, CONTENT_MEDIA_MAX * sizeof *content->media);
  media = &content->media[content->n_media++];
  if (!id_parse("med", part->media, &media->id))
    media->id = 0;
  media->url = part->url;
  media->type = part->type.len == 0 && part->kind == PARLEY_PART_CONTACT ? PARLEY_LIT("text/vcard") : part->type;
  media->name = part->name;
  media->caption = part->text;
}

/* Several text parts become one text, a blank line between them. */
static void content_text_add(parley_text *to, parley_text more, const char *between, struct arena *arena)
{
  struct buf joined = BUF_INIT(INBOUND_BODY_BYTES_MAX);

  if (to->len == 0) {
    *to = more;
    return;
  }
  buf_text(&joined, *to);
  buf_str(&joined, between);
  buf_text(&joined, more);
  *to = arena_text(arena, buf_as_text(&joined));
  buf_done(&joined);
}

struct said { /* what the parts of a message come to */
  struct content content;
  parley_text quoted, html_written; /* quoted text, and the HTML without it */
};

static void said_text(struct said *said, const parley_part *part, struct arena *arena)
{
  bool quoted = (part->flags & PARLEY_PART_QUOTED) != 0;

  if (part->kind == PARLEY_PART_TEXT) {
    content_text_add(quoted ? &said->quoted : &said->content.text, part->text, "\n\n", arena);
    return;
  }
  content_text_add(&said->content.html, part->text, "", arena);
  if (!quoted)
    content_text_add(&said->html_written, part->text, "", arena);
}

static void report_content(const parley_inbound *in, struct arena *arena, struct said *said)
{
  struct content *content = &said->content;

  content->subject = in->subject;
  for (uint32_t i = 0; i < in->n_parts; i++) {
    const parley_part *part = in->parts[i];

    if (part->kind == PARLEY_PART_TEXT || part->kind == PARLEY_PART_HTML) {
      said_text(said, part, arena);
    } else if (part->kind == PARLEY_PART_MEDIA || part->kind == PARLEY_PART_CONTACT) { /* a contact is a file, too: its vCard */
      content_media_add(part, content, arena);
    } else if (part->kind == PARLEY_PART_LOCATION) {
      content->has_location = true;
      content->latitude = part->latitude;
      content->longitude = part->longitude;
      content->location_name = part->name;
      content->location_address = part->text;
    }
  }
  if (content->text.len == 0 && said->html_written.len > 0) /* readers of text alone read it as well */
    content->text = html_to_text(said->html_written, arena);
}

static void buf_fields(struct buf *buf, const parley_pair *fields, uint32_t n)
{
  buf_char(buf, '{');
  for (uint32_t i = 0; i < n && i < REPORT_FIELDS_MAX; i++) {
    buf_json_comma(buf);
    buf_json_text(buf, fields[i].name);
    buf_char(buf, ':');
    buf_json_text(buf, fields[i].value);
  }
  buf_char(buf, '}');
}

/* Returns the text. */
static parley_text buf_report(struct buf *buf, const parley_inbound *in, const char *kind, struct arena *arena)
{
  struct said said;

  memset(&said, 0, sizeof said);
  report_content(in, arena, &said);
  buf_str(buf, "{\"content\":");
  buf_content(buf, &said.content, 0);
  if (said.quoted.len > 0) {
    buf_json_key(buf, "quoted");
    buf_json_text(buf, said.quoted);
  }
  if (in->kind != PARLEY_KIND_CONTENT) {
    buf_json_key(buf, "kind");
    buf_json_str(buf, kind);
  }
  if (in->payload.len > 0) {
    buf_json_key(buf, "payload");
    buf_json_text(buf, in->payload);
  }
  if (in->target.len > 0) {
    buf_json_key(buf, "target");
    buf_json_text(buf, in->target);
  }
  if (in->n_fields > 0) {
    buf_json_key(buf, "fields");
    buf_fields(buf, in->fields, in->n_fields);
  }
  buf_char(buf, '}');
  return arena_text(arena, said.content.text);
}

/* Of what it answers: "Re: Re: Order 1042", in the languages that write it otherwise, too. */
static parley_text without_re(parley_text subject)
{
  static const char *const marks[] = {"re", "aw", "sv", "vs", "antw", "rv", "res"};
  bool found = true;

  subject = text_trim(subject);
  while (found) {
    parley_text rest = subject, mark = text_cut(&rest, ':');

    found = false;
    for (size_t i = 0; i < COUNT_OF(marks); i++)
      found |= mark.len < subject.len && text_is_nocase(mark, marks[i]);
    if (found)
      subject = text_trim(rest);
  }
  return subject;
}

/* One line, and none that is too long: it stands in what is answered. */
static parley_text report_subject(const parley_inbound *in, struct arena *arena)
{
  parley_text subject = without_re(in->subject);
  char *kept = arena_alloc(arena, SUBJECT_BYTES_MAX + 1);

  subject.len = text_utf8_cut(subject, SUBJECT_BYTES_MAX);
  for (size_t i = 0; i < subject.len; i++)
    kept[i] = (unsigned char)subject.at[i] < 0x20 || subject.at[i] == 0x7f ? ' ' : subject.at[i];
  return (parley_text){kept, subject.len};
}

static bool report_texts_ok(const parley_inbound *in, struct problems *problems)
{
  bool ok = in->event_id.len <= REPORT_ID_BYTES_MAX && in->provider_id.len <= REPORT_ID_BYTES_MAX &&
            in->reply_to.len <= REPORT_ID_BYTES_MAX && text_utf8_ok(in->event_id) && text_utf8_ok(in->provider_id);

  if (!ok)
    problem_add(problems, PARLEY_LIT("/id"), "bad_id", "ids are UTF-8 of at most %d bytes", REPORT_ID_BYTES_MAX);
  return ok;
}

/* The newest ones: they stand last. One that no id of ours can be is left out. */
static void report_references(const parley_inbound *in, struct arena *arena, struct store_inbound *ret)
{
  size_t from = in->n_references > REPORT_REFERENCES_MAX ? in->n_references - REPORT_REFERENCES_MAX : 0;
  parley_text *names = arena_alloc(arena, REPORT_REFERENCES_MAX * sizeof *names);

  ret->n_references = 0;
  ret->references = names;
  for (size_t i = from; i < in->n_references; i++)
    if (in->references[i].len > 0 && in->references[i].len <= REPORT_ID_BYTES_MAX && text_utf8_ok(in->references[i]))
      names[ret->n_references++] = arena_text(arena, in->references[i]);
}

/* As it came; what was too large for one call is media, and its id stands for it. */
static parley_bytes report_raw(const parley_part *raw, struct arena *arena)
{
  if (raw == NULL)
    return TEXT_EMPTY;
  return arena_text(arena, raw->data.len > 0 ? raw->data : raw->media);
}

static bool is_text_alone(const parley_inbound *in)
{
  for (uint32_t i = 0; i < in->n_parts; i++)
    if (in->parts[i]->kind != PARLEY_PART_TEXT || (in->parts[i]->flags & PARLEY_PART_QUOTED) != 0)
      return false;
  return in->kind == PARLEY_KIND_CONTENT;
}

/* Whatever is wrong with a piece, its words are a message. */
static const char *piece_bad(const parley_inbound *in, const struct store_inbound *read)
{
  const struct store_piece *piece = &read->piece;

  if (piece->part == 0 || piece->part > piece->total || piece->total > JOIN_PARTS_MAX || piece->key.len == 0)
    return "invalid";
  if (!is_text_alone(in) || read->text.len > JOIN_PIECE_BYTES_MAX || piece->key.len > REPORT_ID_BYTES_MAX || !text_utf8_ok(piece->key))
    return "invalid";
  return NULL;
}

/* One of one is whole. */
static void report_piece(const parley_inbound *in, struct arena *arena, struct store_inbound *ret)
{
  const parley_segment *segment = in->segment;

  ret->piece = (struct store_piece){.key = TEXT_EMPTY};
  if (segment == NULL || (segment->total == 1 && segment->index == 1))
    return;
  ret->piece.given = true;
  ret->piece.part = segment->index;
  ret->piece.total = segment->total;
  ret->piece.key = arena_text(arena, segment->key);
  ret->piece.bad = piece_bad(in, ret);
}

bool report_read(const parley_inbound *in, const struct phone_reading *phones, struct arena *arena, struct problems *problems,
                 struct store_inbound *ret)
{
  const char *kind = report_kind_name(in->kind);
  struct buf body = BUF_INIT(INBOUND_BODY_BYTES_MAX);
  bool fits;

  if (kind == NULL) {
    problem_add(problems, PARLEY_LIT("/kind"), "unknown_kind", "this kind of message is not known to the host");
    return false;
  }
  if (!report_texts_ok(in, problems) || !report_from(in, phones, arena, problems, &ret->from) ||
      (in->kind == PARLEY_KIND_MOVED && !report_moved(problems, &ret->from)))
    return false;
  ret->text = buf_report(&body, in, kind, arena);
  fits = !body.overflow;
  if (fits)
    ret->body = arena_text(arena, buf_as_text(&body));
  else
    problem_add(problems, PARLEY_LIT("/content"), "content_too_large",
                "text and html are at most 1 MiB; larger content is media");
  buf_done(&body);
  ret->raw = report_raw(in->raw, arena);
  ret->subject = report_subject(in, arena);
  sha256(ret->raw.len > 0 ? ret->raw : ret->body, ret->body_sha256);
  ret->event_id = arena_text(arena, in->event_id.len > 0 ? in->event_id : in->provider_id);
  ret->provider_id = arena_text(arena, in->provider_id);
  ret->in_reply_to = arena_text(arena, in->reply_to);
  report_references(in, arena, ret);
  ret->kind = in->kind;
  ret->flags = in->flags;
  report_piece(in, arena, ret);
  return fits;
}

static bool touchpoint_type_ok(parley_text type)
{
  for (size_t i = 0; i < type.len; i++)
    if (strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", type.at[i]) == NULL)
      return false;
  return type.len > 0 && type.len <= TOUCHPOINT_TYPE_BYTES_MAX;
}

bool report_touchpoint(const parley_touchpoint *event, const struct phone_reading *phones, struct arena *arena,
                       struct problems *problems, struct store_touchpoint *ret)
{
  static const char *const stages[] = {"", "before", "during", "after"};
  struct buf data = BUF_INIT(65536);
  parley_inbound from = {.n_from = 1, .from = &event->who};

  if (!touchpoint_type_ok(event->type) || event->who == NULL || event->stage >= COUNT_OF(stages)) {
    problem_add(problems, PARLEY_LIT("/type"), "bad_event", "an event needs a type of a-z 0-9 . _ - and whose it is");
    return false;
  }
  if (!report_from(&from, phones, arena, problems, &ret->who))
    return false;
  buf_fields(&data, event->fields, event->n_fields);
  ret->data = arena_text(arena, buf_as_text(&data));
  buf_done(&data);
  ret->type = arena_text(arena, event->type);
  ret->key = arena_text(arena, event->event_id);
  ret->stage = parley_text_of(stages[event->stage]);
  return true;
}
