"""The rows of SMS: HTTP to SMPP, one bind, a window of 100, 64 connections, beside Kannel with either of its stores, neither of which
flushes; and the memory of a million messages that wait for a message centre."""

import os
import time

from kannel import Kannel
from tools import Figure, SmppSink, cpu_s, load, rss_mib
from parley_test import expect, wait_until

WINDOW = 100
CONNECTIONS = 64
LOAD_SHARE = 0.8
P99_MS = 250


def channel(bench, port, window=WINDOW):
    password = os.path.join(bench.new_folder(), "password")
    with open(password, "w", encoding="ascii") as file:
        file.write("p")
    os.chmod(password, 0o600)
    return {"plugin": "smpp", "options": {"url": f"smpp://127.0.0.1:{port}", "user": "u", "password": {"file": password}, "from": "1234",
                                          "window": window}}


def through(sink, bench, port, cpu, **more):
    """(messages a second from the first request to the last arrival, microseconds of CPU for each)."""
    before_s, started_s = cpu(), time.time()
    load(port, connections=CONNECTIONS, requests=bench.scale.messages, known=bench.scale.known, **more)
    figures = sink.figures(bench.scale.deadline_s)
    return figures["count"] / (figures["last_us"] / 1e6 - started_s), (cpu() - before_s) * 1e6 / figures["count"]


def kannel(bench, store):
    with SmppSink(bench.scale.messages) as sink, Kannel(bench.new_folder(), sink.port, store, WINDOW) as peer:
        return through(sink, bench, peer.port, peer.cpu_s, path=Kannel.path, kannel=True)


def parley(bench):
    with SmppSink(bench.scale.messages) as sink, bench.daemon({"sms": channel(bench, sink.port)}) as daemon:
        return through(sink, bench, daemon.port, lambda: cpu_s(daemon.process.pid), phones=True)


def p99_ms(bench, rate):
    """From the request to the message centre, with so many a second."""
    messages = max(int(rate * bench.scale.rate_seconds), 1)
    with SmppSink(messages) as sink, bench.daemon({"sms": channel(bench, sink.port)}) as daemon:
        load(daemon.port, connections=CONNECTIONS, requests=messages, known=bench.scale.known, phones=True, rate=max(int(rate), 1))
        return sink.figures(bench.scale.deadline_s)["p99_us"] / 1000


def row_sms(bench):
    def once():
        (spool, spool_us), (file, file_us) = kannel(bench, "spool"), kannel(bench, "file")
        ours, cpu_us = parley(bench)
        late_ms = p99_ms(bench, ours * LOAD_SHARE)
        bench.log(f"kannel spool {spool:.0f}/s with {spool_us:.0f} us CPU, file {file:.0f}/s with {file_us:.0f} us; "
                  f"parleyd {ours:.0f}/s with {cpu_us:.0f} us, p99 {late_ms:.0f} ms at {LOAD_SHARE:.0%}")
        return ours / spool, ours / file, cpu_us / min(spool_us, file_us), late_ms

    spool, file, cpu, late_ms = bench.medians(once)
    return [Figure("HTTP to SMPP, durable, against Kannel's spool, which never flushes", spool, 1, 1.9, must=True),
            Figure("the same against Kannel's file store, its best", file, 1, 1.5),
            Figure("CPU of an SMS against Kannel's better one", cpu, 1, 0.3, at_least=False, must=True),
            Figure("HTTP to SMPP: p99 at 80 % load", late_ms, P99_MS, 50, at_least=False, must=True, unit="ms")]


def row_sms_memory(bench):
    """The message centre is away: what is accepted waits in the store."""
    with SmppSink(0) as sink:
        port = sink.port
    with bench.daemon({"sms": channel(bench, port)}) as daemon:
        wait_until(lambda: daemon.get("/v1/channels/sms").json["state"] == "down", "the channel is down", 60)
        good = load(daemon.port, connections=CONNECTIONS, requests=bench.scale.queued, known=bench.scale.known, phones=True)["good"]
        expect(good, bench.scale.queued, "all are accepted")
        queued = rss_mib(daemon.process.pid)
    return [Figure(f"RSS with {bench.scale.queued} SMS queued", queued, 64, 48, at_least=False, must=True, unit="MiB")]
