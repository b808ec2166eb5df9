"""The rows of bad_inputs.py that one request can't tell: each function is one, and takes the Stand. Not a test of its own."""

import gzip
import http.client
import json
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

from bad_inputs_stand import START_S, metrics, parleyd_with, private_name, read_answer
from parley_test import (BIN_DIR, KEY, PLUGIN_DIR, SECRET, Client, Daemon, Reply, expect, expect_true, free_port, post_inbound,
                         skip, wait_until, yaml, base_config)

WRONG_MAX = 100  # a minute and address, then 429
CPU_MAX_S = 2.0
TEXT = "private-words-of-a-customer-9d3f"
HOUR_MS = 3600 * 1000


def problem(answer, status, code):
    expect((answer.status, answer.json.get("code")), (status, code), answer.text[:300])
    return answer


def message(text=TEXT, **more):
    return {"to": {"email": "ana@example.org"}, "topic": "orders", "content": {"text": text}, "channels": ["lab"], **more}


def accepted(stand):
    return metrics(stand.daemon)["parley_messages_accepted_total"]


# --- keys ---

def refusals_look_the_same(stand):
    bodies = set()
    for authorization in (None, "Bearer ", "Basic c2hvcA==", f"Bearer {KEY}x"):
        client = Client(stand.daemon.port, key=None)
        answer = client.get("/v1/messages", headers={"Authorization": authorization} if authorization else {})
        client.close()
        body = answer.json
        body.pop("request_id")
        bodies.add((answer.status, json.dumps(body, sort_keys=True)))
    expect(len(bodies), 1, f"one body for all: {bodies}")


def made_key(stand, **more):
    body = {"name": f"k{time.monotonic_ns()}", "scopes": ["messages:read"], **more}
    answer = stand.daemon.post("/v1/keys", body)
    expect(answer.status, 201, answer.text)
    return answer.json


def get_with(stand, key):
    client = Client(stand.daemon.port, key=key)
    try:
        return client.get("/v1/messages")
    finally:
        client.close()


def revoked_key(stand):
    key = made_key(stand)
    expect(get_with(stand, key["secret"]).status, 200)
    expect(stand.daemon.delete(f"/v1/keys/{key['id']}").status, 204)
    problem(get_with(stand, key["secret"]), 401, "unauthorized")


def expired_key(stand):
    problem(stand.daemon.post("/v1/keys", {"name": "old", "scopes": ["messages:read"], "expires_at": "2020-01-01T00:00:00Z"}),
            422, "bad_value")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    key = made_key(stand, expires_at=soon)
    wait_until(lambda: get_with(stand, key["secret"]).status == 401, "the key expires")


def key_without_scope(stand):
    key = made_key(stand, scopes=["events:read"])
    problem(get_with(stand, key["secret"]), 403, "scope_missing")


def wrong_keys(stand, source, count, header=lambda number: {}):
    """Statuses of requests with a wrong key from one address of loopback; the last answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stand.daemon.port, timeout=30, source_address=(source, 0))
    statuses, last = [], None
    for number in range(count):
        connection.request("GET", "/v1/messages", headers={"Authorization": f"Bearer wrong-{number}", **header(number)})
        last = connection.getresponse()
        last.read()
        statuses.append(last.status)
    connection.close()
    return statuses, last


def wrong_keys_from_one_address(stand):
    statuses, last = wrong_keys(stand, "127.0.0.77", 1000)
    expect(set(statuses[:WRONG_MAX]), {401})
    expect(set(statuses[WRONG_MAX:]), {429})
    expect_true(int(last.headers["Retry-After"]) >= 1, "Retry-After")
    expect(stand.daemon.get("/v1/messages").status, 200, "others go on")
    expect(wrong_keys(stand, "127.0.0.78", 1)[0], [401], "another address has its own count")


def forwarded_for_is_not_believed(stand):
    statuses, _ = wrong_keys(stand, "127.0.0.79", WRONG_MAX + 5,
                             lambda number: {"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": f"for=198.51.100.{number}"})
    expect(set(statuses[WRONG_MAX:]), {429}, "the peer's own address counts")


# --- requests ---

def cursor_of_another_list(stand):
    for number in range(2):
        expect(stand.daemon.post("/v1/suppressions", {"identity": f"email:s{number}@example.org", "reason": "manual"}).status, 201)
    cursor = stand.daemon.get("/v1/suppressions?limit=1").json["next"]
    expect(stand.daemon.get(f"/v1/suppressions?limit=1&cursor={cursor}").status, 200)
    problem(stand.daemon.get(f"/v1/messages?cursor={cursor}"), 400, "bad_cursor")
    problem(stand.daemon.get(f"/v1/suppressions?cursor={cursor[:-1]}{'A' if cursor[-1] != 'A' else 'B'}"), 400, "bad_cursor")


def gzip_bomb(stand):
    before = accepted(stand)
    answer = stand.daemon.post("/v1/messages", gzip.compress(bytes(10 << 20)),
                               headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    expect_true(answer.status in (413, 415), answer.text)
    expect(accepted(stand), before)


def cpu_s(daemon):
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many_keys(stand):
    before, began = accepted(stand), cpu_s(stand.daemon)
    body = "{" + ",".join(f'"k{number:x}":{number}' for number in range(100000)) + "}"
    answer = stand.daemon.post("/v1/messages", body.encode(), headers={"Content-Type": "application/json"})
    expect_true(answer.status in (400, 413), answer.text[:300])
    expect_true(cpu_s(stand.daemon) - began < CPU_MAX_S, "it costs little")
    expect(accepted(stand), before)


def batch_of_501(stand):
    before = accepted(stand)
    answer = stand.daemon.post("/v1/messages/batch", {"items": [message()] * 501})
    problem(answer, 422, "too_many_items")
    expect(accepted(stand), before)


def same_key_three_times(stand):
    before = accepted(stand)
    answer = stand.daemon.post("/v1/messages/batch", {"items": [message(key="once", channels=["box"])] * 3})
    expect(answer.status, 200, answer.text[:300])
    items = answer.json["items"]
    expect([item["status"] for item in items], [202, 200, 200])
    expect([item["message"].get("duplicate", False) for item in items], [False, True, True])
    expect(len({item["message"]["id"] for item in items}), 1, "one message")
    expect(accepted(stand), before + 1)


# --- idempotency ---

def key_reused(stand):
    first = stand.daemon.post("/v1/messages", message(channels=["box"]), idempotency_key="reused")
    expect(first.status, 202)
    before = accepted(stand)
    problem(stand.daemon.post("/v1/messages", message("other", channels=["box"]), idempotency_key="reused"), 422, "key_reused")
    again = stand.daemon.post("/v1/messages", message(channels=["box"]), idempotency_key="reused")
    expect((again.status, again.body, again.headers["Idempotency-Replayed"]), (first.status, first.body, "true"))
    expect(accepted(stand), before)


def key_while_running(stand):
    before = accepted(stand)
    body = json.dumps(message(channels=["box"])).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{stand.daemon.port}\r\nAuthorization: Bearer {KEY}\r\n" \
           f"Content-Type: application/json\r\nIdempotency-Key: running\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stand.daemon.port), timeout=20) as peer:
        peer.sendall((head.encode() + body) * 2)  # in one piece: the second is read while the first is being committed
        kept = bytearray()
        status, _, first = read_answer(peer, kept)
        expect(status, 202, first)
        status, headers, second = read_answer(peer, kept)
    if status == 202:
        expect((second, headers["Idempotency-Replayed"]), (first, "true"))
        skip("the first was committed before the second was read")
    expect((status, json.loads(second)["code"], headers["Retry-After"]), (409, "request_running", "1"))
    expect(accepted(stand), before + 1)


def key_of_another_api_key(stand):
    other = made_key(stand, scopes=["messages:send"])
    first = stand.daemon.post("/v1/messages", message(channels=["box"]), idempotency_key="shared")
    client = Client(stand.daemon.port, key=other["secret"])
    second = client.post("/v1/messages", message("other", channels=["box"]), idempotency_key="shared")
    client.close()
    expect((first.status, second.status), (202, 202))
    expect_true(first.json["id"] != second.json["id"], "two messages")


def refusals_are_not_kept(stand):
    problem(stand.daemon.post("/v1/messages", message(topic="nothing"), idempotency_key="mended"), 422, "unknown_topic")
    expect(stand.daemon.post("/v1/messages", message(channels=["box"]), idempotency_key="mended").status, 202)


# --- webhooks in ---

def inbound_same_id_other_body(stand):
    first = post_inbound(stand.daemon, "hook", {"id": "same", "from": {"email": "eva@example.org"}, "text": "one"})
    expect((first.status, first.json["duplicate"]), (200, False))
    before = metrics(stand.daemon)
    second = post_inbound(stand.daemon, "hook", {"id": "same", "from": {"email": "eva@example.org"}, "text": "two"})
    expect((second.status, second.json), (200, {"id": first.json["id"], "duplicate": True}))
    after = metrics(stand.daemon)
    expect(after["parley_inbound_total"], before["parley_inbound_total"], "the first is kept")
    expect(after["parley_inbound_other_body_total"], before["parley_inbound_other_body_total"] + 1, "the conflict is counted")
    expect(stand.daemon.message_state(first.json["id"])["content"]["text"], "one")


def inbound_media_is_not_fetched(stand):
    """Told by nothing_of_all_this_was_sent_or_logged at the end, for the bait of this stand is never asked."""
    for number, url in enumerate(["http://169.254.169.254/latest/", f"{stand.bait.url}/stranger",
                                  f"http://127.0.0.1:{stand.daemon.port}/metrics", "http://[::1]:22/"]):
        answer = post_inbound(stand.daemon, "hook", {"id": f"media-{number}", "from": {"email": "eva@example.org"},
                                                     "content": {"media": [{"url": url, "type": "image/png"}]}})
        expect(answer.status, 200, answer.text)
        shown = stand.daemon.message_state(answer.json["id"])
        expect(shown["content"]["media"][0]["url"], url, "it is kept as it came")


# --- receipts ---

def receipt(stand, message_id, status, channel="lab", secret=SECRET, at="2026-01-01T00:00:00Z"):
    answer = post_inbound(stand.daemon, channel, {"type": "receipt", "message": message_id, "status": status, "at": at},
                          message_id=f"r-{time.monotonic_ns()}", secret=secret)
    expect(answer.status, 200, answer.text)


def sent_by_lab(stand):
    stand.lab.answer = Reply()
    answer = stand.daemon.post("/v1/messages", message())
    expect(answer.status, 202, answer.text)
    stand.daemon.wait_status(answer.json["id"], "sent")
    return answer.json["id"]


def receipt_for_an_unknown_message(stand):
    before = metrics(stand.daemon)["parley_receipts_parked"]
    receipt(stand, "msg_0000000000042", "delivered")
    wait_until(lambda: metrics(stand.daemon)["parley_receipts_parked"] == before + 1, "it is parked")


def receipt_of_another_channel(stand):
    message_id = sent_by_lab(stand)
    receipt(stand, message_id, "read", channel="other", secret=stand.other_secret)
    receipt(stand, message_id, "delivered")
    stand.daemon.wait_status(message_id, "delivered")
    expect(stand.daemon.message_state(message_id)["status"], "delivered", "what the other channel says counts for nothing")


def receipts_backwards(stand):
    message_id = sent_by_lab(stand)
    receipt(stand, message_id, "delivered", at="2026-01-01T00:00:05Z")
    stand.daemon.wait_status(message_id, "delivered")
    receipt(stand, message_id, "sent", at="2026-01-01T00:00:09Z")
    receipt(stand, message_id, "failed", at="2026-01-01T00:00:10Z")
    expect(stand.daemon.message_state(message_id)["status"], "delivered")


def receipts_many(stand):
    message_id = sent_by_lab(stand)
    for _ in range(200):
        receipt(stand, message_id, "delivered")
    expect(stand.daemon.message_state(message_id)["status"], "delivered")
    expect(metrics(stand.daemon)["parley_messages_add_up"], 1.0)


# --- webhooks out ---

def first_attempt(stand, message_id, daemon=None):
    found = {}

    def ended():
        state = (daemon or stand.daemon).message_state(message_id)
        found.update(state)
        return [attempt for attempt in state["attempts"] if attempt["outcome"] != "open"]

    attempts = wait_until(ended, lambda: f"an attempt has ended: {found}")
    return attempts[0], found


def give_up(stand, message_id, daemon=None):
    (daemon or stand.daemon).post(f"/v1/messages/{message_id}/cancel")


def send_one(daemon, channel):
    answer = daemon.post("/v1/messages", message(channels=[channel]))
    expect(answer.status, 202, answer.text)
    return answer.json["id"]


def redirect(stand, status, location):
    stand.lab.answer = Reply(status=status, headers={"Location": location})
    before = len(stand.lab.requests)
    message_id = send_one(stand.daemon, "lab")
    state = stand.daemon.wait_status(message_id, "failed")
    attempt = state["attempts"][0]
    expect((len(state["attempts"]), attempt["outcome"], attempt["code"]), (1, "rejected", "redirect_not_followed"))
    expect(len(stand.lab.requests), before + 1, "requests")
    stand.lab.answer = Reply()


def redirect_301(stand):
    redirect(stand, 301, f"{stand.bait.url}/redirected")


def redirect_302(stand):
    redirect(stand, 302, stand.lab.url)


def redirect_307(stand):
    redirect(stand, 307, "http://169.254.169.254/latest/meta-data/")


def redirect_308(stand):
    redirect(stand, 308, f"http://127.0.0.1:{stand.daemon.port}/v1/messages")


def refused_again_at_send_time(stand):
    if private_name() is None:
        skip("no name of this machine's hosts file has a private address")
    message_id = send_one(stand.strict, "inward")
    attempt, _ = first_attempt(stand, message_id, stand.strict)
    expect((attempt["outcome"], attempt["code"]), ("rejected", "address_not_allowed"))


def scheme_in_capitals(stand):
    answer = stand.strict.post("/v1/subscriptions", {"url": "HTTPS://Help.Example:443/Feed"})
    expect((answer.status, answer.json["url"]), (201, "https://help.example/Feed"))
    expect(stand.strict.delete(f"/v1/subscriptions/{answer.json['id']}").status, 204)


def tls(stand, name):
    """An attempt over TLS that must fail before a byte of the message is sent, with a code that says tls_."""
    message_id = send_one(stand.daemon, f"tls-{name}")
    attempt, _ = first_attempt(stand, message_id)
    give_up(stand, message_id)
    expect_true(attempt["outcome"] in ("retry", "channel_down", "rejected"), f"a definite failure: {attempt}")
    expect_true(attempt["code"].startswith("tls_"), f"a code that says tls_: {attempt}")
    if name in stand.tls:
        expect(stand.tls[name].requests, [], "requests that came through")
    tls_good(stand)


def tls_good(stand):
    """The test of the test: with a good certificate it arrives."""
    before = len(stand.tls["good"].requests)
    stand.daemon.wait_status(send_one(stand.daemon, "tls-good"), "sent")
    expect(len(stand.tls["good"].requests), before + 1)


def tls_expired(stand):
    tls(stand, "expired")


def tls_wrong_name(stand):
    tls(stand, "name")


def tls_self_signed(stand):
    tls(stand, "self")


def tls_1_0(stand):
    tls(stand, "old")


def tls_plain_behind_https(stand):
    before = len(stand.lab.requests)
    tls(stand, "plain")
    expect(len(stand.lab.requests), before, "no fallback to plain")


# --- Retry-After ---

def due_in_ms(stand, reply, channel="lab"):
    """How far ahead the next attempt lies after this reply."""
    getattr(stand, channel).then(reply)
    message_id = send_one(stand.daemon, channel)
    attempt, _ = first_attempt(stand, message_id)
    state = wait_until(lambda: queued_again(stand, message_id), "it is queued again")
    give_up(stand, message_id)
    return epoch_ms(state["deliveries"][0]["due_at"]) - epoch_ms(attempt["ended_at"])


def queued_again(stand, message_id):
    state = stand.daemon.message_state(message_id)
    return state if state["status"] == "queued" else None


def epoch_ms(text):
    whole, _, part = text.removesuffix("Z").partition(".")
    return (int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))) - time.timezone) * 1000 + int((part or "0").ljust(3, "0")[:3])


def retry_after_huge(stand):
    expect_true(23 * HOUR_MS < due_in_ms(stand, Reply(503, headers={"Retry-After": "99999999999"})) <= 24 * HOUR_MS + 1000,
                "24 hours at most")


def retry_after_negative(stand):
    due = due_in_ms(stand, Reply(503, headers={"Retry-After": "-5"}))
    expect_true(1000 <= due <= 5100, f"nonsense counts for nothing: {due}")


def retry_after_1970(stand):
    due = due_in_ms(stand, Reply(503, headers={"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}))
    expect_true(1000 <= due <= 5100, f"at least a second: {due}")


def retry_after_missing(stand):
    due = due_in_ms(stand, Reply(429), "busy")
    expect_true(due >= 1000, f"at least a second: {due}")


def retry_after_on_success(stand):
    stand.lab.then(Reply(200, headers={"Retry-After": "99999999999"}))
    state = stand.daemon.wait_status(send_one(stand.daemon, "lab"), "sent")
    expect(len(state["attempts"]), 1)


# --- configuration ---

SECRET_YAML = "version: 1\nserver: {{ keys: [ {{ name: a, secret: {{ file: {} }}, scopes: [admin] }} ] }}\n"


def write(folder, name, content, mode=0o600):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
    os.chmod(path, mode)
    return path


def config_file(stand, row, fill):
    folder = stand.new_folder()
    path = os.path.join(folder, "parley.yaml")
    env = {"EMPTY_VARIABLE": "", "SHORT_SECRET": "whsec_c2hvcnQ=", "HUGE_VARIABLE": "h" * 102400, "LATIN_VARIABLE": "\udcff"}
    if "yaml" in row:
        write(folder, "parley.yaml", fill(row["yaml"]))
        return path, env
    if row["config"].endswith("_secret"):
        secret = {"group_secret": (b"verysecretvalue", 0o640), "empty_secret": (b"", 0o600),
                  "newline_secret": (b"verysecretvalue\nmore", 0o600)}.get(row["config"])
        if secret:
            write(folder, "key.secret", *secret)
        write(folder, "parley.yaml", SECRET_YAML.format("key.secret"))
        return path, env
    {"missing": lambda: None, "binary": lambda: write(folder, "parley.yaml", bytes(range(256)) * 16),
     "huge": lambda: os.truncate(write(folder, "parley.yaml", "version: 1\n"), 1 << 30),
     "fifo": lambda: os.mkfifo(path), "folder": lambda: os.mkdir(path),
     "writable": lambda: write(folder, "parley.yaml", "version: 1\n", 0o666),
     "zero": lambda: os.symlink("/dev/zero", path)}[row["config"]]()
    return path, env


def reload_refused(stand):
    with Daemon(stand.new_folder()) as daemon:
        with open(daemon.config_path, "a", encoding="utf-8") as file:
            file.write("chanels: {}\n")
        daemon.signal(1)
        wait_until(lambda: "did you mean 'channels'" in daemon.log(), "the reload is refused with its reason")
        expect(daemon.post("/v1/messages", daemon.message("still here")).status, 202, "the old configuration stays in force")


def config_with_plugin(stand, place):
    """A configuration with the channel odd, in line 5, whose plugin `place` puts into a folder of its own."""
    folder = stand.new_folder()
    plugins = os.path.join(folder, "plugins")
    os.mkdir(plugins)
    os.chmod(plugins, 0o755)
    place(plugins)
    write(folder, "parley.yaml", "version: 1\nplugins:\n  dirs: [plugins]\nchannels:\n  odd: { plugin: odd }\n")
    return os.path.join(folder, "parley.yaml"), plugins


def plugin_refused(stand, place, *reasons):
    """Neither check lets it pass, the daemon doesn't start with it, and one that runs goes on without it when it is reloaded."""
    path, plugins = config_with_plugin(stand, place)
    checked = subprocess.run([os.path.join(BIN_DIR, "parley"), "config", "check", path], capture_output=True, text=True, timeout=60)
    asked = subprocess.run([os.path.join(BIN_DIR, "parleyd"), "-c", path, "--check"], capture_output=True, text=True, timeout=60)
    started = parleyd_with(path)
    expect((checked.returncode, asked.returncode, started.returncode), (1, 78, 78), checked.stderr)
    for done in (checked, asked, started):
        expect_true("parley.yaml:5:3" in done.stderr and any(reason in done.stderr for reason in reasons),
                    f"the place and one of {reasons}: {done.stderr}")
    with Daemon(stand.new_folder()) as daemon:
        daemon.config["plugins"]["dirs"].append(plugins)
        daemon.config["channels"]["odd"] = {"plugin": "odd"}
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: "event=reload_refused" in daemon.log(), "the reload is refused")
        expect([item["name"] for item in daemon.get("/v1/channels").json["items"]], ["inbox"])
        expect(daemon.post("/v1/messages", daemon.message("the others run")).status, 202)


def plugin_missing(stand):
    plugin_refused(stand, lambda folder: None, "odd.so")


def plugin_not_elf(stand):
    plugin_refused(stand, lambda folder: write(folder, "odd.so", "not a program", 0o644), "not a shared object")


def plugin_of_another_machine(stand):
    def place(folder):
        with open(os.path.join(PLUGIN_DIR, "sink.so"), "rb") as file:
            bytes_ = bytearray(file.read())
        bytes_[18:20] = b"\x08\x00" if platform.machine() != "mips" else b"\x3e\x00"  # e_machine
        write(folder, "odd.so", bytes(bytes_), 0o644)

    plugin_refused(stand, place, "another machine")


def plugin_without_symbol(stand):
    def place(folder):
        done = subprocess.run(["gcc", "-shared", "-fPIC", "-xc", "/dev/null", "-o", os.path.join(folder, "odd.so")])
        expect(done.returncode, 0, "gcc")

    plugin_refused(stand, place, "parley_plugin_v1")


def plugin_writable(stand):
    def place(folder):
        shutil.copy(os.path.join(PLUGIN_DIR, "sink.so"), os.path.join(folder, "odd.so"))
        os.chmod(os.path.join(folder, "odd.so"), 0o666)

    plugin_refused(stand, place, "may be written by others")


# --- the store ---

def refused_store(stand, folder, *says):
    """Starts parleyd on folder/parley.db: it ends with an error and one clear line."""
    path = os.path.join(folder, "parley.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml(base_config(free_port(), {"box": {"plugin": "sink"}})))
    os.chmod(path, 0o600)
    done = parleyd_with(path)
    said = done.stderr
    expect_true(done.returncode not in (0, "it runs") and done.returncode > 0, f"it ends with an error: {done.returncode} {said}")
    lines = [line for line in said.splitlines() if "parley.db" in line or "missing" in line]
    expect_true(lines, f"a line names the file: {said}")
    expect_true(any(word in said for word in says), f"one of {says}: {said}")


def made_store(stand):
    """A folder with the store of a daemon that has run, with some messages in it."""
    folder = stand.new_folder()
    with Daemon(folder) as daemon:
        for number in range(20):
            daemon.send(f"{TEXT} {number} " + "x" * 2000)
        expect(daemon.stop(), 0)
    return folder


def content(folder):
    with open(os.path.join(folder, "parley.db"), "rb") as file:
        return file.read()


def store_of_another_program(stand):
    folder = stand.new_folder()
    with sqlite3.connect(os.path.join(folder, "parley.db")) as db:
        db.execute("CREATE TABLE shop(id)")
        db.execute("PRAGMA application_id=77")
    db.close()
    before = content(folder)
    refused_store(stand, folder, "another program")
    expect(content(folder), before, "the file is as it was")


def store_no_database(stand):
    folder = stand.new_folder()
    write(folder, "parley.db", "Dear diary, " * 1000)
    before = content(folder)
    refused_store(stand, folder, "not a database")
    expect(content(folder), before, "the file is as it was")


def store_newer(stand):
    folder = made_store(stand)
    with sqlite3.connect(os.path.join(folder, "parley.db")) as db:
        db.execute("UPDATE meta SET value=999 WHERE name='readable_from'")
        db.execute("PRAGMA user_version=999")
    db.close()
    refused_store(stand, folder, "newer")
    with sqlite3.connect(os.path.join(folder, "parley.db")) as db:
        expect(db.execute("PRAGMA user_version").fetchone()[0], 999, "it is never migrated down")
    db.close()


def store_read_only(stand):
    """Root writes into a file without the bits for it, so the attribute of the file system says no."""
    folder = made_store(stand)
    path = os.path.join(folder, "parley.db")
    os.chmod(path, 0o400)
    if os.geteuid() == 0:
        done = subprocess.run(["chattr", "+i", path], capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"this file system has no immutable files: {done.stderr.strip()}")
    try:
        refused_store(stand, folder, "read-only", "readonly", "permitted", "denied", "unable to open")
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", path], check=True)


def store_second_daemon(stand):
    folder = stand.new_folder()
    with Daemon(folder) as daemon:
        daemon.send("first")
        other = stand.new_folder()
        os.symlink(os.path.join(folder, "parley.db"), os.path.join(other, "parley.db"))
        refused_store(stand, other, "another", "locked", "in use")
        second = tempfile.mkdtemp(dir=folder)
        path = os.path.join(second, "parley.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(yaml(base_config(free_port(), {"box": {"plugin": "sink"}}, os.path.join(folder, "parley.db"))))
        os.chmod(path, 0o600)
        done = parleyd_with(path)
        expect_true(done.returncode not in (0, "it runs"), f"the second one ends: {done.stderr}")
        daemon.send("the first one goes on")


def store_flipped_page(stand):
    folder = made_store(stand)
    path = os.path.join(folder, "parley.db")
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        page = 4096
        for at in range(2 * page, size, page):  # most pages, so that whatever is looked at is among them
            file.seek(at)
            file.write(b"\xff" * 64)
    refused_store(stand, folder, "damaged", "malformed")


def store_folder_missing(stand):
    folder = stand.new_folder()
    path = os.path.join(folder, "parley.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml(base_config(free_port(), {"box": {"plugin": "sink"}}, "missing/parley.db")))
    os.chmod(path, 0o600)
    done = parleyd_with(path, timeout_s=START_S)
    expect_true(done.returncode not in (0, "it runs"), "it ends")
    expect_true("missing" in done.stderr, f"it names the folder: {done.stderr}")


# --- templates ---

def template(stand, name, content, status=200, code=None):
    """Puts a template of one language; a refused one leaves nothing behind."""
    answer = stand.daemon.put(f"/v1/templates/{name}", {"locales": {"en": content}})
    expect((answer.status, answer.json.get("code")), (status, code), answer.text[:300])
    if status != 200:
        expect(stand.daemon.get(f"/v1/templates/{name}").status, 404, f"{name} is not there")
    return answer.json


def rendered(stand, name, status=200, code=None, **data):
    answer = stand.daemon.post(f"/v1/templates/{name}/render", {"data": data})
    expect((answer.status, answer.json.get("code")), (status, code), answer.text[:300])
    return answer.json.get("content")


def template_includes(stand):
    for partial in ("/etc/passwd", "../x", "x/../y", "file:///etc/passwd", "http://127.0.0.1/", "nobody"):
        template(stand, "bad.includes", {"text": "{{> %s}}" % partial}, 422, "unknown_partial")
    template(stand, "bad.itself", {"text": "{{>bad.itself}}"}, 422, "cycle")
    for name, text in (("ring.a", "a"), ("ring.b", "{{>ring.a}}"), ("ring.c", "{{>ring.b}}")):
        template(stand, name, {"text": text})
    answer = stand.daemon.put("/v1/templates/ring.a", {"locales": {"en": {"text": "{{>ring.c}}"}}})
    problem(answer, 422, "cycle")
    expect(rendered(stand, "ring.c"), {"text": "a"}, "what was there goes on")


def template_limits(stand):
    template(stand, "bad.deep", {"text": "{{#a}}" * 80000}, 422, "limit")
    answer = stand.daemon.put("/v1/templates/bad.big", {"locales": {"en": {"text": "x" * (600 << 10)}}})
    expect(answer.status, 413, answer.text[:300])
    template(stand, "loops", {"text": "{{#a}}{{#a}}x{{/a}}{{/a}}"})
    began = time.monotonic()
    rendered(stand, "loops", 422, "limit", a=[1] * 100000)
    expect_true(time.monotonic() - began < CPU_MAX_S, "it is refused soon")
    template(stand, "wide", {"text": "{{#a}}" + "0123456789abcdef" * 1000 + "{{/a}}"})
    rendered(stand, "wide", 422, "limit", a=[1] * 10000)
    before = accepted(stand)
    sent = stand.daemon.post("/v1/messages", {"to": {"email": "ana@example.org"}, "topic": "orders", "template": "wide", "channels": ["lab"],
                                              "data": {"a": [1] * 200}})
    problem(sent, 413, "content_too_large")
    expect(accepted(stand), before, "nothing is accepted")


def template_values(stand):
    template(stand, "values", {"text": "{{x}}", "html": "<style>p{color:{{x}}}</style><p style=\"width:{{x}}\" title=\"{{x}}\">{{x}}</p>"})
    html = rendered(stand, "values", x="<script>alert(1)</script>")["html"]
    expect_true("<script" not in html and "&lt;script&gt;" in html, html)
    html = rendered(stand, "values", x='" onload=alert(1) x="')["html"]
    expect_true('" onload' not in html, html)
    html = rendered(stand, "values", x="</style><b>")["html"]
    expect(html.count("</style>"), 1, html)
    html = rendered(stand, "values", x="expression(alert(1))")["html"]
    expect_true("expression(" not in html.replace(">expression(", "").replace('title="expression(', ""), html)
    template(stand, "links", {"text": "x", "html": "<a href=\"{{x}}\">x</a>"})
    for link in ("javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd"):
        rendered(stand, "links", 422, "unsafe_link", x=link)
    for place in ("<script>{{x}}</script>", "<b onload=\"{{x}}\">", "<b title={{x}}>", "<{{x}}>"):
        template(stand, "bad.place", {"text": "x", "html": place}, 422, "unsafe_place")


def template_line_breaks(stand):
    template(stand, "breaks", {"subject": "Order {{x}}", "text": "{{x}}", "html": "<a href=\"https://shop.example/?q={{x}}\">x</a>",
                               "buttons": [{"label": "To {{x}}", "url": "https://shop.example/{{x}}"}]})
    made = rendered(stand, "breaks", x="1\r\nBcc: eve@evil.example")
    expect(made["subject"], "Order 1 Bcc: eve@evil.example")
    expect_true("?q=1%0D%0ABcc%3A%20eve" in made["html"], made["html"])
    expect_true("\r" not in made["buttons"][0]["label"] and "%0D%0A" in made["buttons"][0]["url"], made["buttons"])
    template(stand, "bad.subject", {"subject": "a\r\nBcc: x", "text": "x"}, 422, "header_injection")


def template_places(stand):
    for member in ("to", "from", "sender", "recipient", "url", "headers"):
        template(stand, "bad.member", {"text": "x", member: "{{x}}"}, 422, "unknown_field")
    template(stand, "bad.host", {"text": "x", "html": "<a href=\"https://{{x}}/\">x</a>"}, 422, "unsafe_place")
    template(stand, "bad.host", {"text": "x", "buttons": [{"label": "x", "url": "https://{{x}}/"}]}, 422, "unsafe_place")
