/* Structs of the ABI as bytes and back: each of them, member by member, as the tables of abi.h tell. What another process may send is
 * read within bounds, and costs memory in proportion. */
#include "core/base/alloc.h"
#include "core/border/wire.h"
#include "net_peer.h"

/* Sizes of ABI 1.0 on a 64-bit machine: a member that is appended to a struct is appended to its table in core/border/abi.c, and
 * here. */
static const struct shape { const char *name; const struct abi_struct *is; uint32_t bytes, n_fields; } shapes[] = {
    {"option", &abi_option, 80, 10},
    {"value", &abi_value, 64, 5},
    {"metric", &abi_metric, 32, 4},
    {"feature", &abi_feature, 48, 8},
    {"price", &abi_price, 32, 3},
    {"capabilities", &abi_capabilities, 56, 8},
    {"part", &abi_part, 176, 15},
    {"identity", &abi_identity, 56, 4},
    {"customer", &abi_customer, 72, 4},
    {"message", &abi_message, 328, 27},
    {"outcome", &abi_outcome, 72, 6},
    {"receipt", &abi_receipt, 112, 10},
    {"inbound", &abi_inbound, 224, 18},
    {"touchpoint", &abi_touchpoint, 72, 6},
    {"result", &abi_result, 56, 6},
    {"query", &abi_query, 72, 7},
    {"page", &abi_page, 48, 4},
    {"http_request", &abi_http_request, 104, 9},
    {"http_response", &abi_http_response, 104, 10},
    {"http_call", &abi_http_call, 112, 7},
    {"http_answer", &abi_http_answer, 56, 5},
    {"mail_query", &abi_mail_query, 48, 4},
    {"mail_page", &abi_mail_page, 40, 4},
    {"submission", &abi_submission, 72, 4},
    {"plugin_facts", &abi_plugin_facts, 88, 12},
    {"frame_words", &abi_frame_words, 88, 8},
};
#define SHAPES (int)(sizeof shapes / sizeof *shapes)

enum { NESTED = 2, LIST_OF = 3 }; /* how deep structs in structs are filled, how long lists are */

static struct arena *arena;
static struct buf bytes, again;

static void setup(void)
{
  arena = arena_new();
  bytes = again = BUF_INIT(64 << 20);
}

static void teardown(void)
{
  buf_done(&bytes);
  buf_done(&again);
  arena_free(&arena);
}

/* --- Making a struct whose every member says something else ------------------------------------------------------------ */

static uint64_t last_value;

static void *made_struct(const struct abi_struct *shape, int depth);

static parley_text made_text(void)
{
  char text[32];

  snprintf(text, sizeof text, "text %llu \xc3\xa9", (unsigned long long)++last_value);
  return arena_text(arena, parley_text_of(text));
}

static parley_bytes made_bytes(void)
{
  char some[] = "\xff\x00 any";

  some[2] = (char)++last_value;
  return arena_text(arena, (parley_bytes){some, sizeof some - 1});
}

static const char *made_cstr(void)
{
  return arena_str(arena, made_text().at);
}

static void *made_texts(bool pairs)
{
  parley_text *texts = arena_alloc(arena, LIST_OF * 2 * sizeof *texts);

  for (int i = 0; i < LIST_OF * (pairs ? 2 : 1); i++)
    texts[i] = pairs ? made_bytes() : made_text();
  return texts;
}

static void *made_statuses(void)
{
  parley_status *list = arena_alloc(arena, LIST_OF * sizeof *list);

  for (int i = 0; i < LIST_OF; i++)
    list[i] = -(parley_status)++last_value;
  return list;
}

static void *made_list(const struct abi_field *field, int depth)
{
  const void **list = arena_alloc(arena, (LIST_OF + 1) * sizeof *list); /* with a NULL behind */

  for (int i = 0; i < LIST_OF; i++)
    list[i] = field->kind == ABI_CSTRS ? made_cstr() : made_struct(field->of, depth + 1);
  return list;
}

static void member_set(void *object, uint16_t at, const void *value, size_t len)
{
  memcpy((char *)object + at, value, len);
}

static void pointer_set(void *object, const struct abi_field *field, const void *pointer)
{
  uint64_t count = LIST_OF;

  member_set(object, field->at, &pointer, sizeof pointer);
  if (field->count_bytes > 0) /* little-endian: the low half first */
    member_set(object, field->count_at, &count, field->count_bytes);
}

static void made_member(void *object, const struct abi_field *field, int depth)
{
  uint32_t narrow = (uint32_t)++last_value + 0x80000000u;
  uint64_t wide = last_value + (UINT64_C(7) << 60);
  double number = (double)last_value + 0.25;
  parley_text text;

  switch ((enum abi_kind)field->kind) {
  case ABI_U32:
  case ABI_I32:
    member_set(object, field->at, &narrow, sizeof narrow);
    break;
  case ABI_U64:
  case ABI_I64:
    member_set(object, field->at, &wide, sizeof wide);
    break;
  case ABI_F64:
    member_set(object, field->at, &number, sizeof number);
    break;
  case ABI_TEXT:
  case ABI_BYTES:
    text = field->kind == ABI_TEXT ? made_text() : made_bytes();
    member_set(object, field->at, &text, sizeof text);
    break;
  case ABI_CSTR:
    pointer_set(object, field, made_cstr());
    break;
  case ABI_TEXTS:
  case ABI_PAIRS:
    pointer_set(object, field, made_texts(field->kind == ABI_PAIRS));
    break;
  case ABI_STATUSES:
    pointer_set(object, field, made_statuses());
    break;
  case ABI_ONE:
    pointer_set(object, field, made_struct(field->of, depth + 1));
    break;
  case ABI_MANY:
  case ABI_ENDED:
  case ABI_CSTRS:
    pointer_set(object, field, made_list(field, depth));
    break;
  }
}

static void *made_empty(const struct abi_struct *shape)
{
  void *object = arena_alloc(arena, shape->bytes);

  member_set(object, 0, &shape->bytes, sizeof shape->bytes);
  return object;
}

static void *made_struct(const struct abi_struct *shape, int depth)
{
  void *object = made_empty(shape);

  for (uint32_t i = 0; i < shape->n_fields; i++)
    if (shape->fields[i].of == NULL || depth < NESTED)
      made_member(object, &shape->fields[i], depth);
  return object;
}

/* --- Comparing, by the tables as well, and not by the coder ------------------------------------------------------------- */

static bool same_struct(const struct abi_struct *shape, const char *a, const char *b);

static bool same_text(const parley_text *a, const parley_text *b)
{
  return a->len == b->len && (a->len == 0 || memcmp(a->at, b->at, a->len) == 0);
}

static bool same_cstr(const char *a, const char *b)
{
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static uint32_t count_in(const char *object, const struct abi_field *field)
{
  uint64_t count = 0;

  memcpy(&count, object + field->count_at, field->count_bytes);
  return (uint32_t)count;
}

static uint32_t ended_in(const void *const *list)
{
  uint32_t n = 0;

  while (list != NULL && list[n] != NULL)
    n++;
  return n;
}

static bool same_list(const struct abi_field *field, uint32_t n, const void *const *a, const void *const *b)
{
  for (uint32_t i = 0; i < n; i++)
    if (field->kind == ABI_CSTRS ? !same_cstr(a[i], b[i]) : !same_struct(field->of, a[i], b[i]))
      return false;
  return true;
}

static bool same_counted(const struct abi_field *field, const char *a, const char *b, const void *list, const void *other)
{
  uint32_t n = count_in(a, field), texts = field->kind == ABI_PAIRS ? 2 * n : n;
  const parley_text *one = list, *two = other;

  if (list == NULL || other == NULL) /* the count of statuses is a member of its own, which says something without them */
    return list == other && (n == count_in(b, field) || field->kind == ABI_STATUSES);
  if (n != count_in(b, field))
    return false;
  if (field->kind == ABI_MANY)
    return same_list(field, n, list, other);
  if (field->kind == ABI_STATUSES)
    return memcmp(list, other, n * sizeof(parley_status)) == 0;
  for (uint32_t i = 0; i < texts; i++)
    if (!same_text(&one[i], &two[i]))
      return false;
  return true;
}

static bool same_member(const struct abi_field *field, const char *a, const char *b)
{
  const void *one, *two;

  if (field->kind == ABI_U32 || field->kind == ABI_I32)
    return memcmp(a + field->at, b + field->at, sizeof(uint32_t)) == 0;
  if (field->kind == ABI_TEXT || field->kind == ABI_BYTES)
    return same_text((const parley_text *)(const void *)(a + field->at), (const parley_text *)(const void *)(b + field->at));
  memcpy(&one, a + field->at, sizeof one);
  memcpy(&two, b + field->at, sizeof two);
  if (field->kind < ABI_TEXT) /* 64 bits, as a pointer has */
    return one == two;
  if (field->kind == ABI_CSTR)
    return same_cstr(one, two);
  if (field->kind == ABI_ONE)
    return one == NULL || two == NULL ? one == two : same_struct(field->of, one, two);
  if (field->count_bytes > 0)
    return same_counted(field, a, b, one, two);
  return ended_in(one) == ended_in(two) && same_list(field, ended_in(one), one, two);
}

static bool same_struct(const struct abi_struct *shape, const char *a, const char *b)
{
  for (uint32_t i = 0; i < shape->n_fields; i++)
    if (!same_member(&shape->fields[i], a, b))
      return false;
  return true;
}

/* Reads from a copy without a byte behind it, so that reading on is seen. NULL: refused, or not all was used. */
static const void *read_back(const struct abi_struct *shape, const char *at, size_t len)
{
  char *copy = xmemdup(at, len > 0 ? len : 1);
  struct wire_in in = {.at = copy, .left = len, .arena = arena};
  const void *got;

  copy = realloc(copy, len > 0 ? len : 1);
  in.at = copy;
  got = wire_get(&in, shape);
  if (got != NULL)
    ck_assert_uint_le(in.left, len);
  free(copy);
  return in.left == 0 ? got : NULL;
}

static const void *round_trip(const struct abi_struct *shape, const void *object)
{
  buf_clear(&bytes);
  wire_put(&bytes, shape, object);
  return read_back(shape, bytes.at, bytes.len);
}

/* --- Each struct --------------------------------------------------------------------------------------------------------- */

START_TEST(the_tables_know_each_struct_as_it_is_today)
{
  const struct shape *shape = &shapes[_i];

  ck_assert_msg(shape->is->bytes == shape->bytes, "%s has %u bytes", shape->name, shape->is->bytes);
  ck_assert_msg(shape->is->n_fields == shape->n_fields, "%s has %u members", shape->name, shape->is->n_fields);
  ck_assert_uint_le(shape->n_fields, ABI_FIELDS_MAX);
}
END_TEST

START_TEST(a_full_struct_comes_back_as_it_was)
{
  const struct abi_struct *shape = shapes[_i].is;
  const void *object = made_struct(shape, 0), *got = round_trip(shape, object);

  ck_assert_msg(got != NULL, "%s is not read", shapes[_i].name);
  ck_assert_msg(same_struct(shape, object, got), "%s is not the same", shapes[_i].name);
  ck_assert_uint_eq(*(const uint32_t *)got, shape->bytes);
  wire_put(&again, shape, got);
  ck_assert(again.len == bytes.len && memcmp(again.at, bytes.at, bytes.len) == 0);
}
END_TEST

START_TEST(a_struct_with_nothing_in_it_takes_four_bytes)
{
  const struct abi_struct *shape = shapes[_i].is;
  const void *object = made_empty(shape), *got = round_trip(shape, object);

  ck_assert_uint_eq(bytes.len, sizeof(uint32_t));
  ck_assert(got != NULL && memcmp(object, got, shape->bytes) == 0);
}
END_TEST

START_TEST(each_member_alone_comes_back_alone)
{
  const struct abi_struct *shape = shapes[_i].is;

  for (uint32_t i = 0; i < shape->n_fields; i++) {
    void *object = made_empty(shape);
    const void *got;
    uint32_t there;

    made_member(object, &shape->fields[i], 0);
    got = round_trip(shape, object);
    memcpy(&there, bytes.at, sizeof there);
    ck_assert_uint_eq(there & PARLEY_BIT(i), PARLEY_BIT(i));
    ck_assert_msg(got != NULL && same_struct(shape, object, got), "%s: member %u", shapes[_i].name, i);
  }
}
END_TEST

/* An older plugin wrote `size` bytes, and there may be nothing behind them. */
START_TEST(members_that_an_older_struct_has_not_are_empty_and_not_read)
{
  const struct abi_struct *shape = shapes[_i].is;
  const char *full = made_struct(shape, 0);

  for (uint32_t cut = 0; cut < shape->n_fields; cut++) {
    uint32_t size = shape->fields[cut].at;
    char *older = malloc(size > sizeof size ? size : sizeof size);
    const char *got, *empty = made_empty(shape);

    memcpy(older, full, size);
    memcpy(older, &size, sizeof size);
    got = round_trip(shape, older);
    free(older);
    ck_assert_msg(got != NULL, "%s cut at %u", shapes[_i].name, size);
    ck_assert_uint_eq(*(const uint32_t *)(const void *)got, shape->bytes);
    for (uint32_t i = 0; i < shape->n_fields; i++)
      ck_assert_msg(same_member(&shape->fields[i], got, shape->fields[i].at < size ? full : empty), "%s cut at %u: member %u",
                    shapes[_i].name, size, i);
  }
}
END_TEST

START_TEST(whatever_is_cut_off_at_any_byte_is_refused)
{
  const struct abi_struct *shape = shapes[_i].is;
  size_t step;

  round_trip(shape, made_struct(shape, 0));
  step = bytes.len / 2000 + 1;
  for (size_t len = 0; len < bytes.len; len += step)
    ck_assert_msg(read_back(shape, bytes.at, len) == NULL, "%s: %zu of %zu bytes", shapes[_i].name, len, bytes.len);
}
END_TEST

START_TEST(a_member_that_this_build_does_not_know_is_refused)
{
  const struct abi_struct *shape = shapes[_i].is;
  uint32_t there = PARLEY_BIT(shape->n_fields);

  ck_assert_ptr_null(read_back(shape, (const char *)&there, sizeof there));
  there = PARLEY_BIT(31);
  ck_assert_ptr_null(read_back(shape, (const char *)&there, sizeof there));
}
END_TEST

static uint64_t next_chance(uint64_t *seed)
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  return *seed ^= *seed << 17;
}

/* What was read at all is written and read again as the same bytes. */
START_TEST(bytes_that_were_tampered_with_are_refused_or_make_sense)
{
  const struct abi_struct *shape = shapes[_i].is;
  uint64_t seed = 88172645463325252u + (uint64_t)_i;
  struct arena *outer = arena;
  char *copy;
  size_t len;

  round_trip(shape, made_struct(shape, 0));
  len = bytes.len;
  copy = xmemdup(bytes.at, len);
  for (int round = 0; round < 500; round++) {
    size_t at = (size_t)(next_chance(&seed) % len);
    char was = copy[at];
    const void *got;

    arena = arena_new();
    copy[at] = (char)next_chance(&seed);
    got = read_back(shape, copy, len);
    copy[at] = was;
    if (got != NULL) {
      const void *twice = round_trip(shape, got);

      ck_assert(twice != NULL && same_struct(shape, got, twice));
    }
    arena_free(&arena);
  }
  arena = outer;
  free(copy);
}
END_TEST

/* --- Lists ----------------------------------------------------------------------------------------------------------------- */

START_TEST(lists_without_elements_are_no_lists)
{
  static const parley_feature *const none[] = {NULL};
  parley_text unused = PARLEY_LIT("not counted");
  parley_message message = {.size = sizeof message, .n_parts = 4, .parts = NULL, .n_thread = 0, .thread = &unused};
  parley_capabilities caps = {.size = sizeof caps, .address_kind = "", .features = none};
  const parley_message *got = round_trip(&abi_message, &message);
  const parley_capabilities *narrow;

  ck_assert(got != NULL && got->n_parts == 0 && got->parts == NULL && got->n_thread == 0 && got->thread == NULL);
  narrow = round_trip(&abi_capabilities, &caps);
  ck_assert(narrow != NULL && narrow->features != NULL && narrow->features[0] == NULL);
  ck_assert(narrow->address_kind != NULL && narrow->address_kind[0] == '\0' && narrow->channel_kind == NULL);
}
END_TEST

START_TEST(a_count_without_its_list_is_told_where_it_says_something_by_itself)
{
  parley_result result = {.size = sizeof result, .count = 1}; /* an event_id that had come before */
  const parley_result *got = round_trip(&abi_result, &result);

  ck_assert(got != NULL && got->count == 1 && got->each == NULL);
}
END_TEST

/* --- Bounds ---------------------------------------------------------------------------------------------------------------- */

static void put_number(uint32_t number)
{
  buf_add(&bytes, &number, sizeof number);
}

static bool is_list(const struct abi_field *field)
{
  return field->kind == ABI_TEXTS || field->kind == ABI_PAIRS || field->kind == ABI_STATUSES || field->kind == ABI_MANY ||
         field->kind == ABI_ENDED || field->kind == ABI_CSTRS;
}

START_TEST(a_count_or_length_beyond_what_is_there_is_refused_at_no_cost)
{
  static const uint32_t counts[] = {UINT32_MAX, UINT32_MAX / 4 + 1, 0x10000, 5};
  const struct abi_struct *shape = shapes[_i].is;
  size_t before = arena_bytes(arena);

  for (uint32_t i = 0; i < shape->n_fields; i++)
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      enum abi_kind kind = (enum abi_kind)shape->fields[i].kind;

      if (!is_list(&shape->fields[i]) && kind != ABI_TEXT && kind != ABI_BYTES && kind != ABI_CSTR)
        continue;
      buf_clear(&bytes);
      put_number(PARLEY_BIT(i));
      put_number(counts[c]);
      put_number(0);
      ck_assert_msg(read_back(shape, bytes.at, bytes.len) == NULL, "%s: member %u, %u", shapes[_i].name, i, counts[c]);
    }
  ck_assert_uint_le(arena_bytes(arena) - before, 1 << 16);
}
END_TEST

/* One that came in, with so many references, fields and senders that say nothing. */
static const parley_inbound *inbound_of(uint32_t n_references, uint32_t n_fields, uint32_t n_from)
{
  const parley_identity **from = arena_alloc(arena, (n_from + 1) * sizeof *from);
  parley_inbound in = {.size = sizeof in, .n_references = n_references, .n_fields = n_fields, .n_from = n_from, .from = from,
                       .references = arena_alloc(arena, (n_references + 1) * sizeof(parley_text)),
                       .fields = arena_alloc(arena, (n_fields + 1) * sizeof(parley_pair))};

  for (uint32_t i = 0; i < n_from; i++)
    from[i] = made_empty(&abi_identity);
  return round_trip(&abi_inbound, &in);
}

START_TEST(a_frame_has_so_many_items_over_all_its_lists)
{
  const parley_inbound *most = inbound_of(WIRE_ITEMS_MAX, 0, 0);

  ck_assert(most != NULL && most->n_references == WIRE_ITEMS_MAX);
  ck_assert_ptr_null(inbound_of(WIRE_ITEMS_MAX + 1, 0, 0));
  most = inbound_of(7, WIRE_ITEMS_MAX - 16, 9);
  ck_assert(most != NULL && most->n_from == 9);
  ck_assert_ptr_null(inbound_of(7, WIRE_ITEMS_MAX - 16, 10));
}
END_TEST

static const void *nested_values(int depth)
{
  const parley_value *value = made_empty(&abi_value);

  for (int i = 0; i < depth; i++) {
    const parley_value **list = arena_alloc(arena, sizeof *list);
    parley_value *outer = made_empty(&abi_value);

    list[0] = value;
    outer->n_items = 1;
    outer->items = list;
    value = outer;
  }
  return round_trip(&abi_value, value);
}

START_TEST(structs_in_structs_go_so_deep)
{
  ck_assert_ptr_nonnull(nested_values(WIRE_DEPTH_MAX));
  ck_assert_ptr_null(nested_values(WIRE_DEPTH_MAX + 1));
}
END_TEST

static const struct { const char *text; size_t len, kept; } texts[] = {
    {"caf\xc3\xa9", 5, 5},
    {"", 0, 0},
    {"caf\xe9", 4, 0},                  /* Latin-1 */
    {"\xc0\xaf", 2, 0},                 /* overlong */
    {"\xed\xa0\x80", 3, 0},             /* surrogate */
    {"\xf4\x90\x80\x80", 4, 0},         /* beyond Unicode */
    {"\xc3", 1, 0},                     /* cut off */
    {"nul \0 within", 12, 0},
};

START_TEST(text_is_utf8_without_nul_or_empty_and_bytes_are_any)
{
  parley_text said = {texts[_i].text, texts[_i].len};
  parley_pair header = {said, said};
  parley_message message = {.size = sizeof message, .subject = said, .n_thread = 1, .thread = &said, .n_fields = 1,
                            .fields = &header};
  parley_part part = {.size = sizeof part, .data = said, .text = said};
  const parley_message *got = round_trip(&abi_message, &message);
  const parley_part *got_part;

  ck_assert_ptr_nonnull(got);
  ck_assert_uint_eq(got->subject.len, texts[_i].kept);
  ck_assert_uint_eq(got->thread[0].len, texts[_i].kept);
  ck_assert(same_text(&got->fields[0].name, &said) && same_text(&got->fields[0].value, &said));
  got_part = round_trip(&abi_part, &part);
  ck_assert_ptr_nonnull(got_part);
  ck_assert_uint_eq(got_part->text.len, texts[_i].kept);
  ck_assert(same_text(&got_part->data, &said));
}
END_TEST

START_TEST(a_name_that_is_no_text_is_empty_and_never_a_null_in_a_list)
{
  static const char *const ids[] = {"a", "\xff", "b", NULL};
  struct plugin_facts facts = {.size = sizeof facts, .name = "\xff", .requires_ids = ids};
  const struct plugin_facts *got = round_trip(&abi_plugin_facts, &facts);

  ck_assert(got != NULL && got->name != NULL && got->name[0] == '\0');
  ck_assert_str_eq(got->requires_ids[0], "a");
  ck_assert_str_eq(got->requires_ids[1], "");
  ck_assert_str_eq(got->requires_ids[2], "b");
  ck_assert_ptr_null(got->requires_ids[3]);
}
END_TEST

/* --- What it costs ----------------------------------------------------------------------------------------------------------- */

/* As many structs as a list of this member may have, none of which says anything. */
static void put_hollow_list(const struct abi_field *field, uint32_t n)
{
  put_number(n);
  for (uint32_t i = 0; i < n; i++) {
    if (field->kind == ABI_PAIRS)
      put_number(0);
    put_number(0);
  }
}

START_TEST(what_is_read_costs_memory_in_proportion_to_its_bytes)
{
  const struct abi_struct *shape = shapes[_i].is;

  for (uint32_t i = 0; i < shape->n_fields; i++) {
    struct arena *own = arena_new();
    struct wire_in in = {.arena = own};

    if (is_list(&shape->fields[i])) {
      buf_clear(&bytes);
      put_number(PARLEY_BIT(i));
      put_hollow_list(&shape->fields[i], WIRE_ITEMS_MAX);
      in.at = bytes.at;
      in.left = bytes.len;
      ck_assert_ptr_nonnull(wire_get(&in, shape));
      ck_assert_msg(arena_bytes(own) <= WIRE_GROWTH_MAX * bytes.len + WIRE_GROWTH_FIRST, "%s: member %u: %zu from %zu",
                    shapes[_i].name, i, arena_bytes(own), bytes.len);
    }
    arena_free(&own);
  }
}
END_TEST

/* Mails with messages in them, the largest struct that little can be said of. */
START_TEST(the_frame_that_grows_most_stays_within_the_bound)
{
  struct wire_in in;

  put_number(PARLEY_BIT(0));
  put_number(WIRE_ITEMS_MAX);
  for (uint32_t i = 0; i < WIRE_ITEMS_MAX; i++) {
    put_number(PARLEY_BIT(3)); /* a mail with its message only, which has `to` and `customer` only */
    put_number(PARLEY_BIT(18) | PARLEY_BIT(19));
    put_number(0);
    put_number(0);
  }
  in = (struct wire_in){.at = bytes.at, .left = bytes.len, .arena = arena};
  ck_assert_ptr_nonnull(wire_get(&in, &abi_mail_page));
  ck_assert_uint_gt(arena_bytes(arena), 16 * bytes.len); /* it does grow */
  ck_assert_uint_le(arena_bytes(arena), WIRE_GROWTH_MAX * bytes.len + WIRE_GROWTH_FIRST);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("channel: wire");
  TCase *cases = tcase_create("wire");

  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_loop_test(cases, the_tables_know_each_struct_as_it_is_today, 0, SHAPES);
  tcase_add_loop_test(cases, a_full_struct_comes_back_as_it_was, 0, SHAPES);
  tcase_add_loop_test(cases, a_struct_with_nothing_in_it_takes_four_bytes, 0, SHAPES);
  tcase_add_loop_test(cases, each_member_alone_comes_back_alone, 0, SHAPES);
  tcase_add_loop_test(cases, members_that_an_older_struct_has_not_are_empty_and_not_read, 0, SHAPES);
  tcase_add_loop_test(cases, whatever_is_cut_off_at_any_byte_is_refused, 0, SHAPES);
  tcase_add_loop_test(cases, a_member_that_this_build_does_not_know_is_refused, 0, SHAPES);
  tcase_add_loop_test(cases, bytes_that_were_tampered_with_are_refused_or_make_sense, 0, SHAPES);
  tcase_add_test(cases, lists_without_elements_are_no_lists);
  tcase_add_test(cases, a_count_without_its_list_is_told_where_it_says_something_by_itself);
  tcase_add_loop_test(cases, a_count_or_length_beyond_what_is_there_is_refused_at_no_cost, 0, SHAPES);
  tcase_add_test(cases, a_frame_has_so_many_items_over_all_its_lists);
  tcase_add_test(cases, structs_in_structs_go_so_deep);
  tcase_add_loop_test(cases, text_is_utf8_without_nul_or_empty_and_bytes_are_any, 0, (int)(sizeof texts / sizeof *texts));
  tcase_add_test(cases, a_name_that_is_no_text_is_empty_and_never_a_null_in_a_list);
  tcase_add_loop_test(cases, what_is_read_costs_memory_in_proportion_to_its_bytes, 0, SHAPES);
  tcase_add_test(cases, the_frame_that_grows_most_stays_within_the_bound);
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
