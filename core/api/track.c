/* /c/<token> and /o/<token>: clicks and opens of messages whose topic has them told. The token names a message and a place in it; where
 * to go is read from the message as it is stored, so that nobody can be sent anywhere else. Each is an event on the timeline, once a
 * burst; what no person did is marked. The answer does not depend on whether it could be written. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/links.h"
#include "core/message/web_link.h"
#include "inside.h"
#include "page.h"

/* One transparent pixel. */
static const unsigned char picture[] = {0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21,
                                        0xf9, 4, 1, 0, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b};

struct telling {
  struct api_request *req;
  struct web_place place;
  bool click, machine;
  parley_text target;
  struct store_message message;
  struct store_receipt receipt;
};

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static void picture_answer(struct api_request *req)
{
  static const parley_pair headers[] = {{PARLEY_LIT("Referrer-Policy"), PARLEY_LIT("no-referrer")},
                                        {PARLEY_LIT("X-Content-Type-Options"), PARLEY_LIT("nosniff")}};

  api_answer_with(req, &(struct http_answer){.code = 200,
                                             .type = PARLEY_LIT("image/gif"),
                                             .headers = headers,
                                             .n_headers = COUNT_OF(headers),
                                             .body = {(const char *)picture, sizeof picture}});
}

static void redirect_answer(struct api_request *req, parley_text target)
{
  struct buf location = BUF_INIT(0);
  parley_pair headers[] = {{PARLEY_LIT("Location"), TEXT_EMPTY},
                           {PARLEY_LIT("Referrer-Policy"), PARLEY_LIT("no-referrer")},
                           {PARLEY_LIT("X-Robots-Tag"), PARLEY_LIT("noindex, nofollow")}};

  buf_location(&location, target);
  headers[0].value = buf_as_text(&location);
  api_answer_with(req, &(struct http_answer){.code = 302, .headers = headers, .n_headers = COUNT_OF(headers)});
  buf_done(&location);
}

static void telling_answer(struct telling *telling)
{
  if (telling->click)
    redirect_answer(telling->req, telling->target);
  else
    picture_answer(telling->req);
}

/* --- Who it was --------------------------------------------------------------------------------------------------- */

/* Words in the names of programs that fetch what nobody has opened yet. Proxies that fetch a picture when somebody looks at the mail
 * (Gmail's, Yahoo's) are not among them. */
static bool agent_is_machine(parley_text agent)
{
  static const char *const words[] = {"bot",       "crawl",      "spider",   "slurp",    "preview", "scan",     "fetch",  "monitor",
                                      "facebookexternalhit", "whatsapp",   "mimecast", "barracuda", "proofpoint",
                                      "safelinks",  "headless",   "curl/",    "wget/",    "python",  "go-http-client", "java/",
                                      "okhttp",    "libwww",     "httpclient"};
  char lower[CLIENT_AGENT_BYTES_MAX];
  parley_text low;

  if (agent.len == 0)
    return true;
  for (size_t i = 0; i < agent.len; i++)
    lower[i] = agent.at[i] >= 'A' && agent.at[i] <= 'Z' ? (char)(agent.at[i] | 32) : agent.at[i];
  low = (parley_text){lower, agent.len};
  for (size_t i = 0; i < COUNT_OF(words); i++)
    if (text_find_text(low, parley_text_of(words[i])) != SIZE_MAX)
      return true;
  return false;
}

static bool header_says_fetch(const struct api_request *req)
{
  static const char *const names[] = {"purpose", "sec-purpose", "x-purpose", "x-moz"};

  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (http_header(req->http, names[i]).len > 0)
      return true;
  return false;
}

static bool is_machine(const struct telling *telling, const struct delivery_row *delivery)
{
  const struct api_request *req = telling->req;
  int64_t since_ms = req->now_ms - delivery->facts.handed_ms;

  return req->http->method == HTTP_M_HEAD || header_says_fetch(req) || agent_is_machine(client_agent(req)) ||
         since_ms < req->conf->tracking.machine_within_ms;
}

/* --- Where to ----------------------------------------------------------------------------------------------------- */

static bool place_find(const struct content *content, const struct web_place *place, struct buf *target)
{
  bool html = place->where == WEB_IN_HTML;
  struct links links = links_of(html ? content->html : content->text, html);
  parley_text written = TEXT_EMPTY;
  uint32_t nth = 0;

  if (place->where == WEB_IN_BUTTON) {
    if (place->nth >= content->n_buttons || content->buttons[place->nth].action != PARLEY_BUTTON_URL)
      return false;
    return link_target(content->buttons[place->nth].target, false, target) == LINK_WEB;
  }
  while (links_next(&links, &written))
    if (nth++ == place->nth)
      return link_target(written, html, target) == LINK_WEB;
  return false;
}

/* The content as it was for that channel: what is stored, with the channel's own words over it. */
static bool target_find(struct telling *telling, const struct message_row *row, const struct delivery_row *delivery)
{
  struct api_request *req = telling->req;
  struct json_in root, in;
  struct content content;
  struct buf target = BUF_INIT(0);
  json_t *json = json_read(row->body, &req->problems);
  bool found = json != NULL && json_in_root(json, req->arena, &req->problems, &root) && json_in_object(&root, "content", &in) &&
               in.object != NULL && content_read(&in, &content);

  if (found) {
    content = content_for(&content, delivery->channel, arena_text(req->arena, delivery->channel_kind).at);
    found = place_find(&content, &telling->place, &target);
  }
  telling->target = arena_text(req->arena, buf_as_text(&target));
  buf_done(&target);
  json_decref(json);
  return found;
}

/* --- Telling ------------------------------------------------------------------------------------------------------ */

static void told(struct store_op *op)
{
  struct telling *telling = container_of(op, struct telling, receipt.op);

  if (telling->receipt.next != NULL)
    deliver_take(telling->req->shared->deliver, telling->receipt.next);
  arena_free(&op->arena);
  telling_answer(telling);
}

/* The same link by the same kind of visitor. */
static bool is_first_of_burst(const struct telling *telling)
{
  struct api_request *req = telling->req;
  struct buf key = BUF_INIT(1024);
  uint64_t hash;

  buf_printf(&key, "%d %d %llu %u %d %u", telling->click, telling->machine, (unsigned long long)telling->place.message,
             telling->place.step, (int)telling->place.where, telling->place.nth);
  hash = hash64(&req->api->hash_key, buf_as_text(&key));
  buf_done(&key);
  return rate_take(&req->api->visits, hash != 0 ? hash : 1, 1, req->conf->tracking.burst_ms,
                   req->shared->env->mono_ms(req->shared->env));
}

static void telling_write(struct telling *telling, const struct delivery_row *delivery)
{
  struct api_request *req = telling->req;
  struct store_receipt *receipt = &telling->receipt;

  receipt->channel = arena_text(req->arena, delivery->channel);
  receipt->message = telling->place.message;
  receipt->receipt = telling->click ? PARLEY_RECEIPT_CLICKED : PARLEY_RECEIPT_OPENED;
  receipt->at_ms = req->now_ms;
  receipt->provider_id = receipt->code = receipt->detail = TEXT_EMPTY;
  receipt->link = telling->target;
  receipt->agent = client_agent(req);
  receipt->machine = telling->machine;
  receipt->policy = req->policy;
  api_look(req, &receipt->op, STORE_RECEIPT, told);
}

static const struct delivery_row *delivery_of(const struct telling *telling, const struct message_row *row)
{
  for (size_t i = 0; row != NULL && !row->inbound && i < row->n_deliveries; i++)
    if (row->deliveries[i].facts.step == telling->place.step)
      return &row->deliveries[i];
  return NULL;
}

static void telling_refuse(struct telling *telling)
{
  if (telling->click)
    page_not_found(telling->req);
  else
    picture_answer(telling->req);
}

static void telling_found(struct store_op *op)
{
  struct telling *telling = container_of(op, struct telling, message.op);
  const struct message_row *row = op->status == PARLEY_OK ? telling->message.row : NULL;
  const struct delivery_row *delivery = delivery_of(telling, row);
  struct arena *results = op->arena;

  telling->target = TEXT_EMPTY;
  if (op->status != PARLEY_OK && op->status != PARLEY_NOT_FOUND && telling->click) {
    api_went(telling->req, op); /* 503: where to go is in the store alone */
    return;
  }
  if (delivery == NULL || (telling->click && !target_find(telling, row, delivery))) {
    telling_refuse(telling);
  } else {
    telling->machine = is_machine(telling, delivery);
    if (is_first_of_burst(telling))
      telling_write(telling, delivery);
    else
      telling_answer(telling);
  }
  arena_free(&results);
}

static struct telling *telling_new(struct api_request *req, bool click)
{
  struct telling *telling = arena_alloc(req->arena, sizeof *telling);

  telling->req = req;
  telling->click = click;
  return telling;
}

static void telling_look(struct telling *telling)
{
  telling->message.id = telling->place.message;
  api_look(telling->req, &telling->message.op, STORE_MESSAGE, telling_found);
}

void api_click(struct api_request *req)
{
  struct telling *telling = telling_new(req, true);

  if (web_click_read(store_secret(req->shared->store), req->params[0], &telling->place))
    telling_look(telling);
  else
    page_not_found(req);
}

/* Whatever the path says: a picture that is not there would show as a broken one. */
void api_open(struct api_request *req)
{
  struct telling *telling = telling_new(req, false);

  if (web_open_read(store_secret(req->shared->store), text_sub(req->http->path, sizeof "/o/" - 1, SIZE_MAX), &telling->place))
    telling_look(telling);
  else
    picture_answer(req);
}
