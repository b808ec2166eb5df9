#include "reply.h"

enum reply_verdict reply_address(const struct reply *reply, struct submission *submission)
{
  const struct policy *policy = submission->policy;
  const struct policy_topic *topic =
      reply->topic.len > 0 ? policy_find_topic(policy, reply->topic) : policy_reply_topic(policy);
  const struct policy_channel *channel =
      policy_find_channel(policy, reply->channel.len > 0 ? reply->channel : reply->last_channel);

  if (topic == NULL || parley_text_is(topic->name, POLICY_TOPIC_KEYWORDS))
    return reply->topic.len > 0 ? REPLY_UNKNOWN_TOPIC : REPLY_NO_TOPIC;
  if (channel == NULL)
    return reply->channel.len > 0 ? REPLY_UNKNOWN_CHANNEL : REPLY_NO_CHANNEL;
  submission->topic = topic;
  submission->to.customer = reply->customer;
  submission->conversation = reply->conversation;
  submission->n_steps = 1;
  submission->steps[0] = (struct policy_step){.channel = channel, .until = UNTIL_SENT};
  submission->expires_ms = submission->now_ms + topic_expires_ms(topic);
  return REPLY_GOES;
}

const char *reply_words(enum reply_verdict verdict)
{
  switch (verdict) {
  case REPLY_GOES: break;
  case REPLY_UNKNOWN_TOPIC: return "the topic for answers is not configured any more";
  case REPLY_NO_TOPIC: return "no topic of class conversation is configured";
  case REPLY_UNKNOWN_CHANNEL: return "the channel to answer on is not configured any more";
  case REPLY_NO_CHANNEL: return "the channel that they wrote on is not configured any more";
  }
  return "";
}
