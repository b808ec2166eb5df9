#include "mail_draft.h"
#include "mail_sum.h"
#include <glib.h>
#include <stdio.h>

enum {
  FIELD_MAX = 4096,       /* bytes of the To and Cc that are kept for people */
  PARTS_BESIDE_FILES = 4, /* text and HTML, written and quoted */
  EVENT_ID_MAX = 600
};

static parley_part *draft_part(struct mail_draft *draft, uint32_t kind, uint32_t flags)
{
  parley_part *part = &draft->parts[draft->inbound.n_parts];

  *part = (parley_part){.size = sizeof *part, .kind = kind, .flags = flags};
  draft->part_list[draft->inbound.n_parts++] = part;
  return part;
}

static void draft_text(struct mail_draft *draft, uint32_t kind, uint32_t flags, parley_text text)
{
  if (text.len > 0)
    draft_part(draft, kind, flags)->text = text;
}

static void draft_files(struct mail_draft *draft, const struct mail_draft_source *source)
{
  const struct mail_in *mail = source->mail;

  for (uint32_t i = 0; i < mail->n_files; i++) {
    const struct mail_file *file = &mail->files[i];
    parley_part *part;

    if (source->media[i].len == 0 && (source->uploads || file->data.len > MAIL_DRAFT_SPARE))
      continue; /* empty, or the raw mail alone has it */
    part = draft_part(draft, PARLEY_PART_MEDIA, file->shown ? PARLEY_PART_INLINE : 0);
    part->type = file->type;
    part->name = file->shown ? file->content_id : file->name;
    part->total_bytes = file->data.len;
    part->media = source->media[i];
    if (part->media.len == 0)
      part->data = file->data;
  }
}

static void draft_content(struct mail_draft *draft, const struct mail_draft_source *source)
{
  const struct mail_in *mail = source->mail;

  draft_text(draft, PARLEY_PART_TEXT, 0, mail->text);
  draft_text(draft, PARLEY_PART_TEXT, PARLEY_PART_QUOTED, mail->quoted);
  draft_text(draft, PARLEY_PART_HTML, 0, (parley_text){mail->html.at, mail->html_fresh});
  draft_text(draft, PARLEY_PART_HTML, PARLEY_PART_QUOTED,
             (parley_text){mail->html.at + mail->html_fresh, mail->html.len - mail->html_fresh});
  draft_files(draft, source);
}

static parley_text people_text(const struct mail_draft_source *source, const struct mail_person *people, uint32_t n)
{
  GString *all = g_string_new(NULL);
  parley_text kept;

  for (uint32_t i = 0; i < n; i++) {
    size_t before = all->len;

    if (i > 0)
      g_string_append(all, ", ");
    if (people[i].name.len > 0)
      g_string_append_printf(all, "%.*s <%.*s>", (int)people[i].name.len, people[i].name.at, (int)people[i].address.len,
                             people[i].address.at);
    else
      g_string_append_len(all, people[i].address.at, (gssize)people[i].address.len);
    if (all->len > FIELD_MAX) {
      g_string_truncate(all, before);
      break;
    }
  }
  kept = mail_memory_copy(source->memory, (parley_text){all->str, all->len});
  g_string_free(all, TRUE);
  return kept;
}

static void draft_field(struct mail_draft *draft, parley_text name, parley_text value)
{
  if (value.len > 0)
    draft->fields[draft->inbound.n_fields++] = (parley_pair){name, value};
}

static void draft_fields(struct mail_draft *draft, const struct mail_draft_source *source)
{
  const struct mail_in *mail = source->mail;

  draft_field(draft, PARLEY_LIT("to"), people_text(source, mail->to, mail->n_to));
  draft_field(draft, PARLEY_LIT("cc"), people_text(source, mail->cc, mail->n_cc));
  draft_field(draft, PARLEY_LIT("reply_to"), people_text(source, mail->reply_to, mail->n_reply_to));
  draft_field(draft, PARLEY_LIT("limited"), mail->limited ? PARLEY_LIT("true") : PARLEY_LIT(""));
  draft_field(draft, PARLEY_LIT("unverified"), source->unverified ? PARLEY_LIT("true") : PARLEY_LIT(""));
  draft_field(draft, PARLEY_LIT("ambiguous"), mail->ambiguous ? PARLEY_LIT("true") : PARLEY_LIT(""));
}

/* SHA-256 of the Message-ID, who wrote it and the content, in hexadecimal digits. */
static void content_sum(const struct mail_draft_source *source, char *hex)
{
  const struct mail_in *mail = source->mail;
  const char *body = mail->message_id.len > 0 ? memmem(source->raw.at, source->raw.len, "\r\n\r\n", 4) : NULL;
  size_t head = body != NULL ? (size_t)(body - source->raw.at) : 0; /* trace lines come on top, from hop to hop */
  const parley_bytes pieces[] = {mail->message_id, PARLEY_LIT("\n"), mail->from.address,
                                 {source->raw.at + head, source->raw.len - head}};

  mail_sum(pieces, G_N_ELEMENTS(pieces), hex);
}

parley_text mail_draft_event_id(const struct mail_draft_source *source, const char *kind, parley_text more)
{
  char *to = mail_memory_get(source->memory, EVENT_ID_MAX), hex[MAIL_SUM_HEX + 1];
  parley_text name = source->source_id;

  if (name.len == 0) {
    content_sum(source, hex);
    name = parley_text_of(hex);
  }
  snprintf(to, EVENT_ID_MAX, "%s:%.*s:%.*s", kind, (int)name.len, name.at, (int)more.len, more.at);
  return parley_text_of(to);
}

struct mail_draft *mail_draft_new(const struct mail_draft_source *source)
{
  const struct mail_in *mail = source->mail;
  struct mail_draft *draft = mail_memory_get(source->memory, sizeof *draft);
  parley_text raw_media = source->media[mail->n_files];
  size_t n_parts = PARTS_BESIDE_FILES + mail->n_files;

  draft->parts = mail_memory_get(source->memory, n_parts * sizeof *draft->parts);
  draft->part_list = mail_memory_get(source->memory, n_parts * sizeof *draft->part_list);
  draft->raw = (parley_part){.size = sizeof draft->raw,
                             .kind = PARLEY_PART_MEDIA,
                             .total_bytes = source->raw.len,
                             .type = PARLEY_LIT("message/rfc822"),
                             .media = raw_media};
  if (raw_media.len == 0)
    draft->raw.data = source->raw;
  draft->inbound = (parley_inbound){.size = sizeof draft->inbound,
                                    .kind = PARLEY_KIND_CONTENT,
                                    .n_from = 1,
                                    .n_references = mail->n_references,
                                    .at_ms = source->at_ms,
                                    .provider_id = mail->message_id,
                                    .subject = mail->subject,
                                    .reply_to = mail->in_reply_to,
                                    .from = draft->from_list,
                                    .parts = draft->part_list,
                                    .references = mail->references,
                                    .fields = draft->fields,
                                    .raw = &draft->raw};
  if (mail->in_reply_to.len == 0 && mail->n_references > 0)
    draft->inbound.reply_to = mail->references[mail->n_references - 1];
  draft->from = (parley_identity){.size = sizeof draft->from, .kind = PARLEY_LIT("email")};
  draft->from_list[0] = &draft->from;
  draft_content(draft, source);
  draft_fields(draft, source);
  return draft;
}
