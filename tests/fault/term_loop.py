#!/usr/bin/python3
# label: spine
# timeout: 300
"""SIGTERM under load: what settles while the daemon drains is neither lost nor marked, and the daemon ends in time."""

import random
import threading

from parley_test import FULL, Daemon, Ledger, Load, Recorder, Reply, expect, judge, run, test

ROUNDS = 200 if FULL else 20
ANSWER_MAX_S = 0.05
DRAIN_S = 12
PACE_S = 0.004


@test
def a_clean_stop_under_load_loses_and_marks_nothing(folder):
    slow = lambda request: Reply(delay_s=random.uniform(0, ANSWER_MAX_S))
    with Recorder(answer=slow) as shop:
        daemon = Daemon(folder, channels={"hook": shop.channel()})
        ledger = Ledger("term")
        pause = threading.Event()
        daemon.start()
        try:
            with Load(daemon, ledger, pace_s=PACE_S):
                for _ in range(ROUNDS):
                    pause.wait(random.uniform(0.05, 0.5))
                    expect(daemon.stop(DRAIN_S), 0, "the exit code after SIGTERM")
                    daemon.start()
            counts = judge(daemon, shop, ledger)
            expect(counts["duplicates"], 0, "messages that arrived twice")
            marked = [message_id for message_id in ledger.accepted_ids().values()
                      if daemon.message_state(message_id).get("possible_duplicate")]
            expect(marked[:5], [], "messages marked possible_duplicate by a clean stop")
            print(f"# {ROUNDS} stops, {counts}")
        finally:
            if daemon.process is not None:
                daemon.kill()


run()
