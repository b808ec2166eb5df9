/* exec_wire.h - the lines between the host and a program, no I/O: each is one JSON object, its `type` first. README.md has the
 * table. Thread: any. Times: ms since 1970, spans in ms; on the line RFC 3339, and seconds. */
#ifndef PLUGINS_EXEC_WIRE_H
#define PLUGINS_EXEC_WIRE_H
#include "common/json.h"

#define EXEC_VERSION 1             /* of these lines */
#define EXEC_ID_BYTES_MAX 255      /* of a program's own ids */
#define EXEC_IDENTITIES_MAX 8      /* in one "from" */
#define EXEC_KIND_BYTES_MAX 32     /* an identity's kind: a-z 0-9 _ . - */
#define EXEC_VALUE_BYTES_MAX 512   /* an identity's value, names, a media type, a button's id */
#define EXEC_SUBJECT_BYTES_MAX 998
#define EXEC_TEXT_BYTES_MAX (1u << 20) /* text, HTML, a caption */
#define EXEC_URL_BYTES_MAX 2048
#define EXEC_WORD_BYTES_MAX 64     /* of what has a list of choices */
#define EXEC_PARTS_MAX 16          /* in one inbound message */
#define EXEC_FIELDS_MAX 64         /* of a form, a call, an event */
#define EXEC_IDS_MAX 64            /* of one settlement: as many as parts */
#define EXEC_AGAIN_S_MAX 86400     /* of retry_after, and of a segment's wait */
#define EXEC_MS_A_SECOND 1000

/* --- Host to program: each writes one line without its end. Look at writer->failed: no memory. -------------------------- */
struct exec_hello {
  parley_text channel, host, address_kind, channel_kind;
  uint32_t in_flight, timeout_ms;
  uint64_t line_max;
};
void exec_hello_write(struct json_writer *writer, const struct exec_hello *hello);
/* PARLEY_REJECTED: a media part has neither bytes nor a URL. PARLEY_BUSY: no memory. */
parley_status exec_send_write(struct json_writer *writer, uint64_t token, const parley_message *msg);
void exec_probe_write(struct json_writer *writer, uint64_t token);
void exec_done_write(struct json_writer *writer, parley_text id, const parley_result *result);
void exec_word_write(struct json_writer *writer, const char *type); /* {"type":"drain"} */

/* --- Program to host ---------------------------------------------------------------------------------------------------- */
enum exec_type { EXEC_READY = 1, EXEC_SETTLE, EXEC_RECEIPT, EXEC_INBOUND, EXEC_EVENT, EXEC_HEALTH, EXEC_LOG, EXEC_WINDOW };

/* One line as read; which members count is the type's. All text borrows from root. Words for a person (code, detail, cause, remedy,
 * a log's line) are as long as the program made them: to be masked first, and cut then. */
struct exec_line {
  enum exec_type type;
  json_t *root;
  uint64_t token;     /* SETTLE: 0 when it could not be read */
  parley_text id;     /* RECEIPT, INBOUND, EVENT: what `done` will name; empty: no `done` is wanted */
  parley_text text, remedy; /* LOG: the line; HEALTH: cause and remedy */
  uint32_t level;     /* LOG: PARLEY_DEBUG ..; HEALTH: PARLEY_UP .. */
  uint32_t in_flight; /* WINDOW */
  parley_outcome outcome;
  parley_receipt receipt;
  parley_inbound inbound;
  parley_segment segment; /* of it */
  parley_touchpoint event;
  parley_text ids[EXEC_IDS_MAX], references[EXEC_PARTS_MAX];
  parley_identity identities[EXEC_IDENTITIES_MAX];
  const parley_identity *from[EXEC_IDENTITIES_MAX];
  parley_part parts[EXEC_PARTS_MAX];
  const parley_part *part_list[EXEC_PARTS_MAX];
  char *blobs[EXEC_PARTS_MAX]; /* data that came as base64, decoded: the part of the same place borrows it */
  parley_pair fields[EXEC_FIELDS_MAX];
};
/* false: *faults says what is wrong (and is empty when memory is gone); token is that of a SETTLE all the same, where it could be
 * read. Unknown members are ignored. exec_line_done() in any case. */
bool exec_line_read(parley_bytes bytes, struct exec_line *to, struct json_faults *faults);
void exec_line_done(struct exec_line *line);
#endif
