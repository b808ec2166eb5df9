/* abi.h - the structs of include/parley described as tables, so that one coder (wire.c) carries them all over the process border.
 * Constant data. A member appended to the ABI is appended here as well: tests/unit/test_channel_wire.c knows the sizes. */
#ifndef CORE_BORDER_ABI_H
#define CORE_BORDER_ABI_H
#include <parley/ext/http-in.h>
#include <parley/ext/mailbox.h>
#include <parley/ext/media.h>
#include <parley/ext/submit.h>

enum abi_kind {
  ABI_U32 = 1, ABI_I32, ABI_U64, ABI_I64, ABI_F64,
  ABI_TEXT,     /* parley_text: UTF-8 */
  ABI_BYTES,    /* parley_bytes: any */
  ABI_CSTR,     /* const char *, may be NULL */
  ABI_TEXTS,    /* const parley_text *, and a count */
  ABI_PAIRS,    /* const parley_pair *, and a count */
  ABI_STATUSES, /* const parley_status *, may be NULL, and a count */
  ABI_ONE,      /* pointer to a struct, may be NULL */
  ABI_MANY,     /* pointers to structs, and a count */
  ABI_ENDED,    /* pointers to structs up to a NULL; may be NULL */
  ABI_CSTRS     /* the same of const char * */
};
struct abi_struct;
struct abi_field {
  uint16_t kind, at;              /* at: offset in bytes */
  uint16_t count_at, count_bytes; /* where the count stands, 4 or 8 wide; TEXTS, PAIRS, STATUSES, MANY */
  const struct abi_struct *of;    /* ONE, MANY, ENDED */
};
#define ABI_FIELDS_MAX 32 /* of one struct: a frame names those that are not empty by one bit each */
struct abi_struct {
  uint32_t bytes, n_fields;
  const struct abi_field *fields;
};

extern const struct abi_struct abi_option, abi_value, abi_metric, abi_feature, abi_price, abi_capabilities;
extern const struct abi_struct abi_part, abi_identity, abi_customer, abi_message, abi_outcome, abi_receipt, abi_inbound,
    abi_touchpoint, abi_result, abi_query, abi_page;
extern const struct abi_struct abi_http_request, abi_http_response, abi_http_call, abi_http_answer;
extern const struct abi_struct abi_mail_query, abi_mail_page, abi_submission;

/* Two structs of our own that travel the same way. */
struct plugin_facts { /* what a plugin's table says: all of it but the functions */
  uint32_t size, abi_major, abi_minor, abi_minor_needed, has, reserved; /* has: PLUGIN_HAS_* */
  const char *name, *version, *summary;
  const parley_capabilities *capabilities;
  const parley_option *const *options;
  const parley_metric *const *metrics;
  const char *const *requires_ids, *const *offers_ids;
};
enum { PLUGIN_HAS_SUBMIT = 1, PLUGIN_HAS_DRAIN = 2, PLUGIN_HAS_STOP = 4, PLUGIN_HAS_QUERY = 8, PLUGIN_HAS_PROBE = 16 };
struct frame_words { /* whatever a frame says that is no struct of the ABI: its type tells which member means what */
  uint32_t size, number;
  int64_t amount;
  double value;
  parley_text one, two, three;
  const parley_capabilities *capabilities;
  const parley_value *options;
};
extern const struct abi_struct abi_plugin_facts, abi_frame_words;
#endif
