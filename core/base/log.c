#include "log.h"
#include "clock.h"
#include "env.h"
#include "text.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096 /* bytes of an event as it was formatted; what is longer is cut */

static const char *const level_names[] = {[PARLEY_DEBUG] = "debug", [PARLEY_INFO] = "info", [PARLEY_WARN] = "warn",
                                          [PARLEY_ERROR] = "error"};

static const char *level_name(uint32_t level)
{
  return level >= PARLEY_DEBUG && level <= PARLEY_ERROR ? level_names[level] : level_names[PARLEY_ERROR];
}

bool log_level_parse(parley_text word, uint32_t *ret)
{
  for (uint32_t level = PARLEY_DEBUG; level <= PARLEY_ERROR; level++) {
    if (!parley_text_is(word, level_names[level]))
      continue;
    *ret = level;
    return true;
  }
  return false;
}

static bool byte_is_control(char byte)
{
  return (unsigned char)byte < 0x20 || byte == 0x7f;
}

const char *log_safe(char *to, size_t room, parley_text value)
{
  struct buf buf = BUF_INIT(room - 1);
  bool quote = value.len == 0;

  for (size_t i = 0; i < value.len && !quote; i++)
    quote = value.at[i] == ' ' || value.at[i] == '"' || value.at[i] == '=' || byte_is_control(value.at[i]);
  if (quote)
    buf_char(&buf, '"');
  for (size_t i = 0; i < value.len && buf.len + sizeof("\\xff\"") <= room - 1; i++) {
    if (byte_is_control(value.at[i]))
      buf_printf(&buf, "\\x%02x", (unsigned char)value.at[i]);
    else if (quote && (value.at[i] == '"' || value.at[i] == '\\'))
      buf_printf(&buf, "\\%c", value.at[i]);
    else
      buf_char(&buf, value.at[i]);
  }
  if (quote)
    buf_char(&buf, '"');
  snprintf(to, room, "%.*s", TEXT_ARG(buf_as_text(&buf)));
  buf_done(&buf);
  return to;
}

static void text_put(struct buf *to, parley_text line)
{
  for (size_t i = 0; i < line.len; i++) {
    if (byte_is_control(line.at[i]))
      buf_printf(to, "\\x%02x", (unsigned char)line.at[i]);
    else
      buf_char(to, line.at[i]);
  }
}

/* Takes one `key=value` or bare word off the front; the value's quotes are taken off and its \" and \\ undone. */
static parley_text pair_take(parley_text *rest, struct buf *value)
{
  parley_text key = {rest->at, 0};
  bool quoted = false;
  size_t i = 0;

  buf_clear(value);
  while (i < rest->len && rest->at[i] != '=' && rest->at[i] != ' ')
    i++;
  key.len = i;
  if (i < rest->len && rest->at[i] == '=')
    i++;
  if (i > key.len && i < rest->len && rest->at[i] == '"') {
    quoted = true;
    i++;
  }
  for (; i < rest->len && (quoted ? rest->at[i] != '"' : rest->at[i] != ' '); i++) {
    bool escape = quoted && rest->at[i] == '\\' && i + 1 < rest->len && (rest->at[i + 1] == '"' || rest->at[i + 1] == '\\');

    i += escape;
    buf_char(value, rest->at[i]);
  }
  *rest = text_sub(*rest, i < rest->len ? i + 1 : i, SIZE_MAX);
  return key;
}

static void json_value_put(struct buf *to, parley_text value)
{
  int64_t number;

  if (value.len > 0 && value.len < 17 && text_to_int(value, INT64_MIN, INT64_MAX, &number))
    buf_int(to, number); /* up to 16 digits: what every reader of JSON keeps exactly */
  else
    buf_json_text(to, value);
}

/* A key that the line itself has set is not set again by what a plugin handed in. */
static bool key_is_taken(parley_text key, bool channel_is_set)
{
  return parley_text_is(key, "time") || parley_text_is(key, "level") || (channel_is_set && parley_text_is(key, "channel"));
}

static void json_put(struct buf *to, parley_text line, bool channel_is_set)
{
  struct buf value = BUF_INIT(LOG_LINE_MAX), words = BUF_INIT(LOG_LINE_MAX);

  while (line.len > 0) {
    parley_text rest = line, key = pair_take(&line, &value);

    if (key.len == 0 && value.len == 0)
      continue;
    if (key.len == rest.len || rest.at[key.len] != '=' || key.len == 0) { /* a bare word */
      buf_printf(&words, "%s%.*s%.*s", words.len > 0 ? " " : "", TEXT_ARG(key), TEXT_ARG(buf_as_text(&value)));
    } else if (!key_is_taken(key, channel_is_set)) {
      buf_char(to, ',');
      buf_json_text(to, key);
      buf_char(to, ':');
      json_value_put(to, buf_as_text(&value));
    }
  }
  if (words.len > 0) {
    buf_json_key(to, "text");
    buf_json_text(to, buf_as_text(&words));
  }
  buf_done(&value);
  buf_done(&words);
}

/* channel: NULL for lines of our own. */
static void log_write(const struct log *log, uint32_t level, const char *channel, parley_text line)
{
  struct buf out = BUF_INIT(LOG_LINE_MAX * 8);
  const struct env *env = log->env != NULL ? log->env : &env_system;
  ssize_t ignored;

  if (log->say != NULL) {
    log->say(level, line, log->arg);
    return;
  }
  buf_str(&out, log->json ? "{\"time\":\"" : "time=");
  buf_time(&out, env->now_ms(env));
  buf_printf(&out, log->json ? "\",\"level\":\"%s\"" : " level=%s", level_name(level));
  if (channel != NULL && log->json) {
    buf_json_key(&out, "channel");
    buf_json_str(&out, channel);
  } else if (channel != NULL) {
    buf_str(&out, " channel=");
    text_put(&out, parley_text_of(channel));
  }
  if (log->json) {
    json_put(&out, line, channel != NULL);
    buf_str(&out, "}");
  } else {
    buf_char(&out, ' ');
    text_put(&out, line);
  }
  buf_char(&out, '\n');
  ignored = write(log->fd, out.at, out.len); /* a log that can't be written has nowhere to say so */
  (void)ignored;
  buf_done(&out);
}

void log_line(const struct log *log, uint32_t level, const char *format, ...)
{
  char line[LOG_LINE_MAX];
  va_list args;
  int len;

  if (log == NULL || level < log->level)
    return;
  va_start(args, format);
  len = vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  if (len >= 0)
    log_write(log, level, NULL, (parley_text){line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1});
}

void log_plugin(const struct log *log, uint32_t level, const char *channel, parley_text line)
{
  if (log == NULL || level < log->level)
    return;
  log_write(log, level, channel, text_sub(line, 0, text_utf8_cut(line, LOG_PLUGIN_LINE_MAX)));
}
