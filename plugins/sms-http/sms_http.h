/* sms_http.h - the inside of a channel of the sms-http plugin, shared by sms-http.c (the plugin's table, life), sms_send.c (messages
 * out) and sms_take.c (callbacks in). Thread: loop. */
#ifndef SMS_HTTP_H
#define SMS_HTTP_H
#include "sms_settings.h"

enum {
  SMS_CALLS_MAX = 256,                /* callbacks under way: then 503 */
  SMS_AHEAD_MAX = 32,                 /* receipts and messages of one callback at the host at once */
  SMS_RESPONSE_BYTES_MAX = 256 << 10, /* of an answer to a message */
  SMS_FETCH_MS = 8000,                /* for one file of an MMS: providers wait 15 s for their answer */
  SMS_FETCH_BYTES_MAX = 25 << 20,
  SMS_REDIRECTS_MAX = 3, /* of one file */
  SMS_AGAIN_MS = 5000    /* Retry-After of a 503 */
};

struct parley_channel {
  const parley_host *host;
  const parley_http *http;
  const parley_http_answers *answers;
  struct sms_settings settings;
  struct json_writer body;              /* of one request at a time: what it is handed to copies it */
  char callback[SMS_URL_BYTES_MAX + 1]; /* where receipts are asked for; empty: they are not */
  uint32_t n_calls;
  bool stopped; /* tokens and calls are the host's to end now */
};

parley_status sms_submit(parley_channel *ch, uint64_t token, const parley_message *msg);
parley_status sms_probe(parley_channel *ch, uint64_t token);
void sms_called(parley_channel *ch, uint64_t call, const parley_http_call *request);
/* The request as its provider wrote it, handed to the host. flags: PARLEY_HTTP_SAVE. */
void sms_request_send(parley_channel *ch, const struct sms_request *request, uint64_t token, uint32_t flags, parley_http_done *done,
                      void *arg);
#endif
