#include "remote_in.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

static parley_status remote_start(parley_channel *remote)
{
  remote->begun = true;
  if (remote->state == REMOTE_DEAD)
    return PARLEY_FAILED;
  remote->channel->starting = CHANNEL_GOING;
  remote_start_made(remote);
  return PARLEY_OK;
}

static bool remote_has_room(const parley_channel *remote)
{
  return remote->state == REMOTE_RUNNING && remote->link != NULL && link_waiting(remote->link) < REMOTE_WAITING_MAX;
}

static parley_status remote_submit(parley_channel *remote, uint64_t token, const parley_message *message)
{
  if (!remote_has_room(remote))
    return PARLEY_BUSY;
  return link_send(remote->link, FRAME_SUBMIT, token, &abi_message, message) ? PARLEY_OK : PARLEY_INVALID;
}

static parley_status remote_query(parley_channel *remote, uint64_t token, const parley_message *message)
{
  if (!remote_has_room(remote))
    return PARLEY_BUSY;
  return link_send(remote->link, FRAME_QUERY, token, &abi_message, message) ? PARLEY_OK : PARLEY_INVALID;
}

static parley_status remote_probe(parley_channel *remote, uint64_t token)
{
  if (!remote_has_room(remote))
    return PARLEY_BUSY;
  link_send(remote->link, FRAME_PROBE, token, NULL, NULL);
  return PARLEY_OK;
}

static void remote_drain(parley_channel *remote, uint32_t within_ms)
{
  remote->drained = true;
  if (remote->link != NULL)
    link_send(remote->link, FRAME_DRAIN, 0, &abi_frame_words, PARLEY_REF(struct frame_words, .number = within_ms));
}

static void remote_stop(parley_channel *remote, parley_call *done, void *arg)
{
  remote->stop_done = done;
  remote->stop_arg = arg;
  if (remote->state == REMOTE_DEAD || remote->link == NULL || remote->stopped) {
    remote_stopped(remote);
    return;
  }
  remote_set(remote, REMOTE_STOPPING);
  link_send(remote->link, FRAME_STOP, 0, NULL, NULL);
}

static const parley_capabilities *remote_capable(parley_channel *remote)
{
  return remote->caps != NULL ? remote->caps : remote->channel->table->capabilities;
}

static void remote_called(parley_channel *remote, uint64_t call, const parley_http_call *said)
{
  if (remote_has_room(remote))
    link_send(remote->link, FRAME_CALLED, call, &abi_http_call, said);
  else
    remote->channel->shared.services->http_answers->answer(remote->host, call,
                                                           PARLEY_REF(parley_http_answer, .code = 503, .retry_ms = 1000));
}
static const parley_http_in remote_http_in = {.size = sizeof remote_http_in, .called = remote_called};

/* --- The mailbox ------------------------------------------------------------------------------------------------------------- */

struct remote_ask {
  parley_mail_done *done;
  void *arg;
};

static void remote_mail_list(parley_channel *remote, const parley_mail_query *query, parley_mail_done *done, void *arg)
{
  struct remote_ask *ask;

  if (remote->state != REMOTE_RUNNING || remote->link == NULL) {
    done(PARLEY_REF(parley_mail_page, .mails = NULL), arg);
    return;
  }
  ask = xcalloc(1, sizeof *ask);
  *ask = (struct remote_ask){done, arg};
  map_put(&remote->asks, ++remote->last_ask, ask);
  link_send(remote->link, FRAME_MAIL_LIST, remote->last_ask, &abi_mail_query, query);
}

void remote_mail_page(struct parley_channel *remote, uint64_t id, const parley_mail_page *page)
{
  struct remote_ask *ask = map_take(&remote->asks, id);

  if (ask == NULL) {
    remote_strike(remote, "page_without_question");
    return;
  }
  ask->done(page, ask->arg);
  free(ask);
}

static void remote_mail_clear(parley_channel *remote)
{
  if (remote->link != NULL)
    link_send(remote->link, FRAME_MAIL_CLEAR, 0, NULL, NULL);
}
static const parley_mailbox remote_mailbox = {.size = sizeof remote_mailbox, .list = remote_mail_list, .clear = remote_mail_clear};

/* --- The table --------------------------------------------------------------------------------------------------------------- */

static const parley_extension remote_offers[] = {
    {sizeof(parley_extension), PARLEY_HTTP_IN, &remote_http_in},
    {sizeof(parley_extension), PARLEY_MAILBOX, &remote_mailbox},
};

static void remote_table_offers(const struct plugin_facts *facts, const parley_extension **offers)
{
  size_t n = 0;

  for (const char *const *id = facts->offers_ids; id != NULL && *id != NULL; id++)
    for (size_t i = 0; i < sizeof remote_offers / sizeof *remote_offers; i++)
      if (strcmp(*id, remote_offers[i].id) == 0)
        offers[n++] = &remote_offers[i];
  offers[n] = NULL;
}

void remote_table(const struct plugin_facts *facts, const parley_extension **offers, parley_plugin *ret)
{
  remote_table_offers(facts, offers);
  *ret = (parley_plugin){.size = sizeof *ret,
                         .abi_major = facts->abi_major,
                         .abi_minor = facts->abi_minor,
                         .abi_minor_needed = facts->abi_minor_needed,
                         .name = facts->name,
                         .version = facts->version,
                         .summary = facts->summary,
                         .capabilities = facts->capabilities,
                         .options = facts->options,
                         .metrics = facts->metrics,
                         .requires_ids = facts->requires_ids,
                         .offers = offers,
                         .create = remote_create,
                         .start = remote_start,
                         .submit = facts->has & PLUGIN_HAS_SUBMIT ? remote_submit : NULL,
                         .drain = remote_drain,
                         .stop = remote_stop,
                         .destroy = remote_destroy,
                         .capable = remote_capable,
                         .query = facts->has & PLUGIN_HAS_QUERY ? remote_query : NULL,
                         .probe = facts->has & PLUGIN_HAS_PROBE ? remote_probe : NULL};
}

void channel_process(const struct channel *channel, struct channel_process *ret)
{
  const struct parley_channel *remote = channel->instance;

  *ret = (struct channel_process){0};
  if (!channel->plugin->apart || remote == NULL)
    return;
  *ret = (struct channel_process){.apart = true,
                                  .pid = remote->process_runs ? remote->process.pid : 0,
                                  .deaths = remote->deaths,
                                  .sandbox = buf_as_text(&remote->sandbox),
                                  .last_death = remote->deaths > 0 ? buf_as_text(&remote->last_death) : TEXT_EMPTY,
                                  .rss_bytes = remote->rss_bytes};
}
