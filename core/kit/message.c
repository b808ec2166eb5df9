/* Messages as the core would hand them over: content fitted to the channel's capabilities by the core's own code. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/deliver/deliver.h"
#include "core/message/fit.h"
#include "inside.h"
#include <stdio.h>

static parley_text media_url(id64 media, struct arena *arena, void *arg)
{
  char id[ID_TEXT_MAX];
  struct buf url = BUF_INIT(128);
  parley_text kept;

  (void)arg;
  id_format("med", media, id);
  buf_printf(&url, "https://parley.example/m/%s?sig=kit", id);
  kept = arena_text(arena, buf_as_text(&url));
  buf_done(&url);
  return kept;
}

/* An address that could be one, by the identity's kind. */
static const char *address_of(const char *kind)
{
  static const struct { const char *kind, *address; } known[] = {
      {"email", "ana@kit.example"}, {"phone", "+34600111222"}, {"whatsapp", "+34600111222"}, {"none", ""},
      {"telegram", "4242424242"},   {"push", "kit-device-1"},  {"webchat", "kit-visitor-1"}, {"external", "kit-77"}};

  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(known[i].kind, kind) == 0)
      return known[i].address;
  return "4242424242";
}

static parley_text id_of(const char *prefix, uint64_t number, struct arena *arena)
{
  char id[ID_TEXT_MAX];

  id_format(prefix, (UINT64_C(1) << 40) + number, id);
  return arena_text(arena, parley_text_of(id));
}

const parley_message *kit_message(struct kit_host *host, const struct content *content, struct arena *arena, const char **ret_code)
{
  struct kit *kit = host->kit;
  parley_identity *to = arena_alloc(arena, sizeof *to);
  parley_customer *customer = arena_alloc(arena, sizeof *customer);
  parley_message *message = arena_alloc(arena, sizeof *message);
  int64_t now = kit->env.env.now_ms(&kit->env.env);
  struct fitted fitted;

  *ret_code = NULL;
  if (fit_content(content, host->caps, arena, media_url, NULL, &fitted, ret_code) != PARLEY_OK)
    return NULL;
  *to = (parley_identity){.size = sizeof *to, .assurance = PARLEY_CLAIMED, .kind = parley_text_of(host->caps->address_kind),
                          .value = parley_text_of(address_of(host->caps->address_kind)), .name = PARLEY_LIT("Ana")};
  *customer = (parley_customer){.size = sizeof *customer, .id = id_of("cus", 1, arena), .name = PARLEY_LIT("Ana"),
                                .locale = PARLEY_LIT("es"), .timezone = PARLEY_LIT("Europe/Madrid")};
  *message = (parley_message){.size = sizeof *message, .kind = PARLEY_KIND_CONTENT, .attempt = 1, .accepted_ms = now - 1000,
                              .n_parts = (uint32_t)fitted.n_parts, .expires_ms = now + 86400000,
                              .id = id_of("msg", kit->last_token + 1, arena), .topic = PARLEY_LIT("orders"),
                              .topic_class = PARLEY_CLASS_TRANSACTIONAL,
                              .conversation_id = id_of("cnv", 1, arena), .subject = fitted.subject, .to = to,
                              .customer = customer, .parts = fitted.parts};
  return message;
}

const parley_message *kit_message_plain(struct kit_host *host, struct arena *arena)
{
  const struct content content = {.text = parley_text_of(host->kit->word)};
  const char *code = NULL;
  const parley_message *message = kit_message(host, &content, arena, &code);

  if (message == NULL)
    kit_skip(host->kit, "a text of %zu letters does not fit its capabilities: %s", content.text.len, code);
  return message;
}

struct kit_token *kit_send(struct kit_host *host)
{
  struct arena *arena;
  struct kit_token *token = NULL;

  if (kit_room(host) == 0)
    return NULL;
  arena = arena_new();
  kit_submit(host, kit_message_plain(host, arena), &token);
  arena_free(&arena);
  return token;
}

struct kit_token *kit_send_wait(struct kit_host *host)
{
  struct kit_token *token = kit_send(host);

  if (token == NULL)
    return NULL;
  kit_settle_wait(host->kit, DELIVER_SUBMIT_DEADLINE_MS);
  if (!token->settled)
    kit_fail(host->kit, PROMISE_SETTLE_ALL, "a message was not settled after %d min: it becomes UNKNOWN, and may be sent twice",
             DELIVER_SUBMIT_DEADLINE_MS / 60000);
  return token;
}
