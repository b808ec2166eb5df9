#include "problem.h"
#include "text.h"

#define DETAIL_BYTES_MAX 500 /* of one detail or hint */

void problems_init(struct problems *problems, struct arena *arena)
{
  *problems = (struct problems){.arena = arena};
}

static parley_text text_print(struct arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static parley_text text_print(struct arena *arena, const char *format, va_list args)
{
  struct buf buf = BUF_INIT(0);
  parley_text text;

  buf_vprintf(&buf, format, args);
  text = buf_as_text(&buf);
  text.len = text_utf8_cut(text, DETAIL_BYTES_MAX);
  text = arena_text(arena, text);
  buf_done(&buf);
  return text;
}

void problem_add(struct problems *problems, parley_text pointer, const char *code, const char *format, ...)
{
  struct problem *row;
  va_list args;

  if (problems->count == PROBLEMS_MAX) {
    problems->dropped++;
    return;
  }
  row = &problems->rows[problems->count++];
  va_start(args, format);
  *row = (struct problem){.pointer = arena_text(problems->arena, pointer),
                          .code = code,
                          .detail = text_print(problems->arena, format, args),
                          .hint = TEXT_EMPTY};
  va_end(args);
}

void problem_hint(struct problems *problems, const char *format, ...)
{
  va_list args;

  if (problems->count == 0 || problems->dropped > 0) /* its row was not kept */
    return;
  va_start(args, format);
  problems->rows[problems->count - 1].hint = text_print(problems->arena, format, args);
  va_end(args);
}

parley_text pointer_member(struct arena *arena, parley_text pointer, parley_text name)
{
  struct buf buf = BUF_INIT(0);

  buf_text(&buf, pointer);
  buf_char(&buf, '/');
  for (size_t i = 0; i < name.len; i++) {
    if (name.at[i] == '~')
      buf_str(&buf, "~0");
    else if (name.at[i] == '/')
      buf_str(&buf, "~1");
    else
      buf_char(&buf, name.at[i]);
  }
  pointer = arena_text(arena, buf_as_text(&buf));
  buf_done(&buf);
  return pointer;
}

parley_text pointer_index(struct arena *arena, parley_text pointer, size_t index)
{
  struct buf buf = BUF_INIT(0);

  buf_text(&buf, pointer);
  buf_char(&buf, '/');
  buf_uint(&buf, index);
  pointer = arena_text(arena, buf_as_text(&buf));
  buf_done(&buf);
  return pointer;
}
