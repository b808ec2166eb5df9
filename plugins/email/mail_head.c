#include "mail_head.h"
#include <common/json.h>
#include <stdio.h>

enum {
  LINE_MAX_BYTES = 998,    /* RFC 5322 2.1.1 */
  HEADER_MAX = 8192,       /* bytes of one header's value */
  REFERENCES_MAX = 20,     /* newest of the thread that are named */
  NAME_MAX_BYTES = 76,     /* of a header that the sender gives */
  OWN_VALUE_MAX = 900,     /* bytes of its value: with the name on one line */
  FEEDBACK_SENDER_MAX = 15 /* characters of the last part of a Feedback-ID, as Gmail has it */
};

/* --- Ids ---------------------------------------------------------------------------------------------------------- */
void mail_token_write(parley_text id, char *to)
{
  size_t n = 0;

  for (; n < id.len && n < MAIL_ID_TOKEN_MAX; n++)
    to[n] = g_ascii_isalnum(id.at[n]) || id.at[n] == '-' ? id.at[n] : '_';
  to[n] = '\0';
}

void mail_id_write(const struct mail_source *source, char *to)
{
  parley_text domain = mail_address_domain(&source->from->address);
  char token[MAIL_ID_TOKEN_MAX + 1];

  mail_token_write(source->message->id, token);
  if (domain.len > 0 && domain.at[0] == '[') /* an address literal is no id's right side for every reader */
    domain = PARLEY_LIT("localhost");
  snprintf(to, MAIL_ID_MAX + 1, "%s@%.*s", token, (int)domain.len, domain.at);
}

int64_t mail_date_ms(const parley_message *message)
{
  return PARLEY_HAS(parley_message, message, handed_ms) && message->handed_ms != 0 ? message->handed_ms : message->accepted_ms;
}

/* --- Headers ------------------------------------------------------------------------------------------------------ */
bool mail_has_eightbit(const char *at, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)at[i] >= 0x80)
      return true;
  return false;
}

static bool header_ok(struct draft *draft, const char *name, parley_text value, size_t bytes_max, bool ascii)
{
  if (value.len <= bytes_max && mail_text_ok(value) && !(ascii && mail_has_eightbit(value.at, value.len)))
    return true;
  draft->why = name;
  return false;
}

/* The only two ways of a value into a header: as words, encoded and folded as need be; */
bool mail_header_add(struct draft *draft, GMimeObject *object, const char *name, parley_text value)
{
  char *text;

  if (!header_ok(draft, name, value, HEADER_MAX, false))
    return false;
  text = g_strndup(value.at, value.len);
  g_mime_object_append_header(object, name, text, "utf-8");
  g_free(text);
  return true;
}

/* ... and as it stands, a line for each value: GMime would encode a long URL as if it were words. */
static bool header_add_exact(struct draft *draft, const char *name, const parley_text *values, size_t n)
{
  GMimeObject *mail = GMIME_OBJECT(draft->mail);
  GString *lines = g_string_new(NULL);
  bool good = true;

  for (size_t i = 0; i < n && good; i++) {
    good = header_ok(draft, name, values[i], LINE_MAX_BYTES - strlen(name) - 3, true);
    g_string_append_printf(lines, " %.*s%s\r\n", good ? (int)values[i].len : 0, values[i].at, i + 1 < n ? "," : "");
  }
  if (good) {
    g_mime_object_append_header(mail, name, "x", "utf-8");
    g_mime_header_set_raw_value(g_mime_header_list_get_header(g_mime_object_get_header_list(mail), name), lines->str);
  }
  g_string_free(lines, TRUE);
  return good;
}

static bool header_add_line(struct draft *draft, const char *name, parley_text value)
{
  return header_add_exact(draft, name, &value, 1);
}

static bool header_is_there(const struct draft *draft, const char *name)
{
  return g_mime_header_list_contains(g_mime_object_get_header_list(GMIME_OBJECT(draft->mail)), name);
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
  GDateTime *date = g_date_time_new_from_unix_utc(mail_date_ms(draft->source->message) / 1000);

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

/* What it answers, else what came last in this conversation, and all of that before it. */
static bool thread_add(struct draft *draft)
{
  const parley_message *message = draft->source->message;
  uint32_t from = message->n_thread > REFERENCES_MAX ? message->n_thread - REFERENCES_MAX : 0;
  GMimeObject *mail = GMIME_OBJECT(draft->mail);
  GString *ids = g_string_new(NULL);
  bool good;

  id_append(ids, message->reply_to);
  if (ids->len == 0 && message->n_thread > 0)
    id_append(ids, message->thread[message->n_thread - 1]);
  good = ids->len == 0 || mail_header_add(draft, mail, "In-Reply-To", (parley_text){ids->str, ids->len});
  g_string_truncate(ids, 0);
  for (uint32_t i = from; i < message->n_thread; i++)
    id_append(ids, message->thread[i]);
  good = good && (ids->len == 0 || mail_header_add(draft, mail, "References", (parley_text){ids->str, ids->len}));
  g_string_free(ids, TRUE);
  return good;
}

static parley_text token_checked(parley_text token) /* empty: the host gives none, or none that an address can hold */
{
  for (size_t i = 0; i < token.len; i++)
    if (!g_ascii_isalnum(token.at[i]))
      return PARLEY_LIT("");
  return token.len <= MAIL_TOKEN_MAX ? token : PARLEY_LIT("");
}

static parley_text token_of(const parley_message *message)
{
  return PARLEY_HAS(parley_message, message, token) ? token_checked(message->token) : PARLEY_LIT("");
}

/* A host of before 1.3 has one token for all. */
static parley_text reply_token_of(const parley_message *message)
{
  return PARLEY_HAS(parley_message, message, reply_token) ? token_checked(message->reply_token) : token_of(message);
}

static parley_text unsubscribe_token_of(const parley_message *message)
{
  return PARLEY_HAS(parley_message, message, unsubscribe_token) ? token_checked(message->unsubscribe_token) : token_of(message);
}

/* <https://...>, and where answers come in, <mailto:unsubscribe+TOKEN@...> for readers that only write. */
static bool unsubscribe_add(struct draft *draft)
{
  const struct mail_mailbox *reply = draft->source->reply;
  parley_text url = draft->source->message->unsubscribe_url, token = unsubscribe_token_of(draft->source->message), ways[2];
  char *way[2] = {NULL, NULL};
  size_t n = 0;
  bool good;

  if (url.len == 0)
    return true;
  if (url.len > HEADER_MAX || memchr(url.at, '>', url.len) != NULL || memchr(url.at, ' ', url.len) != NULL) {
    draft->why = "List-Unsubscribe";
    return false;
  }
  ways[n] = (parley_text){way[n] = g_strdup_printf("<%.*s>", (int)url.len, url.at), url.len + 2};
  n++;
  if (reply != NULL && token.len > 0) {
    parley_text domain = mail_address_domain(&reply->address);

    way[n] = g_strdup_printf("<mailto:unsubscribe+%.*s@%.*s>", (int)token.len, token.at, (int)domain.len, domain.at);
    ways[n] = parley_text_of(way[n]);
    n++;
  }
  good = header_add_exact(draft, "List-Unsubscribe", ways, n) &&
         header_add_line(draft, "List-Unsubscribe-Post", PARLEY_LIT("List-Unsubscribe=One-Click"));
  g_free(way[0]);
  g_free(way[1]);
  return good;
}

/* --- Where an answer goes, and what the mail is ------------------------------------------------------------------- */
static bool token_address(const struct mail_address *base, parley_text token, struct mail_address *ret)
{
  char text[MAIL_ADDRESS_MAX + 1];
  parley_text domain = mail_address_domain(base);
  int len = snprintf(text, sizeof text, "%.*s+%.*s@%.*s", (int)(base->domain_at - 1), base->text, (int)token.len, token.at,
                     (int)domain.len, domain.at);

  return len > 0 && (size_t)len < sizeof text && mail_address_read((parley_text){text, (size_t)len}, ret) == PARLEY_OK;
}

static void reply_add(struct draft *draft)
{
  const struct mail_source *source = draft->source;
  parley_text token = reply_token_of(source->message), given = source->message->reply_address;
  const struct mail_mailbox *reply = source->reply;
  struct mail_address address;

  if (given.len > 0 && mail_address_read(given, &address) == PARLEY_OK && !address.utf8)
    mailbox_add(draft, GMIME_ADDRESS_TYPE_REPLY_TO, PARLEY_LIT(""), &address);
  else if (reply != NULL && token.len > 0 && token_address(&reply->address, token, &address))
    mailbox_add(draft, GMIME_ADDRESS_TYPE_REPLY_TO, parley_text_of(reply->name[0] != '\0' ? reply->name : source->from->name),
                &address);
}

/* The letters, digits, "-" and "." of a text, anything else as "-": what stands in ids. */
static void plain_append(GString *to, parley_text text, size_t max, char dot)
{
  for (size_t i = 0; i < text.len && i < max; i++)
    g_string_append_c(to, text.at[i] == '.' ? dot : g_ascii_isalnum(text.at[i]) ? text.at[i] : '-');
}

static bool list_id_add(struct draft *draft)
{
  const parley_message *message = draft->source->message;
  GString *id;
  bool good;

  if (message->topic_class != PARLEY_CLASS_MARKETING || message->topic.len == 0)
    return true;
  id = g_string_new("<");
  plain_append(id, message->topic, MAIL_ID_TOKEN_MAX, '-');
  g_string_append_c(id, '.');
  plain_append(id, mail_address_domain(&draft->source->from->address), MAIL_ADDRESS_MAX, '.');
  g_string_append_c(id, '>');
  good = header_add_line(draft, "List-Id", (parley_text){id->str, id->len});
  g_string_free(id, TRUE);
  return good;
}

/* topic:class:sender, the same for all mails of a kind: by these Gmail counts complaints. */
static bool feedback_add(struct draft *draft)
{
  static const char *const classes[] = {"other", "critical", "conversation", "transactional", "marketing"};
  const parley_message *message = draft->source->message;
  uint32_t class = message->topic_class <= PARLEY_CLASS_MARKETING ? message->topic_class : 0;
  GString *id;
  bool good;

  if (class == PARLEY_CLASS_CONVERSATION || message->topic.len == 0 || header_is_there(draft, "Feedback-ID"))
    return true;
  id = g_string_new(NULL);
  plain_append(id, message->topic, MAIL_ID_TOKEN_MAX, '-');
  g_string_append_printf(id, ":%s:", classes[class]);
  plain_append(id, mail_address_domain(&draft->source->from->address), FEEDBACK_SENDER_MAX, '-');
  good = header_add_line(draft, "Feedback-ID", (parley_text){id->str, id->len});
  g_string_free(id, TRUE);
  return good;
}

static bool kind_add(struct draft *draft)
{
  const parley_message *message = draft->source->message;
  parley_text token = token_of(message);

  return (message->topic_class == PARLEY_CLASS_CONVERSATION ||
          header_add_line(draft, "Auto-Submitted", PARLEY_LIT("auto-generated"))) &&
         (token.len == 0 || header_add_line(draft, "X-Parley-Ref", token)) && list_id_add(draft) && feedback_add(draft);
}

/* --- The sender's own --------------------------------------------------------------------------------------------- */
/* Which headers a sender may give is decided where the message is accepted; those that say how the mail is built never are. */
static bool own_name_ok(const struct draft *draft, const char *name)
{
  static const char *const never[] = {"Content-", "MIME-", "Resent-", "DKIM-", "Received", "Return-Path", "Bcc", "Cc", "Sender"};
  size_t len = strlen(name);

  for (size_t i = 0; i < len; i++)
    if (name[i] <= ' ' || name[i] >= 0x7f || name[i] == ':')
      return false;
  for (size_t i = 0; i < sizeof never / sizeof *never; i++)
    if (g_ascii_strncasecmp(name, never[i], strlen(never[i])) == 0)
      return false;
  return len > 0 && len <= NAME_MAX_BYTES && !header_is_there(draft, name);
}

static bool is_elsewhere(const struct draft *draft, const char *name)
{
  for (size_t i = 0; i < draft->source->n_without; i++)
    if (g_ascii_strcasecmp(name, draft->source->without[i]) == 0)
      return true;
  return false;
}

static bool own_add(struct draft *draft)
{
  parley_text json = draft->source->message->override_json;
  struct json_faults faults = {0};
  json_t *root = json.len > 0 ? json_strict_load(json, &faults) : NULL;
  const char *name;
  json_t *value;
  bool good = json.len == 0 || root != NULL;

  json_object_foreach(json_object_get(root, "headers"), name, value)
    good = good && json_is_string(value) && own_name_ok(draft, name) && json_string_length(value) <= OWN_VALUE_MAX &&
           (is_elsewhere(draft, name) || mail_header_add(draft, GMIME_OBJECT(draft->mail), name,
                                                         (parley_text){json_string_value(value), json_string_length(value)}));
  json_decref(root);
  if (!good)
    draft->why = "a header that the sender gave cannot be written";
  return good;
}

static parley_text recipient_name(const parley_message *message)
{
  if (message->to != NULL && message->to->name.len > 0)
    return message->to->name;
  return message->customer != NULL ? message->customer->name : PARLEY_LIT("");
}

bool mail_head_add(struct draft *draft, const char *id)
{
  const struct mail_source *source = draft->source;
  const parley_message *message = source->message;

  mailbox_add(draft, GMIME_ADDRESS_TYPE_FROM, parley_text_of(source->from->name), &source->from->address);
  mailbox_add(draft, GMIME_ADDRESS_TYPE_TO, recipient_name(message), source->to);
  reply_add(draft);
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
  return thread_add(draft) && unsubscribe_add(draft) && own_add(draft) && kind_add(draft);
}
