#include "smtp_body.h"
#include <stdlib.h>

enum { ROOM_FIRST = 16384 }; /* bytes at first; doubled as a mail grows */

static bool room_set(struct smtp_body *body, size_t room)
{
  if (body->ask != NULL && room != body->room && !body->ask(body->room, room, body->ask_arg))
    return false;
  body->room = room;
  return true;
}

static void raw_drop(struct smtp_body *body)
{
  free(body->raw);
  body->raw = NULL;
  body->len = 0;
  room_set(body, 0);
}

static void raw_add(struct smtp_body *body, const char *at, size_t len)
{
  size_t room = body->room > 0 ? body->room : ROOM_FIRST;
  char *more = body->raw;

  if (body->too_large || body->no_room || len == 0)
    return;
  body->too_large = body->len + len > body->mail_max;
  while (!body->too_large && room < body->len + len)
    room *= 2;
  if (!body->too_large && room != body->room) {
    body->no_room = !room_set(body, room);
    more = body->no_room ? NULL : realloc(body->raw, room);
    body->no_room = more == NULL;
  }
  if (body->too_large || body->no_room) { /* it is read to its end, and refused */
    raw_drop(body);
    return;
  }
  body->raw = more;
  memcpy(body->raw + body->len, at, len);
  body->len += len;
}

void smtp_body_begin(struct smtp_body *body, uint64_t mail_max)
{
  body->mail_max = mail_max;
  body->line_begins = true;
  body->lax_begins = false;
}

/* --- DATA --------------------------------------------------------------------------------------------------------- */
static bool has_lax_dot(const char *at, size_t len) /* a CR and behind it a dot: where some see a line begin */
{
  for (const char *cr = at; (cr = memchr(cr, '\r', (size_t)(at + len - cr))) != NULL; cr++)
    if (cr + 1 < at + len && cr[1] == '.')
      return true;
  return false;
}

/* What begins by a dot. Returns the bytes used; 0: more are needed, or it is broken, or the dot stays (line_begins is false then). */
static size_t data_dot(struct smtp_body *body, const char *at, size_t len, enum smtp_body_end *end)
{
  if (len == 1 || (len == 2 && at[1] == '\r'))
    return 0;
  if (at[1] == '\n' || (at[1] == '\r' && at[2] != '\n') || (at[1] == '\r' && body->lax_begins)) {
    *end = SMTP_BODY_BROKEN;
    return 0;
  }
  if (at[1] == '\r') {
    *end = SMTP_BODY_WHOLE;
    return 3;
  }
  body->line_begins = false;
  return body->lax_begins ? 0 : 1; /* the doubled dot */
}

/* Up to the end of a line, or as far as there is something. 0: more is needed, or it is broken. */
static size_t data_line(struct smtp_body *body, const char *at, size_t len, enum smtp_body_end *end)
{
  const char *lf = memchr(at, '\n', len);
  size_t span = lf != NULL ? (size_t)(lf - at) : len;
  bool crlf = lf != NULL && span > 0 && at[span - 1] == '\r';

  if (lf == NULL && at[span - 1] == '\r') /* its LF may be on its way */
    span--;
  if (memchr(at, '\r', span - crlf) != NULL) {
    body->bare = true;
    if (has_lax_dot(at, span)) {
      *end = SMTP_BODY_BROKEN;
      return 0;
    }
  }
  body->bare = body->bare || (lf != NULL && !crlf);
  body->line_begins = lf != NULL;
  body->lax_begins = lf != NULL && !crlf;
  raw_add(body, at, span + (lf != NULL));
  return span + (lf != NULL);
}

enum smtp_body_end smtp_body_data(struct smtp_body *body, parley_bytes bytes, size_t *ret_used)
{
  enum smtp_body_end end = SMTP_BODY_MORE;
  size_t i = 0;

  while (i < bytes.len && end == SMTP_BODY_MORE) {
    size_t used = 0;

    if (body->line_begins && bytes.at[i] == '.') {
      used = data_dot(body, bytes.at + i, bytes.len - i, &end);
      if (used == 0 && body->line_begins) /* more is needed, or it is broken */
        break;
      i += used;
      if (end != SMTP_BODY_MORE || i == bytes.len)
        break;
    }
    used = data_line(body, bytes.at + i, bytes.len - i, &end);
    i += used;
    if (used == 0)
      break;
  }
  *ret_used = i;
  return end;
}

/* --- BDAT --------------------------------------------------------------------------------------------------------- */
void smtp_body_chunk(struct smtp_body *body, parley_bytes bytes)
{
  for (size_t i = 0; i < bytes.len && !body->bare; i++) {
    if ((bytes.at[i] == '\n') != body->after_cr)
      body->bare = true;
    body->after_cr = bytes.at[i] == '\r';
  }
  raw_add(body, bytes.at, bytes.len);
}

void smtp_body_chunks_end(struct smtp_body *body)
{
  body->bare = body->bare || body->after_cr;
}

/* --- Its end ------------------------------------------------------------------------------------------------------ */
char *smtp_body_take(struct smtp_body *body, size_t *ret_len)
{
  char *raw = body->raw;

  *ret_len = body->len;
  body->raw = NULL;
  raw_drop(body);
  return raw;
}

void smtp_body_forget(struct smtp_body *body)
{
  raw_drop(body);
  body->bare = body->too_large = body->no_room = body->after_cr = false;
}
