#!/usr/bin/python3
# label: border
# timeout: 240
"""The plugin ABI keeps its word: each public header stands alone in both languages and both compilers, the table of
every member and constant is what was frozen, a change without a version step is found, and a plugin that was built
against the headers of ABI 1.0 runs on today's host."""

import os
import re
import shutil
import subprocess

import abi_table
from parley_test import Daemon, Failure, expect, expect_true, need_tool, run, skip, test, wait_until

OLD = os.path.join(abi_table.VECTORS, "abi-1.0")
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wpedantic", "-Wpadded", "-Werror"]
COMPILERS = [(["gcc"], "c", "c11"), (["g++"], "c++", "c++17"), (["clang-14", "clang"], "c", "c11"),
             (["clang++-14", "clang++"], "c++", "c++17")]
# What somebody may do to the headers by mistake: (what it is called, the text, what stands there instead).
SLIPS = [
    ("a member put in the middle", "int64_t at_ms;\n  parley_text type; ", "int64_t at_ms, until_ms;\n  parley_text type; "),
    ("two members swapped", "void (*drain)(parley_channel *, uint32_t within_ms);", None),
    ("a member's type", "uint32_t size, result, retry_ms, n_ids;", "uint32_t size; int32_t result; uint32_t retry_ms, n_ids;"),
    ("a parameter's type", "uint32_t after_ms, uint32_t every_ms, parley_call", "int32_t after_ms, uint32_t every_ms, parley_call"),
    ("a member removed", "parley_text code, detail; /* the provider's own code;", "parley_text code; /* the provider's own code;"),
    ("a constant's value", "PARLEY_ECHO = 2", "PARLEY_ECHO = 8"),
    ("a constant put in the middle", "PARLEY_OPTION_INT,", "PARLEY_OPTION_FLOAT, PARLEY_OPTION_INT,"),
    ("a macro's text", "#define PARLEY_ABI_MAJOR 1 ", "#define PARLEY_ABI_MAJOR 2 "),
    ("a frozen struct that grows", "parley_text name, value; } parley_pair;", "parley_text name, value, more; } parley_pair;"),
]


def copied_headers(folder):
    shutil.copytree(abi_table.INCLUDE, os.path.join(folder, "include"))
    return os.path.join(folder, "include")


def edit(include, old, new):
    path = os.path.join(include, "parley", "plugin.h")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    expect(text.count(old), 1, f"places of {old!r} in plugin.h")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


def must_pass(include, vectors, model="lp64"):
    faults = abi_table.check(include, vectors, model)
    expect_true(not faults, "\n".join(faults[:8]))


@test
def each_header_stands_alone_as_c11_and_cpp17_with_gcc_and_clang_without_a_warning(folder):
    for choice, language, standard in COMPILERS:
        compiler = next((name for name in choice if shutil.which(name)), None) or need_tool(choice[0])
        for parent, _, names in os.walk(os.path.join(abi_table.INCLUDE, "parley")):
            for name in sorted(names):
                header = os.path.relpath(os.path.join(parent, name), abi_table.INCLUDE)
                source = os.path.join(folder, "one." + ("c" if language == "c" else "cpp"))
                with open(source, "w", encoding="utf-8") as file:
                    file.write(f"#include <{header}>\n")
                done = subprocess.run([compiler, f"-std={standard}", "-fsyntax-only", *WARNINGS, "-I", abi_table.INCLUDE, source],
                                      capture_output=True, text=True)
                expect_true(done.returncode == 0, f"{header}, {compiler} {standard}: {done.stderr[:600]}")


@test
def every_member_and_constant_is_what_was_frozen():
    for model in abi_table.MODELS:
        if abi_table.can_build(model):
            must_pass(abi_table.INCLUDE, abi_table.VECTORS, model)


@test
def the_frozen_headers_say_what_their_table_says():
    lines = abi_table.table_read(abi_table.table_path(abi_table.VECTORS, 0, "lp64"))
    expect(abi_table.make(os.path.join(OLD, "include"), "lp64"), lines, "the table of tests/vectors/abi-1.0/include")


@test
def a_change_of_what_was_promised_is_found(folder):
    for number, (what, old, new) in enumerate(SLIPS):
        include = copied_headers(os.path.join(folder, str(number)))
        if new is None:  # drain and stop change places: both keep their size
            edit(include, old, "void (*drain_later)(parley_channel *);")
            edit(include, "void (*stop)(parley_channel *, parley_call *done, void *arg);", old)
            edit(include, "void (*drain_later)(parley_channel *);", "void (*stop)(parley_channel *, parley_call *done, void *arg);")
        else:
            edit(include, old, new)
        try:
            faults = abi_table.check(include, abi_table.VECTORS, "lp64")
        except abi_table.AbiError:
            continue  # a hole is a fault too
        expect_true(any("promised" in fault for fault in faults), f"{what}: not found ({faults[:3]})")


@test
def a_hole_is_found_and_named(folder):
    include = copied_headers(folder)
    edit(include, "uint32_t size, stage, n_fields, reserved;", "uint32_t size, stage, n_fields;")
    try:
        abi_table.make(include, "lp64")
    except abi_table.AbiError as error:
        expect_true("parley_touchpoint" in str(error) and "reserved" in str(error), str(error))
        return
    raise Failure("a hole in parley_touchpoint was not found")


@test
def what_is_appended_needs_a_minor_step_and_a_table_of_its_own(folder):
    include = copied_headers(folder)
    vectors = os.path.join(folder, "vectors")
    minor = abi_table.minor_of(include)
    shutil.copytree(abi_table.VECTORS, vectors, ignore=lambda _, names: [n for n in names if not n.startswith("abi-") and "." not in n])
    edit(include, "empty: the whole channel */\n} parley_outcome;", "empty: the whole channel */\n  parley_text price;\n} parley_outcome;")
    edit(include, "PARLEY_SPAWNS = 32", "PARLEY_LATER = 64, PARLEY_SPAWNS = 32")
    faults = abi_table.check(include, vectors, "lp64")
    expect(sorted(fault.split(": ", 1)[1] for fault in faults),
           ["PARLEY_LATER = 64", "parley_outcome.price at 72 size 16: parley_text"], "what needs the step")
    edit(include, f"#define PARLEY_ABI_MINOR {minor} ", f"#define PARLEY_ABI_MINOR {minor + 1} ")
    expect_true(f"no table of ABI 1.{minor + 1}" in abi_table.check(include, vectors, "lp64")[0], "the table is asked for")
    abi_table.write(include, vectors)
    must_pass(include, vectors)
    try:
        abi_table.write(include, vectors)
    except abi_table.AbiError:
        return
    raise Failure("a frozen table was written again")


CARRIED = re.compile(r"\b(PLAIN|COUNTED|POINTED)\((ABI_\w+), (parley_\w+), (\w+)(?:, (\w+))?")
CARRIED_AS = {
    "ABI_U32": ["uint32_t"], "ABI_I32": ["int32_t", "parley_status"], "ABI_U64": ["uint64_t"], "ABI_I64": ["int64_t"],
    "ABI_F64": ["double"], "ABI_TEXT": ["parley_text"], "ABI_BYTES": ["parley_bytes", "parley_text"], "ABI_CSTR": ["const char *"],
    "ABI_TEXTS": ["const parley_text *"], "ABI_PAIRS": ["const parley_pair *"], "ABI_STATUSES": ["const parley_status *"],
    "ABI_CSTRS": ["const char *const *"], "ABI_ONE": [r"const parley_\w+ *"], "ABI_MANY": [r"const parley_\w+ *const *"],
    "ABI_ENDED": [r"const parley_\w+ *const *"],
}
# Never in a frame: plain values, tables of functions, and what stays in the plugin's process (streams, extensions of its own).
NOT_CARRIED = ["parley_text", "parley_pair", "parley_host", "parley_plugin", "parley_extension", "parley_http", "parley_http_in",
               "parley_http_answers", "parley_media", "parley_submit", "parley_mailbox", "parley_check", "parley_stream",
               "parley_stream_events", "parley_tls", "parley_endpoint", "parley_peer"]


def same_type(kind, said):
    said = said.replace("struct ", "")
    return any(re.fullmatch(re.escape(want).replace(r"\\w\+", r"\w+"), said) for want in CARRIED_AS[kind])


@test
def the_process_border_carries_every_member():
    with open(os.path.join(abi_table.TOP, "core", "border", "abi.c"), encoding="utf-8") as file:
        text = re.sub(r"\s+", " ", file.read())
    carried, counts = {}, set()
    for _, kind, struct, member, count in CARRIED.findall(text):
        carried[struct, member] = kind
        counts.add((struct, count))
    for line in abi_table.make(abi_table.INCLUDE, "lp64"):
        found = re.match(r"(\w+)\.(\w+) at \d+ size \d+: (.*)$", line)
        if not found or found.group(1) in NOT_CARRIED or found.group(2) in ("size", "reserved"):
            continue
        struct, member, said = found.groups()
        if (struct, member) not in counts:
            expect_true((struct, member) in carried, f"{struct}.{member} is lost on the way to a plugin's process: core/border/abi.c")
            kind = carried[struct, member]
            expect_true(same_type(kind, said), f"{struct}.{member} is {said}, and carried as {kind}")


def old_plugin(folder):
    """The plugin of ABI 1.0, built as it was then: against its own headers."""
    plugins = os.path.join(folder, "plugins")
    os.makedirs(plugins, mode=0o755)
    done = subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(OLD, "include"), "-shared", "-fPIC",
                           "-fvisibility=hidden", os.path.join(OLD, "plugin.c"), "-o", os.path.join(plugins, "old.so")],
                          capture_output=True, text=True)
    expect_true(done.returncode == 0, done.stderr)
    os.chmod(os.path.join(plugins, "old.so"), 0o755)
    return plugins


def knows_processes():
    with open(os.path.join(abi_table.TOP, "core", "config", "conf.h"), encoding="utf-8") as file:
        return "CONF_PROCESS" in file.read()


def old_plugin_lives(folder, more):
    plugins = old_plugin(folder)

    def with_old(config):
        config["plugins"]["dirs"].append(plugins)

    with Daemon(folder, {"old": {"plugin": "old", "options": {"greeting": "still here"}, **more}}, with_old) as parley:
        sent = parley.post("/v1/messages", {"to": {"phone": "+34600111222"}, "topic": "orders", "content": {"text": "as before"}})
        expect(sent.status, 202)
        message = "/v1/messages/" + sent.json["id"]
        wait_until(lambda: parley.get(message).json["status"] == "sent", "the message is sent")
        answer = parley.post("/in/old", b"an answer", headers={"x-id": sent.json["id"]})
        expect(answer.status, 200, "the callback")
        expect_true(answer.text.startswith("msg_"), answer.text)
        wait_until(lambda: parley.get(message).json["status"] == "read", "its receipt counts")
        page = parley.get(f"/v1/customers/{sent.json['customer']}/timeline").json
        expect_true("touchpoint.old.called" in str(page) and "an answer" in str(page), f"timeline: {page}")
        parley.stop()
        steps = re.findall(r"event=(old_\w+) of=\"([^\"]*)\" greeting=\"still here\"", parley.log())
    want = ["old_created", "old_started", "old_submitted", "old_settled", "old_inbound", "old_drained", "old_stopped", "old_destroyed"]
    expect([step for step, _ in steps if step != "old_remembered"], want, "its life")
    expect_true(("old_submitted", "as before") in steps and ("old_remembered", "state") in steps, str(steps))


@test
def a_plugin_of_abi_1_0_runs_on_todays_host_within_the_daemon(folder):
    old_plugin_lives(folder, {"isolation": "inline"})


@test
def a_plugin_of_abi_1_0_runs_on_todays_host_in_a_process_of_its_own(folder):
    if not knows_processes():
        skip("plugins run within the daemon only")
    old_plugin_lives(folder, {"isolation": "process"})


run()
