/* Cases: provider callbacks. Without a recorded one the kit can only knock; with one it also forges, repeats and delays it. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdio.h>
#include <string.h>

#define KNOCKS 60
#define COMMIT_MS 10000 /* how long the host takes to commit here */

static void calls_need(struct kit *kit)
{
  if (!kit_takes_calls(kit))
    kit_skip(kit, "it takes no callbacks (offers no %s)", PARLEY_HTTP_IN);
}

static const struct kit_sample *sample_need(struct kit *kit)
{
  calls_need(kit);
  if (kit->inbound_sample == NULL)
    kit_skip(kit, "there is no recorded callback: --inbound FILE, or NAME.inbound.http beside the .so");
  if (kit->inbound_sample->date_ms != 0) /* signatures have a time */
    kit->env.now_ms = kit->inbound_sample->date_ms;
  return kit->inbound_sample;
}

/* --- Knocking ----------------------------------------------------------------------------------------------------- */

static parley_text bytes_draw(struct kit *kit, size_t len)
{
  char *at = arena_alloc(kit->arena, len + 1);

  for (size_t i = 0; i < len; i++)
    at[i] = (char)kit_below(kit, 256);
  return (parley_text){at, len};
}

static void header_add(struct kit_sample *sample, const char *name, parley_text value)
{
  sample->headers[sample->n_headers++] = (parley_pair){parley_text_of(name), value};
}

static parley_text body_draw(struct kit *kit)
{
  static const char *const bodies[] = {
      "", "{}", "[]", "null", "{\"type\":\"message\",\"id\":\"kit-1\",\"from\":{\"email\":\"eva@kit.example\"},\"text\":\"hi\"}",
      "From=%2B34600111222&To=%2B34600333444&Body=hi&MessageSid=SM1", "<xml><a>1</a></xml>", "{\"entry\":[{\"changes\":[{}]}]}",
      "{\"update_id\":1,\"message\":{\"message_id\":1,\"chat\":{\"id\":1},\"text\":\"hi\"}}", "{\"a\":", "[[[[[[[[[[[[[[[["};
  uint32_t n = kit_below(kit, COUNT_OF(bodies) + 2);

  if (n < COUNT_OF(bodies))
    return parley_text_of(bodies[n]);
  return bytes_draw(kit, n == COUNT_OF(bodies) ? 300 : 100000);
}

/* What strangers send: some with headers that look like a signature. */
static void knock_draw(struct kit *kit, struct kit_sample *sample)
{
  static const char *const targets[] = {"/in/kit", "/in/kit", "/in/kit", "/in/kit/", "/in/kit/a/b?c=d", "/in/kit/%2e%2e/%00",
                                        "/in/kit?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1"};
  static const char *const methods[] = {"POST", "POST", "POST", "POST", "GET", "PUT", "HEAD", "DELETE", "PATCH"};
  static const char *const signatures[] = {"webhook-signature", "x-hub-signature-256", "x-twilio-signature", "x-line-signature",
                                           "x-telegram-bot-api-secret-token", "authorization", "x-signature", "x-hub-signature"};
  static const char *const values[] = {"v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=", "sha256=00", "Bearer x", "", "x",
                                       "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};

  *sample = (struct kit_sample){.method = parley_text_of(methods[kit_below(kit, COUNT_OF(methods))]),
                                .target = parley_text_of(targets[kit_below(kit, COUNT_OF(targets))]), .body = body_draw(kit)};
  header_add(sample, "host", PARLEY_LIT("parley.example"));
  header_add(sample, "content-type", kit_below(kit, 2) == 0 ? PARLEY_LIT("application/json")
                                                            : PARLEY_LIT("application/x-www-form-urlencoded"));
  if (kit_below(kit, 4) == 0)
    return; /* no signature at all */
  header_add(sample, "webhook-id", PARLEY_LIT("msg_kit"));
  header_add(sample, "webhook-timestamp", PARLEY_LIT("1700000000"));
  for (size_t i = 0; i < COUNT_OF(signatures); i++)
    if (kit_below(kit, 2) == 0)
      header_add(sample, signatures[i], parley_text_of(values[kit_below(kit, COUNT_OF(values))]));
}

static void knock_judge(struct kit *kit, const struct kit_sample *sample, const struct kit_call *call)
{
  if (kit->n_items > 0)
    kit_fail(kit, PROMISE_VERIFY, "a %.*s that nobody signed reached the host: %s", TEXT_ARG(sample->method), kit->last_key);
  if (parley_text_is(sample->method, "POST") && (call->code < 400 || call->code > 499))
    kit_fail(kit, PROMISE_VERIFY, "a POST that nobody signed (body: \"%.*s\") was answered %u; right is a 4xx",
             TEXT_ARG(text_sub(sample->body, 0, 60)), call->code);
}

void kit_in_garbage(struct kit *kit)
{
  struct kit_host *host;

  calls_need(kit);
  host = kit_up(kit);
  for (int i = 0; i < KNOCKS; i++) {
    struct kit_sample sample;

    knock_draw(kit, &sample);
    snprintf(kit->note->step, sizeof kit->note->step, "callback %d of %d", i + 1, KNOCKS);
    knock_judge(kit, &sample, kit_callback(host, &sample, true));
  }
  kit_down(&host);
}

/* --- A recorded one ----------------------------------------------------------------------------------------------- */

static bool good(uint32_t code)
{
  return code >= 200 && code < 300;
}

static struct kit_host *sample_up(struct kit *kit, const struct kit_sample **ret)
{
  *ret = sample_need(kit);
  return kit_up(kit);
}

void kit_in_sample(struct kit *kit)
{
  const struct kit_sample *sample;
  struct kit_host *host = sample_up(kit, &sample);
  struct kit_call *call = kit_callback(host, sample, true);

  if (!good(call->code))
    kit_fail(kit, PROMISE_COMMIT, "the recorded callback was answered %u (is it signed with the example's secret, at its Date?)",
             call->code);
  if (kit->n_items == 0)
    kit_fail(kit, PROMISE_COMMIT, "the recorded callback was answered %u, and nothing reached the host", call->code);
  kit_down(&host);
}

static bool header_is_plain(parley_text name)
{
  static const char *const plain[] = {"host", "content-type", "content-length", "user-agent", "accept", "accept-encoding", "date",
                                      "connection"};

  for (size_t i = 0; i < COUNT_OF(plain); i++)
    if (parley_text_is(name, plain[i]))
      return true;
  return false;
}

/* The last letter or digit becomes another one of its kind. */
static parley_text value_change(struct kit *kit, parley_text value)
{
  parley_text kept = arena_text(kit->arena, value);
  char *at = (char *)(uintptr_t)kept.at;
  size_t i = kept.len;

  while (i > 0 && (at[i - 1] == '=' || at[i - 1] == ' '))
    i--;
  if (i > 1)
    i--; /* of base64 the last one may have bits that do not count */
  if (i > 0)
    at[i - 1] = at[i - 1] == 'a' ? 'b' : at[i - 1] == '1' ? '2' : at[i - 1] >= '0' && at[i - 1] <= '9' ? '1' : 'a';
  return kept;
}

static size_t forge(struct kit *kit, const struct kit_sample *from, bool drop, struct kit_sample *to)
{
  size_t changed = 0;

  *to = *from;
  to->n_headers = 0;
  for (size_t i = 0; i < from->n_headers; i++) {
    parley_pair pair = from->headers[i];

    if (!header_is_plain(pair.name)) {
      changed++;
      if (drop)
        continue;
      pair.value = value_change(kit, pair.value);
    }
    to->headers[to->n_headers++] = pair;
  }
  if (changed == 0 && text_find(to->target, '?') < to->target.len) {
    to->target = drop ? text_sub(to->target, 0, text_find(to->target, '?')) : value_change(kit, to->target);
    changed++;
  }
  return changed;
}

static void forged_try(struct kit *kit, struct kit_host *host, const struct kit_sample *sample, const char *how)
{
  const struct kit_call *call = kit_callback(host, sample, true);

  if (kit->n_items > 0)
    kit_fail(kit, PROMISE_VERIFY, "the recorded callback %s reached the host: %s", how, kit->last_key);
  if (call->code < 400 || call->code > 499)
    kit_fail(kit, PROMISE_VERIFY, "the recorded callback %s was answered %u; right is a 4xx", how, call->code);
}

void kit_in_forged(struct kit *kit)
{
  const struct kit_sample *sample;
  struct kit_host *host = sample_up(kit, &sample);
  struct kit_sample forged;

  if (forge(kit, sample, false, &forged) == 0)
    kit_skip(kit, "the recorded callback has nothing that could be a signature");
  forged_try(kit, host, &forged, "with its signature changed");
  forge(kit, sample, true, &forged);
  forged_try(kit, host, &forged, "without its signature");
  kit_down(&host);
}

void kit_in_replay(struct kit *kit)
{
  const struct kit_sample *sample;
  struct kit_host *host = sample_up(kit, &sample);
  char first[sizeof kit->last_key];
  uint64_t n;

  kit_callback(host, sample, true);
  memcpy(first, kit->last_key, sizeof first);
  n = kit->n_items;
  if (n == 0)
    kit_skip(kit, "the recorded callback is not taken: see in.sample");
  kit_step(kit, 1000);
  kit_callback(host, sample, true);
  if (kit->n_items == n)
    kit_skip(kit, "it keeps repeats from the host itself");
  if (strcmp(first, kit->last_key) != 0)
    kit_fail(kit, PROMISE_EVENT_ID, "the same callback twice was %s, then %s: stored twice", first, kit->last_key);
  kit_down(&host);
}

void kit_in_commit(struct kit *kit)
{
  const struct kit_sample *sample;
  struct kit_host *host = sample_up(kit, &sample);
  struct kit_call *call;

  kit->says.held = true;
  call = kit_callback(host, sample, false);
  kit_step(kit, COMMIT_MS);
  if (good(call->code))
    kit_fail(kit, PROMISE_COMMIT, "a callback was answered %u before the host's done() had come", call->code);
  if (kit->n_items == 0)
    kit_skip(kit, "the recorded callback is not taken: see in.sample");
  for (uint64_t n = kit->n_items; n > 1; n--) { /* several in one callback: it is committed when the last one is */
    kit_item_answer_first(kit, PARLEY_OK);
    if (good(call->code))
      kit_fail(kit, PROMISE_COMMIT, "a callback was answered %u while %llu of the things in it were not committed", call->code,
               (unsigned long long)n - 1);
  }
  kit->says.held = false;
  kit_items_answer(kit, PARLEY_OK);
  kit_call_wait(host, call);
  if (!good(call->code))
    kit_fail(kit, PROMISE_COMMIT, "a callback was answered %u, though the host had committed it after %d s", call->code,
             COMMIT_MS / 1000);
  kit_down(&host);
}

void kit_in_busy(struct kit *kit)
{
  static const parley_status again[] = {PARLEY_BUSY, PARLEY_RETRY, PARLEY_CANCELLED, PARLEY_TIMEOUT};
  const struct kit_sample *sample;
  struct kit_host *host = sample_up(kit, &sample);

  for (size_t i = 0; i < COUNT_OF(again); i++) {
    struct kit_call *call;

    kit->says.held = true;
    call = kit_callback(host, sample, false);
    if (kit->n_items == 0)
      kit_skip(kit, "the recorded callback is not taken: see in.sample");
    kit_item_answer_first(kit, again[i]); /* of several in one callback only one: that is enough */
    kit_items_answer(kit, PARLEY_OK);
    kit_call_wait(host, call);
    if (call->code < 500 && call->code != 429 && call->code != 425 && call->code != 408)
      kit_fail(kit, PROMISE_BUSY, "done() said %.*s, and the callback was answered %u: the provider will not come again",
               TEXT_ARG(kit_status_name(again[i])), call->code);
  }
  kit_down(&host);
}

void kit_in_stop(struct kit *kit)
{
  const struct kit_sample *sample;
  struct kit_host *host = sample_up(kit, &sample);
  struct kit_call *call;

  kit->says.held = true;
  call = kit_callback(host, sample, false);
  kit_drain(host, 0);
  kit_stop(host); /* done() comes with CANCELLED */
  if (good(call->code))
    kit_fail(kit, PROMISE_COMMIT, "a callback was answered %u after a stop, though nothing was committed", call->code);
  kit_destroy(&host);
}

/* --- Listeners: who connects from outside ------------------------------------------------------------------------- */

static struct kit_host *listener_up(struct kit *kit)
{
  struct kit_host *host;

  if (!kit_uses(kit, PARLEY_STREAM))
    kit_skip(kit, "it needs no byte streams");
  host = kit_up(kit);
  if (!kit_stream_knock(kit, 0, KIT_PEER_CLOSE))
    kit_skip(kit, "it listens nowhere");
  return host;
}

void kit_in_strangers(struct kit *kit)
{
  static const enum kit_peer peers[] = {KIT_PEER_GARBAGE, KIT_PEER_CLOSE, KIT_PEER_SILENT, KIT_PEER_SLOW};
  struct kit_host *host = listener_up(kit);

  for (int i = 0; i < KNOCKS; i++) {
    snprintf(kit->note->step, sizeof kit->note->step, "stranger %d of %d", i + 1, KNOCKS);
    kit_stream_knock(kit, 0, peers[kit_below(kit, COUNT_OF(peers))]);
    kit_step(kit, kit_below(kit, 10000));
  }
  kit_step(kit, 3600000);
  kit_down(&host);
}

/* What it says to the caller once the host has said `status`; in the case's arena. */
static parley_text caller_heard(struct kit *kit, parley_status status)
{
  uint64_t before = kit->n_items;

  kit->says.held = true;
  kit_stream_knock(kit, 0, KIT_PEER_CALLER);
  kit_step(kit, COMMIT_MS);
  if (kit->n_items == before)
    kit_fail(kit, PROMISE_INBOUND, "what the recorded caller said did not reach the host; it was told: %.*s",
             TEXT_ARG(buf_as_text(&kit->heard)));
  buf_clear(&kit->heard);
  kit->says.held = false;
  kit_items_answer(kit, status);
  kit_step(kit, COMMIT_MS);
  return arena_text(kit->arena, buf_as_text(&kit->heard));
}

/* No protocol is known here: but an acknowledgement is something, and it is not the same as a refusal. */
void kit_in_caller(struct kit *kit)
{
  struct kit_host *host;
  parley_text taken, busy;

  if (!kit_uses(kit, PARLEY_STREAM))
    kit_skip(kit, "it needs no byte streams");
  if (kit->caller_talk.len == 0)
    kit_skip(kit, "nobody has said what a caller says: --caller FILE, or NAME.caller beside the .so");
  host = listener_up(kit);
  taken = caller_heard(kit, PARLEY_OK);
  if (taken.len == 0)
    kit_fail(kit, PROMISE_COMMIT, "nothing was said to the caller once the host had committed: it was acknowledged before, or never");
  busy = caller_heard(kit, PARLEY_BUSY);
  if (text_eq(taken, busy))
    kit_fail(kit, PROMISE_BUSY, "the caller was told the same when the host said BUSY: %.*s", TEXT_ARG(text_sub(busy, 0, 100)));
  kit_down(&host);
}
