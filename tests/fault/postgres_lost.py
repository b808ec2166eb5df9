#!/usr/bin/python3
# label: postgres
# timeout: 300
"""The database is lost while 64 clients send, in each way that a database can be lost, and comes back: accepting and reading are
refused in words, nothing is lost, and all goes on by itself. The ledger outside the router adds up after each."""

import contextlib
import http.client
import os
import signal
import threading
import time

from parley_postgres import Cluster
from parley_postgres_proxy import Proxy
from parley_test import (FULL, Client, Daemon, Ledger, Load, Recorder, arrivals, expect, expect_true, judge, run, test,
                         wait_until)

CLIENTS = 64
PACE_S = 0.25
Load.PAUSE_S = PACE_S
NOTICED_S = 20  # a server that is silent counts as lost after 10 s
BACK_S = 30
WARM = 100  # messages before it begins
ENDS = 10 if FULL else 2  # of each kind
DOUBTS = 40 if FULL else 6
WRITER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1346458988 AND mode = 'ExclusiveLock'"


def on_database(url, **more):
    """The configuration of a daemon whose store is there."""
    def change(config):
        config["store"] = {"driver": "postgres", "url": {"env": "LOST_DATABASE_URL"}}
        for name, value in more.items():
            config[name] = value

    return {"config": change, "env": {"LOST_DATABASE_URL": url}}


def refusal(daemon):
    """The answer to one more message when it is a refusal; anything but 202 and 503 is a failure."""
    answer = daemon.post("/v1/messages", Daemon.message("one more"))
    if answer.status == 202:
        return None
    expect(answer.status, 503, answer.text[:300])
    return answer


def refuses_in_words(daemon, known):
    answer = wait_until(lambda: refusal(daemon), "it refuses", NOTICED_S)
    expect_true(answer.headers.get("Retry-After"), "503 comes with Retry-After")
    expect(answer.json["code"], "store_unavailable", answer.text)
    ready = daemon.get("/readyz")
    expect(ready.status, 503, "/readyz")
    expect_true("database" in ready.text, ready.text)
    expect(daemon.probe("/healthz"), 200, "/healthz")
    read = daemon.get(f"/v1/messages/{known}")
    expect((read.status, bool(read.headers.get("Retry-After"))), (503, True), f"a read: {read.text}")


def comes_back(daemon):
    begun = time.monotonic()
    wait_until(lambda: not refusal(daemon), "it accepts again", BACK_S)
    expect(daemon.probe("/readyz"), 200, "/readyz")
    return time.monotonic() - begun


@contextlib.contextmanager
def under_load(folder, url, name):
    """A daemon that 64 clients send to; at the end the ledger adds up."""
    with Recorder() as shop:
        ledger = Ledger(name)
        with Daemon(folder, channels={"hook": shop.channel()}, **on_database(url)) as daemon:
            with Load(daemon, ledger, threads=CLIENTS, pace_s=PACE_S):
                wait_until(lambda: len(ledger.accepted) > WARM, "the load is on its way")
                yield daemon, ledger
            print(f"# {name}: {judge(daemon, shop, ledger)}")
            expect(daemon.stop(), 0, "the end")


def lost_and_back(daemon, ledger, how, lose, back):
    known = daemon.send("known")
    lose()
    refuses_in_words(daemon, known)
    back()
    took = comes_back(daemon)
    accepted = len(ledger.accepted)
    wait_until(lambda: len(ledger.accepted) > accepted + CLIENTS, "the clients get through again")
    print(f"# {how}: accepts {took:.1f} s after it is back")


@test
def a_server_that_is_stopped_or_killed(folder):
    with Cluster(folder=folder) as server, under_load(folder, server.conninfo(server.create_database()), "stop") as (daemon, ledger):
        lost_and_back(daemon, ledger, "stop fast", lambda: server.stop(signal.SIGINT), server.start)
        lost_and_back(daemon, ledger, "stop immediate", lambda: server.stop(signal.SIGQUIT), server.start)
        lost_and_back(daemon, ledger, "kill -9", server.kill9, server.start)


@test
def a_daemon_that_shall_end_does_so_while_its_database_is_away(folder):
    def hurry(config):
        on_database(url)["config"](config)
        config["server"]["drain"] = "2s"

    with Cluster(folder=folder) as server, Proxy(server.port) as wire, Recorder() as shop:
        url = wire.conninfo(server, server.create_database())
        daemon = Daemon(folder, channels={"hook": shop.channel()}, config=hurry, env={"LOST_DATABASE_URL": url})
        for lose, back in ((lambda: server.stop(signal.SIGINT), server.start), (wire.cut, wire.heal)):
            daemon.start()
            known = daemon.send("before")
            daemon.wait_status(known, "sent", "delivered")
            lose()
            thread, answers = post_in_a_thread(daemon, "key", "meanwhile")
            expect_true(daemon.stop(timeout_s=NOTICED_S + 10) in (0, 75), "the end")
            thread.join(timeout=BACK_S)
            expect([answer for answer in answers if answer.status != 503], [], "what was under way")
            daemon.drop_client()
            back()


@test
def connections_that_an_administrator_ends(folder):
    with Cluster(folder=folder) as server:
        name = server.create_database()
        with under_load(folder, server.conninfo(name), "terminate") as (daemon, ledger):
            for what in (WRITER, f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'") * ENDS:
                accepted = len(ledger.accepted)
                server.psql(f"SELECT pg_terminate_backend(pid) FROM ({what}) AS them")
                wait_until(lambda at=accepted: len(ledger.accepted) > at + 2 * CLIENTS, "the clients get through again", BACK_S)
            expect_true(daemon.log().count("event=store_back") >= 2 * ENDS, "each was noticed")


@test
def a_network_that_is_cut_and_sending_stops_within_half_a_lease(folder):
    with Cluster(folder=folder) as server, Proxy(server.port) as wire:
        name = server.create_database()

        def slowly(config):
            on_database(wire.conninfo(server, name))["config"](config)
            config["channels"]["hook"]["rate"] = "10/s"

        with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}, config=slowly,
                                        env={"LOST_DATABASE_URL": wire.conninfo(server, name)}) as daemon:
            ledger = Ledger("cut")
            with Load(daemon, ledger, threads=CLIENTS, count=6) as load:
                load.join()
            expect_true(len(ledger.accepted) > 300, f"much waits in memory: {len(ledger.accepted)}")
            known = daemon.send("known")
            before = len(shop.requests)
            wire.cut()
            at = time.time()
            refuses_in_words(daemon, known)
            wait_until(lambda: time.time() > at + 21, "the time after", 30)
            late = [request.at - at for request in shop.requests if request.at > at + 15.5]
            expect(late[:5], [], f"{len(late)} were sent later than 15 s after the last commit")
            expect_true(len(shop.requests) > before + 20, "it was sending until then")
            expect_true(len(arrivals(shop)) < len(ledger.accepted) - 50, "there was more to send")
            wire.heal()
            print(f"# cut: accepts {comes_back(daemon):.1f} s after it is back")
            daemon.config["channels"]["hook"]["rate"] = "1000/s"
            daemon.write_config()
            daemon.signal(signal.SIGHUP)
            print(f"# cut: {judge(daemon, shop, ledger)}")


@test
def a_network_that_delivers_late(folder):
    """What was on its way, a COMMIT too, reaches the server after the daemon has given the connection up."""
    with Cluster(folder=folder) as server, Proxy(server.port) as wire:
        url = wire.conninfo(server, server.create_database())
        with under_load(folder, url, "late") as (daemon, ledger):
            for _ in range(5 if FULL else 1):
                lost_and_back(daemon, ledger, "late", wire.cut, wire.heal)


@test
def a_server_that_hangs(folder):
    with Cluster(folder=folder) as server, under_load(folder, server.conninfo(server.create_database()), "hang") as (daemon, ledger):
        lost_and_back(daemon, ledger, "all of it", server.freeze, server.thaw)
        pids = []

        def freeze_writer():
            pids.append(int(server.psql(WRITER)))
            os.kill(pids[0], signal.SIGSTOP)

        known = daemon.send("known")
        freeze_writer()
        answer = wait_until(lambda: refusal(daemon), "it refuses", NOTICED_S)
        expect(answer.json["code"], "store_unavailable", answer.text)
        expect(daemon.get(f"/v1/messages/{known}").status, 200, "readers read on")
        os.kill(pids[0], signal.SIGCONT)
        print(f"# one process of it: accepts {comes_back(daemon):.1f} s after it is back")


def post_in_a_thread(daemon, key, text):
    """The answer, when it comes."""
    answers = []

    def post():
        with contextlib.closing(Client(daemon.port, timeout_s=60)) as client:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answers.append(client.post("/v1/messages", Daemon.message(text), idempotency_key=key))

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    return thread, answers


def a_round_in_doubt(daemon, wire, number, arrives):
    """One message whose COMMIT, or the answer to it, is lost on the way; returns the answer."""
    text, key = f"doubt ~doubt-{number}~", f"key-doubt-{number}"
    wire.swallow_commit(f"~doubt-{number}~", arrives)
    thread, answers = post_in_a_thread(daemon, key, text)
    thread.join(timeout=BACK_S)
    expect_true(wire.swallowed(), "the commit was met")
    expect_true(answers, "an answer came")
    wait_until(lambda: daemon.probe("/readyz") == 200, "it is back")
    again = daemon.post("/v1/messages", Daemon.message(text), idempotency_key=key)
    expect(again.status, 202, again.text)
    return answers[0], again


@test
def a_commit_without_an_answer_is_answered_by_what_became_of_it(folder):
    with Cluster(folder=folder) as server, Proxy(server.port) as wire:
        name = server.create_database()
        with under_load(folder, wire.conninfo(server, name), "load") as (daemon, ledger):
            for number in range(1, DOUBTS + 1):
                arrives = number % 2 == 1
                first, again = a_round_in_doubt(daemon, wire, number, arrives)
                rows = server.psql(f"SELECT count(*) FROM message WHERE convert_from(body, 'UTF8') LIKE '%~doubt-{number}~%'", name)
                expect(rows, "1", "it is there once")
                if arrives:
                    expect(first.status, 202, f"it was committed: {first.text}")
                    expect(again.json["id"], first.json["id"], "the same answer to the same key")
                else:
                    expect(first.status, 503, f"it was not committed: {first.text}")
                    expect_true(first.headers.get("Retry-After"), "503 comes with Retry-After")
            expect(daemon.log().count("event=store_round_in_doubt"), DOUBTS, "rounds in doubt")
            ledger.offered.update({f"doubt-{number}": "ours" for number in range(1, DOUBTS + 1)})


run()
