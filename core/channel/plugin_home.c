/* Where our own plugins, parley-plugin-host and parley-phone.so stand, seen from the running program: beside it in a build folder,
 * under lib/parley where it is installed. */
#include "plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first of the two that exists, as a real path; else empty. */
static void home_pick(const char *bin, const char *built, const char *installed, char to[PATH_MAX])
{
  const char *const places[] = {built, installed};
  char path[PATH_MAX];

  for (size_t i = 0; i < 2; i++)
    if (snprintf(path, sizeof path, "%s/%s", bin, places[i]) < (int)sizeof path && realpath(path, to) != NULL)
      return;
  to[0] = '\0';
}

void plugin_home_find(struct plugin_home *ret)
{
  char bin[PATH_MAX];
  ssize_t len = readlink("/proc/self/exe", bin, sizeof bin - 1);
  char *slash;

  bin[len < 0 ? 0 : len] = '\0';
  slash = strrchr(bin, '/');
  if (slash != NULL)
    *slash = '\0';
  home_pick(bin, "../plugins", "../lib/parley/plugins", ret->own_dir);
  home_pick(bin, "parley-plugin-host", "../lib/parley/parley-plugin-host", ret->host_program);
  home_pick(bin, "parley-phone.so", "../lib/parley/parley-phone.so", ret->phone_table);
}

void plugin_source_init(struct plugin_source *source, const struct conf *conf, const struct plugin_home *home, const char *run_dir,
                        const char *const *offered)
{
  *source = (struct plugin_source){.dirs = conf->plugin_dirs,
                                   .n_dirs = conf->n_plugin_dirs,
                                   .run_dir = run_dir,
                                   .own_dir = home->own_dir,
                                   .host_program = home->host_program[0] != '\0' ? home->host_program : NULL,
                                   .offered = offered};
}
