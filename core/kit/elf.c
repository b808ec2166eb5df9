/* The names that a shared object gives and takes, out of its dynamic symbol table. */
#include "core/base/text.h"
#include "core/config/file.h"
#include "inside.h"
#include <dlfcn.h>
#include <link.h>
#include <string.h>

#define OBJECT_BYTES_MAX ((size_t)64 << 20)

struct object {
  parley_bytes bytes;
  const ElfW(Sym) *symbols;
  size_t n_symbols;
  const char *names;
  size_t names_len;
};

static bool section_whole(parley_bytes bytes, const ElfW(Shdr) *section)
{
  return section->sh_offset <= bytes.len && section->sh_size <= bytes.len - section->sh_offset;
}

static bool object_read(parley_bytes bytes, struct object *ret)
{
  const ElfW(Ehdr) *head = (const void *)bytes.at;
  const ElfW(Shdr) *sections;

  if (bytes.len < sizeof *head || head->e_shoff > bytes.len || head->e_shentsize != sizeof *sections ||
      head->e_shnum > (bytes.len - head->e_shoff) / sizeof *sections)
    return false;
  sections = (const void *)(bytes.at + head->e_shoff);
  for (size_t i = 0; i < head->e_shnum; i++) {
    const ElfW(Shdr) *names = sections[i].sh_link < head->e_shnum ? &sections[sections[i].sh_link] : NULL;

    if (sections[i].sh_type != SHT_DYNSYM || names == NULL || !section_whole(bytes, &sections[i]) || !section_whole(bytes, names))
      continue;
    ret->symbols = (const void *)(bytes.at + sections[i].sh_offset);
    ret->n_symbols = sections[i].sh_size / sizeof *ret->symbols;
    ret->names = bytes.at + names->sh_offset;
    ret->names_len = names->sh_size;
    return true;
  }
  return false;
}

/* Names of the language's own machinery: sanitizers, the linker's marks. */
static bool name_reserved(const char *name)
{
  static const char *const marks[] = {"_init", "_fini", "_edata", "_end", "_ITM_", "__"};

  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
    if (strncmp(name, marks[i], strlen(marks[i])) == 0)
      return true;
  return false;
}

static void symbol_judge(const ElfW(Sym) *symbol, const char *name, void *so, struct kit_symbols *ret)
{
  unsigned bind = ELF64_ST_BIND(symbol->st_info);

  if (name[0] == '\0' || bind == STB_LOCAL || name_reserved(name))
    return;
  if (symbol->st_shndx != SHN_UNDEF) {
    if (ELF64_ST_VISIBILITY(symbol->st_other) == STV_DEFAULT)
      buf_printf(&ret->exported, "%s%s", ret->exported.len > 0 ? " " : "", name);
  } else if (bind != STB_WEAK && dlsym(so, name) == NULL) { /* looks through the object and what it needs, not through us */
    buf_printf(&ret->unresolved, "%s%s", ret->unresolved.len > 0 ? " " : "", name);
  }
}

parley_status kit_symbols_read(const char *path, void *so, struct kit_symbols *ret, struct buf *reterr_why)
{
  struct buf bytes = BUF_INIT(OBJECT_BYTES_MAX);
  struct object object = {0};
  parley_status st = file_read(path, OBJECT_BYTES_MAX, 0, &bytes, reterr_why);

  ret->exported = ret->unresolved = BUF_INIT(2000);
  if (st == PARLEY_OK && !object_read(buf_as_text(&bytes), &object)) {
    buf_printf(reterr_why, "%s has no table of dynamic symbols", path);
    st = PARLEY_INVALID;
  }
  for (size_t i = 0; st == PARLEY_OK && i < object.n_symbols; i++)
    if (object.symbols[i].st_name < object.names_len)
      symbol_judge(&object.symbols[i], object.names + object.symbols[i].st_name, so, ret);
  buf_done(&bytes);
  return st;
}
