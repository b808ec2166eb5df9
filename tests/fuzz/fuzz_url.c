/* A URL that is taken has a host within its limits, its normal form is taken too and is its own normal form, and
 * neither the egress rules nor the query walk read beyond it. */
#include "core/base/buf.h"
#include "core/net/egress.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
  if (!holds)
    abort();
}

static void walk(const struct url *url)
{
  parley_text rest = url->query, name, value;
  char *decoded = malloc(rest.len + 1);

  while (url_query_next(&rest, &name, &value)) {
    size_t len = url_decode(value, true, decoded);

    must(len == SIZE_MAX || len <= value.len);
  }
  free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct buf normal = BUF_INIT(0), again = BUF_INIT(0);
  struct url url, second;
  struct egress *egress = NULL;
  parley_text bad;
  const char *why = NULL;
  char *copy = malloc(size > 0 ? size : 1);

  memcpy(copy, data, size);
  if (url_parse((parley_text){copy, size}, &url, &why) == PARLEY_OK) {
    must(strlen(url.host) > 0 && strlen(url.host) <= URL_HOST_MAX && url.port > 0);
    must(url.path.len > 0 && url.path.at[0] == '/');
    walk(&url);
    url_write(&normal, &url);
    must(url_parse(buf_as_text(&normal), &second, &why) == PARLEY_OK);
    must(second.scheme == url.scheme && second.port == url.port && strcmp(second.host, url.host) == 0);
    must(second.numeric == url.numeric && second.v6 == url.v6);
    url_write(&again, &second);
    must(normal.len == again.len && memcmp(normal.at, again.at, normal.len) == 0);
    must(egress_new(NULL, 0, NULL, 0, &egress, &bad) == PARLEY_OK);
    if (egress_url_check(egress, &url, &why) == PARLEY_OK && url.numeric && !url.v6)
      must(ntohl(url.address.v4.sin_addr.s_addr) >> 24 != 127 && ntohl(url.address.v4.sin_addr.s_addr) >> 24 != 10);
    egress_free(&egress);
  } else {
    must(why != NULL && why[0] != '\0');
  }
  buf_done(&normal);
  buf_done(&again);
  free(copy);
  return 0;
}
