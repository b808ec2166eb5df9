#!/usr/bin/python3
# label: sms
# timeout: 240
# stores: sqlite postgres
"""parleyd is killed again and again while texts come in piece by piece: what was acknowledged is there afterwards, whole and once, however
often its gateway says it again; a STOP holds, and is confirmed once."""

import json
import os
import random
import time

from parley_test import Daemon, expect, run, test, wait_until

TEXTS, PARTS, KILLS, PEOPLE = 80, 3, 10, 4
# Says what is not acknowledged yet, in an order of its own, a few pieces at a time; from the beginning of that each time it is started.
GATEWAY = f"""
import json, os, random, sys
pieces = []
for number in range({TEXTS}):
    who = "+3460011100" + str(number % {PEOPLE})
    for part in random.Random(number).sample(range(1, {PARTS} + 1), {PARTS}):
        pieces.append({{"type": "inbound", "id": f"{{number}}.{{part}}", "from": {{"phone": who}}, "text": f"{{number}}.{{part}} ",
                       "segment": {{"index": part, "total": {PARTS}, "key": str(number % 256), "wait": 3600}}}})
for who in range({PEOPLE}):
    pieces.append({{"type": "inbound", "id": f"stop.{{who}}", "from": {{"phone": "+3460022200" + str(who)}}, "text": "STOP"}})
random.Random(7).shuffle(pieces)
done = {{json.loads(line)["id"] for line in open("done")}} if os.path.exists("done") else set()
waiting = [piece for piece in pieces if piece["id"] not in done]
def say(line):
    print(json.dumps(line), flush=True)
say({{"type": "ready"}})
for piece in waiting[:4]:
    say(piece)
rest = waiting[4:]
for line in sys.stdin:
    line = json.loads(line)
    if line["type"] == "send":
        say({{"type": "settle", "token": line["token"], "outcome": "accepted", "id": line["message"]["id"]}})
    elif line["type"] == "done" and line["status"] == "ok":
        with open("done", "a") as file:
            file.write(json.dumps({{"id": line["id"]}}) + "\\n")
        if rest:
            say(rest.pop(0))
    elif line["type"] == "done":
        rest.append(next(piece for piece in pieces if piece["id"] == line["id"]))
        say(rest.pop(0))
"""


def acknowledged(folder):
    path = os.path.join(folder, "done")
    return {json.loads(line)["id"] for line in open(path, encoding="utf-8")} if os.path.exists(path) else set()


def customer(daemon, phone):
    return daemon.get(f"/v1/customers?identity=phone:%2B{phone}").json["items"][0]["id"]


def texts(daemon, phone):
    page = daemon.get(f"/v1/customers/{customer(daemon, phone)}/timeline?limit=200").json
    return [entry["message"] for entry in page["items"] if "message" in entry and entry["message"]["direction"] == "in"]


@test
def texts_in_pieces_are_whole_and_once_after_every_kill(folder):
    channel = {"plugin": "exec", "isolation": "inline",
               "options": {"command": ["/usr/bin/python3", "-c", GATEWAY], "address_kind": "phone", "channel_kind": "sms"}}
    with Daemon(folder, channels={"sms": channel}) as daemon:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.1, 0.5))
            daemon.kill()
            daemon.start()
        wait_until(lambda: len(acknowledged(folder)) == TEXTS * PARTS + PEOPLE, "all is acknowledged", 60)
        for person in range(PEOPLE):
            found = texts(daemon, f"3460011100{person}")
            wanted = ["".join(f"{number}.{part} " for part in range(1, PARTS + 1)) for number in range(person, TEXTS, PEOPLE)]
            expect(sorted(message["content"]["text"] for message in found), sorted(wanted))
            expect([message["id"] for message in found if "partial" in message], [])
        for person in range(PEOPLE):
            phone = f"3460022200{person}"
            answers = daemon.get(f"/v1/messages?to=phone:%2B{phone}&topic=keywords").json["items"]
            expect(len(answers), 1, "one confirmation")
            stopped = daemon.message_state(daemon.send("x", to={"phone": "+" + phone}, channels=["sms"]))
            expect((stopped["status"], stopped["reason"]), ("suppressed", "opted_out"))
        expect(daemon.metric("parley_messages_add_up"), 1.0)


if __name__ == "__main__":
    raise SystemExit(run())
