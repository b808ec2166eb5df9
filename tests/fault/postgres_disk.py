#!/usr/bin/python3
# label: postgres
# timeout: 240
"""The disk under the database is full, or slow: accepting is refused in words or takes its time, nothing that was acknowledged is
lost, and all goes on by itself when there is room."""

import contextlib
import os
import shutil
import time

from parley_mount import Ext4
from parley_postgres import Cluster
from parley_store import DatabaseError
from parley_test import (BUILD_DIR, FULL, Daemon, Failure, Ledger, Load, Recorder, expect, expect_true, judge, run, test,
                         wait_until)

Load.PAUSE_S = 0.1
ROUNDS = 20 if FULL else 3
SIZE_MIB = 320
REFUSE_S = 30
RESUME_S = 10
BACK_S = 30
SMALL_WAL = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
SLOW_US = 300_000
DEAD_SLOW_US = 13_000_000  # longer than a server may be silent


def on_database(url):
    def change(config):
        config["store"] = {"driver": "postgres", "url": {"env": "DISK_DATABASE_URL"}}

    return {"config": change, "env": {"DISK_DATABASE_URL": url}}


def refusal(daemon):
    """The answer to one more message when it is a refusal; anything but 202 and 503 is a failure."""
    answer = daemon.post("/v1/messages", Daemon.message("while full " + "x" * 2000))
    if answer.status == 202:
        return None
    expect(answer.status, 503, answer.text[:300])
    return answer


def refuses(daemon, disk=None, filler=None):
    """Full: what a checkpoint gives back is taken again."""
    def tried():
        if disk:
            disk.fill(filler)
        return refusal(daemon)

    answer = wait_until(tried, "it refuses", REFUSE_S)
    expect_true(answer.headers.get("Retry-After"), "503 comes with Retry-After")
    expect(answer.json["code"], "store_unavailable", answer.text)


def resumes(daemon, within_s):
    freed = time.monotonic()
    wait_until(lambda: not refusal(daemon), "accepting resumes by itself", within_s)
    wait_until(lambda: daemon.probe("/readyz") == 200, "/readyz", within_s)
    print(f"# resumed after {time.monotonic() - freed:.1f} s")


@test
def a_full_disk_refuses_and_space_back_accepts(folder):
    with Ext4(folder, SIZE_MIB) as disk, Cluster(folder=disk.path, settings=SMALL_WAL) as server, Recorder() as shop:
        ledger = Ledger("full")
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(server.conninfo(server.create_database()))) as daemon:
            for _ in range(ROUNDS):
                with Load(daemon, ledger, threads=4, pace_s=0.02):
                    known = daemon.send("before")
                    with disk.full() as filler:
                        refuses(daemon, disk, filler)
                        wait_until(lambda: "no room" in daemon.get("/readyz").text, "/readyz says why")
                        expect(daemon.get(f"/v1/messages/{known}").status, 200, "reading goes on")
                        expect(daemon.probe("/healthz"), 200, "/healthz")
                    resumes(daemon, RESUME_S)
            print(f"# {judge(daemon, shop, ledger)}")


@test
def a_server_that_falls_over_a_full_disk_comes_back_with_everything(folder):
    with Ext4(folder, SIZE_MIB) as disk, Cluster(folder=disk.path, settings=SMALL_WAL) as server, Recorder() as shop:
        ledger = Ledger("panic")
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(server.conninfo(server.create_database()))) as daemon:
            with Load(daemon, ledger, threads=4, pace_s=0.02):
                wait_until(lambda: len(ledger.accepted) > 100, "the load is on its way")
                with disk.full() as filler:
                    def fallen():
                        disk.fill(filler)
                        with contextlib.suppress(DatabaseError):
                            server.psql("SELECT pg_switch_wal()")
                        return "PANIC" in server.log()

                    wait_until(fallen, "the server finds no room for its log", REFUSE_S)
                    refuses(daemon)

                def back():
                    server.start(wait=False)  # as its supervisor does, when it has ended by itself: it may still be about to
                    with contextlib.suppress(DatabaseError):
                        server.psql("SELECT 1")
                        return True
                    return False

                wait_until(back, "the server is back", BACK_S)
                resumes(daemon, BACK_S)
            print(f"# {judge(daemon, shop, ledger)}")


@contextlib.contextmanager
def flushing(cluster, pause_us):
    """What is started here takes so much longer to flush."""
    shim = os.path.join(cluster.folder, "slowsync.so")
    built = os.path.join(BUILD_DIR, "bench", "slowsync.so")
    if not os.path.exists(built):
        raise Failure(f"{built} isn't built")
    shutil.copyfile(built, shim)
    os.environ.update(LD_PRELOAD=shim, SLOWSYNC_US=str(pause_us))
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"], os.environ["SLOWSYNC_US"]


def start_slowly(cluster, pause_us):
    cluster.stop()
    with flushing(cluster, pause_us):
        cluster.start(wait=False)
    cluster.wait_up()


@test
def a_slow_disk_delays_and_one_that_hangs_refuses(folder):
    with Cluster(folder=folder, settings={"checkpoint_timeout": "1h"}) as server, Recorder() as shop:
        ledger = Ledger("slow")
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(server.conninfo(server.create_database()))) as daemon:
            start_slowly(server, SLOW_US)
            with Load(daemon, ledger, threads=64):
                wait_until(lambda: len(ledger.accepted) > 500, "64 clients get through a disk that takes 0.3 s to flush", BACK_S)
                begun = time.monotonic()
                wait_until(lambda: not refusal(daemon), "one more", BACK_S)
                expect_true(time.monotonic() - begun > SLOW_US / 1e6, "the flush was waited for")
                expect_true("store_lost" not in daemon.log()[daemon.log().rindex("store_back"):], "slow is not lost")
            server.stop()
            with flushing(server, DEAD_SLOW_US):
                server.start(wait=False)
            with Load(daemon, ledger, threads=64, pace_s=0.5):
                wait_until(lambda: refusal(daemon), "it refuses", BACK_S)
                server.kill9()
                server.start()
                resumes(daemon, BACK_S)
            print(f"# {judge(daemon, shop, ledger)}")


run()
