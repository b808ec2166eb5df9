/* Cases: what create() gets, and what never reaches it. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdio.h>
#include <string.h>

#define BAD_ROUNDS 400
#define STRANGE_ROUNDS 200
#define OPTIONS_MAX 128

struct found {
  size_t n;
  const parley_option *options[OPTIONS_MAX];
};

static void found_add(const parley_option *option, void *arg)
{
  struct found *found = arg;

  if (found->n < OPTIONS_MAX)
    found->options[found->n++] = option;
}

static void options_need(struct kit *kit, struct found *found)
{
  found->n = 0;
  kit_each_option(kit->plugin->options, found_add, found);
  if (found->n == 0)
    kit_skip(kit, "it has no options");
}

static const char *name_of(const parley_option *option)
{
  return option->name != NULL ? option->name : "(of a list)";
}

/* An error within a group or list names the place as the file has it: options.receipts. */
static const char *top_name(const struct kit *kit, const parley_option *option)
{
  for (const parley_option *const *top = kit->plugin->options; top != NULL && *top != NULL; top++)
    if (kit_option_holds(*top, option))
      return (*top)->name;
  return "";
}

/* "restart_min must not exceed restart_max": two options that do not go together are no fault of either limit. */
static bool refusal_names_other(const struct kit *kit, const parley_option *option)
{
  for (const parley_option *const *other = kit->plugin->options; *other != NULL; other++)
    if (!kit_option_holds(*other, option) && strstr(kit->refusal, (*other)->name) != NULL)
      return true;
  return false;
}

/* Options by this plan into create(). refusable: create() may say no, with a cause; else only by naming another option. */
static void plan_try(struct kit *kit, const struct kit_plan *plan, bool refusable, const char *what)
{
  struct arena *arena = arena_new();
  struct buf why = BUF_INIT(4096);
  const parley_value *options = NULL;
  struct kit_host *host = NULL;
  parley_status st = kit_options(kit, plan, arena, &options, &why);

  if (st != PARLEY_OK && !refusable)
    kit_fail(kit, PROMISE_OPTIONS, "the table itself refuses %s: %s", what, why.at);
  if (st == PARLEY_OK) {
    st = kit_create(kit, options, &host);
    if (st == PARLEY_OK)
      kit_destroy(&host);
    else if (!refusable && (plan->option == NULL || !refusal_names_other(kit, plan->option)))
      kit_fail(kit, PROMISE_OPTIONS, "create() returned %.*s with %s: %s", TEXT_ARG(kit_status_name(st)), what, kit->refusal);
  }
  buf_done(&why);
  arena_free(&arena);
}

static const char *yaml_of(const char *text, struct arena *arena)
{
  struct buf quoted = BUF_INIT(0);
  const char *kept;

  buf_json_text(&quoted, parley_text_of(text));
  kept = arena_str(arena, quoted.at);
  buf_done(&quoted);
  return kept;
}

static void each_choice_try(struct kit *kit, const parley_option *option)
{
  for (const char *const *choice = option->choices; choice != NULL && *choice != NULL; choice++)
    plan_try(kit, &(struct kit_plan){.option = option, .yaml = yaml_of(*choice, kit->arena)}, true, "a choice of the table");
}

void kit_option_examples(struct kit *kit)
{
  struct found found;

  options_need(kit, &found);
  plan_try(kit, &(struct kit_plan){.all = false}, false, "the required options alone");
  plan_try(kit, &(struct kit_plan){.all = true}, false, "all examples together");
  for (size_t i = 0; i < found.n; i++) {
    const parley_option *option = found.options[i];
    bool simple = option->fields == NULL && (option->flags & PARLEY_SECRET) == 0;

    if (option->type == PARLEY_OPTION_CHOICE)
      each_choice_try(kit, option);
    else if (simple && option->example != NULL)
      plan_try(kit, &(struct kit_plan){.option = option, .yaml = yaml_of(option->example, kit->arena)}, true, "one example");
  }
}

static void limit_try(struct kit *kit, const parley_option *option, int64_t number)
{
  char yaml[64], what[160];

  snprintf(yaml, sizeof yaml, option->type == PARLEY_OPTION_DURATION ? "%lldms" : "%lld", (long long)number);
  snprintf(what, sizeof what, "the option %s at its limit of %s", name_of(option), yaml);
  plan_try(kit, &(struct kit_plan){.option = option, .yaml = arena_str(kit->arena, yaml)}, false, what);
}

static void text_limit_try(struct kit *kit, const parley_option *option, size_t len)
{
  char *yaml = arena_alloc(kit->arena, len + 3);

  memset(yaml, 'x', len + 2);
  yaml[0] = yaml[len + 1] = '"';
  plan_try(kit, &(struct kit_plan){.option = option, .yaml = yaml}, true, "a text at its limit");
}

void kit_option_limits(struct kit *kit)
{
  struct found found;

  options_need(kit, &found);
  for (size_t i = 0; i < found.n; i++) {
    const parley_option *option = found.options[i];
    bool number = option->type == PARLEY_OPTION_INT || option->type == PARLEY_OPTION_DURATION || option->type == PARLEY_OPTION_SIZE;

    if ((option->min == 0 && option->max == 0) || (option->flags & PARLEY_SECRET) != 0)
      continue;
    if (number) {
      limit_try(kit, option, option->min);
      limit_try(kit, option, option->max);
    } else if (option->type == PARLEY_OPTION_TEXT && option->max > 0) {
      text_limit_try(kit, option, (size_t)option->min);
      text_limit_try(kit, option, (size_t)option->max);
    }
  }
}

/* The table must refuse it, with words that a person can act on. */
static void refusal_expect(struct kit *kit, const struct kit_plan *plan, const char *name, const char *yaml)
{
  struct arena *arena = arena_new();
  struct buf why = BUF_INIT(65536);
  const parley_value *options = NULL;

  if (kit_options(kit, plan, arena, &options, &why) == PARLEY_OK)
    kit_fail(kit, PROMISE_OPTIONS, "the table lets %s: %.80s through to create()", name, yaml);
  if (why.len == 0 || strstr(why.at, name) == NULL)
    kit_fail(kit, PROMISE_DOC, "a bad %s is refused with words that do not name it: %s", name, why.len > 0 ? why.at : "none");
  buf_done(&why);
  arena_free(&arena);
}

void kit_option_refused(struct kit *kit)
{
  struct found found;
  struct arena *arena = arena_new();

  found.n = 0;
  kit_each_option(kit->plugin->options, found_add, &found);
  refusal_expect(kit, &(struct kit_plan){.yaml = "no_such_option_of_the_kit: 1"}, "no_such_option_of_the_kit", "1");
  for (size_t i = 0; i < found.n; i++)
    if ((found.options[i]->flags & PARLEY_REQUIRED) != 0 && found.options[i]->default_text == NULL)
      refusal_expect(kit, &(struct kit_plan){.option = found.options[i]}, top_name(kit, found.options[i]), "(left out)");
  for (int i = 0; i < BAD_ROUNDS && found.n > 0; i++) {
    const parley_option *option = found.options[kit_below(kit, (uint32_t)found.n)];
    const char *yaml = kit_option_bad(kit, option, arena);

    snprintf(kit->note->step, sizeof kit->note->step, "bad value %d", i);
    if (yaml != NULL)
      refusal_expect(kit, &(struct kit_plan){.option = option, .yaml = yaml}, top_name(kit, option), yaml);
  }
  arena_free(&arena);
}

void kit_option_strange(struct kit *kit)
{
  struct found found;

  options_need(kit, &found);
  for (int i = 0; i < STRANGE_ROUNDS; i++) {
    const parley_option *option = found.options[kit_below(kit, (uint32_t)found.n)];
    const char *yaml = kit_option_odd(kit, option, kit->arena);

    snprintf(kit->note->step, sizeof kit->note->step, "strange value %d, of the option %.40s", i, name_of(option));
    if (yaml != NULL)
      plan_try(kit, &(struct kit_plan){.option = option, .yaml = yaml, .all = kit_below(kit, 2) == 0}, true, "a strange value");
  }
}
