"""The rows of the speed table on PostgreSQL: a server of the bench's own that flushes each commit, pg-boss on the same server as
the calibrator, and SQLite for what is compared between the two drivers."""

import contextlib
import os
import shutil
import statistics
import subprocess
import time

import parley_store
from parley_peers import peer_env
from parley_postgres import Cluster
from parley_test import Client, expect, free_port, wait_until
from tools import HERE, Figure, cpu_s, load

TIMELINE_ENTRIES = 50
TIMELINE_CUSTOMERS = 20
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}


@contextlib.contextmanager
def on_postgres(bench):
    """Daemons that are started inside have databases of a fresh server; it lies on the bench's disk."""
    before = parley_store.ON_POSTGRES, parley_store.SERVER
    with Cluster(fsync=True, settings=SETTINGS, folder=bench.new_folder()) as cluster:
        parley_store.ON_POSTGRES, parley_store.SERVER = True, cluster.conninfo()
        try:
            yield cluster
        finally:
            parley_store.forget_all()
            parley_store.ON_POSTGRES, parley_store.SERVER = before


@contextlib.contextmanager
def pg_boss(cluster):
    env = peer_env("pgboss")
    name, port = cluster.create_database(), free_port()
    env["DATABASE_URL"] = f"postgres://parley:{cluster.password}@127.0.0.1:{cluster.port}/{name}"
    process = subprocess.Popen([shutil.which("node"), os.path.join(HERE, "pgboss.cjs"), str(port)], env=env)
    try:
        wait_until(lambda: answers(port), "pg-boss listens", 30)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)
        cluster.drop_database(name)


def answers(port):
    client = Client(port, key=None)
    try:
        return client.get("/").status == 200
    except OSError:
        return False
    finally:
        client.close()


# --- accept ---

def row_accept(bench):
    def once():
        with on_postgres(bench) as cluster:
            with pg_boss(cluster) as port:
                load(port, path="/", connections=64, seconds=1)
                boss = load(port, path="/", connections=64, seconds=bench.scale.seconds)
            with bench.accepting() as daemon:
                trips, before_s = daemon.metric("parley_store_round_trips_total"), cpu_s(daemon.process.pid)
                ours = load(daemon.port, connections=64, seconds=bench.scale.seconds, known=bench.scale.known)
                trips = (daemon.metric("parley_store_round_trips_total") - trips) / ours["good"]
                cpu_us = (cpu_s(daemon.process.pid) - before_s) * 1e6 / ours["good"]
        bench.log(f"pg-boss {boss['rate']:.0f}/s, parleyd {ours['rate']:.0f}/s, p50 {ours['p50_us']} us, {trips:.3f} trips a message, "
                  f"{cpu_us:.0f} us CPU")
        return ours["rate"] / boss["rate"], trips

    ratio, trips = bench.medians(once)
    return [Figure("durable accept on PostgreSQL, 64 connections, against pg-boss", ratio, 4, 7),
            Figure("round trips of an accepted message", trips, 0.1, 0.1, at_least=False, unit="")]


# --- dispatch ---

def sent(daemon):
    return daemon.metric("parley_messages", '{state="sent"}') or 0


def row_dispatch(bench, resume):
    """From the store to the sink: queued behind a pause, then all at once."""
    def once():
        with on_postgres(bench), bench.paused_daemon({"box": {"plugin": "sink"}}) as daemon:
            good = load(daemon.port, connections=64, requests=bench.scale.messages, known=bench.scale.known)["good"]
            started_s = time.monotonic()
            resume(daemon, "box")
            wait_until(lambda: sent(daemon) >= good + bench.scale.known, lambda: f"{sent(daemon)} are sent", bench.scale.deadline_s)
            rate = (good + bench.scale.known) / (time.monotonic() - started_s)
        bench.log(f"{rate:.0f}/s")
        return (rate,)

    rate, = bench.medians(once)
    return [Figure("from the store to the sink, on PostgreSQL", rate, 6000, 10000, unit="/s")]


def row_backlog(bench, row):
    with on_postgres(bench):
        figures = row(bench)
    for figure in figures:
        figure.name += ", on PostgreSQL"
        figure.must = False
    return figures


# --- timeline ---

def timeline_p50_us(bench, daemon):
    for _ in range(TIMELINE_ENTRIES + 10):
        load(daemon.port, connections=4, requests=TIMELINE_CUSTOMERS, known=TIMELINE_CUSTOMERS, fill=True)
    client = Client(daemon.port)
    customer = client.get("/v1/messages?limit=1").json["items"][0]["customer"]
    path = f"/v1/customers/{customer}/timeline?limit={TIMELINE_ENTRIES}"
    expect(len(client.get(path).json["items"]), TIMELINE_ENTRIES, "entries")
    spent = []
    for _ in range(min(1000, bench.scale.reads)):
        started = time.perf_counter()
        client.get(path)
        spent.append((time.perf_counter() - started) * 1e6)
    client.close()
    return statistics.median(spent)


def row_timeline(bench):
    def once():
        with bench.daemon({"box": {"plugin": "sink"}}) as daemon:
            sqlite = timeline_p50_us(bench, daemon)
        with on_postgres(bench), bench.daemon({"box": {"plugin": "sink"}}) as daemon:
            postgres = timeline_p50_us(bench, daemon)
        bench.log(f"SQLite {sqlite:.0f} us, PostgreSQL {postgres:.0f} us")
        return (postgres / sqlite,)

    ratio, = bench.medians(once)
    return [Figure("a timeline of 50 entries by HTTP: p50 against SQLite", ratio, 5, 3, at_least=False)]
