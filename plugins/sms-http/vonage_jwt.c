#include "vonage_jwt.h"
#include "common/base64.h"
#include "sms_provider.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

enum { RSA_BYTES_MAX = 1024, ID_SHOWN_MAX = 64, APPLICATION_SHOWN_MAX = 64 };

struct evp_pkey_st *vonage_key_read(parley_text pem)
{
  BIO *bio = pem.len > 0 && pem.len < INT32_MAX ? BIO_new_mem_buf(pem.at, (int)pem.len) : NULL;
  EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

  BIO_free(bio);
  if (key != NULL && (!EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_size(key) > RSA_BYTES_MAX))
    vonage_key_free(&key);
  return key;
}

void vonage_key_free(struct evp_pkey_st **key)
{
  EVP_PKEY_free(*key);
  *key = NULL;
}

/* --- Base64url, without padding ------------------------------------------------------------------------------------- */
static size_t url_cut(char *text, size_t len)
{
  while (len > 0 && text[len - 1] == '=')
    len--;
  for (size_t i = 0; i < len; i++)
    text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
  return len;
}

/* Appends it; to has room. */
static size_t url_encode(const void *bytes, size_t n, char *to)
{
  return url_cut(to, base64_of_bytes((parley_bytes){bytes, n}, to));
}

static json_t *part_decode(parley_text part)
{
  char padded[VONAGE_JWT_BYTES_MAX + 4], *bytes = NULL;
  size_t len = part.len, n = 0;
  json_t *root = NULL;

  if (len == 0 || len > VONAGE_JWT_BYTES_MAX)
    return NULL;
  for (size_t i = 0; i < len; i++)
    padded[i] = (char)(part.at[i] == '-' ? '+' : part.at[i] == '_' ? '/' : part.at[i]);
  while (len % 4 != 0)
    padded[len++] = '=';
  if (json_base64_read((parley_text){padded, len}, &bytes, &n) == PARLEY_OK)
    root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
  free(bytes);
  return root;
}

/* --- Ours ----------------------------------------------------------------------------------------------------------- */
static size_t rsa_sign(EVP_PKEY *key, const char *text, size_t len, unsigned char signature[RSA_BYTES_MAX])
{
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  size_t n = RSA_BYTES_MAX;
  bool good = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(context, signature, &n, (const unsigned char *)text, len) == 1;

  EVP_MD_CTX_free(context);
  return good ? n : 0;
}

parley_text vonage_jwt_make(struct evp_pkey_st *key, parley_text application, parley_text id, int64_t now_s, struct copy *memory)
{
  static const char head[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
  struct json_writer claims = {0};
  char token[VONAGE_JWT_BYTES_MAX];
  unsigned char signature[RSA_BYTES_MAX];
  size_t len = 0, n = 0;
  parley_text made = {NULL, 0};

  json_write_lit(&claims, "{\"application_id\":");
  json_write_text(&claims,
                  (parley_text){application.at, application.len < APPLICATION_SHOWN_MAX ? application.len : APPLICATION_SHOWN_MAX});
  json_write_name(&claims, "iat");
  json_write_int(&claims, now_s);
  json_write_name(&claims, "exp");
  json_write_int(&claims, now_s + VONAGE_JWT_GOOD_S);
  json_write_member(&claims, "jti", (parley_text){id.at, id.len < ID_SHOWN_MAX ? id.len : ID_SHOWN_MAX});
  json_write_lit(&claims, "}");
  if (!claims.failed) {
    len = url_encode(head, sizeof head - 1, token);
    token[len++] = '.';
    len += url_encode(claims.at, claims.len, token + len);
    n = rsa_sign(key, token, len, signature);
  }
  json_writer_done(&claims);
  if (n > 0) {
    token[len++] = '.';
    len += url_encode(signature, n, token + len);
    made = copy_text(memory, (parley_text){token, len});
  }
  return made;
}

/* --- Theirs --------------------------------------------------------------------------------------------------------- */
bool vonage_jwt_good(parley_text token, parley_text secret, parley_bytes body)
{
  const char *first = token.len > 0 ? memchr(token.at, '.', token.len) : NULL, *second;
  char made[DIGEST_ROOM], hash[DIGEST_ROOM];
  size_t made_len, hash_len = digest_of(DIGEST_SHA256, body, DIGEST_HEX, hash);
  json_t *head, *claims;
  bool good;

  second = first != NULL ? memchr(first + 1, '.', token.len - (size_t)(first + 1 - token.at)) : NULL;
  if (second == NULL || secret.len == 0)
    return false;
  made_len = url_cut(made, digest_hmac(DIGEST_SHA256, secret, (parley_text){token.at, (size_t)(second - token.at)},
                                         DIGEST_BASE64, made));
  if (!digest_same((parley_text){second + 1, token.len - (size_t)(second + 1 - token.at)}, (parley_text){made, made_len}))
    return false;
  head = part_decode((parley_text){token.at, (size_t)(first - token.at)});
  claims = part_decode((parley_text){first + 1, (size_t)(second - first - 1)});
  good = parley_text_is(sms_member(head, "alg"), "HS256") &&
         digest_same_hex(sms_member(claims, "payload_hash"), (parley_text){hash, hash_len});
  json_decref(head);
  json_decref(claims);
  return good;
}
