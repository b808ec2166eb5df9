#include "core/base/alloc.h"
#include "core/base/text.h"
#include "fit_inner.h"
#include "text_plain.h"
#include <string.h>

bool fit_refuse(struct fit *fit, const char *code)
{
  fit->code = code;
  return false;
}

void fit_degrade(struct fit *fit, const char *word)
{
  for (size_t i = 0; i < fit->out->n_degraded; i++)
    if (fit->out->degraded[i] == word || strcmp(fit->out->degraded[i], word) == 0)
      return;
  if (fit->out->n_degraded < FIT_DEGRADED_MAX)
    fit->out->degraded[fit->out->n_degraded++] = word;
}

parley_part *fit_part_add(struct fit *fit, uint32_t kind)
{
  parley_part *part;

  if (fit->out->n_parts == FIT_PARTS_MAX)
    return NULL;
  part = arena_alloc(fit->arena, sizeof(*part));
  part->size = sizeof(*part);
  part->kind = kind;
  fit->parts[fit->out->n_parts++] = part;
  return part;
}

const parley_feature *fit_feature(const struct fit *fit, uint32_t what)
{
  const parley_feature *const *each = fit->caps->features;

  for (; each != NULL && *each != NULL; each++)
    if ((*each)->what == what)
      return *each;
  return NULL;
}

uint32_t fit_level(const parley_feature *feature)
{
  return feature != NULL ? feature->level : PARLEY_LEVEL_FALLBACK;
}

bool fit_within(const parley_feature *feature, parley_text text)
{
  if (!text_unit_holds(text, feature->unit))
    return false;
  return feature->length_max == 0 ||
         text_units(text, feature->unit, (size_t)feature->length_max + 1) <= feature->length_max;
}

void buf_html_text(struct buf *buf, parley_text text)
{
  for (size_t i = 0; i < text.len; i++) {
    switch (text.at[i]) {
    case '<':
      buf_str(buf, "&lt;");
      break;
    case '>':
      buf_str(buf, "&gt;");
      break;
    case '&':
      buf_str(buf, "&amp;");
      break;
    case '"':
      buf_str(buf, "&quot;");
      break;
    case '\n':
      buf_str(buf, "<br>");
      break;
    default:
      buf_char(buf, text.at[i]);
    }
  }
}

/* --- subject, text, html ---------------------------------------------------------------------------------------------
 */

/* *ret_head: the subject, when it goes into the text. */
static bool subject_fit(struct fit *fit, parley_text *ret_head)
{
  const parley_feature *feature = fit_feature(fit, PARLEY_FEATURE_SUBJECT);
  parley_text subject = fit->content->subject;

  switch (fit_level(feature)) {
  case PARLEY_LEVEL_NATIVE:
    if (feature->length_max > 0)
      subject.len = text_units_cut(subject, feature->unit, feature->length_max);
    if (subject.len < fit->content->subject.len)
      fit_degrade(fit, "subject_cut");
    fit->out->subject = text_trim(subject);
    return true;
  case PARLEY_LEVEL_DROP:
    fit_degrade(fit, "subject_dropped");
    return true;
  case PARLEY_LEVEL_REJECT:
    return fit_refuse(fit, "subject_not_supported");
  default: /* FALLBACK, and what a newer plugin may say */
    *ret_head = subject;
    fit_degrade(fit, "subject_to_text");
    return true;
  }
}

/* A text on its way into TEXT parts. */
struct cut {
  parley_text text;
  const parley_feature *feature;
  struct pieces pieces; /* of a feature whose parts the phone joins again */
  size_t ends[FIT_PARTS_MAX];
  bool listed; /* the channel has a TEXT entry */
};

/* Does the entry's alphabet have the text? Where the parts are joined again, one look says how it is cut as well. */
static bool cut_holds(struct cut *cut, const parley_feature *feature)
{
  size_t n_max = feature->count_max > 1 ? feature->count_max : 1;

  cut->pieces = (struct pieces){.ends = cut->ends};
  if (feature->joined_max > 0)
    return text_pieces(cut->text, feature->unit, feature->joined_max, n_max < FIT_PARTS_MAX ? n_max : FIT_PARTS_MAX, &cut->pieces);
  return text_unit_holds(cut->text, feature->unit);
}

/* ... or has it in plain characters, where the channel allows that. */
static bool cut_simplify(struct fit *fit, struct cut *cut, const parley_feature *feature)
{
  parley_text plain;

  if (!(fit->caps->flags & PARLEY_SIMPLIFY) || !text_plain(cut->text, feature->unit, fit->arena, &plain) || text_trim(plain).len == 0)
    return false;
  cut->text = plain;
  fit_degrade(fit, "text_simplified");
  return cut_holds(cut, feature);
}

/* The first TEXT entry whose alphabet has the text, or can have it; without any entry, text goes as it is. */
static void cut_choose(struct fit *fit, struct cut *cut)
{
  for (const parley_feature *const *each = fit->caps->features; each != NULL && *each != NULL; each++) {
    if ((*each)->what != PARLEY_PART_TEXT)
      continue;
    cut->listed = true;
    if (cut_holds(cut, *each) || cut_simplify(fit, cut, *each)) {
      cut->feature = *each;
      return;
    }
  }
}

static bool cut_fits(const struct cut *cut) /* in one part */
{
  uint32_t max = cut->feature->length_max;

  if (max == 0)
    return true;
  if (cut->pieces.n > 0 && cut->pieces.whole)
    return cut->pieces.units <= max;
  return text_units(cut->text, cut->feature->unit, (size_t)max + 1) <= max;
}

static bool text_part_add(struct fit *fit, parley_text text, uint32_t unit)
{
  parley_part *part = fit_part_add(fit, PARLEY_PART_TEXT);

  if (part == NULL)
    return fit_refuse(fit, "text_too_long");
  part->text = text;
  part->unit = unit;
  return true;
}

/* Pieces that the phone joins again (joined_max) are filled to the last unit. */
static bool cut_joined(struct fit *fit, const struct cut *cut)
{
  size_t from = 0;

  fit_degrade(fit, "text_split");
  if (!cut->pieces.whole)
    return fit_refuse(fit, "text_too_long");
  for (size_t i = 0; i < cut->pieces.n; from = cut->ends[i++])
    if (!text_part_add(fit, text_sub(cut->text, from, cut->ends[i] - from), cut->feature->unit))
      return false;
  return true;
}

/* Those that stand alone end behind a word. */
static bool cut_alone(struct fit *fit, const struct cut *cut)
{
  const parley_feature *feature = cut->feature;
  parley_text text = cut->text;
  size_t count = 0;

  fit_degrade(fit, "text_split");
  for (size_t len; text.len > 0; text = text_sub(text, len, SIZE_MAX)) {
    len = text_units_cut(text, feature->unit, feature->length_max);
    if (len == 0 || count++ >= (feature->count_max > 0 ? feature->count_max : 1))
      return fit_refuse(fit, "text_too_long");
    if (!text_part_add(fit, text_sub(text, 0, len), feature->unit))
      return false;
  }
  return true;
}

static bool text_fit(struct fit *fit, parley_text text)
{
  struct cut cut = {.text = text};

  cut_choose(fit, &cut);
  if (cut.feature == NULL && !cut.listed)
    return text_part_add(fit, text, PARLEY_UNIT_CODE_POINTS);
  if (cut.feature == NULL || cut.feature->level == PARLEY_LEVEL_REJECT)
    return fit_refuse(fit, "text_not_supported");
  if (cut.feature->level == PARLEY_LEVEL_DROP) {
    fit_degrade(fit, "text_dropped");
    return true;
  }
  if (cut_fits(&cut))
    return text_part_add(fit, cut.text, cut.feature->unit);
  return cut.feature->joined_max > 0 ? cut_joined(fit, &cut) : cut_alone(fit, &cut);
}

/* Head, text and tail with a blank line between. */
static parley_text text_join(struct fit *fit, parley_text head, parley_text text)
{
  const parley_text pieces[] = {head, text, buf_as_text(&fit->tail)};
  struct buf all = BUF_INIT(FIT_TEXT_BYTES_MAX);
  parley_text joined;

  if (head.len == 0 && fit->tail.len == 0)
    return text;
  for (size_t i = 0; i < COUNT_OF(pieces); i++) {
    if (pieces[i].len > 0 && all.len > 0)
      buf_str(&all, "\n\n");
    buf_text(&all, pieces[i]);
  }
  if (all.overflow)
    fit_refuse(fit, "text_too_long");
  joined = arena_text(fit->arena, buf_as_text(&all));
  buf_done(&all);
  return joined;
}

/* Where the body's content starts or ends in html: behind <body ...>, before the last </body>. */
static size_t html_body_at(parley_text html, bool end)
{
  size_t found = end ? html.len : 0;

  for (size_t i = text_find(html, '<'); i < html.len; i += 1 + text_find(text_sub(html, i + 1, SIZE_MAX), '<')) {
    if (end && text_is_nocase(text_sub(html, i, 7), "</body>"))
      found = i;
    if (!end && text_is_nocase(text_sub(html, i, 5), "<body"))
      return i + text_find(text_sub(html, i, SIZE_MAX), '>') + 1;
  }
  return found < html.len ? found : html.len;
}

static parley_text html_join(struct fit *fit, parley_text head)
{
  parley_text html = fit->content->html, joined;
  size_t from = html_body_at(html, false), end = html_body_at(html, true);
  struct buf all = BUF_INIT(FIT_TEXT_BYTES_MAX);

  if (head.len == 0 && fit->html_tail.len == 0)
    return html;
  from = from < end ? from : 0;
  buf_text(&all, text_sub(html, 0, from));
  if (head.len > 0) {
    buf_str(&all, "<p><b>");
    buf_html_text(&all, head);
    buf_str(&all, "</b></p>");
  }
  buf_text(&all, text_sub(html, from, end - from));
  buf_text(&all, buf_as_text(&fit->html_tail));
  buf_text(&all, text_sub(html, end, SIZE_MAX));
  if (all.overflow)
    fit_refuse(fit, "text_too_long");
  joined = arena_text(fit->arena, buf_as_text(&all));
  buf_done(&all);
  return joined;
}

/* Will there be an HTML part? False with fit->code when the channel must not do without. */
static bool html_choose(struct fit *fit)
{
  const parley_feature *feature = fit_feature(fit, PARLEY_PART_HTML);
  parley_text html = fit->content->html;
  bool text = text_trim(fit->content->text).len > 0;

  if (html.len == 0)
    return true;
  if (fit_level(feature) == PARLEY_LEVEL_REJECT && !text)
    return fit_refuse(fit, "html_not_supported");
  fit->html_carried = fit_level(feature) == PARLEY_LEVEL_NATIVE && fit_within(feature, html);
  if (!fit->html_carried && !text) /* a text that was given says the same: nothing is lost */
    fit_degrade(fit, fit_level(feature) == PARLEY_LEVEL_DROP ? "html_dropped" : "html_to_text");
  return true;
}

/* The words without head and tail: the text given, or what the html says. */
static parley_text words_of(struct fit *fit)
{
  const parley_feature *html = fit_feature(fit, PARLEY_PART_HTML);
  const parley_feature *text = fit_feature(fit, PARLEY_PART_TEXT);

  if (text_trim(fit->content->text).len > 0)
    return fit->content->text;
  if (fit->content->html.len == 0 || (!fit->html_carried && fit_level(html) == PARLEY_LEVEL_DROP))
    return TEXT_EMPTY;
  if (fit->html_carried && text != NULL && text->level != PARLEY_LEVEL_NATIVE)
    return TEXT_EMPTY; /* html alone is what the channel wants */
  return html_to_text(fit->content->html, fit->arena);
}

static bool words_fit(struct fit *fit, parley_text head)
{
  parley_text words = text_join(fit, head, words_of(fit));
  parley_text html = fit->html_carried ? html_join(fit, head) : TEXT_EMPTY;
  parley_part *part;

  if (fit->code != NULL || (text_trim(words).len > 0 && !text_fit(fit, words)))
    return false;
  if (!fit->html_carried)
    return true;
  part = fit_part_add(fit, PARLEY_PART_HTML);
  if (part == NULL)
    return fit_refuse(fit, "text_too_long");
  part->text = html;
  if (html.len > CONTENT_CLIPPED_BYTES && fit->caps->channel_kind != NULL && strcmp(fit->caps->channel_kind, "email") == 0)
    fit_degrade(fit, "html_clipped");
  return true;
}

/* Puts the parts made since `from` before the others. */
static void parts_rotate(struct fit *fit, size_t from)
{
  const parley_part *others[FIT_PARTS_MAX];
  size_t words = fit->out->n_parts - from;

  memcpy(others, fit->parts, from * sizeof(*others));
  memmove(fit->parts, fit->parts + from, words * sizeof(*others));
  memcpy(fit->parts + words, others, from * sizeof(*others));
}

/* What falls back must be known before the text is cut, though text parts come first. */
static bool fit_all(struct fit *fit)
{
  parley_text head = TEXT_EMPTY;
  size_t others;

  if (!html_choose(fit) || (fit->content->subject.len > 0 && !subject_fit(fit, &head)) || !fit_extra(fit))
    return false;
  others = fit->out->n_parts;
  if (!words_fit(fit, head))
    return false;
  parts_rotate(fit, others);
  return fit->out->n_parts > 0 || fit_refuse(fit, "nothing_left");
}

parley_status fit_content(const struct content *content, const parley_capabilities *caps, struct arena *arena,
                          fit_media_url *media_url, void *arg, struct fitted *ret, const char **reterr_code)
{
  struct fitted out = {.subject = TEXT_EMPTY};
  struct fit fit = {.content = content,
                    .caps = caps,
                    .arena = arena,
                    .media_url = media_url,
                    .arg = arg,
                    .out = &out,
                    .tail = BUF_INIT(FIT_TEXT_BYTES_MAX),
                    .html_tail = BUF_INIT(FIT_TEXT_BYTES_MAX)};
  bool good;

  fit.parts = arena_alloc(arena, FIT_PARTS_MAX * sizeof(*fit.parts));
  good = fit_all(&fit);
  buf_done(&fit.tail);
  buf_done(&fit.html_tail);
  if (!good) {
    *reterr_code = fit.code;
    return PARLEY_REJECTED;
  }
  out.parts = fit.parts;
  *ret = out;
  return PARLEY_OK;
}
