/* /s/<form>: where a sign-up form of the business posts to, and that form on a page of ours. Double opt-in: the address gets a message
 * to confirm, whoever has typed it. The answer never tells whether an address is known. */
#include "confirm.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"

#define SITE_TIMES 8       /* the form's rate, from one site's addresses together ... */
#define PROVIDER_TIMES 128 /* ... and from one provider's */
#define TRAP "website" /* a field that no person sees: who fills it in is a program, and gets the same answer */

struct signing {
  struct api_request *req;
  const struct conf_form *form;
  const struct policy_channel *channel;
  const struct policy_topic *topic;
  enum lang lang;
  struct confirm_ask ask;
};

/* The form of this name; NULL: answered. */
static struct signing *signing_new(struct api_request *req)
{
  struct signing *signing = arena_alloc(req->arena, sizeof *signing);

  signing->req = req;
  signing->form = conf_form_find(req->conf, req->params[0]);
  if (signing->form != NULL) {
    signing->channel = policy_find_channel(req->policy, signing->form->channel->name);
    signing->topic = policy_find_topic(req->policy, signing->form->topic->name);
  }
  if (signing->form == NULL || signing->channel == NULL || signing->topic == NULL) {
    page_not_found(req);
    return NULL;
  }
  signing->lang = page_lang(req, TEXT_EMPTY);
  return signing;
}

/* --- The form on a page of ours ----------------------------------------------------------------------------------- */

static void page_field(struct page *page, parley_text kind)
{
  bool email = parley_text_is(kind, "email"), phone = parley_text_is(kind, "phone");

  page_str(page, "<label for=\"a\">");
  page_fill(page, email ? W_FIELD_EMAIL : phone ? W_FIELD_PHONE : W_FIELD_ADDRESS, TEXT_EMPTY, TEXT_EMPTY);
  page_str(page, "</label>\n<input id=\"a\" name=\"");
  page_text(page, kind);
  page_str(page, email   ? "\" type=\"email\" autocomplete=\"email\" required>\n"
                 : phone ? "\" type=\"tel\" autocomplete=\"tel\" required>\n"
                         : "\" type=\"text\" required>\n");
}

static void signing_show(struct signing *signing, uint32_t code)
{
  struct page page;

  page_begin(&page, signing->req, signing->lang, policy_title(signing->topic));
  page.onward = signing->form->thanks_page;
  if (code != 200) {
    page_str(&page, "<p role=\"alert\">");
    page_fill(&page, W_BAD_ADDRESS, TEXT_EMPTY, TEXT_EMPTY);
    page_str(&page, "</p>\n");
  }
  page_str(&page, "<form method=\"post\">\n");
  page_field(&page, signing->channel->address_kind);
  page_str(&page, "<div class=\"trap\" aria-hidden=\"true\"><label>");
  page_fill(&page, W_TRAP, TEXT_EMPTY, TEXT_EMPTY);
  page_str(&page, "<input type=\"text\" name=\"" TRAP "\" tabindex=\"-1\" autocomplete=\"off\"></label></div>\n<p><button>");
  page_fill(&page, W_SIGN_UP, TEXT_EMPTY, TEXT_EMPTY);
  page_str(&page, "</button></p>\n</form>\n<p class=\"soft\">");
  page_fill(&page, W_SIGN_UP_SAYS, TEXT_EMPTY, TEXT_EMPTY);
  page_str(&page, "</p>\n");
  page_answer(&page, code);
}

void api_signup_page(struct api_request *req)
{
  struct signing *signing = signing_new(req);

  if (signing != NULL)
    signing_show(signing, 200);
}

/* --- What it posts ------------------------------------------------------------------------------------------------ */

static void signing_thank(struct signing *signing)
{
  parley_pair headers[] = {{PARLEY_LIT("Location"), signing->form->thanks_page},
                           {PARLEY_LIT("Referrer-Policy"), PARLEY_LIT("no-referrer")}};

  if (signing->form->thanks_page.len > 0)
    api_answer_with(signing->req, &(struct http_answer){.code = 303, .headers = headers, .n_headers = COUNT_OF(headers)});
  else
    page_tell(signing->req, 200, signing->lang, W_SENT, W_SENT_SAYS);
}

static void signed_up(struct api_request *req, const struct confirm_ask *ask, id64 message, bool repeated)
{
  (void)req, (void)message, (void)repeated; /* a stranger is told nothing of them */
  signing_thank(container_of(ask, struct signing, ask));
}

static parley_text signing_proof(const struct signing *signing)
{
  struct buf proof = BUF_INIT(0);
  parley_text text;

  buf_str(&proof, "{\"form\":");
  buf_json_text(&proof, signing->form->name);
  if (signing->form->from_page.len > 0) {
    buf_json_key(&proof, "page");
    buf_json_text(&proof, signing->form->from_page);
  }
  buf_client(&proof, signing->req);
  buf_char(&proof, '}');
  text = arena_text(signing->req->arena, buf_as_text(&proof));
  buf_done(&proof);
  return text;
}

/* Of an address and a form: one message in pages.once_per. */
static uint64_t target_key(const struct signing *signing)
{
  struct buf all = BUF_INIT(0);
  uint64_t hash;

  buf_str(&all, "signup");
  buf_json_text(&all, signing->form->name);
  buf_json_text(&all, signing->ask.who.kind);
  for (size_t i = 0; i < signing->ask.who.value.len; i++) { /* of e-mail addresses the case says nothing */
    char byte = signing->ask.who.value.at[i];

    buf_char(&all, byte >= 'A' && byte <= 'Z' ? (char)(byte | 32) : byte);
  }
  hash = hash64(&signing->req->api->hash_key, buf_as_text(&all));
  buf_done(&all);
  return hash != 0 ? hash : 1;
}

static bool signing_read(struct signing *signing, const struct form *fields)
{
  parley_text kind = signing->channel->address_kind;
  parley_text given = form_value(fields, kind.at);

  return given.len > 0 && given.len <= IDENTITY_VALUE_BYTES_MAX &&
         identity_normalise(API_PHONES(signing->req, PHONE_GIVEN), kind, text_trim(given),
                            signing->req->arena, TEXT_EMPTY, &signing->req->problems, &signing->ask.who);
}

/* Who has been refused counts no further: a host that goes on and on takes nothing from its neighbours. */
static bool client_may(const struct signing *signing, int64_t now_ms)
{
  static const uint32_t times[CLIENT_WIDTHS] = {1, SITE_TIMES, PROVIDER_TIMES};
  struct api_request *req = signing->req;

  for (int i = 0; i < CLIENT_WIDTHS; i++) {
    uint64_t count = (uint64_t)signing->form->rate.count * times[i];

    if (!rate_take(&req->api->signups, client_key(req, "signup", (enum client_width)i),
                   count < UINT32_MAX ? (uint32_t)count : UINT32_MAX, signing->form->rate.span_ms, now_ms))
      return false;
  }
  return true;
}

void api_signup(struct api_request *req)
{
  struct signing *signing = signing_new(req);
  int64_t now_ms = req->shared->env->mono_ms(req->shared->env);
  struct form fields;

  if (signing == NULL || !page_form(req, &fields))
    return;
  if (form_value(&fields, TRAP).len > 0) {
    signing_thank(signing);
    return;
  }
  if (!signing_read(signing, &fields)) {
    signing_show(signing, 422);
    return;
  }
  if (!client_may(signing, now_ms)) {
    page_tell(req, 429, signing->lang, W_TOO_MANY, W_TOO_MANY_SAYS);
    return;
  }
  if (!rate_take(&req->api->signup_targets, target_key(signing), 1, req->conf->pages.once_per_ms, now_ms)) {
    signing_thank(signing);
    return;
  }
  signing->ask.topic = signing->topic;
  signing->ask.channel = signing->channel;
  signing->ask.lang = signing->lang;
  signing->ask.proof = signing_proof(signing);
  confirm_send(req, &signing->ask, signed_up);
}
