#include "email_oauth.h"
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <parley/ext/http.h>
#include <stdio.h>
#include <stdlib.h>

enum { HASH_HEX = 64, FORM_MAX = 3 * 4 * EMAIL_OAUTH_TEXT_MAX + 256, LIFE_MAX_S = 7 * 86400, EARLY_SHARE = 10 };
#define STATE_KEY "oauth.refresh" /* "<hash of the configured one> <the newest one>" */

struct email_oauth {
  const parley_host *host;
  const parley_http *http;
  const struct email_oauth_config *config;
  const struct email_oauth_owner *owner;
  void *arg;
  char token[SASL_TOKEN_MAX + 1], refresh[EMAIL_OAUTH_TEXT_MAX + 1]; /* refresh: the provider's newest, or the configured one */
  size_t token_len;
  uint32_t generation;
  int64_t good_until_ms, renew_at_ms; /* monotonic */
  bool looked, asking, after_refusal, stopped;
};

struct email_oauth *email_oauth_new(const parley_host *host, const struct email_oauth_config *config,
                                    const struct email_oauth_owner *owner, void *arg)
{
  struct email_oauth *oauth = calloc(1, sizeof *oauth);

  if (oauth == NULL)
    return NULL;
  oauth->host = host;
  oauth->http = host->extension(host, PARLEY_HTTP);
  oauth->config = config;
  oauth->owner = owner;
  oauth->arg = arg;
  snprintf(oauth->refresh, sizeof oauth->refresh, "%.*s", (int)config->refresh_token.len, config->refresh_token.at);
  return oauth;
}

void email_oauth_free(struct email_oauth **oauth)
{
  if (*oauth != NULL)
    OPENSSL_cleanse(*oauth, sizeof **oauth);
  free(*oauth);
  *oauth = NULL;
}

void email_oauth_stop(struct email_oauth *oauth)
{
  oauth->stopped = true;
}

static int64_t now_ms(const struct email_oauth *oauth)
{
  return oauth->host->mono_ms(oauth->host);
}

/* --- The refresh token's newest form ------------------------------------------------------------------------------- */
static void hash_write(parley_text text, char hex[HASH_HEX + 1])
{
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int len = 0;

  EVP_Digest(text.at, text.len, hash, &len, EVP_sha256(), NULL);
  for (unsigned int i = 0; i < len && 2 * i < HASH_HEX; i++)
    snprintf(hex + 2 * (size_t)i, 3, "%02x", hash[i]);
}

static void refresh_keep(struct email_oauth *oauth, parley_text newest)
{
  char value[HASH_HEX + 1 + EMAIL_OAUTH_TEXT_MAX + 1];

  if (newest.len == 0 || newest.len > EMAIL_OAUTH_TEXT_MAX || parley_text_is(newest, oauth->refresh))
    return;
  snprintf(oauth->refresh, sizeof oauth->refresh, "%.*s", (int)newest.len, newest.at);
  hash_write(oauth->config->refresh_token, value);
  snprintf(value + HASH_HEX, sizeof value - HASH_HEX, " %s", oauth->refresh);
  oauth->host->state_put(oauth->host, PARLEY_LIT(STATE_KEY), parley_text_of(value), NULL, NULL);
  OPENSSL_cleanse(value, sizeof value);
}

static void ask(struct email_oauth *oauth);

static void refresh_looked(const parley_result *result, void *arg)
{
  struct email_oauth *oauth = arg;
  char hash[HASH_HEX + 1];
  parley_text kept = result->value;

  oauth->asking = false;
  if (oauth->stopped)
    return;
  if (result->status != PARLEY_OK && result->status != PARLEY_NOT_FOUND) {
    oauth->owner->failed(false, PARLEY_LIT("the channel's state cannot be read"), oauth->arg);
    return;
  }
  oauth->looked = true;
  hash_write(oauth->config->refresh_token, hash);
  if (result->status == PARLEY_OK && kept.len > HASH_HEX + 1 && kept.len <= HASH_HEX + 1 + EMAIL_OAUTH_TEXT_MAX &&
      memcmp(kept.at, hash, HASH_HEX) == 0)
    snprintf(oauth->refresh, sizeof oauth->refresh, "%.*s", (int)(kept.len - HASH_HEX - 1), kept.at + HASH_HEX + 1);
  ask(oauth);
}

/* --- The token endpoint ------------------------------------------------------------------------------------------- */
static void form_add(char *form, size_t *len, const char *name, parley_text value)
{
  static const char hex[] = "0123456789ABCDEF";

  if (value.len == 0)
    return;
  *len += (size_t)snprintf(form + *len, FORM_MAX - *len, "%s%s=", *len > 0 ? "&" : "", name);
  for (size_t i = 0; i < value.len && *len + 4 < FORM_MAX; i++) {
    unsigned char c = (unsigned char)value.at[i];

    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL) {
      form[(*len)++] = (char)c;
    } else {
      form[(*len)++] = '%';
      form[(*len)++] = hex[c >> 4];
      form[(*len)++] = hex[c & 15];
    }
  }
  form[*len] = '\0';
}

static void failed(struct email_oauth *oauth, bool for_good, const char *what, parley_text detail)
{
  char why[EMAIL_OAUTH_WHY_MAX];
  int len = snprintf(why, sizeof why, "%s%s%.*s", what, detail.len > 0 ? ": " : "", (int)(detail.len < 200 ? detail.len : 200),
                     detail.at);

  for (int i = 0; i < len && i < (int)sizeof why - 1; i++)
    if ((unsigned char)why[i] < ' ' || why[i] == 0x7f)
      why[i] = '?';
  if (oauth->token_len > 0 && now_ms(oauth) < oauth->good_until_ms) { /* the one we have will do: there is time */
    oauth->renew_at_ms = now_ms(oauth) + EMAIL_OAUTH_AGAIN_MS;
    return;
  }
  oauth->owner->failed(for_good, (parley_text){why, (size_t)len < sizeof why ? (size_t)len : sizeof why - 1}, oauth->arg);
}

static parley_text text_get(const json_t *object, const char *name)
{
  const json_t *value = json_object_get(object, name);

  return json_is_string(value) ? (parley_text){json_string_value(value), json_string_length(value)} : PARLEY_LIT("");
}

/* RFC 6749 section 5.2; the description is for people. */
static void refused(struct email_oauth *oauth, uint32_t code, const json_t *answer)
{
  char what[128];
  parley_text error = text_get(answer, "error");

  snprintf(what, sizeof what, "the provider gives no access token (%u %.*s)", code, (int)(error.len < 60 ? error.len : 60), error.at);
  failed(oauth, code < 500 && code != 429 && code != 408 && !parley_text_is(error, "temporarily_unavailable"), what,
         text_get(answer, "error_description"));
}

static void token_take(struct email_oauth *oauth, const json_t *answer)
{
  parley_text token = text_get(answer, "access_token");
  double life_s = json_number_value(json_object_get(answer, "expires_in"));
  int64_t life_ms = life_s >= 1 && life_s <= LIFE_MAX_S ? (int64_t)(life_s * 1000) : EMAIL_OAUTH_LIFE_MS;
  int64_t early_ms = life_ms / EARLY_SHARE < EMAIL_OAUTH_EARLY_MS ? life_ms / EARLY_SHARE : EMAIL_OAUTH_EARLY_MS;

  if (token.len == 0 || token.len > SASL_TOKEN_MAX) {
    failed(oauth, true, "the provider's answer holds no access token", PARLEY_LIT(""));
    return;
  }
  memcpy(oauth->token, token.at, token.len);
  oauth->token_len = token.len;
  oauth->generation++;
  oauth->good_until_ms = now_ms(oauth) + life_ms;
  oauth->renew_at_ms = oauth->good_until_ms - early_ms;
  refresh_keep(oauth, text_get(answer, "refresh_token"));
  oauth->owner->got(oauth->arg);
}

static void answered(const parley_http_response *response, void *arg)
{
  struct email_oauth *oauth = arg;
  json_t *answer;

  oauth->asking = false;
  if (oauth->stopped)
    return;
  if (response->status != PARLEY_OK) {
    failed(oauth, response->status == PARLEY_DENIED || response->status == PARLEY_INVALID, "oauth.token_url cannot be asked",
           response->reason);
    return;
  }
  answer = json_loadb(response->body.len > 0 ? response->body.at : "", response->body.len, 0, NULL);
  if (response->code == 200 && json_is_object(answer))
    token_take(oauth, answer);
  else
    refused(oauth, response->code, answer);
  json_decref(answer);
}

static void ask(struct email_oauth *oauth)
{
  static const parley_pair headers[] = {{PARLEY_LIT("content-type"), PARLEY_LIT("application/x-www-form-urlencoded")},
                                        {PARLEY_LIT("accept"), PARLEY_LIT("application/json")}};
  const struct email_oauth_config *config = oauth->config;
  char form[FORM_MAX];
  size_t len = 0;

  form_add(form, &len, "grant_type", PARLEY_LIT("refresh_token"));
  form_add(form, &len, "client_id", config->client_id);
  form_add(form, &len, "client_secret", config->client_secret);
  form_add(form, &len, "refresh_token", parley_text_of(oauth->refresh));
  form_add(form, &len, "scope", config->scope);
  oauth->asking = true;
  oauth->http->request(oauth->host,
                       PARLEY_REF(parley_http_request, .timeout_ms = EMAIL_OAUTH_TIMEOUT_MS, .response_max = EMAIL_OAUTH_ANSWER_MAX,
                                  .method = PARLEY_LIT("POST"), .url = config->token_url, .n_headers = 2, .headers = headers,
                                  .body = {form, len}),
                       answered, oauth);
  OPENSSL_cleanse(form, sizeof form);
}

static void want(struct email_oauth *oauth)
{
  if (oauth->asking || oauth->stopped)
    return;
  if (oauth->looked) {
    ask(oauth);
    return;
  }
  oauth->asking = true;
  oauth->host->state_get(oauth->host, PARLEY_LIT(STATE_KEY), refresh_looked, oauth);
}

/* --- For the channel ----------------------------------------------------------------------------------------------- */
bool email_oauth_ready(struct email_oauth *oauth)
{
  bool ready = oauth->token_len > 0 && now_ms(oauth) < oauth->good_until_ms;

  if (!ready || now_ms(oauth) >= oauth->renew_at_ms)
    want(oauth);
  return ready;
}

parley_text email_oauth_token(const struct email_oauth *oauth, uint32_t *ret_generation)
{
  *ret_generation = oauth->generation;
  return (parley_text){oauth->token, oauth->token_len};
}

void email_oauth_accepted(struct email_oauth *oauth)
{
  oauth->after_refusal = false;
}

bool email_oauth_refused(struct email_oauth *oauth, uint32_t generation)
{
  bool again = !oauth->after_refusal;

  if (generation != oauth->generation || oauth->token_len == 0)
    return true; /* it was an older one, and somebody has said so already */
  oauth->token_len = 0; /* the next who wants to log in gets a new one */
  oauth->after_refusal = true;
  if (again)
    want(oauth);
  return again;
}
