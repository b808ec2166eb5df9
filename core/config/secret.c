#include "secret.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "file.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FORMS "{ file: PATH }, { env: NAME } or { credential: NAME }"

struct secret {
  struct secret *next;
  size_t len;
  char bytes[]; /* a NUL behind */
};

struct reference { /* what all steps of reading one need */
  const struct yaml_file *file;
  const struct yaml_node *node;
  const struct yaml_member *member; /* file, env or credential */
  const char *field;
};

void secrets_done(struct secrets *secrets)
{
  for (struct secret *secret = secrets->first, *next; secret != NULL; secret = next) {
    next = secret->next;
    OPENSSL_cleanse(secret->bytes, secret->len);
    free(secret);
  }
  *secrets = (struct secrets){0};
}

static parley_text secrets_keep(struct secrets *secrets, parley_text value)
{
  struct secret *secret = xcalloc(1, sizeof(*secret) + value.len + 1);

  secret->len = value.len;
  memcpy(secret->bytes, value.at, value.len);
  secret->next = secrets->first;
  secrets->first = secret;
  return (parley_text){secret->bytes, secret->len};
}

static parley_status value_complain(const struct reference *ref, struct buf *why, const char *what)
{
  const struct yaml_node *value = ref->member->value;

  yaml_error(ref->file, value->line, value->col, why, "%s: %s %.*s: %s", ref->field, ref->member->name.at,
             TEXT_ARG(text_sub(value->raw, 0, 200)), what);
  return PARLEY_INVALID;
}

/* NULL when the value is fit to be a secret of this form. */
static const char *value_fault(parley_text value, enum secret_form form)
{
  if (value.len == 0)
    return "the secret is empty";
  if (value.len > SECRET_BYTES_MAX)
    return "the secret is too long";
  if (text_find(value, '\0') < value.len)
    return "the secret has a NUL inside";
  if (form == SECRET_LINE_OR_PEM && text_starts(value, "-----BEGIN "))
    form = SECRET_PEM;
  if (form != SECRET_PEM && (text_find(value, '\n') < value.len || text_find(value, '\r') < value.len))
    return "the secret has a line end inside";
  return NULL;
}

static parley_status value_keep(const struct reference *ref, parley_text value, enum secret_form form,
                                struct secrets *secrets, parley_text *ret, struct buf *why)
{
  const char *fault = value_fault(value, form);

  if (fault != NULL)
    return value_complain(ref, why, fault);
  *ret = secrets_keep(secrets, value);
  return PARLEY_OK;
}

static parley_status file_keep(const struct reference *ref, const char *path, mode_t refused, enum secret_form form,
                               struct secrets *secrets, parley_text *ret, struct buf *why)
{
  struct buf fault = BUF_INIT(0);
  char *room = xcalloc(1, SECRET_BYTES_MAX + 2); /* one piece, so that growing leaves no copies behind */
  struct buf value = {.at = room, .room = SECRET_BYTES_MAX + 2, .max = SECRET_BYTES_MAX + 1};
  parley_status st = file_read(path, SECRET_BYTES_MAX, refused, &value, &fault);
  parley_text text = buf_as_text(&value);

  if (st != PARLEY_OK) {
    value_complain(ref, why, fault.at);
  } else {
    if (text_ends(text, "\n"))
      text.len--;
    st = value_keep(ref, text, form, secrets, ret, why);
  }
  OPENSSL_cleanse(value.at, value.room);
  buf_done(&value);
  buf_done(&fault);
  return st;
}

static parley_status credential_keep(const struct reference *ref, enum secret_form form, struct secrets *secrets,
                                     parley_text *ret, struct buf *why)
{
  const char *dir = ref->file->variable("CREDENTIALS_DIRECTORY");
  parley_text name = ref->member->value->text;
  struct buf path = BUF_INIT(0);
  parley_status st;

  if (text_find(name, '/') < name.len || parley_text_is(name, ".") || parley_text_is(name, ".."))
    return value_complain(ref, why, "a credential has a name, not a path");
  if (dir == NULL || *dir == '\0')
    return value_complain(ref, why, "there are no credentials here: $CREDENTIALS_DIRECTORY is not set (systemd sets it "
                                    "where the unit has LoadCredential=)");
  buf_printf(&path, "%s/%.*s", dir, TEXT_ARG(name));
  /* systemd guards the folder; the files' group bits may be an ACL's mask, so only writing by others is refused */
  st = file_keep(ref, path.at, S_IWOTH, form, secrets, ret, why);
  buf_done(&path);
  return st;
}

static parley_status env_keep(const struct reference *ref, enum secret_form form, struct secrets *secrets, parley_text *ret,
                              struct buf *why)
{
  const char *value = ref->file->variable(ref->member->value->text.at);

  if (value == NULL)
    return value_complain(ref, why, "this environment variable is not set");
  return value_keep(ref, parley_text_of(value), form, secrets, ret, why);
}

/* Finds the one member of a reference. */
static parley_status reference_check(struct reference *ref, struct buf *why)
{
  static const char *const ways[] = {"file", "env", "credential", NULL};
  const struct yaml_node *node = ref->node;
  const struct yaml_member *member = node->kind == YAML_IS_MAPPING && node->count > 0 ? &node->members[0] : NULL;
  const char *nearest;
  bool known = false;

  if (node->kind == YAML_IS_TEXT && node->raw.len > 0)
    yaml_error_hidden(ref->file, node->line, node->col, why,
                      "%s: a secret must not stand here in clear; write " FORMS, ref->field);
  else if (node->kind != YAML_IS_MAPPING || node->count == 0)
    yaml_error_hidden(ref->file, node->line, node->col, why, "%s: write " FORMS, ref->field);
  else if (node->count > 1)
    yaml_error_hidden(ref->file, node->members[1].line, node->members[1].col, why, "%s: write only one of " FORMS, ref->field);
  if (node->kind != YAML_IS_MAPPING || node->count != 1)
    return PARLEY_INVALID;
  for (size_t i = 0; ways[i] != NULL; i++)
    known |= parley_text_is(member->name, ways[i]);
  if (!known) {
    nearest = text_nearest(member->name, ways);
    yaml_error_hidden(ref->file, member->line, member->col, why, "%s: unknown key '%.*s': %s%s%s", ref->field,
                      TEXT_ARG(text_sub(member->name, 0, 80)), nearest ? "did you mean '" : "write " FORMS,
                      nearest ? nearest : "", nearest ? "'?" : "");
    return PARLEY_INVALID;
  }
  if (member->value->kind != YAML_IS_TEXT || member->value->text.len == 0) {
    yaml_error_hidden(ref->file, member->value->line, member->value->col, why, "%s: %s needs a %s", ref->field,
                      member->name.at, parley_text_is(member->name, "file") ? "path" : "name");
    return PARLEY_INVALID;
  }
  ref->member = member;
  return PARLEY_OK;
}

parley_status secret_read(const struct yaml_file *file, const struct yaml_node *node, const char *field, enum secret_form form,
                          struct secrets *secrets, parley_text *ret, struct buf *reterr_why)
{
  struct reference ref = {.file = file, .node = node, .field = field};
  parley_status st = reference_check(&ref, reterr_why);
  struct arena *scratch;

  if (st != PARLEY_OK)
    return st;
  if (parley_text_is(ref.member->name, "env"))
    return env_keep(&ref, form, secrets, ret, reterr_why);
  if (parley_text_is(ref.member->name, "credential"))
    return credential_keep(&ref, form, secrets, ret, reterr_why);
  scratch = arena_new();
  st = file_keep(&ref, yaml_path(file, scratch, ref.member->value->text), S_IRWXG | S_IRWXO, form, secrets, ret, reterr_why);
  arena_free(&scratch);
  return st;
}
