#include "http_post.h"
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000L

struct post_request {
  struct http_post *post;
  CURL *easy;
  struct curl_slist *headers;
  char *body;
  http_post_cb *done;
  void *arg;
  struct post_request *next_free;
};

struct post_socket {
  uv_poll_t poll;
  curl_socket_t fd;
  struct http_post *post;
};

struct http_post {
  uv_loop_t *loop;
  uv_timer_t timer;
  CURLM *multi;
  struct curl_slist *plain_headers;
  struct post_request *free_requests;
};

static size_t discard(char *data, size_t size, size_t count, void *arg)
{
  (void)data;
  (void)arg;
  return size * count;
}

static void finish_request(struct post_request *request, CURLcode result)
{
  struct http_post *post = request->post;
  long status = 0;

  curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(post->multi, request->easy);
  curl_slist_free_all(request->headers);
  free(request->body);
  request->headers = NULL;
  request->body = NULL;
  request->next_free = post->free_requests;
  post->free_requests = request;
  request->done(result == CURLE_OK ? (int)status : -(int)result, request->arg);
}

static void take_finished(struct http_post *post)
{
  struct post_request *request;
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read(post->multi, &left)) != NULL) {
    CURLcode result = message->data.result;

    if (message->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
    finish_request(request, result);
  }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
  struct post_socket *socket = poll->data;
  struct http_post *post = socket->post;
  int running;
  int flags = 0;

  if (status < 0)
    flags = CURL_CSELECT_ERR;
  if (events & UV_READABLE)
    flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE)
    flags |= CURL_CSELECT_OUT;
  curl_multi_socket_action(post->multi, socket->fd, flags, &running);
  take_finished(post);
}

static void on_timer(uv_timer_t *timer)
{
  struct http_post *post = timer->data;
  int running;

  curl_multi_socket_action(post->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  take_finished(post);
}

static void on_poll_closed(uv_handle_t *handle)
{
  free(handle->data);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
  struct http_post *post = arg;
  struct post_socket *socket = socket_arg;
  int events = 0;

  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (socket != NULL) {
      curl_multi_assign(post->multi, fd, NULL);
      uv_poll_stop(&socket->poll);
      uv_close((uv_handle_t *)&socket->poll, on_poll_closed);
    }
    return 0;
  }
  if (socket == NULL) {
    socket = bench_alloc(sizeof *socket);
    socket->fd = fd;
    socket->post = post;
    socket->poll.data = socket;
    uv_poll_init_socket(post->loop, &socket->poll, fd);
    curl_multi_assign(post->multi, fd, socket);
  }
  if (what & CURL_POLL_IN)
    events |= UV_READABLE;
  if (what & CURL_POLL_OUT)
    events |= UV_WRITABLE;
  return uv_poll_start(&socket->poll, events, on_poll);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
  struct http_post *post = arg;

  (void)multi;
  if (timeout_ms < 0)
    return uv_timer_stop(&post->timer);
  return uv_timer_start(&post->timer, on_timer, (uint64_t)timeout_ms, 0);
}

struct http_post *http_post_new(uv_loop_t *loop, long connections)
{
  struct http_post *post = bench_alloc(sizeof *post);

  curl_global_init(CURL_GLOBAL_DEFAULT);
  post->loop = loop;
  post->multi = curl_multi_init();
  post->timer.data = post;
  uv_timer_init(loop, &post->timer);
  curl_multi_setopt(post->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
  curl_multi_setopt(post->multi, CURLMOPT_SOCKETDATA, post);
  curl_multi_setopt(post->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
  curl_multi_setopt(post->multi, CURLMOPT_TIMERDATA, post);
  curl_multi_setopt(post->multi, CURLMOPT_MAXCONNECTS, connections);
  curl_multi_setopt(post->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  post->plain_headers = curl_slist_append(NULL, "Content-Type: application/json");
  post->plain_headers = curl_slist_append(post->plain_headers, "Expect:");
  return post;
}

static struct post_request *request_new(struct http_post *post)
{
  struct post_request *request = bench_alloc(sizeof *request);

  request->post = post;
  request->easy = curl_easy_init();
  curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request);
  curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, discard);
  curl_easy_setopt(request->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(request->easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(request->easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
  return request;
}

void http_post_send(struct http_post *post, const char *url, struct curl_slist *headers, struct slice body,
                    http_post_cb *done, void *arg)
{
  struct post_request *request = post->free_requests;

  if (request != NULL)
    post->free_requests = request->next_free;
  else
    request = request_new(post);
  request->headers = headers;
  request->done = done;
  request->arg = arg;
  request->body = bench_alloc(body.size + 1);
  memcpy(request->body, body.data, body.size);
  curl_easy_setopt(request->easy, CURLOPT_URL, url);
  curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, headers != NULL ? headers : post->plain_headers);
  curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE, (long)body.size);
  curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->body);
  curl_multi_add_handle(post->multi, request->easy);
}
