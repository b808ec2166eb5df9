#include "imap_place.h"
#include <openssl/evp.h>
#include <stdio.h>

enum { LOOK_BACK_MS = 2 * 86400000, NAME_MAX_BYTES = 2400 };

enum imap_place_met imap_place_meet(struct imap_place *place, uint32_t uidvalidity, uint32_t uidnext, int64_t now_ms)
{
  enum imap_place_met met = place->uidvalidity == 0 ? IMAP_PLACE_FIRST : IMAP_PLACE_ANEW;

  if (place->uidvalidity == uidvalidity)
    return IMAP_PLACE_SAME;
  if (met == IMAP_PLACE_FIRST)
    *place = (struct imap_place){.newest_ms = now_ms};
  else
    place->since_ms = place->newest_ms > LOOK_BACK_MS ? place->newest_ms - LOOK_BACK_MS : 1;
  place->uidvalidity = uidvalidity;
  place->uid = 0;
  place->catch_to = uidnext - 1;
  return met;
}

void imap_place_read(struct imap_place *place, parley_text value)
{
  char text[IMAP_PLACE_TEXT_MAX + 1];
  struct imap_place read = {0};
  long long since, newest;

  snprintf(text, sizeof text, "%.*s", (int)(value.len < IMAP_PLACE_TEXT_MAX ? value.len : IMAP_PLACE_TEXT_MAX), value.at);
  if (sscanf(text, "%u %u %u %lld %lld", &read.uidvalidity, &read.uid, &read.catch_to, &since, &newest) != 5)
    return;
  read.since_ms = since;
  read.newest_ms = newest;
  *place = read;
}

void imap_place_write(const struct imap_place *place, char text[IMAP_PLACE_TEXT_MAX + 1])
{
  snprintf(text, IMAP_PLACE_TEXT_MAX + 1, "%u %u %u %lld %lld", place->uidvalidity, place->uid, place->catch_to,
           (long long)place->since_ms, (long long)place->newest_ms);
}

void imap_place_key(const char *server, parley_text user, parley_text mailbox, char key[sizeof "imap." + IMAP_PLACE_KEY_HEX])
{
  char name[NAME_MAX_BYTES];
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int len = 0;
  int n = snprintf(name, sizeof name, "%s\n%.*s\n%.*s", server, (int)user.len, user.at, (int)mailbox.len, mailbox.at);

  EVP_Digest(name, (size_t)n < sizeof name ? (size_t)n : sizeof name - 1, hash, &len, EVP_sha256(), NULL);
  snprintf(key, sizeof "imap.", "imap.");
  for (size_t i = 0; i < IMAP_PLACE_KEY_HEX / 2; i++)
    snprintf(key + 5 + 2 * i, 3, "%02x", hash[i]);
}
