#include "smpp_link.h"

enum { CONNECT_MS = 30000, RETRY_FIRST_MS = 1000 };

static int64_t mono_ms(const struct smpp_link *link) { return link->host->mono_ms(link->host); }

/* --- Again -------------------------------------------------------------------------------------------------------- */
static void retry_plan(struct smpp_link *link)
{
  uint64_t ms = RETRY_FIRST_MS;
  uint16_t chance;

  for (uint32_t i = 1; i < link->failures && ms < link->options->reconnect_max_ms; i++)
    ms *= 2;
  if (ms > link->options->reconnect_max_ms)
    ms = link->options->reconnect_max_ms;
  link->host->random(link->host, &chance, sizeof chance);
  ms = ms / 2 + ms / 2 * chance / UINT16_MAX;
  link->retry_at_ms = mono_ms(link) + (int64_t)ms;
}

/* --- What the session wants of its socket ------------------------------------------------------------------------- */
static int64_t session_now(void *arg) { return mono_ms(arg); }

static void session_write(parley_bytes bytes, void *arg)
{
  struct smpp_link *link = arg;

  link->stream->write(link->host, link->stream_id, bytes);
}

static void session_close(bool now, void *arg)
{
  struct smpp_link *link = arg;

  link->stream->close(link->host, link->stream_id, now);
}

static void session_bound(void *arg)
{
  struct smpp_link *link = arg;

  link->owner->bound(link);
}

static void session_failed(const struct smpp_failure *failure, void *arg)
{
  struct smpp_link *link = arg;

  link->owner->failed(link, failure);
}

static void session_answered(void *ref, const struct smpp_answer *answer, void *arg)
{
  struct smpp_link *link = arg;

  link->owner->answered(link, ref, answer);
}

static void session_alive(void *arg)
{
  struct smpp_link *link = arg;

  link->owner->alive(link);
}

static void session_received(const struct smpp_head *head, const struct smpp_message *message, void *arg)
{
  struct smpp_link *link = arg;

  link->owner->received(link, head, message);
}

static void session_ignored(const char *what, void *arg)
{
  struct smpp_link *link = arg;

  link->host->metric(link->host, "smpp_ignored", parley_text_of(what), 1);
}

static const struct smpp_owner session_owner = {.now_ms = session_now, .write = session_write, .close = session_close,
                                                .bound = session_bound, .failed = session_failed, .answered = session_answered,
                                                .alive = session_alive, .received = session_received, .ignored = session_ignored};

/* --- What the socket tells ---------------------------------------------------------------------------------------- */
static void link_opened(const parley_peer *peer, void *arg)
{
  struct smpp_link *link = arg;

  if (link->options->tls && !peer->secured)
    return; /* it comes again when TLS stands */
  smpp_session_opened(&link->session);
}

static size_t link_data(parley_bytes bytes, void *arg)
{
  struct smpp_link *link = arg;
  size_t used = smpp_session_data(&link->session, bytes);

  link->owner->after(link);
  return used;
}

static void link_closed(const parley_result *result, void *arg)
{
  struct smpp_link *link = arg;

  link->open = false;
  smpp_session_closed(&link->session, result->reason.len > 0 ? result->reason : PARLEY_LIT("the connection ended"));
  link->generation++;
  link->failures++; /* until it works for a message, or a while: see the pool */
  retry_plan(link);
  link->owner->closed(link);
}

static const parley_stream_events link_events = {.size = sizeof link_events, .opened = link_opened, .data = link_data,
                                                 .closed = link_closed};

/* --- For the pool ------------------------------------------------------------------------------------------------- */
bool smpp_link_init(struct smpp_link *link, uint32_t command)
{
  bool ok = smpp_session_init(&link->session, &link->options->bind, command, &session_owner, link);

  link->session.state = SMPP_OVER;
  return ok;
}

void smpp_link_done(struct smpp_link *link)
{
  smpp_session_done(&link->session);
}

void smpp_link_connect(struct smpp_link *link)
{
  const parley_tls tls = {.size = sizeof tls, .server_name = parley_text_of(link->options->host), .ca_pem = link->options->ca};

  if (link->open || link->leaving)
    return;
  link->open = true;
  link->denied = false;
  smpp_session_restart(&link->session);
  link->stream_id = link->stream->connect(link->host,
                                          PARLEY_REF(parley_endpoint, .address = parley_text_of(link->options->address),
                                                     .connect_ms = CONNECT_MS, .read_max = 2 * SMPP_PDU_MAX,
                                                     .tls = link->options->tls ? &tls : NULL),
                                          &link_events, link);
}

void smpp_link_sweep(struct smpp_link *link)
{
  if (link->open)
    smpp_session_sweep(&link->session);
  else if (!link->leaving && mono_ms(link) >= link->retry_at_ms)
    smpp_link_connect(link);
}

void smpp_link_leave(struct smpp_link *link)
{
  link->leaving = true;
  if (link->open)
    smpp_session_quit(&link->session);
}

bool smpp_link_bound(const struct smpp_link *link) { return link->session.state == SMPP_BOUND && !link->denied; }
bool smpp_link_sends(const struct smpp_link *link) { return link->session.command != SMPP_BIND_RECEIVER; }
bool smpp_link_receives(const struct smpp_link *link) { return link->session.command != SMPP_BIND_TRANSMITTER; }
