#include "page.h"
#include "core/base/text.h"
#include "core/message/web_link.h"
#include "core/net/cidr.h"
#include "inside.h"
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2430;--soft:#5a6675;--line:#d9dfe6;--card:#fff;--ground:#f3f5f8;--go:#14568f;--on:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#a7b2bf;--line:#3a4450;--card:#1d242c;--ground:#12171d;"
    "--go:#8cc4f5;--on:#0d1620}}"
    "*{box-sizing:border-box}"
    "body{margin:0;padding:5vh 1rem;background:var(--ground);color:var(--ink);font:1.0625rem/1.5 system-ui,sans-serif}"
    "main{max-width:36rem;margin:0 auto;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}"
    "header{color:var(--soft);font-weight:600;margin-bottom:1.25rem}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}"
    "p{margin:0 0 1rem}.soft{color:var(--soft);font-size:.9375rem}.good{border-left:.25rem solid var(--go);padding-left:.75rem}"
    "a{color:var(--go)}"
    "button{font:inherit;font-weight:600;padding:.625rem 1.25rem;border:1px solid var(--go);border-radius:.5rem;"
    "background:var(--go);color:var(--on);cursor:pointer}"
    "button.second{background:none;color:var(--go)}"
    "button:focus-visible,a:focus-visible,input:focus-visible{outline:.1875rem solid var(--go);outline-offset:.1875rem}"
    "label{display:block;font-weight:600;margin-bottom:.375rem}"
    "input[type=email],input[type=tel],input[type=text]{font:inherit;width:100%;padding:.625rem;margin-bottom:1rem;color:inherit;"
    "background:var(--ground);border:1px solid var(--soft);border-radius:.5rem}"
    "table{width:100%;border-collapse:collapse;margin-bottom:1.25rem}"
    "th,td{padding:.625rem .25rem;border-bottom:1px solid var(--line);text-align:center}"
    "th:first-child{text-align:left}tbody th{font-weight:400}"
    "td label{margin:0;padding:.25rem}"
    "input[type=checkbox]{width:1.375rem;height:1.375rem;accent-color:var(--go)}"
    ".row{display:flex;flex-wrap:wrap;gap:.75rem}"
    ".trap{position:absolute;left:-200rem;top:auto;width:1px;height:1px;overflow:hidden}"
    ".seen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}";

/* --- Language ----------------------------------------------------------------------------------------------------- */

enum lang page_lang(const struct api_request *req, parley_text locale)
{
  enum lang lang = LANG_EN;

  if (!page_lang_parse(locale, &lang) && !page_lang_accepted(http_header(req->http, "accept-language"), &lang))
    page_lang_parse(req->conf->locale, &lang);
  return lang;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

void buf_html_escaped(struct buf *buf, parley_text text)
{
  for (size_t i = 0; i < text.len; i++) {
    char byte = text.at[i];

    switch (byte) {
    case '&': buf_str(buf, "&amp;"); break;
    case '<': buf_str(buf, "&lt;"); break;
    case '>': buf_str(buf, "&gt;"); break;
    case '"': buf_str(buf, "&quot;"); break;
    case '\'': buf_str(buf, "&#39;"); break;
    default: buf_char(buf, byte);
    }
  }
}

void page_text(struct page *page, parley_text text)
{
  buf_html_escaped(&page->html, text);
}

void page_str(struct page *page, const char *html)
{
  buf_str(&page->html, html);
}

void page_fill(struct page *page, enum word word, parley_text first, parley_text second)
{
  for (const char *at = page_word(page->lang, word); *at != '\0'; at++) {
    bool name = strncmp(at, "{0}", 3) == 0 || strncmp(at, "{1}", 3) == 0;

    page_text(page, name ? at[1] == '0' ? first : second : (parley_text){at, 1});
    at += name ? 2 : 0;
  }
}

void page_say(struct page *page, enum word word, parley_text first, parley_text second)
{
  page_str(page, "<p>");
  page_fill(page, word, first, second);
  page_str(page, "</p>\n");
}

void page_address(struct page *page, parley_text kind, parley_text value)
{
  struct buf masked = BUF_INIT(1024);

  if (kind.len == 0 || value.len == 0)
    return;
  buf_identity_masked(&masked, kind, value);
  page_str(page, "<p class=\"soft\">");
  page_fill(page, W_FOR_ADDRESS, buf_as_text(&masked), TEXT_EMPTY);
  page_str(page, "</p>\n");
  buf_done(&masked);
}

void page_preferences(struct page *page, id64 customer, id64 identity)
{
  const struct api_request *req = page->req;

  page_str(page, "<p><a href=\"");
  buf_preferences_link(&page->html, req->conf->server.public_url, store_secret(req->shared->store),
                       &(struct web_preferences){customer, identity});
  page_str(page, "\">");
  page_fill(page, W_CHOOSE, TEXT_EMPTY, TEXT_EMPTY);
  page_str(page, "</a></p>\n");
}

void page_begin(struct page *page, struct api_request *req, enum lang lang, parley_text title)
{
  const struct env *env = req->shared->env;
  struct buf nonce = BUF_INIT(sizeof page->nonce);
  uint8_t bytes[(sizeof page->nonce - 1) / 2];

  *page = (struct page){.req = req, .lang = lang, .html = BUF_INIT(0)};
  env->random(env, bytes, sizeof bytes);
  buf_hex(&nonce, bytes, sizeof bytes);
  memcpy(page->nonce, nonce.at, sizeof page->nonce);
  buf_done(&nonce);
  buf_printf(&page->html, "<!doctype html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                          "<meta name=\"robots\" content=\"noindex\">\n<title>", page_word(lang, W_TAG));
  page_text(page, title);
  if (req->conf->pages.name.len > 0) {
    page_str(page, " - ");
    page_text(page, req->conf->pages.name);
  }
  buf_printf(&page->html, "</title>\n<style nonce=\"%s\">%s</style>\n</head>\n<body>\n<main>\n", page->nonce, style);
  if (req->conf->pages.name.len > 0) {
    page_str(page, "<header>");
    page_text(page, req->conf->pages.name);
    page_str(page, "</header>\n");
  }
  page_str(page, "<h1>");
  page_text(page, title);
  page_str(page, "</h1>\n");
}

/* "https://shop.example:8443" of a URL: what a policy can name. */
static parley_text origin_of(parley_text url)
{
  size_t from = text_find_text(url, PARLEY_LIT("//"));

  return from == SIZE_MAX ? TEXT_EMPTY : text_sub(url, 0, from + 2 + text_find(text_sub(url, from + 2, SIZE_MAX), '/'));
}

void page_answer(struct page *page, uint32_t code)
{
  parley_text onward = origin_of(page->onward);
  struct buf policy = BUF_INIT(512);
  parley_pair headers[] = {{PARLEY_LIT("Content-Security-Policy"), TEXT_EMPTY},
                           {PARLEY_LIT("Referrer-Policy"), PARLEY_LIT("no-referrer")},
                           {PARLEY_LIT("X-Robots-Tag"), PARLEY_LIT("noindex, nofollow")},
                           {PARLEY_LIT("X-Content-Type-Options"), PARLEY_LIT("nosniff")},
                           {PARLEY_LIT("Content-Language"), parley_text_of(page_word(page->lang, W_TAG))}};

  buf_printf(&policy, "default-src 'none'; style-src 'nonce-%s'; form-action 'self' %.*s; frame-ancestors 'none'; base-uri 'none'",
             page->nonce, TEXT_ARG(onward));
  headers[0].value = buf_as_text(&policy);
  page_str(page, "</main>\n</body>\n</html>\n");
  api_answer_with(page->req, &(struct http_answer){.code = code,
                                                   .type = PARLEY_LIT("text/html; charset=utf-8"),
                                                   .retry_after_s = code == 429 ? 60 : 0,
                                                   .headers = headers,
                                                   .n_headers = sizeof headers / sizeof headers[0],
                                                   .body = buf_as_text(&page->html)});
  buf_done(&page->html);
  buf_done(&policy);
}

void page_tell(struct api_request *req, uint32_t code, enum lang lang, enum word title, enum word says)
{
  struct page page;

  page_begin(&page, req, lang, parley_text_of(page_word(lang, title)));
  page_say(&page, says, TEXT_EMPTY, TEXT_EMPTY);
  page_answer(&page, code);
}

void page_not_found(struct api_request *req)
{
  page_tell(req, 404, page_lang(req, TEXT_EMPTY), W_NOT_FOUND, W_NOT_FOUND_SAYS);
}

/* --- Who asks ----------------------------------------------------------------------------------------------------- */

bool page_form(struct api_request *req, struct form *ret)
{
  if (form_read(http_header(req->http, "content-type"), req->http->body, req->arena, ret))
    return true;
  page_tell(req, 400, page_lang(req, TEXT_EMPTY), W_BAD_FORM, W_BAD_FORM_SAYS);
  return false;
}

parley_text client_agent(const struct api_request *req)
{
  parley_text agent = http_header(req->http, "user-agent");

  return text_sub(agent, 0, text_utf8_cut(agent, CLIENT_AGENT_BYTES_MAX));
}

static bool is_proxy(const struct api_request *req, const struct net_address *address)
{
  struct cidr net;

  for (size_t i = 0; i < req->conf->server.n_proxies; i++)
    if (cidr_parse(req->conf->server.proxies[i], &net) && cidr_has_address(&net, address))
      return true;
  return false;
}

/* The last element of a list, cut off it. */
static parley_text last_cut(parley_text *list)
{
  size_t from = list->len;
  parley_text last;

  while (from > 0 && list->at[from - 1] != ',')
    from--;
  last = text_trim(text_sub(*list, from, SIZE_MAX));
  list->len = from > 0 ? from - 1 : 0;
  return last;
}

/* Each proxy has written down who asked it, behind what it was told: from the last on, the first that is no proxy of ours. */
static struct net_address client_of(const struct api_request *req)
{
  struct net_address at = *http_peer(req->http), before;
  parley_text list = http_header(req->http, "x-forwarded-for");

  if (http_header_count(req->http, "x-forwarded-for") != 1)
    return at;
  while (is_proxy(req, &at) && list.len > 0 && net_address_parse(last_cut(&list), 0, &before))
    at = before;
  return at;
}

void buf_client(struct buf *buf, const struct api_request *req)
{
  struct net_address client = client_of(req);
  char text[NET_ADDRESS_TEXT_MAX];

  buf_json_key(buf, "address");
  buf_json_text(buf, net_address_format(&client, false, text));
  buf_json_key(buf, "agent");
  buf_json_text(buf, client_agent(req));
}

uint64_t client_key(const struct api_request *req, const char *what, enum client_width width)
{
  static const size_t bytes4[CLIENT_WIDTHS] = {4, 3, 2}, bytes6[CLIENT_WIDTHS] = {8, 6, 4};
  const struct net_address client = client_of(req);
  struct buf key = BUF_INIT(256);
  uint64_t hash;

  buf_printf(&key, "%s %d ", what, (int)width);
  if (client.any.sa_family == AF_INET6)
    buf_add(&key, &client.v6.sin6_addr, bytes6[width]);
  else
    buf_add(&key, &client.v4.sin_addr, bytes4[width]);
  hash = hash64(&req->api->hash_key, buf_as_text(&key));
  buf_done(&key);
  return hash != 0 ? hash : 1;
}

static const struct stored_identity *identity_of(const struct customer_row *row, id64 identity)
{
  for (size_t i = 0; i < row->n_identities; i++)
    if (row->identities[i].id == identity)
      return &row->identities[i];
  return NULL;
}

bool page_person_found(struct api_request *req, struct store_customer *found, id64 identity, struct page_person *ret)
{
  const struct customer_row *row = found->row;
  const struct stored_identity *address;

  if (!api_went(req, &found->op))
    return false;
  if (found->op.status != PARLEY_OK || row == NULL) {
    arena_free(&found->op.arena);
    page_not_found(req);
    return false;
  }
  *ret = (struct page_person){page_lang(req, row->locale), TEXT_EMPTY, TEXT_EMPTY};
  address = identity != 0 ? identity_of(row, identity) : NULL;
  if (address != NULL) {
    ret->kind = arena_text(req->arena, address->identity.kind);
    ret->value = arena_text(req->arena, address->identity.value);
  }
  return true;
}

parley_text page_topic(const struct api_request *req, parley_text name)
{
  const struct policy_topic *topic = policy_find_topic(req->policy, name);

  return topic != NULL ? policy_title(topic) : name;
}
