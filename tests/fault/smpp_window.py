#!/usr/bin/python3
# label: sms
# timeout: 300
# stores: sqlite postgres
"""parleyd is killed, and frozen, while a window of ten submit_sm is open: by the message centre's own ledger nothing is lost, and what it
was given twice is marked as possibly twice."""

import collections
import random
import signal
import time

from parley_smpp import Centre
from parley_test import Daemon, expect, expect_true, run, test, wait_until

WINDOW = 10
MESSAGES = 30
KILLS = 8


def send(daemon, count, first=0):
    return {f"message {n}": daemon.send(f"message {n}", to={"phone": f"+3460011{n:04}"}) for n in range(first, first + count)}


def ledger(centre):
    return collections.Counter(row["text"] for row in centre.seen()["submits"] if "status" not in row)


def open_window(centre, daemon):
    centre.tell("submit", rules=[{"hold": True, "times": WINDOW}])
    sent = send(daemon, MESSAGES)
    wait_until(lambda: sum(ledger(centre).values()) == WINDOW, lambda: f"{WINDOW} are open: {ledger(centre)}")
    return sent


def check(centre, daemon, sent, most_twice):
    states = {text: daemon.wait_status(message, "sent", "delivered", timeout_s=60) for text, message in sent.items()}
    given = ledger(centre)
    expect(sorted(set(sent) - set(given)), [], "lost")
    twice = {text for text, times in given.items() if times > 1}
    expect_true(len(twice) <= most_twice, f"{len(twice)} twice: {twice}")
    expect(sorted(text for text in twice if not states[text]["possible_duplicate"]), [], "twice, and not marked")
    wait_until(lambda: daemon.metric("parley_messages_add_up") == 1.0, "it adds up")
    return states, twice


@test
def after_kill_nothing_is_lost_and_what_is_twice_is_marked(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, window=WINDOW, proof_wait="0s")}) as daemon:
        sent = open_window(centre, daemon)
        daemon.restart()
        _, twice = check(centre, daemon, sent, WINDOW)
        expect(len(twice), WINDOW, "nobody could know of them")


@test
def after_kill_receipts_prove_what_is_out_and_nothing_is_twice(folder):
    options = {"window": WINDOW, "proof_wait": "30s", "message_ids": "number"}
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, **options)}) as daemon:
        sent = open_window(centre, daemon)
        rows = centre.seen()["submits"]
        daemon.restart()
        wait_until(lambda: centre.seen()["live"] == 1, "it is bound again")
        for number, row in enumerate(rows):
            text = f"id:{9000 + number} stat:DELIVRD err:000"
            expect(centre.reply(centre.message(text, esm_class=4, source_addr=row["to"], user_message_reference=row["reference"]))["status"], 0)
        states, _ = check(centre, daemon, sent, 0)
        expect({states[row["text"]]["status"] for row in rows}, {"delivered"})


@test
def a_frozen_daemon_takes_the_answers_that_came_and_knows_what_has_none(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, window=WINDOW, proof_wait="0s")}) as daemon:
        sent = open_window(centre, daemon)
        daemon.signal(signal.SIGSTOP)
        centre.tell("release", count=WINDOW // 2)
        centre.tell("drop", gently=True)
        time.sleep(1)  # the freeze itself
        daemon.signal(signal.SIGCONT)
        check(centre, daemon, sent, WINDOW)  # the five without an answer, and five that took the places of the answered


@test
def killed_again_and_again_it_loses_nothing(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, window=WINDOW, proof_wait="0s")}) as daemon:
        sent = {}
        for number in range(KILLS):
            centre.tell("submit", rules=[{"hold": True, "times": random.randint(1, WINDOW)}])
            before = sum(ledger(centre).values())
            sent.update(send(daemon, MESSAGES, number * MESSAGES))
            wait_until(lambda: sum(ledger(centre).values()) > before, "something is on its way")
            daemon.restart()
            centre.tell("submit", rules=[])
        check(centre, daemon, sent, KILLS * WINDOW)


if __name__ == "__main__":
    raise SystemExit(run())
