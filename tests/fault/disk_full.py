#!/usr/bin/python3
# label: spine
# timeout: 300
# stores: sqlite (the disk is the one its file lies on)
"""A full disk stops accepting and nothing else, and accepting resumes by itself."""

import time

from parley_mount import Ext4
from parley_test import (FULL, MARKER, Daemon, Ledger, Load, Recorder, Reply, expect, expect_true, judge, run, test,
                         wait_until)

ROUNDS = 100 if FULL else 5
RESUME_S = 5
REFUSE_S = 5
SIZE_MIB = 48
QUEUED = 20


def refuses(daemon):
    """Whether the next message is refused as it should be; anything but 202 and 503 is a failure."""
    answer = daemon.post("/v1/messages", daemon.message("while full " + "x" * 2000))
    if answer.status == 202:
        return False
    expect(answer.status, 503, f"the answer of a full disk {answer.text[:300]}")
    expect_true(answer.headers.get("Retry-After"), "503 comes with Retry-After")
    return True


@test
def a_full_disk_refuses_and_space_back_accepts(folder):
    with Ext4(folder, SIZE_MIB) as disk, Recorder() as shop:
        daemon = Daemon(folder, channels={"hook": shop.channel()}, store_path="disk/parley.db")
        ledger = Ledger("full")
        with daemon:
            for _ in range(ROUNDS):
                one_round(daemon, disk, ledger)
            counts = judge(daemon, shop, ledger)
            print(f"# {ROUNDS} times full, {counts}")


def one_round(daemon, disk, ledger):
    with Load(daemon, ledger, threads=2, pace_s=0.005):
        known = daemon.send("before")
        with disk.full() as filler:
            def refused_and_full():
                disk.fill(filler)  # what a checkpoint gave back is taken again
                return refuses(daemon)

            wait_until(refused_and_full, "a full disk refuses", REFUSE_S)
            expect(daemon.get(f"/v1/messages/{known}").status, 200, "reading goes on")
            expect(daemon.probe("/healthz"), 200, "/healthz")
        freed = time.monotonic()
        wait_until(lambda: not refuses(daemon), "accepting resumes by itself", RESUME_S)
        print(f"# resumed after {time.monotonic() - freed:.2f} s")


def arrived(requests):
    return {marker for request in requests for marker in MARKER.findall(request.text)}


@test
def what_is_queued_leaves_while_the_disk_is_full(folder):
    with Ext4(folder, SIZE_MIB) as disk, Recorder(answer=Reply(503, headers={"Retry-After": "1"})) as shop:
        daemon = Daemon(folder, channels={"hook": shop.channel()}, store_path="disk/parley.db")
        with daemon:
            ids = [daemon.send(f"queued ~queued-{number}~") for number in range(QUEUED)]
            shop.wait_for(count=1)  # after a few refusals the breaker keeps the rest
            with disk.full() as filler:
                wait_until(lambda: disk.fill(filler) or refuses(daemon), "a full disk refuses", REFUSE_S)
                shop.answer = Reply()
                healed = len(shop.requests)
                wait_until(lambda: len(arrived(shop.requests[healed:])) == QUEUED, "every queued message arrives", 60)
            for message_id in ids:
                daemon.wait_status(message_id, "sent", "delivered")


run()
