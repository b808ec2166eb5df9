/* parley plugin new: a plugin to start from, built and tested outside of this repository. The texts stand in templates/
 * and are compiled in (cmake/embed.cmake); @NAME@ in them becomes the plugin's name. */
#include "command.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <templates.h>
#include <unistd.h>

#define PLUGIN_NAME_BYTES_MAX 64
#define PLUGIN_FILE_BYTES_MAX ((size_t)64 << 10)

struct new_file {
  const char *name, *ending;
  parley_text text;
};

static bool name_ok(const char *name)
{
  size_t len = strlen(name);

  return len > 0 && len <= PLUGIN_NAME_BYTES_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len &&
         name[0] != '-' && name[0] != '_';
}

/* The template with every @NAME@ and @PLUGINS@ filled in. */
static void template_fill(struct buf *to, parley_text from, const char *name)
{
  static const char name_mark[] = "@NAME@", plugins_mark[] = "@PLUGINS@";

  for (size_t i = 0; i < from.len;) {
    if (from.len - i >= sizeof name_mark - 1 && memcmp(from.at + i, name_mark, sizeof name_mark - 1) == 0) {
      buf_str(to, name);
      i += sizeof name_mark - 1;
    } else if (from.len - i >= sizeof plugins_mark - 1 &&
               memcmp(from.at + i, plugins_mark, sizeof plugins_mark - 1) == 0) {
      buf_str(to, PARLEY_PLUGINDIR);
      i += sizeof plugins_mark - 1;
    } else {
      buf_char(to, from.at[i++]);
    }
  }
}

/* PATH must not exist yet. */
static bool file_write(const char *path, parley_text text)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  bool ok = fd >= 0;

  for (size_t done = 0; ok && done < text.len;) {
    ssize_t wrote = write(fd, text.at + done, text.len - done);

    ok = wrote > 0;
    done += ok ? (size_t)wrote : 0;
  }
  if (fd >= 0 && close(fd) != 0)
    ok = false;
  return ok;
}

#define NEW_FILES 3

static bool plugin_path(char path[PATH_MAX], const char *folder, const struct new_file *file)
{
  return snprintf(path, PATH_MAX, "%s/%s%s", folder, file->name, file->ending) < PATH_MAX;
}

/* All of them, or none and no folder either. */
static bool plugin_write(const char *folder, const char *name, const struct new_file files[NEW_FILES])
{
  char path[PATH_MAX] = "";
  bool ok = true;

  for (size_t i = 0; i < NEW_FILES && ok; i++) {
    struct buf text = BUF_INIT(PLUGIN_FILE_BYTES_MAX);

    template_fill(&text, files[i].text, name);
    ok = plugin_path(path, folder, &files[i]) && file_write(path, buf_as_text(&text));
    buf_done(&text);
  }
  if (ok)
    return true;
  cli_complain("%s cannot be written: %s", path, strerror(errno));
  for (size_t i = 0; i < NEW_FILES; i++)
    if (plugin_path(path, folder, &files[i]))
      unlink(path);
  rmdir(folder);
  return false;
}

static int folder_refused(const char *folder, const char *dir, const char *name)
{
  if (errno == EEXIST)
    cli_complain("%s exists and stays as it is: take another name or another --dir", folder);
  else if (errno == ENOENT)
    cli_complain("there is no folder %s to make %s in: mkdir -p %s", dir, name, dir);
  else
    cli_complain("%s cannot be made: %s", folder, strerror(errno));
  return CLI_FAILED;
}

int cli_plugin_new(struct cli *cli)
{
  const char *name = cli->words[0], *dir = cli_given(cli, "dir");
  const struct new_file files[NEW_FILES] = {{name, ".c", PARLEY_TEMPLATE_PLUGIN_C},
                                            {"CMakeLists.txt", "", PARLEY_TEMPLATE_CMAKELISTS_TXT},
                                            {"README.md", "", PARLEY_TEMPLATE_README_MD}};
  char folder[PATH_MAX];

  if (!name_ok(name)) {
    cli_complain("'%s' is no name for a plugin: use a-z 0-9 _ -, a letter or digit first, at most %d", name,
                 PLUGIN_NAME_BYTES_MAX);
    return CLI_USAGE;
  }
  dir = dir != NULL ? dir : ".";
  if (snprintf(folder, sizeof folder, "%s/%s", dir, name) >= (int)sizeof folder) {
    cli_complain("--dir is too long");
    return CLI_USAGE;
  }
  if (mkdir(folder, 0755) != 0)
    return folder_refused(folder, dir, name);
  if (!plugin_write(folder, name, files))
    return CLI_FAILED;
  printf("%s: %s.c, CMakeLists.txt, README.md\nNext: cd %s && cmake -B build && cmake --build build && ctest "
         "--test-dir build --output-on-failure\n",
         folder, name, folder);
  return CLI_OK;
}
