#include "email_link.h"
#include <stdlib.h>

enum { CONNECT_MS = 30000 };

/* --- What the session wants of its socket ------------------------------------------------------------------------- */
static int64_t link_now_ms(void *arg)
{
  const struct email_link *link = arg;

  return link->host->mono_ms(link->host);
}

static uint64_t link_write(parley_bytes bytes, void *arg)
{
  struct email_link *link = arg;

  return link->stream->write(link->host, link->stream_id, bytes);
}

static parley_tls tls_of(const struct email_options *options, bool checked)
{
  return (parley_tls){.size = sizeof(parley_tls), .flags = checked ? 0 : PARLEY_TLS_ANY_NAME | PARLEY_TLS_ANY_PEER,
                      .server_name = parley_text_of(options->server.name)};
}

static void link_secure(bool checked, void *arg)
{
  struct email_link *link = arg;
  const parley_tls tls = tls_of(link->options, checked);

  link->stream->secure(link->host, link->stream_id, &tls, 0, 0);
}

static void link_close(bool now, void *arg)
{
  struct email_link *link = arg;

  link->stream->close(link->host, link->stream_id, now);
}

static void link_ready(void *arg)
{
  struct email_link *link = arg;

  link->owner->ready(link);
}

static void link_done(const struct smtp_result *result, void *arg)
{
  struct email_link *link = arg;

  link->owner->done(link, result);
}

static void link_failed(const struct smtp_result *result, void *arg)
{
  struct email_link *link = arg;

  link->owner->failed(link, result);
}

static const struct smtp_owner session_owner = {.now_ms = link_now_ms, .write = link_write, .secure = link_secure,
                                                .close = link_close, .ready = link_ready, .done = link_done,
                                                .failed = link_failed};

/* --- What the socket tells ---------------------------------------------------------------------------------------- */
static void link_opened(const parley_peer *peer, void *arg)
{
  struct email_link *link = arg;

  if (link->options->server.implicit_tls && !peer->secured)
    return; /* it comes again when TLS stands */
  smtp_session_opened(&link->session, peer->secured != 0);
}

static size_t link_data(parley_bytes bytes, void *arg)
{
  struct email_link *link = arg;

  return smtp_session_data(&link->session, bytes);
}

static void link_writable(void *arg)
{
  struct email_link *link = arg;

  smtp_session_writable(&link->session);
}

static void link_closed(const parley_result *result, void *arg)
{
  struct email_link *link = arg;
  const struct email_link_owner *owner = link->owner;
  void *owner_arg = link->arg;

  smtp_session_closed(&link->session, result->reason.len > 0 ? result->reason : PARLEY_LIT("the connection ended"));
  owner->closed(link);
  free(link);
  owner->after(owner_arg);
}

static const parley_stream_events link_events = {.size = sizeof link_events, .opened = link_opened, .data = link_data,
                                                 .writable = link_writable, .closed = link_closed};

/* --- For the pool ------------------------------------------------------------------------------------------------- */
struct email_link *email_link_open(const parley_host *host, const parley_stream *stream, const struct email_options *options,
                                   const struct email_link_owner *owner, void *arg)
{
  const parley_tls tls = tls_of(options, options->smtp.tls != SMTP_TLS_OPPORTUNISTIC);
  struct email_link *link = calloc(1, sizeof *link);

  if (link == NULL)
    return NULL;
  link->host = host;
  link->stream = stream;
  link->options = options;
  link->owner = owner;
  link->arg = arg;
  smtp_session_init(&link->session, &options->smtp, &session_owner, link);
  link->stream_id = stream->connect(host,
                                    PARLEY_REF(parley_endpoint, .address = parley_text_of(options->server.address),
                                               .connect_ms = CONNECT_MS, .tls = options->server.implicit_tls ? &tls : NULL),
                                    &link_events, link);
  return link;
}

bool email_link_idle(const struct email_link *link)
{
  return !link->probe && link->job == NULL && link->session.state == SMTP_READY;
}

bool email_link_works(const struct email_link *link)
{
  return !link->probe && link->session.was_ready && link->session.state != SMTP_OVER && link->session.state != SMTP_QUITTING;
}
