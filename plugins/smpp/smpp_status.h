/* smpp_status.h - what a command_status (SMPP v3.4, 5.1.3) means to us: its name, what becomes of a message that was answered with it,
 * and what an operator can do. One table, which README.md shows. Pure. Thread: any. */
#ifndef SMPP_STATUS_H
#define SMPP_STATUS_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  SMPP_ROK = 0x00, SMPP_RINVMSGLEN = 0x01, SMPP_RINVCMDLEN = 0x02, SMPP_RINVCMDID = 0x03, SMPP_RINVBNDSTS = 0x04,
  SMPP_RALYBND = 0x05, SMPP_RINVPRTFLG = 0x06, SMPP_RINVREGDLVFLG = 0x07, SMPP_RSYSERR = 0x08, SMPP_RINVSRCADR = 0x0a,
  SMPP_RINVDSTADR = 0x0b, SMPP_RINVMSGID = 0x0c, SMPP_RBINDFAIL = 0x0d, SMPP_RINVPASWD = 0x0e, SMPP_RINVSYSID = 0x0f,
  SMPP_RCANCELFAIL = 0x11, SMPP_RREPLACEFAIL = 0x13, SMPP_RMSGQFUL = 0x14, SMPP_RINVSERTYP = 0x15, SMPP_RINVESMCLASS = 0x43,
  SMPP_RSUBMITFAIL = 0x45, SMPP_RINVSRCTON = 0x48, SMPP_RINVSRCNPI = 0x49, SMPP_RINVDSTTON = 0x50, SMPP_RINVDSTNPI = 0x51,
  SMPP_RINVSYSTYP = 0x53, SMPP_RINVREPFLAG = 0x54, SMPP_RTHROTTLED = 0x58, SMPP_RINVSCHED = 0x61, SMPP_RINVEXPIRY = 0x62,
  SMPP_RINVDFTMSGID = 0x63, SMPP_RX_T_APPN = 0x64, SMPP_RX_P_APPN = 0x65, SMPP_RX_R_APPN = 0x66, SMPP_RQUERYFAIL = 0x67,
  SMPP_RINVOPTPARSTREAM = 0xc0, SMPP_ROPTPARNOTALLWD = 0xc1, SMPP_RINVPARLEN = 0xc2, SMPP_RMISSINGOPTPARAM = 0xc3,
  SMPP_RINVOPTPARAMVAL = 0xc4, SMPP_RDELIVERYFAILURE = 0xfe, SMPP_RUNKNOWNERR = 0xff
};
struct smpp_status {
  uint32_t code;
  const char *name;
  uint32_t outcome;    /* PARLEY_OUTCOME_* of a message answered so */
  const char *words;   /* for a person */
  const char *remedy;  /* of a bind refused so, or of the channel's options; NULL: none */
  bool lasting;        /* of a bind: waiting alone will not help */
};
/* Never NULL: what the standard does not have is a centre's own (0x400-0x4FF), or a mistake; either is tried again. */
const struct smpp_status *smpp_status_of(uint32_t code);
enum { SMPP_CODE_ROOM = 32 };
/* "ESME_RTHROTTLED 0x58", or "0x401". */
void smpp_code_write(uint32_t code, char to[SMPP_CODE_ROOM]);
#endif
