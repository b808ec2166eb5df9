/* member.h - members of an object, written with their keys as they stand in the source: no escaping of what is known. Each
 * begins with its comma, so none can be the first. Private to core/feed. */
#ifndef CORE_FEED_MEMBER_H
#define CORE_FEED_MEMBER_H
#include "core/base/clock.h"
#include "core/base/id.h"

#define BUF_LIT(buf, literal) buf_add(buf, literal, sizeof(literal) - 1)
#define MEMBER_TEXT(buf, key, text) (BUF_LIT(buf, ",\"" key "\":"), member_text(buf, text)) /* null when empty */
#define MEMBER_TIME(buf, key, ms) (BUF_LIT(buf, ",\"" key "\":"), buf_json_time(buf, ms))   /* null when 0 */
#define MEMBER_ID(buf, key, prefix, id) (BUF_LIT(buf, ",\"" key "\":"), buf_json_id(buf, prefix, id))
#define MEMBER_JSON(buf, key, json, none) (BUF_LIT(buf, ",\"" key "\":"), member_json(buf, json, none))
/* Left out when there is nothing to say. */
#define MEMBER_TEXT_IF(buf, key, text) ((text).len > 0 ? MEMBER_TEXT(buf, key, text) : (void)0)
#define MEMBER_TIME_IF(buf, key, ms) ((ms) != 0 ? MEMBER_TIME(buf, key, ms) : (void)0)
#define MEMBER_TRUE_IF(buf, key, flag) ((flag) ? BUF_LIT(buf, ",\"" key "\":true") : (void)0)

static inline void member_text(struct buf *buf, parley_text text)
{
  if (text.len > 0)
    buf_json_text(buf, text);
  else
    BUF_LIT(buf, "null");
}

static inline void member_json(struct buf *buf, parley_text json, const char *none)
{
  if (json.len > 0)
    buf_text(buf, json);
  else
    buf_str(buf, none);
}
#endif
