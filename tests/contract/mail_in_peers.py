#!/usr/bin/python3
# label: email
# timeout: 240
"""What the email channel takes in, from programs that are not ours: swaks and nodemailer by SMTP, LMTP and submission with
STARTTLS; Postfix and OpenSMTPD deliver by LMTP."""

import os
import shutil
import smtplib
import subprocess
import tempfile

from parley_mail_in import KEY_OF_OLD_SHOP, channel, crlf, mail, messages, old_shop
from parley_peers import Peer, unpacked
from parley_postfix import Postfix
from parley_smtp import Mail
from parley_test import Daemon, Skip, expect, expect_true, free_port, need_tool, run, test, wait_until
from parley_tls import Authority


def swaks(port, *words):
    return subprocess.run([need_tool("swaks"), "--server", "127.0.0.1", "--port", str(port), "--from", "ana@example.org", "--to",
                           "support@shop.example", "--ehlo", "client.example", "--header", "Message-Id: <swaks@example.org>", *words],
                          capture_output=True, text=True, timeout=60)


@test
def swaks_delivers_by_smtp_with_and_without_pipelining(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port, protocol="smtp")}) as daemon:
        for words in (["--body", "one"], ["--pipeline", "--body", "two"]):
            sent = swaks(port, *words)
            expect(sent.returncode, 0, sent.stdout)
        refused = swaks(port, "--to", "ana@other.example")
        expect_true("550 5.7.1" in refused.stdout, refused.stdout)
        expect(sorted(message["content"]["text"] for message in messages(daemon)), ["one", "two"])


@test
def swaks_delivers_by_lmtp(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        sent = swaks(port, "--protocol", "LMTP", "--body", "Hola")
        expect(sent.returncode, 0, sent.stdout)
        expect(messages(daemon)[0]["content"]["text"], "Hola")


@test
def nodemailer_hands_in_behind_tls_and_never_without(folder):
    authority, port = Authority(folder), free_port()
    authority.make("mx", host="mx.shop.example")
    tls = {"cert": {"file": authority.path("mx.crt")}, "key": {"file": authority.path("mx.key")}}
    with Mail() as sink, Peer("mailer", "tests/contract/mail_in_peers.cjs") as peer:
        for name in ("mx.crt", "mx.key"):
            os.chmod(authority.path(name), 0o600)
        with open(authority.ca, encoding="ascii") as file:
            ca = file.read()
        with Daemon(folder, channels={"mail": channel(0, smtp=sink.port, submission={"listen": f"127.0.0.1:{port}", "tls": tls})},
                    config=old_shop(folder)) as daemon:
            transport = {"host": "127.0.0.1", "port": port, "secure": False, "requireTLS": True,
                         "auth": {"user": "shop", "pass": KEY_OF_OLD_SHOP}, "tls": {"ca": ca, "servername": "mx.shop.example"}}
            made = {"from": "Shop <shop@shop.example>", "to": ["ana@example.org", "bob@example.org"], "subject": "¡Gracias!",
                    "text": "Gracias, Ana. ñ", "html": "<p>Gracias <img src=\"cid:logo\"></p>",
                    "attachments": [{"filename": "logo.png", "content": "PNG", "cid": "logo"},
                                    {"filename": "factura nº1.pdf", "content": "%PDF"}]}
            answer = peer.ask({"transport": transport, "mail": made})
            expect(answer.get("accepted"), ["ana@example.org", "bob@example.org"], str(answer))
            received = sorted((sink.next() for _ in range(2)), key=lambda one: one["to"])
            expect([one["to"] for one in received], [["ana@example.org"], ["bob@example.org"]])
            expect(received[0]["subject"], "¡Gracias!")
            kept = messages(daemon)[0]["content"]
            expect((kept["text"], [part["name"] for part in kept["media"]]), ("Gracias, Ana. ñ", ["logo", "factura nº1.pdf"]))
            clear = peer.ask({"transport": {**transport, "requireTLS": False, "ignoreTLS": True}, "mail": made})
            expect(clear.get("code"), 530, str(clear))
            wrong = peer.ask({"transport": {**transport, "auth": {"user": "shop", "pass": "wrong"}}, "mail": made})
            expect(wrong.get("code"), 535, str(wrong))


@test
def postfix_delivers_by_lmtp_each_recipient_by_itself(folder):
    port = free_port()
    with Postfix({"relay_domains": "shop.example", "relay_transport": f"lmtp:inet:[127.0.0.1]:{port}", "relay_recipient_maps": "",
                  "lmtp_destination_recipient_limit": "50"}) as postfix:
        with Daemon(folder, channels={"mail": channel(port, addresses=["support"])}) as daemon:
            made = mail("By way of Postfix.\n")
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as session:
                expect(session.sendmail("ana@example.org", ["support@shop.example", "nobody@shop.example"], crlf(made)), {})
            wait_until(lambda: messages(daemon), lambda: f"it arrives: {postfix.log()[-800:]}")
            expect(messages(daemon)[0]["content"]["text"], "By way of Postfix.")
            wait_until(lambda: "550 5.1.1" in postfix.log(), "the other recipient is refused by itself")
            expect_true("status=sent (250 2.0.0 kept)" in postfix.log(), postfix.log()[-800:])


@test
def postfix_keeps_a_mail_while_we_are_down_and_it_is_taken_once(folder):
    port = free_port()
    with Postfix({"relay_domains": "shop.example", "relay_transport": f"lmtp:inet:[127.0.0.1]:{port}", "relay_recipient_maps": "",
                  "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}) as postfix:
        with Daemon(folder, channels={"mail": channel(port)}) as daemon:
            daemon.kill()
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as session:
                session.sendmail("ana@example.org", ["support@shop.example"], crlf(mail()))
            wait_until(lambda: "status=deferred" in postfix.log(), "Postfix has tried")
            daemon.start()
            subprocess.run(["postqueue", "-c", f"{postfix.folder}/etc", "-f"], check=True, timeout=20)
            wait_until(lambda: len(messages(daemon)) == 1, "it arrives", timeout_s=60)


@test
def opensmtpd_delivers_by_lmtp(folder):
    program, port = unpacked("opensmtpd", "usr/libexec/opensmtpd/mail.lmtp"), free_port()
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory(prefix="parley-lmtp-") as place, Daemon(folder, channels={"mail": channel(port)}) as daemon:
        os.chmod(place, 0o755)
        agent = shutil.copy(program, place)  # it refuses to be root, and nobody may not look into a build folder
        sent = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", agent, "-d", f"127.0.0.1:{port}", "-f",
                               "ana@example.org", "support@shop.example"], input=mail("By way of OpenSMTPD.\n").as_bytes(),
                              capture_output=True, timeout=60)
        expect(sent.returncode, 0, sent.stderr.decode())
        expect(messages(daemon)[0]["content"]["text"], "By way of OpenSMTPD.")


if __name__ == "__main__":
    raise SystemExit(run())
