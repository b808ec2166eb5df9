#include "link_check.h"
#include "core/base/text.h"
#include "links.h"

static const char *link_fault(enum link_verdict verdict)
{
  switch (verdict) {
  case LINK_SCHEME: return "goes to javascript:, data:, vbscript:, file:, blob: or to http: without a host";
  case LINK_CONTROL: return "has a control character in it, such as a line break";
  case LINK_LONG: return "has more than 2048 bytes";
  case LINK_WEB:
  case LINK_OTHER: break;
  }
  return NULL;
}

static bool link_ok(struct problems *problems, parley_text pointer, parley_text written, bool html, size_t nth)
{
  struct buf target = BUF_INIT(0);
  const char *fault = link_fault(link_target(written, html, &target));

  buf_done(&target);
  if (fault == NULL)
    return true;
  problem_add(problems, pointer, "bad_link", "its link number %zu %s: it cannot be told of clicks", nth, fault);
  problem_hint(problems, "this topic has track: { clicks: true }: its links are http or https");
  return false;
}

static bool links_ok(struct problems *problems, parley_text pointer, const char *member, parley_text text, bool html)
{
  struct links links = links_of(text, html);
  parley_text written;
  size_t nth = 0;
  bool ok = true;

  while (ok && links_next(&links, &written))
    ok = link_ok(problems, pointer_member(problems->arena, pointer, parley_text_of(member)), written, html, ++nth);
  return ok;
}

bool links_check(struct problems *problems, parley_text pointer, const struct content *content)
{
  bool ok = links_ok(problems, pointer, "text", content->text, false);

  ok &= links_ok(problems, pointer, "html", content->html, true);
  for (size_t i = 0; i < content->n_buttons; i++)
    if (content->buttons[i].action == PARLEY_BUTTON_URL)
      ok &= link_ok(problems, pointer_index(problems->arena, pointer_member(problems->arena, pointer, PARLEY_LIT("buttons")), i),
                    content->buttons[i].target, false, i + 1);
  for (size_t i = 0; i < content->n_overrides; i++) {
    parley_text at = pointer_member(problems->arena, pointer, PARLEY_LIT("channels"));

    ok &= links_check(problems, pointer_member(problems->arena, at, content->overrides[i].name), content->overrides[i].content);
  }
  return ok;
}
