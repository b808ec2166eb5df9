#!/usr/bin/python3
# label: postgres
# timeout: 180
"""The PostgreSQL servers that other tests break are what those tests take them for: what a synchronous standby has is there
after kill -9 and promotion, a client finds the one that takes writes, and nothing is left behind, whatever ends the program."""

import os
import signal
import subprocess
import sys

from parley_postgres import SHARED_MEMORY_LINE, Cluster, pid_file
from parley_store import DatabaseError, database_url, psql
from parley_test import TOP, Failure, expect, expect_true, run, test, wait_until

PROGRAM = os.path.join(TOP, "tests", "support", "parley_postgres.py")


def left_in(folder):
    return [name for name in os.listdir(folder) if name.startswith("parley-pg-")]


def segments():
    """The shared memory of the whole machine, by id."""
    with open("/proc/sysvipc/shm", encoding="ascii") as file:
        return {line.split()[1] for line in file.read().splitlines()[1:]}


@test
def databases_are_made_and_dropped_under_their_clients(folder):
    with Cluster(fsync=False, folder=folder) as server:
        name = server.create_database()
        psql(server.conninfo(name), "CREATE TABLE t(a bigint); INSERT INTO t VALUES (7)")
        expect(server.psql("SELECT a FROM t", name), "7")
        expect(psql(server.conninfo(name, tcp=True), "SELECT a FROM t"), "7", "over TCP, with a password")
        client = subprocess.Popen([os.path.join(server.programs, "psql"), "-d", server.conninfo(name), "-c", "SELECT pg_sleep(60)"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: server.psql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'") == "1", "it is connected")
        server.drop_database(name)
        expect_true(client.wait(timeout=20) != 0, "the client was cut off")
        expect(server.psql(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"), "0")
    expect(left_in(folder), [], "what is left of it")


@test
def a_stranger_without_the_password_stays_outside(folder):
    with Cluster(fsync=False, folder=folder) as server:
        try:
            psql(f"host=127.0.0.1 port={server.port} user=parley dbname=postgres password=wrong", "SELECT 1")
        except DatabaseError as error:
            expect_true("password authentication failed" in str(error), str(error))
            return
        raise Failure("the wrong password was taken")


@test
def what_was_committed_survives_kill_9(folder):
    with Cluster(folder=folder) as server:
        expect(server.psql("SHOW fsync"), "on")
        server.psql("CREATE TABLE t(a bigint); INSERT INTO t VALUES (1)")
        server.kill9()
        server.start()
        expect(server.psql("SELECT count(*) FROM t"), "1")
        expect_true("database system was not properly shut down" in server.log(), "it died without a word")


@test
def a_synchronous_standby_has_what_the_primary_confirmed(folder):
    with Cluster(folder=folder) as primary:
        primary.psql("CREATE TABLE t(a bigint)")
        with primary.standby() as standby:
            url = primary.conninfo(others=[standby])
            psql(url, "INSERT INTO t SELECT generate_series(1, 1000)")
            primary.kill9()
            standby.promote()
            psql(url, "INSERT INTO t VALUES (0)")
            expect(standby.psql("SELECT count(*) FROM t"), "1001")
            expect(psql(url, "SHOW cluster_name"), "standby", "the client found the one that takes writes")


@test
def without_its_standby_a_primary_confirms_nothing(folder):
    with Cluster(folder=folder) as primary, primary.standby() as standby:
        primary.psql("CREATE TABLE t(a bigint)")
        standby.freeze()
        waiting = subprocess.Popen([os.path.join(primary.programs, "psql"), "-d", primary.conninfo(), "-c", "INSERT INTO t VALUES (1)"],
                                   stdout=subprocess.DEVNULL)
        wait_until(lambda: primary.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1", "it waits")
        expect(waiting.poll(), None, "the commit")
        standby.thaw()
        expect(waiting.wait(timeout=20), 0, "confirmed once the standby is back")


@test
def a_connection_string_takes_another_database(folder):
    for server, want in [("host=/run user=a dbname=b", "host=/run user=a dbname=b dbname=c"),
                         ("postgres://u:p@h:1/b?x=y", "postgres://u:p@h:1/c?x=y"), ("postgresql://h", "postgresql://h/c"),
                         ("postgresql:///?host=/run", "postgresql:///c?host=/run")]:
        expect(database_url(server, "c"), want)


def ends_clean(folder, words, end):
    program = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=dict(os.environ, TMPDIR=folder))
    database = program.stdout.readline().strip()
    expect(psql(database_url(database, "postgres"), "SELECT 1"), "1", "the server")
    place = database.split()[0].removeprefix("host=")
    memory = pid_file(os.path.join(place, "data"))[SHARED_MEMORY_LINE].split()[-1]
    expect_true(memory in segments(), "it has shared memory")
    end(program)
    program.wait(timeout=60)
    program.stdout.close()
    expect_true(not os.path.exists(place), f"{place} is gone")
    expect_true(memory not in segments(), "its shared memory is gone")


@test
def a_server_ends_with_the_program_that_wanted_it(folder):
    ends_clean(folder, [PROGRAM, "serve"], lambda program: program.stdin.close())
    ends_clean(folder, [PROGRAM, "serve"], lambda program: program.send_signal(signal.SIGTERM))
    breaks = "import parley_postgres as p; c = p.Cluster(); c.start(); print(c.conninfo(None), flush=True); input(); raise SystemError"
    ends_clean(folder, ["-c", breaks], lambda program: program.communicate("\n"))
    killed = "import parley_postgres as p; c = p.Cluster(); c.start(); print(c.conninfo(None), flush=True); input(); c.kill9()"
    ends_clean(folder, ["-c", killed], lambda program: program.communicate("\n"))


run()
