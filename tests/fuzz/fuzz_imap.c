// sources: plugins/email/imap_wire.c plugins/email/imap_session.c plugins/email/sasl.c
/* Whatever an IMAP server says, in whatever pieces: what is measured fits, what is read lies within it, every command of the session is
 * one line that begins by its tag, UIDs and pieces are only told when asked for, each thing asked for ends once, and the same bytes in
 * other pieces come to the same. The first byte says pieces and options. */
#include "email/imap_session.h"
#include <assert.h>
#include <stdlib.h>

struct run {
  struct imap_session session;
  int64_t now;
  uint64_t hash;
  uint32_t n_done, n_asked, n_failed;
  bool busy, securing, closed;
};

static bool within(parley_text part, parley_bytes whole)
{
  return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void wire_check(parley_bytes bytes)
{
  struct imap_response response;
  struct imap_fetch fetch;
  size_t len = 0;
  uint32_t number;

  if (imap_measure(bytes, &len) != IMAP_MEASURED_WHOLE)
    return;
  assert(len >= 2 && len <= bytes.len && len <= IMAP_RESPONSE_MAX && bytes.at[len - 1] == '\n');
  bytes.len = len;
  if (!imap_response_read(bytes, &response))
    return;
  assert(within(response.code, bytes) && within(response.rest, bytes));
  if (response.kind == IMAP_FETCH && imap_fetch_read(response.rest, &fetch))
    assert(within(fetch.body, bytes));
  while (imap_number_next(&response.rest, &number))
    assert(within(response.rest, bytes));
}

static int64_t run_now(void *arg) { return ((struct run *)arg)->now; }

static void run_write(parley_bytes bytes, void *arg)
{
  struct run *run = arg;

  assert(!run->closed && bytes.len >= 2 && memchr(bytes.at, '\r', bytes.len) == bytes.at + bytes.len - 2);
  assert(bytes.at[bytes.len - 1] == '\n' && memchr(bytes.at, '\0', bytes.len) == NULL);
  for (size_t i = 0; i < bytes.len; i++)
    run->hash = run->hash * 1099511628211u + (unsigned char)bytes.at[i];
}

static void run_secure(size_t unused, void *arg)
{
  struct run *run = arg;

  (void)unused;
  run->securing = true;
}

static void run_close(bool now, void *arg)
{
  (void)now;
  ((struct run *)arg)->closed = true;
}

static void run_found(uint32_t uid, void *arg)
{
  struct run *run = arg;

  assert(run->busy);
  run->hash = run->hash * 31 + uid;
}

static void run_piece(const struct imap_fetch *piece, void *arg)
{
  struct run *run = arg;

  assert(run->busy && piece->uid == 7 && piece->has_body);
  for (size_t i = 0; i < piece->body.len; i++)
    run->hash = run->hash * 31 + (unsigned char)piece->body.at[i];
}

static void ask_next(struct run *run)
{
  const uint32_t uids[] = {7, 8, 10};

  run->busy = true;
  switch (run->n_asked++ % 4) {
  case 0: imap_session_list(&run->session, &(struct imap_wanted){.from = 1, .to = 9, .unseen = true, .since_ms = 1}); break;
  case 1: imap_session_fetch(&run->session, 7, 0, IMAP_PIECE_MAX); break;
  case 2: imap_session_act(&run->session, uids, 3); break;
  default: imap_session_wait(&run->session); break;
  }
}

static void run_ready(void *arg) { ask_next(arg); }

static void run_done(bool ok, const char *words, void *arg)
{
  struct run *run = arg;

  assert(run->busy && strlen(words) <= IMAP_WORDS_MAX);
  run->busy = false;
  run->hash = run->hash * 31 + ok;
  if (++run->n_done < 64)
    ask_next(run);
}

static void run_failed(const struct imap_failure *failure, void *arg)
{
  struct run *run = arg;

  assert(failure->why != NULL && run->n_failed++ == 0);
}

static const struct imap_owner owner = {.now_ms = run_now, .write = run_write, .secure = run_secure, .close = run_close,
                                        .ready = run_ready, .found = run_found, .piece = run_piece, .done = run_done,
                                        .failed = run_failed};

static uint64_t run_all(const struct imap_config *config, parley_bytes bytes, size_t piece)
{
  struct run run = {.now = 1};
  size_t used = 0, given = 0;

  imap_session_init(&run.session, config, &owner, &run);
  imap_session_opened(&run.session, false);
  while (given < bytes.len && !run.closed) {
    given = given + piece < bytes.len ? given + piece : bytes.len;
    used += imap_session_data(&run.session, (parley_bytes){bytes.at + used, given - used});
    assert(used <= given);
    if (run.securing && !run.closed) {
      given = used; /* what came behind it is gone */
      imap_session_opened(&run.session, true);
    }
    run.securing = false;
  }
  imap_session_closed(&run.session, PARLEY_LIT("over"));
  assert(run.closed && run.n_failed == 1);
  return run.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct imap_config config = {.user = PARLEY_LIT("ana"), .password = PARLEY_LIT("p\"w\\d"), .mailbox = PARLEY_LIT("INBOX"),
                               .folder = PARLEY_LIT("Archiv & \303\234bersicht"), .host = PARLEY_LIT("imap.example"), .port = 993,
                               .token = PARLEY_LIT("token"), .poll_ms = 1000};
  parley_bytes bytes = {(const char *)data + 1, size - 1};
  uint64_t whole;

  if (size == 0 || size > 60000)
    return 0;
  config.after = (enum imap_after)(data[0] % 4);
  config.tls = data[0] & 4 ? IMAP_TLS_REQUIRED : IMAP_TLS_OFF;
  config.bearer = (data[0] & 8) != 0;
  for (size_t i = 0; i < bytes.len; i++)
    if (i == 0 || bytes.at[i - 1] == '\n')
      wire_check((parley_bytes){bytes.at + i, bytes.len - i});
  whole = run_all(&config, bytes, size);
  assert(run_all(&config, bytes, 1 + data[0] / 16) == whole);
  return 0;
}
