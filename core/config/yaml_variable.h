/* yaml_variable.h - `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` inside one scalar. Part of yaml.c. Thread: any. */
#ifndef CORE_CONFIG_YAML_VARIABLE_H
#define CORE_CONFIG_YAML_VARIABLE_H
#include "yaml.h"

/* Appends the text with all filled in. PARLEY_INVALID: why gets one sentence, never a value. */
parley_status variables_fill(parley_text raw, yaml_variable *variable, struct buf *to, struct buf *why);
#endif
