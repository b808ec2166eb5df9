#!/usr/bin/python3
# label: spine
# timeout: 420
# stores: sqlite postgres
"""kill -9 under load, out and in: the ledger outside the router says that nothing acknowledged is lost, that a duplicate
is marked, and that an inbound message acknowledged to its provider reaches the support system with one event id."""

import http.client
import json
import random
import threading

from parley_test import (FULL, SECRET, WAIT_S, Client, Daemon, Ledger, Load, Recorder, arrivals, expect, judge, run, test,
                         wait_until, webhook_headers)

ROUNDS = 1000 if FULL else 50
ALIVE_MIN_S = 0.01
ALIVE_MAX_S = 0.9
PACE_S = 0.004  # keeps the load below what the recorder, which is Python, can take


class InboundLoad:
    """One thread that plays a provider: posts signed inbound messages, and repeats each until it is acknowledged."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.acknowledged = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.post_all, daemon=True)

    def post_all(self):
        client = Client(self.daemon.port, key=None, timeout_s=15)
        number = 0
        while not self.ending.is_set():
            number += 1
            self.post_until_acknowledged(client, f"in-{number}", number)
            self.ending.wait(PACE_S * 4)
        client.close()

    def post_until_acknowledged(self, client, marker, number):
        event = {"type": "message", "id": f"provider-{number}", "from": {"email": f"guest-{number % 20}@example.org"},
                 "text": f"question ~{marker}~"}
        body = json.dumps(event).encode()
        while not self.ending.is_set():
            try:
                answer = client.post("/in/hook", body, headers=webhook_headers(SECRET, event["id"], body))
                if answer.status == 200:
                    self.acknowledged.add(marker)
                    return
            except (OSError, http.client.HTTPException):
                pass
            self.ending.wait(PACE_S)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(timeout=WAIT_S)


def received_marker(request):
    """The marker of the message that an event is about; `recent` holds others."""
    message = json.dumps(request.json["data"]["message"])
    return message.split("~")[1] if "~" in message else None


def judge_inbound(desk, acknowledged):
    events = {}
    for request in desk.matching(lambda request: '"message.received"' in request.text):
        expect(request.verified(), True, "the signature of an event")
        events.setdefault(received_marker(request), set()).add(request.webhook_id)
    expect(sorted(marker for marker in acknowledged if marker not in events)[:5], [], "acknowledged, never in the feed")
    expect([marker for marker, ids in events.items() if len(ids) > 1][:5], [], "one message, two events")


@test
def nothing_acknowledged_is_lost_when_the_daemon_is_killed_under_load(folder):
    with Recorder() as shop, Recorder() as desk:
        def subscribe(config):
            config["subscriptions"] = {"desk": desk.subscription("message.received")}

        daemon = Daemon(folder, channels={"hook": shop.channel()}, config=subscribe)
        ledger = Ledger("kill")
        pause = threading.Event()
        with daemon:
            with Load(daemon, ledger, pace_s=PACE_S), InboundLoad(daemon) as provider:
                for _ in range(ROUNDS):
                    pause.wait(random.uniform(ALIVE_MIN_S, ALIVE_MAX_S))
                    daemon.restart()
                wait_until(lambda: len(ledger.accepted) > ROUNDS, "the load gets through between the kills")
            counts = judge(daemon, shop, ledger)
            wait_until(lambda: provider.acknowledged <= set(arrivals(desk)), "every acknowledged inbound is in the feed", 120)
            judge_inbound(desk, provider.acknowledged)
            print(f"# kills {ROUNDS}, inbound {len(provider.acknowledged)}, {counts}")


run()
