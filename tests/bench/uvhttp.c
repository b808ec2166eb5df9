/* uvhttp - the bound that a durable HTTP acceptor in C is measured against: libuv, one loop thread.
 *
 * usage: uvhttp -p PORT [-w LOGFILE | -s DATABASE] [-f URL [-k CONNECTIONS]] [-b BATCH_MAX]
 *   nothing   answers 202 at once: the raw echo
 *   -w FILE   a writer thread appends all waiting bodies, one fdatasync for them all, then 202 (group commit)
 *   -s FILE   the same into SQLite, WAL and synchronous=FULL, a table with two secondary indexes
 *   -f URL    posts each body onward as well: bare two hops
 * SIGTERM ends it and prints the batches written. */
#include "http_post.h"
#include "http_serve.h"
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_DEFAULT 512
#define FORWARD_CONNECTIONS_DEFAULT 32
#define CUSTOMERS 1000000
#define HASH 2654435761ULL /* scatters the customers, so that their index is written at random places */

static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
                               "{\"status\":\"ok\"}";

struct job {
  struct http_serve_conn *conn;
  struct job *next;
  size_t size;
  char body[];
};

struct uvhttp {
  uv_loop_t *loop;
  struct http_serve serve;
  struct http_post *post;
  const char *forward_url;
  uv_signal_t stop;
  /* The writer thread's side; waiting and done are under the lock. */
  uv_mutex_t lock;
  uv_cond_t work;
  uv_async_t committed;
  struct job *waiting;
  struct job **waiting_tail;
  struct job *done;
  int batch_max;
  int log_fd;
  sqlite3 *database;
  sqlite3_stmt *insert;
  int64_t last_id;
  uint64_t batches;
  uint64_t rows;
};

static void on_forwarded(int status, void *arg)
{
  (void)status;
  (void)arg;
}

static void forward(struct uvhttp *uvhttp, struct slice body)
{
  if (uvhttp->forward_url != NULL)
    http_post_send(uvhttp->post, uvhttp->forward_url, NULL, body, on_forwarded, NULL);
}

static void on_request(struct http_serve_conn *conn, const struct http_serve_request *request, void *arg)
{
  struct uvhttp *uvhttp = arg;
  struct job *job;

  if (uvhttp->log_fd < 0 && uvhttp->database == NULL) {
    http_serve_reply(conn, accepted, sizeof accepted - 1);
    forward(uvhttp, request->body);
    return;
  }
  job = bench_alloc(sizeof *job + request->body.size);
  job->conn = conn;
  job->size = request->body.size;
  memcpy(job->body, request->body.data, request->body.size);
  http_serve_hold(conn);
  uv_mutex_lock(&uvhttp->lock);
  *uvhttp->waiting_tail = job;
  uvhttp->waiting_tail = &job->next;
  uv_cond_signal(&uvhttp->work);
  uv_mutex_unlock(&uvhttp->lock);
}

static void on_committed(uv_async_t *async)
{
  struct uvhttp *uvhttp = async->data;
  struct job *job;

  uv_mutex_lock(&uvhttp->lock);
  job = uvhttp->done;
  uvhttp->done = NULL;
  uv_mutex_unlock(&uvhttp->lock);
  while (job != NULL) {
    struct job *next = job->next;

    http_serve_reply(job->conn, accepted, sizeof accepted - 1);
    forward(uvhttp, (struct slice){job->body, job->size});
    http_serve_release(job->conn);
    free(job);
    job = next;
  }
}

static void write_log(struct uvhttp *uvhttp, const struct job *jobs)
{
  size_t size = 0;
  size_t at = 0;
  char *bytes;

  for (const struct job *job = jobs; job != NULL; job = job->next)
    size += job->size;
  bytes = bench_alloc(size + 1);
  for (const struct job *job = jobs; job != NULL; job = job->next) {
    memcpy(bytes + at, job->body, job->size);
    at += job->size;
  }
  if (write(uvhttp->log_fd, bytes, size) != (ssize_t)size || fdatasync(uvhttp->log_fd) != 0)
    bench_die("the log can't be written");
  free(bytes);
}

static void database_run(sqlite3 *database, const char *sql)
{
  if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
    bench_die("%s: %s", sql, sqlite3_errmsg(database));
}

static void write_rows(struct uvhttp *uvhttp, const struct job *jobs)
{
  database_run(uvhttp->database, "BEGIN IMMEDIATE");
  for (const struct job *job = jobs; job != NULL; job = job->next) {
    uvhttp->last_id++;
    sqlite3_bind_int64(uvhttp->insert, 1, uvhttp->last_id);
    sqlite3_bind_int64(uvhttp->insert, 2, (int64_t)(((uint64_t)uvhttp->last_id * HASH) % CUSTOMERS));
    sqlite3_bind_int64(uvhttp->insert, 3, uvhttp->last_id);
    sqlite3_bind_int64(uvhttp->insert, 4, uvhttp->last_id);
    sqlite3_bind_blob(uvhttp->insert, 5, job->body, (int)job->size, SQLITE_STATIC);
    if (sqlite3_step(uvhttp->insert) != SQLITE_DONE)
      bench_die("insert: %s", sqlite3_errmsg(uvhttp->database));
    sqlite3_reset(uvhttp->insert);
  }
  database_run(uvhttp->database, "COMMIT");
}

/* Takes up to batch_max waiting jobs off the queue; waits for the first. */
static struct job *take_batch(struct uvhttp *uvhttp, struct job **retlast)
{
  struct job *first;
  struct job *last;
  int count = 1;

  uv_mutex_lock(&uvhttp->lock);
  while (uvhttp->waiting == NULL)
    uv_cond_wait(&uvhttp->work, &uvhttp->lock);
  first = last = uvhttp->waiting;
  while (count < uvhttp->batch_max && last->next != NULL) {
    last = last->next;
    count++;
  }
  uvhttp->waiting = last->next;
  if (uvhttp->waiting == NULL)
    uvhttp->waiting_tail = &uvhttp->waiting;
  uv_mutex_unlock(&uvhttp->lock);
  last->next = NULL;
  uvhttp->batches++;
  uvhttp->rows += (uint64_t)count;
  *retlast = last;
  return first;
}

static void writer(void *arg)
{
  struct uvhttp *uvhttp = arg;

  for (;;) {
    struct job *last = NULL;
    struct job *first = take_batch(uvhttp, &last);

    if (uvhttp->database != NULL)
      write_rows(uvhttp, first);
    else
      write_log(uvhttp, first);
    uv_mutex_lock(&uvhttp->lock);
    last->next = uvhttp->done;
    uvhttp->done = first;
    uv_mutex_unlock(&uvhttp->lock);
    uv_async_send(&uvhttp->committed);
  }
}

static void open_database(struct uvhttp *uvhttp, const char *path)
{
  if (sqlite3_open(path, &uvhttp->database) != SQLITE_OK)
    bench_die("%s: %s", path, sqlite3_errmsg(uvhttp->database));
  database_run(uvhttp->database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
                                 "CREATE TABLE IF NOT EXISTS message(id INTEGER PRIMARY KEY, customer INT, created INT,"
                                 " due INT, state INT, body BLOB);"
                                 "CREATE INDEX IF NOT EXISTS message_customer ON message(customer, created);"
                                 "CREATE INDEX IF NOT EXISTS message_due ON message(state, due)");
  if (sqlite3_prepare_v2(uvhttp->database, "INSERT INTO message VALUES(?, ?, ?, ?, 0, ?)", -1, &uvhttp->insert, NULL) !=
      SQLITE_OK)
    bench_die("%s: %s", path, sqlite3_errmsg(uvhttp->database));
  uvhttp->last_id = bench_wall_us();
}

static void on_stop(uv_signal_t *handle, int number)
{
  struct uvhttp *uvhttp = handle->data;

  (void)number;
  if (uvhttp->batches > 0)
    fprintf(stderr, "batches=%llu rows=%llu\n", (unsigned long long)uvhttp->batches, (unsigned long long)uvhttp->rows);
  _exit(0);
}

static void start(struct uvhttp *uvhttp, int port, const char *log_path, const char *database_path)
{
  uv_thread_t thread;
  int error;

  if (log_path != NULL) {
    uvhttp->log_fd = open(log_path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (uvhttp->log_fd < 0)
      bench_die("%s can't be opened", log_path);
  }
  if (database_path != NULL)
    open_database(uvhttp, database_path);
  uv_async_init(uvhttp->loop, &uvhttp->committed, on_committed);
  uvhttp->committed.data = uvhttp;
  if (log_path != NULL || database_path != NULL)
    uv_thread_create(&thread, writer, uvhttp);
  error = http_serve_listen(&uvhttp->serve, uvhttp->loop, port, on_request, uvhttp);
  if (error != 0)
    bench_die("port %d: %s", port, uv_strerror(error));
  uvhttp->stop.data = uvhttp;
  uv_signal_init(uvhttp->loop, &uvhttp->stop);
  uv_signal_start(&uvhttp->stop, on_stop, SIGTERM);
}

int main(int argc, char **argv)
{
  struct uvhttp uvhttp = {.loop = uv_default_loop(), .log_fd = -1, .batch_max = BATCH_DEFAULT};
  const char *log_path = NULL;
  const char *database_path = NULL;
  long forward_connections = FORWARD_CONNECTIONS_DEFAULT;
  int port = 0;
  int option;

  while ((option = getopt(argc, argv, "p:w:s:f:k:b:")) > 0) {
    if (option == 'p')
      port = (int)bench_number('p', optarg, 1, 65535);
    else if (option == 'w')
      log_path = optarg;
    else if (option == 's')
      database_path = optarg;
    else if (option == 'f')
      uvhttp.forward_url = optarg;
    else if (option == 'k')
      forward_connections = bench_number('k', optarg, 1, 10000);
    else if (option == 'b')
      uvhttp.batch_max = (int)bench_number('b', optarg, 1, 100000);
    else
      return 2;
  }
  if (port == 0 || (log_path != NULL && database_path != NULL))
    bench_die("usage: uvhttp -p PORT [-w LOGFILE | -s DATABASE] [-f URL [-k CONNECTIONS]] [-b BATCH_MAX]");
  signal(SIGPIPE, SIG_IGN);
  uvhttp.waiting_tail = &uvhttp.waiting;
  uv_mutex_init(&uvhttp.lock);
  uv_cond_init(&uvhttp.work);
  if (uvhttp.forward_url != NULL)
    uvhttp.post = http_post_new(uvhttp.loop, forward_connections);
  start(&uvhttp, port, log_path, database_path);
  return uv_run(uvhttp.loop, UV_RUN_DEFAULT);
}
