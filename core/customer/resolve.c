#include "resolve.h"

/* Who owns identities of the recipient: the first owner, and whether there is another one. */
struct owners {
  id64 first;
  bool first_has_external, several;
};

static struct owners owners_of(const struct recipient *asked, const struct ownership *found)
{
  struct owners owners = {.first = 0};

  for (size_t i = 0; i < asked->n_identities; i++) {
    if (found->owners[i] == 0)
      continue;
    if (owners.first == 0) {
      owners.first = found->owners[i];
      owners.first_has_external = found->owner_has_external[i];
    } else if (found->owners[i] != owners.first) {
      owners.several = true;
    }
  }
  return owners;
}

/* Marks what becomes of each identity now that the customer is known (0: about to be made). */
static void identities_mark(struct resolution *resolution, const struct recipient *asked, const struct ownership *found)
{
  for (size_t i = 0; i < asked->n_identities; i++) {
    resolution->link[i] = found->owners[i] == 0;
    resolution->foreign[i] = found->owners[i] != 0 && found->owners[i] != resolution->customer;
  }
}

/* An external that nobody owns: it goes to the one who owns the identities, unless that would give somebody a second
 * external or would be a guess between two. */
static id64 owner_for_external(const struct owners *owners, bool inbound)
{
  if (owners->first_has_external || (owners->several && !inbound))
    return 0;
  return owners->first;
}

struct resolution resolve_recipient(const struct recipient *asked, const struct ownership *found, bool inbound)
{
  struct resolution resolution = {.verdict = RESOLVE_FOUND};
  struct owners owners = owners_of(asked, found);
  bool external = asked->external.len > 0;

  if (asked->customer != 0) {
    if (!found->customer_exists)
      return (struct resolution){.verdict = RESOLVE_NO_CUSTOMER};
    resolution.customer = asked->customer;
    resolution.foreign_external = external && found->external_owner != 0 && found->external_owner != asked->customer;
  } else if (external && found->external_owner != 0) {
    resolution.customer = found->external_owner;
  } else if (external) {
    resolution.customer = owner_for_external(&owners, inbound);
  } else if (owners.several && !inbound) {
    return (struct resolution){.verdict = RESOLVE_CONFLICT};
  } else {
    resolution.customer = owners.first;
  }
  if (resolution.customer == 0)
    resolution.verdict = RESOLVE_CREATE;
  resolution.link_external = external && found->external_owner == 0;
  identities_mark(&resolution, asked, found);
  return resolution;
}
