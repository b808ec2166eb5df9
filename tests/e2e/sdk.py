#!/usr/bin/python3
# label: border
# timeout: 280
"""The SDK as a stranger meets it: what `cmake --install` puts into an empty folder is enough to build a plugin outside of
this repository; `parley plugin new` writes one that builds, exports one symbol, passes the conformance kit and delivers
through a daemon; the channel of examples/plugin does the same."""

import hashlib
import hmac
import os
import re
import subprocess
import time

from parley_test import BIN_DIR, BUILD_DIR, TOP, Daemon, Recorder, expect, expect_true, need_tool, run, skip, test, wait_until

SYMBOL = "parley_plugin_v1"
LINES_MAX = 60
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wpedantic", "-Werror"]


def command(*words, cwd=None, env=None, code=0):
    """Runs it and returns what it said, both streams together."""
    done = subprocess.run(words, cwd=cwd, env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, stdin=subprocess.DEVNULL)
    expect_true(done.returncode == code, f"{' '.join(words)} ended with {done.returncode}, not {code}: {done.stdout[-1500:]}")
    return done.stdout


def installed(folder):
    """The prefix of an installation in `folder`: nothing of this repository is used beyond it."""
    need_tool("cmake")
    stage = os.path.join(folder, "stage")
    command("cmake", "--install", BUILD_DIR, env={"DESTDIR": stage})
    with open(os.path.join(BUILD_DIR, "CMakeCache.txt"), encoding="utf-8") as cache:
        prefix = next(line.split("=", 1)[1].strip() for line in cache if line.startswith("CMAKE_INSTALL_PREFIX:"))
    return stage + prefix


def parley(prefix):
    return os.path.join(prefix, "bin", "parley")


def knows_kit(prefix):
    return "plugin test" in command(parley(prefix), "--help")


def built(source, prefix, *more):
    """Configures and builds as the README of a new plugin says. Returns the build folder."""
    build = os.path.join(source, "build")
    command("cmake", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Debug", *more, cwd=source)
    command("cmake", "--build", build, cwd=source)
    return build


def add_code(source, text):
    with open(source, "a", encoding="utf-8") as file:
        file.write(text)


def exports(path):
    lines = command("nm", "-D", "--defined-only", path).splitlines()
    return [line.split()[-1].split("@")[0] for line in lines if line and not line.endswith(" A parley_plugin_v1")]


def passes_kit(build, prefix):
    if knows_kit(prefix):
        expect_true("100% tests passed, 0 tests failed out of 1" in command("ctest", "--test-dir", build), "ctest runs the kit")


def plugin_folder(build):
    """The loader takes nothing that others may write, whatever the umask."""
    os.chmod(build, 0o755)
    for name in os.listdir(build):
        if name.endswith(".so"):
            os.chmod(os.path.join(build, name), 0o755)
    return build


@test
def an_installation_has_headers_package_and_pkg_config_and_names_no_folder_of_the_build(folder):
    prefix = installed(folder)
    for name in ["include/parley/plugin.h", "include/parley/ext/http.h", "share/pkgconfig/parley.pc",
                 "share/cmake/Parley/ParleyConfig.cmake", "share/cmake/Parley/ParleyConfigVersion.cmake",
                 "share/cmake/Parley/ParleyPlugin.cmake", "share/cmake/Parley/plugin.map", "share/doc/parley/plugins.md"]:
        path = os.path.join(prefix, name)
        expect_true(os.path.isfile(path), f"{name} is installed")
        with open(path, encoding="utf-8") as file:
            expect_true(BUILD_DIR not in file.read(), f"{name} names the build folder")
    for name in ["parleyd", "parley", "parley-plugin-host"]:
        expect_true(os.access(os.path.join(prefix, "bin", name), os.X_OK), f"bin/{name} is installed")


@test
def pkg_config_builds_a_plugin_with_one_line(folder):
    need_tool("pkg-config")
    prefix = installed(folder)
    command(parley(prefix), "plugin", "new", "oneline", "--dir", folder)
    search = {"PKG_CONFIG_PATH": os.path.join(prefix, "share", "pkgconfig")}
    add_code(os.path.join(folder, "oneline", "oneline.c"), "int helper(void);\nint helper(void) { return 1; }\n")
    flags = [command("pkg-config", "--define-prefix", what, "parley", env=search).split()
             for what in ("--cflags", "--variable=ldflags")]
    out = os.path.join(folder, "oneline.so")
    command("gcc", "-std=c11", *flags[0], "-shared", os.path.join(folder, "oneline", "oneline.c"), "-o", out, *flags[1])
    expect(exports(out), [SYMBOL], "exported")


@test
def a_new_plugin_builds_without_a_warning_exports_one_symbol_and_passes_the_kit(folder):
    prefix = installed(folder)
    said = command(parley(prefix), "plugin", "new", "my-shop_2", "--dir", folder)
    source = os.path.join(folder, "my-shop_2")
    expect_true(f"cd {source} && cmake -B build" in said, said)
    expect(sorted(os.listdir(source)), ["CMakeLists.txt", "README.md", "my-shop_2.c"], "files")
    for name in os.listdir(source):
        with open(os.path.join(source, name), encoding="utf-8") as file:
            text = file.read()
        expect_true("@" not in text.replace("@example", ""), f"{name} has a mark that was not filled in")
        expect_true(not name.endswith(".c") or text.count("\n") <= LINES_MAX, f"{name} has {text.count(chr(10))} lines")
    add_code(os.path.join(source, "my-shop_2.c"), "int helper(void);\nint helper(void) { return 1; }\n")
    build = built(source, prefix, "-DCMAKE_C_FLAGS=" + " ".join(WARNINGS))
    expect(exports(os.path.join(build, "my-shop_2.so")), [SYMBOL], "exported")
    passes_kit(build, prefix)


@test
def a_new_plugin_delivers_through_a_daemon_and_says_what_the_answer_was(folder):
    prefix = installed(folder)
    command(parley(prefix), "plugin", "new", "fresh", "--dir", folder)
    plugins = plugin_folder(built(os.path.join(folder, "fresh"), prefix))
    with Recorder(path="/send") as shop:
        channel = {"plugin": "fresh", "options": {"url": shop.url, "authorization": {"env": "HOOK_SECRET"}}}
        with Daemon(folder, {"out": channel}, lambda config: config["plugins"]["dirs"].append(plugins)) as daemon:
            sent = daemon.post("/v1/messages", {"to": {"phone": "+34600111222"}, "topic": "orders", "content": {"text": "On its way."}})
            expect(sent.status, 202)
            wait_until(lambda: daemon.get("/v1/messages/" + sent.json["id"]).json["status"] == "sent", "it is sent")
            request = shop.requests[0]
            expect((request.path, request.text, request.headers.get("x-to"), request.headers.get("idempotency-key")),
                   ("/send", "On its way.", "+34600111222", sent.json["id"]))


@test
def names_and_folders_that_will_not_do_are_refused_with_a_way_out(folder):
    program = os.path.join(BIN_DIR, "parley")
    for name in ["", "Shop", "a/b", "..", "shop.c", "-shop", "a" * 65, "caf\u00e9"]:
        said = command(program, "plugin", "new", name, "--dir", folder, code=2)
        expect_true("a-z 0-9 _ -" in said or "usage:" in said or "unknown" in said, f"{name!r}: {said}")
    os.mkdir(os.path.join(folder, "mine"))
    with open(os.path.join(folder, "mine", "mine.c"), "w", encoding="utf-8") as file:
        file.write("years of work")
    said = command(program, "plugin", "new", "mine", "--dir", folder, code=1)
    expect_true("stays as it is" in said and "--dir" in said, said)
    expect(os.listdir(os.path.join(folder, "mine")), ["mine.c"], "the folder that was there")
    said = command(program, "plugin", "new", "shop", "--dir", os.path.join(folder, "none"), code=1)
    expect_true("mkdir -p" in said, said)
    said = command("sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\" 2>&1 | cat", "sh", program, "plugin", "new", "full", "--dir", folder)
    expect_true("cannot be written" in said and not os.path.exists(os.path.join(folder, "full")), f"no half a plugin stays: {said}")


@test
def an_undefined_function_and_a_bad_call_of_parley_add_plugin_are_errors_of_the_build(folder):
    prefix = installed(folder)
    command(parley(prefix), "plugin", "new", "broken", "--dir", folder)
    source = os.path.join(folder, "broken")
    add_code(os.path.join(source, "broken.c"),
             "int nobody_has_this(void);\nint ask(void);\nint ask(void) { return nobody_has_this(); }\n")
    build = os.path.join(source, "build")
    command("cmake", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", cwd=source)
    expect_true("nobody_has_this" in command("cmake", "--build", build, code=2), "the linker names it")
    add_code(os.path.join(source, "CMakeLists.txt"), "parley_add_plugin(Bad SOURCES broken.c)\n")
    expect_true("no name for a plugin" in command("cmake", "-B", build, cwd=source, code=1), "CMake says which name")


@test
def the_example_channel_builds_outside_and_carries_messages_both_ways(folder):
    prefix = installed(folder)
    source = os.path.join(folder, "plugin")
    command("cp", "-r", os.path.join(TOP, "examples", "plugin"), source)
    build = built(source, prefix, "-DCMAKE_C_FLAGS=" + " ".join(WARNINGS))
    expect(exports(os.path.join(build, "gateway.so")), [SYMBOL], "exported")
    passes_kit(build, prefix)
    secret = "sixteen-bytes-at-least"
    with Recorder(path="/send") as shop:
        channel = {"plugin": "gateway", "options": {"url": shop.url, "secret": {"env": "GATEWAY_SECRET"}}}
        with Daemon(folder, {"text": channel}, lambda config: config["plugins"]["dirs"].append(plugin_folder(build)),
                    env={"GATEWAY_SECRET": secret}) as daemon:
            sent = daemon.post("/v1/messages", {"to": {"phone": "+34600111222"}, "topic": "orders",
                                                "content": {"text": "On \"its\" way.\nÑandú"}})
            expect(sent.status, 202)
            wait_until(lambda: daemon.get("/v1/messages/" + sent.json["id"]).json["status"] == "sent", "it is sent")
            expect(shop.requests[0].json, {"id": sent.json["id"], "to": "+34600111222", "text": "On \"its\" way.\nÑandú"})
            expect(shop.requests[0].headers.get("authorization"), secret)

            def called(form, key=secret):
                signature = hmac.new(key.encode(), form, hashlib.sha256).hexdigest()
                return daemon.post("/in/text", form, headers={"x-signature": signature}).status

            answer = b"kind=message&id=77&from=%2B34600111222&text=Yes+please%21"
            expect([called(answer), called(answer), called(answer, "another-key-of-16")], [204, 204, 401], "callbacks")
            expect(called(b"kind=receipt&id=" + sent.json["id"].encode() + b"&status=delivered"), 204)
            expect(called(b"kind=receipt&id=77&status=lost"), 422)
            wait_until(lambda: daemon.get("/v1/messages/" + sent.json["id"]).json["status"] == "delivered", "the receipt counts")
            items = daemon.get(f"/v1/customers/{sent.json['customer']}/timeline").json["items"]
            expect(sum("Yes please!" in str(item) for item in items), 1, f"the answer, once, in {items}")



HANG_S = 2


@test
def a_debugger_attaches_to_one_channel_finds_its_functions_and_is_given_time(folder):
    need_tool("gdb")
    with Recorder(path="/send") as shop:
        channel = {"plugin": "gateway", "options": {"url": shop.url, "secret": {"env": "GATEWAY_SECRET"}}}

        def with_example(config):
            config["plugins"]["dirs"].append(os.path.join(BUILD_DIR, "examples"))
            config["plugins"]["hang"] = f"{HANG_S}s"

        with Daemon(folder, {"text": channel}, with_example, env={"GATEWAY_SECRET": "sixteen-bytes-at-least"}) as daemon:
            of_text = ["pgrep", "-P", str(daemon.process.pid), "-f", "^[^ ]*parley-plugin-host text "]
            pid = command(*of_text).strip()
            gdb = subprocess.Popen(["gdb", "-q", "-nx", "-p", pid, "-ex", "info line gateway_submit", "-ex", "echo held\\n"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                said = ""
                while "held" not in said:
                    line = gdb.stdout.readline()
                    expect_true(line != "", f"gdb ended: {said}")
                    said += line
                if "ptrace: Operation not permitted" in said:
                    skip("this machine lets nobody attach a debugger")
                expect_true("gateway.c" in said, f"gdb knows the function's line: {said[-600:]}")
                until = time.monotonic() + 3 * HANG_S
                wait_until(lambda: time.monotonic() > until, "it has stood longer than a hung process may")
            finally:
                gdb.communicate("detach\nquit\n", timeout=30)
            sent = daemon.post("/v1/messages", {"to": {"phone": "+34600111222"}, "topic": "orders", "content": {"text": "Still here."}})
            wait_until(lambda: daemon.get("/v1/messages/" + sent.json["id"]).json["status"] == "sent", "it goes on")
            expect(command(*of_text).strip(), pid, "the process")


@test
def a_plugin_in_cpp_builds_without_a_c_compiler_in_its_project(folder):
    prefix = installed(folder)
    source = os.path.join(folder, "plugin_cpp")
    command("cp", "-r", os.path.join(TOP, "tests", "support", "plugin_cpp"), source)
    build = built(source, prefix)
    expect(exports(os.path.join(build, "cpp.so")), [SYMBOL], "exported")
    passes_kit(build, prefix)


@test
def the_walk_through_shows_the_code_as_it_is():
    with open(os.path.join(TOP, "docs", "plugins.md"), encoding="utf-8") as file:
        walk = file.read().split("## A channel, step by step")[1].split("\n## ")[0]
    with open(os.path.join(TOP, "examples", "plugin", "gateway.c"), encoding="utf-8") as file:
        source = file.read()
    blocks = re.findall(r"```c\n(.*?)```", walk, re.S)
    expect_true(len(blocks) >= 7, f"{len(blocks)} pieces of code")
    for block in blocks:
        expect_true(block in source, f"docs/plugins.md shows what examples/plugin/gateway.c does not say:\n{block}")


if not os.path.isfile(os.path.join(BUILD_DIR, "CMakeCache.txt")):
    @test
    def the_sdk_is_tested_against_a_build_folder():
        skip("PARLEY_BUILD_DIR names no build folder")
run()
