#!/usr/bin/python3
# label: postgres
# timeout: 240
"""What stands around PostgreSQL in earnest: pgbouncer before it, in the mode that works, killed and started anew, and in those
that cannot work, which the daemon refuses in words; and Patroni, which promotes by itself while clients send."""

import os
import signal
import subprocess
import time

from parley_postgres import Cluster
from parley_postgres_peers import LEASE_S, Patroni, PgBouncer
from parley_test import (BIN_DIR, FULL, KEY, SECRET, Daemon, Ledger, Load, Recorder, expect, expect_true, judge, run, skip, test,
                         wait_until)

CLIENTS = 64
PACE_S = 0.25
Load.PAUSE_S = PACE_S
BACK_S = 30
WARM = 100


def on_database(url):
    def change(config):
        config["store"] = {"driver": "postgres", "url": {"env": "AROUND_DATABASE_URL"}}

    return {"config": change, "env": {"AROUND_DATABASE_URL": url}}


def accepts(daemon):
    answer = daemon.post("/v1/messages", Daemon.message("one more"))
    expect_true(answer.status in (202, 503), answer.text[:300])
    return answer.status == 202


def gets_through(ledger):
    accepted = len(ledger.accepted)
    wait_until(lambda: len(ledger.accepted) > accepted + 2 * CLIENTS, "the clients get through", BACK_S)


@test
def a_pool_in_session_mode_may_die_and_come_back(folder):
    with Cluster(folder=folder) as server, PgBouncer(server, "session") as pool, Recorder() as shop:
        ledger = Ledger("pool")
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(pool.conninfo(server.create_database()))) as daemon:
            with Load(daemon, ledger, threads=CLIENTS, pace_s=PACE_S):
                wait_until(lambda: len(ledger.accepted) > WARM, "the load is on its way")
                for how in (signal.SIGKILL, signal.SIGTERM):
                    pool.child.stop(how)
                    wait_until(lambda: not accepts(daemon), "it refuses", BACK_S)
                    pool.start()
                    wait_until(lambda: accepts(daemon), "it accepts again", BACK_S)
                    gets_through(ledger)
                server.stop(signal.SIGQUIT)
                server.start()
                gets_through(ledger)
            print(f"# {judge(daemon, shop, ledger)}")
            daemon.kill()
            daemon.start()


def refused(folder, url):
    """The words of a daemon that does not start."""
    daemon = Daemon(folder, **on_database(url))
    daemon.write_config()
    env = dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET, **daemon.env)
    done = subprocess.run([os.path.join(BIN_DIR, "parleyd"), "-c", daemon.config_path], env=env, capture_output=True, text=True, timeout=60)
    expect(done.returncode, 69, done.stdout + done.stderr)
    return done.stdout + done.stderr


@test
def a_pool_that_shares_sessions_is_refused_in_words(folder):
    with Cluster(folder=folder) as server:
        for mode, settings in (("transaction", {}), ("statement", {}), ("transaction", {"server_round_robin": 1, "min_pool_size": 8})):
            with PgBouncer(server, mode, settings) as pool:
                words = refused(folder, pool.conninfo(server.create_database()))
                expect_true("pool_mode = session" in words, f"{mode} {settings}: {words}")


@test
def a_leader_that_patroni_replaces(folder):
    if not FULL:
        skip("takes minutes: with --full")
    with Patroni() as servers, Recorder() as shop:
        servers.psql("CREATE DATABASE shop")
        ledger = Ledger("patroni")
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(servers.conninfo("shop"))) as daemon:
            with Load(daemon, ledger, threads=CLIENTS, pace_s=PACE_S):
                for _ in range(2):
                    gets_through(ledger)
                    killed = servers.kill_leader()
                    wait_until(lambda at=killed: servers.leader() not in (None, at), "another one leads", LEASE_S * 3)
                    begun = time.monotonic()
                    wait_until(lambda: accepts(daemon), "it accepts again", BACK_S)
                    print(f"# accepts {time.monotonic() - begun:.1f} s after another one leads")
                    servers.start(killed)
                    wait_until(servers.has_synchronous_standby, "the killed one is back as a standby", LEASE_S * 3)
            print(f"# {judge(daemon, shop, ledger)}")


run()
