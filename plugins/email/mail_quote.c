#include "mail_quote.h"
#include "mail_word.h"
#include <stdbool.h>
#include <stdlib.h>

enum {
  SIGNATURE_LINES_MAX = 15, /* beneath "-- " */
  ATTRIBUTION_LINES_MAX = 3,
  ATTRIBUTION_BYTES_MAX = 400,
  HEADER_LINES_LOOKED_AT = 7, /* of a block as "From: ... Sent: ... To: ... Subject: ..." */
  HEADER_LINES_NEEDED = 3,
  TAG_BYTES_MAX = 600
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static parley_text line_at(parley_text text, size_t at) /* without its LF and trailing spaces */
{
  const char *end = at < text.len ? memchr(text.at + at, '\n', text.len - at) : NULL;
  parley_text line = {text.at + at, (end != NULL ? (size_t)(end - text.at) : text.len) - at};

  while (line.len > 0 && (line.at[line.len - 1] == ' ' || line.at[line.len - 1] == '\t'))
    line.len--;
  return line;
}

static size_t line_next(parley_text text, size_t at) /* begin of the next line, text.len behind the last */
{
  const char *end = at < text.len ? memchr(text.at + at, '\n', text.len - at) : NULL;

  return end != NULL ? (size_t)(end - text.at) + 1 : text.len;
}

static bool is_blank(parley_text line)
{
  for (size_t i = 0; i < line.len; i++)
    if (line.at[i] != ' ' && line.at[i] != '\t' && (unsigned char)line.at[i] < 0x80)
      return false;
  return line.len == 0 || (unsigned char)line.at[0] < 0x80;
}

static bool is_cited(parley_text line)
{
  size_t i = 0;

  while (i < line.len && line.at[i] == ' ' && i < 3)
    i++;
  return i < line.len && line.at[i] == '>';
}

static bool contains(parley_text text, const char *word) /* ASCII letters in either case */
{
  size_t len = strlen(word);

  for (size_t i = 0; i + len <= text.len; i++)
    if (mail_word_same((parley_text){text.at + i, len}, (parley_text){word, len}))
      return true;
  return false;
}

/* --- Marks of a history ------------------------------------------------------------------------------------------- */
/* "-----Original Message-----" */
static bool is_original_line(parley_text line)
{
  static const char *const words[] = {"original message",     "original appointment",   "mensaje original",
                                      "mensagem original",    "message d'origine",      "message original",
                                      "messaggio originale",  "rsprüngliche nachricht", "orspronkelijk bericht",
                                      "opprinnelig melding",  "oprindelig meddelelse",  "missatge original",
                                      "wiadomość oryginalna", "forwarded message",      "alkuperäinen viesti"};

  if (line.len < 12 || line.len > 100 || line.at[0] != '-' || line.at[1] != '-')
    return false;
  for (size_t i = 0; i < COUNT(words); i++)
    if (contains(line, words[i]))
      return true;
  return false;
}

static bool is_header_line(parley_text line)
{
  static const char *const names[] = {
      "from:",    "sent:",    "date:",   "to:",      "cc:",      "subject:",   "de:",       "enviado:",   "enviado el:",
      "fecha:",   "para:",    "asunto:", "assunto:", "data:",    "von:",       "gesendet:", "datum:",     "an:",
      "betreff:", "envoyé :", "envoyé:", "date :",   "de :",     "à :",        "à:",        "objet :",    "objet:",
      "da:",      "inviato:", "a:",      "oggetto:", "van:",     "verzonden:", "aan:",      "onderwerp:", "fra:",
      "sendt:",   "til:",     "emne:",   "från:",    "skickat:", "till:",      "ämne:"};
  parley_text bare = line;

  if (bare.len > 0 && bare.at[0] == '*') /* *From:* */
    bare.at++, bare.len--;
  for (size_t i = 0; i < COUNT(names); i++)
    if (mail_word_begins(bare, names[i]))
      return true;
  return false;
}

static bool is_header_block(parley_text text, size_t at)
{
  static const char *const first[] = {
      "from:", "*from:", "de:", "de :", "*de:", "von:", "*von:", "da:", "*da:", "van:", "fra:", "från:"};
  const parley_text top = line_at(text, at);
  uint32_t found = 0;
  bool starts = false;

  if (memchr(top.at, ':', top.len) == NULL)
    return false;
  for (size_t i = 0; i < COUNT(first) && !starts; i++)
    starts = mail_word_begins(top, first[i]);
  for (uint32_t i = 0; starts && i < HEADER_LINES_LOOKED_AT && at < text.len; i++, at = line_next(text, at)) {
    parley_text line = line_at(text, at);

    if (line.len == 0)
      break;
    found += is_header_line(line);
  }
  return found >= HEADER_LINES_NEEDED;
}

/* "On Monday Ana <ana@example.org> wrote:", perhaps over several lines: where it ends, or 0. */
static size_t attribution_end(parley_text text, size_t at)
{
  static const char *const verbs[] = {
      "wrote:",    "wrote :",  "escribió:",           "escribio:",   "schrieb:",  "schrieb ",
      "a écrit :", "a écrit:", "a \u00e9crit\u00a0:", "ha scritto:", "schreef:",  "escreveu:",
      "skrev:",    "napisał",  "va escriure:",        "kirjoitti:",  "idatzi du:"};
  static const char *const starts[] = {"on ",  "el ", "am ",    "le ",  "il ", "op ", "em ",
                                       "den ", "on:", "w dniu", "dnia", "pe ", "20"};
  parley_text line = line_at(text, at);
  size_t end = at;
  bool starting = memchr(line.at, '@', line.len) != NULL;

  if (line.len > ATTRIBUTION_BYTES_MAX)
    return 0;
  for (size_t i = 0; i < COUNT(starts) && !starting; i++)
    starting = mail_word_begins(line, starts[i]);
  for (uint32_t n = 0; starting && n < ATTRIBUTION_LINES_MAX && end < text.len; n++) {
    line = line_at(text, end);
    end = line_next(text, end);
    if (line.len == 0 || end - at > ATTRIBUTION_BYTES_MAX)
      return 0;
    for (size_t i = 0; i < COUNT(verbs); i++)
      if (line.at[line.len - 1] == ':' && contains(line, verbs[i]))
        return end;
  }
  return 0;
}

/* From here on nothing but cited and blank lines: where that ends. */
static size_t cited_end(parley_text text, size_t at)
{
  size_t end = at;

  while (at < text.len) {
    parley_text line = line_at(text, at);

    if (!is_cited(line) && !is_blank(line))
      break;
    at = line_next(text, at);
    if (is_cited(line))
      end = at;
  }
  return end;
}

static bool rest_is_blank(parley_text text, size_t at)
{
  for (; at < text.len; at = line_next(text, at))
    if (!is_blank(line_at(text, at)))
      return false;
  return true;
}

static bool is_signature_line(parley_text text, size_t at)
{
  return at + 2 <= text.len && text.at[at] == '-' && text.at[at + 1] == '-' && line_at(text, at).len == 2;
}

/* A signature: few lines, and behind them nothing, or the history that stands there already. */
static bool signature_fits(parley_text text, size_t at, size_t until)
{
  uint32_t lines = 0;

  for (at = line_next(text, at); at < until; at = line_next(text, at))
    lines += line_at(text, at).len > 0;
  return lines <= SIGNATURE_LINES_MAX;
}

/* --- Text --------------------------------------------------------------------------------------------------------- */
/* Does the history begin with this line? It must go on to the end: else somebody answered between its lines. */
static bool history_begins(parley_text text, size_t at, size_t *cited_until)
{
  parley_text line = line_at(text, at);
  size_t end;

  if (is_original_line(line) || is_header_block(text, at))
    return true;
  if (line.len >= 20 && line.at[0] == '_' && line.at[line.len - 1] == '_' && is_header_block(text, line_next(text, at)))
    return true;
  if (is_cited(line)) {
    if (at < *cited_until) /* within a block that was looked at and goes not to the end */
      return false;
    *cited_until = cited_end(text, at);
    return rest_is_blank(text, *cited_until) || is_signature_line(text, *cited_until);
  }
  end = attribution_end(text, at);
  if (end == 0)
    return false;
  while (end < text.len && is_blank(line_at(text, end)))
    end = line_next(text, end);
  if (end == text.len)
    return true;
  if (!is_cited(line_at(text, end)))
    return false;
  return rest_is_blank(text, cited_end(text, end));
}

/* A mail that begins with what it answers: where that ends; 0: it does not. */
static size_t leading_history(parley_text text)
{
  size_t at = 0, end;

  while (at < text.len && is_blank(line_at(text, at)))
    at = line_next(text, at);
  end = attribution_end(text, at);
  if (end != 0)
    at = end;
  while (at < text.len && is_blank(line_at(text, at)))
    at = line_next(text, at);
  if (at == text.len || !is_cited(line_at(text, at)))
    return 0;
  end = cited_end(text, at);
  for (at = end; at < text.len; at = line_next(text, at))
    if (is_cited(line_at(text, at)))
      return 0; /* goes on between the lines */
  return rest_is_blank(text, end) ? 0 : end;
}

void mail_quote_text(parley_text text, size_t *ret_begin, size_t *ret_end)
{
  size_t begin = leading_history(text), end = text.len, signature = text.len, cited_until = 0;

  for (size_t at = begin; at < text.len; at = line_next(text, at)) {
    if (is_signature_line(text, at))
      signature = at; /* the last one counts */
    if (history_begins(text, at, &cited_until)) {
      end = at;
      break;
    }
  }
  if (signature < end && signature_fits(text, signature, end))
    end = signature;
  while (end > begin && (text.at[end - 1] == '\n' || text.at[end - 1] == ' '))
    end--;
  if (rest_is_blank((parley_text){text.at, end}, begin)) /* nothing was written: a bare forward, a lone signature */
    begin = 0, end = text.len;
  *ret_begin = begin;
  *ret_end = end;
}

/* --- HTML --------------------------------------------------------------------------------------------------------- */
/* Of div and blockquote: no mail program marks it elsewhere. */
static bool is_history_tag(parley_text tag)
{
  static const char *const marks[] = {"class=\"gmail_quote",
                                      "class=gmail_quote",
                                      "type=\"cite\"",
                                      "type=cite",
                                      "id=\"appendonsend\"",
                                      "id=appendonsend",
                                      "id=\"divrplyfwdmsg\"",
                                      "id=divrplyfwdmsg",
                                      "class=\"yahoo_quoted",
                                      "class=\"moz-cite-prefix",
                                      "class=\"protonmail_quote",
                                      "id=\"olk_src_body_section\"",
                                      "name=\"quote\"",
                                      "id=\"mail-editor-reference-message-container\"",
                                      "border:none;border-top:solid #"};

  char low[TAG_BYTES_MAX];

  if (!mail_word_begins(tag, "<div") && !mail_word_begins(tag, "<blockquote"))
    return false;
  for (size_t i = 0; i < tag.len; i++)
    low[i] = tag.at[i] >= 'A' && tag.at[i] <= 'Z' ? (char)(tag.at[i] | 0x20) : tag.at[i];
  for (size_t i = 0; i < COUNT(marks); i++)
    if (memmem(low, tag.len, marks[i], strlen(marks[i])) != NULL)
      return true;
  return false;
}

/* Anything to be read there, outside of tags, style and head? */
static bool shows_text(parley_text html)
{
  bool within_tag = false, hidden = false;

  for (size_t i = 0; i < html.len; i++) {
    parley_text rest = {html.at + i, html.len - i};

    if (html.at[i] == '<') {
      within_tag = true;
      if (mail_word_begins(rest, "<style") || mail_word_begins(rest, "<head") || mail_word_begins(rest, "<script"))
        hidden = true;
      else if (mail_word_begins(rest, "</style") || mail_word_begins(rest, "</head") || mail_word_begins(rest, "</script") ||
               mail_word_begins(rest, "<body"))
        hidden = false;
    } else if (html.at[i] == '>' && within_tag) {
      within_tag = false;
    } else if (!within_tag && !hidden && (unsigned char)html.at[i] > ' ' && !mail_word_begins(rest, "&nbsp;")) {
      return true;
    } else if (!within_tag && mail_word_begins(rest, "&nbsp;")) {
      i += 5;
    }
  }
  return false;
}

size_t mail_quote_html(parley_text html)
{
  for (size_t i = 0; i < html.len; i++) {
    const char *open = memchr(html.at + i, '<', html.len - i), *close;
    size_t at = open != NULL ? (size_t)(open - html.at) : html.len, len = html.len - at;

    if (at == html.len)
      break;
    i = at;
    if (len > TAG_BYTES_MAX)
      len = TAG_BYTES_MAX;
    if (len < 4 || (html.at[at + 1] | 0x20) < 'a' || (html.at[at + 1] | 0x20) > 'z')
      continue;
    close = memchr(open, '>', len);
    if (close == NULL || !is_history_tag((parley_text){open, (size_t)(close - open)}))
      continue;
    return shows_text((parley_text){html.at, at}) ? at : html.len;
  }
  return html.len;
}
