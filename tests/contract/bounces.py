#!/usr/bin/python3
# label: email
# timeout: 120
# build: debug
"""What our reader of delivery reports says of each file in tests/vectors/reports, beside what Sisimai (a bounce analyser of others)
says of it: where both see a verdict they agree on the recipient and on hard, soft or neither."""

import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
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


def ours():
    """(file, recipient) -> hard, soft, other, fine, late or complaint."""
    program = os.path.join(BIN, "test_mail_report")
    if not os.path.exists(program):
        raise Skip("missing test_mail_report")
    found = {}
    for path, kind, receipt, outcome, _, address in lines([program, *REPORTS]):
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
    we, they = ours(), theirs()
    expect_true(len(they) >= 15, f"Sisimai read {len(they)} of them")
    for key, verdict in they.items():
        expect(we.get(key), verdict, f"{key}")


if __name__ == "__main__":
    run()
