"""What the house rules forbid and a compiler doesn't see. Prints `ok - rule` or `not ok - rule` with the places.

usage: lint.py                     the sources
       lint.py --plugins FOLDER    the built plugins: each exports parley_plugin_v1 and nothing else"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE_MAX = 136
PLACES_SHOWN = 20
FLOORS = ["base", "config", "message", "customer", "route", "store", "net", "border", "channel", "deliver", "inbound", "feed",
          "bridge", "campaign", "api", "host", "kit", "daemon", "cli"]
PURE = ["base", "message", "customer", "route"]  # base holds no loop either; its log and clock need none
SHARED = {(FLOORS.index("feed"), "plugins/common/standard_webhooks.h"),  # one signature, whoever signs
          (FLOORS.index("inbound"), "plugins/common/copy.h"),            # one deep copy of a message, whoever keeps it
          (FLOORS.index("kit"), "plugins/common/copy.h"),
          (FLOORS.index("cli"), "plugins/common/dkim_key.h")}            # one reader of keys, whoever compares them
FORBIDDEN = ["strcpy", "strcat", "sprintf", "vsprintf", "strtok", "gets", "atoi", "atol", "localtime", "gmtime",
             "system", "popen"]
CALL = re.compile(r"(?<![A-Za-z0-9_>.])(" + "|".join(FORBIDDEN) + r")\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SQL_HEADER = re.compile(r"^(sqlite3|libpq-fe|libpq/.*)\.h$")
SYMBOL = "parley_plugin_v1"
SYSTEM_FOLDERS = {"tmp", "usr", "var", "etc", "opt", "srv", "mnt", "dev", "proc", "sys", "run", "bin", "lib"}


class Rule:
    def __init__(self, name):
        self.name = name
        self.places = []

    def broken(self, place, why):
        self.places.append(f"{place}: {why}")

    def report(self):
        print(("not ok" if self.places else "ok") + f" - {self.name}" + (f" ({len(self.places)})" if self.places else ""))
        for place in self.places[:PLACES_SHOWN]:
            print(f"#   {place}")
        return not self.places


def tracked_files():
    """What git knows or would add, so that a new file is judged before its first commit."""
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if listed.returncode == 0:
        return sorted(name for name in listed.stdout.splitlines() if os.path.isfile(os.path.join(TOP, name)))
    found = []
    for parent, folders, names in os.walk(TOP):
        folders[:] = [folder for folder in folders if folder not in (".git", "build", "node_modules")]
        found += [os.path.relpath(os.path.join(parent, name), TOP) for name in names]
    return sorted(found)


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def is_c(name):
    return name.endswith((".c", ".h", ".cpp", ".hpp", ".cc"))


def without_comments_and_strings(text):
    """Blanks them, newlines kept, so that line numbers stay true."""
    pattern = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group(0)), text)


def floor_of(path):
    parts = path.split("/")
    return FLOORS.index(parts[1]) if len(parts) > 2 and parts[0] == "core" and parts[1] in FLOORS else None


def included(name):
    for number, line in enumerate(read(name).splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def check_core_include(rule, name, number, quoted, header):
    here = floor_of(name)
    if here is None:
        rule.broken(name, "stands in no floor of core/")
        return
    if header.startswith("core/"):
        there = floor_of(header)
        if there is None or there > here:
            rule.broken(f"{name}:{number}", f"{FLOORS[here]} may not include {header}")
    elif (here, header) in SHARED:
        return
    elif header.startswith(("plugins/", "tests/")):
        rule.broken(f"{name}:{number}", f"core may not include {header}")
    elif quoted and not header.startswith("parley/"):
        if not os.path.exists(os.path.join(TOP, os.path.dirname(name), header)):
            rule.broken(f"{name}:{number}", f'"{header}": write it from the top, as in "core/base/text.h"')


def check_plugin_include(rule, name, number, quoted, header):
    own = "/".join(name.split("/")[:2])
    if header.startswith("core/"):
        rule.broken(f"{name}:{number}", f"a plugin sees include/parley alone, not {header}")
    elif quoted and not header.startswith(("parley/", "common/", "plugins/common/")):
        local = os.path.normpath(os.path.join(os.path.dirname(name), header))
        through_root = os.path.normpath(os.path.join("plugins", header))
        if not any(path.startswith(own + "/") and os.path.exists(os.path.join(TOP, path))
                   for path in (local, through_root)):
            rule.broken(f"{name}:{number}", f'"{header}" is not in {own} nor in plugins/common')


def lint_layers(files):
    rule = Rule("a folder includes only from floors below it; a plugin only include/parley and plugins/common")
    for name in filter(is_c, files):
        for number, quoted, header in included(name):
            if name.startswith("core/"):
                check_core_include(rule, name, number, quoted, header)
            elif name.startswith("plugins/"):
                check_plugin_include(rule, name, number, quoted, header)
            elif name.startswith("include/") and quoted:
                there = os.path.normpath(os.path.join(os.path.dirname(name), header))
                if not there.startswith("include/parley/"):
                    rule.broken(f"{name}:{number}", f"a public header reaches out of include/parley: {header}")
    return rule


def lint_places(files):
    rule = Rule("SQL is known to core/store alone; message, customer and route have no loop and no store")
    for name in filter(is_c, files):
        parts = name.split("/")
        if parts[0] not in ("core", "plugins", "include"):
            continue
        for number, _, header in included(name):
            if SQL_HEADER.match(header) and not name.startswith("core/store/"):
                rule.broken(f"{name}:{number}", f"includes {header}")
            if parts[0] == "core" and parts[1] in PURE and header.startswith(("uv.h", "curl/", "uv/")):
                rule.broken(f"{name}:{number}", f"core/{parts[1]} may not include {header}")
            if parts[0] == "include" and re.match(r"(uv|jansson|curl|openssl|sqlite3)", header):
                rule.broken(f"{name}:{number}", f"the border may not show {header}")
    return rule


def lint_calls(files):
    rule = Rule("the product calls no " + " ".join(FORBIDDEN))
    for name in filter(is_c, files):
        if name.split("/")[0] not in ("core", "plugins", "include"):
            continue
        for number, line in enumerate(without_comments_and_strings(read(name)).splitlines(), 1):
            found = CALL.search(line)
            if found:
                rule.broken(f"{name}:{number}", found.group(1))
    return rule


def lint_text(files):
    rule = Rule(f"C lines end by column {LINE_MAX}, without tabs or trailing space")
    for name in filter(is_c, files):
        if name.startswith("tests/vectors/"):
            continue
        for number, line in enumerate(read(name).splitlines(), 1):
            if len(line) > LINE_MAX:
                rule.broken(f"{name}:{number}", f"{len(line)} columns")
            elif "\t" in line or line != line.rstrip():
                rule.broken(f"{name}:{number}", "tab or trailing space")
    return rule


def machine_paths():
    """Folders of a person's or this machine's own: nothing committed may name them."""
    patterns = [r"/home/[a-z]", "/" + r"root/[A-Za-z.]"]
    first = TOP.split("/")[1]
    if first not in SYSTEM_FOLDERS | {"home", "root"} and len(first) > 2:
        patterns.append(rf"(?<![\w.$}}-])/{re.escape(first)}/")
    return re.compile("|".join(patterns))


def lint_paths(files):
    rule = Rule("no path of one machine")
    forbidden = machine_paths()
    for name in files:
        if name.startswith("tests/vectors/"):
            continue
        for number, line in enumerate(read(name).splitlines(), 1):
            found = forbidden.search(line)
            if found:
                rule.broken(f"{name}:{number}", found.group(0))
    return rule


def compile_header(name, language, standard, folder):
    source = os.path.join(folder, "one." + ("c" if language == "c" else "cpp"))
    with open(source, "w", encoding="utf-8") as file:
        file.write(f"#include <{name[len('include/'):]}>\n")
    command = ["gcc" if language == "c" else "g++", "-x", language, f"-std={standard}", "-fsyntax-only", "-Wall", "-Wextra",
               "-Wpedantic", "-Wpadded", "-Werror", "-I", os.path.join(TOP, "include"), source]
    return subprocess.run(command, capture_output=True, text=True)


def lint_headers(files):
    rule = Rule("each public header stands alone as C11 and as C++17, with no padding in its structs")
    with tempfile.TemporaryDirectory(prefix="parley-lint-") as folder:
        for name in files:
            if not (name.startswith("include/parley/") and name.endswith(".h")):
                continue
            for language, standard in (("c", "c11"), ("c++", "c++17")):
                done = compile_header(name, language, standard, folder)
                if done.returncode != 0:
                    first = [line for line in done.stderr.splitlines() if "error" in line][:2]
                    rule.broken(f"{name} as {standard}", " | ".join(first) or done.stderr[-200:])
    return rule


def lint_scripts(files):
    rule = Rule("shell scripts pass shellcheck, Python files compile")
    if not shutil.which("shellcheck"):
        print("skip - shell scripts pass shellcheck: missing shellcheck")
    for name in files:
        if name.endswith(".py"):
            try:
                compile(read(name), name, "exec")
            except SyntaxError as error:
                rule.broken(name, str(error))
        elif (name.endswith(".sh") or name == ".ci/run") and shutil.which("shellcheck"):
            done = subprocess.run(["shellcheck", "-f", "gcc", os.path.join(TOP, name)], capture_output=True, text=True)
            for line in done.stdout.splitlines()[:3]:
                rule.broken(name, line.split(":", 1)[-1])
    return rule


def lint_built_plugins(folder):
    rule = Rule(f"each plugin exports {SYMBOL} alone")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".so")) if os.path.isdir(folder) else []
    for name in names:
        done = subprocess.run(["nm", "-D", "--defined-only", os.path.join(folder, name)], capture_output=True, text=True)
        symbols = [line.split()[-1] for line in done.stdout.splitlines()]
        if symbols != [SYMBOL]:
            rule.broken(name, "exports " + (" ".join(symbols) or "nothing"))
    if not names:
        print(f"skip - {rule.name}: no plugin is built yet")
        return None
    return rule


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--plugins":
        rule = lint_built_plugins(os.path.join(TOP, sys.argv[2]))
        return 0 if rule is None or rule.report() else 1
    files = tracked_files()
    lints = [lint_layers, lint_places, lint_calls, lint_text, lint_paths, lint_headers, lint_scripts]
    return 0 if all([lint(files).report() for lint in lints]) else 1


if __name__ == "__main__":
    sys.exit(main())
