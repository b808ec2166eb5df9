"""The plugin ABI as a table, and the rule by which it grows: a line is never changed, lines are added with a minor step.

usage: abi_table.py             prints the table of include/parley
       abi_table.py --write     freezes it as tests/vectors/abi-1.MINOR: the tables and a copy of the headers

The compiler's own debug information says where each member of each public struct lies and of which type it is; the
preprocessor says what each macro is. Two data models: lp64 as the compiler builds, and ilp32 where it can (-m32; a few
lines stand in for the C library's headers, which need not be installed for it). Headers that call themselves a draft
are left out: no host offers them yet. Python's standard library, gcc and readelf."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VECTORS = os.path.join(TOP, "tests", "vectors")
INCLUDE = os.path.join(TOP, "include")
MODELS = {"lp64": ["-m64"], "ilp32": ["-m32", "-ffreestanding"]}
STRING_H = "#include <stddef.h>\nsize_t strlen(const char *);\nint memcmp(const void *, const void *, size_t);\n"
FROZEN = ["parley_text", "parley_pair"]  # these may not even grow
DRAFT = re.compile(r"\bA draft\b")
ENTRY = re.compile(r"^ <(\d+)><([0-9a-f]+)>: Abbrev Number: \d+ \((DW_TAG_\w+)\)")
ATTRIBUTE = re.compile(r"^\s+<[0-9a-f]+>\s+(DW_AT_\w+)\s*:\s*(.*)$")
INDIRECT = re.compile(r"^\(indirect (?:line )?string, offset: 0x[0-9a-f]+\): ")


class AbiError(Exception):
    """The table can't be made, or breaks the rule."""


def headers(include):
    """The frozen public headers below `include`, as they are included."""
    found = []
    for parent, _, names in os.walk(os.path.join(include, "parley")):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, encoding="utf-8") as file:
                if name.endswith(".h") and not DRAFT.search(file.read().split("*/", 1)[0]):
                    found.append(os.path.relpath(path, include))
    return sorted(found)


def compiled(include, flags, folder, model):
    source = os.path.join(folder, "all.c")
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(f"#include <{name}>\n" for name in headers(include))
    command = ["gcc", "-std=c11", "-I", include, *MODELS[model], *flags, source]
    if model == "ilp32":
        with open(os.path.join(folder, "string.h"), "w", encoding="utf-8") as file:
            file.write(STRING_H)
        command += ["-I", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise AbiError(done.stderr.strip() or "gcc failed")
    return done.stdout


def can_build(model):
    with tempfile.TemporaryDirectory(prefix="parley-abi-") as folder:
        source = os.path.join(folder, "none.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <stddef.h>\nint none(void) { return 0; }\n")
        return subprocess.run(["gcc", *MODELS[model], "-c", "-o", os.devnull, source], capture_output=True).returncode == 0


class Entry:
    """One debug information entry: a type, a member, a constant."""

    def __init__(self, tag):
        self.tag = tag[len("DW_TAG_"):]
        self.attributes = {}
        self.children = []

    def get(self, name, default=""):
        return self.attributes.get("DW_AT_" + name, default)

    def number(self, name):
        return int(self.get(name, "0").split()[0], 0)


def debug_entries(path):
    """{offset: Entry} of an object file."""
    dump = subprocess.run(["readelf", "--debug-dump=info", path], capture_output=True, text=True, check=True).stdout
    entries, above, entry = {}, [], None
    for line in dump.splitlines():
        begun = ENTRY.match(line)
        if begun:
            depth, entry = int(begun.group(1)), Entry(begun.group(3))
            entries["0x" + begun.group(2)] = entry
            del above[depth:]
            if above:
                above[-1].children.append(entry)
            above.append(entry)
            continue
        attribute = ATTRIBUTE.match(line)
        if attribute and entry is not None:
            entry.attributes[attribute.group(1)] = INDIRECT.sub("", attribute.group(2)).strip().strip("<>")
    return entries


class Table:
    def __init__(self, entries):
        self.entries = entries
        self.lines = []

    def type_of(self, entry):
        return self.entries.get(entry.get("type"))

    def declare(self, entry, name=""):
        """The type as C writes it, around a name."""
        if entry is None:
            return f"void {name}".strip()
        inner = self.type_of(entry)
        if entry.tag == "pointer_type":
            return self.declare(inner, f"(*{name})" if inner is not None and inner.tag == "subroutine_type" else f"*{name}")
        if entry.tag == "const_type":
            if inner is not None and inner.tag == "pointer_type":
                return self.declare(inner, f"const {name}".strip())
            return "const " + self.declare(inner, name)
        if entry.tag == "array_type":
            bound = next(child for child in entry.children if child.tag == "subrange_type")
            return self.declare(inner, f"{name}[{bound.number('upper_bound') + 1 if bound.get('upper_bound') else ''}]")
        if entry.tag == "subroutine_type":
            given = [self.declare(self.type_of(child)) for child in entry.children if child.tag == "formal_parameter"]
            return self.declare(inner, f"{name}({', '.join(given) or 'void'})")
        word = {"structure_type": "struct ", "enumeration_type": "enum ", "union_type": "union "}.get(entry.tag, "")
        return f"{word}{entry.get('name')} {name}".strip()

    def size_of(self, entry):
        while entry is not None and not entry.get("byte_size"):
            entry = self.type_of(entry)
        return entry.number("byte_size") if entry is not None else 0

    def struct(self, entry):
        name, end = entry.get("name"), 0
        for member in entry.children:
            if member.tag != "member":
                continue
            at, size = member.number("data_member_location"), self.size_of(self.type_of(member))
            if at != end:
                raise AbiError(f"{name}: a hole of {at - end} bytes before {member.get('name')}; name it `reserved`")
            end = at + size
            self.lines.append(f"{name}.{member.get('name')} at {at} size {size}: {self.declare(self.type_of(member))}")
        if end != entry.number("byte_size"):
            raise AbiError(f"{name}: a hole of {entry.number('byte_size') - end} bytes at its end: PARLEY_HAS would answer yes "
                           "for a member that an older side never wrote; fill it with `reserved`")
        self.lines.append(f"sizeof {name} {end}")

    def add(self, entry):
        name = entry.get("name")
        if entry.tag == "structure_type" and name.startswith("parley_") and entry.children:
            self.struct(entry)
        elif entry.tag == "enumeration_type":
            self.lines += [f"{child.get('name')} = {int(child.get('const_value').split()[0], 0)}" for child in entry.children
                           if child.get("name").startswith("PARLEY_")]
        elif entry.tag == "typedef" and name.startswith("parley_"):
            self.lines.append(f"typedef {self.declare(self.type_of(entry), name)}")
        elif entry.tag == "variable" and name.startswith("parley_"):
            self.lines.append(f"symbol {self.declare(self.type_of(entry), name)}")


def macros(include, folder, model):
    """Macros that take no arguments, but for include guards and the minor, which every table has in its name."""
    for line in compiled(include, ["-E", "-dM"], folder, model).splitlines():
        found = re.match(r"#define (PARLEY_\w+) (.+)$", line)
        if found and found.group(1) != "PARLEY_ABI_MINOR":
            yield f"#define {found.group(1)} {found.group(2)}"


def order(line):
    """Constants first, then each struct with its members as they lie, then the types of functions."""
    member = re.match(r"(\w+)\.\w+ at (\d+) ", line)
    if member:
        return 1, member.group(1), int(member.group(2)), line
    if line.startswith("sizeof "):
        return 1, line.split()[1], sys.maxsize, line
    return 2 if line.startswith(("typedef ", "symbol ")) else 0, "", 0, line


def make(include, model):
    """The table's lines in order. Raises AbiError when a struct has a hole."""
    with tempfile.TemporaryDirectory(prefix="parley-abi-") as folder:
        built = os.path.join(folder, "all.o")
        compiled(include, ["-g", "-gdwarf-4", "-fno-eliminate-unused-debug-types", "-c", "-o", built], folder, model)
        entries = debug_entries(built)
        table = Table(entries)
        for unit in entries.values():
            if unit.tag == "compile_unit":
                for entry in unit.children:
                    table.add(entry)
        return sorted(set(table.lines) | set(macros(include, folder, model)), key=order)


def minor_of(include):
    with open(os.path.join(include, "parley", "plugin.h"), encoding="utf-8") as file:
        return int(re.search(r"^#define PARLEY_ABI_MINOR (\d+)", file.read(), re.M).group(1))


def table_path(vectors, minor, model):
    return os.path.join(vectors, f"abi-1.{minor}", model + ".txt")


def table_read(path):
    with open(path, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line and not line.startswith("# ")]


def kept(old, lines):
    """Is this line of an older table still true?"""
    if old in lines:
        return True
    found = re.match(r"sizeof (\w+) (\d+)$", old)
    if not found or found.group(1) in FROZEN:
        return False
    return any(re.match(rf"sizeof {found.group(1)} (\d+)$", line) and int(line.split()[-1]) > int(found.group(2)) for line in lines)


def check(include, vectors, model):
    """What breaks the rule, as sentences."""
    minor = minor_of(include)
    lines = make(include, model)
    faults = []
    for older in range(minor + 1):
        path = table_path(vectors, older, model)
        if not os.path.exists(path):
            faults.append(f"there is no table of ABI 1.{older}: python3 tests/contract/abi_table.py --write freezes this one")
            continue
        table = table_read(path)
        faults += [f"ABI 1.{older} promised: {line}" for line in table if not kept(line, set(lines))]
        if older == minor:
            faults += [f"not in ABI 1.{minor}, so PARLEY_ABI_MINOR must be {minor + 1}: {line}" for line in lines
                       if line not in table and (minor_line(line, table))]
    return faults


def minor_line(line, table):
    """A struct that grew is told once, by its new members."""
    return not (line.startswith("sizeof ") and any(old.startswith(line.rsplit(" ", 1)[0] + " ") for old in table))


def write(include, vectors):
    minor = minor_of(include)
    folder = os.path.join(vectors, f"abi-1.{minor}")
    if os.path.exists(folder):
        raise AbiError(f"{folder} is there: what was published is never written again; raise PARLEY_ABI_MINOR")
    os.makedirs(folder)
    for model in MODELS:
        if not can_build(model):
            raise AbiError(f"gcc builds no {model} here")
        with open(table_path(vectors, minor, model), "w", encoding="utf-8") as file:
            file.write(f"# The plugin ABI 1.{minor}, {model}, as tests/contract/abi_table.py wrote it. Never edited.\n")
            file.writelines(line + "\n" for line in make(include, model))
    for name in headers(include):
        copy = os.path.join(folder, "include", name)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(os.path.join(include, name), copy)
    return folder


def main():
    try:
        if sys.argv[1:] == ["--write"]:
            print(write(INCLUDE, VECTORS))
        elif not sys.argv[1:]:
            print("\n".join(make(INCLUDE, "lp64")))
        else:
            print(__doc__)
            return 64
    except AbiError as error:
        print(f"abi_table: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
