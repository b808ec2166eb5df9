#!/usr/bin/python3
# label: spine
# timeout: 120
"""Endpoints that misbehave after they have read a request: the deadline holds, memory stays flat, neighbours aren't
delayed, the outcome is unknown and marked, and the resend carries the same id."""

import contextlib
import os
import re
import socket
import struct
import threading
import time

from parley_test import Daemon, Recorder, expect, expect_true, free_port, run, test, wait_until

TIMEOUT = "2s"
NEIGHBOUR_S = 1.5
RSS_GROWTH_MAX_KIB = 32 * 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Endpoint:
    """Reads requests and then does what its mode says, until healed: then it answers 200."""

    def __init__(self, mode):
        self.mode = mode
        self.port = free_port()
        self.healed = threading.Event()
        self.ending = threading.Event()
        self.requests = []
        if mode != "refused":
            self.listen()

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self.accept_all, daemon=True).start()

    def heal(self):
        self.healed.set()
        if self.mode == "refused":
            self.listen()

    def accept_all(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def read_request(self, peer):
        data = b""
        while b"\r\n\r\n" not in data:
            more = peer.recv(65536)
            if not more:
                return None
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
        while len(body) < length:
            body += peer.recv(65536)
        return head

    def serve(self, peer):
        with contextlib.suppress(OSError), contextlib.closing(peer):
            while True:
                head = self.read_request(peer)
                if head is None:
                    return
                self.requests.append(re.search(rb"(?i)webhook-id: *([^\r\n]+)", head).group(1))
                if not self.healed.is_set():
                    getattr(self, self.mode)(peer)
                    return
                peer.sendall(ANSWER)

    def silent(self, peer):
        self.ending.wait(30)

    def drip(self, peer):
        for byte in ANSWER:
            peer.sendall(bytes([byte]))
            self.ending.wait(1)

    def reset_after_body(self, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close_after_body(self, peer):
        """Nothing: the connection is closed."""

    def garbage(self, peer):
        peer.sendall(os.urandom(4096))

    def endless_headers(self, peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")

    def endless_body(self, peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            peer.sendall(b"b" * 65536)


UNKNOWN = ["silent", "drip", "reset_after_body", "close_after_body", "garbage", "endless_headers"]
MODES = UNKNOWN + ["endless_body", "refused"]


def channel_name(mode):
    return mode.replace("_", "-")


def resident_kib(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


@test
def a_hostile_endpoint_hurts_only_its_own_messages(folder):
    endpoints = {mode: Endpoint(mode) for mode in MODES}
    with Recorder() as good:
        channels = {channel_name(mode): {"plugin": "webhook", "options": {
            "url": f"http://127.0.0.1:{endpoint.port}/", "secret": {"env": "HOOK_SECRET"}, "timeout": TIMEOUT}}
            for mode, endpoint in endpoints.items()}
        channels["good"] = good.channel()
        with Daemon(folder, channels=channels) as daemon:
            daemon.wait_status(daemon.send("warm", channels=["good"]), "sent", "delivered")
            before_kib = resident_kib(daemon)
            ids = {mode: daemon.send(f"to {mode}", channels=[channel_name(mode)]) for mode in MODES}
            started = time.monotonic()
            daemon.wait_status(daemon.send("to a good one", channels=["good"]), "sent", "delivered")
            expect_true(time.monotonic() - started < NEIGHBOUR_S, "a neighbour's message isn't delayed")
            for mode in UNKNOWN:
                wait_until(lambda: daemon.message_state(ids[mode]).get("possible_duplicate"), f"{mode}: marked as possible duplicate")
            expect_true(resident_kib(daemon) - before_kib < RSS_GROWTH_MAX_KIB, "memory stays flat")
            for endpoint in endpoints.values():
                endpoint.heal()
            for mode in MODES:
                daemon.wait_status(ids[mode], "sent", "delivered", timeout_s=60)
            for mode in UNKNOWN:
                expect(len(set(endpoints[mode].requests)), 1, f"{mode}: ids of {len(endpoints[mode].requests)} tries")
                expect_true(len(endpoints[mode].requests) > 1, f"{mode}: tried again")
            expect(bool(daemon.message_state(ids["refused"]).get("possible_duplicate")), False, "a refused connection is no unknown")


run()
