#include "hosted_in.h"
#include "core/base/alloc.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOSTED_LINES_MAX 1000          /* of other threads, not yet sent */
#define HOSTED_METRICS_MS 1000
#define HOSTED_DRAIN_MS 0x7fffffffu    /* parleyd says when it is enough */

bool hosted_send(struct hosted *hosted, enum frame_type type, uint64_t id, const struct abi_struct *shape, const void *from)
{
  return hosted->link == NULL || link_send(hosted->link, (uint16_t)type, id, shape, from);
}

/* --- Log lines, from any thread ---------------------------------------------------------------------------------------------- */

struct hosted_line {
  struct list node;
  uint32_t level;
  size_t len;
  char text[];
};

static void hosted_say(uint32_t level, parley_text line, void *arg)
{
  struct hosted *hosted = arg;
  struct hosted_line *kept;

  uv_mutex_lock(&hosted->lines_mutex);
  if (hosted->n_lines < HOSTED_LINES_MAX) {
    hosted->n_lines++;
    kept = xcalloc(1, sizeof *kept + line.len);
    kept->level = level;
    kept->len = line.len;
    memcpy(kept->text, line.at, line.len);
    list_push(&hosted->lines, &kept->node);
  }
  uv_mutex_unlock(&hosted->lines_mutex);
  uv_async_send(&hosted->lines_async);
}

static void hosted_on_lines(uv_async_t *async)
{
  struct hosted *hosted = async->data;
  struct list *node;

  uv_mutex_lock(&hosted->lines_mutex);
  while ((node = list_pop(&hosted->lines)) != NULL) {
    struct hosted_line *line = LIST_ITEM(node, struct hosted_line, node);

    hosted_send(hosted, FRAME_LOG, 0, &abi_frame_words,
                PARLEY_REF(struct frame_words, .number = line->level, .one = {line->text, line->len}));
    free(line);
  }
  hosted->n_lines = 0;
  uv_mutex_unlock(&hosted->lines_mutex);
}

/* --- Metrics and slips, once a second ------------------------------------------------------------------------------- */

static void hosted_on_metric(const parley_metric *metric, parley_text label, double value, uint64_t count, void *arg)
{
  hosted_send(arg, FRAME_METRIC, 0, &abi_frame_words,
              PARLEY_REF(struct frame_words, .one = parley_text_of(metric->name), .two = label, .value = value,
                         .amount = (int64_t)count));
}

static void hosted_report(struct hosted *hosted)
{
  uint64_t misbehaved = hosted->channel->counters.misbehaved;

  channel_metrics_each(hosted->channel, true, hosted_on_metric, hosted);
  if (misbehaved > hosted->misbehaved)
    hosted_send(hosted, FRAME_MISBEHAVED, 0, &abi_frame_words,
                PARLEY_REF(struct frame_words, .number = (uint32_t)(misbehaved - hosted->misbehaved)));
  hosted->misbehaved = misbehaved;
}

static void hosted_on_metrics(uv_timer_t *timer)
{
  struct hosted *hosted = timer->data;

  if (hosted->channel != NULL)
    hosted_report(hosted);
}

/* --- Life of the channel -------------------------------------------------------------------------------------------- */

uint32_t hosted_health(const struct channel *channel)
{
  return channel->state == CHANNEL_DOWN ? PARLEY_DOWN : channel->state == CHANNEL_DEGRADED ? PARLEY_DEGRADED : PARLEY_UP;
}

const void *hosted_read(const struct frame *frame, const struct abi_struct *shape, struct arena *arena)
{
  struct wire_in in = {.at = frame->body.at, .left = frame->body.len, .arena = arena};

  return wire_get(&in, shape);
}

static void hosted_create(struct hosted *hosted, const struct frame *frame)
{
  const struct frame_words *words;
  struct channel_shared shared = {.loop = hosted->loop, .env = hosted->env, .log = &hosted->log, .services = &hosted_services};
  struct channel_owner owner = hosted_owner;
  const struct channel *made;
  parley_status st;

  if (hosted->arena != NULL)
    return; /* once is enough */
  hosted->arena = arena_new();
  words = hosted_read(frame, &abi_frame_words, hosted->arena);
  if (words == NULL)
    return;
  hosted->log.level = (uint32_t)words->amount;
  shared.public_url = words->two;
  shared.version = words->three;
  hosted->connector = hosted_connector(hosted);
  shared.connector = &hosted->connector;
  owner.arg = hosted;
  st = channel_new_with(&shared, &owner, words->one.at, words->number, words->options, hosted->plugin, &hosted->channel);
  made = hosted->channel;
  hosted_send(hosted, FRAME_CREATED, 0, &abi_frame_words,
              PARLEY_REF(struct frame_words, .number = (uint32_t)st, .amount = made->window, .one = channel_cause(made),
                         .two = channel_remedy(made), .three = hosted->sandbox,
                         .capabilities = st == PARLEY_OK ? channel_caps(made) : NULL));
}

static void hosted_start(struct hosted *hosted)
{
  struct buf why = BUF_INIT(1024); /* parleyd puts its own words around the cause */
  parley_status st;

  if (hosted->draining || channel_making(hosted->channel) != CHANNEL_DONE || channel_starting(hosted->channel) != CHANNEL_IDLE)
    return; /* once, of one that was made; and a channel that leaves is not brought back */
  st = channel_start(hosted->channel, &why);
  hosted_send(hosted, FRAME_STARTED, 0, &abi_frame_words,
              PARLEY_REF(struct frame_words, .number = (uint32_t)st, .amount = hosted_health(hosted->channel),
                         .one = channel_cause(hosted->channel), .two = channel_remedy(hosted->channel)));
  buf_done(&why);
}

static void hosted_over(struct hosted *hosted)
{
  if (hosted->over)
    return;
  hosted->over = true;
  hosted->gone(hosted->arg);
}

static void hosted_on_channel_closed(void *arg)
{
  struct hosted *hosted = arg;

  hosted->channel = NULL;
  hosted_on_lines(&hosted->lines_async);
  hosted_send(hosted, FRAME_STOPPED, 0, NULL, NULL);
  link_flush(hosted->link);
  hosted_over(hosted);
}

static void hosted_drain(struct hosted *hosted)
{
  struct channel *channel = hosted->channel;

  if (channel == NULL || hosted->draining)
    return;
  hosted->draining = true;
  hosted_give_back(hosted);
  channel_stop(&channel, HOSTED_DRAIN_MS, hosted_on_channel_closed, hosted);
}

/* parleyd has waited long enough for what is open. */
static void hosted_stop(struct hosted *hosted)
{
  hosted_drain(hosted);
  if (hosted->channel != NULL && hosted->channel->state == CHANNEL_STOPPING)
    hosted->channel->stop_by_ms = 0;
}

/* --- What parleyd says ---------------------------------------------------------------------------------------------- */

static void hosted_called(struct hosted *hosted, uint64_t call, const parley_http_call *said)
{
  struct channel *channel = hosted->channel;
  const parley_http_in *table = plugin_offer(channel->plugin, PARLEY_HTTP_IN);

  if (table == NULL || !channel->started || channel->stop_said) {
    hosted_send(hosted, FRAME_ANSWER, call, &abi_http_answer, PARLEY_REF(parley_http_answer, .code = 503, .retry_ms = 1000));
    return;
  }
  channel_enter(channel);
  table->called(channel->instance, call, said);
  channel_leave(channel, "called");
}

struct mail_ask {
  struct hosted *hosted;
  uint64_t id;
};

static void hosted_on_mails(const parley_mail_page *page, void *arg)
{
  struct mail_ask *ask = arg;
  parley_mail_page fits = *page;

  while (!hosted_send(ask->hosted, FRAME_MAIL_PAGE, ask->id, &abi_mail_page, &fits)) {
    fits.n_mails /= 2;
    fits.next = fits.n_mails > 0 ? fits.mails[fits.n_mails - 1]->number : 0;
  }
  free(ask);
}

static void hosted_mail_list(struct hosted *hosted, uint64_t id, const parley_mail_query *query)
{
  struct channel *channel = hosted->channel;
  const parley_mailbox *box = plugin_offer(channel->plugin, PARLEY_MAILBOX);
  struct mail_ask *ask = xcalloc(1, sizeof *ask);

  *ask = (struct mail_ask){hosted, id};
  if (box == NULL) {
    hosted_on_mails(PARLEY_REF(parley_mail_page, .mails = NULL), ask);
    return;
  }
  channel_enter(channel);
  box->list(channel->instance, query, hosted_on_mails, ask);
  channel_leave(channel, "mailbox");
}

static void hosted_mail_clear(struct hosted *hosted)
{
  struct channel *channel = hosted->channel;
  const parley_mailbox *box = plugin_offer(channel->plugin, PARLEY_MAILBOX);

  if (box == NULL)
    return;
  channel_enter(channel);
  box->clear(channel->instance);
  channel_leave(channel, "mailbox");
}

/* Those whose struct ends with the call. */
static void hosted_answer(struct hosted *hosted, const struct frame *frame, const struct abi_struct *shape)
{
  struct arena *arena = arena_new();
  const void *said = hosted_read(frame, shape, arena);

  if (said == NULL || hosted->channel == NULL)
    ; /* parleyd writes nothing that cannot be read */
  else if (frame->type == FRAME_RESULT)
    hosted_on_result(hosted, frame->id, said);
  else if (frame->type == FRAME_PAGE)
    hosted_on_page(hosted, frame->id, said);
  else if (frame->type == FRAME_RESPONSE)
    hosted_on_response(hosted, frame->id, said);
  else if (frame->type == FRAME_CALLED)
    hosted_called(hosted, frame->id, said);
  else if (frame->type == FRAME_MAIL_LIST)
    hosted_mail_list(hosted, frame->id, said);
  else if (frame->type == FRAME_SOCKET)
    hosted_on_socket(hosted, frame->id, said);
  arena_free(&arena);
}

static void hosted_on_frame(const struct frame *frame, void *arg)
{
  struct hosted *hosted = arg;
  enum frame_type type = (enum frame_type)frame->type;

  if (type == FRAME_PING) {
    hosted_send(hosted, FRAME_PONG, frame->id, NULL, NULL);
    return;
  }
  if (type == FRAME_CREATE) {
    hosted_create(hosted, frame);
    return;
  }
  if (hosted->channel == NULL)
    return;
  switch (type) {
  case FRAME_START:
    hosted_start(hosted);
    break;
  case FRAME_DRAIN:
    hosted_drain(hosted);
    break;
  case FRAME_STOP:
    hosted_stop(hosted);
    break;
  case FRAME_SUBMIT:
  case FRAME_QUERY:
  case FRAME_PROBE:
    hosted_submit(hosted, type, frame);
    break;
  case FRAME_RESULT:
    hosted_answer(hosted, frame, &abi_result);
    break;
  case FRAME_PAGE:
    hosted_answer(hosted, frame, &abi_page);
    break;
  case FRAME_RESPONSE:
    hosted_answer(hosted, frame, &abi_http_response);
    break;
  case FRAME_CALLED:
    hosted_answer(hosted, frame, &abi_http_call);
    break;
  case FRAME_MAIL_LIST:
    hosted_answer(hosted, frame, &abi_mail_query);
    break;
  case FRAME_SOCKET:
    hosted_answer(hosted, frame, &abi_frame_words);
    break;
  case FRAME_MAIL_CLEAR:
    hosted_mail_clear(hosted);
    break;
  default: /* ours to say, or not known: of another build */
    break;
  }
}

static void hosted_on_broken(const char *why, void *arg)
{
  (void)why;
  hosted_over(arg);
}

static const struct link_events hosted_events = {.frame = hosted_on_frame, .broken = hosted_on_broken};

/* --- Life of all ---------------------------------------------------------------------------------------------------- */

struct hosted *hosted_new(uv_loop_t *loop, const struct env *env, int fd, struct plugin *plugin, parley_text sandbox,
                          void (*gone)(void *arg), void *arg)
{
  struct hosted *hosted = xcalloc(1, sizeof *hosted);

  hosted->loop = loop;
  hosted->env = env;
  hosted->plugin = plugin_ref(plugin);
  hosted->sandbox = sandbox;
  hosted->gone = gone;
  hosted->arg = arg;
  hosted->log = (struct log){.fd = STDERR_FILENO, .level = PARLEY_INFO, .env = env, .say = hosted_say, .arg = hosted};
  list_init(&hosted->waiting);
  list_init(&hosted->lines);
  uv_mutex_init(&hosted->lines_mutex);
  uv_async_init(loop, &hosted->lines_async, hosted_on_lines);
  uv_timer_init(loop, &hosted->metrics);
  hosted->lines_async.data = hosted->metrics.data = hosted;
  uv_timer_start(&hosted->metrics, hosted_on_metrics, HOSTED_METRICS_MS, HOSTED_METRICS_MS);
  hosted->link = link_new(loop, fd, FRAME_BYTES_MAX, BORDER_FAR_BODY_MAX, true, &hosted_events, hosted);
  return hosted;
}

static void hosted_on_handle_closed(uv_handle_t *handle)
{
  (void)handle;
}

bool hosted_left_well(const struct hosted *hosted)
{
  return hosted->over && hosted->channel == NULL;
}

void hosted_free(struct hosted **hosted)
{
  struct hosted *gone = *hosted;

  *hosted = NULL;
  link_close(&gone->link);
  uv_close((uv_handle_t *)&gone->lines_async, hosted_on_handle_closed);
  uv_close((uv_handle_t *)&gone->metrics, hosted_on_handle_closed);
  uv_run(gone->loop, UV_RUN_DEFAULT); /* runs dry: the handles are ours alone by now */
  uv_mutex_destroy(&gone->lines_mutex);
  map_done(&gone->messages);
  map_done(&gone->calls);
  map_done(&gone->sockets);
  plugin_unref(&gone->plugin);
  arena_free(&gone->arena);
  free(gone);
}

/* --- Being asked what it is ----------------------------------------------------------------------------------------- */

static const char *const *offer_ids(const parley_plugin *table, struct arena *arena)
{
  size_t n = 0;
  const char **ids;

  while (table->offers != NULL && table->offers[n] != NULL)
    n++;
  ids = arena_alloc(arena, (n + 1) * sizeof *ids);
  for (size_t i = 0; i < n; i++)
    ids[i] = table->offers[i]->id;
  return ids;
}

static struct plugin_facts facts_of(const parley_plugin *table, struct arena *arena)
{
  bool query = PARLEY_HAS(parley_plugin, table, query) && table->query != NULL;
  bool probe = PARLEY_HAS(parley_plugin, table, probe) && table->probe != NULL;

  return (struct plugin_facts){.size = sizeof(struct plugin_facts),
                               .abi_major = table->abi_major,
                               .abi_minor = table->abi_minor,
                               .abi_minor_needed = table->abi_minor_needed,
                               .has = (table->submit ? PLUGIN_HAS_SUBMIT : 0u) | (table->drain ? PLUGIN_HAS_DRAIN : 0u) |
                                      (table->stop ? PLUGIN_HAS_STOP : 0u) | (query ? PLUGIN_HAS_QUERY : 0u) |
                                      (probe ? PLUGIN_HAS_PROBE : 0u),
                               .name = table->name,
                               .version = table->version,
                               .summary = table->summary,
                               .capabilities = table->capabilities,
                               .options = table->options,
                               .metrics = table->metrics,
                               .requires_ids = table->requires_ids,
                               .offers_ids = offer_ids(table, arena)};
}

static parley_status write_all(int fd, const char *at, size_t len)
{
  while (len > 0) {
    ssize_t n = write(fd, at, len);

    if (n < 0 && errno != EINTR)
      return PARLEY_FAILED;
    if (n > 0) {
      at += n;
      len -= (size_t)n;
    }
  }
  return PARLEY_OK;
}

parley_status hosted_describe(int fd, const parley_plugin *table, const char *why)
{
  struct arena *arena = arena_new();
  struct buf frame = BUF_INIT(BORDER_FAR_BODY_MAX);
  uint16_t type = htole16(table != NULL ? FRAME_FACTS : FRAME_REFUSED);
  uint32_t len;
  parley_status st;

  buf_add(&frame, (char[FRAME_HEAD_BYTES]){0}, FRAME_HEAD_BYTES);
  if (table != NULL) {
    struct plugin_facts facts = facts_of(table, arena);

    wire_put(&frame, &abi_plugin_facts, &facts);
  } else {
    wire_put(&frame, &abi_frame_words, PARLEY_REF(struct frame_words, .one = parley_text_of(why)));
  }
  len = htole32((uint32_t)(frame.len - FRAME_HEAD_BYTES));
  memcpy(frame.at, &len, sizeof len);
  memcpy(frame.at + 4, &type, sizeof type);
  st = frame.overflow ? PARLEY_FAILED : write_all(fd, frame.at, frame.len);
  buf_done(&frame);
  arena_free(&arena);
  return st;
}
