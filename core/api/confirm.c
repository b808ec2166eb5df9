#include "confirm.h"
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/web_link.h"
#include "inside.h"
#include "submit.h"

/* --- Asking ------------------------------------------------------------------------------------------------------- */

struct asking {
  struct api_request *req;
  const struct confirm_ask *ask;
  void (*then)(struct api_request *req, const struct confirm_ask *ask, id64 message, bool repeated);
  struct store_touchpoint wish;
};

static void buf_filled(struct buf *buf, enum lang lang, enum word word, parley_text first, bool html)
{
  parley_text rest = parley_text_of(page_word(lang, word));
  size_t at = text_find_text(rest, PARLEY_LIT("{0}"));
  parley_text pieces[3] = {text_sub(rest, 0, at), at == SIZE_MAX ? TEXT_EMPTY : first,
                           at == SIZE_MAX ? TEXT_EMPTY : text_sub(rest, at + 3, SIZE_MAX)};

  for (size_t i = 0; i < COUNT_OF(pieces); i++) {
    if (html)
      buf_html_escaped(buf, pieces[i]);
    else
      buf_text(buf, pieces[i]);
  }
}

static void text_write(struct buf *buf, const struct asking *asking, parley_text link)
{
  const struct confirm_ask *ask = asking->ask;

  buf_filled(buf, ask->lang, W_MAIL_SAYS, policy_title(ask->topic), false);
  buf_str(buf, "\n\n");
  buf_text(buf, link);
  buf_str(buf, "\n\n");
  buf_filled(buf, ask->lang, W_MAIL_IGNORE, TEXT_EMPTY, false);
  buf_char(buf, '\n');
  if (asking->req->conf->pages.name.len > 0) {
    buf_str(buf, "\n-- \n");
    buf_text(buf, asking->req->conf->pages.name);
    buf_char(buf, '\n');
  }
}

static void html_write(struct buf *buf, const struct asking *asking, parley_text link)
{
  const struct confirm_ask *ask = asking->ask;

  buf_printf(buf, "<!doctype html><html lang=\"%s\"><body style=\"font-family:sans-serif;line-height:1.5\"><p>",
             page_word(ask->lang, W_TAG));
  buf_filled(buf, ask->lang, W_MAIL_SAYS, policy_title(ask->topic), true);
  buf_str(buf, "</p><p><a href=\"");
  buf_html_escaped(buf, link);
  buf_str(buf, "\" style=\"display:inline-block;padding:10px 20px;background:#14568f;color:#fff;border-radius:6px;"
               "text-decoration:none\">");
  buf_filled(buf, ask->lang, W_CONFIRM, TEXT_EMPTY, true);
  buf_str(buf, "</a></p><p style=\"color:#5a6675\">");
  buf_filled(buf, ask->lang, W_MAIL_IGNORE, TEXT_EMPTY, true);
  buf_str(buf, "</p><p>");
  buf_html_escaped(buf, asking->req->conf->pages.name);
  buf_str(buf, "</p></body></html>");
}

static void buf_member(struct buf *buf, const char *key, const struct buf *value)
{
  buf_json_key(buf, key);
  buf_json_text(buf, buf_as_text(value));
}

static void content_write(struct buf *buf, const struct asking *asking)
{
  const struct confirm_ask *ask = asking->ask;
  struct web_confirm what = {asking->wish.customer, asking->wish.seq, asking->req->now_ms + asking->req->conf->pages.confirm_ms,
                             ask->channel->channel_kind, ask->topic->name};
  struct buf link = BUF_INIT(0), subject = BUF_INIT(0), text = BUF_INIT(0), html = BUF_INIT(0);

  buf_confirm_link(&link, asking->req->conf->server.public_url, store_secret(asking->req->shared->store), &what);
  buf_filled(&subject, ask->lang, W_MAIL_SUBJECT, policy_title(ask->topic), false);
  text_write(&text, asking, buf_as_text(&link));
  html_write(&html, asking, buf_as_text(&link));
  buf_json_key(buf, "content");
  buf_char(buf, '{');
  buf_member(buf, "subject", &subject);
  buf_member(buf, "text", &text);
  if (parley_text_is(ask->channel->channel_kind, "email"))
    buf_member(buf, "html", &html);
  buf_char(buf, '}');
  buf_done(&link);
  buf_done(&subject);
  buf_done(&text);
  buf_done(&html);
}

/* One business key for what was asked within a time: the second finds the first's message, on whatever node. */
static void key_write(struct buf *buf, const struct asking *asking)
{
  const struct confirm_ask *ask = asking->ask;
  struct buf all = BUF_INIT(0), key = BUF_INIT(0);
  uint8_t digest[SHA256_BYTES];

  buf_printf(&all, "%lld", (long long)(asking->req->now_ms / asking->req->conf->pages.once_per_ms));
  buf_json_text(&all, ask->topic->name);
  buf_json_text(&all, ask->channel->channel_kind);
  buf_json_text(&all, ask->who.kind);
  buf_json_text(&all, ask->who.value);
  sha256(buf_as_text(&all), digest);
  buf_str(&key, "confirm:");
  buf_hex(&key, digest, 16);
  buf_member(buf, "key", &key);
  buf_done(&all);
  buf_done(&key);
}

static void body_write(struct buf *buf, const struct asking *asking)
{
  const struct confirm_ask *ask = asking->ask;

  buf_str(buf, "{\"to\":{\"customer\":");
  buf_json_id(buf, "cus", asking->wish.customer);
  buf_char(buf, ',');
  buf_json_text(buf, ask->who.kind);
  buf_char(buf, ':');
  buf_json_text(buf, ask->who.value);
  buf_str(buf, "},\"topic\":\"" POLICY_TOPIC_CONFIRMATION "\"");
  content_write(buf, asking);
  buf_str(buf, ",\"channels\":[");
  buf_json_text(buf, ask->channel->name);
  buf_char(buf, ']');
  key_write(buf, asking);
  buf_char(buf, '}');
}

/* It is read as any message that is sent, so that it meets the same rules. */
static struct submission *message_make(struct asking *asking)
{
  struct api_request *req = asking->req;
  struct buf body = BUF_INIT(0);
  struct submission *submission = NULL;
  struct json_in in;
  json_t *json;

  body_write(&body, asking);
  problems_init(&req->problems, req->arena);
  json = json_read(buf_as_text(&body), &req->problems);
  if (json != NULL && json_in_root(json, req->arena, &req->problems, &in))
    submission = submission_read(req, &in, buf_as_text(&body));
  json_decref(json);
  buf_done(&body);
  if (submission != NULL)
    submission->test = asking->ask->test;
  return submission;
}

static void asked(struct api_request *req, const struct accept_item *item, void *arg)
{
  struct asking *asking = arg;

  asking->then(req, asking->ask, item->message, item->result == ACCEPT_DUPLICATE_KEY);
}

static void wished(struct store_op *op)
{
  struct asking *asking = container_of(op, struct asking, wish.op);
  struct submission *submission;

  if (!api_went(asking->req, op))
    return;
  arena_free(&op->arena);
  if (asking->wish.result != ACCEPTED) { /* it went between a look and this */
    asking->then(asking->req, asking->ask, 0, false);
    return;
  }
  submission = message_make(asking);
  if (submission != NULL)
    api_accept_then(asking->req, submission, asked, asking);
  else
    api_problems(asking->req);
}

static parley_text wish_data(struct api_request *req, const struct confirm_ask *ask)
{
  struct buf data = BUF_INIT(0);
  parley_text text;

  buf_str(&data, "{\"topic\":");
  buf_json_text(&data, ask->topic->name);
  buf_json_key(&data, "channel_kind");
  buf_json_text(&data, ask->channel->channel_kind);
  buf_json_key(&data, "proof");
  buf_text(&data, ask->proof);
  buf_char(&data, '}');
  text = arena_text(req->arena, buf_as_text(&data));
  buf_done(&data);
  return text;
}

void confirm_send(struct api_request *req, const struct confirm_ask *ask,
                  void (*then)(struct api_request *req, const struct confirm_ask *ask, id64 message, bool repeated))
{
  struct asking *asking = arena_alloc(req->arena, sizeof *asking);
  struct store_touchpoint *wish = &asking->wish;

  asking->req = req;
  asking->ask = ask;
  asking->then = then;
  wish->event = "consent.requested";
  wish->type = wish->channel = wish->key = wish->stage = TEXT_EMPTY;
  wish->at_ms = wish->now_ms = req->now_ms;
  wish->who.customer = ask->customer;
  wish->who.external = TEXT_EMPTY;
  wish->who.n_identities = 1;
  wish->who.identities[0] = ask->who;
  wish->data = wish_data(req, ask);
  api_look(req, &wish->op, STORE_TOUCHPOINT, wished);
}

/* --- /d/<token>: the page with the button ------------------------------------------------------------------------- */

struct confirming {
  struct api_request *req;
  struct token_payload payload; /* the texts of `what` */
  struct web_confirm what;
  enum lang lang;
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
           parley_text_of(page_kind(confirming->lang, confirming->what.kind)));
}

static void confirming_ask(struct confirming *confirming)
{
  struct page page;

  page_begin(&page, confirming->req, confirming->lang, parley_text_of(page_word(confirming->lang, W_CONFIRM)));
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
  page_begin(&page, req, confirming->lang, parley_text_of(page_word(confirming->lang, used ? W_USED : W_CONFIRMED)));
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
  const struct customer_row *row = confirming->u.one.row;
  struct api_request *req = confirming->req;
  bool there;

  if (!api_went(req, op))
    return;
  there = op->status == PARLEY_OK && row != NULL;
  confirming->lang = page_lang(req, there ? row->locale : TEXT_EMPTY);
  arena_free(&op->arena);
  if (!there) {
    page_not_found(req);
  } else if (!confirming->posted) {
    confirming_ask(confirming);
  } else {
    confirming->u.wish = (struct store_events){.limit = 1, .n_only = 1, .only = &confirming->what.asked};
    api_look(req, &confirming->u.op, STORE_EVENTS, wish_found);
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
