#include "form.h"
#include "core/base/text.h"
#include "url.h"
#include <string.h>

static bool field_add(struct form *form, parley_text name, parley_text value)
{
  if (form->n == FORM_FIELDS_MAX || !text_utf8_ok(name) || !text_utf8_ok(value))
    return false;
  form->fields[form->n++] = (struct form_field){name, value};
  return true;
}

static bool plain(parley_text raw, struct arena *arena, parley_text *ret)
{
  char *to = arena_alloc(arena, raw.len + 1);
  size_t len = url_decode(raw, true, to);

  *ret = (parley_text){to, len};
  return len != SIZE_MAX;
}

static bool urlencoded_read(parley_bytes body, struct arena *arena, struct form *ret)
{
  parley_text rest = body, raw_name, raw_value, name, value;

  while (url_query_next(&rest, &raw_name, &raw_value))
    if (!plain(raw_name, arena, &name) || !plain(raw_value, arena, &value) || !field_add(ret, name, value))
      return false;
  return true;
}

/* --- multipart ---------------------------------------------------------------------------------------------------- */

/* The parameter of a header such as `form-data; name="a"; filename="b"`; false: it has none of that name. */
static bool parameter(parley_text header, const char *wanted, parley_text *ret)
{
  text_cut(&header, ';');
  while (header.len > 0) {
    parley_text name = text_trim(text_cut(&header, '=')), value;

    header = text_trim(header);
    if (header.len > 0 && header.at[0] == '"') {
      header = text_sub(header, 1, SIZE_MAX);
      value = text_cut(&header, '"');
      text_cut(&header, ';');
    } else {
      value = text_trim(text_cut(&header, ';'));
    }
    if (!text_is_nocase(name, wanted))
      continue;
    *ret = value;
    return true;
  }
  return false;
}

/* The head of a part, cut off *part; false: it has no end. *ret_file: it is one. */
static bool part_head(parley_text *part, parley_text *ret_name, bool *ret_file)
{
  parley_text ignored;

  *ret_name = TEXT_EMPTY;
  *ret_file = false;
  for (;;) {
    size_t end = text_find_text(*part, PARLEY_LIT("\r\n"));
    parley_text line, name;

    if (end == SIZE_MAX)
      return false;
    line = text_sub(*part, 0, end);
    *part = text_sub(*part, end + 2, SIZE_MAX);
    if (line.len == 0)
      return true;
    name = text_trim(text_cut(&line, ':'));
    if (!text_is_nocase(name, "content-disposition"))
      continue;
    parameter(line, "name", ret_name);
    *ret_file = parameter(line, "filename", &ignored);
  }
}

static bool multipart_read(parley_text type, parley_bytes body, struct form *ret)
{
  char mark[FORM_BOUNDARY_BYTES_MAX + 4] = "\r\n--";
  parley_text boundary = TEXT_EMPTY, rest = body, delimiter, name;
  size_t at;
  bool file;

  if (!parameter(type, "boundary", &boundary) || boundary.len == 0 || boundary.len > FORM_BOUNDARY_BYTES_MAX)
    return false;
  memcpy(mark + 4, boundary.at, boundary.len);
  delimiter = (parley_text){mark, boundary.len + 4};
  at = text_find_text(rest, text_sub(delimiter, 2, SIZE_MAX)); /* the first needs no line before it */
  if (at == SIZE_MAX)
    return false;
  rest = text_sub(rest, at + delimiter.len - 2, SIZE_MAX);
  while (!text_starts(rest, "--")) {
    parley_text part;

    at = text_find_text(rest, PARLEY_LIT("\r\n"));
    if (at == SIZE_MAX)
      return false;
    part = text_sub(rest, at + 2, SIZE_MAX);
    if (!part_head(&part, &name, &file))
      return false;
    at = text_starts(part, "--") && text_eq(text_sub(part, 0, delimiter.len - 2), text_sub(delimiter, 2, SIZE_MAX))
             ? SIZE_MAX /* a part ends with a line of its own */
             : text_find_text(part, delimiter);
    if (at == SIZE_MAX || (!file && !field_add(ret, name, text_sub(part, 0, at))))
      return false;
    rest = text_sub(part, at + delimiter.len, SIZE_MAX);
  }
  return true;
}

bool form_read(parley_text type, parley_bytes body, struct arena *arena, struct form *ret)
{
  parley_text bare = type;

  bare = text_trim(text_cut(&bare, ';'));
  *ret = (struct form){.n = 0, .fields = arena_alloc(arena, FORM_FIELDS_MAX * sizeof *ret->fields)};
  if (body.len == 0)
    return true;
  if (text_is_nocase(bare, "application/x-www-form-urlencoded"))
    return urlencoded_read(body, arena, ret);
  return text_is_nocase(bare, "multipart/form-data") && multipart_read(type, body, ret);
}

parley_text form_value(const struct form *form, const char *name)
{
  for (size_t i = 0; i < form->n; i++)
    if (parley_text_is(form->fields[i].name, name))
      return form->fields[i].value;
  return TEXT_EMPTY;
}
