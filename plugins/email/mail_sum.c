#include "mail_sum.h"
#include <glib.h>
#include <openssl/evp.h>
#include <stdbool.h>

void mail_sum(const parley_bytes *pieces, size_t n, char *to)
{
  EVP_MD_CTX *sum = EVP_MD_CTX_new();
  unsigned char digest[MAIL_SUM_HEX / 2];
  bool good = sum != NULL && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1;

  for (size_t i = 0; i < n && good; i++)
    good = EVP_DigestUpdate(sum, pieces[i].at, pieces[i].len) == 1;
  if (!good || EVP_DigestFinal_ex(sum, digest, NULL) != 1)
    g_error("SHA-256: no memory");
  EVP_MD_CTX_free(sum);
  for (size_t i = 0; i < sizeof digest; i++) {
    to[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    to[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
  to[MAIL_SUM_HEX] = '\0';
}
