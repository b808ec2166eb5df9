/* gateway_check.h - what a gateway's description may say of URLs, headers and signatures, and HTTP or good sense does not have: found
 * when the configuration is checked, not when the first message fails. Pure. Thread: any. Each returns NULL, or what is wrong. */
#ifndef GATEWAY_CHECK_H
#define GATEWAY_CHECK_H
#include "parley/plugin.h"

/* A template. Its host is the operator's: who is written to, and what, may not say where our secret goes. */
const char *gateway_url_fault(parley_text url);
const char *gateway_header_name_fault(const char *name); /* RFC 9110, 5.1 */
const char *gateway_header_value_fault(parley_text value); /* a template, or a text as it is */
/* A template of what a keyed hash covers: one that leaves out what was sent would hold for anything. */
const char *gateway_over_fault(parley_text over);
#endif
