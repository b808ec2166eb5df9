/* POST /v1/store/backup: an online copy of the whole store, to a file on the server. POST /v1/store/resume: after a restore, sending
 * goes on. */
#include "core/base/text.h"
#include "inside.h"
#include <limits.h>

struct backup {
  struct api_request *req;
  struct store_backup op;
};

static void backup_done(struct store_op *op)
{
  struct backup *backup = container_of(op, struct backup, op.op);
  struct buf body = BUF_INIT(PATH_MAX * 6 + 256);

  if (op->status == PARLEY_INVALID) {
    arena_free(&op->arena);
    api_problem(backup->req, 422, "bad_path", "name a new file in a folder that the daemon may write to",
                "this file cannot be made");
    return;
  }
  if (op->status == PARLEY_DENIED) {
    arena_free(&op->arena);
    api_problem(backup->req, 409, "not_by_daemon", "run on a machine with PostgreSQL's client: parley -c parley.yaml store backup FILE",
                "the store is a PostgreSQL database: its copy is made by pg_dump, not by the daemon");
    return;
  }
  if (!api_went(backup->req, op))
    return;
  arena_free(&op->arena);
  if (op->status != PARLEY_OK) {
    api_problem(backup->req, 409, "file_exists", "name a new file", "there is a file at this path already");
    return;
  }
  buf_str(&body, "{\"path\":");
  buf_json_str(&body, backup->op.path);
  buf_json_key(&body, "bytes");
  buf_uint(&body, backup->op.bytes);
  buf_char(&body, '}');
  api_answer(backup->req, 200, &body);
  buf_done(&body);
}

void api_store_backup(struct api_request *req)
{
  static const char *const fields[] = {"path", NULL};
  struct backup *backup = arena_alloc(req->arena, sizeof *backup);
  parley_text path = TEXT_EMPTY;

  if (!JSON_IN_ALL(json_in_only(&req->in, fields), json_in_text(&req->in, "path", PATH_MAX - 1, &path))) {
    api_problems(req);
    return;
  }
  if (path.len == 0 || path.at[0] != '/' || text_has_control(path)) {
    api_problem(req, 422, "bad_path", "", "path is an absolute path of a new file on the server");
    return;
  }
  backup->req = req;
  backup->op.path = arena_text(req->arena, path).at;
  api_look(req, &backup->op.op, STORE_BACKUP, backup_done);
}

/* --- After a restore ---------------------------------------------------------------------------------------------- */

struct resume {
  struct api_request *req;
  struct store_resume op;
};

static void resume_answer(struct api_request *req, bool resumed)
{
  const struct deliver_hold *hold = deliver_held(req->shared->deliver);
  struct buf body = BUF_INIT(512);

  buf_printf(&body, "{\"resumed\":%s,\"possible_duplicates\":%llu,\"held\":%llu}", resumed ? "true" : "false",
             (unsigned long long)hold->marked, (unsigned long long)hold->for_operator);
  api_answer(req, 200, &body);
  buf_done(&body);
}

static void resume_done(struct store_op *op)
{
  struct resume *resume = container_of(op, struct resume, op.op);
  struct api_request *req = resume->req;
  char by[128];

  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  deliver_release(req->shared->deliver);
  feed_hold(req->shared->feed, false);
  log_line(req->shared->log, PARLEY_INFO, "event=resumed by=%s", log_safe(by, sizeof by, req->key.name));
  resume_answer(req, true);
}

void api_store_resume(struct api_request *req)
{
  const struct deliver_hold *hold = deliver_held(req->shared->deliver);
  struct resume *resume = arena_alloc(req->arena, sizeof *resume);

  resume->req = req;
  if (!hold->held)
    resume_answer(req, false);
  else if (hold->marking)
    api_problem(req, 409, "still_marking", "try again in a moment; the log tells when it is done",
                "what may have gone out before the restore is still being marked: %llu so far", (unsigned long long)hold->marked);
  else
    api_submit(req, &resume->op.op, STORE_RESUME, resume_done);
}
