#!/usr/bin/python3
"""A program for tests of the exec plugin that does what it is told: the text of each message is Python and is run. Within it
are say(type, ...), settle(outcome, ...), line, message, token, and the standard modules os, sys, time, json. What it hears
stands in `heard`, newest last. usage: exec_puppet.py [PYTHON THAT RUNS INSTEAD OF SAYING READY]"""
import json
import os
import sys
import time

heard = []


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(kind, **members):
    write(json.dumps({"type": kind, **members}) + "\n")


def hear():
    """The next line, None at the end."""
    line = sys.stdin.readline()
    if not line:
        return None
    heard.append(json.loads(line))
    return heard[-1]


def wait_for(kind):
    """Hears until there is such a line."""
    while True:
        line = hear()
        if line is None:
            sys.exit(0)
        if line["type"] == kind:
            return line


def act(line):
    token, message = line.get("token"), line.get("message", {})

    def settle(outcome, **members):
        say("settle", token=token, outcome=outcome, **members)

    if line["type"] == "probe":
        settle("accepted")
    elif line["type"] == "send":
        exec(message["text"], {**globals(), "settle": settle, "message": message, "token": token, "line": line})


def main():
    if len(sys.argv) > 1:
        exec(sys.argv[1], globals())
    else:
        say("ready")
    while (line := hear()) is not None:
        act(line)


main()
