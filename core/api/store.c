/* POST /v1/store/backup: an online copy of the whole store, to a file on the server. */
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
