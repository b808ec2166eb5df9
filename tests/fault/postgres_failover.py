#!/usr/bin/python3
# label: postgres
# timeout: 240
"""The primary dies while 64 clients send, its synchronous standby is promoted: the router finds it by itself and the ledger adds
up. An old primary that comes back and takes writes is not used, nor a standby that lacks what was confirmed."""

import contextlib
import time

from parley_postgres import Cluster
from parley_store import psql
from parley_test import Daemon, Ledger, Load, Recorder, expect, expect_true, judge, run, test, wait_until

CLIENTS = 64
PACE_S = 0.25
Load.PAUSE_S = PACE_S
BACK_S = 30
WARM = 100
STALE = "lacks what was confirmed"


def on_database(url):
    def change(config):
        config["store"] = {"driver": "postgres", "url": {"env": "FAILOVER_DATABASE_URL"}}

    return {"config": change, "env": {"FAILOVER_DATABASE_URL": url}}


def accepts(daemon):
    answer = daemon.post("/v1/messages", Daemon.message("one more"))
    expect_true(answer.status in (202, 503), answer.text[:300])
    return answer.status == 202


def ends_connections(server, database):
    server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()")


@contextlib.contextmanager
def pair(folder, synchronous=True):
    with Cluster(folder=folder) as first, first.standby(synchronous=synchronous) as second:
        yield first, second, first.create_database()


def in_it(server, database, ledger):
    """Every message acknowledged so far has its row there; others are acknowledged meanwhile."""
    acknowledged = len(ledger.accepted)
    ids = set(psql(server.conninfo(database), "SELECT id FROM message").splitlines())
    expect_true(len(ids) >= acknowledged, f"{len(ids)} messages for {acknowledged} acknowledgements")


def survives_and_shuns_the_old_one(daemon, ledger, first, second, database):
    first.kill9()
    begun = time.monotonic()
    second.promote()
    wait_until(lambda: accepts(daemon), "it accepts again", BACK_S)
    print(f"# accepts {time.monotonic() - begun:.1f} s after the primary died")
    in_it(second, database, ledger)
    first.start()
    first.set("synchronous_standby_names", "")
    rows = first.psql("SELECT count(*) FROM message", database)
    ends_connections(second, database)  # the next connection might be to either
    wait_until(lambda: accepts(daemon), "it is back at the promoted one", BACK_S)
    expect(first.psql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'parleyd'"), "0",
           "connections to the old primary")
    expect(first.psql("SELECT count(*) FROM message", database), rows, "what is written on the old primary")


@test
def the_primary_dies_and_its_synchronous_standby_takes_over(folder):
    with pair(folder) as (first, second, database), Recorder() as shop:
        ledger = Ledger("failover")
        url = first.conninfo(database, others=[second])
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(url)) as daemon:
            with Load(daemon, ledger, threads=CLIENTS, pace_s=PACE_S):
                wait_until(lambda: len(ledger.accepted) > WARM, "the load is on its way")
                survives_and_shuns_the_old_one(daemon, ledger, first, second, database)
                accepted = len(ledger.accepted)
                wait_until(lambda: len(ledger.accepted) > accepted + 2 * CLIENTS, "the clients get through")
            print(f"# {judge(daemon, shop, ledger)}")
            daemon.kill()
            daemon.start()  # nothing is remembered: both servers take writes, the old one comes first in the address
            daemon.send("after the start")
            expect(first.psql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'parleyd'"), "0",
                   "connections to the old primary after a start")


@test
def when_only_the_old_primary_answers_it_is_not_used_until_somebody_says_so(folder):
    with pair(folder) as (first, second, database):
        with Daemon(folder, **on_database(first.conninfo(database, others=[second]))) as daemon:
            daemon.send("before")
            first.kill9()
            second.promote()
            wait_until(lambda: accepts(daemon), "it accepts again", BACK_S)
            last = daemon.send("only on the promoted one")
            first.start()
            first.set("synchronous_standby_names", "")
            second.kill9()
            wait_until(lambda: STALE in daemon.log(), "the old one is looked at", BACK_S)
            expect(accepts(daemon), False, "an old primary")
            expect_true("lacks" in daemon.get("/readyz").text, "/readyz says why")
            second.start()
            wait_until(lambda: accepts(daemon), "it is back at the promoted one", BACK_S)
            expect(daemon.get(f"/v1/messages/{last}").status, 200, "what it held")


@test
def a_standby_that_was_behind_is_not_taken_for_the_store(folder):
    with pair(folder, synchronous=False) as (first, second, database):
        with Daemon(folder, **on_database(first.conninfo(database, others=[second]))) as daemon:
            daemon.send("before")
            wait_until(lambda: second.psql("SELECT count(*) FROM message", database) == "1", "the standby follows")
            second.kill9()
            lost = [daemon.send("not on the standby") for _ in range(5)]
            first.kill9()
            second.start()
            second.promote()
            wait_until(lambda: STALE in daemon.log(), "it is looked at", BACK_S)
            expect(accepts(daemon), False, "a standby that lacks what was acknowledged")
            first.start()
            wait_until(lambda: accepts(daemon), "the primary is back, with everything", BACK_S)
            for message_id in lost:
                expect(daemon.get(f"/v1/messages/{message_id}").status, 200, "acknowledged")
            first.kill9()
            daemon.kill()
            daemon.start()  # by hand: what the standby has is what there is
            daemon.send("the operator has decided")


@test
def a_commit_that_waits_for_a_standby_says_so(folder):
    with pair(folder) as (first, second, database):
        with Daemon(folder, **on_database(first.conninfo(database))) as daemon:
            expect_true(accepts(daemon), "it begins well")
            second.freeze()
            try:
                expect_true(not accepts(daemon), "nothing is accepted while the standby is away")
                wait_until(lambda: "synchronous_standby_names" in daemon.log(), "the log names what it may wait for", BACK_S)
            finally:
                second.thaw()
            wait_until(lambda: accepts(daemon), "it accepts again", BACK_S)


run()
