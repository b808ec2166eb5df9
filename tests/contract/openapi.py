#!/usr/bin/python3
# label: spine
# timeout: 240
# stores: sqlite postgres
"""/openapi.json against the daemon that serves it: spectral lints it, it has exactly the routes that are served, and a
prism proxy in front of the daemon holds every answer, of every operation, good and bad, against it."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import time

from parley_peers import peer_env, peer_path
from parley_test import (ON_POSTGRES, SECRET, TOP, Client, Daemon, Recorder, Reply, expect, expect_true, free_port, need_tool,
                         post_inbound, run, test, wait_until, webhook_headers)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PROXY_START_S = 90
ROUTE = re.compile(r'\{HTTP_M_([A-Z]+), "([^"]+)", ([A-Z_0-9| ]+), ([A-Z_0-9| ]+), [^,]+, [a-z_]+, "([A-Za-z]+)"')


def operations(document):
    """{(method, path): operation}"""
    return {(method.upper(), path): operation for path, methods in document["paths"].items()
            for method, operation in methods.items() if method.upper() in METHODS}


def path_pattern(path):
    return re.compile("^" + re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(path)) + "$")


def table():
    """The rows of the route table, read from its source: (method, path) and the operation's name."""
    with open(os.path.join(TOP, "core", "api", "routes.c"), encoding="utf-8") as source:
        text = re.sub(r"\s+", " ", source.read())
    return {(method, path.replace("...}", "}")): name for method, path, _, _, name in ROUTE.findall(text)}


@test
def spectral_finds_no_fault(folder):
    with Daemon(folder) as daemon:
        path = os.path.join(folder, "openapi.json")
        with open(path, "wb") as file:
            file.write(daemon.get("/openapi.json").body)
    done = subprocess.run([need_tool("node"), peer_path("api", "@stoplight", "spectral-cli", "dist", "index.js"), "lint", path,
                           "--ruleset", os.path.join(TOP, "tests", "contract", "openapi.spectral.yaml"),
                           "--fail-severity", "warn"], env=peer_env("api"), capture_output=True, text=True, timeout=180)
    expect(done.returncode, 0, done.stdout[-2000:] + done.stderr[-500:])


@test
def it_has_the_rows_of_the_route_table_and_no_others(folder):
    with Daemon(folder) as daemon:
        document = daemon.get("/openapi.json").json
    rows, described = table(), {key: operation["operationId"] for key, operation in operations(document).items()}
    expect_true(len(rows) > 50, f"the table was read: {len(rows)} rows")
    expect(sorted(rows.items() - described.items()), [], "served and not described")
    expect(sorted(described.items() - rows.items()), [], "described and not served")
    expect(len(set(described.values())), len(described), "names of operations")


@test
def what_is_described_is_served_and_other_methods_are_not(folder):
    with Daemon(folder) as daemon:
        document = daemon.get("/openapi.json").json
        for path in document["paths"]:
            serves(daemon, operations(document), path)


def serves(daemon, described, path):
    """Each method at this path answers as the description of all paths that fit says."""
    concrete = re.sub(r"\{[a-z]+\}", "x", path)
    fitting = {method: operation for (method, its_path), operation in described.items() if path_pattern(its_path).match(concrete)}
    for method in METHODS:
        with contextlib.closing(Client(daemon.port, key=None)) as stranger:
            answer = stranger.request(method, concrete)
        if method not in fitting:
            expect(answer.status, 405, f"{method} {path}")
            allowed = {word.strip() for word in answer.headers["Allow"].split(",")} - {"HEAD", "OPTIONS"}
            expect(allowed, set(fitting), f"Allow of {path}")
        elif fitting[method].get("security") is None:
            expect(answer.status, 401, f"{method} {path} without a key")
        else:
            expect_true(answer.status != 405 and "no_such_route" not in answer.text, f"{method} {path}: {answer}")


class Prism:
    """prism proxy --errors in front of a daemon: an answer that is not as described becomes a 500."""

    def __init__(self, folder, document, upstream_port):
        self.port = free_port()
        path = os.path.join(folder, "openapi.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        self.log_path = os.path.join(folder, "prism.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [need_tool("node"), peer_path("api", "@stoplight", "prism-cli", "dist", "index.js"), "proxy", path,
                 f"http://127.0.0.1:{upstream_port}", "--errors", "--host", "127.0.0.1", "--port", str(self.port)],
                env=peer_env("api"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.is_up, lambda: f"prism listens:\n{self.log()}", PROXY_START_S)

    def is_up(self):
        expect(self.process.poll(), None, f"prism runs:\n{self.log()}")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as probe:
            try:
                probe.request("GET", "/healthz")
                return probe.getresponse().status in (200, 500)
            except (OSError, http.client.HTTPException):
                return False

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Tour:
    """Calls operations through the proxy and remembers which."""

    def __init__(self, document, port):
        self.paths = [(path_pattern(path), method, operation["operationId"])
                      for (method, path), operation in operations(document).items()]
        self.port = port
        self.seen = set()

    def call(self, status, method, path, body=None, key=True, headers=None):
        client = Client(self.port, timeout_s=60) if key else Client(self.port, key=None, timeout_s=60)
        try:
            answer = client.request(method, path, body, headers=headers or {})
        finally:
            client.close()
        bare = path.split("?")[0]
        self.seen.update(name for pattern, its_method, name in self.paths if its_method == method and pattern.match(bare))
        expect(answer.status, status, f"{method} {path} {answer.text[:1500]}")
        expect_true("prism/errors" not in answer.text, f"{method} {path} {answer.text[:1500]}")
        return answer.json if answer.body and "json" in answer.headers.get("Content-Type", "") else answer


def change(config):
    config["topics"]["holds"] = {"class": "transactional", "on_unknown": "hold"}
    config["topics"]["told"] = {"class": "marketing", "track": {"clicks": True, "opens": True}}
    config["forms"] = {"news": {"topic": "newsletter", "channel": "box"}}
    config["plans"]["default"] = [{"channel": "hook"}]


def next_month():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30 * 86400))


def tour_messages(tour, daemon, shop):
    message = Daemon.message("hello", key="k-1", content={"subject": "s", "text": "t", "html": "<b>h</b>", "buttons": [
        {"label": "Yes"}, {"label": "Shop", "url": "https://shop.example/"}], "location": {"latitude": 1, "longitude": -2.5}})
    sent = tour.call(202, "POST", "/v1/messages", message, headers={"Idempotency-Key": "tour-1"})
    tour.call(202, "POST", "/v1/messages", message, headers={"Idempotency-Key": "tour-1"})
    expect(tour.call(200, "POST", "/v1/messages", message)["id"], sent["id"])
    tour.call(422, "POST", "/v1/messages", Daemon.message("other"), headers={"Idempotency-Key": "tour-1"})
    tour.call(422, "POST", "/v1/messages", Daemon.message("x", topic="nothing"))
    tour.call(202, "POST", "/v1/messages", Daemon.message("news", topic="newsletter"))
    tour.call(200, "POST", "/v1/messages/batch", {"items": [Daemon.message("b1"), Daemon.message("b2", topic="nothing"),
                                                            message]})
    daemon.wait_status(sent["id"], "sent")
    tour.call(200, "GET", f"/v1/messages/{sent['id']}")
    tour.call(404, "GET", "/v1/messages/msg_0000000000001")
    page = tour.call(200, "GET", "/v1/messages?limit=1&status=sent&to=email:ana@example.org&topic=orders&channel=hook&direction=out")
    expect(len(page["items"]), 1)
    cursor = tour.call(200, "GET", "/v1/messages?limit=1")["next"]
    tour.call(200, "GET", f"/v1/messages?limit=1&cursor={cursor}")
    tour.call(400, "GET", "/v1/messages?cursor=AAAA")
    later = tour.call(202, "POST", "/v1/messages", Daemon.message("later", send_at=next_month(), key="k-2"))
    tour.call(200, "POST", "/v1/messages/key:k-2/cancel")
    tour.call(200, "POST", f"/v1/messages/{later['id']}/cancel")
    tour.call(404, "POST", "/v1/messages/key:k-3/cancel")
    shop.then(Reply(drop=True))
    held = tour.call(202, "POST", "/v1/messages", Daemon.message("hold", topic="holds"))
    daemon.wait_status(held["id"], "held")
    tour.call(200, "GET", f"/v1/messages/{held['id']}")
    tour.call(200, "POST", f"/v1/messages/{held['id']}/resolve", {"as": "sent"})
    tour.call(409, "POST", f"/v1/messages/{held['id']}/resolve", {"as": "sent"})
    tour.call(200, "POST", "/v1/explain", Daemon.message("what if", topic="newsletter"))
    tour.call(401, "GET", "/v1/messages", headers={"Authorization": "Bearer wrong"})
    return sent


def tour_media(tour):
    media = tour.call(201, "POST", "/v1/media?name=a.txt", b"Dear diary", headers={"Content-Type": "text/plain"})
    shown = tour.call(200, "GET", f"/v1/media/{media['id']}")
    link = shown["url"].split("/", 3)[3]
    tour.call(200, "GET", f"/{link}", key=False)
    tour.call(404, "GET", f"/media/{media['id']}?e=1&s=AAAA", key=False)
    tour.call(404, "GET", "/v1/media/med_0000000000001")


def tour_customers(tour):
    ana = tour.call(201, "PUT", "/v1/customers/external:shop-77", {
        "name": "Ana", "locale": "es", "timezone": "Europe/Madrid", "tags": ["vip"], "attributes": {"size": 42},
        "identities": {"email": "ana.lopez@example.org", "phone": "+34600111222"}})
    tour.call(200, "PUT", f"/v1/customers/{ana['id']}", {"name": None})
    tour.call(200, "GET", f"/v1/customers/{ana['id']}")
    tour.call(404, "GET", "/v1/customers/external:nobody")
    tour.call(200, "GET", "/v1/customers?identity=email:ana.lopez@example.org")
    tour.call(200, "PUT", f"/v1/customers/{ana['id']}/consents/newsletter/email", {"granted": True, "source": "form"})
    tour.call(200, "GET", f"/v1/customers/{ana['id']}/consents")
    event = {"customer": ana["id"], "type": "checkout", "stage": "during", "data": {"order": "1042"}, "key": "e-1"}
    tour.call(201, "POST", "/v1/events", event)
    tour.call(200, "POST", "/v1/events", event)
    tour.call(202, "POST", "/v1/messages", Daemon.message("hi", to={"external": "shop-77"}))
    tour.call(200, "GET", "/v1/customers/external:shop-77/timeline?limit=10")
    tour.call(201, "POST", "/v1/suppressions", {"identity": "email:gone@example.org", "reason": "manual"})
    tour.call(200, "GET", "/v1/suppressions?limit=1")
    tour.call(204, "DELETE", "/v1/suppressions/email:gone@example.org")
    tour.call(404, "DELETE", "/v1/suppressions/email:gone@example.org")


def tour_pages(tour, shop):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    asked = tour.call(202, "PUT", "/v1/customers/external:shop-77/consents/told/email", {"granted": True, "confirm": True})
    tour.call(422, "PUT", "/v1/customers/external:shop-77/consents/told/voice", {"granted": True, "confirm": True})
    tour.call(200, "GET", "/s/news", key=False)
    tour.call(200, "POST", "/s/news", b"email=bea%40example.org", key=False, headers=form)
    tour.call(422, "POST", "/s/news", b"email=bea", key=False, headers=form)
    tour.call(404, "GET", "/s/nothing", key=False)

    def sunk(message):
        return wait_until(lambda: tour.call(200, "GET", f"/v1/channels/box/sink?message={message}")["items"], "the sink has it")[0]

    def link(text, letter):
        return "/" + re.search(rf"http://[^\s\"]+/({letter}/[a-z0-9]+)", text).group(1)

    confirm = link(json.dumps(sunk(asked["confirmation"])["parts"][0]["text"]), "d")
    tour.call(200, "GET", confirm, key=False)
    tour.call(200, "POST", confirm, b"do=confirm", key=False, headers=form)
    sent = tour.call(202, "POST", "/v1/messages", {"to": {"external": "shop-77"}, "topic": "told", "channels": ["box"], "content": {
        "html": f"<a href='{shop.url}'>x</a><a href='{{{{preferences_url}}}}'>p</a>"}})
    entry = sunk(sent["id"])
    html = next(part["text"] for part in entry["parts"] if part["kind"] == "html")
    shop.then(Reply(200, b"<p>the shop", {"Content-Type": "text/html"}))
    tour.call(200, "GET", link(html, "c"), key=False)  # prism follows it
    tour.call(200, "GET", link(html, "o"), key=False)
    tour.call(200, "GET", link(html, "p"), key=False)
    tour.call(200, "POST", link(html, "p"), b"do=save", key=False, headers=form)
    tour.call(200, "GET", link(entry["unsubscribe_url"], "u"), key=False)
    tour.call(200, "POST", link(entry["unsubscribe_url"], "u"), b"List-Unsubscribe=One-Click", key=False, headers=form)
    for letter in "updc":
        tour.call(404, "GET", f"/{letter}/forged", key=False)
    tour.call(200, "GET", "/o/forged", key=False)


def tour_inbox(tour, daemon):
    event = {"id": "in-1", "from": {"email": "ana@example.org"}, "text": "Where is it?"}
    body = json.dumps(event).encode()
    expect(post_inbound(daemon, "hook", event).status, 200)
    tour.call(404, "POST", "/in/hook/deeper", body, key=False, headers=webhook_headers(SECRET, "in-1", body))
    tour.call(404, "PUT", "/in/nobody/x", body, key=False)
    tour.call(404, "GET", "/in/hook/deeper", key=False)
    inbox = tour.call(200, "GET", "/v1/conversations?state=open&limit=5")
    conversation = inbox["items"][0]["id"]
    tour.call(200, "GET", f"/v1/conversations/{conversation}?limit=5")
    tour.call(202, "POST", f"/v1/conversations/{conversation}/replies", {"content": {"text": "Today."}})
    tour.call(201, "POST", f"/v1/conversations/{conversation}/notes", {"text": "called her"})
    tour.call(200, "PATCH", f"/v1/conversations/{conversation}", {"assignee": "eva", "tags": ["late"], "state": "pending"})
    tour.call(200, "GET", f"/v1/conversations/{conversation}")
    tour.call(404, "GET", "/v1/conversations/cnv_0000000000001")


def tour_feed(tour, desk):
    page = tour.call(200, "GET", "/v1/events?limit=3")
    tour.call(200, "GET", f"/v1/events?limit=200&types=message.*,touchpoint.*&after={page['cursor']}")
    tour.call(400, "GET", "/v1/events?after=AAAA")
    tour.call(201, "POST", "/v1/events/tickets", {})
    made = tour.call(201, "POST", "/v1/subscriptions", {"name": "desk", "url": desk.url, "types": ["message.received"],
                                                        "filter": {"topic": "orders"}})
    tour.call(409, "POST", "/v1/subscriptions", {"name": "desk", "url": desk.url})
    tour.call(200, "GET", "/v1/subscriptions")
    tour.call(200, "GET", f"/v1/subscriptions/{made['id']}")
    tour.call(200, "PATCH", f"/v1/subscriptions/{made['id']}", {"types": ["*"], "filter": {}})
    tour.call(200, "POST", f"/v1/subscriptions/{made['id']}/test")
    desk.answer = Reply(500)
    tour.call(202, "POST", f"/v1/subscriptions/{made['id']}/replay", {"events": [page["items"][0]["id"]]})
    desk.wait_for(count=2)
    tour.call(200, "GET", f"/v1/subscriptions/{made['id']}/deliveries?limit=10")
    tour.call(202, "POST", f"/v1/subscriptions/{made['id']}/replay", {})
    tour.call(200, "POST", f"/v1/subscriptions/{made['id']}/rotate", {})
    tour.call(204, "DELETE", f"/v1/subscriptions/{made['id']}")
    tour.call(404, "GET", f"/v1/subscriptions/{made['id']}")


def tour_templates(tour):
    order = {"locales": {"en": {"subject": "Order {{order}}", "text": "Hi {{name}}", "channels": {"hook": {"text": "{{order}}"}}},
                         "pt": {"text": "Oi {{name}}"}}, "default_locale": "en",
             "variables": {"order": {"type": "text"}, "name": {"required": False, "description": "who"}}}
    tour.call(200, "PUT", "/v1/templates/order", order)
    tour.call(200, "PUT", "/v1/templates/order", {**order, "default_locale": "pt"})
    tour.call(422, "PUT", "/v1/templates/wrong", {"locales": {"en": {"text": "{{#a}}"}}})
    tour.call(200, "PUT", "/v1/templates/around", {"locales": {"en": {"text": "{{>order}}"}}})
    tour.call(200, "GET", "/v1/templates")
    tour.call(200, "GET", "/v1/templates/order")
    tour.call(200, "GET", "/v1/templates/order?version=1")
    tour.call(404, "GET", "/v1/templates/order?version=7")
    tour.call(200, "GET", "/v1/templates/order/versions")
    made = tour.call(200, "POST", "/v1/templates/order/render", {"data": {"order": "1"}, "locale": "pt-BR", "channel_kind": "sms"})
    expect((made["template"], made["locale"]), ("order@2", "pt"))
    tour.call(422, "POST", "/v1/templates/order/render", {"data": {}})
    sent = tour.call(202, "POST", "/v1/messages", {"to": {"email": "ana@example.org"}, "topic": "orders", "template": "order",
                                                   "data": {"order": "1"}, "locale": "en"})
    expect(tour.call(200, "GET", f"/v1/messages/{sent['id']}")["template"], "order@2")
    tour.call(422, "POST", "/v1/messages", {"to": {"email": "ana@example.org"}, "topic": "orders", "template": "order"})
    tour.call(409, "DELETE", "/v1/templates/order")
    tour.call(204, "DELETE", "/v1/templates/around")
    tour.call(404, "DELETE", "/v1/templates/around")


def tour_operations(tour, folder):
    for path in ("/v1/channels", "/v1/channels/hook", "/v1/channels/box", "/v1/plugins", "/v1/topics", "/v1/keys", "/healthz",
                 "/readyz", "/metrics", "/openapi.json"):
        tour.call(200, "GET", path)
    tour.call(404, "GET", "/v1/channels/nobody")
    for what in ("check", "pause", "resume"):
        tour.call(200, "POST", f"/v1/channels/box/{what}")
    tour.call(200, "POST", "/v1/channels/box/reload")
    tour.call(200, "POST", "/v1/plugins/sink/reload")
    tour.call(404, "POST", "/v1/channels/nobody/reload")
    tour.call(404, "POST", "/v1/plugins/nobody/reload")
    tour.call(202, "POST", "/v1/messages", Daemon.message("to the sink", channels=["box"]))
    wait_until(lambda: tour.call(200, "GET", "/v1/channels/box/sink?limit=5")["items"], "the sink has it")
    key = tour.call(201, "POST", "/v1/keys", {"name": "reader", "scopes": ["messages:read"], "mode": "test", "expires_in": "1h"})
    tour.call(409, "POST", "/v1/keys", {"name": "reader", "scopes": ["messages:read"]})
    tour.call(403, "GET", "/v1/keys", headers={"Authorization": f"Bearer {key['secret']}"})
    tour.call(200, "GET", "/v1/keys")
    tour.call(204, "DELETE", f"/v1/keys/{key['id']}")
    by_daemon = 409 if ON_POSTGRES else 200  # on PostgreSQL the command line makes it, with pg_dump
    tour.call(by_daemon, "POST", "/v1/store/backup", {"path": os.path.join(folder, "copy.db")})
    tour.call(200, "POST", "/v1/store/resume")


@test
def every_operation_answers_as_described(folder):
    with Recorder() as shop, Recorder() as desk:
        channels = {"hook": shop.channel(), "box": {"plugin": "sink"}}
        with Daemon(folder, channels=channels, config=change) as daemon:
            document = daemon.get("/openapi.json").json
            with Prism(folder, document, daemon.port) as prism:
                tour = Tour(document, prism.port)
                tour_messages(tour, daemon, shop)
                tour_media(tour)
                tour_customers(tour)
                tour_pages(tour, shop)
                tour_inbox(tour, daemon)
                tour_feed(tour, desk)
                tour_templates(tour)
                tour_operations(tour, folder)
            expect(sorted({operation["operationId"] for operation in operations(document).values()} - tour.seen), [],
                   "operations that were not tried")


@test
def the_proxy_would_see_an_answer_that_is_not_as_described(folder):
    """The test of the test: the same proxy, with one type in the description changed."""
    with Daemon(folder) as daemon:
        document = daemon.get("/openapi.json").json
        schema = document["components"]["schemas"]["Health"]["properties"]["status"]
        schema.clear()
        schema["type"] = "integer"
        with Prism(folder, document, daemon.port) as prism:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", prism.port, timeout=60)) as peer:
                peer.request("GET", "/healthz")
                answer = peer.getresponse()
                expect((answer.status, b"VIOLATIONS" in answer.read()), (500, True))


run()
