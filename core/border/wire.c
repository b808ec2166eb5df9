#include "wire.h"
#include "core/base/text.h"
#include <endian.h>

/* --- Writing ------------------------------------------------------------------------------------------------------------- */

static void put_u32(struct buf *to, uint32_t value)
{
  value = htole32(value);
  buf_add(to, &value, sizeof value);
}

static void put_u64(struct buf *to, uint64_t value)
{
  value = htole64(value);
  buf_add(to, &value, sizeof value);
}

static void put_text(struct buf *to, parley_text text)
{
  put_u32(to, (uint32_t)text.len);
  buf_text(to, text);
}

static const char *member(const void *from, size_t at)
{
  return (const char *)from + at;
}

static uint32_t count_of(const void *from, const struct abi_field *field)
{
  uint32_t narrow;
  uint64_t wide;

  if (field->count_bytes == sizeof narrow) {
    memcpy(&narrow, member(from, field->count_at), sizeof narrow);
    return narrow;
  }
  memcpy(&wide, member(from, field->count_at), sizeof wide);
  return (uint32_t)wide;
}

static const void *pointer_at(const void *from, size_t at)
{
  const void *pointer;

  memcpy(&pointer, member(from, at), sizeof pointer);
  return pointer;
}

static size_t field_bytes(const struct abi_field *field)
{
  switch ((enum abi_kind)field->kind) {
  case ABI_U32:
  case ABI_I32:
    return sizeof(uint32_t);
  case ABI_U64:
  case ABI_I64:
  case ABI_F64:
    return sizeof(uint64_t);
  case ABI_TEXT:
  case ABI_BYTES:
    return sizeof(parley_text);
  case ABI_CSTR:
  case ABI_TEXTS:
  case ABI_PAIRS:
  case ABI_STATUSES:
  case ABI_ONE:
  case ABI_MANY:
  case ABI_ENDED:
  case ABI_CSTRS:
    break;
  }
  return sizeof(void *);
}

static bool field_is_empty(const struct abi_field *field, const void *from, uint32_t size)
{
  static const char zeros[sizeof(parley_text)];

  if (field->at + field_bytes(field) > size)
    return true;
  if (field->kind == ABI_TEXT || field->kind == ABI_BYTES)
    return ((const parley_text *)(const void *)member(from, field->at))->len == 0;
  if (field->count_bytes > 0 && count_of(from, field) == 0)
    return true;
  return memcmp(member(from, field->at), zeros, field_bytes(field)) == 0;
}

static uint32_t ended_count(const void *const *list)
{
  uint32_t n = 0;

  while (list[n] != NULL)
    n++;
  return n;
}

static void put_structs(struct buf *to, const struct abi_struct *shape, const void *const *list, uint32_t n)
{
  put_u32(to, n);
  for (uint32_t i = 0; i < n; i++)
    wire_put(to, shape, list[i]);
}

static void put_list(struct buf *to, const struct abi_field *field, const void *list, uint32_t n)
{
  const parley_text *texts = list;

  if (field->kind == ABI_STATUSES) {
    put_u32(to, n);
    for (uint32_t i = 0; i < n; i++)
      put_u32(to, (uint32_t)((const parley_status *)list)[i]);
    return;
  }
  put_u32(to, n);
  for (uint32_t i = 0; i < (field->kind == ABI_PAIRS ? 2 * n : n); i++) /* a pair is two texts */
    put_text(to, texts[i]);
}

static void put_cstrs(struct buf *to, const char *const *list)
{
  uint32_t n = ended_count((const void *const *)list);

  put_u32(to, n);
  for (uint32_t i = 0; i < n; i++)
    put_text(to, parley_text_of(list[i]));
}

static void put_field(struct buf *to, const struct abi_field *field, const void *from)
{
  const char *at = member(from, field->at);
  uint32_t narrow;
  uint64_t wide;

  switch ((enum abi_kind)field->kind) {
  case ABI_U32:
  case ABI_I32:
    memcpy(&narrow, at, sizeof narrow);
    put_u32(to, narrow);
    break;
  case ABI_U64:
  case ABI_I64:
  case ABI_F64:
    memcpy(&wide, at, sizeof wide);
    put_u64(to, wide);
    break;
  case ABI_TEXT:
  case ABI_BYTES:
    put_text(to, *(const parley_text *)(const void *)at);
    break;
  case ABI_CSTR:
    put_text(to, parley_text_of(pointer_at(from, field->at)));
    break;
  case ABI_TEXTS:
  case ABI_PAIRS:
  case ABI_STATUSES:
    put_list(to, field, pointer_at(from, field->at), count_of(from, field));
    break;
  case ABI_ONE:
    wire_put(to, field->of, pointer_at(from, field->at));
    break;
  case ABI_MANY:
    put_structs(to, field->of, pointer_at(from, field->at), count_of(from, field));
    break;
  case ABI_ENDED:
    put_structs(to, field->of, pointer_at(from, field->at), ended_count(pointer_at(from, field->at)));
    break;
  case ABI_CSTRS:
    put_cstrs(to, pointer_at(from, field->at));
    break;
  }
}

void wire_put(struct buf *to, const struct abi_struct *shape, const void *from)
{
  uint32_t size, there = 0;

  memcpy(&size, from, sizeof size);
  for (uint32_t i = 0; i < shape->n_fields; i++)
    there |= field_is_empty(&shape->fields[i], from, size) ? 0 : PARLEY_BIT(i);
  put_u32(to, there);
  for (uint32_t i = 0; i < shape->n_fields; i++)
    if (there & PARLEY_BIT(i))
      put_field(to, &shape->fields[i], from);
}

/* --- Reading ------------------------------------------------------------------------------------------------------------- */

static bool get_bytes(struct wire_in *in, void *to, size_t len)
{
  if (in->left < len)
    return false;
  memcpy(to, in->at, len);
  in->at += len;
  in->left -= len;
  return true;
}

static bool get_u32(struct wire_in *in, uint32_t *ret)
{
  if (!get_bytes(in, ret, sizeof *ret))
    return false;
  *ret = le32toh(*ret);
  return true;
}

static bool get_u64(struct wire_in *in, void *to)
{
  uint64_t value;

  if (!get_bytes(in, &value, sizeof value))
    return false;
  value = le64toh(value);
  memcpy(to, &value, sizeof value);
  return true;
}

static bool get_text(struct wire_in *in, bool utf8, parley_text *ret)
{
  uint32_t len;
  parley_text here;

  if (!get_u32(in, &len) || len > in->left)
    return false;
  here = (parley_text){in->at, len};
  *ret = utf8 && !text_utf8_ok(here) ? TEXT_EMPTY : arena_text(in->arena, here);
  in->at += len;
  in->left -= len;
  return true;
}

/* How many elements follow: no more than the bytes at hand could hold, and within the frame's bound. */
static bool get_count(struct wire_in *in, size_t bytes_each, uint32_t *ret)
{
  uint32_t n;

  if (!get_u32(in, &n) || n > in->left / bytes_each || n > WIRE_ITEMS_MAX - in->items)
    return false;
  in->items += n;
  *ret = n;
  return true;
}

static void count_set(void *to, const struct abi_field *field, uint32_t n)
{
  uint64_t wide = n;

  if (field->count_bytes == sizeof n)
    memcpy((char *)to + field->count_at, &n, sizeof n);
  else
    memcpy((char *)to + field->count_at, &wide, sizeof wide);
}

static const void *get_struct(struct wire_in *in, const struct abi_struct *shape, uint32_t depth);

static bool get_texts(struct wire_in *in, const struct abi_field *field, void *to)
{
  uint32_t n, each = field->kind == ABI_PAIRS ? 2 : 1;
  parley_text *texts;

  if (!get_count(in, each * sizeof(uint32_t), &n))
    return false;
  texts = arena_alloc(in->arena, (size_t)(n + 1) * each * sizeof *texts);
  for (uint32_t i = 0; i < n * each; i++)
    if (!get_text(in, field->kind == ABI_TEXTS, &texts[i])) /* pairs are headers, too: any bytes */
      return false;
  memcpy((char *)to + field->at, &texts, sizeof texts);
  count_set(to, field, n);
  return true;
}

static bool get_statuses(struct wire_in *in, const struct abi_field *field, void *to)
{
  uint32_t n;
  parley_status *list;

  if (!get_count(in, sizeof(uint32_t), &n))
    return false;
  list = arena_alloc(in->arena, (n + 1) * sizeof *list);
  for (uint32_t i = 0; i < n; i++)
    if (!get_u32(in, (uint32_t *)&list[i]))
      return false;
  memcpy((char *)to + field->at, &list, sizeof list);
  count_set(to, field, n);
  return true;
}

static bool get_structs(struct wire_in *in, const struct abi_field *field, void *to, uint32_t depth)
{
  uint32_t n;
  const void **list;

  if (!get_count(in, sizeof(uint32_t), &n))
    return false;
  list = arena_alloc(in->arena, (n + 1) * sizeof *list); /* a NULL at its end, for ENDED */
  for (uint32_t i = 0; i < n; i++)
    if ((list[i] = get_struct(in, field->of, depth + 1)) == NULL)
      return false;
  memcpy((char *)to + field->at, &list, sizeof list);
  if (field->kind == ABI_MANY)
    count_set(to, field, n);
  return true;
}

static bool get_cstr(struct wire_in *in, const char **ret)
{
  parley_text text;

  if (!get_text(in, true, &text))
    return false;
  *ret = text.at;
  return true;
}

static bool get_cstrs(struct wire_in *in, const struct abi_field *field, void *to)
{
  uint32_t n;
  const char **list;

  if (!get_count(in, sizeof(uint32_t), &n))
    return false;
  list = arena_alloc(in->arena, (n + 1) * sizeof *list);
  for (uint32_t i = 0; i < n; i++)
    if (!get_cstr(in, &list[i]))
      return false;
  memcpy((char *)to + field->at, &list, sizeof list);
  return true;
}

static bool get_field(struct wire_in *in, const struct abi_field *field, void *to, uint32_t depth)
{
  char *at = (char *)to + field->at;
  const void *one;

  switch ((enum abi_kind)field->kind) {
  case ABI_U32:
  case ABI_I32:
    return get_u32(in, (uint32_t *)(void *)at);
  case ABI_U64:
  case ABI_I64:
  case ABI_F64:
    return get_u64(in, at);
  case ABI_TEXT:
  case ABI_BYTES:
    return get_text(in, field->kind == ABI_TEXT, (parley_text *)(void *)at);
  case ABI_CSTR:
    return get_cstr(in, (const char **)(void *)at);
  case ABI_TEXTS:
  case ABI_PAIRS:
    return get_texts(in, field, to);
  case ABI_STATUSES:
    return get_statuses(in, field, to);
  case ABI_ONE:
    one = get_struct(in, field->of, depth + 1);
    memcpy(at, &one, sizeof one);
    return one != NULL;
  case ABI_MANY:
  case ABI_ENDED:
    return get_structs(in, field, to, depth);
  case ABI_CSTRS:
    return get_cstrs(in, field, to);
  }
  return false;
}

static const void *get_struct(struct wire_in *in, const struct abi_struct *shape, uint32_t depth)
{
  uint32_t there;
  void *made;

  if (depth > WIRE_DEPTH_MAX || !get_u32(in, &there) || (shape->n_fields < 32 && there >> shape->n_fields != 0))
    return NULL;
  made = arena_alloc(in->arena, shape->bytes);
  memcpy(made, &shape->bytes, sizeof shape->bytes); /* `size` is the first member of each */
  for (uint32_t i = 0; i < shape->n_fields; i++)
    if ((there & PARLEY_BIT(i)) != 0 && !get_field(in, &shape->fields[i], made, depth))
      return NULL;
  return made;
}

const void *wire_get(struct wire_in *in, const struct abi_struct *shape)
{
  return get_struct(in, shape, 0);
}
