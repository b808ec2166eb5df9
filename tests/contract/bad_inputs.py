#!/usr/bin/python3
# label: spine
# timeout: 300
# build: debug asan
# stores: sqlite postgres
"""Every line of bad input that HTTP, JSON, the API, URLs, webhooks, the configuration, the command line and the database
can get is answered with a clear error, and nothing is stored or sent. One row of tests/vectors/bad_inputs.json is one test;
its first word is the number of the line.

A row has one of: get (a path), raw (bytes as they go over the wire), request, body or message (POST /v1/messages: the text
of a body, or members that replace those of a good one), url (POST /v1/subscriptions, no private address allowed), inbound
(a signed POST /in/hook, spoilt), yaml or config (a file parleyd is started with), cli, do (a function of
bad_inputs_cases.py or bad_inputs_postgres.py). A row that names a store is left out on the other one. In texts {{x*9}}
stands for nine x and %NAME% for what fill() knows; in bytes a character is a byte."""

import json
import os
import re
import socket
import subprocess
import time

import bad_inputs_cases as cases
import bad_inputs_postgres as databases
from bad_inputs_stand import ANSWER_S, Stand, parleyd_with, read_answer
from parley_test import (BIN_DIR, KEY, ON_POSTGRES, PLUGIN_DIR, TOP, Client, Failure, expect, expect_true, run, test,
                         webhook_signature)

VECTORS = os.path.join(TOP, "tests", "vectors", "bad_inputs.json")
SECRET_TEXT = "private-words-of-a-customer-9d3f"
GONE_S = 10
EX_CONFIG = 78
CLI_FAILED = 1
REPEATED = re.compile(r"\{\{(.+?)\*(\d+)\}\}", re.S)
GOOD = {"to": {"email": "ana@example.org"}, "topic": "orders", "content": {"text": SECRET_TEXT}, "channels": ["hook"]}
INBOUND = {"id": "in-1", "from": {"email": "eva@example.org"}, "text": SECRET_TEXT}

stand = Stand()


# --- texts ---

def fill(text, more=None):
    authority = f"127.0.0.1:{stand.daemon.port}"
    good = json.dumps(GOOD)
    inner = f"POST /v1/messages HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {KEY}\r\n" \
            f"Content-Type: application/json\r\nContent-Length: {len(good)}\r\n\r\n{good}"
    known = {"HOST": f"Host: {authority}\r\n", "AUTHORITY": authority, "AUTH": f"Authorization: Bearer {KEY}\r\n", "KEY": KEY,
             "WRONG_KEY": KEY[:-1] + ("0" if KEY[-1] != "0" else "1"), "SECRET_TEXT": SECRET_TEXT, "GOOD": good,
             "GOOD_LENGTH": str(len(good)), "INNER": inner, "INNER_LENGTH": str(len(inner)), "PLUGINS": PLUGIN_DIR,
             "URL": f"http://{authority}", "NOW": str(int(time.time())), **(more or {})}
    text = REPEATED.sub(lambda found: found.group(1) * int(found.group(2)), text)
    return re.sub(r"%([A-Z_]+)%", lambda found: known[found.group(1)], text)


def fill_all(value):
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, dict):
        return {key: fill_all(item) for key, item in value.items()}
    return [fill_all(item) for item in value] if isinstance(value, list) else value


# --- judging an answer ---

def among(got, wanted, what):
    wanted = wanted if isinstance(wanted, list) else [wanted]
    expect_true(got in wanted, f"{what}: got {got!r}, want {' or '.join(map(repr, wanted))}")


def judge(row, status, headers, body):
    among(status, row["status"], f"status {body[:300]!r}")
    if status is not None and status >= 400:
        expect_true(status < 500 or status == 505, f"status {status}: input alone is never our failure")
        stand.known_5xx += status == 505
        expect(headers.get("Content-Type"), "application/problem+json", "type of the error")
        problem = json.loads(body)
        expect(problem["status"], status, "status in the body")
        expect_true(problem.get("code") and problem.get("detail") is not None, f"a code and a detail: {body[:300]!r}")
        judge_problem(row, problem)
    if "header" in row:
        expect_true(headers.get(row["header"]), f"the header {row['header']} is there")


def judge_problem(row, problem):
    if "code" in row:
        among(problem["code"], row["code"], "code")
    if "pointer" in row:
        pointers = [error["pointer"] for error in problem.get("errors", [])]
        expect_true(row["pointer"] in pointers, f"the error points to {row['pointer']}: {problem}")
    if "says" in row:
        expect_true(row["says"] in json.dumps(problem, ensure_ascii=False), f"the error says {row['says']!r}: {problem}")


# --- raw bytes ---

def send_raw(data):
    peer = socket.create_connection(("127.0.0.1", stand.daemon.port), timeout=ANSWER_S)
    try:
        peer.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all of it was read: the answer may be there all the same
    return peer


def case_raw(row):
    with send_raw(fill(row["raw"]).encode("latin-1")) as peer:
        kept = bytearray()
        if "answers" in row:
            expect([(read_answer(peer, kept) or (None,))[0] for _ in row["answers"]], row["answers"], "the answers")
        else:
            judge(row, *(read_answer(peer, kept) or (None, {}, b"")))
        if row.get("drop"):
            peer.settimeout(GONE_S)
            expect(read_answer(peer, kept), None, "nothing more, and the connection is closed")


# --- requests ---

def headers_of(row, more):
    headers = {name: fill(value) for name, value in {**more, **row.get("headers", {})}.items()}
    if "authorization" in row and row["authorization"] is not None:
        headers["Authorization"] = fill(row["authorization"])
    return headers


def ask(row, method, path, body=None, headers=None):
    client = Client(stand.daemon.port, key=None if "authorization" in row else KEY, timeout_s=ANSWER_S)
    try:
        answer = client.request(method, path, body, headers=headers_of(row, headers or {}))
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Failure(f"the connection ended without an answer: {error}") from None
    finally:
        client.close()
    judge(row, answer.status, answer.headers, answer.body)


def case_get(row):
    ask(row, "GET", fill(row["get"]))


def case_body(row):
    ask(row, "POST", row.get("path", "/v1/messages"), fill(row["body"]).encode("latin-1"),
        {"Content-Type": "application/json"})


def case_message(row):
    ask(row, "POST", row.get("path", "/v1/messages"), {**GOOD, **fill_all(row["message"])})


def case_request(row):
    request = row["request"]
    body = request["json"] if "json" in request else fill(request["body"]).encode("latin-1")
    ask(row, request["method"], request["path"], body,
        {"Content-Type": "application/json", **request.get("headers", {})})


def case_url(row):
    answer = stand.strict.post("/v1/subscriptions", {"url": fill(row["url"])})
    judge({"status": 422, "pointer": "/url", **row}, answer.status, answer.headers, answer.body)


def case_inbound(row):
    how = row["inbound"]
    body = fill(how["body"]).encode() if "body" in how else json.dumps(INBOUND).encode()
    secret = stand.other_secret if how.get("secret") == "other" else stand.hook_secret
    stamp = fill(how["timestamp_text"]) if "timestamp_text" in how else str(int(time.time()) + how.get("timestamp", 0))
    right = webhook_signature(secret, "in-1", stamp, body)
    headers = {"webhook-id": "in-1", "webhook-timestamp": stamp, "webhook-signature": right}
    if "signature" in how:
        headers["webhook-signature"] = fill(how["signature"], {"RIGHT": right, "BARE": right.removeprefix("v1,")})
    for name in how.get("drop", []):
        del headers[name]
    sent = how["body_after"].encode() if "body_after" in how else body
    ask({**row, "authorization": None}, "POST", how.get("path", "/in/hook"), sent, headers)


# --- starting a program ---

def case_start(row):
    path, env = cases.config_file(stand, row, fill)
    began = time.monotonic()
    started = parleyd_with(path, env)
    expect_true(time.monotonic() - began < ANSWER_S, "it ends at once")
    judge_start(row, path, started, EX_CONFIG)
    if not row.get("create"):  # what only a made channel knows
        checked = subprocess.run([os.path.join(BIN_DIR, "parley"), "config", "check", path], capture_output=True, timeout=60,
                                 env={**os.environ, "PARLEY_KEY": KEY, **env}, encoding="utf-8", errors="replace")
        judge_start(row, path, checked, CLI_FAILED)


def judge_start(row, path, done, code):
    said = done.stderr + done.stdout
    expect(done.returncode, code, f"exit code, said {said[-500:]!r}")
    if "line" in row:
        expect_true(re.search(rf"parley\.yaml:{row['line']}:\d+", said), f"it names the file and line {row['line']}: {said}")
    expect_true(os.path.basename(path) in said, f"it names the file: {said}")
    expect_true(row.get("says", "") in said, f"it says {row.get('says')!r}: {said}")
    expect_true("hides" not in row or row["hides"] not in said, f"the secret isn't shown: {said}")


def case_cli(row):
    words = [fill(word) for word in row["cli"]]
    env = {**os.environ, "PARLEY_KEY": KEY, **{name: fill(value) for name, value in row.get("env", {}).items()}}
    done = subprocess.run([os.path.join(BIN_DIR, words[0]), *words[1:]], env=env, capture_output=True, timeout=60,
                          cwd=stand.folder, stdin=subprocess.DEVNULL)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    among(done.returncode, row["exit"], f"exit code, said {said[-300:]!r}")
    expect_true(row.get("says", "").lower() in said.lower(), f"it says {row.get('says')!r}: {said[:500]}")
    expect_true(KEY not in said, "the key is not shown")


CASES = {"raw": case_raw, "get": case_get, "body": case_body, "message": case_message, "request": case_request,
         "url": case_url, "inbound": case_inbound, "yaml": case_start, "config": case_start, "cli": case_cli}


def run_row(row):
    if "do" in row:
        getattr(databases if row["do"].startswith("database_") else cases, row["do"])(stand)
        return
    before = stand.counts()
    CASES[next(kind for kind in CASES if kind in row)](row)
    before["inbound"] += row.get("stored", 0)
    expect(stand.counts(), before, "what is stored and sent")


def add_test(row):
    def one():
        run_row(row)

    one.__name__ = f"{row['b']} {row['name']}"
    test(one)


def load():
    store = "postgres" if ON_POSTGRES else "sqlite"
    with open(VECTORS, encoding="utf-8") as file:
        for row in json.load(file):
            if row.get("store", store) == store:
                add_test(row)


# --- when all rows have run ---

def nothing_of_all_this_was_sent_or_logged():
    expect([request.path for request in stand.hook.requests], [], "what reached the endpoint of the rows")
    expect([request.path for request in stand.bait.requests], [], "what fetched a URL that a stranger gave")
    for daemon in (stand.daemon, stand.strict):
        log = daemon.log()
        for word in (SECRET_TEXT, KEY, stand.hook_secret, "ana@example.org", "eva@example.org"):
            expect_true(word not in log, f"{word!r} is in the log")


def the_daemon_lives_and_its_sums_are_right():
    expect(stand.daemon.probe("/healthz"), 200)
    expect(stand.daemon.metric("parley_messages_add_up"), 1.0)
    expect(stand.daemon.metric("parley_http_answers_total", '{class="5xx"}'), stand.known_5xx)
    expect_true(stand.daemon.metric("parley_resident_bytes") < stand.rss_max_bytes, "memory is bounded")


def both_daemons_end_in_order():
    expect((stand.daemon.stop(), stand.strict.stop()), (0, 0))


load()
test(nothing_of_all_this_was_sent_or_logged)
test(the_daemon_lives_and_its_sums_are_right)
test(both_daemons_end_in_order)
try:
    run()
finally:
    stand.stop()
