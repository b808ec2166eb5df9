#!/usr/bin/python3
# label: spine
"""parley doctor: a channel that refuses its check is a failure and exit code 1, one whose plugin has none is a note."""

import os

from parley_test import PLUGIN_DIR, Daemon, expect, expect_true, free_port, parley, run, test

SINK = {"plugin": "sink"}


def verdicts(doctor):
    """What it said of each thing: {"mail": "fail", ...}."""
    lines = [line.split(None, 2) for line in doctor.stdout.splitlines()]
    return {words[1]: words[0] for words in lines if len(words) > 1}


def mail_at(port):
    return {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{port}", "from": "Shop <orders@shop.example>"}}


@test
def all_well_is_exit_code_0(folder):
    with Daemon(folder, channels={"inbox": SINK}) as daemon:
        doctor = parley(daemon, "doctor")
        expect((doctor.returncode, doctor.stderr), (0, ""))
        expect(verdicts(doctor)["inbox"], "ok")


@test
def a_refused_check_is_a_failure(folder):
    with Daemon(folder, channels={"inbox": SINK, "mail": mail_at(free_port())}) as daemon:
        doctor = parley(daemon, "doctor")
        expect((doctor.returncode, verdicts(doctor)["inbox"], verdicts(doctor)["mail"]), (1, "ok", "fail"))
        expect_true("1 failed" in doctor.stdout, doctor.stdout)


@test
def a_plugin_without_a_check_is_a_note(folder):
    def another_folder(config):
        config["plugins"]["dirs"].append(os.path.join(os.path.dirname(PLUGIN_DIR), "fault", "threaded"))

    with Daemon(folder, channels={"inbox": SINK, "threads": {"plugin": "threaded"}}, config=another_folder) as daemon:
        doctor = parley(daemon, "doctor")
        expect((doctor.returncode, doctor.stderr), (0, ""))
        expect([line.split(None, 2)[0] for line in doctor.stdout.splitlines() if " threads " in line], ["ok", "note"])
        expect_true("runs in a process of its own: no_new_privs" in doctor.stdout, doctor.stdout)


@test
def a_paused_channel_is_a_warning_that_names_the_way_back(folder):
    with Daemon(folder, channels={"inbox": SINK}) as daemon:
        expect(daemon.post("/v1/channels/inbox/pause").status, 200)
        doctor = parley(daemon, "doctor")
        expect(doctor.returncode, 0)
        expect_true("parley channel resume inbox" in doctor.stdout, doctor.stdout)


@test
def a_key_that_may_not_look_is_a_failure(folder):
    with Daemon(folder, channels={"inbox": SINK}) as daemon:
        made = daemon.post("/v1/keys", {"name": "shop", "scopes": ["messages:send"]})
        doctor = parley(daemon, "doctor", key=made.json["secret"])
        expect(doctor.returncode, 1)
        expect(verdicts(doctor)["channels"], "fail")


run()
