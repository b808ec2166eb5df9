/* gateway_template.h - texts with {{names}} in them, as a gateway's description has them: read once, filled in for each message, each
 * value escaped for where it stands. Pure. Thread: any. What a template holds lives in the memory it was read into. */
#ifndef GATEWAY_TEMPLATE_H
#define GATEWAY_TEMPLATE_H
#include "common/copy.h"
#include "common/json.h"

enum { GATEWAY_TEMPLATE_BYTES_MAX = 8192, GATEWAY_TEMPLATE_NAMES_MAX = 64, GATEWAY_TEMPLATE_WHY_ROOM = 200 };
enum gateway_place {
  GATEWAY_IN_URL,    /* percent-encoded */
  GATEWAY_IN_FIELD,  /* as it is: the form's writer encodes all of it */
  GATEWAY_IN_HEADER, /* as it is, and no line end */
  GATEWAY_IN_JSON,   /* within quotes escaped; without quotes only {{media}}, a list */
  GATEWAY_IN_SIGNED  /* as it is */
};
struct gateway_template {
  enum gateway_place place;
  uint32_t n_pieces;
  struct gateway_piece *pieces; /* literal, name, literal, name, ...: only gateway_template.c sees inside */
};
/* The value of a name; to: where a name like header.x-nonce has what follows its point. false: there is no such name here. */
typedef bool gateway_value(parley_text name, parley_text *ret, const void *arg);
/* names: those allowed, ends with NULL; one that ends with a point ("header.") allows all that begin so. PARLEY_INVALID: why says
 * what is wrong and what is allowed; PARLEY_BUSY: no memory. */
parley_status gateway_template_read(parley_text text, enum gateway_place place, const char *const *names, struct copy *memory,
                                    struct gateway_template *ret, char why[GATEWAY_TEMPLATE_WHY_ROOM]);
/* Appends it. list: the items of {{media}}. false: a value may not stand there (a line end in a header). */
bool gateway_template_write(const struct gateway_template *template, gateway_value *value, const void *arg, const parley_text *list,
                            uint32_t n_list, struct json_writer *to);
bool gateway_template_names(const struct gateway_template *template, const char *name); /* does {{name}} stand in it? */
bool gateway_template_is(const struct gateway_template *template, const char *name); /* is it {{name}} and nothing else? */
#endif
