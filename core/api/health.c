/* /healthz and /readyz: for whoever starts, watches and routes to the daemon. Open to all; they tell nothing else. */
#include "core/base/text.h"
#include "inside.h"

static void health_answer(struct api_request *req, const char *status)
{
  struct buf body = BUF_INIT(512);

  buf_str(&body, "{\"status\":");
  buf_json_str(&body, status);
  buf_json_key(&body, "version");
  buf_json_str(&body, req->shared->version);
  buf_char(&body, '}');
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_health(struct api_request *req)
{
  health_answer(req, "ok");
}

void api_ready(struct api_request *req)
{
  const char *why_not = "starting";

  if (req->api->started && req->shared->ready(&why_not, req->shared->arg))
    health_answer(req, "ready");
  else
    api_problem(req, 503, "not_ready", "try again", "not ready: %s", why_not);
}
