/* Names of HTTP requests: resolved by dns.h, filtered by egress.h, and pinned within libcurl, whose own resolver (a
 * thread a name) is thus never asked. */
#include "core/base/alloc.h"
#include "core/base/digest.h"
#include "core/base/env.h"
#include "http_client_in.h"
#include <stdlib.h>
#include <string.h>

/* --- Pins: what a transfer tells libcurl about names ------------------------------------------ */
void transfer_pins_set(struct transfer *transfer)
{
  struct http_client *client = transfer->client;
  struct client_host *host = transfer->url.numeric ? NULL : map_get(&client->hosts, transfer->host_key);

  transfer->pins = client->unpin;
  client->unpin = NULL;
  transfer->pinned = 0;
  if (host != NULL && !host->loaded) { /* with each transfer until one has surely been through: order is libcurl's */
    transfer->pins = curl_slist_append(transfer->pins, host->pin.at);
    transfer->pinned = host->pinned;
  }
  curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->pins);
}

void transfer_pin_loaded(struct transfer *transfer)
{
  struct client_host *host;

  if (transfer->pinned == 0)
    return;
  host = map_get(&transfer->client->hosts, transfer->host_key);
  if (host != NULL && host->pinned == transfer->pinned)
    host->loaded = true;
  transfer->pinned = 0;
}

/* --- Names ------------------------------------------------------------------------------------ */
static uint64_t host_key(const struct http_client *client, const struct url *url)
{
  uint64_t key = 0;
  const struct hash_key salt = {(uint64_t)(uintptr_t)client, url->port};

  key = hash64(&salt, parley_text_of(url->host));
  return key != 0 ? key : 1;
}

static void host_forget(struct http_client *client, struct client_host *host)
{
  struct buf line = BUF_INIT(0);

  buf_printf(&line, "-%s:%u", host->name, host->port);
  if (!client->closing)
    client->unpin = curl_slist_append(client->unpin, line.at);
  buf_done(&line);
  map_take(&client->hosts, host->key);
  buf_done(&host->pin);
  free(host);
}

/* Makes room: what nobody waits for and is no longer good goes first, then whatever nobody waits for. */
static void hosts_trim(struct http_client *client)
{
  int64_t now_ms = client_now(client);

  for (int round = 0; round < 2 && client->hosts.count >= CLIENT_HOSTS_MAX; round++) {
    uint64_t *keys = xcalloc(client->hosts.count, sizeof(*keys)), key;
    size_t n = 0, pos = 0;
    void *value;

    while (map_next(&client->hosts, &pos, &key, &value)) {
      struct client_host *host = value;

      if (!host->asking && list_empty(&host->waiting) && (round > 0 || host->good_until_ms < now_ms))
        keys[n++] = key;
    }
    for (size_t i = 0; i < n && client->hosts.count > CLIENT_HOSTS_MAX / 2; i++)
      host_forget(client, map_get(&client->hosts, keys[i]));
    free(keys);
  }
}

static struct client_host *host_find(struct http_client *client, const struct url *url)
{
  uint64_t key = host_key(client, url);
  struct client_host *host = map_get(&client->hosts, key);

  if (host != NULL && host->port == url->port && strcmp(host->name, url->host) == 0)
    return host;
  if (host != NULL)
    return NULL; /* two names with one key: about one in 2^64 */
  if (client->hosts.count >= CLIENT_HOSTS_MAX)
    hosts_trim(client);
  host = xcalloc(1, sizeof(*host));
  host->client = client;
  host->key = key;
  host->port = url->port;
  memcpy(host->name, url->host, sizeof(host->name));
  list_init(&host->waiting);
  map_put(&client->hosts, key, host);
  return host;
}

/* Writes the pin from the addresses that egress allows; false when there is none. */
static bool host_pin(struct client_host *host, const struct dns_answer *answer)
{
  char text[NET_ADDRESS_TEXT_MAX];
  size_t n = 0;

  buf_clear(&host->pin);
  buf_printf(&host->pin, "%s:%u:", host->name, host->port);
  for (size_t i = 0; i < answer->n_addresses; i++) {
    const struct net_address *address = &answer->addresses[i];

    if (!egress_address_allowed(host->client->egress, &address->any))
      continue;
    net_address_format(address, false, text);
    buf_printf(&host->pin, address->any.sa_family == AF_INET6 ? "%s[%s]" : "%s%s", n++ > 0 ? "," : "", text);
  }
  return n > 0;
}

static int64_t pin_ms(uint32_t ttl_s)
{
  int64_t ms = ttl_s > 0 ? (int64_t)ttl_s * 1000 : CLIENT_PIN_USUAL_MS;

  return ms < CLIENT_PIN_MIN_MS ? CLIENT_PIN_MIN_MS : ms > CLIENT_PIN_MAX_MS ? CLIENT_PIN_MAX_MS : ms;
}

static void host_on_answer(const struct dns_answer *answer, void *arg)
{
  struct client_host *host = arg;
  struct http_client *client = host->client;
  bool pinned = answer->status == PARLEY_OK && host_pin(host, answer);
  struct list *node;

  host->asking = false;
  if (client->closing) {
    host_forget(client, host);
    client_free_maybe(client);
    return;
  }
  if (pinned) {
    host->loaded = false;
    host->pinned++;
    host->good_until_ms = client_now(client) + pin_ms(answer->ttl_s);
  }
  while ((node = list_pop(&host->waiting)) != NULL) {
    struct transfer *transfer = LIST_ITEM(node, struct transfer, node);

    if (pinned)
      transfer_start(transfer);
    else if (answer->status == PARLEY_OK)
      transfer_fail(transfer, PARLEY_DENIED, "address_not_allowed", "the name has no address that may be connected to");
    else
      transfer_fail(transfer, answer->status,
                    answer->status == PARLEY_NOT_FOUND ? "name_not_found" : "name_not_resolved", answer->why);
  }
}

void transfer_name(struct transfer *transfer)
{
  struct http_client *client = transfer->client;
  struct client_host *host = host_find(client, &transfer->url);
  int64_t left_ms = transfer->deadline_ms - client_now(client);

  if (host == NULL) {
    transfer_fail(transfer, PARLEY_RETRY, "failed", "try again");
    return;
  }
  transfer->host_key = host->key;
  if (host->good_until_ms > client_now(client) && host->pin.len > 0) {
    transfer_start(transfer);
    return;
  }
  transfer->state = TRANSFER_NAMING;
  list_push(&host->waiting, &transfer->node);
  if (!host->asking) {
    host->asking = true;
    host->dns_id = dns_resolve(client->dns, host->name, host->port, (uint32_t)left_ms, host_on_answer, host);
  }
}

void client_hosts_expire(struct http_client *client)
{
  size_t pos = 0;
  uint64_t key;
  void *value;

  while (map_next(&client->hosts, &pos, &key, &value))
    ((struct client_host *)value)->good_until_ms = 0;
}

void client_hosts_close(struct http_client *client)
{
  uint64_t *keys = xcalloc(client->hosts.count, sizeof(*keys)), key;
  size_t n = 0, pos = 0;
  void *value;

  while (map_next(&client->hosts, &pos, &key, &value))
    keys[n++] = key;
  for (size_t i = 0; i < n; i++) {
    struct client_host *host = map_get(&client->hosts, keys[i]);

    while (!list_empty(&host->waiting))
      transfer_cancel(LIST_ITEM(host->waiting.next, struct transfer, node));
    if (host->asking)
      dns_cancel(client->dns, host->dns_id); /* its answer frees it */
    else
      host_forget(client, host);
  }
  free(keys);
}
