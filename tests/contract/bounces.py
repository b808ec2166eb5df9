#!/usr/bin/python3
# label: email
# timeout: 120
# build: debug
"""What our reader of delivery reports says of each file in tests/vectors/reports, beside what Sisimai (a bounce analyser of others)
says of it: where both see a verdict they agree on the recipient and on hard, soft or neither. And of what a Postfix of today sends
back."""

import glob
import os
import smtplib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from parley_postfix import Postfix  # noqa: E402
from parley_smtp import Mail  # noqa: E402
from parley_test import Skip, expect, expect_true, run, test  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("PARLEY_BIN_DIR", os.path.join(TOP, "build", "debug", "bin"))
REPORTS = sorted(glob.glob(os.path.join(TOP, "tests", "vectors", "reports", "*.eml")))
SISIMAI = """
use Sisimai;
for my $file (@ARGV) {
  for my $each (@{ Sisimai->make($file, delivered => 1) || [] }) {
    print join("\\t", $file, $each->reason, $each->deliverystatus, $each->action, $each->recipient->address), "\\n";
  }
}
"""
KINDS = {"userunknown": "hard", "hostunknown": "hard", "hasmoved": "hard", "mailboxfull": "soft", "systemfull": "soft",
         "delivered": "fine", "feedback": "complaint"}
OUTCOMES = {"3": "soft", "4": "other", "5": "hard"}
# Sisimai sees no words beside a code, takes a vacation note for a bounce where it quotes a code, and every feedback for a complaint.
BEYOND = {"quota_in_words.eml", "vacation.eml", "not_spam.eml", "abuse_malformed.eml"}


def lines(command):
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    expect(ran.returncode, 0, ran.stderr)
    return [line.split("\t") for line in ran.stdout.splitlines()]


def ours(paths):
    """(file, recipient) -> hard, soft, other, fine, late or complaint."""
    program = os.path.join(BIN, "test_mail_report")
    if not os.path.exists(program):
        raise Skip("missing test_mail_report")
    found = {}
    for path, kind, receipt, outcome, _, address in lines([program, *paths]):
        if kind == "2":
            found[os.path.basename(path), ""] = "complaint" if receipt == "8" else "late"
        else:
            found[os.path.basename(path), address] = {"0": "late", "4": OUTCOMES.get(outcome)}.get(receipt, "fine")
    return found


def theirs():
    if subprocess.run(["perl", "-MSisimai", "-e", "1"], capture_output=True).returncode != 0:
        raise Skip("missing libsisimai-perl")
    found = {}
    for path, reason, _, action, address in lines(["perl", "-e", SISIMAI, *REPORTS]):
        name = os.path.basename(path)
        if name in BEYOND:
            continue
        if reason == "feedback":
            found[name, ""] = "complaint"
        else:
            found[name, address] = "late" if action == "delayed" else KINDS.get(reason, "other")
    return found


@test
def sisimai_agrees_on_every_verdict():
    we, they = ours(REPORTS), theirs()
    expect_true(len(they) >= 15, f"Sisimai read {len(they)} of them")
    for key, verdict in they.items():
        expect(we.get(key), verdict, f"{key}")


TOKEN = "0123456789abcdefghjkmnpqrstvw"


def returned(recipient, answer):
    """What Postfix sends to the return path of a mail whose recipient's server answers so."""
    with Mail("--raw", "--fail-rcpt", f"{recipient}={answer}") as box, \
            Postfix({"relayhost": f"[127.0.0.1]:{box.port}", "maximal_queue_lifetime": "0", "bounce_queue_lifetime": "60",
                     "minimal_backoff_time": "1", "queue_run_delay": "1", "delay_warning_time": "0"}) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as client:
            client.sendmail(f"bounce+{TOKEN}@shop.example", [recipient],
                            f"From: Shop <orders@shop.example>\r\nTo: {recipient}\r\nSubject: Order 1042\r\n"
                            f"Message-ID: <msg_01KAM2Z8Q3XWA@shop.example>\r\nX-Parley-Ref: {TOKEN}\r\n\r\nThank you.\r\n")
        while True:
            mail = box.next()
            if mail["event"] == "mail":
                return mail


@test
def what_postfix_sends_back_is_read_as_it_was_meant():
    for answer, verdict in {"550 5.1.1 no such user": "hard", "552 5.2.2 over quota": "soft", "550 5.7.1 looks like spam": "other",
                            "550 no": "other", "451 4.3.0 later": "soft"}.items():
        mail = returned("ana@bounces.example", answer)
        expect(((mail["from"] or "").strip("<>"), mail["to"]), ("", [f"bounce+{TOKEN}@shop.example"]))
        with tempfile.NamedTemporaryFile("w", suffix=".eml") as file:
            file.write(mail["raw"])
            file.flush()
            found = ours([file.name])
        expect(found, {(os.path.basename(file.name), "ana@bounces.example"): verdict}, answer)


if __name__ == "__main__":
    run()
