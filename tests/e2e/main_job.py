#!/usr/bin/python3
# label: spine
# timeout: 240
"""The main job over real sockets: out by SMTP and webhook, in, the signed feed, the reply, one timeline, idempotency, and
a restart."""

import datetime
import json
import sys

from parley_smtp import Mail
from parley_test import (SECRET, TOP, Daemon, Recorder, Reply, expect, expect_true, parley, post_inbound, run, test,
                         wait_until)

TOMORROW = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def subscribed(desk, *types):
    def change(config):
        config["subscriptions"] = {"desk": desk.subscription(*types)}
    return change


@test
def an_order_confirmation_leaves_by_smtp_once(folder):
    with Mail() as mail, Daemon(folder, channels={"mail": mail.channel()}) as daemon:
        body = daemon.message("Thank you, Ana.", to={"external": "shop-77", "email": "ana@example.org"})
        body["content"]["subject"] = "Order 1042"
        first = daemon.post("/v1/messages", body, idempotency_key="order-1042")
        expect(first.status, 202)
        again = daemon.post("/v1/messages", body, idempotency_key="order-1042")
        expect((again.status, again.text), (first.status, first.text))
        expect(again.headers.get("Idempotency-Replayed"), "true")
        other = daemon.post("/v1/messages", {**body, "key": "x"}, idempotency_key="order-1042")
        expect((other.status, other.json["code"]), (422, "key_reused"))
        received = mail.next()
        expect((received["to"], received["subject"]), (["ana@example.org"], "Order 1042"))
        state = daemon.wait_status(first.json["id"], "sent")
        expect(len(state["attempts"]), 1)
        expect(daemon.metric("parley_messages_add_up"), 1.0)


@test
def a_customers_answer_reaches_support_signed_with_the_order_and_the_reply_goes_back(folder):
    with Mail() as mail, Recorder() as chat, Recorder() as desk:
        with Daemon(folder, channels={"mail": mail.channel(), "chat": chat.channel()},
                    config=subscribed(desk, "message.received")) as daemon:
            sent = daemon.send("Order 1042 is on its way.", to={"email": "ana@example.org"}, channels=["mail"])
            mail.next()
            daemon.wait_status(sent, "sent")
            answer = post_inbound(daemon, "chat", {"id": "c1", "from": {"email": "ana@example.org"}, "text": "Where is it?"})
            expect((answer.status, answer.json["duplicate"]), (200, False))
            twice = post_inbound(daemon, "chat", {"id": "c1", "from": {"email": "ana@example.org"}, "text": "Where is it?"})
            expect((twice.json["id"], twice.json["duplicate"]), (answer.json["id"], True))
            event = desk.wait_for()[0]
            expect_true(event.verified(SECRET), "the feed is signed")
            data = event.json["data"]
            expect(event.webhook_id, event.json["id"])
            expect(data["message"]["id"], answer.json["id"])
            expect_true(sent in [entry["message"]["id"] for entry in data["recent"] if "message" in entry], "the order is in recent")
            reply = daemon.post(f"/v1/conversations/{data['conversation']['id']}/replies", {"content": {"text": "Today."}})
            expect(reply.status, 202)
            out = chat.wait_for(lambda request: "Today." in request.text)[0]
            expect_true(out.verified(SECRET), "the reply is signed")
            expect(out.webhook_id, reply.json["id"])
            timeline = daemon.get(f"/v1/customers/{data['customer']['id']}/timeline").json["items"]
            expect(len([entry for entry in timeline if entry["type"].startswith("message")]), 3)
            expect(len(desk.matching(lambda request: True)), 1, "a repeated inbound id makes no second event")


@test
def a_queued_message_goes_on_after_kill_9_and_restart(folder):
    with Recorder(answer=Reply(status=503)) as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        sent = daemon.send("survive", channels=["hook"])
        shop.wait_for()
        wait_until(lambda: daemon.message_state(sent)["status"] == "queued", "the refused attempt is stored")
        daemon.kill()
        shop.answer = Reply(status=200)
        daemon.start()
        shop.wait_for(count=2)
        state = daemon.wait_status(sent, "sent")
        expect(state["possible_duplicate"], False, "a definite refusal is no possible duplicate")


@test
def a_test_key_lets_nothing_out_and_shows_what_would_have_gone(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        made = daemon.post("/v1/keys", {"name": "try", "scopes": ["messages:send"], "mode": "test"})
        expect(made.status, 201)
        sent = daemon.post("/v1/messages", daemon.message("only a test"),
                           headers={"Authorization": "Bearer " + made.json["secret"]})
        expect(sent.status, 202)
        state = daemon.wait_status(sent.json["id"], "sent", "delivered")
        expect(state["test"], True)
        box = daemon.get("/v1/channels/hook/sink").json["items"]
        expect([mail["message"] for mail in box], [sent.json["id"]])
        expect(shop.matching(lambda request: True), [])


@test
def a_plan_falls_back_to_its_next_step_on_a_definite_failure(folder):
    with Recorder(answer=Reply(status=400)) as first, Recorder() as second:
        with Daemon(folder, channels={"a": first.channel(), "b": second.channel()}) as daemon:
            sent = daemon.send("fallback", channels=["a", "b"])
            second.wait_for(lambda request: "fallback" in request.text)
            state = daemon.wait_status(sent, "sent")
            expect([delivery["status"] for delivery in state["deliveries"]], ["failed", "sent"])


@test
def a_later_step_is_tried_again_although_the_first_counts_as_sent(folder):
    with Recorder() as first, Recorder(answer=Reply(status=503)) as second:
        def config(conf):
            conf["plans"]["careful"] = [{"channel": "a", "until": "delivered", "within": "1s"}, {"channel": "b"}]

        with Daemon(folder, channels={"a": first.channel(), "b": second.channel()}, config=config) as daemon:
            sent = daemon.send("no receipt comes", plan="careful")
            second.wait_for()
            second.answer = Reply()
            second.wait_for(count=2, timeout_s=10)
            wait_until(lambda: [delivery["status"] for delivery in daemon.message_state(sent)["deliveries"]] == ["sent", "sent"],
                       "both steps went")


@test
def marketing_needs_consent_and_a_suppressed_address_gets_nothing(folder):
    with Mail() as mail, Daemon(folder, channels={"mail": mail.channel()}) as daemon:
        refused = daemon.post("/v1/messages", daemon.message("news", topic="newsletter")).json
        expect((refused["status"], refused["reason"]), ("suppressed", "no_consent"))
        granted = daemon.put(f"/v1/customers/{refused['customer']}/consents/newsletter/email", {"granted": True})
        expect(granted.status, 200)
        daemon.send("news 2", topic="newsletter")
        mail.next()
        expect(daemon.post("/v1/suppressions", {"identity": "email:ana@example.org", "reason": "manual"}).status, 201)
        stopped = daemon.post("/v1/messages", daemon.message("news 3")).json
        expect((stopped["status"], stopped["reason"]), ("suppressed", "address_suppressed"))


@test
def cancel_and_schedule(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        later = daemon.post("/v1/messages", daemon.message("later", send_at=TOMORROW, key="k-1")).json
        expect(daemon.message_state(later["id"])["status"], "queued")
        same = daemon.post("/v1/messages", daemon.message("later", send_at=TOMORROW, key="k-1"))
        expect((same.status, same.json["id"], same.json["duplicate"]), (200, later["id"], True))
        typo = daemon.post("/v1/messages/key:k-1/cancel", {"reson": "none"})
        expect((typo.status, typo.json["code"]), (422, "unknown_field"))
        cancelled = daemon.post("/v1/messages/key:k-1/cancel")
        expect((cancelled.status, cancelled.json["status"]), (200, "cancelled"))
        expect(daemon.post("/v1/messages", daemon.message("later", send_at=TOMORROW, key="k-1")).status, 202)
        expect(daemon.metric("parley_messages_add_up"), 1.0)


@test
def what_was_put_off_goes_at_its_time_though_nothing_else_happens(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        at_text = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
        one = daemon.post("/v1/messages", daemon.message("put off", send_at=at_text))
        expect(one.status, 202, one.text)
        batch = daemon.post("/v1/messages/batch", {"items": [daemon.message("put off too", send_at=at_text)]})
        expect([item["status"] for item in batch.json["items"]], [202])
        arrived = shop.wait_for(lambda request: "put off" in request.text, count=2, timeout_s=6)
        expect_true(min(request.at for request in arrived) >= at.timestamp() - 0.01, "nothing is sent early")
        daemon.wait_status(one.json["id"], "sent")


@test
def the_command_line_sends_looks_and_operates(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        sent = parley(daemon, "send", "--to", "email:ana@example.org", "--topic", "orders", "--text", "Hello")
        expect(sent.returncode, 0, sent.stderr)
        message = sent.stdout.split()[0]
        daemon.wait_status(message, "sent")
        for words in (["status", message], ["customer", "show", "email:ana@example.org"], ["channel", "list"], ["key", "list"],
                      ["customer", "timeline", "email:ana@example.org"], ["inbox", "list"], ["subscription", "list"],
                      ["channel", "pause", "hook"], ["channel", "resume", "hook"], ["explain", "--to", "email:ana@example.org",
                                                                                   "--topic", "orders", "--text", "x"]):
            done = parley(daemon, *words)
            expect(done.returncode, 0, f"parley {' '.join(words)}: {done.stderr}")
        expect(parley(daemon, "status", "msg_0000000000000").returncode, 1)
        expect(parley(daemon, "status", message, key="wrong").returncode, 4)
        expect(parley(daemon, "staus", message).returncode, 2)


@test
def a_reload_takes_all_or_nothing(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        daemon.config["topics"]["fresh"] = {"class": "transactional"}
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: "event=reloaded" in daemon.log(), "the reload")
        expect(daemon.post("/v1/messages", daemon.message("x", topic="fresh")).status, 202)
        with open(daemon.config_path, "a", encoding="utf-8") as file:
            file.write("\nchanels: {}\n")
        daemon.signal(1)
        wait_until(lambda: "event=reload_refused" in daemon.log(), "the refusal")
        expect_true("did you mean 'channels'" in daemon.log(), "the error says what to do")
        expect(daemon.post("/v1/messages", daemon.message("y", topic="fresh")).status, 202)


sys.exit(run())
