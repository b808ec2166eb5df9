/* Cases: what the channel says it can carry, to the last unit and one beyond. What is beyond, the core's own fit turns into
 * something that is not: the plugin sees what it would see in the router. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/deliver/deliver.h"
#include "core/message/fit_text.h"
#include "inside.h"
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES_MAX (CONTENT_INLINE_BYTES_MAX - 4096)
#define ADDRESS_BYTES_MAX 320
#define FLIGHT_MAX 2000 /* tokens: no channel is asked for more at once */

struct limits {
  struct kit *kit;
  struct kit_host *host;
  bool taken; /* a short text was ACCEPTED or DELIVERED: then all that fits has to be */
};

static bool is_taken(const struct kit_token *token)
{
  return token->result == PARLEY_OUTCOME_ACCEPTED || token->result == PARLEY_OUTCOME_DELIVERED;
}

static struct limits limits_begin(struct kit *kit)
{
  struct limits limits = {.kit = kit};
  struct kit_token *token;

  limits.host = kit_up(kit);
  token = kit_send_wait(limits.host);
  limits.taken = token != NULL && is_taken(token);
  return limits;
}

static void message_try(struct limits *limits, const parley_message *message, const char *what)
{
  struct kit_host *host = limits->host;
  struct kit_token *token = NULL;

  snprintf(limits->kit->note->step, sizeof limits->kit->note->step, "%s", what);
  kit_submit(host, message, &token);
  if (token == NULL)
    return; /* the channel is down, or BUSY */
  kit_settle_wait(limits->kit, DELIVER_SUBMIT_DEADLINE_MS);
  if (!token->settled)
    kit_fail(limits->kit, PROMISE_SETTLE_ALL, "%s was never settled", what);
  if (limits->taken && !is_taken(token))
    kit_fail(limits->kit, PROMISE_FITTED, "%s was settled %s (%s %s), where a short text was taken", what,
             kit_outcome_name(token->result), token->code, token->detail);
  kit_tokens_sweep(host);
}

static void content_try(struct limits *limits, const struct content *content, const char *what)
{
  struct arena *arena = arena_new();
  const char *code = NULL;
  const parley_message *message = kit_message(limits->host, content, arena, &code);

  if (message != NULL) /* else the fit refuses it, and the plan goes to its next step */
    message_try(limits, message, what);
  arena_free(&arena);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

/* Our word, then `letter` up to so many units. */
static parley_text text_fill(struct kit *kit, const char *letter, uint32_t unit, size_t units, struct arena *arena)
{
  struct buf text = BUF_INIT(CONTENT_INLINE_BYTES_MAX);
  size_t one = text_units(parley_text_of(letter), unit, SIZE_MAX), used = strlen(kit->word);
  parley_text kept;

  if (units > used)
    buf_str(&text, kit->word);
  else
    used = 0;
  for (; one > 0 && used + one <= units && text.len < TEXT_BYTES_MAX; used += one)
    buf_str(&text, letter);
  for (; used < units && text.len < TEXT_BYTES_MAX; used++)
    buf_char(&text, '.');
  kept = arena_text(arena, buf_as_text(&text));
  buf_done(&text);
  return kept;
}

static void text_try(struct limits *limits, const parley_feature *feature, const char *letter, size_t units)
{
  struct arena *arena = arena_new();
  struct content content = {.text = text_fill(limits->kit, letter, feature->unit, units, arena)};
  char what[KIT_NOTE_DOING];

  snprintf(what, sizeof what, "a text of %zu units of '%s' (length_max %u, unit %u)", units, letter, feature->length_max,
           feature->unit);
  content_try(limits, &content, what);
  arena_free(&arena);
}

static void text_feature_try(struct limits *limits, const parley_feature *feature)
{
  static const char *const letters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
  size_t max = feature->length_max, pieces = feature->count_max > 1 ? feature->count_max : 1;

  for (size_t i = 0; i < COUNT_OF(letters); i++) {
    if (!text_unit_holds(parley_text_of(letters[i]), feature->unit))
      continue;
    if (max == 0) {
      text_try(limits, feature, letters[i], 65536);
      text_try(limits, feature, letters[i], TEXT_BYTES_MAX / 4);
      continue;
    }
    for (size_t units = max > 2 ? max - 2 : 1; units <= max + 1; units++)
      text_try(limits, feature, letters[i], units);
    text_try(limits, feature, letters[i], (feature->joined_max > 0 ? feature->joined_max : max) * pieces);
    text_try(limits, feature, letters[i], max * pieces + 1);
  }
}

/* What parsers stumble over. */
static void text_shapes_try(struct limits *limits)
{
  static const char *const shapes[] = {
      ".\r\n.\r\n", "\n\n\n", "a\rb", "%s%n%d", "\"}],[{\\\"", "<script>alert(1)</script>", "a&b=c+d", "\\", "\xe2\x80\xae" "abc",
      "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7", "\xef\xbb\xbf" "bom", "e\xcc\x81", "\t\v\f",
      "From here\n>From there", "${HOME}", "'; DROP TABLE x; --", "=SUM(A1)", "--boundary--\r\n\r\n", "\x7f", "\xe2\x80\xa8",
      "\xe2\x80\x9cIt\xe2\x80\x99s here\xe2\x80\x9d \xe2\x80\x93 \xe2\x80\xa6"};

  for (size_t i = 0; i < COUNT_OF(shapes); i++) {
    struct content content = {.text = parley_text_of(shapes[i])};
    char what[KIT_NOTE_DOING];

    snprintf(what, sizeof what, "odd text number %zu", i);
    content_try(limits, &content, what);
  }
}

void kit_limit_text(struct kit *kit)
{
  struct limits limits = limits_begin(kit);
  bool any = false;

  for (const parley_feature *const *each = limits.host->caps->features; each != NULL && *each != NULL; each++) {
    if ((*each)->what != PARLEY_PART_TEXT || (*each)->level != PARLEY_LEVEL_NATIVE)
      continue;
    text_feature_try(&limits, *each);
    any = true;
  }
  if (!any) /* what is not listed goes as it is */
    text_feature_try(&limits, PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .unit = PARLEY_UNIT_CODE_POINTS));
  text_shapes_try(&limits);
  kit_down(&limits.host);
}

static const parley_feature *feature_of(const struct kit_host *host, uint32_t what)
{
  for (const parley_feature *const *each = host->caps->features; each != NULL && *each != NULL; each++)
    if ((*each)->what == what && (*each)->level == PARLEY_LEVEL_NATIVE)
      return *each;
  return NULL;
}

void kit_limit_subject(struct kit *kit)
{
  struct limits limits = limits_begin(kit);
  const parley_feature *feature = feature_of(limits.host, PARLEY_FEATURE_SUBJECT);
  size_t max = feature != NULL && feature->length_max > 0 ? feature->length_max : CONTENT_SUBJECT_BYTES_MAX;
  uint32_t unit = feature != NULL && feature->unit > 0 ? feature->unit : PARLEY_UNIT_BYTES;
  static const char *const letters[] = {"a", "\xc3\xa9", "\xf0\x9f\x98\x80"};

  for (size_t i = 0; i < 2 * COUNT_OF(letters); i++) {
    struct arena *arena = arena_new();
    struct content content = {.text = parley_text_of(kit->word)};

    content.subject = text_fill(kit, letters[i / 2], unit, max + i % 2, arena);
    content_try(&limits, &content, "a subject at its limit");
    arena_free(&arena);
  }
  content_try(&limits, &(struct content){.text = parley_text_of(kit->word), .subject = PARLEY_LIT("=?utf-8?q?a?= : x")}, "a subject");
  kit_down(&limits.host);
}

void kit_limit_html(struct kit *kit)
{
  static const size_t sizes[] = {1, 1000, 65536, TEXT_BYTES_MAX / 2};
  struct limits limits = limits_begin(kit);

  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    struct arena *arena = arena_new();
    struct buf html = BUF_INIT(CONTENT_INLINE_BYTES_MAX);
    struct content content = {.text = i % 2 == 0 ? parley_text_of(kit->word) : TEXT_EMPTY};
    char what[KIT_NOTE_DOING];

    buf_printf(&html, "<html><body><p>%s &amp; <b>", kit->word);
    while (html.len < sizes[i])
      buf_str(&html, "caf\xc3\xa9 ");
    buf_str(&html, "</b></p></body></html>");
    content.html = buf_as_text(&html);
    snprintf(what, sizeof what, "html of %zu bytes", html.len);
    content_try(&limits, &content, what);
    buf_done(&html);
    arena_free(&arena);
  }
  kit_down(&limits.host);
}

/* --- Media -------------------------------------------------------------------------------------------------------- */

/* The first type that the feature lists, "..." filled in. */
static parley_text type_of(const parley_feature *feature, struct arena *arena)
{
  parley_text types = parley_text_of(feature != NULL && feature->types != NULL ? feature->types : "image/jpeg");
  parley_text type = text_cut(&types, ' ');
  struct buf full = BUF_INIT(256);
  parley_text kept;

  if (text_ends(type, "/...") || text_ends(type, "/*"))
    buf_printf(&full, "%.*s/kit", TEXT_ARG(text_sub(type, 0, text_find(type, '/'))));
  else
    buf_printf(&full, "%.*s", TEXT_ARG(type));
  kept = arena_text(arena, buf_as_text(&full));
  buf_done(&full);
  return kept;
}

static void media_try(struct limits *limits, const parley_feature *feature, size_t count, uint64_t bytes, bool by_url)
{
  struct arena *arena = arena_new();
  struct content content = {.text = parley_text_of(limits->kit->word), .n_media = count};
  char what[KIT_NOTE_DOING];

  content.media = arena_alloc(arena, (count + 1) * sizeof *content.media);
  for (size_t i = 0; i < count; i++)
    content.media[i] = (struct content_media){.id = by_url ? 0 : (UINT64_C(1) << 40) + i, .type = type_of(feature, arena),
                                              .url = by_url ? PARLEY_LIT("https://kit.example/a.jpg") : TEXT_EMPTY,
                                              .name = PARLEY_LIT("caf\xc3\xa9 \"1\".jpg"), .caption = PARLEY_LIT("a caption"),
                                              .total_bytes = bytes};
  snprintf(what, sizeof what, "%zu media of %llu bytes %s", count, (unsigned long long)bytes, by_url ? "by URL" : "by id");
  content_try(limits, &content, what);
  arena_free(&arena);
}

/* Small media may also come as their bytes. */
static void media_inline_try(struct limits *limits, const parley_feature *feature)
{
  struct arena *arena = arena_new();
  const size_t sizes[] = {0, 1, 57, 1000, 100000, (size_t)KIT_INLINE_MAX / 2};

  for (size_t i = 0; i < COUNT_OF(sizes) && feature != NULL; i++) {
    const parley_message *plain = kit_message_plain(limits->host, arena);
    parley_message *message = arena_alloc(arena, sizeof *message);
    parley_part *part = arena_alloc(arena, sizeof *part);
    const parley_part **parts = arena_alloc(arena, 2 * sizeof *parts);

    *part = (parley_part){.size = sizeof *part, .kind = PARLEY_PART_MEDIA, .total_bytes = sizes[i], .text = PARLEY_LIT("caption"),
                          .type = type_of(feature, arena), .name = PARLEY_LIT("a.jpg"),
                          .data = {arena_alloc(arena, sizes[i] + 1), sizes[i]}};
    *message = *plain;
    parts[0] = plain->parts[0];
    parts[1] = part;
    message->parts = parts;
    message->n_parts = 2;
    message_try(limits, message, "media as its bytes");
  }
  arena_free(&arena);
}

static void media_feature_try(struct limits *limits, const parley_feature *feature)
{
  size_t max = feature != NULL && feature->count_max > 0 ? feature->count_max : 1;
  uint64_t bytes = feature != NULL && feature->bytes_max > 0 ? feature->bytes_max : 1000;

  max = max < CONTENT_MEDIA_MAX ? max : CONTENT_MEDIA_MAX - 1;
  media_inline_try(limits, feature);
  for (size_t count = 1; count <= max + 1; count = count < max ? max : count + 1) {
    media_try(limits, feature, count, 1000, true);
    media_try(limits, feature, count, 1000, false);
  }
  media_try(limits, feature, 1, bytes, true);
  media_try(limits, feature, 1, bytes, false);
  media_try(limits, feature, 1, bytes + 1, false);
}

void kit_limit_media(struct kit *kit)
{
  struct limits limits = limits_begin(kit);
  bool any = false;

  /* Media by id are fetched by the plugin, or by the provider from the link: what becomes of them is not for us to say. */
  limits.taken = false;
  for (const parley_feature *const *each = limits.host->caps->features; each != NULL && *each != NULL; each++)
    if ((*each)->what == PARLEY_PART_MEDIA && (*each)->level == PARLEY_LEVEL_NATIVE) {
      media_feature_try(&limits, *each);
      any = true;
    }
  if (!any)
    media_feature_try(&limits, NULL);
  kit_down(&limits.host);
}

/* --- Buttons, location -------------------------------------------------------------------------------------------- */

static void buttons_try(struct limits *limits, const parley_feature *feature, size_t count, size_t label_units)
{
  struct arena *arena = arena_new();
  struct content content = {.text = parley_text_of(limits->kit->word), .n_buttons = count};
  uint32_t unit = feature != NULL && feature->unit > 0 ? feature->unit : PARLEY_UNIT_CODE_POINTS;
  char what[KIT_NOTE_DOING];

  content.buttons = arena_alloc(arena, (count + 1) * sizeof *content.buttons);
  for (size_t i = 0; i < count; i++) {
    struct content_button *button = &content.buttons[i];

    button->action = PARLEY_BUTTON_REPLY + (uint32_t)(i % 3);
    button->id = PARLEY_LIT("yes");
    button->label = text_fill(limits->kit, "a", unit, label_units, arena);
    if (button->action == PARLEY_BUTTON_URL)
      button->target = PARLEY_LIT("https://kit.example/?a=1&b=2");
    if (button->action == PARLEY_BUTTON_CALL)
      button->target = PARLEY_LIT("+34600111222");
  }
  snprintf(what, sizeof what, "%zu buttons with labels of %zu units", count, label_units);
  content_try(limits, &content, what);
  arena_free(&arena);
}

void kit_limit_buttons(struct kit *kit)
{
  struct limits limits = limits_begin(kit);
  const parley_feature *feature = feature_of(limits.host, PARLEY_PART_BUTTONS);
  size_t max = feature != NULL && feature->count_max > 0 ? feature->count_max : CONTENT_BUTTONS_MAX;
  size_t label = feature != NULL && feature->length_max > 0 ? feature->length_max : 20;

  max = max < CONTENT_BUTTONS_MAX ? max : CONTENT_BUTTONS_MAX;
  buttons_try(&limits, feature, 1, 5);
  buttons_try(&limits, feature, max, label);
  buttons_try(&limits, feature, max, label + 1);
  if (max < CONTENT_BUTTONS_MAX)
    buttons_try(&limits, feature, max + 1, label);
  kit_down(&limits.host);
}

void kit_limit_location(struct kit *kit)
{
  static const double places[][2] = {{0, 0}, {90, 180}, {-90, -180}, {40.4168, -3.7038}, {1e-9, -1e-9}};
  struct limits limits = limits_begin(kit);

  for (size_t i = 0; i < COUNT_OF(places); i++) {
    struct content content = {.has_location = true, .latitude = places[i][0], .longitude = places[i][1]};

    if (i % 2 == 0) {
      content.location_name = PARLEY_LIT("Caf\xc3\xa9 \"1\"");
      content.location_address = PARLEY_LIT("Calle Mayor 1\nMadrid");
    }
    content.text = i > 2 ? parley_text_of(kit->word) : TEXT_EMPTY;
    content_try(&limits, &content, "a location");
  }
  kit_down(&limits.host);
}

/* --- Kinds, and what stands around a message ------------------------------------------------------------------------ */

/* As it is after a failed attempt, within a thread, with everything that a message may have. */
static void message_dress(struct kit *kit, parley_message *message, struct arena *arena)
{
  parley_text *thread = arena_alloc(arena, 2 * sizeof *thread);
  parley_pair *fields = arena_alloc(arena, 2 * sizeof *fields);
  parley_part *part = arena_alloc(arena, sizeof *part);
  const parley_part **parts = arena_alloc(arena, sizeof *parts);

  thread[0] = PARLEY_LIT("<first@kit.example>");
  thread[1] = PARLEY_LIT("provider-id-2");
  fields[0] = (parley_pair){PARLEY_LIT("name"), PARLEY_LIT("Ana")};
  fields[1] = (parley_pair){PARLEY_LIT("order"), PARLEY_LIT("10\"42")};
  *part = *message->parts[0];
  part->provider_id = kit_below(kit, 2) == 0 ? PARLEY_LIT("went-out-before") : TEXT_EMPTY;
  parts[0] = part;
  message->attempt = 1 + kit_below(kit, 10);
  message->resent = kit_below(kit, 2);
  message->thread = thread;
  message->n_thread = kit_below(kit, 3);
  message->fields = fields;
  message->n_fields = kit_below(kit, 3);
  message->parts = parts;
  message->n_parts = 1;
  message->reply_to = kit_below(kit, 2) == 0 ? thread[1] : TEXT_EMPTY;
  message->reply_address = PARLEY_LIT("reply+abc@kit.example");
  message->unsubscribe_url = PARLEY_LIT("https://kit.example/u/abc");
  message->traceparent = PARLEY_LIT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  message->override_json = PARLEY_LIT("{\"silent\":true}");
  message->topic_class = kit_below(kit, PARLEY_CLASS_MARKETING + 1);
}

static void kind_try(struct limits *limits, uint32_t kind, bool dressed)
{
  struct arena *arena = arena_new();
  parley_message *message = arena_alloc(arena, sizeof *message);
  char what[KIT_NOTE_DOING];

  *message = *kit_message_plain(limits->host, arena);
  message->kind = kind;
  if (dressed)
    message_dress(limits->kit, message, arena);
  if (kind != PARLEY_KIND_CONTENT)
    message->target = PARLEY_LIT("provider-id-1");
  if (kind == PARLEY_KIND_REACTION)
    message->payload = dressed ? PARLEY_LIT("\xf0\x9f\x91\x8d") : TEXT_EMPTY;
  if (kind != PARLEY_KIND_CONTENT && kind != PARLEY_KIND_EDIT)
    message->n_parts = 0;
  snprintf(what, sizeof what, "a message of kind %u%s", kind, dressed ? " with all that may stand in it" : "");
  message_try(limits, message, what);
  arena_free(&arena);
}

void kit_limit_kinds(struct kit *kit)
{
  static const uint32_t kinds[] = {PARLEY_KIND_EDIT, PARLEY_KIND_DELETE, PARLEY_KIND_REACTION, PARLEY_KIND_TYPING, PARLEY_KIND_READ};
  struct limits limits = limits_begin(kit);

  for (int i = 0; i < 10; i++)
    kind_try(&limits, PARLEY_KIND_CONTENT, true);
  limits.taken = false; /* what a provider makes of the others, only it knows */
  for (size_t i = 0; i < 2 * COUNT_OF(kinds); i++)
    if (feature_of(limits.host, kinds[i / 2]) != NULL)
      kind_try(&limits, kinds[i / 2], i % 2 == 1);
  kit_down(&limits.host);
}

/* The core checks an address by its kind; of a plugin's own kind it knows nothing. */
void kit_limit_addresses(struct kit *kit)
{
  static const char *const odd[] = {"", "x", "@", "a@", "a@b", "\xc3\xbc@\xc3\xbc.example", "\"a b\"@kit.example", "+1", "+", "a\nb",
                                    "a\r\nRCPT TO:<eva@kit.example>", "%s%n", "../../etc", "<a@kit.example>", " ", "a b@c d",
                                    "eva@kit.example,ana@kit.example", "?a=b&c=d#e"};
  struct limits limits = limits_begin(kit);
  struct arena *arena = arena_new();
  char *longest = arena_alloc(arena, ADDRESS_BYTES_MAX + 1);

  limits.taken = false;
  memset(longest, 'a', ADDRESS_BYTES_MAX);
  for (size_t i = 0; i <= COUNT_OF(odd); i++) {
    parley_message *message = arena_alloc(arena, sizeof *message);
    parley_identity *to = arena_alloc(arena, sizeof *to);

    *message = *kit_message_plain(limits.host, arena);
    *to = *message->to;
    to->value = parley_text_of(i < COUNT_OF(odd) ? odd[i] : longest);
    to->name = parley_text_of(i < COUNT_OF(odd) ? odd[COUNT_OF(odd) - 1 - i] : "");
    message->to = to;
    message_try(&limits, message, "an odd address");
  }
  kit_down(&limits.host);
  arena_free(&arena);
}

/* --- In flight ---------------------------------------------------------------------------------------------------- */

void kit_limit_flight(struct kit *kit)
{
  struct kit_host *host;
  uint32_t wanted, taken = 0;
  struct arena *arena = arena_new();

  kit->answer_held = true;
  kit->peer = KIT_PEER_SILENT;
  host = kit_up(kit);
  wanted = host->caps->in_flight > 0 ? host->caps->in_flight : 64;
  wanted = wanted < FLIGHT_MAX ? wanted : FLIGHT_MAX;
  for (; taken < wanted && kit_room(host) > 0; taken++) {
    parley_status st = kit_submit(host, kit_message_plain(host, arena), NULL);

    if (st == PARLEY_BUSY && host->n_open < wanted && host->n_open < host->window)
      kit_fail(kit, PROMISE_FLIGHT, "submit() said BUSY with %u tokens open; its capabilities say %u, its window %u", host->n_open,
               wanted, host->window);
  }
  if (taken > 0 && host->health != PARLEY_DOWN) {
    snprintf(kit->note->step, sizeof kit->note->step, "one more than in_flight (%u)", wanted);
    kit_submit_over(host, kit_message_plain(host, arena), NULL); /* BUSY or taken: both are right */
  }
  kit->answer_held = false;
  kit_settle_wait(kit, DELIVER_SUBMIT_DEADLINE_MS);
  if (host->n_open > 0)
    kit_fail(kit, PROMISE_SETTLE_ALL, "%u of %u tokens were never settled", host->n_open, taken);
  kit_down(&host);
  arena_free(&arena);
}
