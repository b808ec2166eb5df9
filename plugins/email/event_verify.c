#include "event_verify.h"
#include "mail_word.h"
#include "common/digest.h"
#include "common/json.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 1024, SIGNATURE_MAX = 1024, SECONDS_DIGITS_MAX = 12, MAILGUN_HEX = 64, TOKEN_MAX = 128, HOST_MAX = 256,
       SNS_VALUE_MAX = 512 << 10 };

const char *event_verdict_code(enum event_verdict verdict)
{
  switch (verdict) {
  case EVENT_GOOD: return "good";
  case EVENT_MISSING: return "missing";
  case EVENT_MALFORMED: return "malformed";
  case EVENT_STALE: return "stale";
  case EVENT_MISMATCH: return "mismatch";
  }
  return "mismatch";
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */
static EVP_PKEY *key_of_der(parley_text base64)
{
  char *der = NULL;
  size_t len = 0;
  EVP_PKEY *key = NULL;

  if (json_base64_read(base64, &der, &len) == PARLEY_OK) {
    const unsigned char *at = (const unsigned char *)der;

    key = d2i_PUBKEY(NULL, &at, (long)len);
  }
  free(der);
  return key;
}

static EVP_PKEY *key_of_pem(parley_text pem)
{
  BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
  EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

  BIO_free(bio);
  return key;
}

static bool is_p256(EVP_PKEY *key)
{
  char group[32];

  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
         strcmp(group, "prime256v1") == 0;
}

struct evp_pkey_st *event_key_read(parley_text text)
{
  bool pem = text.len > 10 && memcmp(text.at, "-----BEGIN", 10) == 0;
  EVP_PKEY *key = text.len == 0 || text.len > KEY_MAX ? NULL : pem ? key_of_pem(text) : key_of_der(text);

  if (key != NULL && !is_p256(key))
    event_key_free(&key);
  return key;
}

void event_key_free(struct evp_pkey_st **key)
{
  EVP_PKEY_free(*key);
  *key = NULL;
}

/* before: what stands before "<region>.amazonaws.com". */
static bool certificate_is_for(X509 *certificate, const char *before, parley_text host)
{
  char name[HOST_MAX];
  int len = snprintf(name, sizeof name, "%s%.*s", before, (int)host.len, host.at);

  return len > 0 && (size_t)len < sizeof name && X509_check_host(certificate, name, (size_t)len, 0, NULL) == 1;
}

/* GovCloud's regions share the certificate of one of them. */
static bool certificate_names_sns(X509 *certificate, parley_text url)
{
  static const char *const before[] = {"sns.", "sns-signing.", "sns-"};
  const size_t from = sizeof "https://sns." - 1;
  const char *slash = memchr(url.at + from, '/', url.len - from);
  parley_text host = {url.at + from, (size_t)(slash - url.at) - from};
  bool named = certificate_is_for(certificate, "sns.", PARLEY_LIT("amazonaws.com"));

  for (size_t i = 0; !named && i < sizeof before / sizeof *before; i++)
    named = certificate_is_for(certificate, before[i], host);
  if (!named && host.len > 7 && memcmp(host.at, "us-gov-", 7) == 0)
    named = certificate_is_for(certificate, "sns-us-gov-west-1.", PARLEY_LIT("amazonaws.com"));
  return named;
}

static bool certificate_is_sns(X509 *certificate, parley_text url, int64_t now_ms)
{
  time_t now = (time_t)(now_ms / 1000);

  return certificate_names_sns(certificate, url) && X509_cmp_time(X509_get0_notBefore(certificate), &now) < 0 &&
         X509_cmp_time(X509_get0_notAfter(certificate), &now) > 0;
}

struct evp_pkey_st *event_certificate_key(parley_text pem, parley_text url, int64_t now_ms)
{
  BIO *bio = pem.len > 0 && pem.len < INT32_MAX ? BIO_new_mem_buf(pem.at, (int)pem.len) : NULL;
  X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
  EVP_PKEY *key = certificate != NULL && certificate_is_sns(certificate, url, now_ms) ? X509_get_pubkey(certificate) : NULL;

  X509_free(certificate);
  BIO_free(bio);
  if (key != NULL && !EVP_PKEY_is_a(key, "RSA"))
    event_key_free(&key);
  return key;
}

/* --- Parts -------------------------------------------------------------------------------------------------------- */
static parley_text text_of(const json_t *object, const char *name)
{
  const json_t *value = json_object_get(object, name);

  return json_is_string(value) ? (parley_text){json_string_value(value), json_string_length(value)} : (parley_text){NULL, 0};
}

static bool seconds_read(parley_text text, int64_t *ret)
{
  *ret = 0;
  if (text.len == 0 || text.len > SECONDS_DIGITS_MAX)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    *ret = *ret * 10 + (text.at[i] - '0');
  }
  return true;
}

static bool is_stale(int64_t seconds, int64_t now_ms, int64_t tolerance_ms)
{
  int64_t apart_ms = now_ms - seconds * 1000;

  return apart_ms > tolerance_ms || apart_ms < -tolerance_ms;
}

static enum event_verdict signature_verify(EVP_PKEY *key, const EVP_MD *digest, parley_text base64, const parley_bytes *pieces,
                                           size_t n)
{
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  char *signature = NULL;
  size_t len = 0;
  enum event_verdict verdict = EVENT_MALFORMED;
  bool fed = context != NULL && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1;

  for (size_t i = 0; fed && i < n; i++)
    fed = EVP_DigestVerifyUpdate(context, pieces[i].at, pieces[i].len) == 1;
  if (fed && base64.len <= SIGNATURE_MAX && json_base64_read(base64, &signature, &len) == PARLEY_OK)
    verdict = EVP_DigestVerifyFinal(context, (const unsigned char *)signature, len) == 1 ? EVENT_GOOD : EVENT_MISMATCH;
  free(signature);
  EVP_MD_CTX_free(context);
  return verdict;
}

/* --- Each provider ------------------------------------------------------------------------------------------------ */
enum event_verdict event_verify_sendgrid(struct evp_pkey_st *key, parley_text signature, parley_text timestamp, parley_bytes body,
                                         int64_t now_ms, int64_t tolerance_ms)
{
  const parley_bytes pieces[] = {timestamp, body};
  int64_t seconds;

  if (signature.len == 0 || timestamp.len == 0)
    return EVENT_MISSING;
  if (!seconds_read(timestamp, &seconds))
    return EVENT_MALFORMED;
  if (is_stale(seconds, now_ms, tolerance_ms))
    return EVENT_STALE;
  return signature_verify(key, EVP_sha256(), signature, pieces, 2);
}

/* The time stands there as a text or as a number. */
static bool mailgun_seconds(const json_t *signature, char *to, size_t room, int64_t *ret)
{
  const json_t *value = json_object_get(signature, "timestamp");
  int len = json_is_integer(value) ? snprintf(to, room, "%lld", (long long)json_integer_value(value))
            : json_is_string(value) ? snprintf(to, room, "%s", json_string_value(value)) : -1;

  return len > 0 && (size_t)len < room && seconds_read((parley_text){to, (size_t)len}, ret);
}

enum event_verdict event_verify_mailgun(parley_text key, const json_t *root, int64_t now_ms, int64_t tolerance_ms)
{
  const json_t *is = json_object_get(root, "signature");
  parley_text token = text_of(is, "token"), signature = text_of(is, "signature");
  char words[SECONDS_DIGITS_MAX + 2 + TOKEN_MAX], hex[DIGEST_ROOM];
  size_t len;
  int64_t seconds;

  if (token.len == 0 || signature.len == 0 || json_object_get(is, "timestamp") == NULL)
    return EVENT_MISSING;
  if (token.len > TOKEN_MAX || signature.len != MAILGUN_HEX || !mailgun_seconds(is, words, SECONDS_DIGITS_MAX + 2, &seconds))
    return EVENT_MALFORMED;
  if (is_stale(seconds, now_ms, tolerance_ms))
    return EVENT_STALE;
  len = strlen(words);
  memcpy(words + len, token.at, token.len);
  len = digest_hmac(DIGEST_SHA256, key, (parley_bytes){words, len + token.len}, DIGEST_HEX, hex);
  return digest_same((parley_text){hex, len}, signature) ? EVENT_GOOD : EVENT_MISMATCH;
}

enum event_verdict event_verify_basic(parley_text secret, parley_text header)
{
  char *given = NULL;
  size_t len = 0;
  enum event_verdict verdict = EVENT_MALFORMED;

  if (header.len == 0)
    return EVENT_MISSING;
  if (header.len < 7 || header.len > KEY_MAX || !mail_word_begins(header, "Basic "))
    return EVENT_MALFORMED;
  if (json_base64_read((parley_text){header.at + 6, header.len - 6}, &given, &len) == PARLEY_OK)
    verdict = digest_secret_is((parley_text){given, len}, secret) ? EVENT_GOOD : EVENT_MISMATCH;
  free(given);
  return verdict;
}

bool event_sns_url_good(parley_text url, bool pem)
{
  static const char before[] = "https://sns.";
  static const char *const after[] = {".amazonaws.com/", ".amazonaws.com.cn/"};
  size_t n = 0, at = sizeof before - 1;

  if (url.len <= at || memcmp(url.at, before, at) != 0)
    return false;
  while (at + n < url.len && ((url.at[at + n] >= 'a' && url.at[at + n] <= 'z') || (url.at[at + n] >= '0' && url.at[at + n] <= '9') ||
                              url.at[at + n] == '-'))
    n++;
  for (size_t i = at + n; i < url.len; i++)
    if ((unsigned char)url.at[i] <= ' ' || (unsigned char)url.at[i] >= 0x7f)
      return false;
  if (pem && (url.len < 4 || memcmp(url.at + url.len - 4, ".pem", 4) != 0 || memchr(url.at, '?', url.len) != NULL))
    return false;
  for (size_t i = 0; n >= 3 && i < 2; i++)
    if (url.len - at - n >= strlen(after[i]) && memcmp(url.at + at + n, after[i], strlen(after[i])) == 0)
      return true;
  return false;
}

enum event_verdict event_verify_sns(struct evp_pkey_st *key, const json_t *root)
{
  static const char *const notified[] = {"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"};
  static const char *const control[] = {"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"};
  bool is_control = !parley_text_is(text_of(root, "Type"), "Notification");
  const char *const *names = is_control ? control : notified;
  size_t n_names = is_control ? 7 : 6, n = 0;
  parley_text version = text_of(root, "SignatureVersion"), signature = text_of(root, "Signature");
  parley_bytes pieces[28];

  if (signature.len == 0 || version.len == 0)
    return EVENT_MISSING;
  for (size_t i = 0; i < n_names; i++) {
    parley_text value = text_of(root, names[i]);

    if (value.at == NULL && strcmp(names[i], "Subject") == 0)
      continue;
    if (value.at == NULL || value.len > SNS_VALUE_MAX)
      return EVENT_MALFORMED;
    pieces[n++] = parley_text_of(names[i]);
    pieces[n++] = PARLEY_LIT("\n");
    pieces[n++] = value;
    pieces[n++] = PARLEY_LIT("\n");
  }
  if (parley_text_is(version, "1"))
    return signature_verify(key, EVP_sha1(), signature, pieces, n);
  return parley_text_is(version, "2") ? signature_verify(key, EVP_sha256(), signature, pieces, n) : EVENT_MALFORMED;
}
