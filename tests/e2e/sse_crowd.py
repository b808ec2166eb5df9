#!/usr/bin/python3
# label: spine
# timeout: 240
"""As many readers of the event stream as there are places, at once: each gets every event, in order; what they cost in memory;
and one more is told that there is no place, until another leaves."""

import re
import resource
import selectors
import socket
import time

from parley_test import KEY, Daemon, expect, expect_true, post_inbound, run, skip, test, wait_until

READERS = 1000  # FEED_SSE_READERS_MAX
EVENTS = 25
DESCRIPTORS = READERS + 200
GROWTH_MIB_MAX = 48  # 48 KiB a reader, its socket's buffers in the kernel aside
DEADLINE_S = 90
CHANNELS = {"hook": {"plugin": "webhook", "options": {"url": "http://127.0.0.1:9/", "secret": {"env": "HOOK_SECRET"}}}}
REQUEST = (f"GET /v1/events?types=message.received HTTP/1.1\r\nHost: parley\r\nAuthorization: Bearer {KEY}\r\n"
           "Accept: text/event-stream\r\n\r\n").encode()


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


class Reader:
    """Not blocking: knows whether it was answered, and the ids that it was sent."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(REQUEST)
        self.socket.setblocking(False)
        self.code = None
        self.ids = []
        self.rest = b""

    def read(self):
        got = self.socket.recv(262144)
        if not got:
            raise AssertionError(f"cut after {len(self.ids)} events")
        *lines, self.rest = (self.rest + got).split(b"\n")
        for line in lines:
            if self.code is None:
                self.code = int(line.split()[1])
            elif line.startswith(b"id: "):
                self.ids.append(line[4:])


class Crowd:
    def __init__(self, port, size):
        self.selector = selectors.DefaultSelector()
        self.readers = []
        for _ in range(size):
            reader = Reader(port)
            self.readers.append(reader)
            self.selector.register(reader.socket, selectors.EVENT_READ, reader)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for reader in self.readers:
            reader.socket.close()
        self.selector.close()

    def turn(self):
        for key, _ in self.selector.select(timeout=0.05):
            key.data.read()

    def until(self, condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not all(map(condition, self.readers)):
            expect_true(time.monotonic() < deadline, f"{what}: {sum(map(condition, self.readers))} of {len(self.readers)}")
            self.turn()


@test
def a_thousand_readers_all_get_each_event_in_order(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        skip(f"{DESCRIPTORS} descriptors are needed, {hard} are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    few = ["prlimit", f"--nofile=256:{hard if hard != resource.RLIM_INFINITY else 'unlimited'}"]
    with Daemon(folder, channels=CHANNELS, wrap=few) as daemon:  # 256: it takes what it may have by itself
        idle = rss_mib(daemon.process.pid)
        with Crowd(daemon.port, READERS) as crowd:
            crowd.until(lambda reader: reader.code is not None, "answered")
            expect({reader.code for reader in crowd.readers}, {200})
            expect(daemon.metric("parley_feed_readers"), float(READERS))
            waiting = rss_mib(daemon.process.pid)
            began = time.monotonic()
            for number in range(EVENTS):
                answer = post_inbound(daemon, "hook", {"id": f"in-{number}", "from": {"email": "ana@example.org"}, "text": "x" * 500})
                expect(answer.status, 200, answer.text)
                crowd.turn()
            crowd.until(lambda reader: len(reader.ids) >= EVENTS, f"have {EVENTS} events")
            took = time.monotonic() - began
            busy = rss_mib(daemon.process.pid)
            want = crowd.readers[0].ids
            expect((len(want), len(set(want))), (EVENTS, EVENTS))
            expect(sum(reader.ids == want for reader in crowd.readers), READERS, "the same events in the same order")
            expect(daemon.metric("parley_feed_readers_cut_total"), 0.0)
            late = Reader(daemon.port)
            late.socket.setblocking(True)
            late.read()
            expect(late.code, 503, "no place for one more")
            late.socket.close()
        wait_until(lambda: daemon.metric("parley_feed_readers") == 0.0, "all have left")
        print(f"# {READERS} readers: {waiting - idle:.1f} MiB, with {EVENTS} events sent to each {busy - idle:.1f} MiB; {took:.1f} s",
              flush=True)
        expect_true(busy - idle < GROWTH_MIB_MAX, f"{busy - idle:.1f} MiB more for {READERS} readers")


run()
