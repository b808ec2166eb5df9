"""What all rows of bad_inputs.py share: two daemons that are started once, the endpoints they may reach, and how raw bytes
are sent and answers read. Not a test of its own."""

import os
import shutil
import socket
import subprocess
import tempfile

from parley_tls import Authority, TlsRecorder
from parley_test import BIN_DIR, KEY, SECRET, Daemon, Failure, Recorder, expect, expect_true, temp_folder

OTHER_SECRET = "whsec_" + "b3RoZXIgY2hhbm5lbCdzIHNlY3JldCBvZiAzMiBieXRlcyE="
AUTHORITY_ENV = "PARLEY_CA_FILE"
START_S = 20
ANSWER_S = 20


def private_name():
    """A name other than localhost that this machine's hosts file gives an address of its own; None when there is none."""
    with open("/etc/hosts", encoding="utf-8", errors="replace") as hosts:
        for line in hosts:
            words = line.split("#")[0].split()
            for name in words[1:]:
                if words[0] in ("127.0.0.1", "::1", "127.0.1.1") and "localhost" != name and not name.endswith(".localhost"):
                    return name
    return None


def read_answer(peer, kept):
    """(status, headers, body) of one answer, None when the peer closed before one began; `kept` keeps what follows."""
    while b"\r\n\r\n" not in kept:
        more = receive(peer)
        if not more:
            expect(bytes(kept), b"", "half an answer, then the end")
            return None
        kept += more
    head, _, rest = bytes(kept).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers["-".join(part.capitalize() for part in name.split("-"))] = value.strip()
    length = int(headers.get("Content-Length", "0"))
    while len(rest) < length:
        more = receive(peer)
        expect_true(more, "a whole body")
        rest += more
    kept[:] = rest[length:]
    return int(lines[0].split(" ")[1]), headers, rest[:length]


def receive(peer):
    try:
        return peer.recv(65536)
    except ConnectionResetError:
        return b""
    except socket.timeout:
        raise Failure(f"nothing more came for {ANSWER_S} s") from None


class Stand:
    """daemon: loopback is allowed. strict: nothing but public addresses. Channels of daemon: hook and other (webhooks that
    no row sends to), lab and busy (webhooks for the cases that do), box (a sink), tls-* (webhooks behind a certificate)."""

    hook_secret = SECRET
    other_secret = OTHER_SECRET
    rss_max_bytes = 512 << 20

    def __init__(self):
        self.folder = temp_folder()
        self.up = None
        self.up_strict = None
        self.parts = []

    @property
    def daemon(self):
        if self.up is None:
            self.start()
        return self.up

    @property
    def strict(self):
        if self.up_strict is None:
            self.start_strict()
        return self.up_strict

    def folder_of(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(path, exist_ok=True)
        return path

    def new_folder(self):
        return tempfile.mkdtemp(dir=self.folder)

    def add(self, part):
        part.start()
        self.parts.append(part)
        return part

    def start(self):
        authority = Authority(self.folder_of("ca"))
        self.hook, self.other, self.lab, self.busy, self.bait = (self.add(Recorder()) for _ in range(5))
        self.tls = {
            "good": self.add(TlsRecorder(authority.make("good"))),
            "expired": self.add(TlsRecorder(authority.make("expired", end="20210101000000Z"))),
            "name": self.add(TlsRecorder(authority.make("name", host="other.example"))),
            "self": self.add(TlsRecorder(authority.make("self", self_signed=True))),
            "old": self.add(TlsRecorder(authority.make("old"), old=True)),
        }
        channels = {"hook": self.hook.channel(), "other": self.other.channel(), "lab": self.lab.channel(timeout="5s"),
                    "busy": self.busy.channel(timeout="5s"),
                    "box": {"plugin": "sink"}}
        channels["other"]["options"]["secret"] = {"env": "OTHER_SECRET"}
        for name, recorder in self.tls.items():
            channels[f"tls-{name}"] = recorder.channel(timeout="5s")
        channels["tls-plain"] = self.lab.channel(timeout="5s")
        channels["tls-plain"]["options"]["url"] = f"https://localhost:{self.lab.port}/plain"
        self.up = self.add(Daemon(self.folder_of("open"), channels=channels, config=self.change,
                                  env={AUTHORITY_ENV: authority.ca, "OTHER_SECRET": OTHER_SECRET}))
        # /readyz says 503 until it is ready, as often as it was asked
        self.known_5xx = self.up.metric("parley_http_answers_total", '{class="5xx"}') or 0.0

    @staticmethod
    def change(config):
        config["plans"] = {"default": [{"channel": "box"}]}

    def start_strict(self):
        name = private_name()
        channels = {"box": {"plugin": "sink"}}
        if name:
            channels["inward"] = {"plugin": "webhook", "options": {"url": f"http://{name}:8443/",
                                                                   "secret": {"env": "HOOK_SECRET"}}}

        def change(config):
            config["server"]["egress"] = {"allow": []}

        self.up_strict = self.add(Daemon(self.folder_of("strict"), channels=channels, config=change))

    def counts(self):
        """What a row must leave as it was."""
        values = metrics(self.daemon)
        kept = {"accepted": values["parley_messages_accepted_total"], "inbound": values["parley_inbound_total"],
                "touchpoints": values["parley_inbound_touchpoints_total"],
                "subscriptions": values["parley_feed_subscriptions"], "sent": len(self.hook.requests)}
        kept["strict subscriptions"] = metrics(self.strict)["parley_feed_subscriptions"]
        return kept

    def stop(self):
        for part in reversed(self.parts):
            if isinstance(part, Daemon):
                if part.process is not None:
                    part.kill()
            else:
                part.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def metrics(daemon):
    values = {}
    for line in daemon.get("/metrics").text.splitlines():
        if line and not line.startswith("#") and "{" not in line:
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    return values


def parleyd_with(path, env=None, timeout_s=START_S):
    """Runs parleyd on a configuration that it should refuse; returns the finished process."""
    program = os.path.join(BIN_DIR, "parleyd")
    full = dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET, **(env or {}))
    try:
        return subprocess.run([program, "-c", path], env=full, capture_output=True, timeout=timeout_s,
                              cwd=os.path.dirname(path), stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace")
    except subprocess.TimeoutExpired as still:
        said = (still.stderr or b"").decode("utf-8", "replace")
        return subprocess.CompletedProcess([program], "it runs", "", said)

