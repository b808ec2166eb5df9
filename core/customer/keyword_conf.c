/* What each channel listens to, out of the configuration. */
#include "keyword_conf.h"
#include "core/base/text.h"

_Static_assert(CONF_KEYWORD_BYTES_MAX <= KEYWORD_BYTES_MAX, "a longer word would never be heard");

struct building {
  const struct conf *conf;
  struct arena *arena;
  struct buf *why; /* NULL: it has been checked */
  const struct conf_keyword_channel *own; /* of the channel; NULL: it is not named */
  struct keyword_word *words;
  struct keyword_text *texts;
  size_t n_words, n_texts;
};

static const struct conf_keyword_channel *own_of(const struct conf *conf, parley_text channel)
{
  for (size_t i = 0; i < conf->keywords.n_channels; i++)
    if (text_eq(conf->keywords.channels[i].name, channel))
      return &conf->keywords.channels[i];
  return NULL;
}

bool keywords_listen(const struct conf *conf, parley_text channel, parley_text channel_kind)
{
  const struct conf_keyword_channel *own = own_of(conf, channel);

  return own != NULL ? own->listen : parley_text_is(channel_kind, "sms");
}

/* --- Words: each means one thing ---------------------------------------------------------------------------------- */

static enum keyword meaning_of(const struct building *building, parley_text folded)
{
  enum keyword means = keyword_built_in(folded, NULL);

  for (size_t i = 0; means == KEYWORD_NONE && i < building->n_words; i++)
    if (text_eq(building->words[i].word, folded))
      means = building->words[i].means;
  return means;
}

static bool word_bad(const struct building *building, parley_text word, const char *what)
{
  const struct conf_keywords *all = &building->conf->keywords;

  if (building->why == NULL)
    return false;
  yaml_error(building->conf->file, building->own != NULL ? building->own->line : all->line,
             building->own != NULL ? building->own->col : all->col, building->why, "keywords: '%.*s' %s", TEXT_ARG(word), what);
  return false;
}

static bool words_add(struct building *building, const struct conf_words *words, enum keyword means)
{
  bool ok = true;

  for (size_t i = 0; i < words->n; i++) {
    parley_text folded = keyword_fold(words->at[i], building->arena);
    enum keyword there = meaning_of(building, folded);

    if (folded.len == 0)
      ok = word_bad(building, words->at[i], "has no letter and no digit");
    else if (there != KEYWORD_NONE && there != means)
      ok = word_bad(building, words->at[i], "means something else already");
    else if (there == KEYWORD_NONE)
      building->words[building->n_words++] = (struct keyword_word){folded, means};
  }
  return ok;
}

static size_t words_of(const struct conf_keyword_set *set)
{
  return set->stop.n + set->start.n + set->help.n;
}

/* --- Texts -------------------------------------------------------------------------------------------------------- */

static void text_add(struct building *building, parley_text locale, parley_text text, enum keyword to)
{
  struct arena *arena = building->arena;

  if (text.len > 0)
    building->texts[building->n_texts++] = (struct keyword_text){arena_text(arena, locale), arena_text(arena, text), to};
}

static bool set_add(struct building *building, const struct conf_keyword_set *set)
{
  bool ok = words_add(building, &set->stop, KEYWORD_STOP);

  ok &= words_add(building, &set->start, KEYWORD_START);
  ok &= words_add(building, &set->help, KEYWORD_HELP);
  for (size_t i = 0; i < set->n_texts; i++) {
    text_add(building, set->texts[i].name, set->texts[i].stop, KEYWORD_STOP);
    text_add(building, set->texts[i].name, set->texts[i].start, KEYWORD_START);
    text_add(building, set->texts[i].name, set->texts[i].help, KEYWORD_HELP);
  }
  return ok;
}

/* --- One channel, or (without one of its own) all of them ---------------------------------------------------------- */

/* Its own stand before those of all: the first text that fits is taken. */
static bool keywords_make(struct building *building, struct keywords *ret)
{
  static const struct conf_keyword_set none;
  const struct conf_keywords *all = &building->conf->keywords;
  const struct conf_keyword_set *own = building->own != NULL ? &building->own->set : &none;
  struct arena *arena = building->arena;
  bool ok;

  building->words = arena_alloc(arena, (words_of(own) + words_of(&all->set)) * sizeof *building->words);
  building->texts = arena_alloc(arena, (own->n_texts + all->set.n_texts) * (KEYWORDS - 1) * sizeof *building->texts);
  ok = set_add(building, own);
  ok &= set_add(building, &all->set);
  *ret = (struct keywords){.n_words = building->n_words,
                           .n_texts = building->n_texts,
                           .words = building->words,
                           .texts = building->texts,
                           .name = arena_text(arena, building->conf->pages.name),
                           .locale = arena_text(arena, building->conf->locale),
                           .answers = building->own != NULL ? building->own->answer : all->answer,
                           .help_every_ms = all->help_every_ms};
  return ok;
}

static bool one_checked(const struct conf *conf, const struct conf_keyword_channel *own, struct buf *why)
{
  struct arena *arena = arena_new();
  struct building building = {.conf = conf, .arena = arena, .why = why, .own = own};
  struct keywords made;
  bool ok = keywords_make(&building, &made);

  arena_free(&arena);
  return ok;
}

bool keywords_check(const struct conf *conf, struct buf *why)
{
  bool ok = one_checked(conf, NULL, why);

  for (size_t i = 0; ok && i < conf->keywords.n_channels; i++)
    if (conf->keywords.channels[i].listen)
      ok = one_checked(conf, &conf->keywords.channels[i], why);
  return ok;
}

const struct keywords *keywords_of_conf(const struct conf *conf, parley_text channel, struct arena *arena)
{
  struct building building = {.conf = conf, .arena = arena, .own = own_of(conf, channel)};
  struct keywords *made = arena_alloc(arena, sizeof *made);

  keywords_make(&building, made);
  return made;
}
