#!/usr/bin/python3
# label: spine email
# timeout: 240
"""Logging in to a mail server by OAuth: access tokens are fetched, renewed and replaced; who is refused stops with cause and remedy;
`parley channel login` gets the refresh token. The mail server is npm's smtp-server, the OAuth server one of our own that is strict,
and npm's oauth2-mock-server."""

import os
import re
import signal
import stat
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from parley_oauth import OAuth
from parley_peers import Peer
from parley_test import BIN_DIR, KEY, Daemon, Failure, expect, expect_true, run, test, wait_until


class Server:
    """An smtp-server that takes these access tokens, and the channel that logs in to it."""

    def __init__(self, peer, *tokens):
        self.peer = peer
        self.port = peer.ask({"do": "listen", "authMethods": ["XOAUTH2"], "tokens": list(tokens), "hideSTARTTLS": True,
                              "allowInsecureAuth": True})["port"]

    def channel(self, token_url, refresh_path, **oauth):
        return {"plugin": "email", "options": {
            "smtp": f"smtp://127.0.0.1:{self.port}", "from": "Shop <orders@shop.example>", "user": "orders@shop.example",
            "oauth": {"token_url": token_url, "client_id": "client-1", "client_secret": {"env": "CLIENT_SECRET"},
                      "refresh_token": {"file": refresh_path}, **oauth}}}

    def take(self, *tokens):
        self.peer.ask({"do": "tokens", "port": self.port, "tokens": list(tokens)})

    def seen(self):
        return self.peer.ask({"do": "seen", "port": self.port})


ENV = {"CLIENT_SECRET": OAuth.CLIENT[1]}


def smtp():
    return Peer("smtp", "tests/contract/smtp_peers.cjs")


def refresh_file(folder, token="refresh-0"):
    path = os.path.join(folder, "refresh-token")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(token + "\n")
    return path


def send(daemon, text):
    answer = daemon.post("/v1/messages", {"to": {"email": "ana@example.org"}, "topic": "orders", "channels": ["mail"],
                                          "content": {"text": text, "subject": "Order 1042"}})
    expect(answer.status, 202, answer.text)
    return answer.json["id"]


def outcomes(state):
    return [attempt["outcome"] for attempt in state["attempts"] if attempt["outcome"] != "open"]


def channel(daemon):
    return daemon.get("/v1/channels/mail").json


@test
def a_mail_goes_out_by_an_access_token_that_was_fetched(folder):
    with smtp() as peer, OAuth() as oauth:
        server = Server(peer, "access.1")
        with Daemon(folder, channels={"mail": server.channel(oauth.url("/token"), refresh_file(folder), scope="mail offline")},
                    env=ENV) as daemon:
            state = daemon.wait_status(send(daemon, "hello"), "sent")
            expect(outcomes(state), ["accepted"])
            expect([(one["user"], one["token"]) for one in server.seen()["logins"]], [("orders@shop.example", "access.1")])
            expect(oauth.requests, [{"grant_type": "refresh_token", "client_id": "client-1", "client_secret": "client-secret-1",
                                     "refresh_token": "refresh-0", "scope": "mail offline"}])
            check = daemon.post("/v1/channels/mail/check").json
            expect((check["ok"], len(oauth.requests)), (True, 1), "one token serves all logins")
            for secret in ("access.1", "refresh-0", "client-secret-1"):
                expect_true(secret not in daemon.log(), f"{secret} stands in the log")


@test
def a_plugin_in_a_process_of_its_own_gets_its_token_too(folder):
    with smtp() as peer, OAuth() as oauth:
        oauth.rotate = True
        server = Server(peer, "*")
        channels = {"mail": {"isolation": "process", **server.channel(oauth.url("/token"), refresh_file(folder))}}
        with Daemon(folder, channels=channels, env=ENV) as daemon:
            daemon.wait_status(send(daemon, "hello"), "sent")
            daemon.restart()
            daemon.wait_status(send(daemon, "again"), "sent")
            expect(len({form["refresh_token"] for form in oauth.requests}), 2)


@test
def a_token_that_the_server_refuses_is_replaced_once_and_nobody_notices(folder):
    with smtp() as peer, OAuth() as oauth:
        server = Server(peer, "access.2")  # as if the first had been revoked
        with Daemon(folder, channels={"mail": server.channel(oauth.url("/token"), refresh_file(folder))}, env=ENV) as daemon:
            expect(outcomes(daemon.wait_status(send(daemon, "hello"), "sent")), ["accepted"])
            expect([one["token"] for one in server.seen()["logins"]][-1], "access.2")
            expect(channel(daemon)["state"], "up")
            expect(len(oauth.requests), 2)


@test
def a_server_that_takes_no_token_stops_the_channel_until_it_does(folder):
    with smtp() as peer, OAuth() as oauth:
        server = Server(peer)
        with Daemon(folder, channels={"mail": server.channel(oauth.url("/token"), refresh_file(folder))}, env=ENV) as daemon:
            sent = send(daemon, "hello")
            wait_until(lambda: channel(daemon)["state"] == "down", "the channel is down")
            expect_true("parley channel login mail" in channel(daemon)["remedy"], channel(daemon))
            daemon.wait_status(sent, "queued")
            server.take("*")
            expect(outcomes(daemon.wait_status(sent, "sent"))[-1], "accepted")


@test
def a_revoked_refresh_token_says_so_and_a_new_login_mends_it(folder):
    with smtp() as peer, OAuth() as oauth:
        server, path = Server(peer, "*"), refresh_file(folder, "refresh-gone")
        with Daemon(folder, channels={"mail": server.channel(oauth.url("/token"), path)}, env=ENV) as daemon:
            sent = send(daemon, "hello")
            wait_until(lambda: channel(daemon)["state"] == "down", "the channel is down")
            expect_true("invalid_grant" in channel(daemon)["cause"] and "expired or revoked" in channel(daemon)["cause"], channel(daemon))
            expect_true("parley channel login mail" in channel(daemon)["remedy"], channel(daemon))
            check = daemon.post("/v1/channels/mail/check").json
            expect((check["ok"], check["outcome"]), (False, "channel_down"))
            expect(server.seen()["logins"], [])
            login(daemon, oauth, "--device-url", oauth.url("/devicecode"), "--scope", "mail")
            daemon.signal(signal.SIGHUP)
            daemon.wait_status(sent, "sent")


@test
def an_oauth_server_that_is_away_is_waited_for(folder):
    with smtp() as peer, OAuth() as oauth:
        oauth.down = True
        server = Server(peer, "*")
        with Daemon(folder, channels={"mail": server.channel(oauth.url("/token"), refresh_file(folder))}, env=ENV) as daemon:
            sent = send(daemon, "hello")
            wait_until(lambda: "throttled" in outcomes(daemon.message_state(sent)), "an attempt was held")
            oauth.down = False
            daemon.wait_status(sent, "sent")


@test
def a_refresh_token_that_is_replaced_at_each_use_outlives_a_restart(folder):
    with smtp() as peer, OAuth() as oauth:
        oauth.rotate = True
        server, path = Server(peer, "*"), refresh_file(folder)
        with Daemon(folder, channels={"mail": server.channel(oauth.url("/token"), path)}, env=ENV) as daemon:
            daemon.wait_status(send(daemon, "one"), "sent")
            daemon.restart()
            daemon.wait_status(send(daemon, "two"), "sent")
            expect(len({form["refresh_token"] for form in oauth.requests}), 2, "the second use was of the new one")
            oauth.refresh = {"refresh-of-a-new-login"}
            refresh_file(folder, "refresh-of-a-new-login")  # as channel login does: it wins over what is kept
            daemon.restart()
            daemon.wait_status(send(daemon, "three"), "sent")
            expect(oauth.requests[-1]["refresh_token"], "refresh-of-a-new-login")


@test
def a_login_for_nobody_is_refused_at_the_start(folder):
    with OAuth() as oauth:
        daemon = configured(folder, oauth, refresh_file(folder))
        del daemon.config["channels"]["mail"]["options"]["user"]
        daemon.write_config()
        ran = subprocess.run([os.path.join(BIN_DIR, "parleyd"), "-c", daemon.config_path], capture_output=True, text=True,
                             env={**os.environ, "PARLEY_KEY": KEY, **ENV}, timeout=30, check=False)
        expect_true(ran.returncode != 0 and "needs user" in ran.stderr + ran.stdout, ran.stderr)


# --- parley channel login ---

def login_command(config, *words):
    return [os.path.join(BIN_DIR, "parley"), "channel", "login", "mail", "-c", config, *words]


def login(daemon, oauth, *words, good=True):
    ran = subprocess.run(login_command(daemon.config_path, *words), capture_output=True, text=True, timeout=60,
                         env={**os.environ, **ENV}, check=False)
    expect(ran.returncode == 0, good, ran.stderr)
    return ran


def logged_in(path, oauth):
    expect(stat.S_IMODE(os.stat(path).st_mode), 0o600)
    with open(path, encoding="ascii") as file:
        expect_true(file.read().strip() in oauth.refresh, "the file holds the new refresh token")
    expect([name for name in os.listdir(os.path.dirname(path)) if name.startswith("refresh-token.")], [], "nothing is left beside it")


def configured(folder, oauth, path, port=25, **options):
    daemon = Daemon(folder, channels={"mail": {"plugin": "email", "options": {
        "smtp": f"smtp://127.0.0.1:{port}", "from": "orders@shop.example", "user": "orders@shop.example",
        "oauth": {"token_url": oauth.url("/token"), "client_id": "client-1", "client_secret": {"env": "CLIENT_SECRET"},
                  "refresh_token": {"file": path}, **options}}}}, env=ENV)
    daemon.write_config()
    return daemon


@test
def a_code_is_typed_in_elsewhere(folder):
    with OAuth() as oauth:
        oauth.pending = ["authorization_pending", "authorization_pending"]
        path = os.path.join(folder, "refresh-token")
        daemon = configured(folder, oauth, path, scope="mail offline_access")
        ran = login(daemon, oauth, "--device-url", oauth.url("/devicecode"))
        expect_true("WDJB-MJHT" in ran.stderr and oauth.url("/device") in ran.stderr, ran.stderr)
        expect(ran.stdout.strip(), path)
        expect(len(oauth.requests), 3)
        logged_in(path, oauth)
        expect_true(not any(token in ran.stderr + ran.stdout for token in oauth.refresh | set(oauth.granted)), "a token on the screen")


@test
def who_says_no_leaves_the_file_as_it_was(folder):
    with OAuth() as oauth:
        oauth.pending = ["access_denied"]
        path = refresh_file(folder)
        ran = login(configured(folder, oauth, path), oauth, "--device-url", oauth.url("/devicecode"), "--scope", "mail", good=False)
        expect_true("access_denied" in ran.stderr, ran.stderr)
        logged_in(path, oauth)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def get(url):
    """Status, Location, body."""
    try:
        with urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
            return answer.status, None, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Location"), error.read().decode()


def browse(command):
    """Runs it, opens the page it names as a browser would, and follows to the loopback address. Returns what it said."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **ENV}) as process:
        said = ""
        while not re.search(r"^  (http\S+)$", said, re.M):
            line = process.stderr.readline()
            if not line:
                raise Failure(f"no page was named: {said}")
            said += line
        status, back, _ = get(re.search(r"^  (http\S+)$", said, re.M).group(1))
        expect(status, 302)
        code, _, _ = get(re.sub(r"state=[^&]*", "state=forged", back))
        expect(code, 400, "an answer with another state")
        expect(get(urllib.parse.urljoin(back, "/favicon.ico"))[0], 400)
        expect(get(back)[0], 200)
        out, err = process.communicate(timeout=30)
        expect(process.returncode, 0, said + err)
    return out, said + err


@test
def a_browser_comes_back_with_a_code_that_only_we_can_use(folder):
    with OAuth() as oauth:
        path = os.path.join(folder, "refresh-token")
        daemon = configured(folder, oauth, path, scope="mail")
        out, _ = browse(login_command(daemon.config_path, "--auth-url", oauth.url("/authorize")))
        expect(out.strip(), path)
        logged_in(path, oauth)


@test
def a_login_goes_to_no_address_without_tls(folder):
    with OAuth() as oauth:
        daemon = configured(folder, oauth, os.path.join(folder, "refresh-token"))
        ran = login(daemon, oauth, "--device-url", "http://login.example/devicecode", good=False)
        expect_true("https" in ran.stderr, ran.stderr)
        ran = login(daemon, oauth, good=False)
        expect_true("--device-url" in ran.stderr, ran.stderr)


@test
def an_oauth_server_that_is_not_ours_logs_us_in_and_the_mail_goes_out(folder):
    with smtp() as peer:
        port = peer.ask({"do": "oauth"})["port"]
        server, path = Server(peer, "*"), os.path.join(folder, "refresh-token")
        channels = {"mail": server.channel(f"http://localhost:{port}/token", path, scope="mail")}
        daemon = Daemon(folder, channels=channels, env=ENV)
        daemon.write_config()
        browse(login_command(daemon.config_path, "--auth-url", f"http://localhost:{port}/authorize"))
        with daemon:
            daemon.wait_status(send(daemon, "hello"), "sent")
            token = server.seen()["logins"][0]["token"]
            expect(len(token.split(".")), 3, "a JWT")


run()
