/* imap_place.h - the place in a mailbox up to which mail was taken, as a value: how it is kept as text, under which key, and what
 * becomes of it when the mailbox is met again. Values in, values out. Thread: any. */
#ifndef EMAIL_IMAP_PLACE_H
#define EMAIL_IMAP_PLACE_H
#include <parley/plugin.h>

enum {
  IMAP_PLACE_TEXT_MAX = 120, /* bytes */
  IMAP_PLACE_KEY_HEX = 32
};
struct imap_place { /* starts zeroed: the mailbox was never met */
  uint32_t uidvalidity, uid; /* all up to uid was taken */
  uint32_t catch_to; /* up to this one, only what is unread, or with since_ms: what came since */
  int64_t since_ms, newest_ms;
};
enum imap_place_met { IMAP_PLACE_SAME, IMAP_PLACE_FIRST, IMAP_PLACE_ANEW /* UIDVALIDITY changed */ };
/* The mailbox as it is now against what is known of it. */
enum imap_place_met imap_place_meet(struct imap_place *place, uint32_t uidvalidity, uint32_t uidnext, int64_t now_ms);
/* What cannot be read leaves the place as it is. */
void imap_place_read(struct imap_place *place, parley_text text);
void imap_place_write(const struct imap_place *place, char text[IMAP_PLACE_TEXT_MAX + 1]);
/* One key a mailbox: "imap." and a hash of server, user and folder. */
void imap_place_key(const char *server, parley_text user, parley_text mailbox, char key[sizeof "imap." + IMAP_PLACE_KEY_HEX]);
#endif
