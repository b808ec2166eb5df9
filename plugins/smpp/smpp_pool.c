#include "smpp_pool.h"
#include "smpp_health.h"
#include <stdlib.h>

enum {
  TICK_MS = 1000,
  STOP_WAIT_MS = 5000,   /* for answers, before the leave is taken */
  RETRY_MS = 1000,       /* hint for what had not left when the bind was lost */
  STOP_HOLD_MS = 1
};

struct smpp_pool {
  struct smpp_pool_config config;
  struct smpp_pool_owner owner;
  struct smpp_link *links;
  uint32_t n_links, n_open; /* n_open: tokens */
  uint32_t turn;            /* of the links: whose is the next message, where several have as much room */
  struct smpp_job *first, **last; /* wait for room; the first may be half sent */
  struct smpp_writing *writing;
  uint64_t timer, resume; /* resume: of a pause; 0: none */
  uint64_t probe;         /* its token; 0: none */
  struct smpp_health health;
  uint32_t window;        /* as the host was told */
  bool draining, stopping, over, pumping;
  int64_t stop_by_ms;
};

static const parley_host *host_of(const struct smpp_pool *pool) { return pool->config.host; }
static int64_t now_ms(const struct smpp_pool *pool) { return host_of(pool)->mono_ms(host_of(pool)); }

static struct smpp_strength strength_of(const struct smpp_pool *pool)
{
  struct smpp_strength strength = {.links = pool->n_links};

  for (uint32_t i = 0; i < pool->n_links; i++) {
    const struct smpp_link *link = &pool->links[i];
    bool bound = smpp_link_bound(link);

    strength.bound += bound;
    strength.sending += bound && smpp_link_sends(link);
    strength.receiving += bound && smpp_link_receives(link);
  }
  return strength;
}

static bool can_send(const struct smpp_pool *pool) { return strength_of(pool).sending > 0; }

/* --- What the host is told ---------------------------------------------------------------------------------------- */
static void window_tell(struct smpp_pool *pool)
{
  uint32_t window = can_send(pool) && !pool->draining ? pool->config.in_flight : 0;

  if (window == pool->window)
    return;
  pool->window = window;
  host_of(pool)->window(host_of(pool), window);
}

static void probe_end(struct smpp_pool *pool, uint32_t result, parley_text detail)
{
  uint64_t token = pool->probe;

  pool->probe = 0;
  if (token != 0)
    host_of(pool)->settle(host_of(pool), token, PARLEY_REF(parley_outcome, .result = result, .detail = detail));
}

/* --- Jobs --------------------------------------------------------------------------------------------------------- */
static void job_end(struct smpp_pool *pool, struct smpp_job *job)
{
  pool->n_open--;
  smpp_job_settle(&job);
}

static struct smpp_job *queue_pop(struct smpp_pool *pool)
{
  struct smpp_job *job = pool->first;

  pool->first = job->next;
  job->next = NULL;
  if (pool->first == NULL)
    pool->last = &pool->first;
  return job;
}

/* What waits goes back; a job whose first parts are on their way ends with their answers. */
static void queue_give_back(struct smpp_pool *pool, uint32_t result, uint32_t retry_ms, const char *why)
{
  while (pool->first != NULL) {
    struct smpp_job *job = queue_pop(pool);

    smpp_job_fail(job, result, retry_ms, why);
    if (smpp_job_over(job))
      job_end(pool, job);
  }
}

/* The bind with the most room; a job's parts rather go the way of the first. */
static struct smpp_link *link_for(struct smpp_pool *pool, const struct smpp_job *job)
{
  struct smpp_link *best = NULL;

  for (uint32_t i = 0; i < pool->n_links; i++) {
    struct smpp_link *link = &pool->links[(pool->turn + i) % pool->n_links];

    if (!smpp_link_bound(link) || !smpp_session_room(&link->session))
      continue;
    if (job->link == link)
      return link;
    if (best == NULL || link->session.n_open < best->session.n_open)
      best = link;
  }
  return best;
}

/* Sends what there is room for of the first job. false: there is no room. */
static bool job_push(struct smpp_pool *pool, struct smpp_job *job)
{
  struct smpp_link *link;

  while ((link = link_for(pool, job)) != NULL) {
    struct smpp_part *part = smpp_job_next(job);

    if (part == NULL)
      return true;
    if (!smpp_job_write(job, part, pool->writing))
      continue; /* it has failed: there is no next part */
    if (!smpp_session_send(&link->session, pool->config.options->command, &pool->writing->pdu, part)) {
      smpp_job_fail(job, PARLEY_OUTCOME_REJECTED, 0, "the message makes no PDU: a value is too long");
      continue;
    }
    smpp_job_sent(part);
    job->link = link;
    pool->turn = (uint32_t)(link - pool->links) + 1;
  }
  return job->result != 0 || job->n_sent == job->n_parts;
}

static void pump(struct smpp_pool *pool)
{
  if (pool->pumping)
    return;
  pool->pumping = true;
  while (pool->first != NULL && pool->resume == 0 && job_push(pool, pool->first)) {
    struct smpp_job *job = queue_pop(pool);

    if (smpp_job_over(job))
      job_end(pool, job);
  }
  for (uint32_t i = 0; i < pool->n_links; i++)
    smpp_session_flush(&pool->links[i].session);
  pool->pumping = false;
}

static bool job_waits(const struct smpp_pool *pool, const struct smpp_job *job) { return pool->first == job; }

/* --- Pauses ------------------------------------------------------------------------------------------------------- */
static void resumed(void *arg)
{
  struct smpp_pool *pool = arg;

  pool->resume = 0;
  pump(pool);
}

static void pause_begin(struct smpp_pool *pool)
{
  if (pool->resume == 0)
    pool->resume = host_of(pool)->timer(host_of(pool), pool->config.options->throttle_pause_ms, 0, resumed, pool);
}

/* --- A link's owner ----------------------------------------------------------------------------------------------- */
static void link_bound(struct smpp_link *link)
{
  struct smpp_pool *pool = link->arg;

  window_tell(pool);
  smpp_health_bound(&pool->health, strength_of(pool));
  probe_end(pool, PARLEY_OUTCOME_ACCEPTED, PARLEY_LIT("bound"));
}

static void link_failed(struct smpp_link *link, const struct smpp_failure *failure)
{
  struct smpp_pool *pool = link->arg;

  if (link->leaving)
    return;
  smpp_health_failed(&pool->health, failure, link->failures + 1, strength_of(pool));
  probe_end(pool, failure->refused && smpp_status_of(failure->status)->lasting ? PARLEY_OUTCOME_CHANNEL_DOWN : PARLEY_OUTCOME_RETRY,
            failure->why);
}

/* The centre denies the bind itself what it does: bound anew it may be right, and if not an operator has to know. What it has not
 * answered yet is waited for first: its answers say that nothing is out. */
static void bind_denied(struct smpp_pool *pool, struct smpp_link *link, uint32_t code)
{
  link->denied = true;
  window_tell(pool);
  smpp_health_denied(&pool->health, code);
}

static void link_answered(struct smpp_link *link, void *ref, const struct smpp_answer *answer)
{
  struct smpp_pool *pool = link->arg;
  struct smpp_part *part = ref;
  struct smpp_job *job = part->job;
  uint32_t outcome = answer->fate == SMPP_ANSWERED ? smpp_status_of(answer->status)->outcome : 0;

  if (outcome == PARLEY_OUTCOME_ACCEPTED)
    link->failures = 0;
  smpp_job_answered(part, pool->config.ids, answer);
  if (outcome == PARLEY_OUTCOME_THROTTLED)
    pause_begin(pool);
  if (smpp_job_over(job)) {
    if (job_waits(pool, job))
      queue_pop(pool);
    job_end(pool, job);
  }
  if (outcome == PARLEY_OUTCOME_CHANNEL_DOWN)
    bind_denied(pool, link, answer->status);
}

static void link_alive(struct smpp_link *link)
{
  struct smpp_pool *pool = link->arg;

  link->failures = 0;
  probe_end(pool, PARLEY_OUTCOME_ACCEPTED, PARLEY_LIT("bound, and the centre answers"));
}

static void link_received(struct smpp_link *link, const struct smpp_head *head, const struct smpp_message *message)
{
  struct smpp_pool *pool = link->arg;

  pool->owner.received(link, head, message, pool->owner.arg);
}

static void link_after(struct smpp_link *link)
{
  if (link->denied && link->session.n_open == 0 && link->session.state == SMPP_BOUND)
    smpp_session_drop(&link->session, PARLEY_LIT("the centre refuses what this bind is for"));
  pump(link->arg);
}

static bool all_closed(const struct smpp_pool *pool)
{
  for (uint32_t i = 0; i < pool->n_links; i++)
    if (pool->links[i].open)
      return false;
  return true;
}

static void stop_look(struct smpp_pool *pool)
{
  if (!pool->stopping || pool->over || !all_closed(pool))
    return;
  pool->over = true;
  pool->owner.over(pool->owner.arg); /* the last thing to do */
}

static void link_closed(struct smpp_link *link)
{
  struct smpp_pool *pool = link->arg;

  window_tell(pool);
  if (!can_send(pool))
    queue_give_back(pool, PARLEY_OUTCOME_RETRY, RETRY_MS, "the bind was lost before it was sent");
  stop_look(pool);
}

static const struct smpp_link_owner link_owner = {.bound = link_bound, .failed = link_failed, .answered = link_answered,
                                                  .alive = link_alive, .received = link_received, .after = link_after,
                                                  .closed = link_closed};

/* --- Time --------------------------------------------------------------------------------------------------------- */
static uint32_t unanswered(const struct smpp_pool *pool)
{
  uint32_t n = 0;

  for (uint32_t i = 0; i < pool->n_links; i++)
    n += pool->links[i].session.n_open;
  return n;
}

static void tick(void *arg)
{
  struct smpp_pool *pool = arg;

  for (uint32_t i = 0; i < pool->n_links; i++)
    smpp_link_sweep(&pool->links[i]);
  pump(pool);
  if (pool->stopping && (unanswered(pool) == 0 || now_ms(pool) >= pool->stop_by_ms))
    for (uint32_t i = 0; i < pool->n_links; i++)
      smpp_link_leave(&pool->links[i]);
}

/* --- For the channel ---------------------------------------------------------------------------------------------- */
bool smpp_pool_takes(const struct smpp_pool *pool)
{
  return !pool->draining && can_send(pool) && pool->n_open < pool->config.in_flight;
}

void smpp_pool_add(struct smpp_pool *pool, struct smpp_job *job)
{
  pool->n_open++;
  *pool->last = job;
  pool->last = &job->next;
  pump(pool);
}

bool smpp_pool_probe(struct smpp_pool *pool, uint64_t token)
{
  if (pool->probe != 0 || pool->draining)
    return false;
  pool->probe = token;
  for (uint32_t i = 0; i < pool->n_links; i++)
    if (smpp_session_ask(&pool->links[i].session))
      return true;
  for (uint32_t i = 0; i < pool->n_links; i++)
    smpp_link_connect(&pool->links[i]);
  return true;
}

bool smpp_pool_hears(const struct smpp_link *link, uint32_t generation)
{
  return link->generation == generation && link->open && link->session.state != SMPP_OVER;
}

void smpp_pool_reply(struct smpp_link *link, uint32_t generation, uint32_t command, uint32_t sequence, uint32_t status)
{
  if (!smpp_pool_hears(link, generation))
    return;
  smpp_session_reply(&link->session, command, sequence, status);
  smpp_session_flush(&link->session);
}

void smpp_pool_start(struct smpp_pool *pool)
{
  pool->window = UINT32_MAX;
  window_tell(pool);
  pool->timer = host_of(pool)->timer(host_of(pool), TICK_MS, TICK_MS, tick, pool);
  for (uint32_t i = 0; i < pool->n_links; i++)
    smpp_link_connect(&pool->links[i]);
}

void smpp_pool_drain(struct smpp_pool *pool)
{
  pool->draining = true;
  window_tell(pool);
}

void smpp_pool_stop(struct smpp_pool *pool)
{
  pool->draining = pool->stopping = pool->health.quiet = true;
  pool->stop_by_ms = now_ms(pool) + STOP_WAIT_MS;
  queue_give_back(pool, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, SMPP_STOPS);
  probe_end(pool, PARLEY_OUTCOME_RETRY, PARLEY_LIT(SMPP_STOPS));
  for (uint32_t i = 0; i < pool->n_links; i++)
    if (unanswered(pool) == 0 || !smpp_link_bound(&pool->links[i]))
      smpp_link_leave(&pool->links[i]);
  stop_look(pool);
}

static uint32_t command_of(enum smpp_bind_kind kind, uint32_t i)
{
  switch (kind) {
  case SMPP_TRANSCEIVER: return SMPP_BIND_TRANSCEIVER;
  case SMPP_TRANSMITTER: return SMPP_BIND_TRANSMITTER;
  case SMPP_RECEIVER: return SMPP_BIND_RECEIVER;
  case SMPP_SEPARATE: break;
  }
  return i % 2 == 0 ? SMPP_BIND_TRANSMITTER : SMPP_BIND_RECEIVER;
}

struct smpp_pool *smpp_pool_new(const struct smpp_pool_config *config, const struct smpp_pool_owner *owner)
{
  struct smpp_pool *pool = calloc(1, sizeof *pool);
  const struct smpp_options *options = config->options;
  uint32_t n_links = options->binds * (options->kind == SMPP_SEPARATE ? 2 : 1);

  if (pool == NULL)
    return NULL;
  pool->config = *config;
  pool->owner = *owner;
  pool->last = &pool->first;
  smpp_health_init(&pool->health, config->host, options);
  pool->links = calloc(n_links, sizeof *pool->links);
  pool->writing = malloc(sizeof *pool->writing);
  pool->n_links = pool->links != NULL ? n_links : 0;
  if (pool->links == NULL || pool->writing == NULL)
    smpp_pool_free(&pool);
  for (uint32_t i = 0; pool != NULL && i < n_links; i++) {
    pool->links[i] = (struct smpp_link){.host = config->host, .stream = config->stream, .options = options, .owner = &link_owner,
                                        .arg = pool};
    if (!smpp_link_init(&pool->links[i], command_of(options->kind, i)))
      smpp_pool_free(&pool);
  }
  return pool;
}

void smpp_pool_free(struct smpp_pool **pool)
{
  for (uint32_t i = 0; *pool != NULL && i < (*pool)->n_links; i++)
    smpp_link_done(&(*pool)->links[i]);
  if (*pool != NULL) {
    free((*pool)->links);
    free((*pool)->writing);
  }
  free(*pool);
  *pool = NULL;
}
