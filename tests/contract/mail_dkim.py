#!/usr/bin/python3
# label: email
# timeout: 240
"""Our DKIM signatures as others see them: mailauth, dkimpy and Mail::DKIM verify the mail that left, and refuse it once a byte of
what is signed has changed. Keys are published by a DNS server of the test's own."""

import base64
import re
import subprocess

from parley_dns import DnsServer
from parley_mail import Keys, granted, sending
from parley_peers import Peer
from parley_test import Daemon, Skip, expect, expect_true, need_tool, run, test, wait_until

PERL = """
use strict; use warnings; use Mail::DKIM::Verifier; use Mail::DKIM::DNS; use Net::DNS::Resolver;
my ($host, $port) = split /:/, shift;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => [$host], port => $port, recurse => 0));
my $verifier = Mail::DKIM::Verifier->new;
local $/; my $mail = <STDIN>;
$verifier->PRINT($mail); $verifier->CLOSE;
for my $signature ($verifier->signatures) { print $signature->algorithm, " ", $signature->result, "\\n" }
"""


def send(daemon, text="Hello Ana", topic="orders", **content):
    answer = daemon.post("/v1/messages", {"to": {"email": "ana@example.org"}, "topic": topic, "channels": ["mail"],
                                          "content": {"subject": "Order 1042", "text": text, **content}})
    expect(answer.status, 202, answer.text)
    return answer.json["id"]


# --- verifiers ---

def mailauth():
    return Peer("mail", "tests/contract/mail_peers.cjs")


def by_mailauth(judge, mail, dns):
    return judge.ask({"do": "verify", "raw": base64.b64encode(mail).decode(), "dns": dns.address})


def by_dkimpy(mail, dns):
    """The verdict of each signature."""
    try:
        import dkim
    except ImportError:
        raise Skip("missing python3-dkim") from None

    def txt(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        values = (dns.records.get(name.rstrip("."), {}) or {}).get("TXT", [])
        return values[0].encode() if values else None

    count = len(re.findall(rb"(?mi)^DKIM-Signature:", mail))
    verdicts = []
    for index in range(count):
        try:
            verdicts.append(dkim.DKIM(mail).verify(idx=index, dnsfunc=txt))
        except dkim.DKIMException:
            verdicts.append(False)
    return verdicts


def by_mail_dkim(mail, dns):
    """{algorithm: verdict}"""
    if subprocess.run([need_tool("perl"), "-MMail::DKIM", "-MNet::DNS", "-e1"], capture_output=True).returncode != 0:
        raise Skip("missing libmail-dkim-perl")
    said = subprocess.run(["perl", "-e", PERL, dns.address], input=mail, capture_output=True, check=True).stdout.decode()
    return dict(line.split(" ", 1) for line in said.splitlines())


MAILS = {
    "plain": {},
    "dots, blanks at line ends and empty lines": {"text": ".\n..\nFrom me\n  two  blanks \t\nend\n\n\n"},
    "words of the world": {"text": "Grüße, Ana! Привет 你好 📦\n" * 40, "subject": "Pedido – confirmación 📦 de su compra del mes pasado"},
    "html and a long line": {"html": "<p>" + "x" * 3000 + "</p>", "text": "x" * 3000},
    "headers of the sender": {"channels": {"mail": {"headers": {"X-Campaign": "spring  sale", "Keywords": "año, café",
                                                               "Organization": "x " * 300}}}},
}


@test
def every_verifier_believes_both_signatures(folder):
    keys = Keys(folder)
    with mailauth() as judge, DnsServer(keys.records()) as dns, sending(folder, dkim=keys.option()) as (daemon, mails):
        for text in MAILS.values():
            send(daemon, **text)
        for mail in mails(len(MAILS)):
            answer = by_mailauth(judge, mail, dns)
            expect(sorted((one["algorithm"], one["result"], one["domain"]) for one in answer["results"]),
                   [("ed25519-sha256", "pass", "shop.example"), ("rsa-sha256", "pass", "shop.example")], mail)
            expect((answer["spf"], answer["dmarc"]), ("pass", "pass"))
            expect(by_dkimpy(mail, dns), [True, True], mail)
            verdicts = by_mail_dkim(mail, dns)
            expect(verdicts["rsa-sha256"], "pass")
            expect_true(verdicts["ed25519-sha256"] in ("pass", "invalid"), verdicts)  # Debian 12's does not know Ed25519


def tampered(mail):
    """Each with one change that a signature must not survive."""
    yield "body", mail.replace(b"Hello Ana", b"Hello Eve")
    yield "subject", mail.replace(b"Subject: Order 1042", b"Subject: Order 1043")
    yield "from", mail.replace(b"From: Shop <orders@shop.example>", b"From: Shop <eve@shop.example>")
    for name in (b"From: Eve <eve@shop.example>", b"Subject: Pay here", b"To: eve@example.org", b"Date: Mon, 01 Jan 2024 00:00:00 +0000"):
        yield f"a second {name.split(b':')[0].decode()}", mail.replace(b"\r\nFrom: ", b"\r\n" + name + b"\r\nFrom: ", 1)
    yield "type", mail.replace(b"Content-Type: text/plain", b"Content-Type: text/html")
    yield "end", mail + b"More\r\n"


@test
def no_verifier_believes_a_mail_that_was_changed(folder):
    keys = Keys(folder)
    with mailauth() as judge, DnsServer(keys.records()) as dns, sending(folder, dkim=keys.option()) as (daemon, mails):
        send(daemon)
        mail = mails()[0]
        expect(by_dkimpy(mail, dns), [True, True])
        for what, changed in tampered(mail):
            expect_true(changed != mail, what)
            expect([one["result"] for one in by_mailauth(judge, changed, dns)["results"] if one["result"] == "pass"], [], what)
            expect(by_dkimpy(changed, dns), [False, False], what)
            expect([verdict for verdict in by_mail_dkim(changed, dns).values() if verdict == "pass"], [], what)


@test
def the_key_follows_the_sender_of_the_topic(folder):
    shop, news = Keys(folder), Keys(folder, "news.example")
    options = {"senders": {"newsletter": "News <hello@mail.news.example>"}, "dkim": shop.option("rsa") + news.option("ed")}
    with mailauth() as judge, DnsServer({**shop.records(), **news.records()}) as dns, sending(folder, **options) as (daemon, mails):
        send(daemon)
        first = mails()[0]
        granted(daemon)
        send(daemon, "News", topic="newsletter")
        second = mails(2)[1]
        expect([(one["domain"], one["result"]) for one in by_mailauth(judge, first, dns)["results"]], [("shop.example", "pass")])
        answer = by_mailauth(judge, second, dns)
        expect([(one["domain"], one["result"], one["aligned"]) for one in answer["results"]], [("news.example", "pass", True)])
        expect_true(b"From: News <hello@mail.news.example>" in second and b"List-Id: <newsletter.mail.news.example>" in second, second)


@test
def a_channel_in_a_process_of_its_own_signs_as_well(folder):
    keys = Keys(folder)
    with DnsServer(keys.records()) as dns, sending(folder, channel={"isolation": "process"}, dkim=keys.option()) as (daemon, mails):
        for _ in range(20):
            send(daemon)
        expect({tuple(by_dkimpy(mail, dns)) for mail in mails(20)}, {(True, True)})


@test
def a_second_attempt_has_the_same_bytes(folder):
    keys = Keys(folder)
    with Peer("smtp", "tests/contract/smtp_peers.cjs") as server:
        port = server.ask({"do": "listen"})["port"]
        server.ask({"do": "fail", "port": port, "stage": "drop", "times": 1})
        channel = {"plugin": "email", "on_unknown": "resend",
                   "options": {"smtp": f"smtp://127.0.0.1:{port}", "from": "Shop <orders@shop.example>", "dkim": keys.option()}}
        with Daemon(folder, channels={"mail": channel}) as daemon:
            send(daemon)
            mails = wait_until(lambda: (lambda all: all if len(all) >= 2 else None)(server.ask({"do": "seen", "port": port})["mails"]),
                               "the mail came twice", 30)
            expect(mails[0]["raw"], mails[1]["raw"])


@test
def a_key_that_cannot_sign_is_told_when_the_channel_starts(folder):
    keys = Keys(folder, rsa_bits=512)
    channel = {"plugin": "email", "options": {"smtp": "smtp://127.0.0.1:9", "from": "Shop <orders@shop.example>",
                                              "dkim": keys.option("rsa")}}
    daemon = Daemon(folder, channels={"mail": channel})
    daemon.start(ready=False)
    expect(daemon.wait_exit(), 78)
    expect_true("the key of shop.example (selector rsa) is an RSA key of fewer than 1024 bits" in daemon.log(), daemon.log())


run()
