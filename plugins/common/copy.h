/* copy.h - deep copies of what ends with a call (or with a settled token): all of one copy hangs from one struct copy and goes
 * at once. Copies are of this build's sizes: members that an older other side did not write are 0. Thread: whoever owns it.
 * After a failed allocation copy_failed() stays true, what was returned since may be NULL or short, and nothing crashes. */
#ifndef PLUGINS_COMMON_COPY_H
#define PLUGINS_COMMON_COPY_H
#include <parley/plugin.h>
#include <stdbool.h>

struct copy;
struct copy *copy_new(void); /* NULL: no memory */
/* All of it stands in `room` (zeroed, aligned for any type), which stays the caller's: what does not fit has failed. */
struct copy *copy_new_in(void *room, size_t bytes); /* NULL: too small even for itself */
void copy_free(struct copy **copy);
bool copy_failed(const struct copy *copy);
size_t copy_bytes(const struct copy *copy); /* all it holds from the heap */

void *copy_room(struct copy *copy, size_t bytes); /* zeroed, aligned for any type; NULL: no memory */
parley_text copy_text(struct copy *copy, parley_text text);
const parley_identity *copy_identity(struct copy *copy, const parley_identity *identity); /* NULL stays NULL */
const parley_message *copy_message(struct copy *copy, const parley_message *message);
const parley_inbound *copy_inbound(struct copy *copy, const parley_inbound *inbound);
const parley_receipt *copy_receipt(struct copy *copy, const parley_receipt *receipt);
const parley_pair *copy_pairs(struct copy *copy, const parley_pair *pairs, uint32_t count);
#endif
