#include "turns.h"

static int64_t turns_patience(const struct turns *turns)
{
  return turns->patience_ms > 0 ? turns->patience_ms : TURNS_PATIENCE_MIN_MS;
}

/* What it kept the others waiting, they get now. */
static void turns_give_back(struct turns *turns, int64_t waited_until_ms, int64_t mono_ms)
{
  turns->running_down = false;
  turns->others_until_ms = mono_ms + (waited_until_ms - turns->since_ms);
}

static enum turn turns_until(enum turn turn, int64_t until_ms, int64_t *ret_look_ms)
{
  *ret_look_ms = until_ms;
  return turn;
}

static enum turn turns_run_down(struct turns *turns, int64_t mono_ms, int64_t *ret_look_ms)
{
  int64_t patience_ms = turns_patience(turns);

  if (mono_ms < turns->since_ms + patience_ms)
    return turns_until(TURN_NOBODY, turns->since_ms + patience_ms, ret_look_ms);
  turns->patience_ms = patience_ms * 2 < TURNS_PATIENCE_MAX_MS ? patience_ms * 2 : TURNS_PATIENCE_MAX_MS;
  turns_give_back(turns, mono_ms, mono_ms);
  return turns_until(TURN_OTHERS, turns->others_until_ms, ret_look_ms);
}

enum turn turns_next(struct turns *turns, bool suspect, bool others, int64_t mono_ms, int64_t *ret_look_ms)
{
  *ret_look_ms = 0;
  if (turns->in_hand) {
    if (mono_ms >= turns->hand_ms + TURNS_ALONE_MS)
      return TURN_OTHERS;
    return turns_until(TURN_NOBODY, turns->hand_ms + TURNS_ALONE_MS, ret_look_ms);
  }
  if (!suspect) {
    turns->running_down = false;
    return TURN_OTHERS;
  }
  if (!turns->running_down) {
    if ((others || turns->in_flight > 0) && mono_ms < turns->others_until_ms)
      return turns_until(TURN_OTHERS, turns->others_until_ms, ret_look_ms);
    turns->running_down = true;
    turns->since_ms = mono_ms;
  }
  return turns->in_flight == 0 ? TURN_SUSPECT : turns_run_down(turns, mono_ms, ret_look_ms);
}

void turns_went(struct turns *turns, bool suspect, int64_t mono_ms)
{
  turns->in_flight++;
  if (!suspect) {
    turns->shared = turns->in_hand;
    return;
  }
  turns->in_hand = true;
  turns->shared = false;
  turns->hand_ms = mono_ms;
}

void turns_untaken(struct turns *turns, bool suspect)
{
  turns->in_flight--;
  if (suspect)
    turns->in_hand = false;
}

bool turns_settled(struct turns *turns, bool suspect, int64_t mono_ms)
{
  int64_t alone_until_ms = turns->hand_ms + TURNS_ALONE_MS;

  turns->in_flight--;
  if (!suspect)
    return true;
  turns->in_hand = false;
  turns->patience_ms = 0;
  turns_give_back(turns, mono_ms < alone_until_ms ? mono_ms : alone_until_ms, mono_ms);
  return !turns->shared;
}
