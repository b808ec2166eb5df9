/* latency - how long from an inbound message to the webhook it causes, in an open loop: requests are due at a fixed
 * rate whatever the answers do, and time counts from when they were due.
 *
 * usage: latency -u URL -l LISTEN_PORT [-r RATE=200] [-d SECONDS=10] [-c CONNECTIONS=16] [-b BODY_BYTES=1024]
 *                [-s SECRET] [-K CUSTOMERS=1000] [-w SETTLE_S=5]
 * Each body is an inbound message of the webhook plugin with a marker ~lp<8 hex>~ in its text; the webhook that comes
 * back to LISTEN_PORT must have it too, and the first one found in a body counts. With -s (whsec_...) requests are
 * signed as Standard Webhooks. Prints one line of JSON: accept latency (due to 2xx), end-to-end latency (due to
 * webhook), losses and duplicates. Loopback only. */
#include "http_post.h"
#include "http_serve.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX 65536
#define SECRET_MAX 128
#define MARKER_DIGITS 8
#define SIGNATURE_SIZE 32
#define START_PAUSE_US 100000

struct request {
  struct probe *probe;
  int64_t due_us;
  bool seen;
};

struct probe {
  uv_loop_t *loop;
  uv_timer_t tick;
  struct http_serve serve;
  struct http_post *post;
  const char *url;
  double rate;
  long seconds;
  long settle_s;
  long body_bytes;
  long customers;
  unsigned char secret[SECRET_MAX];
  size_t secret_size;
  uint64_t run;
  struct request *requests;
  long total;
  long sent;
  long accepted;
  long failed;
  long delivered;
  long duplicates;
  int64_t started_us;
  struct histogram accept;
  struct histogram end_to_end;
};

static void print_latency(const char *name, const struct histogram *histogram)
{
  printf("\"%s\":{\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,\"max_us\":%llu}", name,
         histogram_quantile_us(histogram, 0.5), histogram_quantile_us(histogram, 0.99),
         histogram_quantile_us(histogram, 0.999), (unsigned long long)histogram->max_us);
}

static void probe_finish(const struct probe *probe)
{
  printf("{\"sent\":%ld,\"accepted\":%ld,\"failed\":%ld,\"delivered\":%ld,\"duplicates\":%ld,\"lost\":%ld,",
         probe->sent, probe->accepted, probe->failed, probe->delivered, probe->duplicates,
         probe->accepted - probe->delivered);
  print_latency("accept", &probe->accept);
  printf(",");
  print_latency("end_to_end", &probe->end_to_end);
  printf("}\n");
  fflush(stdout);
  _exit(probe->accepted > 0 && probe->failed == 0 ? 0 : 1);
}

static void on_posted(int status, void *arg)
{
  struct request *request = arg;
  struct probe *probe = request->probe;

  if (status < 200 || status >= 300) {
    probe->failed++;
    return;
  }
  probe->accepted++;
  histogram_add(&probe->accept, bench_mono_us() - request->due_us);
}

static void on_webhook(struct http_serve_conn *conn, const struct http_serve_request *http, void *arg)
{
  struct probe *probe = arg;
  const char *found = memmem(http->body.data, http->body.size, "~lp", 3);
  int64_t now_us = bench_mono_us();
  struct request *request;
  long index;

  http_serve_answer(conn, 200, (struct slice){"{}", 2});
  if (found == NULL)
    return;
  index = strtol(found + 3, NULL, 16);
  if (index < 0 || index >= probe->sent)
    return;
  request = &probe->requests[index];
  if (request->seen) {
    probe->duplicates++;
    return;
  }
  request->seen = true;
  probe->delivered++;
  histogram_add(&probe->end_to_end, now_us - request->due_us);
}

static struct curl_slist *signed_headers(const struct probe *probe, const char *id, struct slice body)
{
  unsigned char mac[SIGNATURE_SIZE];
  unsigned char base64[SIGNATURE_SIZE * 2];
  char line[SIGNATURE_SIZE * 4];
  char *text = bench_alloc(body.size + 128);
  long long now_s = (long long)time(NULL);
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  int size = snprintf(text, 128, "%s.%lld.", id, now_s);

  memcpy(text + size, body.data, body.size);
  HMAC(EVP_sha256(), probe->secret, (int)probe->secret_size, (const unsigned char *)text, (size_t)size + body.size, mac,
       NULL);
  free(text);
  EVP_EncodeBlock(base64, mac, sizeof mac);
  headers = curl_slist_append(headers, "Expect:");
  snprintf(line, sizeof line, "webhook-id: %s", id);
  headers = curl_slist_append(headers, line);
  snprintf(line, sizeof line, "webhook-timestamp: %lld", now_s);
  headers = curl_slist_append(headers, line);
  snprintf(line, sizeof line, "webhook-signature: v1,%s", (const char *)base64);
  return curl_slist_append(headers, line);
}

static void probe_send(struct probe *probe, long index)
{
  char body[BODY_MAX];
  char id[64];
  int size;

  snprintf(id, sizeof id, "lp-%llu-%ld", (unsigned long long)probe->run, index);
  size = snprintf(
      body, sizeof body,
      "{\"type\":\"message\",\"id\":\"%s\",\"from\":{\"email\":\"c%06ld@customers.example\"},\"text\":\"~lp%0*lx~ ", id,
      index % probe->customers, MARKER_DIGITS, index);
  while (size < probe->body_bytes - 2)
    body[size++] = 'x';
  memcpy(body + size, "\"}", 2);
  size += 2;
  http_post_send(probe->post, probe->url,
                 probe->secret_size > 0 ? signed_headers(probe, id, (struct slice){body, (size_t)size}) : NULL,
                 (struct slice){body, (size_t)size}, on_posted, &probe->requests[index]);
}

static void on_tick(uv_timer_t *timer)
{
  struct probe *probe = timer->data;
  int64_t now_us = bench_mono_us();
  int64_t end_us = probe->started_us + (probe->seconds + probe->settle_s) * (int64_t)US_PER_S;

  while (probe->sent < probe->total) {
    int64_t due_us = probe->started_us + (int64_t)((double)probe->sent * US_PER_S / probe->rate);

    if (due_us > now_us)
      return;
    probe->requests[probe->sent].probe = probe;
    probe->requests[probe->sent].due_us = due_us;
    probe_send(probe, probe->sent++);
  }
  if (now_us > end_us || (probe->accepted + probe->failed >= probe->total && probe->delivered >= probe->accepted))
    probe_finish(probe);
}

/* whsec_ and base64, as Standard Webhooks writes secrets. */
static void probe_set_secret(struct probe *probe, const char *text)
{
  static const char prefix[] = "whsec_";
  size_t size;
  int decoded;

  if (strncmp(text, prefix, sizeof prefix - 1) == 0)
    text += sizeof prefix - 1;
  size = strlen(text);
  if (size == 0 || size % 4 != 0 || size / 4 * 3 > SECRET_MAX)
    bench_die("-s: want whsec_ and base64");
  decoded = EVP_DecodeBlock(probe->secret, (const unsigned char *)text, (int)size);
  for (size_t i = size; decoded > 0 && text[i - 1] == '='; i--)
    decoded--;
  if (decoded <= 0)
    bench_die("-s: want whsec_ and base64");
  probe->secret_size = (size_t)decoded;
}

static void probe_start(struct probe *probe, int port, long connections)
{
  int error = http_serve_listen(&probe->serve, probe->loop, port, on_webhook, probe);

  if (error != 0)
    bench_die("port %d: %s", port, uv_strerror(error));
  probe->post = http_post_new(probe->loop, connections);
  probe->total = (long)(probe->rate * (double)probe->seconds);
  probe->requests = bench_alloc((size_t)probe->total * sizeof *probe->requests);
  probe->started_us = bench_mono_us() + START_PAUSE_US;
  probe->tick.data = probe;
  uv_timer_init(probe->loop, &probe->tick);
  uv_timer_start(&probe->tick, on_tick, 1, 1);
}

int main(int argc, char **argv)
{
  struct probe *probe = bench_alloc(sizeof *probe);
  long connections = 16;
  int port = 0;
  int option;

  probe->rate = 200;
  probe->seconds = 10;
  probe->settle_s = 5;
  probe->body_bytes = 1024;
  probe->customers = 1000;
  while ((option = getopt(argc, argv, "u:l:r:d:c:b:s:K:w:")) > 0) {
    if (option == 'u')
      probe->url = optarg;
    else if (option == 'l')
      port = (int)bench_number('l', optarg, 1, 65535);
    else if (option == 'r')
      probe->rate = (double)bench_number('r', optarg, 1, 1000000);
    else if (option == 'd')
      probe->seconds = bench_number('d', optarg, 1, 3600);
    else if (option == 'c')
      connections = bench_number('c', optarg, 1, 10000);
    else if (option == 'b')
      probe->body_bytes = bench_number('b', optarg, 200, BODY_MAX - 16);
    else if (option == 's')
      probe_set_secret(probe, optarg);
    else if (option == 'K')
      probe->customers = bench_number('K', optarg, 1, 1000000);
    else if (option == 'w')
      probe->settle_s = bench_number('w', optarg, 0, 600);
    else
      return 2;
  }
  if (probe->url == NULL || port == 0 || strncmp(probe->url, "http://127.", 11) != 0)
    bench_die("usage: latency -u http://127.0.0.1:PORT/PATH -l LISTEN_PORT [-r RATE] [-d SECONDS] [-c CONNECTIONS] "
              "[-b BODY_BYTES] [-s SECRET] [-K CUSTOMERS] [-w SETTLE_S]");
  signal(SIGPIPE, SIG_IGN);
  probe->loop = uv_default_loop();
  probe->run = (uint64_t)bench_wall_us();
  probe_start(probe, port, connections);
  return uv_run(probe->loop, UV_RUN_DEFAULT);
}
