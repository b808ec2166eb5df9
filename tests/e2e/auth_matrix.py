#!/usr/bin/python3
# label: spine
# timeout: 60
"""Every scope against every route of the binary's own OpenAPI document: a key opens what its scope names and nothing else;
what is no key at all opens nothing."""

import re

from parley_test import KEY, Client, Daemon, Failure, expect, expect_true, run, test

OPEN = {"/healthz", "/readyz", "/openapi.json", "/media/{id}"}
FOR_ANYBODY = ("/in/", "/u/", "/p/", "/d/", "/s/", "/c/", "/o/")  # what is signed, or a form
METHODS = ("get", "put", "post", "patch", "delete")
SCOPES = ("messages:send", "messages:read", "customers:read", "customers:write", "events:read", "events:write", "inbox:read",
          "inbox:reply", "subscriptions:write", "channels:admin", "metrics:read", "admin")
WRONG = {
    "nothing": {}, "an empty bearer": {"Authorization": "Bearer "}, "Basic": {"Authorization": "Basic dXNlcjpwYXNz"},
    "no scheme": {"Authorization": KEY}, "the last byte wrong": {"Authorization": f"Bearer {KEY[:-1]}x"},
    "a byte more": {"Authorization": f"Bearer {KEY}x"}, "a prefix": {"Authorization": f"Bearer {KEY[:20]}"},
    "a huge key": {"Authorization": "Bearer " + "k" * 8000}, "only a scheme": {"Authorization": "Bearer"},
    "8-bit": {"Authorization": "Bearer \xff\xfe"},
}


def routes(daemon):
    """(method, path with its names filled in, scope or None)."""
    document = daemon.get("/openapi.json").json
    found = []
    for path, methods in document["paths"].items():
        if path in OPEN or path.startswith(FOR_ANYBODY):
            continue
        filled = re.sub(r"\{[^}]*\}", "x", path)
        found += [(method.upper(), filled, path) for method in methods if method in METHODS]
    expect_true(len(found) > 40, f"the document has the routes: {len(found)}")
    return found


def ask(client, method, path, headers=None):
    return client.request(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None,
                          headers={"Content-Type": "application/json", **(headers or {})})


@test
def what_is_no_key_opens_nothing(folder):
    with Daemon(folder) as daemon:
        all_routes = routes(daemon)
        bodies = set()
        for name, headers in WRONG.items():
            client = Client(daemon.port, key=None)
            for method, path, _ in all_routes[::7]:
                if path == "/metrics":
                    continue  # open to loopback
                answer = ask(client, method, path, headers)
                expect(answer.status, 401, f"{method} {path} with {name}")
                expect_true(answer.headers.get("WWW-Authenticate"), f"{method} {path} says how")
                bodies.add((answer.json["code"], answer.json.get("detail")))
        expect(len(bodies), 1, f"one answer for all: {bodies}")
        answer = Client(daemon.port, key=None).get(f"/v1/messages?key={KEY}&access_token={KEY}")
        expect(answer.status, 401, "a key in the query string")
        expect_true(KEY not in daemon.log(), "the key isn't logged")


@test
def each_scope_opens_its_own_routes_and_no_others(folder):
    with Daemon(folder) as daemon:
        all_routes = routes(daemon)
        opened = {}
        for scope in SCOPES:
            made = daemon.post("/v1/keys", {"name": scope.replace(":", "-"), "scopes": [scope]})
            expect(made.status, 201, f"{scope}: {made.text}")
            client = Client(daemon.port, key=made.json["secret"])
            for method, path, template in all_routes:
                if template == "/metrics" or (scope == "admin" and method == "DELETE" and "keys" in path):
                    continue
                answer = ask(client, method, path)
                expect_true(answer.status not in (401, 500, 502), f"{scope} {method} {path}: {answer}")
                if answer.status != 403:
                    opened.setdefault((method, template), set()).add(scope)
        for method, _, template in all_routes:
            scopes = opened.get((method, template), set())
            if template == "/metrics" or (method == "DELETE" and "keys" in template):
                continue
            expect_true("admin" in scopes, f"admin opens {method} {template}")
            expect_true(len(scopes) <= 2, f"{method} {template} is opened by {scopes}")
            if method != "GET":
                expect_true(not [scope for scope in scopes if scope.endswith(":read")] or template in
                            ("/v1/explain", "/v1/events/tickets"), f"{method} {template} is opened by {scopes}")


@test
def a_revoked_key_is_no_key(folder):
    with Daemon(folder) as daemon:
        made = daemon.post("/v1/keys", {"name": "gone", "scopes": ["admin"]}).json
        client = Client(daemon.port, key=made["secret"])
        expect(client.get("/v1/keys").status, 200)
        expect(daemon.delete(f"/v1/keys/{made['id']}").status, 204)
        expect(client.get("/v1/keys").status, 401)
        expect(daemon.delete(f"/v1/keys/{made['id']}").status, 404)
        daemon.restart()
        expect(Client(daemon.port, key=made["secret"]).get("/v1/keys").status, 401)


run()
