#include "smpp_ids.h"
#include <stdio.h>

enum { DECIMAL = 10, HEX = 16, FORMS = 3 };

const char *const smpp_ids_words[] = {"auto", "text", "number", "hex-decimal", "decimal-hex", NULL};

static int digit_of(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_number(parley_text id, uint32_t base)
{
  for (size_t i = 0; i < id.len; i++)
    if (digit_of(id.at[i]) < 0 || (uint32_t)digit_of(id.at[i]) >= base)
      return false;
  return id.len > 0;
}

static void text_copy(parley_text id, char to[SMPP_ID_ROOM])
{
  snprintf(to, SMPP_ID_ROOM, "%.*s", (int)(id.len < SMPP_ID_MAX ? id.len : SMPP_ID_MAX), id.at);
}

bool smpp_id_rebase(parley_text digits, uint32_t from, uint32_t base, char to[SMPP_ID_ROOM])
{
  uint8_t number[SMPP_ID_ROOM] = {0}; /* in `base`, the lowest digit first */
  size_t n = 0;

  if (!is_number(digits, from) || digits.len > SMPP_ID_MAX)
    return false;
  for (size_t i = 0; i < digits.len; i++) {
    uint32_t carry = (uint32_t)digit_of(digits.at[i]);

    for (size_t k = 0; k < n; k++, carry /= base) {
      carry += number[k] * from;
      number[k] = (uint8_t)(carry % base);
    }
    for (; carry > 0; carry /= base)
      number[n++] = (uint8_t)(carry % base);
  }
  for (size_t i = 0; i < n; i++)
    to[i] = "0123456789abcdef"[number[n - 1 - i]];
  to[n] = '\0';
  if (n == 0)
    snprintf(to, SMPP_ID_ROOM, "0");
  return true;
}

/* Lower case, without leading zeros, where it may be a number; else as it stands. */
static void plain(parley_text id, char to[SMPP_ID_ROOM])
{
  if (!smpp_id_rebase(id, HEX, HEX, to))
    text_copy(id, to);
}

static bool has_letters(parley_text id) { return is_number(id, HEX) && !is_number(id, DECIMAL); }

/* --- What was sent lately ----------------------------------------------------------------------------------------- */
static uint64_t hash_of(const char *text)
{
  uint64_t hash = UINT64_C(0xcbf29ce484222325);

  for (; *text != '\0'; text++)
    hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
  return hash | 1; /* 0: an empty place */
}

static bool is_recent(const struct smpp_ids *ids, const char *id)
{
  uint64_t hash = hash_of(id);

  for (uint32_t i = 0; i < SMPP_IDS_RECENT; i++)
    if (ids->recent[i] == hash)
      return true;
  return false;
}

void smpp_ids_own(struct smpp_ids *ids, parley_text id, char to[SMPP_ID_ROOM])
{
  if (ids->mode == SMPP_IDS_TEXT)
    text_copy(id, to);
  else
    plain(id, to);
  if (ids->mode != SMPP_IDS_AUTO)
    return;
  ids->own_letters |= has_letters(id);
  ids->recent[ids->n++ % SMPP_IDS_RECENT] = hash_of(to);
}

/* --- Receipts ----------------------------------------------------------------------------------------------------- */
static bool form_write(enum smpp_ids_mode mode, parley_text id, char to[SMPP_ID_ROOM])
{
  switch (mode) {
  case SMPP_IDS_TEXT: text_copy(id, to); return true;
  case SMPP_IDS_HEX_DECIMAL: return smpp_id_rebase(id, DECIMAL, HEX, to);
  case SMPP_IDS_DECIMAL_HEX: return smpp_id_rebase(id, HEX, DECIMAL, to);
  case SMPP_IDS_AUTO:
  case SMPP_IDS_NUMBER: break;
  }
  plain(id, to);
  return true;
}

/* Which spelling fits what was sent: one, or AUTO for none and several. */
static enum smpp_ids_mode fitting(const struct smpp_ids *ids, parley_text id)
{
  static const enum smpp_ids_mode forms[FORMS] = {SMPP_IDS_NUMBER, SMPP_IDS_HEX_DECIMAL, SMPP_IDS_DECIMAL_HEX};
  char same[SMPP_ID_ROOM], other[SMPP_ID_ROOM];
  enum smpp_ids_mode found = SMPP_IDS_AUTO;
  int n = 0;

  plain(id, same);
  for (int i = 0; i < FORMS; i++) {
    if (!form_write(forms[i], id, other) || (i > 0 && strcmp(same, other) == 0) || !is_recent(ids, other))
      continue;
    found = forms[i];
    n++;
  }
  return n == 1 ? found : SMPP_IDS_AUTO;
}

bool smpp_ids_receipt(struct smpp_ids *ids, parley_text id, char to[SMPP_ID_ROOM])
{
  enum smpp_ids_mode mode = ids->mode, fits;

  if (mode == SMPP_IDS_AUTO) {
    ids->receipt_letters |= has_letters(id);
    fits = fitting(ids, id);
    mode = fits != SMPP_IDS_AUTO ? fits : ids->learned;
    /* Nothing is certain yet: letters in the answers, none in the receipts so far. */
    if (mode == SMPP_IDS_AUTO && ids->own_letters && !ids->receipt_letters)
      mode = SMPP_IDS_HEX_DECIMAL;
    if (!form_write(mode, id, to))
      plain(id, to);
    if (fits == SMPP_IDS_AUTO || fits == ids->learned)
      return false;
    ids->learned = fits;
    return true;
  }
  if (!form_write(mode, id, to))
    plain(id, to);
  return false;
}
