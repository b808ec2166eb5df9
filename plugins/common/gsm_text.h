/* gsm_text.h - text as SMS carries it: the default alphabet of 3GPP TS 23.038 (6.2.1 with the extension table 6.2.1.1), one septet an
 * octet, and the other alphabets that a data coding names. The one table of the plugins. Pure; owns nothing. Thread: any.
 * Writing is exact: a character that the alphabet lacks fails the call. Reading never fails: what stands for no character becomes
 * U+FFFD, so that the result is UTF-8 without NUL whatever came in. */
#ifndef PLUGINS_COMMON_GSM_TEXT_H
#define PLUGINS_COMMON_GSM_TEXT_H
#include <parley/plugin.h>
#include <stdbool.h>

enum gsm_alphabet {
  GSM_DEFAULT,  /* GSM 03.38, an escape (0x1B) before what stands in the extension table */
  GSM_ASCII,    /* IA5 */
  GSM_LATIN1,   /* ISO-8859-1 */
  GSM_CYRILLIC, /* ISO-8859-5 */
  GSM_HEBREW,   /* ISO-8859-8 */
  GSM_UCS2      /* UTF-16, big-endian; read leniently: half a pair is U+FFFD */
};
enum { GSM_UTF8_GROWTH = 3 /* bytes of UTF-8 that one octet becomes at most */ };

/* Writes text (UTF-8) to out, at most room octets. false: a character is not in the alphabet (*ret_code: which one), or there is no
 * room or no UTF-8 (*ret_code: 0); what out holds then is of no use. */
bool gsm_write(enum gsm_alphabet alphabet, parley_text text, char *out, size_t room, size_t *ret_len, uint32_t *ret_code);
/* Reads bytes as UTF-8 into out; returns its length. room: GSM_UTF8_GROWTH * bytes.len is always enough; with less the end is cut
 * between two characters. NULs, which some centres leave at the end, are dropped (but 0 is @ in the default alphabet). */
size_t gsm_read(enum gsm_alphabet alphabet, parley_bytes bytes, char *out, size_t room);
#endif
