#include "consent.h"
#include "core/base/text.h"

static const char *const class_names[] = {[CLASS_CRITICAL] = "critical",
                                          [CLASS_CONVERSATION] = "conversation",
                                          [CLASS_TRANSACTIONAL] = "transactional",
                                          [CLASS_MARKETING] = "marketing"};

const char *topic_class_name(enum topic_class class)
{
  return class_names[class];
}

bool topic_class_parse(parley_text word, enum topic_class *ret)
{
  for (enum topic_class each = CLASS_CRITICAL; each <= CLASS_MARKETING; each++)
    if (parley_text_is(word, class_names[each])) {
      *ret = each;
      return true;
    }
  return false;
}

/* The entry that counts: the newest for the topic and the exact channel kind or "*"; at the same time a withdrawal. */
static const struct consent *consent_newest(parley_text topic, parley_text channel_kind, const struct consent *entries,
                                            size_t n_entries)
{
  const struct consent *newest = NULL;

  for (const struct consent *entry = entries; entry < entries + n_entries; entry++) {
    if (!text_eq(entry->topic, topic))
      continue;
    if (!text_eq(entry->channel_kind, channel_kind) && !parley_text_is(entry->channel_kind, "*"))
      continue;
    if (newest == NULL || entry->at_ms > newest->at_ms || (entry->at_ms == newest->at_ms && !entry->granted))
      newest = entry;
  }
  return newest;
}

enum consent_verdict consent_check(enum topic_class class, parley_text topic, parley_text channel_kind,
                                   const struct consent *entries, size_t n_entries)
{
  const struct consent *newest = consent_newest(topic, channel_kind, entries, n_entries);

  if (class == CLASS_CRITICAL)
    return CONSENT_PASS;
  if (newest != NULL)
    return newest->granted ? CONSENT_PASS : CONSENT_WITHDRAWN;
  return class == CLASS_MARKETING ? CONSENT_MISSING : CONSENT_PASS;
}
