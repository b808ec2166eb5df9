/* Option imap. */
#include "common/option.h"
#include "email_options.h"

enum { PORT_IMAP = 143, PORT_IMAPS = 993, TEXT_MAX = 1000, NAME_MAX_BYTES = 250, POLL_MIN_MS = 1000, POLL_MAX_MS = 3600000 };
enum { TLS_CHOICE_REQUIRED, TLS_CHOICE_OFF };

static const char *const after_choices[] = {"keep", "seen", "move", "delete", NULL};
static const char *const tls_choices[] = {"required", "off", NULL};

static const parley_option *const imap_fields[] = {
    PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED,
               .doc = "the mailbox's server: imaps://host:port, or imap:// for STARTTLS", .example = "imaps://127.0.0.1:993"),
    PARLEY_REF(parley_option, .name = "user", .type = PARLEY_OPTION_TEXT, .max = TEXT_MAX,
               .doc = "whose mailbox; default: the channel's user", .example = "support@shop.example"),
    PARLEY_REF(parley_option, .name = "password", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .max = TEXT_MAX,
               .doc = "of user; default: the channel's oauth, else its password", .example = "secret"),
    PARLEY_REF(parley_option, .name = "mailbox", .type = PARLEY_OPTION_TEXT, .min = 1, .max = NAME_MAX_BYTES,
               .default_text = "INBOX", .doc = "the folder that mail is taken from", .example = "INBOX"),
    PARLEY_REF(parley_option, .name = "after", .type = PARLEY_OPTION_CHOICE, .choices = after_choices, .default_text = "keep",
               .doc = "what becomes there of a mail that was taken: keep it as it is, mark it seen, move it to folder, or delete it",
               .example = "move"),
    PARLEY_REF(parley_option, .name = "folder", .type = PARLEY_OPTION_TEXT, .max = NAME_MAX_BYTES,
               .doc = "where after: move puts it; made when it is not there", .example = "Parley"),
    PARLEY_REF(parley_option, .name = "poll", .type = PARLEY_OPTION_DURATION, .min = POLL_MIN_MS, .max = POLL_MAX_MS,
               .default_text = "60s", .doc = "how often to look where the server has no IDLE", .example = "60s"),
    PARLEY_REF(parley_option, .name = "tls", .type = PARLEY_OPTION_CHOICE, .choices = tls_choices,
               .doc = "required, or off on loopback; default: off for imap:// on loopback, else required", .example = "required"),
    NULL,
};
const parley_option email_option_imap = {.size = sizeof email_option_imap, .name = "imap", .type = PARLEY_OPTION_GROUP,
                                         .fields = imap_fields, .doc = "takes mail in from a hosted mailbox"};

static const char *url_read(parley_text url, struct imap_options *to)
{
  static const struct email_server_schemes schemes = {"imap://", "imaps://", PORT_IMAP, PORT_IMAPS};

  switch (email_server_read(url, &schemes, &to->server)) {
  case EMAIL_SERVER_SCHEME: return "imap.url: must begin with imap:// or imaps://";
  case EMAIL_SERVER_LOGIN: return "imap.url: user and password stand in options of their own, not in the URL";
  case EMAIL_SERVER_ADDRESS: return "imap.url: must be imaps://host:port";
  case EMAIL_SERVER_OK: break;
  }
  to->session.port = to->server.port;
  to->session.host = parley_text_of(to->server.name);
  return NULL;
}

static const char *tls_read(const parley_value *group, struct imap_options *to)
{
  bool loopback = email_server_is_loopback(&to->server);
  int64_t choice = option_number(group, "tls", loopback && !to->server.implicit_tls ? TLS_CHOICE_OFF : TLS_CHOICE_REQUIRED);

  to->session.tls = choice == TLS_CHOICE_OFF ? IMAP_TLS_OFF : IMAP_TLS_REQUIRED;
  if (choice == TLS_CHOICE_OFF && to->server.implicit_tls)
    return "imap.tls: off contradicts imaps://";
  return choice == TLS_CHOICE_OFF && !loopback ? "imap.tls: a password is never sent in clear; off is for loopback only" : NULL;
}

static const char *login_read(const parley_value *group, parley_text user, parley_text password, bool oauth, struct imap_options *to)
{
  struct imap_config *session = &to->session;

  session->user = option_text(group, "user");
  session->password = option_text(group, "password");
  session->bearer = oauth && session->password.len == 0;
  if (session->user.len == 0)
    session->user = user;
  if (session->password.len == 0)
    session->password = password;
  if (session->user.len == 0)
    return "imap: needs a user, its own or the channel's";
  return session->password.len == 0 && !oauth ? "imap: needs a password, its own or the channel's, or the channel's oauth" : NULL;
}

static const char *name_check(parley_text name, const char *why)
{
  struct imap_command command = {.len = 0};

  imap_put_mailbox(&command, name);
  return command.bad ? why : NULL;
}

const char *imap_options_read(const parley_value *options, parley_text user, parley_text password, bool oauth,
                              struct imap_options *to)
{
  const parley_value *group = parley_find(options, "imap");
  struct imap_config *session = &to->session;
  const char *why;

  if (group == NULL || group->type == 0)
    return NULL;
  to->on = true;
  session->mailbox = option_text(group, "mailbox");
  if (session->mailbox.len == 0)
    session->mailbox = PARLEY_LIT("INBOX");
  session->folder = option_text(group, "folder");
  session->after = (enum imap_after)option_number(group, "after", IMAP_KEEP);
  session->poll_ms = (uint32_t)option_number(group, "poll", 60000);
  if ((session->after == IMAP_MOVE) != (session->folder.len > 0))
    return "imap.folder: after: move needs it, and nothing else does";
  why = url_read(option_text(group, "url"), to);
  if (why == NULL)
    why = tls_read(group, to);
  if (why == NULL)
    why = login_read(group, user, password, oauth, to);
  if (why == NULL)
    why = name_check(session->mailbox, "imap.mailbox: too long, or holds control characters");
  if (why == NULL)
    why = name_check(session->folder, "imap.folder: too long, or holds control characters");
  return why;
}
