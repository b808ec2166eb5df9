/* /u/<token>: the way out of one topic on one kind of channel. GET shows a page with a button and changes nothing; POST ends it at
 * once, by the button or by RFC 8058's List-Unsubscribe=One-Click: whoever can post to a link that nobody can make up has it from
 * the message. The first says what the link named into the ledger, a second finds it said. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/web_link.h"
#include "page.h"

struct leaving {
  struct api_request *req;
  struct token_payload payload; /* the texts of `what` */
  struct web_unsubscribe what;
  struct page_person whose;
  struct form form;
  union {
    struct store_op op;
    struct store_customer one;
  } u;
  struct store_consent consent;
};

static struct leaving *leaving_new(struct api_request *req)
{
  struct leaving *leaving = arena_alloc(req->arena, sizeof *leaving);

  leaving->req = req;
  if (web_unsubscribe_read(store_secret(req->shared->store), req->params[0], &leaving->payload, &leaving->what))
    return leaving;
  page_not_found(req);
  return NULL;
}

static void page_begin_for(struct page *page, struct leaving *leaving, enum word title)
{
  page_begin(page, leaving->req, leaving->whose.lang, parley_text_of(page_word(leaving->whose.lang, title)));
}

static void leaving_say(struct page *page, const struct leaving *leaving, enum word says)
{
  page_say(page, says, page_topic(leaving->req, leaving->what.topic),
           parley_text_of(page_kind(leaving->whose.lang, leaving->what.kind)));
  page_address(page, leaving->whose.kind, leaving->whose.value);
}

/* False: answered. */
static bool leaving_found(struct leaving *leaving)
{
  if (!page_person_found(leaving->req, &leaving->u.one, leaving->what.identity, &leaving->whose))
    return false;
  arena_free(&leaving->u.op.arena);
  return true;
}

static void page_found(struct store_op *op)
{
  struct leaving *leaving = container_of(op, struct leaving, u.op);
  struct page page;

  if (!leaving_found(leaving))
    return;
  page_begin_for(&page, leaving, W_UNSUBSCRIBE);
  leaving_say(&page, leaving, W_UNSUBSCRIBE_ASK);
  page_str(&page, "<form method=\"post\"><p><button name=\"by\" value=\"page\">");
  page_fill(&page, W_UNSUBSCRIBE, TEXT_EMPTY, TEXT_EMPTY);
  page_str(&page, "</button></p></form>\n");
  page_preferences(&page, leaving->what.customer, leaving->what.identity);
  page_answer(&page, 200);
}

void api_unsubscribe_page(struct api_request *req)
{
  struct leaving *leaving = leaving_new(req);

  if (leaving == NULL)
    return;
  leaving->u.one.id = leaving->what.customer;
  api_look(req, &leaving->u.op, STORE_CUSTOMER, page_found);
}

/* --- The deed ----------------------------------------------------------------------------------------------------- */

static void left(struct store_op *op)
{
  struct leaving *leaving = container_of(op, struct leaving, consent.op);
  struct page page;

  if (!api_went(leaving->req, op))
    return;
  deliver_reconsider(leaving->req->shared->deliver, leaving->consent.whose, leaving->consent.n_whose, NULL);
  arena_free(&op->arena);
  page_begin_for(&page, leaving, W_UNSUBSCRIBED);
  leaving_say(&page, leaving, W_UNSUBSCRIBED_SAYS);
  page_preferences(&page, leaving->what.customer, leaving->what.identity);
  page_answer(&page, 200);
}

static bool one_click(const struct leaving *leaving)
{
  return parley_text_is(form_value(&leaving->form, "List-Unsubscribe"), "One-Click");
}

static parley_text leaving_proof(const struct leaving *leaving)
{
  struct buf proof = BUF_INIT(0);
  parley_text text;

  buf_str(&proof, "{\"message\":");
  buf_json_id(&proof, "msg", leaving->what.message);
  buf_client(&proof, leaving->req);
  buf_char(&proof, '}');
  text = arena_text(leaving->req->arena, buf_as_text(&proof));
  buf_done(&proof);
  return text;
}

static void leave_found(struct store_op *op)
{
  struct leaving *leaving = container_of(op, struct leaving, u.op);
  struct api_request *req = leaving->req;

  if (!leaving_found(leaving))
    return;
  leaving->consent.customer = leaving->what.customer;
  leaving->consent.now_ms = req->now_ms;
  leaving->consent.once = true;
  leaving->consent.entry = (struct consent){.topic = leaving->what.topic,
                                            .channel_kind = leaving->what.kind,
                                            .granted = false,
                                            .at_ms = req->now_ms,
                                            .source = one_click(leaving) ? PARLEY_LIT("one_click") : PARLEY_LIT("page"),
                                            .proof = leaving_proof(leaving)};
  api_look(req, &leaving->consent.op, STORE_CONSENT, left);
}

void api_unsubscribe(struct api_request *req)
{
  struct leaving *leaving = leaving_new(req);

  if (leaving == NULL)
    return;
  if (!form_read(http_header(req->http, "content-type"), req->http->body, req->arena, &leaving->form))
    leaving->form.n = 0; /* the link is what counts */
  leaving->u.one.id = leaving->what.customer;
  api_look(req, &leaving->u.op, STORE_CUSTOMER, leave_found);
}
