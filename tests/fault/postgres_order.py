#!/usr/bin/python3
# label: postgres
# timeout: 120
"""The log's seq is in the order of commits: a cursor never misses an event that was committed late. The same writers with a
plain sequence do miss one, so this test can see it."""

import contextlib
import os
import random
import subprocess
import threading
import time

from parley_postgres import Cluster
from parley_store import bin_folder, postgres_env
from parley_test import FULL, Daemon, Recorder, expect, expect_true, run, test, wait_until

WRITERS = 4
SECONDS = 20 if FULL else 3
COUNTER = "UPDATE seq SET last = last + 1 WHERE id = 1 RETURNING last"
PLAIN = "SELECT nextval('plain')"


class Session:
    """A psql whose statements go one by one."""

    def __init__(self, url):
        program = [os.path.join(bin_folder(), "psql")]
        self.process = subprocess.Popen([*program, "-XAtq", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, bufsize=1, env=postgres_env())

    def say(self, sql):
        self.process.stdin.write(sql + ";\n")
        self.process.stdin.flush()

    def ask(self, sql):
        """The one line that it answers."""
        self.say(sql)
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=20)


def event(seq, what):
    return f"INSERT INTO event(seq, type, at, data) VALUES ({seq}, 'test.{what}', 0, '{{}}')"


def parley_database(server, folder):
    """One with Parley's own tables."""
    name = server.create_database()

    def change(config):
        config["store"] = {"driver": "postgres", "url": {"env": "ORDER_DATABASE_URL"}}

    with Daemon(folder, config=change, env={"ORDER_DATABASE_URL": server.conninfo(name)}) as daemon:
        daemon.stop()
        daemon.process = None
    return name


class Reader:
    """Goes on from its cursor, as the feed does."""

    def __init__(self, server, name):
        self.server, self.name, self.cursor, self.seen = server, name, 0, set()

    def read(self):
        rows = self.server.psql(f"SELECT seq, type FROM event WHERE seq > {self.cursor} AND type LIKE 'test.%' ORDER BY seq", self.name)
        for row in rows.splitlines():
            seq, kind = row.split("|")
            self.cursor = int(seq)
            self.seen.add(kind)


@test
def the_second_of_two_writers_waits_for_the_first(folder):
    with Cluster(fsync=False, folder=folder) as server:
        name = parley_database(server, folder)
        reader = Reader(server, name)
        with Session(server.conninfo(name)) as first, Session(server.conninfo(name)) as second:
            first.say("BEGIN")
            mine = first.ask(COUNTER)
            second.say("BEGIN")
            second.say(COUNTER)
            wait_until(lambda: server.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1", "the second waits")
            first.say(event(mine, "first"))
            first.say("COMMIT")
            later = second.process.stdout.readline().strip()
            second.say(event(later, "second"))
            second.say("COMMIT")
            second.ask("SELECT 1")
            reader.read()
            expect(reader.seen, {"test.first", "test.second"}, "what a reader sees")
            expect_true(int(later) > int(mine), "the later commit has the higher number")


@test
def a_plain_sequence_would_let_a_reader_miss_one(folder):
    with Cluster(fsync=False, folder=folder) as server:
        name = parley_database(server, folder)
        server.psql("CREATE SEQUENCE plain", name)
        reader = Reader(server, name)
        with Session(server.conninfo(name)) as first, Session(server.conninfo(name)) as second:
            first.say("BEGIN")
            first.say(event(first.ask(PLAIN), "first"))
            second.say("BEGIN")
            second.say(event(second.ask(PLAIN), "second"))
            second.say("COMMIT")
            second.ask("SELECT 1")
            reader.read()
            first.say("COMMIT")
            first.ask("SELECT 1")
            reader.read()
            expect(reader.seen, {"test.second"}, "the first one, which was committed late, is missed: this test can see that")


def write_until(server, name, number, way, ending, committed, lock):
    """One writer: takes its number, dawdles, commits."""
    with Session(server.conninfo(name)) as session:
        n = 0
        while not ending.is_set():
            n += 1
            session.say("BEGIN")
            seq = session.ask(way)
            session.say(f"SELECT pg_sleep({random.uniform(0, 0.01)}) \\g /dev/null")
            session.say(event(seq, f"{number}-{n}"))
            session.say("COMMIT")
            session.ask("SELECT 1")
            with lock:
                committed.add(f"test.{number}-{n}")


def race(server, name, way):
    """What was committed, and what a reader beside it has seen in the end."""
    ending, lock, committed = threading.Event(), threading.Lock(), set()
    reader = Reader(server, name)
    writers = [threading.Thread(target=write_until, args=(server, name, number, way, ending, committed, lock)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        reader.read()
    ending.set()
    for writer in writers:
        writer.join()
    reader.read()
    return committed, reader.seen


@test
def a_reader_beside_many_writers_misses_nothing_and_with_a_sequence_it_would(folder):
    with Cluster(fsync=False, folder=folder) as server:
        name = parley_database(server, folder)
        committed, seen = race(server, name, COUNTER)
        expect(len(committed - seen), 0, f"missed of {len(committed)}")
        plain = parley_database(server, folder)
        server.psql("CREATE SEQUENCE plain", plain)
        without, saw = race(server, plain, PLAIN)
        expect_true(without - saw, f"a sequence loses some of {len(without)}: this test can see that")
        print(f"# {len(committed)} events in order of commits, none missed; with a sequence {len(without - saw)} of {len(without)}")


@test
def the_daemon_waits_its_turn_at_the_counter_and_a_subscriber_gets_both(folder):
    with Cluster(fsync=False, folder=folder) as server, Recorder() as desk:
        name = server.create_database()

        def change(config):
            config["store"] = {"driver": "postgres", "url": {"env": "ORDER_DATABASE_URL"}}
            config["subscriptions"] = {"desk": desk.subscription("touchpoint.*")}

        with Daemon(folder, config=change, env={"ORDER_DATABASE_URL": server.conninfo(name)}) as daemon:
            with Session(server.conninfo(name)) as other:
                other.say("BEGIN")
                theirs = int(other.ask(COUNTER)) << 22 | 1023 << 12  # a slot of numbers, as the daemon takes one
                answers = []
                posting = threading.Thread(target=lambda: answers.append(touch(daemon, "ours")))
                posting.start()
                wait_until(lambda: server.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
                                               " application_name = 'parleyd'") == "1", "the daemon's round waits")
                other.say(f"INSERT INTO event(seq, type, at, customer, identity, conversation, message, data)"
                          f" VALUES ({theirs}, 'touchpoint.theirs', 0, 0, 0, 0, 0, '{{}}')")
                other.say("COMMIT")
                other.ask("SELECT 1")
                posting.join(timeout=20)
            expect([answer.status for answer in answers], [201], "the daemon's own event")
            desk.wait_for(lambda request: "touchpoint.ours" in request.text)
            desk.wait_for(lambda request: "touchpoint.theirs" in request.text)


def touch(daemon, what):
    return daemon.post("/v1/events", {"to": {"email": "ana@example.org"}, "type": what})


run()
