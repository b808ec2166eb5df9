/* Structs of the ABI from another process. Whatever is read at all is written again and read as the same; what reading costs stays
 * within the bound that wire.h states. The first byte picks the struct. */
#include "core/border/wire.h"
#include <stdlib.h>
#include <string.h>

static const struct abi_struct *const shapes[] = {
    &abi_option, &abi_value, &abi_metric, &abi_feature, &abi_capabilities, &abi_part, &abi_identity, &abi_customer, &abi_message,
    &abi_outcome, &abi_receipt, &abi_inbound, &abi_touchpoint, &abi_result, &abi_query, &abi_page, &abi_http_request,
    &abi_http_response, &abi_http_call, &abi_http_answer, &abi_mail_query, &abi_mail_page, &abi_submission,
    &abi_plugin_facts, &abi_frame_words,
};

static void require(int good)
{
  if (!good)
    abort();
}

static const void *read_bytes(const struct abi_struct *shape, const char *at, size_t len, struct arena *arena, size_t *ret_left)
{
  struct wire_in in = {.at = at, .left = len, .arena = arena};
  const void *got = wire_get(&in, shape);

  require(in.left <= len && in.items <= WIRE_ITEMS_MAX);
  require(arena_bytes(arena) <= WIRE_GROWTH_MAX * len + WIRE_GROWTH_FIRST);
  *ret_left = in.left;
  return got;
}

static void check_again(const struct abi_struct *shape, const void *got, size_t used)
{
  struct buf bytes = BUF_INIT(0), twice = BUF_INIT(0);
  struct arena *arena = arena_new();
  size_t left;

  wire_put(&bytes, shape, got);
  require(bytes.len <= used + sizeof(uint32_t)); /* what is empty is left out; the count of a result's verdicts stands twice */
  got = read_bytes(shape, bytes.at, bytes.len, arena, &left);
  require(got != NULL && left == 0);
  wire_put(&twice, shape, got);
  require(twice.len == bytes.len && memcmp(twice.at, bytes.at, bytes.len) == 0);
  arena_free(&arena);
  buf_done(&bytes);
  buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const struct abi_struct *shape;
  struct arena *arena;
  const void *got;
  size_t left;

  if (size == 0)
    return 0;
  shape = shapes[data[0] % (sizeof shapes / sizeof *shapes)];
  arena = arena_new();
  got = read_bytes(shape, (const char *)data + 1, size - 1, arena, &left);
  if (got != NULL)
    check_again(shape, got, size - 1 - left);
  arena_free(&arena);
  return 0;
}
