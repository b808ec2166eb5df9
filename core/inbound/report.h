/* report.h - what a plugin reports, as values of the store. Pure; everything lives in the arena. Private to core/inbound. */
#ifndef CORE_INBOUND_REPORT_H
#define CORE_INBOUND_REPORT_H
#include "inbound.h"

/* Fills event_id, provider_id, from, kind, flags, text, piece, body, raw, in_reply_to, body_sha256. false: problems say what is
 * wrong. */
bool report_read(const parley_inbound *in, const struct phone_reading *phones, struct arena *arena, struct problems *problems,
                 struct store_inbound *ret);
/* PARLEY_ASK: whose is it? Neither external nor identity is set when nobody is named (a null sender). */
bool report_ask(const parley_inbound *in, const struct phone_reading *phones, struct arena *arena, struct problems *problems,
                struct store_customer *ret);
bool report_touchpoint(const parley_touchpoint *event, const struct phone_reading *phones, struct arena *arena,
                       struct problems *problems, struct store_touchpoint *ret);
const char *report_kind_name(uint32_t kind); /* "content", "reaction", ... */
#endif
