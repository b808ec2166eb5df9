/* What is known of providers, and talking to their endpoints. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "login.h"
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <string.h>

void login_form_add(struct buf *form, const char *name, const char *value)
{
  if (value == NULL || value[0] == '\0')
    return;
  buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
  cli_escape(form, value);
}

bool login_url_ok(const char *url)
{
  static const char *const loopback[] = {"http://127.0.0.1:", "http://localhost:", "http://[::1]:"};

  for (size_t i = 0; i < COUNT_OF(loopback); i++)
    if (strncmp(url, loopback[i], strlen(loopback[i])) == 0)
      return true;
  return strncmp(url, "https://", 8) == 0;
}

static size_t answer_add(char *at, size_t size, size_t n, void *arg)
{
  struct buf *answer = arg;

  if (answer->len + size * n > LOGIN_ANSWER_MAX)
    return 0;
  buf_add(answer, at, size * n);
  return size * n;
}

bool login_post(const char *url, const struct buf *form, json_t **ret_json)
{
  CURL *curl = curl_easy_init();
  struct buf answer = BUF_INIT(LOGIN_ANSWER_MAX);
  CURLcode code;

  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form->at);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, LOGIN_TIMEOUT_MS);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_add);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
  code = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  *ret_json = code == CURLE_OK && answer.len > 0 ? json_loadb(answer.at, answer.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
  if (code != CURLE_OK)
    cli_complain("%s cannot be asked: %s", url, curl_easy_strerror(code));
  else if (!json_is_object(*ret_json))
    cli_complain("%s answers something that is no JSON object: is this the right address?", url);
  if (answer.len > 0)
    OPENSSL_cleanse(answer.at, answer.len);
  buf_done(&answer);
  if (json_is_object(*ret_json))
    return true;
  json_decref(*ret_json);
  *ret_json = NULL;
  return false;
}

void login_refused(const json_t *answer)
{
  cli_complain("the provider says no: %s%s%s", cli_text(answer, "error")[0] ? cli_text(answer, "error") : "no token in its answer",
               cli_text(answer, "error_description")[0] ? ": " : "", cli_text(answer, "error_description"));
}

/* Google's device grant gives no access to mail (its list of scopes for it has none), so it has no device_url here. */
static const struct {
  const char *host, *auth_url, *scope, *auth_more;
} google = {"https://oauth2.googleapis.com/", "https://accounts.google.com/o/oauth2/v2/auth", "https://mail.google.com/",
            "&access_type=offline&prompt=consent"};
static const struct {
  const char *host, *scope;
} microsoft = {"https://login.microsoftonline.com/", "https://outlook.office.com/SMTP.Send offline_access"};

/* https://login.microsoftonline.com/TENANT/oauth2/v2.0/token has its neighbours beside it. */
static const char *neighbour(struct arena *arena, const char *token_url, const char *name)
{
  struct buf url = BUF_INIT(8192);
  const char *made;

  buf_printf(&url, "%.*s/%s", (int)(strrchr(token_url, '/') - token_url), token_url, name);
  made = arena_text(arena, buf_as_text(&url)).at;
  buf_done(&url);
  return made;
}

void login_provider_fill(struct login *login, struct arena *arena)
{
  bool is_google = strncmp(login->token_url, google.host, strlen(google.host)) == 0;
  bool is_microsoft = strncmp(login->token_url, microsoft.host, strlen(microsoft.host)) == 0;
  bool given = login->auth_url != NULL || login->device_url != NULL;

  login->auth_more = is_google ? google.auth_more : "";
  login->redirect_host = is_microsoft ? "localhost" : "127.0.0.1"; /* each by its own rules for registered addresses */
  if (login->scope[0] == '\0')
    login->scope = is_google ? google.scope : is_microsoft ? microsoft.scope : "";
  if (!given && is_google)
    login->auth_url = google.auth_url;
  if (given || !is_microsoft)
    return;
  login->device_url = neighbour(arena, login->token_url, "devicecode");
  login->auth_url = neighbour(arena, login->token_url, "authorize");
}
