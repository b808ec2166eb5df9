#!/usr/bin/python3
# label: postgres
# timeout: 300
# stores: sqlite (it makes databases of both kinds by itself)
"""A backup, a life that goes on after it, and the backup in the store's place: nothing goes out that may have gone out already, until
an operator has said what becomes of it. Both drivers, one story."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

from parley_database import URL, Database, command
from parley_test import (BIN_DIR, KEY, SECRET, Daemon, Recorder, Reply, expect, expect_true, parley, post_inbound, run, skip, test,
                         wait_until)

FORCE = ["--force", "replace-the-store"]


class Stand:
    """A daemon with a shop that is sent to, a desk that is pushed to, and the commands of one operator."""

    def __init__(self, folder, database=None):
        self.folder = folder
        self.database = database
        self.shop = Recorder()
        self.desk = Recorder(path="/desk")
        store = database.config if database else {"driver": "sqlite", "path": "parley.db"}

        def change(config):
            config["store"] = store
            config["subscriptions"] = {"desk": self.desk.subscription("message.received", "message.status")}

        env = {URL: database.url} if database else {}
        self.daemon = Daemon(folder, env=env, config=change, channels={"hook": self.shop.channel(), "idle": self.shop.channel()})

    def __enter__(self):
        self.shop.start()
        self.desk.start()
        self.daemon.__enter__()
        return self

    def __exit__(self, *error):
        self.daemon.__exit__(*error)
        self.shop.stop()
        self.desk.stop()

    def command(self, *words, env=None):
        return command("-c", self.daemon.config_path, *words, database=self.database, env=env)

    def arrived(self, message):
        return len(self.shop.matching(lambda request: message in request.text))

    def move_to(self, database):
        """The same configuration, another database."""
        self.database = database
        self.daemon.env = {URL: database.url}


def to(number):
    return {"external": f"shop-{number}", "email": f"c{number}@example.org"}


def live(stand):
    """What a backup finds: sent, on its way, waiting, not due yet, held."""
    daemon = stand.daemon
    known = {"sent": daemon.send("sent", to=to(1), channels=["hook"])}
    daemon.wait_status(known["sent"], "sent")
    expect(daemon.post("/v1/channels/idle/pause").status, 200)
    known["waiting"] = [daemon.send(f"waits {number}", to=to(number), channels=["idle"]) for number in range(2, 6)]
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
    known["later"] = daemon.send("tomorrow", to=to(1), channels=["hook"], send_at=at)
    known["over at"] = time.time() + 1.1
    known["soon over"] = daemon.send("code 1234", to=to(1), channels=["idle"], topic="security", expires_in="1s")
    stand.shop.then(Reply(hang=True))
    known["on its way"] = daemon.send("on its way", to=to(6), channels=["hook"])
    daemon.wait_status(known["on its way"], "sending")
    wait_until(lambda: stand.arrived(known["on its way"]) == 1, "the shop has it in hand")
    return known


def goes_on_after(stand, known):
    """After the backup all that waits goes out, and new things come. None of it is in the backup."""
    daemon = stand.daemon
    expect(daemon.post("/v1/channels/idle/resume").status, 200)
    for message in known["waiting"]:
        daemon.wait_status(message, "sent")
    lost = daemon.send("after the backup", to=to(1), channels=["hook"])
    daemon.wait_status(lost, "sent")
    return lost


def starts_paused(stand, known):
    daemon = stand.daemon
    wait_until(lambda: time.time() > known["over at"], "the code's time is over")
    daemon.start()
    wait_until(lambda: "event=restored_marked" in daemon.log(), "all is marked")
    expect_true("parley store resume" in daemon.get("/readyz").json["paused"], "readyz says so")
    expect(daemon.metric("parley_restored_paused"), 1)
    for channel in daemon.get("/v1/channels").json["items"]:
        expect((channel["paused"], channel["paused_by"]), (True, "restore"), channel["name"])
    doctor = stand.command("doctor")
    expect_true("is paused: a backup was restored" in doctor.stdout, doctor.stdout)
    for message in known["waiting"] + [known["on its way"]]:
        state = daemon.message_state(message)
        expect((state["status"], state["reason"], state["possible_duplicate"]), ("held", "restored", True), message)
    expect((daemon.message_state(known["later"])["status"], daemon.message_state(known["later"])["possible_duplicate"]), ("queued", True))
    expect((daemon.message_state(known["sent"])["status"], daemon.message_state(known["sent"])["possible_duplicate"]), ("sent", False))
    expect(daemon.message_state(known["soon over"])["status"], "expired")
    expect(daemon.metric("parley_messages_add_up"), 1)


def accepts_and_sends_nothing(stand):
    """It takes in, also over a restart, and keeps what it took."""
    daemon = stand.daemon
    pushed, sent = len(stand.desk.requests), len(stand.shop.requests)
    first = daemon.send("while paused", to=to(7), channels=["hook"])
    expect(post_inbound(daemon, "hook", {"type": "message", "id": "in-1", "from": {"email": "c1@example.org"}, "text": "hello"}).status, 200)
    daemon.restart()
    wait_until(lambda: "parley store resume" in daemon.get("/readyz").json.get("paused", ""), "it is paused still")
    expect(daemon.message_state(first)["status"], "queued")
    expect(daemon.message_state(first)["possible_duplicate"], False, "it came after the restore")
    expect(daemon.post("/v1/channels/idle/resume").status, 200)
    expect((len(stand.desk.requests), len(stand.shop.requests)), (pushed, sent), "nothing leaves the house")
    return first


def resumes(stand, known, first):
    daemon = stand.daemon
    before = {message: stand.arrived(message) for message in known["waiting"]}
    done = parley(daemon, "store", "resume")
    expect_true(done.returncode == 0 and done.stdout.startswith("resumed"), done.stderr)
    daemon.wait_status(first, "sent")
    stand.desk.wait_for(lambda request: '"message.received"' in request.text)
    expect({message: stand.arrived(message) for message in known["waiting"]}, before, "what is held stays held")
    expect("not paused" in parley(daemon, "store", "resume").stdout, True)
    one = parley(daemon, "resolve", known["on its way"], "sent")
    expect(one.returncode, 0, one.stderr)
    all_of_them = parley(daemon, "resolve", "held", "resend", "--reason", "restored", "--channel", "idle")
    expect(all_of_them.stdout, f"{len(known['waiting'])} resolved\n", all_of_them.stderr)
    for message in known["waiting"]:
        daemon.wait_status(message, "sent")
        expect((stand.arrived(message), daemon.message_state(message)["possible_duplicate"]), (2, True))
    expect(stand.arrived(known["later"]), 0, "not before its time")
    daemon.restart()
    expect_true("paused" not in daemon.get("/readyz").json, "a word once given stands")
    checked = stand.command("store", "check")
    expect(checked.returncode, 0, checked.stdout + checked.stderr)
    daemon.wait_status(daemon.send("at last", to=to(8), channels=["hook"]), "sent")


@test
def a_restored_file_starts_paused_until_an_operator_says_so(folder):
    backup = os.path.join(folder, "backup.db")
    with Stand(folder) as stand:
        known = live(stand)
        made = stand.command("store", "backup", backup)
        expect(made.returncode, 0, made.stderr)
        expect_true(stand.command("store", "backup", backup).returncode != 0, "never over another file")
        lost = goes_on_after(stand, known)
        busy = stand.command("store", "restore", backup, *FORCE)
        expect_true(busy.returncode == 1 and "used by another parleyd" in busy.stderr, busy.stderr)
        stand.daemon.kill()
        full = stand.command("store", "restore", backup)
        expect_true(full.returncode == 1 and "holds a store already" in full.stderr, full.stderr)
        expect(stand.command("store", "restore", backup, "--force", "yes").returncode, 2)
        done = stand.command("store", "restore", backup, *FORCE)
        expect(done.returncode, 0, done.stderr)
        kept = [name for name in os.listdir(folder) if ".replaced-" in name]
        expect(len(kept), 1, "what stood there is kept")
        with sqlite3.connect(os.path.join(folder, kept[0])) as old:
            expect(old.execute("SELECT count(*) FROM message WHERE id>(SELECT max(id) FROM message)-1").fetchone()[0], 1)
        old.close()
        starts_paused(stand, known)
        expect(stand.daemon.get(f"/v1/messages/{lost}").status, 404)
        resumes(stand, known, accepts_and_sends_nothing(stand))


def broken_off(stand, folder, backup):
    """A tool that does half of it, or dies: no daemon makes an empty store of what is left."""
    path = os.path.join(folder, "bin", "pg_restore")
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\n[ "$1" = --version ] && echo "pg_restore (PostgreSQL) 99" && exit 0\nexit 1\n')
    os.chmod(path, 0o755)
    failed = stand.command("store", "restore", backup, env={"PATH": os.path.dirname(path) + ":/usr/bin:/bin"})
    expect_true(failed.returncode == 1 and "pg_restore failed" in failed.stderr, failed.stderr)
    stand.daemon.start(ready=False)
    expect(stand.daemon.wait_exit(), 69)
    expect_true("was broken off: run parley store restore again" in stand.daemon.log(), stand.daemon.log_end())


@test
def a_restored_database_starts_paused_until_an_operator_says_so(folder):
    backup = os.path.join(folder, "backup.dump")
    with Database("before") as before, Database("after") as after, Stand(folder, before) as stand:
        known = live(stand)
        by_api = stand.daemon.post("/v1/store/backup", {"path": os.path.join(folder, "api.dump")})
        expect((by_api.status, by_api.json["code"]), (409, "not_by_daemon"))
        made = stand.command("--json", "store", "backup", backup)
        expect(made.returncode, 0, made.stderr)
        expect(json.loads(made.stdout)["bytes"], os.path.getsize(backup))
        again = stand.command("store", "backup", backup)
        expect_true(again.returncode == 1 and "name a new file" in again.stderr, again.stderr)
        goes_on_after(stand, known)
        full = stand.command("store", "restore", backup)
        expect_true(full.returncode == 1 and "in use by a parleyd" in full.stderr, full.stderr)
        stand.daemon.kill()
        full = stand.command("store", "restore", backup)
        expect_true(full.returncode == 1 and "is not empty" in full.stderr, full.stderr)
        stand.move_to(after)
        broken_off(stand, folder, backup)
        done = stand.command("store", "restore", backup)
        expect(done.returncode, 0, done.stderr)
        starts_paused(stand, known)
        resumes(stand, known, accepts_and_sends_nothing(stand))


@test
def files_that_are_no_backup_are_refused_and_change_nothing(folder):
    store = os.path.join(folder, "parley.db")
    with Stand(folder) as stand:
        stand.daemon.wait_status(stand.daemon.send("one", channels=["hook"]), "sent")
        good = os.path.join(folder, "good.db")
        expect(stand.command("store", "backup", good).returncode, 0)
        stand.daemon.stop()
        with open(store, "rb") as file:
            before = file.read()
        damaged, other, walled, text = (os.path.join(folder, name) for name in ("damaged.db", "other.db", "walled.db", "text.db"))
        shutil.copy(good, damaged)
        with open(damaged, "r+b") as file:
            file.seek(4096 * 3)
            file.write(b"\xa5" * 4096 * 4)
        with sqlite3.connect(other) as db:
            db.execute("CREATE TABLE t(a)")
        db.close()
        shutil.copy(good, walled)
        open(walled + "-wal", "wb").close()
        with open(text, "w", encoding="utf-8") as file:
            file.write("hello\n" * 1000)
        for file, says in ((damaged, "damaged"), (other, "no backup of a Parley store"), (walled, "copied from under a daemon"),
                           (text, "no backup of a Parley store"), (store, "is the store itself"), (good + ".none", "No such file")):
            refused = stand.command("store", "restore", file, *FORCE)
            expect_true(refused.returncode == 1 and says in refused.stderr, (file, refused.stderr))
        with open(store, "rb") as file:
            expect(file.read() == before, True, "the store is as it was")
        expect([name for name in os.listdir(folder) if "restoring" in name or "replaced" in name], [], "what is left")
        stand.daemon.start()


@test
def a_restore_that_is_killed_leaves_a_store_at_every_moment(folder):
    store, backup = os.path.join(folder, "parley.db"), os.path.join(folder, "backup.db")
    with Stand(folder) as stand:
        stand.daemon.wait_status(stand.daemon.send("one", channels=["hook"]), "sent")
        stand.daemon.post("/v1/media?name=a", os.urandom(20 << 20), headers={"Content-Type": "application/octet-stream"})
        expect(stand.command("store", "backup", backup).returncode, 0)
        stand.daemon.kill()
        pause_s, kills = 0.005, 0
        while True:
            child = subprocess.Popen([os.path.join(BIN_DIR, "parley"), "-c", stand.daemon.config_path, "store", "restore", backup, *FORCE],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                     env=dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET))
            try:
                child.wait(timeout=pause_s)
                break
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()
                kills += 1
                pause_s *= 1.4
            with sqlite3.connect(store) as db:
                expect(db.execute("SELECT count(*) FROM message").fetchone()[0], 1, f"after {kills} kills")
                expect(db.execute("PRAGMA quick_check").fetchone()[0], "ok")
            db.close()
        expect((kills >= 2, child.returncode), (True, 0), child.stderr.read())
        expect(os.path.exists(store + ".restoring"), False)
        stand.daemon.start()
        expect_true("paused" in stand.daemon.get("/readyz").json, "it is the restored one")
        stand.daemon.kill()


@test
def who_restored_by_other_means_says_so_at_the_start(folder):
    with Stand(folder) as stand:
        daemon = stand.daemon
        expect(daemon.post("/v1/channels/idle/pause").status, 200)
        waits = daemon.send("waits", to=to(1), channels=["idle"])
        daemon.stop()
        daemon.wrap = ["/bin/sh", "-c", 'exec "$0" "$@" --restored']
        daemon.start()
        daemon.wait_status(waits, "held")
        daemon.kill()
        daemon.wrap = []
        daemon.start()
        expect_true("paused" in daemon.get("/readyz").json, "until somebody says that it may go on")
        early = daemon.post("/v1/store/resume")
        expect_true(early.status in (200, 409), early)
        wait_until(lambda: daemon.post("/v1/store/resume").status == 200, "it may")
        expect(daemon.message_state(waits)["status"], "held")
        expect(daemon.metric("parley_restored_paused"), 0)


TOOL = """#!/bin/sh
if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) {version}"; exit 0; fi
echo "$@" > {folder}/seen
env > {folder}/environment
echo half a dump
exit {code}
"""


@test
def the_tool_of_the_database_is_there_and_new_enough_and_sees_no_password_in_its_words(folder):
    def tool(version, code):
        path = os.path.join(folder, "bin", "pg_dump")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(TOOL.format(version=version, code=code, folder=folder))
        os.chmod(path, 0o755)

    backup = os.path.join(folder, "backup.dump")
    with Database("tool") as database, Stand(folder, database) as stand:
        if "://" in database.url:
            skip("the server is given by a URI")
        stand.database.url = database.url + " password=nobody-sees-this"
        path = os.path.join(folder, "bin")
        os.makedirs(path, exist_ok=True)
        for version, says in ((None, "is not there"), ("9.6.1", "is of version 9")):
            if version:
                tool(version, 0)
            refused = stand.command("store", "backup", backup, env={"PATH": f"{path}:/nowhere"})
            expect_true(refused.returncode == 1 and says in refused.stderr, refused.stderr)
            expect(os.path.exists(backup), False)
        tool("99.1", 1)
        broken = stand.command("store", "backup", backup, env={"PATH": f"{path}:/usr/bin:/bin"})
        expect_true(broken.returncode == 1 and "taken away again" in broken.stderr, broken.stderr)
        expect(os.path.exists(backup), False, "half a backup")
        with open(os.path.join(folder, "seen"), encoding="utf-8") as file:
            expect_true("nobody-sees-this" not in file.read(), "its words")
        with open(os.path.join(folder, "environment"), encoding="utf-8") as file:
            expect_true("PGPASSWORD=nobody-sees-this\n" in file.read(), "its environment")


run()
