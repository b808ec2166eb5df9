"""What the rows of the bench share: the programs of tests/bench as processes, and what they print as values."""

import json
import os
import signal
import socket
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("PARLEY_BUILD_DIR", os.path.join(TOP, "build", "release"))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

from parley_test import BUILD_DIR, KEY, Client, Failure, free_port, wait_until  # noqa: E402

BENCH = os.path.join(BUILD_DIR, "bench")
SLOWSYNC = os.path.join(BENCH, "slowsync.so")
HERE = os.path.dirname(os.path.abspath(__file__))


class Program:
    """One of our programs that listens on a port, as a context."""

    def __init__(self, name, port, *words, env=None):
        self.command = [os.path.join(BENCH, name), "-p", str(port), *map(str, words)]
        self.port = port
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.output = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=self.env)
        wait_until(self.is_up, f"{self.command[0]} listens")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise Failure(f"{' '.join(self.command)} ended with {self.process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """SIGTERM; returns what it printed."""
        if self.output is None:
            self.process.send_signal(signal.SIGTERM)
            self.output, _ = self.process.communicate(timeout=20)
        return self.output


class HttpSink(Program):
    def __init__(self, *words, ports=1):
        super().__init__("http_sink", free_ports(ports), "-P", ports, *words)

    def stats(self, index=0, reset=False):
        client = Client(self.port + index, key=None)
        try:
            return client.get("/reset" if reset else "/stats").json
        finally:
            client.close()

    def url(self, index=0):
        return f"http://127.0.0.1:{self.port + index}/"


class SmtpSink(Program):
    """Ends by itself after `mails` good ones: one sink a run."""

    def __init__(self, mails, *words):
        super().__init__("smtp_sink", free_port(), "-n", mails, *words)
        self.mails = mails

    def figures(self, timeout_s):
        try:
            self.output, _ = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"not all of {self.mails} mails after {timeout_s} s: {self.stop()}") from None
        return json.loads(self.output.splitlines()[-1])


class SmppSink(SmtpSink):
    """A message centre: ends by itself after `messages` good ones, unless that is 0."""

    def __init__(self, messages, *words):
        Program.__init__(self, "smpp_sink", free_port(), *(["-n", messages] if messages else []), *words)
        self.mails = messages


def free_ports(count):
    """The first of `count` ports in a row that are free."""
    while True:
        first = free_port()
        sockets = []
        try:
            for port in range(first, first + count):
                listener = socket.socket()
                sockets.append(listener)
                listener.bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for listener in sockets:
                listener.close()


def load(port, path="/v1/messages", key=KEY, **options):
    """Runs http_load. options: connections, seconds or requests, known, new_percent, body_bytes, channels, fill, rate,
    phones, kannel."""
    letters = {"connections": "-c", "seconds": "-d", "requests": "-n", "known": "-k", "new_percent": "-N",
               "body_bytes": "-b", "channels": "-C", "topic": "-t", "rate": "-r"}
    words = [os.path.join(BENCH, "http_load"), "-u", f"http://127.0.0.1:{port}{path}"]
    for name, letter in {"fill": "-F", "phones": "-P", "kannel": "-K"}.items():
        if options.pop(name, False):
            words.append(letter)
    for name, value in options.items():
        words += [letters[name], str(value)]
    done = subprocess.run(words, capture_output=True, text=True, env=dict(os.environ, PARLEY_KEY=key))
    if not done.stdout:
        raise Failure(f"{' '.join(words)}: {done.stderr.strip()}")
    figures = json.loads(done.stdout)
    bad = figures["other"] + figures["broken"] + figures["refused"]
    if figures["good"] == 0 or bad > figures["answered"] // 1000:
        raise Failure(f"{bad} of {figures['answered']} requests went wrong: {figures['first_error']}")
    return figures


def latency(url, listen_port, rate, seconds, secret=None):
    words = [os.path.join(BENCH, "latency"), "-u", url, "-l", str(listen_port), "-r", str(rate), "-d", str(seconds)]
    if secret:
        words += ["-s", secret]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"latency: {done.stdout.strip()} {done.stderr.strip()}")
    figures = json.loads(done.stdout)
    if figures["lost"] or figures["delivered"] == 0:
        raise Failure(f"latency: {done.stdout.strip()}")
    return figures


def cpu_s(pid):
    return float(subprocess.run([os.path.join(HERE, "cpu.sh"), str(pid)], capture_output=True, text=True).stdout)


def rss_mib(pid, tree=True):
    """Of the process and its children, or of the process alone."""
    if not tree:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Rss:")) / 1024
    text = subprocess.run([os.path.join(HERE, "rss.sh"), str(pid)], capture_output=True, text=True).stdout
    return float(text.split()[0].split("=")[1])


class Figure:
    """One line of the table: a value that has to be at least, or at most, its gate."""

    def __init__(self, name, value, gate, target, at_least=True, must=False, unit="x"):
        self.name = name
        self.value = value
        self.gate = gate
        self.target = target
        self.at_least = at_least
        self.must = must
        self.unit = unit

    def meets(self, bound):
        return self.value >= bound if self.at_least else self.value <= bound

    def line(self):
        sign = ">=" if self.at_least else "<="
        verdict = "PASS" if self.meets(self.gate) else "FAIL"
        reached = ", target reached" if self.meets(self.target) else ""
        return (f"{'*' if self.must else ' '} {self.name:58s} {self.value:9.2f} {self.unit:4s} gate {sign} {self.gate:<6g} "
                f"target {sign} {self.target:<6g} {verdict}{reached}")
