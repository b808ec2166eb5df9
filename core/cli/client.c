/* HTTP to the daemon, blocking: a command line waits anyway. */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/conf.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLI_CONNECT_MS 5000
#define CLI_TIMEOUT_MS 60000
#define CLI_ANSWER_BYTES_MAX ((size_t)64 << 20)
#define CLI_KEY_BYTES_MAX 256

static int connect_by_config(struct cli *cli)
{
  struct buf why = BUF_INIT(65536);
  struct conf *conf = NULL;
  struct buf url = BUF_INIT(256);

  if (conf_load(cli->config_path, &conf, &why) != PARLEY_OK) {
    fprintf(stderr, "%s\n", why.at);
    buf_done(&why);
    return CLI_FAILED;
  }
  buf_printf(&url, "%s://%.*s", conf->server.tls_key_pem.len > 0 ? "https" : "http", TEXT_ARG(conf->server.listen));
  cli->base_url = buf_steal(&url, NULL);
  for (size_t i = 0; i < conf->server.n_keys && cli->key == NULL; i++)
    if ((conf->server.keys[i].scopes & SCOPE_ADMIN) != 0)
      cli->key = xmemdup(conf->server.keys[i].secret.at, conf->server.keys[i].secret.len);
  conf_unref(&conf);
  return CLI_OK;
}

/* It goes into a header: what a header cannot carry must not come near one. */
static bool key_ok(const char *key)
{
  for (const unsigned char *at = (const unsigned char *)key; *at != '\0'; at++)
    if (*at <= ' ' || *at >= 0x7f)
      return false;
  return strlen(key) <= CLI_KEY_BYTES_MAX;
}

static int connect_key(struct cli *cli)
{
  const char *named = getenv("PARLEY_KEY");
  char line[CLI_KEY_BYTES_MAX + 2];
  FILE *file;

  if (cli->key_file != NULL) {
    file = fopen(cli->key_file, "re");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
      cli_complain("%s cannot be read", cli->key_file);
      if (file != NULL)
        fclose(file);
      return CLI_FAILED;
    }
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    cli->key = xstrdup(line);
  } else if (named != NULL && named[0] != '\0' && cli->key == NULL) {
    cli->key = xstrdup(named);
  }
  if (cli->key == NULL) {
    cli_complain("no API key: set PARLEY_KEY, or give --key-file, or -c with a configuration that has an admin key");
    return CLI_DENIED;
  }
  if (!key_ok(cli->key)) {
    cli_complain("the API key is none: it has at most %d visible ASCII characters", CLI_KEY_BYTES_MAX);
    return CLI_USAGE;
  }
  return CLI_OK;
}

int cli_connect(struct cli *cli)
{
  const char *url = cli->url != NULL ? cli->url : getenv("PARLEY_URL");
  int code = CLI_OK;

  if (url == NULL && cli->config_path != NULL)
    code = connect_by_config(cli);
  else if (url != NULL)
    cli->base_url = xstrdup(url);
  if (code == CLI_OK && cli->base_url == NULL) {
    cli_complain("which daemon? give -c parley.yaml or --url http://127.0.0.1:8080");
    code = CLI_USAGE;
  }
  if (code != CLI_OK)
    return code;
  for (size_t len = strlen(cli->base_url); len > 0 && cli->base_url[len - 1] == '/'; len--)
    cli->base_url[len - 1] = '\0';
  return connect_key(cli);
}

void cli_escape(struct buf *to, const char *text)
{
  for (; *text != '\0'; text++) {
    if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", *text) != NULL)
      buf_char(to, *text);
    else
      buf_printf(to, "%%%02X", (unsigned char)*text);
  }
}

struct receiving {
  struct buf bytes;
  void (*event)(parley_text data, void *arg);
  void *arg;
};

static size_t receive_all(char *bytes, size_t size, size_t count, void *arg)
{
  struct receiving *receiving = arg;

  buf_add(&receiving->bytes, bytes, size * count);
  return receiving->bytes.overflow ? 0 : size * count;
}

static CURL *client_new(struct cli *cli, const char *method, const char *path, struct curl_slist **headers)
{
  CURL *curl = curl_easy_init();
  struct buf text = BUF_INIT(16384);

  buf_printf(&text, "%s%s", cli->base_url, path);
  curl_easy_setopt(curl, CURLOPT_URL, text.at);
  buf_clear(&text);
  buf_printf(&text, "Authorization: Bearer %s", cli->key);
  *headers = curl_slist_append(*headers, text.at);
  buf_done(&text);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CLI_CONNECT_MS);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  return curl;
}

/* A problem document in words. */
static int complain_problem(long code, const json_t *problem)
{
  const char *detail = cli_text(problem, "detail"), *hint = cli_text(problem, "hint");
  json_t *row;
  size_t i;

  cli_complain("%ld %s: %s", code, cli_text(problem, "code"), detail[0] != '\0' ? detail : "refused");
  json_array_foreach(json_object_get(problem, "errors"), i, row) if (i > 0)
      fprintf(stderr, "  %s: %s\n", cli_text(row, "pointer"), cli_text(row, "detail"));
  if (hint[0] != '\0')
    fprintf(stderr, "  %s\n", hint);
  return code == 401 || code == 403 ? CLI_DENIED : CLI_FAILED;
}

static int client_result(CURL *curl, CURLcode rc, const struct buf *bytes, const char *base_url, json_t **ret_json)
{
  long code = 0;
  json_t *json = NULL;
  int exit_code;

  if (rc != CURLE_OK) {
    cli_complain("%s cannot be reached: %s", base_url, curl_easy_strerror(rc));
    return CLI_UNREACHABLE;
  }
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
  if (bytes->len > 0)
    json = json_loadb(bytes->at, bytes->len, JSON_DECODE_ANY, NULL);
  if (code >= 200 && code < 300) {
    *ret_json = json;
    return CLI_OK;
  }
  exit_code = complain_problem(code, json);
  json_decref(json);
  return exit_code;
}

int cli_call(struct cli *cli, const char *method, const char *path, const json_t *body, const char *idempotency_key,
             json_t **ret_json)
{
  struct curl_slist *headers = NULL;
  CURL *curl = client_new(cli, method, path, &headers);
  struct receiving receiving = {.bytes = BUF_INIT(CLI_ANSWER_BYTES_MAX)};
  char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
  struct buf key = BUF_INIT(1024);
  int code;

  *ret_json = NULL;
  headers = curl_slist_append(headers, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Expect:");
  if (idempotency_key != NULL) {
    buf_printf(&key, "Idempotency-Key: %s", idempotency_key);
    headers = curl_slist_append(headers, key.at);
  }
  if (text != NULL)
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, cli->patient ? 0L : (long)CLI_TIMEOUT_MS);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_all);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiving);
  code = client_result(curl, curl_easy_perform(curl), &receiving.bytes, cli->base_url, ret_json);
  curl_easy_cleanup(curl);
  curl_slist_free_all(headers);
  buf_done(&receiving.bytes);
  buf_done(&key);
  free(text);
  return code;
}

/* Whole lines of the stream; what follows "data: " is an event. */
static size_t receive_events(char *bytes, size_t size, size_t count, void *arg)
{
  struct receiving *receiving = arg;
  char *end;

  buf_add(&receiving->bytes, bytes, size * count);
  while (receiving->bytes.len > 0 && (end = memchr(receiving->bytes.at, '\n', receiving->bytes.len)) != NULL) {
    parley_text line = {receiving->bytes.at, (size_t)(end - receiving->bytes.at)};

    if (text_starts(line, "data: "))
      receiving->event(text_sub(line, 6, SIZE_MAX), receiving->arg);
    buf_drop(&receiving->bytes, line.len + 1);
  }
  return receiving->bytes.overflow ? 0 : size * count;
}

int cli_stream(struct cli *cli, const char *path, void (*event)(parley_text data, void *arg), void *arg)
{
  struct curl_slist *headers = NULL;
  CURL *curl = client_new(cli, "GET", path, &headers);
  struct receiving receiving = {.bytes = BUF_INIT(CLI_ANSWER_BYTES_MAX), .event = event, .arg = arg};
  json_t *none = NULL;
  int code;

  headers = curl_slist_append(headers, "Accept: text/event-stream");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_events);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiving);
  code = client_result(curl, curl_easy_perform(curl), &receiving.bytes, cli->base_url, &none);
  json_decref(none);
  curl_easy_cleanup(curl);
  curl_slist_free_all(headers);
  buf_done(&receiving.bytes);
  return code;
}
