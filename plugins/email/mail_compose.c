#include "mail_compose.h"
#include <dlfcn.h>
#include <gmime/gmime.h>
#include <stdio.h>

enum {
  LINE_MAX_BYTES = 998,    /* RFC 5322 2.1.1 */
  BOUNDARY_MAX = 70,       /* RFC 2046 5.1.1 */
  ID_TOKEN_MAX = 40,       /* bytes of the message's id within boundaries and Message-ID */
  FILE_NAME_MAX = 255,
  HEADER_MAX = 8192,       /* bytes of one header's value */
  REFERENCES_MAX = 20      /* newest of the thread that are named */
};

struct mail_composer {
  GMimeFormatOptions *format;
};

/* One mail in the making. */
struct draft {
  const struct mail_source *source;
  GMimeMessage *mail;
  uint32_t n_boundaries;
  const char *why; /* set: it failed */
  char token[ID_TOKEN_MAX + 1];
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

/* --- Ids ---------------------------------------------------------------------------------------------------------- */
static void token_write(parley_text id, char *to) /* to: ID_TOKEN_MAX + 1 bytes; letters, digits, '-' and '_' only */
{
  size_t n = 0;

  for (; n < id.len && n < ID_TOKEN_MAX; n++)
    to[n] = g_ascii_isalnum(id.at[n]) || id.at[n] == '-' ? id.at[n] : '_';
  to[n] = '\0';
}

void mail_id_write(const struct mail_source *source, char *to)
{
  parley_text domain = mail_address_domain(&source->from->address);
  char token[ID_TOKEN_MAX + 1];

  token_write(source->message->id, token);
  if (domain.len > 0 && domain.at[0] == '[') /* an address literal is no id's right side for every reader */
    domain = PARLEY_LIT("localhost");
  snprintf(to, MAIL_ID_MAX + 1, "%s@%.*s", token, (int)domain.len, domain.at);
}

/* --- Headers ------------------------------------------------------------------------------------------------------ */
static bool has_eightbit(const char *at, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)at[i] >= 0x80)
      return true;
  return false;
}

/* As it stands, on one line: GMime would encode a long URL as if it were words. */
static void header_set_exact(GMimeObject *object, const char *name, const char *text)
{
  GMimeHeader *header = g_mime_header_list_get_header(g_mime_object_get_header_list(object), name);
  char *line = g_strdup_printf(" %s\r\n", text);

  g_mime_header_set_raw_value(header, line);
  g_free(line);
}

/* The only way of a value into a header. exact: neither encoded nor folded. */
static bool header_add(struct draft *draft, GMimeObject *object, const char *name, parley_text value, bool exact)
{
  char *text;

  if (value.len > (exact ? LINE_MAX_BYTES - strlen(name) - 2 : HEADER_MAX) || !mail_text_ok(value) ||
      (exact && has_eightbit(value.at, value.len))) {
    draft->why = name;
    return false;
  }
  text = g_strndup(value.at, value.len);
  g_mime_object_append_header(object, name, exact ? "x" : text, "utf-8");
  if (exact)
    header_set_exact(object, name, text);
  g_free(text);
  return true;
}

/* To: and From:. The local part may be UTF-8; the domain is ASCII. A name that no header can carry is left out. */
static void mailbox_add(struct draft *draft, GMimeAddressType type, parley_text name,
                        const struct mail_address *address)
{
  char *text = name.len > 0 && name.len <= MAIL_NAME_MAX && mail_text_ok(name) ? g_strndup(name.at, name.len) : NULL;

  g_mime_message_add_mailbox(draft->mail, type, text, address->text);
  g_free(text);
}

static void date_add(struct draft *draft)
{
  GDateTime *date = g_date_time_new_from_unix_utc(draft->source->message->accepted_ms / 1000);

  if (date != NULL)
    g_mime_message_set_date(draft->mail, date);
  if (date != NULL)
    g_date_time_unref(date);
}

static bool is_message_id(parley_text id)
{
  for (size_t i = 0; i < id.len; i++)
    if (id.at[i] <= ' ' || id.at[i] >= 0x7f || id.at[i] == '<' || id.at[i] == '>')
      return false;
  return id.len > 0 && id.len <= MAIL_ID_MAX && memchr(id.at, '@', id.len) != NULL;
}

static void id_append(GString *to, parley_text id)
{
  if (is_message_id(id))
    g_string_append_printf(to, "%s<%.*s>", to->len > 0 ? " " : "", (int)id.len, id.at);
}

static void thread_add(struct draft *draft)
{
  const parley_message *message = draft->source->message;
  uint32_t from = message->n_thread > REFERENCES_MAX ? message->n_thread - REFERENCES_MAX : 0;
  GString *ids = g_string_new(NULL);

  id_append(ids, message->reply_to);
  if (ids->len > 0)
    header_add(draft, GMIME_OBJECT(draft->mail), "In-Reply-To", (parley_text){ids->str, ids->len}, false);
  g_string_truncate(ids, 0);
  for (uint32_t i = from; i < message->n_thread; i++)
    id_append(ids, message->thread[i]);
  if (ids->len > 0)
    header_add(draft, GMIME_OBJECT(draft->mail), "References", (parley_text){ids->str, ids->len}, false);
  g_string_free(ids, TRUE);
}

static bool unsubscribe_add(struct draft *draft)
{
  parley_text url = draft->source->message->unsubscribe_url;
  char value[LINE_MAX_BYTES];
  int len;

  if (url.len == 0)
    return true;
  len = snprintf(value, sizeof value, "<%.*s>", (int)url.len, url.at);
  if (len < 0 || (size_t)len != url.len + 2 || memchr(url.at, '>', url.len) != NULL ||
      memchr(url.at, ' ', url.len) != NULL) {
    draft->why = "List-Unsubscribe";
    return false;
  }
  return header_add(draft, GMIME_OBJECT(draft->mail), "List-Unsubscribe", (parley_text){value, (size_t)len}, true) &&
         header_add(draft, GMIME_OBJECT(draft->mail), "List-Unsubscribe-Post", PARLEY_LIT("List-Unsubscribe=One-Click"),
                    true);
}

static parley_text recipient_name(const parley_message *message)
{
  if (message->to != NULL && message->to->name.len > 0)
    return message->to->name;
  return message->customer != NULL ? message->customer->name : PARLEY_LIT("");
}

static bool headers_add(struct draft *draft, const char *id)
{
  const struct mail_source *source = draft->source;
  const parley_message *message = source->message;
  struct mail_address reply;

  mailbox_add(draft, GMIME_ADDRESS_TYPE_FROM, parley_text_of(source->from->name), &source->from->address);
  mailbox_add(draft, GMIME_ADDRESS_TYPE_TO, recipient_name(message), source->to);
  if (message->reply_address.len > 0 && mail_address_read(message->reply_address, &reply) == PARLEY_OK && !reply.utf8)
    mailbox_add(draft, GMIME_ADDRESS_TYPE_REPLY_TO, PARLEY_LIT(""), &reply);
  if (message->subject.len > HEADER_MAX || !mail_text_ok(message->subject)) {
    draft->why = "Subject";
    return false;
  }
  if (message->subject.len > 0) {
    char *subject = g_strndup(message->subject.at, message->subject.len);

    g_mime_message_set_subject(draft->mail, subject, "utf-8");
    g_free(subject);
  }
  date_add(draft);
  g_mime_message_set_message_id(draft->mail, id);
  thread_add(draft);
  return unsubscribe_add(draft);
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

static void content_set(GMimePart *part, GByteArray *bytes, GMimeContentEncoding encoding) /* takes bytes */
{
  GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);
  GMimeDataWrapper *wrapper;

  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), TRUE);
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
  content_set(part, lines, encoding);
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
  GByteArray *bytes = g_byte_array_sized_new((guint)data.len + 1);

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
    header_add(draft, GMIME_OBJECT(part), "Content-Description", from->text, false);
  if (data.len == 0 && from->total_bytes > 0)
    draft->why = "a medium came without its content";
  if (data.len > 0)
    g_byte_array_append(bytes, (const guint8 *)data.at, (guint)data.len);
  content_set(part, bytes, GMIME_CONTENT_ENCODING_BASE64);
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
static void draft_write(struct draft *draft, GMimeFormatOptions *format, struct mail *mail)
{
  GByteArray *bytes = g_byte_array_sized_new(4096);
  GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);

  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
  g_mime_object_write_to_stream(GMIME_OBJECT(draft->mail), format, stream);
  g_object_unref(stream);
  mail->len = bytes->len;
  mail->at = (char *)g_byte_array_free(bytes, FALSE);
  mail->eightbit = has_eightbit(mail->at, mail->len);
}

parley_status mail_compose(struct mail_composer *composer, const struct mail_source *source, struct mail *ret,
                           const char **ret_why)
{
  struct draft draft = {.source = source, .mail = g_mime_message_new(FALSE)};
  struct mail mail = {0};
  GMimeObject *tree;

  token_write(source->message->id, draft.token);
  mail_id_write(source, mail.id);
  tree = headers_add(&draft, mail.id) ? tree_new(&draft) : NULL;
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
  return tree != NULL ? PARLEY_OK : PARLEY_INVALID;
}

void mail_done(struct mail *mail)
{
  g_free(mail->at);
  *mail = (struct mail){0};
}
