#include "line.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>

void line_look(struct line *line)
{
  const struct env *env = line->deliver->shared.env;
  int64_t now = env->now_ms(env);

  for (int lane = 0; lane < LANES; lane++) {
    int64_t due = line->lanes[lane].due_ms;

    if (due > now) /* the two clocks do not tick together: a little early is looked at again */
      line_wake_at(line, env->mono_ms(env) + (due - now));
    else if (due > 0)
      line_claim(line, (enum lane)lane);
  }
  line_pump(line);
}

static void line_on_timer(uv_timer_t *timer)
{
  line_look(timer->data);
}

struct line *line_new(struct deliver *deliver, parley_text name)
{
  struct line *line = xcalloc(1, sizeof *line);

  line->deliver = deliver;
  line->name = xmemdup(name.at, name.len);
  list_init(&line->suspects);
  for (int lane = 0; lane < LANES; lane++) {
    list_init(&line->lanes[lane].held);
    line->lanes[lane].closed = true; /* until a claim has found the store empty */
  }
  uv_timer_init(deliver->shared.loop, &line->timer);
  line->timer.data = line;
  uv_unref((uv_handle_t *)&line->timer);
  deliver->open_handles++;
  list_push(&deliver->lines, &line->node);
  return line;
}

static void line_on_closed(uv_handle_t *handle)
{
  struct line *line = handle->data;
  struct deliver *deliver = line->deliver;

  line_holds_done(line);
  free(line->name);
  free(line);
  deliver_handle_over(deliver);
}

void line_free(struct line *line)
{
  list_remove(&line->node);
  uv_close((uv_handle_t *)&line->timer, line_on_closed);
}

struct line *line_find(const struct deliver *deliver, parley_text name)
{
  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next) {
    struct line *line = LIST_ITEM(node, struct line, node);

    if (parley_text_is(name, line->name))
      return line;
  }
  return NULL;
}

uint32_t line_capacity(const struct line *line)
{
  uint32_t window = line->channel != NULL ? channel_caps(line->channel)->in_flight : 0;

  if (window * 2 < LANE_HELD_MIN)
    return LANE_HELD_MIN;
  return window * 2 > LANE_HELD_MAX ? LANE_HELD_MAX : window * 2;
}

bool line_may_go(const struct line *line, enum lane lane)
{
  return !line->paused && (!line->down || lane == LANE_TEST) && !line->removed && line->channel != NULL &&
         line->deliver->started && !line->deliver->draining && !line->deliver->hold.held;
}

bool line_rate_take(struct line *line, int64_t mono_ms, int64_t *ret_ms)
{
  double most = line->rates.per_s < 1 ? 1 : line->rates.per_s; /* a second's worth at once */

  if (line->rates.per_s <= 0)
    return true;
  line->bucket += (double)(mono_ms - line->bucket_ms) / 1000 * line->rates.per_s;
  line->bucket_ms = mono_ms;
  if (line->bucket > most)
    line->bucket = most;
  if (line->bucket >= 1) {
    line->bucket -= 1;
    return true;
  }
  *ret_ms = mono_ms + 1 + (int64_t)((1 - line->bucket) / line->rates.per_s * 1000);
  return false;
}

void line_wake_at(struct line *line, int64_t mono_ms)
{
  int64_t wait = mono_ms - line->deliver->shared.env->mono_ms(line->deliver->shared.env);
  uint64_t wait_ms = wait > 0 ? (uint64_t)wait : 0;

  if (line->removed)
    return;
  if (!uv_is_active((uv_handle_t *)&line->timer) || uv_timer_get_due_in(&line->timer) > wait_ms)
    uv_timer_start(&line->timer, line_on_timer, wait_ms, 0);
}

void line_close_lane(struct line *line, enum lane lane)
{
  line->lanes[lane].closed = true;
  atomic_store(&line->room.room[lane], 0);
}

void line_open_lane(struct line *line, enum lane lane)
{
  struct lane_line *state = &line->lanes[lane];
  uint32_t capacity = line_capacity(line);

  if (!state->closed || !line_may_go(line, lane) || state->n_held >= capacity)
    return;
  state->closed = false;
  atomic_store(&line->room.room[lane], (int)(capacity - state->n_held));
}

void line_place_free(struct line *line, enum lane lane)
{
  struct lane_line *state = &line->lanes[lane];

  state->n_held--;
  if (state->closed) {
    if (state->n_held <= line_capacity(line) / 2)
      line_claim(line, lane);
    return;
  }
  if (atomic_load(&line->room.room[lane]) <= 0) {
    line_close_lane(line, lane); /* the store may have queued some meanwhile */
    line_claim(line, lane);
  } else if (line_may_go(line, lane)) {
    atomic_fetch_add(&line->room.room[lane], 1);
  }
}
