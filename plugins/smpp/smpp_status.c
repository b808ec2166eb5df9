#include "smpp_status.h"
#include <stdio.h>

#define CREDENTIALS "check user and password with your SMS provider"
#define ADDRESSES "check from, senders and the options source_ton, source_npi"
#define TYPES "check the options destination_ton and destination_npi with your SMS provider"

static const struct smpp_status table[] = {
    {SMPP_ROK, "ESME_ROK", PARLEY_OUTCOME_ACCEPTED, "accepted", NULL, false},
    {SMPP_RINVMSGLEN, "ESME_RINVMSGLEN", PARLEY_OUTCOME_REJECTED, "the text is too long for this centre",
     "check concatenation and segments", false},
    {SMPP_RINVCMDLEN, "ESME_RINVCMDLEN", PARLEY_OUTCOME_REJECTED, "the centre could not read the message", NULL, false},
    {SMPP_RINVCMDID, "ESME_RINVCMDID", PARLEY_OUTCOME_CHANNEL_DOWN, "the centre does not know this command",
     "set pdu to submit_sm, and bind to what the account allows", true},
    {SMPP_RINVBNDSTS, "ESME_RINVBNDSTS", PARLEY_OUTCOME_CHANNEL_DOWN, "this bind may not do that",
     "set bind to what the account allows", true},
    {SMPP_RALYBND, "ESME_RALYBND", PARLEY_OUTCOME_CHANNEL_DOWN, "the account is bound already, and allows no more binds",
     "end the other program that uses this account, or ask for more binds and set binds", false},
    {SMPP_RINVPRTFLG, "ESME_RINVPRTFLG", PARLEY_OUTCOME_REJECTED, "invalid priority", NULL, false},
    {SMPP_RINVREGDLVFLG, "ESME_RINVREGDLVFLG", PARLEY_OUTCOME_REJECTED, "the centre does not give such receipts",
     "change registered_delivery", false},
    {SMPP_RSYSERR, "ESME_RSYSERR", PARLEY_OUTCOME_RETRY, "the centre has an error of its own", NULL, false},
    {SMPP_RINVSRCADR, "ESME_RINVSRCADR", PARLEY_OUTCOME_REJECTED, "the centre does not take this sender", ADDRESSES, false},
    {SMPP_RINVDSTADR, "ESME_RINVDSTADR", PARLEY_OUTCOME_BAD_ADDRESS, "no such number", NULL, false},
    {SMPP_RINVMSGID, "ESME_RINVMSGID", PARLEY_OUTCOME_RETRY, "the centre does not know this message id", NULL, false},
    {SMPP_RBINDFAIL, "ESME_RBINDFAIL", PARLEY_OUTCOME_CHANNEL_DOWN, "the centre refuses the bind", CREDENTIALS, true},
    {SMPP_RINVPASWD, "ESME_RINVPASWD", PARLEY_OUTCOME_CHANNEL_DOWN, "wrong password", CREDENTIALS, true},
    {SMPP_RINVSYSID, "ESME_RINVSYSID", PARLEY_OUTCOME_CHANNEL_DOWN, "the centre does not know this user", CREDENTIALS, true},
    {SMPP_RCANCELFAIL, "ESME_RCANCELFAIL", PARLEY_OUTCOME_RETRY, "cancelling failed", NULL, false},
    {SMPP_RREPLACEFAIL, "ESME_RREPLACEFAIL", PARLEY_OUTCOME_RETRY, "replacing failed", NULL, false},
    {SMPP_RMSGQFUL, "ESME_RMSGQFUL", PARLEY_OUTCOME_THROTTLED, "the centre's queue is full", NULL, false},
    {SMPP_RINVSERTYP, "ESME_RINVSERTYP", PARLEY_OUTCOME_REJECTED, "the centre does not know this service type",
     "change service_type", false},
    {SMPP_RINVESMCLASS, "ESME_RINVESMCLASS", PARLEY_OUTCOME_REJECTED, "the centre takes no such kind of message",
     "change concatenation", false},
    {SMPP_RSUBMITFAIL, "ESME_RSUBMITFAIL", PARLEY_OUTCOME_RETRY, "the centre could not take it", NULL, false},
    {SMPP_RINVSRCTON, "ESME_RINVSRCTON", PARLEY_OUTCOME_REJECTED, "wrong type of the sender's number", ADDRESSES, false},
    {SMPP_RINVSRCNPI, "ESME_RINVSRCNPI", PARLEY_OUTCOME_REJECTED, "wrong plan of the sender's number", ADDRESSES, false},
    {SMPP_RINVDSTTON, "ESME_RINVDSTTON", PARLEY_OUTCOME_REJECTED, "wrong type of the number", TYPES, false},
    {SMPP_RINVDSTNPI, "ESME_RINVDSTNPI", PARLEY_OUTCOME_REJECTED, "wrong plan of the number", TYPES, false},
    {SMPP_RINVSYSTYP, "ESME_RINVSYSTYP", PARLEY_OUTCOME_CHANNEL_DOWN, "the centre does not know this system type",
     "change system_type", true},
    {SMPP_RINVREPFLAG, "ESME_RINVREPFLAG", PARLEY_OUTCOME_REJECTED, "invalid replace flag", NULL, false},
    {SMPP_RTHROTTLED, "ESME_RTHROTTLED", PARLEY_OUTCOME_THROTTLED, "faster than the account allows",
     "set the channel's rate to what the account allows", false},
    {SMPP_RINVSCHED, "ESME_RINVSCHED", PARLEY_OUTCOME_REJECTED, "invalid time of delivery", NULL, false},
    {SMPP_RINVEXPIRY, "ESME_RINVEXPIRY", PARLEY_OUTCOME_REJECTED, "the centre takes no such validity",
     "change validity and validity_time", false},
    {SMPP_RINVDFTMSGID, "ESME_RINVDFTMSGID", PARLEY_OUTCOME_REJECTED, "invalid canned message", NULL, false},
    {SMPP_RX_T_APPN, "ESME_RX_T_APPN", PARLEY_OUTCOME_RETRY, "not now", NULL, false},
    {SMPP_RX_P_APPN, "ESME_RX_P_APPN", PARLEY_OUTCOME_REJECTED, "refused for good", NULL, false},
    {SMPP_RX_R_APPN, "ESME_RX_R_APPN", PARLEY_OUTCOME_REJECTED, "this message is refused", NULL, false},
    {SMPP_RQUERYFAIL, "ESME_RQUERYFAIL", PARLEY_OUTCOME_RETRY, "the query failed", NULL, false},
    {SMPP_RINVOPTPARSTREAM, "ESME_RINVOPTPARSTREAM", PARLEY_OUTCOME_RETRY, "the centre could not read the parameters",
     "set reference to false", false},
    {SMPP_ROPTPARNOTALLWD, "ESME_ROPTPARNOTALLWD", PARLEY_OUTCOME_RETRY, "the centre takes no such parameter",
     "set reference to false, and concatenation to udh8", false},
    {SMPP_RINVPARLEN, "ESME_RINVPARLEN", PARLEY_OUTCOME_RETRY, "a parameter's length is not taken", "set reference to false", false},
    {SMPP_RMISSINGOPTPARAM, "ESME_RMISSINGOPTPARAM", PARLEY_OUTCOME_RETRY, "the centre misses a parameter", NULL, false},
    {SMPP_RINVOPTPARAMVAL, "ESME_RINVOPTPARAMVAL", PARLEY_OUTCOME_RETRY, "a parameter's value is not taken",
     "set reference to false", false},
    {SMPP_RDELIVERYFAILURE, "ESME_RDELIVERYFAILURE", PARLEY_OUTCOME_REJECTED, "it could not be delivered", NULL, false},
    {SMPP_RUNKNOWNERR, "ESME_RUNKNOWNERR", PARLEY_OUTCOME_RETRY, "the centre does not say what is wrong", NULL, false},
};

const struct smpp_status *smpp_status_of(uint32_t code)
{
  static const struct smpp_status other = {.code = SMPP_RUNKNOWNERR, .name = "", .outcome = PARLEY_OUTCOME_RETRY,
                                           .words = "an error of the centre's own"};

  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i].code == code)
      return &table[i];
  return &other;
}

void smpp_code_write(uint32_t code, char to[SMPP_CODE_ROOM])
{
  const struct smpp_status *status = smpp_status_of(code);

  snprintf(to, SMPP_CODE_ROOM, "%s%s0x%02x", status->name, status->name[0] != '\0' ? " " : "", (unsigned)code);
}
