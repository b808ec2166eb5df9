/* Life, the bridges in force, and handing in what they make. */
#include "bridge_in.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/link_check.h"
#include <stdlib.h>
#include <string.h>

/* --- Errands ------------------------------------------------------------------------------------------------------ */

struct errand *errand_new(struct bridge *bridge)
{
  struct arena *arena = arena_new();
  struct errand *errand = arena_alloc(arena, sizeof *errand);

  errand->bridge = bridge;
  errand->arena = arena;
  errand->conf = conf_ref(bridge->conf);
  errand->policy = policy_ref(bridge->policy);
  bridge->open++;
  return errand;
}

static void errand_free(struct errand *errand)
{
  struct arena *arena = errand->arena;

  arena_free(&errand->u.op.arena);
  submission_free(&errand->item.submission);
  conf_unref(&errand->conf);
  policy_unref(&errand->policy);
  arena_free(&arena);
}

static void bridge_on_closed(uv_handle_t *handle)
{
  struct bridge *bridge = handle->data;
  void (*closed)(void *) = bridge->closed;
  void *arg = bridge->closed_arg;
  struct list *node;

  while ((node = list_pop(&bridge->boxes)) != NULL) {
    struct bridge_box *box = LIST_ITEM(node, struct bridge_box, node);

    free(box->name);
    free(box);
  }
  conf_unref(&bridge->conf);
  policy_unref(&bridge->policy);
  free(bridge);
  closed(arg);
}

static void bridge_maybe_closed(struct bridge *bridge)
{
  if (!bridge->closing || bridge->open > 0 || bridge->closing_idle)
    return;
  bridge->closing_idle = true;
  uv_close((uv_handle_t *)&bridge->idle, bridge_on_closed);
}

/* As an HTTP receiver would have answered. */
static void errand_tell_feed(struct errand *errand)
{
  struct http_reply reply = {.status = errand->status == PARLEY_BUSY ? PARLEY_BUSY : PARLEY_OK,
                             .code = errand->status == PARLEY_OK ? 200 : 500,
                             .reason = errand->reason};

  errand->done(&reply, errand->done_arg);
}

static void bridge_on_idle(uv_idle_t *idle)
{
  struct bridge *bridge = idle->data;
  struct list *node;

  uv_idle_stop(idle);
  while ((node = list_pop(&bridge->later)) != NULL) {
    struct errand *errand = LIST_ITEM(node, struct errand, node);

    if (errand->call != NULL)
      inbound_answered(errand->call, errand->status, errand->message, errand->repeated, errand->reason);
    else if (errand->done != NULL)
      errand_tell_feed(errand);
    errand_free(errand);
    bridge->open--;
  }
  bridge_maybe_closed(bridge);
}

void errand_end(struct errand *errand, parley_status status, const char *reason)
{
  struct bridge *bridge = errand->bridge;

  errand->status = status;
  errand->reason = parley_text_of(reason);
  list_push(&bridge->later, &errand->node);
  uv_idle_start(&bridge->idle, bridge_on_idle);
}

void errand_submit(struct errand *errand, enum store_kind kind, void (*done)(struct store_op *op))
{
  errand->u.op.kind = kind;
  errand->u.op.done = done;
  store_submit(errand->bridge->shared.store, &errand->u.op);
}

bool errand_went(struct errand *errand)
{
  parley_status status = errand->u.op.status;

  if (status == PARLEY_OK || status == PARLEY_NOT_FOUND || status == PARLEY_REJECTED)
    return true;
  errand_end(errand, PARLEY_BUSY, "the store takes in nothing at the moment");
  return false;
}

/* --- Handing in --------------------------------------------------------------------------------------------------- */

static parley_text errand_body(const struct errand_words *words, const struct submission *submission)
{
  struct buf body = BUF_INIT(0);
  parley_text kept;

  buf_str(&body, "{\"to\":{\"customer\":");
  buf_json_id(&body, "cus", submission->to.customer);
  buf_str(&body, "},\"topic\":");
  buf_json_text(&body, submission->topic->name);
  buf_json_key(&body, "key");
  buf_json_text(&body, words->key);
  if (words->bridge != 0) {
    buf_json_key(&body, "bridge");
    buf_json_id(&body, "cnv", words->bridge);
  }
  buf_json_key(&body, "content");
  buf_text(&body, words->content);
  buf_char(&body, '}');
  kept = arena_text(submission->arena, buf_as_text(&body));
  buf_done(&body);
  return kept;
}

/* As the api reads it. */
static bool errand_content(struct submission *submission, struct problems *problems)
{
  struct json_in root, content;

  submission->json = json_read(submission->body, problems);
  return json_in_root(submission->json, submission->arena, problems, &root) && json_in_object(&root, "content", &content) &&
         content.object != NULL && content_read(&content, &submission->content) &&
         (!submission->topic->track_clicks || links_check(problems, content.pointer, &submission->content));
}

/* What is said, to the address that is given. NULL, or why it cannot be. */
static const char *errand_say(const struct errand *errand, const struct errand_words *words, struct submission *submission)
{
  struct recipient *to = &submission->to;
  struct problems problems;

  problems_init(&problems, submission->arena);
  to->external = submission->campaign = TEXT_EMPTY;
  if (words->address.len > 0 && identity_normalise(NULL, PARLEY_LIT("email"), words->address, submission->arena, PARLEY_LIT("/to"),
                                                   &problems, &to->identities[0]))
    to->n_identities = 1;
  if (words->lives_ms != 0)
    submission->expires_ms = submission->now_ms + words->lives_ms;
  submission->key = arena_text(submission->arena, words->key);
  submission->bridge = words->bridge;
  submission->body = errand_body(words, submission);
  if (problems.count == 0 && errand_content(submission, &problems))
    return NULL;
  return arena_str(errand->arena, problems.count > 0 ? problems.rows[0].detail.at : "it has no content");
}

static void errand_count(struct errand *errand)
{
  struct bridge_counters *counters = &errand->bridge->counters;

  if (errand->repeated)
    counters->repeated++;
  else if (errand->tells)
    counters->told++;
  else if (errand->call != NULL)
    counters->answered++;
  else
    counters->mailed++;
}

static void errand_log(const struct errand *errand)
{
  const struct accept_item *item = &errand->item;
  bool lost = item->decision != NULL && item->decision->first < 0;
  char message[ID_TEXT_MAX], conversation[ID_TEXT_MAX];

  id_format("msg", item->message, message);
  id_format("cnv", errand->conversation, conversation);
  log_line(errand->bridge->shared.log, lost ? PARLEY_WARN : PARLEY_INFO, "event=%s msg=%s conversation=%s%s%s%s",
           errand->call != NULL && !errand->tells ? "bridge_answered" : "bridge_mailed", message, conversation,
           errand->repeated ? " repeated=true" : "", lost ? " why=" : "",
           lost && item->decision->reason != NULL ? item->decision->reason : "");
}

static void errand_on_accepted(struct store_op *op)
{
  struct errand *errand = container_of(op, struct errand, u.op);
  struct accept_item *item = &errand->item;

  if (op->status == PARLEY_OK && (item->result == ACCEPTED || item->result == ACCEPT_DUPLICATE_KEY)) {
    errand->message = item->message;
    errand->repeated = item->result == ACCEPT_DUPLICATE_KEY;
    errand_count(errand);
    errand_log(errand);
  }
  if (op->status == PARLEY_OK && item->claim != NULL) {
    deliver_take(errand->bridge->shared.deliver, item->claim);
    item->submission = NULL;
  }
  if (!errand_went(errand))
    return;
  if (errand->message == 0 && errand->box != NULL)
    errand->box->customer = 0; /* whoever it was is gone: looked for again next time */
  errand_end(errand, errand->message != 0 ? PARLEY_OK : PARLEY_FAILED, errand->message != 0 ? "" : "customer_not_found");
}

enum reply_verdict errand_accept(struct errand *errand, const struct errand_words *words)
{
  const struct env *env = errand->bridge->shared.env;
  struct submission *submission = submission_new(errand->policy, env->now_ms(env), words->content.len);
  enum reply_verdict verdict = reply_address(&words->reply, submission);
  const char *why = verdict == REPLY_GOES ? errand_say(errand, words, submission) : NULL;

  if (verdict != REPLY_GOES || why != NULL)
    submission_free(&submission);
  if (verdict != REPLY_GOES)
    return verdict;
  if (why != NULL) {
    errand_end(errand, PARLEY_REJECTED, why);
    return verdict;
  }
  errand->item = (struct accept_item){.submission = submission};
  errand->u.accept = (struct store_accept){.decide = decide, .n_items = 1, .items = &errand->item};
  errand_submit(errand, STORE_ACCEPT, errand_on_accepted);
  return verdict;
}

/* --- A mail to the mailbox ---------------------------------------------------------------------------------------- */

static void errand_post(struct errand *errand)
{
  const struct conf_bridge *set = errand->set;
  struct buf content = BUF_INIT(0);
  struct errand_words words = {.key = errand->key,
                               .reply = {.topic = set->topic, .channel = set->channel, .customer = errand->box->customer},
                               .bridge = errand->mail.conversation,
                               .address = set->to,
                               .lives_ms = BRIDGE_MAIL_LIVES_MS};
  enum reply_verdict verdict;

  buf_str(&content, "{\"subject\":");
  buf_json_text(&content, errand->mail.subject);
  buf_json_key(&content, "text");
  buf_json_text(&content, errand->mail.text);
  buf_char(&content, '}');
  words.content = arena_text(errand->arena, buf_as_text(&content));
  buf_done(&content);
  verdict = errand_accept(errand, &words);
  if (verdict != REPLY_GOES)
    errand_end(errand, PARLEY_REJECTED, reply_words(verdict));
}

static void errand_on_made(struct store_op *op)
{
  struct errand *errand = container_of(op, struct errand, u.op);

  if (!errand_went(errand))
    return;
  if (op->status != PARLEY_OK || errand->u.put.row == NULL) {
    errand_end(errand, PARLEY_FAILED, "the mailbox's own customer cannot be made");
    return;
  }
  errand->box->customer = errand->u.put.row->id;
  arena_free(&op->arena);
  errand_post(errand);
}

static void errand_make_customer(struct errand *errand, parley_text external)
{
  struct store_customer_put *put = &errand->u.put;

  *put = (struct store_customer_put){.external = external,
                                     .attributes_patch = TEXT_EMPTY,
                                     .now_ms = errand->bridge->shared.env->now_ms(errand->bridge->shared.env)};
  put->name.set = true;
  put->name.value = PARLEY_LIT("Support mailbox");
  errand_submit(errand, STORE_CUSTOMER_PUT, errand_on_made);
}

static parley_text errand_external(const struct errand *errand)
{
  struct buf external = BUF_INIT(256);
  parley_text kept;

  buf_printf(&external, BRIDGE_EXTERNAL "%s", errand->box->name);
  kept = arena_text(errand->arena, buf_as_text(&external));
  buf_done(&external);
  return kept;
}

static void errand_on_customer(struct store_op *op)
{
  struct errand *errand = container_of(op, struct errand, u.op);
  bool there = op->status == PARLEY_OK && errand->u.who.row != NULL;

  if (!errand_went(errand))
    return;
  if (there)
    errand->box->customer = errand->u.who.row->id;
  arena_free(&op->arena);
  if (there)
    errand_post(errand);
  else
    errand_make_customer(errand, errand_external(errand));
}

void errand_mail(struct errand *errand)
{
  if (errand->box == NULL)
    errand->box = bridge_box_find(errand->bridge, errand->set->name);
  if (errand->box->customer != 0) {
    errand_post(errand);
    return;
  }
  errand->u.who = (struct store_customer){.external = errand_external(errand)};
  errand_submit(errand, STORE_CUSTOMER, errand_on_customer);
}

/* --- The bridges in force ----------------------------------------------------------------------------------------- */

struct bridge_box *bridge_box_find(const struct bridge *bridge, parley_text name)
{
  for (struct list *at = bridge->boxes.next; at != &bridge->boxes; at = at->next) {
    struct bridge_box *box = LIST_ITEM(at, struct bridge_box, node);

    if (parley_text_is(name, box->name))
      return box;
  }
  return NULL;
}

static struct bridge_box *box_new(struct bridge *bridge, parley_text name)
{
  struct bridge_box *box = xcalloc(1, sizeof *box);

  box->bridge = bridge;
  box->name = xcalloc(1, name.len + 1);
  memcpy(box->name, name.at, name.len);
  box->subscription = feed_id_of("bridge", name);
  box->local = (struct feed_local){.wants = bridge_out_wants, .take = bridge_out_take, .arg = box};
  list_push(&bridge->boxes, &box->node);
  return box;
}

static void box_use(struct bridge *bridge, const struct conf_bridge *set)
{
  struct bridge_box *box = bridge_box_find(bridge, set->name);
  struct subscription subscription = {.name = set->name,
                                      .url = TEXT_EMPTY,
                                      .filter_channel = TEXT_EMPTY,
                                      .filter_topic = TEXT_EMPTY,
                                      .n_types = 2,
                                      .types = {PARLEY_LIT("message.received"), PARLEY_LIT("message.status")},
                                      .configured = true};

  if (box == NULL)
    box = box_new(bridge, set->name);
  if (box->subscribed)
    return; /* what it is set to is read from the configuration in force */
  box->subscribed = true;
  subscription.id = box->subscription;
  subscription.local = &box->local;
  feed_subscribe(bridge->shared.feed, &subscription);
}

static void box_drop(struct bridge *bridge, struct bridge_box *box)
{
  if (box->subscribed)
    feed_unsubscribe(bridge->shared.feed, box->subscription);
  box->subscribed = false;
}

void bridge_configure(struct bridge *bridge, struct conf *conf, struct policy *policy)
{
  struct conf *old_conf = bridge->conf;
  struct policy *old_policy = bridge->policy;

  bridge->conf = conf_ref(conf);
  bridge->policy = policy_ref(policy);
  for (struct list *at = bridge->boxes.next; at != &bridge->boxes; at = at->next) {
    struct bridge_box *box = LIST_ITEM(at, struct bridge_box, node);

    if (conf_bridge_find(conf, parley_text_of(box->name)) == NULL)
      box_drop(bridge, box);
  }
  for (size_t i = 0; i < conf->n_bridges; i++)
    box_use(bridge, &conf->bridges[i]);
  conf_unref(&old_conf);
  policy_unref(&old_policy);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

struct bridge *bridge_new(const struct bridge_shared *shared)
{
  struct bridge *bridge = xcalloc(1, sizeof *bridge);

  bridge->shared = *shared;
  list_init(&bridge->boxes);
  list_init(&bridge->later);
  uv_idle_init(shared->loop, &bridge->idle);
  bridge->idle.data = bridge;
  return bridge;
}

void bridge_close(struct bridge **bridge, void (*closed)(void *arg), void *arg)
{
  struct bridge *gone = *bridge;

  *bridge = NULL;
  gone->closing = true;
  gone->closed = closed;
  gone->closed_arg = arg;
  bridge_maybe_closed(gone);
}

const struct bridge_counters *bridge_counters(const struct bridge *bridge)
{
  return &bridge->counters;
}
