/* smpp_job.h - one submitted message on its way: a PDU for each of its parts, what became of each, and how the whole is settled. Ids of
 * parts that went out earlier are given back with the others, so that none is sent twice. A part that fails for good or for a time
 * stops those not sent yet. Owns its parts; the message is the host's until it is settled. Thread: loop. */
#ifndef SMPP_JOB_H
#define SMPP_JOB_H
#include "smpp_options.h"
#include "smpp_status.h"

#define SMPP_STOPS "the channel stops"
enum { SMPP_OCTETS_MAX = SMPP_SEGMENTS_MAX * 160 /* of one part's text: payload has them all in one */,
       SMPP_TIME_ROOM = 48 };
enum smpp_part_state { SMPP_PART_WAITING, SMPP_PART_SENT, SMPP_PART_OUT, SMPP_PART_UNKNOWN, SMPP_PART_FAILED };
struct smpp_job;
struct smpp_part { /* a session's ref */
  struct smpp_job *job;
  enum smpp_part_state state;
  char id[SMPP_ID_ROOM]; /* of OUT */
};
struct smpp_job {
  struct smpp_job *next; /* in the pool's queue */
  const parley_host *host;
  const struct smpp_options *options;
  const parley_message *message;
  uint64_t token;
  uint32_t n_parts, n_sent, n_open; /* n_sent: looked at so far; n_open: sent and not answered */
  uint32_t result;                  /* PARLEY_OUTCOME_* of the first part that failed; 0: none */
  uint32_t retry_ms;
  char code[SMPP_CODE_ROOM], detail[SMPP_WHY_ROOM];
  void *link;                       /* the bind that has its first part */
  struct smpp_part parts[];
};
/* NULL: no memory. */
struct smpp_job *smpp_job_new(const parley_host *host, const struct smpp_options *options, uint64_t token,
                              const parley_message *message);
/* The next part to send; NULL: none is left, or one has failed. */
struct smpp_part *smpp_job_next(struct smpp_job *job);
/* What writes a part: its octets stand in `octets`, its times in `validity`, as long as the PDU is being written. */
struct smpp_writing {
  struct smpp_message pdu;
  char octets[SMPP_OCTETS_MAX + SMPP_JOIN_HEADER_MAX], validity[SMPP_TIME_ROOM];
};
/* false: it can never be sent; the job has failed, and says why. */
bool smpp_job_write(struct smpp_job *job, const struct smpp_part *part, struct smpp_writing *to);
void smpp_job_sent(struct smpp_part *part);
/* What the centre said of a part, or that it said nothing. */
void smpp_job_answered(struct smpp_part *part, struct smpp_ids *ids, const struct smpp_answer *answer);
void smpp_job_fail(struct smpp_job *job, uint32_t result, uint32_t retry_ms, const char *detail); /* where none has failed before */
bool smpp_job_over(const struct smpp_job *job); /* nothing is open, and nothing will be sent */
/* Settles the token, frees the job, sets *job to NULL. */
void smpp_job_settle(struct smpp_job **job);
/* The reference of a part: the same in every attempt. */
uint32_t smpp_job_reference(const parley_message *message, uint32_t part);
#endif
