#!/usr/bin/python3
# label: postgres
# timeout: 240
"""parley store check: a store in use or not is found whole, every kind of damage is named with what to do, and nothing is written."""

import hashlib
import json
import os
import re
import subprocess

from parley_test import BIN_DIR, ON_POSTGRES, Daemon, Recorder, expect, expect_true, parley, post_inbound, run, skip, store_sql, test

DAY_MS = 86400000


def check(daemon, *words):
    return parley(daemon, "-c", os.path.join(daemon.folder, "parley.yaml"), "store", "check", *words)


def found(daemon):
    done = check(daemon)
    expect_true(done.returncode in (0, 1), done)
    return [line for line in done.stdout.splitlines() if line.startswith("fail ")]


def life(daemon):
    """One of each: messages out and in, a conversation, a touchpoint, an idempotent request."""
    sent = daemon.send("hello", to={"email": "ana@example.org"}, channels=["box"])
    daemon.wait_status(sent, "sent")
    came = post_inbound(daemon, "chat", {"id": "c1", "from": {"email": "ana@example.org"}, "text": "Where is it?"}).json["id"]
    daemon.post("/v1/events", {"to": {"email": "ana@example.org"}, "type": "visit"})
    expect(daemon.post("/v1/messages", daemon.message("again", to={"email": "bo@example.org"}), idempotency_key="k1").status, 202)
    return sent, came


def channels(shop):
    return {"box": {"plugin": "sink"}, "chat": shop.channel()}


@test
def a_store_in_use_is_whole_and_one_that_is_not_is_left_as_it_is(folder):
    with Recorder() as shop, Daemon(folder, channels=channels(shop)) as daemon:
        life(daemon)
        done = check(daemon)
        expect((done.returncode, done.stderr), (0, ""))
        expect_true(re.match(r"ok: \d+ checks, 3 messages, \d+ events, schema \d+: 0 findings\n$", done.stdout), done.stdout)
        shown = json.loads(check(daemon, "--json").stdout)
        expect((shown["ok"], shown["messages"], shown["findings"]), (True, 3, []))
        daemon.kill()
        expect(check(daemon).returncode, 0)  # its WAL stays for the next start
        daemon.start()
        daemon.stop()
        before = everything(folder)
        expect(check(daemon).returncode, 0)
        expect(everything(folder), before)


def everything(folder):
    if ON_POSTGRES:
        return None
    return {name: hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest()
            for name in sorted(os.listdir(folder)) if name.startswith("parley.db")}


# Damage, how it is mended, and the finding. {sent}, {came}: numbers of messages. None: for the other driver.
DAMAGE = [
    ("UPDATE counter SET accepted=accepted+1, s0=s0+1", "UPDATE counter SET accepted=accepted-1, s0=s0-1",
     r"counter -: it counts 3 accepted messages, there are 2; what to do: fewer than counted: look for them"),
    ("UPDATE counter SET s2=s2+1", "UPDATE counter SET s2=s2-1", r"counter -: its states add up to 3, accepted were 2"),
    ("UPDATE counter SET s2=s2-1, s5=s5+1", "UPDATE counter SET s2=s2+1, s5=s5-1", r"counter s5 \(failed\): it counts 1 messages in this state, there are 0"),
    ("UPDATE counter SET inbound=9", "UPDATE counter SET inbound=1", r"counter -: it counts 9 inbound messages, there are 1"),
    ("UPDATE delivery SET message=17 WHERE message={sent}", "UPDATE delivery SET message={sent} WHERE message=17",
     r"delivery msg_000000000000H: step 0 of a message that is not there"),
    ("UPDATE delivery SET message=17 WHERE message={sent}", "UPDATE delivery SET message={sent} WHERE message=17",
     r"message {sent_id}: it was to be sent and has no delivery"),
    ("UPDATE attempt SET step=4 WHERE message={sent}", "UPDATE attempt SET step=0 WHERE message={sent}",
     r"attempt {sent_id}: attempt 1 of its step 4, which is not there"),
    ("UPDATE delivery SET state=1, session=session+99 WHERE message={sent}", "UPDATE delivery SET state=3, session=session-99 WHERE message={sent}",
     r"delivery {sent_id}: its step 0 is being sent by session \d+, which has not begun"),
    ("INSERT INTO body VALUES(17, 'x')", "DELETE FROM body", r"body msg_000000000000H: the body of a message"),
    ("UPDATE message SET flags=2 WHERE id={sent}", "UPDATE message SET flags=0 WHERE id={sent}", r"message {sent_id}: its body should stand"),
    ("INSERT INTO raw VALUES(17, 'x')", "DELETE FROM raw WHERE message=17", r"raw msg_000000000000H: the envelope of a message"),
    ("UPDATE customer SET conversation=17 WHERE conversation<>0",
     "UPDATE customer SET conversation=(SELECT id FROM conversation) WHERE conversation<>0", r"customer cus_\w+: its open conversation is not there"),
    ("UPDATE conversation SET state='closed'", "UPDATE conversation SET state='open'", r"customer cus_\w+: its open conversation"),
    ("UPDATE customer SET conversation=0", "UPDATE customer SET conversation=(SELECT id FROM conversation) WHERE id=(SELECT customer FROM"
     " conversation)", r"conversation cnv_\w+: it is open, and its customer does not know it"),
    ("UPDATE identity SET customer=17 WHERE value='bo@example.org'", "UPDATE identity SET customer=(SELECT c.customer FROM customer_identity c"
     " WHERE c.h=identity.h) WHERE customer=17", r"identity idn_\w+: its owner is not there"),
    ("UPDATE customer_identity SET customer=customer+1", "UPDATE customer_identity SET customer=customer-1", r"identity idn_\w+: its owner's list"),
    ("UPDATE customer_identity SET customer=customer+1", "UPDATE customer_identity SET customer=customer-1", r"customer_identity cus_\w+: an identity"),
    ("UPDATE event SET message=17 WHERE message={came}", "UPDATE event SET message={came} WHERE message=17",
     r"event evt_\w+: it is about a message that is not there"),
    ("UPDATE customer SET merged_into=17 WHERE conversation=0", "UPDATE customer SET merged_into=0", r"customer cus_\w+: it is merged"),
    ("INSERT INTO business_key VALUES(1, 'k', 17, 1)", "DELETE FROM business_key WHERE h=1", r"business_key msg_000000000000H: a key.*h=1"),
    ("INSERT INTO provider_ref VALUES(1, 'box', 'p', 17, 0, 0)", "DELETE FROM provider_ref WHERE h=1", r"provider_ref msg_000000000000H: a provider"),
    ("INSERT INTO feed_pending VALUES(1, 17, 1, 1, 1, 1, '')", "DELETE FROM feed_pending", r"feed_pending evt_000000000000H: it waits"),
    ("INSERT INTO feed_cursor VALUES(17, 9000000000000000000)", "DELETE FROM feed_cursor", r"feed_cursor sub_000000000000H: its cursor is beyond"),
    ("UPDATE timeline SET seq=seq+1 WHERE seq={sent}", "UPDATE timeline SET seq=seq-1 WHERE seq={sent}+1", r"timeline {sent_id}: this message is on no"),
    ("UPDATE timeline SET seq=seq+1 WHERE kind=2", "UPDATE timeline SET seq=seq-1 WHERE kind=2", r"timeline evt_\w+: this event is on no"),
    ("INSERT INTO timeline VALUES(17, 1, 1, 1)", "DELETE FROM timeline WHERE customer=17", r"timeline cus_000000000000H: an entry \(kind 1, seq 1\)"),
    ("UPDATE seq SET last=1" if ON_POSTGRES else "UPDATE counter SET last_id=1",
     "UPDATE seq SET last=900000000000" if ON_POSTGRES else "UPDATE counter SET last_id=9000000000000000000", r"event evt_\w+: the newest event is above"),
    (None if ON_POSTGRES else "UPDATE idem_recent SET answer=17", "UPDATE idem_recent SET answer=(SELECT id FROM answer)",
     r"idem_recent \d+: answer \d+ is in no index"),
]


def written_behind(daemon, path):
    """As after some quiet seconds: nothing stands in memory alone."""
    if ON_POSTGRES:
        return
    for sql in ("INSERT OR IGNORE INTO timeline SELECT customer, at, id, 1 FROM message",
                "INSERT OR IGNORE INTO timeline SELECT customer, at, seq, 2 FROM event WHERE type LIKE 'touchpoint.%'",
                "DELETE FROM timeline_recent", "INSERT OR REPLACE INTO idem_recent SELECT h, id FROM answer",
                "INSERT OR REPLACE INTO mark SELECT 'timeline', max(seq) FROM event", "INSERT OR REPLACE INTO mark SELECT 'idem', max(id) FROM answer"):
        store_sql(path, sql)
    expect(found(daemon), [])


@test
def every_kind_of_damage_is_named_with_what_to_do(folder):
    path = os.path.join(folder, "parley.db")
    with Recorder() as shop, Daemon(folder, channels=channels(shop)) as daemon:
        sent, came = life(daemon)
        daemon.stop()
        written_behind(daemon, path)
        rows = store_sql(path, "SELECT id FROM message ORDER BY id")
        ids = {"sent": rows[0][0], "came": rows[1][0], "sent_id": sent, "came_id": came}
        for damage, mended, finding in DAMAGE:
            if damage is None:
                continue
            store_sql(path, damage.format(**ids))
            lines = found(daemon)
            wanted = re.compile("fail +" + finding.replace("{sent_id}", sent).replace("{came_id}", came))
            expect_true(any(wanted.match(line) and "; what to do: " in line for line in lines), f"{damage}: {wanted.pattern}: {lines}")
            store_sql(path, mended.format(**ids))
            expect((mended, found(daemon)), (mended, []))


@test
def many_of_one_kind_are_not_all_shown(folder):
    path = os.path.join(folder, "parley.db")
    with Recorder() as shop, Daemon(folder, channels=channels(shop)) as daemon:
        daemon.stop()
        for i in range(30):
            store_sql(path, f"INSERT INTO raw VALUES({i + 1}, 'x')")
        lines = found(daemon)
        expect(len(lines), 20)
        expect_true(lines[-1].endswith("(there are more like it)"), lines[-1])
        store_sql(path, "DELETE FROM raw WHERE message>20")
        lines = found(daemon)
        expect(len(lines), 20)
        expect_true("more like it" not in lines[-1], lines[-1])


@test
def a_part_of_a_backup_is_told_in_words(folder):
    if ON_POSTGRES:
        skip("pg_restore says so there")
    with Recorder() as shop, Daemon(folder, channels=channels(shop)) as daemon:
        life(daemon)
        daemon.stop()
        part = os.path.join(folder, "part.db")
        with open(os.path.join(folder, "parley.db"), "rb") as file, open(part, "wb") as to:
            to.write(file.read(20000))
        done = parley(daemon, "store", "check", part)
        expect(done.returncode, 1)
        expect_true("is damaged, or a part of a file only" in done.stderr and "PRAGMA" not in done.stderr, done.stderr)


@test
def a_damaged_page_of_a_copy_is_found_by_its_file(folder):
    if ON_POSTGRES:
        skip("pages are the server's own affair there")
    path = os.path.join(folder, "parley.db")
    with Recorder() as shop, Daemon(folder, channels=channels(shop)) as daemon:
        life(daemon)
        daemon.stop()
        copy = os.path.join(folder, "copy?#%.db")
        with open(path, "rb") as file, open(copy, "wb") as to:
            to.write(file.read())
        expect(parley(daemon, "store", "check", copy).returncode, 0)
        root = int(store_sql(path, "SELECT rootpage FROM sqlite_schema WHERE name='identity_log'")[0][0])
        with open(copy, "r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\xa5" * 64)
        done = parley(daemon, "store", "check", copy)
        expect(done.returncode, 1)
        expect_true("fail  file -: " in done.stdout or "malformed" in done.stderr, done)


@test
def what_is_no_store_is_refused_in_words(folder):
    def said(*words):
        done = subprocess.run([os.path.join(BIN_DIR, "parley"), *words], capture_output=True, text=True, cwd=folder, timeout=60)
        expect_true(done.returncode in (1, 2) and len(done.stderr.splitlines()) == 1, done)
        return done.stderr

    open(os.path.join(folder, "empty.db"), "w").close()
    expect_true("which store?" in said("store", "check"), "no store is named")
    expect_true("store: missing.db: No such file" in said("store", "check", "missing.db"), "a file that is not there")
    expect_true("is no store of Parley's" in said("store", "check", "empty.db"), "an empty file")
    with open(os.path.join(folder, "shop.dump"), "wb") as file:
        file.write(b"PGDMP" + b"\x01" * 9000)
    expect_true("is no SQLite file" in said("store", "check", "shop.dump"), "a backup of the other driver")
    expect(sorted(os.listdir(folder)), ["empty.db", "shop.dump"])


if __name__ == "__main__":
    run()
