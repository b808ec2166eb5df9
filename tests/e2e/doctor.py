#!/usr/bin/python3
# label: spine
"""parley doctor: a channel that refuses its check is a failure and exit code 1, one whose plugin has none is a note; and what DNS
says of the domains that mail is sent from, held against our keys."""

import os
import subprocess

from parley_dns import DnsServer
from parley_mail import Keys
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
def a_key_that_signs_nothing_is_found_by_the_check(folder):
    def said(**options):
        config = base_config(free_port(), {"mail": {"plugin": "email", "options": {"from": "Shop <orders@shop.example>", **options}}},
                             folder=folder)
        path = os.path.join(folder, "keys.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(yaml(config))
        checked = subprocess.run([os.path.join(BIN_DIR, "parley"), "-c", path, "config", "check"], capture_output=True, text=True,
                                 timeout=60, env=dict(os.environ, PARLEY_KEY=KEY))
        return checked.stderr if checked.returncode != 0 else ""

    key = os.path.join(folder, "bad.pem")
    with open(key, "w", encoding="ascii") as file:
        file.write("-----BEGIN PRIVATE KEY-----\nno key\n-----END PRIVATE KEY-----\n")
    os.chmod(key, 0o600)
    expect(said(), "")
    words = said(dkim=[{"domain": "shop.example", "selector": "one", "key": {"file": key}}])
    expect_true("channels.mail.options.dkim: the key of shop.example (selector one)" in words and "keys.yaml:" in words, words)
    expect_true("channels.mail.options.from: must be one address" in said(**{"from": "Shop"}), "what else create() refuses, too")


@test
def a_database_that_answers_is_said(folder):
    if not ON_POSTGRES:
        skip("there is none")
    with Daemon(folder, channels={"inbox": SINK}) as daemon:
        expect(verdicts(parley(daemon, "-c", os.path.join(folder, "parley.yaml"), "doctor"))["database"], "ok")


# --- mail domains ---

def doctored(folder, keys, records, names=("rsa", "ed"), sender="Shop <orders@shop.example>", config=None):
    """What it says of each record: [("ok", "spf", "shop.example: v=spf1 ..."), ...]."""
    channel = {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{free_port()}", "from": sender, "dkim": keys.option(*names)}}

    with DnsServer(records) as dns:
        daemon = Daemon(folder, channels={"mail": channel}, config=config)  # it is never started: doctor needs none for this
        daemon.write_config()
        doctor = subprocess.run([os.path.join(BIN_DIR, "parley"), "-c", daemon.config_path, "doctor", "--dns", dns.address],
                                env=dict(os.environ, PARLEY_KEY=KEY), capture_output=True, text=True)
    lines = [line.split(None, 2) for line in doctor.stdout.splitlines()]
    return [tuple(line) for line in lines if len(line) > 2 and line[1] in ("spf", "dkim", "dmarc")]


def verdict_of(said, what):
    return [verdict for verdict, which, _ in said if which == what]


def words_of(said, verdict):
    return " ".join(words for how, _, words in said if how == verdict)


@test
def records_that_fit_are_fine(folder):
    keys = Keys(folder)
    said = doctored(folder, keys, keys.records())
    expect([verdict for verdict, _, _ in said], ["ok"] * 5, str(said))
    expect_true("rsa._domainkey.shop.example fits our key (rsa, 2048 bits)" in words_of(said, "ok"), said)
    expect_true("mail from shop.example is signed in alignment (adkim=r)" in words_of(said, "ok"), said)


def without(records, *names):
    return {name: value for name, value in records.items() if name not in names}


# (what is asked of, the record instead, what is said of it, a word of that)
WRONG = [
    ("spf", "shop.example", None, "warn", "has no SPF record"),
    ("spf", "shop.example", ["v=spf1 mx -all", "v=spf1 -all"], "fail", "2 SPF records"),
    ("spf", "shop.example", ["v=spf1 +all"], "fail", "lets everybody send"),
    ("spf", "shop.example", ["google-site-verification=x", "v=spf1 -all"], "ok", "v=spf1 -all"),
    ("dkim", "rsa._domainkey.shop.example", None, "fail", 'publish the TXT record "v=DKIM1; k=rsa; p=MII'),
    ("dkim", "rsa._domainkey.shop.example", ["v=DKIM1; k=rsa; p="], "fail", "revoked"),
    ("dkim", "rsa._domainkey.shop.example", ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="], "fail", "k=ed25519"),
    ("dkim", "ed._domainkey.shop.example", ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="], "fail", "another key"),
    ("dmarc", "_dmarc.shop.example", None, "warn", "has no DMARC record"),
    ("dmarc", "_dmarc.shop.example", ["v=DMARC1; rua=mailto:x@y"], "fail", "p= must be"),
    ("dmarc", "_dmarc.shop.example", ["v=DMARC1; p=none", "v=DMARC1; p=none"], "fail", "2 records"),
]


@test
def a_record_that_is_wrong_is_told_with_what_to_publish(folder):
    keys = Keys(folder)
    for what, name, texts, verdict, words in WRONG:
        records = dict(without(keys.records(), name), **({name: {"TXT": texts}} if texts else {}))
        said = doctored(folder, keys, records)
        expect_true(verdict in verdict_of(said, what) and words in words_of(said, verdict), f"{name} {texts}: {said}")
        others = [line for line in said if line[1] != what and line[0] != "ok"]
        expect(others, [], f"{name} {texts}")


@test
def a_key_of_the_domain_above_is_aligned_unless_dmarc_is_strict(folder):
    keys = Keys(folder)
    sender = "News <hello@news.shop.example>"
    records = dict(keys.records(), **{"news.shop.example": {"TXT": ["v=spf1 -all"]}})
    expect(verdict_of(doctored(folder, keys, records, sender=sender), "dmarc"), ["ok", "ok"])
    records["_dmarc.news.shop.example"] = {"TXT": ["v=DMARC1; p=reject; adkim=s"]}
    said = doctored(folder, keys, records, sender=sender)
    expect(verdict_of(said, "dmarc"), ["ok", "fail"])
    expect_true("the very same domain" in words_of(said, "fail"), said)


@test
def a_weak_key_and_a_test_are_warnings(folder):
    keys = Keys(folder, rsa_bits=1024)
    said = doctored(folder, keys, keys.records(), names=("rsa",))
    expect_true("1024 bits; providers ask for 2048" in words_of(said, "warn"), said)
    records = keys.records()
    records["ed._domainkey.shop.example"]["TXT"][0] += "; t=y"
    expect_true("only a test" in words_of(doctored(folder, keys, records, names=("ed",)), "warn"), records)


@test
def a_domain_that_is_not_signed_here_is_a_note(folder):
    keys = Keys(folder)
    records = dict(keys.records(), **{"_dmarc.other.example": {"TXT": ["v=DMARC1; p=none"]}, "other.example": {"TXT": ["v=spf1 -all"]}})
    said = doctored(folder, keys, records, sender="a@other.example")
    expect([(verdict, what) for verdict, what, _ in said], [("ok", "spf"), ("note", "dkim"), ("ok", "dmarc"), ("note", "dmarc")])


@test
def a_name_server_that_fails_is_a_warning(folder):
    keys = Keys(folder)
    records = {name: "SERVFAIL" for name in keys.records()}
    said = doctored(folder, keys, records, names=("ed",))
    expect([(verdict, what) for verdict, what, _ in said], [("warn", "spf"), ("warn", "dkim"), ("warn", "dmarc")])


run()
