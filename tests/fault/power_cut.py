#!/usr/bin/python3
# label: spine
# timeout: 420
# stores: sqlite (the disk is the one its file lies on)
"""The power goes under load: an ext4 on a loop mount is shut down with its journal unflushed, the daemon is killed, the
file system recovers and the daemon starts again. Only acknowledgements that the client had before the cut count. The
test is tested too: on a disk that lies about flushing it has to see a loss."""

import os
import random
import threading
import time

from parley_mount import Ext4
from parley_test import BUILD_DIR, FULL, Daemon, Failure, Ledger, Load, Recorder, expect, judge, message_of, run, test

CUTS = 500 if FULL else 20
LYING_CUTS = 5
ALIVE_MIN_S = 0.1
ALIVE_MAX_S = 0.6
PACE_S = 0.002


def cut_under_load(daemon, disk, ledger):
    """One life that ends with the power; returns when that was."""
    with Load(daemon, ledger, pace_s=PACE_S):
        threading.Event().wait(random.uniform(ALIVE_MIN_S, ALIVE_MAX_S))
        at = time.time()
        disk.cut_power()
    daemon.kill()
    disk.power_on()
    ledger.doubt_refusals_after(at)
    return at


def lost_messages(daemon, accepted):
    """The acknowledged messages that the store knows no more."""
    return [marker for marker, message_id in accepted.items() if daemon.get(f"/v1/messages/{message_id}").status != 200]


def sent_without_record(daemon, requests, at):
    """What arrived before the cut and has no row: its attempt was not flushed before its first byte left."""
    found = []
    for request in [request for request in requests if request.at < at]:
        if daemon.get(f"/v1/messages/{message_of(request.json)}").status != 200:
            found.append(request.text[:200])
    return found


@test
def a_power_cut_loses_nothing_that_was_acknowledged(folder):
    with Ext4(folder) as disk, Recorder() as shop:
        daemon = Daemon(folder, channels={"hook": shop.channel()}, store_path="disk/parley.db")
        accepted = {}
        ledger = Ledger("cut")
        daemon.start()
        try:
            for number in range(CUTS):
                before = set(ledger.accepted_ids())
                arrived_before = len(shop.requests)
                at = cut_under_load(daemon, disk, ledger)
                ours = {marker: message_id for marker, message_id in ledger.accepted_before(at).items() if marker not in before}
                daemon.start()
                expect(lost_messages(daemon, ours), [], f"acknowledged before cut {number + 1} of {CUTS}, and gone")
                expect(sent_without_record(daemon, shop.requests[arrived_before:], at)[:3], [], "sent before the cut without a record")
                accepted.update(ours)
            counts = judge(daemon, shop, ledger, accepted)
            print(f"# {CUTS} cuts, {counts}")
        finally:
            if daemon.process is not None:
                daemon.kill()


@test
def a_disk_that_lies_about_flushing_is_noticed(folder):
    shim = os.path.join(BUILD_DIR, "bench", "slowsync.so")
    if not os.path.exists(shim):
        raise Failure(f"{shim} isn't built")
    for number in range(LYING_CUTS):
        with Ext4(folder) as disk, Recorder() as shop:
            daemon = Daemon(folder, channels={"hook": shop.channel()}, store_path="disk/parley.db",
                            env={"LD_PRELOAD": shim, "SYNC_LIE": "1"})
            ledger = Ledger(f"lie{number}")
            daemon.start()
            at = cut_under_load(daemon, disk, ledger)
            try:
                daemon.start()
                lost = lost_messages(daemon, ledger.accepted_before(at))
                daemon.kill()
            except Failure:
                lost = ["everything: the store doesn't open any more"]
                if daemon.process is not None:
                    daemon.kill()
            if lost:
                print(f"# noticed at cut {number + 1}: {len(lost)} lost")
                return
    raise Failure(f"{LYING_CUTS} cuts without a loss on a disk that never flushes: this test can't see a loss")


run()
