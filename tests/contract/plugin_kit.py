#!/usr/bin/python3
# label: border
# timeout: 900
# build: debug
"""The conformance kit, `parley plugin test`: every plugin of the tree passes it, and each planted fault of
tests/fault/plugins/faulty.c is found, by the case that is there for it."""

import concurrent.futures
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from parley_test import expect, expect_true, run, test  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PARLEY_BUILD_DIR", os.path.join(TOP, "build", "debug"))
PARLEY = os.path.join(BUILD, "bin", "parley")
FAULTS = os.path.join(TOP, "tests", "fault", "plugins")
SEED = "20261127"
RUN_S = 400
PROGRAM = """import json, sys
print('{"type":"ready"}', flush=True)
for line in map(json.loads, sys.stdin):
    if line["type"] in ("send", "probe"):
        print(json.dumps({"type": "settle", "token": line["token"], "outcome": "accepted"}), flush=True)
"""

# Fault and the case that has to find it; others may as well.
ENVIRONMENT_FAULTS = {
    "settles_twice": "settle.once", "never_settles": "settle.once", "settles_after_stop": "settle.stop",
    "settles_unknown_token": "settle.once", "leaks_fd": "life.leaks", "leaks_thread": "life.leaks", "leaks_heap": "life.leaks",
    "leaks_process": "life.leaks", "leaks_timer": "settle.once", "leaks_on_429": "life.traffic",
    "blocks_loop": "thread.waits", "waits_for_done": "thread.waits", "settles_off_loop": "thread.loop",
    "acks_before_commit": "in.commit", "logs_secret": "secret.shows", "secret_in_detail": "secret.shows",
    "logs_body": "settle.once", "crashes_at_limit": "limit.text", "ignores_busy": "in.busy", "accepts_500": "provider.500",
    "forgets_hint": "provider.429", "retries_in_doubt": "provider.stall", "writes_message": "settle.once",
    "retries_itself": "provider.500", "undeclared_receipt": "settle.once", "reads_freed": "settle.once",
    "reads_after_settle": "settle.after",
    "keeps_response": "settle.once", "takes_bad_signature": "in.forged", "answers_twice": "in.sample",
    "new_event_id": "in.replay", "hands_in_too_much": "in.sample", "forgets_stop_done": "life.plain", "stop_done_twice": "life.plain",
    "host_after_destroy": "life.after", "fails_silently": "options.strange", "carries_less": "limit.text",
    "smaller_window": "limit.in_flight", "globals": "reload.beside", "aborts": "settle.once"}
TABLE_FAULTS = {"second_symbol": "load.symbols", "no_example": "load.docs", "other_name": "load.table",
                "no_currency": "load.table"}


def kit(plugin, *more, fault="none"):
    """Runs the kit; its exit code and its JSON."""
    ran = subprocess.run([PARLEY, "plugin", "test", plugin, "--json", "--seed", SEED, *more], capture_output=True, text=True,
                         timeout=RUN_S, env=dict(os.environ, FAULT=fault))
    expect_true(ran.stdout.startswith("{"), f"the kit printed no JSON: {ran.stdout[-300:]} {ran.stderr[-300:]}")
    return ran.returncode, json.loads(ran.stdout)


def failed(result):
    return {case["name"]: case for case in result["cases"] if case["verdict"] == "failed"}


def beside(folder, name):
    """The samples that stand in a plugin's folder, as options of the kit."""
    found = []
    for option, ending in (("--inbound", ".inbound.http"), ("--answer", ".answer.http"), ("--peer", ".peer"),
                           ("--options", ".options.yaml")):
        path = os.path.join(TOP, folder, name + ending)
        found += [option, path] if os.path.exists(path) else []
    return found


def tree_plugins():
    """(path of the .so, folder of its sources, name), for whatever is built."""
    for made, sources in (("plugins", "plugins/{}"), ("examples", "examples/{}")):
        folder = os.path.join(BUILD, made)
        for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if file.endswith(".so"):
                yield os.path.join(folder, file), sources.format(file[:-3]), file[:-3]


def check_plugin(path, folder, name):
    code, result = kit(path, *beside(folder, name))
    broken = failed(result)
    expect_true(not broken, "; ".join(f"{case}: {what['seen']} ({what['again']})" for case, what in broken.items()))
    expect(code, 0)
    expect_true(result["passed"] > 20, f"only {result['passed']} cases ran")


def check_fault(fault, case):
    made = os.path.join(BUILD, "fault", fault if fault in TABLE_FAULTS else "faulty", "faulty.so")
    code, result = kit(made, "--inbound", os.path.join(FAULTS, "faulty.inbound.http"), fault=fault)
    broken = failed(result)
    expect_true(case in broken, f"{case} did not find it; failed: {sorted(broken)}")
    expect(code, 1)
    expect_true(broken[case]["promised"] and broken[case]["seen"], "a failure says what is promised and what was seen")
    expect_true(f"--seed {SEED}" in broken[case]["again"], broken[case]["again"])


@test
def every_fault_that_the_plugin_can_be_told_to_have_is_in_the_lists_of_this_test():
    with open(os.path.join(FAULTS, "faulty.c"), encoding="utf-8") as source:
        known = set(re.findall(r"X\((\w+)\)", source.read()))
    expect(known - {"name", "X"}, set(ENVIRONMENT_FAULTS) | {"none", "hangs"})


@test
def without_a_fault_the_misbehaving_plugin_passes():
    code, result = kit(os.path.join(BUILD, "fault", "faulty", "faulty.so"), "--inbound",
                       os.path.join(FAULTS, "faulty.inbound.http"))
    expect_true(not failed(result), str(failed(result)))
    expect(code, 0)
    skipped = {case["name"] for case in result["cases"] if case["verdict"] == "skipped"}
    expect_true(all(name.startswith(("peer.", "settle.", "in.strangers", "in.caller")) for name in skipped), f"skipped: {sorted(skipped)}")


@test
def a_plugin_with_a_thread_and_a_pipe_of_its_own_passes():
    code, result = kit(os.path.join(BUILD, "fault", "threaded", "threaded.so"))
    expect_true(not failed(result), str(failed(result)))
    expect(code, 0)


@test
def exec_passes_with_a_program_behind_it_too(folder):
    so = os.path.join(BUILD, "plugins", "exec.so")
    program, options = os.path.join(folder, "program.py"), os.path.join(folder, "options.yaml")
    with open(program, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    with open(options, "w", encoding="utf-8") as file:
        file.write(f"command: [/usr/bin/python3, -S, -I, {program}]\n")
    code, result = kit(so, "--options", options)
    expect_true(not failed(result), str(failed(result)))
    expect(code, 0)
    expect_true("limit.text" in {case["name"] for case in result["cases"] if case["verdict"] == "passed"}, "messages went out")


@test
def a_plugin_that_hangs_is_ended_and_said_to_hang():
    _, result = kit(os.path.join(BUILD, "fault", "faulty", "faulty.so"), "--only", "settle.after", fault="hangs")
    expect_true("submit had not returned" in failed(result)["settle.after"]["seen"], str(result))


@test
def the_line_that_repeats_a_failed_case_repeats_it():
    so = os.path.join(BUILD, "fault", "faulty", "faulty.so")
    environment = dict(os.environ, FAULT="settles_twice")
    first = subprocess.run([PARLEY, "plugin", "test", so, "--only", "random.operations"], capture_output=True, text=True,
                           timeout=RUN_S, env=environment)
    again = re.search(r"again: +parley (.*)", first.stdout).group(1).split()
    second = subprocess.run([PARLEY, *again], capture_output=True, text=True, timeout=RUN_S, env=environment)
    expect(second.stdout, first.stdout)
    expect(second.returncode, 1)


@test
def what_cannot_be_tested_at_all_is_told_apart_exit_code_2():
    for arguments in (["/nowhere/x.so"], [os.path.join(BUILD, "fault", "faulty", "faulty.so"), "--only", "no.such"],
                      [os.path.join(BUILD, "fault", "faulty", "faulty.so"), "--inbound", __file__]):
        ran = subprocess.run([PARLEY, "plugin", "test", *arguments], capture_output=True, text=True, timeout=RUN_S)
        expect(ran.returncode, 2)
        expect_true(ran.stderr.startswith("parley: "), ran.stderr)


@test
def plugin_info_shows_options_capabilities_and_extensions_to_people_and_as_JSON():
    so = os.path.join(BUILD, "plugins", "webhook.so")
    words = subprocess.run([PARLEY, "plugin", "info", so], capture_output=True, text=True, timeout=RUN_S)
    expect(words.returncode, 0)
    for part in ("webhook 1.0.0", "needs parley.http/1 parley.http-in/1", "secret", "required secret", "text"):
        expect_true(part in words.stdout, f"{part!r} is not in {words.stdout}")
    shown = json.loads(subprocess.run([PARLEY, "plugin", "info", so, "--json"], capture_output=True, text=True,
                                      timeout=RUN_S).stdout)
    expect(shown["name"], "webhook")
    expect(shown["requires"], ["parley.http/1", "parley.http-in/1"])
    expect([option["name"] for option in shown["options"]][:2], ["url", "secret"])
    missing = subprocess.run([PARLEY, "plugin", "info", __file__], capture_output=True, text=True, timeout=RUN_S)
    expect(missing.returncode, 2)


def add(title, function):
    function.__name__ = title.replace(" ", "_")
    test(function)


def main():
    for path, folder, name in tree_plugins():
        add(f"{name} passes the kit", lambda at=(path, folder, name): check_plugin(*at))
    faults = {**ENVIRONMENT_FAULTS, **TABLE_FAULTS}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = {fault: pool.submit(check_fault, fault, case) for fault, case in faults.items()}
        for fault, case in faults.items():
            add(f"{fault} is found by {case}", lambda future=running[fault]: future.result())
        run()


if __name__ == "__main__":
    main()
