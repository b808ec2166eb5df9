#include "confirm.h"
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/web_link.h"
#include "inside.h"
#include "submit.h"

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
