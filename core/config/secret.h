/* secret.h - secrets by reference: {file: PATH}, {env: NAME} or {credential: NAME} (a file in $CREDENTIALS_DIRECTORY, which
 * systemd fills). Never a value in the configuration itself, never a value in a message. Thread: any. Blocking: reads files. */
#ifndef CORE_CONFIG_SECRET_H
#define CORE_CONFIG_SECRET_H
#include "yaml.h"

#define SECRET_BYTES_MAX 65536

enum secret_form {
  SECRET_LINE,       /* one line: no line end inside */
  SECRET_LINE_OR_PEM, /* one line, or what begins with -----BEGIN */
  SECRET_PEM         /* several lines */
};

/* Values that are wiped when they go. All-zero is empty. */
struct secrets {
  struct secret *first;
};
void secrets_done(struct secrets *secrets); /* wipes and frees every value */
/* Reads what node refers to. *ret stays valid until secrets_done(), a NUL behind it. The one newline at the end of a file is
 * cut. PARLEY_INVALID: an error with its place is appended to reterr_why: a value written in clear, a file that others may
 * read, empty, too long, a NUL or a line end inside. field: its name in messages ("channels.hook.options.secret"). */
parley_status secret_read(const struct yaml_file *file, const struct yaml_node *node, const char *field, enum secret_form form,
                          struct secrets *secrets, parley_text *ret, struct buf *reterr_why);
#endif
