/* event_verify.h - whether an event webhook is its provider's, each by its own documents:
 *   SendGrid  ECDSA P-256 over SHA-256 of timestamp and raw body; the public key as shown in its settings (base64 of its DER)
 *   Mailgun   hex HMAC-SHA256 of timestamp and token, which stand in the body beside what they do not cover
 *   Postmark  HTTP basic authentication
 *   SES       an SNS message (version 1: SHA-1, version 2: SHA-256, RSA): canonical text, a certificate from SNS's own host
 * Pure but for OpenSSL. Thread: any. Secrets are compared in constant time. */
#ifndef EMAIL_EVENT_VERIFY_H
#define EMAIL_EVENT_VERIFY_H
#include <jansson.h>
#include <parley/plugin.h>
#include <stdbool.h>

enum event_verdict { EVENT_GOOD, EVENT_MISSING, EVENT_MALFORMED, EVENT_STALE, EVENT_MISMATCH };
const char *event_verdict_code(enum event_verdict verdict); /* "missing", "malformed", "stale", "mismatch", "good" */

struct evp_pkey_st;
/* NULL: no P-256 public key in base64, or PEM. The caller's to free by event_key_free(). */
struct evp_pkey_st *event_key_read(parley_text base64);
/* Of an X.509 certificate in PEM that is valid at that time and SNS's: for "sns.amazonaws.com" or, since newer regions, GovCloud and
 * China have names of their own, for the region of the url it was fetched from, which is event_sns_url_good(). NULL: not such a one. */
struct evp_pkey_st *event_certificate_key(parley_text pem, parley_text url, int64_t now_ms);
void event_key_free(struct evp_pkey_st **key);

enum event_verdict event_verify_sendgrid(struct evp_pkey_st *key, parley_text signature, parley_text timestamp, parley_bytes body,
                                         int64_t now_ms, int64_t tolerance_ms);
/* root: {"signature": {"timestamp", "token", "signature"}, ...} */
enum event_verdict event_verify_mailgun(parley_text key, const json_t *root, int64_t now_ms, int64_t tolerance_ms);
/* header: of Authorization; secret: "user:password". */
enum event_verdict event_verify_basic(parley_text secret, parley_text header);
enum event_verdict event_verify_sns(struct evp_pkey_st *key, const json_t *root);

/* https://sns.<region>.amazonaws.com/ or .cn, nothing before or beside it; pem: the path ends with .pem. */
bool event_sns_url_good(parley_text url, bool pem);
#endif
