/* submit.h - from a request's JSON to a submission: the fields of POST /v1/messages, checked. Also used by batch,
 * explain and replies. Private to core/api. */
#ifndef CORE_API_SUBMIT_H
#define CORE_API_SUBMIT_H
#include "core/route/reply.h"
#include "request.h"

#define MESSAGE_KEY_BYTES_MAX 255
#define MESSAGE_CAMPAIGN_BYTES_MAX 64
#define MESSAGE_EXPIRES_MS_MIN 1000
#define MESSAGE_EXPIRES_MS_MAX (30LL * 86400000)
#define MESSAGE_AHEAD_MS_MAX (365LL * 86400000) /* of send_at */

/* in: the message's object; body: its bytes as they will be stored, copied. One that names a template has no content yet:
 * compose() it before it is accepted. NULL: req->problems say why. The submission
 * has an arena of its own and keeps a reference of in->object. */
struct submission *submission_read(struct api_request *req, const struct json_in *in, parley_bytes body);
/* {"content","topic","channel","send_at","expires_in"} of a reply, whose topic and channel are read into `reply`. */
struct submission *submission_reply(struct api_request *req, const struct json_in *in, struct reply *reply);
#endif
