#include "exec_options.h"
#include <stdlib.h>

enum {
  VARIABLE_NAME_BYTES_MAX = 128,
  PASSED_ON = 3,
  RESTART_SPLIT_MS = 1000 /* the first pause is at most that, the longest at least: neither contradicts the other */
};

/* --- The table ---------------------------------------------------------------------------------------------------- */

/* What `carries` may name, and the ABI's number for each, in one order. */
static const char *const carry_names[] = {"subject", "html", "media",  "buttons",  "location", "contact", "template",
                                          "reply",   "edit", "delete", "reaction", "typing",   "read",    NULL};
static const uint32_t carry_kinds[] = {
    PARLEY_FEATURE_SUBJECT, PARLEY_PART_HTML,     PARLEY_PART_MEDIA,    PARLEY_PART_BUTTONS, PARLEY_PART_LOCATION,
    PARLEY_PART_CONTACT,    PARLEY_PART_TEMPLATE, PARLEY_FEATURE_REPLY, PARLEY_KIND_EDIT,    PARLEY_KIND_DELETE,
    PARLEY_KIND_REACTION,   PARLEY_KIND_TYPING,   PARLEY_KIND_READ};
/* In the ABI's order, from 1 on. */
static const char *const receipt_names[] = {"sent",    "delivered",    "read",       "failed", "opened",
                                            "clicked", "unsubscribed", "complained", NULL};
static const char *const channel_kinds[] = {"email", "sms", "chat", "push", "voice", "webhook", NULL};

#define LIST_OF(...) PARLEY_LIST(parley_option, PARLEY_REF(parley_option, __VA_ARGS__), NULL)

/* The smallest one: it takes whatever it is given. */
#define PROGRAM_EXAMPLE                                                          \
  "[perl, -ne, 'BEGIN { STDOUT->autoflush; print qq({\"type\":\"ready\"}\\n) } " \
  "s/^.{9}(send|probe)\",\"token\":\"(\\d+)\".*/"                                \
  "{\"type\":\"settle\",\"token\":\"\\2\",\"outcome\":\"accepted\"}/ and print']"

const parley_option *const exec_option_table[] = {
    PARLEY_REF(parley_option, .name = "command", .type = PARLEY_OPTION_LIST, .flags = PARLEY_REQUIRED, .min = 1,
               .max = EXEC_ARGUMENTS_MAX,
               .fields = LIST_OF(.name = "argument", .type = PARLEY_OPTION_TEXT, .max = EXEC_ARGUMENT_BYTES_MAX,
                                 .doc = "one word"),
               .doc = "the program and its arguments: an absolute path or a name found in PATH; no shell reads it",
               .example = PROGRAM_EXAMPLE),
    PARLEY_REF(parley_option, .name = "env", .type = PARLEY_OPTION_MAP, .max = EXEC_VARIABLES_MAX,
               .fields = LIST_OF(.name = "value", .type = PARLEY_OPTION_TEXT, .max = EXEC_ARGUMENT_BYTES_MAX,
                                 .doc = "one value"),
               .doc = "its environment, beside PATH, LANG and TZ of ours"),
    PARLEY_REF(parley_option, .name = "secrets", .type = PARLEY_OPTION_MAP, .max = EXEC_VARIABLES_MAX,
               .fields =
                   LIST_OF(.name = "value", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .doc = "one secret"),
               .doc = "more of its environment, by reference, and masked in whatever it says"),
    PARLEY_REF(parley_option, .name = "address_kind", .type = PARLEY_OPTION_TEXT, .min = 1, .max = EXEC_NAME_BYTES_MAX,
               .default_text = "none", .doc = "the kind of identity it sends to; none: a fixed endpoint",
               .example = "phone"),
    PARLEY_REF(parley_option, .name = "channel_kind", .type = PARLEY_OPTION_CHOICE, .choices = channel_kinds,
               .doc = "the unit of consent; default: what goes with address_kind", .example = "sms"),
    PARLEY_REF(parley_option, .name = "carries", .type = PARLEY_OPTION_LIST, .max = EXEC_FEATURES_MAX,
               .fields =
                   LIST_OF(.name = "what", .type = PARLEY_OPTION_CHOICE, .choices = carry_names, .doc = "one of them"),
               .doc = "what it can send beside plain text; the rest is turned into text or left out"),
    PARLEY_REF(parley_option, .name = "text_max", .type = PARLEY_OPTION_INT, .min = 0, .max = 1 << 20,
               .default_text = "0", .doc = "characters of one text, longer ones come in pieces; 0: no limit"),
    PARLEY_REF(parley_option, .name = "receipts", .type = PARLEY_OPTION_LIST, .max = EXEC_FEATURES_MAX,
               .fields = LIST_OF(.name = "kind", .type = PARLEY_OPTION_CHOICE, .choices = receipt_names,
                                 .doc = "kind of receipt"),
               .doc = "the receipts it gives: what a plan may wait for"),
    PARLEY_REF(parley_option, .name = "inbound", .type = PARLEY_OPTION_BOOL, .default_text = "true",
               .doc = "customers' messages come in through it"),
    PARLEY_REF(parley_option, .name = "ordered", .type = PARLEY_OPTION_BOOL, .default_text = "false",
               .doc = "it is given one message of a customer at a time, in order"),
    PARLEY_REF(parley_option, .name = "resend_safe", .type = PARLEY_OPTION_BOOL, .default_text = "false",
               .doc = "it sends a message once, though it be given twice under one id"),
    PARLEY_REF(parley_option, .name = "exclusive", .type = PARLEY_OPTION_BOOL, .default_text = "false",
               .doc = "never two of it: a reload ends the old one before it starts the new"),
    PARLEY_REF(parley_option, .name = "in_flight", .type = PARLEY_OPTION_INT, .min = 1, .max = EXEC_IN_FLIGHT_MAX,
               .default_text = "16", .doc = "messages it is given before it has settled the first"),
    PARLEY_REF(parley_option, .name = "timeout", .type = PARLEY_OPTION_DURATION, .min = 100, .max = 600000,
               .default_text = "60s", .doc = "for it to become ready, and to settle a message"),
    PARLEY_REF(parley_option, .name = "kill_after", .type = PARLEY_OPTION_DURATION, .min = 10, .max = 2000,
               .default_text = "1s", .doc = "between asking it to end, SIGTERM and SIGKILL"),
    PARLEY_REF(parley_option, .name = "restart_min", .type = PARLEY_OPTION_DURATION, .min = 10, .max = RESTART_SPLIT_MS,
               .default_text = "100ms",
               .doc = "the first pause before it is started again; each next one is twice as long"),
    PARLEY_REF(parley_option, .name = "restart_max", .type = PARLEY_OPTION_DURATION, .min = RESTART_SPLIT_MS,
               .max = 3600000, .default_text = "30s",
               .doc = "the longest pause; after so long a life the first one is taken again"),
    PARLEY_REF(parley_option, .name = "memory", .type = PARLEY_OPTION_SIZE, .min = 0, .max = INT64_C(1) << 40,
               .default_text = "1G", .doc = "most memory of each of its processes (RLIMIT_DATA); 0: no limit"),
    PARLEY_REF(parley_option, .name = "max_line", .type = PARLEY_OPTION_SIZE, .min = 4096, .max = 16 << 20,
               .default_text = "1M", .doc = "longest line it may say"),
    NULL,
};

/* --- Capabilities ------------------------------------------------------------------------------------------------- */

#define NATIVE(kind, ...) PARLEY_REF(parley_feature, .what = kind, .level = PARLEY_LEVEL_NATIVE, __VA_ARGS__)

const parley_capabilities exec_capabilities = {
    .size = sizeof exec_capabilities,
    .flags = PARLEY_INBOUND | PARLEY_SPAWNS,
    .in_flight = EXEC_IN_FLIGHT_MAX,
    .receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) |
                PARLEY_BIT(PARLEY_RECEIPT_READ) | PARLEY_BIT(PARLEY_RECEIPT_FAILED) |
                PARLEY_BIT(PARLEY_RECEIPT_OPENED) | PARLEY_BIT(PARLEY_RECEIPT_CLICKED) |
                PARLEY_BIT(PARLEY_RECEIPT_UNSUBSCRIBED) | PARLEY_BIT(PARLEY_RECEIPT_COMPLAINED),
    .address_kind = "none",
    .channel_kind = "webhook",
    .features = PARLEY_LIST(parley_feature, NATIVE(PARLEY_PART_TEXT, .unit = PARLEY_UNIT_CODE_POINTS),
                            NATIVE(PARLEY_FEATURE_SUBJECT, .unit = 0), NATIVE(PARLEY_PART_HTML, .unit = 0),
                            NATIVE(PARLEY_PART_MEDIA, .count_max = EXEC_MEDIA_MAX),
                            NATIVE(PARLEY_PART_BUTTONS, .unit = 0), NATIVE(PARLEY_PART_LOCATION, .unit = 0),
                            NATIVE(PARLEY_PART_CONTACT, .unit = 0), NATIVE(PARLEY_PART_TEMPLATE, .unit = 0),
                            NATIVE(PARLEY_FEATURE_REPLY, .unit = 0), NATIVE(PARLEY_KIND_EDIT, .unit = 0),
                            NATIVE(PARLEY_KIND_DELETE, .unit = 0), NATIVE(PARLEY_KIND_REACTION, .unit = 0),
                            NATIVE(PARLEY_KIND_TYPING, .unit = 0), NATIVE(PARLEY_KIND_READ, .unit = 0), NULL),
};

/* The unit of consent that goes with an address kind. */
static const char *channel_kind_of(const char *address_kind)
{
  static const struct {
    const char *address, *channel;
  } kinds[] = {{"email", "email"}, {"phone", "sms"}, {"push", "push"}, {"none", "webhook"}};

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].address, address_kind) == 0)
      return kinds[i].channel;
  return "chat";
}

static parley_feature *feature_add(struct exec_options *to, uint32_t what)
{
  parley_feature *feature = to->features;
  size_t at = 0;

  while (to->feature_list[at] != NULL)
    if (to->feature_list[at++]->what == what)
      return feature; /* named twice */
  feature = &to->features[at];
  *feature = (parley_feature){.size = sizeof *feature, .what = what, .level = PARLEY_LEVEL_NATIVE};
  to->feature_list[at] = feature;
  return feature;
}

static void features_read(const parley_value *options, struct exec_options *to)
{
  const parley_value *carries = parley_find(options, "carries");
  parley_feature *text = feature_add(to, PARLEY_PART_TEXT);

  text->unit = PARLEY_UNIT_CODE_POINTS;
  text->length_max = (uint32_t)parley_find(options, "text_max")->number;
  text->count_max = text->length_max > 0 ? EXEC_TEXT_PARTS_MAX : 0;
  for (uint64_t i = 0; i < carries->n_items; i++) {
    uint32_t what = carry_kinds[carries->items[i]->number];
    parley_feature *feature = feature_add(to, what);

    if (what == PARLEY_PART_MEDIA)
      feature->count_max = EXEC_MEDIA_MAX;
  }
}

static void capabilities_read(const parley_value *options, struct exec_options *to)
{
  const parley_value *receipts = parley_find(options, "receipts"), *kind = parley_find(options, "channel_kind");
  parley_text address = parley_find(options, "address_kind")->text;
  parley_capabilities *caps = &to->capabilities;

  memcpy(to->address_kind, address.at, address.len < EXEC_NAME_BYTES_MAX ? address.len : EXEC_NAME_BYTES_MAX);
  *caps = exec_capabilities;
  caps->flags = PARLEY_SPAWNS | (parley_find(options, "inbound")->number ? PARLEY_INBOUND : 0u) |
                (parley_find(options, "ordered")->number ? PARLEY_ORDERED : 0u) |
                (parley_find(options, "resend_safe")->number ? PARLEY_RESEND_SAFE : 0u) |
                (parley_find(options, "exclusive")->number ? PARLEY_EXCLUSIVE : 0u);
  caps->in_flight = (uint32_t)parley_find(options, "in_flight")->number;
  caps->receipts = 0;
  for (uint64_t i = 0; i < receipts->n_items; i++)
    caps->receipts |= PARLEY_BIT(receipts->items[i]->number + PARLEY_RECEIPT_SENT);
  caps->address_kind = to->address_kind;
  caps->channel_kind = kind->type != 0 ? channel_kinds[kind->number] : channel_kind_of(to->address_kind);
  caps->features = to->feature_list;
}

/* --- Command and environment -------------------------------------------------------------------------------------- */

static parley_status command_read(const parley_value *command, struct exec_options *to, char why[EXEC_WHY_ROOM])
{
  for (uint64_t i = 0; i < command->n_items && i < EXEC_ARGUMENTS_MAX; i++) {
    parley_text word = command->items[i]->text;

    if (word.len > 0 && memchr(word.at, '\0', word.len) != NULL) {
      snprintf(why, EXEC_WHY_ROOM, "command: a word with a NUL inside");
      return PARLEY_INVALID;
    }
    to->argv[i] = strndup(word.len > 0 ? word.at : "", word.len);
    if (to->argv[i] == NULL)
      return PARLEY_BUSY;
  }
  if (to->argv[0] == NULL || to->argv[0][0] == '\0' || (strchr(to->argv[0], '/') != NULL && to->argv[0][0] != '/')) {
    snprintf(why, EXEC_WHY_ROOM, "command: the program is an absolute path or a plain name that is found in PATH");
    return PARLEY_INVALID;
  }
  return PARLEY_OK;
}

static bool variable_name_good(parley_text name)
{
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

  if (name.len == 0 || name.len > VARIABLE_NAME_BYTES_MAX || (name.at[0] >= '0' && name.at[0] <= '9'))
    return false;
  for (size_t i = 0; i < name.len; i++)
    if (memchr(letters, name.at[i], sizeof letters - 1) == NULL)
      return false;
  return true;
}

static parley_status variable_add(struct exec_options *to, parley_text name, parley_text value)
{
  size_t room = name.len + value.len + 2;
  char *both = malloc(room);

  if (both == NULL)
    return PARLEY_BUSY;
  snprintf(both, room, "%.*s=%.*s", (int)name.len, name.at, (int)value.len, value.len > 0 ? value.at : "");
  to->envp[to->n_envp++] = both;
  return PARLEY_OK;
}

static parley_status variables_read(const parley_value *map, const char *option, struct exec_options *to,
                                    char why[EXEC_WHY_ROOM])
{
  parley_status st = PARLEY_OK;

  for (uint64_t i = 0; i < map->n_items && st == PARLEY_OK; i++) {
    const parley_value *item = map->items[i];
    char name[VARIABLE_NAME_BYTES_MAX + 1];

    if (!variable_name_good(item->name) ||
        (item->text.len > 0 && memchr(item->text.at, '\0', item->text.len) != NULL)) {
      snprintf(why, EXEC_WHY_ROOM, "%s: a name has 1 to 128 of A-Z a-z 0-9 _ and no digit first, a value no NUL",
               option);
      return PARLEY_INVALID;
    }
    snprintf(name, sizeof name, "%.*s", (int)item->name.len, item->name.at);
    if (exec_options_variable(to, name) != NULL) {
      snprintf(why, EXEC_WHY_ROOM, "%s: %s stands in env as well", option, name);
      return PARLEY_INVALID;
    }
    st = variable_add(to, item->name, item->text);
  }
  return st;
}

/* What every program may need, unless the operator says otherwise; nothing else of ours is passed on. */
static parley_status variables_pass_on(struct exec_options *to)
{
  static const struct {
    const char *name, *otherwise;
  } passed[PASSED_ON] = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"LANG", "C.UTF-8"}, {"TZ", NULL}};
  parley_status st = PARLEY_OK;

  for (size_t i = 0; i < PASSED_ON && st == PARLEY_OK; i++) {
    const char *ours = getenv(passed[i].name);
    const char *value = ours != NULL && ours[0] != '\0' ? ours : passed[i].otherwise;

    if (value != NULL && exec_options_variable(to, passed[i].name) == NULL)
      st = variable_add(to, parley_text_of(passed[i].name), parley_text_of(value));
  }
  return st;
}

static parley_status environment_read(const parley_value *options, struct exec_options *to, char why[EXEC_WHY_ROOM])
{
  const parley_value *env = parley_find(options, "env"), *secrets = parley_find(options, "secrets");
  parley_status st;

  to->envp = calloc(env->n_items + secrets->n_items + PASSED_ON + 1, sizeof *to->envp);
  if (to->envp == NULL)
    return PARLEY_BUSY;
  st = variables_read(env, "env", to, why);
  if (st == PARLEY_OK)
    st = variables_read(secrets, "secrets", to, why);
  for (uint64_t i = 0; i < secrets->n_items && i < EXEC_VARIABLES_MAX; i++)
    to->secrets[to->n_secrets++] = secrets->items[i]->text;
  return st == PARLEY_OK ? variables_pass_on(to) : st;
}

const char *exec_options_variable(const struct exec_options *options, const char *name)
{
  size_t len = strlen(name);

  for (size_t i = 0; i < options->n_envp; i++)
    if (strncmp(options->envp[i], name, len) == 0 && options->envp[i][len] == '=')
      return options->envp[i] + len + 1;
  return NULL;
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

parley_status exec_options_read(const parley_value *options, struct exec_options *to, char why[EXEC_WHY_ROOM])
{
  parley_status st = command_read(parley_find(options, "command"), to, why);

  if (st == PARLEY_OK)
    st = environment_read(options, to, why);
  if (st != PARLEY_OK)
    return st;
  to->timeout_ms = (uint32_t)parley_find(options, "timeout")->number;
  to->kill_after_ms = (uint32_t)parley_find(options, "kill_after")->number;
  to->restart_min_ms = (uint32_t)parley_find(options, "restart_min")->number;
  to->restart_max_ms = (uint32_t)parley_find(options, "restart_max")->number;
  to->memory_bytes = (uint64_t)parley_find(options, "memory")->number;
  to->line_max = (uint64_t)parley_find(options, "max_line")->number;
  features_read(options, to);
  capabilities_read(options, to);
  return PARLEY_OK;
}

void exec_options_done(struct exec_options *options)
{
  for (size_t i = 0; i <= EXEC_ARGUMENTS_MAX; i++)
    free(options->argv[i]);
  for (size_t i = 0; i < options->n_envp; i++) {
    explicit_bzero(options->envp[i], strlen(options->envp[i])); /* secrets are among them */
    free(options->envp[i]);
  }
  free(options->envp);
  *options = (struct exec_options){.n_envp = 0};
}

/* --- Masking ------------------------------------------------------------------------------------------------------ */

/* The secret that begins first in the text, the longest of those; its place, or SIZE_MAX. */
static size_t secret_find(const struct exec_options *options, parley_text text, size_t *ret_len)
{
  size_t first = SIZE_MAX;

  *ret_len = 0;
  for (size_t i = 0; i < options->n_secrets; i++) {
    parley_text secret = options->secrets[i];
    const char *hit =
        secret.len >= EXEC_MASK_BYTES_MIN && text.len > 0 ? memmem(text.at, text.len, secret.at, secret.len) : NULL;
    size_t at = hit != NULL ? (size_t)(hit - text.at) : SIZE_MAX;

    if (at < first || (at == first && hit != NULL && secret.len > *ret_len)) {
      first = at;
      *ret_len = secret.len;
    }
  }
  return first;
}

size_t exec_options_mask(const struct exec_options *options, parley_text text, char *to, size_t room)
{
  static const char mask[] = "***";
  size_t len = 0, secret_len;

  while (text.len > 0 && len + 1 < room) {
    size_t at = secret_find(options, text, &secret_len);
    size_t plain = at < text.len ? at : text.len;
    size_t fits = plain < room - 1 - len ? plain : room - 1 - len;

    memcpy(to + len, text.at, fits);
    len += fits;
    if (at == SIZE_MAX)
      break;
    fits = sizeof mask - 1 < room - 1 - len ? sizeof mask - 1 : room - 1 - len;
    memcpy(to + len, mask, fits);
    len += fits;
    text.at += at + secret_len;
    text.len -= at + secret_len;
  }
  to[len] = '\0';
  return len;
}
