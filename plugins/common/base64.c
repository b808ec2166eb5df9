#include "base64.h"
#include <openssl/evp.h>

/* EVP_DecodeBlock alone takes blanks around, "=" anywhere and bits that stand for nothing. */
bool base64_to_bytes(parley_text text, char *to, size_t *ret_len)
{
  size_t whole = text.len / 4 * 3, pads = 0;
  char last[5];

  *ret_len = 0;
  if (text.len % 4 != 0 || text.len > BASE64_BYTES_MAX)
    return false;
  if (text.len == 0)
    return true;
  while (pads < 2 && text.at[text.len - 1 - pads] == '=')
    pads++;
  if (memchr(text.at, '=', text.len - pads) != NULL ||
      EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text.at, (int)text.len) != (int)whole)
    return false;
  EVP_EncodeBlock((unsigned char *)last, (const unsigned char *)to + whole - 3, 3 - (int)pads);
  *ret_len = whole - pads;
  return memcmp(last, text.at + text.len - 4, 4) == 0;
}

size_t base64_of_bytes(parley_bytes bytes, char *to)
{
  to[0] = '\0';
  if (bytes.len == 0 || bytes.len > BASE64_BYTES_MAX)
    return 0;
  return (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)bytes.at, (int)bytes.len);
}
