/* mail_report.h - what a mail server tells about mails of ours that it had: delivery reports (RFC 3464, RFC 6533) and complaints
 * (ARF, RFC 5965, also redacted ones), as receipts. Non-standard bounces where they name address and code in fields that can be read
 * (X-Failed-Recipients; the fields of RFC 3464 in a mail whose boundary was lost). Reads a parsed mail, changes nothing. Pure, but
 * for mail_report_take(). Thread: any. Limits: MAIL_REPORT_PART_MAX bytes of a part are read, MAIL_REPORT_ITEMS_MAX recipients.
 *
 * Which message: our token, from the return path the report came to, the trace header or return path of the mail that it
 * brings back, or Original-Mail-From. The token nobody can make up, so the host believes it. A Message-ID can be guessed, those of a
 * mailing from one's own copy of it: what it alone names is no report, and fails, withdraws and suppresses nothing. */
#ifndef EMAIL_MAIL_REPORT_H
#define EMAIL_MAIL_REPORT_H
#include "mail_bounce.h"

enum {
  MAIL_REPORT_PART_MAX = 256 << 10,
  MAIL_REPORT_ITEMS_MAX = 32,
  MAIL_REPORT_TOKEN = 29, /* characters of parley_message.token */
  MAIL_REPORT_ADDRESS_MAX = 320,
  MAIL_REPORT_DETAIL_MAX = 480
};
enum mail_report_kind { MAIL_REPORT_NONE = 0, MAIL_REPORT_DELIVERY, MAIL_REPORT_FEEDBACK };
struct mail_report_item {
  uint32_t receipt; /* PARLEY_RECEIPT_*; 0: nothing to tell (it is only late) */
  uint32_t outcome; /* of FAILED */
  char to[MAIL_REPORT_ADDRESS_MAX + 1]; /* as it was sent to, where that is told; empty: not said */
  char code[MAIL_STATUS_MAX];
  char detail[MAIL_REPORT_DETAIL_MAX + 1];
};
struct mail_report {
  enum mail_report_kind kind;
  char token[MAIL_REPORT_TOKEN + 1];  /* lower case, unchecked; empty: none */
  uint32_t n_items;
  bool more; /* recipients beyond MAIL_REPORT_ITEMS_MAX */
  struct mail_report_item items[MAIL_REPORT_ITEMS_MAX];
};

/* message: a GMimeMessage. token: of the bounce+<token>@ that it was sent to, or empty. False: no report; *ret is then empty. */
bool mail_report_read(void *message, parley_text token, struct mail_report *ret);
/* Whether there is something to tell, and of which mail. */
bool mail_report_tells(const struct mail_report *report);
/* One receipt; borrows from report and from *to. False: this item has nothing to tell, or of no mail of ours. */
bool mail_report_receipt(const struct mail_report *report, uint32_t item, int64_t at_ms, parley_identity *to, parley_receipt *ret);
/* A token of ours in "bounce+<token>@shop.example" or alone. to: MAIL_REPORT_TOKEN + 1 bytes; false: none, *to stays. */
bool mail_report_token(parley_text text, char *to);

/* Reads a report and gives its receipts to the host. True: it tells of a mail of ours; done() comes once, never within the call,
 * with the worst of the verdicts (OK: committed). False: nothing was done. message is not used after the call. Thread: loop. */
bool mail_report_take(const parley_host *host, void *message, parley_text token, parley_done *done, void *arg);
#endif
