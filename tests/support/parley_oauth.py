"""An OAuth 2.0 server of a test's own, strict where the RFCs are: refresh tokens (RFC 6749), codes to type in (RFC 8628), and
authorization codes with PKCE (RFC 7636). Whoever opens /authorize is granted at once. Python's standard library alone.

    with OAuth() as oauth:
        ... oauth.url("/token"), oauth.requests, oauth.refresh = {"r-1"}, oauth.rotate = True ..."""

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse


class OAuth:
    CLIENT = ("client-1", "client-secret-1")

    def __init__(self):
        self.refresh = {"refresh-0"}  # good refresh tokens
        self.rotate = False           # each use replaces the one that was used
        self.life_s = 3600
        self.down = False             # 503 to everything
        self.pending = []             # what the device endpoint's polls are told before they are granted
        self.requests = []            # the forms that came to /token
        self.granted = []             # access tokens
        self.codes = {}
        self.count = 0
        self.lock = threading.Lock()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"

    def __enter__(self):
        oauth = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                form = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                with oauth.lock:
                    code, answer = oauth.post(self.path, dict(urllib.parse.parse_qsl(form, strict_parsing=True)))
                self.say(code, json.dumps(answer).encode(), {"Content-Type": "application/json"})

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                with oauth.lock:
                    self.say(302, b"", {"Location": oauth.authorize(dict(urllib.parse.parse_qsl(url.query, strict_parsing=True)))})

            def say(self, code, body, headers):
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    # --- Endpoints ---

    def post(self, path, form):
        if self.down:
            return 503, {}
        if path == "/devicecode":
            return self.device(form)
        self.requests.append(form)
        if (form.get("client_id"), form.get("client_secret")) != self.CLIENT:
            return 401, {"error": "invalid_client"}
        take = {"refresh_token": self.by_refresh, "authorization_code": self.by_code,
                "urn:ietf:params:oauth:grant-type:device_code": self.by_device}.get(form.get("grant_type"))
        return take(form) if take else (400, {"error": "unsupported_grant_type"})

    def grant(self, refresh):
        self.count += 1
        self.granted.append(f"access.{self.count}")
        return 200, {"access_token": self.granted[-1], "token_type": "Bearer", "expires_in": self.life_s,
                     **({"refresh_token": refresh} if refresh else {})}

    def new_refresh(self):
        token = f"refresh-{len(self.requests)}-{len(self.refresh)}"
        self.refresh.add(token)
        return token

    def by_refresh(self, form):
        if form.get("refresh_token") not in self.refresh:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        if not self.rotate:
            return self.grant(None)
        self.refresh.discard(form["refresh_token"])
        return self.grant(self.new_refresh())

    def device(self, form):
        if form.get("client_id") != self.CLIENT[0] or "scope" not in form:
            return 400, {"error": "invalid_request"}
        return 200, {"device_code": "device/1+1", "user_code": "WDJB-MJHT", "verification_uri": self.url("/device"),
                     "expires_in": 60, "interval": 0.1}

    def by_device(self, form):
        if form.get("device_code") != "device/1+1":
            return 400, {"error": "invalid_grant"}
        if self.pending:
            return 400, {"error": self.pending.pop(0)}
        return self.grant(self.new_refresh())

    def authorize(self, query):
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256", query
        assert query["client_id"] == self.CLIENT[0] and len(query["state"]) >= 16, query
        code = f"code {len(self.codes)}/+&"
        self.codes[code] = (query["redirect_uri"], query["code_challenge"])
        return query["redirect_uri"] + "?" + urllib.parse.urlencode({"code": code, "state": query["state"]})

    def by_code(self, form):
        redirect, challenge = self.codes.pop(form.get("code"), (None, None))
        verifier = form.get("code_verifier", "")
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if redirect is None or form.get("redirect_uri") != redirect or hashed != challenge or not 43 <= len(verifier) <= 128:
            return 400, {"error": "invalid_grant"}
        return self.grant(self.new_refresh())
