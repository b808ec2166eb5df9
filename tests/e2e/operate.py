#!/usr/bin/python3
# label: border
# timeout: 240
"""What an operator is told, and does: a channel that an outcome took down, a message held for a decision, reloads in the log and what
they bring to processes."""

import json
import re

from parley_test import Daemon, Recorder, Reply, expect, expect_true, parley, run, test, wait_until

LOOKED_AT_AGAIN_S = 60  # deliver looks at a channel that is down so much later by itself


def channel(daemon, name):
    return daemon.get(f"/v1/channels/{name}").json


def refusing(isolation):
    """A sink whose outcomes all say that the whole channel is down, while its check succeeds."""
    return {"plugin": "sink", "isolation": isolation, "options": {"fail": {"share": 100, "outcome": "channel_down"}}}


def taken_down(folder, isolation):
    with Daemon(folder, channels={"box": refusing(isolation)}) as daemon:
        message = daemon.send("hello", channels=["box"])
        wait_until(lambda: channel(daemon, "box")["state"] == "down", "the list says that it is down")
        shown = channel(daemon, "box")
        expect_true("channel_down" in shown["cause"] and "check" in shown["remedy"], shown)
        expect(daemon.metric('parley_channel_up{channel="box"}'), 0)
        doctor = parley(daemon, "doctor")
        expect(doctor.returncode, 1)
        expect_true(re.search(r"fail +box +is down: channel_down", doctor.stdout), doctor.stdout)
        tried = shown["counters"]["channel_down"]
        expect(parley(daemon, "channel", "check", "box").returncode, 0)
        wait_until(lambda: channel(daemon, "box")["counters"]["channel_down"] > tried, "what waited goes at once",
                   LOOKED_AT_AGAIN_S / 2)
        expect(daemon.message_state(message)["status"], "queued")


@test
def a_channel_that_an_outcome_took_down_says_so_until_a_check_succeeds(folder):
    taken_down(folder, "inline")


@test
def so_does_one_in_a_process_of_its_own(folder):
    taken_down(folder, "process")


@test
def a_held_message_is_named_by_doctor_and_resolved_by_command(folder):
    def asks(config):
        config["topics"]["holds"] = {"class": "transactional", "on_unknown": "hold"}

    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}, config=asks) as daemon:
        shop.then(Reply(drop=True))
        message = daemon.send("one", topic="holds")
        daemon.wait_status(message, "held")
        expect_true(message in parley(daemon, "doctor").stdout, "doctor names it")
        wrong = parley(daemon, "resolve", message, "sold")
        expect_true(wrong.returncode != 0 and "discard" in wrong.stderr, wrong)
        expect(parley(daemon, "resolve", message, "sent").returncode, 0)
        daemon.wait_status(message, "sent")
        expect_true(parley(daemon, "resolve", message, "sent").returncode != 0, "once")


@test
def every_reload_is_one_line_of_the_log_in_json_too(folder):
    def in_json(config):
        config["log"] = {"level": "info", "format": "json"}

    with Daemon(folder, channels={"box": {"plugin": "sink"}}, config=in_json) as daemon:
        expect(parley(daemon, "channel", "reload", "box").returncode, 0)
        expect(parley(daemon, "plugin", "reload", "sink").returncode, 0)
        daemon.config["channels"]["box"]["options"] = {"delya": "1s"}
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: "reload_refused" in daemon.log(), "the refusal")
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        told = [(line["event"], line["what"]) for line in lines if line["event"].startswith("reload")]
        expect(told, [("reloaded", "channel:box"), ("reloaded", "plugin:sink"), ("reload_refused", "configuration")])
        expect_true("did you mean 'delay'" in lines[-1]["why"], lines[-1])


def process_words(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode().split("\0")


@test
def new_processes_get_the_limits_of_the_new_configuration(folder):
    with Daemon(folder, channels={"box": {"plugin": "sink", "isolation": "process"}}) as daemon:
        pid = channel(daemon, "box")["process"]["pid"]
        expect_true(str(256 << 20) in process_words(pid), process_words(pid))
        daemon.config["plugins"]["memory"] = "128M"
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: channel(daemon, "box")["process"]["pid"] not in (0, pid), "a new process")
        pid = channel(daemon, "box")["process"]["pid"]
        expect_true(str(128 << 20) in process_words(pid), process_words(pid))


@test
def what_needs_a_restart_is_refused_before_anything_is_made(folder):
    program = {"plugin": "exec", "options": {"command": ["/bin/sh", "-c", "echo was here >&2"], "address_kind": "phone"}}
    with Daemon(folder, channels={"box": {"plugin": "sink", "isolation": "process"}}) as daemon:
        pid = channel(daemon, "box")["process"]["pid"]
        listen = daemon.config["server"]["listen"]
        daemon.config["channels"]["new"] = program
        daemon.config["server"]["listen"] = "127.0.0.1:1"
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: "server.listen changed: that needs a restart" in daemon.log(), "the refusal")
        expect(channel(daemon, "box")["process"]["pid"], pid)
        daemon.config["server"]["listen"] = listen
        daemon.write_config()
        before = daemon.log()
        daemon.signal(1)
        wait_until(lambda: "was here" in daemon.log(), "the new channel's program runs once it may")
        expect_true("was here" not in before, "and not before")


run()
