#include "mail_body.h"
#include "mail_clean.h"
#include "mail_quote.h"
#include <gmime/gmime.h>

struct body { /* a walk under way */
  struct mail_in *mail;
  struct mail_memory *memory;
  parley_text text, html;
  uint32_t n_parts;
};

/* --- Contents ----------------------------------------------------------------------------------------------------- */
static parley_bytes bytes_kept(struct body *body, GMimeStream *stream)
{
  GByteArray *array = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
  parley_bytes bytes = {(const char *)array->data, array->len};

  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
  g_object_unref(stream);
  if (array->len == 0) {
    g_byte_array_free(array, TRUE);
    return PARLEY_LIT("");
  }
  bytes.at = (const char *)g_byte_array_free(array, FALSE);
  return mail_memory_keep(body->memory, bytes);
}

static parley_bytes part_bytes(struct body *body, GMimePart *part)
{
  GMimeDataWrapper *content = g_mime_part_get_content(part);
  GMimeStream *stream;

  if (content == NULL)
    return PARLEY_LIT("");
  stream = g_mime_stream_mem_new();
  g_mime_data_wrapper_write_to_stream(content, stream);
  return bytes_kept(body, stream);
}

static parley_bytes object_bytes(struct body *body, GMimeObject *object)
{
  GMimeStream *stream = g_mime_stream_mem_new();
  GMimeFormatOptions *format = g_mime_format_options_new();

  g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
  g_mime_object_write_to_stream(object, format, stream);
  g_mime_format_options_free(format);
  return bytes_kept(body, stream);
}

static parley_text type_of(struct body *body, GMimeObject *object)
{
  GMimeContentType *type = g_mime_object_get_content_type(object);
  char *name = type != NULL ? g_mime_content_type_get_mime_type(type) : NULL;
  parley_text clean = mail_clean_type(body->memory, parley_text_of(name));

  g_free(name);
  return clean;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */
static struct mail_file *file_add(struct body *body, parley_text type, parley_text name)
{
  struct mail_in *mail = body->mail;
  struct mail_file *file;

  if (mail->n_files == MAIL_IN_FILES_MAX) {
    mail->limited = true;
    return NULL;
  }
  if (mail->files == NULL)
    mail->files = mail_memory_get(body->memory, MAIL_IN_FILES_MAX * sizeof *mail->files);
  file = &mail->files[mail->n_files++];
  file->type = type;
  file->content_id = file->data = PARLEY_LIT("");
  file->name = mail_clean_file_name(body->memory, name, type, mail->n_files, MAIL_IN_FILE_NAME_MAX);
  return file;
}

static void part_file(struct body *body, GMimePart *part, parley_text type)
{
  const char *id = g_mime_object_get_content_id(GMIME_OBJECT(part));
  struct mail_file *file = file_add(body, type, parley_text_of(g_mime_part_get_filename(part)));

  if (file == NULL)
    return;
  file->content_id = mail_clean_line(body->memory, parley_text_of(id), MAIL_IN_ID_MAX);
  file->data = part_bytes(body, part);
}

static void mail_file(struct body *body, GMimeObject *object)
{
  GMimeMessage *inner =
      GMIME_IS_MESSAGE_PART(object) ? g_mime_message_part_get_message(GMIME_MESSAGE_PART(object)) : NULL;
  const char *subject = inner != NULL ? g_mime_message_get_subject(inner) : NULL;
  char *name = subject != NULL && subject[0] != '\0' ? g_strconcat(subject, ".eml", NULL) : NULL;
  struct mail_file *file;

  if (name != NULL)
    g_strdelimit(name, "/\\", '-'); /* of a subject they separate words, not folders */
  file = file_add(body, PARLEY_LIT("message/rfc822"), parley_text_of(name));
  if (file != NULL && inner != NULL)
    file->data = object_bytes(body, GMIME_OBJECT(inner));
  g_free(name);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */
static void text_join(struct body *body, parley_text *to, parley_text more)
{
  char *both;

  if (to->len == 0 || more.len == 0) {
    *to = to->len == 0 ? more : *to;
    return;
  }
  both = mail_memory_get(body->memory, to->len + more.len + 3);
  memcpy(both, to->at, to->len);
  memcpy(both + to->len, "\n\n", 2);
  memcpy(both + to->len + 2, more.at, more.len);
  *to = (parley_text){both, to->len + 2 + more.len};
}

/* format=flowed (RFC 3676): a line that ends by a space goes on in the next one, when both are cited as deep. */
static size_t cited_depth(const char *at, const char *end)
{
  size_t depth = 0;

  while (at + depth < end && at[depth] == '>')
    depth++;
  return depth;
}

static size_t lines_count(parley_text text)
{
  const char *at = text.at, *end = text.at + text.len;
  size_t n = 0;

  for (; at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
    n++;
  return n + 1;
}

static parley_text text_unflow(struct body *body, parley_text text, bool delsp)
{
  char *to = mail_memory_get(body->memory, text.len + lines_count(text) + 1); /* ">x" becomes "> x" */
  const char *at = text.at, *end = text.at + text.len;
  size_t n = 0, depth_before = 0;
  bool flows = false;

  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at)), *line_end = stop != NULL ? stop : end;
    size_t depth = cited_depth(at, line_end), len;
    const char *words = at + depth;

    if (words < line_end && *words == ' ') /* space-stuffed */
      words++;
    if (flows && depth == depth_before)
      n -= n > 0 && to[n - 1] == '\n';
    else if (depth > 0) {
      memset(to + n, '>', depth);
      n += depth;
      to[n++] = ' ';
    }
    len = (size_t)(line_end - words);
    flows = len > 0 && words[len - 1] == ' ' && !(len == 3 && memcmp(words, "-- ", 3) == 0);
    memcpy(to + n, words, len - (flows && delsp));
    n += len - (flows && delsp);
    if (stop != NULL)
      to[n++] = '\n';
    depth_before = depth;
    at = line_end + 1;
  }
  return (parley_text){to, n};
}

static parley_text part_text(struct body *body, GMimePart *part)
{
  GMimeContentType *type = g_mime_object_get_content_type(GMIME_OBJECT(part));
  const char *charset = g_mime_content_type_get_parameter(type, "charset");
  const char *format = g_mime_content_type_get_parameter(type, "format");
  const char *delsp = g_mime_content_type_get_parameter(type, "delsp");
  parley_text text = mail_clean_lines(body->memory, mail_clean_charset(body->memory, part_bytes(body, part), charset));

  if (format != NULL && g_ascii_strcasecmp(format, "flowed") == 0)
    text = text_unflow(body, text, delsp != NULL && g_ascii_strcasecmp(delsp, "yes") == 0);
  return text;
}

/* --- The walk ----------------------------------------------------------------------------------------------------- */
static void object_walk(struct body *body, GMimeObject *object, uint32_t depth);

static bool is_attached(GMimePart *part)
{
  const char *disposition = g_mime_object_get_disposition(GMIME_OBJECT(part));
  const char *name = g_mime_part_get_filename(part);

  return (disposition != NULL && g_ascii_strcasecmp(disposition, "attachment") == 0) ||
         (name != NULL && name[0] != '\0');
}

static void part_walk(struct body *body, GMimePart *part)
{
  parley_text type = type_of(body, GMIME_OBJECT(part));

  if (parley_text_is(type, "text/plain") && !is_attached(part))
    text_join(body, &body->text, part_text(body, part));
  else if (parley_text_is(type, "text/html") && !is_attached(part))
    text_join(body, &body->html, part_text(body, part));
  else if (!parley_text_is(type, "application/pgp-signature") && !parley_text_is(type, "application/pkcs7-signature") &&
           !parley_text_is(type, "application/x-pkcs7-signature"))
    part_file(body, part, type);
}

static void multipart_walk(struct body *body, GMimeMultipart *multipart, uint32_t depth)
{
  int n = g_mime_multipart_get_count(multipart);

  body->mail->ambiguous = body->mail->ambiguous || !multipart->write_end_boundary;
  for (int i = 0; i < n && body->n_parts < MAIL_IN_PARTS_MAX; i++)
    object_walk(body, g_mime_multipart_get_part(multipart, i), depth + 1);
}

static void object_walk(struct body *body, GMimeObject *object, uint32_t depth)
{
  if (depth > MAIL_IN_DEPTH_MAX || body->n_parts == MAIL_IN_PARTS_MAX) {
    body->mail->limited = true;
    return;
  }
  body->n_parts++;
  if (GMIME_IS_MULTIPART(object))
    multipart_walk(body, GMIME_MULTIPART(object), depth);
  else if (GMIME_IS_MESSAGE_PART(object))
    mail_file(body, object);
  else if (GMIME_IS_PART(object))
    part_walk(body, GMIME_PART(object));
  if (body->n_parts == MAIL_IN_PARTS_MAX)
    body->mail->limited = true;
}

/* --- What it comes to --------------------------------------------------------------------------------------------- */
/* More than fits becomes a file, its front stays. */
static void text_limit(struct body *body, parley_text *text, const char *type, const char *name)
{
  parley_text front = mail_json_cut(*text, MAIL_IN_TEXT_MAX);
  struct mail_file *file;

  if (front.len == text->len)
    return;
  file = file_add(body, parley_text_of(type), parley_text_of(name));
  if (file != NULL)
    file->data = *text;
  body->mail->limited = true;
  *text = front;
}

static void text_split(struct body *body)
{
  parley_text text = body->text;
  size_t begin, end;

  body->mail->whole = text;
  mail_quote_text(text, &begin, &end);
  body->mail->text = (parley_text){text.at + begin, end - begin};
  while (body->mail->text.len > 0 && body->mail->text.at[0] == '\n')
    body->mail->text.at++, body->mail->text.len--;
  body->mail->quoted = begin > 0 ? (parley_text){text.at, begin} : PARLEY_LIT("");
  while (end < text.len && text.at[end] == '\n')
    end++;
  text_join(body, &body->mail->quoted, (parley_text){text.at + end, text.len - end});
}

static bool html_shows(parley_text html, parley_text id)
{
  char *url;
  bool shows;

  if (id.len == 0 || html.len == 0)
    return false;
  url = g_strdup_printf("cid:%.*s", (int)id.len, id.at);
  shows = memmem(html.at, html.len, url, strlen(url)) != NULL;
  g_free(url);
  return shows;
}

static void report_look(struct body *body, GMimeObject *top)
{
  parley_text type = type_of(body, top);

  body->mail->report = parley_text_is(type, "multipart/report") || parley_text_is(type, "message/delivery-status") ||
                       parley_text_is(type, "message/feedback-report");
}

void mail_body_read(struct mail_in *mail)
{
  struct body body = {.mail = mail, .memory = mail->memory, .text = PARLEY_LIT(""), .html = PARLEY_LIT("")};
  GMimeObject *top = g_mime_message_get_mime_part(mail->message);

  if (top == NULL)
    return;
  report_look(&body, top);
  object_walk(&body, top, 1);
  text_limit(&body, &body.text, "text/plain", "message.txt");
  text_limit(&body, &body.html, "text/html", "message.html");
  text_split(&body);
  mail->html = body.html;
  mail->html_fresh = mail_quote_html(body.html);
  for (uint32_t i = 0; i < mail->n_files && memmem(mail->html.at, mail->html.len, "cid:", 4) != NULL; i++)
    mail->files[i].shown = html_shows(mail->html, mail->files[i].content_id);
}

void mail_body_whole(struct mail_in *mail, parley_bytes raw)
{
  struct body body = {.mail = mail, .memory = mail->memory};
  struct mail_file *file;

  file = file_add(&body, PARLEY_LIT("message/rfc822"), PARLEY_LIT("message.eml"));
  file->data = raw;
  mail->limited = true;
}
