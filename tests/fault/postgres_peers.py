#!/usr/bin/python3
# label: postgres
# timeout: 240
# full: only
"""What stands around PostgreSQL in tests does what it does for real: pgbouncer pools, and Patroni promotes by itself when
the leader dies, without losing what was confirmed."""

import os

from parley_postgres import Cluster
from parley_postgres_peers import LEASE_S, Patroni, PgBouncer
from parley_store import psql
from parley_test import expect, expect_true, run, test, wait_until

FAIL_OVER_S = LEASE_S * 3


@test
def a_pool_stands_before_a_server(folder):
    with Cluster(fsync=False, folder=folder) as server:
        name = server.create_database()
        for mode in ("session", "transaction"):
            with PgBouncer(server, mode) as pool:
                expect(psql(pool.conninfo(name), "SELECT current_database()"), name)
                expect(psql(pool.conninfo("pgbouncer"), "SHOW CONFIG").count(f"pool_mode|{mode}|"), 1, "the mode")
            expect_true(not pool.child.runs(), "it is gone")
    expect(os.listdir(folder), [], "what is left")


@test
def the_standby_leads_when_the_leader_dies():
    with Patroni() as servers:
        first = servers.leader()
        servers.psql("CREATE TABLE t(a bigint); INSERT INTO t SELECT generate_series(1, 1000)")
        expect(servers.kill_leader(), first, "who is killed")
        wait_until(lambda: servers.leader() not in (None, first), "another one leads", FAIL_OVER_S)
        expect(servers.psql("SELECT count(*) FROM t"), "1000", "what was confirmed is there")
        servers.psql("INSERT INTO t VALUES (0)")
        servers.start(first)
        wait_until(servers.has_synchronous_standby, f"{first} is back as a standby", FAIL_OVER_S)
        folder = servers.folder
    expect_true(not os.path.exists(folder), "what is left")


run()
