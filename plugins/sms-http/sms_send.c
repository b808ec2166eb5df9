/* Messages out: each piece of a message is one request, one after the other, so that they arrive in order. */
#include "sms_http.h"
#include <stdlib.h>

/* One token until it is settled; the message lives as long. */
struct sending {
  parley_channel *ch;
  uint64_t token;
  const parley_message *msg;
  uint32_t n_pieces, next; /* pieces: TEXT parts, or one without any; the one that is asked or to be asked next */
  uint32_t n_ids;
  parley_text ids[SMS_IDS_MAX]; /* of pieces when there are several, else all that the provider gave */
  struct copy *memory;
};

void sms_request_send(parley_channel *ch, const struct sms_request *request, uint64_t token, uint32_t flags, parley_http_done *done,
                      void *arg)
{
  bool save = (flags & PARLEY_HTTP_SAVE) != 0;

  ch->http->request(ch->host,
                    PARLEY_REF(parley_http_request, .method = request->method, .url = request->url, .token = token, .flags = flags,
                               .timeout_ms = save ? SMS_FETCH_MS : ch->settings.timeout_ms,
                               .response_max = save ? SMS_FETCH_BYTES_MAX : SMS_RESPONSE_BYTES_MAX, .headers = request->headers,
                               .n_headers = request->n_headers, .body = json_writer_text(&ch->body)),
                    done, arg);
}

static struct sending *sending_new(parley_channel *ch, uint64_t token) /* NULL: no memory */
{
  struct sending *sending = calloc(1, sizeof *sending);

  if (sending != NULL)
    sending->memory = copy_new();
  if (sending == NULL || sending->memory == NULL) {
    free(sending);
    return NULL;
  }
  sending->ch = ch;
  sending->token = token;
  return sending;
}

static void sending_free(struct sending *sending)
{
  copy_free(&sending->memory);
  free(sending);
}

static const char refused_words[] = "the provider refuses the credentials: look at account, user and secret";

static void sending_settle(struct sending *sending, uint32_t result, uint32_t retry_ms, parley_text code, parley_text detail)
{
  parley_channel *ch = sending->ch;

  ch->host->settle(ch->host, sending->token,
                   PARLEY_REF(parley_outcome, .result = result, .retry_ms = retry_ms, .code = code, .detail = detail,
                              .ids = sending->ids, .n_ids = sending->n_ids));
  sending_free(sending);
}

/* --- Pieces ------------------------------------------------------------------------------------------------------- */
/* The n-th TEXT part; they stand first, in the order of the text. NULL: there is none. */
static const parley_part *text_part(const parley_message *msg, uint32_t n)
{
  for (uint32_t i = 0; i < msg->n_parts; i++)
    if (msg->parts[i]->kind == PARLEY_PART_TEXT && n-- == 0)
      return msg->parts[i];
  return NULL;
}

static uint32_t parts_count(const parley_message *msg, uint32_t kind)
{
  uint32_t n = 0;

  for (uint32_t i = 0; i < msg->n_parts; i++)
    n += msg->parts[i]->kind == kind;
  return n;
}

static bool is_out(const parley_message *msg, uint32_t piece)
{
  return piece < msg->n_parts && msg->parts[piece]->provider_id.len > 0;
}

/* false: a file has no URL that the provider could fetch. */
static bool piece_make(const struct sending *sending, struct sms_piece *to)
{
  const parley_message *msg = sending->msg;
  const parley_part *text = text_part(msg, sending->next);
  const struct sms_sender *from = sms_sender_for(&sending->ch->settings.sms, msg->to->value);
  int64_t now_ms = sending->ch->host->now_ms(sending->ch->host), left_ms = msg->expires_ms - now_ms;

  *to = (struct sms_piece){.to = msg->to->value,
                           .from = {from->text, from->len},
                           .id = msg->id,
                           .now_ms = now_ms,
                           .callback = parley_text_of(sending->ch->callback)};
  if (text != NULL) {
    to->text = text->text;
    to->unicode = text->unit != PARLEY_UNIT_GSM7;
  }
  if (msg->expires_ms > 0)
    to->expires_s = left_ms < 1000 ? 1 : left_ms / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(left_ms / 1000);
  for (uint32_t i = 0; i < msg->n_parts && sending->next == 0; i++) {
    if (msg->parts[i]->kind != PARLEY_PART_MEDIA)
      continue;
    if (msg->parts[i]->url.len == 0 || to->n_media == SMS_MEDIA_MAX)
      return false;
    to->media[to->n_media++] = msg->parts[i]->url;
  }
  return true;
}

static void piece_answered(const parley_http_response *response, void *arg);

static void sending_next(struct sending *sending)
{
  parley_channel *ch = sending->ch;
  struct sms_request request = {.memory = sending->memory, .body = &ch->body};
  struct sms_piece piece;

  while (sending->next < sending->n_pieces && is_out(sending->msg, sending->next)) {
    sending->ids[sending->next] = sending->msg->parts[sending->next]->provider_id;
    sending->next++;
  }
  if (sending->next == sending->n_pieces) {
    sending_settle(sending, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT(""), PARLEY_LIT(""));
    return;
  }
  if (!piece_make(sending, &piece)) {
    sending_settle(sending, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("media_unavailable"),
                   PARLEY_LIT("a file has no URL, or there are too many"));
    return;
  }
  if (piece.from.len == 0 && ch->settings.provider->needs_from && ch->settings.account.messaging_service.len == 0) {
    sending_settle(sending, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("no_sender"),
                   PARLEY_LIT("no prefix of senders fits this number, and there is no from"));
    return;
  }
  json_writer_clear(&ch->body);
  if (!ch->settings.provider->request(ch->settings.self, &piece, &request)) {
    sending_settle(sending, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no_memory"), PARLEY_LIT("out of memory"));
    return;
  }
  sms_request_send(ch, &request, sending->token, 0, piece_answered, sending);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */
/* One that cannot be read has a code all the same. */
static bool has_answered(const parley_http_response *response)
{
  return response->status == PARLEY_OK || (response->status == PARLEY_INVALID && response->code >= 100);
}

/* No answer. acted: the provider may have done what it was asked. */
static void silence_settle(struct sending *sending, const parley_http_response *response, bool acted)
{
  bool denied = response->status == PARLEY_DENIED;

  sending_settle(sending, denied ? PARLEY_OUTCOME_CHANNEL_DOWN : acted ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_RETRY,
                 response->retry_ms, denied ? PARLEY_LIT("address_not_allowed") : PARLEY_LIT("no_answer"), response->reason);
}

/* Of a message in several pieces, one that went out may not go again: the host keeps its id. */
static void ids_take(struct sending *sending, const struct sms_sent *sent)
{
  if (sending->n_pieces > 1) {
    if (sent->n_ids > 0)
      sending->ids[sending->next] = sent->ids[0];
    return;
  }
  sending->n_ids = sent->n_ids;
  memcpy(sending->ids, sent->ids, sent->n_ids * sizeof *sent->ids);
}

/* What the answer says; a refused login is often told by its code alone. */
static parley_text detail_of(const struct sms_sent *sent, const parley_http_response *response)
{
  if (sent->detail[0] == '\0' && (response->code == 401 || response->code == 403))
    return parley_text_of(refused_words);
  return parley_text_of(sent->detail);
}

static void piece_answered(const parley_http_response *response, void *arg)
{
  struct sending *sending = arg;
  parley_channel *ch = sending->ch;
  struct sms_sent sent = {.memory = sending->memory};

  if (ch->stopped) {
    sending_free(sending);
    return;
  }
  if (!has_answered(response)) {
    silence_settle(sending, response, response->sent != 0);
    return;
  }
  ch->settings.provider->answer(ch->settings.self, response, &sent);
  ids_take(sending, &sent);
  if (sent.result == PARLEY_OUTCOME_ACCEPTED && ++sending->next < sending->n_pieces) {
    sending_next(sending);
    return;
  }
  sending_settle(sending, sent.result, sent.retry_ms, parley_text_of(sent.code), detail_of(&sent, response));
}

parley_status sms_submit(parley_channel *ch, uint64_t token, const parley_message *msg)
{
  struct sending *sending = sending_new(ch, token);
  uint32_t n_texts = parts_count(msg, PARLEY_PART_TEXT);

  if (sending == NULL)
    return PARLEY_BUSY;
  sending->msg = msg;
  sending->n_pieces = n_texts > 0 ? n_texts : 1;
  if (sending->n_pieces > SMS_IDS_MAX || msg->to == NULL) {
    sending_settle(sending, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("not_sendable"), PARLEY_LIT("too many parts, or no address"));
    return PARLEY_OK;
  }
  sending->n_ids = sending->n_pieces > 1 ? sending->n_pieces : 0;
  sending_next(sending);
  return PARLEY_OK;
}

/* --- Probe -------------------------------------------------------------------------------------------------------- */
static void probe_settle(struct sending *sending, const parley_http_response *response)
{
  const struct sms_settings *settings = &sending->ch->settings;

  if (response->code == 401 || response->code == 403)
    sending_settle(sending, PARLEY_OUTCOME_CHANNEL_DOWN, 0, PARLEY_LIT("credentials_refused"),
                   parley_text_of(refused_words));
  else if (response->code == 404)
    sending_settle(sending, PARLEY_OUTCOME_CHANNEL_DOWN, 0, PARLEY_LIT("account_not_found"),
                   PARLEY_LIT("the provider knows no such account: look at account and base_url"));
  else if (response->code == 429)
    sending_settle(sending, PARLEY_OUTCOME_THROTTLED, response->retry_ms, PARLEY_LIT("429"), PARLEY_LIT("the provider asks to wait"));
  else if (response->code >= 200 && response->code < 300)
    sending_settle(sending, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT(""),
                   settings->provider->needs_from && settings->sms.from.kind == SMS_SENDER_NONE &&
                           settings->account.messaging_service.len == 0
                       ? PARLEY_LIT("the provider takes the credentials; without from, only numbers that senders fit are sent to")
                       : PARLEY_LIT("the provider takes the credentials"));
  else
    sending_settle(sending, PARLEY_OUTCOME_RETRY, response->retry_ms, PARLEY_LIT("unexpected_answer"),
                   PARLEY_LIT("the provider answers, but not as expected: look at base_url"));
}

static void probe_answered(const parley_http_response *response, void *arg)
{
  struct sending *sending = arg;

  if (sending->ch->stopped)
    sending_free(sending);
  else if (has_answered(response))
    probe_settle(sending, response);
  else
    silence_settle(sending, response, false); /* a look changes nothing there */
}

parley_status sms_probe(parley_channel *ch, uint64_t token)
{
  struct sending *sending = sending_new(ch, token);
  struct sms_request request = {.body = &ch->body};

  if (sending == NULL)
    return PARLEY_BUSY;
  request.memory = sending->memory;
  json_writer_clear(&ch->body);
  if (!ch->settings.provider->probe(ch->settings.self, &request))
    sending_settle(sending, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT(""),
                   PARLEY_LIT("nothing was asked: the description says no check, so the first message shows"));
  else
    sms_request_send(ch, &request, token, 0, probe_answered, sending);
  return PARLEY_OK;
}
