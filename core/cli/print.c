#include "command.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL_BYTES_MAX 60
#define LAST_CELL_BYTES_MAX 240 /* nothing stands behind it */

int cli_print_json(const json_t *json)
{
  if (json != NULL)
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII * 0);
  putchar('\n');
  return CLI_OK;
}

static const json_t *json_at(const json_t *object, const char *path)
{
  char name[64];

  while (object != NULL && *path != '\0') {
    size_t len = strcspn(path, ".");

    snprintf(name, sizeof name, "%.*s", (int)len, path);
    object = json_is_array(object) ? json_array_get(object, strtoul(name, NULL, 10)) : json_object_get(object, name);
    path += len + (path[len] == '.');
  }
  return object;
}

const char *cli_text(const json_t *object, const char *path)
{
  const json_t *value = json_at(object, path);

  return json_is_string(value) ? json_string_value(value) : "";
}

const char *cli_cell(const json_t *object, const char *path, char room[CLI_CELL_BYTES])
{
  const json_t *value = json_at(object, path);

  if (json_is_string(value))
    return json_string_value(value);
  if (json_is_boolean(value))
    return json_is_true(value) ? "yes" : "no";
  if (json_is_integer(value))
    snprintf(room, CLI_CELL_BYTES, "%lld", (long long)json_integer_value(value));
  else if (json_is_real(value))
    snprintf(room, CLI_CELL_BYTES, "%.3f", json_real_value(value));
  else
    room[0] = '\0';
  return room;
}

void cli_table_begin(struct cli_table *table, const char *const *columns, size_t n_columns)
{
  *table = (struct cli_table){.n_columns = n_columns, .columns = columns, .rows = BUF_INIT(0)};
  for (size_t i = 0; i < n_columns; i++)
    table->widths[i] = strlen(columns[i]);
}

/* Control characters would move a terminal's cursor: lines are shown as one, others as '?'. */
static char cell_byte(char byte)
{
  if (byte == '\n' || byte == '\r' || byte == '\t')
    return ' ';
  return (unsigned char)byte < 0x20 || byte == 0x7f ? '?' : byte;
}

void cli_table_row(struct cli_table *table, const char *const *cells)
{
  for (size_t i = 0; i < table->n_columns; i++) {
    parley_text cell = parley_text_of(cells[i]);
    size_t width;

    cell.len = text_utf8_cut(cell, i + 1 < table->n_columns ? CELL_BYTES_MAX : LAST_CELL_BYTES_MAX);
    width = text_utf8_count(cell);
    if (width > table->widths[i])
      table->widths[i] = width;
    for (size_t at = 0; at < cell.len; at++)
      buf_char(&table->rows, cell_byte(cell.at[at]));
    buf_char(&table->rows, '\0');
  }
}

static void cell_print(parley_text cell, size_t width, bool last)
{
  size_t shown = text_utf8_count(cell);

  printf("%.*s", TEXT_ARG(cell));
  if (last)
    putchar('\n');
  else
    printf("%*s", (int)(width - shown + 2), "");
}

void cli_table_end(struct cli_table *table)
{
  parley_text rest = buf_as_text(&table->rows);

  if (isatty(STDOUT_FILENO))
    for (size_t i = 0; i < table->n_columns; i++)
      cell_print(parley_text_of(table->columns[i]), table->widths[i], i + 1 == table->n_columns);
  for (size_t i = 0; rest.len > 0; i = (i + 1) % table->n_columns)
    cell_print(text_cut(&rest, '\0'), table->widths[i], i + 1 == table->n_columns);
  buf_done(&table->rows);
}

int cli_print_list(struct cli *cli, const json_t *answer, const char *const *columns, const char *const *paths,
                   size_t n)
{
  struct cli_table table;
  json_t *item;
  size_t i;

  if (cli->json)
    return cli_print_json(answer);
  cli_table_begin(&table, columns, n);
  json_array_foreach(json_object_get(answer, "items"), i, item)
  {
    const char *cells[8];
    char rooms[8][CLI_CELL_BYTES];

    for (size_t column = 0; column < n; column++)
      cells[column] = cli_cell(item, paths[column], rooms[column]);
    cli_table_row(&table, cells);
  }
  cli_table_end(&table);
  return CLI_OK;
}
