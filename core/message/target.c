#include "target.h"
#include "core/base/text.h"

bool link_ok(parley_text url, bool https_only)
{
  size_t colon = text_find(url, ':');
  parley_text scheme = text_sub(url, 0, colon), host = text_sub(url, colon + 3, SIZE_MAX);

  if (url.len > LINK_BYTES_MAX || text_has_control(url) || text_find(url, ' ') < url.len ||
      text_find(url, '\\') < url.len)
    return false;
  if (!text_is_nocase(scheme, "https") && (https_only || !text_is_nocase(scheme, "http")))
    return false;
  if (!parley_text_is(text_sub(url, colon, 3), "://"))
    return false;
  host.len = text_find(host, '/');
  host.len = text_find(host, '?');
  host.len = text_find(host, '#');
  return host.len > 0 && host.at[0] != ':' && text_find(host, '@') == host.len;
}
