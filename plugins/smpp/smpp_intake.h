/* smpp_intake.h - what comes in over the binds: customers' messages, and receipts. Each goes to the host, and is answered when that
 * says that it is committed: ESME_ROK then, ESME_RX_T_APPN when the centre shall come again, _P_APPN or _R_APPN when it need not.
 * What is answered is known by its link, so that an answer for a connection that has ended goes nowhere (the centre comes again by
 * itself). Owned by the channel; owns what is on its way to the host. Thread: loop. */
#ifndef SMPP_INTAKE_H
#define SMPP_INTAKE_H
#include "smpp_pool.h"
#include "smpp_proof.h"

enum { SMPP_INTAKE_OPEN_MAX = 1000 /* on their way to the host; beyond, the centre has to come again */ };
struct smpp_intake_config { /* borrowed, outlives it */
  const parley_host *host;
  const struct smpp_options *options;
  struct smpp_ids *ids;
  struct smpp_proof *proof;
};
struct smpp_intake;
struct smpp_intake *smpp_intake_new(const struct smpp_intake_config *config); /* NULL: no memory */
void smpp_intake_free(struct smpp_intake **intake); /* after the host has ended all calls */
void smpp_intake_start(struct smpp_intake *intake); /* reads what was learned of ids */
void smpp_intake_take(struct smpp_intake *intake, struct smpp_link *link, const struct smpp_head *head,
                      const struct smpp_message *message);
#endif
