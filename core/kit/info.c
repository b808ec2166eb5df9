/* parley plugin info: the table of a .so, for people and as JSON. */
#include "core/base/text.h"
#include "inside.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *type_name(uint32_t type)
{
  static const char *const names[] = {"?", "text", "int", "bool", "url", "choice", "duration", "size", "group", "list", "map"};

  return type < sizeof names / sizeof *names ? names[type] : "?";
}

static const char *level_name(uint32_t level)
{
  static const char *const names[] = {"?", "native", "fallback", "drop", "reject"};

  return level < sizeof names / sizeof *names ? names[level] : "?";
}

static const char *unit_name(uint32_t unit)
{
  static const char *const names[] = {"", "bytes", "code points", "UTF-16 units", "GSM 7 septets"};

  return unit < sizeof names / sizeof *names ? names[unit] : "?";
}

static const char *what_name(uint32_t what)
{
  static const struct { uint32_t what; const char *name; } names[] = {
      {PARLEY_PART_TEXT, "text"}, {PARLEY_PART_HTML, "html"}, {PARLEY_PART_MEDIA, "media"}, {PARLEY_PART_BUTTONS, "buttons"},
      {PARLEY_PART_LOCATION, "location"}, {PARLEY_PART_CONTACT, "contact"}, {PARLEY_PART_TEMPLATE, "template"},
      {PARLEY_KIND_CONTENT, "content"}, {PARLEY_KIND_EDIT, "edit"}, {PARLEY_KIND_DELETE, "delete"},
      {PARLEY_KIND_REACTION, "reaction"}, {PARLEY_KIND_POSTBACK, "postback"}, {PARLEY_KIND_TYPING, "typing"},
      {PARLEY_KIND_READ, "read"}, {PARLEY_KIND_CALL, "call"}, {PARLEY_KIND_START, "start"}, {PARLEY_KIND_LEAVE, "leave"},
      {PARLEY_KIND_FORM, "form"}, {PARLEY_KIND_COMMENT, "comment"}, {PARLEY_KIND_MOVED, "moved"}, {PARLEY_FEATURE_SUBJECT, "subject"},
      {PARLEY_FEATURE_REPLY, "reply"}};

  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].what == what)
      return names[i].name;
  return "?";
}

static const char *const flag_names[] = {"ordered", "resend_safe", "inbound", "one_node", "exclusive", "spawns"};
static const char *const receipt_names[] = {"", "sent", "delivered", "read", "failed", "opened", "clicked", "unsubscribed",
                                            "complained"};

static void bits_print(const char *title, uint32_t bits, const char *const *names, size_t n)
{
  bool any = false;

  for (size_t i = 0; i < n; i++) {
    if ((bits & PARLEY_BIT(i)) == 0)
      continue;
    printf("%s%s", any ? " " : title, names[i]);
    any = true;
  }
  if (any)
    printf("\n");
}

static void option_print(const parley_option *option, int depth)
{
  printf("  %*s%-*s %-9s", depth * 2, "", 16 - depth * 2, option->name != NULL ? option->name : "(each)", type_name(option->type));
  printf("%s%s", (option->flags & PARLEY_REQUIRED) != 0 ? "required " : "", (option->flags & PARLEY_SECRET) != 0 ? "secret " : "");
  if (option->default_text != NULL)
    printf("default %s ", option->default_text);
  if (option->min != 0 || option->max != 0)
    printf("%lld-%lld ", (long long)option->min, (long long)option->max);
  for (const char *const *choice = option->choices; choice != NULL && *choice != NULL; choice++)
    printf("%s%s%s", choice == option->choices ? "(" : "|", *choice, choice[1] == NULL ? ") " : "");
  printf("\n      %*s%s\n", depth * 2, "", option->doc != NULL ? option->doc : "");
  for (const parley_option *const *field = option->fields; field != NULL && *field != NULL; field++)
    option_print(*field, depth + 1);
}

static void feature_print(const parley_feature *feature)
{
  printf("  %-10s %s", what_name(feature->what), level_name(feature->level));
  if (feature->length_max > 0)
    printf(", to %u %s", feature->length_max, unit_name(feature->unit));
  if (feature->joined_max > 0)
    printf(", joined %u", feature->joined_max);
  if (feature->count_max > 0)
    printf(", %u of them", feature->count_max);
  if (feature->bytes_max > 0)
    printf(", %llu bytes", (unsigned long long)feature->bytes_max);
  printf("%s%s\n", feature->types != NULL ? ", " : "", feature->types != NULL ? feature->types : "");
}

static void info_print(const parley_plugin *plugin)
{
  const parley_capabilities *caps = plugin->capabilities;

  printf("%s %s: %s\n", plugin->name, plugin->version != NULL ? plugin->version : "", plugin->summary != NULL ? plugin->summary : "");
  printf("ABI %u.%u, needs %u.%u of the host\n", plugin->abi_major, plugin->abi_minor, plugin->abi_major, plugin->abi_minor_needed);
  printf("sends to %s, consent of %s, in flight %u\n", caps->address_kind, caps->channel_kind, caps->in_flight);
  bits_print("flags: ", caps->flags, flag_names, sizeof flag_names / sizeof *flag_names);
  bits_print("receipts: ", caps->receipts, receipt_names, sizeof receipt_names / sizeof *receipt_names);
  for (const char *const *id = plugin->requires_ids; id != NULL && *id != NULL; id++)
    printf("%s%s%s", id == plugin->requires_ids ? "needs " : " ", *id, id[1] == NULL ? "\n" : "");
  for (const parley_extension *const *offer = plugin->offers; offer != NULL && *offer != NULL; offer++)
    printf("%s%s%s", offer == plugin->offers ? "offers " : " ", (*offer)->id, offer[1] == NULL ? "\n" : "");
  if (caps->features != NULL)
    printf("capabilities:\n");
  for (const parley_feature *const *feature = caps->features; feature != NULL && *feature != NULL; feature++)
    feature_print(*feature);
  if (plugin->options != NULL)
    printf("options:\n");
  for (const parley_option *const *option = plugin->options; option != NULL && *option != NULL; option++)
    option_print(*option, 0);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void json_member(struct buf *to, const char *key, const char *value)
{
  buf_json_key(to, key);
  if (value != NULL)
    buf_json_str(to, value);
  else
    buf_str(to, "null");
}

static void json_number(struct buf *to, const char *key, uint64_t value)
{
  buf_json_key(to, key);
  buf_uint(to, value);
}

static void json_bits(struct buf *to, const char *key, uint32_t bits, const char *const *names, size_t n)
{
  buf_json_key(to, key);
  buf_char(to, '[');
  for (size_t i = 0; i < n; i++) {
    if ((bits & PARLEY_BIT(i)) == 0)
      continue;
    buf_json_comma(to);
    buf_json_str(to, names[i]);
  }
  buf_char(to, ']');
}

static void json_options(struct buf *to, const parley_option *const *table)
{
  buf_char(to, '[');
  for (; table != NULL && *table != NULL; table++) {
    const parley_option *option = *table;

    buf_json_comma(to);
    buf_char(to, '{');
    json_member(to, "name", option->name);
    json_member(to, "type", type_name(option->type));
    json_member(to, "doc", option->doc);
    json_member(to, "default", option->default_text);
    json_member(to, "example", option->example);
    buf_printf(to, ",\"required\":%s,\"secret\":%s,\"min\":%lld,\"max\":%lld",
               (option->flags & PARLEY_REQUIRED) != 0 ? "true" : "false", (option->flags & PARLEY_SECRET) != 0 ? "true" : "false",
               (long long)option->min, (long long)option->max);
    if (option->choices != NULL) {
      buf_json_key(to, "choices");
      buf_char(to, '[');
      for (const char *const *choice = option->choices; *choice != NULL; choice++) {
        buf_json_comma(to);
        buf_json_str(to, *choice);
      }
      buf_char(to, ']');
    }
    if (option->fields != NULL) {
      buf_json_key(to, "fields");
      json_options(to, option->fields);
    }
    buf_char(to, '}');
  }
  buf_char(to, ']');
}

static void json_features(struct buf *to, const parley_feature *const *features)
{
  buf_json_key(to, "features");
  buf_char(to, '[');
  for (; features != NULL && *features != NULL; features++) {
    buf_json_comma(to);
    buf_char(to, '{');
    json_member(to, "what", what_name((*features)->what));
    json_member(to, "level", level_name((*features)->level));
    json_member(to, "unit", unit_name((*features)->unit));
    json_number(to, "length_max", (*features)->length_max);
    json_number(to, "joined_max", (*features)->joined_max);
    json_number(to, "count_max", (*features)->count_max);
    json_number(to, "bytes_max", (*features)->bytes_max);
    json_member(to, "types", (*features)->types);
    buf_char(to, '}');
  }
  buf_char(to, ']');
}

static void json_extensions(struct buf *to, const parley_plugin *plugin)
{
  buf_json_key(to, "requires");
  buf_char(to, '[');
  for (const char *const *id = plugin->requires_ids; id != NULL && *id != NULL; id++) {
    buf_json_comma(to);
    buf_json_str(to, *id);
  }
  buf_str(to, "],\"offers\":[");
  for (const parley_extension *const *offer = plugin->offers; offer != NULL && *offer != NULL; offer++) {
    buf_json_comma(to);
    buf_json_str(to, (*offer)->id);
  }
  buf_char(to, ']');
}

static void info_json(const parley_plugin *plugin)
{
  const parley_capabilities *caps = plugin->capabilities;
  struct buf all = BUF_INIT(0);

  buf_char(&all, '{');
  json_member(&all, "name", plugin->name);
  json_member(&all, "version", plugin->version);
  json_member(&all, "summary", plugin->summary);
  buf_printf(&all, ",\"abi\":{\"major\":%u,\"minor\":%u,\"minor_needed\":%u}", plugin->abi_major, plugin->abi_minor,
             plugin->abi_minor_needed);
  json_member(&all, "address_kind", caps->address_kind);
  json_member(&all, "channel_kind", caps->channel_kind);
  json_number(&all, "in_flight", caps->in_flight);
  json_number(&all, "session_ms", caps->session_ms);
  json_bits(&all, "flags", caps->flags, flag_names, sizeof flag_names / sizeof *flag_names);
  json_bits(&all, "receipts", caps->receipts, receipt_names, sizeof receipt_names / sizeof *receipt_names);
  json_extensions(&all, plugin);
  json_features(&all, caps->features);
  buf_json_key(&all, "options");
  json_options(&all, plugin->options);
  buf_char(&all, '}');
  printf("%s\n", all.at);
  buf_done(&all);
}

static _Noreturn void info_child(const char *path, bool json)
{
  const parley_plugin *plugin = NULL;
  struct buf why = BUF_INIT(4096);

  if (kit_open(path, &plugin, &why) == NULL) {
    fprintf(stderr, "parley: %s\n", why.at);
    _exit(KIT_UNUSABLE);
  }
  if (plugin->abi_major != PARLEY_ABI_MAJOR || plugin->name == NULL || plugin->capabilities == NULL ||
      plugin->capabilities->address_kind == NULL || plugin->capabilities->channel_kind == NULL) {
    fprintf(stderr, "parley: %s: its table is not one of ABI %d, or lacks name and capabilities; plugin test says more\n", path,
            PARLEY_ABI_MAJOR);
    _exit(KIT_FAILED);
  }
  if (json)
    info_json(plugin);
  else
    info_print(plugin);
  fflush(stdout);
  _exit(KIT_PASSED);
}

int kit_info(const char *path, bool json)
{
  int status = 0;
  pid_t pid;

  fflush(NULL);
  pid = fork();
  if (pid == 0)
    info_child(path, json);
  if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    fprintf(stderr, "parley: no process to read %s in\n", path);
    return KIT_UNUSABLE;
  }
  if (WIFEXITED(status))
    return WEXITSTATUS(status);
  fprintf(stderr, "parley: loading %s ended the process by signal %d (%s)\n", path, WTERMSIG(status), strsignal(WTERMSIG(status)));
  return KIT_FAILED;
}
