#!/usr/bin/python3
# label: spine email
# timeout: 240
"""A mail domain that takes only so much: it gets what it takes and little more, all of its mail arrives in the end, once, and no other
domain waits for it. The server is aiosmtpd, which counts."""

import collections
import contextlib
import json
import os
import subprocess
import tempfile
import time

from parley_test import TOP, Daemon, expect, expect_true, run, test, wait_until

MAILS = 150
SLOW_PER_S = 10
OTHERS_WITHIN_S = 20  # alone they take one or two on an idle machine


class Sink:
    def __init__(self, *options):
        self.said = tempfile.NamedTemporaryFile("r")
        with open(self.said.name, "ab") as to:
            self.process = subprocess.Popen(["/usr/bin/python3", "-W", "ignore", os.path.join(TOP, "tests/support/smtp_sink.py"),
                                             "--brief", *options], stdout=to, stderr=subprocess.DEVNULL)
        wait_until(self.lines, "the sink listens")
        self.port = self.lines()[0]["port"]

    def lines(self):
        self.said.seek(0)
        return [json.loads(line) for line in self.said if line.endswith("\n")]

    def took(self, domain):
        return [line["to"][0] for line in self.lines() if line["event"] == "mail" and line["to"][0].endswith("@" + domain)]

    def refusals(self, domain):
        return sum(line["event"] == "slower" and line["to"].endswith("@" + domain) for line in self.lines())

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.said.close()


def channel(sink, **more):
    return {"mail": {"plugin": "email", **more, "options": {"smtp": f"smtp://127.0.0.1:{sink.port}", "from": "orders@shop.example"}}}


def send(daemon, domain, count, topic="orders"):
    items = [{"to": {"email": f"to{number}@{domain}"}, "topic": topic, "channels": ["mail"],
              "content": {"text": "hello", "subject": f"number {number}"}} for number in range(count)]
    for at in range(0, count, 100):
        answer = daemon.post("/v1/messages/batch", {"items": items[at:at + 100]})
        expect(answer.status // 100, 2, answer.text)


@test
def a_throttled_domain_gets_what_it_takes_and_delays_no_other(folder):
    with contextlib.closing(Sink("--rate", f"*@slow.example={SLOW_PER_S}")) as sink:
        with Daemon(folder, channels=channel(sink)) as daemon:
            began = time.monotonic()
            send(daemon, "slow.example", MAILS)
            send(daemon, "quick.example", MAILS)
            wait_until(lambda: len(sink.took("quick.example")) == MAILS, "the others are out", timeout_s=OTHERS_WITHIN_S)
            expect_true(len(sink.took("slow.example")) < MAILS, "the slow one isn't done: nobody waited for it")
            row = daemon.get("/v1/channels/mail").json
            expect([one["destination"] for one in row["throttled"]], ["slow.example"])
            expect(row["throttled_destinations"], 1)
            expect(daemon.metric("parley_destinations_throttled", '{channel="mail"}'), 1.0)
            wait_until(lambda: len(sink.took("slow.example")) >= MAILS, "the slow one has all", timeout_s=120)
            took_s = time.monotonic() - began
            expect(set(collections.Counter(sink.took("slow.example")).values()), {1}, "each once")
            expect_true(sink.refusals("slow.example") < MAILS, f"{sink.refusals('slow.example')} refusals for {MAILS} mails")
            expect_true(took_s > MAILS / SLOW_PER_S - 2, f"it took {took_s:.0f} s: the sink throttles")
            expect(daemon.metric("parley_throttles_by_destination_total", '{channel="mail"}') > 0, True)


@test
def a_code_to_log_in_goes_before_a_throttled_newsletter(folder):
    with contextlib.closing(Sink("--rate", "*@slow.example=3")) as sink:
        with Daemon(folder, channels=channel(sink)) as daemon:
            send(daemon, "slow.example", MAILS)
            wait_until(lambda: len(sink.took("slow.example")) > 5, "it goes slowly")
            sent = daemon.post("/v1/messages", {"to": {"email": "ana@slow.example"}, "topic": "security", "channels": ["mail"],
                                                "content": {"text": "123456", "subject": "Your code"}}).json["id"]
            daemon.wait_status(sent, "sent", timeout_s=15)
            expect_true(len(sink.took("slow.example")) < MAILS // 2, "the newsletter waits")


@test
def what_one_domain_of_a_provider_says_holds_for_its_others(folder):
    with contextlib.closing(Sink("--fail-rcpt", "*@gmail.com=421 4.7.28 unusual rate, try again in 5 minutes")) as sink:
        with Daemon(folder, channels=channel(sink)) as daemon:
            send(daemon, "gmail.com", 1)
            wait_until(lambda: daemon.get("/v1/channels/mail").json["throttled_destinations"] == 1, "it is held")
            send(daemon, "googlemail.com", 5)
            send(daemon, "example.org", 5)
            wait_until(lambda: len(sink.took("example.org")) == 5, "others are out")
            throttled = daemon.get("/v1/channels/mail").json["throttled"]
            expect([one["destination"] for one in throttled], ["gmail.com"])
            expect_true(200 < throttled[0]["held_s"] <= 300, throttled)
            expect(sink.took("googlemail.com"), [])


@test
def the_floor_is_the_operators(folder):
    with contextlib.closing(Sink("--fail-rcpt", "*@slow.example=451 4.7.1 too fast, try again in 1 second", "--times", "5")) as sink:
        with Daemon(folder, channels=channel(sink, rate_floor="120/m")) as daemon:
            send(daemon, "slow.example", 12)
            wait_until(lambda: len(sink.took("slow.example")) == 12, "all are out", timeout_s=60)
            throttled = daemon.get("/v1/channels/mail").json["throttled"]
            expect_true(not throttled or throttled[0]["rate_per_s"] >= 2, throttled)


run()
