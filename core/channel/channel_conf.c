/* A channel out of the configuration: its options are read and checked first. In parleyd only. */
#include "instance.h"

static void channel_dropped(void *arg)
{
  (void)arg;
}

void channel_say_unmade(const struct channel *channel, const struct conf *conf, const struct conf_channel *wanted,
                               struct buf *why)
{
  struct buf words = BUF_INIT(1024);

  channel_say_why(channel, &words);
  yaml_error(conf->file, wanted->line, wanted->col, why, "channels.%s: %s could not be made: %s", channel->name,
             channel->plugin->name, words.at);
  buf_done(&words);
}

parley_status channel_new(const struct channel_shared *shared, const struct channel_owner *owner, const struct conf *conf,
                          const struct conf_channel *wanted, struct plugin *plugin, struct channel *older, struct channel **ret,
                          struct buf *reterr_why)
{
  struct channel *channel = channel_alloc(shared, owner, wanted->name, plugin, older);
  struct buf where = BUF_INIT(256);
  parley_status st;

  channel->in_flight_conf = wanted->in_flight;
  buf_printf(&where, "channels.%s.options", channel->name);
  st = options_read(conf->file, wanted->options, wanted->line, wanted->col, where.at, channel->table->options, channel->arena,
                    &channel->secrets, &channel->options, reterr_why);
  buf_done(&where);
  if (st == PARLEY_OK) {
    st = channel_create(channel);
    if (st != PARLEY_OK)
      channel_say_unmade(channel, conf, wanted, reterr_why);
  }
  if (st == PARLEY_OK)
    *ret = channel;
  else
    channel_stop(&channel, 0, channel_dropped, NULL);
  return st;
}
