#!/usr/bin/python3
# label: spine
"""parley doctor: a channel that refuses its check is a failure and exit code 1, one whose plugin has none is a note."""

import os
import subprocess

from parley_test import (BIN_DIR, KEY, ON_POSTGRES, PLUGIN_DIR, Daemon, base_config, expect, expect_true, free_port, parley, run, skip,
                         test, yaml)

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


def on_database(folder, url):
    """Of a configuration on this database, without a daemon: what config check, parleyd --check and doctor say."""
    config = base_config(free_port(), {"inbox": SINK}, folder=folder)
    config["store"] = {"driver": "postgres", "url": {"env": "DOCTOR_DATABASE_URL"}}
    path = os.path.join(folder, "database.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml(config))
    env = dict(os.environ, DOCTOR_DATABASE_URL=url, PARLEY_KEY=KEY)
    commands = (["parley", "-c", path, "config", "check"], ["parleyd", "-c", path, "--check"], ["parley", "-c", path, "doctor"])
    return [subprocess.run([os.path.join(BIN_DIR, words[0]), *words[1:]], env=env, capture_output=True, text=True, timeout=60)
            for words in commands]


@test
def a_database_that_cannot_be_reached_is_a_failure_that_says_why(folder):
    ports = free_port(), free_port()
    check, daemon_check, doctor = on_database(folder, "postgresql://shop:hunter2@127.0.0.1:{},127.0.0.1:{}/shop".format(*ports))
    expect((check.returncode, daemon_check.returncode), (0, 0), "it can be written so")
    expect((doctor.returncode, verdicts(doctor)["database"]), (1, "fail"))
    for port in ports:
        expect_true(f"port {port} failed: Connection refused: is the server running" in doctor.stdout, doctor.stdout)
    expect_true("hunter2" not in doctor.stdout, doctor.stdout)


@test
def an_address_that_is_none_is_found_by_every_check(folder):
    for done in on_database(folder, "postgresql://shop:hunter2@[::1/shop"):
        said = done.stdout + done.stderr
        expect_true(done.returncode != 0 and "no PostgreSQL connection URI" in said and "hunter2" not in said, done)


@test
def a_database_that_answers_is_said(folder):
    if not ON_POSTGRES:
        skip("there is none")
    with Daemon(folder, channels={"inbox": SINK}) as daemon:
        expect(verdicts(parley(daemon, "-c", os.path.join(folder, "parley.yaml"), "doctor"))["database"], "ok")


run()
