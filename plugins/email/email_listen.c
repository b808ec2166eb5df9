#include "email_listen.h"
#include "mail_word.h"
#include "email_handin.h"
#include <stdio.h>
#include <stdlib.h>

enum {
  SWEEP_MS = 5000, /* how often slow clients are looked at; and an address that is taken tried again */
  WORDS_MAX = 300,
  LINE_MAX_BYTES = 200
};

struct email_listen;
struct conn { /* one client */
  struct conn *next;
  struct email_listen *listen;
  uint64_t stream;
  struct smtp_serve *serve;
  char *key; /* the API key that logged in */
  size_t key_len;
  char *peer;
  bool gone, asking; /* the stream is over; the host or the taker still has a question of ours */
};
struct email_listen {
  struct email_listen_config config;
  struct smtp_serve_config serve;
  parley_tls tls;
  struct conn *conns;
  uint32_t n_conns;
  size_t held; /* bytes of mails under way */
  int64_t kept_ms; /* when a mail was kept last */
  uint64_t id, timer; /* id 0: not listening */
  bool draining, told;
};

/* --- Connections -------------------------------------------------------------------------------------------------- */
static void key_forget(struct conn *conn)
{
  volatile char *at = conn->key;

  for (size_t i = 0; i < conn->key_len; i++)
    at[i] = 0;
  free(conn->key);
  conn->key = NULL;
  conn->key_len = 0;
}

static void conn_free(struct conn *conn)
{
  struct email_listen *listen = conn->listen;
  struct conn **at = &listen->conns;

  while (*at != conn)
    at = &(*at)->next;
  *at = conn->next;
  listen->n_conns--;
  key_forget(conn);
  smtp_serve_free(&conn->serve);
  free(conn->peer);
  free(conn);
}

/* A question has been answered; false: nobody is there any more to hear it. */
static bool conn_answered(struct conn *conn)
{
  conn->asking = false;
  if (!conn->gone)
    return true;
  conn_free(conn);
  return false;
}

static int64_t conn_now(void *arg)
{
  const parley_host *host = ((struct conn *)arg)->listen->config.host;

  return host->mono_ms(host);
}

static void conn_write(parley_bytes bytes, void *arg)
{
  struct conn *conn = arg;

  conn->listen->config.stream->write(conn->listen->config.host, conn->stream, bytes);
}

static void conn_reading(bool on, void *arg)
{
  struct conn *conn = arg;

  conn->listen->config.stream->reading(conn->listen->config.host, conn->stream, on);
}

static void conn_secure(size_t unused, void *arg)
{
  struct conn *conn = arg;

  key_forget(conn);
  conn->listen->config.stream->secure(conn->listen->config.host, conn->stream, &conn->listen->tls, 1, unused);
}

static void conn_close(bool now, void *arg)
{
  struct conn *conn = arg;

  conn->listen->config.stream->close(conn->listen->config.host, conn->stream, now);
}

static bool conn_room(size_t before, size_t after, void *arg)
{
  struct email_listen *listen = ((struct conn *)arg)->listen;

  if (after > before && after > EMAIL_LISTEN_SMALL && listen->held - before + after > EMAIL_LISTEN_BYTES_MAX)
    return false;
  listen->held += after - before;
  return true;
}

/* --- Logins ------------------------------------------------------------------------------------------------------- */
static void login_checked(const parley_result *result, void *arg)
{
  struct conn *conn = arg;

  if (!conn_answered(conn))
    return;
  if (result->status != PARLEY_OK)
    key_forget(conn);
  smtp_serve_login(conn->serve, result->status);
}

static void conn_login(parley_text user, parley_text password, void *arg)
{
  struct conn *conn = arg;
  const struct email_listen_config *config = &conn->listen->config;

  (void)user; /* the key alone says who it is; old software wants to send some name */
  key_forget(conn);
  conn->key = malloc(password.len + 1);
  if (conn->key == NULL) {
    smtp_serve_login(conn->serve, PARLEY_BUSY);
    return;
  }
  memcpy(conn->key, password.at, password.len);
  conn->key_len = password.len;
  conn->asking = true;
  config->submit->login(config->host, (parley_text){conn->key, conn->key_len}, parley_text_of(conn->peer),
                        login_checked, conn);
}

/* --- Recipients --------------------------------------------------------------------------------------------------- */
static struct smtp_serve_reply reply_of(uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  return (struct smtp_serve_reply){.code = code, .subject = subject, .detail = detail, .words = parley_text_of(words)};
}

static bool domain_is_ours(const struct email_listen *listen, parley_text domain)
{
  const parley_value *domains = listen->config.options->domains;
  char name[MAIL_ADDRESS_MAX + 1];
  size_t len;

  for (uint64_t i = 0; i < domains->n_items; i++)
    if (mail_domain_read(domains->items[i]->text, name, sizeof name, &len) == PARLEY_OK &&
        mail_word_same(domain, (parley_text){name, len}))
      return true;
  return mail_word_same(domain, listen->serve.host); /* postmaster, without a domain */
}

static bool address_is_ours(const struct email_listen *listen, const struct mail_address *address)
{
  const parley_value *addresses = listen->config.options->addresses;
  parley_text whole = mail_address_text(address), local = {whole.at, address->domain_at - 1};
  struct mail_token token;

  if (addresses == NULL || mail_token_read(whole, &token) || mail_word_same(local, PARLEY_LIT("postmaster")) ||
      mail_word_same(local, PARLEY_LIT("abuse")))
    return true;
  for (uint64_t i = 0; i < addresses->n_items; i++)
    if (mail_word_same(addresses->items[i]->text, local) || mail_word_same(addresses->items[i]->text, whole))
      return true;
  return false;
}

static void recipient_asked(const parley_result *result, void *arg)
{
  struct conn *conn = arg;
  struct smtp_serve_reply reply = reply_of(250, 1, 5, "ok");

  if (!conn_answered(conn))
    return;
  if (parley_again(result->status))
    reply = reply_of(452, 3, 1, "nothing can be taken in just now: come again");
  smtp_serve_recipient(conn->serve, &reply);
}

/* The host has taken in a mail a moment ago: it need not be asked whether it would. */
static bool has_just_kept(const struct email_listen *listen)
{
  const parley_host *host = listen->config.host;

  return listen->kept_ms > 0 && host->mono_ms(host) - listen->kept_ms < EMAIL_LISTEN_KEPT_MS;
}

static void conn_recipient(parley_text from, const struct mail_address *to, bool first, void *arg)
{
  struct conn *conn = arg;
  struct email_listen *listen = conn->listen;
  const parley_host *host = listen->config.host;
  struct smtp_serve_reply reply = reply_of(250, 1, 5, "ok");

  (void)from;
  if (listen->serve.protocol != SMTP_SERVE_SUBMISSION && !domain_is_ours(listen, mail_address_domain(to)))
    reply = reply_of(550, 7, 1, "not a domain of ours: nothing is relayed");
  else if (listen->serve.protocol != SMTP_SERVE_SUBMISSION && !address_is_ours(listen, to))
    reply = reply_of(550, 1, 1, "no such address here");
  if (reply.code != 250 || !first || listen->serve.protocol == SMTP_SERVE_SUBMISSION || has_just_kept(listen)) {
    smtp_serve_recipient(conn->serve, &reply);
    return;
  }
  conn->asking = true; /* before a mail is sent for nothing: is there room at all? */
  host->inbound(host, PARLEY_REF(parley_inbound, .kind = PARLEY_KIND_CONTENT, .flags = PARLEY_ASK), recipient_asked,
                conn);
}

/* --- Mails -------------------------------------------------------------------------------------------------------- */
static struct smtp_serve_reply reply_to(parley_status st, bool repeated, parley_text reason)
{
  struct smtp_serve_reply reply = {.words = reason};

  switch (st) {
  case PARLEY_OK:
    return reply_of(250, 0, 0, repeated ? "it was kept before" : "kept");
  case PARLEY_BUSY:
    return reply_of(452, 3, 1, "full: come again");
  case PARLEY_NOT_FOUND:
    return reply_of(550, 1, 1, "no such address here");
  case PARLEY_DENIED:
    return reply_of(550, 7, 1, "this API key may not send");
  case PARLEY_REJECTED:
    reply.code = 550;
    reply.subject = 7;
    reply.detail = 1;
    break;
  case PARLEY_INVALID:
    reply.code = 554;
    reply.subject = 6;
    break;
  default:
    return parley_again(st) ? reply_of(451, 3, 0, "not now: come again") : reply_of(550, 0, 0, "refused");
  }
  if (reply.words.len == 0)
    reply.words = PARLEY_LIT("refused");
  return reply;
}

static void mail_answer(struct conn *conn, const struct smtp_serve_reply *each, uint32_t n)
{
  if (conn_answered(conn))
    smtp_serve_mail(conn->serve, each, n);
}

static void mail_was_taken(const struct mail_verdict *each, uint32_t n, parley_text reason, void *arg)
{
  struct smtp_serve_reply replies[SMTP_SERVE_RECIPIENTS_MAX];
  struct email_listen *listen = ((struct conn *)arg)->listen;

  for (uint32_t i = 0; i < n; i++) {
    replies[i] = reply_to(each[i].status, each[i].repeated, reason);
    if (each[i].status == PARLEY_OK && !each[i].repeated)
      listen->kept_ms = listen->config.host->mono_ms(listen->config.host);
    else if (parley_again(each[i].status))
      listen->kept_ms = 0;
  }
  mail_answer(arg, replies, n);
}

static void mail_was_handed_in(const parley_status *each, uint32_t n, parley_text reason, void *arg)
{
  struct smtp_serve_reply replies[SMTP_SERVE_RECIPIENTS_MAX];

  for (uint32_t i = 0; i < n; i++)
    replies[i] = reply_to(each[i], false, reason);
  mail_answer(arg, replies, n);
}

static void conn_mail(struct smtp_serve_mail *mail, void *arg)
{
  struct conn *conn = arg;
  const struct email_listen_config *config = &conn->listen->config;

  conn->asking = true;
  if (conn->listen->serve.protocol == SMTP_SERVE_SUBMISSION) {
    const struct email_handin_mail handin = {.key = {conn->key, conn->key_len},
                                             .topic = config->options->topic,
                                             .return_path = mail->return_path,
                                             .recipients = mail->recipients,
                                             .n_recipients = mail->n_recipients,
                                             .raw = mail->raw,
                                             .len = mail->len};

    email_handin(config->host, config->submit, config->host->extension(config->host, PARLEY_MEDIA), &handin,
                 mail_was_handed_in, conn);
  } else {
    const struct mail_envelope envelope = {.known = true,
                                           .return_path = mail->return_path,
                                           .recipients = mail->recipients,
                                           .n_recipients = mail->n_recipients};

    mail_take_owned(config->taker, &envelope, mail->raw, mail->len, mail_was_taken, conn);
  }
}

static const struct smtp_serve_owner conn_owner = {.now_ms = conn_now,
                                                   .write = conn_write,
                                                   .reading = conn_reading,
                                                   .secure = conn_secure,
                                                   .close = conn_close,
                                                  .room = conn_room,
                                                   .login = conn_login,
                                                   .recipient = conn_recipient,
                                                   .mail = conn_mail};

/* --- The stream --------------------------------------------------------------------------------------------------- */
static void conn_opened(const parley_peer *peer, void *arg)
{
  struct conn *conn = arg;

  smtp_serve_opened(conn->serve, peer->secured != 0);
}

static size_t conn_data(parley_bytes bytes, void *arg)
{
  return smtp_serve_data(((struct conn *)arg)->serve, bytes);
}

static void conn_closed(const parley_result *result, void *arg)
{
  struct conn *conn = arg;

  (void)result;
  conn->gone = true;
  smtp_serve_closed(conn->serve);
  if (!conn->asking)
    conn_free(conn);
}

static const parley_stream_events conn_events = {
    .size = sizeof conn_events, .opened = conn_opened, .data = conn_data, .closed = conn_closed};

static char *peer_copy(parley_text address) /* without its port: wrong keys are an address's */
{
  size_t len = address.len;
  char *copy;

  while (len > 0 && address.at[len - 1] != ':')
    len--;
  if (len > 0)
    address.len = len - 1;
  copy = malloc(address.len + 1);
  if (copy != NULL) {
    memcpy(copy, address.at, address.len);
    copy[address.len] = '\0';
  }
  return copy;
}

static void *conn_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  struct email_listen *listen = arg;
  struct conn *conn =
      listen->draining || listen->n_conns >= listen->config.options->connections ? NULL : calloc(1, sizeof *conn);

  if (conn == NULL)
    return NULL;
  conn->listen = listen;
  conn->stream = stream;
  conn->peer = peer_copy(peer->address);
  conn->serve = smtp_serve_new(&listen->serve, &conn_owner, conn);
  if (conn->serve == NULL || conn->peer == NULL) {
    smtp_serve_free(&conn->serve);
    free(conn->peer);
    free(conn);
    return NULL;
  }
  conn->next = listen->conns;
  listen->conns = conn;
  listen->n_conns++;
  return conn;
}

/* --- Listening ---------------------------------------------------------------------------------------------------- */
static void listen_say(struct email_listen *listen, uint32_t level, const char *event, parley_text why)
{
  const parley_host *host = listen->config.host;
  parley_text address = listen->config.options->address;
  char line[LINE_MAX_BYTES + WORDS_MAX];
  int len = snprintf(line, sizeof line, "event=%s protocol=%s address=%.*s%s%.*s", event,
                     listen->serve.protocol == SMTP_SERVE_LMTP   ? "lmtp"
                     : listen->serve.protocol == SMTP_SERVE_SMTP ? "smtp"
                                                                 : "submission",
                     (int)(address.len < LINE_MAX_BYTES ? address.len : LINE_MAX_BYTES), address.at,
                     why.len > 0 ? " why=" : "", (int)(why.len < WORDS_MAX ? why.len : WORDS_MAX), why.at);

  host->log(host, level, (parley_text){line, len > 0 && (size_t)len < sizeof line ? (size_t)len : sizeof line - 1});
}

static void listen_bound(const parley_result *result, void *arg)
{
  struct email_listen *listen = arg;
  const parley_host *host = listen->config.host;

  if (result->status == PARLEY_OK) {
    if (listen->told)
      host->health(host, PARLEY_UP, PARLEY_LIT(""), PARLEY_LIT(""));
    listen->told = false;
    listen_say(listen, PARLEY_INFO, "listening", result->value);
    return;
  }
  listen->id = 0;
  if (result->status == PARLEY_CANCELLED || listen->told)
    return;
  listen->told = true;
  listen_say(listen, PARLEY_ERROR, "listen_failed", result->reason);
  host->health(host, PARLEY_DEGRADED, result->reason,
               PARLEY_LIT("is another program at the address of listen or submission?"));
}

static void listen_begin(struct email_listen *listen)
{
  const struct email_listen_config *config = &listen->config;

  listen->id = config->stream->listen(config->host, PARLEY_REF(parley_endpoint, .address = config->options->address),
                                      &conn_events, conn_accepted, listen_bound, listen);
}

static void listen_sweep(void *arg)
{
  struct email_listen *listen = arg;

  for (struct conn *conn = listen->conns, *next; conn != NULL; conn = next) {
    next = conn->next;
    if (!conn->gone)
      smtp_serve_sweep(conn->serve);
  }
  if (listen->id == 0 && !listen->draining)
    listen_begin(listen);
}

struct email_listen *email_listen_new(const struct email_listen_config *config)
{
  struct email_listen *listen = calloc(1, sizeof *listen);
  const struct email_listen_options *options = config->options;

  if (listen == NULL)
    return NULL;
  listen->config = *config;
  listen->tls = (parley_tls){.size = sizeof listen->tls, .cert_pem = options->cert_pem, .key_pem = options->key_pem};
  listen->serve =
      (struct smtp_serve_config){.protocol = options->protocol,
                                 .host = config->name,
                                 .mail_max = options->mail_max,
                                 .starttls = options->cert_pem.len > 0,
                                 .tls_needed = options->protocol == SMTP_SERVE_SUBMISSION && options->cert_pem.len > 0,
                                 .clear_auth = options->cert_pem.len == 0};
  listen_begin(listen);
  listen->timer = config->host->timer(config->host, SWEEP_MS, SWEEP_MS, listen_sweep, listen);
  return listen;
}

void email_listen_drain(struct email_listen *listen)
{
  if (listen->draining)
    return;
  listen->draining = true;
  if (listen->id != 0)
    listen->config.host->cancel(listen->config.host, listen->id);
  listen->id = 0;
  for (struct conn *conn = listen->conns, *next; conn != NULL; conn = next) {
    next = conn->next;
    if (!conn->gone)
      smtp_serve_drain(conn->serve);
  }
}

void email_listen_free(struct email_listen **listen)
{
  if (*listen == NULL)
    return;
  while ((*listen)->conns != NULL)
    conn_free((*listen)->conns);
  free(*listen);
  *listen = NULL;
}
