/* Cases: a provider that answers every request in one way, and what may be said of the message then. The table below is the one
 * of docs/plugins.md. `carried`: the request had the message in it; before that (a login, a token) a refusal is no verdict
 * on the message. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/deliver/deliver.h"
#include "inside.h"
#include <stdio.h>

#define BIT(outcome) PARLEY_BIT(PARLEY_OUTCOME_##outcome)
#define TAKEN (BIT(ACCEPTED) | BIT(DELIVERED))
#define LATER (BIT(RETRY) | BIT(THROTTLED) | BIT(CHANNEL_DOWN)) /* not out, and to be tried again */
#define RETRY_AFTER_MS 7000

struct row {
  struct kit_answer answer;
  uint32_t carried, before; /* outcomes that can be defended, by bits */
  bool doubtful;            /* it may have gone out: RETRY as well where the same id twice is sent once */
  bool hinted;              /* the provider said how long to wait */
  const char *what;
};

static void outcomes_name(uint32_t allowed, struct buf *to)
{
  for (uint32_t i = PARLEY_OUTCOME_ACCEPTED; i <= PARLEY_OUTCOME_UNKNOWN; i++)
    if ((allowed & PARLEY_BIT(i)) != 0)
      buf_printf(to, "%s%s", to->len > 0 ? ", " : "", kit_outcome_name(i));
}

static const char *promise_of(const struct row *row)
{
  return row->answer.status != PARLEY_OK ? PROMISE_SENT : PROMISE_ANSWER;
}

static void token_judge(struct kit *kit, const struct kit_host *host, const struct row *row, const struct kit_token *token)
{
  uint32_t allowed = token->carried ? row->carried : row->before;
  bool holds = token->result == PARLEY_OUTCOME_RETRY || token->result == PARLEY_OUTCOME_THROTTLED;
  struct buf names = BUF_INIT(256);

  if (row->doubtful && (host->caps->flags & PARLEY_RESEND_SAFE) != 0)
    allowed |= BIT(RETRY);
  outcomes_name(allowed, &names);
  if ((allowed & PARLEY_BIT(token->result)) == 0)
    kit_fail(kit, promise_of(row), "%s%s was settled %s; right is %s", row->what,
             token->carried ? "" : " (before the message itself was sent)", kit_outcome_name(token->result), names.at);
  if (row->answer.code != 401 && token->n_carried > token->n_parts) /* a login may have to be renewed */
    kit_fail(kit, PROMISE_RETRIES, "%s was met with the same message again: %u requests carried it", row->what, token->n_carried);
  if (row->hinted && holds && token->retry_ms < RETRY_AFTER_MS)
    kit_fail(kit, PROMISE_HINT, "%s was settled %s with retry_ms %u: sooner than the provider asked for", row->what,
             kit_outcome_name(token->result), token->retry_ms);
  buf_done(&names);
}

static void row_run(struct kit *kit, const struct row *row)
{
  struct kit_host *host;
  struct kit_token *token;

  kit->answer = row->answer;
  host = kit_up(kit);
  for (int i = 0; i < 3; i++) {
    token = kit_send_wait(host);
    if (kit->n_requests == 0)
      kit_skip(kit, "it makes no HTTP requests");
    if (token == NULL)
      break; /* the channel is down, as it may be */
    token_judge(kit, host, row, token);
  }
  kit_down(&host);
}

#define ANSWERED(number, ...) {.status = PARLEY_OK, .code = number, .sent = 1, .type = {"application/json", 16}, __VA_ARGS__}
#define BODY(text) .body = {text, sizeof(text) - 1}

void kit_provider_200(struct kit *kit)
{
  struct row row = {.answer = kit->answer, .carried = TAKEN | BIT(UNKNOWN), .before = UINT32_MAX, .what = "a 200 with the body {}"};

  if (kit->answer_sample != NULL) {
    row.carried = TAKEN;
    row.what = "the recorded answer of a provider that takes the message";
  }
  row_run(kit, &row);
}

void kit_provider_400(struct kit *kit)
{
  static const struct row row = {.answer = ANSWERED(400, BODY("{\"error\":\"bad request\"}")),
                                 .carried = BIT(REJECTED) | BIT(BAD_ADDRESS) | BIT(CHANNEL_DOWN),
                                 .before = BIT(REJECTED) | LATER, .what = "a 400"};

  row_run(kit, &row);
}

void kit_provider_401(struct kit *kit)
{
  static const struct row row = {.answer = ANSWERED(401, BODY("{\"error\":\"unauthorized\"}")),
                                 .carried = BIT(CHANNEL_DOWN) | BIT(REJECTED) | BIT(RETRY),
                                 .before = BIT(CHANNEL_DOWN) | BIT(REJECTED) | BIT(RETRY), .what = "a 401"};

  row_run(kit, &row);
}

void kit_provider_429(struct kit *kit)
{
  static const struct row row = {.answer = ANSWERED(429, .retry_ms = RETRY_AFTER_MS, BODY("{\"error\":\"slow down\"}")),
                                 .carried = BIT(THROTTLED) | BIT(RETRY), .before = LATER, .hinted = true,
                                 .what = "a 429 with Retry-After: 7"};

  row_run(kit, &row);
}

void kit_provider_500(struct kit *kit)
{
  static const struct row row = {.answer = ANSWERED(500, BODY("<html>oops</html>")), .carried = LATER | BIT(UNKNOWN),
                                 .before = LATER, .what = "a 500"};

  row_run(kit, &row);
}

void kit_provider_503(struct kit *kit)
{
  static const struct row row = {.answer = ANSWERED(503, .retry_ms = RETRY_AFTER_MS), .carried = LATER, .before = LATER,
                                 .hinted = true, .what = "a 503 with Retry-After: 7"};

  row_run(kit, &row);
}

void kit_provider_stall(struct kit *kit)
{
  static const struct row row = {.answer = {.status = PARLEY_TIMEOUT, .sent = 1, .stall = true}, .carried = BIT(UNKNOWN),
                                 .before = LATER | BIT(UNKNOWN), .doubtful = true, .what = "a request that was never answered"};

  row_run(kit, &row);
}

void kit_provider_half(struct kit *kit)
{
  static const struct row row = {.answer = {.status = PARLEY_CLOSED, .sent = 1, .reason = "closed_before_answer: the peer closed"},
                                 .carried = BIT(UNKNOWN), .before = LATER | BIT(UNKNOWN), .doubtful = true,
                                 .what = "an answer that broke off"};

  row_run(kit, &row);
}

void kit_provider_garbage(struct kit *kit)
{
  static const struct row no_http = {.answer = {.status = PARLEY_RETRY, .sent = 1, .reason = "not_http: not HTTP"},
                                     .carried = BIT(UNKNOWN), .before = LATER | BIT(UNKNOWN), .doubtful = true,
                                     .what = "an answer that is no HTTP (sent 1)"};
  static const struct row no_json = {.answer = ANSWERED(200, BODY("\xff\xfe\x00{[[[\"\\u12")), .carried = TAKEN | BIT(UNKNOWN),
                                     .before = UINT32_MAX, .what = "a 200 whose body says nothing"};

  row_run(kit, &no_http);
  row_run(kit, &no_json);
}

void kit_provider_refused(struct kit *kit)
{
  static const struct row refused = {.answer = {.status = PARLEY_RETRY, .reason = "connect_failed: connection refused"},
                                     .carried = LATER, .before = LATER, .what = "a connection that was refused (sent 0)"};
  static const struct row unknown = {.answer = {.status = PARLEY_NOT_FOUND, .reason = "name_not_found: no such host"},
                                     .carried = LATER, .before = LATER, .what = "a name that is not found (sent 0)"};
  static const struct row tls = {.answer = {.status = PARLEY_RETRY, .reason = "tls_expired: certificate has expired"},
                                 .carried = LATER, .before = LATER, .what = "a certificate that has expired (sent 0)"};

  row_run(kit, &refused);
  row_run(kit, &unknown);
  row_run(kit, &tls);
}

void kit_provider_denied(struct kit *kit)
{
  static const struct row row = {.answer = {.status = PARLEY_DENIED, .reason = "address_not_allowed: egress rules"},
                                 .carried = BIT(REJECTED) | LATER, .before = BIT(REJECTED) | LATER,
                                 .what = "an address that the operator's rules forbid (sent 0)"};

  row_run(kit, &row);
}

/* --- The same over a byte stream ---------------------------------------------------------------------------------- */

static void peer_run(struct kit *kit, enum kit_peer peer, uint32_t carried, uint32_t before, const char *what)
{
  const struct row row = {.carried = carried, .before = before, .doubtful = peer != KIT_PEER_TALK, .what = what};
  struct kit_host *host;

  if (!kit_uses(kit, PARLEY_STREAM))
    kit_skip(kit, "it needs no byte streams");
  kit->peer = peer;
  host = kit_up(kit);
  for (int i = 0; i < 3; i++) {
    struct kit_token *token = kit_send_wait(host);

    if (kit->n_connects == 0)
      kit_skip(kit, "it connects nowhere");
    if (token == NULL)
      break;
    token_judge(kit, host, &row, token);
    kit_tokens_sweep(host);
  }
  kit_down(&host);
}

void kit_peer_talk(struct kit *kit)
{
  if (kit->peer_talk.len == 0)
    kit_skip(kit, "nobody has said what its peer says: --peer FILE, or NAME.peer beside the .so");
  peer_run(kit, KIT_PEER_TALK, TAKEN, 0, "a message to a peer that takes it");
}

void kit_peer_refused(struct kit *kit)
{
  peer_run(kit, KIT_PEER_REFUSE, LATER, LATER, "a connection that was refused");
}

void kit_peer_closes(struct kit *kit)
{
  peer_run(kit, KIT_PEER_CLOSE, BIT(UNKNOWN), LATER, "a peer that closes at once");
}

void kit_peer_garbage(struct kit *kit)
{
  uint32_t refused = LATER | BIT(REJECTED) | BIT(BAD_ADDRESS);

  peer_run(kit, KIT_PEER_GARBAGE, BIT(UNKNOWN) | refused, refused, "a peer that talks nonsense");
}

void kit_peer_silent(struct kit *kit)
{
  peer_run(kit, KIT_PEER_SILENT, BIT(UNKNOWN), LATER, "a peer that says nothing");
}

void kit_peer_slow(struct kit *kit)
{
  uint32_t refused = LATER | BIT(REJECTED) | BIT(BAD_ADDRESS);

  peer_run(kit, KIT_PEER_SLOW, BIT(UNKNOWN) | refused, refused, "a peer that says a byte every 5 s");
}
