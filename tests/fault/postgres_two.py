#!/usr/bin/python3
# label: postgres
# timeout: 240
"""One daemon a database: a second one is refused in words, a start after kill -9 succeeds at once, and a daemon that was frozen
until others thought it dead does nothing wrong when it goes on."""

import os
import signal
import subprocess
import threading
import time

from parley_postgres import Cluster
from parley_test import (BIN_DIR, FULL, KEY, SECRET, Daemon, Ledger, Load, Recorder, Reply, expect, expect_true, judge, run, test,
                         wait_until)

LEASE_S = 30
START_S = 5  # of a daemon after kill -9
WRITER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1346458988 AND objid > 0 AND mode = 'ExclusiveLock'"


def on_database(url):
    def change(config):
        config["store"] = {"driver": "postgres", "url": {"env": "TWO_DATABASE_URL"}}

    return {"config": change, "env": {"TWO_DATABASE_URL": url}}


def folder_of(folder, name):
    path = os.path.join(folder, name)
    os.mkdir(path)
    return path


def try_start(daemon):
    """The exit code and the words of a daemon that should not start."""
    daemon.write_config()
    env = dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET, **daemon.env)
    done = subprocess.run([os.path.join(BIN_DIR, "parleyd"), "-c", daemon.config_path], env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def seconds(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


@test
def a_second_daemon_is_refused_and_a_start_after_a_kill_succeeds_at_once(folder):
    with Cluster(folder=folder) as server:
        url = server.conninfo(server.create_database())
        first = Daemon(folder_of(folder, "first"), **on_database(url))
        second = Daemon(folder_of(folder, "second"), **on_database(url))
        with first:
            code, words = try_start(second)
            expect(code, 69, words)
            expect_true("used by another parleyd" in words and "store.url" in words, words)
            first.send("the first one goes on")
            for _ in range(20 if FULL else 5):
                first.send("before it is killed")
                first.kill()
                took = seconds(first.start)
                expect_true(took < START_S, f"a start after kill -9 took {took:.1f} s")
            first.kill()
            took = seconds(second.start)
            expect_true(took < START_S, f"a start of another took {took:.1f} s")
            second.kill()
            first.start()


def frozen(daemon, server, database, ledger):
    """Frozen in the middle of its work. Its connections end meanwhile: with FULL by the server's own time-outs."""
    daemon.signal(signal.SIGSTOP)
    if FULL:
        threading.Event().wait(LEASE_S + 5)
    else:
        server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    daemon.signal(signal.SIGCONT)
    accepted = len(ledger.accepted)
    wait_until(lambda: len(ledger.accepted) > accepted + 20, "it goes on", LEASE_S)


@test
def a_frozen_daemon_notices_what_it_has_lost_and_goes_on(folder):
    with Cluster(folder=folder) as server, Recorder() as shop:
        name = server.create_database()
        ledger = Ledger("frozen")
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(server.conninfo(name))) as daemon:
            with Load(daemon, ledger, threads=16, pace_s=0.05):
                for _ in range(3):
                    accepted = len(ledger.accepted)
                    wait_until(lambda at=accepted: len(ledger.accepted) > at + 50, "the load is on its way")
                    frozen(daemon, server, name, ledger)
            print(f"# {judge(daemon, shop, ledger)}")


def old_by_a_lease(server, database):
    """As when its last word was a lease ago: the test need not wait for it."""
    server.psql(f"UPDATE session SET alive = alive - {(LEASE_S + 1) * 1000}", database)


@test
def who_is_silent_for_a_lease_is_replaced_and_ends_when_it_goes_on(folder):
    with Cluster(folder=folder) as server, Recorder(answer=Reply(delay_s=2)) as shop:
        name = server.create_database()
        ledger = Ledger("replaced")
        channels = {"hook": shop.channel(in_flight=4)}
        first = Daemon(folder_of(folder, "first"), channels=channels, **on_database(server.conninfo(name)))
        second = Daemon(folder_of(folder, "second"), channels=channels, **on_database(server.conninfo(name)))
        first.start()
        try:
            with Load(first, ledger, threads=8, count=10) as load:
                load.join()
            expect(len(ledger.accepted), 80, "acknowledged")
            shop.wait_for(count=4)
            first.signal(signal.SIGSTOP)
            old_by_a_lease(server, name)
            with second:
                expect_true(server.psql(WRITER), "the second one holds the lock")
                sent = len(shop.requests)
                shop.wait_for(count=sent + 4)
                first.signal(signal.SIGCONT)
                expect(first.process.wait(timeout=LEASE_S), 74, "it ends by itself")
                expect_true("another parleyd has worked as node" in first.log(), first.log_end())
                shop.answer = Reply()
                print(f"# {judge(second, shop, ledger)}")
        finally:
            first.kill()


run()
