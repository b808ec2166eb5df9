#!/usr/bin/python3
# label: email
# timeout: 180
"""Event webhooks of mail providers, as the providers' own libraries judge them: what SendGrid's accepts is accepted and what it refuses is
refused; the messages of SNS with which tests/unit/test_email_events.c tests are good to AWS's validator."""

import base64
import json
import os
import subprocess
import time

from parley_peers import Peer
from parley_smtp import Mail
from parley_test import TOP, Daemon, Skip, expect, need_tool, run, test

BIN = os.environ.get("PARLEY_BIN_DIR", os.path.join(TOP, "build", "debug", "bin"))


def library():
    return Peer("mailhooks", "tests/contract/mail_events.cjs")


def key_pair(folder, curve="prime256v1"):
    path = os.path.join(folder, f"{curve}.pem")
    subprocess.run([need_tool("openssl"), "ecparam", "-name", curve, "-genkey", "-noout", "-out", path], check=True)
    der = subprocess.run(["openssl", "ec", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    return path, base64.b64encode(der).decode()


def signed(path, timestamp, body):
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", path], input=(timestamp + body).encode(), capture_output=True, check=True)
    return base64.b64encode(made.stdout).decode()


def cases(folder):
    """The public key, and name: timestamp, body, signature."""
    path, key = key_pair(folder)
    other, _ = key_pair(folder, "secp384r1")
    now = str(int(time.time()))
    body = json.dumps([{"event": "open", "smtp-id": "<nobody@shop.example>", "email": "ana@example.org", "note": "Grüße \U0001f600"}],
                      ensure_ascii=False)
    good = signed(path, now, body)
    return key, {"good": (now, body, good), "another body": (now, body + " ", good), "another time": (str(int(now) - 1), body, good),
            "another key": (now, body, signed(other, now, body)), "cut": (now, body, good[:40]), "none": (now, body, ""),
            "words": (now, body, "not a signature"), "empty list": (now, "[]", signed(path, now, "[]"))}


@test
def we_judge_as_sendgrids_library_does(folder):
    key, made = cases(folder)
    with library() as peer, Mail() as mail, Daemon(folder, channels={"mail": mail.channel(events={"sendgrid": key})}) as daemon:
        for name, (timestamp, body, signature) in made.items():
            theirs = peer.ask({"do": "sendgrid", "key": key, "body": body, "signature": signature, "timestamp": timestamp})["good"]
            headers = {"X-Twilio-Email-Event-Webhook-Signature": signature, "X-Twilio-Email-Event-Webhook-Timestamp": timestamp}
            ours = daemon.post("/in/mail/sendgrid", body.encode(), headers=headers).status
            expect((name, ours), (name, 200 if theirs else 401))
            expect(theirs, name in ("good", "empty list"), name)


@test
def the_messages_of_sns_that_we_test_with_are_good_to_its_validator():
    program = os.path.join(BIN, "test_email_events")
    if not os.path.exists(program):
        raise Skip("missing test_email_events")
    ran = subprocess.run([program, "sns"], capture_output=True, text=True, timeout=60)
    asked = [json.loads(line) for line in ran.stdout.splitlines()]
    expect(len(asked), 2)
    with library() as peer:
        for each in asked:
            expect(peer.ask({"do": "sns", **each})["good"], True)
            each["message"]["Message"] += "."
            expect(peer.ask({"do": "sns", **each})["good"], False)


if __name__ == "__main__":
    run()
