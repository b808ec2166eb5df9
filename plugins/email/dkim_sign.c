#include "dkim_sign.h"
#include "mail_word.h"
#include <openssl/evp.h>
#include <stdio.h>

#define TEXT_ARG(text) (int)(text).len, (text).at
#define COUNT(array) (sizeof(array) / sizeof *(array))
enum {
  HASH_PIECE = 8192,  /* bytes given to SHA-256 at a time */
  LINE_WISH = 76      /* characters of a line of the field */
};

/* --- A hash that is fed in small pieces --------------------------------------------------------------------------- */
struct hasher {
  EVP_MD_CTX *ctx;
  bool failed;
  size_t len;
  char at[HASH_PIECE];
};

static void hasher_init(struct hasher *hasher)
{
  hasher->ctx = EVP_MD_CTX_new();
  hasher->len = 0;
  hasher->failed = hasher->ctx == NULL || EVP_DigestInit_ex(hasher->ctx, EVP_sha256(), NULL) != 1;
}

static void hasher_flush(struct hasher *hasher)
{
  if (!hasher->failed && hasher->len > 0)
    hasher->failed = EVP_DigestUpdate(hasher->ctx, hasher->at, hasher->len) != 1;
  hasher->len = 0;
}

static void hasher_add(struct hasher *hasher, const char *at, size_t len)
{
  if (len > sizeof hasher->at - hasher->len)
    hasher_flush(hasher);
  if (len > sizeof hasher->at) {
    if (!hasher->failed)
      hasher->failed = EVP_DigestUpdate(hasher->ctx, at, len) != 1;
    return;
  }
  if (len > 0)
    memcpy(hasher->at + hasher->len, at, len);
  hasher->len += len;
}

static bool hasher_end(struct hasher *hasher, unsigned char hash[DKIM_HASH_BYTES])
{
  hasher_flush(hasher);
  if (!hasher->failed)
    hasher->failed = EVP_DigestFinal_ex(hasher->ctx, hash, NULL) != 1;
  EVP_MD_CTX_free(hasher->ctx);
  hasher->ctx = NULL;
  return !hasher->failed;
}

/* --- Relaxed (RFC 6376 3.4.2, 3.4.4) ------------------------------------------------------------------------------ */
static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* A line without its end: runs of blanks become one, those at its end go. */
static void line_add(struct hasher *hasher, const char *at, size_t len)
{
  while (len > 0 && is_blank(at[len - 1]))
    len--;
  if (memchr(at, ' ', len) == NULL && memchr(at, '\t', len) == NULL) {
    hasher_add(hasher, at, len);
    return;
  }
  for (size_t i = 0; i < len;) {
    size_t begin = i;

    while (i < len && !is_blank(at[i]))
      i++;
    hasher_add(hasher, at + begin, i - begin);
    if (i < len)
      hasher_add(hasher, " ", 1);
    while (i < len && is_blank(at[i]))
      i++;
  }
}

static bool line_is_blank(const char *at, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (!is_blank(at[i]))
      return false;
  return true;
}

/* The length of the line at the front, its CRLF included; *ret_end: of that. */
static size_t line_length(parley_bytes bytes, size_t *ret_end)
{
  const char *lf = memchr(bytes.at, '\n', bytes.len);
  size_t len = lf != NULL ? (size_t)(lf - bytes.at) + 1 : bytes.len;

  *ret_end = lf == NULL ? 0 : len > 1 && bytes.at[len - 2] == '\r' ? 2 : 1;
  return len;
}

bool dkim_body_hash(parley_bytes body, unsigned char hash[DKIM_HASH_BYTES])
{
  struct hasher hasher;
  size_t empty = 0; /* lines held back: those at the end count for nothing */

  hasher_init(&hasher);
  while (body.len > 0) {
    size_t end, len = line_length(body, &end);

    if (line_is_blank(body.at, len - end)) {
      empty++;
    } else {
      for (; empty > 0; empty--)
        hasher_add(&hasher, "\r\n", 2);
      line_add(&hasher, body.at, len - end);
      hasher_add(&hasher, "\r\n", 2);
    }
    body.at += len;
    body.len -= len;
  }
  return hasher_end(&hasher, hash);
}

/* --- The head ----------------------------------------------------------------------------------------------------- */
struct field {
  parley_text name, value; /* value: behind the colon, folded as it stands, without the last line end */
};
struct head {
  size_t n;
  struct field fields[DKIM_FIELDS_MAX];
};

/* The field at the front with the lines that go on with it; 0: the head is over. */
static size_t field_length(parley_bytes bytes)
{
  size_t total = 0, end;

  do {
    size_t len = line_length((parley_bytes){bytes.at + total, bytes.len - total}, &end);

    if (total == 0 && len == end)
      return 0;
    total += len;
  } while (total < bytes.len && is_blank(bytes.at[total]));
  return total;
}

static bool head_read(parley_bytes bytes, struct head *head)
{
  size_t len;

  head->n = 0;
  for (; bytes.len > 0 && (len = field_length(bytes)) > 0; bytes.at += len, bytes.len -= len) {
    const char *colon = memchr(bytes.at, ':', len);
    size_t value_len = len, name_len = colon != NULL ? (size_t)(colon - bytes.at) : 0;

    if (colon == NULL || head->n == DKIM_FIELDS_MAX)
      return false;
    while (value_len > name_len + 1 && (bytes.at[value_len - 1] == '\n' || bytes.at[value_len - 1] == '\r'))
      value_len--;
    while (name_len > 0 && is_blank(bytes.at[name_len - 1]))
      name_len--;
    head->fields[head->n++] = (struct field){{bytes.at, name_len}, {colon + 1, value_len - (size_t)(colon + 1 - bytes.at)}};
  }
  return true;
}

size_t dkim_body_at(parley_bytes mail)
{
  size_t at = 0, len, end;

  while (at < mail.len) {
    len = line_length((parley_bytes){mail.at + at, mail.len - at}, &end);
    at += len;
    if (len == end)
      return at;
  }
  return mail.len;
}

/* "name:value", unfolded, without a line end. */
static void field_add(struct hasher *hasher, const struct field *field)
{
  bool blank = false, any = false;

  for (size_t i = 0; i < field->name.len; i++) {
    char c = field->name.at[i];

    c = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    hasher_add(hasher, &c, 1);
  }
  hasher_add(hasher, ":", 1);
  for (size_t i = 0; i < field->value.len; i++) {
    char c = field->value.at[i];

    if (c == '\r' || c == '\n')
      continue;
    if (is_blank(c)) {
      blank = any;
      continue;
    }
    if (blank)
      hasher_add(hasher, " ", 1);
    hasher_add(hasher, &c, 1);
    blank = false;
    any = true;
  }
}

/* RFC 6376 5.4.2: of several fields of a name, the last one first; of one that is not there, nothing. */
static void named_add(struct hasher *hasher, const struct head *head, const parley_text *names, size_t n_names)
{
  bool used[DKIM_FIELDS_MAX] = {false};

  for (size_t n = 0; n < n_names; n++)
    for (size_t i = head->n; i > 0; i--)
      if (!used[i - 1] && mail_word_same(head->fields[i - 1].name, names[n])) {
        used[i - 1] = true;
        field_add(hasher, &head->fields[i - 1]);
        hasher_add(hasher, "\r\n", 2);
        break;
      }
}

static bool head_hash(const struct head *head, const parley_text *names, size_t n_names, parley_text field,
                      unsigned char hash[DKIM_HASH_BYTES])
{
  struct hasher hasher;
  struct head own;
  bool one;

  hasher_init(&hasher);
  named_add(&hasher, head, names, n_names);
  one = head_read(field, &own) && own.n == 1;
  if (one)
    field_add(&hasher, &own.fields[0]);
  return hasher_end(&hasher, hash) && one;
}

size_t dkim_sign_named(const struct dkim_key *key, parley_bytes head, const parley_text *names, size_t n_names,
                       parley_text field, unsigned char *to)
{
  unsigned char hash[DKIM_HASH_BYTES];
  struct head read;

  if (!head_read(head, &read) || !head_hash(&read, names, n_names, field, hash))
    return 0;
  return dkim_key_sign(key, hash, to);
}

/* --- What is signed ----------------------------------------------------------------------------------------------- */
struct names {
  size_t n;
  parley_text at[2 * DKIM_FIELDS_MAX];
};

static bool name_among(parley_text name, const char *const *list, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (mail_word_same(name, parley_text_of(list[i])))
      return true;
  return false;
}

static bool head_has(const struct head *head, parley_text name)
{
  for (size_t i = 0; i < head->n; i++)
    if (mail_word_same(head->fields[i].name, name))
      return true;
  return false;
}

static void names_choose(const struct head *head, struct names *names)
{
  static const char *const always[] = {"From", "To", "Subject", "Date"};
  static const char *const present[] = {"Reply-To", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post"};
  static const char *const never[] = {"Return-Path", "Received", "DKIM-Signature", "Bcc"}; /* others write them on the way */

  names->n = 0;
  for (size_t i = 0; i < head->n; i++)
    if (!name_among(head->fields[i].name, never, COUNT(never)))
      names->at[names->n++] = head->fields[i].name;
  for (size_t i = 0; i < COUNT(always); i++)
    names->at[names->n++] = parley_text_of(always[i]);
  for (size_t i = 0; i < COUNT(present); i++)
    if (head_has(head, parley_text_of(present[i])))
      names->at[names->n++] = parley_text_of(present[i]);
}

/* --- The field ---------------------------------------------------------------------------------------------------- */
struct writer {
  char *at;
  size_t len, line; /* line: characters of the last one */
  bool full;
};

static void put(struct writer *writer, parley_text text)
{
  if (text.len > DKIM_FIELD_ROOM - writer->len) {
    writer->full = true;
    return;
  }
  if (text.len > 0)
    memcpy(writer->at + writer->len, text.at, text.len);
  writer->len += text.len;
  writer->line += text.len;
}

static void line_break(struct writer *writer)
{
  put(writer, PARLEY_LIT("\r\n "));
  writer->line = 1;
}

static void put_names(struct writer *writer, const struct names *names)
{
  line_break(writer);
  put(writer, PARLEY_LIT("h="));
  for (size_t i = 0; i < names->n; i++) {
    if (i > 0)
      put(writer, PARLEY_LIT(":"));
    if (writer->line + names->at[i].len + 1 > LINE_WISH)
      line_break(writer);
    put(writer, names->at[i]);
  }
  put(writer, PARLEY_LIT(";"));
}

static void put_base64(struct writer *writer, const unsigned char *bytes, size_t len)
{
  char text[(DKIM_KEY_SIGNATURE_MAX + 2) / 3 * 4 + 1];
  size_t n = (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len), at = 0;

  while (at < n) {
    size_t room = writer->line < LINE_WISH ? LINE_WISH - writer->line : 0, piece = n - at < room ? n - at : room;

    put(writer, (parley_text){text + at, piece});
    at += piece;
    if (at < n)
      line_break(writer);
  }
}

static void put_tags(struct writer *writer, const struct dkim_signer *signer, const struct names *names,
                     const unsigned char *body_hash, int64_t at_ms)
{
  char line[512];
  int len = snprintf(line, sizeof line, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n d=%.*s;\r\n s=%.*s; t=%lld;",
                     dkim_key_algorithm(signer->key), TEXT_ARG(signer->domain), TEXT_ARG(signer->selector),
                     (long long)(at_ms / 1000));

  writer->full |= len < 0 || (size_t)len >= sizeof line;
  put(writer, (parley_text){line, len < 0 || (size_t)len >= sizeof line ? 0 : (size_t)len});
  put_names(writer, names);
  line_break(writer);
  put(writer, PARLEY_LIT("bh="));
  put_base64(writer, body_hash, DKIM_HASH_BYTES);
  put(writer, PARLEY_LIT(";"));
  line_break(writer);
  put(writer, PARLEY_LIT("b="));
}

size_t dkim_sign(const struct dkim_signer *signer, parley_bytes mail, const unsigned char body_hash[DKIM_HASH_BYTES],
                 int64_t at_ms, char *to)
{
  struct writer writer = {.at = to};
  unsigned char hash[DKIM_HASH_BYTES], signature[DKIM_KEY_SIGNATURE_MAX];
  struct head head;
  struct names names;
  size_t len;

  if (!head_read((parley_bytes){mail.at, dkim_body_at(mail)}, &head))
    return 0;
  names_choose(&head, &names);
  put_tags(&writer, signer, &names, body_hash, at_ms);
  if (writer.full || !head_hash(&head, names.at, names.n, (parley_text){to, writer.len}, hash))
    return 0;
  len = dkim_key_sign(signer->key, hash, signature);
  put_base64(&writer, signature, len);
  put(&writer, PARLEY_LIT("\r\n"));
  return writer.full || len == 0 ? 0 : writer.len;
}
