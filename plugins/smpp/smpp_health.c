#include "smpp_health.h"
#include "smpp_status.h"
#include <stdio.h>

enum { FAILURES_TO_DOWN = 3 /* then an operator should look */, SHOWN_BYTES_MAX = 120 /* of an address, or of what went wrong */ };

void smpp_health_init(struct smpp_health *health, const parley_host *host, const struct smpp_options *options)
{
  *health = (struct smpp_health){.host = host, .options = options, .level = PARLEY_UP /* as the host has it after start() */};
}

static void tell(struct smpp_health *health, uint32_t level, parley_text cause, const char *remedy)
{
  if (health->level == level || health->quiet)
    return;
  health->level = level;
  health->host->health(health->host, level, cause, parley_text_of(remedy));
}

void smpp_health_bound(struct smpp_health *health, struct smpp_strength strength)
{
  bool out = health->options->kind == SMPP_RECEIVER || strength.sending > 0;
  bool in = health->options->kind == SMPP_TRANSMITTER || strength.receiving > 0;

  if (strength.bound == strength.links || (out && in && health->level != PARLEY_DEGRADED))
    tell(health, PARLEY_UP, PARLEY_LIT(""), "");
  else if (out && !in && health->level == PARLEY_DOWN)
    tell(health, PARLEY_DEGRADED, PARLEY_LIT("messages leave, and no bind receives yet"), "wait, or look at the log");
}

void smpp_health_failed(struct smpp_health *health, const struct smpp_failure *failure, uint32_t failures,
                        struct smpp_strength strength)
{
  const struct smpp_status *status = smpp_status_of(failure->refused ? failure->status : SMPP_ROK);
  bool others = strength.sending > 0 || (health->options->kind == SMPP_RECEIVER && strength.receiving > 0);
  const char *remedy = failure->refused && status->remedy != NULL ? status->remedy
                                                                  : "is the centre of option url reachable from here, and does it know "
                                                                    "this machine's address?";
  const char *address = health->options->address;
  char cause[SMPP_WHY_ROOM], code[SMPP_CODE_ROOM];
  int len;

  health->host->metric(health->host, "smpp_bind_failures", failure->refused ? PARLEY_LIT("refused") : PARLEY_LIT("connect"), 1);
  if (!(failure->refused && status->lasting) && failures < FAILURES_TO_DOWN)
    return;
  smpp_code_write(failure->status, code);
  len = failure->refused
            ? snprintf(cause, sizeof cause, "%.*s refuses the bind: %s (%s)", SHOWN_BYTES_MAX, address, status->words, code)
            : snprintf(cause, sizeof cause, "%.*s: %.*s", SHOWN_BYTES_MAX, address,
                       failure->why.len < SHOWN_BYTES_MAX ? (int)failure->why.len : SHOWN_BYTES_MAX, failure->why.at);
  tell(health, others ? PARLEY_DEGRADED : PARLEY_DOWN, (parley_text){cause, (size_t)len}, remedy);
}

void smpp_health_denied(struct smpp_health *health, uint32_t code)
{
  const struct smpp_status *status = smpp_status_of(code);

  tell(health, PARLEY_DOWN, parley_text_of(status->words), status->remedy != NULL ? status->remedy : "");
}
