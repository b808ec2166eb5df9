#!/usr/bin/python3
# label: border
# timeout: 420
"""A plugin in a process of its own that cannot be loaded, made, started or stopped: what the start of the daemon, `parleyd --check`,
a reload and `parley doctor` say of it, and who goes on meanwhile. Also what it held when it died: what it had said counts, what it had
not is tried again alone, and a message that kills it three times is held."""

import os
import shutil
import signal
import subprocess
import time

from parley_border import Stand, channel_of, children, process_of, wait_process, wild, wild_so
from parley_test import (BIN_DIR, FULL, KEY, PLUGIN_DIR, SECRET, Daemon, Ledger, Load, Recorder, duplicates_not_marked, expect,
                         expect_true, parley, run, test, wait_until)

HANG_S = 2        # plugins.hang: the least that may be configured
SENTENCE_S = 30   # for a start that fails, by a plugin that hangs
IDLE_LOOKS = 8
GOOD = 1000
POISON_DEATHS = 3
POISON_S = 150    # three attempts with pauses of 5 and 30 s, and the innocents one at a time
EX_UNAVAILABLE = 69
EX_CONFIG = 78

# How a .so can be wrong, and the words for it.
LOADING = {
    "loading_segv": "ended by signal 11", "loading_abort": "ended by signal 6", "loading_exit": "exit code 0",
    "loading_overflow": "ended by signal 11", "loading_sleep": "did not tell what it holds within",
    "loading_facts": "makes no sense", "next_abi": "was built for plugin ABI 2",
}


def own_copy(folder, variant="usual", mode=0o755):
    """A folder of plugins of this test's own, with the variant as wild.so."""
    place = os.path.join(folder, "plugins")
    os.makedirs(place, mode=0o755, exist_ok=True)
    os.chmod(place, 0o755)
    replace_plugin(place, variant)
    return place


def replace_plugin(place, variant, more=b""):
    """A new file under the old name, at once; more: bytes behind its end, so that it is another one."""
    new = os.path.join(place, "wild.new")
    shutil.copyfile(wild_so(variant), new)
    with open(new, "ab") as file:
        file.write(more)
    os.chmod(new, 0o755)
    os.rename(new, os.path.join(place, "wild.so"))


def in_dirs(place, **more):
    def change(config):
        config["plugins"] = {"dirs": [PLUGIN_DIR, place], "hang": f"{HANG_S}s", "memory": "64M"}
        config["plans"]["default"] = [{"channel": "hook"}]
        config.update(more)
    return change


def channels(shop, **options):
    return {"hook": shop.channel(), "wild": wild(**options)}


def check(daemon):
    """parleyd --check of its configuration: the finished process."""
    return subprocess.run([os.path.join(BIN_DIR, "parleyd"), "-c", daemon.config_path, "--check"], capture_output=True, text=True,
                          env=dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET), timeout=SENTENCE_S)


def expect_start_refused(daemon, words, code=EX_CONFIG):
    """It ends, soon, and says which channel and why; nothing is left behind."""
    daemon.start(ready=False)
    expect(daemon.wait_exit(SENTENCE_S), code, f"the exit code; it should say: {words}")
    expect_true(words in daemon.log() and "wild" in daemon.log(), f"the log says {words!r}:\n{daemon.log_end()}")


def expect_reload_refused(daemon, words):
    """By a signal and by the API: the answer tells why, and what ran runs on."""
    pid = process_of(daemon)["pid"]
    answer = daemon.post("/v1/channels/wild/reload")
    expect((answer.status, answer.json["code"]), (409, "reload_refused"), answer.text[:300])
    expect_true(words in answer.json["detail"], f"{answer.json['detail']!r} says {words!r}")
    refused = daemon.log().count("event=reload_refused")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count("event=reload_refused") > refused, "the signal's is refused as well", SENTENCE_S)
    expect(process_of(daemon)["pid"], pid, "the process that ran before")
    daemon.wait_status(daemon.send("still there", channels=["wild"]), "sent")
    daemon.wait_status(daemon.send("still there", channels=["hook"]), "sent")
    expect(daemon.probe("/readyz"), 200)
    wait_until(lambda: children(daemon.process.pid) == [pid], f"no process is left over: {children(daemon.process.pid)}")


# --- what cannot be loaded ---

@test
def what_cannot_be_loaded_is_said_at_start_by_the_check_and_at_a_reload(folder):
    with Recorder() as shop:
        place = own_copy(folder)
        daemon = Daemon(folder, channels=channels(shop), config=in_dirs(place))
        with daemon:
            for variant, words in LOADING.items():
                replace_plugin(place, variant)
                checked = check(daemon)
                expect_true(checked.returncode == EX_CONFIG and words in checked.stderr and "channels.wild" in checked.stderr,
                            f"--check of {variant}: {checked.returncode} {checked.stderr}")
                expect_reload_refused(daemon, words)
            expect(daemon.stop(), 0)
            for variant, words in LOADING.items():
                replace_plugin(place, variant)
                expect_start_refused(daemon, words)


@test
def one_that_takes_too_much_while_it_is_loaded_hurts_itself(folder):
    with Recorder() as shop:
        place = own_copy(folder)
        with Daemon(folder, channels=channels(shop), config=in_dirs(place)) as daemon:
            for variant in ("loading_memory", "loading_fork"):
                replace_plugin(place, variant)
                before = children(daemon.process.pid)
                answer = daemon.post("/v1/channels/wild/reload")
                expect(answer.status, 200, f"it was refused what it wanted, and works: {answer.text[:300]}")
                new = wait_process(daemon, other_than=before[0])
                wait_until(lambda: children(daemon.process.pid) == [new["pid"]], "one process, without children")
                daemon.wait_status(daemon.send("good", channels=["wild"]), "sent")


@test
def a_file_that_is_not_there_or_others_may_write_is_refused(folder):
    with Recorder() as shop:
        place = own_copy(folder)
        so = os.path.join(place, "wild.so")

        def missing():
            os.rename(so, so + ".away")
            return lambda: os.rename(so + ".away", so)

        def writable_file():
            os.chmod(so, 0o777)
            return lambda: os.chmod(so, 0o755)

        def writable_folder():
            os.chmod(place, 0o777)
            return lambda: os.chmod(place, 0o755)

        def anothers():
            os.chown(so, 12345, -1)
            return lambda: os.chown(so, os.geteuid(), -1)

        def text():
            replace_with(so, b"#!/bin/sh\n")
            return lambda: replace_plugin(place, "usual")

        def cut():
            with open(so, "rb") as file:
                replace_with(so, file.read()[:9000])
            return lambda: replace_plugin(place, "usual")

        def replace_with(path, content):
            with open(path + ".new", "wb") as file:
                file.write(content)
            os.rename(path + ".new", path)

        wrongs = [(missing, "no wild.so in plugins.dirs"), (writable_file, "may be written by others"),
                  (writable_folder, "may be written by others"), (text, "is not a shared object"), (cut, "is cut off")]
        if os.geteuid() == 0:
            wrongs.append((anothers, "belongs to another user"))
        daemon = Daemon(folder, channels=channels(shop), config=in_dirs(place))
        with daemon:
            for wrong, words in wrongs:
                mend = wrong()
                checked = check(daemon)
                expect_true(checked.returncode == EX_CONFIG and words in checked.stderr, f"{wrong.__name__}: {checked.stderr}")
                expect_reload_refused(daemon, words)
                mend()
            expect(daemon.stop(), 0)
            for wrong, words in wrongs:
                mend = wrong()
                expect_start_refused(daemon, words)
                mend()


# --- what cannot be made or started ---

UNMADE = {"fail": "told to fail", "segv": "signal 11", "abort": "signal 6", "exit": "exit code 0", "overflow": "signal 11",
          "sleep": "did not answer", "busy": "did not answer", "deadlock": "did not answer", "garbage": "too large"}


@test
def one_that_cannot_be_made_or_started_is_said_at_start_and_at_a_reload(folder):
    with Recorder() as shop:
        daemon = Daemon(folder, channels=channels(shop), config=in_dirs(own_copy(folder)))
        with daemon:
            for at in ("create", "start"):
                for fault, words in UNMADE.items():
                    daemon.config["channels"]["wild"]["options"] = {"fault": fault, "at": at}
                    daemon.write_config()
                    pid = process_of(daemon)["pid"]
                    refused = daemon.log().count("event=reload_refused")
                    daemon.signal(signal.SIGHUP)
                    wait_until(lambda: daemon.log().count("event=reload_refused") > refused, f"{fault} in {at} is refused",
                               SENTENCE_S)
                    wait_until(lambda: words in daemon.log().rsplit("event=reload_refused", 1)[1], f"{fault} in {at}: {words}")
                    expect(process_of(daemon)["pid"], pid, "the process that ran before")
                    daemon.wait_status(daemon.send("still there", channels=["wild"]), "sent")
                    wait_until(lambda: children(daemon.process.pid) == [pid], "no process is left over")
            expect_true(daemon.metric("parley_loop_longest_seconds") < HANG_S / 2, "the loop has waited for nobody")
            expect(daemon.stop(), 0)
            for at, code in (("create", EX_CONFIG), ("start", EX_UNAVAILABLE)):
                for fault in ("fail", "abort", "sleep"):
                    daemon.config["channels"]["wild"]["options"] = {"fault": fault, "at": at}
                    expect_start_refused(daemon, UNMADE[fault], code)


@test
def one_that_comes_back_broken_is_tried_again_and_the_rest_goes_on(folder):
    soon_ms = 0
    with Stand(folder) as stand:
        daemon = stand.daemon
        for at in ("create", "start"):
            for fault, words in {"abort": "signal 6", "fail": "told to fail", "sleep": "did not answer"}.items():
                soon_ms = int(time.time() * 1000) + 1500
                daemon.config["channels"]["wild"]["options"] = {"fault": fault, "at": at, "from": soon_ms}
                reload_file(daemon)
                old = wait_process(daemon)
                wait_until(lambda: time.time() * 1000 > soon_ms, "its time has come")
                os.kill(old["pid"], signal.SIGKILL)
                wait_until(lambda: process_of(daemon)["deaths"] >= 3, f"it is tried again: {fault} in {at}", SENTENCE_S)
                seen = channel_of(daemon, "wild")
                expect((seen["state"], words in seen["process"]["last_death"]), ("down", True), f"{fault} in {at}: {seen}")
                doctor = parley(daemon, "doctor")
                expect_true(any("wild" in line and words in line for line in doctor.stdout.splitlines()), f"doctor: {doctor.stdout}")
                listed = parley(daemon, "channel", "list")
                expect_true(any("wild" in line and "down" in line for line in listed.stdout.splitlines()), listed.stdout)
        daemon.config["channels"]["wild"]["options"] = {}
        reload_file(daemon)
        wait_process(daemon)
        daemon.wait_status(stand.send("good again"), "sent")
        stand.all_arrived(time.time())
        expect(stand.watch.not_ready, [], "/readyz")
        expect(daemon.stop(), 0)


def reload_file(daemon):
    """The configuration as it is now; waits until it is in force."""
    reloaded = daemon.log().count("event=reloaded")
    daemon.write_config()
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count("event=reloaded") > reloaded, "the reload", SENTENCE_S)


# --- what does not want to go ---

@test
def one_that_dies_or_hangs_while_it_leaves_does_not_hold_up_a_reload_or_the_end(folder):
    with Stand(folder) as stand:
        daemon = stand.daemon
        for at in ("drain", "stop", "destroy"):
            for fault in ("segv", "abort", "exit", "overflow", "sleep", "busy", "garbage", "after_stopped", "stopped"):
                daemon.config["channels"]["wild"]["options"] = {"fault": fault, "at": at}
                reload_file(daemon)
                leaving = wait_process(daemon)["pid"]
                held = stand.send("good")
                daemon.config["channels"]["wild"]["options"] = {}
                reload_file(daemon)
                new = wait_process(daemon, other_than=leaving)
                daemon.wait_status(held, "sent")
                daemon.wait_status(stand.send("good"), "sent")
                wait_until(lambda: len(children(daemon.process.pid)) == 2, f"{fault} in {at}: its process is gone", SENTENCE_S)
                expect(process_of(daemon), {**process_of(daemon), "pid": new["pid"], "deaths": 0}, f"{fault} in {at}: the new one")
        stand.all_arrived(time.time())
        for neighbour in stand.neighbours:
            expect(duplicates_not_marked(daemon, neighbour.shop)[1], 0, f"duplicates at {neighbour.name}")
        expect(stand.watch.not_ready, [], "/readyz")
        stand.end_load()
        daemon.config["channels"]["wild"]["options"] = {"fault": "sleep", "at": "stop"}
        reload_file(daemon)
        started = time.monotonic()
        expect(daemon.stop(), 0)
        expect_true(time.monotonic() - started < 15, "the end is not held up")


def runs(pid):
    """Nobody may have waited for one whose parent has gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


@test
def its_processes_end_with_the_daemon_however_that_ends(folder):
    with Recorder() as shop, Daemon(folder, channels=channels(shop), config=in_dirs(own_copy(folder))) as daemon:
        for end in (daemon.stop, lambda: os.kill(daemon.process.pid, signal.SIGKILL)):  # not kill(), which ends its children, too
            pid = wait_process(daemon)["pid"]
            daemon.send("wild:sleep", channels=["wild"])
            wait_until(lambda: daemon.metric("parley_deliveries_in_flight", '{channel="wild"}') == 1, "it hangs")
            end()
            wait_until(lambda: not runs(pid), f"process {pid} is gone")
            if daemon.process is not None:
                daemon.kill()
            daemon.start()


# --- what it held ---

def switches(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return [line for line in file if "ctxt_switches" in line]


def wait_idle(pid):
    """Until the process has not run for some looks: it has nothing more to do."""
    looks = []

    def is_idle():
        looks.append(switches(pid))
        return len(looks) >= IDLE_LOOKS and all(look == looks[-1] for look in looks[-IDLE_LOOKS:])

    wait_until(is_idle, f"process {pid} is idle")


@test
def what_it_had_said_before_it_died_counts(folder):
    """The answer lies in the connection, unread, when the process is gone already."""
    with Recorder() as shop, Daemon(folder, channels=channels(shop), config=in_dirs(own_copy(folder))) as daemon:
        for number in range(20 if FULL else 5):
            plugin = wait_process(daemon)["pid"]
            os.kill(plugin, signal.SIGSTOP)
            said = daemon.send("settled at once", channels=["wild"])
            wait_until(lambda: daemon.metric("parley_deliveries_in_flight", '{channel="wild"}') == 1, "it is in its hands")
            daemon.signal(signal.SIGSTOP)
            os.kill(plugin, signal.SIGCONT)
            wait_idle(plugin)
            os.kill(plugin, signal.SIGKILL)
            daemon.signal(signal.SIGCONT)
            state = daemon.wait_status(said, "sent")
            expect([attempt["outcome"] for attempt in state["attempts"]], ["accepted"], f"round {number}")
            expect(wait_process(daemon, other_than=plugin)["deaths"], 1, "deaths")
            answer = daemon.post("/v1/channels/wild/reload")
            expect(answer.status, 200, answer.text[:300])


@test
def one_poison_message_among_a_thousand_is_held_and_nobody_else(folder):
    with Recorder() as shop, Recorder() as out:
        daemon = Daemon(folder, channels=channels(shop, on_unknown="resend", url=out.url), config=in_dirs(own_copy(folder)))
        with daemon:
            ledger = Ledger("f18")
            poison = []

            def body(marker, number):
                return daemon.message(f"order ~{marker}~", to={"email": f"m{number % 97}@example.org"}, channels=["wild"])

            load = Load(daemon, ledger, threads=4, make_body=body, count=GOOD // 4)
            with load:
                wait_until(lambda: len(out.requests) > GOOD // 4, "it is under way")
                poison.append(daemon.send("wild:abort", channels=["wild"]))
                load.join()
            state = daemon.wait_status(poison[0], "held", timeout_s=POISON_S)
            expect((state["reason"], state["deliveries"][0]["deaths"]), ("poison", POISON_DEATHS))
            expect(len([a for a in state["attempts"] if a["code"] == "plugin_died"]), POISON_DEATHS, "attempts that died")
            for marker, message in ledger.accepted_ids().items():
                daemon.wait_status(message, "sent", timeout_s=POISON_S)
                expect_true(marker in out.markers, f"{message} has arrived")
            expect(len(ledger.accepted_ids()), GOOD)
            expect(daemon.metric("parley_messages", '{state="held"}'), 1, "held")
            expect_true(process_of(daemon)["deaths"] == POISON_DEATHS, "deaths of the process")
            expect(daemon.metric("parley_messages_add_up"), 1.0)


run()
