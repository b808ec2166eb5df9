#!/usr/bin/python3
# label: spine
# timeout: 600
# stores: sqlite (the calls are those it makes to its files)
"""The daemon dies at its n-th system call that matters for durability, n = 1, 2, 3, ..., for each such call in turn.
One store lives through all the deaths; each start has to recover what the one before left, and at the end every
acknowledgement is judged."""

from parley_test import FULL, Daemon, Failure, Ledger, Load, Recorder, judge, need_tool, run, test, wait_until

CALLS = ["pwrite64", "fdatasync", "write", "writev", "ftruncate"]
POINTS = 2000 if FULL else 40  # for each call; the sweep ends where the script no longer reaches the n-th
SURVIVALS = 3  # in a row, after which the n-th call is out of reach: threads make the count of one life differ from another's
SENDERS = 2
MESSAGES = 12  # a sender and a life
START_TIMEOUT_S = 60


def traced(call, number):
    return [need_tool("strace"), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
            "-e", f"inject={call}:signal=SIGKILL:when={number}"]


def live_until_killed(daemon, ledger):
    """Starts, sends until dead or through; returns whether the daemon died of the injected signal."""
    daemon.start(ready=False)
    ready = wait_until(lambda: daemon.process.poll() is not None or (daemon.probe("/readyz") == 200 and "ready"),
                       lambda: f"the traced daemon is ready or dead\n{daemon.log_end()}", START_TIMEOUT_S)
    if ready == "ready":
        with Load(daemon, ledger, threads=SENDERS, count=MESSAGES, end_on_death=True) as load:
            load.join()
        if load.saw_death:
            wait_until(lambda: daemon.process.poll() is not None, "a daemon that answers no more is dead")
    died = daemon.process.poll() is not None
    daemon.kill()
    return died


def sweep(folder, shop, call):
    """Every crash point of one call; returns how many there were."""
    ledger = Ledger(call)
    daemon = Daemon(folder, channels={"hook": shop.channel()}, store_path=f"{call}.db")
    with daemon:  # the schema first: deaths inside it are the other test's
        daemon.wait_status(daemon.send("first"), "sent", "delivered")
    points = 0
    survived = 0
    for number in range(1, POINTS + 1):
        daemon.wrap = traced(call, number)
        died = live_until_killed(daemon, ledger)
        points += died
        survived = 0 if died else survived + 1
        if survived == SURVIVALS:
            break
    daemon.wrap = []
    with daemon:
        counts = judge(daemon, shop, ledger)
    print(f"# {call}: {points} crash points, {counts}")
    return points


@test
def every_durable_system_call_may_be_the_last(folder):
    need_tool("strace")
    total = 0
    for call in CALLS:
        with Recorder() as shop:
            total += sweep(folder, shop, call)
    if total < 50:
        raise Failure(f"only {total} crash points were reached: does strace inject at all?")


@test
def a_death_while_the_schema_is_made_leaves_a_store_that_opens(folder):
    need_tool("strace")
    for number in range(1, POINTS * 4, 1 if FULL else 9):
        daemon = Daemon(folder, store_path=f"schema-{number}.db")
        daemon.wrap = traced("pwrite64", number)
        daemon.start(ready=False)
        wait_until(lambda: daemon.process.poll() is not None or daemon.probe("/readyz") == 200, "ready or dead", START_TIMEOUT_S)
        died = daemon.process.poll() is not None
        daemon.kill()
        daemon.wrap = []
        with daemon:
            daemon.send("after the death")
        if not died:
            break


run()
