/* From a file in plugins.dirs to a plugin: who may write it, what machine it is for, its private copy. In parleyd only. */
#include "plugin_in.h"
#include "core/base/alloc.h"
#include "core/base/digest.h"
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

static bool elf_holds(parley_bytes bytes, uint64_t at, uint64_t len)
{
  return at <= bytes.len && len <= bytes.len - at;
}

/* A file that is still being copied: dlopen() would map pages that aren't there, and whoever touches them is gone. Linkers write the
 * table of sections last. */
static parley_status plugin_check_whole(parley_bytes bytes, const char *path, struct buf *why)
{
  ElfW(Ehdr) head;
  ElfW(Phdr) segment;
  bool whole;

  memcpy(&head, bytes.at, sizeof head);
  whole = head.e_phentsize == sizeof segment && elf_holds(bytes, head.e_phoff, (uint64_t)head.e_phnum * sizeof segment) &&
          (head.e_shoff == 0 || elf_holds(bytes, head.e_shoff, (uint64_t)head.e_shnum * head.e_shentsize));
  for (size_t i = 0; whole && i < head.e_phnum; i++) {
    memcpy(&segment, bytes.at + head.e_phoff + i * sizeof segment, sizeof segment);
    whole = segment.p_type != PT_LOAD || elf_holds(bytes, segment.p_offset, segment.p_filesz);
  }
  if (!whole)
    buf_printf(why, "%s is cut off: it ends before what its own headers name; copy it beside, then rename it", path);
  return whole ? PARLEY_OK : PARLEY_INVALID;
}

/* The copy is named by its hash, so that another file is another path to dlopen(), and what runs is never written again. */
static parley_status plugin_copy(const struct plugin *plugin, parley_bytes bytes, const char *dir, char copy[PATH_MAX], struct buf *why)
{
  struct buf hex = BUF_INIT(128);
  int out;
  parley_status st = PARLEY_OK;

  buf_hex(&hex, plugin->sha256, 16);
  snprintf(copy, PATH_MAX, "%s/%s-%s.so", dir, plugin->name, hex.at);
  buf_done(&hex);
  out = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
  if (out < 0 || write(out, bytes.at, bytes.len) != (ssize_t)bytes.len) {
    buf_printf(why, "%s cannot be written: %s", copy, strerror(errno));
    unlink(copy);
    st = PARLEY_FAILED;
  }
  if (out >= 0)
    close(out);
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

/* Inside of this process. */
static parley_status plugin_set_inline(struct plugin *plugin, parley_bytes bytes, const struct plugin_source *source, struct buf *why)
{
  char copy[PATH_MAX], dir[PATH_MAX - NAME_MAX];
  parley_status st = plugin_dir_make(source->run_dir, dir, why);

  if (st != PARLEY_OK)
    return st;
  st = plugin_copy(plugin, bytes, dir, copy, why);
  if (st == PARLEY_OK) {
    st = plugin_link(plugin, copy, source->offered, why);
    unlink(copy); /* the mapping stays, the name is not needed again */
  }
  rmdir(dir);
  return st;
}

static struct plugin *shelf_find(const struct plugin_shelf *shelf, const struct plugin *like)
{
  for (size_t i = 0; shelf != NULL && i < shelf->n; i++)
    if (shelf->plugins[i]->apart == like->apart && strcmp(shelf->plugins[i]->name, like->name) == 0 &&
        memcmp(shelf->plugins[i]->sha256, like->sha256, sizeof like->sha256) == 0)
      return shelf->plugins[i];
  return NULL;
}

static void shelf_add(struct plugin_shelf *shelf, struct plugin *plugin)
{
  if (shelf == NULL)
    return;
  shelf->plugins = xrealloc(shelf->plugins, (shelf->n + 1) * sizeof(struct plugin *));
  shelf->plugins[shelf->n++] = plugin_ref(plugin);
}

void plugin_shelf_sweep(struct plugin_shelf *shelf, bool all)
{
  size_t kept = 0;

  for (size_t i = 0; i < shelf->n; i++) {
    if (all || (shelf->plugins[i]->apart && atomic_load(&shelf->plugins[i]->refs) == 1))
      plugin_unref(&shelf->plugins[i]);
    else
      shelf->plugins[kept++] = shelf->plugins[i];
  }
  shelf->n = kept;
  if (all) {
    free(shelf->plugins);
    shelf->plugins = NULL;
  }
}

static bool plugin_goes_apart(const char *path, enum conf_isolation isolation, const struct plugin_source *source)
{
  size_t own = source->own_dir != NULL ? strlen(source->own_dir) : 0;
  char real[PATH_MAX];

  if (isolation != CONF_ISOLATION_DEFAULT)
    return isolation == CONF_PROCESS;
  if (own == 0 || realpath(path, real) == NULL)
    return source->own_dir != NULL;
  return strncmp(real, source->own_dir, own) != 0 || real[own] != '/';
}

/* What is in the file, and whether that may be loaded at all. */
static parley_status plugin_take(struct plugin **plugin, parley_bytes bytes, const struct plugin_source *source, struct buf *why)
{
  struct plugin *known;
  parley_status st = plugin_check_machine(bytes, (*plugin)->path, why);

  if (st == PARLEY_OK)
    st = plugin_check_whole(bytes, (*plugin)->path, why);
  if (st != PARLEY_OK)
    return st;
  sha256(bytes, (*plugin)->sha256);
  known = shelf_find(source->shelf, *plugin);
  if (known != NULL) {
    plugin_unref(plugin);
    *plugin = plugin_ref(known);
    return PARLEY_OK;
  }
  st = (*plugin)->apart ? plugin_set_apart(*plugin, bytes, source, why) : plugin_set_inline(*plugin, bytes, source, why);
  if (st == PARLEY_OK)
    shelf_add(source->shelf, *plugin);
  return st;
}

parley_status plugin_load(const char *name, enum conf_isolation isolation, const struct plugin_source *source, struct plugin **ret,
                          struct buf *reterr_why)
{
  struct buf bytes = BUF_INIT((size_t)PLUGIN_BYTES_MAX);
  struct plugin *plugin;
  char path[PATH_MAX];
  parley_status st;
  int fd = -1;

  if (!plugin_name_ok(name)) {
    buf_printf(reterr_why, "a plugin's name is made of a-z 0-9 _ - and at most 64 long");
    return PARLEY_INVALID;
  }
  st = plugin_open(name, source->dirs, source->n_dirs, path, &fd, reterr_why);
  if (st != PARLEY_OK)
    return st;
  st = plugin_read(fd, &bytes);
  if (st != PARLEY_OK)
    buf_printf(reterr_why, "%s.so cannot be read: %s", name, strerror(errno));
  close(fd);
  plugin = plugin_new(name, path);
  plugin->apart = plugin_goes_apart(path, isolation, source);
  if (st == PARLEY_OK)
    st = plugin_take(&plugin, buf_as_text(&bytes), source, reterr_why);
  buf_done(&bytes);
  if (st == PARLEY_OK)
    *ret = plugin;
  else
    plugin_unref(&plugin);
  return st;
}

