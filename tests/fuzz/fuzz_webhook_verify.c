/* Headers, body and secrets as a stranger may send them. A verdict of good means that one entry is what we would have
 * signed; what we sign is good; a secret that is taken has a lawful length. */
#include "plugins/common/standard_webhooks.h"
#include <stdlib.h>

#define SECRET "whsec_cGFybGV5LWV4YW1wbGUtc2VjcmV0LW9mLTMyLWI="
enum { N_FIELDS = 4 };

static void require(int good)
{
  if (!good)
    abort();
}

static bool contains(parley_text in, parley_text what)
{
  for (size_t i = 0; i + what.len <= in.len; i++)
    if (memcmp(in.at + i, what.at, what.len) == 0)
      return true;
  return false;
}

static int64_t seconds_of(parley_text text)
{
  int64_t seconds = 0;

  for (size_t i = 0; i < text.len && i < STANDARD_WEBHOOKS_TIMESTAMP_DIGITS_MAX; i++)
    if (text.at[i] >= '0' && text.at[i] <= '9')
      seconds = seconds * 10 + (text.at[i] - '0');
  return seconds;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  parley_text fields[N_FIELDS] = {{NULL, 0}},
              rest = {(const char *)data, size}; /* id, timestamp, signature, body: by NUL */
  struct standard_webhooks_keys keys, other;
  char ours[STANDARD_WEBHOOKS_HEADER_ROOM];
  parley_text signed_by_us = {ours, 0};
  enum standard_webhooks_verdict verdict;
  int64_t seconds;

  for (size_t i = 0; i < N_FIELDS; i++) {
    const char *end = i + 1 < N_FIELDS && rest.len > 0 ? memchr(rest.at, '\0', rest.len) : NULL;

    fields[i] = (parley_text){rest.at, end != NULL ? (size_t)(end - rest.at) : rest.len};
    rest.at += fields[i].len + (end != NULL);
    rest.len -= fields[i].len + (end != NULL);
  }
  require(standard_webhooks_keys_read(PARLEY_LIT(SECRET), &keys));
  if (standard_webhooks_keys_read(fields[2], &other)) {
    require(other.count >= 1 && other.count <= STANDARD_WEBHOOKS_KEYS_MAX);
    for (size_t i = 0; i < other.count; i++)
      require(other.keys[i].len >= STANDARD_WEBHOOKS_KEY_BYTES_MIN &&
              other.keys[i].len <= STANDARD_WEBHOOKS_KEY_BYTES_MAX);
    standard_webhooks_keys_done(&other);
  }
  seconds = seconds_of(fields[1]);
  parley_pair headers[] = {{PARLEY_LIT("webhook-id"), fields[0]}, {PARLEY_LIT("webhook-timestamp"), fields[1]},
                           {PARLEY_LIT("webhook-signature"), fields[2]}};
  verdict = standard_webhooks_verify(&keys, headers, 3, fields[3], seconds * 1000, 0);
  signed_by_us.len = standard_webhooks_sign(&keys, fields[0], seconds, fields[3], ours);
  require(signed_by_us.len == STANDARD_WEBHOOKS_ONE_BYTES);
  require(verdict != STANDARD_WEBHOOKS_GOOD || contains(fields[2], signed_by_us));
  headers[2].value = signed_by_us; /* now nothing but the id and the time can be wrong */
  verdict = standard_webhooks_verify(&keys, headers, 3, fields[3], seconds * 1000, 0);
  require(verdict != STANDARD_WEBHOOKS_MISMATCH && verdict != STANDARD_WEBHOOKS_STALE);
  standard_webhooks_keys_done(&keys);
  return 0;
}
