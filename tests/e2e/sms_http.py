#!/usr/bin/python3
# label: sms
# timeout: 300
# build: debug asan
"""SMS by HTTP with a real daemon, Twilio's way: messages out in order and once, receipts early, late, twice and out of order, messages
and pictures in, what the provider refuses, and what strangers post."""

import concurrent.futures
import json
import os
import subprocess

from parley_sms import ACCOUNT, FROM, PHONE, TOKEN, Twilio, basic, form
from parley_test import BIN_DIR, KEY, Daemon, Recorder, Reply, expect, expect_true, parley, run, test, wait_until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


def both(function):
    """A test that is run with the plugin in the daemon, and again with it in a process of its own."""
    for isolation in ("inline", "process"):
        def one(folder, isolation=isolation):
            function(folder, isolation)

        one.__name__ = f"{function.__name__}_{isolation}"
        test(one)
    return function


def daemon_of(folder, twilio, desk=None, isolation="inline", **options):
    def config(conf):
        if desk is not None:
            conf["subscriptions"] = {"desk": desk.subscription("message.received")}

    return Daemon(folder, channels={"sms": twilio.channel(isolation, **options)}, config=config, env=Twilio.env)


def send(daemon, text, **more):
    return daemon.send(text, to=more.pop("to", PHONE), **more)


def received(daemon):
    return daemon.get("/v1/messages?direction=in").json["items"]


@both
def a_message_goes_out_and_receipts_in_any_order_say_what_became_of_it(folder, isolation):
    with Twilio() as twilio, daemon_of(folder, twilio, isolation=isolation) as daemon:
        message = send(daemon, "Your order is on its way, Señora.")
        daemon.wait_status(message, "sent")
        sent = twilio.sent()[0]
        expect((sent["To"], sent["From"], sent["Body"]), (PHONE["phone"], FROM, "Your order is on its way, Señora."))
        expect(sent["StatusCallback"], f"http://127.0.0.1:{daemon.port}/in/sms/receipts")
        request = twilio.recorder.requests[0]
        expect((request.method, request.path), ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"))
        expect(request.headers["authorization"], basic(ACCOUNT, TOKEN))
        for status in ("delivered", "queued", "sent", "delivered", "sending"):
            answer = twilio.status(daemon, request.sid, status)
            expect((answer.status, answer.headers["content-type"]), (200, "text/xml"), status)
            expect_true(b"<Response>" in answer.body, status)
        daemon.wait_status(message, "delivered")


@test
def a_receipt_that_is_earlier_than_the_answer_is_not_lost(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        twilio.before_answer = lambda sid: expect(twilio.status(daemon, sid, "delivered").status, 200)
        daemon.wait_status(send(daemon, "quick"), "delivered")


@test
def an_undelivered_message_fails_and_an_unknown_number_is_not_sent_to_again(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        first = send(daemon, "one")
        daemon.wait_status(first, "sent")
        twilio.status(daemon, twilio.recorder.requests[0].sid, "undelivered", ErrorCode="30005")
        daemon.wait_status(first, "failed")
        expect_true("30005" in daemon.get("/v1/events?types=message.status").text, "the event has the provider's code")
        again = daemon.wait_status(send(daemon, "two"), "suppressed", "failed")
        expect((again["status"], again["reason"]), ("suppressed", "address_suppressed"))


@both
def a_message_comes_in_once_though_it_is_posted_five_times_at_once(folder, isolation):
    with Twilio() as twilio, Recorder() as desk, daemon_of(folder, twilio, desk, isolation) as daemon:
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda _: twilio.inbound(daemon, "Where is my order? 🤔", sid="SMx1"), range(5)))
        expect([answer.status for answer in answers], [200] * 5)
        expect(answers[0].headers["content-type"], "text/xml")
        event = desk.wait_for()[0].json["data"]
        expect(event["message"]["content"]["text"], "Where is my order? 🤔")
        expect_true(PHONE["phone"] in json.dumps(event["customer"]), json.dumps(event))
        expect(len(received(daemon)), 1)


@test
def stop_is_a_message_like_any_other_for_this_plugin(folder):
    with Twilio() as twilio, Recorder() as desk, daemon_of(folder, twilio, desk) as daemon:
        expect(twilio.inbound(daemon, "STOP", OptOutType="STOP").status, 200)
        expect(desk.wait_for()[0].json["data"]["message"]["content"]["text"], "STOP")


@test
def what_is_not_signed_by_the_provider_is_refused_and_not_stored(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        message = send(daemon, "one")
        daemon.wait_status(message, "sent")
        sid = twilio.recorder.requests[0].sid
        fields = {"MessageSid": "SMbad", "From": PHONE["phone"], "To": FROM, "Body": "pay here"}
        expect(twilio.call(daemon, fields, token="another").status, 401)
        expect(daemon.post("/in/sms", b"MessageSid=SMbad&From=%2B34600111222&Body=x").status, 401)
        expect(twilio.call(daemon, {"MessageSid": sid, "MessageStatus": "delivered"}, "/in/sms/receipts", token="another").status, 401)
        expect(twilio.call(daemon, fields, path="/in/sms?x=1").status, 200)  # the query is signed, too
        expect(daemon.put("/in/sms", b"x").status, 405)
        expect(daemon.message_state(message)["status"], "sent")
        expect(len(received(daemon)), 1)
        expect(daemon.metric("parley_plugin_sms_callbacks_refused", '{channel="sms",why="mismatch"}'), 2.0)
        expect(daemon.metric("parley_plugin_sms_callbacks_refused", '{channel="sms",why="missing"}'), 1.0)


@test
def an_event_that_nobody_knows_is_answered_and_counted(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        expect(twilio.status(daemon, "SM1", "teleported").status, 200)
        expect(twilio.call(daemon, {"EventType": "onConversationAdded"}).status, 200)
        expect(twilio.inbound(daemon, "hi", From="whatsapp:+34600111222").status, 200)
        expect(daemon.metric("parley_plugin_sms_callbacks_unknown", '{channel="sms"}'), 3.0)
        expect(received(daemon), [])


@both
def a_picture_that_comes_in_is_fetched_with_our_login_and_kept(folder, isolation):
    with Twilio() as twilio, Recorder() as store, daemon_of(folder, twilio, isolation=isolation) as daemon:
        store.answer = Reply(body=PNG, headers={"Content-Type": "image/png"})
        twilio.recorder.then(Reply(status=307, body=b"", headers={"Location": store.url}))
        answer = twilio.inbound(daemon, "look", NumMedia="1", MediaUrl0=f"{twilio.recorder.url}/2010-04-01/media/ME1", MediaContentType0="image/png")
        expect(answer.status, 200)
        asked = twilio.recorder.requests[0]
        expect((asked.method, asked.headers.get("authorization")), ("GET", basic(ACCOUNT, TOKEN)))
        expect(store.requests[0].headers.get("authorization"), None, "where it was redirected to sees no login")
        media = received(daemon)[0]["content"]["media"][0]
        expect(media["type"], "image/png")
        link = daemon.get(f"/v1/media/{media['id']}").json["url"]
        expect(daemon.get(link.removeprefix(f"http://127.0.0.1:{daemon.port}")).body, PNG)


@test
def a_picture_that_cannot_be_fetched_leaves_its_link(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        twilio.recorder.then(Reply(status=404, body=b"gone"))
        url = f"{twilio.recorder.url}/2010-04-01/media/ME2"
        expect(twilio.inbound(daemon, "look", NumMedia="1", MediaUrl0=url, MediaContentType0="image/png").status, 200)
        kept = received(daemon)[0]["content"]
        expect((kept["text"], kept["media"][0]["url"]), ("look", url))
        expect(daemon.metric("parley_plugin_sms_media_missing", '{channel="sms"}'), 1.0)


@test
def a_picture_goes_out_as_mms_or_as_a_link(folder):
    with Twilio() as twilio:
        channels = {"sms": twilio.channel(mms=True), "plain": twilio.channel()}
        with Daemon(folder, channels=channels, env=Twilio.env) as daemon:
            media = daemon.post("/v1/media", PNG, headers={"Content-Type": "image/png"}).json["id"]
            for channel in ("sms", "plain"):
                content = {"text": "Here it is", "media": [{"id": media, "type": "image/png"}]}
                answer = daemon.post("/v1/messages", {"to": PHONE, "topic": "orders", "content": content, "channels": [channel]})
                daemon.wait_status(answer.json["id"], "sent")
            native, plain = twilio.sent(2)
            expect(native["Body"], "Here it is")
            path = native["MediaUrl"].removeprefix(f"http://127.0.0.1:{daemon.port}")
            expect(daemon.get(path).body, PNG)
            expect_true("MediaUrl" not in plain and "http://127.0.0.1" in plain["Body"], str(plain))


@test
def a_text_longer_than_the_provider_takes_goes_as_several_in_order(folder):
    text = " ".join(f"word{n}" for n in range(500))
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        message = send(daemon, text)
        daemon.wait_status(message, "sent")
        bodies = [sent["Body"] for sent in twilio.sent()]
        expect_true(len(bodies) > 2 and max(map(len, bodies)) <= 1600, str([len(body) for body in bodies]))
        expect("".join(bodies), text)
        sids = [request.sid for request in twilio.recorder.requests]
        for sid in reversed(sids[1:]):
            twilio.status(daemon, sid, "delivered")
        expect(daemon.message_state(message)["status"], "sent")
        twilio.status(daemon, sids[0], "delivered")
        daemon.wait_status(message, "delivered")


@test
def an_attempt_that_stops_between_two_pieces_sends_the_rest_only(folder):
    text = " ".join(f"word{n}" for n in range(400))
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        twilio.recorder.then(Reply(status=201, body={"sid": "SMfirst"}), Reply(status=503, body=b"", headers={"Retry-After": "1"}))
        daemon.wait_status(send(daemon, text), "sent")
        bodies = [form(request.body)["Body"] for request in twilio.recorder.requests]
        expect(bodies[1], bodies[2], "the piece that was refused comes again, the first does not")
        expect(bodies[0] + "".join(bodies[2:]), text)


@test
def what_the_provider_refuses_ends_or_waits_as_its_code_says(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        twilio.recorder.then(Reply(status=400, body={"code": 21617, "message": "The message body exceeds the limit"}))
        failed = daemon.wait_status(send(daemon, "one"), "failed")
        expect_true("21617" in json.dumps(failed), str(failed["attempts"]))
        twilio.recorder.then(Reply(status=429, body={"code": 20429}, headers={"Retry-After": "1"}))
        waited = daemon.wait_status(send(daemon, "two"), "sent")
        expect_true(len(waited["attempts"]) <= 2, "being throttled costs no attempt")
        twilio.recorder.then(Reply(status=400, body={"code": 21610, "message": "Attempt to send to unsubscribed recipient"}))
        daemon.wait_status(send(daemon, "three"), "failed")
        expect(daemon.wait_status(send(daemon, "four"), "suppressed")["reason"], "address_suppressed")


@test
def wrong_credentials_stop_the_channel_and_the_check_says_why(folder):
    refused = Reply(status=401, body={"code": 20003, "message": "Authenticate"})
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        twilio.recorder.answer = refused
        message = send(daemon, "one")

        def channel():
            return daemon.get("/v1/channels").json["items"][0]

        wait_until(lambda: channel()["state"] != "up", lambda: f"the channel is down: {channel()}")
        check = parley(daemon, "channel", "check", "sms")
        expect_true(check.returncode != 0 and "credentials" in check.stdout + check.stderr, check.stdout + check.stderr)
        twilio.recorder.answer = twilio.reply
        check = parley(daemon, "channel", "check", "sms")
        expect(check.returncode, 0, check.stdout + check.stderr)
        daemon.wait_status(message, "sent")


@test
def senders_by_prefix_and_the_way_to_no_sender(folder):
    with Twilio() as twilio:
        channel = twilio.channel(senders={"34": "Shop", "346": "+34611000111"})
        del channel["options"]["from"]
        with Daemon(folder, channels={"sms": channel}, env=Twilio.env) as daemon:
            daemon.wait_status(send(daemon, "one"), "sent")
            daemon.wait_status(send(daemon, "two", to={"phone": "+34910000000"}), "sent")
            expect([sent["From"] for sent in twilio.sent(2)], ["+34611000111", "Shop"])
            state = daemon.wait_status(send(daemon, "three", to={"phone": "+12025550143"}), "failed")
            expect_true("no_sender" in json.dumps(state), str(state))


@test
def the_configuration_is_checked_to_the_last_pointer(folder):
    with Twilio() as twilio, daemon_of(folder, twilio) as daemon:
        def said(**options):
            daemon.config["channels"]["sms"] = twilio.channel(**options)
            daemon.write_config()
            checked = subprocess.run([os.path.join(BIN_DIR, "parley"), "-c", daemon.config_path, "config", "check"], capture_output=True,
                                     text=True, timeout=60, env=dict(os.environ, PARLEY_KEY=KEY, **Twilio.env))
            return checked.stderr if checked.returncode != 0 else ""

        expect_true("from: '34600111222' is no sender" in said(**{"from": "34600111222"}), "a number without its plus")
        expect_true("messaging_service: it means nothing to provider vonage" in said(provider="vonage", messaging_service="MG1"), "not Twilio")
        gateway = {"send": {"url": "https://gw.example/send", "json": '{"to": "{{too}}", "text": "{{text}}"}'}}
        expect_true("gateway.send.json: {{too}} is unknown; allowed: to, " in said(provider="gateway", gateway=gateway), "a name")
        gateway["send"]["json"] = '{"to": "{{to}}" "text": "{{text}}"}'
        expect_true("gateway.send.json: it is no JSON: line 1" in said(provider="gateway", gateway=gateway), "JSON")
        gateway["send"]["json"] = '{"to": "{{to}}", "text": "{{text}}"}'
        gateway["answer"] = {"id": "id"}
        expect_true("gateway.answer.id: a JSON pointer begins with /" in said(provider="gateway", gateway=gateway), "a pointer")
        gateway["answer"] = {"id": "/id"}
        gateway["receipts"] = {"id": "/id", "status": "/status", "statuses": {"ok": "delivered"}}
        expect_true("gateway.signature: whoever knows the address" in said(provider="gateway", gateway=gateway), "no signature")
        gateway["signature"] = {"kind": "hmac"}
        expect_true("gateway.signature.header: with kind hmac" in said(provider="gateway", gateway=gateway), "no header")
        gateway["signature"]["header"] = "x-signature"
        expect(said(provider="gateway", gateway=gateway), "")
        with open(os.path.join(folder, "gw.yaml"), "w", encoding="utf-8") as file:  # as { file: ... } it is shown where it stands
            file.write('send:\n  url: "https://gw.example"\n  form: { to: "{{to}}", text: "{{text}}" }\nanswer:\n  id: id\n')
        shown = said(provider="gateway", gateway={"file": os.path.join(folder, "gw.yaml")})
        expect_true("gw.yaml:5:7: error: channels.sms.options.gateway.answer.id: a JSON pointer" in shown, shown)


if __name__ == "__main__":
    run()
