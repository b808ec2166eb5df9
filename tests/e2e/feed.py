#!/usr/bin/python3
# label: spine
# timeout: 280
"""What a support system gets: pushes that are signed, in order for each customer, tried again, given up and replayed; and what
an endpoint that fails, redirects, hangs or says goodbye does to itself and to its neighbours."""

import base64
import json
import time

from parley_test import (KEY, SECRET, Client, Daemon, Recorder, Reply, expect, expect_true, post_inbound, run, test,
                         wait_until, wall_clock, webhook_headers, webhook_verified)

NEW_SECRET = "whsec_" + base64.b64encode(b"a new secret of thirty-two bytes").decode()
DAYS_UNTIL_DEAD = 5
CUSTOMERS = 5
REFUSED_EACH = 11  # no multiple of CUSTOMERS: each customer has a few


def hook(shop):
    return {"hook": shop.channel()}


def subscribe(daemon, desk, *types, **more):
    answer = daemon.post("/v1/subscriptions", {"url": desk.url, "types": list(types) or ["message.received"], "secret": SECRET,
                                               **more})
    expect(answer.status, 201, answer.text)
    return answer.json["id"]


def say(daemon, number, text, who="ana"):
    answer = post_inbound(daemon, "hook", {"id": f"in-{number}", "from": {"email": f"{who}@example.org"}, "text": text})
    expect(answer.status, 200, answer.text)
    return answer.json["id"]


def text_of(request):
    return request.json["data"]["message"]["content"]["text"]


def texts(desk, **more):
    return [text_of(request) for request in desk.matching(lambda request: True)]


def state_of(daemon, subscription):
    answer = daemon.get(f"/v1/subscriptions/{subscription}")
    expect(answer.status, 200, answer.text)
    return answer.json


def deliveries(daemon, subscription, query=""):
    answer = daemon.get(f"/v1/subscriptions/{subscription}/deliveries{query}")
    expect(answer.status, 200, answer.text)
    return answer.json


@test
def a_subscription_gets_what_it_asked_for_signed_and_from_its_beginning_on(folder):
    with Recorder() as shop, Recorder() as desk, Recorder() as other, Daemon(folder, channels=hook(shop)) as daemon:
        say(daemon, 1, "too early")
        subscribe(daemon, desk)
        subscribe(daemon, other, "message.status", filter={"channel": "hook", "topic": "orders"})
        received = say(daemon, 2, "hello")
        sent = [daemon.send(topic, topic=topic) for topic in ("orders", "support")]
        for message_id in sent:
            daemon.wait_status(message_id, "sent")
        event = desk.wait_for()[0]
        expect((event.method, event.webhook_id, event.verified(SECRET)), ("POST", event.json["id"], True))
        expect((event.json["type"], event.json["data"]["message"]["id"]), ("message.received", received))
        data = event.json["data"]
        expect(data["message"]["content"]["text"], "hello")
        expect_true(data["customer"]["id"].startswith("cus_") and data["conversation"]["id"].startswith("cnv_"), "who and where")
        expect_true("too early" in str(data["recent"]), "what was said before is in recent")
        status = other.wait_for(lambda request: request.json["data"]["message"]["status"] == "sent")[0]
        expect(status.json["data"]["message"]["id"], sent[0])
        say(daemon, 3, "more")
        desk.wait_for(count=2)
        expect(texts(desk), ["hello", "more"])
        expect({request.json["data"]["message"]["topic"] for request in other.matching(lambda request: True)}, {"orders"})


@test
def a_refused_push_comes_again_with_the_same_id_and_the_customers_later_events_wait_behind_it(folder):
    with Recorder() as shop, Recorder() as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscription = subscribe(daemon, desk)
        desk.answer = lambda request: Reply(500) if text_of(request) == "ana 1" and len(attempts_at(desk, "ana 1")) < 2 else Reply()
        say(daemon, 1, "ana 1", "ana")
        desk.wait_for()
        say(daemon, 2, "ana 2", "ana")
        say(daemon, 3, "eva 1", "eva")
        say(daemon, 4, "ana 3", "ana")
        desk.wait_for(lambda request: text_of(request) == "eva 1")
        wait_until(lambda: deliveries(daemon, subscription)["waiting"] >= 1, "what waits is told")
        desk.wait_for(count=5)
        expect([text for text in texts(desk) if text.startswith("ana")], ["ana 1", "ana 1", "ana 2", "ana 3"])
        first, second = attempts_at(desk, "ana 1")
        expect((first.webhook_id, first.json["type"], first.json["data"]["message"]),
               (second.webhook_id, second.json["type"], second.json["data"]["message"]), "the same event")
        expect_true(first.verified() and second.verified(), "each is signed anew")
        expect_true(second.at - first.at > 1, "after a pause")
        wait_until(lambda: deliveries(daemon, subscription)["waiting"] == 0, "nothing waits")
        expect(len(desk.requests), 5)


def attempts_at(desk, text):
    return desk.matching(lambda request: text_of(request) == text)


@test
def retry_after_is_honoured_and_a_redirect_is_a_failure(folder):
    with Recorder() as shop, Recorder() as desk, Recorder() as bait, Daemon(folder, channels=hook(shop)) as daemon:
        subscribe(daemon, desk)
        desk.then(Reply(503, headers={"Retry-After": "8"}))
        say(daemon, 1, "busy")
        first, second = desk.wait_for(count=2)
        expect_true(second.at - first.at > 7, f"it waited {second.at - first.at:.1f} s of 8")
        desk.then(Reply(302, headers={"Location": bait.url}))
        say(daemon, 2, "moved")
        desk.wait_for(lambda request: text_of(request) == "moved", 2)
        expect(bait.requests, [])


@test
def one_hung_endpoint_does_not_hold_the_others(folder):
    with Recorder() as shop, Recorder(answer=Reply(hang=True)) as hung, Recorder() as desk:
        with Daemon(folder, channels=hook(shop)) as daemon:
            subscribe(daemon, hung)
            subscribe(daemon, desk)
            for number in range(100):
                began = time.monotonic()
                say(daemon, number, f"number {number}", f"customer-{number}")
                desk.wait_for(lambda request, text=f"number {number}": text_of(request) == text, timeout_s=10)
                expect_true(time.monotonic() - began < 5, "it goes on at its pace")
            expect_true(len(hung.requests) > 0, "the hung one was tried")
            expect_true(len(hung.requests) <= 64, f"and not without end: {len(hung.requests)}")


@test
def a_410_ends_a_subscription_until_it_is_enabled_again(folder):
    with Recorder() as shop, Recorder() as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscription = subscribe(daemon, desk)
        desk.then(Reply(410))
        say(daemon, 1, "gone")
        wait_until(lambda: state_of(daemon, subscription)["disabled"], "it is disabled")
        say(daemon, 2, "while away")
        daemon.restart()
        expect(state_of(daemon, subscription)["disabled"], True, "a restart doesn't forget it")
        expect(len(desk.requests), 1)
        expect(daemon.patch(f"/v1/subscriptions/{subscription}", {"disabled": False}).status, 200)
        desk.wait_for(count=3)
        expect(texts(desk), ["gone", "gone", "while away"], "nothing was lost")


@test
def both_secrets_sign_while_one_replaces_the_other(folder):
    with Recorder() as shop, Recorder() as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscription = subscribe(daemon, desk)
        say(daemon, 1, "before")
        expect(len(desk.wait_for()[0].headers["webhook-signature"].split(" ")), 1)
        rotated = daemon.post(f"/v1/subscriptions/{subscription}/rotate", {"secret": NEW_SECRET})
        expect((rotated.status, rotated.json["secret"]), (200, NEW_SECRET))
        for number in (2, 3):
            say(daemon, number, "during")
            request = desk.wait_for(count=number)[number - 1]
            expect(len(request.headers["webhook-signature"].split(" ")), 2)
            expect((webhook_verified(SECRET, request.headers, request.body),
                    webhook_verified(NEW_SECRET, request.headers, request.body)), (True, True))
            if number == 2:
                daemon.restart()
        made = daemon.post(f"/v1/subscriptions/{subscription}/rotate", {}).json
        expect_true(made["secret"].startswith("whsec_") and made["secret"] != NEW_SECRET, "one is made where none is given")
        shown = daemon.get(f"/v1/subscriptions/{subscription}").text
        expect_true(NEW_SECRET not in shown and made["secret"] not in shown, "it is shown once")


@test
def a_test_push_tells_what_the_endpoint_said(folder):
    with Recorder() as shop, Recorder() as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscription = subscribe(daemon, desk)
        good = daemon.post(f"/v1/subscriptions/{subscription}/test").json
        expect((good["ok"], good["status"]), (True, 200))
        expect_true(desk.wait_for()[0].verified(), "it is signed")
        desk.then(Reply(418))
        bad = daemon.post(f"/v1/subscriptions/{subscription}/test").json
        expect((bad["ok"], bad["status"]), (False, 418))
        desk.stop()
        nobody = daemon.post(f"/v1/subscriptions/{subscription}/test").json
        expect((nobody["ok"], nobody["status"]), (False, 0))
        expect(daemon.post("/v1/subscriptions/sub_0000000000001/test").status, 404)


@test
def what_is_given_up_after_days_is_kept_and_can_be_replayed(folder):
    ahead = wall_clock(f"+{DAYS_UNTIL_DEAD + 1}d")
    with Recorder() as shop, Recorder(answer=Reply(500)) as desk:
        daemon = Daemon(folder, channels=hook(shop))
        with daemon:
            subscription = subscribe(daemon, desk)
            say(daemon, 1, "ana 1", "ana")
            say(daemon, 2, "ana 2", "ana")
            desk.wait_for()
            wait_until(lambda: deliveries(daemon, subscription)["items"], "it waits")
            daemon.kill()
            daemon.wrap = ahead
            daemon.start()
            wait_until(lambda: deliveries(daemon, subscription, "?dead=true")["dead"] == 2, "both are given up", 60)
            dead = deliveries(daemon, subscription, "?dead=true")["items"]
            expect([(item["dead"], item["last_error"][:8]) for item in dead], [(True, "http_500")] * 2)
            tried = len(desk.requests)
            desk.answer = Reply()
            post_later(daemon, "eva-1")
            desk.wait_for(lambda request: "eva-1" in request.text)
            expect(len(desk.requests), tried + 1, "the dead are not tried by themselves")
            one = daemon.post(f"/v1/subscriptions/{subscription}/replay", {"events": [dead[0]["event"]]})
            expect((one.status, one.json["queued"]), (202, 1))
            desk.wait_for(count=tried + 2)
            wait_until(lambda: deliveries(daemon, subscription, "?dead=true")["dead"] == 1, "one is dead still")
            rest = daemon.post(f"/v1/subscriptions/{subscription}/replay", {})
            expect(rest.status, 202)
            desk.wait_for(count=tried + 3)
            replayed = desk.requests[tried + 1:]
            expect([request.webhook_id for request in replayed], [item["event"] for item in dead])
            expect([text_of(request) for request in replayed], ["ana 1", "ana 2"])
            expect_true(all(webhook_verified(SECRET, request.headers, request.body, 30 * 86400) for request in replayed), "signed")
            wait_until(lambda: deliveries(daemon, subscription, "?dead=true")["dead"] == 0, "none is dead any more")


def post_later(daemon, text):
    """As say(), by the daemon's own clock."""
    body = json.dumps({"id": text, "from": {"email": "eva@example.org"}, "text": text}).encode()
    then = int(time.time()) + (DAYS_UNTIL_DEAD + 1) * 86400
    answer = daemon.post("/in/hook", body, headers=webhook_headers(SECRET, text, body, then))
    expect(answer.status, 200, answer.text)


@test
def a_range_of_the_log_can_be_pushed_again(folder):
    with Recorder() as shop, Recorder() as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscription = subscribe(daemon, desk)
        for number in range(4):
            say(daemon, number, f"number {number}")
        events = [request.webhook_id for request in desk.wait_for(count=4)]
        answer = daemon.post(f"/v1/subscriptions/{subscription}/replay", {"after": events[0], "upto": events[2]})
        expect((answer.status, answer.json["queued"]), (202, 2))
        desk.wait_for(count=6)
        expect([request.webhook_id for request in desk.requests[4:]], events[1:3])


def refuses_some_once():
    """An endpoint's answers: each event is refused once at most, however late and close together they come."""
    refused = set()

    def answer(request):
        text = text_of(request)
        if int(text.removeprefix("number ")) % REFUSED_EACH != 3 or text in refused:
            return Reply()
        refused.add(text)
        return Reply(500)

    return answer


@test
def kill_9_loses_nothing_and_keeps_each_customers_order(folder):
    with Recorder() as shop, Recorder(refuses_some_once()) as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscribe(daemon, desk)
        said = {f"customer-{who}": [] for who in range(CUSTOMERS)}
        for number in range(150):
            who = f"customer-{number % CUSTOMERS}"
            said[who].append(f"number {number}")
            say(daemon, number, said[who][-1], who)
            if number % 50 == 30:
                daemon.restart()
        everything = {text for words in said.values() for text in words}
        wait_until(lambda: everything == set(texts(desk)), "everything arrived", 60)
        for who, words in said.items():
            firsts = []
            for text in texts(desk):
                if text in words and text not in firsts:
                    firsts.append(text)
            expect(firsts, words, f"the order of {who}")
        ids = {}
        for request in desk.matching(lambda request: True):
            ids.setdefault(text_of(request), set()).add(request.webhook_id)
        expect([text for text, names in ids.items() if len(names) > 1], [], "what came twice came under the same id")


@test
def what_the_configuration_subscribes_is_pushed_and_read_only(folder):
    with Recorder() as shop, Recorder() as desk:
        def change(config):
            config["subscriptions"] = {"desk": desk.subscription("message.received")}

        with Daemon(folder, channels=hook(shop), config=change) as daemon:
            item = daemon.get("/v1/subscriptions").json["items"][0]
            expect((item["name"], item["configured"]), ("desk", True))
            for answer in (daemon.delete(f"/v1/subscriptions/{item['id']}"),
                           daemon.patch(f"/v1/subscriptions/{item['id']}", {"disabled": True}),
                           daemon.post(f"/v1/subscriptions/{item['id']}/rotate", {})):
                expect((answer.status, answer.json["code"]), (409, "configured"))
            say(daemon, 1, "hello")
            desk.wait_for()
            daemon.restart()
            say(daemon, 2, "again")
            desk.wait_for(lambda request: text_of(request) == "again")
            expect({request.webhook_id for request in desk.requests if text_of(request) == "hello"},
                   {desk.requests[0].webhook_id}, "its place is kept over a restart")


@test
def a_removed_subscription_gets_nothing_more_and_a_key_needs_the_scope(folder):
    with Recorder() as shop, Recorder() as desk, Daemon(folder, channels=hook(shop)) as daemon:
        subscription = subscribe(daemon, desk)
        other = subscribe(daemon, desk)
        expect(daemon.delete(f"/v1/subscriptions/{subscription}").status, 204)
        say(daemon, 1, "hello")
        desk.wait_for()
        expect(daemon.delete(f"/v1/subscriptions/{other}").status, 204)
        say(daemon, 2, "nobody hears this")
        key = daemon.post("/v1/keys", {"name": "reader", "scopes": ["events:read"]}).json["secret"]
        stranger = Client(daemon.port, key=key)
        expect(stranger.get("/v1/subscriptions").status, 403)
        stranger.close()
        daemon.restart()
        expect(daemon.get("/v1/subscriptions").json["items"], [])
        expect(texts(desk), ["hello"])
        expect_true(SECRET not in daemon.log() and KEY not in daemon.log(), "no secret is in the log")


run()
