#include "plugin.h"
#include "core/base/alloc.h"
#include "core/base/digest.h"
#include "core/base/text.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGIN_BYTES_MAX ((off_t)64 << 20)
#define PLUGIN_SYMBOL "parley_plugin_v1"

static bool plugin_name_ok(const char *name)
{
  size_t len = strlen(name);

  return len > 0 && len <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* Nobody but root and ourselves may be able to change what is about to run. */
static parley_status plugin_check_mode(const char *path, const struct stat *st, struct buf *why)
{
  if (st->st_uid != 0 && st->st_uid != geteuid()) {
    buf_printf(why, "%s belongs to another user (uid %u); only root's or our own plugins are loaded", path, st->st_uid);
    return PARLEY_DENIED;
  }
  if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    buf_printf(why, "%s may be written by others (mode %04o); chmod go-w", path, st->st_mode & 07777);
    return PARLEY_DENIED;
  }
  return PARLEY_OK;
}

/* Opens the first NAME.so found; *path is the place. */
static parley_status plugin_open(const char *name, const parley_text *dirs, size_t n_dirs, char path[PATH_MAX], int *ret_fd,
                                 struct buf *why)
{
  struct stat dir, st;
  int fd = -1;

  for (size_t i = 0; i < n_dirs && fd < 0; i++) {
    if (stat(dirs[i].at, &dir) != 0 || snprintf(path, PATH_MAX, "%s/%s.so", dirs[i].at, name) >= PATH_MAX)
      continue;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && plugin_check_mode(dirs[i].at, &dir, why) != PARLEY_OK) {
      close(fd);
      return PARLEY_DENIED;
    }
  }
  if (fd < 0) {
    buf_printf(why, "no %s.so in plugins.dirs:", name);
    for (size_t i = 0; i < n_dirs; i++)
      buf_printf(why, " %s", dirs[i].at);
    return PARLEY_NOT_FOUND;
  }
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > PLUGIN_BYTES_MAX) {
    buf_printf(why, "%s is not a plain file of at most 64 MiB", path);
    close(fd);
    return PARLEY_INVALID;
  }
  if (plugin_check_mode(path, &st, why) != PARLEY_OK) {
    close(fd);
    return PARLEY_DENIED;
  }
  *ret_fd = fd;
  return PARLEY_OK;
}

static parley_status plugin_read(int fd, struct buf *bytes)
{
  char block[65536];
  ssize_t got;

  while ((got = read(fd, block, sizeof block)) > 0)
    buf_add(bytes, block, (size_t)got);
  return got == 0 && !bytes->overflow ? PARLEY_OK : PARLEY_FAILED;
}

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* the head of this very program */

/* dlopen() says "no such file" of another machine's, and "file too short" of a text. */
static parley_status plugin_check_machine(parley_bytes bytes, const char *path, struct buf *why)
{
  ElfW(Ehdr) head;

  if (bytes.len < sizeof head || memcmp(bytes.at, ELFMAG, SELFMAG) != 0) {
    buf_printf(why, "%s is not a shared object (ELF)", path);
    return PARLEY_INVALID;
  }
  memcpy(&head, bytes.at, sizeof head);
  if (head.e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS] && head.e_ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA] &&
      head.e_machine == __ehdr_start.e_machine)
    return PARLEY_OK;
  buf_printf(why, "%s was built for another machine", path);
  return PARLEY_INVALID;
}

/* The copy is named by its hash, so that another file is another path to dlopen(), and what runs is never written again. */
static parley_status plugin_copy(int fd, const char *name, const char *run_dir, struct plugin *plugin, char copy[PATH_MAX],
                                 struct buf *why)
{
  struct buf bytes = BUF_INIT((size_t)PLUGIN_BYTES_MAX);
  struct buf hex = BUF_INIT(128);
  parley_status st = plugin_read(fd, &bytes);
  int out = -1;

  if (st != PARLEY_OK) {
    buf_printf(why, "%s.so cannot be read: %s", name, strerror(errno));
    goto done;
  }
  st = plugin_check_machine(buf_as_text(&bytes), plugin->path, why);
  if (st != PARLEY_OK)
    goto done;
  sha256(buf_as_text(&bytes), plugin->sha256);
  buf_hex(&hex, plugin->sha256, 16);
  snprintf(copy, PATH_MAX, "%s/%s-%s.so", run_dir, name, hex.at);
  out = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
  if (out < 0 || write(out, bytes.at, bytes.len) != (ssize_t)bytes.len) {
    buf_printf(why, "%s cannot be written: %s", copy, strerror(errno));
    unlink(copy);
    st = PARLEY_FAILED;
  }
done:
  if (out >= 0)
    close(out);
  buf_done(&bytes);
  buf_done(&hex);
  return st;
}

/* A folder of our own under `parent`, 0700. */
static parley_status plugin_dir_make(const char *parent, char dir[PATH_MAX - NAME_MAX], struct buf *why)
{
  if (parent[0] == '/' && snprintf(dir, PATH_MAX - NAME_MAX, "%s/parleyd-XXXXXX", parent) < PATH_MAX - NAME_MAX &&
      mkdtemp(dir) != NULL)
    return PARLEY_OK;
  buf_printf(why, "no folder for the plugin's copy can be made in %s: %s", parent, strerror(errno));
  return PARLEY_FAILED;
}

static bool plugin_offered(const char *const *offered, const char *id)
{
  for (; *offered != NULL; offered++)
    if (strcmp(*offered, id) == 0)
      return true;
  return false;
}

#define PLUGIN_BYTES_MIN (offsetof(parley_plugin, destroy) + sizeof(((parley_plugin *)0)->destroy))

static parley_status plugin_check(const parley_plugin *table, const char *name, const char *const *offered, struct buf *why)
{
  if (table->size < PLUGIN_BYTES_MIN || table->abi_major != PARLEY_ABI_MAJOR) {
    buf_printf(why, "%s.so was built for plugin ABI %u; this daemon speaks %d.%d", name, table->abi_major, PARLEY_ABI_MAJOR,
               PARLEY_ABI_MINOR);
    return PARLEY_INVALID;
  }
  if (table->abi_minor_needed > PARLEY_ABI_MINOR) {
    buf_printf(why, "%s.so needs plugin ABI %d.%u; this daemon speaks %d.%d", name, PARLEY_ABI_MAJOR, table->abi_minor_needed,
               PARLEY_ABI_MAJOR, PARLEY_ABI_MINOR);
    return PARLEY_INVALID;
  }
  if (table->name == NULL || strcmp(table->name, name) != 0) {
    buf_printf(why, "%s.so calls itself '%s'; file and plugin must have the same name", name, table->name ? table->name : "");
    return PARLEY_INVALID;
  }
  if (table->create == NULL || table->start == NULL || table->destroy == NULL || table->capabilities == NULL ||
      table->capabilities->address_kind == NULL || table->capabilities->channel_kind == NULL) {
    buf_printf(why, "%s.so lacks a required member: create, start, destroy, capabilities with address_kind and channel_kind",
               name);
    return PARLEY_INVALID;
  }
  for (const char *const *id = table->requires_ids; id != NULL && *id != NULL; id++)
    if (!plugin_offered(offered, *id)) {
      buf_printf(why, "%s.so needs the extension %s, which this daemon does not offer", name, *id);
      return PARLEY_INVALID;
    }
  return PARLEY_OK;
}

static parley_status plugin_link(struct plugin *plugin, const char *copy, const char *const *offered, struct buf *why)
{
  plugin->handle = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
  if (plugin->handle == NULL) {
    buf_printf(why, "%s.so cannot be loaded: %s", plugin->name, dlerror());
    return PARLEY_INVALID;
  }
  plugin->table = dlsym(plugin->handle, PLUGIN_SYMBOL);
  if (plugin->table == NULL) {
    buf_printf(why, "%s.so exports no " PLUGIN_SYMBOL ": it is not a Parley plugin", plugin->name);
    return PARLEY_INVALID;
  }
  return plugin_check(plugin->table, plugin->name, offered, why);
}

parley_status plugin_load(const char *name, const parley_text *dirs, size_t n_dirs, const char *run_dir,
                          const char *const *offered, struct plugin **ret, struct buf *reterr_why)
{
  struct plugin *plugin = NULL;
  char path[PATH_MAX], copy[PATH_MAX], dir[PATH_MAX - NAME_MAX];
  parley_status st = PARLEY_INVALID;
  int fd = -1;

  if (!plugin_name_ok(name)) {
    buf_printf(reterr_why, "a plugin's name is made of a-z 0-9 _ - and at most 64 long");
    return PARLEY_INVALID;
  }
  st = plugin_open(name, dirs, n_dirs, path, &fd, reterr_why);
  if (st == PARLEY_OK)
    st = plugin_dir_make(run_dir, dir, reterr_why);
  if (st != PARLEY_OK) {
    if (fd >= 0)
      close(fd);
    return st;
  }
  plugin = xcalloc(1, sizeof *plugin);
  plugin->refs = 1;
  plugin->name = xstrdup(name);
  plugin->path = xstrdup(path);
  st = plugin_copy(fd, name, dir, plugin, copy, reterr_why);
  if (st == PARLEY_OK) {
    st = plugin_link(plugin, copy, offered, reterr_why);
    unlink(copy); /* the mapping stays, the name is not needed again */
  }
  rmdir(dir);
  close(fd);
  if (st == PARLEY_OK)
    *ret = plugin;
  else
    plugin_unref(&plugin);
  return st;
}

struct plugin *plugin_ref(struct plugin *plugin)
{
  plugin->refs++;
  return plugin;
}

void plugin_unref(struct plugin **plugin)
{
  struct plugin *gone = *plugin;

  *plugin = NULL;
  if (gone == NULL || --gone->refs > 0)
    return;
  free(gone->name); /* the library stays mapped: see plugin.h */
  free(gone->path);
  free(gone);
}

const void *plugin_offer(const struct plugin *plugin, const char *id)
{
  for (const parley_extension *const *offer = plugin->table->offers; offer != NULL && *offer != NULL; offer++)
    if (strcmp((*offer)->id, id) == 0)
      return (*offer)->table;
  return NULL;
}
