/* /in/{channel}/...: what providers call. The plugin checks who it is and answers. */
#include "core/base/text.h"
#include "inside.h"

void api_in(struct api_request *req)
{
  struct channel *channel = req->shared->channel(req->params[0], req->shared->arg);

  if (channel == NULL) {
    api_problem(req, 404, "no_such_channel", "", "no channel of this name takes callbacks");
    return;
  }
  channel_http_in(channel, req->http); /* owes the answer from here on */
  api_request_free(req);
}
