/* Messages out: the request that a description makes of a message, and what it makes of the answer. */
#include "gateway.h"
#include <stdio.h>
#include <stdlib.h>

enum { MS_A_SECOND = 1000, RETRY_S_MAX = 86400, PRUNE_DEPTH_MAX = 32 };

/* --- Out ---------------------------------------------------------------------------------------------------------- */
struct filling { /* what names in a template of a request mean */
  const struct gateway *gateway;
  const struct sms_piece *piece;
  parley_text callback, media;
  char expires[16];
};

static bool sent_value(parley_text name, parley_text *ret, const void *arg)
{
  const struct filling *filling = arg;
  const struct sms_piece *piece = filling->piece;
  const struct sms_account *account = filling->gateway->account;
  const struct {
    const char *name;
    parley_text value;
  } values[] = {{"to", piece->to},
                {"to_digits", sms_number_digits(piece->to)},
                {"from", piece->from},
                {"from_digits", sms_number_digits(piece->from)},
                {"text", piece->text},
                {"id", piece->id},
                {"callback", filling->callback},
                {"account", account->account},
                {"user", account->user},
                {"alphabet", piece->unicode ? filling->gateway->is->unicode : filling->gateway->is->gsm7},
                {"media", filling->media},
                {"expires_s", parley_text_of(filling->expires)},
                {"kind", piece->n_media > 0 ? PARLEY_LIT("mms") : PARLEY_LIT("sms")}};

  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    if (parley_text_is(name, values[i].name)) {
      *ret = values[i].value;
      return true;
    }
  return false;
}

/* With what shows that a receipt is the gateway's, where that stands in the URL. */
static parley_text callback_of(const struct gateway *gateway, parley_text callback, struct copy *memory)
{
  const struct gateway_signature *signature = &gateway->is->signature;
  const char *host = callback.len > 8 ? memchr(callback.at, '/', 8) : NULL;
  struct json_writer made = {0};
  parley_text kept = callback, secret = gateway->account->callback_secret;

  if (callback.len == 0 || host == NULL || !gateway->is->has_signature)
    return callback;
  if (signature->kind == GATEWAY_SIGN_TOKEN && signature->query[0] != '\0') {
    json_write_raw(&made, callback);
    json_write_lit(&made, "?");
    sms_form_write(&made, signature->query, secret);
    kept = copy_text(memory, json_writer_text(&made));
  } else if (signature->kind == GATEWAY_SIGN_BASIC) {
    const char *colon = memchr(secret.at, ':', secret.len);
    size_t before = (size_t)(host + 2 - callback.at), user = (size_t)(colon - secret.at);

    json_write_raw(&made, (parley_text){callback.at, before});
    sms_percent_write(&made, (parley_text){secret.at, user});
    json_write_lit(&made, ":");
    sms_percent_write(&made, (parley_text){colon + 1, secret.len - user - 1});
    json_write_lit(&made, "@");
    json_write_raw(&made, (parley_text){callback.at + before, callback.len - before});
    kept = copy_text(memory, json_writer_text(&made));
  }
  json_writer_done(&made);
  return kept;
}

static bool field_write(const struct filling *filling, const struct gateway_pair *pair, struct json_writer *to)
{
  struct json_writer value = {0};
  bool good = gateway_template_write(&pair->value, sent_value, filling, NULL, 0, &value);

  if (good && value.len > 0)
    sms_form_write(to, pair->name, json_writer_text(&value));
  good &= !value.failed;
  json_writer_done(&value);
  return good;
}

static bool fields_write(const struct filling *filling, const struct gateway_pairs *pairs, struct json_writer *to)
{
  bool good = true;

  for (uint32_t i = 0; i < pairs->n && good; i++) {
    if (!gateway_template_is(&pairs->pairs[i].value, "media")) {
      good = field_write(filling, &pairs->pairs[i], to);
      continue;
    }
    for (uint32_t j = 0; j < filling->piece->n_media; j++) /* a field for each file */
      sms_form_write(to, pairs->pairs[i].name, filling->piece->media[j]);
  }
  return good;
}

/* Drops texts that came out empty, and what is empty without them. true: nothing is left of it. */
static bool prune(json_t *value, int depth)
{
  const char *name;
  json_t *item;
  void *next;

  if (json_is_string(value))
    return json_string_length(value) == 0;
  if (depth > PRUNE_DEPTH_MAX || (!json_is_object(value) && !json_is_array(value)))
    return false;
  if (json_is_object(value))
    json_object_foreach_safe(value, next, name, item) if (prune(item, depth + 1)) json_object_del(value, name);
  for (size_t i = json_array_size(value); i > 0; i--)
    if (prune(json_array_get(value, i - 1), depth + 1))
      json_array_remove(value, i - 1);
  return json_is_object(value) ? json_object_size(value) == 0 : json_array_size(value) == 0;
}

static bool json_body_write(const struct filling *filling, const struct gateway_template *template, struct json_writer *to)
{
  struct json_writer made = {0};
  json_t *root = NULL;
  char *text = NULL;

  if (gateway_template_write(template, sent_value, filling, filling->piece->media, filling->piece->n_media, &made) && !made.failed)
    root = json_loadb(made.at, made.len, 0, NULL);
  if (root != NULL) {
    prune(root, 0);
    text = json_dumps(root, JSON_COMPACT);
  }
  if (text != NULL)
    json_write_lit(to, text);
  free(text);
  json_decref(root);
  json_writer_done(&made);
  return text != NULL && !to->failed;
}

static void auth_add(const struct gateway *gateway, struct sms_request *to, struct json_writer *url)
{
  const struct gateway_send *send = &gateway->is->send;
  const parley_text bearer[] = {PARLEY_LIT("Bearer "), gateway->account->secret},
                    own[] = {send->auth_prefix, gateway->account->secret};

  switch (send->auth) {
  case GATEWAY_AUTH_NONE:
    break;
  case GATEWAY_AUTH_BASIC:
    sms_basic_auth_add(to, gateway->account->user, gateway->account->secret);
    break;
  case GATEWAY_AUTH_BEARER:
    sms_header_add(to, "authorization", sms_join(to->memory, bearer, 2));
    break;
  case GATEWAY_AUTH_HEADER:
    sms_header_add(to, send->auth_name, sms_join(to->memory, own, 2));
    break;
  case GATEWAY_AUTH_QUERY:
    if (memchr(url->at, '?', url->len) == NULL)
      json_write_lit(url, "?");
    sms_form_write(url, send->auth_name, gateway->account->secret);
    break;
  }
}

/* Another server (base_url) keeps the path that the description has. */
static void url_write(const struct gateway *gateway, const struct gateway_template *template, const struct filling *filling,
                      struct json_writer *to)
{
  struct json_writer made = {0};
  const char *host, *path;

  gateway_template_write(template, sent_value, filling, NULL, 0, &made);
  host = made.len > 8 ? memchr(made.at, '/', 8) : NULL;
  path = host != NULL ? memchr(host + 2, '/', made.len - (size_t)(host + 2 - made.at)) : NULL;
  if (gateway->account->base_url.len > 0) {
    json_write_raw(to, gateway->account->base_url);
    if (path != NULL)
      json_write_raw(to, (parley_text){path, made.len - (size_t)(path - made.at)});
  } else {
    json_write_raw(to, json_writer_text(&made));
  }
  to->failed |= made.failed;
  json_writer_done(&made);
}

static bool headers_add(const struct filling *filling, const struct gateway_pairs *headers, struct sms_request *to)
{
  bool good = true;

  for (uint32_t i = 0; i < headers->n && good; i++) {
    struct json_writer value = {0};

    good = gateway_template_write(&headers->pairs[i].value, sent_value, filling, NULL, 0, &value) && !value.failed;
    if (good && value.len > 0)
      sms_header_add(to, headers->pairs[i].name, json_writer_text(&value));
    json_writer_done(&value);
  }
  return good;
}

static void filling_make(const struct gateway *gateway, const struct sms_piece *piece, struct copy *memory, struct filling *to)
{
  *to = (struct filling){.gateway = gateway, .piece = piece, .callback = callback_of(gateway, piece->callback, memory)};
  if (piece->n_media > 0)
    to->media = piece->media[0];
  if (piece->expires_s > 0)
    snprintf(to->expires, sizeof to->expires, "%u", (unsigned)piece->expires_s);
}

bool gateway_request(const void *self, const struct sms_piece *piece, struct sms_request *to)
{
  const struct gateway *gateway = self;
  const struct gateway_send *send = &gateway->is->send;
  struct json_writer url = {0};
  struct filling filling;
  bool good;

  filling_make(gateway, piece, to->memory, &filling);
  to->method = send->method;
  url_write(gateway, &send->url, &filling, &url);
  if (send->query.n > 0 && !url.failed && memchr(url.at, '?', url.len) == NULL)
    json_write_lit(&url, "?");
  good = fields_write(&filling, &send->query, &url) && headers_add(&filling, &send->headers, to);
  auth_add(gateway, to, &url);
  if (send->json.n_pieces > 0) {
    sms_header_add(to, "content-type", PARLEY_LIT("application/json"));
    good = good && json_body_write(&filling, &send->json, to->body);
  } else if (send->form.n > 0) {
    sms_header_add(to, "content-type", PARLEY_LIT("application/x-www-form-urlencoded"));
    good = good && fields_write(&filling, &send->form, to->body);
  }
  to->url = copy_text(to->memory, json_writer_text(&url));
  good &= !url.failed && !to->body->failed && !copy_failed(to->memory);
  json_writer_done(&url);
  return good;
}

bool gateway_probe(const void *self, struct sms_request *to)
{
  const struct gateway *gateway = self;
  struct json_writer url = {0};
  const struct sms_piece none = {.n_media = 0};
  struct filling filling;

  if (!gateway->is->has_check)
    return false;
  filling_make(gateway, &none, to->memory, &filling);
  to->method = PARLEY_LIT("GET");
  url_write(gateway, &gateway->is->check_url, &filling, &url);
  auth_add(gateway, to, &url);
  to->url = copy_text(to->memory, json_writer_text(&url));
  json_writer_done(&url);
  return true;
}

/* --- What an answer means ----------------------------------------------------------------------------------------- */
static uint32_t http_result(const struct gateway_rows *rows, uint32_t code)
{
  char exact[4], class[4];
  uint32_t found;

  if (code < 100 || code > 599)
    return PARLEY_OUTCOME_UNKNOWN;
  snprintf(exact, sizeof exact, "%u", (unsigned)(code % 1000));
  snprintf(class, sizeof class, "%cxx", exact[0]);
  found = gateway_row_find(rows, parley_text_of(exact));
  if (found == 0)
    found = gateway_row_find(rows, parley_text_of(class));
  return found != 0 ? found : sms_result_of_code(code);
}

/* Of an item of `each`, else of the whole answer. */
static parley_text at(const struct gateway_pointer *pointer, json_t *item, json_t *root, struct copy *memory)
{
  parley_text text = pointer->given ? sms_pointer_text(item, pointer->text, memory) : PARLEY_LIT("");

  return text.len == 0 && pointer->given && item != root ? sms_pointer_text(root, pointer->text, memory) : text;
}

static uint32_t item_result(const struct gateway_answer *answer, uint32_t by_http, json_t *item, json_t *root, struct copy *memory)
{
  parley_text code = at(&answer->code, item, root, memory), outcome = at(&answer->outcome, item, root, memory);
  uint32_t by_code = code.len > 0 ? gateway_row_find(&answer->codes, code) : 0;

  if (answer->outcome.given && outcome.len > 0) {
    uint32_t by_outcome = gateway_row_find(&answer->outcomes, outcome);

    if (by_outcome == PARLEY_OUTCOME_ACCEPTED || by_code == 0)
      return by_outcome != 0 ? by_outcome : by_http == PARLEY_OUTCOME_ACCEPTED ? PARLEY_OUTCOME_REJECTED : by_http;
  }
  return by_code != 0 ? by_code : by_http;
}

static void retry_read(const struct gateway_answer *answer, json_t *root, struct sms_sent *to)
{
  parley_text text = at(&answer->retry_after, root, root, to->memory);
  uint32_t seconds = 0;

  for (size_t i = 0; i < text.len && text.at[i] >= '0' && text.at[i] <= '9' && seconds < RETRY_S_MAX; i++)
    seconds = seconds * 10 + (uint32_t)(text.at[i] - '0');
  if (to->retry_ms == 0 && seconds > 0)
    to->retry_ms = (seconds < RETRY_S_MAX ? seconds : RETRY_S_MAX) * MS_A_SECOND;
}

static void item_read(const struct gateway_answer *answer, uint32_t by_http, json_t *item, json_t *root, struct sms_sent *to,
                      uint32_t *n_out)
{
  uint32_t result = item_result(answer, by_http, item, root, to->memory);
  parley_text id = at(&answer->id, item, item, to->memory), code = at(&answer->code, item, root, to->memory);

  if (result == PARLEY_OUTCOME_ACCEPTED) {
    (*n_out)++;
    if (id.len <= SMS_ID_BYTES_MAX)
      to->ids[to->n_ids] = copy_text(to->memory, id);
  } else if (to->result == PARLEY_OUTCOME_ACCEPTED) {
    sms_sent_say(to, result, code.len > 0 ? code : parley_text_of(to->code), at(&answer->detail, item, root, to->memory));
  }
  to->n_ids++;
}

void gateway_answer(const void *self, const parley_http_response *response, struct sms_sent *to)
{
  const struct gateway *gateway = self;
  const struct gateway_answer *answer = &gateway->is->answer;
  json_t *root = json_loadb(response->body.at, response->body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
  json_t *list = answer->each.given ? sms_pointer_get(root, answer->each.text) : NULL;
  uint32_t by_http = http_result(&answer->http, response->code), n_out = 0;
  size_t n = json_array_size(list) < SMS_IDS_MAX ? json_array_size(list) : SMS_IDS_MAX;
  char code[16], detail[64];

  snprintf(code, sizeof code, "%u", response->code);
  sms_sent_say(to, PARLEY_OUTCOME_ACCEPTED, parley_text_of(code), PARLEY_LIT(""));
  to->retry_ms = response->retry_ms;
  for (size_t i = 0; i < n; i++)
    item_read(answer, by_http, json_array_get(list, i), root, to, &n_out);
  if (n == 0)
    item_read(answer, by_http, root, root, to, &n_out);
  retry_read(answer, root, to);
  if (n_out > 0 && n_out < to->n_ids) { /* again would send twice what is out */
    snprintf(detail, sizeof detail, "%u of %u segments went out", (unsigned)n_out, (unsigned)to->n_ids);
    sms_sent_say(to, PARLEY_OUTCOME_REJECTED, parley_text_of(to->code), parley_text_of(detail));
  }
  if (n_out == 0 || (to->n_ids == 1 && to->ids[0].len == 0))
    to->n_ids = 0;
  json_decref(root);
}
