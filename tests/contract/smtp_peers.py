#!/usr/bin/python3
# label: spine email
# timeout: 240
"""The email channel against servers that are not ours: npm smtp-server with scripted faults at every stage, and Postfix,
which takes our mail and hands it on. Statuses, attempts and what arrived are as the plugin's README says."""

import base64
import contextlib
import email
import email.policy
import json
import os
import re
import subprocess

from parley_opensmtpd import OpenSmtpd
from parley_peers import Peer
from parley_postfix import Postfix
from parley_test import TOP, Daemon, expect, expect_true, run, test, wait_until
from parley_tls import Authority


class Server:
    """One smtp-server and the channel that sends to it."""

    def __init__(self, peer, **options):
        self.peer = peer
        self.port = peer.ask({"do": "listen", **options})["port"]

    def channel(self, host="127.0.0.1", scheme="smtp", **options):
        return {"plugin": "email", "options": {"smtp": f"{scheme}://{host}:{self.port}", "from": "Shop <orders@shop.example>",
                                               **options}}

    def fail(self, stage, code=0, text="", times=1, ms=0):
        self.peer.ask({"do": "fail", "port": self.port, "stage": stage, "code": code, "text": text, "times": times, "ms": ms})

    def seen(self):
        return self.peer.ask({"do": "seen", "port": self.port})

    def mails(self):
        return self.seen()["mails"]

    def wait_mails(self, count):
        return wait_until(lambda: (lambda mails: mails if len(mails) >= count else None)(self.mails()),
                          lambda: f"{count} mails: {len(self.mails())}")


def smtp():
    return Peer("smtp", "tests/contract/smtp_peers.cjs")


def parsed(mail):
    raw = base64.b64decode(mail["raw"]) if isinstance(mail, dict) else mail
    return email.message_from_bytes(raw, policy=email.policy.SMTP)


def send(daemon, text, channel, to="ana@example.org", **content):
    answer = daemon.post("/v1/messages", {"to": {"email": to}, "topic": "orders", "channels": [channel],
                                          "content": {"text": text, "subject": "Order 1042", **content}})
    expect(answer.status, 202, answer.text)
    return answer.json["id"]


def outcomes(state):
    return [(attempt["outcome"], attempt.get("code")) for attempt in state["attempts"] if attempt["outcome"] != "open"]


def ended_attempt(daemon, message_id):
    def ended():
        state = daemon.message_state(message_id)
        return state if outcomes(state) else None

    return wait_until(ended, "an attempt has ended")


@test
def a_mail_arrives_once_and_whole(folder):
    with smtp() as peer:
        server = Server(peer)
        with Daemon(folder, channels={"mail": server.channel()}) as daemon:
            sent = send(daemon, "Grüße, Ana!\n.\n..two dots\nFrom me", "mail", html="<p>Grüße</p>")
            expect(outcomes(daemon.wait_status(sent, "sent"))[0][0], "accepted")
            mail = server.mails()[0]
            expect((len(server.mails()), mail["from"], mail["to"]), (1, "orders@shop.example", ["ana@example.org"]))
            text = parsed(mail).get_body(("plain",)).get_content()
            expect(text.replace("\r\n", "\n").rstrip("\n"), "Grüße, Ana!\n.\n..two dots\nFrom me")
            expect_true("<p>Grüße</p>" in parsed(mail).get_body(("html",)).get_content(), "the HTML part")


# stage, code, text: the outcome, and whether a later attempt brings the mail after all
REFUSALS = [
    ("mail", 451, "4.3.0 later", "retry"),
    ("rcpt", 450, "4.2.0 busy", "retry"),
    ("rcpt", 452, "4.2.2 full", "retry"),
    ("rcpt", 552, "5.2.2 full", "retry"),
    ("dot", 451, "4.3.0 later", "retry"),
    ("dot", 452, "4.3.1 no room", "retry"),
    ("mail", 552, "5.3.4 too large", "rejected"),
    ("rcpt", 550, "5.7.1 not wanted", "rejected"),
    ("dot", 554, "5.6.0 not this content", "rejected"),
    ("dot", 550, "5.7.1 spam", "rejected"),
    ("rcpt", 550, "5.1.1 nobody", "bad_address"),
    ("rcpt", 553, "5.1.3 no address", "bad_address"),
    ("rcpt", 556, "5.1.10 takes no mail", "bad_address"),
    ("dot", 550, "5.1.1 nobody", "bad_address"),
    ("connect", 421, "4.3.2 too busy", "throttled"),
    ("mail", 421, "4.4.2 idle too long", "elsewhere"),  # goodbye to the connection, not to the mail: the next one takes it
    ("rcpt", 451, "4.7.1 grey", "throttled"),
    ("dot", 421, "4.3.2 going down", "throttled"),
    ("connect", 554, "5.7.1 not you", "channel_down"),
    ("mail", 530, "5.7.0 log in first", "channel_down"),
    ("mail", 550, "5.1.8 not this sender", "channel_down"),
]


def refusal_name(index):
    return f"c{index}"


@test
def each_refusal_at_each_stage_has_its_outcome(folder):
    with smtp() as peer:
        servers = [Server(peer) for _ in REFUSALS]
        channels = {refusal_name(index): server.channel() for index, server in enumerate(servers)}
        with Daemon(folder, channels=channels) as daemon:
            sent = []
            for index, (stage, code, text, _) in enumerate(REFUSALS):
                servers[index].fail(stage, code, text)
                sent.append(send(daemon, f"number {index}", refusal_name(index), to=f"to{index}@d{index}.example"))
            wrong = []
            for index, message_id in enumerate(sent):
                wrong += judge_refusal(daemon, servers[index], message_id, index)
            expect(wrong, [], "refusals that had another end")


def judge_refusal(daemon, server, message_id, index):
    """A list of what is wrong."""
    outcome = REFUSALS[index][3]
    if outcome in ("throttled", "channel_down"):
        state = ended_attempt(daemon, message_id)
        return [] if outcomes(state)[0][0] == outcome and state["status"] != "failed" else [(REFUSALS[index], state["attempts"])]
    state = daemon.wait_status(message_id, "sent", "failed")
    want = {"retry": ("sent", ["retry", "accepted"], 1), "elsewhere": ("sent", ["accepted"], 1)}.get(outcome, ("failed", [outcome], 0))
    got = (state["status"], [one for one, _ in outcomes(state)], len(server.mails()))
    bounced = {"identity": f"email:to{index}@d{index}.example", "reason": "hard_bounce"}
    listed = any(bounced.items() <= item.items() for item in daemon.get("/v1/suppressions?limit=200").json["items"])
    return [] if got == want and listed == (outcome == "bad_address") else [(REFUSALS[index], got, listed)]


@test
def a_refused_recipient_leaves_its_neighbours_alone(folder):
    with smtp() as peer:
        server = Server(peer)
        with Daemon(folder, channels={"mail": server.channel(sessions=1)}) as daemon:
            server.fail("rcpt", 550, "5.1.1 nobody", times=3)
            sent = [send(daemon, f"number {number}", "mail", to=f"to{number}@example.org") for number in range(12)]
            ends = [daemon.wait_status(message_id, "sent", "failed")["status"] for message_id in sent]
            expect((ends.count("failed"), ends.count("sent")), (3, 9))
            arrived = sorted(mail["to"][0] for mail in server.mails())
            expect(arrived, sorted(f"to{number}@example.org" for number, end in enumerate(ends) if end == "sent"))
            expect(server.seen()["sessions"], 1, "a refusal keeps the connection")


@test
def a_connection_lost_after_the_mail_is_unknown_marked_and_sent_again_as_the_same_mail(folder):
    with smtp() as peer:
        server = Server(peer)
        with Daemon(folder, channels={"mail": server.channel()}) as daemon:
            server.fail("drop")
            sent = send(daemon, "did it arrive?", "mail")
            state = daemon.wait_status(sent, "sent")
            expect([outcome for outcome, _ in outcomes(state)], ["unknown", "accepted"])
            expect(state["possible_duplicate"], True)
            first, second = server.wait_mails(2)
            expect(first["raw"], second["raw"], "the same bytes")
            expect(daemon.metric("parley_possible_duplicates_total"), 1.0)


@test
def a_slow_server_is_waited_for_and_one_that_is_too_slow_is_unknown(folder):
    with smtp() as peer:
        server, late = Server(peer), Server(peer)
        channels = {"mail": server.channel(timeout="30s"), "late": late.channel(timeout="1s")}
        with Daemon(folder, channels=channels) as daemon:
            server.fail("slow", ms=2500)
            late.fail("slow", ms=6000)
            patient, hasty = send(daemon, "take your time", "mail"), send(daemon, "hurry", "late")
            state = daemon.wait_status(patient, "sent")
            expect(([outcome for outcome, _ in outcomes(state)], state["possible_duplicate"]), (["accepted"], False))
            state = daemon.wait_status(hasty, "sent")
            expect(([outcome for outcome, _ in outcomes(state)], state["possible_duplicate"]), (["unknown", "accepted"], True))


@test
def nothing_goes_out_in_clear_where_tls_is_required(folder):
    authority = Authority(folder)
    good, self_signed = authority.make("good"), authority.make("self", self_signed=True)
    login = {"user": "shop", "password": {"env": "SMTP_PASSWORD"}}
    account = {"user": "shop", "password": "open sesame"}
    with smtp() as peer:
        bare, bad = Server(peer, hideSTARTTLS=True, **account), Server(peer, pem=self_signed, **account)
        well, implicit = Server(peer, pem=good, **account), Server(peer, pem=good, secure=True, **account)
        loose, wrong = Server(peer, pem=self_signed), Server(peer, pem=good, user="shop", password="another")
        channels = {"bare": bare.channel("localhost", tls="required", **login),
                    "bad": bad.channel("localhost", tls="required", **login),
                    "well": well.channel("localhost", tls="required", **login),
                    "implicit": implicit.channel("localhost", scheme="smtps", **login),
                    "loose": loose.channel("localhost", tls="opportunistic"),
                    "wrong": wrong.channel("localhost", tls="required", **login)}
        env = {"SMTP_PASSWORD": "open sesame", "SSL_CERT_FILE": authority.ca}
        with Daemon(folder, channels=channels, env=env) as daemon:
            sent = {name: send(daemon, f"over {name}", name) for name in channels}
            for name, server in {"well": well, "implicit": implicit, "loose": loose}.items():
                daemon.wait_status(sent[name], "sent")
                expect([(mail["secure"], mail["user"]) for mail in server.mails()],
                       [(True, "shop" if name != "loose" else None)], name)
            for name, server in {"bare": bare, "bad": bad, "wrong": wrong}.items():
                state = ended_attempt(daemon, sent[name])
                expect_true(outcomes(state)[0][0] in ("channel_down", "throttled"), f"{name}: {state['attempts']}")
                seen = server.seen()
                expect(seen["mails"], [], name)
                expect([login["secure"] for login in seen["logins"]], [True] * len(seen["logins"]), "a password in clear")
                expect(daemon.message_state(sent[name])["status"], "queued", name)
            expect(len(wrong.seen()["logins"]) > 0, True, "it tried to log in")


@test
def no_starttls_is_fine_where_tls_is_opportunistic(folder):
    with smtp() as peer:
        server = Server(peer, hideSTARTTLS=True)
        with Daemon(folder, channels={"mail": server.channel("localhost", tls="opportunistic")}) as daemon:
            daemon.wait_status(send(daemon, "as it comes", "mail"), "sent")
            expect([mail["secure"] for mail in server.mails()], [False])


@test
def a_server_without_pipelining_8bitmime_or_smtputf8_gets_the_same_mail(folder):
    with smtp() as peer:
        server = Server(peer, hidePIPELINING=True, hide8BITMIME=True, hideSMTPUTF8=True)
        with Daemon(folder, channels={"mail": server.channel()}) as daemon:
            sent = [send(daemon, f"Grüße {number}", "mail") for number in range(5)]
            for message_id in sent:
                daemon.wait_status(message_id, "sent")
            expect(sorted(parsed(mail).get_content().strip() for mail in server.mails()), [f"Grüße {number}" for number in range(5)])
            expect_true(all(max(base64.b64decode(mail["raw"])) < 0x80 for mail in server.mails()), "seven bits")
            named = send(daemon, "hello", "mail", to="josé@example.org")
            expect(outcomes(daemon.wait_status(named, "failed"))[0][0], "rejected", "a UTF-8 address without SMTPUTF8")


# --- Postfix ---

class Sink:
    """tests/support/smtp_sink.py: what Postfix hands our mail on to."""

    def __init__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(TOP, "tests/support/smtp_sink.py"), "--raw"],
                                        stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def next(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


NASTY = {
    "dots": "one\n.\n..\n...\nend",
    "a mail of its own": "\r\n.\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nhello\r\n.\r\n",
    "line ends": "a\n.\nb\r.\rc\n.\r\nd\r\n.\ne",
    "a line of 100,000": "x" * 100000,
    "From at the start": "From me to you\n>From\nFrom",
    "every language": "Grüße 你好 שלום \U0001f600 \u2028 \x7f",
    "trailing blanks": "a  \nb\t\n\n\n",
    "equals and colons": "=3D =\nSubject: x\n:\n= ",
}


def through(postfix):
    return {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{postfix.port}", "from": "Shop <orders@shop.example>"}}


def lines(text):
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


@test
def postfix_takes_our_mail_and_hands_every_byte_on(folder):
    with contextlib.closing(Sink()) as sink, Postfix({"relayhost": f"[127.0.0.1]:{sink.port}"}) as postfix:
        with Daemon(folder, channels={"mail": through(postfix)}) as daemon:
            sent = {name: send(daemon, text, "mail", subject=f"Nasty: {name} ü", html=f"<pre>{number}</pre>")
                    for number, (name, text) in enumerate(NASTY.items())}
            for message_id in sent.values():
                daemon.wait_status(message_id, "sent")
            arrived = {}
            for _ in NASTY:
                mail = sink.next()
                arrived[mail["subject"]] = mail
            for number, (name, text) in enumerate(NASTY.items()):
                mail = arrived[f"Nasty: {name} ü"]
                expect(lines(mail["text"]), lines(text), name)
                expect(mail["to"], ["ana@example.org"], name)
                expect(mail["html"].strip(), f"<pre>{number}</pre>", name)
                expect_true(all(len(line) <= 998 for line in mail["raw"].split("\n")), f"{name}: no line above 998")
            expect_true("improper" not in postfix.log(), postfix.log()[-500:])


@test
def a_name_with_umlauts_goes_through_postfix_by_smtputf8(folder):
    with contextlib.closing(Sink()) as sink, Postfix({"relayhost": f"[127.0.0.1]:{sink.port}"}) as postfix:
        with Daemon(folder, channels={"mail": through(postfix)}) as daemon:
            sent = send(daemon, "hello", "mail", to="josé@bücher.example")
            daemon.wait_status(sent, "sent")
            expect(sink.next()["to"], ["josé@xn--bcher-kva.example"])


@test
def postfix_lets_in_who_logs_in_over_tls_and_nobody_else(folder):
    authority = Authority(folder)
    account = ("shop", "open sesame")
    with contextlib.closing(Sink()) as sink, Postfix({"relayhost": f"[127.0.0.1]:{sink.port}"}, account=account,
                                                     pem=authority.make("mx")) as postfix:
        def channel(**options):
            return {"plugin": "email", "options": {"smtp": f"smtp://localhost:{postfix.port}", "from": "Shop <orders@shop.example>",
                                                   **options}}

        login = {"user": "shop", "password": {"env": "GOOD"}, "tls": "required"}
        channels = {"mail": channel(**login, return_path="bounce@in.shop.example"),
                    "wrong": channel(**{**login, "password": {"env": "BAD"}}), "nobody": channel(tls="required"), "clear": channel()}
        env = {"GOOD": "open sesame", "BAD": "open barley", "SSL_CERT_FILE": authority.ca}
        with Daemon(folder, channels=channels, env=env) as daemon:
            sent = {name: send(daemon, f"by {name}", name) for name in channels}
            daemon.wait_status(sent["mail"], "sent")
            mail = sink.next()
            expect(lines(mail["text"]), ["by mail"])
            expect_true(re.fullmatch(r"bounce\+[a-z0-9]{29}@in\.shop\.example", mail["from"]), mail["from"])
            expect([outcome for outcome, _ in outcomes(ended_attempt(daemon, sent["wrong"]))][0], "channel_down")
            expect(daemon.get("/v1/channels/wrong").json["remedy"], "check user and password")
            for name in ("nobody", "clear"):
                state = ended_attempt(daemon, sent[name])
                expect_true(outcomes(state)[0][0] in ("rejected", "channel_down"), f"{name}: {state['attempts']}")
            expect_true("open sesame" not in daemon.log(), "the password stands in the log")


@test
def opensmtpd_takes_our_mail_and_hands_every_byte_on(folder):
    with contextlib.closing(Sink()) as sink, OpenSmtpd(sink.port) as smtpd:
        with Daemon(folder, channels={"mail": through(smtpd)}) as daemon:
            sent = {name: send(daemon, text, "mail", subject=f"Nasty: {name}") for name, text in NASTY.items()}
            for message_id in sent.values():
                daemon.wait_status(message_id, "sent")
            arrived = {mail["subject"]: mail for mail in (sink.next() for _ in NASTY)}
            for name, text in NASTY.items():
                expect(lines(arrived[f"Nasty: {name}"]["text"]), lines(text), name)


run()
