/* What earlier runs left in the store: keys, subscriptions and paused channels, read one kind after the other. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdlib.h>

struct load {
  struct api *api;
  size_t kind;
  struct store_docs op;
};

static void load_key(struct api *api, const struct doc *doc)
{
  api_keys_changed(api, doc, false);
}

static void load_paused(struct api *api, const struct doc *doc)
{
  api_paused_put(api, doc->name, true);
}

static const struct {
  const char *kind;
  void (*take)(struct api *api, const struct doc *doc);
} kinds[] = {{"key", load_key}, {"channel", load_paused}, {"subscription", api_subscriptions_loaded},
             {"template", api_templates_loaded}};

static void load_next(struct load *load);

static void load_over(struct load *load, parley_status status)
{
  struct api *api = load->api;

  free(load);
  if (status == PARLEY_OK && !api->closing) {
    api->started = true;
    api_templates_link(api);
    api_subscriptions_configure(api);
    feed_subscribed(api->shared.feed);
  }
  api->open--;
  if (api->closing)
    api_maybe_closed(api);
  else
    api->loaded(status, api->loaded_arg);
}

static void load_done(struct store_op *op)
{
  struct load *load = container_of(op, struct load, op.op);
  parley_status status = op->status == PARLEY_NOT_FOUND ? PARLEY_OK : op->status;

  for (size_t i = 0; op->status == PARLEY_OK && !load->api->closing && i < load->op.n; i++)
    kinds[load->kind].take(load->api, &load->op.rows[i]);
  arena_free(&op->arena);
  if (status == PARLEY_OK && ++load->kind < COUNT_OF(kinds))
    load_next(load);
  else
    load_over(load, status);
}

static void load_next(struct load *load)
{
  load->op = (struct store_docs){.op = {.kind = STORE_DOCS, .done = load_done},
                                 .kind = parley_text_of(kinds[load->kind].kind),
                                 .name = TEXT_EMPTY};
  store_submit(load->api->shared.store, &load->op.op);
}

void api_start(struct api *api, void (*loaded)(parley_status status, void *arg), void *arg)
{
  struct load *load = xcalloc(1, sizeof *load);

  load->api = api;
  api->loaded = loaded;
  api->loaded_arg = arg;
  api->open++;
  load_next(load);
}
