#!/usr/bin/env python3
"""A channel in 35 lines: texts through a gateway that speaks HTTP (a phone with a SIM, say), and customers' answers back in. The
exec plugin runs it, and its README explains each line that is said; SMS_GATEWAY and POLL_S come from its option `env`."""
import json, os, sys, threading, time, urllib.error, urllib.request

stored = set()


def say(kind, **members):
    sys.stdout.write(json.dumps({"type": kind, **members}) + "\n")
    sys.stdout.flush()


def gateway(method, path, body=None):
    request = urllib.request.Request(os.environ["SMS_GATEWAY"] + path, json.dumps(body).encode() if body else None, method=method)
    return json.load(urllib.request.urlopen(request, timeout=20))


def send(token, message):
    try:  # the gateway sends once what comes twice under one key
        sent = gateway("POST", "/messages", {"to": message["to"]["phone"], "text": message["text"], "key": message["id"]})
        say("settle", token=token, outcome="accepted", id=sent["id"])
    except urllib.error.HTTPError as error:  # it said no: for now, or for good
        say("settle", token=token, outcome="retry" if error.code in (429, 502, 503) else "rejected", code=str(error.code))
    except Exception as error:  # no answer: only if nobody was there has nothing left
        say("settle", token=token, outcome="retry" if "refused" in str(error) else "unknown", detail=str(error))


def take_answers():
    while True:
        try:
            for answer in gateway("GET", "/answers"):  # what is stored is deleted there; what is not comes again
                if answer["id"] in stored:
                    gateway("DELETE", "/answers/" + answer["id"])
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
