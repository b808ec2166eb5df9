/* What a message links to, at hand-over: the way out of a topic, and the links and the picture by which clicks and opens are told.
 * The store keeps what was said; these links are made anew for each attempt, the same each time. */
#include "core/base/text.h"
#include "core/message/links.h"
#include "core/message/web_link.h"
#include "line.h"

#define MADE_BYTES_MAX ((size_t)8 << 20) /* text or html with its links replaced; above, they stay as they are */
#define LINKS_MAX 65536                  /* of one text: what a token can name */

static const uint8_t *secret_of(const struct outbound *out)
{
  return store_secret(out->deliver->shared.store);
}

static parley_text public_url_of(const struct outbound *out)
{
  return out->deliver->policy->public_url;
}

/* What was made, or, where it is too much, what there was. */
static parley_text kept(struct outbound *out, struct buf *made, parley_text was)
{
  parley_text text = made->overflow ? was : arena_text(out->arena, buf_as_text(made));

  buf_done(made);
  return text;
}

/* --- Clicks and opens --------------------------------------------------------------------------------------------- */

/* Pages of ours are never told of: among them are those by which somebody leaves. */
static bool is_ours(const struct outbound *out, parley_text target)
{
  parley_text base = public_url_of(out);

  return base.len > 0 && text_eq_nocase(text_sub(target, 0, base.len), base) &&
         (target.len == base.len || target.at[base.len] == '/');
}

static parley_text links_told(struct outbound *out, parley_text in, enum web_where where)
{
  struct web_place place = {.message = out->claim.message, .step = out->claim.step, .where = where};
  struct links links = links_of(in, where == WEB_IN_HTML);
  struct buf made = BUF_INIT(MADE_BYTES_MAX), target = BUF_INIT(0);
  parley_text written;
  size_t from = 0;

  for (; place.nth < LINKS_MAX && links_next(&links, &written); place.nth++) {
    size_t at = (size_t)(written.at - in.at);

    if (link_target(written, links.html, &target) != LINK_WEB || is_ours(out, buf_as_text(&target)))
      continue;
    buf_text(&made, text_sub(in, from, at - from));
    buf_click_link(&made, public_url_of(out), secret_of(out), &place);
    from = at + written.len;
  }
  buf_done(&target);
  if (from == 0) {
    buf_done(&made);
    return in;
  }
  buf_text(&made, text_sub(in, from, SIZE_MAX));
  return kept(out, &made, in);
}

static void buttons_told(struct outbound *out, struct content *content)
{
  struct web_place place = {.message = out->claim.message, .step = out->claim.step, .where = WEB_IN_BUTTON};
  struct content_button *buttons = arena_alloc(out->arena, (content->n_buttons + 1) * sizeof *buttons);

  for (size_t i = 0; i < content->n_buttons; i++) {
    struct buf target = BUF_INIT(0), link = BUF_INIT(0);

    buttons[i] = content->buttons[i];
    place.nth = (uint32_t)i;
    if (buttons[i].action == PARLEY_BUTTON_URL && link_target(buttons[i].target, false, &target) == LINK_WEB &&
        !is_ours(out, buf_as_text(&target))) {
      buf_click_link(&link, public_url_of(out), secret_of(out), &place);
      buttons[i].target = kept(out, &link, TEXT_EMPTY);
    }
    buf_done(&target);
    buf_done(&link);
  }
  if (content->buttons != NULL)
    content->buttons = buttons;
}

/* Before the end of the body, else at the end. */
static parley_text picture_added(struct outbound *out, parley_text html)
{
  struct web_place place = {.message = out->claim.message, .step = out->claim.step};
  struct buf made = BUF_INIT(MADE_BYTES_MAX);
  size_t at = html.len;

  for (size_t i = html.len; at == html.len && i-- > 0;)
    if (html.at[i] == '<' && text_is_nocase(text_sub(html, i, 6), "</body"))
      at = i;
  buf_text(&made, text_sub(html, 0, at));
  buf_str(&made, "<img src=\"");
  buf_open_link(&made, public_url_of(out), secret_of(out), &place);
  buf_str(&made, "\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0\">");
  buf_text(&made, text_sub(html, at, SIZE_MAX));
  return kept(out, &made, html);
}

/* --- The way out -------------------------------------------------------------------------------------------------- */

static parley_text unsubscribe_url(struct outbound *out, const char *channel_kind)
{
  struct web_unsubscribe what = {out->claim.customer, out->claim.identity, out->claim.message, parley_text_of(channel_kind),
                                 out->claim.topic};
  struct buf link = BUF_INIT(0);

  if (!web_kind_ok(what.kind) || what.topic.len == 0 || what.topic.len > WEB_TOPIC_BYTES_MAX)
    return TEXT_EMPTY;
  buf_unsubscribe_link(&link, public_url_of(out), secret_of(out), &what);
  return kept(out, &link, TEXT_EMPTY);
}

static parley_text preferences_url(struct outbound *out)
{
  struct web_preferences what = {out->claim.customer, out->claim.identity};
  struct buf link = BUF_INIT(0);

  buf_preferences_link(&link, public_url_of(out), secret_of(out), &what);
  return kept(out, &link, TEXT_EMPTY);
}

static parley_text named_filled(struct outbound *out, parley_text in, parley_text name, parley_text url)
{
  struct buf made = BUF_INIT(MADE_BYTES_MAX);
  parley_text rest = in;
  size_t at = text_find_text(rest, name);

  if (at == SIZE_MAX)
    return in;
  for (; at != SIZE_MAX; at = text_find_text(rest, name)) {
    buf_text(&made, text_sub(rest, 0, at));
    buf_text(&made, url);
    rest = text_sub(rest, at + name.len, SIZE_MAX);
  }
  buf_text(&made, rest);
  return kept(out, &made, in);
}

static parley_text names_filled(struct outbound *out, parley_text in, parley_text unsubscribe)
{
  if (in.len == 0 || text_find_text(in, PARLEY_LIT("_url}}")) == SIZE_MAX)
    return in;
  if (unsubscribe.len == 0) /* there is no such thing for receipts and codes: the page that has what there is */
    unsubscribe = preferences_url(out);
  in = named_filled(out, in, PARLEY_LIT(CONTENT_UNSUBSCRIBE_NAME), unsubscribe);
  return named_filled(out, in, PARLEY_LIT(CONTENT_PREFERENCES_NAME), preferences_url(out));
}

static void buttons_filled(struct outbound *out, struct content *content, parley_text unsubscribe)
{
  struct content_button *buttons = arena_alloc(out->arena, (content->n_buttons + 1) * sizeof *buttons);

  for (size_t i = 0; i < content->n_buttons; i++) {
    buttons[i] = content->buttons[i];
    buttons[i].target = names_filled(out, buttons[i].target, unsubscribe);
  }
  content->buttons = buttons;
}

parley_text outbound_links(struct outbound *out, const struct policy_topic *topic, const char *channel_kind,
                           struct content *content)
{
  bool marketing = topic != NULL ? topic->class == CLASS_MARKETING : out->claim.lane == LANE_MARKETING;
  parley_text unsubscribe = marketing ? unsubscribe_url(out, channel_kind) : TEXT_EMPTY;

  if (topic != NULL && topic->track_clicks) {
    content->text = links_told(out, content->text, WEB_IN_TEXT);
    content->html = links_told(out, content->html, WEB_IN_HTML);
    buttons_told(out, content);
  }
  content->text = names_filled(out, content->text, unsubscribe);
  content->html = names_filled(out, content->html, unsubscribe);
  if (content->n_buttons > 0)
    buttons_filled(out, content, unsubscribe);
  if (topic != NULL && topic->track_opens && content->html.len > 0)
    content->html = picture_added(out, content->html);
  return unsubscribe;
}
