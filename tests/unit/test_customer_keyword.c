/* STOP, START and HELP: what is a keyword, what may mean one, and what is answered. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/customer/keyword.h"
#include "core/message/fit_text.h"
#include "core/message/segments.h"
#include <check.h>

static struct arena *arena;
static const struct keyword_word words[] = {
    {PARLEY_LIT("baja"), KEYWORD_STOP},     {PARLEY_LIT("iptal"), KEYWORD_STOP}, {PARLEY_LIT("стоп"), KEYWORD_STOP},
    {PARLEY_LIT("σταματα"), KEYWORD_STOP},  {PARLEY_LIT("alta"), KEYWORD_START}, {PARLEY_LIT("hilfe"), KEYWORD_HELP},
    {PARLEY_LIT("停止"), KEYWORD_STOP},
};
static const struct keyword_text texts[] = {
    {PARLEY_LIT("es"), PARLEY_LIT("Hecho."), KEYWORD_STOP},
    {PARLEY_LIT("pt-br"), PARLEY_LIT("Pronto."), KEYWORD_STOP},
};
static const struct keywords plain = {.name = {"", 0}, .locale = {"en", 2}, .answers = true};
static const struct keywords more = {.n_words = COUNT_OF(words), .words = words, .name = {"Shop", 4}, .locale = {"en", 2}};
static const struct keywords texted = {.n_texts = COUNT_OF(texts), .texts = texts, .name = {"Shop", 4}, .locale = {"es", 2}};

static void setup(void)
{
  arena = arena_new();
}

static void teardown(void)
{
  arena_free(&arena);
}

/* --- the whole message is the word ------------------------------------------------------------------------------- */

static const struct {
  const char *said;
  enum keyword means;
} said[] = {
    {"STOP", KEYWORD_STOP},
    {"stop", KEYWORD_STOP},
    {"  Stop \r\n", KEYWORD_STOP},
    {"STOP.", KEYWORD_STOP},
    {"Stop!!!", KEYWORD_STOP},
    {"\"STOP\"", KEYWORD_STOP},
    {"\xe2\x80\x9cStop\xe2\x80\x9d", KEYWORD_STOP},
    {"'stop'", KEYWORD_STOP},
    {"\xc2\xa0stop\xe2\x80\x8b", KEYWORD_STOP},
    {"\xef\xbc\xb3\xef\xbc\xb4\xef\xbc\xaf\xef\xbc\xb0", KEYWORD_STOP}, /* full width */
    {"STOPALL", KEYWORD_STOP},
    {"Stop all", KEYWORD_STOP},
    {"STOP-ALL", KEYWORD_STOP},
    {"UNSUBSCRIBE", KEYWORD_STOP},
    {"unsubscribe?", KEYWORD_STOP},
    {"Cancel", KEYWORD_STOP},
    {"END", KEYWORD_STOP},
    {"quit;", KEYWORD_STOP},
    {"Revoke", KEYWORD_STOP},
    {"OPTOUT", KEYWORD_STOP},
    {"OPT OUT", KEYWORD_STOP},
    {"opt-out", KEYWORD_STOP},
    {"Opt \xe2\x80\x93 Out", KEYWORD_STOP},
    {"opt   out", KEYWORD_STOP},
    {"REMOVE", KEYWORD_STOP},
    {"ARRET", KEYWORD_STOP},
    {"ARR\xc3\x8aT", KEYWORD_STOP},
    {"arr\xc3\xaat", KEYWORD_STOP},
    {"arre\xcc\x82t", KEYWORD_STOP}, /* decomposed */
    {"Arr\xc3\xaat\xc3\xa9", KEYWORD_STOP},
    {"START", KEYWORD_START},
    {"unstop", KEYWORD_START},
    {"Help", KEYWORD_HELP},
    {"INFO?", KEYWORD_HELP},
    {"STOP \xf0\x9f\x9b\x91", KEYWORD_STOP},                     /* a stop sign */
    {"\xe2\x9c\x8b\xf0\x9f\x8f\xbd Stop\xe2\x80\xbc\xef\xb8\x8f", KEYWORD_STOP}, /* a hand with its skin tone, two marks as a picture */
    {"help \xf0\x9f\x99\x8f", KEYWORD_HELP},
    {"\xe2\x80\xae\xef\xbb\xbfST\xc2\xadOP", KEYWORD_STOP}, /* what nobody sees, within the word too */
    /* and what is none */
    {"", KEYWORD_NONE},
    {"\xf0\x9f\x9b\x91", KEYWORD_NONE}, /* no word at all */
    {" . ", KEYWORD_NONE},
    {"stop by tomorrow?", KEYWORD_NONE},
    {"don't stop", KEYWORD_NONE},
    {"please stop", KEYWORD_NONE},
    {"STOP PLEASE", KEYWORD_NONE},
    {"bus stop", KEYWORD_NONE},
    {"stopp", KEYWORD_NONE},
    {"nonstop", KEYWORD_NONE},
    {"st op", KEYWORD_NONE},
    {"s.t.o.p", KEYWORD_NONE},
    {"the end", KEYWORD_NONE},
    {"end: 5 pm", KEYWORD_NONE},
    {"cancel my appointment", KEYWORD_NONE},
    {"Can I cancel?", KEYWORD_NONE},
    {"I quit smoking", KEYWORD_NONE},
    {"help me", KEYWORD_NONE},
    {"info@shop.example", KEYWORD_NONE},
    {"Yes", KEYWORD_NONE}, /* it answers a question */
    {"restart", KEYWORD_NONE},
    {"stop\xff", KEYWORD_NONE},
    {"stop stop stop stop stop stop stop stop stop stop stop stop stop stop", KEYWORD_NONE},
    {"STOP 2", KEYWORD_NONE},
    {"baja", KEYWORD_NONE}, /* a word that this channel was not told of */
};

START_TEST(a_keyword_is_the_whole_message_however_it_is_written)
{
  parley_text locale;
  enum keyword means = keyword_of(&plain, parley_text_of(said[_i].said), arena, &locale);

  ck_assert_msg(means == said[_i].means, "'%s' is %d", said[_i].said, (int)means);
}
END_TEST

static const struct {
  const char *said;
  enum keyword means;
} given[] = {
    {"Baja", KEYWORD_STOP},
    {"\xc2\xa1" "BAJA!", KEYWORD_STOP},
    {"\xc4\xb0ptal", KEYWORD_STOP}, /* a Turkish capital */
    {"IPTAL", KEYWORD_STOP},
    {"СТОП", KEYWORD_STOP},
    {"\xce\xa3\xcf\x84\xce\xb1\xce\xbc\xce\xac\xcf\x84\xce\xb1", KEYWORD_STOP}, /* Σταμάτα */
    {"停止\xe3\x80\x82", KEYWORD_STOP},
    {"ALTA", KEYWORD_START},
    {"Hilfe!", KEYWORD_HELP},
    {"STOP", KEYWORD_STOP}, /* ours stay */
    {"baja por favor", KEYWORD_NONE},
};

START_TEST(an_operator_adds_words_of_other_languages)
{
  parley_text locale;
  enum keyword means = keyword_of(&more, parley_text_of(given[_i].said), arena, &locale);

  ck_assert_msg(means == given[_i].means, "'%s' is %d", given[_i].said, (int)means);
}
END_TEST

/* --- what may mean it --------------------------------------------------------------------------------------------- */

static const struct {
  const char *said;
  bool flagged;
} worded[] = {
    {"please stop texting me", true},
    {"PLEASE STOP!!", true},
    {"Stop texting this number", true},
    {"stop please", true},
    {"don't text me again", true},
    {"Don\xe2\x80\x99t contact me", true},
    {"do not message me", true},
    {"Take me off your list", true},
    {"remove me from this list please", true},
    {"How do I unsubscribe?", true},
    {"I want to opt-out", true},
    {"opt me out", true},
    {"no more messages", true},
    {"leave me alone", true},
    {"stpo", true},
    {"Stopp", true},
    {"No m\xc3\xa1s", true},
    {"No me env\xc3\xad" "en m\xc3\xa1s mensajes", true},
    {"quiero darme de baja", true},
    {"Arr\xc3\xaatez de m'\xc3\xa9" "crire", true},
    {"Je veux me d\xc3\xa9sabonner", true},
    {"Bitte keine SMS mehr", true},
    {"H\xc3\xb6rt auf", true},
    {"parem de mandar isso", true},
    {"Non voglio pi\xc3\xb9 messaggi", true},
    {"Graag uitschrijven", true},
    /* and what does not */
    {"STOP", false}, /* that is one */
    {"HELP", false},
    {"stop by tomorrow?", false},
    {"Can you stop at the bakery", false},
    {"the next stop is yours", false},
    {"please cancel my order 1042", false},
    {"I'd like to remove an item", false},
    {"when does the sale end?", false},
    {"thanks!", false},
    {"", false},
    {"yes", false},
    {"fine", false},
    {"Is this the last stop, please?", false},
    {"I never asked to be opted out of anything, why?", false},
};

START_TEST(other_wordings_are_for_a_person_to_judge)
{
  bool flagged = keyword_may_mean_stop(&plain, parley_text_of(worded[_i].said), arena);

  ck_assert_msg(flagged == worded[_i].flagged, "'%s': %d", worded[_i].said, flagged);
}
END_TEST

START_TEST(a_letter_is_not_looked_through)
{
  char text[KEYWORD_REVIEW_BYTES_MAX + 2];

  memset(text, 'x', sizeof text);
  memcpy(text, "please stop texting me ", 23);
  ck_assert(keyword_may_mean_stop(&plain, (parley_text){text, KEYWORD_REVIEW_BYTES_MAX}, arena));
  ck_assert(!keyword_may_mean_stop(&plain, (parley_text){text, KEYWORD_REVIEW_BYTES_MAX + 1}, arena));
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------------------------ */

static const struct {
  const struct keywords *keywords;
  const char *locale, *spoken, *begins;
} answered[] = {
    {&plain, "", "", "You will get no more"},
    {&plain, "de", "", "Sie erhalten"},
    {&plain, "de-AT", "", "Sie erhalten"},
    {&plain, "tlh", "", "You will get no more"},
    {&plain, "", "fr", "Vous ne recevrez plus"}, /* ARRET */
    {&plain, "it", "fr", "Non ricever"},         /* we know better what they read */
    {&more, "nl", "", "Shop: U krijgt"},
    {&texted, "es-MX", "", "Hecho."},
    {&texted, "pt-BR", "", "Pronto."},
    {&texted, "de", "", "Hecho."}, /* the operator's own words, in the default language */
};

START_TEST(the_answer_is_in_a_language_that_they_read)
{
  parley_text text = keyword_answer(answered[_i].keywords, KEYWORD_STOP, parley_text_of(answered[_i].locale),
                                    parley_text_of(answered[_i].spoken), arena);

  ck_assert_msg(text_starts(text, answered[_i].begins), "%d: '%.*s'", _i, TEXT_ARG(text));
}
END_TEST

START_TEST(each_of_our_answers_is_one_segment)
{
  static const char *const locales[] = {"en", "es", "fr", "de", "pt", "it", "nl"};

  for (size_t i = 0; i < COUNT_OF(locales); i++)
    for (enum keyword to = KEYWORD_STOP; to < KEYWORDS; to++) {
      parley_text text = keyword_answer(&more, to, parley_text_of(locales[i]), TEXT_EMPTY, arena);

      ck_assert_msg(text_unit_holds(text, PARLEY_UNIT_GSM7), "%s: '%.*s' is not all in the GSM alphabet", locales[i], TEXT_ARG(text));
      ck_assert_msg(segments_count(text, PARLEY_UNIT_GSM7) == 1, "%s: '%.*s'", locales[i], TEXT_ARG(text));
    }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("customer: keywords");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_loop_test(tcase, a_keyword_is_the_whole_message_however_it_is_written, 0, COUNT_OF(said));
  tcase_add_loop_test(tcase, an_operator_adds_words_of_other_languages, 0, COUNT_OF(given));
  tcase_add_loop_test(tcase, other_wordings_are_for_a_person_to_judge, 0, COUNT_OF(worded));
  tcase_add_test(tcase, a_letter_is_not_looked_through);
  tcase_add_loop_test(tcase, the_answer_is_in_a_language_that_they_read, 0, COUNT_OF(answered));
  tcase_add_test(tcase, each_of_our_answers_is_one_segment);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
