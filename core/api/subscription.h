/* subscription.h - the subscriptions in force, for subscriptions.c, which shows them, and subscribe.c, which changes
 * them. Each lives in an arena of its own; the api owns them. Private to core/api. */
#ifndef CORE_API_SUBSCRIPTION_H
#define CORE_API_SUBSCRIPTION_H
#include "inside.h"

#define SUBSCRIPTION_OLD_SECRET_MS (24 * 3600000LL) /* how long the last secret signs too */

struct api_subscription {
  struct arena *arena; /* this struct and its texts */
  struct subscription sub;
  int64_t created_ms;
  int64_t old_until_ms; /* until when secrets[1] signs as well; 0: there is none */
  bool unsaved;         /* changed by itself; the document doesn't say so yet */
};
enum secret_shown { SECRET_LEFT_OUT, SECRET_SHOWN /* once */, SECRET_NULL /* in a replay */ };

struct api_subscription *subscription_new(void);
struct api_subscription *subscription_copy(const struct api_subscription *from);
void subscription_free(struct api_subscription **subscription);
struct api_subscription *subscription_find(const struct api *api, id64 id); /* NULL: none */
struct api_subscription *subscription_param(struct api_request *req);       /* {id}; NULL: 404 is answered */
/* In force from now on, for an older one of this id; owned by the api. */
void subscription_put(struct api *api, struct api_subscription *made);
void subscription_remove(struct api *api, id64 id);
/* Writes its document, now or at the next sweep: never over a change that somebody asked for. */
void subscription_save(struct api *api, struct api_subscription *subscription);
void buf_subscription_doc(struct buf *buf, const struct api_subscription *subscription);
void subscription_render(struct buf *buf, const struct api_subscription *subscription); /* its secret as null */
void subscription_answer(struct api_request *req, uint32_t code, const struct api_subscription *subscription,
                         enum secret_shown secret);
#endif
