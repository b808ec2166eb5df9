#include "sink_box.h"
#include <stdlib.h>

struct kept {
  parley_mail mail;
  struct copy *copy;
};
struct sink_box {
  size_t keep, first, count, bytes; /* a ring: the oldest stands at `first` */
  size_t room;                      /* of the ring: grows up to keep */
  uint64_t last_number, forgotten;
  struct kept *ring;
};

enum { RING_FIRST = 64 };

struct sink_box *sink_box_new(size_t keep)
{
  struct sink_box *box = calloc(1, sizeof *box);

  if (box != NULL)
    box->keep = keep;
  return box;
}

void sink_box_free(struct sink_box **box)
{
  if (*box == NULL)
    return;
  sink_box_clear(*box);
  free((*box)->ring);
  free(*box);
  *box = NULL;
}

static struct kept *place(const struct sink_box *box, size_t nth) /* 0: the oldest */
{
  return &box->ring[(box->first + nth) % box->room];
}

static void oldest_drop(struct sink_box *box)
{
  struct kept *oldest = place(box, 0);

  box->bytes -= copy_bytes(oldest->copy);
  copy_free(&oldest->copy);
  box->first = (box->first + 1) % box->room;
  box->count--;
}

/* A larger ring with the oldest at 0. */
static bool ring_grow(struct sink_box *box)
{
  size_t room = box->room == 0 ? RING_FIRST : box->room * 2;
  struct kept *ring;

  room = room > box->keep ? box->keep : room;
  ring = calloc(room, sizeof *ring);
  if (ring == NULL)
    return false;
  for (size_t i = 0; i < box->count; i++)
    ring[i] = *place(box, i);
  free(box->ring);
  box->ring = ring;
  box->room = room;
  box->first = 0;
  return true;
}

parley_status sink_box_add(struct sink_box *box, const parley_message *message, uint32_t outcome, int64_t at_ms)
{
  struct copy *copy = copy_new();
  const parley_message *own = copy != NULL ? copy_message(copy, message) : NULL;

  if (copy == NULL || copy_failed(copy) || (box->count == box->room && box->room < box->keep && !ring_grow(box))) {
    copy_free(&copy);
    return PARLEY_BUSY;
  }
  while (box->count == box->keep || (box->count > 0 && box->bytes + copy_bytes(copy) > SINK_BOX_BYTES_MAX)) {
    oldest_drop(box);
    box->forgotten++;
  }
  *place(box, box->count++) = (struct kept){.mail = {.size = sizeof(parley_mail),
                                                     .outcome = outcome,
                                                     .number = ++box->last_number,
                                                     .at_ms = at_ms,
                                                     .message = own},
                                            .copy = copy};
  box->bytes += copy_bytes(copy);
  return PARLEY_OK;
}

void sink_box_clear(struct sink_box *box)
{
  while (box->count > 0)
    oldest_drop(box);
}

static bool same(parley_text a, parley_text b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool wanted(const parley_mail *mail, const parley_mail_query *query)
{
  const parley_identity *to = mail->message->to;

  if (query->before != 0 && mail->number >= query->before)
    return false;
  if (query->message_id.len > 0 && !same(mail->message->id, query->message_id))
    return false;
  return query->address.len == 0 || (to != NULL && same(to->value, query->address));
}

void sink_box_list(const struct sink_box *box, const parley_mail_query *query,
                   const parley_mail *mails[SINK_BOX_PAGE_MAX], parley_mail_page *page)
{
  uint32_t limit = query->limit < SINK_BOX_PAGE_MAX ? query->limit : SINK_BOX_PAGE_MAX;

  *page = (parley_mail_page){.size = sizeof *page, .mails = mails, .count = box->count, .forgotten = box->forgotten};
  for (size_t i = box->count; limit > 0 && i-- > 0;) {
    const parley_mail *mail = &place(box, i)->mail;

    if (!wanted(mail, query))
      continue;
    if (page->n_mails == limit) { /* one more than fits: there is another page */
      page->next = mails[limit - 1]->number;
      return;
    }
    mails[page->n_mails++] = mail;
  }
}
