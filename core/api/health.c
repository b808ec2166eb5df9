/* /healthz and /readyz: for whoever starts, watches and routes to the daemon. Open to all; they tell nothing else. */
#include "core/base/text.h"
#include "inside.h"

static void health_answer(struct api_request *req, const char *status, const char *paused)
{
  struct buf body = BUF_INIT(512);

  buf_str(&body, "{\"status\":");
  buf_json_str(&body, status);
  buf_json_key(&body, "version");
  buf_json_str(&body, req->shared->version);
  if (paused != NULL) {
    buf_json_key(&body, "paused");
    buf_json_str(&body, paused);
  }
  buf_char(&body, '}');
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_health(struct api_request *req)
{
  health_answer(req, "ok", NULL);
}

void api_ready(struct api_request *req)
{
  const struct deliver_hold *hold = deliver_held(req->shared->deliver);
  const char *why_not = "starting";

  if (req->api->started && req->shared->ready(&why_not, req->shared->arg))
    health_answer(req, "ready", !hold->held     ? NULL
                                : hold->marking ? "a backup was restored: what may have gone out is being marked"
                                                : "a backup was restored: nothing is sent until parley store resume");
  else
    api_problem(req, 503, "not_ready", "try again", "not ready: %s", why_not);
}
