/* mail_draft.h - a received mail as the inbound message that goes to the host: its parts, its people, what names it once and for all.
 * Who it is from, its flags, token and event id its owner adds. Everything is in the source's memory, or borrowed from the mail.
 * Thread: loop. */
#ifndef EMAIL_MAIL_DRAFT_H
#define EMAIL_MAIL_DRAFT_H
#include "mail_clean.h"
#include "mail_parse.h"

enum {
  MAIL_DRAFT_SPARE = 64 << 10, /* bytes of inline_max, for what stands beside the contents */
  MAIL_DRAFT_FIELDS_MAX = 6
};
struct mail_draft_source { /* borrowed, outlives the draft */
  const struct mail_in *mail;
  struct mail_memory *memory;
  const parley_text *media; /* ids of the files, and of the raw mail behind them; empty: not uploaded */
  bool unverified;          /* who wrote it is not who From says, for all that is known */
  bool uploads;             /* the host takes media: a file without an id is empty */
  parley_bytes raw;
  parley_text source_id;    /* names the mail at its source for good; empty: Message-ID and content do */
  int64_t at_ms;
};
struct mail_draft {
  parley_inbound inbound;
  parley_part *parts, raw;
  const parley_part **part_list;
  parley_identity from; /* value, name and assurance are the owner's */
  const parley_identity *from_list[1];
  parley_pair fields[MAIL_DRAFT_FIELDS_MAX];
};
struct mail_draft *mail_draft_new(const struct mail_draft_source *source);
/* Once only: what the source calls it, else the Message-ID with who wrote it and the content, since many mails may have one. kind and
 * more tell apart what one mail is told as. */
parley_text mail_draft_event_id(const struct mail_draft_source *source, const char *kind, parley_text more);
#endif
