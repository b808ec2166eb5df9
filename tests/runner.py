"""The core of tests/run.sh: builds the presets one after the other and runs each group of tests as soon as its build
stands. Python's standard library alone.

A step is one command (a build, a unit test program, a script). Scripts in tests/e2e, tests/contract and tests/fault are
found by themselves; comment lines at their top tell how to run them:

  # label: spine          for --only; what has none is part of another script
  # timeout: 300          seconds, 300 by default
  # build: debug asan     the presets it runs against, debug by default (PARLEY_BIN_DIR, PARLEY_PLUGIN_DIR name them)
  # alone: yes            runs at the end, nothing beside it (it measures time)
  # full: only            runs with --full only
  # stores: sqlite        the stores it runs on, with the reason beside it; what is in e2e runs on `sqlite postgres` by default,
                          what is in contract and fault on sqlite

A script prints `ok - name`, `not ok - name` or `skip - name: reason`. A reason that begins with "missing" is a peer or
tool that bootstrap.sh should have installed: with CI=true that is a failure. A script that prints none of these lines
counts as one test, judged by its exit code; one that exits non-zero after its lines counts as one more failure.

What runs on PostgreSQL is a step of its own, " on postgres", with a server that is made for the run and ends with it, and with
the last of its presets alone. The unit tests of the store do so, too; `stores: sqlite` at the top leaves out one."""

import argparse
import fnmatch
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(TOP, "build", "test-logs")
LABELS = ["spine", "border", "postgres", "email", "sms", "context", "support", "social"]
SCRIPT_FOLDERS = ["e2e", "contract", "fault"]
SCRIPT_TIMEOUT_S = 300
UNIT_TIMEOUT_S = 600
CHECK_TIMEOUT_S = "60"  # of one test; 4 s, the default of Check, is too near on a busy machine
BUILD_TIMEOUT_S = 1200
FUZZ_S = 10
FUZZ_FULL_S = 300
HEADER_LINES = 30
SERVER_STOP_S = 90
STORES = {"e2e": "sqlite postgres"}  # without a header; elsewhere sqlite
DRIVER = "store_driver_postgres"  # what core/store holds once it knows PostgreSQL
CHECK_LINE = re.compile(r"^(ok|not ok) \d+ - [^:]*:[^:]*:([^:]*): ?(.*)$")
TAP_LINE = re.compile(r"^(ok|not ok|skip) - (.*)$")


class Results:
    """Counts, and prints one line a test as it is known. Thread: any."""

    def __init__(self, strict):
        self.strict = strict
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "not ok": 0, "skip": 0}
        self.failures = []

    def add(self, verdict, name, quiet=False):
        if verdict == "skip" and self.strict and ": missing" in name:
            verdict = "not ok"
        with self.lock:
            self.counts[verdict] += 1
            if verdict == "not ok":
                self.failures.append(name)
            if not quiet or verdict != "ok":
                print(f"{verdict} - {name}", flush=True)

    def note(self, text):
        with self.lock:
            print(text, flush=True)

    def summary(self):
        return "%d passed, %d failed, %d skipped" % (self.counts["ok"], self.counts["not ok"], self.counts["skip"])


class Step:
    """One command. `build` steps run one at a time with all cores; `needs` names steps that must have passed."""

    def __init__(self, name, command, needs=(), labels=(), timeout_s=SCRIPT_TIMEOUT_S, env=None, build=False,
                 alone=False, parse=None, prepare=None, store="sqlite"):
        self.name = name
        self.command = command
        self.needs = list(needs)
        self.labels = list(labels)
        self.timeout_s = timeout_s
        self.env = env or {}
        self.build = build
        self.alone = alone
        self.parse = parse or parse_exit_code
        self.prepare = prepare
        self.store = store
        self.state = "waiting"  # running, passed, failed

    def log_path(self):
        return os.path.join(LOGS, re.sub(r"[^A-Za-z0-9._-]+", "_", self.name) + ".log")


# --- how the output of a step becomes verdicts ---

def parse_exit_code(step, results, code, output, why):
    results.add("ok" if code == 0 else "not ok", step.name + ("" if code == 0 else f" ({why})"))


def parse_build(step, results, code, output, why):
    if code == 0:
        results.note(f"# {step.name}: done")
        return
    results.add("not ok", f"{step.name} ({why})")


def parse_tap(step, results, code, output, why):
    seen = 0
    for line in output.splitlines():
        found = TAP_LINE.match(line)
        if found:
            seen += 1
            results.add(found.group(1), f"{step.name}: {found.group(2)}")
    if seen == 0:
        parse_exit_code(step, results, code, output, why)
    elif code != 0 and not re.search(r"^not ok - ", output, re.M):
        results.add("not ok", f"{step.name} ({why})")


def parse_check(step, results, code, output, why):
    """A unit test program wrote Check's TAP log beside its own log; one line sums it up when all is well."""
    passed = 0
    failed = 0
    try:
        with open(step.env["CK_TAP_LOG_FILE_NAME"], encoding="utf-8", errors="replace") as tap:
            lines = tap.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        found = CHECK_LINE.match(line)
        if not found:
            continue
        name = found.group(2).replace("_", " ")
        if found.group(1) == "ok":
            passed += 1
            results.add("ok", f"{step.name}: {name}", quiet=True)
        else:
            failed += 1
            results.add("not ok", f"{step.name}: {name}: {found.group(3)}")
    if code != 0 and failed == 0:
        results.add("not ok", f"{step.name} ({why})")
    elif passed == 0 and failed == 0:
        results.add("not ok", f"{step.name} (no test ran)")
    elif failed == 0:
        results.note(f"ok - {step.name} ({passed} tests)")


# --- running ---

class Runner:
    def __init__(self, steps, results, jobs, tmp, database=None):
        self.steps = steps
        self.database = database  # what steps on postgres are told
        self.results = results
        self.jobs = jobs
        self.tmp = tmp
        self.lock = threading.Condition()
        self.by_name = {step.name: step for step in steps}
        self.children = set()
        self.stopping = False

    def next_step(self):
        """Returns a step that may begin now, None when nothing is left; waits otherwise. Holds the lock."""
        while not self.stopping:
            waiting = [step for step in self.steps if step.state == "waiting"]
            if not waiting:
                return None
            running = [step for step in self.steps if step.state == "running"]
            for step in waiting:
                states = [self.by_name[name].state for name in step.needs if name in self.by_name]
                if "failed" in states:
                    step.state = "failed"
                    self.results.add("not ok", f"{step.name} (what it needs failed)")
                    self.lock.notify_all()
                    break
                if any(state != "passed" for state in states) or any(other.alone for other in running):
                    continue
                if step.build and any(other.build for other in running):
                    continue
                if step.alone and (running or any(not other.alone for other in waiting)):
                    continue
                return step
            else:
                self.lock.wait(timeout=1.0)
        return None

    def worker(self):
        while True:
            with self.lock:
                step = self.next_step()
                if step is None:
                    return
                step.state = "running"
            passed = self.run(step)
            with self.lock:
                step.state = "passed" if passed else "failed"
                self.lock.notify_all()

    def run(self, step):
        started = time.monotonic()
        if step.prepare:
            step.prepare(self)
        code, why = self.execute(step)
        with open(step.log_path(), encoding="utf-8", errors="replace") as log:
            output = log.read()
        seconds = time.monotonic() - started
        before = len(self.results.failures)
        step.parse(step, self.results, code, output, why)
        if len(self.results.failures) > before and code != 0:
            self.show_end(step, output)
        if seconds > 20:
            self.results.note(f"# {step.name}: {seconds:.0f} s")
        return code == 0

    def show_end(self, step, output):
        lines = output.splitlines()[-25:]
        path = os.path.relpath(step.log_path(), TOP)
        self.results.note(f"# end of {path}:\n" + "\n".join("#   " + line for line in lines))

    def execute(self, step):
        env = dict(os.environ, TMPDIR=self.tmp, PARLEY_SOURCE_DIR=TOP, PARLEY_TEST_STORE=step.store,
                   PARLEY_TEST_DATABASE=self.database or "", **step.env)
        with open(step.log_path(), "wb") as log:
            try:
                child = subprocess.Popen(step.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=TOP,
                                         env=env, start_new_session=True)
            except OSError as error:
                log.write(str(error).encode())
                return 127, str(error)
            with self.lock:
                self.children.add(child.pid)
            try:
                code = child.wait(timeout=step.timeout_s)
                why = f"exit code {code}" if code >= 0 else f"signal {-code}"
            except subprocess.TimeoutExpired:
                code, why = 124, f"no end after {step.timeout_s} s"
            kill_group(child.pid)
            child.wait()
            with self.lock:
                self.children.discard(child.pid)
        return code, f"{why}, {os.path.relpath(step.log_path(), TOP)}"

    def stop(self):
        with self.lock:
            self.stopping = True
            children = list(self.children)
            self.lock.notify_all()
        for pid in children:
            kill_group(pid)

    def run_all(self):
        # One thread more than jobs: a build, which uses all cores itself, runs beside the tests.
        threads = [threading.Thread(target=self.worker) for _ in range(self.jobs + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def kill_group(pid):
    """The step's own session: what a test left running ends with it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def unmount_below(folder):
    """What a killed test left mounted."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        points = [line.split()[1] for line in mounts]
    for point in sorted(points, reverse=True):
        if point.startswith(folder + "/"):
            subprocess.run(["umount", "-l", point], check=False)


# --- the PostgreSQL server of a run ---

class Server:
    """Its program ends when this one does, however that happens: then its standard input ends."""

    def __init__(self, tmp):
        self.log_path = os.path.join(LOGS, "postgres.log")
        words = ["/usr/bin/python3", os.path.join(TOP, "tests", "support", "parley_postgres.py"), "serve", self.log_path]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, TMPDIR=tmp), start_new_session=True)
        self.database = self.process.stdout.readline().strip()  # "" when it ended instead

    def stop(self):
        """Returns what it complained about."""
        try:
            said = self.process.communicate(timeout=SERVER_STOP_S)[1].strip()
        except subprocess.TimeoutExpired:
            said = f"the PostgreSQL server still ran after {SERVER_STOP_S} s"
        kill_group(self.process.pid)
        self.process.wait()
        return said


def start_server(steps, results, tmp):
    """Returns the steps that can run and the server, None when no step needs it or it isn't to be had."""
    if not any(step.store == "postgres" for step in steps):
        return steps, None
    server = Server(tmp)
    if server.database:
        return steps, server
    why = server.stop()
    results.add("skip" if "missing" in why else "not ok", f"what runs on postgres: {why.splitlines()[-1] if why else 'no server'}")
    return [step for step in steps if step.store != "postgres"], None


def knows_postgres():
    """Whether this tree has the driver."""
    return any(DRIVER in source_text(path) for path in glob.glob(os.path.join(TOP, "core", "store", "*.c")))


def source_text(path):
    with open(path, encoding="utf-8") as source:
        return source.read()


# --- which steps there are ---

def clang_name():
    for name in ["clang-14", "clang"]:
        if shutil.which(name):
            return name
    return None


def build_step(preset, targets=(), needs=()):
    configure = ["cmake", "--preset", preset]
    clang = clang_name()
    if preset in ("clang", "fuzz"):
        if clang is None:
            return None
        configure += [f"-DCMAKE_C_COMPILER={clang}", f"-DCMAKE_CXX_COMPILER={clang.replace('clang', 'clang++')}"]
    configure += ["-DPARLEY_WERROR=ON", "-DPARLEY_TESTS=" + ("OFF" if preset == "fuzz" else "ON")]
    build = ["cmake", "--build", f"build/{preset}", "-j", str(max(2, os.cpu_count() or 2))]
    if targets:
        build += ["--target"] + list(targets)
    env = {}
    if shutil.which("ccache"):
        env = {"CMAKE_C_COMPILER_LAUNCHER": "ccache", "CMAKE_CXX_COMPILER_LAUNCHER": "ccache"}
    script = " ".join(configure) + " && " + " ".join(build)
    return Step(f"build {preset}", ["/bin/sh", "-c", script], needs=needs, env=env, build=True,
                timeout_s=BUILD_TIMEOUT_S, parse=parse_build)


def sanitizer_env(preset):
    return {
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    } if preset in ("asan", "tsan") else {}


def unit_sources():
    folder = os.path.join(TOP, "tests", "unit")
    return sorted(name[:-2] for name in os.listdir(folder) if name.startswith("test_") and name.endswith(".c"))


def unit_path(name):
    return os.path.join(TOP, "tests", "unit", name + ".c")


def uses_threads(name):
    """TSan runs only what has threads or a loop in it: the rest is one thread and covered by ASan."""
    return re.search(r"pthread|uv_|core/(store|net|deliver|inbound|feed|api|channel|base/log)", source_text(unit_path(name)))


def on_both_stores(name):
    return name.startswith("test_store_") and header_of(unit_path(name)).get("stores") != "sqlite"


def unit_steps(preset, label, names, store="sqlite"):
    steps = []
    for name in names:
        command = [os.path.join("build", preset, "bin", name)]
        if preset == "tsan" and shutil.which("setarch"):
            command = ["setarch", os.uname().machine, "-R"] + command  # some kernels' layouts are too random for TSan
        title, labels = titled(f"unit {preset} {name}", [label], store)
        tap = os.path.join(LOGS, title.replace(" ", "_") + ".tap")
        steps.append(Step(title, command, needs=[f"build {preset}"], labels=labels,
                          timeout_s=UNIT_TIMEOUT_S, env=dict(sanitizer_env(preset), CK_TAP_LOG_FILE_NAME=tap, CK_DEFAULT_TIMEOUT=CHECK_TIMEOUT_S),
                          parse=parse_check, prepare=lambda runner, path=tap: remove_file(path), store=store))
    return steps


def titled(title, labels, store):
    """The name and the labels of a step on a store."""
    if store == "sqlite":
        return title, labels
    return f"{title} on {store}", labels + [store] * (store not in labels)


def remove_file(path):
    if os.path.exists(path):
        os.remove(path)


def fuzz_steps(full):
    folder = os.path.join(TOP, "tests", "fuzz")
    names = sorted(name[:-2] for name in os.listdir(folder) if name.startswith("fuzz_") and name.endswith(".c")) \
        if os.path.isdir(folder) else []
    seconds = FUZZ_FULL_S if full else FUZZ_S
    steps = []
    for name in names:
        grown = os.path.join("build", "fuzz", "corpus", name)
        seeds = os.path.join("tests", "fuzz", "corpus", name[len("fuzz_"):])
        words = os.path.join("tests", "fuzz", name + ".dict")
        command = [os.path.join("build", "fuzz", "bin", name), f"-max_total_time={seconds}", "-timeout=10",
                   "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={LOGS}/{name}-", grown]
        if os.path.isdir(os.path.join(TOP, seeds)):
            command.append(seeds)
        if os.path.exists(os.path.join(TOP, words)):
            command.insert(1, "-dict=" + words)
        steps.append(Step(f"fuzz {name} {seconds} s", command, needs=["build fuzz"], labels=["spine"],
                          timeout_s=seconds + 60, env={"ASAN_OPTIONS": "detect_leaks=1"},
                          prepare=lambda runner, path=grown: os.makedirs(os.path.join(TOP, path), exist_ok=True)))
    return steps


def header_of(path):
    header = {}
    with open(path, encoding="utf-8", errors="replace") as script:
        for _, line in zip(range(HEADER_LINES), script):
            found = re.match(r"^(?:#|/\*| \*) (label|timeout|build|alone|full|stores): *(.*?)\s*$", line)
            if found:
                header[found.group(1)] = found.group(2)
    if "stores" in header:  # a reason may follow: "sqlite (why)"
        header["stores"] = re.match(r"[a-z ]*", header["stores"]).group(0).strip()
    return header


def script_steps(full):
    steps = []
    for folder in SCRIPT_FOLDERS:
        parent = os.path.join(TOP, "tests", folder)
        for name in sorted(os.listdir(parent)) if os.path.isdir(parent) else []:
            path = os.path.join(parent, name)
            if name.startswith(("_", ".")) or not os.path.isfile(path):
                continue
            header = header_of(path)
            if "label" not in header:  # a module or a program of a script's
                continue
            if header.get("full") == "only" and not full:
                continue
            presets = header.get("build", "debug").split()
            for store in header.get("stores", STORES.get(folder, "sqlite")).split():
                for preset in presets if store == "sqlite" else presets[-1:]:
                    steps.append(script_step(folder, name, path, header, preset, full, store))
    return steps


def script_step(folder, name, path, header, preset, full, store):
    env = dict(sanitizer_env(preset), PARLEY_BUILD_DIR=os.path.join(TOP, "build", preset),
               PARLEY_BIN_DIR=os.path.join(TOP, "build", preset, "bin"),
               PARLEY_PLUGIN_DIR=os.path.join(TOP, "build", preset, "plugins"),
               PARLEY_PEERS=os.path.join(TOP, "build", "peers"),
               PYTHONPATH=os.path.join(TOP, "tests", "support"), PYTHONDONTWRITEBYTECODE="1")
    if full:
        env["FULL"] = "1"
    command = ["/usr/bin/python3", path] if name.endswith(".py") else [path]
    title = f"{folder} {name}" + ("" if preset == "debug" else f" {preset}")
    title, labels = titled(title, header.get("label", "").split(), store)
    needs = [f"build {preset}"] + [peers_step_name(group) for group in peer_groups()]
    timeout_s = int(header.get("timeout", SCRIPT_TIMEOUT_S)) * (10 if full else 1)
    return Step(title, command, needs=needs, labels=labels, timeout_s=timeout_s, env=env, alone=header.get("alone") == "yes",
                parse=parse_tap, store=store)


def peer_groups():
    """tests/peers/GROUP/package-lock.json: npm packages that tests talk to, installed under build/peers/GROUP."""
    folder = os.path.join(TOP, "tests", "peers")
    if not os.path.isdir(folder):
        return []
    return sorted(name for name in os.listdir(folder) if os.path.exists(os.path.join(folder, name, "package.json")))


def peers_step_name(group):
    return f"peers {group}"


def peer_steps():
    steps = []
    for group in peer_groups():
        source, target = f"tests/peers/{group}", f"build/peers/{group}"
        script = (f"mkdir -p {target} && cp {source}/package*.json {target}/ && cd {target} && "
                  "if [ -d node_modules ] && cmp -s package-lock.json .installed; then exit 0; fi; "
                  "{ npm ci --ignore-scripts --no-audit --no-fund || npm ci --ignore-scripts --no-audit --no-fund; } && "
                  "cp package-lock.json .installed")
        steps.append(Step(peers_step_name(group), ["/bin/sh", "-c", script], timeout_s=BUILD_TIMEOUT_S,
                          parse=parse_build))
    return steps


def own_steps(full):
    """Lint and the bench drivers' smoke run."""
    steps = [Step("lint", ["/usr/bin/python3", "tests/lint.py"], labels=LABELS, parse=parse_tap),
             Step("lint plugins", ["/usr/bin/python3", "tests/lint.py", "--plugins", "build/debug/plugins"],
                  needs=["build debug"], labels=LABELS, parse=parse_tap)]
    if os.access(os.path.join(TOP, "tests", "bench", "run.sh"), os.X_OK):
        steps.append(Step("bench drivers", ["tests/bench/run.sh", "--smoke"],
                          needs=["build release", peers_step_name("pgboss")],
                          labels=["spine"], alone=True, timeout_s=600, parse=parse_tap,
                          env={"PARLEY_BUILD_DIR": os.path.join(TOP, "build", "release")}))
    return steps


def all_steps(full):
    units = unit_steps("debug", "spine", unit_sources()) + unit_steps("asan", "spine", unit_sources())
    units += unit_steps("tsan", "spine", [name for name in unit_sources() if uses_threads(name)])
    units += unit_steps("asan", "spine", [name for name in unit_sources() if on_both_stores(name)], "postgres")
    fuzz = fuzz_steps(full)
    builds = [build_step("debug"), build_step("asan"), build_step("release"),
              build_step("fuzz") if fuzz else None, build_step("tsan"),
              build_step("clang", ["parley_core", "parleyd", "parley"])]
    steps = [step for step in builds if step] + peer_steps() + own_steps(full) + script_steps(full) + units + fuzz
    if clang_name() is None:
        steps = [step for step in steps if "build fuzz" not in step.needs]
    if not knows_postgres():
        steps = [step for step in steps if step.store != "postgres"]
    return steps


def choose(steps, only, pattern):
    """Keeps what was asked for and, of the builds, those that something kept needs."""
    if not only and not pattern:
        return steps
    kept = [step for step in steps
            if (not only or only in step.labels) and (not pattern or fnmatch.fnmatch(step.name, f"*{pattern}*"))]
    if only and not pattern:
        kept += [step for step in steps if step.name == "build clang"]
    names = {name for step in kept for name in step.needs}
    kept_names = {step.name for step in kept}
    return [step for step in steps if step.name in names or step.name in kept_names]


def arguments():
    parser = argparse.ArgumentParser(prog="tests/run.sh", description="Builds every preset and runs every test.")
    parser.add_argument("--only", metavar="LABEL", choices=LABELS, help="one of: " + " ".join(LABELS))
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    parser.add_argument("--full", action="store_true", help="release counts for fault tests, longer fuzzing")
    parser.add_argument("--step", metavar="PATTERN", help="only steps whose name matches")
    parser.add_argument("--no-install", action="store_true", help="don't call contrib/bootstrap.sh")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2), help="steps at a time")
    return parser.parse_args()


def main():
    args = arguments()
    results = Results(strict=os.environ.get("CI") == "true")
    steps = choose(all_steps(args.full), args.only, args.step)
    if args.list:
        for step in steps:
            print(f"{step.name:60s} {' '.join(step.labels)}")
        return 0
    os.makedirs(LOGS, exist_ok=True)
    tmp = tempfile.mkdtemp(prefix="parley-tests-")
    steps, server = start_server(steps, results, tmp)
    runner = Runner(steps, results, args.jobs, tmp, server and server.database)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: runner.stop())
    started = time.monotonic()
    try:
        if clang_name() is None:
            results.add("skip", "clang builds the core; fuzzers: missing clang")
        if not [step for step in steps if not step.build]:
            results.add("skip", f"no test has the label or name asked for ({args.only or args.step})")
        runner.run_all()
    finally:
        said = server and server.stop()
        if said:
            results.add("not ok", f"the PostgreSQL server of the run: {said}")
        unmount_below(tmp)
        shutil.rmtree(tmp, ignore_errors=True)
    if runner.stopping:
        results.add("not ok", "interrupted")
    if results.failures:
        print("# failed:\n" + "\n".join("#   " + name for name in results.failures))
    print(f"# {time.monotonic() - started:.0f} s, logs in build/test-logs")
    print(results.summary())
    return 1 if results.counts["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
