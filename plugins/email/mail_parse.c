#include "mail_parse.h"
#include "mail_word.h"
#include "mail_address.h"
#include "mail_body.h"
#include "mail_clean.h"
#include <gmime/gmime.h>

enum {
  HEADER_VALUE_MAX = 64 << 10, /* bytes of one value that are looked at */
  PERSON_NAME_MAX = 200,
  GROUPS_DEPTH_MAX = 4, /* groups within each other: there should be none */
  ADDRESS_MAX = 320,
  FIELDS_MAX = 100000,      /* header lines anywhere in it: GMime makes an object of each */
  BOUNDARIES_MAX = 20000,   /* lines that may be a boundary: likewise */
  COMPARES_A_MIB = 8 << 20, /* such lines times boundaries: GMime compares each with each */
  WORD_MAX = 64
};

/* --- Before GMime ------------------------------------------------------------------------------------------------- */
struct shape { /* what a mail would cost to take apart */
  size_t header_len, n_fields, n_lines, n_boundaries;
};

static bool is_field_line(const char *at, size_t len)
{
  size_t i = 0;

  while (i < len && i < WORD_MAX && at[i] > ' ' && at[i] < 0x7f && at[i] != ':')
    i++;
  return i > 0 && i < len && at[i] == ':';
}

static size_t count_boundaries(parley_bytes raw) /* "boundary", in any case, behind a b or B */
{
  size_t n = 0;

  for (const char *at = raw.at; (at = memchr(at, '=', (size_t)(raw.at + raw.len - at))) != NULL; at++)
    n += at - raw.at >= 8 && g_ascii_strncasecmp(at - 8, "boundary", 8) == 0;
  return n;
}

static struct shape shape_of(parley_bytes raw)
{
  struct shape shape = {.header_len = raw.len, .n_boundaries = count_boundaries(raw)};
  const char *at = raw.at, *end = raw.at + raw.len;
  bool in_header = true;

  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at)), *line_end = stop != NULL ? stop : end;

    if (in_header && (line_end == at || (line_end == at + 1 && *at == '\r'))) {
      shape.header_len = (size_t)(at - raw.at);
      in_header = false;
    }
    shape.n_lines += line_end - at >= 2 && at[0] == '-' && at[1] == '-';
    shape.n_fields += is_field_line(at, (size_t)(line_end - at));
    at = line_end + 1;
  }
  return shape;
}

static bool shape_ok(const struct shape *shape, size_t len)
{
  return shape->n_fields <= FIELDS_MAX && shape->n_lines <= BOUNDARIES_MAX &&
         shape->n_lines * (shape->n_boundaries + 1) <= COMPARES_A_MIB * (len / (1 << 20) + 1);
}

static GMimeMessage *message_read(parley_bytes raw)
{
  GByteArray *array = g_byte_array_new_take((guint8 *)(uintptr_t)raw.at, raw.len);
  GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(array);
  GMimeParser *parser = g_mime_parser_new_with_stream(stream);
  GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);

  g_object_unref(parser);
  /* The parts keep the stream, and with it the array, until the message goes; the bytes are the caller's. */
  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
  if (message != NULL)
    g_object_set_data(G_OBJECT(message), "parley-raw", array);
  else
    g_byte_array_free(array, FALSE);
  g_object_unref(stream);
  return message;
}

/* --- Headers ------------------------------------------------------------------------------------------------------ */
static parley_text bounded(const char *value)
{
  parley_text text = parley_text_of(value);

  if (text.len > HEADER_VALUE_MAX)
    text.len = HEADER_VALUE_MAX;
  return text;
}

static parley_text header_line(struct mail_in *mail, const char *name, size_t max)
{
  return mail_clean_line(mail->memory, bounded(g_mime_object_get_header(mail->message, name)), max);
}

static bool is_word_of(parley_text value, const char *const *words) /* up to the first ; or space */
{
  size_t len = 0;

  while (len < value.len && value.at[len] != ';' && value.at[len] != ' ' && value.at[len] != '(')
    len++;
  for (; *words != NULL; words++)
    if (mail_word_is((parley_text){value.at, len}, *words))
      return true;
  return false;
}

static parley_text id_clean(struct mail_in *mail, const char *id)
{
  parley_text text = parley_text_of(id);

  return text.len == 0 || text.len > MAIL_IN_ID_MAX ? PARLEY_LIT("")
                                                    : mail_clean_line(mail->memory, text, MAIL_IN_ID_MAX);
}

static GMimeReferences *references_of(struct mail_in *mail, const char *name)
{
  const char *value = g_mime_object_get_header(mail->message, name);
  GMimeReferences *references;
  char *cut;

  if (value == NULL)
    return NULL;
  cut = g_strndup(value, HEADER_VALUE_MAX);
  references = g_mime_references_parse(NULL, cut);
  g_free(cut);
  return references;
}

static void thread_read(struct mail_in *mail)
{
  GMimeReferences *answered = references_of(mail, "In-Reply-To"), *all = references_of(mail, "References");
  int n = all != NULL ? g_mime_references_length(all) : 0,
      first = n > MAIL_IN_REFERENCES_MAX ? n - MAIL_IN_REFERENCES_MAX : 0;

  mail->message_id = id_clean(mail, g_mime_message_get_message_id(mail->message));
  if (answered != NULL && g_mime_references_length(answered) > 0)
    mail->in_reply_to = id_clean(mail, g_mime_references_get_message_id(answered, 0));
  mail->references = mail_memory_get(mail->memory, (size_t)(n - first + 1) * sizeof *mail->references);
  for (int i = first; i < n; i++) {
    parley_text id = id_clean(mail, g_mime_references_get_message_id(all, i));

    if (id.len > 0)
      mail->references[mail->n_references++] = id;
  }
  if (answered != NULL)
    g_mime_references_free(answered);
  if (all != NULL)
    g_mime_references_free(all);
}

static void date_read(struct mail_in *mail)
{
  GDateTime *date = g_mime_message_get_date(mail->message);

  mail->date_ms = date != NULL ? g_date_time_to_unix(date) * 1000 : 0;
  if (mail->date_ms < 0)
    mail->date_ms = 0;
}

/* Of the mail's own header or, where GMime keeps Content-*, of its top part. */
static bool headers_once(GMimeObject *object)
{
  static const char *const names[] = {"From",
                                      "Subject",
                                      "Date",
                                      "Message-ID",
                                      "Content-Type",
                                      "Content-Transfer-Encoding",
                                      "Content-Disposition",
                                      "MIME-Version"};
  uint32_t seen[G_N_ELEMENTS(names)] = {0};
  GMimeHeaderList *list = g_mime_object_get_header_list(object);
  int n = g_mime_header_list_get_count(list);

  for (int i = 0; i < n; i++) {
    const char *name = g_mime_header_get_name(g_mime_header_list_get_header_at(list, i));

    for (size_t j = 0; j < G_N_ELEMENTS(names); j++)
      if (g_ascii_strcasecmp(name, names[j]) == 0 && ++seen[j] > 1)
        return false;
  }
  return true;
}

/* --- People ------------------------------------------------------------------------------------------------------- */
static parley_text address_clean(struct mail_in *mail, parley_text address)
{
  struct mail_address read;
  parley_text line = mail_clean_line(mail->memory, address, ADDRESS_MAX);

  if (mail_address_read(line, &read) == PARLEY_OK)
    return mail_memory_copy(mail->memory, mail_address_text(&read));
  return memchr(line.at, '@', line.len) != NULL ? line : PARLEY_LIT("");
}

static void people_add(struct mail_in *mail, InternetAddressList *list, struct mail_person *to, uint32_t max,
                       uint32_t *n, uint32_t depth)
{
  int count = list != NULL && depth < GROUPS_DEPTH_MAX ? internet_address_list_length(list) : 0;

  for (int i = 0; i < count && *n < max; i++) {
    InternetAddress *address = internet_address_list_get_address(list, i);

    if (INTERNET_ADDRESS_IS_GROUP(address)) {
      people_add(mail, internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)), to, max, n, depth + 1);
      continue;
    }
    to[*n].address =
        address_clean(mail, parley_text_of(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address))));
    to[*n].name = mail_clean_line(mail->memory, parley_text_of(internet_address_get_name(address)), PERSON_NAME_MAX);
    *n += to[*n].address.len > 0;
  }
}

static uint32_t people_count(InternetAddressList *list, uint32_t depth)
{
  int count = list != NULL && depth < GROUPS_DEPTH_MAX ? internet_address_list_length(list) : 0;
  uint32_t n = 0;

  for (int i = 0; i < count && n < MAIL_IN_ADDRESSES_MAX; i++) {
    InternetAddress *address = internet_address_list_get_address(list, i);

    n += INTERNET_ADDRESS_IS_GROUP(address)
             ? people_count(internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)), depth + 1)
             : 1;
  }
  return n < MAIL_IN_ADDRESSES_MAX ? n : MAIL_IN_ADDRESSES_MAX;
}

static struct mail_person *people_of(struct mail_in *mail, InternetAddressList *list, uint32_t *n)
{
  uint32_t max = people_count(list, 0);
  struct mail_person *people = mail_memory_get(mail->memory, (max + 1) * sizeof *people);

  *n = 0;
  people_add(mail, list, people, max, n, 0);
  return people;
}

static void people_read(struct mail_in *mail, const struct mail_parse_source *source)
{
  struct mail_person from = mail->from;
  uint32_t n = 0;

  mail->to = people_of(mail, g_mime_message_get_to(mail->message), &mail->n_to);
  mail->cc = people_of(mail, g_mime_message_get_cc(mail->message), &mail->n_cc);
  mail->reply_to = people_of(mail, g_mime_message_get_reply_to(mail->message), &mail->n_reply_to);
  people_add(mail, g_mime_message_get_from(mail->message), &from, 1, &n, 0);
  if (n == 0)
    people_add(mail, g_mime_message_get_sender(mail->message), &from, 1, &n, 0);
  if (n == 0 && source->has_envelope)
    from.address = address_clean(mail, source->return_path);
  mail->from = from;
}

/* --- Tokens ------------------------------------------------------------------------------------------------------- */
static enum mail_token_kind token_kind(parley_text local, size_t token_len)
{
  static const struct {
    const char *local;
    enum mail_token_kind kind;
  } kinds[] = {{MAIL_LOCAL_REPLY, MAIL_TOKEN_REPLY},
               {MAIL_LOCAL_BOUNCE, MAIL_TOKEN_BOUNCE},
               {MAIL_LOCAL_UNSUBSCRIBE, MAIL_TOKEN_UNSUBSCRIBE},
               {MAIL_LOCAL_CAPTURE, MAIL_TOKEN_CAPTURE}};

  for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
    if (mail_word_is(local, kinds[i].local))
      return kinds[i].kind;
  return token_len == MAIL_TOKEN_CHARS ? MAIL_TOKEN_REPLY : 0;
}

bool mail_token_read(parley_text address, struct mail_token *ret)
{
  const char *at = address.len > 0 ? memrchr(address.at, '@', address.len) : NULL;
  size_t local = at != NULL ? (size_t)(at - address.at) : 0;
  const char *plus = local > 0 ? memchr(address.at, '+', local) : NULL;
  parley_text token;
  enum mail_token_kind kind;

  if (plus == NULL || plus + 1 == at)
    return false;
  token = (parley_text){plus + 1, (size_t)(at - plus) - 1};
  kind = token_kind((parley_text){address.at, (size_t)(plus - address.at)}, token.len);
  for (size_t i = 0; i < token.len; i++)
    if (!g_ascii_isalnum(token.at[i]))
      return false;
  *ret = (struct mail_token){.kind = kind, .token = token, .address = address};
  return kind != 0;
}

static void token_add(struct mail_in *mail, parley_text address)
{
  struct mail_token token;
  char *low;

  if (mail->n_tokens == MAIL_IN_TOKENS_MAX || !mail_token_read(address, &token))
    return;
  low = mail_memory_get(mail->memory, token.token.len + 1);
  for (size_t i = 0; i < token.token.len; i++)
    low[i] = g_ascii_tolower(token.token.at[i]);
  token.token.at = low;
  token.address = mail_memory_copy(mail->memory, address);
  for (uint32_t i = 0; i < mail->n_tokens; i++)
    if (mail->tokens[i].kind == token.kind && mail->tokens[i].token.len == token.token.len &&
        memcmp(mail->tokens[i].token.at, low, token.token.len) == 0)
      return;
  mail->tokens[mail->n_tokens++] = token;
}

static void tokens_of_headers(struct mail_in *mail)
{
  static const char *const names[] = {"Delivered-To", "X-Original-To", "X-Forwarded-To", "Envelope-To"};

  for (uint32_t i = 0; i < mail->n_to; i++)
    token_add(mail, mail->to[i].address);
  for (uint32_t i = 0; i < mail->n_cc; i++)
    token_add(mail, mail->cc[i].address);
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
    token_add(mail, header_line(mail, names[i], ADDRESS_MAX));
}

static void tokens_read(struct mail_in *mail, const struct mail_parse_source *source)
{
  mail->tokens = mail_memory_get(mail->memory, MAIL_IN_TOKENS_MAX * sizeof *mail->tokens);
  for (uint32_t i = 0; i < source->n_recipients; i++)
    token_add(mail, source->recipients[i]);
  if (!source->has_envelope)
    tokens_of_headers(mail);
}

/* --- What kind of mail -------------------------------------------------------------------------------------------- */
static bool has_header(struct mail_in *mail, const char *name)
{
  return g_mime_object_get_header(mail->message, name) != NULL;
}

static void flags_read(struct mail_in *mail, const struct mail_parse_source *source)
{
  static const char *const no[] = {"no", NULL}, *const bulk[] = {"bulk", "list", "junk", "auto_reply", NULL};
  parley_text precedence = header_line(mail, "Precedence", WORD_MAX),
              path = header_line(mail, "Return-Path", ADDRESS_MAX);

  mail->auto_submitted = header_line(mail, "Auto-Submitted", WORD_MAX);
  mail->trace = header_line(mail, MAIL_TRACE_HEADER, WORD_MAX);
  mail->null_sender = source->has_envelope ? source->return_path.len == 0 : parley_text_is(path, "<>");
  mail->automatic = (mail->auto_submitted.len > 0 && !is_word_of(mail->auto_submitted, no)) ||
                    is_word_of(precedence, bulk) || has_header(mail, "X-Loop") ||
                    has_header(mail, "X-Auto-Response-Suppress") || has_header(mail, "X-Autoreply") ||
                    has_header(mail, "X-Autorespond") || has_header(mail, "List-Id") || mail->null_sender ||
                    mail->trace.len > 0 || mail->report;
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */
static void headers_read(struct mail_in *mail, const struct mail_parse_source *source)
{
  GMimeObject *top = g_mime_message_get_mime_part(mail->message);

  mail->subject =
      mail_clean_line(mail->memory, bounded(g_mime_message_get_subject(mail->message)), MAIL_IN_SUBJECT_MAX);
  mail->ambiguous = mail->ambiguous || !headers_once(mail->message) || (top != NULL && !headers_once(top));
  thread_read(mail);
  date_read(mail);
  people_read(mail, source);
  tokens_read(mail, source);
  flags_read(mail, source);
}

parley_status mail_parse(const struct mail_parse_source *source, struct mail_in *ret)
{
  const parley_text none = PARLEY_LIT("");
  struct mail_in mail = {.from = {none, none},
                         .subject = none,
                         .message_id = none,
                         .in_reply_to = none,
                         .text = none,
                         .quoted = none,
                         .whole = none,
                         .html = none};
  struct shape shape;
  parley_bytes raw = source->raw;

  if (raw.len == 0 || raw.len > MAIL_IN_BYTES_MAX)
    return PARLEY_INVALID;
  shape = shape_of(raw);
  if (shape.header_len > MAIL_IN_HEADER_MAX || !is_field_line(raw.at, raw.len))
    return PARLEY_INVALID;
  mail.limited = !shape_ok(&shape, raw.len);
  mail.message = message_read(mail.limited ? (parley_bytes){raw.at, shape.header_len} : raw);
  if (mail.message == NULL)
    return PARLEY_INVALID;
  mail.memory = mail_memory_new();
  if (mail.limited)
    mail_body_whole(&mail, raw);
  else
    mail_body_read(&mail);
  headers_read(&mail, source);
  *ret = mail;
  return PARLEY_OK;
}

void mail_in_done(struct mail_in *mail)
{
  struct mail_memory *memory = mail->memory;

  if (mail->message != NULL) {
    GByteArray *array = g_object_get_data(G_OBJECT(mail->message), "parley-raw");

    g_object_unref(mail->message);
    g_byte_array_free(array, FALSE); /* the bytes stay: they are the caller's */
  }
  mail_memory_free(&memory);
  *mail = (struct mail_in){0};
}
