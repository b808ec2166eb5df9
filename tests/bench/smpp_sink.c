/* smpp_sink - a fast SMPP 3.4 message centre for benches: libuv, one thread, loopback only.
 *
 * usage: smpp_sink -p PORT [-e THROTTLED_PERMILLE=0] [-n MESSAGES] [-r]
 * Takes any bind, answers submit_sm with an id (or ESME_RTHROTTLED), enquire_link and unbind. -r: each message gets its
 * receipt, DELIVRD, at once. A message with ts=<us> in it feeds the latency from then to now. SIGUSR1 prints {count,
 * errors, receipts, answered, sessions, first_us, last_us, rate, p50_us, p99_us, max_us} and begins anew; SIGTERM, or
 * the MESSAGES-th good message, prints it and ends. */
#include "bench.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
  HEAD = 16, PDU_MAX = 65536, BACKLOG = 128, OUT_ROOM = 1 << 20, ID_ROOM = 24, ADDRESS_ROOM = 24,
  BIND_RECEIVER = 0x01, BIND_TRANSMITTER = 0x02, SUBMIT_SM = 0x04, DELIVER_SM = 0x05, UNBIND = 0x06, BIND_TRANSCEIVER = 0x09,
  ENQUIRE_LINK = 0x15, RINVCMDID = 0x03, RTHROTTLED = 0x58
};
#define RESPONSE UINT32_C(0x80000000)

struct sink {
  uv_loop_t *loop;
  uv_tcp_t listener;
  uv_signal_t report_signal, stop_signal;
  long throttled_permille;
  bool receipts;
  uint64_t random, count_max, count, errors, sent_receipts, answered, sessions, next_id;
  int64_t first_us, last_us;
  struct histogram latency;
};

struct session {
  struct sink *sink;
  uv_tcp_t tcp;
  size_t size, out_size;
  uint32_t sequence;
  bool closing;
  char in[2 * PDU_MAX], out[OUT_ROOM];
};

static void sink_report(const struct sink *sink)
{
  double seconds = (double)(sink->last_us - sink->first_us) / US_PER_S;

  printf("{\"count\":%llu,\"errors\":%llu,\"receipts\":%llu,\"answered\":%llu,\"sessions\":%llu,\"first_us\":%lld,\"last_us\":%lld,"
         "\"rate\":%.1f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%llu}\n",
         (unsigned long long)sink->count, (unsigned long long)sink->errors, (unsigned long long)sink->sent_receipts,
         (unsigned long long)sink->answered, (unsigned long long)sink->sessions, (long long)sink->first_us, (long long)sink->last_us,
         seconds > 0 ? (double)sink->count / seconds : 0, histogram_quantile_us(&sink->latency, 0.5),
         histogram_quantile_us(&sink->latency, 0.99), (unsigned long long)sink->latency.max_us);
  fflush(stdout);
}

static void on_report(uv_signal_t *handle, int number)
{
  struct sink *sink = handle->data;

  (void)number;
  sink_report(sink);
  sink->count = sink->errors = sink->sent_receipts = sink->answered = sink->sessions = 0;
  sink->first_us = sink->last_us = 0;
  memset(&sink->latency, 0, sizeof sink->latency);
}

static void on_stop(uv_signal_t *handle, int number)
{
  (void)number;
  sink_report(handle->data);
  _exit(0);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */
static void on_closed(uv_handle_t *handle)
{
  free(handle->data);
}

static void session_close(struct session *session)
{
  if (session->closing)
    return;
  session->closing = true;
  uv_close((uv_handle_t *)&session->tcp, on_closed);
}

static void session_flush(struct session *session)
{
  uv_buf_t buffer = uv_buf_init(session->out, (unsigned)session->out_size);
  int written = session->out_size > 0 && !session->closing ? uv_try_write((uv_stream_t *)&session->tcp, &buffer, 1) : 0;

  if (written < 0 && written != UV_EAGAIN)
    session_close(session);
  else if (written > 0)
    memmove(session->out, session->out + written, session->out_size -= (size_t)written);
}

static void session_say(struct session *session, uint32_t command, uint32_t status, uint32_t sequence, const char *body, size_t size)
{
  uint32_t head[] = {htonl((uint32_t)(HEAD + size)), htonl(command), htonl(status), htonl(sequence)};

  if (OUT_ROOM - session->out_size < HEAD + size) {
    session_close(session); /* it takes no answers: nothing to measure */
    return;
  }
  memcpy(session->out + session->out_size, head, HEAD);
  memcpy(session->out + session->out_size + HEAD, body, size);
  session->out_size += HEAD + size;
}

/* --- Messages ----------------------------------------------------------------------------------------------------- */
/* The address that stands `skip` strings behind the head, without what it has before it. */
static const char *address_at(const char *pdu, size_t size, int skip)
{
  size_t at = HEAD;

  for (int i = 0; i <= skip && at < size; i++) {
    at += strnlen(pdu + at, size - at) + 1; /* service_type, then the address before it */
    at += 2;
  }
  return at < size && memchr(pdu + at, '\0', size - at) != NULL && strlen(pdu + at) < ADDRESS_ROOM ? pdu + at : "";
}

static void session_receipt(struct session *session, const char *pdu, size_t size, const char *id)
{
  char body[256];
  const char *from = address_at(pdu, size, 1), *to = address_at(pdu, size, 0);
  char text[160];
  int text_size = snprintf(text, sizeof text, "id:%s sub:001 dlvrd:001 submit date:2611271842 done date:2611271842 "
                                              "stat:DELIVRD err:000 text:x", id);
  int n = snprintf(body, sizeof body, "%c%c%c%s", 0, 1, 1, from) + 1;

  n += snprintf(body + n, sizeof body - (size_t)n, "%c%c%s", 1, 1, to) + 1;
  body[n++] = 4; /* esm_class: a receipt */
  memset(body + n, 0, 8);
  n += 8;
  body[n++] = (char)text_size;
  memcpy(body + n, text, (size_t)text_size);
  session_say(session, DELIVER_SM, 0, ++session->sequence, body, (size_t)(n + text_size));
  session->sink->sent_receipts++;
}

static void session_submit(struct session *session, const char *pdu, size_t size, uint32_t sequence)
{
  struct sink *sink = session->sink;
  int64_t now_us = bench_wall_us(), stamp_us = bench_stamp_us((struct slice){pdu + HEAD, size - HEAD});
  char id[ID_ROOM];
  int n = snprintf(id, sizeof id, "%llx", (unsigned long long)++sink->next_id);

  if (sink->throttled_permille > 0 && (long)(bench_random(&sink->random) % 1000) < sink->throttled_permille) {
    sink->errors++;
    session_say(session, SUBMIT_SM | RESPONSE, RTHROTTLED, sequence, "", 1);
    return;
  }
  if (sink->count == 0)
    sink->first_us = now_us;
  sink->last_us = now_us;
  sink->count++;
  if (stamp_us > 0)
    histogram_add(&sink->latency, now_us - stamp_us);
  session_say(session, SUBMIT_SM | RESPONSE, 0, sequence, id, (size_t)n + 1);
  if (sink->receipts)
    session_receipt(session, pdu, size, id);
}

static void session_take(struct session *session, const char *pdu, size_t size)
{
  uint32_t head[HEAD / 4], command, sequence;

  memcpy(head, pdu, HEAD);
  command = ntohl(head[1]);
  sequence = ntohl(head[3]);
  if (command == SUBMIT_SM)
    session_submit(session, pdu, size, sequence);
  else if (command == BIND_TRANSCEIVER || command == BIND_TRANSMITTER || command == BIND_RECEIVER)
    session_say(session, command | RESPONSE, 0, sequence, "sink", sizeof "sink");
  else if (command == ENQUIRE_LINK || command == UNBIND)
    session_say(session, command | RESPONSE, 0, sequence, "", 0);
  else if (command == (DELIVER_SM | RESPONSE))
    session->sink->answered += ntohl(head[2]) == 0;
  else if ((command & RESPONSE) == 0)
    session_say(session, RESPONSE, RINVCMDID, sequence, "", 0);
}

static void session_parse(struct session *session)
{
  size_t at = 0;

  while (!session->closing && session->size - at >= HEAD) {
    uint32_t size;

    memcpy(&size, session->in + at, sizeof size);
    size = ntohl(size);
    if (size < HEAD || size > PDU_MAX) {
      session_close(session);
      return;
    }
    if (session->size - at < size)
      break;
    session_take(session, session->in + at, size);
    at += size;
  }
  memmove(session->in, session->in + at, session->size - at);
  session->size -= at;
  session_flush(session);
  if (session->sink->count_max > 0 && session->sink->count >= session->sink->count_max) {
    sink_report(session->sink);
    _exit(0);
  }
}

/* --- Connections -------------------------------------------------------------------------------------------------- */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
  struct session *session = handle->data;

  (void)suggested;
  *out = uv_buf_init(session->in + session->size, (unsigned)(sizeof session->in - session->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
  struct session *session = stream->data;

  (void)buffer;
  if (size < 0) {
    session_close(session);
    return;
  }
  session->size += (size_t)size;
  session_parse(session);
}

static void on_connection(uv_stream_t *listener, int status)
{
  struct sink *sink = listener->data;
  struct session *session;

  if (status < 0)
    return;
  session = bench_alloc(sizeof *session);
  session->sink = sink;
  session->tcp.data = session;
  uv_tcp_init(sink->loop, &session->tcp);
  if (uv_accept(listener, (uv_stream_t *)&session->tcp) != 0) {
    session_close(session);
    return;
  }
  sink->sessions++;
  uv_tcp_nodelay(&session->tcp, 1);
  uv_read_start((uv_stream_t *)&session->tcp, on_alloc, on_read);
}

static void sink_start(struct sink *sink, int port)
{
  struct sockaddr_in address;
  int error;

  uv_ip4_addr("127.0.0.1", port, &address);
  uv_tcp_init(sink->loop, &sink->listener);
  sink->listener.data = sink->report_signal.data = sink->stop_signal.data = sink;
  error = uv_tcp_bind(&sink->listener, (const struct sockaddr *)&address, 0);
  if (error == 0)
    error = uv_listen((uv_stream_t *)&sink->listener, BACKLOG, on_connection);
  if (error != 0)
    bench_die("port %d: %s", port, uv_strerror(error));
  uv_signal_init(sink->loop, &sink->report_signal);
  uv_signal_start(&sink->report_signal, on_report, SIGUSR1);
  uv_signal_init(sink->loop, &sink->stop_signal);
  uv_signal_start(&sink->stop_signal, on_stop, SIGTERM);
}

int main(int argc, char **argv)
{
  struct sink *sink = bench_alloc(sizeof *sink);
  int port = 0, option;

  while ((option = getopt(argc, argv, "p:e:n:r")) > 0) {
    if (option == 'p')
      port = (int)bench_number('p', optarg, 1, 65535);
    else if (option == 'e')
      sink->throttled_permille = bench_number('e', optarg, 0, 1000);
    else if (option == 'n')
      sink->count_max = (uint64_t)bench_number('n', optarg, 1, 1000000000);
    else if (option == 'r')
      sink->receipts = true;
    else
      return 2;
  }
  if (port == 0)
    bench_die("usage: smpp_sink -p PORT [-e THROTTLED_PERMILLE] [-n MESSAGES] [-r]");
  sink->loop = uv_default_loop();
  sink->random = bench_seed();
  signal(SIGPIPE, SIG_IGN);
  sink_start(sink, port);
  return uv_run(sink->loop, UV_RUN_DEFAULT);
}
