#!/usr/bin/python3
# label: postgres
# timeout: 300
# stores: sqlite (it makes databases of both kinds by itself)
"""A store carried over from SQLite to PostgreSQL in the middle of its history, and back: the daemon goes on as if nothing had been."""

import json
import os
import signal
import sqlite3
import subprocess
import time

from parley_database import URL, Database, command
from parley_test import BIN_DIR, KEY, SECRET, Daemon, Recorder, Reply, expect, expect_true, post_inbound, run, test, wait_until

ENV = dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET)
CUSTOMERS = 7
BULK = 30000
META_ROWS = 40
META_BYTES = 5000


def copy(from_, to, database, *words):
    return command("store", "copy", "--from", from_, "--to", to, *words, database=database)


def copied(from_, to, database, *words):
    done = copy(from_, to, database, "--json", *words)
    expect(done.returncode, 0, done.stderr)
    return json.loads(done.stdout)


def settings(shop, desk):
    """A channel that goes, one that is paused later, one whose outcome nobody knows; a desk that is pushed to."""
    def change(config):
        config["store"] = {"driver": "sqlite", "path": "parley.db"}
        config["topics"]["holds"] = {"class": "transactional", "on_unknown": "hold"}
        config["subscriptions"] = {"desk": desk.subscription("message.received", "message.status", "touchpoint.*")}
    return {"channels": {"hook": shop.channel(), "idle": {"plugin": "sink"}}, "config": change}


def fill(daemon, shop, desk):
    """All kinds of things, in the middle of what happens to them. Returns what a business would remember."""
    known = {"sent": [], "waiting": [], "later": None, "held": None}
    body = daemon.message("order 1", to={"external": "shop-1", "email": "c1@example.org"}, channels=["hook"], key="order-1")
    known["request"] = (body, "idem-1")
    known["answer"] = daemon.post("/v1/messages", body, idempotency_key="idem-1")
    expect(known["answer"].status, 202)
    known["sent"].append(known["answer"].json["id"])
    for number in range(2, CUSTOMERS + 1):
        known["sent"].append(daemon.send(f"order {number}", to={"external": f"shop-{number}", "email": f"c{number}@example.org"},
                                         channels=["hook"]))
    for message in known["sent"]:
        daemon.wait_status(message, "sent")
    shop.then(Reply(drop=True))
    known["held"] = daemon.send("who knows", topic="holds", to={"external": "shop-1"}, channels=["hook"])
    daemon.wait_status(known["held"], "held")
    expect(daemon.post("/v1/channels/idle/pause").status, 200)
    for number in range(1, CUSTOMERS + 1):
        known["waiting"].append(daemon.send(f"waits {number}", to={"external": f"shop-{number}", "email": f"c{number}@example.org"},
                                            channels=["idle"]))
    known["later"] = daemon.send("tomorrow", to={"external": "shop-1"}, channels=["hook"],
                                 send_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400)))
    known["big"] = daemon.send("long " * 8000, to={"external": "shop-3"}, channels=["idle"])
    expect(post_inbound(daemon, "hook", {"type": "message", "id": "in-1", "from": {"email": "c2@example.org"},
                                         "text": "where is it? \u00e9\U0001f600"}).status, 200)
    expect(daemon.put("/v1/customers/external:shop-2/consents/newsletter/email", {"granted": True, "source": "form"}).status, 200)
    expect(daemon.post("/v1/suppressions", {"identity": "email:no@example.org", "reason": "manual"}).status, 201)
    known["media"] = daemon.post("/v1/media?name=a.bin", bytes(range(256)) * 300,
                                 headers={"Content-Type": "application/octet-stream"}).json["id"]
    expect(daemon.post("/v1/events", {"to": {"external": "shop-2"}, "type": "checkout", "stage": "during"}).status, 201)
    desk.wait_for(lambda request: "message.received" in request.text)
    desk.answer = Reply(status=500)
    known["pushed_late"] = daemon.send("pushed late", to={"external": "shop-4"}, channels=["hook"])
    desk.wait_for(lambda request: known["pushed_late"] in request.text)
    return known


def views(daemon, known):
    """What the API says of all of it, but for what depends on the moment."""
    paths = [f"/v1/messages/{known[name]}" for name in ("held", "later", "big")]
    paths += [f"/v1/messages/{message}" for message in known["sent"] + known["waiting"]]
    paths += ["/v1/messages?limit=200", "/v1/conversations", "/v1/suppressions", "/v1/events?limit=200", f"/v1/media/{known['media']}"]
    for number in range(1, CUSTOMERS + 1):
        ref = f"/v1/customers/external:shop-{number}"
        paths += [ref, f"{ref}/timeline?limit=100", f"{ref}/consents"]
    found = {}
    for path in paths:
        answer = daemon.get(path)
        expect(answer.status, 200, path)
        found[path] = answer.json
    media = found[f"/v1/media/{known['media']}"]
    known.setdefault("link", media.pop("url"))  # the first one stays good
    media.pop("url", None), media.pop("url_expires_at")
    return found


def same(after, before):
    for path, value in before.items():
        got, want = json.dumps(after[path], sort_keys=True), json.dumps(value, sort_keys=True)
        at = len(os.path.commonprefix([got, want]))
        expect(got[max(0, at - 100):at + 100], want[max(0, at - 100):at + 100], f"{path} at {at}")


def first_page(daemon):
    page = daemon.get("/v1/events?limit=5").json
    return page["items"], page["next"]


def waits_for_desk(daemon):
    state = daemon.get("/v1/subscriptions").json["items"][0]["state"]
    return state["waiting"] + state["retrying"] + state["in_flight"]


def goes_on(daemon, shop, desk, known, page):
    """Answers, cursors, queue and pushes of before, on the new driver."""
    body, key = known["request"]
    again = daemon.post("/v1/messages", body, idempotency_key=key)
    expect((again.status, again.body, again.headers.get("Idempotency-Replayed")), (202, known["answer"].body, "true"))
    other = daemon.post("/v1/messages", dict(body, content={"text": "other"}), idempotency_key=key)
    expect(other.status, 422, other)
    twin = daemon.post("/v1/messages", body)
    expect((twin.status, twin.json["id"], twin.json.get("duplicate")), (200, known["sent"][0], True))
    again_in = post_inbound(daemon, "hook", {"type": "message", "id": "in-1", "from": {"email": "c2@example.org"},
                                             "text": "where is it? \u00e9\U0001f600"})
    expect(again_in.json["duplicate"], True)
    rest = daemon.get(f"/v1/events?limit=200&after={page[1]}").json["items"]
    expect(len({event["id"] for event in page[0] + rest}), len(page[0]) + len(rest), "the cursor goes on, nothing twice")
    expect(daemon.get(known["link"][known["link"].index("/media/"):]).body, bytes(range(256)) * 300)
    expect(daemon.post("/v1/channels/idle/resume").status, 200)
    for message in known["waiting"] + [known["big"]]:
        daemon.wait_status(message, "sent")
    wait_until(lambda: waits_for_desk(daemon) == 0, "the desk has all", 60)
    expect_true(len(desk.matching(lambda request: known["pushed_late"] in request.text)) >= 2, "again, on the new driver")
    fresh = daemon.send("after the move", to={"external": "shop-2"}, channels=["hook"])
    daemon.wait_status(fresh, "sent")
    desk.wait_for(lambda request: fresh in request.text)
    newest = daemon.get("/v1/customers/external:shop-2/timeline?limit=1").json["items"][0]
    expect(newest["message"]["id"], fresh)
    expect(daemon.metric("parley_messages_add_up"), 1)


def fits_together(daemon, database):
    checked = command("-c", daemon.config_path, "store", "check", database=database)
    expect(checked.returncode, 0, str(daemon.config["store"]) + checked.stdout + checked.stderr)


def nothing_twice(shop, known, before):
    counts = {message: len(shop.matching(lambda request, message=message: message in request.text)) for message in known["sent"]}
    expect(counts, before)


def counts_of(shop, known):
    return {message: len(shop.matching(lambda request, message=message: message in request.text)) for message in known["sent"]}


@test
def a_daemon_carries_on_where_the_other_store_stopped(folder):
    with Recorder() as shop, Recorder(path="/desk") as desk, Database("on") as database:
        source = "sqlite:" + os.path.join(folder, "parley.db")
        with Daemon(folder, env={URL: database.url}, **settings(shop, desk)) as daemon:
            known = fill(daemon, shop, desk)
            refused = copy(source, f"env:{URL}", database)
            expect_true(refused.returncode == 1 and "is used by another parleyd" in refused.stderr and "stop that one first" in refused.stderr, refused.stderr)
            before, page = views(daemon, known), first_page(daemon)
            arrived = counts_of(shop, known)
            daemon.kill()  # what SQLite writes behind stands in no table now
            rehearsed = copied(source, f"env:{URL}", database, "--rehearse")
            daemon.config["store"] = database.config
            daemon.start(ready=False)
            expect(daemon.wait_exit(), 69)
            expect_true("only a part of a copy is here" in daemon.log(), daemon.log_end())
            again = copy(source, f"env:{URL}", database, "--rehearse").stdout
            expect_true(f" {rehearsed['rows']} rows ({rehearsed['rows']} of an earlier call)" in again, again)
            done = copied(source, f"env:{URL}", database)
            expect(done["resumed_from"], rehearsed["rows"], "what the rehearsal brought over is not brought again")
            expect_true(done["rows"] > 100, done)
            desk.answer = Reply()
            daemon.start()
            same(views(daemon, known), before)
            goes_on(daemon, shop, desk, known, page)
            nothing_twice(shop, known, arrived)
            expect(database.sql("SELECT count(*) FROM pg_class WHERE relname='parley_copy'"), "0")
            daemon.stop()
            fits_together(daemon, database)
            daemon.config["store"] = {"driver": "sqlite", "path": "parley.db"}
            daemon.start(ready=False)
            expect(daemon.wait_exit(), 69)
            expect_true("was copied to another one" in daemon.log(), daemon.log_end())
            expect(copied(source, f"env:{URL}", database)["done_before"], True, "once more")
            with Database("another") as another:
                again = copy(source, f"env:{URL}", another)
            expect_true(again.returncode == 1 and "has been copied before" in again.stderr, again.stderr)
            back = os.path.join(folder, "back.db")
            copied(f"env:{URL}", f"sqlite:{back}", database)
            daemon.config["store"]["path"] = "back.db"
            daemon.write_config()
            fits_together(daemon, database)
            daemon.start()
            expect(daemon.message_state(known["later"])["status"], "queued")
            replayed = daemon.post("/v1/messages", known["request"][0], idempotency_key=known["request"][1])
            expect(replayed.body, known["answer"].body)
            daemon.wait_status(daemon.send("back again", to={"external": "shop-2"}, channels=["hook"]), "sent")
            nothing_twice(shop, known, arrived)
            daemon.stop()


def bulk(folder):
    """A store with many rows, made without a daemon's help but for its tables."""
    path = os.path.join(folder, "parley.db")
    with Daemon(folder, config=lambda config: config.update(store={"driver": "sqlite", "path": "parley.db"})) as daemon:
        daemon.wait_status(daemon.send("first"), "sent")
        daemon.stop()
    with sqlite3.connect(path) as db:
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                   " INSERT INTO event(seq, type, at, customer, identity, conversation, message, data)"
                   " SELECT newest + i, 'touchpoint.visit', i * 1000, 5, 0, 0, 0, '{\"number\":' || i || '}'"
                   " FROM n, (SELECT max(seq) AS newest FROM event)", (BULK,))
        db.execute("INSERT INTO timeline(customer, at, seq, kind) SELECT customer, at, seq, 2 FROM event WHERE customer=5")
        for status in (201, 202):  # the key was used again when the first answer was past its time, and stood still
            db.execute("INSERT INTO answer(id, h, api_key, route, key, body_hash, status, body, at)"
                       " SELECT max(seq) + ?, -42, 1, 'POST /v1/messages', 'again', x'00', ?, '{}', 1 FROM event", (status, status))
        for number in range(META_ROWS):
            db.execute("INSERT INTO meta(name, value) VALUES(?, ?)", (f"of a later version {number}", bytes([number]) * META_BYTES))
    db.close()
    return path


@test
def a_copy_that_is_killed_goes_on_where_it_was(folder):
    path = bulk(folder)
    with Database("kill") as database:
        kills, pause_s = 0, 0.02
        while True:
            child = subprocess.Popen([os.path.join(BIN_DIR, "parley"), "store", "copy", "--json", "--from", f"sqlite:{path}", "--to",
                                      f"env:{URL}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(ENV, **{URL: database.url}))
            try:
                out = child.communicate(timeout=pause_s)[0]
                break
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.communicate()
                kills += 1
                pause_s *= 1.3
        expect(child.returncode, 0)
        expect_true(kills >= 3, f"{kills} kills")
        done = json.loads(out)
        expect_true(done["resumed_from"] > 0 or done["done_before"], done)
        expect(int(database.sql("SELECT count(*) FROM event WHERE customer=5")), BULK)
        expect(database.sql("SELECT status FROM answer WHERE h=-42"), "202", "the newest answer of a key")
        expect(int(database.sql("SELECT count(*) FROM timeline WHERE customer=5")), BULK)
        expect(database.sql("SELECT count(*), sum(length(value)), min(get_byte(value, 0)) FROM meta WHERE name LIKE 'of a later %'"),
               f"{META_ROWS}|{META_ROWS * META_BYTES}|0")


@test
def what_differs_is_found_and_a_store_that_went_on_begins_anew(folder):
    path = bulk(folder)
    with Database("differs") as database:
        copied(f"sqlite:{path}", f"env:{URL}", database, "--rehearse")
        database.sql("UPDATE event SET data='{}' WHERE customer=5 AND at=777000")
        wrong = copy(f"sqlite:{path}", f"env:{URL}", database)
        expect_true(wrong.returncode == 1 and "table event is not the same" in wrong.stderr and "bytes differ" in wrong.stderr, wrong.stderr)
        database.sql("DELETE FROM timeline WHERE customer=5 AND at=778000")
        with Daemon(folder, config=lambda config: config.update(store={"driver": "sqlite", "path": "parley.db"})) as daemon:
            daemon.wait_status(daemon.send("one more"), "sent")
            daemon.stop()
        done = copied(f"sqlite:{path}", f"env:{URL}", database)
        expect(done["resumed_from"], 0, "another state of the source")
        expect(database.sql("SELECT data FROM event WHERE customer=5 AND at=777000"), '{"number":777}')


@test
def a_target_that_holds_a_store_and_words_that_name_none_are_refused(folder):
    path = bulk(folder)
    with Database("full") as database:
        database.sql("CREATE TABLE somebody(a bigint)")
        other = copy(f"sqlite:{path}", f"env:{URL}", database)
        expect_true(other.returncode == 1 and "another program" in other.stderr, other.stderr)
        database.sql("DROP TABLE somebody")
        with Daemon(folder, env={URL: database.url}, store_path="other.db",
                    config=lambda config: config.update(store=database.config)) as daemon:
            busy = copy(f"sqlite:{path}", f"env:{URL}", database)
            expect_true(busy.returncode == 1 and "in use by a parleyd" in busy.stderr, busy.stderr)
            daemon.wait_status(daemon.send("here"), "sent")
            daemon.stop()
        full = copy(f"sqlite:{path}", f"env:{URL}", database)
        expect_true(full.returncode == 1 and "holds a store already" in full.stderr, full.stderr)
        for from_, to, says in ((f"sqlite:{path}", database.url, "config, sqlite:PATH or env:NAME"),
                                (f"sqlite:{path}", "postgresql://u:secret@h/d", "for all to see"),
                                (f"sqlite:{path}", "env:NOBODY_SET_THIS", "is not set"), ("config", f"env:{URL}", "give -c"),
                                (f"sqlite:{path}.none", f"env:{URL}", "there is no file"),
                                (f"sqlite:{path}", f"sqlite:{path}2", "from one driver to the other")):
            wrong = copy(from_, to, database)
            expect_true(wrong.returncode in (1, 2) and says in wrong.stderr and "secret" not in wrong.stderr, wrong.stderr)


run()
