#include "sse.h"
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/list.h"
#include "core/base/text.h"
#include <stdlib.h>

struct sse_set {
  uv_timer_t timer;
  struct list streams;
  size_t count; /* streams not yet closed */
  bool closing, timer_closed;
  void (*closed)(void *arg);
  void *closed_arg;
};

struct sse {
  struct sse_set *set;
  struct list node;
  struct http_request *request;
  const struct sse_events *events;
  void *arg;
  bool cut;
};

/* --- Framing ---------------------------------------------------------------------------------- */
/* A field's value ends at a line end: of what stands behind one, nothing may become a field of its own. */
static void field_write(struct buf *buf, const char *name, parley_text value)
{
  size_t len = 0;

  while (len < value.len && value.at[len] != '\n' && value.at[len] != '\r' && value.at[len] != '\0')
    len++;
  buf_str(buf, name);
  buf_add(buf, value.at, len);
  buf_char(buf, '\n');
}

static void data_write(struct buf *buf, parley_text data)
{
  size_t from = 0;

  for (size_t i = 0; i <= data.len; i++) {
    if (i < data.len && data.at[i] != '\n' && data.at[i] != '\r')
      continue;
    buf_str(buf, "data: ");
    buf_add(buf, data.at + from, i - from);
    buf_char(buf, '\n');
    if (i + 1 < data.len && data.at[i] == '\r' && data.at[i + 1] == '\n')
      i++;
    from = i + 1;
  }
}

void sse_write(struct buf *buf, parley_text id, parley_text event, parley_text data)
{
  if (id.len > 0)
    field_write(buf, "id: ", id);
  if (event.len > 0)
    field_write(buf, "event: ", event);
  data_write(buf, data);
  buf_char(buf, '\n');
}

/* --- Streams ---------------------------------------------------------------------------------- */
static void set_free_maybe(struct sse_set *set)
{
  void (*closed)(void *) = set->closed;
  void *arg = set->closed_arg;

  if (!set->closing || set->count > 0 || !set->timer_closed)
    return;
  free(set);
  closed(arg);
}

static void sse_on_writable(void *arg)
{
  struct sse *sse = arg;

  if (sse->events->writable != NULL)
    sse->events->writable(sse->arg);
}

static void sse_on_closed(void *arg)
{
  struct sse *sse = arg;
  struct sse_set *set = sse->set;

  list_remove(&sse->node);
  sse->events->closed(sse->arg);
  free(sse);
  set->count--;
  set_free_maybe(set);
}

static const struct http_stream_events sse_stream_events = {.writable = sse_on_writable, .closed = sse_on_closed};

struct sse *sse_begin(struct sse_set *set, struct http_request *request, const parley_pair *headers, uint32_t n_headers,
                      const struct sse_events *events, void *arg)
{
  struct sse *sse = xcalloc(1, sizeof(*sse));
  struct buf first = BUF_INIT(0);
  parley_pair *all = xcalloc(n_headers + 2, sizeof(*all));
  struct http_answer answer = {
      .code = 200, .type = PARLEY_LIT("text/event-stream"), .headers = all, .n_headers = n_headers + 2};

  all[0] = (parley_pair){PARLEY_LIT("Cache-Control"), PARLEY_LIT("no-store")};
  all[1] = (parley_pair){PARLEY_LIT("X-Accel-Buffering"), PARLEY_LIT("no")}; /* nginx would hold events back */
  for (uint32_t i = 0; i < n_headers; i++)
    all[i + 2] = headers[i];
  *sse = (struct sse){.set = set, .request = request, .events = events, .arg = arg};
  list_push(&set->streams, &sse->node);
  set->count++;
  http_stream_begin(request, &answer, HTTP_LENGTH_UNKNOWN, &sse_stream_events, sse);
  buf_printf(&first, "retry: %d\n\n", SSE_RETRY_MS);
  http_stream_write(request, buf_as_text(&first));
  buf_done(&first);
  free(all);
  return sse;
}

bool sse_send(struct sse *sse, parley_text id, parley_text event, parley_text data)
{
  struct buf framed = BUF_INIT(0);

  if (sse->cut)
    return false;
  sse_write(&framed, id, event, data);
  if (sse_waiting(sse) + framed.len > HTTP_STREAM_CUT_BYTES && sse_waiting(sse) > 0) {
    sse->cut = true;
    http_stream_cut(sse->request);
  } else {
    http_stream_write(sse->request, buf_as_text(&framed));
  }
  buf_done(&framed);
  return !sse->cut;
}

size_t sse_waiting(const struct sse *sse)
{
  return http_stream_waiting(sse->request);
}

void sse_end(struct sse *sse)
{
  http_stream_end(sse->request);
}

/* --- The set ---------------------------------------------------------------------------------- */
void sse_set_ping(struct sse_set *set)
{
  for (struct list *node = set->streams.next; node != &set->streams; node = node->next) {
    struct sse *sse = LIST_ITEM(node, struct sse, node);

    if (sse_waiting(sse) == 0) /* who has bytes waiting is being written to anyway */
      http_stream_write(sse->request, PARLEY_LIT(": ping\n\n"));
  }
}

static void set_on_timer(uv_timer_t *timer)
{
  sse_set_ping(container_of(timer, struct sse_set, timer));
}

struct sse_set *sse_set_new(uv_loop_t *loop)
{
  struct sse_set *set = xcalloc(1, sizeof(*set));

  list_init(&set->streams);
  uv_timer_init(loop, &set->timer);
  uv_timer_start(&set->timer, set_on_timer, SSE_PING_MS, SSE_PING_MS);
  return set;
}

static void set_on_timer_closed(uv_handle_t *handle)
{
  struct sse_set *set = container_of((uv_timer_t *)handle, struct sse_set, timer);

  set->timer_closed = true;
  set_free_maybe(set);
}

void sse_set_close(struct sse_set **ret_set, void (*closed)(void *arg), void *arg)
{
  struct sse_set *set = *ret_set;

  *ret_set = NULL;
  set->closing = true;
  set->closed = closed;
  set->closed_arg = arg;
  for (struct list *node = set->streams.next; node != &set->streams; node = node->next)
    sse_end(LIST_ITEM(node, struct sse, node));
  uv_close((uv_handle_t *)&set->timer, set_on_timer_closed);
}
