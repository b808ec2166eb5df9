/* page.h - the pages that customers see: plain HTML that needs no script, no cookie and nothing from elsewhere, in their language.
 * Private to core/api. Thread: loop. Not to be cached, indexed or framed; whoever leaves tells nobody where from. */
#ifndef CORE_API_PAGE_H
#define CORE_API_PAGE_H
#include "core/net/form.h"
#include "page_text.h"
#include "request.h"

#define PAGE_FORM_BYTES_MAX ((uint64_t)65536)

struct page {
  struct api_request *req;
  enum lang lang;
  struct buf html;
  char nonce[33]; /* of its style */
  parley_text onward; /* a URL that its form may lead to, through a redirect; empty: none elsewhere */
};
/* The customer's language (empty: not known), else the browser's, else that of defaults.locale, else English. */
enum lang page_lang(const struct api_request *req, parley_text locale);
void page_begin(struct page *page, struct api_request *req, enum lang lang, parley_text title); /* title: also its heading */
void page_text(struct page *page, parley_text text);  /* escaped */
void page_str(struct page *page, const char *html);   /* as it is */
void page_fill(struct page *page, enum word word, parley_text first, parley_text second); /* escaped, {0} and {1} filled in */
void page_say(struct page *page, enum word word, parley_text first, parley_text second);  /* the same as a paragraph */
/* "Address: a***@example.org". kind empty: nothing. */
void page_address(struct page *page, parley_text kind, parley_text value);
/* The way to the customer's preference page. identity 0: of no address. */
void page_preferences(struct page *page, id64 customer, id64 identity);
void page_answer(struct page *page, uint32_t code); /* ends the req */
/* A whole page of a heading and a sentence. */
void page_tell(struct api_request *req, uint32_t code, enum lang lang, enum word title, enum word says);
void page_not_found(struct api_request *req); /* 404: one answer for whatever is wrong with a link */
void buf_html_escaped(struct buf *buf, parley_text text);

/* The body as a form; false: answered with 400. */
bool page_form(struct api_request *req, struct form *ret);
/* Where the request comes from, as proof: "address":"203.0.113.9","agent":"..." */
void buf_client(struct buf *buf, const struct api_request *req);
#define CLIENT_AGENT_BYTES_MAX 255 /* kept of User-Agent */
parley_text client_agent(const struct api_request *req);
/* Of its address, and of the networks it stands in: a wider one has more people in it, and more addresses for one who has it all. */
enum client_width { CLIENT_HOST = 0 /* IPv4 /32, IPv6 /64 */, CLIENT_SITE /* /24, /48 */, CLIENT_PROVIDER /* /16, /32 */,
                    CLIENT_WIDTHS };
uint64_t client_key(const struct api_request *req, const char *what, enum client_width width);
/* Whose page it is: their language, and the address that the link came to (identity 0, or gone meanwhile: empty), of the req. */
struct page_person { enum lang lang; parley_text kind, value; };
/* What STORE_CUSTOMER has found. False: answered, and the op's results are freed; else they are the caller's still. */
bool page_person_found(struct api_request *req, struct store_customer *found, id64 identity, struct page_person *ret);
parley_text page_topic(const struct api_request *req, parley_text topic); /* its title, or its name when it is no more */
#endif
