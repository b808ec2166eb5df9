"""What the tests of the process border share: the wild plugin (tests/fault/plugins/wild.c) as a channel, neighbours under load with
a ledger outside the router, and the watch over the daemon while something goes wrong.

    with Stand(folder) as stand:
        stand.order("abort")             # one fault; the neighbours are judged when it is over"""

import http.client
import os
import re
import threading
import time

from parley_test import (PLUGIN_DIR, Client, Daemon, Failure, Ledger, Load, Recorder, Reply, expect, wait_until)

WILD_DIR = os.path.join(os.path.dirname(PLUGIN_DIR), "tests/plugins")
WATCH_S = 0.05


def wild_so(folder="usual"):
    return os.path.join(WILD_DIR, folder, "wild.so")


def wild(isolation="process", on_unknown="hold", **options):
    """The configuration of a wild channel."""
    return {"plugin": "wild", "isolation": isolation, "on_unknown": on_unknown, "options": options}


def channel_of(daemon, name):
    for item in daemon.get("/v1/channels").json["items"]:
        if item["name"] == name:
            return item
    raise Failure(f"no channel {name}")


def process_of(daemon, name="wild"):
    return channel_of(daemon, name)["process"]


def wait_process(daemon, name="wild", other_than=None, timeout_s=30):
    """Waits until the channel is up with a process, and returns it; other_than: the pid of one that has gone."""
    seen = {}

    def is_up():
        seen.update(channel_of(daemon, name))
        return seen["state"] == "up" and seen["process"]["pid"] not in (0, other_than)

    wait_until(is_up, lambda: f"channel {name} runs: {seen}", timeout_s)
    return seen["process"]


def status_kib(pid, name="VmRSS"):
    """One line of /proc/PID/status; 0 when the process has gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.M).group(1))
    except (OSError, AttributeError):
        return 0


def open_files(pid):
    """What the process has open: {"unix": 4, "socket": 12, "memfd": 1, ...}; socket: of the other kinds."""
    counts = {}
    with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="replace") as file:
        links = {line.split()[6] for line in file.readlines()[1:]}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        kind = "memfd" if "memfd:" in target else target.split(":", 1)[0] if ":" in target else "file"
        if kind == "socket" and target[len("socket:["):-1] in links:
            kind = "unix"
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def children(pid):
    """Pids of the living and of those nobody has waited for."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(child) for child in file.read().split()]
    return found


def waited_for_cpu_s(pid):
    """How long the main thread, which is the loop, could have run and was not let: the machine's doing, not ours."""
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1]) / 1e9


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Neighbour:
    """A channel that carries messages to a recorder all the time. Keeps when each was posted and when it arrived."""

    def __init__(self, name, isolation, pace_s, threads=2, answer_s=0):
        self.name = name
        self.isolation = isolation
        self.pace_s = pace_s
        self.threads = threads
        self.shop = Recorder(answer=Reply(delay_s=answer_s))
        self.ledger = Ledger(name)
        self.begun = {}  # marker: when it was posted
        self.load = None

    def config(self):
        return {**self.shop.channel(), "isolation": self.isolation}

    def body(self, marker, number):
        self.begun[marker] = time.time()
        return Daemon.message(f"order ~{marker}~", to={"email": f"customer-{number % 20}@example.org"}, channels=[self.name])

    def start_load(self, daemon):
        self.load = Load(daemon, self.ledger, threads=self.threads, make_body=self.body, pace_s=self.pace_s)
        self.load.__enter__()

    def delays(self, since, until):
        """Seconds from POST to arrival of what was posted in between and has arrived."""
        with self.shop.arrived:
            arrived = {marker: requests[0].at for marker, requests in self.shop.markers.items()}
        return [arrived[marker] - at for marker, at in list(self.begun.items()) if since <= at < until and marker in arrived]


class Watch:
    """Samples the daemon: /readyz, and its memory. Thread: one of its own."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.ending = threading.Event()
        self.not_ready = []
        self.rss_peak_kib = 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        client = Client(self.daemon.port, key=None, timeout_s=10)
        while not self.ending.wait(WATCH_S):
            self.rss_peak_kib = max(self.rss_peak_kib, status_kib(self.daemon.process.pid))
            try:
                status = client.get("/readyz").status
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            if status != 200:
                self.not_ready.append(status)
        client.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(timeout=15)


class Stand:
    """A daemon with the wild channel and two neighbours under load, one inside of it and one in a process of its own."""

    PACE_S = 0.02

    def __init__(self, folder, config=None, wild_options=None, on_unknown="hold", pace_s=PACE_S, memory="64M"):
        self.inside = Neighbour("inside", "inline", pace_s)
        self.apart = Neighbour("apart", "process", pace_s)
        self.neighbours = [self.inside, self.apart]
        self.on_unknown = on_unknown
        self.memory = memory
        self.wild_options = wild_options or {}
        self.change = config
        self.folder = folder
        self.daemon = None
        self.watch = None

    def configure(self, config):
        config["plugins"] = {"dirs": [PLUGIN_DIR, os.path.join(WILD_DIR, "usual")], "hang": "2s", "memory": self.memory}
        config["server"]["drain"] = "5s"
        if self.change:
            self.change(config)

    def __enter__(self):
        for neighbour in self.neighbours:
            neighbour.shop.start()
        channels = {"wild": wild(on_unknown=self.on_unknown, **self.wild_options)}
        channels.update({neighbour.name: neighbour.config() for neighbour in self.neighbours})
        self.daemon = Daemon(self.folder, channels=channels, config=self.configure)
        self.daemon.__enter__()
        try:
            wait_process(self.daemon)
            for neighbour in self.neighbours:
                neighbour.start_load(self.daemon)
            self.watch = Watch(self.daemon)
            self.watch.__enter__()
        except BaseException:
            self.daemon.__exit__(Failure, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.end_load()
        self.daemon.__exit__(kind, value, trace)
        for neighbour in self.neighbours:
            neighbour.shop.stop()

    def end_load(self):
        for neighbour in self.neighbours:
            if neighbour.load is not None:
                neighbour.load.stop()
                neighbour.load = None
        if self.watch is not None:
            self.watch.__exit__()

    def send(self, text, channel="wild", **more):
        return self.daemon.send(text, channels=[channel], **more)

    def delays(self, since, until):
        return [delay for neighbour in self.neighbours for delay in neighbour.delays(since, until)]

    def all_arrived(self, until, timeout_s=60):
        """Every message that was acknowledged up to then has arrived at its neighbour."""
        for neighbour in self.neighbours:
            wanted = neighbour.ledger.accepted_before(until)

            def missing():
                with neighbour.shop.arrived:
                    return [marker for marker in wanted if marker not in neighbour.shop.markers]

            wait_until(lambda: not missing(), lambda: f"{neighbour.name}: {len(missing())} of {len(wanted)} have not arrived",
                       timeout_s)

    def stalls(self):
        return int(self.daemon.metric("parley_loop_stalls_total"))

    def reload(self):
        """A new process, with its first pause before it."""
        answer = self.daemon.post("/v1/channels/wild/reload")
        expect(answer.status, 200, answer.text[:300])
        return wait_process(self.daemon)
