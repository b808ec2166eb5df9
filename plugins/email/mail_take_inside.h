/* mail_take_inside.h - one mail on its way, for mail_take's own files: mail_take.c parses it and tells the verdicts,
 * mail_take_errands.c finds what it is to do and does it, mail_take_upload.c uploads what is too large for a call. Contract:
 * mail_take.h. */
#ifndef EMAIL_MAIL_TAKE_INSIDE_H
#define EMAIL_MAIL_TAKE_INSIDE_H
#include "mail_draft.h"
#include "mail_take.h"

enum {
  MAIL_ERRANDS_MAX = 120, /* what one mail is to do: one message, tokens, customers of a captured mail */
  MAIL_REASON_MAX = 200
};
#define MAIL_TAKE_NOBODY "it names no sender, or nobody it was sent to"
enum errand_kind { ERRAND_MESSAGE = 1, ERRAND_CAPTURE, ERRAND_UNSUBSCRIBE, ERRAND_REPORT,
                   ERRAND_NONE /* nothing can be done for it */ };

struct taking;
struct errand {
  struct taking *taking;
  enum errand_kind kind;
  parley_text token, customer; /* customer: of ERRAND_CAPTURE */
  struct mail_verdict verdict;
};
struct taking { /* one mail */
  struct taking *next;
  struct mail_taker *taker;
  mail_taken *done;
  void *arg;
  char *raw;
  size_t len;
  struct mail_memory *memory; /* the envelope, and what goes to the host */
  struct mail_envelope envelope;
  struct mail_in mail;
  parley_status parsed;
  bool unverified; /* anybody may have written From */
  bool uploading, waiting /* for its turn to upload */;
  uint32_t upload; /* the file that is on its way; n_files: the raw mail */
  uint64_t upload_id;
  size_t upload_at;
  parley_text *media; /* ids of the files, and of the raw mail behind them */
  struct errand errands[MAIL_ERRANDS_MAX + 1]; /* and ERRAND_NONE */
  uint32_t n_errands, n_begun, n_open;         /* n_open: not ended yet */
  uint32_t *errand_of; /* by recipient */
  char reason[MAIL_REASON_MAX];
};
struct mail_taker {
  struct mail_taker_config config;
  struct taking *takings;
  uint32_t n_open, n_uploading;
  uint64_t bytes;
};

/* --- The end (mail_take.c) ---------------------------------------------------------------------------------------- */
uint32_t taking_recipients(const struct taking *taking); /* one, where nobody told them */
void taking_end(struct taking *taking);                  /* tells the verdicts and frees it */
void taking_refuse(struct taking *taking, parley_status st, parley_text reason); /* before there are errands: one verdict for all */
void taking_reason_keep(struct taking *taking, parley_status st, parley_text reason); /* the first that is not OK */

/* --- Errands ------------------------------------------------------------------------------------------------------ */
/* A recipient for whom nothing can be done has that for a verdict. false: so have all. */
bool errands_plan(struct taking *taking);
void errands_go(struct taking *taking);

/* --- Uploads ------------------------------------------------------------------------------------------------------ */
void uploads_go(struct taking *taking);          /* then its errands */
void uploads_next(struct mail_taker *taker);     /* those there is room for again */
#endif
