/* /p/<token>: what a customer receives, topic by topic and kind by kind of channel. GET shows it as a table of boxes, POST takes what
 * was ticked. Only what the page offered is changed, and only where it differs. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/web_link.h"
#include "page.h"

#define PAIRS_MAX 240 /* boxes of one page: two fields each, within FORM_FIELDS_MAX */
#define KINDS_MAX 6

struct choice { const struct policy_topic *topic; parley_text kind; bool granted; };
struct choosing {
  struct api_request *req;
  struct web_preferences what;
  struct page_person whose;
  bool posted;
  struct form form;
  union {
    struct store_op op;
    struct store_customer one;
  } u;
  size_t n_kinds, n_topics;
  parley_text kinds[KINDS_MAX];
  const struct policy_topic *topics[PAIRS_MAX];
  size_t n_consents;
  struct consent *consents;
  struct changing { struct store_consent op; struct choosing *choosing; } *changes;
  size_t n_changes, n_open;
  parley_status worst;
};

/* --- What there is to choose -------------------------------------------------------------------------------------- */

static void kind_add(struct choosing *choosing, parley_text kind)
{
  for (size_t i = 0; i < choosing->n_kinds; i++)
    if (text_eq(choosing->kinds[i], kind))
      return;
  if (choosing->n_kinds < KINDS_MAX)
    choosing->kinds[choosing->n_kinds++] = kind;
}

static bool has_identity(const struct customer_row *row, parley_text kind)
{
  for (size_t i = 0; i < row->n_identities; i++)
    if (text_eq(row->identities[i].identity.kind, kind))
      return true;
  return false;
}

/* The kinds of those channels that can reach this customer; a fixed endpoint of the business is none. */
static void kinds_find(struct choosing *choosing, const struct customer_row *row)
{
  const struct policy *policy = choosing->req->policy;

  for (size_t i = 0; i < policy->n_channels; i++)
    if (has_identity(row, policy->channels[i].address_kind) && web_kind_ok(policy->channels[i].channel_kind))
      kind_add(choosing, policy->channels[i].channel_kind);
}

/* First what needs a grant, then what goes unless it is withdrawn. What is an answer to somebody, or critical, is no choice. */
static void topics_find(struct choosing *choosing)
{
  static const enum topic_class classes[] = {CLASS_MARKETING, CLASS_TRANSACTIONAL};
  const struct policy *policy = choosing->req->policy;
  size_t room = choosing->n_kinds > 0 ? PAIRS_MAX / choosing->n_kinds : 0;

  for (size_t c = 0; c < COUNT_OF(classes); c++)
    for (size_t i = 0; i < policy->n_topics && choosing->n_topics < room; i++)
      if (policy->topics[i].class == classes[c] && !parley_text_is(policy->topics[i].name, POLICY_TOPIC_CONFIRMATION))
        choosing->topics[choosing->n_topics++] = &policy->topics[i];
}

static bool is_granted(const struct choosing *choosing, const struct policy_topic *topic, parley_text kind)
{
  return consent_check(topic->class, topic->name, kind, choosing->consents, choosing->n_consents) == CONSENT_PASS;
}

static void consents_keep(struct choosing *choosing, const struct customer_row *row)
{
  struct arena *arena = choosing->req->arena;

  choosing->n_consents = row->n_consents;
  choosing->consents = arena_alloc(arena, (row->n_consents + PAIRS_MAX) * sizeof *choosing->consents);
  for (size_t i = 0; i < row->n_consents; i++)
    choosing->consents[i] = (struct consent){.topic = arena_text(arena, row->consents[i].topic),
                                             .channel_kind = arena_text(arena, row->consents[i].channel_kind),
                                             .granted = row->consents[i].granted,
                                             .at_ms = row->consents[i].at_ms};
}

/* --- The page ----------------------------------------------------------------------------------------------------- */

static void page_pair(struct page *page, const struct policy_topic *topic, parley_text kind)
{
  page_text(page, topic->name);
  page_str(page, ":");
  page_text(page, kind);
}

static void page_box(struct page *page, const struct choosing *choosing, const struct policy_topic *topic, parley_text kind)
{
  page_str(page, "<td><label><input type=\"checkbox\" name=\"want\" value=\"");
  page_pair(page, topic, kind);
  page_str(page, is_granted(choosing, topic, kind) ? "\" checked>" : "\">");
  page_str(page, "<span class=\"seen\">");
  page_text(page, policy_title(topic));
  page_str(page, ", ");
  page_str(page, page_kind(page->lang, kind));
  page_str(page, "</span></label><input type=\"hidden\" name=\"shown\" value=\"");
  page_pair(page, topic, kind);
  page_str(page, "\"></td>");
}

static void page_table(struct page *page, const struct choosing *choosing)
{
  page_str(page, "<table>\n<thead><tr><th scope=\"col\">");
  page_fill(page, W_TOPIC, TEXT_EMPTY, TEXT_EMPTY);
  page_str(page, "</th>");
  for (size_t k = 0; k < choosing->n_kinds; k++) {
    page_str(page, "<th scope=\"col\">");
    page_str(page, page_kind(page->lang, choosing->kinds[k]));
    page_str(page, "</th>");
  }
  page_str(page, "</tr></thead>\n<tbody>\n");
  for (size_t t = 0; t < choosing->n_topics; t++) {
    page_str(page, "<tr><th scope=\"row\">");
    page_text(page, policy_title(choosing->topics[t]));
    page_str(page, "</th>");
    for (size_t k = 0; k < choosing->n_kinds; k++)
      page_box(page, choosing, choosing->topics[t], choosing->kinds[k]);
    page_str(page, "</tr>\n");
  }
  page_str(page, "</tbody></table>\n");
}

static void choosing_show(struct choosing *choosing, bool saved)
{
  struct page page;

  page_begin(&page, choosing->req, choosing->whose.lang, parley_text_of(page_word(choosing->whose.lang, W_PREFERENCES)));
  if (saved) {
    page_str(&page, "<p class=\"good\" role=\"status\">");
    page_fill(&page, W_SAVED, TEXT_EMPTY, TEXT_EMPTY);
    page_str(&page, "</p>\n");
  }
  page_address(&page, choosing->whose.kind, choosing->whose.value);
  if (choosing->n_topics == 0 || choosing->n_kinds == 0) {
    page_say(&page, W_NOTHING_TO_CHOOSE, TEXT_EMPTY, TEXT_EMPTY);
  } else {
    page_say(&page, W_PREFERENCES_SAYS, TEXT_EMPTY, TEXT_EMPTY);
    page_str(&page, "<form method=\"post\">\n");
    page_table(&page, choosing);
    page_str(&page, "<p class=\"row\"><button name=\"do\" value=\"save\">");
    page_fill(&page, W_SAVE, TEXT_EMPTY, TEXT_EMPTY);
    page_str(&page, "</button> <button class=\"second\" name=\"do\" value=\"stop\">");
    page_fill(&page, W_STOP_ALL, TEXT_EMPTY, TEXT_EMPTY);
    page_str(&page, "</button></p>\n</form>\n");
  }
  page_answer(&page, 200);
}

/* --- What was chosen ---------------------------------------------------------------------------------------------- */

static bool form_has(const struct form *form, const char *name, const struct policy_topic *topic, parley_text kind)
{
  for (size_t i = 0; i < form->n; i++) {
    parley_text value = form->fields[i].value;

    if (parley_text_is(form->fields[i].name, name) && text_eq(text_cut(&value, ':'), topic->name) && text_eq(value, kind))
      return true;
  }
  return false;
}

static void changed(struct store_op *op)
{
  struct changing *change = container_of(op, struct changing, op.op);
  struct choosing *choosing = change->choosing;
  struct api_request *req = choosing->req;

  deliver_reconsider(req->shared->deliver, change->op.whose, change->op.n_whose, NULL);
  if (op->status != PARLEY_OK)
    choosing->worst = op->status;
  if (--choosing->n_open > 0) {
    arena_free(&op->arena);
    return;
  }
  op->status = choosing->worst;
  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  if (choosing->worst == PARLEY_OK)
    choosing_show(choosing, true);
  else
    page_not_found(req);
}

static void change_add(struct choosing *choosing, const struct policy_topic *topic, parley_text kind, bool wanted, parley_text proof)
{
  struct changing *change = &choosing->changes[choosing->n_changes];
  struct consent entry = {.topic = topic->name, .channel_kind = kind, .granted = wanted, .at_ms = choosing->req->now_ms,
                          .source = PARLEY_LIT("preferences"), .proof = proof};

  if (is_granted(choosing, topic, kind) == wanted)
    return;
  choosing->n_changes++;
  *change = (struct changing){.op = {.customer = choosing->what.customer, .entry = entry, .now_ms = choosing->req->now_ms},
                              .choosing = choosing};
}

static parley_text choosing_proof(const struct choosing *choosing)
{
  struct buf proof = BUF_INIT(0);
  parley_text text;

  buf_char(&proof, '{');
  buf_client(&proof, choosing->req);
  buf_char(&proof, '}');
  text = arena_text(choosing->req->arena, buf_as_text(&proof));
  buf_done(&proof);
  return text;
}

static void changes_find(struct choosing *choosing)
{
  bool stop = parley_text_is(form_value(&choosing->form, "do"), "stop");
  parley_text proof = choosing_proof(choosing);

  choosing->changes = arena_alloc(choosing->req->arena, (PAIRS_MAX + 1) * sizeof *choosing->changes);
  for (size_t t = 0; t < choosing->n_topics; t++)
    for (size_t k = 0; k < choosing->n_kinds; k++) {
      const struct policy_topic *topic = choosing->topics[t];
      parley_text kind = choosing->kinds[k];

      if (stop && topic->class == CLASS_MARKETING)
        change_add(choosing, topic, kind, false, proof);
      else if (!stop && form_has(&choosing->form, "shown", topic, kind))
        change_add(choosing, topic, kind, form_has(&choosing->form, "want", topic, kind), proof);
    }
}

/* Where the ledger's newest entry of this topic and kind stands; behind the others: there is none. */
static struct consent *consent_place(struct choosing *choosing, const struct consent *entry)
{
  struct consent *at = choosing->consents, *end = at + choosing->n_consents;

  while (at < end && !(text_eq(at->topic, entry->topic) && text_eq(at->channel_kind, entry->channel_kind)))
    at++;
  choosing->n_consents += at == end;
  return at;
}

/* Each its own entry, all in one commit; then the page again, from what is now in force. */
static void changes_run(struct choosing *choosing)
{
  size_t n = choosing->n_changes;

  for (size_t i = 0; i < n; i++)
    *consent_place(choosing, &choosing->changes[i].op.entry) = choosing->changes[i].op.entry;
  choosing->n_open = n;
  for (size_t i = 0; i < n; i++)
    api_look(choosing->req, &choosing->changes[i].op.op, STORE_CONSENT, changed);
}

static void choosing_found(struct store_op *op)
{
  struct choosing *choosing = container_of(op, struct choosing, u.op);
  const struct customer_row *row = choosing->u.one.row;

  if (!page_person_found(choosing->req, &choosing->u.one, choosing->what.identity, &choosing->whose))
    return;
  kinds_find(choosing, row);
  topics_find(choosing);
  consents_keep(choosing, row);
  arena_free(&op->arena);
  if (choosing->posted)
    changes_find(choosing);
  if (choosing->n_changes > 0)
    changes_run(choosing);
  else
    choosing_show(choosing, choosing->posted);
}

static void choosing_start(struct api_request *req, bool posted)
{
  struct choosing *choosing = arena_alloc(req->arena, sizeof *choosing);

  choosing->req = req;
  choosing->posted = posted;
  choosing->worst = PARLEY_OK;
  if (!web_preferences_read(store_secret(req->shared->store), req->params[0], &choosing->what)) {
    page_not_found(req);
    return;
  }
  if (posted && !page_form(req, &choosing->form))
    return;
  choosing->u.one.id = choosing->what.customer;
  api_look(req, &choosing->u.op, STORE_CUSTOMER, choosing_found);
}

void api_preferences_page(struct api_request *req)
{
  choosing_start(req, false);
}

void api_preferences_save(struct api_request *req)
{
  choosing_start(req, true);
}
