#!/usr/bin/python3
# label: spine
# timeout: 120
"""A webhook receiver that speaks HTTP/2: its messages share a connection, and each comes once."""

import os

from parley_peers import Peer
from parley_test import Daemon, expect, expect_true, run, test, wait_until
from parley_tls import Authority

MESSAGES = 200


@test
def messages_over_http2_share_a_connection_and_come_once(folder):
    authority = Authority(folder)
    store = os.path.join(folder, "parley")
    os.mkdir(store)
    with Peer(None, "tests/contract/http2_shop.cjs", authority.make("shop")) as shop:
        channel = {"plugin": "webhook", "options": {"url": f"https://localhost:{shop.ready['port']}/", "secret": {"env": "HOOK_SECRET"}}}
        with Daemon(store, channels={"hook": channel}, env={"PARLEY_CA_FILE": authority.ca}) as daemon:
            expect(daemon.post("/v1/channels/hook/pause").status // 100, 2)
            for number in range(MESSAGES):
                daemon.send(f"message {number}")
            expect(daemon.post("/v1/channels/hook/resume").status // 100, 2)
            wait_until(lambda: shop.ask({})["ids"] >= MESSAGES, lambda: f"{MESSAGES} messages: {shop.ask({})}")
            seen = shop.ask({})
    expect(seen["requests"], MESSAGES, "each message is posted once")
    expect(seen["versions"], ["2.0"])
    expect_true(seen["sessions"] <= 2 and seen["most"] > 8, f"they share connections: {seen}")


run()
