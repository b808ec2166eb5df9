/* http_load - sends messages over HTTP as fast as the answers come: one loop thread, N kept-alive connections.
 *
 * usage: http_load -u http://127.0.0.1:PORT/PATH [-c CONNECTIONS=64] [-d SECONDS=10 | -n REQUESTS] [-b BODY_BYTES=1024]
 *                  [-k KNOWN=100000] [-N NEW_PERCENT=10] [-t TOPIC=orders] [-C CHANNEL,...] [-F] [-H 'Name: value']...
 *                  [-r RATE] [-P] [-K]
 * Each body is a message to one of KNOWN customers by e-mail address, or, NEW_PERCENT of them, to a new address; each
 * has a random Idempotency-Key of 128 bits. It does what a client does: each body is built and each answer read as
 * JSON. -F fills instead: every known customer once, in order, no new ones. -C names channels that messages take in
 * turn. -r spaces the requests evenly, so many a second, as long as the connections keep up. -P: to phone numbers
 * instead, a short text without a subject. -K: the same as a GET that Kannel's sendsms understands, to PATH.
 * PARLEY_KEY, when set, goes into Authorization. The text begins with ts=<us> for the sinks. Prints one line of
 * JSON; exit code 1 when nothing was answered well. Loopback only. */
#include "bench.h"
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#define REQUEST_MAX 81920
#define BODY_MAX 65536
#define BODY_FRAME 170 /* what a body has beside its filler, about */
#define ADDRESS_MAX 80
#define HEADERS_MAX 4096
#define CHANNELS_MAX 64
#define ANSWER_ROOM 16384
#define RECONNECT_MS 20
#define FIRST_ERROR_MAX 200

struct load {
  uv_loop_t *loop;
  uv_timer_t end;
  struct sockaddr_in address;
  const char *path;
  const char *topic;
  char *channels[CHANNELS_MAX];
  size_t n_channels;
  char headers[HEADERS_MAX];
  long connections;
  char filler[BODY_MAX];
  int filler_size;
  uint64_t known;
  uint64_t new_percent;
  bool fill;
  bool phones;
  bool kannel;
  uint64_t rate;         /* requests a second; 0: as fast as they go */
  int64_t next_us;       /* with rate: when the next one is due, monotonic */
  uint64_t requests_max; /* 0: until the time is over */
  uint64_t run;          /* tells this run's new customers from another's */
  uint64_t random;
  bool ending;
  int64_t started_us;
  uint64_t sent;
  uint64_t answered;
  uint64_t good;
  uint64_t refused; /* 429, 503 */
  uint64_t other;   /* any other status but 2xx, or no JSON that says what became of it */
  uint64_t broken;  /* connections that died */
  struct histogram latency;
  char first_error[FIRST_ERROR_MAX];
};

/* One connection: one request at a time. */
struct client {
  struct load *load;
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_timer_t pause;
  uv_write_t write;
  char request[REQUEST_MAX];
  size_t request_size;
  char answer[ANSWER_ROOM];
  size_t answer_size;
  int64_t sent_us;
  bool open;
  bool in_flight;
  bool due; /* with a rate: it has waited for its time */
};

static void client_connect(struct client *client);
static void client_send(struct client *client);

static void load_finish(struct load *load)
{
  double seconds = (double)(bench_mono_us() - load->started_us) / US_PER_S;

  printf(
      "{\"seconds\":%.3f,\"answered\":%llu,\"good\":%llu,\"rate\":%.1f,\"refused\":%llu,\"other\":%llu,\"broken\":%llu,"
      "\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%llu,\"first_error\":\"%s\"}\n",
      seconds, (unsigned long long)load->answered, (unsigned long long)load->good, (double)load->good / seconds,
      (unsigned long long)load->refused, (unsigned long long)load->other, (unsigned long long)load->broken,
      histogram_quantile_us(&load->latency, 0.5), histogram_quantile_us(&load->latency, 0.99),
      (unsigned long long)load->latency.max_us, load->first_error);
  fflush(stdout);
  _exit(load->good > 0 ? 0 : 1);
}

static bool load_is_over(const struct load *load)
{
  return load->ending || (load->requests_max > 0 && load->sent >= load->requests_max);
}

static void load_next_address(struct load *load, char *out, size_t size)
{
  uint64_t choice = bench_random(&load->random);

  if (load->phones)
    snprintf(out, size, "+34%09llu", (unsigned long long)(600000000 + (load->fill ? load->sent : choice >> 8) % load->known));
  else if (load->fill)
    snprintf(out, size, "c%08llu@customers.example", (unsigned long long)(load->sent % load->known));
  else if ((choice >> 32) % 100 < load->new_percent)
    snprintf(out, size, "n%llu-%llu@customers.example", (unsigned long long)load->run, (unsigned long long)load->sent);
  else
    snprintf(out, size, "c%08llu@customers.example", (unsigned long long)((choice >> 8) % load->known));
}

static json_t *object_of(const char *name, json_t *value)
{
  json_t *object = json_object();

  json_object_set_new_nocheck(object, name, value);
  return object;
}

/* The text fills the body up to about the size asked for. */
static json_t *load_next_content(struct load *load)
{
  char text[BODY_MAX];
  int size = snprintf(text, sizeof text, "ts=%lld Thank you. Order 1042 is on its way. ", (long long)bench_wall_us());
  json_t *content;

  if (load->phones)
    return object_of("text", json_stringn_nocheck(text, (size_t)size));
  content = object_of("subject", json_string_nocheck("Order 1042"));
  memcpy(text + size, load->filler, (size_t)load->filler_size);
  json_object_set_new_nocheck(content, "text", json_stringn_nocheck(text, (size_t)(size + load->filler_size)));
  return content;
}

/* Writes the next body; returns its size. */
static size_t load_next_body(struct load *load, char *out, size_t size)
{
  char address[ADDRESS_MAX];
  json_t *body;
  size_t written;

  load_next_address(load, address, sizeof address);
  body = object_of("to", object_of(load->phones ? "phone" : "email", json_string_nocheck(address)));
  json_object_set_new_nocheck(body, "topic", json_string_nocheck(load->topic));
  json_object_set_new_nocheck(body, "content", load_next_content(load));
  if (load->n_channels > 0)
    json_object_set_new_nocheck(body, "channels", json_pack("[s]", load->channels[load->sent % load->n_channels]));
  written = json_dumpb(body, out, size, JSON_COMPACT);
  json_decref(body);
  if (written == 0 || written > size)
    bench_die("a body of %zu bytes is too long", written);
  return written;
}

/* Kannel takes the same message as a query. */
static void client_compose_kannel(struct client *client)
{
  struct load *load = client->load;
  char address[ADDRESS_MAX];
  int size;

  load_next_address(load, address, sizeof address);
  size = snprintf(client->request, REQUEST_MAX,
                  "GET %s?username=u&password=p&from=1234&to=%s&text=ts%%3D%lld+Thank+you.+Order+1042+is+on+its+way.+ HTTP/1.1\r\n"
                  "Host: 127.0.0.1:%d\r\n\r\n",
                  load->path, address + 1, (long long)bench_wall_us(), ntohs(load->address.sin_port));
  client->request_size = (size_t)size;
}

static void client_compose(struct client *client)
{
  struct load *load = client->load;
  char body[BODY_MAX];
  size_t body_size = load_next_body(load, body, sizeof body);
  int head = snprintf(client->request, REQUEST_MAX,
                      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sContent-Type: application/json\r\n"
                      "Idempotency-Key: %016llx%016llx\r\nContent-Length: %zu\r\n\r\n",
                      load->path, ntohs(load->address.sin_port), load->headers,
                      (unsigned long long)bench_random(&load->random), (unsigned long long)bench_random(&load->random),
                      body_size);

  if (head < 0 || (size_t)head + body_size > REQUEST_MAX)
    bench_die("a request of %zu bytes is too long", (size_t)head + body_size);
  memcpy(client->request + head, body, body_size);
  client->request_size = (size_t)head + body_size;
}

static void on_paused(uv_timer_t *timer)
{
  struct client *client = timer->data;

  if (client->open)
    client_send(client);
  else
    client_connect(client);
}

/* false: it is not yet time for one more. */
static bool client_may_send(struct client *client)
{
  struct load *load = client->load;
  int64_t now_us = bench_mono_us(), wait_us;

  if (load->rate == 0 || client->due) {
    client->due = false;
    return true;
  }
  if (load->next_us < now_us - US_PER_S) /* far behind: it is not made up for */
    load->next_us = now_us;
  wait_us = load->next_us - now_us;
  load->next_us += US_PER_S / (int64_t)load->rate;
  if (wait_us < US_PER_MS)
    return true;
  client->due = true;
  uv_timer_start(&client->pause, on_paused, (uint64_t)(wait_us / US_PER_MS), 0);
  return false;
}

static void on_closed(uv_handle_t *handle)
{
  struct client *client = handle->data;

  if (!load_is_over(client->load))
    uv_timer_start(&client->pause, on_paused, RECONNECT_MS, 0);
}

static void client_fail(struct client *client, const char *why)
{
  if (!client->open)
    return;
  client->open = false;
  client->load->broken++;
  if (client->in_flight)
    client->load->sent--; /* another takes its place, with a new key */
  client->in_flight = false;
  if (client->load->first_error[0] == '\0')
    snprintf(client->load->first_error, FIRST_ERROR_MAX, "%s", why);
  uv_close((uv_handle_t *)&client->tcp, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
  struct client *client = write->data;

  if (status < 0 && status != UV_ECANCELED)
    client_fail(client, uv_strerror(status));
}

static void client_send(struct client *client)
{
  uv_buf_t buffer;
  int written;

  if (load_is_over(client->load) || !client_may_send(client))
    return;
  if (client->load->kannel)
    client_compose_kannel(client);
  else
    client_compose(client);
  client->load->sent++;
  client->in_flight = true;
  client->answer_size = 0;
  client->sent_us = bench_mono_us();
  buffer = uv_buf_init(client->request, (unsigned)client->request_size);
  written = uv_try_write((uv_stream_t *)&client->tcp, &buffer, 1);
  if (written == (int)client->request_size)
    return;
  if (written < 0 && written != UV_EAGAIN) {
    client_fail(client, uv_strerror(written));
    return;
  }
  if (written < 0)
    written = 0;
  buffer = uv_buf_init(client->request + written, (unsigned)client->request_size - (unsigned)written);
  client->write.data = client;
  uv_write(&client->write, (uv_stream_t *)&client->tcp, &buffer, 1, on_written);
}

/* The first answer that isn't 2xx, without what would spoil a JSON string. */
static void load_note_error(struct load *load, const char *answer, size_t size)
{
  if (load->first_error[0] != '\0')
    return;
  for (size_t i = 0; i < size && i < FIRST_ERROR_MAX - 1; i++)
    load->first_error[i] = answer[i] < ' ' || answer[i] == '"' || answer[i] == '\\' ? ' ' : answer[i];
}

/* A good answer says in JSON what became of the message. */
static bool answer_is_good(const char *answer, size_t size)
{
  const char *body = memmem(answer, size, "\r\n\r\n", 4);
  json_t *root = body != NULL ? json_loadb(body + 4, size - (size_t)(body + 4 - answer), 0, NULL) : NULL;
  bool good = json_is_string(json_object_get(root, "status"));

  json_decref(root);
  return good;
}

static void client_take_answer(struct client *client, size_t size)
{
  struct load *load = client->load;
  long status = strtol(client->answer + strlen("HTTP/1.1 "), NULL, 10);

  histogram_add(&load->latency, bench_mono_us() - client->sent_us);
  load->answered++;
  client->in_flight = false;
  if (status >= 200 && status < 300 && (load->kannel || answer_is_good(client->answer, size))) {
    load->good++;
  } else {
    load_note_error(load, client->answer, size);
    if (status == 429 || status == 503)
      load->refused++;
    else
      load->other++;
  }
  if (load->requests_max > 0 && load->answered >= load->requests_max)
    load_finish(load);
  client_send(client);
}

/* The size of the whole answer once its head is there, 0 before. */
static size_t answer_total(const struct client *client)
{
  const char *blank = memmem(client->answer, client->answer_size, "\r\n\r\n", 4);
  const char *name;

  if (blank == NULL)
    return 0;
  name = strcasestr(client->answer, "\r\ncontent-length:");
  if (name == NULL || name > blank)
    return (size_t)(blank - client->answer) + 4;
  return (size_t)(blank - client->answer) + 4 + strtoul(name + strlen("\r\ncontent-length:"), NULL, 10);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
  struct client *client = stream->data;
  size_t total;

  (void)buffer;
  if (size < 0) {
    client_fail(client, uv_strerror((int)size));
    return;
  }
  client->answer_size += (size_t)size;
  client->answer[client->answer_size] = '\0';
  total = answer_total(client);
  if (total > 0 && client->answer_size >= total)
    client_take_answer(client, total);
  else if (client->answer_size >= ANSWER_ROOM - 1)
    client_fail(client, "an answer is too long");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
  struct client *client = handle->data;

  (void)suggested;
  *out = uv_buf_init(client->answer + client->answer_size, (unsigned)(ANSWER_ROOM - 1 - client->answer_size));
}

static void on_connected(uv_connect_t *connect, int status)
{
  struct client *client = connect->data;

  if (status < 0) {
    client_fail(client, uv_strerror(status));
    return;
  }
  uv_tcp_nodelay(&client->tcp, 1);
  uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read);
  client_send(client);
}

static void client_connect(struct client *client)
{
  client->open = true;
  client->tcp.data = client;
  client->connect.data = client;
  uv_tcp_init(client->load->loop, &client->tcp);
  uv_tcp_connect(&client->connect, &client->tcp, (const struct sockaddr *)&client->load->address, on_connected);
}

static void on_end(uv_timer_t *timer)
{
  load_finish(timer->data);
}

static void load_start(struct load *load, long seconds)
{
  load->started_us = bench_mono_us();
  load->end.data = load;
  uv_timer_init(load->loop, &load->end);
  if (load->requests_max == 0)
    uv_timer_start(&load->end, on_end, (uint64_t)seconds * 1000, 0);
  for (long i = 0; i < load->connections; i++) {
    struct client *client = bench_alloc(sizeof *client);

    client->load = load;
    client->pause.data = client;
    uv_timer_init(load->loop, &client->pause);
    client_connect(client);
  }
}

/* http://127.0.0.1:PORT/PATH and nothing else. */
static void load_set_url(struct load *load, const char *url)
{
  static const char prefix[] = "http://127.0.0.1:";
  char *end = NULL;
  long port;

  if (strncmp(url, prefix, sizeof prefix - 1) != 0)
    bench_die("-u %s: want http://127.0.0.1:PORT/PATH", url);
  port = strtol(url + sizeof prefix - 1, &end, 10);
  if (port < 1 || port > 65535)
    bench_die("-u %s: want a port", url);
  load->path = *end == '/' ? end : "/";
  uv_ip4_addr("127.0.0.1", (int)port, &load->address);
}

static void load_add_header(struct load *load, const char *name, const char *value)
{
  size_t used = strlen(load->headers);
  int size = snprintf(load->headers + used, HEADERS_MAX - used, "%s%s\r\n", name, value);

  if (size < 0 || (size_t)size >= HEADERS_MAX - used)
    bench_die("too many headers");
}

static void load_set_channels(struct load *load, const char *names)
{
  char *copy = strdup(names);
  char *rest = copy;
  char *name;

  while (load->n_channels < CHANNELS_MAX && (name = strsep(&rest, ",")) != NULL)
    load->channels[load->n_channels++] = name;
  if (rest != NULL)
    bench_die("-C: at most %d channels", CHANNELS_MAX);
}

static void load_option(struct load *load, int option, const char *value)
{
  switch (option) {
  case 'u':
    load_set_url(load, value);
    break;
  case 'c':
    load->connections = bench_number('c', value, 1, 10000);
    break;
  case 'n':
    load->requests_max = (uint64_t)bench_number('n', value, 1, 1000000000);
    break;
  case 'b':
    load->filler_size = (int)bench_number('b', value, BODY_FRAME, 60000) - BODY_FRAME;
    break;
  case 'k':
    load->known = (uint64_t)bench_number('k', value, 1, 100000000);
    break;
  case 'N':
    load->new_percent = (uint64_t)bench_number('N', value, 0, 100);
    break;
  case 't':
    load->topic = value;
    break;
  case 'C':
    load_set_channels(load, value);
    break;
  case 'F':
    load->fill = true;
    break;
  case 'P':
    load->phones = true;
    break;
  case 'K':
    load->phones = load->kannel = true;
    break;
  case 'r':
    load->rate = (uint64_t)bench_number('r', value, 1, 1000000);
    break;
  case 'H':
    load_add_header(load, "", value);
    break;
  default:
    bench_die("usage: http_load -u URL [-c CONNECTIONS] [-d SECONDS | -n REQUESTS] [-b BODY_BYTES] [-k KNOWN] "
              "[-N NEW_PERCENT] [-t TOPIC] [-C CHANNEL,...] [-F] [-H 'Name: value']... [-r RATE] [-P] [-K]");
  }
}

int main(int argc, char **argv)
{
  struct load *load = bench_alloc(sizeof *load);
  const char *key = getenv("PARLEY_KEY");
  long seconds = 10;
  int option;

  load->loop = uv_default_loop();
  load->topic = "orders";
  load->connections = 64;
  load->filler_size = 1024 - BODY_FRAME;
  load->known = 100000;
  load->new_percent = 10;
  load->random = bench_seed();
  load->run = bench_random(&load->random) >> 20;
  if (key != NULL)
    load_add_header(load, "Authorization: Bearer ", key);
  while ((option = getopt(argc, argv, "u:c:d:n:b:k:N:t:C:FH:r:PK")) > 0) {
    if (option == 'd')
      seconds = bench_number('d', optarg, 1, 86400);
    else
      load_option(load, option, optarg);
  }
  if (load->path == NULL)
    load_option(load, '?', NULL);
  for (int i = 0; i < load->filler_size; i++)
    load->filler[i] = (char)('a' + i % 26);
  signal(SIGPIPE, SIG_IGN);
  load_start(load, seconds);
  return uv_run(load->loop, UV_RUN_DEFAULT);
}
