#include "keyword.h"
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

const char *keyword_name(enum keyword keyword)
{
  static const char *const names[KEYWORDS] = {[KEYWORD_STOP] = "stop", [KEYWORD_START] = "start", [KEYWORD_HELP] = "help"};

  return keyword < KEYWORDS ? names[keyword] : NULL;
}

/* --- Folding ------------------------------------------------------------------------------------------------------ */

static bool is_accent(uint32_t code)
{
  return code >= 0x300 && code <= 0x36f;
}

/* What nobody sees: soft hyphens, joints, marks of direction, selectors of pictures. */
static bool is_unseen(uint32_t code)
{
  return code == 0xad || (code >= 0x200b && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || (code >= 0xfe00 && code <= 0xfe0f) || code == 0xfeff ||
         (code >= 0xe0000 && code <= 0xe007f);
}

/* What separates words: spaces of all widths, hyphens and dashes. */
static bool is_gap(uint32_t code)
{
  return code <= 0x20 || code == '-' || code == '_' || code == 0x7f || code == 0xa0 || (code >= 0x2000 && code <= 0x2015) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x2212 || code == 0x3000;
}

/* An apostrophe joins: "don't" is "dont". */
static bool is_apostrophe(uint32_t code)
{
  return code == '\'' || code == '`' || code == 0x2018 || code == 0x2019 || code == 0x2bc || code == 0xb4;
}

/* Arrows, signs and emoji: "STOP" with a stop sign behind it is STOP. */
static bool is_picture(uint32_t code)
{
  return (code >= 0x2190 && code <= 0x2bff) || (code >= 0x1f000 && code <= 0x1faff) || code == 0x20e3;
}

static bool is_mark(uint32_t code)
{
  return is_picture(code) || (code > 0x20 && code < '0') || (code > '9' && code < 'A') || (code > 'Z' && code < 'a') ||
         (code > 'z' && code < 0x7f) || code == 0xa1 || code == 0xab || code == 0xb7 || code == 0xbb || code == 0xbf ||
         (code >= 0x2016 && code <= 0x2027) || (code >= 0x2030 && code <= 0x205e) || (code >= 0x3001 && code <= 0x3003) ||
         (code >= 0x3008 && code <= 0x3011) || code == 0xff01 || code == 0xff0c || code == 0xff0e || code == 0xff1f;
}

struct fold { struct buf text; bool gap, marks_are_gaps; };

static void fold_put(struct fold *fold, uint32_t code)
{
  if (is_accent(code) || is_apostrophe(code) || is_unseen(code))
    return;
  if (is_gap(code) || (fold->marks_are_gaps && is_mark(code))) {
    fold->gap = fold->text.len > 0;
    return;
  }
  if (fold->gap)
    buf_char(&fold->text, ' ');
  fold->gap = false;
  buf_utf8(&fold->text, code);
}

/* Caseless and decomposed (Unicode 3.13, D146), then without accents. */
static parley_text folded(parley_text text, bool marks_are_gaps, size_t bytes_max, struct arena *arena)
{
  struct fold fold = {.text = BUF_INIT(0), .marks_are_gaps = marks_are_gaps};
  parley_text plain = {NULL, 0}, kept;

  if (text.len == 0 || text.len > bytes_max || !text_utf8_ok(text))
    return TEXT_EMPTY;
  plain.at = (const char *)u8_casefold((const uint8_t *)text.at, text.len, NULL, UNINORM_NFKD, NULL, &plain.len);
  for (size_t pos = 0; plain.at != NULL && pos < plain.len;)
    fold_put(&fold, text_utf8_next(plain, &pos));
  free((void *)(uintptr_t)plain.at);
  kept = arena_text(arena, buf_as_text(&fold.text));
  buf_done(&fold.text);
  return kept;
}

static bool is_mark_or_gap(uint32_t code)
{
  return is_mark(code) || is_gap(code);
}

/* Marks off both ends; those within stay, so that "end: 5 pm" is no keyword. */
static parley_text without_marks(parley_text text)
{
  size_t from = text.len, to = 0, pos = 0;

  while (pos < text.len) {
    size_t at = pos;

    if (is_mark_or_gap(text_utf8_next(text, &pos)))
      continue;
    if (from == text.len)
      from = at;
    to = pos;
  }
  return from < to ? text_sub(text, from, to - from) : TEXT_EMPTY;
}

parley_text keyword_fold(parley_text text, struct arena *arena)
{
  return arena_text(arena, without_marks(folded(text, false, KEYWORD_BYTES_MAX, arena)));
}

/* --- The words ---------------------------------------------------------------------------------------------------- */

static const struct { const char *word, *locale; enum keyword means; } built_in[] = {
    {"stop", "", KEYWORD_STOP},     {"stopall", "", KEYWORD_STOP}, {"stop all", "", KEYWORD_STOP},
    {"unsubscribe", "", KEYWORD_STOP}, {"cancel", "", KEYWORD_STOP}, {"end", "", KEYWORD_STOP},
    {"quit", "", KEYWORD_STOP},     {"revoke", "", KEYWORD_STOP},  {"optout", "", KEYWORD_STOP},
    {"opt out", "", KEYWORD_STOP},  {"remove", "", KEYWORD_STOP},  {"arret", "fr", KEYWORD_STOP},
    {"arrete", "fr", KEYWORD_STOP}, {"start", "", KEYWORD_START},  {"unstop", "", KEYWORD_START},
    {"help", "", KEYWORD_HELP},     {"info", "", KEYWORD_HELP},    {"aide", "fr", KEYWORD_HELP},
};

enum keyword keyword_built_in(parley_text word, parley_text *ret_locale)
{
  for (size_t i = 0; i < COUNT_OF(built_in); i++) {
    if (!parley_text_is(word, built_in[i].word))
      continue;
    if (ret_locale != NULL)
      *ret_locale = parley_text_of(built_in[i].locale);
    return built_in[i].means;
  }
  return KEYWORD_NONE;
}

enum keyword keyword_of(const struct keywords *keywords, parley_text text, struct arena *arena, parley_text *ret_locale)
{
  parley_text word = keyword_fold(text, arena);
  enum keyword means;

  *ret_locale = TEXT_EMPTY;
  if (word.len == 0)
    return KEYWORD_NONE;
  means = keyword_built_in(word, ret_locale);
  for (size_t i = 0; means == KEYWORD_NONE && i < keywords->n_words; i++)
    if (text_eq(keywords->words[i].word, word))
      means = keywords->words[i].means;
  return means;
}

/* --- Wordings that may mean STOP ---------------------------------------------------------------------------------- */

/* Words in a row, anywhere in the message. */
static const char *const phrases[] = {
    /* en */
    "stop texting", "stop text", "stop texts", "stop the texts", "stop sending", "stop send", "stop messaging", "stop messages",
    "stop the messages", "stop message", "stop msg", "stop sms", "stop contacting", "stop calling", "stop writing", "stop bothering",
    "stop spam", "stop spamming", "stop this", "stop these", "stop all", "stop it", "stop now",
    "stop thanks", "stop thank you", "stop thx", "stop stop", "please stop", "pls stop", "plz stop", "just stop", "quit texting",
    "quit sending", "quit messaging", "quit contacting", "end these", "end this subscription", "end texts", "end messages",
    "cancel texts", "cancel messages", "cancel these", "cancel my subscription", "cancel subscription", "dont text", "do not text",
    "dont message", "do not message", "dont contact", "do not contact", "no more texts", "no more text", "no more messages",
    "no more sms", "no more of these", "unsubscribe", "unsubscribe me", "opt out", "optout", "opt me out", "remove me",
    "remove my number", "remove my phone", "dont send me", "do not send me", "take me off", "leave me alone", "revoke my consent",
    "revoke consent", "lose my number", "delete my number", "dont want these", "dont want any", "do not want these",
    "do not want any", "stop receiving",
    /* es */
    "no mas mensajes", "no me envien", "no me envie", "no me manden", "no envien", "no enviar", "dejen de", "deja de enviar",
    "deje de enviar", "darme de baja", "dar de baja", "dame de baja", "denme de baja", "no quiero mas", "no quiero recibir",
    "borrenme", "borrame", "eliminenme", "cancelar suscripcion",
    /* fr */
    "arretez", "arretez de", "desabonner", "desabonnez", "desinscrire", "desinscrivez", "ne plus recevoir", "menvoyez plus",
    "ne plus menvoyer", "plus de sms", "plus de messages",
    /* de */
    "abmelden", "abbestellen", "austragen", "keine nachrichten mehr", "keine sms mehr", "keine weiteren nachrichten",
    "keine weiteren sms", "nicht mehr schreiben", "schreiben sie mir nicht", "schreibt mir nicht", "hort auf", "horen sie auf",
    "bitte nicht mehr", "widerrufe",
    /* pt */
    "parem de", "pare de enviar", "pare de mandar", "nao quero receber", "nao quero mais", "nao envie mais", "nao enviem mais",
    "cancelar inscricao", "descadastrar", "me remova", "me removam",
    /* it */
    "disiscrivermi", "disiscrivetemi", "cancellatemi", "cancellami", "non inviatemi", "non mandatemi", "non voglio piu",
    "smettete di", "smettetela",
    /* nl */
    "afmelden", "uitschrijven", "geen berichten meer", "geen sms meer", "stop met",
};
/* The whole message: slips of the pen, and words of other languages that nobody has configured. */
static const char *const alone[] = {
    "stop please", "stop pls", "stop plz", "stpo", "sotp",
    "tsop", "stp", "stopp", "stoop", "stopt", "stops", "unsub", "unsuscribe", "unsubcribe",
    "unsubscribed", "no more",
    "no mas", "baja", "parar", "sair", "basta", "fin", "ende", "stoppen", "halt", "annuler", "cancelar", "abbruch", "please cancel",
};

/* " please stop texting me " holds " stop texting ". */
static bool has_phrase(parley_text spaced, const char *phrase)
{
  struct buf needle = BUF_INIT(128);
  size_t at;

  buf_char(&needle, ' ');
  buf_str(&needle, phrase);
  buf_char(&needle, ' ');
  at = text_find_text(spaced, buf_as_text(&needle));
  buf_done(&needle);
  return at != SIZE_MAX && at < spaced.len;
}

static bool is_alone(parley_text words)
{
  for (size_t i = 0; i < COUNT_OF(alone); i++)
    if (parley_text_is(words, alone[i]))
      return true;
  return false;
}

bool keyword_may_mean_stop(const struct keywords *keywords, parley_text text, struct arena *arena)
{
  parley_text locale, words = folded(text, true, KEYWORD_REVIEW_BYTES_MAX, arena);
  struct buf spaced = BUF_INIT(0);
  bool found;

  if (words.len == 0 || keyword_of(keywords, text, arena, &locale) != KEYWORD_NONE)
    return false;
  found = is_alone(words);
  buf_char(&spaced, ' ');
  buf_text(&spaced, words);
  buf_char(&spaced, ' ');
  for (size_t i = 0; !found && i < COUNT_OF(phrases); i++)
    found = has_phrase(buf_as_text(&spaced), phrases[i]);
  buf_done(&spaced);
  return found;
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

/* Nothing but what it is about: no offer may stand in a confirmation. In the GSM alphabet (which has é, but neither á, í nor ã), so
 * that each is one segment, with the name of a business before it, too. */
static const struct { const char *locale, *texts[KEYWORDS]; } ours[] = {
    {"en", {[KEYWORD_STOP] = "You will get no more messages at this number. Reply START to get them again.",
            [KEYWORD_START] = "You will get messages at this number again. Reply STOP to end them.",
            [KEYWORD_HELP] = "Automatic messages for our customers. Reply STOP to get no more of them."}},
    {"es", {[KEYWORD_STOP] = "Ya no le enviaremos mensajes a este teléfono. Responda START para recibirlos de nuevo.",
            [KEYWORD_START] = "Le enviaremos de nuevo mensajes a este teléfono. Responda STOP para no recibirlos.",
            [KEYWORD_HELP] = "Mensajes para nuestros clientes, enviados por un programa. Responda STOP para no recibirlos."}},
    {"fr", {[KEYWORD_STOP] = "Vous ne recevrez plus de messages à ce numéro. Répondez START pour en recevoir à nouveau.",
            [KEYWORD_START] = "Vous recevrez à nouveau des messages à ce numéro. Répondez STOP pour ne plus en recevoir.",
            [KEYWORD_HELP] = "Messages automatiques pour nos clients. Répondez STOP pour ne plus en recevoir."}},
    {"de", {[KEYWORD_STOP] = "Sie erhalten unter dieser Nummer keine Nachrichten mehr. Mit START kommen sie wieder.",
            [KEYWORD_START] = "Sie erhalten unter dieser Nummer wieder Nachrichten. Mit STOP enden sie.",
            [KEYWORD_HELP] = "Automatische Nachrichten für unsere Kunden. Mit STOP enden sie."}},
    {"pt", {[KEYWORD_STOP] = "Deixamos de enviar mensagens para este telefone. Responda START para voltar a receber.",
            [KEYWORD_START] = "Voltamos a enviar mensagens para este telefone. Responda STOP para deixar de receber.",
            [KEYWORD_HELP] = "Mensagens para os nossos clientes, enviadas por um programa. Responda STOP para deixar de receber."}},
    {"it", {[KEYWORD_STOP] = "Non riceverà più messaggi a questo numero. Risponda START per riceverli di nuovo.",
            [KEYWORD_START] = "Riceverà di nuovo messaggi a questo numero. Risponda STOP per non riceverli più.",
            [KEYWORD_HELP] = "Messaggi automatici per i nostri clienti. Risponda STOP per non riceverli più."}},
    {"nl", {[KEYWORD_STOP] = "U krijgt geen berichten meer op dit nummer. Antwoord START om ze weer te krijgen.",
            [KEYWORD_START] = "U krijgt weer berichten op dit nummer. Antwoord STOP om ze niet meer te krijgen.",
            [KEYWORD_HELP] = "Automatische berichten voor onze klanten. Antwoord STOP om ze niet meer te krijgen."}},
};

static parley_text language_of(parley_text locale)
{
  size_t at = text_find(locale, '-');

  return text_sub(locale, 0, at);
}

static const struct keyword_text *text_given(const struct keywords *keywords, enum keyword to, parley_text locale)
{
  for (size_t i = 0; locale.len > 0 && i < keywords->n_texts; i++)
    if (keywords->texts[i].to == to && text_eq_nocase(keywords->texts[i].locale, locale))
      return &keywords->texts[i];
  return NULL;
}

static const char *text_of_ours(enum keyword to, parley_text language)
{
  for (size_t i = 0; i < COUNT_OF(ours); i++)
    if (text_is_nocase(language, ours[i].locale))
      return ours[i].texts[to];
  return NULL;
}

static parley_text headed(const struct keywords *keywords, const char *text, struct arena *arena)
{
  struct buf whole = BUF_INIT(0);
  parley_text kept;

  if (keywords->name.len > 0) {
    buf_text(&whole, keywords->name);
    buf_str(&whole, ": ");
  }
  buf_str(&whole, text);
  kept = arena_text(arena, buf_as_text(&whole));
  buf_done(&whole);
  return kept;
}

parley_text keyword_answer(const struct keywords *keywords, enum keyword to, parley_text locale, parley_text spoken,
                           struct arena *arena)
{
  const parley_text wanted[] = {locale,          language_of(locale),          locale.len == 0 ? spoken : TEXT_EMPTY,
                                keywords->locale, language_of(keywords->locale), PARLEY_LIT("en")};
  const struct keyword_text *given = NULL;
  const char *text = NULL;

  for (size_t i = 0; given == NULL && i < COUNT_OF(wanted); i++)
    given = text_given(keywords, to, wanted[i]);
  for (size_t i = 0; text == NULL && i < COUNT_OF(wanted); i++)
    text = text_of_ours(to, wanted[i]);
  return given != NULL ? given->text : headed(keywords, text, arena);
}
