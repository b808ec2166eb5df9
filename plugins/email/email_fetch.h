/* email_fetch.h - a mail that is not made on the loop: because its media are too large to come with the message, which are read from
 * the host piece by piece, or because it is signed. Composes it on the work pool and hands the job back ready to send. Owns what it
 * reads; holds the job until it calls back. Thread: loop. */
#ifndef EMAIL_FETCH_H
#define EMAIL_FETCH_H
#include "email_job.h"
#include <parley/ext/media.h>

enum { EMAIL_MEDIA_MAX = 25 << 20 /* bytes of all media of one mail */ };
#define EMAIL_MEDIA_TOO_LARGE "the attachments have more than 25 MiB together, which is more than mail servers take"
struct email_fetch;
/* st: PARLEY_OK, the job is composed; else it cannot be, now or ever (parley_again()), and why says it (static). */
typedef void email_fetched(struct email_job *job, parley_status st, const char *why, void *arg);

bool email_fetch_needed(const parley_message *message);
uint64_t email_media_bytes(const parley_message *message); /* of all media together */
/* media may be NULL: the host has none. false: no memory, the job stays the caller's. fetched() comes once, later, unless the job
 * was taken back. options and composer are borrowed and outlive the channel's work. */
bool email_fetch_begin(struct email_job *job, const parley_media *media, struct mail_composer *composer,
                       const struct email_options *options, email_fetched *fetched, void *arg, struct email_fetch **ret);
/* Takes the job back and ends the fetch, whose memory goes by itself. NULL: the pool is at work on the message just now;
 * fetched() still comes. */
struct email_job *email_fetch_take(struct email_fetch *fetch);
#endif
