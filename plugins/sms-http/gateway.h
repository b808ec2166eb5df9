/* gateway.h - the inside of a gateway that a description (gateway_options.h) tells of, shared by gateway.c (life, capabilities),
 * gateway_out.c (requests, what answers mean), gateway_verify.c (signatures) and gateway_in.c (what callbacks hold). Pure, as
 * sms_provider.h says; each function is the provider's of that name. */
#ifndef GATEWAY_H
#define GATEWAY_H
#include "gateway_options.h"

struct gateway {
  const struct sms_account *account;
  struct gateway_description *is;
};
bool gateway_request(const void *self, const struct sms_piece *piece, struct sms_request *to);
void gateway_answer(const void *self, const parley_http_response *response, struct sms_sent *to);
bool gateway_probe(const void *self, struct sms_request *to);
enum sms_verdict gateway_verify(const void *self, const parley_http_call *call, int64_t now_ms);
void gateway_read(const void *self, const parley_http_call *call, struct sms_taken *to);
#endif
