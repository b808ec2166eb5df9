/* email_listen.h - where an e-mail channel is spoken to: options `listen` (LMTP or SMTP: mail for us) and `submission` (mail of our own
 * software, for others). Sockets and connections are here, the talk is smtp_serve's, what becomes of a mail is mail_take's and
 * email_handin's. Owns its listeners and connections. Thread: loop. */
#ifndef EMAIL_EMAIL_LISTEN_H
#define EMAIL_EMAIL_LISTEN_H
#include "mail_take.h"
#include "smtp_serve.h"
#include <parley/ext/stream.h>
#include <parley/ext/submit.h>

enum {
  EMAIL_LISTEN_CONNECTIONS = 100, /* default of both; option */
  EMAIL_LISTEN_CONNECTIONS_MAX = 10000,
  EMAIL_LISTEN_KEPT_MS = 1000,   /* so long after a mail was kept the host is not asked whether it has room for another */
  EMAIL_LISTEN_NAMES_MAX = 1000, /* domains, addresses */
  EMAIL_LISTEN_BYTES_MAX = 128 << 20, /* of all mails that are being received; beyond, 452 at the end of one */
  EMAIL_LISTEN_SMALL = 64 << 10       /* a mail of so many bytes is taken even then */
};
struct email_listen_options { /* of one listener; texts are borrowed from the option tree */
  bool on;
  enum smtp_serve_protocol protocol;
  parley_text address, cert_pem, key_pem, topic; /* cert empty: no TLS. topic: of submission, where neither mail nor key has one */
  const parley_value *domains, *addresses;       /* lists of text; NULL or empty: submission; every local part */
  uint64_t mail_max;
  uint32_t connections;
};
struct email_accept_options { struct email_listen_options listen, submission; };
extern const parley_option email_option_listen, email_option_submission;
/* NULL, or what is wrong (static). */
const char *email_accept_read(const parley_value *options, struct email_accept_options *to);

struct email_listen;
struct email_listen_config {
  const parley_host *host;     /* all borrowed, outlive it */
  const parley_stream *stream;
  const parley_submit *submit; /* of submission */
  struct mail_taker *taker;    /* of listen */
  const struct email_listen_options *options;
  parley_text name;            /* of this machine, in the greeting */
};
/* NULL: no memory. Listens from then on, and tries again where the address is taken. */
struct email_listen *email_listen_new(const struct email_listen_config *config);
/* Takes nobody new; who is in the middle of a mail may end it. */
void email_listen_drain(struct email_listen *listen);
/* After the host has closed every stream and completed every call. */
void email_listen_free(struct email_listen **listen);
#endif
