#!/usr/bin/python3
# label: spine
# timeout: 120
# build: debug
"""The email plugin, on real sockets and without a daemon, against mail servers that are not ours: aiosmtpd and Postfix's
smtp-sink, which can be told to misbehave at each command."""

import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from parley_test import Skip, expect, expect_true, free_port, need_tool, run, test, wait_until  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.dirname(os.environ.get("PARLEY_BIN_DIR", os.path.join(TOP, "build", "debug", "bin")))
SINK = os.path.join(TOP, "tests", "support", "smtp_sink.py")


def send(port, mails, *more):
    """Sends so many mails; returns what became of them."""
    ran = subprocess.run([os.path.join(BUILD, "bench", "email_send"), "-p", str(port), "-n", str(mails), *more],
                         capture_output=True, text=True, timeout=60)
    if not ran.stdout:
        raise Skip("missing email_send") if not os.path.exists(ran.args[0]) else AssertionError(ran.stderr)
    return json.loads(ran.stdout)


class Sink:
    """aiosmtpd in a process of its own; what it says goes into a file, so that it never waits for a reader."""

    def __init__(self, *options):
        if subprocess.run(["/usr/bin/python3", "-c", "import aiosmtpd"], capture_output=True).returncode != 0:
            raise Skip("missing python3-aiosmtpd")
        self.said = tempfile.NamedTemporaryFile("r")
        with open(self.said.name, "ab") as to:
            self.process = subprocess.Popen(["/usr/bin/python3", "-W", "ignore", SINK, *options], stdout=to,
                                            stderr=subprocess.DEVNULL)

    def __enter__(self):
        wait_until(lambda: self.lines(), "the sink listens")
        self.port = self.lines()[0]["port"]
        return self

    def __exit__(self, *_):
        self.end()
        self.said.close()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=10)

    def lines(self):
        self.said.seek(0)
        return [json.loads(line) for line in self.said if line.endswith("\n")]

    def mails(self):
        """Ends it; returns the mails it got."""
        self.end()
        return [line for line in self.lines() if line["event"] == "mail"]


def listens(port):
    """Whether somebody does; says nothing to him."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in table.readlines()[1:])


def postfix_sends(options, mails=10, *more):
    port = free_port()
    as_root = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = subprocess.Popen([need_tool("smtp-sink"), *as_root, *options, f"127.0.0.1:{port}", "100"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "smtp-sink listens")
        return send(port, mails, *more)
    finally:
        sink.kill()
        sink.wait()


@test
def every_mail_arrives_once_and_whole():
    with Sink() as sink:
        expect(send(sink.port, 100)["accepted"], 100)
        mails = sink.mails()
    expect(len(mails), 100)
    expect(len({mail["message_id"] for mail in mails}), 100)
    expect({mail["subject"] for mail in mails}, {"Order 1042 is on its way"})
    expect({mail["text"].replace("\r\n", "\n").rstrip("\n") for mail in mails}, {"\n".join(["x" * 69] * 14 + ["x" * 44])})


@test
def mail_and_password_go_over_starttls():
    with Sink("--starttls", "--auth", "tim:secret") as sink:
        expect(send(sink.port, 20, "-t", "opportunistic", "-u", "tim", "-w", "secret")["accepted"], 20)
        mails = sink.mails()
    expect({(mail["tls"], mail["user"]) for mail in mails}, {(True, "tim")})


@test
def a_wrong_password_stops_the_channel():
    with Sink("--starttls", "--auth", "tim:secret") as sink:
        answer = send(sink.port, 5, "-t", "opportunistic", "-u", "tim", "-w", "wrong")
        expect(answer["channel_down"], 5)
        expect(sink.mails(), [])


@test
def a_certificate_nobody_vouches_for_is_refused():
    with Sink("--starttls") as sink:
        answer = send(sink.port, 5, "-t", "required")
        expect(answer["throttled"] + answer["channel_down"], 5)
        expect(sink.mails(), [])


@test
def without_starttls_nothing_leaves_when_tls_is_required():
    with Sink() as sink:
        expect(send(sink.port, 5, "-t", "required")["channel_down"], 5)
        expect(sink.mails(), [])


@test
def a_refused_recipient_holds_nobody_up():
    with Sink("--fail-rcpt", "*7@example.org") as sink:
        answer = send(sink.port, 40, "-S", "2")
        expect((answer["accepted"], answer["bad_address"]), (36, 4))
        expect(len(sink.mails()), 36)


@test
def a_mail_dropped_after_the_dot_is_unknown():
    with Sink("--drop-after-data", "--times", "3") as sink:
        answer = send(sink.port, 20)
        expect((answer["accepted"], answer["unknown"]), (17, 3))


@test
def a_mail_refused_for_now_is_retried():
    with Sink("--fail-data", "451 4.3.0 later") as sink:
        expect(send(sink.port, 5)["retry"], 5)


@test
def a_mail_of_a_megabyte_arrives_whole():
    with Sink() as sink:
        expect(send(sink.port, 2, "-b", "1000000")["accepted"], 2)
        mails = sink.mails()
    expect_true(all(mail["bytes"] > 1000000 for mail in mails), "both have all their bytes")


POSTFIX = [  # smtp-sink's options, what becomes of ten mails
    ((), "accepted"), (("-e",), "accepted"), (("-p",), "accepted"),
    (("-f", "mail"), "rejected"), (("-f", "rcpt"), "rejected"), (("-f", "data"), "rejected"), (("-f", "."), "rejected"),
    (("-r", "mail"), "retry"), (("-r", "rcpt"), "retry"), (("-r", "data"), "retry"), (("-r", "."), "retry"),
    (("-q", "rcpt"), "retry"), (("-q", "data"), "retry"), (("-q", "."), "unknown"),
    (("-p", "-q", "rcpt"), "retry"), (("-p", "-f", "data"), "rejected"), (("-q", "connect"), "throttled"),
]


@test
def postfix_at_its_worst_is_understood():
    for options, outcome in POSTFIX:
        answer = postfix_sends(options)
        expect(answer[outcome], 10, f"smtp-sink {' '.join(options)}: {answer}")


@test
def ten_thousand_mails_arrive_by_twenty_connections():
    started = time.monotonic()
    expect(postfix_sends((), 10000)["accepted"], 10000)
    expect_true(time.monotonic() - started < 60, "within a minute")


run()
