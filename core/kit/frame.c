/* Memory that a plugin may look at until a certain moment: pages of their own, closed to all access when that has come. */
#include "core/base/alloc.h"
#include "inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME_POISON 0xDD

struct kit_frame kit_frame_new(size_t bytes)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page) / page * page;
  void *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (at == MAP_FAILED)
    abort(); /* as xcalloc does */
  return (struct kit_frame){.at = at, .bytes = room};
}

void *kit_frame_room(struct kit_frame *frame, size_t bytes)
{
  const size_t align = sizeof(max_align_t);
  void *room = frame->at + frame->used;

  bytes = (bytes + align - 1) / align * align;
  if (frame->bytes - frame->used < bytes)
    abort(); /* the kit reckoned badly */
  frame->used += bytes;
  return room;
}

parley_text kit_frame_text(struct kit_frame *frame, parley_text text)
{
  char *to = kit_frame_room(frame, text.len + 1);

  if (text.len > 0)
    memcpy(to, text.at, text.len);
  return (parley_text){to, text.len};
}

/* The next place of the note; what has ended longest ago gives its pages back. */
static struct kit_region *region_take(struct kit_note *note)
{
  struct kit_region *region;

  do
    region = &note->regions[note->n_regions++ % KIT_NOTE_REGIONS];
  while (region->open);
  if (region->at != 0)
    munmap((void *)region->at, region->bytes);
  *region = (struct kit_region){0};
  return region;
}

void kit_frame_seal(struct kit *kit, struct kit_frame *frame, const char *what)
{
  frame->region = region_take(kit->note);
  frame->region->at = (uintptr_t)frame->at;
  frame->region->bytes = frame->bytes;
  frame->region->open = true;
  snprintf(frame->region->label, sizeof frame->region->label, "%s", what);
  mprotect(frame->at, frame->bytes, PROT_READ);
}

void kit_frame_end(struct kit *kit, struct kit_frame *frame, const char *format, ...)
{
  struct kit_region *region;
  va_list args;

  if (frame->at == NULL)
    return;
  region = frame->region != NULL ? frame->region : region_take(kit->note);
  if (frame->region != NULL)
    mprotect(frame->at, frame->bytes, PROT_READ | PROT_WRITE);
  memset(frame->at, FRAME_POISON, frame->bytes);
  mprotect(frame->at, frame->bytes, PROT_NONE);
  *region = (struct kit_region){.at = (uintptr_t)frame->at, .bytes = frame->bytes};
  va_start(args, format);
  vsnprintf(region->label, sizeof region->label, format, args);
  va_end(args);
  *frame = (struct kit_frame){0};
}
