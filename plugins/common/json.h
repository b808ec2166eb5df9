/* json.h - what several plugins need over jansson: a strict reader, readers of members that name what is wrong by JSON pointer,
 * and a writer. Thread: whoever owns the value. Nothing here knows of hosts or channels. */
#ifndef PLUGINS_COMMON_JSON_H
#define PLUGINS_COMMON_JSON_H
#include <parley/plugin.h>
#include <jansson.h>
#include <stdbool.h>

#define JSON_STRICT_DEPTH_MAX 32 /* levels of { and [ */
#define JSON_FAULTS_MAX 8        /* remembered; more are only counted */
#define JSON_POINTER_ROOM 128
#define JSON_DETAIL_ROOM 160

/* What is wrong with a document: each by pointer, stable code and one line for a person. */
struct json_fault { char pointer[JSON_POINTER_ROOM], code[32], detail[JSON_DETAIL_ROOM]; };
struct json_faults {
  size_t count; /* of all, more than JSON_FAULTS_MAX perhaps */
  struct json_fault faults[JSON_FAULTS_MAX];
};
/* at: the pointer of the object ("" for the document), name: the member in question (escaped here), NULL for `at` itself. */
void json_fault_add(struct json_faults *faults, const char *at, const char *name, const char *code, const char *detail);
/* The text of one more step of a pointer, cut when it does not fit: "/from" and "email" make "/from/email". */
void json_pointer_make(const char *at, const char *name, char to[JSON_POINTER_ROOM]);

/* One document, UTF-8, no duplicate names, no NUL, at most JSON_STRICT_DEPTH_MAX deep. NULL: a fault was added
 * (bad_json, bad_encoding, duplicate_key, too_deep). Free with json_decref. */
json_t *json_strict_load(parley_bytes bytes, struct json_faults *faults);
/* Adds unknown_field for every member whose name is not in `names` (ends with NULL). */
void json_names_check(const json_t *object, const char *at, const char *const *names, struct json_faults *faults);

/* The member's text; empty when it is absent (or null), and then required says whether that is a fault. Faults: required,
 * wrong_type, too_short (empty), too_long. The text lives as long as the object. */
parley_text json_text_get(const json_t *object, const char *at, const char *name, bool required, size_t bytes_max,
                          struct json_faults *faults);
/* As above; leaves *ret when absent or wrong. Faults: required, wrong_type, out_of_range. */
bool json_number_get(const json_t *object, const char *at, const char *name, bool required, double min, double max, double *ret,
                     struct json_faults *faults);
/* Absent: 0 with required false. Fault: wrong_type, bad_time. RFC 3339, ms. */
int64_t json_time_get(const json_t *object, const char *at, const char *name, bool required, struct json_faults *faults);

/* The bytes of a base64 text with padding, in memory that the caller frees. PARLEY_INVALID: it is none; PARLEY_BUSY: no memory. */
parley_status json_base64_read(parley_text base64, char **ret, size_t *ret_len);

/* A document being written into one growing piece of memory, which is kept from one to the next (json_writer_clear). Commas
 * come by themselves. After a failed allocation `failed` is set and nothing more is written: look once, at the end. */
struct json_writer {
  char *at;
  size_t len, room;
  bool failed;
};
void json_writer_done(struct json_writer *writer);
void json_writer_clear(struct json_writer *writer);
parley_text json_writer_text(const struct json_writer *writer); /* borrowed until the next write */
void json_write_raw(struct json_writer *writer, parley_text json); /* as it is: punctuation, or a value already JSON */
void json_write_lit(struct json_writer *writer, const char *json);
void json_write_text(struct json_writer *writer, parley_text text); /* quoted and escaped; text is UTF-8 */
void json_write_chars(struct json_writer *writer, parley_text text); /* escaped without quotes: a text in several pieces */
void json_write_base64(struct json_writer *writer, parley_bytes bytes);
void json_write_int(struct json_writer *writer, int64_t value);
void json_write_number(struct json_writer *writer, double value); /* shortest text that reads back the same */
void json_write_time(struct json_writer *writer, int64_t ms);   /* RFC 3339, quoted */
void json_write_comma(struct json_writer *writer); /* unless the last byte is { [ , : or there is none */
void json_write_name(struct json_writer *writer, const char *name); /* the comma where one is due, then "name": */
void json_write_member(struct json_writer *writer, const char *name, parley_text text); /* nothing when text is empty */

/* "to":{"email":"ana@example.org","name":"Ana"}, the form in which the API names people; null when nobody is named. */
void json_write_to(struct json_writer *writer, const parley_identity *to);
/* "customer":{"id","name","locale","timezone"}, or null. */
void json_write_customer(struct json_writer *writer, const parley_customer *customer);

/* "2026-11-21T22:01:09.482Z" and back: Z or an offset, fraction to 9 digits (cut to ms). Years 1970-9999. false leaves *ret. */
#define RFC3339_ROOM 25
bool rfc3339_read(parley_text text, int64_t *ret_ms);
void rfc3339_write(int64_t ms, char to[RFC3339_ROOM]);
/* "YYMMDDhhmm" or "YYMMDDhhmmss", as message centres write times: of this century, here in UTC. false leaves *ret. */
#define SMSC_TIME_ROOM 13
bool smsc_time_read(parley_text digits, int64_t *ret_ms);
void smsc_time_write(int64_t ms, char to[SMSC_TIME_ROOM]); /* with seconds */
#endif
