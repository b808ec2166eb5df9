#!/usr/bin/python3
# label: sms postgres
# timeout: 120
"""What an SMS is before and after it is sent: alphabet, segments and cost in explanations, an id and a state for each part, the same from
a channel in a process of its own, and by test keys."""

import json

from parley_test import Daemon, expect, expect_true, parley, run, test

PRICES = [{"prefix": "+34", "price": "0.075", "currency": "EUR"}, {"price": "0.10", "currency": "EUR"}]
ANA, IAN = {"phone": "+34600111222"}, {"phone": "+447700900123"}
CURLY = "\u201cIt\u2019s here\u201d \u2013 \u20ac12\u2026"


def sms(isolation="inline", **options):
    return {"plugin": "sink", "isolation": isolation, "options": {"address_kind": "phone", **options}}


def step_of(daemon, content, to=None, channels=("sms",)):
    answer = daemon.post("/v1/explain", {"to": to or ANA, "topic": "orders", "content": content, "channels": list(channels)})
    expect(answer.status, 200, answer)
    return answer.json["plan"][0]


def told(step):
    return {key: step[key] for key in ("alphabet", "segments", "degraded", "cost", "refused") if key in step}


def explains(folder, isolation):
    channels = {"sms": sms(isolation, prices=PRICES), "plain": sms(isolation, simplify=True), "box": {"plugin": "sink"}}
    with Daemon(folder, channels=channels) as daemon:
        expect(told(step_of(daemon, {"text": "a" * 307})),
               {"alphabet": "gsm7", "segments": 3, "degraded": ["text_split"],
                "cost": {"amount": "0.225", "currency": "EUR", "per_segment": "0.075", "prefix": "+34"}})
        expect(told(step_of(daemon, {"text": CURLY}, to=IAN)),
               {"alphabet": "ucs2", "segments": 1, "degraded": [],
                "cost": {"amount": "0.10", "currency": "EUR", "per_segment": "0.10", "prefix": ""}})
        expect(told(step_of(daemon, {"text": CURLY}, channels=["plain"])),
               {"alphabet": "gsm7", "segments": 1, "degraded": ["text_simplified"]})
        expect(told(step_of(daemon, {"text": CURLY + "\u017e"}, channels=["plain"])), {"alphabet": "ucs2", "segments": 1, "degraded": []})
        expect(told(step_of(daemon, {"text": "a" * 100000})), {"refused": "text_too_long"})
        expect(told(step_of(daemon, {"text": "T", "channels": {"sms": {"text": "b" * 161}}}))["segments"], 2, "its own words")
        expect(told(step_of(daemon, {"text": "a" * 307}, to={"email": "ana@example.org"}, channels=["box"])), {}, "a mail has none")


@test
def an_explanation_says_segments_and_cost(folder):
    explains(folder, "inline")


@test
def of_a_channel_in_a_process_of_its_own_too(folder):
    explains(folder, "process")


@test
def a_template_is_counted_as_it_is_rendered(folder):
    with Daemon(folder, channels={"sms": sms()}) as daemon:
        made = daemon.put("/v1/templates/ready", {"locales": {"en": {"text": "Order {{number}} is ready. {{note}}"}}})
        expect_true(made.status in (200, 201), made)
        answer = daemon.post("/v1/explain", {"to": ANA, "topic": "orders", "template": "ready", "channels": ["sms"],
                                             "data": {"number": "1042", "note": "x" * 200}})
        expect(told(answer.json["plan"][0])["segments"], 2, answer)


@test
def links_that_are_put_in_count(folder):
    def tracked(config):
        config["topics"]["orders"]["track"] = {"clicks": True}

    text = "Your order: https://shop.example/1 " + "a" * 100
    with Daemon(folder, channels={"sms": sms()}, config=tracked) as daemon:
        explained = step_of(daemon, {"text": text})
        message = daemon.send(text, to=ANA, channels=["sms"])
        daemon.wait_status(message, "sent")
        parts = daemon.message_state(message)["deliveries"][0].get("parts", [0])
        expect((explained["segments"], len(parts)), (2, 2), "a link of ours is longer")


@test
def each_part_has_its_id_and_its_state(folder):
    with Daemon(folder, channels={"sms": sms(prices=PRICES, receipts=["delivered"])}) as daemon:
        message = daemon.send("a" * 307, to=ANA, channels=["sms"])
        daemon.wait_status(message, "delivered")
        state = daemon.message_state(message)
        delivery = state["deliveries"][0]
        expect(delivery["parts"], [{"provider_id": f"{message}-{number}", "status": "delivered"} for number in (1, 2, 3)])
        expect_true("partial" not in delivery, delivery)
        expect(state["degraded"], ["text_split"])
        expect(told(state["decision"]["plan"][0])["cost"]["amount"], "0.225")
        expect(told(state["plan"][0]), {}, "the plan as it was answered")
        kept = daemon.get("/v1/channels/sms/sink").json["items"][0]
        expect([len(part["text"]) for part in kept["parts"]], [153, 153, 1], kept)
        short = daemon.send("a" * 160, to=ANA, channels=["sms"])
        daemon.wait_status(short, "delivered")
        expect_true("parts" not in daemon.message_state(short)["deliveries"][0], "one SMS has no parts")


@test
def the_command_line_says_it_in_words(folder):
    with Daemon(folder, channels={"sms": sms(prices=PRICES, receipts=["failed"])}) as daemon:
        said = parley(daemon, "explain", "--to", "phone:+34600111222", "--topic", "orders", "--channel", "sms", "--text", "a" * 307).stdout
        expect_true("3 segments of gsm7, EUR 0.225 (0.075 each); text_split" in said, said)
        said = parley(daemon, "explain", "--to", "phone:+34600111222", "--topic", "orders", "--channel", "sms", "--text", "a" * 20000).stdout
        expect_true("cannot be carried: text_too_long" in said, said)
        message = daemon.send("b" * 200, to=ANA, channels=["sms"])
        daemon.wait_status(message, "failed")
        said = parley(daemon, "status", message).stdout
        expect_true(f"part 2  failed  {message}-2" in said and "2 segments of gsm7" in said, said)


@test
def by_a_test_key_the_parts_show_as_well(folder):
    def keyed(config):
        config["server"]["keys"].append({"name": "trial", "secret": {"env": "PARLEY_TRIAL"}, "scopes": ["admin"], "mode": "test"})

    with Daemon(folder, channels={"sms": sms(fail={"share": 100, "outcome": "rejected"})}, config=keyed,
                env={"PARLEY_TRIAL": "trial-key-0123456789abcdef0123456789abcdef"}) as daemon:
        words = ["--to", "phone:+34600111222", "--topic", "orders", "--channel", "sms", "--text", "\u017e" * 100, "--json"]
        sent = parley(daemon, "send", *words, key="trial-key-0123456789abcdef0123456789abcdef")
        message = json.loads(sent.stdout)["id"]
        daemon.wait_status(message, "sent")
        parts = daemon.message_state(message)["deliveries"][0]["parts"]
        expect([part["status"] for part in parts], ["sent", "sent"])


if __name__ == "__main__":
    run()
