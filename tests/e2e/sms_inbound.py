#!/usr/bin/python3
# label: sms
# timeout: 300
"""What comes in by SMS, through a real daemon: texts in pieces, STOP, START and HELP with their one answer, wordings for a person to
judge. The gateway is tests/support/exec_puppet.py: what it brings in is told to it by messages to a channel of its own."""

import json
import os
import sqlite3
import time

from parley_test import Daemon, Failure, Recorder, TOP, expect, expect_true, parley, run, test, wait_until

PUPPET = ["/usr/bin/python3", os.path.join(TOP, "tests/support/exec_puppet.py")]
# Texts to phones are settled, and kept in a file; a message to the address "puppet" is Python and is run.
GATEWAY = """
def act(line):
    token, message = line.get("token"), line.get("message", {})
    if line["type"] == "done":
        with open("done", "a") as file:
            file.write(json.dumps(line) + "\\n")
    elif line["type"] == "send" and line["message"]["to"]["phone"].endswith("000"):
        exec(message["text"], globals())
        say("settle", token=token, outcome="accepted")
    elif line["type"] == "send":
        with open("sent", "a") as file:
            file.write(json.dumps({"to": line["message"]["to"]["phone"], "text": message["text"]}) + "\\n")
        say("settle", token=token, outcome="accepted", id="p-" + token)
say("ready")
"""
PUPPET_NUMBER = "+34600000000"
ANA, BEA = "+34600111222", "+34600333444"


def config(desk=None, **keywords):
    def change(conf):
        conf["topics"]["codes"] = {"class": "critical"}
        conf["topics"]["news"] = {"class": "marketing"}
        conf["topics"]["support"] = {"class": "conversation"}
        if desk:
            conf["subscriptions"] = {"desk": desk.subscription("message.*", "consent.*")}
        conf.update({name: value for name, value in keywords.items() if value is not None})
    return change


def gateway(**options):
    return {"plugin": "exec", "isolation": "inline",
            "options": {"command": PUPPET + [GATEWAY], "address_kind": "phone", "channel_kind": "sms", **options}}


def made(folder, desk=None, **keywords):
    return Daemon(folder, channels={"sms": gateway()}, config=config(desk, **keywords))


def lines(folder, name):
    path = os.path.join(folder, name)
    return [json.loads(line) for line in open(path, encoding="utf-8")] if os.path.exists(path) else []


def bring(daemon, *said):
    """What the gateway says, as lines of the protocol; returns when it has been answered."""
    before = len(lines(daemon.folder, "done"))
    python = "\n".join(f"say('inbound', **{members!r})" for members in said)
    daemon.send(python, to={"phone": PUPPET_NUMBER}, channels=["sms"], topic="codes")
    wait_until(lambda: len(lines(daemon.folder, "done")) >= before + len(said), f"done comes for {said}")
    return lines(daemon.folder, "done")[before:]


counter = iter(range(1, 1_000_000))


def text(words, who=ANA, **more):
    return {"id": f"m-{next(counter)}", "from": {"phone": who}, "text": words, **more}


def piece(words, index, total, key="k", who=ANA, wait=3600, **more):
    return text(words, who, segment={"index": index, "total": total, "key": key, "wait": wait}, **more)


def sent_to(folder, who):
    return [line["text"] for line in lines(folder, "sent") if line["to"] == who]


def query_of(who):
    return "phone:" + who.replace("+", "%2B")


def inbound(daemon, who=ANA):
    """Their messages to us, oldest first."""
    found = daemon.get(f"/v1/customers?identity={query_of(who)}").json["items"]
    if not found:
        return []
    page = daemon.get(f"/v1/customers/{found[0]['id']}/timeline?limit=200&order=oldest").json
    return [daemon.message_state(entry["message"]["id"]) for entry in page["items"]
            if "message" in entry and entry["message"]["direction"] == "in"]


# --- pieces ---

@test
def pieces_in_any_order_are_one_message_and_one_event(folder):
    with Recorder() as desk, made(folder, desk) as daemon:
        done = bring(daemon, piece("three", 3, 3), piece("one ", 1, 3), piece("b-one ", 1, 2, who=BEA), piece("two ", 2, 3),
                     piece("b-two", 2, 2, who=BEA))
        expect([line["status"] for line in done], ["ok"] * 5)
        [message] = inbound(daemon)
        expect((message["content"]["text"], message["segments"]), ("one two three", {"total": 3}))
        expect_true("partial" not in message, message)
        expect([message["content"]["text"] for message in inbound(daemon, BEA)], ["b-one b-two"])
        wait_until(lambda: len([r for r in desk.requests if r.json["type"] == "message.received"]) == 2, "two events")


@test
def what_is_missing_when_its_time_is_over_is_marked(folder):
    with Recorder() as desk, made(folder, desk) as daemon:
        bring(daemon, piece("one ", 1, 3, wait=1), piece(" three", 3, 3, wait=1))
        wait_until(lambda: inbound(daemon), "what is there is delivered")
        [message] = inbound(daemon)
        expect(message["content"]["text"], "one […] three")
        expect((message["partial"], message["segments"]), (True, {"total": 3, "missing": [2], "why": "timed_out"}))
        wait_until(lambda: [r for r in desk.requests if r.json["data"]["facts"].get("partial")], "the feed says so")
        [told] = [r.json["data"]["message"] for r in desk.requests if r.json["type"] == "message.received"]
        expect(told["partial"], True)
        bring(daemon, piece("two", 2, 3))
        late = inbound(daemon)[-1]
        expect((late["content"]["text"], late["segments"]), ("two", {"part": 2, "total": 3, "why": "late"}))
        expect(daemon.metric("parley_inbound_partial_total"), 2.0)


@test
def pieces_that_make_no_sense_are_messages_of_their_own(folder):
    with made(folder) as daemon:
        bring(daemon, piece("a", 0, 0), piece("b", 3, 2), piece("c", 1, 256), piece("d", 1, 1))
        shown = [(m["content"]["text"], m.get("partial"), m.get("segments", {}).get("why")) for m in inbound(daemon)]
        expect(shown, [("a", True, "invalid"), ("b", True, "invalid"), ("c", True, "invalid"), ("d", None, None)])


@test
def the_wait_is_as_configured_where_the_channel_does_not_say(folder):
    with made(folder, inbound={"join_wait": "1s", "join_wait_max": "2s"}) as daemon:
        begun = time.monotonic()
        bring(daemon, piece("one", 1, 2, wait=0), piece("long", 1, 2, key="other", wait=3600))
        wait_until(lambda: len(inbound(daemon)) == 2, "both are over within the limit")
        expect_true(time.monotonic() - begun < 30, "an hour was not waited for")


@test
def a_kill_between_pieces_loses_nothing(folder):
    with made(folder) as daemon:
        bring(daemon, piece("two", 2, 2, id="p2"), piece("half ", 1, 2, key="other", wait=1))
        daemon.restart()
        bring(daemon, piece("two", 2, 2, id="p2"), piece("one ", 1, 2, id="p1"))
        wait_until(lambda: len(inbound(daemon)) == 2, "the other one's time is over as well")
        expect(sorted(message["content"]["text"] for message in inbound(daemon)), ["half […]", "one two"])
        daemon.restart()
        expect(len(inbound(daemon)), 2)
        expect(daemon.metric("parley_messages_add_up"), 1.0)


# --- keywords ---

@test
def stop_takes_effect_at_once_and_start_takes_it_back(folder):
    with made(folder) as daemon:
        daemon.wait_status(daemon.send("your order", to={"phone": ANA}, channels=["sms"]), "sent")
        bring(daemon, text(" Stop! "))
        wait_until(lambda: len(sent_to(folder, ANA)) == 2, "it is confirmed")
        expect_true(sent_to(folder, ANA)[-1].startswith("You will get no more messages"), sent_to(folder, ANA))
        for topic in ("orders", "codes", "news", "support"):
            message = daemon.message_state(daemon.send("more", to={"phone": ANA}, channels=["sms"], topic=topic))
            expect((message["status"], message["reason"]), ("suppressed", "opted_out"), topic)
        explained = daemon.post("/v1/explain", daemon.message("x", to={"phone": ANA}, channels=["sms"])).json
        expect((explained["verdict"], explained["reason"]), ("suppressed", "opted_out"))
        expect([rule["verdict"] for rule in explained["rules"]], ["found", "opted_out"])
        daemon.wait_status(daemon.send("to somebody else", to={"phone": BEA}, channels=["sms"]), "sent")
        bring(daemon, text("STOP"), text("unsubscribe"))
        [said] = [m for m in inbound(daemon) if m["content"]["text"] == " Stop! "]
        expect((said["keyword"], said["conversation"]), ("stop", None))
        [consent] = daemon.get(f"/v1/customers/{said['customer']}/consents").json["items"]
        expect((consent["topic"], consent["channel_kind"], consent["granted"], consent["source"]), ("*", "sms", False, "sms_stop"))
        expect(json.loads(consent["proof"]), {"message": said["id"], "channel": "sms", "address": f"phone:{ANA}", "text": " Stop! "})
        expect(daemon.get(f"/v1/suppressions?identity={query_of(ANA)}").json["items"][0]["channel_kind"], "sms")
        bring(daemon, text("start"))
        wait_until(lambda: len(sent_to(folder, ANA)) == 3, "that is confirmed, and no STOP twice")
        daemon.wait_status(daemon.send("again", to={"phone": ANA}, channels=["sms"]), "sent")
        expect(daemon.message_state(daemon.send("news", to={"phone": ANA}, channels=["sms"], topic="news"))["reason"], "no_consent")


@test
def what_waits_for_its_channel_is_not_sent_after_a_stop(folder):
    with made(folder) as daemon:
        bring(daemon, text("hello"))
        later = daemon.send("later", to={"phone": ANA}, channels=["sms"],
                            send_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3)))
        bring(daemon, text("STOP"))
        expect(daemon.wait_status(later, "suppressed")["reason"], "opted_out")
        expect([words for words in sent_to(folder, ANA) if words == "later"], [])


@test
def an_agents_answer_does_not_go_either(folder):
    with made(folder) as daemon:
        bring(daemon, text("Where is it?"))
        talk = inbound(daemon)[0]["conversation"]
        bring(daemon, text("STOP"))
        reply = daemon.post(f"/v1/conversations/{talk}/replies", {"content": {"text": "on its way"}})
        expect(daemon.message_state(reply.json["id"])["reason"], "opted_out")


@test
def help_is_answered_once_in_a_while_and_words_are_as_configured(folder):
    keywords = {"stop": ["baja"], "help_every": "1h", "texts": {"es": {"help": "Llame al 900 100 200."}}}
    with made(folder, keywords=keywords, defaults={"locale": "es"}) as daemon:
        bring(daemon, text("HELP"))
        bring(daemon, text("info"))
        bring(daemon, text("¡Baja!"))
        wait_until(lambda: len(sent_to(folder, ANA)) == 2, "two answers")
        expect(sent_to(folder, ANA), ["Llame al 900 100 200.",
                                      "Ya no le enviaremos mensajes a este teléfono. Responda START para recibirlos de nuevo."])


@test
def a_provider_that_answers_itself_is_left_to_it_and_robots_get_nothing(folder):
    with made(folder, keywords={"channels": {"sms": {"answer": False}}}) as daemon:
        bring(daemon, text("STOP"))
        expect(daemon.message_state(daemon.send("x", to={"phone": ANA}, channels=["sms"]))["reason"], "opted_out")
    with made(folder) as daemon:
        bring(daemon, text("STOP", BEA, automatic=True), text("HELP", BEA, automatic=True))
        expect(daemon.message_state(daemon.send("x", to={"phone": BEA}, channels=["sms"]))["reason"], "opted_out")
        expect(daemon.get("/v1/messages?topic=keywords").json["items"], [])


@test
def another_wording_is_shown_to_people_and_changes_nothing(folder):
    with Recorder() as desk, made(folder, desk) as daemon:
        bring(daemon, text("please stop texting me"), text("stop by tomorrow?"))
        asked, plain = inbound(daemon)
        expect((asked.get("review"), plain.get("review")), ("opt_out", None))
        wait_until(lambda: [r for r in desk.requests if r.json["type"] == "consent.review"], "the feed tells of it")
        daemon.wait_status(daemon.send("x", to={"phone": ANA}, channels=["sms"]), "sent")


@test
def an_operator_lifts_it_on_purpose_only(folder):
    with made(folder) as daemon:
        bring(daemon, text("STOP"))
        listed = parley(daemon, "suppression", "list", "--reason", "opted_out")
        expect_true(f"phone:{ANA}" in listed.stdout and "sms" in listed.stdout, listed.stdout + listed.stderr)
        refused = parley(daemon, "suppression", "remove", f"phone:{ANA}")
        expect_true(refused.returncode != 0 and "channel_kind" in refused.stderr, refused.stderr)
        expect(parley(daemon, "suppression", "remove", f"phone:{ANA}", "--channel-kind", "sms").returncode, 0)
        daemon.wait_status(daemon.send("x", to={"phone": ANA}, channels=["sms"]), "sent")


@test
def nobody_else_sends_under_the_topic_of_answers(folder):
    with made(folder) as daemon:
        answer = daemon.post("/v1/messages", daemon.message("x", to={"phone": ANA}, channels=["sms"], topic="keywords"))
        expect((answer.status, answer.json["code"]), (422, "reserved_topic"))
        unknown = daemon.post("/v1/messages", daemon.message("x", to={"phone": ANA}, channels=["sms"], topic="keyword"))
        expect_true("codes" in unknown.text and "keywords" not in unknown.text, "nor is it offered: " + unknown.text)


@test
def a_word_means_one_thing(folder):
    for bad, what in (({"start": ["Quit!"]}, "'Quit!' means something else already"), ({"stop": ["..."]}, "'...' has no letter"),
                      ({"stop": ["baja"], "channels": {"sms": {"help": ["BAJA"]}}}, "'baja' means something else already")):
        daemon = made(folder, keywords=bad)
        daemon.start(ready=False)
        expect(daemon.wait_exit(), os.EX_CONFIG)
        expect_true(what in daemon.log(), daemon.log())
        checked = parley(daemon, "config", "check", daemon.config_path)
        expect((checked.returncode, checked.stderr.count(what)), (1, 1), checked.stderr)


if __name__ == "__main__":
    raise SystemExit(run())
