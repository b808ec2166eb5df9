#!/usr/bin/python3
# label: spine
# timeout: 120
"""The library of Standard Webhooks' authors (npm standardwebhooks) verifies what we sign, and we verify what it signs."""

import base64
import json
import os
import time

from parley_peers import Peer
from parley_test import SECRET, Daemon, Recorder, expect, expect_true, run, test

SHORT = "whsec_" + base64.b64encode(bytes(range(24))).decode()
LONG = "whsec_" + base64.b64encode(bytes(range(192, 256))).decode()
TEXT = "Grüße, Ana! \U0001f600 </script> \u2028 \\ \" and a line\nmore"


def library():
    return Peer("webhooks", "tests/contract/standard_webhooks.cjs")


def verified(peer, request, secret=SECRET, body=None, **headers):
    given = {name.lower(): value for name, value in request.headers.items()}
    body = request.body if body is None else body
    return peer.ask({"do": "verify", "secret": secret, "headers": {**given, **headers}, "body": base64.b64encode(body).decode()})


def post_signed(peer, daemon, event, secret=SECRET, path="/in/hook", timestamp=None, spoil=None):
    body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
    timestamp = timestamp or int(time.time())
    made = peer.ask({"do": "sign", "secret": secret, "id": "msg_theirs", "timestamp": timestamp,
                     "body": base64.b64encode(body).decode()})
    headers = {"webhook-id": "msg_theirs", "webhook-timestamp": str(timestamp), "webhook-signature": made["signature"],
               "Content-Type": "application/json"}
    return daemon.post(path, spoil or body, headers=headers)


def from_ana(number, text="hello"):
    return {"id": f"theirs-{number}", "from": {"email": "ana@example.org"}, "text": text}


@test
def it_verifies_the_messages_of_a_webhook_channel(folder):
    with library() as peer, Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        daemon.send(TEXT)
        daemon.send("x" * (1 << 20))
        daemon.post("/v1/messages", {"to": {"external": "shop-77"}, "topic": "orders", "channels": ["hook"],
                                     "content": {"subject": "Ø", "html": f"<p>{TEXT}</p>", "text": "a"}})
        for request in shop.wait_for(count=3):
            expect(verified(peer, request), {"ok": True, "type": "message.send"})
        request = shop.requests[0]
        for what, answer in {"another secret": verified(peer, request, secret=LONG),
                             "another body": verified(peer, request, body=request.body + b" "),
                             "another id": verified(peer, request, **{"webhook-id": "msg_other"}),
                             "another time": verified(peer, request, **{"webhook-timestamp": str(int(time.time()) + 9)})}.items():
            expect(answer["ok"], False, what)


@test
def it_verifies_the_feed_and_both_secrets_while_one_replaces_the_other(folder):
    with library() as peer, Recorder() as desk, Recorder() as shop:
        with Daemon(folder, channels={"hook": shop.channel()}) as daemon:
            made = daemon.post("/v1/subscriptions", {"url": desk.url, "types": ["message.received"], "secret": SHORT})
            expect(made.status, 201, made.text)
            expect(post_signed(peer, daemon, from_ana(1, TEXT)).status, 200)
            request = desk.wait_for()[0]
            expect(verified(peer, request, SHORT), {"ok": True, "type": "message.received"})
            expect(request.webhook_id, request.json["id"])
            rotated = daemon.post(f"/v1/subscriptions/{made.json['id']}/rotate", {"secret": LONG})
            expect((rotated.status, rotated.json["secret"]), (200, LONG))
            expect(post_signed(peer, daemon, from_ana(2)).status, 200)
            request = desk.wait_for(count=2)[1]
            for secret in (SHORT, LONG):
                expect(verified(peer, request, secret), {"ok": True, "type": "message.received"})
            expect(verified(peer, request, SECRET)["ok"], False)


@test
def what_it_signs_is_taken_in(folder):
    with library() as peer, Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        answer = post_signed(peer, daemon, from_ana(1, TEXT))
        expect((answer.status, answer.json["duplicate"]), (200, False))
        expect(daemon.message_state(answer.json["id"])["content"]["text"], TEXT)
        again = post_signed(peer, daemon, from_ana(1, TEXT))
        expect((again.status, again.json), (200, {"id": answer.json["id"], "duplicate": True}))
        for what, refused in {"another secret": post_signed(peer, daemon, from_ana(2), secret=LONG),
                              "another body": post_signed(peer, daemon, from_ana(2), spoil=b'{"id":"x"}'),
                              "old": post_signed(peer, daemon, from_ana(2), timestamp=int(time.time()) - 360),
                              "early": post_signed(peer, daemon, from_ana(2), timestamp=int(time.time()) + 360)}.items():
            expect(refused.status, 401, what)
        expect(daemon.metric("parley_inbound_total"), 1.0)


@test
def a_channel_takes_what_either_of_its_two_secrets_signed_and_signs_with_both(folder):
    with library() as peer, Recorder() as shop:
        channel = shop.channel()
        channel["options"]["secret"] = {"env": "BOTH"}
        with Daemon(folder, channels={"hook": channel}, env={"BOTH": f"{LONG} {SHORT}"}) as daemon:
            expect([post_signed(peer, daemon, from_ana(number), secret=secret).status
                    for number, secret in enumerate([LONG, SHORT, SECRET])], [200, 200, 401])
            daemon.send("twice signed")
            request = shop.wait_for()[0]
            expect([verified(peer, request, secret)["ok"] for secret in (LONG, SHORT, SECRET)], [True, True, False])


@test
def a_receipt_that_it_signs_counts(folder):
    with library() as peer, Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        sent = daemon.send("read me")
        daemon.wait_status(sent, "sent")
        event = {"type": "receipt", "message": sent, "status": "read", "at": "2026-01-01T00:00:00Z"}
        expect(post_signed(peer, daemon, event).status, 200)
        daemon.wait_status(sent, "read")
        expect_true(os.path.exists(daemon.log_path) and TEXT not in daemon.log(), "the log has no bodies")


run()
