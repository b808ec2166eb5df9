/* email_sender.h - who a channel's mail is from: the sender of each topic, where answers go, and the DKIM keys of their domains.
 * Read once from the options, then never changed. Owns its keys and lists; topics are borrowed from the options. Thread: any. */
#ifndef EMAIL_SENDER_H
#define EMAIL_SENDER_H
#include "dkim_sign.h"
#include "mail_compose.h"

enum {
  EMAIL_SENDERS_MAX = 100,
  EMAIL_KEYS_MAX = 32,
  EMAIL_SIGNATURES_MAX = 4, /* on one mail: RSA and Ed25519, twice while keys are changed */
  EMAIL_REPLY_LOCAL_MAX = 64 - MAIL_TOKEN_MAX - 1, /* bytes before the "+" */
  EMAIL_WHY_ROOM = 320
};
struct email_sender {
  parley_text topic;
  struct mail_mailbox from;
};
struct email_key {
  struct dkim_key *key;
  char domain[254], selector[DKIM_SELECTOR_MAX + 1];
};
struct email_senders {
  struct mail_mailbox from; /* of every topic that has none of its own */
  struct mail_mailbox reply;
  bool has_reply;
  uint32_t n_senders, n_keys;
  struct email_sender *senders;
  struct email_key *keys;
  char why[EMAIL_WHY_ROOM];
};
extern const parley_option email_option_senders, email_option_reply, email_option_dkim;

/* Reads from, senders, reply and dkim. NULL, or one line that says which of them is wrong and why (to->why, or static); either way
 * email_senders_done() is due. */
const char *email_senders_read(const parley_value *options, struct email_senders *to);
void email_senders_done(struct email_senders *senders);
const struct mail_mailbox *email_sender_of(const struct email_senders *senders, parley_text topic);
/* The keys for a mail of this sender: of its very domain, else of the nearest one above it, which DMARC takes as aligned. Returns how
 * many; 0: such a mail is not signed here. */
uint32_t email_keys_of(const struct email_senders *senders, const struct mail_mailbox *from,
                       const struct email_key *keys[EMAIL_SIGNATURES_MAX]);
/* Puts a signature of each before the mail. false: OpenSSL fails, or the mail has no room for them. Not on the loop. */
bool email_sign(const struct email_key *const *keys, uint32_t n, int64_t at_ms, struct mail *mail);
#endif
