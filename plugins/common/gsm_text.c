#include "gsm_text.h"

enum { ESCAPE = 0x1b, REPLACEMENT = 0xfffd, CODE_MAX = 0x10ffff, SEPTETS = 128, EXTENSIONS = 10 };

/* 6.2.1; the escape itself stands for nothing. */
static const uint16_t main_table[SEPTETS] = {
    0x40,   0xa3,   0x24,   0xa5,   0xe8,   0xe9,   0xf9,   0xec,   0xf2,   0xc7, '\n', 0xd8, 0xf8, '\r', 0xc5, 0xe5,
    0x394,  '_',    0x3a6,  0x393,  0x39b,  0x3a9,  0x3a0,  0x3a8,  0x3a3,  0x398, 0x39e, 0,   0xc6, 0xe6, 0xdf, 0xc9,
    ' ',    '!',    '"',    '#',    0xa4,   '%',    '&',    '\'',   '(',    ')',  '*',  '+',  ',',  '-',  '.',  '/',
    '0',    '1',    '2',    '3',    '4',    '5',    '6',    '7',    '8',    '9',  ':',  ';',  '<',  '=',  '>',  '?',
    0xa1,   'A',    'B',    'C',    'D',    'E',    'F',    'G',    'H',    'I',  'J',  'K',  'L',  'M',  'N',  'O',
    'P',    'Q',    'R',    'S',    'T',    'U',    'V',    'W',    'X',    'Y',  'Z',  0xc4, 0xd6, 0xd1, 0xdc, 0xa7,
    0xbf,   'a',    'b',    'c',    'd',    'e',    'f',    'g',    'h',    'i',  'j',  'k',  'l',  'm',  'n',  'o',
    'p',    'q',    'r',    's',    't',    'u',    'v',    'w',    'x',    'y',  'z',  0xe4, 0xf6, 0xf1, 0xfc, 0xe0,
};
static const struct { uint8_t septet; uint16_t code; } extension[EXTENSIONS] = {
    {0x0a, '\f'}, {0x14, '^'}, {0x28, '{'}, {0x29, '}'}, {0x2f, '\\'}, {0x3c, '['}, {0x3d, '~'}, {0x3e, ']'}, {0x40, '|'},
    {0x65, 0x20ac},
};

/* --- The default alphabet ----------------------------------------------------------------------------------------- */
/* Septet in the low byte, 0x100 when an escape stands before it; -1: it is not there. */
static int septet_of(uint32_t code)
{
  if (code < SEPTETS && code != 0 && main_table[code] == code) /* most of ASCII stands in its place */
    return (int)code;
  for (int i = 0; code != 0 && i < SEPTETS; i++)
    if (main_table[i] == code)
      return i;
  for (int i = 0; i < EXTENSIONS; i++)
    if (extension[i].code == code)
      return 0x100 | extension[i].septet;
  return -1;
}

/* An escape that means nothing shows the sign of the main table, as 6.2.1.1 has it. */
static uint32_t code_of(uint8_t septet, bool escaped)
{
  for (int i = 0; escaped && i < EXTENSIONS; i++)
    if (extension[i].septet == septet)
      return extension[i].code;
  return septet < SEPTETS && septet != ESCAPE ? main_table[septet] : REPLACEMENT;
}

/* --- UTF-8 -------------------------------------------------------------------------------------------------------- */
/* The next code point; false: no UTF-8 (overlong and surrogates too). */
static bool utf8_next(parley_text text, size_t *pos, uint32_t *ret_code)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const unsigned char *at = (const unsigned char *)text.at + *pos;
  size_t left = text.len - *pos, n = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 4;
  uint32_t code = n == 1 ? at[0] : at[0] & (0x7fU >> n);

  if (n > left || (n == 4 && (at[0] & 0xf8) != 0xf0))
    return false;
  for (size_t i = 1; i < n; i++) {
    if ((at[i] & 0xc0) != 0x80)
      return false;
    code = code << 6 | (at[i] & 0x3f);
  }
  *pos += n;
  *ret_code = code;
  return code >= least[n] && code <= CODE_MAX && (code & 0xfffff800) != 0xd800;
}

static size_t utf8_put(uint32_t code, char to[4])
{
  size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

  for (size_t i = n; i-- > 1; code >>= 6)
    to[i] = (char)(0x80 | (code & 0x3f));
  to[0] = (char)(leads[n] | code);
  return n;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */
/* The octets of one code point; 0: the alphabet lacks it. */
static size_t code_put(enum gsm_alphabet alphabet, uint32_t code, char to[4])
{
  int septet;

  switch (alphabet) {
  case GSM_DEFAULT:
    septet = septet_of(code);
    if (septet < 0)
      return 0;
    to[0] = ESCAPE;
    to[septet >= 0x100] = (char)(septet & 0x7f);
    return septet >= 0x100 ? 2 : 1;
  case GSM_ASCII:
  case GSM_LATIN1:
    to[0] = (char)code;
    return code != 0 && code < (alphabet == GSM_ASCII ? 0x80 : 0x100) ? 1 : 0;
  case GSM_UCS2:
    if (code >= 0x10000) {
      uint32_t high = 0xd800 + ((code - 0x10000) >> 10), low = 0xdc00 + ((code - 0x10000) & 0x3ff);

      to[0] = (char)(high >> 8), to[1] = (char)high, to[2] = (char)(low >> 8), to[3] = (char)low;
      return 4;
    }
    to[0] = (char)(code >> 8), to[1] = (char)code;
    return 2;
  case GSM_CYRILLIC:
  case GSM_HEBREW: break; /* come in only */
  }
  return 0;
}

bool gsm_write(enum gsm_alphabet alphabet, parley_text text, char *out, size_t room, size_t *ret_len, uint32_t *ret_code)
{
  size_t len = 0;

  for (size_t pos = 0; pos < text.len;) {
    uint32_t code = 0;
    char octets[4];
    size_t n;

    *ret_code = 0;
    if (!utf8_next(text, &pos, &code))
      return false;
    n = code_put(alphabet, code, octets);
    if (n == 0)
      *ret_code = code;
    if (n == 0 || n > room - len)
      return false;
    memcpy(out + len, octets, n);
    len += n;
  }
  *ret_len = len;
  return true;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */
static uint32_t cyrillic_of(uint8_t octet)
{
  if (octet <= 0xa0 || octet == 0xad)
    return octet;
  return octet == 0xf0 ? 0x2116 : octet == 0xfd ? 0xa7 : octet + UINT32_C(0x360);
}

static uint32_t hebrew_of(uint8_t octet)
{
  if (octet >= 0xe0 && octet <= 0xfa)
    return octet + UINT32_C(0x4f0);
  if (octet >= 0xbf && octet != 0xdf)
    return octet == 0xfd ? 0x200e : octet == 0xfe ? 0x200f : REPLACEMENT;
  return octet == 0xaa ? 0xd7 : octet == 0xba ? 0xf7 : octet == 0xdf ? 0x2017 : octet == 0xa1 ? REPLACEMENT : octet;
}

static uint32_t utf16_next(const unsigned char *at, size_t left, size_t *ret_used)
{
  uint32_t unit, low;

  *ret_used = left < 2 ? left : 2;
  if (left < 2)
    return REPLACEMENT;
  unit = (uint32_t)at[0] << 8 | at[1];
  if ((unit & 0xf800) != 0xd800)
    return unit;
  low = left >= 4 ? (uint32_t)at[2] << 8 | at[3] : 0;
  if (unit >= 0xdc00 || (low & 0xfc00) != 0xdc00)
    return REPLACEMENT;
  *ret_used = 4;
  return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

/* The code point that stands first, and how many octets it took; 0: nothing to show. */
static uint32_t code_next(enum gsm_alphabet alphabet, const unsigned char *at, size_t left, size_t *ret_used)
{
  bool escaped = at[0] == ESCAPE && left > 1;

  *ret_used = 1;
  switch (alphabet) {
  case GSM_DEFAULT:
    *ret_used = escaped ? 2 : 1;
    return code_of(at[escaped], escaped);
  case GSM_ASCII: return at[0] < 0x80 ? at[0] : REPLACEMENT;
  case GSM_LATIN1: return at[0];
  case GSM_CYRILLIC: return cyrillic_of(at[0]);
  case GSM_HEBREW: return hebrew_of(at[0]);
  case GSM_UCS2: break;
  }
  return utf16_next(at, left, ret_used);
}

size_t gsm_read(enum gsm_alphabet alphabet, parley_bytes bytes, char *out, size_t room)
{
  size_t len = 0, used;

  for (size_t at = 0; at < bytes.len; at += used) {
    uint32_t code = code_next(alphabet, (const unsigned char *)bytes.at + at, bytes.len - at, &used);
    char utf8[4];
    size_t n = code != 0 ? utf8_put(code, utf8) : 0;

    if (n > room - len)
      break;
    memcpy(out + len, utf8, n);
    len += n;
  }
  return len;
}
