/* mail_parse.h - one raw mail (RFC 5322, MIME) into what a message is made of: text, HTML, files, who, which thread, and what kind of
 * mail it is. GMime does the reading. Nothing is refused for being odd: what cannot be read as it claims is kept as bytes, and a
 * mail beyond a limit is read as far as the limit goes (`limited`). No input takes more than 100 ms a MiB.
 *
 * Owns all it shows; a mail_in lives until mail_in_done(). Every text is UTF-8 without NUL and without control characters other than
 * line ends and tabs; one-line values have none of these either. Thread: any, several at once. GMime must be awake:
 * mail_composer_new() wakes it. */
#ifndef EMAIL_MAIL_PARSE_H
#define EMAIL_MAIL_PARSE_H
#include <parley/plugin.h>
#include <stdbool.h>

/* What stands before the `+` of an address of ours that carries a token, and where a mail of ours names itself. */
#define MAIL_LOCAL_REPLY "reply"
#define MAIL_LOCAL_BOUNCE "bounce"
#define MAIL_LOCAL_UNSUBSCRIBE "unsubscribe"
#define MAIL_LOCAL_CAPTURE "log"
#define MAIL_TRACE_HEADER "X-Parley-Ref" /* every mail of ours has it: parley_message.token */

enum {
  MAIL_IN_BYTES_MAX = 25 << 20, /* of the raw mail; more is no mail (PARLEY_INVALID) */
  MAIL_IN_DEPTH_MAX = 64,       /* multiparts and attached mails within each other */
  MAIL_IN_PARTS_MAX = 1000,     /* leaves looked at */
  MAIL_IN_FILES_MAX = 100,
  MAIL_IN_TEXT_MAX = 384 << 10, /* bytes of the text, and of the HTML, as JSON strings; what is longer becomes a file as well */
  MAIL_IN_HEADER_MAX = 512 << 10, /* bytes of the mail's own header; more is no mail */
  MAIL_IN_SUBJECT_MAX = 998,    /* bytes */
  MAIL_IN_ADDRESSES_MAX = 200,  /* of To, Cc and Reply-To each */
  MAIL_IN_REFERENCES_MAX = 100, /* newest that are kept */
  MAIL_IN_ID_MAX = 500,         /* bytes of a Message-ID; a longer one counts as none */
  MAIL_IN_FILE_NAME_MAX = 200,  /* bytes */
  MAIL_IN_TOKENS_MAX = 16,
  MAIL_TOKEN_CHARS = 29 /* of a parley_message.token */
};

struct mail_person {
  parley_text address; /* as it stands there, its domain in lower case; never empty */
  parley_text name;
};
struct mail_file {
  parley_text type;       /* "image/png", lower case; application/octet-stream when it named none that can be */
  parley_text name;       /* cleaned: no path, no control character, never empty */
  parley_text content_id; /* without brackets; empty: none */
  parley_bytes data;      /* decoded; of an attached mail (message/rfc822) its raw bytes */
  bool shown;             /* the HTML shows it by its content_id: PARLEY_PART_INLINE, name = content_id */
};
/* REPLY stands for any other local part with "+" and MAIL_TOKEN_CHARS of a token as well: the operator names those addresses. */
enum mail_token_kind { MAIL_TOKEN_REPLY = 1, MAIL_TOKEN_BOUNCE, MAIL_TOKEN_UNSUBSCRIBE, MAIL_TOKEN_CAPTURE };
struct mail_token { /* unchecked: only the host knows whether it made it */
  enum mail_token_kind kind;
  parley_text token; /* in lower case */
  parley_text address;
};

struct mail_in {
  void *message; /* GMimeMessage *: for who reads on (reports); owned by this */
  void *memory;  /* private */
  struct mail_person from; /* first of From, else Sender, else the return path; address empty: none */
  uint32_t n_to, n_cc, n_reply_to, n_references, n_files, n_tokens;
  struct mail_person *to, *cc, *reply_to;
  parley_text subject;
  parley_text message_id, in_reply_to; /* without brackets; empty: none */
  parley_text *references;             /* without brackets, oldest first */
  int64_t date_ms;                     /* of Date; 0: none that can be */
  parley_text text;   /* what was written, without quoted history and signature; of a mail with HTML only: empty */
  parley_text quoted; /* the rest of the text */
  parley_text whole;  /* text and quoted, as they stood there */
  parley_text html;   /* the whole; html_fresh bytes of it stand before the quoted history */
  size_t html_fresh;
  struct mail_file *files;
  struct mail_token *tokens; /* of the recipients given to mail_parse(), else of To, Cc, Delivered-To and X-Original-To; no two alike */
  parley_text trace;  /* value of MAIL_TRACE_HEADER: a mail of ours that came round; empty: none */
  parley_text auto_submitted; /* value of the header, "" when absent */
  bool automatic; /* Auto-Submitted other than no, Precedence bulk list junk auto_reply, X-Loop, X-Auto-Response-Suppress, List-Id,
                   * null return path, multipart/report */
  bool report;    /* multipart/report, or its top part is a delivery status or a feedback report: try mail_report_read() */
  bool null_sender;
  bool limited;   /* depth, parts, files or text beyond a limit: not all of it was read */
  bool ambiguous; /* readers may see it differently: two values of a header that stands once, a boundary that never closes */
};

struct mail_parse_source { /* borrowed for the call */
  parley_bytes raw;          /* this until mail_in_done(): the parsed message points into it */
  bool has_envelope;         /* return_path and recipients are known (LMTP, SMTP); else the headers must do */
  parley_text return_path;   /* empty: null sender */
  const parley_text *recipients;
  uint32_t n_recipients;
};
/* PARLEY_INVALID: no mail at all (no header line, a header or a whole that is too large); *ret is then not to be used. */
parley_status mail_parse(const struct mail_parse_source *source, struct mail_in *ret);
void mail_in_done(struct mail_in *mail);

/* "reply+abc@shop.example" with its kind and token; false: an address like any other. ret borrows from address but for the token's
 * case, which stays as it is. */
bool mail_token_read(parley_text address, struct mail_token *ret);
#endif
