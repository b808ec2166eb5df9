#include "remote_in.h"
void remote_dial(struct parley_channel *remote, uint64_t id, const struct frame_words *words)
{
  (void)words;
  link_send(remote->link, FRAME_SOCKET, id, &abi_frame_words, PARLEY_REF(struct frame_words, .number = (uint32_t)PARLEY_DENIED));
}
void remote_listen(struct parley_channel *remote, uint64_t id, const struct frame_words *words)
{
  remote_dial(remote, id, words);
}
bool remote_socket_cancel(struct parley_channel *remote, uint64_t id)
{
  (void)remote, (void)id;
  return false;
}
