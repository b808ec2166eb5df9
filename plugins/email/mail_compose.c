#include "mail_head.h"
#include <dlfcn.h>
#include <stdio.h>

enum {
  LINE_MAX_BYTES = 998, /* RFC 5322 2.1.1 */
  BOUNDARY_MAX = 70,    /* RFC 2046 5.1.1 */
  FILE_NAME_MAX = 255
};

struct mail_composer {
  GMimeFormatOptions *format;
};

struct mail_composer *mail_composer_new(void)
{
  struct mail_composer *composer = g_new0(struct mail_composer, 1);
  Dl_info info;

  /* GMime registers types in GObject, which never forgets them: if it left with the last plugin that uses it and came
   * again elsewhere in memory, those types would point into nowhere. So it stays. */
  if (dladdr((const void *)(uintptr_t)g_mime_init, &info) != 0 && info.dli_fname != NULL)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
  g_mime_init();
  composer->format = g_mime_format_options_new();
  g_mime_format_options_set_newline_format(composer->format, GMIME_NEWLINE_FORMAT_DOS);
  return composer;
}

void mail_composer_free(struct mail_composer **composer)
{
  if (*composer == NULL)
    return;
  g_mime_format_options_free((*composer)->format);
  g_free(*composer);
  *composer = NULL;
}

/* --- Parts -------------------------------------------------------------------------------------------------------- */
static GMimeObject *multipart_new(struct draft *draft, const char *subtype)
{
  GMimeMultipart *multipart = g_mime_multipart_new_with_subtype(subtype);
  char boundary[BOUNDARY_MAX + 1];

  /* "=_" stands in no quoted-printable and no base64 text, and no other mail has this id. */
  snprintf(boundary, sizeof boundary, "=_%s_%u", draft->token, (unsigned)++draft->n_boundaries);
  g_mime_multipart_set_boundary(multipart, boundary);
  return GMIME_OBJECT(multipart);
}

static void multipart_take(GMimeObject *multipart, GMimeObject *part)
{
  g_mime_multipart_add(GMIME_MULTIPART(multipart), part);
  g_object_unref(part);
}

static GMimeContentEncoding text_encoding(parley_text text, const char *boundary_start)
{
  size_t line = 0, line_max = 0, eightbit = 0;
  bool odd = false;

  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.at[i];

    line = c == '\n' ? 0 : line + 1;
    line_max = line > line_max ? line : line_max;
    eightbit += c >= 0x80;
    odd |= c == '\0' || c == 0x7f || (c < ' ' && c != '\n' && c != '\t');
  }
  if (eightbit == 0 && !odd && line_max <= LINE_MAX_BYTES &&
      memmem(text.at, text.len, boundary_start, strlen(boundary_start)) == NULL)
    return GMIME_CONTENT_ENCODING_7BIT;
  return eightbit > text.len / 6 ? GMIME_CONTENT_ENCODING_BASE64 : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
}

/* CRLF and CR become LF, which GMime turns into CRLF when it writes. */
static GByteArray *lines_of(parley_text text)
{
  GByteArray *lines = g_byte_array_sized_new((guint)text.len + 1);

  if (text.len > 0 && memchr(text.at, '\r', text.len) == NULL)
    return g_byte_array_append(lines, (const guint8 *)text.at, (guint)text.len);
  for (size_t i = 0; i < text.len; i++) {
    bool cr = text.at[i] == '\r';

    g_byte_array_append(lines, cr ? (const guint8 *)"\n" : (const guint8 *)text.at + i, 1);
    if (cr && i + 1 < text.len && text.at[i + 1] == '\n')
      i++;
  }
  return lines;
}

static void content_set(GMimePart *part, GByteArray *bytes, bool owned, GMimeContentEncoding encoding) /* owned: it frees bytes */
{
  GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);
  GMimeDataWrapper *wrapper;

  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), owned);
  wrapper = g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
  g_mime_part_set_content(part, wrapper);
  g_mime_part_set_content_encoding(part, encoding);
  g_object_unref(wrapper);
  g_object_unref(stream);
}

static GMimeObject *text_part_new(struct draft *draft, const char *subtype, parley_text text)
{
  GMimePart *part = g_mime_part_new_with_type("text", subtype);
  GByteArray *lines = lines_of(text);
  char boundary_start[BOUNDARY_MAX + 1];
  GMimeContentEncoding encoding;

  snprintf(boundary_start, sizeof boundary_start, "--=_%s_", draft->token);
  encoding = text_encoding((parley_text){(const char *)lines->data, lines->len}, boundary_start);
  g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", "utf-8");
  content_set(part, lines, true, encoding);
  return GMIME_OBJECT(part);
}

static bool is_token(const char *at, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (!g_ascii_isalnum(at[i]) && strchr("!#$&^_.+-", at[i]) == NULL)
      return false;
  return len > 0 && len <= 64;
}

static GMimePart *media_part_of_type(parley_text type)
{
  const char *slash = type.len > 0 ? memchr(type.at, '/', type.len) : NULL;
  size_t major = slash != NULL ? (size_t)(slash - type.at) : 0;
  char name[2][65] = {"application", "octet-stream"};

  if (slash != NULL && is_token(type.at, major) && is_token(slash + 1, type.len - major - 1) &&
      g_ascii_strncasecmp(type.at, "message/", 8) != 0 && g_ascii_strncasecmp(type.at, "multipart/", 10) != 0) {
    snprintf(name[0], sizeof name[0], "%.*s", (int)major, type.at);
    snprintf(name[1], sizeof name[1], "%.*s", (int)(type.len - major - 1), slash + 1);
  }
  return g_mime_part_new_with_type(name[0], name[1]);
}

static bool is_content_id(parley_text name) /* what "cid:" may name */
{
  for (size_t i = 0; i < name.len; i++)
    if (name.at[i] <= ' ' || name.at[i] >= 0x7f || strchr("<>\"\\()", name.at[i]) != NULL)
      return false;
  return name.len > 0 && name.len <= FILE_NAME_MAX;
}

static GMimeObject *media_part_new(struct draft *draft, uint32_t index)
{
  const parley_part *from = draft->source->message->parts[index];
  parley_bytes data = from->data.len == 0 && draft->source->media != NULL ? draft->source->media[index] : from->data;
  GMimePart *part = media_part_of_type(from->type);
  bool shown = (from->flags & PARLEY_PART_INLINE) != 0;

  g_mime_object_set_disposition(GMIME_OBJECT(part), shown ? "inline" : "attachment");
  if (shown && is_content_id(from->name)) {
    char *id = g_strndup(from->name.at, from->name.len);

    g_mime_part_set_content_id(part, id);
    g_free(id);
  }
  if (from->name.len > 0 && from->name.len <= FILE_NAME_MAX && mail_text_ok(from->name)) {
    char *name = g_strndup(from->name.at, from->name.len);

    g_mime_part_set_filename(part, name);
    g_free(name);
  }
  if (from->text.len > 0 && mail_text_ok(from->text))
    mail_header_add(draft, GMIME_OBJECT(part), "Content-Description", from->text);
  if (data.len == 0 && from->total_bytes > 0)
    draft->why = "a medium came without its content";
  draft->media[index] = (GByteArray){.data = (guint8 *)(uintptr_t)data.at, .len = (guint)data.len};
  content_set(part, &draft->media[index], false, GMIME_CONTENT_ENCODING_BASE64);
  return GMIME_OBJECT(part);
}

/* --- The tree ----------------------------------------------------------------------------------------------------- */
static uint32_t parts_count(const parley_message *message, uint32_t kind, bool shown)
{
  uint32_t n = 0;

  for (uint32_t i = 0; i < message->n_parts; i++)
    n += message->parts[i]->kind == kind && ((message->parts[i]->flags & PARLEY_PART_INLINE) != 0) == shown;
  return n;
}

static const parley_part *part_first(const parley_message *message, uint32_t kind)
{
  for (uint32_t i = 0; i < message->n_parts; i++)
    if (message->parts[i]->kind == kind)
      return message->parts[i];
  return NULL;
}

static void media_take(struct draft *draft, GMimeObject *into, bool shown)
{
  const parley_message *message = draft->source->message;

  for (uint32_t i = 0; i < message->n_parts; i++)
    if (message->parts[i]->kind == PARLEY_PART_MEDIA && ((message->parts[i]->flags & PARLEY_PART_INLINE) != 0) == shown)
      multipart_take(into, media_part_new(draft, i));
}

/* The HTML, with the media shown in it beside it. */
static GMimeObject *html_new(struct draft *draft, const parley_part *html)
{
  GMimeObject *related;

  if (parts_count(draft->source->message, PARLEY_PART_MEDIA, true) == 0)
    return text_part_new(draft, "html", html->text);
  related = multipart_new(draft, "related");
  multipart_take(related, text_part_new(draft, "html", html->text));
  media_take(draft, related, true);
  return related;
}

static GMimeObject *words_new(struct draft *draft) /* NULL: the message has no words */
{
  const parley_part *text = part_first(draft->source->message, PARLEY_PART_TEXT);
  const parley_part *html = part_first(draft->source->message, PARLEY_PART_HTML);
  GMimeObject *both;

  if (html == NULL)
    return text != NULL ? text_part_new(draft, "plain", text->text) : NULL;
  if (text == NULL)
    return html_new(draft, html);
  both = multipart_new(draft, "alternative");
  multipart_take(both, text_part_new(draft, "plain", text->text));
  multipart_take(both, html_new(draft, html));
  return both;
}

static GMimeObject *tree_new(struct draft *draft) /* NULL: nothing to send */
{
  const parley_message *message = draft->source->message;
  uint32_t attached = parts_count(message, PARLEY_PART_MEDIA, false),
           shown = parts_count(message, PARLEY_PART_MEDIA, true);
  bool loose =
      shown > 0 && part_first(message, PARLEY_PART_HTML) == NULL; /* to be shown, but there is no HTML to show it in */
  GMimeObject *words = words_new(draft), *mixed;

  if (attached == 0 && !loose)
    return words;
  mixed = multipart_new(draft, "mixed");
  if (words != NULL)
    multipart_take(mixed, words);
  if (loose)
    media_take(draft, mixed, true);
  media_take(draft, mixed, false);
  return mixed;
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */
/* About what the mail will have, so that the memory of a large one is not grown and copied. */
static size_t bytes_expected(const struct mail_source *source)
{
  const parley_message *message = source->message;
  size_t bytes = source->headroom + 4096;

  for (uint32_t i = 0; i < message->n_parts; i++) {
    size_t data = message->parts[i]->data.len;

    if (data == 0 && source->media != NULL)
      data = source->media[i].len;
    bytes += message->parts[i]->text.len + data / 57 * 78 + 512; /* base64: 57 bytes a line of 76 and its end */
  }
  return bytes;
}

static void draft_write(struct draft *draft, GMimeFormatOptions *format, struct mail *mail)
{
  size_t headroom = draft->source->headroom;
  GByteArray *bytes = g_byte_array_sized_new((guint)bytes_expected(draft->source));
  GMimeStream *stream;

  g_byte_array_set_size(bytes, (guint)headroom);
  stream = g_mime_stream_mem_new_with_byte_array(bytes);
  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
  g_mime_stream_seek(stream, (gint64)headroom, GMIME_STREAM_SEEK_SET);
  g_mime_object_write_to_stream(GMIME_OBJECT(draft->mail), format, stream);
  g_object_unref(stream);
  mail->len = bytes->len - headroom;
  mail->block = (char *)g_byte_array_free(bytes, FALSE);
  mail->at = mail->block + headroom;
  mail->eightbit = mail_has_eightbit(mail->at, mail->len);
}

parley_status mail_compose(struct mail_composer *composer, const struct mail_source *source, struct mail *ret,
                           const char **ret_why)
{
  struct draft draft = {.source = source,
                        .mail = g_mime_message_new(FALSE),
                        .media = g_new0(GByteArray, source->message->n_parts)};
  struct mail mail = {0};
  GMimeObject *tree;

  mail_token_write(source->message->id, draft.token);
  mail_id_write(source, mail.id);
  tree = mail_head_add(&draft, mail.id) ? tree_new(&draft) : NULL;
  if (tree != NULL && draft.why != NULL)
    g_clear_object(&tree);
  if (tree != NULL) {
    g_mime_message_set_mime_part(draft.mail, tree);
    g_object_unref(tree);
    g_mime_object_set_header(GMIME_OBJECT(draft.mail), "MIME-Version", "1.0", NULL);
    draft_write(&draft, composer->format, &mail);
    *ret = mail;
  } else {
    *ret_why = draft.why != NULL ? draft.why : "no text, HTML or media";
  }
  g_object_unref(draft.mail);
  g_free(draft.media);
  return tree != NULL ? PARLEY_OK : PARLEY_INVALID;
}

void mail_done(struct mail *mail)
{
  g_free(mail->block);
  *mail = (struct mail){0};
}

bool mail_prepend(struct mail *mail, parley_text text)
{
  if (text.len > (size_t)(mail->at - mail->block))
    return false;
  mail->at -= text.len;
  mail->len += text.len;
  memcpy(mail->at, text.at, text.len);
  return true;
}
