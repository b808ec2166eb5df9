/* mail_address.h - one e-mail address or one "Name <address>" as people write it, into the exact form that goes on the wire:
 * local part as given (RFC 5321; UTF-8 by RFC 6531), domain in lower case and as A-label (IDNA2008 with the UTS 46 mapping,
 * non-transitional, and no underscore). One address only: no comments, groups or routes. Values in, values out. Thread: any. */
#ifndef EMAIL_MAIL_ADDRESS_H
#define EMAIL_MAIL_ADDRESS_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  MAIL_ADDRESS_MAX = 254, /* bytes; RFC 5321 4.5.3.1.3 without the two brackets */
  MAIL_LOCAL_MAX = 64,
  MAIL_NAME_MAX = 200 /* bytes of a display name */
};
struct mail_address {
  size_t len, domain_at; /* text[domain_at...] is the domain, behind the @ */
  bool utf8;             /* the local part needs SMTPUTF8 */
  char text[MAIL_ADDRESS_MAX + 1];
};
struct mail_mailbox {
  struct mail_address address;
  char name[MAIL_NAME_MAX + 1]; /* UTF-8, unquoted; empty: none */
};
/* PARLEY_INVALID: not one plain address; *ret stays as it was. */
parley_status mail_address_read(parley_text text, struct mail_address *ret);
/* "Shop <orders@shop.example>", "\"Shop, Inc\" <...>" or the bare address. */
parley_status mail_mailbox_read(parley_text text, struct mail_mailbox *ret);
/* A host name: lower case, A-labels, only letters, digits and hyphens. Writes to[len] and NUL; `room` bytes at most. */
parley_status mail_domain_read(parley_text text, char *to, size_t room, size_t *ret_len);
parley_text mail_address_text(const struct mail_address *address);
parley_text mail_address_domain(const struct mail_address *address);
/* Strict UTF-8 without control characters: what may stand in a header's value. */
bool mail_text_ok(parley_text text);
#endif
