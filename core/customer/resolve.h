/* resolve.h - whose message is it: the rules of design section 6 over `to` (or an inbound `from`) and who owns what. Pure. */
#ifndef CORE_CUSTOMER_RESOLVE_H
#define CORE_CUSTOMER_RESOLVE_H
#include "identity.h"

#define RECIPIENT_IDENTITIES_MAX 8

/* As asked. At least one of customer, external, identities. */
struct recipient {
  id64 customer;        /* 0: not given */
  parley_text external; /* empty: not given */
  size_t n_identities;  /* without external */
  struct identity identities[RECIPIENT_IDENTITIES_MAX];
};
/* JSON "to": {"customer"} | {"external"} | any identities together (recipient.c). Any well-formed kind is taken, since a plugin
 * may bring its own; one that looks like a slip of a kind we know ("emial") is an unknown_field with a hint. false: problems
 * (missing_recipient, unknown_field, bad_id, too_many_items, and those of identity_normalise). */
struct json_in;
bool recipient_read(const struct json_in *in, const struct phone_reading *phones, struct recipient *ret);

/* What the store found. Owners are heads' own ids as stored with the identity (never the head of a merge). */
struct ownership {
  bool customer_exists;
  id64 external_owner;                          /* 0: nobody */
  id64 owners[RECIPIENT_IDENTITIES_MAX];        /* of each identity; 0: nobody */
  bool owner_has_external[RECIPIENT_IDENTITIES_MAX]; /* that owner already has an external of its own */
};
enum resolve_verdict {
  RESOLVE_FOUND = 1,  /* customer is whose it is */
  RESOLVE_CREATE,     /* nobody owns anything: make a customer, link what is marked */
  RESOLVE_NO_CUSTOMER, /* 404 customer_not_found */
  RESOLVE_CONFLICT,   /* 409 identity_conflict: two owners and neither customer nor external */
};
struct resolution {
  enum resolve_verdict verdict;
  id64 customer;                           /* of FOUND */
  bool link_external;                      /* to the customer, found or new */
  bool foreign_external;                   /* with `customer` given: somebody else's; warn, event customer.identity_conflict */
  bool link[RECIPIENT_IDENTITIES_MAX];     /* nobody owned it: link as claimed (inbound: observed) */
  bool foreign[RECIPIENT_IDENTITIES_MAX];  /* somebody else's: use as address, warn, event customer.identity_conflict */
};
/* inbound: a conflict takes the first identity's owner instead of CONFLICT. */
struct resolution resolve_recipient(const struct recipient *asked, const struct ownership *found, bool inbound);
#endif
