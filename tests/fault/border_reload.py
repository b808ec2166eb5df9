#!/usr/bin/python3
# label: border
# timeout: 420
# build: debug asan
"""Reload after reload under load, of one plugin, of one channel and of all, inside of the daemon and in processes of their own, while the
files on disk are replaced, overwritten in place and cut, and while every third new one fails in its constructor, in create or in start.
Every message is settled exactly once, one that fails leaves the old one at work, and nothing is left over."""

import itertools
import os
import shutil
import signal

from parley_border import Neighbour, Watch, children, open_files, process_of, status_kib, wait_process, wild, wild_so
from parley_test import FULL, PLUGIN_DIR, Daemon, expect, expect_true, judge, run, test, wait_until

RELOADS = 210 if FULL else 42  # rounds of 14, so that what is compared was open at the same moment of a round
QUIET_RELOADS = 98 if FULL else 14  # without load: what parleyd keeps for messages is none of a reload's
WARM_RELOADS = 14       # before what is open is counted
RELOAD_S = 30
HANG_S = 2
PACE_S = 0
CROWD = {"threads": 4, "answer_s": 0.05}  # so that something is always in the hands of the one that goes
RSS_GROWTH_KIB = 3072   # of parleyd, without load; a sanitizer keeps what was freed, so there it isn't looked at
# socket: as many as are in flight at most; memfd: the plugin before stays on the shelf until the next reload
FILES_GROWTH = {"socket": 150, "unix": 2, "memfd": 1, "file": 2, "pipe": 2, "anon_inode": 2}
INLINE_FILES = 3        # what is loaded into the daemon stays mapped: so many different files
SANITIZED = "asan" in os.path.normpath(PLUGIN_DIR).split(os.sep) or "tsan" in os.path.normpath(PLUGIN_DIR).split(os.sep)


class Carrier(Neighbour):
    """The wild channel, posting to a recorder as the others do."""

    def __init__(self):
        super().__init__("wild", "process", PACE_S, **CROWD)
        self.options = {}

    def config(self):
        return wild(on_unknown="resend", url=self.shop.url, **self.options)


class Yard:
    """A daemon with plugins of its own to replace, and three channels under load."""

    def __init__(self, folder):
        self.folder = folder
        self.place = os.path.join(folder, "plugins")
        self.carrier = Carrier()
        self.neighbours = [Neighbour("inside", "inline", PACE_S, **CROWD), Neighbour("apart", "process", PACE_S, **CROWD),
                           self.carrier]
        self.daemon = None
        self.watch = None
        self.numbers = itertools.count()

    def __enter__(self):
        os.makedirs(self.place, mode=0o755)
        self.replace("wild", wild_so(), b"")
        self.replace("webhook", os.path.join(PLUGIN_DIR, "webhook.so"), b"")
        for neighbour in self.neighbours:
            neighbour.shop.start()
        self.daemon = Daemon(self.folder, channels={neighbour.name: neighbour.config() for neighbour in self.neighbours},
                             config=self.configure)
        self.daemon.__enter__()
        for neighbour in self.neighbours:
            neighbour.start_load(self.daemon)
        self.watch = Watch(self.daemon).__enter__()
        return self

    def __exit__(self, *error):
        self.end_load()
        self.daemon.__exit__(*error)
        for neighbour in self.neighbours:
            neighbour.shop.stop()

    def end_load(self):
        for neighbour in self.neighbours:
            if neighbour.load is not None:
                neighbour.load.stop()
                neighbour.load = None
        if self.watch is not None:
            self.watch.__exit__()

    def configure(self, config):
        config["plugins"] = {"dirs": [self.place, PLUGIN_DIR], "hang": f"{HANG_S}s"}
        config["server"]["drain"] = "10s"

    def so(self, name):
        return os.path.join(self.place, f"{name}.so")

    # --- files ---

    def replace(self, name, source, more):
        """Another file under the same name, at once. Bytes behind its end make it another one."""
        new = self.so(name) + ".new"
        shutil.copyfile(source, new)
        with open(new, "ab") as file:
            file.write(more)
        os.chmod(new, 0o755)
        os.rename(new, self.so(name))

    def overwrite(self, name, content):
        """The same file, byte by byte, as a careless `cp` does it."""
        with open(self.so(name), "r+b") as file:
            file.write(content)
            file.truncate()

    def content(self, name):
        with open(self.so(name), "rb") as file:
            return file.read()

    def renew(self, name):
        number = next(self.numbers)
        source = wild_so() if name == "wild" else os.path.join(PLUGIN_DIR, "webhook.so")
        self.replace(name, source, b"%d" % (number if name == "wild" else number % INLINE_FILES))

    # --- reloads ---

    def post(self, path):
        """Until no other reload is under way."""
        answers = []

        def is_taken():
            answers.append(self.daemon.post(path))
            return answers[-1].status != 503

        wait_until(is_taken, f"{path} is taken", RELOAD_S)
        return answers[-1]

    def expect_reloaded(self, path):
        answer = self.post(path)
        expect(answer.status, 200, f"{path}: {answer.text[:400]}")

    def expect_refused(self, path, words):
        answer = self.post(path)
        expect((answer.status, answer.json.get("code")), (409, "reload_refused"), f"{path}: {answer.text[:400]}")
        expect_true(words in answer.json["detail"], f"{answer.json['detail']!r} says {words!r}")

    def hang_up(self, event):
        """SIGHUP with the configuration as it is now; event: what the log says of it."""
        self.daemon.config["channels"]["wild"] = self.carrier.config()
        self.daemon.write_config()
        seen = self.daemon.log().count(event)
        self.daemon.signal(signal.SIGHUP)
        wait_until(lambda: self.daemon.log().count(event) > seen, lambda: f"{event}\n{self.daemon.log_end()}", RELOAD_S)


# --- what is done, one after the other ---

def plugin_with_a_new_file(yard):
    yard.renew("wild")
    yard.expect_reloaded("/v1/plugins/wild/reload")


def plugin_of_two_channels(yard):
    yard.renew("webhook")
    yard.expect_reloaded("/v1/plugins/webhook/reload")


def channel_apart(yard):
    yard.expect_reloaded("/v1/channels/apart/reload")


def channel_inside(yard):
    yard.renew("webhook")
    yard.expect_reloaded("/v1/channels/inside/reload")


def everything(yard):
    yard.daemon.config["channels"]["inside"]["options"]["in_flight"] = 8 + next(yard.numbers) % 5
    yard.hang_up("event=reloaded")


def file_cut_in_place(yard):
    """What runs has a copy of its own; what is cut is refused, and reloaded once it is whole again."""
    for name, path in (("wild", "/v1/channels/wild/reload"), ("webhook", "/v1/channels/inside/reload")):
        whole = yard.content(name)
        yard.overwrite(name, whole[:len(whole) // 3])
        yard.expect_refused(path, "is cut off")
        yard.overwrite(name, b"")
        yard.expect_refused(path, "is not a shared object")
        yard.overwrite(name, whole)
        yard.expect_reloaded(path)


def file_overwritten_in_place(yard):
    whole = yard.content("wild")
    yard.overwrite("wild", bytes(len(whole)))
    yard.expect_refused("/v1/plugins/wild/reload", "is not a shared object")
    yard.overwrite("wild", whole + b"%d" % next(yard.numbers))
    yard.expect_reloaded("/v1/plugins/wild/reload")


def constructor_fails(yard):
    for variant, words in (("loading_abort", "signal 6"), ("loading_exit", "exit code 0"), ("next_abi", "ABI 2")):
        yard.replace("wild", wild_so(variant), b"%d" % next(yard.numbers))
        yard.expect_refused("/v1/plugins/wild/reload", words)
    yard.replace("wild", wild_so(), b"")


def life_fails(at, fault, words):
    def fails(yard):
        """The configuration on disk asks for a channel that fails; the one in force is none of it."""
        yard.carrier.options = {"fault": fault, "at": at}
        yard.hang_up("event=reload_refused")
        expect_true(words in yard.daemon.log().rsplit("event=reload_refused", 1)[1], f"it says {words!r}:\n{yard.daemon.log_end()}")
        yard.carrier.options = {}
        yard.expect_reloaded("/v1/channels/wild/reload")
    return fails


def leaves_badly(yard):
    """The old one dies while it drains: what it held is marked, and told apart from what the new one does."""
    yard.carrier.options = {"fault": "abort", "at": "destroy"}
    yard.hang_up("event=reloaded")
    yard.carrier.options = {}
    yard.hang_up("event=reloaded")


ROUND = [plugin_with_a_new_file, channel_apart, life_fails("create", "fail", "told to fail"), plugin_of_two_channels, everything,
         constructor_fails, channel_inside, life_fails("start", "fail", "told to fail"), file_overwritten_in_place, everything,
         life_fails("create", "abort", "signal 6"), file_cut_in_place, leaves_badly, life_fails("start", "sleep", "did not answer")]


def quiet(yard):
    """What is open when the old ones have gone."""
    daemon = yard.daemon
    wait_until(lambda: len(children(daemon.process.pid)) == 2, lambda: f"the old processes have gone: {children(daemon.process.pid)}",
               RELOAD_S)
    return open_files(daemon.process.pid), status_kib(daemon.process.pid)


def reload_many(yard, count):
    """Returns what was open after the first round, and at the end."""
    warm = None
    for number, reload in enumerate(itertools.islice(itertools.cycle(ROUND), count + WARM_RELOADS)):
        if number == WARM_RELOADS:
            warm = quiet(yard)
        reload(yard)
        wait_process(yard.daemon)
        expect(process_of(yard.daemon)["deaths"], 0, f"deaths of the one in force, after {reload.__name__}")
    return warm, quiet(yard)


def expect_no_growth(warm, end):
    more = {kind: count for kind, count in end[0].items() if count > warm[0].get(kind, 0) + FILES_GROWTH.get(kind, 0)}
    expect(more, {}, f"descriptors, from {warm[0]} to {end[0]}")


def expect_settled_once(yard, neighbour):
    counts = judge(yard.daemon, neighbour.shop, neighbour.ledger)
    print(f"# {neighbour.name}: {counts}")
    expect((counts["duplicates"], counts["refused"]), (0, 0), f"arrived twice, refused, at {neighbour.name}")
    for marker, message in list(neighbour.ledger.accepted_ids().items())[::50]:
        outcomes = [attempt["outcome"] for attempt in yard.daemon.message_state(message)["attempts"]]
        expect(outcomes.count("accepted"), 1, f"{marker} is settled once: {outcomes}")


@test
def reloads_under_load_settle_every_message_once_and_leave_nothing_over(folder):
    with Yard(folder) as yard:
        warm, end = reload_many(yard, RELOADS - WARM_RELOADS)
        expect(yard.watch.not_ready, [], "/readyz")
        yard.end_load()
        for neighbour in yard.neighbours:
            expect_settled_once(yard, neighbour)
        expect_no_growth(warm, end)
        print(f"# {RELOADS} reloads, {yard.daemon.metric('parley_loop_stalls_total')} stalls, "
              f"the longest turn took {yard.daemon.metric('parley_loop_longest_seconds')} s")
        expect_true(yard.daemon.metric("parley_loop_longest_seconds") < HANG_S / 2, "the loop has waited for nobody")
        wait_until(lambda: yard.daemon.metric("parley_messages_add_up") == 1.0, "the states add up")
        expect(yard.daemon.stop(), 0, "the exit code, every handle closed and no leak")


@test
def reloads_leave_no_memory_behind(folder):
    with Yard(folder) as yard:
        yard.end_load()
        warm, end = reload_many(yard, QUIET_RELOADS)
        expect_no_growth(warm, end)
        print(f"# {QUIET_RELOADS} reloads, {warm[1]} -> {end[1]} KiB")
        expect_true(SANITIZED or end[1] < warm[1] + RSS_GROWTH_KIB, f"parleyd grew from {warm[1]} to {end[1]} KiB")
        expect(yard.daemon.stop(), 0, "the exit code, every handle closed and no leak")


run()
