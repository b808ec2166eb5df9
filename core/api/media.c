/* /v1/media: files that messages carry. Content-addressed; opened by anybody who has a signed link that has not
 * expired. What comes back is always a download: the type is the sender's word, and nothing here looks inside. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/media_link.h"
#include "core/net/url.h"
#include "inside.h"
#include <stdio.h>
#include <string.h>

#define MEDIA_NAME_BYTES_MAX 255
#define MEDIA_TYPE_BYTES_MAX 127
#define MEDIA_LINK_MS (3600000LL)

struct media {
  struct api_request *req;
  union {
    struct store_op op;
    struct store_media_add add;
    struct store_media get;
  } u;
};

static void buf_media(struct buf *buf, const struct api_request *req, id64 id, parley_text type, parley_text name,
                      uint64_t bytes)
{
  int64_t expires_ms = req->now_ms + MEDIA_LINK_MS;

  buf_str(buf, "{\"id\":");
  buf_json_id(buf, "med", id);
  buf_json_key(buf, "type");
  buf_json_text(buf, type);
  buf_json_key(buf, "name");
  buf_json_text(buf, name);
  buf_json_key(buf, "bytes");
  buf_uint(buf, bytes);
  buf_json_key(buf, "url");
  buf_char(buf, '"');
  buf_media_link(buf, req->conf->server.public_url, store_secret(req->shared->store), id, expires_ms);
  buf_str(buf, "\",\"url_expires_at\":");
  buf_json_time(buf, expires_ms);
  buf_char(buf, '}');
}

/* --- Adding ------------------------------------------------------------------------------------------------------- */

static uint32_t add_render(struct store_op *op, struct buf *body)
{
  struct media *media = container_of(op, struct media, u.op);
  const struct store_media_add *add = &media->u.add;

  buf_media(body, media->req, add->id, add->type, add->name, add->bytes.len);
  return 201;
}

static void add_done(struct store_op *op)
{
  struct media *media = container_of(op, struct media, u.op);

  if (api_went(media->req, op))
    api_answer_op(media->req, op);
}

/* type/subtype, with parameters at most of printable ASCII. */
static bool type_ok(parley_text type)
{
  size_t slash = text_find(type, '/');

  if (type.len > MEDIA_TYPE_BYTES_MAX || slash == 0 || slash + 1 >= type.len)
    return false;
  for (size_t i = 0; i < type.len; i++)
    if (type.at[i] < 0x20 || type.at[i] > 0x7e)
      return false;
  return true;
}

/* The last part of a path, whatever system it comes from: what is shown, never what is opened. */
static parley_text name_clean(parley_text name)
{
  for (size_t i = name.len; i-- > 0;)
    if (name.at[i] == '/' || name.at[i] == '\\') {
      name = text_sub(name, i + 1, SIZE_MAX);
      break;
    }
  return parley_text_is(name, ".") || parley_text_is(name, "..") ? TEXT_EMPTY : name;
}

void api_media_add(struct api_request *req)
{
  struct media *media = arena_alloc(req->arena, sizeof *media);
  struct store_media_add *add = &media->u.add;
  parley_text type = http_header(req->http, "content-type"), name = TEXT_EMPTY;

  media->req = req;
  if (!api_query_text(req, "name", MEDIA_NAME_BYTES_MAX, &name)) {
    api_problems(req);
    return;
  }
  if (text_has_control(name)) {
    api_problem(req, 422, "bad_name", "", "name has no control characters");
    return;
  }
  if (!type_ok(type)) {
    api_problem(req, 422, "bad_type", "Content-Type: image/png", "the Content-Type of the file is needed");
    return;
  }
  if (req->http->body.len == 0) {
    api_problem(req, 422, "empty", "send the file as the body", "the body is empty");
    return;
  }
  add->type = arena_text(req->arena, type);
  add->name = name_clean(name);
  add->bytes = req->http->body;
  if (req->has_idem)
    memcpy(add->sha256, req->idem.body_sha256, SHA256_BYTES);
  else
    sha256(add->bytes, add->sha256);
  media->u.op.render = add_render;
  api_submit(req, &media->u.op, STORE_MEDIA_ADD, add_done);
}

/* --- Looking ------------------------------------------------------------------------------------------------------ */

static void get_done(struct store_op *op)
{
  struct media *media = container_of(op, struct media, u.op);
  const struct store_media *get = &media->u.get;
  struct buf body = BUF_INIT(0);

  if (!api_went(media->req, op))
    return;
  if (op->status == PARLEY_OK)
    buf_media(&body, media->req, get->id, get->type, get->name, get->total_bytes);
  arena_free(&op->arena);
  if (op->status == PARLEY_OK)
    api_answer(media->req, 200, &body);
  else
    api_problem(media->req, 404, "not_found", "", "no such media");
  buf_done(&body);
}

void api_media_get(struct api_request *req)
{
  struct media *media = arena_alloc(req->arena, sizeof *media);

  media->req = req;
  if (api_param_id(req, 0, "med", &media->u.get.id))
    api_look(req, &media->u.op, STORE_MEDIA, get_done);
}

/* --- Opening a link: one answer for whatever is wrong with it ----------------------------------------------------- */

static void link_refuse(struct api_request *req)
{
  api_problem(req, 404, "not_found", "", "there is nothing at this link, or its time is over");
}

static void buf_disposition(struct buf *buf, parley_text name)
{
  buf_str(buf, "attachment");
  if (name.len == 0)
    return;
  buf_str(buf, "; filename*=UTF-8''");
  url_encode(buf, name);
}

static void link_done(struct store_op *op)
{
  struct media *media = container_of(op, struct media, u.op);
  const struct store_media *get = &media->u.get;
  struct arena *results = op->arena;
  struct buf disposition = BUF_INIT(4096);
  parley_pair headers[3];

  if (!api_went(media->req, op))
    return;
  if (op->status != PARLEY_OK) {
    link_refuse(media->req);
  } else {
    buf_disposition(&disposition, get->name);
    headers[0] = (parley_pair){PARLEY_LIT("Content-Disposition"), buf_as_text(&disposition)};
    headers[1] = (parley_pair){PARLEY_LIT("X-Content-Type-Options"), PARLEY_LIT("nosniff")};
    headers[2] = (parley_pair){PARLEY_LIT("Content-Security-Policy"), PARLEY_LIT("sandbox; default-src 'none'")};
    api_answer_with(
        media->req,
        &(struct http_answer){.code = 200, .type = get->type, .headers = headers, .n_headers = 3, .body = get->bytes});
  }
  buf_done(&disposition);
  arena_free(&results);
}

static bool link_ok_now(struct api_request *req, id64 id)
{
  parley_text expires = TEXT_EMPTY, given = TEXT_EMPTY;
  int64_t expires_ms = 0;

  if (!api_query_text(req, "e", 20, &expires) || !api_query_text(req, "s", 64, &given) ||
      !text_to_int(expires, 0, INT64_MAX, &expires_ms))
    return false;
  return media_link_ok(store_secret(req->shared->store), id, expires_ms, given) && expires_ms > req->now_ms;
}

void api_media_link(struct api_request *req)
{
  struct media *media = arena_alloc(req->arena, sizeof *media);

  media->req = req;
  if (!id_parse("med", req->params[0], &media->u.get.id) || !link_ok_now(req, media->u.get.id)) {
    link_refuse(req);
    return;
  }
  media->u.get.limit = API_MEDIA_BYTES_MAX;
  api_look(req, &media->u.op, STORE_MEDIA, link_done);
}
