/* /d/<token>: the page behind the link that a message of confirm.c carries. GET shows a button; only its POST grants, once. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/web_link.h"
#include "inside.h"
#include "page.h"

struct confirming {
  struct api_request *req;
  struct token_payload payload; /* the texts of `what` */
  struct web_confirm what;
  struct page_person whose;
  bool posted;
  union {
    struct store_op op;
    struct store_customer one;
    struct store_events wish;
  } u;
  struct store_consent consent;
};

static void confirming_say(struct page *page, const struct confirming *confirming, enum word says)
{
  page_say(page, says, page_topic(confirming->req, confirming->what.topic),
           parley_text_of(page_kind(confirming->whose.lang, confirming->what.kind)));
}

static void confirming_ask(struct confirming *confirming)
{
  struct page page;

  page_begin(&page, confirming->req, confirming->whose.lang, parley_text_of(page_word(confirming->whose.lang, W_CONFIRM)));
  confirming_say(&page, confirming, W_CONFIRM_ASK);
  page_str(&page, "<form method=\"post\"><p><button name=\"do\" value=\"confirm\">");
  page_fill(&page, W_CONFIRM, TEXT_EMPTY, TEXT_EMPTY);
  page_str(&page, "</button></p></form>\n");
  page_answer(&page, 200);
}

static void confirmed(struct store_op *op)
{
  struct confirming *confirming = container_of(op, struct confirming, consent.op);
  struct api_request *req = confirming->req;
  bool used = confirming->consent.answered && !confirming->consent.repeated;
  struct page page;

  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  page_begin(&page, req, confirming->whose.lang, parley_text_of(page_word(confirming->whose.lang, used ? W_USED : W_CONFIRMED)));
  confirming_say(&page, confirming, used ? W_USED_SAYS : W_CONFIRMED_SAYS);
  page_preferences(&page, confirming->what.customer, 0);
  page_answer(&page, used ? 410 : 200);
}

/* {"asked":{...as it was kept, at...},"confirmed":{"address","agent"}} */
static parley_text confirming_proof(const struct confirming *confirming, const struct event_row *wish)
{
  struct buf proof = BUF_INIT(0);
  parley_text text;
  json_t *data = wish != NULL ? json_loadb(wish->data.at, wish->data.len, 0, NULL) : NULL;
  json_t *asked_by = json_object_get(data, "proof");

  buf_str(&proof, "{\"asked_at\":");
  buf_json_time(&proof, wish != NULL ? wish->at_ms : id_time_ms(confirming->what.asked));
  if (asked_by != NULL) {
    buf_json_key(&proof, "asked");
    buf_json_value(&proof, asked_by);
  }
  buf_str(&proof, ",\"confirmed\":{");
  buf_client(&proof, confirming->req);
  buf_str(&proof, "}}");
  json_decref(data);
  text = arena_text(confirming->req->arena, buf_as_text(&proof));
  buf_done(&proof);
  return text;
}

static void wish_found(struct store_op *op)
{
  struct confirming *confirming = container_of(op, struct confirming, u.op);
  const struct store_events *found = &confirming->u.wish;
  struct api_request *req = confirming->req;
  parley_text proof;

  if (!api_went(req, op))
    return;
  proof = confirming_proof(confirming, op->status == PARLEY_OK && found->n > 0 ? &found->rows[0] : NULL);
  arena_free(&op->arena);
  confirming->consent.customer = confirming->what.customer;
  confirming->consent.now_ms = req->now_ms;
  confirming->consent.once = true;
  confirming->consent.asked = confirming->what.asked;
  confirming->consent.entry = (struct consent){.topic = confirming->what.topic,
                                               .channel_kind = confirming->what.kind,
                                               .granted = true,
                                               .at_ms = req->now_ms,
                                               .source = PARLEY_LIT("double_opt_in"),
                                               .proof = proof};
  api_look(req, &confirming->consent.op, STORE_CONSENT, confirmed);
}

static void person_found(struct store_op *op)
{
  struct confirming *confirming = container_of(op, struct confirming, u.op);

  if (!page_person_found(confirming->req, &confirming->u.one, 0, &confirming->whose))
    return;
  arena_free(&op->arena);
  if (!confirming->posted) {
    confirming_ask(confirming);
  } else {
    confirming->u.wish = (struct store_events){.limit = 1, .n_only = 1, .only = &confirming->what.asked};
    api_look(confirming->req, &confirming->u.op, STORE_EVENTS, wish_found);
  }
}

static void confirming_start(struct api_request *req, bool posted)
{
  struct confirming *confirming = arena_alloc(req->arena, sizeof *confirming);

  confirming->req = req;
  confirming->posted = posted;
  if (!web_confirm_read(store_secret(req->shared->store), req->params[0], &confirming->payload, &confirming->what)) {
    page_not_found(req);
    return;
  }
  if (confirming->what.expires_ms <= req->now_ms) {
    page_tell(req, 410, page_lang(req, TEXT_EMPTY), W_EXPIRED, W_EXPIRED_SAYS);
    return;
  }
  confirming->u.one.id = confirming->what.customer;
  api_look(req, &confirming->u.op, STORE_CUSTOMER, person_found);
}

void api_confirm_page(struct api_request *req)
{
  confirming_start(req, false);
}

void api_confirm(struct api_request *req)
{
  confirming_start(req, true);
}
