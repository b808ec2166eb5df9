#include "sms_pointer.h"
#include <stdio.h>

const char *sms_pointer_fault(parley_text pointer)
{
  uint32_t steps = 0;

  if (pointer.len > SMS_POINTER_BYTES_MAX)
    return "a JSON pointer has 256 bytes at most";
  if (pointer.len > 0 && pointer.at[0] != '/')
    return "a JSON pointer begins with /, such as /messages/0/id";
  for (size_t i = 0; i < pointer.len; i++) {
    if (pointer.at[i] == '/' && ++steps > SMS_POINTER_STEPS_MAX)
      return "a JSON pointer has 16 steps at most";
    if (pointer.at[i] == '~' && (i + 1 == pointer.len || (pointer.at[i + 1] != '0' && pointer.at[i + 1] != '1')))
      return "in a JSON pointer ~0 stands for ~ and ~1 for /";
  }
  return NULL;
}

/* Undoes ~1 and ~0. to: SMS_POINTER_BYTES_MAX + 1 bytes. */
static void step_read(parley_text step, char *to)
{
  size_t n = 0;

  for (size_t i = 0; i < step.len; i++) {
    char c = step.at[i];

    if (c == '~')
      c = step.at[++i] == '1' ? '/' : '~';
    to[n++] = c;
  }
  to[n] = '\0';
}

static json_t *item_get(const json_t *list, const char *step)
{
  size_t index = 0;

  if (step[0] == '\0' || (step[0] == '0' && step[1] != '\0'))
    return NULL;
  for (const char *at = step; *at != '\0'; at++) {
    if (*at < '0' || *at > '9' || index > json_array_size(list))
      return NULL;
    index = index * 10 + (size_t)(*at - '0');
  }
  return json_array_get(list, index);
}

json_t *sms_pointer_get(json_t *root, parley_text pointer)
{
  char step[SMS_POINTER_BYTES_MAX + 1];

  if (sms_pointer_fault(pointer) != NULL)
    return NULL;
  while (pointer.len > 0 && root != NULL) {
    const char *from = pointer.at + 1, *end = memchr(from, '/', pointer.len - 1);
    size_t len = end != NULL ? (size_t)(end - from) : pointer.len - 1;

    step_read((parley_text){from, len}, step);
    root = json_is_object(root) ? json_object_get(root, step) : json_is_array(root) ? item_get(root, step) : NULL;
    pointer.at += len + 1;
    pointer.len -= len + 1;
  }
  return root;
}

parley_text sms_json_text(const json_t *value, struct copy *memory)
{
  char number[64];
  int len;

  if (json_is_string(value))
    return (parley_text){json_string_value(value), json_string_length(value)};
  if (json_is_boolean(value))
    return json_is_true(value) ? PARLEY_LIT("true") : PARLEY_LIT("false");
  if (!json_is_number(value))
    return PARLEY_LIT("");
  len = json_is_integer(value) ? snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value))
                               : snprintf(number, sizeof number, "%.15g", json_real_value(value));
  return len > 0 && (size_t)len < sizeof number ? copy_text(memory, (parley_text){number, (size_t)len}) : PARLEY_LIT("");
}

parley_text sms_pointer_text(json_t *root, parley_text pointer, struct copy *memory)
{
  return sms_json_text(sms_pointer_get(root, pointer), memory);
}
