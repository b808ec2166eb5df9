/* From the feed to the mailbox. */
#include "bridge_in.h"
#include "core/base/text.h"

/* Looked at for each event of the log: of what comes in all that a person says, of what goes out the answers of owners alone. */
bool bridge_out_wants(const struct event_row *row, void *arg)
{
  const struct message_row *message = row->message;

  (void)arg;
  if (message == NULL)
    return false;
  return message->inbound ? (message->flags & (PARLEY_AUTOMATIC | PARLEY_ECHO)) == 0 : text_starts(message->key, "bridge:");
}

static parley_text event_key(const struct errand *errand, uint64_t event)
{
  struct buf key = BUF_INIT(256);
  parley_text kept;

  buf_printf(&key, "bridge:%s:", errand->box->name);
  buf_id(&key, "evt", event);
  kept = arena_text(errand->arena, buf_as_text(&key));
  buf_done(&key);
  return kept;
}

/* The mailbox cannot be told by mail: an operator has something to do. */
static void lost_log(const struct errand *errand, const json_t *event)
{
  const json_t *data = json_object_get(event, "data"), *message = json_object_get(data, "message");
  const json_t *facts = json_object_get(data, "facts");
  parley_text reason = json_text(json_object_get(message, "reason")), code = json_text(json_object_get(facts, "code"));
  char safe[128], safe_code[64];

  if (errand->mail.what != BRIDGE_LOST)
    return;
  errand->bridge->counters.lost++;
  log_line(errand->bridge->shared.log, PARLEY_ERROR, "event=bridge_mail_lost bridge=%s msg=%.*s status=%.*s why=%s%s%s",
           errand->box->name, TEXT_ARG(json_text(json_object_get(message, "id"))),
           TEXT_ARG(json_text(json_object_get(facts, "status"))), log_safe(safe, sizeof safe, reason), code.len > 0 ? " code=" : "",
           code.len > 0 ? log_safe(safe_code, sizeof safe_code, code) : "");
}

static void errand_read(struct errand *errand, parley_bytes body)
{
  struct bridge *bridge = errand->bridge;
  struct bridge_look look = {.conf = errand->set,
                             .public_url = errand->policy->public_url,
                             .secret = store_secret(bridge->shared.store),
                             .now_ms = bridge->shared.env->now_ms(bridge->shared.env)};
  struct problems problems;
  json_t *event;

  problems_init(&problems, errand->arena);
  event = json_read(body, &problems);
  bridge_mail_read(event, &look, errand->arena, &errand->mail);
  lost_log(errand, event);
  json_decref(event);
  errand->conversation = errand->mail.conversation;
  errand->tells = errand->mail.what == BRIDGE_FAILURE;
}

void bridge_out_take(uint64_t event, parley_bytes body, http_client_done *done, void *done_arg, void *arg)
{
  struct bridge_box *box = arg;
  struct errand *errand = errand_new(box->bridge);

  errand->box = box;
  errand->done = done;
  errand->done_arg = done_arg;
  errand->set = conf_bridge_find(errand->conf, parley_text_of(box->name));
  if (errand->set == NULL) { /* taken away just now: it is asked again if it comes back */
    errand_end(errand, PARLEY_BUSY, "");
    return;
  }
  errand->key = event_key(errand, event);
  errand_read(errand, body);
  if (errand->mail.what == BRIDGE_NOTHING || errand->mail.what == BRIDGE_LOST)
    errand_end(errand, PARLEY_OK, "");
  else
    errand_mail(errand);
}
