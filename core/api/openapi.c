#include "inside.h"
void buf_openapi(struct buf *buf, const char *version) { (void)version; buf_str(buf, "{}"); }
void api_openapi(struct api_request *req)
{
  struct buf body = BUF_INIT(0);

  buf_openapi(&body, req->shared->version);
  api_answer(req, 200, &body);
  buf_done(&body);
}
