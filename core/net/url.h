/* url.h - strict URLs of http, https, smtp, smtps, imap, imaps, smpp and smpps, percent decoding, query strings.
 * Thread: any. Allocates nothing. */
#ifndef CORE_NET_URL_H
#define CORE_NET_URL_H
#include "address.h"

#define URL_BYTES_MAX 8192
#define URL_HOST_MAX 253 /* bytes of a name */
#define URL_LABEL_MAX 63

enum url_scheme { URL_HTTP = 1, URL_HTTPS, URL_SMTP, URL_SMTPS, URL_IMAP, URL_IMAPS, URL_SMPP, URL_SMPPS };
struct url {
  enum url_scheme scheme;
  uint16_t port;               /* the scheme's own when none was written */
  bool numeric, v6;            /* host is an address: `address` holds it, whatever way it was spelled */
  char host[URL_HOST_MAX + 1]; /* lower case, no brackets, no trailing dot; an address in its plain form */
  struct net_address address;  /* with the port; only when numeric */
  parley_text path, query;     /* borrowed from the text, raw: path "/" at least, query without '?' */
};
/* Absolute, no user info, no fragment, no control byte, space or byte above 0x7e. On PARLEY_INVALID *ret_why is a
 * static, stable code: url_too_long url_invalid scheme_not_allowed userinfo_not_allowed host_invalid host_too_long
 * port_invalid. */
parley_status url_parse(parley_text text, struct url *ret, const char **ret_why);
bool url_tls(enum url_scheme scheme); /* from the first byte */

struct buf;
/* The whole URL in normal form: lower-case scheme and host, port only where it is not the scheme's own. */
void url_write(struct buf *buf, const struct url *url);
/* %XX (and with `form` also '+' as space) into `to`, which has room for text.len bytes; returns the length, or SIZE_MAX
 * for a bad escape or %00. `to` may be the text itself. */
size_t url_decode(parley_text text, bool form, char *to);
/* Writes `text` with all but unreserved bytes escaped. */
void url_encode(struct buf *buf, parley_text text);
/* Walks "a=1&b=2": cuts the next raw pair off *rest; false at the end. Empty pairs are skipped. */
bool url_query_next(parley_text *rest, parley_text *ret_name, parley_text *ret_value);
#endif
