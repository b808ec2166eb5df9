#!/usr/bin/python3
"""smtp_sink.py - an independent SMTP server (aiosmtpd) that prints each mail it gets as one JSON line.

    /usr/bin/python3 tests/support/smtp_sink.py --port 0
    {"event": "listening", "host": "127.0.0.1", "port": 40123}
    {"event": "mail", "n": 1, "from": "orders@shop.example", "to": ["ana@example.org"], "subject": "Order 1042", ...}

SIGTERM and SIGINT end it. It can be told to fail: --fail-rcpt, --rate, --fail-data, --drop-after-data, --delay; each with --times N only
for the first N mails. With --starttls it makes a certificate of its own with openssl(1) and prints its path.
"""
import argparse
import asyncio
import email
import email.policy
import fnmatch
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time

from aiosmtpd.smtp import SMTP, AuthResult


def say(event, **fields):
    print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)


def parts_of(message):
    """The leaves of the MIME tree: type, name, and the decoded text or the size."""
    leaves = []
    for part in message.walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True) or b""
        leaf = {"type": part.get_content_type(), "disposition": part.get_content_disposition(), "bytes": len(payload)}
        if part.get_filename():
            leaf["name"] = part.get_filename()
        if part["content-id"]:
            leaf["cid"] = part["content-id"]
        if part.get_content_maintype() == "text":
            leaf["text"] = payload.decode(part.get_content_charset() or "utf-8", "replace")
        leaves.append(leaf)
    return leaves


def first_text(leaves, kind):
    return next((leaf["text"] for leaf in leaves if leaf["type"] == kind and leaf["disposition"] != "attachment"), None)


class Sink:
    def __init__(self, options):
        self.options = options
        self.mails = 0
        self.failed = 0
        self.taken = {}

    def may_fail(self):
        if self.options.times and self.failed >= self.options.times:
            return False
        self.failed += 1
        return True

    def too_fast(self, address):
        """Whether more than so many of this pattern have been taken in the last second."""
        now = time.monotonic()
        for rule in self.options.rate:
            pattern, _, per_s = rule.partition("=")
            if fnmatch.fnmatch(address, pattern):
                taken = [at for at in self.taken.get(pattern, []) if now - at < 1]
                self.taken[pattern] = taken if len(taken) >= int(per_s) else taken + [now]
                return len(taken) >= int(per_s)
        return False

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.too_fast(address):
            say("slower", to=address)
            return "451 4.7.1 too fast, try again in 1 second"
        for pattern in self.options.fail_rcpt:
            pattern, _, reply = pattern.partition("=")
            if fnmatch.fnmatch(address, pattern) and self.may_fail():
                say("refused", to=address)
                return reply or "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        if self.options.delay:
            await asyncio.sleep(self.options.delay / 1000)
        if self.options.fail_data and self.may_fail():
            say("refused", to=envelope.rcpt_tos, reply=self.options.fail_data)
            return self.options.fail_data
        self.mails += 1
        dropped = self.options.drop_after_data and self.may_fail()
        self.tell(session, envelope, dropped)
        if dropped:
            server.transport.abort()
            return "421 4.3.0 dropped"
        return "250 2.0.0 kept as %d" % self.mails

    def tell(self, session, envelope, dropped):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        leaves = parts_of(message)
        fields = {
            "n": self.mails, "from": envelope.mail_from, "to": envelope.rcpt_tos, "helo": session.host_name,
            "tls": session.ssl is not None, "user": session.auth_data.login.decode() if session.auth_data else None,
            "message_id": message["message-id"], "subject": str(message["subject"] or ""),
            "headers": [[name, str(value)] for name, value in message.items()],
            "text": first_text(leaves, "text/plain"), "html": first_text(leaves, "text/html"), "parts": leaves,
            "bytes": len(envelope.original_content),
        }
        if dropped:
            fields["dropped"] = True
        if self.options.raw:
            fields["raw"] = envelope.original_content.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
        if self.options.brief:
            fields = {name: fields[name] for name in ("n", "to", "message_id", "subject")}
        if not self.options.quiet:
            say("mail", **fields)


def certificate(folder):
    """A self-signed certificate for localhost and 127.0.0.1; returns the paths of certificate and key."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key


def tls_context(folder):
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def authenticator(wanted):
    user, _, password = wanted.partition(":")

    def check(server, session, envelope, mechanism, data):
        good = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    return check


async def serve(options, folder):
    context, cert = tls_context(folder) if options.starttls or options.tls else (None, None)
    sink = Sink(options)
    settings = {"enable_SMTPUTF8": True, "hostname": "sink.example", "data_size_limit": options.size}
    if options.starttls:
        settings["tls_context"] = context
    if options.auth:
        settings.update(authenticator=authenticator(options.auth), auth_required=True, auth_require_tls=options.starttls)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, loop=loop, **settings), options.host, options.port,
                                      ssl=context if options.tls else None)
    ended = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ended.done() or ended.set_result(None))
    say("listening", host=options.host, port=server.sockets[0].getsockname()[1], **({"cert": cert} if cert else {}))
    await ended
    server.close()
    say("ended", mails=sink.mails)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which is printed")
    parser.add_argument("--fail-rcpt", action="append", default=[], metavar="PATTERN[=REPLY]",
                        help="refuse matching recipients (shell pattern); reply: 550 5.1.1 by default")
    parser.add_argument("--rate", action="append", default=[], metavar="PATTERN=N",
                        help="take at most N such recipients in any second, answer 451 4.7.1 to the rest")
    parser.add_argument("--fail-data", metavar="REPLY", help="answer mails so: '451 4.3.0 later'")
    parser.add_argument("--drop-after-data", action="store_true", help="take the mail, then drop the connection without a reply")
    parser.add_argument("--times", type=int, default=0, help="fail so often, then no more; 0: always")
    parser.add_argument("--delay", type=int, default=0, metavar="MS", help="before the answer to a mail")
    parser.add_argument("--starttls", action="store_true", help="offer STARTTLS with a self-signed certificate, and require it")
    parser.add_argument("--tls", action="store_true", help="TLS from the first byte (smtps)")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="require a login")
    parser.add_argument("--size", type=int, default=33554432, help="largest mail")
    parser.add_argument("--raw", action="store_true", help="print the mail's source as well")
    parser.add_argument("--brief", action="store_true", help="print number, recipients, id and subject only")
    parser.add_argument("--quiet", action="store_true", help="print no mails, only their number at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smtp-sink-") as folder:
        asyncio.run(serve(options, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
