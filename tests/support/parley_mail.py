"""What tests of outgoing mail share: keys and their DNS records, a daemon that sends to a server that is not ours, readers."""

import base64
import contextlib
import os
import subprocess

from parley_peers import Peer
from parley_test import Daemon, expect, need_tool, wait_until


class Keys:
    """An RSA and an Ed25519 key of a domain, and their records."""

    def __init__(self, folder, domain="shop.example", rsa_bits=2048):
        self.folder, self.domain = folder, domain
        self.make("rsa", "RSA", "-pkeyopt", f"rsa_keygen_bits:{rsa_bits}")
        self.make("ed", "ED25519")

    def path(self, name):
        return os.path.join(self.folder, f"{self.domain}.{name}.pem")

    def make(self, name, *algorithm):
        subprocess.run([need_tool("openssl"), "genpkey", "-algorithm", *algorithm, "-out", self.path(name)], check=True,
                       capture_output=True)
        os.chmod(self.path(name), 0o600)

    def public(self, name):
        der = subprocess.run(["openssl", "pkey", "-in", self.path(name), "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        return base64.b64encode(der if name == "rsa" else der[-32:]).decode()

    def records(self):
        return {f"rsa._domainkey.{self.domain}": {"TXT": [f"v=DKIM1; k=rsa; p={self.public('rsa')}"]},
                f"ed._domainkey.{self.domain}": {"TXT": [f"v=DKIM1; k=ed25519; p={self.public('ed')}"]},
                f"_dmarc.{self.domain}": {"TXT": ["v=DMARC1; p=reject; adkim=r"]},
                self.domain: {"TXT": ["v=spf1 ip4:127.0.0.1 ip4:203.0.113.5 -all"], "A": ["127.0.0.1"]}}

    def option(self, *names):
        return [{"domain": self.domain, "selector": name, "key": {"file": self.path(name)}} for name in names or ("rsa", "ed")]


@contextlib.contextmanager
def sending(folder, config=None, channel=None, **options):
    """(daemon, the mails that left): a daemon whose channel mail sends to npm's smtp-server. channel: more of it beside options."""
    with Peer("smtp", "tests/contract/smtp_peers.cjs") as server:
        port = server.ask({"do": "listen"})["port"]

        def seen():
            return server.ask({"do": "seen", "port": port})["mails"]

        def mails(count=1):
            found = wait_until(lambda: (lambda all: all if len(all) >= count else None)(seen()), f"{count} mails")
            return [base64.b64decode(mail["raw"]) for mail in found]

        mail = {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{port}", "from": "Shop <orders@shop.example>", **options},
                **(channel or {})}
        with Daemon(folder, channels={"mail": mail}, config=config) as daemon:
            yield daemon, mails


def granted(daemon, address="ana@example.org", topic="newsletter"):
    """The customer of this address, known by a message before, wants the topic by mail."""
    found = daemon.get(f"/v1/customers?identity=email:{address}")
    expect(found.status, 200, found.text)
    customer = found.json["items"][0] if "items" in found.json else found.json
    answer = daemon.put(f"/v1/customers/{customer['id']}/consents/{topic}/email", {"granted": True, "source": "form"})
    expect(answer.status, 200, answer.text)


@contextlib.contextmanager
def reader():
    """A function that reads a mail by mailparser and postal-mime."""
    with Peer("mail", "tests/contract/mail_peers.cjs") as peer:
        yield lambda mail: peer.ask({"do": "read", "raw": base64.b64encode(mail).decode()})
