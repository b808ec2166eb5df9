#!/usr/bin/env python3
"""A support system in 30 lines: takes Parley's feed at /feed, checks each signature (Standard Webhooks 1.0) and prints it.
usage: support_system.py PORT SECRET [SECRET-OF-THE-CHAT]   /chat plays the customer's side of a webhook channel."""
import base64, hashlib, hmac, json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def signed(headers, body, secret):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = headers.get("webhook-timestamp", "")
    want = hmac.new(key, f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body, hashlib.sha256).digest()
    given = [s[3:] for s in headers.get("webhook-signature", "").split() if s.startswith("v1,")]
    fresh = stamp.isdigit() and abs(time.time() - int(stamp)) < 300
    return fresh and any(hmac.compare_digest(base64.b64encode(want).decode(), g) for g in given)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        secret = sys.argv[-1] if self.path == "/chat" else sys.argv[2]
        good = signed(self.headers, body, secret)
        if good:
            print(json.dumps({"path": self.path, "body": json.loads(body)}), flush=True)
        self.send_response(204 if good else 401)
        self.end_headers()

    def do_HEAD(self):  # whether somebody is there: parley channel check, parley doctor
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
