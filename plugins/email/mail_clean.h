/* mail_clean.h - text from strangers made fit to keep: valid UTF-8, no NUL, no control characters, file names without a path.
 * Results are the memory's and end with it. Never fails: what cannot be read becomes U+FFFD or a stand-in. Thread: any. */
#ifndef EMAIL_MAIL_CLEAN_H
#define EMAIL_MAIL_CLEAN_H
#include <parley/plugin.h>
#include <stdbool.h>

struct mail_memory; /* grows until it is freed; one thread at a time */
struct mail_memory *mail_memory_new(void); /* never NULL: GLib aborts when memory ends */
void mail_memory_free(struct mail_memory **memory);
void *mail_memory_get(struct mail_memory *memory, size_t size); /* zeroed */
/* Bytes made by g_malloc become the memory's. */
parley_bytes mail_memory_keep(struct mail_memory *memory, parley_bytes bytes);
parley_text mail_memory_copy(struct mail_memory *memory, parley_text text);

/* Many lines: every line end becomes LF; tabs stay. */
parley_text mail_clean_lines(struct mail_memory *memory, parley_text text);
/* One line, trimmed, at most `max` bytes (cut between characters). */
parley_text mail_clean_line(struct mail_memory *memory, parley_text text, size_t max);
/* From a charset into UTF-8; one that is not known, or empty, is UTF-8 if it can be, else windows-1252. Not yet cleaned. */
parley_text mail_clean_charset(struct mail_memory *memory, parley_bytes bytes, const char *charset);
/* What a person may see as the name of a file: what stands behind the last / or \, no character that turns the direction of
 * writing, never empty, "." or "..", at most `max` bytes. type and number make the stand-in: "file-3.png". */
parley_text mail_clean_file_name(struct mail_memory *memory, parley_text name, parley_text type, uint32_t number, size_t max);
/* "image/png" in lower case; application/octet-stream for what is none. */
parley_text mail_clean_type(struct mail_memory *memory, parley_text type);
/* Bytes of the text within a JSON string. */
size_t mail_json_len(parley_text text);
/* The longest front of the text, whole characters, whose JSON string has at most `max` bytes. */
parley_text mail_json_cut(parley_text text, size_t max);
#endif
