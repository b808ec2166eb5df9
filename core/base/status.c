#include "status.h"

const char *status_name(parley_status status)
{
  switch (status) {
  case PARLEY_OK:
    return "ok";
  case PARLEY_RETRY:
    return "retry";
  case PARLEY_REJECTED:
    return "rejected";
  case PARLEY_BUSY:
    return "busy";
  case PARLEY_INVALID:
    return "invalid";
  case PARLEY_FAILED:
    return "failed";
  case PARLEY_NOT_FOUND:
    return "not_found";
  case PARLEY_DENIED:
    return "denied";
  case PARLEY_TIMEOUT:
    return "timeout";
  case PARLEY_CLOSED:
    return "closed";
  case PARLEY_CANCELLED:
    return "cancelled";
  default: /* a number, not an enum: a newer plugin may know more */
    return "failed";
  }
}
