#!/usr/bin/env python3
"""A channel in 30 lines: text messages through a gateway that speaks HTTP (such as a phone with a SIM), and customers' answers
back in. It is run by the exec plugin, whose README has the lines; SMS_GATEWAY comes from its option `env`."""
import json, os, sys, threading, time, urllib.error, urllib.request

stored, lock = set(), threading.Lock()


def say(kind, **members):
    with lock:
        print(json.dumps({"type": kind, **members}), flush=True)


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["SMS_GATEWAY"] + path, data, {"Content-Type": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(request, timeout=20))


def send(token, message):
    try:  # the gateway sends once what comes twice under one key
        answer = call("POST", "/messages", {"to": message["to"]["phone"], "text": message["text"], "key": message["id"]})
        say("settle", token=token, outcome="accepted", ids=[answer["id"]])
    except urllib.error.HTTPError as error:  # it said no: for now, or for good
        say("settle", token=token, outcome="retry" if error.code in (429, 502, 503) else "rejected", code=str(error.code))
    except Exception as error:  # did it leave? not if nobody was there
        refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
        say("settle", token=token, outcome="retry" if refused else "unknown", detail=str(error))


def take_answers():
    while True:
        try:
            for answer in call("GET", "/answers"):  # one that is stored is forgotten there; one that is not comes again
                if answer["id"] in stored:
                    call("DELETE", "/answers/" + answer["id"])
                else:
                    say("inbound", id=answer["id"], text=answer["text"], **{"from": {"phone": answer["from"]}})
        except Exception as error:
            print("no answers:", error, file=sys.stderr)
        time.sleep(float(os.environ.get("POLL_S", "2")))


say("ready")
threading.Thread(target=take_answers, daemon=True).start()
for line in map(json.loads, sys.stdin):
    if line["type"] == "send":
        send(line["token"], line["message"])
    elif line["type"] == "probe":
        say("settle", token=line["token"], outcome="accepted")
    elif line["type"] == "done" and line["status"] in ("ok", "invalid", "rejected"):
        stored.add(line["id"])
