#include "mail_clean.h"
#include <gmime/gmime.h>
#include <stdio.h>

enum { FILE_TYPE_MAX = 127, EXTENSION_MAX = 8 };

struct mail_memory {
  GPtrArray *blocks;
};

struct mail_memory *mail_memory_new(void)
{
  struct mail_memory *memory = g_new0(struct mail_memory, 1);

  memory->blocks = g_ptr_array_new_with_free_func(g_free);
  return memory;
}

void mail_memory_free(struct mail_memory **memory)
{
  if (*memory == NULL)
    return;
  g_ptr_array_free((*memory)->blocks, TRUE);
  g_free(*memory);
  *memory = NULL;
}

static void *memory_keep(struct mail_memory *memory, void *block)
{
  g_ptr_array_add(memory->blocks, block);
  return block;
}

void *mail_memory_get(struct mail_memory *memory, size_t size)
{
  return memory_keep(memory, g_malloc0(size > 0 ? size : 1));
}

parley_bytes mail_memory_keep(struct mail_memory *memory, parley_bytes bytes)
{
  memory_keep(memory, (void *)(uintptr_t)bytes.at);
  return bytes;
}

parley_text mail_memory_copy(struct mail_memory *memory, parley_text text)
{
  char *to = memory_keep(memory, g_malloc(text.len + 1));

  if (text.len > 0)
    memcpy(to, text.at, text.len);
  to[text.len] = '\0';
  return (parley_text){to, text.len};
}

/* --- UTF-8 -------------------------------------------------------------------------------------------------------- */
/* Bytes of the character at the front, and which it is; 0: none can be read there. */
static size_t utf8_take(const unsigned char *at, size_t len, uint32_t *ret)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = at[0] < 0xc2 || at[0] > 0xf4 ? 0 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  uint32_t point = at[0] & (0x7fu >> n);

  if (at[0] < 0x80) {
    *ret = at[0];
    return 1;
  }
  if (n == 0 || n > len)
    return 0;
  for (size_t i = 1; i < n; i++) {
    if ((at[i] & 0xc0) != 0x80)
      return 0;
    point = point << 6 | (at[i] & 0x3fu);
  }
  *ret = point;
  return point < least[n] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0 : n;
}

/* Bytes from here on that need no look: printable ASCII. */
static size_t plain_run(const unsigned char *at, size_t len)
{
  size_t i = 0;

  for (; i + 8 <= len; i += 8) {
    uint64_t word;

    memcpy(&word, at + i, sizeof word);
    /* any byte with its top bit set, below 0x20, or 0x7f */
    if (((word | (word - UINT64_C(0x2020202020202020)) | (word + UINT64_C(0x0101010101010101))) &
         UINT64_C(0x8080808080808080)) != 0)
      break;
  }
  while (i < len && at[i] >= ' ' && at[i] < 0x7f)
    i++;
  return i;
}

static bool is_control(uint32_t point)
{
  return point < ' ' || (point >= 0x7f && point < 0xa0);
}

/* LF for every line end (CRLF, CR, LF), or a space in one line. Returns the bytes written; never more than 3 a byte
 * read. */
static size_t clean_write(const unsigned char *at, size_t len, bool lines, char *to)
{
  size_t n = 0;

  for (size_t i = 0; i < len;) {
    size_t run = plain_run(at + i, len - i), took;
    uint32_t point;

    memcpy(to + n, at + i, run);
    n += run;
    i += run;
    if (i >= len)
      break;
    took = utf8_take(at + i, len - i, &point);
    if (took == 0) {
      memcpy(to + n, "\xef\xbf\xbd", 3);
      n += 3;
      took = 1;
    } else if (at[i] == '\r' || at[i] == '\n') {
      took += at[i] == '\r' && i + 1 < len && at[i + 1] == '\n';
      to[n++] = lines ? '\n' : ' ';
    } else if (at[i] == '\t') {
      to[n++] = lines ? '\t' : ' ';
    } else if (!is_control(point)) {
      memcpy(to + n, at + i, took);
      n += took;
    }
    i += took;
  }
  return n;
}

static size_t growth(parley_text text) /* bytes that may be needed: U+FFFD stands for one byte */
{
  return g_utf8_validate(text.at, (gssize)text.len, NULL) ? text.len : 3 * text.len;
}

parley_text mail_clean_lines(struct mail_memory *memory, parley_text text)
{
  char *to;

  if (text.len == 0)
    return PARLEY_LIT("");
  to = memory_keep(memory, g_malloc(growth(text) + 1));
  return (parley_text){to, clean_write((const unsigned char *)text.at, text.len, true, to)};
}

static parley_text text_cut(parley_text text, size_t max) /* between characters; the text is valid */
{
  if (text.len <= max)
    return text;
  while (max > 0 && (text.at[max] & 0xc0) == 0x80)
    max--;
  return (parley_text){text.at, max};
}

static parley_text text_trim(parley_text text)
{
  while (text.len > 0 && text.at[0] == ' ')
    text.at++, text.len--;
  while (text.len > 0 && text.at[text.len - 1] == ' ')
    text.len--;
  return text;
}

parley_text mail_clean_line(struct mail_memory *memory, parley_text text, size_t max)
{
  size_t most = 4 * max + 1024; /* more than this is not looked at: spaces in front may be many, not endless */
  char *to;

  if (text.len > most)
    text.len = most;
  if (text.len == 0)
    return PARLEY_LIT("");
  to = memory_keep(memory, g_malloc(3 * text.len + 1));
  return text_trim(
      text_cut(text_trim((parley_text){to, clean_write((const unsigned char *)text.at, text.len, false, to)}), max));
}

/* --- Charsets ----------------------------------------------------------------------------------------------------- */
static bool is_unicode_name(const char *charset)
{
  return charset == NULL || charset[0] == '\0' || g_ascii_strcasecmp(charset, "utf-8") == 0 ||
         g_ascii_strcasecmp(charset, "utf8") == 0 || g_ascii_strcasecmp(charset, "us-ascii") == 0 ||
         g_ascii_strncasecmp(charset, "unknown", 7) == 0;
}

static parley_text converted(struct mail_memory *memory, parley_bytes bytes, const char *charset)
{
  iconv_t cd = g_mime_iconv_open("UTF-8", g_mime_charset_iconv_name(charset));
  char *to;

  if (cd == (iconv_t)-1)
    return PARLEY_LIT("");
  to = g_mime_iconv_strndup(cd, bytes.at, bytes.len);
  g_mime_iconv_close(cd);
  return to != NULL ? parley_text_of(memory_keep(memory, to)) : PARLEY_LIT("");
}

static parley_bytes without_nul(struct mail_memory *memory, parley_bytes bytes)
{
  char *to;
  size_t n = 0;

  if (memchr(bytes.at, '\0', bytes.len) == NULL)
    return bytes;
  to = memory_keep(memory, g_malloc(bytes.len));
  for (size_t i = 0; i < bytes.len; i++)
    if (bytes.at[i] != '\0')
      to[n++] = bytes.at[i];
  return (parley_bytes){to, n};
}

parley_text mail_clean_charset(struct mail_memory *memory, parley_bytes bytes, const char *charset)
{
  parley_text text = PARLEY_LIT("");

  if (bytes.len == 0)
    return text;
  if (!is_unicode_name(charset))
    text = converted(memory, bytes, charset);
  if (text.len > 0)
    return text;
  bytes = without_nul(memory, bytes);
  if (g_utf8_validate(bytes.at, (gssize)bytes.len, NULL))
    return bytes;
  text = converted(memory, bytes, "windows-1252");
  return text.len > 0 ? text : bytes;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */
static bool is_token_char(char c)
{
  return g_ascii_isalnum(c) || (c != '\0' && strchr("!#$&-^_.+", c) != NULL);
}

parley_text mail_clean_type(struct mail_memory *memory, parley_text type)
{
  size_t slashes = 0;
  bool good = type.len > 2 && type.len <= FILE_TYPE_MAX && type.at[0] != '/' && type.at[type.len - 1] != '/';
  char *to;

  for (size_t i = 0; good && i < type.len; i++) {
    slashes += type.at[i] == '/';
    good = type.at[i] == '/' || is_token_char(type.at[i]);
  }
  if (!good || slashes != 1)
    return PARLEY_LIT("application/octet-stream");
  to = memory_keep(memory, g_ascii_strdown(type.at, (gssize)type.len));
  return (parley_text){to, type.len};
}

static const char *extension_of(parley_text type)
{
  static const char *const rows[][2] = {
      {"image/jpeg", "jpg"},    {"image/png", "png"},  {"image/gif", "gif"},       {"image/webp", "webp"},
      {"image/svg+xml", "svg"}, {"text/plain", "txt"}, {"text/html", "html"},      {"text/calendar", "ics"},
      {"text/csv", "csv"},      {"text/vcard", "vcf"}, {"application/pdf", "pdf"}, {"application/zip", "zip"},
      {"message/rfc822", "eml"}};

  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (parley_text_is(type, rows[i][0]))
      return rows[i][1];
  return "bin";
}

/* Marks that turn the direction of writing, and ones that cannot be seen: "gpj.exe" must not read "exe.jpg". */
static size_t hidden_at(const char *at, size_t len)
{
  const unsigned char *c = (const unsigned char *)at;

  if (len >= 3 && c[0] == 0xe2 &&
      ((c[1] == 0x80 && ((c[2] >= 0x8b && c[2] <= 0x8f) || (c[2] >= 0xa8 && c[2] <= 0xae))) ||
       (c[1] == 0x81 && c[2] >= 0xa0 && c[2] <= 0xaf)))
    return 3;
  return len >= 3 && c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf ? 3 : 0;
}

static size_t name_write(parley_text name, char *to)
{
  size_t n = 0;

  for (size_t i = 0; i < name.len;) {
    size_t hidden = hidden_at(name.at + i, name.len - i);

    if (hidden > 0) {
      i += hidden;
      continue;
    }
    to[n++] = strchr("<>:\"|?*", name.at[i]) != NULL ? '_' : name.at[i];
    i++;
  }
  return n;
}

/* The end of the name is kept with it: the extension says what it is. */
static parley_text name_shorten(parley_text name, char *at, size_t max)
{
  const char *dot = memrchr(name.at, '.', name.len);
  size_t tail = dot != NULL ? name.len - (size_t)(dot - name.at) : 0;
  parley_text head;

  if (name.len <= max)
    return name;
  if (tail > EXTENSION_MAX)
    tail = 0;
  head = text_cut(name, max - tail);
  memmove(at + head.len, name.at + name.len - tail, tail);
  return (parley_text){at, head.len + tail};
}

/* Of a name much too long, its front and its end: what is between goes anyway. */
static parley_text name_ends(struct mail_memory *memory, parley_text name, size_t max)
{
  char *to;

  if (name.len <= 3 * max)
    return name;
  to = mail_memory_get(memory, 2 * max + EXTENSION_MAX);
  memcpy(to, name.at, 2 * max);
  memcpy(to + 2 * max, name.at + name.len - EXTENSION_MAX, EXTENSION_MAX);
  return (parley_text){to, 2 * max + EXTENSION_MAX};
}

parley_text mail_clean_file_name(struct mail_memory *memory, parley_text name, parley_text type, uint32_t number,
                                 size_t max)
{
  parley_text line;
  char *to;

  for (size_t i = name.len; i-- > 0;)
    if (name.at[i] == '/' || name.at[i] == '\\') {
      name = (parley_text){name.at + i + 1, name.len - i - 1};
      break;
    }
  line = mail_clean_line(memory, name_ends(memory, name, max), 4 * max);
  to = mail_memory_get(memory, line.len + EXTENSION_MAX + 32);
  line = text_trim((parley_text){to, name_write(line, to)});
  line = name_shorten(line, to + (line.at - to), max);
  while (line.len > 0 && (line.at[0] == '.' || line.at[0] == ' '))
    line.at++, line.len--;
  if (line.len > 0)
    return line;
  snprintf(to, EXTENSION_MAX + 32, "file-%u.%s", (unsigned)number, extension_of(type));
  return parley_text_of(to);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */
enum { JSON_COST_MAX = 6 }; /* "\u0001" */

static size_t json_cost(char c)
{
  unsigned char byte = (unsigned char)c;

  return byte >= ' ' ? (byte == '"' || byte == '\\' ? 2 : 1) : byte == '\n' || byte == '\t' ? 2 : JSON_COST_MAX;
}

size_t mail_json_len(parley_text text)
{
  size_t len = 0;

  for (size_t i = 0; i < text.len; i++)
    len += json_cost(text.at[i]);
  return len;
}

parley_text mail_json_cut(parley_text text, size_t max)
{
  size_t len = 0, i = 0;

  if (text.len <= max / JSON_COST_MAX)
    return text;
  for (; i < text.len && len + json_cost(text.at[i]) <= max; i++)
    len += json_cost(text.at[i]);
  return text_cut(text, i);
}
