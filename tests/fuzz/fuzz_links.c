/* Links in text and html, and the tokens of the links that strangers open. The first byte chooses. What is found lies within the input,
 * in order, and each target is what was judged; a Location is one ASCII line; a token that is believed was made by us. */
#include "core/base/text.h"
#include "core/message/links.h"
#include "core/message/web_link.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
  if (!holds)
    abort();
}

static void target_check(parley_text written, bool html, struct buf *target)
{
  struct buf location = BUF_INIT(0);
  enum link_verdict verdict = link_target(written, html, target);
  parley_text text = buf_as_text(target);

  check(text.len <= written.len * 4); /* "&#9" is a byte, U+FFFD three */
  if (verdict == LINK_WEB) {
    check(text.len <= LINK_TARGET_BYTES_MAX && !text_has_control(text) && (text.at[0] | 32) == 'h' && text_find(text, ':') <= 5);
    buf_location(&location, text);
    for (size_t i = 0; i < location.len; i++)
      check(location.at[i] > ' ' && location.at[i] < 0x7f && location.at[i] != '"' && location.at[i] != '<');
  }
  buf_done(&location);
}

static void links_check(parley_text in, bool html)
{
  struct links links = links_of(in, html);
  struct buf target = BUF_INIT(0);
  parley_text written;
  size_t behind = 0;

  while (links_next(&links, &written)) {
    check(written.len > 0 && written.at >= in.at + behind && written.at + written.len <= in.at + in.len);
    behind = (size_t)(written.at - in.at) + written.len;
    target_check(written, html, &target);
  }
  buf_done(&target);
}

static void tokens_check(parley_text in)
{
  static const uint8_t secret[SHA256_BYTES] = {1};
  struct token_payload payload;
  struct web_unsubscribe unsubscribe;
  struct web_preferences preferences;
  struct web_confirm confirm;
  struct web_place place;

  check(!web_unsubscribe_read(secret, in, &payload, &unsubscribe) && !web_preferences_read(secret, in, &preferences) &&
        !web_confirm_read(secret, in, &payload, &confirm) && !web_click_read(secret, in, &place) && !web_open_read(secret, in, &place));
}

/* A payload of any bytes that is signed: read, or refused, and what is read is written the same. */
static void payloads_check(parley_text in)
{
  static const uint8_t secret[SHA256_BYTES] = {1};
  parley_bytes payload = text_sub(in, 0, TOKEN_PAYLOAD_MAX);
  struct buf token = BUF_INIT(0), again = BUF_INIT(0);
  struct token_payload kept;
  struct web_unsubscribe unsubscribe;
  struct web_place place;

  buf_token(&token, secret, TOKEN_UNSUBSCRIBE, payload);
  if (web_unsubscribe_read(secret, buf_as_text(&token), &kept, &unsubscribe)) {
    buf_unsubscribe_link(&again, TEXT_EMPTY, secret, &unsubscribe);
    check(text_eq(text_sub(buf_as_text(&again), 3, SIZE_MAX), buf_as_text(&token)));
  }
  buf_clear(&token);
  buf_clear(&again);
  buf_token(&token, secret, TOKEN_CLICK, payload);
  if (web_click_read(secret, buf_as_text(&token), &place)) {
    buf_click_link(&again, TEXT_EMPTY, secret, &place);
    check(text_eq(text_sub(buf_as_text(&again), 3, SIZE_MAX), buf_as_text(&token)));
  }
  buf_done(&token);
  buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  parley_text in;

  if (size == 0)
    return 0;
  in = (parley_text){(const char *)data + 1, size - 1};
  switch (data[0] & 3) {
  case 0: links_check(in, false); break;
  case 1: links_check(in, true); break;
  case 2: tokens_check(in); break;
  case 3: payloads_check(in); break;
  }
  return 0;
}
