/* compose.h - makes the content of messages that name a template, before they are accepted: the customer and their last events are
 * looked up where the template asks for them, the template is rendered, and what comes out is read as if the sender had written it.
 * So what is stored is what is sent, on each attempt and each channel, whatever becomes of the template or the customer. Private to
 * core/api. Thread: loop. */
#ifndef CORE_API_COMPOSE_H
#define CORE_API_COMPOSE_H
#include "request.h"

struct compose_calls {
  /* The content of this one cannot be made: req->problems say why. The submission is freed behind the call. */
  void (*refused)(struct api_request *req, size_t at, void *arg);
  /* All are whole, or refused. status: OK, or why the store could not be asked. Once, last; it may come within the call. */
  void (*done)(struct api_request *req, parley_status status, void *arg);
};
/* submissions: n of them, in memory that lives until done. Entries may be NULL; those refused become NULL. calls is static.
 * batch: problems point below /items/INDEX. */
void compose(struct api_request *req, struct submission **submissions, size_t n, bool batch, const struct compose_calls *calls,
             void *arg);
#endif
