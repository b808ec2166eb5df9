#include "tests/support/smtp_script.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct script_conn {
  char *held;
  size_t len;
  bool in_data, early_said;
  size_t chunk; /* bytes of the chunk that is awaited */
  bool in_chunk;
  int auth_step; /* of AUTH LOGIN: 1 wants the user, 2 the password */
};

static const char *or_else(const char *said, const char *otherwise)
{
  return said != NULL ? said : otherwise;
}

static void say(struct stream_conn *conn, const char *text)
{
  size_t len = strlen(text);
  bool leaves = len > 0 && text[len - 1] == '!';

  stream_conn_send(conn, text, len - leaves);
  if (leaves)
    stream_conn_close(conn);
}

static bool starts(const char *line, const char *word)
{
  return strncmp(line, word, strlen(word)) == 0;
}

static void log_line(struct smtp_script *script, const char *line)
{
  int n = snprintf(script->log + script->log_len, sizeof script->log - script->log_len, "%s\n", line);

  if (n > 0 && script->log_len + (size_t)n < sizeof script->log)
    script->log_len += (size_t)n;
}

static const char *ehlo_answer(struct smtp_script *script, const struct stream_conn *conn)
{
  if (conn->secured)
    return or_else(
        script->ehlo_secured,
        "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 50000000\r\n");
  return or_else(script->ehlo, "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n");
}

static const char *auth_answer(struct smtp_script *script, struct script_conn *at, const char *line)
{
  if (starts(line, "AUTH LOGIN") && script->auth == NULL) {
    at->auth_step = 1;
    return "334 VXNlcm5hbWU6\r\n";
  }
  if (at->auth_step == 1) {
    at->auth_step = 2;
    return or_else(script->auth_user, "334 UGFzc3dvcmQ6\r\n");
  }
  if (at->auth_step == 3) {
    at->auth_step = 0;
    return script->auth_again;
  }
  if (at->auth_step == 0 && script->auth_again != NULL && script->auth != NULL && starts(script->auth, "334"))
    at->auth_step = 3;
  if (at->auth_step == 2) {
    at->auth_step = 0;
    return or_else(script->auth_password, "235 2.7.0 ok\r\n");
  }
  return or_else(script->auth, "235 2.7.0 ok\r\n");
}

static void command(struct smtp_script *script, struct stream_conn *conn, struct script_conn *at, const char *line)
{
  log_line(script, line);
  if (starts(line, "AUTH ") || at->auth_step > 0) {
    say(conn, auth_answer(script, at, line));
  } else if (starts(line, "EHLO ")) {
    say(conn, ehlo_answer(script, conn));
  } else if (starts(line, "HELO ")) {
    say(conn, or_else(script->helo, "250 mx\r\n"));
  } else if (starts(line, "STARTTLS")) {
    say(conn, or_else(script->starttls, "220 2.0.0 go\r\n"));
  } else if (starts(line, "MAIL ")) {
    say(conn, or_else(script->mail, "250 2.1.0 ok\r\n"));
  } else if (starts(line, "RCPT ")) {
    say(conn, script->n_rcpt++ < script->refuse_rcpt_first ? "550 5.1.1 nobody\r\n"
                                                           : or_else(script->rcpt, "250 2.1.5 ok\r\n"));
  } else if (starts(line, "DATA")) {
    bool refused = script->rcpt != NULL && script->rcpt[0] != '2';
    const char *answer = or_else(script->data, refused || script->n_rcpt <= script->refuse_rcpt_first
                                                   ? "554 5.5.1 no valid recipients\r\n" : "354 go on\r\n");

    at->in_data = answer[0] == '3';
    say(conn, answer);
  } else if (starts(line, "BDAT ")) {
    char *end;

    at->chunk = strtoul(line + 5, &end, 10);
    at->in_chunk = true;
    ck_assert_str_eq(end, " LAST");
  } else if (starts(line, "RSET")) {
    say(conn, or_else(script->rset, "250 2.0.0 ok\r\n"));
  } else if (starts(line, "QUIT")) {
    say(conn, or_else(script->quit, "221 2.0.0 bye\r\n!"));
  } else {
    say(conn, "500 5.5.2 what?\r\n");
  }
}

/* The mail without its dots; the script's, as its last mail. */
static void mail_keep(struct smtp_script *script, const char *at, size_t len)
{
  char *mail = malloc(len + 1);
  size_t n = 0;

  ck_assert_ptr_nonnull(mail);
  ck_assert_uint_lt(script->n_mails, SMTP_SCRIPT_MAILS_MAX);
  for (size_t i = 0; i < len; i++) {
    bool line_start = i == 0 || at[i - 1] == '\n';

    if (at[i] == '\n' && (i == 0 || at[i - 1] != '\r'))
      ck_abort_msg("a bare LF in the mail");
    if (!(line_start && at[i] == '.'))
      mail[n++] = at[i];
  }
  mail[n] = '\0';
  script->mails[script->n_mails].at = mail;
  script->mails[script->n_mails++].len = n;
}

/* Returns how much of the held bytes was a mail with its dot; 0: not all here yet. */
static size_t mail_take(struct smtp_script *script, struct stream_conn *conn, struct script_conn *at)
{
  bool empty = at->len >= 3 && memcmp(at->held, ".\r\n", 3) == 0;
  const char *end = empty ? at->held - 2 : memmem(at->held, at->len, "\r\n.\r\n", 5);

  if (end == NULL) {
    if (script->early != NULL && !at->early_said && at->len > 0) {
      at->early_said = true;
      say(conn, script->early);
    }
    return 0;
  }
  at->in_data = false;
  mail_keep(script, at->held, empty ? 0 : (size_t)(end - at->held) + 2);
  log_line(script, ".");
  say(conn, or_else(script->dot, "250 2.0.0 queued\r\n"));
  return (size_t)(end - at->held) + 5;
}

/* A chunk has no dots: they are kept as they are. */
static size_t chunk_take(struct smtp_script *script, struct stream_conn *conn, struct script_conn *at)
{
  char *dotted = NULL;
  size_t n = 0;

  if (at->len < at->chunk) {
    if (script->early != NULL && !at->early_said && at->len > 0) {
      at->early_said = true;
      say(conn, script->early);
    }
    return 0;
  }
  dotted = malloc(2 * at->chunk + 1);
  ck_assert_ptr_nonnull(dotted);
  for (size_t i = 0; i < at->chunk; i++) {
    if (at->held[i] == '.' && (i == 0 || at->held[i - 1] == '\n'))
      dotted[n++] = '.';
    dotted[n++] = at->held[i];
  }
  at->in_chunk = false;
  mail_keep(script, dotted, n);
  free(dotted);
  log_line(script, "chunk");
  say(conn, or_else(script->dot, "250 2.0.0 queued\r\n"));
  return at->chunk;
}

static void script_opened(struct stream_conn *conn, void *arg)
{
  struct smtp_script *script = arg;

  conn->peer = calloc(1, sizeof(struct script_conn));
  ck_assert_ptr_nonnull(conn->peer);
  script->n_conns++;
  say(conn, or_else(script->greeting, "220 mx ready\r\n"));
}

static void script_got(struct stream_conn *conn, parley_bytes bytes, void *arg)
{
  struct smtp_script *script = arg;
  struct script_conn *at = conn->peer;
  size_t used;

  at->held = realloc(at->held, at->len + bytes.len + 1);
  ck_assert_ptr_nonnull(at->held);
  memcpy(at->held + at->len, bytes.at, bytes.len);
  at->len += bytes.len;
  do {
    used = 0;
    if (at->in_chunk) {
      used = chunk_take(script, conn, at);
    } else if (at->in_data) {
      used = mail_take(script, conn, at);
    } else {
      char *end = at->len > 0 ? memmem(at->held, at->len, "\r\n", 2) : NULL;

      if (end != NULL) {
        *end = '\0';
        used = (size_t)(end - at->held) + 2;
        command(script, conn, at, at->held);
      }
    }
    memmove(at->held, at->held + used, at->len - used);
    at->len -= used;
  } while (used > 0 && !conn->peer_closed);
}

static void script_closed(struct stream_conn *conn, void *arg)
{
  struct script_conn *at = conn->peer;

  (void)arg;
  if (at != NULL)
    free(at->held);
  free(at);
  conn->peer = NULL;
}

struct smtp_script *smtp_script_new(void)
{
  struct smtp_script *script = calloc(1, sizeof *script);

  ck_assert_ptr_nonnull(script);
  return script;
}

void smtp_script_free(struct smtp_script **script)
{
  for (uint32_t i = 0; i < (*script)->n_mails; i++)
    free((*script)->mails[i].at);
  free(*script);
  *script = NULL;
}

struct stream_peer smtp_script_peer(struct smtp_script *script)
{
  return (struct stream_peer){.opened = script_opened, .got = script_got, .closed = script_closed, .arg = script};
}

uint32_t smtp_script_count(const struct smtp_script *script, const char *command_start)
{
  uint32_t n = 0;

  for (const char *at = script->log; *at != '\0'; at = strchr(at, '\n') + 1)
    n += starts(at, command_start);
  return n;
}
